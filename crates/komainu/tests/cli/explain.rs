//! `komainu explain` from outside: what wrong options are answered with, and what a session that lacks a part is.

use crate::program::{Folder, Ran, komainu};
use std::process::{Command, Stdio};

const MAIN: &str = "compatibility_level = 3.6\nmyhostname = mx.example.com\nmydestination = example.com\n\
    mynetworks = 127.0.0.0/8\nlocal_recipient_maps =\nsmtpd_client_restrictions = reject_unknown_client_hostname\n\
    unknown_client_reject_code = 550\n";
const MASTER: &str = "smtp inet n - n - - smtpd\n";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("main.cf", MAIN);
    folder.write("master.cf", MASTER);
    folder
}

fn explain(folder: &Folder, words: &[&str]) -> Ran {
    folder.komainu(&[&["explain", "--config", ".", "--offline"], words].concat())
}

#[test]
fn wrong_options() {
    let folder = folder();
    folder.write("session", "helo = x\nhello = y\n");
    folder.write("answers", "example.org MX\n");
    let check = |words: &[&str], part: &str| {
        let ran = explain(&folder, words);
        assert_eq!((ran.code, ran.out.as_str()), (Some(64), ""), "{words:?}: {ran:?}");
        assert!(ran.errors.contains(part), "{words:?}: {ran:?}");
        let errors = ran.errors.to_ascii_lowercase();
        assert!(
            errors.contains("usage: komainu explain") || errors.contains("try '--help'"),
            "{words:?}: {ran:?}"
        );
    };
    check(&["--client-addr", "mail.example.org"], "is no IP address");
    check(&["--client-name", "a b"], "is no host name");
    check(&["--helo", "a\nb"], "control character");
    check(&["--to", "a@example.com"], "--to without --from");
    check(&["--size", "5"], "--size without --from");
    check(&["--from", "a@b", "--size", "big"], "is no number of bytes");
    check(&["--stage", "later"], "is no stage");
    check(&["--stage", "rcpt", "--helo", "x", "--from", "a@b"], "without --to");
    check(&["--stage", "mail"], "without --from");
    check(&["--stage", "helo"], "without --helo");
    check(&["--at", "noon"], "is no time");
    check(&["--session", "nosuch"], "nosuch: No such file");
    check(&["--session", "session"], "\"hello\" is no part of a session");
    check(&["--log", "connect from unknown[192.0.2.1]"], "no line about a decision");
    check(&["--format", "yaml"], "invalid value");
    check(&["--answers", "answers"], "cannot be used with");
    check(&["--log", "x", "--from", "a@b"], "cannot be used with");
    check(&["--bogus"], "unexpected argument");
    check(&["word"], "unexpected argument");
    let ran = folder.komainu(&["explain", "--config", ".", "--answers", "answers"]);
    assert!(ran.code == Some(64) && ran.errors.contains("answers: line 1: "), "{ran:?}");
    let ran = folder.komainu(&["explain", "--config", "nowhere"]);
    assert!(ran.code == Some(78) && ran.errors.contains("nowhere has no main.cf"), "{ran:?}");
    let ran = explain(&folder, &["--service", "submission"]);
    assert!(ran.code == Some(78) && ran.errors.contains("there are: smtp"), "{ran:?}");
}

#[test]
fn sessions_that_lack_a_part() {
    let folder = folder();
    let check = |words: &[&str], last: &str, gap: &str| {
        let ran = explain(&folder, words);
        assert_eq!(ran.code, Some(0), "{words:?}: {ran:?}");
        let commands: Vec<&str> = ran.out.lines().filter(|line| line.starts_with("> ")).collect();
        assert!(commands.last().is_some_and(|command| command.starts_with(last)), "{words:?}: {ran:?}");
        assert!(ran.out.contains(gap), "{words:?}: {ran:?}");
        assert!(gap.is_empty() != ran.out.contains("(without --"), "{words:?}: {ran:?}");
    };
    check(&[], "> (connects)", "(without --helo NAME");
    check(&["--helo", "x.example"], "> EHLO", "(without --from ADDRESS the session ends before MAIL)");
    check(
        &["--helo", "x.example", "--from", ""],
        "> MAIL",
        "(without --to ADDRESS the session ends before RCPT)",
    );
    check(&["--helo", "x.example", "--from", "", "--stage", "mail"], "> MAIL", "");
    check(&["--helo", "x.example", "--from", "", "--to", "a@example.com"], "> (message)", "");
}

