//! All tables, compiled: immutable, shared, swapped whole.

use crate::catalogue::{Catalogue, TableId};
use crate::sources::Sources;
use crate::table::Table;
use config::Diagnostic;
use std::path::PathBuf;
use std::sync::Arc;

/// Every table of a [`Catalogue`], compiled.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    tables: Vec<Arc<Table>>,
}

static UNKNOWN: Table = Table { name: String::new() };

impl Snapshot {
    /// Compiles every table of `catalogue`. One that can't be read is broken: its lookups fail.
    #[must_use]
    pub fn compile(_catalogue: &Catalogue, _sources: &dyn Sources) -> (Snapshot, Vec<Diagnostic>) {
        (Snapshot::default(), Vec::new())
    }

    /// As [`Snapshot::compile`] at a reload: a table that is broken now keeps what `previous` had.
    #[must_use]
    pub fn compile_after(
        _previous: &Snapshot,
        catalogue: &Catalogue,
        sources: &dyn Sources,
    ) -> (Snapshot, Vec<Diagnostic>) {
        Snapshot::compile(catalogue, sources)
    }

    /// Compiles anew what stands in the files `changed`, and shares the rest.
    #[must_use]
    pub fn recompile(
        &self,
        catalogue: &Catalogue,
        _changed: &[PathBuf],
        sources: &dyn Sources,
    ) -> (Snapshot, Vec<Diagnostic>) {
        Snapshot::compile(catalogue, sources)
    }

    /// The table `id`. One that was interned after this snapshot was made is broken.
    #[must_use]
    pub fn table(&self, id: TableId) -> &Table {
        usize::try_from(id.0).ok().and_then(|index| self.tables.get(index)).map_or(&UNKNOWN, |table| table)
    }
}
