//! Connections while they last.
//!
//! A session is known by who logs it and whom it is with: one process may have many (this program), or one
//! after the other (Postfix's). Keys are hashes with a random key, the same for all pieces of a log.

use super::ends::ConnectionEnd;
use super::hours::Hours;
use super::messages;
use super::rules::Rule;
use super::{OPEN_MAX, Slot, Split};
use crate::Day;
use std::collections::{BTreeMap, HashMap, HashSet};

/// How many clients that postscreen let pass, and that it may still send away, are remembered.
const PASSED_MAX: usize = 4_096;

/// What is known of a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    /// Its beginning is in this piece of the log.
    pub begun: bool,
    /// Kept by postscreen.
    pub screened: bool,
    /// When it was first heard of, in the piece of the log that counts it.
    pub first: i64,
    /// When it was last heard of.
    pub last: i64,
    pub received: bool,
    pub logged_in: bool,
    pub login_failed: bool,
    pub tls_failed: bool,
    pub broken: bool,
    /// A recipient's mail is to be thrown away, or held: the message that follows is.
    pub discards: bool,
    pub holds: bool,
    /// What refused first.
    pub rule: Option<Box<Rule>>,
}

/// What the line at the end says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    /// Whether there are any: Postfix before 3.0 has none.
    pub known: bool,
    pub messages: u64,
    pub logins: u64,
    pub logins_tried: u64,
}

impl Session {
    fn join(&mut self, other: Session) {
        self.begun |= other.begun;
        self.screened |= other.screened;
        self.last = self.last.max(other.last);
        self.received |= other.received;
        self.logged_in |= other.logged_in;
        self.login_failed |= other.login_failed;
        self.tls_failed |= other.tls_failed;
        self.broken |= other.broken;
        self.discards |= other.discards;
        self.holds |= other.holds;
        if self.rule.is_none() {
            self.rule = other.rule;
        }
    }

    /// What its next message is marked with.
    pub(super) fn marks(&mut self) -> u16 {
        let discards = if std::mem::take(&mut self.discards) { messages::DISCARDED } else { 0 };
        discards | if std::mem::take(&mut self.holds) { messages::HELD } else { 0 }
    }

    fn end(&self, counters: Counters) -> ConnectionEnd {
        let accepted = if counters.known { counters.messages > 0 } else { self.received && !self.broken };
        let logged_in = self.logged_in || counters.logins > 0;
        if accepted {
            ConnectionEnd::Accepted
        } else if self.screened {
            ConnectionEnd::Screened
        } else if self.rule.is_some() {
            ConnectionEnd::Refused
        } else if self.tls_failed {
            ConnectionEnd::TlsFailed
        } else if logged_in {
            ConnectionEnd::LoggedIn
        } else if self.login_failed || counters.logins_tried > 0 {
            ConnectionEnd::LoginFailed
        } else if self.broken {
            ConnectionEnd::Broken
        } else {
            ConnectionEnd::WithoutMail
        }
    }
}

/// Sessions that last, and the ends of the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    /// This is a later piece of a log: what is not known here may be known before.
    pub later: bool,
    /// Mostly one under a key; more where one process has several with the same client.
    open: HashMap<u64, Vec<Session>>,
    open_count: usize,
    /// Ended in this piece, begun in an earlier one: with what their last line says.
    tails: HashMap<u64, (Session, Counters)>,
    /// Handed on in this piece, begun in an earlier one.
    passes: HashSet<u64>,
    /// Handed on after new tests, and when they came: postscreen may still send them away, to come again.
    passed: HashMap<u64, i64>,
    total: u64,
    /// When those in `total` were first heard of.
    hours: Hours,
    ends: [u64; ConnectionEnd::ALL.len()],
    /// Dropped to stay within the bound.
    pub dropped: u64,
    pub handed_on: u64,
}

/// A session that has ended, for who counts rules.
pub(super) struct Ended {
    pub end: ConnectionEnd,
    pub rule: Option<Box<Rule>>,
    pub logged_in: bool,
}

impl Sessions {
    /// A session begins.
    pub(super) fn begin(&mut self, key: u64, at: i64) {
        if self.open_count >= OPEN_MAX {
            self.drop_old();
        }
        self.one_more(at);
        self.open_count += 1;
        let session = Session { begun: true, first: at, last: at, ..Session::default() };
        self.open.entry(key).or_default().push(session);
    }

    /// A session begins at postscreen.
    pub(super) fn screening_begins(&mut self, key: u64, at: i64) {
        self.passed.remove(&key);
        self.begin(key, at);
        self.of(key, at, |session| session.screened = true);
    }

