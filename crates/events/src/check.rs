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
        /// `milter_header_checks`: REJECT.
        MilterHeaderReject = "milter-header-reject",
        /// `milter_header_checks`: WARN.
        MilterHeaderWarning = "milter-header-warning",
        /// `milter_header_checks`: INFO.
        MilterHeaderInfo = "milter-header-info",
        /// `milter_header_checks`: STRIP.
        MilterHeaderStrip = "milter-header-strip",
        /// `milter_header_checks`: REPLACE.
        MilterHeaderReplace = "milter-header-replace",
        /// `milter_header_checks`: PREPEND, which does nothing.
        MilterHeaderPrepend = "milter-header-prepend",
        /// `milter_header_checks`: HOLD.
        MilterHeaderHold = "milter-header-hold",
        /// `milter_header_checks`: DISCARD.
        MilterHeaderDiscard = "milter-header-discard",
        /// `milter_header_checks`: FILTER.
        MilterHeaderFilter = "milter-header-filter",
        /// `milter_header_checks`: REDIRECT.
        MilterHeaderRedirect = "milter-header-redirect",
        /// `milter_header_checks`: BCC.
        MilterHeaderBcc = "milter-header-bcc",
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

    /// `; from=<a> …` behind a text, or nothing.
    fn write_behind(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        if self.is_empty() {
            return Ok(());
        }
        out.write_str("; ")?;
        self.write(out, " ")
    }

    /// Reads what [`Session::write`] wrote; gives what follows it. A HELO has neither brackets nor spaces: the
    /// server puts `?` for them, so that nobody can make a line's end look like another.
    pub(crate) fn read(text: &'a str, separator: &str) -> Option<(Session<'a>, &'a str)> {
        let mut session = Session::default();
        let mut rest = text;
        for name in ["from=", "to=", "proto=", "helo="] {
            let at = if session.is_empty() { Some(rest) } else { rest.strip_prefix(separator) };
            let Some(after) = at.and_then(|at| at.strip_prefix(name)) else { continue };
            let (value, next) = match name {
                "proto=" => scan::span(after, |b| !b.is_ascii_alphanumeric())?,
                "helo=" => {
                    let after = after.strip_prefix('<')?;
                    let (value, next) = scan::span(after, |b| matches!(b, b'>' | b'<' | b' '))?;
                    (value, next.strip_prefix('>')?)
                }
                _ => scan::angled(after)?,
            };
            let value = Some(value.into());
            match name {
                "from=" => session.from = value,
                "to=" => session.to = value,
                "proto=" => session.proto = value,
                _ => session.helo = value,
            }
            rest = next;
        }
        (!session.is_empty()).then_some((session, rest))
    }
}

record! {
    /// `ID: reject: RCPT from name[address]: TEXT; from=<> to=<> proto=ESMTP helo=<>`
    Verdict<'a> {
        /// The queue id, or `NOQUEUE`.
        id: Text<'a>,
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
        let (id, rest) = scan::queue_id(text)?;
        let (action, rest) = scan::until(rest, ": ")?;
        let action = Action::from_word(action)?;
        let (stage, rest) = scan::until(rest, " from ")?;
        if stage.starts_with("header ") || stage.starts_with("body ") || stage.starts_with("mime ") {
            return None;
        }
        let (client, rest) = Peer::parse_prefix(rest)?;
        let rest = rest.strip_prefix(": ")?;
        let (text, session) = before_session(rest);
        Some(Verdict { id: id.into(), action, stage: stage.into(), client, text: text.into(), session })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}: {}: {} from {}: {}", self.id, self.action, self.stage, self.client, self.text)?;
        self.session.write_behind(out)
    }
}

words! {
    /// What the filter of `smtpd_proxy_filter` did.
    ProxyAction {
        /// Took the message.
        Accept = "proxy-accept",
        /// Refused it.
        Reject = "proxy-reject",
    }
}

record! {
    /// `proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as X; from=<> to=<> proto=ESMTP helo=<>`
    ProxyVerdict<'a> {
        /// What it did.
        action: ProxyAction,
        /// `END-OF-MESSAGE`.
        stage: Text<'a>,
        /// Its reply.
        text: Text<'a>,
        /// What else was known.
        session: Session<'a>,
    }
}

impl<'a> Record<'a> for ProxyVerdict<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (action, rest) = scan::until(text, ": ")?;
        let action = ProxyAction::from_word(action)?;
        let (stage, rest) = scan::until(rest, ": ")?;
        let (text, session) = before_session(rest);
        Some(ProxyVerdict { action, stage: stage.into(), text: text.into(), session })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}: {}: {}", self.action, self.stage, self.text)?;
        self.session.write_behind(out)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A recipient that imitates a line's end, as Postfix 3.7.11 logged it.
    #[test]
    fn imitations() {
        let text = "NOQUEUE: reject: RCPT from good.example[192.0.2.10]: 554 5.7.1 <; from=<q@x> to=<y@x> \
                    proto=ESMTP helo=<z>@example.com>: Relay access denied; from=<a@example.org> \
                    to=<\"; from=<q@x> to=<y@x> proto=ESMTP helo=<z>\"@example.com> proto=ESMTP helo=<helo.example>";
        let verdict = Verdict::read(text).expect("a verdict");
        assert_eq!(verdict.session.from.as_deref(), Some("a@example.org"));
        assert_eq!(verdict.session.helo.as_deref(), Some("helo.example"));
        assert_eq!((verdict.code(), verdict.client.ip()), (Some(554), "192.0.2.10".parse().ok()));
    }

    #[test]
    fn contents() {
        let text = "93D8E9980B1: warning: header Subject: one; from x from localhost[127.0.0.1]; \
                    from=<a@example.org> to=<b@example.com> proto=ESMTP helo=<c>: seen";
        let check = ContentCheck::read(text).expect("a check");
        assert_eq!(
            (check.content.as_ref(), check.source.as_ref()),
            ("Subject: one; from x", "localhost[127.0.0.1]")
        );
        assert_eq!(check.text.as_deref(), Some("seen"));
    }
}
