//! Whoever fails on while he is banned is held for longer, and whoever comes again is banned sooner.

use super::*;

/// Since when and until when somebody is shut out.
fn held(site: &Site) -> Option<(i64, i64)> {
    let Answer::Reasons(reasons) = site.ask(Order::Why("192.0.2.1".into())) else { panic!("no reasons") };
    let held = reasons.into_iter().find_map(|reason| reason.held)?;
    Some((held.since_s, held.until_s?))
}

fn fail(site: &Site, times: usize, ago_s: i64) {
    (0..times).for_each(|_| site.fail("app.log", "192.0.2.1", ago_s));
}

#[test]
fn a_ban_that_is_prolonged_is_kept() {
    let mut site = Site::new(APP);
    site.write("app.log", "");
    site.start();
    fail(&site, 3, 50);
    site.until("the ban", |site| held(site).is_some());
    let first = held(&site).unwrap();
    assert_eq!(first.1 - first.0, 600);
    fail(&site, 2, 20);
    site.until("two more", |site| site.status("app").total_failed == 5);
    assert_eq!(held(&site), Some(first));
    fail(&site, 1, 20);
    site.until("a later end", |site| held(site) != Some(first));
    let (since_s, until_s) = held(&site).unwrap();
    // Thirty seconds apart by their stamps, and a moment more.
    assert!(until_s - first.1 >= 30 && since_s == first.0, "{first:?} {until_s}");
    site.until("in force", |site| site.changes().contains(&"Prolong app 192.0.2.1".to_owned()));
    site.until("that it is said", |site| site.said().contains(" [app] 192.0.2.1 already banned"));
    let longer = site.noted.0.lock().unwrap().last().cloned().unwrap();
    assert_eq!((longer.time_s, longer.ban_s, longer.failures), (since_s, until_s - since_s, 3));
    let kept = format!(",{until_s}]");
    site.until("kept", |site| {
        fs::read_to_string(site.path("state/bans")).is_ok_and(|text| text.contains(&kept))
    });
    let state = fs::read(site.path("state/bans")).unwrap();
    site.stop();
    // As after a kill.
    fs::write(site.path("state/bans"), state).unwrap();
    let before = site.changes().len();
    site.start();
    assert_eq!(held(&site), Some((since_s, until_s)));
    let restored = site.noted.0.lock().unwrap()[before..].to_vec();
    assert!(restored.iter().any(|change| change.is_restored && change.ban_s == until_s - since_s));
}

#[test]
fn who_comes_again_is_banned_sooner() {
    let mut site = Site::new(&format!("bantime.increment = true\nbantime = 2\n{APP}"));
    site.write("app.log", "");
    site.start();
    fail(&site, 3, 0);
    let unban = "Unban app 192.0.2.1".to_owned();
    site.until("the ban's end", |site| site.changes().contains(&unban));
    fail(&site, 1, 0);
    site.until("one more", |site| site.status("app").total_failed == 4);
    assert_eq!(held(&site), None);
    fail(&site, 1, 0);
    // An action that was told of a ban hears as well that it is longer than others.
    let prolong = "Prolong app 192.0.2.1".to_owned();
    site.until("the second ban", |site| site.changes().contains(&prolong));
    let ban = "Ban app 192.0.2.1".to_owned();
    assert_eq!(site.changes()[..5], ["Start app ".to_owned(), ban.clone(), unban, ban, prolong]);
    let noted = site.noted.0.lock().unwrap().clone();
    assert_eq!([1, 3].map(|at| noted[at].ban_s), [2, 4]);
}

/// Whoever is let in by hand begins anew, as with fail2ban; also behind a restart.
#[test]
fn who_is_let_in_by_hand_begins_anew() {
    let mut site = Site::new(&format!("bantime.increment = true\n{APP}"));
    site.write("app.log", "");
    site.start();
    fail(&site, 3, 0);
    site.until("the ban", |site| held(site).is_some());
    assert_eq!(site.ask(Order::Unban { jail: None, ids: vec!["192.0.2.1".into()] }), Answer::Count(1));
    site.stop();
    site.start();
    fail(&site, 2, 0);
    site.until("two more", |site| site.status("app").total_failed == 2);
    assert_eq!(held(&site), None);
    fail(&site, 1, 0);
    site.until("the second ban", |site| held(site).is_some());
    let (since_s, until_s) = held(&site).unwrap();
    assert_eq!(until_s - since_s, 600);
}

/// A network with more bits than an address has is the address; who is at a keyboard hears that it is none.
#[test]
fn a_network_that_is_none() {
    let mut site = Site::new(APP);
    site.write("app.log", "");
    site.start();
    let ids = vec!["192.0.2.5/33".to_owned(), "2001:db8::5/129".to_owned()];
    let ban = Order::Ban { jail: "app".into(), ids: ids.clone(), ban_s: None };
    assert_eq!(site.ask(ban), Answer::Count(2));
    assert_eq!(site.status("app").banned, ["192.0.2.5", "2001:db8::5"]);
    let add = Order::Add { jail: "app".into(), ids: ids.clone(), ban_s: None };
    assert_eq!(site.ask(add), Answer::NoAddresses(ids));
}
