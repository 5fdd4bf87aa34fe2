//! What a mail log adds up to.
//!
//! [`summary`] is the day at a glance; [`pflogsumm`] folds Postfix's lines as the program of that name does and
//! writes its text byte for byte. What is shown of a summary stands in a [`sheet`], which [`page`] and [`letter`] draw.
//! Nothing here reads a file or a clock: who calls hands in lines, as bytes and without their end, and says what
//! day it is. T2.22, T2.23.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::disallowed_methods, clippy::disallowed_types)]

pub mod day;
pub mod letter;
mod names;
pub mod outline;
pub mod page;
pub mod pflogsumm;
pub mod sample;
mod scan;
pub mod schedule;
pub mod sheet;
pub mod summary;
pub mod unusual;
mod words;

pub use day::Day;
