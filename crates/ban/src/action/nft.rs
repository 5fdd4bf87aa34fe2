//! Sets of nftables: an action whose commands say the usual is compiled to transactions for `nft -f -`.
//!
//! Table, chain, sets and rules are fail2ban's, by the action's own texts; what is ours: a set is flagged `timeout`, so
//! that a ban ends also where nobody is left to end it; many addresses change in one transaction, all or none; networks
//! have sets of their own, one for each length (`net64-set-sshd`, `net4-24-set-sshd`), looked up with a mask. What is in force is kept here,
//! so that a ruleset that somebody flushed is made again. Times are arguments.

use super::net::Net;
use super::{Action, Deed, Family};
use crate::filter::Id;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::net::IpAddr;

/// An element outlives its ban by so much where nobody ends it.
const SLACK_S: i64 = 60;

/// What an action's texts say about its sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `nft`
    pub program: String,
    /// `inet f2b-table`
    pub table: String,
    /// `f2b-chain`
    pub chain: String,
    /// `{ type filter hook input priority -1 ; }`
    hook: String,
    v4: Set,
    v6: Set,
}

/// The set of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Set {
    name: String,
    kind: String,
    /// The rules that look into it.
    rules: Vec<String>,
}

impl Layout {
    /// Reads an action's texts; `None` where they say something else than the stock action for nftables does.
    #[must_use]
    pub fn of(action: &Action) -> Option<Layout> {
        let v4 = Parts::of(action, Family::V4)?;
        let v6 = Parts::of(action, Family::V6)?;
        let is_one =
            (&v4.program, &v4.table, &v4.chain, &v4.hook) == (&v6.program, &v6.table, &v6.chain, &v6.hook);
        (is_one && v4.set.name != v6.set.name && v4.set.kind == "ipv4_addr" && v6.set.kind == "ipv6_addr")
            .then_some(())?;
        let Parts { program, table, chain, hook, set } = v4;
        Some(Layout { program, table, chain, hook, v4: set, v6: v6.set })
    }

    fn own(&self, key: Key) -> &Set {
        if key.is_v6 { &self.v6 } else { &self.v4 }
    }

    /// A set's name.
    fn name(&self, key: Key) -> String {
        let own = &self.own(key).name;
        if key.is_whole() {
            return own.clone();
        }
        match own.strip_prefix("addr6-set-").or(own.strip_prefix("addr-set-")) {
            // Both families may have networks of one length, and a set has addresses of one.
            Some(jail) if key.is_v6 => format!("net{}-set-{jail}", key.bits),
            Some(jail) => format!("net4-{}-set-{jail}", key.bits),
            None => format!("{own}-{}", key.bits),
        }
    }

    /// The rules of a set; none where they can't be told to look at networks.
    fn rules(&self, key: Key) -> Vec<String> {
        let own = self.own(key);
        if key.is_whole() {
            return own.rules.clone();
        }
        let mask = if key.is_v6 {
            IpAddr::V6(u128::MAX.checked_shl(128 - u32::from(key.bits)).unwrap_or(0).into())
        } else {
            IpAddr::V4(u32::MAX.checked_shl(32 - u32::from(key.bits)).unwrap_or(0).into())
        };
        let family = if key.is_v6 { "ip6" } else { "ip" };
        let from = format!("{family} saddr @{}", own.name);
        let to = format!("{family} saddr and {mask} @{}", self.name(key));
        own.rules.iter().filter(|rule| rule.contains(&from)).map(|rule| rule.replace(&from, &to)).collect()
    }

    /// Whether networks can be banned: by rules that look at the sender's address.
    #[must_use]
    pub fn takes_networks(&self) -> bool {
        let looks = |set: &Set, family: &str| {
            let from = format!("{family} saddr @{}", set.name);
            !set.rules.is_empty() && set.rules.iter().all(|rule| rule.contains(&from))
        };
        looks(&self.v4, "ip") && looks(&self.v6, "ip6")
    }

