//! Cases of our own: each with the records that it needs.

use super::*;
use crate::facts::{Answer, Question, Record};

/// Records as `NAME TYPE DATA` lines; `NAME TIMEOUT` where nobody answers.
pub(super) fn answer(zone: &str, name: &str, kind: RecordKind) -> Answer {
    let mut found = Vec::new();
    let mut known = false;
    for line in zone.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.splitn(3, ' ');
        let (Some(owner), Some(what)) = (words.next(), words.next()) else { panic!("{line}") };
        let data = words.next().unwrap_or("");
        if !owner.eq_ignore_ascii_case(name) {
            continue;
        }
        known = true;
        match (what, kind) {
            ("TIMEOUT", _) => return Answer::Unavailable("timed out".to_owned()),
            ("A", RecordKind::A) => found.push(Record::A(data.parse().unwrap())),
            ("AAAA", RecordKind::Aaaa) => found.push(Record::Aaaa(data.parse().unwrap())),
            ("TXT", RecordKind::Txt) => found.push(Record::Txt(data.to_owned())),
            ("PTR", RecordKind::Ptr) => found.push(Record::Ptr(data.to_owned())),
            ("MX", RecordKind::Mx) => {
                let (preference, host) = data.split_once(' ').unwrap();
                found.push(Record::Mx { preference: preference.parse().unwrap(), host: host.to_owned() });
            }
            _ => {}
        }
    }
    match (found.is_empty(), known) {
        (false, _) => Answer::Records(found),
        (true, true) => Answer::NoRecords,
        (true, false) => Answer::NoName,
    }
}

/// The verdict, and what was asked for it.
fn played(zone: &str, sender: &Sender<'_>) -> (Verdict, Vec<String>) {
    let mut facts = without_tables();
    let settings =
        Settings { void_limit: 2, receiver: "mx.example.net", now: Wall::from_seconds(1_700_000_000) };
    let mut asked = Vec::new();
    for _ in 0..500 {
        match check(sender, &settings, &facts) {
            Ok(verdict) => return (verdict, asked),
            Err(Need(question)) => {
                let Question::Dns { name, kind } = &question else { panic!("{question:?}") };
                asked.push(format!("{kind:?} {name}"));
                let said = answer(zone, name, *kind);
                facts.learn(question, said);
            }
        }
    }
    panic!("no end of questions");
}

/// From `client` as `alice@example.com`; `result`, and the mechanism or why there is none.
fn one(zone: &str, client: &str, expect: &str) {
    let sender = Sender::mail_from(client.parse().unwrap(), "mail.example.com", "alice@example.com");
    let (verdict, _) = played(zone, &sender);
    let why = verdict.problem.as_ref().map(ToString::to_string).or(verdict.mechanism).unwrap_or_default();
    assert_eq!(format!("{} {why}", verdict.result.name()).trim(), expect, "{zone}");
}

