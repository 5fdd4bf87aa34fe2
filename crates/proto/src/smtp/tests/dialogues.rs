//! Dialogues whose actions matter, and those that no recorded Postfix could play: TLS, AUTH, time, decisions
//! that take long. T1.2, T1.9.

use crate::smtp::drive::{Drive, local_peer};
use crate::smtp::{
    Action, AuthSettings, BareNewline, Input, Note, Request, Server, Settings, TlsLevel, Verdict,
};
use mail::{Dsn, Mono, Now, Reply, Wall};
use std::sync::Arc;
use std::time::Duration;

fn permit(_: &Request) -> Verdict {
    Verdict::Permit
}

#[track_caller]
fn check(settings: Settings, sent: &str, expect: &[&str]) -> Drive {
    let mut drive = Drive::new(settings, local_peer(), permit);
    for line in sent.split_inclusive('\n') {
        drive.feed(line.replace('\n', "\r\n").as_bytes());
    }
    let out = String::from_utf8(drive.out.clone()).unwrap();
    let seen: Vec<&str> = out.lines().filter(|line| !line.starts_with("250-")).collect();
    assert_eq!(seen, expect);
    drive
}

const BANNER: &str = "220 localhost ESMTP Postfix";

#[test]
fn t1_2_vrfy_disabled() {
    let settings = Settings { disable_vrfy: true, ..Settings::default() };
    let expect = [
        BANNER,
        "250 CHUNKING",
        "502 5.5.1 VRFY command is disabled",
        "500 5.5.2 Error: command not recognized",
    ];
    let drive = check(settings, "EHLO x\nVRFY a\nEXPN a\n", &expect);
    assert!(!String::from_utf8(drive.out).unwrap().contains("VRFY\r"));
}

#[test]
fn t1_9_helo_required() {
    let settings = Settings { helo_required: true, ..Settings::default() };
    let expect = [BANNER, "503 5.5.1 Error: send HELO/EHLO first", "250 localhost", "250 2.1.0 Ok"];
    check(settings, "MAIL FROM:<a@example.org>\nHELO x\nMAIL FROM:<a@example.org>\n", &expect);
}

#[test]
fn a_message_goes_through_in_order() {
    let mut drive = check(
        Settings::default(),
        "HELO x\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\nhello\n.\nQUIT\n",
        &[
            BANNER,
            "250 localhost",
            "250 2.1.0 Ok",
            "250 2.1.5 Ok",
            "354 End data with <CR><LF>.<CR><LF>",
            "250 2.0.0 Ok: queued as 4Zk3nq2bXPzJrm",
            "221 2.0.0 Bye",
        ],
    );
    let kinds: Vec<&str> =
        drive.actions.iter().map(|a| a.split([' ', '(', ')', '{']).nth(1).unwrap_or(a)).collect();
    assert_eq!(kinds, ["Connect", "Helo", "Mail", "Rcpt", "Data", "EndOfData", "Commit", "Close"]);
    assert_eq!(drive.messages, [b"hello\n"]);
    assert_eq!(drive.server.counters().to_string(), "helo=1 mail=1 rcpt=1 data=1 quit=1 commands=5");
    drive.hang_up();
    assert!(drive.notes.is_empty());
}

#[test]
fn what_was_begun_is_aborted_once() {
    for (sent, aborts) in [
        ("MAIL FROM:<a@b>\nRSET\nRSET\n", 1),
        ("MAIL FROM:<a@b>\nHELO x\n", 1),
        ("MAIL FROM:<a@b>\nQUIT\n", 1),
        ("MAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\n.\nRSET\nQUIT\n", 0),
        ("RSET\nQUIT\n", 0),
    ] {
        let mut drive = Drive::new(Settings::default(), local_peer(), permit);
        for line in sent.split_inclusive('\n') {
            drive.feed(line.replace('\n', "\r\n").as_bytes());
        }
        drive.hang_up();
        assert_eq!(drive.actions.iter().filter(|a| *a == "Abort").count(), aborts, "{sent}");
    }
}

#[test]
fn starttls_forgets_what_was_said_in_the_clear() {
    let settings = Settings { tls: TlsLevel::May, ..Settings::default() };
    let mut drive = Drive::new(settings, local_peer(), permit);
    drive.feed(b"EHLO x\r\n");
    assert!(String::from_utf8_lossy(&drive.out).contains("250-STARTTLS\r\n"));
    drive.feed(b"MAIL FROM:<a@b>\r\nSTARTTLS\r\nRSET\r\nQUIT\r\n");
    assert!(
        drive.out.ends_with(b"220 2.0.0 Ready to start TLS\r\n"),
        "{}",
        String::from_utf8_lossy(&drive.out)
    );
    assert!(drive.server.tls() && drive.server.helo().is_none() && drive.server.envelope().is_none());
    drive.out.clear();
    drive.feed(b"EHLO x\r\n");
    drive.feed(b"STARTTLS\r\n");
    let out = String::from_utf8_lossy(&drive.out).into_owned();
    assert!(!out.contains("STARTTLS") && out.ends_with("554 5.5.1 Error: TLS already active\r\n"), "{out}");
}

