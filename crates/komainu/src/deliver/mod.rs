//! The way out of the spool: the queue's driver and the delivery agents.
//!
//! `queue::Scheduler` says what to try; [`manager`] does it. Here are delivery to Maildirs (`virtual`,
//! `local`) and `discard`; SMTP, LMTP, pipes and bounces come with the queue issue, on the same spool.

pub mod agent;
pub mod maildir;
pub mod manager;
pub mod target;

pub use manager::{Manager, QueueHandle};
