//! The spool as the server uses it: begin, write, commit, read, note, replace, remove.
//!
//! Skeleton: the calls are final, their bodies follow.

use crate::{Disk, SpoolError};
use std::sync::Arc;

/// Sizes and delays. The defaults are for a server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// One segment of the log.
    pub segment_bytes: u32,
    /// A body up to this size is kept in memory while it is received, and in the log afterwards.
    pub inline_bytes: u32,
    /// `queue_minfree`: a message is refused when less than this would stay free.
    pub minfree_bytes: u64,
    /// How long an update or removal waits for a commit to share its flush.
    pub linger: std::time::Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { segment_bytes: 8 << 20, inline_bytes: 128 << 10, minfree_bytes: 0, linger: std::time::Duration::from_millis(10) }
    }
}

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Messages queued.
    pub messages: u64,
    /// Segments read.
    pub segments: u64,
    /// Bytes of a torn, never acknowledged tail that were dropped.
    pub torn_bytes: u64,
    /// Unfinished body files that were deleted.
    pub orphans: u64,
    /// One line each about what was damaged and where it was put. Empty on a sound spool.
    pub damage: Vec<String>,
    /// Numbers of messages known to be damaged.
    pub corrupt: Vec<u64>,
}

/// How much is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Messages queued.
    pub messages: u64,
    /// Bytes that queued messages need.
    pub live_bytes: u64,
    /// Bytes that the spool takes on disk.
    pub used_bytes: u64,
}

/// The spool, open for writing. Clones share it.
#[derive(Clone)]
pub struct Spool {}

/// A message under reception. Dropped without `commit`, it leaves nothing.
pub struct Incoming {}

/// A queued message as it is read.
pub struct Message {
    /// Its number.
    pub number: u64,
    /// The envelope of `commit`, or of the last `replace`.
    pub envelope: Vec<u8>,
    /// The notes since then, in order.
    pub notes: Vec<Vec<u8>>,
    /// Its length in bytes.
    pub body_bytes: u64,
}

/// A body being read: `read` until it gives 0. The last `read` checks the whole; an error of kind
/// `InvalidData` means that what was read must not be delivered.
pub struct Body {}

impl Spool {
    /// Locks, recovers, and starts the committer.
    pub fn open(disk: Arc<dyn Disk>, settings: Settings) -> Result<(Spool, Report), SpoolError> {
        let _ = (disk, settings);
        Err(SpoolError::Closed)
    }
    /// Starts a message. `size_bytes` is what the client declared (or 0), for the room check.
    pub fn begin(&self, size_bytes: u64) -> Result<Incoming, SpoolError> {
        let _ = size_bytes;
        Err(SpoolError::Closed)
    }
    /// Makes the message durable, then calls `done`, on the committer's thread: it must be quick and must not
    /// wait for the spool (`move |r| { let _ = oneshot.send(r); }`). Gives the number.
    pub fn commit(&self, incoming: Incoming, envelope: Vec<u8>, done: impl FnOnce(Result<u64, SpoolError>) + Send + 'static) {
        let _ = (incoming, envelope);
        done(Err(SpoolError::Closed));
    }
    /// Replaces envelope and notes.
    pub fn replace(&self, number: u64, envelope: Vec<u8>, done: impl FnOnce(Result<(), SpoolError>) + Send + 'static) {
        let _ = (number, envelope);
        done(Err(SpoolError::Closed));
    }
    /// Adds a note to the envelope (one recipient done, say).
    pub fn note(&self, number: u64, note: Vec<u8>, done: impl FnOnce(Result<(), SpoolError>) + Send + 'static) {
        let _ = (number, note);
        done(Err(SpoolError::Closed));
    }
    /// Forgets the message.
    pub fn remove(&self, number: u64, done: impl FnOnce(Result<(), SpoolError>) + Send + 'static) {
        let _ = number;
        done(Err(SpoolError::Closed));
    }
    /// The numbers of all queued messages, oldest first.
    pub fn numbers(&self) -> Vec<u64> {
        Vec::new()
    }
    /// Envelope and notes, without reading the body.
    pub fn read(&self, number: u64) -> Result<Message, SpoolError> {
        Err(SpoolError::NotFound(number))
    }
    /// The body.
    pub fn body(&self, number: u64) -> Result<Body, SpoolError> {
        Err(SpoolError::NotFound(number))
    }
    /// Free bytes on the spool's file system.
    pub fn free_bytes(&self) -> Result<u64, SpoolError> {
        Err(SpoolError::Closed)
    }
    /// Messages and bytes.
    pub fn usage(&self) -> Usage {
        Usage::default()
    }
    /// Finishes what was asked for, stops the threads, releases the lock. Blocks.
    pub fn close(self) {}
}

impl Incoming {
    /// The message's number: unique, known at once, for the queue id.
    pub fn number(&self) -> u64 {
        0
    }
    /// Appends to the body.
    pub fn write(&mut self, data: &[u8]) -> Result<(), SpoolError> {
        let _ = data;
        Err(SpoolError::Closed)
    }
    /// Bytes written.
    pub fn size(&self) -> u64 {
        0
    }
}

impl std::io::Read for Body {
    fn read(&mut self, _buffer: &mut [u8]) -> std::io::Result<usize> {
        Ok(0)
    }
}

/// A spool looked at without the lock, also while a server runs.
pub struct SpoolReader {}

impl SpoolReader {
    /// Reads the index; changes nothing.
    pub fn open(disk: Arc<dyn Disk>) -> Result<(SpoolReader, Report), SpoolError> {
        let _ = disk;
        Err(SpoolError::Closed)
    }
    /// As [`Spool::numbers`].
    pub fn numbers(&self) -> Vec<u64> {
        Vec::new()
    }
    /// As [`Spool::read`].
    pub fn read(&self, number: u64) -> Result<Message, SpoolError> {
        Err(SpoolError::NotFound(number))
    }
    /// As [`Spool::body`].
    pub fn body(&self, number: u64) -> Result<Body, SpoolError> {
        Err(SpoolError::NotFound(number))
    }
}
