//! A disk that does the worst that a disk may do: for tests, in this crate and in `sim`.
//!
//! Of each unflushed sector any version written since the last flush may be kept, or none, or a mixture, and
//! its 4 kB block may be spoilt; names that were not flushed come and go; it runs full; reads fail; a flush can
//! fail, and then, as on Linux, the bytes look written, or not, until the machine stops. Everything hangs on
//! one seed. Flushed blocks that aren't written don't change: it doesn't rot by itself ([`SimDisk::damage`]
//! does that on request).

use crate::disk::{Access, Disk, DiskFile};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SECTOR: usize = 512;
/// What a disk writes at once, and may spoil at once.
const BLOCK: usize = 4096;

/// Splitmix64: enough randomness for a disk.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Seeded dice.
    #[must_use]
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end` (0 where `end` is 0).
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll().checked_rem(end).unwrap_or(0)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone, Debug, Default)]
struct Inode {
    /// What readers see.
    seen: Vec<u8>,
    /// What survives.
    durable: Vec<u8>,
    /// Unflushed sectors: what was written there since the last flush, in order.
    dirty: BTreeMap<usize, Vec<Vec<u8>>>,
}

#[derive(Clone, Debug)]
enum Change {
    Link(String, u64),
    Unlink(String),
    Rename(String, String),
}

#[derive(Clone, Debug)]
struct State {
    dice: Dice,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    changes: Vec<Change>,
    directories: BTreeSet<String>,
    capacity: u64,
    /// Operations until the machine stops.
    steps_left: Option<u64>,
    stopped: bool,
    /// Flushes until one fails, and how many fail then.
    failing: Option<(u64, u64)>,
    /// The same for reads.
    failing_reads: Option<(u64, u64)>,
    steps: u64,
}

/// The simulated disk. Clones share it.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    locked: Arc<Mutex<Arc<AtomicBool>>>,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64, capacity: u64) -> SimDisk {
        let state = State {
            dice: Dice::new(seed),
            inodes: BTreeMap::new(),
            next_inode: 1,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            directories: BTreeSet::new(),
            capacity,
            steps_left: None,
            stopped: false,
            failing: None,
            failing_reads: None,
            steps: 0,
        };
        SimDisk { state: Arc::new(Mutex::new(state)), locked: Arc::default() }
    }

    /// Another disk in the same state, from here on with other luck.
    #[must_use]
    pub fn fork(&self, seed: u64) -> SimDisk {
        let fork = SimDisk::new(seed, 0);
        let dice = Dice::new(seed);
        *fork.state() = State { dice, ..self.state().clone() };
        fork
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From the `steps`-th changing operation on, nothing works any more, as if the machine had stopped.
    pub fn stop_after(&self, steps: u64) {
        self.state().steps_left = Some(steps);
    }

    /// Whether it has stopped.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Changing operations so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.state().steps
    }

    /// After `flushes` more flushes, `count` flushes fail; none from now on where `count` is 0.
    pub fn fail_flushes(&self, flushes: u64, count: u64) {
        self.state().failing = (count > 0).then_some((flushes, count));
    }

    /// After `reads` more reads, `count` reads fail; none from now on where `count` is 0.
    pub fn fail_reads(&self, reads: u64, count: u64) {
        self.state().failing_reads = (count > 0).then_some((reads, count));
    }

    /// Changes the size of the disk.
    pub fn resize(&self, capacity: u64) {
        self.state().capacity = capacity;
    }

    /// Bytes taken by files that have names.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.state().used()
    }

    /// The process was killed: the page cache lives on.
    pub fn restart_process(&self) {
        self.state().start();
        self.unlock();
    }

    /// The power went: what was not flushed is lost, kept or torn.
    pub fn lose_power(&self) {
        let mut state = self.state();
        state.lose_power();
        state.start();
        drop(state);
        self.unlock();
    }

    fn unlock(&self) {
        *self.locked.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    /// Flips bits of a file, durably.
    pub fn damage(&self, path: &str, at: usize, length: usize) {
        let mut state = self.state();
        let Some(inode) = state.names.get(path).copied() else { return };
        let Some(inode) = state.inodes.get_mut(&inode) else { return };
        for bytes in [&mut inode.seen, &mut inode.durable] {
            for byte in bytes.iter_mut().skip(at).take(length) {
                *byte ^= 0x5A;
            }
        }
    }

    /// The names of all files.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// A file's bytes, as readers see them.
    #[must_use]
    pub fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path).and_then(|inode| state.inodes.get(inode)).map(|inode| inode.seen.clone())
    }
}

impl State {
    fn used(&self) -> u64 {
        let all: BTreeSet<u64> = self.names.values().copied().collect();
        all.iter().filter_map(|inode| self.inodes.get(inode)).map(|inode| inode.seen.len() as u64).sum()
    }

    /// Counts a changing operation; an error once the machine has stopped.
    fn step(&mut self) -> io::Result<()> {
        self.steps += 1;
        match &mut self.steps_left {
            Some(0) => self.stopped = true,
            Some(left) => *left -= 1,
            None => {}
        }
        self.alive()
    }

    fn alive(&self) -> io::Result<()> {
        if self.stopped { Err(io::Error::other("the machine has stopped")) } else { Ok(()) }
    }

    /// Whether this flush is one of those that fail.
    fn flush_fails(&mut self) -> bool {
        is_due(&mut self.failing)
    }

    /// An error where the machine has stopped or this read is one of those that fail.
    fn readable(&mut self) -> io::Result<()> {
        self.alive()?;
        if is_due(&mut self.failing_reads) { Err(io::Error::other("read failed")) } else { Ok(()) }
    }

    fn start(&mut self) {
        (self.steps_left, self.stopped, self.failing, self.failing_reads) = (None, false, None, None);
    }

    fn lose_power(&mut self) {
        let State { dice, inodes, .. } = self;
        for inode in inodes.values_mut() {
            inode.lose(dice);
            inode.seen.clone_from(&inode.durable);
        }
        let mut skipped: BTreeSet<String> = BTreeSet::new();
        for change in std::mem::take(&mut self.changes) {
            let paths = change.paths();
            // What rests on a change that was lost is lost too.
            if paths.iter().any(|path| skipped.contains(*path)) || self.dice.one_in(2) {
                skipped.extend(paths.into_iter().map(str::to_owned));
            } else {
                change.apply(&mut self.durable_names);
            }
        }
        self.names.clone_from(&self.durable_names);
    }
}

/// Counts down to the operations that fail.
fn is_due(failing: &mut Option<(u64, u64)>) -> bool {
    match failing {
        Some((0, count)) => {
            *count = count.saturating_sub(1);
            if *count == 0 {
                *failing = None;
            }
            true
        }
        Some((before, _)) => {
            *before -= 1;
            false
        }
        None => false,
    }
}

/// The bytes of one sector, as far as the file goes.
fn sector(bytes: &[u8], number: usize) -> &[u8] {
    let rest = bytes.get(number * SECTOR..).unwrap_or_default();
    rest.get(..SECTOR).unwrap_or(rest)
}

/// Puts bytes into a file.
fn put(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    let end = at + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(target) = bytes.get_mut(at..end) {
        target.copy_from_slice(data);
    }
}

impl Inode {
    fn write(&mut self, at: usize, data: &[u8]) {
        put(&mut self.seen, at, data);
        for number in at / SECTOR..(at + data.len()).div_ceil(SECTOR) {
            let version = sector(&self.seen, number).to_vec();
            self.dirty.entry(number).or_default().push(version);
        }
    }

    /// A flush that succeeded.
    fn settle(&mut self) {
        for number in std::mem::take(&mut self.dirty).into_keys() {
            put(&mut self.durable, number * SECTOR, sector(&self.seen, number));
        }
        // What was cut off is gone with the flush.
        self.durable.truncate(self.seen.len());
    }

    /// Lets each unflushed sector become any of its versions, and each block that was being written be spoilt.
    fn lose(&mut self, dice: &mut Dice) {
        let dirty = std::mem::take(&mut self.dirty);
        let blocks: BTreeSet<usize> = dirty.keys().map(|number| number * SECTOR / BLOCK).collect();
        for (number, versions) in dirty {
            let at = number * SECTOR;
            let old = sector(&self.durable, number).to_vec();
            let all = versions.len() as u64 + 1;
            // The last version and the old one are the likely ones.
            let chosen = match dice.below(4) {
                0 => 0,
                1 => all - 1,
                _ => dice.below(all),
            };
            let version = |chosen: u64| {
                let later = chosen.checked_sub(1).and_then(|later| usize::try_from(later).ok());
                later.map_or(Some(&old), |later| versions.get(later)).unwrap_or(&old)
            };
            let mut kept = version(chosen).clone();
            if dice.one_in(5) {
                // Torn: the head is another version's.
                let other = version(dice.below(all));
                let cut = usize::try_from(dice.below(other.len() as u64)).unwrap_or(0);
                put(&mut kept, 0, other.get(..cut).unwrap_or_default());
            }
            put(&mut self.durable, at, &kept);
        }
        for block in blocks {
            if dice.one_in(40) {
                let (from, length) = (dice.below(BLOCK as u64), dice.below(64));
                let from = block * BLOCK + usize::try_from(from).unwrap_or(0);
                for byte in self.durable.iter_mut().take((block + 1) * BLOCK).skip(from) {
                    *byte ^= 0xA5;
                    if dice.below(length + 1) == 0 {
                        break;
                    }
                }
            }
        }
    }
}

impl Change {
    fn paths(&self) -> Vec<&str> {
        match self {
            Change::Link(path, _) | Change::Unlink(path) => vec![path],
            Change::Rename(from, to) => vec![from, to],
        }
    }

    fn apply(self, names: &mut BTreeMap<String, u64>) {
        match self {
            Change::Link(path, inode) => {
                names.insert(path, inode);
            }
            Change::Unlink(path) => {
                names.remove(&path);
            }
            Change::Rename(from, to) => {
                if let Some(inode) = names.remove(&from) {
                    names.insert(to, inode);
                }
            }
        }
    }
}

struct SimFile {
    disk: SimDisk,
    inode: u64,
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.readable()?;
        let bytes = state.inodes.get(&self.inode).map(|inode| inode.seen.as_slice()).unwrap_or_default();
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = bytes.get(from..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let alive = state.step();
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let free = state.capacity.saturating_sub(state.used());
        let State { dice, inodes, .. } = &mut *state;
        let Some(inode) = inodes.get_mut(&self.inode) else { return alive };
        // The machine may stop, or the disk run full, in the middle of a write.
        let mut kept = data;
        if alive.is_err() {
            kept =
                kept.get(..usize::try_from(dice.below(data.len() as u64)).unwrap_or(0)).unwrap_or_default();
        }
        let room = inode.seen.len().saturating_add(usize::try_from(free).unwrap_or(usize::MAX));
        let fits = kept.len().min(room.saturating_sub(at));
        let written = kept.get(..fits).unwrap_or_default();
        if !written.is_empty() {
            inode.write(at, written);
        }
        alive?;
        if fits < data.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn size(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.readable()?;
        Ok(state.inodes.get(&self.inode).map_or(0, |inode| inode.seen.len() as u64))
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let alive = state.step();
        if let Some(inode) = state.inodes.get_mut(&self.inode) {
            inode.seen.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        }
        alive
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let alive = state.step();
        let fails = alive.is_err() || state.flush_fails();
        let State { dice, inodes, .. } = &mut *state;
        let Some(inode) = inodes.get_mut(&self.inode) else { return alive };
        if fails {
            // Part of it may have got through; and the kernel forgets that the rest is dirty, and may forget
            // what it said.
            let written: Vec<usize> = inode.dirty.keys().copied().collect();
            inode.lose(dice);
            alive?;
            let Inode { seen, durable, .. } = inode;
            for number in written {
                if dice.one_in(8) {
                    put(seen, number * SECTOR, sector(durable, number));
                }
            }
            return Err(io::Error::other("flush failed"));
        }
        inode.settle();
        Ok(())
    }
}

impl SimDisk {
    fn file(&self, inode: u64) -> Arc<dyn DiskFile> {
        Arc::new(SimFile { disk: self.clone(), inode })
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.changes.push(change.clone());
        change.apply(&mut state.names);
        Ok(())
    }
}

fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

impl Disk for SimDisk {
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if state.used() >= state.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = state.next_inode;
        state.next_inode += 1;
        state.inodes.insert(inode, Inode::default());
        drop(state);
        self.change(Change::Link(path.to_owned(), inode))?;
        Ok(self.file(inode))
    }

    fn open(&self, path: &str, _access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.readable()?;
        let inode = state.names.get(path).copied().ok_or(io::ErrorKind::NotFound)?;
        drop(state);
        Ok(self.file(inode))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        if !self.state().names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change(Change::Unlink(path.to_owned()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if !self.state().names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change(Change::Rename(from.to_owned(), to.to_owned()))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.readable()?;
        let inside = state.names.keys().filter(|path| directory_of(path) == directory);
        Ok(inside.map(|path| path.rsplit('/').next().unwrap_or(path).to_owned()).collect())
    }

    fn make_directory(&self, directory: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.directories.insert(directory.to_owned());
        Ok(())
    }

    fn sync_directory(&self, directory: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if state.flush_fails() {
            return Err(io::Error::other("flush failed"));
        }
        // Only what concerns this directory, or what such a change rests on.
        let mut wanted: BTreeSet<String> = BTreeSet::new();
        let mut later = Vec::new();
        let mut now = Vec::new();
        for change in std::mem::take(&mut state.changes).into_iter().rev() {
            let paths = change.paths();
            if paths.iter().any(|path| directory_of(path) == directory || wanted.contains(*path)) {
                wanted.extend(paths.into_iter().map(str::to_owned));
                now.push(change);
            } else {
                later.push(change);
            }
        }
        later.reverse();
        state.changes = later;
        for change in now.into_iter().rev() {
            change.apply(&mut state.durable_names);
        }
        Ok(())
    }

    fn lock(&self, _path: &str) -> io::Result<Box<dyn Any + Send + Sync>> {
        let holder = Arc::clone(&self.locked.lock().unwrap_or_else(PoisonError::into_inner));
        if holder.swap(true, Ordering::SeqCst) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Holder(holder)))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.state();
        Ok(state.capacity.saturating_sub(state.used()))
    }

    fn random(&self) -> u64 {
        self.state().dice.roll()
    }
}

struct Holder(Arc<AtomicBool>);

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}
