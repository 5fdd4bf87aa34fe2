//! Answers to the questions that decisions ask: names and DNS, DNSBL health, tables behind sockets, policy services,
//! waiting.
//!
//! `policy` never waits; whoever drives a decision asks [`Answers::answer`] for what is missing. T1.4.

pub mod dns;
mod exchange;
pub mod hosts;
pub mod listings;
mod memory;
pub mod policy_client;
pub mod table_client;
pub mod zone_health;

use policy::{Answer, Effect, PolicyService, Question};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// An answer on its way.
pub type AnswerFuture<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// Whoever knows names and DNS: the network's resolver, or a test's table.
pub trait Names: Send + Sync {
    /// Answers `HostName`, `HostAddresses` and `Dns`.
    fn ask<'a>(&'a self, question: &'a Question) -> AnswerFuture<'a>;
    /// The answer, where it is known without waiting.
    fn known(&self, _question: &Question) -> Option<Answer> {
        None
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
            Question::Lookup { table, key } => self.table_servers.ask(table, key).await,
            Question::Effect { effect: Effect::Sleep(duration), .. } => {
                tokio::time::sleep(*duration).await;
                Answer::Done
            }
            Question::Effect { effect: Effect::PolicyService { service, attributes }, .. } => {
                match services.get(*service) {
                    Some(service) => self.policy_servers.ask(service, attributes).await,
                    None => Answer::Failed("no such policy service".to_owned()),
                }
            }
        }
    }
}
