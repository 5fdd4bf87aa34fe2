//! The report beside that of Debian's pflogsumm, on logs made up from seeds and on lines that Postfix wrote.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail by panicking, and says what it skips"
)]

use report::Day;
use report::pflogsumm::{Limit, Options, Summary, Verp};
use report::sample::{Sample, Truth};
use std::path::Path;
use std::process::{Command, Stdio};

const PFLOGSUMM: &str = "/usr/sbin/pflogsumm";

/// Today, where the clock shows UTC.
fn today() -> Day {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Day::numbered(i64::try_from(now.as_secs() / 86_400).unwrap())
}

fn is_there() -> bool {
    let there = Path::new(PFLOGSUMM).exists();
    assert!(there || std::env::var_os("CI").is_none(), "scripts/bootstrap installs pflogsumm");
    if !there {
        println!("pflogsumm is missing: passed over");
    }
    there
}

fn theirs(log: &[u8], arguments: &[&str]) -> Vec<u8> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, log).unwrap();
    let mut command = Command::new(PFLOGSUMM);
    command.args(arguments).arg(file.path()).env("LC_ALL", "C").env("TZ", "UTC").stderr(Stdio::null());
    command.output().unwrap().stdout
}

fn ours(log: &[u8], options: Options) -> Vec<u8> {
    let mut summary = Summary::new(options);
    for line in log.strip_suffix(b"\n").unwrap_or(log).split(|byte| *byte == b'\n') {
        summary.feed(line);
    }
    let mut out = Vec::new();
    summary.write(&mut out).unwrap();
    out
}

