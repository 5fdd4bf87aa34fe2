//! What attempts come to, while others of the same message are under way.
//!
//! What is done for a recipient is noted as soon as it is known, also in the middle of an attempt: neither a retry nor a
//! crash depends on how long the others take.

use super::{Active, Outcome, Scheduler, no_outcome};
use crate::entry::{Note, Reason, Status};
use mail::Wall;
use std::collections::BTreeMap;

impl Scheduler {
    pub(super) fn settled(&mut self, attempt: u64, outcomes: Vec<(u32, Outcome)>) {
        let Some((attempt, _)) = self.running.get_mut(&attempt) else { return };
        let Some(active) = self.active.get_mut(&attempt.number) else { return };
        let (mut own, number) = (outcomes, attempt.number);
        own.retain(|(index, _)| attempt.recipients.contains(index));
        attempt.recipients.retain(|index| own.iter().all(|(settled, _)| settled != index));
        settle(active, own);
        self.save(number);
    }

    /// Has noted what is done for good, while others of the message are still under way.
    fn save(&mut self, number: u64) {
        let Some(active) = self.active.get_mut(&number) else { return };
        if active.unsaved.iter().any(|(_, status)| !status.is_open()) {
            let notes = vec![Note::Statuses(std::mem::take(&mut active.unsaved))];
            self.persist(number, notes);
        }
    }

    pub(super) fn finished(
        &mut self,
        now: Wall,
        attempt: u64,
        outcomes: Vec<(u32, Outcome)>,
        unreachable: Option<Reason>,
    ) {
        let Some((attempt, lane)) = self.running.remove(&attempt) else { return };
        self.lanes.done(now, lane, unreachable, &self.settings);
        let Some(active) = self.active.get_mut(&attempt.number) else { return };
        let mut by_recipient: BTreeMap<u32, Outcome> = outcomes.into_iter().collect();
        let complete = attempt.recipients.iter().map(|index| {
            let missing = || Outcome::Deferred(no_outcome("the delivery agent gave no status"));
            (*index, by_recipient.remove(index).unwrap_or_else(missing))
        });
        settle(active, complete.collect::<Vec<_>>());
        active.outstanding = active.outstanding.saturating_sub(1);
        if active.outstanding == 0 {
            self.finish(now, attempt.number);
        } else {
            // Others are still under way: what is done must not depend on them.
            self.save(attempt.number);
        }
    }
}

/// Writes outcomes into the entry, and down for the next note.
pub(super) fn settle(active: &mut Active, outcomes: impl IntoIterator<Item = (u32, Outcome)>) {
    for (index, outcome) in outcomes {
        let status = match outcome {
            Outcome::Delivered => Status::Delivered,
            Outcome::Confirmed(how, reason) => Status::Confirmed(how, reason),
            Outcome::Deferred(reason) => Status::Deferred(reason),
            Outcome::Failed(reason) => Status::Failed(reason),
        };
        set_status(active, index, status);
    }
}

pub(super) fn set_status(active: &mut Active, index: u32, status: Status) {
    let at = usize::try_from(index).unwrap_or(usize::MAX);
    if let Some(recipient) = active.entry.recipients.get_mut(at) {
        recipient.status = status.clone();
        active.unsaved.push((index, status));
    }
}
