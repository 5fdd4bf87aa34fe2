//! `komainu queue stats`: what waits where and for how long, as qshape(1) shows it, and why.

use super::filter::Filter;
use super::list::plural;
use super::progress::Progress;
use super::{Failed, Format, Where, said};
use crate::cli::say::Out;
use crate::clock;
use crate::queued::{Listed, QueueError};
use clap::{Args, ValueEnum};
use mail::Wall;
use proto::control::State;
use queue::Status;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

/// Upper bounds of the age columns, in minutes; the last column has what is older.
const MINUTES: [u64; 9] = [5, 10, 20, 40, 80, 160, 320, 640, 1280];
const COLUMNS: usize = MINUTES.len() + 1;
/// Names that are counted one by one; what comes when there are so many already is counted together.
const NAMES_MAX: usize = 100_000;
const OTHERS: &str = "(others)";
/// The names' column, and a whole line.
const NAME_WIDTH: usize = 40;
const LINE_WIDTH: usize = NAME_WIDTH + 8 + 7 * COLUMNS;

/// Count what waits: by state, and by domain, sender's domain or reason, with ages in minutes.
///
/// A name that is too long for its column stands on a line of its own above its numbers, cut where a line ends; --format
/// json has it whole.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    filter: Filter,
    /// What is counted.
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// How many lines.
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    #[command(flatten)]
    place: Where,
    /// How it is shown.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum By {
    /// Recipients that wait, by their domain.
    #[default]
    Domain,
    /// Messages, by their sender's domain.
    Sender,
    /// Recipients that wait, by the reason.
    Reason,
}

#[derive(Default)]
struct Counts {
    states: BTreeMap<State, u64>,
    messages: u64,
    bytes: u64,
    recipients: u64,
    oldest: Option<Wall>,
    total: [u64; COLUMNS],
    names: BTreeMap<String, [u64; COLUMNS]>,
}

impl Counts {
    fn take(&mut self, listed: &Listed, by: By, now: Wall) {
        let entry = &listed.entry;
        self.messages += 1;
        self.bytes = self.bytes.saturating_add(entry.size);
        *self.states.entry(listed.state).or_default() += 1;
        self.oldest = Some(self.oldest.map_or(entry.arrival, |oldest| oldest.min(entry.arrival)));
        let minutes = (now - entry.arrival).as_secs() / 60;
        let column = MINUTES.iter().position(|bound| minutes < *bound).unwrap_or(MINUTES.len());
        let domain = |address: &mail::Address| address.domain().unwrap_or("").to_lowercase();
        let mut names: Vec<String> = Vec::new();
        for recipient in entry.recipients.iter().filter(|recipient| recipient.status.is_open()) {
            self.recipients += 1;
            match (by, &recipient.status) {
                (By::Domain, _) => names.push(domain(&recipient.address)),
                (By::Reason, Status::Deferred(reason)) => names.push(said::plain(&reason.text)),
                (By::Reason, _) => names.push("(not tried yet)".to_owned()),
                (By::Sender, _) => {}
            }
        }
        if matches!(by, By::Sender) {
            names.push(if entry.sender.is_null() {
                "MAILER-DAEMON".to_owned()
            } else {
                domain(&entry.sender)
            });
        }
        for name in names {
            let known = self.names.len() < NAMES_MAX || self.names.contains_key(&name);
            let row = self.names.entry(if known { name } else { OTHERS.to_owned() }).or_default();
            for counts in [row, &mut self.total] {
                if let Some(count) = counts.get_mut(column) {
                    *count += 1;
                }
            }
        }
    }

    /// The most first.
    fn top(&self, count: usize) -> Vec<(&str, u64, &[u64; COLUMNS])> {
        let mut rows: Vec<_> =
            self.names.iter().map(|(name, row)| (name.as_str(), row.iter().sum::<u64>(), row)).collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        rows.truncate(count);
        rows
    }

    fn text(&self, top: usize, now: Wall) -> String {
        let mut text = String::new();
        for state in State::all() {
            let count = self.states.get(&state).copied().unwrap_or(0);
            text.push_str(&format!("{:<9} {count:>8}\n", state.name()));
        }
        let (messages, recipients) = (plural(self.messages, "message"), plural(self.recipients, "recipient"));
        text.push_str(&format!("-- {messages} for {recipients}, {} bytes", said::bytes(self.bytes)));
        if let Some(oldest) = self.oldest {
            text.push_str(&format!(", the oldest {} old", said::age(now - oldest)));
        }
        text.push('\n');
        if self.names.is_empty() {
            return text;
        }
        let row = |name: &str, total: &str, cells: Vec<String>| {
            let cells: String = cells.iter().map(|cell| format!(" {cell:>6}")).collect();
            match name.chars().count() {
                0..=NAME_WIDTH => format!("{name:>NAME_WIDTH$} {total:>7}{cells}\n"),
                _ => format!("{}\n{:>NAME_WIDTH$} {total:>7}{cells}\n", cut(name), ""),
            }
        };
        let mut head: Vec<String> = MINUTES.iter().map(ToString::to_string).collect();
        head.push("older".to_owned());
        text.push('\n');
        text.push_str(&row("minutes:", "T", head));
        let cells = |counts: &[u64; COLUMNS]| counts.iter().map(ToString::to_string).collect::<Vec<_>>();
        text.push_str(&row("TOTAL", &self.total.iter().sum::<u64>().to_string(), cells(&self.total)));
        for (name, total, counts) in self.top(top) {
            text.push_str(&row(&said::plain(name), &total.to_string(), cells(counts)));
        }
        text
    }
}