#[test]
fn auth_s_seat() {
    let auth = AuthSettings {
        mechanisms: vec!["PLAIN".to_owned(), "LOGIN".to_owned()],
        broken_clients: true,
        response_limit: 12_288,
        ..AuthSettings::default()
    };
    let settings = Settings { auth: Some(auth), ..Settings::default() };
    let mut drive = Drive::new(settings, local_peer(), permit);
    drive.feed(b"EHLO x\r\n");
    let out = String::from_utf8_lossy(&drive.out).into_owned();
    assert!(
        out.contains("250-ETRN\r\n250-AUTH PLAIN LOGIN\r\n250-AUTH=PLAIN LOGIN\r\n250-ENHANCED"),
        "{out}"
    );
    for (sent, expect) in [
        ("AUTH\r\n", "501 5.5.4 Syntax: AUTH mechanism\r\n"),
        ("AUTH LOGIN\r\n", "334 \r\n"),
        ("*\r\n", "501 5.7.0 Authentication aborted\r\n"),
        ("AUTH LOGIN\r\n", "334 \r\n"),
        ("abc\r\n", "535 5.7.8 Error: authentication failed\r\n"),
        ("AUTH PLAIN joe\r\n", "235 2.7.0 Authentication successful\r\n"),
        ("AUTH PLAIN joe\r\n", "503 5.5.1 Error: already authenticated\r\n"),
    ] {
        drive.out.clear();
        drive.feed(sent.as_bytes());
        assert_eq!(String::from_utf8_lossy(&drive.out), expect, "{sent}");
    }
    assert_eq!(drive.server.login(), Some("joe"));
}

