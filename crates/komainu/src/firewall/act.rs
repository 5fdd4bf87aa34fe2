//! An action of a jail at work: what it has in force, and how it gets there.
//!
//! nftables takes all of a batch in one transaction; what is missing there (somebody flushed the ruleset) is made again
//! with all that is in force. Other actions run their commands, joined where one program takes many. As fail2ban has it,
//! `actioncheck` is asked where a ban failed; where that fails too, the action is repaired, or stopped and started, and
//! all that was in force comes back.

use super::left::Comment;
use super::{Change, Verb, run};
use ban::action::net::{Net, Prefixes};
use ban::action::nft::{Listing, Sets};
use ban::action::{Action, Deed, Facts, Family, plain, restore};
use ban::filter::Id;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// The most commands that are joined to the input of one program.
const JOINED_MAX: usize = 4_096;
/// Looking whether all is there takes at most this share of the time; what takes less than that long is always done.
const LOOK_SHARE: u32 = 50;
const LOOK_QUICK: Duration = Duration::from_millis(50);

/// An action.
pub(super) struct Act {
    action: Action,
    prefixes: Prefixes,
    how: How,
}

enum How {
    Sets(Box<Sets>, Looked),
    Commands(Commands),
}

/// When it was looked whether all is there, and how long that took.
#[derive(Default)]
struct Looked(Option<(Instant, Duration)>);

#[derive(Default)]
struct Commands {
    started: BTreeSet<Family>,
    /// What stands for an id: itself, or its network.
    ids: HashMap<Id, Id>,
    /// What is in force, and for how many ids.
    in_force: BTreeMap<Id, (Facts, u32)>,
}

impl Looked {
    fn is_due(&self) -> bool {
        self.0.is_none_or(|(when, took)| took < LOOK_QUICK || when.elapsed() > took * LOOK_SHARE)
    }
}

/// Which changes failed, by their places in the batch, and why.
pub(super) type Failures = Vec<(usize, String)>;

/// Whether a network holds somebody who is never banned.
pub(super) type Spares<'a> = &'a dyn Fn(Net) -> bool;

impl Act {
    pub(super) fn new(action: Action, prefixes: Prefixes) -> Act {
        let how = match &action.nft {
            Some(layout) => How::Sets(Box::new(Sets::new(layout.clone())), Looked::default()),
            None => How::Commands(Commands::default()),
        };
        Act { action, prefixes, how }
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.action.timeout_s)
    }

    /// Puts changes of its jail in force, each with its place in the batch.
    pub(super) fn apply(&mut self, changes: &[(usize, &Change)], spares: Spares<'_>, now_s: i64) -> Failures {
        let restored = |change: &Change| change.is_restored && self.action.passes_over_restored;
        let changes: Vec<(usize, &Change)> =
            changes.iter().filter(|(_, change)| !restored(change)).copied().collect();
        let patience = self.patience();
        let mut failures = match &mut self.how {
            How::Sets(sets, looked) => {
                let prefixes = if self.action.takes_networks() { Some(&self.prefixes) } else { None };
                Netted { sets, looked, prefixes, patience, starts_on_demand: self.action.starts_on_demand }
                    .apply(&changes, spares, now_s)
            }
            How::Commands(commands) => {
                let prefixes = self.action.takes_networks().then_some(&self.prefixes);
                Commanded { action: &self.action, prefixes, commands, patience }.apply(&changes, spares)
            }
        };
        failures.iter_mut().for_each(|(_, text)| *text = format!("action {}: {text}", self.action.name));
        failures
    }
}

/// When a ban ends.
fn end_of(time_s: i64, ban_s: i64) -> i64 {
    if ban_s < 0 { i64::MAX } else { time_s.saturating_add(ban_s) }
}

/// Sets of nftables, with what it takes to change them.
struct Netted<'a> {
    sets: &'a mut Sets,
    looked: &'a mut Looked,
    prefixes: Option<&'a Prefixes>,
    patience: Duration,
    starts_on_demand: bool,
}

