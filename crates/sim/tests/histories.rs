//! Random histories of the queue on a disk that forgets: mail comes, is delivered, deferred, refused, gets too old,
//! is reported on; the process dies and the power fails between any two writes, flushes fail.
//!
//! Destinations are up, slow, down, refuse for now or for good, or lose the connection before or after they took the
//! mail, and change their minds. Some are done with one recipient before the next; some recipients are lists, whose
//! members are served one by one (`local`).
//!
//! Promised and checked: every recipient of acknowledged mail ends delivered or with its sender told; one or the
//! other, once, where no crash, failed flush or connection lost after the final dot was near; nothing is tried before
//! its time; no destination and no transport gets more than its limit; nobody is put off for a dead destination that
//! nobody found dead lately; whoever is durably noted as served, a list's member too, isn't served again, whatever
//! crashes; the spool ends empty. Time is moved, nothing waits. `KOMAINU_SEEDS` says how many
//! histories, `KOMAINU_FROM` which is the first. T2.14.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "histories/local.rs"]
mod local;
#[path = "histories/sum.rs"]
mod sum;

use mail::{Address, Dsn, QueueId, Wall};
use queue::card;
use queue::entry::{NOTIFY_NEVER, NOTIFY_SUCCESS};
use queue::notice::{self, Audience, Notice, Subject};
use queue::schedule::Limits;
use queue::{
    Action, Attempt, Card, Entry, Event, How, Note, Outcome, Reason, Recipient, Route, Scheduler, Settings,
    Status,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use store::simdisk::{Dice, SimDisk};
use store::{Digest, Disk, SpoolError, Step, SteppedSpool};
use sum::{Sum, both};

const START: Wall = Wall(1_621_000_000_000_000);
/// Messages that come in one history, and in one with a single crash.
const MESSAGES: u64 = 8;
const MESSAGES_FEW: u64 = 4;
/// Deliveries at once to one destination, and to all.
const AT_ONE: usize = 3;
const AT_ALL: usize = 5;
/// One piece of the log.
const SEGMENT: u32 = 32 << 10;
const DESTINATIONS: [&str; 4] = ["w.test", "x.test", "y.test", "z.test"];
const DOUBLE_BOUNCE: &str = "double-bounce@mx.test";

/// A recipient of a message that was acknowledged: `m7`, 0.
type Who = (String, u32);

/// What became of one.
#[derive(Debug, Default)]
struct Fate {
    delivered: u32,
    told: u32,
    /// `NOTIFY=NEVER`: nobody is to be told.
    never: bool,
    /// A list: how often each member has it.
    members: Vec<u32>,
}

impl Fate {
    fn is_lost(&self) -> bool {
        let missing = if self.members.is_empty() { self.delivered == 0 } else { self.members.contains(&0) };
        missing && self.told == 0 && !self.never
    }

    fn is_once(&self) -> bool {
        if self.members.is_empty() {
            return self.delivered + self.told == 1 || (self.never && self.delivered + self.told == 0);
        }
        // Who waited for too long is told of; the other members have it.
        self.told <= 1 && self.members.iter().all(|count| *count <= 1)
    }
}

/// What the spool was asked for and has not answered.
enum Asked {
    /// A new message, and whose fate hangs on it.
    Accept(u64, Box<Entry>),
    /// A note, whom it says to be done with, and whether it is the one that is answered.
    Persist(u64, Vec<u32>, bool),
    /// A list's member that is done.
    Part(u64, (u32, u64)),
    Remove(u64, QueueId),
    /// A report on this message, its own number, and how many reports there are.
    Report(u64, u64, u64),
}

/// How a destination is just now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// It takes, refuses, defers, as it comes.
    Mixed,
    Slow,
    Down,
    Busy,
    Refusing,
    /// The connection is lost before the final dot.
    LostBefore,
    /// The same, when it has refused some recipients.
    LostMidway,
    /// It has the mail, and its answer is lost.
    LostAfter,
}

const MOODS: [Mood; 8] = [
    Mood::Mixed,
    Mood::Slow,
    Mood::Down,
    Mood::Busy,
    Mood::Refusing,
    Mood::LostBefore,
    Mood::LostMidway,
    Mood::LostAfter,
];

