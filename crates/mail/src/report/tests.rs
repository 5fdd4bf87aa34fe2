//! A whole report as Debian's Postfix 3.7 wrote it, its folding, and where headers end.

use super::*;
use crate::time::{Zone, rfc5322};
use proptest::prelude::*;

const WHOLE: &str = r#"Received: by mx.example.com (Postfix)
	id B3439545; Sun, 22 Nov 2026 11:36:10 +0000 (UTC)
Date: Sun, 22 Nov 2026 11:36:10 +0000 (UTC)
From: Mail Delivery System <MAILER-DAEMON@mx.example.com>
Subject: Undelivered Mail Returned to Sender
To: "q q"@sender.test
References: <orig@sender.test>
In-Reply-To: <orig@sender.test>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="A81DA543.1795347370/mx.example.com"
Content-Transfer-Encoding: 8bit
Message-Id: <20261122113610.B3439545@mx.example.com>

This is a MIME-encapsulated message.

--A81DA543.1795347370/mx.example.com
Content-Description: Notification
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Some words.

<bad@far.test> (expanded from <list@alias.test>): host 127.0.0.1[127.0.0.1]
    said: 550-5.1.1 no such 550 5.1.1 user <here> (really) (in reply to RCPT TO
    command)

<late@far.test>: connect to 127.0.0.1[127.0.0.1]:1: Connection refused

--A81DA543.1795347370/mx.example.com
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com
Original-Envelope-Id: QQ+314
X-Postfix-Queue-ID: A81DA543
X-Postfix-Sender: rfc822; "q q"@sender.test
Arrival-Date: Sun, 22 Nov 2026 11:36:09 +0000 (UTC)

Final-Recipient: rfc822; bad@far.test
Original-Recipient: rfc822;Foo+bar@orig.test
Action: failed
Status: 5.1.1
Remote-MTA: dns; 127.0.0.1
Diagnostic-Code: smtp; 550-5.1.1 no such 550 5.1.1 user <here> (really)

Final-Recipient: rfc822; late@far.test
Original-Recipient: rfc822;late@far.test
Action: delayed
Status: 4.4.1
Diagnostic-Code: X-Postfix; connect to 127.0.0.1[127.0.0.1]:1: Connection
    refused
Will-Retry-Until: Sun, 22 Nov 2026 11:37:09 +0000 (UTC)

--A81DA543.1795347370/mx.example.com
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers
Content-Transfer-Encoding: 8bit

Return-Path: <"q q"@sender.test>
"#;

const NOW: Wall = Wall(1_795_347_370_123_456);

fn id(text: &str) -> QueueId {
    text.parse().expect("an id")
}

fn address(text: &str) -> Address {
    Address::from_internal(text)
}

