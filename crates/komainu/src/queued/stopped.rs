//! The queue of a stopped server: its spool, read without the lock, changed only while holding it.
//!
//! Root becomes the spool's owner before it changes anything, so that the server can read what it finds later.

use super::shelf::{Found, find, look, set_apart};
use super::{Item, Listed, QueueError, Sink};
use crate::privileged::rights::{self, Account};
use mail::QueueId;
use proto::control::{Outcome, Verb};
use queue::Note;
use std::collections::HashSet;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use store::{RealDisk, Spool, SpoolError, SpoolReader};

/// The spool of a state folder.
pub(crate) struct Stopped {
    path: PathBuf,
    reader: Option<SpoolReader>,
}

impl Stopped {
    /// Looks whether there is a spool that may be read.
    pub(super) fn open(state: &Path) -> Result<Stopped, QueueError> {
        let path = state.join("queue");
        match std::fs::read_dir(&path) {
            Ok(_) => Ok(Stopped { path, reader: None }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(QueueError::Nowhere(state.to_owned()))
            }
            Err(source) => Err(QueueError::Stopped { path: state.to_owned(), source }),
        }
    }

    pub(super) fn not_running(&self) -> QueueError {
        QueueError::NotRunning(self.path.parent().unwrap_or(&self.path).to_owned())
    }

    fn failed(&self, source: SpoolError) -> QueueError {
        QueueError::Spool { path: self.path.clone(), source }
    }

    /// The reader; the spool isn't read before somebody wants something of it.
    fn reader(&mut self) -> Result<&SpoolReader, QueueError> {
        if self.reader.is_none() {
            let disk = RealDisk::held(&self.path);
            let disk = disk.map_err(|source| QueueError::Stopped { path: self.path.clone(), source })?;
            let (reader, _) = match SpoolReader::open(Arc::new(disk)) {
                // Made, and never used.
                Err(SpoolError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    return Err(QueueError::Nowhere(self.path.clone()));
                }
                opened => opened.map_err(|error| self.failed(error))?,
            };
            self.reader = Some(reader);
        }
        self.reader.as_ref().ok_or_else(|| QueueError::Nowhere(self.path.clone()))
    }

    pub(super) fn list(&mut self, ids: &[QueueId], each: Sink<'_>) -> Result<(), QueueError> {
        let reader = self.reader()?;
        let none = HashSet::new();
        if !ids.is_empty() {
            each(Item::Total(ids.len() as u64))?;
            let mut found: Vec<_> = ids.iter().filter_map(|id| find(reader, id, &none)).collect();
            found.sort_by_key(|listed| listed.number);
            return Ok(found.into_iter().map(Item::Message).try_for_each(each)?);
        }
        let numbers = reader.numbers();
        each(Item::Total(numbers.len() as u64))?;
        for number in numbers {
            match look(reader, number, &none) {
                Found::Message(listed) => each(Item::Message(listed))?,
                Found::Unreadable(why) => each(Item::Unreadable(number, why))?,
                Found::Nothing => {}
            }
        }
        Ok(())
    }

