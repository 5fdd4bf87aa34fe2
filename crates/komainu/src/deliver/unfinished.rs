//! What was being appended to a mailbox file when the process was killed, or the power failed.
//!
//! Before a byte of a message goes into a mailbox file, a note says durably which file it is, how long it is and what the
//! message begins with. Done or taken back, the note is struck out. One that is still there when the process's own file of
//! notes is nobody's any more tells the next delivery to that mailbox what to cut off: half a message stays in no mailbox,
//! and none is glued to it. Nothing is cut that isn't surely the message's: a whole message stays, and so does whatever
//! another program has changed or appended since (docs/internals/queue-states.md).
//!
//! The files of notes are the helper's own, or the server's without one; others' are not believed.

use ring::digest::{SHA256, digest};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

/// What a file of notes is called, with a number behind it.
const NAME: &str = "appending-";
/// Processes that are at work at once, at most: a helper whose server has gone may be about its last deliveries.
const FILES_MAX: usize = 8;
/// A note's place in the file.
const SLOT_BYTES: usize = 8_192;
/// Room for so many is there from the start, so that a note doesn't make the file longer.
const SLOTS_MIN: u64 = 16;
/// Notes in one file, at most.
const SLOTS_MAX: u64 = 1_024;
/// So much of a message's beginning is noted.
const HEAD_BYTES_MAX: usize = 1_024;
const DIGEST_BYTES: usize = 32;
/// How much of a mailbox is looked at at once, and what two looks share: more than a line in front of a message.
const PIECE_BYTES: usize = 64 * 1_024;
const SHARED_BYTES: usize = 1_024;

/// Which file a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Which {
    /// Its device.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
}

/// A lock file that a delivery has made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockFile {
    /// Its inode; 0 where there is none.
    pub inode: u64,
    /// When it was made: seconds and nanoseconds.
    pub made: (i64, i64),
}

impl LockFile {
    /// The one at `path`.
    #[must_use]
    pub fn at(path: &Path) -> Option<LockFile> {
        let metadata = std::fs::symlink_metadata(path).ok()?;
        Some(LockFile { inode: metadata.ino(), made: (metadata.ctime(), metadata.ctime_nsec()) })
    }
}

/// A message that is being appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The mailbox file.
    pub path: PathBuf,
    /// Which file that was.
    pub which: Which,
    /// How long it was.
    pub size: u64,
    /// The message takes at least so many bytes.
    pub floor: u64,
    /// What it begins with.
    pub head: Vec<u8>,
    /// The lock file beside the mailbox.
    pub lock: LockFile,
}

impl Note {
    /// A file's contents in a slot; `None` for a path without end.
    fn encode(&self) -> Option<Vec<u8>> {
        let path = self.path.as_os_str().as_bytes();
        let head = self.head.get(..self.head.len().min(HEAD_BYTES_MAX))?;
        let mut body = Vec::with_capacity(SLOT_BYTES);
        for number in [self.which.device, self.which.inode, self.size, self.floor, self.lock.inode] {
            body.extend_from_slice(&number.to_be_bytes());
        }
        for number in [self.lock.made.0, self.lock.made.1] {
            body.extend_from_slice(&number.to_be_bytes());
        }
        for text in [path, head] {
            body.extend_from_slice(&u32::try_from(text.len()).ok()?.to_be_bytes());
            body.extend_from_slice(text);
        }
        if body.len() + DIGEST_BYTES > SLOT_BYTES {
            return None;
        }
        body.resize(SLOT_BYTES - DIGEST_BYTES, 0);
        Some([digest(&SHA256, &body).as_ref(), &body].concat())
    }

    fn decode(slot: &[u8]) -> Option<Note> {
        let (sum, mut body) = slot.split_at_checked(DIGEST_BYTES)?;
        if slot.len() != SLOT_BYTES || digest(&SHA256, body).as_ref() != sum {
            return None;
        }
        let mut number = || -> Option<[u8; 8]> {
            let (first, rest) = body.split_first_chunk()?;
            body = rest;
            Some(*first)
        };
        let mut unsigned = || number().map(u64::from_be_bytes);
        let which = Which { device: unsigned()?, inode: unsigned()? };
        let (size, floor, inode) = (unsigned()?, unsigned()?, unsigned()?);
        let made = (i64::from_be_bytes(number()?), i64::from_be_bytes(number()?));
        let mut text = || -> Option<Vec<u8>> {
            let (length, rest) = body.split_first_chunk()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (text, rest) = rest.split_at_checked(length)?;
            body = rest;
            Some(text.to_vec())
        };
        let path = PathBuf::from(std::ffi::OsString::from_vec(text()?));
        let head = text()?;
        Some(Note { path, which, size, floor, head, lock: LockFile { inode, made } })
    }
}

/// A note's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    file: usize,
    at: u64,
}

