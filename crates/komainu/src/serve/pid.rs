//! The pid file in the state folder: how `postfix reload` and its kin find the server.
//!
//! Held locked (flock) while the server runs, so that a number left behind by a crash is never signalled.

use rustix::fs::{FlockOperation, flock};
use rustix::process::Pid;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const NAME: &str = "komainu.pid";

/// The server's own hold on the file.
pub struct PidFile {
    file: File,
}

impl PidFile {
    /// Writes this process's number. From now on signals come: first there must be somebody who takes them.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn announce(&self) -> io::Result<()> {
        writeln!(&self.file, "{}", std::process::id())
    }
}

/// Keeps other servers from this state folder; the file is empty until [`PidFile::announce`].
///
/// # Errors
/// When the file can't be written, or another server holds it.
pub fn hold(state: &Path) -> io::Result<PidFile> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(state.join(NAME))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    file.set_len(0)?;
    file.rewind()?;
    Ok(PidFile { file })
}

/// The server that runs on this state folder.
#[must_use]
pub fn running(state: &Path) -> Option<Pid> {
    let mut file = File::open(state.join(NAME)).ok()?;
    if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return None;
    }
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_found_while_it_runs() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(running(folder.path()), None);
        let held = hold(folder.path()).unwrap();
        assert_eq!(running(folder.path()), None, "it takes no signals yet");
        held.announce().unwrap();
        let pid = running(folder.path()).unwrap();
        assert_eq!(pid.as_raw_nonzero().get(), i32::try_from(std::process::id()).unwrap());
        assert!(hold(folder.path()).is_err());
        drop(held);
        assert_eq!(running(folder.path()), None);
    }
}