struct World {
    moods: BTreeMap<String, Mood>,
    /// When it was last found out why a destination can't be spoken to.
    found_dead: BTreeMap<String, Wall>,
    /// Deliveries put off for a dead destination.
    put_off: u32,
    disk: SimDisk,
    dice: Dice,
    spool: Option<SteppedSpool>,
    scheduler: Scheduler,
    now: Wall,
    fates: BTreeMap<Who, Fate>,
    /// Messages that a crash or a failed flush was near: twice is excused.
    doubtful: BTreeSet<String>,
    /// What each message's body says: whose fate hangs on it.
    lines: BTreeMap<u64, Vec<Who>>,
    steps: Vec<(Step, Asked)>,
    running: Vec<(Attempt, Entry)>,
    lists: local::Lists,
    /// Recipients that are durably noted as served.
    served: BTreeSet<(u64, u32)>,
    /// Recipients that were done with before their attempt was.
    settled: usize,
    came: u64,
    to_come: u64,
    crashes: u32,
    /// Messages that weren't taken.
    refused: u32,
}

fn settings() -> Settings {
    let postmaster = || Some(Address::from_internal("postmaster@mx.test"));
    let notices = notice::Settings {
        delay_warning: Duration::from_secs(3600),
        double_bounce: Address::from_internal(DOUBLE_BOUNCE),
        double_bounces: postmaster(),
        bounce_copies: postmaster(),
        ..notice::Settings::default()
    };
    let (concurrency, processes) = (u32::try_from(AT_ONE).unwrap(), u32::try_from(AT_ALL).unwrap());
    let limits = Limits { concurrency, initial: 2, recipients: 2, processes, ..Limits::default() };
    Settings { notices, limits, active_limit: 6, queue_run_delay: Duration::ZERO, ..Settings::default() }
}

impl World {
    fn new(seed: u64, to_come: u64, capacity: u64) -> World {
        let mut world = World {
            moods: BTreeMap::new(),
            found_dead: BTreeMap::new(),
            put_off: 0,
            disk: SimDisk::new(seed, capacity),
            dice: Dice::new(!seed),
            spool: None,
            scheduler: Scheduler::new(settings(), START),
            now: START,
            fates: BTreeMap::new(),
            doubtful: BTreeSet::new(),
            lines: BTreeMap::new(),
            steps: Vec::new(),
            running: Vec::new(),
            lists: local::Lists::default(),
            served: BTreeSet::new(),
            settled: 0,
            came: 0,
            to_come,
            crashes: 0,
            refused: 0,
        };
        world.open();
        world
    }

    /// Opens the spool, however often that is stopped, and takes up what is in it.
    fn open(&mut self) {
        let spool = loop {
            self.spool = None;
            let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
            let settings = store::Settings {
                segment_bytes: SEGMENT,
                inline_bytes: 4 << 10,
                digest: Digest { envelope: card::of_envelope, note: card::after_note },
                ..store::Settings::default()
            };
            match SteppedSpool::open(disk, settings) {
                Ok((spool, report)) if !self.disk.has_stopped() => {
                    assert_eq!(report.damage, Vec::<String>::new());
                    break spool;
                }
                _ => {
                    assert!(self.disk.has_stopped(), "only a crash keeps the spool from opening");
                    self.break_down();
                }
            }
        };
        self.scheduler = Scheduler::new(settings(), self.now);
        for (number, brief) in spool.briefs() {
            let message = spool.read(number).expect("a listed message can be read");
            let entry = Entry::load(&message.envelope, &message.notes).expect("an entry");
            // Notes of a batch that was written again at a start are read.
            let card = Card::decode(brief).unwrap_or_else(|| Card::of(&entry));
            assert_eq!(card, Card::of(&entry), "what is at hand is what is stored");
            let (next_attempt, deferred) = (card.next_attempt, card.deferred);
            self.scheduler.handle(self.now, Event::Queued { number, next_attempt, deferred });
        }
        self.spool = Some(spool);
    }

    fn break_down(&mut self) {
        self.spool = None;
        if self.dice.one_in(3) {
            self.disk.restart_process()
        } else {
            self.disk.lose_power()
        }
        if self.dice.one_in(4) {
            let steps = self.dice.below(20);
            self.disk.stop_after(steps);
        }
    }

