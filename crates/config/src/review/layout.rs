//! Lines that aren't what they look like: a trailing backslash, a setting on an indented line, and an indented line
//! under a comment, which goes on with the line above the comment.
//!
//! K0132 a trailing backslash, K0133 a setting inside another's value, K0134 a line that outlived its head,
//! K0231 options that outlived their service.

use super::Subject;
use crate::conf::{LineKind, is_space};
use crate::registry;
use crate::{Diagnostic, Place, SourceFile};
use std::sync::Arc;

pub(super) fn review(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    if let Some(file) = subject.main.file() {
        Reader::new(file, found).main_cf();
    }
    if let Some(file) = subject.master.file() {
        Reader::new(file, found).master_cf();
    }
}

/// A file that is read line by line.
struct Reader<'a> {
    file: &'a Arc<SourceFile>,
    found: &'a mut Vec<Diagnostic>,
    /// The first word of the logical line that is open, and its line number from 1.
    open: Option<(&'a str, usize)>,
    /// The first word of a definition or service in the comments since the last line that counts.
    commented: Option<(&'a str, usize)>,
    /// How many braces of the open logical line aren't closed.
    depth: usize,
}

/// A physical line.
#[derive(Clone, Copy)]
struct Line<'a> {
    text: &'a str,
    start: usize,
    number: usize,
}

impl<'a> Reader<'a> {
    fn new(file: &'a Arc<SourceFile>, found: &'a mut Vec<Diagnostic>) -> Reader<'a> {
        Reader { file, found, open: None, commented: None, depth: 0 }
    }

    fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        let mut at = 0;
        self.file.text.split_inclusive('\n').enumerate().map(move |(index, line)| {
            let start = at;
            at += line.len();
            Line { text: line.trim_end_matches(is_space), start, number: index + 1 }
        })
    }

    fn main_cf(mut self) {
        for line in self.lines() {
            match LineKind::of(line.text) {
                LineKind::Passed => {
                    if let Some(name) = commented_definition(line.text) {
                        self.commented = Some((name, line.number));
                    }
                    continue;
                }
                LineKind::Start => {
                    self.open = Some((first_word(line.text), line.number));
                    self.depth = 0;
                }
                LineKind::Continuation => {
                    if !self.swallowed(line) {
                        self.outlived(line);
                    }
                }
            }
            self.commented = None;
            self.backslash(line);
            self.count_braces(line.text);
        }
    }

    fn master_cf(mut self) {
        for line in self.lines() {
            match LineKind::of(line.text) {
                LineKind::Passed => {
                    if let Some(name) = commented_service(line.text) {
                        self.commented = Some((name, line.number));
                    }
                    continue;
                }
                LineKind::Start => self.open = Some((first_word(line.text), line.number)),
                LineKind::Continuation => self.outlived_options(line),
            }
            self.commented = None;
        }
    }

    /// A setting on an indented line.
    fn swallowed(&mut self, line: Line<'a>) -> bool {
        let Some((open, number)) = self.open else { return false };
        let inner = line.text.trim_start_matches(is_space);
        let name = first_word(inner);
        let after = inner.get(name.len()..).unwrap_or("").trim_start_matches(is_space);
        if self.depth > 0 || !after.starts_with('=') || !is_parameter(name) {
            return false;
        }
        let indent = line.text.len() - inner.len();
        let place = Place::new(self.file, line.start + indent, line.start + indent + name.len());
        let between = match self.commented {
            Some(_) => "; comments between them don't end a value",
            None => "",
        };
        self.found.push(
            Diagnostic::warning(133, place, format!("{name} is set inside the value of {open}"))
                .help(format!(
                    "a line that begins with white space continues the line above, here line {number}{between}: \
                     {name} isn't set, and {open} has this text at its end; delete the white space"
                ))
                .fix(Place::new(self.file, line.start, line.start + indent), ""),
        );
        true
    }

    /// An indented line right under a definition that is commented out.
    fn outlived(&mut self, line: Line<'a>) {
        let (Some((open, number)), Some((name, _))) = (self.open, self.commented) else { return };
        let inner = line.text.trim_start_matches(is_space);
        let place = self.place_of(line, inner);
        self.found.push(
            Diagnostic::warning(134, place, format!("this line continues {open}, not {name}"))
                .help(format!(
                    "{name} above it is commented out, so the line belongs to the value of {open} in line {number}; \
                     comment it out too, or remove the # before {name}"
                )),
        );
    }

    fn outlived_options(&mut self, line: Line<'a>) {
        let (Some((open, number)), Some((name, _))) = (self.open, self.commented) else { return };
        let inner = line.text.trim_start_matches(is_space);
        if !inner.starts_with('-') && !inner.contains('=') {
            return;
        }
        let place = self.place_of(line, inner);
        self.found.push(
            Diagnostic::warning(231, place, format!("this line continues the service {open}, not {name}"))
                .help(format!(
                    "the service {name} above it is commented out, so its options belong to {open} in line {number}; \
                     comment them out too, or remove the # before {name}"
                )),
        );
    }

    fn backslash(&mut self, line: Line<'a>) {
        if !line.text.ends_with('\\') {
            return;
        }
        let bare = line.text.trim_end_matches('\\').trim_end_matches(is_space);
        let place = Place::new(self.file, line.start + line.text.len() - 1, line.start + line.text.len());
        let gone = Place::new(self.file, line.start + bare.len(), line.start + line.text.len());
        self.found.push(
            Diagnostic::warning(132, place, "a backslash at the end of a line is part of the value")
                .help("delete it: the next line continues this one if it begins with white space")
                .fix(gone, ""),
        );
    }

    fn place_of(&self, line: Line<'_>, inner: &str) -> Place {
        let end = line.start + line.text.len();
        Place::new(self.file, end - inner.len(), end)
    }

    fn count_braces(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                b'{' => self.depth += 1,
                b'}' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }
}

fn first_word(text: &str) -> &str {
    text.split(|c| is_space(c) || c == '=').next().unwrap_or("")
}

fn is_parameter(name: &str) -> bool {
    registry::find(name).is_some() || registry::derived(name).is_some()
}

/// `#name =` with nothing but a value behind it; `None` for remarks.
fn commented_definition(line: &str) -> Option<&str> {
    let text = line.strip_prefix('#')?;
    let text = text.strip_prefix(' ').unwrap_or(text);
    let name = first_word(text);
    let after = text.get(name.len()..)?.trim_start_matches(is_space);
    (after.starts_with('=') && is_parameter(name)).then_some(name)
}

/// `#name type - - - …`, eight columns.
fn commented_service(line: &str) -> Option<&str> {
    let text = line.strip_prefix('#')?;
    let text = text.strip_prefix(' ').unwrap_or(text);
    if text.starts_with(is_space) {
        return None;
    }
    let mut words = text.split(is_space).filter(|word| !word.is_empty());
    let name = words.next()?;
    let kind = words.next()?;
    let is_service = matches!(kind, "inet" | "unix" | "fifo" | "pass" | "unix-dgram") && words.count() >= 6;
    is_service.then_some(name)
}
