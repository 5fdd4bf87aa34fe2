//! The threads of a spool: one writes and flushes the log, one flushes large bodies beforehand, one makes the
//! log's next file.
//!
//! The committer takes all that waits, has it written with one flush, answers, and looks again: the longer a
//! flush takes, the more share the next. Updates and removals alone don't start a flush until they have
//! lingered. Each request is answered exactly once, whatever becomes of the threads.

use crate::disk::{Disk, DiskFile};
use crate::error::SpoolError;
use crate::log::{Log, Op};
use crate::read::{body_path, lock};
use crate::slots::NewSlot;
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

type Answer = Result<(), SpoolError>;

/// A completion that is called once; dropped uncalled, it says `Closed`.
pub(crate) struct Done(Option<Box<dyn FnOnce(Answer) + Send>>);

impl Done {
    pub(crate) fn new(done: impl FnOnce(Answer) + Send + 'static) -> Done {
        Done(Some(Box::new(done)))
    }

    pub(crate) fn call(mut self, answer: Answer) {
        self.answer(answer);
    }

    fn answer(&mut self, answer: Answer) {
        if let Some(done) = self.0.take() {
            // A caller's panic must not take the spool with it.
            let _ = catch_unwind(AssertUnwindSafe(move || done(answer)));
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        self.answer(Err(SpoolError::Closed));
    }
}

/// One thing asked for.
pub(crate) struct Request {
    pub(crate) op: Op,
    pub(crate) done: Done,
}

/// Whether a request starts a flush.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    Now,
    Soon,
}

#[derive(Default)]
struct Waiting {
    requests: Vec<Request>,
    /// When the committer must begin; `None` while nothing waits.
    begin: Option<Instant>,
    /// Large bodies to be flushed first.
    bodies: VecDeque<(Request, Arc<dyn DiskFile>)>,
    /// The thread for bodies has some in hand.
    bodies_in_hand: bool,
    closing: bool,
    damage: Vec<String>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    committer_wake: Condvar,
    bodies_wake: Condvar,
    linger: Duration,
}

/// The threads' handle.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    disk: Arc<dyn Disk>,
}

