//! The maildrop: single files that `sendmail` leaves where no server answers, taken in at start and while running.
//!
//! Everybody may make files in the folder and nobody but the server may see whose are there (mode 1733); a file belongs
//! to whoever made it, and what the kernel says of it is all that is believed: a regular file with one name, mode 0700,
//! closed by `End`. What isn't so stays where it is, and is said once; what is damaged is set apart as `.bad`. Owners take
//! turns, so that nobody waits behind another's thousand files. The crash argument is docs/internals/maildrop.md. T2.14.

use super::{Pickup, PickupError, Reception};
use crate::clock;
use crate::deliver::ending::Ending;
use crate::privileged::{Answer, Helper, Request as Asked};
use crate::queued::frames::read_frame;
use crate::serve::Rules;
use events::daemon::Message as Warning;
use inotify::{Inotify, WatchMask};
use mail::Wall;
use proto::control::{REQUEST_BYTES_MAX, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufReader};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

/// The folder's name in the state folder.
pub(crate) const NAME: &str = "maildrop";
/// A message that is whole ends so.
pub(crate) const WHOLE: &str = ".mail";
/// One that is being written.
pub(crate) const BEGUN: &str = ".tmp";
/// One that can't be read.
const BAD: &str = ".bad";
/// The mode of one that is whole.
pub(crate) const WHOLE_MODE: u32 = 0o700;
/// Hexadecimal digits of a name.
pub(crate) const DIGITS: usize = 32;
/// Names looked at in one go; the rest comes with the next.
const LISTED_MAX: usize = 20_000;
/// Between two looks when nothing is said to have come, or something could not be taken.
const PAUSE: Duration = Duration::from_secs(10);
/// A file that nobody goes on writing is removed after this.
const ABANDONED: Duration = Duration::from_secs(36 * 3600);
/// Files that were complained about, at most; then it begins anew.
const TOLD_MAX: usize = 1_000;

/// Takes in what is dropped.
pub(crate) struct Maildrop {
    pub(crate) pickup: Pickup,
    pub(crate) folder: PathBuf,
    /// Opens files of other owners.
    pub(crate) helper: Option<Helper>,
    /// Who may submit.
    pub(crate) rules: Rules,
    /// What has been complained about.
    pub(crate) told: HashSet<OsString>,
    /// What is there when it begins is the next server's.
    pub(crate) ending: Ending,
}

/// When a file was written, in seconds and nanoseconds, and its name.
type Dropped = ((i64, i64), String);

/// What becomes of one file.
enum Fate {
    /// It is in the spool, or nobody was promised anything: the name goes.
    Remove,
    /// It stays, and is tried again.
    Keep,
    /// It is kept for a person to look at.
    SetApart,
}

