//! One table of clients, bounded.
//!
//! A client with an open connection is always in it. One without is forgotten when a time unit has gone by since
//! its last connection ended, or earlier where the table is full: first, of those that did least, the one that has
//! been away longest. So a flood of addresses that come once each drives out its own kind, and a client that
//! hammers stays known: of it a fresh entry would say the least true. What is lost with an entry is a rate that
//! begins at zero again; open connections are never miscounted.

use super::Event;
use mail::Mono;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// A service and a client, as one counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ident {
    service: u16,
    v6: bool,
    bits: u8,
    block: [u8; 16],
}

/// How long a prefix of an address is one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefixes {
    /// `smtpd_client_ipv4_prefix_length`, 0 to 32.
    pub ipv4: u8,
    /// `smtpd_client_ipv6_prefix_length`, 0 to 128.
    pub ipv6: u8,
}

impl Default for Prefixes {
    /// Every address is a client of its own.
    fn default() -> Prefixes {
        Prefixes { ipv4: 32, ipv6: 128 }
    }
}

impl Ident {
    /// The client at `address` of the service with this number ([`super::Rates::service`]).
    #[must_use]
    pub fn new(service: u16, address: IpAddr, prefixes: Prefixes) -> Ident {
        let bits = if address.is_ipv4() { prefixes.ipv4.min(32) } else { prefixes.ipv6.min(128) };
        let (v6, block) = match super::masked(address, bits) {
            IpAddr::V4(v4) => (false, v4.to_ipv6_mapped().octets()),
            IpAddr::V6(v6) => (true, v6.octets()),
        };
        Ident { service, v6, bits, block }
    }

    /// The service's number.
    #[must_use]
    pub const fn service(&self) -> u16 {
        self.service
    }

    /// The block's address, and its length where it isn't one address alone.
    #[must_use]
    pub fn block(&self) -> (IpAddr, Option<u8>) {
        let block = std::net::Ipv6Addr::from(self.block);
        match block.to_ipv4_mapped() {
            Some(v4) if !self.v6 => (v4.into(), (self.bits < 32).then_some(self.bits)),
            _ => (block.into(), (self.bits < 128).then_some(self.bits)),
        }
    }

    /// One of `shards`. Which one isn't secret; a table's own hash is keyed.
    pub(super) fn shard(&self, shards: usize) -> usize {
        let folded = self.block.iter().fold(usize::from(self.service), |sum, &byte| {
            sum.wrapping_mul(31).wrapping_add(usize::from(byte))
        });
        (folded ^ (folded >> 7)).checked_rem(shards).unwrap_or(0)
    }
}

/// No entry.
const NONE: u32 = u32::MAX;
/// Lists of clients without connections, by how much they did.
const RANKS: usize = 4;
/// A table this small keeps its room when it is empty.
const ROOM_KEPT: usize = 64;

/// One client.
#[derive(Clone, Copy, Debug)]
struct Entry {
    ident: Ident,
    /// Connections.
    open: u32,
    /// When the time unit began: whole seconds, as anvil counts them.
    began_s: u32,
    /// How much of each [`Event`] since.
    counts: [u32; 5],
    /// When the last connection ended.
    idle_s: u32,
    /// Neighbours among those that are idle, older and newer; of a free place, the next free one.
    older: u32,
    newer: u32,
    rank: u8,
}

#[derive(Clone, Copy, Debug)]
struct List {
    oldest: u32,
    newest: u32,
}

/// Clients and what they did.
#[derive(Debug)]
pub struct Table {
    unit_s: u32,
    clients_max: usize,
    places: HashMap<Ident, u32>,
    entries: Vec<Entry>,
    free: u32,
    idle: [List; RANKS],
}

fn seconds(now: Mono) -> u32 {
    u32::try_from(now.0 / 1_000_000_000).unwrap_or(u32::MAX)
}

fn unit_s(unit: Duration) -> u32 {
    u32::try_from(unit.as_secs()).unwrap_or(u32::MAX).max(1)
}

impl Entry {
    fn fresh(ident: Ident, now_s: u32) -> Entry {
        Entry {
            ident,
            open: 0,
            began_s: now_s,
            counts: [0; 5],
            idle_s: now_s,
            older: NONE,
            newer: NONE,
            rank: 0,
        }
    }

    /// Counts one; the window begins anew when it is over.
    fn add(&mut self, event: Event, now_s: u32, unit_s: u32) -> u32 {
        // Whole seconds and `>`: by trial, with a unit of 4 s what comes in the fifth second still counts on.
        if now_s.saturating_sub(self.began_s) > unit_s {
            (self.began_s, self.counts) = (now_s, [0; 5]);
        }
        let Some(count) = self.counts.get_mut(event.index()) else { return 0 };
        *count = count.saturating_add(1);
        *count
    }

    /// How much was done, roughly: what is forgotten with the entry.
    fn rank(&self) -> u8 {
        match self.counts.iter().copied().max().unwrap_or(0) {
            0..=1 => 0,
            2..=4 => 1,
            5..=16 => 2,
            _ => 3,
        }
    }
}

impl Table {
    /// An empty table that remembers `clients_max` clients, or as many as are connected.
    #[must_use]
    pub fn new(unit: Duration, clients_max: usize) -> Table {
        Table {
            unit_s: unit_s(unit),
            clients_max: clients_max.max(1),
            places: HashMap::new(),
            entries: Vec::new(),
            free: NONE,
            idle: [List { oldest: NONE, newest: NONE }; RANKS],
        }
    }

    /// Another time unit.
    pub fn set_unit(&mut self, unit: Duration) {
        self.unit_s = unit_s(unit);
    }

