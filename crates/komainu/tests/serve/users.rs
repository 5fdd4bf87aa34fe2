//! Users of our own (`smtpd_sasl_type = internal`) and the system's accounts, with real clients through TLS: the log-ins
//! of shadow(5), of the real libpam by service files of the test's own, and of a users' file that `komainu user` writes
//! while the server runs (T0.2, T2.5). Who waited is told by the order of answers.

use crate::server::Server;
use crate::site::{Site, save};
use crate::world::{self, Needs};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Of `secret`.
const HASH: &str = "$6$rounds=1000$saltsalt$LAV5VE5Y7w1d73x1mFNspYWUpazfmwv2SoepNXNKJ/otop/Zok96Hr8Q13LEv0DRY/x8v0/crpIjl8NJSAqXV/";

const PRELUDE: &str = r#"
import base64, smtplib, ssl, threading
context = ssl._create_unverified_context()
def connect(source, port=465):
    s = smtplib.SMTP_SSL('127.0.0.1', port, 'client.example', context=context, source_address=(source, 0), timeout=30)
    s.ehlo()
    return s
def attempt(port, user, password, source):
    s = connect(source, port)
    code, text = s.docmd('AUTH', 'PLAIN ' + base64.b64encode(('\0%s\0%s' % (user, password)).encode()).decode())
    s.close()
    return code
"#;

/// A log-in in each way, at once, each from a network of its own.
const SYSTEM: &str = r#"
answered = []
def go(n, port, user, password):
    answered.append((attempt(port, user, password, '10.9.%d.1' % n), port, user))
tries = [(469, 'alice', 'secret')] + [(port, user, password) for port in (465, 466) for user, password in (
    ('alice', 'secret'), ('ALICE', 'secret'), ('alice@example.com', 'secret'), ('alice@example.org', 'secret'),
    ('root', 'secret'), ('toor', 'secret'), ('locked', 'secret'), ('gone', 'secret'), ('who', 'secret'), ('', 'secret'),
    ('alice', 'Secret'), ('alice', ''))]
tries += [(467, 'carol@example.org', 'geheim 1'), (467, 'carol@example.org', 'geheim'), (468, 'alice', 'secret'), (470, 'alice', 'secret')]
tries += [(port, user, password) for port in (471, 472) for user, password in (
    ('dora', 'secret'), ('DORA', 'secret'), ('dora@example.com', 'secret'), ('dora@example.org', 'secret'),
    ('dora', 'Secret'), ('dora', ''), ('alice', 'secret'), ('plain', 'secret'), ('', 'secret'))]
