//! Compaction: the oldest segment's live messages are written again at the head, so that the log stays
//! under twice what lives in it and no deferred message pins a segment.
//!
//! A step is bounded, so that commits wait little. A message that can't be read is set aside in `corrupt/`
//! and removed, or it would stop the log from ever going round; where its envelope is sound, that moves on, and
//! its owner finds the body gone. A disk that gives an error instead of bytes is believed to get better: nothing
//! is dropped for that.

use crate::disk::Access;
use crate::error::SpoolError;
use crate::log::{Gathered, Log, Op, OpBody, OpKind, RESERVE};
use crate::read::{Contents, Library, Part, body_path, lock};
use crate::record::{BLOCK, Kind, START, encode_meta, round_up};

/// How urgent compaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    None,
    /// When there is time.
    Soon,
    /// Before anything else is appended.
    Now,
}

impl Log {
    /// Whether the log is too large for what lives in it.
    pub(crate) fn need(&self) -> Need {
        let segment = self.segment_bytes as u64;
        let size = segment * (self.sealed.len() as u64 + u64::from(self.active.is_some()));
        let live = lock(&self.library.index).live_bytes();
        if self.sealed.is_empty() {
            Need::None
        } else if size > 2 * live + 6 * segment {
            Need::Now
        } else if size > live + live / 2 + 3 * segment {
            Need::Soon
        } else {
            Need::None
        }
    }

    /// One step of housekeeping, moving about `budget` bytes; whether anything was done.
    pub(crate) fn maintain(&mut self, budget: usize, set_aside: &mut Vec<String>) -> bool {
        set_aside.append(&mut self.set_aside);
        if self.release_freed() {
            return true;
        }
        if self.need() == Need::None {
            return false;
        }
        if self.spares.len() < RESERVE {
            self.ensure_reserve();
        }
        let Some(oldest) = self.sealed.front().map(|sealed| sealed.sequence) else { return false };
        let (ops, progress) = self.gather(oldest, budget, set_aside);
        if !ops.is_empty() && !self.keeps_a_slot(&ops) {
            return !self.is_vain() && self.move_all(oldest, set_aside);
        }
        if ops.is_empty() {
            let before = self.sealed.len();
            self.free_oldest();
            return progress && self.sealed.len() < before;
        }
        let moved = self.commit(&ops).iter().any(Result::is_ok);
        self.free_oldest();
        moved
    }

    /// A little housekeeping with each batch, after it was answered: twice as much as was written. Not on a
    /// full disk, where the spare slots are for removals.
    pub(crate) fn keep_up(&mut self, written: &[Op], set_aside: &mut Vec<String>) {
        if self.spares.len() >= RESERVE && self.need() != Need::None {
            let bytes: usize = written.iter().map(Op::total).sum();
            self.maintain(2 * bytes, set_aside);
        }
    }

    /// What can't wait: done before anything else is appended.
    pub(crate) fn urgent_maintenance(&mut self, set_aside: &mut Vec<String>) {
        while self.need() == Need::Now && self.maintain(1 << 20, set_aside) {}
    }

    /// On a full disk, for new messages: they wait until removals have made room, and take only what is free already or
    /// held by a few. Whether to look again.
    pub(crate) fn release_what_is_free(&mut self, op: &Op) -> bool {
        let mut set_aside = Vec::new();
        for _ in 0..=self.sealed.len() {
            self.free_oldest();
            let Some(oldest) = self.oldest().filter(|_| !self.has_room(op)) else { break };
            let few = lock(&self.library.index).live_in(oldest) <= self.segment_bytes as u64 / 8;
            if !few || !self.move_all(oldest, &mut set_aside) {
                break;
            }
        }
        self.set_aside.append(&mut set_aside);
        self.has_room(op) || (self.gives_back() && self.release_now())
    }

    /// On a full disk, for an update or a removal: goes round the log once at most, until there is room for it. Whether
    /// to look again. Moves come after this, and never here.
    pub(crate) fn go_round(&mut self, op: &Op) -> bool {
        // Thousands of updates may wait for the same room.
        if self.is_vain() {
            return self.gives_back() && self.release_now();
        }
        let mut set_aside = Vec::new();
        for _ in 0..=self.sealed.len() {
            self.free_oldest();
            if self.freed.len() > 1 && !self.release_now() {
                break;
            }
            let Some(oldest) = self.oldest().filter(|_| !self.has_room(op)) else { break };
            if !self.move_all(oldest, &mut set_aside) {
                break;
            }
        }
        self.free_oldest();
        if !self.freed.is_empty() && !self.has_room(op) {
            self.release_now();
        }
        self.set_aside.append(&mut set_aside);
        if !self.has_room(op) {
            self.note_vain();
        }
        true
    }

    fn has_room(&self, op: &Op) -> bool {
        self.fits(op) || self.spares.len() > op.reserve()
    }

