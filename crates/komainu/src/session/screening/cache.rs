//! The allow cache: until when each client has passed which test, in memory, and in a file that outlives restarts.
//!
//! Sessions read and write memory only; a thread of its own appends to the file, flushes it once a second, and writes
//! it anew at each cleanup (`postscreen_cache_cleanup_interval`). A crash of the program loses what that thread had
//! not taken up, a crash of the machine the last second: such a client is tested once more. Memory is bounded:
//! beyond [`ENTRIES_MAX`] the entries that expire first go. Postfix's own cache files aren't read.

use crate::clock;
use crate::configuration::CacheSettings;
use crate::log::Log;
use events::Event;
use events::daemon::Message;
use proto::screen::Record;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use store::Disk;
use store::keyed::KeyedFile;

/// Clients that are remembered: some 15 MB.
const ENTRIES_MAX: usize = 200_000;
/// Changes that may wait for the file; more are kept in memory only until the next cleanup.
const CHANGES_WAITING_MAX: usize = 8_192;
/// An address and its record.
const ENTRY_BYTES: usize = 16 + Record::BYTES;
/// The entries' layout.
const KIND: u32 = 0x6b73_0001;
/// Between two flushes of the file.
const FLUSH: Duration = Duration::from_secs(1);
/// A file that has grown by this much more than it holds is written anew.
const GROWTH_BYTES_MAX: u64 = 8 * 1024 * 1024;

type Entries = Arc<Mutex<HashMap<IpAddr, Record>>>;

/// One cache.
pub struct Cache {
    entries: Entries,
    changes: SyncSender<Order>,
}

enum Order {
    Keep(IpAddr, Record),
    Flush(SyncSender<()>),
}

/// What the thread works with.
struct Keeper {
    entries: Entries,
    file: Option<KeyedFile>,
    settings: CacheSettings,
    log: (Log, String),
}

impl Cache {
    /// Opens the cache on `disk`. A file that can't be had costs the memory of restarts only, and is said.
    #[must_use]
    pub fn open(settings: CacheSettings, disk: &Arc<dyn Disk>, log: Log, program: &str) -> Arc<Cache> {
        let mut entries = HashMap::new();
        let mut found = |bytes: &[u8]| {
            if let Some((address, record)) = decode(bytes) {
                entries.insert(address, record);
            }
        };
        let file =
            KeyedFile::open(Arc::clone(disk), &file_name(&settings.name), (KIND, ENTRY_BYTES), &mut found);
        let entries = Arc::new(Mutex::new(entries));
        let (changes, queue) = mpsc::sync_channel(CHANGES_WAITING_MAX);
        let log = (log, program.to_owned());
        let mut keeper = Keeper { entries: Arc::clone(&entries), file: None, settings, log };
        match file {
            Ok(file) => keeper.file = Some(file),
            Err(error) => keeper.give_up(&error),
        }
        keeper.clean_up();
        // Without the thread the cache lives in memory.
        let _ = std::thread::Builder::new().name("screen-cache".into()).spawn(move || keeper.run(&queue));
        Arc::new(Cache { entries, changes })
    }

    /// What is known of `client`.
    #[must_use]
    pub fn find(&self, client: IpAddr) -> Record {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(&client).copied().unwrap_or_default()
    }

    /// Remembers `record` of `client`; never waits for the disk.
    pub fn keep(&self, client: IpAddr, record: Record) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= ENTRIES_MAX && !entries.contains_key(&client) {
            make_room(&mut entries);
        }
        entries.insert(client, record);
        drop(entries);
        let _ = self.changes.try_send(Order::Keep(client, record));
    }

    /// Waits until everything that is known so far is on the disk.
    pub fn flush(&self) {
        let (done, waiting) = mpsc::sync_channel(1);
        if self.changes.send(Order::Flush(done)).is_ok() {
            let _ = waiting.recv();
        }
    }
}

/// Drops the eighth of the entries that expires first.
fn make_room(entries: &mut HashMap<IpAddr, Record>) {
    let mut times: Vec<u32> = entries.values().map(Record::last).collect();
    let cut = times.len() / 8;
    let (_, &mut until, _) = times.select_nth_unstable(cut);
    let mut left = cut;
    entries.retain(|_, record| {
        let goes = left > 0 && record.last() <= until;
        left -= usize::from(goes);
        !goes
    });
}