/// What has room on a line.
fn cut(name: &str) -> String {
    match name.char_indices().nth(LINE_WIDTH) {
        None => name.to_owned(),
        Some(_) => name.chars().take(LINE_WIDTH - 1).chain(['\u{2026}']).collect(),
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failed> {
    let mut queue = arguments.place.open()?;
    let now = clock::now().wall;
    let mut counts = Counts::default();
    let mut progress = Progress::new("read");
    let walk = arguments.filter.walk(
        &mut queue,
        now,
        (&mut progress, &mut |listed| {
            counts.take(&listed, arguments.by, now);
            Ok(())
        }),
    )?;
    let text = match arguments.format {
        Format::Text => counts.text(arguments.top, now),
        Format::Json => {
            let states: serde_json::Map<_, _> = State::all()
                .into_iter()
                .map(|state| {
                    (state.name().to_owned(), json!(counts.states.get(&state).copied().unwrap_or(0)))
                })
                .collect();
            let rows = counts
                .top(arguments.top)
                .into_iter()
                .map(|(name, total, row)| json!({ "name": name, "total": total, "by_age": row.to_vec() }));
            let object = json!({
                "messages": counts.messages, "recipients": counts.recipients, "bytes": counts.bytes,
                "oldest_arrival_time": counts.oldest.map(Wall::seconds), "states": states,
                "age_minutes": MINUTES.to_vec(), "top": rows.collect::<Vec<_>>(),
            });
            format!("{object}\n")
        }
    };
    Out.write_all(text.as_bytes()).map_err(QueueError::Output)?;
    Ok(if walk.missing > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::{Address, Dsn};
    use queue::{Entry, Reason, Recipient};

    #[test]
    fn columns() {
        let now = Wall::from_seconds(1_000_000);
        let mut counts = Counts::default();
        for (minutes, domain) in [(0, "a.example"), (4, "A.example"), (5, "b.example"), (2_000, "a.example")]
        {
            let arrival = Wall::from_seconds(1_000_000 - minutes * 60);
            let recipient = Recipient::new(Address::from_internal(format!("x@{domain}")));
            let entry = Entry::new("ABCDEF".parse().unwrap(), arrival, Address::null(), vec![recipient]);
            counts.take(&Listed { number: 1, state: State::Incoming, entry }, By::Domain, now);
        }
        let text = counts.text(1, now);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["incoming", "4"]);
        assert_eq!(lines[4].join(" "), "-- 4 messages for 4 recipients, 0 bytes, the oldest 1d09h old");
        assert_eq!(lines[6].join(" "), "minutes: T 5 10 20 40 80 160 320 640 1280 older");
        assert_eq!(lines[7].join(" "), "TOTAL 4 2 1 0 0 0 0 0 0 0 1");
        assert_eq!(lines[8].join(" "), "a.example 3 2 0 0 0 0 0 0 0 0 1");
        assert_eq!(lines.len(), 9);
    }

    #[test]
    fn long_reasons_leave_the_columns_where_they_are() {
        let now = Wall::from_seconds(1_000_000);
        let mut counts = Counts::default();
        let refused = "connect to mx.down.example[192.0.2.9]:25: Connection refused";
        let wordy = format!("host said: 450 {}", "\u{e9} ".repeat(300));
        for reason in ["timed out", refused, &wordy] {
            let mut recipient = Recipient::new(Address::from_internal("x@down.example"));
            recipient.status = Status::Deferred(Reason::new(Dsn::new(4, 4, 1), reason));
            let entry = Entry::new("ABCDEF".parse().unwrap(), now, Address::null(), vec![recipient]);
            counts.take(&Listed { number: 1, state: State::Deferred, entry }, By::Reason, now);
        }
        let text = counts.text(9, now);
        let lines: Vec<&str> = text.lines().skip(6).collect();
        let numbers =
            |name: &str, count: u64| format!("{name:>40} {count:>7} {count:>6}{}", "      0".repeat(9));
        assert_eq!(lines[1], numbers("TOTAL", 3));
        assert_eq!((lines[2], lines[3]), (refused, numbers("", 1).as_str()));
        assert!(lines[4].starts_with("host said: 450 ") && lines[4].ends_with('\u{2026}'), "{}", lines[4]);
        assert_eq!(lines[5], numbers("", 1));
        assert_eq!(lines[6], numbers("timed out", 1));
        assert!(lines.iter().all(|line| line.chars().count() <= LINE_WIDTH), "{text}");
    }
}
