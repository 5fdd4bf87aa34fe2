//! Files that say where mail goes: opened with their reader's rights, and only where they are safe to follow.

use crate::strerror::strerror;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The longest file that is followed.
pub(crate) const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Why a file isn't followed.
#[derive(Debug)]
pub(super) enum Unsafe {
    /// There is none.
    Absent,
    /// In Postfix's words.
    Refused(String),
    /// Perhaps later.
    Unavailable(String),
}

/// Opens a user's `.forward`, with the user's rights.
pub(super) fn forward(path: &str, uid: u32) -> Result<File, Unsafe> {
    let refused = |text: String| Unsafe::Refused(format!("file {path} {text}"));
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return Err(Unsafe::Absent),
        Err(Errno::LOOP | Errno::NXIO) => return Err(refused("is not a regular file".to_owned())),
        // A home that hides it: as if it weren't there.
        Err(Errno::ACCESS) if rustix::fs::lstat(path).is_err() => return Err(Unsafe::Absent),
        Err(error @ (Errno::ACCESS | Errno::PERM)) => {
            return Err(Unsafe::Refused(format!("cannot open file {path}: {}", strerror(&error.into()))));
        }
        Err(error) => {
            return Err(Unsafe::Unavailable(format!("cannot open file {path}: {}", strerror(&error.into()))));
        }
    };
    let metadata = file.metadata().map_err(|error| Unsafe::Unavailable(error.to_string()))?;
    if !metadata.is_file() {
        Err(refused("is not a regular file".to_owned()))
    } else if metadata.uid() != uid && metadata.uid() != 0 {
        Err(refused(format!("has bad owner uid {}", metadata.uid())))
    } else if metadata.mode() & 0o002 != 0 {
        Err(refused("is world writable".to_owned()))
    } else if metadata.len() > FILE_BYTES_MAX {
        Err(refused("is too large".to_owned()))
    } else {
        Ok(file)
    }
}

/// Opens a file that is included, with its owner's or the user's rights.
pub(super) fn include(path: &str) -> Result<File, Unsafe> {
    let refused = |text: &str| Unsafe::Refused(format!(":include: file {path} {text}"));
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return Err(Unsafe::Absent),
        Err(error) => {
            let text = format!("cannot open include file {path}: {}", strerror(&error.into()));
            return Err(Unsafe::Refused(text));
        }
    };
    let metadata = file.metadata().map_err(|error| Unsafe::Unavailable(error.to_string()))?;
    if !metadata.is_file() {
        Err(refused("is not a regular file"))
    } else if metadata.mode() & 0o002 != 0 {
        Err(refused("is world writable"))
    } else if metadata.len() > FILE_BYTES_MAX {
        Err(refused("is too large"))
    } else {
        Ok(file)
    }
}

/// Who owns a file.
pub(super) fn owner_of(path: &str) -> io::Result<u32> {
    Ok(std::fs::metadata(path)?.uid())
}

/// Whether nobody but root has a say in what is at `path`: each folder on the way and the file are root's, nobody else
/// writes to them, or they are sticky, and none is a link.
pub(super) fn is_of_root(path: &str) -> bool {
    let is_own = |path: &Path| {
        let metadata = std::fs::symlink_metadata(path);
        metadata.is_ok_and(|of| {
            let is_kept = of.mode() & 0o022 == 0 || (of.is_dir() && of.mode() & 0o1000 != 0);
            of.uid() == 0 && is_kept && (of.is_dir() || (of.is_file() && of.nlink() == 1))
        })
    };
    Path::new(path).ancestors().all(is_own)
}

pub(super) fn forward_text(path: &str, uid: u32) -> Result<Vec<u8>, Unsafe> {
    forward(path, uid).and_then(whole)
}

pub(super) fn include_text(path: &str) -> Result<Vec<u8>, Unsafe> {
    include(path).and_then(whole)
}

fn whole(file: File) -> Result<Vec<u8>, Unsafe> {
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(|error| Unsafe::Unavailable(error.to_string()))?;
    Ok(text)
}

/// What is written in a file on the way to something else.
pub(super) fn text(read: io::Result<Result<Vec<u8>, Unsafe>>) -> Result<Vec<u8>, String> {
    match read {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(Unsafe::Absent)) => Err("4.3.5 a file that was there is gone".to_owned()),
        Ok(Err(Unsafe::Refused(text) | Unsafe::Unavailable(text))) => Err(format!("4.3.5 {text}")),
        Err(error) => Err(format!("4.3.0 change of rights: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    /// Needs root's rights to give files away, and a folder of root's alone.
    #[test]
    fn what_is_of_root_alone() {
        if !rustix::process::geteuid().is_root() || !is_of_root("/root") {
            return;
        }
        let folder = tempfile::tempdir_in("/root").unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::write(path("list"), "").unwrap();
        fs::create_dir(path("other")).unwrap();
        fs::write(path("other/list"), "").unwrap();
        symlink(path("list"), path("link")).unwrap();
        assert!(is_of_root(&path("list")) && is_of_root(&path("other/list")));
        assert!(!is_of_root(&path("link")) && !is_of_root(&path("none")) && !is_of_root("/tmp/x"));
        chown(path("other"), Some(4242), None).unwrap();
        assert!(!is_of_root(&path("other/list")) && !is_of_root(&path("other/../list")));
        fs::set_permissions(path("list"), PermissionsExt::from_mode(0o660)).unwrap();
        assert!(!is_of_root(&path("list")));
    }
}
