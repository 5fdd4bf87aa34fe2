//! The maildrop: single files that `sendmail` leaves where no server answers, taken in at start and while running.
//!
//! Everybody may make files in the folder and nobody but the server may see whose are there (mode 1733); a file belongs
//! to whoever made it, and what the kernel says of it is all that is believed: a regular file with one name, mode 0700,
//! closed by `End`. What isn't so stays where it is, and is said once; what is damaged is set apart as `.bad`. Owners take
//! turns, all names are read, and each owner has a share of what is remembered of them, so that nobody waits behind
//! another's thousand files, nor behind a hundred thousand that are no mail; the log names a hundred in an hour. The crash argument is docs/internals/maildrop.md. T2.14.

use super::{Pickup, PickupError, Reception};
use crate::clock;
use crate::deliver::ending::Ending;
use crate::privileged::{Answer, Helper, Request as Asked};
use crate::queued::frames::read_frame;
use crate::serve::Rules;
use events::daemon::Message as Warning;
use inotify::{Inotify, WatchMask};
use mail::{Mono, Wall};
use proto::control::{REQUEST_BYTES_MAX, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use std::collections::{BTreeMap, BinaryHeap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
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
/// Names kept of one look, for all owners together; of those who have more than their share, the oldest.
const LISTED_MAX: usize = 20_000;
/// Messages taken in before the folder is looked at again: others' may have come.
const ROUND: usize = 500;
/// Between two looks when nothing is said to have come, or something could not be taken.
const PAUSE: Duration = Duration::from_secs(10);
/// A file that nobody goes on writing is removed after this.
const ABANDONED: Duration = Duration::from_secs(36 * 3600);
/// Files that are complained about by name in [`TOLD_AGAIN`], at most.
const TOLD_MAX: usize = 100;
/// Then it begins anew.
const TOLD_AGAIN: Duration = Duration::from_secs(3600);

/// Takes in what is dropped.
pub(crate) struct Maildrop {
    pub(crate) pickup: Pickup,
    pub(crate) folder: PathBuf,
    /// Opens files of other owners.
    pub(crate) helper: Option<Helper>,
    /// Who may submit.
    pub(crate) rules: Rules,
    /// What has been complained about.
    pub(crate) told: Told,
    /// What is there when it begins is the next server's.
    pub(crate) ending: Ending,
}

/// When a file was written, in seconds and nanoseconds, and its name.
type Dropped = ((i64, i64), String);

/// Which files were complained about, so that each is once, and a hundred thousand of them aren't a log's worth.
#[derive(Default)]
pub(crate) struct Told {
    names: HashSet<OsString>,
    since: Mono,
    is_summed_up: bool,
}

/// What is said of a file.
#[derive(Debug, PartialEq, Eq)]
enum Complaint {
    Named,
    /// That there are more.
    SummedUp,
    None,
}

impl Told {
    fn complaint(&mut self, now: Mono, name: &OsStr) -> Complaint {
        if self.names.contains(name) {
            return Complaint::None;
        }
        let full = self.names.len() >= TOLD_MAX;
        if self.names.is_empty() || (full && now.since(self.since) >= TOLD_AGAIN) {
            *self = Told { since: now, ..Told::default() };
        } else if full {
            let said = std::mem::replace(&mut self.is_summed_up, true);
            return if said { Complaint::None } else { Complaint::SummedUp };
        }
        self.names.insert(name.to_owned());
        Complaint::Named
    }
}

/// The messages of one look: each owner's oldest, as many as their share is.
#[derive(Default)]
struct Listed {
    owners: BTreeMap<u32, BinaryHeap<Dropped>>,
}

impl Listed {
    /// `max` for all together, though each owner has one at least.
    fn add(&mut self, uid: u32, dropped: Dropped, max: usize) {
        self.owners.entry(uid).or_default().push(dropped);
        let share = (max / self.owners.len().max(1)).max(1);
        if let Some(files) = self.owners.get_mut(&uid) {
            while files.len() > share {
                // The newest.
                files.pop();
            }
        }
    }

    /// Each owner's in order.
    fn turns(self) -> VecDeque<VecDeque<String>> {
        let in_order = |files: BinaryHeap<Dropped>| files.into_sorted_vec().into_iter().map(|(_, name)| name);
        self.owners.into_values().map(|files| in_order(files).collect()).collect()
    }
}

/// Reads all names; what is no message is `odd`.
fn list(folder: &Path, max: usize, odd: &mut dyn FnMut(&OsStr, &str)) -> io::Result<Listed> {
    let mut listed = Listed::default();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(text) = name.to_str().filter(|name| is_name(name)) else {
            let is_begun = name.as_encoded_bytes().ends_with(BEGUN.as_bytes());
            if is_begun && is_abandoned(entry.metadata().ok().and_then(|of| of.modified().ok())) {
                let _ = std::fs::remove_file(entry.path());
            }
            if !is_begun && !name.as_encoded_bytes().ends_with(BAD.as_bytes()) {
                odd(&name, "nothing that sendmail leaves here; it is left alone");
            }
            continue;
        };
        // Gone meanwhile.
        let Ok(metadata) = entry.metadata() else { continue };
        match unfit(&metadata) {
            Some(why) => odd(&name, &format!("{why}; it is left alone")),
            None => {
                let dropped = ((metadata.mtime(), metadata.mtime_nsec()), text.to_owned());
                listed.add(metadata.uid(), dropped, max);
            }
        }
    }
    Ok(listed)
}

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
    unfit(&metadata).map_or(Ok(file), refused)
}

