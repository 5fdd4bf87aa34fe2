//! Strangers' log-ins wait for their turn: a session sleeps until it is called, tires, or is sent away.
//!
//! Who comes when is decided by `policy::guessing`; here is who is woken, and one task that looks again when the pace
//! lets the next go. It lives while somebody waits. Waiting costs no thread. T0.1.

use super::now;
use policy::guessing::{Arrival, Attempt, Going, Guessing, Noticed, Outcome, Turn};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Turns(Arc<Desk>);

struct Desk {
    guessing: Mutex<Guessing>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    calls: HashMap<Turn, oneshot::Sender<Permit>>,
    /// A task looks for the next.
    looked_for: bool,
}

/// What becomes of a log-in.
pub enum Admission {
    /// It may be tried.
    Goes(Permit),
    /// It may be tried when it is called.
    Waits(Place),
    /// It isn't tried.
    No,
}

impl Turns {
    pub(super) fn new(guessing: Guessing) -> Turns {
        Turns(Arc::new(Desk { guessing: Mutex::new(guessing), waiting: Mutex::default() }))
    }

    pub(super) fn guessing(&self) -> MutexGuard<'_, Guessing> {
        self.0.guessing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, client: IpAddr) -> Option<UnderWay> {
        let begun = self.guessing().begin(client, now());
        begun.then(|| UnderWay { turns: self.clone(), client })
    }

    pub(super) fn arrive(&self, attempt: &Attempt, delay_max: Duration) -> Admission {
        let arrival = self.guessing().arrive(attempt, delay_max, now());
        let (turn, at_most, gone) = match arrival {
            Arrival::No => return Admission::No,
            Arrival::Goes(going) => return Admission::Goes(self.permit(going)),
            Arrival::Waits { turn, at_most, gone } => (turn, at_most, gone),
        };
        let (sender, called) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            waiting.calls.insert(turn, sender);
            if let Some(gone) = gone {
                waiting.calls.remove(&gone);
            }
        }
        self.call();
        Admission::Waits(Place { turns: self.clone(), turn, called, at_most })
    }

    /// An attempt that nobody saw coming.
    pub(super) fn went(&self, attempt: &Attempt) -> Permit {
        let going = self.guessing().went(attempt, now());
        self.permit(going)
    }

    fn permit(&self, going: Going) -> Permit {
        Permit { turns: self.clone(), going: Some(going), judged: false }
    }

    /// Calls everybody who may go now.
    fn call(&self) {
        loop {
            let next = self.guessing().next(now());
            let Some((turn, going)) = next else { break };
            let call = self.waiting().calls.remove(&turn);
            let permit = self.permit(going);
            if let Some(call) = call {
                // Who has gone meanwhile gives it back by dropping it.
                let _ = call.send(permit);
            }
        }
        let mut waiting = self.waiting();
        if !waiting.looked_for && !waiting.calls.is_empty() {
            waiting.looked_for = true;
            tokio::spawn(self.clone().look());
        }
    }

    async fn look(self) {
        loop {
            let due = self.guessing().due(now());
            if due.is_none() && self.stops_looking() {
                return;
            }
            // Without a time somebody has come or gone just now.
            let pause = due.map_or(Duration::from_millis(50), |due| due.since(now()));
            tokio::time::sleep(pause).await;
            self.call();
        }
    }

    fn stops_looking(&self) -> bool {
        let mut waiting = self.waiting();
        waiting.looked_for = !waiting.calls.is_empty();
        !waiting.looked_for
    }
}

/// A place in the line; dropping it leaves the line.
pub struct Place {
    turns: Turns,
    turn: Turn,
    called: oneshot::Receiver<Permit>,
    at_most: Duration,
}

impl Place {
    /// Waits until it is called; `None` where that takes too long, or others come first who leave no room.
    pub async fn called(mut self) -> Option<Permit> {
        tokio::time::timeout(self.at_most, &mut self.called).await.ok()?.ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.turns.guessing().leave(self.turn);
        self.turns.waiting().calls.remove(&self.turn);
    }
}

/// Leave to try. What isn't settled counts as failed, once the session had it.
pub struct Permit {
    turns: Turns,
    going: Option<Going>,
    judged: bool,
}

impl Permit {
    /// The session has it, and goes to the judge.
    #[must_use]
    pub fn taken(mut self) -> Permit {
        self.judged = true;
        self
    }

    /// How it ended. `attempt` is what is known by now.
    pub fn settle(mut self, attempt: &Attempt, outcome: Outcome) -> Option<Noticed> {
        let going = self.going.take()?.of(attempt);
        let noticed = self.turns.guessing().settle(going, outcome, now());
        if outcome != Outcome::Failed {
            self.turns.call();
        }
        noticed
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(going) = self.going.take().filter(|_| !self.judged) {
            self.turns.guessing().settle(going, Outcome::Unanswered, now());
        }
    }
}

/// A log-in that is counted as under way. Dropping it counts it out, however it ended.
pub struct UnderWay {
    turns: Turns,
    client: IpAddr,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.turns.guessing().end(self.client, now());
    }
}