threads = [threading.Thread(target=go, args=(n,) + one) for n, one in enumerate(tries)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for one in sorted(answered[:-1]):
    print(*one)
print('last', *answered[-1])
answered = []
def first(name, s, password):
    s.docmd('AUTH', 'PLAIN ' + base64.b64encode(('\0alice\0' + password).encode()).decode())
    answered.append(name)
pair = [('guesser', connect('10.8.1.1', 466), 'wrong'), ('owner', connect('10.8.2.1', 466), 'secret')]
threads = [threading.Thread(target=first, args=one) for one in pair]
for thread in threads:
    thread.start()
    # The guess is under way, and PAM's pause after it is nobody else's.
for thread in threads:
    thread.join()
print(answered)
"#;

fn python(script: &str) -> String {
    let output = Command::new("python3").args(["-c", &format!("{PRELUDE}{script}")]).output().expect("runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// The system's accounts of the test's world.
fn accounts() {
    let (mut passwd, mut shadow) = (fs::read_to_string("/etc/passwd").expect("reads"), String::new());
    for (name, uid, hash, expires) in [
        ("alice", 3001, HASH.to_owned(), ""),
        ("toor", 0, HASH.to_owned(), ""),
        ("locked", 3002, format!("!{HASH}"), ""),
        ("gone", 3003, HASH.to_owned(), "11000"),
    ] {
        passwd += &format!("{name}:x:{uid}:3000::/nonexistent:/bin/sh\n");
        shadow += &format!("{name}:{hash}:19000:0:99999:7::{expires}:\n");
    }
    shadow += &format!("root:{HASH}:19000:0:99999:7:::\n");
    fs::write("/etc/passwd", passwd).expect("writes");
    save(Path::new("/etc/shadow"), &shadow, 0o600);
    for (service, auth) in [
        ("smtp", "pam_unix.so"),
        ("judge", "pam_exec.so expose_authtok quiet /mnt/judge"),
        ("deny", "pam_deny.so"),
        ("hangs", "pam_exec.so quiet /mnt/hangs"),
        ("broken", "pam_no_such_module.so"),
    ] {
        let account = if service == "smtp" { "pam_unix.so" } else { "pam_permit.so" };
        let rules = format!("auth required {auth}\naccount required {account}\n");
        fs::write(Path::new("/etc/pam.d").join(service), rules).expect("writes");
    }
    // Passwords in files of their own, for people who have no account here.
    for (service, module) in [
        ("userdb", "pam_userdb.so db=/mnt/people crypt=crypt"),
        ("pwdfile", "pam_pwdfile.so pwdfile=/mnt/people"),
    ] {
        let rules = format!("auth required {module}\naccount required pam_permit.so\n");
        fs::write(Path::new("/etc/pam.d").join(service), rules).expect("writes");
    }
    save(Path::new("/mnt/people"), &format!("dora:{HASH}\nplain:secret\n"), 0o600);
    let mut load = Command::new("db5.3_load");
    let mut load =
        load.args(["-T", "-t", "hash", "/mnt/people.db"]).stdin(Stdio::piped()).spawn().expect("starts");
    let rows = format!("dora\n{HASH}\nplain\nsecret\n");
    load.stdin.take().expect("piped").write_all(rows.as_bytes()).expect("writes");
    assert!(load.wait().expect("ends").success());
    let judge = "#!/bin/sh\nread -r password\n\
                 [ \"$PAM_USER $PAM_RHOST $password\" = 'carol@example.org 10.9.25.1 geheim 1' ]\n";
    for (name, text) in [("judge", judge), ("hangs", "#!/bin/sh\nexec sleep 100\n")] {
        let path = Path::new("/mnt").join(name);
        fs::write(&path, text).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
    }
}

fn protected(more: &str) -> Site {
    let site = Site::new(&format!(
        "smtpd_tls_chain_files = $config_directory/pair.pem\nsmtpd_sasl_auth_enable = yes\n\
         smtpd_sasl_type = internal\nsmtpd_error_sleep_time = 0\nkomainu_auth_delay_max = 0\n\
         komainu_auto_reload = yes\n\
         smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination\n{more}"
    ));
    save(&site.path("etc/pair.pem"), include_str!("../../../../tests/certificates/ec.pem"), 0o600);
    site
}

#[test]
fn system_accounts() {
    world::run("users::system_accounts", Needs::Root, || {
        for module in ["pam_exec.so", "pam_userdb.so", "pam_pwdfile.so"] {
            if !Path::new("/usr/lib/x86_64-linux-gnu/security").join(module).exists() {
                assert!(std::env::var_os("CI").is_none(), "no {module}");
                return println!("system_accounts: didn't run: no {module}");
            }
        }
        accounts();
        let site = protected("smtpd_sasl_local_domain = example.com\n");
        let places = [
            (465, "shadow"),
            (466, "pam"),
            (467, "pam:judge"),
            (468, "pam:deny"),
            (469, "pam:hangs"),
            (470, "pam:broken"),
            (471, "pam:userdb"),
            (472, "pam:pwdfile"),
        ];
        let lines = places.map(|(port, path)| {
            format!("{port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_sasl_path={path}\n")
        });
        site.write("master.cf", &lines.concat());
        let mut server = Server::start(&site);
        let mut expected = vec![
            "235 467 carol@example.org".to_owned(),
            "454 470 alice".to_owned(),
            // A script's no is an error of the system's to pam_exec.
            "454 467 carol@example.org".to_owned(),
            "535 468 alice".to_owned(),
        ];
        for port in [465, 466] {
            expected.extend(["alice", "ALICE", "alice@example.com"].map(|user| format!("235 {port} {user}")));
            let wrong = ["alice@example.org", "root", "toor", "locked", "gone", "who", "", "alice", "alice"];
            expected.extend(wrong.map(|user| format!("535 {port} {user}")));
        }
        for port in [471, 472] {
            expected.extend(["dora", "DORA", "dora@example.com"].map(|user| format!("235 {port} {user}")));
            let wrong = ["dora@example.org", "dora", "dora", "alice", "plain", ""];
            expected.extend(wrong.map(|user| format!("535 {port} {user}")));
        }
        expected.sort();
        let said = python(SYSTEM);
        let mut said: Vec<&str> = said.lines().collect();
        assert_eq!(said.pop(), Some("['owner', 'guesser']"));
        // The others didn't wait for it.
        assert_eq!(said.pop(), Some("last 454 469 alice"));
        said.sort_unstable();
        assert_eq!(said, expected, "{}", site.log());
        for line in [
            "SASL: gone@example.com: User account has expired",
            "SASL: root@example.com: root can't log in here",
            "SASL: toor@example.com: root can't log in here",
            "SASL: the system's accounts can't be asked: PAM service broken: Module is unknown",
            "SASL: the system's accounts can't be asked: PAM service hangs: no answer in 10 s",
            "SASL PLAIN authentication failed: the system's accounts can't be asked, sasl_username=alice@example.com",
            "SASL PLAIN authentication failed: authentication failure, sasl_username=who@example.com",
        ] {
            site.logged(line, 0);
        }
        assert!(server.stop().success());
        assert!(!site.log().contains("secret"));
    });
}

/// `komainu user`, with the password on standard input.
fn user(site: &Site, arguments: &[&str], password: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_komainu"));
    command.arg("user").arg("--config").arg(site.etc()).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("starts");
    child.stdin.take().expect("piped").write_all(password.as_bytes()).expect("writes");
    assert!(child.wait().expect("ends").success(), "{arguments:?}");
}

/// Runs a client, and says how it ended.
fn client(line: &str) -> (bool, String) {
    let output = Command::new("sh").args(["-c", line]).env("HOME", "/mnt").stdin(Stdio::null()).output();
    let output = output.expect("runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Whether it logs in with the password, and with no other.
fn logs_in(site: &Site, line: &str, method: &str) {
    let before = site.log().len();
    let (well, said) = client(&line.replace("PASSWORD", "Gehe1m"));
    assert!(well, "{line}\n{said}\n{}", site.log().get(before..).unwrap_or_default());
    if !said.contains("235") {
        site.logged(&format!("sasl_method={method}, sasl_username=alice"), before);
    }
    let (well, said) = client(&line.replace("PASSWORD", "Geheim"));
    assert!(!well, "{line}\n{said}");
    site.logged(
        &format!("SASL {method} authentication failed: authentication failure, sasl_username=alice"),
        before,
    );
}

fn are_there(test: &str, programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|name| !Path::new("/usr/bin").join(name).exists()).collect();
    if !missing.is_empty() {
        assert!(std::env::var_os("CI").is_none(), "{missing:?} missing");
        println!("{test}: didn't run: no {missing:?}");
    }
    missing.is_empty()
}

#[test]
fn clients_of_many_kinds() {
    world::run("users::clients_of_many_kinds", Needs::Root, || {
        if !are_there("clients_of_many_kinds", &["swaks", "curl", "mutt", "gsasl", "python3"]) {
            return;
        }
        let site = protected(
            "smtpd_tls_security_level = may\nsmtpd_tls_auth_only = yes\nsmtpd_tls_ask_ccert = yes\n\
             smtpd_tls_CAfile = $config_directory/ca.pem\nsmtpd_tls_fingerprint_digest = sha256\n\
             komainu_sasl_certificate_maps = static:alice\nsmtpd_sasl_mechanism_filter = static:all\n",
        );
        save(&site.path("etc/ca.pem"), include_str!("../../../../tests/certificates/ca.pem"), 0o644);
        save(Path::new("/mnt/client.pem"), include_str!("../../../../tests/certificates/client.pem"), 0o600);
        let all = "-o komainu_sasl_mechanisms=plain,login,cram-md5,scram-sha-1,scram-sha-256,external";
        site.write(
            "master.cf",
            &format!("465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes {all}\n587 inet n - n - - smtpd {all},scram-sha-256-plus\n"),
        );
        let _server = Server::start(&site);
        // The file is there only now, and the server takes it up.
        user(&site, &["add", "alice", "--scheme", "plain"], "Gehe1m\n");
        crate::site::until("the new user", || {
            python("print(attempt(465, 'alice', 'Gehe1m', '10.9.9.9'))").starts_with("235").then_some(())
        });
        fs::write("/mnt/mail", "From: alice@example.com\nTo: x@example.com\nSubject: hi\n\nbody\n")
            .expect("writes");
        for method in ["PLAIN", "LOGIN", "CRAM-MD5"] {
            logs_in(
                &site,
                &format!(
                    "curl -sSk --url smtps://127.0.0.1:465 -u alice:PASSWORD --login-options AUTH={method} --mail-from alice@example.com --mail-rcpt x@example.com -T /mnt/mail"
                ),
                method,
            );
            logs_in(
                &site,
                &format!(
                    "swaks -s 127.0.0.1:587 -tls -a {method} -au alice -ap PASSWORD -f alice@example.com -t x@example.com"
                ),
                method,
            );
        }
        for method in ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"] {
            let binding = if method.ends_with("PLUS") { "" } else { "--no-cb" };
            logs_in(
                &site,
                &format!(
                    "gsasl --smtp -m {method} -a alice -p PASSWORD {binding} --no-client-first --x509-ca-file='' 127.0.0.1 587 </dev/null"
                ),
                method,
            );
        }
        // Left to itself it takes the best, which over TLS 1.3 is none that binds: it couldn't.
        for method in ["scram-sha-256", "login", ""] {
            let only = if method.is_empty() {
                String::new()
            } else {
                format!("set smtp_authenticators='{method}'\n")
            };
            let method = if method.is_empty() { "scram-sha-256" } else { method };
            let rc = format!(
                "set smtp_url='smtps://alice:PASSWORD@127.0.0.1:465/'\n{only}set ssl_verify_host=no ssl_verify_dates=no certificate_file=/mnt/mx.pem from=alice@example.com\nset record=''\n"
            );
            fs::write("/mnt/mx.pem", include_str!("../../../../tests/certificates/ec.pem")).expect("writes");
            fs::write("/mnt/muttrc", rc).expect("writes");
            logs_in(
                &site,
                "sed s/PASS''WORD/PASSWORD/ /mnt/muttrc >/mnt/rc; echo body | mutt -n -F /mnt/rc -s hi x@example.com",
                &method.to_uppercase(),
            );
        }
        certified(&site);
    });
}

/// EXTERNAL, by a client's certificate; without one it isn't offered.
fn certified(site: &Site) {
    let before = site.log().len();
    let said = python(
        r"
s = connect('10.9.9.8')
print(b'EXTERNAL' in s.ehlo_resp, s.docmd('AUTH', 'EXTERNAL =')[0])
context.load_cert_chain('/mnt/client.pem')
for identity in ('', 'alice', 'bob'):
    s = connect('10.9.9.8')
    print(b'EXTERNAL' in s.ehlo_resp, s.docmd('AUTH', 'EXTERNAL ' + (base64.b64encode(identity.encode()).decode() or '='))[0])
",
    );
    assert_eq!(said, "False 535\nTrue 235\nTrue 235\nTrue 535\n", "{}", site.log());
    site.logged("SASL EXTERNAL authentication failed: authentication failure, sasl_username=bob", before);
    // The table still has her.
    user(site, &["remove", "alice"], "");
    crate::site::until("alice is out", || {
        let said = python(
            r"
context.load_cert_chain('/mnt/client.pem')
s = connect('10.9.9.8')
print(b'EXTERNAL' in s.ehlo_resp, s.docmd('AUTH', 'EXTERNAL =')[0])
",
        );
        (said == "False 535\n").then_some(())
    });
}

/// A server that was started with a relative path takes up a users' file that comes later, and that only root may read.
#[test]
fn users_that_come_later() {
    world::run("users::users_that_come_later", Needs::Root, || {
        let site = protected("smtpd_sasl_path = users\n");
        site.write("master.cf", "465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n");
        let mut command = Command::new(crate::server::KOMAINU);
        command.args(["serve", "--config", "etc", "--state", "state"]).current_dir(site.path(""));
        let mut server = Server::start_as(command, &site);
        let says = |code: &str| {
            crate::site::until(&format!("{code} for alice"), || {
                python("print(attempt(465, 'alice', 'Gehe1m', '10.9.9.9'))").starts_with(code).then_some(())
            });
        };
        says("535");
        save(&site.path("etc/users"), "alice:{PLAIN}Gehe1m\n", 0o600);
        says("235");
        save(&site.path("etc/users"), "alice:{PLAIN}Geheim\n", 0o600);
        says("535");
        fs::remove_file(site.path("etc/users")).expect("removes");
        save(&site.path("etc/users"), "alice:{PLAIN}Gehe1m\n", 0o600);
        says("235");
        assert!(server.stop().success());
    });
}

/// Sessions that are there before the users change; whoever reads the standard output says when.
const BEFORE_THE_CHANGE: &str = r#"
import hashlib, hmac
def say(s, *words):
    return s.docmd('AUTH', ' '.join(words)) if len(words) == 2 else s.docmd(*words)
def plain(s, user, password):
    return say(s, 'PLAIN', base64.b64encode(('\0%s\0%s' % (user, password)).encode()).decode())[0]
def challenged(s, user):
    bare = 'n=%s,r=abcdef' % user
    code, text = say(s, 'SCRAM-SHA-256', base64.b64encode(('n,,' + bare).encode()).decode())
    assert code == 334, (code, text)
    return s, bare, base64.b64decode(text).decode()
def proved(s, bare, first, password):
    said = dict(field.split('=', 1) for field in first.split(','))
    salted = hashlib.pbkdf2_hmac('sha256', password.encode(), base64.b64decode(said['s']), int(said['i']))
    key = hmac.new(salted, b'Client Key', 'sha256').digest()
    without = 'c=biws,r=' + said['r']
    signature = hmac.new(hashlib.sha256(key).digest(), ','.join((bare, first, without)).encode(), 'sha256').digest()
    proof = bytes(a ^ b for a, b in zip(key, signature))
    code, text = say(s, base64.b64encode((without + ',p=' + base64.b64encode(proof).decode()).encode()).decode())
    return say(s, '')[0] if code == 334 else code
s = [connect('10.9.1.%d' % (n + 1)) for n in range(6)]
carol, dave = challenged(s[0], 'carol'), challenged(s[1], 'dave')
print('ready', flush=True)
input()
print(plain(s[2], 'alice', 'Gehe1m'), plain(s[3], 'bob', 'Gehe1m'), plain(s[3], 'bob', 'Anders'))
print(proved(*carol, 'Gehe1m'), proved(*dave, 'Gehe1m'), plain(s[4], 'dave', 'Gehe1m'))
"#;

/// Sessions in progress, also those of configurations before the last, know the users as they are now; and who is shut out
/// between the challenge and the proof is out.
#[test]
fn users_that_change_meanwhile() {
    world::run("users::users_that_change_meanwhile", Needs::Root, || {
        let site = protected("smtpd_sasl_path = users\nsmtpd_hard_error_limit = 20\n");
        site.write("master.cf", "465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n");
        save(&site.path("etc/users"), "", 0o600);
        for name in ["alice", "bob", "carol", "dave"] {
            user(&site, &["add", name], "Gehe1m\n");
        }
        let mut server = Server::start(&site);
        let script = format!("{PRELUDE}{BEFORE_THE_CHANGE}");
        let mut command = Command::new("python3");
        let command = command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let mut said = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("text");
        assert_eq!(line, "ready\n", "{}", site.log());
        server.reload();
        server.reload();
        user(&site, &["disable", "alice"], "");
        user(&site, &["passwd", "bob"], "Anders\n");
        user(&site, &["disable", "carol"], "");
        crate::site::until("carol is out", || {
            python("print(attempt(465, 'carol', 'Gehe1m', '10.9.9.9'))").starts_with("535").then_some(())
        });
        child.stdin.take().expect("piped").write_all(b"\n").expect("writes");
        let mut rest = String::new();
        said.read_to_string(&mut rest).expect("text");
        assert!(child.wait().expect("ends").success());
        assert_eq!(rest, "535 535 235\n535 235 235\n", "{}", site.log());
        assert!(server.stop().success());
    });
}
