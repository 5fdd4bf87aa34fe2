//! The queue's driver: does what `queue::Scheduler` says, and logs it as qmgr and the agents would.
//!
//! One task owns the scheduler. A message that has just been accepted hands its envelope over in memory;
//! all others are read from the spool when their turn comes.

use super::agent::Agents;
use super::ending::STOPPING;
use super::orders::{Given, Sites};
use super::reports::Teller;
use super::smtp::Transport;
use super::target::{Targets, lookup_failed};
use super::verify::Probing;
use super::wording::Reporting;
use super::work::{self, Work};
use crate::clock;
use crate::configuration::{Notices, Receiving};
use crate::facts::Answers;
use crate::live::Live;
use crate::log::Log;
use crate::queued::shelf::left;
use events::daemon::Message as Warning;
use events::queue::{Expired, Queued, Removed};
use mail::{Address, QueueId, Wall};
use policy::address::{AddressClasses, Class};
use queue::notice::Notice;
use queue::{Action, Attempt, Card, Entry, Event, Note, Order, Outcome, Reason, Route, Scheduler, Settings};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tables::{LookupError, Snapshot};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// What the manager is told.
pub(super) enum Message {
    Scheduler(Event),
    New {
        number: u64,
        entry: Box<Entry>,
    },
    Loaded {
        number: u64,
        entry: Option<Box<Entry>>,
        notes: usize,
    },
    /// Its envelope is damaged: what it was, and where it is now.
    SetApart {
        number: u64,
        lines: Vec<String>,
    },
    /// An attempt has found its content damaged.
    Doubted {
        number: u64,
    },
    Routed {
        number: u64,
        entry: Box<Entry>,
        routes: Result<Vec<Route>, Reason>,
    },
    Removed {
        id: QueueId,
    },
    Given(Given),
    Obeyed(Given, Result<(), store::SpoolError>),
    Active(oneshot::Sender<HashSet<u64>>),
    Site(String),
    SitesFound(Vec<u64>),
    Reconfigured,
    Drain(oneshot::Sender<()>),
}

/// How others reach the manager.
#[derive(Clone)]
pub struct QueueHandle {
    pub(super) messages: UnboundedSender<Message>,
}

impl QueueHandle {
    /// A message is durable in the spool.
    pub fn accepted(&self, number: u64, entry: Entry) {
        // The manager ends with the process; what is in the spool is found at the next start.
        let _ = self.messages.send(Message::New { number, entry: Box::new(entry) });
    }

    /// There is another [`Routing`]: its settings hold from now on.
    pub fn reconfigured(&self) {
        let _ = self.messages.send(Message::Reconfigured);
    }

    /// Begins no more deliveries, and waits until those under way are done and noted in the spool: what has been
    /// delivered isn't delivered again by the next server.
    pub async fn drain(&self) {
        let (sender, done) = oneshot::channel();
        if self.messages.send(Message::Drain(sender)).is_ok() {
            // A manager that is gone has nothing under way.
            let _ = done.await;
        }
    }

    /// Tells what was found; what only a server knows is asked first.
    fn tell_routes(
        &self,
        (number, entry): (u64, Box<Entry>),
        found: Result<Vec<Route>, LookupError>,
        (routing, answers): (Arc<Routing>, Arc<Answers>),
    ) {
        let messages = self.messages.clone();
        if let Err(LookupError::Unasked { .. }) = found {
            tokio::spawn(async move {
                let routes = routing.ask_routes(&entry, &answers).await;
                let _ = messages.send(Message::Routed { number, entry, routes });
            });
            return;
        }
        let routes = found.map_err(|error| lookup_failed(&error));
        let _ = messages.send(Message::Routed { number, entry, routes });
    }

    pub(super) fn tell(&self, event: Event) {
        let _ = self.messages.send(Message::Scheduler(event));
    }
}

