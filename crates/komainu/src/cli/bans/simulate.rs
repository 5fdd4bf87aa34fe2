//! `komainu ban simulate`: jails over an old log, with its clock.

use super::ban_time;
use super::read::{Encoding, Lines};
use super::{EX_CONFIG, EX_TEMPFAIL, EX_USAGE, failed};
use crate::bans::files::Disk;
use crate::bans::{LATE_S, UNDER_WAY_S};
use crate::cli::say::Out;
use crate::clock;
use crate::configuration::own_addresses;
use ban::filter::{Failure, Filter, Id, Outcome, Reader};
use ban::jail::{Candidate, Deed, Jail, Settings};
use ban::jails;
use ban::zone::Zone;
use clap::Args;
use events::fail2ban::{BanEvent, BanLine, Deed as Word, Ticket};
use serde_json::json;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Args, Debug)]
pub(super) struct Simulate {
    /// A log; `-` is standard input.
    log: String,
    /// A jail, switched on or not; may be given several times.
    #[arg(long, short = 'j', required = true)]
    jail: Vec<String>,
    /// Instead of the jail's `maxretry`.
    #[arg(long)]
    maxretry: Option<u32>,
    /// Instead of the jail's `findtime`: `600`, `10m`.
    #[arg(long)]
    findtime: Option<String>,
    /// Instead of the jail's `bantime`.
    #[arg(long)]
    bantime: Option<String>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// The time it is, in seconds since 1970, for stamps without a year.
    #[arg(long, value_name = "EPOCH")]
    now: Option<i64>,
}

struct Cell {
    jail: Jail,
    reader: Reader,
    counts: [u64; 3],
}

pub(super) fn run(folder: &Path, arguments: &Simulate) -> ExitCode {
    let mut cells = Vec::new();
    for name in &arguments.jail {
        match cell(folder, name, arguments) {
            Ok(cell) => cells.push(cell),
            Err(code) => return code,
        }
    }
    let mut lines = match Lines::open(&arguments.log, Encoding::default()) {
        Ok(lines) => lines,
        Err(error) => return failed(EX_TEMPFAIL, format_args!("{}: {error}", arguments.log)),
    };
    let now_us = arguments.now.map_or(clock::now().wall.0, |s| s.saturating_mul(1_000_000));
    let mut out = BufWriter::new(Out);
    let mut writer =
        Writer { zone: Zone::new(clock::time_zone()), json: arguments.json, by: "ip", out: &mut out };
    let mut play = || -> io::Result<()> {
        while let Some(line) = lines.next()? {
            for at in 0..cells.len() {
                let failed = cells.get_mut(at).and_then(|cell| cell.failed(line, now_us));
                let Some(failure) = failed else { continue };
                ends(&mut cells, failure.time_us.div_euclid(1_000_000), &mut writer)?;
                if let Some(cell) = cells.get_mut(at) {
                    cell.count(&failure, &mut writer)?;
                }
            }
        }
        writer.out.flush()
    };
    match play() {
        Ok(()) => {}
        // Whoever reads it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        Err(error) => return failed(EX_TEMPFAIL, format_args!("{}: {error}", arguments.log)),
    }
    for Cell { jail, counts: [found, banned, spared], .. } in &cells {
        let name = &jail.settings().name;
        eprintln!("{name}: {found} failures, {banned} bans, {spared} failures of those who are never banned");
    }
    if cells.iter().any(|cell| cell.counts[1] > 0) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn cell(folder: &Path, name: &str, arguments: &Simulate) -> Result<Cell, ExitCode> {
    let read = jails::read_with(&Disk, folder, &|known| known == name);
    let Some(jail) = read.jails.iter().find(|jail| jail.name == *name) else {
        read.found.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
        let known = read.known.join(", ");
        return Err(failed(EX_USAGE, format_args!("there is no jail [{name}]; there are: {known}")));
    };
    if let Some(error) = &jail.error {
        return Err(failed(EX_CONFIG, format_args!("[{name}]: {error}")));
    }
    let filter =
        Filter::new(&jail.filter).map_err(|error| failed(EX_CONFIG, format_args!("[{name}]: {error}")))?;
    let (mut settings, found) = Settings::of(jail);
    found.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
    let seconds = |text: &str| {
        let wrong = || failed(EX_USAGE, format_args!("`{text}` is no length of time: write `600` or `10m`"));
        ban::span::seconds(text).ok_or_else(wrong)
    };
    settings.own = own_addresses();
    settings.failures_max = arguments.maxretry.unwrap_or(settings.failures_max);
    if let Some(text) = &arguments.findtime {
        settings.find_s = seconds(text)?;
    }
    if let Some(text) = &arguments.bantime {
        settings.ban_s = seconds(text)?;
    }
    let zone = jail.option("logtimezone").and_then(Zone::fixed);
    let reader = Reader::new(Arc::new(filter), zone.unwrap_or_else(|| Zone::new(clock::time_zone())));
    Ok(Cell { jail: Jail::new(settings), reader, counts: [0; 3] })
}

/// Ends the bans of all jails whose time is up, in its order.
fn ends(cells: &mut [Cell], now_s: i64, writer: &mut Writer<'_>) -> io::Result<()> {
    let mut ended = Vec::new();
    for (at, cell) in cells.iter_mut().enumerate() {
        ended.extend(cell.jail.ended(now_s).into_iter().map(|(until_s, id)| (until_s, at, id)));
    }
    ended.sort_by_key(|(until_s, at, _)| (*until_s, *at));
    for (until_s, at, id) in ended {
        let name = cells.get(at).map_or("", |cell| &cell.jail.settings().name);
        writer.say(name, until_s, (Word::Unban, &id), None)?;
    }
    Ok(())
}

impl Cell {
    /// What a line says of somebody.
    fn failed(&mut self, line: &[u8], now_us: i64) -> Option<Failure> {
        let Outcome::Failed(failure) = self.reader.line(line, now_us) else { return None };
        (self.jail.settings().candidate(&failure) != Candidate::Dropped).then_some(*failure)
    }

    /// Takes a failure in, and says what it leads to.
    fn count(&mut self, failure: &Failure, writer: &mut Writer<'_>) -> io::Result<()> {
        let at_s = failure.time_us.div_euclid(1_000_000);
        let name = self.jail.settings().name.clone();
        let [found, banned, spared] = &mut self.counts;
        let since_s = self.jail.knows(&failure.id).and_then(|known| Some(known.banned?.0));
        for deed in self.jail.failure(failure) {
            match deed {
                Deed::Found => {
                    *found += 1;
                    writer.say(&name, at_s, (Word::Found, &failure.id), None)?;
                }
                Deed::Ignored => {
                    *spared += 1;
                    writer.by = self.jail.settings().spared_by(&failure.id);
                    writer.say(&name, at_s, (Word::Ignore, &failure.id), None)?;
                }
                Deed::Banned { until_s, .. } => {
                    *banned += 1;
                    writer.say(&name, at_s, (Word::Ban, &failure.id), Some(until_s))?;
                }
                Deed::AlreadyBanned { until_s, .. } => {
                    // Lines that were under way when the ban fell are nobody's business.
                    let held_s = since_s.map_or(0, |since_s| at_s.saturating_sub(since_s));
                    if held_s >= UNDER_WAY_S {
                        writer.held(&name, at_s, (&failure.id, held_s), until_s)?;
                    }
                }
                Deed::Known => {}
            }
        }
        for caught in self.jail.caught() {
            *banned += 1;
            writer.say(&name, at_s, (Word::Ban, &caught.id), Some(caught.until_s))?;
        }
        Ok(())
    }
}

/// Writes what happens, as fail2ban's log has it.
struct Writer<'o> {
    zone: Zone,
    json: bool,
    /// By what somebody is spared.
    by: &'static str,
    out: &'o mut dyn Write,
}

