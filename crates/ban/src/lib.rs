//! Who is shut out: fail2ban's jails and filters, read unchanged.
//!
//! Configuration comes in as text ([`jails`]), log lines as bytes, time as an argument; what comes out are values.
//! Files, clocks, firewalls and sockets are the program's business. T0.1, T2.18–T2.21.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::disallowed_methods, clippy::disallowed_types)]

pub mod action;
mod automaton;
pub mod brackets;
pub mod date;
pub mod dump;
pub mod filter;
pub mod formula;
pub mod hostile;
pub mod import;
pub mod ini;
pub mod jail;
pub mod jails;
pub mod layers;
pub mod made;
pub mod pattern;
mod review;
pub mod server;
mod session;
mod shipped;
pub mod span;
pub mod sqlite;
mod tags;
pub mod zone;

pub use review::{review_of, uncounted};
