//! Clients' certificates odd in each way, beside Postfix: who is trusted, what is said and logged, who may relay (T1.1).
//!
//! Each setting is a port on both servers; each client shows its certificate to each port, by TLS 1.2 and 1.3. What
//! OpenSSL and rustls say in their own words isn't compared.

use crate::papers::{Authority, Issued, Paper, Purpose, write};
use crate::postfix_peer::{self, SideBySide, said_by_smtpd};
use crate::world::{self, Needs};
use std::collections::BTreeMap;
use std::process::Command;

const MAIN: &str = "
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_tls_chain_files = /mnt/papers/own.pem
smtpd_tls_CAfile = /mnt/papers/ca.pem
smtpd_tls_security_level = encrypt
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
smtpd_tls_fingerprint_digest = sha256
smtpd_recipient_restrictions =
relay_clientcerts = texthash:/mnt/papers/relay
smtpd_relay_restrictions = permit_tls_clientcerts, reject
";

const PORTS: &[&str] = &[
    "-o smtpd_tls_ask_ccert=yes",
    "-o smtpd_tls_req_ccert=yes",
    "-o smtpd_tls_req_ccert=yes -o smtpd_tls_loglevel=0",
    "-o smtpd_tls_ask_ccert=yes -o smtpd_relay_restrictions=permit_tls_all_clientcerts,reject",
    "-o smtpd_tls_ask_ccert=yes -o smtpd_tls_CAfile=",
    "-o smtpd_tls_req_ccert=yes -o smtpd_tls_ccert_verifydepth=0",
    "-o smtpd_tls_req_ccert=yes -o smtpd_tls_ccert_verifydepth=1",
    "-o smtpd_tls_req_ccert=yes -o smtpd_tls_ccert_verifydepth=2",
    "-o smtpd_tls_security_level=may -o smtpd_tls_req_ccert=yes",
    "-o smtpd_tls_ask_ccert=yes -o smtpd_tls_CAfile=/mnt/papers/middle-ca",
    "-o smtpd_tls_ask_ccert=yes -o smtpd_relay_restrictions=permit_tls_all_clientcerts,reject -o \
     smtpd_tls_CAfile=/mnt/papers/self-ca",
    "-o smtpd_tls_req_ccert=yes -o smtpd_tls_CAfile=/mnt/papers/self-ca",
    "-o smtpd_tls_ask_ccert=no",
];

const CLIENTS: &str = r#"
ports, names = int(words[0]), words[1:]
for at, name in enumerate(names):
    for port in range(ports):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            print('#', name, port, version.name)
            context = ssl._create_unverified_context()
            context.minimum_version = context.maximum_version = version
            if name != 'nobody':
                context.load_cert_chain('/mnt/papers/%s.pem' % name)
            source = '10.9.%d.%d' % (at, 2 * port + (version == ssl.TLSVersion.TLSv1_3))
            try:
                s = socket.create_connection(('127.0.0.1', base + port), 20, (source, 0))
                file = s.makefile('rb')
                hear(file)
                s.sendall(b'STARTTLS\r\n')
                print('  ', hear(file))
                s = context.wrap_socket(s)
                file = s.makefile('rb')
                for line in ('EHLO c', 'MAIL FROM:<a@example.org>', 'RCPT TO:<x@elsewhere.example>', 'QUIT'):
                    s.sendall(line.encode() + b'\r\n')
                    reply = hear(file)
                    print('  ', line, reply)
                    if reply[:3] == '421':
                        break
            except OSError as error:
                print('   the end')
            s.close()
"#;

/// The clients: each has a file of its name.
fn papers() -> Vec<&'static str> {
    let ca = Authority::new("Test CA");
    write("ca.pem", &ca.pem());
    write("own.pem", &ca.issues(&Paper::named("mx.example.com")).both());
    let client = Paper::named("client.example");
    let mut names = Vec::new();
    let mut add = |name: &'static str, issued: &Issued, chain: &[String]| {
        write(&format!("{name}.pem"), &format!("{}{}", issued.both(), chain.concat()));
        names.push(name);
    };
    add("good", &ca.issues(&client), &[]);
    add("for-clients", &ca.issues(&Paper { purpose: Some(Purpose::Clients), ..client }), &[]);
    add("for-servers", &ca.issues(&Paper { purpose: Some(Purpose::Servers), ..client }), &[]);
    add("expired", &ca.issues(&Paper { from: 2020, until: 2021, ..client }), &[]);
    add("early", &ca.issues(&Paper { from: 2085, until: 2086, ..client }), &[]);
    add("foreign", &Authority::new("Other CA").issues(&client), &[]);
    // Somebody of the same name.
    let forger = Authority::new("Test CA");
    add("forged", &forger.issues(&client), &[]);
    add("forged-chain", &forger.issues(&client), &[forger.pem()]);
    let middle = ca.names("Middle CA");
    add("middle", &middle.issues(&client), &[middle.pem()]);
    add("without-middle", &middle.issues(&client), &[]);
    let low = middle.names("Low CA");
    add("low", &low.issues(&client), &[low.pem(), middle.pem()]);
    add("low-turned", &low.issues(&client), &[middle.pem(), low.pem()]);
    add("low-whole", &low.issues(&client), &[low.pem(), middle.pem(), ca.pem()]);
    add("low-without", &low.issues(&client), &[low.pem()]);
    let stale = ca.names_for("Stale CA", (2020, 2021));
    add("stale-middle", &stale.issues(&client), &[stale.pem()]);
    add("expired-low", &middle.issues(&Paper { until: 2021, ..client }), &[middle.pem()]);
    add("expired-foreign", &Authority::new("Other CA").issues(&Paper { until: 2021, ..client }), &[]);
    let other = Authority::new("Other CA");
    add("foreign-chain", &other.issues(&client), &[other.pem()]);
    let itself = Authority::new("self.example");
    add("self", itself.own(), &[]);
    // A client that plays the authority.
    let (leaf, issued) = ca.issues_through(&client);
    add("by-client", &issued, &[leaf]);
    write("middle-ca", &middle.pem());
    write("self-ca", &itself.pem());
    names.push("nobody");
    names
}

