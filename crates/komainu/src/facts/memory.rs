//! What name servers said lately, kept for all sessions, and who is being asked at the moment.
//!
//! The clients of a flood come again and again, so the same questions do. An answer is kept as long as it says
//! itself, "there is none" for some seconds at least (also without an SOA record, RFC 2308 §5), a failure for two:
//! a name server that is silent is not asked by everybody at once. Whoever asks what is being asked already waits for
//! the same answer. Bounded: answers, questions under way, and the time that a question waits for its turn. A question
//! goes on when the session that asked it has ended: its client comes again.
//!
//! What isn't here: how a question is asked (`dns`). T1.4, T2.2.

use super::{AnswerFuture, Names};
use policy::{Answer, Question};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// Answers kept: some 8 MB when full.
const ANSWERS_MAX: usize = 32_768;
/// Parts of the memory, so that threads seldom wait for each other.
const SHARDS: usize = 16;
/// Questions under way and waiting for their turn; beyond, the answer is that there is none this time.
const FLIGHTS_MAX: usize = 16_384;
/// How long a question waits for its turn. Turns come late only where name servers are silent.
const TURN_MAX: Duration = Duration::from_secs(5);
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

    fn keep(&mut self, question: Question, kept: Kept) {
        if self.young.len() >= ANSWERS_MAX / SHARDS / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(question, kept);
    }
}

type Flight = watch::Receiver<Option<Answer>>;

struct Inner<S> {
    source: S,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    flights: Mutex<HashMap<Question, Flight>>,
    /// One for each question that is really asked.
    turns: Semaphore,
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
            flights: Mutex::default(),
            turns: Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS)),
        }))
    }

    fn recall(&self, question: &Question) -> Option<Answer> {
        let inner = &*self.0;
        inner.source.known(question).or_else(|| inner.shard(question).find(question, Instant::now()))
    }

    async fn learn(&self, question: &Question) -> Answer {
        if let Some(answer) = self.recall(question) {
            return answer;
        }
        let Some(mut flight) = self.flight(question) else {
            return Answer::Unavailable("too many questions to name servers".to_owned());
        };
        match flight.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone().unwrap_or_else(given_up),
            Err(_) => given_up(),
        }
    }

    /// The question as it is being asked, or is asked from now on; `None` where too many are.
    fn flight(&self, question: &Question) -> Option<Flight> {
        let mut flights = lock(&self.0.flights);
        let full = flights.len() >= FLIGHTS_MAX;
        match flights.entry(question.clone()) {
            Entry::Occupied(flight) => Some(flight.get().clone()),
            Entry::Vacant(_) if full => None,
            Entry::Vacant(place) => {
                let (tell, flight) = watch::channel(None);
                place.insert(flight.clone());
                tokio::spawn(Arc::clone(&self.0).ask(question.clone(), tell));
                Some(flight)
            }
        }
    }
}

impl<S: Source> Inner<S> {
    async fn ask(self: Arc<Inner<S>>, question: Question, tell: watch::Sender<Option<Answer>>) {
        let landing = Landing { inner: &self, question: &question };
        let (answer, holds) = match tokio::time::timeout(TURN_MAX, self.turns.acquire()).await {
            // In a box, so that those who wait for their turn don't have the room for it.
            Ok(_turn) => Box::pin(self.source.fetch(&question)).await,
            Err(_) => (given_up(), Duration::ZERO),
        };
        if !holds.is_zero() {
            let kept = Kept { answer: answer.clone(), until: Instant::now() + holds.min(KEPT_MAX) };
            self.shard(&question).keep(question.clone(), kept);
        }
        drop(landing);
        // Whoever asked may be gone.
        let _ = tell.send(Some(answer));
    }

    fn shard(&self, question: &Question) -> MutexGuard<'_, Shard> {
        let number = self.hasher.hash_one(question) % SHARDS as u64;
        let [first, ..] = &self.shards;
        lock(usize::try_from(number).ok().and_then(|number| self.shards.get(number)).unwrap_or(first))
    }
}

/// Takes a question out of those under way, also where asking it panics.
struct Landing<'a, S> {
    inner: &'a Inner<S>,
    question: &'a Question,
}

impl<S> Drop for Landing<'_, S> {
    fn drop(&mut self) {
        let mut flights = lock(&self.inner.flights);
        flights.remove(self.question);
        if flights.is_empty() && flights.capacity() > 1024 {
            flights.shrink_to(0);
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
        assert!(lock(&memory.0.flights).is_empty());
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
        assert!(lock(&memory.0.flights).is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_asked_for_stays() {
        let mut shard = Shard::default();
        let now = Instant::now();
        let kept = || Kept { answer: Answer::NoName, until: now + Duration::from_secs(9) };
        shard.keep(name("asked.example".to_owned()), kept());
        for n in 0..3 * ANSWERS_MAX / SHARDS {
            shard.keep(name(format!("{n}.example")), kept());
            assert!(shard.find(&name("asked.example".to_owned()), now).is_some(), "after {n}");
        }
        assert!(shard.young.len() + shard.old.len() <= ANSWERS_MAX / SHARDS);
        assert_eq!(shard.find(&name("0.example".to_owned()), now), None);
        assert_eq!(shard.find(&name("asked.example".to_owned()), now + Duration::from_secs(9)), None);
    }
}
