//! A table of bounded size, by keyed hashes. Where it is full, an eighth of it goes: what was written longest ago.
//!
//! A flood of keys thus drives out what is old, at a constant cost for each key on average. T0.1.

use crate::eviction::forget_lowest;
use mail::Mono;
use std::collections::HashMap;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Ledger<V> {
    rows: HashMap<u64, (V, Mono)>,
    rows_max: usize,
}

impl<V: Copy + Default> Ledger<V> {
    pub(super) fn new(rows_max: usize) -> Ledger<V> {
        Ledger { rows: HashMap::new(), rows_max }
    }

    pub(super) fn known(&self, key: u64) -> Option<V> {
        self.rows.get(&key).map(|(value, _)| *value)
    }

    /// How long ago it was written.
    pub(super) fn age(&self, key: u64, now: Mono) -> Option<Duration> {
        self.rows.get(&key).map(|(_, written)| now.since(*written))
    }

    /// The row to be written.
    pub(super) fn entry(&mut self, key: u64, now: Mono) -> &mut V {
        if self.rows.len() >= self.rows_max && !self.rows.contains_key(&key) {
            self.make_room();
        }
        let row = self.rows.entry(key).or_insert((V::default(), now));
        row.1 = now;
        &mut row.0
    }

    pub(super) fn forget(&mut self, key: u64) {
        self.rows.remove(&key);
    }

    /// All rows, with when each was written.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u64, V, Mono)> {
        self.rows.iter().map(|(key, (value, written))| (*key, *value, *written))
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    fn make_room(&mut self) {
        let count = self.rows.len() / 8 + 1;
        forget_lowest(&mut self.rows, count, |(_, written)| *written);
    }
}
