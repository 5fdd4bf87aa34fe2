//! The program `pflogsumm`, version 1.1.5 as Debian has it: the same numbers, the same text, byte for byte.
//!
//! [`Summary::feed`] takes the lines of a log one after the other, [`Summary::write`] writes the report. What
//! pflogsumm leaves to chance, the order of equals, is alphabetical here; what it lowers (addresses' domains)
//! are the letters of ASCII, as in the C locale that cron gives it. It never forgets a queue id, so neither do
//! we: the memory grows with the log, about 100 bytes a message. T2.22.

mod address;
mod line;
mod options;
mod order;
mod reason;
mod tally;
mod text;

pub use line::Part;
pub use options::{Limit, Options, Verp};
pub use tally::Summary;

#[cfg(test)]
mod tests;
