//! What the administrator wrote: main.cf, master.cf, with the place of every word.
//!
//! Text goes in, values with places and diagnostics come out; reading files is the program's business.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::disallowed_methods, clippy::disallowed_types)]

pub mod diagnostic;
pub mod place;

pub use diagnostic::{Code, Diagnostic, Fix, Severity};
pub use place::{Place, SourceFile, Spanned};
