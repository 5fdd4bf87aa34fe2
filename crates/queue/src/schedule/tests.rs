//! Simulated days: the scheduler against a spool and agents made of a few maps.

use super::*;

mod by_hand;
mod concurrency;
use crate::entry::Recipient;
use proptest::prelude::*;

const DAY: u64 = 86_400;
const START: Wall = Wall(1_621_000_000_000_000);

/// A spool in memory, and a clock.
struct World {
    scheduler: Scheduler,
    now: Wall,
    spool: BTreeMap<u64, (Entry, Vec<Note>)>,
    removed: Vec<u64>,
    expired: usize,
    /// Reports that were sent: of which message, and about whom.
    reports: Vec<(u64, Vec<u32>)>,
    /// The envelope that they were about, of the last ones.
    told: Option<Entry>,
    discarded: usize,
    remarks: Vec<String>,
    /// Reports aren't answered.
    slow_reports: bool,
    starts: Vec<(Duration, Attempt)>,
    running: Vec<Attempt>,
    /// How many of the next writes fail.
    refuse: usize,
}

impl World {
    fn new(settings: Settings) -> World {
        World {
            scheduler: Scheduler::new(settings, START),
            now: START,
            spool: BTreeMap::new(),
            removed: Vec::new(),
            expired: 0,
            reports: Vec::new(),
            told: None,
            discarded: 0,
            remarks: Vec::new(),
            slow_reports: false,
            starts: Vec::new(),
            running: Vec::new(),
            refuse: 0,
        }
    }

    fn queue(&mut self, number: u64, recipients: &[&str]) {
        let all = recipients.iter().map(|text| Recipient::new(Address::from_internal(*text))).collect();
        let sender = Address::from_internal("s@example.org");
        let entry = Entry::new(QueueId::short(self.now, number), self.now, sender, all);
        self.spool.insert(number, (entry, Vec::new()));
        let next_attempt = self.now;
        self.scheduler.handle(self.now, Event::Queued { number, next_attempt, deferred: false });
    }

    fn entry(&self, number: u64) -> Entry {
        let (entry, notes) = &self.spool[&number];
        let mut entry = entry.clone();
        notes.iter().for_each(|note| entry.apply(note.clone()));
        entry
    }

    /// Does all that is to be done at this moment, except finishing attempts.
    fn run(&mut self) {
        while let Some(action) = self.scheduler.poll() {
            match action {
                Action::Load { number } => {
                    let entry = self.entry(number);
                    let routes = entry.recipients.iter().map(|recipient| route(&recipient.address)).collect();
                    let entry = Box::new(entry);
                    self.scheduler.handle(self.now, Event::Loaded { number, entry, routes });
                }
                Action::Start(attempt) => {
                    self.starts.push((self.now - START, attempt.clone()));
                    self.running.push(attempt);
                }
                Action::Persist { number, .. } if self.refuse > 0 => {
                    self.refuse -= 1;
                    self.scheduler.handle(self.now, Event::NotPersisted { number });
                }
                Action::Persist { number, notes } => {
                    let encoded = notes.iter().map(|note| Note::decode(&note.encode()).unwrap());
                    self.spool.get_mut(&number).unwrap().1.extend(encoded);
                    self.scheduler.handle(self.now, Event::Persisted { number });
                }
                Action::Remove { number, id } if self.refuse > 0 => {
                    self.refuse -= 1;
                    self.scheduler.handle(self.now, Event::NotRemoved { number, id });
                }
                Action::Remove { number, .. } => {
                    assert!(self.spool.remove(&number).is_some(), "removed once");
                    self.removed.push(number);
                }
                Action::Active { .. } | Action::Untraced { .. } => {}
                Action::Expired { .. } => self.expired += 1,
                Action::Discarded { .. } => self.discarded += 1,
                Action::Remark(text) => self.remarks.push(text),
                Action::Tell { number, .. } if self.refuse > 0 => {
                    self.refuse -= 1;
                    self.scheduler.handle(self.now, Event::NotTold { number });
                }
                Action::Tell { .. } if self.slow_reports => {}
                Action::Tell { number, notices, entry } => {
                    self.told = Some(*entry);
                    self.reports.extend(notices.into_iter().map(|notice| (number, notice.recipients)));
                    self.scheduler.handle(self.now, Event::Told { number });
                }
            }
        }
    }

