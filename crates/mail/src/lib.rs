//! The field's own words: what every other crate speaks in.
//!
//! Addresses, queue ids, replies, delivery status codes, points in time, and the reader that makes a
//! message out of bytes. Everything here is a value: no I/O, no clock, no configuration.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::disallowed_methods, clippy::disallowed_types)]

pub mod address;
pub mod attachment;
pub mod authentication_results;
pub mod base64;
pub mod bounce_template;
pub mod delivered;
pub mod destination;
pub mod dkim;
pub mod header;
pub mod host;
pub mod legible;
pub mod line;
pub mod message;
pub mod mime;
pub mod now;
pub mod queue_id;
pub mod reply;
pub mod report;
pub mod seven_bit;
pub mod time;

pub use address::{Address, AddressList, Member, PathError, PathSyntax};
pub use legible::legible;
pub use now::{Mono, Now, Wall};
pub use queue_id::QueueId;
pub use reply::{Dsn, Reply};
