//! Each record of a small spool damaged in turn, in each of its parts: nothing goes without a word, nothing is deleted,
//! what is sound is served, and the names of what is lost are found where they are legible.

use crate::world::settings;
use std::io::Read;
use std::sync::Arc;
use store::simdisk::SimDisk;
use store::{Disk, Report, Step, SteppedSpool, envelopes_in};

const START: usize = 8192;
const UNIT: usize = 64;
const MAGIC: &[u8] = b"KSR1";
const MESSAGES: u8 = 4;

fn envelope(which: u8) -> Vec<u8> {
    format!("envelope of message {which}, which is as long as envelopes are").into_bytes()
}

fn body(which: u8) -> Vec<u8> {
    format!("Subject: {which}\r\n\r\n{}\r\n", "text ".repeat(60)).into_bytes()
}

/// A spool in one segment: messages in batches of their own, and one with a note; after its last batch there was quiet.
fn filled() -> SimDisk {
    let disk = SimDisk::new(7, u64::MAX);
    let (mut spool, _) = SteppedSpool::open(Arc::new(disk.clone()), settings()).unwrap();
    for which in 0..MESSAGES {
        let mut incoming = spool.begin();
        incoming.write(&body(which)).unwrap();
        let done = spool.step(vec![Step::Commit(incoming, envelope(which))]);
        assert!(done.iter().all(Result::is_ok));
    }
    let first = spool.numbers()[0];
    assert!(spool.step(vec![Step::Note(first, b"a note".to_vec())]).remove(0).is_ok());
    spool.idle();
    disk
}

/// The slot in use, and where its records are.
fn records(disk: &SimDisk) -> (String, Vec<usize>) {
    let slots = disk.paths().into_iter().filter(|path| path.starts_with("log/"));
    let found = |path: String| {
        let bytes = disk.bytes(&path).unwrap();
        let at = (START..bytes.len()).step_by(UNIT).filter(|at| bytes[*at..].starts_with(MAGIC));
        (path, at.collect::<Vec<_>>())
    };
    slots.map(found).max_by_key(|(_, found)| found.len()).unwrap()
}

fn open(disk: &SimDisk) -> (SteppedSpool, Report) {
    SteppedSpool::open(Arc::new(disk.clone()), settings()).unwrap()
}

/// Which messages are served whole, and how many are there and damaged.
fn served(spool: &SteppedSpool) -> (Vec<u8>, usize) {
    let (mut sound, mut damaged) = (Vec::new(), 0);
    for number in spool.numbers() {
        let mut text = Vec::new();
        let read = spool.body(number).map(|mut body| body.read_to_end(&mut text));
        match (spool.read(number), read) {
            (Ok(message), Ok(Ok(_))) => {
                let which = (0..MESSAGES).find(|which| envelope(*which) == message.envelope).unwrap();
                assert_eq!(text, body(which));
                sound.push(which);
            }
            _ => damaged += 1,
        }
    }
    (sound, damaged)
}

fn write(disk: &SimDisk, path: &str, at: usize, bytes: &[u8]) {
    disk.open(path, store::disk::Access::Write).unwrap().write_at(bytes, at as u64).unwrap();
}

