//! Logs line by line, and fail2ban's files from the disk.

use ban::filter::LINE_BYTES_MAX;
use ban::layers::Files;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

/// The disk.
pub(crate) struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    fn list(&self, folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
    }
}

/// The lines of a log: a file, standard input (`-`), or the one line itself.
pub(super) struct Lines {
    source: Box<dyn BufRead>,
    line: Vec<u8>,
}

impl Lines {
    /// Opens `log`; what is no file is a line.
    pub(super) fn open(log: &str) -> io::Result<Lines> {
        let source: Box<dyn BufRead> = if log == "-" {
            Box::new(BufReader::new(io::stdin()))
        } else if Path::new(log).exists() {
            Box::new(BufReader::with_capacity(1 << 18, File::open(log)?))
        } else if log.contains(char::is_whitespace) {
            Box::new(io::Cursor::new(log.as_bytes().to_vec()))
        } else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no such file, nor is it a line"));
        };
        Ok(Lines { source, line: Vec::new() })
    }

    /// The next line without its end; of one that is too long, its begin.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let most = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
        if self.source.by_ref().take(most).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        if self.line.last() != Some(&b'\n') {
            self.source.skip_until(b'\n')?;
        }
        while self.line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            self.line.pop();
        }
        Ok(Some(&self.line))
    }
}

/// The existing files that a pattern with `*`, `?` and `[…]` names.
pub(crate) fn expand(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        if !part.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let folders = std::mem::take(&mut found);
        for folder in folders {
            let names = Disk.list(&folder);
            let fits = |path: &PathBuf| {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                name.is_some_and(|name| !name.starts_with('.') && ban::jails::fits(part, &name))
            };
            found.extend(names.into_iter().filter(fits));
        }
    }
    found.retain(|path| path.exists());
    found.sort();
    found
}
