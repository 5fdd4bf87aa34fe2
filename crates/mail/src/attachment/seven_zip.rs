//! A 7z archive as it comes: the names in its list, where the list isn't packed itself.
//!
//! The list stands at the end, and its structure isn't followed: whatever in it is text in UTF-16 up to a NUL is a name,
//! so that nothing which the list claims hides one. 7zFormat.txt.

use super::unpack::Job;
use super::{Danger, Kind};

const START_BYTES: usize = 32;
/// Units of a name that count.
const NAME_UNITS: usize = 4096;
/// The list is there as it is.
const PLAIN_LIST: u8 = 1;

/// One archive.
#[derive(Debug, Default)]
pub(super) struct SevenZip {
    start: Vec<u8>,
    /// Bytes before the list, and of the list.
    before: u64,
    left: u64,
    is_begun: bool,
    /// The byte before, and the names so far that begin at even and at odd places.
    last: u8,
    names: [Vec<u16>; 2],
    is_odd: bool,
}

impl SevenZip {
    /// Takes more of the archive.
    pub(super) fn feed(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        let missing = START_BYTES.saturating_sub(self.start.len()).min(bytes.len());
        let (start, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
        if missing > 0 {
            self.start.extend_from_slice(start);
            if self.start.len() < START_BYTES {
                return Ok(());
            }
            let number = |at: usize| {
                let bytes = self.start.get(at..).and_then(|rest| rest.first_chunk::<8>());
                bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
            };
            (self.before, self.left) = (number(12), number(20));
        }
        let skipped = usize::try_from(self.before).unwrap_or(usize::MAX).min(rest.len());
        self.before = self.before.saturating_sub(skipped as u64);
        let list = rest.get(skipped..).unwrap_or_default();
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(list.len());
        self.left = self.left.saturating_sub(length as u64);
        for byte in list.get(..length).unwrap_or_default() {
            self.byte(*byte, job)?;
        }
        Ok(())
    }

    /// The archive is over; one that ends before its list has shown nothing.
    pub(super) fn end(&self, job: &Job<'_>) -> Result<(), Danger> {
        if self.left > 0 || self.start.len() < START_BYTES { job.kind(Kind::Unlisted, b"") } else { Ok(()) }
    }

    fn byte(&mut self, byte: u8, job: &mut Job<'_>) -> Result<(), Danger> {
        if !std::mem::replace(&mut self.is_begun, true) && byte != PLAIN_LIST {
            self.left = 0;
            return job.kind(Kind::Unlisted, b"");
        }
        let unit = u16::from_le_bytes([self.last, byte]);
        self.last = byte;
        self.is_odd = !self.is_odd;
        let [even, odd] = &mut self.names;
        let name = if self.is_odd { odd } else { even };
        if unit != 0 {
            if name.len() == NAME_UNITS {
                name.drain(..NAME_UNITS / 2);
            }
            name.push(unit);
            return Ok(());
        }
        let name = std::mem::take(name);
        if !name.contains(&u16::from(b'.')) {
            return Ok(());
        }
        job.count_entry()?;
        job.name(String::from_utf16_lossy(&name).as_bytes())
    }
}
