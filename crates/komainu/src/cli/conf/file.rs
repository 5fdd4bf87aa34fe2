//! Reading main.cf and master.cf as bytes, and replacing one whole.
//!
//! An edit writes `FILE.tmp` in the same folder under an exclusive lock, as Postfix's own postconf does, so that
//! the two wait for each other too; then it is flushed and renamed over the file with its owner and mode. A
//! symbolic link is followed, and stays one.

use super::Fatal;
use crate::strerror::strerror;
use rustix::fs::{FlockOperation, Gid, Mode, OFlags, Uid};
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// How bytes became text, and become bytes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Utf8,
    /// Byte by byte, where a file is no UTF-8.
    Bytes,
}

impl Coding {
    /// The one in which all of `texts` can be read.
    pub(super) fn of<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Coding {
        let utf8 = texts.into_iter().all(|text| std::str::from_utf8(text).is_ok());
        if utf8 { Coding::Utf8 } else { Coding::Bytes }
    }

    pub(super) fn decode(self, bytes: &[u8]) -> String {
        match self {
            Coding::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Coding::Bytes => bytes.iter().map(|byte| char::from(*byte)).collect(),
        }
    }

    /// A word of the command line, for a file of this coding.
    pub(super) fn word(self, word: &str) -> String {
        match self {
            Coding::Utf8 => word.to_owned(),
            Coding::Bytes => word.bytes().map(char::from).collect(),
        }
    }

    pub(super) fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Coding::Utf8 => text.as_bytes().to_vec(),
            Coding::Bytes => text.chars().flat_map(|c| u8::try_from(u32::from(c))).collect(),
        }
    }
}

/// Replaces the contents of `path` by what `edit` makes of them; a file that stays the same isn't touched.
pub(super) fn replace(path: &Path, edit: impl FnOnce(&[u8]) -> Result<Vec<u8>, Fatal>) -> Result<(), Fatal> {
    let failed = |what: &str, path: &Path, error: &io::Error| {
        Fatal(format!("{what} {}: {}", path.display(), strerror(error)))
    };
    let unreadable =
        |error: &io::Error| Fatal(format!("open {} for reading: {}", path.display(), strerror(error)));
    let real = fs::canonicalize(path).map_err(|error| unreadable(&error))?;
    // A device or a socket would be replaced by a file.
    if !fs::metadata(&real).map_err(|error| unreadable(&error))?.is_file() {
        return Err(Fatal(format!("{} is no regular file", real.display())));
    }
    let mut temporary = real.clone().into_os_string();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut file = locked(&temporary).map_err(|error| failed("open", &temporary, &error))?;
    let outcome = (|| {
        let old = fs::read(&real).map_err(|error| unreadable(&error))?;
        let new = edit(&old)?;
        if new == old {
            return fs::remove_file(&temporary).map_err(|error| failed("remove", &temporary, &error));
        }
        let kept = fs::metadata(&real).map_err(|error| unreadable(&error))?;
        write(&mut file, &new, &kept).map_err(|error| failed("write", &temporary, &error))?;
        fs::rename(&temporary, &real).map_err(|error| failed("rename", &temporary, &error))?;
        let folder = real.parent().unwrap_or(Path::new("/"));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| failed("flush", folder, &error))
    })();
    if outcome.is_err() {
        // Ours while the lock is held; a leftover would do no harm.
        let _ = fs::remove_file(&temporary);
    }
    outcome
}

/// The temporary file, empty or with what a crash left in it, ours alone.
fn locked(path: &Path) -> io::Result<File> {
    for _ in 0..1000 {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        let ours = file.metadata()?;
        if !ours.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        // Another edit may have renamed it into place while we waited.
        match fs::symlink_metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => return Ok(file),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("other edits come without end"))
}

/// Owner and mode first: the text is never readable by more than before.
fn write(file: &mut File, text: &[u8], kept: &fs::Metadata) -> io::Result<()> {
    file.set_len(0)?;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (kept.uid(), kept.gid()) {
        rustix::fs::fchown(&*file, Some(Uid::from_raw(kept.uid())), Some(Gid::from_raw(kept.gid())))?;
    }
    file.set_permissions(Permissions::from_mode(kept.mode() & 0o7777))?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        fs::read_to_string(path).expect("readable")
    }

    #[test]
    fn only_regular_files_are_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).expect("binds");
        for path in [path.as_path(), folder.path()] {
            let Err(Fatal(text)) = replace(path, |_| Ok(b"x".to_vec())) else { panic!("it was replaced") };
            assert!(text.ends_with(" is no regular file"), "{text}");
        }
        assert!(std::os::unix::net::UnixStream::connect(&path).is_ok(), "it is what it was");
    }

    #[test]
    fn replaced_whole_with_its_mode() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("main.cf");
        fs::write(&path, "a").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("a mode");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("main.cf", &link).expect("a link");
        fs::write(folder.path().join("main.cf.tmp"), "left by a crash, and longer").expect("written");
        replace(&link, |old| Ok([old, b"b"].concat())).expect("replaced");
        assert_eq!(read(&path), "ab");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o640);
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "no leftovers");
    }

    #[test]
    fn left_alone_on_failure_or_no_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("main.cf");
        fs::write(&path, "a").expect("written");
        let inode = fs::metadata(&path).expect("there").ino();
        replace(&path, |old| Ok(old.to_vec())).expect("nothing to do");
        assert!(replace(&path, |_| Err(Fatal("no".to_owned()))).is_err());
        assert!(replace(&folder.path().join("none"), |_| Ok(Vec::new())).is_err());
        assert_eq!((read(&path).as_str(), fs::metadata(&path).expect("there").ino()), ("a", inode));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "no leftovers");
    }

    /// Edits at the same time lose none.
    #[test]
    fn edits_wait_for_each_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("main.cf");
        fs::write(&path, "").expect("written");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        replace(&path, |old| Ok([old, b"x"].concat())).expect("replaced");
                    }
                });
            }
        });
        assert_eq!(read(&path).len(), 80);
    }

    #[test]
    fn codings() {
        let latin = b"a = \xe9 \xc3\xa9\n";
        let coding = Coding::of([&latin[..], b"x"]);
        assert_eq!(coding, Coding::Bytes);
        assert_eq!(coding.encode(&coding.decode(latin)), latin);
        assert_eq!(coding.encode(&coding.word("é")), "é".as_bytes());
    }
}