    /// An order, as the driver gives it: durable first.
    fn order(&mut self, number: u64, order: Order) {
        let note = match order {
            Order::Hold => Some(Note::Hold(true)),
            Order::Release => Some(Note::Hold(false)),
            Order::Expire => Some(Note::Expire),
            Order::Requeue => Some(Note::Requeue),
            Order::Spoilt => Some(Note::Spoilt),
            Order::Flush | Order::Delete => None,
        };
        if let Some((_, notes)) = self.spool.get_mut(&number) {
            notes.extend(note.map(|note| Note::decode(&note.encode()).unwrap()));
        }
        if order == Order::Delete {
            self.spool.remove(&number);
        }
        self.scheduler.handle(self.now, Event::ByHand { number, order });
    }

    fn finish(&mut self, outcome: impl Fn(&Attempt, u32) -> Outcome) {
        for attempt in std::mem::take(&mut self.running) {
            let outcomes =
                attempt.recipients.iter().map(|index| (*index, outcome(&attempt, *index))).collect();
            self.scheduler
                .handle(self.now, Event::Finished { attempt: attempt.id, outcomes, unreachable: None });
        }
    }

    /// Lets time pass to the next deadline; false where there is none.
    fn sleep(&mut self) -> bool {
        let Some(at) = self.scheduler.deadline() else { return false };
        assert!(at >= self.now, "no deadline in the past");
        self.now = at;
        self.scheduler.expire(self.now);
        true
    }
}

fn route(address: &Address) -> Route {
    let domain = address.domain().unwrap_or_default();
    let transport = if domain == "local.example" { "local" } else { "virtual" };
    Route { transport: transport.to_owned(), nexthop: domain.to_owned() }
}

fn deferred() -> Outcome {
    Outcome::Deferred(Reason::new(Dsn::new(4, 2, 0), "busy"))
}

fn failed() -> Outcome {
    Outcome::Failed(Reason::new(Dsn::new(5, 1, 1), "unknown user"))
}

/// One recipient of an attempt is served, the other takes its time: a crash in between repeats nothing.
#[test]
fn what_is_settled_outlives_the_attempt() {
    let mut world = World::new(Settings::default());
    world.queue(1, &["a@example.com", "b@example.com"]);
    world.run();
    let [attempt] = world.running.as_slice() else { panic!("{:?}", world.running) };
    let (attempt, stranger) = (attempt.clone(), 7);
    assert_eq!(attempt.recipients, [0, 1]);
    let settled = |outcomes| Event::Settled { attempt: attempt.id, outcomes };
    world.scheduler.handle(world.now, settled(vec![(0, Outcome::Delivered), (stranger, Outcome::Delivered)]));
    world.scheduler.handle(world.now, settled(vec![(0, failed())]));
    world.run();
    let kept = world.entry(1);
    let open: Vec<bool> = kept.recipients.iter().map(|one| one.status.is_open()).collect();
    assert_eq!(open, [false, true], "it is in the spool while the attempt goes on");
    assert!(matches!(kept.recipients[0].status, Status::Delivered), "the first word counts");
    // The end of the attempt tells of the other one only.
    world.finish(|_, index| if index == 0 { failed() } else { Outcome::Delivered });
    world.run();
    assert_eq!((world.removed.len(), world.reports.len()), (1, 0));
}

/// T2.14: when a message is tried that is always deferred.
fn tries(queue_run_delay: u64) -> (Vec<u64>, World) {
    let run = Duration::from_secs(queue_run_delay);
    let mut world = World::new(Settings { queue_run_delay: run, ..Settings::default() });
    world.queue(1, &["a@example.com"]);
    loop {
        world.run();
        world.finish(|_, _| deferred());
        world.run();
        if !world.sleep() {
            break;
        }
    }
    (world.starts.iter().map(|(at, _)| at.as_secs()).collect(), world)
}

#[test]
fn t2_14_tries() {
    let (at, world) = tries(0);
    assert_eq!(&at[..7], [0, 300, 600, 1200, 2400, 4800, 8800]);
    assert_eq!(at.iter().filter(|at| **at <= 5 * DAY).count(), 112);
    assert_eq!((world.expired, world.removed.len()), (1, 1));
    assert_eq!(world.reports, [(1, vec![0])], "its sender was told");

    let (at, _) = tries(300);
    assert_eq!(&at[..8], [0, 300, 600, 1200, 2400, 4800, 9000, 13_200]);
    assert_eq!(at.iter().filter(|at| **at <= 5 * DAY).count(), 107);
}

