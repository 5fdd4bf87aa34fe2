//! Logs as files: plain, or packed by gzip, xz or zstd, told by their first bytes; `-` is standard input.
//!
//! Read in blocks of lines, and never as a whole: a line's first megabyte is kept, the rest of a longer one is
//! passed over. A file that is written to while it is read ends where it ended when it was opened; one that is
//! cut short meanwhile ends there; one that is renamed is read on. Of a plain file that is in the order of time,
//! only the days that are wanted are read ([`days`]).

mod blocks;
mod days;
mod packed;

use blocks::Ahead;
pub(super) use blocks::Fold;
pub(crate) use blocks::each_line;

use report::Day;
use report::day::Moment;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::thread;

/// More threads than that find nothing to do: the parts are added up on one.
const THREADS_MAX: usize = 8;
/// So much is looked at for a log's first stamp.
const BEGIN_BYTES: u64 = 64 * 1024;
/// So many logs are open at once.
const FILES_AT_ONCE: usize = 200;
/// What is wrong with a log.
pub(super) enum Problem {
    /// It can't be opened; nothing of it is folded.
    Open(io::Error),
    /// It can't be read to its end; what stands before is folded.
    Read(io::Error),
}

/// Folds the lines of these logs, one log after the other, those of certain days at least; `say` is told what is
/// wrong with one, and the others are read. Stamps without a year are of the year up to the month of `today`.
///
/// They are opened before the first is read: one that is renamed meanwhile isn't read twice, nor another missed.
pub(super) fn fold<F: Fold>(
    files: &[PathBuf],
    (days, today): (Option<RangeInclusive<Day>>, Day),
    fold: &mut F,
    mut say: impl FnMut(&Path, Problem),
) {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    // What is named again would take its first bytes from the one before.
    let mut from_input = false;
    let once =
        |file: &&PathBuf| file.as_path() != Path::new("-") || !std::mem::replace(&mut from_input, true);
    let files: Vec<&PathBuf> = files.iter().filter(once).collect();
    for files in files.chunks(FILES_AT_ONCE) {
        let opened: Vec<io::Result<Log>> = files.iter().map(|file| open(file)).collect();
        let narrowed = opened.into_iter().map(|log| match (log, &days) {
            (Ok(log), Some(days)) => log.only(days, today),
            (log, _) => log,
        });
        in_turns(narrowed.collect(), threads, fold, |at, problem| {
            if let Some(file) = files.get(at) {
                say(file, problem);
            }
        });
    }
}

/// What is to be done with a log when it is its turn.
enum Turn<P> {
    Read(Log),
    Unpack(Log),
    Ahead(Ahead<P>),
    Failed(io::Error),
}

/// Folds these logs one after the other. Packed ones are unpacked meanwhile, as many at once as there are threads.
fn in_turns<F: Fold>(
    logs: Vec<io::Result<Log>>,
    threads: usize,
    fold: &mut F,
    mut say: impl FnMut(usize, Problem),
) {
    let turn = |log: io::Result<Log>| match log {
        Ok(log @ Log(Input::Packed(_))) if threads > 1 => Turn::Unpack(log),
        Ok(log) => Turn::Read(log),
        Err(error) => Turn::Failed(error),
    };
    let mut turns: VecDeque<Turn<F::Part>> = logs.into_iter().map(turn).collect();
    thread::scope(|scope| {
        for at in 0.. {
            let mut running = turns.iter().filter(|turn| matches!(turn, Turn::Ahead(_))).count();
            for turn in &mut turns {
                if running < threads && matches!(turn, Turn::Unpack(_)) {
                    running += 1;
                    // There is nothing to say of a log without an error.
                    let unpacked = std::mem::replace(turn, Turn::Failed(io::ErrorKind::Other.into()));
                    if let Turn::Unpack(log) = unpacked {
                        *turn = Turn::Ahead(blocks::ahead::<F>(scope, log, fold.part()));
                    }
                }
            }
            let outcome = match turns.pop_front() {
                None => break,
                Some(Turn::Ahead(log)) => log.fold(fold).map_err(Problem::Read),
                Some(Turn::Read(log) | Turn::Unpack(log)) => {
                    blocks::fold(log, threads, fold).map_err(Problem::Read)
                }
                Some(Turn::Failed(error)) => Err(Problem::Open(error)),
            };
            if let Err(problem) = outcome {
                say(at, problem);
            }
        }
    });
}

/// These logs in the order of their first stamps. Standard input, and those that have none among their first lines
/// or can't be read, come first, as they were named.
pub(super) fn by_time(files: Vec<PathBuf>, today: Day) -> Vec<PathBuf> {
    let mut timed: Vec<(Option<Moment>, PathBuf)> =
        files.into_iter().map(|file| (begin(&file, today), file)).collect();
    timed.sort_by_key(|(begin, _)| *begin);
    timed.into_iter().map(|(_, file)| file).collect()
}

