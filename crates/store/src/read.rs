//! Reading queued messages, by the server and by a reader beside it.
//!
//! Reads go by the index to the file without holding its lock; nonce, number and checksums tell when the
//! record moved meanwhile, and then the index is asked again. Nothing is cached, nothing is written.

use crate::disk::{Access, Disk, DiskFile};
use crate::error::SpoolError;
use crate::index::{Entry, Index, Place, Segment};
use crate::record::{Kind, RecordHeader, UNIT, decode_meta};
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A queued message's envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number.
    pub number: u64,
    /// The envelope of `commit`, or of the last `replace`.
    pub envelope: Vec<u8>,
    /// The notes since then, in order.
    pub notes: Vec<Vec<u8>>,
    /// The body's length in bytes.
    pub body_bytes: u64,
}

/// A body being read: `read` until it gives 0. The checksum is known at the end only: an error of kind
/// `InvalidData` there means that what was read before must not be delivered.
pub struct Body {
    source: Source,
    size: u64,
    doubt: (Doubts, u64),
}

/// Messages whose bodies were found damaged by whoever read them, until somebody asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doubts(Arc<Mutex<BTreeSet<u64>>>);

/// So many are remembered, the newest: the others are found again by their next readers.
const DOUBTS_MAX: usize = 1000;

impl Doubts {
    fn add(&self, number: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(number);
        if all.len() > DOUBTS_MAX {
            all.pop_first();
        }
    }

    pub(crate) fn take(&self, number: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&number)
    }
}

enum Source {
    Inline(io::Cursor<Vec<u8>>),
    File { file: Arc<dyn DiskFile>, at: u64, hasher: crc32fast::Hasher, crc: u32 },
}

impl Body {
    /// The length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether all of it is in memory, so that reading it never waits for the disk.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        matches!(self.source, Source::Inline(_))
    }
}

impl io::Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.read_on(buffer);
        if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidData) {
            let (doubts, number) = &self.doubt;
            doubts.add(*number);
        }
        read
    }
}

impl Body {
    fn read_on(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (file, at, hasher, crc) = match &mut self.source {
            Source::Inline(bytes) => return io::Read::read(bytes, buffer),
            Source::File { file, at, hasher, crc } => (file, at, hasher, *crc),
        };
        let left = usize::try_from(self.size.saturating_sub(*at)).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let Some(buffer) = buffer.get_mut(..wanted).filter(|buffer| !buffer.is_empty()) else {
            return if left == 0 && hasher.clone().finalize() != crc { Err(damaged()) } else { Ok(0) };
        };
        let count = file.read_at(buffer, *at)?;
        if count == 0 {
            return Err(damaged());
        }
        hasher.update(buffer.get(..count).unwrap_or_default());
        *at += count as u64;
        // Told with the last bytes already, for a caller that counts them and doesn't ask for the end.
        if *at == self.size && hasher.clone().finalize() != crc { Err(damaged()) } else { Ok(count) }
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the message body doesn't match its checksum")
}

/// The path of a body file.
pub(crate) fn body_path(number: u64) -> String {
    format!("body/{number:X}")
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What reads a spool: its disk and index.
#[derive(Clone)]
pub(crate) struct Library {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) index: Arc<Mutex<Index>>,
    pub(crate) doubts: Doubts,
}

/// How much of a message is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Envelope,
    All,
}

/// A message as its records have it.
pub(crate) struct Contents {
    pub(crate) header: RecordHeader,
    pub(crate) envelope: Vec<u8>,
    pub(crate) notes: Vec<Vec<u8>>,
    /// The inline body, where it was asked for.
    pub(crate) body: Vec<u8>,
}

impl Library {
    pub(crate) fn message(&self, number: u64) -> Result<Message, SpoolError> {
        let contents = self.contents(number, Part::Envelope)?;
        let Contents { header, envelope, notes, .. } = contents;
        let inline = header.kind == Kind::Message;
        let body_bytes = if inline { u64::from(header.body_bytes) } else { header.extra };
        Ok(Message { number, envelope, notes, body_bytes })
    }

