//! What clients have done lately, counted as anvil(8) counts it: connections at once, and connections, messages,
//! recipients, new TLS sessions and AUTH commands in a time unit, for each service and client prefix.
//!
//! It counts; what is too much is [`Limits`]' to say, and who says so to the client is the conversation's. It has
//! no clock: every call brings the time. Memory is bounded whatever comes ([`Table`]); a count is never of more
//! than what happened. postconf(5): `anvil_rate_time_unit`, `smtpd_client_*_limit`, `smtpd_client_ipv4_prefix_length`,
//! `smtpd_client_ipv6_prefix_length`. T2.2, T2.3.

mod limits;
mod peaks;
mod table;
#[cfg(test)]
mod tests;

pub use limits::{Excess, Limits};
pub use peaks::{Peak, Peaks};
pub use table::{Ident, Prefixes, Table};

use mail::{Mono, Now};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

/// What is counted in a time unit, in the order of anvil's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A client connected.
    Connection,
    /// MAIL FROM, whatever becomes of it.
    Message,
    /// RCPT TO or VRFY, whatever becomes of it.
    Recipient,
    /// A TLS session that wasn't in the cache.
    NewTls,
    /// AUTH, whatever becomes of it.
    Auth,
}

impl Event {
    /// All of them.
    pub const ALL: [Event; 5] =
        [Event::Connection, Event::Message, Event::Recipient, Event::NewTls, Event::Auth];

    /// Its place in a row of counters.
    pub(crate) const fn index(self) -> usize {
        match self {
            Event::Connection => 0,
            Event::Message => 1,
            Event::Recipient => 2,
            Event::NewTls => 3,
            Event::Auth => 4,
        }
    }
}

/// What a new connection makes of its client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Connections at once, this one included.
    pub open: u32,
    /// Connections in the time unit, this one included.
    pub rate: u32,
}

/// Where the connections' peak stands behind the events'.
const CONNECTIONS: usize = 5;

/// Independent tables, so that cores don't wait for each other. A power of two.
const SHARDS: usize = 16;

/// The counters of a whole server, for many threads.
#[derive(Debug)]
pub struct Rates {
    shards: Box<[Mutex<Table>]>,
    services: RwLock<Vec<Box<str>>>,
    peaks: Mutex<Peaks>,
    /// The peaks' values, each event's and the connections', so that what is no peak needs no lock.
    tops: [AtomicU32; 6],
    most: AtomicUsize,
    /// Clients in all shards.
    clients: AtomicUsize,
    /// The second in which all shards were last aged.
    aged_s: AtomicU64,
}

/// The most clients that are remembered at once (all services together), unless more are connected: 16 MiB.
/// Where a sixteenth of it is more than half of what a map of its size holds, entries that come and go make the map
/// grow once more.
pub const CLIENTS_MAX: usize = 100_000;

impl Default for Rates {
    fn default() -> Rates {
        Rates::new(Duration::from_secs(60), CLIENTS_MAX)
    }
}

impl Rates {
    /// Counters by `unit` (`anvil_rate_time_unit`) that remember about `clients_max` clients.
    #[must_use]
    pub fn new(unit: Duration, clients_max: usize) -> Rates {
        let shard = |_| Mutex::new(Table::new(unit, clients_max.div_ceil(SHARDS)));
        Rates {
            shards: (0..SHARDS).map(shard).collect(),
            services: RwLock::default(),
            peaks: Mutex::default(),
            tops: Default::default(),
            most: AtomicUsize::new(0),
            clients: AtomicUsize::new(0),
            aged_s: AtomicU64::new(0),
        }
    }

    /// The number of the service that master.cf calls `name`; the same for ever.
    #[must_use]
    pub fn service(&self, name: &str) -> u16 {
        let number = |names: &[Box<str>]| {
            let place = names.iter().position(|known| **known == *name)?;
            u16::try_from(place).ok()
        };
        let known = number(&self.services.read().unwrap_or_else(PoisonError::into_inner));
        known.unwrap_or_else(|| {
            let mut names = self.services.write().unwrap_or_else(PoisonError::into_inner);
            // Somebody else may have been faster. Nobody has 65,536 services: the last ones would be one.
            number(&names).unwrap_or_else(|| {
                names.push(name.into());
                u16::try_from(names.len().saturating_sub(1)).unwrap_or(u16::MAX)
            })
        })
    }

    /// A client as anvil's log lines name it: `smtp:192.0.2.1`; a block of addresses with its length.
    #[must_use]
    pub fn name(&self, ident: &Ident) -> String {
        let names = self.services.read().unwrap_or_else(PoisonError::into_inner);
        let service = names.get(usize::from(ident.service())).map_or("", |name| name);
        match ident.block() {
            (address, None) => format!("{service}:{address}"),
            (address, Some(bits)) => format!("{service}:{address}/{bits}"),
        }
    }

