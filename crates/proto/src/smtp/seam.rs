//! What passes between a [`super::Server`] and its driver: inputs, actions, requests, verdicts, notes.
//!
//! Actions that wait (`Decide`, `Filter`, `Commit`, `StartTls`, `Authenticate`) come one at a time; the
//! next comes after its input. All others are done at once, in order, and wait for nothing.

use mail::{Address, Now, Reply};
use std::fmt;
use std::net::IpAddr;

use super::Keywords;

/// Who is at the other end, as the conversation needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client's address.
    pub address: IpAddr,
    /// The client's port.
    pub port: u16,
    /// Verified name, or `unknown`. It may come later, by [`super::Server::identify`].
    pub name: String,
    /// What this client may do beyond others.
    pub rights: Rights,
    /// `smtpd_discard_ehlo_keyword_address_maps`' answer for this client.
    pub discard_ehlo_keywords: Option<Keywords>,
}

/// What a client may do beyond others; the driver looks them up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is membership in one list of main.cf")]
pub struct Rights {
    /// `smtpd_authorized_xclient_hosts`.
    pub xclient: bool,
    /// `smtpd_authorized_xforward_hosts`.
    pub xforward: bool,
    /// `smtpd_authorized_verp_clients`.
    pub verp: bool,
    /// `smtpd_forbid_bare_newline_exclusions`.
    pub bare_newline: bool,
}

impl Peer {
    /// A client of which only the address is known.
    #[must_use]
    pub fn new(address: IpAddr, port: u16) -> Peer {
        Peer {
            address,
            port,
            name: "unknown".to_owned(),
            rights: Rights::default(),
            discard_ehlo_keywords: None,
        }
    }
}

/// What the driver tells the conversation.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes from the client. Don't read more while [`super::Server::wants_input`] says no.
    Bytes(&'a [u8]),
    /// The answer to [`Action::Decide`].
    Decided(Verdict),
    /// The answer to [`Action::Filter`]: the line to use instead, or `None` for the line as it was.
    Filtered(Option<String>),
    /// The answer to [`Action::Commit`]: the queue id, or why not.
    Stored(Result<String, Reply>),
    /// The answer to [`Action::Commit`] where somebody else has taken the message, or hasn't: his reply.
    Relayed(Reply),
    /// The answer to [`Action::StartTls`]: the handshake is through.
    TlsUp,
    /// The answer to [`Action::StartTls`]: the handshake is through, and was one too many; the session ends by this.
    TlsRefused(Reply),
    /// The answer to [`Action::StartTls`]: the handshake is through, and the client isn't who it must be.
    TlsUnfit(Reply),
    /// The answer to [`Action::Authenticate`].
    Authenticated(AuthOutcome),
    /// The client has closed its sending side, or the connection broke.
    PeerClosed,
}

/// What is to become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on, with Postfix's usual reply.
    Permit,
    /// Go on, with this reply instead of the usual one (VRFY's `252 2.0.0 user`, ETRN's answers).
    PermitWith(Reply),
    /// Refuse with this reply. Codes 421 and 521 also end the session, as in Postfix.
    Reject(Reply),
    /// Reply and hang up.
    Disconnect(Reply),
}

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Waits for [`Input::Decided`].
    Decide(Request),
    /// `smtpd_command_filter`: look this line up. Waits for [`Input::Filtered`].
    Filter(String),
    /// Milters want to hear of this line, whose command isn't known. Waits for [`Input::Decided`].
    Unknown(String),
    /// A piece of the message: lines end in `<LF>`, dots are unstuffed; at most 64 kB. Give the buffer back
    /// with [`super::Server::recycle`].
    Chunk(Vec<u8>),
    /// The content is whole and permitted: make it durable. Waits for [`Input::Stored`].
    Commit,
    /// Forget the message that was begun (sender, recipients, content): RSET, a new greeting, a lost
    /// connection, content that was refused. Comes only where MAIL had been accepted.
    Abort,
    /// XCLIENT has set these; [`Request::Connect`] follows.
    Identity(Box<Identity>),
    /// Flush `out`, then do the handshake; nothing read before it may be used after it. Waits for
    /// [`Input::TlsUp`], or for [`Input::PeerClosed`] where the handshake failed.
    StartTls,
    /// Waits for [`Input::Authenticated`].
    Authenticate(AuthStep),
    /// Something worth a log line.
    Note(Note),
    /// Flush `out` and close. Nothing comes after it.
    Close,
}

