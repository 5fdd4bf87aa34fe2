//! The write-ahead log beside a file: the newest committed state of each page that it holds.
//!
//! A frame counts when its salts are the log's, the sums over all frames up to it are right, and a commit follows.

use super::{Bytes, number_u32};
use std::collections::HashMap;

const HEADER: u64 = 32;
const FRAME_HEADER: usize = 24;

pub(super) struct Wal<'b> {
    log: &'b dyn Bytes,
    /// Where each page's bytes begin.
    places: HashMap<u32, u64>,
    pages: u32,
}

/// The two sums that run through a log.
#[derive(Clone, Copy, Default, PartialEq)]
struct Sums(u32, u32);

impl Sums {
    fn add(self, bytes: &[u8], is_big: bool) -> Sums {
        let word = |at: &[u8]| {
            let four = at.first_chunk().copied().unwrap_or_default();
            if is_big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
        };
        let pairs = bytes.chunks_exact(8);
        pairs.fold(self, |Sums(one, two), pair| {
            let one = one.wrapping_add(word(pair)).wrapping_add(two);
            let two = two.wrapping_add(word(pair.get(4..).unwrap_or_default())).wrapping_add(one);
            Sums(one, two)
        })
    }
}

impl<'b> Wal<'b> {
    /// Reads a log; none where it holds nothing that was committed.
    pub(super) fn read(log: &'b dyn Bytes, page_bytes: u32) -> Result<Option<Wal<'b>>, String> {
        let mut header = [0_u8; 32];
        if log.len() < HEADER {
            return Ok(None);
        }
        log.read_at(0, &mut header)?;
        let word = |at: usize| number_u32(&header, at).unwrap_or(0);
        let is_big = match word(0) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return Ok(None),
        };
        let mut sums = Sums::default().add(header.get(..24).unwrap_or_default(), is_big);
        if word(8) != page_bytes || sums != Sums(word(24), word(28)) {
            return Ok(None);
        }
        let salts = header.get(16..24).unwrap_or_default();
        let mut frame = vec![0; FRAME_HEADER + usize::try_from(page_bytes).unwrap_or(0)];
        let step = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        let (mut places, mut pages, mut pending) = (HashMap::new(), None, Vec::new());
        let mut at = HEADER;
        while at.checked_add(step).is_some_and(|end| end <= log.len()) {
            log.read_at(at, &mut frame)?;
            let (head, page) = frame.split_at_checked(FRAME_HEADER).unwrap_or_default();
            let word = |at: usize| number_u32(head, at).unwrap_or(0);
            sums = sums.add(head.get(..8).unwrap_or_default(), is_big).add(page, is_big);
            if head.get(8..16) != Some(salts) || sums != Sums(word(16), word(20)) {
                break;
            }
            pending.push((word(0), at + FRAME_HEADER as u64));
            if word(4) != 0 {
                pages = Some(word(4));
                places.extend(pending.drain(..));
            }
            at += step;
        }
        Ok(pages.map(|pages| Wal { log, places, pages }))
    }

    /// How many pages the file has once the log is in it.
    pub(super) fn pages(&self) -> u32 {
        self.pages
    }

    /// A page's newest state, if the log has it.
    pub(super) fn page(&self, number: u32, out: &mut [u8]) -> Result<bool, String> {
        let Some(at) = self.places.get(&number) else { return Ok(false) };
        self.log.read_at(*at, out)?;
        Ok(true)
    }
}
