//! Guessing doesn't pay, through TLS from the first byte and with Dovecot behind: who waits, who doesn't, who is sent
//! away, and what a restart leaves of it (T0.1).

use crate::dovecot::{self, Dovecot};
use crate::server::Server;
use crate::site::{Site, save};
use crate::world::{self, Needs};
use std::fs;
use std::process::Command;

const DOVECOT: &str = "
auth_mechanisms = plain login cram-md5 digest-md5 scram-sha-256
service auth {
  unix_listener /mnt/spool/private/auth {
    mode = 0666
  }
}
";

const PRELUDE: &str = r#"
import base64, smtplib, ssl, sys, threading
context = ssl._create_unverified_context()
def connect(source, port=465):
    s = smtplib.SMTP_SSL('127.0.0.1', port, 'client.example', context=context, source_address=(source, 0), timeout=30)
    s.ehlo()
    return s
def plain(user, password):
    return 'PLAIN ' + base64.b64encode(('\0%s\0%s' % (user, password)).encode()).decode()
def attempt(source, user, password, port=465):
    s = connect(source, port)
    try:
        code, text = s.docmd('AUTH', plain(user, password))
    finally:
        s.close()
    return code
# Many at once, as Dovecot takes half a second for each that is wrong.
def attempts(*tries):
    codes = [None] * len(tries)
    def go(n):
        codes[n] = attempt(*tries[n])
    threads = [threading.Thread(target=go, args=(n,)) for n in range(len(tries))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return codes
# Log-ins whose sessions are there before the first of them begins.
def together(*tries):
    ready, codes = [(connect(source), plain(user, password)) for source, user, password in tries], []
    def go(s, words):
        codes.append(s.docmd('AUTH', words)[0])
        s.close()
    threads = [threading.Thread(target=go, args=one) for one in ready]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return codes
# Somebody who comes again, for as long as it can't be said whether the password is right.
def patient(source, user, password):
    for tries in range(30):
        code = attempt(source, user, password)
        if code != 454:
            return code
"#;

const BEFORE: &str = r#"
assert attempt('203.0.113.5', 'alice', 'secret') == 235
# One password for many accounts, from many networks; each further failure counts five: six of them are the hard limit.
assert attempts(*[('10.6.%d.1' % n, 'name%d' % n, 'Summer2026') for n in range(5)]) == [535] * 5
codes = together(*[('10.7.7.%d' % (n + 1), 'other%d' % n, 'Summer2026') for n in range(6)])
# The last of them may have come when the others had failed, and then it isn't judged within its four seconds.
assert codes.count(535) >= 5 and codes.count(535) + codes.count(454) == 6, codes
for n in range(20):
    last = attempt('10.7.7.%d' % (n + 50), 'more%d' % n, 'Summer2026')
    if last == 421:
        break
print(last)
print(attempt('10.7.7.99', 'bob', 'right'))
# Who waits for its client keeps nobody out.
held = [connect('10.5.5.5') for n in range(11)]
print([s.docmd('AUTH', 'LOGIN')[0] for s in held])
print(patient('10.5.5.5', 'bob', 'right'))
for s in held:
    s.close()
# Guesses from everywhere: few of them are judged, while the owner goes in and out.
codes = []
flood = threading.Thread(target=lambda: codes.extend(
    attempts(*[('10.3.%d.1' % n, 'alice', 'guess%d' % n) for n in range(40)])))
flood.start()
print([attempt('203.0.113.99', 'ALICE', 'secret') for n in range(5)])
flood.join()
assert codes.count(535) + codes.count(454) == 40 and codes.count(454) > 20, codes
print(attempt('203.0.113.99', 'alice', 'secret'), patient('198.51.100.1', 'alice', 'secret'))
"#;

const AFTER: &str = r#"
print(attempt('10.7.7.200', 'bob', 'right') in (421, 454), patient('10.8.8.8', 'bob', 'right'))
print(attempt('203.0.113.7', 'alice', 'secret'), attempt('198.51.100.9', 'alice', 'secret'))
"#;

fn python(script: &str) -> Vec<String> {
    let output = Command::new("python3").args(["-c", &format!("{PRELUDE}{script}")]).output().expect("runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said.lines().map(str::to_owned).collect()
}

/// A server that asks a real Dovecot about alice and bob; `None`, and why, where there is none.
fn beside_dovecot(test: &str) -> Option<(Dovecot, Site)> {
    if !dovecot::is_there(test, "auth") {
        return None;
    }
    let dovecot = Dovecot::start_for_log_ins("alice:{PLAIN}secret\nbob:{PLAIN}right\n", DOVECOT, || {
        fs::metadata("/mnt/spool/private/auth").ok()
    });
    let site = Site::new(
        "queue_directory = /mnt/spool\nsmtpd_tls_chain_files = $config_directory/pair.pem\n\
         smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth\n\
         smtpd_error_sleep_time = 0\nkomainu_auth_delay_max = 4s\n",
    );
    save(&site.path("etc/pair.pem"), include_str!("../../../../tests/certificates/ec.pem"), 0o600);
    Some((dovecot, site))
}

#[test]
fn who_waits_and_who_is_sent_away() {
    world::run("guessing::who_waits_and_who_is_sent_away", Needs::Root, || {
        let Some((_dovecot, site)) = beside_dovecot("who_waits_and_who_is_sent_away") else { return };
        let wrapped = "inet n - n - - smtpd -o smtpd_tls_wrappermode=yes";
        site.write("master.cf", &format!("465 {wrapped}\n"));
        let mut server = Server::start(&site);
        let said = python(BEFORE);
        assert_eq!(said[..2], ["421", "421"]);
        assert_eq!(said[2..4], ["[334, 334, 334, 334, 334, 334, 334, 334, 334, 334, 334]", "235"]);
        assert_eq!(said[4..], ["[235, 235, 235, 235, 235]", "235 235"]);
        for line in [
            "SASL: many log-ins of strangers fail: all of theirs are slowed",
            "]: SASL PLAIN authentication failed: too many log-ins fail, sasl_username=(unavailable)",
            "SASL: one password fails for many accounts",
            "]: SASL: too many log-ins fail: its network is refused for now",
            "SASL PLAIN authentication failed: too many failed log-ins, sasl_username=(unavailable)",
            "unknown[10.6.0.1]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=name0",
        ] {
            site.logged(line, 0);
        }
        assert!(server.stop().success());
        let kept = fs::read(site.path("state/guesses")).expect("is kept");
        for secret in ["alice", "Summer2026", "secret"] {
            assert!(!kept.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
        }
        let _server = Server::start(&site);
        let said = python(AFTER);
        assert_eq!(said, ["True 235", "235 235"], "after a restart");
    });
}

/// Guesses that would wait for minutes, whose clients go: by TLS's goodbye, or without a word.
const LEAVING: &str = r#"
import time
assert attempts(*[('10.7.7.%d' % n, 'alice', 'guess%d' % n) for n in range(5)]) == [535] * 5
waiting = [connect('10.7.7.%d' % n) for n in range(100, 106)]
for n, s in enumerate(waiting):
    s.putcmd('AUTH', plain('alice', 'other%d' % n))
time.sleep(1)
for n, s in enumerate(waiting):
    if n % 2:
        s.sock.settimeout(0.1)
        try:
            s.sock.unwrap()
        except OSError:
            pass
    s.close()
    s.sock.close() if s.sock else None
"#;

#[test]
fn who_leaves_gives_up_its_place() {
    world::run("guessing::who_leaves_gives_up_its_place", Needs::Root, || {
        let site = Site::new(
            "smtpd_tls_chain_files = $config_directory/pair.pem\nsmtpd_sasl_auth_enable = yes\n\
             smtpd_sasl_type = internal\nsmtpd_sasl_path = users\nsmtpd_error_sleep_time = 0\n\
             komainu_auth_delay_max = 900s\n",
        );
        save(&site.path("etc/pair.pem"), include_str!("../../../../tests/certificates/ec.pem"), 0o600);
        save(&site.path("etc/users"), "alice:{PLAIN}secret\n", 0o600);
        site.write("master.cf", "465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n");
        let _server = Server::start(&site);
        python(LEAVING);
        for n in 100..106 {
            site.logged(&format!("lost connection after AUTH from unknown[10.7.7.{n}]"), 0);
            let line = site.logged(&format!("disconnect from unknown[10.7.7.{n}]"), 0);
            assert!(line.ends_with("ehlo=1 auth=0/1 commands=1/2"), "{line}");
        }
        assert!(!site.log().contains("too many log-ins fail"), "nobody was judged or turned away");
    });
}

/// Ten strangers' log-ins of one address wait, or are judged; of more it is said at once. Who is known there comes through.
const BEHIND_ONE_ADDRESS: &str = r#"
assert attempt('10.7.8.1', 'alice', 'secret') == 235
def hears(s, heard):
    if b'too many log-ins at once' in s.getreply()[1]:
        heard.set()
# Some of the first are judged; soon all wait. Fewer than fifty, as more connections are refused.
for wave in range(3):
    heard, waiting = threading.Event(), [connect('10.7.8.1') for n in range((22, 12, 12)[wave])]
    for n, s in enumerate(waiting):
        s.putcmd('AUTH', plain('bob', 'guess%d %d' % (wave, n)))
    for s in waiting:
        threading.Thread(target=hears, args=(s, heard), daemon=True).start()
    assert heard.wait(30)
print(attempt('10.7.8.1', 'alice', 'secret'))
import os, sys
sys.stdout.flush()
os._exit(0)
"#;

#[test]
fn who_is_behind_one_address() {
    world::run("guessing::who_is_behind_one_address", Needs::Root, || {
        let site = Site::new(
            "smtpd_tls_chain_files = $config_directory/pair.pem\nsmtpd_sasl_auth_enable = yes\n\
             smtpd_sasl_type = internal\nsmtpd_sasl_path = users\nsmtpd_error_sleep_time = 0\n\
             komainu_auth_delay_max = 900s\n",
        );
        save(&site.path("etc/pair.pem"), include_str!("../../../../tests/certificates/ec.pem"), 0o600);
        save(&site.path("etc/users"), "alice:{PLAIN}secret\nbob:{PLAIN}right\n", 0o600);
        site.write("master.cf", "465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n");
        let _server = Server::start(&site);
        assert_eq!(python(BEHIND_ONE_ADDRESS), ["235"]);
    });
}

/// Mechanisms in which the server speaks first, or is let speak first.
const SERVER_FIRST: &str = r#"
import hashlib, hmac, re
def answered(s, mechanism, answer):
    code, challenge = s.docmd('AUTH', mechanism)
    assert code == 334, (mechanism, code, challenge)
    return s.docmd(base64.b64encode(answer(base64.b64decode(challenge))).decode())
def cram(s, user, password):
    return answered(s, 'CRAM-MD5', lambda challenge: user.encode() + b' ' + hmac.new(password.encode(), challenge, 'md5').hexdigest().encode())
def digest(s, user, password):
    def answer(challenge):
        said = dict(re.findall(r'(\w+)="?([^",]*)"?', challenge.decode()))
        realm, nonce = said.get('realm', ''), said['nonce']
        H, X = (lambda data: hashlib.md5(data).digest()), (lambda data: hashlib.md5(data).hexdigest())
        a1 = H(('%s:%s:%s' % (user, realm, password)).encode()) + (':%s:abcdef' % nonce).encode()
        proof = X(('%s:%s:00000001:abcdef:auth:%s' % (X(a1), nonce, X(b'AUTHENTICATE:smtp/mx'))).encode())
        return ('username="%s",realm="%s",nonce="%s",cnonce="abcdef",nc=00000001,qop=auth,digest-uri="smtp/mx",response=%s,charset=utf-8' % (user, realm, nonce, proof)).encode()
    code, text = answered(s, 'DIGEST-MD5', answer)
    return s.docmd('') if code == 334 else (code, text)
def late(s, user, password):
    return answered(s, 'PLAIN', lambda challenge: ('\0%s\0%s' % (user, password)).encode())
def nameless(s, user, password):
    code, text = s.docmd('AUTH', 'LOGIN =')
    for word in (user, password):
        if code == 334:
            code, text = s.docmd(base64.b64encode(word.encode()).decode())
    return code, text
def flood(network, how, user):
    ready, codes = [connect('%s.%d' % (network, n + 1)) for n in range(40)], []
    def go(n, s):
        codes.append(how(s, user, 'guess%d' % n)[0])
        s.close()
    threads = [threading.Thread(target=go, args=one) for one in enumerate(ready)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    judged = codes.count(535)
    assert len(codes) == 40 and judged + codes.count(454) + codes.count(421) == 40, codes
    assert judged <= 12, (how.__name__, codes)
    return judged
def once(source, how, user, password):
    s = connect(source)
    try:
        return how(s, user, password)[0]
    finally:
        s.close()
for way in (digest, cram):
    assert once('203.0.113.5', way, 'alice', 'secret') == 235
# An attacker with an account of its own, who says no name at first.
assert once('198.51.100.5', nameless, 'bob', 'right') == 235
judged = [flood('10.8.%d' % n, how, 'alice') for n, how in enumerate((digest, cram, late, nameless))]
assert judged[0] >= 1, judged
flood('198.51.100', nameless, 'alice')
print(once('203.0.113.9', digest, 'alice', 'secret'), once('203.0.113.9', cram, 'Alice', 'secret'))
print(once('198.51.100.5', nameless, 'bob', 'right'))
"#;

/// T0.1: a guess costs the same in every mechanism, and who is known is known in every mechanism.
#[test]
fn no_mechanism_is_cheaper() {
    world::run("guessing::no_mechanism_is_cheaper", Needs::Root, || {
        let Some((_dovecot, site)) = beside_dovecot("no_mechanism_is_cheaper") else { return };
        site.write("master.cf", "465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n");
        let _server = Server::start(&site);
        assert_eq!(python(SERVER_FIRST), ["235 235", "235"]);
    });
}
