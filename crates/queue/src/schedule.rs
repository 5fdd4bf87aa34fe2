//! Which message is tried when, to where, and what becomes of it: a conversation without I/O.
//!
//! `handle` takes what happened, `poll` gives what is to be done, `deadline`/`expire` are the clock's side.
//! A waiting message is a number and a time here; its envelope is in memory only while it is active, and at
//! most `active_limit` are. Postfix's rule of waiting (T2.14): as long as the message is old, between
//! `minimal_backoff_time` and `maximal_backoff_time`, then until the next queue run.
//! Who is told of failures is [`crate::notice`]'s; a message whose reports can't be sent is kept. How much goes where
//! at a time, and who comes first, is [`lanes`]'s and [`turns`]'s. An outcome is persisted before the message is
//! forgotten, and one that could not be persisted is remembered, so that nobody is served twice for a full disk.

use crate::entry::{Entry, How, Note, Reason, Status};
use crate::notice::{self, Notice};
use mail::{Address, Dsn, QueueId, Wall};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

mod by_hand;
mod lanes;
mod limits;
mod line;
mod outcomes;
mod telling;
#[cfg(test)]
mod tests;
mod turns;
mod window;

pub use by_hand::Order;
pub use lanes::Route;
use lanes::{Job, LaneId, Lanes};
pub use limits::{Feedback, Limits, Slots};
use line::Line;
use outcomes::{set_status, settle};
use telling::Told;

/// How long to wait before the spool is asked again for what it refused.
const RETRY: Duration = Duration::from_secs(60);

/// The queue manager's parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `minimal_backoff_time`.
    pub minimal_backoff: Duration,
    /// `maximal_backoff_time`.
    pub maximal_backoff: Duration,
    /// `queue_run_delay`; zero means that a message is tried the moment its time has come.
    pub queue_run_delay: Duration,
    /// `maximal_queue_lifetime`.
    pub maximal_queue_lifetime: Duration,
    /// `bounce_queue_lifetime`: the same for the null sender.
    pub bounce_queue_lifetime: Duration,
    /// `qmgr_message_active_limit`.
    pub active_limit: usize,
    /// `qmgr_message_recipient_limit`: recipients in memory at once, of small messages, and of large ones.
    pub recipient_limit: usize,
    /// `defer_transports`: their mail waits for somebody to flush it.
    pub deferred_transports: Vec<String>,
    /// `recipient_delimiter`: what of a local recipient's name is an extension.
    pub recipient_delimiter: String,
    /// `destination_concurrency_feedback_debug`.
    pub feedback_debug: bool,
    /// `default_destination_…_limit`.
    pub limits: Limits,
    /// `TRANSPORT_destination_…_limit`, by transport.
    pub transport_limits: BTreeMap<String, Limits>,
    /// Who is told of failures and delays.
    pub notices: notice::Settings,
}

impl Default for Settings {
    fn default() -> Settings {
        let local = Limits { concurrency: 2, recipients: 1, ..Limits::default() };
        let unlimited = ["discard", "error", "retry"].map(|name| (name.to_owned(), Limits::none()));
        let transport_limits = unlimited.into_iter().chain([("local".to_owned(), local)]);
        Settings {
            minimal_backoff: Duration::from_secs(300),
            maximal_backoff: Duration::from_secs(4000),
            queue_run_delay: Duration::from_secs(300),
            maximal_queue_lifetime: Duration::from_secs(5 * 86_400),
            bounce_queue_lifetime: Duration::from_secs(5 * 86_400),
            active_limit: 20_000,
            recipient_limit: 20_000,
            deferred_transports: Vec::new(),
            recipient_delimiter: String::new(),
            feedback_debug: false,
            limits: Limits::default(),
            transport_limits: transport_limits.collect(),
            notices: notice::Settings::default(),
        }
    }
}

impl Settings {
    /// Attempts to one destination that wait in the active queue; what is beyond waits outside of it.
    fn share(&self) -> usize {
        (self.active_limit / 10).max(2)
    }

