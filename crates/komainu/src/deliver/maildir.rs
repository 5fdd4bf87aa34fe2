//! Delivery into a Maildir: written to `tmp`, flushed, renamed into `new`, the folder flushed.
//!
//! Runs on a blocking thread with the owner's rights, in the server itself or in its privileged helper.
//! The name in `new` is Postfix's: `seconds.Vdevice Iinode Mmicroseconds.host`, so that it is unique and
//! tells two deliveries apart however close they are. Nothing is acknowledged before both flushes are done.

use crate::privileged::Identity;
use crate::strerror::strerror;
use mail::Wall;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a message could not be put into a Maildir.
#[derive(Debug, thiserror::Error)]
pub enum MaildirError {
    /// The folder could not be made or opened.
    #[error("create maildir {}: {}", path.display(), strerror(source))]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The message could not be written.
    #[error("create maildir file {}: {}", path.display(), strerror(source))]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The message is larger than the mailbox may be (T1.13).
    #[error("message is larger than the mailbox limit of {limit} bytes")]
    TooLarge {
        /// `virtual_mailbox_limit` or `mailbox_size_limit`.
        limit: u64,
    },
}

impl MaildirError {
    /// Whether a later try may do better. Everything may but a message over the limit: a missing right or
    /// a full disk is mended by the administrator while the mail waits.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        !matches!(self, MaildirError::TooLarge { .. })
    }

    /// The enhanced status code that the log line carries.
    #[must_use]
    pub fn dsn(&self) -> &'static str {
        match self {
            MaildirError::TooLarge { .. } => "5.2.2",
            MaildirError::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => "4.3.1",
            MaildirError::Write { source, .. } if source.kind() == io::ErrorKind::QuotaExceeded => "4.2.2",
            MaildirError::Folder { .. } | MaildirError::Write { .. } => "4.2.0",
        }
    }
}

/// What is read and written at once.
const PIECE_BYTES: u64 = 256 * 1024;
/// Room for most messages; what isn't needed of it is never touched.
const PIECE_BYTES_MIN: usize = 72 * 1024;

/// Makes each delivery's temporary name unique within the process.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Puts `head` and `content` into the Maildir at `path` as one message, and gives the file's final path.
///
/// # Errors
/// [`MaildirError`]; nothing is left behind in `new`, and what was left in `tmp` is removed.
pub fn deliver(
    path: &Path,
    head: &[u8],
    content: &mut dyn Read,
    host: &str,
    now: Wall,
) -> Result<PathBuf, MaildirError> {
    deliver_made_by(path, head, content, (host, now), &Identity::own())
}

/// The same, where the Maildir itself may have to be made by somebody else than its owner.
///
/// # Errors
/// Likewise.
pub fn deliver_made_by(
    path: &Path,
    head: &[u8],
    content: &mut dyn Read,
    (host, now): (&str, Wall),
    identity: &Identity,
) -> Result<PathBuf, MaildirError> {
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = format!("{}.P{}Q{count}.{host}", now.seconds(), std::process::id());
    let temporary = path.join("tmp").join(&name);
    let file = match open_new(&temporary) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folders(path, identity)?;
            open_new(&temporary)
        }
        other => other,
    };
    let written = file.and_then(|mut file| {
        copy(head, content, &mut file)?;
        file.sync_all()?;
        file.metadata()
    });
    let result = written.and_then(|metadata| {
        let (device, inode, micros) = (metadata.dev(), metadata.ino(), now.micros());
        let last = format!("{}.V{device:x}I{inode:x}M{micros}.{host}", now.seconds());
        let last = path.join("new").join(last);
        fs::rename(&temporary, &last)?;
        File::open(path.join("new"))?.sync_all()?;
        Ok(last)
    });
    result.map_err(|source| {
        // The error that matters is the first one; a leftover in tmp is harmless and Maildir readers clean it.
        let _ = fs::remove_file(&temporary);
        MaildirError::Write { path: temporary, source }
    })
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
fn make_folders(path: &Path, identity: &Identity) -> Result<(), MaildirError> {
    let failed = |at: &Path, source| MaildirError::Folder { path: at.to_owned(), source };
    let make = || {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        if identity.switches && identity.maker != (identity.uid, identity.gid) {
            std::os::unix::fs::lchown(path, Some(identity.uid), Some(identity.gid))?;
        }
        Ok(())
    };
    if !path.is_dir() {
        identity.making(make).map_err(|e| failed(path, e))?;
    }
    for name in ["tmp", "new", "cur"] {
        let folder = path.join(name);
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(&folder, error)),
            _ => {}
        }
    }
    for folder in path.ancestors().take(2) {
        if let Ok(folder) = File::open(folder) {
            folder.sync_all().map_err(|e| failed(path, e))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_lands_in_new() {
        let root = tempfile::tempdir().unwrap();
        let box_path = root.path().join("deep/er/box");
        let at = Wall(1_621_000_000_123_456);
        let one = deliver(&box_path, b"Return-Path: <>\n", &mut &b"\nbody\n"[..], "h", at).unwrap();
        let two = deliver(&box_path, b"", &mut &b"x"[..], "h", at).unwrap();
        assert_ne!(one, two);
        assert_eq!(fs::read(&one).unwrap(), b"Return-Path: <>\n\nbody\n");
        assert_eq!(fs::read_dir(box_path.join("tmp")).unwrap().count(), 0);
        assert_eq!(fs::metadata(&one).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_unwritable_place_is_temporary() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), b"").unwrap();
        let error = deliver(&root.path().join("file"), b"", &mut &b""[..], "h", Wall(0)).unwrap_err();
        assert!(error.is_temporary(), "{error}");
    }
}
