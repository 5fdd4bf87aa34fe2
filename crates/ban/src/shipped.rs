//! Filters that come with Komainu, for jails whose filter fail2ban doesn't have: T2.18.
//!
//! A file of the administrator's always wins.

use crate::layers::Files;
use std::path::{Path, PathBuf};

/// Their names and texts.
const FILTERS: [(&str, &str); 1] =
    [("postfix-flood-attack", include_str!("shipped/postfix-flood-attack.conf"))];

/// A folder, with the shipped filters where it has none.
pub(crate) struct WithShipped<'f>(pub(crate) &'f dyn Files);

/// Whether a filter comes with Komainu.
pub(crate) fn has(name: &str) -> bool {
    FILTERS.iter().any(|(known, _)| *known == name)
}

impl Files for WithShipped<'_> {
    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        let found = self.0.read(path)?;
        let is_conf = path.extension().is_some_and(|extension| extension == "conf");
        let shipped = || {
            let stem = path.file_stem().filter(|_| is_conf)?;
            let (_, text) = FILTERS.iter().find(|(name, _)| Path::new(name).as_os_str() == stem)?;
            Some((*text).to_owned())
        };
        Ok(found.or_else(shipped))
    }

    fn list(&self, folder: &Path) -> Vec<PathBuf> {
        self.0.list(folder)
    }
}
