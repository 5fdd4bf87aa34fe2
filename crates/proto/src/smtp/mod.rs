//! The server's side of one SMTP connection, without socket and clock (RFC 5321, in Postfix's manners).
//!
//! Bytes go in by [`Server::handle`], replies come out in its `out`, and what is to be done comes by
//! [`Server::poll`]. It decides nothing about who may send what: that is asked by [`Action::Decide`]. It
//! stores nothing: content goes out in [`Action::Chunk`]s. T1.2, T1.9, T2.2.

mod counters;
pub mod footer;
mod seam;
mod settings;

pub use counters::{Command, Counters};
pub use seam::{
    Action, AuthOutcome, AuthStep, Body, Envelope, Forwarded, ForwardedName, Identity, Input, MailRequest, Note,
    Notify, Peer, Recipient, Request, Ret, Rights, Verdict,
};
pub use settings::{AuthSettings, BareNewline, Keywords, Settings, TextMap, TextTest, TlsLevel};

use mail::{Mono, Now};
use std::borrow::Cow;
use std::sync::Arc;

/// One connection's conversation. It begins with [`Action::Decide`] of [`Request::Connect`].
#[derive(Debug)]
pub struct Server {
    settings: Arc<Settings>,
    peer: Box<Peer>,
    counters: Box<Counters>,
    envelope: Option<Box<Envelope>>,
    forwarded: Option<Box<Forwarded>>,
    helo: Option<String>,
}

impl Server {
    /// A conversation with `peer`; poll it for the first action.
    #[must_use]
    pub fn new(settings: Arc<Settings>, peer: Peer, _now: Now) -> Server {
        Server { settings, peer: Box::new(peer), counters: Box::default(), envelope: None, forwarded: None, helo: None }
    }

    /// Takes one input; replies are appended to `out`.
    pub fn handle(&mut self, _now: Now, _input: Input<'_>, _out: &mut Vec<u8>) {}

    /// The next thing to do. Call until `None` after each `handle` and `expire`.
    pub fn poll(&mut self) -> Option<Action> {
        None
    }

    /// When [`Server::expire`] wants to be called: the client's time is up, or a delayed reply is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        None
    }

    /// The deadline may have come.
    pub fn expire(&mut self, _now: Now, _out: &mut Vec<u8>) {}

    /// Whether bytes should be read from the client now.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        true
    }

    /// Other settings from the next command on (`stress`).
    pub fn adopt(&mut self, settings: Arc<Settings>) {
        self.settings = settings;
    }

    /// The client's name became known, or XCLIENT made it another.
    pub fn identify(&mut self, peer: Peer) {
        *self.peer = peer;
    }

    /// Takes back a chunk's buffer.
    pub fn recycle(&mut self, _buffer: Vec<u8>) {}

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The message as described so far; `None` before MAIL is accepted.
    #[must_use]
    pub fn envelope(&self) -> Option<&Envelope> {
        self.envelope.as_deref()
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

    /// The name given by HELO or EHLO.
    #[must_use]
    pub fn helo(&self) -> Option<&str> {
        self.helo.as_deref()
    }

    /// `SMTP` or `ESMTP`.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        "SMTP"
    }

    /// The state's name for log lines: `CONNECT`, `EHLO`, `RCPT`, `DATA`, `END-OF-MESSAGE` …
    #[must_use]
    pub fn where_(&self) -> Cow<'static, str> {
        Cow::Borrowed("CONNECT")
    }

    /// Whether the client sent something before it was allowed to (for `reject_unauth_pipelining`).
    #[must_use]
    pub fn pipelining_violation(&self) -> bool {
        false
    }

    /// Whether TLS is up.
    #[must_use]
    pub fn tls(&self) -> bool {
        false
    }
}