/// What of the configuration delivery needs; replaced as a whole by a reload.
pub struct Routing {
    /// Address classes.
    pub classes: Arc<AddressClasses>,
    /// Mailboxes.
    pub targets: Arc<Targets>,
    /// What a server without a helper does for local recipients.
    pub agency: Arc<crate::privileged::Agency>,
    /// `pipe` lines of master.cf.
    pub pipes: Vec<crate::privileged::pipe_service::PipeService>,
    /// Tables.
    pub live: Arc<Live>,
    /// Transports to other servers, by their names in master.cf.
    pub transports: HashMap<String, Arc<Transport>>,
    /// What deliveries here count as.
    pub status_filters: super::status_filter::StatusFilters,
    /// The scheduler's parameters.
    pub settings: Settings,
    /// How senders are told.
    pub reporting: Reporting,
    /// How addresses are probed.
    pub probing: Probing,
    /// Who sees mail before it goes to its recipients.
    pub filters: super::filtered::Filters,
    /// `best_mx_transport`
    pub best_mx: Option<Route>,
    /// Whether the postmaster gets transcripts of sessions with other servers, and how they come into the queue.
    pub notices: Option<(Arc<Notices>, Arc<Receiving>)>,
    /// Who looks at reports, where anybody does (`internal_mail_filter_classes`).
    pub watched: Option<Arc<Receiving>>,
    /// `soft_bounce`: nothing is refused for good.
    pub soft_bounce: bool,
    /// `postfix`, before `/qmgr`.
    pub syslog_name: String,
}

impl Routing {
    fn route(&self, entry: &Entry, recipient: &Address, snapshot: &Snapshot) -> Result<Route, LookupError> {
        if let Some(filter) = self.filters.of(entry) {
            return self.filters.route(filter, recipient, &self.classes, snapshot);
        }
        let sender = &entry.sender;
        let found = self.targets.routes().route((sender, recipient), &self.classes, snapshot)?;
        if self.reporting.is_double_bounce(recipient)
            && self.classes.resolve(recipient, snapshot)?.class == Class::Local
        {
            return Ok(Route { transport: "discard".to_owned(), nexthop: DISCARDED.to_owned() });
        }
        Ok(Route { transport: found.transport, nexthop: found.nexthop })
    }

    /// Where each recipient's mail goes.
    fn routes(&self, entry: &Entry, snapshot: &Snapshot) -> Result<Vec<Route>, LookupError> {
        let recipients = entry.recipients.iter();
        recipients.map(|recipient| self.route(entry, &recipient.address, snapshot)).collect()
    }

    /// The same, asking the tables that are behind sockets.
    async fn ask_routes(&self, entry: &Entry, answers: &Answers) -> Result<Vec<Route>, Reason> {
        let mut snapshot = (*self.live.snapshot()).clone();
        let mut routes = Vec::with_capacity(entry.recipients.len());
        for recipient in &entry.recipients {
            let look = |tables: &Snapshot| self.route(entry, &recipient.address, tables);
            let route = answers.table_servers.looked_up(&mut snapshot, look).await;
            routes.push(route.map_err(|error| lookup_failed(&error))?);
            snapshot.forget_answers();
        }
        Ok(routes)
    }
}

/// What becomes of mail to `double_bounce_sender`: answers to notices that nobody wants.
pub(super) const DISCARDED: &str = "undeliverable postmaster notification discarded";

/// The driver.
pub struct Manager {
    pub(super) scheduler: Scheduler,
    pub(super) handle: QueueHandle,
    messages: UnboundedReceiver<Message>,
    /// Envelopes of messages that were just accepted, until the scheduler wants them.
    pub(super) fresh: HashMap<u64, Box<Entry>>,
    /// Envelopes of active messages, and when they became active.
    pub(super) active: HashMap<u64, (Arc<Entry>, Wall)>,
    pub(super) agents: Arc<Agents>,
    routing: Arc<RwLock<Arc<Routing>>>,
    pub(super) log: Log,
    answers: Arc<Answers>,
    /// Attempts and writes to the spool that haven't been answered.
    pub(super) under_way: usize,
    /// Messages with notes on their way into the spool, and how many.
    pub(super) writing: HashMap<u64, usize>,
    /// Messages that are being read, and nothing is written to: their notes may be folded in.
    pub(super) foldable: HashSet<u64>,
    /// Domains whose mail is looked for.
    pub(super) sites: Sites,
    draining: Option<oneshot::Sender<()>>,
}