    /// The session that a line speaks of; one that began before where none is open.
    pub(super) fn of(&mut self, key: u64, at: i64, change: impl FnOnce(&mut Session)) {
        if self.open_count >= OPEN_MAX {
            self.drop_old();
        }
        if !self.open.contains_key(&key) {
            self.one_more(at);
            self.open_count += 1;
        }
        let all = self.open.entry(key).or_insert_with(|| vec![Session { first: at, ..Session::default() }]);
        if let Some(session) = all.first_mut() {
            session.last = at;
            change(session);
        }
    }

    /// What was refused in a session, as another program than its own says.
    pub(super) fn refused(&mut self, key: u64, rule: &Rule) {
        if let Some(session) = self.open.get_mut(&key).and_then(|all| all.first_mut()) {
            session.rule.get_or_insert_with(|| Box::new(rule.clone()));
        }
    }

    /// Whether it lasts.
    pub(super) fn is_open(&self, key: u64) -> bool {
        self.open.contains_key(&key)
    }

    /// What the message that a session has brought is marked with: once.
    pub(super) fn marks(&mut self, key: u64) -> u16 {
        self.open.get_mut(&key).and_then(|all| all.first_mut()).map_or(0, Session::marks)
    }

    /// A session ends.
    pub(super) fn end(&mut self, key: u64, at: i64, counters: Counters) -> Option<Ended> {
        let session = self.take(key).unwrap_or_else(|| {
            self.one_more(at);
            Session { first: at, last: at, ..Session::default() }
        });
        if !self.is_whole(&session, key) {
            self.tails.insert(key, (session, counters));
            return None;
        }
        Some(self.close(session, counters))
    }

    /// A session that postscreen hands on is the SMTP server's from here. After new tests (`is_new`) it may still
    /// be sent away.
    pub(super) fn hand_on(&mut self, key: u64, at: i64, is_new: bool) {
        let session = self.take(key);
        if let Some(session) = &session {
            self.one_less(session.first);
        }
        let is_whole = !self.later || session.as_ref().is_some_and(|session| session.begun);
        if !is_whole && self.passes.len() < OPEN_MAX {
            self.passes.insert(key);
        }
        if is_new {
            self.remember(key, session.map_or(at, |session| session.first));
        }
        self.handed_on += 1;
    }

    /// postscreen's session ends; where it was let pass before, it was not handed on after all.
    pub(super) fn screening_ends(&mut self, key: u64, at: i64) -> Option<Ended> {
        if let Some(first) = self.passed.remove(&key) {
            self.keep(first);
            return None;
        }
        self.of(key, at, |session| session.screened = true);
        self.end(key, at, Counters::default())
    }

    /// Whether postscreen let it pass, and may still send it away.
    pub(super) fn has_passed(&self, key: u64) -> bool {
        self.passed.contains_key(&key)
    }

    fn remember(&mut self, key: u64, first: i64) {
        if self.passed.len() >= PASSED_MAX {
            self.passed.clear();
        }
        self.passed.insert(key, first);
    }

    fn keep(&mut self, first: i64) {
        self.handed_on = self.handed_on.saturating_sub(1);
        self.one_more(first);
        self.close(Session { begun: true, screened: true, ..Session::default() }, Counters::default());
    }

    fn one_more(&mut self, at: i64) {
        self.total += 1;
        self.hours.add(at);
    }

    /// One that was counted at this time is the same as another.
    fn one_less(&mut self, at: i64) {
        self.total -= 1;
        self.hours.take(at);
    }

    fn take(&mut self, key: u64) -> Option<Session> {
        let all = self.open.get_mut(&key)?;
        let session = (!all.is_empty()).then(|| all.remove(0));
        if all.is_empty() {
            self.open.remove(&key);
        }
        self.open_count -= usize::from(session.is_some());
        session
    }

    /// Whether no piece of the log can say more of a session that has ended.
    fn is_whole(&self, session: &Session, key: u64) -> bool {
        !self.later || session.begun || self.tails.contains_key(&key) || self.tails.len() >= OPEN_MAX
    }

    fn close(&mut self, session: Session, counters: Counters) -> Ended {
        let end = session.end(counters);
        self.count(end);
        let logged_in = session.logged_in || counters.logins > 0;
        Ended { end, rule: session.rule, logged_in }
    }

    fn count(&mut self, end: ConnectionEnd) {
        let at = ConnectionEnd::ALL.iter().position(|one| *one == end);
        if let Some(count) = at.and_then(|at| self.ends.get_mut(at)) {
            *count += 1;
        }
    }

