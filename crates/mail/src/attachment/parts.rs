//! The parts of a message as they come: names in their headers, contents decoded.
//!
//! Not as one program reads them but as any might: a boundary is whatever a Content-Type can be taken to name, and
//! stays one; headers go on behind a line that is none, which may be the body's first as well; a body is read in each
//! encoding that it says to have. A text that is neither named nor attached is only read for uuencode's `begin`: it may
//! show a script. Base64, quoted-printable and uuencode, with or without the MIME that announces them. RFC 2045 §6,
//! RFC 2046 §5.1; T1.15.

use super::Danger;
use super::flow::{Coding, Flow, begins_uu};
use super::names::{boundaries, names};
use super::unpack::{Content, Job};
use crate::base64::Digits;
use crate::header::{Header, is_continuation};
use crate::mime::{Piece, Pieces, content, first_word};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a line that are looked at together.
const LINE_BYTES: usize = 4096;
/// Bytes of a header that are held.
const HEADER_BYTES: usize = 98_000;
/// Parts in parts.
const LEVELS_MAX: usize = 100;
/// Bytes of a boundary that count.
const BOUNDARY_BYTES: usize = 2048;
/// Bytes of all boundaries of a message, and what each costs besides.
const BOUNDARIES_BYTES: usize = 100_000;
const BOUNDARY_COST: usize = 32;

/// One message.
#[derive(Debug)]
pub(super) struct Parts {
    depth: u32,
    pieces: Pieces,
    /// The last piece ended no line.
    is_within: bool,
    place: Place,
    /// The header so far; what doesn't fit any more is dropped.
    header: Vec<u8>,
    boundaries: Boundaries,
    next: Announced,
    /// A header about the body has come since the last one began.
    is_announced: bool,
    /// The body as it stands is one of its readings.
    is_plain: bool,
    flows: Vec<Flow>,
    uu: Option<Flow>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    /// It may be the body, it may be headers still.
    Doubtful,
    Body,
}

/// What headers say of the body behind them.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "what several headers say, together")]
struct Announced {
    base64: bool,
    quoted: bool,
    /// An encoding that isn't plainly one of these.
    other: bool,
    is_message: bool,
    is_multipart: bool,
    /// Not only text to be shown.
    is_file: bool,
    name: Vec<u8>,
    boundaries: BTreeSet<Vec<u8>>,
}

/// Every boundary that a message has named.
#[derive(Debug, Default)]
struct Boundaries {
    known: BTreeMap<Vec<u8>, Boundary>,
    lengths: BTreeSet<usize>,
    bytes: usize,
    /// How deep the present part lies.
    level: usize,
}

#[derive(Clone, Copy, Debug)]
struct Boundary {
    level: usize,
    /// Parts are messages where they don't say otherwise.
    is_digest: bool,
}

impl Boundaries {
    fn add(&mut self, texts: &BTreeSet<Vec<u8>>, is_digest: bool) -> Result<(), Danger> {
        if texts.is_empty() {
            return Ok(());
        }
        self.level = self.level.saturating_add(1);
        for text in texts {
            let text = text.get(..text.len().min(BOUNDARY_BYTES)).unwrap_or_default();
            self.lengths.insert(text.len());
            if self.known.insert(text.to_vec(), Boundary { level: self.level, is_digest }).is_none() {
                self.bytes = self.bytes.saturating_add(text.len()).saturating_add(BOUNDARY_COST);
            }
        }
        if self.level > LEVELS_MAX || self.bytes > BOUNDARIES_BYTES { Err(Danger::Depth) } else { Ok(()) }
    }

    /// Whether the line is one, and whether the last of its parts: what begins with a boundary is one for some.
    fn find(&mut self, line: &[u8]) -> Option<(Boundary, bool)> {
        // Two hyphens alone are none, not even of an empty boundary.
        let text = line.strip_prefix(b"--").filter(|text| !text.is_empty())?;
        for length in self.lengths.range(..=text.len()).rev() {
            let (begins, behind) = text.split_at_checked(*length)?;
            if let Some(found) = self.known.get(begins) {
                self.level = found.level;
                return Some((*found, behind.starts_with(b"--")));
            }
        }
        None
    }
}

