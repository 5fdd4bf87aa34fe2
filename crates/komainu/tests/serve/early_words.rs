//! Milters that say PROGRESS, SKIP or QUARANTINE, or change something, at events that aren't a message's end, beside
//! Debian's Postfix: what clients are told, and what is held.

use crate::postfix_peer::{self, SideBySide};
use crate::site::until;
use crate::world::{self, Needs};
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::process::{Command, Stdio};

/// One of them for each event and each answer, on ports from 7000 on.
const MILTERS: &str = r#"
import socketserver, struct, sys, threading
def serve(port, stage, answers):
    class Handler(socketserver.StreamRequestHandler):
        def send(self, letter, data=b''):
            self.wfile.write(struct.pack('>I', len(data) + 1) + letter + data)
        def handle(self):
            while True:
                head = self.rfile.read(4)
                if len(head) < 4:
                    return
                letter = self.rfile.read(struct.unpack('>I', head)[0])[:1]
                if letter == b'O':
                    self.send(b'O', struct.pack('>III', 6, 0x1ff, 0))
                elif letter == b'Q':
                    return
                elif letter not in b'DAK':
                    for one in (answers if letter == stage.encode() else 'c'):
                        self.send(one.encode(), {'q': b'why\0', 'h': b'X-A\0b\0'}.get(one, b''))
    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
    Server(('127.0.0.1', port), Handler).serve_forever()
for at, case in enumerate(sys.argv[1:]):
    threading.Thread(target=serve, args=(7000 + at, case[0], case[1:])).start()
"#;

const CLIENTS: &str = r#"
for at, case in enumerate(words):
    print('#', case)
    s = socket.create_connection(('127.0.0.1', base + at), 20, ('10.8.0.%d' % (at + 1), 0))
    file = s.makefile('rb')
    print('  ', hear(file)[:3])
    for line in ('EHLO c', 'MAIL FROM:<a@example.org>', 'RCPT TO:<x@example.com>', 'DATA', 'Subject: x\r\n\r\nx\r\n.', 'QUIT'):
        s.sendall(line.encode() + b'\r\n')
        reply = hear(file)
        print('  ', line[:4], reply.split('queued as')[0] if line != 'EHLO c' else reply[:3])
        if line == 'DATA' and reply[:3] != '354':
            break
    s.close()
"#;

/// What is said of each client's mail being held or refused.
fn said(log: &str) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in log.lines() {
        let Some((_, text)) = line.split_once(": milter-") else { continue };
        let Some((_, client)) = text.split_once("[10.8.") else { continue };
        let client = client.split_once(']').unwrap_or((client, "")).0.to_owned();
        all.entry(client).or_default().push(text.to_owned());
    }
    all
}

#[test]
fn early_words_mean_what_they_mean_to_postfix() {
    let name = "early_words::early_words_mean_what_they_mean_to_postfix";
    if !postfix_peer::is_there(name) {
        return;
    }
    world::run(name, Needs::Root, || {
        let stages = ["C", "H", "M", "R", "T", "L", "N", "B", "E"];
        let cases: Vec<String> = stages
            .iter()
            .flat_map(|at| ["pc", "sc", "qc", "pqpc", "qr", "hc"].map(|said| format!("{at}{said}")))
            .collect();
        let mut milters = Command::new("python3");
        let milters = milters.args(["-c", MILTERS]).args(&cases).stdin(Stdio::null()).spawn();
        let mut milters = milters.expect("starts");
        let last = 7000 + u16::try_from(cases.len() - 1).expect("few");
        for port in 7000..=last {
            until("a milter", || TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(()));
        }
        let services = |base: usize| -> String {
            let line = |at: usize| {
                format!(
                    "127.0.0.1:{} inet n - n - - smtpd -o smtpd_milters=inet:127.0.0.1:{}\n",
                    base + at,
                    7000 + at
                )
            };
            (0..cases.len()).map(line).collect()
        };
        let main = "mydestination = example.com\nlocal_recipient_maps =\nalias_maps =\nlocal_transport = discard\n\
                    smtpd_peername_lookup = no\nmilter_default_action = tempfail\nsmtpd_error_sleep_time = 0\n\
                    smtpd_relay_restrictions = reject_unauth_destination\n";
        let sides = SideBySide::start(main, services);
        let words: Vec<&str> = cases.iter().map(String::as_str).collect();
        let [ours, theirs] = sides.talk(CLIENTS, &words);
        let differ: Vec<_> = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours != theirs).collect();
        assert!(differ.is_empty(), "ours, Postfix's: {differ:#?}");
        let over = |log: &str| log.matches(": disconnect from unknown[10.8.").count() == cases.len();
        let [ours, theirs] = sides.logs(over).map(|log| said(&log));
        assert_eq!(ours, theirs);
        assert!(ours.len() > 20, "{}", ours.len());
        let _ = milters.kill();
        let _ = milters.wait();
    });
}