/// The point at which a decision is wanted. What is known stands in the server's envelope and session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Before the greeting. `Permit` sends the banner.
    Connect,
    /// HELO or EHLO with a name (not yet in [`super::Server::helo`]).
    Helo {
        /// The name as given, one word.
        name: String,
        /// Whether it came by EHLO.
        extended: bool,
    },
    /// MAIL, syntax and limits passed. Where it is permitted and `smtpd_delay_open_until_valid_rcpt = no`,
    /// the message begins here.
    Mail(Box<MailRequest>),
    /// RCPT, syntax and limits passed. The first permitted one begins the message.
    Rcpt(Box<Recipient>),
    /// DATA, or the first BDAT.
    Data,
    /// All content has been handed over.
    EndOfData {
        /// The content's size in bytes, as it came, dots unstuffed, `<CR><LF>` line ends.
        size: u64,
    },
    /// ETRN; the verdict's reply is the answer.
    Etrn(String),
    /// VRFY; `Permit` gives `252 2.0.0 address`.
    Vrfy {
        /// In internal form.
        address: Address,
    },
}

/// MAIL FROM with its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailRequest {
    /// In internal form.
    pub sender: Address,
    /// `SIZE=`; 0 where it wasn't given.
    pub size: u64,
    /// `BODY=`.
    pub body: Body,
    /// `SMTPUTF8`.
    pub smtputf8: bool,
    /// `RET=`.
    pub ret: Option<Ret>,
    /// `ENVID=`, decoded from xtext.
    pub envid: Option<String>,
    /// `AUTH=` as it was written, `<>` included.
    pub auth: Option<String>,
    /// `XVERP`, `XVERP=xx`: the two delimiters.
    pub verp: Option<String>,
    /// All parameters as they were written.
    pub parameters: Vec<String>,
}

/// One RCPT TO with its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipient {
    /// In internal form.
    pub address: Address,
    /// `ORCPT=`, as `type;address`, decoded from xtext.
    pub orcpt: Option<String>,
    /// `NOTIFY=`.
    pub notify: Notify,
    /// All parameters as they were written.
    pub parameters: Vec<String>,
}

/// `BODY=` of MAIL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// Not said.
    #[default]
    Unstated,
    /// `7BIT`.
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
}

/// `RET=` of MAIL, RFC 3461 §4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Headers only.
    Headers,
}

/// `NOTIFY=` of RCPT, RFC 3461 §4.1. All false where it wasn't given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "RFC 3461's four words")]
pub struct Notify {
    /// `NEVER`; then no other is set.
    pub never: bool,
    /// `SUCCESS`.
    pub success: bool,
    /// `FAILURE`.
    pub failure: bool,
    /// `DELAY`.
    pub delay: bool,
}

/// The message as the client has described it so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The accepted MAIL.
    pub mail: MailRequest,
    /// The accepted recipients, in order.
    pub recipients: Vec<Recipient>,
}

/// What XCLIENT says about the client; `None` where it said nothing. XCLIENT_README.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `NAME`.
    pub name: Option<ForwardedName>,
    /// `REVERSE_NAME`.
    pub reverse_name: Option<ForwardedName>,
    /// `ADDR`; `Some(None)` is `[UNAVAILABLE]`.
    pub address: Option<Option<IpAddr>>,
    /// `PORT`; `Some(None)` is `[UNAVAILABLE]`.
    pub port: Option<Option<u16>>,
    /// `HELO`; the server has taken it already.
    pub helo: Option<Option<String>>,
    /// `PROTO`: whether it is ESMTP; the server has taken it already.
    pub extended: Option<bool>,
    /// `LOGIN`; `Some(None)` is `[UNAVAILABLE]`.
    pub login: Option<Option<String>>,
    /// `DESTADDR`.
    pub server_address: Option<Option<IpAddr>>,
    /// `DESTPORT`.
    pub server_port: Option<Option<u16>>,
}

/// A host name as XCLIENT gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardedName {
    /// The name.
    Known(String),
    /// `[UNAVAILABLE]`: there is none.
    Unavailable,
    /// `[TEMPUNAVAIL]`: it couldn't be looked up.
    TemporarilyUnavailable,
}

/// What XFORWARD says about the original client, for log and `Received:`; holds until the session's end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// `NAME`.
    pub name: Option<String>,
    /// `ADDR`.
    pub address: Option<String>,
    /// `PORT`.
    pub port: Option<String>,
    /// `PROTO`.
    pub protocol: Option<String>,
    /// `HELO`.
    pub helo: Option<String>,
    /// `IDENT`: the original queue id.
    pub ident: Option<String>,
    /// `SOURCE`: `LOCAL` or `REMOTE`.
    pub source: Option<String>,
}

