//! Logs line by line.

use ban::filter::LINE_BYTES_MAX;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

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
