//! Appending to a mailbox file, mbox: locked, appended, flushed; what can't be written whole is taken back, by the next
//! delivery where the process is killed meanwhile ([`unfinished`]).
//!
//! Runs with the rights of whoever the file belongs to; only where a mail spool isn't everybody's to write to, the file
//! and its lock are made by somebody who may. Symbolic links are never followed, and a file with a second name is left
//! alone: both would let one user have mail appended to what isn't his. Texts and codes are local(8)'s and virtual(8)'s.

use super::ending::Ending;
use super::maildir;
use super::unfinished::{self, Begun, LockFile, Note, Notes, Which};
use crate::privileged::Identity;
use crate::strerror::strerror;
use mail::Dsn;
use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// `mailbox_delivery_lock` or `virtual_mailbox_lock`, and how long one waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locks {
    /// By fcntl(2).
    pub fcntl: bool,
    /// By flock(2).
    pub flock: bool,
    /// By a file of the same name with `.lock` behind it.
    pub dotlock: bool,
    /// `deliver_lock_attempts`.
    pub attempts: u32,
    /// `deliver_lock_delay`.
    pub delay: Duration,
    /// `stale_lock_time`.
    pub stale: Duration,
    /// Nobody waits beyond it.
    pub ending: Ending,
}

/// What a file must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody's mailbox: a regular file, and his.
    Mailbox {
        /// `strict_mailbox_ownership`, `None` where that is off.
        owner: Option<u32>,
    },
    /// Whatever an alias names: a device and a FIFO too.
    Any,
}

/// Why a message could not be appended.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct AppendError {
    /// What kind of trouble it is.
    pub cause: Cause,
    /// In Postfix's words.
    pub text: String,
}

/// Trouble with a mailbox, of whatever format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The file system is full.
    NoRoom,
    /// The owner may have no more: a limit, a quota.
    TooLarge,
    /// Somebody else has it, or nobody can tell whose it is.
    Busy,
    /// It can't be written to.
    Other,
}

impl Cause {
    /// What an error of the system means here.
    #[must_use]
    pub fn of(error: &io::Error) -> Cause {
        match error.kind() {
            io::ErrorKind::StorageFull => Cause::NoRoom,
            io::ErrorKind::FileTooLarge | io::ErrorKind::QuotaExceeded => Cause::TooLarge,
            io::ErrorKind::WouldBlock
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::StaleNetworkFileHandle => Cause::Busy,
            _ => Cause::Other,
        }
    }

    /// local(8)'s code: what can't be written to is returned.
    #[must_use]
    pub const fn local(self) -> Dsn {
        match self {
            Cause::NoRoom => Dsn::new(4, 3, 0),
            Cause::TooLarge => Dsn::new(5, 2, 2),
            Cause::Busy => Dsn::new(4, 2, 0),
            Cause::Other => Dsn::new(5, 2, 0),
        }
    }

    /// virtual(8)'s code: only who has too much is told so.
    #[must_use]
    pub const fn virtual_(self) -> Dsn {
        match self {
            Cause::NoRoom => Dsn::new(4, 3, 0),
            Cause::TooLarge => Dsn::new(5, 2, 2),
            Cause::Busy | Cause::Other => Dsn::new(4, 2, 0),
        }
    }
}

/// A message to be appended.
pub struct Message<'a> {
    /// The `From ` line and the lines on top.
    pub head: &'a [u8],
    /// The rest, its lines already quoted.
    pub content: &'a mut dyn Read,
    /// How many bytes the rest has at least.
    pub length: u64,
    /// How large the file may become; 0 for any size.
    pub limit: u64,
}

/// How long a FIFO or device may take to take a piece.
const SPECIAL_PATIENCE: Duration = Duration::from_secs(30);

/// Files that a thread of this process has locked: the next one waits without asking the kernel.
static LOCKED: Mutex<Option<HashSet<(u64, u64)>>> = Mutex::new(None);

