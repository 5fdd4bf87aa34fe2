//! One queued message's envelope: what the spool keeps beside the body, and what each delivery changes.
//!
//! An [`Entry`] is written once when the message is accepted; outcomes are [`Note`]s, small and idempotent, so
//! that a thousand recipients don't cost a thousand whole envelopes. `Entry::load` puts them together. The
//! encoding is versioned and bounded. No schedule here, no log text. RFC 3461 (NOTIFY, ORCPT, RET, ENVID).

use crate::codec::{DecodeError, Decoder, Encoder};
use mail::{Address, QueueId, Wall};
use std::collections::BTreeSet;

mod status;
#[cfg(test)]
mod tests;

pub use status::{How, Reason, Remote, Status};

const VERSION: u8 = 1;
/// The message is on hold.
const HOLD: u8 = 1;
/// The sender was told of a delay.
const WARNED: u8 = 2;
/// The message is to be given back.
const EXPIRE: u8 = 4;
/// There is more than ASCII in the header.
const UTF8_HEADER: u8 = 8;
/// Parts that are done follow the recipients.
const PARTS: u8 = 16;
/// The sender wants to hear what the first try comes to.
const RECORD: u8 = 32;
/// Nothing is sent, only asked.
const PROBE: u8 = 64;
/// The filter is the one of new local mail.
const REFILTERED: u8 = 128;
/// In the byte of SMTPUTF8: it was asked for.
const SMTPUTF8: u8 = 1;
/// In the same byte, as the other is full: why the message is on hold stands at the end.
const HOLD_REASON: u8 = 2;
/// Bytes of the reason for a hold that are kept.
const HOLD_REASON_BYTES_MAX: usize = 512;
/// NOTIFY=NEVER, and none of the other bits.
pub const NOTIFY_NEVER: u8 = 1;
/// NOTIFY=SUCCESS.
pub const NOTIFY_SUCCESS: u8 = 2;
/// NOTIFY=FAILURE.
pub const NOTIFY_FAILURE: u8 = 4;
/// NOTIFY=DELAY.
pub const NOTIFY_DELAY: u8 = 8;

/// The envelope of one queued message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the log and in Received:.
    pub id: QueueId,
    /// When it was accepted.
    pub arrival: Wall,
    /// MAIL FROM, after rewriting.
    pub sender: Address,
    /// In the order of RCPT TO.
    pub recipients: Vec<Recipient>,
    /// RET.
    pub return_content: Option<ReturnContent>,
    /// ENVID, decoded.
    pub envelope_id: Option<String>,
    /// Bytes of the message as it was stored.
    pub size: u64,
    /// BODY=.
    pub body_type: BodyType,
    /// SMTPUTF8 was asked for.
    pub smtputf8: bool,
    /// There is more than ASCII in its header.
    pub has_utf8_header: bool,
    /// Where it came from, for log lines and filters.
    pub client: Client,
    /// The hold queue: not tried until released.
    pub hold: bool,
    /// Why it was put on hold, and by what, in words for people; `None` by hand, and where nobody wrote it down.
    pub hold_reason: Option<String>,
    /// `postsuper -e`: given back to its sender at the next attempt, however young it is.
    pub expire: bool,
    /// The sender was told of a delay (`delay_warning_time`), which is done once.
    pub warned: bool,
    /// What the sender wants to hear in any case.
    pub trace: Option<Trace>,
    /// `content_filter` or FILTER: `transport:nexthop`.
    pub filter: Option<String>,
    /// `postsuper -r`: it goes through the filter that new local mail goes through, whatever it was before.
    pub refiltered: bool,
    /// REDIRECT: replaces all recipients at delivery.
    pub redirect: Option<Address>,
    /// XVERP's delimiters.
    pub verp: Option<String>,
    /// Tries so far.
    pub tries: u32,
    /// Not before this. The arrival where it was never tried.
    pub next_attempt: Wall,
    /// What has been done of recipients that aren't done: index, and a name of the part that only its maker understands.
    pub parts: BTreeSet<(u32, u64)>,
}

/// One recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Where it goes, after rewriting and aliases.
    pub address: Address,
    /// As the client gave it, for `orig_to=` and X-Original-To.
    pub original: Address,
    /// ORCPT, `rfc822;…`.
    pub orcpt: Option<String>,
    /// NOTIFY's bits; 0 where it was not given.
    pub notify: u8,
    /// Where it stands.
    pub status: Status,
}

