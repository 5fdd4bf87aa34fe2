//! What the engine does, done: its state is written, then packet filters and listeners change.
//!
//! A thread of its own, so that a slow program keeps no log waiting; while it works, what comes meanwhile gathers and is
//! done together. Each task's state is with the system before its changes are made (a process that is killed leaves no
//! rule that nobody remembers) and on the disk within a second. docs/internals/bans.md argues each crash.

use super::says::{BanLog, Part};
use super::settings::Level;
use super::wake::Waker;
use crate::firewall::{Change, Firewall, Verb};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use store::lines::LineFile;

/// Between two tries of a file that couldn't be written.
const AGAIN: Duration = Duration::from_secs(15);
/// Between two flushes of the state.
const FLUSH: Duration = Duration::from_secs(1);
/// Between two looks whether all hands are there.
const LOOK: Duration = Duration::from_secs(5);

/// Who puts bans in force.
pub trait Hands: Send {
    /// Puts changes in force, in their order; tells for each whether it is, or why not. May wait.
    fn apply(&mut self, changes: &[Change]) -> Vec<Result<(), String>>;

    /// Why somebody who was to be shut out is let in all the same, where that is meant.
    fn lets_in(&self, _change: &Change) -> Option<&'static str> {
        None
    }

    /// fail2ban's files have changed.
    fn reload(&mut self) {}

    /// Why they do nothing any more, and won't again.
    fn is_gone(&mut self) -> Option<String> {
        None
    }
}

impl Hands for Arc<Firewall> {
    fn apply(&mut self, changes: &[Change]) -> Vec<Result<(), String>> {
        Firewall::apply(self, changes.to_vec())
    }

    fn reload(&mut self) {
        // That a helper has ended is said elsewhere.
        let _ = Firewall::reload(self);
    }

    fn is_gone(&mut self) -> Option<String> {
        (!self.is_alive()).then(|| {
            "the helper for packet filters has ended: bans change nothing there, and what is in force stays, until the \
             program is started again"
                .to_owned()
        })
    }
}

/// Something to be done.
#[derive(Default)]
pub(super) struct Task {
    /// State to be appended; all there is where it is to be written anew.
    pub(super) lines: Vec<Vec<u8>>,
    pub(super) is_all: bool,
    pub(super) changes: Vec<Change>,
    pub(super) reload: bool,
}

/// How the thread is reached.
pub(super) struct Doing {
    tasks: Option<SyncSender<Task>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_busy: AtomicBool,
    bytes: AtomicU64,
    /// What is wrong at present.
    troubles: Mutex<Vec<String>>,
}

struct Worker {
    file: Option<LineFile>,
    /// Since when the file can't be written.
    failed: Option<Instant>,
    /// Why, for tools.
    failure: Option<String>,
    hands: Vec<Box<dyn Hands>>,
    /// Those that are gone for good, and why.
    gone: Vec<Option<String>>,
    log: BanLog,
    waker: Waker,
    shared: Arc<Shared>,
}

impl Doing {
    /// Starts the thread.
    pub(super) fn start(
        file: Option<LineFile>,
        hands: Vec<Box<dyn Hands>>,
        log: BanLog,
        waker: Waker,
    ) -> io::Result<Doing> {
        let (tasks, queue) = mpsc::sync_channel(1);
        let shared = Arc::<Shared>::default();
        shared.bytes.store(file.as_ref().map_or(0, LineFile::bytes), Ordering::Relaxed);
        let gone = vec![None; hands.len()];
        let (shared_too, failed, failure) = (Arc::clone(&shared), None, None);
        let worker = Worker { file, failed, failure, hands, gone, log, waker, shared: shared_too };
        let thread =
            std::thread::Builder::new().name("bans-hands".into()).spawn(move || worker.run(&queue))?;
        Ok(Doing { tasks: Some(tasks), thread: Some(thread), shared })
    }

    /// Whether there is room for a task.
    pub(super) fn is_free(&self) -> bool {
        !self.shared.is_busy.load(Ordering::Acquire)
    }

    /// Hands a task over; where it is busy, that waits.
    pub(super) fn take(&self, task: Task) {
        self.shared.is_busy.store(true, Ordering::Release);
        if let Some(tasks) = &self.tasks {
            // The thread ends with the sender only.
            let _ = tasks.send(task);
        }
    }

