//! Lines that belong together: `<F-MLFID>`, by which a filter names a session of several lines.
//!
//! A line that fails without an address waits for one that has it; a line that only knows the address (`<F-NOFAIL>`)
//! is kept for those that fail later; a log-in that succeeded (`<F-MLFGAINED>`) clears what waited. The table is
//! bounded as fail2ban's is: the session that began first makes room. Unlike fail2ban's, a line's own address always wins over the session's.

use crate::filter::Fields;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher};

/// The most sessions that are remembered: as many as fail2ban does. With more, a log-in under a process number that an
/// attacker's session had hours before would count as his.
const SESSIONS_MAX: usize = 100;

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
}

/// A session at its place among all, by when they began.
#[derive(Debug)]
struct Seat {
    hash: u64,
    id: Box<[u8]>,
    session: Session,
    older: usize,
    newer: usize,
}

/// No seat.
const NONE: usize = usize::MAX;

/// Hands on what is a hash already.
#[derive(Debug, Default)]
struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// The sessions of one log.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// By the hash of their names; of two with the same one, the later.
    by_id: HashMap<u64, usize, BuildHasherDefault<Plain>>,
    hasher: RandomState,
    seats: Vec<Seat>,
    free: Vec<usize>,
    oldest: usize,
    newest: usize,
}

impl Default for Sessions {
    fn default() -> Sessions {
        let (by_id, hasher) = (HashMap::default(), RandomState::new());
        Sessions { by_id, hasher, seats: Vec::new(), free: Vec::new(), oldest: NONE, newest: NONE }
    }
}

impl Sessions {
    /// Takes a line of session `id` in; gives back the failure that it completes.
    pub(crate) fn line(&mut self, id: &[u8], fields: Fields, marks: Marks) -> Option<Fields> {
        let hash = self.hasher.hash_one(id);
        let mut known = self.by_id.get(&hash).copied();
        if let Some(seat) = known.filter(|seat| self.seats.get(*seat).is_none_or(|seat| *seat.id != *id)) {
            self.leave(seat);
            known = None;
        }
        if marks.forget {
            let mut last = known.map(|seat| self.leave(seat)).unwrap_or_default();
            return last.line(fields, marks);
        }
        let seat = known.unwrap_or_else(|| self.enter(id, hash));
        self.seats.get_mut(seat)?.session.line(fields, marks)
    }

    /// A seat for a new session; the one that began first makes room.
    fn enter(&mut self, id: &[u8], hash: u64) -> usize {
        if self.by_id.len() >= SESSIONS_MAX {
            self.leave(self.oldest);
        }
        let seat = self.free.pop().unwrap_or(self.seats.len());
        self.by_id.insert(hash, seat);
        let new = Seat { hash, id: id.into(), session: Session::default(), older: NONE, newer: NONE };
        match self.seats.get_mut(seat) {
            Some(free) => *free = new,
            None => self.seats.push(new),
        }
        self.link(seat);
        seat
    }

    fn leave(&mut self, seat: usize) -> Session {
        self.unlink(seat);
        let Some(left) = self.seats.get_mut(seat) else { return Session::default() };
        self.by_id.remove(&left.hash);
        self.free.push(seat);
        std::mem::take(&mut left.session)
    }

    fn unlink(&mut self, seat: usize) {
        let Some((older, newer)) = self.seats.get(seat).map(|seat| (seat.older, seat.newer)) else { return };
        match self.seats.get_mut(older) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
        match self.seats.get_mut(newer) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
    }

    /// Puts it before all others.
    fn link(&mut self, seat: usize) {
        let older = std::mem::replace(&mut self.newest, seat);
        match self.seats.get_mut(older) {
            Some(older) => older.newer = seat,
            None => self.oldest = seat,
        }
        if let Some(seat) = self.seats.get_mut(seat) {
            (seat.older, seat.newer) = (older, NONE);
        }
    }
}

impl Session {
    /// Takes a line in; gives back the failure that it completes.
    fn line(&mut self, fields: Fields, marks: Marks) -> Option<Fields> {
        let user = fields.named.get("user").filter(|user| !user.is_empty() && self.users.len() < USERS_MAX);
        if let Some(user) = user.filter(|user| !self.users.iter().any(|known| known == user)) {
            self.users.push(user.to_owned());
        }
        self.fields.merge(fields);
        self.lines = self.lines.saturating_add(1);
        let has_address = self.fields.has_id();
        // Also the line that lets somebody in: it is a guess that came true.
        let by_itself = !marks.gained && (!marks.no_fail || self.waits);
        let is_failure = has_address && (by_itself || self.users.len() > 1);
        if marks.gained || is_failure {
            self.waits = false;
        } else if !marks.no_fail {
            self.waits = true;
        }
        let failure = is_failure.then(|| Fields {
            attempts: std::mem::take(&mut self.lines),
            users: self.users.clone(),
            ..self.fields.clone()
        });
        if marks.gained && !is_failure {
            self.lines = 1;
        }
        failure
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
            // What is said again of a session doesn't keep it.
            sessions.line(format!("s{}", n - n % 50).as_bytes(), Fields::default(), Marks::default());
        }
        assert!(sessions.by_id.len() == SESSIONS_MAX && sessions.seats.len() == SESSIONS_MAX);
        let knows = |id: &[u8]| sessions.by_id.contains_key(&sessions.hasher.hash_one(id));
        assert!(knows(b"s299") && knows(b"s200"));
        assert!(!knows(b"s199"));
        for n in 0..(3 * SESSIONS_MAX) {
            let marks = Marks { forget: true, ..Marks::default() };
            sessions.line(format!("s{n}").as_bytes(), Fields::default(), marks);
        }
        assert_eq!((sessions.by_id.len(), sessions.free.len()), (0, SESSIONS_MAX));
        assert_eq!((sessions.oldest, sessions.newest), (NONE, NONE));
    }
}
