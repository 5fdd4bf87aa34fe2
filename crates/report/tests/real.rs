//! Lines that postgrey, Dovecot, OpenDKIM, OpenDMARC, policyd-spf and fail2ban wrote themselves (tests/logs/README.md),
//! added up. What they should add up to was counted by hand.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use report::Day;
use report::summary::{Bans, Greylisting, Settings, Summary, Tally, Top};

fn summary(name: &str) -> Summary {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/logs").join(name);
    let mut tally = Tally::new(Settings::new(Day { year: 2026, month: 11, day: 23 }));
    std::fs::read(path).unwrap().split(|byte| *byte == b'\n').for_each(|line| tally.feed(line));
    tally.summary()
}

fn rows(top: &Top) -> Vec<(&str, u64)> {
    let mut rows: Vec<_> = top.rows.iter().map(|row| (row.name.as_str(), row.count)).collect();
    rows.sort_unstable();
    rows
}

#[test]
fn programs_beside_the_server() {
    let summary = summary("foreign.log");
    let Greylisting { delayed, early, passed, known } = summary.greylisting;
    assert_eq!((delayed, early, passed.count, passed.max, known), (3, 1, 2, 4, 5));
    let spf = [("fail", 2), ("neutral", 6), ("none", 4), ("pass", 3), ("permerror", 6), ("softfail", 6)];
    assert_eq!(rows(&summary.authenticity.spf), spf);
    let dkim = [("fail", 1), ("fail: key revoked", 1), ("fail: no key", 1), ("pass", 1), ("signed", 1)];
    assert_eq!(rows(&summary.authenticity.dkim), dkim);
    assert_eq!(rows(&summary.authenticity.dmarc), [("none", 3), ("pass", 1)]);
    assert_eq!(summary.attacks.failed, 6);
    // A name that imitates a line's end puts nothing on another's account or network.
    let accounts = [("admin", 1), ("bob@example.com", 3), ("nobody", 1), ("x>, rip=192.0.2.1", 1)];
    assert_eq!(rows(&summary.attacks.accounts), accounts);
    let networks = [("192.0.2.0/24", 1), ("198.51.100.0/24", 1), ("203.0.113.0/24", 4)];
    assert_eq!(rows(&summary.attacks.networks), networks);
    assert_eq!(summary.lines.broken, 1, "the end of the file");
}

#[test]
fn fail2ban_s_own_log() {
    let summary = summary("fail2ban.txt");
    let Bans { banned, restored, lifted, found, jails, networks } = &summary.bans;
    assert_eq!((*banned, *restored, *lifted, *found), (4, 0, 4, 9));
    assert_eq!(rows(jails), [("x", 4)]);
    assert_eq!(rows(networks), [("198.51.100.0/24", 1), ("2001:db8::/64", 1), ("203.0.113.0/24", 2)]);
    assert_eq!(summary.lines.broken, 1, "the end of the file");
}
