//! `smtp_header_checks`, `smtp_body_checks` and their kin: headers and text held against tables on their way out.
//!
//! What is checked is what is sent: where the server takes no 8-bit text, the converted message. The actions are those
//! that change a text or say something of it; generic(5) addresses are put into what is left. A table that can't say
//! leaves the message where it is, to be tried again. smtp(8), header_checks(5); T2.13.

use super::conversation::Say;
use super::generic::Generic;
use crate::facts::Answers;
use config::{Parameters, Role, Service};
use events::daemon::Message as Said;
use events::text::printable;
use mail::Dsn;
use mail::mime::{Event, Faults, Pieces, Reader, Settings, Structure};
use mail::seven_bit::SevenBit;
use policy::address::AddressClasses;
use policy::content::{Checks, Judgement, Part, Text};
use proto::client::{Verdict, Why};
use std::borrow::Cow;
use tables::{Catalogue, LookupError, Snapshot};

/// Bytes of a header or line that are logged.
const SHOWN_BYTES: usize = 60;

/// The checks of one transport.
#[derive(Clone, Debug)]
pub struct Checking {
    checks: Checks,
    reading: Settings,
    line_bytes_max: usize,
}

impl Checking {
    /// Those of a line of master.cf, where there are any.
    #[must_use]
    pub fn compile(service: &Service, main: &Parameters, catalogue: &mut Catalogue) -> Option<Checking> {
        let prefix = match service.role() {
            Role::Smtp => "smtp_",
            Role::Lmtp => "lmtp_",
            _ => return None,
        };
        // What is wrong with the overrides, and with the tables, is said where they are checked.
        let (p, _) = main.with_overrides(&service.overrides);
        let (checks, _) = Checks::delivery(&p, prefix, catalogue);
        let size = |name: &str| usize::try_from(p.number(name)).unwrap_or(0);
        let reading = Settings {
            header_bytes_max: size("header_size_limit"),
            keeps_lines: true,
            nesting_max: size("mime_nesting_limit"),
            boundary_max: size("mime_boundary_length_limit"),
            structure: Structure::Parts,
            faults: Faults::default(),
        };
        let line_bytes_max = size("line_length_limit");
        (!checks.is_empty()).then_some(Checking { checks, reading, line_bytes_max })
    }
}

/// What a message is checked with.
pub(super) struct Means<'a> {
    pub(super) answers: &'a Answers,
    pub(super) tables: Snapshot,
    pub(super) generic: Option<&'a Generic>,
    pub(super) classes: &'a AddressClasses,
    pub(super) say: Say<'a>,
    pub(super) id: &'a str,
}

/// Why a message can't be sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// A table can't say.
    Lookup,
    /// Its parts lie too deep to be converted.
    TooDeep,
}

impl Stopped {
    /// What becomes of the recipients.
    pub(super) fn verdict(self, host: &str) -> Verdict {
        match self {
            Stopped::Lookup => {
                let text = format!("local data error while talking to {host}");
                Verdict::Deferred(Why::new(Dsn::new(4, 3, 0), text))
            }
            Stopped::TooDeep => {
                Verdict::Bounced(Why::new(Dsn::new(5, 6, 0), mail::seven_bit::TooDeep.to_string()))
            }
        }
    }
}

/// One message on its way out.
pub(super) struct Checker<'a> {
    rules: &'a Checking,
    means: Means<'a>,
    seven_bit: Option<SevenBit>,
    pieces: Pieces,
    reader: Reader,
}

