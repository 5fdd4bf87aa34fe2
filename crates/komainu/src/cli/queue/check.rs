//! `komainu queue check`: every queued byte read against its checksum, from the disk, beside the server.

use super::list::plural;
use super::progress::Progress;
use super::{Failed, Format, Where, said};
use crate::queued::shelf::{Found, damage, description, look, lost_in};
use crate::queued::{Item, Listed, Queue, QueueError};
use clap::Args;
use mail::{QueueId, Wall};
use proto::control::{Cause, Outcome, Verb};
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use store::{RealDisk, SpoolError, SpoolReader};

/// Read the whole queue against its checksums, say what is damaged, and set that apart.
///
/// What is damaged goes into the folder `corrupt` of the spool, where a person may look at it. A damaged message is no
/// longer tried: where only its content is damaged, its sender gets a bounce that says so. Nothing is deleted. Only root and the account that the server runs as may do this, for it reads the spool
/// itself. Exit code 1 when something is damaged.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Only look: leave damaged messages where they are.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Where,
    /// How the outcome is shown.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What was found.
#[derive(Default)]
struct Checked {
    messages: u64,
    bytes: u64,
    /// Places of the log, in words.
    log: Vec<String>,
    /// Damaged messages.
    damaged: BTreeMap<u64, Damaged>,
    /// Those that are only perhaps.
    asked: BTreeMap<u64, Damaged>,
}

struct Damaged {
    id: QueueId,
    why: String,
    set_aside: bool,
    sender: Sender,
}

/// Whether a damaged message's sender hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    /// Nobody can say for sure who that is.
    Unknown,
    /// A bounce has none.
    None,
    /// When somebody releases the message.
    Held,
    /// By the server, as soon as it can.
    Told,
}

impl Sender {
    fn of(listed: &Listed) -> Sender {
        match &listed.entry {
            entry if entry.hold => Sender::Held,
            entry if entry.sender.is_null() => Sender::None,
            _ => Sender::Told,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Sender::Unknown => "unknown",
            Sender::None => "none",
            Sender::Held => "held",
            Sender::Told => "told",
        }
    }

