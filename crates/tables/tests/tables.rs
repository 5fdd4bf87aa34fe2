//! The tables of this crate as a whole: against postmap, against mutations, against live edits.
//!
//! T1.7 (a saved edit is live, a broken one keeps the last good table), T2.6 (access(5) sources as printed).

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a test that can't go on has failed")]

#[path = "tables/common.rs"]
mod common;
#[path = "tables/database.rs"]
mod database;
#[path = "tables/fuzz.rs"]
mod fuzz;
#[path = "tables/live.rs"]
mod live;
#[path = "tables/oracle.rs"]
mod oracle;
