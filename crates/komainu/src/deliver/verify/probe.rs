//! One probe: the way that a message to the address would take, up to where it would be delivered.
//!
//! The address is rewritten and its aliases are expanded as cleanup(8) does; an alias for several is deliverable by
//! itself. Then the transport is asked: other servers up to their answer to RCPT (or DATA), `local` whether there is an
//! alias, a `.forward` file or a mailbox, `virtual` whether there is a mailbox; a command isn't run. The log tells of
//! it as of a message, `status=deliverable` or `undeliverable`.

use super::super::agent::Delivered;
use super::super::local::{Errand, Looked};
use super::super::manager::Routing;
use super::super::smtp::{self, Edits, Transport};
use super::super::target::lookup_failed;
use super::{Ground, PROBES_PER_DESTINATION_MAX, Verifier, lock};
use crate::clock;
use events::daemon::Message as Warning;
use events::delivery::{Delay, Delays, Delivery, Status};
use events::queue::{IdKind, MessageId, Queued, Removed};
use mail::{Address, Dsn, Wall};
use policy::address::{Expansion, Use};
use policy::{Deliverability, Verified};
use proto::client::Verdict;
use queue::{Attempt, Entry, How, Outcome, Reason, Recipient, Remote, Route};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tables::{LookupError, Snapshot};
use tokio::sync::Semaphore;

/// Queue ids of probes begin here, far from those of a spool that has just been made.
const NUMBERS: u64 = 0x10_0000;
/// A server that is asked for its size limit is told of a message this long.
const PROBE_BYTES: u64 = 258;

/// One probe under way.
struct Probe<'a> {
    verifier: &'a Verifier,
    routing: Arc<Routing>,
    entry: Entry,
    started: Wall,
}

/// What a transport says of a recipient.
struct Found {
    program: String,
    recipient: Recipient,
    relay: String,
    outcome: Result<(Dsn, String), Reason>,
    /// Whose word it is that somebody is known.
    remote: Option<Remote>,
    connecting: Duration,
}

impl Found {
    fn new(program: String, recipient: &Recipient, relay: &str, outcome: Result<String, Reason>) -> Found {
        Found {
            program,
            recipient: recipient.clone(),
            relay: relay.to_owned(),
            outcome: outcome.map(|text| (Dsn::new(2, 0, 0), text)),
            remote: None,
            connecting: Duration::ZERO,
        }
    }
}

impl Verifier {
    /// Probes an address as it was given.
    pub(super) async fn probe(&self, address: &Address) -> Verified {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        let (routing, now) = (self.routing(), clock::now().wall);
        let number = NUMBERS + self.probes.fetch_add(1, Ordering::Relaxed) % NUMBERS;
        let id = routing.reporting.id(now, number);
        let mut entry = Entry::new(id, now, routing.probing.sender.at(now), Vec::new());
        entry.size = PROBE_BYTES;
        entry.smtputf8 = !address.as_str().is_ascii();
        let mut probe = Probe { verifier: self, routing, entry, started: now };
        match probe.recipients(address).await {
            Ok(recipients) => probe.entry.recipients = recipients,
            Err(reason) => return Probe::deferred(reason),
        }
        probe.run(address).await
    }
}

/// `sendmail -bv`: what a message in the queue would come to; nobody gets it, and its sender hears of everything.
pub(in crate::deliver) async fn try_out(
    ground: Ground,
    attempt: &Attempt,
    entry: &Entry,
) -> Vec<(u32, Outcome)> {
    let verifier = Verifier::new(ground);
    let (routing, started) = (verifier.routing(), clock::now().wall);
    let probe = Probe { verifier: &verifier, routing, entry: entry.clone(), started };
    let mut outcomes = Vec::with_capacity(attempt.recipients.len());
    for index in &attempt.recipients {
        let at = usize::try_from(*index).unwrap_or(usize::MAX);
        let Some(recipient) = entry.recipients.get(at) else { continue };
        let found = probe.by_route(recipient, &attempt.route).await;
        for one in &found {
            probe.conclude(one);
        }
        // A recipient has one status: what speaks against it, where anything does.
        let one = found.iter().find(|one| one.outcome.is_err()).or(found.first());
        outcomes.extend(one.map(|one| (*index, one.told())));
    }
    outcomes
}

