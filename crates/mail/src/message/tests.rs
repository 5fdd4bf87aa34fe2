//! Each case was sent through Postfix 3.7 and read from the Maildir. T1.13.

use super::*;
use std::sync::Arc;

fn clean(message: &str, missing: Option<MissingHeaders>, size: usize) -> (String, Summary) {
    let mut cleanup = Cleanup::new(Arc::new(CleanupSettings::default()), missing);
    let mut out = Vec::new();
    for part in message.as_bytes().chunks(size) {
        cleanup.feed(part, &mut out);
    }
    let summary = cleanup.finish(&mut out);
    (String::from_utf8_lossy(&out).into_owned(), summary)
}

fn check(message: &str, expect: &str) {
    for size in [1, 2, 3, 7, 4096] {
        assert_eq!(clean(message, None, size).0, expect, "chunks of {size}");
    }
}

fn same(message: &str) {
    check(message, message);
}

#[test]
fn from_the_network() {
    same("Subject: x\nFrom: a@b\n\nbody\n");
    same("\nbody\n");
    same("");
    same("Subject: x\n");
    same("Subject:\nX:\n\nb\n");
    same("Subject: a\n\tb\n   \n c\nTo: x\n\nb\n");
    same("Subject: a\n   \nTo: x\n\nb\n");
    same("To: z\nDelivered-To: q@q\nX-Original-To: k\nStatus: R\n\nb\n");
    same("Content-Type: multipart/mixed; boundary=x\n\npre\n--x\nBcc: inner\nnot header\n\nb\n--x--\n");
    same("Subject: \u{e9}\u{1}\nTo: x\n\nb\n");
}

#[test]
fn text_where_a_header_should_be() {
    check("body line\nmore\n", "\nbody line\nmore\n");
    check(" cont\nSubject: x\n\nb\n", "\n cont\nSubject: x\n\nb\n");
    check("   \nC: d\n\nb\n", "\n   \nC: d\n\nb\n");
    check("Subject: x\nnot a header\nFrom: y\n\nb\n", "Subject: x\n\nnot a header\nFrom: y\n\nb\n");
    check("Subject:\nX:\n:y\n\nb\n", "Subject:\nX:\n\n:y\n\nb\n");
    check("Subj\u{e9}ct: a\nTo: x\n\nb\n", "\nSubj\u{e9}ct: a\nTo: x\n\nb\n");
    check("Sub\u{1}j: a\n\nb\n", "\nSub\u{1}j: a\n\nb\n");
    check("A\n : x\n\nb\n", "\nA\n : x\n\nb\n");
    check("A: b\nFrom x y\nC: d\n\nb\n", "A: b\n\nFrom x y\nC: d\n\nb\n");
    check("From x y\n foo\nC: d\n\nb\n", "X-Mailbox-Line: From x y\n\n foo\nC: d\n\nb\n");
    check("From \nFrom\tx\n\nb\n", "X-Mailbox-Line: From \n\nFrom\tx\n\nb\n");
}

#[test]
fn mended_headers() {
    check("Subject : x\nFrom:y\n\nb\n", "Subject: x\nFrom:y\n\nb\n");
    check("A \t : x\nFrom  :y\nA b: c\n\nb\n", "A: x\nFrom:y\n\nA b: c\n\nb\n");
    check("From x@y Mon\nSubject: x\n\nb\n", "X-Mailbox-Line: From x@y Mon\nSubject: x\n\nb\n");
    check(">From x@y Mon\nSubject: x\n\nb\n", "X-Mailbox-Line: >From x@y Mon\nSubject: x\n\nb\n");
    check("Subject: a\0b\n\nb\0c\n", "Subject: a\n\nb\0c\n");
    check("A: x\0y\n z\0\nB: c\n\nb\n", "A: x\n z\nB: c\n\nb\n");
    check("A: x\ry\nB:\n\nb\n", "A: x y\nB:\n\nb\n");
    check(
        "Return-Path: <a@b>\nBcc: c@d,\n\te@f\ncontent-length: 5\nResent-Bcc: x\nTo: z\n\nb\n",
        "To: z\n\nb\n",
    );
    check("Bcc : x\nBcc\t: y\nA:b\n\nb\n", "A:b\n\nb\n");
}