#[test]
fn mechanisms() {
    let zone = |record: &str| {
        format!(
            "example.com TXT v=spf1 {record}
             example.com A 192.0.2.1
             example.com AAAA 2001:db8::1
             example.com MX 10 mx.example.com
             mx.example.com A 192.0.2.2
             mx.example.com AAAA 2001:db8::2
             other.example A 192.0.2.3
             3.2.0.192.in-addr.arpa PTR outside.example
             3.2.0.192.in-addr.arpa PTR host.example.com
             host.example.com A 192.0.2.3
             9.2.0.192.in-addr.arpa PTR forged.example.com
             forged.example.com A 192.0.2.10
             ok.example TXT v=spf1 ip4:192.0.2.4 -all
             soft.example TXT v=spf1 ~all
             alice.192.0.2.5.lists.example A 127.0.0.2"
        )
    };
    for (record, client, expect) in [
        ("a -all", "192.0.2.1", "pass a"),
        ("a -all", "192.0.2.2", "fail -all"),
        ("a -all", "2001:db8::1", "pass a"),
        ("a -all", "::ffff:192.0.2.1", "pass a"),
        ("a/31 -all", "192.0.2.0", "pass a/31"),
        ("a//64 -all", "2001:db8::99", "pass a//64"),
        ("a/0 -all", "2001:db8::99", "fail -all"),
        ("a:other.example ~all", "192.0.2.3", "pass a:other.example"),
        ("a:other.example ~all", "192.0.2.4", "softfail ~all"),
        ("mx ?all", "192.0.2.2", "pass mx"),
        ("mx ?all", "2001:db8::2", "pass mx"),
        ("mx ?all", "192.0.2.1", "neutral ?all"),
        ("-mx all", "192.0.2.2", "fail -mx"),
        ("ptr -all", "192.0.2.3", "pass ptr"),
        ("ptr -all", "192.0.2.9", "fail -all"),
        ("ptr:outside.example -all", "192.0.2.3", "fail -all"),
        ("include:ok.example -all", "192.0.2.4", "pass include:ok.example"),
        ("include:ok.example -all", "192.0.2.5", "fail -all"),
        ("include:soft.example ?all", "192.0.2.5", "neutral ?all"),
        ("include:nothing.example -all", "192.0.2.5", "permerror nothing.example has no SPF record"),
        ("exists:%{l}.%{i}.lists.example -all", "192.0.2.5", "pass exists:%{l}.%{i}.lists.example"),
        ("exists:%{l}.%{i}.lists.example -all", "192.0.2.6", "fail -all"),
        ("ip4:192.0.2.0/29", "192.0.2.7", "pass ip4:192.0.2.0/29"),
        ("ip4:192.0.2.0/29", "192.0.2.8", "neutral"),
        ("ip6:2001:db8::/32 -all", "2001:db8:ffff::1", "pass ip6:2001:db8::/32"),
        ("redirect=ok.example", "192.0.2.4", "pass ip4:192.0.2.4"),
        ("redirect=ok.example", "192.0.2.5", "fail -all"),
        ("redirect=nothing.example", "192.0.2.5", "permerror nothing.example has no SPF record"),
        ("redirect=ok.example ?all", "192.0.2.4", "neutral ?all"),
        ("", "192.0.2.4", "neutral"),
        (
            "-all ipv4:192.0.2.1",
            "192.0.2.1",
            "permerror the SPF record of example.com has the malformed term ipv4:192.0.2.1",
        ),
    ] {
        one(&zone(record), client, expect);
    }
}

#[test]
fn records_are_selected() {
    one("", "192.0.2.1", "none");
    one("example.com A 192.0.2.1", "192.0.2.1", "none");
    one("example.com TXT v=spf10 -all\nexample.com TXT other", "192.0.2.1", "none");
    one("example.com TXT V=SPF1 -ALL\nexample.com TXT other", "192.0.2.1", "fail -ALL");
    one(
        "example.com TXT v=spf1 -all\nexample.com TXT v=spf1 a",
        "192.0.2.1",
        "permerror example.com has more than one SPF record",
    );
    one("example.com TIMEOUT", "192.0.2.1", "temperror no answer to Txt example.com");
    for domain in
        ["localhost", "", "[192.0.2.1]", "a..example", &format!("{}.example", "a".repeat(64)), "b\\c.example"]
    {
        let address = format!("x@{domain}");
        let (verdict, asked) =
            played("", &Sender::mail_from("192.0.2.1".parse().unwrap(), "h.example", &address));
        assert_eq!((verdict.result, asked), (SpfResult::None, vec![]), "{domain}");
    }
}

#[test]
fn what_has_no_answer() {
    one(
        "example.com TXT v=spf1 a:x.example -all\nx.example TIMEOUT",
        "192.0.2.1",
        "temperror no answer to A x.example",
    );
    one(
        "example.com TXT v=spf1 ip4:192.0.2.1 a:x.example\nx.example TIMEOUT",
        "192.0.2.1",
        "pass ip4:192.0.2.1",
    );
    one(
        "example.com TXT v=spf1 include:x.example -all\nx.example TIMEOUT",
        "192.0.2.1",
        "temperror no answer to Txt x.example",
    );
    one("example.com TXT v=spf1 ptr -all\n1.2.0.192.in-addr.arpa TIMEOUT", "192.0.2.1", "fail -all");
    let host = "1.2.0.192.in-addr.arpa PTR a.example.com\n1.2.0.192.in-addr.arpa PTR b.example.com\na.example.com TIMEOUT\nb.example.com A 192.0.2.1";
    one(&format!("example.com TXT v=spf1 ptr -all\n{host}"), "192.0.2.1", "pass ptr");
}

