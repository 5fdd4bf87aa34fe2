//! DKIM beside Debian's OpenDKIM: what it signs verifies here, what is signed here verifies there, and what is mangled is
//! judged alike. T2.28.
#![expect(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test may fail by panicking")]

use mail::Wall;
use mail::dkim::{Canonicalization, KeyAnswer, SIGNED_HEADERS, Signer, SigningKey, Verifier};
use ring::rand::SystemRandom;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

const HEAD: &str = "Date: Mon, 23 Nov 2026 06:00:00 +0000\nFrom: Joe\n  <joe@example.com>\nTo: b@example.net,\n\tc@example.net\n\
                    Subject: odd \t  spaces\nMessage-ID: <1@example.com>\n\n";

const BODIES: &[&str] = &[
    "",
    "\n",
    "\n\n\n",
    "Hello\n",
    "Hello  world \n\n \n\n",
    "a\n \t\n\n \n",
    " lead\n\ttab\t\tand  blanks \nend\n",
    "\n\nfirst lines are empty\n",
    " \n",
];

fn available() -> bool {
    let there = |program: &str| Command::new(program).arg("-V").output().is_ok();
    let all = there("opendkim") && there("openssl");
    if !all {
        println!("opendkim or openssl is not installed: skipped");
        assert!(std::env::var_os("CI").is_none(), "opendkim and openssl are needed");
    }
    all
}

fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Wall::from_seconds(i64::try_from(since.as_secs()).expect("a time"))
}

/// A key in a file, and ours of it.
fn key(folder: &Path, kind: &str) -> Arc<SigningKey> {
    let path = folder.join(kind);
    let arguments: &[&str] = match kind {
        "ed25519" => &["genpkey", "-algorithm", "ed25519", "-out"],
        _ => &["genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out"],
    };
    let made = Command::new("openssl").args(arguments).arg(&path).output().expect("starts");
    assert!(made.status.success(), "{made:?}");
    Arc::new(SigningKey::parse(&fs::read_to_string(&path).expect("a key")).expect("our key"))
}

/// Runs opendkim on a message in a file.
fn opendkim(folder: &Path, settings: &str, message: &str) -> String {
    let (conf, file) = (folder.join("conf"), folder.join("message"));
    let socket = folder.join("socket").display().to_string();
    fs::write(&conf, format!("Syslog no\nSocket local:{socket}\n{settings}\n")).expect("written");
    fs::write(&file, message).expect("written");
    let ran = Command::new("opendkim")
        .arg("-x")
        .arg(&conf)
        .args(["-vv", "-t"])
        .arg(&file)
        .output()
        .expect("starts");
    String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr)
}

/// The header that opendkim signs a message with.
fn signed_there(folder: &Path, (kind, forms): (&str, &str), message: &str) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    fs::write(path("keys"), format!("k example.com:sel:{}\n", path(kind))).expect("written");
    fs::write(path("signing"), "example.com k\n").expect("written");
    fs::write(path("hosts"), "0.0.0.0/0\n").expect("written");
    let settings = format!(
        "KeyTable {}\nSigningTable {}\nInternalHosts {}\nMode s\nCanonicalization {forms}\nOversignHeaders From\n\
         RequireSafeKeys no\nSignatureAlgorithm rsa-sha256",
        path("keys"),
        path("signing"),
        path("hosts")
    );
    let said = opendkim(folder, &settings, message);
    let (_, value) = said.split_once("hname='DKIM-Signature' hvalue='").unwrap_or_else(|| panic!("{said}"));
    format!("DKIM-Signature: {}\n", value.split('\'').next().unwrap_or(""))
}

/// `pass`, `fail` … of opendkim.
fn verified_there(folder: &Path, record: &str, message: &str) -> String {
    let keys = folder.join("public");
    fs::write(&keys, format!("sel._domainkey.example.com {record}\n")).expect("written");
    let said = opendkim(folder, &format!("Mode v\nTestPublicKeys {}", keys.display()), message);
    let (_, result) = said.split_once("dkim=").unwrap_or_else(|| panic!("{said}"));
    result.chars().take_while(char::is_ascii_alphabetic).collect()
}

fn parts(message: &str) -> (Vec<String>, &str) {
    let (head, body) = message.split_once("\n\n").expect("a head");
    let mut headers: Vec<String> = Vec::new();
    for line in head.lines() {
        match headers.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(&format!("{line}\n")),
            _ => headers.push(format!("{line}\n")),
        }
    }
    (headers, body)
}

