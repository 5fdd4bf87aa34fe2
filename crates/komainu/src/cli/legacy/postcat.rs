//! `postcat -q`, as postcat(1): a queued message's envelope and content, in Postfix's form.
//!
//! The queue is no folder of files: names of files are refused, `-o`, `-r` and `-s` have no meaning. Records that only
//! Postfix's own files have are left out. T2.14.

use super::getopt;
use super::mail_queue::{Site, fatal, is_id, printable};
use super::postqueue::date;
use crate::queued::{Listed, Queue, QueueError};
use mail::Address;
use mail::header::{Header, is_continuation};
use proto::control::{Cause, State};
use queue::{Entry, ReturnContent};
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

const NAME: &str = "postcat";
const USAGE: &str = "usage: postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] [-e (envelope records)] [-h (header text)] [-q (access queue)] [-v] [file(s)...]";
/// The longest line that is kept in memory; Postfix's `line_length_limit`.
const LINE_BYTES_MAX: usize = 2048;

fn failed(problem: &str) -> ExitCode {
    fatal(NAME, problem, 1)
}

/// Which parts.
#[derive(Clone, Copy)]
struct Parts {
    envelope: bool,
    headers: bool,
    body: bool,
    /// Each record's type in front.
    types: bool,
}

pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    let words = match getopt::read(arguments, "bdehnoqrv", "cs") {
        Ok(words) => words,
        Err(wrong) => {
            eprintln!("{NAME}: {wrong}");
            return failed(USAGE);
        }
    };
    let has = |letter: char| words.options.iter().any(|(known, _)| *known == letter);
    let all = !has('b') && !has('e') && !has('h');
    let parts =
        Parts { envelope: all || has('e'), headers: all || has('h'), body: all || has('b'), types: has('d') };
    let directory = words.options.iter().rfind(|(letter, _)| *letter == 'c').map(|(_, value)| value.clone());
    let site = match Site::find(directory) {
        Ok(site) => site,
        Err(problem) => return failed(&problem),
    };
    if !has('q') {
        return match words.rest.first() {
            Some(name) => {
                failed(&format!("{}: the queue has no files: name queue ids, with -q", printable(name)))
            }
            None => ExitCode::SUCCESS,
        };
    }
    let mut queue = None;
    for name in &words.rest {
        if let Err(problem) = show(&site, &mut queue, name, parts) {
            return match problem {
                Failed::Gone => ExitCode::SUCCESS,
                Failed::Said(problem) => failed(&problem),
            };
        }
    }
    ExitCode::SUCCESS
}

enum Failed {
    /// The reader left, and wants no more.
    Gone,
    Said(String),
}

fn show(site: &Site, queue: &mut Option<Queue>, name: &str, parts: Parts) -> Result<(), Failed> {
    if !is_id(name) {
        return Err(Failed::Said(format!("bad mail queue ID: {}", printable(name))));
    }
    let cannot = |why: &str| Failed::Said(format!("open queue file {name}: {why}"));
    let missing = || cannot("No such file or directory");
    let id = name.parse().map_err(|_| missing())?;
    let refused = |error: QueueError| match error {
        QueueError::Refused(Cause::Forbidden, _) | QueueError::Stopped { .. } => cannot("Permission denied"),
        QueueError::Nowhere(_) if !site.is_own() => cannot("Permission denied"),
        QueueError::Nowhere(_) => missing(),
        QueueError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Failed::Gone,
        other => Failed::Said(other.to_string()),
    };
    let queue = match queue {
        Some(queue) => queue,
        None => queue.insert(Queue::open(&site.state).map_err(refused)?),
    };
    let mut page =
        Page { out: io::BufWriter::new(io::stdout().lock()), parts, line: Vec::new(), at: At::Start };
    let listed = queue.read(&id, &mut |listed, bytes| page.content(listed, bytes)).map_err(refused)?;
    let listed = listed.ok_or_else(missing)?;
    page.close(&listed).map_err(|error| refused(QueueError::Output(error)))
}

/// How far the page is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Headers,
    Body,
}

struct Page<W> {
    out: W,
    parts: Parts,
    /// Of the content, without its end.
    line: Vec<u8>,
    at: At,
}

impl<W: Write> Page<W> {
    /// One record. Types are Postfix's.
    fn record(&mut self, kind: u8, text: &[u8]) -> io::Result<()> {
        if self.parts.types {
            write!(self.out, "{kind:3} ")?;
        }
        self.out.write_all(text)?;
        self.out.write_all(b"\n")
    }

