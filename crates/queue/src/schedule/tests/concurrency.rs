//! How much goes where at a time: feedback, dead destinations, rates, and nobody who waits for ever.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn settings(limits: Limits) -> Settings {
    let transport_limits = BTreeMap::from([("virtual".to_owned(), limits)]);
    Settings { transport_limits, queue_run_delay: Duration::ZERO, ..Settings::default() }
}

fn refused() -> Reason {
    Reason::new(Dsn::new(4, 4, 1), "connect to x.example[192.0.2.1]:25: Connection refused")
}

impl World {
    /// Ends the attempt that began first; `unreachable` where nobody was there.
    fn end_one(&mut self, outcome: Outcome, unreachable: Option<Reason>) {
        let attempt = self.running.remove(0);
        let outcomes = attempt.recipients.iter().map(|index| (*index, outcome.clone())).collect();
        self.scheduler.handle(self.now, Event::Finished { attempt: attempt.id, outcomes, unreachable });
        self.run();
    }

    fn running_to(&self, transport: &str) -> usize {
        self.running.iter().filter(|attempt| attempt.route.transport == transport).count()
    }
}

#[test]
fn a_dead_destination_is_left_alone_for_a_while() {
    let mut world = World::new(Settings { feedback_debug: true, ..settings(Limits::default()) });
    for number in 1..=12 {
        world.queue(number, &["a@x.example"]);
    }
    world.queue(13, &["a@y.example"]);
    world.run();
    assert_eq!(world.running.len(), 6, "five at once, and the other destination");
    for _ in 0..3 {
        world.end_one(Outcome::Deferred(refused()), Some(refused()));
    }
    let debug =
        "qmgr_queue_throttle: queue x.example: limit 20 window 0 success 0 failure 1 fail_cohorts 1.03333";
    assert_eq!(world.remarks.last().map(String::as_str), Some(debug));
    assert_eq!((world.running_to("virtual"), world.running_to("retry")), (3, 7));
    let text = "4.4.1 delivery temporarily suspended: connect to x.example[192.0.2.1]:25: Connection refused";
    let retry = world.running.iter().find(|attempt| attempt.route.transport == "retry").unwrap();
    assert_eq!(retry.route.nexthop, text);
    world.queue(14, &["a@x.example"]);
    world.run();
    assert_eq!(world.running_to("retry"), 8, "who comes later isn't tried either");
    world.finish(|_, _| deferred());
    world.run();
    let before = world.starts.len();
    assert!(world.sleep() && world.now - START == 300 * SECOND, "minimal_backoff_time");
    world.run();
    let after: Vec<_> = world.starts[before..].iter().map(|(_, a)| a.route.transport.as_str()).collect();
    assert_eq!(after, ["virtual"; 6], "alive again, from the first concurrency on");
}

#[test]
fn one_that_came_through_wakes_a_dead_destination() {
    let mut world = World::new(settings(Limits::default()));
    (1..=5).for_each(|number| world.queue(number, &["a@x.example"]));
    world.run();
    (0..3).for_each(|_| world.end_one(Outcome::Deferred(refused()), Some(refused())));
    world.end_one(Outcome::Delivered, None);
    world.queue(6, &["a@x.example"]);
    world.run();
    assert_eq!((world.running_to("virtual"), world.running_to("retry")), (2, 0));
}

#[test]
fn a_flush_forgets_who_is_dead_and_what_is_deferred_by_order() {
    let mut world = World::new(Settings {
        deferred_transports: vec!["virtual".to_owned()],
        ..settings(Limits::default())
    });
    world.queue(1, &["a@x.example"]);
    world.run();
    assert_eq!(world.running[0].route.nexthop, "4.3.2 deferred transport");
    world.finish(|_, _| deferred());
    world.run();
    world.scheduler.handle(world.now, Event::Flush);
    world.run();
    assert_eq!(world.running_to("virtual"), 1);
    world.end_one(deferred(), None);
    world.order(1, Order::Flush);
    world.run();
    assert_eq!(world.running_to("virtual"), 1, "one message likewise");
    world.end_one(deferred(), None);
    assert!(world.sleep());
    world.run();
    assert_eq!(world.running_to("virtual"), 0);
}

#[test]
fn pauses_between_deliveries() {
    let slow = Limits { rate_delay: SECOND, ..Limits::default() };
    let paced = Limits { transport_rate_delay: SECOND, ..Limits::default() };
    for (limits, expected) in [(slow, [0, 0, 1, 1, 2, 2]), (paced, [0, 1, 2, 3, 4, 5])] {
        let mut world = World::new(settings(limits));
        for number in 1..=3 {
            world.queue(number, &["a@x.example", "b@y.example"]);
        }
        loop {
            world.run();
            world.finish(|_, _| Outcome::Delivered);
            world.run();
            if world.spool.is_empty() || !world.sleep() {
                break;
            }
        }
        let at: Vec<u64> = world.starts.iter().map(|(at, _)| at.as_secs()).collect();
        assert_eq!(at, expected, "{limits:?}");
    }
}

/// How many attempts begin before `number`'s last one.
fn place(world: &World, number: u64) -> usize {
    world.starts.iter().rposition(|(_, attempt)| attempt.number == number).unwrap()
}

