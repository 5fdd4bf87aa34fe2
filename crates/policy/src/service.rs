//! Where a decision may be delegated to: [`PolicyService`], and the zones of the DNS that lists ask: [`Zone`].
//!
//! Values only; sockets and probes are the driver's.

use config::Place;
use std::time::Duration;

/// Where a policy server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `inet:host:port`
    Inet {
        /// A name or an address, without brackets.
        host: String,
        /// A number or a service's name.
        port: String,
    },
    /// `unix:path`, relative to the queue folder where it doesn't begin with `/`.
    Unix(String),
}

/// A policy server and how to speak with it (SMTPD_POLICY_README). Checks with the same endpoint and settings share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyService {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// As written: `inet:127.0.0.1:10023`, for the log.
    pub name: String,
    /// To connect, send and receive.
    pub timeout: Duration,
    /// After which an unused connection is closed.
    pub max_idle: Duration,
    /// After which a used one is closed.
    pub max_ttl: Duration,
    /// Requests for each connection; 0 for any number.
    pub request_limit: u32,
    /// Tries for each request.
    pub try_limit: u32,
    /// Between them.
    pub retry_delay: Duration,
    /// The action when all tries have failed; taken by the evaluation, not by the driver.
    pub default_action: String,
    /// The attribute `policy_context`.
    pub policy_context: String,
    /// Where it is written.
    pub place: Place,
}

/// What is looked up below a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ZoneKind {
    /// Reversed addresses.
    Address,
    /// Names.
    Domain,
}

/// A DNSBL or DNSWL in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its domain, without a filter.
    pub domain: String,
    /// What it lists.
    pub kind: ZoneKind,
    /// Where it is named first.
    pub place: Place,
}