    fn attribute(&mut self, name: &str, value: impl std::fmt::Display) -> io::Result<()> {
        let text = printable(&format!("named_attribute: {name}={value}"));
        self.record(b'A', text.as_bytes())
    }

    fn begin(&mut self, listed: &Listed) -> io::Result<()> {
        if self.at != At::Start {
            return Ok(());
        }
        self.at = At::Headers;
        if self.parts.envelope {
            writeln!(self.out, "*** ENVELOPE RECORDS {} ***", path(listed))?;
            self.envelope(&listed.entry)?;
            self.record(b'M', format!("*** MESSAGE CONTENTS {} ***", path(listed)).as_bytes())?;
        }
        Ok(())
    }

    fn envelope(&mut self, entry: &Entry) -> io::Result<()> {
        let (size, count) = (entry.size, entry.recipients.len());
        let flags = u8::from(entry.smtputf8);
        let numbers = format!("message_size: {size:15} {:15} {count:15} {:15} {size:15} {flags:15}", 0, 0);
        self.record(b'C', numbers.as_bytes())?;
        self.record(b'T', format!("message_arrival_time: {}", date_and_year(entry)).as_bytes())?;
        self.record(b'A', format!("create_time: {}", date_and_year(entry)).as_bytes())?;
        self.attribute("log_ident", &entry.id)?;
        if let Some(envelope_id) = &entry.envelope_id {
            self.attribute("envelope_id", envelope_id)?;
        }
        if let Some(content) = entry.return_content {
            self.attribute("ret_flags", if content == ReturnContent::Full { 1 } else { 2 })?;
        }
        self.address(b'S', "sender", &entry.sender)?;
        if entry.body_type.is_eight_bit() {
            self.attribute("encoding", "8bit")?;
        }
        self.client(entry)?;
        for recipient in &entry.recipients {
            if recipient.notify != 0 {
                self.attribute("notify_flags", notify_flags(recipient.notify))?;
            }
            match &recipient.orcpt {
                Some(orcpt) => self.attribute("dsn_orig_rcpt", orcpt)?,
                None => self.attribute("dsn_orig_rcpt", format!("rfc822;{}", recipient.original))?,
            }
            self.address(b'O', "original_recipient", &recipient.original)?;
            if recipient.status.is_open() {
                self.address(b'R', "recipient", &recipient.address)?;
            } else {
                self.address(b'D', "done_recipient", &recipient.address)?;
            }
        }
        Ok(())
    }

    fn client(&mut self, entry: &Entry) -> io::Result<()> {
        let client = &entry.client;
        if client.address.is_empty() {
            return Ok(());
        }
        self.attribute("log_client_name", &client.name)?;
        self.attribute("log_client_address", &client.address)?;
        self.attribute("log_client_port", client.port)?;
        self.attribute("log_message_origin", format!("{}[{}]", client.name, client.address))?;
        self.attribute("log_helo_name", &client.helo)?;
        self.attribute("log_protocol_name", &client.protocol)?;
        self.attribute("client_name", &client.name)?;
        self.attribute("client_address", &client.address)?;
        self.attribute("client_port", client.port)?;
        self.attribute("helo_name", &client.helo)?;
        self.attribute("protocol_name", &client.protocol)?;
        if let Some((method, username, sender)) = &client.sasl {
            self.attribute("sasl_method", method)?;
            self.attribute("sasl_username", username)?;
            if !sender.is_empty() {
                self.attribute("sasl_sender", sender)?;
            }
        }
        Ok(())
    }

    /// In internal form, as Postfix's files have it.
    fn address(&mut self, kind: u8, what: &str, address: &Address) -> io::Result<()> {
        self.record(kind, format!("{what}: {}", printable(address.as_str())).as_bytes())
    }

    /// A piece of the content.
    fn content(&mut self, listed: &Listed, bytes: &[u8]) -> io::Result<()> {
        self.begin(listed)?;
        for byte in bytes {
            if *byte == b'\n' {
                self.end_line(b'N')?;
            } else {
                if self.line.len() == LINE_BYTES_MAX {
                    self.end_line(b'L')?;
                }
                self.line.push(*byte);
            }
        }
        Ok(())
    }

