//! Why a session would go as it goes: a made-up session is played against a configuration, and every decision is
//! told step by step.
//!
//! The conversation is `proto::smtp::Server`, the decisions are `policy`'s: what is told here is what `serve` would
//! do. Nothing is sent, stored or counted; policy services are not asked, as they remember what they are asked
//! (greylisting). What isn't known is assumed in the client's favour and said so, with what another answer would
//! change. T2.8, T2.12.

pub mod answers;
mod in_stead;
pub mod json;
pub mod log_line;
pub mod logged;
pub mod nearest;
pub mod outcomes;
pub mod parameters;
#[cfg(test)]
mod tests;
pub mod text;
pub mod visit;
pub mod walk;

pub use in_stead::{InStead, Knock, knock};

use crate::configuration::{Configuration, Listener};
use crate::deliver::target::Targets;
use crate::live::Live;
use config::Diagnostic;
use policy::address::AddressClasses;
use std::sync::Arc;
use tables::Sources;

/// A configuration that can be asked: one of its listeners, with all tables compiled.
pub struct Stand {
    /// The server that the client came to.
    pub listener: Listener,
    /// The tables.
    pub live: Arc<Live>,
    /// Where mail goes.
    pub targets: Targets,
    /// Whose address is whose.
    pub classes: Arc<AddressClasses>,
    /// Bytes free where the queue is; `None` where that isn't looked at.
    pub free_bytes: Option<u64>,
    /// Who answers for policy services that the server answers for by itself where nobody listens.
    pub in_stead: InStead,
}

/// Why there is nothing to ask.
#[derive(Debug, thiserror::Error)]
pub enum NoStand {
    /// No such service.
    #[error("master.cf has no SMTP server \"{wanted}\"; there are: {known}")]
    NoService {
        /// What was asked for.
        wanted: String,
        /// The services that there are.
        known: String,
    },
    /// No SMTP server at all.
    #[error("master.cf has no SMTP server that is served")]
    NoServer,
}

impl Stand {
    /// Compiles the tables of `configuration`; `service` is a name of master.cf, the first server by default.
    ///
    /// # Errors
    /// Where there is no such service.
    pub fn new(
        mut configuration: Configuration,
        service: Option<&str>,
        sources: &dyn Sources,
    ) -> Result<(Stand, Vec<Diagnostic>), NoStand> {
        let listener = listener(&mut configuration, service)?;
        let targets = Targets::compile(&configuration.parameters, &mut configuration.catalogue);
        let (live, found) = Live::compile(configuration.catalogue, sources);
        let live = Arc::new(live);
        configuration.later.fill(&live);
        let in_stead = InStead::new(configuration.greylist, configuration.spf.is_some());
        let classes = configuration.classes;
        Ok((Stand { listener, live, targets, classes, free_bytes: None, in_stead }, found))
    }
}

/// The server of that name, the first one by default.
fn listener(configuration: &mut Configuration, service: Option<&str>) -> Result<Listener, NoStand> {
    let listeners = &mut configuration.listeners;
    let at = match service {
        None => (!listeners.is_empty()).then_some(0),
        Some(name) => listeners.iter().position(|listener| listener.name == name),
    };
    if let Some(at) = at {
        return Ok(listeners.swap_remove(at));
    }
    let Some(wanted) = service else { return Err(NoStand::NoServer) };
    let known: Vec<&str> = listeners.iter().map(|listener| listener.name.as_str()).collect();
    Err(NoStand::NoService { wanted: wanted.to_owned(), known: known.join(", ") })
}

/// The service in master.cf that logs as `program` (`postfix/submission/smtpd`), but the first one, which is asked
/// anyway.
#[must_use]
pub fn service_that_logs_as(configuration: &Configuration, program: &str) -> Option<String> {
    let first = configuration.listeners.first();
    if first.is_some_and(|listener| *listener.program == *program) {
        return None;
    }
    let logs = configuration.listeners.iter().find(|listener| *listener.program == *program);
    logs.map(|listener| listener.name.clone())
}
