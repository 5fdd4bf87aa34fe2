//! The helper's threads: deliveries side by side, none of which keeps the others waiting.
//!
//! So many threads as let the file system merge its flushes do the work in the order in which it comes. One account has
//! two of them at most, and a bounded part of the queue: whoever has his mailbox locked, or a FIFO that nobody reads, waits
//! for himself. Where many accounts do that, further threads come for those who would wait behind them, and go again.
//! A thread that doesn't have its own rights after its work, or that ended in a panic, is replaced and takes no more.

use super::identity::effective;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many deliveries run side by side.
const THREADS: usize = 12;
/// With those that came because others take long: Postfix's `default_process_limit`, and who has had enough of it.
const THREADS_MAX: usize = 120;
/// How many deliveries may wait; beyond, the server is told to come again.
const WAITING_MAX: usize = 1024;
/// How many of one account.
const WAITING_OF_ONE_MAX: usize = 128;
/// How many of one account run at a time.
const AT_ONCE_OF_ONE: usize = 2;
/// What takes longer than this is held up, and another thread comes in its place.
const PATIENCE: Duration = Duration::from_millis(500);

/// Something to be done.
pub(super) type Task = Box<dyn FnOnce() + Send>;

/// Threads, and what waits for them.
#[derive(Default)]
pub(super) struct Crew(Arc<Inner>);

#[derive(Default)]
struct Inner {
    books: Mutex<Books>,
    /// Something came, or an account has room again.
    came: Condvar,
    /// Something waits, or a thread has ended.
    changed: Condvar,
}

#[derive(Default)]
struct Books {
    waiting: VecDeque<Waiting>,
    busy: HashMap<String, usize>,
    /// What is under way since when.
    running: HashMap<u64, Instant>,
    threads: usize,
    last: u64,
}

struct Waiting {
    /// Whose it is; `None` where nobody can hold it up.
    account: Option<String>,
    task: Task,
}

impl Books {
    /// Where the first is that may be begun.
    fn first(&self) -> Option<usize> {
        let may_begin = |waiting: &Waiting| match &waiting.account {
            Some(account) => self.busy.get(account).is_none_or(|busy| *busy < AT_ONCE_OF_ONE),
            None => true,
        };
        self.waiting.iter().position(may_begin)
    }

    /// How many threads there should be.
    fn wanted(&self) -> usize {
        let held_up = self.running.values().filter(|since| since.elapsed() >= PATIENCE).count();
        THREADS.saturating_add(held_up).min(THREADS_MAX)
    }
}

impl Crew {
    /// Starts the threads, from one that has root's rights: they inherit them.
    ///
    /// # Errors
    /// When there can be none.
    pub(super) fn start() -> io::Result<Crew> {
        let crew = Crew::default();
        let inner = Arc::clone(&crew.0);
        std::thread::Builder::new().name("deliveries".into()).spawn(move || inner.keep())?;
        Ok(crew)
    }

    /// Whether there was room for it.
    pub(super) fn add(&self, account: Option<String>, task: Task) -> bool {
        let mut books = self.0.lock();
        let of_one = || books.waiting.iter().filter(|waiting| waiting.account == account).count();
        if books.waiting.len() >= WAITING_MAX || account.is_some() && of_one() >= WAITING_OF_ONE_MAX {
            return false;
        }
        let is_first = books.waiting.is_empty();
        books.waiting.push_back(Waiting { account, task });
        drop(books);
        self.0.came.notify_one();
        if is_first {
            self.0.changed.notify_one();
        }
        true
    }

    /// Drops what hasn't been begun.
    pub(super) fn end(&self) {
        self.0.lock().waiting.clear();
    }

