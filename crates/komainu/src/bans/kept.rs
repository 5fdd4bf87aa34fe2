//! What outlives a restart: who is counted and held, and where each log was left.
//!
//! A line of the file is a batch: how far logs were read, and all that followed from that, together. So after a crash
//! neither is ahead of the other: what had not been written is read in the logs again. docs/internals/bans.md.

use super::order::Cause;
use super::own;
use super::tail::Mark;
use ban::filter::Id;
use ban::jail::Known;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use store::lines::LineFile;
use store::{Disk, RealDisk};

/// The file's name in the state folder.
const FILE: &str = "bans";
/// Rows of one line, where all are written.
pub(super) const ROWS_MAX: usize = 1_000;

/// Runs that are remembered: a log holds lines of no more that haven't been read.
const RUNS_MAX: usize = 16;

/// Files that are remembered which have other names than when they were read.
const LEFT_MAX: usize = 1_000;

/// The most that is kept for jails that aren't there.
const KNOWN_MAX: usize = 200_000;

/// What is kept, one of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Row {
    /// A log is read so far.
    Log(String, Mark),
    /// A file that had this name is read so far.
    Left(String, Mark),
    /// The journal is read so far, by a jail.
    Journal(String, String),
    /// Who is counted or held.
    Known(Who),
    /// Nothing is known of somebody any more.
    Gone(String, String),
    /// Failures and bans of a jail since it began.
    Sums(String, u64, u64),
    /// A process whose lines in its own log have been heard without reading it, from this moment on.
    Run(u32, String),
}

/// Somebody whom a jail knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Who {
    pub(super) jail: String,
    pub(super) id: String,
    #[serde(default, rename = "n", skip_serializing_if = "is_none")]
    pub(super) failures: u32,
    #[serde(default, rename = "first", skip_serializing_if = "is_zero")]
    pub(super) first_s: i64,
    #[serde(default, skip_serializing_if = "is_none")]
    pub(super) bans: u32,
    /// Since when, and until when; `None` for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) held: Option<(i64, Option<i64>)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) lines: Vec<Cause>,
}

fn is_none(number: &u32) -> bool {
    *number == 0
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Who {
    pub(super) fn of(jail: &str, known: &Known<'_>, lines: Vec<Cause>) -> Who {
        let (failures, first_s) = if known.failures > 0 { (known.failures, known.first_s) } else { (0, 0) };
        let (jail, id) = (jail.to_owned(), known.id.to_string());
        Who { jail, id, failures, first_s, bans: known.bans, held: known.banned, lines }
    }
}

/// All that was kept.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Past {
    pub(super) logs: HashMap<String, Mark>,
    /// Files by the name under which they were read, the ones left longest ago first.
    left: VecDeque<(String, Mark)>,
    pub(super) journals: HashMap<String, String>,
    pub(super) known: HashMap<(String, String), Who>,
    pub(super) sums: HashMap<String, (u64, u64)>,
    pub(super) runs: VecDeque<(u32, String)>,
}

impl Past {
    /// Takes a line of the file in. One that can't be read is passed over.
    pub(super) fn line(&mut self, line: &[u8]) {
        for row in serde_json::from_slice::<Vec<Row>>(line).unwrap_or_default() {
            match row {
                Row::Log(path, mark) => drop(self.logs.insert(path, mark)),
                Row::Left(path, mark) => self.leave(path, mark),
                Row::Journal(jail, cursor) => drop(self.journals.insert(jail, cursor)),
                Row::Known(who) => drop(self.known.insert((who.jail.clone(), who.id.clone()), who)),
                Row::Gone(jail, id) => drop(self.known.remove(&(jail, id))),
                Row::Sums(jail, failed, banned) => drop(self.sums.insert(jail, (failed, banned))),
                Row::Run(pid, since) => self.run(pid, since),
            }
        }
    }

    /// A file is read so far, and its name is, or will be, another.
    pub(super) fn leave(&mut self, path: String, mark: Mark) {
        self.left.retain(|(_, other)| !other.is_of(&mark));
        self.left.push_back((path, mark));
        if self.left.len() > LEFT_MAX {
            self.left.pop_front();
        }
    }

