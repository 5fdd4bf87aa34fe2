//! Passwords judged on threads of their own, one for each core, whoever asks for however many.
//!
//! What waits is bounded and ordered: first whom their network has logged in well of late, then networks by how often
//! they have failed, and each network's first before anybody's second. A network has one judgement under way at a
//! time. So whoever is known waits for one hash to end at most, however many guesses wait; where there is no room, what
//! would come last is refused for now. Sessions wait without a thread, and one that goes leaves no work behind. T0.1.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Judgements that may wait.
const WAITING_MAX: usize = 4096;
/// Costs that are counted.
const COSTS_MAX: usize = 64;

/// Who comes first: the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(u32);

impl Rank {
    /// Whose network has logged in to the account well of late.
    pub const KNOWN: Rank = Rank(0);

    /// A network with so many failures of late.
    #[must_use]
    pub const fn failed(times: u32) -> Rank {
        Rank(times.saturating_add(1))
    }
}

/// There is no room: too many wait who come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many log-ins at once")]
pub struct Busy;

type Work = Box<dyn FnOnce() -> bool + Send>;

struct Job {
    network: u64,
    work: Work,
    done: oneshot::Sender<bool>,
}

/// The order in which they are taken: rank, how many of the network come before, and when it came.
type Turn = (Rank, u32, u64);

#[derive(Default)]
struct Queue {
    waiting: BTreeMap<Turn, Job>,
    /// By network: how many wait, and how many are under way.
    networks: HashMap<u64, (u32, u32)>,
    came: u64,
    threads: usize,
    costs: BTreeMap<String, u64>,
}

/// The threads, and what waits for them.
#[derive(Clone)]
pub struct Hashing {
    shared: Arc<(Mutex<Queue>, Condvar)>,
    threads_max: usize,
}

impl Default for Hashing {
    fn default() -> Hashing {
        Hashing::new(std::thread::available_parallelism().map_or(2, usize::from))
    }
}

impl Hashing {
    /// With so many threads, made when they are wanted.
    #[must_use]
    pub fn new(threads_max: usize) -> Hashing {
        Hashing { shared: Arc::default(), threads_max: threads_max.max(1) }
    }

    /// What `work` says, once it is its turn. `network` is whose it is, `cost` what it is counted as.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn judge(
        &self,
        (network, rank): (u64, Rank),
        cost: String,
        work: impl FnOnce() -> bool + Send + 'static,
    ) -> Result<bool, Busy> {
        let (done, said) = oneshot::channel();
        let work: Work = Box::new(work);
        self.add(rank, Job { network, work, done }, cost)?;
        said.await.map_err(|_| Busy)
    }

    /// How many judgements of each cost were begun.
    #[must_use]
    pub fn counted(&self) -> BTreeMap<String, u64> {
        self.queue().costs.clone()
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue().waiting.len()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, rank: Rank, job: Job, cost: String) -> Result<(), Busy> {
        let mut queue = self.queue();
        let before = queue.networks.get(&job.network).map_or(0, |(waiting, _)| *waiting);
        let turn = (rank, before, queue.came);
        if queue.waiting.len() >= WAITING_MAX {
            // Those who have gone make room.
            queue.forget_gone();
        }
        if queue.waiting.len() >= WAITING_MAX {
            let last = queue.waiting.last_key_value().map(|(last, _)| *last).filter(|last| turn < *last);
            // Whoever waits for it hears of it, as its sender is dropped.
            let dropped = queue.waiting.remove(&last.ok_or(Busy)?);
            if let Some(dropped) = dropped {
                queue.leaves(dropped.network);
            }
        }
        queue.came += 1;
        queue.networks.entry(job.network).or_default().0 += 1;
        queue.waiting.insert(turn, job);
        if queue.costs.len() < COSTS_MAX || queue.costs.contains_key(&cost) {
            *queue.costs.entry(cost).or_default() += 1;
        }
        let wants_thread = queue.threads < self.threads_max;
        queue.threads += usize::from(wants_thread);
        drop(queue);
        if wants_thread {
            let shared = Arc::clone(&self.shared);
            let started = std::thread::Builder::new().name("hash".into()).spawn(move || work(&shared));
            if started.is_err() {
                self.queue().threads -= 1;
            }
        }
        self.shared.1.notify_one();
        Ok(())
    }
}

impl Queue {
    /// The first whose network has nothing under way. Those who are known wait for nobody of their own.
    fn next(&mut self) -> Option<Job> {
        self.forget_gone_first();
        let idle = |(turn, job): &(&Turn, &Job)| {
            turn.0 == Rank::KNOWN || self.networks.get(&job.network).is_none_or(|(_, running)| *running == 0)
        };
        let turn = *self.waiting.iter().find(idle)?.0;
        let job = self.waiting.remove(&turn)?;
        self.leaves(job.network);
        self.networks.entry(job.network).or_default().1 += 1;
        Some(job)
    }

    fn forget_gone_first(&mut self) {
        while self.waiting.first_key_value().is_some_and(|(_, job)| job.done.is_closed()) {
            if let Some((_, job)) = self.waiting.pop_first() {
                self.leaves(job.network);
            }
        }
    }

    fn forget_gone(&mut self) {
        let gone = self.waiting.iter().filter(|(_, job)| job.done.is_closed());
        let gone: Vec<(Turn, u64)> = gone.map(|(turn, job)| (*turn, job.network)).collect();
        for (turn, network) in gone {
            self.waiting.remove(&turn);
            self.leaves(network);
        }
    }

    /// One of a network waits no more.
    fn leaves(&mut self, network: u64) {
        self.change(network, |(waiting, _)| *waiting = waiting.saturating_sub(1));
    }

