//! Names out of a log, each kept once and spoken of by a number.
//!
//! All stand in one piece of memory, one behind the other: some eleven bytes a queue id and twenty of what finds
//! it. The hash is keyed with random numbers: whoever sends mail chooses what stands in a log.

use crate::scan;
use foldhash::quality::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;

/// One key for all, so that a name that goes from one table to another keeps its hash.
static KEYED: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// So many places are half a megabyte.
const MANY: usize = 65_536;

/// Names by their numbers, which count from 0 in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    bytes: Vec<u8>,
    /// Where each name ends in `bytes`, and half of its hash.
    ends: Vec<(usize, u32)>,
    /// Places by hash, a power of two of them or none: half a hash, and the number plus 1; 0 is a free place.
    places: Vec<(u32, u32)>,
}

/// A name and half of its hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hashed<'a> {
    pub(crate) name: &'a [u8],
    half: u32,
}

impl<'a> Hashed<'a> {
    #[inline]
    pub(crate) fn new(name: &'a [u8]) -> Hashed<'a> {
        let mut hasher = KEYED.build_hasher();
        hasher.write(name);
        Hashed { name, half: u32::try_from(hasher.finish() >> 32).unwrap_or(0) }
    }
}

impl Names {
    /// The number of `name`, which is kept where it is new.
    pub(crate) fn number(&mut self, name: &[u8]) -> u32 {
        self.number_of(Hashed::new(name))
    }

    /// The number of a name, put together, under the heading with this number; `scratch` is overwritten.
    pub(crate) fn number_under<const N: usize>(
        &mut self,
        heading: u32,
        name: [&[u8]; N],
        scratch: &mut Vec<u8>,
    ) -> u32 {
        let heading_bytes = heading.to_le_bytes();
        scratch.clear();
        scratch.extend_from_slice(&heading_bytes);
        name.iter().for_each(|part| scratch.extend_from_slice(part));
        let half = Hashed::new(scratch.get(heading_bytes.len()..).unwrap_or_default()).half ^ spread(heading);
        self.number_of(Hashed { name: scratch, half })
    }

    /// Puts the names under headings that have these numbers elsewhere. They are found no more, and are to be cleared
    /// when they have been gone through.
    pub(crate) fn put_under(&mut self, headings: &[u32]) {
        let mut start = 0;
        for (end, half) in &mut self.ends {
            let name = self.bytes.get_mut(start..*end).unwrap_or_default();
            start = *end;
            let Some(bytes) = name.first_chunk_mut() else { continue };
            let here = u32::from_le_bytes(*bytes);
            let there = headings.get(here as usize).copied().unwrap_or(here);
            *bytes = there.to_le_bytes();
            *half ^= spread(here) ^ spread(there);
        }
    }

    /// The same, of what is hashed already.
    pub(crate) fn number_of(&mut self, hashed: Hashed<'_>) -> u32 {
        if (self.ends.len() + 1) * 3 > self.places.len() * 2 {
            self.grow();
        }
        match self.find(hashed) {
            Ok(number) => number,
            Err(free) => {
                let Hashed { name, half } = hashed;
                let number = u32::try_from(self.ends.len()).unwrap_or(u32::MAX - 1).min(u32::MAX - 1);
                self.bytes.extend_from_slice(name);
                self.ends.push((self.bytes.len(), half));
                if let Some(place) = self.places.get_mut(free) {
                    *place = (half, number + 1);
                }
                number
            }
        }
    }

    /// Looks at where names stand that are asked for next: the memory that holds them is fetched for all at once, not
    /// for one after the other. `found` holds the numbers that they probably have, plus 1.
    pub(crate) fn expect<'a>(&self, names: impl Iterator<Item = Hashed<'a>>, found: &mut Vec<u32>) {
        let mask = self.places.len().wrapping_sub(1);
        found.clear();
        found.extend(names.map(|name| match self.places.get(name.half as usize & mask) {
            Some(&(half, number)) if half == name.half => number,
            _ => 0,
        }));
        let starts = found.iter().filter_map(|number| self.ends.get((*number as usize).checked_sub(2)?));
        let bytes = starts.filter_map(|&(start, _)| self.bytes.get(start));
        std::hint::black_box(bytes.fold(0_u8, |sum, &byte| sum ^ byte));
    }

    /// The name with this number.
    pub(crate) fn name(&self, number: u32) -> &[u8] {
        let at = number as usize;
        let start = match at.checked_sub(1) {
            Some(before) => self.ends.get(before).map_or(usize::MAX, |&(end, _)| end),
            None => 0,
        };
        self.ends.get(at).and_then(|&(end, _)| self.bytes.get(start..end)).unwrap_or_default()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.hashed().map(|hashed| hashed.name)
    }

