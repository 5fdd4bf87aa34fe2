//! The networks that are shut out, as listeners and sessions look into them.
//!
//! A look costs one load where nobody is shut out, and else one hash for each length of prefix that occurs. Whoever is
//! never shut out is asked for last, and only where a ban was found: the machine itself, and those that the
//! administrator spares. A ban ends by itself when its time is up, whether or not anybody comes to lift it. T2.19.

use crate::firewall::{Change, Verb};
use ban::filter::Id;
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

/// A ban: whose, of whom, and what it takes.
#[derive(Clone, Copy, Debug)]
pub struct Ban<'j> {
    /// The jail's name.
    pub jail: &'j str,
    /// Who is banned.
    pub id: Net,
    /// What is shut out for that: the same, or a network around it.
    pub net: Net,
    /// Until when, in seconds since 1970; `None` for ever.
    pub until_s: Option<i64>,
}

impl<'j> Ban<'j> {
    /// A ban of just that.
    #[must_use]
    pub fn of(jail: &'j str, id: Net, until_s: Option<i64>) -> Ban<'j> {
        Ban { jail, id, net: id, until_s }
    }
}

#[derive(Default)]
struct Table {
    rows: HashMap<Net, Row>,
    /// What each jail's bans took.
    placed: HashMap<Net, Vec<(Arc<str>, Net)>>,
    /// How many networks there are of each length that occurs: those of IPv4 and of IPv6.
    lengths: [Vec<(u8, usize)>; 2],
}

/// A jail, whom it banned, and until when.
#[derive(Debug)]
struct Holder {
    jail: Arc<str>,
    id: Net,
    until_s: Option<i64>,
}

#[derive(Default)]
struct Row {
    holders: Vec<Holder>,
    refused: AtomicU64,
}

impl Row {
    /// The ban that ends last, of those that haven't ended.
    fn ban(&self, now_s: i64) -> Option<&Holder> {
        let in_force = self.holders.iter().filter(|one| one.until_s.is_none_or(|until_s| until_s > now_s));
        in_force.max_by_key(|one| one.until_s.unwrap_or(i64::MAX))
    }
}

impl Table {
    fn lengths(&mut self, net: Net) -> &mut Vec<(u8, usize)> {
        let [v4, v6] = &mut self.lengths;
        if net.0.is_ipv4() { v4 } else { v6 }
    }

    fn set(&mut self, ban: Ban<'_>) -> bool {
        let (id, net) = (masked(ban.id), masked(ban.net));
        self.clear(ban.jail, id);
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
        if holders.len() >= HOLDERS_MAX {
            return false;
        }
        let jail: Arc<str> = ban.jail.into();
        holders.push(Holder { jail: Arc::clone(&jail), id, until_s: ban.until_s });
        self.placed.entry(id).or_default().push((jail, net));
        true
    }

    fn clear(&mut self, jail: &str, id: Net) -> bool {
        let id = masked(id);
        let Some(nets) = self.placed.get_mut(&id) else { return false };
        let Some(at) = nets.iter().position(|(holder, _)| **holder == *jail) else { return false };
        let (_, net) = nets.swap_remove(at);
        if nets.is_empty() {
            self.placed.remove(&id);
        }
        let Some(row) = self.rows.get_mut(&net) else { return false };
        row.holders.retain(|one| *one.jail != *jail || one.id != id);
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
        true
    }

    fn clear_jail(&mut self, jail: &str) {
        let holds = |held: &[(Arc<str>, Net)]| held.iter().any(|(holder, _)| **holder == *jail);
        let ids: Vec<Net> = self.placed.iter().filter(|(_, held)| holds(held)).map(|(id, _)| *id).collect();
        for id in ids {
            self.clear(jail, id);
        }
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
        found.max_by_key(|(_, _, holder)| holder.until_s.unwrap_or(i64::MAX))
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

    /// A jail bans somebody, in place of what it said of the same before. False where there is no more room.
    pub fn set(&self, ban: Ban<'_>) -> bool {
        self.change(|table| table.set(ban))
    }

    /// Many at once. Gives how many found no room.
    pub fn set_all<'j>(&self, bans: impl IntoIterator<Item = Ban<'j>>) -> usize {
        self.change(|table| bans.into_iter().filter(|ban| !table.set(*ban)).count())
    }

    /// A jail lets somebody in again; others may still hold him. False where the jail didn't.
    pub fn clear(&self, jail: &str, id: Net) -> bool {
        self.change(|table| table.clear(jail, id))
    }

    /// A jail holds nobody any more.
    pub fn clear_jail(&self, jail: &str) {
        self.change(|table| table.clear_jail(jail));
    }

    /// Changes as an engine of bans makes them, all at once: the network of each ban is what `widened` makes of it. What
    /// no listener can refuse, such as a user's name, is passed over.
    pub fn apply(
        &self,
        changes: &[Change],
        widened: impl Fn(&Change, Net) -> Net,
    ) -> Vec<Result<(), String>> {
        self.change(|table| {
            let one = |change: &Change| {
                match (change.verb, net_of(&change.id)) {
                    (Verb::Start | Verb::Stop, _) => table.clear_jail(&change.jail),
                    (_, None) => {}
                    (Verb::Unban, Some(id)) => drop(table.clear(&change.jail, id)),
                    (Verb::Ban | Verb::Prolong, Some(id)) => {
                        let until_s = (change.ban_s >= 0).then(|| change.time_s.saturating_add(change.ban_s));
                        let ban = Ban { jail: &change.jail, id, net: widened(change, id), until_s };
                        if !table.set(ban) {
                            return Err("the listeners hold as many bans as they can".to_owned());
                        }
                    }
                }
                Ok(())
            };
            changes.iter().map(one).collect()
        })
    }

