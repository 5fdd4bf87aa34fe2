//! The program: all effects, and the command line.
//!
//! The pure crates say what is to be done; here are the sockets, clocks, files and processes that do it.

pub mod authentication;
pub mod bans;
pub mod check;
pub mod cleanup;
pub mod cli;
pub mod clock;
pub mod configuration;
mod counted;
pub mod deliver;
pub mod explain;
pub mod facts;
pub mod firewall;
pub mod greylisting;
mod kept_rows;
pub mod live;
pub mod log;
mod pickup;
pub mod privileged;
mod queued;
mod reporting;
pub mod serve;
pub mod session;
mod strerror;
mod submit;
pub mod tls;
