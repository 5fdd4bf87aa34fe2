//! One attempt under way: what an agent does for a message, told to the scheduler and to the log.
//!
//! Mailboxes are written on blocking threads, other servers are spoken to in tasks; both end in one log line for each
//! recipient, as Postfix's agents write it.

use super::agent::{Agents, Delivered};
use super::manager::Routing;
use super::smtp::{self, Ground, Report, Transport};
use crate::clock;
use crate::facts::Names;
use crate::log::Log;
use events::delivery::{Delay, Delays, Delivery, Status};
use mail::Wall;
use proto::client::Verdict;
use queue::{Attempt, Entry, Outcome, Reason};
use std::sync::Arc;
use std::time::Duration;

/// One attempt.
pub(super) struct Work {
    pub(super) attempt: Attempt,
    pub(super) entry: Arc<Entry>,
    pub(super) activated: Wall,
    pub(super) started: Wall,
    pub(super) agents: Arc<Agents>,
    pub(super) routing: Arc<Routing>,
    pub(super) log: Log,
}

/// Where an attempt's work is done.
pub(super) enum Kind {
    /// Nothing blocks.
    Nowhere,
    /// On this machine's disk.
    Mailbox,
    /// At other servers.
    Network(Arc<Transport>),
}

/// An attempt's number, and what became of each of its recipients.
type Finished = (u64, Vec<(u32, Outcome)>);

impl Work {
    pub(super) fn kind(&self) -> Kind {
        let name = &self.attempt.route.transport;
        match self.routing.transports.get(name) {
            Some(transport) => Kind::Network(Arc::clone(transport)),
            None if name == "discard" => Kind::Nowhere,
            None => Kind::Mailbox,
        }
    }

    /// Delivers here. Blocks.
    pub(super) fn run(self) -> Finished {
        let snapshot = self.routing.live.snapshot();
        let route = &self.attempt.route;
        let mut outcomes = Vec::with_capacity(self.attempt.recipients.len());
        for index in &self.attempt.recipients {
            let Some(recipient) = usize::try_from(*index).ok().and_then(|at| self.entry.recipients.get(at))
            else {
                continue;
            };
            let delivered = self.agents.deliver(
                (self.attempt.number, &self.entry),
                recipient,
                (&route.transport, &route.nexthop),
                (&self.routing.targets, &snapshot),
            );
            let agent = if delivered.relay == "none" { route.transport.as_str() } else { delivered.relay };
            let program = format!("{}/{agent}", self.routing.syslog_name);
            self.say(recipient, &program, &Line::from(&delivered));
            outcomes.push((*index, delivered.outcome));
        }
        (self.attempt.id, outcomes)
    }

    /// Delivers to other servers.
    pub(super) async fn send(self, transport: &Transport, names: &dyn Names) -> Finished {
        let log = |event: events::Event<'_>| self.log.write(&transport.program, event);
        let ground = Ground {
            names,
            spool: &self.agents.spool,
            queue_directory: &self.agents.queue_directory,
            log: &log,
        };
        let message = (self.attempt.number, &*self.entry);
        let nexthop = &self.attempt.route.nexthop;
        let reports = smtp::deliver(transport, &ground, message, &self.attempt.recipients, nexthop).await;
        let mut outcomes = Vec::with_capacity(reports.len());
        for report in reports {
            let at = usize::try_from(report.index).unwrap_or(usize::MAX);
            if let Some(recipient) = self.entry.recipients.get(at) {
                self.say(recipient, &transport.program, &Line::from(&report));
            }
            let reason = |why: proto::client::Why| Reason::new(why.dsn, why.text);
            let outcome = match report.verdict {
                Verdict::Sent(_) => Outcome::Delivered,
                Verdict::Deferred(why) => Outcome::Deferred(reason(why)),
                Verdict::Bounced(why) => Outcome::Failed(reason(why)),
            };
            outcomes.push((report.index, outcome));
        }
        (self.attempt.id, outcomes)
    }

    fn say(&self, recipient: &queue::Recipient, program: &str, said: &Line<'_>) {
        let now = clock::now().wall;
        let since_start = now - self.started;
        let delays = [
            self.activated - self.entry.arrival,
            self.started - self.activated,
            said.connecting,
            since_start.saturating_sub(said.connecting),
        ];
        let (to, original) = (recipient.address.to_external(), recipient.original.to_external());
        let line = Delivery {
            id: self.entry.id.as_str().into(),
            orig_to: (to != original).then(|| original.as_str().into()),
            to: to.as_str().into(),
            relay: said.relay.into(),
            conn_use: None,
            delay: Delay::new(now - self.entry.arrival),
            delays: Some(Delays(delays.map(Delay::new))),
            dsn: Some(said.dsn.as_str().into()),
            tls: None,
            status: said.status,
            text: said.text.into(),
        };
        self.log.write(program, line);
    }
}

/// What a log line says about one recipient.
pub(super) struct Line<'a> {
    relay: &'a str,
    dsn: String,
    status: Status,
    text: &'a str,
    connecting: Duration,
}

impl<'a> From<&'a Delivered> for Line<'a> {
    fn from(delivered: &'a Delivered) -> Line<'a> {
        let status = match delivered.outcome {
            Outcome::Delivered => Status::Sent,
            Outcome::Deferred(_) => Status::Deferred,
            Outcome::Failed(_) => Status::Bounced,
        };
        let (relay, text) = (delivered.relay, delivered.text.as_str());
        Line { relay, dsn: delivered.dsn.clone(), status, text, connecting: Duration::ZERO }
    }
}

impl<'a> From<&'a Report> for Line<'a> {
    fn from(report: &'a Report) -> Line<'a> {
        let status = match report.verdict {
            Verdict::Sent(_) => Status::Sent,
            Verdict::Deferred(_) => Status::Deferred,
            Verdict::Bounced(_) => Status::Bounced,
        };
        let why = report.verdict.why();
        let (relay, text) = (report.relay.as_str(), why.text.as_str());
        Line { relay, dsn: why.dsn.to_string(), status, text, connecting: report.connecting }
    }
}
