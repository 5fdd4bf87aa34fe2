//! The networks that are shut out, as listeners and sessions look into them.
//!
//! A look costs one load where nobody is shut out, and else one hash for each length of prefix that occurs. Whoever is
//! never shut out is asked for last, and only where a ban was found: the machine itself, and those that the
//! administrator spares. A ban ends by itself when its time is up, whether or not anybody comes to lift it. T2.19.

use mail::Wall;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// An address and the length of its prefix.
pub type Net = (IpAddr, u8);

/// Networks at once, at most: further ones are left to the packet filter.
const NETS_MAX: usize = 1_000_000;
/// Jails that hold the same network, at most.
const HOLDERS_MAX: usize = 256;

/// A ban that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shut {
    /// What is shut out.
    pub net: Net,
    /// Whose ban it is: the one that ends last.
    pub jail: Arc<str>,
    /// Until when, in seconds since 1970; `None` for ever.
    pub until_s: Option<i64>,
    /// Whether nobody was refused for it before.
    pub is_first: bool,
}

impl Shut {
    /// `192.0.2.1`, `2001:db8::/64`.
    #[must_use]
    pub fn network(&self) -> String {
        let (address, length) = self.net;
        if length == whole(address) { address.to_string() } else { format!("{address}/{length}") }
    }
}

/// Says whom no ban concerns.
pub type Spared = Box<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// One for the whole server. Whoever bans writes; listeners and sessions look.
#[derive(Default)]
pub struct ShutOut {
    nets: AtomicUsize,
    generation: AtomicU64,
    refused: AtomicU64,
    table: RwLock<Table>,
    spared: RwLock<Option<Spared>>,
}

#[derive(Default)]
struct Table {
    rows: HashMap<Net, Row>,
    /// How many networks there are of each length that occurs: those of IPv4 and of IPv6.
    lengths: [Vec<(u8, usize)>; 2],
}

/// A jail, and until when it shuts the network out.
type Holder = (Arc<str>, Option<i64>);

#[derive(Default)]
struct Row {
    holders: Vec<Holder>,
    refused: AtomicU64,
}

impl Row {
    /// The ban that ends last, of those that haven't ended.
    fn ban(&self, now_s: i64) -> Option<&Holder> {
        let in_force =
            self.holders.iter().filter(|(_, until_s)| until_s.is_none_or(|until_s| until_s > now_s));
        in_force.max_by_key(|(_, until_s)| until_s.unwrap_or(i64::MAX))
    }
}

impl Table {
    fn lengths(&mut self, net: Net) -> &mut Vec<(u8, usize)> {
        let [v4, v6] = &mut self.lengths;
        if net.0.is_ipv4() { v4 } else { v6 }
    }

    fn set(&mut self, jail: &str, net: Net, until_s: Option<i64>) -> bool {
        if !self.rows.contains_key(&net) {
            if self.rows.len() >= NETS_MAX {
                return false;
            }
            let lengths = self.lengths(net);
            match lengths.iter_mut().find(|(length, _)| *length == net.1) {
                Some((_, count)) => *count += 1,
                None => lengths.push((net.1, 1)),
            }
        }
        let holders = &mut self.rows.entry(net).or_default().holders;
        let has_room = holders.len() < HOLDERS_MAX;
        match holders.iter_mut().find(|(holder, _)| **holder == *jail) {
            Some(holder) => holder.1 = until_s,
            None if has_room => holders.push((jail.into(), until_s)),
            None => return false,
        }
        true
    }

    fn clear(&mut self, jail: &str, net: Net) -> bool {
        let Some(row) = self.rows.get_mut(&net) else { return false };
        let before = row.holders.len();
        row.holders.retain(|(holder, _)| **holder != *jail);
        let was_there = row.holders.len() < before;
        if row.holders.is_empty() {
            self.rows.remove(&net);
            let lengths = self.lengths(net);
            if let Some(at) = lengths.iter().position(|(length, _)| *length == net.1) {
                match lengths.get_mut(at) {
                    Some((_, count)) if *count > 1 => *count -= 1,
                    _ => drop(lengths.swap_remove(at)),
                }
            }
        }
        was_there
    }

    /// The network that holds `address` and is shut out for longest.
    fn find(&self, address: IpAddr, now_s: i64) -> Option<(Net, &Row, &Holder)> {
        let [v4, v6] = &self.lengths;
        let lengths = if address.is_ipv4() { v4 } else { v6 };
        let found = lengths.iter().filter_map(|(length, _)| {
            let net = masked((address, *length));
            let row = self.rows.get(&net)?;
            Some((net, row, row.ban(now_s)?))
        });
        found.max_by_key(|(_, _, (_, until_s))| until_s.unwrap_or(i64::MAX))
    }
}

