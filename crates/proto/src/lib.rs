//! Conversations without sockets: each is a value that takes bytes and points in time, and gives bytes
//! and things to do. The program drives them.
//!
//! [`smtp`] is the server's side of SMTP, [`client`] the other one, of LMTP too; [`screen`] is what a client goes
//! through before it; [`policy`] is the policy delegation protocol, both sides; [`lookup`] asks tables behind sockets; [`milter`] asks filters;
//! [`sasl`] is how one logs in;
//! [`proxy`] is what a proxy says first about the client behind it; [`control`] is how the tools talk to the server. None knows restrictions or files.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::disallowed_methods, clippy::disallowed_types)]

pub mod client;
pub mod control;
pub mod escape;
pub mod lookup;
pub mod milter;
pub mod policy;
pub mod proxy;
pub mod relayed;
pub mod sasl;
pub mod screen;
pub mod smtp;
pub mod transcript;
