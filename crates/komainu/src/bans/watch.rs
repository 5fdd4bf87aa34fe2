//! Which logs were written to: inotify where the process may watch, a look every now and then elsewhere.

use inotify::{Inotify, WatchDescriptor, WatchMask};
use rustix::fd::{AsFd, BorrowedFd};
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

/// How often events are taken at once.
const ROUNDS_MAX: usize = 64;

/// The watch.
pub(super) struct Watch {
    inotify: Inotify,
    names: HashMap<WatchDescriptor, usize>,
    /// Those that can't be watched.
    pub(super) polled: HashSet<usize>,
}

impl Watch {
    pub(super) fn new() -> io::Result<Watch> {
        Ok(Watch { inotify: Inotify::init()?, names: HashMap::new(), polled: HashSet::new() })
    }

    /// Watches the file of that number from now on, and the one before no more where it is another.
    pub(super) fn add(&mut self, path: &Path, number: usize) {
        match self.inotify.watches().add(path, WatchMask::MODIFY) {
            Ok(descriptor) => {
                self.names.insert(descriptor, number);
                self.polled.remove(&number);
            }
            Err(_) => drop(self.polled.insert(number)),
        }
    }

    /// The numbers of those that were written to, without waiting.
    pub(super) fn heard(&mut self, found: &mut HashSet<usize>) {
        let mut buffer = [0; 4096];
        // The descriptor doesn't block; who writes without end is heard again next time.
        for _ in 0..ROUNDS_MAX {
            let Ok(events) = self.inotify.read_events(&mut buffer) else { return };
            found.extend(events.filter_map(|event| self.names.get(&event.wd).copied()));
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
