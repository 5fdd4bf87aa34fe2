//! Rows in memory that outlive a restart: appended to a file of the state folder by a thread of its own, flushed once a
//! second, written anew at each cleanup.
//!
//! What the rows are is their owner's; here is when they are written. Whoever keeps a row never waits for the disk; where
//! the disk doesn't keep up, the file is written anew from memory afterwards. A crash of the program loses what that
//! thread had not taken up, a crash of the machine the last second. A file that
//! can't be had costs the memory of restarts only, and is said. Postfix's own cache files aren't read.

use crate::clock;
use crate::log::Log;
use events::Event;
use events::daemon::Message;
use mail::Wall;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};
use store::Disk;
use store::keyed::KeyedFile;

/// Changes that may wait for the file; where there are more, the file is written anew from memory, once it keeps up again.
const CHANGES_WAITING_MAX: usize = 8_192;
/// Between two such times.
const CATCH_UP: Duration = Duration::from_secs(30);
/// Between two flushes of the file.
const FLUSH: Duration = Duration::from_secs(1);
/// A file that has grown by this much more than it holds is written anew.
const GROWTH_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What is kept.
pub(crate) trait Rows: Send + 'static {
    /// The rows' layout and length.
    const LAYOUT: (u32, usize);

    /// A row that was found in the file.
    fn restore(&self, row: &[u8]);

    /// How many there are.
    fn count(&self) -> usize;

    /// All of them, one behind another.
    fn encoded(&self) -> Vec<u8>;

    /// Forgets what has expired: how many are kept, how many not.
    fn clean_up(&self, now: Wall) -> (usize, usize);
}

/// What a cache is called, and who speaks of it.
pub(crate) struct Named {
    /// As the log has it.
    pub(crate) name: String,
    /// Where lines go, and under which program.
    pub(crate) log: (Log, String),
    /// Between two cleanups; `None` for never.
    pub(crate) cleanup: Option<Duration>,
}

enum Order {
    Keep(Vec<u8>),
    Flush(SyncSender<()>),
}

/// How the file's thread is reached.
pub(crate) struct Keeper {
    changes: SyncSender<Order>,
    /// A change didn't get into the queue.
    missed: Arc<AtomicBool>,
}

impl Keeper {
    /// Never waits for the disk.
    pub(crate) fn keep(&self, row: Vec<u8>) {
        if self.changes.try_send(Order::Keep(row)).is_err() {
            self.missed.store(true, Ordering::Relaxed);
        }
    }

    /// Waits until everything that is known so far is on the disk.
    pub(crate) fn flush(&self) {
        let (done, waiting) = mpsc::sync_channel(1);
        if self.changes.send(Order::Flush(done)).is_ok() {
            let _ = waiting.recv();
        }
    }
}

/// The rows with their file.
pub(crate) struct Kept<R> {
    rows: R,
    file: Option<KeyedFile>,
    named: Named,
}

impl<R: Rows> Kept<R> {
    /// In memory alone.
    pub(crate) const fn in_memory(rows: R, named: Named) -> Kept<R> {
        Kept { rows, file: None, named }
    }

    /// Takes in what the file holds.
    pub(crate) fn read(&mut self, disk: std::io::Result<Arc<dyn Disk>>, file: &str) {
        let mut found = |row: &[u8]| self.rows.restore(row);
        match disk.and_then(|disk| KeyedFile::open(disk, file, R::LAYOUT, &mut found)) {
            Ok(file) => self.file = Some(file),
            Err(error) => self.give_up(&error),
        }
    }

    /// Keeps them from now on, on a thread of this name.
    pub(crate) fn start(self, thread: &str) -> Keeper {
        let (changes, orders) = mpsc::sync_channel(CHANGES_WAITING_MAX);
        let missed = Arc::<AtomicBool>::default();
        let also = Arc::clone(&missed);
        // Without the thread everything lives in memory.
        let _ = std::thread::Builder::new().name(thread.to_owned()).spawn(move || self.run(&orders, &also));
        Keeper { changes, missed }
    }

