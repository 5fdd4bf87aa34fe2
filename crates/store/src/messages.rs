//! The queued messages by number, in as little memory as their places take: a million in some 70 MB.
//!
//! Numbers are handed out in order, so neighbours stand together on pages. What few messages have (a body file, notes
//! beside the envelope) stands apart. It knows nothing of segments or records.

use crate::index::{Entry, Place};
use std::collections::BTreeMap;

/// What the spool's owner wants to know of each message without reading it: bytes of its own.
pub type Brief = [u8; 16];

/// Numbers of one page.
const PAGE_BITS: u32 = 6;
/// Room is made for so many at a time.
const STEP: usize = 16;

/// A place without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Short {
    segment: u32,
    at: u32,
    bytes: u32,
}

/// What few messages have.
#[derive(Clone, Debug)]
struct Rare {
    file_bytes: Option<u64>,
    notes: Vec<Place>,
    first_note: u32,
}

/// What is known of a message's notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    /// The ordinal of the first of them.
    pub(crate) first: u32,
    pub(crate) count: usize,
    /// Bytes of envelope and notes.
    pub(crate) meta_bytes: u64,
}

impl Noted {
    /// The ordinal of the next one.
    pub(crate) fn next(&self) -> u32 {
        self.first.saturating_add(u32::try_from(self.count).unwrap_or(u32::MAX))
    }
}

#[derive(Clone, Debug)]
struct Row {
    message: Short,
    /// Segment 0: there is none, or it doesn't fit.
    envelope: Short,
    meta_bytes: u32,
    /// The number's last bits.
    low: u8,
    brief: Brief,
    rare: Option<Box<Rare>>,
}

/// All messages.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    pages: BTreeMap<u64, Vec<Row>>,
    count: usize,
}

const fn page_of(number: u64) -> u64 {
    number >> PAGE_BITS
}

const fn low_of(number: u64) -> u8 {
    (number & ((1 << PAGE_BITS) - 1)) as u8
}

impl Messages {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    fn row(&self, number: u64) -> Option<&Row> {
        let page = self.pages.get(&page_of(number))?;
        let at = page.binary_search_by_key(&low_of(number), |row| row.low).ok()?;
        page.get(at)
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        self.row(number).is_some()
    }

    pub(crate) fn find(&self, number: u64) -> Option<Entry> {
        self.row(number).map(Row::entry)
    }

    /// Where its message record is.
    pub(crate) fn place(&self, number: u64) -> Option<Place> {
        self.row(number).map(Row::message)
    }

    /// Its notes, without a copy of them.
    pub(crate) fn noted(&self, number: u64) -> Option<Noted> {
        let row = self.row(number)?;
        let (first, count) = row.rare.as_deref().map_or((0, 0), |rare| (rare.first_note, rare.notes.len()));
        Some(Noted { first, count, meta_bytes: u64::from(row.meta_bytes) })
    }

    /// One more note of this many bytes, where there is a message.
    pub(crate) fn add_note(&mut self, number: u64, place: Place, (brief, meta_bytes): (Brief, u64)) {
        let Some(row) = self.row_mut(number) else { return };
        row.brief = brief;
        row.meta_bytes =
            u32::try_from(u64::from(row.meta_bytes).saturating_add(meta_bytes)).unwrap_or(u32::MAX);
        let rare = row
            .rare
            .get_or_insert_with(|| Rare { file_bytes: None, notes: Vec::new(), first_note: 0 }.into());
        rare.notes.push(place);
    }

    /// The `at`th note is somewhere else now; where it was.
    pub(crate) fn move_note(&mut self, number: u64, at: usize, to: Place, brief: Brief) -> Option<Place> {
        let row = self.row_mut(number)?;
        let place = row.rare.as_mut()?.notes.get_mut(at)?;
        row.brief = brief;
        Some(std::mem::replace(place, to))
    }

    fn row_mut(&mut self, number: u64) -> Option<&mut Row> {
        let page = self.pages.get_mut(&page_of(number))?;
        let at = page.binary_search_by_key(&low_of(number), |row| row.low).ok()?;
        page.get_mut(at)
    }

    pub(crate) fn brief(&self, number: u64) -> Option<Brief> {
        self.row(number).map(|row| row.brief)
    }

    /// Oldest first.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.briefs().map(|(number, _)| number)
    }

    /// Oldest first.
    pub(crate) fn briefs(&self) -> impl Iterator<Item = (u64, Brief)> {
        let row = |page: u64, row: &Row| ((page << PAGE_BITS) | u64::from(row.low), row.brief);
        self.pages.iter().flat_map(move |(page, rows)| rows.iter().map(move |found| row(*page, found)))
    }

    /// Messages with a body file, and its length.
    pub(crate) fn large(&self) -> impl Iterator<Item = (u64, u64)> {
        let pages = self.pages.iter().flat_map(|(page, rows)| rows.iter().map(move |row| (*page, row)));
        pages.filter_map(|(page, row)| {
            let bytes = row.rare.as_ref()?.file_bytes?;
            Some(((page << PAGE_BITS) | u64::from(row.low), bytes))
        })
    }

    pub(crate) fn insert(&mut self, number: u64, entry: Entry) {
        let page = self.pages.entry(page_of(number)).or_default();
        let row = Row::new(low_of(number), entry);
        match page.binary_search_by_key(&row.low, |row| row.low) {
            Ok(at) => {
                if let Some(old) = page.get_mut(at) {
                    *old = row;
                }
            }
            Err(at) => {
                if page.len() == page.capacity() {
                    page.reserve_exact(STEP);
                }
                page.insert(at, row);
                self.count += 1;
            }
        }
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Entry> {
        let page = self.pages.get_mut(&page_of(number))?;
        let at = page.binary_search_by_key(&low_of(number), |row| row.low).ok()?;
        let row = page.remove(at);
        self.count -= 1;
        if page.is_empty() {
            self.pages.remove(&page_of(number));
        } else if page.capacity() - page.len() >= 2 * STEP {
            page.shrink_to(page.len() + STEP);
        }
        Some(row.entry())
    }
}