/// Pipelined input waits for a decision, its amount is bounded, and it is worked off in order.
#[test]
fn input_waits_for_decisions() {
    let now = Now { mono: Mono(0), wall: Wall(0) };
    let settings =
        Settings { forbid_unauth_pipelining: false, junk_command_limit: u32::MAX, ..Settings::default() };
    let mut server = Server::new(Arc::new(settings), crate::smtp::Peer::new([192, 0, 2, 1].into(), 1), now);
    let mut out = Vec::new();
    assert_eq!(server.poll(), Some(Action::Decide(Request::Connect)));
    server.handle(now, Input::Decided(Verdict::Permit), &mut out);
    server.handle(now, Input::Bytes(b"EHLO x\r\n"), &mut out);
    assert!(matches!(server.poll(), Some(Action::Decide(Request::Helo { .. }))));
    server.handle(now, Input::Decided(Verdict::Permit), &mut out);
    server.handle(now, Input::Bytes(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"), &mut out);
    assert!(matches!(server.poll(), Some(Action::Decide(Request::Mail(_)))));
    assert_eq!(server.poll(), None);
    assert_eq!(server.deadline(), None, "the client isn't timed while we think");
    out.clear();
    while server.wants_input() {
        server.handle(now, Input::Bytes(b"NOOP\r\n"), &mut out);
    }
    assert!(server.buffer_bytes() < 64 * 1024 && out.is_empty());
    server.handle(now, Input::PeerClosed, &mut out);
    server.handle(now, Input::Decided(Verdict::Permit), &mut out);
    assert!(matches!(server.poll(), Some(Action::Decide(Request::Rcpt(_)))));
    server.handle(now, Input::Decided(Verdict::Permit), &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.starts_with("250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.0.0 Ok\r\n") && text.len() > 16_000,
        "{} {text:.100}",
        text.len()
    );
    let rest: Vec<Action> = std::iter::from_fn(|| server.poll()).collect();
    assert!(
        rest.ends_with(&[
            Action::Note(Note::LostConnection("NOOP".to_owned())),
            Action::Abort,
            Action::Close
        ]),
        "{rest:?}"
    );
}

#[test]
fn deadlines() {
    let settings =
        Settings { per_request_deadline: true, timeout: Duration::from_secs(10), ..Settings::default() };
    let mut drive = Drive::new(settings.clone(), local_peer(), permit);
    // A trickle doesn't help under a per-request deadline …
    for _ in 0..9 {
        drive.wait(Duration::from_secs(1));
        drive.feed(b"x");
    }
    assert!(!drive.closed);
    drive.wait(Duration::from_secs(2));
    assert!(drive.closed);
    assert!(drive.out.ends_with(b"421 4.4.2 localhost Error: timeout exceeded\r\n"));
    assert_eq!(drive.notes, [Note::Timeout("CONNECT".to_owned())]);
    // … and does without one.
    let mut drive = Drive::new(Settings { per_request_deadline: false, ..settings }, local_peer(), permit);
    for _ in 0..90 {
        drive.wait(Duration::from_secs(1));
        drive.feed(b"x");
    }
    assert!(!drive.closed);
}

/// What comes in pieces, each `(seconds later, bytes)`, and in which second the client's time is up, if it is.
#[track_caller]
fn check_time(pieces: &[(u64, &str)], expect: Option<u64>) {
    let settings = Settings {
        per_request_deadline: true,
        timeout: Duration::from_secs(10),
        min_data_rate: 10,
        ..Settings::default()
    };
    let mut drive = Drive::new(settings, local_peer(), permit);
    for line in ["EHLO x\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\n"] {
        drive.feed(line.as_bytes());
    }
    let (began, mut up) = (drive.now.mono, None);
    for (seconds, bytes) in pieces.iter().copied().chain([(1_000, "")]) {
        let due = drive.server.deadline().map(|due| due.since(began).as_secs());
        drive.wait(Duration::from_secs(seconds));
        if drive.closed {
            up = due;
            break;
        }
        drive.feed(bytes.as_bytes());
        if drive.closed {
            break;
        }
    }
    assert_eq!(up, expect, "{pieces:?}");
}

/// T2.2: `smtpd_per_request_deadline`, `smtpd_min_data_rate`.
#[test]
fn requests_have_deadlines() {
    // Nothing; a trickle; whole commands; the tail of what came together with another.
    check_time(&[], Some(10));
    check_time(&[(4, "N"), (4, "O"), (1, "O")], Some(10));
    check_time(&[(9, "NOOP\r\n"), (9, "NOOP\r\n"), (9, "QUIT\r\n")], None);
    check_time(&[(9, "RSET\r\nNO"), (9, "OP\r\n")], Some(28));
    check_time(&[(9, "RSET\r\nNO"), (11, "OP\r\n")], Some(19));
    // Content: 20 bytes earn two seconds; never more than ten ahead; the next command has ten again.
    check_time(&[(0, "DATA\r\n"), (4, "abc"), (4, "abc")], Some(10));
    check_time(&[(0, "DATA\r\n"), (4, "123456789012345678\r\n"), (4, "123456789012345678\r\n")], Some(14));
    check_time(&[(0, "DATA\r\n"), (4, &"1234567890".repeat(90))], Some(14));
    check_time(&[(0, "DATA\r\n"), (9, "x\r\n.\r\n")], Some(19));
    check_time(&[(0, "DATA\r\n"), (9, "x\r\n.\r\n"), (9, "QUIT\r\n")], None);
    // Chunks: a command's time ends with it, the bytes have their own.
    check_time(&[(9, "BDAT 50 LAST\r\n")], Some(19));
    check_time(&[(9, "BDAT 5\r\n"), (9, "abc\r\n"), (9, "BDAT 5 LAST\r\n"), (9, "abc\r\n")], Some(46));
    check_time(&[(0, "BDAT 500 LAST\r\n"), (4, "abcdefghijabcdefghij"), (4, "x")], Some(12));
}

#[test]
fn other_settings_may_come() {
    let mut drive = Drive::new(Settings::default(), local_peer(), permit);
    drive.server.adopt(Arc::new(Settings { hard_error_limit: 1, ..Settings::default() }));
    drive.feed(b"FOO\r\n");
    assert!(drive.out.ends_with(b"421 4.7.0 localhost Error: too many errors\r\n"));
    assert_eq!(drive.notes, [Note::TooManyErrors("UNKNOWN".to_owned())]);
}

#[test]
fn an_521_code_for_bare_newlines_disconnects() {
    let settings = Settings { forbid_bare_newline: BareNewline::Reject(521), ..Settings::default() };
    let mut drive = Drive::new(settings, local_peer(), permit);
    drive.feed(b"HELO x\r\n");
    drive.feed(b"MAIL FROM:<a@b>\r\n");
    drive.feed(b"RCPT TO:<c@d>\r\n");
    drive.feed(b"DATA\r\n");
    drive.feed(b"a\n.\r\n\r\n.\r\n");
    assert!(drive.out.ends_with(b"521 5.5.2 localhost Error: bare <LF> received\r\n"));
    assert!(drive.closed && drive.messages.is_empty() && drive.server.bare_newline_seen());
}

#[test]
fn refusals_of_several_lines_and_storage_failures() {
    let refuse = |request: &Request| match request {
        Request::Rcpt(_) => Verdict::Reject(Reply::new(550, Dsn::new(5, 7, 1), "one\ntwo")),
        Request::Vrfy { .. } => Verdict::PermitWith(Reply::new(252, Dsn::new(2, 0, 0), "maybe")),
        _ => Verdict::Permit,
    };
    let mut drive = Drive::new(Settings::default(), local_peer(), refuse);
    drive.feed(b"EHLO x\r\n");
    drive.feed(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nVRFY a\r\n");
    assert!(drive.out.ends_with(b"250 2.1.0 Ok\r\n550-5.7.1 one\r\n550 5.7.1 two\r\n252 2.0.0 maybe\r\n"));
}

#[test]
fn discarded_keywords_are_logged_as_postfix_does() {
    use crate::smtp::Keywords;
    for (words, logged) in [
        ("dsn chunking", Some("DSN CHUNKING")),
        ("vrfy size", Some("SIZE VRFY")),
        ("smtputf8", Some("EHLO_MASK_SMTPUTF8")),
        (
            "chunking xforward xclient pipelining auth starttls verp",
            Some("AUTH PIPELINING VERP XCLIENT XFORWARD STARTTLS CHUNKING"),
        ),
        (
            "dsn chunking pipelining size vrfy etrn 8bitmime",
            Some("8BITMIME ETRN PIPELINING SIZE VRFY DSN CHUNKING"),
        ),
        ("enhancedstatuscodes", None),
        ("dsn silent-discard", None),
    ] {
        let keywords =
            words.split(' ').map(|word| Keywords::named(word).unwrap()).fold(Keywords::NONE, Keywords::with);
        let settings = Settings { discard_ehlo_keywords: keywords, ..Settings::default() };
        let mut drive = Drive::new(settings, local_peer(), permit);
        drive.feed(b"EHLO x\r\n");
        let expect: Vec<Note> =
            logged.map(|names| Note::DiscardedKeywords(names.to_owned())).into_iter().collect();
        assert_eq!(drive.notes, expect, "{words}");
    }
}

#[test]
fn footers_and_filters() {
    let template =
        "\\c. Ask ${client_address}:$(client_port) at $localtime on $server_name$nobody for $$5\\nor not";
    let settings = Settings {
        reject_footer: Some(template.to_owned()),
        reject_footer_map: Some(Arc::new(|text| text.contains("RSET").then(|| "mapped".to_owned()))),
        reject_filter_map: Some(Arc::new(|text| {
            text.strip_prefix("503 5.5.1 ").map(|rest| format!("450 4.5.0 {rest}?"))
        })),
        ..Settings::default()
    };
    let expect = [
        BANNER,
        "250 localhost",
        "500-5.5.2 Error: command not recognized. Ask 127.0.0.1:40164 at Nov 14 22:13:20 on localhost for $5",
        "500 5.5.2 or not",
        "501-5.5.4 Syntax: RSET",
        "501 5.5.4 mapped",
        "450-4.5.0 Error: need MAIL command?. Ask 127.0.0.1:40164 at Nov 14 22:13:20 on localhost for $5",
        "450 4.5.0 or not",
    ];
    let drive = check(settings, "HELO x\nFOO\nRSET x\nRCPT TO:<a@b>\n", &expect);
    let (before, after) = ("503 5.5.1 Error: need MAIL command", "450 4.5.0 Error: need MAIL command?");
    assert_eq!(drive.notes, [Note::RejectFilter { before: before.to_owned(), after: after.to_owned() }]);
}

#[test]
fn ended_from_outside() {
    let settings = Settings { soft_error_limit: 1, ..Settings::default() };
    let mut drive = Drive::new(settings, local_peer(), permit);
    drive.feed(b"FOO\r\n");
    drive.feed(b"FOO\r\n");
    let reply = Reply::new(421, Dsn::new(4, 3, 2), "Service shutting down");
    drive.server.disconnect(&reply, &mut drive.out);
    let expect = "500 5.5.2 Error: command not recognized\r\n421 4.3.2 Service shutting down\r\n";
    assert!(drive.out.ends_with(expect.as_bytes()));
    assert_eq!(drive.server.poll(), Some(Action::Close));
}

#[test]
fn a_failed_handshake_is_a_lost_connection() {
    let now = Now { mono: Mono(0), wall: Wall(0) };
    let settings = Settings { tls: TlsLevel::May, ..Settings::default() };
    let mut server = Server::new(Arc::new(settings), local_peer(), now);
    let mut out = Vec::new();
    server.handle(now, Input::Decided(Verdict::Permit), &mut out);
    server.handle(now, Input::Bytes(b"STARTTLS\r\n"), &mut out);
    assert!(!server.wants_input(), "what comes now is for TLS");
    server.handle(now, Input::PeerClosed, &mut out);
    let actions: Vec<Action> = std::iter::from_fn(|| server.poll()).skip(1).collect();
    let lost = Action::Note(Note::LostConnection("STARTTLS".to_owned()));
    assert_eq!(actions, [Action::StartTls, lost, Action::Close]);
    assert_eq!(server.counters().to_string(), "starttls=0/1 commands=0/1");
}
