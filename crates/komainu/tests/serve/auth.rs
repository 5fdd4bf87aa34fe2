//! Log-ins through Debian's Dovecot, on Postfix and on us: each mechanism that it offers, one after the other (T0.2,
//! T2.24); a server that is dead, hung or restarted; many at once.

use crate::client::Client;
use crate::dovecot::{self, Dovecot};
use crate::postfix_peer::{self, Postfix};
use crate::server::Server;
use crate::site::{Site, until};
use crate::world::{self, Needs};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

const CONF: &str = "
auth_mechanisms = plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256 oauthbearer xoauth2 external
passdb {
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = /mnt/dovecot/oauth2
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

fn dovecot() -> Dovecot {
    fs::create_dir_all("/mnt/dovecot").expect("a folder");
    fs::write(
        "/mnt/dovecot/oauth2",
        "introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix=/mnt/dovecot/keys/\n\
         username_attribute = sub\n",
    )
    .expect("writes");
    fs::create_dir_all("/mnt/dovecot/keys/default/HS256").expect("a folder");
    // "secret-key" in base64.
    fs::write("/mnt/dovecot/keys/default/HS256/default", "c2VjcmV0LWtleQ==").expect("writes");
    // Dovecot reads them as an account of its own.
    let open = "chmod a+rx /mnt /mnt/dovecot && chmod -R a+rX /mnt/dovecot/keys";
    let open = Command::new("sh").args(["-c", open]).status();
    assert!(open.is_ok_and(|status| status.success()));
    Dovecot::start_for_log_ins("alice@example.com:{PLAIN}secret\n", CONF, || {
        std::net::TcpStream::connect("127.0.0.1:12345").ok()
    })
}

/// EXTERNAL isn't offered by default.
const MAIN: &str = "smtpd_sasl_mechanism_filter = static:all\nsmtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth\n\
                    smtpd_error_sleep_time = 0\nkomainu_auth_delay_max = 0\n";

/// Logs in with Python's library and by hand with what it doesn't know.
const LOGIN: &str = r#"
import base64, hashlib, hmac, json, os, re, smtplib, sys, time
host, port = sys.argv[1].split(':')
user = 'alice@example.com'
def session():
    s = smtplib.SMTP(host, int(port), local_hostname='client.example')
    s.ehlo()
    return s
for mechanism in ('PLAIN', 'LOGIN', 'CRAM-MD5'):
    for password in ('wrong', 'secret'):
        s = session()
        s.user, s.password = user, password
        name = 'auth_' + mechanism.lower().replace('-', '_')
        try:
            code, text = s.auth(mechanism, getattr(s, name))
        except smtplib.SMTPAuthenticationError as error:
            code, text = error.smtp_code, error.smtp_error
        print(mechanism, password, code, text.decode())
        s.quit()
b64 = lambda b: base64.b64encode(b).decode()
for name, digest in (('SCRAM-SHA-1', 'sha1'), ('SCRAM-SHA-256', 'sha256')):
    for password in ('wrong', 'secret'):
        s = session()
        first = 'n=' + user + ',r=' + b64(os.urandom(12))
        code, text = s.docmd('AUTH', name + ' ' + b64(('n,,' + first).encode()))
        said = base64.b64decode(text).decode()
        fields = dict(part.split('=', 1) for part in said.split(','))
        salted = hashlib.pbkdf2_hmac(digest, password.encode(), base64.b64decode(fields['s']), int(fields['i']))
        key = hmac.new(salted, b'Client Key', digest).digest()
        without = 'c=biws,r=' + fields['r']
        message = (first + ',' + said + ',' + without).encode()
        signature = hmac.new(hashlib.new(digest, key).digest(), message, digest).digest()
        proof = bytes(a ^ b for a, b in zip(key, signature))
        code, text = s.docmd(b64((without + ',p=' + b64(proof)).encode()))
        if code == 334:
            server = hmac.new(hmac.new(salted, b'Server Key', digest).digest(), message, digest).digest()
            assert base64.b64decode(text).decode() == 'v=' + b64(server), text
            code, text = s.docmd('')
        print(name, password, code, text.decode())
        s.quit()
def h(text):
    return hashlib.md5(text).hexdigest()
for password in ('wrong', 'secret'):
    s = session()
    code, text = s.docmd('AUTH', 'DIGEST-MD5')
    nonce = re.search('nonce="([^"]*)"', base64.b64decode(text).decode()).group(1)
    a1 = hashlib.md5(b'alice:example.com:' + password.encode()).digest() + (':%s:cn' % nonce).encode()
    answer = h(('%s:%s:00000001:cn:auth:%s' % (h(a1), nonce, h(b'AUTHENTICATE:smtp/mx'))).encode())
    said = 'username="alice",realm="example.com",nonce="%s",nc=00000001,cnonce="cn",digest-uri="smtp/mx",qop=auth,response=%s'
    code, text = s.docmd(b64((said % (nonce, answer)).encode()))
    if code == 334:
        expect = h(('%s:%s:00000001:cn:auth:%s' % (h(a1), nonce, h(b':smtp/mx'))).encode())
        assert base64.b64decode(text).decode() == 'rspauth=' + expect, text
        code, text = s.docmd('')
    print('DIGEST-MD5', password, code, text.decode())
    s.quit()
# Tokens, signed by whoever may and by somebody else.
url = lambda text: base64.urlsafe_b64encode(text).rstrip(b'=')
def token(key):
    parts = [url(json.dumps(part).encode()) for part in ({'alg': 'HS256', 'typ': 'JWT'}, {
        'sub': user, 'iss': 'x', 'iat': int(time.time()) - 9, 'exp': int(time.time()) + 900})]
    return b'.'.join(parts + [url(hmac.new(key, b'.'.join(parts), hashlib.sha256).digest())])
for key, word in ((b'wrong-key', 'wrong'), (b'secret-key', 'secret')):
    bearer = b'auth=Bearer ' + token(key) + b'\x01\x01'
    for name, first, last in (('OAUTHBEARER', b'n,a=' + user.encode() + b',\x01host=mx\x01port=25\x01', b'\x01'),
                              ('XOAUTH2', b'user=' + user.encode() + b'\x01', b'')):
        s = session()
        code, text = s.docmd('AUTH', name + ' ' + b64(first + bearer))
        if code == 334:
            print(name, base64.b64decode(text))
            code, text = s.docmd(b64(last))
        print(name, word, code, text.decode())
        s.quit()
# No certificate of a client's gets through Dovecot's protocol as Postfix speaks it.
s = session()
print('EXTERNAL', s.docmd('AUTH', 'EXTERNAL ' + b64(user.encode())))
print('EXTERNAL', s.docmd('AUTH', 'EXTERNAL'), s.docmd('*'))
s.quit()
s = session()
code, text = s.docmd('AUTH', 'DIGEST-MD5')
print('DIGEST-MD5', code, b'algorithm=md5-sess' in base64.b64decode(text))
print(s.docmd('*'))
s.quit()
print(session().esmtp_features['auth'])
"#;

fn log_in(address: &str) -> String {
    let output = Command::new("python3").args(["-c", LOGIN, address]).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a log says about log-ins, without time and process.
fn said(log: &str) -> Vec<String> {
    let lines = log.lines().filter(|line| line.contains(": SASL "));
    lines.filter_map(|line| line.split_once("warning: ").map(|(_, text)| text.to_owned())).collect()
}

#[test]
fn dovecot_s_mechanisms() {
    world::run("auth::dovecot_s_mechanisms", Needs::Root, || {
        if !dovecot::is_there("auth", "auth") || !postfix_peer::is_there("auth") {
            return;
        }
        let _dovecot = dovecot();
        let site = Site::new(&format!("queue_directory = /mnt/spool\n{MAIN}"));
        site.write(
            "master.cf",
            &format!(
                "{} inet n - n - - smtpd\n127.0.0.1:2600 inet n - n - - smtpd -o \
                 smtpd_sasl_path=inet:127.0.0.1:12345\n",
                site.address()
            ),
        );
        let mut command = crate::server::command(&site);
        command.args(["--compat", "3.7"]);
        let _server = Server::start_as(command, &site);
        let ours = log_in(&site.address());
        let inet = log_in("127.0.0.1:2600");
        assert_eq!(ours, inet, "over TCP as over the socket");
        let postfix = Postfix::start(
            &format!("{MAIN}smtpd_sasl_path = inet:127.0.0.1:12345\nsmtpd_peername_lookup = no\n"),
            "127.0.0.1:2700 inet n - n - - smtpd",
        );
        let theirs = log_in("127.0.0.1:2700");
        assert_eq!(ours, theirs, "as with Postfix");
        assert_eq!(ours.matches("secret 235").count(), 8, "{ours}");
        assert_eq!(ours.matches("wrong 535").count(), 8, "{ours}");
        let expect = said(&postfix.log());
        let expect: Vec<String> =
            expect.into_iter().map(|line| line.replace("localhost[", "unknown[")).collect();
        let ours: Vec<String> =
            said(&site.log()).into_iter().map(|line| line.replace("localhost[", "unknown[")).collect();
        assert_eq!(ours.get(..expect.len()), Some(expect.as_slice()), "the log");
    });
}

/// A server that takes connections and says nothing, one that greets and then is silent, and none: everybody has an
/// answer in time, and mail is taken all the while.
#[test]
fn an_auth_server_that_is_dead_or_hung() {
    world::run("auth::an_auth_server_that_is_dead_or_hung", Needs::Root, || {
        fs::create_dir_all("/mnt/spool/private").expect("a folder");
        let mute = UnixListener::bind("/mnt/spool/private/mute").expect("binds");
        let silent = UnixListener::bind("/mnt/spool/private/silent").expect("binds");
        for name in ["mute", "silent"] {
            let path = format!("/mnt/spool/private/{name}");
            fs::set_permissions(path, PermissionsExt::from_mode(0o666)).expect("mode");
        }
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in silent.incoming() {
                let mut stream = stream.expect("connects");
                stream.write_all(b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nDONE\n").expect("writes");
                held.push(stream);
            }
        });
        let site = Site::new(&format!("queue_directory = /mnt/spool\n{MAIN}"));
        let line = |port: u16, name: &str| {
            format!("127.0.0.1:{port} inet n - n - - smtpd -o smtpd_sasl_path=private/{name}\n")
        };
        let all = [line(2601, "mute"), line(2602, "silent"), line(2603, "nobody")].concat();
        site.write("master.cf", &format!("{} inet n - n - - smtpd\n{all}", site.address()));
        let _server = Server::start(&site);
        let lost = "454 4.7.0 Temporary authentication failure: Connection lost to authentication server";
        for (port, offered) in [(2601, false), (2602, true), (2603, false)] {
            let began = Instant::now();
            let mut client = Client::open(&format!("127.0.0.1:{port}")).expect("connects");
            client.reply().expect("greets");
            let greeting = client.say("EHLO client.example");
            assert_eq!(greeting.contains("AUTH PLAIN"), offered, "{port}: {greeting}");
            assert_eq!(client.say("AUTH PLAIN AGpvZQB4"), lost, "{port}");
            assert!(client.say("MAIL FROM:<a@example.org>").starts_with("250"), "mail is taken");
            assert!(began.elapsed() < Duration::from_secs(15), "{port}: {:?}", began.elapsed());
            // Nobody else waits as long for a server that is known to be dead.
            let again = Instant::now();
            let mut client = Client::hello(&format!("127.0.0.1:{port}"));
            assert!(client.say("MAIL FROM:<a@example.org>").starts_with("250"), "mail is taken");
            assert!(again.elapsed() < Duration::from_secs(2), "{port}: {:?}", again.elapsed());
        }
        site.logged("warning: SASL: Connect to private/nobody failed: No such file or directory", 0);
        drop(mute);
    });
}

/// 200 clients log in at once, half of them with a password that is wrong, and Dovecot is started anew meanwhile:
/// everybody is answered, nobody gets another's answer, and afterwards log-ins work again.
#[test]
fn many_at_once_and_a_restart() {
    world::run("auth::many_at_once_and_a_restart", Needs::Root, || {
        if !dovecot::is_there("auth", "auth") {
            return;
        }
        let running = dovecot();
        let site = Site::new(&format!(
            "queue_directory = /mnt/spool\n{MAIN}smtpd_client_connection_count_limit = 0\n"
        ));
        let _server = Server::start(&site);
        let all = |number: usize| -> Vec<(bool, String)> {
            let clients: Vec<_> = (0..number)
                .map(|n| {
                    let address = site.address();
                    std::thread::spawn(move || {
                        let good = n % 2 == 0;
                        let mut client = Client::hello(&address);
                        // alice@example.com with "secret", or with "wrong".
                        let said = if good {
                            "AGFsaWNlQGV4YW1wbGUuY29tAHNlY3JldA=="
                        } else {
                            "AGFsaWNlQGV4YW1wbGUuY29tAHdyb25n"
                        };
                        (good, client.say(&format!("AUTH PLAIN {said}")))
                    })
                })
                .collect();
            clients.into_iter().map(|client| client.join().expect("ends")).collect()
        };
        for (good, reply) in all(200) {
            assert!(reply.starts_with(if good { "235" } else { "535" }), "{good}: {reply}");
        }
        drop(running);
        for (good, reply) in all(20) {
            assert!(reply.starts_with("454 4.7.0"), "{good}: {reply}");
        }
        let _dovecot = dovecot();
        until("log-ins again", || {
            all(2)
                .into_iter()
                .all(|(good, reply)| reply.starts_with(if good { "235" } else { "535" }))
                .then_some(())
        });
    });
}
