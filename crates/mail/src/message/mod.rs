//! What becomes of a message's header on its way in: Postfix's cleanup(8), for mail from the network.
//!
//! Chunks go in (lines end with LF), chunks come out; never more than one header is held, and of that no more
//! than `header_size_limit`. Hops are counted, `message_drop_headers` dropped, missing headers added where the
//! client is one of `local_header_rewrite_clients`, and a blank line stands before text that is no header.
//! Addresses in headers are not rewritten here, only pointed out ([`Cleanup::with_marks`]): who rewrites them asks
//! tables. MIME structure is not looked at, nothing is looked up in header_checks: where that is wanted, [`crate::mime`]
//! reads the message and hands over its headers one by one ([`Cleanup::header`]). RFC 5322 §3.6, RFC 5321 §6.3 (loop detection); T1.13.

mod marks;
mod received;
mod record_size;
#[cfg(test)]
mod tests;

pub use marks::{Mark, Whose};
pub use received::{Protocol, Received, Security, delivery_headers, local_received, return_headers};
pub use record_size::RecordSize;

use crate::header::{Header, is_continuation};
use crate::mime::{is_mailbox_line, until_nul};
use crate::time::{self, Zone};
use crate::{Address, Dsn, QueueId, Reply, Wall};

/// cleanup's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupSettings {
    /// `header_size_limit`.
    pub header_bytes_max: usize,
    /// `hopcount_limit`.
    pub hops_max: usize,
    /// `message_drop_headers`, and `Resent-Bcc` with `Bcc`.
    pub dropped: Vec<String>,
    /// `cleanup_replace_stray_cr_lf`.
    pub stray_cr: StrayCr,
}

/// The pieces in which Postfix reads a very long line (`line_length_limit`).
const RECORD_BYTES: usize = 2_048;

/// What is done to a CR that ends no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrayCr {
    /// It becomes a blank, in header and body (SMTP smuggling).
    Replace,
    /// It becomes a blank in headers only.
    KeepInBody,
}

impl Default for CleanupSettings {
    /// Postfix's defaults.
    fn default() -> CleanupSettings {
        let dropped = ["bcc", "content-length", "resent-bcc", "return-path"];
        CleanupSettings {
            header_bytes_max: 102_400,
            hops_max: 50,
            dropped: dropped.map(str::to_owned).to_vec(),
            stray_cr: StrayCr::Replace,
        }
    }
}

/// The headers that are added where the message has none: `Message-Id:`, `Date:`, `From:`, and what is wanted in place of
/// recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingHeaders {
    message_id: String,
    date: String,
    from: String,
    recipients: Option<String>,
}

impl MissingHeaders {
    /// For a client of `local_header_rewrite_clients`, or with `always_add_missing_headers`.
    #[must_use]
    pub fn new(id: &QueueId, wall: Wall, zone: &Zone, hostname: &str, sender: &Address) -> MissingHeaders {
        let from = if sender.is_null() { "MAILER-DAEMON".to_owned() } else { sender.to_external() };
        MissingHeaders {
            message_id: if id.is_long() {
                format!("<{id}@{hostname}>")
            } else {
                format!("<{}.{id}@{hostname}>", time::compact(wall))
            },
            date: time::rfc5322(wall, zone),
            from,
            recipients: None,
        }
    }

    /// With a header for a message that names no recipients (`undisclosed_recipients_header`).
    #[must_use]
    pub fn undisclosed(self, header: Option<&str>) -> MissingHeaders {
        MissingHeaders { recipients: header.map(str::to_owned), ..self }
    }

    /// With the sender's full name in `From:`; an empty one changes nothing, and the null sender has none.
    #[must_use]
    pub fn named(mut self, full_name: &str, format: FromFormat, sender: &Address) -> MissingHeaders {
        let words: Vec<&str> = full_name.split_whitespace().collect();
        let name = words.join(" ");
        if name.is_empty() || sender.is_null() {
            return self;
        }
        let address = &self.from;
        self.from = match format {
            FromFormat::Standard => format!("{} <{address}>", phrase(&name)),
            FromFormat::Obsolete => format!("{address} ({})", name.replace(['(', ')', '\\'], " ")),
        };
        self
    }
}

/// `header_from_format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FromFormat {
    /// `name <address>`
    #[default]
    Standard,
    /// `address (name)`
    Obsolete,
}