impl Parts {
    pub(super) fn new(depth: u32) -> Parts {
        Parts {
            depth,
            pieces: Pieces::new(LINE_BYTES),
            is_within: false,
            place: Place::Header,
            header: Vec::new(),
            boundaries: Boundaries::default(),
            next: Announced::default(),
            is_announced: false,
            is_plain: true,
            flows: Vec::new(),
            uu: None,
        }
    }

    /// Takes more of the message.
    pub(super) fn feed(&mut self, mut chunk: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        let mut pieces = std::mem::replace(&mut self.pieces, Pieces::new(LINE_BYTES));
        while let Some(piece) = pieces.next(&mut chunk) {
            self.piece(&piece, job)?;
        }
        self.pieces = pieces;
        Ok(())
    }

    /// The message is over.
    pub(super) fn end(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        if let Some(rest) = self.pieces.rest() {
            self.piece(&Piece { text: rest.into(), ends: true }, job)?;
        }
        self.end_header(job)?;
        self.end_body(job)
    }

    fn piece(&mut self, piece: &Piece<'_>, job: &mut Job<'_>) -> Result<(), Danger> {
        if std::mem::replace(&mut self.is_within, !piece.ends) {
            if !self.header.is_empty() {
                self.hold(&piece.text);
            }
            return if self.place == Place::Header { Ok(()) } else { self.body(piece, job) };
        }
        let line = without_cr(piece);
        if let Some((boundary, is_last)) = self.boundaries.find(line) {
            self.end_header(job)?;
            self.end_body(job)?;
            self.next = Announced { is_message: boundary.is_digest, ..Announced::default() };
            self.is_plain = true;
            self.place = if is_last { Place::Body } else { Place::Header };
            // A CR ends the line for some.
            if let Some(at) = memchr::memchr(b'\r', line).filter(|_| !is_last) {
                self.hold(line.get(at.saturating_add(1)..).unwrap_or_default());
            }
            return Ok(());
        }
        if self.place == Place::Body { self.body(piece, job) } else { self.header_line(piece, line, job) }
    }

    fn header_line(&mut self, piece: &Piece<'_>, line: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        let goes_on = is_continuation(line) && !self.header.is_empty();
        if goes_on {
            self.hold(b"\n");
        } else {
            self.end_header(job)?;
            if line.is_empty() && piece.ends {
                return self.blank_line(piece, job);
            }
        }
        let is_header = goes_on || Header::parse(line).is_some();
        if is_header || lines(line).any(|line| Header::parse(line).is_some()) {
            self.hold(line);
        }
        if self.place == Place::Header {
            if is_header {
                return Ok(());
            }
            self.begin_body(job)?;
            self.place = Place::Doubtful;
        }
        self.body(piece, job)
    }

    fn blank_line(&mut self, piece: &Piece<'_>, job: &mut Job<'_>) -> Result<(), Danger> {
        let begins = self.place == Place::Header || self.is_announced;
        self.place = Place::Body;
        if !begins {
            return self.body(piece, job);
        }
        self.begin_body(job)?;
        if self.next.is_message {
            // Its own headers, where it isn't encoded.
            self.next = Announced::default();
            self.place = Place::Doubtful;
        }
        Ok(())
    }

    fn hold(&mut self, text: &[u8]) {
        let room = HEADER_BYTES.saturating_add(1).saturating_sub(self.header.len());
        self.header.extend(text.iter().take(room));
    }

