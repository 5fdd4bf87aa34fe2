//! The one thing the address classes ask of the world: a table's answer.
//!
//! A trait, so that the policy engine can answer from its facts (and stop where a fact is missing), and the
//! delivery agents from the tables themselves.

use tables::{LookupError, Snapshot, TableId};

/// Somebody who looks keys up.
pub trait Lookup {
    /// What stops the search: a missing fact, a broken table.
    type Stop: From<LookupError>;

    /// The value for `key` in `table`.
    ///
    /// # Errors
    /// Where the table can't answer (now).
    fn lookup(&self, table: TableId, key: &str) -> Result<Option<String>, Self::Stop>;

    /// The tables, for match lists.
    fn snapshot(&self) -> &Snapshot;
}

impl Lookup for Snapshot {
    type Stop = LookupError;

    fn lookup(&self, table: TableId, key: &str) -> Result<Option<String>, LookupError> {
        Ok(self.table(table).lookup(key)?.map(|hit| hit.value.into_owned()))
    }

    fn snapshot(&self) -> &Snapshot {
        self
    }
}
