//! The report, in fail2ban-regex's form.

use super::{Encoding, Extra, Named, Test, now_us, short};
use crate::cli::bans::many::{Plan, Seen};
use crate::cli::bans::read::Lines;
use crate::cli::say;
use crate::clock;
use ban::date::Dates;
use ban::filter::{Also, Failure, Outcome, Reader, Scout};
use ban::jails;
use ban::zone::Zone;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::Path;

/// Lines that are shown of those missed or ignored.
const SHOWN_MAX: usize = 20;
/// The most lines that a filter joins.
const LINES_MAX: usize = 1_000;
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
    /// Missed lines of a block that are yet to be shown, and where they begin.
    pending: Vec<(usize, String)>,
    /// The last missed lines, by their number: a match may yet join them.
    unjoined: VecDeque<(u64, String)>,
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
    let is_all = !extra.is_first_only;
    let take = |counts: &mut Counts, line: (usize, &[u8]), outcome: &Outcome, also: &[Also]| {
        counts.take((test, extra.is_first_only), (line, outcome, also), &zone);
    };
    let is_read = plan.read(&mut lines, &mut |seen| {
        let Seen { text, block, missed } = seen;
        let of_block = block.lines;
        let before = counts.lines;
        for (date, count) in block.dates.iter().enumerate().filter(|(_, count)| **count > 0) {
            *counts.dates.entry(date).or_default() += count;
        }
        reader.take_in((block, &text), (now_us, is_all), &mut |line, outcome, also| {
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
        counts.join(&reader, (line, &outcome), test.shown.print_all_matched);
        take(&mut counts, (0, line), &outcome, &[]);
        counts.miss(0, Vec::new(), missed_max);
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
    /// Counts lines in that nothing became of, and shows those of a block in their order.
    fn miss(&mut self, count: u64, mut lines: Vec<(usize, String)>, most: usize) {
        self.lines += count;
        self.missed += count;
        if let Some(shown) = self.shown.get_mut(MISSED) {
            let free = most.saturating_sub(shown.len());
            lines.append(&mut self.pending);
            lines.sort_by_key(|(at, _)| *at);
            shown.extend(lines.into_iter().take(free).map(|(_, line)| line));
        }
    }

    /// Lines that were missed, and that a match joins now, have matched. For filters that join lines.
    fn join(&mut self, reader: &Reader, (line, outcome): (&[u8], &Outcome), is_all: bool) {
        let number = reader.looked_at();
        if *outcome == Outcome::Missed {
            if self.unjoined.len() >= LINES_MAX {
                self.unjoined.pop_front();
            }
            return self.unjoined.push_back((number, text_of(line)));
        }
        for joined in reader.joined_lines().iter().filter(|joined| **joined != number) {
            let Some(place) = self.unjoined.iter().position(|(number, _)| number == joined) else { continue };
            let Some((_, line)) = self.unjoined.remove(place) else { continue };
            self.missed = self.missed.saturating_sub(1);
            self.matched += 1;
            let [matched, _, missed] = &mut self.shown;
            if let Some(shown) = missed.iter().position(|shown| *shown == line) {
                missed.remove(shown);
            }
            if is_all || matched.len() < SHOWN_MAX {
                matched.push(line);
            }
        }
    }

    /// Counts a line in; `also` are the other expressions that match it.
    fn take(
        &mut self,
        (test, is_first_only): (&Test, bool),
        ((at, line), outcome, also): ((usize, &[u8]), &Outcome, &[Also]),
        zone: &Zone,
    ) {
        let shown = &test.shown;
        self.lines += 1;
        let kind = match outcome {
            Outcome::Failed(failure) => {
                self.failures += 1;
                let is_shown = shown.verbose > 0;
                let said = if is_shown { said_of(failure, zone) } else { String::new() };
                self.rule(failure.rule, is_shown, &said);
                for (place, also) in also.iter().enumerate() {
                    let note = if place > 0 { " (multiple regex matched)" } else { "" };
                    let said = if is_shown { format!("{said}{note}") } else { String::new() };
                    self.rule(also.rule, is_shown, &said);
                }
                // One expression that lets it go is enough.
                let is_let_go = also.iter().any(|also| also.is_let_go);
                if is_let_go { IGNORED } else { MATCHED }
            }
            // fail2ban-regex looks no further there.
            Outcome::Noted { waits: false, .. } if is_first_only => MISSED,
            Outcome::Noted { rule, waits } => {
                self.rule(*rule, false, "");
                also.iter().for_each(|also| self.rule(also.rule, false, ""));
                if *waits && !also.iter().any(|also| also.is_let_go) { MATCHED } else { IGNORED }
            }
            Outcome::Ignored { rule } => {
                *self.ignored_by.entry(*rule).or_default() += also.len().max(1) as u64;
                IGNORED
            }
            Outcome::Missed => MISSED,
        };
        let is_all = if kind == MATCHED { shown.print_all_matched } else { shown.print_all_ignored };
        let count = match kind {
            MATCHED => &mut self.matched,
            IGNORED => &mut self.ignored,
            _ => &mut self.missed,
        };
        *count += 1;
        if kind == MISSED {
            self.pending.push((at, text_of(line)));
        } else if let Some(lines) = self.shown.get_mut(kind).filter(|lines| is_all || lines.len() < SHOWN_MAX)
        {
            lines.push(text_of(line));
        }
    }

    fn rule(&mut self, rule: usize, is_shown: bool, said: &str) {
        *self.rules.entry(rule).or_default() += 1;
        if is_shown {
            self.found.entry(rule).or_default().push(said.to_owned());
        }
    }
}

/// A line as it is shown: what is blank at its end isn't.
fn text_of(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end().to_owned()
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
        let title = Dates::new(pattern).map_or_else(|_| String::new(), |dates| dates.title().to_owned());
        format!("Use      datepattern : {pattern} : {title}\n")
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
