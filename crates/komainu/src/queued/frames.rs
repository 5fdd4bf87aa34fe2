//! Frames of `proto::control` on a stream. Nothing larger than the direction allows is taken.

use proto::control::{HEAD_BYTES, length};
use std::io::{self, Read};

/// The next frame without its length; `None` where the other side has ended.
///
/// # Errors
/// What the stream says, and `InvalidData` for a length that can't be.
pub(crate) fn read_frame(from: &mut impl Read, max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; HEAD_BYTES];
    let mut have = 0;
    while let Some(rest) = head.get_mut(have..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) if have == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => have += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let length = length(head, max).map_err(|error| invalid(&error.to_string()))?;
    let mut frame = Vec::new();
    // Room grows with what really comes.
    from.take(length as u64).read_to_end(&mut frame)?;
    if frame.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Some(frame)) }
}

pub(crate) fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}
