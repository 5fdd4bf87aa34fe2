//! Counting beyond single addresses: by network, by the account that is tried, by the password that is tried.
//!
//! Whoever guesses from a thousand addresses, each once, is below every `maxretry`. A jail with `komainu_count` counts what
//! these tries have in common. Two numbers guard the honest: so many different networks must have taken part
//! (`komainu_spread`), and no more than so many are shut out (`komainu_limit`). Tables are bounded: what was touched longest
//! ago makes room.

use crate::filter::{Failure, Id};
use crate::jails::Jail;
use config::diagnostic::Diagnostic;
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher as _};

/// Failures that are remembered, of all groups and of one.
const SEEN_MAX: usize = 200_000;
const GROUP_MAX: usize = 5_000;
/// The longest account or password that counts.
const TEXT_BYTES_MAX: usize = 256;
/// One password fails for so many accounts before it is a sprayed one, where the accounts are known: whoever has a new
/// password, and an old one in his telephone, is one account on the way.
const ACCOUNTS_LEAST: usize = 3;
/// Fields of a failure that its line doesn't have: the account, where the filter captures none.
pub const UNSAID_USER: &str = "komainu_user";
/// What stands for the password.
pub const UNSAID_PASSWORD: &str = "komainu_password";

/// Whether a field is one that no line has: it is for counting alone.
#[must_use]
pub fn is_unsaid(field: &str) -> bool {
    [UNSAID_USER, UNSAID_PASSWORD].contains(&field)
}

/// What tries have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The network, by its lengths for IPv4 and IPv6.
    Prefix(u8, u8),
    /// The name that somebody wants to log in as.
    Account,
    /// The password, or what stands for it in the log.
    Password,
}

/// `komainu_count` and what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wide {
    /// What is counted.
    pub by: By,
    /// How many different sources must have taken part: addresses of the network, or networks.
    pub spread: usize,
    /// How many are shut out of those that tried one account or password.
    pub limit: usize,
}

impl Wide {
    /// Reads a jail's options; none where it counts single addresses.
    pub(super) fn of(jail: &Jail, found: &mut Vec<Diagnostic>) -> Option<Wide> {
        let text = jail.option("komainu_count")?.trim().to_ascii_lowercase();
        let by = match text.as_str() {
            "" | "address" => return None,
            "account" => By::Account,
            "password" => By::Password,
            "prefix" => By::Prefix(24, 64),
            text => match text.strip_prefix("prefix/").and_then(lengths) {
                Some((v4, v6)) => By::Prefix(v4, v6),
                None => {
                    let message = format!("`komainu_count = {text}` can't be read");
                    found.push(Diagnostic::error(680, jail.place("komainu_count"), message).help(
                        "write `prefix`, `prefix/24`, `prefix/24,64`, `account` or `password`; single addresses count \
                         meanwhile",
                    ));
                    return None;
                }
            },
        };
        let mut number = |option: &str, default: usize, least: usize| match jail.option(option) {
            None => default,
            Some(text) => text.trim().parse().ok().filter(|number| *number >= least).unwrap_or_else(|| {
                let message = format!("`{option} = {text}` can't be read");
                let help = format!("write a whole number from {least} on; {default} counts meanwhile");
                found.push(Diagnostic::error(680, jail.place(option), message).help(help));
                default
            }),
        };
        let (spread, least) = if matches!(by, By::Prefix(..)) { (3, 1) } else { (8, 2) };
        Some(Wide {
            by,
            spread: number("komainu_spread", spread, least),
            limit: number("komainu_limit", 1_000, 1),
        })
    }

    /// What a failure has in common with others, and who it is from.
    fn key(&self, failure: &Failure) -> Option<Key> {
        let Id::Net(address, length) = failure.id else { return None };
        let is_v4 = address.is_ipv4();
        let around = |v4: u8, v6: u8| Id::net(address, length.min(if is_v4 { v4 } else { v6 }));
        // Whoever has an IPv6 address has 2^64 of them.
        let who = around(32, 64);
        let text = |names: &[&str]| {
            let said = names.iter().filter_map(|name| Some(failure.fields.named.get(name)?.trim()));
            let text = said.into_iter().find(|text| !text.is_empty())?;
            (text.len() <= TEXT_BYTES_MAX).then(|| text.to_owned())
        };
        let account = || text(&["user", "alt_user", UNSAID_USER]).map(|name| name.to_lowercase());
        let source = if matches!(self.by, By::Prefix(..)) { who.clone() } else { around(24, 48) };
        let (common, account) = match self.by {
            By::Prefix(v4, v6) => (around(v4, v6), None),
            By::Account => (Id::Other(account()?), None),
            By::Password => (Id::Other(text(&["password", UNSAID_PASSWORD])?), account()),
        };
        let account = account.map(|account| {
            let mut hasher = DefaultHasher::new();
            account.hash(&mut hasher);
            hasher.finish()
        });
        Some(Key { common, try_of: Try { at_s: 0, who, source, account } })
    }
}

