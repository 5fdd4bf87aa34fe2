//! The spool with its threads on a disk that fails: what was answered with yes is there after the crash.

use crate::world::{seeds, settings};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, mpsc};
use store::simdisk::{Dice, SimDisk};
use store::{Spool, SpoolError};

const WRITERS: u64 = 4;

/// What a writer was told of a message: it is there, or it is not known whether it is, or it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Queued,
    Unknown,
    Gone,
}

fn body(tag: u64) -> Vec<u8> {
    let size = Dice::new(tag).below(if tag.is_multiple_of(7) { 20_000 } else { 3_000 });
    (0..size).map(|i| (tag.wrapping_mul(31).wrapping_add(i) % 253) as u8).collect()
}

fn wait<T: Send + 'static>(ask: impl FnOnce(Box<dyn FnOnce(T) + Send>)) -> T {
    let (sender, answer) = mpsc::channel();
    ask(Box::new(move |result| drop(sender.send(result))));
    answer.recv().expect("each request is answered")
}

fn commit(spool: &Spool, tag: u64) -> Result<u64, SpoolError> {
    let mut incoming = spool.begin(0)?;
    incoming.write(&body(tag))?;
    wait(|done| spool.commit(incoming, tag.to_le_bytes().to_vec(), done))
}

fn write(spool: &Spool, first: u64, told: &Mutex<BTreeMap<u64, Told>>) {
    let say = |tag, what| {
        told.lock().unwrap().insert(tag, what);
    };
    for tag in first..first + 60 {
        say(tag, Told::Unknown);
        let Ok(number) = commit(spool, tag) else { continue };
        say(tag, Told::Queued);
        if tag.is_multiple_of(2) {
            say(tag, Told::Unknown);
            if wait(|done| spool.remove(number, done)).is_ok() {
                say(tag, Told::Gone);
            }
        }
    }
}

#[test]
fn an_answer_is_a_promise() {
    for seed in seeds(8) {
        let (disk, mut dice) = (SimDisk::new(seed, u64::MAX), Dice::new(!seed));
        let told = Mutex::new(BTreeMap::new());
        for round in 1..=3 {
            let (spool, report) = Spool::open(Arc::new(disk.clone()), settings()).unwrap();
            assert_eq!(report.damage, Vec::<String>::new());
            if dice.one_in(2) {
                disk.fail_flushes(dice.below(60), 1 + dice.below(2));
            }
            disk.stop_after(dice.below(1200));
            std::thread::scope(|scope| {
                for writer in 1..=WRITERS {
                    let (spool, told) = (&spool, &told);
                    scope.spawn(move || write(spool, (round << 32) + (writer << 16), told));
                }
            });
            spool.close();
            disk.lose_power();
            check(&disk, &mut told.lock().unwrap());
        }
    }
}

/// Compares; what was uncertain is certain from now on.
fn check(disk: &SimDisk, told: &mut BTreeMap<u64, Told>) {
    let (spool, report) = Spool::open(Arc::new(disk.clone()), settings()).unwrap();
    assert_eq!(report.damage, Vec::<String>::new());
    let mut there = BTreeMap::new();
    for number in spool.numbers() {
        let tag = u64::from_le_bytes(spool.read(number).unwrap().envelope.try_into().unwrap());
        let mut bytes = Vec::new();
        spool.body(number).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, body(tag));
        assert_eq!(there.insert(tag, number), None, "{tag:X} is there once");
    }
    for (tag, what) in told.iter_mut() {
        match (*what, there.contains_key(tag)) {
            (Told::Queued, found) => assert!(found, "{tag:X} was acknowledged and is lost"),
            (Told::Gone, found) => assert!(!found, "{tag:X} was removed and is back"),
            (Told::Unknown, found) => *what = if found { Told::Queued } else { Told::Gone },
        }
    }
    assert!(there.keys().all(|tag| told.contains_key(tag)));
    spool.close();
}
