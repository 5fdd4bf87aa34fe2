//! Clocks that are set, hours that come twice or never, a year that ends.

use super::*;
use crate::bans::order::Held;

/// A jail whose log has stamps of syslog's, in Berlin's time.
const SYSLOG: &str =
    "[app]\nenabled = true\nfilter =\nfailregex = app\\[7\\]: failed from <HOST>$\nlogpath = DIR/app.log\n";

fn berlin() -> Dial {
    Dial::new(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap())
}

fn held(site: &Site) -> Vec<Held> {
    let Answer::Bans(held) = site.ask(Order::List(None)) else { panic!() };
    held
}

/// Somebody is held for ten minutes, since a moment ago by the clock as it is now.
fn is_held(site: &Site, address: &str) -> bool {
    let now_s = site.dial.now_us() / 1_000_000;
    held(site).iter().any(|held| {
        held.id == address
            && held.until_s == Some(held.since_s + 600)
            && (now_s - 120..=now_s).contains(&held.since_s)
    })
}

#[test]
fn bans_and_counts_follow_a_clock_that_is_set() {
    let mut site = Site::new(APP);
    site.write("app.log", "");
    site.start();
    (0..3).for_each(|_| site.fail("app.log", "192.0.2.1", 0));
    (0..2).for_each(|_| site.fail("app.log", "192.0.2.2", 0));
    site.until("the ban", |site| is_held(site, "192.0.2.1"));
    site.until("two more", |site| site.status("app").total_failed == 5);
    site.dial.set(-3_600);
    site.until("that it is said", |site| site.said().contains("the clock was set back by 3"));
    assert!(is_held(&site, "192.0.2.1"), "{:?}", held(&site));
    // Its third, by the clock as it is now.
    site.fail("app.log", "192.0.2.2", 0);
    site.until("the second ban", |site| is_held(site, "192.0.2.2"));
    site.fail("app.log", "192.0.2.3", 0);
    site.fail("app.log", "192.0.2.3", 0);
    site.until("two of a third", |site| site.status("app").total_failed == 8);
    site.dial.set(86_400);
    site.until("that it is said", |site| site.said().contains("the clock was set ahead by 86"));
    assert!(["192.0.2.1", "192.0.2.2"].iter().all(|id| is_held(&site, id)), "{:?}", held(&site));
    // The machine sleeps: that is time that passes.
    site.dial.pass(601);
    site.until("their ends", |site| {
        ["192.0.2.1", "192.0.2.2"].iter().all(|id| site.changes().contains(&format!("Unban app {id}")))
    });
    // Its first two lie too far back by now, but for their share of the time.
    site.fail("app.log", "192.0.2.3", 0);
    site.until("one more", |site| site.status("app").total_failed == 9);
    site.fail("app.log", "192.0.2.4", 0);
    site.until("read", |site| site.status("app").total_failed == 10);
    assert!(!is_held(&site, "192.0.2.4"));
    assert_eq!(site.said().matches("the clock was set").count(), 2, "{}", site.said());
}

/// What was kept by a clock that was ahead lasts no longer than it was meant to.
#[test]
fn a_start_with_a_clock_that_was_set_back() {
    let mut site = Site::new(APP);
    site.write("app.log", "");
    site.start();
    (0..3).for_each(|_| site.fail("app.log", "192.0.2.1", 0));
    site.until("the ban", |site| is_held(site, "192.0.2.1"));
    site.stop();
    site.dial.set(-10 * 365 * 86_400);
    site.start();
    site.until("the ban again", |site| is_held(site, "192.0.2.1"));
    // By the network's time the clock is right again.
    site.dial.set(10 * 365 * 86_400);
    site.until("that it is said", |site| site.said().contains("the clock was set ahead"));
    assert!(is_held(&site, "192.0.2.1"), "{:?}", held(&site));
    site.dial.pass(601);
    site.until("its end", |site| site.changes().contains(&"Unban app 192.0.2.1".to_owned()));
}

fn say(site: &Site, stamp: &str, times: usize) {
    site.add("app.log", &format!("{stamp} mx app[7]: failed from 192.0.2.1\n").repeat(times));
}

/// The second of a moment, and of when somebody's ban began.
fn since(site: &Site, moment: &str) -> (i64, i64) {
    let at: jiff::Timestamp = moment.parse().unwrap();
    (held(site).first().map_or(0, |held| held.since_s), at.as_second())
}

#[test]
fn the_hour_that_comes_twice() {
    let mut site = Site::new(SYSLOG);
    site.dial = berlin();
    site.write("app.log", "");
    // 02:29 for the first time.
    site.dial.is("2026-10-25T00:29:00Z");
    site.start();
    say(&site, "Oct 25 02:29:00", 2);
    site.until("two", |site| site.status("app").total_failed == 2);
    // And for the second: the two lie an hour back, though their stamps don't.
    site.dial.pass(3_600);
    say(&site, "Oct 25 02:29:00", 1);
    site.until("one more", |site| site.status("app").total_failed == 3);
    assert_eq!(held(&site), []);
    say(&site, "Oct 25 02:29:01", 2);
    site.until("a ban", |site| site.status("app").currently_banned == 1);
    let (since_s, at_s) = since(&site, "2026-10-25T01:29:00Z");
    assert!((at_s..at_s + 120).contains(&since_s), "{}", since_s - at_s);
    site.dial.pass(601);
    site.until("its end", |site| site.changes().contains(&"Unban app 192.0.2.1".to_owned()));
}

#[test]
fn the_hour_that_never_comes() {
    let mut site = Site::new(SYSLOG);
    site.dial = berlin();
    site.write("app.log", "");
    site.dial.is("2026-03-29T00:59:50Z");
    site.start();
    say(&site, "Mar 29 01:59:50", 2);
    site.until("two", |site| site.status("app").total_failed == 2);
    site.dial.pass(20);
    say(&site, "Mar 29 03:00:10", 1);
    site.until("a ban", |site| site.status("app").currently_banned == 1);
    let (since_s, at_s) = since(&site, "2026-03-29T01:00:10Z");
    assert!((at_s - 1..=at_s).contains(&since_s), "{}", since_s - at_s);
    site.until("their time", |site| site.said().contains("Found 192.0.2.1 - 2026-03-29 01:59:50"));
    site.dial.pass(601);
    site.until("its end", |site| site.changes().contains(&"Unban app 192.0.2.1".to_owned()));
}

/// Stamps without a year, read in the year after.
#[test]
fn a_year_ends() {
    let mut site = Site::new(SYSLOG);
    site.dial = berlin();
    say(&site, "Dec 31 23:48:00", 2);
    say(&site, "Dec 31 23:59:57", 2);
    site.dial.is("2026-12-31T23:00:03Z");
    site.start();
    site.until("two that count", |site| site.status("app").total_failed == 2);
    site.until("their times", |site| {
        site.said().matches("Found 192.0.2.1 - 2026-12-31 23:59:57").count() == 2
    });
    say(&site, "Jan  1 00:00:03", 1);
    site.until("a ban", |site| site.status("app").currently_banned == 1);
    let (since_s, at_s) = since(&site, "2026-12-31T23:00:03Z");
    assert_eq!(since_s, at_s);
}
