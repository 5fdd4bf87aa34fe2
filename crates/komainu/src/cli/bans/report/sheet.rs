//! The report, in fail2ban-regex's form.

use super::{Encoding, Extra, Named, Test, now_us, short};
use crate::cli::bans::many::{Plan, Seen};
use crate::cli::bans::read::Lines;
use crate::cli::say;
use crate::clock;
use ban::date::Dates;
use ban::filter::{Failure, Outcome, Reader, Scout};
use ban::jails;
use ban::zone::Zone;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Lines that are shown of those missed or ignored.
const SHOWN_MAX: usize = 20;
/// Threads that read a log.
const THREADS_MAX: usize = 64;

/// Who looks at lines beside others.
type Scouts<'s> = &'s (dyn Fn() -> Option<Scout> + Sync);

/// What a report counts.
#[derive(Default)]
struct Counts {
    lines: u64,
    matched: u64,
    rules: BTreeMap<usize, u64>,
    ignored_by: BTreeMap<usize, u64>,
    dates: BTreeMap<usize, u64>,
    /// Failures with an address; some that matched have none.
    failures: u64,
    /// With `-v`: whom each expression found.
    found: BTreeMap<usize, Vec<String>>,
    shown: [Vec<String>; 3],
    ignored: u64,
    missed: u64,
}

/// Places in `Counts::shown`.
const MATCHED: usize = 0;
const IGNORED: usize = 1;
const MISSED: usize = 2;

pub(super) fn report(
    (test, extra, named): (&Test, &Extra, &Named),
    mut lines: Lines,
    mut reader: Reader,
    scout: Scouts<'_>,
) -> std::io::Result<u64> {
    let start = std::time::Instant::now();
    let now_us = now_us(test);
    let zone = Zone::new(clock::time_zone());
    let mut counts = Counts::default();
    let missed_max = if test.shown.print_all_missed { usize::MAX } else { SHOWN_MAX };
    let here = || std::thread::available_parallelism().map_or(1, usize::from);
    let plan =
        Plan { threads: test.threads.unwrap_or_else(here).clamp(1, THREADS_MAX), now_us, missed_max, scout };
    let take = |counts: &mut Counts, line: &[u8], outcome: &Outcome, also: &[usize]| {
        let also = if extra.is_first_only { &[] } else { also };
        counts.take((test, extra.is_first_only), (line, outcome), &zone, also);
    };
    let is_read = plan.read(&mut lines, &mut |seen| {
        let Seen { text, block, missed } = seen;
        let of_block = block.lines;
        let before = counts.lines;
        for (date, count) in block.dates.iter().enumerate().filter(|(_, count)| **count > 0) {
            *counts.dates.entry(date).or_default() += count;
        }
        reader.take_in((block, &text), now_us, &mut |line, outcome, also| {
            take(&mut counts, line, &outcome, also);
        });
        counts.miss(of_block.saturating_sub(counts.lines - before), missed, missed_max);
        text
    })?;
    while let Some(line) = lines.next()?.filter(|_| !is_read) {
        // As fail2ban-regex does.
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let (outcome, date) = reader.line_with_date(line, now_us);
        if let Some(date) = date {
            *counts.dates.entry(date).or_default() += 1;
        }
        take(&mut counts, line, &outcome, &[]);
    }
    let mut out = head(test, extra.encoding, named);
    body(test, &counts, &reader, named, &mut out);
    // Writing to a String can't fail.
    let _ = writeln!(
        out,
        "\nLines: {} lines, {} ignored, {} matched, {} missed\n[processed in {:.2} sec]\n",
        counts.lines,
        counts.ignored,
        counts.matched,
        counts.missed,
        start.elapsed().as_secs_f64()
    );
    let shown = &test.shown;
    let [matched, ignored, missed] = &counts.shown;
    if shown.print_all_matched {
        shown_lines("Matched", matched, counts.matched, &mut out);
    }
    if !shown.print_no_ignored {
        shown_lines("Ignored", ignored, counts.ignored, &mut out);
    }
    if !shown.print_no_missed {
        shown_lines("Missed", missed, counts.missed, &mut out);
    }
    say::bytes(out.as_bytes());
    Ok(counts.failures)
}

impl Counts {
    /// Counts lines in that nothing became of.
    fn miss(&mut self, count: u64, lines: Vec<String>, most: usize) {
        self.lines += count;
        self.missed += count;
        if let Some(shown) = self.shown.get_mut(MISSED) {
            let free = most.saturating_sub(shown.len());
            shown.extend(lines.into_iter().take(free));
        }
    }

