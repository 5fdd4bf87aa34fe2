//! The tables as they stand now: one snapshot for all sessions, swapped whole when files have changed.
//!
//! A session takes the newest snapshot before each decision; a decision in progress keeps the one it
//! began with. What a broken or suddenly much shorter file leads to is `tables`' to say. T1.7.

use config::Diagnostic;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use tables::{Catalogue, Snapshot, Sources};

/// The tables of one configuration.
pub struct Live {
    catalogue: Catalogue,
    current: RwLock<Arc<Snapshot>>,
}

impl Live {
    /// Compiles every table of `catalogue`.
    #[must_use]
    pub fn compile(catalogue: Catalogue, sources: &dyn Sources) -> (Live, Vec<Diagnostic>) {
        let (snapshot, found) = Snapshot::compile(&catalogue, sources);
        (Live { catalogue, current: RwLock::new(Arc::new(snapshot)) }, found)
    }

    /// Compiles every table of `catalogue` after a reload: what was good before stays good where its source is
    /// broken now.
    #[must_use]
    pub fn compile_after(&self, catalogue: Catalogue, sources: &dyn Sources) -> (Live, Vec<Diagnostic>) {
        let (snapshot, found) = Snapshot::compile_after(&self.snapshot(), &catalogue, sources);
        (Live { catalogue, current: RwLock::new(Arc::new(snapshot)) }, found)
    }

    /// The tables.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Every file that a table is made of.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.catalogue.paths()
    }

    /// Compiles the tables made of `changed` anew and puts them in force together.
    pub fn recompile(&self, changed: &[PathBuf], sources: &dyn Sources) -> Vec<Diagnostic> {
        let before = self.snapshot();
        let (after, found) = before.recompile(&self.catalogue, changed, sources);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(after);
        found
    }
}
