//! TLS and AUTH in all their settings, beside Postfix: what is said and what is logged, level by level (T0.2, T0.3).
//!
//! Each mixture of TLS level, wrapper mode, `smtpd_tls_auth_only` and client certificates is a port on both servers;
//! the other settings of AUTH change from port to port. The same clients talk to both. What OpenSSL and rustls say in
//! their own words isn't compared.

use crate::dovecot::{self, Dovecot};
use crate::postfix_peer::{self, SideBySide, said_by_smtpd};
use crate::site::save;
use crate::world::{self, Needs};

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
good, bad = 'AGFsaWNlAHNlY3JldA==', 'AGFsaWNlAHdyb25n'
class Client:
    def __init__(self, port, source, certificate):
        self.context = ssl._create_unverified_context()
        if certificate:
            self.context.load_cert_chain('/mnt/client.pem')
        self.socket = socket.create_connection(('127.0.0.1', port), 20, (source, 0))
        self.file = self.socket.makefile('rb')
    def tls(self):
        self.socket = self.context.wrap_socket(self.socket)
        self.file = self.socket.makefile('rb')
    def hear(self):
        reply = hear(self.file)
        if reply == 'nothing':
            raise EOFError
        return reply
    def say(self, line):
        self.socket.sendall(line.encode() + b'\r\n')
        print('  ', line, '->', self.hear())
for at, kind in enumerate(words):
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

/// What a log says of the client of one port.
fn said(log: &str, client: &str) -> Vec<String> {
    log.lines().filter(|line| line.contains(client)).filter_map(said_by_smtpd).collect()
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
        let sides = SideBySide::start(MAIN, services);
        let kinds: Vec<&str> = ports.iter().map(|(_, kind)| *kind).collect();
        // Dovecot takes half a second for each wrong password, so there are few.
        let [ours, theirs] = sides.talk(CLIENTS, &kinds);
        let mut faults = Vec::new();
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            // Behind the refusal of a client without a certificate Postfix greets, there.
            let is_cut = theirs.contains("421 4.7.1") && theirs.contains("-> 220 ");
            if ours != theirs && !is_cut {
                let n = ours.split(' ').next().and_then(|word| word.parse::<usize>().ok());
                let (options, _) = n.and_then(|n| ports.get(n)).expect("a port");
                faults.push(format!("{options}\n Postfix: {theirs}\n here: {ours}"));
            }
        }
        for (n, (options, _)) in ports.iter().enumerate() {
            for certificate in [0, 1] {
                let client = format!("[10.7.{n}.{certificate}]");
                let is_over = |log: &str| log.contains(&format!("disconnect from unknown{client}"));
                let [ours, theirs] = sides.logs(is_over).map(|log| said(&log, &client));
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
