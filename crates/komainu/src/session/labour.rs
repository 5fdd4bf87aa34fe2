//! Content that takes long to look at: patterns that backtrack, archives that unpack to much.
//!
//! A session's thread is everybody's. Content is looked at a piece at a time, and once a piece has taken long, the rest
//! of the message waits for one of a few turns, in which its thread is its own; whoever else is on it goes on elsewhere.

use super::Session;
use std::sync::LazyLock;
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

/// Bytes looked at together.
const PIECE_BYTES: usize = 4096;
/// What takes longer is hard work.
const HARD: Duration = Duration::from_millis(2);

/// So many may work hard at once: half of the processors are for everybody else.
static TURNS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, |cores| cores.get() / 2).max(1)));

/// How hard the present message is.
#[derive(Debug, Default)]
pub(super) struct Labour {
    is_hard: bool,
    unread: Vec<u8>,
}

impl Session {
    /// One piece of the content; whether it waits for [`Session::receive_slowly`].
    pub(super) fn receive(&mut self, chunk: &[u8]) -> bool {
        let begins = self.content_begins();
        if begins {
            self.labour = Labour::default();
        }
        if !begins && !self.looks() {
            return self.take_in(chunk);
        }
        let (mut waits, mut rest) = (false, chunk);
        while !rest.is_empty() {
            if self.labour.is_hard {
                self.labour.unread.extend_from_slice(rest);
                return true;
            }
            let (piece, behind) = rest.split_at_checked(PIECE_BYTES).unwrap_or((rest, &[]));
            let began = crate::clock::now().mono;
            waits |= self.take_in(piece);
            self.labour.is_hard = crate::clock::now().mono - began > HARD;
            rest = behind;
        }
        waits
    }

    /// What is hard work, and headers that wait for tables behind sockets.
    pub(super) async fn receive_slowly(&mut self) {
        let unread = std::mem::take(&mut self.labour.unread);
        if !unread.is_empty() {
            in_turn(|| {
                for piece in unread.chunks(PIECE_BYTES) {
                    self.take_in(piece);
                }
            })
            .await;
        }
        self.settle_content().await;
    }

    /// As [`Session::receive`]: the end of what attachments are told by.
    pub(super) fn end_scan(&mut self) {
        if self.labour.is_hard {
            apart(|| self.attachments_end());
        } else {
            self.attachments_end();
        }
    }
}

/// Works hard, in its turn.
pub(crate) async fn in_turn<T>(work: impl FnOnce() -> T) -> T {
    let _turn = TURNS.acquire().await;
    apart(work)
}

/// Has the thread for itself meanwhile.
fn apart<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
