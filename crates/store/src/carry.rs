//! What an opened spool goes on with: the newest segment's records, written again in another slot.
//!
//! The newest segment itself is never written again: its last batch may be in the page cache only, and what was torn
//! there must not stand before younger batches. So all of it that counts is copied, batch by batch, and the copy takes
//! its place in the chain: as many slots are taken as before, however often a spool is opened. Where anything in it is
//! damaged it stays for a person to look at, and only its last batch is copied. Steps as in
//! docs/internals/queue-states.md, "Recovery".

use crate::error::SpoolError;
use crate::index::{Fact, Place};
use crate::log::{Fresh, Log, Sealed};
use crate::record::{BLOCK, RecordHeader, START, SegmentHeader, UNIT, round_up};
use crate::slots::Slot;
use std::io;

/// The next segment's beginning, and what its header will say.
pub(crate) struct Carried {
    sequence: u64,
    nonce: u64,
    /// All batches, or only the last one.
    whole: bool,
    first_batch: u64,
    last_batch: u64,
    /// Its batches.
    image: Vec<u8>,
    /// The batch that was begun last, and where.
    batch: Option<(u64, usize)>,
    pub(crate) facts: Vec<Fact>,
    /// The segment in whose place it comes.
    pub(crate) replaced: Option<Sealed>,
}

impl Carried {
    /// In front of everything.
    pub(crate) fn nothing(nonce: u64, sequence: u64) -> Carried {
        Carried::last_batch(nonce, sequence, 1)
    }

    /// Behind a segment that stays.
    pub(crate) fn last_batch(nonce: u64, sequence: u64, batch: u64) -> Carried {
        Carried {
            sequence,
            nonce,
            whole: false,
            first_batch: batch,
            last_batch: batch,
            image: Vec::new(),
            batch: None,
            facts: Vec::new(),
            replaced: None,
        }
    }

    /// In place of the segment with this header.
    pub(crate) fn whole(nonce: u64, sequence: u64, header: &SegmentHeader, last_batch: u64) -> Carried {
        let first_batch = header.first_batch;
        Carried { whole: true, first_batch, ..Carried::last_batch(nonce, sequence, last_batch) }
    }

    /// Whether the newest segment goes.
    pub(crate) const fn is_whole(&self) -> bool {
        self.whole
    }

    /// Takes the newest segment's next record over; where it is going to be. `None`: it stays where it is.
    pub(crate) fn add(&mut self, header: &RecordHeader, record: &[u8]) -> Option<Place> {
        if !self.whole && header.batch != self.last_batch {
            return None;
        }
        let batch_at = match self.batch {
            Some((batch, at)) if batch == header.batch => at,
            _ => {
                self.image.resize(round_up(self.image.len(), BLOCK), 0);
                START + self.image.len()
            }
        };
        self.batch = Some((header.batch, batch_at));
        let at = START + self.image.len();
        let batch_at = u32::try_from(batch_at).unwrap_or(u32::MAX);
        self.image.extend_from_slice(&RecordHeader { nonce: self.nonce, batch_at, ..*header }.encode());
        self.image.extend_from_slice(record.get(UNIT..).unwrap_or_default());
        Some(Place {
            segment: self.sequence,
            at: u32::try_from(at).unwrap_or(u32::MAX),
            bytes: u32::try_from(header.total()).unwrap_or(u32::MAX),
        })
    }

    /// The number of the batch that comes next: the last one's own where nothing of it was whole.
    fn next_batch(&self) -> u64 {
        self.last_batch + u64::from(self.batch.is_some_and(|(batch, _)| batch == self.last_batch))
    }
}

impl Log {
    /// The segment that the opened spool writes, durable when this returns: first the records, then the header that
    /// makes void, or puts into the past, where they were before.
    pub(crate) fn begin_again(&mut self, carried: Carried) -> Result<(), SpoolError> {
        let slot = match self.spares.pop() {
            Some(slot) => slot,
            None => self.create_slot()?,
        };
        if let Some(newest) = carried.replaced.as_ref().or(self.sealed.back()) {
            // Its header says which slots are spare; it must be durable before one of them is written.
            settle_header(&newest.slot).map_err(|error| SpoolError::io("flush", "log", error))?;
        }
        let next_batch = carried.next_batch();
        let Carried { sequence, nonce, first_batch, mut image, facts, replaced, .. } = carried;
        self.freed.extend(replaced);
        self.last_sequence = sequence.saturating_sub(1);
        self.begin_segment(slot, nonce, first_batch);
        image.resize(round_up(image.len(), BLOCK), 0);
        let releases = self.write_beginning(&image).map_err(|error| SpoolError::io("write", "log", error))?;
        if let Some(active) = &mut self.active {
            active.facts = facts;
        }
        self.next_batch = next_batch;
        self.release(releases);
        Ok(())
    }

    /// The active segment's beginning: first the records, then the header, durable when this returns. Gives what that
    /// releases.
    pub(crate) fn write_beginning(&mut self, image: &[u8]) -> io::Result<Vec<Sealed>> {
        let Some(active) = &mut self.active else { return Ok(Vec::new()) };
        let Some(Fresh { header, .. }) = &active.fresh else { return Ok(Vec::new()) };
        let file = &active.slot.file;
        if !image.is_empty() {
            file.write_at(image, START as u64)?;
            file.sync()?;
        }
        file.write_at(&header.encode(), 0)?;
        file.sync()?;
        active.at = START + image.len();
        let releases = active.fresh.take().map(|fresh| fresh.releases);
        self.mark_active();
        Ok(releases.unwrap_or_default())
    }
}

/// Makes a header durable that perhaps only the page cache has. Its flush may have failed before the process
/// was killed; then a mere flush would say yes and do nothing. So it is written again: one copy, as a torn
/// write must not spoil both.
fn settle_header(slot: &Slot) -> io::Result<()> {
    let mut bytes = vec![0; START];
    let count = slot.file.read_at(&mut bytes, 0)?;
    bytes.truncate(count);
    if let Some(copy) = SegmentHeader::decode(&bytes).map(|header| header.encode()) {
        slot.file.write_at(copy.get(..BLOCK).unwrap_or_default(), 0)?;
    }
    slot.file.sync()
}