    /// Recipients that make a message a large one.
    fn bulk(&self) -> usize {
        (self.recipient_limit / 20).max(1)
    }
}

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Durably handed over.
    Delivered,
    /// Likewise, and the sender is to be told of it.
    Confirmed(How, Reason),
    /// To be tried again.
    Deferred(Reason),
    /// Refused for good.
    Failed(Reason),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A message is in the spool: just committed, or found at start (then with its entry's `next_attempt`).
    Queued {
        /// Its number in the spool.
        number: u64,
        /// The time of arrival where it was never tried.
        next_attempt: Wall,
        /// Whether it was tried before.
        deferred: bool,
    },
    /// The answer to [`Action::Load`]; a route for each recipient, in order.
    Loaded {
        /// Its number.
        number: u64,
        /// The envelope with its notes.
        entry: Box<Entry>,
        /// Where each recipient goes.
        routes: Vec<Route>,
    },
    /// The answer to [`Action::Load`] where routes can't be had now (a table is unavailable).
    Unroutable {
        /// Its number.
        number: u64,
        /// The envelope with its notes.
        entry: Box<Entry>,
        /// What is wrong.
        reason: Reason,
    },
    /// The answer to [`Action::Load`] where the spool can't give the envelope; the message is left alone.
    Unreadable {
        /// Its number.
        number: u64,
    },
    /// The answer to [`Action::Start`]. A recipient without an outcome counts as deferred.
    Finished {
        /// The attempt's `id`.
        attempt: u64,
        /// By index into the entry's recipients.
        outcomes: Vec<(u32, Outcome)>,
        /// Connection or handshake failed: whoever else wants to go there need not try now.
        unreachable: Option<Reason>,
    },
    /// Some recipients of an attempt that goes on are done with: nothing that happens to the others undoes it.
    Settled {
        /// The attempt's `id`.
        attempt: u64,
        /// By index into the entry's recipients.
        outcomes: Vec<(u32, Outcome)>,
    },
    /// [`Action::Persist`] is done and durable.
    Persisted {
        /// The message.
        number: u64,
    },
    /// The spool could not do [`Action::Persist`]; it is asked again later.
    NotPersisted {
        /// The message.
        number: u64,
    },
    /// The spool could not do [`Action::Remove`].
    NotRemoved {
        /// The message.
        number: u64,
        /// Its name.
        id: QueueId,
    },
    /// [`Action::Tell`] is done: every report is durable in the spool.
    Told {
        /// The message.
        number: u64,
    },
    /// A report could not be put into the spool; the message is tried again later.
    NotTold {
        /// The message.
        number: u64,
    },
    /// `postqueue -f`: everything deferred is due now.
    Flush,
    /// Somebody wants something done with one message.
    ByHand {
        /// The message.
        number: u64,
        /// What.
        order: Order,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the envelope, find the routes, answer with `Loaded`, `Unroutable` or `Unreadable`.
    Load {
        /// The message.
        number: u64,
    },
    /// To be logged: `from=<…>, size=…, nrcpt=… (queue active)`.
    Active {
        /// Its name.
        id: QueueId,
        /// The envelope sender.
        sender: Address,
        /// Bytes.
        size: u64,
        /// All recipients, those too that are done.
        recipients: usize,
    },
    /// Deliver; answer with `Finished`.
    Start(Attempt),
    /// Keep these notes in the spool, in order; answer with `Persisted` or `NotPersisted`. One such action is
    /// under way for a message at a time, so the answer needs no more than its number.
    Persist {
        /// The message.
        number: u64,
        /// What to keep.
        notes: Vec<Note>,
    },
    /// All recipients are done: remove it from the spool and log `removed` when that is durable; answer with
    /// `NotRemoved` where it fails.
    Remove {
        /// The message.
        number: u64,
        /// Its name.
        id: QueueId,
    },
    /// To be logged: `from=<…>, status=expired, returned to sender`.
    Expired {
        /// Its name.
        id: QueueId,
        /// The envelope sender.
        sender: Address,
        /// `postsuper -e`: it is not too old, somebody wants it back.
        forced: bool,
    },
    /// Put these reports into the spool; answer with `Told` when all are durable, else with `NotTold`.
    Tell {
        /// The message.
        number: u64,
        /// Its envelope as it stands.
        entry: Box<Entry>,
        /// What is told to whom.
        notices: Vec<Notice>,
    },
    /// To be logged by qmgr: `destination_concurrency_feedback_debug`'s lines.
    Remark(String),
    /// To be logged by bounce: `not sending trace/success notification for single-bounce message`.
    Untraced {
        /// Its name.
        id: QueueId,
    },
    /// To be logged: `undeliverable postmaster notification discarded`.
    Discarded {
        /// Its name.
        id: QueueId,
    },
}

/// One delivery to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Names the attempt in [`Event::Finished`].
    pub id: u64,
    /// The message.
    pub number: u64,
    /// Where to.
    pub route: Route,
    /// Indices into the entry's recipients.
    pub recipients: Vec<u32>,
}

