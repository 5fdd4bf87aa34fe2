//! Lookup tables: their source text is parsed, compiled, and asked.
//!
//! A [`Catalogue`] collects every table that the configuration names; a [`Snapshot`] holds all of them compiled,
//! immutable, swapped whole. Indexed types (`hash:` …) are served from their source text, so a saved edit is live
//! (T1.7) and nobody runs postmap; where the text is gone, from the [`database`] that postmap made. [`matching`] has the match lists of postconf(5), [`Pattern`] the regular
//! expressions of regexp_table(5) and pcre_table(5).
//!
//! Tables behind sockets (`tcp:`, `socketmap:`) are asked by the program, too; [`remote`] says how. Deliberately not
//! here: reading files (the program gives their contents through [`Sources`]), sockets, and the searches that access(5) makes with parts of a key.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::disallowed_methods, clippy::disallowed_types)]

pub mod catalogue;
pub mod cidr;
pub mod database;
pub mod fuzz;
mod indexed;
pub mod matching;
pub mod pattern;
pub mod postmap;
pub mod remote;
pub mod review;
mod rows;
mod rules;
pub mod snapshot;
pub mod source;
pub mod sources;
pub mod table;
mod template;
mod types;

pub use catalogue::{Catalogue, Kind, Substitution, TableId, TableSpec, Usage};
pub use matching::{AddressList, DomainList, StringList};
pub use pattern::{Pattern, regular_superset, required_texts, required_texts_in_case};
pub use remote::{Endpoint, Protocol, Remote};
pub use rows::Row;
pub use snapshot::{Seat, Snapshot};
pub use source::Notice;
pub use sources::{Accounts, SourceError, Sources, Vantage};
pub use table::{Exceeded, Hit, LookupError, Table, TextHit};
pub use types::{served_types, types};