#[test]
fn limits() {
    let exists = |count: usize| (0..count).map(|at| format!("exists:e{at}.example ")).collect::<String>();
    let names =
        |count: usize| (0..count).map(|at| format!("e{at}.example A 127.0.0.2\n")).collect::<String>();
    // Each finds something, and none of it is the client.
    let hosts = |count: usize| (0..count).map(|at| format!("a:e{at}.example ")).collect::<String>();
    one(&format!("example.com TXT v=spf1 {}-all\n{}", hosts(10), names(10)), "192.0.2.1", "fail -all");
    one(
        &format!("example.com TXT v=spf1 {}-all\n{}", hosts(11), names(11)),
        "192.0.2.1",
        "permerror more than 10 terms ask the DNS",
    );
    one(&format!("example.com TXT v=spf1 {}-all", exists(2)), "192.0.2.1", "fail -all");
    one(
        &format!("example.com TXT v=spf1 {}-all", exists(3)),
        "192.0.2.1",
        "permerror too many questions have no answer",
    );
    one(
        "example.com TXT v=spf1 include:example.com -all",
        "192.0.2.1",
        "permerror more than 10 terms ask the DNS",
    );
    one(
        "example.com TXT v=spf1 redirect=example.com",
        "192.0.2.1",
        "permerror more than 10 terms ask the DNS",
    );
    let exchangers = |count: usize| {
        (0..count).map(|at| format!("example.com MX 10 e{at}.example\n")).collect::<String>() + &names(count)
    };
    one(&format!("example.com TXT v=spf1 mx -all\n{}", exchangers(10)), "192.0.2.1", "fail -all");
    one(
        &format!("example.com TXT v=spf1 mx -all\n{}", exchangers(11)),
        "192.0.2.1",
        "permerror example.com has more than 10 MX records",
    );
    let pointers: String = (0..30)
        .map(|at| format!("1.2.0.192.in-addr.arpa PTR p{at}.example.com\np{at}.example.com A 203.0.113.1\n"))
        .collect();
    let sender = Sender::mail_from("192.0.2.1".parse().unwrap(), "h.example", "alice@example.com");
    let (verdict, asked) = played(&format!("example.com TXT v=spf1 ptr -all\n{pointers}"), &sender);
    assert_eq!(verdict.result, SpfResult::Fail);
    assert_eq!(asked.iter().filter(|question| question.starts_with("A p")).count(), 10, "{asked:?}");
}

#[test]
fn explanations() {
    let explained = |explanation: &str| {
        let zone = format!("example.com TXT v=spf1 exp=why.example.com -all\n{explanation}");
        let sender = Sender::mail_from("192.0.2.1".parse().unwrap(), "mail.example.com", "alice@example.com");
        played(&zone, &sender).0.explanation
    };
    let text = "why.example.com TXT %{c} may not send as %{s}, says %{d} to %{r} at %{t}; %{H} %{p}%_%%";
    let expect = "192.0.2.1 may not send as alice@example.com, says example.com to mx.example.net at 1700000000; \
                  mail.example.com unknown %";
    assert_eq!(explained(text).as_deref(), Some(expect));
    assert_eq!(explained(""), None);
    assert_eq!(explained("why.example.com TIMEOUT"), None);
    assert_eq!(explained("why.example.com TXT a\nwhy.example.com TXT b"), None);
    assert_eq!(explained("why.example.com TXT é"), None);
    assert_eq!(explained("why.example.com TXT %{"), None);
    assert_eq!(explained("why.example.com TXT a\rb"), None);
    let long = format!("why.example.com TXT {}", "x".repeat(5000));
    assert_eq!(explained(&long).map(|text| text.len()), Some(400));
    // Of an included record nobody is told, of one that was redirected to, it is that one's.
    let sender = Sender::mail_from("192.0.2.1".parse().unwrap(), "mail.example.com", "alice@example.com");
    let others = "other.example TXT v=spf1 exp=why.other.example -all\nwhy.other.example TXT other\nwhy.example.com TXT own";
    let zone = format!("example.com TXT v=spf1 include:other.example exp=why.example.com -all\n{others}");
    assert_eq!(played(&zone, &sender).0.explanation.as_deref(), Some("own"));
    let zone = format!("example.com TXT v=spf1 redirect=other.example exp=why.example.com\n{others}");
    assert_eq!(played(&zone, &sender).0.explanation.as_deref(), Some("other"));
}

