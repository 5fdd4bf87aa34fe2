//! Messages found in a spool by their queue ids, and looked through for damage; the server and the tools do it alike.

use super::Listed;
use mail::QueueId;
use proto::control::State;
use queue::{Entry, Note};
use std::collections::HashSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use store::{Apart, Body, Envelope, RealDisk, Spool, SpoolError, SpoolReader};

/// What messages are read from.
pub(crate) trait Shelf {
    fn envelope(&self, number: u64) -> Result<Envelope, SpoolError>;
    fn body(&self, number: u64) -> Result<Body, SpoolError>;
    fn glimpse(&self, number: u64) -> Option<Vec<u8>>;
}

impl Shelf for Spool {
    fn envelope(&self, number: u64) -> Result<Envelope, SpoolError> {
        Spool::envelope(self, number)
    }
    fn body(&self, number: u64) -> Result<Body, SpoolError> {
        Spool::body(self, number)
    }
    fn glimpse(&self, number: u64) -> Option<Vec<u8>> {
        Spool::glimpse(self, number)
    }
}

impl Shelf for SpoolReader {
    fn envelope(&self, number: u64) -> Result<Envelope, SpoolError> {
        SpoolReader::envelope(self, number)
    }
    fn body(&self, number: u64) -> Result<Body, SpoolError> {
        SpoolReader::body(self, number)
    }
    fn glimpse(&self, number: u64) -> Option<Vec<u8>> {
        SpoolReader::glimpse(self, number)
    }
}

/// What is on the shelf for one number.
pub(crate) enum Found {
    Message(Box<Listed>),
    /// It is there, and can't be read.
    Unreadable(String),
    Nothing,
}

/// Reads one envelope.
pub(crate) fn look(shelf: &impl Shelf, number: u64, active: &HashSet<u64>) -> Found {
    let (envelope, notes) = match shelf.envelope(number) {
        Ok(found) => found,
        Err(SpoolError::NotFound(_)) => return Found::Nothing,
        Err(error) => return Found::Unreadable(format!("{error}{}", seen_of(shelf, number))),
    };
    match Entry::load(&envelope, &notes) {
        Ok(entry) => Found::Message(Box::new(Listed { number, state: state(number, &entry, active), entry })),
        Err(error) => Found::Unreadable(format!("message {number:X}: {error}{}", seen_of(shelf, number))),
    }
}

/// What can still be made out of a damaged message, for people.
fn seen_of(shelf: &impl Shelf, number: u64) -> String {
    let seen = shelf.glimpse(number).and_then(|envelope| Entry::glimpse(&envelope));
    seen.map_or_else(String::new, |entry| format!("; it seems to be {}", description(&entry)))
}

/// A message in few words: its id, from whom, to whom.
pub(crate) fn description(entry: &Entry) -> String {
    const SHOWN: usize = 5;
    let mut text = format!("{} from=<{}>", entry.id, entry.sender.to_external());
    for recipient in entry.recipients.iter().take(SHOWN) {
        text.push_str(&format!(", to=<{}>", recipient.address.to_external()));
    }
    if let Some(more) = entry.recipients.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// Messages whose envelopes can be made out in bytes that are no records any more, and that aren't on the shelf.
pub(crate) fn lost_in(shelf: &impl Shelf, bytes: &[u8]) -> Vec<Entry> {
    let seen = store::envelopes_in(bytes).filter_map(Entry::glimpse);
    let is_there = |entry: &Entry| entry.id.numbers().any(|number| shelf.envelope(number).is_ok());
    seen.filter(|entry| !is_there(entry)).collect()
}

/// A file in the spool's `corrupt/`, and the message that can be made out in it.
pub(crate) struct Kept {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) entry: Option<Entry>,
}

/// What was set apart in a state folder's spool, as far as the caller may see it. Whole segments are left out: what is
/// damaged in them has files of its own.
pub(crate) fn kept_apart(state: &Path) -> Vec<Kept> {
    let spool = state.join("queue");
    let files =
        RealDisk::held(&spool).ok().and_then(|disk| store::kept_apart(&disk).ok()).unwrap_or_default();
    let (mut all, mut seen) = (Vec::new(), HashSet::new());
    for Apart { path, size, head } in files {
        let name = path.rsplit('/').next().unwrap_or_default();
        if name.starts_with("segment-") || name.starts_with("slot-") || name.ends_with("-body") {
            continue;
        }
        let mut entries: Vec<Entry> = store::envelopes_in(&head).filter_map(Entry::glimpse).collect();
        let is_blank = entries.is_empty();
        entries.retain(|entry| seen.insert(entry.id.clone()));
        let path = spool.join(&path);
        if is_blank {
            all.push(Kept { path: path.clone(), size, entry: None });
        }
        all.extend(entries.into_iter().map(|entry| Kept { path: path.clone(), size, entry: Some(entry) }));
    }
    all
}

