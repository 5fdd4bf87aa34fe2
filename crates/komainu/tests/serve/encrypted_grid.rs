//! TLS and AUTH in all their settings, beside Postfix: what is said and what is logged, level by level (T0.2, T0.3).
//!
//! Each mixture of TLS level, wrapper mode, `smtpd_tls_auth_only` and client certificates is a port on both servers;
//! the other settings of AUTH change from port to port. The same clients talk to both. What OpenSSL and rustls say in
//! their own words isn't compared.

use crate::dovecot::{self, Dovecot};
use crate::postfix_peer::{self, Postfix};
use crate::server::{Server, command};
use crate::site::{Site, save, until};
use crate::world::{self, Needs};
use std::process::Command;

const DOVECOT: &str = "
auth_mechanisms = plain login cram-md5
service auth {
  inet_listener {
    address = 127.0.0.1
    port = 12345
  }
}
";

const MAIN: &str = "
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_tls_chain_files = /mnt/ec.pem
smtpd_tls_CAfile = /mnt/ca.pem
smtpd_tls_loglevel = 1
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:12345
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_helo_required = yes
komainu_auth_delay_max = 0
";

/// Talks to each port as a client without and one with a certificate, and prints what it hears.
const CLIENTS: &str = r#"
import socket, ssl, sys
base, kinds = int(sys.argv[1]), sys.argv[2].split(',')
good, bad = 'AGFsaWNlAHNlY3JldA==', 'AGFsaWNlAHdyb25n'
class Client:
    def __init__(self, port, source, certificate):
        self.context = ssl._create_unverified_context()
        if certificate:
            self.context.load_cert_chain('/mnt/client.pem')
        self.socket = socket.create_connection(('127.0.0.1', port), 20, (source, 0))
    def tls(self):
        self.socket = self.context.wrap_socket(self.socket)
    def hear(self):
        reply = b''
        while True:
            byte = self.socket.recv(1)
            if not byte:
                raise EOFError
            reply += byte
            if byte == b'\n' and reply.split(b'\n')[-2][3:4] == b' ':
                return reply.decode().replace('\r\n', '|')
    def say(self, line):
        self.socket.sendall(line.encode() + b'\r\n')
        print('  ', line, '->', self.hear())
for at, kind in enumerate(kinds):
    for certificate in (0, 1):
        print('#', at, 'with' if certificate else 'without')
        try:
            client = Client(base + at, '10.7.%d.%d' % (at, certificate), certificate)
            if kind == 'wrapped':
                client.tls()
            print('  ', client.hear())
            client.say('EHLO client.example')
            if at % 9 == 0:
                client.say('AUTH PLAIN ' + bad)
            client.say('AUTH PLAIN !')
            if kind != 'wrapped':
                client.socket.sendall(b'STARTTLS\r\n')
                reply = client.hear()
                print('  ', 'STARTTLS', reply)
                if reply.startswith('220'):
                    client.tls()
                    client.say('EHLO client.example')
            for line in ('AUTH', 'AUTH NONSENSE', 'AUTH PLAIN !', 'AUTH LOGIN', '*'):
                client.say(line)
            client.say('MAIL FROM:<a@example.org>')
            client.say('AUTH PLAIN ' + good)
            client.say('RSET')
            client.say('AUTH PLAIN ' + good)
            client.say('AUTH PLAIN ' + good)
            client.say('MAIL FROM:<a@example.org>')
            client.say('RCPT TO:<x@elsewhere.example>')
            client.say('QUIT')
        except (OSError, EOFError) as error:
            print('   the end')
        client.socket.close()
"#;

/// Each port's options, and whether it is wrapped.
fn ports() -> Vec<(String, &'static str)> {
    let mut all = Vec::new();
    for level in ["none", "may", "encrypt"] {
        for wrapped in [false, true] {
            for only in [false, true] {
                for certificates in ["", " -o smtpd_tls_ask_ccert=yes", " -o smtpd_tls_req_ccert=yes"] {
                    let n = all.len();
                    let yes = |on: bool| if on { "yes" } else { "no" };
                    let mut options = format!(
                        "-o smtpd_tls_security_level={level} -o smtpd_tls_wrappermode={} -o smtpd_tls_auth_only={}\
                         {certificates} -o smtpd_sasl_auth_enable={}",
                        yes(wrapped),
                        yes(only),
                        yes(n % 7 != 5)
                    );
                    for (every, option) in [
                        (2, " -o broken_sasl_auth_clients=yes"),
                        (3, " -o smtpd_sasl_security_options=noanonymous,noplaintext"),
                        (5, " -o smtpd_sasl_tls_security_options=noanonymous"),
                        (4, " -o smtpd_tls_mandatory_protocols=!TLSv1.3 -o smtpd_tls_protocols=!TLSv1.3"),
                    ] {
                        if n % every == every - 1 {
                            options.push_str(option);
                        }
                    }
                    all.push((options, if wrapped { "wrapped" } else { "clear" }));
                }
            }
        }
    }
    all
}

