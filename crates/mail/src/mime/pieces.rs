//! Chunks of a message become lines, and long lines pieces of `line_length_limit` bytes, as Postfix's records are.
//!
//! A piece that lies within a chunk isn't copied; what is held between chunks is shorter than one piece.

use std::borrow::Cow;

/// Where lines and pieces of lines are put together.
#[derive(Clone, Debug)]
pub struct Pieces {
    held: Vec<u8>,
    piece_bytes: usize,
}

/// A line without its line end, or a piece of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<'c> {
    /// The text.
    pub text: Cow<'c, [u8]>,
    /// The line ends behind it.
    pub ends: bool,
}

impl Pieces {
    /// Pieces are no longer than `piece_bytes`.
    #[must_use]
    pub fn new(piece_bytes: usize) -> Pieces {
        Pieces { held: Vec::new(), piece_bytes: piece_bytes.max(1) }
    }

    /// The next piece that is whole, taken off `chunk`. `None` when all of `chunk` is taken.
    pub fn next<'c>(&mut self, chunk: &mut &'c [u8]) -> Option<Piece<'c>> {
        let room = self.piece_bytes.saturating_sub(self.held.len()).max(1);
        let window = chunk.get(..chunk.len().min(room)).unwrap_or_default();
        let Some(at) = memchr::memchr(b'\n', window) else {
            if window.len() < room {
                self.held.extend_from_slice(window);
                *chunk = &[];
                return None;
            }
            let (text, behind) = chunk.split_at_checked(room)?;
            *chunk = behind;
            return Some(self.put(text, false));
        };
        let (text, behind) = chunk.split_at_checked(at)?;
        *chunk = behind.get(1..).unwrap_or_default();
        Some(self.put(text, true))
    }

    fn put<'c>(&mut self, text: &'c [u8], ends: bool) -> Piece<'c> {
        if self.held.is_empty() {
            return Piece { text: Cow::Borrowed(text), ends };
        }
        self.held.extend_from_slice(text);
        Piece { text: Cow::Owned(std::mem::take(&mut self.held)), ends }
    }

    /// What is left of the last line, which had no end.
    #[must_use]
    pub fn rest(&mut self) -> Option<Vec<u8>> {
        (!self.held.is_empty()).then(|| std::mem::take(&mut self.held))
    }
}
