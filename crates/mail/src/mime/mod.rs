//! A message read piece by piece: headers with their folding, where parts begin and end, lines of text.
//!
//! What header_checks(5) and body_checks see of a message, as Postfix's cleanup sees it: the message's own headers,
//! MIME headers wherever they stand, headers of attached messages, and everything else a line at a time, long lines
//! in pieces. Nothing is held but one header and the boundaries that are open. Nothing is decoded, nothing refused:
//! what is wrong is pointed out as a [`Fault`] where somebody wants to hear of it. RFC 2045, RFC 2046 §5.1,
//! RFC 5322 §2.2; T1.15, T2.13.

mod content;
mod pieces;
#[cfg(test)]
mod tests;

pub use content::{Content, content, first_word};
pub use pieces::{Piece, Pieces};

use crate::header::{Header, is_continuation};

/// What is looked at, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `header_size_limit`, bytes of a header that are kept.
    pub header_bytes_max: usize,
    /// A line of a header that begins within that limit is kept whole, as smtp(8) has it.
    pub keeps_lines: bool,
    /// `mime_nesting_limit`
    pub nesting_max: usize,
    /// `mime_boundary_length_limit`, bytes of a boundary that count.
    pub boundary_max: usize,
    /// Whether parts are told apart.
    pub structure: Structure,
    /// What is to be pointed out.
    pub faults: Faults,
}

/// `disable_mime_input_processing`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structure {
    /// Parts and attached messages are read.
    Parts,
    /// A header and a body.
    Flat,
}

/// Which faults are pointed out, each once in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set of four")]
pub struct Faults {
    /// `strict_7bit_headers`
    pub header_8bit: bool,
    /// `strict_8bitmime_body`
    pub body_8bit: bool,
    /// `strict_mime_encoding_domain`
    pub encoding: bool,
    /// Parts in parts, too deep.
    pub nesting: bool,
}

/// What is wrong with a message, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Parts lie too deep to be followed.
    Nesting,
    /// 8-bit text in a header.
    Header8Bit,
    /// 8-bit text in a body that says to be 7-bit.
    Body8Bit,
    /// A multipart or message that says to be encoded.
    Encoding,
}

impl Fault {
    /// Postfix's words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Fault::Nesting => "MIME nesting exceeds safety limit",
            Fault::Header8Bit => "improper use of 8-bit data in message header",
            Fault::Body8Bit => "improper use of 8-bit data in message body",
            Fault::Encoding => "invalid message/* or multipart/* encoding domain",
        }
    }
}

/// Whose checks see a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The message's own: `header_checks`.
    Primary,
    /// About MIME, or of a part: `mime_header_checks`.
    Mime,
    /// Of an attached message: `nested_header_checks`.
    Nested,
}

/// What a piece of a message turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A logical header is whole: `Name: value`, folded as it was, without the last line end.
    Header {
        /// Whose checks see it.
        class: Class,
        /// It is one of the message's own header block.
        is_top: bool,
        /// Name, colon, value.
        text: Vec<u8>,
    },
    /// The message's own headers have all come.
    HeadersEnd,
    /// Text comes where a header should be: a blank line is missing before it.
    MissingBlank,
    /// The piece itself is body text.
    Body {
        /// Bytes of this part before it, each line end as one.
        offset: u64,
    },
    /// Something is wrong; the text is what shows it, no more than 100 bytes.
    Fault(Fault, Vec<u8>),
}

/// Text of a fault that is kept.
const FAULT_BYTES: usize = 100;

/// What a line of a mailbox file becomes.
const MAILBOX_LINE: &[u8] = b"X-Mailbox-Line: ";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the message's own headers.
    Primary,
    /// In a part's headers.
    Part,
    /// In the headers of an attached message.
    Nested,
    Body,
}

/// An open boundary.
#[derive(Clone, Debug)]
struct Boundary {
    text: Vec<u8>,
    is_digest: bool,
}

