//! The list of a sealed segment's records, beside it in `list/`: start reads it instead of the segment.
//!
//! A list is a copy, never the truth: it is written without a flush when its segment is sealed, and counts only where
//! its checksum, the segment's nonce and the number of the batch that follows all fit; where it doesn't, the segment is
//! read as if there were none, and the list written anew. It holds no contents, so what went bad in a segment with a
//! list is found when it is read, not at the start. An empty one, or one that only vouches for
//! batches, marks a segment that isn't sealed yet.

use crate::disk::{Access, Disk, DiskFile};
use crate::index::{Fact, Place};
use crate::messages::Brief;
use crate::record::{Kind, SegmentHeader};
use std::sync::Arc;

const MAGIC: u64 = 0x3154_5349_4C4D_4F4B; // KOMLIST1
const HEAD: usize = 48;
const FACT: usize = 56;
const VOUCHER: u64 = 0x0031_554F_564D_4F4B; // KOMOVU1

/// Where a segment's list is.
pub(crate) fn list_path(sequence: u64) -> String {
    format!("list/{sequence:x}")
}

/// Which records a list vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) sequence: u64,
    pub(crate) nonce: u64,
    /// The number of the batch that follows: that of the next segment's first one.
    pub(crate) end: u64,
    /// The largest number that a message had, and one.
    pub(crate) next_number: u64,
}

impl Scope {
    pub(crate) fn of(header: &SegmentHeader, end: u64) -> Scope {
        Scope { sequence: header.sequence, nonce: header.nonce, end, next_number: 0 }
    }
}

/// Writes a list; without one, start takes longer.
pub(crate) fn write_list(disk: &dyn Disk, scope: Scope, facts: &[Fact]) {
    let path = list_path(scope.sequence);
    let _ = disk.remove(&path);
    let written = disk.create(&path).and_then(|file| file.write_at(&encode(scope, facts), 0));
    if written.is_err() {
        let _ = disk.remove(&path);
    }
}

/// Says that a segment's header is durable: an empty list. Where the newest segment is gone or illegible, nothing else
/// would tell that it ever was.
pub(crate) fn mark(disk: &dyn Disk, sequence: u64) -> Option<Arc<dyn DiskFile>> {
    let path = list_path(sequence);
    let _ = disk.remove(&path);
    disk.create(&path).ok()
}

