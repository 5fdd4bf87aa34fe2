//! The spool as the server uses it: begin, write, commit, read, note, replace, remove.
//!
//! A [`Spool`] is a handle on two threads (the committer, and one that flushes large bodies) and an index
//! that all share. Its calls don't block on the disk, except those that read, and writes of a large body.
//! It doesn't decide what is delivered when, nor what an envelope holds.

use crate::committer::{Committer, Done, Request, Urgency};
use crate::compact::BodyFile;
use crate::disk::Disk;
use crate::error::SpoolError;
use crate::incoming::{Incoming, Stored};
use crate::index::Digest;
use crate::log::{Log, Op, OpBody, OpKind};
use crate::messages::Brief;
use crate::read::{Body, Envelope, Library, Message, lock};
use crate::record::encode_meta;
use crate::recover::{Purpose, Report, next_number, prepare, read_spool};
use crate::slots::NewSlot;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Sizes and delays. The defaults are for a server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// One segment of the log. A record, that is envelope and inline body, takes at most a quarter.
    pub segment_bytes: u32,
    /// A body up to this size is kept in memory while it is received, and in the log afterwards. At most an
    /// eighth of a segment.
    pub inline_bytes: u32,
    /// `queue_minfree`: `begin` says `Full` when less than this would stay free.
    pub minfree_bytes: u64,
    /// How long a note, envelope or removal waits for a commit to share its flush.
    pub linger: Duration,
    /// What is kept at hand of each message.
    pub digest: Digest,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            segment_bytes: 8 << 20,
            inline_bytes: 128 << 10,
            minfree_bytes: 0,
            linger: Duration::from_millis(10),
            digest: Digest::default(),
        }
    }
}

/// How much is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Messages queued.
    pub messages: u64,
    /// Bytes that queued messages need.
    pub live_bytes: u64,
    /// Segments of the log that can't be reused yet.
    pub segments: u64,
}

/// The spool, open for writing. Clones share it; the last one that goes closes it.
#[derive(Clone)]
pub struct Spool {
    library: Library,
    numbers: Arc<AtomicU64>,
    settings: Settings,
    committer: Arc<Committer>,
}

impl Spool {
    /// Locks, recovers, and starts the threads. The directory must exist ([`crate::RealDisk::new`] makes it).
    ///
    /// # Errors
    /// `InUse` where another process has it; `Full` where not even one segment can be made; I/O errors.
    pub fn open(disk: Arc<dyn Disk>, settings: Settings) -> Result<(Spool, Report), SpoolError> {
        let held = prepare(disk.as_ref())?;
        let segment_bytes =
            usize::try_from(settings.segment_bytes.max(16 << 10)).unwrap_or(usize::MAX) & !4095;
        let (log, report) =
            read_spool(disk, Purpose::Writing(segment_bytes), settings.digest)?.into_log(segment_bytes)?;
        let library = log.library.clone();
        let numbers = Arc::clone(&log.numbers);
        let committer = Committer::start(log, settings.linger, held)?;
        Ok((Spool { library, numbers, settings, committer: Arc::new(committer) }, report))
    }

    /// Starts a message. `size_bytes` is what the client declared (or 0), for the room check.
    ///
    /// # Errors
    /// `Full` where less than `minfree_bytes` would stay free: 452 4.3.1.
    pub fn begin(&self, size_bytes: u64) -> Result<Incoming, SpoolError> {
        let Settings { minfree_bytes, inline_bytes, segment_bytes, .. } = self.settings;
        if minfree_bytes > 0 && self.free_bytes()? < minfree_bytes.saturating_add(size_bytes) {
            return Err(SpoolError::Full);
        }
        let disk = Arc::clone(&self.library.disk);
        Ok(Incoming::new(disk, next_number(&self.numbers), inline_bytes.min(segment_bytes / 8)))
    }

