//! Guessing passwords doesn't pay: what failed log-ins cost those who come after them.
//!
//! Failures are counted by the prefix of the client's address (/24, /56), by account, and by password; each count
//! leaks away. Beyond a few, which people need who have forgotten their password, each further log-in waits twice as
//! long as the one before; past the hard limit of a prefix it isn't tried at all. A prefix that has logged in to an
//! account well of late waits for neither, so that an attack on an account, or from a neighbour, doesn't keep its owner
//! out. One password that fails for many accounts counts more. Only keyed hashes are kept of accounts and passwords,
//! in tables of bounded size. Nothing here waits, logs or asks the time. T0.1.

mod ledger;
mod memory;
#[cfg(test)]
mod tests;

use ledger::Ledger;
use mail::Mono;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Entries of each table: at some 40 bytes, 10 MB when all are full.
const ENTRIES_MAX: usize = 65_536;
/// Failures of a prefix that cost nothing.
const PREFIX_FREE: u32 = 5;
/// Failures of an account, from wherever they come, that cost nothing.
const ACCOUNT_FREE: u32 = 20;
/// Failures of a prefix beyond which nothing is tried.
const PREFIX_HARD: u32 = 30;
/// Accounts for which a password fails before it is taken for a sprayed one.
const SPRAY_ACCOUNTS: usize = 5;
/// What a failure with a sprayed password counts.
const SPRAY_WEIGHT: u32 = 5;
/// Log-ins of one address under way at once.
const AT_ONCE_MAX: u32 = 10;
/// One failure is forgotten in so long.
const LEAK: Duration = Duration::from_secs(60);
/// How long a log-in that went well speaks for a prefix.
const GOOD_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a password's accounts are remembered.
const SPRAY_FOR: Duration = Duration::from_secs(3600);

/// Who tries what. Names and passwords are hashed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    prefix: u64,
    account: Option<u64>,
    password: Option<u64>,
}

/// What is to become of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It may be tried, after this time.
    After(Duration),
    /// It isn't tried; the session ends.
    No,
}

/// Why the log should say more than that a log-in failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noticed {
    /// A password has failed for many accounts.
    Sprayed,
    /// An account is tried from everywhere.
    Besieged,
    /// A prefix has reached the hard limit.
    ShutOut,
}

/// A keyed hash: nobody who doesn't know the key finds two names that it takes for one. Whoever wants to
/// [`recall`](Guessing::recall) what was known keeps the key.
pub struct Hash(Box<Hashing>);

type Hashing = dyn Fn(&[u8]) -> u64 + Send + Sync;

impl Hash {
    /// By a function.
    #[must_use]
    pub fn new(by: impl Fn(&[u8]) -> u64 + Send + Sync + 'static) -> Hash {
        Hash(Box::new(by))
    }

    fn of(&self, what: &str, parts: &[&[u8]]) -> u64 {
        let mut bytes = what.as_bytes().to_vec();
        bytes.push(0);
        for part in parts {
            bytes.extend_from_slice(part);
        }
        (self.0)(&bytes)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash")
    }
}

/// What is known of failures.
#[derive(Debug)]
pub struct Guessing {
    key: Hash,
    delay_max: Duration,
    prefixes: Ledger<Leaking>,
    accounts: Ledger<Leaking>,
    passwords: Ledger<Accounts>,
    good: Ledger<()>,
    under_way: Ledger<u32>,
    /// Changes of what is worth being recalled.
    changes: u64,
}

/// A count that leaks.
#[derive(Clone, Copy, Debug, Default)]
struct Leaking {
    failures: u32,
    /// When the last whole unit had leaked.
    since: Mono,
}

impl Leaking {
    fn at(mut self, now: Mono) -> Leaking {
        let units = now.since(self.since).as_secs() / LEAK.as_secs();
        let leaked = u32::try_from(units).unwrap_or(u32::MAX);
        if leaked >= self.failures {
            return Leaking { failures: 0, since: now };
        }
        self.failures -= leaked;
        self.since = self.since + LEAK.saturating_mul(leaked);
        self
    }
}

/// Accounts for which a password failed.
#[derive(Clone, Copy, Debug, Default)]
struct Accounts {
    seen: [u64; SPRAY_ACCOUNTS],
    count: usize,
}

impl Accounts {
    fn add(&mut self, account: u64) {
        if self.seen.iter().take(self.count).any(|seen| *seen == account) {
            return;
        }
        if let Some(free) = self.seen.get_mut(self.count) {
            *free = account;
            self.count += 1;
        }
    }
}

impl Guessing {
    /// Nobody has failed. `delay_max` is the longest wait; with zero nothing is slowed or refused.
    #[must_use]
    pub fn new(key: Hash, delay_max: Duration) -> Guessing {
        Guessing {
            key,
            delay_max,
            prefixes: Ledger::new(ENTRIES_MAX),
            accounts: Ledger::new(ENTRIES_MAX),
            passwords: Ledger::new(ENTRIES_MAX),
            good: Ledger::new(ENTRIES_MAX),
            under_way: Ledger::new(ENTRIES_MAX),
            changes: 0,
        }
    }

    /// An attempt as it is counted. An account is the same whatever its case.
    #[must_use]
    pub fn attempt(&self, client: IpAddr, account: Option<&str>, password: Option<&[u8]>) -> Attempt {
        Attempt {
            prefix: self.key.of(family(client), &[&prefix(client).to_be_bytes()]),
            account: account.map(|name| self.key.of("account", &[name.to_lowercase().as_bytes()])),
            password: password.map(|secret| self.key.of("password", &[secret])),
        }
    }

