//! Log-ins that went well a moment ago: a program that logs in for each message pays for the hash once in a while.
//!
//! Kept is a keyed hash of the name, of what is stored for it and of the password, for five minutes at most, with a key
//! that the process makes for itself. With another password in the file it is another hash. A wrong password is never
//! found here, so it always costs its time.

use ring::hmac;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a log-in counts.
const KEPT: Duration = Duration::from_secs(300);
/// How many are kept.
const ENTRIES_MAX: usize = 4096;

/// Log-ins that went well.
pub(super) struct Recent {
    /// Without random bytes nothing is kept.
    key: Option<hmac::Key>,
    known: Mutex<HashMap<[u8; 32], Instant>>,
}

/// One log-in.
#[derive(Clone, Copy)]
pub(super) struct Tag([u8; 32]);

impl Recent {
    pub(super) fn new() -> Recent {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &ring::rand::SystemRandom::new()).ok();
        Recent { key, known: Mutex::default() }
    }

    pub(super) fn tag(&self, (name, stored): (&str, &str), password: &[u8]) -> Option<Tag> {
        let mut context = hmac::Context::with_key(self.key.as_ref()?);
        for part in [name.as_bytes(), stored.as_bytes(), password] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().ok().map(Tag)
    }

    pub(super) fn knows(&self, tag: Tag, now: Instant) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&tag.0).is_some_and(|since| now.saturating_duration_since(*since) < KEPT)
    }

    pub(super) fn keep(&self, tag: Tag, now: Instant) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ENTRIES_MAX {
            known.retain(|_, since| now.saturating_duration_since(*since) < KEPT);
        }
        if known.len() < ENTRIES_MAX {
            known.insert(tag.0, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_five_minutes_and_for_the_same() {
        let recent = Recent::new();
        let now = Instant::now();
        let tag = |name, stored, password: &str| {
            recent.tag((name, stored), password.as_bytes()).expect("random bytes")
        };
        recent.keep(tag("alice", "{X}y", "secret"), now);
        let check = |name, stored, password, later, expect| {
            let knows = recent.knows(tag(name, stored, password), now + Duration::from_secs(later));
            assert_eq!(knows, expect, "{name} {stored} {password} {later}");
        };
        check("alice", "{X}y", "secret", 0, true);
        check("alice", "{X}y", "secret", 299, true);
        check("alice", "{X}y", "secret", 300, false);
        check("alice", "{X}y", "secreT", 0, false);
        check("alice", "{X}z", "secret", 0, false);
        check("bob", "{X}y", "secret", 0, false);
        check("alic", "e{X}y", "secret", 0, false);
        for n in 0..ENTRIES_MAX * 2 {
            recent.keep(tag("x", "y", &n.to_string()), now);
        }
        assert_eq!(recent.known.lock().expect("lock").len(), ENTRIES_MAX);
    }
}
