//! What the administrator wrote: main.cf, master.cf, with the place of every word.
//!
//! Text goes in, values with places and diagnostics come out; reading files is the program's business.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::disallowed_methods, clippy::disallowed_types)]

mod bounce_text;
mod computed;
pub mod conf;
pub mod diagnostic;
mod expand;
pub mod fuzz;
mod host;
mod level;
mod logical;
mod main_cf;
pub mod master_cf;
mod names;
mod parameters;
pub mod place;
pub mod registry;
pub mod review;
mod traced;
pub mod units;

pub use diagnostic::{Code, Diagnostic, Fix, Severity};
pub use host::{Compat, Host, Interface};
pub use main_cf::MainCf;
pub use master_cf::{Endpoint, MasterCf, Override, Port, Role, Service, ServiceKind};
pub use names::{check_names, nearest as nearest_name};
pub use parameters::Parameters;
pub use place::{LineStarts, Place, SourceFile, Spanned};
pub use traced::{Traced, split_words, unbraced};
