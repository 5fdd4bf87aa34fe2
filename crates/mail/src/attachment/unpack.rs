//! What is in a file, by its first bytes: an archive is unpacked, an Office file looked through for macros.
//!
//! A file is never held: what is kept is its first bytes, and what each unpacker needs. All that is unpacked of one
//! message counts against the same limits; what goes beyond them is refused, not unpacked.

use super::cabinet::Cabinet;
use super::inflate::Gzip;
use super::kinds::{DISK_AT, HEAD_BYTES, Kind, MACROS, OLE, is_disk, kind};
use super::names::{extension, names_of};
use super::notebook::{self, Notebook};
use super::parts::Parts;
use super::rar::{Rar, is_rar};
use super::seven_zip::SevenZip;
use super::tar::{Tar, is_tar};
use super::tnef::{self, Tnef};
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
    /// The first bytes, until it is known what it is.
    head: Option<Vec<u8>>,
    forms: Vec<Form>,
    /// Bytes that have come, and those where an optical disk says that it is one.
    past: u64,
    disk: Vec<u8>,
}

/// A way to read it. A file may be several at once, and which of them a click opens is the reader's choice.
#[derive(Debug)]
enum Form {
    /// Anything: an archive may stand behind something else.
    Zip(Box<Zip>),
    Gzip(Box<Gzip>),
    Tar(Box<Tar>),
    Rar(Box<Rar>),
    SevenZip(Box<SevenZip>),
    Cabinet(Box<Cabinet>),
    Tnef(Box<Tnef>),
    Notebook(Box<Notebook>),
    /// The last bytes, in which a macro's name may have begun; nothing once it was found.
    Ole(Option<Vec<u8>>),
    Message(Box<Parts>),
}

impl Content {
    pub(super) fn new(depth: u32, name: &[u8]) -> Content {
        let head = Some(Vec::new());
        Content { depth, name: name.to_vec(), head, forms: Vec::new(), past: 0, disk: Vec::new() }
    }

    /// What says to be a message or parts, and may be a file all the same.
    pub(super) fn message(depth: u32, name: &[u8], parts: Parts) -> Content {
        Content { forms: vec![Form::Message(Box::new(parts))], ..Content::new(depth, name) }
    }

    /// Takes more of the file.
    pub(super) fn feed(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        let outer = std::mem::replace(&mut job.depth, self.depth);
        let fed = self.take(bytes, job);
        job.depth = outer;
        fed
    }

