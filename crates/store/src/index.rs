//! Where everything is: the fold of the log's records, in order.
//!
//! One function, [`Index::apply`], folds at run time and at recovery, so that both see the same spool. It
//! holds places, sizes and what the spool's owner wants to know at hand of each message ([`Digest`]), never contents.
//! Folding a batch twice gives the same as once.

use crate::disk::DiskFile;
use crate::messages::{Brief, Messages};
use crate::record::{Kind, RecordHeader, decode_meta};
use std::collections::{BTreeMap, BTreeSet};
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
    pub(crate) brief: Brief,
}

/// How the spool's owner makes a [`Brief`] of an envelope, and of what a note changes.
#[derive(Clone, Copy, Debug)]
pub struct Digest {
    /// Of an envelope without notes.
    pub envelope: fn(&[u8]) -> Brief,
    /// Of the brief before a note, and the note.
    pub note: fn(Brief, &[u8]) -> Brief,
}

impl Default for Digest {
    fn default() -> Digest {
        Digest { envelope: |_| Brief::default(), note: |before, _| before }
    }
}

/// What a record changes, without its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) kind: Kind,
    pub(crate) number: u64,
    pub(crate) place: Place,
    pub(crate) meta_bytes: u32,
    /// As in the record's header.
    pub(crate) extra: u64,
    /// How many notes a message record holds.
    pub(crate) notes: u32,
    /// The message's, after this record.
    pub(crate) brief: Brief,
}

impl Entry {
    /// Where its records are.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        std::iter::once(self.message).chain(self.envelope).chain(self.notes.iter().copied())
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
    pub(crate) messages: Messages,
    digest: Digest,
    pub(crate) segments: BTreeMap<u64, Segment>,
    /// Message records by segment, each where it was put, so that compaction finds the oldest. Those that have gone
    /// since are still listed.
    by_place: BTreeMap<u64, Vec<(u32, u64)>>,
    /// Live bytes by segment.
    live: BTreeMap<u64, u64>,
    live_bytes: u64,
    file_bytes: u64,
    /// Of which there are notes, and no message.
    strays: BTreeSet<u64>,
}

impl Index {
    pub(crate) fn new(digest: Digest) -> Index {
        Index { digest, ..Index::default() }
    }

    /// What a record changes; `meta` is its envelope part.
    pub(crate) fn fact(&self, header: &RecordHeader, place: Place, meta: &[u8]) -> Fact {
        let RecordHeader { kind, number, meta_bytes, extra, .. } = *header;
        let former = || self.messages.brief(number).unwrap_or_default();
        let (brief, notes) = match kind {
            Kind::Message | Kind::LargeMessage => {
                let (envelope, notes) = decode_meta(meta).unwrap_or_default();
                let count = u32::try_from(notes.len()).unwrap_or(u32::MAX);
                let brief = (self.digest.envelope)(&envelope);
                (notes.iter().fold(brief, |brief, note| (self.digest.note)(brief, note)), count)
            }
            Kind::Envelope => ((self.digest.envelope)(meta), 0),
            Kind::Note => ((self.digest.note)(former(), meta), 0),
            Kind::Remove => (Brief::default(), 0),
        };
        Fact { kind, number, place, meta_bytes, extra, notes, brief }
    }

    /// Folds a record in; gives the number whose body file is of no more use.
    pub(crate) fn apply(&mut self, fact: &Fact) -> Option<u64> {
        let Fact { kind, number, place, notes, brief, .. } = *fact;
        let header = fact;
        match kind {
            Kind::Message | Kind::LargeMessage => {
                let file_bytes = (kind == Kind::LargeMessage).then_some(header.extra);
                self.strays.remove(&number);
                self.take(number);
                self.by_place.entry(place.segment).or_default().push((place.at, number));
                let entry = Entry {
                    message: place,
                    file_bytes,
                    envelope: None,
                    notes: Vec::new(),
                    first_note: notes,
                    meta_bytes: u64::from(header.meta_bytes),
                    brief,
                };
                self.put(number, entry);
                None
            }
            Kind::Envelope => {
                let mut entry = self.known(number)?;
                entry.envelope = Some(place);
                entry.notes.clear();
                entry.first_note = 0;
                entry.meta_bytes = u64::from(header.meta_bytes);
                entry.brief = brief;
                self.put(number, entry);
                None
            }
            Kind::Note => {
                self.note(fact);
                None
            }
            Kind::Remove => {
                self.strays.remove(&number);
                self.take(number)?.file_bytes.map(|_| number)
            }
        }
    }