fn talk(base: u16, kinds: &str) -> String {
    let output =
        Command::new("python3").args(["-c", CLIENTS, &base.to_string(), kinds]).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a log says of the client of one port.
fn said(log: &str, client: &str) -> Vec<String> {
    let text = |line: &str| Some(line.split_once("/smtpd[")?.1.split_once("]: ")?.1.to_owned());
    let without_id = |text: String| match text.split_once(": client=") {
        Some((_, rest)) => format!("ID: client={rest}"),
        None => text,
    };
    log.lines().filter(|line| line.contains(client)).filter_map(text).map(without_id).collect()
}

#[test]
fn tls_and_auth_in_all_settings() {
    world::run("encrypted_grid::tls_and_auth_in_all_settings", Needs::Root, || {
        let test = "tls_and_auth_in_all_settings";
        if !dovecot::is_there(test, "auth") || !postfix_peer::is_there(test) {
            return;
        }
        for (name, text) in [
            ("ec.pem", include_str!("../../../../tests/certificates/ec.pem")),
            ("ca.pem", include_str!("../../../../tests/certificates/ca.pem")),
            ("client.pem", include_str!("../../../../tests/certificates/client.pem")),
        ] {
            save(format!("/mnt/{name}").as_ref(), text, 0o600);
        }
        let _dovecot = Dovecot::start_for_log_ins("alice:{PLAIN}secret\n", DOVECOT, || {
            std::net::TcpStream::connect("127.0.0.1:12345").ok()
        });
        let ports = ports();
        let services = |base: usize| -> String {
            let line = |(n, (options, _)): (usize, &(String, &str))| {
                format!("127.0.0.1:{} inet n - n - - smtpd {options}\n", base + n)
            };
            ports.iter().enumerate().map(line).collect()
        };
        let site = Site::new(MAIN);
        site.write("master.cf", &services(2600));
        let mut serve = command(&site);
        serve.args(["--compat", "3.7"]);
        let _server = Server::start_as(serve, &site);
        let postfix = Postfix::start(MAIN, &services(4600));
        let kinds: Vec<&str> = ports.iter().map(|(_, kind)| *kind).collect();
        let began = std::time::Instant::now();
        let ours = talk(2600, &kinds.join(","));
        let between = began.elapsed();
        let theirs = talk(4600, &kinds.join(","));
        // Dovecot takes half a second for each wrong password, so there are few.
        println!("{} ports: {between:?} here, {:?} there", ports.len(), began.elapsed() - between);
        let mut faults = Vec::new();
        let parts = |said: &str| -> Vec<String> { said.split("\n#").map(str::to_owned).collect() };
        for (ours, theirs) in parts(&ours).into_iter().zip(parts(&theirs)) {
            // Behind the refusal of a client without a certificate Postfix greets, there.
            let is_cut = theirs.contains("421 4.7.1") && theirs.contains("-> 220 ");
            if ours != theirs && !is_cut {
                let n = ours.split(' ').nth(1).and_then(|word| word.parse::<usize>().ok());
                let (options, _) = n.and_then(|n| ports.get(n)).expect("a port");
                faults.push(format!("{options}\n Postfix: {theirs}\n here: {ours}"));
            }
        }
        for (n, (options, _)) in ports.iter().enumerate() {
            for certificate in [0, 1] {
                let client = format!("[10.7.{n}.{certificate}]");
                let all = |log: &str| log.contains(&format!("disconnect from unknown{client}")).then_some(());
                until("Postfix's last word", || all(&postfix.log()));
                until("our last word", || all(&site.log()));
                let (ours, theirs) = (said(&site.log(), &client), said(&postfix.log(), &client));
                let is_cut = options.contains("wrappermode=yes")
                    && theirs.iter().any(|line| line.contains("abort: TLS"));
                if ours != theirs && !is_cut {
                    faults.push(format!("{options}\n Postfix: {theirs:#?}\n here: {ours:#?}"));
                }
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    });
}
