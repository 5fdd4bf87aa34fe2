//! The rotated files of a log: which hold what wasn't read, and in which order.

use super::{Elsewhere, Lines, MARK_BYTES, Mark, Opener, Stream, is_same};
use flate2::read::MultiGzDecoder;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The most rotated files that are read at the first start.
const HISTORY_MAX: usize = 20;
/// The most that is read of one, unpacked.
const HISTORY_BYTES_MAX: u64 = 4 << 30;
/// The most files of a folder that are looked at.
const FILES_MAX: usize = 1_000;

/// An older file, read once.
pub(super) struct Older {
    text: Box<dyn Read + Send>,
    pub(super) lines: Lines,
    /// What it is known by.
    mark: Mark,
    read: u64,
}

impl Older {
    fn new(text: Box<dyn Read + Send>, mark: Mark) -> Older {
        Older { text, lines: Lines::from(mark.offset), mark, read: 0 }
    }

    pub(super) fn place(&self) -> Mark {
        Mark { offset: self.lines.taken, ..self.mark }
    }

    /// The file, where it isn't packed.
    pub(super) fn id(&self) -> Option<(u64, u64)> {
        Some((self.mark.dev, self.mark.ino)).filter(|id| *id != (0, 0))
    }

    /// Reads a piece; `false` where that was all.
    pub(super) fn read(&mut self, piece: &mut [u8], sink: &mut dyn FnMut(&[u8])) -> bool {
        let is_over = self.read > HISTORY_BYTES_MAX;
        let count = if is_over { 0 } else { self.text.read(piece).unwrap_or(0) };
        self.read += count as u64;
        self.lines.feed(piece.get(..count).unwrap_or_default(), sink);
        if count == 0 {
            self.lines.end(sink);
        }
        count > 0
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

/// A rotated file's place among those of its log: `.2`, `-20261123`, either packed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Turn {
    /// The newest is 1, or 0; or has the highest number.
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
}

/// A rotated file.
struct Rotated {
    turn: Turn,
    is_packed: bool,
    path: PathBuf,
    /// When it was written to last, in seconds and their parts; of a packed one, what was packed, where it says so.
    written: Option<(i64, i64)>,
}

impl Rotated {
    /// Finds those of a log. One that is just being packed is there twice, the packed one behind.
    fn all(path: &Path) -> Vec<Rotated> {
        let rotated = |entry: std::fs::DirEntry| {
            let name = entry.file_name();
            let (turn, is_packed) = Turn::of(name.to_str()?.strip_prefix(path.file_name()?.to_str()?)?)?;
            Some(Rotated { turn, is_packed, path: entry.path(), written: None })
        };
        let entries = path.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten();
        let mut files: Vec<Rotated> =
            entries.filter_map(|entry| rotated(entry.ok()?)).take(FILES_MAX).collect();
        files.sort_by_key(|file| file.is_packed);
        files
    }

    /// Opens it behind what was read of it: as one of these places says, or from its begin.
    fn open(&mut self, opener: &dyn Opener, places: &dyn Fn(&Stream) -> Option<u64>) -> Option<Older> {
        let file = opener.open(&self.path).ok()?;
        let stream = Stream::new(file).ok()?;
        self.written = Some(stream.written().ok()?);
        let at = places(&stream).unwrap_or(0);
        let mark = Mark { offset: at, ..stream.mark };
        Some(Older::new(Box::new(Positioned { file: stream.file, at }), mark))
    }

    /// The same for a packed one.
    fn unpack(&mut self, opener: &dyn Opener, places: &dyn Fn(&[u8]) -> Option<Mark>) -> Option<Older> {
        let mut text = MultiGzDecoder::new(opener.open(&self.path).ok()?);
        let mut begin = Vec::new();
        text.by_ref().take(MARK_BYTES as u64).read_to_end(&mut begin).ok()?;
        let packed_s = text.header().map_or(0, flate2::GzHeader::mtime);
        self.written = (packed_s != 0).then(|| (i64::from(packed_s), 0));
        let whole = Mark { known: begin.len(), crc: crc32fast::hash(&begin), ..Mark::default() };
        let mark = places(&begin).unwrap_or(whole);
        let at = mark.offset;
        let known = begin.len() as u64;
        let behind = begin.split_off(begin.len().min(usize::try_from(at).unwrap_or(usize::MAX)));
        let more = at.saturating_sub(known);
        let skipped = io::copy(&mut text.by_ref().take(more), &mut io::sink()).ok()?;
        let mark = Mark { dev: 0, ino: 0, ..mark };
        (skipped == more).then(|| Older::new(Box::new(io::Cursor::new(behind).chain(text)), mark))
    }

    /// What stands behind a mark, where it was set in this file.
    fn left_at(&mut self, opener: &dyn Opener, mark: &Mark) -> Option<Older> {
        if !self.is_packed {
            let has_it = std::cell::Cell::new(false);
            let older = self.open(opener, &|stream| {
                let size = stream.file.metadata().ok()?.len();
                has_it.set(is_same(stream, mark, size).ok()?);
                Some(mark.offset)
            });
            return older.filter(|_| has_it.get());
        }
        if mark.known == 0 || mark.offset > HISTORY_BYTES_MAX {
            return None;
        }
        let has_it = std::cell::Cell::new(false);
        let older = self.unpack(opener, &|begin| {
            has_it.set(mark.begins(begin));
            has_it.get().then_some(*mark)
        });
        older.filter(|_| has_it.get())
    }

