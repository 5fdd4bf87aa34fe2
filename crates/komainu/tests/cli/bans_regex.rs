//! `fail2ban-regex` as an old name, beside Debian's: the same report, the same output of `--out`, the same exit codes.

use crate::program::{Folder, Ran, komainu, oracle};
use std::os::unix::fs::symlink;
use std::path::Path;

const LOG: &str = "\
2026-11-23 01:02:03 mx s1: conn from 192.0.2.1
# not a line of the log
2026-11-23 01:02:04 mx s1: fail

2026-11-23 01:02:05 mx s2: fail a from 2001:db8::1
2026-11-23 01:02:06 mx s2: ok
2026-11-23 01:02:07 mx s3: fail b from host.example.org known
2026-11-23 01:02:08 mx s3: nothing known
2026-11-23 01:02:09 mx s4: fail
2026-11-23 01:02:10 mx other
";

const FILTER: &str = r"[Definition]
prefregex = ^ mx <F-MLFID>s\d+</F-MLFID>: <F-CONTENT>.+</F-CONTENT>$
failregex = ^fail <F-USER>\S+</F-USER> from <HOST>
            ^fail \S+ from <ADDR>$
            ^fail$
            ^<F-NOFAIL>conn</F-NOFAIL> from <HOST>
            ^<F-MLFFORGET><F-MLFGAINED>ok</F-MLFGAINED></F-MLFFORGET>
ignoreregex = known$
";

/// The output without what depends on the machine: its speed, and how its locale calls an encoding.
fn steady(ran: &Ran) -> String {
    let is_steady = |line: &&str| !line.starts_with("[processed in") && !line.contains("   encoding : ");
    ran.out.lines().filter(is_steady).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_old_name_reports_as_debians() {
    let Some(theirs) = oracle("fail2ban-regex") else { return };
    let folder = Folder::new();
    let ours = folder.path().join("fail2ban-regex");
    symlink(komainu(), &ours).expect("a link");
    folder.write("s.log", LOG);
    folder.write("empty.log", "");
    std::fs::create_dir(folder.path().join("filter.d")).expect("a folder");
    folder.write("filter.d/s.conf", FILTER);
    let rule = "fail <F-USER>\\S+</F-USER> from <HOST>";
    for arguments in [
        &["s.log", "s"][..],
        &["--print-all-matched", "--print-no-missed", "s.log", "s"],
        &["--print-all-ignored", "--print-all-missed", "s.log", "s[logtype=short]"],
        &["--print-no-ignored", "--usedns=no", "s.log", "s"],
        &["--no-check-all", "s.log", "s"],
        &["-r", "s.log", rule, "known$"],
        &["-d", "^%Y-%m-%d %H:%M:%S", "-e", "latin1", "--TZ=UTC+0200", "s.log", "s"],
        &["2026-11-23 01:02:05 mx s2: fail a from 192.0.2.1", "s"],
        &["empty.log", "s"],
        &["-r", "-o", "ip", "s.log", "s"],
        &["-r", "-o", "<time> <ip> <F-USER> <family> <ip-rev>", "s.log", "s"],
        &["-o", "user", "s.log", "s"],
        &["-V"],
        &["--version"],
        &["s.log", "nosuch["],
        &["s.log"],
        &["--nosuch", "s.log", "s"],
    ] {
        let run = |program: &Path| {
            let arguments: Vec<&str> = ["-c", "."].iter().chain(arguments).copied().collect();
            // The version alone stands first.
            let arguments =
                if arguments.len() == 3 && arguments.last().is_some_and(|last| last.starts_with('-')) {
                    arguments.get(2..).unwrap_or_default().to_vec()
                } else {
                    arguments
                };
            folder.run(program, &arguments, b"")
        };
        let (theirs, ours) = (run(&theirs), run(&ours));
        assert_eq!(theirs.code, ours.code, "{arguments:?}: {theirs:?} {ours:?}");
        // What is wrong is said in other words.
        if theirs.code == Some(0) {
            assert_eq!(steady(&theirs), steady(&ours), "{arguments:?}");
        }
    }
}

/// A packed log, one in ISO 8859-1, and whom each expression found.
#[test]
fn logs_of_other_kinds_are_read() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("filter.d")).expect("a folder");
    folder.write("filter.d/s.conf", FILTER);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, LOG.as_bytes()).expect("packs");
    folder.write("s.log.gz", packed.finish().expect("packs"));
    let ban =
        |arguments: &[&str]| folder.run(komainu(), &[&["ban", "-c", ".", "test"], arguments].concat(), b"");
    let ran = ban(&["s.log.gz", "s", "--json", "--timezone", "UTC"]);
    let hosts: Vec<&str> = ran.out.lines().filter_map(|line| line.split('"').nth(5)).collect();
    assert_eq!((ran.code, hosts), (Some(0), vec!["192.0.2.1", "2001:db8::1"]), "{ran:?}");
    assert!(ran.out.contains("\"line\":3,") && ran.out.contains("\"line\":5,"), "{ran:?}");
    let ran = ban(&["-v", "s.log.gz", "s", "--timezone", "UTC"]);
    assert!(ran.out.contains("\n|      2001:db8::1  Mon Nov 23 "), "{ran:?}");
    let ours = folder.path().join("fail2ban-regex");
    symlink(komainu(), &ours).expect("a link");
    folder.write("latin1.log", b"2026-11-23 01:02:05 mx s2: fail \xe9 from 192.0.2.1\n");
    let ran = folder.run(&ours, &["-c", ".", "-e", "latin1", "-o", "user", "latin1.log", "s"], b"");
    assert_eq!((ran.out.as_str(), ran.code), ("é\n", Some(0)), "{ran:?}");
    let ran = folder.run(&ours, &["-c", ".", "-o", "row", "latin1.log", "s"], b"");
    assert!(ran.out.starts_with("['192.0.2.1',\t17953"), "{ran:?}");
}

