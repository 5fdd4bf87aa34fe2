//! Blocks of lines, looked at by several threads, and put together in their order.
//!
//! A [`Scout`] asks a filter's expressions about each line of a block, and counts. What a line comes to depends on those
//! before it where they are a session, or where it has no date: that is for the one [`Reader`] that takes the blocks
//! in, in their order.

use super::also::Other;
use super::ask::{Asked, Told};
use super::quick::Ways;
use super::{Also, Filter, LINE_BYTES_MAX, Outcome, Reader, begin_of_line, cut_out};
use crate::date::Found;
use crate::zone::Zone;
use std::borrow::Cow;
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

/// Takes a line of which anything became: where it begins, what it came to, the other expressions that match it.
type Taker<'t> = dyn FnMut((usize, &[u8]), Outcome, &[Also]) + 't;

/// A line of which anything became.
#[derive(Debug)]
struct Noted {
    line: Range<usize>,
    /// Its date, or that of the last line of the block that had one.
    time_us: Option<i64>,
    asked: Asked<'static>,
    /// The expressions that match it as well.
    also: Vec<Other>,
}

impl Scout {
    /// One for a filter whose lines each stand for themselves, or belong to sessions; nothing for one that joins lines.
    #[must_use]
    pub fn new(filter: Arc<Filter>, zone: Zone) -> Option<Scout> {
        (filter.lines <= 1).then(|| Scout { filter, zone, ways: Ways::default() })
    }

    /// Looks at whole lines; hands on those that nothing became of, with the byte at which each begins.
    pub fn look(&mut self, text: &[u8], now_us: i64, missed: &mut dyn FnMut(usize, &[u8])) -> Block {
        let filter = Arc::clone(&self.filter);
        let mut look =
            Look { filter: &filter, scout: self, text, now_us, block: Block::default(), passed: None };
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let start = match &filter.counted {
                None => at,
                Some(counted) => counted.find(rest).map_or(text.len(), |hit| at + begin_of_line(rest, hit)),
            };
            look.pass(at..start, missed);
            let line = text.get(start..).unwrap_or_default();
            let length = memchr::memchr(b'\n', line).unwrap_or(line.len());
            look.line(start..start + length, missed);
            at = start + length + 1;
        }
        look.settle();
        look.block
    }
}

/// A scout at a block.
struct Look<'b> {
    filter: &'b Filter,
    scout: &'b mut Scout,
    text: &'b [u8],
    now_us: i64,
    block: Block,
    /// The last line with a date, where that wasn't read yet.
    passed: Option<Range<usize>>,
}

impl<'b> Look<'b> {
    /// A line without its end; nothing where fail2ban-regex passes it over.
    fn whole(&self, range: &Range<usize>) -> Option<&'b [u8]> {
        let mut line = self.text.get(range.clone())?;
        while let [before @ .., b'\r'] = line {
            line = before;
        }
        (!line.is_empty() && !line.starts_with(b"#")).then_some(line)
    }

    /// Lines that can't match: they are counted, and their dates are.
    fn pass(&mut self, lines: Range<usize>, missed: &mut dyn FnMut(usize, &[u8])) {
        let mut at = lines.start;
        while at < lines.end {
            let rest = self.text.get(at..lines.end).unwrap_or_default();
            let begin = at;
            let range = at..at + memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            at = range.end + 1;
            let Some(line) = self.whole(&range) else { continue };
            self.block.lines += 1;
            match self.filter.dates.at_a_glance(line, &self.scout.zone, self.now_us) {
                Some(pattern) => {
                    self.count(pattern);
                    self.passed = Some(range);
                }
                None => drop(self.date(&looked_at(line))),
            }
            missed(begin, line);
        }
    }

    fn count(&mut self, pattern: usize) {
        if self.block.dates.len() <= pattern {
            self.block.dates.resize(pattern + 1, 0);
        }
        self.block.dates.get_mut(pattern).into_iter().for_each(|count| *count += 1);
    }

    /// Reads a line's date, and counts it.
    fn date(&mut self, line: &[u8]) -> Option<Found> {
        let date = self.filter.dates.find(line, &mut self.scout.zone, self.now_us)?;
        self.count(date.pattern);
        if date.time_us.is_some() {
            (self.block.last_us, self.passed) = (date.time_us, None);
        }
        Some(date)
    }

    /// Reads the date of the last line that had one.
    fn settle(&mut self) {
        if let Some(line) = self.passed.take().and_then(|range| self.whole(&range)) {
            let date = self.filter.dates.find(&looked_at(line), &mut self.scout.zone, self.now_us);
            self.block.last_us = date.and_then(|date| date.time_us).or(self.block.last_us);
        }
    }

    /// A line that may match.
    fn line(&mut self, range: Range<usize>, missed: &mut dyn FnMut(usize, &[u8])) {
        let Some(line) = self.whole(&range) else { return };
        self.block.lines += 1;
        let looked = looked_at(line);
        let filter = self.filter;
        let date = self.date(&looked);
        self.settle();
        let cut = cut_out(&looked, date.as_ref());
        let mut told = Told::default();
        let asked = filter.ask(&mut self.scout.ways, &cut, filter.is_worth_asking(&looked), &mut told);
        self.block.prefix_hits += u64::from(told.is_prefixed);
        let content = cut.get(told.content.0..told.content.1).unwrap_or(&cut);
        let (kind, also) = match &asked {
            Asked::Missed => return missed(range.start, line),
            Asked::Matched { rule, fields, .. } => (fields.kind, filter.quick.also(content, Some(*rule))),
            Asked::Ignored { .. } if !filter.is_ignored_first() => (0, filter.quick.also(content, None)),
            Asked::Ignored { .. } => (0, Vec::new()),
        };
        let also = filter.others((&also, kind), &mut self.scout.ways, &cut, content);
        let asked = asked.into_owned();
        // A filter whose lines need no date has them written now.
        let line = range.start..range.start + line.len();
        self.block.noted.push(Noted { line, time_us: self.block.last_us, asked, also });
    }
}

/// As much of a line as is looked at; bytes that are no text are read as U+FFFD.
fn looked_at(line: &[u8]) -> Cow<'_, [u8]> {
    let line = line.get(..LINE_BYTES_MAX).unwrap_or(line);
    if line.is_ascii() {
        return Cow::Borrowed(line);
    }
    match String::from_utf8_lossy(line) {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

impl Reader {
    /// Takes in what a scout saw in `text`, the block behind the last one; hands on each line that anything became of,
    /// and what. With `is_all`, each line is told of together with the other expressions that match it.
    pub fn take_in(
        &mut self,
        (block, text): (Block, &[u8]),
        (now_us, is_all): (i64, bool),
        each: &mut Taker<'_>,
    ) {
        self.prefix_hits += block.prefix_hits;
        for Noted { line, time_us, asked, also } in block.noted {
            let time_us = time_us.or(self.last_us).unwrap_or(now_us);
            let is_decided = matches!(asked, Asked::Matched { .. });
            let outcome = self.settled(asked, time_us);
            let at = line.start;
            let is_told = is_all && outcome != Outcome::Missed;
            let also = if is_told { self.others(also, is_decided) } else { Vec::new() };
            each((at, text.get(line).unwrap_or_default()), outcome, &also);
        }
        self.last_us = block.last_us.or(self.last_us);
    }
}
