//! What is damaged and kept: files in `corrupt/`, and what can still be read of them.
//!
//! A file there holds the bytes of one damaged stretch of the log, and says in its name where that was. So a stretch that
//! was kept is known at the next start, and nobody is told of it again. Nothing here is ever deleted, and nothing that
//! is read here is vouched for: it is good for names, not for delivery.

use crate::compact::write_aside;
use crate::disk::{Access, Disk};
use crate::error::SpoolError;
use crate::read::{Library, lock};
use crate::record::UNIT;

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

    /// Whether it is kept already, by itself or within a message's record.
    pub(crate) fn is_kept(&self, disk: &dyn Disk) -> bool {
        let names = disk.list("corrupt").unwrap_or_default();
        names.iter().any(|name| {
            let mut parts = name.rsplit('-').map(str::parse::<usize>);
            let Some(Ok(at)) = parts.next() else { return false };
            let here =
                parts.next().is_some_and(|number| number.is_ok_and(|number| number as u64 == self.segment));
            let Some(before) = self.from.checked_sub(at).filter(|_| here) else { return false };
            let Ok(file) = disk.open(&format!("corrupt/{name}"), Access::Read) else { return false };
            let is_within = file.size().is_ok_and(|size| before == 0 || (before as u64) < size);
            let mut kept = vec![0; self.bytes.len()];
            let read = file.read_at(&mut kept, before as u64);
            is_within && read.is_ok_and(|count| count == kept.len()) && kept == self.bytes
        })
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
}
