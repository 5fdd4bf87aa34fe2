//! `parse(display(e)) == e` for events made at random, as the server makes them.

#![expect(clippy::expect_used, reason = "a test's own patterns")]

use events::check::{Action, ContentCheck, Part, Session, Verdict};
use events::daemon::{Level, Message, Statistics, Terminating};
use events::delivery::{Delay, Delays, Delivery, Status};
use events::foreign::Greylisted;
use events::own::{Matter, Own};
use events::queue::{Expired, IdKind, MessageId, Notice, Notified, PickedUp, Queued, Removed};
use events::smtpd::{
    Broken, Cause, Connect, Counter, Disconnect, Forged, LimitExceeded, NonSmtp, Peer, Pipelining, Received,
    SaslFailed,
};
use events::stamp::Stamp;
use events::tls::{Direction, TlsEstablished, Trust};
use events::{Event, Line, Text};
use mail::Wall;
use proptest::prelude::*;
use proptest::sample::select;
use std::time::Duration;

type Owned = Text<'static>;

fn text(pattern: &'static str) -> impl Strategy<Value = Owned> {
    proptest::string::string_regex(pattern).expect("a pattern").prop_map(Text::Owned)
}

fn id() -> impl Strategy<Value = Owned> {
    text("[0-9A-F]{6,12}|4[0-9B-Zb-z]{9}z[0-9B-Zb-z]{1,5}")
}

/// A reply or a note: what we write has no `; from=<` in it.
fn note() -> impl Strategy<Value = Owned> {
    text("[1-5][0-9]{2} [245]\\.[0-9]\\.[0-9] [ -:=-~äé]{1,40}|[a-z<>@.: ]{1,30}")
}

fn address() -> impl Strategy<Value = Owned> {
    text("|[a-zé+/.-]{1,12}@[a-z]{1,8}\\.example|\"[a-z <>;@=]{1,12}\"@example\\.org|[a-z]{1,8}")
}

fn peer() -> impl Strategy<Value = Peer<'static>> {
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(|ip| std::net::Ipv4Addr::from(ip).to_string()),
        any::<[u16; 8]>().prop_map(|ip| std::net::Ipv6Addr::from(ip).to_string()),
        Just("unknown".to_owned()),
    ];
    (text("[a-z0-9_-]{1,8}(\\.example)?"), ip, proptest::option::of(any::<u16>()))
        .prop_map(|(name, ip, port)| Peer { name, address: Text::Owned(ip), port })
}

fn session() -> impl Strategy<Value = Session<'static>> {
    use proptest::option::of;
    let helo = text("[a-z0-9?.-]{0,12}|\\[192\\.0\\.2\\.1\\]");
    (of(address()), of(address()), of(text("E?SMTP")), of(helo)).prop_map(|(from, to, proto, helo)| Session {
        from,
        to,
        proto,
        helo,
    })
}

fn delay() -> impl Strategy<Value = Delay> {
    (0..400_000_000_000_u64, 0_u32..=6, 0_u32..12).prop_map(|(micros, digits, cut)| {
        Delay::rounded(Duration::from_micros(micros / 10_u64.pow(cut)), digits)
    })
}

fn smtpd() -> impl Strategy<Value = Event<'static>> {
    let state = || text("CONNECT|EHLO|RCPT|DATA \\([1-9][0-9]{0,4} bytes\\)|END-OF-MESSAGE");
    let input = || text("[ -~]{0,30}");
    prop_oneof![
        peer().prop_map(|client| Connect { client }.into()),
        (peer(), 0_u32..3, 0_u32..3).prop_map(|(client, accepted, more)| {
            let counters = [Counter { name: "rcpt", accepted, total: accepted + more }];
            Disconnect { client, commands: Text::Owned(Counter::render(&counters)) }.into()
        }),
        (select(Cause::ALL), state(), peer()).prop_map(|(cause, after, client)| Broken {
            cause,
            after,
            client
        }
        .into()),
        (state(), peer(), input())
            .prop_map(|(after, client, input)| Pipelining { after, client, input }.into()),
        (peer(), input()).prop_map(|(client, input)| NonSmtp { client, input }.into()),
    ]
}

