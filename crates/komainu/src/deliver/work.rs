//! One attempt under way: what an agent does for a message, told to the scheduler and to the log.
//!
//! Mailboxes are written on blocking threads, other servers are spoken to in tasks; both end in one log line for each
//! recipient, as Postfix's agents write it.

use super::agent::{Agents, Delivered};
use super::local::{Errand, Owned, Pass, Served};
use super::manager::{QueueHandle, Routing};
use super::reports::Teller;
use super::smtp::{self, Edits, Ground, Outgoing, Report, Settled, Transport};
use super::verify;
use crate::cleanup::{Intake, Postmaster};
use crate::clock;
use crate::facts::Answers;
use crate::log::Log;
use crate::privileged::PACKED_BYTES_MAX;
use events::daemon::Message as Warning;
use events::delivery::{Delay, Delays, Delivery, Status};
use mail::{Dsn, Wall};
use proto::client::Verdict;
use queue::entry::{NOTIFY_DELAY, NOTIFY_SUCCESS};
use queue::notice::{Audience, Notice, Subject};
use queue::{Attempt, Entry, Event, How, Outcome, Reason, Recipient, Remote, ReturnContent, Route, Trace};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, RwLock};
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
    pub(super) queue: QueueHandle,
    /// `best_mx_transport` has it already: mail that comes back once more is returned.
    pub(super) is_passed_on: bool,
}

/// An attempt being made.
type Making<'w> = Pin<Box<dyn Future<Output = Finished> + Send + 'w>>;

/// Where an attempt's work is done.
pub(super) enum Kind {
    /// Nothing blocks.
    Nowhere,
    /// On this machine's disk.
    Mailbox,
    /// The same, of a short message, by the helper.
    Helped,
    /// By a program of this machine.
    Program,
    /// On this machine, and perhaps beyond: what a local recipient stands for.
    Local,
    /// At other servers.
    Network(Arc<Transport>),
    /// Nothing is delivered, only asked.
    Probe,
}

/// How an attempt ended.
pub(super) struct Finished {
    /// Its number.
    pub(super) attempt: u64,
    /// What became of each of its recipients.
    pub(super) outcomes: Vec<(u32, Outcome)>,
    /// Connection or handshake failed, so that others need not try now.
    pub(super) unreachable: Option<Reason>,
}

impl Work {
    pub(super) fn kind(&self) -> Kind {
        let name = &self.attempt.route.transport;
        if self.entry.trace == Some(Trace::Probe) {
            return Kind::Probe;
        }
        match self.routing.transports.get(name) {
            Some(transport) => Kind::Network(Arc::clone(transport)),
            None if matches!(name.as_str(), "discard" | "error" | "retry") => Kind::Nowhere,
            None if name == "local" => Kind::Local,
            None if self.routing.pipes.iter().any(|pipe| pipe.name == *name) => Kind::Program,
            None if name == "virtual" && self.is_short() && self.agents.helper.is_some() => Kind::Helped,
            None => Kind::Mailbox,
        }
    }

