//! Messages that wait for their turn, first come first served; one may leave the line from anywhere in it.

use std::collections::BTreeMap;

/// A line of messages, each in it once.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// By turn.
    turns: BTreeMap<u64, u64>,
    /// By message.
    places: BTreeMap<u64, u64>,
    last: u64,
}

impl Line {
    /// Lines up; a message that is in the line keeps its place.
    pub(super) fn push_back(&mut self, number: u64) {
        if !self.places.contains_key(&number) {
            self.last += 1;
            self.turns.insert(self.last, number);
            self.places.insert(number, self.last);
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<u64> {
        let (_, number) = self.turns.pop_first()?;
        self.places.remove(&number);
        Some(number)
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, number: u64) -> bool {
        self.places.remove(&number).is_some_and(|turn| self.turns.remove(&turn).is_some())
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }
}
