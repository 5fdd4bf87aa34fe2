//! The pid file in the state folder: how `postfix reload` and its kin find the server.
//!
//! Held locked (flock) while the server runs, so that a number left behind by a crash is never signalled. It is the account's
//! that the server runs as: whoever reads it as root takes no other account's process from it, and follows no link.

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::process::Pid;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

pub(super) const NAME: &str = "komainu.pid";
/// Nobody looks for longer.
const LOOKING: Duration = Duration::from_millis(100);

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
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let path = state.join(NAME);
    let opened = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR);
    let named = |error: rustix::io::Errno| {
        let error = io::Error::from(error);
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    };
    let mut file = File::from(opened.map_err(named)?);
    lock(&file)?;
    // Whoever wants to know whether a server runs may look.
    file.set_permissions(PermissionsExt::from_mode(0o644))?;
    file.set_len(0)?;
    file.rewind()?;
    Ok(PidFile { file })
}

/// Whoever only looks holds it for a moment.
fn lock(file: &File) -> io::Result<()> {
    let patience = Instant::now() + LOOKING;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < patience => {
                std::thread::sleep(Duration::from_millis(2));
            }
            other => return Ok(other?),
        }
    }
}

/// Whether a server has this state folder: it is starting, running or ending.
#[must_use]
pub(crate) fn is_held(state: &Path) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(state.join(NAME), flags, Mode::empty()) else { return false };
    matches!(flock(&file, FlockOperation::NonBlockingLockShared), Err(rustix::io::Errno::WOULDBLOCK))
}

/// The server that runs on this state folder: a process of the file's owner.
#[must_use]
pub fn running(state: &Path) -> Option<Pid> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(state.join(NAME), flags, Mode::empty()).ok()?);
    if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return None;
    }
    let owner = file.metadata().ok()?.uid();
    let mut text = String::new();
    file.take(64).read_to_string(&mut text).ok()?;
    let pid = Pid::from_raw(text.trim().parse().ok()?)?;
    (uid_of(pid) == Some(owner)).then_some(pid)
}

/// The real user id of a process.
fn uid_of(pid: Pid) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
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

    #[test]
    fn nothing_is_followed_and_no_other_accounts_process_taken() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("precious"), "root's").unwrap();
        std::os::unix::fs::symlink(at("precious"), at(NAME)).unwrap();
        assert!(hold(folder.path()).is_err());
        assert_eq!(std::fs::read(at("precious")).unwrap(), b"root's");
        std::fs::remove_file(at(NAME)).unwrap();
        let held = hold(folder.path()).unwrap();
        held.announce().unwrap();
        assert!(running(folder.path()).is_some());
        if crate::privileged::rights::is_root() {
            std::os::unix::fs::chown(at(NAME), Some(2001), None).unwrap();
            assert_eq!(running(folder.path()), None, "a process of root's, named by another account");
        }
    }
}
