//! A table's text taken apart for judging: keys and values with their places, and a bound on what is said.

use crate::catalogue::Usage;
use crate::indexed::{split_alias, split_key};
use crate::source::{Line, Source, is_space};
use config::{Diagnostic, Place, Severity};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A line with a key and a value.
#[derive(Clone, Debug)]
pub(super) struct Entry<'s> {
    pub(super) line: &'s Line<'s>,
    /// As written.
    pub(super) key: Cow<'s, str>,
    pub(super) value: &'s str,
}

/// The lines of a table with fixed keys that have both; what else there is was said by the loader.
pub(super) fn entries<'s>(lines: &'s [Line<'s>], usage: Usage) -> impl Iterator<Item = Entry<'s>> {
    lines.iter().filter(|line| !line.malformed).filter_map(move |line| {
        let (key, value) = match usage {
            Usage::Map => {
                let (key, rest) = split_key(&line.text)?;
                (Cow::Borrowed(key), rest.trim_matches(is_space))
            }
            Usage::Aliases => {
                let (key, value) = split_alias(&line.text)?;
                (Cow::Owned(key), value)
            }
        };
        (!value.is_empty()).then_some(Entry { line, key, value })
    })
}

impl Entry<'_> {
    /// Where the key stands. A logical line begins in the first column.
    pub(super) fn key_place(&self, source: &Source) -> Place {
        let end = self.line.start + self.key.len();
        Place::new(&source.file, self.line.start, end.min(self.line.end))
    }

    /// Where the value stands: exactly, when the line isn't continued.
    pub(super) fn value_place(&self, source: &Source) -> Place {
        value_place(source, self.line, self.value)
    }
}

/// Where `part` of a line's text stands; the line, where it is continued.
pub(super) fn value_place(source: &Source, line: &Line<'_>, part: &str) -> Place {
    let Cow::Borrowed(text) = &line.text else { return source.place(line) };
    match text.rfind(part) {
        Some(at) => Place::new(&source.file, line.start + at, line.start + at + part.len()),
        None => source.place(line),
    }
}

/// What is wrong with one key or value; the place comes with the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Odd {
    pub(super) code: u16,
    pub(super) severity: Severity,
    pub(super) message: String,
    pub(super) help: String,
    /// What to write in the place instead, where that is certain.
    pub(super) instead: Option<String>,
}

impl Odd {
    pub(super) fn warning(code: u16, message: impl Into<String>, help: impl Into<String>) -> Odd {
        let (message, help) = (message.into(), help.into());
        Odd { code, severity: Severity::Warning, message, help, instead: None }
    }

    pub(super) fn hint(code: u16, message: impl Into<String>, help: impl Into<String>) -> Odd {
        Odd { severity: Severity::Hint, ..Odd::warning(code, message, help) }
    }

    pub(super) fn error(code: u16, message: impl Into<String>, help: impl Into<String>) -> Odd {
        Odd { severity: Severity::Error, ..Odd::warning(code, message, help) }
    }

    pub(super) fn instead(self, text: impl Into<String>) -> Odd {
        Odd { instead: Some(text.into()), ..self }
    }

    pub(super) fn at(self, place: Place) -> Diagnostic {
        let Odd { code, severity, message, help, instead } = self;
        let mut diagnostic = match severity {
            Severity::Error => Diagnostic::error(code, place.clone(), message),
            Severity::Warning => Diagnostic::warning(code, place.clone(), message),
            Severity::Hint => Diagnostic::hint(code, place.clone(), message),
        };
        if !help.is_empty() {
            diagnostic = diagnostic.help(help);
        }
        match instead {
            Some(text) => diagnostic.fix(place, text),
            None => diagnostic,
        }
    }
}

/// So many lines of one table are told for one code.
pub(super) const TOLD_MAX: usize = 20;

/// The findings about one table, with a bound for each code.
#[derive(Debug, Default)]
pub(super) struct Findings {
    said: Vec<Diagnostic>,
    counts: BTreeMap<u16, usize>,
    last: BTreeMap<u16, (Severity, Place)>,
}

impl Findings {
    /// Takes a finding; past the bound it is only counted.
    pub(super) fn say(&mut self, odd: Odd, place: impl FnOnce() -> Place) {
        let count = self.counts.entry(odd.code).or_default();
        *count += 1;
        if *count <= TOLD_MAX {
            self.said.push(odd.at(place()));
        } else if *count == TOLD_MAX + 1 {
            self.last.insert(odd.code, (odd.severity, place()));
        }
    }

    /// All of them, and how many more there are.
    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        for (code, (severity, place)) in self.last {
            let more = self.counts.get(&code).copied().unwrap_or(0).saturating_sub(TOLD_MAX);
            let message = format!("and {more} more lines of this table, from here on, with the same fault");
            let odd = Odd { code, severity, message, help: String::new(), instead: None };
            self.said.push(odd.at(place));
        }
        self.said
    }
}
