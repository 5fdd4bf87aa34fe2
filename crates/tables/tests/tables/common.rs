//! Sources in memory, a seeded generator of numbers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tables::{SourceError, Sources};

/// Files that a test holds.
#[derive(Default)]
pub(crate) struct Memory(RefCell<BTreeMap<PathBuf, Vec<u8>>>, RefCell<BTreeMap<PathBuf, u64>>);

impl Memory {
    pub(crate) fn with(path: &str, text: impl Into<Vec<u8>>) -> Memory {
        let memory = Memory::default();
        memory.save(path, text);
        memory
    }

    pub(crate) fn save(&self, path: &str, text: impl Into<Vec<u8>>) {
        self.0.borrow_mut().insert(path.into(), text.into());
    }

    /// Says when the file was saved, in seconds.
    pub(crate) fn date(&self, path: &str, saved: u64) {
        self.1.borrow_mut().insert(path.into(), saved);
    }

    pub(crate) fn remove(&self, path: &str) {
        self.0.borrow_mut().remove(Path::new(path));
    }
}

impl Sources for Memory {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        self.0.borrow().get(path).cloned().ok_or_else(|| SourceError::Missing(path.to_owned()))
    }

    fn modified(&self, path: &Path) -> Option<SystemTime> {
        let saved = *self.1.borrow().get(path)?;
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(saved))
    }

    fn environment(&self) -> Vec<(String, String)> {
        vec![("path".to_owned(), "lower".to_owned()), ("HOME".to_owned(), "/root".to_owned())]
    }
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.draw() % u64::try_from(bound.max(1)).expect("fits")).expect("fits")
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    pub(crate) fn text(&mut self, alphabet: &[&str], length_max: usize) -> String {
        (0..self.below(length_max + 1)).map(|_| self.pick(alphabet)).collect()
    }
}