/// Whether this is a name that `sendmail` gives.
pub(crate) fn is_name(name: &str) -> bool {
    name.strip_suffix(WHOLE).is_some_and(|stem| {
        stem.len() == DIGITS && stem.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Opens a dropped file by its name and checks what the kernel says of it. Nothing is followed, and nothing waited for.
///
/// # Errors
/// `InvalidData` for what is no whole message; else what the system says.
pub(crate) fn open(folder: &Path, name: &str) -> io::Result<File> {
    let refused = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidData, why.to_owned()));
    if !is_name(name) {
        return refused("no name of the maildrop");
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::PATH;
    let folder = rustix::fs::open(folder, flags, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(&folder, name, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return refused("not a regular file");
    }
    if metadata.nlink() != 1 {
        return refused("it has more than one name");
    }
    if metadata.permissions().mode() & 0o7777 != WHOLE_MODE {
        return refused("it hasn't the mode of a whole message");
    }
    Ok(file)
}

impl Maildrop {
    /// Takes in what is there, and what comes, until the end begins.
    pub(crate) fn run(mut self) {
        let mut inotify = Inotify::init().ok();
        if let Some(inotify) = &inotify
            && let Err(error) = inotify.watches().add(&self.folder, WatchMask::MOVED_TO)
        {
            self.warn(&format!("{}: {error}; looked at every 10 seconds", self.folder.display()));
        }
        while !self.ending.has_begun() {
            if let Err(error) = self.look() {
                self.warn(&format!("{}: {error}", self.folder.display()));
            }
            wait(inotify.as_mut(), &self.ending);
        }
    }

    fn warn(&self, text: &str) {
        let local = self.pickup.local.read().unwrap_or_else(PoisonError::into_inner);
        let program = format!("{}/pickup", local.receiving.syslog_name);
        drop(local);
        self.pickup.log.write(&program, Warning::warning(text.to_owned()));
    }

    /// Once for each file.
    fn warn_once(&mut self, name: &OsStr, why: &str) {
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        if self.told.insert(name.to_owned()) {
            self.warn(&format!("{}: {why}", self.folder.join(name).display()));
        }
    }

    /// Everything that is there, each owner's oldest first, owners in turns.
    fn look(&mut self) -> io::Result<()> {
        let mut owners: BTreeMap<u32, Vec<Dropped>> = BTreeMap::new();
        for entry in std::fs::read_dir(&self.folder)?.take(LISTED_MAX) {
            let entry = entry?;
            let name = entry.file_name();
            // Gone meanwhile.
            let Ok(metadata) = entry.metadata() else { continue };
            match name.to_str() {
                Some(name) if is_name(name) => {
                    let place = owners.entry(metadata.uid()).or_default();
                    place.push(((metadata.mtime(), metadata.mtime_nsec()), name.to_owned()));
                }
                Some(name) if name.ends_with(BEGUN) => {
                    if is_abandoned(metadata.modified().ok()) {
                        let _ = std::fs::remove_file(self.folder.join(name));
                    }
                }
                Some(name) if name.ends_with(BAD) => {}
                _ => self.warn_once(&name, "nothing that sendmail leaves here; it is left alone"),
            }
        }
        let mut turns: VecDeque<VecDeque<String>> = owners
            .into_values()
            .map(|mut files| {
                files.sort();
                files.into_iter().map(|(_, name)| name).collect()
            })
            .collect();
        while let Some(mut files) = turns.pop_front().filter(|_| !self.ending.has_begun()) {
            if let Some(name) = files.pop_front() {
                self.take(&name);
                turns.push_back(files);
            }
        }
        Ok(())
    }

    fn take(&mut self, name: &str) {
        let path = self.folder.join(name);
        match self.read(name) {
            Fate::Keep => {}
            // The folder isn't flushed: after a loss of power the name may be there again, and the mail comes twice.
            Fate::Remove => drop(std::fs::remove_file(path)),
            Fate::SetApart => drop(std::fs::rename(&path, path.with_extension("bad"))),
        }
    }

    fn read(&mut self, name: &str) -> Fate {
        let file = match self.open(name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Fate::Keep,
            Err(error) => {
                self.warn_once(OsStr::new(name), &format!("{error}; it is left alone"));
                return Fate::Keep;
            }
        };
        let Ok(metadata) = file.metadata() else { return Fate::Keep };
        let uid = metadata.uid();
        if let Err(text) = self.may_submit(uid) {
            // Its sendmail was told so and gave no success, or it was no sendmail.
            self.warn(&format!("uid={uid}: {text}; its mail is thrown away"));
            return Fate::Remove;
        }
        let now = clock::now().wall;
        let arrival = metadata.modified().ok().and_then(wall).map_or(now, |at| at.min(now));
        let fate = match self.receive(uid, arrival, &mut BufReader::with_capacity(64 << 10, file)) {
            Ok(()) => return Fate::Remove,
            Err(error) if error.is_temporary() => (Fate::Keep, error),
            Err(error) => (Fate::SetApart, error),
        };
        self.warn_once(OsStr::new(name), &format!("uid={uid}: {}", fate.1));
        fate.0
    }

    fn may_submit(&self, uid: u32) -> Result<(), String> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.may_submit(uid)
    }

    fn may_use(&self, uid: u32, sender: &str) -> Result<(), String> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.may_use(uid, sender)
    }

    /// With our own rights where they do, else by the helper.
    fn open(&self, name: &str) -> io::Result<File> {
        match (open(&self.folder, name), &self.helper) {
            (Err(error), Some(helper)) if error.kind() == io::ErrorKind::PermissionDenied => {
                match helper.ask(&Asked::Dropped(name.to_owned()), None) {
                    (Answer::Done, Some(descriptor)) => Ok(File::from(descriptor)),
                    (Answer::Permanent(_), _) => Err(io::ErrorKind::NotFound.into()),
                    (Answer::Temporary(text), _) => Err(io::Error::other(text)),
                    (Answer::Done | Answer::Said(_), _) => Err(io::Error::other("the helper gave no file")),
                }
            }
            (opened, _) => opened,
        }
    }

    fn receive(&self, uid: u32, arrival: Wall, from: &mut impl io::Read) -> Result<(), Unread> {
        let mut reception: Option<Reception> = None;
        while let Some(frame) = read_frame(from, REQUEST_BYTES_MAX)? {
            let request = Request::decode(&frame).map_err(|error| Unread::Damaged(error.to_string()))?;
            match (request, &mut reception) {
                (Request::Submit(submission), None) => {
                    self.may_use(uid, &submission.sender).map_err(Unread::Forbidden)?;
                    reception = Some(self.pickup.begin(uid, *submission, Some(arrival))?);
                }
                (Request::To(recipients), Some(reception)) => reception.add(recipients)?,
                (Request::Content(bytes), Some(reception)) => reception.write(&bytes)?,
                (Request::End, Some(_)) => {
                    if let Some(reception) = reception.take() {
                        reception.finish()?;
                    }
                    return Ok(());
                }
                _ => return Err(Unread::Damaged("frames out of order".to_owned())),
            }
        }
        Err(Unread::Damaged("it ends early".to_owned()))
    }
}

/// Why a file's message isn't taken.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("damaged: {0}")]
    Damaged(String),
    #[error("{0}")]
    Pickup(#[from] PickupError),
    #[error("read: {0}")]
    Io(io::Error),
    #[error("{0}")]
    Forbidden(String),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Unread {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => Unread::Damaged(error.to_string()),
            _ => Unread::Io(error),
        }
    }
}