#[test]
fn a_time_and_a_log_line() {
    let folder = folder();
    let words = ["--client-name", "unknown", "--helo", "x.example", "--from", "a@example.org"];
    let at = ["--to", "b@example.com", "--at", "2026-11-22T01:02:03Z"];
    let ran = explain(&folder, &[&words[..], &at[..]].concat());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let log = ran.out.lines().find_map(|line| line.strip_prefix("log: ")).unwrap_or_default();
    assert!(
        log.starts_with("Nov 22 01:02:03 mx postfix/smtpd: NOQUEUE: reject: RCPT from unknown["),
        "{ran:?}"
    );
    let ran = explain(&folder, &["--log", log]);
    assert!(
        ran.code == Some(0) && ran.out.contains("  made by   reject_unknown_client_hostname\n"),
        "{ran:?}"
    );
    assert!(ran.out.contains("  unknown   its address had no name (no PTR record); or "), "{ran:?}");
    let other = log.replace("cannot find your hostname", "go away");
    let ran = explain(&folder, &["--log", &other]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.errors.contains("  = nearest: reject_unknown_client_hostname: 550 5.7."), "{ran:?}");
}

/// A reader that leaves early is no fault.
#[test]
fn a_reader_that_left() {
    let folder = folder();
    for format in ["text", "json"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Command::new(komainu());
        command.args(["explain", "--config", ".", "--offline", "--helo", "x.example", "--format", format]);
        let child = command.current_dir(folder.path()).stdout(writer).stderr(Stdio::piped()).spawn();
        let output = child.expect("starts").wait_with_output().expect("ends");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), errors.as_ref()), (Some(0), ""), "{format}");
    }
}

#[test]
fn a_log_line_of_another_day() {
    let folder = folder();
    let main = MAIN.replace("reject_unknown_client_hostname", "reject_rbl_client zen.spamhaus.org");
    folder.write("main.cf", main);
    folder.write("answers", "mail.example.org A 192.0.2.1\n");
    let line = "Nov 22 01:02:03 mx postfix/smtpd[123]: NOQUEUE: reject: RCPT from h.example[203.0.113.9]: 554 5.7.1 \
                Service unavailable; Client host [203.0.113.9] blocked using zen.spamhaus.org; see \
                https://www.spamhaus.org/; from=<a@example.org> to=<b@example.com> proto=ESMTP helo=<x.example>";
    let words = ["explain", "--config", ".", "--answers", "answers", "--log"];
    let ran = folder.komainu(&[&words[..], &[line]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("then, the DNS must have said"), "{ran:?}");
    assert!(ran.out.contains("  then      A of 9.113.0.203.zen.spamhaus.org → 127.0.0.2\n"), "{ran:?}");
    let piped = folder.run(komainu(), &[&words[..], &["-"]].concat(), format!("\n{line}\nmore\n").as_bytes());
    assert_eq!(piped, ran);
    let ran = folder.run(komainu(), &[&words[..], &["-"]].concat(), b"");
    assert!(ran.code == Some(64) && ran.errors.contains("no line about a decision"), "{ran:?}");
}

#[test]
fn a_port_that_wants_tls() {
    let folder = folder();
    let more = "587 inet n - n - - smtpd\n  -o syslog_name=postfix/submission\n  \
                -o smtpd_tls_security_level=encrypt\n  -o smtpd_client_restrictions=permit_sasl_authenticated,reject\n";
    folder.write("master.cf", format!("{MASTER}{more}"));
    let session =
        ["--service", "587", "--helo", "x.example", "--from", "a@example.org", "--to", "b@example.com"];
    let ran = explain(&folder, &session);
    assert!(ran.out.contains("530 5.7.0 Must issue a STARTTLS command first"), "{ran:?}");
    let ran = explain(&folder, &[&session[..], &["--tls", "--sasl-user", "alice"]].concat());
    assert!(ran.code == Some(0) && ran.out.contains("250 2.1.5 Ok"), "{ran:?}");
    let line = "Nov 22 01:02:03 mx postfix/submission/smtpd[12]: NOQUEUE: reject: RCPT from h.example[203.0.113.9]: \
                554 5.7.1 <h.example[203.0.113.9]>: Client host rejected: Access denied; from=<a@example.org> \
                to=<b@example.com> proto=ESMTP helo=<x.example>";
    let ran = explain(&folder, &["--log", line]);
    assert!(
        ran.code == Some(0) && ran.out.contains("  service   587 (logs as postfix/submission/smtpd)\n"),
        "{ran:?}"
    );
}

/// The guide's first example is what is printed; `UPDATE=1` writes what is printed now.
#[test]
fn the_guides_example() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/explain.md");
    let page = std::fs::read_to_string(&path).expect("readable");
    let block = |begin: &str| page.split_once(begin)?.1.split_once("```\n").map(|(block, _)| block);
    let folder = folder();
    folder.write("main.cf", block("```main.cf\n").expect("a main.cf"));
    let console = block("```console\n").expect("a session");
    let (command, printed) = console.split_once('\n').expect("a command");
    let words: Vec<&str> = command.split(' ').skip(2).collect();
    let ran = folder.komainu(&words);
    assert_eq!((ran.code, ran.errors.as_str()), (Some(1), ""), "{ran:?}");
    let now = ran.out;
    if std::env::var_os("UPDATE").is_some() {
        let now = page.replace(console, &format!("{command}\n{now}"));
        std::fs::write(&path, now).expect("written");
    } else {
        assert_eq!(printed, now);
    }
}
