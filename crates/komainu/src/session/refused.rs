//! Networks that are shut out: refused at the door, and sent away in the middle of a session. T2.19.
//!
//! At the door not a byte is said, on whatever port, before the tests that come before a session. Whoever is inside when
//! the ban falls hears 421 at its next step. The log names a network once for a ban, however often it comes.

use super::arrival::Ends;
use super::{Session, Shared};
use crate::bans::Shut;
use crate::clock;
use events::own::{Matter, Own};
use std::net::IpAddr;

/// Who speaks of bans.
const PROGRAM: &str = "komainu/ban";

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
}

impl Session {
    /// Whether the client's network has been shut out.
    pub(super) fn is_shut_out(&mut self) -> bool {
        self.shut_out.is_shut_out(&self.shared, self.tx.client.address)
    }
}