    /// Whether a set is one of this action's.
    fn owns(&self, set: &str) -> bool {
        let jail = self.v4.name.strip_prefix("addr-set-");
        let of_net = |jail: &str| {
            let rest =
                set.strip_prefix("net").and_then(|rest| rest.strip_suffix(jail)?.strip_suffix("-set-"));
            rest.is_some_and(|bits| bits.strip_prefix("4-").unwrap_or(bits).parse::<u8>().is_ok())
        };
        let with_bits = |own: &str| {
            let bits = set.strip_prefix(own).and_then(|rest| rest.strip_prefix('-'));
            bits.is_some_and(|bits| bits.parse::<u8>().is_ok())
        };
        [&self.v4.name, &self.v6.name].iter().any(|own| *own == set || (jail.is_none() && with_bits(own)))
            || jail.is_some_and(of_net)
    }

    /// The command that lists what is there, without the elements: its answer is for [`Listing::read`].
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        let words = [&self.program, "-t", "-a", "list", "table"].into_iter().chain(self.table.split(' '));
        words.map(str::to_owned).collect()
    }
}

/// What one family's texts say.
struct Parts {
    program: String,
    table: String,
    chain: String,
    hook: String,
    set: Set,
}

impl Parts {
    fn of(action: &Action, family: Family) -> Option<Parts> {
        let text = |deed: Deed| Some(action.script(deed, family, None)?.text);
        let (ban, unban, start) = (text(Deed::Ban)?, text(Deed::Unban)?, text(Deed::Start)?);
        let (program, rest) = ban.split_once(" add element ")?;
        let target = rest.strip_suffix(" \\{ <ip> \\}")?;
        (unban.trim() == format!("{program} delete element {target} \\{{ <ip> \\}}")).then_some(())?;
        let [family, table, set] = <[&str; 3]>::try_from(target.split(' ').collect::<Vec<_>>()).ok()?;
        let is_name = |name: &&str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        };
        let begins_well = set.starts_with(|c: char| c.is_ascii_alphabetic());
        ([program, family, table, set].iter().all(is_name) && begins_well).then_some(())?;
        let table = format!("{family} {table}");
        let mut lines = start.lines().map(str::trim).filter(|line| !line.is_empty());
        (lines.next()? == format!("{program} add table {table}")).then_some(())?;
        let chain = lines.next()?.strip_prefix(program)?;
        let chain =
            chain.strip_prefix(" --").unwrap_or(chain).strip_prefix(&format!(" add chain {table} "))?;
        let (chain, hook) = chain.split_once(' ')?;
        is_name(&chain).then_some(())?;
        let kind = lines.next()?.strip_prefix(&format!("{program} add set {table} {set} \\{{ type "))?;
        let kind = kind.strip_suffix("\\; \\}").filter(is_name)?;
        let mut protocols = vec![String::new()];
        let mut rules = Vec::new();
        for line in lines {
            if let Some(list) = line.strip_prefix("for proto in $(echo '") {
                let list = list.strip_suffix("' | sed 's/,/ /g'); do")?;
                protocols =
                    list.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect();
            } else if let Some(rule) = line.strip_prefix(&format!("{program} add rule {table} {chain} ")) {
                for protocol in &protocols {
                    rules.push(bare(&with_ports(&rule.replace("$proto", protocol))?)?);
                }
            } else if line != "done" {
                return None;
            }
        }
        let looks = rules.iter().all(|rule| rule.contains(&format!("@{set} ")));
        (looks && !rules.is_empty()).then_some(())?;
        let set = Set { name: set.to_owned(), kind: kind.to_owned(), rules };
        Some(Parts { program: program.to_owned(), table, chain: chain.to_owned(), hook: bare(hook)?, set })
    }
}

/// `$(echo 'smtp,1000:1100' | sed s/:/-/g)` as the shell would put it in.
fn with_ports(text: &str) -> Option<String> {
    let Some((before, rest)) = text.split_once("$(echo '") else { return Some(text.to_owned()) };
    let (ports, after) = rest.split_once("' | sed s/:/-/g)")?;
    Some(format!("{before}{}{after}", ports.replace(':', "-")))
}

/// Words of nftables without the shell's escapes; `None` where a shell would do more to them.
fn bare(text: &str) -> Option<String> {
    let text = text.replace("\\{", "{").replace("\\}", "}").replace("\\;", ";");
    let is_fit = |c: char| c.is_ascii_alphanumeric() || " _-./:,@{};=!".contains(c);
    text.chars().all(is_fit).then_some(text)
}