    /// What wasn't read of it; nothing of a file that is read elsewhere.
    fn unread(&mut self, opener: &dyn Opener, elsewhere: &Elsewhere) -> Option<Older> {
        if self.is_packed {
            let left = |begin: &[u8]| {
                let known = elsewhere.left.iter().filter(|mark| mark.known > 0 && mark.begins(begin));
                known.max_by_key(|mark| mark.offset).copied()
            };
            // A mark of another file that begins alike lies behind its end.
            return self.unpack(opener, &left).or_else(|| self.unpack(opener, &|_| None));
        }
        let older = self.open(opener, &|stream| elsewhere.place(stream))?;
        older.id().is_none_or(|id| !elsewhere.held.contains(&id)).then_some(older)
    }

    /// Whether it was rotated later: by the time when it was written to last, as numbers may run either way; where that
    /// isn't known, the lower number is newer.
    fn is_newer_than(&self, other: &Rotated) -> bool {
        match (&self.turn, &other.turn) {
            (Turn::Number(own), Turn::Number(number)) => match (self.written, other.written) {
                (Some((own_s, _)), Some((s, _))) if own_s != s => own_s > s,
                (Some((_, own_ns)), Some((_, ns))) if own_ns != ns && !self.is_packed && !other.is_packed => {
                    own_ns > ns
                }
                _ => own < number,
            },
            (Turn::Dated(own), Turn::Dated(other)) => own.len() == other.len() && own > other,
            _ => false,
        }
    }
}

/// What was written since a mark into files that were rotated meanwhile, the oldest first: the rest of the file that the
/// mark was set in, which has another name by now, and all of those that are newer, as far as they weren't read. `None`
/// where that file isn't there; the very same one is looked for first, and where `is_exact` no other that begins alike.
pub(super) fn left_behind(
    path: &Path,
    opener: &dyn Opener,
    (mark, is_exact): (&Mark, bool),
    elsewhere: &Elsewhere,
) -> Option<VecDeque<Older>> {
    let mut files = Rotated::all(path);
    let mut find = |is_exact: bool| {
        files.iter_mut().enumerate().find_map(|(at, file)| {
            let older = file.left_at(opener, mark)?;
            (!is_exact || older.id() == Some(mark.id())).then_some((at, older))
        })
    };
    let (at, rest) = match find(true) {
        Some(found) => found,
        None if is_exact => return None,
        None => find(false)?,
    };
    let left = files.remove(at);
    // How old they are is known once they are open.
    let mut newer: Vec<(Rotated, Older)> = Vec::new();
    for mut file in files.into_iter().filter(|file| file.turn != left.turn) {
        let Some(older) = file.unread(opener, elsewhere) else { continue };
        if file.is_newer_than(&left) && newer.iter().all(|(other, _)| other.turn != file.turn) {
            newer.push((file, older));
        }
        if newer.len() > 2 * HISTORY_MAX {
            in_order(&mut newer);
            newer.drain(..HISTORY_MAX);
        }
    }
    in_order(&mut newer);
    let is_held = rest.id().is_some_and(|id| elsewhere.held.contains(&id));
    let rest = Some(rest).filter(|_| !is_held);
    let skipped = newer.len().saturating_sub(HISTORY_MAX);
    Some(rest.into_iter().chain(newer.into_iter().skip(skipped).map(|(_, older)| older)).collect())
}

/// The oldest first.
fn in_order(files: &mut [(Rotated, Older)]) {
    let all_known = files.iter().all(|(file, _)| file.written.is_some());
    let some_packed = files.iter().any(|(file, _)| file.is_packed);
    files.sort_by(|(one, _), (other, _)| match (&one.turn, &other.turn) {
        (Turn::Dated(one), Turn::Dated(other)) => one.cmp(other),
        (Turn::Number(number), Turn::Number(lower)) => {
            let time = |file: &Rotated| {
                let written = file.written.filter(|_| all_known);
                written.map(|(s, ns)| (s, if some_packed { 0 } else { ns }))
            };
            time(one).cmp(&time(other)).then(lower.cmp(number))
        }
        // They are of one kind.
        _ => std::cmp::Ordering::Equal,
    });
}

/// Rotated files that hold lines which still count, the oldest first: `log.1`, `log.2.gz` …
pub(super) fn history(
    path: &Path,
    opener: &dyn Opener,
    since_s: i64,
    elsewhere: &Elsewhere,
) -> VecDeque<Older> {
    let mut found = VecDeque::new();
    for number in (1..).take(HISTORY_MAX) {
        let named = |is_packed: bool| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}{}", if is_packed { ".gz" } else { "" }));
            Rotated { turn: Turn::Number(number), is_packed, path: PathBuf::from(name), written: None }
        };
        let opened = |is_packed| {
            let mut file = named(is_packed);
            let written = opener.open(&file.path).ok()?.metadata().and_then(|metadata| metadata.modified());
            let written_s = written.ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
            let is_past = i64::try_from(written_s).unwrap_or(i64::MAX) < since_s;
            Some((!is_past).then(|| file.unread(opener, elsewhere)))
        };
        match opened(false).or_else(|| opened(true)) {
            Some(Some(unread)) => unread.into_iter().for_each(|older| found.push_front(older)),
            Some(None) | None => break,
        }
    }
    found
}