    /// A header is whole: as it stands, and with a line end in each CR.
    fn end_header(&mut self, job: &Job<'_>) -> Result<(), Danger> {
        if self.header.is_empty() {
            return Ok(());
        }
        let mut text = std::mem::take(&mut self.header);
        if memchr::memchr(b'\r', &text).is_some() {
            let mut one = Vec::new();
            for line in lines(&text) {
                if !is_continuation(line) {
                    self.read_header(&one, job)?;
                    one.clear();
                }
                one.extend_from_slice(line);
            }
            self.read_header(&one, job)?;
            text.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b' ');
        }
        self.read_header(&text, job)
    }

    fn read_header(&mut self, text: &[u8], job: &Job<'_>) -> Result<(), Danger> {
        let Some(header) = Header::parse(text) else { return Ok(()) };
        if header.is("Content-Transfer-Encoding") {
            self.is_announced = true;
            self.next.encoding(header.value);
            return Ok(());
        }
        let is_type = header.is("Content-Type");
        if !is_type && !header.is("Content-Disposition") {
            return Ok(());
        }
        self.is_announced = true;
        // What didn't fit any more was dropped.
        if text.len() > HEADER_BYTES {
            return Err(Danger::Names);
        }
        let word = first_word(header.value).unwrap_or_default().to_ascii_lowercase();
        if is_type {
            self.next.is_message |= word == b"message";
            self.next.is_multipart |= word == b"multipart";
            self.next.is_file |= ![&b"message"[..], b"multipart", b"text"].contains(&word.as_slice());
            let found = boundaries(header.value).map_err(|_| Danger::Names)?;
            let is_digest =
                matches!(content(header.value, 0), crate::mime::Content::Multipart { is_digest: true, .. });
            self.boundaries.add(&found, is_digest)?;
            self.next.boundaries.extend(found);
        } else {
            self.next.is_file |= word != b"inline";
        }
        for name in names(header.value).map_err(|_| Danger::Names)? {
            job.clean_name(&name)?;
            self.next.is_file = true;
            self.next.name = name.into_bytes();
        }
        Ok(())
    }

    fn begin_body(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        self.end_body(job)?;
        self.is_announced = false;
        let next = &self.next;
        self.is_plain = next.other || !(next.base64 || next.quoted);
        if self.is_plain && next.is_file {
            let content = Content::new(self.depth, &next.name);
            self.flows.push(Flow::new(Coding::Plain, content, self.depth));
        }
        let codings = [
            next.base64.then(|| Coding::Base64(Digits::default())),
            next.quoted.then(|| Coding::Quoted(Vec::new())),
        ];
        let inner = self.depth.saturating_add(1);
        for coding in codings.into_iter().flatten() {
            let content = if !(next.is_message || next.is_multipart) {
                Content::new(self.depth, &next.name)
            } else if inner <= job.rules.limits.depth {
                let mut parts = Parts::new(inner);
                parts.boundaries.add(&next.boundaries, false)?;
                Content::message(inner, &next.name, parts)
            } else {
                return job.too_deep();
            };
            self.flows.push(Flow::new(coding, content, self.depth));
        }
        Ok(())
    }

    fn end_body(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        self.flows.drain(..).chain(self.uu.take()).try_for_each(|flow| flow.end(job))
    }

    fn body(&mut self, piece: &Piece<'_>, job: &mut Job<'_>) -> Result<(), Danger> {
        self.flows.iter_mut().try_for_each(|flow| flow.line(&piece.text, piece.ends, job))?;
        if !self.is_plain {
            return Ok(());
        }
        // Messages within messages have the line ends that they were encoded with.
        let line = without_cr(piece);
        match self.uu.take() {
            Some(flow) if line.starts_with(b"end") => flow.end(job),
            Some(mut flow) => {
                flow.line(line, piece.ends, job)?;
                self.uu = Some(flow);
                Ok(())
            }
            None => {
                let Some(name) = begins_uu(line) else { return Ok(()) };
                job.name(name)?;
                self.uu = Some(Flow::new(Coding::Uu, Content::new(self.depth, name), self.depth));
                Ok(())
            }
        }
    }
}

impl Announced {
    /// A word with anything about it is another one for some, and no encoding.
    fn encoding(&mut self, value: &[u8]) {
        let small = value.trim_ascii().to_ascii_lowercase();
        let says = |word: &[u8]| memchr::memmem::find(&small, word).is_some();
        self.base64 |= says(b"base64");
        self.quoted |= says(b"quoted");
        self.other |= !matches!(small.as_slice(), b"base64" | b"quoted-printable");
    }
}

fn without_cr<'p>(piece: &'p Piece<'_>) -> &'p [u8] {
    piece.text.strip_suffix(b"\r").filter(|_| piece.ends).unwrap_or(&piece.text)
}

/// Lines, where each CR ends one as well.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| matches!(byte, b'\r' | b'\n'))
}
