//! What nobody honest says while logging in under TLS: SCRAM bound to another session, talked down or played back, an
//! identity without its certificate, names of 64 kB in a handshake. Nobody gets in, and whoever has the password does
//! meanwhile (RFC 5802 §6, RFC 6066 §3; T0.1).

use crate::server::Server;
use crate::site::{Site, save};
use crate::world::{self, Needs};
use std::process::Command;

const PRELUDE: &str = r#"
import base64, hashlib, hmac, os, smtplib, socket, ssl, struct
context = ssl._create_unverified_context()
b64 = lambda b: base64.b64encode(b).decode()
def connect():
    s = smtplib.SMTP_SSL('127.0.0.1', 465, 'client.example', context=context, timeout=60)
    s.ehlo()
    return s
def honest():
    s = connect()
    code, text = s.docmd('AUTH', 'PLAIN ' + b64(b'\0alice\0Gehe1m'))
    s.quit()
    return code
"#;

/// SCRAM by hand: with a flag, with the bytes that it is bound to, and with the right password.
const SCRAM: &str = r#"
def begin(s, name, flag, nonce):
    first = 'n=alice,r=' + nonce
    code, text = s.docmd('AUTH', '%s %s' % (name, b64((flag + ',,' + first).encode())))
    return code, first, base64.b64decode(text).decode() if code == 334 else text.decode()
def final(first, said, flag, data, password=b'Gehe1m'):
    fields = dict(part.split('=', 1) for part in said.split(','))
    salted = hashlib.pbkdf2_hmac('sha256', password, base64.b64decode(fields['s']), int(fields['i']))
    key = hmac.new(salted, b'Client Key', 'sha256').digest()
    without = 'c=' + b64((flag + ',,').encode() + data) + ',r=' + fields['r']
    message = (first + ',' + said + ',' + without).encode()
    signature = hmac.new(hashlib.sha256(key).digest(), message, 'sha256').digest()
    proof = bytes(a ^ b for a, b in zip(key, signature))
    return b64((without + ',p=' + b64(proof)).encode())
def end(s, line):
    code, text = s.docmd(line)
    if code == 334:
        code, text = s.docmd('')
    return code
print(connect().esmtp_features['auth'].strip())
for name, flag, data in (
    ('SCRAM-SHA-256', 'n', b''), ('SCRAM-SHA-256', 'y', b''), ('SCRAM-SHA-256', 'n', b'x'),
    ('SCRAM-SHA-256', 'p=tls-exporter', bytes(32)),
    ('SCRAM-SHA-256-PLUS', 'n', b''), ('SCRAM-SHA-256-PLUS', 'y', b''),
    ('SCRAM-SHA-256-PLUS', 'p=tls-exporter', bytes(32)), ('SCRAM-SHA-256-PLUS', 'p=tls-exporter', b''),
    ('SCRAM-SHA-256-PLUS', 'p=tls-unique', bytes(12)), ('SCRAM-SHA-256-PLUS', 'p=', b''),
):
    s = connect()
    code, first, said = begin(s, name, flag, 'abc')
    if code == 334:
        code = end(s, final(first, said, flag, data))
    print(name, flag, len(data), code)
    s.close()
# What let somebody in is said again: in the same session's next log-in, in another session, in one that began before.
early = connect()
asked = begin(early, 'SCRAM-SHA-256', 'n', 'abc')
s = connect()
code, first, said = begin(s, 'SCRAM-SHA-256', 'n', 'abc')
line = final(first, said, 'n', b'')
swapped = final(asked[1], asked[2], 'n', b'')
print('swapped', end(s, swapped))
code, first, again = begin(s, 'SCRAM-SHA-256', 'n', 'abc')
print('nonces differ', said != again, 'old proof', end(s, line))
code, first, again = begin(s, 'SCRAM-SHA-256', 'n', 'abc')
line = final(first, again, 'n', b'')
print('right', end(s, line), 'then', s.docmd('AUTH', 'SCRAM-SHA-256')[0])
print('played back', end(early, line), 'its own after that', s.docmd(swapped)[0])
s = connect()
begin(s, 'SCRAM-SHA-256', 'n', 'abc')
print('elsewhere', end(s, line))
# Nobody's certificate, somebody's name.
s = connect()
for said in ('=', b64(b'alice'), ''):
    print('EXTERNAL', s.docmd('AUTH', ('EXTERNAL ' + said).strip())[0])
print('honest', honest())
"#;

#[test]
fn scram_bound_elsewhere_talked_down_or_played_back() {
    world::run("attacks::scram_bound_elsewhere_talked_down_or_played_back", Needs::Root, || {
        let site = site("");
        let _server = Server::start(&site);
        let said = python(SCRAM);
        let expect = "PLAIN LOGIN SCRAM-SHA-256-PLUS SCRAM-SHA-256
SCRAM-SHA-256 n 0 235
SCRAM-SHA-256 y 0 535
SCRAM-SHA-256 n 1 535
SCRAM-SHA-256 p=tls-exporter 32 535
SCRAM-SHA-256-PLUS n 0 535
SCRAM-SHA-256-PLUS y 0 535
SCRAM-SHA-256-PLUS p=tls-exporter 32 535
SCRAM-SHA-256-PLUS p=tls-exporter 0 535
SCRAM-SHA-256-PLUS p=tls-unique 12 535
SCRAM-SHA-256-PLUS p= 0 535
swapped 535
nonces differ True old proof 535
right 235 then 503
played back 535 its own after that 500
elsewhere 535
EXTERNAL 535
EXTERNAL 535
EXTERNAL 535
honest 235
";
        assert_eq!(said, expect, "{}", site.log());
    });
}