#[test]
fn missing_headers() {
    let id: QueueId = "8E2409900F0".parse().unwrap();
    let check = |sender: &str, message: &str, expect: &str| {
        let wall = Wall::from_seconds(1_795_315_536);
        let sender = Address::from_internal(sender);
        let missing = MissingHeaders::new(&id, wall, &Zone::utc(), "mx.our.example", &sender);
        for size in [1, 5, 4096] {
            assert_eq!(clean(message, Some(missing.clone()), size).0, expect);
        }
        clean(message, Some(missing), 4096).1
    };
    let (message_id, date) =
        ("<20261122024536.8E2409900F0@mx.our.example>", "Sun, 22 Nov 2026 02:45:36 +0000 (UTC)");
    let summary = check(
        "s@c.example",
        "Subject: x\nFrom: a@b\n\nbody\n",
        &format!("Subject: x\nFrom: a@b\nMessage-Id: {message_id}\nDate: {date}\n\nbody\n"),
    );
    assert_eq!(summary.message_id.as_deref(), Some(message_id));
    let all = format!("Message-Id: {message_id}\nDate: {date}\nFrom: s@c.example\n");
    check("s@c.example", "body line\nmore\n", &format!("{all}\nbody line\nmore\n"));
    check("s@c.example", "\nbody\n", &format!("{all}\nbody\n"));
    check("s@c.example", "Subject: x\n", &format!("Subject: x\n{all}"));
    check("s@c.example", "From:\nDate:\nMessage-Id:\n\nb\n", "From:\nDate:\nMessage-Id:\n\nb\n");
    check(
        "",
        "S: x\n\nb\n",
        &format!("S: x\nMessage-Id: {message_id}\nDate: {date}\nFrom: MAILER-DAEMON\n\nb\n"),
    );
    let resent = check(
        "s@c.example",
        "Resent-From: a@b\nFrom: c@d\n\nb\n",
        &format!("Resent-From: a@b\nFrom: c@d\nResent-Message-Id: {message_id}\nResent-Date: {date}\n\nb\n"),
    );
    assert_eq!(resent.resent_message_id.as_deref(), Some(message_id));
    check(
        "s@c.example",
        "Resent-To: a@b\n\nb\n",
        &format!(
            "Resent-To: a@b\nResent-Message-Id: {message_id}\nResent-Date: {date}\nResent-From: s@c.example\n\nb\n"
        ),
    );
}

#[test]
fn hops() {
    let check = |message: &str, expect: bool| {
        let (_, summary) = clean(message, None, 4096);
        assert_eq!(summary.too_many_hops, expect, "{} hops", summary.received);
    };
    check(&("Received: x\n".repeat(48) + "\nb\n"), false);
    check(&("Received: x\n".repeat(49) + "\nb\n"), true);
    check(&("A: x\n\n".to_owned() + &"Received: x\n".repeat(60)), false);
    assert_eq!(too_many_hops().code, 554);
}

#[test]
fn header_size_limit() {
    let folded = format!(
        "Subject: {}\n{}To: z\n\nb\n",
        "a".repeat(900),
        format!(" {}\n", "b".repeat(900)).repeat(200)
    );
    let (out, _) = clean(&folded, None, 1000);
    assert_eq!(out.lines().filter(|line| line.starts_with(" b")).count(), 112);
    assert!(out.ends_with("b\nTo: z\n\nb\n"));
    let (out, _) = clean(&format!("Subject: {}XYZ\nTo: z\n\nb\n", "a".repeat(102_390)), None, 999);
    assert_eq!(out.lines().next().map(str::len), Some(102_400));
    assert!(out.ends_with("X\nTo: z\n\nb\n"));
    let (out, _) = clean(&format!("A: x\n {}zzzzzzzzzz\n w\nB: c\n\nb\n", "y".repeat(102_390)), None, 999);
    assert!(out.ends_with("yzzzz\nB: c\n\nb\n"));
    let long = format!("S: x\n {}\n {}\n short\nTo: z\n\nb\n", "y".repeat(102_000), "b".repeat(900));
    assert!(clean(&long, None, 999).0.ends_with("yy\nTo: z\n\nb\n"));
    let long = format!("Su{}\nTo: z\n\nb\n", "a".repeat(110_000));
    assert_eq!(clean(&long, None, 999).0, format!("\n{long}"));
}

#[test]
fn message_ids() {
    let (_, summary) = clean("message-id:   <a@b>\n\nb\n", None, 4096);
    assert_eq!(summary.message_id.as_deref(), Some("<a@b>"));
    assert_eq!(clean("A: b\n\nb\n", None, 4096).1.message_id, None);
}

#[test]
fn chunks_change_nothing() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let words = [
        "Received: x\n",
        "A",
        ":",
        " ",
        "\n",
        "\t",
        "From ",
        "Bcc: y\n",
        "\r",
        "\0",
        "\u{e9}",
        "xxxxxxxxxxxxxxxxxxxx",
    ];
    for _ in 0..5_000 {
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed >> 33).unwrap()
        };
        let message: String = (0..next() % 30).map(|_| words[next() % words.len()]).collect();
        fuzz_cleanup(message.as_bytes(), 1 + next() % 5);
    }
}

