//! `komainu_count` at work: lines of a log, and failures of the server's own that say more than their lines.

use super::*;

const WIDE: &str = "logpath = DIR/app.log
enabled = true
filter =
komainu_spread = 3
maxretry = 4
";

fn jails() -> String {
    let jail = |name: &str, count: &str, rule: &str| {
        format!("[{name}]\n{WIDE}komainu_count = {count}\nfailregex = {rule}\n")
    };
    jail("net", "prefix", "failed from <HOST> ")
        + &jail("name", "account", "failed from <HOST> as <F-USER>\\S+</F-USER>")
        + &jail("word", "password", "failed from <HOST> .* with <F-PASSWORD>\\S+</F-PASSWORD>$")
}

fn failed(site: &Site, address: &str, user: &str, mark: &str) {
    let at = jiff::Timestamp::from_second(site.dial.now_us() / 1_000_000).unwrap();
    site.add("app.log", &format!("{at} mx app[7]: failed from {address} as {user} with {mark}\n"));
}

fn counted(site: &Site, failures: u64) {
    site.until("all is counted", |site| {
        ["net", "name", "word"].iter().all(|jail| site.status(jail).total_failed == failures)
    });
}

fn banned(site: &Site, jail: &str) -> Vec<String> {
    let mut banned = site.status(jail).banned;
    banned.sort();
    banned
}

#[test]
fn lines_that_have_something_in_common() {
    let mut site = Site::new(&jails());
    site.write("app.log", "");
    site.start();
    // Somebody mistypes, from two networks; each of three neighbours does once.
    for at in 0..9 {
        failed(&site, if at % 2 == 0 { "192.0.2.1" } else { "192.0.3.1" }, "alice", "m0");
    }
    for last in 1..=3 {
        failed(&site, &format!("203.0.113.{last}"), &format!("user{last}"), &format!("m{last}"));
    }
    counted(&site, 12);
    assert_eq!(["net", "name", "word"].map(|jail| banned(&site, jail).len()), [0, 0, 0]);
    // A network, in which nobody is above any limit.
    failed(&site, "203.0.113.4", "user4", "m4");
    // An account, from three networks more; passwords that are all different.
    for net in 10..13 {
        failed(&site, &format!("198.51.{net}.1"), "Root", &format!("r{net}"));
    }
    failed(&site, "198.51.10.9", "root", "r9");
    // One password for many accounts.
    for net in 20..24 {
        failed(&site, &format!("198.18.{net}.1"), &format!("person{net}"), "Summer");
    }
    counted(&site, 21);
    let expect: [(&str, &[&str]); 3] = [
        ("net", &["203.0.113.0/24"]),
        ("name", &["198.51.10.1", "198.51.10.9", "198.51.11.1", "198.51.12.1"]),
        ("word", &["198.18.20.1", "198.18.21.1", "198.18.22.1", "198.18.23.1"]),
    ];
    for (jail, expect) in expect {
        assert_eq!(banned(&site, jail), expect, "{jail}");
    }
    for change in ["Ban net 203.0.113.0/24", "Ban name 198.51.10.9", "Ban word 198.18.20.1"] {
        site.until(change, |site| site.changes().contains(&change.to_owned()));
    }
    // A restart keeps them.
    site.stop();
    site.start();
    for (jail, expect) in expect {
        assert_eq!(banned(&site, jail), expect, "{jail} after a restart");
    }
}

/// Said at the start, and of nobody whose filter captures what is counted.
#[test]
fn what_no_line_says() {
    let mute = format!("[mute]\n{WIDE}komainu_count = account\nfailregex = failed from <HOST> \n");
    let mut site = Site::new(&(jails() + &mute));
    site.write("app.log", "");
    site.start();
    site.until("it is said", |site| site.said().contains("K0672"));
    let said = site.said();
    assert_eq!(said.matches("K0672").count(), 1, "{said}");
    assert!(
        said.contains("[mute] has `komainu_count = account`, and its filter captures no account"),
        "{said}"
    );
}