    /// The process dies. What its agents had done is done; what was asked of the spool may be.
    fn crash(&mut self) {
        self.crashes += 1;
        for (attempt, entry) in std::mem::take(&mut self.running) {
            if local::is_list(&attempt) {
                self.die_among_members(&attempt, &entry);
            } else if self.dice.one_in(2) {
                attempt.recipients.iter().for_each(|index| self.arrive(&attempt, &entry, *index));
            }
            self.doubt(attempt.number);
        }
        for (_, asked) in std::mem::take(&mut self.steps) {
            match asked {
                Asked::Persist(number, ..)
                | Asked::Part(number, _)
                | Asked::Remove(number, _)
                | Asked::Report(number, ..) => self.doubt(number),
                Asked::Accept(..) => {}
            }
        }
        for number in self.spool.as_ref().map(SteppedSpool::numbers).unwrap_or_default() {
            if self.scheduler.is_active(number) {
                self.doubt(number);
            }
        }
        self.lists.forget();
        self.break_down();
        self.open();
    }

    /// Whatever this message is about may come out twice.
    fn doubt(&mut self, number: u64) {
        for (message, _) in self.about(number) {
            self.doubtful.insert(message);
        }
    }

    /// Whose fate hangs on a message: its own recipients', or for a report those that it tells of.
    fn about(&self, number: u64) -> Vec<Who> {
        self.lines.get(&number).cloned().unwrap_or_default()
    }

    /// A recipient has it.
    fn arrive(&mut self, attempt: &Attempt, entry: &Entry, index: u32) {
        let is_report = entry.sender.is_null() || entry.sender.as_str() == DOUBLE_BOUNCE;
        assert!(!self.served.contains(&(attempt.number, index)), "it is noted that it was served");
        for (who, at) in self.about(attempt.number).into_iter().zip(0..) {
            if let Some(fate) = self.fates.get_mut(&who) {
                if is_report {
                    fate.told += 1;
                } else if at == index {
                    fate.delivered += 1;
                }
            }
        }
    }

    /// A message is to be stored, with lines that say whose fate hangs on it.
    fn store(
        &mut self,
        entry: impl FnOnce(QueueId) -> Entry,
        lines: &[Who],
        asked: impl FnOnce(u64, Entry) -> Asked,
    ) {
        let Some(spool) = &self.spool else { return };
        let mut incoming = spool.begin();
        let number = incoming.number();
        let entry = entry(QueueId::short(self.now, number));
        for (message, index) in lines {
            incoming.write(format!("{message} {index}\n").as_bytes()).expect("fits into memory");
        }
        self.lines.insert(number, lines.to_vec());
        let step = Step::Commit(incoming, entry.encode());
        self.steps.push((step, asked(number, entry)));
    }

    fn accept(&mut self) {
        self.came += 1;
        let message = format!("m{}", self.came);
        let mut recipients = Vec::new();
        for index in 0..=self.dice.below(3) {
            let domain = DESTINATIONS.get(usize::try_from(self.dice.below(5)).unwrap());
            let address =
                domain.map_or_else(|| local::list(&mut self.dice), |domain| format!("r{index}@{domain}"));
            let notify =
                [0, 0, NOTIFY_NEVER, NOTIFY_SUCCESS | 4][usize::try_from(self.dice.below(4)).unwrap()];
            recipients.push(Recipient { notify, ..Recipient::new(Address::from_internal(address)) });
        }
        let lines: Vec<Who> = recipients.iter().zip(0..).map(|(_, index)| (message.clone(), index)).collect();
        let now = self.now;
        let sender = Address::from_internal("a@sender.test");
        self.store(
            |id| Entry::new(id, now, sender, recipients),
            &lines,
            |number, entry| Asked::Accept(number, Box::new(entry)),
        );
    }

    /// Does what the scheduler wants; writes wait for the next flush.
    fn act(&mut self) {
        while let Some(action) = self.scheduler.poll() {
            match action {
                Action::Load { number } => self.load(number),
                Action::Start(attempt) => {
                    let entry = self.read(attempt.number);
                    self.running.push((attempt, entry));
                    self.check_limits();
                }
                Action::Persist { number, notes } => self.persist(number, &notes),
                Action::Remove { number, id } => {
                    self.steps.push((Step::Remove(number), Asked::Remove(number, id)));
                }
                Action::Tell { number, entry, notices } => self.tell(number, &entry, &notices),
                Action::Discarded { id } => self.discarded(&id),
                Action::Active { .. }
                | Action::Expired { .. }
                | Action::Untraced { .. }
                | Action::Remark(_) => {}
            }
        }
    }