impl Found {
    /// What the sender is told of it.
    fn told(&self) -> Outcome {
        let via = (self.relay != "none").then(|| self.relay.clone().into_boxed_str());
        match &self.outcome {
            Ok((dsn, text)) => {
                let remote = self.remote.clone();
                Outcome::Confirmed(How::Delivered, Reason { remote, via, ..Reason::new(*dsn, text.clone()) })
            }
            Err(reason) => Outcome::Failed(Reason { via, ..reason.clone() }),
        }
    }
}

impl Probe<'_> {
    fn deferred(reason: Reason) -> Verified {
        Verified { found: Deliverability::Deferred, text: reason.text }
    }

    async fn run(mut self, address: &Address) -> Verified {
        let id = self.entry.id.clone();
        let several = self.entry.recipients.len() > 1;
        let mut verified = None;
        if several {
            let text = "aliased to multiple recipients".to_owned();
            let program = format!("{}/cleanup", self.routing.syslog_name);
            let found = Found::new(program, &Recipient::new(address.clone()), "none", Ok(text));
            verified = Some(self.conclude(&found));
            self.entry.recipients.clear();
        }
        let stamp = mail::time::compact(self.started);
        let value = format!("<{stamp}.{id}@{}>", self.verifier.ground.agents.host).into();
        let name = || id.as_str().to_owned().into();
        self.verifier.say("cleanup", MessageId { id: name(), kind: IdKind::Message, value });
        let from = self.entry.sender.to_external().into();
        let nrcpt = u64::try_from(self.entry.recipients.len()).unwrap_or(u64::MAX);
        let (size, queue) = (self.entry.size, "active".into());
        self.verifier.say("qmgr", Queued { id: name(), from, size, nrcpt, queue });
        if let Some(recipient) = self.entry.recipients.first().cloned() {
            let found = self.ask(&recipient).await;
            let mut last = None;
            for found in &found {
                last = Some(self.conclude(found));
            }
            verified = last;
        }
        self.verifier.say("qmgr", Removed { id: name() });
        verified.unwrap_or_else(Verified::in_progress)
    }

    /// Whoever the address stands for.
    async fn recipients(&self, address: &Address) -> Result<Vec<Recipient>, Reason> {
        let classes = &self.routing.classes;
        let mut tables = (*self.routing.live.snapshot()).clone();
        let servers = &self.verifier.ground.answers.table_servers;
        let complete = classes.rewrite(address);
        let look = |tables: &Snapshot| {
            let found = classes.canonical(Use::EnvelopeRecipient, &complete, tables);
            found.map(|found| found.address).map_err(|(_, error)| error)
        };
        let canonical = servers.looked_up(&mut tables, look).await.map_err(|error| lookup_failed(&error))?;
        let look = |tables: &Snapshot| classes.expand_aliases(&canonical, tables);
        let expansion = servers.looked_up(&mut tables, look).await.map_err(|error| lookup_failed(&error))?;
        let addresses = match expansion {
            Expansion::Recipients(addresses) => addresses,
            Expansion::Unbounded(text) | Expansion::Nobody(text) => {
                return Err(Reason::new(Dsn::new(4, 3, 0), text));
            }
        };
        let mut recipients = Vec::with_capacity(addresses.len());
        for found in addresses {
            let look = |tables: &Snapshot| classes.routed(&found, tables);
            // Who can't say now says it at delivery.
            let routed = servers.looked_up(&mut tables, look).await.unwrap_or_else(|_| found.clone());
            recipients.push(Recipient { original: address.clone(), ..Recipient::new(routed) });
        }
        Ok(recipients)
    }

    /// Asks the transport of a recipient.
    async fn ask(&self, recipient: &Recipient) -> Vec<Found> {
        match self.route(recipient).await {
            Ok(route) => self.by_route(recipient, &route).await,
            Err(error) => {
                let program = format!("{}/error", self.routing.syslog_name);
                vec![Found::new(program, recipient, "none", Err(lookup_failed(&error)))]
            }
        }
    }

    async fn route(&self, recipient: &Recipient) -> Result<Route, LookupError> {
        let mut tables = (*self.routing.live.snapshot()).clone();
        let look = |tables: &Snapshot| {
            let addresses = (&self.entry.sender, &recipient.address);
            self.routing.probing.routes.route(addresses, &self.routing.classes, tables)
        };
        let found = self.verifier.ground.answers.table_servers.looked_up(&mut tables, look).await?;
        Ok(Route { transport: found.transport, nexthop: found.nexthop })
    }

    async fn by_route(&self, recipient: &Recipient, route: &Route) -> Vec<Found> {
        let program = |agent: &str| format!("{}/{agent}", self.routing.syslog_name);
        let name = route.transport.as_str();
        if let Some(transport) = self.routing.transports.get(name) {
            let _turn = self.turn(route).await;
            return vec![self.send(transport, recipient, &route.nexthop).await];
        }
        if let Some(pipe) = self.routing.pipes.iter().find(|pipe| pipe.name == name) {
            let text = format!("delivers to command: {}", pipe.command());
            return vec![Found::new(program("pipe"), recipient, name, Ok(text))];
        }
        match name {
            "local" => self.local(recipient).await,
            "virtual" => {
                let boxes = self.routing.targets.virtual_boxes();
                let found = boxes.find(&recipient.address, &self.tables());
                let format = |is_maildir| if is_maildir { "maildir" } else { "mailbox" };
                let found = found
                    .map(|mailbox| format!("delivers to {}", format(mailbox.is_maildir())))
                    .map_err(|no| no.reason);
                vec![Found::new(program("virtual"), recipient, "virtual", found)]
            }
            "discard" | "error" | "retry" => {
                let agent = if name == "retry" { "error" } else { name };
                vec![self.nowhere(&program(agent), recipient, route)]
            }
            _ => {
                let reason = Reason::new(Dsn::new(4, 3, 0), "mail transport unavailable");
                vec![Found::new(program("error"), recipient, "none", Err(reason))]
            }
        }
    }

    fn tables(&self) -> Arc<Snapshot> {
        self.routing.live.snapshot()
    }

    /// A turn at a destination: a flood of addresses isn't a flood of connections.
    async fn turn(&self, route: &Route) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let key = format!("{} {}", route.transport, route.nexthop);
        let turns = {
            let mut destinations = lock(&self.verifier.destinations);
            if destinations.len() >= super::PROBES_MAX {
                destinations.retain(|_, turns| Arc::strong_count(turns) > 1);
            }
            let fresh = || Arc::new(Semaphore::new(PROBES_PER_DESTINATION_MAX));
            Arc::clone(destinations.entry(key).or_insert_with(fresh))
        };
        turns.acquire_owned().await.ok()
    }

    /// discard(8), error(8).
    fn nowhere(&self, program: &str, recipient: &Recipient, route: &Route) -> Found {
        let agents = &self.verifier.ground.agents;
        let Delivered { outcome, text, .. } = agents.deliver(
            (0, &self.entry),
            recipient,
            (&route.transport, &route.nexthop),
            (&self.routing, &self.tables()),
        );
        let outcome = match outcome {
            Outcome::Delivered | Outcome::Confirmed(..) => Ok(text),
            Outcome::Deferred(reason) | Outcome::Failed(reason) => Err(reason),
        };
        Found::new(program.to_owned(), recipient, "none", outcome)
    }

    /// local(8).
    async fn local(&self, recipient: &Recipient) -> Vec<Found> {
        let (routing, agents) = (Arc::clone(&self.routing), Arc::clone(&self.verifier.ground.agents));
        let (log, queue) = (self.verifier.ground.log.clone(), self.verifier.ground.queue.clone());
        let (entry, asked) = (self.entry.clone(), recipient.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let errand = Errand {
                agents: &agents,
                routing: &routing,
                log: &log,
                queue: &queue,
                number: 0,
                entry: &entry,
                index: 0,
                recipient: &asked,
            };
            errand.probe()
        });
        let program = format!("{}/local", self.routing.syslog_name);
        let Ok(Looked { said, passes }) = looked.await else {
            let reason = Reason::new(Dsn::new(4, 3, 0), "the probe ended early");
            return vec![Found::new(program, recipient, "local", Err(reason))];
        };
        let mut found: Vec<Found> = said
            .into_iter()
            .map(|(recipient, outcome)| Found::new(program.clone(), &recipient, "local", outcome))
            .collect();
        for pass in passes.into_iter().filter(|pass| pass.transport != "local") {
            let route = Route { transport: pass.transport.clone(), nexthop: pass.nexthop.clone() };
            found.extend(Box::pin(self.by_route(&pass.recipient, &route)).await);
        }
        found
    }

    /// Other servers.
    async fn send(&self, transport: &Transport, recipient: &Recipient, nexthop: &str) -> Found {
        let Verifier { ground, .. } = self.verifier;
        let log = |event: events::Event<'_>| ground.log.write(&transport.program, event);
        let mut entry = self.entry.clone();
        entry.recipients = vec![recipient.clone()];
        if let Some(generic) = &transport.generic {
            let tables = (&*self.routing.live, &*ground.answers);
            match generic.probe(&entry, &self.routing.classes, tables).await {
                Ok(outgoing) => entry = outgoing,
                Err(text) => log(Warning::warning(text).into()),
            }
        }
        let tables = self.tables();
        let ground = smtp::Ground {
            answers: &ground.answers,
            tables: &tables,
            spool: &ground.agents.spool,
            classes: &self.routing.classes,
            edits: &Edits::default(),
            probes: true,
            postmaster: None,
            sockets: &ground.agents.sockets,
            settled: &|_| {},
            log: &log,
        };
        let reports = Box::pin(smtp::deliver(transport, &ground, (0, &entry), &[0], nexthop)).await;
        let Some(report) = reports.into_iter().next() else {
            let reason = Reason::new(Dsn::new(4, 3, 0), "the delivery agent gave no status");
            return Found::new(transport.program.clone(), recipient, "none", Err(reason));
        };
        let why = report.verdict.why();
        let remote = report.server.as_ref().zip(why.reply.as_ref());
        let remote = remote.map(|(server, reply)| Remote { name: server.name.clone(), reply: reply.clone() });
        let outcome = match &report.verdict {
            Verdict::Sent(_) => Ok((why.dsn, why.text.clone())),
            Verdict::Deferred(_) | Verdict::Bounced(_) => {
                Err(Reason { remote: remote.clone(), ..Reason::new(why.dsn, why.text.clone()) })
            }
        };
        Found {
            remote,
            program: transport.program.clone(),
            recipient: recipient.clone(),
            relay: report.relay,
            outcome,
            connecting: report.connecting,
        }
    }

    /// Says what was found, and what it comes to.
    fn conclude(&self, found: &Found) -> Verified {
        let keeps_negative = self.routing.probing.limits.keeps_negative;
        let (dsn, text, status, deliverability) = match &found.outcome {
            Ok((dsn, text)) => (*dsn, text.clone(), Status::Deliverable, Deliverability::Deliverable),
            Err(reason) => {
                let status =
                    if keeps_negative { Status::Undeliverable } else { Status::UndeliverableNotCached };
                let permanent = reason.dsn.class == 5;
                let found = if permanent { Deliverability::Undeliverable } else { Deliverability::Deferred };
                (reason.dsn, reason.text.clone(), status, found)
            }
        };
        let now = clock::now().wall;
        let since = now - self.started;
        let delays =
            [Duration::ZERO, Duration::ZERO, found.connecting, since.saturating_sub(found.connecting)];
        let (to, original) = (found.recipient.address.to_external(), found.recipient.original.to_external());
        let rounded = |delay| Delay::rounded(delay, self.routing.reporting.delay_digits);
        let line = Delivery {
            id: self.entry.id.as_str().into(),
            orig_to: (to != original).then(|| original.as_str().into()),
            to: to.as_str().into(),
            relay: found.relay.as_str().into(),
            conn_use: None,
            delay: rounded(since),
            delays: Some(Delays(delays.map(rounded))),
            dsn: Some(dsn.to_string().into()),
            tls: None,
            status,
            text: text.as_str().into(),
        };
        self.verifier.ground.log.write(&found.program, line);
        Verified { found: deliverability, text }
    }
}
