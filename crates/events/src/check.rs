//! What was decided about a client, a command, a message: refusals, warnings, holds, header checks.
//!
//! `ID: reject: RCPT from name[address]: 450 4.7.1 <x>: Helo command rejected: Host not found; from=<a@b>
//! to=<c@d> proto=ESMTP helo=<x>` (T1.11), with `NOQUEUE` before the message has an id. The texts of HELO,
//! addresses and headers are the peer's. Addresses are quoted and a HELO has `?` for brackets and spaces, so the
//! end can be told from an imitation of it, but only the client, which stands before all that, is sure.

use crate::record::{Record, Text};
use crate::scan;
use crate::smtpd::Peer;
use std::fmt;

words! {
    /// What a decision does; its word in the log.
    Action {
        /// Refused, for now or for good.
        Reject = "reject",
        /// `warn_if_reject`: would have been.
        RejectWarning = "reject_warning",
        /// `smtpd_log_access_permit_actions`.
        Permit = "permit",
        /// Taken and thrown away.
        Discard = "discard",
        /// Put on hold.
        Hold = "hold",
        /// Sent to a content filter.
        Filter = "filter",
        /// Sent to another recipient.
        Redirect = "redirect",
        /// One more recipient.
        Bcc = "bcc",
        /// A header put before the message.
        Prepend = "prepend",
        /// Logged with a warning; of header checks.
        Warning = "warning",
        /// access(5)'s WARN.
        Warn = "warn",
        /// access(5)'s INFO.
        Info = "info",
        /// Delayed.
        Delay = "delay",
        /// A header or line replaced.
        Replace = "replace",
        /// A header or line taken out.
        Strip = "strip",
        /// PASS in header checks.
        Pass = "pass",
        /// A milter refused.
        MilterReject = "milter-reject",
        /// A milter discards.
        MilterDiscard = "milter-discard",
        /// A milter holds.
        MilterHold = "milter-hold",
        /// The filter behind smtpd accepted.
        ProxyAccept = "proxy-accept",
        /// The filter behind smtpd refused.
        ProxyReject = "proxy-reject",
        /// `defer_if_reject` or `defer_if_permit` was noted.
        Trigger = "trigger",
    }
}

record! {
    /// The end of such a line: what was known of the transaction.
    #[derive(Default)]
    Session<'a> {
        /// The sender, in external form, without the brackets; empty for `<>`.
        from: Option<Text<'a>>,
        /// The recipient, likewise.
        to: Option<Text<'a>>,
        /// `SMTP`, `ESMTP`.
        proto: Option<Text<'a>>,
        /// HELO's argument.
        helo: Option<Text<'a>>,
    }
}

impl<'a> Session<'a> {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.from.is_none() && self.to.is_none() && self.proto.is_none() && self.helo.is_none()
    }

    /// `from=<a> to=<b> proto=SMTP helo=<c>`, each but the first after `separator`. Nothing known writes
    /// nothing.
    pub(crate) fn write(&self, out: &mut dyn fmt::Write, separator: &str) -> fmt::Result {
        let mut before = "";
        let fields = [
            ("from=<", &self.from, ">"),
            ("to=<", &self.to, ">"),
            ("proto=", &self.proto, ""),
            ("helo=<", &self.helo, ">"),
        ];
        for (open, value, close) in fields {
            if let Some(value) = value {
                for part in [before, open, value, close] {
                    out.write_str(part)?;
                }
                before = separator;
            }
        }
        Ok(())
    }

    /// Reads what [`Session::write`] wrote; gives what follows it. A HELO has neither brackets nor spaces: the
    /// server puts `?` for them, so that nobody can make a line's end look like another.
    pub(crate) fn read(text: &'a str, separator: &str) -> Option<(Session<'a>, &'a str)> {
        let mut session = Session::default();
        let mut rest = text;
        let (value, next) = bracketed(rest, "from=", separator)?;
        (session.from, rest) = (value, next);
        let (value, next) = bracketed(rest, "to=", separator)?;
        (session.to, rest) = (value, next);
        if let Some(after) = rest.strip_prefix("proto=") {
            let (word, next) = scan::span(after, |b| !b.is_ascii_alphanumeric())?;
            session.proto = Some(word.into());
            rest = next;
            if let Some(next) = rest.strip_prefix(separator) {
                if !next.starts_with("helo=<") {
                    return None;
                }
                rest = next;
            }
        }
        if let Some(after) = rest.strip_prefix("helo=<") {
            let (helo, next) = scan::span(after, |b| matches!(b, b'>' | b'<' | b' '))?;
            session.helo = Some(helo.into());
            rest = next.strip_prefix('>')?;
        }
        (!session.is_empty()).then_some((session, rest))
    }
}

/// `name<value>` and the separator behind it, if it is there.
fn bracketed<'a>(text: &'a str, name: &str, separator: &str) -> Option<(Option<Text<'a>>, &'a str)> {
    let Some(after) = text.strip_prefix(name) else { return Some((None, text)) };
    let (value, rest) = scan::angled(after)?;
    let next = rest
        .strip_prefix(separator)
        .filter(|next| ["to=<", "proto=", "helo=<"].iter().any(|field| next.starts_with(field)));
    Some((Some(value.into()), next.unwrap_or(rest)))
}