/// What a row of a list is sorted by, as far as pflogsumm says: rows that agree in it come in any order.
fn key(line: &str) -> Option<Vec<String>> {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let mut words = line.split_whitespace().map(|word| word.to_lowercase());
    let count = words.next().filter(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let second = words.next()?;
    if indent == 0 || indent > 14 {
        return None;
    }
    Some(vec![format!("{indent} {count}"), second])
}

/// With equals in one order. Where a list was cut short, the last of its equals are only counted.
fn in_order(report: &[u8], cut: bool) -> String {
    let text = String::from_utf8_lossy(report);
    let lines: Vec<&str> = text.split('\n').collect();
    let mut out = String::new();
    for group in lines.chunk_by(|one, other| key(one).is_some() && key(one) == key(other)) {
        let mut group = group.to_vec();
        group.sort_unstable();
        out.push_str(&group.join("\n"));
        out.push('\n');
    }
    if !cut {
        return out;
    }
    let rows: Vec<&str> = out.split('\n').collect();
    let mut shown = String::new();
    for (at, row) in rows.iter().enumerate() {
        let count = |row: &str| key(row).and_then(|key| key.first().cloned());
        let rest = rows.get(at..).unwrap_or_default();
        let last =
            rest.iter().find(|later| count(later) != count(row)).is_none_or(|later| key(later).is_none());
        match count(row) {
            Some(count) if last => shown.push_str(&count),
            _ => shown.push_str(row),
        }
        shown.push('\n');
    }
    shown
}

fn compare(name: &str, log: &[u8], arguments: &[&str], options: Options) {
    let cut = arguments.iter().any(|argument| argument.contains('5'));
    let (theirs, ours) = (in_order(&theirs(log, arguments), cut), in_order(&ours(log, options), cut));
    for (line, (their, our)) in theirs.lines().zip(ours.lines()).enumerate() {
        assert_eq!(their, our, "{name} {arguments:?}, line {} of the report", line + 1);
    }
    assert_eq!(theirs.lines().count(), ours.lines().count(), "{name} {arguments:?}");
}

/// Each option of pflogsumm's.
fn options() -> Vec<(Vec<&'static str>, Options)> {
    let plain = || Options::new(today());
    let top = Limit::Top;
    let all = Options {
        bounces: top(5),
        deferrals: top(5),
        rejects: top(5),
        smtp: top(5),
        warnings: top(5),
        hosts: top(5),
        users: top(5),
        ..plain()
    };
    vec![
        (vec![], plain()),
        (vec!["-e"], Options { extended: true, ..plain() }),
        (vec!["-i"], Options { ignore_case: true, ..plain() }),
        (vec!["-m", "-e"], Options { uucp: true, extended: true, ..plain() }),
        (vec!["-q"], Options { quiet: true, ..plain() }),
        (vec!["-h", "5"], Options { hosts: top(5), ..plain() }),
        (vec!["-h", "0"], Options { hosts: top(0), ..plain() }),
        (vec!["-u", "5"], Options { users: top(5), ..plain() }),
        (vec!["-u", "0"], Options { users: top(0), ..plain() }),
        (vec!["--detail", "5"], all),
        (vec!["--bounce-detail", "0"], Options { bounces: top(0), ..plain() }),
        (vec!["--deferral-detail", "0"], Options { deferrals: top(0), ..plain() }),
        (vec!["--reject-detail", "0"], Options { rejects: top(0), ..plain() }),
        (vec!["--smtp-detail", "0"], Options { smtp: top(0), ..plain() }),
        (vec!["--smtpd-warning-detail", "0"], Options { warnings: top(0), ..plain() }),
        (vec!["--iso-date-time", "--smtpd-stats"], Options { iso: true, smtpd_stats: true, ..plain() }),
        (vec!["--no-no-msg-size"], Options { without_no_size: true, ..plain() }),
        (vec!["--problems-first"], Options { problems_first: true, ..plain() }),
        (vec!["--rej-add-from"], Options { add_from: true, ..plain() }),
        (vec!["--smtpd-stats"], Options { smtpd_stats: true, ..plain() }),
        (vec!["--syslog-name=dovecot"], Options { syslog_name: b"dovecot".to_vec(), ..plain() }),
        (vec!["--verbose-msg-detail"], Options { verbose: true, ..plain() }),
        (vec!["--verp-mung"], Options { verp: Some(Verp::Numbers), ..plain() }),
        (vec!["--verp-mung=2"], Options { verp: Some(Verp::Recipients), ..plain() }),
        (vec!["--zero-fill", "--smtpd-stats"], Options { zero_fill: true, smtpd_stats: true, ..plain() }),
        (vec!["-d", "yesterday"], Options { day: Some(today().before()), ..plain() }),
        (vec!["-d", "today", "-e"], Options { day: Some(today()), extended: true, ..plain() }),
        (
            vec!["--problems-first", "--rej-add-from", "--verbose-msg-detail", "-q"],
            Options { problems_first: true, add_from: true, verbose: true, quiet: true, ..plain() },
        ),
    ]
}

/// A log whose last day is today.
fn sample(seed: u64, days: u64, lines: u64) -> (Vec<u8>, Truth) {
    let first = Day::numbered(today().number() - i64::try_from(days).unwrap() + 1);
    let sample = Sample::new(seed, first, 1).over(days, lines);
    let mut sample = if seed.is_multiple_of(2) { sample } else { sample.rfc3339() };
    let mut log = String::new();
    while sample.truth().lines < lines && sample.day() <= today() {
        sample.event(&mut log);
    }
    (log.into_bytes(), sample.truth())
}

#[test]
fn each_option_on_logs_from_seeds() {
    if !is_there() {
        return;
    }
    for (seed, days, lines) in [(1, 1, 240), (2, 40, 2000)] {
        let (log, _) = sample(seed, days, lines);
        for (arguments, options) in options() {
            compare(&format!("seed {seed}"), &log, &arguments, options);
        }
    }
    let with_headings = |(arguments, _): &(Vec<&str>, _)| arguments.iter().any(|word| word.len() == 2);
    for (arguments, options) in options().into_iter().filter(with_headings) {
        compare("nothing", b"", &arguments, options);
    }
}

/// What this server writes beyond Postfix's lines is nothing to pflogsumm, Perl's or ours.
#[test]
fn lines_of_our_own_change_no_report() {
    if !is_there() {
        return;
    }
    let (log, _) = sample(2, 3, 500);
    let log = String::from_utf8(log).unwrap();
    let mut with = String::new();
    for (at, line) in log.lines().enumerate() {
        with.push_str(line);
        with.push('\n');
        if let (0, Some((head, _))) = (at % 9, line.split_once(" mail ")) {
            with.push_str(&format!(
                "{head} mail postfix/dnsblog[7]: statistics: zone zen.example queries 84 listed 3 unanswered 2 times 10ms=3 15ms=79\n"
            ));
        }
    }
    assert!(with.len() > log.len());
    let options = Options { smtpd_stats: true, ..Options::new(today()) };
    let arguments = ["--smtpd-stats"];
    let report = |log: &str| in_order(&theirs(log.as_bytes(), &arguments), false);
    assert_eq!(report(&with), report(&log));
    compare("own lines", with.as_bytes(), &arguments, options);
}

/// The year turns in it, unless today is one of December's last days.
#[test]
fn a_year_s_log() {
    if !is_there() {
        return;
    }
    for seed in [3, 4] {
        let (log, _) = sample(seed, 340, 20_000);
        for (arguments, options) in options().into_iter().filter(|(arguments, _)| {
            matches!(arguments.first(), None | Some(&("--iso-date-time" | "--zero-fill" | "-e" | "-d")))
        }) {
            compare(&format!("seed {seed}"), &log, &arguments, options);
        }
    }
}

/// All lines, each option: minutes, most of them pflogsumm's.
/// `cargo test --release -p report --test oracle -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes"]
fn a_million_lines_over_40_days() {
    if !is_there() {
        return;
    }
    for seed in [6, 7] {
        let (log, truth) = sample(seed, 40, 1_000_000);
        println!("seed {seed}: {} bytes, {truth:?}", log.len());
        has_the_truth(&log, truth, today());
        for (arguments, options) in options() {
            println!("{arguments:?}");
            compare(&format!("seed {seed}"), &log, &arguments, options);
        }
    }
}

/// What the dialogues say that Postfix logged, as a log.
fn of_dialogues() -> Vec<u8> {
    fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path, found) } else { found.push(path) }
        }
    }
    let mut paths = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dialogues"), &mut paths);
    paths.sort();
    let (mut log, mut lines) = (Vec::new(), 0_u32);
    for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "smtp")) {
        let mut inside = false;
        for line in std::fs::read_to_string(path).unwrap().lines() {
            if line.starts_with('[') {
                inside = line.starts_with("[log");
            } else if inside && let Some((program, text)) = line.split_once(": ") {
                let text = text.replace("{id}", &format!("{:X}", 0x4000 + lines / 3));
                let (hour, minute) = (lines / 400 % 24, lines / 7 % 60);
                let line = format!("Nov  2 {hour:02}:{minute:02}:00 mail {program}[{}]: {text}\n", lines % 9);
                log.extend_from_slice(line.as_bytes());
                lines += 1;
            }
        }
    }
    assert!(lines > 1000, "{lines} lines in the dialogues");
    log
}

