//! Log-ins at other servers: Postfix with Dovecot behind it takes them in every way that both know; servers that refuse
//! or behave oddly, judged by Postfix's smtp(8) in front of the same ones.

use crate::beside::{self, Beside};
use crate::client::Client;
use crate::dovecot::{self, Dovecot};
use crate::postfix_peer::{self, Postfix};
use crate::server::Server;
use crate::site::{Site, free_port, save};
use crate::world::{self, Needs};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A server: its name, what it offers, what it answers to the name and password.
type Case = (&'static str, &'static str, &'static str);

const SERVERS: &[Case] = &[
    ("plain", "250-AUTH PLAIN", "235 2.7.0 ok"),
    ("login", "250-AUTH LOGIN", "235 2.7.0 ok"),
    ("both", "250-AUTH LOGIN PLAIN", "235 2.7.0 ok"),
    ("cram", "250-AUTH PLAIN CRAM-MD5", "235 2.7.0 ok"),
    ("old", "250-AUTH=PLAIN", "235 2.7.0 ok"),
    ("nothing", "250-HELP", "235 2.7.0 ok"),
    ("foreign", "250-AUTH GSSAPI", "235 2.7.0 ok"),
    ("wrong", "250-AUTH PLAIN", "535 5.7.8 Error: authentication failed"),
    ("later", "250-AUTH PLAIN", "454 4.7.0 Temporary authentication failure"),
    ("never", "250-AUTH PLAIN", "550 go away"),
    ("unknown", "250-AUTH PLAIN", "504 5.5.4 unknown"),
    ("busy", "250-AUTH PLAIN", "421 4.7.0 too many"),
    ("wrong-login", "250-AUTH LOGIN", "535 5.7.8 no"),
    ("gone", "250-AUTH PLAIN", ""),
];

const LEVELS: &[(&str, &str)] = &[
    ("free", "-o smtp_sasl_security_options="),
    ("usual", ""),
    ("filtered", "-o smtp_sasl_security_options= -o smtp_sasl_mechanism_filter=!PLAIN,static:all"),
    ("hard", "-o smtp_sasl_security_options=noanonymous -o smtp_sasl_auth_soft_bounce=no"),
    ("unknown", "-o smtp_sasl_security_options= -o smtp_sasl_password_maps=texthash:/dev/null"),
    ("host", "-o smtp_sasl_security_options= -o smtp_sasl_password_maps=texthash:/mnt/hosts-passwords"),
    (
        "sender",
        "-o smtp_sasl_security_options= -o smtp_sasl_password_maps=texthash:/mnt/senders-passwords \
         -o smtp_sender_dependent_authentication=yes",
    ),
    ("broken", "-o smtp_sasl_security_options= -o smtp_sasl_password_maps=fail:x"),
];

struct Far {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Far {
    fn start((_, offers, verdict): Case) -> Far {
        let socket = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = socket.local_addr().expect("an address").port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let all = Arc::clone(&all);
                std::thread::spawn(move || {
                    let mut heard = Vec::new();
                    // How it ends is seen from what was heard.
                    let _ = talk(stream, offers, verdict, &mut heard);
                    heard.retain(|line| line != "QUIT");
                    all.lock().expect("no panic").push(heard.join(" | "));
                });
            }
        });
        Far { port, heard }
    }
}

fn talk(mut out: TcpStream, offers: &str, verdict: &str, heard: &mut Vec<String>) -> std::io::Result<()> {
    let mut lines = BufReader::new(out.try_clone()?).lines();
    out.write_all(b"220 far ESMTP\r\n")?;
    while let Some(line) = lines.next() {
        let line = line?;
        heard.push(line.clone());
        let mut words = line.split(' ');
        let answer = match words.next().unwrap_or_default() {
            "EHLO" => format!("250-far\r\n{offers}\r\n250 8BITMIME"),
            "AUTH" => {
                let questions: &[&str] = match words.next().unwrap_or_default() {
                    "LOGIN" => &["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"],
                    "CRAM-MD5" => &["334 PDEuMkBmYXI+"],
                    _ => &[],
                };
                for question in questions {
                    write!(out, "{question}\r\n")?;
                    heard.extend(lines.next().transpose()?);
                }
                if verdict.is_empty() {
                    return Ok(());
                }
                verdict.to_owned()
            }
            "DATA" => {
                out.write_all(b"354 go\r\n")?;
                while lines.next().transpose()?.is_some_and(|line| line != ".") {}
                "250 2.0.0 Ok: queued as X".to_owned()
            }
            "QUIT" => return out.write_all(b"221 bye\r\n"),
            _ => "250 2.0.0 ok".to_owned(),
        };
        write!(out, "{answer}\r\n")?;
    }
    Ok(())
}