impl<'a> Checker<'a> {
    pub(super) fn new(rules: &'a Checking, means: Means<'a>) -> Checker<'a> {
        let (pieces, reader) = (Pieces::new(rules.line_bytes_max), Reader::new(rules.reading));
        Checker { rules, means, seven_bit: None, pieces, reader }
    }

    /// The message is made 7-bit first.
    pub(super) fn convert(&mut self, seven_bit: SevenBit) {
        self.seven_bit = Some(seven_bit);
    }

    /// What is to be sent of the next piece; with the `last` of all, the rest.
    pub(super) async fn checked(&mut self, piece: &[u8], last: bool) -> Result<Vec<u8>, Stopped> {
        let mut out = Vec::with_capacity(piece.len().saturating_add(piece.len() / 8));
        let piece = self.converted(piece, last)?;
        let mut chunk: &[u8] = &piece;
        // Taken out, so that pieces may borrow from it.
        let mut pieces = std::mem::replace(&mut self.pieces, Pieces::new(1));
        while let Some(piece) = pieces.next(&mut chunk) {
            self.piece(&piece.text, piece.ends, &mut out).await?;
        }
        if last {
            if let Some(rest) = pieces.rest() {
                self.piece(&rest, false, &mut out).await?;
            }
            let mut events = Vec::new();
            self.reader.end(&mut events);
            self.deal(events, &[], false, &mut out).await?;
        }
        self.pieces = pieces;
        Ok(out)
    }

    fn converted<'p>(&mut self, piece: &'p [u8], last: bool) -> Result<Cow<'p, [u8]>, Stopped> {
        let Some(seven_bit) = &mut self.seven_bit else { return Ok(Cow::Borrowed(piece)) };
        let mut out = Vec::new();
        seven_bit.push(piece, &mut out).map_err(|_| Stopped::TooDeep)?;
        if last {
            seven_bit.end(&mut out).map_err(|_| Stopped::TooDeep)?;
        }
        Ok(Cow::Owned(out))
    }

    async fn piece(&mut self, text: &[u8], ends: bool, out: &mut Vec<u8>) -> Result<(), Stopped> {
        let mut events = Vec::new();
        self.reader.piece(text, ends, &mut events);
        self.deal(events, text, ends, out).await
    }

    async fn deal(
        &mut self,
        events: Vec<Event>,
        piece: &[u8],
        ends: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Stopped> {
        for event in events {
            match event {
                Event::Header { class, is_top, text } => {
                    self.header(Part::Header(class), &text, is_top, out).await?;
                }
                Event::Body { offset } => {
                    let text = memchr::memchr(0, piece).and_then(|at| piece.get(..at)).unwrap_or(piece);
                    let what = match self.rules.checks.reaches(offset) {
                        true => self.judged(Part::Body, text).await?,
                        false => Text::Kept,
                    };
                    line(what, piece, ends, out);
                }
                Event::MissingBlank => out.push(b'\n'),
                Event::HeadersEnd | Event::Fault(..) => {}
            }
        }
        Ok(())
    }

    async fn header(
        &mut self,
        part: Part,
        text: &[u8],
        is_top: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Stopped> {
        let kept = match self.judged(part, text).await? {
            Text::Dropped => return Ok(()),
            Text::Kept => Cow::Borrowed(text),
            Text::Replaced(new) => Cow::Owned(new),
            Text::Prepended(new) => {
                out.extend_from_slice(&new);
                out.push(b'\n');
                Cow::Borrowed(text)
            }
        };
        let begin = out.len();
        out.extend_from_slice(&kept);
        out.push(b'\n');
        if let (true, Some(generic)) = (is_top, self.means.generic) {
            let Means { answers, tables, classes, .. } = &mut self.means;
            let header = out.get(begin..).unwrap_or_default();
            let look = |tables: &Snapshot| generic.rewritten(header, classes, tables);
            let found = answers.table_servers.looked_up(tables, look).await;
            tables.forget_answers();
            let (new, warnings) = found.map_err(|error| self.fail("generic map", &error))?;
            for warning in warnings {
                (self.means.say)(Said::warning(warning).into());
            }
            if let Some(new) = new {
                out.truncate(begin);
                out.extend_from_slice(&new);
            }
        }
        Ok(())
    }

    /// What becomes of a text; what is to be said of it is said.
    async fn judged(&mut self, part: Part, text: &[u8]) -> Result<Text, Stopped> {
        let rules = self.rules;
        let look =
            |tables: &Snapshot| rules.checks.judge(part, text, tables).map_err(|stopped| stopped.error);
        let found = match look(&self.means.tables) {
            Err(LookupError::Unasked { .. }) => {
                let Means { answers, tables, .. } = &mut self.means;
                let found = answers.table_servers.looked_up(tables, look).await;
                tables.forget_answers();
                found
            }
            found => found,
        };
        let what = if part == Part::Body { "smtp body checks" } else { "smtp header checks" };
        let found = found.map_err(|error| self.fail(what, &error))?;
        let Judgement { text: what, said, warning, .. } = found.unwrap_or_default();
        if let Some(warning) = warning {
            (self.means.say)(Said::warning(warning).into());
        }
        if let Some((word, why)) = said {
            let shown = printable(text.get(..text.len().min(SHOWN_BYTES)).unwrap_or_default());
            let mut line = format!("{}: {word}: {} {shown}", self.means.id, part.word());
            if !why.is_empty() {
                line.push_str(": ");
                line.push_str(&printable(&why));
            }
            (self.means.say)(events::Event::Other(line.into()));
        }
        Ok(what)
    }

    /// A table can't say.
    fn fail(&self, what: &str, error: &LookupError) -> Stopped {
        if !error.is_old() {
            (self.means.say)(Said::warning(printable(error.to_string().as_bytes()).into_owned()).into());
        }
        (self.means.say)(Said::warning(format!("{}: {what} lookup error", self.means.id)).into());
        Stopped::Lookup
    }
}

/// A line of text, or a piece of one.
fn line(what: Text, text: &[u8], ends: bool, out: &mut Vec<u8>) {
    let mut put = |text: &[u8], ends: bool| {
        out.extend_from_slice(text);
        out.extend(ends.then_some(b'\n'));
    };
    match what {
        Text::Dropped => {}
        Text::Kept => put(text, ends),
        Text::Replaced(new) => put(&new, true),
        Text::Prepended(new) => {
            put(&new, true);
            put(text, ends);
        }
    }
}
