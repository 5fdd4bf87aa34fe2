//! Message content on its way in: DATA's lines with their dots, BDAT's counted bytes.
//!
//! Out come chunks with `<LF>` line ends and the stuffed dots gone (RFC 5321 §4.5.2, RFC 3030). Where the
//! message ends is decided here and only here: on `<CR><LF>.<CR><LF>`, except under
//! `smtpd_forbid_bare_newline = no`. No byte is kept twice and none is looked at one by one.

use super::BareNewline;

/// The most that one chunk holds.
pub(super) const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// What of the current line has been seen but not yet passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Nothing: it begins.
    Start,
    /// A dot at its start.
    Dot,
    /// A dot and that many `<CR>`.
    DotCr(usize),
    /// Some content.
    Middle,
    /// Some content, then that many `<CR>`.
    Cr(usize),
}

/// The decoder of one message's content.
#[derive(Debug)]
pub(super) struct Content {
    mode: BareNewline,
    limit: u64,
    line: Line,
    /// Whether the line before ended in `<CR><LF>`; so it is taken for the command line.
    after_crlf: bool,
    /// Wire bytes so far, in canonical line ends.
    size: u64,
    /// The same, of whole lines.
    line_bytes: u64,
    /// BDAT's bytes.
    received: u64,
    /// Whether a line ended in a bare `<LF>`.
    bare_newline: bool,
    too_large: bool,
    /// How much has come at once: room for that is made at once.
    expected: usize,
    chunk: Vec<u8>,
    spare: Vec<Vec<u8>>,
    ready: Vec<Vec<u8>>,
}

/// What [`Content::data`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// All was content; more is to come.
    More,
    /// The end of data was found; so many bytes were used.
    End(usize),
}

impl Content {
    /// For a new message. `limit` 0 is none.
    pub(super) fn new(mode: BareNewline, limit: u64) -> Content {
        Content {
            mode,
            limit,
            line: Line::Start,
            after_crlf: true,
            size: 0,
            line_bytes: 0,
            received: 0,
            bare_newline: false,
            too_large: false,
            expected: 0,
            chunk: Vec::new(),
            spare: Vec::new(),
            ready: Vec::new(),
        }
    }

    /// Content bytes, as sent with `<CR><LF>`, dots unstuffed.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Content bytes in whole lines, as log lines count them.
    pub(super) fn line_bytes(&self) -> u64 {
        self.line_bytes
    }

    /// Bytes that came by BDAT.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Whether `message_size_limit` was passed; content is thrown away from then on.
    pub(super) fn too_large(&self) -> bool {
        self.too_large
    }

    /// Whether any line ended in a bare `<LF>`.
    pub(super) fn bare_newline(&self) -> bool {
        self.bare_newline
    }

