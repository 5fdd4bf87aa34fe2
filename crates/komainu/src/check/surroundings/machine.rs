//! The machine as it may be looked at: files, their owners and modes, accounts, free space.
//!
//! All paths are below a root, which is `/` but for tests. Reads are bounded, follow links, and never wait (a FIFO
//! is not opened). What can't be seen is told apart from what isn't there.

use crate::configuration::open_source;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The longest file that is read: certificates and small texts.
const READ_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A machine, or the folder that stands for one.
#[derive(Clone, Debug)]
pub struct Machine {
    root: PathBuf,
    /// Who looks: files of theirs are theirs to change.
    pub user: u32,
    /// Seconds since 1970.
    pub now_s: i64,
    /// Whether this process runs in a container.
    pub in_container: bool,
    /// What could not be looked at.
    hidden: Arc<Mutex<BTreeSet<PathBuf>>>,
}

/// What there is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Nothing.
    Missing,
    /// Whoever looks may not know.
    Hidden,
    /// This.
    Seen(Stat),
}

/// A file's owner and mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Type and permission bits.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl Stat {
    /// Whether it is a folder.
    #[must_use]
    pub const fn is_folder(self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    /// Whether it is a regular file.
    #[must_use]
    pub const fn is_file(self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    /// Whether it is a UNIX-domain socket.
    #[must_use]
    pub const fn is_socket(self) -> bool {
        self.mode & 0o170_000 == 0o140_000
    }

    /// Whether an account may do what the three bits `wanted` say (4 read, 2 write, 1 enter or run).
    #[must_use]
    pub const fn allows(self, uid: u32, gid: u32, wanted: u32) -> bool {
        let bits = if uid == 0 {
            // Root may read and write everything, and run what anybody may run.
            let run = if self.is_folder() || self.mode & 0o111 != 0 { 1 } else { 0 };
            6 | run
        } else if uid == self.uid {
            (self.mode >> 6) & 7
        } else if gid == self.gid {
            (self.mode >> 3) & 7
        } else {
            self.mode & 7
        };
        bits & wanted == wanted
    }
}

impl Machine {
    /// This one, at the time `now_s`.
    #[must_use]
    pub fn this(now_s: i64) -> Machine {
        let marks = ["/.dockerenv", "/run/.containerenv"];
        let told = std::env::var_os("container").is_some_and(|word: OsString| !word.is_empty());
        let in_container = told || marks.iter().any(|mark| Path::new(mark).exists());
        let user = rustix::process::geteuid().as_raw();
        Machine { root: PathBuf::from("/"), user, now_s, in_container, hidden: Arc::default() }
    }

    /// The folder `root` in place of a machine.
    #[cfg(test)]
    pub(super) fn below(root: &Path, now_s: i64) -> Machine {
        let user = rustix::process::geteuid().as_raw();
        Machine { root: root.to_owned(), user, now_s, in_container: false, hidden: Arc::default() }
    }

    /// What this user could not look at so far.
    #[must_use]
    pub fn hidden(&self) -> BTreeSet<PathBuf> {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that `path` couldn't be looked at.
    fn is_hidden(&self, path: &Path) {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
    }

    /// Where `path` really is.
    #[must_use]
    pub fn real(&self, path: &Path) -> PathBuf {
        let below = path.components().filter(|part| !matches!(part, Component::RootDir));
        self.root.join(below.collect::<PathBuf>())
    }

    /// What there is at `path`.
    #[must_use]
    pub fn sight(&self, path: &Path) -> Sight {
        match self.real(path).metadata() {
            Ok(metadata) => {
                Sight::Seen(Stat { mode: metadata.mode(), uid: metadata.uid(), gid: metadata.gid() })
            }
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Sight::Missing,
                _ => {
                    self.is_hidden(path);
                    Sight::Hidden
                }
            },
        }
    }

    /// Owner and mode, where they can be seen.
    #[must_use]
    pub fn stat(&self, path: &Path) -> Option<Stat> {
        match self.sight(path) {
            Sight::Seen(stat) => Some(stat),
            Sight::Missing | Sight::Hidden => None,
        }
    }

    /// Whether there is certainly nothing.
    #[must_use]
    pub fn is_missing(&self, path: &Path) -> bool {
        self.sight(path) == Sight::Missing
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// As `open` and `read`; `FileTooLarge` for what is longer than anybody means to look at.
    pub fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = open_source(&self.real(path)).inspect_err(|error| {
            if error.kind() == io::ErrorKind::PermissionDenied {
                self.is_hidden(path);
            }
        })?;
        file.take(READ_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > READ_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    /// A small file's text, where it can be read.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<String> {
        self.bytes(Path::new(path)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Names in a folder, sorted; at most some thousands.
    #[must_use]
    pub fn names_in(&self, path: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.real(Path::new(path))) else { return Vec::new() };
        let names = entries.flatten().take(4096);
        let mut names: Vec<String> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Where the link `path` leads.
    #[must_use]
    pub fn link(&self, path: &str) -> Option<String> {
        let target = std::fs::read_link(self.real(Path::new(path))).ok()?;
        Some(target.to_string_lossy().into_owned())
    }

    /// Bytes that are free for everybody where `path` is, or would be.
    #[must_use]
    pub fn free_bytes(&self, path: &Path) -> Option<u64> {
        let there = path.ancestors().find(|path| self.stat(path).is_some())?;
        let stat = rustix::fs::statvfs(self.real(there)).ok()?;
        stat.f_bavail.checked_mul(stat.f_frsize)
    }

    /// The first folder above `path` that an account may not enter.
    #[must_use]
    pub fn closed_folder(&self, path: &Path, (uid, gid): (u32, u32)) -> Option<PathBuf> {
        let above: Vec<&Path> = path.ancestors().skip(1).collect();
        let closed = |folder: &&&Path| self.stat(folder).is_some_and(|stat| !stat.allows(uid, gid, 1));
        above.iter().rev().find(closed).map(|folder| folder.to_path_buf())
    }
}