    /// Makes the message durable, then calls `done` with its number, on a thread of the spool: it must be
    /// quick and must not wait for the spool (`move |result| { let _ = sender.send(result); }`).
    pub fn commit(
        &self,
        mut incoming: Incoming,
        envelope: Vec<u8>,
        done: impl FnOnce(Result<u64, SpoolError>) + Send + 'static,
    ) {
        let number = incoming.number();
        let done = Done::new(move |result: Result<(), SpoolError>| done(result.map(|()| number)));
        let stored = match incoming.finish() {
            Ok(stored) => stored,
            Err(error) => return done.call(Err(error)),
        };
        incoming.hand_over();
        let (body, file) = match stored {
            Stored::Inline { bytes, crc } => (OpBody::Inline { bytes, crc }, None),
            Stored::File { file, size, crc } => (OpBody::File { size, crc }, Some(file)),
        };
        let op = Op::new(number, OpKind::Insert(body), encode_meta(&envelope, &[]));
        self.committer.ask(Request { op, done }, file, Urgency::Now);
    }

    /// Replaces envelope and notes.
    pub fn replace(
        &self,
        number: u64,
        envelope: Vec<u8>,
        done: impl FnOnce(Result<(), SpoolError>) + Send + 'static,
    ) {
        self.change(Op::new(number, OpKind::Envelope, envelope), done);
    }

    /// Adds a note to the envelope (one recipient done, say). Notes must bear being seen twice. Where they
    /// have become many, fold them in with [`Spool::replace`]: `TooLarge` comes at the latest when they and
    /// the envelope reach the size of a record.
    pub fn note(
        &self,
        number: u64,
        note: Vec<u8>,
        done: impl FnOnce(Result<(), SpoolError>) + Send + 'static,
    ) {
        self.change(Op::new(number, OpKind::Note, note), done);
    }

    /// Forgets the message.
    pub fn remove(&self, number: u64, done: impl FnOnce(Result<(), SpoolError>) + Send + 'static) {
        self.change(Op::new(number, OpKind::Remove, Vec::new()), done);
    }

    /// Moves a damaged message to `corrupt/`: copied there durably, then removed. Blocks for the copy; `done` gets
    /// a line that says where it is.
    pub fn set_aside(&self, number: u64, done: impl FnOnce(Result<String, SpoolError>) + Send + 'static) {
        match self.library.put_aside(number, BodyFile::Moved) {
            Ok(line) => self.remove(number, move |removed| done(removed.map(|()| line))),
            Err(error) => done(Err(error)),
        }
    }

    /// Copies a damaged message to `corrupt/`, durably, and leaves it where it is. Blocks; gives a line that says where
    /// the copy is.
    ///
    /// # Errors
    /// `NotFound`, or what the disk says.
    pub fn copy_aside(&self, number: u64) -> Result<String, SpoolError> {
        self.library.put_aside(number, BodyFile::Copied)
    }

    /// Whether somebody has found the body of this message damaged or gone since this was asked last.
    #[must_use]
    pub fn take_doubt(&self, number: u64) -> bool {
        self.library.doubts.take(number)
    }

    fn change(&self, op: Op, done: impl FnOnce(Result<(), SpoolError>) + Send + 'static) {
        self.committer.ask(Request { op, done: Done::new(done) }, None, Urgency::Soon);
    }