fn services(base: usize) -> String {
    let line =
        |(n, options): (usize, &&str)| format!("127.0.0.1:{} inet n - n - - smtpd {options}\n", base + n);
    PORTS.iter().enumerate().map(line).collect()
}

/// What a log says of each client.
fn said(log: &str) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for text in log.lines().filter_map(said_by_smtpd) {
        let Some((_, client)) = text.split_once("[10.9.") else { continue };
        let client = client.split_once(']').unwrap_or((client, "")).0.to_owned();
        all.entry(client).or_default().push(text);
    }
    all
}

#[test]
fn odd_in_each_way() {
    world::run("odd_clients::odd_in_each_way", Needs::Root, || {
        if !postfix_peer::is_there("odd_clients") {
            return;
        }
        let names = papers();
        write("relay", &format!("{} good\n", print_of("good")));
        let sides = SideBySide::start(MAIN, services);
        let ports = PORTS.len().to_string();
        let words: Vec<&str> = std::iter::once(ports.as_str()).chain(names.iter().copied()).collect();
        let [ours, theirs] = sides.talk(CLIENTS, &words);
        let mut faults = Vec::new();
        for (ours, theirs) in ours.iter().zip(&theirs) {
            if ours != theirs {
                faults.push(format!("Postfix: {theirs}here: {ours}"));
            }
        }
        let over = |log: &str| log.matches(": disconnect from unknown[10.9.").count() == ours.len();
        let [ours, theirs] = sides.logs(over).map(|log| said(&log));
        for (client, theirs) in &theirs {
            let ours = ours.get(client).cloned().unwrap_or_default();
            if ours != *theirs {
                let (at, port) = client.split_once('.').expect("two numbers");
                let number = |text: &str| text.parse::<usize>().expect("a number");
                let (name, options) = (names[number(at)], PORTS[number(port) / 2]);
                faults.push(format!("{name}, {options}: Postfix logs {theirs:#?} here: {ours:#?}"));
            }
        }
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    });
}

const OURS: &[&str] = &[
    "-o local_header_rewrite_clients=permit_tls_clientcerts",
    "-o local_header_rewrite_clients=permit_tls_all_clientcerts",
    "-o local_header_rewrite_clients=permit_inet_interfaces",
];

/// Each client sends a message without headers to each port.
const SENDERS: &str = r#"
ports, names = int(words[0]), words[1:]
for name in names:
    for port in range(ports):
        print('#', name, port)
        context = ssl._create_unverified_context()
        if name != 'nobody':
            context.load_cert_chain('/mnt/papers/%s.pem' % name)
        s = socket.create_connection(('127.0.0.1', base + port), 20, ('10.9.0.1', 0))
        file = s.makefile('rb')
        hear(file)
        s.sendall(b'STARTTLS\r\n')
        hear(file)
        s = context.wrap_socket(s)
        file = s.makefile('rb')
        for line in ('EHLO c', 'MAIL FROM:<a@example.org>', 'RCPT TO:<x@example.com>', 'DATA', '\r\nx\r\n.', 'QUIT'):
            s.sendall(line.encode() + b'\r\n')
            print('  ', hear(file)[:3])
        s.close()
"#;

/// `local_header_rewrite_clients`: whose mail is completed by the certificate that they show.
#[test]
fn whose_mail_is_completed() {
    world::run("odd_clients::whose_mail_is_completed", Needs::Root, || {
        if !postfix_peer::is_there("odd_clients") {
            return;
        }
        papers();
        write("relay", &format!("{} foreign\n", print_of("foreign")));
        let main = format!(
            "{MAIN}mydestination = example.com\nlocal_recipient_maps =\nalias_maps =\nlocal_transport = discard\n\
             smtpd_tls_ask_ccert = yes\nsmtpd_relay_restrictions = reject_unauth_destination\n"
        );
        let line = |base: usize| {
            let line = |(n, options): (usize, &&str)| {
                format!("127.0.0.1:{} inet n - n - - smtpd {options}\n", base + n)
            };
            OURS.iter().enumerate().map(line).collect::<String>()
        };
        let sides = SideBySide::start(&main, line);
        let ports = OURS.len().to_string();
        let names = ["good", "foreign", "expired", "nobody"];
        let words: Vec<&str> = std::iter::once(ports.as_str()).chain(names).collect();
        let [ours, theirs] = sides.talk(SENDERS, &words);
        assert_eq!(ours, theirs);
        let count = names.len() * OURS.len();
        let ids = |log: &str| -> Vec<&str> {
            let found = log.split("message-id=<").skip(1);
            found.map(|rest| if rest.starts_with('>') { "as it was" } else { "completed" }).collect()
        };
        let [ours, theirs] = sides.logs(|log| ids(log).len() == count);
        assert_eq!(ids(&ours), ids(&theirs));
        let completed = ids(&ours).iter().filter(|id| **id == "completed").count();
        assert!(completed > 0 && completed < count, "{:?}", ids(&ours));
    });
}

/// A certificate's fingerprint, as openssl says it.
fn print_of(name: &str) -> String {
    let output = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in", &format!("/mnt/papers/{name}.pem")])
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.split_once('=').map(|(_, print)| print.trim().to_owned()).unwrap_or_default()
}
