//! Random work with misfortune at every step: crashes, failing flushes and reads, a full disk.

use crate::world::{SEGMENT, World, seeds, settings};
use std::sync::Arc;
use store::simdisk::SimDisk;
use store::{Disk, SpoolError, Step, SteppedSpool};

/// Crashes anywhere, also while recovering, and failing flushes.
#[test]
fn no_crash_loses_or_halves_a_message() {
    for seed in seeds(100) {
        let mut world = World::new(seed, u64::MAX);
        for _ in 0..5 {
            let steps = world.dice.below(120);
            world.disk.stop_after(steps);
            if world.dice.one_in(3) {
                let (after, count) = (world.dice.below(20), 1 + world.dice.below(3));
                world.disk.fail_flushes(after, count);
                world.failures = count;
            }
            for _ in 0..60 {
                world.batch(true);
                if world.disk.has_stopped() {
                    break;
                }
                if world.dice.one_in(10) {
                    world.spool().idle();
                }
            }
            world.crash();
            world.open();
            if world.disk.has_stopped() {
                world.crash();
                world.open();
            }
        }
    }
}

/// Every single step of one and the same run is a place to crash.
#[test]
fn a_crash_at_each_step() {
    let run = |world: &mut World| {
        for _ in 0..12 {
            world.batch(true);
            if !world.disk.has_stopped() {
                world.spool().idle();
            }
        }
    };
    for seed in seeds(1) {
        let mut world = World::new(seed, u64::MAX);
        let before = world.disk.steps();
        run(&mut world);
        let steps = world.disk.steps() - before;
        assert!(steps > 15, "{steps}");
        for stop in 0..steps {
            let mut world = World::new(seed, u64::MAX);
            world.disk.stop_after(stop);
            run(&mut world);
            assert!(world.disk.has_stopped());
            world.spool = None;
            world.disk.lose_power();
            world.open();
        }
    }
}

/// The process is killed, and the power goes at each step of the recovery after that.
#[test]
fn a_kill_then_a_power_cut_at_each_step_of_recovery() {
    for seed in seeds(12) {
        let mut world = World::new(seed, u64::MAX);
        for _ in 0..8 {
            world.batch(true);
        }
        // Perhaps with a removal as the last batch, not flushed yet.
        world.disk.stop_after(seed * 7 % 12);
        while !world.disk.has_stopped() {
            let inserts = seed % 3 == 0 || world.messages.is_empty();
            world.batch(inserts);
        }
        world.spool = None;
        world.disk.restart_process();
        for cut in 0..30 {
            let mut world = world.fork(seed * 1000 + cut);
            world.disk.stop_after(cut);
            drop(SteppedSpool::open(Arc::new(world.disk.clone()), settings()));
            world.disk.lose_power();
            world.open();
        }
    }
}

/// The process is killed at each step of its first opening, and the power goes later: a name that was seen in
/// the page cache only holds nothing that is acknowledged.
#[test]
fn a_kill_while_opening_then_a_power_cut() {
    for seed in seeds(4) {
        for stop in 0..24 {
            let disk = SimDisk::new(seed * 100 + stop, u64::MAX);
            disk.stop_after(stop);
            drop(SteppedSpool::open(Arc::new(disk.clone()), settings()));
            disk.restart_process();
            let mut world = World::on(disk, seed);
            for _ in 0..3 {
                world.batch(true);
            }
            world.spool = None;
            world.disk.lose_power();
            world.open();
        }
    }
}

/// The log goes round many times while some messages stay: they are whole, and the disk is not eaten.
#[test]
fn disk_used_is_bounded() {
    for seed in seeds(8) {
        let mut world = World::new(seed, u64::MAX);
        // Many come, most go at once; or many stay for a while, and then go.
        let stay = if seed % 4 == 1 { 250 } else { 40 };
        for round in 0..150 {
            world.batch(true);
            while world.messages.len() > stay {
                world.batch(false);
            }
            // A busy server has no idle moments.
            if round % 10 == 0 && seed % 2 == 0 {
                world.spool().idle();
                world.check_size();
            }
        }
        world.check_running();
        while !world.messages.is_empty() {
            world.batch(false);
        }
        world.spool().idle();
        world.check_size();
        world.crash();
        world.open();
        world.spool().idle();
        world.check_size();
        world.batch(true);
        world.check_running();
    }
}

