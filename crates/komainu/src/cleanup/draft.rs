//! A message whose header and body somebody may change before it is durable.
//!
//! The content stays where it is; here are the places of its headers, and the new ones' text. Written anew is what
//! changed, once, at the end ([`Draft::write`]); another body at once. The first header is our own `Received:`, which
//! counts as a place and is shown to nobody. Bounded: [`HEADERS_MAX`] headers, [`FRONT_BYTES_MAX`] of text where one of
//! them changes.

use crate::counted::Counted;
use std::ops::Range;
use store::SpoolError;

/// More headers than any mail has.
const HEADERS_MAX: usize = 100_000;
/// The most of a header section that is written anew.
const FRONT_BYTES_MAX: u64 = 4 << 20;
/// Our own `Received:` is among so many first headers.
const OWN_AMONG: usize = 100;
/// What is read at once.
const WINDOW_BYTES: usize = 64 << 10;

/// A header, with all its lines.
#[derive(Clone, Debug)]
enum Line {
    /// As it came, with its last line end.
    Old(Range<u64>),
    /// Name, value, and whether a blank is to stand between.
    New(Vec<u8>),
}

/// Why a change can't be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum DraftError {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// There is more header than anybody changes.
    #[error("the header section is too large to be changed")]
    TooLarge,
    /// The new body makes it more than `message_size_limit`.
    #[error("the new body makes the message too large")]
    Body,
}

/// The headers as they stand.
#[derive(Debug)]
pub(super) struct Draft {
    lines: Vec<Line>,
    /// How long the header section is as it came, without the blank line.
    old_bytes: u64,
    /// A blank line follows it.
    has_blank: bool,
    changed: bool,
    /// Where our own `Received:` began.
    own: Option<u64>,
    /// The new body so far ended in a CR, which may be a line end's.
    body: Option<NewBody>,
}

#[derive(Debug, Default)]
struct NewBody {
    held_cr: bool,
    last: u8,
}