#[test]
fn lines_that_postfix_wrote() {
    if !is_there() {
        return;
    }
    let log = of_dialogues();
    for arguments in [&[][..], &["--smtpd-stats", "-e"], &["--verbose-msg-detail", "--rej-add-from"]] {
        let has = |name| arguments.contains(&name);
        let options = Options {
            smtpd_stats: has("--smtpd-stats"),
            extended: has("-e"),
            verbose: has("--verbose-msg-detail"),
            add_from: has("--rej-add-from"),
            ..Options::new(today())
        };
        compare("the dialogues", &log, arguments, options);
    }
}

#[test]
fn brackets_within_addresses_and_replies_without_enhanced_codes() {
    if !is_there() {
        return;
    }
    let mut log = String::new();
    let mut add = |program: &str, text: &str| {
        log.push_str(&format!("Nov  2 10:00:00 mail postfix/{program}[1]: {text}\n"));
    };
    let delivered = "relay=m[192.0.2.4]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)";
    for (at, addresses) in [
        "to=<<odd>@x.y>, orig_to=<a@b>",
        "to=<a>b@x.y>, orig_to=<c@b>",
        "to=<a@x.y>, orig_to=<a>c@b>",
        "to=<a>b@x.y>",
        "to=<a>b@x.y>, of=<q@r>, to=<q@x>",
        "to=<ab@x.y>, relay=to=<z@m>",
        "to=<ab@x.y",
    ]
    .iter()
    .enumerate()
    {
        add("smtp", &format!("A{at}: {addresses}, {delivered}"));
    }
    for (at, reply) in [
        "<t@t.t>: no dsn here",
        "5.7.1 <t@t.t>: a dsn",
        "no: dsn",
        "<t> q: dsn",
        "<t>; dsn",
        "<>: dsn",
        "<t>x: dsn",
        "<t>:dsn",
        "<t>:  dsn",
        "<t>: : dsn",
        "<t>: ;",
        "<a>b>: dsn",
        "<a> b>: dsn, and more",
        "<t>: <u>: dsn",
        " <t>: dsn",
        "<a: b>: dsn",
        "<t>: <u>x",
        "<t; u>: dsn: here",
    ]
    .iter()
    .enumerate()
    {
        let from =
            format!("from h{at}.example.org[192.0.2.1]: 554 {reply}; from=<t@t.t> proto=ESMTP helo=<h>");
        add("smtpd", &format!("NOQUEUE: reject: MAIL {from}"));
    }
    compare("brackets", log.as_bytes(), &[], Options::new(today()));
    compare("brackets", log.as_bytes(), &["-i"], Options { ignore_case: true, ..Options::new(today()) });
}

