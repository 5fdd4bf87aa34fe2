//! Blocks of lines, looked at by several threads, and put together in their order.
//!
//! A [`Scout`] asks a filter's expressions about each line of a block, and counts. What a line comes to depends on those
//! before it where they are a session, or where it has no date: that is for the one [`Reader`] that takes the blocks
//! in, in their order.

use super::ask::{Asked, Told};
use super::quick::Ways;
use super::{Filter, LINE_BYTES_MAX, Outcome, Reader, cut_out};
use crate::zone::Zone;
use std::ops::Range;
use std::sync::Arc;

/// Looks at blocks of lines.
#[derive(Debug)]
pub struct Scout {
    filter: Arc<Filter>,
    zone: Zone,
    ways: Ways,
}

/// What a scout saw.
#[derive(Debug, Default)]
pub struct Block {
    /// How many lines there are, without empty ones and such that begin with `#`: fail2ban-regex passes them over.
    pub lines: u64,
    /// Lines with a date, by its pattern.
    pub dates: Vec<u64>,
    prefix_hits: u64,
    noted: Vec<Noted>,
    last_us: Option<i64>,
}

/// A line of which anything became.
#[derive(Debug)]
struct Noted {
    line: Range<usize>,
    /// Its date, or that of the last line of the block that had one.
    time_us: Option<i64>,
    asked: Asked<'static>,
    /// The expressions that match it as well.
    also: Vec<usize>,
}

impl Scout {
    /// One for a filter whose lines each stand for themselves, or belong to sessions; nothing for one that joins lines.
    #[must_use]
    pub fn new(filter: Arc<Filter>, zone: Zone) -> Option<Scout> {
        (filter.lines <= 1).then(|| Scout { filter, zone, ways: Ways::default() })
    }

    /// Looks at whole lines; hands on those that nothing became of.
    pub fn look(&mut self, text: &[u8], now_us: i64, missed: &mut dyn FnMut(&[u8])) -> Block {
        let filter = Arc::clone(&self.filter);
        let mut block = Block::default();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let mut line = rest.get(..length).unwrap_or_default();
            while let [before @ .., b'\r'] = line {
                line = before;
            }
            let range = at..at + line.len();
            at += length + 1;
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            block.lines += 1;
            let looked = line.get(..LINE_BYTES_MAX).unwrap_or(line);
            let lossy;
            let looked = if looked.is_ascii() {
                looked
            } else {
                lossy = String::from_utf8_lossy(looked);
                lossy.as_bytes()
            };
            let date = filter.dates.find(looked, &mut self.zone, now_us);
            if let Some(date) = &date {
                if block.dates.len() <= date.pattern {
                    block.dates.resize(date.pattern + 1, 0);
                }
                block.dates.get_mut(date.pattern).into_iter().for_each(|count| *count += 1);
                block.last_us = date.time_us.or(block.last_us);
            }
            if !filter.may_count(looked) {
                missed(line);
                continue;
            }
            let cut = cut_out(looked, date.as_ref());
            let mut told = Told::default();
            let is_wanted = !filter.ignored.is_empty() || filter.may_match(looked);
            let asked = filter.ask(&mut self.ways, &cut, is_wanted, &mut told);
            block.prefix_hits += u64::from(told.is_prefixed);
            if matches!(asked, Asked::Missed) {
                missed(line);
                continue;
            }
            let content = cut.get(told.content.0..told.content.1).unwrap_or(&cut);
            let also = match &asked {
                Asked::Matched { rule, .. } => filter.quick.also(content, Some(*rule)),
                Asked::Ignored { .. } if filter.prefix.is_none() => filter.quick.also(content, None),
                _ => Vec::new(),
            };
            let asked = asked.into_owned();
            // A filter whose lines need no date has them written now.
            block.noted.push(Noted { line: range, time_us: block.last_us, asked, also });
        }
        block
    }
}

impl Reader {
    /// Takes in what a scout saw in `text`, the block behind the last one; hands on each line that anything became of,
    /// what, and which expressions match it besides, behind the one that decides.
    pub fn take_in(
        &mut self,
        (block, text): (Block, &[u8]),
        now_us: i64,
        each: &mut dyn FnMut(&[u8], Outcome, &[usize]),
    ) {
        self.prefix_hits += block.prefix_hits;
        for Noted { line, time_us, asked, also } in block.noted {
            let time_us = time_us.or(self.last_us).unwrap_or(now_us);
            let outcome = self.settled(asked, time_us);
            each(text.get(line).unwrap_or_default(), outcome, &also);
        }
        self.last_us = block.last_us.or(self.last_us);
    }
}
