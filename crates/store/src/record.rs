//! The log's bytes: segment headers and record headers, and nothing about files.
//!
//! All numbers little-endian. A record is valid only under its segment's nonce, so neither the slot's former
//! life nor a message body can pass for one. Every reader here takes bytes that may be damaged.

/// Batches start and end at multiples of this.
pub(crate) const BLOCK: usize = 4096;
/// Where a segment's first batch starts: behind the header and its copy.
pub(crate) const START: usize = 2 * BLOCK;
/// Records start at multiples of this; it is a record header's length too.
pub(crate) const UNIT: usize = 64;

const RECORD_MAGIC: u32 = 0x3152_534B; // KSR1
const SEGMENT_MAGIC: u64 = 0x3147_4553_414D_4F4B; // KOMASEG1

/// Rounds up to a multiple of `unit`, a power of two.
pub(crate) fn round_up(value: usize, unit: usize) -> usize {
    value.saturating_add(unit - 1) & !(unit - 1)
}

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) nonce: u64,
    pub(crate) sequence: u64,
    /// The oldest segment that still counts.
    pub(crate) oldest: u64,
    /// The segment before this one; 0 for the first.
    pub(crate) previous: u64,
    /// The number of this segment's first batch; in the previous one, batches from here on are void.
    pub(crate) first_batch: u64,
    /// No message had this number yet.
    pub(crate) next_number: u64,
}

impl SegmentHeader {
    /// Both copies: what stands before [`START`].
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(START);
        block.extend_from_slice(&SEGMENT_MAGIC.to_le_bytes());
        for value in
            [self.nonce, self.sequence, self.oldest, self.previous, self.first_batch, self.next_number]
        {
            block.extend_from_slice(&value.to_le_bytes());
        }
        let crc = crc32fast::hash(&block);
        block.extend_from_slice(&crc.to_le_bytes());
        block.resize(BLOCK, 0);
        block.extend_from_within(..);
        block
    }

    /// From a segment's first bytes: the newer copy of those that are whole.
    pub(crate) fn decode(bytes: &[u8]) -> Option<SegmentHeader> {
        let copies = [bytes, bytes.get(BLOCK..).unwrap_or_default()];
        copies
            .into_iter()
            .filter_map(SegmentHeader::decode_copy)
            .max_by_key(|header| (header.sequence, header.oldest))
    }

    fn decode_copy(bytes: &[u8]) -> Option<SegmentHeader> {
        let mut from = Fields(bytes.get(..60)?);
        let covered = bytes.get(..56)?;
        (from.u64()? == SEGMENT_MAGIC).then_some(())?;
        let header = SegmentHeader {
            nonce: from.u64()?,
            sequence: from.u64()?,
            oldest: from.u64()?,
            previous: from.u64()?,
            first_batch: from.u64()?,
            next_number: from.u64()?,
        };
        (from.u32()? == crc32fast::hash(covered)).then_some(header)
    }
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole message; its body inline.
    Message = 1,
    /// A whole message; its body in a file of its own.
    LargeMessage = 2,
    /// A new envelope, without notes.
    Envelope = 3,
    /// The k-th note.
    Note = 4,
    /// The message is gone.
    Remove = 5,
}

impl Kind {
    pub(crate) const fn from_number(number: u32) -> Option<Kind> {
        Some(match number {
            1 => Kind::Message,
            2 => Kind::LargeMessage,
            3 => Kind::Envelope,
            4 => Kind::Note,
            5 => Kind::Remove,
            _ => return None,
        })
    }
}

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: Kind,
    pub(crate) nonce: u64,
    pub(crate) batch: u64,
    /// Where in the segment the batch begins.
    pub(crate) batch_at: u32,
    pub(crate) number: u64,
    pub(crate) meta_bytes: u32,
    pub(crate) meta_crc: u32,
    /// Inline body.
    pub(crate) body_bytes: u32,
    /// Of the inline body or of the file.
    pub(crate) body_crc: u32,
    /// The body file's length, or the note's ordinal.
    pub(crate) extra: u64,
}

impl RecordHeader {
    /// The record's length with header and padding.
    pub(crate) fn total(&self) -> usize {
        let parts = u64::from(self.meta_bytes) + u64::from(self.body_bytes);
        round_up(UNIT.saturating_add(usize::try_from(parts).unwrap_or(usize::MAX / 2)), UNIT)
    }

    pub(crate) fn encode(&self) -> [u8; UNIT] {
        let mut out = [0; UNIT];
        let parts: [&[u8]; 10] = [
            &RECORD_MAGIC.to_le_bytes(),
            &[self.kind as u8, 0, 0, 0],
            &self.nonce.to_le_bytes(),
            &self.batch.to_le_bytes(),
            &self.number.to_le_bytes(),
            &self.extra.to_le_bytes(),
            &self.batch_at.to_le_bytes(),
            &self.meta_bytes.to_le_bytes(),
            &self.meta_crc.to_le_bytes(),
            &[self.body_bytes.to_le_bytes(), self.body_crc.to_le_bytes()].concat(),
        ];
        let mut bytes = parts.concat();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        for (to, from) in out.iter_mut().zip(bytes) {
            *to = from;
        }
        out
    }

