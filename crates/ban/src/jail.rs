//! A jail as a machine on the clock: failures in, bans and their ends out.
//!
//! It counts as fail2ban does: `maxretry` failures within `findtime` seconds ban for `bantime`, longer for those that
//! come again where `bantime.increment` says so. Addresses that are never to be banned win over everything. Tables are
//! bounded: the address that was seen longest ago makes room. T2.21.

use crate::filter::{Failure, Id};
use crate::jails::{self, is_yes};
use crate::span;
use config::diagnostic::Diagnostic;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The most that are counted, banned, or remembered for having been banned, each.
const ENTRIES_MAX: usize = 200_000;

/// What a jail was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// How many failures ban.
    pub failures_max: u32,
    /// Within how many seconds.
    pub find_s: i64,
    /// For how long; negative for ever.
    pub ban_s: i64,
    /// How bans grow.
    pub increment: Option<Increment>,
    /// Who is never banned.
    pub never: Vec<(IpAddr, u8)>,
    /// Names that are never banned.
    pub never_names: Vec<String>,
}

/// How the bans of those that come again grow.
#[derive(Clone, Debug, PartialEq)]
pub struct Increment {
    /// `bantime.factor`.
    pub factor: f64,
    /// `bantime.multipliers`; powers of two where there are none.
    pub multipliers: Vec<f64>,
    /// `bantime.maxtime`.
    pub ban_s_max: Option<i64>,
}

impl Settings {
    /// Reads a jail's options. What can't be read has its default, and is said.
    #[must_use]
    pub fn of(jail: &jails::Jail) -> (Settings, Vec<Diagnostic>) {
        let mut found = Vec::new();
        let mut wrong = |option: &str, text: &str, instead: &str| {
            let message = format!("`{option} = {text}` can't be read");
            found.push(Diagnostic::error(634, jail.place(option), message).help(instead.to_owned()));
        };
        let failures_max = match jail.option("maxretry").map(str::trim) {
            None => 5,
            Some(text) => text.parse().ok().filter(|n| *n > 0).unwrap_or_else(|| {
                wrong("maxretry", text, "write a whole number; 5 counts meanwhile");
                5
            }),
        };
        let mut seconds = |option: &str, default: i64| match jail.option(option) {
            None => default,
            Some(text) => span::seconds(text).unwrap_or_else(|| {
                wrong(option, text, "write seconds, or a time like `10m`; 10 minutes count meanwhile");
                default
            }),
        };
        let (find_s, ban_s) = (seconds("findtime", 600), seconds("bantime", 600));
        let is_growing = jail.option("bantime.increment").is_some_and(is_yes);
        let ban_s_max = jail.option("bantime.maxtime").map(|_| seconds("bantime.maxtime", 600));
        let mut increment = None;
        if is_growing {
            let multipliers = jail.option("bantime.multipliers").unwrap_or("").split_whitespace();
            let factor = jail.option("bantime.factor").and_then(|text| text.trim().parse().ok());
            increment = Some(Increment {
                factor: factor.unwrap_or(1.0),
                multipliers: multipliers.filter_map(|word| word.parse().ok()).collect(),
                ban_s_max,
            });
            if let Some(formula) = jail.option("bantime.formula").filter(|text| !text.trim().is_empty()) {
                wrong("bantime.formula", formula, "formulas aren't computed: give `bantime.multipliers`");
            }
        }
        let (mut never, mut never_names) = (Vec::new(), Vec::new());
        let words = jail.option("ignoreip").unwrap_or("").split(|c: char| c.is_whitespace() || c == ',');
        for word in words.filter(|word| !word.is_empty()) {
            match net(word) {
                Some(net) => never.push(net),
                None => never_names.push(word.to_ascii_lowercase()),
            }
        }
        let name = jail.name.clone();
        (Settings { name, failures_max, find_s, ban_s, increment, never, never_names }, found)
    }

