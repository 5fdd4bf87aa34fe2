//! A jail as a machine on the clock: failures in, bans and their ends out.
//!
//! It counts as fail2ban does: `maxretry` failures within `findtime` seconds ban for `bantime`, longer for those that
//! come again where `bantime.increment` says so, and their failures weigh more. Whoever is banned and fails on stays so for
//! longer. Addresses that are never to be banned win over everything. Tables are
//! bounded: the address that was seen longest ago makes room. T2.21.

mod attempts;
mod settings;
mod table;
mod wide;

pub use settings::{Cache, Candidate, Dns, Increment, Settings, net};
pub use wide::{By, UNSAID_PASSWORD, UNSAID_USER, Wide, is_unsaid};

use crate::filter::{Failure, Id};
use attempts::Attempts;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use table::{ROWS_MAX, Row, Table};
use wide::{Catch, Groups};

/// What a failure led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It counts.
    Found,
    /// It is another line about an attempt that was counted: `count = attempts`.
    Known,
    /// It doesn't: the address is one that is never banned.
    Ignored,
    /// It was one too many: banned until that second, `None` for ever.
    Banned {
        /// Seconds since 1970.
        until_s: Option<i64>,
        /// How often before.
        before: u32,
    },
    /// It was banned already, and `maxretry` failures since hold it until then, `None` for ever.
    AlreadyBanned {
        /// Seconds since 1970.
        until_s: Option<i64>,
        /// Whether that is later than before.
        is_later: bool,
    },
}

/// Somebody who was shut out for what many did together: `komainu_count`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caught {
    /// Who.
    pub id: Id,
    /// Until when; `None` for ever.
    pub until_s: Option<i64>,
    /// How often before.
    pub before: u32,
}

/// What a jail knows of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known<'j> {
    /// Who.
    pub id: &'j Id,
    /// How many failures count, 0 for one that is shut out and hasn't failed since.
    pub failures: u32,
    /// Since when they count.
    pub first_s: i64,
    /// How often it was banned, a ban in force included.
    pub bans: u32,
    /// Since when and until when it is shut out; `None` for ever.
    pub banned: Option<(i64, Option<i64>)>,
}

/// A jail with those that it counts and holds.
#[derive(Debug)]
pub struct Jail {
    settings: Settings,
    table: Table,
    /// When a ban may end, the soonest first; those that were ended otherwise are passed over when their time comes.
    ends: BinaryHeap<Reverse<(i64, u32)>>,
    attempts: Attempts,
    groups: Groups,
    caught: Vec<Caught>,
}

impl Jail {
    /// An empty jail.
    #[must_use]
    pub fn new(settings: Settings) -> Jail {
        Jail {
            settings,
            table: Table::new(),
            ends: BinaryHeap::new(),
            attempts: Attempts::default(),
            groups: Groups::default(),
            caught: Vec::new(),
        }
    }

    /// What it was told.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Tells it something else; those that it counts and holds stay.
    pub fn set(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Those that are shut out, and until when, in their own order.
    pub fn banned(&self) -> impl Iterator<Item = (&Id, Option<i64>)> {
        let banned = self.table.rows().filter(|row| row.is_banned());
        let mut banned: Vec<_> = banned.map(|row| (&row.id, row.until_s())).collect();
        banned.sort_unstable_by_key(|(id, _)| *id);
        banned.into_iter()
    }

    /// How many are shut out.
    #[must_use]
    pub fn banned_count(&self) -> usize {
        self.table.banned()
    }

    /// Whether somebody is shut out.
    #[must_use]
    pub fn is_banned(&self, id: &Id) -> bool {
        self.table.find(id).and_then(|number| self.table.row(number)).is_some_and(Row::is_banned)
    }

    /// All that it knows of, in no order.
    pub fn known(&self) -> impl Iterator<Item = Known<'_>> {
        self.table.rows().map(known)
    }

