//! The server's side of one SMTP connection, without socket and clock (RFC 5321, in Postfix's manners).
//!
//! Bytes go in by [`Server::handle`], replies come out in its `out`, and what is to be done comes by
//! [`Server::poll`]. It decides nothing about who may send what: that is asked by [`Action::Decide`]. It
//! stores nothing: content goes out in [`Action::Chunk`]s. T1.2, T1.9, T2.2.
//!
//! A driver's round: `handle` or `expire`; `poll` until `None`, doing each action; write `out`; then wait
//! for the client (where `wants_input`), for the outstanding action's end, or for `deadline`.

mod auth;
mod chunking;
mod commands;
mod content;
mod counters;
mod drive;
mod flow;
pub mod footer;
mod greeting;
mod metering;
mod seam;
mod settings;
#[cfg(test)]
mod tests;
mod transaction;
mod words;
mod xclient;

pub use crate::transcript::{Fault, Transcript};
pub use counters::{Command, Counters};
pub use drive::fuzz;
pub use seam::{
    Action, AuthOutcome, AuthStep, Body, Envelope, Forwarded, ForwardedName, Identity, Input, MailRequest,
    Meter, Metered, Note, Notify, Peer, Recipient, Request, Ret, Rights, TooMany, Verdict,
};
pub use settings::{AuthSettings, BareNewline, Keywords, Settings, TextMap, TextTest, TlsLevel};
pub use words::decode_xtext;

pub(crate) use words::{escaped, is_header_label, printable, verb};

use mail::{Mono, Now};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use transaction::Transaction;

/// One connection's conversation. It begins with [`Action::Decide`] of [`Request::Connect`].
#[derive(Debug)]
pub struct Server {
    settings: Arc<Settings>,
    peer: Box<Peer>,
    /// Counts for limits on what the client may do in a time unit.
    meter: Option<Arc<dyn Meter>>,
    counters: Counters,
    transaction: Option<Box<Transaction>>,
    forwarded: Option<Box<Forwarded>>,
    helo: Option<Box<str>>,
    login: Option<Box<str>>,
    /// The mechanisms that the driver has found; without it those of the settings.
    offered: Option<Box<[String]>>,
    /// What the client has sent and we haven't come to.
    input: Vec<u8>,
    /// So many bytes at its front are done with.
    taken: usize,
    actions: VecDeque<Action>,
    /// Replies that are held back until `pause`.
    held: Vec<u8>,
    pause: Option<Mono>,
    /// When the client's time is up; meaningful while we read.
    until: Mono,
    wait: Option<Wait>,
    mode: Mode,
    /// The command being carried out.
    current: Command,
    /// The last command, as log lines name it.
    place: &'static str,
    errors: u32,
    junk: u32,
    state: Flags,
    /// For the postmaster, where he wants it.
    transcript: Option<Box<Transcript>>,
    /// What a decision's refusal is, where it isn't `policy`.
    fault: Option<Fault>,
}

/// Yes-or-no facts of the session.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each a bit of the session")]
struct Flags {
    /// EHLO, not HELO.
    extended: bool,
    tls: bool,
    peer_closed: bool,
    /// The client talked when it should have listened.
    early_talk: bool,
    /// The last byte that was dropped from an over-long line.
    skipped: Option<u8>,
    /// Where an over-long line is to be cut.
    cut: Option<u32>,
    /// A whole line in reject mode ended in a bare newline at least once.
    bare_newline: bool,
    /// The connect decision was a refusal: only QUIT works.
    denied: bool,
    pace: Pace,
}

/// Whether what was read is worked through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pace {
    #[default]
    On,
    /// Not behind what is decided now.
    Halts,
    /// Too much output at once, or halted: go on when it is written.
    Yielded,
}

/// What is outstanding at the driver.
#[derive(Debug)]
enum Wait {
    Connect,
    Filter(Box<Line>),
    Helo(Box<str>, bool),
    Mail(Box<MailRequest>),
    Rcpt(Box<Recipient>),
    Data,
    Bdat { left: u64, last: bool },
    EndOfData,
    Commit,
    Etrn,
    Unknown,
    Vrfy(Box<str>),
    StartTls,
    Auth,
}

/// A command line on its way through the command filter.
#[derive(Debug)]
struct Line {
    text: String,
}

/// What the next bytes of the client are.
#[derive(Debug)]
enum Mode {
    Command,
    /// DATA's lines.
    Data,
    /// BDAT's bytes; with a reply they are skipped, and it is sent behind them.
    Bdat {
        left: u64,
        size: u64,
        last: bool,
        refusal: Option<Box<mail::Reply>>,
    },
    /// The answer to a SASL challenge.
    AuthResponse,
    Closed,
}