fn begin(file: &Path, today: Day) -> Option<Moment> {
    if file == Path::new("-") {
        return None;
    }
    let mut start = Vec::new();
    // Of half a packed file, what stands before the error is there.
    let _ = open(file).ok()?.take(BEGIN_BYTES).read_to_end(&mut start);
    start.split(|byte| *byte == b'\n').find_map(|line| {
        let plain = events::json::plain(line, crate::clock::utc_offset_min);
        Some(Moment::parse(plain.as_ref().map_or(line, |plain| plain.as_bytes()), today)?.0)
    })
}

/// An open log, whose lines are to be read.
pub(crate) struct Log(Input);

enum Input {
    /// A plain file, and what is still to be read of it.
    File(File, VecDeque<Range<u64>>),
    Packed(Box<dyn Read + Send>),
    Stream(Box<dyn Read + Send>),
}

/// Opens a log; `-` is standard input.
///
/// # Errors
/// Those of the file, and of what packed it.
pub(crate) fn open(path: &Path) -> io::Result<Log> {
    if path == Path::new("-") {
        // Not locked: it may be named once more, and is at its end then.
        return unpacked(Vec::new(), io::stdin());
    }
    of(File::open(path)?)
}

/// A log that is open already, from its beginning.
///
/// # Errors
/// Those of the file, and of what packed it.
pub(crate) fn of(mut file: File) -> io::Result<Log> {
    let about = file.metadata()?;
    let mut start = Vec::with_capacity(START_BYTES);
    file.by_ref().take(START_BYTES as u64).read_to_end(&mut start)?;
    if about.is_file() && Packing::of(&start).is_none() {
        return Ok(Log(Input::File(file, std::iter::once(0..about.len()).collect())));
    }
    unpacked(start, file)
}

impl Log {
    /// With the lines of these days at least; stamps without a year are of the year up to the month of `today`.
    ///
    /// # Errors
    /// Those of the file.
    pub(crate) fn only(mut self, wanted: &RangeInclusive<Day>, today: Day) -> io::Result<Log> {
        if let Input::File(file, ranges) = &mut self.0 {
            *ranges = days::find(file, wanted, today)?;
        }
        Ok(self)
    }
}

impl Read for Log {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (file, ranges) = match &mut self.0 {
            Input::File(file, ranges) => (file, ranges),
            Input::Packed(stream) | Input::Stream(stream) => return stream.read(buffer),
        };
        while let Some(range) = ranges.front_mut() {
            let room = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
            let room = room.min(buffer.len());
            if range.is_empty() {
                ranges.pop_front();
                continue;
            }
            let count = days::read_at(file, buffer.get_mut(..room).unwrap_or_default(), range.start)?;
            range.start = if count == 0 { range.end } else { range.start.saturating_add(count as u64) };
            if count > 0 || room == 0 {
                return Ok(count);
            }
        }
        Ok(0)
    }
}

/// As many first bytes say how a file is packed.
const START_BYTES: usize = 6;

#[derive(Clone, Copy)]
enum Packing {
    Gzip,
    Xz,
    Zstd,
    /// What isn't unpacked here, and what does.
    Unread(&'static str, &'static str),
}

