//! What was made of files, kept for as long as they are as they were.
//!
//! Delivery agents ask the tables and accounts for each link of each delivery. Files are looked at each time (device,
//! inode, size, time of the last change of the inode, which nobody but the kernel sets), and read again when one is
//! another. What changed just before it was read may change again within the same tick of the clock: that is read again
//! the next time. So nothing is ever older than the look that asked for it. Doesn't watch anything.

use crate::clock;
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

/// A change within so many seconds is too fresh to be told from the next one: no file system's clock is coarser.
const FRESH_S: i64 = 3;

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
    fn is_fresh(&self, now_s: i64) -> bool {
        // A clock that was put back says nothing either.
        self.changed.0 > now_s - FRESH_S
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
        let now_s = clock::now().wall.seconds();
        let is_sure = !marks.iter().flatten().any(|mark| mark.is_fresh(now_s));
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
