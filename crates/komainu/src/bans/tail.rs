//! A log file that is read on and on: where it was left, through rotation, truncation and copytruncate.
//!
//! Whole lines are handed out, without their ends; of one that is too long, its begin; half a line waits for its rest. A
//! place in a log is known by the file itself and by its first bytes, so that after a restart a log that was rotated
//! meanwhile is read to its end under its new name first. T2.21.

use crate::configuration::open_source;
use crate::firewall::Firewall;
use ban::filter::LINE_BYTES_MAX;
use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// By so many bytes at its begin a file is known again.
const MARK_BYTES: usize = 256;
/// How long a file that was renamed is read on: its writer may not know yet.
const LEAVING: Duration = Duration::from_secs(10);
/// The most rotated files that are read at the first start.
const HISTORY_MAX: u32 = 20;
/// The most that is read of them, unpacked.
const HISTORY_BYTES_MAX: u64 = 4 << 30;
/// A file that is longer is searched for its first line that counts.
const SEARCHED_BYTES: u64 = 4 << 20;

/// Who opens logs.
pub trait Opener: Send + Sync {
    /// Opens a log for reading.
    ///
    /// # Errors
    /// Those of the system, or that nobody named this log.
    fn open(&self, path: &Path) -> io::Result<File>;
}

/// Opens with the process's own rights. A FIFO, which would never let go of its reader, is no log.
#[derive(Clone, Copy, Debug)]
pub struct Direct;

impl Opener for Direct {
    fn open(&self, path: &Path) -> io::Result<File> {
        open_source(path)
    }
}

impl Opener for Arc<Firewall> {
    fn open(&self, path: &Path) -> io::Result<File> {
        match open_source(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Firewall::open(self, path),
            opened => opened,
        }
    }
}

/// A place in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    dev: u64,
    ino: u64,
    /// Behind the last whole line that was handed out.
    pub(super) offset: u64,
    /// How many of the first bytes are known, and their checksum.
    known: usize,
    crc: u32,
}

/// Bytes on their way to lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// A line that isn't whole yet; what is too long of it is dropped.
    held: Vec<u8>,
    /// Where the next byte comes from.
    at: u64,
    /// Behind the last whole line.
    taken: u64,
}

impl Lines {
    pub(super) fn feed(&mut self, piece: &[u8], sink: &mut dyn FnMut(&[u8])) {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', piece) {
            let part = piece.get(start..end).unwrap_or_default();
            if self.held.is_empty() {
                sink(plain(part));
            } else {
                self.hold(part);
                sink(plain(&self.held));
                self.held.clear();
            }
            start = end + 1;
        }
        self.taken = if start > 0 { self.at + start as u64 } else { self.taken };
        self.hold(piece.get(start..).unwrap_or_default());
        self.at += piece.len() as u64;
    }

    fn hold(&mut self, part: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.held.len());
        self.held.extend_from_slice(part.get(..room).unwrap_or(part));
    }

    /// What stands behind the last line break of a file that grows no more.
    pub(super) fn end(&mut self, sink: &mut dyn FnMut(&[u8])) {
        if !self.held.is_empty() {
            sink(plain(&self.held));
            self.held.clear();
            self.taken = self.at;
        }
    }
}

/// Without the `\r` of `\r\n`.
fn plain(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// An open file.
#[derive(Debug)]
struct Stream {
    file: File,
    lines: Lines,
    mark: Mark,
    /// When it was written to, as of the last look.
    written: (i64, i64),
}

impl Stream {
    fn new(file: File) -> io::Result<Stream> {
        let metadata = file.metadata()?;
        let mark = Mark { dev: metadata.dev(), ino: metadata.ino(), ..Mark::default() };
        let mut stream = Stream { file, lines: Lines::default(), mark, written: (0, 0) };
        stream.know()?;
        Ok(stream)
    }

    /// Takes up what it is known by.
    fn know(&mut self) -> io::Result<()> {
        if self.mark.known < MARK_BYTES {
            let (known, crc) = begin(&self.file, MARK_BYTES)?;
            (self.mark.known, self.mark.crc) = (known, crc);
        }
        Ok(())
    }

    fn place(&self) -> Mark {
        Mark { offset: self.lines.taken, ..self.mark }
    }

    fn seek(&mut self, offset: u64) {
        self.lines = Lines { held: Vec::new(), at: offset, taken: offset };
    }

    /// Whether another text stands in it than before: it was truncated.
    fn was_cut(&self, size: u64) -> io::Result<bool> {
        if size < self.lines.at {
            return Ok(true);
        }
        if self.mark.known == 0 {
            return Ok(false);
        }
        Ok(begin(&self.file, self.mark.known)? != (self.mark.known, self.mark.crc))
    }

    /// Reads a piece; whether there was something.
    fn read(&mut self, piece: &mut [u8], sink: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
        let metadata = self.file.metadata()?;
        let (size, written) = (metadata.len(), (metadata.mtime(), metadata.mtime_nsec()));
        if size == self.lines.at && written == self.written {
            return Ok(false);
        }
        self.written = written;
        if self.was_cut(size)? {
            self.seek(0);
            self.mark.known = 0;
        }
        self.know()?;
        let count = self.file.read_at(piece, self.lines.at)?;
        self.lines.feed(piece.get(..count).unwrap_or_default(), sink);
        Ok(count > 0)
    }
}

/// How many of the first bytes there are, and their checksum.
fn begin(file: &File, most: usize) -> io::Result<(usize, u32)> {
    let mut bytes = [0; MARK_BYTES];
    let bytes = bytes.get_mut(..most.min(MARK_BYTES)).unwrap_or_default();
    let mut known = 0;
    while let Some(rest) = bytes.get_mut(known..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, known as u64)? {
            0 => break,
            count => known += count,
        }
    }
    Ok((known, crc32fast::hash(bytes.get(..known).unwrap_or_default())))
}

