//! The way out of the spool: the queue's driver and the delivery agents.
//!
//! `queue::Scheduler` says what to try; [`manager`] has it done. Here are delivery to mailboxes (`virtual`, `local`) and
//! programs (`pipe`), `discard`, other servers over SMTP and LMTP ([`smtp`]), and the reports that senders get
//! ([`reports`]).

pub mod agent;
pub mod command;
pub mod ending;
mod filtered;
mod local;

pub mod mailbox_file;
pub mod maildir;
pub mod manager;
mod orders;
mod piped;
pub mod quota;
pub mod refusal;
mod reports;
pub mod smtp;
pub mod status_filter;
pub mod target;
pub mod unfinished;
pub mod verify;
pub mod virtual_boxes;
pub mod wording;
mod work;

pub use filtered::Filters;
pub use local::Memory;
pub use manager::{Manager, QueueHandle};
