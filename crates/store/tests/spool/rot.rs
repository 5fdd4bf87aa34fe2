//! Rot is outside the promise, but is found, set aside and reported; what is sound is served.

use crate::world::{Shape, World, settings};
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use store::{Disk, Report, SpoolError, Step, SteppedSpool};

const BLOCK: usize = 4096;

/// A closed spool with this many messages, in more than one segment.
fn filled(messages: usize) -> World {
    let mut world = World::new(1, u64::MAX);
    while world.messages.len() < messages {
        let Some((number, shape, step)) = world.insert() else { continue };
        assert!(world.spool().step(vec![step]).remove(0).is_ok());
        world.messages.insert(number, vec![Some(shape)]);
    }
    world.spool = None;
    world
}

fn open(world: &World) -> (SteppedSpool, Report) {
    SteppedSpool::open(Arc::new(world.disk.clone()), settings()).unwrap()
}

fn slots(world: &World) -> Vec<String> {
    world.disk.paths().into_iter().filter(|path| path.starts_with("log/")).collect()
}

/// Slots by the sequence numbers in their headers, oldest first.
fn segments(world: &World) -> Vec<String> {
    let sequence = |path: &String| {
        let bytes = world.disk.bytes(path).unwrap();
        u64::from_le_bytes(bytes[16..24].try_into().unwrap())
    };
    let mut all: Vec<String> = slots(world).into_iter().filter(|path| sequence(path) > 0).collect();
    all.sort_by_key(sequence);
    all
}

/// What is listed is served as it was; gives how many.
fn check_served(world: &World, spool: &SteppedSpool) -> usize {
    let there = spool.numbers();
    for number in &there {
        let mut body = Vec::new();
        spool.body(*number).unwrap().read_to_end(&mut body).unwrap();
        let shape = Shape { envelope: spool.read(*number).unwrap().envelope, notes: Vec::new(), body };
        assert_eq!(world.messages[number], [Some(shape)]);
    }
    there.len()
}

/// So that segments are read on opening.
fn without_lists(world: &World) {
    for path in world.disk.paths().into_iter().filter(|path| path.starts_with("list/")) {
        world.disk.remove(&path).unwrap();
    }
}

/// A segment with a list isn't read on opening: what is bad is found when it is read, and nothing else suffers.
#[test]
fn in_records_behind_a_list() {
    let world = filled(20);
    assert!(world.disk.paths().iter().any(|path| path.starts_with("list/")));
    for path in slots(&world) {
        world.disk.damage(&path, 12_300, 40);
    }
    let (spool, _) = open(&world);
    let (mut sound, mut bad) = (0, 0);
    for number in spool.numbers() {
        let mut body = Vec::new();
        let read = spool
            .body(number)
            .and_then(|mut stored| stored.read_to_end(&mut body).map_err(|_| SpoolError::Corrupt(number)));
        match (read, spool.read(number)) {
            (Ok(_), Ok(message)) => {
                let shape = Shape { envelope: message.envelope, notes: Vec::new(), body };
                assert_eq!(world.messages[&number], [Some(shape)]);
                sound += 1;
            }
            (Err(SpoolError::Corrupt(_)), _) | (_, Err(SpoolError::Corrupt(_))) => bad += 1,
            (read, message) => panic!("{read:?} {message:?}"),
        }
    }
    assert!(bad > 0 && sound + bad <= 20 && sound >= 14, "{sound} sound, {bad} bad");
}

#[test]
fn in_records() {
    let world = filled(20);
    without_lists(&world);
    for path in slots(&world) {
        world.disk.damage(&path, 12_300, 40);
    }
    let (spool, report) = open(&world);
    assert!(!report.damage.is_empty(), "{report:?}");
    assert!(world.disk.paths().iter().any(|path| path.starts_with("corrupt/segment-")));
    let there = check_served(&world, &spool);
    assert!((14..20).contains(&there), "{there} of 20");
}

#[test]
fn in_a_body_file() {
    let world = filled(20);
    let path = world.disk.paths().into_iter().find(|path| path.starts_with("body/")).unwrap();
    let number = u64::from_str_radix(path.trim_start_matches("body/"), 16).unwrap();
    world.disk.damage(&path, 1000, 1);
    let (mut spool, report) = open(&world);
    assert_eq!(report.damage, Vec::<String>::new(), "its length is right, and it isn't read on opening");
    let error = spool.body(number).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    spool.idle();
    assert!(spool.read(number).is_ok(), "the envelope serves for a bounce");
}

#[test]
fn in_one_copy_of_each_header() {
    for copy in 0..2 {
        let world = filled(60);
        for path in slots(&world) {
            world.disk.damage(&path, copy * BLOCK + 20, 8);
        }
        let (spool, report) = open(&world);
        assert_eq!((report.damage, check_served(&world, &spool)), (Vec::new(), 60));
    }
}

