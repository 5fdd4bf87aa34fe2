//! Debian's fail2ban beside us, where it is installed: what it reads, and what it finds.
#![expect(
    clippy::print_stderr,
    clippy::expect_used,
    reason = "a missing peer is said aloud; a test may fail"
)]

mod actions;
mod all_filters;
mod annotated;
mod expressions;
mod filters;
mod folder;
mod own_samples;
mod samples;

use ban::layers::Files;
use std::path::{Path, PathBuf};

/// The disk.
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    fn list(&self, folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
    }
}

/// Where Debian keeps the stock files; `None`, said aloud, where there is no fail2ban.
fn stock(test: &str) -> Option<PathBuf> {
    let folder = PathBuf::from("/etc/fail2ban");
    let program = std::process::Command::new("fail2ban-client").arg("--version").output();
    if program.is_ok() && folder.join("jail.conf").exists() {
        return Some(folder);
    }
    eprintln!("{test}: skipped, no fail2ban");
    assert!(std::env::var_os("CI").is_none(), "{test}: no fail2ban");
    None
}

/// A folder with the stock files, and others on top.
fn copied(stock: &Path, files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let copied =
        std::process::Command::new("cp").arg("-r").arg(stock).arg(folder.path().join("fail2ban")).status();
    assert!(copied.is_ok_and(|status| status.success()), "cp");
    for (name, text) in files {
        let path = folder.path().join("fail2ban").join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    folder
}
