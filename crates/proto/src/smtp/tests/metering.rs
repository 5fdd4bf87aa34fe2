//! Where commands are counted, and what a client hears that has had too many.

use crate::smtp::drive::{Drive, local_peer};
use crate::smtp::{AuthSettings, Meter, Metered, Note, Request, Settings, TlsLevel, TooMany, Verdict};
use mail::Now;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn permit(_: &Request) -> Verdict {
    Verdict::Permit
}

/// Allows so many of each.
#[derive(Debug)]
struct Allowance {
    left: Mutex<[u32; 3]>,
    tls: bool,
}

impl Meter for Allowance {
    fn count(&self, event: Metered, _: Now) -> Option<TooMany> {
        let mut left = self.left.lock().unwrap();
        let left = &mut left[event as usize];
        let over = *left == 0;
        *left = left.saturating_sub(1);
        over.then_some(TooMany { limit: "Some rate", count: 7 })
    }

    fn refuses_tls(&self, _: Now) -> bool {
        !self.tls
    }
}

fn drive(settings: Settings, [messages, recipients, auths]: [u32; 3]) -> Drive {
    let settings = Settings { error_sleep_time: Duration::ZERO, hard_error_limit: 100, ..settings };
    let mut drive = Drive::new(settings, local_peer(), permit);
    let left = Mutex::new([messages, recipients, auths]);
    drive.server.set_meter(Some(Arc::new(Allowance { left, tls: false })));
    drive.out.clear();
    drive
}

/// Each line alone, and the code that comes back.
#[track_caller]
fn check(drive: &mut Drive, script: &[(&str, &str)]) {
    for (line, expect) in script {
        drive.feed(format!("{line}\r\n").as_bytes());
        let out = String::from_utf8(std::mem::take(&mut drive.out)).unwrap();
        assert!(out.starts_with(expect), "{line}: {out}");
    }
}

const MAIL_450: &str = "450 4.7.1 Error: too much mail from 127.0.0.1\r\n";
const RCPT_450: &str = "450 4.7.1 Error: too many recipients from 127.0.0.1\r\n";
const AUTH_450: &str = "450 4.7.1 Error: too many AUTH commands from 127.0.0.1\r\n";

/// T2.3: by trial with Postfix 3.7.11.
#[test]
fn what_counts_and_when() {
    let settings = Settings { helo_required: true, recipient_limit: 1, ..Settings::default() };
    let mut one = drive(settings, [2, 4, 0]);
    check(
        &mut one,
        &[
            ("MAIL FROM:<a@b>", "503 5.5.1 Error: send HELO"),
            ("HELO x", "250"),
            ("MAIL", "501"),
            ("MAIL FROM:", "501"),
            ("MAIL FROM:<bogus syntax>", "501 5.1.7"),
            ("MAIL FROM:<a@b>", "250"),
            ("MAIL FROM:<a@b>", "503 5.5.1 Error: nested"),
            ("RCPT", "501"),
            ("RCPT TO:<bogus syntax>", "501 5.1.3"),
            ("RCPT TO:<c@d>", "250"),
            ("RCPT TO:<c@d>", "452 4.5.3"),
            ("VRFY", "501"),
            ("VRFY c@d", "252"),
            ("VRFY c@d", RCPT_450),
            ("RCPT TO:<c@d>", RCPT_450),
            ("RCPT TO:<bogus syntax>", RCPT_450),
            ("RCPT TO:", "501"),
            ("DATA", "354"),
            (".", "250"),
            ("MAIL FROM:<a@b>", MAIL_450),
            ("MAIL FROM:<bogus syntax>", MAIL_450),
            ("MAIL FROM:<a@b> FOO=1", MAIL_450),
            ("MAIL", "501"),
            ("ETRN b.example", "250"),
            ("QUIT", "221"),
        ],
    );
    let excess = Note::LimitExceeded { limit: "Some rate", count: 7 };
    assert_eq!(one.notes.iter().filter(|note| **note == excess).count(), 6);
}

#[test]
fn auth_and_tls() {
    let mechanisms = vec!["PLAIN".to_owned()];
    let auth = AuthSettings {
        mechanisms: mechanisms.clone(),
        mechanisms_tls: mechanisms,
        ..AuthSettings::default()
    };
    let settings = Settings { auth: Some(auth), tls: TlsLevel::May, ..Settings::default() };
    let mut one = drive(settings, [9, 9, 1]);
    check(
        &mut one,
        &[
            ("EHLO x", "250"),
            ("AUTH", "501 5.5.4 Syntax: AUTH mechanism"),
            ("AUTH", AUTH_450),
            ("MAIL FROM:<a@b>", "250"),
            ("AUTH PLAIN AGEAYg==", AUTH_450),
            ("STARTTLS now", "501"),
            ("STARTTLS", "454 4.7.0 Error: too many new TLS sessions from unknown[127.0.0.1]\r\n"),
        ],
    );
    assert!(one.notes.contains(&Note::StartTlsRefused));
    let mut off = drive(Settings::default(), [9, 9, 0]);
    check(&mut off, &[("AUTH PLAIN", "503 5.5.1 Error: authentication not enabled"), ("STARTTLS", "502")]);
}