/// A report for who sends, whatever comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// `sendmail -v`: on the first try of each recipient.
    Record,
    /// `sendmail -bv`: on what a delivery would come to; nothing is delivered.
    Probe,
}

/// RET=.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnContent {
    /// The whole message.
    Full,
    /// Its headers.
    Headers,
}

/// BODY=.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyType {
    /// Not given: anything may be in it.
    #[default]
    Unstated,
    /// 7BIT.
    SevenBit,
    /// 8BITMIME.
    EightBitMime,
    /// BINARYMIME.
    BinaryMime,
}

impl BodyType {
    /// Whether it says that there is more than 7-bit text.
    #[must_use]
    pub const fn is_eight_bit(self) -> bool {
        matches!(self, BodyType::EightBitMime | BodyType::BinaryMime)
    }
}

/// Who handed the message in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The verified name, or `unknown`.
    pub name: String,
    /// The address as text.
    pub address: String,
    /// The port, 0 where there is none.
    pub port: u16,
    /// HELO or EHLO's argument.
    pub helo: String,
    /// SMTP, ESMTP …
    pub protocol: String,
    /// `sasl_method`, `sasl_username`, `sasl_sender`.
    pub sasl: Option<(String, String, String)>,
}

/// One change to an envelope, kept beside it. Folding a note in twice is the same as once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// What became of some recipients in one attempt.
    Statuses(Vec<(u32, Status)>),
    /// The message was deferred: tries so far, and not before when.
    Deferred {
        /// Tries so far.
        tries: u32,
        /// Not before this.
        next_attempt: Wall,
    },
    /// Put on hold, or released.
    Hold(bool),
    /// To be given back to its sender at the next attempt.
    Expire,
    /// Its content is damaged: whoever hasn't got it won't.
    Spoilt,
    /// To be tried as if it were new, and no longer on hold; what is done stays done.
    Requeue,
    /// The sender was told of a delay.
    Warned,
    /// The sender was told of the first try.
    Traced,
    /// Parts of recipients are done; see [`Entry::parts`].
    Parts(Vec<(u32, u64)>),
}

impl Entry {
    /// A new entry with nothing special about it.
    #[must_use]
    pub fn new(id: QueueId, arrival: Wall, sender: Address, recipients: Vec<Recipient>) -> Entry {
        Entry {
            id,
            arrival,
            sender,
            recipients,
            return_content: None,
            envelope_id: None,
            size: 0,
            body_type: BodyType::default(),
            smtputf8: false,
            has_utf8_header: false,
            client: Client::default(),
            hold: false,
            hold_reason: None,
            expire: false,
            warned: false,
            trace: None,
            filter: None,
            refiltered: false,
            redirect: None,
            verp: None,
            tries: 0,
            next_attempt: arrival,
            parts: BTreeSet::new(),
        }
    }

    /// The same message for one recipient alone, of whom nothing is done yet; the others aren't copied.
    #[must_use]
    pub fn for_one(&self, recipient: Recipient) -> Entry {
        Entry {
            id: self.id.clone(),
            arrival: self.arrival,
            sender: self.sender.clone(),
            recipients: vec![recipient],
            return_content: self.return_content,
            envelope_id: self.envelope_id.clone(),
            size: self.size,
            body_type: self.body_type,
            smtputf8: self.smtputf8,
            has_utf8_header: self.has_utf8_header,
            client: self.client.clone(),
            hold: self.hold,
            hold_reason: self.hold_reason.clone(),
            expire: self.expire,
            warned: self.warned,
            trace: self.trace,
            filter: self.filter.clone(),
            refiltered: self.refiltered,
            redirect: self.redirect.clone(),
            verp: self.verp.clone(),
            tries: self.tries,
            next_attempt: self.next_attempt,
            parts: BTreeSet::new(),
        }
    }

    /// The entry as the spool keeps it: its bytes, and the notes since.
    ///
    /// # Errors
    /// When the envelope can't be read, or a note.
    pub fn load(envelope: &[u8], notes: &[Vec<u8>]) -> Result<Entry, DecodeError> {
        let mut entry = Entry::decode(envelope)?;
        for note in notes {
            entry.apply(Note::decode(note)?);
        }
        Ok(entry)
    }

