//! Logs line by line.

use crate::cli::logs;
use ban::filter::LINE_BYTES_MAX;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read as _};
use std::path::Path;

/// The lines of a log: a file, standard input (`-`), or the one line itself.
pub(super) struct Lines {
    source: Box<dyn BufRead>,
    line: Vec<u8>,
    /// How much of `line` was handed on as a block, and how much holds what was read.
    taken: usize,
    filled: usize,
    /// A last line without an end is still being written.
    is_whole: bool,
}

/// The longest line that blocks hold whole.
const BLOCK_BYTES_MAX: usize = 1 << 20;
/// Bytes that are read at once; what stands between hands them on uncopied.
const READ_BYTES: usize = 1 << 16;

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
            Box::new(BufReader::with_capacity(READ_BYTES, logs::open(Path::new(log))?))
        } else if Path::new(log).exists() {
            Box::new(BufReader::with_capacity(READ_BYTES, File::open(log)?))
        } else if log.contains(char::is_whitespace) {
            Box::new(io::Cursor::new(log.as_bytes().to_vec()))
        } else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no such file, nor is it a line"));
        };
        let source = match encoding {
            Encoding::Utf8 => source,
            Encoding::Latin1 => Box::new(BufReader::with_capacity(READ_BYTES, FromLatin1(source))),
        };
        Ok(Lines::of(source))
    }

    fn of(source: Box<dyn BufRead>) -> Lines {
        Lines { source, line: Vec::new(), taken: 0, filled: 0, is_whole: false }
    }

    /// Leaves the last line of a file out where it has no end, as fail2ban does: it is still being written.
    pub(super) fn whole(mut self, log: &str) -> Lines {
        self.is_whole = Path::new(log).exists();
        self
    }

    /// The next lines, as many as come at once, each with its end; the last of a log may lack it.
    pub(super) fn block(&mut self) -> io::Result<Option<&[u8]>> {
        self.fill()?;
        Ok(self.line.get(..self.taken).filter(|block| !block.is_empty()))
    }

    /// The same, to keep; what is read next stands in `spare`.
    pub(super) fn block_in(&mut self, mut spare: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        self.fill()?;
        let rest = self.line.get(self.taken..self.filled).unwrap_or_default();
        match spare.get_mut(..rest.len()) {
            Some(begin) => begin.copy_from_slice(rest),
            None => {
                spare.clear();
                spare.extend_from_slice(rest);
            }
        }
        let filled = rest.len();
        let mut block = std::mem::replace(&mut self.line, spare);
        block.truncate(self.taken);
        (self.taken, self.filled) = (0, filled);
        Ok(Some(block).filter(|block| !block.is_empty()))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.line.copy_within(self.taken..self.filled, 0);
        (self.filled, self.taken) = (self.filled - self.taken, 0);
        loop {
            if self.line.len() < self.filled + READ_BYTES {
                self.line.resize(self.filled + READ_BYTES, 0);
            }
            let count = match self.source.read(self.line.get_mut(self.filled..).unwrap_or_default()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            // What is left of the block before holds no end.
            let got = self.line.get(self.filled..self.filled + count).unwrap_or_default();
            let end = memchr::memrchr(b'\n', got).map(|at| self.filled + at);
            self.filled += count;
            self.taken = match end {
                Some(end) => end + 1,
                None if count == 0 => {
                    self.filled = if self.is_whole { 0 } else { self.filled };
                    self.filled
                }
                None if self.filled < BLOCK_BYTES_MAX => continue,
                None => {
                    self.source.skip_until(b'\n')?;
                    self.line.truncate(self.filled);
                    self.line.push(b'\n');
                    self.filled += 1;
                    self.filled
                }
            };
            return Ok(());
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
        Lines::of(Box::new(Slow { text: io::Cursor::new(text.to_vec()), at_once }))
    }

    /// Gives so many bytes at once, however many there is room for.
    struct Slow {
        text: io::Cursor<Vec<u8>>,
        at_once: usize,
    }

    impl io::Read for Slow {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let most = into.len().min(self.at_once);
            self.text.read(&mut into[..most])
        }
    }

    impl BufRead for Slow {
        fn fill_buf(&mut self) -> io::Result<&[u8]> {
            self.text.fill_buf().map(|rest| &rest[..rest.len().min(self.at_once)])
        }

        fn consume(&mut self, count: usize) {
            self.text.consume(count);
        }
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
            // As blocks to keep as well, each in what the one before it left.
            let (mut lines, mut joined, mut spare) =
                (self::lines(text.as_bytes(), 9), Vec::new(), Vec::new());
            while let Some(block) = lines.block_in(spare).expect("a cursor") {
                joined.extend_from_slice(&block);
                spare = block;
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
