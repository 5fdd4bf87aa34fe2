//! Where a word stands: file, line, column. Every value that came from a file keeps its place.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One file as it was read; places point into it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SourceFile {
    /// As the administrator named it.
    pub path: PathBuf,
    /// The whole text. Bytes that are no UTF-8 were replaced when it was read.
    pub text: String,
}

/// Where the lines of a text begin: for who asks for many places of one file, since [`Place::line`] and
/// [`Place::column`] count anew each time.
#[derive(Clone, Debug)]
pub struct LineStarts {
    starts: Vec<usize>,
    /// Characters before each block.
    characters: Vec<usize>,
}

/// Bytes after which characters are counted anew: a line may have millions.
const BLOCK: usize = 1024;

impl LineStarts {
    /// The lines of `text`.
    #[must_use]
    pub fn of(text: &str) -> LineStarts {
        let behind = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let mut sum = 0;
        let characters = text.as_bytes().chunks(BLOCK).map(|block| {
            let before = sum;
            sum += characters(block);
            before
        });
        LineStarts { characters: characters.collect(), starts: std::iter::once(0).chain(behind).collect() }
    }

    /// The line, counted from 1, in which the byte `at` stands.
    #[must_use]
    pub fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at)
    }

    /// Where line `number` begins; `None` past the last.
    #[must_use]
    pub fn start(&self, number: usize) -> Option<usize> {
        self.starts.get(number.checked_sub(1)?).copied()
    }

    /// The column in characters, counted from 1, of the byte `at` of `text`, the same as before.
    #[must_use]
    pub fn column(&self, text: &str, at: usize) -> usize {
        let before = |at: usize| {
            let block = at / BLOCK;
            let rest = text.as_bytes().get(block * BLOCK..at).unwrap_or_default();
            self.characters.get(block).copied().unwrap_or(0) + characters(rest)
        };
        let at = at.min(text.len());
        let from = self.start(self.line(at)).unwrap_or(0);
        before(at).saturating_sub(before(from)) + 1
    }
}

/// The characters that begin in `bytes` of a text.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// A stretch of a file, or a word that no file holds (a default, a command line).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Where it stands; `None` for what no file holds.
    pub file: Option<Arc<SourceFile>>,
    /// Byte offset in the file's text.
    pub start: usize,
    /// Byte offset behind the last byte.
    pub end: usize,
}

/// A value and the place it came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub place: Place,
}

impl Place {
    /// The place of what no file holds.
    #[must_use]
    pub const fn nowhere() -> Place {
        Place { file: None, start: 0, end: 0 }
    }

    /// The bytes `start..end` of `file`.
    #[must_use]
    pub fn new(file: &Arc<SourceFile>, start: usize, end: usize) -> Place {
        Place { file: Some(Arc::clone(file)), start, end }
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.file.as_deref().map(|file| file.path.as_path())
    }

    /// Line, counted from 1; 0 for what no file holds.
    #[must_use]
    pub fn line(&self) -> usize {
        self.before().map_or(0, |text| text.bytes().filter(|&b| b == b'\n').count() + 1)
    }

    /// Column in characters, counted from 1; 0 for what no file holds.
    #[must_use]
    pub fn column(&self) -> usize {
        self.before().map_or(0, |text| {
            let line = text.rsplit_once('\n').map_or(text, |(_, line)| line);
            line.chars().count() + 1
        })
    }

    /// What stands there.
    #[must_use]
    pub fn text(&self) -> &str {
        self.file.as_deref().and_then(|file| file.text.get(self.start..self.end)).unwrap_or("")
    }

    fn before(&self) -> Option<&str> {
        self.file.as_deref().and_then(|file| file.text.get(..self.start))
    }
}

impl fmt::Display for Place {
    /// `path:line:column`, which terminals and editors open.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path() {
            Some(path) => write!(f, "{}:{}:{}", path.display(), self.line(), self.column()),
            None => f.write_str("(built in)"),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T> Spanned<T> {
    /// `value`, from `place`.
    pub const fn new(value: T, place: Place) -> Spanned<T> {
        Spanned { value, place }
    }

    /// The same place with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: f(self.value), place: self.place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_those_of_places() {
        let long = "ä".repeat(3000);
        for text in ["", "a", "a\nb\n", "\n\n", "ü\näb\r\nc", &format!("x\n{long}y\n{long}\n")] {
            let file = Arc::new(SourceFile { path: "x".into(), text: text.to_owned() });
            let starts = LineStarts::of(text);
            for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                let place = Place::new(&file, at, at);
                let found = (starts.line(at), starts.column(text, at));
                assert_eq!(found, (place.line(), place.column()), "{at} of {} bytes", text.len());
            }
        }
    }
}