/// An older file, read once.
struct Older {
    text: Box<dyn Read + Send>,
    lines: Lines,
}

/// A log under its name.
pub(super) struct Tail {
    pub(super) path: PathBuf,
    older: VecDeque<Older>,
    current: Option<Stream>,
    leaving: Option<(Stream, Instant)>,
    /// It has been read to its end once.
    pub(super) is_caught_up: bool,
}

/// Where to begin.
pub(super) struct Begin<'a> {
    /// Where it was left.
    pub(super) mark: Option<Mark>,
    /// Lines before don't count, in seconds since 1970.
    pub(super) since_s: i64,
    /// From the end, whatever stands there.
    pub(super) at_end: bool,
    /// When a line was written.
    pub(super) dated: &'a mut dyn FnMut(&[u8]) -> Option<i64>,
}

impl Tail {
    /// Opens a log and finds the place to begin at.
    ///
    /// # Errors
    /// When it can't be opened or read.
    pub(super) fn open(path: &Path, opener: &dyn Opener, begin: Begin<'_>) -> io::Result<Tail> {
        let mut current = Stream::new(opener.open(path)?)?;
        let mut older = VecDeque::new();
        let size = current.file.metadata()?.len();
        match begin.mark {
            Some(mark) if is_same(&current, &mark, size)? => current.seek(mark.offset),
            Some(mark) => older = left_behind(path, opener, &mark),
            None if begin.at_end => current.seek(size),
            None => {
                let is_searched = size > SEARCHED_BYTES;
                let offset =
                    if is_searched { search(&current.file, size, begin.since_s, begin.dated)? } else { 0 };
                current.seek(offset);
                let mut is_recent = || {
                    let mut first = vec![0; LINE_BYTES_MAX];
                    let count = current.file.read_at(&mut first, 0).unwrap_or(0);
                    let line = first.get(..count).and_then(|bytes| bytes.split(|byte| *byte == b'\n').next());
                    line.and_then(|line| (begin.dated)(line)).is_none_or(|time_s| time_s >= begin.since_s)
                };
                if offset == 0 && is_recent() {
                    older = history(path, opener, begin.since_s);
                }
            }
        }
        Ok(Tail { path: path.to_owned(), older, current: Some(current), leaving: None, is_caught_up: false })
    }

    /// Where it stands, for the next start. While older files are read, where it began.
    pub(super) fn mark(&self) -> Option<Mark> {
        match (&self.leaving, &self.current) {
            _ if !self.older.is_empty() => None,
            (Some((leaving, _)), _) if !leaving.lines.held.is_empty() => Some(leaving.place()),
            (_, current) => current.as_ref().map(Stream::place),
        }
    }

    /// Whether all that was there at the last look has been read.
    pub(super) fn is_at_end(&self) -> bool {
        let size = |stream: &Stream| stream.file.metadata().map_or(0, |metadata| metadata.len());
        self.older.is_empty() && self.current.as_ref().is_none_or(|stream| size(stream) <= stream.lines.at)
    }

    /// Where in the file under its name it stands.
    pub(super) fn position(&self) -> u64 {
        self.current.as_ref().map_or(0, |stream| stream.lines.taken)
    }

