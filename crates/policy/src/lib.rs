//! What to do with this client and this mail: Postfix's SMTP server restrictions, compiled once and decided purely.
//!
//! [`Policy::compile`] turns the restriction lists of main.cf into checks; [`Policy::decide`] evaluates them for one
//! SMTP command. It has no socket and no clock: what it must know and doesn't is a [`Need`], which the driver
//! answers before it starts the evaluation anew. Serving, explaining, replaying and testing are one evaluator with
//! different answerers.
//!
//! Deliberately not here: the conversation (crate `proto`), log lines (crate `events`), DNS and policy sockets (the
//! program), probing addresses ([`verification`] only remembers what was found).
#![warn(clippy::indexing_slicing, clippy::string_slice, clippy::disallowed_methods, clippy::disallowed_types)]

mod access;
mod actions;
pub mod address;
pub mod authenticity;
mod check;
mod checks;
mod compile;
pub mod content;
pub mod decision;
mod delegate;
pub mod dmarc;
mod dns;
mod dnsbl;
mod eval;
pub mod eviction;
pub mod facts;
pub mod greylist;
pub mod guessing;
pub mod hidden;
pub mod local;
mod names;
pub mod opendkim;
pub mod opendmarc;
mod parse;
pub mod peer;
pub mod rates;
pub mod regulars;
pub mod review;
pub mod screen;
pub mod service;
mod settings;
pub mod spf;
mod stages;
mod template;
pub mod transaction;
mod trusted_domain;
mod uses;
pub mod verification;

pub use actions::{access_actions, content_actions};
pub use decision::{Attempt, Decision, MailEffect, Note, NoteAction, Outcome, Step, TableLine, Verdict};
pub use dns::resource_record;
pub use facts::{Answer, Effect, EffectPlace, Facts, Lookup, Need, Question, Record, RecordKind};
pub use names::restrictions;
pub use peer::{ClientNames, client_names};
pub use service::{Endpoint, PolicyService, Zone, ZoneKind};
pub use transaction::{
    Carried, Client, ClientCertificate, NameStatus, Request, Sasl, Stage, Tls, Transaction, UNKNOWN,
};
pub use uses::{TableUse, restriction_names};
pub use verification::{Deliverability, Verified};

use check::Entry;
use config::{Diagnostic, Parameters};
use dnsbl::ListZone;
use mail::Wall;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use tables::{Catalogue, Sources, TableId};

/// The restriction lists of one service, compiled; immutable.
#[derive(Debug)]
pub struct Policy {
    pub(crate) settings: settings::Settings,
    pub(crate) addresses: address::AddressClasses,
    pub(crate) routes: address::Routes,
    pub(crate) lists: BTreeMap<Stage, Vec<Entry>>,
    pub(crate) classes: Vec<Vec<Entry>>,
    pub(crate) class_names: HashMap<String, usize>,
    pub(crate) services: Vec<PolicyService>,
    pub(crate) zones: Vec<Zone>,
    pub(crate) maps_rbl: Vec<Arc<ListZone>>,
    pub(crate) table_names: HashMap<TableId, String>,
    pub(crate) patterns: HashSet<TableId>,
    pub(crate) allow_untrusted_routing: bool,
    pub(crate) probe_sender: verification::ProbeSender,
    pub(crate) attachments: Option<Arc<mail::attachment::Rules>>,
}

impl Policy {
    /// Compiles the lists and everything they name.
    #[must_use]
    pub fn compile(
        parameters: &Parameters,
        catalogue: &mut Catalogue,
        sources: &dyn Sources,
    ) -> (Policy, Vec<Diagnostic>) {
        compile::compile(parameters, catalogue, sources)
    }

    /// The same with `routes`: what a service's `-o` says about transports isn't heeded, as trivial-rewrite(8) doesn't
    /// see it.
    #[must_use]
    pub fn routed_by(mut self, routes: address::Routes) -> Policy {
        self.routes = routes;
        self
    }

    /// Decides on one SMTP command. `now` is for senders of probes that change with time.
    ///
    /// # Errors
    /// When a question must be answered first: learn its answer and decide anew.
    pub fn decide(
        &self,
        request: Request,
        tx: &Transaction,
        facts: &Facts,
        now: Wall,
    ) -> Result<Decision, Need> {
        stages::decide(self, request, (tx, facts), now)
    }

    /// Decides with what is known, and tells the way also where it ends at a question. It is the evaluation of
    /// [`Policy::decide`].
    #[must_use]
    pub fn attempt(&self, request: Request, tx: &Transaction, facts: &Facts) -> Attempt {
        stages::attempt(self, request, tx, facts)
    }

    /// A list's members as written, with their places.
    pub fn list(&self, stage: Stage) -> impl Iterator<Item = (&str, &config::Place)> {
        self.lists.get(&stage).into_iter().flatten().map(|entry| (entry.text.as_str(), &entry.place))
    }

    /// Whether the lists for client, HELO and sender wait for RCPT (`smtpd_delay_reject`).
    #[must_use]
    pub const fn delays_reject(&self) -> bool {
        self.settings.delay_reject
    }

    /// What attachments are looked at for, where a list or class asks.
    #[must_use]
    pub const fn attachments(&self) -> Option<&Arc<mail::attachment::Rules>> {
        self.attachments.as_ref()
    }

    /// The policy servers in use, by the index in [`Effect::PolicyService`].
    #[must_use]
    pub fn services(&self) -> &[PolicyService] {
        &self.services
    }

    /// The address classes that this policy was compiled with.
    #[must_use]
    pub const fn addresses(&self) -> &address::AddressClasses {
        &self.addresses
    }

    /// Every pure question that can be asked as soon as a client has connected: its names, and all DNSBLs of all
    /// lists. Asked together, the wait is the slowest answer's, not the sum.
    #[must_use]
    pub fn questions_at_connect(&self, client: IpAddr) -> Vec<Question> {
        let mut questions = vec![Question::HostName(client)];
        let reversed = dnsbl::reversed(client);
        for zone in &self.zones {
            let health = Question::ZoneHealth(zone.domain.clone());
            if self.settings.dnsbl_health && !questions.contains(&health) {
                questions.push(health);
            }
            if zone.kind == ZoneKind::Address {
                let name = format!("{reversed}.{}", zone.domain).to_ascii_lowercase();
                questions.push(Question::Dns { name, kind: RecordKind::A });
            }
        }
        questions
    }

    /// The zones to probe.
    #[must_use]
    pub fn dnsbl_zones(&self) -> &[Zone] {
        &self.zones
    }
}

#[cfg(test)]
mod tests;
