//! What unpacks a log, and gives out of half a file, or of one that is damaged, what stands before.

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::{Action, Status, XzStream};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

/// What unpacking xz may take: the dictionary of `xz -9` is 64 MiB.
const XZ_KIB_MAX: u32 = 128 * 1024;
/// What is unpacked at once is lost where it is damaged.
const XZ_BYTES: usize = 4096;

/// In the words of those who keep logs.
fn told(error: &io::Error) -> io::Error {
    let text = match error.kind() {
        ErrorKind::UnexpectedEof => "it is packed, and its end is missing",
        ErrorKind::OutOfMemory => "it is packed, and to unpack it takes more than 128 MiB of memory",
        _ => "it is packed, and damaged",
    };
    io::Error::new(error.kind(), text)
}

fn damaged() -> io::Error {
    told(&ErrorKind::InvalidData.into())
}

/// What a file's own errors are, and what those of unpacking it.
struct Told<R>(R);

impl<R: Read> Read for Told<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            // The system's have a number.
            if error.raw_os_error().is_some() || error.kind() == ErrorKind::Interrupted {
                error
            } else {
                told(&error)
            }
        })
    }
}

pub(super) fn gzip<R: Read>(input: BufReader<R>) -> impl Read {
    Told(MultiGzDecoder::new(input))
}

pub(super) fn xz<R: Read>(input: BufReader<R>) -> impl Read {
    Told(Xz { input, stream: XzStream::new_mem_limit(true, XZ_KIB_MAX) })
}

pub(super) fn zstd<R: Read>(input: BufReader<R>) -> impl Read {
    Told(Zstd { input, frame: None, failed: None })
}

struct Xz<R> {
    input: BufReader<R>,
    stream: XzStream,
}

impl<R: Read> Read for Xz<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(XZ_BYTES);
        let buffer = buffer.get_mut(..room).unwrap_or_default();
        if buffer.is_empty() {
            return Ok(0);
        }
        // All that was unpacked is given out before it is said that there is no more.
        let mut action = Action::Run;
        let mut idle = false;
        loop {
            let input = self.input.fill_buf()?;
            let ended = input.is_empty();
            let done = self.stream.process(input, buffer, action)?;
            self.input.consume(done.bytes_consumed);
            if done.bytes_produced > 0 || done.status == Status::StreamEnd {
                return Ok(done.bytes_produced);
            }
            if done.bytes_consumed == 0 {
                if action == Action::Finish {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                if ended {
                    action = Action::Finish;
                } else if std::mem::replace(&mut idle, true) {
                    return Err(damaged());
                }
            }
        }
    }
}

/// The frames of a zstd file, one after the other.
struct Zstd<R> {
    input: BufReader<R>,
    frame: Option<FrameDecoder>,
    failed: Option<io::Error>,
}

/// The last block of a frame, without content, and a checksum.
const LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

impl<R: Read> Zstd<R> {
    /// What is wrong: the end of the input is, where there is no more of it.
    fn problem(&mut self) -> io::Error {
        match self.input.fill_buf() {
            Ok([]) => ErrorKind::UnexpectedEof.into(),
            Ok(_) => damaged(),
            Err(error) => error,
        }
    }