    /// Folds a note in. A recipient that isn't there is passed over.
    pub fn apply(&mut self, note: Note) {
        match note {
            Note::Statuses(changes) => {
                for (index, status) in changes {
                    let index = usize::try_from(index).unwrap_or(usize::MAX);
                    if let Some(recipient) = self.recipients.get_mut(index) {
                        recipient.status = status;
                    }
                }
            }
            Note::Deferred { tries, next_attempt } => {
                self.tries = tries;
                self.next_attempt = next_attempt;
            }
            Note::Hold(hold) => {
                self.hold = hold;
                if !hold {
                    self.hold_reason = None;
                }
            }
            Note::Warned => self.warned = true,
            Note::Traced => self.trace = None,
            Note::Expire => self.expire = true,
            Note::Spoilt => self.spoil(),
            Note::Requeue => self.requeue(),
            Note::Parts(parts) => self.add_parts(&parts),
        }
    }

    /// It goes on hold; of two reasons the first counts.
    pub fn put_on_hold(&mut self, mut reason: String) {
        if !std::mem::replace(&mut self.hold, true) {
            reason.truncate(reason.floor_char_boundary(HOLD_REASON_BYTES_MAX));
            self.hold_reason = Some(reason);
        }
    }

    /// Remembers parts that are done, each once.
    pub fn add_parts(&mut self, parts: &[(u32, u64)]) {
        self.parts.extend(parts);
    }

    fn spoil(&mut self) {
        // Its sender is to hear of it.
        self.next_attempt = self.arrival;
        for recipient in self.recipients.iter_mut().filter(|one| one.status.is_open()) {
            recipient.status = Status::Failed(Reason::spoilt());
        }
    }

    fn requeue(&mut self) {
        (self.hold, self.expire, self.hold_reason) = (false, false, None);
        (self.filter, self.refiltered) = (None, true);
        (self.tries, self.next_attempt) = (0, self.arrival);
        for recipient in &mut self.recipients {
            if recipient.status.is_open() {
                recipient.status = Status::Pending;
            }
        }
    }

    /// The sender as `recipient` sees it: with VERP, one for each (VERP_README).
    #[must_use]
    pub fn sender_for(&self, recipient: &Recipient) -> Address {
        match &self.verp {
            Some(delimiters) if !self.sender.is_null() => {
                crate::notice::verp_sender(&self.sender, &recipient.address, delimiters)
            }
            _ => self.sender.clone(),
        }
    }