/// Mailboxes that somebody else had locked for as long as one waits, and when that was found out.
static BUSY: Mutex<BTreeMap<PathBuf, Instant>> = Mutex::new(BTreeMap::new());
/// So many are remembered.
const BUSY_MAX: usize = 1_000;

/// Mailboxes that a thread of this process is at: the others stand in line, as nobody learns from a lock of our own that
/// a mailbox is taken.
static AT_WORK: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
/// For so long, as a delivery that writes takes as long as the disk does.
const IN_LINE: Duration = Duration::from_secs(20);
/// Between two looks.
const GLANCE: Duration = Duration::from_millis(5);

/// A thread's turn at a mailbox; over when dropped.
struct Turn<'a>(&'a Path);

impl Turn<'_> {
    /// Waits for it; `None` where the line doesn't move.
    fn take<'a>(path: &'a Path, ending: &Ending) -> Option<Turn<'a>> {
        let patience = Instant::now() + IN_LINE;
        while !AT_WORK.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned()) {
            if ending.rest(GLANCE) || Instant::now() >= patience {
                return None;
            }
        }
        Some(Turn(path))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        AT_WORK.lock().unwrap_or_else(PoisonError::into_inner).remove(self.0);
    }
}

/// How often the locks are tried: once where somebody has just waited in vain, so that a hundred messages to one locked
/// mailbox don't keep a hundred deliveries to others waiting.
fn attempts(path: &Path, locks: &Locks) -> u32 {
    let mut busy = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
    let patience = locks.delay.saturating_mul(locks.attempts);
    busy.retain(|_, since| since.elapsed() < patience);
    if busy.contains_key(path) { 1 } else { locks.attempts.max(1) }
}

/// It was found locked.
fn found_busy(path: &Path) {
    let mut busy = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
    if busy.len() < BUSY_MAX {
        busy.entry(path.to_owned()).or_insert_with(Instant::now);
    }
}

/// Appends `message` to the file at `path`. Blocks. Warnings for the log come back in any case.
///
/// # Errors
/// [`AppendError`]; the file is then as it was.
pub fn append(
    path: &Path,
    kind: Kind,
    message: Message<'_>,
    (locks, identity): (&Locks, &Identity),
) -> (Result<(), AppendError>, Vec<String>) {
    let mut warnings = Vec::new();
    let _turn = Turn::take(path, &locks.ending);
    let locks = &Locks { attempts: attempts(path, locks), ..locks.clone() };
    let notes = unfinished::notes(&mut warnings);
    let dotlock = match dotlock(path, (locks, identity), notes) {
        Ok(lock) => lock,
        // Where only the file is somebody's to write to, it is delivered to without that lock.
        Err((_, text)) if kind == Kind::Any => {
            warnings.push(text);
            None
        }
        Err((error, text)) => {
            let cause = Cause::of(&error);
            if cause == Cause::Busy {
                found_busy(path);
            }
            return (Err(AppendError { cause, text }), warnings);
        }
    };
    let own = dotlock.as_deref().and_then(LockFile::at).unwrap_or_default();
    let outcome = append_locked(path, kind, message, (locks, identity), (notes, own, &mut warnings));
    if let Some(lock) = dotlock {
        // One that stays is stale soon.
        let _ = identity.making(|| std::fs::remove_file(&lock));
    }
    (outcome, warnings)
}