impl Unread {
    fn is_temporary(&self) -> bool {
        match self {
            Unread::Damaged(_) | Unread::Forbidden(_) => false,
            Unread::Pickup(error) => error.is_temporary(),
            Unread::Io(_) => true,
        }
    }
}

/// Waits until something has come, the end has begun, or for a while.
fn wait(inotify: Option<&mut Inotify>, ending: &Ending) {
    let Some(inotify) = inotify else {
        let _ = ending.rest(PAUSE);
        return;
    };
    let (came, ends) = (inotify.as_fd(), ending.descriptor());
    let mut polled = vec![PollFd::new(&came, PollFlags::IN)];
    polled.extend(ends.as_ref().map(|ends| PollFd::new(ends, PollFlags::IN)));
    let pause = Timespec::try_from(PAUSE).ok();
    let _ = poll(&mut polled, pause.as_ref());
    if polled.first().is_some_and(|came| !came.revents().is_empty()) {
        // What is said doesn't matter: the folder is looked at.
        let mut buffer = [0; 4096];
        let _ = inotify.read_events(&mut buffer).map(Iterator::count);
    }
}

fn is_abandoned(modified: Option<SystemTime>) -> bool {
    let age = modified.and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_some_and(|age| age > ABANDONED)
}

fn wall(at: SystemTime) -> Option<Wall> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Wall(i64::try_from(since.as_micros()).ok()?))
}

#[cfg(test)]
mod tests;