/// A name in front of an address: in quotes where a character of it has a meaning there.
fn phrase(name: &str) -> String {
    if !name.contains(|c: char| c.is_control() || "()<>@,;:\\\".[]".contains(c)) {
        return name.to_owned();
    }
    let mut text = String::from('"');
    for c in name.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

/// What is known once the message has passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The id as cleanup logs it, the added one too: `message-id=<…>`.
    pub message_id: Option<String>,
    /// The same of a resent message: `resent-message-id=<…>`.
    pub resent_message_id: Option<String>,
    /// `Received:` headers, those not counted that were written before the first chunk.
    pub received: usize,
    /// It has been through too many hosts: to be refused with [`too_many_hops`].
    pub too_many_hops: bool,
    /// It was one host too many before there was an id.
    pub loops_before_id: bool,
    /// There is more than ASCII in its header.
    pub has_8bit_header: bool,
    /// Its header says `Content-Transfer-Encoding: 8bit` (`detect_8bit_encoding_header`).
    pub says_8bit: bool,
}

/// cleanup's answer to a mail loop.
#[must_use]
pub fn too_many_hops() -> Reply {
    Reply { code: 554, dsn: Some(Dsn::new(5, 4, 0)), text: "Error: too many hops".to_owned() }
}

/// Which headers the message had.
#[derive(Clone, Debug, Default)]
struct Seen {
    message_id: bool,
    date: bool,
    from: bool,
    recipients: bool,
    resent: bool,
    resent_message_id: bool,
    resent_date: bool,
    resent_from: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing has come yet.
    Start,
    /// Between header lines.
    Header,
    /// Behind the header.
    Body,
}

/// One message on its way.
#[derive(Clone, Debug)]
pub struct Cleanup {
    settings: std::sync::Arc<CleanupSettings>,
    missing: Option<MissingHeaders>,
    state: State,
    /// The physical line that has begun, at most `header_bytes_max` of it.
    line: Vec<u8>,
    /// The logical header so far, without its last line end.
    header: Vec<u8>,
    /// The logical header was too long: its further lines are dropped.
    cut: bool,
    seen: Seen,
    summary: Summary,
    /// Where headers with addresses stand in what was written; `None` where nobody asks.
    marks: Option<Vec<Mark>>,
    /// Our own `Received:`, where it didn't come through here.
    hops_before: usize,
}

impl Cleanup {
    /// Begins a message. The caller has written what comes first (`PREPEND`ed headers, `Received:`).
    #[must_use]
    pub fn new(settings: std::sync::Arc<CleanupSettings>, missing: Option<MissingHeaders>) -> Cleanup {
        Cleanup {
            settings,
            missing,
            state: State::Start,
            line: Vec::new(),
            header: Vec::new(),
            cut: false,
            seen: Seen::default(),
            summary: Summary::default(),
            marks: None,
            hops_before: 1,
        }
    }

    /// The same; headers with addresses are pointed out.
    #[must_use]
    pub fn with_marks(self) -> Cleanup {
        Cleanup { marks: Some(Vec::new()), ..self }
    }

    /// The same for a message whose own first lines come through here too.
    #[must_use]
    pub fn with_head(self) -> Cleanup {
        Cleanup { hops_before: 0, ..self }
    }

    /// Takes a logical header that was read elsewhere, without its last line end.
    pub fn header(&mut self, text: &[u8], out: &mut Vec<u8>) {
        self.state = State::Header;
        self.header = text.get(..text.len().min(self.settings.header_bytes_max)).unwrap_or_default().to_vec();
        self.end_logical(out);
    }

    /// All headers have been handed over; what follows is written past here.
    pub fn end_of_headers(&mut self, out: &mut Vec<u8>) {
        self.end_header(out);
        self.state = State::Body;
    }

    /// Whether its text has begun.
    #[must_use]
    pub fn is_behind_header(&self) -> bool {
        self.state == State::Body
    }

    /// What is known so far.
    #[must_use]
    pub const fn so_far(&self) -> &Summary {
        &self.summary
    }

    /// Whether bare CRs are to become blanks in the body.
    #[must_use]
    pub fn replaces_stray_cr(&self) -> bool {
        self.settings.stray_cr == StrayCr::Replace
    }

