//! What was made of files, kept for as long as they are as they were.
//!
//! Delivery agents ask the tables and accounts for each link of each delivery. Files are looked at each time (device,
//! inode, size, time of the last change of the inode, which nobody but the kernel sets), and read again when one is
//! another. What changed just before it was read may change again within the same tick of the clock: that is read again
//! the next time. So nothing is ever older than the look that asked for it. Doesn't watch anything.

use crate::clock;
use mail::Wall;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// A file as it was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A change within so many microseconds is too fresh to be told from the next one: no file system's clock is coarser.
const FRESH_US: i64 = 3_000_000;
/// The same where the clock has shown that it knows more than milliseconds: it ticks with the kernel's, every 10 ms at
/// most. A table that was just made isn't read anew for each message of the next seconds.
const FRESH_AND_FINE_US: i64 = 100_000;

impl Mark {
    fn of(path: &PathBuf) -> Option<Mark> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Mark {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Whether the file could change once more and look the same.
    fn is_fresh(&self, now: Wall) -> bool {
        let (seconds, nanos) = self.changed;
        let is_fine = nanos % 1_000_000 != 0;
        let changed_us = seconds.saturating_mul(1_000_000).saturating_add(nanos / 1000);
        // A clock that was put back says nothing either.
        changed_us > now.0.saturating_sub(if is_fine { FRESH_AND_FINE_US } else { FRESH_US })
    }
}

#[derive(Debug)]
struct Held<T> {
    marks: Vec<Option<Mark>>,
    made: Arc<T>,
    is_sure: bool,
}

/// Something made of files.
#[derive(Debug)]
pub(super) struct Kept<T>(Mutex<Option<Held<T>>>);

impl<T> Default for Kept<T> {
    fn default() -> Kept<T> {
        Kept(Mutex::new(None))
    }
}

impl<T> Kept<T> {
    /// What `make` makes of the files at `paths`: made before, where they are as they were then.
    pub(super) fn current(&self, paths: &[PathBuf], make: impl FnOnce() -> T) -> Arc<T> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let marks: Vec<Option<Mark>> = paths.iter().map(Mark::of).collect();
        if let Some(held) = held.as_ref()
            && held.is_sure
            && held.marks == marks
        {
            return Arc::clone(&held.made);
        }
        let now = clock::now().wall;
        let is_sure = !marks.iter().flatten().any(|mark| mark.is_fresh(now));
        let made = Arc::new(make());
        *held = Some(Held { marks, made: Arc::clone(&made), is_sure });
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::fs;
    use std::time::{Duration, SystemTime};

    #[test]
    fn files_are_read_again_when_they_are_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table");
        let kept = Kept::default();
        let reads = Cell::new(0);
        let look = || {
            let read = || {
                reads.set(reads.get() + 1);
                fs::read_to_string(&path).unwrap_or_default()
            };
            kept.current(std::slice::from_ref(&path), read).as_str().to_owned()
        };
        assert_eq!(look(), "");
        // A file that isn't there is one state of it.
        assert_eq!((look(), reads.get()), (String::new(), 1));
        // Of the same size, within one tick of the clock, with its time put back: seen each time.
        for round in 0..50 {
            let text = format!("{:02}", round % 10 + 10);
            fs::write(&path, &text).unwrap();
            let old = SystemTime::now() - Duration::from_secs(3600);
            fs::File::open(&path).unwrap().set_modified(old).unwrap();
            assert_eq!(look(), text);
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(look(), "");
    }

    #[test]
    fn how_long_a_change_is_fresh() {
        let check = |changed: (i64, i64), now_us: i64, expect: bool| {
            let mark = Mark { device: 1, inode: 1, size: 1, modified: (0, 0), changed };
            assert_eq!(mark.is_fresh(Wall(now_us)), expect, "{changed:?} at {now_us}");
        };
        // Whole seconds or milliseconds: who knows how coarse that clock is.
        check((100, 0), 102_900_000, true);
        check((100, 0), 103_000_000, false);
        check((100, 7_000_000), 103_006_999, true);
        // A clock that ticks finely.
        check((100, 7_123_456), 100_107_122, true);
        check((100, 7_123_456), 100_107_123, false);
        check((100, 7_123_456), 90_000_000, true);
    }

    #[test]
    fn what_is_old_is_read_once() {
        let old = PathBuf::from("/usr/share");
        let kept = Kept::default();
        let reads = Cell::new(0);
        for _ in 0..5 {
            kept.current(std::slice::from_ref(&old), || reads.set(reads.get() + 1));
        }
        assert_eq!(reads.get(), 1);
    }
}