    fn persist(&mut self, number: u64, notes: &[Note]) {
        let is_written = |(step, _): &(Step, Asked)| step_of(step) == Some(number);
        if !self.scheduler.is_active(number) && !self.steps.iter().any(is_written) && self.dice.one_in(2) {
            // As the driver does with a short envelope.
            let mut entry = self.read(number);
            entry.add_parts(&self.lists.of(number));
            notes.iter().for_each(|note| entry.apply(note.clone()));
            let all = notes.iter().flat_map(served).collect();
            self.steps.push((Step::Replace(number, entry.encode()), Asked::Persist(number, all, true)));
            return;
        }
        for (note, place) in notes.iter().zip(1..) {
            // One batch is written whole or not at all, so the last one's answer is enough.
            let asked = Asked::Persist(number, served(note), place == notes.len());
            self.steps.push((Step::Note(number, note.encode()), asked));
        }
    }

    fn read(&self, number: u64) -> Entry {
        let message = self.spool.as_ref().and_then(|spool| spool.read(number).ok()).expect("it is there");
        Entry::load(&message.envelope, &message.notes).expect("an entry")
    }

    fn load(&mut self, number: u64) {
        let message = self.spool.as_ref().and_then(|spool| spool.read(number).ok()).expect("it is there");
        let entry = Entry::load(&message.envelope, &message.notes).expect("an entry");
        let notes = message.notes.len();
        let written = |(step, _): &(Step, Asked)| step_of(step) == Some(number);
        if notes >= 8 && !self.steps.iter().any(written) {
            // As the driver does, or they would outgrow a record.
            let asked = Asked::Persist(number, Vec::new(), false);
            self.steps.push((Step::Replace(number, entry.encode()), asked));
        }
        assert!(entry.next_attempt <= self.now, "tried before its time");
        self.lists.learn(number, &entry);
        let route = |recipient: &Recipient| Route {
            transport: local::transport(recipient).to_owned(),
            nexthop: recipient.address.domain().unwrap_or_default().to_owned(),
        };
        let routes = entry.recipients.iter().map(route).collect();
        self.scheduler.handle(self.now, Event::Loaded { number, entry: Box::new(entry), routes });
    }

    fn tell(&mut self, number: u64, entry: &Entry, notices: &[Notice]) {
        let about = self.about(number);
        let is_report = entry.sender.is_null();
        let count = notices.len() as u64;
        for notice in notices {
            let told = (notice.subject == Subject::Failure).then_some(&about);
            let picked =
                about.iter().zip(0..).filter(|(_, index)| is_report || notice.recipients.contains(index));
            // A postmaster's copy tells no sender.
            let told = told.filter(|_| is_report || notice.audience == Audience::Sender);
            let lines: Vec<Who> =
                told.map(|_| picked.map(|(who, _)| who.clone()).collect()).unwrap_or_default();
            let sender = match notice.audience {
                Audience::Sender => Address::null(),
                Audience::Postmaster => Address::from_internal(DOUBLE_BOUNCE),
            };
            let (now, to) = (self.now, notice.to.clone());
            self.store(
                |id| Entry::new(id, now, sender, vec![Recipient::new(to)]),
                &lines,
                |own, _| Asked::Report(number, own, count),
            );
        }
    }

    /// A postmaster's copy that failed is thrown away, with what it told of.
    fn discarded(&mut self, id: &QueueId) {
        let numbers = self.spool.as_ref().map(SteppedSpool::numbers).unwrap_or_default();
        let found = numbers.into_iter().find(|number| self.read(*number).id == *id);
        for who in found.map(|number| self.about(number)).unwrap_or_default() {
            if let Some(fate) = self.fates.get_mut(&who) {
                fate.told += 1;
            }
        }
    }