#[test]
fn long_names_lose_labels_on_the_left() {
    let local = "a.".repeat(200) + "b";
    let address = format!("{local}@example.com");
    let sender = Sender::mail_from("192.0.2.1".parse().unwrap(), "mail.example.com", &address);
    let (verdict, asked) = played("example.com TXT v=spf1 exists:%{l}.x.example -all", &sender);
    assert_eq!(verdict.result, SpfResult::Fail);
    let name = asked.last().unwrap().strip_prefix("A ").unwrap();
    assert!(name.len() <= 253 && name.len() > 245 && name.ends_with(".a.b.x.example"), "{name}");
}

#[test]
fn other_scripts() {
    let zone = "xn--bcher-kva.example TXT v=spf1 exists:%{l}.%{d} ?exists:%{o}.x.example -all
                xn--bcher-kva.example.x.example A 127.0.0.2";
    let from = |address: &str| {
        played(zone, &Sender::mail_from("192.0.2.1".parse().unwrap(), "h.example", address)).0
    };
    // A local part that isn't ASCII makes no term match that names it.
    let verdict = from("élise@bücher.example");
    assert_eq!(
        (verdict.result, verdict.mechanism.as_deref()),
        (SpfResult::Neutral, Some("?exists:%{o}.x.example"))
    );
    assert_eq!(from("a@xn--bcher-kva.example").result, SpfResult::Neutral);
}

#[test]
fn identities() {
    let client: IpAddr = "192.0.2.1".parse().unwrap();
    let null = Sender::mail_from(client, "mail.example.com", "");
    assert_eq!((null.local, null.domain), ("postmaster", "mail.example.com"));
    let bare = Sender::mail_from(client, "mail.example.com", "@example.net");
    assert_eq!((bare.local, bare.domain), ("postmaster", "example.net"));
    let quoted = Sender::mail_from(client, "h", "a@b@example.net");
    assert_eq!((quoted.local, quoted.domain), ("a@b", "example.net"));
    assert_eq!(Sender::helo(client, "mail.example.com"), null);
    let mapped = Sender::helo("::ffff:192.0.2.1".parse().unwrap(), "mail.example.com");
    assert_eq!(mapped.client, client);
}

proptest::proptest! {
    #[test]
    fn any_bytes_end(bytes in "v=spf1( ?[-+~?]?[a-z%{}0-9:=/.]{1,12}){0,9}(\n[ -~]{0,40}){0,9}") {
        fuzz(bytes.as_bytes());
    }

    /// Whatever records say, there is an end, and no more is asked than the limits allow.
    #[test]
    fn any_record_ends(
        own in "( ?[-+~?]?(a|mx|ptr|all|include|exists|redirect|exp)[:=/]?(a.example|example.com|%\\{[slodiphv][0-9r]{0,2}\\}.example|24)?){0,14}",
        other in "( ?[-~]?(a|mx|ptr|include:example.com|include:a.example|redirect=a.example|exists:%\\{p\\}.example)){0,9}",
        client in proptest::prelude::any::<u32>(),
    ) {
        let zone = format!("example.com TXT v=spf1{own}\na.example TXT v=spf1 {other}\na.example MX 1 example.com\na.example MX 1 a.example");
        let client = IpAddr::V4(std::net::Ipv4Addr::from(client));
        let (_, asked) = played(&zone, &Sender::mail_from(client, "mail.example.com", "alice@example.com"));
        proptest::prop_assert!(asked.len() <= 2 + 10 * 12, "{} questions: {:?}", asked.len(), asked);
    }
}
