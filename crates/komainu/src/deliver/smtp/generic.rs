//! Addresses that have no meaning elsewhere, replaced on the way out: `smtp_generic_maps`, `lmtp_generic_maps`.
//!
//! Before a message is sent, its envelope and the headers that hold addresses are looked through once; what changes
//! is kept as edits of the stored body, which [`Edited`] makes while it is read. The body itself stays as it is, and
//! the log tells of the addresses that the queue knows. generic(5), ADDRESS_REWRITING_README.

use crate::facts::Answers;
use crate::live::Live;
use config::{Parameters, Role, Service};
use mail::header::{Header, is_continuation};
use mail::message::Whose;
use mail::{Address, AddressList};
use policy::address::AddressClasses;
use queue::Entry;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::sync::Arc;
use tables::{Catalogue, LookupError, Snapshot, TableId};

/// How much of the headers with addresses is rewritten; what comes behind goes out as it is.
const HEADERS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Tokens of such a header.
const TOKENS_MAX: usize = 10_240;

/// The generic tables of one transport.
#[derive(Clone, Debug)]
pub struct Generic {
    name: &'static str,
    tables: Vec<TableId>,
}

/// What takes the place of some bytes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Edit {
    bytes: Range<u64>,
    text: Vec<u8>,
}

/// All changes to one message's headers, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits(Arc<[Edit]>);

/// A message as it goes out.
pub struct Outgoing {
    /// Its envelope; `original` of recipients is as it was.
    pub entry: Entry,
    /// Its headers.
    pub edits: Edits,
    /// Texts of warnings.
    pub warnings: Vec<String>,
}

impl Generic {
    /// Those of a line of master.cf, where there are any.
    #[must_use]
    pub fn compile(service: &Service, main: &Parameters, catalogue: &mut Catalogue) -> Option<Generic> {
        let name = match service.role() {
            Role::Smtp => "smtp_generic_maps",
            Role::Lmtp => "lmtp_generic_maps",
            _ => return None,
        };
        // What is wrong with the overrides, and with the tables, is said where they are checked.
        let (p, _) = main.with_overrides(&service.overrides);
        let words = p.list(name);
        let tables: Vec<TableId> = words.iter().map(|word| catalogue.seat(word)).collect();
        (!tables.is_empty()).then_some(Generic { name, tables })
    }

    /// The message as it goes out to the recipients at `indices`.
    ///
    /// # Errors
    /// Why it can't be told now, for the log.
    pub async fn outgoing(
        &self,
        (entry, indices): (&Entry, &[u32]),
        body: store::Body,
        classes: &AddressClasses,
        (live, answers): (&Live, &Answers),
    ) -> Result<Outgoing, String> {
        let scanned = tokio::task::spawn_blocking(move || headers(body)).await;
        let headers = scanned.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let mut snapshot = (*live.snapshot()).clone();
        let problem = |error: LookupError| format!("{} lookup error: {error}", self.name);
        let look = |tables: &Snapshot| self.envelope((entry, indices), classes, tables);
        let found = answers.table_servers.looked_up(&mut snapshot, look).await;
        let (entry, mut warnings) = found.map_err(problem)?;
        let mut edits = Vec::new();
        for (bytes, text) in headers {
            let look = |tables: &Snapshot| self.header(&text, classes, tables);
            let found = answers.table_servers.looked_up(&mut snapshot, look).await;
            snapshot.forget_answers();
            let (text, more) = found.map_err(problem)?;
            warnings.extend(more);
            edits.extend(text.map(|text| Edit { bytes, text }));
        }
        Ok(Outgoing { entry, edits: Edits(edits.into()), warnings })
    }

    /// A probe's envelope as it goes out.
    ///
    /// # Errors
    /// Why it can't be told now, for the log.
    pub async fn probe(
        &self,
        entry: &Entry,
        classes: &AddressClasses,
        (live, answers): (&Live, &Answers),
    ) -> Result<Entry, String> {
        let mut snapshot = (*live.snapshot()).clone();
        let look = |tables: &Snapshot| self.envelope((entry, &[0]), classes, tables);
        let found = answers.table_servers.looked_up(&mut snapshot, look).await;
        found.map(|(entry, _)| entry).map_err(|error| format!("{} lookup error: {error}", self.name))
    }