    /// One batch; with `stop` the machine dies in its midst.
    fn flush(&mut self) {
        let (steps, asked): (Vec<Step>, Vec<Asked>) = std::mem::take(&mut self.steps).into_iter().unzip();
        // What may be asked about a message is known before it is gone.
        let touched: Vec<Vec<Who>> = asked
            .iter()
            .map(|asked| match asked {
                Asked::Persist(number, ..)
                | Asked::Part(number, _)
                | Asked::Remove(number, _)
                | Asked::Report(number, ..) => self.about(*number),
                Asked::Accept(..) => Vec::new(),
            })
            .collect();
        let Some(spool) = &mut self.spool else { return };
        let results = spool.step(steps);
        if self.disk.has_stopped() {
            self.doubtful.extend(touched.into_iter().flatten().map(|(message, _)| message));
            self.crash();
            return;
        }
        if results.iter().any(Result::is_err) {
            self.doubtful.extend(touched.into_iter().flatten().map(|(message, _)| message));
        }
        self.answer(asked, results);
    }

    fn answer(&mut self, asked: Vec<Asked>, results: Vec<Result<(), SpoolError>>) {
        let mut reports: BTreeMap<u64, (u64, bool)> = BTreeMap::new();
        for (asked, result) in asked.into_iter().zip(results) {
            let stored = result.is_ok();
            match asked {
                Asked::Accept(number, entry) if stored => {
                    for (who, recipient) in self.about(number).into_iter().zip(&entry.recipients) {
                        let never = recipient.notify == NOTIFY_NEVER;
                        let members = vec![0; local::members(recipient)];
                        self.fates.insert(who, Fate { never, members, ..Fate::default() });
                    }
                    self.queued(number);
                }
                Asked::Accept(..) => self.refused += 1,
                Asked::Part(number, part) if stored => self.lists.noted(number, part),
                Asked::Part(..) => {}
                Asked::Persist(number, served, is_last) => {
                    if stored {
                        self.served.extend(served.into_iter().map(|index| (number, index)));
                    }
                    let event =
                        if stored { Event::Persisted { number } } else { Event::NotPersisted { number } };
                    if is_last {
                        self.scheduler.handle(self.now, event);
                    }
                }
                Asked::Remove(_, _) if stored => {}
                Asked::Remove(number, id) => {
                    self.scheduler.handle(self.now, Event::NotRemoved { number, id })
                }
                Asked::Report(number, own, count) => {
                    let (done, all) = reports.entry(number).or_insert((0, true));
                    (*done, *all) = (*done + 1, *all && stored);
                    let (complete, all) = (*done == count, *all);
                    if stored {
                        self.queued(own);
                    }
                    if complete {
                        let event = if all { Event::Told { number } } else { Event::NotTold { number } };
                        self.scheduler.handle(self.now, event);
                    }
                }
            }
        }
    }

    fn queued(&mut self, number: u64) {
        let next_attempt = self.now;
        self.scheduler.handle(self.now, Event::Queued { number, next_attempt, deferred: false });
    }

    fn check_limits(&mut self) {
        let far = self.running.iter().filter(|(attempt, _)| attempt.route.transport == "smtp");
        let mut at: BTreeMap<&str, usize> = BTreeMap::new();
        far.for_each(|(attempt, _)| *at.entry(&attempt.route.nexthop).or_default() += 1);
        assert!(at.values().all(|count| *count <= AT_ONE), "too many at one destination: {at:?}");
        assert!(at.values().sum::<usize>() <= AT_ALL, "too many at once: {at:?}");
        let (last, _) = self.running.last().expect("just begun");
        if last.route.transport == "retry" {
            let why = last.route.nexthop.strip_prefix("4.4.1 delivery temporarily suspended: ");
            let found = self.found_dead.get(why.expect("why it is put off")).expect("somebody found out");
            assert!(self.now - *found <= Duration::from_secs(300), "put off for too long");
            self.put_off += 1;
        }
    }

    fn mood(&mut self, domain: &str) -> Mood {
        let new = usize::try_from(self.dice.below(13)).unwrap();
        let new = MOODS.get(new).copied().unwrap_or(Mood::Mixed);
        let changes = self.dice.one_in(6);
        let mood = self.moods.entry(domain.to_owned()).or_insert(new);
        if changes {
            *mood = new;
        }
        *mood
    }