#[test]
fn each_log_in_ends_as_with_postfix() {
    world::run("logging_in::each_log_in_ends_as_with_postfix", Needs::Root, || {
        if !postfix_peer::is_there("each_log_in_ends_as_with_postfix") {
            return;
        }
        let all: Vec<Far> = SERVERS.iter().map(|case| Far::start(*case)).collect();
        let servers: Vec<_> = SERVERS.iter().zip(&all).map(|((name, ..), far)| (*name, far.port)).collect();
        let passwords: String =
            all.iter().map(|far| format!("[localhost]:{} user:pa:ss\n", far.port)).collect();
        // Nobody but root may read them.
        save("/mnt/passwords".as_ref(), &passwords, 0o600);
        save("/mnt/hosts-passwords".as_ref(), "localhost host-user:p\n", 0o600);
        save("/mnt/senders-passwords".as_ref(), &format!("a@example.org sender-user:p\n{passwords}"), 0o600);
        let levels: Vec<_> = LEVELS.iter().map(|(name, more)| (*name, (*more).to_owned())).collect();
        let main = "smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = texthash:/mnt/passwords\n";
        let beside = Beside::start(main, &levels, &servers);
        beside.compare(|text| {
            (text.contains("warning") && !text.contains("lookup error")).then(|| text.to_owned())
        });
        for secret in ["pa:ss", "AHVzZXIAcGE6c3M=", "cGE6c3M="] {
            assert!(!beside.log().contains(secret), "a password in the log");
        }
        for ((name, ..), far) in SERVERS.iter().zip(&all) {
            beside::each_twice(name, || far.heard.lock().expect("no panic").clone());
        }
    });
}

const DOVECOT: &str = "
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
userdb {
  driver = static
  args = uid=5000 gid=5000 home=/mnt
}
service auth {
  unix_listener /mnt/postfix-peer/queue/private/sasl {
    mode = 0666
  }
}
";

#[test]
fn postfix_with_dovecot_lets_in_each_way() {
    world::run("logging_in::postfix_with_dovecot_lets_in_each_way", Needs::Root, || {
        let test = "postfix_with_dovecot_lets_in_each_way";
        if !dovecot::is_there(test, "auth") || !postfix_peer::is_there(test) {
            return;
        }
        let port = free_port();
        let _postfix = Postfix::start(
            "transport_maps = inline:{{far.test=discard:}}\nrelay_domains =\n\
             smtpd_relay_restrictions = permit_sasl_authenticated, reject\n\
             smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/sasl\n",
            &format!("127.0.0.1:{port} inet n - n - - smtpd"),
        );
        let _dovecot = Dovecot::start("user:{PLAIN}pa,s=s\n", DOVECOT, || {
            fs::metadata("/mnt/postfix-peer/queue/private/sasl").ok()
        });
        let ways = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"];
        let (mut services, mut transport) = (String::new(), String::new());
        for way in ways {
            let name = way.to_ascii_lowercase();
            services.push_str(&format!("{name} unix - - n - - smtp -o smtp_sasl_mechanism_filter={way}\n"));
            transport.push_str(&format!("b@{name}.test {name}:[127.0.0.1]:{port}\n"));
        }
        services.push_str(
            "wrong unix - - n - - smtp -o smtp_sasl_password_maps=inline:{{[127.0.0.1]:PORT=user:bad}}\n"
                .replace("PORT", &port.to_string())
                .as_str(),
        );
        transport.push_str(&format!("b@wrong.test wrong:[127.0.0.1]:{port}\n"));
        fs::write("/mnt/transport", &transport).expect("writes");
        save("/mnt/passwords".as_ref(), &format!("[127.0.0.1]:{port} user:pa,s=s\n"), 0o600);
        let site = Site::new(
            "mynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\n\
             transport_maps = texthash:/mnt/transport\nsmtp_sasl_auth_enable = yes\n\
             smtp_sasl_password_maps = texthash:/mnt/passwords\nsmtp_sasl_security_options =\n",
        );
        site.write(
            "master.cf",
            &format!("{} inet n - n - - smtpd\nsmtp unix - - n - - smtp\n{services}", site.address()),
        );
        let _server = Server::start(&site);
        let mut client = Client::hello(&site.address());
        for way in ways.iter().map(|way| way.to_ascii_lowercase()).chain(["wrong".to_owned()]) {
            let reply = client.mail("a@example.org", &format!("b@{way}.test"), "Subject: hi\n\nbody");
            assert!(reply.expect("talks").starts_with("250"), "{way}");
            let line = site.logged(&format!("to=<b@{way}.test>"), 0);
            if way == "wrong" {
                assert!(
                    line.contains("dsn=4.7.8, status=deferred (SASL authentication failed; server "),
                    "{line}"
                );
            } else {
                // Postfix refuses who didn't log in.
                assert!(
                    line.contains("status=sent") || line.contains("Relay access denied"),
                    "{way}: {line}"
                );
                assert!(line.contains("status=sent"), "{way}: {line}\n{}", site.log());
            }
        }
    });
}
