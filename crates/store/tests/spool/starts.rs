//! A spool that has filled its disk is started on again and again: cleanly, killed, without power, stopped in the
//! midst of a start, with flushes that fail. It always starts, and nothing is lost.

use crate::world::{Possible, SEGMENT, World, seeds, settings};
use std::sync::Arc;
use store::{Disk, SpoolError, Step, SteppedSpool};

/// A world whose disk takes no new message any more.
fn full(seed: u64) -> World {
    let segment = u64::from(SEGMENT);
    let mut world = World::new(seed, segment * (3 + seed % 6) + seed * 4099 % segment);
    let mut refused = 0;
    while refused < 20 {
        let Some((number, shape, step)) = world.insert() else {
            refused += u32::from(world.disk.free_bytes().unwrap() < 40_000);
            continue;
        };
        match world.spool().step(vec![step]).remove(0) {
            Ok(()) => drop(world.messages.insert(number, vec![Some(shape)])),
            Err(SpoolError::Full) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    world
}

/// Starts, however often that is stopped; only for want of room it may never end.
fn start(world: &mut World) {
    loop {
        world.spool = None;
        if world.dice.one_in(3) {
            let steps = world.dice.below(24);
            world.disk.stop_after(steps);
        }
        let fails = world.dice.one_in(4);
        if fails {
            let after = world.dice.below(8);
            world.disk.fail_flushes(after, 1);
        }
        let opened = SteppedSpool::open(Arc::new(world.disk.clone()), settings());
        let stopped = world.disk.has_stopped();
        world.disk.fail_flushes(0, 0);
        match opened {
            Ok((spool, report)) if !stopped => {
                world.disk.stop_after(u64::MAX);
                world.spool = Some(spool);
                return world.check(&report);
            }
            Ok(_) => {}
            Err(error) => {
                assert!(!error.is_full(), "no room to start");
                assert!(stopped || fails, "{error}");
            }
        }
        end(world);
    }
}

/// The process is killed, or the power fails, or it ends because it couldn't start.
fn end(world: &mut World) {
    world.spool = None;
    if world.dice.one_in(2) {
        world.disk.lose_power();
    } else {
        world.disk.restart_process();
    }
}

/// What a server does between two starts: a note on each of some messages, a message that comes, a few that go.
fn work(world: &mut World, removals: bool) {
    let all: Vec<u64> = world.messages.keys().copied().collect();
    let mut wanted = Vec::new();
    let mut steps = Vec::new();
    for number in all {
        let Some(Some(shape)) = world.messages[&number].first().cloned() else { continue };
        match world.dice.below(12) {
            0 if removals => {
                steps.push(Step::Remove(number));
                wanted.push((number, None));
            }
            1..4 => {
                let mut shape = shape;
                shape.notes.push(b"connection refused".to_vec());
                steps.push(Step::Note(number, b"connection refused".to_vec()));
                wanted.push((number, Some(shape)));
            }
            _ => {}
        }
    }
    if let Some((number, shape, step)) = world.insert() {
        world.messages.insert(number, vec![None]);
        steps.push(step);
        wanted.push((number, Some(shape)));
    }
    let results = world.spool().step(steps);
    for ((number, shape), result) in wanted.into_iter().zip(results) {
        let possible: &mut Possible = world.messages.get_mut(&number).expect("known");
        match result {
            Ok(()) => *possible = vec![shape],
            Err(SpoolError::Full | SpoolError::TooLarge { .. }) => {}
            Err(_) => possible.push(shape),
        }
    }
    world.messages.retain(|_, possible| *possible != [None]);
}

#[test]
fn a_full_disk_is_started_on_again_and_again() {
    for seed in seeds(60) {
        let mut world = full(seed);
        for round in 0..12 {
            if world.dice.one_in(3) {
                let steps = world.dice.below(12);
                world.disk.stop_after(steps);
            }
            if world.dice.one_in(3) {
                let after = world.dice.below(10);
                world.disk.fail_flushes(after, 1);
            }
            while !world.disk.has_stopped() && !world.dice.one_in(3) {
                work(&mut world, seed % 2 == 1 && round % 4 == 0);
            }
            if !world.disk.has_stopped() {
                world.disk.stop_after(u64::MAX);
                world.check_running();
                if world.dice.one_in(3) {
                    world.spool().idle();
                }
            }
            end(&mut world);
            start(&mut world);
        }
        // What is queued can still be delivered and forgotten, and then there is room.
        let removals = world.messages.keys().map(|number| Step::Remove(*number)).collect();
        let results = world.spool().step(removals);
        assert!(results.iter().all(Result::is_ok), "seed {seed}: {results:?}");
        world.messages.clear();
        world.spool().idle();
        // A large body may find no room beside the log.
        let (number, shape) = (0..40)
            .find_map(|_| {
                let (number, shape, step) = world.insert()?;
                world.spool().step(vec![step]).remove(0).ok().map(|()| (number, shape))
            })
            .unwrap_or_else(|| panic!("seed {seed}: service resumes by itself"));
        world.messages.insert(number, vec![Some(shape)]);
        world.check_running();
    }
}

/// Each step of a start is the last one of a process, or of a machine; then one of the next start.
#[test]
fn each_step_of_a_start_on_a_full_disk() {
    let open = |world: &World| SteppedSpool::open(Arc::new(world.disk.clone()), settings());
    for seed in seeds(6) {
        let mut world = full(seed);
        work(&mut world, false);
        world.spool = None;
        world.disk.restart_process();
        let whole = world.fork(seed);
        let before = whole.disk.steps();
        assert!(open(&whole).is_ok());
        let steps = whole.disk.steps() - before;
        for cut in 0..steps {
            for way in 0..8 {
                let mut world = world.fork(seed * 1000 + cut * 10 + way);
                let second = world.dice.below(steps);
                for (first, stop, power) in [(true, cut, way % 2 == 1), (false, second, way / 2 % 2 == 1)] {
                    world.disk.stop_after(stop);
                    let opened = open(&world);
                    assert!(world.disk.has_stopped() || !first, "seed {seed}, step {stop} of {steps}");
                    assert!(!opened.err().is_some_and(|error| error.is_full()), "no room to start");
                    if power {
                        world.disk.lose_power();
                    } else {
                        world.disk.restart_process();
                    }
                }
                let (spool, report) = open(&world)
                    .unwrap_or_else(|error| panic!("seed {seed}, steps {cut}, {second}: {error}"));
                world.spool = Some(spool);
                world.check(&report);
            }
        }
    }
}
