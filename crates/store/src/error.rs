//! What can go wrong with the spool, named by what was tried.

use std::io;
use std::sync::Arc;

/// Why a spool operation failed. Cheap to clone: one failed flush answers many commits.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SpoolError {
    /// No room: 452 4.3.1. A later attempt looks again.
    #[error("no space left in the mail spool")]
    Full,
    /// The envelope or note is larger than a record may be.
    #[error("record of {size} bytes is larger than the spool takes ({limit})")]
    TooLarge {
        /// What was asked for.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// No message of that number is queued (any more).
    #[error("message {0:X} is not in the spool")]
    NotFound(u64),
    /// The record or body of this message doesn't match its checksum.
    #[error("message {0:X} is corrupt")]
    Corrupt(u64),
    /// The flush or write that this operation shared failed. Nothing of it counts.
    #[error("writing the spool's log: {0}")]
    Write(Arc<io::Error>),
    /// Writing or flushing a body file failed.
    #[error("writing body of message {number:X}: {source}")]
    Body {
        /// The message.
        number: u64,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Two flushes in different segments failed: nothing is written until the spool is opened anew.
    #[error("the spool takes no writes since its disk failed")]
    ReadOnly,
    /// Another process has this spool open for writing.
    #[error("the spool is in use by another process")]
    InUse,
    /// The spool is being closed.
    #[error("the spool is closed")]
    Closed,
    /// Opening or reading: `what` was tried on `path`.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried: "open", "list" …
        what: &'static str,
        /// Relative to the spool directory.
        path: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

impl SpoolError {
    /// Whether trying again later makes sense without a person doing something first.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        !matches!(self, SpoolError::TooLarge { .. } | SpoolError::NotFound(_) | SpoolError::Corrupt(_))
    }

    /// Whether the cause is a lack of room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, SpoolError::Full)
    }

    pub(crate) fn io(what: &'static str, path: &str, source: io::Error) -> SpoolError {
        if is_no_room(&source) {
            return SpoolError::Full;
        }
        SpoolError::Io { what, path: path.to_owned(), source: Arc::new(source) }
    }
}

/// Whether the system said that disk or quota is full.
pub(crate) fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