    /// Reads a piece; `true` where there may be more at once.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(super) fn read(&mut self, piece: &mut [u8], sink: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
        if let Some(older) = self.older.front_mut() {
            let count =
                if older.lines.at > HISTORY_BYTES_MAX { 0 } else { older.text.read(piece).unwrap_or(0) };
            older.lines.feed(piece.get(..count).unwrap_or_default(), sink);
            if count == 0 {
                older.lines.end(sink);
                self.older.pop_front();
            }
            return Ok(true);
        }
        if let Some((leaving, _)) = &mut self.leaving
            && leaving.read(piece, sink)?
        {
            return Ok(true);
        }
        let Some(current) = &mut self.current else { return Ok(false) };
        let more = current.read(piece, sink)?;
        self.is_caught_up |= !more;
        Ok(more)
    }

    /// Looks whether another file has its name by now; `true` where one has.
    pub(super) fn look(&mut self, opener: &dyn Opener, now: Instant, sink: &mut dyn FnMut(&[u8])) -> bool {
        if let Some((leaving, since)) = &mut self.leaving
            && now.saturating_duration_since(*since) > LEAVING
        {
            leaving.lines.end(sink);
            self.leaving = None;
        }
        let Ok(metadata) = std::fs::metadata(&self.path) else { return false };
        let is_open =
            |stream: &Stream| (stream.mark.dev, stream.mark.ino) == (metadata.dev(), metadata.ino());
        if self.current.as_ref().is_some_and(is_open) {
            return false;
        }
        // Nothing of a file before is lost, whatever comes first.
        let Ok(next) = opener.open(&self.path).and_then(Stream::new) else { return false };
        if let Some((mut leaving, _)) = self.leaving.take() {
            leaving.lines.end(sink);
        }
        self.leaving = self.current.take().map(|stream| (stream, now));
        self.current = Some(next);
        true
    }
}

/// A file from a place on.
struct Positioned {
    file: File,
    at: u64,
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

fn is_same(stream: &Stream, mark: &Mark, size: u64) -> io::Result<bool> {
    if size < mark.offset {
        return Ok(false);
    }
    if mark.known == 0 {
        return Ok((stream.mark.dev, stream.mark.ino) == (mark.dev, mark.ino));
    }
    Ok(begin(&stream.file, mark.known)? == (mark.known, mark.crc))
}

/// A rotated file's place among those of its log: `.2`, `-20261123`, either packed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Turn {
    /// The newest is 1, or 0.
    Number(u32),
    /// The newest stands last.
    Dated(String),
}

impl Turn {
    /// Reads what stands behind the log's name, and whether it says that the file is packed.
    fn of(rest: &str) -> Option<(Turn, bool)> {
        let (rest, is_packed) = rest.strip_suffix(".gz").map_or((rest, false), |rest| (rest, true));
        let is_other = [".xz", ".bz2", ".zst"].iter().any(|ending| rest.ends_with(ending));
        if is_other || !rest.starts_with(['.', '-']) {
            return None;
        }
        // A number that is longer is a day.
        let number = rest.strip_prefix('.').filter(|text| text.len() <= 4).and_then(|text| text.parse().ok());
        Some((number.map_or_else(|| Turn::Dated(rest.to_owned()), Turn::Number), is_packed))
    }

    fn is_newer_than(&self, other: &Turn) -> bool {
        match (self, other) {
            (Turn::Number(own), Turn::Number(other)) => own < other,
            (Turn::Dated(own), Turn::Dated(other)) => own.len() == other.len() && own > other,
            _ => false,
        }
    }
}

