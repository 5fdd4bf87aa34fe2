//! `komainu report`: what a log adds up to, for people and programs. T2.22.

mod follow;

use super::logs::{self, Fold, Problem};
use super::render::Colour;
use super::report_sheet::{Shown, whole_day};
use super::say;
use super::{EX_TEMPFAIL, EX_USAGE, default_config};
use crate::configuration::{Configuration, DirectSources, LookingSources};
use crate::reporting::{self, Places};
use clap::{Args, ValueEnum};
use config::{Compat, Parameters};
use report::Day;
use report::outline::About;
use report::summary::{Settings, Tally, data, sections, text};
use report::unusual::{Watcher, dated, of_log};
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use tables::Vantage;

/// Show what a mail log adds up to: traffic, what was refused and why, what was delivered and what wasn't.
///
/// Reads the logs of any Postfix, and of this server, with the lines of postgrey, Dovecot and fail2ban among them;
/// they may be packed by gzip, xz or zstd. Each connection and each message is counted in exactly one place, so that the
/// sums add up.
///
/// Exit code 0 well, 1 nothing of that time is in the logs, 64 wrong usage, 75 a log can't be read (the others are
/// counted), or the report can't be written or sent, 78 --send knows no recipient or no configuration.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The logs, in any order (with --follow, the one that grows last); `-` is standard input, which ends what
    /// is followed when it ends [default: komainu_report_log, else the log that the
    /// configuration names, else /var/log/mail.log, and with --day the one before it, too].
    #[arg(value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// Count only this day: today, yesterday, 2026-11-22, or two of them with `..` between (either may be left out).
    #[arg(long, short = 'd', value_name = "DAY")]
    day: Option<String>,
    /// Show it anew once a second while the last of the logs grows, until Ctrl-C; then print it.
    #[arg(long, short = 'f')]
    follow: bool,
    /// How the report is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// One page of HTML with charts, that needs nothing else; it is always the whole: neither --format nor --section
    /// goes with it.
    #[arg(long, conflicts_with_all = ["format", "section"])]
    html: bool,
    /// Send it by mail, as text and HTML, to komainu_report_recipient; none of --format, --section and --html goes with
    /// it.
    #[arg(long, conflicts_with_all = ["format", "section", "html"])]
    send: bool,
    /// Only this section; may be given several times.
    #[arg(long, short = 's', value_name = "NAME", value_parser = sections::KEYS)]
    section: Vec<String>,
    /// How many rows a table has.
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20)]
    rows: usize,
    /// The folder with main.cf and master.cf [default: /etc/komainu, then /etc/postfix].
    #[arg(long, short = 'c', value_name = "DIR")]
    config: Option<PathBuf>,
    /// When to use colours.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    color: Colour,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// Rows for a spreadsheet.
    Csv,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let today = today();
    let days = match arguments.day.as_deref().map(|text| days(text, today)).transpose() {
        Ok(days) => days,
        Err(problem) => {
            eprintln!("komainu report: {problem}");
            return ExitCode::from(EX_USAGE);
        }
    };
    let settings = Settings { days, rows: arguments.rows, ..reporting::settings(today) };
    let configuration = configuration(arguments);
    let parameters = configuration.as_ref().map(|configuration| &configuration.parameters);
    let files = match arguments.logs.as_slice() {
        [] => usual_logs(parameters, days.is_some()),
        named if arguments.follow => named.to_vec(),
        named => logs::by_time(named.to_vec(), today),
    };
    let watched = whole_day(days, today).filter(|_| arguments.is_judged());
    let mut counting = Counting { tally: Tally::new(settings), watcher: Watcher::default(), watched, today };
    let followed = if arguments.follow { files.last() } else { None };
    let mut unread = Vec::new();
    let whole = files.get(..files.len() - usize::from(followed.is_some())).unwrap_or_default();
    logs::fold(whole, (days.map(|(first, last)| first..=last), today), &mut counting, |file, problem| {
        let file = file.display();
        let text = match problem {
            Problem::Open(error) => format!("{file}: {error}"),
            Problem::Read(error) => format!("{file}: {error}; what stands before it is counted"),
        };
        eprintln!("komainu report: {text}");
        unread.push(text);
    });
    let Counting { mut tally, watcher, .. } = counting;
    let places = configuration.as_ref().map(|found| Places::of(&found.parameters, &found.master.services));
    let placed = |tally: &Tally, unread: &[String]| {
        let mut summary = tally.summary();
        summary.could_not_read(unread);
        if let Some(places) = &places {
            places.put(&mut summary);
        }
        summary
    };
    let mut failure = None;
    if let Some(path) = followed {
        let shown = |tally: &Tally| {
            let summary = placed(tally, &unread);
            // A day that goes on is held against nothing.
            let about = About { unusual: of_log(&summary), ..About::default() };
            text::text(&summary, &about, &arguments.section, style(arguments.color))
        };
        if let Err(error) = follow::run(&mut follow::Followed::new(path), &mut tally, shown) {
            let text = format!("{}: {error}", path.display());
            eprintln!("komainu report: {text}");
            failure = Some(text);
        }
    }
    unread.extend(failure);
    let summary = placed(&tally, &unread);
    let watched = watched.map(|day| (day, &watcher));
    let shown = Shown { summary: &summary, days, configuration: configuration.as_ref(), watched };
    if arguments.send {
        return shown.send();
    }
    let text = if arguments.html { shown.page() } else { printed(&shown, arguments) };
    say::bytes(text.as_bytes());
    match (!unread.is_empty(), summary.span) {
        (true, _) => ExitCode::from(EX_TEMPFAIL),
        (false, None) => ExitCode::FAILURE,
        (false, Some(_)) => ExitCode::SUCCESS,
    }
}

