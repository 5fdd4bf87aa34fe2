//! `count = attempts`: lines of different kinds about one attempt.
//!
//! A server says more than once that somebody failed: the authentication service, then the log-in process when the
//! connection ends. Each kind of line tells of an attempt at most once, so a line belongs to an attempt of the last
//! seconds by the same address, for the same user where both name one, that has no line of its kind yet; else it is an
//! attempt of its own. fail2ban counts lines.

use crate::filter::{Failure, Id};
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// How many seconds lines of one attempt may lie apart.
const SPAN_S: u64 = 20;
/// How many attempts of one address are looked at.
const OPEN_MAX: usize = 16;
/// How many lines an attempt may have.
const LINES_MAX: usize = 4;
/// How many attempts are remembered.
const ATTEMPTS_MAX: usize = 20_000;

#[derive(Clone, Copy, Debug)]
struct Attempt {
    at_s: i64,
    /// The kinds of its lines; 0 where there is none.
    kinds: [u64; LINES_MAX],
    /// A hash of the user, where one is known.
    user: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Attempts {
    by_id: BTreeMap<Id, Vec<Attempt>>,
    ages: VecDeque<(i64, Id)>,
}

impl Attempts {
    /// Takes a failure in; tells whether it is one more line about an attempt that was seen.
    pub(super) fn is_known(&mut self, failure: &Failure) -> bool {
        let now_s = failure.time_us.div_euclid(1_000_000);
        let kind = (u64::from(failure.fields.kind) << 16 | (failure.rule as u64 & 0xFFFF)) + 1;
        let user = failure.fields.named.get("user").filter(|user| !user.is_empty()).map(|user| {
            let mut hasher = DefaultHasher::new();
            // `bob@example.org` and `bob` are one who tries.
            user.split('@').next().unwrap_or("").to_ascii_lowercase().hash(&mut hasher);
            hasher.finish()
        });
        self.forget(now_s);
        let open = self.by_id.entry(failure.id.clone()).or_default();
        let fits = |attempt: &&mut Attempt| {
            attempt.at_s.abs_diff(now_s) <= SPAN_S
                && !attempt.kinds.contains(&kind)
                && attempt.kinds.contains(&0)
                && (attempt.user == user || attempt.user.is_none() || user.is_none())
        };
        if let Some(attempt) = open.iter_mut().find(fits) {
            if let Some(free) = attempt.kinds.iter_mut().find(|kind| **kind == 0) {
                *free = kind;
            }
            attempt.user = attempt.user.or(user);
            return true;
        }
        if open.len() >= OPEN_MAX {
            open.remove(0);
        }
        open.push(Attempt { at_s: now_s, kinds: [kind, 0, 0, 0], user });
        self.ages.push_back((now_s, failure.id.clone()));
        false
    }

    fn forget(&mut self, now_s: i64) {
        let is_old = |at_s: i64| at_s.abs_diff(now_s) > SPAN_S;
        while let Some((at_s, id)) = self.ages.front() {
            if !is_old(*at_s) && self.ages.len() < ATTEMPTS_MAX {
                return;
            }
            if let Some(open) = self.by_id.get_mut(id) {
                // The oldest of that address, whether or not it was pushed out before.
                open.retain(|attempt| !is_old(attempt.at_s));
                if open.is_empty() || self.ages.len() >= ATTEMPTS_MAX {
                    self.by_id.remove(id);
                }
            }
            self.ages.pop_front();
        }
    }
}
