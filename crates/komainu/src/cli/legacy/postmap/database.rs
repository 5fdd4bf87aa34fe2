//! Writing a table's file: a temporary file beside it, flushed, renamed. No reader sees half of it.
//!
//! As Postfix: a new file takes the permissions of its source (`-p`: 0644), an old one keeps its own, and what a
//! user owns is written with that user's rights (`-o`: with one's own). The old file is locked meanwhile by fcntl(2),
//! as Postfix's postmap does, so that two changes don't lose each other's rows.

use super::Fatal;
use super::options::Options;
use crate::strerror::strerror;
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Gid, Uid};
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// A database file that is about to be replaced, and the one that will take its place.
pub(super) struct Target {
    path: PathBuf,
    old: Option<File>,
    mode: u32,
    temporary: PathBuf,
    new: File,
}

impl Target {
    /// Locks the file at `path`, where there is one, and makes one beside it. `source` is the text's.
    pub(super) fn open(path: PathBuf, source: Option<&Metadata>, options: &Options) -> Result<Target, Fatal> {
        let failed =
            |error: io::Error| Fatal(format!("open database {}: {}", path.display(), strerror(&error)));
        let old = lock(&path).map_err(failed)?;
        let mode = match &old {
            Some(old) => old.metadata().map_err(failed)?.mode() & 0o7777,
            None => {
                let inherited = source.filter(|_| !options.has('p'));
                inherited.map_or(0o644, |source| (source.mode() | 0o200) & 0o666 & !umask())
            }
        };
        let (temporary, new) = beside(&path).map_err(failed)?;
        Ok(Target { path, old, mode, temporary, new })
    }

    pub(super) fn is_there(&self) -> bool {
        self.old.is_some()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts `bytes` into the file's place.
    pub(super) fn replace(mut self, bytes: &[u8]) -> Result<(), Fatal> {
        let done =
            self.fill(bytes).and_then(|()| std::fs::rename(&self.temporary, &self.path)).and_then(|()| {
                let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
                File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
            });
        done.map_err(|error| Fatal(format!("write {}: {}", self.path.display(), strerror(&error))))
    }

    fn fill(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.new.write_all(bytes)?;
        if let Some(old) = &self.old {
            let (old, new) = (old.metadata()?, self.new.metadata()?);
            if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                fchown(&self.new, Some(old.uid()), Some(old.gid()))?;
            }
        }
        self.new.set_permissions(Permissions::from_mode(self.mode))?;
        self.new.sync_all()
    }
}

impl Drop for Target {
    /// Takes the temporary file away where it hasn't got the other's name.
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.temporary));
    }
}

/// The file at `path` for us alone; none where there is none.
fn lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let old = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(old) => old,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !old.metadata()?.is_file() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        fcntl_lock(&old, FlockOperation::LockExclusive)?;
        // Another may have put a new file into its place while we waited.
        let (now, locked) = (path.metadata()?, old.metadata()?);
        if (now.dev(), now.ino()) == (locked.dev(), locked.ino()) {
            return Ok(Some(old));
        }
    }
}

/// A new file beside `path`.
fn beside(path: &Path) -> io::Result<(PathBuf, File)> {
    const TRIES: u32 = 100;
    let mut failed = io::Error::from(io::ErrorKind::AlreadyExists);
    for turn in 0..TRIES {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.{turn}", std::process::id()));
        let temporary = path.with_file_name(name);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => failed = error,
            Err(error) => return Err(error),
        }
    }
    Err(failed)
}

fn umask() -> u32 {
    let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    rustix::process::umask(mask);
    mask.as_raw_mode() | 0o022
}

/// The rights of a source's owner, until dropped.
pub(super) struct OwnersRights(bool);

impl OwnersRights {
    /// Takes them on where root works on another's file, and `-o` doesn't forbid it.
    pub(super) fn take(source: &Metadata, options: &Options) -> Result<OwnersRights, Fatal> {
        let wanted = rustix::process::geteuid().is_root() && source.uid() != 0 && !options.has('o');
        if wanted {
            let (uid, gid) = (Uid::from_raw(source.uid()), Gid::from_raw(source.gid()));
            rustix::thread::set_thread_groups(&[])
                .and_then(|()| rustix::thread::set_thread_res_gid(Gid::ROOT, gid, Gid::ROOT))
                .and_then(|()| rustix::thread::set_thread_res_uid(Uid::ROOT, uid, Uid::ROOT))
                .map_err(|error| Fatal(format!("set_eugid: {}", strerror(&error.into()))))?;
        }
        Ok(OwnersRights(wanted))
    }
}

impl Drop for OwnersRights {
    fn drop(&mut self) {
        if self.0 {
            // Where this fails the next file can't be written, and that is said.
            let _ = rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)
                .and_then(|()| rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT));
        }
    }
}
