//! What is known of guesses, as bytes that outlive a restart.
//!
//! Prefixes and accounts with their failures, and the places from which accounts have logged in; of passwords nothing
//! is kept. A row is its kind, a keyed hash, a count and an age in seconds. Bytes that are no such rows are passed over:
//! what is forgotten costs guessers less, and nobody else more. T0.1.

use super::{ENTRIES_MAX, GOOD_FOR, Guessing, LEAK, Leaking};
use mail::Mono;
use std::time::Duration;

/// A row: kind, hash, count, age.
const ROW_BYTES: usize = 1 + 8 + 4 + 4;
const PREFIX: u8 = b'P';
const ACCOUNT: u8 = b'A';
const GOOD: u8 = b'G';

impl Guessing {
    /// How often something has changed that [`Guessing::remembered`] would say.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// All that is worth being recalled: at most 3.3 MB.
    #[must_use]
    pub fn remembered(&self, now: Mono) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut row = |kind: u8, key: u64, count: u32, age: Duration| {
            bytes.push(kind);
            bytes.extend_from_slice(&key.to_le_bytes());
            bytes.extend_from_slice(&count.to_le_bytes());
            bytes.extend_from_slice(&u32::try_from(age.as_secs()).unwrap_or(u32::MAX).to_le_bytes());
        };
        for (kind, ledger) in [(PREFIX, &self.prefixes), (ACCOUNT, &self.accounts)] {
            for (key, count, _) in ledger.rows() {
                let left = count.at(now);
                if left.failures > 0 {
                    row(kind, key, left.failures, now.since(left.since));
                }
            }
        }
        for (key, (), written) in self.good.rows() {
            let age = now.since(written);
            if age <= GOOD_FOR {
                row(GOOD, key, 0, age);
            }
        }
        bytes
    }

    /// Takes up what was [`remembered`](Guessing::remembered) so long ago, under the same key.
    pub fn recall(&mut self, bytes: &[u8], ago: Duration, now: Mono) {
        for row in bytes.chunks_exact(ROW_BYTES).take(3 * ENTRIES_MAX) {
            let Some((kind, key, count, age)) = read(row) else { continue };
            let age = Duration::from_secs(u64::from(age)).saturating_add(ago);
            let written = Mono(now.0.saturating_sub(u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)));
            let leaked = u32::try_from(age.as_secs() / LEAK.as_secs()).unwrap_or(u32::MAX);
            match kind {
                PREFIX | ACCOUNT if count > leaked => {
                    let ledger = if kind == PREFIX { &mut self.prefixes } else { &mut self.accounts };
                    *ledger.entry(key, now) = Leaking { failures: count, since: written }.at(now);
                }
                GOOD if age <= GOOD_FOR => {
                    self.good.entry(key, written);
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