/// An active message.
#[derive(Debug)]
struct Active {
    entry: Entry,
    /// Attempts waiting or running.
    outstanding: usize,
    /// Outcomes that no note holds yet.
    unsaved: Vec<(u32, Status)>,
    /// Wanted again as soon as this round is over.
    again: bool,
    /// Its content is damaged: nobody gets it any more.
    spoilt: bool,
}

/// Notes on their way into the spool.
#[derive(Debug, Default)]
struct Unsaved {
    notes: Vec<Note>,
    /// How many of them, from the front, the spool is writing.
    under_way: usize,
}

/// The schedule of one spool.
#[derive(Debug)]
pub struct Scheduler {
    settings: Settings,
    /// Queue runs are at whole multiples of `queue_run_delay` after this.
    started: Wall,
    /// Never tried, in order of arrival.
    incoming: Line,
    /// Deferred, by the time before which they are not tried.
    waiting: BTreeSet<(Wall, u64)>,
    /// Where in `waiting` a message stands.
    wake: BTreeMap<u64, Wall>,
    /// Deferred and due.
    due: Line,
    /// Were parked, and may become active again.
    returned: Line,
    /// Large messages that wait until others of their kind are done.
    bulk_waiting: Line,
    /// Recipients of active messages: small ones, large ones.
    small_recipients: usize,
    bulk_recipients: usize,
    /// Were flushed by hand: `defer_transports` doesn't hold for them.
    wanted: BTreeSet<u64>,
    /// The latest time that was told.
    now: Wall,
    loading: BTreeSet<u64>,
    /// Being read while somebody changed them: the answer doesn't count; whether they are due then.
    stale: BTreeMap<u64, bool>,
    active: BTreeMap<u64, Active>,
    /// Their reports are on their way into the spool.
    telling: BTreeMap<u64, Told>,
    /// On hold.
    held: BTreeSet<u64>,
    running: BTreeMap<u64, (Attempt, LaneId)>,
    last_attempt: u64,
    lanes: Lanes,
    /// Notes that are not known to be durable; they count when the message is loaded meanwhile.
    unsaved: BTreeMap<u64, Unsaved>,
    /// Removals that the spool refused.
    unremoved: BTreeMap<u64, QueueId>,
    /// When the spool is asked again for what it refused.
    retry: Option<Wall>,
    actions: VecDeque<Action>,
    /// Whose turn it is when both queues have something.
    deferred_turn: bool,
}

impl Scheduler {
    /// An empty schedule.
    #[must_use]
    pub fn new(settings: Settings, now: Wall) -> Scheduler {
        Scheduler {
            settings,
            started: now,
            incoming: Line::default(),
            waiting: BTreeSet::new(),
            wake: BTreeMap::new(),
            due: Line::default(),
            returned: Line::default(),
            bulk_waiting: Line::default(),
            small_recipients: 0,
            bulk_recipients: 0,
            wanted: BTreeSet::new(),
            now,
            loading: BTreeSet::new(),
            stale: BTreeMap::new(),
            active: BTreeMap::new(),
            telling: BTreeMap::new(),
            held: BTreeSet::new(),
            running: BTreeMap::new(),
            last_attempt: 0,
            lanes: Lanes::default(),
            unsaved: BTreeMap::new(),
            unremoved: BTreeMap::new(),
            retry: None,
            actions: VecDeque::new(),
            deferred_turn: false,
        }
    }

