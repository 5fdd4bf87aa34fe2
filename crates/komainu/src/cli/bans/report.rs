//! `komainu ban test`, and the same under its old name, `fail2ban-regex`.

use super::many::{Plan, Seen};
use super::read::Lines;
use super::{EX_CONFIG, EX_TEMPFAIL, EX_USAGE, failed};
use crate::bans::files::Disk;
use crate::cli::say::{self, Out};
use crate::clock;
use ban::brackets::{self, Call};
use ban::date::Dates;
use ban::filter::{Failure, Filter, Outcome, Reader, Scout};
use ban::jails;
use ban::zone::Zone;
use clap::{Args, Parser};
use serde_json::json;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Lines that are shown of those missed or ignored.
const SHOWN_MAX: usize = 20;
/// Threads that read a log.
const THREADS_MAX: usize = 64;

#[derive(Args, Debug)]
pub(super) struct Test {
    /// A log, `-` for standard input, or one line.
    log: String,
    /// A filter's name, its path, either with `[options]`, or a regular expression.
    filter: String,
    /// A regular expression of lines to let go.
    ignoreregex: Option<String>,
    /// One JSON object for each matching line.
    #[arg(long)]
    json: bool,
    /// The time it is, in seconds since 1970, for stamps without a year.
    #[arg(long, value_name = "EPOCH")]
    now: Option<i64>,
    /// Instead of the filter's date pattern.
    #[arg(long, short = 'd')]
    datepattern: Option<String>,
    /// The zone of stamps that name none: `UTC+0200`.
    #[arg(long, visible_alias = "TZ")]
    timezone: Option<String>,
    /// Instead of the filter's `maxlines`.
    #[arg(long, short = 'L')]
    maxlines: Option<u32>,
    /// Threads that look at lines of a report; as many as there are processors where it isn't given.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Show all missed lines.
    #[arg(long)]
    print_all_missed: bool,
    /// Show no missed lines.
    #[arg(long)]
    print_no_missed: bool,
}

#[derive(Parser, Debug)]
#[command(name = "fail2ban-regex")]
struct Old {
    /// The folder of fail2ban's files.
    #[arg(long, short = 'c', default_value = "/etc/fail2ban")]
    config: PathBuf,
    #[command(flatten)]
    test: Test,
}

pub(super) fn fail2ban_regex(arguments: Vec<OsString>) -> ExitCode {
    match Old::try_parse_from(arguments) {
        Ok(old) => run(&old.config, &old.test),
        Err(error) => crate::cli::usage(&error),
    }
}

/// A filter as it was named.
struct Named {
    options: BTreeMap<&'static str, String>,
    /// `failregex filter file : sshd, basedir: /etc/fail2ban`.
    said: String,
}

pub(super) fn run(folder: &Path, test: &Test) -> ExitCode {
    let mut named = match named(folder, test) {
        Ok(named) => named,
        Err(problem) => return failed(EX_CONFIG, problem),
    };
    let given = [
        ("ignoreregex", test.ignoreregex.clone()),
        ("datepattern", test.datepattern.clone()),
        ("maxlines", test.maxlines.map(|lines| lines.to_string())),
    ];
    named.options.extend(given.into_iter().filter_map(|(name, text)| Some((name, text?))));
    let filter = match Filter::new(&named.options) {
        Ok(filter) => Arc::new(filter),
        Err(error) => return failed(EX_CONFIG, error),
    };
    let zone = match test.timezone.as_deref().map(|text| (text, Zone::fixed(text))) {
        None => Zone::new(clock::time_zone()),
        Some((_, Some(zone))) => zone,
        Some((text, None)) => {
            return failed(EX_USAGE, format_args!("`{text}` is no time zone: write `UTC+0200`"));
        }
    };
    let lines = match Lines::open(&test.log) {
        Ok(lines) => lines,
        Err(error) => return failed(EX_TEMPFAIL, format_args!("{}: {error}", test.log)),
    };
    let reader = Reader::new(Arc::clone(&filter), zone.clone());
    let outcome = if test.json {
        objects(test, lines, reader)
    } else {
        report(test, lines, reader, (&named, &|| Scout::new(Arc::clone(&filter), zone.clone())))
    };
    match outcome {
        Ok(0) => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        // Whoever reads it has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => failed(EX_TEMPFAIL, format_args!("{}: {error}", test.log)),
    }
}

