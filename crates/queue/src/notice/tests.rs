//! Who is told what; each line is what Debian's Postfix 3.7 was seen to do.

use super::*;
use crate::entry::{How, NOTIFY_NEVER, NOTIFY_SUCCESS, Reason};
use mail::{Dsn, QueueId};

const ARRIVAL: Wall = Wall(1_621_000_000_000_000);

fn settings() -> Settings {
    let address = |text: &str| Address::from_internal(text);
    Settings {
        delay_warning: Duration::from_secs(3600),
        double_bounce: address("double-bounce@mx.example.com"),
        one_bounce_for_verp: false,
        bounce_copies: Some(address("copies")),
        double_bounces: Some(address("second")),
        delay_copies: Some(address("delays")),
    }
}

fn entry(sender: &str, recipients: &[(u8, Status)]) -> Entry {
    let recipients = recipients.iter().zip(0..).map(|((notify, status), index): (_, u32)| {
        let address = Address::from_internal(format!("r{index}@far.test"));
        Recipient { notify: *notify, status: status.clone(), ..Recipient::new(address) }
    });
    let sender = Address::from_internal(sender);
    Entry::new(QueueId::short(ARRIVAL, 1), ARRIVAL, sender, recipients.collect())
}

/// One line for each notice: subject, audience, address, content, recipients.
fn check(entry: &Entry, after_s: u64, settings: &Settings, expect: &[&str]) -> Telling {
    let telling = Telling::of(entry, ARRIVAL + Duration::from_secs(after_s), settings);
    let lines: Vec<String> = telling
        .notices
        .iter()
        .map(|notice| {
            let Notice { subject, audience, to, content, recipients } = notice;
            format!("{subject:?} {audience:?} {} {content:?} {recipients:?}", to.as_str())
        })
        .collect();
    assert_eq!(lines, expect);
    telling
}

fn reason() -> Reason {
    Reason::new(Dsn::new(5, 1, 1), "no")
}

fn failed() -> Status {
    Status::Failed(reason())
}

fn deferred() -> Status {
    Status::Deferred(reason())
}

#[test]
fn failures() {
    let all = settings();
    let quiet = Settings { bounce_copies: None, double_bounces: None, delay_copies: None, ..settings() };
    let plain = entry("a@x.test", &[(0, failed()), (0, Status::Delivered), (0, Status::Expired(reason()))]);
    let apart = ["Failure Sender a@x.test Full [0]", "Failure Sender a@x.test Full [2]"];
    let told = check(&plain, 0, &quiet, &apart);
    assert_eq!(told.told, [(0, Status::Returned), (2, Status::Returned)]);
    check(
        &plain,
        0,
        &all,
        &[
            "Failure Sender a@x.test Full [0]",
            "Failure Postmaster copies Headers [0]",
            "Failure Sender a@x.test Full [2]",
            "Failure Postmaster copies Headers [2]",
        ],
    );
    let mut headers = entry("a@x.test", &[(0, failed()), (0, failed())]);
    headers.return_content = Some(ReturnContent::Headers);
    check(&headers, 0, &quiet, &["Failure Sender a@x.test Headers [0, 1]"]);
    // RFC 3461 §4.1: who didn't ask for it isn't told, and the message can go all the same.
    let asked = [(NOTIFY_NEVER, failed()), (NOTIFY_DELAY, failed()), (NOTIFY_FAILURE, failed())];
    let told = check(&entry("a@x.test", &asked), 0, &quiet, &["Failure Sender a@x.test Full [2]"]);
    assert_eq!(told.told.len(), 3);
    let never = entry("a@x.test", &[(NOTIFY_NEVER, failed())]);
    assert_eq!(check(&never, 0, &quiet, &[]).told.len(), 1);
    check(&never, 0, &all, &["Failure Postmaster copies Headers [0]"]);
}

#[test]
fn never_to_the_null_sender() {
    let null = entry("", &[(NOTIFY_NEVER, failed())]);
    check(&null, 0, &settings(), &["Failure Postmaster second Full [0]"]);
    let quiet = Settings { double_bounces: None, ..settings() };
    let told = check(&null, 0, &quiet, &[]);
    assert_eq!((told.told.len(), told.discarded), (1, false));
    let copy = entry("Double-Bounce@mx.example.com", &[(0, failed())]);
    let told = check(&copy, 0, &settings(), &[]);
    assert_eq!((told.told.len(), told.discarded), (1, true));
    let success = entry("", &[(NOTIFY_SUCCESS, Status::Confirmed(How::Delivered, reason()))]);
    assert_eq!(check(&success, 0, &settings(), &[]).told, [(0, Status::Delivered)]);
    for sender in ["", "double-bounce@mx.example.com"] {
        check(&entry(sender, &[(0, deferred())]), 9999, &settings(), &[]);
    }
}

