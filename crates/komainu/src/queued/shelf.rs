//! Messages found in a spool by their queue ids, and looked through for damage; the server and the tools do it alike.

use super::Listed;
use mail::QueueId;
use proto::control::State;
use queue::Entry;
use std::collections::HashSet;
use std::io::{self, Read};
use store::{Body, Envelope, Spool, SpoolError, SpoolReader};

/// What messages are read from.
pub(crate) trait Shelf {
    fn envelope(&self, number: u64) -> Result<Envelope, SpoolError>;
    fn body(&self, number: u64) -> Result<Body, SpoolError>;
}

impl Shelf for Spool {
    fn envelope(&self, number: u64) -> Result<Envelope, SpoolError> {
        Spool::envelope(self, number)
    }
    fn body(&self, number: u64) -> Result<Body, SpoolError> {
        Spool::body(self, number)
    }
}

impl Shelf for SpoolReader {
    fn envelope(&self, number: u64) -> Result<Envelope, SpoolError> {
        SpoolReader::envelope(self, number)
    }
    fn body(&self, number: u64) -> Result<Body, SpoolError> {
        SpoolReader::body(self, number)
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
        Err(error) => return Found::Unreadable(error.to_string()),
    };
    match Entry::load(&envelope, &notes) {
        Ok(entry) => Found::Message(Box::new(Listed { number, state: state(number, &entry, active), entry })),
        Err(error) => Found::Unreadable(format!("message {number:X}: {error}")),
    }
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
/// checksums. A disk that gives an error instead of bytes may get better: that is no damage.
///
/// # Errors
/// When the disk can't be read, and `NotFound` where the message has gone.
pub(crate) fn damage(shelf: &impl Shelf, number: u64) -> Result<(u64, Option<String>), SpoolError> {
    let unreadable = match look(shelf, number, &HashSet::new()) {
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
