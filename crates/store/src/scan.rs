//! Finding the records in a segment's bytes, and what is wrong with them.
//!
//! It judges, it doesn't repair: a damaged stretch is either in the last batch of the newest segment (torn:
//! nothing vouched for it) or elsewhere (rot). See docs/internals/queue-states.md, "Recovery".

use crate::record::{BLOCK, Kind, RecordHeader, START, UNIT, round_up};
use std::collections::BTreeSet;

/// A record whose header is sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) at: usize,
    pub(crate) header: RecordHeader,
    /// Whether envelope and body are whole too.
    pub(crate) whole: bool,
}

/// What a segment holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// In order. Void batches are left out.
    pub(crate) records: Vec<Found>,
    /// The number of the last batch that counts.
    pub(crate) last_batch: Option<u64>,
    /// Damaged bytes in the last batch of the newest segment.
    pub(crate) torn_bytes: usize,
    /// Damaged or missing stretches elsewhere.
    pub(crate) rotten: Vec<(usize, usize)>,
    /// Records whose header is sound and whose contents are not, and that aren't torn.
    pub(crate) corrupt: Vec<Found>,
}

/// What is known of a segment's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its successor's `first_batch`.
    Sealed(u64),
    /// It is the newest one. Batches below this were acknowledged; 0: nobody says.
    Open(u64),
}

/// Reads a segment whose first batch is number `first`.
pub(crate) fn scan(bytes: &[u8], nonce: u64, first: u64, end: End) -> Scan {
    let void = match end {
        End::Sealed(end) => Some(end),
        End::Open(_) => None,
    };
    let (records, void_at) = find(bytes, nonce, void);
    let last_batch = records.iter().map(|found| found.header.batch).max();
    let torn = match end {
        End::Sealed(_) => None,
        End::Open(vouched) => last_batch.filter(|last| *last >= vouched),
    };
    let mut scan = Scan { last_batch, ..Scan::default() };
    let mut previous: Option<Found> = None;
    for found in records {
        for (stretch, batch) in gaps(bytes, previous, &found) {
            scan.damaged(stretch, torn == Some(batch));
        }
        if !found.whole {
            let is_torn = torn == Some(found.header.batch);
            scan.damaged((found.at, found.at + found.header.total()), is_torn);
            if !is_torn {
                scan.corrupt.push(found);
            }
        }
        previous = Some(found);
        scan.records.push(found);
    }
    let tail = previous.map_or(START, |found| found.at + found.header.total());
    match end {
        // Batches that were acknowledged, or records of the last one, are missing at the end.
        End::Sealed(end) => {
            let next = scan.last_batch.map_or(first, |batch| batch.saturating_add(1));
            if next < end || !is_padding(bytes, tail) {
                let from = behind_padding(bytes, tail);
                scan.rotten.push((from, void_at.unwrap_or(bytes.len()).max(from)));
            }
        }
        End::Open(vouched) if last_batch.map_or(first, |batch| batch.saturating_add(1)) < vouched => {
            scan.rotten.push((behind_padding(bytes, tail), bytes.len()));
        }
        End::Open(_) if !is_padding(bytes, tail) => {
            scan.damaged((tail, round_up(tail, BLOCK)), torn.is_some());
        }
        End::Open(_) => {}
    }
    scan
}

impl Scan {
    /// Whether a record is folded into the index. A message that is damaged is there all the same: whoever reads it is
    /// told. A damaged note leaves the message as it was before; what is torn never was.
    pub(crate) fn counts(&self, record: &Found) -> bool {
        let is_message = matches!(record.header.kind, Kind::Message | Kind::LargeMessage);
        record.whole || is_message && self.corrupt.contains(record)
    }

    fn damaged(&mut self, stretch: (usize, usize), torn: bool) {
        if torn {
            self.torn_bytes += stretch.1 - stretch.0;
        } else {
            self.rotten.push(stretch);
        }
    }
}

/// The records that count, and where the first batch begins that is void.
fn find(bytes: &[u8], nonce: u64, end: Option<u64>) -> (Vec<Found>, Option<usize>) {
    let (mut at, mut records, mut void_at) = (START, Vec::new(), None);
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= UNIT) {
        let Some(header) = RecordHeader::decode(rest, nonce) else {
            at += UNIT;
            continue;
        };
        let Some(record) = rest.get(..header.total()) else {
            at += UNIT;
            continue;
        };
        if end.is_some_and(|end| header.batch >= end) {
            void_at.get_or_insert(usize::try_from(header.batch_at).unwrap_or(at).min(at));
            at += header.total();
            continue;
        }
        let whole = header.meta(record).is_some() && header.body(record).is_some();
        records.push(Found { at, header, whole });
        at += header.total();
    }
    (records, void_at)
}

/// The batches in a segment whose header is lost: each record says under which nonce it was written.
pub(crate) fn headless_batches(bytes: &[u8]) -> BTreeSet<u64> {
    let (mut at, mut batches) = (START, BTreeSet::new());
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= UNIT) {
        let nonce = rest.get(8..16).and_then(|nonce| nonce.try_into().ok()).map_or(0, u64::from_le_bytes);
        let header = RecordHeader::decode(rest, nonce);
        batches.extend(header.map(|header| header.batch));
        at = at.saturating_add(header.map_or(UNIT, |header| header.total()));
    }
    batches
}

/// The stretches before `found` that should hold records and don't, each with the batch it belongs to.
fn gaps(bytes: &[u8], previous: Option<Found>, found: &Found) -> Vec<((usize, usize), u64)> {
    let batch_at = usize::try_from(found.header.batch_at).unwrap_or(found.at).min(found.at);
    let batch = found.header.batch;
    let Some(before) = previous else {
        let mut gaps = Vec::new();
        if batch_at > START {
            gaps.push(((START, batch_at), batch.saturating_sub(1)));
        }
        if batch_at < found.at {
            gaps.push(((batch_at, found.at), batch));
        }
        return gaps;
    };
    let end = before.at + before.header.total();
    if before.header.batch == batch {
        return if end < found.at { vec![((end, found.at), batch)] } else { Vec::new() };
    }
    let mut gaps = Vec::new();
    let end = behind_padding(bytes, end);
    if end < batch_at {
        gaps.push(((end, batch_at), before.header.batch));
    }
    if batch_at < found.at {
        gaps.push(((batch_at, found.at), batch));
    }
    gaps
}

/// Where something may be missing behind a record that ends here: what fills up its batch isn't.
fn behind_padding(bytes: &[u8], end: usize) -> usize {
    if is_padding(bytes, end) { round_up(end, BLOCK) } else { end }
}

/// Whether nothing but zeros stands from `at` to the end of its block.
fn is_padding(bytes: &[u8], at: usize) -> bool {
    if at.is_multiple_of(BLOCK) {
        return true;
    }
    bytes.get(at..round_up(at, BLOCK).min(bytes.len())).is_none_or(|rest| rest.iter().all(|byte| *byte == 0))
}
