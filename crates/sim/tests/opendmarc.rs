//! Debian's OpenDMARC as a milter, and ours in its place where it isn't there: the same mail, the same opendmarc.conf,
//! behind the same server; what comes of each message, and its headers. T2.28.
//!
//! What differs on purpose is in docs/internals/differences.md, and not among the cases.
#![expect(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test may fail by panicking")]

use sim::backend::Choice;
use sim::dns::Server;
use sim::run::{Outcome, Stage};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = "/usr/sbin/opendmarc";
/// Without a list OpenDMARC takes no name for another one's organisation; we walk the tree then.
const SUFFIXES: &str = "/mnt/suffixes";
const ENDPOINT: &str = "127.0.0.1:8893";

const ZONE: &str = "
reject.example TXT v=spf1 ip4:192.0.2.2 -all
_dmarc.reject.example TXT v=DMARC1; p=reject
_dmarc.quarantine.example TXT v=DMARC1; p=quarantine
_dmarc.none.example TXT v=DMARC1; p=none
_dmarc.sub.example TXT v=DMARC1; p=none; sp=reject
_dmarc.strict.example TXT v=DMARC1; p=reject; aspf=s; adkim=s
mail.strict.example TXT v=spf1 ip4:192.0.2.2 -all
mail.reject.example TXT v=spf1 ip4:192.0.2.2 -all
_dmarc.ignored.example TXT v=DMARC1; p=reject
_dmarc.half.example TXT v=DMARC1; p=reject; pct=0
other.example TXT v=spf1 ip4:192.0.2.2 -all
";

/// Name, client, sender, headers; `|` between headers.
const CASES: &[(&str, &str, &str, &str)] = &[
    ("aligned", "192.0.2.2", "joe@reject.example", "From: Joe <joe@reject.example>"),
    ("subdomain", "192.0.2.2", "joe@mail.reject.example", "From: joe@reject.example"),
    ("another", "192.0.2.2", "eve@other.example", "From: joe@reject.example"),
    ("nobody", "192.0.2.9", "joe@reject.example", "From: joe@reject.example"),
    ("quarantined", "192.0.2.2", "eve@other.example", "From: joe@quarantine.example"),
    ("told", "192.0.2.2", "eve@other.example", "From: joe@none.example"),
    ("sub", "192.0.2.2", "eve@other.example", "From: joe@a.sub.example"),
    ("own", "192.0.2.2", "eve@other.example", "From: joe@sub.example"),
    ("exact", "192.0.2.2", "joe@mail.strict.example", "From: joe@mail.strict.example"),
    ("nothing", "192.0.2.2", "eve@other.example", "From: joe@other.example"),
    ("ignored", "192.0.2.2", "eve@other.example", "From: joe@ignored.example"),
    ("unnamed", "192.0.2.2", "", "From: joe@reject.example"),
    (
        "trusted",
        "192.0.2.9",
        "eve@other.example",
        "Authentication-Results: relay.example.com; dkim=pass header.d=reject.example|From: joe@reject.example",
    ),
    (
        "untrusted",
        "192.0.2.9",
        "eve@other.example",
        "Authentication-Results: evil.example; dkim=pass header.d=reject.example|From: joe@reject.example",
    ),
];

const SETTINGS: &[&str] = &[
    "SPFSelfValidate true|SPFIgnoreResults true",
    "SPFSelfValidate true|SPFIgnoreResults true|RejectFailures true",
    "SPFSelfValidate true|SPFIgnoreResults true|RejectFailures true|IgnoreMailFrom ignored.example",
    "SPFSelfValidate true|SPFIgnoreResults true|RejectFailures true|RejectString %s is not yours",
];

/// A dialogue of all messages, of which everything is to be written down, with the mail of those whose names are given.
fn dialogue(conf: &str, delivered: &[String]) -> String {
    let zone = ZONE.trim();
    let mut text = format!(
        "# x\n[main.cf]\nsmtpd_milters = inet:{ENDPOINT}\nmilter_default_action = tempfail\nrecipient_delimiter = +\n\
         komainu_dmarc_settings = /etc/postfix/opendmarc.conf\n\
         smtpd_recipient_restrictions = reject_unauth_destination\nmynetworks = 127.0.0.0/8\n\n\
         [table opendmarc.conf]\n{conf}\n[dns]\n{zone}\n\n"
    );
    for (name, client, sender, headers) in CASES {
        let headers: String = headers.split('|').map(|header| format!("> {header}\n")).collect();
        text += &format!(
            "[smtp {client}]\n<\n> EHLO mail.{name}.test\n<\n> MAIL FROM:<{sender}>\n<\n\
             > RCPT TO:<kororo+{name}@example.com>\n<\n> DATA\n<\n> Date: Mon, 1 Jan 2001 00:00:00 +0000\n\
             > Message-Id: <{name}@test>\n{headers}>\n> Hello\n> .\n<\n> QUIT\n<\n\n"
        );
    }
    for name in delivered {
        text += &format!("[mail kororo+{name}@example.com]\n\n");
    }
    text
}

