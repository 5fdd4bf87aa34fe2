//! Logs as files: plain, or packed by gzip, xz or zstd, told by their first bytes; `-` is standard input.
//!
//! Read in blocks of lines, and never as a whole: a line's first megabyte is kept, the rest of a longer one is
//! passed over. A file that is written to while it is read ends where it ended when it was opened; one that is
//! cut short meanwhile ends there; one that is renamed is read on. Of a plain file that is in the order of time,
//! only the days that are wanted are read ([`days`]).

mod blocks;
mod days;

pub(crate) use blocks::each_line;
#[allow(unused_imports, reason = "each_line is for what needs no parts")]
pub(super) use blocks::{Fold, fold};

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use report::Day;
use ruzstd::decoding::StreamingDecoder;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::ops::{Range, RangeInclusive};
use std::path::Path;

/// What unpacking xz may take: the dictionary of `xz -9` is 64 MiB.
const XZ_KIB_MAX: u32 = 128 * 1024;

/// An open log, whose lines are to be read.
pub(crate) struct Log(Input);

enum Input {
    /// A plain file, and what is still to be read of it.
    File(File, VecDeque<Range<u64>>),
    Stream(Box<dyn Read>),
}

/// Opens a log; `-` is standard input.
///
/// # Errors
/// Those of the file, and of what packed it.
pub(crate) fn open(path: &Path) -> io::Result<Log> {
    if path == Path::new("-") {
        return Ok(Log(Input::Stream(unpacked(Vec::new(), io::stdin().lock())?)));
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
    Ok(Log(Input::Stream(unpacked(start, file)?)))
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
            Input::Stream(stream) => return stream.read(buffer),
        };
        while let Some(range) = ranges.front_mut() {
            let room = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
            let room = room.min(buffer.len());
            if range.is_empty() {
                ranges.pop_front();
                continue;
            }
            if file.stream_position()? != range.start {
                file.seek(SeekFrom::Start(range.start))?;
            }
            let count = file.read(buffer.get_mut(..room).unwrap_or_default())?;
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
}

impl Packing {
    fn of(start: &[u8]) -> Option<Packing> {
        match start {
            [0x1f, 0x8b, ..] => Some(Packing::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Some(Packing::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
            _ => None,
        }
    }
}

/// Unpacks where the first bytes say that it is packed; `start` are those that were read.
fn unpacked(mut start: Vec<u8>, mut input: impl Read + 'static) -> io::Result<Box<dyn Read>> {
    let missing = START_BYTES.saturating_sub(start.len()) as u64;
    input.by_ref().take(missing).read_to_end(&mut start)?;
    let packing = Packing::of(&start);
    let whole = BufReader::with_capacity(64 * 1024, Cursor::new(start).chain(input));
    Ok(match packing {
        Some(Packing::Gzip) => Box::new(MultiGzDecoder::new(whole)),
        Some(Packing::Xz) => Box::new(XzReader::new_mem_limit(whole, true, XZ_KIB_MAX)),
        Some(Packing::Zstd) => Box::new(Frames { input: Some(whole), frame: None }),
        None => Box::new(whole),
    })
}

/// The frames of a zstd file, one after the other.
struct Frames<R: Read> {
    /// What comes behind the open frame.
    input: Option<BufReader<R>>,
    frame: Option<StreamingDecoder<BufReader<R>, ruzstd::decoding::FrameDecoder>>,
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(mut frame) = self.frame.take() {
                let count = frame.read(buffer)?;
                if count > 0 || buffer.is_empty() {
                    self.frame = Some(frame);
                    return Ok(count);
                }
                self.input = Some(frame.into_inner());
            }
            let Some(mut input) = self.input.take() else { return Ok(0) };
            if io::BufRead::fill_buf(&mut input)?.is_empty() {
                return Ok(0);
            }
            self.frame = Some(StreamingDecoder::new(input).map_err(io::Error::other)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
