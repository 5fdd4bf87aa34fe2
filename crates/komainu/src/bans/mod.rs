//! Bans in force: who is shut out of the server's listeners, and the server's own lines as a source of failures.

mod own;
mod shut_out;

pub use own::{Own, OwnLine};
pub use shut_out::{Net, Shut, ShutOut, Spared};
