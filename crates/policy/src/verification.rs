//! Whether mail to an address could be delivered: what probes have found, for how long it counts, and when to probe
//! again (verify(8), ADDRESS_VERIFICATION_README).
//!
//! [`Memory`] is a bounded table in which time is an argument; who probes, who keeps its records on a disk and who
//! writes the log is the program. A deliverable address stays so until it expires, even where a later probe fails. No
//! address is probed twice at the same time, and no more addresses than `address_verify_pending_request_limit` are.
//! [`ProbeSender`] is the address that probes come from, whose recipients the restrictions let pass.

use crate::address::AddressClasses;
use crate::eviction::forget_lowest;
use config::Parameters;
use mail::{Address, Wall};
use std::collections::HashMap;
use std::time::Duration;

/// Addresses that are remembered: some 15 MB.
const ROWS_MAX: usize = 50_000;
/// A probe that has had no answer for so long is taken for lost, and a refreshing one isn't repeated before.
const PROBE_TIME: Duration = Duration::from_secs(1_000);
/// What is said while nobody knows yet.
pub const IN_PROGRESS: &str = "Address verification in progress";

/// What a probe has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deliverability {
    /// It would be delivered.
    Deliverable,
    /// Not now; or nobody knows yet.
    Deferred,
    /// Never.
    Undeliverable,
}

/// What is known of an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verified {
    /// What was found.
    pub found: Deliverability,
    /// In the words of whoever said so.
    pub text: String,
}

impl Verified {
    /// Nothing is known yet.
    #[must_use]
    pub fn in_progress() -> Verified {
        Verified { found: Deliverability::Deferred, text: IN_PROGRESS.to_owned() }
    }
}

/// For how long something counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Then it is forgotten.
    pub expire: Duration,
    /// Then it is probed again, while it still counts.
    pub refresh: Duration,
}

impl Lifetime {
    fn is_expired(self, age: Duration) -> bool {
        age >= self.expire
    }
}

/// The parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `address_verify_positive_expire_time`, `address_verify_positive_refresh_time`.
    pub positive: Lifetime,
    /// `address_verify_negative_expire_time`, `address_verify_negative_refresh_time`.
    pub negative: Lifetime,
    /// `address_verify_negative_cache`: whether failures are remembered.
    pub keeps_negative: bool,
    /// `address_verify_pending_request_limit`.
    pub pending_max: usize,
}

impl Limits {
    /// Reads the parameters.
    #[must_use]
    pub fn read(p: &Parameters) -> Limits {
        let lifetime = |kind: &str| Lifetime {
            expire: p.duration(&format!("address_verify_{kind}_expire_time")),
            refresh: p.duration(&format!("address_verify_{kind}_refresh_time")),
        };
        Limits {
            positive: lifetime("positive"),
            negative: lifetime("negative"),
            keeps_negative: p.flag("address_verify_negative_cache"),
            pending_max: usize::try_from(p.number("address_verify_pending_request_limit")).unwrap_or(5_000),
        }
    }

    const fn of(&self, found: Deliverability) -> Lifetime {
        match found {
            Deliverability::Deliverable => self.positive,
            Deliverability::Deferred | Deliverability::Undeliverable => self.negative,
        }
    }
}

/// One address's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What is known.
    pub verified: Verified,
    /// Since when.
    pub updated: Wall,
}

/// Bytes of a row as it is kept on a disk, its address with it.
pub const ROW_BYTES: usize = 512;
/// What is in front of address and text: what was found, when, two lengths.
const FRONT_BYTES: usize = 1 + 8 + 2 + 2;
/// The longest address that is remembered.
const ADDRESS_BYTES_MAX: usize = 320;

