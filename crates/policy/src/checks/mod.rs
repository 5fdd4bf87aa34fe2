//! The restrictions themselves, by what they look at. Each extends [`Evaluation`](crate::eval::Evaluation); reply
//! texts stand next to the check that gives them.

mod client;
mod generic;
mod helo;
mod hosts;
mod lists;
mod login;
mod mail;
mod relay;
pub(crate) mod spf;
mod verify;
