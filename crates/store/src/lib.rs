//! What must survive a crash: the spool of accepted messages.
//!
//! An envelope and a note are opaque bytes here; their owner (`queue::Entry`) encodes them. Nothing in this
//! crate knows SMTP, decides when to deliver, or uses an async runtime: completions are closures.
//! Files, states, and the argument why no crash loses a message: docs/internals/queue-states.md.
//! T ids: none of its own; every T-point that accepts mail stands on it.

mod apart;
mod carry;
mod committer;
mod compact;
pub mod disk;
mod error;
mod incoming;
mod index;
pub mod keyed;
pub mod lines;
mod list;
mod log;
mod messages;
mod read;
mod record;
mod recover;
mod scan;
pub mod simdisk;
mod slots;
pub mod spool;

pub use apart::{Apart, envelopes_in, kept_apart};
pub use disk::{Disk, RealDisk};
pub use error::SpoolError;
pub use incoming::Incoming;
pub use index::Digest;
pub use list::fuzz as fuzz_lists;
pub use messages::Brief;
pub use read::{Body, Envelope, Message};
pub use record::fuzz as fuzz_records;
pub use recover::Report;
pub use spool::{Settings, Spool, SpoolReader, Step, SteppedSpool, Usage};