    /// What is wrong at present, for people.
    pub(super) fn troubles(&self) -> Vec<String> {
        self.shared.troubles.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until what was handed over is done, but not for ever.
    pub(super) fn rest(&self, patience: Duration) {
        let end = Instant::now() + patience;
        while !self.is_free() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// How long the state's file is.
    pub(super) fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Worker {
    fn run(mut self, queue: &Receiver<Task>) {
        let mut dirty: Option<Instant> = None;
        loop {
            let due = dirty.map(|at| FLUSH.saturating_sub(at.elapsed()));
            let again = self.failed.map(|at| AGAIN.saturating_sub(at.elapsed()));
            let patience = due.into_iter().chain(again).min().unwrap_or(LOOK).min(LOOK);
            match queue.recv_timeout(patience) {
                Ok(task) => {
                    if self.keep(&task) {
                        dirty = dirty.or_else(|| Some(Instant::now()));
                    }
                    self.apply(&task);
                    self.shared.is_busy.store(false, Ordering::Release);
                    self.waker.wake();
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => {
                    self.sync();
                    return;
                }
            }
            if self.failed.is_some_and(|at| at.elapsed() >= AGAIN) {
                // Whoever knows all of it hands it over whole where the file is too long.
                self.shared.bytes.store(u64::MAX, Ordering::Relaxed);
                self.failed = Some(Instant::now());
                self.waker.wake();
            }
            if dirty.is_some_and(|at| at.elapsed() >= FLUSH) {
                self.sync();
                dirty = None;
            }
        }
    }

    /// Writes state; whether it waits to be flushed.
    fn keep(&mut self, task: &Task) -> bool {
        let Some(file) = &mut self.file else { return false };
        // After a failure the file is only good for being written anew.
        if task.lines.is_empty() || (self.failed.is_some() && !task.is_all) {
            return false;
        }
        let mut lines = task.lines.iter().map(Vec::as_slice);
        let done =
            if task.is_all { file.rewrite(lines) } else { lines.try_for_each(|line| file.append(line)) };
        self.shared.bytes.store(file.bytes(), Ordering::Relaxed);
        let is_mended = done.is_ok() && self.failed.take().is_some();
        self.note(done);
        if is_mended {
            self.failure = None;
            self.tell();
            self.log.say(Part::Server, Level::Notice, format_args!("bans are kept on disk again"));
        }
        !task.is_all
    }

    fn sync(&mut self) {
        if let Some(file) = self.file.as_ref().filter(|_| self.failed.is_none()) {
            let done = file.sync();
            self.note(done);
        }
    }

    /// While the disk fails, bans live in memory: said once.
    fn note(&mut self, done: io::Result<()>) {
        if let Err(error) = done
            && self.failed.replace(Instant::now()).is_none()
        {
            let text = format!("bans are kept in memory only until the disk takes them again: {error}");
            self.log.say(Part::Server, Level::Error, format_args!("{text}"));
            self.failure = Some(text);
            self.tell();
        }
    }

    /// Whether all hands are there still: said once of each.
    fn look(&mut self) {
        let mut news = false;
        for (hands, gone) in self.hands.iter_mut().zip(&mut self.gone) {
            if gone.is_none()
                && let Some(why) = hands.is_gone()
            {
                self.log.say(Part::Actions, Level::Error, format_args!("{why}"));
                *gone = Some(why);
                news = true;
            }
        }
        if news {
            self.tell();
        }
    }

    /// Hands what is wrong to tools.
    fn tell(&self) {
        let all = self.failure.iter().chain(self.gone.iter().flatten()).cloned().collect();
        *self.shared.troubles.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }

    fn apply(&mut self, task: &Task) {
        self.look();
        let mut failed = Vec::new();
        for (at, hands) in self.hands.iter_mut().enumerate() {
            if self.gone.get(at).is_some_and(Option::is_some) {
                continue;
            }
            if task.reload {
                hands.reload();
            }
            if !task.changes.is_empty() {
                let outcomes = task.changes.iter().zip(hands.apply(&task.changes));
                failed.extend(outcomes.filter_map(|(change, outcome)| Some((at, change, outcome.err()?))));
                for (change, why) in task.changes.iter().filter_map(|one| Some((one, hands.lets_in(one)?))) {
                    let (jail, what) = (&change.jail, verb(change));
                    self.log.say(Part::Actions, Level::Notice, format_args!("[{jail}] {what}: {why}"));
                }
            }
        }
        if failed.is_empty() {
            return;
        }
        // Those that ended over it say it for all.
        self.look();
        for (at, change, error) in failed {
            if self.gone.get(at).is_some_and(Option::is_none) {
                say_failed(&self.log, change, &error);
            }
        }
    }
}

/// Says that a change isn't in force.
pub(super) fn say_failed(log: &BanLog, change: &Change, error: &str) {
    let (jail, what) = (&change.jail, verb(change));
    log.say(Part::Actions, Level::Error, format_args!("[{jail}] {what}: {error}"));
}

fn verb(change: &Change) -> String {
    match change.verb {
        Verb::Start => "start of its actions".to_owned(),
        Verb::Stop => "end of its actions".to_owned(),
        Verb::Ban => format!("ban of {}", change.id),
        Verb::Prolong => format!("longer ban of {}", change.id),
        Verb::Unban => format!("unban of {}", change.id),
    }
}
