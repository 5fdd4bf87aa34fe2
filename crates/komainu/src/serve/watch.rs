//! Watches the configuration's files for finished changes.
//!
//! A half-written table is valid and shorter, so a change counts when the writer has closed the file or
//! renamed another one into its place, and nothing more has happened for a moment (DESIGN: live files).

use crate::log::Log;
use futures_core::Stream;
use inotify::{EventMask, EventStream, Inotify, WatchDescriptor, WatchMask};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

/// How long nothing may happen before a change counts.
const QUIET: Duration = Duration::from_millis(50);

/// Watched folders, and which files in them matter.
pub(super) struct Watch {
    events: EventStream<[u8; 4096]>,
    folders: HashMap<WatchDescriptor, BTreeMap<OsString, PathBuf>>,
}

impl Watch {
    /// Watches the folders of `files`. `None`, with a warning, where the system can't.
    pub(super) fn start(files: &[PathBuf], log: &Log) -> Option<Watch> {
        let warn = |text: String| log.write("postfix/master", events::daemon::Message::warning(text));
        let mut by_folder: BTreeMap<&Path, BTreeMap<OsString, PathBuf>> = BTreeMap::new();
        for file in files {
            if let (Some(folder), Some(name)) = (file.parent(), file.file_name()) {
                by_folder.entry(folder).or_default().insert(name.to_owned(), file.clone());
            }
        }
        let inotify = match Inotify::init() {
            Ok(inotify) => inotify,
            Err(error) => {
                warn(format!("changed tables are not noticed: inotify: {error}"));
                return None;
            }
        };
        let mut folders = HashMap::new();
        for (folder, names) in by_folder {
            let mask = WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO;
            match inotify.watches().add(folder, mask) {
                Ok(descriptor) => {
                    folders.insert(descriptor, names);
                }
                Err(error) => warn(format!("changes in {} are not noticed: {error}", folder.display())),
            }
        }
        Some(Watch { events: inotify.into_event_stream([0; 4096]).ok()?, folders })
    }

    /// Waits for changes, and for the quiet after them.
    pub(super) async fn changed(&mut self) -> Vec<PathBuf> {
        let mut changed = BTreeSet::new();
        loop {
            let next = std::future::poll_fn(|cx| Pin::new(&mut self.events).poll_next(cx));
            let more = async {
                let event = match next.await {
                    Some(Ok(event)) if !event.mask.contains(EventMask::IGNORED) => event,
                    Some(Ok(_)) => return None,
                    // The system gives no more events: tables stay as they are until a reload.
                    Some(Err(_)) | None => std::future::pending().await,
                };
                self.folders.get(&event.wd)?.get(&event.name?).cloned()
            };
            if changed.is_empty() {
                changed.extend(more.await);
                continue;
            }
            match tokio::time::timeout(QUIET, more).await {
                Ok(path) => changed.extend(path),
                Err(_) => return changed.into_iter().collect(),
            }
        }
    }
}
