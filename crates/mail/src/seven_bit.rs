//! A message on its way to a server that takes no 8-bit text: its parts become quoted-printable, what holds them 7bit.
//!
//! Only what says `Content-Transfer-Encoding: 8bit` (or binary) is converted, part by part, while it passes: nothing
//! is held but one header, and of a line no more than shows whether it is a boundary. Which parts are looked into, and
//! where lines are broken, is Postfix's (`disable_mime_output_conversion`). 8-bit text in headers stays. RFC 2045 §6,
//! RFC 2046 §5.1, RFC 6152 §3.

use crate::header::{Header, is_continuation};
use crate::mime::{Content, content, first_word};

#[cfg(test)]
mod tests;

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `mime_nesting_limit`.
    pub nesting_max: usize,
    /// `mime_boundary_length_limit`, bytes of a boundary that count.
    pub boundary_max: usize,
    /// `header_size_limit`, bytes of a header that are kept.
    pub header_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { nesting_max: 100, boundary_max: 2048, header_bytes_max: 102_400 }
    }
}

/// Parts lie in parts too deep to be followed; the message can't be sent so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("MIME nesting exceeds safety limit")]
pub struct TooDeep;

/// A line of quoted-printable text is broken before the character that follows so many.
const BREAK_BEHIND: usize = 72;

/// A boundary that is looked for.
#[derive(Clone, Debug)]
struct Boundary {
    text: Vec<u8>,
    is_digest: bool,
}

/// Where the reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Headers,
    /// Text that stays as it is.
    Raw,
    /// Text that becomes quoted-printable.
    Encoded,
}

/// The conversion of one message.
#[derive(Debug)]
pub struct SevenBit {
    limits: Limits,
    state: State,
    content: Content,
    /// The block's last word on its encoding is 8bit or binary.
    is_8bit: bool,
    boundaries: Vec<Boundary>,
    /// The beginning of the line that comes in.
    line: Vec<u8>,
    /// The line's beginning has been dealt with, its rest follows.
    is_within: bool,
    /// The header that comes in, its lines ended by LF but for the last.
    header: Vec<u8>,
    quoted: Quoted,
}

impl SevenBit {
    /// Before a message's first header.
    #[must_use]
    pub fn new(limits: Limits) -> SevenBit {
        SevenBit {
            limits,
            state: State::Headers,
            content: Content::Plain,
            is_8bit: false,
            boundaries: Vec::new(),
            line: Vec::new(),
            is_within: false,
            header: Vec::new(),
            quoted: Quoted::default(),
        }
    }

