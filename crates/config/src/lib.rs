//! What the administrator wrote: main.cf, master.cf, with the place of every word.
//!
//! Text goes in, values with places and diagnostics come out; reading files is the program's business.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::disallowed_methods, clippy::disallowed_types)]

pub mod diagnostic;
mod host;
mod main_cf;
mod master_cf;
mod parameters;
pub mod place;

pub use diagnostic::{Code, Diagnostic, Fix, Severity};
pub use host::{Compat, Host, Interface};
pub use main_cf::{MainCf, split_words};
pub use master_cf::{MasterCf, Override, Role, Service, ServiceKind};
pub use parameters::Parameters;
pub use place::{Place, SourceFile, Spanned};
