//! Between the last attempt of a round and what follows it: reports are sent first.
//!
//! A recipient's failure is forgotten only after its report is durable, as a message of its own. So the outcomes are
//! noted, the reports are asked for, and when they are in the spool the message is removed, or its recipients are
//! noted as told. A crash in between tells twice, never not at all.

use super::{Action, Active, Scheduler};
use crate::entry::{Note, Status};
use crate::notice::Telling;
use mail::{QueueId, Wall};

/// What follows when a message's reports are in the spool.
#[derive(Debug)]
pub(super) struct Told {
    id: QueueId,
    /// Whether some recipient is still to be tried.
    open: bool,
    pub(super) next: Next,
    told: Vec<(u32, Status)>,
    /// What else has then been told of.
    since: Vec<Note>,
}

/// When a message is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is on hold.
    Held,
    /// As soon as may be: somebody asked for it.
    Now,
    At(Wall),
}

impl Scheduler {
    /// All attempts of this round are over and written down: tell, then remove or defer.
    pub(super) fn conclude(&mut self, now: Wall, number: u64, mut active: Active) {
        let telling = Telling::of(&active.entry, now, &self.settings.notices);
        if telling.untraced {
            self.actions.push_back(Action::Untraced { id: active.entry.id.clone() });
        }
        if telling.discarded {
            self.actions.push_back(Action::Discarded { id: active.entry.id.clone() });
        }
        if telling.notices.is_empty() {
            // Nobody is to be told: what is over is forgotten at once.
            let since = telling.since();
            for (index, status) in telling.told {
                super::outcomes::set_status(&mut active, index, status);
            }
            since.iter().for_each(|note| active.entry.apply(note.clone()));
            self.retire(number, active, since);
            return;
        }
        let since = telling.since();
        self.persist(number, outcome_notes(&mut active));
        let (next, entry) = (next(&active), active.entry);
        self.telling.insert(
            number,
            Told { id: entry.id.clone(), open: entry.is_open(), next, told: telling.told, since },
        );
        self.actions.push_back(Action::Tell { number, entry: Box::new(entry), notices: telling.notices });
    }

    /// Nobody has to be told any more: remove or defer.
    fn retire(&mut self, number: u64, mut active: Active, since: Vec<Note>) {
        if !active.entry.is_open() {
            self.remove(number, active.entry.id);
            return;
        }
        let mut notes = outcome_notes(&mut active);
        notes.extend(since);
        let next = next(&active);
        self.persist(number, notes);
        self.put_back(number, next);
    }

    fn put_back(&mut self, number: u64, next: Next) {
        match next {
            Next::Held => {
                self.held.insert(number);
            }
            Next::Now => self.due.push_back(number),
            Next::At(until) => self.wait(number, until),
        }
    }

    /// The reports are durable.
    pub(super) fn told(&mut self, number: u64) {
        let Some(Told { id, open, next, told, since }) = self.telling.remove(&number) else {
            return;
        };
        if !open {
            self.remove(number, id);
            return;
        }
        let mut notes = Vec::new();
        if !told.is_empty() {
            notes.push(Note::Statuses(told));
        }
        notes.extend(since);
        self.persist(number, notes);
        self.put_back(number, next);
    }

    /// The reports could not be sent: the message waits, with what is to be told.
    pub(super) fn not_told(&mut self, number: u64) {
        if let Some(Told { next, .. }) = self.telling.remove(&number) {
            self.put_back(number, next);
        }
    }

    fn remove(&mut self, number: u64, id: QueueId) {
        // What the spool refused before doesn't matter any more.
        self.unsaved.remove(&number);
        self.actions.push_back(Action::Remove { number, id });
    }
}

fn next(active: &Active) -> Next {
    match active {
        Active { entry, .. } if entry.hold => Next::Held,
        Active { again: true, .. } => Next::Now,
        Active { entry, .. } => Next::At(entry.next_attempt),
    }
}

fn outcome_notes(active: &mut Active) -> Vec<Note> {
    let mut notes = Vec::new();
    if !active.unsaved.is_empty() {
        notes.push(Note::Statuses(std::mem::take(&mut active.unsaved)));
    }
    let (tries, next_attempt) = (active.entry.tries, active.entry.next_attempt);
    notes.push(Note::Deferred { tries, next_attempt });
    notes
}
