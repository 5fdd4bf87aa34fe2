//! What name servers said lately, kept for all sessions, and who is being asked at the moment.
//!
//! The clients of a flood come again and again, so the same questions do. An answer is kept as long as it says
//! itself, "there is none" for some seconds at least (also without an SOA record, RFC 2308 §5), a failure for two:
//! a name server that is silent is not asked by everybody at once. Whoever asks what is being asked already waits for
//! the same answer. Bounded: answers, questions under way, and the time that a question waits for its turn. A question
//! goes on when the session that asked it has ended: its client comes again.
//!
//! What isn't here: how a question is asked (`dns`). T1.4, T2.2.

use super::flight::Flight;
use super::zone_times::ZoneTimes;
use super::{AnswerFuture, Names};
use policy::{Answer, Question};
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Parts of the memory, so that threads seldom wait for each other.
const SHARDS: usize = 16;
/// Answers that one part keeps of each of its two generations: what a table of 1,024 places holds before it doubles.
/// With all parts full some 5 MB.
const GENERATION: usize = 896;
/// Questions under way and waiting for their turn; beyond, the answer is that there is none this time.
const FLIGHTS_MAX: usize = 16_384;
/// How long a question waits for its turn. Turns come late only where name servers are silent.
const TURN_MAX: Duration = Duration::from_secs(5);
/// Room that is kept when nobody waits any more.
const QUEUE_KEPT: usize = 1024;
/// How long nothing is kept beyond, whatever the answer says.
const KEPT_MAX: Duration = Duration::from_secs(86_400);

/// Somebody who can be asked, and says how long the answer holds.
pub(super) trait Source: Send + Sync + 'static {
    /// What is known without asking and need not be kept.
    fn known(&self, question: &Question) -> Option<Answer>;
    /// Asks.
    fn fetch(&self, question: &Question) -> impl Future<Output = (Answer, Duration)> + Send;
}

struct Kept {
    answer: Answer,
    until: Instant,
}

/// Two generations: when the young ones are too many they become the old ones, and what was old and not asked for
/// since is gone.
#[derive(Default)]
struct Shard {
    young: HashMap<Question, Kept>,
    old: HashMap<Question, Kept>,
}

impl Shard {
    fn find(&mut self, question: &Question, now: Instant) -> Option<Answer> {
        if let Some(kept) = self.young.get(question) {
            return (kept.until > now).then(|| kept.answer.clone());
        }
        let (question, kept) = self.old.remove_entry(question)?;
        if kept.until <= now {
            return None;
        }
        let answer = kept.answer.clone();
        self.keep(question, kept);
        Some(answer)
    }

    fn holds(&self, question: &Question, now: Instant) -> Option<Duration> {
        let kept = self.young.get(question).or_else(|| self.old.get(question))?;
        Some(kept.until.saturating_duration_since(now))
    }

    fn keep(&mut self, question: Question, kept: Kept) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(question, kept);
    }
}

/// Questions under way, and those that wait for their turn.
#[derive(Default)]
struct Desk {
    flights: HashMap<Question, Arc<Flight>>,
    queue: VecDeque<(Arc<Flight>, Instant)>,
    /// How many are really being asked.
    asking: usize,
    /// Whether somebody sends those home who have waited too long.
    is_watched: bool,
}

struct Inner<S> {
    source: S,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    desk: Mutex<Desk>,
    at_once: usize,
    zone_times: ZoneTimes,
}

/// A source whose answers are remembered. Cheap to clone.
pub(super) struct Remembering<S>(Arc<Inner<S>>);

impl<S: Source> Remembering<S> {
    /// Nothing is remembered yet; `at_once` questions are asked at the same time.
    pub(super) fn new(source: S, at_once: usize) -> Remembering<S> {
        Remembering(Arc::new(Inner {
            source,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
            desk: Mutex::default(),
            at_once: at_once.max(1),
            zone_times: ZoneTimes::default(),
        }))
    }

    fn recall(&self, question: &Question) -> Option<Answer> {
        let inner = &*self.0;
        inner.source.known(question).or_else(|| inner.shard(question).find(question, Instant::now()))
    }

    async fn learn(&self, question: &Question) -> Answer {
        match self.recall(question) {
            Some(answer) => answer,
            None => self.0.flight(question.clone()).landed().await,
        }
    }

    /// The question as it is being asked, or is asked from now on; or as it has been.
    pub(super) fn begin(&self, question: Question) -> Arc<Flight> {
        match self.recall(&question) {
            Some(answer) => Flight::over(question, answer),
            None => self.0.flight(question),
        }
    }
}

