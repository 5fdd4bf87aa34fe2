//! What filters may say: codes of dates, tags, Python's expressions. `fail2ban-regex` judges each.

use crate::{Disk, stock};
use ban::brackets::Call;
use ban::filter::{Filter, Outcome, Reader};
use ban::zone::Zone;
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

/// Seconds and addresses, in order; `None` where the filter is refused.
type Found = Option<Vec<String>>;

/// What both find with a filter's `[Definition]` in a log.
fn both(definition: &str, log: &str) -> (Found, Found) {
    both_with(definition, log, "--usedns=raw")
}

fn both_with(definition: &str, log: &str, option: &str) -> (Found, Found) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("x.conf"), format!("[Definition]\n{definition}\n")).expect("a file");
    std::fs::write(path("x.log"), log).expect("a file");
    let theirs = Command::new("fail2ban-regex")
        .args([option, "-o", "<time> <ip>"])
        .args([path("x.log"), path("x.conf")])
        .env("TZ", "UTC")
        .output()
        .expect("fail2ban-regex");
    let is_refused = theirs.status.code() == Some(255) || !theirs.stderr.is_empty();
    let theirs = String::from_utf8_lossy(&theirs.stdout);
    let theirs = theirs.lines().map(|line| line.replacen(".0 ", " ", 1)).collect();
    let call = Call { name: "x".to_owned(), ..Call::default() };
    let options = ban::jails::filter(&Disk, &path("x"), &call, &mut Vec::new()).expect(definition);
    let ours = Filter::new(&options).ok().map(|filter| {
        let mut reader = Reader::new(Arc::new(filter), Zone::new(jiff::tz::TimeZone::UTC));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
        let now_us = i64::try_from(now.as_micros()).expect("a time");
        let mut found = Vec::new();
        for line in log.lines() {
            if let Outcome::Failed(failure) = reader.line(line.as_bytes(), now_us) {
                found.push(format!("{} {}", failure.time_us / 1_000_000, failure.id));
            }
        }
        found
    });
    ((!is_refused).then_some(theirs), ours)
}

/// Both find the same, which is this many failures.
fn same(definition: &str, log: &str, count: usize) {
    let (theirs, ours) = both(definition, log);
    assert_eq!(theirs, ours, "theirs, then ours: {definition}");
    assert_eq!(ours.map(|found| found.len()), Some(count), "{definition}");
}

/// Neither takes it.
fn refused(definition: &str) {
    let (theirs, ours) = both(definition, "Nov 23 01:02:03 x failed from 192.0.2.1\n");
    assert_eq!((theirs, ours), (None, None), "{definition}");
}

#[test]
fn codes_of_dates() {
    if stock("codes of dates").is_none() {
        return;
    }
    let dates = [
        ("%%Y", "2025"),
        ("%%Y %%j", "2024 366"),
        ("%%Y-%%j", "2025-366"),
        ("%%Y %%U", "2025 10"),
        ("%%Y %%U %%w", "2026 00 0"),
        ("%%Y %%U %%w", "2026 53 6"),
        ("%%Y %%W %%w", "2026 00 0"),
        ("%%Y %%W %%w", "2028 09 3"),
        ("%%Y %%W %%A", "2025 47 Sunday"),
        ("%%Y %%U %%a %%H:%%M:%%S", "2025 20 thu 01:02:03"),
        ("%%G-W%%V-%%u", "2020-W10-1"),
        ("%%Y %%U %%w %%m/%%d", "2025 47 1 11/20"),
        ("%%c", "mon  Nov  3 1:02:03 2025"),
        ("%%x %%X", "1/3/25 1:2:3"),
        ("%%x %%X", "1/3/99 1:2:3"),
        ("%%d/%%m/%%y", "23/11/69"),
        ("%%Exy%%Exm%%Exd", "991123"),
        ("%%Exl:%%M %%Y-%%m-%%d", "12:02 2025-11-23"),
        ("%%Exk:%%M %%Y-%%m-%%d", "1:02 2025-11-23"),
        ("%%Y-%%m-%%d %%H %%p", "2025-11-23 01 PM"),
        ("%%Y-%%m-%%d %%I %%p", "2025-11-23 01 PM"),
        ("%%Y-%%m-%%d %%l", "2025-11-23 12"),
        ("%%Y-%%m-%%d %%f %%z", "2025-11-23 5 +0200"),
        ("%%d %%B %%Y", "23 november 2025"),
        ("%%%% %%Y-%%m-%%d", "% 2025-11-23"),
    ];
    let (mut patterns, mut log) = (String::new(), String::new());
    for (n, (pattern, stamp)) in dates.iter().enumerate() {
        patterns += &format!("\n  ^P{n}= {pattern}");
        log += &format!("P{n}= {stamp} failed from 192.0.2.{n}\n");
    }
    same(&format!("failregex = failed from <HOST>$\ndatepattern = {patterns}"), &log, dates.len());
    for pattern in ["^%%F %%T", "^%%Y-%%m-%%d %%T", "%%b %%e", "%%D", "%%s", "%%Exb", "%%E", "%%Y %%"] {
        refused(&format!("failregex = failed from <HOST>\ndatepattern = {pattern}"));
    }
}