impl Writer<'_> {
    /// Somebody who has been banned for so long fails on, and is held until then.
    fn held(
        &mut self,
        jail: &str,
        at_s: i64,
        (id, held_s): (&Id, i64),
        until_s: Option<i64>,
    ) -> io::Result<()> {
        if self.json {
            let object = json!({ "jail": jail, "deed": "already banned", "time": at_s, "id": id.to_string(), "until": until_s });
            return writeln!(self.out, "{object}");
        }
        let level = if held_s < LATE_S { "NOTICE" } else { "WARNING" };
        let event = BanEvent::Other(format!("[{jail}] {id} already banned").into());
        self.line(at_s, ("fail2ban.actions", level), event)
    }

    fn line(&mut self, at_s: i64, (logger, level): (&str, &str), event: BanEvent<'_>) -> io::Result<()> {
        let Some(time) = ban_time(&self.zone, at_s.saturating_mul(1_000_000)) else { return Ok(()) };
        let line =
            BanLine { time, logger: logger.into(), pid: std::process::id(), level: level.into(), event };
        writeln!(self.out, "{line}")
    }

    fn say(
        &mut self,
        jail: &str,
        at_s: i64,
        (deed, id): (Word, &Id),
        until_s: Option<Option<i64>>,
    ) -> io::Result<()> {
        let id = id.to_string();
        if self.json {
            let mut object = json!({ "jail": jail, "deed": deed.as_str(), "time": at_s, "id": id });
            if let (Some(until_s), Some(object)) = (until_s, object.as_object_mut()) {
                object.insert("until".to_owned(), json!(until_s));
            }
            return writeln!(self.out, "{object}");
        }
        let said = match deed {
            Word::Found | Word::Ignore => ("fail2ban.filter", "INFO"),
            _ => ("fail2ban.actions", "NOTICE"),
        };
        let more = match deed {
            Word::Found => self
                .zone
                .civil(at_s)
                .map_or_else(String::new, |civil| format!(" - {}", civil.strftime("%Y-%m-%d %H:%M:%S"))),
            Word::Ignore => format!(" by {}", self.by),
            _ => String::new(),
        };
        let ticket = Ticket { jail: jail.into(), deed, id: id.into(), more: more.into() };
        self.line(at_s, said, BanEvent::Ticket(ticket))
    }
}