/// Finds what `FILTER` means: a path, a name in filter.d, or an expression.
fn named(folder: &Path, test: &Test) -> Result<Named, String> {
    let text = test.filter.as_str();
    let calls = brackets::parse(text).unwrap_or_default();
    let call = calls.into_iter().next().unwrap_or_default();
    let stem = call.name.strip_suffix(".conf").or(call.name.strip_suffix(".local")).unwrap_or(&call.name);
    let is_path = stem.contains('/') || Path::new(&call.name).is_file();
    let path = if is_path { PathBuf::from(stem) } else { folder.join("filter.d").join(stem) };
    let there = |ending: &str| {
        let mut name = path.clone().into_os_string();
        name.push(ending);
        Path::new(&name).is_file()
    };
    if !call.name.is_empty() && (there(".conf") || there(".local")) {
        let mut found = Vec::new();
        let call = Call { name: stem.to_owned(), ..call };
        let options = jails::filter(&Disk, &path, &call, &mut found);
        found.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
        let options = options.map_err(|diagnostic| diagnostic.to_string())?;
        let mut said = format!("failregex filter file : {}, basedir: {}", call.name, folder.display());
        if !call.options.is_empty() {
            let each: Vec<String> =
                call.options.iter().map(|(name, value)| format!("'{name}': '{value}'")).collect();
            let _ = write!(said, "\nUse   filter options : {{{}}}", each.join(", "));
        }
        return Ok(Named { options, said });
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if text.chars().all(is_name)
        || (!call.name.is_empty() && call.name.chars().all(is_name) && text.ends_with(']'))
    {
        return Err(format!("there is no filter {}.conf", path.display()));
    }
    let options = BTreeMap::from([("failregex", text.to_owned())]);
    Ok(Named { options, said: format!("failregex line : {}", text.chars().take(55).collect::<String>()) })
}

fn now_us(test: &Test) -> i64 {
    test.now.map_or(clock::now().wall.0, |s| s.saturating_mul(1_000_000))
}

/// One object for each line that makes somebody fail.
fn objects(test: &Test, mut lines: Lines, mut reader: Reader) -> std::io::Result<u64> {
    use std::io::Write as _;
    let now_us = now_us(test);
    let mut out = std::io::BufWriter::with_capacity(1 << 16, Out);
    let (mut number, mut matched) = (1_u64, 0);
    let mut failure = Ok(());
    while let Some(block) = lines.block()? {
        let mut counted = 0;
        let ends = |part: Option<&[u8]>| {
            part.map_or(0, |part| part.iter().fold(0_u64, |n, byte| n + u64::from(*byte == b'\n')))
        };
        reader.lines(block, now_us, &mut |at, _, outcome| {
            number += ends(block.get(counted..at));
            counted = at;
            if let Outcome::Failed(found) = outcome {
                matched += 1;
                if failure.is_ok() {
                    failure = writeln!(out, "{}", object(number, &found));
                }
            }
        });
        number += ends(block.get(counted..));
        std::mem::replace(&mut failure, Ok(()))?;
    }
    out.flush()?;
    Ok(matched)
}

fn object(line: u64, failure: &Failure) -> serde_json::Value {
    let mut object = serde_json::Map::new();
    object.insert("line".to_owned(), json!(line));
    let (whole, part) = (failure.time_us.div_euclid(1_000_000), failure.time_us.rem_euclid(1_000_000));
    let time = if part == 0 { json!(whole) } else { json!(format!("{whole}.{part:06}").parse::<f64>().ok()) };
    object.insert("time".to_owned(), time);
    object.insert("host".to_owned(), json!(failure.id.to_string()));
    for (name, value) in failure.fields.named.iter() {
        if !matches!(name, "ip4" | "ip6" | "dns" | "fid" | "cidr") {
            object.insert(name.to_string(), json!(value));
        }
    }
    if failure.fields.attempts > 0 {
        object.insert("attempts".to_owned(), json!(failure.fields.attempts));
    }
    if !failure.fields.users.is_empty() {
        object.insert("users".to_owned(), json!(failure.fields.users));
    }
    object.insert("regex".to_owned(), json!(failure.rule + 1));
    serde_json::Value::Object(object)
}

/// What a report counts.
#[derive(Default)]
struct Counts {
    lines: u64,
    matched: u64,
    rules: BTreeMap<usize, u64>,
    ignored_by: BTreeMap<usize, u64>,
    dates: BTreeMap<usize, u64>,
    ignored: Vec<String>,
    missed: Vec<String>,
    ignored_count: u64,
    missed_count: u64,
}

impl Counts {
    fn take(&mut self, outcome: &Outcome, line: &[u8], missed_max: usize) {
        let shown = || String::from_utf8_lossy(line).into_owned();
        match outcome {
            Outcome::Failed(failure) => {
                self.matched += 1;
                *self.rules.entry(failure.rule).or_default() += 1;
            }
            Outcome::Noted { rule } => {
                *self.rules.entry(*rule).or_default() += 1;
                self.ignored_count += 1;
                keep(&mut self.ignored, SHOWN_MAX, shown);
            }
            Outcome::Ignored { rule } => {
                *self.ignored_by.entry(*rule).or_default() += 1;
                self.ignored_count += 1;
                keep(&mut self.ignored, SHOWN_MAX, shown);
            }
            Outcome::Missed => {
                self.missed_count += 1;
                keep(&mut self.missed, missed_max, shown);
            }
        }
    }

    /// A block of lines that a scout looked at.
    fn take_in(&mut self, reader: &mut Reader, seen: Seen, now_us: i64, missed_max: usize) {
        let Seen { text, block, missed } = seen;
        self.lines += block.lines;
        for (date, count) in block.dates.iter().enumerate().filter(|(_, count)| **count > 0) {
            *self.dates.entry(date).or_default() += count;
        }
        let mut noted = 0;
        let lines = block.lines;
        reader.take_in((block, &text), now_us, &mut |line, outcome| {
            noted += 1;
            self.take(&outcome, line, missed_max);
        });
        self.missed_count += lines.saturating_sub(noted);
        let free = missed_max.saturating_sub(self.missed.len());
        self.missed.extend(missed.into_iter().take(free));
    }
}

/// Who looks at lines beside others.
type Scouts<'s> = &'s (dyn Fn() -> Option<Scout> + Sync);

fn report(
    test: &Test,
    mut lines: Lines,
    mut reader: Reader,
    (named, scout): (&Named, Scouts<'_>),
) -> std::io::Result<u64> {
    let start = std::time::Instant::now();
    let now_us = now_us(test);
    let mut counts = Counts::default();
    let missed_max = if test.print_all_missed { usize::MAX } else { SHOWN_MAX };
    let here = || std::thread::available_parallelism().map_or(1, usize::from);
    let plan =
        Plan { threads: test.threads.unwrap_or_else(here).clamp(1, THREADS_MAX), now_us, missed_max, scout };
    let is_read = plan.read(&mut lines, &mut |seen| counts.take_in(&mut reader, seen, now_us, missed_max))?;
    while let Some(line) = lines.next()?.filter(|_| !is_read) {
        counts.lines += 1;
        let (outcome, date) = reader.line_with_date(line, now_us);
        if let Some(date) = date {
            *counts.dates.entry(date).or_default() += 1;
        }
        counts.take(&outcome, line, missed_max);
    }
    let mut out = head(test, named);
    body(&counts, &reader, named, &mut out);
    // Writing to a String can't fail.
    let _ = writeln!(
        out,
        "\nLines: {} lines, {} ignored, {} matched, {} missed\n[processed in {:.2} sec]\n",
        counts.lines,
        counts.ignored_count,
        counts.matched,
        counts.missed_count,
        start.elapsed().as_secs_f64()
    );
    shown_lines("Ignored", &counts.ignored, counts.ignored_count, &mut out);
    if !test.print_no_missed {
        shown_lines("Missed", &counts.missed, counts.missed_count, &mut out);
    }
    say::bytes(out.as_bytes());
    Ok(counts.matched)
}

fn keep(lines: &mut Vec<String>, most: usize, line: impl Fn() -> String) {
    if lines.len() < most {
        lines.push(line());
    }
}

fn head(test: &Test, named: &Named) -> String {
    let mut out = format!("\nRunning tests\n=============\n\nUse   {}\n", named.said);
    let option = |name: &str| named.options.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    if let Some(lines) = option("maxlines") {
        let _ = writeln!(out, "Use         maxlines : {lines}");
    }
    if let Some(pattern) = option("datepattern") {
        let names = match Dates::new(pattern) {
            _ if Dates::has_defaults(pattern) => "Default Detectors".to_owned(),
            Ok(dates) => dates.names().collect::<Vec<_>>().join(", "),
            Err(_) => String::new(),
        };
        let _ = writeln!(out, "Use      datepattern : {pattern} : {names}");
    }
    let kind = if Path::new(&test.log).exists() { "   log file" } else { "single line" };
    let _ = writeln!(out, "Use      {kind} : {}\nUse         encoding : UTF-8\n\n", test.log);
    out.push_str("Results\n=======\n");
    out
}

fn body(counts: &Counts, reader: &Reader, named: &Named, out: &mut String) {
    let text = |name: &str| named.options.get(name).map_or("", |text| text.trim());
    if !text("prefregex").is_empty() {
        let _ = writeln!(
            out,
            "\nPrefregex: {} total\n|  {}\n`-",
            reader.prefix_hits(),
            ban::pattern::shown(text("prefregex"))
        );
    }
    for (title, option, hits) in
        [("Failregex", "failregex", &counts.rules), ("Ignoreregex", "ignoreregex", &counts.ignored_by)]
    {
        let _ = writeln!(out, "\n{title}: {} total", hits.values().sum::<u64>());
        if hits.is_empty() {
            continue;
        }
        out.push_str("|-  #) [# of hits] regular expression\n");
        for (at, rule) in jails::lines(text(option)).enumerate() {
            if let Some(hits) = hits.get(&at) {
                let _ = writeln!(out, "|  {:>2}) [{hits}] {rule}", at + 1);
            }
        }
        out.push_str("`-\n");
    }
    out.push_str("\nDate template hits:\n");
    if !counts.dates.is_empty() {
        out.push_str("|- [# of hits] date format\n");
        for (at, name) in reader.date_names().enumerate() {
            if let Some(hits) = counts.dates.get(&at) {
                let _ = writeln!(out, "|  [{hits}] {name}");
            }
        }
        out.push_str("`-\n");
    }
}

fn shown_lines(title: &str, lines: &[String], count: u64, out: &mut String) {
    if count == 0 {
        return;
    }
    let more = u64::try_from(lines.len()).unwrap_or(u64::MAX) < count;
    if more {
        let _ = writeln!(
            out,
            "{title} line(s): too many to print.  Use --print-all-missed to print all {count} lines"
        );
        return;
    }
    let _ = writeln!(out, "|- {title} line(s):");
    for line in lines {
        let _ = writeln!(out, "|  {line}");
    }
    out.push_str("`-\n");
}
