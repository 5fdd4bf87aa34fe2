//! What is said to the administrator about what the administrator wrote.
//!
//! Functions that read configuration return `(T, Vec<Diagnostic>)` and go on: one typo never hides the next.

use crate::place::Place;
use std::fmt;

/// How bad it is, by consequence: what opens a relay, refuses all mail or loses mail is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Works, and could be written better.
    Hint,
    /// Has no effect, or another one than its writer thinks.
    Warning,
    /// Would refuse, lose or leak mail: a reload with one is refused.
    Error,
}

/// A stable name, `K0107`; docs/diagnostics/ has a page for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

/// One edit that mends the matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What is replaced.
    pub place: Place,
    /// By what.
    pub replacement: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its stable name.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub place: Place,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What it would cause, or what to write instead.
    pub help: Option<String>,
    /// A repair that is safe to apply.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: u16, place: Place, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, code, place, message.into())
    }

    /// A warning.
    pub fn warning(code: u16, place: Place, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, code, place, message.into())
    }

    /// A hint.
    pub fn hint(code: u16, place: Place, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Hint, code, place, message.into())
    }

    fn new(severity: Severity, code: u16, place: Place, message: String) -> Diagnostic {
        Diagnostic { code: Code(code), severity, place, message: readable(message), help: None, fix: None }
    }

    /// With a word on what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(readable(help.into()));
        self
    }

    /// With a repair: `replacement` in `place`.
    #[must_use]
    pub fn fix(mut self, place: Place, replacement: impl Into<String>) -> Diagnostic {
        self.fix = Some(Fix { place, replacement: replacement.into() });
        self
    }
}

/// What is quoted in a finding may be a line of megabytes: nobody reads it, and a hundred of them fill the memory.
const TEXT_BYTES_MAX: usize = 4_000;

/// `text`, its middle left out where it is too long.
fn readable(text: String) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    let half = TEXT_BYTES_MAX / 2;
    let (begin, end) = (text.floor_char_boundary(half), text.ceil_char_boundary(text.len() - half));
    format!("{} … {}", text.get(..begin).unwrap_or(""), text.get(end..).unwrap_or(""))
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "K{:04}", self.0)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Hint => "hint",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

impl fmt::Display for Diagnostic {
    /// One line, for logs: `path:line:column: error[K0107]: message; help`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}[{}]: {}", self.place, self.severity, self.code, self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}
