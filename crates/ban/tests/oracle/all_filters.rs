//! Every stock filter beside `fail2ban-regex`, on the same lines: the filter's own samples, then those of all others.

use crate::annotated::{self, Options};
use crate::samples::folder;
use crate::{Disk, stock};
use ban::filter::{Filter, Outcome, Reader};
use ban::zone::Zone;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// Runs `fail2ban-regex` many times from one process that has read its program once: `OUT LOG FILTER`, a line each.
const MANY: &str = r"
import os, sys
sys.path.insert(0, '/usr/lib/python3/dist-packages')
from fail2ban.client.fail2banregex import exec_command_line
conf, form = sys.argv[1:3]
running = set()
for line in sys.stdin.read().splitlines():
    out, log, name = line.split('\t')
    if len(running) > 1:
        running.discard(os.wait()[0])
    pid = os.fork()
    if pid:
        running.add(pid)
        continue
    code = 1
    try:
        os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 1)
        sys.argv = ['fail2ban-regex', '-c', conf, '--usedns=raw', '--TZ=UTC', '-e', 'UTF-8', '-o', form, log, name]
        exec_command_line()
    except SystemExit:
        code = 0
    finally:
        sys.stdout.flush()
        os._exit(code)
while running:
    running.discard(os.wait()[0])
";

/// Between what is said of two failures.
const END: char = '\u{1}';

/// A failure: when, who, as whom, and the line that completed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) time_s: i64,
    pub(crate) host: String,
    pub(crate) user: String,
    pub(crate) line: String,
}

/// A filter to be run on a log.
pub(crate) struct Work {
    pub(crate) filter: String,
    pub(crate) log: PathBuf,
    /// Where `fail2ban-regex` writes.
    pub(crate) out: PathBuf,
}

/// What `fail2ban-regex` finds.
pub(crate) fn theirs(folder: &Path, work: &[Work]) -> Vec<Vec<Said>> {
    let form = format!("<time>\t<ip>\t<F-USER>\t<matches>{END}");
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", MANY, &folder.display().to_string(), &form])
        .envs([("TZ", "UTC"), ("LC_ALL", "C.UTF-8"), ("PYTHONDONTWRITEBYTECODE", "1")])
        .stdin(Stdio::piped())
        .spawn()
        .expect("python");
    let jobs: Vec<String> =
        work.iter().map(|w| format!("{}\t{}\t{}\n", w.out.display(), w.log.display(), w.filter)).collect();
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), jobs.concat().as_bytes())
        .expect("written");
    assert!(child.wait().expect("ends").success());
    let read = |work: &Work| {
        let text = std::fs::read(&work.out).expect("an output");
        let text = String::from_utf8_lossy(&text).into_owned();
        let each = text.split(END).map(str::trim_start).filter(|said| !said.is_empty());
        let said = |text: &str| {
            let mut parts = text.splitn(4, '\t');
            let mut next = || parts.next().expect(&work.filter);
            let time_s = next().split('.').next().and_then(|s| s.parse().ok()).expect("a time");
            let (host, user) = (next().to_owned(), next().to_owned());
            let line = next().lines().next_back().unwrap_or("").to_owned();
            Said { time_s, host, user, line }
        };
        each.map(said).collect()
    };
    work.iter().map(read).collect()
}

/// What we find.
pub(crate) fn ours(folder: &Path, work: &Work, now_s: i64) -> Vec<Said> {
    let call = ban::brackets::parse(&work.filter).expect("a filter").remove(0);
    let path = folder.join("filter.d").join(&call.name);
    let options = ban::jails::filter(&Disk, &path, &call, &mut Vec::new()).expect("a filter");
    let filter = Filter::new(&options).expect(&work.filter);
    let mut reader = Reader::new(Arc::new(filter), Zone::new(jiff::tz::TimeZone::UTC));
    let log = std::fs::read(&work.log).expect("a log");
    let mut found = Vec::new();
    reader.lines(&log, now_s * 1_000_000, &mut |_, line, outcome| {
        if let Outcome::Failed(failure) = outcome {
            let user = failure.fields.named.get("user").unwrap_or_default().to_owned();
            let (time_s, host) = (failure.time_us.div_euclid(1_000_000), failure.id.to_string());
            found.push(Said { time_s, host, user, line: String::from_utf8_lossy(line).into_owned() });
        }
    });
    found
}

/// What differs between the two. A line without a date has the present time there, that of the line before here.
pub(crate) fn differences(work: &Work, theirs: &[Said], ours: &[Said], now_s: i64) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut theirs, mut ours) = (theirs, ours);
    loop {
        wrong.push(match (theirs.split_first(), ours.split_first()) {
            (None, None) => return wrong,
            (Some((t, behind)), Some((o, rest))) if t.line.trim() == o.line.trim() => {
                (theirs, ours) = (behind, rest);
                let same_time = t.time_s == o.time_s || (t.time_s - now_s).abs() < 600;
                if (&t.host, &t.user, same_time) == (&o.host, &o.user, true) {
                    continue;
                }
                format!("{}: {t:?}, ours {o:?}", work.filter)
            }
            // What ours has next comes later in theirs.
            (Some((t, rest)), o)
                if o.is_none_or(|(o, _)| theirs.iter().any(|t| t.line.trim() == o.line.trim())) =>
            {
                theirs = rest;
                format!("{}: only theirs {t:?}", work.filter)
            }
            (_, Some((o, rest))) => {
                ours = rest;
                format!("{}: only ours {o:?}", work.filter)
            }
            (Some((t, rest)), None) => {
                theirs = rest;
                format!("{}: only theirs {t:?}", work.filter)
            }
        });
    }
}