impl ShutOut {
    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the table, and lets sessions in progress know.
    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let mut table: RwLockWriteGuard<'_, Table> =
            self.table.write().unwrap_or_else(PoisonError::into_inner);
        let done = change(&mut table);
        self.nets.store(table.rows.len(), Ordering::Release);
        drop(table);
        self.generation.fetch_add(1, Ordering::Release);
        done
    }

    /// Whom no ban concerns, beside the machine itself.
    pub fn spare(&self, spared: Spared) {
        *self.spared.write().unwrap_or_else(PoisonError::into_inner) = Some(spared);
    }

    /// Whether `address` is let in whatever bans there are.
    #[must_use]
    pub fn spares(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let spared = self.spared.read().unwrap_or_else(PoisonError::into_inner);
        address.is_loopback() || spared.as_ref().is_some_and(|spared| spared(address))
    }

    /// A jail shuts a network out, in place of what it said of it before. False where there is no more room.
    pub fn set(&self, jail: &str, net: Net, until_s: Option<i64>) -> bool {
        let net = masked(net);
        self.change(|table| table.set(jail, net, until_s))
    }

    /// Many at once. Gives how many found no room.
    pub fn set_all<'j>(&self, bans: impl IntoIterator<Item = (&'j str, Net, Option<i64>)>) -> usize {
        self.change(|table| {
            let unplaced =
                bans.into_iter().filter(|(jail, net, until_s)| !table.set(jail, masked(*net), *until_s));
            unplaced.count()
        })
    }

    /// A jail lets a network in again; others may still shut it out. False where the jail didn't hold it.
    pub fn clear(&self, jail: &str, net: Net) -> bool {
        let net = masked(net);
        self.change(|table| table.clear(jail, net))
    }

    /// A jail holds nobody any more.
    pub fn clear_jail(&self, jail: &str) {
        self.change(|table| {
            let held = |row: &Row| row.holders.iter().any(|(holder, _)| **holder == *jail);
            let nets: Vec<Net> =
                table.rows.iter().filter(|(_, row)| held(row)).map(|(net, _)| *net).collect();
            for net in nets {
                table.clear(jail, net);
            }
        });
    }

    /// Whether `address` is shut out.
    #[must_use]
    pub fn look(&self, address: IpAddr, now: Wall) -> Option<Shut> {
        if self.nets.load(Ordering::Acquire) == 0 {
            return None;
        }
        let address = address.to_canonical();
        let table = self.read();
        let (net, row, (jail, until_s)) = table.find(address, now.seconds())?;
        let (jail, until_s) = (Arc::clone(jail), *until_s);
        if self.spares(address) {
            return None;
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        let is_first = row.refused.fetch_add(1, Ordering::Relaxed) == 0;
        Some(Shut { net, jail, until_s, is_first })
    }

    /// Changes with each change: whoever has looked needn't look again before.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Networks that are shut out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nets.load(Ordering::Acquire)
    }

    /// Whether nobody is shut out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Connections and sessions that were refused or ended so far.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How often a network's connections were refused.
    #[must_use]
    pub fn refused_of(&self, net: Net) -> u64 {
        self.read().rows.get(&masked(net)).map_or(0, |row| row.refused.load(Ordering::Relaxed))
    }
}

