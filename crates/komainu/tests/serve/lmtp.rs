//! Mail handed to Debian's Dovecot over LMTP, by the tutorial's line, and read again over IMAP (T2.24).

use crate::client::Client;
use crate::dovecot::{self, Dovecot};
use crate::server::Server;
use crate::site::Site;
use crate::world::{self, Needs};
use std::fs;
use std::path::Path;
use std::process::Command;

const DOVECOT: &str = "
protocols = lmtp imap
mail_location = maildir:/mnt/dovecot/mail/%u
userdb {
  driver = passwd-file
  args = /mnt/dovecot/users
  default_fields = uid=5000 gid=5000 home=/mnt/dovecot/mail/%u
}
service imap-login {
  inet_listener imap {
    address = 127.0.0.1
    port = 1143
  }
  inet_listener imaps {
    port = 0
  }
}
service lmtp {
  unix_listener /mnt/spool/private/dovecot-lmtp {
    mode = 0666
  }
  inet_listener lmtp {
    address = 127.0.0.1
    port = 2424
  }
}
";

const READ: &str = "
import imaplib
box = imaplib.IMAP4('127.0.0.1', 1143)
box.login('box@virtual.example', 'secret')
box.select()
for number in box.search(None, 'ALL')[1][0].split():
    print(box.fetch(number, '(RFC822)')[1][0][1].decode())
";

/// `vmail` in a world.
const MAIL_OWNER: u32 = 5000;

#[test]
fn dovecot_takes_mail_over_lmtp() {
    world::run("lmtp::dovecot_takes_mail_over_lmtp", Needs::Root, || {
        if !dovecot::is_there("lmtp", "lmtp") {
            return;
        }
        let _dovecot = Dovecot::start("box@virtual.example:{PLAIN}secret::::::\n", DOVECOT, || {
            std::net::TcpStream::connect("127.0.0.1:2424").ok()
        });
        let site = Site::new(
            "queue_directory = /mnt/spool\nmail_owner = vmail\n\
             virtual_mailbox_domains = virtual.example, inet.example\n\
             virtual_mailbox_maps = inline:{{box@virtual.example=x},{nobody@virtual.example=x}}\n\
             virtual_transport = lmtp:unix:private/dovecot-lmtp\n\
             transport_maps = inline:{{inet.example=lmtp:inet:127.0.0.1:2424}}\n",
        );
        site.write(
            "master.cf",
            &format!("{} inet n - n - - smtpd\nlmtp unix - - n - - lmtp\n", site.address()),
        );
        // As in a spool of Postfix: mail_owner only may enter, and the server has an account of its own.
        let private = Path::new("/mnt/spool/private");
        fs::set_permissions(private, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("mode");
        std::os::unix::fs::chown(private, Some(MAIL_OWNER), Some(MAIL_OWNER)).expect("owner");
        let _server = Server::start(&site);
        let mut client = Client::hello(&site.address());
        assert!(client.say("MAIL FROM:<a@example.org>").starts_with("250"));
        for to in ["box@virtual.example", "nobody@virtual.example"] {
            assert!(client.say(&format!("RCPT TO:<{to}>")).starts_with("250"), "{to}");
        }
        assert!(client.say("DATA").starts_with("354"));
        let reply = client.say("Subject: hello\r\n\r\nover LMTP\r\n..dot\r\n.");
        assert!(reply.starts_with("250"), "{reply}");
        // Each recipient has an answer of its own.
        let line = site.logged("to=<box@virtual.example>", 0);
        assert!(line.contains("relay=mx.example.com[private/dovecot-lmtp], "), "{line}");
        assert!(line.contains("dsn=2.0.0, status=sent (250 2.0.0 <box@virtual.example> "), "{line}");
        assert!(line.contains("postfix/lmtp["), "{line}");
        let line = site.logged("to=<nobody@virtual.example>", 0);
        assert!(
            line.contains(
                "dsn=5.1.1, status=bounced (host mx.example.com[private/dovecot-lmtp] said: 550 5.1.1"
            ),
            "{line}"
        );
        assert!(line.ends_with("(in reply to RCPT TO command))"), "{line}");
        let read = Command::new("python3").args(["-c", READ]).output().expect("runs");
        let text = String::from_utf8_lossy(&read.stdout);
        assert!(
            text.contains("Subject: hello") && text.contains("over LMTP") && text.contains("\n.dot"),
            "{read:?}"
        );
        assert!(text.contains("Delivered-To: box@virtual.example"), "{text}");
    });
}