fn append_locked(
    path: &Path,
    kind: Kind,
    mut message: Message<'_>,
    (locks, identity): (&Locks, &Identity),
    (notes, dotlock, warnings): (Option<&Notes>, LockFile, &mut Vec<String>),
) -> Result<(), AppendError> {
    let mut file = open(path, identity)?;
    let metadata = file.metadata().map_err(|error| failed(&error, "cannot open file"))?;
    let is_regular = metadata.is_file();
    let refuse = |cause, text: String| Err(AppendError { cause, text });
    if is_regular && metadata.nlink() != 1 {
        return refuse(Cause::Other, format!("file has {} hard links", metadata.nlink()));
    }
    if let Kind::Mailbox { owner } = kind {
        if !is_regular {
            return refuse(Cause::Other, format!("destination {} is not a regular file", path.display()));
        }
        if owner.is_some_and(|owner| owner != metadata.uid()) {
            let hint = "specify \"strict_mailbox_ownership = no\" to ignore mailbox ownership mismatch";
            warnings.push(hint.to_owned());
            return refuse(Cause::Busy, format!("destination {} is not owned by recipient", path.display()));
        }
    }
    if !is_regular {
        let is_special = metadata.file_type().is_fifo() || metadata.file_type().is_char_device();
        if !is_special {
            return refuse(Cause::Other, format!("destination {} is no file", path.display()));
        }
        return write_special(&file, &mut message, &locks.ending)
            .map_err(|error| failed(&error, "error writing message"));
    }
    let held = lock(path, &file, (metadata.dev(), metadata.ino()), locks)?;
    if let Some(notes) = notes {
        notes.mend(path, &file, || reader(path), warnings);
    }
    let noted = notes.map(|notes| {
        let size = file.metadata()?.len();
        let floor = message.length.saturating_add(message.head.len() as u64);
        let which = Which { device: metadata.dev(), inode: metadata.ino() };
        let head = message.head.to_vec();
        notes.begin(Note { path: path.to_owned(), which, size, floor, head, lock: dotlock })
    });
    let begun = noted.transpose().unwrap_or_else(|error: io::Error| {
        warnings.push(format!("delivery to {} isn't noted: {}", path.display(), strerror(&error)));
        None
    });
    let written = write(&mut file, &mut message, begun.flatten())
        .map_err(|error| failed(&error, "error writing message"));
    // The next thread finds the file's own locks gone as well.
    drop(file);
    drop(held);
    written
}

/// The file to append to, made where there is none.
fn open(path: &Path, identity: &Identity) -> Result<File, AppendError> {
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::CLOEXEC
        | OFlags::NOCTTY;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => return Ok(file.into()),
        Err(rustix::io::Errno::NOENT) => {}
        Err(rustix::io::Errno::LOOP) => {
            let text = match std::fs::metadata(path) {
                Ok(_) => "file is a symbolic link".to_owned(),
                Err(error) => format!("cannot open file: {}", strerror(&error)),
            };
            return Err(AppendError { cause: Cause::Other, text });
        }
        Err(error) => return Err(failed(&error.into(), "cannot open file")),
    }
    let made = identity.making(|| {
        let file = rustix::fs::open(path, flags | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR)?;
        let file = File::from(file);
        if identity.switches {
            // The group is the maker's, whatever the folder's bits say.
            let group = (identity.maker != (identity.uid, identity.gid)).then_some(identity.maker.1);
            std::os::unix::fs::fchown(&file, Some(identity.uid), group)?;
        }
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(file)
    });
    made.map_err(|error| failed(&error, "cannot create file exclusively"))
}