impl Netted<'_> {
    fn apply(&mut self, changes: &[(usize, &Change)], spares: Spares<'_>, now_s: i64) -> Failures {
        let mut failures = Failures::new();
        // Those that the next transaction is about.
        let mut open = Vec::new();
        for (at, change) in changes {
            match change.verb {
                Verb::Start => {
                    self.sets.clear();
                    if !self.starts_on_demand {
                        self.sets.make();
                    }
                    open.push(*at);
                }
                Verb::Ban | Verb::Prolong => match self.net(change, spares) {
                    Ok(net) => {
                        let until_s = (change.ban_s >= 0).then(|| change.time_s.saturating_add(change.ban_s));
                        self.sets.ban(&change.id, net, until_s);
                        open.push(*at);
                    }
                    Err(text) => failures.push((*at, text)),
                },
                Verb::Unban => {
                    self.sets.unban(&change.id);
                    open.push(*at);
                }
                Verb::Stop => {
                    open.clear();
                    if let Err(text) = self.end() {
                        failures.push((*at, text));
                    }
                }
            }
        }
        if let Err(text) = self.tell(now_s) {
            failures.extend(open.into_iter().map(|at| (at, text.clone())));
        }
        failures
    }

    fn net(&self, change: &Change, spares: Spares<'_>) -> Result<Net, String> {
        let net = match self.prefixes {
            Some(prefixes) => prefixes.widened(&change.id, change.before, spares),
            None => match &change.id {
                Id::Net(address, bits) if change.id == Id::address(*address) => Some((*address, *bits)),
                _ => None,
            },
        };
        net.ok_or_else(|| format!("{} is no address that nftables takes", change.id))
    }

    fn list(&mut self) -> Listing {
        let began = Instant::now();
        // A table that isn't there holds nothing.
        let text = run::program(&self.sets.layout().list(), &[], None, self.patience).unwrap_or_default();
        self.looked.0 = Some((Instant::now(), began.elapsed()));
        Listing::read(self.sets.layout(), &text)
    }

    fn transaction(&self, text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        let words = [&self.sets.layout().program, "-f", "-"].map(str::to_owned);
        run::program(&words, &[], Some(text), self.patience).map(drop)
    }

    fn tell(&mut self, now_s: i64) -> Result<(), String> {
        if !self.sets.has_changes() {
            return Ok(());
        }
        // First the change, then the look, which takes its time where a set is large.
        if !self.sets.is_unknown() && self.transaction(&self.sets.changes(now_s)).is_ok() {
            self.sets.done();
            if !self.looked.is_due() {
                return Ok(());
            }
            let listing = self.list();
            if self.sets.is_whole(&listing) {
                return Ok(());
            }
        }
        self.sets.forget();
        let listing = self.list();
        self.transaction(&self.sets.all(&listing, now_s))?;
        self.sets.done();
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let listing = self.list();
        self.transaction(&self.sets.end(&listing))?;
        self.sets.ended();
        Ok(())
    }
}

/// Commands, with what it takes to run them.
struct Commanded<'a> {
    action: &'a Action,
    prefixes: Option<&'a Prefixes>,
    commands: &'a mut Commands,
    patience: Duration,
}