    const fn text(self, running: bool) -> &'static str {
        match (self, running) {
            (Sender::Unknown, _) => "moved to the spool's corrupt folder",
            (Sender::None, _) => "copied to the spool's corrupt folder; it has no sender who could be told",
            (Sender::Held, _) => {
                "copied to the spool's corrupt folder; on hold: its sender is told when it is released"
            }
            (Sender::Told, true) => "copied to the spool's corrupt folder; its sender is told",
            (Sender::Told, false) => {
                "copied to the spool's corrupt folder; its sender is told when the server runs"
            }
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failed> {
    let state = arguments.place.folder();
    let path = state.join("queue");
    // Who may read the spool may do this.
    let mut queue = arguments.place.open()?;
    let running = queue.is_running();
    let reader = |path: &Path| {
        let disk = RealDisk::held(path).map_err(|error| SpoolError::Io {
            what: "open",
            path: path.display().to_string(),
            source: Arc::new(error),
        });
        let opened = disk.and_then(|disk| SpoolReader::open(Arc::new(disk)));
        opened.map_err(|source| Failed::Queue(refused(path, source, running)))
    };
    let (spool, report) = reader(&path)?;
    let mut checked = Checked { log: report.damage, ..Checked::default() };
    let mut progress = Progress::new("checked");
    let numbers = spool.numbers();
    let seen: HashSet<u64> = numbers.iter().copied().collect();
    progress.expect(numbers.len() as u64);
    let mut doubtful = report.corrupt;
    for number in numbers {
        progress.step();
        match damage(&spool, number) {
            Ok((size, None)) => {
                checked.messages += 1;
                checked.bytes = checked.bytes.saturating_add(size);
            }
            Ok((_, Some(_))) | Err(SpoolError::NotFound(_)) => doubtful.push(number),
            Err(source) => return Err(Failed::Queue(refused(&path, source, running))),
        }
    }
    checked.name_lost(&spool, &report.stretches);
    drop(spool);
    if !doubtful.is_empty() {
        // A server may have moved or removed them while we read: a newer look tells.
        let (spool, report) = reader(&path)?;
        if running {
            checked.log = report.damage;
            checked.name_lost(&spool, &report.stretches);
        }
        for number in doubtful.into_iter().chain(report.corrupt) {
            if let Ok((_, Some(why))) = damage(&spool, number) {
                let (id, sender) = match look(&spool, number, &HashSet::new()) {
                    Found::Message(listed) => (listed.entry.id.clone(), Sender::of(&listed)),
                    // Its own name can't be read: any name with its number in it will do.
                    _ => (QueueId::short(Wall(0), number), Sender::Unknown),
                };
                checked.damaged.insert(number, Damaged { id, why, set_aside: false, sender });
            }
        }
    }
    progress.clear();
    if !arguments.dry_run {
        if running && !checked.log.is_empty() {
            ask_server(&mut queue, &seen, &mut checked)?;
        }
        set_aside(&mut queue, &mut checked)?;
        if !checked.log.is_empty() {
            queue.keep_apart()?;
        }
    }
    say(&checked, arguments, running);
    let sound = checked.damaged.is_empty() && checked.log.is_empty();
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Why the spool can't be read, beside a running server or without one.
fn refused(path: &Path, source: SpoolError, running: bool) -> QueueError {
    match source {
        SpoolError::Io { source, .. } if running && source.kind() == std::io::ErrorKind::PermissionDenied => {
            let path = path.display();
            let text =
                format!("only root and the account that the server runs as may check the queue in {path}");
            QueueError::Refused(Cause::Forbidden, text)
        }
        SpoolError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            let source = std::io::Error::from(source.kind());
            QueueError::Stopped { path: path.to_owned(), source }
        }
        source => QueueError::Spool { path: path.to_owned(), source },
    }
}

impl Checked {
    /// Says what can be made out in the log's damaged places.
    fn name_lost(&mut self, spool: &SpoolReader, stretches: &[Vec<u8>]) {
        for entry in stretches.iter().flat_map(|bytes| lost_in(spool, bytes)) {
            self.log.push(format!("what is damaged there seems to be message {}", description(&entry)));
        }
    }
}

/// What a running server still has in its index, and is illegible in the log: the server looks at it by itself, and moves
/// only what is damaged.
fn ask_server(queue: &mut Queue, seen: &HashSet<u64>, checked: &mut Checked) -> Result<(), Failed> {
    queue.list(&[], &mut |item| {
        let (number, found) = match item {
            Item::Total(_) => return Ok(()),
            Item::Message(listed) => {
                let (sender, why) = (Sender::of(&listed), "its record is illegible".to_owned());
                (listed.number, Damaged { id: listed.entry.id, why, set_aside: false, sender })
            }
            Item::Unreadable(number, why) => {
                let (id, sender) = (QueueId::short(Wall(0), number), Sender::Unknown);
                (number, Damaged { id, why, set_aside: false, sender })
            }
        };
        if !seen.contains(&number) {
            checked.asked.insert(number, found);
        }
        Ok(())
    })?;
    Ok(())
}

fn set_aside(queue: &mut Queue, checked: &mut Checked) -> Result<(), Failed> {
    let all = checked.damaged.values().chain(checked.asked.values());
    let ids: Vec<QueueId> = all.map(|damaged| damaged.id.clone()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mut moved = HashSet::new();
    queue.order(Verb::SetAside, &ids, &mut |id, outcome| match outcome {
        Outcome::Done => {
            moved.insert(id.clone());
        }
        Outcome::Failed(why) => eprintln!("komainu: {id}: not set aside: {}", said::plain(&why)),
        Outcome::Unchanged | Outcome::NotFound => {}
    })?;
    checked.asked.retain(|_, asked| moved.contains(&asked.id));
    checked.damaged.append(&mut checked.asked);
    for damaged in checked.damaged.values_mut() {
        damaged.set_aside = moved.contains(&damaged.id);
    }
    Ok(())
}

fn say(checked: &Checked, arguments: &Arguments, running: bool) {
    if arguments.format == Format::Json {
        let damaged = checked.damaged.values().map(|damaged| {
            let Damaged { id, why, set_aside, sender } = damaged;
            json!({ "id": id.as_str(), "why": why, "set_aside": set_aside, "sender": sender.word() })
        });
        let object = json!({
            "sound_messages": checked.messages,
            "sound_bytes": checked.bytes,
            "damaged": damaged.collect::<Vec<_>>(),
            "log": checked.log,
        });
        println!("{object}");
        return;
    }
    for line in &checked.log {
        println!("{}", said::plain(line));
    }
    for damaged in checked.damaged.values() {
        let why = said::plain(&damaged.why);
        match damaged.set_aside {
            true => println!("{}: {why}; {}", damaged.id, damaged.sender.text(running)),
            false => println!("{}: {why}", damaged.id),
        }
    }
    let (messages, bytes) = (plural(checked.messages, "message"), said::bytes(checked.bytes));
    let damaged = match checked.damaged.len() {
        0 if checked.log.is_empty() => "nothing is damaged".to_owned(),
        0 => "the log has damaged places".to_owned(),
        count => format!("{} damaged", plural(count as u64, "message")),
    };
    println!("-- {messages} of {bytes} bytes sound; {damaged}");
}
