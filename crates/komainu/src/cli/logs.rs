//! Logs as files: plain, or packed by gzip, xz or zstd, told by their first bytes; `-` is standard input.
//!
//! Read line by line, and never as a whole: a line's first megabyte is kept, the rest of a longer one is passed
//! over. A file that is written to while it is read ends where it ended.

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

/// What is read at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// What is kept of one line.
const LINE_BYTES_MAX: usize = 1024 * 1024;
/// What unpacking xz may take: the dictionary of `xz -9` is 64 MiB.
const XZ_KIB_MAX: u32 = 128 * 1024;

/// Opens a log; `-` is standard input.
///
/// # Errors
/// Those of the file, and of what packed it.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if path == Path::new("-") { unpacked(io::stdin().lock()) } else { unpacked(File::open(path)?) }
}

/// A log that is open already.
///
/// # Errors
/// Those of the file, and of what packed it.
pub(crate) fn of(file: File) -> io::Result<Box<dyn Read>> {
    unpacked(file)
}

/// Unpacks where the first bytes say that it is packed.
fn unpacked(mut input: impl Read + 'static) -> io::Result<Box<dyn Read>> {
    let mut start = Vec::with_capacity(6);
    input.by_ref().take(6).read_to_end(&mut start)?;
    let packing = start.clone();
    let whole = BufReader::with_capacity(64 * 1024, Cursor::new(start).chain(input));
    Ok(match packing.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(whole)),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Box::new(XzReader::new_mem_limit(whole, true, XZ_KIB_MAX)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(Frames { input: Some(whole), frame: None }),
        _ => Box::new(whole),
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

/// Hands each line of `input` to `take`, without its end.
///
/// # Errors
/// Those of `input`; the lines before were handed over.
pub(crate) fn each_line(mut input: impl Read, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut begun: Vec<u8> = Vec::new();
    loop {
        let count = match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                if !begun.is_empty() {
                    take(&begun);
                }
                return Err(error);
            }
        };
        let mut rest = chunk.get(..count).unwrap_or_default();
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, behind) = rest.split_at(at);
            if begun.is_empty() {
                take(line.get(..LINE_BYTES_MAX).unwrap_or(line));
            } else {
                grow(&mut begun, line);
                take(&begun);
                begun.clear();
            }
            rest = behind.get(1..).unwrap_or_default();
        }
        grow(&mut begun, rest);
    }
    if !begun.is_empty() {
        take(&begun);
    }
    Ok(())
}

fn grow(line: &mut Vec<u8>, more: &[u8]) {
    let room = LINE_BYTES_MAX.saturating_sub(line.len());
    line.extend_from_slice(more.get(..room).unwrap_or(more));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: impl Read) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        each_line(input, |line| all.push(line.to_vec())).unwrap();
        all
    }

    #[test]
    fn lines_over_chunks_and_without_an_end() {
        let text = format!("a\n\n{}\nb", "x".repeat(3 * CHUNK_BYTES));
        let found = lines(text.as_bytes());
        let lengths: Vec<usize> = found.iter().map(Vec::len).collect();
        assert_eq!(lengths, [1, 0, 3 * CHUNK_BYTES, 1]);
    }

    #[test]
    fn of_a_long_line_the_start_is_kept() {
        let text = format!("{}\nb\n{}", "x".repeat(LINE_BYTES_MAX + 5), "y".repeat(LINE_BYTES_MAX * 3));
        let found = lines(text.as_bytes());
        let lengths: Vec<usize> = found.iter().map(Vec::len).collect();
        assert_eq!(lengths, [LINE_BYTES_MAX, 1, LINE_BYTES_MAX]);
    }

    #[test]
    fn short_files_are_plain() {
        for text in [&b""[..], b"a", b"\x1f", b"\xfd7zX"] {
            let mut out = Vec::new();
            unpacked(Cursor::new(text)).unwrap().read_to_end(&mut out).unwrap();
            assert_eq!(out, text);
        }
    }

    #[test]
    fn half_a_packed_file_is_an_error() {
        for start in [&b"\x1f\x8b\x08"[..], b"\xfd7zXZ\0\0", b"\x28\xb5\x2f\xfd\x04"] {
            let read = unpacked(Cursor::new(start)).and_then(|mut log| log.read_to_end(&mut Vec::new()));
            assert!(read.is_err(), "{start:?}");
        }
    }
}
