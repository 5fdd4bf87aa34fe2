//! Mail that has been through too many hosts, beside Debian's Postfix: what its cleanup(8) says of it, and what it doesn't.

use crate::postfix_peer::{self, SideBySide};
use crate::world::{self, Needs};

const MAIN: &str = "mydestination = example.com\nlocal_recipient_maps =\nalias_maps =\nsmtpd_peername_lookup = no\n\
mynetworks = 127.0.0.0/8\nhopcount_limit = 5\nlocal_transport = discard\n";

const CLIENTS: &str = r#"
hop = 'Received: by x; Mon, 23 Nov 2026 09:00:00 +0000\r\n'
for case, header in enumerate((hop * 3, hop * 4, hop * 9, 'Message-ID: <a@b>\r\n' + hop * 9, hop * 9 + 'Message-ID: <c@d>\r\n')):
    print('#', case)
    s = socket.create_connection(('127.0.0.1', base), 20)
    file = s.makefile('rb')
    hear(file)
    for line in ('EHLO x', 'MAIL FROM:<a@example.org>', 'RCPT TO:<x@example.com>', 'DATA', header + '\r\nx\r\n.', 'QUIT'):
        s.sendall(line.encode() + b'\r\n')
        said = hear(file)
        # What was said of the message.
        if line.endswith('.'):
            print(said.split('queued as')[0])
    s.close()
"#;

/// What cleanup said, without ids and times.
fn said(log: &str) -> Vec<String> {
    let text = |line: &str| {
        let text = line.split_once("/cleanup[")?.1.split_once("]: ")?.1;
        let (start, rest) = match text.strip_prefix("warning: ") {
            Some(rest) => ("warning: ", rest),
            None => ("", text),
        };
        let rest = rest.split_once(": ")?.1;
        let is_made = rest.starts_with("message-id=<2");
        Some(format!("{start}{}", if is_made { "message-id=made" } else { rest }))
    };
    log.lines().filter(|line| !line.contains("overriding earlier")).filter_map(text).collect()
}

#[test]
fn too_many_hops_are_said_as_postfix_says_them() {
    let name = "loops::too_many_hops_are_said_as_postfix_says_them";
    if !postfix_peer::is_there(name) {
        return;
    }
    world::run(name, Needs::Root, || {
        let both = SideBySide::start(MAIN, |port| format!("127.0.0.1:{port} inet n - n - - smtpd\n"));
        let [ours, theirs] = both.talk(CLIENTS, &[]);
        assert_eq!(ours, theirs);
        let [ours, theirs] = both.logs(|log| log.matches("disconnect from").count() == 5);
        assert_eq!(said(&ours), said(&theirs));
        let text = said(&ours).join("\n");
        assert!(text.contains("warning: message rejected: hopcount exceeded"), "{text}");
    });
}