    /// The headers with addresses since the last call, as they stand in `out` of the calls since.
    pub fn take_marks(&mut self) -> Vec<Mark> {
        self.marks.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes a chunk, which may begin and end anywhere; appends to `out` what is ready.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let mut rest = chunk;
        while self.state != State::Body {
            let Some(at) = rest.iter().position(|&b| b == b'\n') else {
                self.begin_line(rest, out);
                return;
            };
            let (line, behind) = rest.split_at(at);
            self.begin_line(line, out);
            rest = behind;
            if self.state != State::Body {
                rest = rest.get(1..).unwrap_or_default();
                self.end_line(out);
            }
        }
        self.body(rest, out);
    }

    /// The message has ended.
    #[must_use]
    pub fn finish(mut self, out: &mut Vec<u8>) -> Summary {
        self.end(out);
        self.summary()
    }

    /// The message has ended; headers that come out now may still be pointed out.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if self.state != State::Body {
            if !self.line.is_empty() {
                self.end_line(out);
            }
            if self.state != State::Body {
                self.end_header(out);
            }
        }
        self.summary.too_many_hops =
            self.summary.received.saturating_add(self.hops_before) >= self.settings.hops_max;
    }

    /// What is known; all of it behind [`Cleanup::end`].
    #[must_use]
    pub fn summary(self) -> Summary {
        self.summary
    }

    /// Takes more of a header line.
    fn begin_line(&mut self, part: &[u8], out: &mut Vec<u8>) {
        let room = self.settings.header_bytes_max.saturating_sub(self.line.len());
        let (fits, beyond) = part.split_at(room.min(part.len()));
        self.line.extend_from_slice(fits);
        if !beyond.is_empty() && !self.may_cut() {
            // Too long for a header's name: this is text already.
            self.start_body(out);
            self.body(beyond, out);
        }
    }

    /// Whether the begun line belongs to the header, so that what is too much of it is dropped.
    fn may_cut(&self) -> bool {
        (is_continuation(&self.line) && !self.header.is_empty())
            || (self.state == State::Start && is_mailbox_line(&self.line))
            || Header::parse(&self.line).is_some()
    }

    /// A header line is complete.
    fn end_line(&mut self, out: &mut Vec<u8>) {
        let is_first = self.state == State::Start;
        self.state = State::Header;
        let line = std::mem::take(&mut self.line);
        if is_continuation(&line) && !self.header.is_empty() {
            self.continue_header(until_nul(&line));
            return;
        }
        self.end_logical(out);
        if line.is_empty() {
            self.end_header(out);
            self.state = State::Body;
            out.push(b'\n');
        } else if Header::parse(&line).is_some() {
            self.header = until_nul(&line).to_vec();
        } else if is_first && is_mailbox_line(&line) {
            out.extend_from_slice(b"X-Mailbox-Line: ");
            push_line(&line, out);
        } else {
            self.line = line;
            self.start_body(out);
            self.body(b"\n", out);
        }
    }

    /// A line that has no room is dropped with all that follow it, a very long one is cut.
    fn continue_header(&mut self, line: &[u8]) {
        let room = self.settings.header_bytes_max.saturating_sub(self.header.len()).saturating_sub(1);
        self.cut |= line.len().min(RECORD_BYTES) > room;
        if !self.cut {
            self.header.push(b'\n');
            self.header.extend(line.iter().take(room));
        }
    }

    /// Text comes where a header should be: ends the header, puts a blank line between, writes the begun line.
    fn start_body(&mut self, out: &mut Vec<u8>) {
        self.end_logical(out);
        self.end_header(out);
        self.state = State::Body;
        out.push(b'\n');
        let line = std::mem::take(&mut self.line);
        self.body(&line, out);
    }

    fn body(&self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.settings.stray_cr {
            StrayCr::Replace => out.extend(bytes.iter().map(|&b| if b == b'\r' { b' ' } else { b })),
            StrayCr::KeepInBody => out.extend_from_slice(bytes),
        }
    }

    /// The logical header is complete.
    fn end_logical(&mut self, out: &mut Vec<u8>) {
        let text = std::mem::take(&mut self.header);
        self.cut = false;
        let Some(header) = Header::parse(&text) else { return };
        self.seen.resent |= is_resent(header.name);
        if self.settings.dropped.iter().any(|name| header.is(name)) {
            return;
        }
        self.note(&header);
        let begin = out.len();
        out.extend_from_slice(header.name.as_bytes());
        out.push(b':');
        push_line(header.value, out);
        if let (Some(marks), Some(whose)) = (&mut self.marks, Whose::of(header.name)) {
            marks.push(Mark { bytes: begin..out.len(), whose });
        }
    }

    fn note(&mut self, header: &Header<'_>) {
        let name = header.name.to_ascii_lowercase();
        self.summary.has_8bit_header |= !header.value.is_ascii();
        let seen = &mut self.seen;
        match name.as_str() {
            "received" => {
                self.summary.received = self.summary.received.saturating_add(1);
                let hops = self.summary.received.saturating_add(self.hops_before);
                self.summary.loops_before_id |= hops >= self.settings.hops_max && !seen.message_id;
            }
            "to" | "cc" | "resent-to" | "resent-cc" => seen.recipients = true,
            "date" => seen.date = true,
            "from" => seen.from = true,
            "message-id" => {
                seen.message_id = true;
                note_id(&mut self.summary.message_id, header);
            }
            "content-transfer-encoding" => {
                self.summary.says_8bit |= header.value.trim_ascii().eq_ignore_ascii_case(b"8bit");
            }
            "resent-date" => seen.resent_date = true,
            "resent-from" => seen.resent_from = true,
            "resent-message-id" => {
                seen.resent_message_id = true;
                note_id(&mut self.summary.resent_message_id, header);
            }
            _ => {}
        }
    }

    /// All headers have come: adds those that are missing.
    fn end_header(&mut self, out: &mut Vec<u8>) {
        self.end_logical(out);
        let Some(missing) = self.missing.take() else { return };
        let seen = &self.seen;
        let undisclosed = missing.recipients.filter(|_| !seen.recipients);
        let (prefix, had) = if seen.resent {
            ("Resent-", [seen.resent_message_id, seen.resent_date, seen.resent_from])
        } else {
            ("", [seen.message_id, seen.date, seen.from])
        };
        let added = [("Message-Id", &missing.message_id), ("Date", &missing.date), ("From", &missing.from)];
        for ((name, value), had) in added.into_iter().zip(had) {
            if !had {
                out.extend_from_slice(format!("{prefix}{name}: {value}\n").as_bytes());
            }
        }
        if let Some(header) = undisclosed {
            out.extend_from_slice(header.as_bytes());
            out.push(b'\n');
        }
        let [had_id, ..] = had;
        if !had_id {
            let id =
                if seen.resent { &mut self.summary.resent_message_id } else { &mut self.summary.message_id };
            *id = Some(missing.message_id);
        }
    }
}

