//! One compiled table, and what a lookup gives.

use config::Place;
use std::borrow::Cow;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit<'t> {
    /// The value, `$1` and the like replaced.
    pub value: Cow<'t, str>,
    /// The line that gave it.
    pub place: Place,
}

/// Why there is no answer: neither "found" nor "not found". Postfix answers 451 4.3.0 or 4.3.5.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The table could not be read or understood, and no earlier good one exists.
    #[error("{table} is unavailable. {reason}")]
    Unavailable {
        /// `type:name`.
        table: String,
        /// Why, in Postfix's words.
        reason: String,
    },
    /// This lookup failed (`fail:`, a pattern that ran too long).
    #[error("{table} lookup error for {key:?}")]
    Failed {
        /// `type:name`.
        table: String,
        /// What was asked.
        key: String,
    },
    /// The table needs a socket or a library that this crate hasn't.
    #[error("{table}: this table type is not served yet")]
    NeedsDriver {
        /// `type:name`.
        table: String,
    },
}

/// One table, compiled.
#[derive(Debug)]
pub struct Table {
    pub(crate) name: String,
}

impl Table {
    /// What the table says about `key`.
    ///
    /// # Errors
    /// When it can't say.
    pub fn lookup<'t>(&'t self, _key: &str) -> Result<Option<Hit<'t>>, LookupError> {
        Ok(None)
    }

    /// `type:name`, as Postfix's log writes it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many entries or rules it has.
    #[must_use]
    pub fn entries(&self) -> usize {
        0
    }

    /// Whether every lookup fails.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        false
    }

    /// Whether two lookups of one key may give two answers (`randmap:`): a caller that asks again must remember.
    #[must_use]
    pub fn is_random(&self) -> bool {
        false
    }
}