    /// A connection more: how many there are at once, and in the time unit.
    pub fn connect(&mut self, ident: &Ident, now: Mono) -> super::Arrival {
        self.age(now);
        let now_s = seconds(now);
        let place = match self.places.get(ident) {
            Some(&place) => place,
            None => self.enter(*ident, now_s),
        };
        self.unlink(place);
        let unit_s = self.unit_s;
        let Some(entry) = self.entry(place) else { return super::Arrival::default() };
        entry.open = entry.open.saturating_add(1);
        let rate = entry.add(Event::Connection, now_s, unit_s);
        super::Arrival { open: entry.open, rate }
    }

    /// A connection less.
    pub fn disconnect(&mut self, ident: &Ident, now: Mono) {
        let Some(&place) = self.places.get(ident) else { return };
        let now_s = seconds(now);
        let Some(entry) = self.entry(place).filter(|entry| entry.open > 0) else { return };
        entry.open -= 1;
        if entry.open == 0 {
            (entry.idle_s, entry.rank) = (now_s, entry.rank());
            self.link(place);
            self.shrink_to(self.clients_max);
        }
    }

    /// Forgets clients without connections, the least harmful first, until there are `max`.
    fn shrink_to(&mut self, max: usize) {
        while self.places.len() > max
            && let Some(list) = self.idle.iter().find(|list| list.oldest != NONE)
        {
            self.forget(list.oldest);
        }
    }

    /// Counts an event of a connected client; of another, nothing.
    pub fn count(&mut self, event: Event, ident: &Ident, now: Mono) -> u32 {
        let Some(&place) = self.places.get(ident) else { return 0 };
        let unit_s = self.unit_s;
        self.entry(place).map_or(0, |entry| entry.add(event, seconds(now), unit_s))
    }

    /// How often in the time unit.
    #[must_use]
    pub fn rate(&self, event: Event, ident: &Ident, now: Mono) -> u32 {
        let Some(entry) = self.known(ident) else { return 0 };
        if seconds(now).saturating_sub(entry.began_s) > self.unit_s {
            return 0;
        }
        entry.counts.get(event.index()).copied().unwrap_or(0)
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self, ident: &Ident) -> u32 {
        self.known(ident).map_or(0, |entry| entry.open)
    }

    /// Forgets those that have been away for the time unit.
    pub fn age(&mut self, now: Mono) {
        let now_s = seconds(now);
        for rank in 0..RANKS {
            while let Some(&List { oldest, .. }) = self.idle.get(rank) {
                let away = self.entry(oldest).map(|entry| now_s.saturating_sub(entry.idle_s));
                if away.is_none_or(|away| away < self.unit_s) {
                    break;
                }
                self.forget(oldest);
            }
        }
        if self.places.is_empty() && self.entries.len() > ROOM_KEPT {
            (self.places, self.entries, self.free) = (HashMap::new(), Vec::new(), NONE);
        }
    }

    /// Clients in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of the heap, about: a map's place is its key, value and a byte, and an eighth is always empty.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let place = size_of::<(Ident, u32)>().saturating_add(1);
        let places = self.places.capacity().saturating_mul(place).saturating_mul(8) / 7;
        self.entries.capacity().saturating_mul(size_of::<Entry>()).saturating_add(places)
    }

    fn entry(&mut self, place: u32) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(place).ok()?)
    }

    fn known(&self, ident: &Ident) -> Option<&Entry> {
        self.entries.get(usize::try_from(*self.places.get(ident)?).ok()?)
    }

    /// A place for a new client; a full table forgets another for it.
    fn enter(&mut self, ident: Ident, now_s: u32) -> u32 {
        self.shrink_to(self.clients_max.saturating_sub(1));
        let fresh = Entry::fresh(ident, now_s);
        let place = self.free;
        let place = match self.entry(place) {
            Some(entry) => {
                let next = entry.newer;
                *entry = fresh;
                self.free = next;
                place
            }
            None => {
                // Fewer than that: there is no memory for more.
                let place = u32::try_from(self.entries.len()).unwrap_or(NONE);
                self.entries.push(fresh);
                place
            }
        };
        self.places.insert(ident, place);
        place
    }

    fn forget(&mut self, place: u32) {
        self.unlink(place);
        let free = self.free;
        let Some(entry) = self.entry(place) else { return };
        let ident = entry.ident;
        entry.newer = free;
        self.free = place;
        self.places.remove(&ident);
    }

    /// Puts a client at the new end of its rank's list.
    fn link(&mut self, place: u32) {
        let Some(rank) = self.entry(place).map(|entry| usize::from(entry.rank)) else { return };
        let Some(list) = self.idle.get_mut(rank) else { return };
        let before = std::mem::replace(&mut list.newest, place);
        if before == NONE {
            list.oldest = place;
        }
        if let Some(before) = self.entry(before) {
            before.newer = place;
        }
        if let Some(entry) = self.entry(place) {
            (entry.older, entry.newer) = (before, NONE);
        }
    }

    /// Takes a client out of its list, if it is in one.
    fn unlink(&mut self, place: u32) {
        let Some(entry) = self.entry(place) else { return };
        let (older, newer, rank) = (entry.older, entry.newer, usize::from(entry.rank));
        (entry.older, entry.newer) = (NONE, NONE);
        if let Some(list) = self.idle.get_mut(rank) {
            if list.oldest == place {
                list.oldest = newer;
            }
            if list.newest == place {
                list.newest = older;
            }
        }
        if let Some(older) = self.entry(older) {
            older.newer = newer;
        }
        if let Some(newer) = self.entry(newer) {
            newer.older = older;
        }
    }
}
