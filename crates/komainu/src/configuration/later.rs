//! Tables that the conversation asks by itself, which are compiled after its settings.
//!
//! The settings hold functions; what they look into is filled in once the snapshot is there, and is always
//! the newest one.

use crate::live::Live;
use proto::smtp::{TextMap, TextTest};
use std::sync::{Arc, OnceLock};
use tables::TableId;

/// The tables to come.
#[derive(Clone, Default)]
pub struct Later(Arc<OnceLock<Arc<Live>>>);

impl Later {
    /// They are here.
    pub fn fill(&self, live: &Arc<Live>) {
        // A second filling would be the same configuration's.
        let _ = self.0.set(Arc::clone(live));
    }

    /// The first value that `tables` have for a text; nothing where there are no tables.
    #[must_use]
    pub(super) fn first(&self, tables: &[TableId]) -> Option<TextMap> {
        if tables.is_empty() {
            return None;
        }
        let (later, tables) = (self.clone(), tables.to_vec());
        Some(Arc::new(move |text| {
            let snapshot = later.0.get()?.snapshot();
            let hit = |id: &TableId| Some(snapshot.table(*id).lookup(text).ok()??.value.into_owned());
            tables.iter().find_map(hit)
        }))
    }

    /// Whether one of `tables` has a text.
    #[must_use]
    pub(super) fn any(&self, tables: &[TableId]) -> Option<TextTest> {
        let first = self.first(tables)?;
        Some(Arc::new(move |text| first(text).is_some()))
    }
}
