//! Logging in (SASL, RFC 4422) without sockets: [`client`] logs in, [`server`] is the side that is logged in to.
//!
//! Where the exchange stands in SMTP is `smtp`'s; who is known and whose password is right is the program's.

pub mod client;
pub mod md5;
pub mod scram;
pub mod server;
