//! All events, and which of them a program's text may be.
//!
//! [`Event::parse`] asks only those kinds that the program writes, the frequent ones first; a program that is
//! not known is taken for smtpd's sort. What none knows is [`Event::Other`].

use crate::check::{ContentCheck, ProxyVerdict, Verdict};
use crate::daemon::{Controlled, Master, Message, Statistics, Terminating};
use crate::delivery::{ConnectFailed, Delivery, HostSaid};
use crate::foreign::{DovecotFailed, Greylisted, SshdFailed};
use crate::judged::{Authenticity, DkimJudged, DkimSigned, DmarcJudged, SpfJudged};
use crate::own::Own;
use crate::queue::{Expired, MessageId, Notified, PickedUp, Queued, Removed};
use crate::record::{Field, Record, Text, json_text};
use crate::screen::{
    Listed, ScreenConnect, ScreenOutcome, ScreenRank, ScreenReject, ScreenViolation, ZoneAnswers,
};
use crate::smtpd::{
    Broken, Connect, Disconnect, Forged, IllegalAddress, LimitExceeded, NonSmtp, Pipelining, Received,
    SaslFailed,
};
use crate::text::Printable;
use crate::tls::{TlsEstablished, TlsFailed, TlsStarting};
use std::fmt;

/// How bad an event is; syslog's severities (RFC 5424 §6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// As it should be.
    Info,
    /// Strange, or wrong with a peer or a file.
    Warning,
    /// Something did not work.
    Error,
    /// A program or session ended over it.
    Critical,
}

impl Severity {
    /// syslog's number: 6 info, 4 warning, 3 err, 2 crit.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Severity::Info => 6,
            Severity::Warning => 4,
            Severity::Error => 3,
            Severity::Critical => 2,
        }
    }

    /// Facility mail and this severity as a syslog line's `<PRI>` (RFC 5424 §6.2.1).
    #[must_use]
    pub const fn priority(self) -> u8 {
        crate::FACILITY * 8 + self.number()
    }

    /// syslog's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "err",
            Severity::Critical => "crit",
        }
    }
}

macro_rules! events {
    ($($(#[$note:meta])* $variant:ident($type:ty) = $kind:literal;)*) => {
        /// What happened.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Event<'a> {
            $($(#[$note])* $variant($type),)*
            /// A text that is none of these.
            Other(Text<'a>),
        }

        impl<'a> Event<'a> {
    /// Postfix cuts its texts at 2,000 bytes. What is longer than so many is no event, and isn't searched for one.
    pub const TEXT_MAX: usize = 8192;

            /// The kind's name, as in JSON.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self { $(Event::$variant(_) => $kind,)* Event::Other(_) => "other" }
            }

            /// How bad it is.
            #[must_use]
            pub fn severity(&self) -> Severity {
                match self { $(Event::$variant(record) => record.severity(),)* Event::Other(_) => Severity::Info }
            }

            /// The same, borrowing nothing.
            #[must_use]
            pub fn into_owned(self) -> Event<'static> {
                match self {
                    $(Event::$variant(record) => Event::$variant(record.into_owned()),)*
                    Event::Other(text) => Event::Other(Field::into_owned(text)),
                }
            }

            /// The event of this kind whose fields stand in `object`.
            pub(crate) fn from_json(kind: &str, object: &serde_json::Value) -> Option<Event<'static>> {
                match kind {
                    $($kind => <$type>::from_json(object).map(Event::$variant),)*
                    "other" => Some(Event::Other(object.get("text")?.as_str()?.to_owned().into())),
                    _ => None,
                }
            }

            /// Writes `,"field":value` for each of its fields.
            pub(crate) fn json_fields(&self, out: &mut String) {
                match self {
                    $(Event::$variant(record) => record.json_fields(out),)*
                    Event::Other(text) => {
                        out.push_str(",\"text\":");
                        json_text(text, out);
                    }
                }
            }

            fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
                match self {
                    $(Event::$variant(record) => record.write(out),)*
                    Event::Other(text) => out.write_str(text),
                }
            }
        }

        $(impl<'a> From<$type> for Event<'a> {
            fn from(record: $type) -> Event<'a> { Event::$variant(record) }
        })*
    };
}

