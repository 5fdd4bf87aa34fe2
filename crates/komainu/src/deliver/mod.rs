//! The way out of the spool: the queue's driver and the delivery agents.
//!
//! `queue::Scheduler` says what to try; [`manager`] has it done. Here are delivery to Maildirs (`virtual`, `local`),
//! `discard`, other servers over SMTP and LMTP ([`smtp`]), and the reports that senders get ([`reports`]); pipes are
//! not here yet.

pub mod agent;
pub mod command;
pub mod ending;
mod local;

pub mod mailbox_file;
pub mod maildir;
pub mod manager;
mod orders;
mod piped;
pub mod refusal;
mod reports;
pub mod smtp;
pub mod status_filter;
pub mod target;
pub mod verify;
pub mod wording;
mod work;

pub use local::Memory;
pub use manager::{Manager, QueueHandle};