impl Server {
    /// A conversation with `peer`; poll it for the first action.
    #[must_use]
    pub fn new(settings: Arc<Settings>, peer: Peer, now: Now) -> Server {
        let until = now.mono + settings.timeout;
        let transcript = settings.transcript.then(Box::default);
        Server {
            settings,
            peer: Box::new(peer),
            meter: None,
            counters: Counters::default(),
            transaction: None,
            forwarded: None,
            helo: None,
            login: None,
            offered: None,
            input: Vec::new(),
            taken: 0,
            actions: VecDeque::from([Action::Decide(Request::Connect)]),
            held: Vec::new(),
            pause: None,
            until,
            wait: Some(Wait::Connect),
            mode: Mode::Command,
            current: Command::Unknown,
            place: "CONNECT",
            errors: 0,
            junk: 0,
            state: Flags::default(),
            transcript,
            fault: None,
        }
    }

    /// For a listener on which TLS is up before the greeting (`smtpd_tls_wrappermode`).
    #[must_use]
    pub fn over_tls(mut self) -> Server {
        self.state.tls = true;
        self
    }

    /// The next thing to do. Call until `None` after each `handle` and `expire`.
    pub fn poll(&mut self) -> Option<Action> {
        if self.pause.is_some() && matches!(self.actions.front(), Some(Action::Close | Action::StartTls)) {
            return None;
        }
        let action = self.actions.pop_front();
        if action.is_none() && self.actions.capacity() > 0 {
            self.actions = VecDeque::new();
        }
        action
    }

    /// When [`Server::expire`] wants to be called: the client's time is up, a delayed reply is due, or (at
    /// time 0) there is more to do with what was read, once `out` is written.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        if self.pause.is_some() {
            return self.pause;
        }
        if self.state.pace == Pace::Yielded {
            return Some(Mono(0));
        }
        self.reads().then_some(self.until)
    }

    /// `smtpd_timeout`: how long the client may take to accept what it is sent.
    #[must_use]
    pub fn write_timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// Whether bytes should be read from the client now.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !self.state.peer_closed
            && !matches!(self.mode, Mode::Closed)
            && !matches!(self.wait, Some(Wait::StartTls))
            && self.pending().len() < flow::PENDING_BYTES_MAX
    }

    /// Other settings from the next command on (`stress`).
    pub fn adopt(&mut self, settings: Arc<Settings>) {
        self.settings = settings;
    }

    /// The client's name became known, or XCLIENT made it another.
    pub fn identify(&mut self, peer: Peer) {
        *self.peer = peer;
    }

    /// Who counts what this client does; `None` where nothing of it is limited.
    pub fn set_meter(&mut self, meter: Option<Arc<dyn Meter>>) {
        self.meter = meter;
    }

    /// Takes back a chunk's buffer.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        if let Some(content) = self.transaction.as_mut().and_then(|t| t.content.as_mut()) {
            content.recycle(buffer);
        }
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The message as described so far; `None` before MAIL is accepted.
    #[must_use]
    pub fn envelope(&self) -> Option<&Envelope> {
        self.transaction.as_deref().map(|t| &t.envelope)
    }

    /// What XFORWARD said.
    #[must_use]
    pub fn forwarded(&self) -> Option<&Forwarded> {
        self.forwarded.as_deref()
    }

    /// The commands so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The name given by HELO or EHLO, or by XCLIENT.
    #[must_use]
    pub fn helo(&self) -> Option<&str> {
        self.helo.as_deref()
    }

    /// The login name, where AUTH succeeded or XCLIENT gave one.
    #[must_use]
    pub fn login(&self) -> Option<&str> {
        self.login.as_deref()
    }

    /// `SMTP` or `ESMTP`.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        if self.state.extended { "ESMTP" } else { "SMTP" }
    }

    /// The state's name for log lines: `CONNECT`, `EHLO`, `RCPT`, `DATA (42 bytes)`, `END-OF-MESSAGE` …
    #[must_use]
    pub fn where_(&self) -> Cow<'static, str> {
        let content = self.transaction.as_ref().and_then(|t| t.content.as_ref());
        match content {
            Some(content) if self.place == "DATA" => {
                Cow::Owned(format!("DATA ({} bytes)", content.line_bytes()))
            }
            Some(content) if self.place == "BDAT" => {
                Cow::Owned(format!("BDAT ({} bytes)", content.received()))
            }
            _ => Cow::Borrowed(self.place),
        }
    }

    /// The same without the number of bytes.
    #[must_use]
    pub fn place(&self) -> &'static str {
        self.place
    }

    /// Whether the client sent something before it was allowed to (for `reject_unauth_pipelining`).
    #[must_use]
    pub fn pipelining_violation(&self) -> bool {
        self.state.early_talk
    }

    /// Whether a line ended in a bare `<LF>` (the `notes=bare_lf` of the disconnect line).
    #[must_use]
    pub fn bare_newline_seen(&self) -> bool {
        self.state.bare_newline
    }

    /// Whether TLS is up.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.state.tls
    }

    /// Bytes of the heap that this conversation holds in buffers (not the small fixed boxes).
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        let content = self.transaction.as_ref().and_then(|t| t.content.as_ref());
        self.input.capacity()
            + self.held.capacity()
            + self.actions.capacity() * size_of::<Action>()
            + content.map_or(0, content::Content::heap_bytes)
    }
}