impl Packing {
    fn of(start: &[u8]) -> Option<Packing> {
        match start {
            [0x1f, 0x8b, ..] => Some(Packing::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Some(Packing::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A'] => Some(Packing::Unread("bzip2", "bzip2 -dc")),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Packing::Unread("lz4", "lz4 -dc")),
            [0x1f, 0x9d, ..] => Some(Packing::Unread("compress", "gzip -dc")),
            [b'P', b'K', 3, 4, ..] => Some(Packing::Unread("zip", "unzip -p")),
            _ => None,
        }
    }
}

/// Unpacks where the first bytes say that it is packed; `start` are those that were read.
fn unpacked(mut start: Vec<u8>, mut input: impl Read + Send + 'static) -> io::Result<Log> {
    let missing = START_BYTES.saturating_sub(start.len()) as u64;
    input.by_ref().take(missing).read_to_end(&mut start)?;
    let packing = Packing::of(&start);
    let whole = BufReader::with_capacity(64 * 1024, Cursor::new(start).chain(input));
    let unpacking: Box<dyn Read + Send> = match packing {
        Some(Packing::Gzip) => Box::new(packed::gzip(whole)),
        Some(Packing::Xz) => Box::new(packed::xz(whole)),
        Some(Packing::Zstd) => Box::new(packed::zstd(whole)),
        Some(Packing::Unread(name, unpack)) => {
            let text = format!(
                "packed by {name}, which isn't read here: unpack it (`{unpack} FILE | …` and `-` as the log)"
            );
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        None => return Ok(Log(Input::Stream(Box::new(whole)))),
    };
    Ok(Log(Input::Packed(unpacking)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_put_in_the_order_of_time() {
        let folder = tempfile::tempdir().unwrap();
        let today = Day { year: 2026, month: 1, day: 5 };
        let texts = [
            ("new", "half a line\nJan  5 00:00:00 mail x: y\n"),
            ("none", "nothing\n"),
            ("old", "Dec 31 23:59:59 mail x: y\nJan  5 00:00:00 mail x: y\n"),
            ("rfc", "2026-01-01T00:00:00Z mail x: y\n"),
            ("older", "Feb  1 00:00:00 mail x: y\n"),
        ];
        let mut files: Vec<PathBuf> = vec!["-".into(), folder.path().join("missing")];
        for (name, text) in texts {
            std::fs::write(folder.path().join(name), text).unwrap();
            files.push(folder.path().join(name));
        }
        let ordered: Vec<String> = by_time(files, today)
            .iter()
            .map(|file| file.file_name().map_or("-".into(), |name| name.to_string_lossy().into_owned()))
            .collect();
        assert_eq!(ordered, ["-", "missing", "none", "older", "old", "rfc", "new"]);
    }

    /// Their lines, and which of them were broken.
    fn folded(files: &[PathBuf], threads: usize) -> (Vec<String>, Vec<usize>) {
        struct Lines(Vec<String>);
        impl Fold for Lines {
            type Part = Vec<String>;

            fn part(&self) -> Vec<String> {
                Vec::new()
            }

            fn another(_: &Vec<String>) -> Vec<String> {
                Vec::new()
            }

            fn feed(part: &mut Vec<String>, line: &[u8]) {
                part.push(String::from_utf8_lossy(line).into_owned());
            }

            fn merge(&mut self, part: &mut Vec<String>) {
                self.0.append(part);
            }
        }
        let (mut lines, mut broken) = (Lines(Vec::new()), Vec::new());
        in_turns(files.iter().map(|file| open(file)).collect(), threads, &mut lines, |at, _| broken.push(at));
        (lines.0, broken)
    }

    #[test]
    fn packed_logs_are_read_in_their_turn() {
        use flate2::{Compression, write::GzEncoder};
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for number in 0..9_usize {
            let text: String =
                (0..number * 9_000).map(|line| format!("{number} {line} some words\n")).collect();
            let path = folder.path().join(format!("log{number}"));
            if number % 4 == 3 {
                std::fs::write(&path, text).unwrap();
            } else {
                let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
                packed.write_all(text.as_bytes()).unwrap();
                let mut packed = packed.finish().unwrap();
                // What is missing of one is said when it is its turn.
                let end = if number == 5 { packed.len() / 2 } else { packed.len() };
                packed.truncate(end);
                std::fs::write(&path, packed).unwrap();
            }
            files.push(path);
            files.push(folder.path().join("missing"));
        }
        let (lines, broken) = folded(&files, 1);
        assert_eq!(broken, [1, 3, 5, 7, 9, 10, 11, 13, 15, 17]);
        let whole = (0..9).filter(|&number| number != 5).map(|number| number * 9_000).sum::<usize>();
        assert!((whole + 1..whole + 45_000).contains(&lines.len()), "{}", lines.len());
        for threads in [2, 3, 8] {
            assert!(folded(&files, threads) == (lines.clone(), broken.clone()), "{threads}");
        }
    }

    #[test]
    fn short_files_are_plain() {
        for text in [&b""[..], b"a", b"\x1f", b"\xfd7zX"] {
            let mut out = Vec::new();
            unpacked(Vec::new(), Cursor::new(text)).unwrap().read_to_end(&mut out).unwrap();
            assert_eq!(out, text);
        }
    }

    #[test]
    fn a_file_ends_where_it_ended_or_where_it_was_cut() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail.log");
        let read = |mut log: Log| {
            let mut out = Vec::new();
            log.read_to_end(&mut out).unwrap();
            out
        };
        std::fs::write(&path, "one\ntwo\nhalf").unwrap();
        let (grown, renamed, cut) = (open(&path).unwrap(), open(&path).unwrap(), open(&path).unwrap());
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b" a line\nthree\n").unwrap();
        assert_eq!(read(grown), b"one\ntwo\nhalf");
        std::fs::rename(&path, folder.path().join("mail.log.1")).unwrap();
        std::fs::write(&path, "new\n").unwrap();
        assert_eq!(read(renamed), b"one\ntwo\nhalf");
        file.set_len(4).unwrap();
        assert_eq!(read(cut), b"one\n");
        assert_eq!(read(open(&path).unwrap()), b"new\n");
    }

    #[test]
    fn half_a_packed_file_is_an_error() {
        for start in [&b"\x1f\x8b\x08"[..], b"\xfd7zXZ\0\0", b"\x28\xb5\x2f\xfd\x04"] {
            let read =
                unpacked(Vec::new(), Cursor::new(start)).and_then(|mut log| log.read_to_end(&mut Vec::new()));
            assert!(read.is_err(), "{start:?}");
        }
    }
}
