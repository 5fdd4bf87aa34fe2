//! Networks that are shut out: refused at the door, and sent away in the middle of a session. T2.19.
//!
//! At the door not a byte is said, on whatever port, before the tests that come before a session. Whoever is inside when
//! the ban falls hears 421 at its next step. Who fails gets his answer when the jails have heard of it, so that nothing he
//! has sent ahead is answered behind the failure that was one too many; of log-ins tried in many sessions at once no more
//! are answered than in one. The log names a network once for a ban, however often it comes.

use super::arrival::Ends;
use super::{Session, Shared};
use crate::bans::Shut;
use crate::clock;
use events::own::{Matter, Own};
use proto::smtp::AuthOutcome;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Who speaks of bans.
const PROGRAM: &str = "komainu/ban";
/// How long jails may take to hear of a failure. Then the session goes on: they may be reading what a night has left.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether a new connection is refused.
pub fn at_the_door(shared: &Shared, ends: Ends) -> bool {
    let Some(shut) = shared.shut_out.look(ends.from.ip(), clock::now().wall) else { return false };
    if shut.is_first {
        let text = format!("connections are refused at the door: jail {}, {}", shut.jail, until(&shut));
        shared.log.write(PROGRAM, Own::new(Matter::ShutOut, shut.network(), text));
    }
    true
}

/// `until 2026-11-23T01:02:03Z`.
fn until(shut: &Shut) -> String {
    let stamp = shut.until_s.and_then(|until_s| jiff::Timestamp::from_second(until_s).ok());
    stamp.map_or_else(|| "for good".to_owned(), |stamp| format!("until {stamp}"))
}

/// What one session knows of the bans in force: the generation that it has looked at.
#[derive(Debug, Default)]
pub(super) struct Watch(u64);

/// It is shut out, and has been told.
const OUT: u64 = u64::MAX;

impl Watch {
    /// Whether `client` has been shut out. A look costs one load while no ban changes.
    pub(super) fn is_shut_out(&mut self, shared: &Shared, client: IpAddr) -> bool {
        let generation = shared.shut_out.generation();
        if self.0 == OUT || generation == self.0 {
            return self.0 == OUT;
        }
        self.0 = generation;
        let Some(shut) = shared.shut_out.holds(client, clock::now().wall) else { return false };
        self.0 = OUT;
        let text = format!("session of {client} ends: jail {}, {}", shut.jail, until(&shut));
        shared.log.write(PROGRAM, Own::new(Matter::ShutOut, shut.network(), text));
        true
    }

    /// The client is another from now on.
    pub(super) fn is_of_another(&mut self) {
        if self.0 != OUT {
            self.0 = 0;
        }
    }
}

/// What a session has said that a jail may count.
#[derive(Debug, Default)]
pub(super) struct Owed(AtomicBool);

impl Owed {
    /// Whether jails have yet to hear of it.
    pub(super) fn is_due(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Session {
    /// Whether the client's network has been shut out.
    pub(super) fn is_shut_out(&mut self) -> bool {
        self.shut_out.is_shut_out(&self.shared, self.tx.client.address)
    }

    /// The log has been told something that a jail may count: they hear it before the client gets another answer.
    pub(super) fn owe(&self) {
        if self.shared.log.is_listened_to() {
            self.owes.0.store(true, Ordering::Relaxed);
        }
    }

    /// A log-in is about to be said to have failed: what the jails know of the client before that.
    pub(super) fn owe_log_in(&mut self) {
        let log = &self.shared.log;
        if !log.is_listened_to() {
            return;
        }
        let before = Arc::new(AtomicBool::new(false));
        let (shut_out, known) = (Arc::clone(&self.shared.shut_out), Arc::clone(&before));
        let client = self.tx.client.address;
        log.call_in_turn(Box::new(move || {
            known.store(shut_out.holds(client, clock::now().wall).is_some(), Ordering::Relaxed);
        }));
        self.logging_in().before = Some(before);
        self.owe();
    }

    /// Waits until the jails have heard all that was said. T0.1.
    pub(super) fn hear_jails(&self) -> impl Future<Output = ()> + use<> {
        self.owes.0.store(false, Ordering::Relaxed);
        let (done, heard) = tokio::sync::oneshot::channel();
        self.shared.log.call_in_turn(Box::new(move || {
            // Whoever waited may have gone.
            let _ = done.send(());
        }));
        async {
            // Where no jail runs any more, that is known at once.
            let _ = tokio::time::timeout(PATIENCE, heard).await;
        }
    }

    /// Before something is answered: where that led to a ban, nothing behind it is.
    pub(super) async fn settle_with_jails(&mut self) {
        if !self.owes.is_due() {
            return;
        }
        self.hear_jails().await;
        if self.is_shut_out() {
            self.server.answer_no_more();
        }
    }

    /// Whether a log-in's outcome is kept from a client who was shut out before it was known.
    pub(super) fn is_unanswered(&mut self, outcome: &AuthOutcome) -> bool {
        let before = self.logging_in.as_mut().and_then(|logging_in| logging_in.before.take());
        match outcome {
            AuthOutcome::Failure(_) => before.is_some_and(|before| before.load(Ordering::Relaxed)),
            AuthOutcome::Success { .. } | AuthOutcome::Challenge(_) => self.is_shut_out(),
        }
    }
}
