//! The text of a table source, before any type's own rules: logical lines, warnings with line numbers.
//!
//! A logical line starts with text; a line that starts with white space continues it, also across comments and
//! empty lines (postmap(1), access(5)). Bytes that are no UTF-8 are replaced, and the line is known for it.

pub(crate) mod braces;
pub mod notice;

use config::{Place, SourceFile};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

pub use notice::Notice;

/// One table's text as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) file: Arc<SourceFile>,
    lossy: bool,
}

/// Text that starts with text, and what continues it.
#[derive(Clone, Debug)]
pub(crate) struct Line<'s> {
    /// The number of its first line, from 1.
    pub(crate) number: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) text: Cow<'s, str>,
    /// Bytes that are no UTF-8 stood here.
    pub(crate) malformed: bool,
}

/// What C's `isspace` holds for white space.
pub(crate) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

impl Source {
    pub(crate) fn new(path: &Path, bytes: Vec<u8>) -> Source {
        let (text, lossy) = match String::from_utf8(bytes) {
            Ok(text) => (text, false),
            Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), true),
        };
        Source { file: Arc::new(SourceFile { path: path.to_owned(), text }), lossy }
    }

    pub(crate) fn place(&self, line: &Line<'_>) -> Place {
        Place::new(&self.file, line.start, line.end)
    }

    /// The logical lines, and a notice for each that starts with white space.
    pub(crate) fn lines(&self) -> (Vec<Line<'_>>, Vec<Notice>) {
        let mut lines: Vec<Line<'_>> = Vec::new();
        let mut stray: Option<Line<'_>> = None;
        let mut start = 0;
        for (index, raw) in self.file.text.split_inclusive('\n').enumerate() {
            let from = start;
            start += raw.len();
            let raw = raw.strip_suffix('\n').unwrap_or(raw);
            let trimmed = raw.trim_start_matches(is_space);
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let end = from + raw.len();
            let malformed = self.lossy && raw.contains(char::REPLACEMENT_CHARACTER);
            let line = Line { number: index + 1, start: from, end, text: Cow::Borrowed(raw), malformed };
            if trimmed.len() == raw.len() {
                lines.push(line);
                continue;
            }
            match lines.last_mut().or(stray.as_mut()) {
                Some(line) => {
                    line.text.to_mut().push_str(raw);
                    line.end = end;
                    line.malformed |= malformed;
                }
                None => stray = Some(line),
            }
        }
        let notice =
            |line: Line<'_>| Notice::stray_continuation(self.place(&line), &self.file.path, &line.text);
        (lines, stray.map(notice).into_iter().collect())
    }
}

impl Line<'_> {
    /// The text without white space at its end.
    pub(crate) fn trimmed(&self) -> &str {
        self.text.trim_end_matches(is_space)
    }
}

/// `text` as Postfix logs it: a question mark for what doesn't print.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_control() || c == char::REPLACEMENT_CHARACTER { '?' } else { c })
        .collect()
}