impl Keeper {
    fn run(mut self, queue: &Receiver<Order>) {
        let mut cleaned = Instant::now();
        let mut dirty = false;
        loop {
            let next_cleanup =
                self.settings.cleanup.map(|interval| interval.saturating_sub(cleaned.elapsed()));
            let patience =
                next_cleanup.unwrap_or(Duration::MAX).min(if dirty { FLUSH } else { Duration::MAX });
            // A year is as good as for ever, and can be added to an instant.
            match queue.recv_timeout(patience.min(Duration::from_secs(31_536_000))) {
                Ok(Order::Keep(client, record)) => {
                    dirty = true;
                    self.append(client, record, queue);
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
            if self.settings.cleanup.is_some_and(|interval| cleaned.elapsed() >= interval) {
                self.clean_up();
                cleaned = Instant::now();
            } else if self.is_bloated() {
                self.rewrite();
            }
        }
    }

    /// Appends a change, and what waits behind it.
    fn append(&mut self, client: IpAddr, record: Record, queue: &Receiver<Order>) {
        let mut batch = vec![encode(client, record)];
        let mut flushes = Vec::new();
        while batch.len() < CHANGES_WAITING_MAX {
            match queue.try_recv() {
                Ok(Order::Keep(client, record)) => batch.push(encode(client, record)),
                Ok(Order::Flush(done)) => flushes.push(done),
                Err(_) => break,
            }
        }
        if let Some(file) = &mut self.file
            && let Err(error) = file.append(batch.iter().map(<[u8; ENTRY_BYTES]>::as_slice))
        {
            self.give_up(&error);
        }
        if !flushes.is_empty() {
            self.sync();
        }
        for done in flushes {
            let _ = done.send(());
        }
    }

    fn sync(&mut self) {
        if let Some(Err(error)) = self.file.as_ref().map(KeyedFile::sync) {
            self.give_up(&error);
        }
    }

    fn is_bloated(&self) -> bool {
        let live = self.entries.lock().unwrap_or_else(PoisonError::into_inner).len() as u64;
        let needed = live.saturating_mul(ENTRY_BYTES as u64 + 4);
        self.file.as_ref().is_some_and(|file| file.bytes() > needed.saturating_mul(2) + GROWTH_BYTES_MAX)
    }

    /// Forgets what expired long ago.
    fn clean_up(&mut self) {
        let now = clock::now().wall.seconds();
        let retention = i64::try_from(self.settings.retention.as_secs()).unwrap_or(i64::MAX);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let before = entries.len();
        entries.retain(|_, record| i64::from(record.last()).saturating_add(retention) > now);
        let retained = entries.len();
        drop(entries);
        self.rewrite();
        let name = &self.settings.name;
        let dropped = before - retained;
        let text = format!("cache {name} full cleanup: retained={retained} dropped={dropped} entries");
        self.log.0.write(&self.log.1, Event::Other(text.into()));
    }

    fn rewrite(&mut self) {
        let Some(file) = &mut self.file else { return };
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<[u8; ENTRY_BYTES]> =
            entries.iter().map(|(client, record)| encode(*client, *record)).collect();
        drop(entries);
        if let Err(error) = file.rewrite(bytes.iter().map(<[u8; ENTRY_BYTES]>::as_slice)) {
            self.give_up(&error);
        }
    }

    /// The file is no use any more: said once.
    fn give_up(&mut self, error: &std::io::Error) {
        self.file = None;
        let name = &self.settings.name;
        let text = format!("cache {name}: {error}; kept in memory only until the next start");
        self.log.0.write(&self.log.1, Message::warning(text));
    }
}

/// A file's name out of a map's: `btree:/var/lib/postfix/postscreen_cache` gives `var_lib_postfix_postscreen_cache`.
fn file_name(map: &str) -> String {
    let path = map.rsplit(':').next().unwrap_or(map);
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = path.trim_start_matches('/').chars().map(plain).collect();
    let start = name.len().saturating_sub(200);
    name.get(start..).unwrap_or_default().to_owned()
}

fn encode(client: IpAddr, record: Record) -> [u8; ENTRY_BYTES] {
    let address = match client {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let mut bytes = [0; ENTRY_BYTES];
    let (front, back) = bytes.split_at_mut(16);
    front.copy_from_slice(&address.octets());
    back.copy_from_slice(&record.encode());
    bytes
}

fn decode(bytes: &[u8]) -> Option<(IpAddr, Record)> {
    let (address, record) = bytes.split_at_checked(16)?;
    let address = Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?);
    Some((IpAddr::V6(address).to_canonical(), Record::decode(record)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Destination, Format};
    use store::RealDisk;

    fn record(until: u32) -> Record {
        let mut bytes = [0; Record::BYTES];
        bytes[..4].copy_from_slice(&until.to_le_bytes());
        Record::decode(&bytes).unwrap()
    }

    fn open(folder: &std::path::Path) -> Arc<Cache> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(folder).unwrap());
        let log = Log::start(&Destination::File(folder.join("log")), Format::Postfix, "mx").unwrap();
        let settings = CacheSettings {
            name: "btree:/var/lib/postfix/postscreen_cache".to_owned(),
            cleanup: None,
            retention: Duration::from_secs(7 * 86_400),
        };
        Cache::open(settings, &disk, log, "postfix/postscreen")
    }

    #[test]
    fn it_outlives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (v4, v6): (IpAddr, IpAddr) = ("192.0.2.2".parse().unwrap(), "2001:db8::2".parse().unwrap());
        let now = u32::try_from(clock::now().wall.seconds()).unwrap();
        let cache = open(folder.path());
        cache.keep(v4, record(now + 1));
        cache.keep(v4, record(now + 100));
        cache.keep(v6, record(now - 60));
        cache.keep("192.0.2.3".parse().unwrap(), record(now - 8 * 86_400));
        cache.flush();
        // Not dropped: as if the machine had been switched off.
        let again = open(folder.path());
        assert_eq!(again.find(v4), record(now + 100));
        assert_eq!(again.find(v6), record(now - 60));
        assert_eq!(again.find("192.0.2.3".parse().unwrap()), Record::default(), "expired long ago");
        drop(cache);
    }

    #[test]
    fn the_first_to_expire_make_room() {
        let mut entries: HashMap<IpAddr, Record> =
            (0..800_u32).map(|n| (IpAddr::from(n.to_be_bytes()), record(n))).collect();
        make_room(&mut entries);
        assert_eq!(entries.len(), 700);
        assert!(entries.contains_key(&IpAddr::from(799_u32.to_be_bytes())));
        assert!(!entries.contains_key(&IpAddr::from(99_u32.to_be_bytes())));
    }

    #[test]
    fn file_names() {
        assert_eq!(file_name("btree:/var/lib/postfix/postscreen_cache"), "var_lib_postfix_postscreen_cache");
        assert_eq!(file_name("proxy:lmdb:/a/../b"), "a____b");
    }
}
