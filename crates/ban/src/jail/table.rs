//! Those that a jail counts, holds or remembers: one row each, found by a hash, in bounded memory.
//!
//! A row that is only counted, and one that only remembers earlier bans, stands in a list of its own, the one touched
//! longest ago first: when either list is full, that one makes room. Who is shut out stands in neither.

use crate::filter::Id;
use std::hash::{BuildHasher, RandomState};

/// The most rows that only count, and the most that only remember.
pub(super) const ROWS_MAX: usize = 200_000;
/// No row.
const NONE: u32 = u32::MAX;
/// `until_s` of somebody who isn't shut out.
const FREE: i64 = i64::MIN;
/// `until_s` of somebody who is for ever.
const FOR_EVER: i64 = i64::MAX;

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: Id,
    /// Failures that count now, and since when.
    pub(super) failures: u32,
    pub(super) first_s: i64,
    /// How often it was banned before now.
    pub(super) before: u32,
    /// Since when it is shut out.
    pub(super) since_s: i64,
    until_s: i64,
    older: u32,
    newer: u32,
}

impl Row {
    pub(super) fn is_banned(&self) -> bool {
        self.until_s != FREE
    }

    /// Until when, where it is shut out; `None` for ever.
    pub(super) fn until_s(&self) -> Option<i64> {
        (self.until_s != FOR_EVER).then_some(self.until_s)
    }
}

/// The ends of a list.
#[derive(Clone, Copy, Debug)]
struct Ends {
    oldest: u32,
    newest: u32,
    count: usize,
}

/// Which list a row stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Counted,
    Remembered,
    None,
}

#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Row>,
    /// Numbers of rows that are unused.
    unused: Vec<u32>,
    /// Numbers of rows by the hash of their identity, each where there is room from there on; a power of two.
    slots: Vec<u32>,
    used: usize,
    banned: usize,
    counted: Ends,
    remembered: Ends,
    hasher: RandomState,
}

impl Table {
    pub(super) fn new() -> Table {
        let empty = Ends { oldest: NONE, newest: NONE, count: 0 };
        Table {
            rows: Vec::new(),
            unused: Vec::new(),
            slots: Vec::new(),
            used: 0,
            banned: 0,
            counted: empty,
            remembered: empty,
            hasher: RandomState::new(),
        }
    }

    pub(super) fn banned(&self) -> usize {
        self.banned
    }

    pub(super) fn row(&self, number: u32) -> Option<&Row> {
        self.rows.get(usize::try_from(number).ok()?)
    }

    fn row_mut(&mut self, number: u32) -> Option<&mut Row> {
        self.rows.get_mut(usize::try_from(number).ok()?)
    }

