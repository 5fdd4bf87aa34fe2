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