impl<S: Source> Inner<S> {
    /// The question as it is being asked, or is asked from now on.
    fn flight(self: &Arc<Self>, question: Question) -> Arc<Flight> {
        let mut desk = lock(&self.desk);
        if let Some(flight) = desk.flights.get(&question) {
            return Arc::clone(flight);
        }
        if desk.flights.len() >= FLIGHTS_MAX {
            let answer = Answer::Unavailable("too many questions to name servers".to_owned());
            return Flight::over(question, answer);
        }
        let flight = Flight::new(question.clone());
        desk.flights.insert(question, Arc::clone(&flight));
        desk.queue.push_back((Arc::clone(&flight), Instant::now()));
        if desk.asking < self.at_once {
            desk.asking = desk.asking.saturating_add(1);
            tokio::spawn(Arc::clone(self).ask_all());
        } else if !desk.is_watched {
            desk.is_watched = true;
            tokio::spawn(Arc::clone(self).watch());
        }
        flight
    }

    /// Asks one question after another until none waits.
    async fn ask_all(self: Arc<Self>) {
        let mut turn = Turn { inner: Arc::clone(&self), flight: None };
        while turn.next() {
            let Some(flight) = turn.flight.clone() else { break };
            let began = Instant::now();
            let (answer, holds) = self.source.fetch(flight.question()).await;
            self.zone_times.note(flight.question(), &answer, began.elapsed());
            if !holds.is_zero() {
                let kept = Kept { answer: answer.clone(), until: Instant::now() + holds.min(KEPT_MAX) };
                self.shard(flight.question()).keep(flight.question().clone(), kept);
            }
            let next = flight.why(&answer).map(|why| Remembering(Arc::clone(&self)).begin(why));
            turn.land(answer, next);
        }
    }

    /// Answers those who have waited for their turn for too long, as long as anybody waits.
    async fn watch(self: Arc<Self>) {
        loop {
            let until = {
                let mut desk = lock(&self.desk);
                let now = Instant::now();
                while let Some((flight, since)) = desk.queue.pop_front() {
                    if now.duration_since(since) < TURN_MAX {
                        desk.queue.push_front((flight, since));
                        break;
                    }
                    desk.take_off(flight.question());
                    flight.land(given_up(), None);
                }
                match desk.queue.front() {
                    Some((_, since)) => *since + TURN_MAX,
                    None => {
                        desk.is_watched = false;
                        desk.queue.shrink_to(QUEUE_KEPT);
                        return;
                    }
                }
            };
            tokio::time::sleep_until(until).await;
        }
    }

    fn shard(&self, question: &Question) -> MutexGuard<'_, Shard> {
        let number = self.hasher.hash_one(question) % SHARDS as u64;
        let [first, ..] = &self.shards;
        lock(usize::try_from(number).ok().and_then(|number| self.shards.get(number)).unwrap_or(first))
    }
}

impl Desk {
    fn take_off(&mut self, question: &Question) {
        self.flights.remove(question);
        if self.flights.is_empty() && self.flights.capacity() > QUEUE_KEPT {
            self.flights.shrink_to(0);
        }
    }
}

/// The right to ask; given back also where asking panics, and then the question has its answer all the same.
struct Turn<S: Source> {
    inner: Arc<Inner<S>>,
    flight: Option<Arc<Flight>>,
}

impl<S: Source> Turn<S> {
    /// Takes the question whose turn it is; false where there is none.
    fn next(&mut self) -> bool {
        self.flight = lock(&self.inner.desk).queue.pop_front().map(|(flight, _)| flight);
        self.flight.is_some()
    }

    fn land(&mut self, answer: Answer, next: Option<Arc<Flight>>) {
        if let Some(flight) = self.flight.take() {
            lock(&self.inner.desk).take_off(flight.question());
            flight.land(answer, next);
        }
    }
}

impl<S: Source> Drop for Turn<S> {
    fn drop(&mut self) {
        self.land(given_up(), None);
        let mut desk = lock(&self.inner.desk);
        desk.asking = desk.asking.saturating_sub(1);
        // Whoever came between the last look and now.
        if !desk.queue.is_empty() && tokio::runtime::Handle::try_current().is_ok() {
            desk.asking = desk.asking.saturating_add(1);
            tokio::spawn(Arc::clone(&self.inner).ask_all());
        }
    }
}

impl<S: Source> Names for Remembering<S> {
    fn ask<'a>(&'a self, question: &'a Question) -> AnswerFuture<'a> {
        Box::pin(self.learn(question))
    }

    fn known(&self, question: &Question) -> Option<Answer> {
        self.recall(question)
    }

    fn holds(&self, question: &Question) -> Option<Duration> {
        self.0.shard(question).holds(question, Instant::now())
    }

