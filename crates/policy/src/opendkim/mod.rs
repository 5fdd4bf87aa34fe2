//! OpenDKIM's work by its own opendkim.conf: whose mail is signed with which key, whose is verified, and what is said of
//! it. Behaviour as Debian's OpenDKIM 2.11 shows it; its manual pages are opendkim.conf(5) and opendkim(8).
//!
//! Everything here is decided without the DNS and the clock: who drives it asks for keys, hashes and signs (`mail::dkim`).
//! T2.28. Deliberately not here: databases, Lua, statistics, reports by mail.

mod conf;
mod dataset;
mod decide;
mod said;
mod signing;
#[cfg(test)]
mod tests;

pub use conf::{Conf, On, PATH, SHOULD_SIGN};
pub use dataset::Dataset;
pub use decide::{Brought, Role, decide};
pub use said::{Action, Said, replies, said};
pub use signing::{Key, Keys, Request};
