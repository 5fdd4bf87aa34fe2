//! The values in force: main.cf over defaults, with `$name` expanded.

use crate::{Compat, Diagnostic, Host, MainCf, Override, Spanned};
use std::sync::Arc;
use std::time::Duration;

/// All parameters of one service. Immutable and cheap to clone.
#[derive(Clone, Debug)]
pub struct Parameters {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    compat: Compat,
}

impl Parameters {
    /// The values that `main` gives on the machine `host`.
    #[must_use]
    pub fn new(_main: &MainCf, _host: &Host, compat: Compat) -> (Parameters, Vec<Diagnostic>) {
        (Parameters { inner: Arc::new(Inner { compat }) }, Vec::new())
    }

    /// The same with one service's `-o name=value`.
    #[must_use]
    pub fn with_overrides(&self, _overrides: &[Override]) -> (Parameters, Vec<Diagnostic>) {
        (self.clone(), Vec::new())
    }

    /// The same under stress or not: `${stress?…}`.
    #[must_use]
    pub fn with_stress(&self, _on: bool) -> Parameters {
        self.clone()
    }

    /// Whose defaults are in force.
    #[must_use]
    pub fn compat(&self) -> Compat {
        self.inner.compat
    }

    /// Whether `compatibility_level` is `level` or later.
    #[must_use]
    pub fn compatibility_level_at_least(&self, _level: &str) -> bool {
        true
    }

    /// The expanded value, or the default's; empty for a name that nobody knows.
    #[must_use]
    pub fn text(&self, _name: &str) -> Spanned<String> {
        Spanned::new(String::new(), crate::Place::nowhere())
    }

    /// Whether main.cf, an override or the command line defines `name`.
    #[must_use]
    pub fn is_set(&self, _name: &str) -> bool {
        false
    }

    /// The value as written, `$name` and all.
    #[must_use]
    pub fn raw(&self, _name: &str) -> Option<Spanned<String>> {
        None
    }

    /// A boolean.
    #[must_use]
    pub fn flag(&self, _name: &str) -> bool {
        false
    }

    /// A number: integers and sizes.
    #[must_use]
    pub fn number(&self, _name: &str) -> i64 {
        0
    }

    /// A time.
    #[must_use]
    pub fn duration(&self, _name: &str) -> Duration {
        Duration::ZERO
    }

    /// The words of a list, each with the place it was written at, through `$name`.
    #[must_use]
    pub fn list(&self, _name: &str) -> Vec<Spanned<String>> {
        Vec::new()
    }

    /// `text` with `$name` and the like replaced.
    #[must_use]
    pub fn expand(&self, text: &str) -> String {
        text.to_owned()
    }

    /// What was defined, by name: the value as written.
    pub fn definitions(&self) -> impl Iterator<Item = (&str, &Spanned<String>)> {
        std::iter::empty()
    }
}
