//! Commands that say whom to spare.

use super::*;
use std::os::unix::fs::PermissionsExt as _;

fn jail(more: &str) -> String {
    format!(
        "[app]\nenabled = true\nfilter =\nfailregex = user <F-USER>.*</F-USER> failed from <HOST>$\nlogpath = DIR/app.log\n{more}\n"
    )
}

/// A site with a program that spares one address and notes what it was asked.
fn site(more: &str) -> Site {
    let site = Site::new(&jail(more));
    site.write("app.log", "");
    site.write("known", "#!/bin/sh\necho \"$1|$2\" >>DIR/asked\n[ \"$1\" = 192.0.2.7 ]\n");
    fs::set_permissions(site.path("known"), fs::Permissions::from_mode(0o755)).unwrap();
    site
}

fn fail(site: &Site, user: &str, address: &str) {
    let at = jiff::Timestamp::from_second(site.dial.now_us() / 1_000_000).unwrap();
    site.add("app.log", &format!("{at} mx app[7]: user {user} failed from {address}\n"));
}

fn asked(site: &Site) -> String {
    fs::read_to_string(site.path("asked")).unwrap_or_default()
}

#[test]
fn a_command_spares() {
    let mut site = site("ignorecommand = DIR/known <ip> \"<F-USER>\"");
    site.start();
    let hostile = format!("x'\"; touch {}; '$(touch {0})", site.path("pwned").display());
    for _ in 0..3 {
        fail(&site, "a", "192.0.2.7");
        fail(&site, &hostile, "192.0.2.1");
    }
    site.until("the ban", |site| site.changes().contains(&"Ban app 192.0.2.1".to_owned()));
    site.until("who is spared", |site| {
        site.said().matches("INFO    [app] Ignore 192.0.2.7 by command").count() == 3
    });
    assert_eq!(site.status("app").banned, ["192.0.2.1"]);
    assert_eq!(asked(&site).matches(&format!("192.0.2.1|{hostile}\n")).count(), 3, "{}", asked(&site));
    assert!(!site.path("pwned").exists());
    assert!(!site.said().contains("Found 192.0.2.7"));
}

#[test]
fn its_answers_are_kept() {
    let mut site =
        site("ignorecommand = DIR/known <ip> x\nignorecache = key=\"<ip>\", max-count=2, max-time=5m");
    site.start();
    let spared = |site: &Site| site.said().matches("Ignore 192.0.2.7 by command").count();
    for count in 1..=3 {
        fail(&site, "a", "192.0.2.7");
        fail(&site, "a", "192.0.2.1");
        site.until("it is spared", |site| spared(site) == count);
        site.until("the other counts", |site| site.status("app").total_failed == count as u64);
    }
    assert_eq!(asked(&site).lines().count(), 2, "{}", asked(&site));
    site.dial.pass(301);
    fail(&site, "a", "192.0.2.7");
    site.until("asked again", |site| spared(site) == 4);
    assert_eq!(asked(&site).matches("192.0.2.7").count(), 2);
}

#[test]
fn a_command_that_isn_t_there_spares_nobody() {
    let mut site = site("ignorecommand = DIR/none <ip>");
    site.start();
    (0..3).for_each(|_| fail(&site, "a", "192.0.2.7"));
    site.until("the ban", |site| site.changes().contains(&"Ban app 192.0.2.7".to_owned()));
    site.until("that it is said", |site| {
        site.said().contains("ERROR   K0668: [app] ignorecommand spares nobody")
    });
    assert_eq!(site.said().matches("K0668").count(), 1);
}

/// More lines than questions may wait: none is lost.
#[test]
fn a_log_waits_for_answers() {
    let mut site = site("ignorecommand = false");
    site.start();
    for number in 0..100 {
        for _ in 0..4 {
            fail(&site, "a", &format!("198.51.100.{number}"));
        }
    }
    site.until("all of them", |site| site.status("app").total_failed == 400);
    assert_eq!(site.status("app").currently_banned, 100);
}
