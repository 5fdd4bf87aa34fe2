//! The spool on a simulated disk: random work, misfortune at every step, and checkers.
//!
//! Promised and checked: every acknowledged message is there once and whole; what was removed with an answer
//! stays gone; no half message is shown; notes are kept; disk used is bounded; service resumes after a full disk.
//! `KOMAINU_SEEDS=N` runs more seeds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test's own helpers may panic"
)]

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use store::simdisk::{Dice, SimDisk};
use store::{Disk, Report, Settings, SpoolError, Step, SteppedSpool};

const SEGMENT: u32 = 64 << 10;

fn settings() -> Settings {
    Settings { segment_bytes: SEGMENT, inline_bytes: 4 << 10, minfree_bytes: 0, linger: Duration::ZERO }
}

/// What a message looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    envelope: Vec<u8>,
    notes: Vec<Vec<u8>>,
    body: Vec<u8>,
}

/// All that a message may be after a crash; `None` is gone.
type Possible = Vec<Option<Shape>>;

struct World {
    disk: SimDisk,
    dice: Dice,
    spool: Option<SteppedSpool>,
    /// What is certain is a list of one.
    messages: BTreeMap<u64, Possible>,
    /// Not asked for any more after an answer: may not come back.
    inserts: u64,
}

impl World {
    fn new(seed: u64, capacity: u64) -> World {
        let disk = SimDisk::new(seed, capacity);
        let mut world =
            World { disk, dice: Dice::new(!seed), spool: None, messages: BTreeMap::new(), inserts: 0 };
        world.open();
        world
    }

    /// Opens, however often it is stopped; then nothing is uncertain any more.
    fn open(&mut self) -> Report {
        loop {
            self.spool = None;
            let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
            match SteppedSpool::open(disk, settings()) {
                Ok((spool, report)) => {
                    self.spool = Some(spool);
                    if self.disk.has_stopped() {
                        self.crash();
                        continue;
                    }
                    self.check(&report);
                    return report;
                }
                Err(error) => {
                    assert!(self.disk.has_stopped() || error.is_full(), "open: {error}");
                    if error.is_full() {
                        self.disk.resize(u64::MAX);
                    }
                    self.crash();
                }
            }
        }
    }

    fn crash(&mut self) {
        self.spool = None;
        if self.dice.one_in(3) {
            self.disk.restart_process()
        } else {
            self.disk.lose_power()
        }
        // Recovery is interrupted, too.
        if self.dice.one_in(4) {
            let steps = self.dice.below(30);
            self.disk.stop_after(steps);
        }
    }

    fn spool(&mut self) -> &mut SteppedSpool {
        self.spool.as_mut().expect("open")
    }

    fn look(&mut self, number: u64) -> Shape {
        let spool = self.spool();
        let message = spool.read(number).expect("a listed message can be read");
        let mut body = Vec::new();
        spool.body(number).expect("it has a body").read_to_end(&mut body).expect("its body is whole");
        assert_eq!(body.len() as u64, message.body_bytes);
        Shape { envelope: message.envelope, notes: message.notes, body }
    }

    /// Compares with what is possible, and takes what is there for certain.
    fn check(&mut self, report: &Report) {
        assert_eq!(report.damage, Vec::<String>::new(), "nothing rots here");
        let there = self.spool().numbers();
        for number in &there {
            let shape = Some(self.look(*number));
            let possible = self.messages.get(number).unwrap_or_else(|| panic!("{number:X} was never queued"));
            assert!(possible.contains(&shape), "{number:X} is {shape:?}, not of {possible:?}");
            self.messages.insert(*number, vec![shape]);
        }
        for (number, possible) in &mut self.messages {
            if !there.contains(number) {
                assert!(possible.contains(&None), "{number:X} was lost");
                *possible = vec![None];
            }
        }
        self.messages.retain(|_, possible| possible.iter().any(Option::is_some));
        assert!(self.spool().damage().is_empty());
    }

    fn bytes(&mut self, size: u64) -> Vec<u8> {
        let first = self.dice.roll();
        (0..size).map(|i| (first.wrapping_add(i * 7) >> (i % 5)) as u8).collect()
    }

    fn some_message(&mut self) -> Option<u64> {
        let certain: Vec<u64> = self
            .messages
            .iter()
            .filter(|(_, possible)| possible.len() == 1)
            .map(|(number, _)| *number)
            .collect();
        let at = self.dice.below(certain.len() as u64) as usize;
        certain.get(at).copied()
    }

    /// A batch of random operations, with what each makes of its message.
    fn batch(&mut self, inserts: bool) {
        let (mut steps, mut wanted): (Vec<Step>, Vec<(u64, Option<Shape>)>) = (Vec::new(), Vec::new());
        for _ in 0..=self.dice.below(6) {
            let kind = if inserts { self.dice.below(10) } else { 5 + self.dice.below(5) };
            if kind < 5 {
                if let Some((number, shape, step)) = self.insert() {
                    self.messages.insert(number, vec![None]);
                    wanted.push((number, Some(shape)));
                    steps.push(step);
                }
                continue;
            }
            let Some(number) = self.some_message() else { continue };
            if wanted.iter().any(|(other, _)| *other == number) {
                continue;
            }
            let Some(mut shape) = self.messages[&number][0].clone() else { continue };
            let size = self.dice.below(300);
            let text = self.bytes(size);
            match kind {
                5 => {
                    shape.envelope.clone_from(&text);
                    shape.notes.clear();
                    steps.push(Step::Replace(number, text));
                    wanted.push((number, Some(shape)));
                }
                6 => {
                    shape.notes.push(text.clone());
                    steps.push(Step::Note(number, text));
                    wanted.push((number, Some(shape)));
                }
                _ => {
                    steps.push(Step::Remove(number));
                    wanted.push((number, None));
                }
            }
        }
        let results = self.spool().step(steps);
        assert_eq!(results.len(), wanted.len());
        for ((number, shape), result) in wanted.into_iter().zip(results) {
            let possible = self.messages.get_mut(&number).expect("known");
            match result {
                Ok(()) => *possible = vec![shape],
                // Nothing was written.
                Err(SpoolError::Full | SpoolError::TooLarge { .. } | SpoolError::ReadOnly) => {}
                // It may have become durable all the same, until a later flush makes it void.
                Err(_) => possible.push(shape),
            }
        }
        self.messages.retain(|_, possible| *possible != [None]);
    }

