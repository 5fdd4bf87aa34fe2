//! What a mailbox may hold, and what a Maildir holds: Maildir++.
//!
//! The quota is the administrator's word, from a table; `maildirsize` in the Maildir keeps count for everybody who delivers,
//! reads or deletes there: Courier's and Dovecot's programs and this one. It is a cache: what can't be read is counted
//! anew. A folder (`.name` beside `cur`) belongs to its Maildir, which its file `maildirfolder` says; `.Trash` and messages
//! marked as deleted don't count. Runs with the owner's rights. Two deliveries at once may both find room for one.

use crate::clock;
use rustix::fs::{Mode, OFlags};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A longer `maildirsize` is counted anew.
const SIZES_BYTES_MAX: u64 = 5120;
/// One that is younger is believed when it says that the Maildir is full.
const BELIEVED_S: i64 = 15 * 60;
/// More files than this aren't looked at.
const FILES_MAX: u64 = 1_000_000;
/// Mail that is to be deleted.
const TRASH: &str = ".Trash";

/// Makes each temporary name unique within the process.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// What a mailbox may hold; `None` for any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of all messages.
    pub bytes: Option<u64>,
    /// Messages.
    pub messages: Option<u64>,
}

/// There is no room for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mailbox is over its quota")]
pub struct OverQuota;

impl Quota {
    /// Reads Courier's form (`1000000S,1000C`), Dovecot's (`*:storage=1G:messages=1000`, `*:bytes=100M`), or a number of
    /// bytes (`1073741824`, `1G`). 0 stands for any number. `None` for what is none of these.
    #[must_use]
    pub fn parse(text: &str) -> Option<Quota> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("NOQUOTA") {
            return Some(Quota::default());
        }
        match text.split_once(':') {
            Some((mailbox, rules)) => {
                if !matches!(mailbox.trim(), "*" | "") {
                    return None;
                }
                Quota::of_dovecot(rules)
            }
            None if text.contains('=') => Quota::of_dovecot(text),
            None => Quota::of_courier(text),
        }
    }

    fn of_dovecot(rules: &str) -> Option<Quota> {
        let mut quota = Quota::default();
        for rule in rules.split(':') {
            if rule.trim() == "ignore" {
                return Some(Quota::default());
            }
            let (name, value) = rule.split_once('=')?;
            match name.trim() {
                "storage" => quota.bytes = limit(amount(value, 1024)?),
                "bytes" => quota.bytes = limit(amount(value, 1)?),
                "messages" => quota.messages = limit(amount(value, 1)?),
                _ => return None,
            }
        }
        Some(quota)
    }

    fn of_courier(text: &str) -> Option<Quota> {
        let mut quota = Quota::default();
        for part in text.split(',') {
            let part = part.trim();
            let split = part.len().checked_sub(1)?;
            match part.split_at_checked(split)? {
                (number, "S") => quota.bytes = limit(number.parse().ok()?),
                (number, "C") => quota.messages = limit(number.parse().ok()?),
                _ => quota.bytes = limit(amount(part, 1)?),
            }
        }
        Some(quota)
    }

    /// Whether so much fits in beside what is there. Of a message that nobody knows the size of, a byte.
    fn allows(&self, holds: Holds, size: u64) -> bool {
        let over = |limit: Option<u64>, wanted: u64| matches!(limit, Some(limit) if wanted > limit);
        let size = if size == 0 { 1 } else { size };
        !over(self.bytes, holds.bytes.saturating_add(size))
            && !over(self.messages, holds.messages.saturating_add(1))
    }

    /// Whether a message of this size is too large for an empty mailbox.
    #[must_use]
    pub fn never_allows(&self, size: u64) -> bool {
        !self.allows(Holds { bytes: 0, messages: 0 }, size)
    }

    /// As `maildirsize` says it.
    fn line(&self) -> String {
        let mut line = String::new();
        for (number, unit) in [(self.bytes, 'S'), (self.messages, 'C')] {
            if let Some(number) = number {
                let comma = if line.is_empty() { "" } else { "," };
                // Nothing fails in writing to a string.
                let _ = write!(line, "{comma}{number}{unit}");
            }
        }
        line
    }
}

const fn limit(number: u64) -> Option<u64> {
    if number == 0 { None } else { Some(number) }
}

/// A number with a unit.
fn amount(text: &str, plain: u64) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = match unit.trim().to_ascii_uppercase().as_str() {
        "" => plain,
        "B" => 1,
        "K" | "KB" => 1 << 10,
        "M" | "MB" => 1 << 20,
        "G" | "GB" => 1 << 30,
        "T" | "TB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// What a Maildir holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Holds {
    bytes: u64,
    messages: u64,
}

/// `maildirsize`, read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sizes {
    quota: String,
    holds: Holds,
    lines: usize,
}

impl Sizes {
    /// `None` where it must be counted anew.
    fn parse(text: &str) -> Option<Sizes> {
        let mut lines = text.split_terminator('\n');
        let quota = lines.next()?.trim().to_owned();
        let (mut bytes, mut messages, mut count) = (0_i64, 0_i64, 0);
        for line in lines {
            let mut numbers = line.split_ascii_whitespace().map(str::parse::<i64>);
            let (Some(Ok(size)), Some(Ok(number)), None) = (numbers.next(), numbers.next(), numbers.next())
            else {
                return None;
            };
            bytes = bytes.checked_add(size)?;
            messages = messages.checked_add(number)?;
            count += 1;
        }
        let holds = Holds { bytes: u64::try_from(bytes).ok()?, messages: u64::try_from(messages).ok()? };
        Some(Sizes { quota, holds, lines: count })
    }
}