    fn run(mut self, orders: &Receiver<Order>, missed: &AtomicBool) {
        let mut cleaned = Instant::now();
        let mut caught_up: Option<Instant> = None;
        let mut dirty = false;
        loop {
            let next = self.named.cleanup.map(|interval| interval.saturating_sub(cleaned.elapsed()));
            let mut patience = next.unwrap_or(Duration::MAX).min(if dirty { FLUSH } else { Duration::MAX });
            if missed.load(Ordering::Relaxed) {
                let left = caught_up.map_or(FLUSH, |at| CATCH_UP.saturating_sub(at.elapsed()));
                patience = patience.min(left.max(Duration::from_millis(10)));
            }
            // A year is as good as for ever, and can be added to an instant.
            match orders.recv_timeout(patience.min(Duration::from_secs(31_536_000))) {
                Ok(Order::Keep(row)) => dirty = !self.append(row, orders),
                Ok(Order::Flush(done)) => {
                    self.sync();
                    dirty = false;
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) if dirty => {
                    self.sync();
                    dirty = false;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.sync(),
            }
            let is_time = || caught_up.is_none_or(|at| at.elapsed() >= CATCH_UP);
            if self.named.cleanup.is_some_and(|interval| cleaned.elapsed() >= interval) {
                missed.store(false, Ordering::Relaxed);
                self.clean_up();
                cleaned = Instant::now();
            } else if self.is_bloated() || missed.load(Ordering::Relaxed) && is_time() {
                // What is missed from now on is missed again.
                missed.store(false, Ordering::Relaxed);
                self.rewrite();
                caught_up = Some(Instant::now());
            }
        }
    }

    /// Appends a change, and what waits behind it; whether it was flushed as well.
    fn append(&mut self, row: Vec<u8>, orders: &Receiver<Order>) -> bool {
        let mut batch = vec![row];
        let mut flushes = Vec::new();
        while batch.len() < CHANGES_WAITING_MAX {
            match orders.try_recv() {
                Ok(Order::Keep(row)) => batch.push(row),
                Ok(Order::Flush(done)) => flushes.push(done),
                Err(_) => break,
            }
        }
        if let Some(file) = &mut self.file
            && let Err(error) = file.append(batch.iter().map(Vec::as_slice))
        {
            self.give_up(&error);
        }
        if flushes.is_empty() {
            return false;
        }
        self.sync();
        for done in flushes {
            let _ = done.send(());
        }
        true
    }

    fn sync(&mut self) {
        if let Some(Err(error)) = self.file.as_ref().map(KeyedFile::sync) {
            self.give_up(&error);
        }
    }

    fn is_bloated(&self) -> bool {
        let Some(file) = self.file.as_ref().filter(|file| file.bytes() > GROWTH_BYTES_MAX) else {
            return false;
        };
        let rows = u64::try_from(self.rows.count()).unwrap_or(u64::MAX);
        let needed = rows.saturating_mul(R::LAYOUT.1 as u64 + 4);
        file.bytes() > needed.saturating_add(GROWTH_BYTES_MAX)
    }

    /// Forgets what has expired, and says so.
    pub(crate) fn clean_up(&mut self) {
        let (retained, dropped) = self.rows.clean_up(clock::now().wall);
        self.rewrite();
        let Named { name, log: (log, program), .. } = &self.named;
        let text = format!("cache {name} full cleanup: retained={retained} dropped={dropped} entries");
        log.write(program, Event::Other(text.into()));
    }

    fn rewrite(&mut self) {
        let Some(file) = &mut self.file else { return };
        let rows = self.rows.encoded();
        if let Err(error) = file.rewrite(rows.chunks_exact(R::LAYOUT.1)) {
            self.give_up(&error);
        }
    }

    /// The file is no use any more: said once.
    fn give_up(&mut self, error: &std::io::Error) {
        self.file = None;
        let Named { name, log: (log, program), .. } = &self.named;
        let text = format!("cache {name}: {error}; kept in memory only until the next start");
        log.write(program, Message::warning(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Destination, Format};
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use store::simdisk::{Dice, SimDisk};

    /// Keys and values that only grow.
    #[derive(Clone, Default)]
    struct Numbers(Arc<Mutex<BTreeMap<u32, u32>>>);

    fn row(key: u32, value: u32) -> Vec<u8> {
        [key.to_le_bytes(), value.to_le_bytes()].concat()
    }

    impl Numbers {
        fn all(&self) -> BTreeMap<u32, u32> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Rows for Numbers {
        const LAYOUT: (u32, usize) = (0x7465_7374, 8);

        fn restore(&self, row: &[u8]) {
            let number = |at: usize| u32::from_le_bytes(row[at..at + 4].try_into().unwrap());
            self.0.lock().unwrap().insert(number(0), number(4));
        }

        fn count(&self) -> usize {
            self.all().len()
        }

        fn encoded(&self) -> Vec<u8> {
            self.all().into_iter().flat_map(|(key, value)| row(key, value)).collect()
        }

        fn clean_up(&self, _: Wall) -> (usize, usize) {
            (self.count(), 0)
        }
    }

    fn opened(disk: &SimDisk, log: &Log) -> (Kept<Numbers>, Numbers) {
        let rows = Numbers::default();
        let named = Named { name: "test".to_owned(), log: (log.clone(), "test".to_owned()), cleanup: None };
        let mut kept = Kept::in_memory(rows.clone(), named);
        kept.read(Ok(Arc::new(disk.clone())), "rows");
        (kept, rows)
    }

    /// Rows are appended, flushed and written anew until the disk stops at its `stop`-th step: what was flushed by then.
    fn worked(
        disk: &SimDisk,
        log: &Log,
        (seed, stop): (u64, u64),
    ) -> (BTreeMap<u32, u32>, BTreeMap<u32, u32>) {
        let (mut kept, rows) = opened(disk, log);
        let mut durable = rows.all();
        let mut dice = Dice::new(seed);
        disk.stop_after(stop);
        let (_never, orders) = mpsc::sync_channel(1);
        for value in 1..200 {
            let key = u32::try_from(dice.below(20)).unwrap();
            rows.restore(&row(key, value));
            match dice.below(10) {
                0 => kept.rewrite(),
                1..4 => {
                    kept.append(row(key, value), &orders);
                    kept.sync();
                }
                _ => {
                    kept.append(row(key, value), &orders);
                    continue;
                }
            }
            if disk.has_stopped() || kept.file.is_none() {
                break;
            }
            durable = rows.all();
        }
        (durable, rows.all())
    }

    /// What didn't get into the queue is in the file all the same, soon.
    #[test]
    fn what_was_missed_is_caught_up_with() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::start(&Destination::File(folder.path().join("log")), Format::Postfix, "mx").unwrap();
        let disk = SimDisk::new(1, 1 << 20);
        let (kept, rows) = opened(&disk, &log);
        let keeper = kept.start("test");
        // As where the queue was full.
        rows.restore(&row(7, 70));
        keeper.missed.store(true, Ordering::Relaxed);
        rows.restore(&row(8, 80));
        keeper.keep(row(8, 80));
        let caught_up = || {
            disk.fork(2).bytes("rows").is_some_and(|bytes| bytes.windows(8).any(|found| found == row(7, 70)))
        };
        let end = Instant::now() + Duration::from_secs(60);
        while !caught_up() {
            assert!(Instant::now() < end, "never");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!keeper.missed.load(Ordering::Relaxed));
        drop(keeper);
    }

    /// At whichever step the program is killed, or the power goes: what was flushed is there, and nothing that wasn't said.
    #[test]
    fn what_was_flushed_is_there_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::start(&Destination::File(folder.path().join("log")), Format::Postfix, "mx").unwrap();
        let (mut crashes, mut rows_lost) = (0, 0);
        for stop in 0..150 {
            for power in [false, true] {
                let disk = SimDisk::new(stop, 1 << 20);
                let (durable, said) = worked(&disk, &log, (stop, stop));
                crashes += u32::from(disk.has_stopped());
                if power {
                    disk.lose_power()
                } else {
                    disk.restart_process()
                }
                let (mut kept, rows) = opened(&disk, &log);
                let found = rows.all();
                for (key, value) in &durable {
                    assert!(found.get(key) >= Some(value), "{stop} {power}: {key}: {found:?} {durable:?}");
                }
                for (key, value) in &found {
                    assert!(
                        said.get(key) >= Some(value),
                        "{stop} {power}: {key}={value} was never said: {said:?}"
                    );
                }
                rows_lost += said.iter().filter(|(key, value)| found.get(key) != Some(value)).count();
                // It goes on from there.
                let (_never, orders) = mpsc::sync_channel(1);
                kept.append(row(99, 1), &orders);
                kept.sync();
                disk.lose_power();
                assert_eq!(opened(&disk, &log).1.all().get(&99), Some(&1), "{stop} {power}");
            }
        }
        assert!(crashes > 200 && rows_lost > 0, "{crashes} crashes, {rows_lost} rows lost");
    }
}
