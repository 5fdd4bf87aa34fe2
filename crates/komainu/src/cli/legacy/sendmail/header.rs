//! `sendmail -t`: the recipients that a message's own header names.
//!
//! `To:`, `Cc:` and `Bcc:`; where somebody sends it on, its `Resent-` kin instead. The header is looked at while it
//! passes and not changed: `Bcc:` goes in cleanup, as with mail from the network. One header is kept at a time, and one
//! that goes on behind `header_size_limit` bytes is refused: recipients could stand in what cleanup would cut off.
//! RFC 5322 §3.6.3, §3.6.6.

use mail::Address;
use mail::header::{Header, is_continuation};

const OWN: [&str; 3] = ["to", "cc", "bcc"];
const RESENT: [&str; 3] = ["resent-to", "resent-cc", "resent-bcc"];

/// The pieces in which Postfix reads a very long line (`line_length_limit`).
const RECORD_BYTES: usize = 2_048;

/// A header that is too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// What the header has said so far.
pub(super) struct Recipients {
    /// `header_size_limit`
    limit: usize,
    /// The header that is being read, with its continuation lines.
    header: Vec<u8>,
    /// A line that hasn't ended, or may go on.
    line: Vec<u8>,
    /// Bytes of the line since its last record began.
    record: usize,
    is_over: bool,
    own: Vec<Address>,
    resent: Option<Vec<Address>>,
}

impl Recipients {
    pub(super) fn new(limit: usize) -> Recipients {
        let (header, line) = (Vec::new(), Vec::new());
        Recipients { limit, header, line, record: 0, is_over: false, own: Vec::new(), resent: None }
    }

    /// Takes more of the message, whole lines or pieces of them.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut text = piece.strip_suffix(b"\n").unwrap_or(piece);
            while !text.is_empty() && !self.is_over {
                self.begin_record()?;
                let room = RECORD_BYTES.saturating_sub(self.record);
                let (taken, rest) = text.split_at(room.min(text.len()));
                self.line.extend_from_slice(taken);
                self.record = self.record.saturating_add(taken.len());
                text = rest;
            }
            if piece.ends_with(b"\n") && !self.is_over {
                self.begin_record()?;
                self.line.push(b'\n');
                self.take_line()?;
            }
            if self.is_over {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A very long line comes in records, as Postfix reads it; each but the first must find room.
    fn begin_record(&mut self) -> Result<(), TooLong> {
        if self.record < RECORD_BYTES {
            return Ok(());
        }
        self.record = 0;
        let goes_on = !self.header.is_empty() && is_continuation(&self.line);
        if !goes_on && Header::parse(&self.line).is_none() {
            // Text, which nobody looks at here.
            self.take_header();
            self.is_over = true;
            return Ok(());
        }
        let before = if goes_on { self.header.len() } else { 0 };
        if before.saturating_add(self.line.len()) < self.limit { Ok(()) } else { Err(TooLong) }
    }

    fn take_line(&mut self) -> Result<(), TooLong> {
        let line = std::mem::take(&mut self.line);
        self.record = 0;
        if !self.header.is_empty() && is_continuation(&line) {
            if self.header.len() >= self.limit {
                return Err(TooLong);
            }
            self.header.extend_from_slice(&line);
            return Ok(());
        }
        self.take_header();
        self.is_over = Header::parse(&line).is_none();
        self.header = line;
        Ok(())
    }

    fn take_header(&mut self) {
        let text = std::mem::take(&mut self.header);
        let Some(header) = Header::parse(&text) else { return };
        let named = |names: &[&str]| names.iter().any(|name| header.is(name));
        if named(&OWN) {
            self.own.extend(super::listed(&header.unfolded()));
        } else if named(&RESENT) {
            self.resent.get_or_insert_default().extend(super::listed(&header.unfolded()));
        }
    }

    /// In the order in which they stand.
    pub(super) fn addresses(mut self) -> Vec<Address> {
        if !self.is_over && self.take_line().is_ok() {
            self.take_header();
        }
        self.resent.unwrap_or(self.own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_of_headers() {
        let check = |message: &str, expect: &[&str]| {
            for size in [1, 2, 5, 4096] {
                let mut recipients = Recipients::new(1000);
                message.as_bytes().chunks(size).for_each(|piece| recipients.feed(piece).unwrap());
                let found = recipients.addresses();
                assert_eq!(found.iter().map(Address::as_str).collect::<Vec<_>>(), expect, "{message}");
            }
        };
        check(
            "To: Joe <a@b>, local\nCC: c@d\nBcc: hid\nSubject: t\n\nTo: x\n",
            &["a@b", "local", "c@d", "hid"],
        );
        check("Resent-To: a@b\nTo: c@d\nResent-Bcc: e@f\n\nb\n", &["a@b", "e@f"]);
        check("Resent-From: a@b\nTo: c@d\n\nb\n", &["c@d"]);
        check("To: a@b,\n c@d\n\nx\n", &["a@b", "c@d"]);
        check("To: a@b,\n c@d", &["a@b", "c@d"]);
        check("To:\n\nx\n", &[]);
        check("\nTo: a@b\n", &[]);
        check(" x\nTo: a@b\n", &[]);
        check("Subject: x\nnot a header\nTo: a@b\n\nx\n", &[]);
        check("To: undisclosed-recipients:;\nBcc: g: a@b, c@d;\n\nx\n", &["a@b", "c@d"]);
    }

    #[test]
    fn each_header_has_its_limit() {
        let check = |message: &str, expect: Result<(), TooLong>| {
            for size in [1, 700, 2048, 65_536] {
                let mut recipients = Recipients::new(3000);
                let fed = message.as_bytes().chunks(size).try_for_each(|piece| recipients.feed(piece));
                assert_eq!(fed, expect, "{} bytes by {size}", message.len());
            }
        };
        let long = |bytes: usize| "x".repeat(bytes);
        check(&"To: a@b\n".repeat(1000), Ok(()));
        check(&format!("X: {}\n\n{}\n", long(2900), long(9000)), Ok(()));
        // The last record needs no room behind it.
        check(&format!("X: {}\n", long(4092)), Ok(()));
        check(&format!("X: {}\n", long(4093)), Err(TooLong));
        check(&format!("X: y\n{}", format!(" {}\n", long(998)).repeat(3)), Ok(()));
        check(&format!("X: y\n{}", format!(" {}\n", long(998)).repeat(4)), Err(TooLong));
        check(&long(9000), Ok(()));
    }
}
