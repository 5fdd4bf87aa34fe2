//! The log's writer: batches, rotation, slots. One thread owns it.
//!
//! The order of steps here is the argument of docs/internals/queue-states.md: a record is folded into the
//! index after its flush succeeded, a failed flush is never asked for again, a freed slot is reused only when
//! a durable header says that it is free. No threads and no clock here, so that every step can be simulated.

use crate::disk::{Disk, DiskFile};
use crate::error::{SpoolError, is_no_room};
use crate::incoming::body_error;
use crate::index::{Fact, Index, Place, Segment};
use crate::list::{Scope, list_path, mark, vouch, write_list};
use crate::read::{Library, body_path, lock};
use crate::record::{BLOCK, Kind, RecordHeader, START, SegmentHeader, UNIT, round_up};
use crate::slots::{Ahead, Slot};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Spare slots that new messages leave for updates, removals and moves, and those for the next opening.
pub(crate) const RESERVE: usize = 2;
/// Spare slots that are kept; more are deleted.
const SPARES_MAX: usize = 4;
/// A batch is closed at this size; a larger record is a batch of its own.
const BATCH_BYTES: usize = 4 << 20;

/// One record to be written.
pub(crate) struct Op {
    pub(crate) number: u64,
    pub(crate) kind: OpKind,
    pub(crate) meta: Vec<u8>,
    pub(crate) meta_crc: u32,
}

/// What it is for.
pub(crate) enum OpKind {
    /// A new message.
    Insert(OpBody),
    /// A message written again by compaction, with its notes.
    Move(OpBody),
    Envelope,
    Note,
    Remove,
}

pub(crate) enum OpBody {
    Inline { bytes: Vec<u8>, crc: u32 },
    File { size: u64, crc: u32 },
}

impl Op {
    pub(crate) fn new(number: u64, kind: OpKind, meta: Vec<u8>) -> Op {
        let meta_crc = crc32fast::hash(&meta);
        Op { number, kind, meta, meta_crc }
    }

    fn body(&self) -> Option<&OpBody> {
        match &self.kind {
            OpKind::Insert(body) | OpKind::Move(body) => Some(body),
            _ => None,
        }
    }

    fn inline(&self) -> &[u8] {
        match self.body() {
            Some(OpBody::Inline { bytes, .. }) => bytes,
            _ => &[],
        }
    }

    /// The record's length in the log.
    pub(crate) fn total(&self) -> usize {
        round_up(UNIT + self.meta.len() + self.inline().len(), UNIT)
    }

    /// How many spare slots must be left over by this. One always is: opening needs it.
    pub(crate) fn reserve(&self) -> usize {
        if matches!(self.kind, OpKind::Insert(_)) { RESERVE } else { 1 }
    }
}

/// A segment that is no longer written.
pub(crate) struct Sealed {
    pub(crate) sequence: u64,
    pub(crate) slot: Slot,
    /// Its slot is deleted when it is released: a flush failed there, or it hasn't the length of the others.
    pub(crate) poisoned: bool,
}

pub(crate) struct Active {
    pub(crate) sequence: u64,
    pub(crate) nonce: u64,
    pub(crate) slot: Slot,
    /// Where the next batch goes.
    pub(crate) at: usize,
    /// Not durable yet: what its header releases.
    pub(crate) fresh: Option<Fresh>,
    /// What its records say, for its list.
    pub(crate) facts: Vec<Fact>,
    /// Its mark, and up to which batch that vouches.
    pub(crate) mark: Option<Arc<dyn DiskFile>>,
    pub(crate) vouched: u64,
}

pub(crate) struct Fresh {
    pub(crate) header: SegmentHeader,
    pub(crate) releases: Vec<Sealed>,
}

/// The log's writer.
pub(crate) struct Log {
    pub(crate) library: Library,
    pub(crate) segment_bytes: usize,
    pub(crate) numbers: Arc<AtomicU64>,
    pub(crate) active: Option<Active>,
    /// Oldest first.
    pub(crate) sealed: VecDeque<Sealed>,
    /// Without live records; not to be touched before a newer header is durable.
    pub(crate) freed: Vec<Sealed>,
    pub(crate) spares: Vec<Slot>,
    pub(crate) next_slot: u64,
    pub(crate) ahead: Ahead,
    pub(crate) last_sequence: u64,
    pub(crate) next_batch: u64,
    /// Failed flushes since the last one that succeeded.
    pub(crate) failures: u32,
    /// Body files of messages whose batch failed, deleted once that batch is void for good.
    pub(crate) void_bodies: Vec<u64>,
    pub(crate) buffer: Vec<u8>,
    /// How many bytes lived when a round on a full disk found no room: another needs fewer.
    pub(crate) vain_round: Option<u64>,
    /// What compaction on a full disk set aside.
    pub(crate) set_aside: Vec<String>,
}