    /// The newest envelope and the notes since then: what a listing wants, without the record that the message came in
    /// where the envelope was written anew.
    pub(crate) fn envelope(&self, number: u64) -> Result<Envelope, SpoolError> {
        let mut former: Option<Entry> = None;
        loop {
            let (entry, segments) = self.find(number)?;
            let Some(place) = entry.envelope else {
                let Contents { envelope, notes, .. } = self.contents(number, Part::Envelope)?;
                return Ok((envelope, notes));
            };
            let places = std::iter::once((place, Kind::Envelope));
            let places = places.chain(entry.notes.iter().map(|place| (*place, Kind::Note)));
            let mut found = Vec::with_capacity(1 + entry.notes.len());
            for (place, kind) in places {
                let Some(segment) = segment(&segments, place) else { break };
                match read_record(segment, place, number, Part::All) {
                    Ok(Some((header, record))) if header.kind == kind => {
                        found.extend(header.meta(&record).map(<[u8]>::to_vec));
                    }
                    Ok(_) => break,
                    Err(error) => return Err(SpoolError::io("read", "log", error)),
                }
            }
            if found.len() == 1 + entry.notes.len() {
                let notes = found.split_off(1);
                return Ok((found.pop().unwrap_or_default(), notes));
            }
            if former.as_ref() == Some(&entry) {
                return Err(SpoolError::Corrupt(number));
            }
            former = Some(entry);
        }
    }

    /// The record that the message came in, or was moved in, with its inline body; the thousands of notes that may stand
    /// beside it aren't read.
    fn message_record(&self, number: u64) -> Result<(RecordHeader, Vec<u8>), SpoolError> {
        let mut former: Option<Place> = None;
        loop {
            let (place, segment) = {
                let index = lock(&self.index);
                let place = index.messages.place(number).ok_or(SpoolError::NotFound(number))?;
                (place, index.segments.get(&place.segment).cloned())
            };
            if former == Some(place) {
                return Err(SpoolError::Corrupt(number));
            }
            let found = segment.map(|segment| read_record(&segment, place, number, Part::All));
            let found = found.transpose().map_err(|error| SpoolError::io("read", "log", error))?.flatten();
            let whole = found.and_then(|(header, record)| {
                let is_message = matches!(header.kind, Kind::Message | Kind::LargeMessage);
                header.meta(&record).filter(|_| is_message)?;
                let body = header.body(&record)?.to_vec();
                Some((header, body))
            });
            match whole {
                Some(whole) => return Ok(whole),
                None => former = Some(place),
            }
        }
    }

    /// Where a message's records are, and their segments.
    fn find(&self, number: u64) -> Result<(Entry, Segments), SpoolError> {
        let index = lock(&self.index);
        let entry = index.messages.find(number).ok_or(SpoolError::NotFound(number))?;
        let mut segments = Segments::new();
        for place in entry.places() {
            if segment(&segments, place).is_none()
                && let Some(found) = index.segments.get(&place.segment)
            {
                segments.push((place.segment, found.clone()));
            }
        }
        Ok((entry, segments))
    }

    pub(crate) fn body(&self, number: u64) -> Result<Body, SpoolError> {
        let body = self.open_body(number);
        if matches!(body, Err(SpoolError::Corrupt(_))) {
            self.doubts.add(number);
        }
        body
    }

