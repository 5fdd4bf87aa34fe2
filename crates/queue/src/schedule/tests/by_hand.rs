//! What people do with messages, in each state that a message can be in.

use super::*;

fn tried(world: &World) -> Vec<u32> {
    world.starts.iter().flat_map(|(_, attempt)| attempt.recipients.clone()).collect()
}

/// A message that was deferred once.
fn waiting() -> World {
    let mut world = World::new(Settings::default());
    world.queue(1, &["a@x.example"]);
    world.run();
    world.finish(|_, _| deferred());
    world.run();
    world
}

#[test]
fn hold_release_flush_delete() {
    let mut world = World::new(Settings::default());
    world.queue(1, &["a@x.example"]);
    world.spool.get_mut(&1).unwrap().0.hold = true;
    world.run();
    assert_eq!((world.starts.len(), world.scheduler.held()), (0, 1));
    world.order(1, Order::Flush);
    world.scheduler.handle(START, Event::Flush);
    world.run();
    assert_eq!((world.starts.len(), world.scheduler.held()), (0, 1), "a flush leaves it on hold");
    world.order(1, Order::Release);
    world.run();
    assert_eq!(world.starts.len(), 1);
    world.finish(|_, _| deferred());
    world.run();
    world.scheduler.handle(START, Event::Flush);
    world.run();
    assert_eq!(world.starts.len(), 2, "a flush doesn't wait");
    world.order(1, Order::Delete);
    world.finish(|_, _| deferred());
    world.run();
    assert_eq!((world.scheduler.deadline(), world.scheduler.active()), (None, 0));
}

#[test]
fn a_waiting_message() {
    let mut world = waiting();
    world.order(1, Order::Hold);
    assert!(!world.sleep(), "nothing to be done for it");
    assert_eq!((world.scheduler.held(), world.scheduler.deferred()), (1, 0));
    world.order(1, Order::Hold);
    world.order(1, Order::Release);
    world.run();
    assert_eq!(world.starts.len(), 2);

    let mut world = waiting();
    world.order(1, Order::Flush);
    world.run();
    assert_eq!(world.starts.len(), 2);

    let mut world = waiting();
    world.order(1, Order::Requeue);
    assert_eq!((world.entry(1).tries, world.entry(1).recipients[0].status.clone()), (0, Status::Pending));
    world.run();
    world.finish(|_, _| Outcome::Delivered);
    world.run();
    assert_eq!((world.starts.len(), world.removed.clone()), (2, vec![1]));

    let mut world = waiting();
    world.order(1, Order::Expire);
    world.run();
    assert_eq!((world.starts.len(), world.expired), (1, 1), "no further try");
    let status = world.told.as_ref().unwrap().recipients[0].status.clone();
    assert_eq!(status, Status::Expired(Reason::new(Dsn::new(4, 2, 0), "busy")), "the reason of the delay");

    let mut world = waiting();
    world.order(1, Order::Delete);
    world.run();
    assert!(!world.sleep());
}

/// What runs is brought to its end, and nothing more is begun.
#[test]
fn a_message_that_is_being_delivered() {
    let limits = Limits { concurrency: 1, recipients: 1, ..Limits::default() };
    let settings = Settings { limits, ..Settings::default() };
    let names = ["a@x.example", "a@x.example"];
    let half_way = || {
        let mut world = World::new(settings.clone());
        world.queue(1, &names);
        world.run();
        assert_eq!(tried(&world), [0], "the second waits for the first");
        world
    };

    let mut world = half_way();
    world.order(1, Order::Hold);
    world.run();
    world.finish(|_, _| Outcome::Delivered);
    world.run();
    assert_eq!((tried(&world), world.scheduler.held()), (vec![0], 1));
    assert_eq!(world.entry(1).recipients[0].status, Status::Delivered, "what was done is written down");
    assert!(world.entry(1).hold);
    world.order(1, Order::Release);
    world.run();
    assert_eq!(tried(&world), [0, 1]);
    world.finish(|_, _| Outcome::Delivered);
    world.run();
    assert_eq!(world.removed, [1]);

    let mut world = half_way();
    world.order(1, Order::Expire);
    world.finish(|_, _| deferred());
    world.run();
    assert_eq!((tried(&world), world.expired), (vec![0], 1));
    let reasons: Vec<_> =
        world.told.as_ref().unwrap().recipients.iter().map(|recipient| recipient.status.clone()).collect();
    let admin = Reason::new(Dsn::new(4, 0, 0), "message is administratively expired");
    assert_eq!(reasons[1], Status::Expired(admin));

    let mut world = half_way();
    world.order(1, Order::Requeue);
    world.run();
    world.finish(|_, _| deferred());
    world.run();
    world.finish(|_, _| deferred());
    world.run();
    assert_eq!(tried(&world), [0, 1, 0], "again at once");

    let mut world = half_way();
    world.order(1, Order::Delete);
    world.run();
    world.finish(|_, _| Outcome::Delivered);
    world.run();
    assert_eq!((tried(&world), world.scheduler.active(), world.removed.len()), (vec![0], 0, 0));
}