/// Records gathered for one flush.
#[derive(Default)]
pub(crate) struct Gathered {
    /// Index of the operation, its record, and where in the buffer.
    pub(crate) records: Vec<(usize, RecordHeader, usize)>,
}

impl Log {
    fn disk(&self) -> &Arc<dyn Disk> {
        &self.library.disk
    }

    fn index(&self) -> std::sync::MutexGuard<'_, Index> {
        lock(&self.library.index)
    }

    /// The largest record.
    pub(crate) fn record_bytes_max(segment_bytes: usize) -> usize {
        segment_bytes / 4
    }

    /// Writes all, with as few flushes as fit; gives each its result.
    pub(crate) fn commit(&mut self, ops: &[Op]) -> Vec<Result<(), SpoolError>> {
        let mut results: Vec<Result<(), SpoolError>> = Vec::with_capacity(ops.len());
        let mut notes: BTreeMap<u64, u32> = BTreeMap::new();
        let mut new: BTreeSet<u64> = BTreeSet::new();
        let mut part = Gathered::default();
        self.buffer.clear();
        for (i, op) in ops.iter().enumerate() {
            let checked = self.check(op, &new);
            let room = checked.and_then(|()| {
                if self.buffer.len() >= BATCH_BYTES || !self.fits(op) {
                    self.flush_part(&mut part, &mut results, ops);
                    notes.clear(); // the index knows better now
                }
                if self.fits(op) { Ok(()) } else { self.make_room(op) }
            });
            results.push(room.clone());
            if room.is_ok() {
                if op.body().is_some() {
                    new.insert(op.number);
                }
                let ordinal = self.ordinal(op, &mut notes);
                self.append(i, op, ordinal, &mut part);
            } else {
                self.forget_body(op, false);
            }
        }
        self.flush_part(&mut part, &mut results, ops);
        results
    }

    /// Room for an operation in a new segment; on a full disk, by tidying up.
    fn make_room(&mut self, op: &Op) -> Result<(), SpoolError> {
        let rotated = self.rotate(op.reserve());
        let relieved = matches!(rotated, Err(SpoolError::Full))
            && match op.kind {
                OpKind::Insert(_) => self.release_what_is_free(op),
                OpKind::Move(_) => false,
                _ => self.go_round(op),
            };
        match rotated {
            Err(SpoolError::Full) if relieved && self.fits(op) => Ok(()),
            Err(SpoolError::Full) if relieved => self.rotate(op.reserve()),
            other => other,
        }
    }

    fn check(&self, op: &Op, new: &BTreeSet<u64>) -> Result<(), SpoolError> {
        let limit = Log::record_bytes_max(self.segment_bytes);
        let too_large = |size: usize| Err(SpoolError::TooLarge { size: size as u64, limit: limit as u64 });
        if op.total() > limit && !matches!(op.kind, OpKind::Move(..)) {
            return too_large(op.total());
        }
        if matches!(op.kind, OpKind::Insert(_)) {
            return Ok(());
        }
        let Some(noted) = self.index().messages.noted(op.number) else {
            return if new.contains(&op.number) { Ok(()) } else { Err(SpoolError::NotFound(op.number)) };
        };
        // Notes are written together with the body when the message is moved.
        let grown = usize::try_from(noted.meta_bytes).unwrap_or(usize::MAX).saturating_add(op.total());
        if matches!(op.kind, OpKind::Note) && grown > limit { too_large(grown) } else { Ok(()) }
    }

    pub(crate) fn fits(&self, op: &Op) -> bool {
        let batch = round_up(self.buffer.len() + op.total(), BLOCK);
        let end = self.end_for(&op.kind);
        self.active.as_ref().is_some_and(|active| active.at + batch <= end)
    }

    /// How far such records may fill the active segment. Where the reserve had to be taken, which is on a full
    /// disk, there may be no other segment: new messages leave room for notes, and notes for removals.
    fn end_for(&self, kind: &OpKind) -> usize {
        match kind {
            _ if self.spares.len() >= RESERVE => self.segment_bytes,
            OpKind::Insert(_) => self.segment_bytes / 2,
            OpKind::Note | OpKind::Envelope | OpKind::Move(..) => self.end_of_moves(),
            OpKind::Remove => self.segment_bytes,
        }
    }

    /// Where the part for removals begins.
    pub(crate) const fn end_of_moves(&self) -> usize {
        self.segment_bytes / 8 * 7
    }

    /// What moves find in the active segment.
    pub(crate) fn left_for_moves(&self) -> usize {
        self.active.as_ref().map_or(0, |active| self.end_of_moves().saturating_sub(active.at))
    }

    /// The ordinal of a note; other records set where the next one starts.
    fn ordinal(&self, op: &Op, notes: &mut BTreeMap<u64, u32>) -> u32 {
        match &op.kind {
            OpKind::Note => {
                let known = || self.index().messages.noted(op.number).map_or(0, |noted| noted.next());
                let next = notes.entry(op.number).or_insert_with(known);
                *next += 1;
                *next - 1
            }
            OpKind::Envelope => {
                notes.insert(op.number, 0);
                0
            }
            OpKind::Insert(_) | OpKind::Move(..) | OpKind::Remove => 0,
        }
    }

    pub(crate) fn append(&mut self, i: usize, op: &Op, ordinal: u32, part: &mut Gathered) {
        let Some(active) = &self.active else { return };
        let (kind, body_crc, extra) = match &op.kind {
            OpKind::Insert(OpBody::Inline { crc, .. }) | OpKind::Move(OpBody::Inline { crc, .. }) => {
                (Kind::Message, *crc, 0)
            }
            OpKind::Insert(OpBody::File { size, crc }) | OpKind::Move(OpBody::File { size, crc }) => {
                (Kind::LargeMessage, *crc, *size)
            }
            OpKind::Envelope => (Kind::Envelope, 0, 0),
            OpKind::Note => (Kind::Note, 0, u64::from(ordinal)),
            OpKind::Remove => (Kind::Remove, 0, 0),
        };
        let header = RecordHeader {
            kind,
            nonce: active.nonce,
            batch: self.next_batch,
            batch_at: u32::try_from(active.at).unwrap_or(u32::MAX),
            number: op.number,
            meta_bytes: u32::try_from(op.meta.len()).unwrap_or(u32::MAX),
            meta_crc: op.meta_crc,
            body_bytes: u32::try_from(op.inline().len()).unwrap_or(u32::MAX),
            body_crc,
            extra,
        };
        let start = self.buffer.len();
        part.records.push((i, header, start));
        self.buffer.extend_from_slice(&header.encode());
        self.buffer.extend_from_slice(&op.meta);
        self.buffer.extend_from_slice(op.inline());
        self.buffer.resize(start + op.total(), 0);
    }

    /// Writes and flushes what was gathered, then folds it into the index.
    fn flush_part(&mut self, part: &mut Gathered, results: &mut [Result<(), SpoolError>], ops: &[Op]) {
        let Gathered { records } = std::mem::take(part);
        if records.is_empty() {
            return;
        }
        let (segment, at) = self.active.as_ref().map_or((0, 0), |active| (active.sequence, active.at));
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(round_up(buffer.len(), BLOCK), 0);
        let written = self.write_batch(&buffer);
        buffer.clear();
        self.buffer = buffer;
        if let Err(error) = written {
            for (i, ..) in records {
                if let (Some(result), Some(op)) = (results.get_mut(i), ops.get(i)) {
                    *result = Err(error.clone());
                    self.forget_body(op, true);
                }
            }
            return;
        }
        self.fold(records, (segment, at), ops);
    }

    /// Folds records that are durable now into the index.
    pub(crate) fn fold(
        &mut self,
        records: Vec<(usize, RecordHeader, usize)>,
        (segment, at): (u64, usize),
        ops: &[Op],
    ) {
        let mut bodies = Vec::new();
        let mut facts = Vec::with_capacity(records.len());
        let mut index = self.index();
        for (i, header, start) in records {
            let place = Place {
                segment,
                at: u32::try_from(at + start).unwrap_or(u32::MAX),
                bytes: u32::try_from(header.total()).unwrap_or(u32::MAX),
            };
            let meta = ops.get(i).map(|op| op.meta.as_slice()).unwrap_or_default();
            let fact = index.fact(&header, place, meta);
            bodies.extend(index.apply(&fact));
            facts.push(fact);
        }
        drop(index);
        if let Some(active) = &mut self.active {
            active.facts.append(&mut facts);
        }
        for number in bodies {
            let _ = self.disk().remove(&body_path(number)); // recovery deletes what stays
        }
    }

    /// The body file of a message that is not going to be queued.
    fn forget_body(&mut self, op: &Op, perhaps_on_disk: bool) {
        if !matches!(op.kind, OpKind::Insert(OpBody::File { .. })) {
            return;
        }
        if perhaps_on_disk {
            self.void_bodies.push(op.number);
        } else {
            let _ = self.disk().remove(&body_path(op.number));
        }
    }

    /// One flush: a new segment's header, and a batch (or none).
    fn write_batch(&mut self, batch: &[u8]) -> Result<(), SpoolError> {
        let Some(active) = self.active.as_mut() else { return Err(SpoolError::ReadOnly) };
        let written = (|| {
            if let Some(fresh) = &active.fresh {
                active.slot.file.write_at(&fresh.header.encode(), 0)?;
            }
            if !batch.is_empty() {
                active.slot.file.write_at(batch, active.at as u64)?;
            }
            active.slot.file.sync()
        })();
        if let Err(error) = written {
            self.poison();
            return Err(SpoolError::Write(Arc::new(error)));
        }
        active.at += batch.len();
        let fresh = active.fresh.take();
        self.next_batch += u64::from(!batch.is_empty());
        self.failures = 0;
        if let Some(fresh) = fresh {
            self.mark_active();
            self.release(fresh.releases);
        }
        Ok(())
    }

    /// The active segment's header is durable.
    pub(crate) fn mark_active(&mut self) {
        let Some(sequence) = self.active.as_ref().map(|active| active.sequence) else { return };
        let made = mark(self.disk().as_ref(), sequence);
        if let Some(active) = self.active.as_mut() {
            active.mark = made;
        }
    }

    /// Says beside the newest segment what was acknowledged, in a moment when nobody waits.
    pub(crate) fn vouch(&mut self) {
        let end = self.next_batch;
        let Some(active) = self.active.as_mut().filter(|active| active.vouched != end) else { return };
        let Some(mark) = active.mark.as_ref().filter(|_| active.fresh.is_none()) else { return };
        if vouch(mark.as_ref(), (active.sequence, active.nonce), end) {
            active.vouched = end;
        } else {
            active.mark = None;
        }
    }

    /// A write or flush failed: nothing more is written to this segment, and what failed is void.
    pub(crate) fn poison(&mut self) {
        self.failures += 1;
        let Some(active) = self.active.take() else { return };
        self.write_list(&active);
        let Active { sequence, slot, fresh, .. } = active;
        let sealed = Sealed { sequence, slot, poisoned: true };
        match fresh {
            // Nothing in it was ever acknowledged; its successor won't name it.
            Some(fresh) => {
                self.freed.extend(fresh.releases);
                self.freed.push(sealed);
            }
            None => self.sealed.push_back(sealed),
        }
    }

    /// A durable header says that these segments are of the past.
    pub(crate) fn release(&mut self, releases: Vec<Sealed>) {
        for number in std::mem::take(&mut self.void_bodies) {
            let _ = self.disk().remove(&body_path(number));
        }
        for Sealed { sequence, slot, poisoned } in releases {
            self.index().drop_segment(sequence);
            let _ = self.disk().remove(&list_path(sequence));
            if poisoned || self.spares.len() + self.ahead.count() >= SPARES_MAX {
                let _ = self.disk().remove(&format!("log/{}", slot.name));
            } else {
                self.spares.push(slot);
            }
        }
    }

    /// Starts a new segment in another slot. Its header goes out with its first batch.
    pub(crate) fn rotate(&mut self, reserve: usize) -> Result<(), SpoolError> {
        if self.failures >= 2 {
            return Err(SpoolError::ReadOnly);
        }
        let slot = self.take_slot(reserve)?;
        self.seal_active();
        let nonce = self.disk().random();
        self.begin_segment(slot, nonce, self.next_batch);
        Ok(())
    }

    /// The active segment gets no more batches.
    pub(crate) fn seal_active(&mut self) {
        if let Some(active) = self.active.take() {
            self.write_list(&active);
            let Active { sequence, slot, fresh, .. } = active;
            let sealed = Sealed { sequence, slot, poisoned: false };
            match fresh {
                Some(fresh) => {
                    self.freed.extend(fresh.releases);
                    self.freed.push(sealed);
                }
                None => self.sealed.push_back(sealed),
            }
        }
    }

    /// The list of a segment that gets no more batches, where its header is durable.
    fn write_list(&self, active: &Active) {
        self.index().seal(active.sequence);
        if active.fresh.is_none() {
            let next_number = self.numbers.load(Ordering::Relaxed);
            let (sequence, nonce) = (active.sequence, active.nonce);
            let scope = Scope { sequence, nonce, end: self.next_batch, next_number };
            write_list(self.disk().as_ref(), scope, &active.facts);
        }
    }

    pub(crate) fn begin_segment(&mut self, slot: Slot, nonce: u64, first_batch: u64) {
        self.ahead.failed = false;
        self.free_oldest();
        let previous = self.sealed.back().map_or(0, |sealed| sealed.sequence);
        self.last_sequence += 1;
        let header = SegmentHeader {
            nonce,
            sequence: self.last_sequence,
            oldest: self.sealed.front().map_or(self.last_sequence, |sealed| sealed.sequence),
            previous,
            first_batch,
            next_number: self.numbers.load(Ordering::Relaxed),
        };
        let segment = Segment { file: Arc::clone(&slot.file), nonce: header.nonce };
        self.index().segments.insert(header.sequence, segment);
        let fresh = Some(Fresh { header, releases: std::mem::take(&mut self.freed) });
        let sequence = header.sequence;
        self.active = Some(Active {
            sequence,
            nonce,
            slot,
            at: START,
            fresh,
            facts: Vec::new(),
            mark: None,
            vouched: 0,
        });
    }

    /// Sets the oldest segments free as far as nothing lives in them.
    pub(crate) fn free_oldest(&mut self) {
        while let Some(sealed) = self.sealed.front() {
            if self.index().live_in(sealed.sequence) > 0 {
                break;
            }
            self.freed.extend(self.sealed.pop_front());
        }
    }

    /// Releases freed segments by a header of their own, where they are many.
    pub(crate) fn release_freed(&mut self) -> bool {
        self.free_oldest();
        // While another segment's header is still to be written, the next batch releases.
        if self.freed.len() < 3 || self.active.as_ref().is_some_and(|active| active.fresh.is_some()) {
            return false;
        }
        self.release_now()
    }

    pub(crate) fn release_now(&mut self) -> bool {
        match self.rotate(1) {
            Ok(()) => self.write_batch(&[]).is_ok(),
            Err(_) => self.exchange(&[]),
        }
    }

    pub(crate) fn take_slot(&mut self, reserve: usize) -> Result<Slot, SpoolError> {
        while self.spares.len() <= reserve {
            match self.create_slot() {
                Ok(slot) => self.spares.push(slot),
                Err(SpoolError::Full) if reserve > 0 => return Err(SpoolError::Full),
                // However a disk fails, the last one is for the next opening.
                Err(error) if reserve > 0 && self.spares.len() < 2 => return Err(error),
                Err(error) => return self.spares.pop().ok_or(error),
            }
        }
        self.spares.pop().ok_or(SpoolError::Full)
    }

    /// Flushes the bodies of large messages and their names, before their records are written.
    pub(crate) fn settle_bodies(
        disk: &dyn Disk,
        bodies: &[(u64, Arc<dyn DiskFile>)],
    ) -> Vec<Result<(), SpoolError>> {
        let flush = |(number, file): &(u64, Arc<dyn DiskFile>)| {
            file.sync().map_err(|error| body_error(*number, error))
        };
        let mut results: Vec<Result<(), SpoolError>> = bodies.iter().map(flush).collect();
        if !bodies.is_empty()
            && let Err(error) = disk.sync_directory("body")
        {
            let full = is_no_room(&error);
            let error = Arc::new(error);
            for (result, (number, _)) in results.iter_mut().zip(bodies) {
                let source = Arc::clone(&error);
                *result =
                    Err(if full { SpoolError::Full } else { SpoolError::Body { number: *number, source } });
            }
        }
        results
    }
}
