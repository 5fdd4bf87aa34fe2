//! What is damaged and kept: files in `corrupt/`, and what can still be read of them.
//!
//! A file there holds the bytes of one damaged stretch of the log, and says in its name where that was. So a stretch that
//! was kept is known at the next start, and nobody is told of it again. Nothing here is ever deleted, and nothing that
//! is read here is vouched for: it is good for names, not for delivery.

use crate::compact::write_aside;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::SpoolError;
use crate::read::{Library, lock};
use crate::record::{BLOCK, UNIT};

/// As much of a file is looked at.
const LOOKED_AT: usize = 64 << 10;

/// A file in `corrupt/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// Its path under the spool directory.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its beginning.
    pub head: Vec<u8>,
}

/// Where bytes may be envelopes: at each place where a record may begin. Whoever asks must be able to tell.
pub fn envelopes_in(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts = (0..bytes.len()).step_by(UNIT);
    starts.filter_map(|at| envelope_of(bytes.get(at..)?)).filter(|envelope| !envelope.is_empty())
}

/// A record's envelope, as far as it is there.
fn envelope_of(record: &[u8]) -> Option<&[u8]> {
    let (length, rest) = record.get(UNIT..)?.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    rest.get(..length)
}

impl Library {
    /// See [`crate::Spool::glimpse`].
    pub(crate) fn glimpse(&self, number: u64) -> Option<Vec<u8>> {
        let (place, segment) = {
            let index = lock(&self.index);
            let place = index.messages.find(number)?.message;
            (place, index.segments.get(&place.segment)?.clone())
        };
        let mut bytes = vec![0; usize::try_from(place.bytes).ok()?.min(LOOKED_AT)];
        let count = segment.file.read_at(&mut bytes, u64::from(place.at)).ok()?;
        bytes.truncate(count);
        let envelope = bytes.get(UNIT + 4..)?;
        Some(envelope_of(&bytes).unwrap_or(envelope).to_vec())
    }
}

/// What was set apart earlier, and is there still, by name.
///
/// # Errors
/// When the disk can't be read.
pub fn kept_apart(disk: &dyn Disk) -> Result<Vec<Apart>, SpoolError> {
    let mut names = match disk.list("corrupt") {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(SpoolError::io("list", "corrupt", error)),
    };
    names.sort();
    let mut all = Vec::new();
    for path in names.iter().map(|name| format!("corrupt/{name}")) {
        let io = |error| SpoolError::io("read", &path, error);
        let file = disk.open(&path, Access::Read).map_err(io)?;
        let size = file.size().map_err(io)?;
        let mut head = vec![0; usize::try_from(size).unwrap_or(LOOKED_AT).min(LOOKED_AT)];
        let count = file.read_at(&mut head, 0).map_err(io)?;
        head.truncate(count);
        all.push(Apart { path, size, head });
    }
    Ok(all)
}

/// A damaged stretch of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    segment: u64,
    from: usize,
    /// Without the zeros around it.
    pub(crate) bytes: Vec<u8>,
}

impl Stretch {
    pub(crate) fn new(segment: u64, (from, to): (usize, usize), bytes: &[u8]) -> Stretch {
        let bytes = bytes.get(from..to.min(bytes.len())).unwrap_or_default();
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let bytes = bytes.get(..used).unwrap_or_default();
        // One unit of zeros may be a record's header.
        let zeros = bytes.chunks(UNIT).take_while(|unit| unit.iter().all(|byte| *byte == 0)).count();
        let blank = zeros.saturating_sub(1) * UNIT;
        let rest = bytes.get(blank..).unwrap_or_default();
        Stretch { segment, from: from + blank, bytes: rest.to_vec() }
    }

    /// Whether all of it is kept already: by itself, or in the records of the messages that it is of. The zeros that
    /// fill up a batch are in none.
    pub(crate) fn is_kept(&self, disk: &dyn Disk) -> bool {
        let mut kept = vec![false; self.bytes.len()];
        let mut is_named = false;
        for name in disk.list("corrupt").unwrap_or_default() {
            let mut parts = name.rsplit('-').map(str::parse::<u64>);
            let (Some(Ok(at)), Some(Ok(segment))) = (parts.next(), parts.next()) else { continue };
            if segment == self.segment
                && let Ok(file) = disk.open(&format!("corrupt/{name}"), Access::Read)
            {
                is_named |= self.look_up(file.as_ref(), at, &mut kept);
            }
        }
        is_named && self.gaps(&kept).all(|(from, to)| self.is_filling(from, to))
    }