impl Row {
    /// The bytes for the disk, all of one length. A long text is cut.
    #[must_use]
    pub fn encode(&self, address: &str) -> Vec<u8> {
        let room = ROW_BYTES.saturating_sub(FRONT_BYTES).saturating_sub(address.len());
        let text = cut(&self.verified.text, room);
        let mut bytes = Vec::with_capacity(ROW_BYTES);
        bytes.push(match self.verified.found {
            Deliverability::Deliverable => 0,
            Deliverability::Deferred => 1,
            Deliverability::Undeliverable => 2,
        });
        bytes.extend_from_slice(&self.updated.0.to_le_bytes());
        for text in [address, text] {
            bytes.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
        }
        bytes.extend_from_slice(address.as_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(ROW_BYTES, 0);
        bytes
    }

    /// From the disk's bytes; `None` where they are none of ours.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(String, Row)> {
        let (found, rest) = bytes.split_first()?;
        let found = match found {
            0 => Deliverability::Deliverable,
            1 => Deliverability::Deferred,
            2 => Deliverability::Undeliverable,
            _ => return None,
        };
        let (updated, rest) = rest.split_first_chunk::<8>()?;
        let (address_bytes, rest) = rest.split_first_chunk::<2>()?;
        let (text_bytes, rest) = rest.split_first_chunk::<2>()?;
        let (address, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*address_bytes)))?;
        let (text, _) = rest.split_at_checked(usize::from(u16::from_le_bytes(*text_bytes)))?;
        let address = String::from_utf8(address.to_vec()).ok()?;
        let text = String::from_utf8(text.to_vec()).ok()?;
        let updated = Wall(i64::from_le_bytes(*updated));
        Some((address, Row { verified: Verified { found, text }, updated }))
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

/// What [`Memory::ask`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What is known; `None` where nobody knows yet.
    pub known: Option<Verified>,
    /// Whether the address is to be probed now; its probe counts as under way from here on.
    pub probe: bool,
}

/// What is known of addresses.
#[derive(Debug)]
pub struct Memory {
    rows: HashMap<String, Row>,
    rows_max: usize,
    /// Probes under way, and when the last one of an address began that is known.
    probed: HashMap<String, Wall>,
    under_way: usize,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory { rows: HashMap::new(), rows_max: ROWS_MAX, probed: HashMap::new(), under_way: 0 }
    }
}

fn age(now: Wall, since: Wall) -> Duration {
    Duration::from_micros(u64::try_from(now.0.saturating_sub(since.0)).unwrap_or(0))
}

impl Memory {
    /// A row from before.
    pub fn restore(&mut self, address: String, row: Row) {
        if self.rows.len() < self.rows_max || self.rows.contains_key(&address) {
            self.rows.insert(address, row);
        }
    }

    /// What is known of `address`, and whether it is to be probed.
    pub fn ask(&mut self, address: &str, limits: &Limits, now: Wall) -> Asked {
        let row = self.rows.get(address).map(|row| {
            let lifetime = limits.of(row.verified.found);
            (row, lifetime, age(now, row.updated))
        });
        let (known, stale) = match row {
            Some((row, lifetime, age)) if !lifetime.is_expired(age) => {
                (Some(row.verified.clone()), age >= lifetime.refresh)
            }
            _ => (None, true),
        };
        let probe = stale && self.begin(address, limits, now, known.is_some());
        Asked { known, probe }
    }

    /// What is known of `address`; no probe begins.
    #[must_use]
    pub fn known(&self, address: &str, limits: &Limits, now: Wall) -> Option<Verified> {
        let row = self.rows.get(address)?;
        let is_expired = limits.of(row.verified.found).is_expired(age(now, row.updated));
        (!is_expired).then(|| row.verified.clone())
    }

    /// Whether a probe may begin.
    fn begin(&mut self, address: &str, limits: &Limits, now: Wall, is_known: bool) -> bool {
        if address.len() > ADDRESS_BYTES_MAX {
            return false;
        }
        if self.probed.get(address).is_some_and(|since| age(now, *since) < PROBE_TIME) {
            return false;
        }
        if self.under_way >= limits.pending_max || (self.probed.len() >= self.rows_max && is_known) {
            return false;
        }
        self.probed.insert(address.to_owned(), now);
        self.under_way = self.under_way.saturating_add(1);
        true
    }

    /// A probe is over. Gives the row where it has changed, for the disk.
    pub fn tell(&mut self, address: &str, told: Verified, limits: &Limits, now: Wall) -> Option<Row> {
        self.under_way = self.under_way.saturating_sub(1);
        let is_good = told.found == Deliverability::Deliverable;
        let known = self.rows.get(address);
        let is_known_good = known.is_some_and(|row| {
            row.verified.found == Deliverability::Deliverable
                && !limits.positive.is_expired(age(now, row.updated))
        });
        if !is_good && is_known_good {
            // It counts on; when it was probed is kept, so that it isn't at once again.
            return None;
        }
        self.probed.remove(address);
        if !is_good && !limits.keeps_negative {
            return None;
        }
        let room = ROW_BYTES.saturating_sub(FRONT_BYTES).saturating_sub(address.len());
        let text = cut(&told.text, room).to_owned();
        let row = Row { verified: Verified { text, ..told }, updated: now };
        if self.rows.len() >= self.rows_max && !self.rows.contains_key(address) {
            self.make_room();
        }
        self.rows.insert(address.to_owned(), row.clone());
        Some(row)
    }