impl Arguments {
    /// Whether it is shown what is out of the ordinary.
    fn is_judged(&self) -> bool {
        self.html || self.send || (self.format != Format::Csv && self.section.is_empty())
    }
}

/// A log's lines, counted by several threads.
struct Counting {
    tally: Tally,
    /// Looks at the lines of one day, where that is wanted.
    watcher: Watcher,
    watched: Option<Day>,
    today: Day,
}

impl Fold for Counting {
    type Part = Counting;

    fn part(&self) -> Counting {
        Counting { tally: self.tally.sibling(), watcher: Watcher::default(), ..*self }
    }

    fn another(part: &Counting) -> Counting {
        part.part()
    }

    fn feed(part: &mut Counting, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let plain = events::json::plain(line, crate::clock::utc_offset_min);
        let line = plain.as_ref().map_or(line, |plain| plain.as_bytes());
        part.tally.feed(line);
        if let Some(day) = part.watched
            && let Some((_, rest)) = dated(line, part.today).filter(|(found, _)| *found == day)
        {
            part.watcher.feed(rest);
        }
    }

    fn merge(&mut self, part: &mut Counting) {
        let empty = self.tally.sibling();
        self.tally.merge(std::mem::replace(&mut part.tally, empty));
        self.watcher.merge(std::mem::take(&mut part.watcher));
    }
}

fn printed(shown: &Shown<'_>, arguments: &Arguments) -> String {
    let summary = shown.summary;
    match arguments.format {
        Format::Json => data::json(summary, &shown.about(), &arguments.section) + "\n",
        Format::Csv => data::csv(summary, &arguments.section),
        Format::Text => text::text(summary, &shown.about(), &arguments.section, style(arguments.color)),
    }
}

/// What this screen can do: bars only where somebody looks, as wide as it is.
fn style(colour: Colour) -> text::Style {
    let stdout = io::stdout();
    let terminal = stdout.is_terminal();
    let asked = if terminal { rustix::termios::tcgetwinsize(&stdout).ok() } else { None };
    let columns = asked.map(|size| usize::from(size.ws_col)).filter(|columns| *columns >= 40);
    let shown = colour.style(&stdout);
    let width =
        if std::env::var_os("COLUMNS").is_some() { shown.width } else { columns.unwrap_or(shown.width) };
    text::Style { width, colours: shown.colours, bars: terminal || matches!(colour, Colour::Always) }
}

