//! Delivery into a Maildir: written to `tmp`, flushed, renamed into `new`, the folder flushed.
//!
//! Runs on a blocking thread with the owner's rights, in the server itself or in its privileged helper.
//! The name in `new` is Postfix's: `seconds.Vdevice Iinode Mmicroseconds.host`, so that it is unique and
//! tells two deliveries apart however close they are. Nothing is acknowledged before both flushes are done.

use super::mailbox_file::{Bounded, Cause};
use super::quota::{self, Quota};
use crate::privileged::Identity;
use crate::strerror::strerror;
use mail::Wall;
use rustix::fs::{Mode, OFlags};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a message could not be put into a Maildir.
#[derive(Debug, thiserror::Error)]
pub enum MaildirError {
    /// The Maildir could not be made, or its file.
    #[error("create maildir file {}: {}", path.display(), strerror(source))]
    Create {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The message could not be written.
    #[error("error writing message: {}", strerror(.0))]
    Write(io::Error),
    /// Whoever it is for may have no more (T1.13).
    #[error("error writing message: {0}")]
    OverQuota(#[from] super::quota::OverQuota),
}

impl MaildirError {
    /// What kind of trouble it is.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            MaildirError::Create { source, .. } | MaildirError::Write(source) => Cause::of(source),
            MaildirError::OverQuota(_) => Cause::TooLarge,
        }
    }

    /// What else Postfix says about it.
    #[must_use]
    pub fn warnings(&self, identity: &Identity) -> Vec<String> {
        match self {
            MaildirError::Create { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => vec![
                format!("maildir access problem for UID/GID={}/{}: {self}", identity.uid, identity.gid),
                "perhaps you need to create the maildirs in advance".to_owned(),
            ],
            _ => Vec::new(),
        }
    }
}

/// A message to be put into a Maildir.
pub struct Letter<'a> {
    /// The header lines in front of the content.
    pub head: &'a [u8],
    /// The rest.
    pub content: &'a mut dyn Read,
    /// `myhostname`, for the file's name.
    pub host: &'a str,
    /// The time.
    pub now: Wall,
    /// The largest file allowed, in bytes; 0 for any.
    pub limit: u64,
    /// What the whole Maildir may hold.
    pub quota: Option<&'a Quota>,
}

/// What is read and written at once.
const PIECE_BYTES: u64 = 256 * 1024;
/// Room for most messages; what isn't needed of it is never touched.
const PIECE_BYTES_MIN: usize = 72 * 1024;

/// Makes each delivery's temporary name unique within the process.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Puts a message into the Maildir at `path`, and gives the file's final path.
///
/// # Errors
/// [`MaildirError`]; nothing is left behind in `new`, and what was left in `tmp` is removed.
pub fn deliver(path: &Path, letter: Letter<'_>, identity: &Identity) -> Result<PathBuf, MaildirError> {
    let (host, seconds) = (letter.host, letter.now.seconds());
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = path.join("tmp").join(format!("{seconds}.P{}Q{count}.{host}", std::process::id()));
    let failed = |source| MaildirError::Create { path: temporary.clone(), source };
    let file = match open_new(&temporary) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folders(path, identity).map_err(failed)?;
            open_new(&temporary)
        }
        other => other,
    };
    let delivered = write(file.map_err(failed)?, path, &temporary, letter, identity);
    if delivered.is_err() {
        // The error that matters is the first one; a leftover in tmp is harmless and Maildir readers clean it.
        let _ = fs::remove_file(&temporary);
    }
    delivered
}

/// Fills the file in `tmp` and gives it its place.
fn write(
    mut file: File,
    path: &Path,
    temporary: &Path,
    letter: Letter<'_>,
    identity: &Identity,
) -> Result<PathBuf, MaildirError> {
    let mut bounded = Bounded::new(&mut file, letter.limit);
    copy(letter.head, letter.content, &mut bounded).map_err(MaildirError::Write)?;
    let (host, now) = (letter.host, letter.now);
    let metadata = file.metadata().map_err(MaildirError::Write)?;
    // What others deliver meanwhile may make it more than is allowed, by as much as is under way.
    let count = letter.quota.map(|quota| quota::room(path, quota, metadata.len())).transpose()?;
    file.sync_all().map_err(MaildirError::Write)?;
    let (device, inode, micros) = (metadata.dev(), metadata.ino(), now.micros());
    let mut name = format!("{}.V{device:x}I{inode:x}M{micros}.{host}", now.seconds());
    if count.is_some() {
        // Maildir++: who counts needn't look at the file.
        name.push_str(&format!(",S={}", metadata.len()));
    }
    let new = path.join("new");
    let last = new.join(name);
    let failed = |source| MaildirError::Create { path: last.clone(), source };
    // Before the name is there: what is found wrong afterwards would deliver it again.
    let folder = match open_folder(&new) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folders(path, identity).map_err(failed)?;
            open_folder(&new)
        }
        other => other,
    };
    let folder = match folder {
        Ok(folder) => Some(folder),
        // Its owner may make names in it and not read them: the whole file system is flushed instead.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
        Err(error) => return Err(failed(error)),
    };
    fs::rename(temporary, &last).map_err(failed)?;
    let flushed = match &folder {
        Some(folder) => folder.sync_all(),
        None => rustix::fs::syncfs(&file).map_err(io::Error::from),
    };
    match flushed {
        Err(error) if !is_unflushable(&error) => {
            // It may be lost with the power, so it comes again, and not twice.
            let _ = fs::remove_file(&last);
            return Err(failed(error));
        }
        _ => {}
    }
    if let Some(count) = count {
        count.add(metadata.len());
    }
    Ok(last)
}