/// One step of AUTH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthStep {
    /// `AUTH mechanism [initial-response]`, both as sent.
    Start {
        /// The mechanism's name.
        mechanism: String,
        /// Base64 text.
        initial: Option<String>,
    },
    /// The client's answer to a challenge: base64 text. (`*` never comes here.)
    Response(String),
    /// The client gave up with `*`, and has been told: forget the exchange. Doesn't wait.
    Cancelled,
    /// The client said something too long, and has been told: forget the exchange. Doesn't wait.
    TooLong,
}

/// What the driver says to [`AuthStep`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthOutcome {
    /// Send `334 text` and wait for the client's line.
    Challenge(String),
    /// `235 2.7.0 Authentication successful`.
    Success {
        /// The mechanism, for log lines and policy.
        mechanism: String,
        /// The login name.
        username: String,
    },
    /// Refused.
    Failure(Reply),
}

/// Things worth a log line. Only the driver knows the client's `name[address]`, so texts leave it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// `lost connection after WHERE from CLIENT`.
    LostConnection(String),
    /// `timeout after WHERE from CLIENT`.
    Timeout(String),
    /// `too many errors after WHERE from CLIENT`.
    TooManyErrors(String),
    /// `improper command pipelining after COMMAND from CLIENT: TEXT` (escaped already).
    Pipelining {
        /// The command before.
        command: String,
        /// What the client had sent too early, made printable.
        text: String,
    },
    /// `warning: non-SMTP command from CLIENT: TEXT`.
    NonSmtpCommand(String),
    /// `warning: Illegal address syntax from CLIENT in COMMAND command: ADDRESS`.
    IllegalAddress {
        /// `MAIL`, `RCPT` …
        command: &'static str,
        /// The offending text, made printable.
        address: String,
    },
    /// `ID: reject: PLACE from CLIENT: bare <LF> received; from=… to=… proto=… helo=…`.
    BareNewline(&'static str),
    /// A refusal that the conversation made by itself and that Postfix logs as one:
    /// `ID: reject: COMMAND from CLIENT: REPLY; from=… proto=… helo=…`.
    Rejected {
        /// The command: `MAIL`.
        command: &'static str,
        /// The sender, where it isn't in the envelope yet.
        sender: Option<Address>,
        /// The recipient, where there is one.
        recipient: Option<Address>,
        /// The reply without footer.
        reply: Reply,
    },
    /// `warning: CLIENT: request longer than LIMIT: TEXT...`.
    LongRequest {
        /// `line_length_limit`.
        limit: usize,
        /// Its first 30 characters.
        text: String,
    },
    /// `warning: ID: malformed BDAT command syntax from CLIENT: LINE`.
    MalformedBdat(String),
    /// `warning: ID: BDAT request from CLIENT exceeds message size limit`.
    BdatTooLarge,
    /// `warning: ID: queue file size limit exceeded`.
    QueueFileLimit,
    /// `discarding EHLO keywords: NAMES`.
    DiscardedKeywords(String),
    /// `ID: reject filter in: BEFORE`, then `ID: reject filter out: AFTER`.
    RejectFilter {
        /// The reply as it was.
        before: String,
        /// The reply as it was sent.
        after: String,
    },
    /// `warning: LIMIT limit exceeded: COUNT from CLIENT for service SERVICE`.
    LimitExceeded {
        /// `Message delivery request rate` …
        limit: &'static str,
        /// How many there were in the time unit.
        count: u32,
    },
    /// `warning: Refusing STARTTLS request from CLIENT for service SERVICE`.
    StartTlsRefused,
    /// `warning: TEXT`.
    Warning(String),
}

/// What a [`Meter`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metered {
    /// MAIL, before its address is looked at.
    Message,
    /// RCPT and VRFY, before the address is looked at.
    Recipient,
    /// AUTH, before its arguments are looked at.
    Auth,
}

/// A count that is above its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// As the log names the limit.
    pub limit: &'static str,
    /// How many there were in the time unit.
    pub count: u32,
}

/// Counts what a client does, in memory that is shared between sessions (anvil(8), `smtpd_client_*_rate_limit`).
/// It never waits.
pub trait Meter: Send + Sync + fmt::Debug {
    /// Counts one; says so where it is one too many.
    fn count(&self, event: Metered, now: Now) -> Option<TooMany>;

    /// Whether the client has had so many new TLS sessions that it gets no other. Counts nothing: whether a session
    /// is new shows in the handshake.
    fn refuses_tls(&self, now: Now) -> bool;
}