/// The configuration, where there is one.
fn configuration(arguments: &Arguments) -> Option<Configuration> {
    let folder = arguments.config.clone().or_else(default_config)?;
    let sources = LookingSources::new(&DirectSources, Vantage::Looking);
    Some(Configuration::load(&folder, Compat::default(), &sources).0)
}

/// The log that reports are made of by the configuration; for a certain day also the one that was before it.
fn usual_logs(parameters: Option<&Parameters>, with_older: bool) -> Vec<PathBuf> {
    let sources = LookingSources::new(&DirectSources, Vantage::Looking);
    let named = parameters.and_then(|parameters| crate::configuration::report_log(parameters, &sources));
    let log = named.unwrap_or_else(|| PathBuf::from("/var/log/mail.log"));
    let older = ["1", "1.gz", "1.xz", "1.zst"].iter().map(|suffix| {
        let mut name = log.clone().into_os_string();
        name.push(".");
        name.push(suffix);
        PathBuf::from(name)
    });
    let older = older.filter(|path| with_older && path.exists()).take(1);
    older.chain([log.clone()]).collect()
}

/// What day it is here.
fn today() -> Day {
    let wall = crate::clock::now().wall;
    let here = wall.seconds() + i64::from(crate::clock::utc_offset_s(wall));
    Day::numbered(here.div_euclid(86_400))
}

/// The first and the last day of what was asked for.
fn days(text: &str, today: Day) -> Result<(Day, Day), String> {
    let (first, last) = match text.split_once("..") {
        Some((first, last)) => {
            let first =
                if first.is_empty() { Ok(Day { year: 0, month: 1, day: 1 }) } else { day(first, today) };
            let last = if last.is_empty() { Ok(today) } else { day(last, today) };
            (first?, last?)
        }
        None => {
            let one = day(text, today)?;
            (one, one)
        }
    };
    if first > last {
        return Err(format!("--day {text}: the first day is behind the last"));
    }
    Ok((first, last))
}

fn day(text: &str, today: Day) -> Result<Day, String> {
    match text {
        "today" => return Ok(today),
        "yesterday" => return Ok(today.before()),
        _ => {}
    }
    let mut parts = text.split('-').map(str::parse::<u16>);
    let found = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Ok(year)), Some(Ok(month)), Some(Ok(number)), None) if text.len() == 10 => {
            let small = |value: u16| u8::try_from(value).ok();
            small(month).zip(small(number)).map(|(month, day)| Day { year, month, day })
        }
        _ => None,
    };
    // A day that the calendar doesn't have comes back as another.
    let found = found.filter(|day| (1..=12).contains(&day.month) && Day::numbered(day.number()) == *day);
    found.ok_or_else(|| format!("--day {text}: neither today, yesterday, a date like 2026-11-22, nor two of them with `..` between"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Day = Day { year: 2026, month: 3, day: 1 };

    #[test]
    fn days_as_people_say_them() {
        let of = |year, month, day| Day { year, month, day };
        for (text, expect) in [
            ("today", Some((TODAY, TODAY))),
            ("yesterday", Some((of(2026, 2, 28), of(2026, 2, 28)))),
            ("2026-02-03", Some((of(2026, 2, 3), of(2026, 2, 3)))),
            ("2026-02-03..yesterday", Some((of(2026, 2, 3), of(2026, 2, 28)))),
            ("2026-02-03..", Some((of(2026, 2, 3), TODAY))),
            ("..2026-02-03", Some((of(0, 1, 1), of(2026, 2, 3)))),
            ("2026-02-29", None),
            ("2026-2-3", None),
            ("tomorrow", None),
            ("today..yesterday", None),
            ("", None),
            ("2026-13-01", None),
            ("2026-00-01", None),
        ] {
            assert_eq!(days(text, TODAY).ok(), expect, "{text}");
        }
    }
}