/// What the encoding says of the bytes of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Encoding {
    /// 7bit, nothing, or anything else.
    SevenBit,
    /// 8bit, binary.
    Wide,
    /// quoted-printable, base64, as Postfix spells it.
    Encoded(&'static str),
}

/// One message on its way.
#[derive(Clone, Debug)]
pub struct Reader {
    settings: Settings,
    state: State,
    /// The next line is the first of the message as it was sent.
    is_first: bool,
    /// The header so far.
    header: Vec<u8>,
    /// Further lines of the header are dropped.
    is_cut: bool,
    /// The last piece ended no line.
    is_within: bool,
    content: Content,
    encoding: Encoding,
    /// The body may hold 8-bit text.
    is_wide: bool,
    boundaries: Vec<Boundary>,
    offset: u64,
    told: Faults,
}

impl Reader {
    /// Before a message's first line.
    #[must_use]
    pub const fn new(settings: Settings) -> Reader {
        Reader {
            settings,
            state: State::Primary,
            is_first: true,
            header: Vec::new(),
            is_cut: false,
            is_within: false,
            content: Content::Plain,
            encoding: Encoding::SevenBit,
            is_wide: false,
            boundaries: Vec::new(),
            offset: 0,
            told: Faults { header_8bit: false, body_8bit: false, encoding: false, nesting: false },
        }
    }

    /// What has come so far are headers of our own: the next line is the first that was sent.
    pub const fn content_begins(&mut self) {
        self.is_first = true;
    }

    /// Takes a line without its line end, or where `ends` is false a piece of one; adds what it shows to `events`.
    pub fn piece(&mut self, text: &[u8], ends: bool, events: &mut Vec<Event>) {
        let continues = std::mem::replace(&mut self.is_within, !ends);
        match self.state {
            State::Body if continues => self.body(text, ends, events),
            State::Body => self.body_line(text, ends, events),
            _ if continues => self.rest_of_header(text),
            _ => self.header_line(text, ends, events),
        }
    }

    /// The message is over.
    pub fn end(&mut self, events: &mut Vec<Event>) {
        if self.state != State::Body {
            self.end_block(false, events);
            self.state = State::Body;
        }
    }

    fn header_line(&mut self, text: &[u8], ends: bool, events: &mut Vec<Event>) {
        let is_first = std::mem::replace(&mut self.is_first, false);
        if is_continuation(text) && !self.header.is_empty() && !is_first {
            self.continuation(until_nul(text));
            return;
        }
        self.end_header(events);
        if let Some(header) = Header::parse(text) {
            self.header.extend_from_slice(header.name.as_bytes());
            self.header.push(b':');
            self.header.extend_from_slice(until_nul(header.value));
        } else if is_first && is_mailbox_line(text) {
            self.header.extend_from_slice(MAILBOX_LINE);
            self.header.extend_from_slice(until_nul(text));
            self.end_header(events);
        } else {
            self.first_body_line(text, ends, events);
        }
    }

    /// More of a line that belongs to a header.
    fn rest_of_header(&mut self, text: &[u8]) {
        let room = self.settings.header_bytes_max.saturating_sub(self.header.len());
        let room = if self.settings.keeps_lines && room > 0 { usize::MAX } else { room };
        if !self.is_cut {
            self.header.extend(until_nul(text).iter().take(room));
        }
    }

    /// A line that has no room is dropped with all that follow it.
    fn continuation(&mut self, text: &[u8]) {
        let room = self.settings.header_bytes_max.saturating_sub(self.header.len()).saturating_sub(1);
        let is_full = self.header.len() >= self.settings.header_bytes_max;
        self.is_cut |= if self.settings.keeps_lines { is_full } else { text.len() > room };
        if !self.is_cut {
            self.header.push(b'\n');
            self.header.extend_from_slice(text);
        }
    }

