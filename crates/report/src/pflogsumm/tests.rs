//! What each kind of line is counted as. The whole text is compared with pflogsumm's own in `tests/`.

use super::address::{client_domain, fold, fold_verp, rank};
use super::{Options, Summary, Verp, reason};
use crate::Day;

const TODAY: Day = Day { year: 2026, month: 11, day: 23 };

fn report(options: Options, lines: &[&str]) -> String {
    let mut summary = Summary::new(options);
    for line in lines {
        let stamped = format!("Nov 22 01:00:01 mail postfix/{line}");
        summary.feed(stamped.as_bytes());
    }
    let mut out = Vec::new();
    summary.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn domains_of_clients() {
    for (client, domain) in [
        ("unknown[192.0.2.1]", Some("192.0.2.1")),
        ("[192.0.2.1]:25", Some("192.0.2.1")),
        ("mx.Example.COM[192.0.2.1]", Some("example.com")),
        ("a.b.example.co.uk[192.0.2.1]", Some("example.co.uk")),
        ("example.uk[192.0.2.1]", Some("example.uk")),
        ("a.b.example.uk[192.0.2.1]", Some("a.b.example.uk")),
        ("a.B.example[192.0.2.1]", Some("a.B.example")),
        ("localhost[127.0.0.1] ehlo=1", Some("localhost")),
        ("a.example[2001:db8::1]", Some("a.example")),
        ("a.example[2001:db8::1] ehlo=1", None),
        ("a.example[2001:db8::1] rcpt=0/1 commands=2/3", Some("a.example[2001:db8::1] rcpt=0")),
        ("a.example", None),
        ("a.example[]", None),
    ] {
        let found = client_domain(client.as_bytes());
        assert_eq!(found.as_deref(), domain.map(str::as_bytes), "{client}");
    }
}

#[test]
fn addresses_are_folded() {
    let (plain, uucp) = (Options::new(TODAY), Options { uucp: true, ..Options::new(TODAY) });
    let small = Options { ignore_case: true, ..Options::new(TODAY) };
    for (options, address, expect) in [
        (&plain, "Alice@Example.ORG", "Alice@example.org"),
        (&plain, "Alice", "Alice"),
        (&small, "Alice@Example.ORG", "alice@example.org"),
        (&uucp, "some.dom!user@foo", "foo!user@some.dom"),
        (&uucp, "a!b!c@d", "d!a!c@b"),
        (&uucp, "a!b@c.example", "a!b@c.example"),
        (&uucp, "!a@b", "!a@b"),
        (&uucp, "a!@b", "a!@b"),
    ] {
        let mut out = Vec::new();
        fold(address.as_bytes(), options, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expect, "{address}");
    }
    for (sender, numbers, recipients) in [
        ("list-return-12-u=d.x@h", "list-return-ID-u=d.x@h", "list-return-ID@h"),
        ("bounce_1.2-x@b", "bounce-ID-x@b", "bounce-ID-x@b"),
        ("bounce-1x@b", "bounce-1x@b", "bounce-1x@b"),
        ("no-1@b", "no-1@b", "no-1@b"),
        ("a@10.2.3.4", "a@10-ID", "a@10-ID"),
        ("a-b=c@d", "a-b=c@d", "a@d"),
    ] {
        for (verp, expect) in [(Verp::Numbers, numbers), (Verp::Recipients, recipients)] {
            let mut folded = sender.as_bytes().to_vec();
            fold_verp(&mut folded, verp);
            assert_eq!(String::from_utf8_lossy(&folded), expect, "{sender}");
        }
    }
}

#[test]
fn names_are_ranked() {
    let sorted =
        ["1.2.3.4 foo", "1.2.3.10", "9.9.9.9", "10.2.3.4", "999.1", "x.1", "b.a", "user@b.a", "b", "a.b"];
    let rank = |name: &[u8]| {
        let mut out = Vec::new();
        rank(name, &mut out);
        out
    };
    for (one, other) in sorted.iter().zip(sorted.iter().skip(1)) {
        assert!(rank(one.as_bytes()) < rank(other.as_bytes()), "{one} {other}");
    }
    assert_eq!(rank(b"A.b c d"), rank(b"a.B"));
    // Numbers above any byte, and the largest byte.
    for (one, other) in [
        (&b"\xfe"[..], &b"\xff"[..]),
        (b"\xff", b"256.0.0.0"),
        (b"\xffz", b"256.0.0.0"),
        (b"255.0.0.0", b"\xffz"),
    ] {
        assert!(rank(one) < rank(other), "{one:?} {other:?}");
    }
}

#[test]
fn reasons_are_cut() {
    let deferral =
        |text: &str| String::from_utf8_lossy(&reason::deferral(text.as_bytes(), false)).into_owned();
    let bounce = |text: &str| String::from_utf8_lossy(&reason::bounce(text.as_bytes(), false)).into_owned();
    assert_eq!(
        deferral(" (connect to a[192.0.2.1]:25: Connection refused)"),
        "a[192.0.2.1]:25: Connection refused"
    );
    assert_eq!(deferral(" (450 4.2.0 a (b) c)"), "4.2.0 a (b");
    assert_eq!(bounce(" (450 4.2.0 a (b) c)"), "4.2.0 a (b) c");
    assert_eq!(deferral(&format!(" ({})", "x".repeat(66))), format!("{}...", "x".repeat(62)));
    assert_eq!(bounce(&format!(" ({})", "x".repeat(66))), "x".repeat(66));
    assert_eq!(deferral(""), "");
    for (command, text, expect) in [
        (
            "RCPT",
            "450 4.7.1 Client host rejected: cannot find your hostname, [192.0.2.9]; from=<a>",
            "cannot find your hostname",
        ),
        (
            "RCPT",
            "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using z; h; from=<a>",
            "blocked using z",
        ),
        (
            "RCPT",
            "450 4.1.1 <a@b>: Recipient address rejected: unverified address: x; from=<a>",
            "Recipient address rejected: unverified address",
        ),
        (
            "RCPT",
            "452 4.3.1 Insufficient system storage; from=<a>",
            "452 4.3.1 Insufficient system storage; from=<a>",
        ),
        ("MAIL", "452 4.3.1 Insufficient system storage; from=<a>", "4.3.1 Insufficient system storage"),
        ("EHLO", "504 5.5.2 <h>: Helo command rejected: x; proto=SMTP helo=<h>", "proto=SMTP helo=<h>"),
    ] {
        assert_eq!(
            String::from_utf8_lossy(&reason::refusal(command.as_bytes(), text.as_bytes())),
            expect,
            "{text}"
        );
    }
}

#[test]
fn a_message_is_counted_once() {
    let queued = "qmgr[1]: A1: from=<a@example.org>, size=600000, nrcpt=1 (queue active)";
    let text = report(
        Options::new(TODAY),
        &[
            "smtpd[1]: A1: client=mx.example.org[192.0.2.1]",
            queued,
            queued,
            "local[1]: A1: to=<b@example.com>, relay=local, delay=1.2, status=sent (ok)",
            "local[1]: A1: to=<b@example.com>, relay=local, delay=1.2, status=sent (forwarded as B2)",
        ],
    );
    for line in [
        "      1   received\n",
        "      1   delivered\n",
        "      1   forwarded\n",
        "    585k  bytes received\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

#[test]
fn lines_that_are_no_mail_are_passed_over() {
    let mut summary = Summary::new(Options::new(TODAY));
    let nothing = {
        let mut out = Vec::new();
        summary.write(&mut out).unwrap();
        out
    };
    let long = vec![b'x'; 1 << 20];
    for line in [&b""[..], b"Nov 22", b"Nov 22 01:00:01 mail sshd[1]: warning: x", b"\xff\xfe\0", &long] {
        summary.feed(line);
    }
    let mut out = Vec::new();
    summary.write(&mut out).unwrap();
    assert_eq!(out, nothing);
}

#[test]
fn any_bytes_are_taken() {
    let start = b"Nov 22 01:00:01 mail postfix/smtpd[1]: NOQUEUE: reject: RCPT from a[192.0.2.1]: 450 <x>: Sender address rejected: y; from=<bounce-1-a=b@c> to=<d>";
    let options = Options {
        verp: Some(Verp::Recipients),
        uucp: true,
        extended: true,
        smtpd_stats: true,
        ..Options::new(TODAY)
    };
    let mut summary = Summary::new(options);
    for end in 0..=start.len() {
        summary.feed(start.get(..end).unwrap());
        for byte in [0, b':', b'[', b'>', 0xff] {
            let mut broken = start.to_vec();
            if let Some(at) = broken.get_mut(end) {
                *at = byte;
            }
            summary.feed(&broken);
        }
    }
    summary.write(&mut Vec::new()).unwrap();
}
