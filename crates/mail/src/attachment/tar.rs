//! A tar archive as it comes: names of its entries, in all the places where one may stand, and their contents.
//!
//! POSIX ustar with prefixes, GNU's long names, pax' `path=`; sizes in octal or in base 256. An archive whose sizes are
//! nonsense is read as one entry. POSIX.1-2017 pax.

use super::Danger;
use super::unpack::{Content, Job};

const BLOCK_BYTES: usize = 512;
/// Bytes of an entry that holds a name.
const NAME_BYTES: u64 = 8192;

/// One archive.
#[derive(Debug, Default)]
pub(super) struct Tar {
    /// The header block so far.
    block: Vec<u8>,
    /// Content that is left, and the blanks behind it.
    left: u64,
    padding: u64,
    into: Into,
}

#[derive(Debug, Default)]
enum Into {
    #[default]
    Nowhere,
    Content(Box<Content>),
    /// A name of the next entry.
    Name(Vec<u8>),
}

/// Whether a file's first bytes are an archive's.
pub(super) fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar") || (head.get(..BLOCK_BYTES).is_some_and(is_old))
}

/// A header before POSIX: its checksum is right.
fn is_old(block: &[u8]) -> bool {
    let says = octal(block.get(148..156).unwrap_or_default());
    let sum = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) });
    let sum: u64 = sum.sum();
    // A block of blanks has none.
    block.first().is_some_and(|byte| *byte != 0) && says == Some(sum)
}

fn octal(field: &[u8]) -> Option<u64> {
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        let low = u64::from(first & 0x7f);
        return rest
            .iter()
            .try_fold(low, |number, byte| number.checked_mul(256)?.checked_add(u64::from(*byte)));
    }
    let text = field.split(|byte| *byte == 0).next()?.trim_ascii();
    let digits = text.iter().map(|byte| char::from(*byte).to_digit(8));
    digits.into_iter().try_fold(0_u64, |number, digit| number.checked_mul(8)?.checked_add(u64::from(digit?)))
}

impl Tar {
    /// Takes more of the archive.
    pub(super) fn feed(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.left > 0 {
                let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                let (part, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
                self.left = self.left.saturating_sub(length as u64);
                rest = behind;
                match &mut self.into {
                    Into::Nowhere => {}
                    Into::Content(content) => content.feed(part, job)?,
                    Into::Name(name) => name.extend_from_slice(part),
                }
                if self.left == 0 {
                    self.end(job)?;
                }
            } else if self.padding > 0 {
                let length = usize::try_from(self.padding).unwrap_or(usize::MAX).min(rest.len());
                self.padding = self.padding.saturating_sub(length as u64);
                rest = rest.get(length..).unwrap_or_default();
            } else {
                let length = BLOCK_BYTES.saturating_sub(self.block.len()).min(rest.len());
                let (part, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
                self.block.extend_from_slice(part);
                rest = behind;
                if self.block.len() == BLOCK_BYTES {
                    let block = std::mem::take(&mut self.block);
                    self.header(&block, job)?;
                }
            }
        }
        Ok(())
    }

    /// An entry is over, or the archive.
    pub(super) fn end(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        match std::mem::take(&mut self.into) {
            Into::Nowhere => Ok(()),
            Into::Content(mut content) => content.end(job),
            Into::Name(text) => {
                // pax: `30 path=a/b/c`.
                let lines = text.split(|byte| *byte == b'\n');
                for name in lines.filter_map(|line| line.splitn(2, |byte| *byte == b'=').last()) {
                    job.name(name)?;
                }
                job.name(&text)
            }
        }
    }

    fn header(&mut self, block: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        job.count_entry()?;
        let field = |from: usize, to: usize| {
            let field = block.get(from..to).unwrap_or_default();
            field.split(|byte| *byte == 0).next().unwrap_or_default()
        };
        let name = field(0, 100);
        job.name(name)?;
        // A name of more than 100 bytes ends here too.
        job.name(&[field(345, 500), b"/", name].concat())?;
        self.left = octal(block.get(124..136).unwrap_or_default()).unwrap_or(u64::MAX);
        self.padding = (BLOCK_BYTES as u64).wrapping_sub(self.left % BLOCK_BYTES as u64) % BLOCK_BYTES as u64;
        self.into = match block.get(156) {
            Some(b'L' | b'x' | b'g' | b'K') if self.left <= NAME_BYTES => Into::Name(Vec::new()),
            Some(b'L' | b'x') => return Err(Danger::Names),
            Some(b'1'..=b'6') => {
                // Links and folders have no content.
                (self.left, self.padding) = (0, 0);
                Into::Nowhere
            }
            _ => match job.content(name) {
                Some(content) => Into::Content(Box::new(content)),
                None => return job.too_deep(),
            },
        };
        if self.left == 0 {
            self.into = Into::Nowhere;
        }
        Ok(())
    }
}