    /// The oldest segment: the active one, where there is no other.
    fn oldest(&self) -> Option<u64> {
        let active = self.active.as_ref().filter(|active| active.fresh.is_none());
        let sealed = self.sealed.front().map(|sealed| sealed.sequence);
        sealed.or(active.map(|active| active.sequence))
    }

    /// Whether a round would still find nothing: since the last vain one, hardly anything has gone.
    fn is_vain(&self) -> bool {
        let live = lock(&self.library.index).live_bytes();
        let enough = self.segment_bytes as u64 / 16;
        self.vain_round.is_some_and(|then| live.saturating_add(enough) > then)
    }

    fn note_vain(&mut self) {
        self.vain_round = Some(lock(&self.library.index).live_bytes());
    }

    /// Moves all that lives in the oldest segment, where that gives its slot back.
    fn move_all(&mut self, oldest: u64, set_aside: &mut Vec<String>) -> bool {
        let (mut ops, progress) = self.gather(oldest, self.segment_bytes.saturating_mul(2), set_aside);
        if !progress {
            return false;
        }
        let is_sealed = self.sealed.front().is_some_and(|sealed| sealed.sequence == oldest);
        let moved = if is_sealed && self.keeps_a_slot(&ops) {
            self.commit(&ops).iter().all(Result::is_ok)
        } else {
            // As many as fit behind what is there, the others in another slot.
            let left = if is_sealed { self.left_for_moves().saturating_sub(2 * BLOCK) } else { 0 };
            let rest = ops.split_off(fitting(&ops, left));
            let room = self.end_of_moves().saturating_sub(START + BLOCK);
            fitting(&rest, room) == rest.len()
                && self.commit(&ops).iter().all(Result::is_ok)
                && self.exchange(&rest)
        };
        if !moved {
            self.note_vain();
        }
        self.free_oldest();
        moved
    }

    /// Whether these moves leave the last spare slot alone.
    fn keeps_a_slot(&self, ops: &[Op]) -> bool {
        let bytes: usize = ops.iter().map(Op::total).sum();
        // A batch ends with a whole block.
        self.spares.len() > 1 || bytes.saturating_add(2 * BLOCK) <= self.left_for_moves()
    }

    /// Goes on in the last spare slot, which begins with `moves`: all that lives in the oldest segment, and in no younger
    /// one already; or with nothing, where others are free. First the records, then the header that puts that segment
    /// into the past: so at each instant there is a slot for the next opening, this one or that one.
    pub(crate) fn exchange(&mut self, moves: &[Op]) -> bool {
        let oldest = self.sealed.front().is_some_and(|sealed| !sealed.poisoned) || self.sealed.is_empty();
        let returns = self.gives_back_a_slot() || (!moves.is_empty() && oldest);
        if !returns || self.failures > 1 {
            return false;
        }
        let Ok(slot) = self.take_slot(0) else { return false };
        self.seal_active();
        if !moves.is_empty() {
            self.freed.extend(self.sealed.pop_front());
        }
        let nonce = self.library.disk.random();
        self.begin_segment(slot, nonce, self.next_batch);
        self.buffer.clear();
        let mut part = Gathered::default();
        for (i, op) in moves.iter().enumerate() {
            self.append(i, op, 0, &mut part);
        }
        let mut image = std::mem::take(&mut self.buffer);
        image.resize(round_up(image.len(), BLOCK), 0);
        let Ok(releases) = self.write_beginning(&image) else {
            // What was to be put into the past may live: nothing more is written.
            self.poison();
            self.failures = 2;
            return false;
        };
        self.next_batch += u64::from(!image.is_empty());
        let segment = self.active.as_ref().map_or(0, |active| active.sequence);
        self.fold(part.records, (segment, START), moves);
        self.release(releases);
        true
    }

    /// Whether a new segment's header would release at least the slot that it takes.
    fn gives_back(&mut self) -> bool {
        self.free_oldest();
        let active = self.active.as_ref().filter(|active| active.fresh.is_none());
        let all_gone = self.sealed.is_empty()
            && active.is_some_and(|active| lock(&self.library.index).live_in(active.sequence) == 0);
        !self.freed.is_empty() || all_gone
    }

    /// The same without slots that are deleted, of which others may take the room.
    fn gives_back_a_slot(&mut self) -> bool {
        self.gives_back() && (self.freed.is_empty() || self.freed.iter().any(|freed| !freed.poisoned))
    }

    /// What is to be moved out of a segment; whether anything there could be dealt with.
    fn gather(&self, segment: u64, budget: usize, set_aside: &mut Vec<String>) -> (Vec<Op>, bool) {
        let (mut ops, mut bytes, mut at) = (Vec::new(), 0, 0);
        while bytes < budget {
            let next = lock(&self.library.index).message_from(segment, at);
            let Some((place, number)) = next else { break };
            at = place.saturating_add(1);
            match self.library.contents(number, Part::All) {
                Ok(contents) => {
                    let op = again(number, contents);
                    bytes += op.total();
                    ops.push(op);
                }
                Err(SpoolError::Corrupt(_)) => match self.library.put_aside(number, BodyFile::Moved) {
                    Ok(line) => {
                        set_aside.push(line);
                        let op = self.without_body(number);
                        ops.push(op.unwrap_or_else(|| Op::new(number, OpKind::Remove, Vec::new())));
                    }
                    Err(_) => return (Vec::new(), false),
                },
                Err(_) => return (Vec::new(), false),
            }
        }
        (ops, true)
    }
}

