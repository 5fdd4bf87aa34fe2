//! What happened, as typed events, and their text: Postfix's log lines byte for byte.
//!
//! The server says what it does with an [`Event`]; [`Line`] puts time, host, program and process before it.
//! `Display` writes the line as Postfix would have, [`Line::json`] one JSON object, and [`Line::parse`] reads
//! a line back, our own as well as those of a stock Postfix, postgrey, Dovecot: `parse(display(e)) == e`, and
//! what no pattern knows stays whole as [`Event::Other`], so that nothing of a log is lost.
//!
//! Parsing borrows from the line. There is no I/O here and no clock: whoever writes says what time it is, and
//! following a log file, rotation and syslog sockets are the program's business. RFC 3164, RFC 5424 (the
//! stamps); T1.11, T2.17, T2.21, T2.22.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::disallowed_methods, clippy::disallowed_types)]

#[macro_use]
mod record;

pub mod check;
pub mod daemon;
pub mod delivery;
pub mod event;
pub mod fail2ban;
pub mod foreign;
pub mod json;
pub mod judged;
pub mod line;
pub mod own;
pub mod queue;
pub mod screen;
pub mod smtpd;
pub mod stamp;
pub mod text;
pub mod tls;

mod scan;

pub use event::{Event, Severity};
pub use line::Line;
pub use record::{Record, Text};
pub use stamp::Stamp;

/// The syslog facility of every line: mail (RFC 5424 §6.2.1).
pub const FACILITY: u8 = 2;