    /// Counts a log-in of an address in, until [`Guessing::end`]; false where there are too many.
    pub fn begin(&mut self, client: IpAddr, now: Mono) -> bool {
        if self.delay_max.is_zero() {
            return true;
        }
        let count = self.under_way.entry(self.address(client), now);
        if *count >= AT_ONCE_MAX {
            return false;
        }
        *count += 1;
        true
    }

    /// Counts it out.
    pub fn end(&mut self, client: IpAddr, now: Mono) {
        let address = self.address(client);
        let Some(count) = self.under_way.known(address) else { return };
        match count.checked_sub(1).filter(|left| *left > 0) {
            Some(left) => *self.under_way.entry(address, now) = left,
            None => self.under_way.forget(address),
        }
    }

    /// Whether, and when, an attempt may be made.
    #[must_use]
    pub fn leave(&self, attempt: &Attempt, now: Mono) -> Leave {
        if self.delay_max.is_zero() || self.is_good(attempt, now) {
            return Leave::After(Duration::ZERO);
        }
        let prefix = failures(&self.prefixes, attempt.prefix, now);
        if prefix >= PREFIX_HARD {
            return Leave::No;
        }
        let account = attempt.account.map_or(0, |account| failures(&self.accounts, account, now));
        let wait = doubled(prefix, PREFIX_FREE).max(doubled(account, ACCOUNT_FREE));
        Leave::After(wait.min(self.delay_max))
    }

    /// Whose turn it is among log-ins that wait for each other: the network, and how often it has failed of late;
    /// `None` where the account is known to log in from there.
    #[must_use]
    pub fn standing(&self, attempt: &Attempt, now: Mono) -> (u64, Option<u32>) {
        let failed = failures(&self.prefixes, attempt.prefix, now);
        (attempt.prefix, (!self.is_good(attempt, now)).then_some(failed))
    }

    /// The password was wrong, or there is no such account.
    pub fn failed(&mut self, attempt: &Attempt, now: Mono) -> Option<Noticed> {
        self.changes = self.changes.wrapping_add(1);
        let mut noticed = None;
        let mut weight = 1;
        if let (Some(account), Some(password)) = (attempt.account, attempt.password) {
            let stale = self.passwords.age(password, now).is_some_and(|age| age > SPRAY_FOR);
            let accounts = self.passwords.entry(password, now);
            if stale {
                *accounts = Accounts::default();
            }
            let before = accounts.count;
            accounts.add(account);
            if accounts.count >= SPRAY_ACCOUNTS {
                weight = SPRAY_WEIGHT;
                noticed = (before < SPRAY_ACCOUNTS).then_some(Noticed::Sprayed);
            }
        }
        if let Some(account) = attempt.account {
            let after = add(&mut self.accounts, account, 1, now);
            noticed = noticed.or((after == ACCOUNT_FREE + 1).then_some(Noticed::Besieged));
        }
        // Whose password is mistyped at a place that is known for the right one, doesn't spoil it for others there.
        if !self.is_good(attempt, now) {
            let before = failures(&self.prefixes, attempt.prefix, now);
            let after = add(&mut self.prefixes, attempt.prefix, weight, now);
            if before < PREFIX_HARD && after >= PREFIX_HARD {
                noticed = Some(Noticed::ShutOut);
            }
        }
        noticed
    }

    /// The password was right.
    pub fn succeeded(&mut self, attempt: &Attempt, now: Mono) {
        if let Some(pair) = self.pair(attempt) {
            self.changes = self.changes.wrapping_add(1);
            self.good.entry(pair, now);
        }
    }

    /// Entries of all tables.
    #[must_use]
    pub fn len(&self) -> usize {
        self.prefixes.len()
            + self.accounts.len()
            + self.passwords.len()
            + self.good.len()
            + self.under_way.len()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn is_good(&self, attempt: &Attempt, now: Mono) -> bool {
        let age = self.pair(attempt).and_then(|pair| self.good.age(pair, now));
        age.is_some_and(|age| age <= GOOD_FOR)
    }

    /// A place and an account.
    fn pair(&self, attempt: &Attempt) -> Option<u64> {
        let of = |account: u64| self.key.of("pair", &[&attempt.prefix.to_be_bytes(), &account.to_be_bytes()]);
        attempt.account.map(of)
    }

    fn address(&self, client: IpAddr) -> u64 {
        let bits = match client {
            IpAddr::V4(v4) => u128::from(u32::from(v4)),
            IpAddr::V6(v6) => u128::from(v6) >> 64,
        };
        self.key.of(if client.is_ipv4() { "address" } else { "address6" }, &[&bits.to_be_bytes()])
    }
}

/// The network of a client: /24, /56.
fn prefix(client: IpAddr) -> u128 {
    match client {
        IpAddr::V4(v4) => u128::from(u32::from(v4) >> 8),
        IpAddr::V6(v6) => u128::from(v6) >> 72,
    }
}

const fn family(client: IpAddr) -> &'static str {
    if client.is_ipv4() { "prefix" } else { "prefix6" }
}

fn failures(ledger: &Ledger<Leaking>, key: u64, now: Mono) -> u32 {
    ledger.known(key).map_or(0, |count| count.at(now).failures)
}

fn add(ledger: &mut Ledger<Leaking>, key: u64, weight: u32, now: Mono) -> u32 {
    let count = ledger.entry(key, now);
    *count = count.at(now);
    count.failures = count.failures.saturating_add(weight);
    count.failures
}

/// One second for the first failure beyond the free ones, and twice as long for each further one.
fn doubled(failures: u32, free: u32) -> Duration {
    match failures.checked_sub(free) {
        None | Some(0) => Duration::ZERO,
        Some(beyond) => Duration::from_secs(1_u64.checked_shl(beyond - 1).unwrap_or(u64::MAX >> 1)),
    }
}
