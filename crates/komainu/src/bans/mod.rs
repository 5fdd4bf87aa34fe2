//! Who is shut out, while it happens: fail2ban's jails at work, in fail2ban's place or inside the server.
//!
//! What a line means and when somebody is banned is the crate `ban`'s; here are the logs that are read, the clock, what is
//! kept, and the orders of tools. T0.1, T2.18 to T2.21.

pub mod control;
pub mod import;
pub mod order;
mod own;
mod shut_out;
#[allow(dead_code, reason = "the engine that it rouses comes next")]
mod wake;

pub use order::{Answer, Order, Orders};
pub use own::{Own, OwnLine};
pub use shut_out::{Net, Shut, ShutOut, Spared};
