//! A message on its way into the spool, and its size as Postfix would log it.

use mail::message::RecordSize;
use store::{Incoming, SpoolError};

/// One message.
pub(crate) struct Counted {
    incoming: Incoming,
    size: RecordSize,
}

impl Counted {
    pub(crate) fn new(incoming: Incoming) -> Counted {
        Counted { incoming, size: RecordSize::default() }
    }

    /// Its number in the spool.
    pub(crate) fn number(&self) -> u64 {
        self.incoming.number()
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        self.size.feed(bytes);
        self.incoming.write(bytes)
    }

    /// What was written, from `offset` on.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, SpoolError> {
        self.incoming.read_at(buffer, offset)
    }

    /// Forgets what stands behind the first `size` bytes; [`Counted::recount`] is to follow.
    pub(crate) fn truncate(&mut self, size: u64) -> Result<(), SpoolError> {
        self.incoming.truncate(size)
    }

    /// Puts `front` in place of the first `length` bytes; [`Counted::recount`] is to follow.
    pub(crate) fn replace_front(&mut self, length: u64, front: &[u8]) -> Result<(), SpoolError> {
        self.incoming.replace_front(length, front)
    }

    /// Counts anew what was changed.
    pub(crate) fn recount(&mut self) -> Result<(), SpoolError> {
        let (mut size, mut window, mut at) = (RecordSize::default(), vec![0; 64 << 10], 0);
        loop {
            let read = self.incoming.read_at(&mut window, at)?;
            if read == 0 {
                break;
            }
            size.feed(window.get(..read).unwrap_or_default());
            at = at.saturating_add(read as u64);
        }
        self.size = size;
        Ok(())
    }

    /// Bytes that stand in it.
    pub(crate) fn written(&self) -> u64 {
        self.incoming.size()
    }

    /// For `size=`.
    pub(crate) fn size(&self) -> u64 {
        self.size.bytes()
    }

    /// For the spool.
    pub(crate) fn into_incoming(self) -> Incoming {
        self.incoming
    }
}