    fn ends(&mut self, network: u64) {
        self.change(network, |(_, running)| *running = running.saturating_sub(1));
    }

    fn change(&mut self, network: u64, change: impl FnOnce(&mut (u32, u32))) {
        let Some(counts) = self.networks.get_mut(&network) else { return };
        change(counts);
        if *counts == (0, 0) {
            self.networks.remove(&network);
        }
    }
}

/// A thread's life: the server's.
fn work((queue, came): &(Mutex<Queue>, Condvar)) {
    let locked = || queue.lock().unwrap_or_else(PoisonError::into_inner);
    let mut waiting = locked();
    loop {
        let Some(job) = waiting.next() else {
            waiting = came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(waiting);
        // Nobody may wait for it any more: then it costs nothing.
        if !job.done.is_closed() {
            // Whatever a hash function trips over is a wrong password, and the thread lives on.
            let right = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job.work)).unwrap_or(false);
            let _ = job.done.send(right);
        }
        waiting = locked();
        waiting.ends(job.network);
        // What waited for this network may be taken now, by this thread or another.
        came.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// One thread, held up by a job until it is let go; what is added meanwhile is noted as it is done.
    struct Held {
        hashing: Hashing,
        release: mpsc::Sender<()>,
        order: Arc<Mutex<Vec<String>>>,
        said: Vec<oneshot::Receiver<bool>>,
    }

    impl Held {
        fn new() -> Held {
            let hashing = Hashing::new(1);
            let (release, released) = mpsc::channel::<()>();
            let (begun, begins) = mpsc::channel::<()>();
            let (done, said) = oneshot::channel();
            let work = move || {
                let _ = begun.send(());
                released.recv().is_ok()
            };
            let job = Job { network: 0, work: Box::new(work), done };
            hashing.add(Rank::failed(0), job, "held".to_owned()).expect("room");
            begins.recv().expect("begins");
            Held { hashing, release, order: Arc::default(), said: vec![said] }
        }

        fn add(&mut self, network: u64, rank: Rank, name: &str) -> Result<(), Busy> {
            let (done, said) = oneshot::channel();
            let (order, name) = (Arc::clone(&self.order), name.to_owned());
            let work = move || {
                order.lock().expect("lock").push(name);
                true
            };
            self.said.push(said);
            self.hashing.add(rank, Job { network, work: Box::new(work), done }, "note".to_owned())
        }

        fn order(self) -> Vec<String> {
            self.release.send(()).expect("held");
            for said in self.said {
                let _ = said.blocking_recv();
            }
            Arc::into_inner(self.order).map(|order| order.into_inner().expect("lock")).unwrap_or_default()
        }
    }

    #[test]
    fn who_comes_first() {
        let mut held = Held::new();
        for (network, rank, name) in [
            (1, Rank::failed(3), "a1"),
            (1, Rank::failed(3), "a2"),
            (2, Rank::failed(3), "b1"),
            (3, Rank::failed(0), "stranger"),
            (1, Rank::KNOWN, "known"),
            (2, Rank::failed(3), "b2"),
        ] {
            held.add(network, rank, name).expect("room");
        }
        assert_eq!(held.order(), ["known", "stranger", "a1", "b1", "a2", "b2"]);
    }

    /// Ten thousand guesses wait; whoever is known comes right behind the hash that is under way, a stranger soon.
    #[test]
    fn guesses_make_nobody_wait() {
        let mut held = Held::new();
        let mut refused = 0;
        for guess in 0..10_000 {
            refused += u32::from(held.add(10 + guess % 300, Rank::failed(9), "guess").is_err());
        }
        held.add(7, Rank::failed(0), "stranger").expect("takes a guess's room");
        held.add(8, Rank::KNOWN, "known").expect("takes a guess's room");
        assert_eq!(held.hashing.waiting(), WAITING_MAX);
        assert!(refused > 5000, "{refused}");
        assert_eq!(held.order().first_chunk(), Some(&["known".to_owned(), "stranger".to_owned()]));
    }

    #[test]
    fn who_is_gone_costs_nothing() {
        let mut held = Held::new();
        held.add(1, Rank::failed(0), "gone").expect("room");
        held.said.pop();
        held.add(2, Rank::failed(0), "there").expect("room");
        assert_eq!(held.order(), ["there"]);
    }

    /// With two threads, a network's second waits for its first, and another network's doesn't.
    #[test]
    fn a_network_has_one_under_way() {
        let mut queue = Queue::default();
        let mut job = |network: u64, came: u64| {
            let (done, said) = oneshot::channel();
            std::mem::forget(said);
            queue.networks.entry(network).or_default().0 += 1;
            queue.waiting.insert((Rank::failed(0), 0, came), Job { network, work: Box::new(|| true), done });
        };
        job(1, 0);
        job(1, 1);
        job(2, 2);
        let networks = |queue: &mut Queue| queue.next().map(|job| job.network);
        assert_eq!(
            (networks(&mut queue), networks(&mut queue), networks(&mut queue)),
            (Some(1), Some(2), None)
        );
        queue.ends(1);
        assert_eq!((networks(&mut queue), networks(&mut queue)), (Some(1), None));
        queue.ends(1);
        queue.ends(2);
        assert!(queue.networks.is_empty());
    }

    #[tokio::test]
    async fn a_hash_that_trips_is_a_wrong_password() {
        let hashing = Hashing::new(1);
        let who = (1, Rank::failed(0));
        let trip = || -> bool { std::panic::resume_unwind(Box::new("tripped")) };
        assert_eq!(hashing.judge(who, "x".to_owned(), trip).await, Ok(false));
        assert_eq!(hashing.judge(who, "x".to_owned(), || true).await, Ok(true));
        assert_eq!(hashing.counted().get("x"), Some(&2));
    }
}
