//! OneNote's notebooks: what is embedded in them is a click away from its reader.
//!
//! Each embedded file is looked into as an attachment is. One that is neither a picture nor a document may be a script,
//! which has no first bytes that tell: it is [`Kind::OneNote`]. Its name stands elsewhere and isn't looked for. MS-ONESTORE
//! §2.6.13.

use super::unpack::{Content, Job};
use super::words::find;
use super::{Danger, Kind};

/// What sections and tables of contents begin with.
pub(super) const MARKS: [&[u8]; 2] = [
    b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3",
    b"\xa1\x2f\xff\x43\xd9\xef\x76\x4c\x9e\xe2\x10\xea\x57\x22\x76\x5f",
];

/// What an embedded file begins with: a mark, its length, twelve bytes.
const FILE: &[u8] = b"\xe7\x16\xe3\xbd\x65\x26\x11\x45\xa4\xc4\x8d\x4d\x0b\x7a\x9e\xac";
const HEADER_BYTES: usize = 36;
/// First bytes of an embedded file.
const HEAD_BYTES: usize = 12;

/// Pictures, sound and documents, which are looked into elsewhere or run nothing.
const HARMLESS: [&[u8]; 16] = [
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"RIFF",
    b"\x01\0\0\0",
    b"\xd7\xcd\xc6\x9a",
    b"%PDF",
    b"PK\x03\x04",
    b"\xd0\xcf\x11\xe0",
    b"ID3",
    b"OggS",
    b"{\\rtf",
    b"\0\0\x01\0",
];

/// One notebook.
#[derive(Debug, Default)]
pub(super) struct Notebook {
    held: Vec<u8>,
    /// What is left of an embedded file.
    left: u64,
    head: Vec<u8>,
    content: Option<Box<Content>>,
}

impl Notebook {
    /// Takes more of the notebook.
    pub(super) fn feed(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        let rest = self.embedded(bytes, job)?;
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(rest);
        let mut at = 0_usize;
        loop {
            let rest = held.get(at..).unwrap_or_default();
            if self.left > 0 {
                let behind = self.embedded(rest, job)?.len();
                at = held.len().saturating_sub(behind);
                if self.left > 0 {
                    break;
                }
                continue;
            }
            let Some(mark) = find(rest, FILE) else {
                at = at.max(held.len().saturating_sub(FILE.len().saturating_sub(1)));
                break;
            };
            at = at.saturating_add(mark);
            let Some(header) = held.get(at..).and_then(|rest| rest.get(..HEADER_BYTES)) else { break };
            let length = header.get(FILE.len()..).and_then(|rest| rest.first_chunk::<8>());
            self.left = length.map_or(0, |bytes| u64::from_le_bytes(*bytes));
            at = at.saturating_add(HEADER_BYTES);
            job.count_entry()?;
            if self.left > 0 {
                let Some(content) = job.content(b"") else { return job.too_deep() };
                self.content = Some(Box::new(content));
            }
        }
        held.drain(..at.min(held.len()));
        self.held = held;
        Ok(())
    }

    /// The notebook is over.
    pub(super) fn end(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        let Some(mut content) = self.content.take() else { return Ok(()) };
        content.end(job)?;
        let head = std::mem::take(&mut self.head);
        // MP4 and its kin have their length first.
        let is_harmless =
            HARMLESS.iter().any(|mark| head.starts_with(mark)) || head.get(4..8) == Some(b"ftyp");
        if is_harmless { Ok(()) } else { job.kind(Kind::OneNote, b"") }
    }

    /// Hands on what belongs to an embedded file; gives what stands behind it.
    fn embedded<'b>(&mut self, bytes: &'b [u8], job: &mut Job<'_>) -> Result<&'b [u8], Danger> {
        if self.left == 0 {
            return Ok(bytes);
        }
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let (own, behind) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
        self.left = self.left.saturating_sub(own.len() as u64);
        let room = HEAD_BYTES.saturating_sub(self.head.len()).min(own.len());
        self.head.extend_from_slice(own.get(..room).unwrap_or_default());
        if let Some(content) = &mut self.content {
            content.feed(own, job)?;
        }
        if self.left == 0 {
            self.end(job)?;
        }
        Ok(behind)
    }
}