impl Commanded<'_> {
    fn apply(&mut self, changes: &[(usize, &Change)], spares: Spares<'_>) -> Failures {
        let mut failures = Failures::new();
        let mut rest = changes;
        while let Some(((at, change), tail)) = rest.split_first() {
            let same = rest.iter().take_while(|(_, other)| other.verb == change.verb).count().min(JOINED_MAX);
            let (batch, behind) = match change.verb {
                Verb::Ban | Verb::Prolong | Verb::Unban => rest.split_at_checked(same).unwrap_or((rest, &[])),
                Verb::Start | Verb::Stop => (Default::default(), tail),
            };
            rest = behind;
            match change.verb {
                Verb::Start => failures.extend(self.start().err().map(|text| (*at, text))),
                Verb::Stop => failures.extend(self.stop().err().map(|text| (*at, text))),
                Verb::Ban => self.bans(batch, spares, &mut failures),
                Verb::Prolong => self.prolong(batch, &mut failures),
                Verb::Unban => self.unbans(batch, &mut failures),
            }
        }
        failures
    }

    fn run(&self, deed: Deed, family: Family, facts: Option<&Facts>) -> Result<(), String> {
        match self.action.script(deed, family, facts) {
            Some(script) => run::script(&script, self.patience),
            None => Ok(()),
        }
    }

    /// What is started for somebody of a family.
    fn part(&self, family: Family) -> Family {
        if self.action.has_families() { family } else { Family::Neither }
    }

    fn parts(&self) -> Vec<Family> {
        if self.action.has_families() { vec![Family::V4, Family::V6] } else { vec![Family::Neither] }
    }

    fn start(&mut self) -> Result<(), String> {
        *self.commands = Commands::default();
        self.take_away();
        let mut outcome = Ok(());
        for part in self.parts() {
            self.clean(part);
            if !self.action.starts_on_demand {
                outcome = outcome.and(self.begin(part));
            }
        }
        outcome
    }

    /// Takes away what an earlier run left: where `actioncheck` finds it, and all it takes are commands of words.
    fn clean(&self, part: Family) {
        let is_plain = |deed: Deed| {
            let script = self.action.script(deed, part, None);
            script.is_some_and(|script| plain::steps(&script).is_some_and(|steps| !steps.is_empty()))
        };
        let is_left =
            is_plain(Deed::Check) && is_plain(Deed::Stop) && self.run(Deed::Check, part, None).is_ok();
        if is_left {
            // What can't be removed is used again.
            let _ = self.run(Deed::Stop, part, None);
        }
    }

    /// Takes away ufw's rules of an earlier run.
    fn take_away(&self) {
        let somebody = |failures: u32| Facts {
            id: Id::address(Ipv4Addr::new(192, 0, 2, 1).into()),
            ban_s: -1,
            failures,
            before: 0,
            time_s: 0,
            matches: String::new(),
            fields: Vec::new(),
        };
        let script = |failures: u32| self.action.script(Deed::Ban, Family::V4, Some(&somebody(failures)));
        let (one, other) = (7_171, 82_828);
        let (Some(first), Some(second)) = (script(one), script(other)) else { return };
        let Some(comment) = Comment::of([(&first, one), (&second, other)]) else { return };
        let Ok(listing) = run::program(&comment.listing, &[], None, self.patience) else { return };
        for id in comment.find(&listing) {
            // What can't be removed is there still, as it was before.
            let _ = self.run(Deed::Unban, Family::of(&id), Some(&Facts { id, ..somebody(0) }));
        }
    }

    fn begin(&mut self, part: Family) -> Result<(), String> {
        if !self.commands.started.contains(&part) {
            self.run(Deed::Start, part, None)?;
            self.commands.started.insert(part);
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), String> {
        let mut outcome = Ok(());
        let parts = std::mem::take(&mut self.commands.started);
        for part in &parts {
            if self.action.has(Deed::Flush) {
                outcome = outcome.and(self.run(Deed::Flush, *part, None));
            }
        }
        if !self.action.has(Deed::Flush) {
            let in_force: Vec<Facts> =
                self.commands.in_force.values().map(|(facts, _)| facts.clone()).collect();
            let each: Vec<&Facts> = in_force.iter().collect();
            for (_, text) in self.many(Deed::Unban, &each) {
                outcome = outcome.and(Err(text));
            }
        }
        for part in &parts {
            outcome = outcome.and(self.run(Deed::Stop, *part, None));
        }
        *self.commands = Commands::default();
        outcome
    }

    /// What stands for a ban: a network, where the program takes one.
    fn facts(&self, change: &Change, spares: Spares<'_>) -> Facts {
        let net = self.prefixes.and_then(|prefixes| prefixes.widened(&change.id, change.before, spares));
        Facts {
            id: net.map_or_else(|| change.id.clone(), |(address, bits)| Id::Net(address, bits)),
            ban_s: change.ban_s,
            failures: change.failures,
            before: change.before,
            time_s: change.time_s,
            matches: change.matches.clone(),
            fields: change.fields.clone(),
        }
    }

    fn bans(&mut self, batch: &[(usize, &Change)], spares: Spares<'_>, failures: &mut Failures) {
        // New ones, each with all that it stands for.
        let mut new: Vec<(Facts, Vec<(usize, Id)>)> = Vec::new();
        let mut at_of: HashMap<Id, usize> = HashMap::new();
        for (at, change) in batch {
            let facts = self.facts(change, spares);
            if let Some((_, count)) = self.commands.in_force.get_mut(&facts.id) {
                *count += u32::from(self.commands.ids.insert(change.id.clone(), facts.id).is_none());
                continue;
            }
            let asked = (*at, change.id.clone());
            match at_of.get(&facts.id).and_then(|at| new.get_mut(*at)) {
                Some((_, ids)) => ids.push(asked),
                None => {
                    at_of.insert(facts.id.clone(), new.len());
                    new.push((facts, vec![asked]));
                }
            }
        }
        let each: Vec<&Facts> = new.iter().map(|(facts, _)| facts).collect();
        let failed: HashMap<usize, String> = self.many(Deed::Ban, &each).into_iter().collect();
        for (number, (mut facts, ids)) in new.into_iter().enumerate() {
            if let Some(text) = failed.get(&number) {
                failures.extend(ids.into_iter().map(|(at, _)| (at, text.clone())));
                continue;
            }
            let mut count = 0;
            for (_, id) in ids {
                count += u32::from(self.commands.ids.insert(id, facts.id.clone()).is_none());
            }
            // The lines are for whoever is told of the ban; they aren't kept.
            facts.matches = String::new();
            self.commands.in_force.insert(facts.id.clone(), (facts, count.max(1)));
        }
    }

    /// Bans that last longer than they were meant to, or than the first of their jail: `actionprolong`.
    fn prolong(&mut self, batch: &[(usize, &Change)], failures: &mut Failures) {
        for (at, change) in batch {
            let Some(id) = self.commands.ids.get(&change.id) else { continue };
            let Some((facts, _)) = self.commands.in_force.get_mut(id) else { continue };
            // Where several are held by one rule, it lasts as long as the last of them.
            let (until_s, held_s) = (end_of(change.time_s, change.ban_s), end_of(facts.time_s, facts.ban_s));
            if until_s < held_s {
                continue;
            }
            (facts.time_s, facts.ban_s, facts.before) = (change.time_s, change.ban_s, change.before);
            (facts.failures, facts.fields) = (change.failures, change.fields.clone());
            let facts = Facts { matches: change.matches.clone(), ..facts.clone() };
            let outcome = self.run(Deed::Prolong, Family::of(&facts.id), Some(&facts));
            failures.extend(outcome.err().map(|text| (*at, text)));
        }
    }

    fn unbans(&mut self, batch: &[(usize, &Change)], failures: &mut Failures) {
        let mut ended = Vec::new();
        for (at, change) in batch {
            let Some(id) = self.commands.ids.remove(&change.id) else { continue };
            let Some((_, count)) = self.commands.in_force.get_mut(&id) else { continue };
            *count = count.saturating_sub(1);
            if *count == 0
                && let Some((facts, _)) = self.commands.in_force.remove(&id)
            {
                ended.push((*at, facts));
            }
        }
        let each: Vec<&Facts> = ended.iter().map(|(_, facts)| facts).collect();
        let failed = self.many(Deed::Unban, &each);
        let at = |number: usize| ended.get(number).map_or(0, |(at, _)| *at);
        failures.extend(failed.into_iter().map(|(number, text)| (at(number), text)));
    }

    /// Bans or unbans many: joined where that works, else one by one.
    fn many(&mut self, deed: Deed, each: &[&Facts]) -> Failures {
        let mut failures = Failures::new();
        for family in [Family::V4, Family::V6, Family::Neither] {
            let own: Vec<(usize, &Facts)> = each
                .iter()
                .enumerate()
                .filter(|(_, facts)| Family::of(&facts.id) == family)
                .map(|(n, f)| (n, *f))
                .collect();
            if own.is_empty() {
                continue;
            }
            if deed == Deed::Ban
                && let Err(text) = self.begin(self.part(family))
            {
                failures.extend(own.iter().map(|(number, _)| (*number, text.clone())));
                continue;
            }
            if self.joined(deed, family, &own) {
                continue;
            }
            for (number, facts) in own {
                let outcome = self.run(deed, family, Some(facts)).or_else(|text| match deed {
                    Deed::Ban => self.mended(family, text).and_then(|()| self.run(deed, family, Some(facts))),
                    _ => Err(text),
                });
                failures.extend(outcome.err().map(|text| (number, text)));
            }
        }
        failures
    }

    /// Whether one program took them all.
    fn joined(&self, deed: Deed, family: Family, own: &[(usize, &Facts)]) -> bool {
        let command = |facts: &Facts| {
            let steps = plain::steps(&self.action.script(deed, family, Some(facts))?)?;
            match <[plain::Step; 1]>::try_from(steps).ok()? {
                [plain::Step::Run(command)] if !command.may_fail => Some(command.words),
                _ => None,
            }
        };
        if own.len() < 2 {
            return false;
        }
        let commands: Option<Vec<Vec<String>>> = own.iter().map(|(_, facts)| command(facts)).collect();
        let joined = commands.and_then(|commands| restore::joined(&commands));
        joined.is_some_and(|(words, input)| run::program(&words, &[], Some(&input), self.patience).is_ok())
    }

    /// A ban failed: where `actioncheck` says that something is missing, all is made again.
    ///
    /// # Errors
    /// The failure, where nothing is missing, or it can't be made again.
    fn mended(&self, family: Family, text: String) -> Result<(), String> {
        let part = self.part(family);
        if !self.action.has(Deed::Check) || self.run(Deed::Check, part, None).is_ok() {
            return Err(text);
        }
        if self.action.has(Deed::Repair) {
            self.run(Deed::Repair, part, None)?;
        } else {
            // What is missing can't be stopped well.
            let _ = self.run(Deed::Stop, part, None);
            self.run(Deed::Start, part, None)?;
        }
        let in_force: Vec<Facts> = self.commands.in_force.values().map(|(facts, _)| facts.clone()).collect();
        let own: Vec<(usize, &Facts)> = in_force
            .iter()
            .enumerate()
            .filter(|(_, facts)| self.part(Family::of(&facts.id)) == part)
            .collect();
        for family in [Family::V4, Family::V6, Family::Neither] {
            let own: Vec<(usize, &Facts)> =
                own.iter().filter(|(_, facts)| Family::of(&facts.id) == family).copied().collect();
            if !self.joined(Deed::Ban, family, &own) {
                own.iter().try_for_each(|(_, facts)| self.run(Deed::Ban, family, Some(facts)))?;
            }
        }
        Ok(())
    }
}