/// How long a whole address is.
const fn whole(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The network's first address. IPv4 in IPv6's dress is IPv4.
fn masked((address, length): Net) -> Net {
    let (address, length) = match (address.to_canonical(), address) {
        (IpAddr::V4(v4), IpAddr::V6(_)) if length >= 96 => (IpAddr::V4(v4), length - 96),
        (IpAddr::V4(_), IpAddr::V6(_)) => (address, length),
        (canonical, _) => (canonical, length),
    };
    let length = length.min(whole(address));
    let address = match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    };
    (address, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_000 * 1_000_000);

    fn net(text: &str) -> Net {
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, l.parse().ok()));
        let address: IpAddr = address.parse().unwrap();
        (address, length.unwrap_or(whole(address)))
    }

    fn jail(table: &ShutOut, address: &str) -> Option<(String, String)> {
        let shut = table.look(address.parse().unwrap(), NOW)?;
        Some((shut.jail.to_string(), shut.network()))
    }

    fn check(bans: &[(&str, &str, Option<i64>)], address: &str, expect: Option<(&str, &str)>) {
        let table = ShutOut::default();
        assert_eq!(table.set_all(bans.iter().map(|(jail, text, until)| (*jail, net(text), *until))), 0);
        let expect = expect.map(|(jail, net)| (jail.to_owned(), net.to_owned()));
        assert_eq!(jail(&table, address), expect, "{address} {bans:?}");
    }

    #[test]
    fn who_is_shut_out() {
        check(&[], "192.0.2.1", None);
        check(&[("sshd", "192.0.2.1", None)], "192.0.2.1", Some(("sshd", "192.0.2.1")));
        check(&[("sshd", "192.0.2.1", None)], "::ffff:192.0.2.1", Some(("sshd", "192.0.2.1")));
        check(&[("sshd", "::ffff:192.0.2.1", None)], "192.0.2.1", Some(("sshd", "192.0.2.1")));
        check(&[("sshd", "::ffff:192.0.2.0/120", None)], "192.0.2.9", Some(("sshd", "192.0.2.0/24")));
        check(&[("sshd", "192.0.2.1", None)], "192.0.2.2", None);
        check(&[("sshd", "192.0.2.1", None)], "::1:2", None);
        check(&[("x", "192.0.2.77/24", None)], "192.0.2.2", Some(("x", "192.0.2.0/24")));
        check(&[("x", "0.0.0.0/0", None)], "192.0.2.2", Some(("x", "0.0.0.0/0")));
        check(&[("x", "0.0.0.0/0", None)], "2001:db8::1", None);
        check(&[("x", "::/0", None)], "2001:db8::1", Some(("x", "::/0")));
        check(&[("x", "::/0", None)], "192.0.2.1", None);
        check(&[("x", "2001:db8::1:0:0:1/64", None)], "2001:db8:0:0:ffff::", Some(("x", "2001:db8::/64")));
        check(&[("x", "2001:db8::/64", None)], "2001:db8:0:1::", None);
        // Which of several is said: the one that ends last.
        let both = [("a", "192.0.2.1", Some(1_100)), ("b", "192.0.2.0/24", Some(1_200))];
        check(&both, "192.0.2.1", Some(("b", "192.0.2.0/24")));
        let both = [("a", "192.0.2.1", Some(1_300)), ("b", "192.0.2.1", Some(1_200))];
        check(&both, "192.0.2.1", Some(("a", "192.0.2.1")));
        let both = [("a", "192.0.2.1", None), ("a", "192.0.2.1", Some(1_200))];
        check(&both, "192.0.2.1", Some(("a", "192.0.2.1")));
    }

    #[test]
    fn bans_end_by_themselves() {
        check(&[("x", "192.0.2.1", Some(1_001))], "192.0.2.1", Some(("x", "192.0.2.1")));
        check(&[("x", "192.0.2.1", Some(1_000))], "192.0.2.1", None);
        let two = [("x", "192.0.2.1", Some(900)), ("y", "192.0.2.0/24", Some(2_000))];
        check(&two, "192.0.2.1", Some(("y", "192.0.2.0/24")));
    }

    #[test]
    fn the_machine_itself_and_whoever_is_spared() {
        let all = [("x", "0.0.0.0/0", None), ("x", "::/0", None)];
        check(&all, "127.0.0.1", None);
        check(&all, "127.1.2.3", None);
        check(&all, "::1", None);
        let table = ShutOut::default();
        table.set_all(all.iter().map(|(jail, text, until)| (*jail, net(text), *until)));
        table.spare(Box::new(|address| address == net("192.0.2.9").0));
        assert_eq!(jail(&table, "192.0.2.9"), None);
        assert_eq!(jail(&table, "::ffff:192.0.2.9"), None);
        assert!(jail(&table, "192.0.2.8").is_some());
        assert_eq!(table.refused(), 1);
    }

    #[test]
    fn cleared_by_each_jail_that_holds_it() {
        let table = ShutOut::default();
        let seen = table.generation();
        assert!(table.is_empty());
        table.set("a", net("192.0.2.1"), None);
        table.set("b", net("192.0.2.1"), None);
        table.set("b", net("198.51.100.0/24"), None);
        assert_ne!(table.generation(), seen);
        assert!(table.clear("a", net("192.0.2.1")));
        assert!(!table.clear("a", net("192.0.2.1")));
        assert!(!table.clear("a", net("192.0.2.2")));
        assert_eq!(jail(&table, "192.0.2.1"), Some(("b".to_owned(), "192.0.2.1".to_owned())));
        table.clear_jail("b");
        assert_eq!((jail(&table, "192.0.2.1"), jail(&table, "198.51.100.7"), table.len()), (None, None, 0));
        assert_eq!(table.read().lengths, [vec![], vec![]]);
    }

    #[test]
    fn only_the_first_is_news() {
        let table = ShutOut::default();
        table.set("a", net("192.0.2.0/24"), None);
        let first =
            |address: &str| table.look(address.parse().unwrap(), NOW).is_some_and(|shut| shut.is_first);
        assert_eq!((first("192.0.2.1"), first("192.0.2.2"), first("192.0.2.1")), (true, false, false));
        assert_eq!((table.refused(), table.refused_of(net("192.0.2.0/24"))), (3, 3));
    }

    /// What a table of many costs, and that a look doesn't go through it.
    #[test]
    fn a_hundred_thousand() {
        let table = ShutOut::default();
        let bans = (0..100_000_u32).map(|n| ("a", (IpAddr::V4((0x0a00_0000 + n * 7).into()), 32), None));
        assert_eq!(table.set_all(bans), 0);
        assert_eq!(table.len(), 100_000);
        let hits =
            (0..700_000_u32).filter(|n| table.look(IpAddr::V4((0x0a00_0000 + n).into()), NOW).is_some());
        assert_eq!(hits.count(), 100_000);
    }
}
