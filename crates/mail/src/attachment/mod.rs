//! What is attached to a message, and whether a click on it would run something.
//!
//! [`Scanner`] reads a message as it comes: names of attachments in all spellings, contents by their first bytes,
//! archives within their limits. It holds no more than a header and what the unpackers need, and says what it found
//! first. Nothing is removed or changed; who asks and what is answered is policy's. Viruses are not looked for. T1.15.

mod cabinet;
mod flow;
#[cfg(test)]
mod formats_tests;
mod inflate;
mod kinds;
mod names;
mod notebook;
mod parts;
mod rar;
mod seven_zip;
mod tar;
#[cfg(test)]
mod tests;
mod tnef;
mod unpack;
mod words;
mod zip;

pub use kinds::{CONTENTS, EXTENSIONS, Kind};
pub use names::{Excess, NAMES_MAX, extension, fuzz as fuzz_names, names, names_of};

use parts::Parts;
use std::collections::BTreeSet;
use std::sync::Arc;
use unpack::Job;

/// What is dangerous, and how much is unpacked to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Extensions, in small letters, without the dot.
    pub extensions: BTreeSet<String>,
    /// Kinds of content.
    pub kinds: BTreeSet<Kind>,
    /// How far archives are looked into.
    pub limits: Limits,
}

/// How far archives are looked into; what goes further is dangerous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Archives in archives.
    pub depth: u32,
    /// Bytes that all archives of a message unpack to.
    pub unpacked_bytes: u64,
    /// How many times larger than packed.
    pub ratio: u64,
    /// Files in all archives of a message.
    pub entries: u64,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            extensions: EXTENSIONS.split(' ').map(str::to_owned).collect(),
            kinds: CONTENTS.split(' ').filter_map(Kind::of).collect(),
            limits: Limits { depth: 4, unpacked_bytes: 250_000_000, ratio: 250, entries: 10_000 },
        }
    }
}

/// Why a message is dangerous.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Danger {
    /// A file's extension; both as they can be shown.
    Name {
        /// The file's name.
        name: String,
        /// Its extension.
        extension: String,
    },
    /// A file's content; its name may be empty.
    Kind {
        /// The file's name.
        name: String,
        /// What it is.
        kind: Kind,
    },
    /// More names than an honest program writes, or one that is too long to be one.
    Names,
    /// It unpacks to more than may be.
    Bomb,
    /// Parts lie too deep to be followed.
    Depth,
}

impl std::fmt::Display for Danger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Danger::Name { name, .. } => write!(f, "attachment \"{name}\" is of a dangerous kind"),
            Danger::Kind { name, kind } if name.is_empty() => write!(f, "an attachment is {}", kind.text()),
            Danger::Kind { name, kind } => write!(f, "attachment \"{name}\" is {}", kind.text()),
            Danger::Names => f.write_str("an attachment has more names than one"),
            Danger::Depth => f.write_str("its parts lie too deep to be looked into"),
            Danger::Bomb => f.write_str("an attached archive unpacks to more than is looked into"),
        }
    }
}

/// What a message has cost so far.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    /// Bytes of its attachments.
    packed: u64,
    unpacked: u64,
    /// What archives' tables say.
    claimed: u64,
    entries: u64,
}

/// One message on its way.
#[derive(Debug)]
pub struct Scanner {
    rules: Arc<Rules>,
    spent: Spent,
    parts: Parts,
    found: Option<Danger>,
}

impl Scanner {
    /// Before a message's first line.
    #[must_use]
    pub fn new(rules: Arc<Rules>) -> Scanner {
        Scanner { rules, spent: Spent::default(), parts: Parts::new(0), found: None }
    }

    /// Takes more of the message; what comes behind something dangerous isn't read.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.read(|parts, job| parts.feed(chunk, job));
    }

    /// The message has ended: what is dangerous in it.
    #[must_use]
    pub fn end(mut self) -> Option<Danger> {
        self.read(Parts::end);
        self.found
    }

    fn read(&mut self, read: impl FnOnce(&mut Parts, &mut Job<'_>) -> Result<(), Danger>) {
        if self.found.is_none() {
            let mut job = Job { rules: &self.rules, spent: &mut self.spent, depth: 0 };
            self.found = read(&mut self.parts, &mut job).err();
        }
    }
}

/// The same for a file, without the message around it.
///
/// # Panics
/// When that doesn't hold.
pub fn fuzz_file(file: &[u8]) {
    let limits = Limits { depth: 2, unpacked_bytes: 3_000_000, ratio: 50, entries: 100 };
    let rules = Rules { limits, kinds: Kind::ALL.into(), ..Rules::default() };
    let read = |size: usize| {
        let mut spent = Spent { packed: file.len() as u64, ..Spent::default() };
        let mut job = Job { rules: &rules, spent: &mut spent, depth: 0 };
        let mut content = unpack::Content::new(0, b"file");
        let fed = file.chunks(size.max(1)).try_for_each(|chunk| content.feed(chunk, &mut job));
        let found = fed.and_then(|()| content.end(&mut job)).err();
        assert!(spent.unpacked <= 3_100_000, "more is unpacked than may be");
        found
    };
    let whole = read(file.len()).is_some();
    for size in [1, 7, 1000] {
        assert_eq!(read(size).is_some(), whole, "in chunks of {size}");
    }
}

/// Reads `message` in chunks of several sizes, for fuzzing: it ends, within its limits, however the message is cut.
///
/// # Panics
/// When that doesn't hold.
pub fn fuzz(message: &[u8]) {
    let limits = Limits { depth: 2, unpacked_bytes: 3_000_000, ratio: 50, entries: 100 };
    let rules = Arc::new(Rules { limits, ..Rules::default() });
    let read = |size: usize| {
        let mut scanner = Scanner::new(Arc::clone(&rules));
        for chunk in message.chunks(size.max(1)) {
            scanner.feed(chunk);
            assert!(scanner.spent.unpacked <= 3_100_000, "more is unpacked than may be");
        }
        scanner.end()
    };
    // Of several dangers another one may be the first.
    let whole = read(message.len()).is_some();
    for size in [1, 7, 1000] {
        assert_eq!(read(size).is_some(), whole, "in chunks of {size}");
    }
}
