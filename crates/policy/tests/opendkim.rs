//! Debian's OpenDKIM and ours, given the same opendkim.conf, tables and message: who is signed with what, and what is said of
//! signatures. T2.28.
//!
//! OpenDKIM runs as `opendkim -t`, which prints what it would do to a message; keys are in a file. What differs on purpose
//! is in docs/internals/differences.md, and not among the cases.
#![expect(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test may fail by panicking")]

use config::SourceFile;
use mail::Wall;
use mail::authentication_results::AuthenticationResults;
use mail::dkim::{Checked, KeyAnswer, Signer, SigningKey, TagList, Verifier};
use policy::opendkim::{Action, Brought, Conf, Role, decide, said};
use ring::rand::SystemRandom;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tables::{SourceError, Sources};

struct Direct;

impl Sources for Direct {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        fs::read(path).map_err(|_| SourceError::Missing(path.to_owned()))
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        fs::metadata(path).ok().map(|metadata| metadata.permissions().mode())
    }
}

const HEAD: &str = "Date: Mon, 23 Nov 2026 06:00:00 +0000\nFrom: Joe <FROM>\nTo: b@example.net\nCc: c@example.net\n\
                    Subject: hi\nX-Own: 1\nMessage-ID: <1@example.com>\nx-own: 2\nList-Id: <l.example.com>\n";
const BODY: &str = "Hello  there \n\n";

fn now() -> Wall {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    Wall::from_seconds(i64::try_from(since.as_secs()).expect("a time"))
}

fn headers(message: &str) -> Vec<String> {
    let (head, _) = message.split_once("\n\n").expect("a head");
    let mut headers: Vec<String> = Vec::new();
    for line in head.lines() {
        match headers.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(&format!("{line}\n")),
            _ => headers.push(format!("{line}\n")),
        }
    }
    headers
}

/// What OpenDKIM prints.
fn theirs(folder: &Path, settings: &str, message: &str) -> String {
    let (conf, file) = (folder.join("theirs.conf"), folder.join("message"));
    let socket = folder.join("socket").display().to_string();
    fs::write(&conf, format!("Syslog no\nSocket local:{socket}\n{settings}\n")).expect("written");
    fs::write(&file, message).expect("written");
    let ran = Command::new("opendkim").arg("-x").arg(&conf).args(["-vv", "-t"]).arg(&file).output();
    let ran = ran.expect("starts");
    String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr)
}

/// The values of a header that OpenDKIM puts on top, in order.
fn put_on_top(said: &str, name: &str) -> Vec<String> {
    let begins = format!("hname='{name}' hvalue='");
    let parts = said.split(&begins).skip(1);
    parts.map(|part| part.split('\'').next().unwrap_or("").to_owned()).collect()
}

fn conf(text: &str) -> Conf {
    let file = SourceFile { path: "/etc/opendkim.conf".into(), text: text.to_owned() };
    Conf::read(&Arc::new(file), &Direct).0
}

fn brought() -> Brought<'static> {
    Brought { name: Some("localhost"), address: [127, 0, 0, 1].into(), is_logged_in: false, daemon: "" }
}

/// `d= s= i= c= h=` of a signature's value, names in lower case.
fn summary(value: &str) -> String {
    let tags = TagList::parse(value).unwrap_or_else(|| panic!("{value}"));
    let tag =
        |name: &str| tags.get(name).unwrap_or("-").split_whitespace().collect::<String>().to_lowercase();
    ["d", "s", "i", "a", "c", "h"].map(|name| format!("{name}={}", tag(name))).join(" ")
}

fn ours_signed(settings: &str, message: &str) -> Vec<String> {
    let conf = conf(settings);
    let texts = headers(message);
    let all: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    let Role::Sign(requests) = decide(&conf, &brought(), &all, &[]).0 else { return Vec::new() };
    let signed = requests.into_iter().map(|request| {
        let signer = Signer {
            domain: request.domain,
            selector: request.selector,
            identity: request.identity,
            key: request.key,
            forms: conf.canonicalization,
            headers: conf.sign_headers.clone(),
            oversigned: conf.oversign_headers.clone(),
            lifetime: conf.signature_ttl,
        };
        let mut signing = signer.begin();
        signing.body(BODY.as_bytes());
        let text = signing.finish(&all, now(), &SystemRandom::new()).expect("signed");
        summary(text.split_once(':').expect("a header").1.trim_end())
    });
    signed.collect()
}

fn available() -> bool {
    let there = |program: &str| Command::new(program).arg("-V").output().is_ok();
    let all = there("opendkim") && there("openssl");
    if !all {
        println!("opendkim or openssl is not installed: skipped");
        assert!(std::env::var_os("CI").is_none(), "opendkim and openssl are needed");
    }
    all
}

