//! The client's side of SMTP and LMTP: one conversation with one server, message after message.
//!
//! [`Client::handle`] takes what came, [`Client::poll`] says what to do next, [`Client::deadline`] when to give up.
//! It owns no socket: who drives it writes what it puts into `out`, and reads meanwhile, so that a server which
//! answers early never blocks. Replies become a [`Verdict`] for each recipient, in Postfix's words. It looks up no
//! host, tries no second server and speaks no TLS: it asks for it, and whoever drives it shakes hands. RFC 5321, RFC 2033 (LMTP), RFC 2920 (PIPELINING), RFC 1870
//! (SIZE), RFC 3207 (STARTTLS), RFC 6152 (8BITMIME), RFC 3461 (DSN), RFC 6531 (SMTPUTF8). CHUNKING is not spoken, as
//! Postfix does not: BDAT would be of use for BINARYMIME only, and no such message is taken in (RFC 3030).

mod body;
mod capabilities;
mod chat;
mod envelope;
#[cfg(test)]
mod fault_tests;
mod forward;
mod login;
#[cfg(test)]
mod protection_tests;
mod replies;
mod settings;
#[cfg(test)]
mod tests;
mod words;

use crate::sasl::client::Exchange;
use crate::transcript::Transcript;
use body::Body;
use capabilities::Capabilities;
use envelope::Envelope;
use mail::seven_bit::{SevenBit, TooDeep};
use mail::{Dsn, Mono, Now};
use replies::{Remark, Replies, Said};
use std::collections::VecDeque;
use std::time::Duration;

pub use capabilities::{Discards, Keyword};
pub use envelope::{Content, Mail, Probe, To};
pub use forward::Origin;
pub(crate) use forward::coded;
pub use replies::{LineFilter, LineTest};
pub use settings::{Demands, Dialect, Login, MechanismTest, Pix, Secrecy, Settings, Timeouts};

/// What became of a recipient, or of the whole server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server has taken it over.
    Sent(Why),
    /// To be tried again, at another server of the destination or later.
    Deferred(Why),
    /// Refused for good.
    Bounced(Why),
}

/// A verdict's words for the log and the bounce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// The enhanced status code.
    pub dsn: Dsn,
    /// `host mx.example[192.0.2.1] said: 550 … (in reply to RCPT TO command)`.
    pub text: String,
    /// The server's own words, where it is its word: `550 …`.
    pub reply: Option<String>,
}

impl Why {
    /// Words of our own.
    #[must_use]
    pub fn new(dsn: Dsn, text: impl Into<String>) -> Why {
        Why { dsn, text: text.into(), reply: None }
    }
}

impl Verdict {
    /// What it says, however it ends.
    #[must_use]
    pub const fn why(&self) -> &Why {
        match self {
            Verdict::Sent(why) | Verdict::Deferred(why) | Verdict::Bounced(why) => why,
        }
    }

    /// Deferred or bounced, as the status code's class says.
    fn failed(dsn: Dsn, text: String) -> Verdict {
        Verdict::not_sent(Why::new(dsn, text))
    }

    /// The same, where a server's reply says so.
    fn refused(dsn: Dsn, text: String, said: &Said) -> Verdict {
        Verdict::not_sent(Why { reply: Some(said.text.clone()), ..Why::new(dsn, text) })
    }

