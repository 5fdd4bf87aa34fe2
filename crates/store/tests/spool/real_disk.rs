//! The spool on a real file system: threads, the lock, permissions, a reader beside the writer, and `kill -9`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use store::simdisk::Dice;
use store::{RealDisk, Settings, Spool, SpoolError, SpoolReader};

const CHILD: &str = "KOMAINU_TEST_SPOOL";

fn settings() -> Settings {
    Settings { segment_bytes: 1 << 20, inline_bytes: 16 << 10, ..Settings::default() }
}

fn open(path: &std::path::Path) -> Result<Spool, SpoolError> {
    let disk = RealDisk::new(path).expect("directory");
    Spool::open(Arc::new(disk), settings()).map(|(spool, report)| {
        assert_eq!(report.damage, Vec::<String>::new());
        spool
    })
}

/// The body of the message with this tag: its length and bytes follow from it.
fn body(tag: u64) -> Vec<u8> {
    let mut dice = Dice::new(tag);
    let size = if dice.one_in(10) { 20_000 + dice.below(100_000) } else { dice.below(9_000) };
    (0..size).map(|i| (tag.wrapping_add(i) % 251) as u8).collect()
}

fn commit(spool: &Spool, tag: u64) -> Result<u64, SpoolError> {
    let mut incoming = spool.begin(0)?;
    for piece in body(tag).chunks(5000) {
        incoming.write(piece)?;
    }
    let (sender, answer) = mpsc::channel();
    spool.commit(incoming, tag.to_le_bytes().to_vec(), move |result| drop(sender.send(result)));
    answer.recv().expect("answered")
}

fn remove(spool: &Spool, number: u64) -> Result<(), SpoolError> {
    let (sender, answer) = mpsc::channel();
    spool.remove(number, move |result| drop(sender.send(result)));
    answer.recv().expect("answered")
}

/// Each message by its tag; panics on half ones.
fn contents(spool: &Spool) -> BTreeMap<u64, u64> {
    let read = |number: u64| {
        let tag = u64::from_le_bytes(spool.read(number).expect("read").envelope.try_into().expect("a tag"));
        let mut bytes = Vec::new();
        spool.body(number).expect("body").read_to_end(&mut bytes).expect("whole");
        assert_eq!(bytes, body(tag));
        (tag, number)
    };
    spool.numbers().into_iter().map(read).collect()
}

#[test]
fn many_writers_lock_permissions_reader() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool");
    let spool = open(&path).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..16u64 {
            let spool = &spool;
            scope.spawn(move || {
                for i in 0..30 {
                    let number = commit(spool, writer * 1000 + i).unwrap();
                    if i % 3 == 0 {
                        remove(spool, number).unwrap();
                        assert!(matches!(spool.read(number), Err(SpoolError::NotFound(_))));
                    }
                }
            });
        }
    });
    let there = contents(&spool);
    assert_eq!(there.len(), 16 * 20);
    assert!(matches!(open(&path), Err(SpoolError::InUse)));
    let (reader, _) = SpoolReader::open(Arc::new(RealDisk::existing(&path))).unwrap();
    assert_eq!(reader.numbers(), spool.numbers());
    let number = there[&1];
    assert_eq!(reader.read(number).unwrap(), spool.read(number).unwrap());
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for folder in ["log", "body", "corrupt"] {
        assert_eq!(mode(&path.join(folder)), 0o700);
        for file in path.join(folder).read_dir().unwrap() {
            assert_eq!(mode(&file.unwrap().path()), 0o600);
        }
    }
    let other = spool.clone();
    spool.close();
    assert!(matches!(commit(&other, 1), Err(SpoolError::Closed)));
    assert_eq!(contents(&open(&path).unwrap()), there);
}

#[test]
fn what_a_client_leaves_unfinished_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open(directory.path()).unwrap();
    let mut incoming = spool.begin(0).unwrap();
    incoming.write(&[7; 100_000]).unwrap();
    let bodies = || directory.path().join("body").read_dir().unwrap().count();
    assert_eq!(bodies(), 1);
    drop(incoming);
    assert_eq!((bodies(), spool.numbers().len()), (0, 0));
    let full = Settings { minfree_bytes: u64::MAX, ..settings() };
    spool.close();
    let (spool, _) = Spool::open(Arc::new(RealDisk::existing(directory.path())), full).unwrap();
    assert!(spool.begin(0).is_err_and(|error| error.is_full()), "queue_minfree");
}

/// The child of the next test: writes until it is killed, and says what was acknowledged.
#[test]
fn child() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let spool = open(path.as_ref()).unwrap();
    let first = spool.numbers().last().copied().unwrap_or(0);
    std::thread::scope(|scope| {
        for writer in 0..8u64 {
            let spool = &spool;
            scope.spawn(move || {
                for i in 0.. {
                    let tag = (first << 20) + writer * 100_000 + i;
                    let number = commit(spool, tag).unwrap();
                    writeln!(std::io::stdout(), "\n+ {tag}").unwrap();
                    if i % 2 == 0 {
                        writeln!(std::io::stdout(), "\n? {tag}").unwrap();
                        remove(spool, number).unwrap();
                        writeln!(std::io::stdout(), "\n- {tag}").unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn kill_9_loses_nothing_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool");
    let mut dice = Dice::new(std::process::id().into());
    let mut known: BTreeMap<u64, char> = BTreeMap::new();
    for _ in 0..8 {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "real_disk::child", "--nocapture"]).env(CHILD, &path);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut left = 20 + dice.below(400);
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some((mark @ ("+" | "?" | "-"), tag)) = line.split_once(' ')
                && let Ok(tag) = tag.parse()
            {
                known.insert(tag, mark.chars().next().unwrap());
            }
            left = left.saturating_sub(1);
            if left == 0 {
                child.kill().unwrap(); // SIGKILL; what is in the pipe is still read
            }
        }
        assert!(!child.wait().unwrap().success(), "it was killed");
        let there = contents(&open(&path).unwrap());
        for (tag, mark) in &known {
            match mark {
                '+' => assert!(there.contains_key(tag), "{tag} was acknowledged and is lost"),
                '-' => assert!(!there.contains_key(tag), "{tag} was removed and is back"),
                _ => {}
            }
        }
        known.retain(|tag, _| there.contains_key(tag));
        known.values_mut().for_each(|mark| *mark = '+');
    }
}