/// Envelopes kept in memory before they are active; beyond, they are read from the spool.
const FRESH_MAX: usize = 2_000;
/// The routes of so many recipients are found on the spot.
const ROUTED_HERE_MAX: usize = 100;
/// An envelope of so many recipients is written anew when it is deferred.
const REWRITTEN_RECIPIENTS_MAX: usize = 10;
/// Notes beside an envelope before they are folded into it.
const NOTES_MAX: usize = 8;

impl Manager {
    /// A manager for the messages that the spool holds already, and those to come.
    #[must_use]
    pub fn new(
        agents: Arc<Agents>,
        routing: Arc<RwLock<Arc<Routing>>>,
        log: Log,
        answers: Arc<Answers>,
    ) -> (Manager, QueueHandle) {
        let (sender, messages) = unbounded_channel();
        let handle = QueueHandle { messages: sender };
        let settings = routing.read().unwrap_or_else(PoisonError::into_inner).settings.clone();
        let scheduler = Scheduler::new(settings, clock::now().wall);
        let manager = Manager {
            scheduler,
            handle: handle.clone(),
            messages,
            fresh: HashMap::new(),
            active: HashMap::new(),
            agents,
            routing,
            log,
            answers,
            under_way: 0,
            writing: HashMap::new(),
            foldable: HashSet::new(),
            sites: Sites::default(),
            draining: None,
        };
        (manager, handle)
    }

    /// Takes in what the spool holds from before.
    pub fn recover(&mut self) {
        let now = clock::now().wall;
        for (number, brief) in self.agents.spool.briefs() {
            // What earlier versions stored is read.
            let known =
                Card::decode(brief).or_else(|| self.agents.entry(number).map(|(entry, _)| Card::of(&entry)));
            let (next_attempt, deferred, hold) =
                known.map_or((now, false, false), |card| (card.next_attempt, card.deferred, card.hold));
            self.scheduler.handle(now, Event::Queued { number, next_attempt, deferred });
            if hold {
                self.scheduler.handle(now, Event::ByHand { number, order: Order::Hold });
            }
        }
    }

    /// Runs until the process ends.
    pub async fn run(mut self) {
        loop {
            while let Some(action) = self.scheduler.poll() {
                self.act(action);
            }
            if self.under_way == 0
                && let Some(done) = self.draining.take()
            {
                // Whoever waited may have given up.
                let _ = done.send(());
                return;
            }
            let now = clock::now().wall;
            let wait = self.scheduler.deadline().map_or(Duration::from_secs(3600), |at| at - now);
            tokio::select! {
                message = self.messages.recv() => {
                    let Some(message) = message else { return };
                    self.take(message);
                    // Whatever has come meanwhile is taken in before the next action.
                    while let Ok(message) = self.messages.try_recv() {
                        self.take(message);
                    }
                }
                () = tokio::time::sleep(wait) => self.scheduler.expire(clock::now().wall),
            }
        }
    }

