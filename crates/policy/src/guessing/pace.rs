//! How soon the next attempt may go: a count of failures that leaks, and when the last one went.
//!
//! An attempt counts as failed from the moment that it goes; one that went well gives its count back. So many attempts
//! at once find the same spacing as many one after another.

use mail::Mono;
use std::time::Duration;

/// How a pace slows down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// Failures that cost nothing.
    pub free: u32,
    /// One failure is forgotten in so long.
    pub leak: Duration,
    /// Between two attempts, at most.
    pub longest: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    pub failures: u32,
    /// When the last whole failure had leaked.
    pub since: Mono,
    /// When the last attempt went; zero where the next needn't wait for it.
    pub last: Mono,
}

impl Pace {
    pub(super) fn at(mut self, leak: Duration, now: Mono) -> Pace {
        let units = now.since(self.since).as_nanos() / leak.as_nanos().max(1);
        let leaked = u32::try_from(units).unwrap_or(u32::MAX);
        if leaked >= self.failures {
            return Pace { failures: 0, since: now, last: self.last };
        }
        self.failures -= leaked;
        self.since = self.since + leak.saturating_mul(leaked);
        self
    }

    /// When the next attempt may go.
    pub(super) fn due(self, rule: &Rule, now: Mono) -> Mono {
        let wait = doubled(self.at(rule.leak, now).failures, rule.free);
        if wait.is_zero() || self.last == Mono(0) { self.last } else { self.last + wait.min(rule.longest) }
    }

    /// An attempt goes: how many failures there are now.
    pub(super) fn goes(&mut self, rule: &Rule, now: Mono) -> u32 {
        self.last = now;
        self.add(rule.leak, 1, now)
    }

    pub(super) fn add(&mut self, leak: Duration, weight: u32, now: Mono) -> u32 {
        *self = self.at(leak, now);
        self.failures = self.failures.saturating_add(weight);
        self.failures
    }

    /// It was no failure.
    pub(super) fn gives_back(&mut self, rule: &Rule, now: Mono) {
        *self = self.at(rule.leak, now);
        self.failures = self.failures.saturating_sub(1);
    }
}

/// One second for the first failure beyond the free ones, and twice as long for each further one.
fn doubled(failures: u32, free: u32) -> Duration {
    match failures.checked_sub(free) {
        None | Some(0) => Duration::ZERO,
        Some(beyond) => Duration::from_secs(1_u64.checked_shl(beyond - 1).unwrap_or(u64::MAX >> 1)),
    }
}