/// A folder, and nothing that one would wait for.
fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Whether that is the answer of a file system whose folders can't be flushed: then it is as safe as it can be.
fn is_unflushable(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::INVAL, Errno::OPNOTSUPP, Errno::NOSYS]
        .iter()
        .any(|one| error.raw_os_error() == Some(one.raw_os_error()))
}

/// Writes `head` and then `content` in pieces that are large: most messages are one write.
pub(super) fn copy(head: &[u8], content: &mut dyn Read, to: &mut dyn Write) -> io::Result<u64> {
    let mut piece = Vec::with_capacity(PIECE_BYTES_MIN + head.len());
    piece.extend_from_slice(head);
    let mut length = 0;
    loop {
        let came = Read::take(&mut *content, PIECE_BYTES).read_to_end(&mut piece)?;
        to.write_all(&piece)?;
        length += came as u64;
        if (came as u64) < PIECE_BYTES {
            return Ok(length);
        }
        piece.clear();
    }
}

fn open_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(O_NOFOLLOW).open(path)
}

#[expect(clippy::cast_possible_wrap, reason = "a small flag")]
const O_NOFOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

/// Makes the Maildir and its three folders, each mode 0700, and flushes their parents.
fn make_folders(path: &Path, identity: &Identity) -> io::Result<()> {
    let make = || {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        if identity.switches && identity.maker != (identity.uid, identity.gid) {
            std::os::unix::fs::lchown(path, Some(identity.uid), Some(identity.gid))?;
        }
        Ok(())
    };
    if !path.is_dir() {
        identity.making(make)?;
    }
    for name in ["tmp", "new", "cur"] {
        match DirBuilder::new().mode(0o700).create(path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    for folder in path.ancestors().take(2) {
        if let Ok(folder) = File::open(folder) {
            folder.sync_all()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn put(path: &Path, head: &str, content: &str) -> Result<PathBuf, MaildirError> {
        let now = Wall(1_621_000_000_123_456);
        let content = &mut content.as_bytes();
        let letter = Letter { head: head.as_bytes(), content, host: "h", now, limit: 100, quota: None };
        deliver(path, letter, &Identity::own())
    }

    #[test]
    fn a_message_lands_in_new() {
        let root = tempfile::tempdir().unwrap();
        let box_path = root.path().join("deep/er/box");
        let one = put(&box_path, "Return-Path: <>\n", "\nbody\n").unwrap();
        let two = put(&box_path, "", "x").unwrap();
        assert_ne!(one, two);
        assert_eq!(fs::read(&one).unwrap(), b"Return-Path: <>\n\nbody\n");
        assert_eq!(fs::read_dir(box_path.join("tmp")).unwrap().count(), 0);
        assert_eq!(fs::metadata(&one).unwrap().mode() & 0o777, 0o600);
        // Half a Maildir is completed.
        fs::remove_dir_all(box_path.join("new")).unwrap();
        put(&box_path, "", "y").unwrap();
    }

    #[test]
    fn what_goes_wrong_is_said_and_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), b"").unwrap();
        let error = put(&root.path().join("file"), "", "").unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("create maildir file ") && text.ends_with(": Not a directory"), "{text}");
        assert_eq!(error.cause(), Cause::Other);
        let error = put(&root.path().join("box"), "", &"y".repeat(101)).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.cause()),
            ("error writing message: File too large", Cause::TooLarge)
        );
        assert_eq!(fs::read_dir(root.path().join("box/tmp")).unwrap().count(), 0);
        assert_eq!(fs::read_dir(root.path().join("box/new")).unwrap().count(), 0);
    }

    /// A folder whose names its owner may not read is delivered to once, as Postfix does; one that is none, not at all.
    #[test]
    fn a_folder_that_cannot_be_opened_gets_no_second_copy() {
        let root = tempfile::tempdir().unwrap();
        let box_path = root.path().join("box");
        put(&box_path, "", "x").unwrap();
        let names = |path: &Path| fs::read_dir(path).unwrap().count();
        let user = Identity::of(4242, 4242, effective_is_root());
        if user.switches {
            for path in [root.path(), &box_path, &box_path.join("tmp"), &box_path.join("new")] {
                std::os::unix::fs::chown(path, Some(4242), Some(4242)).unwrap();
            }
        }
        let mode = |mode| fs::set_permissions(box_path.join("new"), PermissionsExt::from_mode(mode)).unwrap();
        mode(0o300);
        user.act(|| put(&box_path, "", "y").map(drop)).unwrap().unwrap();
        mode(0o700);
        assert_eq!(names(&box_path.join("new")), 2);
        fs::remove_dir_all(box_path.join("new")).unwrap();
        std::os::unix::fs::symlink("/dev/null", box_path.join("new")).unwrap();
        put(&box_path, "", "z").unwrap_err();
        assert_eq!(names(&box_path.join("tmp")), 0);
    }

    fn effective_is_root() -> bool {
        rustix::process::geteuid().is_root()
    }
}