/// Runs `fail2ban-regex` many times from one process that has read its program once: `OUT LOG FILTER`, a line each.
const MANY: &str = r"
import os, sys
sys.path.insert(0, '/usr/lib/python3/dist-packages')
from fail2ban.client.fail2banregex import exec_command_line
running = set()
for line in sys.stdin.read().splitlines():
    out, log, name = line.split('\t')
    if len(running) > 1:
        running.discard(os.wait()[0])
    pid = os.fork()
    if pid:
        running.add(pid)
        continue
    try:
        os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 1)
        sys.argv = ['fail2ban-regex'] + sys.argv[1:] + [log, name]
        exec_command_line()
    except SystemExit:
        pass
    finally:
        sys.stdout.flush()
        os._exit(0)
while running:
    running.discard(os.wait()[0])
";

/// Filters in whose samples two of the default date patterns read one line: fail2ban counts it for the one that read a
/// line last, we for the first of the two.
const READ_BY_TWO: [&str; 1] = ["monit"];

/// A report as it is compared: date patterns stand in whatever order.
fn comparable(filter: &str, report: &str) -> Vec<String> {
    let is_steady = |line: &&str| !line.starts_with("[processed in") && !line.contains("   encoding : ");
    let (mut lines, mut dates): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut is_date = false;
    for line in report.lines().filter(is_steady) {
        is_date = (is_date || line.starts_with("Date template hits")) && line != "`-";
        if is_date && line.starts_with("|  [") {
            dates.push(line.to_owned());
        } else {
            lines.push(line.to_owned());
        }
    }
    let hits = |line: &String| -> Option<u64> { line.split(['[', ']']).nth(1)?.parse().ok() };
    if READ_BY_TWO.contains(&filter) {
        dates = vec![dates.iter().filter_map(hits).sum::<u64>().to_string()];
    }
    dates.sort();
    lines.extend(dates);
    lines
}

