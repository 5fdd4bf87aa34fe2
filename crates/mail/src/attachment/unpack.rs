//! What is in a file, by its first bytes: an archive is unpacked, an Office file looked through for macros.
//!
//! A file is never held: what is kept is its first bytes, and what each unpacker needs. All that is unpacked of one
//! message counts against the same limits; what goes beyond them is refused, not unpacked.

use super::inflate::Gzip;
use super::kinds::{HEAD_BYTES, Kind, MACROS, OLE, kind};
use super::names::{extension, names_of};
use super::parts::Parts;
use super::tar::{Tar, is_tar};
use super::zip::Zip;
use super::{Danger, Rules, Spent};

/// Unpacked bytes that no ratio is asked about.
const FREE_BYTES: u64 = 2_000_000;
/// Bytes of a name that a reply shows.
const SHOWN_CHARS: usize = 80;

/// What the unpacking of one message shares.
pub(super) struct Job<'j> {
    pub(super) rules: &'j Rules,
    pub(super) spent: &'j mut Spent,
    /// How deep the content lies that is read now.
    pub(super) depth: u32,
}

impl Job<'_> {
    /// A file of this name: is it dangerous?
    pub(super) fn name(&self, bytes: &[u8]) -> Result<(), Danger> {
        for name in names_of(bytes).map_err(|_| Danger::Names)? {
            self.clean_name(&name)?;
        }
        Ok(())
    }

    /// The same of a name that has been read.
    pub(super) fn clean_name(&self, name: &str) -> Result<(), Danger> {
        let Some(extension) = extension(name) else { return Ok(()) };
        // Windows takes a class's number for the name of its kind.
        let is_class = extension.starts_with('{') && !self.rules.extensions.is_empty();
        if is_class || self.rules.extensions.contains(&extension) {
            return Err(Danger::Name { name: shown(name), extension: shown(&extension) });
        }
        if name.to_ascii_lowercase().ends_with("vbaproject.bin") {
            self.kind(Kind::Macro, name.as_bytes())?;
        }
        Ok(())
    }

    /// A file of this kind: is it dangerous?
    pub(super) fn kind(&self, kind: Kind, name: &[u8]) -> Result<(), Danger> {
        if !self.rules.kinds.contains(&kind) {
            return Ok(());
        }
        let name = names_of(name).unwrap_or_default().into_iter().next_back().unwrap_or_default();
        Err(Danger::Kind { name: shown(&name), kind })
    }

    /// One more entry.
    pub(super) fn count_entry(&mut self) -> Result<(), Danger> {
        self.spent.entries = self.spent.entries.saturating_add(1);
        if self.spent.entries > self.rules.limits.entries { Err(Danger::Bomb) } else { Ok(()) }
    }

    /// So many bytes have come out of an archive.
    pub(super) fn unpacks(&mut self, bytes: usize) -> Result<(), Danger> {
        self.spent.unpacked = self.spent.unpacked.saturating_add(bytes as u64);
        let limits = &self.rules.limits;
        let fair = self.spent.packed.saturating_mul(limits.ratio).max(FREE_BYTES);
        if self.spent.unpacked > fair.min(limits.unpacked_bytes) { Err(Danger::Bomb) } else { Ok(()) }
    }

    /// What an archive says of an entry.
    pub(super) fn claims(&mut self, packed: u64, unpacked: u64) -> Result<(), Danger> {
        let limits = &self.rules.limits;
        self.spent.claimed = self.spent.claimed.saturating_add(unpacked);
        let is_steep = unpacked > FREE_BYTES && unpacked > packed.saturating_mul(limits.ratio);
        if is_steep || self.spent.claimed > limits.unpacked_bytes { Err(Danger::Bomb) } else { Ok(()) }
    }

    /// What is in the file of this name within the present one; `None` where that is too deep.
    pub(super) fn content(&self, name: &[u8]) -> Option<Content> {
        let depth = self.depth.saturating_add(1);
        (depth <= self.rules.limits.depth).then(|| Content::new(depth, name))
    }

    /// Archives in archives in archives.
    #[expect(clippy::unused_self, reason = "what is done where it is too deep is one decision")]
    pub(super) const fn too_deep(&self) -> Result<(), Danger> {
        Err(Danger::Bomb)
    }
}