/// Each filter's name with all options that matter.
fn calls(folder: &Path, samples: &Path) -> Vec<(String, String)> {
    let mut calls = BTreeSet::new();
    for file in annotated::names(&folder.join("filter.d")) {
        let Some(name) = file.strip_suffix(".conf").filter(|name| !name.ends_with("common")) else {
            continue;
        };
        calls.insert((name.to_owned(), name.to_owned()));
        let sets = if samples.join(name).exists() {
            annotated::read(samples, name).expect(name)
        } else {
            Vec::new()
        };
        for (options, _) in sets {
            calls.insert((name.to_owned(), format!("{name}{}", annotated::brackets(&options))));
        }
    }
    let more = [("dovecot", "mode", "aggressive"), ("postfix", "mode", "more"), ("postfix", "mode", "extra")];
    for (name, option, value) in more {
        let options = Options::from_iter([(option.to_owned(), value.into())]);
        calls.insert((name.to_owned(), format!("{name}{}", annotated::brackets(&options))));
    }
    calls.into_iter().collect()
}

/// The lines of a sample.
fn lines_of(samples: &Path, name: &str) -> String {
    let text = std::fs::read_to_string(samples.join(name)).unwrap_or_default();
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn all_of_them_find_what_fail2ban_regex_finds() {
    let Some(stock) = stock("all filters") else { return };
    let Some(samples) = folder("all filters") else { return };
    let holder = annotated::filters(&stock, &samples);
    let folder = holder.path().join("fail2ban");
    let names = annotated::names(&samples);
    let all: Vec<(String, String)> =
        names.iter().map(|name| (name.clone(), lines_of(&samples, name))).collect();
    let mut work = Vec::new();
    for (at, (name, filter)) in calls(&folder, &samples).into_iter().enumerate() {
        // The old sshd filter joins ten lines at a time: it is asked about sshd's only.
        let is_slow = name.starts_with("zzz-sshd");
        let is_own = |known: &str| known == name || (is_slow && known == "sshd");
        let own = all.iter().filter(|(known, _)| is_own(known));
        let others = all.iter().filter(|(known, _)| !is_slow && !is_own(known));
        let text: String = own.chain(others).map(|(_, text)| text.as_str()).collect();
        let log = holder.path().join(format!("{at}.log"));
        std::fs::write(&log, text).expect("a log");
        work.push(Work { filter, log, out: holder.path().join(format!("{at}.out")) });
    }
    let now_s =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
    let now_s = i64::try_from(now_s).expect("a time");
    let results: Vec<Mutex<Vec<Said>>> = work.iter().map(|_| Mutex::default()).collect();
    let next = Mutex::new(work.iter().zip(&results));
    let all_of_theirs = std::thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                let Some((work, result)) = next.lock().expect("a lock").next() else { return };
                *result.lock().expect("a lock") = ours(&folder, work, now_s);
            }
        });
        theirs(&folder, &work)
    });
    let (mut wrong, mut count) = (Vec::new(), 0);
    for ((work, theirs), ours) in work.iter().zip(&all_of_theirs).zip(&results) {
        count += theirs.len();
        wrong.extend(differences(work, theirs, &ours.lock().expect("a lock"), now_s));
    }
    assert!(count > 2_500, "{count} failures");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_comparison_sees_what_differs() {
    let said = |time_s: i64, host: &str, line: &str| {
        let (host, user, line) = (host.to_owned(), String::new(), line.to_owned());
        Said { time_s, host, user, line }
    };
    let work = Work { filter: "x".to_owned(), log: PathBuf::new(), out: PathBuf::new() };
    let check = |theirs: &[Said], ours: &[Said], expect: usize| {
        assert_eq!(differences(&work, theirs, ours, 9_000).len(), expect, "{theirs:?} {ours:?}");
    };
    let [a, b] = [said(1, "192.0.2.1", "a"), said(2, "192.0.2.2", "b")];
    check(&[a.clone(), b.clone()], &[a.clone(), b.clone()], 0);
    check(&[a.clone(), b.clone()], std::slice::from_ref(&b), 1);
    check(std::slice::from_ref(&a), &[a.clone(), b.clone()], 1);
    check(std::slice::from_ref(&a), &[said(2, "192.0.2.1", "a")], 1);
    check(std::slice::from_ref(&a), &[said(1, "192.0.2.3", "a")], 1);
    check(&[said(9_001, "192.0.2.1", "a")], std::slice::from_ref(&a), 0);
    check(&[a.clone(), b.clone()], &[b, a], 2);
}
