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

    /// The logical lines, and a notice for each physical line that continues nothing.
    pub(crate) fn lines(&self) -> (Vec<Line<'_>>, Vec<Notice>) {
        let mut lines: Vec<Line<'_>> = Vec::new();
        let mut notices = Vec::new();
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
            if trimmed.len() == raw.len() {
                let malformed = self.lossy && raw.contains(char::REPLACEMENT_CHARACTER);
                lines.push(Line { number: index + 1, start: from, end, text: Cow::Borrowed(raw), malformed });
            } else if let Some(line) = lines.last_mut() {
                line.text.to_mut().push_str(raw);
                line.end = end;
                line.malformed |= self.lossy && raw.contains(char::REPLACEMENT_CHARACTER);
            } else {
                let place = Place::new(&self.file, from, end);
                notices.push(Notice::stray_continuation(place, &self.file.path, raw));
            }
        }
        for line in &mut lines {
            let kept = line.text.trim_end_matches(is_space).len();
            match &mut line.text {
                Cow::Borrowed(text) => *text = text.get(..kept).unwrap_or(text),
                Cow::Owned(text) => text.truncate(kept),
            }
        }
        (lines, notices)
    }
}
