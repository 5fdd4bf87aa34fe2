//! Watches the configuration's files for finished changes.
//!
//! A half-written table is valid and shorter, so a change counts when the writer has closed the file or
//! renamed another one into its place, and nothing more has happened for a moment (DESIGN: live files).

use crate::log::Log;
use crate::privileged::{Answer, Helper, Request};
use futures_core::Stream;
use inotify::{EventMask, EventStream, Inotify, WatchDescriptor, WatchMask};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// How long nothing may happen before a change counts.
const QUIET: Duration = Duration::from_millis(50);
/// Between two looks at files that can't be watched.
const POLL: Duration = Duration::from_secs(1);

/// As many links lead on from one to another, as in the kernel.
const LINKS_MAX: usize = 40;

/// Watched folders, and which files in them matter.
pub(crate) struct Watch {
    events: EventStream<[u8; 4096]>,
    folders: HashMap<WatchDescriptor, Names>,
    /// Changes that have not been handed out yet: they outlive a wait that is given up.
    pending: BTreeSet<PathBuf>,
    polled: Polled,
}

impl Watch {
    /// Watches the folders of `files`. What has changed after `since`, when the caller began to read them, counts
    /// as a change. `None`, with a warning, where the system can't.
    pub(crate) fn start(
        files: &[PathBuf],
        since: SystemTime,
        log: &Log,
        helper: Option<Helper>,
    ) -> Option<Watch> {
        let warn = |text: String| log.write("postfix/master", events::daemon::Message::warning(text));
        let inotify = match Inotify::init() {
            Ok(inotify) => inotify,
            Err(error) => {
                warn(format!("changed tables are not noticed: inotify: {error}"));
                return None;
            }
        };
        let mut folders: HashMap<WatchDescriptor, Names> = HashMap::new();
        let mut polled = Polled { helper, files: Vec::new(), next: Instant::now() };
        for (folder, names) in by_folder(files) {
            let mask = WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO | WatchMask::CREATE;
            match inotify.watches().add(&folder, mask) {
                // A folder that two paths lead to is one.
                Ok(descriptor) => folders.entry(descriptor).or_default().extend(names),
                Err(error) if error.kind() == ErrorKind::PermissionDenied && polled.helper.is_some() => {
                    polled.files.extend(names.into_values().map(|named| (named.file, None, false)));
                }
                Err(error) => warn(format!("changes in {} are not noticed: {error}", folder.display())),
            }
        }
        let pending = files.iter().filter(|file| changed_since(file, since)).cloned().collect();
        polled.look();
        Some(Watch { events: inotify.into_event_stream([0; 4096]).ok()?, folders, pending, polled })
    }

    /// Waits for changes, and for the quiet after them.
    pub(crate) async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            let next = std::future::poll_fn(|cx| Pin::new(&mut self.events).poll_next(cx));
            let more = async {
                let event = match next.await {
                    Some(Ok(event)) if !event.mask.contains(EventMask::IGNORED) => event,
                    Some(Ok(_)) => return None,
                    // The system gives no more events: tables stay as they are until a reload.
                    Some(Err(_)) | None => std::future::pending().await,
                };
                let named = self.folders.get(&event.wd)?.get(&event.name?)?;
                // A file that is made is written next; a link is all there is, as certbot renews.
                let counts = !event.mask.contains(EventMask::CREATE)
                    || std::fs::symlink_metadata(&named.place).is_ok_and(|made| made.is_symlink());
                counts.then(|| named.file.clone())
            };
            if self.pending.is_empty() {
                let (due, polls) = (self.polled.next, !self.polled.files.is_empty());
                tokio::select! {
                    path = more => self.pending.extend(path),
                    () = tokio::time::sleep_until(due), if polls => self.pending.extend(self.polled.look()),
                }
                continue;
            }
            match tokio::time::timeout(QUIET, more).await {
                Ok(path) => self.pending.extend(path),
                Err(_) => return std::mem::take(&mut self.pending).into_iter().collect(),
            }
        }
    }
}

/// Files in folders that the server may not read, so not watch either: the helper is asked for them, and their
/// stamps compared.
struct Polled {
    helper: Option<Helper>,
    /// Each with its stamp, and whether that is new.
    files: Vec<(PathBuf, Option<Stamp>, bool)>,
    next: Instant,
}

/// Device, inode, change time.
type Stamp = (u64, u64, i64, i64);

impl Polled {
    /// Those that have changed, and not since the look before.
    fn look(&mut self) -> Vec<PathBuf> {
        self.next = Instant::now() + POLL;
        let Some(helper) = &self.helper else { return Vec::new() };
        let mut changed = Vec::new();
        for (path, last, is_new) in &mut self.files {
            let now = stamp(helper, path);
            if now == *last && *is_new {
                changed.push(path.clone());
            }
            *is_new = now != *last && last.is_some();
            *last = now.or(*last);
        }
        changed
    }
}

fn stamp(helper: &Helper, path: &Path) -> Option<Stamp> {
    let request = Request::Open(path.display().to_string());
    let (Answer::Done, Some(descriptor)) = tokio::task::block_in_place(|| helper.ask(&request, None)) else {
        return None;
    };
    let metadata = std::fs::File::from(descriptor).metadata().ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

/// The names that matter in a folder.
type Names = BTreeMap<OsString, Named>;

/// What a name stands for.
struct Named {
    /// As the configuration has it.
    file: PathBuf,
    /// The name with its folder.
    place: PathBuf,
}

/// The names that matter by their folder. A file that is a link is watched where it leads, too, and so is each link on
/// the way.
fn by_folder(files: &[PathBuf]) -> BTreeMap<PathBuf, Names> {
    let mut folders: BTreeMap<PathBuf, Names> = BTreeMap::new();
    for file in files {
        for place in places(file) {
            if let (Some(folder), Some(name)) = (place.parent(), place.file_name()) {
                let named = Named { file: file.clone(), place: place.clone() };
                folders.entry(folder.to_owned()).or_default().insert(name.to_owned(), named);
            }
        }
    }
    folders
}

fn places(file: &Path) -> BTreeSet<PathBuf> {
    let mut places = BTreeSet::from([file.to_owned()]);
    let mut at = file.to_owned();
    for _ in 0..LINKS_MAX {
        let Ok(to) = std::fs::read_link(&at) else { break };
        at = at.parent().map_or_else(|| to.clone(), |folder| folder.join(&to));
        places.insert(at.clone());
    }
    places.extend(std::fs::canonicalize(file));
    places
}

/// By the inode's own time, which a rename moves too.
fn changed_since(file: &Path, since: SystemTime) -> bool {
    let Ok(metadata) = std::fs::metadata(file) else { return false };
    let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    // The kernel's clock for files is up to a tick behind.
    let since = since.saturating_sub(Duration::from_millis(10));
    changed >= (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()))
}
