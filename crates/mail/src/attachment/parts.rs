//! The parts of a message as they come: names in their headers, contents decoded.
//!
//! Base64, quoted-printable and uuencode, with or without the MIME that announces them. Only what is encoded can hold a
//! program; other text is read for uuencode's `begin`. RFC 2045 §6; T1.15.

use super::Danger;
use super::names::names;
use super::unpack::{Content, Job};
use super::words::{digit, hex, low_byte};
use crate::base64::Digits;
use crate::header::Header;
use crate::mime::{Event, Faults, Pieces, Reader, Settings, Structure, first_word};

/// Bytes of a line that are looked at together.
const LINE_BYTES: usize = 4096;
/// Bytes of a header that has surely come whole.
const HEADER_BYTES: usize = 98_000;
/// Decoded bytes that are gathered.
const GATHERED_BYTES: usize = 16_384;

const READING: Settings = Settings {
    header_bytes_max: 102_400,
    keeps_lines: false,
    nesting_max: 100,
    boundary_max: 2048,
    structure: Structure::Parts,
    faults: Faults { header_8bit: false, body_8bit: false, encoding: false, nesting: true },
};

/// One message.
#[derive(Debug)]
pub(super) struct Parts {
    depth: u32,
    pieces: Pieces,
    reader: Reader,
    events: Vec<Event>,
    next: Announced,
    /// Headers have come since the last body began.
    is_announced: bool,
    coding: Coding,
    content: Option<Content>,
    gathered: Vec<u8>,
}

/// What headers say of the body behind them.
#[derive(Debug, Default)]
struct Announced {
    coding: Coding,
    is_message: bool,
    name: Vec<u8>,
}

#[derive(Debug, Default)]
enum Coding {
    #[default]
    Plain,
    Base64(Digits),
    /// What has come of an escape, and blanks that may end the line.
    Quoted(Vec<u8>),
    /// Within uuencoded text.
    Uu,
}

impl Parts {
    pub(super) fn new(depth: u32) -> Parts {
        Parts {
            depth,
            pieces: Pieces::new(LINE_BYTES),
            reader: Reader::new(READING),
            events: Vec::new(),
            next: Announced::default(),
            is_announced: false,
            coding: Coding::Plain,
            content: None,
            gathered: Vec::new(),
        }
    }

    /// Takes more of the message.
    pub(super) fn feed(&mut self, mut chunk: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        let mut pieces = std::mem::replace(&mut self.pieces, Pieces::new(LINE_BYTES));
        while let Some(piece) = pieces.next(&mut chunk) {
            // Messages within messages have the line ends that they were encoded with.
            let text = piece.text.strip_suffix(b"\r").filter(|_| piece.ends).unwrap_or(&piece.text);
            self.piece(text, piece.ends, job)?;
        }
        self.pieces = pieces;
        Ok(())
    }

    /// The message is over.
    pub(super) fn end(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        if let Some(rest) = self.pieces.rest() {
            self.piece(&rest, true, job)?;
        }
        let mut events = std::mem::take(&mut self.events);
        self.reader.end(&mut events);
        for event in events {
            self.event(&event, &[], true, job)?;
        }
        self.end_content(job)
    }

    fn piece(&mut self, text: &[u8], ends: bool, job: &mut Job<'_>) -> Result<(), Danger> {
        let mut events = std::mem::take(&mut self.events);
        self.reader.piece(text, ends, &mut events);
        for event in &events {
            self.event(event, text, ends, job)?;
        }
        events.clear();
        self.events = events;
        Ok(())
    }

    fn event(&mut self, event: &Event, text: &[u8], ends: bool, job: &mut Job<'_>) -> Result<(), Danger> {
        match event {
            Event::Header { text, .. } => self.header(text, job),
            Event::Body { offset } => {
                if *offset == 0 {
                    self.begin_content(job)?;
                    // The blank line behind the headers.
                    if text.is_empty() {
                        return Ok(());
                    }
                }
                self.body(text, ends, job)
            }
            Event::Fault(..) => Err(Danger::Depth),
            Event::HeadersEnd | Event::MissingBlank => Ok(()),
        }
    }

    fn header(&mut self, text: &[u8], job: &Job<'_>) -> Result<(), Danger> {
        let Some(header) = Header::parse(text) else { return Ok(()) };
        self.is_announced = true;
        if header.is("Content-Transfer-Encoding") {
            let coding = coding(header.value);
            // Of two, the one counts that can hold a program.
            if !matches!(coding, Coding::Plain) {
                self.next.coding = coding;
            }
            return Ok(());
        }
        let is_type = header.is("Content-Type");
        if !is_type && !header.is("Content-Disposition") {
            return Ok(());
        }
        // What didn't fit any more was dropped.
        if text.len() > HEADER_BYTES {
            return Err(Danger::Names);
        }
        if is_type {
            let word = first_word(header.value).unwrap_or_default();
            self.next.is_message =
                word.eq_ignore_ascii_case(b"message") || word.eq_ignore_ascii_case(b"multipart");
        }
        for name in names(header.value).map_err(|_| Danger::Names)? {
            job.clean_name(&name)?;
            self.next.name = name.into_bytes();
        }
        Ok(())
    }