/// Plays it, and gives back what was said.
fn played(stage: &Stage<'_>, text: &str) -> String {
    let path = Path::new("/mnt/case.smtp");
    std::fs::write(path, text).expect("written");
    match stage.run(path) {
        Outcome::Updated | Outcome::Passed => std::fs::read_to_string(path).expect("there"),
        Outcome::Failed(faults) => panic!("{faults:?}"),
        Outcome::Skipped(why) => panic!("{why}"),
    }
}

/// What came of each message: the answer, and the results in the headers of what was delivered. The server is started twice.
fn outcomes(stage: &Stage<'_>, conf: &str, has_daemon: bool) -> Vec<String> {
    let play = |delivered: &[String]| {
        let mut daemon = has_daemon.then(|| start(conf));
        let said = played(stage, &dialogue(conf, delivered));
        if let Some(daemon) = &mut daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        said
    };
    let replies: Vec<String> = play(&[])
        .split("\n> .\n")
        .skip(1)
        .map(|rest| rest.lines().take_while(|line| line.starts_with('<')).collect::<Vec<_>>().join("\n"))
        .collect();
    assert_eq!(replies.len(), CASES.len());
    let taken = |reply: &String| reply.starts_with("< 250");
    let names = CASES.iter().map(|case| case.0.to_owned());
    let delivered: Vec<String> =
        names.zip(&replies).filter(|(_, reply)| taken(reply)).map(|(name, _)| name).collect();
    let said = play(&delivered);
    let mails = said.split("[mail ").skip(1);
    let results = mails.map(|mail| {
        let head = mail.lines().skip(1).take_while(|line| !line.is_empty());
        head.filter(|line| is_result(line)).collect::<Vec<_>>().join("\n")
    });
    let mut results = results.collect::<Vec<_>>().into_iter();
    // A queue's id is the server's own.
    let whole = |reply: &String| match taken(reply) {
        true => format!("250\n{}", results.next().unwrap_or_default()),
        false => reply.clone(),
    };
    replies.iter().map(whole).collect()
}

fn is_result(line: &str) -> bool {
    line.starts_with("Authentication-Results:") || line.starts_with("\t") && line.contains("header.")
}

/// OpenDMARC, until it answers.
fn start(conf: &str) -> std::process::Child {
    std::fs::write("/mnt/opendmarc.conf", conf).expect("written");
    let child = Command::new(PROGRAM)
        .args(["-f", "-c", "/mnt/opendmarc.conf", "-p", "inet:8893@127.0.0.1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("starts");
    let until = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(ENDPOINT).is_err() {
        assert!(Instant::now() < until, "opendmarc doesn't listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn compared() {
    let dns = Server::start("127.0.0.1:53".parse().expect("an address")).expect("a name server");
    std::fs::write(SUFFIXES, "example\n").expect("written");
    let root = sim::harness::root();
    let stage = |choice| Stage { dns: Some(dns.clone()), choice, update: true, root: &root };
    let (mut count, mut different) = (0, Vec::new());
    for settings in SETTINGS {
        let conf = format!(
            "AuthservID mx.example.com\nTrustedAuthservIDs relay.example.com\nPublicSuffixList {SUFFIXES}\n{}\n",
            settings.replace('|', "\n")
        );
        let ours = outcomes(&stage(Choice::Komainu), &conf, false);
        let beside = outcomes(&stage(Choice::Komainu), &conf, true);
        for ((name, ..), (ours, theirs)) in CASES.iter().zip(ours.iter().zip(&beside)) {
            count += 1;
            if ours != theirs {
                different.push(format!("{settings}: {name}\n  theirs {theirs}\n  ours   {ours}"));
            }
        }
    }
    assert!(different.is_empty(), "{} of {count} differ:\n{}", different.len(), different.join("\n"));
    println!("{count} messages came to the same");
}

#[test]
fn the_same_verdicts() {
    if sim::world::is_inside() {
        compared();
        return;
    }
    let missing = match sim::world::missing() {
        None if !Path::new(PROGRAM).exists() => Some("opendmarc is not installed".to_owned()),
        None => Choice::Komainu.program().err(),
        other => other,
    };
    if let Some(why) = missing {
        println!("the_same_verdicts: didn't run: {why}");
        return;
    }
    let (said, passed) = sim::world::again("the_same_verdicts").expect("a world");
    print!("{said}");
    assert!(passed, "it failed in its world");
}
