//! Lines that belong together: `<F-MLFID>`, by which a filter names a session of several lines.
//!
//! A line that fails without an address waits for one that has it; a line that only knows the address (`<F-NOFAIL>`)
//! is kept for those that fail later; a log-in that succeeded (`<F-MLFGAINED>`) clears what waited. The table is
//! bounded, the oldest session makes room. Unlike fail2ban's, a line's own address always wins over the session's.

use crate::filter::Fields;
use std::collections::{HashMap, VecDeque};

/// The most sessions that are remembered.
const SESSIONS_MAX: usize = 10_000;

/// The most names that a session remembers.
const USERS_MAX: usize = 8;

/// What a matching line says about its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// It is no failure by itself.
    pub(crate) no_fail: bool,
    /// The session ends here.
    pub(crate) forget: bool,
    /// Somebody was let in.
    pub(crate) gained: bool,
}

#[derive(Debug, Default)]
struct Session {
    fields: Fields,
    /// As whom it tried: a second name makes each further line a failure, as fail2ban counts.
    users: Vec<String>,
    /// A failure without an address was seen.
    waits: bool,
    /// Its lines since the last failure.
    lines: u32,
    /// When it was used last, among all uses.
    used: u64,
}

/// The sessions of one log.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_id: HashMap<Vec<u8>, Session>,
    /// Uses, the oldest first; those that were used again since are passed over.
    uses: VecDeque<(u64, Vec<u8>)>,
    clock: u64,
}

impl Sessions {
    /// Takes a line of session `id` in; gives back the failure that it completes.
    pub(crate) fn line(&mut self, id: &[u8], fields: Fields, marks: Marks) -> Option<Fields> {
        self.clock += 1;
        let mut session = self.by_id.remove(id).unwrap_or_default();
        let user = fields.named.get("user").filter(|_| session.users.len() < USERS_MAX);
        if let Some(user) = user.filter(|user| !session.users.contains(user)) {
            session.users.push(user.clone());
        }
        session.fields.merge(fields);
        session.lines = session.lines.saturating_add(1);
        let has_address = session.fields.has_id();
        // Also the line that lets somebody in: it is a guess that came true.
        let by_itself = !marks.gained && (!marks.no_fail || session.waits);
        let is_failure = has_address && (by_itself || session.users.len() > 1);
        if marks.gained || is_failure {
            session.waits = false;
        } else if !marks.no_fail {
            session.waits = true;
        }
        let failure = is_failure.then(|| Fields {
            attempts: std::mem::take(&mut session.lines),
            users: session.users.clone(),
            ..session.fields.clone()
        });
        if marks.gained && !is_failure {
            session.lines = 1;
        }
        if !marks.forget {
            session.used = self.clock;
            self.uses.push_back((self.clock, id.to_vec()));
            self.by_id.insert(id.to_vec(), session);
            self.make_room();
        }
        failure
    }

    fn make_room(&mut self) {
        while self.by_id.len() > SESSIONS_MAX || self.uses.len() > 2 * SESSIONS_MAX {
            let Some((used, id)) = self.uses.pop_front() else { return };
            if self.by_id.get(&id).is_some_and(|session| session.used == used) {
                self.by_id.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_bounded() {
        let mut sessions = Sessions::default();
        for n in 0..(3 * SESSIONS_MAX) {
            sessions.line(format!("s{n}").as_bytes(), Fields::default(), Marks::default());
            sessions.line(b"kept", Fields::default(), Marks::default());
        }
        assert!(sessions.by_id.len() <= SESSIONS_MAX && sessions.uses.len() <= 2 * SESSIONS_MAX);
        assert!(sessions.by_id.contains_key(b"kept".as_slice()));
    }
}