impl Committer {
    pub(crate) fn start(
        log: Log,
        linger: Duration,
        held: Box<dyn Any + Send + Sync>,
    ) -> Result<Committer, SpoolError> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            committer_wake: Condvar::new(),
            bodies_wake: Condvar::new(),
            linger,
        });
        let disk = Arc::clone(&log.library.disk);
        let committer = Committer { shared: Arc::clone(&shared), threads: Mutex::default(), disk };
        let (for_bodies, disk) = (Arc::clone(&shared), Arc::clone(&committer.disk));
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
            thread.map_err(|error| SpoolError::io("start", "spool thread", error))
        };
        let bodies = spawn("spool-bodies", Box::new(move || for_bodies.flush_bodies(disk.as_ref())))?;
        lock(&committer.threads).push(bodies);
        // The lock is held until the last record is written, and the last slot made.
        let held = Arc::new(held);
        let (to_slots, slots) = mpsc::channel::<NewSlot>();
        let held_too = Arc::clone(&held);
        let slots = spawn(
            "spool-slots",
            Box::new(move || {
                slots.into_iter().for_each(NewSlot::make);
                drop(held_too);
            }),
        )?;
        lock(&committer.threads).push(slots);
        let commits = spawn(
            "spool-commit",
            Box::new(move || {
                shared.run(log, &to_slots);
                drop(held);
            }),
        )?;
        lock(&committer.threads).push(commits);
        Ok(committer)
    }

    pub(crate) fn ask(&self, request: Request, body: Option<Arc<dyn DiskFile>>, urgency: Urgency) {
        let mut waiting = lock(&self.shared.waiting);
        if waiting.closing {
            drop(waiting);
            if body.is_some() {
                let _ = self.disk.remove(&body_path(request.op.number));
            }
            return; // dropping the request answers it
        }
        if let Some(file) = body {
            waiting.bodies.push_back((request, file));
            self.shared.bodies_wake.notify_one();
            return;
        }
        self.shared.push(&mut waiting, [request], urgency);
    }

    pub(crate) fn take_damage(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.shared.waiting).damage)
    }

    pub(crate) fn close(&self) {
        lock(&self.shared.waiting).closing = true;
        self.shared.bodies_wake.notify_all();
        self.shared.committer_wake.notify_all();
        let threads: Vec<_> = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            // The last handle may be dropped by a completion, on the thread itself.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn push(&self, waiting: &mut Waiting, requests: impl IntoIterator<Item = Request>, urgency: Urgency) {
        let former = waiting.begin;
        waiting.requests.extend(requests);
        let now = Instant::now();
        let begin = if urgency == Urgency::Now { now } else { now + self.linger };
        waiting.begin = Some(former.map_or(begin, |former| former.min(begin)));
        if former.is_none() || urgency == Urgency::Now {
            self.committer_wake.notify_one();
        }
    }

    /// The committer's life.
    fn run(&self, mut log: Log, to_slots: &mpsc::Sender<NewSlot>) {
        let mut damage = Vec::new();
        while let Some(requests) = self.next(&mut log, &mut damage) {
            log.take_prepared();
            log.urgent_maintenance(&mut damage);
            let (ops, dones): (Vec<Op>, Vec<Done>) =
                requests.into_iter().map(|Request { op, done }| (op, done)).unzip();
            let results = log.commit(&ops);
            if let Some(new_slot) = log.wanted_slot() {
                let _ = to_slots.send(new_slot); // unsent, it is made when it is needed
            }
            for (done, result) in dones.into_iter().zip(results) {
                done.call(result);
            }
            log.keep_up(&ops, &mut damage);
        }
    }

    /// Waits for requests, tidying up meanwhile; `None` at the end.
    fn next(&self, log: &mut Log, damage: &mut Vec<String>) -> Option<Vec<Request>> {
        let mut waiting = lock(&self.waiting);
        let mut tidy = true;
        loop {
            waiting.damage.append(damage);
            let now = Instant::now();
            let over = waiting.closing && waiting.bodies.is_empty() && !waiting.bodies_in_hand;
            if waiting.begin.is_some_and(|begin| begin <= now || over) {
                waiting.begin = None;
                return Some(std::mem::take(&mut waiting.requests));
            }
            if over {
                log.vouch();
                return None;
            }
            if tidy {
                drop(waiting);
                tidy = log.maintain(256 << 10, damage);
                if !tidy {
                    log.ensure_reserve();
                    log.vouch();
                }
                waiting = lock(&self.waiting);
                continue;
            }
            let delay = waiting.begin.map_or(Duration::from_secs(60), |begin| begin - now);
            let woken = self.committer_wake.wait_timeout(waiting, delay);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The life of the thread that flushes bodies.
    fn flush_bodies(&self, disk: &dyn Disk) {
        loop {
            let mut waiting = lock(&self.waiting);
            while waiting.bodies.is_empty() {
                if waiting.closing {
                    return;
                }
                waiting = self.bodies_wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            waiting.bodies_in_hand = true;
            let (requests, files): (Vec<Request>, Vec<_>) = waiting
                .bodies
                .drain(..)
                .map(|(request, file)| {
                    let number = request.op.number;
                    (request, (number, file))
                })
                .unzip();
            drop(waiting);
            let results = Log::settle_bodies(disk, &files);
            let mut settled = Vec::new();
            for (request, result) in requests.into_iter().zip(results) {
                match result {
                    Ok(()) => settled.push(request),
                    Err(error) => {
                        let _ = disk.remove(&body_path(request.op.number));
                        request.done.call(Err(error));
                    }
                }
            }
            let mut waiting = lock(&self.waiting);
            waiting.bodies_in_hand = false;
            if !settled.is_empty() {
                self.push(&mut waiting, settled, Urgency::Now);
            }
            drop(waiting);
            self.committer_wake.notify_one();
        }
    }
}