/// Says in a segment's mark that its batches below `end` were acknowledged: what is bad there was not torn. It is
/// written when there is time, without a flush; whether it was.
pub(crate) fn vouch(mark: &dyn DiskFile, (sequence, nonce): (u64, u64), end: u64) -> bool {
    let mut out = Vec::with_capacity(36);
    for value in [VOUCHER, sequence, nonce, end] {
        out.extend_from_slice(&value.to_le_bytes());
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    mark.write_at(&out, 0).is_ok()
}

/// Below which batch all of the newest segment's were acknowledged, as far as its mark says; 0 where it says nothing.
pub(crate) fn vouched(disk: &dyn Disk, header: &SegmentHeader) -> u64 {
    let mut bytes = [0; 36];
    let read =
        disk.open(&list_path(header.sequence), Access::Read).and_then(|file| file.read_at(&mut bytes, 0));
    let Some((covered, crc)) = bytes.split_last_chunk::<4>().filter(|_| read.is_ok_and(|count| count == 36))
    else {
        return 0;
    };
    let word = |at: usize| {
        covered.get(at..at + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_le_bytes)
    };
    let sound = crc32fast::hash(covered) == u32::from_le_bytes(*crc);
    let fits = (word(0), word(8), word(16)) == (VOUCHER, header.sequence, header.nonce);
    if sound && fits { word(24) } else { 0 }
}

/// The newest segment that has a list or a mark.
pub(crate) fn newest_marked(disk: &dyn Disk) -> u64 {
    let names = disk.list("list").unwrap_or_default();
    names.iter().filter_map(|name| u64::from_str_radix(name, 16).ok()).max().unwrap_or(0)
}

/// A segment's list, if it is whole and for this very segment; with the next message number.
pub(crate) fn read_list(disk: &dyn Disk, scope: Scope) -> Option<(Vec<Fact>, u64)> {
    let file = disk.open(&list_path(scope.sequence), Access::Read).ok()?;
    let size = usize::try_from(file.size().ok()?).ok()?;
    let mut bytes = vec![0; size];
    (file.read_at(&mut bytes, 0).ok()? == size).then_some(())?;
    decode(&bytes, scope)
}

fn encode(scope: Scope, facts: &[Fact]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + facts.len() * FACT + 4);
    for value in [MAGIC, scope.sequence, scope.nonce, scope.end, scope.next_number, facts.len() as u64] {
        out.extend_from_slice(&value.to_le_bytes());
    }
    for Fact { kind, number, place, meta_bytes, extra, notes, brief } in facts {
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&extra.to_le_bytes());
        for value in [*kind as u32, place.at, place.bytes, *meta_bytes, *notes, 0] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(brief);
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

fn decode(bytes: &[u8], scope: Scope) -> Option<(Vec<Fact>, u64)> {
    let (covered, crc) = bytes.split_last_chunk::<4>()?;
    (crc32fast::hash(covered) == u32::from_le_bytes(*crc)).then_some(())?;
    let (head, facts) = covered.split_at_checked(HEAD)?;
    let word = |at: usize| head.get(at..at + 8).and_then(|part| part.try_into().ok()).map(u64::from_le_bytes);
    let fits = word(0)? == MAGIC
        && (word(8)?, word(16)?, word(24)?) == (scope.sequence, scope.nonce, scope.end)
        && facts.len() as u64 == word(40)?.checked_mul(FACT as u64)?;
    fits.then_some(())?;
    let facts = facts.chunks_exact(FACT).map(|fact| decode_fact(fact, scope.sequence));
    Some((facts.collect::<Option<Vec<Fact>>>()?, word(32)?))
}

fn decode_fact(bytes: &[u8], segment: u64) -> Option<Fact> {
    let long =
        |at: usize| bytes.get(at..at + 8).and_then(|part| part.try_into().ok()).map(u64::from_le_bytes);
    let word =
        |at: usize| bytes.get(at..at + 4).and_then(|part| part.try_into().ok()).map(u32::from_le_bytes);
    let brief: Brief = bytes.get(40..56)?.try_into().ok()?;
    Some(Fact {
        kind: Kind::from_number(word(16)?)?,
        number: long(0)?,
        place: Place { segment, at: word(20)?, bytes: word(24)? },
        meta_bytes: word(28)?,
        extra: long(8)?,
        notes: word(32)?,
        brief,
    })
}

/// For fuzzing: whatever decodes is the same after encoding and decoding; nothing panics. The bytes are taken as they
/// are, and once more as the body of a list whose beginning, length and checksum are right.
pub fn fuzz(bytes: &[u8]) {
    survives(bytes);
    let count = (bytes.len() / FACT) as u64;
    let mut list = Vec::with_capacity(HEAD + bytes.len() + 4);
    for value in [MAGIC, 1, 2, 3, 4, count] {
        list.extend_from_slice(&value.to_le_bytes());
    }
    list.extend_from_slice(bytes);
    let crc = crc32fast::hash(&list);
    list.extend_from_slice(&crc.to_le_bytes());
    survives(&list);
}

fn survives(bytes: &[u8]) {
    let word =
        |at: usize| bytes.get(at..at + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_le_bytes);
    let mut scope = Scope { sequence: word(8), nonce: word(16), end: word(24), next_number: 0 };
    if let Some((facts, next_number)) = decode(bytes, scope) {
        scope.next_number = next_number;
        assert_eq!(
            decode(&encode(scope, &facts), scope),
            Some((facts, next_number)),
            "a list survives its encoding"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_for_one_segment_as_it_was() {
        let scope = Scope { sequence: 3, nonce: 4, end: 5, next_number: 77 };
        let place = Place { segment: 3, at: 8192, bytes: 128 };
        let fact =
            Fact { kind: Kind::Note, number: 9, place, meta_bytes: 10, extra: 11, notes: 0, brief: [7; 16] };
        let facts = vec![fact, Fact { kind: Kind::Message, notes: 2, ..fact }];
        let bytes = encode(scope, &facts);
        assert_eq!(decode(&bytes, scope), Some((facts, 77)));
        for other in [Scope { sequence: 4, ..scope }, Scope { nonce: 5, ..scope }, Scope { end: 6, ..scope }]
        {
            assert_eq!(decode(&bytes, other), None);
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged, scope), None, "byte {at}");
            fuzz(&damaged);
        }
        fuzz(&bytes);
        // The facts alone, each byte in turn another: behind a right checksum.
        let alone = &bytes[HEAD..bytes.len() - 4];
        for at in 0..alone.len() {
            for value in [0, 1, 2, 0x80, 0xFF] {
                let mut damaged = alone.to_vec();
                damaged[at] = value;
                fuzz(&damaged);
            }
        }
        assert_eq!(decode(&bytes[..bytes.len() - 1], scope), None);
    }
}
