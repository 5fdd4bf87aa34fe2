//! A zip archive read as it comes: every entry's name, and the content of those that can be unpacked.
//!
//! An archive's table of contents stands at its end, and nobody's bytes are kept that long. So names are taken wherever
//! the mark of an entry stands, at its content and in the table, whatever lengths the archive claims; contents are
//! unpacked behind the first kind of mark. An entry that ends where it says, or where its deflate stream ends, so that
//! lies about sizes change nothing. What the table says of the whole is added up: entries that share their bytes, and
//! sizes beyond all limits, are a [`Bomb`](super::Danger). Encrypted entries show their names. APPNOTE 6.3 §4.3.

use super::inflate::{Inflater, Unpacked};
use super::unpack::{Content, Job};
use super::words::find;
use super::{Danger, Kind};

/// A local header, and an entry of the table, without their names.
const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
/// Bytes of a name; it claims up to 65,535.
const NAME_BYTES: usize = 4096;

/// One archive.
#[derive(Debug, Default)]
pub(super) struct Zip {
    /// What may be the beginning of a mark or is a header so far.
    tail: Vec<u8>,
    /// Bytes before `tail`.
    past: u64,
    entry: Option<Box<Entry>>,
    /// What the table's entries take of the archive, together.
    listed: u64,
}

/// The content of an entry on its way.
#[derive(Debug)]
struct Entry {
    from: u64,
    packing: Packing,
    content: Content,
}

#[derive(Debug)]
enum Packing {
    /// So many bytes are left, as far as is known.
    Stored(Option<u64>),
    Deflated(Inflater),
}

fn word16(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk::<2>())
        .map_or(0, |two| u64::from(u16::from_le_bytes(*two)))
}

fn word32(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk::<4>())
        .map_or(0, |four| u64::from(u32::from_le_bytes(*four)))
}

impl Zip {
    /// Takes more of the archive.
    pub(super) fn feed(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        if self.tail.is_empty() {
            let used = self.scan(bytes, job)?;
            self.tail.extend_from_slice(bytes.get(used..).unwrap_or_default());
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.tail);
        held.extend_from_slice(bytes);
        let used = self.scan(&held, job)?;
        held.drain(..used.min(held.len()));
        self.tail = held;
        Ok(())
    }

    /// The archive is over.
    pub(super) fn end(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        let tail = std::mem::take(&mut self.tail);
        self.content(&tail, self.past, job)?;
        match self.entry.take() {
            Some(mut entry) => entry.content.end(job),
            None => Ok(()),
        }
    }

    /// Deals with what is whole; how many bytes that are.
    fn scan(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<usize, Danger> {
        let mut at = 0_usize;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(mark) = find(rest, b"PK") else {
                let keep = usize::from(rest.last() == Some(&b'P'));
                let (gone, _) = rest.split_at_checked(rest.len().saturating_sub(keep)).unwrap_or((rest, &[]));
                self.pass(gone, job)?;
                return Ok(at.saturating_add(gone.len()));
            };
            let (before, from) = rest.split_at_checked(mark).unwrap_or((rest, &[]));
            self.pass(before, job)?;
            at = at.saturating_add(before.len());
            match Header::read(from) {
                Read::More => return Ok(at),
                Read::Nothing => {
                    let (mark, _) = from.split_at_checked(2).unwrap_or((from, &[]));
                    self.pass(mark, job)?;
                    at = at.saturating_add(2);
                }
                Read::Header(header) => {
                    self.header(&header, from, job)?;
                    // An entry within an entry is looked for behind this mark alone.
                    let (mark, _) = from.split_at_checked(4).unwrap_or((from, &[]));
                    self.pass(mark, job)?;
                    at = at.saturating_add(4);
                }
            }
        }
    }

