//! What header_checks, body_checks and the `strict_…` parameters make of a message on its way in.
//!
//! Each header and each line of text is held against the tables as it comes; what is left of it goes on to the rewriting
//! of headers, or into the spool. What becomes of the whole message is noted for its end. A table behind a socket stops
//! the reading where it stands, until somebody has asked it. Lines are Postfix's. header_checks(5); T1.14, T1.15, T2.13.

use super::{Intake, because, not_written};
use crate::log::Log;
use events::check::{Action, ContentCheck, Part as Checked, Session as Known};
use events::daemon::Message as Said;
use events::queue::{IdKind, MessageId};
use events::text::printable;
use mail::header::Header;
use mail::message::Cleanup;
use mail::mime::{Event, Fault, Piece, Pieces, Reader};
use mail::{Dsn, QueueId, Reply};
use policy::content::{Checks, Effect, Judgement, Part, Stopped, Text};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use tables::{LookupError, Snapshot};

/// Bytes of a header or line that are logged.
const SHOWN_BYTES: usize = 200;
/// Lines that may wait for the message's end.
const LINES_MAX: usize = 64;

/// What is to be done with a message, once it has all come.
#[derive(Debug, Default)]
pub struct Wanted {
    /// It goes on hold, and why.
    pub hold: Option<String>,
    /// It is thrown away.
    pub discard: bool,
    /// `transport:nexthop`
    pub filter: Option<String>,
    /// Who gets it in place of its recipients.
    pub redirect: Option<String>,
    /// Who gets it too.
    pub copies: BTreeSet<String>,
    /// PASS and REDIRECT: milters don't see it either.
    pub passes: bool,
}

/// Where a message comes from, for the log.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// `name[address]`, or `local`.
    pub client: String,
    /// `ESMTP`
    pub protocol: Option<String>,
    /// HELO's argument.
    pub helo: Option<String>,
    /// The last recipient, as it was given.
    pub recipient: Option<String>,
    /// It is on hold already.
    pub is_held: bool,
}

impl Source {
    /// `from name[address]; from=<a> to=<b> proto=ESMTP helo=<c>`, but for the first word.
    pub(super) fn session(&self, sender: &mail::Address) -> String {
        let mut text = format!("{}; from=<{}>", self.client, sender.to_external());
        let parts =
            [(" to=<", &self.recipient, ">"), (" proto=", &self.protocol, ""), (" helo=<", &self.helo, ">")];
        for (open, value, close) in parts {
            if let Some(value) = value {
                text.push_str(&format!("{open}{value}{close}"));
            }
        }
        text
    }
}

/// Lines for the log, in order; those that wait are written when nobody holds them any more.
struct Lines {
    log: Log,
    program: String,
    waiting: Vec<events::Event<'static>>,
}

impl Lines {
    fn say(&mut self, event: events::Event<'static>) {
        self.waiting.push(event);
        if self.waiting.len() >= LINES_MAX {
            self.flush();
        }
    }

