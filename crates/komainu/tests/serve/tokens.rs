//! Log-ins that have no password to send again, through Debian's Dovecot, on Postfix and on us: one-time passwords kept
//! in SQLite (RFC 2289, RFC 2444), and tokens that Dovecot asks a server of the test's own about (RFC 7662); Dovecot
//! that dies while somebody logs in (T0.2, T2.24).

use crate::client::Client;
use crate::dovecot::{self, Dovecot};
use crate::postfix_peer::{self, Postfix};
use crate::server::Server;
use crate::site::{Site, until};
use crate::world::{self, Needs};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

const CONF: &str = "
auth_mechanisms = plain login otp oauthbearer xoauth2
passdb {
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = /mnt/dovecot/oauth2
}
passdb {
  driver = sql
  mechanisms = otp
  args = /mnt/dovecot/sql
}
service auth {
  unix_listener /mnt/spool/private/auth {
    mode = 0666
  }
  inet_listener {
    address = 127.0.0.1
    port = 12345
  }
}
";

const SQL: &str = "driver = sqlite
connect = /mnt/dovecot/db/users
password_query = SELECT userid AS user, password FROM users WHERE userid = '%u'
update_query = UPDATE users SET password = '%w' WHERE userid = '%u'
";

/// "This is a test." and "TeSt" by MD5, hashed once more than in RFC 2289, appendix C.
const PEOPLE: &str = r#"
import sqlite3
base = sqlite3.connect('/mnt/dovecot/db/users')
base.execute('CREATE TABLE IF NOT EXISTS users (userid TEXT, password TEXT)')
base.execute('DELETE FROM users')
base.execute("INSERT INTO users VALUES ('mona@example.com', '{OTP}md5 100 test ccb788ab27b0683b')")
base.commit()
"#;

/// What the tokens are worth, and who is asked about them.
struct Judge {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Judge {
    fn start(address: &str) -> Judge {
        let socket = TcpListener::bind(address).expect("binds");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let all = Arc::clone(&all);
                // A client that goes is Dovecot's affair.
                std::thread::spawn(move || answer(stream, &all));
            }
        });
        Judge { asked }
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().expect("no panic"));
        asked.sort();
        asked
    }
}