    /// All rows that are in use.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| list_of(row) != List::None || row.is_banned())
    }

    fn home(&self, id: &Id) -> usize {
        // The low bits are as good as any.
        #[expect(clippy::cast_possible_truncation, reason = "a hash")]
        let hash = self.hasher.hash_one(id) as usize;
        hash & self.slots.len().saturating_sub(1)
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & self.slots.len().saturating_sub(1)
    }

    /// The slot and the number of somebody's row.
    fn place(&self, id: &Id) -> Option<(usize, u32)> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.home(id);
        loop {
            let number = self.slots.get(at).copied().filter(|number| *number != NONE)?;
            if self.row(number).is_some_and(|row| row.id == *id) {
                return Some((at, number));
            }
            at = self.next(at);
        }
    }

    pub(super) fn find(&self, id: &Id) -> Option<u32> {
        self.place(id).map(|(_, number)| number)
    }

    /// Somebody's row, made if need be: touched, and changed by `change`.
    pub(super) fn change(&mut self, id: &Id, change: impl FnOnce(&mut Row)) -> u32 {
        let number = self.find(id).unwrap_or_else(|| self.add(id));
        self.unlink(number);
        if let Some(row) = self.row_mut(number) {
            change(row);
        }
        self.settle(number);
        number
    }

    /// Shuts a row's owner out; `None` for ever.
    pub(super) fn shut(&mut self, number: u32, since_s: i64, until_s: Option<i64>) {
        self.unlink(number);
        let Some(row) = self.row_mut(number) else { return };
        let was_banned = row.is_banned();
        row.since_s = since_s;
        row.until_s = until_s.map_or(FOR_EVER, |until_s| until_s.clamp(FREE + 1, FOR_EVER - 1));
        self.banned += usize::from(!was_banned);
        self.settle(number);
    }

    /// Lets a row's owner in again.
    pub(super) fn open(&mut self, number: u32) -> bool {
        let Some(row) = self.row_mut(number).filter(|row| row.is_banned()) else { return false };
        row.until_s = FREE;
        self.banned = self.banned.saturating_sub(1);
        self.settle(number);
        true
    }

    /// Moves all times by some seconds.
    pub(super) fn shift(&mut self, by_s: i64) {
        for row in &mut self.rows {
            row.first_s = row.first_s.saturating_add(by_s);
            row.since_s = row.since_s.saturating_add(by_s);
            if row.is_banned() && row.until_s != FOR_EVER {
                row.until_s = row.until_s.saturating_add(by_s).clamp(FREE + 1, FOR_EVER - 1);
            }
        }
    }

    /// Drops what is counted where `is_past` says so.
    pub(super) fn forget_counts(&mut self, is_past: impl Fn(&Row) -> bool) {
        let numbers: Vec<u32> = (0..).take(self.rows.len()).collect();
        for number in numbers {
            let counted = self.row(number).is_some_and(|row| row.failures > 0 && is_past(row));
            if counted {
                self.unlink(number);
                if let Some(row) = self.row_mut(number) {
                    row.failures = 0;
                }
                self.settle(number);
            }
        }
    }

    fn ends(&mut self, list: List) -> &mut Ends {
        if list == List::Counted { &mut self.counted } else { &mut self.remembered }
    }

    fn unlink(&mut self, number: u32) {
        let Some(row) = self.row_mut(number) else { return };
        let (list, older, newer) = (list_of(row), row.older, row.newer);
        if list == List::None {
            return;
        }
        row.older = NONE;
        row.newer = NONE;
        match self.row_mut(older) {
            Some(row) => row.newer = newer,
            None => self.ends(list).oldest = newer,
        }
        match self.row_mut(newer) {
            Some(row) => row.older = older,
            None => self.ends(list).newest = older,
        }
        let ends = self.ends(list);
        ends.count = ends.count.saturating_sub(1);
    }

    /// Puts a row that stands in no list where it belongs; the oldest of a full list goes.
    fn settle(&mut self, number: u32) {
        let Some(row) = self.row(number) else { return };
        let list = list_of(row);
        if list == List::None {
            if !row.is_banned() {
                self.drop_row(number);
            }
            return;
        }
        let ends = self.ends(list);
        let before = std::mem::replace(&mut ends.newest, number);
        ends.count += 1;
        if ends.oldest == NONE {
            ends.oldest = number;
        }
        let (oldest, is_full) = (ends.oldest, ends.count > ROWS_MAX);
        if let Some(row) = self.row_mut(before) {
            row.newer = number;
        }
        if let Some(row) = self.row_mut(number) {
            row.older = before;
        }
        if is_full {
            self.unlink(oldest);
            self.drop_row(oldest);
        }
    }

    fn add(&mut self, id: &Id) -> u32 {
        if (self.used + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let row = Row {
            id: id.clone(),
            failures: 0,
            first_s: 0,
            before: 0,
            since_s: 0,
            until_s: FREE,
            older: NONE,
            newer: NONE,
        };
        let number = match self.unused.pop() {
            Some(number) => {
                if let Some(old) = self.row_mut(number) {
                    *old = row;
                }
                number
            }
            None => {
                if self.rows.len() == self.rows.capacity() {
                    self.rows.reserve_exact(self.rows.len() / 4 + 16);
                }
                self.rows.push(row);
                // Three lists of bounded length hold all rows.
                u32::try_from(self.rows.len() - 1).unwrap_or(NONE)
            }
        };
        self.put(number);
        self.used += 1;
        number
    }

    /// Enters a row where its hash says.
    fn put(&mut self, number: u32) {
        let Some(row) = self.row(number) else { return };
        let mut at = self.home(&row.id);
        while self.slots.get(at).is_some_and(|taken| *taken != NONE) {
            at = self.next(at);
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = number;
        }
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![NONE; (old.len() * 2).max(64)];
        for number in old.into_iter().filter(|number| *number != NONE) {
            self.put(number);
        }
    }

    fn drop_row(&mut self, number: u32) {
        let Some(row) = self.row(number) else { return };
        if let Some((slot, _)) = self.place(&row.id.clone()) {
            self.clear(slot);
        }
        if let Some(row) = self.row_mut(number) {
            // Nobody's; a long name's bytes go as well.
            row.id = Id::Other(String::new());
            (row.failures, row.before) = (0, 0);
        }
        self.unused.push(number);
        self.used = self.used.saturating_sub(1);
    }

    /// Empties a slot; those behind it that it pushed on come back.
    fn clear(&mut self, mut hole: usize) {
        let mask = self.slots.len().saturating_sub(1);
        let mut at = hole;
        loop {
            at = self.next(at);
            let Some(number) = self.slots.get(at).copied().filter(|number| *number != NONE) else { break };
            let Some(row) = self.row(number) else { break };
            let home = self.home(&row.id);
            let (from_home, from_hole) = (at.wrapping_sub(home) & mask, at.wrapping_sub(hole) & mask);
            if from_home >= from_hole {
                if let Some(slot) = self.slots.get_mut(hole) {
                    *slot = number;
                }
                hole = at;
            }
        }
        if let Some(slot) = self.slots.get_mut(hole) {
            *slot = NONE;
        }
    }
}