/// A reload: queue runs, back-off and lifetime are the new ones for what is deferred already, too.
#[test]
fn new_parameters_hold_for_what_waits() {
    let seconds = Duration::from_secs;
    let run = |settings: Settings| {
        let mut world = World::new(Settings::default());
        world.queue(1, &["a@example.com"]);
        world.run();
        world.finish(|_, _| deferred());
        world.run();
        // Its time is at 300 s, the next queue run too.
        world.now = START + seconds(299);
        world.scheduler.reconfigure(world.now, settings);
        while world.starts.len() < 6 && world.sleep() {
            world.run();
            world.finish(|_, _| deferred());
            world.run();
        }
        (world.starts.iter().map(|(at, _)| at.as_secs()).collect::<Vec<_>>(), world.expired)
    };
    let often = Settings {
        queue_run_delay: seconds(5),
        minimal_backoff: seconds(5),
        maximal_backoff: seconds(10),
        ..Settings::default()
    };
    assert_eq!(run(often.clone()), (vec![0, 304, 314, 324, 334, 344], 0));
    assert_eq!(run(Settings { maximal_queue_lifetime: seconds(310), ..often }), (vec![0, 304, 314], 1));
    let seldom = Settings { queue_run_delay: seconds(1000), ..Settings::default() };
    assert_eq!(run(seldom).0[..3], [0, 1299, 3299]);
}

#[test]
fn a_reload_is_a_queue_run() {
    let mut world =
        World::new(Settings { queue_run_delay: Duration::from_secs(1000), ..Settings::default() });
    world.queue(1, &["a@example.com"]);
    world.run();
    world.finish(|_, _| deferred());
    world.run();
    world.now = START + Duration::from_secs(301);
    world.scheduler.reconfigure(world.now, Settings::default());
    world.run();
    assert_eq!(world.starts.len(), 2);
}

#[test]
fn the_null_sender_has_a_lifetime_of_its_own() {
    let mut world = World::new(Settings { bounce_queue_lifetime: Duration::ZERO, ..Settings::default() });
    world.queue(1, &["a@example.com"]);
    world.spool.get_mut(&1).unwrap().0.sender = Address::null();
    world.run();
    world.finish(|_, _| deferred());
    world.run();
    assert_eq!((world.expired, world.removed.len(), world.reports.len()), (1, 1, 0));
}

#[test]
fn each_recipient_its_own_outcome() {
    let mut world = World::new(Settings::default());
    world.queue(7, &["a@x.example", "b@x.example", "c@y.example"]);
    world.run();
    assert_eq!(world.starts.len(), 2, "one attempt a destination");
    assert_eq!(world.starts[0].1.recipients, [0, 1]);
    world.finish(|_, index| [Outcome::Delivered, failed(), deferred()][index as usize].clone());
    world.run();
    let entry = world.entry(7);
    assert_eq!((entry.tries, entry.next_attempt), (1, START + Duration::from_secs(300)));
    assert_eq!(world.reports, [(7, vec![1])], "the failure is told at once");
    assert_eq!(entry.recipients[1].status, Status::Returned);
    assert!(world.sleep());
    world.run();
    assert_eq!(world.starts.len(), 3, "only the deferred one is tried again");
    assert_eq!(world.starts[2].1.recipients, [2]);
    world.finish(|_, _| Outcome::Delivered);
    world.run();
    assert_eq!((world.removed.as_slice(), world.reports.len()), ([7].as_slice(), 1), "told once");
}

#[test]
fn what_could_not_be_told_is_told_later() {
    let mut world = World::new(Settings::default());
    world.queue(1, &["a@x.example"]);
    world.run();
    world.refuse = 2;
    world.finish(|_, _| failed());
    world.run();
    assert_eq!((world.reports.len(), world.removed.len()), (0, 0));
    while world.reports.is_empty() {
        assert!(world.sleep());
        world.run();
    }
    assert_eq!((world.reports.as_slice(), world.removed.len()), ([(1, vec![0])].as_slice(), 1));
    assert_eq!(world.starts.len(), 1, "and not tried again");
}

#[test]
fn a_message_on_hold_is_not_told_of() {
    let mut world = World::new(Settings::default());
    world.queue(1, &["a@x.example"]);
    let reason = Reason::new(Dsn::new(5, 1, 1), "no");
    let entry = &mut world.spool.get_mut(&1).unwrap().0;
    (entry.hold, entry.recipients[0].status) = (true, Status::Failed(reason));
    world.run();
    assert_eq!((world.reports.len(), world.scheduler.held()), (0, 1));
}

