//! Tables of counters under names out of a log.
//!
//! The hash is keyed with random numbers: whoever sends mail chooses what stands in a log.

use std::collections::HashMap;

/// Something under each name.
#[derive(Clone, Debug)]
pub(super) struct Table<T>(HashMap<Box<[u8]>, T>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table(HashMap::new())
    }
}

impl<T: Default> Table<T> {
    /// What is under `name`; made where nothing is yet.
    pub(super) fn at(&mut self, name: &[u8]) -> &mut T {
        // Twice looked up where it is new, so that what is there costs no copy of its name.
        if !self.0.contains_key(name) {
            self.0.insert(name.into(), T::default());
        }
        self.0.entry(name.into()).or_default()
    }
}

impl<T> Table<T> {
    /// What is under `name`.
    pub(super) fn get(&self, name: &[u8]) -> Option<&T> {
        self.0.get(name)
    }

    /// How many names there are.
    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.0.len()).unwrap_or(u64::MAX)
    }

    /// All, in the order of their names.
    pub(super) fn sorted(&self) -> Vec<(&[u8], &T)> {
        let mut all: Vec<(&[u8], &T)> = self.0.iter().map(|(name, value)| (&**name, value)).collect();
        all.sort_unstable_by_key(|&(name, _)| name);
        all
    }
}