    /// Takes new parameters, as a queue manager does that is started anew: queue runs count from now, one is made at
    /// once, and destinations that were dead may be tried. What waits already keeps its time.
    pub fn reconfigure(&mut self, now: Wall, settings: Settings) {
        self.settings = settings;
        self.started = now;
        self.lanes.reconfigure(&self.settings);
        self.lanes.wake_all(&self.settings);
        (self.small_recipients, self.bulk_recipients) = (0, 0);
        let counts: Vec<usize> = self.active.values().map(|active| active.entry.recipients.len()).collect();
        for count in counts {
            *self.recipients_held(count) += count;
        }
        self.expire(now);
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Wall, event: Event) {
        self.now = now;
        match event {
            Event::Queued { number, next_attempt, deferred } => {
                if deferred {
                    self.wait(number, next_attempt);
                } else {
                    self.incoming.push_back(number);
                }
            }
            Event::Loaded { number, entry, routes } => self.loaded(now, number, *entry, &routes),
            Event::Unroutable { number, entry, reason } => {
                if self.asked_for(number)
                    && let Some(active) = self.activate(now, number, *entry)
                {
                    let all = open_recipients(&active.entry);
                    settle(active, all.into_iter().map(|index| (index, Outcome::Deferred(reason.clone()))));
                    self.finish(now, number);
                }
            }
            Event::Unreadable { number } => {
                self.asked_for(number);
            }
            Event::Settled { attempt, outcomes } => self.settled(attempt, outcomes),
            Event::Finished { attempt, outcomes, unreachable } => {
                self.finished(now, attempt, outcomes, unreachable);
            }
            Event::Persisted { number } => {
                if let Some(unsaved) = self.unsaved.get_mut(&number) {
                    unsaved.notes.drain(..unsaved.under_way.min(unsaved.notes.len()));
                    unsaved.under_way = 0;
                    self.persist(number, Vec::new());
                }
            }
            Event::NotPersisted { number } => {
                if let Some(unsaved) = self.unsaved.get_mut(&number) {
                    unsaved.under_way = 0;
                    self.retry_later(now);
                }
            }
            Event::NotRemoved { number, id } => {
                self.unremoved.insert(number, id);
                self.retry_later(now);
            }
            Event::Told { number } => self.told(number),
            Event::NotTold { number } => self.not_told(number),
            Event::Flush => {
                // Perhaps the spool has room again.
                self.retry = self.retry.map(|_| now);
                self.lanes.wake_all(&self.settings);
                let all: Vec<u64> = std::mem::take(&mut self.waiting).into_iter().map(|(_, n)| n).collect();
                self.wake.clear();
                if !self.settings.deferred_transports.is_empty() {
                    self.wanted.extend(&all);
                }
                all.into_iter().for_each(|number| self.due.push_back(number));
            }
            Event::ByHand { number, order } => self.by_hand(now, number, order),
        }
        self.fill();
    }

