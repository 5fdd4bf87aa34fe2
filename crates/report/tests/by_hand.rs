//! A log of all kinds of lines, written by hand and counted by hand; counts of words in it are a third judge.

use report::Day;
use report::summary::{Settings, Summary, Tally};

/// Two hosts, three instances, both kinds of queue ids: refused at each stage, warned, held, discarded, redirected,
/// copied, bounced, expired, put off and sent on the next day, forwarded; postscreen; log-ins; TLS.
const LOG: &str = include_str!("by_hand/mail.log");

fn summary(log: &str, pieces: usize) -> Summary {
    let mut whole = Tally::new(Settings::new(Day { year: 2026, month: 11, day: 23 }));
    let lines: Vec<&str> = log.lines().collect();
    for piece in lines.chunks(lines.len().div_ceil(pieces)) {
        let mut tally = whole.sibling();
        piece.iter().for_each(|line| tally.feed(line.as_bytes()));
        whole.merge(tally);
    }
    whole.summary()
}

/// Lines with all of these words.
fn grep(words: &[&str]) -> u64 {
    LOG.lines().filter(|line| words.iter().all(|word| line.contains(word))).count() as u64
}

#[test]
fn each_connection_and_each_message_by_hand() {
    for pieces in [1, 2, 5, 40] {
        let summary = summary(LOG, pieces);
        let parts = |split: &report::summary::Split| -> Vec<(&'static str, u64)> {
            let some = split.parts.iter().filter(|part| part.count > 0);
            some.map(|part| (part.key, part.count)).collect()
        };
        assert_eq!(
            parts(&summary.connections),
            [
                ("accepted", 9),
                ("refused", 7),
                ("screened", 1),
                ("login_failed", 1),
                ("tls_failed", 1),
                ("broken", 1)
            ],
            "{pieces} pieces"
        );
        assert_eq!(
            parts(&summary.messages),
            [
                ("delivered", 7),
                ("partly", 1),
                ("bounced", 1),
                ("expired", 1),
                ("held", 1),
                ("refused", 1),
                ("discarded", 2),
                ("unfinished", 1)
            ],
            "{pieces} pieces"
        );
        assert_eq!(
            parts(&summary.origins),
            [("client", 10), ("logged_in", 1), ("local", 1), ("made", 3)],
            "{pieces} pieces"
        );
        assert_eq!((summary.connections.total, summary.messages.total, summary.origins.total), (20, 15, 15));
        let rules: Vec<(String, u64, u64, u64)> = summary
            .rules
            .iter()
            .map(|rule| (rule.rule.to_string(), rule.refused(), rule.warned, rule.connections))
            .collect();
        let expect = [
            ("reject_unauth_destination", 2, 0, 1),
            ("header_checks", 1, 1, 1),
            ("check_client_access", 1, 0, 1),
            ("postscreen_dnsbl_sites bl.example", 1, 0, 0),
            ("reject_multi_recipient_bounce", 1, 0, 1),
            ("reject_non_fqdn_helo_hostname", 1, 0, 1),
            ("reject_unknown_sender_domain", 1, 0, 1),
            ("smtpd_milters", 1, 0, 1),
            ("reject_rbl_client bl.example", 0, 1, 0),
        ];
        let expect = expect.map(|(rule, refused, warned, ended)| (rule.to_owned(), refused, warned, ended));
        assert_eq!(rules, expect, "{pieces} pieces");
    }
}

#[test]
fn totals_are_what_grep_counts() {
    let summary = summary(LOG, 1);
    let counts = &summary.counts;
    let came = grep(&[": client="]) + grep(&["/pickup["]);
    assert_eq!(counts.received, came);
    let forwarded = grep(&["status=sent (forwarded as "]);
    assert_eq!((counts.forwarded, counts.delivered), (forwarded, grep(&["status=sent"]) - forwarded));
    assert_eq!((counts.deferred, counts.bounced), (grep(&["status=deferred"]), grep(&["status=bounced"])));
    let refused =
        ["NOQUEUE: reject:", ": reject: DATA", "/cleanup[101]: A000000004: reject:", "milter-reject:"];
    assert_eq!(counts.refused, refused.iter().map(|words| grep(&[words])).sum::<u64>());
    assert_eq!(counts.warned, grep(&[": reject_warning: "]) + grep(&[": warning: header "]));
    assert_eq!(
        (counts.held, counts.discarded),
        (grep(&[": hold: "]), grep(&[": discard: "])),
        "those that are held and released, too"
    );
    // Over time, connections stand where they began, and once.
    let hours = summary.traffic.days.iter().flat_map(|(_, hours)| hours);
    let began: u64 = hours.map(|hour| hour.connections).sum();
    let handed_on = grep(&[" PASS "]);
    assert_eq!(began, grep(&[": connect from "]) + grep(&["/postscreen[200]: CONNECT from "]) - handed_on);
    assert_eq!((summary.connections.total, summary.handed_on), (began, handed_on));
    assert_eq!((summary.attacks.failed, summary.attacks.well), (grep(&["authentication failed"]), 1));
    assert_eq!(summary.lines.counted, grep(&[]));
    assert_eq!(summary.queue.messages, 1, "what is on hold");
    let tls: Vec<&str> = summary.tls.failed.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(tls, ["clients: -1"]);
}

/// Of the second day alone, what began on the first is known by what is said of it then.
#[test]
fn a_day_alone() {
    let day = Day { year: 2026, month: 11, day: 22 };
    let settings = Settings { days: Some((day, day)), ..Settings::new(day) };
    let mut tally = Tally::new(settings);
    LOG.lines().for_each(|line| tally.feed(line.as_bytes()));
    let summary = tally.summary();
    assert_eq!(summary.lines.other_days, grep(&["Nov 21 "]));
    assert_eq!((summary.connections.total, summary.messages.total), (19, 14));
    assert_eq!(summary.origins.parts.iter().find(|part| part.key == "before").unwrap().count, 1);
    assert!(summary.connections.adds_up() && summary.messages.adds_up() && summary.origins.adds_up());
}
