//! Stop-gap until `mail::message` is there.

use super::Session;
use crate::clock;
use mail::{Address, Reply};

pub(super) struct Cleanup {}

#[derive(Default)]
pub(super) struct Summary {
    pub(super) message_id: String,
    pub(super) refused: Option<Reply>,
}

impl Cleanup {
    pub(super) fn new(_settings: ()) -> Cleanup {
        Cleanup {}
    }
    pub(super) fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(chunk);
    }
    pub(super) fn finish(self, _out: &mut Vec<u8>) -> Summary {
        Summary::default()
    }
}

impl Session {
    pub(super) fn cleanup_settings(&self) {}

    pub(super) fn received_header(&self) -> String {
        let _ = clock::now();
        format!("Received: from {}\n", self.tx.helo.as_deref().unwrap_or("x"))
    }

    pub(super) fn rewritten(&self, address: &Address) -> Address {
        address.clone()
    }
}
