//! SASL: what logging in needs, without a socket. The client's side; RFC 4422.

pub mod base64;
pub mod client;
pub mod md5;
