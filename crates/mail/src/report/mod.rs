//! The text of a delivery status notification: what a sender reads, and what programs read.
//!
//! A [`Report`] becomes the bytes in front of the returned message ([`Report::head`]) and those behind it
//! ([`Report::tail`]); the message itself, or its header, is copied between them by who has it, so its size is no
//! matter here. Byte for byte what Debian's Postfix 3.7 writes, ids and dates apart. Whom to tell and what of, the
//! queue decides; the words of the first part come from a template. RFC 3461 §6, RFC 3462, RFC 3464, RFC 6533,
//! RFC 3834 (Auto-Submitted).

mod fold;
#[cfg(test)]
mod tests;

use crate::{Address, Dsn, QueueId, Wall, line, time};
use fold::fold;
pub use fold::fold_to;
use std::borrow::Cow;
use std::fmt::Write;

/// One report on one message.
pub struct Report<'a> {
    /// Its own queue id.
    pub id: &'a QueueId,
    /// When it is written.
    pub now: Wall,
    /// How dates are written.
    pub date: &'a dyn Fn(Wall) -> String,
    /// `myhostname`.
    pub hostname: &'a str,
    /// `mail_name`.
    pub mail_name: &'a str,
    /// Its header `From:`.
    pub from: &'a str,
    /// Its header `Subject:`.
    pub subject: &'a str,
    /// Its header `To:`.
    pub to: &'a Address,
    /// It goes to the postmaster, not to who sent the message: no answer, and no explanation.
    pub is_copy: bool,
    /// Whoever sent the message has asked for it: what failed isn't what the message comes back for.
    pub is_trace: bool,
    /// `Message-Id:` of the message, where the report is to stand in its thread (`enable_threaded_bounces`).
    pub thread: Option<&'a str>,
    /// The first part's words, where there are any.
    pub text: &'a str,
    /// The first part's character set.
    pub charset: &'a str,
    /// `Content-Transfer-Encoding:` of all, where it is said.
    pub encoding: Option<&'a str>,
    /// The message that it is about.
    pub message: Message<'a>,
    /// What became of its recipients.
    pub recipients: Vec<Recipient<'a>>,
    /// What comes along.
    pub returned: Returned,
}

/// The message that a report is about.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its queue id.
    pub id: &'a QueueId,
    /// Its sender; the null sender is named `MAILER-DAEMON`.
    pub sender: &'a Address,
    /// When it came.
    pub arrival: Wall,
    /// ENVID, decoded.
    pub envelope_id: Option<&'a str>,
    /// It came with SMTPUTF8.
    pub smtputf8: bool,
}

/// What became of one recipient.
#[derive(Clone, Debug)]
pub struct Recipient<'a> {
    /// Who.
    pub address: &'a Address,
    /// Who it was before aliases.
    pub original: &'a Address,
    /// ORCPT, `rfc822;…`, decoded.
    pub orcpt: Option<&'a str>,
    /// What became of it.
    pub action: Action,
    /// `Status:`.
    pub status: Dsn,
    /// For people.
    pub text: Cow<'a, str>,
    /// The other server's name and word, where it was one.
    pub remote: Option<(&'a str, &'a str)>,
    /// Until when it is tried, where it is.
    pub retried_until: Option<Wall>,
}

/// RFC 3464 §2.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It will not get the message.
    Failed,
    /// Not yet.
    Delayed,
    /// It has it.
    Delivered,
    /// Another server has it, which sends no reports.
    Relayed,
    /// Others get it in its place.
    Expanded,
    /// It would get a message (`sendmail -bv`).
    Deliverable,
    /// It wouldn't.
    Undeliverable,
}

