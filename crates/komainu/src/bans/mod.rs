//! Who is shut out, while it happens: fail2ban's jails at work, in fail2ban's place or inside the server.
//!
//! What a line means and when somebody is banned is the crate `ban`'s; here are the logs that are read, the clock, what is
//! kept, and the orders of tools. T0.1, T2.18 to T2.21.

mod causes;
mod cell;
pub mod control;
pub mod engine;
pub mod files;
mod findings;
mod friends;
mod hands;
mod hours;
pub mod import;
mod inquiries;
mod journal;
mod kept;
mod names;
pub mod order;
mod own;
mod piped;
pub(crate) mod run;
pub mod says;
pub mod settings;
mod shut_out;
mod tail;
mod wake;
mod watch;

pub(crate) use cell::{LATE_S, UNDER_WAY_S};
pub use engine::{Engine, Setup};
pub use findings::findings;
pub use hands::Hands;
pub use order::{Answer, Order, Orders};
pub use own::{Call, Own, OwnLine, OwnLog, Rouse, Told, Tried};
pub use says::BanLog;
pub use shut_out::{Ban, Net, Shut, ShutOut, Spared};
pub use tail::{Direct, Opener};
pub use wake::Waker;
