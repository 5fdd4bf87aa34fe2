//! A RAR archive as it comes: names of its entries, and the contents of those that are stored as they are.
//!
//! Versions 1.5 to 4 and 5. What is packed isn't unpacked: its name and the archive's own kind must do. Checksums aren't
//! asked about. Behind a list that is encrypted nothing is seen. Formats as RARLAB's technote and libarchive tell them.

use super::unpack::{Content, Job};
use super::words::find;
use super::{Danger, Kind};

const MARK_4: &[u8] = b"Rar!\x1a\x07\x00";
const MARK_5: &[u8] = b"Rar!\x1a\x07\x01\x00";
/// Bytes of a header; with more it hides something.
const HEADER_BYTES: u64 = 65_536;
/// Characters of a name.
const NAME_CHARS: usize = 2048;

/// One archive.
#[derive(Debug, Default)]
pub(super) struct Rar {
    version: Version,
    /// What has come and isn't dealt with.
    held: Vec<u8>,
    /// What is left of an entry's content.
    left: u64,
    content: Option<Box<Content>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Version {
    /// The mark hasn't come: something may stand before it.
    #[default]
    Unknown,
    Four,
    Five,
    /// What follows can't be read.
    Over,
}

/// Whether a file's first bytes have an archive's mark.
pub(super) fn is_rar(head: &[u8]) -> bool {
    find(head, MARK_4).is_some() || find(head, MARK_5).is_some()
}

/// A header that has come whole.
struct Block {
    bytes: usize,
    /// Content behind it.
    content: u64,
    what: What,
}

enum What {
    File {
        names: Vec<Vec<u8>>,
        is_encrypted: bool,
        /// It is packed by no method.
        is_stored: bool,
    },
    /// All that follows is encrypted.
    EncryptedList,
    Other,
}

impl Rar {
    /// Takes more of the archive.
    pub(super) fn feed(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        let rest = self.content(bytes, job)?;
        if rest.is_empty() || self.version == Version::Over {
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(rest);
        let mut at = 0_usize;
        while let Some(read) = self.step(held.get(at..).unwrap_or_default(), job)? {
            at = at.saturating_add(read);
        }
        held.drain(..at.min(held.len()));
        if self.version != Version::Over {
            self.held = held;
        }
        Ok(())
    }

    /// The archive is over.
    pub(super) fn end(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        self.content.take().map_or(Ok(()), |mut content| content.end(job))
    }

    /// Hands on what belongs to an entry's content; gives what stands behind it.
    fn content<'b>(&mut self, bytes: &'b [u8], job: &mut Job<'_>) -> Result<&'b [u8], Danger> {
        if self.left == 0 {
            return Ok(bytes);
        }
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let (own, behind) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
        self.left = self.left.saturating_sub(own.len() as u64);
        if let Some(content) = &mut self.content {
            content.feed(own, job)?;
        }
        if self.left == 0 {
            self.end(job)?;
        }
        Ok(behind)
    }

    /// Deals with what stands first; how many bytes that were, `None` where more must come.
    fn step(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<Option<usize>, Danger> {
        if self.left > 0 {
            let behind = self.content(bytes, job)?.len();
            return Ok(Some(bytes.len().saturating_sub(behind)).filter(|read| *read > 0));
        }
        let block = match self.version {
            Version::Over => return Ok(None),
            Version::Unknown => return Ok(self.seek(bytes)),
            Version::Four => four(bytes),
            Version::Five => five(bytes),
        };
        match block {
            Read::More => Ok(None),
            Read::Long => Err(Danger::Names),
            Read::Nothing => {
                self.version = Version::Over;
                Ok(None)
            }
            Read::Block(block) => {
                self.block(block.what, block.content, job)?;
                Ok(Some(block.bytes))
            }
        }
    }

    /// Finds the mark.
    fn seek(&mut self, bytes: &[u8]) -> Option<usize> {
        let found = [(MARK_4, Version::Four), (MARK_5, Version::Five)];
        let found = found.into_iter().filter_map(|(mark, version)| Some((find(bytes, mark)?, mark, version)));
        match found.min_by_key(|(at, ..)| *at) {
            Some((at, mark, version)) => {
                self.version = version;
                Some(at.saturating_add(mark.len()))
            }
            None => Some(bytes.len().saturating_sub(MARK_5.len())).filter(|gone| *gone > 0),
        }
    }

    fn block(&mut self, what: What, content: u64, job: &mut Job<'_>) -> Result<(), Danger> {
        self.left = content;
        match what {
            What::Other => Ok(()),
            What::EncryptedList => {
                self.version = Version::Over;
                job.kind(Kind::Encrypted, b"")?;
                job.kind(Kind::Unlisted, b"")
            }
            What::File { names, is_encrypted, is_stored } => {
                job.count_entry()?;
                for name in &names {
                    job.name(name)?;
                }
                let name = names.first().map(Vec::as_slice).unwrap_or_default();
                if is_encrypted {
                    return job.kind(Kind::Encrypted, name);
                }
                if is_stored && content > 0 {
                    let Some(inner) = job.content(name) else { return job.too_deep() };
                    self.content = Some(Box::new(inner));
                }
                Ok(())
            }
        }
    }
}

enum Read {
    More,
    /// It claims more than a header has.
    Long,
    Nothing,
    Block(Block),
}

/// Takes numbers off the front.
struct Numbers<'b>(&'b [u8]);

impl<'b> Numbers<'b> {
    fn piece(&mut self, length: u64) -> Option<&'b [u8]> {
        let (piece, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(piece)
    }