    fn flush(&mut self) {
        for event in self.waiting.drain(..) {
            self.log.write(&self.program, event);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Where what is left of the text goes.
pub(super) struct Onward<'m> {
    pub(super) content: &'m mut Cleanup,
    pub(super) out: &'m mut Vec<u8>,
}

/// The reading has stopped: a table behind a socket must be asked.
#[derive(Debug)]
pub(super) struct Stalled;

/// One message under inspection.
pub(super) struct Inspection {
    checks: Arc<Checks>,
    reader: Reader,
    pieces: Pieces,
    header_bytes_max: usize,
    id: QueueId,
    sender: String,
    source: Arc<Source>,
    lines: Lines,
    /// PASS and REDIRECT end it.
    checking: bool,
    wanted: Wanted,
    refused: Option<Reply>,
    /// What is refused is read on, for its sender.
    to_the_end: bool,
    worst: Option<Fault>,
    /// A `message-id=` line has been written.
    has_id: bool,
    has_resent_id: bool,
    /// What the present piece shows, and how far that has been dealt with.
    events: Vec<Event>,
    done: usize,
    /// Where the reading has stopped: the piece, whether a line ends with it, and what came behind it.
    stalled: Option<(Vec<u8>, bool, Vec<u8>)>,
}

impl Inspection {
    /// `None` where nothing is checked.
    pub(super) fn new(
        intake: &Intake,
        id: &QueueId,
        sender: String,
        source: Arc<Source>,
    ) -> Option<Inspection> {
        let inspecting = intake.rules.inspecting.as_ref()?;
        let program = format!("{}/cleanup", intake.rules.syslog_name);
        Some(Inspection {
            checks: Arc::clone(&inspecting.checks),
            reader: Reader::new(inspecting.reading),
            pieces: Pieces::new(inspecting.line_bytes_max),
            header_bytes_max: inspecting.reading.header_bytes_max,
            id: id.clone(),
            sender,
            source,
            lines: Lines { log: intake.log.clone(), program, waiting: Vec::new() },
            checking: true,
            wanted: Wanted::default(),
            refused: None,
            to_the_end: false,
            worst: None,
            has_id: false,
            has_resent_id: false,
            events: Vec::new(),
            done: 0,
            stalled: None,
        })
    }

    /// What is refused is kept all the same.
    pub(super) fn read_to_the_end(self) -> Inspection {
        Inspection { to_the_end: true, ..self }
    }

    /// What waits to be said isn't.
    pub(super) fn forget_lines(&mut self) {
        self.lines.waiting.clear();
    }

    /// Takes a chunk of the message.
    pub(super) fn feed(
        &mut self,
        chunk: &[u8],
        to: &mut Onward<'_>,
        tables: &Snapshot,
    ) -> Result<(), Stalled> {
        if let Some((.., behind)) = &mut self.stalled {
            behind.extend_from_slice(chunk);
            return Err(Stalled);
        }
        let mut chunk = chunk;
        let blank = to.content.replaces_stray_cr();
        while let Some(piece) = self.pieces.next(&mut chunk) {
            let text = without_cr(piece.text, blank);
            self.reader.piece(&text, piece.ends, &mut self.events);
            self.deal(Piece { text, ends: piece.ends }, chunk, to, tables)?;
        }
        Ok(())
    }

    /// Our own lines have come, the sender's follow.
    pub(super) const fn content_begins(&mut self) {
        self.reader.content_begins();
    }

    /// The message has ended.
    pub(super) fn end(&mut self, to: &mut Onward<'_>, tables: &Snapshot) -> Result<(), Stalled> {
        if let Some(rest) = self.pieces.rest() {
            let text = without_cr(Cow::Owned(rest), to.content.replaces_stray_cr());
            self.reader.piece(&text, false, &mut self.events);
            self.deal(Piece { text, ends: false }, &[], to, tables)?;
        }
        self.reader.end(&mut self.events);
        self.deal(Piece { text: Cow::Borrowed(&[]), ends: false }, &[], to, tables)
    }

    /// What a table behind a socket must be asked.
    pub(super) fn question(&self) -> Option<(Part, Vec<u8>)> {
        let (piece, ..) = self.stalled.as_ref()?;
        match self.events.get(self.done)? {
            Event::Header { class, text, .. } => Some((Part::Header(*class), text.clone())),
            _ => Some((Part::Body, until_nul(piece).to_vec())),
        }
    }

    pub(super) fn checks(&self) -> Arc<Checks> {
        Arc::clone(&self.checks)
    }

    /// Goes on where the reading has stopped, with the answer.
    pub(super) fn resume(
        &mut self,
        answer: Result<Option<Judgement>, Box<Stopped>>,
        to: &mut Onward<'_>,
        tables: &Snapshot,
    ) -> Result<(), Stalled> {
        let Some((piece, ends, behind)) = self.stalled.take() else { return Ok(()) };
        if let Some(event) = self.events.get(self.done).cloned() {
            self.done = self.done.saturating_add(1);
            self.conclude(&event, answer, (&piece, ends), to);
        }
        self.deal(Piece { text: Cow::Owned(piece), ends }, &behind, to, tables)?;
        self.feed(&behind, to, tables)
    }

    /// Deals with what a piece has shown.
    fn deal(
        &mut self,
        piece: Piece<'_>,
        behind: &[u8],
        to: &mut Onward<'_>,
        tables: &Snapshot,
    ) -> Result<(), Stalled> {
        while let Some(event) = self.events.get_mut(self.done) {
            if (self.refused.is_some() && !self.to_the_end) || self.wanted.discard {
                break;
            }
            let (part, text) = match event {
                Event::Header { class, text, .. } => (Part::Header(*class), text.as_slice()),
                Event::Body { offset } if self.checks.reaches(*offset) => {
                    (Part::Body, until_nul(&piece.text))
                }
                _ => (Part::Body, &[][..]),
            };
            let answer = if self.checking { self.checks.judge(part, text, tables) } else { Ok(None) };
            if matches!(&answer, Err(stopped) if matches!(stopped.error, LookupError::Unasked { .. })) {
                self.stalled = Some((piece.text.into_owned(), piece.ends, behind.to_vec()));
                return Err(Stalled);
            }
            let event = std::mem::replace(event, Event::MissingBlank);
            self.done = self.done.saturating_add(1);
            self.conclude(&event, answer, (&piece.text, piece.ends), to);
        }
        self.events.clear();
        self.done = 0;
        Ok(())
    }

    /// Does what the tables say.
    fn conclude(
        &mut self,
        event: &Event,
        answer: Result<Option<Judgement>, Box<Stopped>>,
        (piece, ends): (&[u8], bool),
        to: &mut Onward<'_>,
    ) {
        let judgement = match answer {
            Ok(judgement) => judgement.unwrap_or_default(),
            Err(stopped) => return self.fail(&stopped),
        };
        match event {
            Event::Header { class, is_top, text } => {
                let what = self.obey(Part::Header(*class), text, judgement);
                self.header(what, text, *is_top, to);
            }
            Event::HeadersEnd => {
                to.content.end_of_headers(to.out);
                self.end_of_headers(to.content);
            }
            Event::MissingBlank => to.out.push(b'\n'),
            Event::Body { .. } => {
                let what = self.obey(Part::Body, until_nul(piece), judgement);
                let line = |text: &[u8], ends: bool, out: &mut Vec<u8>| {
                    out.extend_from_slice(text);
                    out.extend(ends.then_some(b'\n'));
                };
                match what {
                    Text::Dropped => {}
                    Text::Kept => line(piece, ends, to.out),
                    Text::Replaced(new) => line(&new, true, to.out),
                    Text::Prepended(new) => {
                        line(&new, true, to.out);
                        line(piece, ends, to.out);
                    }
                }
            }
            Event::Fault(fault, shown) => self.fault(*fault, shown),
        }
    }

    fn header(&mut self, what: Text, text: &[u8], is_top: bool, to: &mut Onward<'_>) {
        let kept = match what {
            Text::Dropped => return,
            Text::Kept => Cow::Borrowed(text),
            Text::Replaced(new) => Cow::Owned(new),
            Text::Prepended(new) => {
                to.out.extend_from_slice(&new);
                to.out.push(b'\n');
                Cow::Borrowed(text)
            }
        };
        let kept = kept.get(..kept.len().min(self.header_bytes_max)).unwrap_or_default();
        if is_top {
            to.content.header(kept, to.out);
            self.note_id(kept);
        } else {
            to.out.extend_from_slice(kept);
            to.out.push(b'\n');
        }
    }

    /// Notes what is to become of the message, and says so; gives what becomes of the text.
    fn obey(&mut self, part: Part, text: &[u8], judgement: Judgement) -> Text {
        let Judgement { text: what, effect, said, warning, rule } = judgement;
        if let Some(warning) = warning {
            self.lines.say(events::Event::from(Said::warning(warning)));
        }
        let is_known = effect == Some(Effect::Hold) && (self.wanted.hold.is_some() || self.source.is_held);
        let why = rule.map(|rule| held_for(&rule, part, text, said.as_ref().map(|(_, why)| why.as_slice())));
        if let Some((word, why)) = said.filter(|_| !is_known) {
            self.say(word, part, text, &why);
        }
        match effect {
            None => {}
            Some(Effect::Reject(reply)) => {
                self.refused.get_or_insert(reply);
                self.checking = false;
            }
            Some(Effect::Discard) => self.wanted.discard = true,
            Some(Effect::Hold) => {
                self.wanted.hold.get_or_insert_with(|| why.unwrap_or_default());
            }
            Some(Effect::Filter(filter)) => self.wanted.filter = Some(filter),
            Some(Effect::Redirect(address)) => {
                self.wanted.redirect = Some(address);
                (self.checking, self.wanted.passes) = (false, true);
            }
            Some(Effect::Bcc(address)) => {
                self.wanted.copies.insert(address);
            }
            Some(Effect::Pass) => (self.checking, self.wanted.passes) = (false, true),
        }
        what
    }

    fn say(&mut self, word: &str, part: Part, text: &[u8], why: &[u8]) {
        let Some(action) = Action::from_word(word) else { return };
        let shown = text.get(..text.len().min(SHOWN_BYTES)).unwrap_or_default();
        let check = ContentCheck {
            id: self.id.as_str().to_owned().into(),
            action,
            part: if part == Part::Body { Checked::Body } else { Checked::Header },
            content: printable(shown).into_owned().into(),
            source: self.source.client.clone().into(),
            session: Known {
                from: Some(self.sender.clone().into()),
                to: self.source.recipient.clone().map(Into::into),
                proto: self.source.protocol.clone().map(Into::into),
                helo: self.source.helo.clone().map(Into::into),
            },
            text: (!why.is_empty()).then(|| printable(why).into_owned().into()),
        };
        self.lines.say(events::Event::from(check));
    }

    fn fault(&mut self, fault: Fault, shown: &[u8]) {
        let mut text = format!(
            "{}: reject: mime-error {}: {} from {}; from=<{}>",
            self.id,
            fault.text(),
            printable(shown),
            self.source.client,
            self.sender
        );
        if let Some(recipient) = &self.source.recipient {
            text.push_str(&format!(" to=<{recipient}>"));
        }
        self.lines.say(events::Event::Other(text.into()));
        self.worst = Some(self.worst.map_or(fault, |worst| worst.min(fault)));
    }

    /// A table can't say: the message is to come again.
    fn fail(&mut self, stopped: &Stopped) {
        let Stopped { name, error } = stopped;
        if !error.is_old() {
            let text = printable(error.to_string().as_bytes()).into_owned();
            self.lines.say(events::Event::from(Said::warning(text)));
        }
        let text = format!("{}: {name} map lookup problem -- message not accepted, try again later", self.id);
        self.lines.say(events::Event::from(Said::warning(text)));
        self.refused.get_or_insert_with(not_written);
    }

    /// A header of the message's own may be its id.
    fn note_id(&mut self, text: &[u8]) {
        let Some(header) = Header::parse(text) else { return };
        let kind = if header.is("Message-Id") {
            IdKind::Message
        } else if header.is("Resent-Message-Id") {
            IdKind::Resent
        } else {
            return;
        };
        let value = header.unfolded();
        if !value.is_empty() {
            match kind {
                IdKind::Message => self.has_id = true,
                IdKind::Resent => self.has_resent_id = true,
            }
            self.say_id(kind, value);
        }
    }

    /// Says what id was added, or that there is none.
    fn end_of_headers(&mut self, content: &Cleanup) {
        let added = content.so_far();
        if let Some(id) = added.resent_message_id.clone().filter(|_| !self.has_resent_id) {
            self.say_id(IdKind::Resent, id);
        }
        if self.has_id {
            return;
        }
        let value = added.message_id.clone().unwrap_or_else(|| "<>".to_owned());
        self.say_id(IdKind::Message, value);
    }

    fn say_id(&mut self, kind: IdKind, value: String) {
        let line = MessageId { id: self.id.as_str().to_owned().into(), kind, value: value.into() };
        self.lines.say(events::Event::from(line));
    }

    /// Why the message isn't taken, once that is sure.
    pub(super) const fn refused(&self) -> Option<&Reply> {
        self.refused.as_ref()
    }

    /// What is to become of the message.
    ///
    /// # Errors
    /// The answer where it isn't taken.
    pub(super) fn conclusion(self) -> Result<Wanted, Reply> {
        match (self.refused, self.worst) {
            (Some(reply), _) => Err(reply),
            (None, Some(fault)) if !self.wanted.discard => {
                Err(Reply::new(550, Dsn::new(5, 6, 0), fault.text()))
            }
            _ => Ok(self.wanted),
        }
    }
}

/// Why a message is held: the rule, what it says, and of what.
pub(super) fn held_for(rule: &str, part: Part, text: &[u8], says: Option<&[u8]>) -> String {
    let says = printable(says.unwrap_or_default()).into_owned();
    let text = printable(text.get(..text.len().min(SHOWN_BYTES)).unwrap_or_default()).into_owned();
    format!("{} ({} {text})", because(rule, &says), part.word())
}

fn without_cr(text: Cow<'_, [u8]>, replace: bool) -> Cow<'_, [u8]> {
    if !replace || memchr::memchr(b'\r', &text).is_none() {
        return text;
    }
    Cow::Owned(text.iter().map(|&b| if b == b'\r' { b' ' } else { b }).collect())
}

/// Patterns see a line up to its first NUL.
fn until_nul(text: &[u8]) -> &[u8] {
    memchr::memchr(0, text).and_then(|at| text.get(..at)).unwrap_or(text)
}
