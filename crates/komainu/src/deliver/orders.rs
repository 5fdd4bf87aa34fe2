//! What people want done with queued mail: made durable first, then told to the scheduler, then answered.
//!
//! An order and a delivery may meet: what is being delivered at this moment is delivered to the end, and its outcome
//! is written down, unless the message is gone by then. Who may give orders is the control socket's business.

use super::agent::Agents;
use super::manager::{Manager, Message, QueueHandle};
use crate::queued::shelf::{harm, to_be_told};
use events::Event as Logged;
use mail::{QueueId, Wall};
use queue::{Card, Entry, Event, Note, Order};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use store::{Spool, SpoolError};
use tokio::sync::oneshot;

/// An order for one message.
pub(super) struct Given {
    number: u64,
    id: QueueId,
    order: Order,
    done: Box<dyn FnOnce(Result<(), SpoolError>) + Send>,
}

/// Domains whose mail is wanted now. One look through the spool is under way at a time, for all that were asked for
/// before it began.
#[derive(Default)]
pub(super) struct Sites {
    wanted: BTreeSet<String>,
    looking: bool,
}

/// Domains that wait for the next look; what is beyond waits for its time.
const SITES_MAX: usize = 1_000;

impl QueueHandle {
    /// Has something done with a message; `done` is told when it is durable, on a thread that must not wait.
    pub fn order(
        &self,
        (number, id): (u64, QueueId),
        order: Order,
        done: impl FnOnce(Result<(), SpoolError>) + Send + 'static,
    ) {
        let given = Given { number, id, order, done: Box::new(done) };
        // Without a manager, `done` is dropped: whoever waits for it sees that.
        let _ = self.messages.send(Message::Given(given));
    }

    /// The message is in the spool no more.
    pub fn gone(&self, number: u64) {
        self.tell(Event::ByHand { number, order: Order::Delete });
    }

    /// Copies what is damaged of a message to the spool's `corrupt/`. Where its envelope is sound, its sender is told of
    /// it; else it is removed. `done` gets lines that say so once that is durable, on a thread that must not wait. Gives
    /// whether anything is wrong with it. Blocks.
    pub fn set_apart(
        &self,
        spool: &Spool,
        number: u64,
        done: impl FnOnce(Result<Vec<String>, SpoolError>) + Send + 'static,
    ) -> bool {
        let harm = harm(spool, number);
        // Whoever read it has said so.
        let _ = spool.take_doubt(number);
        let Some(harm) = harm else { return false };
        let Some(listed) = harm.listed else {
            let queue = self.clone();
            spool.set_aside(number, move |moved| {
                if moved.is_ok() {
                    queue.gone(number);
                }
                done(moved.map(|line| vec![harm.why, line]));
            });
            return true;
        };
        match spool.copy_aside(number) {
            Ok(line) => {
                let lines = vec![harm.why, line, to_be_told(&listed.entry)];
                let id = (number, listed.entry.id.clone());
                self.order(id, Order::Spoilt, move |noted| done(noted.map(|()| lines)));
            }
            Err(error) => done(Err(error)),
        }
        true
    }

    /// All that is deferred is due now.
    pub fn flush_all(&self) {
        self.tell(Event::Flush);
    }

    /// All that waits for this domain is due now.
    pub fn flush_site(&self, domain: &str) {
        let _ = self.messages.send(Message::Site(domain.to_ascii_lowercase()));
    }

    /// The messages that are being delivered.
    #[must_use]
    pub fn active(&self) -> oneshot::Receiver<HashSet<u64>> {
        let (sender, asked) = oneshot::channel();
        let _ = self.messages.send(Message::Active(sender));
        asked
    }
}

impl Manager {
    /// Notes of this message are on their way into the spool.
    pub(super) fn writes(&mut self, number: u64) {
        *self.writing.entry(number).or_default() += 1;
        self.foldable.remove(&number);
    }