/// What is wrong with a damaged message.
pub(crate) struct Harm {
    pub(crate) why: String,
    /// Its envelope, where that is sound: only the content is damaged.
    pub(crate) listed: Option<Box<Listed>>,
}

/// What is wrong with a message; `None` where nothing is, or the disk gives no answer.
pub(crate) fn harm(shelf: &impl Shelf, number: u64) -> Option<Harm> {
    let why = damage(shelf, number).ok()?.1?;
    let listed = match look(shelf, number, &HashSet::new()) {
        Found::Message(listed) => Some(listed),
        Found::Unreadable(_) | Found::Nothing => None,
    };
    Some(Harm { why, listed })
}

/// Copies what is damaged of a message to the spool's `corrupt/`, and says what it was and where it is: as
/// `QueueHandle::set_apart`, where no server runs. What is left is the next server's, which tells its sender. Blocks.
pub(crate) fn set_apart(spool: &Spool, number: u64) -> Option<Result<Vec<String>, SpoolError>> {
    let harm = harm(spool, number)?;
    let (sender, answer) = std::sync::mpsc::channel();
    // Nobody has gone: the receiver waits.
    let said = match &harm.listed {
        None => {
            spool.set_aside(number, move |moved| drop(sender.send(moved)));
            None
        }
        Some(listed) => {
            let said = to_be_told(&listed.entry);
            match spool.copy_aside(number) {
                Ok(line) => spool.note(number, Note::Spoilt.encode(), move |noted| {
                    let _ = sender.send(noted.map(|()| line));
                }),
                Err(error) => drop(sender.send(Err(error))),
            }
            Some(said)
        }
    };
    let kept = answer.recv().unwrap_or(Err(SpoolError::Closed));
    Some(kept.map(|line| [harm.why, line].into_iter().chain(said).collect()))
}

/// What is said of a damaged message that can't be set apart now.
pub(crate) fn left(number: u64, error: &SpoolError) -> Vec<String> {
    vec![format!("message {number:X} is damaged and left where it is: {error}")]
}

/// Who hears of a message whose content is damaged.
pub(crate) fn to_be_told(entry: &Entry) -> String {
    let told = match (entry.hold, entry.sender.is_null()) {
        (true, _) => "nobody is told of it while it is on hold",
        (false, true) => "it has no sender who could be told",
        (false, false) => "its sender is told",
    };
    format!("{}: {told}", description(entry))
}

fn state(number: u64, entry: &Entry, active: &HashSet<u64>) -> State {
    match () {
        () if entry.hold => State::Hold,
        () if active.contains(&number) => State::Active,
        () if entry.tries > 0 => State::Deferred,
        () => State::Incoming,
    }
}

/// The message of this id.
pub(crate) fn find(shelf: &impl Shelf, id: &QueueId, active: &HashSet<u64>) -> Option<Box<Listed>> {
    id.numbers().find_map(|number| match look(shelf, number, active) {
        Found::Message(listed) if listed.entry.id == *id => Some(listed),
        _ => None,
    })
}

/// What is wrong with a message, if anything, and the bytes of its content: everything is read once, against its
/// checksums. A disk that gives an error instead of bytes may get better: that is no damage. Nor is it where nobody is to
/// get the content any more.
///
/// # Errors
/// When the disk can't be read, and `NotFound` where the message has gone.
pub(crate) fn damage(shelf: &impl Shelf, number: u64) -> Result<(u64, Option<String>), SpoolError> {
    let unreadable = match look(shelf, number, &HashSet::new()) {
        Found::Message(listed) if !listed.entry.is_open() => return Ok((listed.entry.size, None)),
        Found::Message(_) => None,
        Found::Unreadable(why) => Some(why),
        Found::Nothing => return Err(SpoolError::NotFound(number)),
    };
    if let Some(why) = unreadable {
        // The same call says which kind of error it was.
        return match shelf.envelope(number) {
            Ok(_) | Err(SpoolError::Corrupt(_)) => Ok((0, Some(why))),
            Err(error) => Err(error),
        };
    }
    let mut body = match shelf.body(number) {
        Ok(body) => body,
        Err(error @ SpoolError::Corrupt(_)) => return Ok((0, Some(error.to_string()))),
        Err(error) => return Err(error),
    };
    let size = body.size();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match body.read(&mut buffer) {
            Ok(0) => return Ok((size, None)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Ok((size, Some(format!("message {number:X}: {error}"))));
            }
            Err(error) => {
                let (what, path) = ("read", format!("body/{number:X}"));
                return Err(SpoolError::Io { what, path, source: std::sync::Arc::new(error) });
            }
        }
    }
}
