//! Answers to the questions that decisions ask: names and DNS, DNSBL health, tables behind sockets, policy services,
//! waiting.
//!
//! `policy` never waits; whoever drives a decision asks [`Answers::answer`] for what is missing. T1.4.

pub mod authenticity;
pub mod dns;
mod exchange;
pub mod flight;
pub mod hosts;
mod in_process;
pub mod listings;
mod memory;
pub mod milter;
pub mod policy_client;
pub mod policyd_spf;
pub mod stead;
pub mod table_client;
pub mod zone_health;
pub mod zone_times;

pub use in_process::Asked;

use crate::configuration::{OpenDkim, OpenDmarc};
use crate::greylisting::Greylister;
use flight::Flight;
use policy::{Answer, Effect, PolicyService, Question};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// An answer on its way.
pub type AnswerFuture<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// Whoever knows names and DNS: the network's resolver, or a test's table.
pub trait Names: Send + Sync + 'static {
    /// Answers `HostName`, `HostAddresses` and `Dns`.
    fn ask<'a>(&'a self, question: &'a Question) -> AnswerFuture<'a>;
    /// The answer, where it is known without waiting.
    fn known(&self, _question: &Question) -> Option<Answer> {
        None
    }
    /// For how long the answer holds from now on, where that is known.
    fn holds(&self, _question: &Question) -> Option<Duration> {
        None
    }
    /// How long DNS lists take to answer, where that is counted.
    fn zone_times(&self) -> Option<&zone_times::ZoneTimes> {
        None
    }
    /// Begins to ask, or joins those who have; it goes on also where nobody waits for the answer any more. To be
    /// called within a runtime.
    fn begin(self: Arc<Self>, question: Question) -> Arc<Flight> {
        let flight = Flight::new(question);
        let asked = Arc::clone(&flight);
        tokio::spawn(async move {
            let answer = self.ask(asked.question()).await;
            let next = asked.why(&answer).map(|why| self.begin(why));
            asked.land(answer, next);
        });
        flight
    }
}

/// Everything that answers questions, shared by all sessions.
pub struct Answers {
    /// Names and DNS.
    pub names: Arc<dyn Names>,
    /// Which DNSBLs are to be believed.
    pub health: zone_health::ZoneHealth,
    /// Which DNSBLs have most clients.
    pub listings: listings::Listings,
    /// Connections to policy servers.
    pub policy_servers: policy_client::PolicyServers,
    /// Greylisting, where Postgrey is asked and isn't there.
    pub greylister: Arc<Greylister>,
    /// SPF, where policyd-spf is asked and isn't there.
    pub policyd_spf: policyd_spf::PolicydSpf,
    /// OpenDKIM's work, where it is asked and isn't there.
    pub opendkim: stead::Stead<OpenDkim>,
    /// OpenDMARC's work, where it is asked and isn't there.
    pub opendmarc: stead::Stead<OpenDmarc>,
    /// Who answers for which policy service.
    pub asked: Asked,
    /// Connections to servers of tables.
    pub table_servers: table_client::TableServers,
}

impl Answers {
    /// Answers `question`; `services` are those of the policy that asks.
    pub async fn answer(&self, question: &Question, services: &[PolicyService]) -> Answer {
        match question {
            Question::HostName(_) | Question::HostAddresses(_) | Question::Dns { .. } => {
                self.names.ask(question).await
            }
            Question::ZoneHealth(zone) => Answer::Healthy(self.health.is_healthy(zone)),
            // What is rare is in a box: those who wait for other answers don't have the room for it.
            Question::Lookup { table, key } => Box::pin(self.table_servers.ask(table, key)).await,
            Question::Effect { effect: Effect::Sleep(duration), .. } => {
                tokio::time::sleep(*duration).await;
                Answer::Done
            }
            // Whoever has a queue to probe from answers it.
            Question::Effect { effect: Effect::Verify { .. }, .. } => {
                Answer::Verified(policy::Verified::in_progress())
            }
            Question::Effect { effect: Effect::PolicyService { service, attributes }, .. } => {
                match services.get(*service) {
                    Some(service) => Box::pin(self.ask_service(service, attributes)).await,
                    None => Answer::Failed("no such policy service".to_owned()),
                }
            }
        }
    }
}
