//! How the tools talk to the running server: frames on a UNIX-domain socket, requests one way, replies the other.
//!
//! A frame is a length (four bytes, the highest first) of what follows it, a byte for its kind, and the kind's
//! values. The first frame each way is a greeting with the version; anything else, or another version, ends the
//! conversation. Each direction has a largest frame, which is checked before room is made for it. An envelope is
//! opaque here, as in the spool. Who may ask what is the server's business, and so is the socket. T2.14.

mod codec;
mod reply;
mod request;
mod submission;
#[cfg(test)]
mod tests;

pub use reply::{Cause, Outcome, Reply, State};
pub use request::{Request, Verb};
pub use submission::{Ret, Submission, TEXT_BYTES_MAX, To, TooLong, Trace};

/// The protocol's version: both sides must have the same.
pub const VERSION: u16 = 1;
/// The largest request, kind and values.
pub const REQUEST_BYTES_MAX: usize = 64 << 10;
/// The largest reply. A spool's record is smaller, and so is an envelope.
pub const REPLY_BYTES_MAX: usize = 16 << 20;
/// Messages that one request may name.
pub const IDS_MAX: usize = 1000;
/// Bytes of a length in front of a frame.
pub const HEAD_BYTES: usize = 4;

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Empty, or longer than that direction allows.
    #[error("a frame of {0} bytes")]
    Length(usize),
    /// The kind isn't known.
    #[error("a frame of the unknown kind {0}")]
    Kind(u8),
    /// The values end early.
    #[error("a frame that ends early")]
    Short,
    /// There is more than the values.
    #[error("a frame with {0} bytes too many")]
    Trailing(usize),
    /// A value that can't be.
    #[error("a frame with a bad {0}")]
    Value(&'static str),
}

/// The length that a frame's head tells.
///
/// # Errors
/// Where it is none that may be.
pub fn length(head: [u8; HEAD_BYTES], max: usize) -> Result<usize, FrameError> {
    let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if (1..=max).contains(&length) { Ok(length) } else { Err(FrameError::Length(length)) }
}

/// Reads bytes as either side would, and writes what was understood: it must come out the same.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    if let Ok(request) = Request::decode(bytes) {
        let again = request.encode();
        assert_eq!(Request::decode(again.get(HEAD_BYTES..).unwrap_or_default()).as_ref(), Ok(&request));
    }
    if let Ok(reply) = Reply::decode(bytes) {
        let again = reply.encode();
        assert_eq!(Reply::decode(again.get(HEAD_BYTES..).unwrap_or_default()).as_ref(), Ok(&reply));
    }
}
