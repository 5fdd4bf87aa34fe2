//! What outlives a restart: rows appended to a file of the state folder by a thread of its own, flushed once a second,
//! written anew at each cleanup (`address_verify_cache_cleanup_interval`).
//!
//! A crash of the program loses what that thread had not taken up, a crash of the machine the last second: such an
//! address is probed once more. A file that can't be had costs the memory of restarts only. Postfix's own files aren't
//! read.

use super::{Probing, lock};
use crate::clock;
use crate::log::Log;
use events::Event;
use events::daemon::Message;
use policy::verification::{Limits, Memory, ROW_BYTES, Row};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use store::keyed::KeyedFile;
use store::{Disk, RealDisk};

/// Changes that may wait for the file; more are kept in memory only until the next cleanup.
const CHANGES_WAITING_MAX: usize = 8_192;
/// The rows' layout.
const KIND: u32 = 0x6b76_0001;
/// Between two flushes of the file.
const FLUSH: Duration = Duration::from_secs(1);
/// A file that has grown by this much more than it holds is written anew.
const GROWTH_BYTES_MAX: u64 = 8 * 1024 * 1024;

enum Order {
    Keep(Vec<u8>),
    Flush(SyncSender<()>),
}

/// The file's owner.
pub(super) struct Keeper {
    changes: SyncSender<Order>,
}

struct Work {
    memory: Arc<Mutex<Memory>>,
    file: Option<KeyedFile>,
    limits: Limits,
    cleanup: Option<Duration>,
    name: String,
    log: (Log, String),
}

impl Keeper {
    /// Takes in what the file holds, and says so.
    pub(super) fn open(
        probing: &Probing,
        folder: &Path,
        memory: &Arc<Mutex<Memory>>,
        log: (Log, String),
    ) -> Keeper {
        let name = if probing.map.is_empty() { "internal:verify".to_owned() } else { probing.map.clone() };
        let mut work = Work {
            memory: Arc::clone(memory),
            file: None,
            limits: probing.limits.clone(),
            cleanup: probing.cleanup,
            name,
            log,
        };
        if !probing.map.is_empty() {
            work.read(folder);
        }
        // verify(8) does so when it starts, unless it never does.
        if work.cleanup.is_some() {
            work.clean_up();
        }
        let (changes, orders) = mpsc::sync_channel(CHANGES_WAITING_MAX);
        // Without the thread everything lives in memory.
        let _ = std::thread::Builder::new().name("verify-cache".into()).spawn(move || work.run(&orders));
        Keeper { changes }
    }

    /// Never waits for the disk.
    pub(super) fn keep(&self, row: Vec<u8>) {
        let _ = self.changes.try_send(Order::Keep(row));
    }

    /// Waits until everything that is known so far is on the disk.
    pub(super) fn flush(&self) {
        let (done, waiting) = mpsc::sync_channel(1);
        if self.changes.send(Order::Flush(done)).is_ok() {
            let _ = waiting.recv();
        }
    }
}

impl Work {
    fn read(&mut self, folder: &Path) {
        let opened = RealDisk::new(folder).and_then(|disk| {
            let disk: Arc<dyn Disk> = Arc::new(disk);
            let mut memory = lock(&self.memory);
            let mut found = |bytes: &[u8]| {
                if let Some((address, row)) = Row::decode(bytes) {
                    memory.restore(address, row);
                }
            };
            KeyedFile::open(disk, "addresses", (KIND, ROW_BYTES), &mut found)
        });
        match opened {
            Ok(file) => self.file = Some(file),
            Err(error) => self.give_up(&error),
        }
    }

    fn run(mut self, orders: &Receiver<Order>) {
        let mut cleaned = Instant::now();
        let mut dirty = false;
        loop {
            let next = self.cleanup.map(|interval| interval.saturating_sub(cleaned.elapsed()));
            let patience = next.unwrap_or(Duration::MAX).min(if dirty { FLUSH } else { Duration::MAX });
            // A year is as good as for ever, and can be added to an instant.
            match orders.recv_timeout(patience.min(Duration::from_secs(31_536_000))) {
                Ok(Order::Keep(row)) => {
                    dirty = true;
                    self.append(&row);
                }
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
            if self.cleanup.is_some_and(|interval| cleaned.elapsed() >= interval) {
                self.clean_up();
                cleaned = Instant::now();
            } else if self.is_bloated() {
                self.rewrite();
            }
        }
    }

    fn append(&mut self, row: &[u8]) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.append([row])
        {
            self.give_up(&error);
        }
    }

    fn sync(&mut self) {
        if let Some(Err(error)) = self.file.as_ref().map(KeyedFile::sync) {
            self.give_up(&error);
        }
    }

    fn is_bloated(&self) -> bool {
        let Some(file) = &self.file else { return false };
        if file.bytes() <= GROWTH_BYTES_MAX {
            return false;
        }
        let rows = u64::try_from(lock(&self.memory).len()).unwrap_or(u64::MAX);
        file.bytes() > rows.saturating_mul(ROW_BYTES as u64 + 4).saturating_add(GROWTH_BYTES_MAX)
    }

    /// Forgets what has expired.
    fn clean_up(&mut self) {
        let (retained, dropped) = lock(&self.memory).clean_up(&self.limits, clock::now().wall);
        self.rewrite();
        let name = &self.name;
        let text = format!("cache {name} full cleanup: retained={retained} dropped={dropped} entries");
        self.log.0.write(&self.log.1, Event::Other(text.into()));
    }

    fn rewrite(&mut self) {
        let Some(file) = &mut self.file else { return };
        let rows = lock(&self.memory).encoded();
        if let Err(error) = file.rewrite(rows.iter().map(Vec::as_slice)) {
            self.give_up(&error);
        }
    }

    /// The file is no use any more: said once.
    fn give_up(&mut self, error: &std::io::Error) {
        self.file = None;
        let name = &self.name;
        let text = format!("cache {name}: {error}; kept in memory only until the next start");
        self.log.0.write(&self.log.1, Message::warning(text));
    }
}
