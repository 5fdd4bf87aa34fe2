//! The allow cache: until when each client has passed which test, in memory, and in a file that outlives restarts.
//!
//! Sessions read and write memory only; [`crate::kept_rows`] keeps the file, and cleans it
//! (`postscreen_cache_cleanup_interval`). A client whom a crash loses is tested once more. Memory is bounded: beyond
//! [`ENTRIES_MAX`] the entries that expire first go.

use crate::configuration::CacheSettings;
use crate::kept_rows::{Keeper, Kept, Named, Rows};
use crate::log::Log;
use mail::Wall;
use policy::eviction::forget_lowest;
use proto::screen::Record;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::Disk;

/// Clients that are remembered: some 15 MB.
const ENTRIES_MAX: usize = 200_000;
/// An address and its record.
const ENTRY_BYTES: usize = 16 + Record::BYTES;
/// The entries' layout.
const KIND: u32 = 0x6b73_0001;

type Entries = Arc<Mutex<HashMap<IpAddr, Record>>>;

/// One cache.
pub struct Cache {
    entries: Entries,
    keeper: Keeper,
}

/// The entries as the file keeps them.
struct Clients {
    entries: Entries,
    retention: Duration,
}

impl Rows for Clients {
    const LAYOUT: (u32, usize) = (KIND, ENTRY_BYTES);

    fn restore(&self, row: &[u8]) {
        if let Some((address, record)) = decode(row) {
            lock(&self.entries).insert(address, record);
        }
    }

    fn count(&self) -> usize {
        lock(&self.entries).len()
    }

    fn encoded(&self) -> Vec<u8> {
        lock(&self.entries).iter().flat_map(|(client, record)| encode(*client, *record)).collect()
    }

    fn clean_up(&self, now: Wall) -> (usize, usize) {
        let retention = i64::try_from(self.retention.as_secs()).unwrap_or(i64::MAX);
        let mut entries = lock(&self.entries);
        let before = entries.len();
        entries.retain(|_, record| i64::from(record.last()).saturating_add(retention) > now.seconds());
        (entries.len(), before - entries.len())
    }
}

fn lock(entries: &Entries) -> MutexGuard<'_, HashMap<IpAddr, Record>> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cache {
    /// Opens the cache on `disk`. A file that can't be had costs the memory of restarts only, and is said.
    #[must_use]
    pub fn open(settings: CacheSettings, disk: &Arc<dyn Disk>, log: Log, program: &str) -> Arc<Cache> {
        let entries = Entries::default();
        let rows = Clients { entries: Arc::clone(&entries), retention: settings.retention };
        let file = file_name(&settings.name);
        let named = Named { name: settings.name, log: (log, program.to_owned()), cleanup: settings.cleanup };
        let mut kept = Kept::in_memory(rows, named);
        kept.read(Ok(Arc::clone(disk)), &file);
        kept.clean_up();
        Arc::new(Cache { entries, keeper: kept.start("screen-cache") })
    }

    /// What is known of `client`.
    #[must_use]
    pub fn find(&self, client: IpAddr) -> Record {
        lock(&self.entries).get(&client).copied().unwrap_or_default()
    }

    /// Remembers `record` of `client`; never waits for the disk.
    pub fn keep(&self, client: IpAddr, record: Record) {
        let mut entries = lock(&self.entries);
        if entries.len() >= ENTRIES_MAX && !entries.contains_key(&client) {
            make_room(&mut entries);
        }
        entries.insert(client, record);
        drop(entries);
        self.keeper.keep(encode(client, record).to_vec());
    }

    /// Waits until everything that is known so far is on the disk.
    pub fn flush(&self) {
        self.keeper.flush();
    }
}

/// Drops the eighth of the entries that expires first.
fn make_room(entries: &mut HashMap<IpAddr, Record>) {
    let count = entries.len() / 8;
    forget_lowest(entries, count, Record::last);
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
    use crate::clock;
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