impl Draft {
    /// Finds the headers.
    pub(super) fn read(content: &Counted) -> Result<Draft, DraftError> {
        let mut draft = Draft {
            lines: Vec::new(),
            old_bytes: 0,
            has_blank: false,
            changed: false,
            own: None,
            body: None,
        };
        let mut window = vec![0; WINDOW_BYTES];
        let (mut at, mut begins) = (0u64, true);
        'all: loop {
            let read = content.read_at(&mut window, at)?;
            let Some(bytes) = window.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            for (offset, byte) in (at..).zip(bytes) {
                if begins {
                    match byte {
                        b'\n' => {
                            draft.has_blank = true;
                            draft.close(offset);
                            break 'all;
                        }
                        b' ' | b'\t' if !draft.lines.is_empty() => {}
                        _ => {
                            draft.close(offset);
                            if draft.lines.len() >= HEADERS_MAX {
                                return Err(DraftError::TooLarge);
                            }
                            draft.lines.push(Line::Old(offset..offset));
                        }
                    }
                }
                begins = *byte == b'\n';
            }
            at = at.saturating_add(bytes.len() as u64);
            draft.close(at);
        }
        // What access(5) has PREPENDed stands before it.
        for number in 0..draft.len().min(OWN_AMONG) {
            if let Some(Line::Old(range)) = draft.lines.get(number)
                && draft.header(number, content)?.0.eq_ignore_ascii_case("received")
            {
                draft.own = Some(range.start);
                break;
            }
        }
        Ok(draft)
    }

    /// The last header ends here, as far as is known.
    fn close(&mut self, at: u64) {
        if let Some(Line::Old(range)) = self.lines.last_mut() {
            range.end = at;
        }
        self.old_bytes = at;
    }

    /// How many headers there are.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// A header's name, and what stands behind its colon.
    pub(super) fn header(&self, number: usize, content: &Counted) -> Result<(String, Vec<u8>), DraftError> {
        let text = self.text(number, content)?;
        let text = text.strip_suffix(b"\n").unwrap_or(&text);
        let colon = text.iter().position(|byte| *byte == b':').unwrap_or(text.len());
        let (name, value) = text.split_at_checked(colon).unwrap_or((text, b""));
        let value = value.get(1..).unwrap_or_default();
        Ok((String::from_utf8_lossy(name).into_owned(), value.to_vec()))
    }

    fn text(&self, number: usize, content: &Counted) -> Result<Vec<u8>, DraftError> {
        match self.lines.get(number) {
            Some(Line::New(text)) => Ok(text.clone()),
            Some(Line::Old(range)) => {
                let length = range.end.saturating_sub(range.start).min(FRONT_BYTES_MAX);
                let mut text = vec![0; usize::try_from(length).unwrap_or(0)];
                let read = content.read_at(&mut text, range.start)?;
                text.truncate(read);
                Ok(text)
            }
            None => Ok(Vec::new()),
        }
    }

    /// All headers as they are written, but for our own and those above it.
    pub(super) fn texts(&self, content: &Counted) -> Result<Vec<(usize, Vec<u8>)>, DraftError> {
        let own = self.own_number();
        let first = if own < self.len() { own.saturating_add(1) } else { 0 };
        self.texts_of(first..self.len(), content)
    }

    /// All headers as they are written, but for our own.
    pub(super) fn all_texts(&self, content: &Counted) -> Result<Vec<(usize, Vec<u8>)>, DraftError> {
        let own = self.own_number();
        self.texts_of((0..self.len()).filter(|number| *number != own), content)
    }

    fn texts_of(
        &self,
        numbers: impl Iterator<Item = usize>,
        content: &Counted,
    ) -> Result<Vec<(usize, Vec<u8>)>, DraftError> {
        let (mut texts, mut bytes) = (Vec::new(), 0u64);
        for number in numbers {
            let text = self.text(number, content)?;
            bytes = bytes.saturating_add(text.len() as u64);
            if bytes > FRONT_BYTES_MAX {
                return Err(DraftError::TooLarge);
            }
            texts.push((number, text));
        }
        Ok(texts)
    }

    /// Takes a header out.
    pub(super) fn remove(&mut self, number: usize) {
        if number < self.lines.len() {
            self.lines.remove(number);
            self.changed = true;
        }
    }

    /// One more header, as it is written, behind `index` others.
    pub(super) fn insert(&mut self, index: usize, text: Vec<u8>) {
        let at = index.min(self.lines.len());
        self.lines.insert(at, Line::New(text));
        self.changed = true;
    }

    /// One more header, behind all others.
    pub(super) fn add(&mut self, text: Vec<u8>) {
        self.insert(usize::MAX, text);
    }

    /// Another text for the `index`th header of this name, of those that are shown; an empty one deletes it. Where there
    /// is none, it is added.
    pub(super) fn change(
        &mut self,
        index: u32,
        name: &[u8],
        text: Vec<u8>,
        content: &Counted,
    ) -> Result<(), DraftError> {
        let wanted = usize::try_from(index).unwrap_or(usize::MAX).max(1);
        let mut seen = 0usize;
        let own = self.own_number();
        for number in 0..self.lines.len() {
            if number == own || !self.header(number, content)?.0.as_bytes().eq_ignore_ascii_case(name) {
                continue;
            }
            seen = seen.saturating_add(1);
            if seen < wanted {
                continue;
            }
            self.changed = true;
            match self.lines.get_mut(number) {
                Some(slot) if !text.is_empty() => *slot = Line::New(text),
                _ => drop(self.lines.remove(number)),
            }
            return Ok(());
        }
        if !text.is_empty() {
            self.add(text);
        }
        Ok(())
    }

    /// The number of the header that is ours.
    pub(super) fn own_number(&self) -> usize {
        let Some(own) = self.own else { return usize::MAX };
        let is_own = |line: &Line| matches!(line, Line::Old(range) if range.start == own);
        self.lines.iter().position(is_own).unwrap_or(usize::MAX)
    }

    /// Where the body begins, as the content stands.
    pub(super) const fn body_begins(&self) -> u64 {
        self.old_bytes.saturating_add(self.has_blank as u64)
    }

    /// A piece of another body; the first one ends the old. `bytes_max` is what the message may have, 0 for no limit.
    pub(super) fn replace_body(
        &mut self,
        piece: &[u8],
        bytes_max: u64,
        content: &mut Counted,
    ) -> Result<(), DraftError> {
        if self.body.is_none() {
            content.truncate(self.body_begins())?;
            if !self.has_blank {
                content.write(b"\n")?;
                self.has_blank = true;
            }
        }
        let body = self.body.get_or_insert_with(NewBody::default);
        let mut text = Vec::with_capacity(piece.len().saturating_add(1));
        for &byte in piece {
            if std::mem::take(&mut body.held_cr) && byte != b'\n' {
                text.push(b'\r');
            }
            match byte {
                b'\r' => body.held_cr = true,
                _ => text.push(byte),
            }
        }
        let bytes = content.written().saturating_add(text.len() as u64);
        if bytes_max > 0 && bytes > bytes_max {
            return Err(DraftError::Body);
        }
        body.last = text.last().copied().unwrap_or(body.last);
        content.write(&text)?;
        Ok(())
    }

    /// The filter has no more of a new body: its last line ends.
    pub(super) fn end_body(&mut self, content: &mut Counted) -> Result<(), DraftError> {
        if let Some(body) = self.body.take()
            && !matches!(body.last, 0 | b'\n')
        {
            content.write(b"\n")?;
        }
        Ok(())
    }

    /// Puts the changed headers into the content.
    pub(super) fn write(mut self, content: &mut Counted) -> Result<(), DraftError> {
        self.end_body(content)?;
        if !self.changed {
            return Ok(());
        }
        // What stands unchanged at the end stays where it is.
        let mut end = self.old_bytes;
        while let Some(Line::Old(range)) = self.lines.last().filter(|line| ends_at(line, end)) {
            end = range.start;
            self.lines.pop();
        }
        let mut front = Vec::new();
        for number in 0..self.lines.len() {
            front.extend_from_slice(&self.text(number, content)?);
            if front.len() as u64 > FRONT_BYTES_MAX {
                return Err(DraftError::TooLarge);
            }
        }
        content.replace_front(end, &front)?;
        Ok(())
    }
}

fn ends_at(line: &Line, end: u64) -> bool {
    matches!(line, Line::Old(range) if range.end == end)
}

/// A header as it is written, with its line end. Where the value's lines could be taken for other headers, they are continued.
pub(super) fn header_text(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut text: Vec<u8> = name.iter().copied().filter(|byte| *byte != b'\n' && *byte != b'\r').collect();
    text.push(b':');
    let mut bytes = value.iter().copied().filter(|byte| *byte != b'\r').peekable();
    while let Some(byte) = bytes.next() {
        text.push(byte);
        if byte == b'\n' && !matches!(bytes.peek(), Some(b' ' | b'\t')) && bytes.peek().is_some() {
            text.push(b'\t');
        }
    }
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text
}
