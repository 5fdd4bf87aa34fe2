//! Deflate as it comes, and gzip around it: what is unpacked goes on at once, counted against the limits.
//!
//! Sizes and checksums that a file claims are not believed, nor asked about. RFC 1951, RFC 1952.

use super::Danger;
use super::unpack::{Content, Job};
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};

/// Bytes that are unpacked at a time.
const PIECE_BYTES: usize = 16_384;
/// Bytes of a gzip's name that are read.
const NAME_BYTES: usize = 4096;

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unpacked {
    /// It goes on.
    More,
    /// It has ended, so many bytes before the end of what was given.
    End(usize),
    /// It is no deflate stream any more.
    Broken,
}

/// One deflate stream.
pub(super) struct Inflater {
    state: Box<InflateState>,
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inflater")
    }
}

impl Inflater {
    /// A stream without a header.
    pub(super) fn raw() -> Inflater {
        Inflater { state: InflateState::new_boxed(DataFormat::Raw) }
    }

    /// Unpacks `bytes` into `content`.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        content: &mut Content,
        job: &mut Job<'_>,
    ) -> Result<Unpacked, Danger> {
        let mut out = vec![0; PIECE_BYTES];
        let mut rest = bytes;
        loop {
            let done = inflate(&mut self.state, rest, &mut out, MZFlush::None);
            rest = rest.get(done.bytes_consumed..).unwrap_or_default();
            let unpacked = out.get(..done.bytes_written).unwrap_or_default();
            job.unpacks(unpacked.len())?;
            content.feed(unpacked, job)?;
            match done.status {
                Ok(MZStatus::StreamEnd) => return Ok(Unpacked::End(rest.len())),
                Ok(_) if done.bytes_consumed == 0 && unpacked.is_empty() => return Ok(Unpacked::More),
                Ok(_) if rest.is_empty() && unpacked.len() < PIECE_BYTES => return Ok(Unpacked::More),
                Ok(_) => {}
                // No progress for want of input.
                Err(miniz_oxide::MZError::Buf) => return Ok(Unpacked::More),
                Err(_) => return Ok(Unpacked::Broken),
            }
        }
    }
}

/// One gzip file, of one member or several.
#[derive(Debug)]
pub(super) struct Gzip {
    state: Member,
    /// What of the header has come.
    head: Vec<u8>,
    content: Content,
}

#[derive(Debug)]
enum Member {
    Header,
    Deflated(Inflater),
    /// So many bytes are left of checksum and size.
    Trailer(usize),
    /// What comes is no gzip.
    Over,
}

impl Gzip {
    /// What is in it goes to `content`.
    pub(super) const fn new(content: Content) -> Gzip {
        Gzip { state: Member::Header, head: Vec::new(), content }
    }

    /// Takes more of the file.
    pub(super) fn feed(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match &mut self.state {
                Member::Over => return Ok(()),
                Member::Header => {
                    self.head.extend_from_slice(rest);
                    rest = &[];
                    let Some(header) = header(&self.head) else {
                        if self.head.len() > 2 * NAME_BYTES {
                            return Err(Danger::Names);
                        }
                        continue;
                    };
                    let Some((end, name)) = header else {
                        self.state = Member::Over;
                        continue;
                    };
                    job.name(&name)?;
                    self.state = Member::Deflated(Inflater::raw());
                    let head = std::mem::take(&mut self.head);
                    self.feed(head.get(end..).unwrap_or_default(), job)?;
                }
                Member::Deflated(inflater) => match inflater.feed(rest, &mut self.content, job)? {
                    Unpacked::More => return Ok(()),
                    Unpacked::Broken => self.state = Member::Over,
                    Unpacked::End(left) => {
                        rest = rest.get(rest.len().saturating_sub(left)..).unwrap_or_default();
                        self.state = Member::Trailer(8);
                    }
                },
                Member::Trailer(left) => {
                    let length = (*left).min(rest.len());
                    rest = rest.get(length..).unwrap_or_default();
                    *left = left.saturating_sub(length);
                    if *left == 0 {
                        job.count_entry()?;
                        self.state = Member::Header;
                    }
                }
            }
        }
        Ok(())
    }

    /// The file is over.
    pub(super) fn end(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        self.content.end(job)
    }
}

/// Where a header ends, and the file's name; `None` while it is not whole, `Some(None)` where it is none.
#[expect(clippy::option_option, reason = "not yet, and never")]
fn header(bytes: &[u8]) -> Option<Option<(usize, Vec<u8>)>> {
    let [first, second, method, flags, ..] = bytes else {
        return if b"\x1f\x8b\x08".starts_with(bytes) { None } else { Some(None) };
    };
    if (*first, *second, *method) != (0x1f, 0x8b, 8) {
        return Some(None);
    }
    let mut at = 10_usize;
    if flags & 4 != 0 {
        let extra = bytes.get(at..)?.first_chunk::<2>()?;
        at = at.saturating_add(2).saturating_add(usize::from(u16::from_le_bytes(*extra)));
    }
    let mut name = Vec::new();
    for flag in [8, 16] {
        if flags & flag == 0 {
            continue;
        }
        let text = bytes.get(at..)?;
        let end = memchr::memchr(0, text)?;
        if flag == 8 {
            name = text.get(..end)?.to_vec();
        }
        at = at.saturating_add(end).saturating_add(1);
    }
    if flags & 2 != 0 {
        at = at.saturating_add(2);
    }
    (bytes.len() >= at).then_some(Some((at, name)))
}