    /// How far files were read under names that `is_heard` says yes to.
    pub(super) fn places(&self, is_heard: impl Fn(&str) -> bool) -> Vec<Mark> {
        let left = self.left.iter().map(|(path, mark)| (path, mark));
        let all = left.chain(self.logs.iter()).filter(|(path, _)| is_heard(path));
        all.map(|(_, mark)| *mark).collect()
    }

    /// A process begins to hear its own lines.
    pub(super) fn run(&mut self, pid: u32, since: String) {
        self.runs.push_back((pid, since));
        if self.runs.len() > RUNS_MAX {
            self.runs.pop_front();
        }
    }

    /// Whether a line of the own log was said by a process that heard it.
    pub(super) fn has_heard(&self, line: &[u8]) -> bool {
        let is_since = |since: &str| line.get(..since.len()).is_some_and(|stamp| stamp >= since.as_bytes());
        self.runs.iter().any(|(pid, since)| is_since(since) && own::is_of(line, *pid))
    }
}

impl Past {
    /// What was kept of a jail's people, the oldest bans first.
    pub(super) fn take_known(&mut self, jail: &str) -> Vec<Who> {
        let keys: Vec<_> = self.known.keys().filter(|(name, _)| name == jail).cloned().collect();
        let mut taken: Vec<Who> = keys.iter().filter_map(|key| self.known.remove(key)).collect();
        taken.sort_unstable_by(|a, b| (a.held, &a.id).cmp(&(b.held, &b.id)));
        taken
    }

    /// Keeps somebody for a jail that isn't there.
    pub(super) fn add(&mut self, who: Who) {
        if self.known.len() < KNOWN_MAX {
            self.known.insert((who.jail.clone(), who.id.clone()), who);
        }
    }

    /// All of it, for a file that is written anew; not of logs that have gone.
    pub(super) fn rows(&self) -> Vec<Row> {
        let logs = self.logs.iter().filter(|(path, _)| Path::new(path).exists());
        let logs = logs.map(|(path, mark)| Row::Log(path.clone(), *mark));
        let logs = logs.chain(self.left.iter().map(|(path, mark)| Row::Left(path.clone(), *mark)));
        let journals = self.journals.iter().map(|(jail, cursor)| Row::Journal(jail.clone(), cursor.clone()));
        let runs = self.runs.iter().map(|(pid, since)| Row::Run(*pid, since.clone()));
        logs.chain(journals).chain(runs).chain(self.known.values().cloned().map(Row::Known)).collect()
    }
}

/// Whether something was kept in a state folder before.
pub(super) fn is_there(folder: &Path) -> bool {
    std::fs::metadata(folder.join(FILE)).is_ok_and(|metadata| metadata.len() > 0)
}

/// Opens the file of a state folder, and reads it.
///
/// # Errors
/// When it can't be opened, made or read.
pub(super) fn open(folder: &Path) -> std::io::Result<(LineFile, Past)> {
    opened(Arc::new(RealDisk::new(folder)?))
}

pub(super) fn opened(disk: Arc<dyn Disk>) -> std::io::Result<(LineFile, Past)> {
    let mut past = Past::default();
    let file = LineFile::open(disk, FILE, &mut |line| past.line(line))?;
    Ok((file, past))
}

/// A line of the file.
pub(super) fn encoded(rows: &[Row]) -> Vec<u8> {
    // Nothing in them can't be written.
    serde_json::to_vec(rows).unwrap_or_default()
}

/// An address, a network, or whatever else somebody is known by.
#[must_use]
pub(super) fn id_of(text: &str) -> Id {
    match ban::jail::net(text.trim()) {
        Some((address, length)) => ban::filter::network(address.to_canonical(), Some(length)),
        None => too_long(text.trim()).unwrap_or_else(|| Id::Other(text.to_owned())),
    }
}

/// `192.0.2.5/33`: a network with more bits than an address has is that address, as it is to fail2ban.
fn too_long(text: &str) -> Option<Id> {
    let (address, length) = text.split_once('/')?;
    let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let (address, _) = ban::jail::net(address).filter(|_| is_number)?;
    Some(Id::address(address.to_canonical()))
}
