//! A warning about one line of a table source: Postfix's words, and the diagnostic that `check` and the log show.
//!
//! The codes K03xx of this crate stand here.

use super::printable;
use config::{Diagnostic, Place};
use std::path::Path;

/// K0301: the word names no table type that exists.
pub const UNKNOWN_TYPE: u16 = 301;
/// K0302: the name behind the type is not of the type's form.
pub const BAD_NAME: u16 = 302;
/// K0303: a table type that is not served yet.
pub const NOT_SERVED: u16 = 303;
/// K0304: the table's source can't be read.
pub const UNREADABLE: u16 = 304;
/// K0305: a line that has no effect.
pub const LINE_SKIPPED: u16 = 305;
/// K0306: a line that works otherwise than it looks.
pub const LINE_ODD: u16 = 306;
/// K0307: a key that stands there twice.
pub const DUPLICATE: u16 = 307;
/// K0308: an edit that is held back: the table would lose most of its entries, or rules.
pub const HELD_BACK: u16 = 308;
/// K0309: an edit that broke the table: the last good one stays in force.
pub const KEPT_LAST_GOOD: u16 = 309;
/// K0311: a table behind a socket for what must not hang on it.
pub const UNTRUSTED: u16 = 311;
/// K0310: a pattern of a match list that can't match.
pub const BAD_PATTERN: u16 = 310;
/// K0320: the file that postmap made is newer than its text and has other rows: it is served.
pub const DATABASE_NEWER: u16 = 320;
/// K0321: the file that postmap made is newer than its text and can't be read: the text is served.
pub const DATABASE_UNREADABLE: u16 = 321;

/// What Postfix would warn about when it reads a table source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// One of the codes above.
    pub code: u16,
    /// The line.
    pub place: Place,
    /// Postfix's text behind the line number.
    pub text: String,
    /// Postfix's whole text behind `warning: `.
    pub postfix: String,
    /// What follows from it, and what to write.
    pub help: Option<String>,
}

impl Notice {
    /// About line `number` of a table whose warnings start with `title`.
    pub(crate) fn line(code: u16, place: Place, title: &str, number: usize, text: String) -> Notice {
        let postfix = format!("{title}, line {number}: {text}");
        Notice { code, place, text, postfix, help: None }
    }

    pub(crate) fn stray_continuation(place: Place, path: &Path, raw: &str) -> Notice {
        const SHOWN_BYTES_MAX: usize = 30;
        let shown = match raw.as_bytes().get(..SHOWN_BYTES_MAX) {
            Some(head) if raw.len() > SHOWN_BYTES_MAX => format!("{}...", String::from_utf8_lossy(head)),
            _ => raw.to_owned(),
        };
        let text = format!("logical line must not start with whitespace: \"{}\"", printable(&shown));
        let postfix = format!("{}: {text}", path.display());
        Notice { code: LINE_SKIPPED, place, text, postfix, help: None }
    }

    /// With a word on what to do.
    pub(crate) fn help(self, help: impl Into<String>) -> Notice {
        Notice { help: Some(help.into()), ..self }
    }

    /// Whether something that the administrator wrote has no effect.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        self.code == LINE_SKIPPED
    }

    /// As it is shown by `check` and the log.
    #[must_use]
    pub fn diagnostic(&self) -> Diagnostic {
        let diagnostic = Diagnostic::warning(self.code, self.place.clone(), self.text.clone());
        match (&self.help, self.code) {
            (Some(help), _) => diagnostic.help(help.as_str()),
            (None, LINE_SKIPPED) => diagnostic.help("this line has no effect, here or in Postfix"),
            (None, _) => diagnostic,
        }
    }
}