fn shown(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_graphic() && *c != '"').take(SHOWN_CHARS).collect()
}

/// One file.
#[derive(Debug)]
pub(super) struct Content {
    depth: u32,
    name: Vec<u8>,
    head: Vec<u8>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// Too little of it has come.
    Unknown,
    /// Anything: an archive may stand behind something else.
    Zip(Box<Zip>),
    Gzip(Box<Gzip>),
    Tar(Box<Tar>),
    /// The last bytes, in which a macro's name may have begun.
    Ole(Vec<u8>),
    Message(Box<Parts>),
    /// It lies too deep for archives.
    Ignored,
}

impl Content {
    pub(super) fn new(depth: u32, name: &[u8]) -> Content {
        Content { depth, name: name.to_vec(), head: Vec::new(), form: Form::Unknown }
    }

    /// A message within a message.
    pub(super) fn message(depth: u32) -> Content {
        let form = Form::Message(Box::new(Parts::new(depth)));
        Content { depth, name: Vec::new(), head: Vec::new(), form }
    }

    /// Whether it is a message within a message.
    pub(super) const fn is_message(&self) -> bool {
        matches!(self.form, Form::Message(_))
    }

    /// Takes more of the file.
    pub(super) fn feed(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        let outer = std::mem::replace(&mut job.depth, self.depth);
        let fed = self.take(bytes, job);
        job.depth = outer;
        fed
    }

    fn take(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        if matches!(self.form, Form::Unknown) {
            let room = HEAD_BYTES.saturating_sub(self.head.len()).min(bytes.len());
            let (first, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.head.extend_from_slice(first);
            if self.head.len() < HEAD_BYTES {
                return Ok(());
            }
            self.recognise(job)?;
            return self.unpack(rest, job);
        }
        self.unpack(bytes, job)
    }

    /// The file is over.
    pub(super) fn end(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        let outer = std::mem::replace(&mut job.depth, self.depth);
        let ended = self.finish(job);
        job.depth = outer;
        ended
    }

    fn finish(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        if matches!(self.form, Form::Unknown) {
            self.recognise(job)?;
        }
        match &mut self.form {
            Form::Zip(zip) => zip.end(job),
            Form::Gzip(gzip) => gzip.end(job),
            Form::Tar(tar) => tar.end(job),
            Form::Message(parts) => parts.end(job),
            Form::Unknown | Form::Ole(_) | Form::Ignored => Ok(()),
        }
    }

    /// The first bytes are there: says what it is, and reads them.
    fn recognise(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        let head = std::mem::take(&mut self.head);
        if let Some(kind) = kind(&head) {
            job.kind(kind, &self.name)?;
        }
        self.form = if head.starts_with(b"\x1f\x8b\x08") {
            match job.content(&self.name) {
                Some(content) => Form::Gzip(Box::new(Gzip::new(content))),
                None => return job.too_deep(),
            }
        } else if is_tar(&head) {
            Form::Tar(Box::default())
        } else if head.starts_with(OLE) {
            Form::Ole(Vec::new())
        } else if self.name.to_ascii_lowercase().ends_with(b".eml") {
            Form::Message(Box::new(Parts::new(self.depth)))
        } else {
            Form::Zip(Box::default())
        };
        self.unpack(&head, job)
    }

    fn unpack(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        match &mut self.form {
            Form::Zip(zip) => zip.feed(bytes, job),
            Form::Gzip(gzip) => gzip.feed(bytes, job),
            Form::Tar(tar) => tar.feed(bytes, job),
            Form::Message(parts) => parts.feed(bytes, job),
            Form::Ole(tail) => {
                tail.extend_from_slice(bytes);
                if memchr::memmem::find(tail, MACROS).is_some() {
                    self.form = Form::Ignored;
                    return job.kind(Kind::Macro, &self.name);
                }
                let gone = tail.len().saturating_sub(MACROS.len());
                tail.drain(..gone);
                Ok(())
            }
            Form::Unknown | Form::Ignored => Ok(()),
        }
    }
}