    /// Notes which of its bytes a file has that begins at byte `at` of the segment; whether it has where it begins.
    fn look_up(&self, file: &dyn DiskFile, at: u64, kept: &mut [bool]) -> bool {
        let (from, size) = (self.from as u64, file.size().unwrap_or(0));
        let skipped = usize::try_from(at.saturating_sub(from)).unwrap_or(usize::MAX);
        let offset = from.saturating_sub(at);
        let left = kept.len().saturating_sub(skipped);
        let mut bytes = vec![0; left.min(usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX))];
        let count = file.read_at(&mut bytes, offset).unwrap_or(0);
        let own = self.bytes.iter().zip(kept.iter_mut()).skip(skipped);
        for ((byte, kept), same) in own.zip(bytes.iter().take(count)) {
            *kept |= byte == same;
        }
        at == from || (at < from && offset < size)
    }

    /// Where it isn't kept.
    fn gaps(&self, kept: &[bool]) -> impl Iterator<Item = (usize, usize)> {
        let mut at = 0;
        kept.chunk_by(|one, other| one == other).filter_map(move |run| {
            let from = at;
            at += run.len();
            (run.first() == Some(&false)).then_some((from, at))
        })
    }

    /// Whether nothing but the zeros behind a batch is there.
    fn is_filling(&self, from: usize, to: usize) -> bool {
        let bytes = self.bytes.get(from..to).unwrap_or_default();
        from > 0 && (self.from + to).is_multiple_of(BLOCK) && bytes.iter().all(|byte| *byte == 0)
    }

    pub(crate) fn keep(&self, disk: &dyn Disk) -> Result<String, SpoolError> {
        let path = format!("corrupt/stretch-{}-{}", self.segment, self.from);
        write_aside(disk, &path, &self.bytes)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simdisk::SimDisk;

    #[test]
    fn envelopes_where_records_may_begin() {
        let mut bytes = vec![9; UNIT];
        bytes.extend_from_slice(&3_u32.to_le_bytes());
        bytes.extend_from_slice(b"abc");
        let check = |bytes: &[u8], expect: &[&[u8]]| {
            assert_eq!(envelopes_in(bytes).collect::<Vec<_>>(), expect);
        };
        check(&bytes, &[b"abc"]);
        check(&bytes[..bytes.len() - 1], &[]);
        check(&[&[7; UNIT][..], &bytes].concat(), &[b"abc"]);
        check(&[&[7; UNIT + 1][..], &bytes].concat(), &[]);
        check(&[], &[]);
    }

    /// Two records in one batch, and one in the next.
    #[test]
    fn kept_in_whatever_pieces() {
        let disk = SimDisk::new(1, 1 << 20);
        disk.make_directory("corrupt").unwrap();
        let mut segment = vec![0; 3 * BLOCK];
        let (first, second, third) =
            (BLOCK..BLOCK + 512, BLOCK + 512..BLOCK + 640, 2 * BLOCK..2 * BLOCK + 64);
        segment[first.clone()].fill(7);
        segment[first.end - 10..first.end].fill(0);
        segment[second.clone()].fill(9);
        segment[third.clone()].fill(5);
        let keep = |name: &str, bytes: &[u8]| write_aside(&disk, &format!("corrupt/{name}"), bytes).unwrap();
        let check = |from: usize, to: usize, expect: bool| {
            assert_eq!(Stretch::new(3, (from, to), &segment).is_kept(&disk), expect, "{from} to {to}");
        };
        check(first.start, third.end, false);
        // Nothing is legible there, and nobody has said so.
        check(third.end, 3 * BLOCK, false);
        keep(&format!("100000-3-{}", first.start), &segment[first.clone()]);
        check(first.start, first.end, true);
        check(first.start + 64, first.end - 20, true);
        check(first.start, second.end, false);
        // Other segments', and what only looks like it.
        keep(&format!("100001-4-{}", second.start), &segment[second.clone()]);
        keep(&format!("stretch-3-{}", second.start), &[8; 128]);
        check(first.start, second.end, false);
        keep(&format!("100001-3-{}", second.start), &segment[second.clone()]);
        check(first.start, second.end, true);
        check(first.start, third.end, false);
        keep(&format!("100002-3-{}", third.start), &segment[third.clone()]);
        check(first.start, third.end, true);
        check(first.start, 3 * BLOCK, true);
        // A record that is all zeros now stood before them.
        check(first.start - 128, third.end, false);
        keep(&format!("stretch-3-{}", third.end), &[]);
        check(third.end, 3 * BLOCK, true);
    }
}