#[test]
fn received_headers() {
    let (id, wall) = ("556BE9900B1".parse().unwrap(), Wall::from_seconds(1_795_315_535));
    let recipient = Address::from_internal("u@vmbox.example");
    let plain = Received {
        helo: Some("c.example"),
        name: "c.example",
        address: "192.0.2.7".parse().unwrap(),
        port: None,
        security: Security::default(),
        hostname: "mx.our.example",
        mail_name: "Postfix",
        protocol: Protocol { esmtp: true, ..Protocol::default() },
        id: Some(&id),
        recipient: Some(&recipient),
    };
    let check = |received: Received<'_>, expect: &str| {
        assert_eq!(received.header(wall, &Zone::utc()), expect);
    };
    check(
        plain.clone(),
        "Received: from c.example (c.example [192.0.2.7])\n\tby mx.our.example (Postfix) with ESMTP id 556BE9900B1\n\
         \tfor <u@vmbox.example>; Sun, 22 Nov 2026 02:45:35 +0000 (UTC)\n",
    );
    check(
        Received { recipient: None, helo: Some("a(b)c"), protocol: Protocol::default(), ..plain.clone() },
        "Received: from a?b?c (c.example [192.0.2.7])\n\tby mx.our.example (Postfix) with SMTP id 556BE9900B1;\n\
         \tSun, 22 Nov 2026 02:45:35 +0000 (UTC)\n",
    );
    let security = Security { login: Some("joe"), ..Security::default() };
    check(
        Received { address: "2001:db8::1".parse().unwrap(), security, name: "unknown", helo: None, ..plain },
        "Received: from unknown (unknown [IPv6:2001:db8::1])\n\t(Authenticated sender: joe)\n\
         \tby mx.our.example (Postfix) with ESMTP id 556BE9900B1\n\
         \tfor <u@vmbox.example>; Sun, 22 Nov 2026 02:45:35 +0000 (UTC)\n",
    );
}

#[test]
fn headers_at_delivery() {
    let recipient = Address::from_internal("u@vmbox.example");
    assert_eq!(
        delivery_headers(&Address::from_internal("a b@c.example"), Some(&recipient), &recipient),
        "Return-Path: <\"a b\"@c.example>\nX-Original-To: u@vmbox.example\nDelivered-To: u@vmbox.example\n"
    );
    assert_eq!(
        delivery_headers(&Address::null(), None, &recipient),
        "Return-Path: <>\nDelivered-To: u@vmbox.example\n"
    );
}

#[test]
fn full_names() {
    let sender = Address::from_internal("alice@mx.example.com");
    let id: QueueId = "8E2409900F0".parse().unwrap();
    let check = |sender: &Address, name: &str, format: FromFormat, expect: &str| {
        let missing = MissingHeaders::new(&id, Wall::from_seconds(0), &Zone::utc(), "mx", sender);
        let missing = missing.named(name, format, sender);
        let (text, _) = clean("Date: x\nMessage-Id: y\n\nb\n", Some(missing), 4096);
        assert_eq!(text, format!("Date: x\nMessage-Id: y\nFrom: {expect}\n\nb\n"));
    };
    for (name, shown) in [
        ("Alice Smith", "Alice Smith"),
        ("A & B", "A & B"),
        ("Q \"x\" y", "\"Q \\\"x\\\" y\""),
        ("tr. x", "\"tr. x\""),
        ("\u{e9} x", "\u{e9} x"),
        ("a (b) c", "\"a (b) c\""),
        ("x\\y", "\"x\\\\y\""),
        (" lead  twice", "lead twice"),
        (",", "\",\""),
        ("a\nBcc: x@y", "\"a Bcc: x@y\""),
    ] {
        check(&sender, name, FromFormat::Standard, &format!("{shown} <alice@mx.example.com>"));
    }
    check(&sender, "", FromFormat::Standard, "alice@mx.example.com");
    check(&Address::null(), "Alice", FromFormat::Standard, "MAILER-DAEMON");
    check(&sender, "Alice", FromFormat::Obsolete, "alice@mx.example.com (Alice)");
}

#[test]
fn received_from_a_program() {
    let (id, wall) = ("AC7CB541".parse().unwrap(), Wall::from_seconds(1_795_364_197));
    assert_eq!(
        local_received(("mx.example.com", "Postfix"), 1000, &id, wall, &Zone::utc()),
        "Received: by mx.example.com (Postfix, from userid 1000)\n\tid AC7CB541; Sun, 22 Nov 2026 16:16:37 +0000 (UTC)\n"
    );
}