    /// How many are under way.
    pub(super) fn running(&self) -> usize {
        self.0.lock().running.len()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that there are threads enough.
    fn keep(self: Arc<Inner>) {
        let mut books = self.lock();
        loop {
            let wanted = if books.waiting.is_empty() { THREADS } else { books.wanted() };
            while books.threads < wanted {
                let inner = Arc::clone(&self);
                let work = move || inner.work();
                if std::thread::Builder::new().name("deliver".into()).spawn(work).is_err() {
                    break;
                }
                books.threads += 1;
            }
            let pause = if books.waiting.is_empty() { Duration::from_secs(60) } else { PATIENCE };
            books = self.changed.wait_timeout(books, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn work(self: Arc<Inner>) {
        let _member = Member(&self);
        let own = effective();
        while let Some((task, _seat)) = self.next() {
            task();
            if effective() != own {
                return;
            }
        }
    }

    /// The next task, and its account's seat; none for a thread that isn't needed any more.
    fn next(&self) -> Option<(Task, Seat<'_>)> {
        let mut books = self.lock();
        loop {
            if let Some(waiting) = books.first().and_then(|at| books.waiting.remove(at)) {
                if let Some(account) = &waiting.account {
                    *books.busy.entry(account.clone()).or_default() += 1;
                }
                books.last += 1;
                let number = books.last;
                books.running.insert(number, Instant::now());
                return Some((waiting.task, Seat { inner: self, number, account: waiting.account }));
            }
            if books.threads > books.wanted() {
                return None;
            }
            books = self.came.wait(books).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A thread counts for as long as it runs.
struct Member<'a>(&'a Arc<Inner>);

impl Drop for Member<'_> {
    fn drop(&mut self) {
        let mut books = self.0.lock();
        books.threads = books.threads.saturating_sub(1);
        drop(books);
        self.0.changed.notify_one();
        // What it was told may be another's to take.
        self.0.came.notify_one();
    }
}

/// Something is under way.
struct Seat<'a> {
    inner: &'a Inner,
    number: u64,
    account: Option<String>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut books = self.inner.lock();
        books.running.remove(&self.number);
        if let Some(account) = &self.account {
            match books.busy.get(account).copied().unwrap_or(0) {
                0 | 1 => drop(books.busy.remove(account)),
                several => drop(books.busy.insert(account.clone(), several - 1)),
            }
        }
        let is_wanted = !books.waiting.is_empty() || books.threads > THREADS;
        drop(books);
        if is_wanted {
            self.inner.came.notify_one();
        }
    }
}

/// Programs that run, each with a thread that waits for it.
#[derive(Default)]
pub(super) struct Programs(Arc<Mutex<HashMap<String, usize>>>);

/// How many at a time; beyond, the server is told to come again.
const PROGRAMS_MAX: usize = 200;
/// How many for one account, or by one line of master.cf: more than the server wants by default.
const PROGRAMS_OF_ONE_MAX: usize = 100;

impl Programs {
    /// Whether there was room for it.
    pub(super) fn start(&self, account: &str, task: Task) -> bool {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = running.get(account).copied().unwrap_or(0);
        if of_one >= PROGRAMS_OF_ONE_MAX || running.values().sum::<usize>() >= PROGRAMS_MAX {
            return false;
        }
        running.insert(account.to_owned(), of_one + 1);
        drop(running);
        let running = Running(Arc::clone(&self.0), account.to_owned());
        let work = move || {
            let _running = running;
            task();
        };
        std::thread::Builder::new().name("program".into()).spawn(work).is_ok()
    }

    /// How many run.
    pub(super) fn running(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

/// A program of an account.
struct Running(Arc<Mutex<HashMap<String, usize>>>, String);

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match running.get(&self.1).copied().unwrap_or(0) {
            0 | 1 => drop(running.remove(&self.1)),
            several => drop(running.insert(self.1.clone(), several - 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    const SOON: Duration = Duration::from_secs(30);

    /// A task that says its name, and ends when it is told to.
    fn held(name: &'static str, told: &Sender<&'static str>) -> (Task, Sender<()>) {
        let (told, (end, ends)) = (told.clone(), channel());
        let task = move || {
            told.send(name).unwrap();
            let _ = ends.recv();
        };
        (Box::new(task), end)
    }

    fn names(said: &Receiver<&'static str>, count: usize) -> Vec<&'static str> {
        let mut names: Vec<_> = (0..count).map(|_| said.recv_timeout(SOON).unwrap()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn one_account_keeps_nobody_else_waiting() {
        let crew = Crew::start().unwrap();
        let (told, said) = channel();
        let mut ends: Vec<Sender<()>> = Vec::new();
        let mut add = |name: &'static str| {
            let (task, end) = held(name, &told);
            ends.push(end);
            crew.add(Some(name.to_owned()), task)
        };
        for _ in 0..WAITING_OF_ONE_MAX {
            assert!(add("mallory"));
        }
        assert_eq!(names(&said, 2), ["mallory"; 2]);
        // There is room for no more than so many of his.
        while add("mallory") {}
        assert!(add("alice") && add("alice") && add("bob"));
        assert_eq!(names(&said, 3), ["alice", "alice", "bob"]);
        assert!(said.try_recv().is_err(), "two of one at a time");
        // His own come one after another.
        drop(ends);
        assert_eq!(names(&said, WAITING_OF_ONE_MAX), ["mallory"; WAITING_OF_ONE_MAX]);
    }

    #[test]
    fn others_come_where_all_are_held_up_and_go_again() {
        let crew = Crew::start().unwrap();
        let (told, said) = channel();
        let mut ends = Vec::new();
        for number in 0..THREADS {
            let (task, end) = held("stuck", &told);
            assert!(crew.add(Some(format!("user{number}")), task));
            ends.push(end);
        }
        assert_eq!(names(&said, THREADS), ["stuck"; THREADS]);
        let (task, _end) = held("alice", &told);
        assert!(crew.add(Some("alice".to_owned()), task));
        assert_eq!(names(&said, 1), ["alice"]);
        drop(ends);
        let patience = Instant::now() + SOON;
        while crew.0.lock().threads > THREADS {
            assert!(Instant::now() < patience, "{} threads", crew.0.lock().threads);
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_thread_that_ends_is_replaced() {
        let crew = Crew::start().unwrap();
        let (told, said) = channel();
        for _ in 0..2 * THREADS {
            let told = told.clone();
            let task = move || {
                told.send("falls").unwrap();
                // Says nothing, as a panic would.
                std::panic::resume_unwind(Box::new(()));
            };
            assert!(crew.add(None, Box::new(task)));
        }
        assert_eq!(names(&said, 2 * THREADS), ["falls"; 2 * THREADS]);
        // One that keeps a user's rights takes nothing more; by root only.
        if super::super::rights::is_root() {
            let lost = rustix::process::Uid::from_raw(2001);
            for _ in 0..THREADS {
                let told = told.clone();
                let task = move || {
                    let ids = rustix::thread::set_thread_res_uid(rustix::process::Uid::ROOT, lost, lost);
                    ids.unwrap();
                    told.send("lost").unwrap();
                };
                assert!(crew.add(None, Box::new(task)));
            }
            assert_eq!(names(&said, THREADS), ["lost"; THREADS]);
        }
        for _ in 0..THREADS {
            let told = told.clone();
            let task = move || {
                let is_own = effective().0 == rustix::process::getuid().as_raw();
                told.send(if is_own { "own" } else { "another's" }).unwrap();
            };
            assert!(crew.add(None, Box::new(task)));
        }
        assert_eq!(names(&said, THREADS), ["own"; THREADS]);
    }

    #[test]
    fn programs_have_their_shares() {
        let programs = Programs::default();
        let (told, said) = channel();
        let mut ends = Vec::new();
        let mut start = |account: &'static str| {
            let (task, end) = held(account, &told);
            ends.push(end);
            programs.start(account, task)
        };
        for _ in 0..PROGRAMS_OF_ONE_MAX {
            assert!(start("mallory"));
        }
        assert!(!start("mallory") && start("alice"));
        assert_eq!(programs.running(), PROGRAMS_OF_ONE_MAX + 1);
        assert_eq!(names(&said, PROGRAMS_OF_ONE_MAX + 1)[0], "alice");
        drop(ends);
        let patience = Instant::now() + SOON;
        while programs.running() > 0 {
            assert!(Instant::now() < patience);
            std::thread::yield_now();
        }
    }
}
