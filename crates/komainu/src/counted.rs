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

    /// For `size=`.
    pub(crate) fn size(&self) -> u64 {
        self.size.bytes()
    }

    /// For the spool.
    pub(crate) fn into_incoming(self) -> Incoming {
        self.incoming
    }
}