/// The report with its parts changed by `change`.
fn head(change: impl FnOnce(&mut Report<'_>)) -> String {
    let date = |wall: Wall| rfc5322(wall, &Zone::utc());
    let (own, message) = (id("B3439545"), id("A81DA543"));
    let (sender, bad, list, late) = (
        address("q q@sender.test"),
        address("bad@far.test"),
        address("list@alias.test"),
        address("late@far.test"),
    );
    let mut report = Report {
        id: &own,
        now: NOW,
        date: &date,
        hostname: "mx.example.com",
        mail_name: "Postfix",
        from: "Mail Delivery System <MAILER-DAEMON@mx.example.com>",
        subject: "Undelivered Mail Returned to Sender",
        to: &sender,
        is_copy: false,
        is_trace: false,
        thread: Some("<orig@sender.test>"),
        text: "Some words.\n",
        charset: "utf-8",
        encoding: Some("8bit"),
        message: Message {
            id: &message,
            sender: &sender,
            arrival: Wall::from_seconds(NOW.seconds() - 1),
            envelope_id: Some("QQ+314"),
            smtputf8: false,
        },
        recipients: vec![
            Recipient {
                address: &bad,
                original: &list,
                orcpt: Some("rfc822;Foo+bar@orig.test"),
                action: Action::Failed,
                status: Dsn::new(5, 1, 1),
                text: "host 127.0.0.1[127.0.0.1] said: 550-5.1.1 no such 550 5.1.1 user <here> (really) \
                       (in reply to RCPT TO command)"
                    .into(),
                remote: Some(("127.0.0.1", "550-5.1.1 no such 550 5.1.1 user <here> (really)")),
                retried_until: None,
            },
            Recipient {
                address: &late,
                original: &late,
                orcpt: None,
                action: Action::Delayed,
                status: Dsn::new(4, 4, 1),
                text: "connect to 127.0.0.1[127.0.0.1]:1: Connection refused".into(),
                remote: None,
                retried_until: Some(Wall::from_seconds(NOW.seconds() + 59)),
            },
        ],
        returned: Returned::Header,
    };
    assert_eq!(report.tail(), "\n--A81DA543.1795347370/mx.example.com--\n");
    change(&mut report);
    report.head()
}

#[test]
fn as_postfix_writes_it() {
    assert_eq!(head(|_| {}), WHOLE);
    let copy = head(|report| report.is_copy = true);
    assert!(copy.contains("Auto-Submitted: auto-generated\n") && !copy.contains("Some words"), "{copy}");
    assert!(copy.contains("Content-Transfer-Encoding: 8bit\n\n\n<bad@far.test> (exp"), "{copy}");
    let plain = head(|report| (report.thread, report.encoding, report.charset) = (None, None, "us-ascii"));
    assert!(!plain.contains("References") && !plain.contains("Transfer-Encoding"), "{plain}");
    let global = head(|report| {
        (report.message.smtputf8, report.returned) = (true, Returned::Message);
    });
    for line in [
        "Content-Type: message/global-delivery-status\nContent-Transfer-Encoding: 8bit\n\nReporting-MTA",
        "Content-Description: Undelivered Message\nContent-Type: message/global\n",
    ] {
        assert!(global.contains(line), "{global}");
    }
    static NULL: Address = Address::null();
    let null = head(|report| report.message.sender = &NULL);
    assert!(null.ends_with("Return-Path: <MAILER-DAEMON@mx.example.com>\n"), "{null}");
}

/// What programs of this machine and clients wrote into the envelope adds no header.
#[test]
fn texts_of_the_envelope_stay_in_their_lines() {
    let odd = head(|report| {
        report.message.envelope_id = Some("a\nInjected: 1");
        for recipient in &mut report.recipients {
            recipient.orcpt = Some("rfc822;a\r\n\r\nInjected: 2");
        }
    });
    assert!(!odd.contains("\nInjected") && !odd.contains('\r'), "{odd}");
    assert!(odd.contains("\nOriginal-Envelope-Id: a Injected: 1\n"), "{odd}");
    assert!(odd.contains("\nOriginal-Recipient: rfc822;a    Injected: 2\n"), "{odd}");
}

#[test]
fn folding() {
    let check = |text: &str, expect: &str| {
        let mut out = String::new();
        fold(text, &mut out);
        assert_eq!(out, expect);
    };
    let (x60, x78, x79) = ("x".repeat(60), "x".repeat(78), "x".repeat(79));
    check("", "\n");
    check("a  b", "a  b\n");
    check(&x79, &format!("{x79}\n"));
    check(&format!("{x78} y"), &format!("{x78}\n    y\n"));
    check(&format!("a {x79} b"), &format!("a\n    {x79}\n    b\n"));
    check(&format!("{x60} {x60} 345678901234 y"), &format!("{x60}\n    {x60} 345678901234 y\n"));
    check(&format!("{x60} {x60} 3456789012345 y"), &format!("{x60}\n    {x60} 3456789012345\n    y\n"));
}

proptest! {
    #[test]
    fn folding_keeps_words(text in "[a-z ]{0,300}") {
        let mut out = String::new();
        fold(&text, &mut out);
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(words(&out), words(&text));
        let long = |line: &&str| line.len() > WIDTH_MAX && line.trim().contains(' ');
        prop_assert!(out.lines().find(long).is_none());
    }

    #[test]
    fn the_header_ends_at_the_first_blank_line(text in "(a?\n?){0,12}", size in 1usize..5) {
        let expect = match text.starts_with('\n') {
            true => 0,
            false => text.find("\n\n").map_or(text.len(), |at| at + 1),
        };
        let (mut end, mut taken) = (HeaderEnd::default(), 0);
        for piece in text.as_bytes().chunks(size) {
            let (count, done) = end.feed(piece);
            taken += count;
            if done { break; }
        }
        prop_assert_eq!(taken, expect);
    }
}

const WIDTH_MAX: usize = 79;