    /// Full chunks.
    pub(super) fn take_ready(&mut self) -> std::vec::Drain<'_, Vec<u8>> {
        self.ready.drain(..)
    }

    /// The last, partly filled chunk.
    pub(super) fn take_rest(&mut self) -> Option<Vec<u8>> {
        (!self.chunk.is_empty()).then(|| std::mem::take(&mut self.chunk))
    }

    /// A chunk's buffer comes back.
    pub(super) fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < 2 && buffer.capacity() <= 2 * CHUNK_BYTES_MAX {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// Bytes of the heap that are held.
    pub(super) fn heap_bytes(&self) -> usize {
        let of = |list: &Vec<Vec<u8>>| list.iter().map(Vec::capacity).sum::<usize>();
        self.chunk.capacity() + of(&self.spare) + of(&self.ready)
    }

    /// DATA's lines. Stops at the end of data.
    pub(super) fn data(&mut self, bytes: &[u8]) -> Fed {
        self.expected = bytes.len();
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.line == Line::Start {
                if let Some((b'.', after)) = rest.split_first() {
                    self.line = Line::Dot;
                    rest = after;
                    continue;
                }
                self.line = Line::Middle;
            }
            let newline = memchr::memchr(b'\n', rest);
            let (piece, after) = rest.split_at(newline.unwrap_or(rest.len()));
            self.piece(piece);
            if newline.is_some() {
                rest = after.split_first().map_or(&[][..], |(_, after)| after);
                if self.newline() {
                    return Fed::End(bytes.len().saturating_sub(rest.len()));
                }
            } else {
                rest = &[];
            }
        }
        Fed::More
    }

    /// BDAT's bytes: no dots, no end mark.
    pub(super) fn binary(&mut self, bytes: &[u8]) {
        self.received = self.received.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.expected = bytes.len();
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.line == Line::Start {
                self.line = Line::Middle;
            }
            let newline = memchr::memchr(b'\n', rest);
            let (piece, after) = rest.split_at(newline.unwrap_or(rest.len()));
            self.piece(piece);
            rest = &[];
            if newline.is_some() {
                rest = after.split_first().map_or(&[][..], |(_, after)| after);
                self.end_line();
            }
        }
    }

    /// BDAT LAST: a line without its end gets one.
    pub(super) fn finish(&mut self) {
        match self.line {
            Line::Start => {}
            Line::Cr(count) => {
                self.carriage_returns(count);
                self.put(b"\n", 2);
            }
            _ => self.put(b"\n", 2),
        }
        self.line = Line::Start;
    }

    /// A part of a line without `<LF>`; a `<CR>` at its end is held, for it may belong to the line end.
    fn piece(&mut self, piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        let body = piece.len() - piece.iter().rev().take_while(|&&b| b == b'\r').count();
        let (body, returns) = piece.split_at(body);
        if body.is_empty() {
            self.line = match self.line {
                Line::Dot => Line::DotCr(returns.len()),
                Line::DotCr(count) => Line::DotCr(count + returns.len()),
                Line::Cr(count) => Line::Cr(count + returns.len()),
                Line::Start | Line::Middle => Line::Cr(returns.len()),
            };
            return;
        }
        // A dot with something behind it was stuffed, or should have been: it goes either way.
        if let Line::DotCr(count) | Line::Cr(count) = self.line {
            self.carriage_returns(count);
        }
        self.put(body, body.len());
        self.line = if returns.is_empty() { Line::Middle } else { Line::Cr(returns.len()) };
    }

    /// A `<LF>` in DATA. Whether it ends the data.
    fn newline(&mut self) -> bool {
        match self.line {
            Line::Dot | Line::DotCr(_) if self.mode == BareNewline::Allow => return true,
            Line::DotCr(1) if self.after_crlf => return true,
            // Somebody else's end of data, perhaps. Postfix drops it, so nobody behind us takes it for one.
            Line::Dot | Line::DotCr(1) => {
                self.after_crlf = self.line != Line::Dot;
                self.bare_newline |= !self.after_crlf;
                self.line = Line::Start;
            }
            _ => self.end_line(),
        }
        false
    }

    /// A line's end that is content.
    fn end_line(&mut self) {
        let returns = match self.line {
            Line::Cr(count) | Line::DotCr(count) => count,
            _ => 0,
        };
        self.after_crlf = returns > 0;
        self.bare_newline |= returns == 0;
        if self.mode != BareNewline::Allow {
            self.carriage_returns(returns.saturating_sub(1));
        }
        self.put(b"\n", 2);
        self.line_bytes = self.size;
        self.line = Line::Start;
    }

    /// `<CR>`s that turned out to be content.
    fn carriage_returns(&mut self, mut count: usize) {
        const RETURNS: [u8; 64] = [b'\r'; 64];
        while count > 0 {
            let now = count.min(RETURNS.len());
            self.put(RETURNS.get(..now).unwrap_or_default(), now);
            count -= now;
        }
    }

    /// Appends content that took `wire` bytes.
    fn put(&mut self, mut bytes: &[u8], wire: usize) {
        self.size = self.size.saturating_add(u64::try_from(wire).unwrap_or(u64::MAX));
        if self.limit > 0 && self.size > self.limit && !self.too_large {
            self.too_large = true;
            self.chunk = Vec::new();
            self.ready = Vec::new();
        }
        if self.too_large {
            return;
        }
        while !bytes.is_empty() {
            if self.chunk.capacity() == 0 {
                self.chunk = self.spare.pop().unwrap_or_default();
                self.chunk.reserve(self.expected.min(CHUNK_BYTES_MAX));
            }
            let room = CHUNK_BYTES_MAX.saturating_sub(self.chunk.len()).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            self.chunk.extend_from_slice(now);
            bytes = later;
            if self.chunk.len() >= CHUNK_BYTES_MAX {
                self.ready.push(std::mem::take(&mut self.chunk));
            }
        }
    }
}
