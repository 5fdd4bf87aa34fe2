//! The milter protocol, the mail server's side, without a socket: versions 2 to 6 (MILTER_README; T2.2's order).
//!
//! A [`Link`] is one connection to one filter. [`Link::offer`] and [`Link::agree`] negotiate; [`Link::tell`] writes an
//! event and says whether an answer is to be awaited; [`Link::take`] and [`Link::next`] read it. What an answer means for
//! the mail is [`verdict`]'s. How long things may take is the driver's to watch. A filter that lies gets no more memory
//! than [`PACKET_BYTES_MAX`] and what its modifications are given elsewhere.

mod answer;
mod event;
mod packet;
#[cfg(test)]
mod tests;
pub mod verdict;

pub use answer::{Answer, Change};
pub use event::{Event, Macros, Stage};
pub use packet::{PACKET_BYTES_MAX, fuzz};

use packet::Reading;

/// A piece of a body, as large as the protocol has it.
pub const BODY_BYTES: usize = 65_535;

/// Which protocol is offered (`milter_protocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    version: u32,
    actions: u32,
    steps: u32,
}

impl Offer {
    /// Version 2, 3, 4 or 6; with `no_header_reply` a header is never answered.
    #[must_use]
    pub const fn new(version: u32) -> Option<Offer> {
        let (actions, steps) = match version {
            2 => (0x3f, 0x7f),
            3 => (0x3f, 0x1ff),
            4 => (0x3f, 0x3ff),
            6 => (0x1ff, 0x1f_ffff),
            _ => return None,
        };
        Some(Offer { version, actions, steps })
    }
}

/// What a filter wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Agreement {
    version: u32,
    steps: u32,
    /// The macros that it wants at a stage, in place of the configured ones.
    symbols: [Option<Vec<String>>; STAGES],
}

/// So many stages have lists of macros.
const STAGES: usize = 7;
/// The filter wants to hear of recipients that were refused.
const REJECTED_RECIPIENTS: u32 = 0x800;
/// The filter wants the blank in front of a header's value.
const LEADING_SPACE: u32 = 0x10_0000;

/// What went wrong with a filter, as the log says it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// What it sent has no length that a packet can have.
    #[error("bad packet length: {0}")]
    Length(u32),
    /// It announced more than anybody takes.
    #[error("unreasonable packet length: {0} > {max}", max = packet::POSTFIX_BYTES_MAX)]
    Size(u32),
    /// The packet ends before what it should hold.
    #[error("truncated packet in {0} reply")]
    Short(&'static str),
    /// Something else than its options came first.
    #[error("unexpected reply \"{0}\" in initial handshake")]
    Handshake(char),
    /// It wants what nobody offered.
    #[error("unexpected protocol option bits {0:#x}")]
    Options(u32),
    /// An answer that isn't one of the protocol, or not there.
    #[error("unexpected filter response {0} after event {1}")]
    Unexpected(&'static str, &'static str),
}

/// One connection to a filter.
#[derive(Clone, Debug, Default)]
pub struct Link {
    agreement: Agreement,
    input: Vec<u8>,
}

impl Link {
    /// Writes what the server offers.
    pub fn offer(&mut self, offer: Offer, out: &mut Vec<u8>) {
        let Offer { version, actions, steps } = offer;
        let mut body = Vec::with_capacity(12);
        for number in [version, actions, steps] {
            body.extend_from_slice(&number.to_be_bytes());
        }
        packet::write(b'O', &[&body], out);
    }