fn trouble() -> impl Strategy<Value = Event<'static>> {
    prop_oneof![
        (
            peer(),
            text("[A-Z0-9-]{3,12}"),
            text("[ -+--~]{0,20}"),
            proptest::option::of(text("[a-z@.]{0,10}"))
        )
            .prop_map(|(client, mechanism, reason, sasl_username)| {
                SaslFailed { client, mechanism, reason, sasl_username }.into()
            }),
        (peer(), any::<u64>()).prop_map(|(client, count)| {
            LimitExceeded { limit: "Connection rate".into(), count, client, service: "smtp".into() }.into()
        }),
        (text("[a-z.]{1,10}"), text("[0-9a-f:.]{1,10}"), proptest::option::of(text("[ -~]{1,20}"))).prop_map(
            |(hostname, address, reason)| Forged {
                hostname,
                address: address.replace(": ", "").into(),
                reason
            }
            .into()
        ),
        (
            id(),
            peer(),
            proptest::option::of((text("PLAIN|LOGIN"), text("[a-z@.]{1,9}"))),
            proptest::option::of(peer())
        )
            .prop_map(|(id, client, sasl, orig_client)| {
                let (method, username) = sasl.unzip();
                Received {
                    sasl_method: method,
                    sasl_username: username,
                    orig_client,
                    ..Received::new(id, client)
                }
                .into()
            }),
        (
            select(Trust::ALL),
            text("[a-z]{1,5}\\[192\\.0\\.2\\.1\\](:25)?"),
            0_u32..512,
            text("|key-exchange X25519 [a-z -]{1,9}")
        )
            .prop_map(|(trust, peer, bits, more)| {
                TlsEstablished {
                    trust,
                    direction: Direction::From,
                    peer,
                    protocol: "TLSv1.3".into(),
                    cipher: "TLS_AES_256_GCM_SHA384".into(),
                    bits,
                    algorithm_bits: bits,
                    more,
                }
                .into()
            }),
    ]
}

fn decisions() -> impl Strategy<Value = Event<'static>> {
    let no_queue = Just(Text::Borrowed(Verdict::NO_QUEUE));
    let content = text("Subject: [ -~é]{0,30}");
    prop_oneof![
        (
            prop_oneof![no_queue, id()],
            select(Action::ALL),
            text("CONNECT|HELO|RCPT|END-OF-MESSAGE"),
            peer(),
            (note(), session()),
        )
            .prop_map(|(id, action, stage, client, (text, session))| {
                Verdict { id, action, stage, client, text, session }.into()
            }),
        (
            id(),
            select(Action::ALL),
            select(Part::ALL),
            (content, text("local|[a-z]{1,9}\\[192\\.0\\.2\\.1\\]")),
            (session(), proptest::option::of(text("5\\.7\\.1 [a-z ]{1,20}"))),
        )
            .prop_filter("cleanup knows at least the sender", |all| !all.4.0.is_empty())
            .prop_map(|(id, action, part, (content, source), (session, text))| {
                ContentCheck { id, action, part, content, source, session, text }.into()
            }),
    ]
}