    /// Whether somebody is never to be banned.
    #[must_use]
    pub fn spares(&self, id: &Id) -> bool {
        match id {
            Id::Net(address, length) => {
                self.never.iter().any(|(net, bits)| bits <= length && holds((*net, *bits), *address))
            }
            Id::Name(name) | Id::Other(name) => {
                self.never_names.iter().any(|known| known.eq_ignore_ascii_case(name))
            }
        }
    }

    /// How long the ban after `before` earlier ones is.
    fn ban_s_after(&self, before: u32) -> i64 {
        let Some(increment) = self.increment.as_ref().filter(|_| self.ban_s > 0) else { return self.ban_s };
        let at = usize::try_from(before).unwrap_or(usize::MAX);
        let times = match increment.multipliers.last() {
            Some(last) => increment.multipliers.get(at).copied().unwrap_or(*last),
            None => f64::from(1_u32 << before.min(20)),
        };
        // A ban that grew past what f64 holds exactly is for ever in all but name.
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "bounded just below"
        )]
        let grown = (self.ban_s as f64 * times * increment.factor).clamp(1.0, 1e12) as i64;
        increment.ban_s_max.map_or(grown, |most| grown.min(most))
    }
}

/// `192.0.2.0/24`, `2001:db8::1`, `192.0.2.0/255.255.255.0`.
fn net(word: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = word.split_once('/').map_or((word, None), |(a, l)| (a, Some(l)));
    let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => whole,
        Some(length) => match length.parse::<std::net::Ipv4Addr>() {
            Ok(mask) => u8::try_from(u32::from(mask).leading_ones()).ok()?,
            Err(_) => length.parse().ok().filter(|length| *length <= whole)?,
        },
    };
    Some((address, length))
}

fn holds((net, bits): (IpAddr, u8), address: IpAddr) -> bool {
    match (net, address) {
        (IpAddr::V4(net), IpAddr::V4(address)) => {
            let off = 32_u32.saturating_sub(u32::from(bits));
            u32::from(net).checked_shr(off) == u32::from(address).checked_shr(off) || bits == 0
        }
        (IpAddr::V6(net), IpAddr::V6(address)) => {
            let off = 128_u32.saturating_sub(u32::from(bits));
            u128::from(net).checked_shr(off) == u128::from(address).checked_shr(off) || bits == 0
        }
        _ => false,
    }
}

/// What a failure led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It counts.
    Found,
    /// It doesn't: the address is one that is never banned.
    Ignored,
    /// It was one too many: banned until that second, `None` for ever.
    Banned {
        /// Seconds since 1970.
        until_s: Option<i64>,
        /// How often before.
        before: u32,
    },
    /// It was banned already.
    AlreadyBanned,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    failures: u32,
    first_s: i64,
}

#[derive(Clone, Copy, Debug)]
struct Ban {
    since_s: i64,
    until_s: Option<i64>,
}

/// A jail with those that it counts and holds.
#[derive(Debug)]
pub struct Jail {
    settings: Settings,
    counts: Aged<Count>,
    bans: BTreeMap<Id, Ban>,
    ends: BTreeSet<(i64, Id)>,
    earlier: Aged<u32>,
}

impl Jail {
    /// An empty jail.
    #[must_use]
    pub fn new(settings: Settings) -> Jail {
        Jail {
            settings,
            counts: Aged::default(),
            bans: BTreeMap::new(),
            ends: BTreeSet::new(),
            earlier: Aged::default(),
        }
    }

    /// What it was told.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Those that are shut out, and until when.
    pub fn banned(&self) -> impl Iterator<Item = (&Id, Option<i64>)> {
        self.bans.iter().map(|(id, ban)| (id, ban.until_s))
    }