    /// Takes in a piece, lines ended by LF, and appends what becomes of it to `out`.
    ///
    /// # Errors
    /// When parts lie too deep.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), TooDeep> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_end) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            let mut text = text;
            if !self.is_within {
                let room = self.decisive().saturating_sub(self.line.len());
                let (shown, behind) = text.split_at_checked(room).unwrap_or((text, &[]));
                self.line.extend_from_slice(shown);
                if !is_end && shown.len() < room {
                    continue;
                }
                text = behind;
                let line = std::mem::take(&mut self.line);
                self.begin(&line, out)?;
                self.line = line;
                self.line.clear();
                self.is_within = true;
            }
            if !text.is_empty() {
                self.rest(text, out);
            }
            if is_end {
                self.is_within = false;
                self.end_line(out);
            }
        }
        Ok(())
    }

    /// The message is over.
    ///
    /// # Errors
    /// When parts lie too deep.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), TooDeep> {
        if !self.line.is_empty() || self.is_within {
            self.push(b"\n", out)?;
        }
        if self.state == State::Headers {
            self.end_headers(out)?;
        }
        Ok(())
    }

    /// Bytes of a line that show what it is.
    fn decisive(&self) -> usize {
        match self.state {
            State::Headers => self.limits.header_bytes_max.max(1),
            State::Raw | State::Encoded => self.limits.boundary_max.saturating_add(5),
        }
    }

    /// The beginning of a line.
    fn begin(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), TooDeep> {
        while self.state == State::Headers {
            if is_continuation(line) && !self.header.is_empty() {
                self.header.push(b'\n');
                self.header.extend_from_slice(line);
                self.header.truncate(self.limits.header_bytes_max);
                return Ok(());
            }
            if Header::parse(line).is_some() {
                self.header_ends(out)?;
                self.header.extend_from_slice(line);
                self.header.truncate(self.limits.header_bytes_max);
                return Ok(());
            }
            self.end_headers(out)?;
            if line.is_empty() {
                return Ok(());
            }
        }
        if self.at_boundary(line) {
            self.quoted = Quoted::default();
            out.extend_from_slice(line);
        } else {
            self.rest(line, out);
        }
        Ok(())
    }

    /// More of a line.
    fn rest(&mut self, text: &[u8], out: &mut Vec<u8>) {
        match self.state {
            // A boundary's line goes on, or a header that is longer than it may be.
            State::Headers if self.header.is_empty() => out.extend_from_slice(text),
            State::Headers => {
                self.header.extend_from_slice(text);
                self.header.truncate(self.limits.header_bytes_max);
            }
            State::Raw => out.extend_from_slice(text),
            State::Encoded => self.quoted.text(text, out),
        }
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        match self.state {
            State::Headers if !self.header.is_empty() => {}
            State::Encoded => {
                self.quoted.end_line(out);
                out.push(b'\n');
            }
            State::Headers | State::Raw => out.push(b'\n'),
        }
    }

    /// Whether the line is a boundary; then parts that it ends are over, and what comes is known.
    fn at_boundary(&mut self, line: &[u8]) -> bool {
        // Two hyphens alone are none, not even of an empty boundary.
        let Some(text) = line.strip_prefix(b"--").filter(|text| !text.is_empty()) else { return false };
        let Some(at) = self.boundaries.iter().rposition(|one| text.starts_with(&one.text)) else {
            return false;
        };
        self.boundaries.truncate(at + 1);
        let rest = self.boundaries.last().and_then(|one| text.strip_prefix(one.text.as_slice()));
        let is_digest = self.boundaries.last().is_some_and(|one| one.is_digest);
        self.is_8bit = false;
        if rest.is_some_and(|rest| rest.starts_with(b"--")) {
            self.boundaries.pop();
            self.state = State::Raw;
        } else {
            self.state = State::Headers;
            self.content = if is_digest { Content::Message } else { Content::Plain };
        }
        true
    }

    /// A header is whole.
    fn header_ends(&mut self, out: &mut Vec<u8>) -> Result<(), TooDeep> {
        let text = std::mem::take(&mut self.header);
        let Some(header) = Header::parse(&text) else { return Ok(()) };
        if header.is("Content-Type") {
            self.content = content(header.value, self.limits.boundary_max);
            // What another one says later takes none of its parts back.
            if let Content::Multipart { boundary: Some(text), is_digest } = &mut self.content {
                // Postfix counts so.
                if self.boundaries.len() >= self.limits.nesting_max.saturating_add(2) {
                    return Err(TooDeep);
                }
                self.boundaries.push(Boundary { text: std::mem::take(text), is_digest: *is_digest });
            }
        } else if header.is("Content-Transfer-Encoding") {
            let word = first_word(header.value).unwrap_or_default();
            self.is_8bit = word.eq_ignore_ascii_case(b"8bit") || word.eq_ignore_ascii_case(b"binary");
            if self.is_8bit {
                return Ok(());
            }
        }
        out.extend_from_slice(&text);
        out.push(b'\n');
        Ok(())
    }

    /// A block of headers is over; `out` gets what its body will be.
    fn end_headers(&mut self, out: &mut Vec<u8>) -> Result<(), TooDeep> {
        self.header_ends(out)?;
        let is_8bit = std::mem::take(&mut self.is_8bit);
        let content = std::mem::take(&mut self.content);
        if is_8bit {
            let encoding = if content == Content::Plain { "quoted-printable" } else { "7bit" };
            out.extend_from_slice(format!("Content-Transfer-Encoding: {encoding}\n").as_bytes());
        }
        self.quoted = Quoted::default();
        self.state = match content {
            Content::Message => State::Headers,
            Content::Multipart { .. } => State::Raw,
            Content::Plain | Content::OtherMessage if is_8bit => State::Encoded,
            Content::Plain | Content::OtherMessage => State::Raw,
        };
        Ok(())
    }
}

/// Quoted-printable text under way.
#[derive(Debug, Default)]
struct Quoted {
    /// Characters of the line that goes out.
    column: usize,
    /// A blank or tab that may end the line.
    blank: Option<u8>,
}

impl Quoted {
    fn text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        for byte in text {
            if let Some(blank) = self.blank.take() {
                self.make_room(out);
                out.push(blank);
                self.column += 1;
            }
            match byte {
                b' ' | b'\t' => self.blank = Some(*byte),
                b'!'..=b'<' | b'>'..=b'~' => {
                    self.make_room(out);
                    out.push(*byte);
                    self.column += 1;
                }
                other => self.escaped(*other, out),
            }
        }
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        // RFC 2045 §6.7 (3): no blank at the end of a line.
        if let Some(blank) = self.blank.take() {
            self.escaped(blank, out);
        }
        self.column = 0;
    }

    fn escaped(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.make_room(out);
        out.extend_from_slice(format!("={byte:02X}").as_bytes());
        self.column += 3;
    }

    fn make_room(&mut self, out: &mut Vec<u8>) {
        if self.column > BREAK_BEHIND {
            out.extend_from_slice(b"=\n");
            self.column = 0;
        }
    }
}

/// Converts `message` in pieces as `bytes` falls, for fuzzing: however it is cut up, the same must come of it, no line
/// is longer than quoted-printable allows unless it was so, and nothing fails but for depth.
///
/// # Panics
/// When that doesn't hold.
pub fn fuzz(message: &[u8]) {
    let limits = Limits { nesting_max: 3, boundary_max: 16, header_bytes_max: 200 };
    let convert = |size: usize| {
        let (mut whole, mut out) = (SevenBit::new(limits), Vec::new());
        let done = message.chunks(size).try_for_each(|piece| whole.push(piece, &mut out));
        done.and_then(|()| whole.end(&mut out)).map(|()| out)
    };
    let whole = convert(message.len().max(1));
    for size in [1, 2, 7, 100] {
        assert_eq!(convert(size), whole, "cut into pieces of {size}");
    }
}
