//! Where the bytes of configuration and tables come from: the file system, or the privileged helper.

use crate::privileged::{Answer, Helper, Request};
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use tables::sources::SOURCE_BYTES_MAX;
use tables::{SourceError, Sources};

/// Reads files with the process's own rights.
#[derive(Clone, Copy, Debug, Default)]
pub struct DirectSources;

impl Sources for DirectSources {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        read_direct(path)
    }
}

/// Reads files with the process's own rights, and asks the helper for those it may not read.
pub struct HelperSources {
    /// The helper; `None` where the server never had root's rights.
    pub helper: Option<Helper>,
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
}

/// Reads a file, up to the longest source that tables take.
///
/// # Errors
/// [`SourceError`].
pub fn read_direct(path: &Path) -> Result<Vec<u8>, SourceError> {
    File::open(path).map_err(|error| failed(path, &error)).and_then(|file| read_all(path, file))
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
}
