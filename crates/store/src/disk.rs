//! The seam between the spool and a file system: as little as the spool needs, so that it can be simulated.
//!
//! Paths are relative to the spool directory and are made by this crate only. [`RealDisk`] is the file
//! system; [`crate::simdisk::SimDisk`] loses, tears and refuses. No policy here: no retries, no caching.

use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::any::Any;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open file.
pub trait DiskFile: Send + Sync + 'static {
    /// Reads at `offset`; fewer bytes than asked for only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `data` at `offset`.
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()>;
    /// The length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Cuts it to `size` bytes.
    fn truncate(&self, size: u64) -> io::Result<()>;
    /// `fdatasync`: when it returns `Ok`, all earlier writes and the length are durable.
    fn sync(&self) -> io::Result<()>;
}

/// A directory tree on some disk.
pub trait Disk: Send + Sync + 'static {
    /// Makes a file, mode 0600, that must not exist yet.
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file for reading, and for writing if `access` says so.
    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn DiskFile>>;
    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Renames a file within the spool.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// The names of the files in a directory, in any order.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;
    /// Makes a directory, mode 0700; one that exists already is fine.
    fn make_directory(&self, directory: &str) -> io::Result<()>;
    /// Makes a directory's entries durable. `""` is the spool directory.
    fn sync_directory(&self, directory: &str) -> io::Result<()>;
    /// Takes the exclusive lock until the value is dropped. [`io::ErrorKind::WouldBlock`]: somebody has it.
    fn lock(&self, path: &str) -> io::Result<Box<dyn Any + Send + Sync>>;
    /// What is free for us.
    fn free_bytes(&self) -> io::Result<u64>;
    /// A number that nobody can guess.
    fn random(&self) -> u64;
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
}

/// The real file system under one directory.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    /// The tree, held open: nothing is reached over a symbolic link.
    held: Option<OwnedFd>,
}

impl RealDisk {
    /// The tree under `root`, which is made (0700) if it is missing; its parent must exist.
    ///
    /// # Errors
    /// When the directory can't be made.
    pub fn new(root: &Path) -> io::Result<RealDisk> {
        let disk = RealDisk { root: root.to_owned(), held: None };
        if !root.is_dir() {
            disk.make_directory("")?;
            if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                File::open(parent)?.sync_all()?;
            }
        }
        Ok(disk)
    }

    /// The tree under `root`, which is not touched.
    #[must_use]
    pub fn existing(root: &Path) -> RealDisk {
        RealDisk { root: root.to_owned(), held: None }
    }

    /// The tree under `root`, to be read only, and without following a symbolic link below it or in its place: for root,
    /// who may read what the tree's owner may not.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn held(root: &Path) -> io::Result<RealDisk> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = rustix::fs::open(root, flags, Mode::empty())?;
        Ok(RealDisk { root: root.to_owned(), held: Some(held) })
    }

    /// Opens for reading below the held tree; `None` where it isn't held.
    fn beneath(&self, path: &str, flags: OFlags) -> Option<io::Result<File>> {
        let held = self.held.as_ref()?;
        let path = if path.is_empty() { "." } else { path };
        let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let opened = rustix::fs::openat2(held, path, flags, Mode::empty(), resolve);
        Some(opened.map(File::from).map_err(io::Error::from))
    }

    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// The lock. Closing the file alone wouldn't release it while a child that was just forked still has it.
struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl Disk for RealDisk {
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(self.path(path))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(opened) = self.beneath(path, OFlags::empty()) {
            let file = opened?;
            let refused = access == Access::Write || !file.metadata()?.is_file();
            let kind = io::ErrorKind::PermissionDenied;
            return if refused { Err(kind.into()) } else { Ok(Arc::new(RealFile(file))) };
        }
        let write = access == Access::Write;
        Ok(Arc::new(RealFile(OpenOptions::new().read(true).write(write).open(self.path(path))?)))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        let opened = self.beneath(directory, OFlags::DIRECTORY).transpose()?;
        let path =
            opened.as_ref().map(|folder| PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())));
        for entry in fs::read_dir(path.unwrap_or_else(|| self.path(directory)))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                // A name that isn't UTF-8 is none of ours.
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }

    fn make_directory(&self, directory: &str) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(self.path(directory)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn sync_directory(&self, directory: &str) -> io::Result<()> {
        File::open(self.path(directory))?.sync_all()
    }

    fn lock(&self, path: &str) -> io::Result<Box<dyn Any + Send + Sync>> {
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).create(true).truncate(false).mode(0o600).open(self.path(path))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(Held(file))),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let facts = rustix::fs::statvfs(&self.root)?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }

    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        if File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).is_ok() {
            return u64::from_le_bytes(bytes);
        }
        // Keyed with the system's randomness by the standard library.
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(0)
    }
}

/// Puts a file of these bytes in a file's place; durable when it returns.
///
/// # Errors
/// Those of the disk; the old file stays.
pub(crate) fn replace(disk: &dyn Disk, name: &str, bytes: &[u8]) -> io::Result<Arc<dyn DiskFile>> {
    let fresh = format!("{name}.new");
    match disk.remove(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&fresh)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.rename(&fresh, name)?;
    disk.sync_directory("")?;
    Ok(file)
}
