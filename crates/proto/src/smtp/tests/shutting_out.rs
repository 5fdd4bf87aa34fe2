//! A client that is shut out in the middle of its session: what it hears, and what becomes of what it had begun. T2.19.

use crate::smtp::drive::{Drive, local_peer};
use crate::smtp::{Action, AuthSettings, Input, Request, Server, Settings, Verdict};
use mail::{Dsn, Mono, Now, Reply, Wall};
use std::sync::Arc;
use std::time::Duration;

const LAST: &str = "421 4.7.0 mx.example.com Error: too many failures, your network is shut out for now\r\n";
const ENVELOPE: &str = "EHLO c\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\n";

fn settings() -> Settings {
    let auth = AuthSettings { mechanisms: vec!["LOGIN".to_owned()], ..AuthSettings::default() };
    Settings {
        hostname: "mx.example.com".to_owned(),
        forbid_unauth_pipelining: false,
        auth: Some(auth),
        ..Settings::default()
    }
}

fn permit(_: &Request) -> Verdict {
    Verdict::Permit
}

/// After `said`, the last word ends everything, with so many messages kept.
#[track_caller]
fn check(said: &str, messages: usize) {
    let mut drive = Drive::new(settings(), local_peer(), permit);
    drive.feed(said.as_bytes());
    drive.out.clear();
    drive.server.shut_out(&mut drive.out);
    drive.feed(b"NOOP\r\n");
    assert_eq!(String::from_utf8_lossy(&drive.out), LAST, "{said}");
    assert!(drive.closed, "{said}");
    assert_eq!(drive.messages.len(), messages, "{said}");
    let was_dropped = drive.actions.iter().any(|action| action == "Abort");
    assert_eq!(was_dropped, said.contains("MAIL") && messages == 0, "{said}: {:?}", drive.actions);
    drive.server.shut_out(&mut drive.out);
    assert_eq!(String::from_utf8_lossy(&drive.out), LAST, "said once");
}

#[test]
fn wherever_it_is() {
    check("", 0);
    check("EHLO c\r\n", 0);
    check("EHLO c\r\nAUTH LOGIN\r\n", 0);
    check(ENVELOPE, 0);
    check(&format!("{ENVELOPE}DATA\r\nSubject: x\r\n\r\nhalf"), 0);
    check(&format!("{ENVELOPE}BDAT 100\r\nhalf"), 0);
    check(&format!("{ENVELOPE}BDAT 4 LAST\r\nhalf"), 1);
    check(&format!("{ENVELOPE}DATA\r\nSubject: x\r\n\r\nwhole\r\n.\r\n"), 1);
}

fn now() -> Now {
    Now { mono: Mono(1_000_000_000), wall: Wall::from_seconds(1_700_000_000) }
}

/// Takes actions and permits what is asked, until `wanted` is to be done.
fn until(server: &mut Server, out: &mut Vec<u8>, wanted: fn(&Action) -> bool) {
    while let Some(action) = server.poll() {
        if wanted(&action) {
            return;
        }
        if matches!(action, Action::Decide(_)) {
            server.handle(now(), Input::Decided(Verdict::Permit), out);
        }
    }
    panic!("never came to it");
}

/// Whoever may hear 250 hears it, and then the last word.
#[test]
fn a_whole_message_is_seen_through() {
    let mut out = Vec::new();
    let mut server = Server::new(Arc::new(settings()), local_peer(), now());
    let said = format!("{ENVELOPE}DATA\r\nSubject: x\r\n\r\nwhole\r\n.\r\nNOOP\r\n");
    server.handle(now(), Input::Bytes(said.as_bytes()), &mut out);
    until(&mut server, &mut out, |action| matches!(action, Action::Commit));
    out.clear();
    server.shut_out(&mut out);
    assert!(out.is_empty());
    server.handle(now(), Input::Stored(Ok("4Zk3nq2bXPzJrm".to_owned())), &mut out);
    server.shut_out(&mut out);
    let text = String::from_utf8_lossy(&out).into_owned();
    assert!(text.starts_with("250 2.0.0 Ok: queued as 4Zk3nq2bXPzJrm\r\n") && text.ends_with(LAST), "{text}");
}

/// What it had asked is not asked any more.
#[test]
fn questions_that_wait_are_dropped() {
    let mut out = Vec::new();
    let mut server = Server::new(Arc::new(settings()), local_peer(), now());
    until(&mut server, &mut out, |action| matches!(action, Action::Decide(Request::Connect)));
    server.handle(now(), Input::Decided(Verdict::Permit), &mut out);
    server.handle(now(), Input::Bytes(b"EHLO c\r\nAUTH LOGIN\r\n"), &mut out);
    until(&mut server, &mut out, |action| matches!(action, Action::Decide(_)));
    server.handle(now(), Input::Decided(Verdict::Permit), &mut out);
    out.clear();
    server.shut_out(&mut out);
    assert_eq!(String::from_utf8_lossy(&out), LAST);
    assert!(matches!(server.poll(), Some(Action::Close)));
    assert!(server.poll().is_none());
}

/// A reply that is held back goes first.
#[test]
fn held_replies_are_said() {
    let settings = Settings { soft_error_limit: 0, error_sleep_time: Duration::from_secs(10), ..settings() };
    let mut drive = Drive::new(settings, local_peer(), permit);
    drive.feed(b"NONSENSE\r\n");
    assert!(drive.out.is_empty(), "held");
    drive.server.shut_out(&mut drive.out);
    let text = String::from_utf8_lossy(&drive.out).into_owned();
    assert!(text.starts_with("220 ") && text.ends_with(LAST), "{text}");
    assert!(matches!(drive.server.poll(), Some(Action::Close)));
}

/// The reply to what led to it is the last one; who isn't shut out after all goes on.
#[test]
fn nothing_behind_is_answered() {
    for is_shut_out in [true, false] {
        let mut out = Vec::new();
        let mut server = Server::new(Arc::new(settings()), local_peer(), now());
        until(&mut server, &mut out, |action| matches!(action, Action::Decide(Request::Connect)));
        server.handle(now(), Input::Decided(Verdict::Permit), &mut out);
        out.clear();
        server.handle(now(), Input::Bytes(b"HELO c\r\nRSET\r\nRSET\r\n"), &mut out);
        until(&mut server, &mut out, |action| matches!(action, Action::Decide(_)));
        server.answer_no_more();
        let no = Reply::new(550, Dsn::new(5, 7, 1), "no");
        server.handle(now(), Input::Decided(Verdict::Reject(no)), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), "550 5.7.1 no\r\n");
        assert_eq!(server.deadline(), Some(Mono(0)));
        out.clear();
        if is_shut_out {
            server.shut_out(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), LAST);
        } else {
            server.expire(now(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), "250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n");
        }
    }
}
