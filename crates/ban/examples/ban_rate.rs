//! How fast filters read, beside fail2ban-regex, and what jails hold: `ban_rate LINES TURNS`, `ban_rate bans COUNT`.
//!
//! In turns, on the same logs that a seed makes, with the stock filters of /etc/fail2ban: CPU time of one thread here,
//! of the process there. Both must find as many failures. `ban_rate own LINES` is without fail2ban-regex, `ban_rate make
//! mail|auth LINES` prints a log.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a measure for people"
)]

use ban::filter::{Failure, Fields, Filter, Id, Outcome, Reader};
use ban::jail::{Jail, Settings};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

struct Disk;

impl ban::layers::Files for Disk {
    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        Ok(std::fs::read_to_string(path).ok())
    }

    fn list(&self, _folder: &Path) -> Vec<PathBuf> {
        Vec::new()
    }
}

const FILTERS: [(&str, &str); 4] =
    [("mail", "postfix"), ("mail", "postfix[mode=aggressive]"), ("mail", "dovecot"), ("auth", "sshd")];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| words.get(at).and_then(|n| n.parse().ok()).unwrap_or(default);
    match words.first().map(String::as_str) {
        Some("make") => print!("{}", made(words.get(1).map_or("", String::as_str), number(2, 500_000))),
        Some("own") => own(number(1, 500_000), words.get(2)),
        Some("bans") => bans(u32::try_from(number(1, 100_000)).unwrap_or(100_000)),
        _ => compare(number(0, 500_000), number(1, 3)),
    }
}

fn made(kind: &str, lines: usize) -> String {
    if kind == "auth" { ban::made::auth_log(1, lines).log } else { ban::made::mail_log(1, lines).log }
}

/// User and system time of this process, in seconds.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("proc(5)");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// Failures, and CPU seconds of one time through; it goes through as often as a clock of 10 ms needs.
fn ours(log: &[u8], filter: &Arc<Filter>) -> (u32, f64) {
    let mut failed = 0;
    let (start, mut times) = (cpu_s(), 0.0);
    while cpu_s() - start < 1.0 {
        failed = 0;
        let mut reader = Reader::new(Arc::clone(filter), ban::zone::Zone::new(jiff::tz::TimeZone::UTC));
        let now_us = (ban::made::BEGIN_S + 864_000) * 1_000_000;
        reader.lines(log, now_us, &mut |_, _, outcome| {
            failed += u32::from(matches!(outcome, Outcome::Failed(_)));
        });
        times += 1.0;
    }
    (failed, (cpu_s() - start) / times)
}

/// The same of fail2ban-regex, less what it takes for a log of one line.
fn theirs(log: &Path, filter: &str) -> (u32, f64) {
    let run = |log: &str| {
        let script = "TIMEFORMAT='%U %S'; time fail2ban-regex --TZ=UTC --print-no-missed \"$0\" \"$1\"";
        let out = Command::new("bash").args(["-c", script, log, filter]).env("TZ", "UTC").output();
        let out = out.expect("bash and fail2ban-regex");
        let (said, times) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        let seconds = times.split_whitespace().filter_map(|word| word.parse::<f64>().ok()).sum::<f64>();
        let counts = said.lines().find(|line| line.starts_with("Lines: ")).unwrap_or("").to_owned();
        let failed = counts.split(", ").find_map(|part| part.strip_suffix(" matched")?.parse().ok());
        (failed.unwrap_or(0), seconds)
    };
    let (failed, seconds) = run(&log.display().to_string());
    (failed, seconds - run("Nov 20 01:02:03 mx x: y").1)
}

fn compiled(name: &str) -> Arc<Filter> {
    let stock = Path::new("/etc/fail2ban/filter.d");
    let call = ban::brackets::parse(name).expect("a filter").remove(0);
    let options =
        ban::jails::filter(&Disk, &stock.join(&call.name), &call, &mut Vec::new()).expect("a filter");
    Arc::new(Filter::new(&options).expect("a filter"))
}

fn own(lines: usize, wanted: Option<&String>) {
    for (kind, name) in FILTERS.into_iter().filter(|(_, name)| wanted.is_none_or(|wanted| wanted == name)) {
        let log = made(kind, lines);
        let count = f64::from(u32::try_from(log.lines().count()).unwrap_or(u32::MAX));
        let (found, seconds) = ours(log.as_bytes(), &compiled(name));
        println!("{name}: {found} failures, {:.0} lines/s", count / seconds);
    }
}

fn compare(lines: usize, turns: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    for (kind, name) in FILTERS {
        let path = folder.path().join(kind);
        let log = made(kind, lines);
        std::fs::write(&path, &log).expect("a log");
        let filter = compiled(name);
        let count = f64::from(u32::try_from(log.lines().count()).unwrap_or(u32::MAX));
        let (mut own, mut other) = (Vec::new(), Vec::new());
        for turn in 1..=turns {
            let ((found, own_s), (also, other_s)) = (ours(log.as_bytes(), &filter), theirs(&path, name));
            assert_eq!(found, also, "{name}: failures here and there");
            eprintln!(
                "{name}, turn {turn}: {found} failures, {:.0} : {:.0} lines/s",
                count / own_s,
                count / other_s
            );
            own.push(count / own_s);
            other.push(count / other_s);
        }
        let (own, other) = (spread(own), spread(other));
        println!(
            "| {name} | {:.0} / **{:.0}** / {:.0} | {:.0} / **{:.0}** / {:.0} | {:.0}× |",
            own.0,
            own.1,
            own.2,
            other.0,
            other.1,
            other.2,
            own.1 / other.1
        );
    }
}

/// The least, the median, the most.
fn spread(mut rates: Vec<f64>) -> (f64, f64, f64) {
    rates.sort_by(f64::total_cmp);
    let at = |at: usize| rates.get(at).copied().unwrap_or(0.0);
    (at(0), at(rates.len() / 2), at(rates.len().saturating_sub(1)))
}

/// Resident bytes of this process.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("proc(5)");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0) * 4_096.0
}

fn bans(count: u32) {
    let mut jail = Jail::new(Settings { failures_max: 1, ban_s: 3_600, ..Settings::default() });
    let failure = |n: u32| {
        let id = Id::address(std::net::Ipv4Addr::from(0x0A00_0000 + n).into());
        Failure { time_us: i64::from(n) * 10_000, id, fields: Fields::default(), rule: 0 }
    };
    let before = resident();
    let start = std::time::Instant::now();
    for n in 0..count {
        jail.failure(&failure(n));
    }
    let each_us = start.elapsed().as_secs_f64() * 1e6 / f64::from(count);
    let bytes = (resident() - before) / f64::from(count);
    println!("{} bans: {bytes:.0} bytes each resident, {each_us:.2} µs to add one", jail.banned_count());
    let start = std::time::Instant::now();
    let ended = jail.ended(i64::MAX).len();
    println!("{ended} ended in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
}