/// Of a day that begins again, Debian's forgets a column if days are filled.
#[test]
fn days_that_go_back() {
    if !is_there() {
        return;
    }
    let mut log = String::new();
    for (day, times) in [("Dec 30", 3), ("Dec 31", 1), ("Dec 30", 2), ("Jan  1", 1), ("Dec 29", 1)] {
        for at in 0..times {
            let mut add = |program: &str, text: &str| {
                log.push_str(&format!("{day} 10:00:00 mail postfix/{program}[1]: A{at}: {text}\n"));
            };
            let client = "h.example.org[192.0.2.1]";
            add("smtpd", &format!("client={client}"));
            let reply = "554 5.7.1 <t@t.t>: no; from=<t@t.t> proto=ESMTP helo=<h>";
            add("smtpd", &format!("reject: RCPT from {client}: {reply}"));
            for status in ["sent", "deferred", "bounced"] {
                let rest = "delay=1, delays=0/0/0/1, dsn=2.0.0";
                add("smtp", &format!("to=<a@b>, relay=m[192.0.2.4]:25, {rest}, status={status} (x)"));
            }
        }
    }
    compare("days", log.as_bytes(), &[], Options::new(today()));
    compare("days", log.as_bytes(), &["--zero-fill"], Options { zero_fill: true, ..Options::new(today()) });
}

/// Connections of months, and stamps that go back.
#[test]
fn times_that_need_more_room_than_their_columns() {
    if !is_there() {
        return;
    }
    let mut log = String::new();
    for (pid, from, to) in [
        (1, "Jan  1 00:00:00", "Jan 12 13:46:39"),
        (2, "Jan  1 00:00:00", "Jan 12 13:46:40"),
        (3, "Feb  1 00:00:00", "Nov 20 05:06:07"),
        (4, "Nov 20 05:06:07", "Feb  1 00:00:00"),
        (5, "Nov 20 05:06:07", "Nov 20 04:00:01"),
        (6, "Nov 20 05:06:07", "Nov  1 04:00:01"),
    ] {
        let client = format!("h.d{pid}.example.org[192.0.2.{pid}]");
        log.push_str(&format!("{from} mail postfix/smtpd[{pid}]: connect from {client}\n"));
        log.push_str(&format!("{to} mail postfix/smtpd[{pid}]: disconnect from {client}\n"));
        let both: String = log
            .lines()
            .rev()
            .take(2)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .map(|line| format!("{line}\n"))
            .collect();
        for log in [&both, &log] {
            compare(
                "times",
                log.as_bytes(),
                &["--smtpd-stats"],
                Options { smtpd_stats: true, ..Options::new(today()) },
            );
        }
    }
}

