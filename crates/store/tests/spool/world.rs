//! The model that the simulation compares with: what each message may be, random work, misfortune, checkers.
//!
//! Promised and checked: every acknowledged message is there once and whole; what was removed with an answer
//! stays gone; no half message is shown; notes are kept; disk used is bounded at every step.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use store::simdisk::{Dice, SimDisk};
use store::{Disk, Report, Settings, SpoolError, Step, SteppedSpool};

pub(crate) const SEGMENT: u32 = 64 << 10;

pub(crate) fn settings() -> Settings {
    Settings {
        segment_bytes: SEGMENT,
        inline_bytes: 4 << 10,
        minfree_bytes: 0,
        linger: Duration::ZERO,
        ..Settings::default()
    }
}

/// What a message looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) envelope: Vec<u8>,
    pub(crate) notes: Vec<Vec<u8>>,
    pub(crate) body: Vec<u8>,
}

/// All that a message may be after a crash; `None` is gone.
pub(crate) type Possible = Vec<Option<Shape>>;

pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) dice: Dice,
    pub(crate) spool: Option<SteppedSpool>,
    /// What is certain is a list of one.
    pub(crate) messages: BTreeMap<u64, Possible>,
    pub(crate) inserts: u64,
    /// The largest number that was acknowledged: none up to it may be handed out again.
    last_number: u64,
    reads_fail: bool,
    /// How many flushes may have failed: each may hold a segment.
    pub(crate) failures: u64,
}

impl World {
    pub(crate) fn new(seed: u64, capacity: u64) -> World {
        World::on(SimDisk::new(seed, capacity), !seed)
    }

    pub(crate) fn on(disk: SimDisk, seed: u64) -> World {
        let mut world = World {
            disk,
            dice: Dice::new(seed),
            spool: None,
            messages: BTreeMap::new(),
            inserts: 0,
            last_number: 0,
            reads_fail: false,
            failures: 0,
        };
        world.open();
        world
    }

    /// The same on a copy of the disk, closed.
    pub(crate) fn fork(&self, seed: u64) -> World {
        let (disk, dice) = (self.disk.fork(seed), Dice::new(!seed));
        let messages = self.messages.clone();
        World { disk, dice, messages, spool: None, ..*self }
    }

    /// Opens, however often it is stopped; then nothing is uncertain any more.
    pub(crate) fn open(&mut self) -> Report {
        loop {
            self.spool = None;
            let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
            match SteppedSpool::open(disk, settings()) {
                Ok((spool, report)) => {
                    self.disk.fail_reads(0, 0);
                    self.reads_fail = false;
                    self.spool = Some(spool);
                    if self.disk.has_stopped() {
                        self.crash();
                        continue;
                    }
                    self.check(&report);
                    return report;
                }
                Err(error) => {
                    let excused = self.disk.has_stopped() || error.is_full() || self.reads_fail;
                    assert!(excused, "open: {error}");
                    if error.is_full() {
                        self.disk.resize(u64::MAX);
                    }
                    self.crash();
                }
            }
        }
    }

    pub(crate) fn crash(&mut self) {
        self.spool = None;
        if self.dice.one_in(3) {
            self.disk.restart_process()
        } else {
            self.disk.lose_power()
        }
        self.failures = 0;
        self.reads_fail = self.dice.one_in(5);
        if self.reads_fail {
            let (after, count) = (self.dice.below(60), 1 + self.dice.below(2));
            self.disk.fail_reads(after, count);
        }
        // Recovery is interrupted, too.
        if self.dice.one_in(4) {
            let steps = self.dice.below(30);
            self.disk.stop_after(steps);
        }
    }

    pub(crate) fn spool(&mut self) -> &mut SteppedSpool {
        self.spool.as_mut().expect("open")
    }

    pub(crate) fn look(&mut self, number: u64) -> Shape {
        let spool = self.spool();
        let message = spool.read(number).expect("a listed message can be read");
        let newest = spool.envelope(number).expect("and its newest envelope");
        assert_eq!(newest, (message.envelope.clone(), message.notes.clone()));
        let mut body = Vec::new();
        spool.body(number).expect("it has a body").read_to_end(&mut body).expect("its body is whole");
        assert_eq!(body.len() as u64, message.body_bytes);
        Shape { envelope: message.envelope, notes: message.notes, body }
    }

    /// Compares with what is possible, and takes what is there for certain.
    pub(crate) fn check(&mut self, report: &Report) {
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
    pub(crate) fn batch(&mut self, inserts: bool) {
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
                Ok(()) => {
                    *possible = vec![shape];
                    self.last_number = self.last_number.max(number);
                    self.void_what_failed();
                }
                // Nothing was written.
                Err(SpoolError::Full | SpoolError::TooLarge { .. } | SpoolError::ReadOnly) => {}
                // It may have become durable all the same, until a later flush makes it void for good.
                Err(_) => possible.push(shape),
            }
        }
        self.messages.retain(|_, possible| *possible != [None]);
        if !self.disk.has_stopped() {
            self.check_size();
        }
    }

    fn void_what_failed(&mut self) {
        for possible in self.messages.values_mut() {
            possible.truncate(1);
        }
    }

    pub(crate) fn insert(&mut self) -> Option<(u64, Shape, Step)> {
        let size = match self.dice.below(8) {
            0 => 4096 + self.dice.below(30_000),
            _ => self.dice.below(4096),
        };
        let (envelope, body) = (self.bytes(self.inserts % 400), self.bytes(size));
        let mut incoming = self.spool().begin();
        let number = incoming.number();
        assert!(!self.messages.contains_key(&number) && number > self.last_number, "numbers are unique");
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
    pub(crate) fn check_running(&mut self) {
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

    pub(crate) fn check_size(&mut self) {
        let (used, live) = (self.disk.used_bytes(), self.spool().live_bytes());
        let segments = 12 + self.failures;
        let bound = 2 * live + segments * u64::from(SEGMENT);
        assert!(used <= bound, "{used} used for {live} live, {segments} segments");
    }
}

pub(crate) fn seeds(usual: u64) -> impl Iterator<Item = u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("KOMAINU_SEED").unwrap_or(0);
    let count = number("KOMAINU_SEEDS").unwrap_or(usual);
    // Said only when a test fails.
    (first..first.saturating_add(count)).inspect(|seed| println!("seed {seed}"))
}