    fn address(
        &self,
        address: &Address,
        classes: &AddressClasses,
        tables: &Snapshot,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Address>, LookupError> {
        let found = classes.generic((self.name, &self.tables), address, tables)?;
        Ok(found.map(|found| {
            warnings.extend(found.warnings);
            found.address
        }))
    }

    fn envelope(
        &self,
        (entry, indices): (&Entry, &[u32]),
        classes: &AddressClasses,
        tables: &Snapshot,
    ) -> Result<(Entry, Vec<String>), LookupError> {
        let (mut entry, mut warnings) = (entry.clone(), Vec::new());
        if let Some(sender) = self.address(&entry.sender, classes, tables, &mut warnings)? {
            entry.sender = sender;
        }
        for index in indices {
            let at = usize::try_from(*index).unwrap_or(usize::MAX);
            let Some(recipient) = entry.recipients.get_mut(at) else { continue };
            if let Some(address) = self.address(&recipient.address, classes, tables, &mut warnings)? {
                recipient.address = address;
            }
        }
        Ok((entry, warnings))
    }

    /// A header with its line end, where it holds addresses and something changes.
    pub(super) fn rewritten(
        &self,
        text: &[u8],
        classes: &AddressClasses,
        tables: &Snapshot,
    ) -> Result<(Option<Vec<u8>>, Vec<String>), LookupError> {
        match Header::parse(text).and_then(|header| Whose::of(header.name)) {
            Some(_) => self.header(text, classes, tables),
            None => Ok((None, Vec::new())),
        }
    }

    /// A header with its line end, where something changes.
    fn header(
        &self,
        text: &[u8],
        classes: &AddressClasses,
        tables: &Snapshot,
    ) -> Result<(Option<Vec<u8>>, Vec<String>), LookupError> {
        let mut warnings = Vec::new();
        let Some(header) = Header::parse(text) else { return Ok((None, warnings)) };
        let mut list = AddressList::parse(header.value, TOKENS_MAX);
        list.replace(|member| self.address(member.address, classes, tables, &mut warnings))?;
        let rendered = list.is_changed().then(|| {
            let mut text = list.render(header.name);
            text.push(b'\n');
            text
        });
        Ok((rendered, warnings))
    }
}

/// The headers of a message that hold addresses, each with its line end, and where they stand.
fn headers(body: impl Read) -> io::Result<Vec<(Range<u64>, Vec<u8>)>> {
    let mut reader = BufReader::new(body);
    let mut found: Vec<(Range<u64>, Vec<u8>)> = Vec::new();
    let (mut at, mut kept) = (0_u64, 0_usize);
    let mut header: Vec<u8> = Vec::new();
    loop {
        let mut line = Vec::new();
        let room = u64::try_from(HEADERS_BYTES_MAX).unwrap_or(u64::MAX);
        let read = (&mut reader).take(room).read_until(b'\n', &mut line)?;
        if is_continuation(&line) && !header.is_empty() {
            header.extend_from_slice(&line);
        } else {
            let length = u64::try_from(header.len()).unwrap_or(u64::MAX);
            let begin = at.saturating_sub(length);
            let holds = Header::parse(&header).is_some_and(|header| Whose::of(header.name).is_some());
            if holds {
                kept = kept.saturating_add(header.len());
                found.push((begin..at, std::mem::take(&mut header)));
            }
            header.clear();
            if read == 0 || Header::parse(&line).is_none() {
                return Ok(found);
            }
            header = line;
        }
        at = at.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        if read == 0 || kept.saturating_add(header.len()) > HEADERS_BYTES_MAX {
            return Ok(found);
        }
    }
}

/// A message that is edited while it is read.
pub(super) struct Edited<R> {
    body: R,
    edits: VecDeque<Edit>,
    /// How much of the body has been read.
    at: u64,
    /// What takes the place of what was skipped.
    text: io::Cursor<Vec<u8>>,
}

impl<R: Read> Edited<R> {
    /// `body` with `edits`.
    pub(super) fn new(body: R, edits: &Edits) -> Edited<R> {
        let edits = edits.0.iter().cloned().collect();
        Edited { body, edits, at: 0, text: io::Cursor::new(Vec::new()) }
    }

    /// The same, with this in front.
    pub(super) fn behind(self, head: String) -> Edited<R> {
        Edited { text: io::Cursor::new(head.into_bytes()), ..self }
    }
}

impl Edited<store::Body> {
    /// Whether reading it never waits for the disk.
    pub(super) fn is_in_memory(&self) -> bool {
        self.body.is_in_memory()
    }
}

impl<R: Read> Read for Edited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.text.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let Some(next) = self.edits.front() else { return self.body.read(buffer) };
            let before = next.bytes.start.saturating_sub(self.at);
            if before > 0 {
                let count = (&mut self.body).take(before).read(buffer)?;
                self.at = self.at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
                return Ok(count);
            }
            let length = next.bytes.end.saturating_sub(next.bytes.start);
            io::copy(&mut (&mut self.body).take(length), &mut io::sink())?;
            self.at = next.bytes.end;
            if let Some(edit) = self.edits.pop_front() {
                self.text = io::Cursor::new(edit.text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(body: &str, edits: &[(Range<u64>, &str)], step: usize) -> String {
        let edits =
            edits.iter().map(|(bytes, text)| Edit { bytes: bytes.clone(), text: text.as_bytes().to_vec() });
        let mut reader = Edited::new(body.as_bytes(), &Edits(edits.collect()));
        let (mut out, mut piece) = (Vec::new(), vec![0; step]);
        loop {
            let count = reader.read(&mut piece).expect("reads");
            if count == 0 {
                return String::from_utf8(out).expect("text");
            }
            out.extend_from_slice(piece.get(..count).expect("in the piece"));
        }
    }

    #[test]
    fn edits_take_their_place() {
        for step in [1, 3, 100] {
            assert_eq!(edited("abcdefgh", &[], step), "abcdefgh");
            assert_eq!(edited("abcdefgh", &[(0..2, "X"), (2..4, ""), (6..8, "YZW")], step), "XefYZW");
            assert_eq!(edited("ab", &[(0..2, "")], step), "");
        }
        let edits = Edits([Edit { bytes: 0..1, text: b"X".to_vec() }].into());
        let mut text = String::new();
        Edited::new(b"abc".as_slice(), &edits)
            .behind("head\n".to_owned())
            .read_to_string(&mut text)
            .expect("reads");
        assert_eq!(text, "head\nXbc");
    }

    #[test]
    fn headers_with_addresses() {
        let message = "From: a\nSubject: x\n y\nTo: b,\n c\nX: d\n\nCc: e\n";
        let found = headers(message.as_bytes()).expect("reads");
        let texts: Vec<(Range<u64>, String)> =
            found.into_iter().map(|(at, text)| (at, String::from_utf8(text).expect("text"))).collect();
        assert_eq!(texts, [(0..8, "From: a\n".to_owned()), (22..32, "To: b,\n c\n".to_owned())]);
        assert!(headers(b"no header\nTo: x\n".as_slice()).expect("reads").is_empty());
        assert_eq!(headers(b"To: x".as_slice()).expect("reads").len(), 1);
    }
}
