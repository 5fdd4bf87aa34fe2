//! `compatibility_level`: `2`, `3.6`, `3.7.11`.
//!
//! Missing parts count as 0, so `3` equals `3.0`.

/// A compatibility level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Level([u32; 3]);

impl Level {
    /// Reads `major[.minor[.patch]]`.
    pub(crate) fn parse(text: &str) -> Option<Level> {
        let mut parts = [0; 3];
        let mut words = text.split('.');
        for (index, part) in parts.iter_mut().enumerate() {
            match words.next() {
                Some(word) if word.bytes().all(|b| b.is_ascii_digit()) => *part = word.parse().ok()?,
                None if index > 0 => break,
                _ => return None,
            }
        }
        words.next().is_none().then_some(Level(parts))
    }
}