    /// Whether some recipient is still to be tried.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.recipients.iter().any(|recipient| recipient.status.is_open())
    }

    /// Whether somebody may have to be told of some recipient.
    #[must_use]
    pub fn is_untold(&self) -> bool {
        self.recipients.iter().any(|recipient| recipient.status.is_untold())
    }

    /// The bytes for the spool.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::default();
        to.u8(VERSION);
        to.text(self.id.as_str());
        to.i64(self.arrival.0);
        to.text(self.sender.as_str());
        to.u8(match self.return_content {
            None => 0,
            Some(ReturnContent::Full) => 1,
            Some(ReturnContent::Headers) => 2,
        });
        to.optional(self.envelope_id.as_deref());
        to.u64(self.size);
        to.u8(match self.body_type {
            BodyType::SevenBit => 0,
            BodyType::EightBitMime => 1,
            BodyType::BinaryMime => 2,
            BodyType::Unstated => 3,
        });
        let flags = [(self.smtputf8, SMTPUTF8), (self.hold_reason.is_some(), HOLD_REASON)];
        to.u8(flags.into_iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit));
        self.client.encode(&mut to);
        let flags = [
            (self.hold, HOLD),
            (self.warned, WARNED),
            (self.expire, EXPIRE),
            (self.has_utf8_header, UTF8_HEADER),
            (!self.parts.is_empty(), PARTS),
            (self.trace == Some(Trace::Record), RECORD),
            (self.trace == Some(Trace::Probe), PROBE),
            (self.refiltered, REFILTERED),
        ];
        to.u8(flags.into_iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit));
        to.optional(self.filter.as_deref());
        to.optional(self.redirect.as_ref().map(Address::as_str));
        to.optional(self.verp.as_deref());
        to.u32(self.tries);
        to.i64(self.next_attempt.0);
        to.u32(u32::try_from(self.recipients.len()).unwrap_or(u32::MAX));
        for recipient in &self.recipients {
            recipient.encode(&mut to);
        }
        // Most have none, and earlier versions didn't know of them.
        if !self.parts.is_empty() {
            encode_parts(self.parts.iter(), &mut to);
        }
        if let Some(reason) = &self.hold_reason {
            to.text(reason);
        }
        to.finish()
    }

    /// From the spool's bytes.
    ///
    /// # Errors
    /// When they are none of ours, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Entry, DecodeError> {
        let mut from = Decoder::new(bytes);
        let mut entry = Entry::begin(&mut from)?;
        entry.go_on(&mut from)?;
        from.finish()?;
        Ok(entry)
    }

    /// What can be made out of damaged bytes: at least its name, when it came and from whom. Nobody vouches for it.
    #[must_use]
    pub fn glimpse(bytes: &[u8]) -> Option<Entry> {
        let mut from = Decoder::new(bytes);
        let mut entry = Entry::begin(&mut from).ok()?;
        // As far as it goes.
        let _ = entry.go_on(&mut from);
        Some(entry)
    }

    fn begin(from: &mut Decoder<'_>) -> Result<Entry, DecodeError> {
        check_version(from)?;
        let id = from.text()?.parse().map_err(|_| DecodeError::Value("queue id"))?;
        let arrival = Wall(from.i64()?);
        let sender = Address::from_internal(from.text()?);
        Ok(Entry::new(id, arrival, sender, Vec::new()))
    }

    fn go_on(&mut self, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        let entry = self;
        entry.return_content = match from.u8()? {
            0 => None,
            1 => Some(ReturnContent::Full),
            2 => Some(ReturnContent::Headers),
            _ => return Err(DecodeError::Value("RET")),
        };
        entry.envelope_id = from.optional()?;
        entry.size = from.u64()?;
        entry.body_type = match from.u8()? {
            0 => BodyType::SevenBit,
            1 => BodyType::EightBitMime,
            2 => BodyType::BinaryMime,
            3 => BodyType::Unstated,
            _ => return Err(DecodeError::Value("BODY")),
        };
        let has_reason = match from.u8()? {
            flags if flags & !(SMTPUTF8 | HOLD_REASON) != 0 => return Err(DecodeError::Value("SMTPUTF8")),
            flags => {
                entry.smtputf8 = flags & SMTPUTF8 != 0;
                flags & HOLD_REASON != 0
            }
        };
        entry.client = Client::decode(from)?;
        let flags = from.u8()?;
        entry.hold = flags & HOLD != 0;
        entry.warned = flags & WARNED != 0;
        entry.expire = flags & EXPIRE != 0;
        entry.refiltered = flags & REFILTERED != 0;
        entry.has_utf8_header = flags & UTF8_HEADER != 0;
        entry.trace = match flags & (RECORD | PROBE) {
            0 => None,
            RECORD => Some(Trace::Record),
            PROBE => Some(Trace::Probe),
            _ => return Err(DecodeError::Value("trace")),
        };
        entry.filter = from.optional()?;
        entry.redirect = from.optional()?.map(Address::from_internal);
        entry.verp = from.optional()?;
        entry.tries = from.u32()?;
        entry.next_attempt = Wall(from.i64()?);
        for _ in 0..from.count()? {
            entry.recipients.push(Recipient::decode(from)?);
        }
        if flags & PARTS != 0 {
            entry.parts = decode_parts(from)?.into_iter().collect();
        }
        if has_reason {
            entry.hold_reason = Some(from.text()?);
        }
        Ok(())
    }
}

impl Recipient {
    /// A recipient as a client gave it.
    #[must_use]
    pub fn new(address: Address) -> Recipient {
        Recipient { original: address.clone(), address, orcpt: None, notify: 0, status: Status::Pending }
    }