    fn not_sent(why: Why) -> Verdict {
        if why.dsn.class == 5 { Verdict::Bounced(why) } else { Verdict::Deferred(why) }
    }
}

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// The server sent something.
    Bytes(&'a [u8]),
    /// So many bytes went out.
    Wrote(usize),
    /// The answer to [`Action::Ready`]: a message is to be sent.
    Mail(Box<Mail>),
    /// The answer to [`Action::Chunk`]: a piece of the message, lines ended by LF or CRLF.
    Chunk(&'a [u8]),
    /// The answer to [`Action::Chunk`]: that was all of it.
    End,
    /// The answer to [`Action::Ready`]: there is nothing more to send.
    Quit,
    /// A connection that was ready is to be used again: is it still there?
    Probe,
    /// The answer to [`Action::StartTls`]: from here on all is encrypted, and the server is perhaps `verified`.
    TlsUp {
        /// It is who it should be.
        verified: bool,
    },
    /// The answer to [`Action::StartTls`]: there is no TLS, or not with whom it should be.
    Unfit(Verdict),
    /// The server closed the connection, or it broke.
    PeerClosed,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give a message, or quit.
    Ready,
    /// Give a piece of the message.
    Chunk,
    /// Shake hands, and say how it went. Nothing that was read before counts.
    StartTls,
    /// The message is over, one verdict for each recipient, in order.
    Finished(Vec<Verdict>),
    /// This server can't be used; all recipients have this verdict.
    Unusable(Verdict),
    /// A line for the log, about this message.
    Note(String),
    /// A line for the log, about the server.
    Remark(String),
    /// The same, as a warning.
    Doubt(String),
    /// Write what is left and close.
    Close,
}

/// Where the conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Greeting,
    Ehlo,
    Helo,
    /// The answer to STARTTLS is awaited.
    StartTls,
    /// Hands are shaken.
    Handshake,
    /// The answer to AUTH or to a response is awaited.
    Login,
    Ready,
    /// The answer to XFORWARD with the client's name is awaited.
    ForwardName,
    /// The same with what the client said.
    ForwardHelo,
    /// Answers to MAIL, RCPT and DATA are awaited.
    Envelope,
    /// The message is being sent.
    Body,
    /// All but the final dot has been given out; it waits.
    Pause,
    /// The answer to the final dot is awaited.
    Dot,
    /// The same, of a message without recipients.
    EmptyDot,
    Reset,
    /// The answer to a RSET is awaited that is to show whether the server is still there.
    Probe,
    Quit,
    Closed,
}

/// One conversation.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    /// `mx.example[192.0.2.1]`.
    host: String,
    /// The same with its port.
    peer: String,
    secrecy: Secrecy,
    /// TLS is up.
    encrypted: bool,
    /// With the server that was meant.
    verified: bool,
    login: Option<Login>,
    /// Who logs in can't be known now.
    login_unknown: bool,
    /// The log-in under way.
    exchange: Option<Exchange>,
    phase: Phase,
    replies: Replies,
    capabilities: Capabilities,
    envelope: Envelope,
    body: Body,
    actions: VecDeque<Action>,
    deadline: Option<Mono>,
    /// How long the step under way may take, or each step forward.
    patience: Duration,
    /// When all that is done for one message must be over, however fast it goes forward.
    last: Mono,
    /// The server stands behind a PIX firewall, it seems.
    behind_pix: bool,
    /// For the postmaster, where he wants it.
    transcript: Option<Box<Transcript>>,
    /// This host's name and where the mail goes, where a server of that name would be this host.
    own: Option<(String, String)>,
    /// XFORWARD commands that are still to be said.
    forwards: VecDeque<(Phase, String)>,
}

impl Client {
    /// A conversation that waits for the greeting. `host` names the server in texts: `mx.example[192.0.2.1]`.
    #[must_use]
    pub fn new(settings: Settings, host: impl Into<String>, now: Now) -> Client {
        let patience = settings.timeouts.helo;
        let last = now.mono + settings.request_max;
        let host = host.into();
        Client {
            body: Body::new(settings.line_length_max),
            settings,
            peer: host.clone(),
            host,
            secrecy: Secrecy::None,
            encrypted: false,
            verified: false,
            login: None,
            login_unknown: false,
            exchange: None,
            phase: Phase::Greeting,
            replies: Replies::default(),
            capabilities: Capabilities::default(),
            envelope: Envelope::default(),
            actions: VecDeque::new(),
            deadline: Some(now.mono + patience),
            patience,
            last,
            behind_pix: false,
            transcript: None,
            own: None,
            forwards: VecDeque::new(),
        }
    }

    /// The same conversation; a server that has `myhostname` is this host, and mail for `nexthop` would go round in
    /// circles.
    #[must_use]
    pub fn with_own_name(self, myhostname: &str, nexthop: &str) -> Client {
        Client { own: Some((myhostname.to_owned(), nexthop.to_owned())), ..self }
    }