events! {
    /// A client connected.
    Connect(Connect<'a>) = "connect";
    /// It went, or was sent away.
    Disconnect(Disconnect<'a>) = "disconnect";
    /// A session ended before its QUIT.
    Broken(Broken<'a>) = "broken";
    /// A client did not wait for its turn.
    Pipelining(Pipelining<'a>) = "pipelining";
    /// A message is being received.
    Received(Received<'a>) = "received";
    /// A refusal, or another decision.
    Verdict(Verdict<'a>) = "verdict";
    /// The filter behind the server took or refused a message.
    ProxyVerdict(ProxyVerdict<'a>) = "proxy_verdict";
    /// A header or body check hit.
    ContentCheck(ContentCheck<'a>) = "content_check";
    /// A client's name does not lead back to its address.
    Forged(Forged<'a>) = "forged";
    /// A log-in failed.
    SaslFailed(SaslFailed<'a>) = "sasl_failed";
    /// A rate or concurrency limit was met.
    LimitExceeded(LimitExceeded<'a>) = "limit_exceeded";
    /// A client speaks another protocol.
    NonSmtp(NonSmtp<'a>) = "non_smtp";
    /// An address that is none.
    IllegalAddress(IllegalAddress<'a>) = "illegal_address";
    /// A TLS hand-shake went well.
    TlsEstablished(TlsEstablished<'a>) = "tls_established";
    /// A TLS hand-shake begins.
    TlsStarting(TlsStarting<'a>) = "tls_starting";
    /// A TLS hand-shake failed.
    TlsFailed(TlsFailed<'a>) = "tls_failed";
    /// A message from sendmail(1).
    PickedUp(PickedUp<'a>) = "picked_up";
    /// A message's own id.
    MessageId(MessageId<'a>) = "message_id";
    /// A message is in the active queue.
    Queued(Queued<'a>) = "queued";
    /// One recipient's delivery.
    Delivery(Delivery<'a>) = "delivery";
    /// A server could not be reached.
    ConnectFailed(ConnectFailed<'a>) = "connect_failed";
    /// A server refused one try.
    HostSaid(HostSaid<'a>) = "host_said";
    /// A message has left the queue.
    Removed(Removed<'a>) = "removed";
    /// A message was too long in the queue.
    Expired(Expired<'a>) = "expired";
    /// A bounce or the like was sent.
    Notified(Notified<'a>) = "notified";
    /// postscreen: a client connected.
    ScreenConnect(ScreenConnect<'a>) = "screen_connect";
    /// postscreen: passed, listed, gone.
    ScreenOutcome(ScreenOutcome<'a>) = "screen_outcome";
    /// postscreen: failed a test.
    ScreenViolation(ScreenViolation<'a>) = "screen_violation";
    /// postscreen: DNS lists' weight.
    ScreenRank(ScreenRank<'a>) = "screen_rank";
    /// postscreen: refused.
    ScreenReject(ScreenReject<'a>) = "screen_reject";
    /// dnsblog: an address is listed.
    Listed(Listed<'a>) = "listed";
    /// How a DNS list answered since the last such line.
    ZoneAnswers(ZoneAnswers<'a>) = "zone_answers";
    /// The master started or reloaded.
    Master(Master<'a>) = "master";
    /// The master stops.
    Terminating(Terminating) = "terminating";
    /// postfix(1) was called.
    Controlled(Controlled) = "controlled";
    /// A maximum, of anvil and others.
    Statistics(Statistics<'a>) = "statistics";
    /// A warning, or worse.
    Message(Message<'a>) = "message";
    /// An event of our own.
    Own(Own<'a>) = "own";
    /// postgrey's decision.
    Greylisted(Greylisted<'a>) = "greylisted";
    /// A log-in at Dovecot failed.
    DovecotFailed(DovecotFailed<'a>) = "dovecot_failed";
    /// A log-in at sshd failed.
    SshdFailed(SshdFailed<'a>) = "sshd_failed";
    /// A message was signed.
    DkimSigned(DkimSigned<'a>) = "dkim_signed";
    /// A signature was judged.
    DkimJudged(DkimJudged<'a>) = "dkim_judged";
    /// A message was judged by its author's domain.
    DmarcJudged(DmarcJudged<'a>) = "dmarc_judged";
    /// A client was judged by its sender's domain.
    SpfJudged(SpfJudged<'a>) = "spf_judged";
    /// What this server found out about who sent a message.
    Authenticity(Authenticity<'a>) = "authenticity";
}

impl fmt::Display for Event<'_> {
    /// The text behind `program[pid]: `, with `?` for what is not printable.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(&mut Printable(f))
    }
}

/// Tries one kind after the other.
macro_rules! first_of {
    ($text:expr; $($type:ident),*) => {
        None$(.or_else(|| $type::read($text).map(Event::from)))*
    };
}

impl<'a> Event<'a> {
    /// The event behind `program[pid]: `. `program` as logged: `postfix/smtpd`, `postfix/submission/smtpd`,
    /// `postgrey`.
    #[must_use]
    pub fn parse(program: &str, text: &'a str) -> Event<'a> {
        if text.len() > Event::TEXT_MAX {
            return Event::Other(text.into());
        }
        let service = program.rsplit('/').next().unwrap_or(program);
        let known = match service {
            "smtpd" => smtpd(text),
            "postscreen" => screen(text),
            "dnsblog" => first_of!(text; Listed, ZoneAnswers),
            "cleanup" => first_of!(text; MessageId, ContentCheck, Verdict, Authenticity),
            "qmgr" | "nqmgr" | "oqmgr" => first_of!(text; Queued, Removed, Expired, Delivery),
            "smtp" | "lmtp" | "virtual" | "local" | "pipe" | "error" | "retry" | "discard" | "relay" => {
                agent(text)
            }
            "pickup" => first_of!(text; PickedUp, MessageId),
            "bounce" | "trace" | "defer" => first_of!(text; Notified),
            "anvil" | "tlsproxy" | "scache" => {
                first_of!(text; Statistics, TlsEstablished, TlsFailed, TlsStarting)
            }
            "master" => first_of!(text; Master, Terminating),
            "postfix-script" => first_of!(text; Controlled),
            "postgrey" => first_of!(text; Greylisted),
            "dovecot" => first_of!(text; DovecotFailed),
            "sshd" | "sshd-session" => first_of!(text; SshdFailed),
            "opendkim" => first_of!(text; DkimSigned, DkimJudged),
            "opendmarc" => first_of!(text; DmarcJudged),
            "policyd-spf" => first_of!(text; SpfJudged),
            _ => smtpd(text).or_else(|| agent(text)),
        };
        known.or_else(|| first_of!(text; Message, Own)).unwrap_or(Event::Other(text.into()))
    }
}

fn smtpd(text: &str) -> Option<Event<'_>> {
    match text.as_bytes().first()? {
        b'c' => first_of!(text; Connect),
        b'd' => first_of!(text; Disconnect),
        b'w' => first_of!(text; Forged, SaslFailed, LimitExceeded, NonSmtp, IllegalAddress),
        b'N' => first_of!(text; Verdict, Received),
        b'l' | b't' => first_of!(text; Broken),
        b'i' => first_of!(text; Pipelining),
        b'p' => first_of!(text; ProxyVerdict),
        _ => first_of!(text; Received, Verdict, TlsEstablished, TlsStarting, TlsFailed),
    }
    // The letters above also begin other texts: a queue id, `too many errors`.
    .or_else(|| first_of!(text; Received, Verdict, Broken, TlsEstablished, TlsStarting))
}

fn agent(text: &str) -> Option<Event<'_>> {
    first_of!(text; Delivery, HostSaid, ConnectFailed, TlsEstablished, TlsStarting, TlsFailed, ContentCheck)
}

fn screen(text: &str) -> Option<Event<'_>> {
    first_of!(text; ScreenOutcome, ScreenConnect, ScreenReject, ScreenViolation, ScreenRank)
}