    /// Of so many bytes, the lowest first.
    fn fixed(&mut self, bytes: u64) -> Option<u64> {
        Some(self.piece(bytes)?.iter().rev().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte)))
    }

    /// Seven bits in each byte, the lowest first.
    fn variable(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for at in 0..10_u32 {
            let byte = self.fixed(1)?;
            number |= (byte & 0x7f).checked_shl(at.saturating_mul(7)).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

/// A header of version 4.
fn four(bytes: &[u8]) -> Read {
    let mut numbers = Numbers(bytes);
    let (Some(_), Some(kind), Some(flags), Some(size)) =
        (numbers.fixed(2), numbers.fixed(1), numbers.fixed(2), numbers.fixed(2))
    else {
        return Read::More;
    };
    if !(0x72..=0x7b).contains(&kind) || size < 7 {
        return Read::Nothing;
    }
    let Some(header) = Numbers(bytes).piece(size) else { return Read::More };
    let mut numbers = Numbers(header.get(7..).unwrap_or_default());
    // Not behind headers of files, whose first number is the same.
    let content = if flags & 0x8000 != 0 || kind == 0x74 { numbers.fixed(4).unwrap_or(0) } else { 0 };
    let what = match kind {
        0x73 if flags & 0x80 != 0 => What::EncryptedList,
        0x74 => return file_four(header, flags, content, numbers),
        _ => What::Other,
    };
    Read::Block(Block { bytes: header.len(), content, what })
}

fn file_four(header: &[u8], flags: u64, content: u64, mut numbers: Numbers<'_>) -> Read {
    // Unpacked size, system, checksum, time, version.
    let file = numbers.piece(4 + 1 + 4 + 4 + 1).and_then(|_| Some((numbers.fixed(1)?, numbers.fixed(2)?)));
    let Some((method, name_bytes)) = file else { return Read::Nothing };
    let high = numbers.fixed(4).and_then(|_| if flags & 0x100 == 0 { Some(0) } else { numbers.fixed(4) });
    if flags & 0x100 != 0 {
        let _ = numbers.fixed(4);
    }
    let name = numbers.0.get(..usize::try_from(name_bytes).unwrap_or(usize::MAX)).unwrap_or(numbers.0);
    let content = content.saturating_add(high.unwrap_or(0).checked_shl(32).unwrap_or(0));
    let mut names = vec![name.to_vec()];
    if flags & 0x200 != 0
        && let Some(at) = memchr::memchr(0, name)
    {
        let (plain, code) = name.split_at_checked(at).unwrap_or((name, &[]));
        names = vec![wide_name(plain, code.get(1..).unwrap_or_default()), plain.to_vec()];
    }
    let what = What::File { names, is_encrypted: flags & 4 != 0, is_stored: method == 0x30 };
    Read::Block(Block { bytes: header.len(), content, what })
}

/// A name of version 4 in Unicode: what differs from the plain one is in `code`.
fn wide_name(plain: &[u8], code: &[u8]) -> Vec<u8> {
    let mut code = code.iter().copied();
    let high = u16::from(code.next().unwrap_or(0)) << 8;
    let (mut flags, mut bits) = (0_u8, 0_u32);
    let mut units: Vec<u16> = Vec::new();
    while units.len() < NAME_CHARS {
        if bits == 0 {
            let Some(next) = code.next() else { break };
            (flags, bits) = (next, 8);
        }
        let Some(first) = code.next() else { break };
        match flags >> 6 {
            0 => units.push(u16::from(first)),
            1 => units.push(u16::from(first) | high),
            2 => units.push(u16::from(first) | (u16::from(code.next().unwrap_or(0)) << 8)),
            _ => {
                let correction = (first & 0x80 != 0).then(|| code.next().unwrap_or(0));
                for _ in 0..(first & 0x7f).saturating_add(2) {
                    let byte = plain.get(units.len()).copied().unwrap_or(0);
                    units.push(match correction {
                        Some(more) => u16::from(byte.wrapping_add(more)) | high,
                        None => u16::from(byte),
                    });
                }
            }
        }
        (flags, bits) = (flags << 2, bits.saturating_sub(2));
    }
    String::from_utf16_lossy(&units).into_bytes()
}

/// A header of version 5.
fn five(bytes: &[u8]) -> Read {
    let mut numbers = Numbers(bytes);
    let size = numbers.fixed(4).and_then(|_| numbers.variable());
    let Some(size) = size else { return if bytes.len() < 14 { Read::More } else { Read::Nothing } };
    if size > HEADER_BYTES {
        return Read::Long;
    }
    let Some(header) = numbers.piece(size) else { return Read::More };
    let read = bytes.len().saturating_sub(numbers.0.len());
    parsed_five(header, read).map_or(Read::Nothing, Read::Block)
}

fn parsed_five(header: &[u8], bytes: usize) -> Option<Block> {
    let mut numbers = Numbers(header);
    let (kind, flags) = (numbers.variable()?, numbers.variable()?);
    let extra_bytes = if flags & 1 != 0 { numbers.variable()? } else { 0 };
    let content = if flags & 2 != 0 { numbers.variable()? } else { 0 };
    let what = match kind {
        4 => What::EncryptedList,
        2 => file_five(numbers, extra_bytes)?,
        1 | 3 | 5 => What::Other,
        _ => return None,
    };
    Some(Block { bytes, content, what })
}

fn file_five(mut numbers: Numbers<'_>, extra_bytes: u64) -> Option<What> {
    let flags = numbers.variable()?;
    // Unpacked size, attributes.
    let _ = (numbers.variable()?, numbers.variable()?);
    for flag in [2, 4] {
        if flags & flag != 0 {
            numbers.fixed(4)?;
        }
    }
    let method = (numbers.variable()? >> 7) & 7;
    let _system = numbers.variable()?;
    let name_bytes = numbers.variable()?;
    let name = numbers.piece(name_bytes.min(numbers.0.len() as u64))?.to_vec();
    let from = numbers.0.len().saturating_sub(usize::try_from(extra_bytes).unwrap_or(usize::MAX));
    let mut extra = Numbers(numbers.0.get(from..).unwrap_or_default());
    let mut is_encrypted = false;
    while let Some(record) = extra.variable().and_then(|size| extra.piece(size)) {
        is_encrypted |= Numbers(record).variable() == Some(1);
    }
    Some(What::File { names: vec![name], is_encrypted, is_stored: method == 0 })
}