/// What was written since a mark into files that were rotated meanwhile, the oldest first: the rest of the file that the
/// mark was set in, which has another name by now, and all of those that are newer.
fn left_behind(path: &Path, opener: &dyn Opener, mark: &Mark) -> VecDeque<Older> {
    let rotated = |entry: std::fs::DirEntry| {
        let name = entry.file_name();
        let (turn, is_packed) = Turn::of(name.to_str()?.strip_prefix(path.file_name()?.to_str()?)?)?;
        Some((turn, is_packed, entry.path()))
    };
    let entries = path.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten();
    let mut files: Vec<(Turn, bool, PathBuf)> =
        entries.filter_map(|entry| rotated(entry.ok()?)).take(1_000).collect();
    // One that is just being packed is there twice.
    files.sort_by_key(|(_, is_packed, _)| *is_packed);
    let rest = |(turn, is_packed, path): &(Turn, bool, PathBuf)| {
        let file = opener.open(path).ok()?;
        let rest = if *is_packed { packed_rest(file, mark) } else { plain_rest(file, mark) };
        Some((turn.clone(), rest?))
    };
    let Some((left, rest)) = files.iter().find_map(rest) else { return VecDeque::new() };
    let mut newer: Vec<&(Turn, bool, PathBuf)> =
        files.iter().filter(|(turn, ..)| turn.is_newer_than(&left)).collect();
    newer.sort_by(|(one, ..), (other, ..)| one.is_newer_than(other).cmp(&other.is_newer_than(one)));
    newer.dedup_by(|(one, ..), (other, ..)| one == other);
    let opened = |(_, is_packed, path): &&(Turn, bool, PathBuf)| {
        let file = opener.open(path).ok()?;
        Some(if *is_packed {
            Box::new(MultiGzDecoder::new(file)) as Box<dyn Read + Send>
        } else {
            Box::new(file)
        })
    };
    let texts = newer.iter().rev().take(HISTORY_MAX as usize).rev().filter_map(opened);
    std::iter::once(rest).chain(texts).map(|text| Older { text, lines: Lines::default() }).collect()
}

/// What stands behind a mark, where it was set in this file.
fn plain_rest(file: File, mark: &Mark) -> Option<Box<dyn Read + Send>> {
    let stream = Stream::new(file).ok()?;
    let size = stream.file.metadata().ok()?.len();
    let is_it = is_same(&stream, mark, size).ok()?;
    is_it.then(|| Box::new(Positioned { file: stream.file, at: mark.offset }) as Box<dyn Read + Send>)
}

/// The same for a file that was packed since.
fn packed_rest(file: File, mark: &Mark) -> Option<Box<dyn Read + Send>> {
    if mark.known == 0 || mark.offset > HISTORY_BYTES_MAX {
        return None;
    }
    let mut text = MultiGzDecoder::new(file);
    let mut begin = vec![0; mark.known.min(MARK_BYTES)];
    text.read_exact(&mut begin).ok()?;
    if crc32fast::hash(&begin) != mark.crc {
        return None;
    }
    let known = begin.len() as u64;
    let begin_rest = begin.split_off(begin.len().min(usize::try_from(mark.offset).unwrap_or(usize::MAX)));
    let more = mark.offset.saturating_sub(known);
    let skipped = io::copy(&mut text.by_ref().take(more), &mut io::sink()).ok()?;
    (skipped == more).then(|| Box::new(io::Cursor::new(begin_rest).chain(text)) as Box<dyn Read + Send>)
}

/// Rotated files that hold lines which still count, the oldest first: `log.1`, `log.2.gz` …
fn history(path: &Path, opener: &dyn Opener, since_s: i64) -> VecDeque<Older> {
    let mut found = VecDeque::new();
    for number in 1..=HISTORY_MAX {
        let named = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}{ending}"));
            PathBuf::from(name)
        };
        let opened = |path: PathBuf| opener.open(&path).ok();
        let (file, is_packed) = match (opened(named("")), opened(named(".gz"))) {
            (Some(file), _) => (file, false),
            (None, Some(file)) => (file, true),
            (None, None) => break,
        };
        let written = file.metadata().and_then(|metadata| metadata.modified());
        let written = written.ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        if written.is_none_or(|at| i64::try_from(at.as_secs()).unwrap_or(i64::MAX) < since_s) {
            break;
        }
        let text: Box<dyn Read + Send> =
            if is_packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        found.push_front(Older { text, lines: Lines::default() });
    }
    found
}

/// Where the first line stands that isn't older; lines without a date don't tell.
fn search(
    file: &File,
    size: u64,
    since_s: i64,
    dated: &mut dyn FnMut(&[u8]) -> Option<i64>,
) -> io::Result<u64> {
    let (mut low, mut high) = (0, size);
    let mut piece = vec![0; 2 * LINE_BYTES_MAX];
    while high - low > SEARCHED_BYTES / 4 {
        let middle = low + (high - low) / 2;
        let count = file.read_at(&mut piece, middle)?;
        let text = piece.get(..count).unwrap_or_default();
        // The first part is half a line.
        let time_s = text.split(|byte| *byte == b'\n').skip(1).find_map(&mut *dated);
        match time_s {
            Some(time_s) if time_s < since_s => low = middle,
            _ => high = middle,
        }
    }
    if low == 0 {
        return Ok(0);
    }
    let count = file.read_at(&mut piece, low)?;
    let text = piece.get(..count).unwrap_or_default();
    Ok(memchr::memchr(b'\n', text).map_or(low, |end| low + end as u64 + 1))
}

#[cfg(test)]
mod tests;
