//! A disk that does the worst that a disk may do: for tests, in this crate and in `sim`.
//!
//! Unflushed writes are lost or kept sector by sector, a sector may be torn; names that were not flushed come
//! and go; it runs full; a flush can fail, and then, as on Linux, the bytes look written until the machine
//! stops. Everything hangs on one seed. It doesn't reorder flushed writes and doesn't rot by itself
//! ([`SimDisk::damage`] does that on request).

use crate::disk::{Access, Disk, DiskFile};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SECTOR: usize = 512;

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
    /// Unflushed writes: where and how long.
    pending: Vec<(usize, usize)>,
}

#[derive(Clone, Debug)]
enum Change {
    Link(String, u64),
    Unlink(String),
    Rename(String, String),
}

#[derive(Debug)]
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
            steps: 0,
        };
        SimDisk { state: Arc::new(Mutex::new(state)), locked: Arc::default() }
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

    /// After `flushes` more flushes, `count` flushes fail.
    pub fn fail_flushes(&self, flushes: u64, count: u64) {
        self.state().failing = Some((flushes, count));
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
        let mut state = self.state();
        (state.steps_left, state.stopped, state.failing) = (None, false, None);
        drop(state);
        self.unlock();
    }

    /// The power went: what was not flushed is lost, kept or torn.
    pub fn lose_power(&self) {
        let mut state = self.state();
        state.lose_power();
        (state.steps_left, state.stopped, state.failing) = (None, false, None);
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
        match &mut self.failing {
            Some((0, count)) => {
                *count -= 1;
                if *count == 0 {
                    self.failing = None;
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

impl Inode {
    /// Lets each unflushed sector be kept, lost or torn.
    fn lose(&mut self, dice: &mut Dice) {
        for (at, length) in std::mem::take(&mut self.pending) {
            let end = at + length;
            let mut from = at;
            while from < end {
                let to = end.min((from / SECTOR + 1) * SECTOR);
                let kept = match dice.below(5) {
                    0 | 1 => 0,
                    2 | 3 => to - from,
                    _ => usize::try_from(dice.below((to - from) as u64)).unwrap_or(0),
                };
                // A later write to the same place may be what is seen: that is a torn sector, too.
                self.keep(from, from + kept);
                from = to;
            }
        }
    }

    fn keep(&mut self, from: usize, to: usize) {
        let to = to.min(self.seen.len());
        if from >= to {
            return;
        }
        if self.durable.len() < to {
            self.durable.resize(to, 0);
        }
        if let (Some(target), Some(source)) = (self.durable.get_mut(from..to), self.seen.get(from..to)) {
            target.copy_from_slice(source);
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
        let state = self.disk.state();
        state.alive()?;
        let bytes = state.inodes.get(&self.inode).map(|inode| inode.seen.as_slice()).unwrap_or_default();
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = bytes.get(from..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
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
        let end = at + written.len();
        if !written.is_empty() {
            if inode.seen.len() < end {
                inode.seen.resize(end, 0);
            }
            if let Some(target) = inode.seen.get_mut(at..end) {
                target.copy_from_slice(written);
            }
            inode.pending.push((at, written.len()));
        }
        alive?;
        if fits < data.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn size(&self) -> io::Result<u64> {
        let state = self.disk.state();
        state.alive()?;
        Ok(state.inodes.get(&self.inode).map_or(0, |inode| inode.seen.len() as u64))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let alive = state.step();
        let fails = alive.is_err() || state.flush_fails();
        let State { dice, inodes, .. } = &mut *state;
        let Some(inode) = inodes.get_mut(&self.inode) else { return alive };
        if fails {
            // Part of it may have got through; and the kernel forgets that the rest is dirty.
            inode.lose(dice);
            alive?;
            return Err(io::Error::other("flush failed"));
        }
        inode.pending.clear();
        inode.durable.clone_from(&inode.seen);
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
        let state = self.state();
        state.alive()?;
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
        let state = self.state();
        state.alive()?;
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
        // All changes up to the last one that touches this directory: a journal commits in order.
        let touches = |change: &Change| change.paths().iter().any(|path| directory_of(path) == directory);
        let Some(last) = state.changes.iter().rposition(touches) else { return Ok(()) };
        let later = state.changes.split_off(last + 1);
        let earlier = std::mem::replace(&mut state.changes, later);
        for change in earlier {
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