/// Lines between those that match stay for the next match, and no `ignoreregex` is asked about them.
#[test]
fn several_lines() {
    if stock("several lines").is_none() {
        return;
    }
    let log = |lines: &[&str]| -> String {
        let numbered = lines.iter().enumerate();
        numbered.map(|(n, line)| format!("Nov 23 01:02:{n:02} mx {line}\n")).collect()
    };
    let failed = r"failregex = ^ mx connect from <HOST>.*$<SKIPLINES>^ mx failed.*$";
    let ignoring = |what: &str| format!("{failed}\nmaxlines = 5\nignoreregex = {what}");
    let one = log(&["connect from 192.0.2.1", "ignore me", "failed", "failed"]);
    same(&ignoring("ignore"), &one, 1);
    let one = log(&["connect from 192.0.2.1", "x", "failed ignore", "failed"]);
    same(&ignoring("ignore$"), &one, 0);
    same(&ignoring(r"from 192\.0\.2\.1\n mx failed ignore"), &one, 0);
    same(&ignoring("^ mx failed ignore"), &one, 1);
    same(&ignoring(r"from 192\.0\.2\.1$"), &one, 1);
    let mixed = log(&["connect from 192.0.2.2", "x", "connect from 192.0.2.1", "failed", "failed"]);
    same(&ignoring(r"connect from 192\.0\.2\.1"), &mixed, 1);
    let session = |n: u32, rest: &str| format!("app[{n}]: {rest}");
    let lines = [(1, "connect from 192.0.2.1"), (2, "connect from 192.0.2.2"), (1, "failed auth"), (2, "ok")]
        .into_iter()
        .chain([(1, "failed auth"), (3, "failed auth"), (3, "connect from 192.0.2.3"), (1, "bye")])
        .chain([(1, "failed auth"), (2, "failed auth")])
        .map(|(n, rest)| session(n, rest));
    let lines: Vec<String> = lines.collect();
    let lines = log(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    same("failregex = connect from <HOST>$<SKIPLINES>^.*failed auth$\nmaxlines = 3", &lines, 3);
    let by_number = r"failregex = ^.*app\[(?P<__pid>\d+)\]: connect from <HOST>$<SKIPLINES>^.*app\[(?P=__pid)\]: failed auth$";
    same(&format!("{by_number}\nmaxlines = 6\nignoreregex = app\\[2\\]"), &lines, 1);
    let nested = log(&["d 192.0.2.8", "a 192.0.2.1", "d 192.0.2.2", "b", "d 192.0.2.3", "c", "e", "e", "e"]);
    let twice =
        "failregex = ^ mx a <HOST>$<SKIPLINES>^ mx b$<SKIPLINES>^ mx c$\n  ^ mx d <HOST>$<SKIPLINES>^ mx e$";
    same(&format!("{twice}\nmaxlines = 9"), &nested, 4);
    same(&format!("{twice}\nmaxlines = 3"), &nested, 1);
}

/// Every way to say where an address stands, and what becomes of what stands there.
#[test]
fn tags_of_hosts() {
    if stock("tags of hosts").is_none() {
        return;
    }
    let hosts = [
        "192.0.2.1",
        "::ffff:192.0.2.9",
        "[2001:db8::1]",
        "192.0.2.1/24",
        "[192.0.2.3]",
        "2001:db8::/32",
        "192.0.2.1/0",
        "192.0.2.1/33",
    ];
    let tags = [
        "<F-IP4/>",
        "<F-IP6/>",
        r"\[?<F-IP6/>\]?",
        "<F-ADDR/>",
        "<F-SUBNET/>",
        "<F-IP4/>/<F-CIDR/>",
        "<F-DNS/>",
    ];
    let (mut rules, mut log) = (String::new(), String::new());
    for (n, tag) in tags.iter().enumerate() {
        rules += &format!("\n  bad{n} {tag} end");
        hosts.iter().for_each(|host| log += &format!("Nov 23 01:02:03 mx bad{n} {host} end\n"));
    }
    same(&format!("failregex = {rules}"), &log, 19);
    for tag in ["<F-HOST/>", r"<F-ADDR>\S+</F-ADDR>"] {
        refused(&format!("failregex = failed from {tag}"));
    }
    let plain = [
        "2001:DB8:0:0::1",
        "[::ffff:c000:201]",
        "192.0.2.1/255.255.255.0",
        "2001:db8::1/32",
        "2001:DB8::1/129",
        "64:ff9b::192.0.2.1",
        "192.0.2.01",
        "2001:db8::1%eth0",
        "0:0:0:0:0:ffff:c000:0201",
        "0.0.0.0/0",
        "[joe]",
        "192.0.2.1:25",
    ];
    let all = hosts.iter().chain(&plain);
    let log: String = all.map(|host| format!("Nov 23 01:02:03 mx bad {host} end\n")).collect();
    let (theirs, ours) = both_with("failregex = bad <F-ID/> end", &log, "--usedns=no");
    assert_eq!(theirs, ours);
    assert_eq!(ours.map(|found| found.len()), Some(hosts.len() + plain.len()));
}

/// Classes with letters beyond ASCII, in a filter as a whole.
#[test]
fn letters_beyond_ascii() {
    if stock("letters beyond ASCII").is_none() {
        return;
    }
    let line = |n: u32, user: &str| format!("Nov 23 01:02:03 mx login for {user} from 192.0.2.{n}\n");
    let log: String =
        [(1, "é"), (2, "à"), (3, "bob"), (4, "eé"), (5, "b")].map(|(n, user)| line(n, user)).concat();
    same("failregex = login for [éà] from <HOST>$", &log, 2);
    same("failregex = login for [^à] from <HOST>$\n  login for b[n-ö]b from <HOST>$", &log, 3);
    same("failregex = login for \\w?[\\u00e0-\\u00ff] from <HOST>$", &log, 3);
}
