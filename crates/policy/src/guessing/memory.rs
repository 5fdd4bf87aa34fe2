//! What is known of guesses, as bytes that outlive a restart.
//!
//! Prefixes and accounts with their failures, and the places from which accounts have logged in; of passwords nothing
//! is kept. A row is its kind, a keyed hash, a count and an age in seconds. Bytes that are no such rows are passed over:
//! what is forgotten costs guessers less, and nobody else more. T0.1.

use super::pace::Pace;
use super::{ENTRIES_MAX, FIRSTS, GOOD_FOR, Guessing, LEAK, OTHERS, TRIES_LEAK, Tries};
use mail::Mono;
use std::time::Duration;

/// A row: kind, hash, count, age.
const ROW_BYTES: usize = 1 + 8 + 4 + 4;
const PREFIX: u8 = b'P';
const ACCOUNT: u8 = b'A';
const GOOD: u8 = b'G';
const GOOD_THERE: u8 = b'I';
const HOME: u8 = b'H';
const TRIES: u8 = b'T';
/// The server's own paces, of first tries and of all others.
const FIRST: u8 = b'F';
const OTHER: u8 = b'O';

impl Guessing {
    /// How often something has changed that [`Guessing::remembered`] would say.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// All that is worth being recalled: at most 6.7 MB.
    #[must_use]
    pub fn remembered(&self, now: Mono) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut row = |kind: u8, key: u64, count: u32, age: Duration| {
            bytes.push(kind);
            bytes.extend_from_slice(&key.to_le_bytes());
            bytes.extend_from_slice(&count.to_le_bytes());
            bytes.extend_from_slice(&u32::try_from(age.as_secs()).unwrap_or(u32::MAX).to_le_bytes());
        };
        let mut pace = |kind: u8, key: u64, pace: Pace, leak: Duration| {
            let left = pace.at(leak, now);
            if left.failures > 0 {
                row(kind, key, left.failures, now.since(left.since));
            }
        };
        pace(FIRST, 0, self.firsts, FIRSTS.leak);
        pace(OTHER, 0, self.others, OTHERS.leak);
        for (kind, ledger) in [(PREFIX, &self.prefixes), (ACCOUNT, &self.accounts)] {
            ledger.rows().for_each(|(key, count, _)| pace(kind, key, count, LEAK));
        }
        self.tries.rows().for_each(|(key, tries, _)| pace(TRIES, key, tries.count, TRIES_LEAK));
        for (kind, ledger) in [(GOOD, &self.good), (GOOD_THERE, &self.good_there), (HOME, &self.homes)] {
            for (key, (), written) in ledger.rows() {
                let age = now.since(written);
                if age <= GOOD_FOR {
                    row(kind, key, 0, age);
                }
            }
        }
        bytes
    }

    /// Takes up what was [`remembered`](Guessing::remembered) so long ago, under the same key.
    pub fn recall(&mut self, bytes: &[u8], ago: Duration, now: Mono) {
        for row in bytes.chunks_exact(ROW_BYTES).take(6 * ENTRIES_MAX + 2) {
            let Some((kind, key, count, age)) = read(row) else { continue };
            let age = Duration::from_secs(u64::from(age)).saturating_add(ago);
            let written = Mono(now.0.saturating_sub(u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)));
            // Whatever was the last to go has gone just now.
            let left = |leak: Duration| {
                let pace = Pace { failures: count, since: written, last: now }.at(leak, now);
                (pace.failures > 0).then_some(pace)
            };
            match kind {
                FIRST => self.firsts = left(FIRSTS.leak).unwrap_or_default(),
                OTHER => self.others = left(OTHERS.leak).unwrap_or_default(),
                PREFIX => left(LEAK).into_iter().for_each(|pace| *self.prefixes.entry(key, now) = pace),
                ACCOUNT => left(LEAK).into_iter().for_each(|pace| *self.accounts.entry(key, now) = pace),
                TRIES => left(TRIES_LEAK)
                    .into_iter()
                    .for_each(|count| *self.tries.entry(key, now) = Tries { count, last: 0, again: 0 }),
                GOOD if age <= GOOD_FOR => {
                    self.good.entry(key, written);
                }
                GOOD_THERE if age <= GOOD_FOR => {
                    self.good_there.entry(key, written);
                }
                HOME if age <= GOOD_FOR => {
                    self.homes.entry(key, written);
                }
                _ => {}
            }
        }
    }
}

fn read(row: &[u8]) -> Option<(u8, u64, u32, u32)> {
    let (kind, rest) = row.split_first()?;
    let (key, rest) = rest.split_first_chunk::<8>()?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let age = rest.first_chunk::<4>()?;
    Some((*kind, u64::from_le_bytes(*key), u32::from_le_bytes(*count), u32::from_le_bytes(*age)))
}