    fn take(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        let Some(head) = &mut self.head else { return self.unpack(bytes, job) };
        let room = HEAD_BYTES.saturating_sub(head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        head.extend_from_slice(first);
        if head.len() < HEAD_BYTES {
            return Ok(());
        }
        self.recognise(job)?;
        self.unpack(rest, job)
    }

    /// The file is over.
    pub(super) fn end(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        let outer = std::mem::replace(&mut job.depth, self.depth);
        let ended = self.recognise(job).and_then(|()| self.finish(job));
        job.depth = outer;
        ended
    }

    fn finish(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        self.forms.iter_mut().try_for_each(|form| match form {
            Form::Zip(zip) => zip.end(job),
            Form::Gzip(gzip) => gzip.end(job),
            Form::Tar(tar) => tar.end(job),
            Form::Rar(rar) => rar.end(job),
            Form::SevenZip(archive) => archive.end(job),
            Form::Tnef(tnef) => tnef.end(job),
            Form::Notebook(notebook) => notebook.end(job),
            Form::Message(parts) => parts.end(job),
            Form::Cabinet(_) | Form::Ole(_) => Ok(()),
        })
    }

    /// The first bytes are there: says what it is, and reads them.
    fn recognise(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        let Some(head) = self.head.take() else { return Ok(()) };
        let kind = kind(&head);
        if let Some(kind) = kind {
            job.kind(kind, &self.name)?;
        }
        let name = self.name.to_ascii_lowercase();
        let is_called = |endings: &[&[u8]]| endings.iter().any(|ending| name.ends_with(ending));
        let is_message = !self.forms.is_empty();
        let mut wants_zip = !is_message || !name.is_empty();
        if head.starts_with(b"\x1f\x8b\x08") {
            let Some(content) = job.content(&self.name) else { return job.too_deep() };
            self.forms.push(Form::Gzip(Box::new(Gzip::new(content))));
            wants_zip = !is_called(&[b".gz", b".tgz", b".svgz"]) && !name.is_empty();
        } else if is_tar(&head) {
            self.forms.push(Form::Tar(Box::default()));
            // What is in it as it is, is seen in it.
            wants_zip = !is_called(&[b".tar", b".gz", b".tgz"]) && !name.is_empty();
        } else if head.starts_with(OLE) {
            self.forms.push(Form::Ole(Some(Vec::new())));
            wants_zip = false;
        } else if head.starts_with(tnef::MARK) {
            self.forms.push(Form::Tnef(Box::default()));
            wants_zip = !is_called(&[b".dat"]);
        } else if notebook::MARKS.iter().any(|mark| head.starts_with(mark)) {
            self.forms.push(Form::Notebook(Box::default()));
            wants_zip = !is_called(&[b".one"]);
        }
        match kind {
            Some(Kind::SevenZip) => self.forms.push(Form::SevenZip(Box::default())),
            Some(Kind::Cab) => self.forms.push(Form::Cabinet(Box::default())),
            _ => {}
        }
        if is_rar(&head) || is_called(&[b".rar"]) {
            self.forms.push(Form::Rar(Box::default()));
            wants_zip &= kind != Some(Kind::Rar) || !is_called(&[b".rar"]);
        }
        if self.forms.is_empty() && is_called(&[b".eml"]) {
            // Each in the next costs an attacker but a line.
            let inner = self.depth.saturating_add(1);
            if inner > job.rules.limits.depth {
                return job.too_deep();
            }
            self.forms.push(Form::Message(Box::new(Parts::new(inner))));
        } else if wants_zip {
            self.forms.push(Form::Zip(Box::default()));
        }
        self.unpack(&head, job)
    }

    fn unpack(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        self.look_for_disk(bytes, job)?;
        let name = &self.name;
        self.forms.iter_mut().try_for_each(|form| match form {
            Form::Zip(zip) => zip.feed(bytes, job),
            Form::Gzip(gzip) => gzip.feed(bytes, job),
            Form::Tar(tar) => tar.feed(bytes, job),
            Form::Rar(rar) => rar.feed(bytes, job),
            Form::SevenZip(archive) => archive.feed(bytes, job),
            Form::Cabinet(cabinet) => cabinet.feed(bytes, job),
            Form::Tnef(tnef) => tnef.feed(bytes, job),
            Form::Notebook(notebook) => notebook.feed(bytes, job),
            Form::Message(parts) => parts.feed(bytes, job),
            Form::Ole(None) => Ok(()),
            Form::Ole(Some(tail)) => {
                tail.extend_from_slice(bytes);
                if memchr::memmem::find(tail, MACROS).is_some() {
                    *form = Form::Ole(None);
                    return job.kind(Kind::Macro, name);
                }
                let gone = tail.len().saturating_sub(MACROS.len());
                tail.drain(..gone);
                Ok(())
            }
        })
    }

    /// An optical disk's mark stands far behind its beginning.
    fn look_for_disk(&mut self, bytes: &[u8], job: &Job<'_>) -> Result<(), Danger> {
        let place =
            |at: u64| usize::try_from(at.saturating_sub(self.past)).unwrap_or(usize::MAX).min(bytes.len());
        let (from, to) = (place(DISK_AT.start), place(DISK_AT.end));
        self.past = self.past.saturating_add(bytes.len() as u64);
        let part = bytes.get(from..to).unwrap_or_default();
        if part.is_empty() {
            return Ok(());
        }
        self.disk.extend_from_slice(part);
        if is_disk(&self.disk) { job.kind(Kind::Image, &self.name) } else { Ok(()) }
    }
}