record! {
    /// `ID: reject: RCPT from name[address]: TEXT; from=<> to=<> proto=ESMTP helo=<>`
    Verdict<'a> {
        /// The queue id, or `NOQUEUE`; nothing for the lines of `smtpd_proxy_filter`.
        id: Option<Text<'a>>,
        /// What was done.
        action: Action,
        /// Where the session stood: `CONNECT`, `RCPT`, `END-OF-MESSAGE` …
        stage: Text<'a>,
        /// Who.
        client: Peer<'a>,
        /// The reply or the note.
        text: Text<'a>,
        /// What else was known.
        session: Session<'a>,
    }
}

impl Verdict<'_> {
    /// `NOQUEUE`, the id of what has none yet.
    pub const NO_QUEUE: &'static str = "NOQUEUE";

    /// The reply's code, where the text begins with one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        let (code, _) = self.text.split_at_checked(3)?;
        scan::number(code)
    }
}

impl<'a> Record<'a> for Verdict<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (id, rest) = match scan::queue_id(text) {
            Some((id, rest)) => (Some(id.into()), rest),
            None => (None, text),
        };
        let (action, rest) = scan::until(rest, ": ")?;
        let action = Action::from_word(action)?;
        let (stage, rest) = scan::until(rest, " from ")?;
        if stage.starts_with("header ") || stage.starts_with("body ") || stage.starts_with("mime ") {
            return None;
        }
        let (client, rest) = Peer::parse_prefix(rest)?;
        let rest = rest.strip_prefix(": ")?;
        let (text, session) = before_session(rest);
        Some(Verdict { id, action, stage: stage.into(), client, text: text.into(), session })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        if let Some(id) = &self.id {
            write!(out, "{id}: ")?;
        }
        write!(out, "{}: {} from {}: {}", self.action, self.stage, self.client, self.text)?;
        if self.session.is_empty() {
            return Ok(());
        }
        out.write_str("; ")?;
        self.session.write(out, " ")
    }
}

/// A text and the session behind it: at the first `; ` from which on all of the rest is one.
fn before_session(text: &str) -> (&str, Session<'_>) {
    for (at, _) in text.match_indices("; ") {
        let Some((before, rest)) = text.split_at_checked(at) else { continue };
        let whole = rest.strip_prefix("; ").and_then(|rest| Session::read(rest, " "));
        if let Some((session, "")) = whole {
            return (before, session);
        }
    }
    (text, Session::default())
}

words! {
    /// Which check of cleanup(8) hit.
    Part {
        /// `header_checks`, `mime_header_checks`, `nested_header_checks`.
        Header = "header",
        /// `mime_header_checks`, where told apart.
        MimeHeader = "mime header",
        /// `body_checks`.
        Body = "body",
    }
}

record! {
    /// `ID: reject: header Subject: x from name[address]; from=<> to=<> proto=ESMTP helo=<>: 5.7.1 text`
    ContentCheck<'a> {
        /// The queue id.
        id: Text<'a>,
        /// What was done.
        action: Action,
        /// Header or body.
        part: Part,
        /// The header or line, shortened as Postfix does.
        content: Text<'a>,
        /// `name[address]`, `local`, or `unknown`.
        source: Text<'a>,
        /// What else was known.
        session: Session<'a>,
        /// The text of the action, with DSN if it is a refusal.
        text: Option<Text<'a>>,
    }
}

impl<'a> Record<'a> for ContentCheck<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (id, rest) = scan::queue_id(text)?;
        let (action, rest) = scan::until(rest, ": ")?;
        let action = Action::from_word(action)?;
        let part = Part::ALL
            .iter()
            .copied()
            .find(|part| rest.strip_prefix(part.as_str()).is_some_and(|rest| rest.starts_with(' ')))?;
        let rest = rest.strip_prefix(part.as_str())?.strip_prefix(' ')?;
        // The content is the sender's: the last ` from x; ` that what we know follows is the true one.
        for (at, _) in rest.rmatch_indices(" from ") {
            let (content, tail) = rest.split_at_checked(at)?;
            let Some((source, session)) = tail.strip_prefix(" from ").and_then(|tail| tail.split_once("; "))
            else {
                continue;
            };
            let Some((session, tail)) = Session::read(session, " ") else { continue };
            let text = match tail.strip_prefix(": ") {
                Some(text) => Some(text.into()),
                None if tail.is_empty() => None,
                None => continue,
            };
            let (content, source) = (content.into(), source.into());
            return Some(ContentCheck { id: id.into(), action, part, content, source, session, text });
        }
        None
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let (id, action, part, content) = (&self.id, self.action, self.part, &self.content);
        write!(out, "{id}: {action}: {part} {content} from {}; ", self.source)?;
        self.session.write(out, " ")?;
        self.text.as_ref().map_or(Ok(()), |text| write!(out, ": {text}"))
    }
}
