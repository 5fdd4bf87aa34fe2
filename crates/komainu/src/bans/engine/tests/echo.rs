//! Jails that read the engine's own log: each ban counts once, whatever a kill took of the state or the log.

use super::*;

const JAILS: &str = "[app]\nenabled = true\nfilter =\nfailregex = failed from <HOST>$\nlogpath = DIR/app.log\n\
    [again]\nenabled = true\nfilter =\nfailregex = NOTICE\\s+\\[app\\] Ban <HOST>$\nlogpath = DIR/bans.log\n";

/// How many bans of somebody the jail has counted.
fn counted(site: &Site, address: &str) -> u32 {
    let Answer::Reasons(reasons) = site.ask(Order::Why(address.into())) else { panic!() };
    reasons.iter().filter(|reason| reason.jail == "again").map(|reason| reason.failures).sum()
}

/// What a power failure or a kill finds.
fn state(site: &Site) -> Vec<u8> {
    fs::read(site.path("state/bans")).unwrap_or_default()
}

fn has(site: &Site, text: &str) -> bool {
    String::from_utf8_lossy(&state(site)).contains(text)
}

/// Bans somebody, and says what of it was kept before and behind.
fn ban(site: &mut Site) -> (Vec<u8>, Vec<u8>, String) {
    site.write("app.log", "");
    site.start();
    site.until("marks of both", |site| has(site, "app.log") && has(site, "bans.log"));
    let before = state(site);
    (0..3).for_each(|_| site.fail("app.log", "192.0.2.1", 0));
    site.until("the ban kept", |site| {
        has(site, "\"jail\":\"again\"") && site.said().contains("Ban 192.0.2.1")
    });
    let behind = state(site);
    let log = site.said();
    (before, behind, log)
}

/// A start with this state and this log counts the ban once, and what others say in the log as well.
fn check(site: &mut Site, kept: &[u8], log: &str) {
    site.stop();
    fs::write(site.path("state/bans"), kept).unwrap();
    fs::write(site.path("bans.log"), log).unwrap();
    site.pid += 1;
    site.start();
    let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S");
    let other = format!("{now},000 fail2ban.actions        [9]: NOTICE  [app] Ban 192.0.2.50\n");
    site.add("bans.log", &other);
    site.fail("app.log", "192.0.2.60", 0);
    site.until("what others said", |site| counted(site, "192.0.2.50") == 1);
    site.until("the log read", |site| site.said().contains("Found 192.0.2.60"));
    site.until("the ban", |site| counted(site, "192.0.2.1") > 0);
    assert_eq!(counted(site, "192.0.2.1"), 1, "{}", site.said());
    assert_eq!(site.status("app").banned, ["192.0.2.1"]);
}

#[test]
fn the_log_is_ahead_of_the_state() {
    let mut site = Site::new(JAILS);
    let (before, _, log) = ban(&mut site);
    check(&mut site, &before, &log);
}

#[test]
fn the_state_is_ahead_of_the_log() {
    let mut site = Site::new(JAILS);
    let (_, behind, log) = ban(&mut site);
    let lines = log.lines().filter(|line| !line.ends_with("Ban 192.0.2.1"));
    let log: String = lines.map(|line| format!("{line}\n")).collect();
    check(&mut site, &behind, &log);
}

#[test]
fn both_are_whole() {
    let mut site = Site::new(JAILS);
    let (_, behind, log) = ban(&mut site);
    check(&mut site, &behind, &log);
}

/// A jail that is new reads what was said before it was there.
#[test]
fn a_jail_that_comes_later() {
    let mut site = Site::new(JAILS);
    site.write("etc/jail.local", "[again]\nenabled = false\n");
    site.write("app.log", "");
    site.start();
    site.until("start", |site| site.changes() == ["Start app "]);
    (0..3).for_each(|_| site.fail("app.log", "192.0.2.1", 0));
    site.until("the ban", |site| site.said().contains("Ban 192.0.2.1"));
    site.write("etc/jail.local", "");
    assert_eq!(site.ask(Order::Reload { jail: None, unban: false }), Answer::Done);
    site.until("it is counted", |site| counted(site, "192.0.2.1") == 1);
    (0..3).for_each(|_| site.fail("app.log", "192.0.2.2", 0));
    site.until("the next, too", |site| counted(site, "192.0.2.2") == 1);
    assert_eq!(counted(&site, "192.0.2.1"), 1);
}
