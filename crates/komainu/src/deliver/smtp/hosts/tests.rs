//! Servers of destinations in a small DNS made of lines: `name TYPE data`.

use super::*;
use crate::facts::AnswerFuture;

struct Zone(&'static str);

impl Names for Zone {
    fn ask<'a>(&'a self, question: &'a Question) -> AnswerFuture<'a> {
        Box::pin(async move {
            let Question::Dns { name, kind } = question else { return Answer::NoName };
            let wanted = match kind {
                RecordKind::Mx => "MX",
                RecordKind::A => "A",
                _ => "AAAA",
            };
            let (mut records, mut known) = (Vec::new(), false);
            for line in self.0.lines() {
                let words: Vec<&str> = line.split_ascii_whitespace().collect();
                match words.as_slice() {
                    [owner, "SILENT"] if owner == name => return Answer::Unavailable("silent".to_owned()),
                    [owner, kind, data @ ..] if owner == name => {
                        known = true;
                        if *kind == wanted {
                            records.push(record(kind, data));
                        }
                    }
                    _ => {}
                }
            }
            match (records.is_empty(), known) {
                (false, _) => Answer::Records(records),
                (true, true) => Answer::NoRecords,
                (true, false) => Answer::NoName,
            }
        })
    }
}

fn record(kind: &str, data: &[&str]) -> Record {
    match (kind, data) {
        ("MX", [preference, host]) => Record::Mx {
            preference: preference.parse().unwrap(),
            host: host.trim_end_matches('.').to_owned(),
        },
        ("A", [address]) => Record::A(address.parse().unwrap()),
        (_, [address]) => Record::Aaaa(address.parse().unwrap()),
        _ => panic!("{kind} {data:?}"),
    }
}

const ZONE: &str = "two.test MX 20 b.test
two.test MX 10 a.test
a.test A 192.0.2.1
b.test A 192.0.2.2
b.test AAAA 2001:db8::2
plain.test A 192.0.2.3
null.test MX 0 .
backup.test MX 10 a.test
backup.test MX 20 me.test
backup.test MX 30 b.test
me.test A 192.0.2.9
loop.test MX 10 me.test
alias.test MX 10 other.test
other.test A 192.0.2.9
silent.test SILENT
half.test MX 10 silent.test
half.test MX 20 a.test
gone.test MX 10 nowhere.test
hidden.test A 192.0.2.7
seen.test MX 10 hidden.test
seen.test MX 20 a.test
unseen.test MX 10 none.test
late.test MX 10 nowhere.test
late.test MX 20 silent.test
empty.test TXT x";

fn servers(domain: &str, exchangers: bool) -> String {
    let zone = Zone(ZONE);
    let lookup = Lookup {
        names: &zone,
        ignores: Some(&|record| record.starts_with("hidden.test. ") || record.ends_with(" none.test.")),
        native: false,
        v4: true,
        v6: true,
        own: &["192.0.2.9".parse().unwrap()],
        detects_loops: true,
        myhostname: "me.test",
        preference: Family::V6,
        warn: &|_| {},
        shuffles: true,
        ignores_mx_errors: false,
        defers_without_address: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let found = runtime.block_on(async {
        if exchangers { lookup.exchangers(domain, 7).await } else { lookup.host(domain, 7).await }
    });
    match found {
        Ok(servers) => {
            let named = servers.iter().map(|server| format!("{}[{}]", server.name, server.address));
            named.collect::<Vec<_>>().join(" ")
        }
        Err(verdict) => format!("{} {}", verdict.why().dsn, verdict.why().text),
    }
}

#[test]
fn exchangers() {
    let unknown = |name: &str, kind: &str, reason: &str| {
        format!("Host or domain name not found. Name service error for name={name} type={kind}: {reason}")
    };
    let again = "Host not found, try again";
    for (domain, expected) in [
        ("two.test", "a.test[192.0.2.1] b.test[2001:db8::2] b.test[192.0.2.2]".to_owned()),
        ("seen.test", "a.test[192.0.2.1]".to_owned()),
        (
            "unseen.test",
            "4.7.0 Error looking up name=unseen.test type=MX: DNS reply filter drops all results".to_owned(),
        ),
        ("plain.test", "plain.test[192.0.2.3]".to_owned()),
        ("null.test", "5.1.0 Domain null.test does not accept mail (nullMX)".to_owned()),
        // RFC 5321 §5: nobody who is no better than ourselves.
        ("backup.test", "a.test[192.0.2.1]".to_owned()),
        ("loop.test", "5.4.6 mail for loop.test loops back to myself".to_owned()),
        ("alias.test", "5.4.6 mail for alias.test loops back to myself".to_owned()),
        ("me.test", "5.4.6 mail for me.test loops back to myself".to_owned()),
        ("silent.test", format!("4.4.3 {}", unknown("silent.test", "MX", again))),
        ("half.test", "a.test[192.0.2.1]".to_owned()),
        ("late.test", format!("4.4.3 {}", unknown("silent.test", "A", again))),
        ("gone.test", format!("5.4.4 {}", unknown("nowhere.test", "AAAA", "Host not found"))),
        ("nowhere.test", format!("5.4.4 {}", unknown("nowhere.test", "AAAA", "Host not found"))),
        (
            "empty.test",
            format!(
                "5.4.4 {}",
                unknown("empty.test", "AAAA", "Host found but no data record of requested type")
            ),
        ),
    ] {
        assert_eq!(servers(domain, true), expected, "{domain}");
    }
}

#[test]
fn a_host_is_asked_for_no_exchangers() {
    assert_eq!(servers("192.0.2.7", false), "192.0.2.7[192.0.2.7]");
    assert_eq!(servers("b.test", false), "b.test[2001:db8::2] b.test[192.0.2.2]");
    assert_eq!(servers("me.test", false), "me.test[192.0.2.9]");
}
