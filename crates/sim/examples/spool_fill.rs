//! Fills a spool with deferred messages, for measurements: `spool_fill DIRECTORY MESSAGES DESTINATIONS DUE_S DOMAIN`.
//!
//! DIRECTORY is `queue` in a state folder, with no server running. Message n goes to `u@d-A-B.DOMAIN`, where A and B
//! count the destinations; every tenth destination has `hang.` before DOMAIN. Each was tried once and is due DUE_S
//! seconds from now.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a measuring tool")]

use mail::{Address, Dsn, QueueId, Wall};
use queue::{Entry, Reason, Recipient, Status};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use store::{RealDisk, Settings, Spool};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |at: usize| words.get(at).expect("DIRECTORY MESSAGES DESTINATIONS DUE_S DOMAIN").as_str();
    let number = |at: usize| word(at).parse::<u64>().expect("a number");
    let (messages, destinations, due) = (number(1), number(2), Duration::from_secs(number(3)));
    let disk = Arc::new(RealDisk::new(word(0).as_ref()).expect("a directory"));
    let digest = store::Digest { envelope: queue::card::of_envelope, note: queue::card::after_note };
    let (spool, _) = Spool::open(disk, Settings { digest, ..Settings::default() }).expect("a spool");
    let began = Instant::now();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let now = Wall(i64::try_from(since.as_micros()).expect("a time"));
    let (done, answers) = channel();
    for n in 0..messages {
        let destination = n % destinations;
        let (a, b) = (destination / 250, destination % 250 + 1);
        let hang = if destination.is_multiple_of(10) { "hang." } else { "" };
        let to = Address::from_internal(format!("u@d-{a}-{b}.{hang}{}", word(4)));
        let mut incoming = spool.begin(0).expect("room");
        let reason = Reason::new(Dsn::new(4, 4, 1), "connect to mx[192.0.2.1]:25: Connection timed out");
        let recipient = Recipient { status: Status::Deferred(reason), ..Recipient::new(to) };
        let id = QueueId::short(now, incoming.number());
        let mut entry = Entry::new(id, now, Address::from_internal("sender@from.test"), vec![recipient]);
        (entry.tries, entry.next_attempt) = (1, now + due);
        let body = "Subject: measured\n\n0123456789 0123456789 0123456789\n";
        incoming.write(body.as_bytes()).expect("fits");
        entry.size = body.len() as u64;
        let done = done.clone();
        spool.commit(incoming, entry.encode(), move |stored| {
            let _ = done.send(stored.is_ok());
        });
        if n % 2_000 == 1_999 {
            let stored = answers.iter().take(2_000).filter(|stored| *stored).count();
            assert_eq!(stored, 2_000, "all are durable");
        }
    }
    spool.close();
    println!("{messages} messages in {:.1} s", began.elapsed().as_secs_f64());
}
