//! Reads a server's replies out of bytes: several lines, a code, perhaps an enhanced status code.
//!
//! A line without a code is no reply; Postfix goes on to the next one, and so do we. A line, a reply's text and what a
//! server may say in one reply are bounded. Each line passes `smtp_reply_filter` first. RFC 5321 §4.2.

use mail::Dsn;
use std::fmt;
use std::sync::Arc;

/// Bytes of one line, and of one reply, that are kept; Postfix's `line_length_limit`.
const TEXT_MAX: usize = 2048;
/// Lines of one reply before the server is hung up on.
const LINES_MAX: usize = 100_000;
/// Bytes of one reply before the server is hung up on.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a reply that a warning shows.
const SHOWN_MAX: usize = 30;

/// Says what stands for a line, where something else is to; or the name of the table that can't say.
pub type LineTest = dyn Fn(&str) -> Result<Option<String>, String> + Send + Sync;

/// `smtp_reply_filter`.
#[derive(Clone)]
pub struct LineFilter(pub Arc<LineTest>);

impl fmt::Debug for LineFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LineFilter")
    }
}

/// One reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) code: u16,
    /// All lines as they came, a blank between them.
    pub(super) text: String,
    /// The lines behind their codes.
    pub(super) lines: Vec<String>,
    /// What the last line says, behind its code.
    last: String,
    /// Something was left out.
    cut: bool,
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
            5 => 5,
            // Neither this nor that.
            _ => return Dsn::new(5, 5, 0),
        };
        let found = Dsn::parse_prefix(self.last.trim_start()).map(|(dsn, _)| dsn);
        found.filter(|dsn| dsn.class == class).unwrap_or(Dsn::new(class, 0, 0))
    }
}

/// What is told of a server's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remark {
    Note(String),
    Warning(String),
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
    bytes: usize,
    pub(super) filter: Option<LineFilter>,
    remarks: Vec<Remark>,
    /// What a line stands for can't be known: nothing is read any more.
    pub(super) has_failed: bool,
    /// Lines are kept as they came, for whoever takes them.
    pub(super) keeps_lines: bool,
    pub(super) lines_read: Vec<String>,
    /// There was a line that belongs to no reply.
    pub(super) has_nonsense: bool,
}

impl Replies {
    /// The same reader at a new beginning.
    pub(super) fn anew(&mut self) {
        let keeps_lines = self.keeps_lines;
        *self = Replies { filter: self.filter.take(), keeps_lines, ..Replies::default() };
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len());
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line_start = self.input.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let room = TEXT_MAX.saturating_sub(self.input.len().saturating_sub(line_start));
            let is_end = piece.ends_with(b"\n");
            if !self.skipping {
                let kept = piece.get(..room.min(piece.len())).unwrap_or(piece);
                self.input.extend_from_slice(kept);
                self.skipping = !piece.get(room..).unwrap_or_default().trim_ascii().is_empty();
                if self.skipping {
                    let shown = self.input.get(line_start..).unwrap_or_default();
                    self.remarks.push(Remark::Warning(format!(
                        "response longer than {TEXT_MAX}: {}...",
                        shown_of(&String::from_utf8_lossy(shown))
                    )));
                }
            }
            if is_end {
                if !self.input.ends_with(b"\n") {
                    self.input.push(b'\n');
                }
                self.skipping = false;
            }
        }
    }

    /// Whether a reply goes on without end.
    pub(super) const fn is_flood(&self) -> bool {
        self.lines > LINES_MAX || self.bytes > BYTES_MAX
    }

    #[cfg(test)]
    pub(super) fn bytes_kept(&self) -> usize {
        let lines = self.said.lines.iter().chain(&self.lines_read).map(String::len).sum::<usize>();
        self.input.len() + self.said.text.len() + self.said.last.len() + lines
    }

    /// What is to be told, in order.
    pub(super) fn take_remarks(&mut self) -> Vec<Remark> {
        std::mem::take(&mut self.remarks)
    }

    /// The next whole reply.
    pub(super) fn next(&mut self) -> Option<Said> {
        let input = std::mem::take(&mut self.input);
        let mut rest = input.as_slice();
        let mut found = None;
        while found.is_none()
            && !self.has_failed
            && let Some(end) = rest.iter().position(|byte| *byte == b'\n')
        {
            let (line, behind) = rest.split_at_checked(end + 1).unwrap_or((rest, &[]));
            rest = behind;
            let text = line.split(|byte| *byte == 0).next().unwrap_or_default();
            let line = mail::legible(text, '?');
            self.lines += 1;
            if self.take(line.trim_end_matches(['\r', '\n'])) {
                (self.lines, self.bytes) = (0, 0);
                found = Some(std::mem::take(&mut self.said));
            }
        }
        self.input = rest.to_vec();
        found
    }

    /// Takes a line in; true when it is the last one of a reply.
    fn take(&mut self, line: &str) -> bool {
        let replaced = match self.filter.as_ref().map(|filter| (filter.0)(line)).transpose() {
            Ok(replaced) => replaced.flatten(),
            Err(table) => {
                self.remarks.push(Remark::Warning(format!("table {table} lookup error for {line}")));
                self.has_failed = true;
                return false;
            }
        };
        if let Some(by) = &replaced {
            self.remarks.push(Remark::Note(format!("replacing server reply \"{line}\" with \"{by}\"")));
        }
        if self.keeps_lines {
            self.lines_read.push(line.to_owned());
        }
        let line = replaced.as_deref().unwrap_or(line);
        let code = line.get(..3).filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()));
        let code = code.and_then(|code| code.parse().ok());
        let (Some(code), mark @ (None | Some(b' ' | b'-'))) = (code, line.as_bytes().get(3)) else {
            self.has_nonsense = true;
            return false;
        };
        let rest = line.get(4..).unwrap_or_default();
        let said = &mut self.said;
        said.code = code;
        rest.clone_into(&mut said.last);
        let room = TEXT_MAX.saturating_sub(said.text.len());
        if said.text.is_empty() || room > line.len() {
            if !said.text.is_empty() {
                said.text.push(' ');
            }
            said.text.extend(line.chars().map(printable));
            said.lines.push(rest.to_owned());
        } else if !said.cut {
            said.cut = true;
            let shown = shown_of(&said.text.replace(" 250-", "?250-"));
            self.remarks
                .push(Remark::Warning(format!("multi-line response longer than {TEXT_MAX} {shown}...")));
        }
        mark != Some(&b'-')
    }
}

fn printable(c: char) -> char {
    if c.is_control() { '?' } else { c }
}

fn shown_of(text: &str) -> String {
    text.chars().take(SHOWN_MAX).map(printable).collect()
}