/// Beginnings of handshakes, byte by byte.
const HELLOS: &str = r#"
def extension(kind, body):
    return struct.pack('>HH', kind, len(body)) + body
def name(text, kind=0):
    return struct.pack('>BH', kind, len(text)) + text
def names(*all):
    body = b''.join(all)
    return extension(0, struct.pack('>H', len(body)) + body)
others = extension(10, struct.pack('>HH', 2, 29)) + extension(13, struct.pack('>HHH', 4, 0x0403, 0x0804)) + extension(23, b'')
def hello(*extensions):
    body = b''.join(extensions) + others
    body = b'\3\3' + bytes(32) + b'\0' + struct.pack('>HHH', 4, 0xc02b, 0xc02f) + b'\1\0' + struct.pack('>H', len(body)) + body
    return b'\1' + struct.pack('>I', len(body))[1:] + body
def records(message, size=16384):
    return b''.join(b'\x16\3\1' + struct.pack('>H', len(part)) + part
                    for part in (message[at:at + size] for at in range(0, len(message), size)))
def begin(bytes):
    s = socket.create_connection(('127.0.0.1', 465), timeout=60)
    try:
        s.sendall(bytes)
        said = s.recv(5)
    except ConnectionResetError:
        said = b''
    s.close()
    # 22: the server goes on with the handshake; 21: an alert.
    return said[0] if said else None
def check(what, bytes, *expect):
    outcome = begin(bytes)
    print(what, outcome in expect or (outcome, expect))
going, over = (22,), (21, None)
check('a name', records(hello(names(name(b'mx.example.com')))), *going)
check('253 characters', records(hello(names(name(b'.'.join([b'a' * 63] * 3 + [b'a' * 61]))))), *going)
for length in (254, 255, 256, 16000, 60000, 65000):
    check('%d characters' % length, records(hello(names(name(b'a' * length)))), *going, *over)
check('byte by byte', records(hello(names(name(b'a' * 300))), 1), *going, *over)
check('thousands of names', records(hello(names(*[name(b'a%d.example' % n) for n in range(4000)]))), *over)
check('thousands of other kinds', records(hello(names(*[name(b'a', n % 255 + 1) for n in range(9000)]))), *going, *over)
check('no name', records(hello(names())), *going, *over)
check('an empty one', records(hello(names(name(b'')))), *going, *over)
for odd in (b'../../etc/passwd', b'a\0b.example', b'a b', b'\xff' * 300, b'*.example', b'[127.0.0.1]', b'127.0.0.1', b'a.example.', b'a\r\nb', b'%s%n'):
    check(repr(odd), records(hello(names(name(odd)))), *going, *over)
check('a length that lies', records(hello(extension(0, b'\xff\xff\0\xff\xffabc'))), *over)
check('16 MB to come', b'\x16\3\1\x40\0\1\xff\xff\xff\3\3' + bytes(16378), *over)
check('a record too long', b'\x16\3\1\xff\xff' + bytes(65535), *over)
print('honest', honest())
"#;

#[test]
fn names_of_64_kb() {
    world::run("attacks::names_of_64_kb", Needs::Root, || {
        // With certificates by name, so that names are looked up.
        let site =
            site("tls_server_sni_maps = inline:{{mx.example.com=/nowhere}}\nsmtpd_starttls_timeout = 30s\n");
        let mut server = Server::start(&site);
        let before = server.resident_kb();
        let said = python(HELLOS);
        for line in said.lines() {
            assert!(line.ends_with(" True") || line == "honest 235", "{said}");
        }
        assert!(said.ends_with("honest 235\n"), "{said}");
        let log = site.log();
        let longest = log.lines().map(str::len).max().unwrap_or_default();
        assert!(longest < 2048, "{longest}");
        assert!(!log.contains("panic"), "{log}");
        assert!(server.resident_kb() - before < 16 * 1024, "{} kB before, {}", before, server.resident_kb());
        assert!(server.stop().success());
    });
}

fn site(more: &str) -> Site {
    let site = Site::new(&format!(
        "smtpd_tls_chain_files = $config_directory/pair.pem\nsmtpd_sasl_auth_enable = yes\n\
         smtpd_sasl_type = internal\nsmtpd_sasl_path = users\nsmtpd_error_sleep_time = 0\n\
         komainu_auth_delay_max = 0\nsmtpd_hard_error_limit = 100\n{more}"
    ));
    save(&site.path("etc/pair.pem"), include_str!("../../../../tests/certificates/ec.pem"), 0o600);
    save(&site.path("etc/users"), "alice:{PLAIN}Gehe1m\n", 0o600);
    let mechanisms = "-o komainu_sasl_mechanisms=plain,login,scram-sha-256,scram-sha-256-plus,external";
    site.write("master.cf", &format!("465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes {mechanisms}\n"));
    site
}

fn python(script: &str) -> String {
    let output = Command::new("python3").args(["-c", &format!("{PRELUDE}{script}")]).output().expect("runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}