    /// Reads a header of the segment with this nonce; `None` where there is none or it is damaged.
    pub(crate) fn decode(bytes: &[u8], nonce: u64) -> Option<RecordHeader> {
        let mut from = Fields(bytes.get(..UNIT)?);
        let covered = bytes.get(..60)?;
        (from.u32()? == RECORD_MAGIC).then_some(())?;
        let kind = Kind::from_number(from.u32()?)?;
        let found = from.u64()?;
        (found == nonce).then_some(())?;
        let (batch, number, extra, batch_at) = (from.u64()?, from.u64()?, from.u64()?, from.u32()?);
        let (meta_bytes, meta_crc) = (from.u32()?, from.u32()?);
        let (body_bytes, body_crc) = (from.u32()?, from.u32()?);
        (from.u32()? == crc32fast::hash(covered)).then_some(RecordHeader {
            kind,
            nonce,
            batch,
            batch_at,
            number,
            meta_bytes,
            meta_crc,
            body_bytes,
            body_crc,
            extra,
        })
    }

    /// The envelope part of a whole record, if its checksum is right.
    pub(crate) fn meta<'a>(&self, record: &'a [u8]) -> Option<&'a [u8]> {
        let end = UNIT.checked_add(usize::try_from(self.meta_bytes).ok()?)?;
        let meta = record.get(UNIT..end)?;
        (crc32fast::hash(meta) == self.meta_crc).then_some(meta)
    }

    /// The inline body of a whole record, if its checksum is right.
    pub(crate) fn body<'a>(&self, record: &'a [u8]) -> Option<&'a [u8]> {
        if self.kind == Kind::LargeMessage {
            return Some(&[]);
        }
        let start = UNIT.checked_add(usize::try_from(self.meta_bytes).ok()?)?;
        let body = record.get(start..start.checked_add(usize::try_from(self.body_bytes).ok()?)?)?;
        (crc32fast::hash(body) == self.body_crc).then_some(body)
    }
}

/// The envelope part of a message record: envelope and notes, each with its length in front.
pub(crate) fn encode_meta(envelope: &[u8], notes: &[Vec<u8>]) -> Vec<u8> {
    let size = notes.iter().map(|note| note.len() + 4).sum::<usize>() + envelope.len() + 4;
    let mut out = Vec::with_capacity(size);
    for part in std::iter::once(envelope).chain(notes.iter().map(Vec::as_slice)) {
        out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(part);
    }
    out
}

/// The other way.
pub(crate) fn decode_meta(meta: &[u8]) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let mut from = Fields(meta);
    let mut parts = Vec::new();
    while !from.0.is_empty() {
        let length = usize::try_from(from.u32()?).ok()?;
        parts.push(from.take(length)?.to_vec());
    }
    let envelope = (!parts.is_empty()).then(|| parts.remove(0))?;
    Some((envelope, parts))
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}

/// For fuzzing: no bytes make a reader of the log's format panic or read beyond them.
pub fn fuzz(bytes: &[u8]) {
    let _ = SegmentHeader::decode(bytes);
    let _ = decode_meta(bytes);
    let nonce = bytes.get(8..16).and_then(|nonce| nonce.try_into().ok()).map_or(0, u64::from_le_bytes);
    if let Some(header) = RecordHeader::decode(bytes, nonce) {
        let _ = (header.total(), header.meta(bytes), header.body(bytes));
    }
    let _ = crate::scan::scan(bytes, nonce, 0, crate::scan::End::Open(u64::from(bytes.len() > 99)));
    let _ = crate::apart::envelopes_in(bytes).count();
    let _ = crate::scan::headless_batches(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_survive() {
        let segment = SegmentHeader {
            nonce: 1,
            sequence: 2,
            oldest: 3,
            previous: 4,
            first_batch: 5,
            next_number: u64::MAX,
        };
        let bytes = segment.encode();
        assert_eq!(bytes.len(), START);
        assert_eq!(SegmentHeader::decode(&bytes), Some(segment));
        let mut half = bytes;
        half[20] ^= 1;
        assert_eq!(SegmentHeader::decode(&half), Some(segment), "the copy serves");
        half[BLOCK + 20] ^= 1;
        assert_eq!(SegmentHeader::decode(&half), None);
    }

    proptest! {
        #[test]
        fn one_changed_byte_is_noticed(at in 0usize..UNIT, flip in 1u8..=255, number in any::<u64>()) {
            let header = RecordHeader {
                kind: Kind::Note, nonce: 7, batch: 8, batch_at: 9, number, meta_bytes: 10, meta_crc: 11,
                body_bytes: 12, body_crc: 13, extra: 14,
            };
            let mut bytes = header.encode();
            prop_assert_eq!(RecordHeader::decode(&bytes, 7), Some(header));
            prop_assert_eq!(RecordHeader::decode(&bytes, 6), None);
            bytes[at] ^= flip;
            prop_assert_eq!(RecordHeader::decode(&bytes, 7), None);
        }

        #[test]
        fn any_bytes_are_readable(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), record in any::<bool>()) {
            if record && bytes.len() > 8 {
                bytes[..4].copy_from_slice(&RECORD_MAGIC.to_le_bytes());
                if bytes.len() >= UNIT {
                    let crc = crc32fast::hash(&bytes[..60]);
                    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
                }
            }
            fuzz(&bytes);
        }

        #[test]
        fn meta_survives(envelope in proptest::collection::vec(any::<u8>(), 0..20),
                         notes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..4)) {
            let bytes = encode_meta(&envelope, &notes);
            prop_assert_eq!(decode_meta(&bytes), Some((envelope, notes)));
            prop_assert_eq!(decode_meta(&bytes[..bytes.len() - 1]), None);
        }
    }
}