impl Short {
    /// `None` where a segment's number is beyond 32 bits: 32 petabytes of log.
    fn new(place: Place) -> Option<Short> {
        let segment = u32::try_from(place.segment).ok().filter(|segment| *segment != 0)?;
        Some(Short { segment, at: place.at, bytes: place.bytes })
    }

    const NONE: Short = Short { segment: 0, at: 0, bytes: 0 };

    fn place(self) -> Option<Place> {
        let Short { segment, at, bytes } = self;
        (segment != 0).then_some(Place { segment: u64::from(segment), at, bytes })
    }
}

impl Row {
    fn new(low: u8, entry: Entry) -> Row {
        let Entry { message, file_bytes, envelope, notes, first_note, meta_bytes, brief } = entry;
        let plain = file_bytes.is_none() && notes.is_empty() && first_note == 0;
        Row {
            message: Short::new(message).unwrap_or(Short::NONE),
            envelope: envelope.and_then(Short::new).unwrap_or(Short::NONE),
            meta_bytes: u32::try_from(meta_bytes).unwrap_or(u32::MAX),
            low,
            brief,
            rare: (!plain).then(|| Box::new(Rare { file_bytes, notes, first_note })),
        }
    }

    fn message(&self) -> Place {
        self.message.place().unwrap_or(Place { segment: 0, at: 0, bytes: 0 })
    }

    fn entry(&self) -> Entry {
        let rare = self.rare.as_deref();
        Entry {
            message: self.message(),
            file_bytes: rare.and_then(|rare| rare.file_bytes),
            envelope: self.envelope.place(),
            notes: rare.map(|rare| rare.notes.clone()).unwrap_or_default(),
            first_note: rare.map_or(0, |rare| rare.first_note),
            meta_bytes: u64::from(self.meta_bytes),
            brief: self.brief,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small() {
        assert!(size_of::<Row>() <= 56, "{}", size_of::<Row>());
    }

    #[test]
    fn as_a_map() {
        let entry = |n: u64| Entry {
            message: Place { segment: n + 1, at: 64, bytes: 128 },
            file_bytes: n.is_multiple_of(7).then_some(n),
            envelope: n.is_multiple_of(3).then_some(Place { segment: 9, at: 1, bytes: 2 }),
            notes: vec![Place { segment: 5, at: 6, bytes: 7 }; usize::try_from(n % 4).unwrap_or(0)],
            first_note: u32::from(n.is_multiple_of(11)),
            meta_bytes: n,
            brief: [u8::try_from(n % 251).unwrap_or(0); 16],
        };
        let (mut here, mut there) = (Messages::default(), BTreeMap::new());
        for step in 0..5_000u64 {
            let number = step.wrapping_mul(2_654_435_761) % 700;
            if step.is_multiple_of(3) {
                assert_eq!(here.remove(number), there.remove(&number));
            } else if step.is_multiple_of(5) {
                let (place, brief) = (Place { segment: 8, at: 8, bytes: 8 }, [9; 16]);
                let known = there.get_mut(&number);
                here.add_note(number, place, (brief, 3));
                known.into_iter().for_each(|entry| {
                    entry.notes.push(place);
                    (entry.brief, entry.meta_bytes) = (brief, entry.meta_bytes + 3);
                });
            } else if step.is_multiple_of(7) {
                let (place, brief) = (Place { segment: 7, at: 7, bytes: 7 }, [7; 16]);
                let known = there.get_mut(&number).filter(|entry| entry.notes.len() > 1);
                let former = known.map(|entry| {
                    entry.brief = brief;
                    std::mem::replace(&mut entry.notes[1], place)
                });
                assert_eq!(here.move_note(number, 1, place, brief), former);
            } else {
                here.insert(number, entry(step));
                there.insert(number, entry(step));
            }
            let noted = |entry: &Entry| (entry.first_note, entry.notes.len(), entry.meta_bytes);
            assert_eq!(
                here.noted(number).map(|noted| (noted.first, noted.count, noted.meta_bytes)),
                there.get(&number).map(noted)
            );
            assert_eq!(here.place(number), there.get(&number).map(|entry| entry.message));
            assert_eq!(here.find(number), there.get(&number).cloned());
            assert_eq!((here.len(), here.contains(number)), (there.len(), there.contains_key(&number)));
        }
        assert!(here.numbers().eq(there.keys().copied()));
        assert!(
            here.large().eq(there.iter().filter_map(|(number, entry)| Some((*number, entry.file_bytes?))))
        );
        for number in 0..700 {
            assert_eq!(here.remove(number), there.remove(&number));
        }
        assert!(here.pages.is_empty());
    }
}