/// The same file, for reading.
fn reader(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Takes the lock file; its path, where there is one to take.
fn dotlock(
    path: &Path,
    (locks, identity): (&Locks, &Identity),
    notes: Option<&Notes>,
) -> Result<Option<PathBuf>, (io::Error, String)> {
    if !locks.dotlock || path.starts_with("/dev") {
        return Ok(None);
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = PathBuf::from(name);
    if let Some(notes) = notes
        && LockFile::at(&lock).is_some_and(|left| notes.left_lock(path, left))
    {
        // Whoever made it was killed: nobody waits until it is stale.
        let _ = identity.making(|| std::fs::remove_file(&lock));
    }
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for attempt in 0..locks.attempts.max(1) {
        if attempt > 0 && locks.ending.rest(locks.delay) {
            break;
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let made = identity.making(|| Ok(rustix::fs::open(&lock, flags, Mode::empty())?));
        match made {
            Ok(_) => return Ok(Some(lock)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // By the kernel's own time, which nobody can put back.
                let now = crate::clock::now().wall.seconds();
                let age = std::fs::symlink_metadata(&lock)
                    .ok()
                    .and_then(|metadata| u64::try_from(now.saturating_sub(metadata.ctime())).ok())
                    .map(Duration::from_secs);
                if age.is_some_and(|age| age > locks.stale) {
                    let _ = identity.making(|| std::fs::remove_file(&lock));
                }
                last = io::Error::from_raw_os_error(rustix::io::Errno::EXIST.raw_os_error());
            }
            Err(error) => {
                last = error;
                break;
            }
        }
    }
    let text = format!("unable to create lock file {}: {}", lock.display(), strerror(&last));
    Err((last, text))
}

/// A file locked within this process; free when dropped.
struct Held((u64, u64));

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(locked) = LOCKED.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            locked.remove(&self.0);
        }
    }
}

fn lock(path: &Path, file: &File, which: (u64, u64), locks: &Locks) -> Result<Held, AppendError> {
    for attempt in 0..locks.attempts.max(1) {
        if attempt > 0 && locks.ending.rest(locks.delay) {
            break;
        }
        if !LOCKED.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(which) {
            continue;
        }
        let held = Held(which);
        let exclusive = FlockOperation::NonBlockingLockExclusive;
        if (!locks.fcntl || record_lock(file, libc::F_WRLCK).is_ok())
            && (!locks.flock || rustix::fs::flock(file, exclusive).is_ok())
        {
            return Ok(held);
        }
        if locks.fcntl {
            let _ = record_lock(file, libc::F_UNLCK);
        }
    }
    found_busy(path);
    let text = "unable to lock for exclusive access: Resource temporarily unavailable".to_owned();
    Err(AppendError { cause: Cause::Busy, text })
}

/// fcntl(2)'s lock of the whole file, as belongs to this opening of it. A plain one would belong to the process: another
/// thread that opens the file, finds it locked and closes it again would take the lock away. Plain locks of other
/// programs and this one keep each other out all the same.
fn record_lock(file: &File, kind: libc::c_int) -> Result<(), nix::errno::Errno> {
    let kind = libc::c_short::try_from(kind).unwrap_or_default();
    let whence = libc::c_short::try_from(libc::SEEK_SET).unwrap_or_default();
    let whole = libc::flock { l_type: kind, l_whence: whence, l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(file, FcntlArg::F_OFD_SETLK(&whole)).map(drop)
}

fn write(file: &mut File, message: &mut Message<'_>, begun: Option<Begun<'_>>) -> io::Result<()> {
    let size = file.metadata()?.len();
    let mut bounded = Bounded::new(&mut *file, message.limit);
    bounded.room = bounded.room.saturating_sub(size);
    let written = maildir::copy(message.head, message.content, &mut bounded).and_then(|_| file.sync_all());
    if written.is_err() && file.set_len(size).and_then(|()| file.sync_all()).is_err() {
        // The next delivery tries again to have it as it was before.
        return written;
    }
    if let Some(begun) = begun {
        begun.done();
    }
    written
}

/// A file that may grow by so much.
pub(super) struct Bounded<'a> {
    inner: &'a mut File,
    room: u64,
}