fn queue() -> impl Strategy<Value = Event<'static>> {
    let relay = text("virtual|none|mail\\.example\\[192\\.0\\.2\\.1\\]:25|mail\\.example\\[private/lmtp\\]");
    use proptest::option::of;
    prop_oneof![
        (id(), any::<u32>(), text("[a-z@.]{0,9}"))
            .prop_map(|(id, uid, from)| PickedUp { id, uid, from }.into()),
        (id(), select(IdKind::ALL), text("<[!-~ ]{0,20}>")).prop_map(|(id, kind, value)| MessageId {
            id,
            kind,
            value
        }
        .into()),
        (id(), address(), any::<u64>(), any::<u64>()).prop_map(|(id, from, size, nrcpt)| Queued {
            id,
            from,
            size,
            nrcpt,
            queue: "active".into()
        }
        .into()),
        id().prop_map(|id| Removed { id }.into()),
        (id(), address()).prop_map(|(id, from)| Expired { id, from, status: "expired".into() }.into()),
        (id(), select(Notice::ALL), id()).prop_map(|(id, notice, notification)| Notified {
            id,
            notice,
            notification
        }
        .into()),
        (
            (id(), address(), of(address()), relay),
            (of(2_u32..9), delay(), of([delay(), delay(), delay(), delay()].prop_map(Delays))),
            (
                of(text("may(:none)?|dane/!requiretls:none")),
                of(text("[245]\\.[0-9]\\.[0-9]")),
                select(Status::ALL),
                text("[ -~é]{0,60}")
            ),
        )
            .prop_map(
                |((id, to, orig_to, relay), (conn_use, delay, delays), (tls, dsn, status, text))| {
                    Delivery { id, to, orig_to, relay, conn_use, delay, delays, tls, dsn, status, text }
                        .into()
                }
            ),
    ]
}

fn others() -> impl Strategy<Value = Event<'static>> {
    use proptest::option::of;
    prop_oneof![
        (select(Level::ALL), text("[ -~]{0,40}")).prop_map(|(level, text)| Message { level, text }.into()),
        any::<u32>().prop_map(|signal| Terminating { signal }.into()),
        (any::<u64>(), of(any::<u32>()), of(text("smtp:192\\.0\\.2\\.1"))).prop_map(|(max, seconds, of)| {
            Statistics { quantity: "connection rate".into(), max, seconds, of, at: "Nov 22 01:55:03".into() }
                .into()
        }),
        (select(Matter::ALL), text("[a-z:/.]{1,20}"), text("[ -~]{0,40}"))
            .prop_map(|(matter, subject, text)| Own::new(matter, subject.replace(": ", ""), text).into()),
        (
            text("greylist|pass"),
            text("new|triplet found"),
            of(any::<u64>()),
            of(text("[a-z.]{1,9}")),
            of(address())
        )
            .prop_map(|(action, reason, delay, client_name, recipient)| {
                let client_address = Some("192.0.2.1/32".into());
                let sender = Some(Text::Borrowed("a@example.org"));
                Greylisted { action, reason, delay, client_name, client_address, sender, recipient }.into()
            }),
    ]
}

fn program(event: &Event<'_>) -> &'static str {
    match event {
        Event::ContentCheck(_) | Event::MessageId(_) => "postfix/cleanup",
        Event::Queued(_) | Event::Removed(_) | Event::Expired(_) => "postfix/qmgr",
        Event::PickedUp(_) => "postfix/pickup",
        Event::Notified(_) => "postfix/bounce",
        Event::Delivery(_) => "postfix/virtual",
        Event::Terminating(_) => "postfix/master",
        Event::Statistics(_) => "postfix/anvil",
        Event::Greylisted(_) => "postgrey",
        _ => "postfix/submission/smtpd",
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn parse_of_display(
        event in prop_oneof![2 => smtpd(), 2 => trouble(), 3 => decisions(), 3 => queue(), 2 => others()],
        seconds in 0..4_000_000_000_i64,
        offset in -720_i16..=840,
        pid in proptest::option::of(any::<u32>()),
        old in any::<bool>(),
    ) {
        let wall = Wall::from_seconds(seconds);
        let time = if old { Stamp::syslog(wall, offset) } else { Stamp::rfc3339(wall, offset) };
        let line = Line { time, host: "mail".into(), program: program(&event).into(), pid, event };
        let text = line.to_string();
        prop_assert_eq!(Line::parse(&text), Some(line.clone()), "{}", text);
        let json: serde_json::Value = serde_json::from_str(&line.json()).expect("JSON");
        prop_assert_eq!(&json["event"], line.event.kind());
    }
}
