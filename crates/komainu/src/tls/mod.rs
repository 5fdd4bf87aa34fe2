//! TLS, for whichever side needs it: files read, settings mapped, certificates judged, log lines worded.
//!
//! rustls speaks, with ring: TLS 1.2 and 1.3, ciphers that give forward secrecy. What main.cf asks for beyond that
//! (TLS 1.0, SSL 3, anonymous or static RSA ciphers) can't be had, and `check` says so. A certificate never ends a
//! handshake here: it is judged afterwards ([`judge`]), resumed sessions too, because Postfix logs how far it believed
//! whom. RFC 8446, RFC 5246, RFC 6125.

pub mod apart;
pub mod client;
mod clients;
pub mod files;
pub mod fingerprint;
pub mod judge;
pub mod names;
pub mod server;
pub mod settings;
mod signatures;
pub mod summary;
