//! Leaves a message in the maildrop: written under a name that nobody can guess, flushed, renamed into view, flushed.
//!
//! The folder may be written to and not be read, so it can't be opened to flush the new name; syncfs(2) of the file's
//! file system does that, and says what failed. docs/internals/maildrop.md has the argument.

use super::{Letter, SubmitError, frames};
use crate::pickup::maildrop::{BEGUN, DIGITS, WHOLE, WHOLE_MODE};
use proto::control::Request;
use rustix::fs::{Mode, OFlags};
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Makes one file of the letter, durable when this returns.
pub(super) fn put(folder: &Path, letter: &mut Letter) -> Result<(), SubmitError> {
    let failed = |source| SubmitError::Drop { path: folder.to_owned(), source };
    let stem = stem().map_err(failed)?;
    let begun = folder.join(format!("{stem}{BEGUN}"));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(&begun, flags, Mode::RUSR | Mode::WUSR);
    let file = File::from(opened.map_err(|error| failed(error.into()))?);
    let whole = write(&file, letter).and_then(|()| {
        std::fs::rename(&begun, folder.join(format!("{stem}{WHOLE}")))?;
        // The new name, which the file's own flush came too early for.
        Ok(rustix::fs::syncfs(&file)?)
    });
    whole.map_err(|source| {
        // Nobody was told that it is there. What can't be removed, the server removes in time.
        let _ = std::fs::remove_file(&begun);
        let _ = std::fs::remove_file(folder.join(format!("{stem}{WHOLE}")));
        SubmitError::Drop { path: begun, source }
    })
}

fn write(file: &File, letter: &mut Letter) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(64 << 10, file);
    to.write_all(&Request::Submit(Box::new(letter.submission.clone())).encode())?;
    frames(letter, |frame| to.write_all(&frame.encode()))?;
    to.flush()?;
    drop(to);
    // The mode says that it is whole, and is flushed with the content.
    file.set_permissions(Permissions::from_mode(WHOLE_MODE))?;
    file.sync_all()
}

/// Random digits: whoever can't read the folder can't find the file.
fn stem() -> io::Result<String> {
    let mut bytes = [0_u8; DIGITS / 2];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
