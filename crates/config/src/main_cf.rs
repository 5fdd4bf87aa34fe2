//! main.cf: `name = value`, the last definition wins.

use crate::{Diagnostic, SourceFile, Spanned};
use std::sync::Arc;

/// The definitions of one main.cf, as written.
#[derive(Clone, Debug, Default)]
pub struct MainCf {}

impl MainCf {
    /// Reads `file`; what can't be read is told and left out.
    #[must_use]
    pub fn parse(_file: &Arc<SourceFile>) -> (MainCf, Vec<Diagnostic>) {
        (MainCf::default(), Vec::new())
    }

    /// A main.cf with nothing in it.
    #[must_use]
    pub fn empty() -> MainCf {
        MainCf::default()
    }

    /// Defines `name` as the command line's `-o name=value` does.
    pub fn set(&mut self, _name: impl Into<String>, _value: impl Into<String>) {}
}

/// Splits a list by comma and white space; `{ … }` stays one word, braces included.
#[must_use]
pub fn split_words(text: Spanned<String>) -> Vec<Spanned<String>> {
    text.value
        .split([',', ' ', '\t', '\r', '\n'])
        .filter(|w| !w.is_empty())
        .map(|w| Spanned::new(w.to_owned(), text.place.clone()))
        .collect()
}
