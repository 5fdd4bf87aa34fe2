//! A message that a program of this machine hands in: its envelope as `sendmail` was told it.
//!
//! It travels as frames, `Submit`, `To`, `Content` and `End`, over the control socket to a running server, and the same
//! frames one after the other are a file of the maildrop: what `End` doesn't close is not a message. Addresses are
//! as they were given, without a domain perhaps; who hands it in, the kernel says. T2.14.

use super::FrameError;
use super::codec::{Reader, Writer};
use super::{HEAD_BYTES, REQUEST_BYTES_MAX};

/// The longest text of an envelope, as Postfix's records have it (`line_length_limit`).
pub const TEXT_BYTES_MAX: usize = 2048;

/// What no text of an envelope may hold: it would go on in another line wherever the text is written. TAB may be.
fn is_control(c: char) -> bool {
    c.is_ascii_control() && c != '\t'
}

/// Reads a text that stays in its line.
fn text(from: &mut Reader<'_>, what: &'static str) -> Result<String, FrameError> {
    Some(from.text(what)?).filter(|text| !text.contains(is_control)).ok_or(FrameError::Value(what))
}

fn optional(from: &mut Reader<'_>, what: &'static str) -> Result<Option<String>, FrameError> {
    let text = from.optional(what)?;
    if text.as_ref().is_some_and(|text| text.contains(is_control)) {
        return Err(FrameError::Value(what));
    }
    Ok(text)
}

/// Puts blanks for what may not be in it.
fn clean(text: &mut String) {
    if text.contains(is_control) {
        *text = text.replace(is_control, " ");
    }
}

/// One letter's envelope, but for its recipients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Submission {
    /// In internal form; empty is the null sender.
    pub sender: String,
    /// For the `From:` that is added where there is none.
    pub full_name: String,
    /// `sendmail -G` was not given: the header is completed as our own.
    pub is_local: bool,
    /// `-B 8BITMIME`, or `BODY=8BITMIME`.
    pub eight_bit: bool,
    /// `SMTPUTF8` of a stand-alone session.
    pub smtputf8: bool,
    /// `-R`: the whole message, or its header.
    pub ret: Option<Ret>,
    /// `-V`, as it was given; ENVID, decoded.
    pub envelope_id: Option<String>,
    /// `-XV`'s delimiters.
    pub verp: Option<String>,
    /// `-v`, `-bv`.
    pub trace: Option<Trace>,
}

/// A report that is sent whatever comes of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// On its first try.
    Record,
    /// On what a delivery would come to; nothing is delivered.
    Probe,
}

/// What of the message a report has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// All of it.
    Full,
    /// The header.
    Headers,
}

/// A recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct To {
    /// In internal form.
    pub address: String,
    /// `NOTIFY`'s bits as in the queue; 0 where none was asked for.
    pub notify: u8,
    /// `ORCPT` of a stand-alone session.
    pub orcpt: Option<String>,
}

const LOCAL: u8 = 1;
const EIGHT_BIT: u8 = 2;
const SMTPUTF8: u8 = 4;
const RECORD: u8 = 8;
const PROBE: u8 = 16;

/// A text of an envelope that is longer than [`TEXT_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} of {bytes} bytes: no more than {TEXT_BYTES_MAX} can be handed in")]
pub struct TooLong {
    /// Which one.
    pub what: &'static str,
    /// Its length.
    pub bytes: usize,
}

fn bounded(texts: [(&'static str, Option<&str>); 4]) -> Result<(), TooLong> {
    let mut texts = texts.into_iter().map(|(what, text)| (what, text.unwrap_or_default().len()));
    let too_long = texts.find(|(_, bytes)| *bytes > TEXT_BYTES_MAX);
    too_long.map_or(Ok(()), |(what, bytes)| Err(TooLong { what, bytes }))
}

impl Submission {
    /// Puts blanks for control characters, with which it would be refused.
    pub fn keep_in_lines(&mut self) {
        clean(&mut self.sender);
        clean(&mut self.full_name);
        self.envelope_id.iter_mut().chain(&mut self.verp).for_each(clean);
    }

    /// Looks whether it fits a frame.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn fits(&self) -> Result<(), TooLong> {
        bounded([
            ("a sender", Some(&self.sender)),
            ("a full name", Some(&self.full_name)),
            ("an envelope id", self.envelope_id.as_deref()),
            ("VERP delimiters", self.verp.as_deref()),
        ])
    }

    pub(super) fn write(&self, to: Writer) -> Writer {
        let bits = [
            (self.is_local, LOCAL),
            (self.eight_bit, EIGHT_BIT),
            (self.smtputf8, SMTPUTF8),
            (self.trace == Some(Trace::Record), RECORD),
            (self.trace == Some(Trace::Probe), PROBE),
        ];
        let bits = bits.into_iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit);
        let ret = match self.ret {
            None => 0,
            Some(Ret::Full) => 1,
            Some(Ret::Headers) => 2,
        };
        let to = to.text(&self.sender).text(&self.full_name).u8(bits).u8(ret);
        to.optional(self.envelope_id.as_deref()).optional(self.verp.as_deref())
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Submission, FrameError> {
        let (sender, full_name) = (text(from, "sender")?, text(from, "name")?);
        let bits = from.u8()?;
        if bits & !(LOCAL | EIGHT_BIT | SMTPUTF8 | RECORD | PROBE) != 0 {
            return Err(FrameError::Value("submission"));
        }
        let trace = match bits & (RECORD | PROBE) {
            0 => None,
            RECORD => Some(Trace::Record),
            PROBE => Some(Trace::Probe),
            _ => return Err(FrameError::Value("trace")),
        };
        let ret = match from.u8()? {
            0 => None,
            1 => Some(Ret::Full),
            2 => Some(Ret::Headers),
            _ => return Err(FrameError::Value("RET")),
        };
        Ok(Submission {
            sender,
            full_name,
            is_local: bits & LOCAL != 0,
            eight_bit: bits & EIGHT_BIT != 0,
            smtputf8: bits & SMTPUTF8 != 0,
            ret,
            envelope_id: optional(from, "envelope id")?,
            verp: optional(from, "delimiters")?,
            trace,
        })
    }
}

impl To {
    /// Puts blanks for control characters, with which it would be refused.
    pub fn keep_in_lines(&mut self) {
        clean(&mut self.address);
        self.orcpt.iter_mut().for_each(clean);
    }

    /// Looks whether it fits a frame.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn fits(&self) -> Result<(), TooLong> {
        let orcpt = ("an original recipient", self.orcpt.as_deref());
        bounded([("a recipient", Some(&self.address)), orcpt, ("", None), ("", None)])
    }

    /// As many of the first as one frame holds; at least one where there is any.
    #[must_use]
    pub fn frame_of(all: &[To]) -> (&[To], &[To]) {
        let mut room = REQUEST_BYTES_MAX.saturating_sub(1);
        let fits = |to: &&To| {
            let left = room.checked_sub(to.write(Writer::new(0)).finish().len().saturating_sub(HEAD_BYTES));
            left.inspect(|left| room = *left).is_some()
        };
        let count = all.iter().take_while(fits).count().max(1).min(all.len());
        all.split_at_checked(count).unwrap_or((all, &[]))
    }

    pub(super) fn write(&self, to: Writer) -> Writer {
        to.text(&self.address).u8(self.notify).optional(self.orcpt.as_deref())
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<To, FrameError> {
        Ok(To {
            address: text(from, "recipient")?,
            notify: from.u8()?,
            orcpt: optional(from, "original recipient")?,
        })
    }
}
