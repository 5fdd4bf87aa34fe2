//! What a decision comes out as: [`Decision`], with all that must be answered, logged and done to the mail.
//!
//! Nothing here formats a log line or a reply's bytes; the driver and `proto` do. The path says how the decision
//! came about: every check that was reached, its outcome, and the table line that it hit.

use crate::facts::Need;
use crate::transaction::{Carried, Stage};
use config::Place;
use mail::Reply;

/// What the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against it.
    Permit,
    /// It is refused, for now or for good.
    Reject(Reply),
    /// It is refused, and the connection is closed: 421 and 521.
    Disconnect(Reply),
}

/// The word under which a note is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoteAction {
    /// `reject`
    Reject,
    /// `reject_warning`
    RejectWarning,
    /// `permit`
    Permit,
    /// `discard`
    Discard,
    /// `hold`
    Hold,
    /// `filter`
    Filter,
    /// `redirect`
    Redirect,
    /// `bcc`
    Bcc,
    /// `prepend`
    Prepend,
    /// `warn`
    Warn,
    /// `info`
    Info,
    /// `delay`
    Delay,
    /// Not about this mail but about the set-up: logged as `warning: TEXT`, without client and envelope.
    Warning,
    /// Likewise, as plain information.
    Notice,
}

/// One line for the log: `reject: RCPT from name[addr]: TEXT; from=<> to=<> proto=ESMTP helo=<>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its first word.
    pub action: NoteAction,
    /// What stands between the client and the envelope.
    pub text: String,
}

/// What is to be done with the mail, should it be accepted. Applied in order; the last of a kind counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailEffect {
    /// Put it on hold: the text, and which table's entry says so.
    Hold(String, String),
    /// Accept it and throw it away.
    Discard(String),
    /// Send it through `transport:destination`.
    Filter(String),
    /// Send it to this address instead.
    Redirect(String),
    /// Send a copy to this address.
    Bcc(String),
    /// Put this header on top of the message.
    Prepend(String),
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has nothing to say.
    Dunno,
    /// The list is left.
    Permit,
    /// The request is refused.
    Reject(Reply),
    /// It would have been refused, were it not for `warn_if_reject`.
    WouldReject(Reply),
    /// The request is deferred should a later check permit it.
    DeferIfPermit(Reply),
    /// The request is deferred should a later check refuse it.
    DeferIfReject(Reply),
    /// It went on with what a table or a class named.
    Nested,
    /// It wasn't asked, because of its kind (`why`).
    Skipped(String),
    /// It did something to the mail.
    Did(MailEffect),
}

/// The line of a table that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableLine {
    /// `hash:/etc/postfix/access`
    pub table: String,
    /// The key that was found.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Where it stands.
    pub place: Place,
}

/// One check that the evaluation reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The list.
    pub stage: Stage,
    /// 0 in the list itself, 1 in a class or a table's action, and so on.
    pub depth: u8,
    /// The check as written, with its argument.
    pub check: String,
    /// Where it is written.
    pub place: Place,
    /// How it ended.
    pub outcome: Outcome,
    /// The table line that it hit.
    pub line: Option<TableLine>,
    /// A word on it: `skipped: zone unhealthy`, the DNS answer that counted.
    pub remark: Option<String>,
}

/// A decision with all that hangs on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What the client is told.
    pub verdict: Verdict,
    /// What is logged, in order.
    pub notes: Vec<Note>,
    /// What is done with the mail.
    pub effects: Vec<MailEffect>,
    /// How it came about.
    pub path: Vec<Step>,
    /// For [`Transaction::carried`](crate::Transaction::carried) of the next decision.
    pub carried: Option<Box<Carried>>,
}

/// How far an evaluation comes with what is known: for explaining.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// To its end.
    Decided(Box<Decision>),
    /// To a question.
    Asks {
        /// What must be answered first.
        need: Need,
        /// The way up to it; the last step asks, unless there is none: then the request itself does.
        path: Vec<Step>,
    },
}

impl NoteAction {
    /// The word in the log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            NoteAction::Reject => "reject",
            NoteAction::RejectWarning => "reject_warning",
            NoteAction::Permit => "permit",
            NoteAction::Discard => "discard",
            NoteAction::Hold => "hold",
            NoteAction::Filter => "filter",
            NoteAction::Redirect => "redirect",
            NoteAction::Bcc => "bcc",
            NoteAction::Prepend => "prepend",
            NoteAction::Warn => "warn",
            NoteAction::Info => "info",
            NoteAction::Delay => "delay",
            NoteAction::Warning => "warning",
            NoteAction::Notice => "notice",
        }
    }
}

impl Verdict {
    /// The reply, where there is one.
    #[must_use]
    pub const fn reply(&self) -> Option<&Reply> {
        match self {
            Verdict::Permit => None,
            Verdict::Reject(reply) | Verdict::Disconnect(reply) => Some(reply),
        }
    }
}