    /// The numbers of all queued messages, oldest first.
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        lock(&self.library.index).messages.numbers().collect()
    }

    /// What is at hand of each queued message, oldest first: nothing is read from the disk.
    #[must_use]
    pub fn briefs(&self) -> Vec<(u64, Brief)> {
        lock(&self.library.index).messages.briefs().collect()
    }

    /// Envelope and notes, without the body.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`, or what the disk says.
    pub fn read(&self, number: u64) -> Result<Message, SpoolError> {
        self.library.message(number)
    }

    /// The newest envelope and the notes since then: cheaper than [`Spool::read`] where it was written anew, and silent
    /// about the record that the message came in.
    ///
    /// # Errors
    /// As [`Spool::read`].
    pub fn envelope(&self, number: u64) -> Result<Envelope, SpoolError> {
        self.library.envelope(number)
    }

    /// The body.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`, or what the disk says.
    pub fn body(&self, number: u64) -> Result<Body, SpoolError> {
        self.library.body(number)
    }

    /// What can be seen of a damaged message's envelope: bytes for which nobody vouches.
    #[must_use]
    pub fn glimpse(&self, number: u64) -> Option<Vec<u8>> {
        self.library.glimpse(number)
    }

    /// Free bytes on the spool's file system.
    ///
    /// # Errors
    /// What the system says.
    pub fn free_bytes(&self) -> Result<u64, SpoolError> {
        self.library.disk.free_bytes().map_err(|error| SpoolError::io("measure", "spool directory", error))
    }

    /// Messages and bytes.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let index = lock(&self.library.index);
        Usage {
            messages: index.messages.len() as u64,
            live_bytes: index.live_bytes() + index.file_bytes(),
            segments: index.segments.len() as u64,
        }
    }

    /// What was found damaged and set aside since the spool was opened; taken once.
    #[must_use]
    pub fn take_damage(&self) -> Vec<String> {
        self.committer.take_damage()
    }

    /// Finishes what was asked for, stops the threads, releases the lock. Blocks. Other clones' calls are
    /// answered with `Closed` from now on.
    pub fn close(self) {
        self.committer.close();
    }
}

/// A spool looked at without the lock, also while a server runs. What is removed meanwhile gives `NotFound`
/// or `Corrupt`; open it again for a newer view.
pub struct SpoolReader {
    library: Library,
}

impl SpoolReader {
    /// Reads the index; changes nothing.
    ///
    /// # Errors
    /// Where there is no spool, or the disk can't be read.
    pub fn open(disk: Arc<dyn Disk>) -> Result<(SpoolReader, Report), SpoolError> {
        let recovered = read_spool(disk, Purpose::Reading, Digest::default())?;
        Ok((SpoolReader { library: recovered.library }, recovered.report))
    }

    /// As [`Spool::numbers`].
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        lock(&self.library.index).messages.numbers().collect()
    }

    /// As [`Spool::read`].
    ///
    /// # Errors
    /// As [`Spool::read`].
    pub fn read(&self, number: u64) -> Result<Message, SpoolError> {
        self.library.message(number)
    }

    /// As [`Spool::envelope`].
    ///
    /// # Errors
    /// As [`Spool::read`].
    pub fn envelope(&self, number: u64) -> Result<Envelope, SpoolError> {
        self.library.envelope(number)
    }

    /// As [`Spool::body`].
    ///
    /// # Errors
    /// As [`Spool::body`].
    pub fn body(&self, number: u64) -> Result<Body, SpoolError> {
        self.library.body(number)
    }

    /// As [`Spool::glimpse`].
    #[must_use]
    pub fn glimpse(&self, number: u64) -> Option<Vec<u8>> {
        self.library.glimpse(number)
    }
}

/// The same calls without threads, one step at a time, for the simulator: a batch is what the committer would
/// have found waiting.
pub struct SteppedSpool {
    log: Log,
    settings: Settings,
    /// What a thread would be making.
    new_slot: Option<NewSlot>,
    damage: Vec<String>,
    _held: Box<dyn std::any::Any + Send + Sync>,
}

/// What [`SteppedSpool::step`] is asked for.
pub enum Step {
    /// As [`Spool::commit`].
    Commit(Incoming, Vec<u8>),
    /// As [`Spool::replace`].
    Replace(u64, Vec<u8>),
    /// As [`Spool::note`].
    Note(u64, Vec<u8>),
    /// As [`Spool::remove`].
    Remove(u64),
}

impl SteppedSpool {
    /// As [`Spool::open`].
    ///
    /// # Errors
    /// As [`Spool::open`].
    pub fn open(disk: Arc<dyn Disk>, settings: Settings) -> Result<(SteppedSpool, Report), SpoolError> {
        let held = prepare(disk.as_ref())?;
        let segment_bytes = usize::try_from(settings.segment_bytes).unwrap_or(usize::MAX) & !4095;
        let (log, report) =
            read_spool(disk, Purpose::Writing(segment_bytes), settings.digest)?.into_log(segment_bytes)?;
        Ok((SteppedSpool { log, settings, new_slot: None, damage: Vec::new(), _held: held }, report))
    }

