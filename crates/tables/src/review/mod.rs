//! A table's lines judged by how the table is used: text and use in, findings out.
//!
//! `komainu check` asks here. A server that starts or reloads doesn't.

mod actions;
mod permits;

pub use permits::{Grant, Permit, Permits, grant, may_permit};
