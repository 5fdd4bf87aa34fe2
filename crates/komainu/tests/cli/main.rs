//! The command line, from outside: the program is started and what it prints and returns is looked at.
//!
//! Debian's programs are the judges where they are installed; without them the comparison says so and passes, and
//! fails where `CI` is in the environment.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test may fail by panicking, and says aloud what it skips"
)]

mod bans;
mod bans_ask;
mod bans_oracle;
mod bans_regex;
mod bans_samples;
mod check;
mod clean;
mod conf;
mod databases;
mod dkim;
mod explain;
mod guide;
mod mutations;
mod names;
mod pflogsumm;
mod postmap;
mod program;
mod report;
mod report_page;
mod table;
mod templates;
mod user;
