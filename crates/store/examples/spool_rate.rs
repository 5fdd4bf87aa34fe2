//! Durable inserts per second of 4 kB messages, at 1, 16 and 128 writers, as the server makes them, and how
//! long one takes. Before them what the disk gives: 8 kB written and flushed over and over, in a file of full
//! length.
//!
//! `spool_rate DIRECTORY [SECONDS [keep]]`: the directory must be on the disk that is measured, and is left
//! behind. With `keep` nothing is removed, so that the log grows.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a measuring tool")]

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use store::{Disk, RealDisk, Settings, Spool};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("spool_rate DIRECTORY [SECONDS]");
    let time = Duration::from_secs(arguments.next().and_then(|text| text.parse().ok()).unwrap_or(3));
    let keep = arguments.next().is_some_and(|word| word == "keep");
    let disk = Arc::new(RealDisk::new(directory.as_ref()).expect("directory"));
    let start = Instant::now();
    report("the disk", start, raw(disk.as_ref(), time));
    for writers in [1, 16, 128] {
        let (spool, _) = Spool::open(Arc::clone(&disk) as _, Settings::default()).expect("spool");
        let start = Instant::now();
        let delays = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| {
                    let mut own = Vec::new();
                    write(&spool, time, |number, delay| {
                        own.push(delay);
                        if !keep {
                            spool.remove(number, |_| {});
                        }
                    });
                    delays.lock().expect("no panic").extend(own);
                });
            }
        });
        report(&format!("{writers} writers"), start, delays.into_inner().expect("no panic"));
        spool.close();
    }
}

/// What a single stream of flushes gives without a spool.
fn raw(disk: &RealDisk, time: Duration) -> Vec<Duration> {
    let file = disk.create("raw").expect("file");
    (0..1024).for_each(|block| file.write_at(&[0; 8192], block * 8192).expect("write"));
    file.sync().expect("flush");
    let (mut delays, until) = (Vec::new(), Instant::now() + time);
    while Instant::now() < until {
        let start = Instant::now();
        file.write_at(&[1; 8192], (delays.len() as u64 % 1024) * 8192).expect("write");
        file.sync().expect("flush");
        delays.push(start.elapsed());
    }
    disk.remove("raw").expect("remove");
    delays
}

fn write(spool: &Spool, time: Duration, mut written: impl FnMut(u64, Duration)) {
    let (body, envelope) = (vec![b'x'; 4096], vec![b'e'; 200]);
    let (sender, answers) = mpsc::channel();
    let until = Instant::now() + time;
    while Instant::now() < until {
        let start = Instant::now();
        let mut incoming = spool.begin(4096).expect("begin");
        incoming.write(&body).expect("write");
        let sender = sender.clone();
        spool.commit(incoming, envelope.clone(), move |result| drop(sender.send(result)));
        let number = answers.recv().expect("an answer").expect("durable");
        written(number, start.elapsed());
    }
}

fn report(what: &str, start: Instant, mut delays: Vec<Duration>) {
    let rate = f64::from(u32::try_from(delays.len()).unwrap_or(u32::MAX)) / start.elapsed().as_secs_f64();
    delays.sort_unstable();
    let quantile = |share: usize| {
        let at = (delays.len() * share / 1000).min(delays.len().saturating_sub(1));
        delays.get(at).map_or(0.0, |delay| delay.as_secs_f64() * 1e3)
    };
    let (half, most, worst) = (quantile(500), quantile(990), quantile(1000));
    println!("{what:>12}: {rate:8.0}/s; median {half:.3} ms, 99 % {most:.3} ms, worst {worst:.1} ms");
}