    /// Bytes from the filter.
    pub fn take(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Whether the handshake is complete; a warning may come with it.
    ///
    /// # Errors
    /// The filter's answer is none.
    pub fn agree(&mut self, offer: Offer) -> Result<Option<Agreed>, Fault> {
        let Some((letter, body)) = self.packet()? else { return Ok(None) };
        if letter != b'O' {
            return Err(Fault::Handshake(char::from(letter)));
        }
        let short = || Fault::Short("SMFIC_OPTNEG");
        let mut rest = body.as_slice();
        let mut number = || packet::number(&mut rest).ok_or_else(short);
        let (version, _actions, steps) = (number()?, number()?, number()?);
        let mut symbols: [Option<Vec<String>>; STAGES] = Default::default();
        while let Some(stage) = packet::number(&mut rest) {
            let names = packet::string(&mut rest).ok_or_else(short)?;
            let names = String::from_utf8_lossy(names).into_owned();
            let list = names.split([',', ' ', '\t', '\r', '\n']).filter(|name| !name.is_empty());
            if let Some(slot) = usize::try_from(stage).ok().and_then(|stage| symbols.get_mut(stage)) {
                let list: Vec<String> = list.map(str::to_owned).collect();
                // As with Postfix, an empty list is none.
                *slot = (!list.is_empty()).then_some(list);
            }
        }
        // Postfix says it and goes on: what the filter knows is what it asks for.
        let odd = (version < 2 || version > offer.version).then_some(version);
        let agreement = Agreement { version, steps: steps & offer.steps, symbols };
        self.agreement = agreement;
        Ok(Some(Agreed { odd_version: odd }))
    }

    /// Whether the agreed version has such an event.
    #[must_use]
    pub const fn knows(&self, stage: Stage) -> bool {
        match stage {
            Stage::Unknown => self.agreement.version >= 3,
            Stage::Data => self.agreement.version >= 4,
            _ => true,
        }
    }

    /// Writes macros alone.
    pub fn tell_macros(&self, stage: Stage, macros: &Macros, out: &mut Vec<u8>) {
        macros.write(stage, out);
    }

    /// Whether the filter wants to hear of such an event.
    #[must_use]
    pub const fn wants(&self, stage: Stage) -> bool {
        self.agreement.steps & stage.unwanted() == 0
    }

    /// Whether the filter hears of recipients that were refused.
    #[must_use]
    pub const fn wants_rejected_recipients(&self) -> bool {
        self.agreement.steps & REJECTED_RECIPIENTS != 0
    }

    /// Whether a header's value keeps the blank in front.
    #[must_use]
    pub const fn keeps_leading_space(&self) -> bool {
        self.agreement.steps & LEADING_SPACE != 0
    }

    /// The macros that it wants at a stage, where it has said so.
    #[must_use]
    pub fn symbols(&self, stage: Stage) -> Option<&[String]> {
        self.agreement.symbols.get(stage.list()?)?.as_deref()
    }

    /// Writes an event with its macros; whether an answer is to be awaited.
    pub fn tell(&self, event: &Event<'_>, macros: &Macros, out: &mut Vec<u8>) -> bool {
        let stage = event.stage();
        macros.write(stage, out);
        event.write(self.keeps_leading_space(), out);
        self.agreement.steps & stage.unanswered() == 0 || matches!(stage, Stage::EndOfMessage)
    }

    /// The message is over, whatever became of it.
    pub fn abort(&self, out: &mut Vec<u8>) {
        packet::write(b'A', &[], out);
    }

    /// The connection is over.
    pub fn quit(&self, out: &mut Vec<u8>) {
        packet::write(b'Q', &[], out);
    }

    /// The filter's next answer to an event; `None` where more bytes are needed.
    ///
    /// # Errors
    /// What it says is none.
    pub fn next(&mut self, stage: Stage) -> Result<Option<Answer>, Fault> {
        let Some((letter, body)) = self.packet()? else { return Ok(None) };
        let answer = Answer::read(letter, &body, stage)?;
        let allowed = match &answer {
            // Whether it has announced it nobody asks, as with Postfix.
            Answer::Change(Change::Quarantine(_)) => true,
            Answer::Change(_) => matches!(stage, Stage::EndOfMessage),
            _ => true,
        };
        if allowed { Ok(Some(answer)) } else { Err(Fault::Unexpected(answer.name(), stage.name())) }
    }

    fn packet(&mut self) -> Result<Option<(u8, Vec<u8>)>, Fault> {
        match packet::read(&self.input)? {
            Reading::More => Ok(None),
            Reading::Packet(letter, body, length) => {
                let body = body.to_vec();
                self.input.drain(..length.min(self.input.len()));
                Ok(Some((letter, body)))
            }
        }
    }
}

/// The handshake's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// A version that wasn't offered; it is tried all the same.
    pub odd_version: Option<u32>,
}