    fn zone_times(&self) -> Option<&ZoneTimes> {
        Some(&self.0.zone_times)
    }

    fn begin(self: Arc<Self>, question: Question) -> Arc<Flight> {
        Remembering::begin(&self, question)
    }
}

fn given_up() -> Answer {
    Answer::Unavailable("no turn to ask a name server in time".to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::RecordKind;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Answers after a second, and counts. The name says for how many seconds the answer holds.
    #[derive(Default)]
    struct Slow {
        asked: AtomicU32,
        under_way: AtomicU32,
        peak: AtomicU32,
    }

    impl Source for Arc<Slow> {
        fn known(&self, question: &Question) -> Option<Answer> {
            matches!(question, Question::HostName(_)).then_some(Answer::NoName)
        }
        async fn fetch(&self, question: &Question) -> (Answer, Duration) {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            self.peak.fetch_max(now, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            let Question::Dns { name, .. } = question else { return (Answer::NoName, Duration::ZERO) };
            let holds = name.split('.').next().and_then(|word| word.parse().ok()).unwrap_or(0);
            (Answer::NoRecords, Duration::from_secs(holds))
        }
    }

    fn name(name: String) -> Question {
        Question::Dns { name, kind: RecordKind::A }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_asked_for_once_while_it_holds() {
        let slow = Arc::new(Slow::default());
        let memory = Remembering::new(Arc::clone(&slow), 10);
        let asked = |expect: u32| assert_eq!(slow.asked.load(Ordering::Relaxed), expect);
        let question = name("5.example".to_owned());
        // Two at once are one question.
        let both = tokio::join!(memory.ask(&question), memory.ask(&question));
        assert_eq!(both, (Answer::NoRecords, Answer::NoRecords));
        asked(1);
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(memory.known(&question), Some(Answer::NoRecords));
        assert_eq!(memory.holds(&question), Some(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(memory.known(&question), None);
        memory.ask(&question).await;
        asked(2);
        // What doesn't hold isn't kept, and what is known isn't asked.
        let fleeting = name("0.example".to_owned());
        memory.ask(&fleeting).await;
        memory.ask(&fleeting).await;
        asked(4);
        assert_eq!(memory.ask(&Question::HostName([192, 0, 2, 1].into())).await, Answer::NoName);
        asked(4);
        assert!(lock(&memory.0.desk).flights.is_empty());
    }

    /// A session that ends doesn't take the answer with it.
    #[tokio::test(start_paused = true)]
    async fn who_asked_may_go() {
        let slow = Arc::new(Slow::default());
        let memory = Remembering::new(Arc::clone(&slow), 10);
        let question = name("60.example".to_owned());
        let gone = tokio::time::timeout(Duration::from_millis(10), memory.ask(&question)).await;
        assert!(gone.is_err());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(memory.known(&question), Some(Answer::NoRecords));
    }

    /// T2.2: silent name servers hold neither memory nor clients without end.
    #[tokio::test(start_paused = true)]
    async fn questions_under_way_are_bounded() {
        let slow = Arc::new(Slow::default());
        let memory = Arc::new(Remembering::new(Arc::clone(&slow), 10));
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..FLIGHTS_MAX + 100 {
            let memory = Arc::clone(&memory);
            tasks.spawn(async move { memory.ask(&name(format!("60.{n}.example"))).await });
        }
        let began = Instant::now();
        let answers = tasks.join_all().await;
        assert!(began.elapsed() <= TURN_MAX + Duration::from_secs(2), "{:?}", began.elapsed());
        let refused = answers.iter().filter(|answer| matches!(answer, Answer::Unavailable(_))).count();
        let found = answers.iter().filter(|answer| **answer == Answer::NoRecords).count();
        assert!((50..=60).contains(&found) && refused + found == answers.len(), "{found} {refused}");
        assert_eq!(slow.peak.load(Ordering::Relaxed), 10);
        assert!(lock(&memory.0.desk).flights.is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_asked_for_stays() {
        let mut shard = Shard::default();
        let now = Instant::now();
        let kept = || Kept { answer: Answer::NoName, until: now + Duration::from_secs(9) };
        shard.keep(name("asked.example".to_owned()), kept());
        for n in 0..6 * GENERATION {
            shard.keep(name(format!("{n}.example")), kept());
            assert!(shard.find(&name("asked.example".to_owned()), now).is_some(), "after {n}");
        }
        assert!(shard.young.len() + shard.old.len() <= 2 * GENERATION);
        assert_eq!(shard.find(&name("0.example".to_owned()), now), None);
        assert_eq!(shard.find(&name("asked.example".to_owned()), now + Duration::from_secs(9)), None);
    }
}
