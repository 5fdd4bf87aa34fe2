//! What was most since the last look, and when: anvil's statistics.

use super::{Event, Ident};
use mail::Wall;

/// The greatest value of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peak {
    /// How many.
    pub max: u32,
    /// Whose.
    pub ident: Ident,
    /// When it was reached first.
    pub at: Wall,
}

/// The greatest values since the last look; `None` where nothing was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peaks {
    rates: [Option<Peak>; 5],
    open: Option<Peak>,
    size: Option<(usize, Wall)>,
}

fn raise(peak: &mut Option<Peak>, max: u32, ident: &Ident, at: Wall) {
    if max > peak.map_or(0, |peak| peak.max) {
        *peak = Some(Peak { max, ident: *ident, at });
    }
}

impl Peaks {
    /// The greatest rate of an event.
    #[must_use]
    pub fn of(&self, event: Event) -> Option<Peak> {
        self.rates.get(event.index()).copied().flatten()
    }

    /// The most connections at once.
    #[must_use]
    pub fn connections(&self) -> Option<Peak> {
        self.open
    }

    /// The most clients that were remembered.
    #[must_use]
    pub fn clients(&self) -> Option<(usize, Wall)> {
        self.size
    }

    pub(super) fn rate(&mut self, event: Event, rate: u32, ident: &Ident, at: Wall) {
        if let Some(peak) = self.rates.get_mut(event.index()) {
            raise(peak, rate, ident, at);
        }
    }

    pub(super) fn open(&mut self, open: u32, ident: &Ident, at: Wall) {
        raise(&mut self.open, open, ident, at);
    }

    pub(super) fn size(&mut self, size: usize, at: Wall) {
        if size > self.size.map_or(0, |(size, _)| size) {
            self.size = Some((size, at));
        }
    }
}