/// As syslogd of Solaris and illumos writes lines.
#[test]
fn tags_before_texts() {
    if !is_there() {
        return;
    }
    let (log, _) = sample(5, 3, 3_000);
    let log = String::from_utf8(log).unwrap();
    let tags = ["[ID 197553 mail.info] ", "[ID 1 x] ", "[ID 1  ] ", "[ID 1 a b [c] "];
    for tag in tags {
        let tagged = log.replace("]: ", &format!("]: {tag}"));
        let stats = Options { smtpd_stats: true, ..Options::new(today()) };
        compare(tag, tagged.as_bytes(), &["--smtpd-stats"], stats);
    }
}

#[test]
fn the_sample_is_what_it_says() {
    let first = Day { year: 2026, month: 10, day: 1 };
    let mut sample = Sample::new(7, first, 30);
    let mut log = String::new();
    for _ in 0..3000 {
        sample.event(&mut log);
    }
    assert_eq!(u64::try_from(log.lines().count()).unwrap(), sample.truth().lines);
    has_the_truth(log.as_bytes(), sample.truth(), Day { year: 2026, month: 11, day: 23 });
}

/// The counts of the grand totals; those up to half a million aren't rounded.
fn has_the_truth(log: &[u8], truth: Truth, today: Day) {
    let options = Options { smtpd_stats: true, ..Options::new(today) };
    let report = String::from_utf8(ours(log, options)).unwrap();
    let report = report.split("Per-").next().unwrap();
    for (count, what) in [
        (truth.received, "  received"),
        (truth.delivered, "  delivered"),
        (truth.bounced, "  bounced"),
        (truth.warned, "  reject warnings"),
        (truth.held, "  held"),
        (truth.connections, "  connections"),
    ] {
        let line = format!("{count:>7} {what}");
        assert!(report.lines().any(|found| found.trim_start() == line.trim_start()), "{line}\n{report}");
    }
    let refused =
        [format!("{:>7}   rejected (", truth.rejected), format!("{:>7}   discarded (", truth.discarded)];
    for line in refused.iter().chain([&format!("({}  deferrals)", truth.deferrals)]) {
        assert!(report.contains(line.as_str()), "{line}\n{report}");
    }
}

/// What both count the same, by their totals.
#[test]
fn the_summary_says_what_debians_says_where_both_mean_the_same() {
    if !is_there() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/logs");
    let mut logs: Vec<Vec<u8>> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .map(|path| {
            // pflogsumm knows one syslog_name only, and no delivery with the `tls=` of Postfix 3.11.
            let log = std::fs::read_to_string(path).unwrap();
            let both = |line: &&str| line.contains(" postfix/") && !line.contains(", tls=");
            log.split_inclusive('\n').filter(both).collect::<String>().into_bytes()
        })
        .collect();
    let mut sample = Sample::new(11, Day { year: 2026, month: 11, day: 1 }, 20);
    let mut text = String::new();
    (0..1500).for_each(|_| sample.event(&mut text));
    logs.push(text.into_bytes());
    let mut seen = 0;
    for log in logs {
        let mut tally = report::summary::Tally::new(report::summary::Settings::new(today()));
        log.split(|byte| *byte == b'\n').for_each(|line| tally.feed(line));
        let counts = tally.summary().counts;
        let theirs = String::from_utf8_lossy(&theirs(&log, &[])).into_owned();
        let total = |name: &str| {
            let row = theirs.lines().find_map(|line| {
                let mut words = line.split_whitespace();
                let count: u64 = words.next()?.parse().ok()?;
                (words.next() == Some(name)).then_some(count)
            });
            row.unwrap_or(0)
        };
        for (name, ours) in [
            ("received", counts.received),
            ("delivered", counts.delivered),
            ("forwarded", counts.forwarded),
            ("bounced", counts.bounced),
        ] {
            assert_eq!(
                ours,
                total(name),
                "{name}\n{}",
                theirs.lines().take(24).collect::<Vec<_>>().join("\n")
            );
            seen += ours;
        }
    }
    assert!(seen > 1000, "{seen}");
}