/// What a failure has in common with others, and itself.
struct Key {
    common: Id,
    try_of: Try,
}

/// A failure.
#[derive(Debug)]
struct Try {
    at_s: i64,
    who: Id,
    source: Id,
    /// A hash of the account, where passwords are counted and it is known.
    account: Option<u64>,
}

/// `24` or `24,64`.
fn lengths(text: &str) -> Option<(u8, u8)> {
    let (v4, v6) = text.split_once(',').unwrap_or((text, "64"));
    let length = |text: &str, least: u8, most: u8| {
        text.trim().parse().ok().filter(|length| (least..=most).contains(length))
    };
    Some((length(v4, 8, 32)?, length(v6, 16, 128)?))
}

/// Tries that have something in common.
#[derive(Debug, Default)]
struct Group {
    /// The oldest first.
    seen: VecDeque<Try>,
    /// How often each source is among them.
    sources: HashMap<Id, u32>,
    /// And each account; those whose account nobody knows together.
    accounts: HashMap<Option<u64>, u32>,
    /// Since it was too much, so many were given away.
    given: Option<usize>,
    used: u64,
}

impl Group {
    fn add(&mut self, one: Try) {
        *self.sources.entry(one.source.clone()).or_default() += 1;
        *self.accounts.entry(one.account).or_default() += 1;
        self.seen.push_back(one);
    }

    fn drop_oldest(&mut self) {
        let Some(Try { source, account, .. }) = self.seen.pop_front() else { return };
        one_less(&mut self.sources, &source);
        one_less(&mut self.accounts, &account);
    }

    fn is_much(&self, wide: &Wide, enough: usize) -> bool {
        let is_sprayed = self.accounts.contains_key(&None) || self.accounts.len() >= ACCOUNTS_LEAST;
        self.seen.len() >= enough && self.sources.len() >= wide.spread && is_sprayed
    }
}

fn one_less<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// What a jail counts so.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: HashMap<Id, Group>,
    /// Uses, the oldest first; those that were used again since are passed over.
    uses: VecDeque<(u64, Id)>,
    clock: u64,
    seen: usize,
}

/// Who is to be shut out.
pub(super) struct Catch {
    /// What they have in common: for a prefix, the network itself.
    pub(super) key: Id,
    /// Those who tried, the newest first.
    pub(super) who: Vec<Id>,
}

impl Groups {
    /// Takes a failure in; gives back who is to be shut out, if it is too much.
    pub(super) fn failure(
        &mut self,
        wide: &Wide,
        failure: &Failure,
        (now_s, find_s, failures_max): (i64, i64, u32),
    ) -> Option<Catch> {
        let Key { common: key, mut try_of } = wide.key(failure)?;
        try_of.at_s = now_s;
        let who = try_of.who.clone();
        self.clock += 1;
        let group = self.groups.entry(key.clone()).or_default();
        let before = group.seen.len();
        while group.seen.len() >= GROUP_MAX
            || group.seen.front().is_some_and(|one| one.at_s < now_s.saturating_sub(find_s))
        {
            group.drop_oldest();
        }
        group.add(try_of);
        self.seen = (self.seen + group.seen.len()).saturating_sub(before);
        group.used = self.clock;
        self.uses.push_back((self.clock, key.clone()));
        let enough = usize::try_from(failures_max).unwrap_or(usize::MAX).min(GROUP_MAX);
        let caught = match group.given {
            _ if !group.is_much(wide, enough) => {
                group.given = None;
                None
            }
            None => {
                let mut all: Vec<Id> = Vec::new();
                let mut known = std::collections::HashSet::new();
                let newest = group.seen.iter().rev().map(|one| &one.who);
                all.extend(newest.filter(|who| known.insert(*who)).take(wide.limit).cloned());
                group.given = Some(all.len());
                Some(all)
            }
            Some(given) if given < wide.limit => {
                group.given = Some(given + 1);
                Some(vec![who])
            }
            Some(_) => None,
        };
        self.make_room();
        caught.map(|who| Catch { key, who })
    }

    fn make_room(&mut self) {
        while self.seen > SEEN_MAX || self.uses.len() > 2 * SEEN_MAX {
            let Some((used, key)) = self.uses.pop_front() else { return };
            if self.groups.get(&key).is_some_and(|group| group.used == used)
                && let Some(group) = self.groups.remove(&key)
            {
                self.seen = self.seen.saturating_sub(group.seen.len());
            }
        }
    }

    /// Forgets failures that lie too far back to count.
    pub(super) fn forget_past(&mut self, now_s: i64, find_s: i64) {
        self.groups.retain(|_, group| {
            let is_new = group.seen.back().is_some_and(|one| one.at_s >= now_s.saturating_sub(find_s));
            if !is_new {
                self.seen = self.seen.saturating_sub(group.seen.len());
            }
            is_new
        });
    }
}

#[cfg(test)]
mod tests;
