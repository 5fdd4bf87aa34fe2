//! Recipients that stand for several: a list's members are served one by one, each is noted in the spool while the next
//! one's turn comes, and the list is done when all of them are.
//!
//! As the driver does it: who is done is known in memory as long as the process lives, and read from the spool by the
//! next one. Promised and checked: a member whose note is durable isn't served again. T2.14.

use super::{Asked, World};
use mail::Dsn;
use queue::{Attempt, Entry, Event, Note, Outcome, Reason, Recipient};
use std::collections::{BTreeMap, BTreeSet};
use store::Step;
use store::simdisk::Dice;

const DOMAIN: &str = "lists.test";

/// A list's address: it says how many members there are.
pub(super) fn list(dice: &mut Dice) -> String {
    format!("list{}@{DOMAIN}", 2 + dice.below(3))
}

pub(super) fn members(recipient: &Recipient) -> usize {
    let name = recipient.address.as_str().strip_suffix(&format!("@{DOMAIN}"));
    name.and_then(|name| name.strip_prefix("list")?.parse().ok()).unwrap_or(0)
}

pub(super) fn transport(recipient: &Recipient) -> &'static str {
    if members(recipient) > 0 { "local" } else { "smtp" }
}

pub(super) fn is_list(attempt: &Attempt) -> bool {
    attempt.route.transport == "local"
}

/// What is known of lists.
#[derive(Default)]
pub(super) struct Lists {
    /// Members that are done, by message: in memory.
    done: BTreeMap<u64, BTreeSet<(u32, u64)>>,
    /// Members whose turn in an attempt is over.
    turns: BTreeMap<u64, BTreeSet<u64>>,
    /// Members that are durably noted.
    noted: BTreeSet<(u64, (u32, u64))>,
}

impl Lists {
    pub(super) fn noted(&mut self, number: u64, part: (u32, u64)) {
        self.noted.insert((number, part));
    }

    pub(super) fn kept(&self) -> usize {
        self.noted.len()
    }

    /// The process is gone.
    pub(super) fn forget(&mut self) {
        self.done.clear();
        self.turns.clear();
    }

    pub(super) fn learn(&mut self, number: u64, entry: &Entry) {
        let open = |index: &u32| entry.recipients[usize::try_from(*index).expect("small")].status.is_open();
        let parts = entry.parts.iter().filter(|(index, _)| open(index));
        self.done.entry(number).or_default().extend(parts);
    }

    pub(super) fn of(&self, number: u64) -> Vec<(u32, u64)> {
        self.done.get(&number).into_iter().flatten().copied().collect()
    }
}

impl World {
    /// One member's turn, or the end of the attempt.
    pub(super) fn serve_a_member(&mut self, attempt: Attempt, entry: Entry) {
        let index = *attempt.recipients.first().expect("one");
        let count = members(&entry.recipients[usize::try_from(index).expect("small")]) as u64;
        let done = self.lists.done.entry(attempt.number).or_default();
        let turns = self.lists.turns.entry(attempt.id).or_default();
        let Some(next) =
            (0..count).find(|member| !done.contains(&(index, *member)) && !turns.contains(member))
        else {
            let is_done = (0..count).all(|member| done.contains(&(index, member)));
            done.retain(|(other, _)| !is_done || *other != index);
            self.lists.turns.remove(&attempt.id);
            let outcome = if is_done {
                Outcome::Delivered
            } else {
                Outcome::Deferred(Reason::new(Dsn::new(4, 2, 0), "busy"))
            };
            let outcomes = vec![(index, outcome)];
            let event = Event::Finished { attempt: attempt.id, outcomes, unreachable: None };
            return self.scheduler.handle(self.now, event);
        };
        turns.insert(next);
        if !self.dice.one_in(3) {
            self.member_arrives(&attempt, next);
            let part = (index, next);
            self.lists.done.entry(attempt.number).or_default().insert(part);
            let note = Note::Parts(vec![part]).encode();
            self.steps.push((Step::Note(attempt.number, note), Asked::Part(attempt.number, part)));
        }
        self.running.push((attempt, entry));
    }

    /// The process dies; the member whose turn it was may have it.
    pub(super) fn die_among_members(&mut self, attempt: &Attempt, entry: &Entry) {
        let index = *attempt.recipients.first().expect("one");
        let count = members(&entry.recipients[usize::try_from(index).expect("small")]) as u64;
        let done = self.lists.of(attempt.number);
        let next = (0..count).find(|member| !done.contains(&(index, *member)));
        if let Some(next) = next
            && self.dice.one_in(2)
        {
            self.member_arrives(attempt, next);
        }
    }

    fn member_arrives(&mut self, attempt: &Attempt, member: u64) {
        let index = *attempt.recipients.first().expect("one");
        assert!(
            !self.lists.noted.contains(&(attempt.number, (index, member)))
                && !self.served.contains(&(attempt.number, index)),
            "it is noted that the member was served"
        );
        let who = self.about(attempt.number).into_iter().nth(usize::try_from(index).expect("small"));
        // Nobody was promised what has no fate.
        if let Some(fate) = who.and_then(|who| self.fates.get_mut(&who)) {
            fate.members[usize::try_from(member).expect("small")] += 1;
        }
    }
}