    /// Whether `address` is shut out, without it being counted as one that came to the door.
    #[must_use]
    pub fn holds(&self, address: IpAddr, now: Wall) -> Option<Shut> {
        self.looked(address, now, false)
    }

    /// Whether `address`, at the door, is shut out.
    #[must_use]
    pub fn look(&self, address: IpAddr, now: Wall) -> Option<Shut> {
        self.looked(address, now, true)
    }

    fn looked(&self, address: IpAddr, now: Wall, counts: bool) -> Option<Shut> {
        if self.nets.load(Ordering::Acquire) == 0 {
            return None;
        }
        let address = address.to_canonical();
        let table = self.read();
        let (net, row, holder) = table.find(address, now.seconds())?;
        let (jail, until_s) = (Arc::clone(&holder.jail), holder.until_s);
        if self.spares(address) {
            return None;
        }
        if !counts {
            return Some(Shut { net, jail, until_s, is_first: false });
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

/// What of it a listener can know.
fn net_of(id: &Id) -> Option<Net> {
    match id {
        Id::Net(address, length) => Some((*address, *length)),
        Id::Name(text) | Id::Other(text) => {
            let address: IpAddr = text.trim().parse().ok()?;
            Some((address, whole(address)))
        }
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
        assert_eq!(table.set_all(bans.iter().map(|(jail, text, until)| Ban::of(jail, net(text), *until))), 0);
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
        table.set_all(all.iter().map(|(jail, text, until)| Ban::of(jail, net(text), *until)));
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
        table.set(Ban::of("a", net("192.0.2.1"), None));
        table.set(Ban::of("b", net("192.0.2.1"), None));
        table.set(Ban::of("b", net("198.51.100.0/24"), None));
        assert_ne!(table.generation(), seen);
        assert!(table.clear("a", net("192.0.2.1")));
        assert!(!table.clear("a", net("192.0.2.1")));
        assert!(!table.clear("a", net("192.0.2.2")));
        assert_eq!(jail(&table, "192.0.2.1"), Some(("b".to_owned(), "192.0.2.1".to_owned())));
        table.clear_jail("b");
        assert_eq!((jail(&table, "192.0.2.1"), jail(&table, "198.51.100.7"), table.len()), (None, None, 0));
        assert_eq!(table.read().lengths, [vec![], vec![]]);
    }

    fn change(verb: Verb, id: &str) -> Change {
        let mut change = Change::new("a", verb, Id::address(id.parse().unwrap()));
        (change.ban_s, change.time_s) = (100, 1_000);
        change
    }

    #[test]
    fn as_an_engine_makes_them() {
        let table = ShutOut::default();
        let wide =
            |_: &Change, (address, length): Net| (address, if address.is_ipv6() { 64 } else { length });
        let (one, two) = ("2001:db8::1", "2001:db8::2");
        let changes = [change(Verb::Ban, one), change(Verb::Ban, two), change(Verb::Ban, "192.0.2.1")];
        assert_eq!(table.apply(&changes, wide), [Ok(()), Ok(()), Ok(())]);
        assert_eq!(jail(&table, "2001:db8::77"), Some(("a".to_owned(), "2001:db8::/64".to_owned())));
        let look = |address: &str, now_s| table.look(address.parse().unwrap(), Wall::from_seconds(now_s));
        assert!(look("192.0.2.1", 1_099).is_some() && look("192.0.2.1", 1_100).is_none());
        // The network is out while anybody of it is.
        table.apply(&[change(Verb::Unban, one)], wide);
        assert!(jail(&table, "2001:db8::77").is_some());
        table.apply(&[change(Verb::Unban, two), change(Verb::Unban, two)], wide);
        assert_eq!((jail(&table, "2001:db8::77"), table.len()), (None, 1));
        let mut others = [change(Verb::Ban, one), change(Verb::Ban, one)];
        others[0].id = Id::Other("joe".into());
        others[1].id = Id::Other("198.51.100.1".into());
        assert_eq!(table.apply(&others, wide), [Ok(()), Ok(())]);
        assert!(jail(&table, "198.51.100.1").is_some());
        table.apply(&[Change::stop("b")], wide);
        assert_eq!(table.len(), 2);
        // In their order.
        table.apply(&[Change::start("a"), change(Verb::Ban, one), Change::stop("a")], wide);
        assert!(table.is_empty() && table.read().placed.is_empty());
    }

    #[test]
    fn only_the_first_is_news() {
        let table = ShutOut::default();
        table.set(Ban::of("a", net("192.0.2.0/24"), None));
        let first =
            |address: &str| table.look(address.parse().unwrap(), NOW).is_some_and(|shut| shut.is_first);
        // A session that ends over it is no connection at the door.
        assert!(table.holds("192.0.2.1".parse().unwrap(), NOW).is_some());
        assert_eq!((first("192.0.2.1"), first("192.0.2.2"), first("192.0.2.1")), (true, false, false));
        assert_eq!((table.refused(), table.refused_of(net("192.0.2.0/24"))), (3, 3));
    }

    /// What a table of many costs, and that a look doesn't go through it.
    #[test]
    fn a_hundred_thousand() {
        let table = ShutOut::default();
        let bans =
            (0..100_000_u32).map(|n| Ban::of("a", (IpAddr::V4((0x0a00_0000 + n * 7).into()), 32), None));
        assert_eq!(table.set_all(bans), 0);
        assert_eq!(table.len(), 100_000);
        let hits =
            (0..700_000_u32).filter(|n| table.look(IpAddr::V4((0x0a00_0000 + n).into()), NOW).is_some());
        assert_eq!(hits.count(), 100_000);
    }
}
