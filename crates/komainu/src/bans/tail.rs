//! A log file that is read on and on: where it was left, through rotation, truncation and copytruncate.
//!
//! Whole lines are handed out, without their ends; of one that is too long, its begin; half a line waits for its rest. A
//! place in a log is known by the file itself and by its first bytes, so that after a restart a log that was rotated
//! meanwhile is read to its end under its new name first. What was read of a file isn't read again under another name.
//! T2.21.

mod rotated;

use crate::configuration::open_source;
use crate::firewall::Firewall;
use ban::filter::LINE_BYTES_MAX;
use rotated::{Older, history, left_behind};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// By so many bytes at its begin a file is known again.
const MARK_BYTES: usize = 256;
/// How long a file that was renamed is read on: its writer may not know yet.
const LEAVING: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
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

impl Mark {
    /// The file it was set in.
    pub(super) fn id(&self) -> (u64, u64) {
        (self.dev, self.ino)
    }

    /// Whether it is of the same file.
    pub(super) fn is_of(&self, other: &Mark) -> bool {
        (self.id(), self.known, self.crc) == (other.id(), other.known, other.crc)
    }

    /// Whether its file begins so.
    fn begins(&self, text: &[u8]) -> bool {
        text.get(..self.known).is_some_and(|begin| crc32fast::hash(begin) == self.crc)
    }
}

/// What is known of files under other names.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// Those that are being read.
    pub(super) held: Vec<(u64, u64)>,
    /// How far others were read.
    pub(super) left: Vec<Mark>,
}

impl Elsewhere {
    fn holds(&self, stream: &Stream) -> bool {
        self.held.contains(&stream.mark.id())
    }

    /// How far a file was read: the very same file, as its first bytes say.
    fn place(&self, stream: &Stream) -> Option<u64> {
        let size = stream.file.metadata().ok()?.len();
        let is_it = |mark: &&Mark| {
            mark.id() == stream.mark.id()
                && mark.known > 0
                && is_same(stream, mark, size).is_ok_and(|is_same| is_same)
        };
        self.left.iter().filter(is_it).map(|mark| mark.offset).max()
    }
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
    /// From a place on.
    fn from(offset: u64) -> Lines {
        Lines { held: Vec::new(), at: offset, taken: offset }
    }

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

    /// When it was written to last.
    fn written(&self) -> io::Result<(i64, i64)> {
        let metadata = self.file.metadata()?;
        Ok((metadata.mtime(), metadata.mtime_nsec()))
    }

    fn seek(&mut self, offset: u64) {
        self.lines = Lines::from(offset);
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

/// A log under its name.
pub(super) struct Tail {
    pub(super) path: PathBuf,
    older: VecDeque<Older>,
    current: Option<Stream>,
    leaving: Option<(Stream, Instant)>,
    /// It has been read to its end once.
    pub(super) is_caught_up: bool,
    /// Where files were left that have other names now: news, and what was told of those that are still open.
    let_go: Vec<Mark>,
    told: Vec<Mark>,
}

/// Where to begin.
pub(super) struct Begin<'a> {
    /// Where it was left.
    pub(super) mark: Option<Mark>,
    /// Lines before don't count, in seconds since 1970.
    pub(super) since_s: i64,
    /// From the end, whatever stands there.
    pub(super) at_end: bool,
    /// What is known of files under other names.
    pub(super) elsewhere: &'a Elsewhere,
    /// When a line was written.
    pub(super) dated: &'a mut dyn FnMut(&[u8]) -> Option<i64>,
}

impl Tail {
    /// Opens a log and finds the place to begin at; `None` where it is a file that is being read under another name.
    ///
    /// # Errors
    /// When it can't be opened or read.
    pub(super) fn open(path: &Path, opener: &dyn Opener, begin: Begin<'_>) -> io::Result<Option<Tail>> {
        let mut current = Stream::new(opener.open(path)?)?;
        let elsewhere = begin.elsewhere;
        if elsewhere.holds(&current) {
            return Ok(None);
        }
        let mut older = VecDeque::new();
        let size = current.file.metadata()?.len();
        // Another file may begin alike: the one that was read is elsewhere by now.
        let is_here = begin.mark.map_or(Ok(false), |mark| is_same(&current, &mark, size))?;
        let is_it = is_here && begin.mark.is_some_and(|mark| mark.id() == current.mark.id());
        let unread = begin.mark.filter(|_| !is_it);
        let behind = unread.and_then(|mark| left_behind(path, opener, (&mark, is_here), elsewhere));
        let is_here = is_here && behind.is_none();
        match (begin.mark, elsewhere.place(&current)) {
            (Some(mark), _) if is_here => current.seek(mark.offset),
            (_, Some(offset)) => {
                older = behind.unwrap_or_default();
                current.seek(offset);
            }
            (Some(_), _) => older = behind.unwrap_or_default(),
            (None, _) if begin.at_end => current.seek(size),
            (None, _) => {
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
                    older = history(path, opener, begin.since_s, elsewhere);
                }
            }
        }
        Ok(Some(Tail {
            path: path.to_owned(),
            older,
            current: Some(current),
            leaving: None,
            is_caught_up: false,
            let_go: Vec::new(),
            told: Vec::new(),
        }))
    }