fn list_of(row: &Row) -> List {
    if row.is_banned() {
        List::None
    } else if row.before > 0 {
        List::Remembered
    } else if row.failures > 0 {
        List::Counted
    } else {
        List::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The table beside a plain map, through many turns.
    #[test]
    fn as_a_map_would() {
        let mut table = Table::new();
        let mut map: BTreeMap<Id, (u32, u32, bool)> = BTreeMap::new();
        let mut seed = 1_u64;
        for turn in 0..30_000_u32 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let id = Id::Other(format!("n{}", (seed >> 40) % 300));
            let row = map.entry(id.clone()).or_default();
            match (seed >> 33) % 5 {
                0 | 1 => {
                    table.change(&id, |row| row.failures += 1);
                    row.0 += 1;
                }
                2 => {
                    let number = table.change(&id, |row| {
                        row.before += 1;
                        row.failures = 0;
                    });
                    table.shut(number, turn.into(), None);
                    (row.0, row.1, row.2) = (0, row.1 + 1, true);
                }
                3 => {
                    let was = table.find(&id).is_some_and(|number| table.open(number));
                    assert_eq!(was, std::mem::take(&mut row.2));
                }
                _ => {
                    table.forget_counts(|known| known.id == id);
                    row.0 = 0;
                }
            }
            if turn % 1_000 == 0 {
                let known: BTreeMap<Id, (u32, u32, bool)> = table
                    .rows()
                    .map(|row| (row.id.clone(), (row.failures, row.before, row.is_banned())))
                    .collect();
                map.retain(|_, row| *row != (0, 0, false));
                assert_eq!(known, map);
                assert_eq!(table.banned(), map.values().filter(|row| row.2).count());
                assert!(map.keys().all(|id| table.find(id).is_some()));
            }
        }
    }
}
