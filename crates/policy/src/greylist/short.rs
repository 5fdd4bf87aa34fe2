//! A short memory: when triplets were first seen for which there is no room otherwise, in eight bytes each.
//!
//! In a flood from everywhere those that wait push each other out before they can come back. Whoever is pushed out is
//! noted here, so that coming back counts. The newest notes take the place of old ones by chance of their hash; what
//! is noted is lost with the process. A hash that is somebody else's by chance lets one mail pass early.

/// Notes that share a place.
const WAYS: usize = 4;
/// A part of the hash, and when.
const NOTE_BYTES: usize = 8;

/// The notes.
#[derive(Clone, Debug, Default)]
pub struct Short {
    /// Part of the hash, and the second; a second of 0 is no note. None are there before the first is written.
    notes: Vec<(u32, u32)>,
    places: usize,
}

impl Short {
    /// Room for notes in so many bytes; it is taken when it is needed.
    #[must_use]
    pub const fn new(bytes: usize) -> Short {
        Short { notes: Vec::new(), places: bytes / (NOTE_BYTES * WAYS) }
    }

    /// What the notes take.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.notes.len() * NOTE_BYTES
    }

    fn place(&self, id: &[u8; 20]) -> Option<(usize, u32)> {
        let (first, rest) = id.split_first_chunk::<8>()?;
        let mark = u32::from_le_bytes(*rest.first_chunk::<4>()?);
        let places = u64::try_from(self.places).ok().filter(|places| *places > 0)?;
        let at = usize::try_from(u64::from_le_bytes(*first) % places).ok()?;
        Some((at.saturating_mul(WAYS), mark))
    }

    /// Notes when `id` was seen first.
    pub fn note(&mut self, id: &[u8; 20], first: u32) {
        let Some((at, mark)) = self.place(id) else { return };
        if self.notes.is_empty() {
            self.notes = vec![(0, 0); self.places.saturating_mul(WAYS)];
        }
        let Some(place) = self.notes.get_mut(at..at.saturating_add(WAYS)) else { return };
        let same = place.iter().position(|(known, when)| *known == mark && *when > 0);
        let oldest = || place.iter().enumerate().min_by_key(|(_, (_, when))| *when).map(|(at, _)| at);
        if let Some(note) = same.or_else(oldest).and_then(|at| place.get_mut(at)) {
            *note = (mark, first.max(1));
        }
    }

    /// When `id` was seen first, where that is noted.
    #[must_use]
    pub fn find(&self, id: &[u8; 20]) -> Option<u32> {
        let (at, mark) = self.place(id)?;
        let place = self.notes.get(at..at.saturating_add(WAYS))?;
        place.iter().find(|(known, when)| *known == mark && *when > 0).map(|(_, when)| *when)
    }

    /// Forgets `id`.
    pub fn forget(&mut self, id: &[u8; 20]) {
        let Some((at, mark)) = self.place(id) else { return };
        let place = self.notes.get_mut(at..at.saturating_add(WAYS)).unwrap_or_default();
        place.iter_mut().filter(|(known, _)| *known == mark).for_each(|note| *note = (0, 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> [u8; 20] {
        // As a hash spreads it.
        let mut id = [0; 20];
        for (at, piece) in id.chunks_mut(4).enumerate() {
            let mut mixed =
                (u64::from(number) << 3 | at as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            piece.copy_from_slice(&mixed.to_be_bytes()[..4]);
        }
        id
    }

    #[test]
    fn the_newest_are_remembered() {
        let mut short = Short::new(80_000);
        assert_eq!((short.bytes(), short.find(&id(1))), (0, None));
        for number in 0..100_000 {
            short.note(&id(number), number + 1);
        }
        assert_eq!(short.bytes(), 80_000);
        let known = |range: std::ops::Range<u32>| {
            range.filter(|number| short.find(&id(*number)) == Some(number + 1)).count()
        };
        // 10,000 notes: of the latest 2,000 hardly any is gone, of what is ten times older all are.
        assert!(known(98_000..100_000) >= 1_980, "{}", known(98_000..100_000));
        assert!(known(0..50_000) == 0, "{}", known(0..50_000));
        assert!((0..100_000).filter(|number| short.find(&id(200_000 + number)).is_some()).count() <= 1);
        short.forget(&id(99_999));
        assert_eq!(short.find(&id(99_999)), None);
    }

    #[test]
    fn no_room() {
        let mut short = Short::new(31);
        short.note(&id(1), 5);
        short.forget(&id(1));
        assert_eq!((short.find(&id(1)), short.bytes()), (None, 0));
    }
}