#[test]
fn successes_come_behind_failures() {
    let mixed = [
        (NOTIFY_SUCCESS, Status::Confirmed(How::Relayed, reason())),
        (NOTIFY_SUCCESS | NOTIFY_FAILURE, failed()),
    ];
    let mut mixed = entry("a@x.test", &mixed);
    mixed.return_content = Some(ReturnContent::Full);
    let quiet = Settings { bounce_copies: None, ..settings() };
    check(&mixed, 0, &quiet, &["Failure Sender a@x.test Full [1]", "Success Sender a@x.test Headers [0]"]);
}

#[test]
fn delays_are_told_once() {
    let mut late =
        entry("a@x.test", &[(0, deferred()), (NOTIFY_FAILURE, deferred()), (0, Status::Delivered)]);
    assert!(check(&late, 3598, &settings(), &[]).is_empty());
    let expect = ["Delay Sender a@x.test Headers [0]", "Delay Postmaster delays Headers [0, 1]"];
    assert!(check(&late, 3599, &settings(), &expect).warned);
    late.warned = true;
    check(&late, 9999, &settings(), &[]);
    let off = Settings { delay_warning: Duration::ZERO, ..settings() };
    late.warned = false;
    check(&late, 9999, &off, &[]);
    let nobody = entry("a@x.test", &[(NOTIFY_NEVER, deferred())]);
    let quiet = Settings { delay_copies: None, ..settings() };
    assert!(check(&nobody, 9999, &quiet, &[]).warned, "it isn't asked again");
}

#[test]
fn verp() {
    let mut list = entry("owner@x.test", &[(0, failed()), (0, failed())]);
    list.verp = Some("+=".to_owned());
    let expect = [
        "Failure Sender owner+r0=far.test@x.test Full [0]",
        "Failure Postmaster copies Headers [0]",
        "Failure Sender owner+r1=far.test@x.test Full [1]",
        "Failure Postmaster copies Headers [1]",
    ];
    check(&list, 0, &settings(), &expect);
    let quiet = Settings { bounce_copies: None, ..settings() };
    let one = Settings { one_bounce_for_verp: true, ..quiet };
    check(&list, 0, &one, &["Failure Sender owner@x.test Full [0, 1]"]);
}

#[test]
fn traces() {
    let confirmed = || Status::Confirmed(How::Delivered, reason());
    let statuses = [(0, confirmed()), (NOTIFY_NEVER, failed()), (0, deferred()), (0, Status::Pending)];
    let mut verbose = entry("a@x.test", &statuses);
    verbose.trace = Some(Trace::Record);
    let quiet = Settings { bounce_copies: None, delay_copies: None, ..settings() };
    let told = check(&verbose, 0, &quiet, &["Trace Sender a@x.test Headers [0, 1, 2]"]);
    assert_eq!(told.told, [(1, Status::Returned), (0, Status::Delivered)]);
    assert_eq!(told.since(), [Note::Traced]);
    verbose.recipients.iter_mut().for_each(|recipient| recipient.notify = 0);
    let both = ["Failure Sender a@x.test Full [1]", "Trace Sender a@x.test Headers [0, 1, 2]"];
    check(&verbose, 0, &quiet, &both);
    // Only the first try is told of.
    verbose.apply(Note::Traced);
    verbose.recipients.remove(0);
    check(&verbose, 0, &quiet, &["Failure Sender a@x.test Full [0]"]);

    let mut probe = entry("a@x.test", &[(0, confirmed()), (0, failed())]);
    probe.trace = Some(Trace::Probe);
    let told = check(&probe, 0, &settings(), &["Trace Sender a@x.test Headers [0, 1]"]);
    assert_eq!(told.told, [(0, Status::Delivered), (1, Status::Returned)]);
    probe.sender = Address::null();
    assert_eq!(check(&probe, 0, &settings(), &[]).told.len(), 2);
}