/// Whether a header says that the message was resent (RFC 5322 §3.6.6).
fn is_resent(name: &str) -> bool {
    let fields = ["bcc", "cc", "date", "from", "message-id", "reply-to", "sender", "to"];
    let name = name.to_ascii_lowercase();
    name.strip_prefix("resent-").is_some_and(|field| fields.contains(&field))
}

/// The first id that isn't empty counts.
fn note_id(id: &mut Option<String>, header: &Header<'_>) {
    let value = header.unfolded();
    if id.is_none() && !value.is_empty() {
        *id = Some(value);
    }
}

/// Writes header text and its line end, stray CRs as blanks.
fn push_line(text: &[u8], out: &mut Vec<u8>) {
    out.extend(text.iter().map(|&b| if b == b'\r' { b' ' } else { b }));
    out.push(b'\n');
}

/// For fuzzers: however a message is cut into chunks, the same comes out.
///
/// # Panics
/// Where it doesn't.
pub fn fuzz_cleanup(message: &[u8], chunk: usize) {
    let settings =
        std::sync::Arc::new(CleanupSettings { header_bytes_max: 64, ..CleanupSettings::default() });
    let run = |size: usize| {
        let (mut cleanup, mut out) = (Cleanup::new(std::sync::Arc::clone(&settings), None), Vec::new());
        for part in message.chunks(size.max(1)) {
            cleanup.feed(part, &mut out);
        }
        let summary = cleanup.finish(&mut out);
        (out, summary)
    };
    assert_eq!(run(message.len()), run(chunk), "chunks of {chunk} bytes");
}
