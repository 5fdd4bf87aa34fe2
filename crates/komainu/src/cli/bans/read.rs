//! Logs line by line.

use crate::cli::logs;
use ban::filter::LINE_BYTES_MAX;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

/// The lines of a log: a file, standard input (`-`), or the one line itself.
pub(super) struct Lines {
    source: Box<dyn BufRead>,
    line: Vec<u8>,
    /// How much of `line` was handed on as a block.
    taken: usize,
    /// A last line without an end is still being written.
    is_whole: bool,
}

/// The longest line that blocks hold whole.
const BLOCK_BYTES_MAX: usize = 1 << 20;

/// How a log's letters are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    /// UTF-8, and ASCII with it.
    #[default]
    Utf8,
    /// ISO 8859-1: a byte is a character.
    Latin1,
}

impl Encoding {
    /// Reads an encoding's name.
    pub(super) fn read(name: &str) -> Result<Encoding, String> {
        match name.to_ascii_lowercase().replace('_', "-").as_str() {
            "utf-8" | "utf8" | "ascii" | "us-ascii" | "auto" => Ok(Encoding::Utf8),
            "latin1" | "latin-1" | "iso-8859-1" | "iso8859-1" => Ok(Encoding::Latin1),
            _ => Err("it is read as UTF-8 or latin1".to_owned()),
        }
    }

    /// What a report calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Encoding::Utf8 => "UTF-8",
            Encoding::Latin1 => "latin1",
        }
    }
}

/// Bytes of ISO 8859-1, handed on as UTF-8.
struct FromLatin1(Box<dyn BufRead>);

impl io::Read for FromLatin1 {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = self.0.fill_buf()?;
        let (mut taken, mut written) = (0, 0);
        for byte in got {
            let mut bytes = [0; 4];
            let text = char::from(*byte).encode_utf8(&mut bytes).as_bytes();
            let Some(room) = into.get_mut(written..written + text.len()) else { break };
            room.copy_from_slice(text);
            (taken, written) = (taken + 1, written + text.len());
        }
        self.0.consume(taken);
        Ok(written)
    }
}

impl Lines {
    /// Opens `log`, packed by gzip, xz or zstd too; what is no file is a line.
    pub(super) fn open(log: &str, encoding: Encoding) -> io::Result<Lines> {
        let is_packed = [".gz", ".xz", ".zst"].iter().any(|ending| log.ends_with(ending));
        let source: Box<dyn BufRead> = if log == "-" {
            Box::new(BufReader::new(io::stdin()))
        } else if is_packed && Path::new(log).exists() {
            Box::new(BufReader::with_capacity(1 << 18, logs::open(Path::new(log))?))
        } else if Path::new(log).exists() {
            Box::new(BufReader::with_capacity(1 << 18, File::open(log)?))
        } else if log.contains(char::is_whitespace) {
            Box::new(io::Cursor::new(log.as_bytes().to_vec()))
        } else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no such file, nor is it a line"));
        };
        let source = match encoding {
            Encoding::Utf8 => source,
            Encoding::Latin1 => Box::new(BufReader::with_capacity(1 << 18, FromLatin1(source))),
        };
        Ok(Lines { source, line: Vec::new(), taken: 0, is_whole: false })
    }

    /// Leaves the last line of a file out where it has no end, as fail2ban does: it is still being written.
    pub(super) fn whole(mut self, log: &str) -> Lines {
        self.is_whole = Path::new(log).exists();
        self
    }

    /// The next lines, as many as come at once, each with its end; the last of a log may lack it.
    pub(super) fn block(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.drain(..self.taken);
        loop {
            let got = self.source.fill_buf()?;
            let count = got.len();
            // What is left of the block before holds no end.
            let end = got.iter().rposition(|byte| *byte == b'\n').map(|at| self.line.len() + at);
            self.line.extend_from_slice(got);
            self.source.consume(count);
            self.taken = match end {
                Some(end) => end + 1,
                None if count == 0 => self.line.len(),
                None if self.line.len() < BLOCK_BYTES_MAX => continue,
                None => {
                    self.source.skip_until(b'\n')?;
                    self.line.push(b'\n');
                    self.line.len()
                }
            };
            if count == 0 {
                if self.is_whole {
                    self.line.clear();
                }
                self.taken = self.line.len();
            }
            return Ok(self.line.get(..self.taken).filter(|block| !block.is_empty()));
        }
    }

    /// The next line without its end; of one that is too long, its begin.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let most = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
        if self.source.by_ref().take(most).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        if self.line.last() != Some(&b'\n') {
            let skipped = self.source.skip_until(b'\n')?;
            if self.is_whole && skipped == 0 {
                return Ok(None);
            }
        }
        while self.line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            self.line.pop();
        }
        Ok(Some(&self.line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], at_once: usize) -> Lines {
        let source = Box::new(BufReader::with_capacity(at_once, io::Cursor::new(text.to_vec())));
        Lines { source, line: Vec::new(), taken: 0, is_whole: false }
    }

    /// However the reading falls, blocks hold whole lines, and all of them; only what no server writes is cut.
    #[test]
    fn blocks_hold_whole_lines() {
        for text in ["", "a", "a\n", "\n\n", "one\ntwo two two two\n\nthree, without an end", "x\r\ny\r\n"] {
            let mut lines = lines(text.as_bytes(), 7);
            let mut joined = Vec::new();
            while let Some(block) = lines.block().expect("a cursor") {
                assert!(
                    block.ends_with(b"\n") || text.ends_with(&*String::from_utf8_lossy(block)),
                    "{text:?}"
                );
                joined.extend_from_slice(block);
            }
            assert_eq!(String::from_utf8_lossy(&joined), text);
        }
        let long = [vec![b'a'; BLOCK_BYTES_MAX + 100], b"\nnext\n".to_vec()].concat();
        let mut lines = lines(&long, 99);
        let first = lines.block().expect("a cursor").map(<[u8]>::len);
        assert!(
            first.is_some_and(|length| length > BLOCK_BYTES_MAX && length < BLOCK_BYTES_MAX + 100),
            "{first:?}"
        );
        assert_eq!(lines.block().expect("a cursor"), Some(b"next\n".as_slice()));
        assert_eq!(lines.block().expect("a cursor"), None);
    }
}
