//! Delivery to other servers: `smtp:`, `relay:`, `lmtp:`, and every other transport that master.cf makes of them.
//!
//! One attempt is one message to one nexthop: its servers are tried in order until one has said something final about
//! each recipient ([`attempt`]). `proto::client` speaks; here are names, sockets, TLS and time. T1.12, T2.24.

mod attempt;
mod by_address;
mod checking;
mod conversation;
mod destination;
mod generic;
mod hosts;
mod login;
mod pool;
mod security;
mod transport;

use crate::cleanup::Postmaster;
use crate::facts::Answers;
use crate::privileged::LocalSockets;
use mail::Dsn;
use policy::address::AddressClasses;
use proto::client::{Verdict, Why};
use std::time::Duration;
use store::Spool;
use tables::Snapshot;

pub use attempt::deliver;
pub use generic::{Edits, Outgoing};
pub use transport::Transport;

/// What one recipient came to, with what the log says besides.
pub struct Report {
    /// The recipient's index in the entry.
    pub index: u32,
    /// How it ended.
    pub verdict: Verdict,
    /// `mx.example[192.0.2.1]:25`, or `none`.
    pub relay: String,
    /// How long it took until the server was ready for the message.
    pub connecting: Duration,
    /// Who said so; `None` where no server was spoken to.
    pub server: Option<Spoken>,
    /// The how-manieth message over its connection, from the second on.
    pub conn_use: Option<u32>,
}

/// A server that was spoken to.
#[derive(Clone)]
pub struct Spoken {
    /// `mx.example`.
    pub name: String,
    /// It tells senders what becomes of their mail (RFC 3461).
    pub offers_dsn: bool,
}

impl Report {
    /// Tables that are wanted before anybody is spoken to can't say.
    pub(super) fn not_now(index: u32) -> Report {
        let why = Why::new(Dsn::new(4, 3, 0), "mail system configuration error".to_owned());
        Report {
            index,
            verdict: Verdict::Deferred(why),
            relay: "none".to_owned(),
            connecting: Duration::ZERO,
            server: None,
            conn_use: None,
        }
    }

    /// Whether the mail would come back to this host, as its exchangers have it.
    #[must_use]
    pub fn is_loop(&self) -> bool {
        let is_bounced = matches!(self.verdict, Verdict::Bounced(_));
        let is_unsaid = self.server.is_none() && self.relay == "none";
        is_bounced && is_unsaid && self.verdict.why().dsn == Dsn::new(5, 4, 6)
    }

    /// `soft_bounce`: what failed is tried again. Whether it had failed.
    pub fn soften(&mut self) -> bool {
        let Verdict::Bounced(why) = &self.verdict else { return false };
        self.verdict = Verdict::Deferred(Why { dsn: Dsn { class: 4, ..why.dsn }, ..why.clone() });
        true
    }
}

/// Takes reports before an attempt's end.
pub type Settled<'a> = &'a (dyn Fn(Vec<Report>) + Sync);

/// What an attempt stands on.
pub struct Ground<'a> {
    /// Who knows names, and asks tables behind sockets.
    pub answers: &'a Answers,
    /// The tables.
    pub tables: &'a Snapshot,
    /// The mail.
    pub spool: &'a Spool,
    /// How addresses are written elsewhere.
    pub classes: &'a AddressClasses,
    /// What is changed in its headers on the way out.
    pub edits: &'a Edits,
    /// Nothing is sent: only whether it would be taken is asked.
    pub probes: bool,
    /// Who hears of servers that break the protocol, where that is wanted.
    pub postmaster: Option<Postmaster>,
    /// For servers behind sockets of the file system.
    pub sockets: &'a LocalSockets,
    /// Takes what some recipients came to, where others are still to be tried at other servers; they aren't in what the
    /// attempt returns.
    pub settled: Settled<'a>,
    /// Takes lines for the log.
    pub log: &'a (dyn Fn(events::Event<'_>) + Sync),
}