    /// Forgets what has expired; says how many rows stay and how many go.
    pub fn clean_up(&mut self, limits: &Limits, now: Wall) -> (usize, usize) {
        let before = self.rows.len();
        self.rows.retain(|_, row| !limits.of(row.verified.found).is_expired(age(now, row.updated)));
        self.probed.retain(|_, since| age(now, *since) < PROBE_TIME);
        (self.rows.len(), before.saturating_sub(self.rows.len()))
    }

    /// Every row, for the disk.
    #[must_use]
    pub fn encoded(&self) -> Vec<Vec<u8>> {
        self.rows.iter().map(|(address, row)| row.encode(address)).collect()
    }

    /// Rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The eighth that was found longest ago goes, failures first: a flood of made-up addresses doesn't drive out those
    /// that are there.
    fn make_room(&mut self) {
        let rank = |row: &Row| (row.verified.found == Deliverability::Deliverable, row.updated.0);
        let count = self.rows.len() / 8 + 1;
        forget_lowest(&mut self.rows, count, rank);
    }
}

/// `address_verify_sender`, with a part that changes with time where `address_verify_sender_ttl` says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeSender {
    address: Address,
    /// How long one address holds; zero for ever.
    period: Duration,
}

/// Digits that spell no words.
const DIGITS: &[u8; 31] = b"0123456789BCDFGHJKLMNPQRSTVWXYZ";

impl ProbeSender {
    /// Reads the parameters.
    #[must_use]
    pub fn compile(p: &Parameters, classes: &AddressClasses) -> ProbeSender {
        let text = p.text("address_verify_sender").value;
        let address = match text.as_str() {
            "" | "<>" => Address::null(),
            text => classes.rewrite(&Address::from_internal(text)),
        };
        ProbeSender { address, period: p.duration("address_verify_sender_ttl") }
    }

    /// The sender of a probe.
    #[must_use]
    pub fn at(&self, now: Wall) -> Address {
        self.in_period(self.period_of(now).unwrap_or(0))
    }

    /// Whether mail to `recipient` answers a probe: then restrictions don't hold it up, or probes that answer probes
    /// would never end. The last period's address is still good.
    #[must_use]
    pub fn is(&self, recipient: &Address, now: Wall) -> bool {
        if self.address.is_null() {
            return false;
        }
        let period = self.period_of(now);
        let periods = [period.unwrap_or(0), period.unwrap_or(0).saturating_sub(1)];
        let same = |period| self.in_period(period).as_str().eq_ignore_ascii_case(recipient.as_str());
        periods.into_iter().any(same)
    }

    fn period_of(&self, now: Wall) -> Option<u64> {
        let length = i64::try_from(self.period.as_secs()).ok().filter(|length| *length > 0)?;
        u64::try_from(now.seconds().checked_div(length)?).ok()
    }

    fn in_period(&self, mut period: u64) -> Address {
        if self.address.is_null() || self.period.as_secs() == 0 {
            return self.address.clone();
        }
        let mut digits = Vec::new();
        loop {
            let digit = usize::try_from(period % 31).unwrap_or(0);
            digits.push(char::from(DIGITS.get(digit).copied().unwrap_or(b'0')));
            period /= 31;
            if period == 0 {
                break;
            }
        }
        let suffix: String = digits.into_iter().rev().collect();
        let (local, domain) = (self.address.local(), self.address.domain());
        Address::from_internal(match domain {
            Some(domain) => format!("{local}{suffix}@{domain}"),
            None => format!("{local}{suffix}"),
        })
    }
}

/// For fuzzing: whatever decodes is the same after encoding and decoding; nothing panics.
pub fn fuzz(bytes: &[u8]) {
    if let Some((address, row)) = Row::decode(bytes)
        && address.len().saturating_add(row.verified.text.len()) <= ROW_BYTES - FRONT_BYTES
    {
        assert_eq!(Row::decode(&row.encode(&address)), Some((address, row)), "a row survives its encoding");
    }
}

#[cfg(test)]
mod tests;