    fn open_body(&self, number: u64) -> Result<Body, SpoolError> {
        let (header, body) = self.message_record(number)?;
        let doubt = (self.doubts.clone(), number);
        if header.kind == Kind::Message {
            let size = u64::from(header.body_bytes);
            return Ok(Body { source: Source::Inline(io::Cursor::new(body)), size, doubt });
        }
        let path = body_path(number);
        let file = match self.disk.open(&path, Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let queued = lock(&self.index).messages.contains(number);
                return Err(if queued { SpoolError::Corrupt(number) } else { SpoolError::NotFound(number) });
            }
            Err(error) => return Err(SpoolError::io("open", &path, error)),
        };
        let hasher = crc32fast::Hasher::new();
        let source = Source::File { file, at: 0, hasher, crc: header.body_crc };
        Ok(Body { source, size: header.extra, doubt })
    }

    /// Reads a message's records. Where they don't fit the index, it may have moved: look again.
    pub(crate) fn contents(&self, number: u64, part: Part) -> Result<Contents, SpoolError> {
        let mut former: Option<Entry> = None;
        loop {
            let (entry, segments) = self.find(number)?;
            if former.as_ref() == Some(&entry) {
                return Err(SpoolError::Corrupt(number));
            }
            let read =
                |place: Place, part: Part| Some(read_record(segment(&segments, place)?, place, number, part));
            match assemble(&entry, part, read) {
                Some(Ok(contents)) => return Ok(contents),
                Some(Err(error)) => return Err(SpoolError::io("read", "log", error)),
                None => former = Some(entry),
            }
        }
    }
}

type Record = (RecordHeader, Vec<u8>);

/// An envelope and the notes since it was written.
pub type Envelope = (Vec<u8>, Vec<Vec<u8>>);

/// The segments that a message's records are in: few.
type Segments = Vec<(u64, Segment)>;

fn segment(segments: &Segments, place: Place) -> Option<&Segment> {
    segments.iter().find(|(number, _)| *number == place.segment).map(|(_, segment)| segment)
}

/// `None` where something doesn't fit.
fn assemble(
    entry: &Entry,
    part: Part,
    read: impl Fn(Place, Part) -> Option<io::Result<Option<Record>>>,
) -> Option<io::Result<Contents>> {
    let fetch = |place: Place, part: Part| -> Option<io::Result<Record>> {
        match read(place, part)? {
            Ok(record) => record.map(Ok),
            Err(error) => Some(Err(error)),
        }
    };
    let (header, record) = match fetch(entry.message, part)? {
        Ok(found) => found,
        Err(error) => return Some(Err(error)),
    };
    if !matches!(header.kind, Kind::Message | Kind::LargeMessage) {
        return None;
    }
    let (mut envelope, mut notes) = decode_meta(header.meta(&record)?)?;
    let body = if part == Part::All { header.body(&record)?.to_vec() } else { Vec::new() };
    if let Some(place) = entry.envelope {
        let (header, record) = match fetch(place, Part::All)? {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        envelope = header.meta(&record).filter(|_| header.kind == Kind::Envelope)?.to_vec();
        notes.clear();
    }
    for place in &entry.notes {
        let (header, record) = match fetch(*place, Part::All)? {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        notes.push(header.meta(&record).filter(|_| header.kind == Kind::Note)?.to_vec());
    }
    Some(Ok(Contents { header, envelope, notes, body }))
}

/// Reads one record; `Ok(None)` where it isn't the one that is looked for.
fn read_record(segment: &Segment, place: Place, number: u64, part: Part) -> io::Result<Option<Record>> {
    let size = usize::try_from(place.bytes).unwrap_or(0);
    let at = u64::from(place.at);
    let mut first = size;
    if part == Part::Envelope {
        // The header says how far the envelope goes; most go no further than this.
        first = size.min(2048);
    }
    let mut record = vec![0; first];
    if segment.file.read_at(&mut record, at)? < first {
        return Ok(None);
    }
    let Some(header) = RecordHeader::decode(&record, segment.nonce) else { return Ok(None) };
    if header.number != number || header.total() != size {
        return Ok(None);
    }
    let wanted = UNIT + usize::try_from(header.meta_bytes).unwrap_or(0);
    if part == Part::Envelope && wanted > first {
        record.resize(wanted.min(size), 0);
        let rest = record.get_mut(first..).unwrap_or_default();
        let length = rest.len();
        if segment.file.read_at(rest, at + first as u64)? < length {
            return Ok(None);
        }
    }
    Ok(Some((header, record)))
}