/// The report is on its way, and the rest waits for it.
#[test]
fn a_message_that_is_being_told_of() {
    for (order, starts, held, waits) in [
        (Order::Hold, 2, 1, 0),
        (Order::Requeue, 3, 0, 0),
        (Order::Flush, 2, 0, 1),
        (Order::Expire, 3, 0, 0),
        (Order::Spoilt, 3, 0, 0),
        (Order::Delete, 2, 0, 0),
    ] {
        let mut world = World::new(Settings::default());
        world.queue(1, &["a@x.example", "b@y.example"]);
        world.run();
        world.slow_reports = true;
        world.finish(|_, index| if index == 0 { deferred() } else { failed() });
        world.run();
        assert_eq!(world.starts.len(), 2);
        world.scheduler.handle(world.now, Event::ByHand { number: 1, order });
        world.run();
        assert_eq!(world.starts.len(), 2, "{order:?}: nothing is begun meanwhile");
        world.scheduler.handle(world.now, Event::Told { number: 1 });
        world.run();
        let found = (world.starts.len(), world.scheduler.held(), world.scheduler.deferred());
        assert_eq!(found, (starts, held, waits), "{order:?}");
    }
}

/// What can't be delivered any more is told of once, to whom it concerns; not while it is on hold.
#[test]
fn a_message_whose_content_is_damaged() {
    let statuses = |world: &World| -> Vec<Status> {
        let entry = world.told.as_ref().expect("somebody was told");
        entry.recipients.iter().map(|recipient| recipient.status.clone()).collect()
    };
    let spoilt = || Status::Failed(Reason::spoilt());
    let mut world = waiting();
    world.order(1, Order::Spoilt);
    world.run();
    assert_eq!((world.starts.len(), statuses(&world)), (1, vec![spoilt()]), "no further try");
    assert_eq!((world.reports.len(), world.removed.clone()), (1, vec![1]));

    for (outcome, first) in [(Outcome::Delivered, Status::Delivered), (deferred(), spoilt())] {
        let limits = Limits { concurrency: 1, recipients: 1, ..Limits::default() };
        let mut world = World::new(Settings { limits, ..Settings::default() });
        world.queue(1, &["a@x.example", "a@x.example"]);
        world.run();
        world.order(1, Order::Spoilt);
        world.run();
        assert!(world.told.is_none(), "what runs is brought to its end");
        world.finish(|_, _| outcome.clone());
        world.run();
        assert_eq!((tried(&world), statuses(&world)), (vec![0], vec![first, spoilt()]));
        assert_eq!(world.removed, [1]);
    }

    let mut world = waiting();
    world.order(1, Order::Hold);
    world.order(1, Order::Spoilt);
    world.run();
    assert!(world.told.is_none() && world.scheduler.held() == 1);
    world.order(1, Order::Release);
    world.run();
    assert_eq!((statuses(&world), world.removed.clone()), (vec![spoilt()], vec![1]));
}

/// On hold nothing gets too old; once released, it is.
#[test]
fn hold_and_lifetime() {
    let mut world = waiting();
    world.order(1, Order::Hold);
    world.order(1, Order::Expire);
    world.run();
    assert_eq!((world.expired, world.scheduler.held()), (0, 1));
    world.now = world.now + Duration::from_secs(6 * DAY);
    world.scheduler.expire(world.now);
    world.run();
    assert_eq!(world.expired, 0);
    world.order(1, Order::Release);
    world.run();
    assert_eq!((world.expired, world.starts.len()), (1, 1));
}

/// An order that comes while the envelope is being read: what was read is from before.
#[test]
fn an_order_overtakes_a_load() {
    let load = |world: &mut World| {
        world.scheduler.handle(START, Event::Flush);
        assert_eq!(world.scheduler.poll(), Some(Action::Load { number: 1 }));
        Box::new(world.entry(1))
    };
    let answer = |world: &mut World, entry: Box<Entry>| {
        let routes = vec![route(&entry.recipients[0].address)];
        world.scheduler.handle(START, Event::Loaded { number: 1, entry, routes });
        world.run();
    };

    let mut world = waiting();
    let entry = load(&mut world);
    world.order(1, Order::Hold);
    answer(&mut world, entry);
    assert_eq!((world.starts.len(), world.scheduler.held()), (1, 1), "held, not tried");

    let mut world = waiting();
    world.spool.get_mut(&1).unwrap().1.push(Note::Hold(true));
    let held = load(&mut world);
    world.order(1, Order::Release);
    assert_eq!(world.scheduler.poll(), None, "not read twice at a time");
    answer(&mut world, held);
    assert_eq!((world.starts.len(), world.scheduler.held()), (2, 0), "released, and tried");

    let mut world = waiting();
    let entry = load(&mut world);
    world.order(1, Order::Delete);
    answer(&mut world, entry);
    assert_eq!(world.starts.len(), 1);
    assert_eq!((world.scheduler.active(), world.scheduler.held(), world.scheduler.deadline()), (0, 0, None));
}
