//! What stands at the end of a link, parsed once for all its members.
//!
//! A link is read anew for each request; where ten thousand members stand in one alias, it says the same ten thousand
//! times. What it says is compared, whole, with what it said before: nothing here is older than the look that asked.

use mail::destination::Destination;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Shorter ones are parsed each time.
const SHORT_BYTES: usize = 1024;
/// So many are remembered, the newest ones.
const REMEMBERED: usize = 4;

/// Destinations, in no order.
pub(super) type Written = HashSet<Destination>;

/// How a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An alias's value.
    Value,
    /// A file, line by line.
    File,
}

impl Kind {
    fn parse(self, text: &[u8]) -> Arc<Written> {
        let found = match self {
            Kind::Value => mail::destination::destinations(&String::from_utf8_lossy(text)),
            Kind::File => mail::destination::destinations_in_file(text),
        };
        Arc::new(found.into_iter().collect())
    }
}

type Known = (Kind, Vec<u8>, Arc<Written>);

/// The texts that were parsed last.
#[derive(Debug, Default)]
pub(super) struct Parsed(Mutex<VecDeque<Known>>);

impl Parsed {
    /// What a text says.
    pub(super) fn of(&self, kind: Kind, text: Vec<u8>) -> Arc<Written> {
        if text.len() < SHORT_BYTES {
            return kind.parse(&text);
        }
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |(other, known, _): &&Known| (*other, known) == (kind, &text);
        if let Some((.., written)) = lock().iter().find(is_it) {
            return Arc::clone(written);
        }
        let written = kind.parse(&text);
        let mut known = lock();
        known.truncate(REMEMBERED - 1);
        known.push_front((kind, text, Arc::clone(&written)));
        written
    }
}

/// What a user's own file says, whose home this is.
pub(super) fn at_home(written: Arc<Written>, home: &str) -> Arc<Written> {
    let is_there =
        |one: &Destination| matches!(one, Destination::Address(of) if of.as_str().starts_with("~/"));
    if !written.iter().any(is_there) {
        return written;
    }
    Arc::new(written.iter().cloned().map(|one| one.at_home(home)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsed_once_and_never_stale() {
        let parsed = Parsed::default();
        let list = |n: usize| -> Vec<u8> {
            (0..200).flat_map(|k| format!("/var/list/{n}-{k}\n").into_bytes()).collect()
        };
        let has =
            |written: &Written, n: usize| written.contains(&Destination::File(format!("/var/list/{n}-7")));
        let first = parsed.of(Kind::File, list(1));
        assert!(has(&first, 1) && !has(&first, 2));
        assert!(Arc::ptr_eq(&first, &parsed.of(Kind::File, list(1))));
        // The same bytes mean something else there, and another text is another.
        let comment = [b"#".as_slice(), &list(1)].concat();
        assert_eq!(parsed.of(Kind::File, comment.clone()).len(), 199);
        assert_eq!(parsed.of(Kind::Value, comment).len(), 200);
        assert!(has(&parsed.of(Kind::File, list(2)), 2));
        // Few are remembered.
        (3..10).for_each(|n| drop(parsed.of(Kind::File, list(n))));
        assert_eq!(parsed.0.lock().unwrap().len(), REMEMBERED);
        assert!(!Arc::ptr_eq(&first, &parsed.of(Kind::File, list(1))));
        let short = parsed.of(Kind::Value, b"/a".to_vec());
        assert!(!Arc::ptr_eq(&short, &parsed.of(Kind::Value, b"/a".to_vec())));
    }
}