/// Every stock filter on its sample: how many lines there are, how many of them each expression and date pattern took,
/// which matched, which were let go, which were missed.
#[test]
fn reports_on_all_samples_are_debians() {
    if oracle("fail2ban-regex").is_none() {
        return;
    }
    let samples = Path::new("/usr/lib/python3/dist-packages/fail2ban/tests/files/logs");
    let stock = Path::new("/etc/fail2ban/filter.d");
    let folder = Folder::new();
    let ours = folder.path().join("fail2ban-regex");
    symlink(komainu(), &ours).expect("a link");
    let mut filters: Vec<String> = std::fs::read_dir(samples)
        .expect("samples")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| stock.join(format!("{name}.conf")).exists())
        .collect();
    filters.sort();
    assert!(filters.len() > 80, "{}", filters.len());
    filters.extend(["sshd", "postfix", "dovecot"].map(|name| format!("{name}[mode=aggressive]")));
    let sample = |filter: &str| samples.join(filter.split('[').next().unwrap_or(filter));
    let options = ["--usedns=raw", "--TZ=UTC", "-e", "UTF-8", "--print-all-matched", "--print-all-ignored"];
    let mut debians = std::process::Command::new("/usr/bin/python3")
        .args(["-c", MANY])
        .args(options)
        .envs([("TZ", "UTC"), ("LC_ALL", "C.UTF-8"), ("PYTHONDONTWRITEBYTECODE", "1")])
        .current_dir(folder.path())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("python");
    let jobs: String =
        filters.iter().map(|filter| format!("{filter}\t{}\t{filter}\n", sample(filter).display())).collect();
    let mut input = debians.stdin.take().expect("piped");
    std::io::Write::write_all(&mut input, jobs.as_bytes()).expect("written");
    drop(input);
    assert!(debians.wait().expect("ends").success());
    let work = std::sync::Mutex::new(filters.iter());
    let wrong = std::sync::Mutex::new(Vec::new());
    let next = || work.lock().expect("a lock").next();
    let compare = || {
        while let Some(filter) = next() {
            let ran = std::process::Command::new(&ours)
                .args(options)
                .args([sample(filter).as_os_str(), filter.as_ref()])
                .env("TZ", "UTC")
                .output()
                .expect("starts");
            let theirs = std::fs::read(folder.path().join(filter)).expect("a report");
            let [theirs, ours] =
                [&theirs, &ran.stdout].map(|report| comparable(filter, &String::from_utf8_lossy(report)));
            let differ = theirs.iter().zip(&ours).find(|(theirs, ours)| theirs != ours);
            if theirs != ours || theirs.len() < 10 {
                let place = format!("{filter}: {} and {} lines: {differ:?}", theirs.len(), ours.len());
                wrong.lock().expect("a lock").push(place);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(compare);
        scope.spawn(compare);
    });
    let wrong = wrong.into_inner().expect("a lock");
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Whether `ignoreregex` is asked first depends on how many of both there are; what is let go by one expression, what no
/// session tells of, what a match joins with `<SKIPLINES>`.
#[test]
fn odd_filters_are_reported_as_debians() {
    let Some(theirs) = oracle("fail2ban-regex") else { return };
    let folder = Folder::new();
    let ours = folder.path().join("fail2ban-regex");
    symlink(komainu(), &ours).expect("a link");
    std::fs::create_dir(folder.path().join("filter.d")).expect("a folder");
    let log: String = [
        "s3: nothing known",
        "s4: fail a from 192.0.2.1 known",
        "s4: fail b from 192.0.2.2",
        "s5: conn b from 192.0.2.3",
        "s5: ok b",
        "s6: ok b from 192.0.2.4",
        "s7: bad",
        "s7: bad from 192.0.2.5  ",
    ]
    .iter()
    .enumerate()
    .map(|(at, line)| format!("2026-11-23 01:02:0{at} mx {line}\n"))
    .collect();
    folder.write("s.log", log + "2026-11-23 01:02:09 mx s4: fail a from 192.0.2.9");
    let prefix = r"prefregex = ^ mx <F-MLFID>s\d+</F-MLFID>: <F-CONTENT>.+</F-CONTENT>$";
    let fail = r"^fail \S+ from <HOST>";
    let four = format!("{fail}\n  ^conn \\S+ from <HOST>\n  ^ok \\S+ from <HOST>\n  ^bad from <HOST>");
    for (filter, pattern) in [
        (format!("{prefix}\nfailregex = {fail}\nignoreregex = known$"), ""),
        (format!("{prefix}\nfailregex = {four}\nignoreregex = known$\n  nobody"), "{NONE}"),
        (format!("failregex = {}\nignoreregex = known$", four.replace('^', r" s\d: ")), ""),
        (
            format!("{prefix}\nfailregex = {fail}\n  ^<F-NOFAIL>fail</F-NOFAIL> \\S+ from <HOST>"),
            "^%Y-%m-%d %H:%M:%S\n^x",
        ),
        (r"failregex = s\d: <F-MLFGAINED>ok</F-MLFGAINED> b( from <HOST>)?\s*$".to_owned(), ""),
        (r"failregex = s\d: bad( from <HOST>)?\s*$".to_owned(), "^%Y-%m-%d %H:%M:%S\n^%m-%d %H:%M:%S\nEpoch"),
        (r"failregex = fail b from <HOST><SKIPLINES>^.*bad from".to_owned() + "\nmaxlines = 9", ""),
        (
            r"failregex = fail b from <HOST><SKIPLINES>^.*s5: ok".to_owned()
                + "\n  ^.* conn b from <HOST>\nmaxlines = 9",
            "",
        ),
    ] {
        folder.write("filter.d/s.conf", format!("[Definition]\n{filter}\n"));
        let all = ["-c", ".", "--print-all-matched", "--print-all-ignored", "--usedns=raw", "s.log", "s"];
        let dates = ["-d", pattern];
        let arguments = [if pattern.is_empty() { &[][..] } else { &dates }, &all].concat();
        let run = |program: &Path| folder.run(program, &arguments, b"");
        let (theirs, ours) = (run(&theirs), run(&ours));
        assert_eq!(steady(&theirs), steady(&ours), "{filter}");
        assert_eq!(theirs.code, Some(0), "{theirs:?}");
    }
}
