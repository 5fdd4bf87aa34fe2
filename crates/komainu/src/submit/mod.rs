//! Handing a message in, as `sendmail` does: to the running server, or into the maildrop where none answers.
//!
//! No rights are needed for either. Success means that the message is durable: in the server's spool, or in a file of
//! the maildrop. A server that breaks off before it has said so may have it all the same; then it comes twice, never not
//! at all. Reading what is handed in is [`held`]'s and the command's business. docs/internals/maildrop.md; T2.14.

mod dropped;
pub(crate) mod held;
pub(crate) mod senders;

use crate::queued::running::Connection;
use held::Held;
use mail::QueueId;
use proto::control::{Cause, Request, Submission, To, TooLong};
use std::io;
use std::path::{Path, PathBuf};

/// Content in one frame.
const CHUNK_BYTES: usize = 48 << 10;

/// A message with its envelope.
pub(crate) struct Letter {
    pub(crate) submission: Submission,
    pub(crate) to: Vec<To>,
    pub(crate) content: Held,
}

/// Where it is now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// In the server's queue.
    Queued(QueueId),
    /// In the maildrop.
    Dropped,
}

/// Why it isn't taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    /// The server won't have it from this user, or not this message.
    #[error("{1}")]
    Refused(Cause, String),
    /// No frame may hold it: neither the server nor who reads the maildrop would take it.
    #[error("queue file write error")]
    TooLong(TooLong),
    /// There is no maildrop, or it can't be written to.
    #[error("create file {path}: {source}", path = path.display())]
    Drop {
        /// The file or its folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Hands `letter` to whoever has the state folder.
///
/// # Errors
/// [`SubmitError`]; then nobody has it.
pub(crate) fn submit(state: &Path, letter: &mut Letter) -> Result<Accepted, SubmitError> {
    letter.submission.keep_in_lines();
    letter.to.iter_mut().for_each(To::keep_in_lines);
    letter.submission.fits().map_err(SubmitError::TooLong)?;
    letter.to.iter().try_for_each(To::fits).map_err(SubmitError::TooLong)?;
    if let Ok(Some(mut server)) = Connection::open(state) {
        match server.submit(letter) {
            Ok(id) => return Ok(Accepted::Queued(id)),
            Err(crate::queued::QueueError::Refused(
                cause @ (Cause::Forbidden | Cause::TooLarge | Cause::Protocol),
                text,
            )) => return Err(SubmitError::Refused(cause, text)),
            // It is busy, stopping, or its disk is full: it finds the message when it is better.
            Err(_) => {}
        }
    }
    dropped::put(&state.join(crate::pickup::maildrop::NAME), letter)?;
    Ok(Accepted::Dropped)
}

/// The frames of a letter behind its `Submit`, one after the other.
pub(crate) fn frames<E: From<io::Error>>(
    letter: &mut Letter,
    mut each: impl FnMut(&Request) -> Result<(), E>,
) -> Result<(), E> {
    let mut to = letter.to.as_slice();
    while !to.is_empty() {
        let (some, rest) = To::frame_of(to);
        each(&Request::To(some.to_vec()))?;
        to = rest;
    }
    letter.content.read(CHUNK_BYTES, &mut |bytes| each(&Request::Content(bytes.to_vec())))?;
    each(&Request::End)
}