#[test]
fn a_message_of_50_000_recipients_holds_up_nobody() {
    for domains in [1, 50_000] {
        let limits =
            Limits { concurrency: 10, initial: 10, recipients: 5, processes: 10, ..Limits::default() };
        let mut world = World::new(settings(limits));
        let all: Vec<String> = (0..50_000).map(|n| format!("u{n}@d{}.example", n % domains)).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        world.queue(1, &all);
        world.run();
        (2..100).for_each(|number| world.queue(number, &["a@d0.example", "b@other.example"]));
        let mut rounds = 0;
        while !world.spool.is_empty() {
            world.run();
            world.finish(|_, _| Outcome::Delivered);
            world.run();
            rounds += 1;
            assert!(rounds < 20_000);
        }
        let last = (2..100).map(|number| place(&world, number)).max().unwrap();
        assert!(last < 6 * 2 * 98 + 50, "{domains} domains: the last small message began at {last}");
    }
}

#[test]
fn a_large_message_ends_whatever_comes_meanwhile() {
    let limits = Limits { processes: 1, recipients: 2, ..Limits::default() };
    let mut world = World::new(settings(limits));
    let all: Vec<String> = (0..400).map(|n| format!("u{n}@x.example")).collect();
    world.queue(1, &all.iter().map(String::as_str).collect::<Vec<_>>());
    world.run();
    let mut number = 2;
    while world.spool.contains_key(&1) {
        (0..2).for_each(|n| world.queue(number + n, &["a@y.example"]));
        number += 2;
        world.end_one(Outcome::Delivered, None);
        assert!(world.starts.len() < 300, "two more come for each that is done");
    }
    assert!(place(&world, 1) <= 200 * 6 / 5 + 5, "a fifth longer at most, and the loan");
}

#[test]
fn one_slow_destination_does_not_fill_the_active_queue() {
    let limits = Limits { concurrency: 2, initial: 2, ..Limits::default() };
    let mut world = World::new(Settings { active_limit: 100, ..settings(limits) });
    (1..=500).for_each(|number| world.queue(number, &["a@slow.example"]));
    (501..=520).for_each(|number| world.queue(number, &["a@quick.example"]));
    world.run();
    let mut rounds = 0;
    // Nothing to the slow one ever ends.
    while world.removed.len() < 20 {
        let at = world.running.iter().position(|attempt| attempt.route.nexthop == "quick.example").unwrap();
        let attempt = world.running.remove(at);
        world.running.insert(0, attempt);
        world.end_one(Outcome::Delivered, None);
        rounds += 1;
        assert!(rounds <= 20);
    }
    assert!(world.scheduler.active() <= 100);
    while !world.running.is_empty() {
        world.end_one(Outcome::Delivered, None);
    }
    assert_eq!(world.removed.len(), 520, "those who waited outside came back");
    assert_eq!(world.scheduler.deferred(), 0);
}

#[test]
fn parked_messages_obey() {
    let limits = Limits { concurrency: 1, initial: 1, ..Limits::default() };
    let mut world = World::new(Settings { active_limit: 10, ..settings(limits) });
    (1..=40).for_each(|number| world.queue(number, &["a@slow.example"]));
    world.run();
    for number in 2..=40 {
        world.order(number, if number % 2 == 0 { Order::Delete } else { Order::Hold });
        world.run();
    }
    assert_eq!((world.scheduler.held(), world.scheduler.deferred()), (19, 0));
    world.end_one(Outcome::Delivered, None);
    assert_eq!((world.spool.len(), world.running.len()), (19, 0));
    (3..=40).filter(|number| number % 2 == 1).for_each(|number| world.order(number, Order::Release));
    world.run();
    while !world.running.is_empty() {
        world.end_one(Outcome::Delivered, None);
    }
    assert!(world.spool.is_empty());
}

#[test]
fn large_messages_wait_for_each_other_only() {
    let mut world = World::new(Settings { recipient_limit: 100, ..settings(Limits::default()) });
    let all: Vec<String> = (0..90).map(|n| format!("u{n}@x.example")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    (1..=3).for_each(|number| world.queue(number, &all));
    world.queue(4, &["a@y.example"]);
    world.run();
    assert_eq!(world.scheduler.active(), 2, "one large, one small");
    while !world.running.is_empty() {
        world.end_one(Outcome::Delivered, None);
    }
    assert_eq!(world.removed.len(), 4);
}

#[test]
fn a_local_user_is_one_destination_whatever_is_behind_the_delimiter() {
    let mut world = World::new(Settings { recipient_delimiter: "-+".to_owned(), ..Settings::default() });
    let names = ["mallory+{}", "Mallory-{}+x", "MALLORY", "mallory"];
    for (number, name) in (1..=40).zip(names.iter().cycle()) {
        world.queue(number, &[format!("{name}@local.example").replace("{}", &number.to_string()).as_str()]);
    }
    world.queue(41, &["+@local.example"]);
    world.queue(42, &["alice+x@local.example"]);
    world.run();
    let mut numbers: Vec<u64> = world.running.iter().map(|attempt| attempt.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 41, 42], "local_destination_concurrency_limit");
    // Elsewhere an extension may be somebody else.
    world.queue(43, &["b+1@x.example"]);
    world.queue(44, &["b+2@x.example"]);
    world.run();
    assert_eq!(world.running.len(), 6);
}
