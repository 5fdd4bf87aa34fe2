//! Guessing passwords doesn't pay: what failed log-ins cost those who come after them.
//!
//! Whoever has logged in to an account from its network of late is known, and waits for nobody. All others are strangers:
//! they stand in a line and go to whoever judges passwords one by one, at a pace of the server,
//! of the network (/24, /56) and of the account. Each pace has a few failures free, which people need who have forgotten
//! their password; with each further one it gets twice as slow. An attempt counts as failed until it has gone well.
//! Networks that have said nothing else yet have a pace of their own, so that thousands of guessers who come back keep a
//! newcomer waiting for seconds at most; to say again what wasn't tried makes nobody come later. Who has waited for too long hears
//! that it can't be said now, and has learnt nothing. Past the hard limit of a network nothing is tried.
//!
//! One password that fails for many accounts counts more. Only keyed hashes are kept of accounts and passwords, in tables
//! of bounded size. Nothing here waits, logs or asks the time. T0.1.

mod ledger;
mod memory;
mod pace;
mod queue;
#[cfg(test)]
mod siege;
#[cfg(test)]
mod tests;

use ledger::Ledger;
use mail::Mono;
use pace::{Pace, Rule};
pub use queue::Turn;
use queue::{Line, Waiting};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Entries of each table: at some 40 to 80 bytes, 20 MB when all are full.
const ENTRIES_MAX: usize = 65_536;
/// Of wide networks.
const WIDES_MAX: usize = 8_192;
/// One failure is forgotten in so long.
const LEAK: Duration = Duration::from_secs(60);
/// The pace of networks that have said nothing else yet, all together: a newcomer's.
const FIRSTS: Rule = Rule { free: 6, leak: Duration::from_secs(10), longest: Duration::from_secs(5) };
/// That of all other strangers together.
const OTHERS: Rule = Rule { free: 4, leak: LEAK, longest: Duration::from_secs(60) };
/// A network's; the listener says what is longest.
const PREFIX: Rule = Rule { free: 5, leak: LEAK, longest: Duration::MAX };
/// An account's, from wherever its attempts come.
const ACCOUNT: Rule = Rule { free: 20, leak: LEAK, longest: Duration::MAX };
/// What is longest for somebody's first try is a part of that.
const ACCOUNT_FIRST: u32 = 8;
/// Failures of a prefix beyond which nothing is tried.
const PREFIX_HARD: u32 = 30;
/// Failures at a known place, of late, after which it is a stranger's.
const MISTYPED_MAX: u32 = 20;
/// Accounts for which a password fails before it is taken for a sprayed one.
const SPRAY_ACCOUNTS: usize = 5;
/// What a failure with a sprayed password counts.
const SPRAY_WEIGHT: u32 = 5;
/// Log-ins of one address under way at once.
const AT_ONCE_MAX: u32 = 10;
/// How long a log-in that went well speaks for a prefix.
const GOOD_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a password's accounts are remembered.
const SPRAY_FOR: Duration = Duration::from_secs(3600);
/// One of the different things that a network has said is forgotten in so long.
const TRIES_LEAK: Duration = Duration::from_secs(6 * 3600);
/// So often the same may be said until it counts as something else.
const AGAIN_MAX: u32 = 10;
/// How long a first try waits at most: its owner comes again, and is no stranger to this table then.
const FIRST_HELD: Duration = Duration::from_secs(8);
/// So many of those who might go are looked at.
const LOOKED_AT_MAX: usize = 256;
/// When to look again where nobody's network or account is ready.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Who tries what. Names and passwords are hashed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    prefix: u64,
    /// The provider's: /16, /32.
    wide: u64,
    address: u64,
    account: Option<u64>,
    password: Option<u64>,
}

/// What becomes of somebody who wants to try.
#[derive(Clone, Copy, Debug)]
pub enum Arrival {
    /// The attempt may be made now.
    Goes(Going),
    /// It waits until [`Guessing::next`] names it.
    Waits {
        /// Its place.
        turn: Turn,
        /// After so long it leaves, untried.
        at_most: Duration,
        /// Who has to leave at once, as there is no room.
        gone: Option<Turn>,
    },
    /// It isn't tried; the session ends.
    No,
}