    /// Thousands may stand beside one message: nothing is done to the others.
    fn note(&mut self, fact: &Fact) {
        let Fact { number, place, meta_bytes, brief, .. } = *fact;
        let Some(noted) = self.messages.noted(number) else {
            self.strays.insert(number);
            return;
        };
        let ordinal = u32::try_from(fact.extra).unwrap_or(u32::MAX);
        match ordinal.checked_sub(noted.first).and_then(|k| usize::try_from(k).ok()) {
            None => {}
            Some(k) if k < noted.count => {
                // What is behind it may be older than this: whoever wants to know reads the message.
                if let Some(former) = self.messages.move_note(number, k, place, Brief::default()) {
                    self.forget_place(former);
                    self.count_place(place);
                }
            }
            Some(_) => {
                self.messages.add_note(number, place, (brief, u64::from(meta_bytes) + 4));
                self.count_place(place);
            }
        }
    }

    /// The message that an envelope is about.
    fn known(&mut self, number: u64) -> Option<Entry> {
        let entry = self.take(number);
        if entry.is_none() {
            self.strays.insert(number);
        }
        entry
    }

    /// Numbers of messages that something is said about, and that are neither there nor removed.
    pub(crate) fn strays(&self) -> impl Iterator<Item = u64> {
        self.strays.iter().copied()
    }

    fn put(&mut self, number: u64, entry: Entry) {
        entry.places().for_each(|place| self.count_place(place));
        self.file_bytes += entry.file_bytes.unwrap_or(0);
        self.messages.insert(number, entry);
    }

    fn take(&mut self, number: u64) -> Option<Entry> {
        let entry = self.messages.remove(number)?;
        entry.places().for_each(|place| self.forget_place(place));
        self.file_bytes = self.file_bytes.saturating_sub(entry.file_bytes.unwrap_or(0));
        Some(entry)
    }

    fn count_place(&mut self, place: Place) {
        *self.live.entry(place.segment).or_default() += u64::from(place.bytes);
        self.live_bytes += u64::from(place.bytes);
    }

    fn forget_place(&mut self, place: Place) {
        if let Some(live) = self.live.get_mut(&place.segment) {
            *live = live.saturating_sub(u64::from(place.bytes));
        }
        self.live_bytes = self.live_bytes.saturating_sub(u64::from(place.bytes));
    }

    /// A segment gets no more records.
    pub(crate) fn seal(&mut self, segment: u64) {
        if let Some(listed) = self.by_place.get_mut(&segment) {
            listed.shrink_to_fit();
        }
    }

    /// Live bytes of one segment.
    pub(crate) fn live_in(&self, segment: u64) -> u64 {
        self.live.get(&segment).copied().unwrap_or(0)
    }

    /// Forgets a segment.
    pub(crate) fn drop_segment(&mut self, segment: u64) {
        self.segments.remove(&segment);
        self.live.remove(&segment);
        self.by_place.remove(&segment);
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
        let listed = self.by_place.get(&segment)?;
        let first = listed.partition_point(|(place, _)| *place < at);
        let lives = |(at, number): &(u32, u64)| {
            let place = self.messages.place(*number);
            place.is_some_and(|place| (place.segment, place.at) == (segment, *at))
        };
        listed.get(first..)?.iter().copied().find(lives)
    }
}