impl Bounded<'_> {
    /// By `limit` bytes; 0 for any.
    pub(super) const fn new(inner: &mut File, limit: u64) -> Bounded<'_> {
        Bounded { inner, room: if limit == 0 { u64::MAX } else { limit } }
    }
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.room {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::FBIG.raw_os_error()));
        }
        let count = self.inner.write(bytes)?;
        self.room = self.room.saturating_sub(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes to what is no file, and doesn't wait for ever for it.
fn write_special(file: &File, message: &mut Message<'_>, ending: &Ending) -> io::Result<()> {
    struct Special<'a>(&'a File, Instant, &'a Ending);
    impl Write for Special<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            loop {
                match (&mut &*self.0).write(bytes) {
                    Err(error)
                        if error.kind() == io::ErrorKind::WouldBlock
                            && Instant::now() < self.1
                            && !self.2.rest(Duration::from_millis(10)) => {}
                    other => return other,
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut to = Special(file, Instant::now() + SPECIAL_PATIENCE, ending);
    maildir::copy(message.head, message.content, &mut to).map(drop)
}

fn failed(error: &io::Error, what: &str) -> AppendError {
    AppendError { cause: Cause::of(error), text: format!("{what}: {}", strerror(error)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locks(attempts: u32) -> Locks {
        Locks {
            fcntl: true,
            flock: false,
            dotlock: true,
            attempts,
            delay: Duration::from_millis(200),
            stale: Duration::from_secs(500),
            ending: Ending::default(),
        }
    }

    fn put(path: &Path) -> (Duration, Result<(), AppendError>) {
        let began = Instant::now();
        let message =
            Message { head: b"From x\n", content: &mut b"\ntext\n".as_slice(), length: 6, limit: 0 };
        let outcome = append(path, Kind::Any, message, (&locks(6), &Identity::own())).0;
        (began.elapsed(), outcome)
    }

    /// A lock of our own is no reason to put mail off, however long somebody else's would be waited for.
    #[test]
    fn our_own_deliveries_stand_in_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("box");
        let put = || {
            let message =
                Message { head: b"From x\n", content: &mut b"\ntext\n".as_slice(), length: 6, limit: 0 };
            append(&path, Kind::Any, message, (&locks(1), &Identity::own())).0
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..5).for_each(|_| put().unwrap()));
            }
        });
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("text\n").count(), 40);
    }

    /// Who comes after one that has waited in vain waits no more; when the lock is gone it is found gone.
    #[test]
    fn a_locked_mailbox_is_waited_for_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("box");
        put(&path).1.unwrap();
        let other = folder.path().join("other");
        let locked = File::open(&path).unwrap();
        let owner = (locked.metadata().unwrap().dev(), locked.metadata().unwrap().ino());
        let held = lock(&path, &File::options().write(true).open(&path).unwrap(), owner, &locks(1)).unwrap();
        let (waited, outcome) = put(&path);
        assert_eq!(outcome.unwrap_err().cause, Cause::Busy);
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
        let sum: Duration = (0..4)
            .map(|_| {
                let (waited, outcome) = put(&path);
                assert_eq!(outcome.unwrap_err().cause, Cause::Busy);
                waited
            })
            .sum();
        assert!(sum < Duration::from_secs(3), "{sum:?}: each waited again");
        put(&other).1.unwrap();
        drop(held);
        put(&path).1.unwrap();
    }

    /// What another process sees: a delivery under way keeps its lock, whatever others come and go.
    #[test]
    fn whoever_gives_up_takes_no_lock_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("box");
        put(&path).1.unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let owner = (file.metadata().unwrap().dev(), file.metadata().unwrap().ino());
        let held = lock(&path, &file, owner, &locks(1)).unwrap();
        let is_locked = || {
            let script = "import fcntl, sys\ntry: fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n\
                          except OSError: sys.exit(3)";
            let status = std::process::Command::new("python3").args(["-c", script]).arg(&path).status();
            status.unwrap().code() == Some(3)
        };
        assert!(is_locked(), "it isn't locked at all");
        let short = Locks { dotlock: false, ..locks(1) };
        let message = Message { head: b"", content: &mut b"x".as_slice(), length: 1, limit: 0 };
        let second = append(&path, Kind::Any, message, (&short, &Identity::own())).0;
        assert_eq!(second.unwrap_err().cause, Cause::Busy);
        // Not even whoever only looks at the file.
        drop(File::open(&path).unwrap());
        assert!(is_locked(), "the lock has gone with the second delivery");
        drop((file, held));
        assert!(!is_locked());
    }
}