/// An attempt that is being made. A stranger's counts as failed until it is settled.
#[derive(Clone, Copy, Debug)]
pub struct Going {
    attempt: Attempt,
    /// How a stranger stands; `None` for those who are known.
    stranger: Option<Standing>,
}

#[derive(Clone, Copy, Debug)]
struct Standing {
    first: bool,
    /// Failures with this one, of the server's pace, the network and the account.
    all: u32,
    prefix: u32,
    account: u32,
}

impl Going {
    /// With the account, where that has been learnt only now.
    #[must_use]
    pub fn of(mut self, attempt: &Attempt) -> Going {
        self.attempt.account = self.attempt.account.or(attempt.account);
        self
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The password was wrong, or there is no such account.
    Failed,
    /// The password was right.
    Succeeded,
    /// Nobody could say.
    Unanswered,
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
    /// So many strangers fail that all of them have to wait.
    Flooded,
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

/// What is known of failures, and who waits.
#[derive(Debug)]
pub struct Guessing {
    key: Hash,
    firsts: Pace,
    others: Pace,
    prefixes: Ledger<Pace>,
    /// Failures of wide networks: of those who try for the first time, they only say who comes first.
    wides: Ledger<Pace>,
    accounts: Ledger<Pace>,
    /// What a network has said: how many different things, and the last of them.
    tries: Ledger<Tries>,
    passwords: Ledger<Accounts>,
    good: Ledger<()>,
    /// The same by address: a neighbour's guesses are no reason to shut out who is known there.
    good_there: Ledger<()>,
    /// Networks from which somebody has logged in.
    homes: Ledger<()>,
    /// Failures at known places.
    mistyped: Ledger<Pace>,
    under_way: Ledger<u32>,
    line: Line,
    /// Changes of what is worth being recalled.
    changes: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    count: Pace,
    last: u64,
    /// How often that has been said again.
    again: u32,
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
    /// Nobody has failed.
    #[must_use]
    pub fn new(key: Hash) -> Guessing {
        Guessing {
            key,
            firsts: Pace::default(),
            others: Pace::default(),
            prefixes: Ledger::new(ENTRIES_MAX),
            wides: Ledger::new(WIDES_MAX),
            accounts: Ledger::new(ENTRIES_MAX),
            tries: Ledger::new(ENTRIES_MAX),
            passwords: Ledger::new(ENTRIES_MAX),
            good: Ledger::new(ENTRIES_MAX),
            good_there: Ledger::new(ENTRIES_MAX),
            homes: Ledger::new(ENTRIES_MAX),
            mistyped: Ledger::new(ENTRIES_MAX),
            under_way: Ledger::new(ENTRIES_MAX),
            line: Line::default(),
            changes: 0,
        }
    }

    /// An attempt as it is counted. An account is the same whatever its case.
    #[must_use]
    pub fn attempt(&self, client: IpAddr, account: Option<&str>, password: Option<&[u8]>) -> Attempt {
        Attempt {
            prefix: self.key.of(family(client), &[&prefix(client).to_be_bytes()]),
            wide: self.key.of("wide", &[&wide(client).to_be_bytes()]),
            address: self.address(client),
            account: account.map(|name| self.key.of("account", &[name.to_lowercase().as_bytes()])),
            password: password.map(|secret| self.key.of("password", &[secret])),
        }
    }

    /// What stands for a password where passwords are counted elsewhere; it isn't what stands for it here.
    #[must_use]
    pub fn mark(&self, password: &[u8]) -> u64 {
        self.key.of("mark", &[password])
    }

    /// Counts a log-in of an address in, until [`Guessing::end`]; false where there are too many.
    pub fn begin(&mut self, client: IpAddr, now: Mono) -> bool {
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

    /// Somebody wants to try, on a listener where nobody is to wait longer than `delay_max`.
    pub fn arrive(&mut self, attempt: &Attempt, delay_max: Duration, now: Mono) -> Arrival {
        if self.is_good(attempt, now) {
            return Arrival::Goes(Going { attempt: *attempt, stranger: None });
        }
        if self.prefix_failures(attempt, now) >= PREFIX_HARD {
            return Arrival::No;
        }
        let tries = self.count_try(attempt, now);
        let (turn, gone) = self.line.add(Waiting { attempt: *attempt, tries, delay_max });
        let longest = if tries <= 1 { delay_max.min(FIRST_HELD) } else { delay_max };
        let at_most = self.jittered(longest, turn);
        Arrival::Waits { turn, at_most, gone }
    }

    /// The next who may try now, if anybody may.
    pub fn next(&mut self, now: Mono) -> Option<(Turn, Going)> {
        let due = |pace: Pace, rule: &Rule| pace.due(rule, now) <= now;
        let (firsts, others) = (due(self.firsts, &FIRSTS), due(self.others, &OTHERS));
        let ready = |(_, waiting): &(Turn, &Waiting)| self.is_ready(waiting, now);
        // Who has ever new networks of one provider's comes after those from elsewhere.
        let failed = |(_, waiting): &(Turn, &Waiting)| {
            self.wides.known(waiting.attempt.wide).map_or(0, |count| count.at(LEAK, now).failures)
        };
        let looked_at = self.line.firsts().take(if firsts { LOOKED_AT_MAX } else { 0 });
        let first = looked_at.filter(ready).min_by_key(failed);
        let other = || self.line.others().take(if others { LOOKED_AT_MAX } else { 0 }).find(ready);
        let turn = first.or_else(other)?.0;
        let waiting = self.line.remove(turn)?;
        Some((turn, self.goes(&waiting.attempt, waiting.tries <= 1, now)))
    }

    /// When to ask for the [`next`](Guessing::next) again, where there was none; `None` where nobody waits.
    #[must_use]
    pub fn due(&self, now: Mono) -> Option<Mono> {
        let firsts = self.line.firsts().next().map(|_| self.firsts.due(&FIRSTS, now));
        let others = self.line.others().next().map(|_| self.others.due(&OTHERS, now));
        firsts.into_iter().chain(others).min().map(|due| due.max(now + LOOK_AGAIN))
    }

    /// Somebody waits no more.
    pub fn leave(&mut self, turn: Turn) {
        self.line.remove(turn);
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.line.len()
    }

    /// An attempt that didn't stand in the line, as nobody knew whose it was.
    pub fn went(&mut self, attempt: &Attempt, now: Mono) -> Going {
        if self.is_good(attempt, now) {
            return Going { attempt: *attempt, stranger: None };
        }
        let first = self.count_try(attempt, now) <= 1;
        self.goes(attempt, first, now)
    }

    /// How an attempt ended.
    pub fn settle(&mut self, going: Going, outcome: Outcome, now: Mono) -> Option<Noticed> {
        match outcome {
            Outcome::Failed => return self.failed(&going, now),
            Outcome::Unanswered => self.give_back(&going, now),
            Outcome::Succeeded => {
                self.give_back(&going, now);
                self.succeeded(&going, now);
            }
        }
        None
    }

    /// Whose turn it is among log-ins that wait for each other: the network, and how often it has failed of late;
    /// `None` where the account is known to log in from there.
    #[must_use]
    pub fn standing(&self, attempt: &Attempt, now: Mono) -> (u64, Option<u32>) {
        let failed = self.prefix_failures(attempt, now);
        (attempt.prefix, (!self.is_good(attempt, now)).then_some(failed))
    }

    /// Whether somebody has logged in from the client's network of late, to whatever account.
    #[must_use]
    pub fn is_home(&self, client: IpAddr, now: Mono) -> bool {
        self.has_logged_in(client, GOOD_FOR, now)
    }

    /// Whether somebody has logged in from the client's network `within` so long, to whatever account.
    #[must_use]
    pub fn has_logged_in(&self, client: IpAddr, within: Duration, now: Mono) -> bool {
        let network = self.key.of(family(client), &[&prefix(client).to_be_bytes()]);
        self.homes.age(network, now).is_some_and(|age| age <= within.min(GOOD_FOR))
    }

    /// Entries of all tables.
    #[must_use]
    pub fn len(&self) -> usize {
        self.prefixes.len()
            + self.wides.len()
            + self.accounts.len()
            + self.tries.len()
            + self.passwords.len()
            + self.good.len()
            + self.good_there.len()
            + self.homes.len()
            + self.mistyped.len()
            + self.under_way.len()
            + self.line.len()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn failed(&mut self, going: &Going, now: Mono) -> Option<Noticed> {
        self.changes = self.changes.wrapping_add(1);
        let attempt = &going.attempt;
        let (weight, sprayed) = self.spray_weight(attempt, now);
        let Some(standing) = going.stranger else {
            // Whose password is mistyped at a place that is known for the right one, doesn't spoil it for others there.
            if let Some(account) = attempt.account {
                self.accounts.entry(account, now).add(LEAK, 1, now);
            }
            for pair in self.pair(attempt).into_iter().chain(self.pair_there(attempt)) {
                self.mistyped.entry(pair, now).add(LEAK, 1, now);
            }
            return sprayed;
        };
        // It is known to be wrong; who says it again comes later.
        if let Some(tries) = self.tries.known(attempt.prefix) {
            *self.tries.entry(attempt.prefix, now) = Tries { last: 0, ..tries };
        }
        let before = self.prefix_failures(attempt, now);
        let after = self.prefixes.entry(attempt.prefix, now).add(LEAK, weight - 1, now);
        if standing.prefix == PREFIX_HARD || (before < PREFIX_HARD && after >= PREFIX_HARD) {
            return Some(Noticed::ShutOut);
        }
        let rule = if standing.first { FIRSTS } else { OTHERS };
        let besieged = (standing.account == ACCOUNT.free + 1).then_some(Noticed::Besieged);
        let flooded = (standing.all == rule.free + 1).then_some(Noticed::Flooded);
        sprayed.or(besieged).or(flooded)
    }

    fn succeeded(&mut self, going: &Going, now: Mono) {
        let Some(pair) = self.pair(&going.attempt) else { return };
        self.changes = self.changes.wrapping_add(1);
        self.good.entry(pair, now);
        if let Some(there) = self.pair_there(&going.attempt) {
            self.good_there.entry(there, now);
            self.mistyped.forget(there);
        }
        self.homes.entry(going.attempt.prefix, now);
        self.mistyped.forget(pair);
        if let Some(standing) = going.stranger {
            self.tries.forget(going.attempt.prefix);
            // The next needn't wait for one that was right.
            if standing.first {
                self.firsts.last = Mono(0);
            } else {
                self.others.last = Mono(0);
            }
        }
    }

    fn give_back(&mut self, going: &Going, now: Mono) {
        let Some(standing) = going.stranger else { return };
        if standing.first {
            self.firsts.gives_back(&FIRSTS, now);
        } else {
            self.others.gives_back(&OTHERS, now);
        }
        self.prefixes.entry(going.attempt.prefix, now).gives_back(&PREFIX, now);
        self.wides.entry(going.attempt.wide, now).gives_back(&PREFIX, now);
        // An account that was learnt later hasn't been counted.
        if let Some(account) = going.attempt.account.filter(|_| standing.account > 0) {
            self.accounts.entry(account, now).gives_back(&ACCOUNT, now);
        }
    }

    fn goes(&mut self, attempt: &Attempt, first: bool, now: Mono) -> Going {
        self.changes = self.changes.wrapping_add(1);
        let all = if first { self.firsts.goes(&FIRSTS, now) } else { self.others.goes(&OTHERS, now) };
        let prefix = self.prefixes.entry(attempt.prefix, now).goes(&PREFIX, now);
        self.wides.entry(attempt.wide, now).goes(&PREFIX, now);
        let account =
            attempt.account.map_or(0, |account| self.accounts.entry(account, now).goes(&ACCOUNT, now));
        Going { attempt: *attempt, stranger: Some(Standing { first, all, prefix, account }) }
    }

    /// Whether neither the network nor the account has to rest.
    fn is_ready(&self, waiting: &Waiting, now: Mono) -> bool {
        let rests = |ledger: &Ledger<Pace>, key: u64, rule: Rule, longest: Duration| {
            ledger.known(key).is_some_and(|pace| pace.due(&Rule { longest, ..rule }, now) > now)
        };
        let Waiting { attempt, tries, delay_max } = waiting;
        let longest = if *tries <= 1 { *delay_max / ACCOUNT_FIRST } else { *delay_max };
        self.prefix_failures(attempt, now) < PREFIX_HARD
            && !rests(&self.prefixes, attempt.prefix, PREFIX, *delay_max)
            && !attempt.account.is_some_and(|account| rests(&self.accounts, account, ACCOUNT, longest))
    }

    /// How many different things a network has said, with this one.
    fn count_try(&mut self, attempt: &Attempt, now: Mono) -> u32 {
        let said = attempt.account.zip(attempt.password).map(|(account, password)| {
            self.key.of("said", &[&account.to_be_bytes(), &password.to_be_bytes()])
        });
        let tries = self.tries.entry(attempt.prefix, now);
        tries.count = tries.count.at(TRIES_LEAK, now);
        tries.again = tries.again.saturating_add(1);
        if said.is_none_or(|said| said != tries.last || tries.again > AGAIN_MAX || tries.count.failures == 0)
        {
            (tries.last, tries.again) = (said.unwrap_or_default(), 0);
            tries.count.add(TRIES_LEAK, 1, now);
        }
        tries.count.failures
    }

    /// What a failure counts, and whether it is the one that shows a password to be sprayed.
    fn spray_weight(&mut self, attempt: &Attempt, now: Mono) -> (u32, Option<Noticed>) {
        let Some((account, password)) = attempt.account.zip(attempt.password) else { return (1, None) };
        let stale = self.passwords.age(password, now).is_some_and(|age| age > SPRAY_FOR);
        let accounts = self.passwords.entry(password, now);
        if stale {
            *accounts = Accounts::default();
        }
        let before = accounts.count;
        accounts.add(account);
        if accounts.count < SPRAY_ACCOUNTS {
            return (1, None);
        }
        (SPRAY_WEIGHT, (before < SPRAY_ACCOUNTS).then_some(Noticed::Sprayed))
    }

    fn is_good(&self, attempt: &Attempt, now: Mono) -> bool {
        let is_good = |pair: u64, ledger: &Ledger<()>| {
            let mistyped = self.mistyped.known(pair).map_or(0, |count| count.at(LEAK, now).failures);
            mistyped < MISTYPED_MAX && ledger.age(pair, now).is_some_and(|age| age <= GOOD_FOR)
        };
        self.pair(attempt).is_some_and(|pair| is_good(pair, &self.good))
            || self.pair_there(attempt).is_some_and(|pair| is_good(pair, &self.good_there))
    }

    fn prefix_failures(&self, attempt: &Attempt, now: Mono) -> u32 {
        self.prefixes.known(attempt.prefix).map_or(0, |count| count.at(LEAK, now).failures)
    }

    /// Three quarters of it to all of it, so that those who came together don't come again together.
    fn jittered(&self, longest: Duration, turn: Turn) -> Duration {
        let random = u32::try_from(self.key.of("jitter", &[&turn.number().to_be_bytes()]) % 256).unwrap_or(0);
        longest / 4 * 3 + longest / 1024 * random
    }

    /// A place and an account.
    fn pair(&self, attempt: &Attempt) -> Option<u64> {
        let of = |account: u64| self.key.of("pair", &[&attempt.prefix.to_be_bytes(), &account.to_be_bytes()]);
        attempt.account.map(of)
    }

    /// An address and an account.
    fn pair_there(&self, attempt: &Attempt) -> Option<u64> {
        let of =
            |account: u64| self.key.of("there", &[&attempt.address.to_be_bytes(), &account.to_be_bytes()]);
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

/// Its provider's: /16, /32, told apart by where they stand.
fn wide(client: IpAddr) -> u128 {
    match client {
        IpAddr::V4(v4) => u128::from(u32::from(v4) >> 16),
        IpAddr::V6(v6) => u128::from(v6) >> 96 << 96,
    }
}

const fn family(client: IpAddr) -> &'static str {
    if client.is_ipv4() { "prefix" } else { "prefix6" }
}