    fn routing(&self) -> Arc<Routing> {
        Arc::clone(&self.routing.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn program(&self, daemon: &str) -> String {
        format!("{}/{daemon}", self.routing().syslog_name)
    }

    fn take(&mut self, message: Message) {
        let now = clock::now().wall;
        match message {
            Message::New { number, entry } => {
                let next_attempt = entry.next_attempt;
                if self.fresh.len() < FRESH_MAX {
                    self.fresh.insert(number, entry);
                }
                self.scheduler.handle(now, Event::Queued { number, next_attempt, deferred: false });
            }
            Message::Loaded { number, entry: Some(entry), notes } => {
                if self.foldable.remove(&number) && notes >= NOTES_MAX {
                    // Where it fails, the notes are still there.
                    self.agents.spool.replace(number, entry.encode(), drop);
                }
                self.loaded(now, number, entry);
            }
            Message::Routed { number, entry, routes } => self.routed(now, number, entry, routes),
            Message::Loaded { number, entry: None, .. } => {
                self.foldable.remove(&number);
                let text = format!("message {number:X} in the spool cannot be read; it is left where it is");
                self.log.write(&self.program("qmgr"), Warning::warning(text));
                for damage in self.agents.spool.take_damage() {
                    self.log.write(&self.program("qmgr"), Warning::warning(damage));
                }
                self.scheduler.handle(now, Event::Unreadable { number });
            }
            Message::SetApart { number, lines } => {
                self.foldable.remove(&number);
                for line in lines {
                    self.log.write(&self.program("qmgr"), Warning::warning(line));
                }
                self.scheduler.handle(now, Event::Unreadable { number });
            }
            Message::Doubted { number } => self.look_through(number),
            Message::Removed { id } => {
                self.under_way = self.under_way.saturating_sub(1);
                self.log.write(&self.program("qmgr"), Removed { id: id.as_str().into() });
            }
            // As if it had never been begun: it is the next server's first.
            Message::Scheduler(Event::Finished { outcomes, .. })
                if self.draining.is_some()
                    && !outcomes.is_empty()
                    && outcomes.iter().all(|(_, outcome)| is_cut_short(outcome)) =>
            {
                self.under_way = self.under_way.saturating_sub(1);
            }
            Message::Scheduler(event) => {
                let answered = matches!(
                    event,
                    Event::Finished { .. }
                        | Event::Persisted { .. }
                        | Event::NotPersisted { .. }
                        | Event::NotRemoved { .. }
                        | Event::Told { .. }
                        | Event::NotTold { .. }
                );
                self.under_way = self.under_way.saturating_sub(usize::from(answered));
                if let Event::Persisted { number } | Event::NotPersisted { number } = event {
                    self.written(number);
                }
                self.scheduler.handle(now, event);
            }
            Message::Given(given) => self.obey(given),
            Message::Obeyed(given, outcome) => self.obeyed(now, given, outcome),
            Message::Active(asked) => {
                // Whoever asked may be gone.
                let _ = asked.send(self.scheduler.active_numbers().collect());
            }
            Message::Site(domain) => self.look_for(domain),
            Message::SitesFound(numbers) => self.found(now, numbers),
            Message::Reconfigured => self.scheduler.reconfigure(now, self.routing().settings.clone()),
            Message::Drain(done) => self.draining = Some(done),
        }
        // Active messages that the scheduler is done with are dropped by `Remove` and `Persist`.
    }

    fn loaded(&mut self, now: Wall, number: u64, entry: Box<Entry>) {
        self.agents.memory.learn(number, &entry);
        let routing = self.routing();
        let snapshot = routing.live.snapshot();
        if entry.recipients.len() > ROUTED_HERE_MAX {
            // Thousands of look-ups take their time; other messages don't wait for them.
            let (answers, handle) = (Arc::clone(&self.answers), self.handle.clone());
            tokio::task::spawn_blocking(move || {
                let routes = routing.routes(&entry, &snapshot);
                handle.tell_routes((number, entry), routes, (routing, answers));
            });
            return;
        }
        match routing.routes(&entry, &snapshot) {
            Ok(routes) => self.routed(now, number, entry, Ok(routes)),
            unknown => {
                let ground = (routing, Arc::clone(&self.answers));
                self.handle.tell_routes((number, entry), unknown, ground);
            }
        }
    }

    fn routed(&mut self, now: Wall, number: u64, entry: Box<Entry>, routes: Result<Vec<Route>, Reason>) {
        match routes {
            Ok(routes) => {
                self.active.insert(number, (Arc::new((*entry).clone()), now));
                self.scheduler.handle(now, Event::Loaded { number, entry, routes });
            }
            Err(reason) => self.scheduler.handle(now, Event::Unroutable { number, entry, reason }),
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Load { .. } | Action::Start(_) if self.draining.is_some() => {}
            Action::Load { number } => self.load(number),
            Action::Active { id, sender, size, recipients } => {
                let from = sender.to_external();
                let nrcpt = recipients as u64;
                let line =
                    Queued { id: id.as_str().into(), from: from.into(), size, nrcpt, queue: "active".into() };
                self.log.write(&self.program("qmgr"), line);
            }
            Action::Start(attempt) => self.start(attempt),
            Action::Persist { number, notes } => self.persist(number, &notes),
            Action::Remove { number, id } => {
                self.active.remove(&number);
                self.under_way = self.under_way.saturating_add(1);
                let handle = self.handle.clone();
                self.agents.spool.remove(number, move |removed| match removed {
                    Ok(()) | Err(store::SpoolError::NotFound(_)) => {
                        let _ = handle.messages.send(Message::Removed { id });
                    }
                    Err(_) => handle.tell(Event::NotRemoved { number, id }),
                });
            }
            Action::Expired { id, sender, forced } => {
                let (id, from) = (id.as_str().into(), sender.to_external().into());
                let status = if forced { "force-expired" } else { "expired" };
                self.log.write(&self.program("qmgr"), Expired { id, from, status: status.into() });
            }
            Action::Tell { number, entry, notices } => self.tell(number, Arc::new(*entry), notices),
            Action::Remark(text) => self.log.write(&self.program("qmgr"), events::Event::Other(text.into())),
            Action::Untraced { id } => {
                let text = format!("{id}: not sending trace/success notification for single-bounce message");
                self.log.write(&self.program("bounce"), events::Event::Other(text.into()));
            }
            Action::Discarded { id } => {
                let text = format!("{id}: undeliverable postmaster notification discarded");
                self.log.write(&self.program("bounce"), Warning::warning(text));
            }
        }
    }

    fn tell(&mut self, number: u64, entry: Arc<Entry>, notices: Vec<Notice>) {
        self.under_way = self.under_way.saturating_add(1);
        let teller = Teller {
            agents: Arc::clone(&self.agents),
            routing: self.routing(),
            answers: Arc::clone(&self.answers),
            log: self.log.clone(),
            queue: self.handle.clone(),
        };
        let handle = self.handle.clone();
        tokio::spawn(async move {
            let told = teller.tell(number, &entry, notices).await;
            handle.tell(if told { Event::Told { number } } else { Event::NotTold { number } });
        });
    }

    fn load(&mut self, number: u64) {
        if let Some(entry) = self.fresh.remove(&number) {
            self.loaded(clock::now().wall, number, entry);
            return;
        }
        if !self.writing.contains_key(&number) {
            self.foldable.insert(number);
        }
        let (agents, handle) = (Arc::clone(&self.agents), self.handle.clone());
        tokio::task::spawn_blocking(move || {
            let (entry, notes) =
                agents.entry(number).map_or((None, 0), |(entry, notes)| (Some(entry), notes));
            let messages = handle.messages.clone();
            let unreadable = Message::Loaded { number, entry: None, notes: 0 };
            let loaded = match entry {
                Some(entry) => Message::Loaded { number, entry: Some(Box::new(entry)), notes },
                None => {
                    let told = move |outcome: Result<Vec<String>, store::SpoolError>| {
                        let lines = outcome.map(|lines| Message::SetApart { number, lines });
                        let _ = messages.send(lines.unwrap_or(unreadable));
                    };
                    if handle.set_apart(&agents.spool, number, told) {
                        return;
                    }
                    Message::Loaded { number, entry: None, notes: 0 }
                }
            };
            let _ = handle.messages.send(loaded);
        });
    }

    /// Looks whether the content of a message is damaged, so that nobody will get it.
    fn look_through(&self, number: u64) {
        let (handle, spool) = (self.handle.clone(), self.agents.spool.clone());
        let (log, program) = (self.log.clone(), self.program("qmgr"));
        tokio::task::spawn_blocking(move || {
            handle.set_apart(&spool, number, move |outcome| {
                for line in outcome.unwrap_or_else(|error| left(number, &error)) {
                    log.write(&program, Warning::warning(line));
                }
            })
        });
    }

    /// The whole envelope, where it is short, with what has changed: one record to be read later in place of many.
    fn rewritten(&mut self, number: u64, notes: &[Note]) -> Option<Vec<u8>> {
        let (entry, _) = self.active.get_mut(&number)?;
        if entry.recipients.len() > REWRITTEN_RECIPIENTS_MAX {
            return None;
        }
        let entry = Arc::make_mut(entry);
        entry.add_parts(&self.agents.memory.of(number));
        notes.iter().for_each(|note| entry.apply(note.clone()));
        // What is on its way into the spool may be missing here.
        (!self.scheduler.is_active(number) && !self.writing.contains_key(&number)).then(|| entry.encode())
    }

    fn persist(&mut self, number: u64, notes: &[Note]) {
        if let Some(envelope) = self.rewritten(number, notes) {
            self.active.remove(&number);
            self.under_way = self.under_way.saturating_add(1);
            self.writes(number);
            let handle = self.handle.clone();
            self.agents.spool.replace(number, envelope, move |written| {
                let failed = written.is_err();
                handle.tell(if failed {
                    Event::NotPersisted { number }
                } else {
                    Event::Persisted { number }
                });
            });
            return;
        }
        // Where other attempts of the message wait for their turn, they still need it.
        if !self.scheduler.is_active(number) {
            self.active.remove(&number);
        }
        let Some((last, first)) = notes.split_last() else {
            self.scheduler.handle(clock::now().wall, Event::Persisted { number });
            return;
        };
        // Notes of one message become durable in their order, so the last one's answer stands for all
        // unless an earlier one failed; that one is then written again, which changes nothing.
        let failed = Arc::new(std::sync::atomic::AtomicBool::new(false));
        for note in first {
            let failed = Arc::clone(&failed);
            self.agents.spool.note(number, note.encode(), move |written| {
                failed.fetch_or(written.is_err(), std::sync::atomic::Ordering::Relaxed);
            });
        }
        self.under_way = self.under_way.saturating_add(1);
        self.writes(number);
        let handle = self.handle.clone();
        self.agents.spool.note(number, last.encode(), move |written| {
            let failed = written.is_err() || failed.load(std::sync::atomic::Ordering::Relaxed);
            handle.tell(if failed { Event::NotPersisted { number } } else { Event::Persisted { number } });
        });
    }

    fn start(&mut self, attempt: Attempt) {
        self.under_way = self.under_way.saturating_add(1);
        let Some((entry, activated)) = self.active.get(&attempt.number).cloned() else {
            let (attempt, outcomes) = (attempt.id, Vec::new());
            self.handle.tell(Event::Finished { attempt, outcomes, unreachable: None });
            return;
        };
        let work = Work {
            attempt,
            entry,
            activated,
            started: clock::now().wall,
            agents: Arc::clone(&self.agents),
            routing: self.routing(),
            log: self.log.clone(),
            queue: self.handle.clone(),
            is_passed_on: false,
        };
        let (handle, spool, number) = (self.handle.clone(), self.agents.spool.clone(), work.attempt.number);
        let done = move |finished| {
            let work::Finished { attempt, outcomes, unreachable } = finished;
            if spool.take_doubt(number) {
                let _ = handle.messages.send(Message::Doubted { number });
            }
            handle.tell(Event::Finished { attempt, outcomes, unreachable });
        };
        match work.kind() {
            work::Kind::Nowhere => done(work.run()),
            work::Kind::Helped => drop(tokio::spawn(async move { work.hand_over(done) })),
            _ => {
                let answers = Arc::clone(&self.answers);
                tokio::spawn(async move { done(work.perform(&answers).await) });
            }
        }
    }
}

/// Whether the server's end was all that kept a delivery from being done.
fn is_cut_short(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Deferred(reason) if reason.text == STOPPING)
}
