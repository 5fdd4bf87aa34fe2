//! `komainu ban test`, and the same under its old name, `fail2ban-regex`.

use super::read::{Encoding, Lines};
use super::{EX_CONFIG, EX_TEMPFAIL, EX_USAGE, failed};
use crate::bans::files::Disk;
use crate::cli::say::Out;
use crate::clock;
use ban::brackets::{self, Call};
use ban::filter::{Failure, Filter, Outcome, Reader, Scout};
use ban::jails;
use ban::zone::Zone;
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

mod old;
mod sheet;

pub(super) use old::fail2ban_regex;

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
    /// Print this of each failure, and no report: `ip`, `msg`, `row`, a name that the filter captures, or a text with
    /// `<ip>`, `<time>`, `<msg>`, `<F-USER>` and the like in it.
    #[arg(long, short = 'o', value_name = "WHAT")]
    out: Option<String>,
    #[command(flatten)]
    shown: Shown,
}

/// What a report shows beside the sums.
#[derive(Args, Debug)]
struct Shown {
    /// Show whom each expression found, and when; all date patterns.
    #[arg(long, short = 'v', action = clap::ArgAction::Count)]
    verbose: u8,
    /// Show all lines that matched.
    #[arg(long)]
    print_all_matched: bool,
    /// Show all missed lines.
    #[arg(long)]
    print_all_missed: bool,
    /// Show no missed lines.
    #[arg(long)]
    print_no_missed: bool,
    /// Show all ignored lines.
    #[arg(long)]
    print_all_ignored: bool,
    /// Show no ignored lines.
    #[arg(long)]
    print_no_ignored: bool,
}

/// A filter as it was named.
struct Named {
    options: BTreeMap<&'static str, String>,
    /// `failregex filter file : sshd, basedir: /etc/fail2ban`.
    said: String,
}

pub(super) fn run(folder: &Path, test: &Test) -> ExitCode {
    match tried(folder, test, &Extra::default()) {
        Ok(0) => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err((code, problem)) => failed(code, problem),
    }
}

/// What the old name has besides.
#[derive(Debug, Default)]
struct Extra {
    /// `<HOST>` is an address, never a name.
    addresses: bool,
    encoding: Encoding,
    /// `<F-ID>` is shown as it was captured.
    is_raw: bool,
    /// Only the expression that decides is counted.
    is_first_only: bool,
    /// A last line without an end isn't read.
    is_whole: bool,
}

/// How many failures there are.
fn tried(folder: &Path, test: &Test, extra: &Extra) -> Result<u64, (u8, String)> {
    let mut named = named(folder, test).map_err(|problem| (EX_CONFIG, problem))?;
    let given = [
        ("ignoreregex", test.ignoreregex.clone()),
        ("datepattern", test.datepattern.clone()),
        ("maxlines", test.maxlines.map(|lines| lines.to_string())),
    ];
    named.options.extend(given.into_iter().filter_map(|(name, text)| Some((name, text?))));
    let mut options = named.options.clone();
    for option in ["failregex", "prefregex"] {
        if let Some(text) = options.get_mut(option).filter(|_| extra.addresses) {
            *text = text.replace("<HOST>", "<ADDR>");
        }
    }
    let filter = Arc::new(Filter::new(&options).map_err(|error| (EX_CONFIG, error.to_string()))?);
    let zone = match test.timezone.as_deref().map(|text| (text, Zone::fixed(text))) {
        None => Zone::new(clock::time_zone()),
        Some((_, Some(zone))) => zone,
        Some((text, None)) => {
            return Err((EX_USAGE, format!("`{text}` is no time zone: write `UTC+0200`")));
        }
    };
    let unread = |error: std::io::Error| (EX_TEMPFAIL, format!("{}: {error}", test.log));
    let mut lines = Lines::open(&test.log, extra.encoding).map_err(unread)?;
    if extra.is_whole {
        lines = lines.whole(&test.log);
    }
    let reader = Reader::new(Arc::clone(&filter), zone.clone());
    let now_us = now_us(test);
    let outcome = match &test.out {
        _ if test.json => each(now_us, lines, reader, &|line, _, found| object(line, found).to_string()),
        Some(out) => each(now_us, lines, reader, &|_, line, found| old::said(out, line, found, extra.is_raw)),
        None => {
            let scout = || Scout::new(Arc::clone(&filter), zone.clone());
            sheet::report((test, extra, &named), lines, reader, &scout)
        }
    };
    match outcome {
        // Whoever reads it has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(1),
        outcome => outcome.map_err(unread),
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
    Ok(Named { options, said: format!("failregex line : {}", short(text)) })
}

fn now_us(test: &Test) -> i64 {
    test.now.map_or(clock::now().wall.0, |s| s.saturating_mul(1_000_000))
}

/// As much of an expression as a report's head shows.
fn short(text: &str) -> String {
    text.chars().take(55).collect()
}

/// A line of output for each line of log that makes somebody fail.
fn each(
    now_us: i64,
    mut lines: Lines,
    mut reader: Reader,
    said: &dyn Fn(u64, &[u8], &Failure) -> String,
) -> std::io::Result<u64> {
    use std::io::Write as _;
    let mut out = std::io::BufWriter::with_capacity(1 << 16, Out);
    let (mut number, mut matched) = (1_u64, 0);
    let mut failure = Ok(());
    while let Some(block) = lines.block()? {
        let mut counted = 0;
        let ends = |part: Option<&[u8]>| {
            part.map_or(0, |part| part.iter().fold(0_u64, |n, byte| n + u64::from(*byte == b'\n')))
        };
        reader.lines(block, now_us, &mut |at, line, outcome| {
            number += ends(block.get(counted..at));
            counted = at;
            if let Outcome::Failed(found) = outcome {
                matched += 1;
                if failure.is_ok() {
                    failure = writeln!(out, "{}", said(number, line, &found));
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
        if !matches!(name, "ip4" | "ip6" | "dns" | "fid") {
            object.insert(name.to_owned(), json!(value));
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