    fn insert(&mut self) -> Option<(u64, Shape, Step)> {
        let size = match self.dice.below(8) {
            0 => 4096 + self.dice.below(30_000),
            _ => self.dice.below(4096),
        };
        let (envelope, body) = (self.bytes(self.inserts % 400), self.bytes(size));
        let mut incoming = self.spool().begin();
        let number = incoming.number();
        assert!(!self.messages.contains_key(&number), "numbers are unique");
        self.inserts += 1;
        let pieces = 1 + self.dice.below(2000) as usize;
        for piece in body.chunks(pieces.max(body.len() / 9 + 1)) {
            if incoming.write(piece).is_err() {
                return None;
            }
        }
        if self.dice.one_in(20) {
            return None; // the client went away
        }
        let shape = Shape { envelope: envelope.clone(), notes: Vec::new(), body };
        Some((number, shape, Step::Commit(incoming, envelope)))
    }

    /// What the program sees is what it was told.
    fn check_running(&mut self) {
        let certain: BTreeMap<u64, Shape> = self
            .messages
            .iter()
            .filter_map(|(number, possible)| Some((*number, possible.first()?.clone()?)))
            .collect();
        assert_eq!(self.spool().numbers(), certain.keys().copied().collect::<Vec<_>>());
        for (number, shape) in certain {
            assert_eq!(self.look(number), shape);
        }
    }

    fn check_size(&mut self) {
        self.spool().idle();
        let (used, live) = (self.disk.used_bytes(), self.spool().live_bytes());
        assert!(used <= 2 * live + 12 * u64::from(SEGMENT), "{used} used for {live} live");
    }
}

fn seeds(usual: u64) -> u64 {
    std::env::var("KOMAINU_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(usual)
}

/// Crashes anywhere, also while recovering, and failing flushes.
#[test]
fn no_crash_loses_or_halves_a_message() {
    for seed in 0..seeds(100) {
        let mut world = World::new(seed, u64::MAX);
        for _ in 0..5 {
            let steps = world.dice.below(120);
            world.disk.stop_after(steps);
            if world.dice.one_in(3) {
                let (after, count) = (world.dice.below(20), 1 + world.dice.below(3));
                world.disk.fail_flushes(after, count);
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
    for seed in 0..seeds(1) {
        let mut world = World::new(seed, u64::MAX);
        let before = world.disk.steps();
        run(&mut world);
        let steps = world.disk.steps() - before;
        assert!(steps > 30, "{steps}");
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

/// The log goes round many times while some messages stay: they are whole, and the disk is not eaten.
#[test]
fn disk_used_is_bounded() {
    for seed in 0..seeds(8) {
        let mut world = World::new(seed, u64::MAX);
        for round in 0..150 {
            // Many come, most go at once.
            world.batch(true);
            while world.messages.len() > 40 {
                world.batch(false);
            }
            if round % 10 == 0 {
                world.check_size();
            }
        }
        world.check_running();
        while !world.messages.is_empty() {
            world.batch(false);
        }
        world.check_size();
        world.crash();
        world.open();
        world.check_size();
    }
}

/// A full disk refuses messages; what is queued can be delivered and forgotten, and then there is room again.
#[test]
fn service_resumes_after_a_full_disk() {
    for seed in 0..seeds(12) {
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

/// Rot is found, set aside and reported; what is sound is served.
#[test]
fn rot_is_reported() {
    let mut world = World::new(1, u64::MAX);
    for _ in 0..20 {
        let (number, shape, step) = std::iter::from_fn(|| Some(world.insert())).flatten().next().unwrap();
        assert!(world.spool().step(vec![step]).remove(0).is_ok());
        world.messages.insert(number, vec![Some(shape)]);
    }
    let before = world.messages.len();
    world.spool = None;
    for path in world.disk.paths().into_iter().filter(|path| path.starts_with("log/")) {
        world.disk.damage(&path, 12_300, 40);
    }
    let (spool, report) = SteppedSpool::open(Arc::new(world.disk.clone()), settings()).unwrap();
    assert!(!report.damage.is_empty(), "{report:?}");
    assert!(world.disk.paths().iter().any(|path| path.starts_with("corrupt/segment-")));
    let there = spool.numbers();
    assert!(there.len() >= before - 6 && there.len() < before, "{} of {before}", there.len());
    for number in there {
        let mut bytes = Vec::new();
        spool.body(number).unwrap().read_to_end(&mut bytes).unwrap();
        let shape = Shape { envelope: spool.read(number).unwrap().envelope, notes: Vec::new(), body: bytes };
        assert_eq!(world.messages[&number], [Some(shape)]);
    }
}