/// A full disk refuses messages; what is queued can be delivered and forgotten, and then there is room again.
#[test]
fn service_resumes_after_a_full_disk() {
    for seed in seeds(12) {
        let capacity = u64::from(SEGMENT) * (6 + seed % 5);
        let mut world = World::new(seed, capacity);
        for _ in 0..2 {
            let mut refused = 0;
            for _ in 0..2000 {
                let Some((number, shape, step)) = world.insert() else {
                    refused += u32::from(world.disk.free_bytes().unwrap() < 40_000);
                    continue;
                };
                match world.spool().step(vec![step]).remove(0) {
                    Ok(()) => drop(world.messages.insert(number, vec![Some(shape)])),
                    Err(SpoolError::Full) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
                if refused > 20 {
                    break;
                }
            }
            assert!(refused > 20, "it ran full");
            world.check_running();
            // Everything can still be noted and removed.
            for number in world.messages.keys().copied().collect::<Vec<_>>() {
                let results =
                    world.spool().step(vec![Step::Note(number, b"tried".to_vec()), Step::Remove(number)]);
                assert!(results.iter().all(Result::is_ok), "seed {seed}: {results:?}");
                if world.dice.one_in(3) {
                    world.spool().idle();
                }
            }
            world.messages.clear();
            world.spool().idle();
            let (number, shape, step) = std::iter::from_fn(|| Some(world.insert())).flatten().next().unwrap();
            assert!(world.spool().step(vec![step]).remove(0).is_ok(), "service resumes by itself");
            world.messages.insert(number, vec![Some(shape)]);
            world.check_running();
        }
    }
}

/// Mail that could not be delivered before the disk ran full gets a note each, many times; when it can be delivered,
/// it is forgotten without any more room on the disk.
#[test]
fn what_is_delivered_on_a_full_disk_is_forgotten() {
    for seed in seeds(24) {
        let capacity = u64::from(SEGMENT) * (3 + seed % 4) + u64::from(SEGMENT) / 2;
        let mut world = World::new(seed, capacity);
        for round in 0..3 {
            let mut refused = 0;
            while refused < 20 {
                let (number, shape, step) = loop {
                    match world.insert() {
                        Some(new) => break new,
                        None => refused += 1,
                    }
                    assert!(refused < 2000, "seed {seed}");
                };
                match world.spool().step(vec![step]).remove(0) {
                    Ok(()) => drop(world.messages.insert(number, vec![Some(shape)])),
                    Err(SpoolError::Full) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            let all: Vec<u64> = world.messages.keys().copied().collect();
            assert!(all.len() > 1, "seed {seed}, round {round}");
            // Each in a batch of its own, until nothing more can be noted.
            'noting: for _ in 0..40 {
                for number in &all {
                    let note = b"connection refused".to_vec();
                    if world.spool().step(vec![Step::Note(*number, note.clone())]).remove(0).is_err() {
                        break 'noting;
                    }
                    let Some(Some(Some(shape))) = world.messages.get_mut(number).map(|all| all.last_mut())
                    else {
                        panic!("a message");
                    };
                    shape.notes.push(note);
                }
                if world.dice.one_in(4) {
                    world.spool().idle();
                }
            }
            world.check_running();
            // An eighth of these small segments is two batches. The oldest stays, and pins its segment.
            let all = all.get(1..).expect("two");
            for some in all.chunks(all.len().div_ceil(2)) {
                let removals = some.iter().map(|number| Step::Remove(*number)).collect();
                let results = world.spool().step(removals);
                assert!(results.iter().all(Result::is_ok), "seed {seed}, round {round}: {results:?}");
            }
            all.iter().for_each(|number| drop(world.messages.remove(number)));
            if world.dice.one_in(3) {
                world.spool = None;
                world.disk.lose_power();
                world.open();
            }
            world.spool().idle();
            world.check_running();
        }
    }
}