    /// Another `anvil_rate_time_unit`, after a reload. Windows that are open are measured by it from now on.
    pub fn set_unit(&self, unit: Duration) {
        for shard in &self.shards {
            lock(shard).set_unit(unit);
        }
    }

    /// A client has connected; [`Rates::disconnect`] must follow, once.
    pub fn connect(&self, ident: &Ident, now: Now) -> Arrival {
        self.age(now.mono);
        let Some(shard) = self.shard(ident) else { return Arrival::default() };
        let arrival = self.resized(shard, |table| table.connect(ident, now.mono));
        let size = self.clients.load(Ordering::Relaxed);
        if self.is_peak(Event::Connection.index(), arrival.rate) || self.is_peak(CONNECTIONS, arrival.open) {
            let mut peaks = lock(&self.peaks);
            peaks.rate(Event::Connection, arrival.rate, ident, now.wall);
            peaks.open(arrival.open, ident, now.wall);
            self.raise(Event::Connection.index(), arrival.rate);
            self.raise(CONNECTIONS, arrival.open);
        }
        if size > self.most.load(Ordering::Relaxed) {
            let mut peaks = lock(&self.peaks);
            peaks.size(size, now.wall);
            self.most.fetch_max(size, Ordering::Relaxed);
        }
        arrival
    }

    /// Forgets clients that have been away for the time unit. [`Rates::connect`] does it once a second.
    pub fn age(&self, now: Mono) {
        let now_s = now.0 / 1_000_000_000;
        if self.aged_s.swap(now_s, Ordering::Relaxed) != now_s {
            for shard in &self.shards {
                self.resized(shard, |table| table.age(now));
            }
        }
    }

    /// Does something that may change how many clients are known.
    fn resized<T>(&self, shard: &Mutex<Table>, change: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = lock(shard);
        let before = table.len();
        let outcome = change(&mut table);
        let after = table.len();
        // Wrapping both ways: the sum of all changes is right.
        self.clients.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        outcome
    }

    /// A client that was counted by [`Rates::connect`] is gone.
    pub fn disconnect(&self, ident: &Ident, now: Mono) {
        if let Some(shard) = self.shard(ident) {
            self.resized(shard, |table| table.disconnect(ident, now));
        }
    }

    /// A client that is connected has done something; how often it has in the time unit.
    pub fn count(&self, event: Event, ident: &Ident, now: Now) -> u32 {
        let Some(shard) = self.shard(ident) else { return 0 };
        let rate = lock(shard).count(event, ident, now.mono);
        if self.is_peak(event.index(), rate) {
            let mut peaks = lock(&self.peaks);
            peaks.rate(event, rate, ident, now.wall);
            self.raise(event.index(), rate);
        }
        rate
    }

    fn is_peak(&self, which: usize, value: u32) -> bool {
        self.tops.get(which).is_some_and(|top| value > top.load(Ordering::Relaxed))
    }

    /// Under the peaks' lock.
    fn raise(&self, which: usize, value: u32) {
        if let Some(top) = self.tops.get(which) {
            top.fetch_max(value, Ordering::Relaxed);
        }
    }

    /// How often, without counting (anvil's `newtls_report`).
    #[must_use]
    pub fn rate(&self, event: Event, ident: &Ident, now: Mono) -> u32 {
        self.shard(ident).map_or(0, |shard| lock(shard).rate(event, ident, now))
    }

    /// What was most since the last call, for anvil's statistics.
    #[must_use]
    pub fn take_peaks(&self) -> Peaks {
        let mut peaks = lock(&self.peaks);
        for top in &self.tops {
            top.store(0, Ordering::Relaxed);
        }
        self.most.store(0, Ordering::Relaxed);
        std::mem::take(&mut *peaks)
    }

    /// Clients that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the heap.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).bytes()).sum()
    }

    /// Connections that are open, of one client.
    #[must_use]
    pub fn open(&self, ident: &Ident) -> u32 {
        self.shard(ident).map_or(0, |shard| lock(shard).open(ident))
    }

    fn shard(&self, ident: &Ident) -> Option<&Mutex<Table>> {
        self.shards.get(ident.shard(SHARDS))
    }
}

/// A panic elsewhere leaves counters that are as good as before.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The block of `address` that is counted as one client.
pub(crate) fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let host = 32_u32.saturating_sub(bits.into());
            let mask = u32::MAX.checked_shl(host).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let host = 128_u32.saturating_sub(bits.into());
            let mask = u128::MAX.checked_shl(host).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}