    fn begin(&mut self) -> io::Result<bool> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let mut frame = FrameDecoder::new();
        match frame.init(&mut self.input) {
            Ok(()) => self.frame = Some(frame),
            // Holds nothing of the text: packers on several threads (pzstd) write how long the next one is.
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let length = u64::from(length);
                let skipped = io::copy(&mut self.input.by_ref().take(length), &mut io::sink())?;
                if skipped < length {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
            Err(_) => return Err(self.problem()),
        }
        Ok(true)
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(frame) = &mut self.frame else {
                if let Some(error) = self.failed.take() {
                    return Err(error);
                }
                if !self.begin()? {
                    return Ok(0);
                }
                continue;
            };
            if frame.can_collect() > 0 {
                return frame.read(buffer);
            }
            if frame.is_finished() {
                let written = frame.get_checksum_from_data();
                if self.failed.is_none() && written.is_some() && written != frame.get_calculated_checksum() {
                    self.failed = Some(damaged());
                }
                self.frame = None;
                continue;
            }
            if frame.decode_blocks(&mut self.input, BlockDecodingStrategy::UptoBlocks(1)).is_err() {
                let problem = self.problem();
                self.failed = Some(problem);
                // What is kept for the blocks behind is given out as at the end.
                let ended = self.frame.as_mut().is_some_and(|frame| {
                    frame.is_finished()
                        || frame.decode_blocks(&LAST_BLOCK[..], BlockDecodingStrategy::UptoBlocks(1)).is_ok()
                });
                if !ended {
                    self.frame = None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};
    use std::process::{Command, Stdio};

    /// What it gave, and what was wrong.
    fn read(mut input: impl Read) -> (Vec<u8>, Option<String>) {
        let (mut out, mut piece) = (Vec::new(), vec![0; 256 * 1024]);
        loop {
            match input.read(&mut piece) {
                Ok(0) => return (out, None),
                Ok(count) => out.extend_from_slice(piece.get(..count).unwrap()),
                Err(error) => return (out, Some(error.to_string())),
            }
        }
    }

    fn unpacked(packer: &str, packed: &[u8]) -> (Vec<u8>, Option<String>) {
        let input = BufReader::with_capacity(64 * 1024, Cursor::new(packed.to_vec()));
        match packer {
            "gzip" => read(gzip(input)),
            "xz" => read(xz(input)),
            _ => read(zstd(input)),
        }
    }

    fn run(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writing = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let out = child.wait_with_output().unwrap().stdout;
        writing.join().unwrap();
        Some(out)
    }

    /// As much as the programs that packed it give of it.
    #[test]
    fn of_half_a_file_what_is_there() {
        let text: String = (0..19_001_u64)
            .map(|at| format!("Nov 22 10:00:00 mail postfix/smtpd[{}]: line {at} of it\n", at * at % 9973))
            .collect();
        for packer in ["gzip", "xz", "zstd"] {
            let Some(packed) = run(packer, &["-c"], text.as_bytes()) else {
                assert!(std::env::var_os("CI").is_none(), "{packer} is missing");
                continue;
            };
            assert_eq!(unpacked(packer, &packed), (text.clone().into_bytes(), None), "{packer}");
            let twice = [packed.as_slice(), &packed].concat();
            assert_eq!(unpacked(packer, &twice).0.len(), text.len() * 2, "{packer}");
            for quarters in 1..=3 {
                let half = packed.get(..packed.len() * quarters / 4).unwrap();
                let (found, problem) = unpacked(packer, half);
                assert_eq!(problem.as_deref(), Some("it is packed, and its end is missing"), "{packer}");
                assert!(text.as_bytes().starts_with(&found), "{packer}");
                let theirs = run(packer, &["-dc"], half).unwrap();
                // xz decides on its last bytes; ours waits for a few more than any symbol may take.
                let missing = theirs.len().saturating_sub(found.len());
                assert!(
                    missing < if packer == "xz" { 2048 } else { 1 },
                    "{packer}: {missing} of {}",
                    theirs.len()
                );
                // Something of it, however it is cut, where more than one block is there.
                assert!(quarters < 3 || !found.is_empty(), "{packer}");
            }
            let mut bad = packed.clone();
            let at = bad.len() / 2;
            bad.get_mut(at..at + 64).unwrap().fill(0xee);
            let problem = unpacked(packer, &bad).1;
            // Nonsense may say that more follows than does.
            let said = ["it is packed, and damaged", "it is packed, and its end is missing"];
            let is_said = problem.as_deref().is_some_and(|problem| said.contains(&problem));
            assert!(is_said, "{packer}: {problem:?}");
        }
    }

    /// A letter that was packed as it is, and is another one now: only the checksum knows.
    #[test]
    fn what_unpacks_but_is_not_what_was_packed() {
        // Nothing repeats, so the packers find nothing to save.
        let mut seed = 7_u64;
        let mut letter = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u8::try_from(seed >> 56).unwrap()
        };
        let noise: Vec<u8> = (0..4_000).map(|_| letter()).collect();
        for packer in ["gzip", "xz", "zstd"] {
            let Some(mut packed) = run(packer, &["-c"], &noise) else {
                assert!(std::env::var_os("CI").is_none(), "{packer} is missing");
                continue;
            };
            assert_eq!(unpacked(packer, &packed), (noise.clone(), None), "{packer}");
            let place = |packed: &[u8]| packed.windows(8).position(|found| found == &noise[2_000..2_008]);
            let at = place(&packed).unwrap();
            packed[at] ^= 1;
            let (found, problem) = unpacked(packer, &packed);
            assert_eq!(problem.as_deref(), Some("it is packed, and damaged"), "{packer}");
            assert!(noise.starts_with(&found[..found.len().min(2_000)]), "{packer}");
            if packer == "zstd" {
                // A frame to be skipped, before and behind.
                let skipped = b"\x5a\x2a\x4d\x18\x03\0\0\0abc";
                let good = run(packer, &["-c"], b"line\n").unwrap();
                let all = [skipped, good.as_slice(), skipped].concat();
                assert_eq!(unpacked(packer, &all), (b"line\n".to_vec(), None));
                let (_, problem) = unpacked(packer, &all[..all.len() - 1]);
                assert_eq!(problem.as_deref(), Some("it is packed, and its end is missing"));
            }
            // What stands behind it is read no more.
            let twice = [packed.as_slice(), &packed].concat();
            assert!(unpacked(packer, &twice).1.is_some(), "{packer}");
        }
    }
}