    fn finish_one(&mut self) {
        let mut at = usize::try_from(self.dice.below(self.running.len() as u64)).unwrap();
        let domain = self.running[at].0.route.nexthop.clone();
        let mut mood = self.mood(&domain);
        if mood == Mood::Slow && !self.dice.one_in(4) {
            // Others come first, as far as there are any.
            at = usize::try_from(self.dice.below(self.running.len() as u64)).unwrap();
            mood = Mood::Mixed;
        }
        let (mut attempt, entry) = self.running.swap_remove(at);
        if local::is_list(&attempt) {
            return self.serve_a_member(attempt, entry);
        }
        if attempt.route.transport == "retry" {
            let reason = Reason::new(Dsn::new(4, 4, 1), attempt.route.nexthop.clone());
            let outcomes =
                attempt.recipients.iter().map(|i| (*i, Outcome::Deferred(reason.clone()))).collect();
            let event = Event::Finished { attempt: attempt.id, outcomes, unreachable: None };
            self.scheduler.handle(self.now, event);
            return;
        }
        let lost = Reason::new(Dsn::new(4, 4, 1), format!("connect to {}: no", attempt.route.nexthop));
        let unreachable =
            matches!(mood, Mood::Down | Mood::LostBefore | Mood::LostAfter).then(|| lost.clone());
        if unreachable.is_some() {
            self.found_dead.insert(lost.text, self.now);
        }
        if mood == Mood::LostAfter {
            self.doubt(attempt.number);
        }
        let mut outcomes = Vec::new();
        for (place, index) in attempt.recipients.clone().into_iter().enumerate() {
            let outcome = self.outcome(mood, place, (&entry, index), unreachable.as_ref());
            if mood == Mood::LostAfter || matches!(outcome, Outcome::Delivered | Outcome::Confirmed(..)) {
                self.arrive(&attempt, &entry, index);
            }
            outcomes.push((index, outcome));
            let goes_on = place + 1 < attempt.recipients.len() && unreachable.is_none();
            if goes_on && self.dice.one_in(3) {
                // These are done with, and the others take their time.
                outcomes.retain(|(_, outcome)| !matches!(outcome, Outcome::Deferred(_)));
                attempt.recipients.retain(|other| outcomes.iter().all(|(settled, _)| settled != other));
                self.settled += outcomes.len();
                self.scheduler.handle(self.now, Event::Settled { attempt: attempt.id, outcomes });
                return self.running.push((attempt, entry));
            }
        }
        self.scheduler.handle(self.now, Event::Finished { attempt: attempt.id, outcomes, unreachable });
    }

    /// What a destination in such a mood says to one recipient.
    fn outcome(
        &mut self,
        mood: Mood,
        place: usize,
        (entry, index): (&Entry, u32),
        unreachable: Option<&Reason>,
    ) -> Outcome {
        let word = match mood {
            Mood::Mixed | Mood::Slow => self.dice.below(4),
            Mood::Refusing => 0,
            Mood::LostMidway if place == 0 => 0,
            _ => 1,
        };
        let recipient = &entry.recipients[usize::try_from(index).unwrap()];
        match word {
            0 => Outcome::Failed(Reason::new(Dsn::new(5, 1, 1), "no")),
            1 | 2 => Outcome::Deferred(
                unreachable.cloned().unwrap_or_else(|| Reason::new(Dsn::new(4, 2, 0), "busy")),
            ),
            _ if recipient.notify & NOTIFY_SUCCESS != 0 => {
                Outcome::Confirmed(How::Relayed, Reason::new(Dsn::new(2, 0, 0), "ok"))
            }
            _ => Outcome::Delivered,
        }
    }

    /// One thing that happens; false when nothing will any more.
    fn step(&mut self, calm: bool) -> bool {
        self.act();
        if !calm {
            if self.dice.one_in(25) {
                let steps = self.dice.below(12);
                self.disk.stop_after(steps);
            }
            if self.dice.one_in(40) {
                self.disk.fail_flushes(0, 1);
            }
            if self.dice.one_in(40) {
                self.crash();
                return true;
            }
        }
        match self.dice.below(4) {
            0 if self.came < self.to_come => self.accept(),
            0 | 1 if !self.running.is_empty() => self.finish_one(),
            _ if !self.steps.is_empty() => self.flush(),
            _ if !self.running.is_empty() => self.finish_one(),
            _ if self.came < self.to_come => self.accept(),
            _ => {
                let Some(at) = self.scheduler.deadline() else { return false };
                self.now = at.max(self.now);
                self.scheduler.expire(self.now);
            }
        }
        true
    }

    fn run(&mut self) {
        for _ in 0..220 {
            self.step(false);
        }
        self.came = self.to_come;
        self.disk.stop_after(u64::MAX);
        self.disk.fail_flushes(0, 0);
        // After two failed flushes in a row the spool is read only until it is opened anew. What is to be written is
        // known, so that the crash is near it.
        self.act();
        self.crash();
        self.disk.stop_after(u64::MAX);
        // Somebody makes room.
        self.disk.resize(u64::MAX);
        self.calm();
    }