    /// The half that was silent for longest is taken to have no end in this log.
    fn drop_old(&mut self) {
        let mut times: Vec<i64> = self.open.values().flatten().map(|session| session.last).collect();
        let middle = times.len() / 2;
        if times.is_empty() {
            return;
        }
        let (_, &mut bound, _) = times.select_nth_unstable(middle);
        let mut gone = 0;
        self.open.retain(|_, all| {
            let before = all.len();
            all.retain(|session| session.last > bound);
            gone += before - all.len();
            !all.is_empty()
        });
        self.open_count -= gone;
        for _ in 0..gone {
            self.count(ConnectionEnd::Open);
        }
        self.dropped += u64::try_from(gone).unwrap_or(u64::MAX);
    }

    /// Joins what a later piece of the log has. Gives the sessions that end by it.
    pub(super) fn merge(&mut self, later: Sessions) -> Vec<Ended> {
        let mut ended = Vec::new();
        self.total += later.total;
        self.dropped += later.dropped;
        self.handed_on += later.handed_on;
        for (count, more) in self.ends.iter_mut().zip(later.ends) {
            *count += more;
        }
        self.hours.merge(later.hours);
        let passed = self.merge_passes(later.passes, later.passed);
        for (key, (session, counters)) in later.tails {
            match self.take(key) {
                Some(mut begun) => {
                    // One connection, seen from both pieces.
                    self.one_less(session.first);
                    begun.join(session);
                    if self.is_whole(&begun, key) {
                        ended.push(self.close(begun, counters));
                    } else {
                        self.tails.insert(key, (begun, counters));
                    }
                }
                // It was let pass in this piece, and sent away in the later one.
                None if session.screened && self.passed.contains_key(&key) => {
                    self.one_less(session.first);
                    if let Some(first) = self.passed.remove(&key) {
                        self.keep(first);
                    }
                }
                None if !self.is_whole(&session, key) => {
                    self.tails.insert(key, (session, counters));
                }
                None => ended.push(self.close(session, counters)),
            }
        }
        passed.into_iter().for_each(|(key, first)| self.remember(key, first));
        for (key, sessions) in later.open {
            for session in sessions {
                // Let pass in this piece, and spoken of once more in the later one.
                if session.screened && !session.begun && self.passed.contains_key(&key) {
                    self.one_less(session.first);
                    continue;
                }
                self.open_count += 1;
                let all = self.open.entry(key).or_default();
                match all.first_mut().filter(|_| !session.begun) {
                    Some(begun) => {
                        self.hours.take(session.first);
                        begun.join(session);
                        self.open_count -= 1;
                        self.total -= 1;
                    }
                    None => all.push(session),
                }
            }
        }
        if self.open_count > OPEN_MAX {
            self.drop_old();
        }
        ended
    }

    /// What a later piece handed on may have begun here: when it came is known then.
    fn merge_passes(&mut self, passes: HashSet<u64>, mut passed: HashMap<u64, i64>) -> HashMap<u64, i64> {
        for key in passes {
            let session = self.take(key);
            if let Some(session) = &session {
                self.one_less(session.first);
                passed.entry(key).and_modify(|first| *first = session.first);
            }
            let is_whole = !self.later || session.is_some_and(|session| session.begun);
            if !is_whole && self.passes.len() < OPEN_MAX {
                self.passes.insert(key);
            }
        }
        passed
    }

    /// Puts each connection into the hour in which it was first heard of.
    pub(super) fn fill(&self, days: &mut BTreeMap<Day, Box<[Slot; 24]>>, others: &mut Slot) {
        self.hours.fill(days, others);
    }

    /// Where all stand, those that last too.
    pub(super) fn split(&self) -> Split {
        let mut ends = self.ends;
        let mut add = |end: ConnectionEnd| {
            let at = ConnectionEnd::ALL.iter().position(|one| *one == end);
            if let Some(count) = at.and_then(|at| ends.get_mut(at)) {
                *count += 1;
            }
        };
        for (session, counters) in self.tails.values() {
            add(session.end(*counters));
        }
        for _ in 0..self.open_count {
            add(ConnectionEnd::Open);
        }
        ConnectionEnd::split(self.total, |end| {
            let at = ConnectionEnd::ALL.iter().position(|one| *one == end);
            at.and_then(|at| ends.get(at)).copied().unwrap_or(0)
        })
    }

    /// Those that ended and whose beginning is not in the log.
    pub(super) fn tails(&self) -> impl Iterator<Item = Ended> + '_ {
        self.tails.values().map(|(session, counters)| Ended {
            end: session.end(*counters),
            rule: session.rule.clone(),
            logged_in: session.logged_in || counters.logins > 0,
        })
    }
}