    /// What it knows of somebody.
    #[must_use]
    pub fn knows(&self, id: &Id) -> Option<Known<'_>> {
        self.table.find(id).and_then(|number| self.table.row(number)).map(known)
    }

    /// Takes a failure in. Bans that have ended by then are asked for before: [`Jail::ended`].
    pub fn failure(&mut self, failure: &Failure) -> Vec<Deed> {
        self.failure_given(failure, 0.0, 0)
    }

    /// As [`Jail::failure`], for jails whose bans grow: `luck`, from 0 up to 1, is for `bantime.rndtime`, and `elsewhere`
    /// is how often other jails have banned this one.
    pub fn failure_given(&mut self, failure: &Failure, luck: f64, elsewhere: u32) -> Vec<Deed> {
        if self.settings.refuses(&failure.id) {
            return vec![Deed::Ignored];
        }
        let now_s = failure.time_us.div_euclid(1_000_000);
        if self.settings.counts_attempts && self.attempts.is_known(failure) {
            return vec![Deed::Known];
        }
        if let Some(wide) = self.settings.wide {
            let bounds = (now_s, self.settings.find_s, self.settings.failures_max);
            if let Some(catch) = self.groups.failure(&wide, failure, bounds) {
                self.catch(catch, now_s, (luck, elsewhere));
            }
            return vec![Deed::Found];
        }
        let settings = &self.settings;
        let number = self.table.change(&failure.id, |row| {
            count(row, now_s, settings.find_s);
            row.failures = row.failures.saturating_add(settings.weight_after(row.before).saturating_sub(1));
        });
        let Some(row) = self.table.row(number) else { return vec![Deed::Found] };
        if row.failures < self.settings.failures_max {
            return vec![Deed::Found];
        }
        let (is_banned, before) = (row.is_banned(), row.before);
        if is_banned {
            return vec![Deed::Found, self.prolong(number, &failure.id, now_s)];
        }
        if self.table.banned() >= ROWS_MAX {
            self.table.change(&failure.id, |row| row.failures = 0);
            return vec![Deed::Found];
        }
        let is_overall = self.settings.increment.as_ref().is_some_and(|increment| increment.is_overall);
        let counted = if is_overall { before.saturating_add(elsewhere) } else { before };
        let ban_s = self.settings.ban_s_after(counted, luck);
        let until_s = (ban_s >= 0).then(|| now_s.saturating_add(ban_s));
        self.shut(&failure.id, now_s, until_s);
        vec![Deed::Found, Deed::Banned { until_s, before: counted }]
    }

    /// Whoever is shut out and failed on stays so for `bantime` from the last failure on, where that is longer.
    fn prolong(&mut self, number: u32, id: &Id, now_s: i64) -> Deed {
        self.table.change(id, |row| row.failures = 0);
        let row = self.table.row(number).map(|row| (row.since_s, row.until_s()));
        let Some((since_s, Some(until_s))) = row else {
            return Deed::AlreadyBanned { until_s: None, is_later: false };
        };
        let later_s = now_s.saturating_add(self.settings.ban_s);
        if self.settings.ban_s < 0 || later_s <= until_s {
            return Deed::AlreadyBanned { until_s: Some(until_s), is_later: false };
        }
        self.table.shut(number, since_s, Some(later_s));
        self.ends.push(Reverse((later_s, number)));
        Deed::AlreadyBanned { until_s: Some(later_s), is_later: true }
    }

    /// Shuts out those who did something together.
    fn catch(&mut self, Catch { key, who }: Catch, now_s: i64, (luck, elsewhere): (f64, u32)) {
        // A network with somebody in it who is never banned isn't shut out as a whole.
        let is_prefix = self.settings.wide.is_some_and(|wide| matches!(wide.by, By::Prefix(..)));
        let is_whole = is_prefix && !self.settings.spares_within(&key);
        let ids = if is_whole { vec![key] } else { who };
        for id in ids {
            if self.settings.refuses(&id) || self.is_banned(&id) || self.table.banned() >= ROWS_MAX {
                continue;
            }
            let before = self.knows(&id).map_or(0, |known| known.bans).saturating_add(elsewhere);
            let ban_s = self.settings.ban_s_after(before, luck);
            let until_s = (ban_s >= 0).then(|| now_s.saturating_add(ban_s));
            self.shut(&id, now_s, until_s);
            self.caught.push(Caught { id, until_s, before });
        }
    }

    /// Who was shut out by the latest failures for what many did together.
    pub fn caught(&mut self) -> Vec<Caught> {
        std::mem::take(&mut self.caught)
    }

    /// Shuts somebody out by hand, for `ban_s` seconds or as long as a failure would; gives back until when. `None`
    /// where it is never banned, or holds somebody who isn't, or is banned already, or the jail is full.
    pub fn ban(&mut self, id: &Id, now_s: i64, ban_s: Option<i64>) -> Option<Option<i64>> {
        if self.settings.refuses(id) || self.is_banned(id) || self.table.banned() >= ROWS_MAX {
            return None;
        }
        let ban_s = ban_s.unwrap_or(self.settings.ban_s);
        let until_s = (ban_s >= 0).then(|| now_s.saturating_add(ban_s));
        self.shut(id, now_s, until_s);
        Some(until_s)
    }

    /// Puts back what was kept of somebody: [`Jail::known`].
    pub fn restore(&mut self, kept: &Known<'_>) {
        let is_full = self.table.banned() >= ROWS_MAX;
        let number = self.table.change(kept.id, |row| {
            row.failures = kept.failures;
            row.first_s = kept.first_s;
            row.before = kept.bans;
        });
        if let Some((since_s, until_s)) = kept.banned.filter(|_| !is_full) {
            self.table.shut(number, since_s, until_s);
            self.ends.extend(until_s.map(|until_s| Reverse((until_s, number))));
        }
    }

    fn shut(&mut self, id: &Id, now_s: i64, until_s: Option<i64>) {
        let number = self.table.change(id, |row| {
            row.failures = 0;
            row.before = row.before.saturating_add(1);
        });
        self.table.shut(number, now_s, until_s);
        self.ends.extend(until_s.map(|until_s| Reverse((until_s, number))));
    }

    /// When the next ban ends, if nothing changes.
    #[must_use]
    pub fn next_end(&self) -> Option<i64> {
        self.ends.peek().map(|Reverse((until_s, _))| *until_s)
    }

    /// Ends the bans whose time is up, and tells when each was.
    pub fn ended(&mut self, now_s: i64) -> Vec<(i64, Id)> {
        let mut ended = Vec::new();
        while let Some(Reverse((until_s, number))) = self.ends.peek().copied() {
            if until_s > now_s {
                break;
            }
            self.ends.pop();
            let row = self.table.row(number).filter(|row| row.is_banned() && row.until_s() == Some(until_s));
            if let Some(id) = row.map(|row| row.id.clone()) {
                self.table.open(number);
                ended.push((until_s, id));
            }
        }
        // What was ended by hand must not pile up.
        if self.ends.len() > 2 * self.table.banned() + 64 {
            let table = &self.table;
            let is_real = |until_s: i64, number: u32| {
                table.row(number).is_some_and(|row| row.is_banned() && row.until_s() == Some(until_s))
            };
            self.ends.retain(|Reverse((until_s, number))| is_real(*until_s, *number));
        }
        ended
    }

    /// Ends a ban before its time, and forgets the failures that count.
    pub fn free(&mut self, id: &Id) -> bool {
        let Some(number) = self.table.find(id) else { return false };
        let was_banned = self.table.open(number);
        if self.table.find(id).is_some() {
            self.table.change(id, |row| row.failures = 0);
        }
        was_banned
    }

    /// Lets somebody in by hand: as [`Jail::free`], and the bans of before are forgotten too, of one who isn't banned
    /// as well. Whether he was.
    pub fn pardon(&mut self, id: &Id) -> bool {
        let was_banned = self.free(id);
        if self.table.find(id).is_some() {
            self.table.change(id, |row| row.before = 0);
        }
        was_banned
    }

    /// Forgets failures that lie too far back to count.
    pub fn forget_past(&mut self, now_s: i64) {
        let find_s = self.settings.find_s;
        self.groups.forget_past(now_s, find_s);
        self.table.forget_counts(|row| row.first_s < now_s.saturating_sub(find_s));
    }

    /// The clock was set: all that is counted and held moves by so many seconds, so that bans last as long as they
    /// were meant to.
    pub fn shift(&mut self, by_s: i64) {
        self.table.shift(by_s);
        self.attempts = Attempts::default();
        self.groups = Groups::default();
        let moved = self
            .ends
            .drain()
            .map(|Reverse((until_s, number))| Reverse((until_s.saturating_add(by_s), number)));
        self.ends = moved.collect::<Vec<_>>().into();
    }
}

fn known(row: &Row) -> Known<'_> {
    let banned = row.is_banned().then(|| (row.since_s, row.until_s()));
    Known { id: &row.id, failures: row.failures, first_s: row.first_s, bans: row.before, banned }
}

/// One more. Once the first lies further back than `find_s`, those so far count by their share of the time.
fn count(row: &mut Row, now_s: i64, find_s: i64) {
    if row.failures == 0 {
        row.first_s = now_s;
    }
    let span_s = now_s.saturating_sub(row.first_s);
    if span_s > find_s {
        #[expect(clippy::cast_precision_loss, reason = "spans of seconds are far below 2^52")]
        let share = (f64::from(row.failures) / span_s as f64 * find_s.max(0) as f64).round_ties_even();
        // It is at most what it was.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a u32")]
        let share = share as u32;
        row.failures = share;
        row.first_s = now_s.saturating_sub(find_s);
    } else if span_s < find_s.max(0).saturating_neg() {
        // The first lies ahead: the clock was set back, and nothing says how far back that one lies.
        row.failures = 0;
        row.first_s = now_s;
    }
    row.failures = row.failures.saturating_add(1);
}

#[cfg(test)]
mod tests;