    /// Without misfortunes, to the end.
    fn calm(&mut self) {
        let mut left = 100_000;
        while self.step(true) {
            left -= 1;
            assert!(
                left > 0,
                "it never ends: {} days, {} active, {} deferred, {} running, {} writes, next {:?}",
                (self.now - START).as_secs() / 86_400,
                self.scheduler.active(),
                self.scheduler.deferred(),
                self.running.len(),
                self.steps.len(),
                self.scheduler.deadline().map(|at| at - self.now)
            );
        }
    }

    /// Whether all that was promised was kept.
    fn judge(&self, what: &str) -> Sum {
        let left = self.spool.as_ref().expect("open").numbers();
        assert!(left.is_empty(), "{what}: left {left:?}");
        for (who, fate) in &self.fates {
            assert!(!fate.is_lost(), "{what}: {who:?} is lost: {fate:?}");
            assert!(fate.is_once() || self.doubtful.contains(&who.0), "{what}: {who:?} {fate:?}");
        }
        let (crashes, recipients) = (self.crashes, self.fates.len());
        let (parts, settled) = (self.lists.kept(), self.settled);
        Sum { crashes, recipients, put_off: self.put_off, parts, settled, refused: self.refused }
    }
}

/// The message that a step is about.
fn step_of(step: &Step) -> Option<u64> {
    match step {
        Step::Note(number, _) | Step::Replace(number, _) | Step::Remove(number) => Some(*number),
        Step::Commit(..) => None,
    }
}

/// Whom a note says to be served.
fn served(note: &Note) -> Vec<u32> {
    let Note::Statuses(changes) = note else { return Vec::new() };
    let is_served = |status: &Status| matches!(status, Status::Delivered | Status::Confirmed(..));
    changes.iter().filter(|(_, status)| is_served(status)).map(|(index, _)| *index).collect()
}

fn check(seed: u64) -> Sum {
    let mut world = World::new(seed, MESSAGES, u64::MAX);
    world.run();
    world.judge(&format!("seed {seed}"))
}

/// On a disk that has room for a few pieces of the log, and is often full.
fn check_small(seed: u64) -> Sum {
    let mut world = World::new(seed, 4 * MESSAGES, (3 + seed % 3) * u64::from(SEGMENT) + 512);
    world.run();
    world.judge(&format!("seed {seed}, on a small disk"))
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn every_recipient_is_served_or_its_sender_told() {
    // `KOMAINU_FROM`: where to begin, to see one again.
    let (from, seeds) = (number("KOMAINU_FROM", 0), number("KOMAINU_SEEDS", 2_000));
    let sum = both(from..seeds, check);
    println!("{} histories: {sum:?}", seeds - from);
    assert!(
        from > 0 || (sum.crashes > 100 && sum.recipients > 1000 && sum.put_off > 100),
        "hardly anything happened"
    );
    assert!(from > 0 || (sum.parts > 1000 && sum.settled > 400), "hardly anything happened");
}

#[test]
fn on_a_full_disk_too() {
    let (from, seeds) = (number("KOMAINU_FROM", 0), number("KOMAINU_SEEDS", 300));
    let sum = both(from..seeds, check_small);
    println!("{} histories: {sum:?}", seeds - from);
    assert!(from > 0 || (sum.crashes > 100 && sum.refused > 100), "hardly anything happened: {sum:?}");
}

/// One crash at each write of a history, and else none.
#[test]
fn a_crash_at_each_step() {
    let seed = number("KOMAINU_FROM", 7);
    let mut world = World::new(seed, MESSAGES_FEW, u64::MAX);
    let before = world.disk.steps();
    world.calm();
    world.judge("without a crash");
    let steps = world.disk.steps() - before;
    let sum = both(0..steps, |step| {
        let mut world = World::new(seed, MESSAGES_FEW, u64::MAX);
        world.disk.stop_after(step);
        world.calm();
        world.judge(&format!("seed {seed}, crash at step {step}"))
    });
    println!("{steps} steps: {sum:?}");
    assert!(u64::from(sum.crashes) >= steps, "hardly anything happened");
}