    /// Takes a failure in. Bans that have ended by then are asked for before: [`Jail::ended`].
    pub fn failure(&mut self, failure: &Failure) -> Vec<Deed> {
        if self.settings.spares(&failure.id) {
            return vec![Deed::Ignored];
        }
        let now_s = failure.time_us.div_euclid(1_000_000);
        let count = self.counts.entry(&failure.id, now_s, || Count { failures: 0, first_s: now_s });
        count.add(now_s, self.settings.find_s);
        if count.failures < self.settings.failures_max {
            return vec![Deed::Found];
        }
        self.counts.remove(&failure.id);
        if self.bans.contains_key(&failure.id) || self.bans.len() >= ENTRIES_MAX {
            return vec![Deed::Found, Deed::AlreadyBanned];
        }
        let before = *self.earlier.entry(&failure.id, now_s, || 0);
        let ban_s = self.settings.ban_s_after(before);
        let until_s = (ban_s >= 0).then(|| now_s.saturating_add(ban_s));
        *self.earlier.entry(&failure.id, now_s, || 0) = before.saturating_add(1);
        self.bans.insert(failure.id.clone(), Ban { since_s: now_s, until_s });
        self.ends.extend(until_s.map(|until| (until, failure.id.clone())));
        vec![Deed::Found, Deed::Banned { until_s, before }]
    }

    /// Ends the bans whose time is up, and tells when each was.
    pub fn ended(&mut self, now_s: i64) -> Vec<(i64, Id)> {
        let mut ended = Vec::new();
        while let Some((until_s, id)) = self.ends.pop_first() {
            if until_s > now_s {
                self.ends.insert((until_s, id));
                break;
            }
            self.bans.remove(&id);
            ended.push((until_s, id));
        }
        ended
    }

    /// Ends a ban by hand.
    pub fn free(&mut self, id: &Id) -> bool {
        let Some(ban) = self.bans.remove(id) else { return false };
        if let Some(until_s) = ban.until_s {
            self.ends.remove(&(until_s, id.clone()));
        }
        self.counts.remove(id);
        ban.since_s <= ban.until_s.unwrap_or(i64::MAX)
    }
}

impl Count {
    /// One more. Once the first lies further back than `find_s`, those so far count by their share of the time.
    fn add(&mut self, now_s: i64, find_s: i64) {
        let span_s = now_s.saturating_sub(self.first_s);
        if span_s > find_s {
            #[expect(clippy::cast_precision_loss, reason = "spans of seconds are far below 2^52")]
            let share = (f64::from(self.failures) / span_s as f64 * find_s.max(0) as f64).round_ties_even();
            // It is at most what it was.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a u32")]
            let share = share as u32;
            self.failures = share;
            self.first_s = now_s.saturating_sub(find_s);
        }
        self.failures = self.failures.saturating_add(1);
    }
}

/// A bounded table: when it is full, the entry that was touched longest ago goes.
#[derive(Debug)]
struct Aged<V> {
    rows: BTreeMap<Id, (i64, V)>,
    ages: BTreeSet<(i64, Id)>,
}

impl<V> Default for Aged<V> {
    fn default() -> Aged<V> {
        Aged { rows: BTreeMap::new(), ages: BTreeSet::new() }
    }
}

impl<V> Aged<V> {
    fn entry(&mut self, id: &Id, now_s: i64, make: impl FnOnce() -> V) -> &mut V {
        if let Some((age, _)) = self.rows.get(id) {
            self.ages.remove(&(*age, id.clone()));
        } else if self.rows.len() >= ENTRIES_MAX
            && let Some((_, oldest)) = self.ages.pop_first()
        {
            self.rows.remove(&oldest);
        }
        self.ages.insert((now_s, id.clone()));
        let row = self.rows.entry(id.clone()).or_insert_with(|| (now_s, make()));
        row.0 = now_s;
        &mut row.1
    }

    fn remove(&mut self, id: &Id) {
        if let Some((age, _)) = self.rows.remove(id) {
            self.ages.remove(&(age, id.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