    fn encode(&self, to: &mut Encoder) {
        to.text(self.address.as_str());
        to.optional((self.original != self.address).then_some(self.original.as_str()));
        to.optional(self.orcpt.as_deref());
        to.u8(self.notify);
        self.status.encode(to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Recipient, DecodeError> {
        let address = Address::from_internal(from.text()?);
        let original = from.optional()?.map_or_else(|| address.clone(), Address::from_internal);
        let (orcpt, notify) = (from.optional()?, from.u8()?);
        Ok(Recipient { address, original, orcpt, notify, status: Status::decode(from)? })
    }
}

impl Client {
    fn encode(&self, to: &mut Encoder) {
        for text in [&self.name, &self.address, &self.helo, &self.protocol] {
            to.text(text);
        }
        to.u16(self.port);
        to.u8(u8::from(self.sasl.is_some()));
        if let Some((method, username, sender)) = &self.sasl {
            for text in [method, username, sender] {
                to.text(text);
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Client, DecodeError> {
        let (name, address, helo, protocol) = (from.text()?, from.text()?, from.text()?, from.text()?);
        let port = from.u16()?;
        let sasl = if from.flag("SASL")? { Some((from.text()?, from.text()?, from.text()?)) } else { None };
        Ok(Client { name, address, port, helo, protocol, sasl })
    }
}

impl Note {
    /// The bytes for the spool.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::default();
        to.u8(VERSION);
        match self {
            Note::Statuses(changes) => {
                to.u8(0);
                to.u32(u32::try_from(changes.len()).unwrap_or(u32::MAX));
                for (index, status) in changes {
                    to.u32(*index);
                    status.encode(&mut to);
                }
            }
            Note::Deferred { tries, next_attempt } => {
                to.u8(1);
                to.u32(*tries);
                to.i64(next_attempt.0);
            }
            Note::Hold(hold) => {
                to.u8(2);
                to.u8(u8::from(*hold));
            }
            Note::Warned => to.u8(3),
            Note::Traced => to.u8(11),
            Note::Expire => to.u8(8),
            Note::Spoilt => to.u8(12),
            Note::Requeue => to.u8(9),
            Note::Parts(parts) => {
                to.u8(10);
                encode_parts(parts.iter(), &mut to);
            }
        }
        to.finish()
    }

    /// Whether these are the bytes of outcomes, which say nothing of when the message is due.
    pub(crate) fn is_statuses(bytes: &[u8]) -> bool {
        bytes.starts_with(&[VERSION, 0])
    }

    /// From the spool's bytes.
    ///
    /// # Errors
    /// When they are none of ours, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Note, DecodeError> {
        let mut from = Decoder::new(bytes);
        check_version(&mut from)?;
        let note = match from.u8()? {
            0 => {
                let mut changes = Vec::new();
                for _ in 0..from.count()? {
                    changes.push((from.u32()?, Status::decode(&mut from)?));
                }
                Note::Statuses(changes)
            }
            1 => Note::Deferred { tries: from.u32()?, next_attempt: Wall(from.i64()?) },
            2 => Note::Hold(from.flag("hold")?),
            3 => Note::Warned,
            11 => Note::Traced,
            8 => Note::Expire,
            12 => Note::Spoilt,
            9 => Note::Requeue,
            10 => Note::Parts(decode_parts(&mut from)?),
            _ => return Err(DecodeError::Value("note")),
        };
        from.finish()?;
        Ok(note)
    }
}

fn encode_parts<'p>(parts: impl ExactSizeIterator<Item = &'p (u32, u64)>, to: &mut Encoder) {
    to.u32(u32::try_from(parts.len()).unwrap_or(u32::MAX));
    for (index, part) in parts {
        to.u32(*index);
        to.u64(*part);
    }
}

fn decode_parts(from: &mut Decoder<'_>) -> Result<Vec<(u32, u64)>, DecodeError> {
    (0..from.count()?).map(|_| Ok((from.u32()?, from.u64()?))).collect()
}

fn check_version(from: &mut Decoder<'_>) -> Result<(), DecodeError> {
    match from.u8()? {
        VERSION => Ok(()),
        other => Err(DecodeError::Version(other)),
    }
}

/// For fuzzing: whatever decodes is the same after encoding and decoding; nothing panics.
pub fn fuzz(bytes: &[u8]) {
    if let Ok(entry) = Entry::decode(bytes) {
        assert_eq!(Entry::decode(&entry.encode()), Ok(entry), "an entry survives its encoding");
    }
    if let Ok(note) = Note::decode(bytes) {
        assert_eq!(Note::decode(&note.encode()), Ok(note), "a note survives its encoding");
    }
}