fn verified_here(record: &str, message: &str) -> &'static str {
    let (headers, body) = parts(message);
    let headers: Vec<&[u8]> = headers.iter().map(String::as_bytes).collect();
    let mut verifier = Verifier::new(&headers);
    verifier.body(body.as_bytes());
    let hashed = verifier.finish();
    let one = hashed.first().expect("a signature");
    assert_eq!(
        one.signature().map(|signature| signature.key_name()).as_deref(),
        Some("sel._domainkey.example.com")
    );
    one.judge(KeyAnswer::Texts(&[record]), now()).name()
}

fn signed_here(key: Arc<SigningKey>, forms: &str, message: &str) -> (String, Arc<SigningKey>) {
    let (headers, body) = parts(message);
    let headers: Vec<&[u8]> = headers.iter().map(String::as_bytes).collect();
    let signer = Signer {
        domain: "example.com".to_owned(),
        selector: "sel".to_owned(),
        identity: None,
        key,
        forms: Canonicalization::parse_pair(forms).expect("forms"),
        headers: SIGNED_HEADERS.iter().map(|&name| name.to_owned()).collect(),
        oversigned: vec!["from".to_owned()],
        lifetime: None,
    };
    let mut signing = signer.begin();
    signing.body(body.as_bytes());
    (signing.finish(&headers, now(), &SystemRandom::new()).expect("signed"), signer.key)
}

const FORMS: &[&str] = &["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"];

#[test]
fn both_ways() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut key = key(folder, "rsa");
    let record = key.record();
    let mut count = 0;
    for (forms, body) in FORMS.iter().flat_map(|forms| BODIES.iter().map(move |body| (forms, body))) {
        let message = format!("{HEAD}{body}");
        let theirs = signed_there(folder, ("rsa", forms), &message) + &message;
        assert_eq!(verified_here(&record, &theirs), "pass", "{forms} {body:?}\n{theirs}");
        let (header, same) = signed_here(key, forms, &message);
        key = same;
        let ours = header + &message;
        assert_eq!(verified_here(&record, &ours), "pass", "{forms} {body:?}\n{ours}");
        assert_eq!(verified_there(folder, &record, &ours), "pass", "{forms} {body:?}\n{ours}");
        count += 1;
    }
    println!("{count} messages signed and verified by both");
}

/// OpenDKIM's Ed25519 isn't RFC 8463's: keys of openssl's, and ourselves.
#[test]
fn ed25519() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut key = key(folder.path(), "ed25519");
    let record = key.record();
    for (forms, body) in FORMS.iter().flat_map(|forms| BODIES.iter().map(move |body| (forms, body))) {
        let message = format!("{HEAD}{body}");
        let (header, same) = signed_here(key, forms, &message);
        key = same;
        let ours = header + &message;
        assert_eq!(verified_here(&record, &ours), "pass", "{forms} {body:?}\n{ours}");
    }
}

/// What happens to mail on its way.
const MANGLED: &[(&str, &str)] = &[
    ("world", "World"),
    ("Hello  world \n", "Hello world\n"),
    ("Hello  world \n", "Hello  world\n"),
    ("\n\n \n\n", "\n"),
    ("\n\n \n\n", "\n\n\n\n\n\n"),
    ("Subject: odd \t  spaces\n", "SUBJECT: odd spaces\n"),
    ("Subject: odd", "Subject: very odd"),
    ("From: Joe\n  <joe", "From: Joe <joe"),
    ("To: b@", "X-New: header\nTo: b@"),
    ("To: b@example.net,\n\tc@example.net\n", ""),
];

#[test]
fn mangled() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let key = key(folder, "rsa");
    let record = key.record();
    let message = format!("{HEAD}Hello  world \n\n \n\n");
    for forms in FORMS {
        let theirs = signed_there(folder, ("rsa", forms), &message) + &message;
        for (from, to) in MANGLED {
            let mangled = theirs.replacen(from, to, 1);
            assert_ne!(mangled, theirs, "{from}");
            let (there, here) = (verified_there(folder, &record, &mangled), verified_here(&record, &mangled));
            assert_eq!(here, there, "{forms}: {from:?} → {to:?}\n{mangled}");
        }
    }
}
