//! Where the bytes of configuration and tables come from: the file system, or the privileged helper.

use crate::privileged::{Answer, Helper, Request};
use rustix::fs::{Mode, OFlags};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tables::sources::SOURCE_BYTES_MAX;
use tables::{Accounts, SourceError, Sources, Vantage};

/// Reads files with the process's own rights.
#[derive(Clone, Copy, Debug, Default)]
pub struct DirectSources;

impl Sources for DirectSources {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        read_direct(path)
    }

    fn modified(&self, path: &Path) -> Option<SystemTime> {
        path.metadata().and_then(|metadata| metadata.modified()).ok()
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        path.metadata().map(|metadata| metadata.mode()).ok()
    }

    fn vantage(&self) -> Vantage {
        Vantage::Serving
    }

    fn environment(&self) -> Vec<(String, String)> {
        environment()
    }
}

/// Reads files with the process's own rights, and asks the helper for those it may not read.
pub struct HelperSources {
    /// The helper; `None` where the server never had root's rights.
    pub helper: Option<Helper>,
}

impl HelperSources {
    fn metadata(&self, path: &Path) -> Option<std::fs::Metadata> {
        match path.metadata() {
            Ok(metadata) => Some(metadata),
            // A folder that only root may enter.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let request = Request::Open(path.display().to_string());
                let (Answer::Done, Some(descriptor)) = self.helper.as_ref()?.ask(&request, None) else {
                    return None;
                };
                File::from(descriptor).metadata().ok()
            }
            Err(_) => None,
        }
    }
}

impl Sources for HelperSources {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        let denied = match read_direct(path) {
            Err(error @ SourceError::Denied(_)) => error,
            other => return other,
        };
        let Some(helper) = &self.helper else { return Err(denied) };
        match helper.ask(&Request::Open(path.display().to_string()), None) {
            (Answer::Done, Some(descriptor)) => read_all(path, File::from(descriptor)),
            (Answer::Permanent(_), _) => Err(SourceError::Missing(path.to_owned())),
            _ => Err(denied),
        }
    }

    fn modified(&self, path: &Path) -> Option<SystemTime> {
        self.metadata(path)?.modified().ok()
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        self.metadata(path).map(|metadata| metadata.mode())
    }

    fn vantage(&self) -> Vantage {
        Vantage::Serving
    }

    fn environment(&self) -> Vec<(String, String)> {
        environment()
    }
}

/// Reads as `inner` does, for somebody who serves nothing: nobody is asked for the hosts that are named.
pub struct LookingSources<'a> {
    inner: &'a dyn Sources,
    vantage: Vantage,
    denied: RefCell<BTreeSet<PathBuf>>,
}

impl<'a> LookingSources<'a> {
    /// Reads from `inner`, standing where `vantage` says.
    #[must_use]
    pub fn new(inner: &'a dyn Sources, vantage: Vantage) -> LookingSources<'a> {
        LookingSources { inner, vantage, denied: RefCell::default() }
    }

    /// The files that may not be read.
    #[must_use]
    pub fn denied(&self) -> BTreeSet<PathBuf> {
        self.denied.borrow().clone()
    }
}

impl Sources for LookingSources<'_> {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        let read = self.inner.read(path);
        if matches!(read, Err(SourceError::Denied(_))) {
            self.denied.borrow_mut().insert(path.to_owned());
        }
        read
    }

    fn modified(&self, path: &Path) -> Option<SystemTime> {
        self.inner.modified(path)
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        self.inner.mode(path)
    }

    fn vantage(&self) -> Vantage {
        self.vantage
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.inner.environment()
    }

    fn accounts(&self) -> Result<Arc<dyn Accounts>, SourceError> {
        self.inner.accounts()
    }
}

/// The program's own environment; what isn't UTF-8 is left out.
fn environment() -> Vec<(String, String)> {
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text).collect()
}

/// Reads a file, up to the longest source that tables take.
///
/// # Errors
/// [`SourceError`].
pub fn read_direct(path: &Path) -> Result<Vec<u8>, SourceError> {
    open_source(path).map_err(|error| failed(path, &error)).and_then(|file| read_all(path, file))
}

/// Opens a file that can be read to its end: a FIFO would never let go of its reader, and /dev/zero has no
/// end. /dev/null is an empty table.
///
/// # Errors
/// As `open`, and for what is no file.
pub fn open_source(path: &Path) -> io::Result<File> {
    let file = File::from(rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )?);
    let metadata = file.metadata()?;
    let kind = metadata.file_type();
    let is_endless = kind.is_fifo() || kind.is_socket() || kind.is_block_device();
    let is_null = kind.is_char_device() && metadata.rdev() == std::fs::metadata("/dev/null")?.rdev();
    if is_endless || (kind.is_char_device() && !is_null) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

fn read_all(path: &Path, file: File) -> Result<Vec<u8>, SourceError> {
    let mut bytes = Vec::new();
    let limit = SOURCE_BYTES_MAX as u64;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| failed(path, &error))?;
    if bytes.len() > SOURCE_BYTES_MAX {
        return Err(SourceError::TooLarge(path.to_owned()));
    }
    Ok(bytes)
}

fn failed(path: &Path, error: &io::Error) -> SourceError {
    match error.kind() {
        io::ErrorKind::NotFound => SourceError::Missing(path.to_owned()),
        io::ErrorKind::PermissionDenied => SourceError::Denied(path.to_owned()),
        _ => SourceError::Failed { path: path.to_owned(), reason: error.to_string() },
    }
}

/// Passes reads on and remembers the paths, so that every file the configuration rests on can be watched.
pub(super) struct Recorder<'a> {
    inner: &'a dyn Sources,
    paths: RefCell<Vec<PathBuf>>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(inner: &'a dyn Sources) -> Recorder<'a> {
        Recorder { inner, paths: RefCell::default() }
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.paths.borrow().clone()
    }
}

impl Sources for Recorder<'_> {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        self.paths.borrow_mut().push(path.to_owned());
        self.inner.read(path)
    }

    fn modified(&self, path: &Path) -> Option<SystemTime> {
        self.inner.modified(path)
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        self.inner.mode(path)
    }

    fn vantage(&self) -> Vantage {
        self.inner.vantage()
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.inner.environment()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table that never ends must neither hang the server nor fill its memory.
    #[test]
    fn only_what_has_an_end_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (fifo, file) = (folder.path().join("fifo"), folder.path().join("file"));
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .unwrap();
        std::fs::write(&file, b"key value\n").unwrap();
        assert!(matches!(read_direct(&fifo), Err(SourceError::Failed { .. })));
        assert!(matches!(read_direct(Path::new("/dev/zero")), Err(SourceError::Failed { .. })));
        assert_eq!(read_direct(Path::new("/dev/null")).unwrap(), b"");
        assert_eq!(read_direct(&file).unwrap(), b"key value\n");
        assert!(matches!(read_direct(&folder.path().join("none")), Err(SourceError::Missing(_))));
    }
}