fn check(way: &str, which: usize, harm: impl Fn(&SimDisk, &str, usize)) {
    let disk = filled();
    let (path, places) = records(&disk);
    assert_eq!(places.len(), usize::from(MESSAGES) + 1);
    let at = places[which];
    harm(&disk, &path, at);
    let context = format!("{way}, record {which}");
    // A reader beside it sees the same, and changes nothing.
    let reader = store::SpoolReader::open(Arc::new(disk.clone())).unwrap();
    assert!(!reader.1.damage.is_empty(), "{context}: a reader says nothing");
    let (spool, report) = open(&disk);
    assert!(!report.damage.is_empty(), "{context}");
    let (sound, damaged) = served(&spool);
    let is_note = which == usize::from(MESSAGES);
    let lost = (0..MESSAGES).find(|which| !sound.contains(which));
    assert_eq!(lost.is_some(), !is_note, "{context}: {sound:?}, {report:?}");
    if let Some(lost) = lost {
        assert_eq!(usize::from(lost), which, "{context}");
        assert_eq!(sound.len(), usize::from(MESSAGES) - 1, "{context}");
        let is_named =
            report.stretches.iter().any(|bytes| envelopes_in(bytes).any(|found| found == envelope(lost)));
        assert!(damaged == 1 || is_named || way == "zeroed", "{context}: {report:?}");
    }
    assert!(disk.paths().iter().any(|path| path.starts_with("corrupt/stretch-")), "{context}");
    assert!(disk.paths().iter().any(|path| path.starts_with("corrupt/segment-")), "{context}");
    drop(spool);
    // What was kept is not told again and again. What is damaged stays until the log goes round: then it is moved out,
    // which is said. Where the body alone is damaged, the message goes on without
    // one, which is said for as long as it is there.
    let is_headless = way.contains("body");
    let is_news = |line: &&String| {
        !(line.contains(" was moved to ") || is_headless && line.contains("the body of message"))
    };
    for _ in 0..4 {
        let (spool, report) = open(&disk);
        assert_eq!(report.damage.iter().find(is_news), None, "{context}");
        let (again, still) = served(&spool);
        let moved = disk.paths().iter().any(|path| path.starts_with("corrupt/100"));
        let gone = usize::from(moved && !is_headless);
        assert_eq!((again, still + gone), (sound.clone(), damaged), "{context}");
    }
    let (mut spool, _) = open(&disk);
    go_round(&mut spool);
    assert_eq!(served(&spool).0, sound, "{context}");
    drop(spool);
    let (_, report) = open(&disk);
    assert_eq!(report.damage.len(), usize::from(is_headless), "{context}: {report:?}");
    assert_eq!(report.corrupt.len(), usize::from(is_headless), "{context}: {report:?}");
}

/// As much comes and goes as five segments hold.
fn go_round(spool: &mut SteppedSpool) {
    for _ in 0..100 {
        let mut incoming = spool.begin();
        let number = incoming.number();
        incoming.write(&[b'x'; 3000]).unwrap();
        let done = spool.step(vec![Step::Commit(incoming, Vec::new()), Step::Remove(number)]);
        assert!(done.iter().all(Result::is_ok), "{done:?}");
    }
    spool.idle();
}

#[test]
fn each_record_in_each_part() {
    for which in 0..=usize::from(MESSAGES) {
        for byte in [0, 5, 9, 17, 25, 33, 41, 45, 49, 53, 57, 61] {
            check("header", which, |disk, path, at| disk.damage(path, at + byte, 1));
        }
        check("envelope", which, |disk, path, at| disk.damage(path, at + UNIT + 1, 3));
        check("zeroed header", which, |disk, path, at| write(disk, path, at, &[0; UNIT]));
        check("zeroed", which, |disk, path, at| write(disk, path, at, &[0; 4096]));
    }
    for which in 0..usize::from(MESSAGES) {
        check("body", which, |disk, path, at| disk.damage(path, at + UNIT + 100, 1));
        check("end of body", which, |disk, path, at| disk.damage(path, at + UNIT + 370, 1));
    }
}

/// Behind a crash in the middle of a batch there is no such word: what was torn was never acknowledged.
#[test]
fn a_torn_batch_is_no_damage() {
    let disk = filled();
    let (path, places) = records(&disk);
    let (mut spool, _) = open(&disk);
    let mut incoming = spool.begin();
    incoming.write(&body(0)).unwrap();
    assert!(spool.step(vec![Step::Commit(incoming, envelope(0))]).remove(0).is_ok());
    drop(spool);
    let (now, newer) = records(&disk);
    assert!(now != path || newer != places || !newer.is_empty());
    // Nobody vouches for the last batch: it isn't known whether its flush came back.
    let all: Vec<String> = disk.paths().into_iter().filter(|path| path.starts_with("log/")).collect();
    for path in all {
        let bytes = disk.bytes(&path).unwrap();
        let last = (START..bytes.len()).step_by(UNIT).rfind(|at| bytes[*at..].starts_with(MAGIC));
        let is_new = |at: usize| bytes[at + UNIT + 4..].starts_with(&envelope(0)) && at > START;
        if let Some(at) = last.filter(|at| is_new(*at)) {
            write(&disk, &path, at + 300, &[0; 80]);
        }
    }
    let (spool, report) = open(&disk);
    assert_eq!((report.damage, served(&spool).0.len()), (Vec::new(), 4));
    assert!(report.torn_bytes > 0);
}