#[test]
fn a_delay_is_told_once() {
    let notices = notice::Settings { delay_warning: Duration::from_secs(600), ..notice::Settings::default() };
    let mut world = World::new(Settings { notices, ..Settings::default() });
    world.queue(1, &["a@x.example"]);
    for _ in 0..8 {
        world.run();
        world.finish(|_, _| deferred());
        world.run();
        assert_eq!(world.reports.len(), usize::from(world.now - START >= Duration::from_secs(600)));
        assert!(world.sleep());
    }
    assert!(world.entry(1).warned);
}

#[test]
fn limits_hold_and_destinations_take_turns() {
    let limits = Limits { concurrency: 2, recipients: 1, processes: 3, ..Limits::default() };
    let transport_limits = BTreeMap::from([("virtual".to_owned(), limits)]);
    let mut world = World::new(Settings { transport_limits, active_limit: 4, ..Settings::default() });
    for number in 1..=10 {
        world.queue(number, &["a@x.example", "b@y.example"]);
    }
    let mut rounds = 0;
    while !world.spool.is_empty() {
        world.run();
        assert!(!world.running.is_empty() && world.running.len() <= 3, "at most three processes");
        assert!(world.scheduler.active() <= 4);
        for domain in ["x.example", "y.example"] {
            let here = world.running.iter().filter(|attempt| attempt.route.nexthop == domain).count();
            assert!((1..=2).contains(&here) || rounds > 4, "{here} at {domain}");
        }
        world.finish(|_, _| Outcome::Delivered);
        world.run();
        rounds += 1;
    }
    assert_eq!(world.removed.len(), 10);
}

#[test]
fn what_the_spool_refuses_is_not_delivered_again() {
    let mut world = World::new(Settings::default());
    world.queue(1, &["a@x.example", "b@y.example"]);
    world.queue(2, &["a@x.example"]);
    world.run();
    world.refuse = 3;
    world.finish(
        |attempt, index| if attempt.number == 1 && index == 1 { deferred() } else { Outcome::Delivered },
    );
    world.run();
    assert!(!world.spool.is_empty());
    while !world.spool.is_empty() {
        assert!(world.sleep());
        world.run();
        world.finish(|_, _| Outcome::Delivered);
        world.run();
    }
    let served: Vec<_> =
        world.starts.iter().map(|(_, attempt)| (attempt.number, attempt.recipients.clone())).collect();
    assert_eq!(served.iter().filter(|start| **start == (1, vec![0])).count(), 1);
    assert_eq!(served.iter().filter(|start| start.0 == 2).count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Each recipient ends delivered or with its sender told, once; memory is let go.
    #[test]
    fn nobody_is_lost_nor_served_twice(seed in any::<u64>()) {
        let mut dice = seed | 1;
        let mut roll = move |n: u64| { dice ^= dice << 13; dice ^= dice >> 7; dice ^= dice << 17; dice % n };
        let mut world = World::new(Settings { active_limit: 3, ..Settings::default() });
        let mut served: BTreeMap<(u64, u32), u32> = BTreeMap::new();
        let names = ["a@x.example", "b@x.example", "c@y.example", "d@z.example"];
        let mut accepted = 0;
        for number in 1..=20 {
            let count = 1 + usize::try_from(roll(4)).unwrap();
            accepted += count;
            world.queue(number, &names[..count]);
        }
        for _ in 0..4000 {
            world.refuse = if roll(4) == 0 { 1 } else { 0 };
            world.run();
            if world.running.is_empty() {
                world.refuse = 0;
                world.run();
                if !world.sleep() { break; }
                continue;
            }
            let at = usize::try_from(roll(world.running.len() as u64)).unwrap();
            let attempt = world.running.swap_remove(at);
            let outcomes = attempt.recipients.iter().map(|index| (*index, match roll(3) {
                0 => { *served.entry((attempt.number, *index)).or_default() += 1; Outcome::Delivered }
                1 => deferred(),
                _ => failed(),
            })).collect();
            world.scheduler.handle(world.now, Event::Finished { attempt: attempt.id, outcomes, unreachable: None });
        }
        prop_assert!(served.values().all(|count| *count == 1));
        prop_assert_eq!(world.scheduler.active() + world.scheduler.deferred(), 0);
        prop_assert_eq!(world.removed.len(), 20);
        let mut told: Vec<(u64, u32)> = Vec::new();
        for (number, recipients) in &world.reports {
            told.extend(recipients.iter().map(|index| (*number, *index)));
        }
        told.extend(served.keys());
        told.sort_unstable();
        prop_assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "told or served, once");
        prop_assert_eq!(told.len(), accepted);
    }
}
