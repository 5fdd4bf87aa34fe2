//! What `postconf` does, as values: text in, text out.
//!
//! `edit_main` and `edit_master` change a file's text and leave comments, order and everything that wasn't asked
//! for as it is; `Conf` answers what is set, by whom, and what it comes to. Files, locks and the command line
//! are the program's business, and judging what a value would cause is `check`'s. The words of warnings and
//! refusals are postconf(1)'s.

mod edit_main;
mod edit_master;
mod entry;
mod fold;
mod names;
mod view;
mod written;

pub use edit_main::{MainEdit, MainRequest, edit_main};
pub use edit_master::{MasterEdit, MasterRequest, edit_master};
pub use entry::{Entry, FIELDS, read_entries};
pub use fold::{Folding, fold_setting, fold_value, squeezed};
pub use names::{Class, instead_of};
pub use view::{Conf, Machine, Sources};
pub use written::{Written, read_main};

use thiserror::Error;

/// Why postconf gives up, in its words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Refused {
    pub(crate) fn new(text: impl Into<String>) -> Refused {
        Refused(text.into())
    }
}

/// White space as C's isspace(3) has it; a value may hold any other character.
pub(crate) const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// `name = value` taken apart, each without white space around it.
pub fn split_setting(text: &str) -> Result<(&str, &str), Refused> {
    let start = text.trim_start_matches(is_space);
    let shown = || text.to_owned();
    let length = start.find(|c| is_space(c) || c == '=').unwrap_or(start.len());
    let (name, rest) = start.split_at_checked(length).unwrap_or((start, ""));
    if name.is_empty() {
        return Err(Refused(format!("missing attribute name: \"{}\"", shown())));
    }
    match rest.trim_start_matches(is_space).strip_prefix('=') {
        Some(value) => Ok((name, value.trim_matches(is_space))),
        None => Err(Refused(format!("missing '=' after attribute name: \"{}\"", shown()))),
    }
}

/// What a physical line is to a reader of main.cf or master.cf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineKind {
    /// A comment or a blank line: part of no logical line.
    Passed,
    /// It goes on with the logical line before it.
    Continuation,
    /// It begins a logical line.
    Start,
}

impl LineKind {
    pub(crate) fn of(line: &str) -> LineKind {
        let bare = line.trim_start_matches(is_space);
        if bare.is_empty() || bare.starts_with('#') {
            LineKind::Passed
        } else if line.starts_with(is_space) {
            LineKind::Continuation
        } else {
            LineKind::Start
        }
    }
}

/// What can't be shown on a terminal becomes `?`, as in Postfix's messages.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests;
