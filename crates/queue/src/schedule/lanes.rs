//! Destinations and how much goes to each at a time.
//!
//! Recipients of one message with the same route go in one attempt, up to the recipient limit; attempts to
//! one destination run side by side up to the concurrency limit, all of a transport up to its process limit;
//! destinations take turns, so that a slow one doesn't hold up the others. Where the recipient limit is 1, a
//! destination is a single recipient, as in Postfix. It knows no time and no outcome.

use super::Settings;
use mail::Address;
use std::collections::{BTreeMap, VecDeque};

/// Where a recipient goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// The first column of master.cf: `virtual`, `local`, `smtp` …
    pub transport: String,
    /// The domain or host; for `error` and `discard` the text.
    pub nexthop: String,
}

/// Limits of one transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `_destination_concurrency_limit`; 0 is without limit.
    pub concurrency: u32,
    /// `_destination_recipient_limit`; 0 is without limit.
    pub recipients: u32,
    /// `default_process_limit`, or master.cf's column; 0 is without limit.
    pub processes: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { concurrency: 20, recipients: 50, processes: 100 }
    }
}

/// One attempt that waits for its turn.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) recipients: Vec<u32>,
}

/// A destination: a route, and the recipient where each is one of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    transport: String,
    nexthop: String,
    single: Option<Address>,
}

impl Key {
    pub(super) fn route(&self) -> Route {
        Route { transport: self.transport.clone(), nexthop: self.nexthop.clone() }
    }
}

#[derive(Debug, Default)]
struct Lane {
    jobs: VecDeque<Job>,
    running: u32,
}

/// All destinations with something to do.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<Key, Lane>,
    /// Destinations with jobs waiting, in turn.
    turn: VecDeque<Key>,
    /// By transport.
    running: BTreeMap<String, u32>,
    /// Nothing could run when we last looked, and nothing has changed since.
    blocked: bool,
}

impl Settings {
    fn limits_of(&self, transport: &str) -> Limits {
        self.transport_limits.get(transport).copied().unwrap_or(self.limits)
    }
}

impl Lanes {
    /// Queues a message's recipients; gives the number of attempts made of them.
    pub(super) fn add(
        &mut self,
        number: u64,
        recipients: Vec<(u32, Route, Address)>,
        settings: &Settings,
    ) -> usize {
        let mut groups: BTreeMap<Key, Vec<u32>> = BTreeMap::new();
        for (index, route, address) in recipients {
            let single = settings.limits_of(&route.transport).recipients == 1;
            let Route { transport, nexthop } = route;
            let key = Key { transport, nexthop, single: single.then_some(address) };
            groups.entry(key).or_default().push(index);
        }
        self.blocked = false;
        let mut added = 0;
        for (key, indices) in groups {
            let limit = usize::try_from(settings.limits_of(&key.transport).recipients).unwrap_or(usize::MAX);
            let lane = self.lanes.entry(key.clone()).or_default();
            if lane.jobs.is_empty() {
                self.turn.push_back(key);
            }
            for part in indices.chunks(if limit == 0 { usize::MAX } else { limit }) {
                lane.jobs.push_back(Job { number, recipients: part.to_vec() });
                added += 1;
            }
        }
        added
    }

    /// The next attempt that may run, and its destination for [`Lanes::done`].
    pub(super) fn next(&mut self, settings: &Settings) -> Option<(Key, Job)> {
        if self.blocked {
            return None;
        }
        for _ in 0..self.turn.len() {
            let key = self.turn.pop_front()?;
            let limits = settings.limits_of(&key.transport);
            let busy = self.running.get(&key.transport).copied().unwrap_or(0);
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            if !below(lane.running, limits.concurrency) || !below(busy, limits.processes) {
                self.turn.push_back(key);
                continue;
            }
            let Some(job) = lane.jobs.pop_front() else { continue };
            lane.running += 1;
            *self.running.entry(key.transport.clone()).or_default() += 1;
            if !lane.jobs.is_empty() {
                self.turn.push_back(key.clone());
            }
            return Some((key, job));
        }
        self.blocked = true;
        None
    }

    /// An attempt to this destination is over.
    pub(super) fn done(&mut self, key: &Key) {
        self.blocked = false;
        if let Some(busy) = self.running.get_mut(&key.transport) {
            *busy = busy.saturating_sub(1);
        }
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.running = lane.running.saturating_sub(1);
            if lane.running == 0 && lane.jobs.is_empty() {
                self.lanes.remove(key);
            }
        }
    }

    /// Drops the attempts of a message that wait for their turn; how many.
    pub(super) fn forget(&mut self, number: u64) -> usize {
        let mut dropped = 0;
        for lane in self.lanes.values_mut() {
            let before = lane.jobs.len();
            lane.jobs.retain(|job| job.number != number);
            dropped += before - lane.jobs.len();
        }
        let lanes = &self.lanes;
        self.turn.retain(|key| lanes.get(key).is_some_and(|lane| !lane.jobs.is_empty()));
        self.lanes.retain(|_, lane| lane.running > 0 || !lane.jobs.is_empty());
        dropped
    }
}

fn below(count: u32, limit: u32) -> bool {
    limit == 0 || count < limit
}