    fn end_line(&mut self, kind: u8) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        if self.at == At::Headers && Header::parse(&line).is_none() && !is_continuation(&line) {
            self.at = At::Body;
        }
        let wanted = if self.at == At::Body { self.parts.body } else { self.parts.headers };
        if wanted && kind == b'L' && !self.parts.types {
            // A long line in pieces; it ends later.
            self.out.write_all(&line)?;
        } else if wanted {
            self.record(kind, &line)?;
        }
        self.line = line;
        self.line.clear();
        Ok(())
    }

    fn close(&mut self, listed: &Listed) -> io::Result<()> {
        self.begin(listed)?;
        if !self.line.is_empty() {
            self.end_line(b'N')?;
        }
        if self.parts.envelope {
            self.record(b'X', format!("*** HEADER EXTRACTED {} ***", path(listed)).as_bytes())?;
            if listed.entry.body_type.is_eight_bit() {
                self.attribute("encoding", "8bit")?;
            }
            self.record(b'E', format!("*** MESSAGE FILE END {} ***", path(listed)).as_bytes())?;
        }
        self.out.flush()
    }
}

/// Postfix's bits: never, success, failure, delay.
fn notify_flags(notify: u8) -> u8 {
    use queue::entry::{NOTIFY_DELAY, NOTIFY_FAILURE, NOTIFY_NEVER, NOTIFY_SUCCESS};
    let bits = [(NOTIFY_NEVER, 1), (NOTIFY_SUCCESS, 2), (NOTIFY_FAILURE, 4), (NOTIFY_DELAY, 8)];
    bits.into_iter().filter(|(bit, _)| notify & bit != 0).map(|(_, flag)| flag).sum()
}

fn date_and_year(entry: &Entry) -> String {
    let year = mail::time::Civil::at(entry.arrival, crate::clock::utc_offset_s(entry.arrival)).year;
    format!("{} {year}", date(entry.arrival))
}

/// Where Postfix would have the file: deferred mail in folders by the first character.
fn path(listed: &Listed) -> String {
    let (queue, id) = (listed.state.name(), listed.entry.id.as_str());
    match listed.state {
        State::Deferred => format!("{queue}/{}/{id}", id.get(..1).unwrap_or_default()),
        _ => format!("{queue}/{id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Wall;
    use queue::Recipient;

    fn page(parts: Parts, content: &[u8]) -> String {
        let recipients = vec![Recipient::new(Address::from_internal("x y@down.example"))];
        let sender = Address::from_internal("a@example.org");
        let mut entry = Entry::new("C785A9947F2".parse().unwrap(), Wall(0), sender, recipients);
        entry.size = 371;
        let listed = Listed { number: 1, state: State::Hold, entry };
        let mut out = Vec::new();
        let mut page = Page { out: &mut out, parts, line: Vec::new(), at: At::Start };
        for piece in content.chunks(7) {
            page.content(&listed, piece).unwrap();
        }
        page.close(&listed).unwrap();
        String::from_utf8(out).unwrap()
    }

    const CONTENT: &[u8] = b"Subject: x\n not\nheader: a\n\nnoheader\nh2: b\n";

    #[test]
    fn parts() {
        let parts = Parts { envelope: false, headers: true, body: false, types: false };
        assert_eq!(page(parts, CONTENT), "Subject: x\n not\nheader: a\n");
        let parts = Parts { envelope: false, headers: false, body: true, types: true };
        assert_eq!(page(parts, CONTENT), " 78 \n 78 noheader\n 78 h2: b\n");
        let parts = Parts { envelope: true, headers: false, body: false, types: false };
        let text = page(parts, CONTENT);
        let size = "message_size:             371               0               1               0             371               0\n";
        assert!(text.starts_with(&format!("*** ENVELOPE RECORDS hold/C785A9947F2 ***\n{size}")), "{text}");
        let end = "named_attribute: dsn_orig_rcpt=rfc822;\"x y\"@down.example\noriginal_recipient: x y@down.example\nrecipient: x y@down.example\n*** MESSAGE CONTENTS hold/C785A9947F2 ***\n*** HEADER EXTRACTED hold/C785A9947F2 ***\n*** MESSAGE FILE END hold/C785A9947F2 ***\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn long_lines_are_not_kept() {
        let long = [b"S: x\n\n".to_vec(), vec![b'y'; 5000], b"\nz".to_vec()].concat();
        let parts = Parts { envelope: false, headers: false, body: true, types: false };
        assert_eq!(page(parts, &long), format!("\n{}\nz\n", "y".repeat(5000)));
    }
}
