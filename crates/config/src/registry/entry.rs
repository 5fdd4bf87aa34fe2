//! A word of the configuration that is no parameter: a restriction, an action, a table type, a service, an option.
//!
//! The rows stand where such words are read (`policy`, `tables`, `master_cf`), and what reads them uses the rows;
//! here is their shape. docs/reference and `komainu conf --about` are made from them.

use super::State;

/// One word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it is written.
    pub name: &'static str,
    /// What follows it; empty for nothing.
    pub takes: &'static str,
    /// Where it may stand.
    pub place: &'static str,
    /// The Postfix version that brought it, where its documentation says.
    pub since: Option<&'static str>,
    /// The last Postfix version that has it.
    pub until: Option<&'static str>,
    /// For an old or deprecated word: what to write today.
    pub instead: Option<&'static str>,
    /// How far we serve it.
    pub state: State,
    /// What it is for.
    pub sentence: &'static str,
}

impl Entry {
    /// A word that is served and takes nothing.
    #[must_use]
    pub const fn new(name: &'static str, place: &'static str, sentence: &'static str) -> Entry {
        let (since, until, instead) = (None, None, None);
        Entry { name, takes: "", place, since, until, instead, state: State::Implemented, sentence }
    }

    /// With what follows it.
    #[must_use]
    pub const fn takes(mut self, takes: &'static str) -> Entry {
        self.takes = takes;
        self
    }

    /// With the version that brought it.
    #[must_use]
    pub const fn since(mut self, version: &'static str) -> Entry {
        self.since = Some(version);
        self
    }

    /// With the last version that has it.
    #[must_use]
    pub const fn until(mut self, version: &'static str) -> Entry {
        self.until = Some(version);
        self
    }

    /// With what to write today.
    #[must_use]
    pub const fn instead(mut self, today: &'static str) -> Entry {
        self.instead = Some(today);
        self
    }

    /// Served in part.
    #[must_use]
    pub const fn partly(mut self, how_far: &'static str) -> Entry {
        self.state = State::Partly(how_far);
        self
    }

    /// Known, and not served yet.
    #[must_use]
    pub const fn not_yet(mut self) -> Entry {
        self.state = State::NotYet;
        self
    }

    /// Read, and of no effect here.
    #[must_use]
    pub const fn no_effect(mut self, because: &'static str) -> Entry {
        self.state = State::NoEffect(because);
        self
    }
}

/// What is wrong with a sentence of a registry, for the tests of those who have one.
#[must_use]
pub fn sentence_fault(sentence: &str) -> Option<&'static str> {
    let words = sentence.split(' ').count();
    match () {
        () if !sentence.ends_with('.') => Some("no full stop"),
        () if sentence.len() > 200 => Some("too long"),
        () if !(3..=27).contains(&words) => Some("too few or many words"),
        () if !sentence.starts_with(|c: char| c.is_ascii_uppercase()) => Some("begins in lower case"),
        () if sentence.contains("  ") || sentence.contains('\n') => Some("white space"),
        () => None,
    }
}
