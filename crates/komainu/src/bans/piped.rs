//! Standard input as a log: whole lines, as they come, never waited for.
//!
//! A pipe has no place to come back to: what is written into it while nobody reads waits there, and what comes again after
//! a restart counts again. T2.21.

use super::tail::Lines;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::fs::File;
use std::io::{self, Read as _};

/// The reading end.
#[derive(Debug)]
pub(super) struct Piped {
    file: Option<File>,
    lines: Lines,
}

impl Piped {
    pub(super) fn new(pipe: OwnedFd) -> Piped {
        Piped { file: Some(File::from(pipe)), lines: Lines::default() }
    }

    /// What poll(2) waits for, while there may be more.
    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }

    /// Whether the other side has closed it.
    pub(super) fn has_ended(&self) -> bool {
        self.file.is_none()
    }

    /// Reads a piece; whether there was something. The descriptor may be a terminal that others have as well, so it stays
    /// one that blocks.
    pub(super) fn read(&mut self, piece: &mut [u8], sink: &mut dyn FnMut(&[u8])) -> bool {
        let Some(file) = &mut self.file else { return false };
        let mut fds = [PollFd::new(file, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        if !poll(&mut fds, Some(&at_once)).is_ok_and(|ready| ready > 0) {
            return false;
        }
        match file.read(piece) {
            Ok(count) if count > 0 => {
                self.lines.feed(piece.get(..count).unwrap_or_default(), sink);
                true
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                false
            }
            _ => {
                // A last line may lack its end.
                self.lines.end(sink);
                self.file = None;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn read(piped: &mut Piped) -> Vec<String> {
        let (mut piece, mut lines) = (vec![0; 4096], Vec::new());
        while piped.read(&mut piece, &mut |line| lines.push(String::from_utf8_lossy(line).into_owned())) {}
        lines
    }

    #[test]
    fn lines_as_they_come() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut piped = Piped::new(reader.into());
        assert!(read(&mut piped).is_empty() && !piped.has_ended());
        writer.write_all(b"one\r\ntwo\nthr").unwrap();
        assert_eq!(read(&mut piped), ["one", "two"]);
        writer.write_all(b"ee").unwrap();
        assert!(read(&mut piped).is_empty() && piped.pipe().is_some());
        drop(writer);
        assert_eq!(read(&mut piped), ["three"]);
        assert!(piped.has_ended() && piped.pipe().is_none());
        assert!(read(&mut piped).is_empty());
    }
}
