//! What the SMTP server says about a session: who came, who went, and what went wrong in between.
//!
//! Refusals are in [`crate::check`], TLS in [`crate::tls`]. Texts as smtpd(8) writes them; a client is
//! `name[address]`, or `name[address]:port` with `smtpd_client_port_logging = yes`. RFC 5321.

use crate::record::{Record, Text};
use crate::{Severity, scan};
use std::fmt;
use std::net::IpAddr;

record! {
    /// A client, or another server, as logs name it: `name[address]`.
    Peer<'a> {
        /// The verified name, or `unknown`.
        name: Text<'a>,
        /// The address as text; may be `unknown`.
        address: Text<'a>,
        /// Its port, where ports are logged.
        port: Option<u16>,
    }
}

impl<'a> Peer<'a> {
    /// A peer without a port.
    pub fn new(name: impl Into<Text<'a>>, address: impl Into<Text<'a>>) -> Peer<'a> {
        Peer { name: name.into(), address: address.into(), port: None }
    }

    /// The same with the port shown.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Peer<'a> {
        self.port = Some(port);
        self
    }

    /// The address as a value.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.parse().ok()
    }

    /// Reads a peer that is the whole of `text`.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Peer<'a>> {
        let (peer, rest) = Peer::parse_prefix(text)?;
        rest.is_empty().then_some(peer)
    }

    /// Reads a peer at the start of `text`; gives what follows it.
    pub(crate) fn parse_prefix(text: &'a str) -> Option<(Peer<'a>, &'a str)> {
        let (name, rest) = scan::span(text, |b| b == b'[' || b == b' ')?;
        let (address, rest) = rest.strip_prefix('[')?.split_once(']')?;
        let plain = Peer { name: name.into(), address: address.into(), port: None };
        let port = rest.strip_prefix(':').and_then(scan::leading_number::<u16>);
        Some(match port {
            Some((port, rest)) => (plain.with_port(port), rest),
            None => (plain, rest),
        })
    }
}

impl fmt::Display for Peer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        f.write_str("[")?;
        f.write_str(&self.address)?;
        f.write_str("]")?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

record! {
    /// `connect from name[address]`
    Connect<'a> {
        /// Who.
        client: Peer<'a>,
    }
}

impl<'a> Record<'a> for Connect<'a> {
    fn read(text: &'a str) -> Option<Self> {
        Some(Connect { client: Peer::parse(text.strip_prefix("connect from ")?)? })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "connect from {}", self.client)
    }
}

record! {
    /// `disconnect from name[address] ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4`
    Disconnect<'a> {
        /// Who.
        client: Peer<'a>,
        /// How often which command was tried: [`Counter::render`], [`Disconnect::counters`]. Behind that Postfix
        /// 3.9 and later may say ` notes=bare_lf`.
        commands: Text<'a>,
    }
}

/// One command's count in a `disconnect` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter<'a> {
    /// `helo`, `ehlo`, `starttls` …, `unknown`, and `commands` for their sum.
    pub name: &'a str,
    /// How many were answered with success.
    pub accepted: u32,
    /// How many came.
    pub total: u32,
}

impl Counter<'_> {
    /// All names in the line's order.
    pub const ORDER: [&'static str; 16] = [
        "helo", "ehlo", "xclient", "xforward", "starttls", "auth", "mail", "rcpt", "data", "bdat", "rset",
        "noop", "vrfy", "etrn", "quit", "unknown",
    ];

    /// `ehlo=1 rcpt=0/2`: those that came, in the order given; the sum, `commands=`, is added.
    #[must_use]
    pub fn render(counters: &[Counter<'_>]) -> String {
        let mut out = String::new();
        let mut sum = Counter { name: "commands", accepted: 0, total: 0 };
        for counter in counters.iter().filter(|counter| counter.total > 0) {
            sum.accepted = sum.accepted.saturating_add(counter.accepted);
            sum.total = sum.total.saturating_add(counter.total);
            out.push_str(&format!("{counter} "));
        }
        out.push_str(&sum.to_string());
        out
    }
}

impl fmt::Display for Counter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Postfix's spelling of none at all is `0/0`.
        if self.accepted == self.total && self.total > 0 {
            write!(f, "{}={}", self.name, self.total)
        } else {
            write!(f, "{}={}/{}", self.name, self.accepted, self.total)
        }
    }
}

impl Disconnect<'_> {
    /// The counters, `commands` the last of them.
    pub fn counters(&self) -> impl Iterator<Item = Counter<'_>> {
        self.commands.split(' ').filter_map(|word| {
            let (name, value) = word.split_once('=')?;
            let (accepted, total) = value.split_once('/').unwrap_or((value, value));
            Some(Counter { name, accepted: scan::number(accepted)?, total: scan::number(total)? })
        })
    }
}