    /// Does the work, wherever that is.
    pub(super) fn perform(self, answers: &Arc<Answers>) -> Making<'_> {
        let attempt = self.attempt.id;
        let ended = move |_| Finished { attempt, outcomes: Vec::new(), unreachable: None };
        Box::pin(async move {
            match self.kind() {
                Kind::Nowhere => self.run(),
                Kind::Program => tokio::task::spawn_blocking(move || self.pipe()).await.unwrap_or_else(ended),
                Kind::Mailbox | Kind::Helped => {
                    tokio::task::spawn_blocking(move || self.run()).await.unwrap_or_else(ended)
                }
                Kind::Local => Arc::new(self).serve(answers).await,
                Kind::Probe => self.try_out(answers).await,
                Kind::Network(transport) => self.send(&transport, answers).await,
            }
        })
    }

    /// One recipient, and a body that goes along in the helper's packet.
    fn is_short(&self) -> bool {
        self.attempt.recipients.len() == 1 && self.entry.size <= PACKED_BYTES_MAX
    }

    /// Asks what a delivery would come to.
    pub(super) async fn try_out(self, answers: &Arc<Answers>) -> Finished {
        let ground = verify::Ground {
            agents: self.agents,
            routing: Arc::new(RwLock::new(self.routing)),
            answers: Arc::clone(answers),
            log: self.log,
            queue: self.queue,
            folder: PathBuf::new(),
        };
        let outcomes = Box::pin(verify::try_out(ground, &self.attempt, &self.entry)).await;
        Finished { attempt: self.attempt.id, outcomes, unreachable: None }
    }

    /// Serves local recipients.
    pub(super) async fn serve(self: Arc<Work>, answers: &Arc<Answers>) -> Finished {
        let mut outcomes = Vec::with_capacity(self.attempt.recipients.len());
        for index in &self.attempt.recipients {
            let at = usize::try_from(*index).unwrap_or(usize::MAX);
            let Some(recipient) = self.entry.recipients.get(at) else { continue };
            let (work, index) = (Arc::clone(&self), *index);
            let served = tokio::task::spawn_blocking(move || work.serve_parts(index, at)).await;
            let ended = |_| Served::refused(Reason::new(Dsn::new(4, 3, 0), "the delivery ended early"));
            let mut served = served.unwrap_or_else(ended);
            for pass in std::mem::take(&mut served.passes) {
                let (outcome, text) = self.pass(&pass, answers).await;
                served.passed(&pass, &outcome, &text);
            }
            for owned in std::mem::take(&mut served.owned) {
                let is_told = self.tell_owner(&owned, answers).await;
                served.told(&owned, is_told);
            }
            let (outcome, text) = served.outcome(&self.agents.memory, (self.attempt.number, index));
            let outcome = match text {
                Some(text) => confirmed(self.confirms(recipient), outcome, &text),
                None => outcome,
            };
            let outcome = self.traced(outcome, "local");
            outcomes.push((index, soften(outcome, self.routing.soft_bounce)));
            self.settle(&mut outcomes);
        }
        Finished { attempt: self.attempt.id, outcomes, unreachable: None }
    }

    /// A list's owner hears at once of what its members' commands and files came to, in a report for each.
    async fn tell_owner(&self, owned: &Owned, answers: &Arc<Answers>) -> bool {
        let mut entry = self.entry.for_one(owned.recipient.clone());
        (entry.envelope_id, entry.return_content) = (None, None);
        let notice = Notice {
            subject: Subject::Failure,
            audience: Audience::Sender,
            to: owned.owner.clone(),
            content: ReturnContent::Full,
            recipients: vec![0],
        };
        let teller = Teller {
            agents: Arc::clone(&self.agents),
            routing: Arc::clone(&self.routing),
            answers: Arc::clone(answers),
            log: self.log.clone(),
            queue: self.queue.clone(),
        };
        teller.tell(self.attempt.number, &Arc::new(entry), vec![notice]).await
    }

    fn serve_parts(&self, index: u32, at: usize) -> Served {
        let Some(recipient) = self.entry.recipients.get(at) else { return Served::default() };
        let errand = Errand {
            agents: &self.agents,
            routing: &self.routing,
            log: &self.log,
            queue: &self.queue,
            number: self.attempt.number,
            entry: &self.entry,
            index,
            recipient,
        };
        let program = format!("{}/local", self.routing.syslog_name);
        errand.serve(&|recipient, delivered| {
            self.judge(&self.attempt.route.transport, &program, delivered);
            let softened = self.routing.soft_bounce && matches!(delivered.outcome, Outcome::Failed(_));
            self.say(recipient, &program, &Line { softened, ..Line::from(&*delivered) });
        })
    }

    /// Another transport's part of a local recipient.
    async fn pass(&self, pass: &Pass, answers: &Arc<Answers>) -> (Outcome, String) {
        let entry = self.entry.for_one(pass.recipient.clone());
        if pass.transport == "local" {
            let reason = Reason::new(Dsn::new(4, 3, 5), "mail system configuration error");
            self.say(&pass.recipient, "postfix/local", &Line::from(&Delivered::not("local", reason.clone())));
            return (Outcome::Deferred(reason), String::new());
        }
        if self.routing.pipes.iter().any(|pipe| pipe.name == pass.transport) {
            return tokio::task::block_in_place(|| self.pass_to_program(&entry, pass));
        }
        let Some(transport) = self.routing.transports.get(&pass.transport) else {
            let snapshot = self.routing.live.snapshot();
            let message = (self.attempt.number, &entry);
            let route = (pass.transport.as_str(), pass.nexthop.as_str());
            let delivered = tokio::task::block_in_place(|| {
                self.agents.deliver(message, &pass.recipient, route, (&self.routing, &snapshot))
            });
            let program = format!("{}/{}", self.routing.syslog_name, pass.transport);
            self.say(&pass.recipient, &program, &Line::from(&delivered));
            let text = delivered.relay_text();
            return (delivered.outcome, text);
        };
        // There is one recipient only, and what it comes to is what is returned.
        let nothing: Settled<'_> = &|_| {};
        let way = (&*pass.nexthop, nothing);
        let reports = self.dispatch(transport, answers, (&entry, &[0]), way).await;
        let Some(report) = reports.first() else {
            let reason = Reason::new(Dsn::new(4, 3, 0), "the delivery agent gave no status");
            return (Outcome::Deferred(reason), String::new());
        };
        self.say(&pass.recipient, &transport.program, &Line::from(report));
        let text = format!("delivery via {}: {}", report.relay, report.verdict.why().text);
        (outcome(self.follows(&pass.recipient), &pass.recipient, report), text)
    }

    /// A program's part of a local recipient. Blocks.
    fn pass_to_program(&self, entry: &Entry, pass: &Pass) -> (Outcome, String) {
        let (name, program) = (pass.transport.as_str(), format!("{}/pipe", self.routing.syslog_name));
        let warn = |text: &str| self.log.write(&program, Warning::warning(text.to_owned()));
        let message = (self.attempt.number, entry);
        let way = (name, pass.nexthop.as_str(), &warn as &dyn Fn(&str));
        let (outcome, how) = self.agents.pipe(&self.routing, message, &[&pass.recipient], way);
        let mut delivered = match outcome {
            Ok(text) => Delivered::sent("pipe", &text),
            Err(reason) => Delivered::not("pipe", reason),
        };
        self.judge(name, &program, &mut delivered);
        self.say(&pass.recipient, &program, &Line { relay: name, ..Line::from(&delivered) });
        let text = format!("delivery via {name}: {}", delivered.text);
        let outcome = match delivered.outcome {
            Outcome::Delivered if self.confirms(&pass.recipient) => {
                Outcome::Confirmed(how, Reason::new(Dsn::new(2, 0, 0), text.clone()))
            }
            other => other,
        };
        (outcome, text)
    }

    /// Hands the message to a program, for all recipients at once. Blocks.
    pub(super) fn pipe(self) -> Finished {
        let name = self.attempt.route.transport.clone();
        let program = format!("{}/pipe", self.routing.syslog_name);
        let warn = |text: &str| {
            let line = match text.strip_prefix("fatal: ") {
                Some(text) => Warning { level: events::daemon::Level::Fatal, text: text.to_owned().into() },
                None => Warning::warning(text.to_owned()),
            };
            self.log.write(&program, line);
        };
        let chosen: Vec<(u32, &Recipient)> = self
            .attempt
            .recipients
            .iter()
            .filter_map(|index| Some((*index, self.entry.recipients.get(usize::try_from(*index).ok()?)?)))
            .collect();
        let recipients: Vec<&Recipient> = chosen.iter().map(|(_, recipient)| *recipient).collect();
        let message = (self.attempt.number, &*self.entry);
        let (outcome, how) = self.agents.pipe(
            &self.routing,
            message,
            &recipients,
            (&name, &self.attempt.route.nexthop, &warn),
        );
        let mut outcomes = Vec::with_capacity(chosen.len());
        for (index, recipient) in chosen {
            let mut delivered = match &outcome {
                Ok(text) => Delivered::sent("pipe", text),
                Err(reason) => Delivered::not("pipe", reason.clone()),
            };
            self.judge(&name, &program, &mut delivered);
            let softened = self.routing.soft_bounce && delivered.soften();
            self.say(recipient, &program, &Line { softened, relay: &name, ..Line::from(&delivered) });
            let text = format!("delivery via {name}: {}", delivered.text);
            outcomes.push((
                index,
                match delivered.outcome {
                    Outcome::Delivered if self.confirms(recipient) => {
                        Outcome::Confirmed(how, Reason::new(Dsn::new(2, 0, 0), text))
                    }
                    other => self.traced(other, &name),
                },
            ));
        }
        Finished { attempt: self.attempt.id, outcomes, unreachable: None }
    }

    /// Delivers here. Blocks.
    pub(super) fn run(self) -> Finished {
        let snapshot = self.routing.live.snapshot();
        let route = &self.attempt.route;
        let mut outcomes = Vec::with_capacity(self.attempt.recipients.len());
        for index in &self.attempt.recipients {
            let Some(recipient) = self.recipient(*index) else { continue };
            let delivered = self.agents.deliver(
                (self.attempt.number, &self.entry),
                recipient,
                (&route.transport, &route.nexthop),
                (&self.routing, &snapshot),
            );
            outcomes.push((*index, self.conclude(recipient, delivered)));
            self.settle(&mut outcomes);
        }
        Finished { attempt: self.attempt.id, outcomes, unreachable: None }
    }

    /// Has noted who is done with, as others of the attempt may take long: it outlasts the server's end.
    fn settle(&self, outcomes: &mut Vec<(u32, Outcome)>) {
        if self.attempt.recipients.len() > 1 {
            let is_done = |(_, outcome): &mut (u32, Outcome)| !matches!(outcome, Outcome::Deferred(_));
            let outcomes: Vec<_> = outcomes.extract_if(.., is_done).collect();
            if outcomes.is_empty() {
                return;
            }
            self.queue.tell(Event::Settled { attempt: self.attempt.id, outcomes });
        }
    }

    /// Has a short message written by the helper, for the only recipient. `done` is called when it is; no thread waits.
    pub(super) fn hand_over(self, done: impl FnOnce(Finished) + Send + 'static) {
        let [index] = *self.attempt.recipients.as_slice() else { return done(self.run()) };
        let work = Arc::new(self);
        let Some(recipient) = work.recipient(index) else {
            return done(Finished { attempt: work.attempt.id, outcomes: Vec::new(), unreachable: None });
        };
        let snapshot = work.routing.live.snapshot();
        let message = (work.attempt.number, &*work.entry);
        let asked = Arc::clone(&work);
        work.agents.hand_to_virtual(message, recipient, (&work.routing, &snapshot), move |delivered| {
            let outcome = asked.recipient(index).map(|recipient| asked.conclude(recipient, delivered));
            let outcomes = outcome.map(|outcome| (index, outcome)).into_iter().collect();
            done(Finished { attempt: asked.attempt.id, outcomes, unreachable: None });
        });
    }

    fn recipient(&self, index: u32) -> Option<&Recipient> {
        self.entry.recipients.get(usize::try_from(index).ok()?)
    }

    /// What became of one recipient here, for the log and the scheduler.
    fn conclude(&self, recipient: &Recipient, mut delivered: Delivered) -> Outcome {
        let route = &self.attempt.route;
        let agent = match (delivered.relay, route.transport.as_str()) {
            // Its own decision.
            ("none", "discard") if route.nexthop == super::manager::DISCARDED => "qmgr",
            // error(8) serves both.
            ("none", "retry") => "error",
            ("none", transport) if delivered.text == super::agent::UNAVAILABLE => {
                let text = format!("connect to transport private/{transport}: No such file or directory");
                self.log.write(&format!("{}/qmgr", self.routing.syslog_name), Warning::warning(text));
                "error"
            }
            ("none", transport) => transport,
            (relay, _) => relay,
        };
        let program = format!("{}/{agent}", self.routing.syslog_name);
        for warning in &delivered.warnings {
            self.log.write(&program, Warning::warning(warning.clone()));
        }
        self.judge(&route.transport, &program, &mut delivered);
        let softened = self.routing.soft_bounce && delivered.soften();
        self.say(recipient, &program, &Line { softened, ..Line::from(&delivered) });
        let text = delivered.relay_text();
        let outcome = confirmed(self.confirms(recipient), delivered.outcome, &text);
        self.traced(outcome, delivered.relay)
    }

    /// Whether who sends wants to hear of a delivery, whether another server tells of it or not: of the first try, or
    /// that what was late is late no more.
    fn follows(&self, recipient: &Recipient) -> bool {
        let was_told = self.entry.warned && self.routing.reporting.confirms_delays;
        let of_delays = recipient.notify == 0 || recipient.notify & NOTIFY_DELAY != 0;
        self.entry.trace.is_some() || (was_told && of_delays)
    }

    fn confirms(&self, recipient: &Recipient) -> bool {
        self.follows(recipient) || recipient.notify & NOTIFY_SUCCESS != 0
    }

    /// What failed, with what it was tried with, where who sends wants to hear of that.
    fn traced(&self, outcome: Outcome, relay: &str) -> Outcome {
        if self.entry.trace.is_none() || relay == "none" {
            return outcome;
        }
        let via = |reason| Reason { via: Some(relay.into()), ..reason };
        match outcome {
            Outcome::Deferred(reason) => Outcome::Deferred(via(reason)),
            Outcome::Failed(reason) => Outcome::Failed(via(reason)),
            told => told,
        }
    }

    /// What a delivery here counts as (`virtual_delivery_status_filter` and its kin).
    fn judge(&self, transport: &str, program: &str, delivered: &mut Delivered) {
        let tables = self.routing.live.snapshot();
        if let Some(warning) = self.routing.status_filters.judge(transport, delivered, &tables) {
            self.log.write(program, Warning::warning(warning));
        }
    }

    /// Delivers to other servers.
    pub(super) async fn send(self, transport: &Transport, answers: &Arc<Answers>) -> Finished {
        let message = (&*self.entry, self.attempt.recipients.as_slice());
        let settled = |reports| self.settle(&mut self.concluded(transport, reports));
        let way = (&*self.attempt.route.nexthop, &settled as Settled<'_>);
        let reports = self.dispatch(transport, answers, message, way).await;
        // Where nothing was told of before.
        let is_all = reports.len() == self.attempt.recipients.len() && !self.is_passed_on;
        let (looping, reports) = match &self.routing.best_mx {
            Some(_) if !self.is_passed_on => reports.into_iter().partition(Report::is_loop),
            _ => (Vec::new(), reports),
        };
        let unreachable = is_all.then(|| unreachable(&reports)).flatten();
        let mut outcomes = self.concluded(transport, reports);
        let attempt = self.attempt.id;
        if let Some(work) = self.passed_on(looping, &transport.program) {
            outcomes.extend(work.perform(answers).await.outcomes);
        }
        Finished { attempt, outcomes, unreachable }
    }

    /// `best_mx_transport`: what is to be done for recipients whose best exchanger is this host.
    fn passed_on(self, looping: Vec<Report>, program: &str) -> Option<Work> {
        let best = self.routing.best_mx.clone().filter(|_| !looping.is_empty())?;
        let indices: Vec<u32> = looping.iter().map(|report| report.index).collect();
        for index in &indices {
            let Some(recipient) = self.entry.recipients.get(usize::try_from(*index).ok()?) else { continue };
            let address = recipient.address.to_external();
            let text = format!("{}: passing <{address}> to transport={}", self.entry.id, best.transport);
            self.log.write(program, events::Event::Other(text.into()));
        }
        let nexthop = if best.nexthop.is_empty() { self.attempt.route.nexthop.clone() } else { best.nexthop };
        let route = Route { transport: best.transport, nexthop };
        let attempt = Attempt { route, recipients: indices, ..self.attempt };
        Some(Work { attempt, is_passed_on: true, ..self })
    }

    /// Says what servers did, and what it comes to.
    fn concluded(&self, transport: &Transport, reports: Vec<Report>) -> Vec<(u32, Outcome)> {
        let mut outcomes = Vec::with_capacity(reports.len());
        let tables = self.routing.live.snapshot();
        for mut report in reports {
            if let Some(filter) = &transport.status_filter
                && let Some(warning) = filter.judge(&mut report.verdict, &tables)
            {
                self.log.write(&transport.program, Warning::warning(warning));
            }
            let at = usize::try_from(report.index).unwrap_or(usize::MAX);
            let Some(recipient) = self.entry.recipients.get(at) else { continue };
            let softened = transport.soft_bounce && report.soften();
            self.say(recipient, &transport.program, &Line { softened, ..Line::from(&report) });
            let outcome = match outcome(self.follows(recipient), recipient, &report) {
                Outcome::Confirmed(How::Relayed, reason) if transport.assumes_final => {
                    Outcome::Confirmed(How::Delivered, reason)
                }
                other => self.traced(other, &report.relay),
            };
            outcomes.push((report.index, outcome));
        }
        outcomes
    }

    /// Sends the message to other servers, with generic(5) addresses where the transport has such tables.
    async fn dispatch(
        &self,
        transport: &Transport,
        answers: &Arc<Answers>,
        (entry, indices): (&Entry, &[u32]),
        (nexthop, settled): (&str, Settled<'_>),
    ) -> Vec<Report> {
        let tables = self.routing.live.snapshot();
        let log = |event: events::Event<'_>| self.log.write(&transport.program, event);
        for remark in transport.remarks.take() {
            log(Warning::warning(remark).into());
        }
        let outgoing = match self.outgoing(transport, answers, (entry, indices)).await {
            Ok(outgoing) => outgoing,
            Err(text) => {
                log(events::daemon::Message::warning(text).into());
                return indices.iter().map(|index| Report::not_now(*index)).collect();
            }
        };
        // Who checks headers puts the addresses in, behind the checks.
        let edited = outgoing.as_ref().filter(|_| transport.checking.is_none());
        let edits = edited.map_or_else(Edits::default, |outgoing| outgoing.edits.clone());
        let ground = Ground {
            answers,
            tables: &tables,
            spool: &self.agents.spool,
            classes: &self.routing.classes,
            edits: &edits,
            probes: false,
            postmaster: self.postmaster(answers),
            sockets: &self.agents.sockets,
            settled,
            log: &log,
        };
        let entry = outgoing.as_ref().map_or(entry, |outgoing| &outgoing.entry);
        Box::pin(smtp::deliver(transport, &ground, (self.attempt.number, entry), indices, nexthop)).await
    }

    /// Who tells the postmaster of other servers' errors.
    fn postmaster(&self, answers: &Arc<Answers>) -> Option<Postmaster> {
        let routing = &self.routing;
        let (notices, rules) = routing.notices.as_ref()?;
        let intake = Intake {
            spool: self.agents.spool.clone(),
            queue: self.queue.clone(),
            log: self.log.clone(),
            answers: Arc::clone(answers),
            live: Arc::clone(&routing.live),
            classes: Arc::clone(&routing.classes),
            rules: Arc::clone(rules),
        };
        Some(Postmaster { intake, notices: Arc::clone(notices), sockets: self.agents.sockets.clone() })
    }

    async fn outgoing(
        &self,
        transport: &Transport,
        answers: &Arc<Answers>,
        message: (&Entry, &[u32]),
    ) -> Result<Option<Outgoing>, String> {
        let Some(generic) = &transport.generic else { return Ok(None) };
        let body = self.agents.spool.body(self.attempt.number).map_err(|error| error.to_string())?;
        let tables = (&*self.routing.live, &**answers);
        let outgoing = generic.outgoing(message, body, &self.routing.classes, tables).await?;
        for text in &outgoing.warnings {
            self.log.write(&transport.program, events::daemon::Message::warning(text.clone()));
        }
        Ok(Some(outgoing))
    }

    fn say(&self, recipient: &Recipient, program: &str, said: &Line<'_>) {
        let now = clock::now().wall;
        let since_start = now - self.started;
        let delays = [
            self.activated - self.entry.arrival,
            self.started - self.activated,
            said.connecting,
            since_start.saturating_sub(said.connecting),
        ];
        let rounded = |delay| Delay::rounded(delay, self.routing.reporting.delay_digits);
        let (to, original) = (recipient.address.to_external(), recipient.original.to_external());
        let line = Delivery {
            id: self.entry.id.as_str().into(),
            orig_to: (!to.as_str().eq_ignore_ascii_case(original.as_str())).then(|| original.as_str().into()),
            to: to.as_str().into(),
            relay: said.relay.into(),
            conn_use: said.conn_use,
            delay: rounded(now - self.entry.arrival),
            delays: Some(Delays(delays.map(rounded))),
            dsn: Some(said.dsn.as_str().into()),
            tls: None,
            status: if said.softened { Status::SoftBounce } else { said.status },
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
    conn_use: Option<u32>,
    /// It would have been returned, but for `soft_bounce`.
    softened: bool,
}

/// What a server's verdict means for the queue.
fn outcome(is_followed: bool, recipient: &Recipient, report: &Report) -> Outcome {
    let why = report.verdict.why();
    let remote = report.server.as_ref().zip(why.reply.as_ref());
    let remote = remote.map(|(server, reply)| Remote { name: server.name.clone(), reply: reply.clone() });
    let reason = |text: String| Reason { remote, ..Reason::new(why.dsn, text) };
    match report.verdict {
        Verdict::Deferred(_) => Outcome::Deferred(reason(why.text.clone())),
        Verdict::Bounced(_) => Outcome::Failed(reason(why.text.clone())),
        // RFC 3461 §5.2.2: a server that knows of reports sends them.
        Verdict::Sent(_)
            if !is_followed && report.server.as_ref().is_some_and(|server| server.offers_dsn) =>
        {
            Outcome::Delivered
        }
        Verdict::Sent(_) if !is_followed && recipient.notify & NOTIFY_SUCCESS == 0 => Outcome::Delivered,
        Verdict::Sent(_) => {
            let text = format!("delivery via {}: {}", report.relay, why.text);
            Outcome::Confirmed(How::Relayed, reason(text))
        }
    }
}

/// Whether the destination couldn't be spoken to, as smtp(8) tells it to the queue manager: no name, no connection, no
/// handshake, or a connection that was lost in whatever phase. A server's word about a message is none of these.
fn unreachable(reports: &[Report]) -> Option<Reason> {
    let mut found = None;
    for report in reports {
        let Verdict::Deferred(why) = &report.verdict else { return None };
        let unspoken = report.server.is_none() && !why.text.starts_with("queue file");
        let broken = why.text.starts_with("lost connection with ")
            || why.text.starts_with("conversation with ")
            || why.text.contains(" refused to talk to me: ");
        if !unspoken && !broken {
            return None;
        }
        found.get_or_insert_with(|| Reason::new(why.dsn, why.text.clone()));
    }
    found
}

/// `soft_bounce`: what failed is tried again.
fn soften(outcome: Outcome, is_soft: bool) -> Outcome {
    match outcome {
        Outcome::Failed(reason) if is_soft => {
            Outcome::Deferred(Reason { dsn: Dsn { class: 4, ..reason.dsn }, ..reason })
        }
        other => other,
    }
}

/// A delivery here, confirmed where the sender asked for it.
fn confirmed(is_told: bool, outcome: Outcome, text: &str) -> Outcome {
    match outcome {
        Outcome::Delivered if is_told => {
            Outcome::Confirmed(How::Delivered, Reason::new(Dsn::new(2, 0, 0), text))
        }
        other => other,
    }
}

impl<'a> From<&'a Delivered> for Line<'a> {
    fn from(delivered: &'a Delivered) -> Line<'a> {
        let status = match delivered.outcome {
            Outcome::Delivered | Outcome::Confirmed(..) => Status::Sent,
            Outcome::Deferred(_) => Status::Deferred,
            Outcome::Failed(_) => Status::Bounced,
        };
        let (relay, text) = (delivered.relay, delivered.text.as_str());
        let (connecting, conn_use) = (Duration::ZERO, None);
        Line { relay, dsn: delivered.dsn.clone(), status, text, connecting, conn_use, softened: false }
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
        let (connecting, conn_use) = (report.connecting, report.conn_use);
        Line { relay, dsn: why.dsn.to_string(), status, text, connecting, conn_use, softened: false }
    }
}
