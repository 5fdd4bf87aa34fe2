//! A jail at work: failures that its filter found become counts, bans, lines of the log, changes for packet filters.

use super::causes::{Causes, LINE_BYTES_MAX};
use super::inquiries::{Inquiry, Verdict};
use super::kept::{self, Who, id_of};
use super::names::Question;
use super::order::{Brief, Cause, Held, JailStatus, Reason};
use super::says::{BanLog, Part, span};
use super::settings::Level;
use crate::firewall::{Change, Verb};
use ban::action::net::overlap;
use ban::action::{Facts, Script, filled};
use ban::filter::{Failure, Filter, Id};
use ban::jail::{Candidate, Caught, Deed, Dns, Jail, Known, Settings};
use ban::jails;
use ban::zone::Zone;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// A line of a log that is written to just now can't be older.
pub(crate) const LATE_S: i64 = 60;
/// Failures of somebody who was banned no longer ago were under way then.
pub(crate) const UNDER_WAY_S: i64 = 3;
/// Between two complaints about lines that are.
const COMPLAINT_S: i64 = 3_600;
/// What is handed to actions of the lines that led to a ban.
const MATCHES_BYTES_MAX: usize = 8 << 10;

/// Where a failure was found.
pub(super) struct Seen<'a> {
    pub(super) source: &'a str,
    pub(super) line: &'a [u8],
    /// The log is being written to; what stood there at the start has been read.
    pub(super) is_live: bool,
    /// How often other jails banned the same.
    pub(super) elsewhere: u32,
}

/// Where what follows goes.
pub(super) struct Out<'a> {
    pub(super) log: &'a BanLog,
    pub(super) changes: &'a mut Vec<Change>,
    pub(super) now_us: i64,
    /// From 0 up to 1, by chance.
    pub(super) luck: f64,
}

impl Out<'_> {
    fn now_s(&self) -> i64 {
        self.now_us.div_euclid(1_000_000)
    }
}

/// A jail with what it was told.
pub(super) struct Cell {
    pub(super) config: jails::Jail,
    pub(super) filter: Arc<Filter>,
    pub(super) jail: Jail,
    pub(super) causes: Causes,
    pub(super) failed: u64,
    pub(super) banned: u64,
    /// Whose rows are to be written.
    pub(super) dirty: HashSet<Id>,
    /// It has nothing to read, and why.
    pub(super) blind: Option<String>,
    /// Questions for `ignorecommand`.
    pub(super) inquiries: Vec<Inquiry>,
    /// What it answered, and when: `ignorecache`.
    spared: HashMap<String, (i64, bool)>,
    /// When it complained last about odd stamps, and about a command that doesn't answer.
    complained_s: i64,
    unasked_s: i64,
}