impl<'a> Record<'a> for Disconnect<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (client, rest) = Peer::parse_prefix(text.strip_prefix("disconnect from ")?)?;
        let commands = if rest.is_empty() { "" } else { rest.strip_prefix(' ').filter(|c| !c.is_empty())? };
        Some(Disconnect { client, commands: commands.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "disconnect from {}", self.client)?;
        if self.commands.is_empty() { Ok(()) } else { write!(out, " {}", self.commands) }
    }
}

words! {
    /// Why a session ended before its QUIT.
    Cause {
        /// The client went.
        Lost = "lost connection",
        /// The client was silent.
        Timeout = "timeout",
        /// `smtpd_hard_error_limit`.
        TooManyErrors = "too many errors",
    }
}

record! {
    /// `lost connection after DATA (12 bytes) from name[address]`
    Broken<'a> {
        /// Why.
        cause: Cause,
        /// The state in which it stood: `CONNECT`, `EHLO`, `DATA (12 bytes)`, `END-OF-MESSAGE` …
        after: Text<'a>,
        /// Who.
        client: Peer<'a>,
    }
}

impl<'a> Record<'a> for Broken<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (cause, rest) = scan::until(text, " after ")?;
        let (after, client) = scan::until_last(rest, " from ")?;
        Some(Broken { cause: Cause::from_word(cause)?, after: after.into(), client: Peer::parse(client)? })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{} after {} from {}", self.cause, self.after, self.client)
    }
}

record! {
    /// `improper command pipelining after EHLO from name[address]: QUIT\r\n`
    Pipelining<'a> {
        /// After which command.
        after: Text<'a>,
        /// Who.
        client: Peer<'a>,
        /// What had come too early, with `\r\n` spelt out.
        input: Text<'a>,
    }
}

impl<'a> Record<'a> for Pipelining<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (after, rest) = text.strip_prefix("improper command pipelining after ")?.split_once(" from ")?;
        let (client, rest) = Peer::parse_prefix(rest)?;
        Some(Pipelining { after: after.into(), client, input: rest.strip_prefix(": ")?.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "improper command pipelining after {} from {}: {}", self.after, self.client, self.input)
    }
}

record! {
    /// `ID: client=name[address], sasl_method=PLAIN, sasl_username=x`: a message is being received.
    Received<'a> {
        /// Its queue id; `NOQUEUE` with `smtpd_proxy_filter`.
        id: Text<'a>,
        /// From whom.
        client: Peer<'a>,
        /// `PLAIN`, `LOGIN` …
        sasl_method: Option<Text<'a>>,
        /// Who logged in.
        sasl_username: Option<Text<'a>>,
        /// AUTH= of MAIL FROM.
        sasl_sender: Option<Text<'a>>,
        /// Its queue id at the server before, by XFORWARD.
        orig_queue_id: Option<Text<'a>>,
        /// The client of the server before, by XFORWARD.
        orig_client: Option<Peer<'a>>,
    }
}

impl<'a> Received<'a> {
    /// Without SASL and XFORWARD.
    pub fn new(id: impl Into<Text<'a>>, client: Peer<'a>) -> Received<'a> {
        Received {
            id: id.into(),
            client,
            sasl_method: None,
            sasl_username: None,
            sasl_sender: None,
            orig_queue_id: None,
            orig_client: None,
        }
    }
}

impl<'a> Record<'a> for Received<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (id, rest) = scan::queue_id(text)?;
        let (client, rest) = Peer::parse_prefix(rest.strip_prefix("client=")?)?;
        let mut received = Received::new(id, client);
        let rest = field(rest, ", sasl_method=", &mut received.sasl_method);
        let rest = field(rest, ", sasl_username=", &mut received.sasl_username);
        let rest = field(rest, ", sasl_sender=", &mut received.sasl_sender);
        let rest = field(rest, ", orig_queue_id=", &mut received.orig_queue_id);
        if !rest.is_empty() {
            received.orig_client = Some(Peer::parse(rest.strip_prefix(", orig_client=")?)?);
        }
        Some(received)
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}: client={}", self.id, self.client)?;
        let texts = [
            ("sasl_method", &self.sasl_method),
            ("sasl_username", &self.sasl_username),
            ("sasl_sender", &self.sasl_sender),
            ("orig_queue_id", &self.orig_queue_id),
        ];
        for (name, value) in texts.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            write!(out, ", {name}={value}")?;
        }
        self.orig_client.as_ref().map_or(Ok(()), |client| write!(out, ", orig_client={client}"))
    }
}

/// Reads `name` and its value, up to the next field, where `text` begins with it; gives the rest.
fn field<'a>(text: &'a str, name: &str, value: &mut Option<Text<'a>>) -> &'a str {
    const NEXT: [&str; 4] = [", sasl_username=", ", sasl_sender=", ", orig_queue_id=", ", orig_client="];
    let Some(after) = text.strip_prefix(name) else { return text };
    let end = NEXT.iter().filter_map(|next| after.find(next)).min().unwrap_or(after.len());
    let Some((found, rest)) = after.split_at_checked(end) else { return text };
    *value = Some(found.into());
    rest
}