    /// The same conversation; the log names the server with its port: `mx.example[192.0.2.1]:25`.
    #[must_use]
    pub fn with_peer(self, peer: impl Into<String>) -> Client {
        Client { peer: peer.into(), ..self }
    }

    /// The same conversation; what the server says passes `smtp_reply_filter`.
    #[must_use]
    pub fn with_reply_filter(mut self, filter: Option<LineFilter>) -> Client {
        self.replies.filter = filter;
        self
    }

    /// The same conversation, encrypted as `secrecy` says.
    #[must_use]
    pub fn with_secrecy(self, secrecy: Secrecy) -> Client {
        Client { secrecy, encrypted: secrecy == Secrecy::Wrapped, ..self }
    }

    /// The same conversation, logging in.
    #[must_use]
    pub fn with_login(self, login: Option<Login>) -> Client {
        Client { login, ..self }
    }

    /// The same conversation, of which it can't be known who logs in: where the server wants a log-in, it can't be had.
    #[must_use]
    pub fn with_unknown_login(self) -> Client {
        Client { login_unknown: true, ..self }
    }

    /// Takes in what happened, and appends to `out` what is to be sent.
    pub fn handle(&mut self, now: Now, input: Input<'_>, out: &mut Vec<u8>) {
        let is_command = matches!(
            input,
            Input::Mail(_) | Input::Quit | Input::Probe | Input::TlsUp { .. } | Input::Unfit(_)
        );
        if matches!(input, Input::Mail(_) | Input::Probe | Input::Quit) {
            self.last = now.mono + self.settings.request_max;
        }
        let (phase, before) = (self.phase, out.len());
        self.take(now, input, out);
        if is_command {
            self.spoke(phase, out.get(before..));
        }
    }

    fn take(&mut self, now: Now, input: Input<'_>, out: &mut Vec<u8>) {
        match input {
            Input::Bytes(bytes) => {
                self.replies.push(bytes);
                if self.settings.deadline_rate.is_none() && !matches!(self.phase, Phase::Body | Phase::Pause)
                {
                    self.went_on(now);
                }
                while self.phase != Phase::Closed
                    && let Some(said) = self.replies.next()
                {
                    self.told();
                    self.overheard(&said);
                    let (phase, before) = (self.phase, out.len());
                    self.said(now, &said, out);
                    self.spoke(phase, out.get(before..));
                }
                self.told();
                self.overheard_nothing();
                if self.replies.is_flood() {
                    self.lost(format!("reply of host {} is too long", self.host), Dsn::new(4, 5, 0));
                }
            }
            Input::Mail(mail) => self.begin(now, *mail, out),
            Input::Wrote(count) => self.wrote(now, count),
            Input::Chunk(bytes) if self.phase == Phase::Body => match self.body.push(bytes, out) {
                Ok(()) => self.actions.push_back(Action::Chunk),
                Err(error) => self.inconvertible(error, out),
            },
            Input::End if self.phase == Phase::Body => self.content_given(now, out),
            Input::Quit if self.phase == Phase::Ready => self.quit(now, out),
            Input::Probe if self.phase == Phase::Ready => {
                out.extend_from_slice(b"RSET\r\n");
                self.phase = Phase::Probe;
                self.wait(now, self.settings.timeouts.rset);
            }
            Input::TlsUp { verified } if self.phase == Phase::Handshake => {
                (self.encrypted, self.verified) = (true, verified);
                // RFC 3207 §4.2: what was said in the clear isn't known any more.
                self.capabilities = Capabilities::default();
                self.phase = Phase::Ehlo;
                let verb = if self.settings.dialect == Dialect::Lmtp { "LHLO" } else { "EHLO" };
                self.hello(now, verb, out);
            }
            Input::Unfit(verdict) if self.phase == Phase::Handshake => {
                self.give_up(verdict, out);
            }
            Input::Chunk(_) | Input::End | Input::Quit => {}
            Input::Probe | Input::TlsUp { .. } | Input::Unfit(_) => {}
            Input::PeerClosed => {
                let text = format!("lost connection with {} while {}", self.host, self.doing());
                self.lost(text, Dsn::new(4, 4, 2));
            }
        }
    }

