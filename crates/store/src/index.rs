//! Where everything is: the fold of the log's records, in order.
//!
//! One function, [`Index::apply`], folds at run time and at recovery, so that both see the same spool. It
//! holds places and sizes, never contents. Folding a batch twice gives the same as once.

use crate::disk::DiskFile;
use crate::record::{Kind, RecordHeader};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The segment's sequence number.
    pub(crate) segment: u64,
    pub(crate) at: u32,
    /// With header and padding.
    pub(crate) bytes: u32,
}

/// Where one message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) message: Place,
    /// The length of its body file.
    pub(crate) file_bytes: Option<u64>,
    /// The envelope, where it isn't the message record's.
    pub(crate) envelope: Option<Place>,
    /// Notes outside of the message record.
    pub(crate) notes: Vec<Place>,
    /// The ordinal of the first of them.
    pub(crate) first_note: u32,
    /// Bytes of envelope and notes.
    pub(crate) meta_bytes: u64,
}

impl Entry {
    /// Where its records are.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        std::iter::once(self.message).chain(self.envelope).chain(self.notes.iter().copied())
    }

    /// The ordinal of the next note.
    pub(crate) fn next_note(&self) -> u32 {
        self.first_note.saturating_add(u32::try_from(self.notes.len()).unwrap_or(u32::MAX))
    }
}

/// A segment that can be read.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) nonce: u64,
}

/// The index.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) messages: BTreeMap<u64, Entry>,
    pub(crate) segments: BTreeMap<u64, Segment>,
    /// Message records by place, so that compaction finds the oldest.
    by_place: BTreeMap<(u64, u32), u64>,
    /// Live bytes by segment.
    live: BTreeMap<u64, u64>,
    live_bytes: u64,
    file_bytes: u64,
}

impl Index {
    /// Folds a record in; gives the number whose body file is of no more use. `notes` is how many notes a
    /// message record holds.
    pub(crate) fn apply(&mut self, header: &RecordHeader, place: Place, notes: u32) -> Option<u64> {
        let number = header.number;
        match header.kind {
            Kind::Message | Kind::LargeMessage => {
                let file_bytes = (header.kind == Kind::LargeMessage).then_some(header.extra);
                self.take(number);
                let entry = Entry {
                    message: place,
                    file_bytes,
                    envelope: None,
                    notes: Vec::new(),
                    first_note: notes,
                    meta_bytes: u64::from(header.meta_bytes),
                };
                self.put(number, entry);
                None
            }
            Kind::Envelope => {
                let mut entry = self.take(number)?;
                entry.envelope = Some(place);
                entry.notes.clear();
                entry.first_note = 0;
                entry.meta_bytes = u64::from(header.meta_bytes);
                self.put(number, entry);
                None
            }
            Kind::Note => {
                let mut entry = self.take(number)?;
                let ordinal = u32::try_from(header.extra).unwrap_or(u32::MAX);
                match ordinal.checked_sub(entry.first_note).and_then(|k| usize::try_from(k).ok()) {
                    None => {}
                    Some(k) if k < entry.notes.len() => {
                        if let Some(note) = entry.notes.get_mut(k) {
                            *note = place;
                        }
                    }
                    Some(_) => {
                        entry.notes.push(place);
                        entry.meta_bytes += u64::from(header.meta_bytes) + 4;
                    }
                }
                self.put(number, entry);
                None
            }
            Kind::Remove => self.take(number)?.file_bytes.map(|_| number),
        }
    }

    fn put(&mut self, number: u64, entry: Entry) {
        for place in entry.places() {
            *self.live.entry(place.segment).or_default() += u64::from(place.bytes);
            self.live_bytes += u64::from(place.bytes);
        }
        self.file_bytes += entry.file_bytes.unwrap_or(0);
        self.by_place.insert((entry.message.segment, entry.message.at), number);
        self.messages.insert(number, entry);
    }

    fn take(&mut self, number: u64) -> Option<Entry> {
        let entry = self.messages.remove(&number)?;
        for place in entry.places() {
            if let Some(live) = self.live.get_mut(&place.segment) {
                *live = live.saturating_sub(u64::from(place.bytes));
            }
            self.live_bytes = self.live_bytes.saturating_sub(u64::from(place.bytes));
        }
        self.file_bytes = self.file_bytes.saturating_sub(entry.file_bytes.unwrap_or(0));
        self.by_place.remove(&(entry.message.segment, entry.message.at));
        Some(entry)
    }

    /// Live bytes of one segment.
    pub(crate) fn live_in(&self, segment: u64) -> u64 {
        self.live.get(&segment).copied().unwrap_or(0)
    }

    /// Forgets a segment.
    pub(crate) fn drop_segment(&mut self, segment: u64) {
        self.segments.remove(&segment);
        self.live.remove(&segment);
    }

    /// Live bytes in the log.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Bytes in body files.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The first message record of a segment, from `at` on: where, and whose.
    pub(crate) fn message_from(&self, segment: u64, at: u32) -> Option<(u32, u64)> {
        let mut range = self.by_place.range((segment, at)..=(segment, u32::MAX));
        range.next().map(|((_, at), number)| (*at, *number))
    }
}