record! {
    /// `warning: hostname x does not resolve to address y: Name or service not known`
    Forged<'a> {
        /// What the address's PTR record says.
        hostname: Text<'a>,
        /// The client's address.
        address: Text<'a>,
        /// Why the name was not found; nothing where it was, with other addresses.
        reason: Option<Text<'a>>,
    }
}

impl<'a> Record<'a> for Forged<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (hostname, rest) =
            text.strip_prefix("warning: hostname ")?.split_once(" does not resolve to address ")?;
        let (address, reason) = match rest.split_once(": ") {
            Some((address, reason)) => (address, Some(reason.into())),
            None => (rest, None),
        };
        Some(Forged { hostname: hostname.into(), address: address.into(), reason })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "warning: hostname {} does not resolve to address {}", self.hostname, self.address)?;
        self.reason.as_ref().map_or(Ok(()), |reason| write!(out, ": {reason}"))
    }
    fn severity(&self) -> Severity {
        Severity::Warning
    }
}

record! {
    /// `warning: name[address]: SASL LOGIN authentication failed: authentication failure, sasl_username=x`
    SaslFailed<'a> {
        /// Who.
        client: Peer<'a>,
        /// `PLAIN`, `LOGIN` …
        mechanism: Text<'a>,
        /// The authentication service's words. Often base64 (of `Password:`), from a client that gave up.
        reason: Text<'a>,
        /// As whom; Postfix says it since 3.8.
        sasl_username: Option<Text<'a>>,
    }
}

impl<'a> Record<'a> for SaslFailed<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (client, rest) = Peer::parse_prefix(text.strip_prefix("warning: ")?)?;
        let (mechanism, rest) = rest.strip_prefix(": SASL ")?.split_once(" authentication failed: ")?;
        let (reason, user) = match rest.split_once(", sasl_username=") {
            Some((reason, user)) => (reason, Some(user.into())),
            None => (rest, None),
        };
        Some(SaslFailed { client, mechanism: mechanism.into(), reason: reason.into(), sasl_username: user })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let (client, mechanism, reason) = (&self.client, &self.mechanism, &self.reason);
        write!(out, "warning: {client}: SASL {mechanism} authentication failed: {reason}")?;
        self.sasl_username.as_ref().map_or(Ok(()), |user| write!(out, ", sasl_username={user}"))
    }
    fn severity(&self) -> Severity {
        Severity::Warning
    }
}

record! {
    /// `warning: Connection concurrency limit exceeded: 51 from name[address] for service smtp`
    LimitExceeded<'a> {
        /// `Connection concurrency`, `Connection rate`, `Message delivery request rate`, `Recipient address
        /// rate`, `New TLS session rate`, `AUTH command rate`.
        limit: Text<'a>,
        /// How many there were.
        count: u64,
        /// Who.
        client: Peer<'a>,
        /// master.cf's service name: `smtp`, `127.0.0.1:10025` …
        service: Text<'a>,
    }
}

impl<'a> Record<'a> for LimitExceeded<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (limit, rest) = text.strip_prefix("warning: ")?.split_once(" limit exceeded: ")?;
        let (count, rest) = scan::leading_number(rest)?;
        let (client, rest) = Peer::parse_prefix(rest.strip_prefix(" from ")?)?;
        let service = rest.strip_prefix(" for service ")?.into();
        Some(LimitExceeded { limit: limit.into(), count, client, service })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let (limit, count, client, service) = (&self.limit, self.count, &self.client, &self.service);
        write!(out, "warning: {limit} limit exceeded: {count} from {client} for service {service}")
    }
    fn severity(&self) -> Severity {
        Severity::Warning
    }
}

record! {
    /// `warning: non-SMTP command from name[address]: GET / HTTP/1.1`
    NonSmtp<'a> {
        /// Who.
        client: Peer<'a>,
        /// The line.
        input: Text<'a>,
    }
}

impl<'a> Record<'a> for NonSmtp<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (client, rest) = Peer::parse_prefix(text.strip_prefix("warning: non-SMTP command from ")?)?;
        Some(NonSmtp { client, input: rest.strip_prefix(": ")?.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "warning: non-SMTP command from {}: {}", self.client, self.input)
    }
    fn severity(&self) -> Severity {
        Severity::Warning
    }
}

record! {
    /// `warning: Illegal address syntax from name[address] in MAIL command: <a@>`
    IllegalAddress<'a> {
        /// Who.
        client: Peer<'a>,
        /// `MAIL` or `RCPT`.
        command: Text<'a>,
        /// The address as it came.
        address: Text<'a>,
    }
}

impl<'a> Record<'a> for IllegalAddress<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (client, rest) = Peer::parse_prefix(text.strip_prefix("warning: Illegal address syntax from ")?)?;
        let (command, address) = rest.strip_prefix(" in ")?.split_once(" command: ")?;
        Some(IllegalAddress { client, command: command.into(), address: address.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let (client, command, address) = (&self.client, &self.command, &self.address);
        write!(out, "warning: Illegal address syntax from {client} in {command} command: {address}")
    }
    fn severity(&self) -> Severity {
        Severity::Warning
    }
}