    /// A line that is no header: the block is over.
    fn first_body_line(&mut self, text: &[u8], ends: bool, events: &mut Vec<Event>) {
        let is_primary = self.state == State::Primary;
        let is_blank = text.is_empty() && ends;
        self.end_block(is_blank, events);
        if is_blank {
            self.body(text, ends, events);
            return;
        }
        if is_primary {
            events.push(Event::MissingBlank);
        }
        self.body_line(text, ends, events);
    }

    /// A logical header is whole.
    fn end_header(&mut self, events: &mut Vec<Event>) {
        self.is_cut = false;
        if self.header.is_empty() {
            return;
        }
        let mut text = std::mem::take(&mut self.header);
        text.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b' ');
        let Some(header) = Header::parse(&text) else { return };
        if header.is("Content-Type") {
            self.content = content(header.value, self.settings.boundary_max);
            self.open_parts(&text, events);
        } else if header.is("Content-Transfer-Encoding") {
            self.encoding = encoding(header.value);
        }
        let class = match self.state {
            State::Part => Class::Mime,
            _ if is_mime(header.name) => Class::Mime,
            State::Nested => Class::Nested,
            _ => Class::Primary,
        };
        if !text.is_ascii() {
            self.fault(Fault::Header8Bit, &text, events);
        }
        let is_top = self.state == State::Primary;
        events.push(Event::Header { class, is_top, text });
    }

    /// The parts that a Content-Type announces; what another one says later takes none of them back.
    fn open_parts(&mut self, text: &[u8], events: &mut Vec<Event>) {
        let Content::Multipart { boundary: Some(boundary), is_digest } = &mut self.content else { return };
        let boundary = Boundary { text: std::mem::take(boundary), is_digest: *is_digest };
        if self.settings.structure == Structure::Flat {
            return;
        }
        // Postfix counts so.
        if self.boundaries.len() >= self.settings.nesting_max.saturating_add(2) {
            let shown = text.get(..FAULT_BYTES.min(text.len())).unwrap_or_default();
            self.fault(Fault::Nesting, shown, events);
        } else {
            self.boundaries.push(boundary);
        }
    }

    /// A block of headers is over: what comes is known.
    fn end_block(&mut self, is_blank: bool, events: &mut Vec<Event>) {
        self.end_header(events);
        if self.state == State::Primary {
            events.push(Event::HeadersEnd);
        }
        self.offset = 0;
        let content = std::mem::take(&mut self.content);
        let encoding = std::mem::replace(&mut self.encoding, Encoding::SevenBit);
        self.state = State::Body;
        self.is_wide = false;
        if self.settings.structure == Structure::Flat {
            return;
        }
        let holds_parts = matches!(content, Content::Multipart { .. } | Content::Message);
        if let (true, Encoding::Encoded(name)) = (holds_parts, &encoding) {
            self.fault(Fault::Encoding, name.as_bytes(), events);
        }
        match content {
            Content::Message if is_blank => self.state = State::Nested,
            Content::Multipart { .. } | Content::Message => {}
            Content::Plain | Content::OtherMessage => self.is_wide = encoding != Encoding::SevenBit,
        }
    }

    /// The beginning of a line of text.
    fn body_line(&mut self, text: &[u8], ends: bool, events: &mut Vec<Event>) {
        match self.boundary(text) {
            None => self.body(text, ends, events),
            Some(state) => {
                self.is_wide = false;
                if state == State::Body {
                    self.offset = 0;
                }
                self.body(text, ends, events);
                self.state = state;
            }
        }
    }

    /// What comes behind the line, if it is a boundary; parts that it ends are over.
    fn boundary(&mut self, text: &[u8]) -> Option<State> {
        // Two hyphens alone are none, not even of an empty boundary.
        let text = text.strip_prefix(b"--").filter(|text| !text.is_empty())?;
        let at = self.boundaries.iter().rposition(|one| text.starts_with(&one.text))?;
        let boundary = self.boundaries.get(at)?;
        let is_last = text.get(boundary.text.len()..).is_some_and(|rest| rest.starts_with(b"--"));
        self.content = if boundary.is_digest && !is_last { Content::Message } else { Content::Plain };
        self.boundaries.truncate(if is_last { at } else { at + 1 });
        Some(if is_last { State::Body } else { State::Part })
    }

    fn body(&mut self, text: &[u8], ends: bool, events: &mut Vec<Event>) {
        if !self.is_wide && self.settings.faults.body_8bit && !text.is_ascii() {
            self.fault(Fault::Body8Bit, text, events);
        }
        events.push(Event::Body { offset: self.offset });
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.offset = self.offset.saturating_add(length).saturating_add(u64::from(ends));
    }

    fn fault(&mut self, fault: Fault, text: &[u8], events: &mut Vec<Event>) {
        let (wanted, told) = match fault {
            Fault::Nesting => (self.settings.faults.nesting, &mut self.told.nesting),
            Fault::Header8Bit => (self.settings.faults.header_8bit, &mut self.told.header_8bit),
            Fault::Body8Bit => (self.settings.faults.body_8bit, &mut self.told.body_8bit),
            Fault::Encoding => (self.settings.faults.encoding, &mut self.told.encoding),
        };
        let is_flat = self.settings.structure == Structure::Flat;
        if wanted && !is_flat && !std::mem::replace(told, true) {
            let text = text.get(..FAULT_BYTES.min(text.len())).unwrap_or_default().to_vec();
            events.push(Event::Fault(fault, text));
        }
    }
}