#[test]
fn in_both_copies_of_a_header() {
    let count = segments(&filled(60)).len();
    assert!(count > 2, "{count} segments");
    for which in 0..count {
        let world = filled(60);
        let path = segments(&world).swap_remove(which);
        let before = world.disk.bytes(&path).unwrap();
        world.disk.damage(&path, 20, 8);
        world.disk.damage(&path, BLOCK + 20, 8);
        let (spool, report) = open(&world);
        assert!(!report.damage.is_empty(), "segment {which} of {count}");
        let aside = path.replace("log/", "corrupt/");
        assert_eq!(world.disk.bytes(&aside).unwrap()[2 * BLOCK..], before[2 * BLOCK..], "nothing is lost");
        assert!(check_served(&world, &spool) < 60);
    }
}

/// What is done to a slot: its name, and how.
type Harm<'a> = (&'a str, &'a dyn Fn(&World, &str));

/// Headers full of zeros, files cut off, files that are gone: no segment's loss goes without a word, and no body is deleted
/// of which that segment may have spoken.
#[test]
fn in_whole_slots() {
    let count = segments(&filled(60)).len();
    let cut = |world: &World, path: &str, bytes: &[u8]| {
        world.disk.remove(path).unwrap();
        world.disk.create(path).unwrap().write_at(bytes, 0).unwrap();
    };
    let zeroed = |world: &World, path: &str| {
        let bytes = world.disk.bytes(path).unwrap();
        cut(world, path, &[&vec![0; 2 * BLOCK], &bytes[2 * BLOCK..]].concat());
    };
    let ways: [Harm<'_>; 5] = [
        ("zeroed", &zeroed),
        ("gone", &|world, path| world.disk.remove(path).unwrap()),
        ("empty", &|world, path| cut(world, path, &[])),
        ("headers only", &|world, path| cut(world, path, &world.disk.bytes(path).unwrap()[..2 * BLOCK])),
        ("cut off", &|world, path| cut(world, path, &world.disk.bytes(path).unwrap()[..5 * BLOCK])),
    ];
    let bodies = |world: &World| {
        let all = world.disk.paths().into_iter();
        all.filter(|path| path.starts_with("body/") || path.ends_with("-body")).count()
    };
    for (way, harm) in ways {
        for which in 0..count {
            let world = filled(60);
            let (path, before) = (segments(&world).swap_remove(which), bodies(&world));
            let records = world.disk.bytes(&path).unwrap().split_off(2 * BLOCK);
            harm(&world, &path);
            let (spool, report) = open(&world);
            assert!(!report.damage.is_empty(), "{way}, segment {which} of {count}");
            assert_eq!(bodies(&world), before, "{way}, segment {which} of {count}: {report:?}");
            if way == "zeroed" {
                let aside = world.disk.bytes(&path.replace("log/", "corrupt/")).unwrap();
                assert!(aside[2 * BLOCK..] == records, "segment {which} of {count}");
            }
            drop(spool);
            let (_, again) = open(&world);
            assert_eq!(again.orphans, 0, "{way}, segment {which} of {count}");
        }
    }
}

/// Compaction doesn't cost a message whose content alone is damaged: its envelope goes on, so that its sender can be told.
#[test]
fn in_a_body_that_is_moved() {
    let mut world = filled(20);
    let (oldest, mut found) = (segments(&world).remove(0), None);
    let bytes = world.disk.bytes(&oldest).unwrap();
    for (number, shapes) in &world.messages {
        let shape = shapes[0].clone().unwrap();
        let at = bytes.windows(shape.body.len().max(64)).position(|window| window == shape.body);
        found = found.or(at.map(|at| (*number, shape, at)));
    }
    let (number, shape, at) = found.expect("a message in the oldest segment");
    world.disk.damage(&oldest, at + 30, 1);
    let (spool, _) = open(&world);
    world.spool = Some(spool);
    let aside = |world: &World| {
        let name = format!("corrupt/{number:X}-");
        world.disk.paths().iter().any(|path| path.starts_with(&name))
    };
    for _ in 0..2000 {
        if aside(&world) {
            break;
        }
        let Some((other, _, step)) = world.insert() else { continue };
        assert!(world.spool().step(vec![step]).remove(0).is_ok());
        assert!(world.spool().step(vec![Step::Remove(other)]).remove(0).is_ok());
        world.spool().idle();
    }
    assert!(aside(&world), "the log has gone round");
    let check = |spool: &SteppedSpool| {
        assert_eq!(spool.read(number).unwrap().envelope, shape.envelope);
        assert!(matches!(spool.body(number), Err(SpoolError::Corrupt(found)) if found == number));
    };
    check(world.spool());
    world.spool = None;
    let (spool, report) = open(&world);
    assert_eq!(report.corrupt, [number], "{report:?}");
    check(&spool);
}