    /// Some of them have got there, or failed.
    pub(super) fn written(&mut self, number: u64) {
        if let Some(count) = self.writing.get_mut(&number) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.writing.remove(&number);
            }
        }
    }

    pub(super) fn obey(&mut self, given: Given) {
        let note = note_for(given.order);
        let number = given.number;
        self.under_way = self.under_way.saturating_add(1);
        self.writes(number);
        // The envelope in memory is from before.
        self.fresh.remove(&number);
        let (handle, order) = (self.handle.clone(), given.order);
        let answer = move |outcome| {
            let _ = handle.messages.send(Message::Obeyed(given, outcome));
        };
        match note {
            Some(note) => self.agents.spool.note(number, note.encode(), answer),
            None if order == Order::Delete => self.agents.spool.remove(number, answer),
            None => answer(Ok(())),
        }
    }

    pub(super) fn obeyed(&mut self, now: Wall, given: Given, outcome: Result<(), SpoolError>) {
        let Given { number, id, order, done } = given;
        self.under_way = self.under_way.saturating_sub(1);
        self.written(number);
        if outcome.is_ok() {
            if let (Some(note), Some((entry, _))) = (note_for(order), self.active.get_mut(&number)) {
                Arc::make_mut(entry).apply(note);
            }
            self.scheduler.handle(now, Event::ByHand { number, order });
            if !self.scheduler.is_active(number) {
                self.active.remove(&number);
            }
            if let Some(said) = said(order) {
                self.log.write(&self.program("postsuper"), Logged::Other(format!("{id}: {said}").into()));
            }
        }
        done(outcome);
    }

    pub(super) fn look_for(&mut self, domain: String) {
        if self.sites.wanted.len() < SITES_MAX {
            self.sites.wanted.insert(domain);
        }
        if self.sites.looking || self.sites.wanted.is_empty() {
            return;
        }
        self.sites.looking = true;
        let wanted = std::mem::take(&mut self.sites.wanted);
        let (agents, handle) = (Arc::clone(&self.agents), self.handle.clone());
        tokio::task::spawn_blocking(move || {
            let _ = handle.messages.send(Message::SitesFound(waiting_for(&agents, &wanted)));
        });
    }

    pub(super) fn found(&mut self, now: Wall, numbers: Vec<u64>) {
        self.sites.looking = false;
        for number in numbers {
            self.scheduler.handle(now, Event::ByHand { number, order: Order::Flush });
        }
        if let Some(domain) = self.sites.wanted.pop_first() {
            self.look_for(domain);
        }
    }
}

/// What the spool is told.
fn note_for(order: Order) -> Option<Note> {
    Some(match order {
        Order::Hold => Note::Hold(true),
        Order::Release => Note::Hold(false),
        Order::Requeue => Note::Requeue,
        Order::Expire => Note::Expire,
        Order::Spoilt => Note::Spoilt,
        Order::Flush | Order::Delete => return None,
    })
}

/// As postsuper(1) logs it.
fn said(order: Order) -> Option<&'static str> {
    Some(match order {
        Order::Hold => "placed on hold",
        Order::Release => "released from hold",
        Order::Requeue => "requeued",
        Order::Expire => "expired",
        Order::Delete => "removed",
        Order::Flush | Order::Spoilt => return None,
    })
}

/// The messages with a recipient in one of these domains that is still to be tried.
fn waiting_for(agents: &Agents, domains: &BTreeSet<String>) -> Vec<u64> {
    let wanted = |entry: &Entry| {
        entry.recipients.iter().filter(|recipient| recipient.status.is_open()).any(|recipient| {
            let domain = recipient.address.domain().map(str::to_ascii_lowercase);
            domain.is_some_and(|domain| domains.contains(&domain))
        })
    };
    // Envelopes are read of those only whose domains may be the ones.
    let may_be = |(_, brief): &(u64, store::Brief)| {
        Card::decode(*brief).is_none_or(|card| domains.iter().any(|domain| card.may_have(domain)))
    };
    let likely = agents.spool.briefs().into_iter().filter(may_be).map(|(number, _)| number);
    likely.filter(|number| agents.entry(*number).is_some_and(|(entry, _)| wanted(&entry))).collect()
}