    pub(super) fn content(
        &mut self,
        id: &QueueId,
        to: &mut dyn FnMut(&Listed, &[u8]) -> io::Result<()>,
    ) -> Result<Option<Box<Listed>>, QueueError> {
        let path = self.path.clone();
        let reader = self.reader()?;
        let Some(listed) = find(reader, id, &HashSet::new()) else { return Ok(None) };
        let failed = |source| QueueError::Spool { path: path.clone(), source };
        let mut body = reader.body(listed.number).map_err(failed)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match body.read(&mut buffer) {
                Ok(0) => return Ok(Some(listed)),
                Ok(count) => to(&listed, buffer.get(..count).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(failed(SpoolError::Corrupt(listed.number)));
                }
                Err(source) => return Err(QueueError::Stopped { path, source }),
            }
        }
    }

    /// Opens the spool as a server does when it starts, which keeps apart what is damaged in the log.
    pub(super) fn keep_apart(&mut self) -> Result<(), QueueError> {
        self.writer().map(Spool::close)
    }

    /// Opens for writing, with recovery and all.
    fn writer(&mut self) -> Result<Spool, QueueError> {
        self.reader = None;
        if rights::is_root() {
            let owned = owner(&self.path).and_then(|(uid, gid)| {
                let account = Account { name: String::new(), uid, gid };
                if uid == 0 { Ok(()) } else { rights::drop_to(&account) }
            });
            owned.map_err(|source| QueueError::Stopped { path: self.path.clone(), source })?;
        }
        let disk = Arc::new(RealDisk::existing(&self.path));
        let (spool, _) =
            Spool::open(disk, store::spool::Settings::default()).map_err(|error| self.failed(error))?;
        Ok(spool)
    }

    pub(super) fn order(
        &mut self,
        verb: Verb,
        ids: &[QueueId],
        each: &mut dyn FnMut(&QueueId, Outcome),
    ) -> Result<(), QueueError> {
        if verb == Verb::Flush {
            return Err(self.not_running());
        }
        let spool = self.writer()?;
        for some in ids.chunks(proto::control::IDS_MAX) {
            let (sender, answers) = mpsc::channel();
            let begun: Vec<Begun> = some.iter().map(|id| begin(&spool, verb, id, &sender)).collect();
            drop(sender);
            let mut failed: HashSet<u64> = HashSet::new();
            let mut words: Vec<(u64, String)> = Vec::new();
            for (number, outcome) in answers {
                if let Err(error) = outcome {
                    failed.insert(number);
                    words.push((number, SpoolError::to_string(&error)));
                }
            }
            for (id, begun) in some.iter().zip(begun) {
                let outcome = match begun {
                    Begun::Over(outcome) => outcome,
                    Begun::Waits(number) if failed.contains(&number) => {
                        let why = words.iter().find(|(known, _)| *known == number);
                        Outcome::Failed(why.map(|(_, why)| why.clone()).unwrap_or_default())
                    }
                    Begun::Waits(_) => Outcome::Done,
                };
                each(id, outcome);
            }
        }
        spool.close();
        Ok(())
    }
}

/// Whose the spool is: whoever has the state folder can put anything in the spool's place, so what that is called doesn't count.
fn owner(spool: &Path) -> io::Result<(u32, u32)> {
    let state = std::fs::metadata(spool.parent().unwrap_or(spool))?;
    let metadata = std::fs::symlink_metadata(spool)?;
    if !metadata.is_dir() {
        return Err(io::Error::other("no folder; symbolic links are not followed"));
    }
    let whose = if state.uid() == 0 { metadata } else { state };
    Ok((whose.uid(), whose.gid()))
}

/// How far an order is.
enum Begun {
    Over(Outcome),
    /// For the spool to say that it is durable.
    Waits(u64),
}

type Answers = mpsc::Sender<(u64, Result<(), SpoolError>)>;

fn begin(spool: &Spool, verb: Verb, id: &QueueId, answers: &Answers) -> Begun {
    if verb == Verb::SetAside {
        return damaged(spool, id);
    }
    let Some(listed) = find(spool, id, &HashSet::new()) else { return Begun::Over(Outcome::NotFound) };
    let (number, entry) = (listed.number, listed.entry);
    let note = match verb {
        Verb::Hold if entry.hold => return Begun::Over(Outcome::Unchanged),
        Verb::Release if !entry.hold => return Begun::Over(Outcome::Unchanged),
        Verb::Expire if entry.expire => return Begun::Over(Outcome::Unchanged),
        Verb::Hold => Some(Note::Hold(true)),
        Verb::Release => Some(Note::Hold(false)),
        Verb::Requeue => Some(Note::Requeue),
        Verb::Expire => Some(Note::Expire),
        Verb::Delete | Verb::Flush | Verb::SetAside => None,
    };
    let answers = answers.clone();
    let answer = move |outcome| {
        // Whoever asked waits for all answers.
        let _ = answers.send((number, outcome));
    };
    if verb == Verb::Release {
        // The next server tries it at once, as this one would.
        let due = Note::Deferred { tries: entry.tries, next_attempt: entry.arrival };
        spool.note(number, due.encode(), answer.clone());
    }
    match note {
        Some(note) => spool.note(number, note.encode(), answer),
        None => spool.remove(number, answer),
    }
    Begun::Waits(number)
}

fn damaged(spool: &Spool, id: &QueueId) -> Begun {
    Begun::Over(match id.numbers().find_map(|number| set_apart(spool, number)) {
        Some(Ok(_)) => Outcome::Done,
        Some(Err(error)) => Outcome::Failed(error.to_string()),
        None if id.numbers().any(|number| spool.envelope(number).is_ok()) => Outcome::Unchanged,
        None => Outcome::NotFound,
    })
}