    fn begin_content(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        // An encoded message begins a second time, where its headers should be.
        let goes_on = self.content.as_ref().is_some_and(Content::is_message);
        if !std::mem::take(&mut self.is_announced) && goes_on {
            return Ok(());
        }
        self.end_content(job)?;
        let next = std::mem::take(&mut self.next);
        self.coding = next.coding;
        if matches!(self.coding, Coding::Plain | Coding::Uu) {
            self.coding = Coding::Plain;
            return Ok(());
        }
        let inner = self.depth.saturating_add(1);
        self.content = Some(if !next.is_message {
            Content::new(self.depth, &next.name)
        } else if inner <= job.rules.limits.depth {
            Content::message(inner)
        } else {
            return job.too_deep();
        });
        Ok(())
    }

    fn end_content(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        self.flush(job)?;
        match self.content.take() {
            Some(mut content) => content.end(job),
            None => Ok(()),
        }
    }

    fn flush(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        if self.depth == 0 {
            job.spent.packed = job.spent.packed.saturating_add(self.gathered.len() as u64);
        }
        if let Some(content) = &mut self.content {
            content.feed(&self.gathered, job)?;
        }
        self.gathered.clear();
        Ok(())
    }

    fn body(&mut self, text: &[u8], ends: bool, job: &mut Job<'_>) -> Result<(), Danger> {
        match &mut self.coding {
            Coding::Plain => {
                let Some(name) = begins_uu(text) else { return Ok(()) };
                job.name(name)?;
                self.coding = Coding::Uu;
                self.content = Some(Content::new(self.depth, name));
            }
            Coding::Uu => {
                if text.starts_with(b"end") {
                    self.coding = Coding::Plain;
                    return self.end_content(job);
                }
                uu_line(text, &mut self.gathered);
            }
            Coding::Base64(digits) => {
                for byte in text {
                    match digit(*byte) {
                        Some(digit) => self.gathered.extend(digits.push(digit)),
                        None if *byte == b'=' => *digits = Digits::default(),
                        None => {}
                    }
                }
            }
            Coding::Quoted(held) => quoted(text, ends, held, &mut self.gathered),
        }
        if self.gathered.len() >= GATHERED_BYTES { self.flush(job) } else { Ok(()) }
    }
}

fn coding(value: &[u8]) -> Coding {
    let small = value.to_ascii_lowercase();
    let says = |word: &[u8]| memchr::memmem::find(&small, word).is_some();
    if says(b"base64") {
        Coding::Base64(Digits::default())
    } else if says(b"quoted") {
        Coding::Quoted(Vec::new())
    } else {
        Coding::Plain
    }
}

/// `begin 644 name`
fn begins_uu(line: &[u8]) -> Option<&[u8]> {
    let rest =
        line.strip_prefix(b"begin ").or_else(|| line.strip_prefix(b"begin-base64 "))?.trim_ascii_start();
    let digits = rest.iter().take_while(|byte| matches!(byte, b'0'..=b'7')).count();
    let name = rest.get(digits..)?;
    ((3..=6).contains(&digits) && name.first() == Some(&b' ')).then(|| name.trim_ascii())
}

/// A line of uuencoded text.
fn uu_line(line: &[u8], out: &mut Vec<u8>) {
    let Some((length, digits)) = line.split_first() else { return };
    let value = |byte: &u8| u32::from(byte.wrapping_sub(32) & 63);
    let mut left = usize::try_from(value(length)).unwrap_or(0);
    for four in digits.chunks(4) {
        let bits = (0..4).fold(0_u32, |bits, at| (bits << 6) | four.get(at).map_or(0, value));
        for shift in [16, 8, 0] {
            if left > 0 {
                out.push(low_byte(bits >> shift));
                left -= 1;
            }
        }
    }
}

/// Quoted-printable; `held` is what may be the beginning of an escape.
fn quoted(text: &[u8], ends: bool, held: &mut Vec<u8>, out: &mut Vec<u8>) {
    let joined;
    let mut rest = text;
    if !held.is_empty() {
        joined = [held.as_slice(), text].concat();
        held.clear();
        rest = &joined;
    }
    if ends {
        rest = rest.trim_ascii_end();
    }
    while let Some((first, behind)) = rest.split_first() {
        if *first != b'=' {
            out.push(*first);
            rest = behind;
            continue;
        }
        match behind {
            // The line goes on.
            [] if ends => return,
            [] | [_] if !ends => {
                held.extend_from_slice(rest);
                return;
            }
            [high, low, after @ ..] if hex(*high, *low).is_some() => {
                out.extend(hex(*high, *low));
                rest = after;
            }
            _ => {
                out.push(b'=');
                rest = behind;
            }
        }
    }
    if ends {
        out.extend_from_slice(b"\r\n");
    }
}