    /// Counts a line in; `also` are the expressions that match it as well.
    fn take(
        &mut self,
        (test, is_first_only): (&Test, bool),
        (line, outcome): (&[u8], &Outcome),
        zone: &Zone,
        also: &[usize],
    ) {
        let shown = &test.shown;
        self.lines += 1;
        let (kind, is_all) = match outcome {
            Outcome::Failed(failure) => {
                self.failures += 1;
                let is_shown = shown.verbose > 0;
                let said = if is_shown { said_of(failure, zone) } else { String::new() };
                self.rule(failure.rule, is_shown, &said);
                for (place, rule) in also.iter().enumerate() {
                    let note = if place > 0 { " (multiple regex matched)" } else { "" };
                    let said = if is_shown { format!("{said}{note}") } else { String::new() };
                    self.rule(*rule, is_shown, &said);
                }
                (MATCHED, shown.print_all_matched)
            }
            // fail2ban-regex looks no further there.
            Outcome::Noted { waits: false, .. } if is_first_only => (MISSED, shown.print_all_missed),
            Outcome::Noted { rule, waits } => {
                self.rule(*rule, false, "");
                if *waits { (MATCHED, shown.print_all_matched) } else { (IGNORED, shown.print_all_ignored) }
            }
            Outcome::Ignored { rule } => {
                *self.ignored_by.entry(*rule).or_default() += also.len().max(1) as u64;
                (IGNORED, shown.print_all_ignored)
            }
            Outcome::Missed => (MISSED, shown.print_all_missed),
        };
        let count = match kind {
            MATCHED => &mut self.matched,
            IGNORED => &mut self.ignored,
            _ => &mut self.missed,
        };
        *count += 1;
        if let Some(lines) = self.shown.get_mut(kind).filter(|lines| is_all || lines.len() < SHOWN_MAX) {
            lines.push(String::from_utf8_lossy(line).into_owned());
        }
    }

    fn rule(&mut self, rule: usize, is_shown: bool, said: &str) {
        *self.rules.entry(rule).or_default() += 1;
        if is_shown {
            self.found.entry(rule).or_default().push(said.to_owned());
        }
    }
}

/// `192.0.2.4  Mon Nov 23 01:02:04 2026`.
fn said_of(failure: &Failure, zone: &Zone) -> String {
    let at = zone.civil(failure.time_us.div_euclid(1_000_000));
    format!(
        "{}  {}",
        failure.id,
        at.map_or_else(String::new, |at| at.strftime("%a %b %d %H:%M:%S %Y").to_string())
    )
}

fn head(test: &Test, encoding: Encoding, named: &Named) -> String {
    let mut out = "\nRunning tests\n=============\n\n".to_owned();
    let option = |name: &str| named.options.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    let lines = option("maxlines").map(|lines| format!("Use         maxlines : {lines}\n"));
    let pattern = option("datepattern").map(|pattern| {
        let names = match Dates::new(pattern) {
            _ if Dates::has_defaults(pattern) => "Default Detectors".to_owned(),
            Ok(dates) => dates.names().collect::<Vec<_>>().join(", "),
            Err(_) => String::new(),
        };
        format!("Use      datepattern : {pattern} : {names}\n")
    });
    // What was given on the command line stands before the filter.
    let said = Some(format!("Use   {}\n", named.said));
    let order = [
        lines.clone().filter(|_| test.maxlines.is_some()),
        pattern.clone().filter(|_| test.datepattern.is_some()),
        said,
        lines.filter(|_| test.maxlines.is_none()),
        pattern.filter(|_| test.datepattern.is_none()),
        test.ignoreregex.as_ref().map(|text| format!("Use ignoreregex line : {}\n", short(text))),
    ];
    order.into_iter().flatten().for_each(|line| out.push_str(&line));
    let kind = if Path::new(&test.log).exists() { "   log file" } else { "single line" };
    let _ = writeln!(out, "Use      {kind} : {}", test.log);
    if Path::new(&test.log).exists() {
        let _ = writeln!(out, "Use         encoding : {}", encoding.name());
    }
    out.push_str("\n\n");
    out.push_str("Results\n=======\n");
    out
}

fn body(test: &Test, counts: &Counts, reader: &Reader, named: &Named, out: &mut String) {
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
                for found in counts.found.get(&at).filter(|_| option == "failregex").into_iter().flatten() {
                    let _ = writeln!(out, "|      {found}");
                }
            }
        }
        out.push_str("`-\n");
    }
    out.push_str("\nDate template hits:\n");
    let mut dates: Vec<(u64, &str)> = reader
        .date_names()
        .enumerate()
        .map(|(at, name)| (counts.dates.get(&at).copied().unwrap_or(0), name))
        .filter(|(hits, _)| test.shown.verbose > 0 || *hits > 0)
        .collect();
    dates.sort_by_key(|(hits, _)| std::cmp::Reverse(*hits));
    if !dates.is_empty() {
        out.push_str("|- [# of hits] date format\n");
        for (hits, name) in dates {
            let _ = writeln!(out, "|  [{hits}] {name}");
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
            "{title} line(s): too many to print.  Use --print-all-{} to print all {count} lines",
            title.to_lowercase()
        );
        return;
    }
    let _ = writeln!(out, "|- {title} line(s):");
    for line in lines {
        let _ = writeln!(out, "|  {line}");
    }
    out.push_str("`-\n");
}