#[derive(Debug, Default)]
struct State {
    /// Of the first file.
    taken: BTreeSet<u64>,
    /// What nobody has looked after yet.
    left: Vec<(Slot, Note)>,
}

/// The notes of this process, and those that were left by processes that are no more.
#[derive(Debug)]
pub struct Notes {
    files: Vec<File>,
    state: Mutex<State>,
}

/// This process's, or why there are none.
static NOTES: OnceLock<Result<Notes, Mutex<Option<String>>>> = OnceLock::new();

/// Opens the notes in the state folder; once, when a process that delivers starts.
pub fn open(state: &Path) {
    let _ = NOTES.get_or_init(|| {
        Notes::open(state).map_err(|error| {
            Mutex::new(Some(format!(
                "{}: no notes of deliveries to mailbox files, half a message may stay after a kill: {error}",
                state.display()
            )))
        })
    });
}

/// This process's; why there are none goes to `warnings` once.
pub fn notes(warnings: &mut Vec<String>) -> Option<&'static Notes> {
    match NOTES.get()? {
        Ok(notes) => Some(notes),
        Err(why) => {
            warnings.extend(why.lock().unwrap_or_else(PoisonError::into_inner).take());
            None
        }
    }
}

/// How often, and how far apart, a file of notes that somebody holds is tried.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// A file of notes, where it is this process's to have.
fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
    let metadata = file.metadata()?;
    let own = rustix::process::geteuid().as_raw();
    if !metadata.is_file() || metadata.nlink() != 1 || metadata.uid() != own || metadata.mode() & 0o077 != 0 {
        let text = format!("{} isn't a file of our own", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    // A process that was just made, and isn't the program yet that it will be, holds what its dead parent held.
    for _ in 0..LOCK_TRIES {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
            locked => return locked.map(|()| file).map_err(io::Error::from),
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

impl Notes {
    /// Takes a file of notes in `state`, and those that nobody has any more.
    ///
    /// # Errors
    /// When there is none to be had.
    pub fn open(state: &Path) -> io::Result<Notes> {
        let (mut files, mut last) = (Vec::new(), io::Error::other("none"));
        for number in 0..FILES_MAX {
            let path = state.join(format!("{NAME}{number}"));
            if !files.is_empty() && !path.exists() {
                break;
            }
            match open_file(&path) {
                Ok(file) => files.push(file),
                Err(error) => last = error,
            }
        }
        let Some(first) = files.first() else { return Err(last) };
        let room = SLOTS_MIN * SLOT_BYTES as u64;
        if first.metadata()?.len() < room {
            let zeros = vec![0; SLOT_BYTES];
            let from = first.metadata()?.len() / SLOT_BYTES as u64;
            for at in from..SLOTS_MIN {
                first.write_all_at(&zeros, at * SLOT_BYTES as u64)?;
            }
            first.sync_all()?;
            File::open(state)?.sync_all()?;
        }
        let mut found = State::default();
        let mut slot = vec![0; SLOT_BYTES];
        for (number, file) in files.iter().enumerate() {
            for at in 0..(file.metadata()?.len() / SLOT_BYTES as u64).min(SLOTS_MAX) {
                file.read_exact_at(&mut slot, at * SLOT_BYTES as u64)?;
                let Some(note) = Note::decode(&slot) else { continue };
                found.left.push((Slot { file: number, at }, note));
                if number == 0 {
                    found.taken.insert(at);
                }
            }
        }
        Ok(Notes { files, state: Mutex::new(found) })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes, durably, that a message is about to be appended. Without room for it, it is appended unnoted.
    ///
    /// # Errors
    /// When the note can't be written: nothing has been appended.
    pub fn begin(&self, note: Note) -> io::Result<Option<Begun<'_>>> {
        let (Some(slot), Some(file)) = (note.encode(), self.files.first()) else { return Ok(None) };
        let at = {
            let mut state = self.state();
            let Some(at) = (0..SLOTS_MAX).find(|at| !state.taken.contains(at)) else { return Ok(None) };
            state.taken.insert(at);
            at
        };
        let begun = Begun { notes: self, slot: Slot { file: 0, at }, note: Some(note) };
        let written = file.write_all_at(&slot, at * SLOT_BYTES as u64).and_then(|()| file.sync_data());
        match written {
            Ok(()) => Ok(Some(begun)),
            Err(error) => {
                begun.done();
                Err(error)
            }
        }
    }

    /// A note is no longer true. Not flushed: one that comes back is compared with the mailbox.
    fn strike(&self, slot: Slot) {
        if let Some(file) = self.files.get(slot.file) {
            let _ = file.write_all_at(&[0; DIGEST_BYTES], slot.at * SLOT_BYTES as u64);
        }
        if slot.file == 0 {
            self.state().taken.remove(&slot.at);
        }
    }

    /// Whether the lock file at `path`'s side was left by a delivery that is no more.
    #[must_use]
    pub fn left_lock(&self, path: &Path, lock: LockFile) -> bool {
        self.state().left.iter().any(|(_, note)| note.path == path && note.lock == lock)
    }

    /// Cuts off what a delivery that is no more has left of its message in `file`, which is locked; `read` opens it for
    /// reading. What there is to say goes to `warnings`.
    pub fn mend(
        &self,
        path: &Path,
        file: &File,
        read: impl Fn() -> io::Result<File>,
        warnings: &mut Vec<String>,
    ) {
        let mut mine = Vec::new();
        self.state().left.retain(|(slot, note)| {
            let is_mine = note.path == path;
            if is_mine {
                mine.push((*slot, note.clone()));
            }
            !is_mine
        });
        for (slot, note) in mine {
            let shown = path.display();
            match mended(&note, file, &read) {
                Ok(None) => {}
                Ok(Some(Mended::Cut(bytes))) => warnings.push(format!(
                    "mailbox {shown}: {bytes} bytes of a message that was being written when the mail system was killed are removed; the message is delivered anew"
                )),
                Ok(Some(Mended::Changed)) => warnings.push(format!(
                    "mailbox {shown}: a message was being written at byte {} when the mail system was killed, and the file has been changed since: half of it may be there",
                    note.size
                )),
                Err(error) => {
                    warnings.push(format!("mailbox {shown}: half a message can't be removed: {error}"));
                    self.state().left.push((slot, note));
                    continue;
                }
            }
            self.strike(slot);
        }
    }
}

/// What was found of a message that was being appended.
#[derive(Debug, PartialEq, Eq)]
enum Mended {
    /// So many bytes, which are gone.
    Cut(u64),
    /// Something else.
    Changed,
}

fn mended(note: &Note, file: &File, read: &dyn Fn() -> io::Result<File>) -> io::Result<Option<Mended>> {
    let metadata = file.metadata()?;
    let is_same =
        |metadata: &std::fs::Metadata| Which { device: metadata.dev(), inode: metadata.ino() } == note.which;
    let Some(came) = metadata.len().checked_sub(note.size).filter(|came| *came > 0) else { return Ok(None) };
    if !is_same(&metadata) {
        return Ok(Some(Mended::Changed));
    }
    let reader = read()?;
    if !is_same(&reader.metadata()?) {
        return Ok(Some(Mended::Changed));
    }
    match look(note, &reader, came)? {
        Found::Whole => Ok(None),
        Found::Other => Ok(Some(Mended::Changed)),
        Found::Half => {
            file.set_len(note.size)?;
            file.sync_all()?;
            Ok(Some(Mended::Cut(came)))
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// The message, to its end.
    Whole,
    /// Its beginning, and nothing else.
    Half,
    /// Something else, or more.
    Other,
}

/// What the `came` bytes behind a note's place are.
fn look(note: &Note, file: &File, came: u64) -> io::Result<Found> {
    let mut at = 0;
    let mut kept: Vec<u8> = Vec::new();
    while at < came {
        let count = usize::try_from(came - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let mut piece = vec![0; count];
        file.read_exact_at(&mut piece, note.size + at)?;
        if at == 0 {
            let shared = note.head.len().min(piece.len());
            if piece.get(..shared) != note.head.get(..shared) {
                return Ok(Found::Other);
            }
        }
        kept.extend_from_slice(&piece);
        // The message's own line is the first one.
        let from = usize::from(at == 0);
        if kept.get(from..).is_some_and(has_message) {
            return Ok(Found::Other);
        }
        kept.drain(..kept.len().saturating_sub(SHARED_BYTES));
        at += count as u64;
    }
    // It has an empty line behind it.
    let is_whole = came >= note.floor && kept.ends_with(b"\n\n");
    Ok(if is_whole { Found::Whole } else { Found::Half })
}

/// Whether a line as in front of a message is there, also glued to another or quoted: `From somebody … 12:34:56 …`.
fn has_message(text: &[u8]) -> bool {
    memchr::memmem::find_iter(text, b"From ").any(|at| {
        let line = text.get(at..).unwrap_or_default();
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let is_time = |some: &[u8]| {
            some.iter().enumerate().all(|(at, byte)| match at {
                2 | 5 => *byte == b':',
                _ => byte.is_ascii_digit(),
            })
        };
        line.windows(8).any(is_time)
    })
}

/// A message that is being appended. Dropped without being done, it is what the next delivery to the mailbox mends.
#[derive(Debug)]
pub struct Begun<'a> {
    notes: &'a Notes,
    slot: Slot,
    note: Option<Note>,
}

impl Begun<'_> {
    /// The message is there to its end, or nothing of it.
    pub fn done(mut self) {
        self.note = None;
        self.notes.strike(self.slot);
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Some(note) = self.note.take() {
            self.notes.state().left.push((self.slot, note));
        }
    }
}

#[cfg(test)]
#[path = "unfinished/tests.rs"]
mod tests;
