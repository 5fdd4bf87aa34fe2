//! Tests of the spool as a whole: on a simulated disk step by step ([`simulation`]), with rot ([`rot`]), with
//! its threads ([`threads`]), and on a real file system ([`real_disk`]). [`world`] is the simulation's model
//! and checkers. `KOMAINU_SEEDS=N` runs more seeds, `KOMAINU_SEED=N` begins
//! with another one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test's own helpers may panic"
)]

mod real_disk;
mod records;
mod rot;
mod simulation;
mod starts;
mod threads;
mod world;
