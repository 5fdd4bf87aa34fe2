//! A log and what became of it when it was rotated: opened for reading, the newest first.
//!
//! A rotated log has its name still, and more behind it: `mail.log.1`, `mail.log.2.gz`, `maillog-20261122`. Nothing is
//! followed in a folder that may be another's, and only regular files of one name are opened.

use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Rotated files of a log that are known.
const FILES_MAX: usize = 100;

/// The log itself for 0, then the one before it, and so on.
///
/// # Errors
/// `NotFound` behind the last; those of the file.
pub(crate) fn open(log: &Path, nth: usize) -> io::Result<File> {
    let path = match nth {
        0 => log.to_owned(),
        nth => {
            let (Some(folder), Some(base)) = (log.parent(), log.file_name().and_then(|name| name.to_str()))
            else {
                return Err(io::ErrorKind::NotFound.into());
            };
            let mut rotated: Vec<(i64, String)> = Vec::new();
            for entry in folder.read_dir()?.flatten() {
                let name = entry.file_name();
                let Some(name) = name.to_str().filter(|name| is_rotated(name, base)) else { continue };
                let Ok(metadata) = entry.metadata() else { continue };
                if metadata.is_file() && rotated.len() < FILES_MAX {
                    rotated.push((metadata.mtime(), name.to_owned()));
                }
            }
            rotated.sort_by(|one, other| other.cmp(one));
            let found = rotated.into_iter().nth(nth - 1);
            folder.join(found.ok_or(io::ErrorKind::NotFound)?.1)
        }
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(&path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() > 1 {
        return Err(io::Error::other(format!("{} isn't a regular file with one name", path.display())));
    }
    Ok(file)
}

/// Whether `name` is what `base` becomes by rotation: digits, and what they are divided by, and how it is packed.
pub(crate) fn is_rotated(name: &str, base: &str) -> bool {
    let Some(rest) = name.strip_prefix(base) else { return false };
    let rest =
        ["gz", "xz", "zst"].iter().find_map(|end| rest.strip_suffix(end)?.strip_suffix('.')).unwrap_or(rest);
    let Some(rest) = rest.strip_prefix(['.', '-']) else { return false };
    !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::time::{Duration, SystemTime};

    #[test]
    fn names() {
        for good in ["mail.log.1", "mail.log.2.gz", "mail.log-20261122", "mail.log.20261122-070000.xz"] {
            assert!(is_rotated(good, "mail.log"), "{good}");
        }
        for bad in [
            "mail.log",
            "mail.log.",
            "mail.log.gz",
            "mail.log.bak",
            "mail.logs.1",
            "mail.log.1~",
            "xmail.log.1",
        ] {
            assert!(!is_rotated(bad, "mail.log"), "{bad}");
        }
    }

    #[test]
    fn newest_first_and_nothing_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("mail.log");
        for (age, name) in
            [(0, "mail.log"), (1, "mail.log.1"), (3, "mail.log.3"), (2, "mail.log-20261122"), (0, "other")]
        {
            let path = folder.path().join(name);
            std::fs::write(&path, name).unwrap();
            let time = SystemTime::now() - Duration::from_secs(age * 86_400);
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }
        std::os::unix::fs::symlink(folder.path().join("other"), folder.path().join("mail.log.4")).unwrap();
        let read = |nth| {
            let mut text = String::new();
            open(&log, nth).map(|mut file| file.read_to_string(&mut text).map(|_| text).unwrap())
        };
        for (nth, expect) in
            ["mail.log", "mail.log.1", "mail.log-20261122", "mail.log.3"].into_iter().enumerate()
        {
            assert_eq!(read(nth).unwrap(), expect);
        }
        assert_eq!(read(4).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::hard_link(folder.path().join("other"), folder.path().join("mail.log.9")).unwrap();
        assert!((0..9).filter_map(|nth| read(nth).ok()).all(|text| text != "other"));
    }
}