fn key(folder: &Path, name: &str) -> Arc<SigningKey> {
    let path = folder.join(name);
    let mut openssl = Command::new("openssl");
    let made = openssl
        .args(["genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out"])
        .arg(&path)
        .output();
    assert!(made.expect("starts").status.success(), "a key");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode");
    Arc::new(SigningKey::parse(&fs::read_to_string(&path).expect("reads")).expect("a key"))
}

const AUTHORS: &[&str] = &[
    "joe@example.com",
    "JOE@Example.COM",
    "joe@sub.example.com",
    "joe@a.sub.example.com",
    "ann@example.com",
    "ann@other.example",
    "joe@other.example",
    "x@notexample.com",
];

/// Tables and settings, each with every author.
fn signing_settings(at: &str) -> Vec<String> {
    let tables = "KeyTable AT/keys\nSigningTable";
    let plain = "Domain example.com\nSelector mail\nKeyFile AT/one";
    let list = [
        plain.to_owned(),
        format!("{plain}\nSubDomains yes\nCanonicalization relaxed"),
        format!("{plain}\nExemptDomains example.com"),
        format!("{plain}\nMode v\nOversignHeaders From"),
        format!("{plain}\nSignHeaders Subject,X-Own\nOversignHeaders From,Subject,Reply-To"),
        format!("{plain}\nSignHeaders *,+X-Own,-Subject\nCanonicalization simple/relaxed"),
        format!("{plain}\nOmitHeaders Subject,Date"),
        format!("{plain}\nOmitHeaders *,+Subject\nSignHeaders From,Subject,Date"),
        format!("{tables} refile:AT/patterns\nCanonicalization relaxed/relaxed"),
        format!("{tables} refile:AT/patterns\nMultipleSignatures yes"),
        format!("{tables} file:AT/plain"),
        format!("{tables} AT/plain\nMultipleSignatures yes"),
        format!("{tables} csl:example.com=k1,.example.com=k2"),
    ];
    list.iter()
        .map(|one| format!("RequireSafeKeys no\nMode sv\nInternalHosts 0.0.0.0/0\n{}", one.replace("AT", at)))
        .collect()
}

