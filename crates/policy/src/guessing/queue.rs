//! Strangers who wait until they may try: who comes first, and who has to go where there is no room.
//!
//! First come networks that have said the fewest different things of late, and among those who came last: in a flood
//! the first in line is one of thousands, and whoever has just come is likelier to be somebody else. Of those
//! [`Guessing`](super::Guessing) picks whose provider's networks have failed least.

use super::Attempt;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Who may wait.
pub(super) const WAITING_MAX: usize = 8_192;

/// A place in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Turn(u64);

impl Turn {
    pub(super) const fn number(self) -> u64 {
        self.0
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub attempt: Attempt,
    pub tries: u32,
    pub delay_max: Duration,
}

type Key = (u32, Reverse<u64>);

#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: BTreeMap<Key, Waiting>,
    keys: HashMap<u64, Key>,
    came: u64,
}

impl Line {
    /// Somebody comes; where there is no room, whoever would be the last goes.
    pub(super) fn add(&mut self, waiting: Waiting) -> (Turn, Option<Turn>) {
        self.came += 1;
        let key = (waiting.tries, Reverse(self.came));
        self.waiting.insert(key, waiting);
        self.keys.insert(self.came, key);
        let mut gone = None;
        if self.waiting.len() > WAITING_MAX
            && let Some(((_, Reverse(last)), _)) = self.waiting.pop_last()
        {
            self.keys.remove(&last);
            gone = Some(Turn(last));
        }
        (Turn(self.came), gone)
    }

    pub(super) fn remove(&mut self, turn: Turn) -> Option<Waiting> {
        let key = self.keys.remove(&turn.0)?;
        self.waiting.remove(&key)
    }

    /// Networks that try for the first time, in their order.
    pub(super) fn firsts(&self) -> impl Iterator<Item = (Turn, &Waiting)> {
        let before = (2, Reverse(u64::MAX));
        self.waiting.range(..before).map(|((_, Reverse(came)), waiting)| (Turn(*came), waiting))
    }

    /// All others.
    pub(super) fn others(&self) -> impl Iterator<Item = (Turn, &Waiting)> {
        let from = (2, Reverse(u64::MAX));
        self.waiting.range(from..).map(|((_, Reverse(came)), waiting)| (Turn(*came), waiting))
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