    /// The same, with their hashes.
    pub(crate) fn hashed(&self) -> impl Iterator<Item = Hashed<'_>> {
        let mut start = 0;
        self.ends.iter().map(move |&(end, half)| {
            let name = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            Hashed { name, half }
        })
    }

    /// Forgets all, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        if !self.ends.is_empty() {
            self.bytes.clear();
            self.ends.clear();
            self.places.fill((0, 0));
        }
    }

    /// The number of a name, or the place where it belongs.
    fn find(&self, Hashed { name, half }: Hashed<'_>) -> Result<u32, usize> {
        let mask = self.places.len().wrapping_sub(1);
        let mut at = half as usize & mask;
        loop {
            match self.places.get(at) {
                None | Some((_, 0)) => return Err(at),
                Some(&(taken, number)) if taken == half && scan::same(self.name(number - 1), name) => {
                    return Ok(number - 1);
                }
                Some(_) => {}
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        // Each time all are put in their places anew: what is small yet grows by more.
        let times = if self.places.len() < MANY { 4 } else { 2 };
        let mask = (self.places.len() * times).max(64) - 1;
        let mut places = vec![(0, 0); mask + 1];
        for &place in self.places.iter().filter(|(_, number)| *number != 0) {
            let mut at = place.0 as usize & mask;
            while places.get(at).is_some_and(|&(_, number)| number != 0) {
                at = (at + 1) & mask;
            }
            if let Some(free) = places.get_mut(at) {
                *free = place;
            }
        }
        self.places = places;
    }
}

/// A heading's part in the hashes of the names under it.
fn spread(heading: u32) -> u32 {
    heading.wrapping_mul(0x9e37_79b1)
}

/// The heading's number, and the name under it.
pub(crate) fn under(name: &[u8]) -> (u32, &[u8]) {
    name.split_first_chunk().map_or((0, name), |(heading, name)| (u32::from_le_bytes(*heading), name))
}

/// Something under each name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table<T> {
    names: Names,
    values: Vec<T>,
}

impl<T: Default + Clone> Table<T> {
    /// The number of `name`.
    pub(crate) fn number(&mut self, name: &[u8]) -> u32 {
        self.number_of(Hashed::new(name))
    }

    /// The same, of what is hashed already.
    pub(crate) fn number_of(&mut self, hashed: Hashed<'_>) -> u32 {
        let number = self.names.number_of(hashed);
        if self.values.len() < self.names.len() {
            self.values.resize(self.names.len(), T::default());
        }
        number
    }

    /// The names alone.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// Looks at what is under these names, as [`Names::expect`] does.
    pub(crate) fn expect(&self, numbers: &[u32], look: impl Fn(&T) -> u64) {
        let values = numbers.iter().filter_map(|&number| self.values.get(number as usize));
        std::hint::black_box(values.fold(0, |sum, value| sum ^ look(value)));
    }

    /// What is under the name with this number.
    pub(crate) fn at(&mut self, number: u32) -> Option<&mut T> {
        self.values.get_mut(number as usize)
    }

    /// The name with this number.
    pub(crate) fn name(&self, number: u32) -> &[u8] {
        self.names.name(number)
    }

    /// All, in the order of their names.
    pub(crate) fn sorted(&self) -> Vec<(&[u8], &T)> {
        let mut all: Vec<(&[u8], &T)> = self.names.iter().zip(&self.values).collect();
        all.sort_unstable_by_key(|&(name, _)| name);
        all
    }

    /// All, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &T)> {
        self.names.iter().zip(&self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers() {
        let mut names = Names::default();
        let spelled = |number: u32| format!("{:x}", number.wrapping_mul(2_654_435_761));
        for number in 0..5000 {
            assert_eq!(names.number(spelled(number).as_bytes()), number);
            assert_eq!(names.number(spelled(number / 2).as_bytes()), number / 2);
        }
        assert_eq!(names.number(b""), 5000);
        assert_eq!(names.number(b""), 5000);
        assert_eq!(names.len(), 5001);
        for number in 0..5000 {
            assert_eq!(names.name(number), spelled(number).as_bytes());
        }
        assert_eq!((names.name(5000), names.name(5001)), (&b""[..], &b""[..]));
        assert!(names.iter().eq((0..=5000).map(|number| names.name(number))));
        names.clear();
        assert_eq!((names.len(), names.number(b"x"), names.name(0)), (0, 0, &b"x"[..]));
    }
}
