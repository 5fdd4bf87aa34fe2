//! Outlook's `winmail.dat`: names of the attachments in it, and their contents.
//!
//! Attributes are followed one after the other; names that stand among an attachment's MAPI properties are taken wherever
//! the mark of such a property stands. MS-OXTNEF §2.1.

use super::Danger;
use super::unpack::{Content, Job};

/// What it begins with.
pub(super) const MARK: &[u8] = &[0x78, 0x9f, 0x3e, 0x22];

/// The mark and a key.
const START_BYTES: usize = 6;
/// Level, id, length.
const HEADER_BYTES: usize = 9;
const CHECKSUM_BYTES: u64 = 2;
/// Bytes of a name.
const NAME_BYTES: usize = 4096;

const TITLE: u32 = 0x0001_8010;
const DATA: u32 = 0x0006_800f;
const TRANSPORT_NAME: u32 = 0x0006_9001;
const PROPERTIES: u32 = 0x0006_9005;

/// One file.
#[derive(Debug, Default)]
pub(super) struct Tnef {
    is_begun: bool,
    /// A header so far.
    held: Vec<u8>,
    /// What is left of the attribute.
    left: u64,
    into: Into,
    /// The last attachment's name.
    name: Vec<u8>,
}

#[derive(Debug, Default)]
enum Into {
    #[default]
    Nowhere,
    Name(Vec<u8>),
    Content(Box<Content>),
    Properties(Properties),
}

impl Tnef {
    /// Takes more of the file.
    pub(super) fn feed(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.left > 0 {
                let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                let (own, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
                rest = behind;
                self.take(own, job)?;
                continue;
            }
            let wanted = if self.is_begun { HEADER_BYTES } else { START_BYTES };
            let missing = wanted.saturating_sub(self.held.len()).min(rest.len());
            let (part, behind) = rest.split_at_checked(missing).unwrap_or((rest, &[]));
            self.held.extend_from_slice(part);
            rest = behind;
            if self.held.len() == wanted {
                let held = std::mem::take(&mut self.held);
                if std::mem::replace(&mut self.is_begun, true) {
                    self.attribute(&held, job)?;
                }
            }
        }
        Ok(())
    }

    /// The file is over.
    pub(super) fn end(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        match std::mem::take(&mut self.into) {
            Into::Name(name) => job.name(&name),
            Into::Content(mut content) => content.end(job),
            Into::Nowhere | Into::Properties(_) => Ok(()),
        }
    }

    fn attribute(&mut self, header: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        let word = |at: usize| {
            let bytes = header.get(at..).and_then(|rest| rest.first_chunk::<4>());
            bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        self.left = u64::from(word(5)).saturating_add(CHECKSUM_BYTES);
        self.into = match word(1) {
            TITLE | TRANSPORT_NAME => Into::Name(Vec::new()),
            PROPERTIES => Into::Properties(Properties::default()),
            DATA => {
                job.count_entry()?;
                match job.content(&self.name) {
                    Some(content) => Into::Content(Box::new(content)),
                    None => return job.too_deep(),
                }
            }
            _ => Into::Nowhere,
        };
        Ok(())
    }

    /// Bytes of an attribute, its checksum with them.
    fn take(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        let value = self.left.saturating_sub(CHECKSUM_BYTES);
        let length = usize::try_from(value).unwrap_or(usize::MAX).min(bytes.len());
        let own = bytes.get(..length).unwrap_or_default();
        self.left = self.left.saturating_sub(bytes.len() as u64);
        match &mut self.into {
            Into::Nowhere => {}
            Into::Name(name) if name.len().saturating_add(own.len()) > NAME_BYTES => {
                return Err(Danger::Names);
            }
            Into::Name(name) => name.extend_from_slice(own),
            Into::Content(content) => content.feed(own, job)?,
            Into::Properties(properties) => properties.feed(own, job)?,
        }
        if self.left > 0 {
            return Ok(());
        }
        if let Into::Name(name) = &self.into {
            self.name.clone_from(name);
        }
        self.end(job)
    }
}

/// An attachment's properties, in which names are looked for.
#[derive(Debug, Default)]
struct Properties(Vec<u8>);

impl Properties {
    fn feed(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        self.0.extend_from_slice(bytes);
        let mut from = 0_usize;
        loop {
            let rest = self.0.get(from..).unwrap_or_default();
            let Some(at) = memchr::memchr(0x37, rest) else { break };
            let mark = from.saturating_add(at);
            // Type and id stand before, the number of values and the value's length behind.
            let property = mark.checked_sub(3).and_then(|begin| self.0.get(begin..=mark));
            let wide = match property {
                Some([0x1e, 0, 0x07 | 0x04, _]) => false,
                Some([0x1f, 0, 0x07 | 0x04, _]) => true,
                _ => {
                    from = mark.saturating_add(1);
                    continue;
                }
            };
            let behind = self.0.get(mark.saturating_add(1)..).unwrap_or_default();
            let Some(([1, 0, 0, 0, a, b, c, d], text)) = behind.split_first_chunk::<8>() else {
                if behind.len() < 8 {
                    // The mark stays, with what stands before it.
                    self.keep(mark.saturating_sub(3));
                    return Ok(());
                }
                from = mark.saturating_add(1);
                continue;
            };
            let length = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
            if length > NAME_BYTES {
                return Err(Danger::Names);
            }
            let Some(name) = text.get(..length) else {
                self.keep(mark.saturating_sub(3));
                return Ok(());
            };
            job.count_entry()?;
            if wide {
                let units: Vec<u16> =
                    name.as_chunks::<2>().0.iter().map(|two| u16::from_le_bytes(*two)).collect();
                job.name(String::from_utf16_lossy(&units).as_bytes())?;
            } else {
                job.name(name)?;
            }
            from = mark.saturating_add(1);
        }
        self.keep(self.0.len().saturating_sub(3).max(from));
        Ok(())
    }

    /// What stands before `from` has been read.
    fn keep(&mut self, from: usize) {
        self.0.drain(..from.min(self.0.len()));
    }
}
