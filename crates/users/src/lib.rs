//! Who may log in: the users' file in Dovecot's passwd-file format, and passwords as they are stored.
//!
//! [`file`] reads the file and says what is wrong with it, [`edit`] changes lines of it and leaves the rest alone,
//! [`stored`] judges passwords by `{SCHEME}hash`, [`make`] makes new ones. What a log-in costs is known before it is
//! paid ([`stored::Stored::cost`]), so that a name that nobody has can cost as much. No file, no clock and no dice here:
//! texts and random bytes are arguments. Exchanges with clients are `proto::sasl`'s. T2.5.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::disallowed_methods, clippy::disallowed_types)]

pub mod crypt;
pub mod edit;
pub mod file;
pub mod make;
pub mod stored;

pub use file::{Account, Users};
pub use stored::{Cost, Stored};