/// Which set: of one family and one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    is_v6: bool,
    bits: u8,
}

impl Key {
    fn of(net: &Net) -> Key {
        Key { is_v6: net.0.is_ipv6(), bits: net.1 }
    }

    fn is_whole(self) -> bool {
        self.bits == if self.is_v6 { 128 } else { 32 }
    }
}

/// What is there of an action's sets and rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Rules that look into a set: chain, handle, the set's name.
    rules: Vec<(String, String, String)>,
    sets: BTreeSet<String>,
    /// How many sets the table has that are another's.
    others: usize,
}

impl Listing {
    /// Reads the answer to [`Layout::list`].
    #[must_use]
    pub fn read(layout: &Layout, text: &str) -> Listing {
        let mut listing = Listing::default();
        let mut chain = "";
        for line in text.lines().map(str::trim) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["set", name, "{", ..] if layout.owns(name) => drop(listing.sets.insert((*name).to_owned())),
                ["set" | "map", _, "{", ..] => listing.others += 1,
                ["chain", name, "{", ..] => chain = name,
                [rule @ .., "#", "handle", handle] => {
                    let set =
                        rule.iter().find_map(|word| word.strip_prefix('@').filter(|set| layout.owns(set)));
                    if let Some(set) = set {
                        listing.rules.push((chain.to_owned(), (*handle).to_owned(), set.to_owned()));
                    }
                }
                _ => {}
            }
        }
        listing
    }

    /// Commands that take all of it away.
    fn removal(&self, table: &str) -> String {
        let mut out = String::new();
        for (chain, handle, _) in &self.rules {
            // Writing to a String can't fail.
            let _ = writeln!(out, "delete rule {table} {chain} handle {handle}");
        }
        for set in &self.sets {
            let _ = writeln!(out, "delete set {table} {set}");
        }
        out
    }
}

/// A network in force.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// For how many ids.
    count: u32,
    /// Until when; `None` for ever.
    until_s: Option<i64>,
}

/// What an action has in force, and what is still to be told to the kernel.
#[derive(Debug)]
pub struct Sets {
    layout: Layout,
    ids: HashMap<Id, Net>,
    nets: BTreeMap<Net, Held>,
    /// Sets that were made.
    made: BTreeSet<Key>,
    /// Networks that changed since.
    touched: BTreeSet<Net>,
    /// What is there isn't known: all of it is to be made anew.
    is_unknown: bool,
}

impl Sets {
    /// Nothing in force; what is there of an earlier run isn't known.
    #[must_use]
    pub fn new(layout: Layout) -> Sets {
        Sets {
            layout,
            ids: HashMap::new(),
            nets: BTreeMap::new(),
            made: BTreeSet::new(),
            touched: BTreeSet::new(),
            is_unknown: true,
        }
    }

    /// What the texts said.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Somebody is shut out, with a network, until then.
    pub fn ban(&mut self, id: &Id, net: Net, until_s: Option<i64>) {
        if self.ids.get(id).is_some_and(|before| *before != net) {
            self.unban(id);
        }
        let is_new = self.ids.insert(id.clone(), net).is_none();
        let held = self.nets.entry(net).or_insert(Held { count: 0, until_s });
        held.count += u32::from(is_new);
        held.until_s = held.until_s.zip(until_s).map(|(one, other)| one.max(other));
        self.touched.insert(net);
    }

    /// Somebody is let in.
    pub fn unban(&mut self, id: &Id) {
        let Some(net) = self.ids.remove(id) else { return };
        let Some(held) = self.nets.get_mut(&net) else { return };
        held.count = held.count.saturating_sub(1);
        if held.count == 0 {
            self.nets.remove(&net);
            self.touched.insert(net);
        }
    }