#[test]
fn who_is_signed_with_what() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let at = folder.display().to_string();
    key(folder, "one");
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("written");
    write(
        "keys",
        format!("k1 example.com:mail:{at}/one\nk2 %:two:{at}/one\n# none\nk3 Other.example:3:{at}/one\n"),
    );
    write(
        "patterns",
        "joe@example.com k1\n*@example.com k2:own@%\n*@*.example.com k2\nann@* k3:x@example.org\n".to_owned(),
    );
    write("plain", "joe@example.com k1\nexample.com k2\n.example.com k1\nann@* k3:@%\n".to_owned());
    let (mut compared, mut differ) = (0, Vec::new());
    for settings in signing_settings(&at) {
        for author in AUTHORS {
            let message = format!("{}\n{BODY}", HEAD.replace("FROM", author));
            let theirs = theirs(folder, &settings, &message);
            let signed = put_on_top(&theirs, "DKIM-Signature");
            let signed: Vec<String> = signed.iter().map(|value| summary(value)).collect();
            let ours = ours_signed(&settings, &message);
            if ours != signed {
                differ.push(format!("{author} {settings}\nours   {ours:?}\ntheirs {signed:?}"));
            }
            compared += 1;
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n\n"));
    println!("{compared} messages, each signed alike");
}

/// Method, result and properties, without what differs on purpose.
fn results(value: &str) -> Vec<String> {
    let read = AuthenticationResults::parse(value.as_bytes()).unwrap_or_else(|| panic!("{value}"));
    // `neutral` are signatures that nobody looked at.
    let results = read.results.iter().filter(|one| one.method == "dkim" && one.result != "neutral");
    let shown = results.map(|one| {
        let get = |name: &str| one.get("header", name).unwrap_or("-").to_owned();
        let reason = one.reason.clone().filter(|_| one.result != "permerror").unwrap_or_default();
        format!("{} {reason} d={} i={} s={} b={}", one.result, get("d"), get("i"), get("s"), get("b"))
    });
    shown.collect()
}

/// The header's results, and whether the message goes on.
fn ours_verified(settings: &str, keys: &[(&str, String)], message: &str) -> (Vec<String>, bool) {
    let conf = conf(settings);
    let texts = headers(message);
    let all: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    let role = decide(&conf, &brought(), &all, &[]).0;
    assert!(matches!(role, Role::Verify), "{role:?}");
    let mut verifier = Verifier::new(&all);
    verifier.body(message.split_once("\n\n").expect("a body").1.as_bytes());
    let mut hashed = verifier.finish();
    hashed.truncate(conf.maximum_signatures);
    let checked = hashed.iter().map(|one| {
        let name = one.signature().map(|signature| signature.key_name()).unwrap_or_default();
        let text = keys.iter().find(|(own, _)| *own == name).map(|(_, text)| text.as_str());
        let texts: Vec<&str> = text.into_iter().collect();
        let answer = if texts.is_empty() { KeyAnswer::Nothing } else { KeyAnswer::Texts(&texts) };
        Checked::new(one, answer, now())
    });
    let checked: Vec<Checked> = checked.collect();
    let said = said(&conf, &checked, "mx.example.net");
    let shown = said.results.map(|one| results(one.render().split_once(':').expect("a header").1));
    (shown.unwrap_or_default(), said.action == Action::Accept)
}

fn signature(key: &Arc<SigningKey>, selector: &str, message: &str) -> String {
    let signer = Signer {
        domain: "example.com".to_owned(),
        selector: selector.to_owned(),
        identity: None,
        key: Arc::clone(key),
        forms: Default::default(),
        headers: vec!["from".to_owned(), "subject".to_owned()],
        oversigned: vec!["from".to_owned()],
        lifetime: None,
    };
    let texts = headers(message);
    let all: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    let mut signing = signer.begin();
    signing.body(message.split_once("\n\n").expect("a body").1.as_bytes());
    signing.finish(&all, now(), &SystemRandom::new()).expect("signed")
}

#[test]
fn what_is_said_of_signatures() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let own = key(folder, "one");
    let other = key(folder, "other");
    let record = own.record();
    let keys = [
        ("mail._domainkey.example.com", record.clone()),
        ("testing._domainkey.example.com", record.replace("v=DKIM1;", "v=DKIM1; t=y;")),
        ("revoked._domainkey.example.com", "v=DKIM1; k=rsa; p=".to_owned()),
        ("other._domainkey.example.com", other.record()),
        ("web._domainkey.example.com", record.replace("v=DKIM1;", "v=DKIM1; s=web;")),
    ];
    let public: String = keys.iter().map(|(name, text)| format!("{name} {text}\n")).collect();
    fs::write(folder.join("public"), public).expect("written");
    let plain = format!("{}\n{BODY}", HEAD.replace("FROM", "joe@example.com"));
    let by = |selector: &str| signature(&own, selector, &plain);
    let good = by("mail");
    let messages = [
        plain.clone(),
        format!("{good}{plain}"),
        format!("{good}{}", plain.replace("Subject: hi", "Subject: other")),
        format!("{good}{}", plain.replace("X-Own: 1", "X-Own: 9")),
        format!("{good}{plain}more\n"),
        format!("{good}From: x@y.example\n{plain}"),
        format!("{}{plain}", by("none")),
        format!("{}{plain}", by("testing")),
        format!("{}{plain}more\n", by("testing")),
        format!("{}{plain}", by("revoked")),
        format!("{}{plain}", by("other")),
        format!("{}{plain}", by("web")),
        format!("{}{good}{plain}", by("none")),
        format!("{good}{}{plain}", by("other")),
        format!("{good}{good}{good}{good}{plain}"),
    ];
    let at = folder.display();
    let base = format!("Mode v\nInternalHosts 192.0.2.77\nTestPublicKeys {at}/public\n");
    let settings = [
        base.clone(),
        format!("{base}AlwaysAddARHeader yes\nNoHeaderB yes\nMaximumSignaturesToVerify 2"),
        format!("{base}MinimumKeyBits 4096"),
        format!("{base}On-BadSignature reject\nOn-NoSignature t"),
        format!("{base}On-KeyNotFound r"),
    ];
    let mut compared = 0;
    for settings in &settings {
        for (number, message) in messages.iter().enumerate() {
            let said = theirs(folder, settings, message);
            let theirs: Vec<String> =
                put_on_top(&said, "Authentication-Results").iter().flat_map(|value| results(value)).collect();
            let goes_on = said.contains("mlfi_eom() returned SMFIS_ACCEPT")
                || said.contains("mlfi_eoh() returned SMFIS_ACCEPT");
            let (ours, ours_goes_on) = ours_verified(settings, &keys, message);
            assert_eq!(ours, theirs, "message {number} {settings}\n{said}");
            // A key that was withdrawn OpenDKIM puts off in its own way.
            if number != 9 {
                assert_eq!(ours_goes_on, goes_on, "message {number} {settings}\n{said}");
            }
            compared += 1;
        }
    }
    println!("{compared} messages, the same said of each");
}
