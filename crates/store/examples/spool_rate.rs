//! Durable inserts per second of 4 kB messages, at 1, 16 and 128 writers, as the server makes them.
//!
//! `spool_rate DIRECTORY [SECONDS]`: the directory must be on the disk that is measured, and is left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use store::{RealDisk, Settings, Spool};

#[expect(clippy::print_stdout, clippy::expect_used, reason = "a measuring tool")]
fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("spool_rate DIRECTORY [SECONDS]");
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(3);
    for writers in [1, 16, 128] {
        let disk = RealDisk::new(directory.as_ref()).expect("directory");
        let (spool, _) = Spool::open(Arc::new(disk), Settings::default()).expect("spool");
        let (done, start) = (AtomicU64::new(0), Instant::now());
        let until = start + Duration::from_secs(seconds);
        std::thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| {
                    let (body, envelope) = (vec![b'x'; 4096], vec![b'e'; 200]);
                    let (sender, answers) = mpsc::channel();
                    while Instant::now() < until {
                        let mut incoming = spool.begin(4096).expect("begin");
                        incoming.write(&body).expect("write");
                        let sender = sender.clone();
                        spool.commit(incoming, envelope.clone(), move |result| drop(sender.send(result)));
                        let number = answers.recv().expect("an answer").expect("durable");
                        spool.remove(number, |_| {});
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let rate =
            f64::from(u32::try_from(done.into_inner()).unwrap_or(u32::MAX)) / start.elapsed().as_secs_f64();
        println!("{writers:4} writers: {rate:8.0} inserts/s");
        spool.close();
    }
}
