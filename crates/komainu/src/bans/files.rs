//! fail2ban's files from the disk, and the logs that a pattern names.

use super::tail::Opener;
use crate::configuration::open_source;
use ban::layers::Files;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The disk.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

/// The longest file that is read: fail2ban's own have some 50 kB at most.
const FILE_BYTES_MAX: u64 = 16 << 20;

fn text(opened: io::Result<File>) -> Result<Option<String>, String> {
    let mut bytes = Vec::new();
    match opened.and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

impl Files for Disk {
    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        text(open_source(path))
    }

    fn list(&self, folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
    }
}

/// The disk, by whoever may open what this process may not: a jail.local of root's that holds passwords.
pub(crate) struct Through<'a>(pub(crate) &'a dyn Opener);

impl Files for Through<'_> {
    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        text(self.0.open(path))
    }

    fn list(&self, folder: &Path) -> Vec<PathBuf> {
        Disk.list(folder)
    }
}

/// The existing files that a pattern with `*`, `?` and `[…]` names.
#[must_use]
pub fn expand(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        if !part.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let folders = std::mem::take(&mut found);
        for folder in folders {
            let names = Disk.list(&folder);
            let fits = |path: &PathBuf| {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                name.is_some_and(|name| !name.starts_with('.') && ban::jails::fits(part, &name))
            };
            found.extend(names.into_iter().filter(fits));
        }
    }
    found.retain(|path| path.exists());
    found.sort();
    found
}