/// A Maildir in which something was found room for.
#[derive(Debug)]
pub(super) struct Count(Option<PathBuf>);

impl Count {
    /// A message has come.
    pub(super) fn add(&self, size: u64) {
        let Some(file) = &self.0 else { return };
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // What isn't counted now is the next time that all is.
        if let Ok(file) = rustix::fs::open(file, flags, Mode::empty()) {
            let _ = File::from(file).write_all(format!("{size} 1\n").as_bytes());
        }
    }
}

/// Finds room for `size` bytes more in the Maildir at `path`; 0 where nobody knows how many.
pub(super) fn room(path: &Path, quota: &Quota, size: u64) -> Result<Count, OverQuota> {
    if *quota == Quota::default() || path.file_name().is_some_and(|name| name == TRASH) {
        return Ok(Count(None));
    }
    let root = root_of(path);
    let file = root.join("maildirsize");
    let known = read(&file).filter(|(sizes, _)| Quota::parse(&sizes.quota) == Some(*quota));
    let holds = match known {
        Some((sizes, _)) if quota.allows(sizes.holds, size) => return Ok(Count(Some(file))),
        Some((sizes, age_s)) if sizes.lines <= 1 || age_s < BELIEVED_S => sizes.holds,
        _ => count(&root, quota),
    };
    if quota.allows(holds, size) { Ok(Count(Some(file))) } else { Err(OverQuota) }
}

/// Whether there is no room for `size` bytes more, as far as that is known without counting.
pub(crate) fn is_known_full(path: &Path, quota: &Quota, size: u64) -> bool {
    if quota.never_allows(size) {
        return true;
    }
    let is_folder = path.join("maildirfolder").exists();
    let root = path.parent().filter(|_| is_folder).unwrap_or(path);
    let known = read(&root.join("maildirsize"));
    known.is_some_and(|(sizes, age_s)| {
        let believed = sizes.lines <= 1 || age_s < BELIEVED_S;
        believed && Quota::parse(&sizes.quota) == Some(*quota) && !quota.allows(sizes.holds, size)
    })
}

/// The Maildir that a folder belongs to.
fn root_of(path: &Path) -> PathBuf {
    let is_folder = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let parent = path.parent().filter(|parent| is_folder && parent.join("cur").is_dir());
    let Some(parent) = parent else { return path.to_owned() };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    // It is there already, or nobody can write there: then nothing is delivered.
    let _ = rustix::fs::open(path.join("maildirfolder"), flags, Mode::RUSR | Mode::WUSR);
    parent.to_owned()
}

/// What the file says and how old that is, where it isn't to be made anew.
fn read(path: &Path) -> Option<(Sizes, i64)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() >= SIZES_BYTES_MAX {
        return None;
    }
    let mut text = String::new();
    file.take(SIZES_BYTES_MAX).read_to_string(&mut text).ok()?;
    let age = clock::now().wall.seconds().saturating_sub(metadata.mtime());
    Some((Sizes::parse(&text)?, age))
}

/// Counts everything, and keeps that.
fn count(root: &Path, quota: &Quota) -> Holds {
    let mut holds = Holds::default();
    let mut left = FILES_MAX;
    add_folder(root, &mut holds, &mut left);
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") && name != TRASH {
            add_folder(&entry.path(), &mut holds, &mut left);
        }
    }
    // Whoever delivers next counts again.
    let _ = keep(root, quota, holds);
    holds
}

fn add_folder(folder: &Path, holds: &mut Holds, left: &mut u64) {
    for part in ["new", "cur"] {
        for entry in fs::read_dir(folder.join(part)).into_iter().flatten().flatten() {
            if *left == 0 {
                return;
            }
            *left -= 1;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') || is_deleted(&name) {
                continue;
            }
            let size = size_in(&name).or_else(|| entry.metadata().ok().map(|metadata| metadata.len()));
            holds.bytes = holds.bytes.saturating_add(size.unwrap_or(0));
            holds.messages = holds.messages.saturating_add(1);
        }
    }
}

/// `…:2,ST`: the flag T.
fn is_deleted(name: &str) -> bool {
    name.split_once(":2,").is_some_and(|(_, flags)| flags.contains('T'))
}

/// `…,S=1234…`.
fn size_in(name: &str) -> Option<u64> {
    let name = name.split(':').next().unwrap_or(name);
    name.split(',').find_map(|field| field.strip_prefix("S=")?.parse().ok())
}

fn keep(root: &Path, quota: &Quota, holds: Holds) -> io::Result<()> {
    let (count, pid) = (COUNTER.fetch_add(1, Ordering::Relaxed), std::process::id());
    let seconds = clock::now().wall.seconds();
    let temporary = root.join("tmp").join(format!("{seconds}.P{pid}Q{count}_maildirsize"));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(&temporary, flags, Mode::RUSR | Mode::WUSR)?);
    let text = format!("{}\n{} {}\n", quota.line(), holds.bytes, holds.messages);
    let written = (&file).write_all(text.as_bytes());
    let kept = written.and_then(|()| fs::rename(&temporary, root.join("maildirsize")));
    if kept.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    kept
}

/// Any bytes as what a table and a Maildir say.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(quota) = Quota::parse(&text)
        && quota != Quota::default()
    {
        assert_eq!(Quota::parse(&quota.line()), Some(quota));
    }
    let _ = (Sizes::parse(&text), size_in(&text), is_deleted(&text));
}

#[cfg(test)]
mod tests;
