//! What people do with one message: postsuper(1)'s and postqueue(1)'s orders.
//!
//! The spool knows already what must outlive a crash (the driver has written the note, or removed the message)
//! when an order comes here. What is being delivered at this moment is delivered to the end; nothing more is begun.

use super::telling::Next;
use super::{Active, Scheduler};
use mail::Wall;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `postsuper -h`: no further attempt.
    Hold,
    /// `postsuper -H`: no longer on hold, and due now.
    Release,
    /// `postqueue -i`: due now, unless it is on hold.
    Flush,
    /// `postsuper -r`: as if it were new.
    Requeue,
    /// `postsuper -e`: given back to its sender now, unless it is on hold.
    Expire,
    /// `postsuper -d`: it is gone.
    Delete,
    /// Its content is damaged: its sender is told now, unless it is on hold.
    Spoilt,
}

impl Scheduler {
    pub(super) fn by_hand(&mut self, now: Wall, number: u64, order: Order) {
        match order {
            Order::Hold => self.hold(now, number),
            Order::Release | Order::Requeue => self.again(number),
            Order::Flush => {
                self.lanes.wake_all(&self.settings);
                if let Some(at) = self.wake.remove(&number) {
                    self.waiting.remove(&(at, number));
                    if !self.settings.deferred_transports.is_empty() {
                        self.wanted.insert(number);
                    }
                    self.due.push_back(number);
                }
            }
            Order::Expire => self.end_now(now, number, |active| active.entry.expire = true),
            Order::Spoilt => self.end_now(now, number, |active| active.spoilt = true),
            Order::Delete => self.forget(number),
        }
    }

    /// Takes it out of all that wait; whether it is known and not active.
    fn withdraw(&mut self, number: u64) -> bool {
        let waiting = self.wake.remove(&number).is_some_and(|at| self.waiting.remove(&(at, number)));
        let in_line = self.incoming.remove(number)
            | self.due.remove(number)
            | self.returned.remove(number)
            | self.bulk_waiting.remove(number)
            | self.lanes.take_parked(number);
        // What is being read now may be from before the order.
        let loading = self.loading.remove(&number);
        if loading {
            self.stale.insert(number, false);
        }
        waiting || in_line || loading || self.stale.contains_key(&number)
    }

    /// Due now; but not read a second time before the first answer has come.
    fn line_up(&mut self, number: u64) {
        match self.stale.get_mut(&number) {
            Some(due) => *due = true,
            None => self.due.push_back(number),
        }
    }

    /// Whether the answer of a load is wanted.
    pub(super) fn asked_for(&mut self, number: u64) -> bool {
        match self.stale.remove(&number) {
            Some(due) => {
                if due {
                    self.due.push_back(number);
                }
                false
            }
            None => self.loading.remove(&number),
        }
    }

    fn hold(&mut self, now: Wall, number: u64) {
        if self.withdraw(number) {
            self.held.insert(number);
            self.stale.entry(number).and_modify(|due| *due = false);
        }
        if let Some(active) = self.active.get_mut(&number) {
            active.entry.hold = true;
            self.stop(now, number);
        }
        if let Some(told) = self.telling.get_mut(&number) {
            told.next = Next::Held;
        }
    }

    fn again(&mut self, number: u64) {
        if let Some(active) = self.active.get_mut(&number) {
            (active.entry.hold, active.entry.expire) = (false, false);
            active.again = true;
        } else if let Some(told) = self.telling.get_mut(&number) {
            told.next = Next::Now;
        } else if self.withdraw(number) | self.held.remove(&number) {
            self.line_up(number);
        }
    }

    /// This round is its last.
    fn end_now(&mut self, now: Wall, number: u64, mark: fn(&mut Active)) {
        if !self.held.contains(&number) && self.withdraw(number) {
            self.line_up(number);
        }
        if let Some(active) = self.active.get_mut(&number) {
            mark(active);
            self.stop(now, number);
        }
        if let Some(told) = self.telling.get_mut(&number).filter(|told| told.next != Next::Held) {
            told.next = Next::Now;
        }
    }

    fn forget(&mut self, number: u64) {
        self.withdraw(number);
        self.stale.entry(number).and_modify(|due| *due = false);
        self.held.remove(&number);
        self.unsaved.remove(&number);
        self.unremoved.remove(&number);
        self.telling.remove(&number);
        if self.deactivate(number).is_some() {
            self.lanes.forget(number, &self.settings);
        }
    }

    /// Begins no more attempts of an active message; where none is under way, its round is over.
    fn stop(&mut self, now: Wall, number: u64) {
        let dropped = self.lanes.forget(number, &self.settings);
        let Some(active) = self.active.get_mut(&number) else { return };
        active.outstanding = active.outstanding.saturating_sub(dropped);
        if active.outstanding > 0 {
            return;
        }
        if active.entry.hold && active.unsaved.is_empty() {
            // Nothing was tried: no try to be counted.
            self.deactivate(number);
            self.held.insert(number);
        } else {
            self.finish(now, number);
        }
    }
}
