//! `komainu ban run` is killed before each of its writes in turn, while a line becomes a ban, and started again: what it
//! counts and holds is as it would be without the kill, and each line is counted once. T2.21.

use crate::ban_run::{Banner, line, logs};
use crate::site::until;
use crate::tracer::{Tracer, Victims};
use crate::world::{self, Needs};
use komainu::bans::control::ask;
use komainu::bans::{Answer, Order};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Child;

const JAILS: &str = "[DEFAULT]\nignoreself = false\nbantime = 600\nfindtime = 600\nmaxretry = 3\nbackend = polling\naction = note\n\
    [flood]\nenabled = true\nfilter =\nfailregex = ^.* flood from <HOST>$\nlogpath = /mnt/flood.log\n\
    [again]\nenabled = true\nfilter =\nfailregex = \\[flood\\] Ban <HOST>$\nlogpath = FOLDER/ban.log\n";
/// Kinds of writes: of the state, its flush, of the log, what is asked of the helper.
const KINDS: [(&str, &str); 4] =
    [("write", "state/bans"), ("flush", "state/bans"), ("write", "ban.log"), ("send", "socket")];
/// The most of a kind that are tried.
const STEPS_MAX: usize = 4;

fn add(text: &str) {
    let mut log = fs::OpenOptions::new().append(true).open("/mnt/flood.log").expect("a log");
    log.write_all(text.as_bytes()).expect("written");
}

/// How many failures of somebody each jail counts, and whether it shuts him out.
fn known(ours: &Banner, id: &str) -> Vec<(String, u32, bool)> {
    let socket = format!("{}/socket", ours.folder);
    let Ok(Answer::Reasons(reasons)) = ask(Path::new(&socket), &Order::Why(id.to_owned())) else {
        return Vec::new();
    };
    let mut known: Vec<_> =
        reasons.into_iter().map(|reason| (reason.jail, reason.failures, reason.held.is_some())).collect();
    known.sort_unstable();
    known
}

fn helper(server: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Kills before one step; whether it came.
fn round(name: &str, kind: (&'static str, &'static str), at: usize) -> bool {
    logs();
    let mut ours = Banner::new(name, "600");
    fs::write(format!("{}/jail.local", ours.folder), JAILS.replace("FOLDER", &ours.folder)).expect("a file");
    ours.last = "again";
    ours.start();
    until("it answers", || is_there(&ours).then_some(()));
    let pid = ours.child.as_ref().map(Child::id).expect("runs");
    let mut tracer = Tracer::attach(pid, &helper(pid), Victims::Server);
    tracer.arm_for(kind, at);
    add(&(line("flood", "192.0.2.1").repeat(3) + &line("flood", "192.0.2.2")));
    let is_done =
        || ours.acts().contains("ban flood 192.0.2.1\n") && ours.said().contains("[again] Found 192.0.2.1 ");
    // The state is flushed within a second of its last write: that one always comes.
    let is_over = || tracer.killed() || (kind.0 != "flush" && is_done());
    until("the step, or the end", || is_over().then_some(()));
    let has_come = tracer.killed();
    tracer.let_go(pid);
    ours.kill();
    if !has_come {
        return false;
    }
    ours.start();
    add(&(line("flood", "192.0.2.2") + &line("flood", "192.0.2.9")));
    let what = format!("killed before {kind:?} {at}");
    until(&what, || (known(&ours, "192.0.2.9") == [("flood".to_owned(), 1, false)]).then_some(()));
    until(&what, || known(&ours, "192.0.2.1").iter().any(|(jail, ..)| jail == "again").then_some(()));
    let ones = [("again".to_owned(), 1, false), ("flood".to_owned(), 0, true)];
    assert_eq!(known(&ours, "192.0.2.1"), ones, "{what}\n{}", ours.said());
    assert_eq!(known(&ours, "192.0.2.2"), [("flood".to_owned(), 2, false)], "{what}\n{}", ours.said());
    // In force: made before the kill, or by the second start.
    until(&what, || ours.acts().contains("ban flood 192.0.2.1\n").then_some(()));
    true
}

fn is_there(ours: &Banner) -> bool {
    matches!(ask(Path::new(&format!("{}/socket", ours.folder)), &Order::Ping), Ok(Answer::Pong))
}

#[test]
fn a_kill_before_each_write() {
    world::run("ban_steps::a_kill_before_each_write", Needs::Root, || {
        for (number, kind) in KINDS.into_iter().enumerate() {
            let most = if kind.0 == "flush" { 1 } else { STEPS_MAX };
            let came = (0..most).take_while(|at| round(&format!("ours{number}-{at}"), kind, *at)).count();
            println!("{kind:?}: {came} kills");
            assert!(came > 0, "no {kind:?} was seen");
        }
    });
}