fn answer(stream: TcpStream, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().unwrap_or(0);
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    asked.lock().expect("no panic").push(body.clone());
    let (status, text) = match body.split('&').find_map(|part| part.strip_prefix("token=")) {
        Some("good") => ("200 OK", r#"{"active":true,"username":"alice@example.com"}"#),
        Some("bobs") => ("200 OK", r#"{"active":true,"username":"bob@example.com"}"#),
        Some("nameless") => ("200 OK", r#"{"active":true}"#),
        Some("broken") => ("500 Internal Server Error", ""),
        Some("garbage") => ("200 OK", "{{{"),
        Some("gone") => return Ok(()),
        _ => ("200 OK", r#"{"active":false}"#),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
    write!(stream.get_mut(), "{head}Content-Length: {}\r\n\r\n{text}", text.len())
}

const PRELUDE: &str = r#"
import base64, hashlib, smtplib, sys
host, port = sys.argv[1].split(':')
b64 = lambda b: base64.b64encode(b).decode()
def session():
    s = smtplib.SMTP(host, int(port), local_hostname='client.example')
    s.ehlo()
    return s
def decoded(text):
    try:
        return base64.b64decode(text)
    except ValueError:
        return text
"#;

const TOKENS: &str = r#"
from concurrent.futures import ThreadPoolExecutor
def attempt(case):
    token, user, name, initial = case
    if name == 'OAUTHBEARER':
        first, last = b'n,' + (b'a=' + user if user else b'') + b',\x01host=mx\x01port=25\x01', b'\x01'
    else:
        first, last = b'user=' + user + b'\x01', b''
    said = b64(first + b'auth=Bearer ' + token + b'\x01\x01')
    s = session()
    if initial:
        code, text = s.docmd('AUTH', name + ' ' + said)
    else:
        code, text = s.docmd('AUTH', name)
        assert (code, text) == (334, b''), (code, text)
        code, text = s.docmd(said)
    challenge = None
    if code == 334:
        challenge = decoded(text)
        code, text = s.docmd(b64(last))
    s.quit()
    return '%s %s %s %s %s %s %s' % (name, token, user, initial, code, text.decode(), challenge)
cases = [(token, user, name, initial)
         for token in (b'good', b'other', b'bobs', b'nameless', b'broken', b'garbage', b'gone', b'')
         for user in (b'alice@example.com', b'')
         for name in ('OAUTHBEARER', 'XOAUTH2')
         for initial in (True, False)]
# Each that is wrong costs a second or two at Dovecot's.
with ThreadPoolExecutor(16) as pool:
    print(*pool.map(attempt, cases), sep='\n')
# A long token, in pieces: longer than a line may be, but not than a response.
for length in (1000, 8000, 9500):
    s = session()
    print(length, s.docmd('AUTH', 'XOAUTH2'))
    said = b64(b'user=alice@example.com\x01auth=Bearer ' + b'x' * length + b'\x01\x01') + '\r\n'
    for at in range(0, len(said), 700):
        s.sock.sendall(said[at:at + 700].encode())
    code, text = s.getreply()
    if code == 334:
        print(length, decoded(text))
        code, text = s.docmd('')
    print(length, code, text.decode())
    s.close()
"#;

/// One-time passwords: the next one, the same once more, a wrong one, what is none, the next one again. Dovecot's worker
/// dies each time it has noted one as used, and says then that it can't say: that is tried again.
const OTP: &str = r#"
def password(count, seed):
    text = seed.lower().encode() + b'This is a test.'
    for n in range(count + 1):
        d = hashlib.md5(text).digest()
        text = bytes(a ^ b for a, b in zip(d[:8], d[8:]))
    return text.hex()
assert password(99, 'TeSt') == '50fe1962c4965880'
def login(user, initial, words):
    for again in range(5):
        s = session()
        said = ('\0' + user).encode()
        code, text = s.docmd('AUTH', 'OTP ' + b64(said) if initial else 'OTP')
        if code == 334 and not initial:
            assert text == b'', text
            code, text = s.docmd(b64(said))
        if code == 334:
            challenge = decoded(text).decode()
            code, text = s.docmd(b64(words(challenge).encode()))
            print(user, challenge, code, text.decode())
            return s.quit()
        s.quit()
    print(user, code, text.decode())
said = []
def right(challenge):
    name, count, seed = challenge.split()[:3]
    assert name == 'otp-md5', challenge
    said.append('hex:' + password(int(count), seed))
    return said[-1]
for initial in (True, False):
    login('mona@example.com', initial, right)
    login('mona@example.com', initial, lambda _: said[-1])
    login('mona@example.com', initial, lambda _: 'hex:0011223344556677')
    login('mona@example.com', initial, lambda _: 'nonsense')
    login('mona@example.com', initial, right)
s = session()
print(s.docmd('AUTH', 'OTP'), s.docmd('*'))
print(s.docmd('AUTH', 'OTP ' + b64(b'mona@example.com')))
"#;

fn python(script: &str, address: &str) -> String {
    let output =
        Command::new("python3").args(["-c", &format!("{PRELUDE}{script}"), address]).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn dovecot() -> Dovecot {
    let oauth2 = "introspection_mode = post\nintrospection_url = http://127.0.0.1:2690/introspect\n\
                  username_attribute = username\nactive_attribute = active\nactive_value = true\n\
                  timeout_msecs = 20000\n";
    fs::create_dir_all("/mnt/dovecot").expect("a folder");
    for (name, text) in [("oauth2", oauth2), ("sql", SQL)] {
        fs::write(format!("/mnt/dovecot/{name}"), text).expect("writes");
    }
    Dovecot::start_for_log_ins("alice@example.com:{PLAIN}secret\n", CONF, || {
        TcpStream::connect("127.0.0.1:12345").ok()
    })
}

/// The same people, whoever used up passwords before.
fn people() {
    fs::create_dir_all("/mnt/dovecot/db").expect("a folder");
    let made = Command::new("python3").args(["-c", PEOPLE]).status();
    assert!(made.is_ok_and(|status| status.success()));
}

const MAIN: &str = "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = inet:127.0.0.1:12345\n\
                    smtpd_error_sleep_time = 0\nsmtpd_peername_lookup = no\nkomainu_auth_delay_max = 0\n";

/// What a log says about log-ins, in any order. Of one-time passwords there may be a failure more, as said above.
fn logged(log: &str) -> Vec<String> {
    let lines = log.lines().filter(|line| line.contains(": SASL ") && !line.contains("SASL OTP"));
    let mut lines: Vec<String> =
        lines.filter_map(|line| line.split_once("warning: ").map(|(_, text)| text.to_owned())).collect();
    lines.sort();
    lines
}

#[test]
fn one_time_passwords_and_tokens() {
    world::run("tokens::one_time_passwords_and_tokens", Needs::Root, || {
        let test = "one_time_passwords_and_tokens";
        if !dovecot::is_there(test, "modules/auth/libdriver_sqlite.so") || !postfix_peer::is_there(test) {
            return;
        }
        people();
        let judge = Judge::start("127.0.0.1:2690");
        let _dovecot = dovecot();
        let site = Site::new(MAIN);
        let _server = Server::start(&site);
        let ours = [python(OTP, &site.address()), python(TOKENS, &site.address())].concat();
        let asked = judge.asked();
        people();
        let postfix = Postfix::start(MAIN, "127.0.0.1:2700 inet n - n - - smtpd");
        let theirs = [python(OTP, "127.0.0.1:2700"), python(TOKENS, "127.0.0.1:2700")].concat();
        assert_eq!(ours, theirs, "as with Postfix");
        assert_eq!(asked, judge.asked(), "what Dovecot asked about");
        assert!(asked.iter().any(|body| body.contains("token=good")), "{asked:?}");
        // Each one-time password lets in once; a good token, for whom it is.
        let outcomes = |user: &str| -> Vec<&str> {
            let lines = ours.lines().filter(|line| line.starts_with(user));
            lines.filter_map(|line| line.split(' ').find(|word| ["235", "535"].contains(word))).collect()
        };
        let once = ["235", "535", "535", "535", "235"];
        assert_eq!(outcomes("mona@example.com otp-md5"), [once, once].concat(), "{ours}");
        for (token, user, code) in [
            ("good", "alice@example.com", "235"),
            ("other", "alice@example.com", "535"),
            ("bobs", "alice@example.com", "535"),
            ("broken", "alice@example.com", "535"),
        ] {
            for name in ["OAUTHBEARER", "XOAUTH2"] {
                let found = outcomes(&format!("{name} b'{token}' b'{user}'"));
                assert_eq!(found, [code, code], "{name} {token}: {ours}");
            }
        }
        assert_eq!(logged(&site.log()), logged(&postfix.log()), "the log");
    });
}

/// Dovecot dies between a name and its password: the client hears that it is no fault of its own, on the same
/// connection nothing is taken for a log-in, and once Dovecot is back the session goes on.
#[test]
fn dovecot_dies_in_the_middle() {
    world::run("tokens::dovecot_dies_in_the_middle", Needs::Root, || {
        if !dovecot::is_there("dovecot_dies_in_the_middle", "modules/auth/libdriver_sqlite.so") {
            return;
        }
        people();
        let running = dovecot();
        let site = Site::new(MAIN);
        let _server = Server::start(&site);
        let lost = "454 4.7.0 Temporary authentication failure: Connection lost to authentication server";
        let mut clients: Vec<Client> = (0..3).map(|_| Client::hello(&site.address())).collect();
        for client in &mut clients {
            assert_eq!(client.say("AUTH LOGIN"), "334 VXNlcm5hbWU6");
            // alice@example.com
            assert_eq!(client.say("YWxpY2VAZXhhbXBsZS5jb20="), "334 UGFzc3dvcmQ6");
        }
        drop(running);
        let mut clients = clients.into_iter();
        let (mut says, mut gives_up, mut waits) =
            (clients.next().expect("three"), clients.next().expect("three"), clients.next().expect("three"));
        assert_eq!(says.say("c2VjcmV0"), lost);
        assert_eq!(gives_up.say("*"), "501 5.7.0 Authentication aborted");
        for client in [&mut says, &mut gives_up] {
            assert!(client.say("MAIL FROM:<a@example.org>").starts_with("250"), "mail is taken");
            let denied = client.say("RCPT TO:<x@far.example>");
            assert!(denied.starts_with("554 5.7.1 "), "nobody is logged in: {denied}");
            assert!(client.say("RSET").starts_with("250"));
        }
        let _dovecot = dovecot();
        // Whose exchange the new one has never heard of.
        assert_eq!(waits.say("c2VjcmV0"), lost);
        for mut client in [says, gives_up, waits] {
            until("a log-in", || {
                // alice@example.com, secret
                let reply = client.say("AUTH PLAIN AGFsaWNlQGV4YW1wbGUuY29tAHNlY3JldA==");
                assert!(reply.starts_with("235") || reply == lost, "{reply}");
                reply.starts_with("235").then_some(())
            });
        }
    });
}