/// How many of these go into so much room.
fn fitting(ops: &[Op], mut room: usize) -> usize {
    let fits = |op: &&Op| {
        let left = room.checked_sub(op.total());
        room = left.unwrap_or(0);
        left.is_some()
    };
    ops.iter().take_while(fits).count()
}

impl Log {
    /// A message whose newest envelope is sound: the same with a body file that isn't there.
    fn without_body(&self, number: u64) -> Option<Op> {
        let (envelope, notes) = self.library.envelope(number).ok()?;
        let entry = lock(&self.library.index).messages.find(number)?;
        let size = entry.file_bytes.unwrap_or_else(|| u64::from(entry.message.bytes));
        let body = OpBody::File { size, crc: 0 };
        Some(Op::new(number, OpKind::Move(body), encode_meta(&envelope, &notes)))
    }
}

/// What becomes of a damaged message's body file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFile {
    /// The message is going to be removed.
    Moved,
    /// It stays.
    Copied,
}

impl Library {
    /// Copies a damaged message to `corrupt/`, durably.
    pub(crate) fn put_aside(&self, number: u64, file: BodyFile) -> Result<String, SpoolError> {
        let (place, segment, large) = {
            let index = lock(&self.index);
            let entry = index.messages.find(number).ok_or(SpoolError::NotFound(number))?;
            let segment = index.segments.get(&entry.message.segment).cloned();
            (entry.message, segment, entry.file_bytes.is_some())
        };
        let (disk, segment_number) = (&self.disk, place.segment);
        let mut bytes = vec![0; usize::try_from(place.bytes).unwrap_or(0)];
        if let Some(segment) = segment {
            let count = segment.file.read_at(&mut bytes, u64::from(place.at));
            bytes.truncate(count.map_err(|error| SpoolError::io("read", "log", error))?);
        }
        let path = format!("corrupt/{number:X}-{segment_number}-{}", place.at);
        write_aside(disk.as_ref(), &path, &bytes)?;
        let (from, to) = (body_path(number), format!("corrupt/{number:X}-body"));
        match file {
            BodyFile::Moved if large => drop(disk.rename(&from, &to)),
            BodyFile::Copied if large => copy_aside(disk.as_ref(), &from, &to)?,
            BodyFile::Moved | BodyFile::Copied => {}
        }
        disk.sync_directory("corrupt").map_err(|error| SpoolError::io("flush", "corrupt", error))?;
        let done = if file == BodyFile::Moved { "moved" } else { "copied" };
        Ok(format!("message {number:X} is damaged and was {done} to {path}"))
    }
}

/// Copies a body file as far as there is one.
fn copy_aside(disk: &dyn crate::Disk, from: &str, to: &str) -> Result<(), SpoolError> {
    let file = match disk.open(from, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(SpoolError::io("open", from, error)),
    };
    let _ = disk.remove(to);
    let copy = disk.create(to).map_err(|error| SpoolError::io("create", to, error))?;
    let (mut window, mut at) = (vec![0; 1 << 16], 0);
    loop {
        let count = file.read_at(&mut window, at).map_err(|error| SpoolError::io("read", from, error))?;
        let Some(piece) = window.get(..count).filter(|piece| !piece.is_empty()) else { break };
        copy.write_at(piece, at).map_err(|error| SpoolError::io("write", to, error))?;
        at = at.saturating_add(piece.len() as u64);
    }
    copy.sync().map_err(|error| SpoolError::io("flush", to, error))
}

/// Writes a file in `corrupt/`; one that is there from an interrupted attempt is replaced.
pub(crate) fn write_aside(disk: &dyn crate::Disk, path: &str, bytes: &[u8]) -> Result<(), SpoolError> {
    let _ = disk.remove(path);
    let file = disk.create(path).map_err(|error| SpoolError::io("create", path, error))?;
    let written = file.write_at(bytes, 0).and_then(|()| file.sync());
    written.map_err(|error| SpoolError::io("write", path, error))
}

/// The same message once more.
fn again(number: u64, contents: Contents) -> Op {
    let Contents { header, envelope, notes, body } = contents;
    let crc = header.body_crc;
    let body = match header.kind {
        Kind::LargeMessage => OpBody::File { size: header.extra, crc },
        _ => OpBody::Inline { bytes: body, crc },
    };
    Op::new(number, OpKind::Move(body), encode_meta(&envelope, &notes))
}
