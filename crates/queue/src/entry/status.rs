//! Where a recipient stands, why, and whether anybody has still to be told of it.
//!
//! A failure is kept with its reason until its sender has been told (or nobody is to be); so is a success that the
//! sender asked to hear of. Only then is the recipient done. RFC 3461 §4.1, RFC 3464 §2.3.

use crate::codec::{DecodeError, Decoder, Encoder};
use mail::Dsn;

/// Where a recipient stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Never tried.
    #[default]
    Pending,
    /// Tried, to be tried again.
    Deferred(Reason),
    /// Done, and nobody has to be told any more.
    Delivered,
    /// Refused for good. Kept, as the sender has not been told yet.
    Failed(Reason),
    /// Not delivered within `maximal_queue_lifetime`. Kept likewise; the last reason.
    Expired(Reason),
    /// Done, and the sender, who asked for it (`NOTIFY=SUCCESS`), has not been told yet.
    Confirmed(How, Reason),
    /// Failed or expired, and whoever was to know has been told.
    Returned,
}

/// What became of a recipient that is done, as a success report's `Action:` says it (RFC 3464 §2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// In a mailbox.
    Delivered,
    /// Handed to a server that sends no reports.
    Relayed,
    /// Replaced by what an alias stands for.
    Expanded,
}

impl Status {
    /// Whether a delivery is still to be tried.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Status::Pending | Status::Deferred(_))
    }

    /// Whether it will not be delivered, and the sender has still to be told.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        matches!(self, Status::Failed(_) | Status::Expired(_))
    }

    /// Whether somebody may have to be told before the recipient can be forgotten.
    #[must_use]
    pub const fn is_untold(&self) -> bool {
        self.is_failure() || matches!(self, Status::Confirmed(..))
    }
}

/// Why a delivery did not happen, or how it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// 2.x.x, 4.x.x or 5.x.x.
    pub dsn: Dsn,
    /// The text in parentheses of the log line.
    pub text: String,
    /// Whose word it is, where another server said it.
    pub remote: Option<Remote>,
    /// What it was tried with, where the sender wants to hear: the log line's `relay=`.
    pub via: Option<Box<str>>,
}

/// Another server's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its name.
    pub name: String,
    /// What it said: `550 5.1.1 no such user`.
    pub reply: String,
}

impl Reason {
    /// A reason of our own.
    #[must_use]
    pub fn new(dsn: Dsn, text: impl Into<String>) -> Reason {
        Reason { dsn, text: text.into(), remote: None, via: None }
    }

    /// What was accepted is damaged, and can't be delivered any more: Postfix's code and words, and what they mean.
    #[must_use]
    pub fn spoilt() -> Reason {
        let text = "unreadable mail queue entry: the message was damaged on this server's disk";
        Reason::new(Dsn::new(5, 3, 0), text)
    }

    /// The text of a trace: what was tried, and what it came to.
    #[must_use]
    pub fn traced(&self) -> String {
        match &self.via {
            Some(via) => format!("delivery via {via}: {}", self.text),
            None => self.text.clone(),
        }
    }

    fn encode(&self, to: &mut Encoder) {
        to.u8(self.dsn.class);
        to.u16(self.dsn.subject);
        to.u16(self.dsn.detail);
        to.text(&self.text);
        if let Some(remote) = &self.remote {
            to.text(&remote.name);
            to.text(&remote.reply);
        }
        if let Some(via) = &self.via {
            to.text(via);
        }
    }

    fn decode(from: &mut Decoder<'_>, tag: u8) -> Result<Reason, DecodeError> {
        let dsn = Dsn::new(from.u8()?, from.u16()?, from.u16()?);
        let text = from.text()?;
        let remote = if tag & HAS_REMOTE != 0 {
            Some(Remote { name: from.text()?, reply: from.text()? })
        } else {
            None
        };
        let via = if tag & HAS_VIA != 0 { Some(from.text()?.into()) } else { None };
        Ok(Reason { dsn, text, remote, via })
    }
}

/// Added to a status's tag where its reason is another server's word.
const HAS_REMOTE: u8 = 0x10;
/// Likewise where it says what was tried.
const HAS_VIA: u8 = 0x20;

impl Status {
    pub(super) fn encode(&self, to: &mut Encoder) {
        let (tag, reason) = match self {
            Status::Pending => (0, None),
            Status::Deferred(reason) => (1, Some(reason)),
            Status::Delivered => (2, None),
            Status::Failed(reason) => (3, Some(reason)),
            Status::Expired(reason) => (4, Some(reason)),
            Status::Confirmed(How::Delivered, reason) => (5, Some(reason)),
            Status::Confirmed(How::Relayed, reason) => (6, Some(reason)),
            Status::Confirmed(How::Expanded, reason) => (7, Some(reason)),
            Status::Returned => (8, None),
        };
        let has = |what: bool, bit: u8| if what { bit } else { 0 };
        let is_remote = reason.is_some_and(|reason| reason.remote.is_some());
        let is_traced = reason.is_some_and(|reason| reason.via.is_some());
        to.u8(tag | has(is_remote, HAS_REMOTE) | has(is_traced, HAS_VIA));
        if let Some(reason) = reason {
            reason.encode(to);
        }
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Status, DecodeError> {
        let tag = from.u8()?;
        let is_bare = tag & (HAS_REMOTE | HAS_VIA) == 0;
        let mut reason = || Reason::decode(from, tag);
        Ok(match tag & !(HAS_REMOTE | HAS_VIA) {
            0 if is_bare => Status::Pending,
            1 => Status::Deferred(reason()?),
            2 if is_bare => Status::Delivered,
            3 => Status::Failed(reason()?),
            4 => Status::Expired(reason()?),
            5 => Status::Confirmed(How::Delivered, reason()?),
            6 => Status::Confirmed(How::Relayed, reason()?),
            7 => Status::Confirmed(How::Expanded, reason()?),
            8 if is_bare => Status::Returned,
            _ => return Err(DecodeError::Value("status")),
        })
    }
}