    /// What to do next, if anything.
    pub fn poll(&mut self) -> Option<Action> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        let (lane, route, Job { number, recipients }) = self.lanes.next(self.now, &self.settings)?;
        self.last_attempt += 1;
        let attempt = Attempt { id: self.last_attempt, number, route, recipients };
        self.running.insert(attempt.id, (attempt.clone(), lane));
        if !self.lanes.returned.is_empty() {
            self.fill();
        }
        Some(Action::Start(attempt))
    }

    /// When [`Scheduler::expire`] wants to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Wall> {
        let first = self.waiting.first().map(|(at, _)| self.queue_run(*at));
        first.into_iter().chain(self.retry).chain(self.lanes.deadline()).min()
    }

    /// Takes in that time has passed.
    pub fn expire(&mut self, now: Wall) {
        self.now = now;
        self.lanes.expire(now, &self.settings);
        while let Some(&(at, number)) = self.waiting.first() {
            if self.queue_run(at) > now {
                break;
            }
            self.waiting.pop_first();
            self.wake.remove(&number);
            self.due.push_back(number);
        }
        if self.retry.is_some_and(|at| at <= now) {
            self.retry = None;
            for (number, id) in std::mem::take(&mut self.unremoved) {
                self.actions.push_back(Action::Remove { number, id });
            }
            let numbers: Vec<u64> = self.unsaved.keys().copied().collect();
            for number in numbers {
                self.persist(number, Vec::new());
            }
        }
        self.fill();
    }

    fn retry_later(&mut self, now: Wall) {
        self.retry.get_or_insert(now + RETRY);
    }

    /// Has notes written, behind those that wait already.
    fn persist(&mut self, number: u64, notes: Vec<Note>) {
        let unsaved = self.unsaved.entry(number).or_default();
        unsaved.notes.extend(notes);
        if unsaved.notes.is_empty() {
            self.unsaved.remove(&number);
        } else if unsaved.under_way == 0 {
            unsaved.under_way = unsaved.notes.len();
            self.actions.push_back(Action::Persist { number, notes: unsaved.notes.clone() });
        }
    }

    /// Messages with their envelope in memory.
    #[must_use]
    pub fn active(&self) -> usize {
        self.active.len()
    }

    /// Whether a message's envelope is in memory.
    #[must_use]
    pub fn is_active(&self, number: u64) -> bool {
        self.active.contains_key(&number)
    }

    /// The messages with their envelope in memory.
    pub fn active_numbers(&self) -> impl Iterator<Item = u64> {
        self.active.keys().copied()
    }

    /// Deferred messages that wait for their time.
    #[must_use]
    pub fn deferred(&self) -> usize {
        self.waiting.len()
            + self.due.len()
            + self.returned.len()
            + self.bulk_waiting.len()
            + self.lanes.parked()
    }

    /// Messages that are kept but not tried.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// The first queue run at or after `at`.
    fn queue_run(&self, at: Wall) -> Wall {
        let delay = i64::try_from(self.settings.queue_run_delay.as_micros()).unwrap_or(i64::MAX);
        let since = at.0.saturating_sub(self.started.0);
        if delay == 0 || since <= 0 {
            return at;
        }
        let late = since.rem_euclid(delay);
        if late == 0 { at } else { Wall(at.0.saturating_add(delay - late)) }
    }

    fn wait(&mut self, number: u64, until: Wall) {
        self.waiting.insert((until, number));
        self.wake.insert(number, until);
    }

    /// Lets messages become active while there is room: those that were here before, then one from incoming, one from
    /// deferred in turn.
    fn fill(&mut self) {
        for number in std::mem::take(&mut self.lanes.returned) {
            self.returned.push_back(number);
        }
        for text in std::mem::take(&mut self.lanes.remarks) {
            self.actions.push_back(Action::Remark(text));
        }
        if self.bulk_recipients == 0
            && let Some(number) = self.bulk_waiting.pop_front()
        {
            self.returned.push_back(number);
        }
        while self.small_recipients < self.settings.recipient_limit.max(1)
            && self.active.len() + self.loading.len() + self.telling.len() < self.settings.active_limit.max(1)
        {
            let (first, second) = if self.deferred_turn {
                (&mut self.due, &mut self.incoming)
            } else {
                (&mut self.incoming, &mut self.due)
            };
            let next = self.returned.pop_front().or_else(|| first.pop_front()).or_else(|| second.pop_front());
            let Some(number) = next else { break };
            self.deferred_turn = !self.deferred_turn;
            let busy = self.active.contains_key(&number) || self.telling.contains_key(&number);
            if !busy && self.loading.insert(number) {
                self.actions.push_back(Action::Load { number });
            }
        }
    }

    /// Makes a loaded message active; `None` if it has nothing to be tried.
    fn activate(&mut self, now: Wall, number: u64, mut entry: Entry) -> Option<&mut Active> {
        for note in self.unsaved.get(&number).iter().flat_map(|unsaved| &unsaved.notes) {
            entry.apply(note.clone());
        }
        if entry.hold {
            self.held.insert(number);
            return None;
        }
        if !entry.is_open() && !entry.is_untold() {
            self.unsaved.remove(&number);
            self.actions.push_back(Action::Remove { number, id: entry.id });
            return None;
        }
        let expanded = |status: &Status| matches!(status, Status::Confirmed(How::Expanded, _));
        let recipients = entry.recipients.iter().filter(|known| !expanded(&known.status)).count();
        let (id, sender, size) = (entry.id.clone(), entry.sender.clone(), entry.size);
        self.actions.push_back(Action::Active { id, sender, size, recipients });
        entry.next_attempt = now;
        *self.recipients_held(entry.recipients.len()) += entry.recipients.len();
        let active = Active { entry, outstanding: 0, unsaved: Vec::new(), again: false, spoilt: false };
        Some(self.active.entry(number).insert_entry(active).into_mut())
    }

    /// Where the recipients of a message of this size are counted.
    fn recipients_held(&mut self, count: usize) -> &mut usize {
        if count >= self.settings.bulk() { &mut self.bulk_recipients } else { &mut self.small_recipients }
    }

    /// It is active no more.
    fn deactivate(&mut self, number: u64) -> Option<Active> {
        let active = self.active.remove(&number)?;
        let count = active.entry.recipients.len();
        let held = self.recipients_held(count);
        *held = held.saturating_sub(count);
        Some(active)
    }

    /// Whether a loaded message has to wait outside of the active queue, so that others find room there.
    fn waits_outside(&mut self, number: u64, entry: &Entry, routes: &[Route]) -> bool {
        if entry.hold || entry.expire || !entry.is_open() {
            return false;
        }
        let recipients = entry.recipients.len();
        let room = self.settings.recipient_limit.saturating_sub(self.bulk_recipients);
        if recipients >= self.settings.bulk() && self.bulk_recipients > 0 && recipients > room {
            self.bulk_waiting.push_back(number);
            return true;
        }
        if self.active.len() < self.settings.active_limit / 2 {
            return false;
        }
        let open = entry.recipients.iter().zip(routes).filter(|(recipient, _)| recipient.status.is_open());
        let open = open.map(|(recipient, route)| (route, &recipient.address));
        match self.lanes.crowded(open, self.settings.share(), &self.settings) {
            Some(lane) => {
                self.lanes.park(number, lane);
                true
            }
            None => false,
        }
    }

    fn loaded(&mut self, now: Wall, number: u64, entry: Entry, routes: &[Route]) {
        if !self.asked_for(number) || self.waits_outside(number, &entry, routes) {
            return;
        }
        let wanted = self.wanted.remove(&number);
        // With VERP each recipient has a sender address of its own.
        let together = u32::from(entry.verp.is_some());
        let Some(active) = self.activate(now, number, entry) else { return };
        if active.entry.expire {
            self.finish(now, number);
            return;
        }
        let (mut unrouted, mut routed) = (Vec::new(), Vec::new());
        for index in open_recipients(&active.entry) {
            let at = usize::try_from(index).unwrap_or(usize::MAX);
            match (routes.get(at), active.entry.recipients.get(at)) {
                (Some(route), Some(recipient)) => {
                    routed.push((index, route.clone(), recipient.address.clone()));
                }
                _ => unrouted.push((index, Outcome::Deferred(no_outcome("no route was found")))),
            }
        }
        settle(active, unrouted);
        if !wanted && !self.settings.deferred_transports.is_empty() {
            let reason = Reason::new(Dsn::new(4, 3, 2), "deferred transport");
            for (_, route, _) in &mut routed {
                if self.settings.deferred_transports.contains(&route.transport) {
                    *route = Route::retry(&reason);
                }
            }
        }
        let added = self.lanes.add(number, routed, together, &self.settings);
        if let Some(active) = self.active.get_mut(&number) {
            active.outstanding = added;
        }
        if added == 0 {
            self.finish(now, number);
        }
    }

    /// All attempts of this round are over: what is too old expires, and the rest follows from who is to be told.
    fn finish(&mut self, now: Wall, number: u64) {
        let Some(mut active) = self.deactivate(number) else { return };
        active.entry.tries = active.entry.tries.saturating_add(1);
        if active.spoilt {
            for index in open_recipients(&active.entry) {
                set_status(&mut active, index, Status::Failed(Reason::spoilt()));
            }
        }
        let age = now - active.entry.arrival;
        active.entry.next_attempt = now + self.backoff(age);
        let old = active.entry.expire || age >= self.lifetime(&active.entry.sender);
        // While it is on hold, it doesn't get too old.
        if active.entry.is_open() && old && !active.entry.hold {
            for index in open_recipients(&active.entry) {
                let at = usize::try_from(index).unwrap_or(usize::MAX);
                let reason = match active.entry.recipients.get(at).map(|recipient| &recipient.status) {
                    Some(Status::Deferred(reason)) => reason.clone(),
                    _ => Reason::new(Dsn::new(4, 0, 0), "message is administratively expired"),
                };
                set_status(&mut active, index, Status::Expired(reason));
            }
            let (id, sender) = (active.entry.id.clone(), active.entry.sender.clone());
            let forced = active.entry.expire;
            self.actions.push_back(Action::Expired { id, sender, forced });
        }
        self.conclude(now, number, active);
    }

    /// As long as the message is old, between the two bounds.
    fn backoff(&self, age: Duration) -> Duration {
        age.min(self.settings.maximal_backoff).max(self.settings.minimal_backoff)
    }

    fn lifetime(&self, sender: &Address) -> Duration {
        let (bounce, other) = (self.settings.bounce_queue_lifetime, self.settings.maximal_queue_lifetime);
        if sender.is_null() { bounce } else { other }
    }
}

fn open_recipients(entry: &Entry) -> Vec<u32> {
    let open = entry.recipients.iter().zip(0..).filter(|(recipient, _)| recipient.status.is_open());
    open.map(|(_, index)| index).collect()
}

fn no_outcome(text: &str) -> Reason {
    Reason::new(Dsn::new(4, 3, 0), text)
}
