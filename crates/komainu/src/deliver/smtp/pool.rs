//! Connections that have delivered and may deliver more: `smtp_connection_cache_…`, `smtp_connection_reuse_…`.
//!
//! A connection waits for a while for the next message to the same destination, or to the same server where that is
//! reached with the same protection and log-in. Each transport has its own, which ends with its configuration. The
//! server is asked (RSET) whether it is still there before a message is given to it, so that a connection that went
//! stale costs nothing but time. What is kept is bounded.

use super::conversation::Connection;
use crate::clock;
use mail::Mono;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Connections that wait at the same time.
const IDLE_MAX: usize = 500;
/// Destinations of which it is remembered that mail goes there often.
const BUSY_MAX: usize = 10_000;

/// Main.cf's words about reuse.
#[derive(Clone, Debug, Default)]
pub(super) struct Reuse {
    /// `smtp_connection_cache_on_demand`
    pub(super) on_demand: bool,
    /// `smtp_connection_cache_destinations`, in small letters.
    pub(super) destinations: Vec<String>,
    /// `smtp_connection_cache_time_limit`
    pub(super) idle: Duration,
    /// `smtp_connection_reuse_time_limit`
    pub(super) time: Duration,
    /// `smtp_connection_reuse_count_limit`; 0 is without limit.
    pub(super) count: u32,
}

impl Reuse {
    /// Whether a connection may be used again.
    pub(super) fn allows(&self, connection: &Connection, now: Mono) -> bool {
        connection.is_open()
            && (self.count == 0 || connection.uses < self.count)
            && now - connection.opened < self.time
    }
}

/// Where a connection leads, and under which conditions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Way {
    /// `mx.example[192.0.2.1]:25`
    pub(super) relay: String,
    /// What was agreed on: protection, log-in.
    pub(super) terms: String,
}

/// A connection that waits.
pub(super) struct Idle {
    pub(super) connection: Connection,
    pub(super) way: Way,
    /// What the log calls the server, for reports.
    pub(super) host: String,
    nexthop: String,
    until: Mono,
}

/// How much goes to a destination.
#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    under_way: u32,
    last_end: Option<Mono>,
}

#[derive(Default)]
struct State {
    idle: Vec<Idle>,
    traffic: HashMap<String, Traffic>,
    reaping: bool,
}

/// The connections of one transport that wait.
#[derive(Clone, Default)]
pub(super) struct Pool {
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pool")
    }
}

/// An attempt under way; it counts until it is dropped.
pub(super) struct Trip {
    pool: Pool,
    nexthop: String,
    /// Others went there at the same time, or just before.
    pub(super) is_busy: bool,
}

impl Drop for Trip {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        let now = clock::now().mono;
        if let Some(traffic) = state.traffic.get_mut(&self.nexthop) {
            traffic.under_way = traffic.under_way.saturating_sub(1);
            traffic.last_end = Some(now);
        }
    }
}

impl Pool {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt begins.
    pub(super) fn begin(&self, nexthop: &str, reuse: &Reuse) -> Trip {
        let mut state = self.lock();
        let now = clock::now().mono;
        if state.traffic.len() >= BUSY_MAX {
            state.traffic.retain(|_, traffic| traffic.under_way > 0);
        }
        let traffic = state.traffic.entry(nexthop.to_owned()).or_default();
        let is_busy = traffic.under_way > 0 || traffic.last_end.is_some_and(|end| now - end < reuse.idle);
        traffic.under_way = traffic.under_way.saturating_add(1);
        Trip { pool: self.clone(), nexthop: nexthop.to_owned(), is_busy }
    }

    /// Whether more mail for a destination is under way than the caller's.
    pub(super) fn is_shared(&self, nexthop: &str) -> bool {
        self.lock().traffic.get(nexthop).is_some_and(|traffic| traffic.under_way > 1)
    }

    /// A connection that was used for a nexthop under the same terms.
    pub(super) fn take_nexthop(&self, nexthop: &str, terms: &str) -> Option<Idle> {
        self.take(|idle| idle.nexthop == nexthop && idle.way.terms == terms)
    }

    /// A connection to a server.
    pub(super) fn take_way(&self, way: &Way) -> Option<Idle> {
        self.take(|idle| idle.way == *way)
    }

    fn take(&self, fits: impl Fn(&Idle) -> bool) -> Option<Idle> {
        let mut state = self.lock();
        // The one that was used last is the one that is most likely still there.
        let at = state.idle.iter().rposition(fits)?;
        Some(state.idle.remove(at))
    }

    /// Lets a connection wait.
    pub(super) fn put(
        &self,
        connection: Connection,
        way: Way,
        (nexthop, host): (&str, &str),
        idle: Duration,
    ) {
        let until = clock::now().mono + idle;
        let (nexthop, host) = (nexthop.to_owned(), host.to_owned());
        let mut state = self.lock();
        if state.idle.len() >= IDLE_MAX {
            drop(state);
            tokio::spawn(connection.quit());
            return;
        }
        state.idle.push(Idle { connection, way, host, nexthop, until });
        if !std::mem::replace(&mut state.reaping, true) {
            let weak = Arc::downgrade(&self.state);
            tokio::spawn(async move {
                loop {
                    let Some(state) = weak.upgrade() else { return };
                    let Some(wait) = (Pool { state }).reap() else { return };
                    tokio::time::sleep(wait).await;
                }
            });
        }
    }

    /// Ends those whose time is over; how long until the next one, `None` where none is left.
    fn reap(&self) -> Option<Duration> {
        let now = clock::now().mono;
        let mut state = self.lock();
        let (over, still): (Vec<Idle>, Vec<Idle>) =
            std::mem::take(&mut state.idle).into_iter().partition(|idle| idle.until <= now);
        state.idle = still;
        for idle in over {
            tokio::spawn(idle.connection.quit());
        }
        let next = state.idle.iter().map(|idle| idle.until).min();
        state.reaping = next.is_some();
        next.map(|at| at - now)
    }
}
