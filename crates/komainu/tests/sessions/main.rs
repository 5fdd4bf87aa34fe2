//! Sessions over memory, in this process: clients that take their time, with the clock moved, and very many of them.
//!
//! What a process has besides (sockets, descriptors, signals) is in `tests/serve`; what is said, the dialogues show.

#![expect(clippy::expect_used, reason = "a test may fail by panicking, and says aloud what it measured")]

mod guesses;
mod house;
mod many;
mod shut_out;
mod slow;

/// As in the program: what a session costs depends on it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