impl Action {
    const fn word(self) -> &'static str {
        match self {
            Action::Failed => "failed",
            Action::Delayed => "delayed",
            Action::Delivered => "delivered",
            Action::Relayed => "relayed",
            Action::Expanded => "expanded",
            Action::Deliverable => "deliverable",
            Action::Undeliverable => "undeliverable",
        }
    }

    const fn is_success(self) -> bool {
        matches!(self, Action::Delivered | Action::Relayed | Action::Expanded)
    }
}

/// What of the message comes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    /// All of it.
    Message,
    /// Its header.
    Header,
}

impl Report<'_> {
    /// `Message-Id:`.
    #[must_use]
    pub fn message_id(&self) -> String {
        format!("<{}.{}@{}>", time::compact(self.now), self.id, self.hostname)
    }

    /// Everything up to the returned message, lines ending with LF.
    #[must_use]
    pub fn head(&self) -> String {
        let mut out = String::with_capacity(2048);
        // Writing to a string can't fail.
        let _ = self.write_head(&mut out);
        out
    }

    /// Everything behind it.
    #[must_use]
    pub fn tail(&self) -> String {
        format!("\n--{}--\n", self.boundary())
    }

    fn boundary(&self) -> String {
        format!("{}.{}/{}", self.message.id, self.now.seconds(), self.hostname)
    }

    fn write_head(&self, out: &mut String) -> std::fmt::Result {
        self.write_header(out)?;
        out.write_str("\nThis is a MIME-encapsulated message.\n")?;
        self.write_notification(out)?;
        self.write_status(out)?;
        self.write_returned(out)
    }

    fn write_header(&self, out: &mut String) -> std::fmt::Result {
        let date = (self.date)(self.now);
        writeln!(out, "Received: by {} ({})\n\tid {}; {date}", self.hostname, self.mail_name, self.id)?;
        writeln!(out, "Date: {date}\nFrom: {}\nSubject: {}", self.from, self.subject)?;
        writeln!(out, "To: {}", self.to.to_external())?;
        if let Some(id) = self.thread {
            writeln!(out, "References: {id}\nIn-Reply-To: {id}")?;
        }
        let submitted = if self.is_copy { "auto-generated" } else { "auto-replied" };
        writeln!(out, "Auto-Submitted: {submitted}\nMIME-Version: 1.0")?;
        writeln!(out, "Content-Type: multipart/report; report-type=delivery-status;")?;
        writeln!(out, "\tboundary=\"{}\"", self.boundary())?;
        self.write_encoding(out)?;
        writeln!(out, "Message-Id: {}", self.message_id())
    }

    fn write_encoding(&self, out: &mut String) -> std::fmt::Result {
        match self.encoding {
            Some(encoding) => writeln!(out, "Content-Transfer-Encoding: {encoding}"),
            None => Ok(()),
        }
    }

    fn begin_part(&self, out: &mut String, description: &str, kind: &str) -> std::fmt::Result {
        writeln!(out, "\n--{}", self.boundary())?;
        writeln!(out, "Content-Description: {description}\nContent-Type: {kind}")
    }

    /// For people: the template's words, and a paragraph for each recipient.
    fn write_notification(&self, out: &mut String) -> std::fmt::Result {
        self.begin_part(out, "Notification", &format!("text/plain; charset={}", self.charset))?;
        self.write_encoding(out)?;
        writeln!(out)?;
        if !self.is_copy {
            out.write_str(self.text)?;
        }
        for recipient in &self.recipients {
            let (address, original) = (recipient.address.to_external(), recipient.original.to_external());
            let expanded = if address == original || original.is_empty() {
                String::new()
            } else {
                format!(" (expanded from <{original}>)")
            };
            writeln!(out)?;
            fold(&format!("<{address}>{expanded}: {}", recipient.text), out);
        }
        Ok(())
    }

    /// For programs.
    fn write_status(&self, out: &mut String) -> std::fmt::Result {
        let message = &self.message;
        let kind =
            if message.smtputf8 { "message/global-delivery-status" } else { "message/delivery-status" };
        self.begin_part(out, "Delivery report", kind)?;
        if message.smtputf8 {
            writeln!(out, "Content-Transfer-Encoding: 8bit")?;
        }
        writeln!(out, "\nReporting-MTA: dns; {}", self.hostname)?;
        if let Some(id) = message.envelope_id.filter(|id| !id.is_empty()) {
            writeln!(out, "Original-Envelope-Id: {}", line::one(id))?;
        }
        writeln!(out, "X-{}-Queue-ID: {}", self.mail_name, message.id)?;
        writeln!(out, "X-{}-Sender: rfc822; {}", self.mail_name, self.sender())?;
        writeln!(out, "Arrival-Date: {}", (self.date)(message.arrival))?;
        self.recipients.iter().try_for_each(|recipient| self.write_recipient(recipient, out))
    }

    fn write_recipient(&self, recipient: &Recipient<'_>, out: &mut String) -> std::fmt::Result {
        let address = recipient.address.to_external();
        let kind = if self.message.smtputf8 && !address.is_ascii() { "utf-8" } else { "rfc822" };
        writeln!(out, "\nFinal-Recipient: {kind}; {address}")?;
        match recipient.orcpt {
            Some(orcpt) => writeln!(out, "Original-Recipient: {}", line::one(orcpt))?,
            // A list's part: its owner is told of it by its own name alone.
            None if recipient.original.is_null() => {}
            None => writeln!(out, "Original-Recipient: rfc822;{}", recipient.original.to_external())?,
        }
        writeln!(out, "Action: {}", recipient.action.word())?;
        // RFC 3464 §2.3.4: what was given up after too many tries has failed, whatever class the last answer had;
        // Postfix leaves it.
        writeln!(out, "Status: {}", recipient.status)?;
        let (kind, code) = match recipient.remote {
            Some((name, reply)) => {
                writeln!(out, "Remote-MTA: dns; {name}")?;
                ("smtp".to_owned(), reply)
            }
            None => (format!("X-{}", self.mail_name), &*recipient.text),
        };
        fold(&format!("Diagnostic-Code: {kind}; {code}"), out);
        match recipient.retried_until {
            Some(until) => writeln!(out, "Will-Retry-Until: {}", (self.date)(until)),
            None => Ok(()),
        }
    }

    fn write_returned(&self, out: &mut String) -> std::fmt::Result {
        let failed = !self.is_trace && self.recipients.iter().any(|recipient| !recipient.action.is_success());
        let what = if failed { "Undelivered " } else { "" };
        let (behind, kind) = match (self.returned, self.message.smtputf8) {
            (Returned::Message, false) => ("", "message/rfc822"),
            (Returned::Message, true) => ("", "message/global"),
            (Returned::Header, false) => (" Headers", "text/rfc822-headers"),
            (Returned::Header, true) => (" Headers", "message/global-headers"),
        };
        self.begin_part(out, &format!("{what}Message{behind}"), kind)?;
        self.write_encoding(out)?;
        writeln!(out, "\nReturn-Path: <{}>", self.sender())
    }

    fn sender(&self) -> String {
        match self.message.sender.is_null() {
            true => format!("MAILER-DAEMON@{}", self.hostname),
            false => self.message.sender.to_external(),
        }
    }
}

/// Finds where a message's header ends, however it is cut into pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeaderEnd {
    /// The last byte was a line's end.
    at_line_start: bool,
    begun: bool,
}

impl HeaderEnd {
    /// How much of `piece` belongs to the header, and whether the header ends there. The blank line doesn't belong.
    pub fn feed(&mut self, piece: &[u8]) -> (usize, bool) {
        for (at, byte) in piece.iter().enumerate() {
            if *byte == b'\n' {
                if self.at_line_start || !self.begun {
                    return (at, true);
                }
                self.at_line_start = true;
            } else {
                self.at_line_start = false;
            }
            self.begun = true;
        }
        (piece.len(), false)
    }
}
