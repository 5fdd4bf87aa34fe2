//! The server's certificates broken in each way, beside Postfix: what clients are told, what they are shown, what is
//! logged, and what `komainu check` says of each (T0.1, T0.3).
//!
//! Each way is two ports on both servers, one with STARTTLS and one wrapped. What OpenSSL and rustls say in their own
//! words isn't compared.

use crate::papers::{Authority, Paper, write};
use crate::postfix_peer::{self, SideBySide, said_by_smtpd};
use crate::server::KOMAINU;
use crate::world::{self, Needs};
use std::process::Command;

const MAIN: &str = "
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_tls_security_level = may
smtpd_tls_loglevel = 1
";

/// One way: its name, its options, and the code that `komainu check` has for it.
type Case = (&'static str, &'static str, Option<&'static str>);

const CASES: &[Case] = &[
    ("good", "chain_files=@good.pem", None),
    ("whole-chain", "chain_files=@below.pem", None),
    ("pair", "cert_file=@good.crt key_file=@good.key", None),
    ("both", "eccert_file=@good.crt eckey_file=@good.key cert_file=@rsa.crt key_file=@rsa.key", None),
    ("notes", "chain_files=@notes.pem", None),
    ("dos", "chain_files=@dos.pem", None),
    ("expired", "chain_files=@expired.pem", Some("K0513")),
    ("early", "chain_files=@early.pem", Some("K0513")),
    ("stranger", "chain_files=@stranger.pem", Some("K0514")),
    ("self", "chain_files=@self.pem", Some("K0516")),
    ("weak", "chain_files=@weak.pem", Some("K0517")),
    ("unfit", "cert_file=@good.crt key_file=@other.key", Some("K0511")),
    ("unfit-kind", "cert_file=@good.crt key_file=@rsa.key", Some("K0511")),
    ("unfit-chain", "chain_files=@unfit.pem", Some("K0511")),
    ("no-file", "chain_files=@nowhere.pem", Some("K0510")),
    ("no-certificate", "cert_file=@nowhere.pem key_file=@good.key", Some("K0510")),
    ("no-key", "cert_file=@good.crt key_file=@nowhere.pem", Some("K0510")),
    ("folder", "chain_files=@folder", Some("K0510")),
    ("loop", "chain_files=@loop", Some("K0216")),
    ("empty", "chain_files=@empty", Some("K0510")),
    ("empty-key", "cert_file=@good.crt key_file=@empty", Some("K0510")),
    ("only-key", "chain_files=@good.key", Some("K0510")),
    ("only-certificate", "chain_files=@good.crt", Some("K0510")),
    ("key-in-place", "cert_file=@good.key key_file=@good.key", Some("K0510")),
    ("certificate-first", "chain_files=@turned.pem", Some("K0510")),
    ("issuer-first", "chain_files=@issuer-first.pem", Some("K0511")),
    ("issuer-first-pair", "cert_file=@issuer-first.crt key_file=@below.key", Some("K0511")),
    ("mixed-up", "chain_files=@mixed-up.pem", Some("K0515")),
    ("unrelated", "chain_files=@unrelated.pem", None),
    ("without-middle", "chain_files=@without-middle.pem", None),
    ("text", "chain_files=@text", Some("K0510")),
    ("garbage", "chain_files=@garbage.pem", Some("K0510")),
    ("garbage-key", "chain_files=@garbage-key.pem", Some("K0510")),
    ("garbage-behind", "chain_files=@garbage-behind.pem", Some("K0510")),
    ("cut", "chain_files=@cut.pem", Some("K0510")),
    ("der", "cert_file=@good.der key_file=@good.key", Some("K0510")),
    ("encrypted", "cert_file=@good.crt key_file=@encrypted.key", Some("K0512")),
    (
        "half",
        "cert_file=@rsa.crt key_file=@rsa.key eccert_file=@good.crt eckey_file=@other.key",
        Some("K0511"),
    ),
    ("other-half", "eccert_file=@good.crt eckey_file=@good.key cert_file=@nowhere.pem", Some("K0510")),
    ("half-chain", "chain_files=@good.pem,@nowhere.pem", Some("K0510")),
    ("second-unfit", "chain_files=@good.pem,@rsa-unfit.pem", Some("K0511")),
    ("elsewhere", "eccert_file=@rsa.crt eckey_file=@rsa.key cert_file=@good.crt key_file=@good.key", None),
    ("no-anchors", "chain_files=@good.pem CAfile=@nowhere.pem", Some("K0510")),
    ("asks-no-anchors", "chain_files=@good.pem CAfile=@nowhere.pem ask_ccert=yes", Some("K0510")),
    ("asks-empty-anchors", "chain_files=@good.pem CAfile=@empty ask_ccert=yes", Some("K0510")),
    ("asks-garbage-anchors", "chain_files=@good.pem CAfile=@garbage.pem ask_ccert=yes", Some("K0510")),
    ("asks-no-folder", "chain_files=@good.pem CApath=@nowhere ask_ccert=yes", Some("K0510")),
    ("no-dh", "chain_files=@good.pem dh1024_param_file=@nowhere.pem", Some("K0510")),
    ("nothing", "ask_ccert=no", Some("K0519")),
    ("none", "cert_file=none", None),
];

/// Where Postfix takes every client's STARTTLS, and every handshake fails: here TLS isn't there, as where it has read a file.
const HOLLOW: [&str; 6] = ["no-file", "folder", "loop", "half-chain", "nothing", "none"];
/// Where only one of both has TLS: RSA of less than 2,048 bits isn't spoken here, and anchors that nobody is judged by
/// aren't missed.
const OWN: [&str; 2] = ["weak", "no-anchors"];

const CLIENTS: &str = r#"
def shown(port, wrapped, source):
    command = ['openssl', 's_client', '-connect', '127.0.0.1:%d' % port, '-showcerts', '-CAfile', '/mnt/papers/ca.pem',
               '-verify_hostname', 'mx.example.com', '-servername', 'mx.example.com', '-bind', source + ':0', '-ign_eof']
    command += [] if wrapped else ['-starttls', 'smtp']
    said = subprocess.run(command, input=b'QUIT\r\n', capture_output=True, timeout=30).stdout.decode(errors='replace')
    lines = [line.strip() for line in said.splitlines()]
    for line in lines:
        if line[:2].strip().isdigit() and ' s:' in line or line.startswith('Verify return code') or line.startswith('221'):
            print('  ', line)
    print('  ', 'cipher', any(line.startswith('New, TLSv1') for line in lines))
for at, name in enumerate(words):
    print('#', name)
    source = '10.8.%d.1' % at
    try:
        s = socket.create_connection(('127.0.0.1', base + 2 * at), 20, (source, 0))
        file = s.makefile('rb')
        print('  ', hear(file))
        s.sendall(b'EHLO c\r\n')
        print('  ', hear(file))
        s.sendall(b'STARTTLS\r\n')
        reply = hear(file)
        print('  ', reply)
        if not reply.startswith('220'):
            s.sendall(b'MAIL FROM:<a@example.org>\r\n')
            print('  ', hear(file))
        s.close()
        if reply.startswith('220'):
            shown(base + 2 * at, False, '10.8.%d.2' % at)
        shown(base + 2 * at + 1, True, '10.8.%d.3' % at)
    except OSError as error:
        print('   the end')
"#;

fn papers() {
    let ca = Authority::new("Test CA");
    write("ca.pem", &ca.pem());
    let good = ca.issues(&Paper::named("mx.example.com"));
    let other = ca.issues(&Paper::named("mx.example.com"));
    write("good.crt", &good.certificate);
    write("good.key", &good.key);
    write("good.pem", &good.both());
    write("other.key", &other.key);
    write("unfit.pem", &format!("{}{}", other.key, good.certificate));
    write("turned.pem", &format!("{}{}", good.certificate, good.key));
    write("notes.pem", &format!("a remark\n\n{}\nsubject=x\n{}\nthe end\n", good.key, good.certificate));
    write("dos.pem", &good.both().replace('\n', "\r\n"));
    write(
        "expired.pem",
        &ca.issues(&Paper { from: 2020, until: 2021, ..Paper::named("mx.example.com") }).both(),
    );
    write(
        "early.pem",
        &ca.issues(&Paper { from: 2098, until: 2099, ..Paper::named("mx.example.com") }).both(),
    );
    write("stranger.pem", &ca.issues(&Paper::named("other.example")).both());
    write("self.pem", &Authority::new("mx.example.com").both());
    let middle = ca.names("Middle CA");
    let below = middle.issues(&Paper::named("mx.example.com"));
    write("below.key", &below.key);
    write("below.pem", &format!("{}{}", below.both(), middle.pem()));
    write("without-middle.pem", &below.both());
    write("issuer-first.pem", &format!("{}{}{}", below.key, middle.pem(), below.certificate));
    write("issuer-first.crt", &format!("{}{}", middle.pem(), below.certificate));
    write("mixed-up.pem", &format!("{}{}{}", below.both(), ca.pem(), middle.pem()));
    write("unrelated.pem", &format!("{}{}", good.both(), Authority::new("Nobody's CA").pem()));
    write("empty", "");
    write("text", "no certificate\n");
    let middle_of = |text: &str| text.len() / 2;
    let broken = |text: &str| {
        let (head, tail) = text.split_at(middle_of(text));
        format!("{head}*#*{tail}")
    };
    write("garbage.pem", &format!("{}{}", good.key, broken(&good.certificate)));
    write("garbage-key.pem", &format!("{}{}", broken(&good.key), good.certificate));
    write("garbage-behind.pem", &format!("{}{}", good.both(), broken(&ca.pem())));
    let whole = good.both();
    write("cut.pem", whole.get(..whole.len() - 60).expect("long enough"));
    let done = Command::new("sh").args(["-ec", OPENSSL]).status().expect("runs");
    assert!(done.success());
}

/// What rcgen doesn't make.
const OPENSSL: &str = r#"
cd /mnt/papers
openssl x509 -in good.crt -outform der -out good.der
openssl pkcs8 -topk8 -in good.key -passout pass:secret -out encrypted.key
for bits in 2048 1024; do
    openssl req -x509 -newkey rsa:$bits -nodes -keyout rsa$bits.key -out rsa$bits.crt -subj /CN=mx.example.com \
        -addext subjectAltName=DNS:mx.example.com -days 3650 2>/dev/null
done
mv rsa2048.key rsa.key
mv rsa2048.crt rsa.crt
cat rsa1024.key rsa1024.crt >weak.pem
cat other.key rsa.crt >rsa-unfit.pem
mkdir folder
ln -s loop loop
chmod 600 *.key *.pem
"#;

fn options(words: &str) -> String {
    let option = |word: &str| format!(" -o smtpd_tls_{}", word.replace('@', "/mnt/papers/"));
    words.split(' ').map(option).collect()
}

fn services(base: usize) -> String {
    let lines = |(n, (_, words, _)): (usize, &Case)| {
        let (options, port) = (options(words), base + 2 * n);
        format!(
            "127.0.0.1:{port} inet n - n - - smtpd{options}\n127.0.0.1:{} inet n - n - - smtpd -o \
             smtpd_tls_wrappermode=yes{options}\n",
            port + 1
        )
    };
    CASES.iter().enumerate().map(lines).collect()
}

/// What a log says of the clients of one way.
fn said(log: &str, n: usize) -> Vec<String> {
    let own = |text: &String| text.contains(&format!("[10.8.{n}."));
    let named = |text: String| text.replace("for service 127.0.0.1:4", "for service 127.0.0.1:2");
    let mut lines: Vec<String> = log.lines().filter_map(said_by_smtpd).filter(own).map(named).collect();
    // The three of them come one after the other, but may end in any order.
    lines.sort();
    lines
}

#[test]
fn broken_in_each_way() {
    world::run("odd_servers::broken_in_each_way", Needs::Root, || {
        if !postfix_peer::is_there("odd_servers") {
            return;
        }
        papers();
        let sides = SideBySide::start(MAIN, services);
        let names: Vec<&str> = CASES.iter().map(|(name, ..)| *name).collect();
        let [ours, theirs] = sides.talk(CLIENTS, &names);
        let mut faults = Vec::new();
        for (n, ((name, ..), (ours, theirs))) in CASES.iter().zip(ours.iter().zip(&theirs)).enumerate() {
            if OWN.contains(name) || (HOLLOW.contains(name) && theirs.contains("220 2.0.0 Ready")) {
                let has = |said: &str| said.contains("cipher True");
                assert_ne!((has(ours), *name == "no-anchors"), (true, false), "{name}: {ours}");
                continue;
            }
            if ours != theirs {
                faults.push(format!("{name}: Postfix: {theirs}\nhere: {ours}"));
            }
            let over = |log: &str| {
                let lines = |word: &str| log.matches(&format!(": {word} from unknown[10.8.{n}.")).count();
                lines("connect") >= 2 && lines("connect") == lines("disconnect")
            };
            let [ours, theirs] = sides.logs(over).map(|log| said(&log, n));
            if ours != theirs {
                faults.push(format!("{name}: Postfix logs {theirs:#?}\nhere: {ours:#?}"));
            }
        }
        // The text shows the words of master.cf, JSON all findings.
        let check = |format: &str| {
            let mut command = Command::new(KOMAINU);
            let output = command.args(["check", "--format", format, "-c"]).arg(sides.site.etc()).output();
            String::from_utf8_lossy(&output.expect("runs").stdout).into_owned()
        };
        let (text, json) = (check("text"), check("json"));
        let findings: Vec<&str> = text.split("\n\n").chain(json.split("\"code\":")).collect();
        faults.extend(CASES.iter().filter_map(|case| unsaid(&findings, case)));
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    });
}

/// What `komainu check` should have said of a way, and didn't.
fn unsaid(findings: &[&str], (name, words, code): &Case) -> Option<String> {
    let code = (*code)?;
    let files: Vec<&str> = words.split(&[' ', ',', '=']).filter_map(|word| word.strip_prefix('@')).collect();
    let names = |finding: &&&str| {
        let named = |file: &&str| finding.contains(&format!("/mnt/papers/{file}"));
        finding.contains(code) && (files.is_empty() || files.iter().any(named))
    };
    let said = findings.iter().find(names);
    let near: Vec<&&str> = findings.iter().filter(|one| one.contains(&format!("/{name}"))).collect();
    said.is_none().then(|| format!("{name}: no {code} from komainu check, which says {near:#?}"))
}