    /// As [`Spool::begin`].
    #[must_use]
    pub fn begin(&self) -> Incoming {
        let disk = Arc::clone(&self.log.library.disk);
        Incoming::new(disk, next_number(&self.log.numbers), self.settings.inline_bytes)
    }

    /// One batch; the results are in the order of the steps.
    pub fn step(&mut self, steps: Vec<Step>) -> Vec<Result<(), SpoolError>> {
        let mut results: Vec<Option<Result<(), SpoolError>>> = Vec::new();
        let mut ops = Vec::new();
        for step in steps {
            let op = match step {
                Step::Commit(incoming, envelope) => self.settle(incoming, &envelope),
                Step::Replace(number, envelope) => Ok(Op::new(number, OpKind::Envelope, envelope)),
                Step::Note(number, note) => Ok(Op::new(number, OpKind::Note, note)),
                Step::Remove(number) => Ok(Op::new(number, OpKind::Remove, Vec::new())),
            };
            results.push(op.as_ref().err().cloned().map(Err));
            ops.extend(op);
        }
        self.make_slot();
        self.log.urgent_maintenance(&mut self.damage);
        let mut done = self.log.commit(&ops).into_iter();
        self.log.keep_up(&ops, &mut self.damage);
        self.new_slot = self.log.wanted_slot();
        let fill = |result: Option<Result<(), SpoolError>>| {
            result.or_else(|| done.next()).unwrap_or(Err(SpoolError::Closed))
        };
        results.into_iter().map(fill).collect()
    }

    fn settle(&self, mut incoming: Incoming, envelope: &[u8]) -> Result<Op, SpoolError> {
        let number = incoming.number();
        let body = match incoming.finish()? {
            Stored::Inline { bytes, crc } => OpBody::Inline { bytes, crc },
            Stored::File { file, size, crc } => {
                let settled = Log::settle_bodies(self.log.library.disk.as_ref(), &[(number, file)]);
                settled.into_iter().collect::<Result<Vec<()>, SpoolError>>()?;
                incoming.hand_over();
                OpBody::File { size, crc }
            }
        };
        Ok(Op::new(number, OpKind::Insert(body), encode_meta(envelope, &[])))
    }

    fn make_slot(&mut self) {
        if let Some(new_slot) = self.new_slot.take() {
            new_slot.make();
        }
        self.log.take_prepared();
    }

    /// Housekeeping as in idle moments, until there is nothing to be done.
    pub fn idle(&mut self) {
        self.make_slot();
        while self.log.maintain(64 << 10, &mut self.damage) {}
        self.log.ensure_reserve();
        self.log.vouch();
    }

    /// As [`Spool::numbers`].
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        lock(&self.log.library.index).messages.numbers().collect()
    }

    /// As [`Spool::briefs`].
    #[must_use]
    pub fn briefs(&self) -> Vec<(u64, Brief)> {
        lock(&self.log.library.index).messages.briefs().collect()
    }

    /// As [`Spool::read`].
    ///
    /// # Errors
    /// As [`Spool::read`].
    pub fn read(&self, number: u64) -> Result<Message, SpoolError> {
        self.log.library.message(number)
    }

    /// As [`Spool::envelope`].
    ///
    /// # Errors
    /// As [`Spool::read`].
    pub fn envelope(&self, number: u64) -> Result<Envelope, SpoolError> {
        self.log.library.envelope(number)
    }

    /// As [`Spool::body`].
    ///
    /// # Errors
    /// As [`Spool::body`].
    pub fn body(&self, number: u64) -> Result<Body, SpoolError> {
        self.log.library.body(number)
    }

    /// Bytes that queued messages need.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        let index = lock(&self.log.library.index);
        index.live_bytes() + index.file_bytes()
    }

    /// What was set aside since the spool was opened.
    #[must_use]
    pub fn damage(&self) -> &[String] {
        &self.damage
    }
}