    /// Bytes that are no mark's beginning.
    fn pass(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        let from = self.past;
        self.content(bytes, from, job)?;
        self.past = from.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Hands bytes at a place of the archive to the entry that they belong to.
    fn content(&mut self, bytes: &[u8], from: u64, job: &mut Job<'_>) -> Result<(), Danger> {
        let Some(entry) = &mut self.entry else { return Ok(()) };
        let skip = usize::try_from(entry.from.saturating_sub(from)).unwrap_or(usize::MAX);
        let bytes = bytes.get(skip.min(bytes.len())..).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        if entry.take(bytes, job)? {
            entry.content.end(job)?;
            self.entry = None;
        }
        Ok(())
    }

    fn header(&mut self, header: &Header, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        let name_from = if header.is_local { LOCAL_BYTES } else { CENTRAL_BYTES };
        let name_to = name_from.saturating_add(header.name_bytes);
        let name = bytes.get(name_from..name_to.min(bytes.len())).unwrap_or_default();
        if header.name_bytes > NAME_BYTES {
            return Err(Danger::Names);
        }
        job.count_entry()?;
        job.name(name)?;
        if header.is_encrypted {
            job.kind(Kind::Encrypted, name)?;
        }
        if !header.is_local {
            return self.listed(header, job);
        }
        // The content of an entry whose end isn't known ends at the next mark.
        let is_free = match &self.entry {
            None => true,
            Some(entry) => matches!(entry.packing, Packing::Stored(None)),
        };
        if !is_free || header.is_encrypted {
            return Ok(());
        }
        if let Some(mut entry) = self.entry.take() {
            entry.content.end(job)?;
        }
        let packing = match header.method {
            0 if header.sizes_follow => Packing::Stored(None),
            0 => Packing::Stored(Some(header.packed)),
            8 => Packing::Deflated(Inflater::raw()),
            _ => return Ok(()),
        };
        let Some(content) = job.content(name) else { return job.too_deep() };
        let from = self.past.saturating_add((name_to as u64).saturating_add(header.extra_bytes));
        if matches!(packing, Packing::Stored(Some(0))) {
            return Ok(());
        }
        self.entry = Some(Box::new(Entry { from, packing, content }));
        Ok(())
    }

    /// What the table says.
    fn listed(&mut self, header: &Header, job: &mut Job<'_>) -> Result<(), Danger> {
        self.listed = self.listed.saturating_add(header.packed);
        // Each entry has its own bytes, all of them before the table.
        if self.listed > self.past && header.packed != u64::from(u32::MAX) {
            return Err(Danger::Bomb);
        }
        job.claims(header.packed, header.unpacked)
    }
}

impl Entry {
    /// Whether the entry is over.
    fn take(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<bool, Danger> {
        match &mut self.packing {
            Packing::Stored(None) => self.content.feed(bytes, job).map(|()| false),
            Packing::Stored(Some(left)) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                self.content.feed(bytes.get(..length).unwrap_or_default(), job)?;
                *left = left.saturating_sub(length as u64);
                Ok(*left == 0)
            }
            Packing::Deflated(inflater) => {
                let unpacked = inflater.feed(bytes, &mut self.content, job)?;
                Ok(unpacked != Unpacked::More)
            }
        }
    }
}

/// What a mark begins.
struct Header {
    is_local: bool,
    is_encrypted: bool,
    /// Sizes stand behind the content.
    sizes_follow: bool,
    method: u64,
    packed: u64,
    unpacked: u64,
    name_bytes: usize,
    extra_bytes: u64,
}

enum Read {
    /// More bytes are needed.
    More,
    Nothing,
    Header(Header),
}

impl Header {
    fn read(bytes: &[u8]) -> Read {
        let (is_local, fixed, flags_at) = match bytes {
            [b'P', b'K', 3, 4, ..] => (true, LOCAL_BYTES, 6_usize),
            [b'P', b'K', 1, 2, ..] => (false, CENTRAL_BYTES, 8),
            [b'P', b'K', 1 | 3] | [b'P', b'K'] | [b'P'] => return Read::More,
            _ => return Read::Nothing,
        };
        if bytes.len() < fixed {
            return Read::More;
        }
        let sizes = if is_local { 18 } else { 20 };
        let name_bytes = usize::try_from(word16(bytes, if is_local { 26 } else { 28 })).unwrap_or(0);
        if name_bytes <= NAME_BYTES && bytes.len() < fixed.saturating_add(name_bytes) {
            return Read::More;
        }
        let flags = word16(bytes, flags_at);
        Read::Header(Header {
            is_local,
            is_encrypted: flags & 1 != 0,
            sizes_follow: flags & 8 != 0,
            method: word16(bytes, flags_at.saturating_add(2)),
            packed: word32(bytes, sizes),
            unpacked: word32(bytes, sizes.saturating_add(4)),
            name_bytes,
            extra_bytes: word16(bytes, if is_local { 28 } else { 30 }),
        })
    }
}
