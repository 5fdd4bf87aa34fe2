//! fail2ban's files from the disk, and the logs that a pattern names.

use ban::layers::Files;
use std::io;
use std::path::{Path, PathBuf};

/// The disk.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    fn list(&self, folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
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
