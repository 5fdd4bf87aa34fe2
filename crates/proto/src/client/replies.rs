//! Reads a server's replies out of bytes: several lines, a code, perhaps an enhanced status code.
//!
//! A line without a code is no reply; Postfix goes on to the next one, and so do we. Both a line and a reply are
//! bounded. RFC 5321 §4.2.

use mail::Dsn;

/// Bytes of one line that are kept; Postfix's `line_length_limit`.
const LINE_MAX: usize = 2048;
/// Bytes of one reply's text that are kept.
const TEXT_MAX: usize = 8 * 1024;
/// Lines of one reply before the server is hung up on.
const LINES_MAX: usize = 1000;

/// One reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) code: u16,
    /// All lines as they came, a blank between them.
    pub(super) text: String,
    /// The lines behind their codes.
    pub(super) lines: Vec<String>,
    /// A line without a code that came before it.
    pub(super) strange: Option<String>,
}

impl Said {
    pub(super) const fn class(&self) -> u16 {
        self.code / 100
    }

    /// The last line's enhanced status code where it agrees with the code, else `class.0.0`.
    pub(super) fn dsn(&self) -> Dsn {
        let class = match self.class() {
            2 => 2,
            4 => 4,
            _ => 5,
        };
        let found = self.lines.last().and_then(|line| Dsn::parse_prefix(line)).map(|(dsn, _)| dsn);
        found.filter(|dsn| dsn.class == class).unwrap_or(Dsn::new(class, 0, 0))
    }
}

/// The reader.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// Bytes of whole lines that were not read yet, and of a line that isn't whole.
    input: Vec<u8>,
    /// The line that isn't whole is too long; what comes is dropped up to its end.
    skipping: bool,
    said: Said,
    lines: usize,
}

impl Replies {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line_start = self.input.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let room = LINE_MAX.saturating_sub(self.input.len().saturating_sub(line_start));
            let is_end = piece.ends_with(b"\n");
            if !self.skipping {
                let kept = piece.get(..room.min(piece.len())).unwrap_or(piece);
                self.input.extend_from_slice(kept);
                self.skipping = kept.len() < piece.len();
            }
            if is_end {
                if self.skipping {
                    self.input.push(b'\n');
                }
                self.skipping = false;
            }
        }
    }

    /// Whether a reply goes on without end.
    pub(super) const fn is_flood(&self) -> bool {
        self.lines > LINES_MAX
    }

    /// The next whole reply.
    pub(super) fn next(&mut self) -> Option<Said> {
        while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            self.lines += 1;
            if self.take(line) {
                self.lines = 0;
                return Some(std::mem::take(&mut self.said));
            }
        }
        None
    }

    /// Takes a line in; true when it is the last one of a reply.
    fn take(&mut self, line: &str) -> bool {
        let said = &mut self.said;
        if said.text.len() + line.len() < TEXT_MAX {
            if !said.text.is_empty() {
                said.text.push(' ');
            }
            said.text.push_str(line);
        }
        let code = line.get(..3).filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(code) = code.and_then(|code| code.parse().ok()).filter(|code| (200..600).contains(code))
        else {
            said.strange.get_or_insert_with(|| line.to_owned());
            return false;
        };
        let (mark, rest) = match line.as_bytes().get(3) {
            None => (b' ', ""),
            Some(mark) => (*mark, line.get(4..).unwrap_or_default()),
        };
        if mark != b' ' && mark != b'-' && mark != b'\t' {
            said.strange.get_or_insert_with(|| line.to_owned());
            return false;
        }
        said.code = code;
        said.lines.push(rest.to_owned());
        mark != b'-'
    }
}
