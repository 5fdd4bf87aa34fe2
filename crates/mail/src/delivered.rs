//! A message on its way into a mailbox file or a command: the lines on top, and what is done to the body's lines.
//!
//! mbox (`From ` line, `>From ` quoting, an empty line behind), and the flags of pipe(8) that change lines. The
//! reader's side is [`Read`], so that a body of any size passes in pieces. Nothing is opened or locked here.

use crate::{Address, Wall};
use std::io::{self, Read};

/// The `From ` line of a mailbox file. Nobody is `MAILER-DAEMON`.
#[must_use]
pub fn from_line(sender: &Address, wall: Wall, zone: &crate::time::Zone) -> String {
    let sender = if sender.is_null() { "MAILER-DAEMON".to_owned() } else { sender.to_external() };
    let civil = crate::time::Civil::at(wall, zone.offset_s);
    let (week, month) = (civil.weekday_name(), civil.month_name());
    format!(
        "From {sender}  {week} {month} {:>2} {:02}:{:02}:{:02} {}\n",
        civil.day, civil.hour, civil.minute, civil.second, civil.year
    )
}

/// What is done to lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// `>` goes before a line that begins with `From `.
    pub quote_from: bool,
    /// `.` goes before a line that begins with `.`.
    pub stuff_dots: bool,
    /// What ends a line instead of `\n`.
    pub eol: Vec<u8>,
    /// An empty line comes behind the message.
    pub blank_line: bool,
}

impl Lines {
    /// As they are.
    #[must_use]
    pub fn plain() -> Lines {
        Lines { quote_from: false, stuff_dots: false, eol: b"\n".to_vec(), blank_line: false }
    }

    /// As a mailbox file wants them.
    #[must_use]
    pub fn mailbox() -> Lines {
        Lines { quote_from: true, blank_line: true, ..Lines::plain() }
    }
}

/// How much of the body is taken at once.
const PIECE_BYTES: usize = 64 * 1024;

/// A body whose lines are changed while it is read.
pub struct Changed<R> {
    inner: R,
    lines: Lines,
    /// What has been read and not yet looked at: the start of a line that may need something in front.
    held: Vec<u8>,
    ready: Vec<u8>,
    given: usize,
    at_line_start: bool,
    ended: bool,
}

impl<R: Read> Changed<R> {
    /// `inner`, with its lines changed.
    #[must_use]
    pub fn new(inner: R, lines: Lines) -> Changed<R> {
        Changed {
            inner,
            lines,
            held: Vec::new(),
            ready: Vec::new(),
            given: 0,
            at_line_start: true,
            ended: false,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut piece = std::mem::take(&mut self.held);
        let came = Read::take(&mut self.inner, PIECE_BYTES as u64).read_to_end(&mut piece)?;
        self.ended = came == 0;
        self.ready.clear();
        self.given = 0;
        let mut rest = piece.as_slice();
        while !rest.is_empty() {
            if self.at_line_start {
                let may_be_from = rest.len() < FROM.len() && FROM.starts_with(rest);
                if may_be_from && !self.ended {
                    self.held = rest.to_vec();
                    break;
                }
                if self.lines.quote_from && rest.starts_with(FROM) {
                    self.ready.push(b'>');
                }
                if self.lines.stuff_dots && rest.first() == Some(&b'.') {
                    self.ready.push(b'.');
                }
            }
            let end = rest.iter().position(|byte| *byte == b'\n');
            let (line, behind) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, &[]));
            self.ready.extend_from_slice(line);
            self.at_line_start = end.is_some();
            rest = match behind.split_first() {
                Some((_, behind)) => {
                    self.ready.extend_from_slice(&self.lines.eol);
                    behind
                }
                None => behind,
            };
        }
        if self.ended {
            if !self.at_line_start {
                self.ready.extend_from_slice(&self.lines.eol);
                self.at_line_start = true;
            }
            if std::mem::take(&mut self.lines.blank_line) {
                self.ready.extend_from_slice(&self.lines.eol);
            }
        }
        Ok(())
    }
}

const FROM: &[u8] = b"From ";

impl<R: Read> Read for Changed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.given >= self.ready.len() && !self.ended {
            self.fill()?;
        }
        let left = self.ready.get(self.given..).unwrap_or_default();
        let count = left.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), left.get(..count)) {
            to.copy_from_slice(from);
        }
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that gives one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let (Some((first, rest)), Some(to)) = (self.0.split_first(), into.first_mut()) else {
                return Ok(0);
            };
            *to = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn changed(text: &str, lines: &Lines) -> String {
        let mut all = Vec::new();
        Changed::new(Slow(text.as_bytes()), lines.clone()).read_to_end(&mut all).unwrap();
        let mut whole = Vec::new();
        Changed::new(text.as_bytes(), lines.clone()).read_to_end(&mut whole).unwrap();
        assert_eq!(all, whole);
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn lines_are_changed() {
        let mailbox = Lines::mailbox();
        let check =
            |lines: &Lines, text: &str, expect: &str| assert_eq!(changed(text, lines), expect, "{text:?}");
        check(&mailbox, "a: b\n\nFrom me\nxFrom\nFrom", "a: b\n\n>From me\nxFrom\nFrom\n\n");
        check(&mailbox, "", "\n");
        check(&mailbox, "From ", ">From \n\n");
        check(&Lines::plain(), "a\nb", "a\nb\n");
        let bsmtp = Lines { stuff_dots: true, eol: b"\r\n".to_vec(), ..Lines::plain() };
        check(&bsmtp, ".a\n..\nb.\n", "..a\r\n...\r\nb.\r\n");
    }

    #[test]
    fn a_line_across_pieces() {
        let text = format!("{}\nFrom x\n", "a".repeat(PIECE_BYTES - 3));
        assert!(changed(&text, &Lines::mailbox()).ends_with("a\n>From x\n\n"));
    }

    #[test]
    fn who_it_is_from() {
        let check = |sender: &str, expect: &str| {
            let line = from_line(
                &Address::from_internal(sender),
                Wall(1_795_364_137_000_000),
                &crate::time::Zone::utc(),
            );
            assert_eq!(line, format!("From {expect}  Sun Nov 22 16:15:37 2026\n"));
        };
        check("s@far.test", "s@far.test");
        check("a b@far.test", "\"a b\"@far.test");
        check("", "MAILER-DAEMON");
    }
}