    /// Nobody is shut out any more.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.nets.clear();
        self.touched.clear();
        self.is_unknown = true;
    }

    /// Both families' sets are made, also where nobody is in them.
    pub fn make(&mut self) {
        for (is_v6, bits) in [(false, 32), (true, 128)] {
            self.made.insert(Key { is_v6, bits });
        }
    }

    /// What is there isn't what was made: all of it is made anew.
    pub fn forget(&mut self) {
        self.is_unknown = true;
    }

    /// Whether what is there has to be listed first.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.is_unknown
    }

    /// Whether there is something to be told.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.is_unknown || !self.touched.is_empty()
    }

    /// Whether all that was made is there.
    #[must_use]
    pub fn is_whole(&self, listing: &Listing) -> bool {
        self.made.iter().all(|key| {
            let name = self.layout.name(*key);
            let rules = listing
                .rules
                .iter()
                .filter(|(chain, _, set)| *set == name && *chain == self.layout.chain)
                .count();
            listing.sets.contains(&name) && rules == self.layout.rules(*key).len()
        })
    }

    /// The transaction that tells the kernel what changed.
    #[must_use]
    pub fn changes(&self, now_s: i64) -> String {
        let mut out = String::new();
        let keys: BTreeSet<Key> = self.touched.iter().map(Key::of).collect();
        for key in keys {
            let nets = self.touched.iter().filter(|net| Key::of(net) == key);
            let in_force = |net: &&Net| self.nets.contains_key(*net);
            if self.made.contains(&key) {
                // Who isn't there can't be taken out; who is there keeps his old time: so both, first.
                let gone: Vec<String> = nets.clone().map(|net| net.0.to_string()).collect();
                self.elements(&mut out, "add", key, &gone);
                self.elements(&mut out, "delete", key, &gone);
            } else {
                self.set(&mut out, key);
            }
            let here: Vec<String> = nets.filter(in_force).map(|net| self.element(net, now_s)).collect();
            self.elements(&mut out, "add", key, &here);
        }
        out
    }

    /// The transaction that makes all of it, whatever is there.
    #[must_use]
    pub fn all(&self, listing: &Listing, now_s: i64) -> String {
        let mut out = listing.removal(&self.layout.table);
        let mut of_keys: BTreeMap<Key, Vec<String>> =
            self.made.iter().map(|key| (*key, Vec::new())).collect();
        for net in self.nets.keys() {
            of_keys.entry(Key::of(net)).or_default().push(self.element(net, now_s));
        }
        for (key, elements) in of_keys {
            self.set(&mut out, key);
            self.elements(&mut out, "add", key, &elements);
        }
        out
    }

    /// The transaction that leaves nothing.
    #[must_use]
    pub fn end(&self, listing: &Listing) -> String {
        let table = &self.layout.table;
        let mut out = listing.removal(table);
        if listing.others == 0 && !listing.sets.is_empty() {
            // Writing to a String can't fail.
            let _ = writeln!(out, "delete table {table}");
        }
        out
    }

    /// A transaction has been carried out.
    pub fn done(&mut self) {
        let made = if self.is_unknown { self.nets.keys().map(Key::of).collect() } else { BTreeSet::new() };
        self.made.extend(made);
        self.made.extend(self.touched.iter().map(Key::of));
        self.touched.clear();
        self.is_unknown = false;
    }

    /// All is gone.
    pub fn ended(&mut self) {
        self.clear();
        self.made.clear();
    }

    fn set(&self, out: &mut String, key: Key) {
        let Layout { table, chain, hook, .. } = &self.layout;
        let (name, kind) = (self.layout.name(key), &self.layout.own(key).kind);
        // Writing to a String can't fail.
        let _ = writeln!(out, "add table {table}\nadd chain {table} {chain} {hook}");
        let _ = writeln!(out, "add set {table} {name} {{ type {kind} ; flags timeout ; }}");
        for rule in self.layout.rules(key) {
            let _ = writeln!(out, "add rule {table} {chain} {rule}");
        }
    }

    fn element(&self, net: &Net, now_s: i64) -> String {
        let until_s = self.nets.get(net).and_then(|held| held.until_s);
        match until_s {
            None => net.0.to_string(),
            Some(until_s) => {
                let left_s = until_s.saturating_sub(now_s).saturating_add(SLACK_S).max(1);
                format!("{} timeout {left_s}s", net.0)
            }
        }
    }

    fn elements(&self, out: &mut String, verb: &str, key: Key, elements: &[String]) {
        if !elements.is_empty() {
            let (table, name) = (&self.layout.table, self.layout.name(key));
            // Writing to a String can't fail.
            let _ = writeln!(out, "{verb} element {table} {name} {{ {} }}", elements.join(", "));
        }
    }
}