/// Why this is no whole message.
fn unfit(metadata: &Metadata) -> Option<&'static str> {
    if !metadata.is_file() {
        Some("not a regular file")
    } else if metadata.nlink() != 1 {
        Some("it has more than one name")
    } else if metadata.permissions().mode() & 0o7777 != WHOLE_MODE {
        Some("it hasn't the mode of a whole message")
    } else {
        None
    }
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
            let began = clock::now().mono;
            let has_more = self.look().unwrap_or_else(|error| {
                self.warn(&format!("{}: {error}", self.folder.display()));
                false
            });
            let took = clock::now().mono.since(began);
            if !has_more {
                wait(inotify.as_mut(), &self.ending);
                // A folder that takes long to read isn't read at every name that comes into it.
                let _ = self.ending.rest(took.min(PAUSE));
            }
        }
    }

    fn warn(&self, text: &str) {
        let local = self.pickup.local.read().unwrap_or_else(PoisonError::into_inner);
        let program = format!("{}/pickup", local.receiving.syslog_name);
        drop(local);
        self.pickup.log.write(&program, Warning::warning(text.to_owned()));
    }

    /// Once for each file, and not for all of a great many.
    fn warn_once(&mut self, name: &OsStr, why: &str) {
        match self.told.complaint(clock::now().mono, name) {
            Complaint::Named => self.warn(&format!("{}: {why}", self.folder.join(name).display())),
            Complaint::SummedUp => self.warn(&format!(
                "{}: more files that are no whole messages than are named here; look there who makes them",
                self.folder.display()
            )),
            Complaint::None => {}
        }
    }

    /// What is there, each owner's oldest first, owners in turns; whether there is more, and it is worth going on.
    fn look(&mut self) -> io::Result<bool> {
        let folder = self.folder.clone();
        let listed = list(&folder, LISTED_MAX, &mut |name, why| self.warn_once(name, why))?;
        let mut turns = listed.turns();
        let (mut left, mut progress) = (ROUND.max(turns.len()), false);
        while let Some(mut files) = turns.pop_front().filter(|_| left > 0 && !self.ending.has_begun()) {
            if let Some(name) = files.pop_front() {
                left -= 1;
                progress |= self.take(&name);
                turns.push_back(files);
            }
        }
        Ok(left == 0 && progress)
    }

    /// Whether it is out of the way.
    fn take(&mut self, name: &str) -> bool {
        let path = self.folder.join(name);
        match self.read(name) {
            Fate::Keep => false,
            // The folder isn't flushed: after a loss of power the name may be there again, and the mail comes twice.
            Fate::Remove => std::fs::remove_file(path).is_ok(),
            Fate::SetApart => std::fs::rename(&path, path.with_extension("bad")).is_ok(),
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
