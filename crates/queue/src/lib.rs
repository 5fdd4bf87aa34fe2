//! What to try when: the envelope of a queued message, and the schedule of its deliveries.
//!
//! Pure: no I/O, time is an argument. The spool keeps an [`Entry`] as opaque bytes and each [`Note`] beside
//! it; the [`Scheduler`] says what to load, to try, to persist, to log and whom to tell ([`notice`]). It delivers
//! nothing, resolves no addresses and composes no reports. T2.14.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::disallowed_methods, clippy::disallowed_types)]

pub mod card;
mod codec;
pub mod entry;
pub mod notice;
pub mod schedule;

pub use card::Card;
pub use codec::DecodeError;
pub use entry::{
    BodyType, Client, Entry, How, Note, Reason, Recipient, Remote, ReturnContent, Status, Trace,
};
pub use schedule::{Action, Attempt, Event, Order, Outcome, Route, Scheduler, Settings};