/// Headers about MIME, wherever they stand.
fn is_mime(name: &str) -> bool {
    const NAMES: [&str; 6] = [
        "Content-Description",
        "Content-Disposition",
        "Content-ID",
        "Content-Transfer-Encoding",
        "Content-Type",
        "MIME-Version",
    ];
    NAMES.iter().any(|one| one.eq_ignore_ascii_case(name))
}

fn encoding(value: &[u8]) -> Encoding {
    let word = first_word(value).unwrap_or_default().to_ascii_lowercase();
    match word.as_slice() {
        b"8bit" | b"binary" => Encoding::Wide,
        b"base64" => Encoding::Encoded("base64"),
        b"quoted-printable" => Encoding::Encoded("quoted-printable"),
        _ => Encoding::SevenBit,
    }
}

/// `From joe Mon Jan 1 …`, what a mailbox file has before a message.
pub(crate) fn is_mailbox_line(line: &[u8]) -> bool {
    line.strip_prefix(b">").unwrap_or(line).starts_with(b"From ")
}

/// What stands behind a NUL is cut off.
pub(crate) fn until_nul(line: &[u8]) -> &[u8] {
    line.split(|&b| b == 0).next().unwrap_or_default()
}

/// Reads `message` in chunks of all sizes, for fuzzing: however it is cut up, the same is seen, and of a header no more
/// is held than may be.
///
/// # Panics
/// When that doesn't hold.
pub fn fuzz(message: &[u8]) {
    let faults = Faults { header_8bit: true, body_8bit: true, encoding: true, nesting: true };
    let settings = Settings {
        header_bytes_max: 50,
        keeps_lines: message.len().is_multiple_of(2),
        nesting_max: 2,
        boundary_max: 10,
        structure: Structure::Parts,
        faults,
    };
    let read = |size: usize| {
        let (mut pieces, mut reader, mut events) = (Pieces::new(30), Reader::new(settings), Vec::new());
        for mut chunk in message.chunks(size.max(1)) {
            while let Some(piece) = pieces.next(&mut chunk) {
                reader.piece(&piece.text, piece.ends, &mut events);
                assert!(
                    reader.header.len() <= 80 && reader.boundaries.len() <= 4,
                    "more is held than may be"
                );
            }
        }
        if let Some(rest) = pieces.rest() {
            reader.piece(&rest, true, &mut events);
        }
        reader.end(&mut events);
        events
    };
    let whole = read(message.len());
    for size in [1, 2, 7, 29, 31] {
        assert_eq!(read(size), whole, "in chunks of {size}");
    }
}