    /// Where it stands, for the next start: in an older file while those are read, or where half a line waits for its rest.
    pub(super) fn mark(&self) -> Option<Mark> {
        if let Some(older) = self.older.front() {
            return Some(older.place()).filter(|place| place.known > 0);
        }
        match (self.half(), &self.current) {
            (Some(leaving), _) => Some(leaving.place()),
            (_, current) => current.as_ref().map(Stream::place),
        }
    }

    /// The file that was renamed, where half a line waits in it.
    fn half(&self) -> Option<&Stream> {
        self.leaving.as_ref().map(|(leaving, _)| leaving).filter(|leaving| !leaving.lines.held.is_empty())
    }

    /// The files that it reads.
    pub(super) fn files(&self) -> impl Iterator<Item = (u64, u64)> {
        let open = self.current.iter().chain(self.leaving.iter().map(|(leaving, _)| leaving));
        open.map(|stream| stream.mark.id()).chain(self.older.iter().filter_map(Older::id))
    }

    /// How far it read files whose place [`Tail::mark`] doesn't tell, where that is news.
    pub(super) fn left(&mut self) -> Vec<Mark> {
        let mut left = std::mem::take(&mut self.let_go);
        let leaving = self.leaving.as_ref().map(|(leaving, _)| leaving.place());
        // The log itself, while the mark is one in another file.
        let is_aside = self.half().is_some() || !self.older.is_empty();
        let current = self.current.as_ref().filter(|_| is_aside).map(Stream::place);
        let open: Vec<Mark> = leaving.into_iter().chain(current).collect();
        left.extend(open.iter().filter(|mark| !self.told.contains(mark)));
        self.told = open;
        left
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
            if !older.read(piece, sink) {
                self.let_go.push(older.place());
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

    /// Lets a file that was renamed go when its time is over, and says whether another file has the name by now.
    pub(super) fn has_turned(&mut self, now: Instant, sink: &mut dyn FnMut(&[u8])) -> bool {
        let is_over = |since: &Instant| now.saturating_duration_since(*since) > LEAVING;
        if self.leaving.as_ref().is_some_and(|(_, since)| is_over(since)) {
            self.let_leaving_go(sink);
        }
        let metadata = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) => {
                // A file without a name is read on as one that was renamed, and then let go.
                if error.kind() == io::ErrorKind::NotFound {
                    self.leave(now, sink);
                }
                return false;
            }
        };
        let is_open = |stream: &Stream| stream.mark.id() == (metadata.dev(), metadata.ino());
        !self.current.as_ref().is_some_and(is_open)
    }

    fn let_leaving_go(&mut self, sink: &mut dyn FnMut(&[u8])) {
        if let Some((mut leaving, _)) = self.leaving.take() {
            leaving.lines.end(sink);
            self.let_go.push(leaving.place());
        }
    }

    /// Takes up the file that has its name by now, unless that is being read elsewhere; `true` where it did.
    pub(super) fn turn(
        &mut self,
        opener: &dyn Opener,
        now: Instant,
        elsewhere: &Elsewhere,
        sink: &mut dyn FnMut(&[u8]),
    ) -> bool {
        // Nothing of a file before is lost, whatever comes first.
        let Ok(mut next) = opener.open(&self.path).and_then(Stream::new) else { return false };
        if elsewhere.holds(&next) {
            return false;
        }
        next.seek(elsewhere.place(&next).unwrap_or(0));
        self.leave(now, sink);
        self.current = Some(next);
        true
    }

    /// Another file has its name, or none has.
    fn leave(&mut self, now: Instant, sink: &mut dyn FnMut(&[u8])) {
        if let Some(stream) = self.current.take() {
            self.let_leaving_go(sink);
            self.leaving = Some((stream, now));
        }
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