impl Cell {
    pub(super) fn new(config: jails::Jail, filter: Filter, settings: Settings) -> Cell {
        Cell {
            config,
            filter: Arc::new(filter),
            jail: Jail::new(settings),
            causes: Causes::default(),
            failed: 0,
            banned: 0,
            dirty: HashSet::new(),
            blind: None,
            inquiries: Vec::new(),
            spared: HashMap::new(),
            complained_s: i64::MIN / 2,
            unasked_s: i64::MIN / 2,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    pub(super) fn brief(&self) -> Brief {
        Brief { name: self.name().to_owned(), blind: self.blind.clone() }
    }

    /// The zone of its log's stamps.
    pub(super) fn zone(&self, log: &BanLog) -> Zone {
        let zone = self.config.option("logtimezone").and_then(Zone::fixed);
        zone.unwrap_or_else(|| log.hours().zone())
    }

    /// Takes a failure in. Gives back the name that somebody has to look up first.
    pub(super) fn failure(
        &mut self,
        mut failure: Failure,
        seen: &Seen<'_>,
        out: &mut Out<'_>,
    ) -> Option<String> {
        self.mend_time(&mut failure, seen, out);
        if self.jail.settings().is_past(&failure, out.now_s()) {
            return None;
        }
        match self.jail.settings().candidate(&failure) {
            Candidate::Counts => {}
            Candidate::Dropped => return None,
            Candidate::LookUp { name, .. } => return Some(name),
        }
        if let Id::Name(text) | Id::Other(text) = &failure.id {
            failure.id = id_of(text);
        }
        if !self.asks(&failure, seen, out) {
            self.count(&failure, seen, out);
        }
        None
    }

    /// Whether a command is to say whether somebody is spared (`ignorecommand`), or has said so before.
    fn asks(&mut self, failure: &Failure, seen: &Seen<'_>, out: &Out<'_>) -> bool {
        let settings = self.jail.settings();
        let Some(command) = settings.command.as_ref().filter(|_| !settings.refuses(&failure.id)) else {
            return false;
        };
        let named = failure.fields.named.iter();
        let facts = Facts {
            id: failure.id.clone(),
            ban_s: settings.ban_s,
            failures: self.jail.knows(&failure.id).map_or(0, |known| known.failures).saturating_add(1),
            before: self.jail.knows(&failure.id).map_or(0, |known| known.bans),
            time_s: failure.time_us.div_euclid(1_000_000),
            matches: String::from_utf8_lossy(seen.line.get(..LINE_BYTES_MAX).unwrap_or(seen.line))
                .into_owned(),
            fields: named.map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        };
        let key = settings.cache.as_ref().map(|cache| filled(&cache.key, &facts));
        if let Some(cache) = &settings.cache
            && let Some((at_s, is_spared)) = key.as_ref().and_then(|key| self.spared.get(key))
            && (0..cache.time_s).contains(&(out.now_s() - at_s))
        {
            if *is_spared {
                self.ignored(&failure.id, "command", out);
            }
            return *is_spared;
        }
        self.inquiries.push(Inquiry {
            jail: self.name().to_owned(),
            failure: failure.clone(),
            source: seen.source.to_owned(),
            line: seen.line.to_vec(),
            is_live: seen.is_live,
            elsewhere: seen.elsewhere,
            script: Script::of(command, &facts),
            key,
        });
        true
    }

    /// Takes in what the command said. One that says nothing spares nobody, and that is said once an hour.
    pub(super) fn judged(&mut self, inquiry: &Inquiry, said: Verdict, out: &mut Out<'_>) {
        let now_s = out.now_s();
        let is_spared = said.unwrap_or_else(|error| {
            if self.unasked_s > now_s || now_s - self.unasked_s >= COMPLAINT_S {
                self.unasked_s = now_s;
                let name = self.name();
                let text = format_args!("K0668: [{name}] ignorecommand spares nobody meanwhile: {error}");
                out.log.say(Part::Filter, Level::Error, text);
            }
            false
        });
        if let Some((cache, key)) = self.jail.settings().cache.as_ref().zip(inquiry.key.as_ref()) {
            if self.spared.len() >= cache.count_max {
                let time_s = cache.time_s;
                self.spared.retain(|_, (at_s, _)| (0..time_s).contains(&(now_s - *at_s)));
            }
            if self.spared.len() < cache.count_max {
                self.spared.insert(key.clone(), (now_s, is_spared));
            }
        }
        if is_spared {
            return self.ignored(&inquiry.failure.id, "command", out);
        }
        let Inquiry { failure, source, line, is_live, elsewhere, .. } = inquiry;
        self.count(failure, &Seen { source, line, is_live: *is_live, elsewhere: *elsewhere }, out);
    }

    fn ignored(&self, id: &Id, why: &str, out: &Out<'_>) {
        let name = self.name();
        out.log.say(Part::Filter, Level::Info, format_args!("[{name}] Ignore {id} by {why}"));
    }

    /// The addresses of those names that are never banned; whoever is held under one of them is let in.
    pub(super) fn befriend(&mut self, addresses: Vec<IpAddr>, out: &mut Out<'_>) {
        if self.jail.settings().named == addresses {
            return;
        }
        self.jail.set(Settings { named: addresses, ..self.jail.settings().clone() });
        self.let_in_spared(out);
    }

    /// Lets those in who are never banned now.
    pub(super) fn let_in_spared(&mut self, out: &mut Out<'_>) {
        let held = self.jail.banned().map(|(id, _)| id.clone());
        let spared: Vec<_> = held.filter(|id| self.jail.settings().refuses(id)).collect();
        for id in spared {
            self.unban(&id, out);
        }
    }

    /// A stamp of a log that is written to just now is near: whatever it says.
    fn mend_time(&mut self, failure: &mut Failure, seen: &Seen<'_>, out: &Out<'_>) {
        let (now_s, at_s) = (out.now_s(), failure.time_us.div_euclid(1_000_000));
        if at_s > now_s {
            failure.time_us = out.now_us;
        } else if seen.is_live && at_s < now_s - LATE_S {
            failure.time_us = out.now_us;
            if self.complained_s > now_s || now_s - self.complained_s >= COMPLAINT_S {
                self.complained_s = now_s;
                let name = self.name();
                let late_s = now_s - at_s;
                let kind =
                    if late_s >= 1_800 && (late_s + 60) % 1_800 <= 120 { "timezone" } else { "latency" };
                let (late, line) = (span(late_s), String::from_utf8_lossy(seen.line));
                let line: String = line.chars().take(LINE_BYTES_MAX).collect();
                let warn = |text: std::fmt::Arguments<'_>| out.log.say(Part::Filter, Level::Warning, text);
                warn(format_args!(
                    "[{name}] Detected a log entry {late} before the current time in operation mode. This looks like a \
                     {kind} problem. Treating such entries as if they just happened."
                ));
                warn(format_args!(
                    "[{name}] Please check a jail for a timing issue. Line with odd timestamp: {line}"
                ));
            }
        }
    }

    fn count(&mut self, failure: &Failure, seen: &Seen<'_>, out: &mut Out<'_>) {
        let at_s = failure.time_us.div_euclid(1_000_000);
        let line = seen.line.get(..LINE_BYTES_MAX).unwrap_or(seen.line);
        let cause = Cause {
            time_s: at_s,
            source: seen.source.to_owned(),
            line: String::from_utf8_lossy(line).into_owned(),
            rule: u32::try_from(failure.rule).unwrap_or(u32::MAX),
        };
        let id = &failure.id;
        let held = self.jail.knows(id).and_then(|known| known.banned);
        let failures = self.jail.knows(id).map_or(0, |known| known.failures).saturating_add(1);
        for deed in self.jail.failure_given(failure, out.luck, seen.elsewhere) {
            match deed {
                Deed::Known => return,
                Deed::Ignored => {
                    return self.ignored(id, self.jail.settings().spared_by(id), out);
                }
                Deed::Found => {
                    self.failed += 1;
                    out.log.found(&self.config.name, id, at_s);
                    if held.is_none() {
                        self.causes.add(id, cause.clone(), self.jail.settings().matches_max);
                    }
                }
                Deed::Banned { until_s, before } => self.banned((failure, until_s, before, failures), out),
                Deed::AlreadyBanned { is_later, .. } => {
                    if is_later {
                        self.prolonged(id, (failure, failures), out);
                    }
                    // Lines that were under way when the ban fell are nobody's business.
                    let since_s = held.map_or(at_s, |(since_s, _)| at_s.saturating_sub(since_s));
                    let level = if since_s < LATE_S { Level::Notice } else { Level::Warning };
                    if since_s >= UNDER_WAY_S {
                        let name = self.name();
                        out.log.say(Part::Actions, level, format_args!("[{name}] {id} already banned"));
                    }
                }
            }
        }
        self.dirty.insert(id.clone());
        // Where networks, accounts or passwords are counted, one failure may be one too many of several.
        for Caught { id, until_s, before } in self.jail.caught() {
            let failure = Failure { id: id.clone(), ..failure.clone() };
            self.banned((&failure, until_s, before, failures), out);
            self.dirty.insert(id);
        }
    }

    fn banned(
        &mut self,
        (failure, until_s, before, failures): (&Failure, Option<i64>, u32, u32),
        out: &mut Out<'_>,
    ) {
        let (id, name) = (&failure.id, self.config.name.clone());
        let at_s = failure.time_us.div_euclid(1_000_000);
        if until_s.is_some_and(|until_s| until_s <= out.now_s()) {
            self.jail.free(id);
            let text = format_args!("[{name}] Ignore {id}, expired bantime");
            return out.log.say(Part::Actions, Level::Info, text);
        }
        self.banned += 1;
        out.log.notice(&name, "Ban", id);
        if let Some(until_s) = until_s.filter(|_| before > 0 && self.jail.settings().increment.is_some()) {
            let (count, long, until) = (before + 1, span(until_s - at_s), out.log.time(until_s));
            let text = format_args!("[{name}] Increase Ban {id} ({count} # {long} -> {until})");
            out.log.say(Part::Observer, Level::Notice, text);
        }
        let mut change = self.change(id, (at_s, until_s), before);
        change.failures = failures;
        change.fields = said(failure);
        let has_grown = before > 0 && self.jail.settings().increment.is_some();
        let prolonged = has_grown.then(|| Change { verb: Verb::Prolong, ..change.clone() });
        out.changes.push(change);
        out.changes.extend(prolonged);
    }

    /// A ban lasts longer: whoever it holds failed on.
    fn prolonged(&self, id: &Id, (failure, failures): (&Failure, u32), out: &mut Out<'_>) {
        let known = self.jail.knows(id).and_then(|known| Some((known.banned?, known.bans)));
        let Some((held, bans)) = known.filter(|((_, until_s), _)| until_s.is_none_or(|s| s > out.now_s()))
        else {
            return;
        };
        let mut change = self.change(id, held, bans.saturating_sub(1));
        change.verb = Verb::Prolong;
        change.failures = failures;
        change.fields = said(failure);
        out.changes.push(change);
    }

    /// A ban for packet filters.
    fn change(&self, id: &Id, (since_s, until_s): (i64, Option<i64>), before: u32) -> Change {
        let mut change = Change::new(&self.config.name, Verb::Ban, id.clone());
        change.time_s = since_s;
        change.ban_s = until_s.map_or(-1, |until_s| until_s.saturating_sub(since_s));
        change.before = before;
        for cause in self.causes.of(id) {
            if change.matches.len() + cause.line.len() < MATCHES_BYTES_MAX {
                if !change.matches.is_empty() {
                    change.matches.push('\n');
                }
                change.matches.push_str(&cause.line);
            }
        }
        change.failures = u32::try_from(self.causes.of(id).count()).unwrap_or(u32::MAX);
        change
    }

    /// Whether it may ban what is no address: its filter finds such, or names are banned as names.
    pub(super) fn bans_words(&self) -> bool {
        self.filter.captures(&["fid"]) || self.jail.settings().dns == ban::jail::Dns::Raw
    }

    /// Shuts somebody out by hand; why not, where that is no news.
    pub(super) fn ban(&mut self, id: &Id, ban_s: Option<i64>, out: &mut Out<'_>) -> Result<(), &'static str> {
        let now_s = out.now_s();
        if self.jail.settings().refuses(id) {
            let name = self.name();
            let text = format_args!("[{name}] {id} is not banned: it is, or holds, one that is never banned");
            out.log.say(Part::Actions, Level::Warning, text);
            return Err("it is, or holds, one that is never banned");
        }
        if self.jail.is_banned(id) {
            return Err("shut out already");
        }
        let before = self.jail.knows(id).map_or(0, |known| known.bans);
        let until_s = self.jail.ban(id, now_s, ban_s).ok_or("the jail is full")?;
        self.banned += 1;
        self.dirty.insert(id.clone());
        out.log.notice(&self.config.name, "Ban", id);
        let mut change = self.change(id, (now_s, until_s), before);
        change.failures = 0;
        out.changes.push(change);
        Ok(())
    }

    /// Lets somebody in again, and forgets how often he was shut out; whether he was just now.
    pub(super) fn unban(&mut self, id: &Id, out: &mut Out<'_>) -> bool {
        let is_known = self.jail.knows(id).is_some();
        if !self.jail.pardon(id) {
            if is_known {
                self.dirty.insert(id.clone());
            }
            return false;
        }
        self.opened(id, out);
        true
    }

    fn opened(&mut self, id: &Id, out: &mut Out<'_>) {
        out.log.notice(&self.config.name, "Unban", id);
        out.changes.push(Change::new(&self.config.name, Verb::Unban, id.clone()));
        self.dirty.insert(id.clone());
    }

    /// Ends bans whose time is up.
    pub(super) fn tick(&mut self, out: &mut Out<'_>) {
        for (_, id) in self.jail.ended(out.now_s()) {
            self.opened(&id, out);
        }
    }

    /// Its actions begin, with the bans that it has.
    pub(super) fn begin(&mut self, out: &mut Out<'_>) {
        let name = self.config.name.clone();
        out.log.say(Part::Jail, Level::Info, format_args!("Jail '{name}' started"));
        self.begin_again(out);
    }

    /// Its actions begin, and they are others than before.
    pub(super) fn begin_again(&mut self, out: &mut Out<'_>) {
        out.changes.push(Change::start(&self.config.name));
        for (_, id) in self.bans_by_age() {
            self.restored(&id, out);
        }
    }

    /// Puts a ban that was kept in force; whether there is one.
    pub(super) fn restored(&mut self, id: &Id, out: &mut Out<'_>) -> bool {
        let known = self.jail.knows(id).and_then(|known| Some((known.banned?, known.bans)));
        let Some((held, bans)) = known else { return false };
        out.log.notice(&self.config.name, "Restore Ban", id);
        let mut change = self.change(id, held, bans.saturating_sub(1));
        change.is_restored = true;
        out.changes.push(change);
        self.banned += 1;
        self.dirty.insert(id.clone());
        true
    }

    /// The addresses of a name that failed.
    pub(super) fn resolved(&mut self, question: &Question, addresses: &[IpAddr], out: &mut Out<'_>) {
        if self.jail.settings().dns == Dns::Warn && !addresses.is_empty() {
            let each: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let (name, host, each) = (self.name(), &question.name, each.join(", "));
            let text = format_args!("[{name}] Determined IP using DNS Lookup: {host} = {each}");
            out.log.say(Part::Filter, Level::Warning, text);
        }
        let Question { failure, source, line, is_live, .. } = question;
        for address in addresses {
            let failure = Failure { id: Id::address(*address), ..failure.clone() };
            self.failure(failure, &Seen { source, line, is_live: *is_live, elsewhere: 0 }, out);
        }
    }

    /// Its actions end. What it holds is kept, for the next start.
    pub(super) fn end(&self, out: &mut Out<'_>) {
        let name = self.config.name.clone();
        for (_, id) in self.bans_by_age() {
            out.log.notice(&name, "Unban", &id);
        }
        out.changes.push(Change::stop(&name));
        out.log.say(Part::Jail, Level::Info, format_args!("Jail '{name}' stopped"));
    }

    fn bans_by_age(&self) -> Vec<(i64, Id)> {
        let mut bans: Vec<_> =
            self.jail.known().filter_map(|known| Some((known.banned?.0, known.id.clone()))).collect();
        bans.sort_unstable();
        bans
    }

    /// Takes up what was kept of somebody; bans whose time has passed are only remembered.
    pub(super) fn restore(&mut self, who: Who, now_s: i64) {
        let id = id_of(&who.id);
        // Nobody was banned tomorrow: the clock was set since, and this ban lasts no longer than it was meant to.
        let ahead_s = who.held.map_or(0, |(since_s, _)| since_s.saturating_sub(now_s)).max(0);
        let first_s = who.first_s.min(now_s);
        let back = |at_s: i64| at_s.saturating_sub(ahead_s);
        let held = who.held.map(|(since_s, until_s)| (back(since_s), until_s.map(back)));
        let banned = held.filter(|(_, until_s)| until_s.is_none_or(|until_s| until_s > now_s));
        // Whoever is never banned any more, isn't.
        let is_refused = self.jail.settings().refuses(&id);
        let banned = banned.filter(|_| !is_refused);
        let failures = if is_refused { 0 } else { who.failures };
        let known = Known { id: &id, failures, first_s, bans: who.bans, banned };
        self.jail.restore(&known);
        for cause in who.lines {
            self.causes.add(&id, cause, self.jail.settings().matches_max);
        }
    }

    /// What is kept of somebody.
    pub(super) fn row(&self, id: &Id) -> kept::Row {
        match self.jail.knows(id) {
            Some(known) => {
                kept::Row::Known(Who::of(self.name(), &known, self.causes.of(id).cloned().collect()))
            }
            None => kept::Row::Gone(self.name().to_owned(), id.to_string()),
        }
    }

    pub(super) fn status(&self, files: Vec<String>) -> JailStatus {
        let journal = self.config.reads_journal().then(|| {
            let text = self.config.filter.get("journalmatch").map_or("", String::as_str);
            jails::lines(text).map(str::to_owned).collect()
        });
        let counted = self.jail.known().filter(|known| known.failures > 0).count();
        let banned = self.bans_by_age().into_iter().map(|(_, id)| id.to_string()).collect();
        JailStatus {
            name: self.name().to_owned(),
            blind: self.blind.clone(),
            currently_failed: counted as u64,
            total_failed: self.failed,
            files,
            journal,
            currently_banned: self.jail.banned_count() as u64,
            total_banned: self.banned,
            banned,
        }
    }

    fn held(&self, known: &Known<'_>) -> Option<Held> {
        let (since_s, until_s) = known.banned?;
        Some(Held {
            jail: self.name().to_owned(),
            id: known.id.to_string(),
            since_s,
            until_s,
            before: known.bans.saturating_sub(1),
            failures: u32::try_from(self.causes.of(known.id).count()).unwrap_or(u32::MAX),
        })
    }

    pub(super) fn list(&self) -> Vec<Held> {
        let mut list: Vec<Held> = self.jail.known().filter_map(|known| self.held(&known)).collect();
        list.sort_unstable_by(|a, b| (a.since_s, &a.id).cmp(&(b.since_s, &b.id)));
        list
    }

    /// What it knows of an address, and of networks around or within.
    pub(super) fn why(&self, id: &Id) -> Vec<Reason> {
        let known = self.jail.known().filter(|known| touches(known.id, id));
        let mut reasons: Vec<Reason> = known
            .map(|known| Reason {
                jail: self.name().to_owned(),
                id: known.id.to_string(),
                held: self.held(&known),
                failures: known.failures,
                lines: self.causes.of(known.id).cloned().collect(),
            })
            .collect();
        // Those that the jail has forgotten, and of whom it still has the lines.
        let past = self.causes.ids().filter(|other| touches(other, id) && self.jail.knows(other).is_none());
        reasons.extend(past.map(|id| Reason {
            jail: self.name().to_owned(),
            id: id.to_string(),
            held: None,
            failures: 0,
            lines: self.causes.of(id).cloned().collect(),
        }));
        reasons
    }
}

/// What a line says beside the address; what no line says is for counting alone.
fn said(failure: &Failure) -> Vec<(String, String)> {
    let said = failure.fields.named.iter().filter(|(name, _)| !ban::jail::is_unsaid(name));
    said.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Whether one is the other, or lies within.
fn touches(one: &Id, other: &Id) -> bool {
    match (one, other) {
        (Id::Net(a, bits), Id::Net(b, more)) => overlap((*a, *bits), (*b, *more)),
        (one, other) => one == other,
    }
}