    /// What to do next, if anything.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether the server tells senders what becomes of their mail (RFC 3461).
    #[must_use]
    pub fn offers_dsn(&self) -> bool {
        self.capabilities.has(Keyword::Dsn)
    }

    /// Whether the server can encrypt.
    #[must_use]
    pub fn offers_tls(&self) -> bool {
        self.capabilities.has(Keyword::StartTls)
    }

    /// Whether TLS is up.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// When [`Client::expire`] wants to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        self.deadline.map(|at| at.min(self.last))
    }

    /// Gives up if the deadline has passed, or goes on behind a pause.
    pub fn expire(&mut self, now: Now, out: &mut Vec<u8>) {
        if self.deadline().is_some_and(|at| at <= now.mono) {
            if self.phase == Phase::Pause && now.mono < self.last {
                return self.dot(now, out);
            }
            let text = format!("conversation with {} timed out while {}", self.host, self.doing());
            self.lost(text, Dsn::new(4, 4, 2));
        }
    }

    fn wait(&mut self, now: Now, time: Duration) {
        self.patience = time;
        self.deadline = Some(now.mono + time);
    }

    /// A step forward was made.
    fn went_on(&mut self, now: Now) {
        if self.deadline.is_some() && !matches!(self.phase, Phase::Ready | Phase::Closed) {
            self.deadline = Some(now.mono + self.patience);
        }
    }

    fn wrote(&mut self, now: Now, count: usize) {
        match (self.settings.deadline_rate, self.deadline) {
            _ if self.phase != Phase::Body => {}
            (None, _) => self.went_on(now),
            (Some(rate), Some(at)) => {
                let gained = u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(1000) / rate.max(1);
                self.deadline = Some((at + Duration::from_millis(gained)).min(now.mono + self.patience));
            }
            (Some(_), None) => {}
        }
    }

    /// Passes on what is to be told of the server's words.
    fn told(&mut self) {
        for remark in self.replies.take_remarks() {
            self.actions.push_back(match remark {
                Remark::Note(text) => Action::Remark(format!("{}: {text}", self.peer)),
                Remark::Warning(text) => Action::Doubt(format!("{}: {text}", self.peer)),
            });
        }
    }

    /// What is going on, for "while …".
    fn doing(&self) -> &'static str {
        match self.phase {
            Phase::Greeting => words::GREETING,
            Phase::Ehlo | Phase::Login if self.settings.dialect == Dialect::Lmtp => words::LHLO,
            Phase::Ehlo | Phase::Login => words::EHLO,
            Phase::Helo => words::HELO,
            Phase::StartTls | Phase::Handshake => words::STARTTLS,
            Phase::ForwardName => words::FORWARD_NAME,
            Phase::ForwardHelo => words::FORWARD_HELO,
            Phase::Envelope => self.envelope.doing(),
            Phase::Body | Phase::Pause => words::BODY,
            Phase::Dot | Phase::EmptyDot => words::DOT,
            Phase::Reset | Phase::Probe => words::RSET,
            Phase::Ready | Phase::Quit | Phase::Closed => words::QUIT,
        }
    }

    /// The conversation is over before its time.
    fn lost(&mut self, text: String, dsn: Dsn) {
        let verdict = Verdict::failed(dsn, text);
        match self.phase {
            Phase::Greeting
            | Phase::Ehlo
            | Phase::Helo
            | Phase::StartTls
            | Phase::Handshake
            | Phase::Login => {
                self.actions.push_back(Action::Unusable(verdict));
            }
            Phase::ForwardName
            | Phase::ForwardHelo
            | Phase::Envelope
            | Phase::Body
            | Phase::Pause
            | Phase::Dot
            | Phase::EmptyDot => {
                self.finish(Some(&verdict));
            }
            Phase::Ready | Phase::Reset | Phase::Probe | Phase::Quit | Phase::Closed => {}
        }
        self.close();
    }

    fn close(&mut self) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Closed;
            self.deadline = None;
            let waits = |action: &Action| matches!(action, Action::Ready | Action::Chunk | Action::StartTls);
            self.actions.retain(|action| !waits(action));
            self.actions.push_back(Action::Close);
        }
    }

    /// Tells the verdicts; whoever has none has `otherwise`.
    fn finish(&mut self, otherwise: Option<&Verdict>) {
        let verdicts = self.envelope.take_verdicts(otherwise, &self.host);
        self.actions.push_back(Action::Finished(verdicts));
    }

    fn ready(&mut self) {
        self.phase = Phase::Ready;
        self.deadline = None;
        self.actions.push_back(Action::Ready);
    }

    fn quit(&mut self, now: Now, out: &mut Vec<u8>) {
        out.extend_from_slice(b"QUIT\r\n");
        if self.settings.skip_quit_response {
            self.close();
        } else {
            self.phase = Phase::Quit;
            self.wait(now, self.settings.timeouts.quit);
        }
    }

    fn said(&mut self, now: Now, said: &Said, out: &mut Vec<u8>) {
        match self.phase {
            Phase::Greeting => self.greeted(now, said, out),
            Phase::Ehlo | Phase::Helo => self.introduced(now, said, out),
            Phase::ForwardName | Phase::ForwardHelo => self.forward_answered(now, said, out),
            Phase::Envelope => self.envelope_answered(now, said, out),
            Phase::Dot => {
                if self.envelope.dot_answered(said, self.settings.dialect, &self.host) {
                    self.finish(None);
                    self.ready();
                }
            }
            Phase::EmptyDot => {
                self.finish(None);
                self.ready();
            }
            Phase::StartTls => self.starttls_answered(now, said, out),
            // The next word is TLS's.
            Phase::Handshake => {}
            Phase::Login => self.login_answered(now, said, out),
            Phase::Reset => self.ready(),
            Phase::Probe if said.class() == 2 => self.ready(),
            Phase::Probe => self.close(),
            Phase::Quit => self.close(),
            // Nobody can have taken over what wasn't sent yet.
            Phase::Body | Phase::Pause if said.class() == 2 => {
                let text =
                    format!("Protocol error: host {} said: {} (while {})", self.host, said.text, words::BODY);
                self.lost(text, Dsn::new(4, 5, 0));
            }
            // A server that refuses before the message is through: its answer to the dot comes early.
            Phase::Body | Phase::Pause => self.envelope.early(said.clone()),
            // Nothing was asked: a server that says goodbye.
            Phase::Ready => self.close(),
            Phase::Closed => {}
        }
    }

    fn greeted(&mut self, now: Now, said: &Said, out: &mut Vec<u8>) {
        if said.class() != 2 {
            let skipped = self.settings.skip_5xx_greeting && said.class() == 5;
            let dsn = if skipped { Dsn { class: 4, ..said.dsn() } } else { said.dsn() };
            self.unusable(dsn, said, out);
            return;
        }
        if let Some((name, _)) = self.own_name_in(said) {
            let text = format!("host {} greeted me with my own hostname {name}", self.peer);
            self.actions.push_back(Action::Doubt(text));
        }
        let extended = self.settings.always_ehlo || said.text.to_ascii_uppercase().contains("ESMTP");
        let pix = self.settings.pix;
        self.behind_pix =
            self.settings.dialect == Dialect::Smtp && is_obfuscated(&said.text) && pix != Pix::default();
        if self.behind_pix {
            let text = format!("enabling PIX workarounds: {} for {}", pix.names(), self.peer);
            self.actions.push_back(Action::Note(text));
        }
        let plain = self.settings.never_ehlo || (self.behind_pix && pix.disable_esmtp);
        let hello = match self.settings.dialect {
            Dialect::Lmtp => "LHLO",
            Dialect::Smtp if extended && !plain => "EHLO",
            Dialect::Smtp => "HELO",
        };
        self.phase = if hello == "HELO" { Phase::Helo } else { Phase::Ehlo };
        self.hello(now, hello, out);
    }

    /// This host's name and where the mail goes, where the server says that it is this host.
    fn own_name_in(&self, said: &Said) -> Option<(String, String)> {
        let first = said.lines.first()?.split_ascii_whitespace().next()?;
        self.own.clone().filter(|(name, _)| first.eq_ignore_ascii_case(name))
    }

    fn hello(&mut self, now: Now, verb: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{verb} {}\r\n", self.settings.helo_name).as_bytes());
        self.wait(now, self.settings.timeouts.helo);
    }

    fn introduced(&mut self, now: Now, said: &Said, out: &mut Vec<u8>) {
        match (said.class(), self.phase) {
            (2, Phase::Ehlo) => {
                let names = (self.host.as_str(), self.peer.as_str());
                let (capabilities, remarks) = Capabilities::read(&said.lines, &self.settings.discards, names);
                self.capabilities = capabilities;
                self.actions.extend(remarks.into_iter().map(|remark| match remark {
                    Remark::Note(text) => Action::Remark(text),
                    Remark::Warning(text) => Action::Doubt(text),
                }));
                if let Some((name, nexthop)) = self.own_name_in(said) {
                    let text = format!("host {} replied to HELO/EHLO with my own hostname {name}", self.peer);
                    self.actions.push_back(Action::Doubt(text));
                    let text = format!("mail for {nexthop} loops back to myself");
                    return self.give_up(Verdict::failed(Dsn::new(5, 4, 6), text), out);
                }
                self.acquainted(now, out);
            }
            (2, _) => self.acquainted(now, out),
            // RFC 5321 §3.2: a server that doesn't know EHLO is greeted with HELO.
            (class, Phase::Ehlo) if class != 4 && self.settings.dialect == Dialect::Smtp => {
                self.phase = Phase::Helo;
                self.hello(now, "HELO", out);
            }
            _ => self.unusable(said.dsn(), said, out),
        }
    }

    /// What comes between EHLO and the first message.
    fn acquainted(&mut self, now: Now, out: &mut Vec<u8>) {
        if self.encrypted || matches!(self.secrecy, Secrecy::None | Secrecy::Wrapped) {
            self.log_in(now, out);
        } else if self.offers_tls() && self.secrecy == Secrecy::Unavailable {
            let text = "TLS is required, but our TLS engine is unavailable";
            self.give_up(Verdict::failed(Dsn::new(4, 7, 5), text.to_owned()), out);
        } else if self.offers_tls() {
            out.extend_from_slice(b"STARTTLS\r\n");
            self.phase = Phase::StartTls;
            self.wait(now, self.settings.timeouts.starttls);
        } else if matches!(self.secrecy, Secrecy::Required | Secrecy::Unavailable) {
            let text = format!("TLS is required, but was not offered by host {}", self.host);
            self.give_up(Verdict::failed(Dsn::new(4, 7, 4), text), out);
        } else {
            self.log_in(now, out);
        }
    }

    /// This server is of no use.
    fn give_up(&mut self, verdict: Verdict, out: &mut Vec<u8>) {
        self.actions.push_back(Action::Unusable(verdict));
        out.extend_from_slice(b"QUIT\r\n");
        self.close();
    }

    fn starttls_answered(&mut self, now: Now, said: &Said, out: &mut Vec<u8>) {
        if said.class() == 2 {
            // Whatever came behind it was said by who knows whom.
            self.replies.anew();
            self.phase = Phase::Handshake;
            self.wait(now, self.settings.timeouts.starttls);
            self.actions.push_back(Action::StartTls);
        } else if self.secrecy == Secrecy::Required {
            let text = format!("TLS is required, but host {} refused to start TLS: {}", self.host, said.text);
            self.give_up(Verdict::refused(said.dsn(), text, said), out);
        } else {
            self.log_in(now, out);
        }
    }

    fn unusable(&mut self, dsn: Dsn, said: &Said, out: &mut Vec<u8>) {
        let text = format!("host {} refused to talk to me: {}", self.host, said.text);
        self.give_up(Verdict::refused(dsn, text, said), out);
    }

    fn begin(&mut self, now: Now, mail: Mail, out: &mut Vec<u8>) {
        let wants_conversion =
            mail.content != Content::SevenBit && !self.capabilities.has(Keyword::EightBitMime);
        let conversion = self.settings.conversion.filter(|_| wants_conversion);
        self.body = Body::new(self.settings.line_length_max);
        if let Some(limits) = conversion {
            self.body = std::mem::replace(&mut self.body, Body::new(0)).converted(limits);
        }
        self.forwards = self.forwarding(&mail);
        self.envelope = Envelope::new(mail);
        self.envelope.is_converted = conversion.is_some();
        self.envelope.names_nobody =
            self.settings.dummy_mail_auth && self.login.is_some() && !self.capabilities.mechanisms.is_empty();
        if self.phase != Phase::Ready {
            // Not asked for: the connection is gone.
            let text = format!("lost connection with {} while {}", self.host, words::MAIL);
            self.finish(Some(&Verdict::failed(Dsn::new(4, 4, 2), text)));
            return;
        }
        if let Some(verdict) = self.envelope.refused_beforehand(&self.capabilities, &self.host) {
            self.finish(Some(&verdict));
            self.ready();
            return;
        }
        self.forward(now, out);
    }

    /// The conversion to 7-bit text that the message needs, for somebody who does it before its first piece is given.
    pub fn take_conversion(&mut self) -> Option<SevenBit> {
        self.body.take_conversion()
    }

    /// The server as it is named in replies: `mx.example[192.0.2.1]`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    fn ask(&mut self, now: Now, out: &mut Vec<u8>) {
        self.phase = Phase::Envelope;
        self.envelope.ask(&self.capabilities, out);
        self.wait(now, self.settings.timeouts.mail);
    }

    /// All of the message has been given.
    fn content_given(&mut self, now: Now, out: &mut Vec<u8>) {
        if let Err(error) = self.body.end(out) {
            return self.inconvertible(error, out);
        }
        if self.body.has_broken_lines() {
            let limit = self.settings.line_length_max;
            self.actions.push_back(Action::Note(format!("breaking line > {limit} bytes with <CR><LF>SPACE")));
        }
        match self.settings.pix.delay_dotcrlf {
            Some(pause) if self.behind_pix => {
                self.phase = Phase::Pause;
                self.wait(now, pause);
            }
            _ => self.dot(now, out),
        }
    }

    fn dot(&mut self, now: Now, out: &mut Vec<u8>) {
        out.extend_from_slice(b".\r\n");
        self.spoke(self.phase, Some(b"."));
        self.phase = Phase::Dot;
        self.wait(now, self.settings.timeouts.data_done);
        for said in self.envelope.take_early() {
            self.said(now, &said, out);
        }
    }

    /// What was begun can't be sent as it must be. The server has got no dot: it throws away what it has.
    fn inconvertible(&mut self, error: TooDeep, out: &mut Vec<u8>) {
        out.clear();
        self.finish(Some(&Verdict::failed(Dsn::new(5, 6, 0), error.to_string())));
        self.close();
    }

    fn envelope_answered(&mut self, now: Now, said: &Said, out: &mut Vec<u8>) {
        use envelope::Next;
        let time = self.settings.timeouts;
        match self.envelope.answered(said, &self.capabilities, &self.host, out) {
            Next::Wait(envelope::Command::Mail) => self.wait(now, time.mail),
            Next::Wait(envelope::Command::Rcpt(_)) => self.wait(now, time.rcpt),
            Next::Wait(envelope::Command::Data) => self.wait(now, time.data_init),
            Next::Body => {
                self.phase = Phase::Body;
                self.wait(now, time.data_xfer);
                self.actions.push_back(Action::Chunk);
            }
            Next::EmptyDot => {
                out.extend_from_slice(b".\r\n");
                self.phase = Phase::EmptyDot;
                self.wait(now, time.data_done);
            }
            Next::Cut => {
                self.finish(None);
                self.close();
            }
            Next::Reset => {
                out.extend_from_slice(b"RSET\r\n");
                self.finish(None);
                self.phase = Phase::Reset;
                self.wait(now, time.rset);
            }
        }
    }
}

/// Whether a greeting looks as a PIX firewall leaves it: nothing in it but `2`, `0`, `*` and blanks.
fn is_obfuscated(greeting: &str) -> bool {
    greeting.bytes().all(|byte| matches!(byte, b'2' | b'0' | b'*' | b' '))
}
