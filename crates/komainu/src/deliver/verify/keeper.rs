//! What of probed addresses outlives a restart (`address_verify_map`); with `address_verify_cache_cleanup_interval` it is
//! cleaned. What a crash loses is probed once more. See [`crate::kept_rows`].

use super::{Probing, lock};
use crate::kept_rows::{Keeper, Kept, Named, Rows};
use crate::log::Log;
use mail::Wall;
use policy::verification::{Limits, Memory, ROW_BYTES, Row};
use std::path::Path;
use std::sync::{Arc, Mutex};
use store::{Disk, RealDisk};

struct Addresses {
    memory: Arc<Mutex<Memory>>,
    limits: Limits,
}

impl Rows for Addresses {
    const LAYOUT: (u32, usize) = (0x6b76_0001, ROW_BYTES);

    fn restore(&self, row: &[u8]) {
        if let Some((address, row)) = Row::decode(row) {
            lock(&self.memory).restore(address, row);
        }
    }

    fn count(&self) -> usize {
        lock(&self.memory).len()
    }

    fn encoded(&self) -> Vec<u8> {
        lock(&self.memory).encoded().concat()
    }

    fn clean_up(&self, now: Wall) -> (usize, usize) {
        lock(&self.memory).clean_up(&self.limits, now)
    }
}

/// Takes in what the file holds, and keeps what comes.
pub(super) fn open(
    probing: &Probing,
    folder: &Path,
    memory: &Arc<Mutex<Memory>>,
    log: (Log, String),
) -> Keeper {
    let name = if probing.map.is_empty() { "internal:verify".to_owned() } else { probing.map.clone() };
    let rows = Addresses { memory: Arc::clone(memory), limits: probing.limits.clone() };
    let mut kept = Kept::in_memory(rows, Named { name, log, cleanup: probing.cleanup });
    if !probing.map.is_empty() {
        let disk = RealDisk::new(folder).map(|disk| Arc::new(disk) as Arc<dyn Disk>);
        kept.read(disk, "addresses");
    }
    // verify(8) does so when it starts, unless it never does.
    if probing.cleanup.is_some() {
        kept.clean_up();
    }
    kept.start("verify-cache")
}
