//! Other programs' syslog lines: postgrey, log-ins that failed at Dovecot and sshd.
//!
//! Only what reports and bans count; all else of these programs stays [`crate::Event::Other`]. fail2ban's own
//! log file has another envelope: [`crate::fail2ban`]. T0.1, T2.17.

use crate::record::{Record, Text};
use crate::scan;
use std::fmt;

record! {
    /// `action=greylist, reason=new, client_name=a, client_address=192.0.2.1/32, sender=b, recipient=c`
    Greylisted<'a> {
        /// `greylist`, `pass` …
        action: Text<'a>,
        /// `new`, `early-retry (12s missing)`, `triplet found`, `client AWL`, `recipient whitelist` …
        reason: Text<'a>,
        /// The wait so far, in seconds, of what passes for the first time.
        delay: Option<u64>,
        /// The verified name, or `unknown`.
        client_name: Option<Text<'a>>,
        /// The address, with its net's length where it is cut: `192.0.2.0/24`.
        client_address: Option<Text<'a>>,
        /// The sender.
        sender: Option<Text<'a>>,
        /// The recipient.
        recipient: Option<Text<'a>>,
    }
}

impl<'a> Record<'a> for Greylisted<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (action, rest) = text.strip_prefix("action=")?.split_once(", reason=")?;
        let (reason, rest) = next_field(rest);
        let (delay, rest) = match rest.strip_prefix(", delay=") {
            Some(rest) => {
                let (delay, rest) = scan::leading_number(rest)?;
                (Some(delay), rest)
            }
            None => (None, rest),
        };
        let (client_name, rest) = named(rest, ", client_name=");
        let (client_address, rest) = named(rest, ", client_address=");
        let (sender, rest) = named(rest, ", sender=");
        let recipient = if rest.is_empty() { None } else { Some(rest.strip_prefix(", recipient=")?.into()) };
        let (action, reason) = (action.into(), reason.into());
        Some(Greylisted { action, reason, delay, client_name, client_address, sender, recipient })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "action={}, reason={}", self.action, self.reason)?;
        if let Some(delay) = self.delay {
            write!(out, ", delay={delay}")?;
        }
        let fields = [
            (", client_name=", &self.client_name),
            (", client_address=", &self.client_address),
            (", sender=", &self.sender),
            (", recipient=", &self.recipient),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                write!(out, "{name}{value}")?;
            }
        }
        Ok(())
    }
}

/// The fields' names, in postgrey's order, with what parts them.
const FIELDS: [&str; 5] = [", delay=", ", client_name=", ", client_address=", ", sender=", ", recipient="];

/// A value up to the next field, and the rest with that field's name.
fn next_field(text: &str) -> (&str, &str) {
    let end = FIELDS.iter().filter_map(|field| text.find(field)).min().unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn named<'a>(text: &'a str, name: &str) -> (Option<Text<'a>>, &'a str) {
    match text.strip_prefix(name) {
        Some(rest) => {
            let (value, rest) = next_field(rest);
            (Some(value.into()), rest)
        }
        None => (None, text),
    }
}

record! {
    /// `imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<x>, method=PLAIN, rip=192.0.2.1, …`
    DovecotFailed<'a> {
        /// `imap-login`, `pop3-login`, `submission-login`, `managesieve-login`.
        service: Text<'a>,
        /// `Disconnected`, `Aborted login`, `Disconnected: Connection closed` …
        end: Text<'a>,
        /// How many attempts.
        attempts: u32,
        /// In how many seconds.
        seconds: u32,
        /// As whom; the last of the attempts.
        user: Text<'a>,
        /// From which address.
        rip: Text<'a>,
        /// `PLAIN`, `LOGIN` …
        method: Option<Text<'a>>,
        /// What stands behind the address, with the comma: `, lip=192.0.2.25, TLS, session=<x>`.
        more: Text<'a>,
    }
}

/// A name up to its `>, `. The name is what a client sent, and may look like the rest of the line: the last that is
/// followed by a field is the true one.
fn behind_user(text: &str) -> Option<(&str, &str)> {
    let at = [">, method=", ">, rip="].iter().filter_map(|field| text.rfind(field)).max()?;
    let (user, rest) = text.split_at_checked(at)?;
    Some((user, rest.strip_prefix(">, ")?))
}

impl<'a> Record<'a> for DovecotFailed<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (service, rest) = scan::until(text, ": ")?;
        let (end, rest) = scan::until(rest, " (auth failed, ")?;
        let (attempts, rest) = scan::leading_number(rest)?;
        let (seconds, rest) = scan::leading_number(rest.strip_prefix(" attempts in ")?)?;
        let (user, rest) = behind_user(rest.strip_prefix(" secs): user=<")?)?;
        let (method, rest) = match rest.strip_prefix("method=") {
            Some(rest) => rest.split_once(", ").map(|(method, rest)| (Some(method.into()), rest))?,
            None => (None, rest),
        };
        let (rip, more) = scan::span(rest.strip_prefix("rip=")?, |b| b == b',')?;
        let (service, end, user) = (service.into(), end.into(), user.into());
        Some(DovecotFailed {
            service,
            end,
            attempts,
            seconds,
            user,
            rip: rip.into(),
            method,
            more: more.into(),
        })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}: {} (auth failed, {} attempts in ", self.service, self.end, self.attempts)?;
        write!(out, "{} secs): user=<{}>, ", self.seconds, self.user)?;
        if let Some(method) = &self.method {
            write!(out, "method={method}, ")?;
        }
        write!(out, "rip={}{}", self.rip, self.more)
    }
}

record! {
    /// `Failed password for invalid user admin from 192.0.2.1 port 4711 ssh2`
    SshdFailed<'a> {
        /// `password`, `publickey` …
        method: Text<'a>,
        /// Whether there is no such account.
        unknown: bool,
        /// As whom.
        user: Text<'a>,
        /// From which address.
        address: Text<'a>,
        /// From which port.
        port: u16,
        /// What stands behind it: ` ssh2`.
        more: Text<'a>,
    }
}

impl<'a> Record<'a> for SshdFailed<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (method, rest) = text.strip_prefix("Failed ")?.split_once(" for ")?;
        // The name is the client's: the last ` from ` is ours.
        let (user, rest) = scan::until_last(rest, " from ")?;
        let (address, rest) = scan::until(rest, " port ")?;
        let _: std::net::IpAddr = address.parse().ok()?;
        let (port, more) = scan::leading_number(rest)?;
        let (unknown, user) = match user.strip_prefix("invalid user ") {
            Some(user) => (true, user),
            None => (false, user),
        };
        let (method, user, address) = (method.into(), user.into(), address.into());
        Some(SshdFailed { method, unknown, user, address, port, more: more.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let unknown = if self.unknown { "invalid user " } else { "" };
        let (method, user, address, port) = (&self.method, &self.user, &self.address, self.port);
        write!(out, "Failed {method} for {unknown}{user} from {address} port {port}{}", self.more)
    }
}
