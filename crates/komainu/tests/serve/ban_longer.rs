//! Bans that last longer than they were meant to, beside Debian's fail2ban: whoever fails on, and whoever comes again. T2.21.

use crate::ban_run::{Banner, line, logs};
use crate::site::until;
use crate::world::{self, Needs};
use komainu::bans::control::ask;
use komainu::bans::{Answer, Order};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const JAILS: &str = "[DEFAULT]\nignoreself = false\nbantime = 1d\nfindtime = 600\nmaxretry = 3\nbackend = polling\naction = note\n\
    filter =\nfailregex = ^.* flood from <HOST>$\nlogpath = /mnt/flood.log\n\
    [flat]\nenabled = true\n[grown]\nenabled = true\nbantime.increment = true\n";
const NOTE: &str = "[Definition]\nactionban = echo ban <name> <ip> <bantime> <bancount> >> FOLDER/acts\n\
    actionprolong = echo longer <name> <ip> <bantime> <bancount> >> FOLDER/acts\n";
const DAY_S: i64 = 86_400;

/// A jail, and for how many seconds it holds somebody in all.
type Held = (String, i64);

fn banner(name: &str) -> Banner {
    let mut banner = Banner::new(name, "1d");
    let put = |file: &str, text: &str| {
        let text = text.replace("FOLDER", &banner.folder);
        fs::write(format!("{}/{file}", banner.folder), text).expect("a file");
    };
    put("jail.local", JAILS);
    put("action.d/note.conf", NOTE);
    banner.last = "grown";
    banner
}

fn fail(times: usize) {
    let mut log = fs::OpenOptions::new().append(true).open("/mnt/flood.log").expect("a log");
    log.write_all(line("flood", "192.0.2.1").repeat(times).as_bytes()).expect("written");
}

fn our_bans(ours: &Banner) -> Vec<Held> {
    let Ok(Answer::Bans(mut held)) = ask(Path::new(&format!("{}/socket", ours.folder)), &Order::List(None))
    else {
        return Vec::new();
    };
    held.sort_by(|one, other| one.jail.cmp(&other.jail));
    held.into_iter().map(|held| (held.jail, held.until_s.unwrap_or(0) - held.since_s)).collect()
}

fn their(theirs: &Banner, words: &[&str]) -> String {
    let socket = format!("{}/socket", theirs.folder);
    let begin = ["-c", &theirs.folder, "-s", &socket];
    let output = Command::new("fail2ban-client").args(begin).args(words).output().expect("runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn their_bans(theirs: &Banner) -> Vec<Held> {
    // `192.0.2.1 \t2026-11-23 19:26:17 + 86421 = 2026-11-24 19:26:38`
    let seconds = |text: String| text.split_once(" + ")?.1.split(' ').next()?.parse().ok();
    let held =
        |jail: &str| Some((jail.to_owned(), seconds(their(theirs, &["get", jail, "banip", "--with-time"]))?));
    ["flat", "grown"].into_iter().filter_map(held).collect()
}

#[test]
fn as_long_as_fail2ban() {
    world::run("ban_longer::as_long_as_fail2ban", Needs::Root, || {
        if Command::new("fail2ban-server").arg("--version").output().is_err() {
            println!("no fail2ban-server: skipped");
            return;
        }
        logs();
        let (mut ours, mut theirs) = (banner("ours"), banner("theirs"));
        ours.start();
        theirs.start();
        fail(3);
        let both_are = |what: &str, expect: &dyn Fn(&[Held]) -> bool| {
            until(what, || (expect(&our_bans(&ours)) && expect(&their_bans(&theirs))).then_some(()));
        };
        let days = |flat: i64, grown: i64| {
            vec![("flat".to_owned(), flat * DAY_S), ("grown".to_owned(), grown * DAY_S)]
        };
        both_are("both ban", &|bans| bans == days(1, 1));
        // Stamps are whole seconds.
        std::thread::sleep(Duration::from_millis(1_100));
        // Where bans grow, two failures of somebody who was banned are as many as three.
        fail(2);
        both_are(
            "longer where they grow",
            &|bans| matches!(bans, [(_, DAY_S), (_, grown_s)] if *grown_s > DAY_S),
        );
        fail(1);
        both_are(
            "longer",
            &|bans| matches!(bans, [(_, flat_s), (_, grown_s)] if flat_s.min(grown_s) > &DAY_S),
        );
        let (longer, others) = (our_bans(&ours), their_bans(&theirs));
        assert_eq!(longer, others, "{}\n{}", ours.said(), theirs.said());
        ours.kill();
        ours.start();
        until("restored", || (our_bans(&ours) == longer).then_some(()));
        // Let in by hand, it begins anew, as with fail2ban: three failures, and a day.
        let socket = format!("{}/socket", ours.folder);
        let unban = Order::Unban { jail: Some("grown".into()), ids: vec!["192.0.2.1".into()] };
        assert!(matches!(ask(Path::new(&socket), &unban), Ok(Answer::Count(1))));
        let bans = || ours.acts().matches("ban grown 192.0.2.1 86400 1\n").count();
        let before = bans();
        fail(3);
        until("again", || our_bans(&ours).contains(&("grown".to_owned(), DAY_S)).then_some(()));
        until("told of it", || (bans() == before + 1).then_some(()));
        for act in ["ban flat 192.0.2.1 86400 1\n", "ban grown 192.0.2.1 86400 1\n"] {
            assert!(
                ours.acts().contains(act) && theirs.acts().contains(act),
                "{}\n{}",
                ours.acts(),
                theirs.acts()
            );
        }
        let told = format!("longer flat 192.0.2.1 {} 1\n", longer[0].1);
        assert!(ours.acts().contains(&told), "{}", ours.acts());
    });
}
