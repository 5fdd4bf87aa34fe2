//! A question that is being asked, for as many as wait for its answer.
//!
//! Small, as thousands may be under way for clients that wait: the question, and who waits or what came back. Where a
//! list turns out to have the client, why is asked at once and hangs on to the flight, so that its answer time counts
//! once more and not once for each list that was waited for (T1.4, T2.2).

use policy::{Answer, Question, RecordKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A question under way, or landed.
#[derive(Debug)]
pub struct Flight {
    question: Question,
    /// Whether a listed client's reason is wanted, too.
    with_why: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    UnderWay(Vec<Waker>),
    Landed { answer: Answer, next: Option<Arc<Flight>> },
}

impl Flight {
    /// Under way.
    #[must_use]
    pub fn new(question: Question) -> Arc<Flight> {
        let state = Mutex::new(State::UnderWay(Vec::new()));
        Arc::new(Flight { question, with_why: AtomicBool::new(false), state })
    }

    /// Landed.
    #[must_use]
    pub fn over(question: Question, answer: Answer) -> Arc<Flight> {
        let state = Mutex::new(State::Landed { answer, next: None });
        Arc::new(Flight { question, with_why: AtomicBool::new(false), state })
    }

    /// What is asked.
    #[must_use]
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// Somebody will want to know why.
    pub fn want_why(&self) {
        self.with_why.store(true, Ordering::Release);
    }

    /// The question that follows from `answer`, where somebody wants to know it.
    #[must_use]
    pub fn why(&self, answer: &Answer) -> Option<Question> {
        match (&self.question, answer) {
            (Question::Dns { name, kind: RecordKind::A }, Answer::Records(_))
                if self.with_why.load(Ordering::Acquire) =>
            {
                Some(Question::Dns { name: name.clone(), kind: RecordKind::Txt })
            }
            _ => None,
        }
    }

    /// The question that followed from the answer.
    #[must_use]
    pub fn next(&self) -> Option<Arc<Flight>> {
        match &*self.state() {
            State::Landed { next, .. } => next.clone(),
            State::UnderWay(_) => None,
        }
    }

    /// The answer is there; the first one counts.
    pub fn land(&self, answer: Answer, next: Option<Arc<Flight>>) {
        let mut state = self.state();
        if let State::UnderWay(waiting) = &mut *state {
            let waiting = std::mem::take(waiting);
            *state = State::Landed { answer, next };
            drop(state);
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// Whether it has landed, else whom to wake.
    pub fn poll_landed(&self, context: &Context<'_>) -> Poll<Answer> {
        match &mut *self.state() {
            State::Landed { answer, .. } => Poll::Ready(answer.clone()),
            State::UnderWay(waiting) => {
                if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                    waiting.push(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    /// Waits for the answer.
    pub async fn landed(&self) -> Answer {
        std::future::poll_fn(|context| self.poll_landed(context)).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> (Question, Answer) {
        let question = Question::Dns { name: "2.bl.example".to_owned(), kind: RecordKind::A };
        (question, Answer::Records(vec![policy::Record::A([127, 0, 0, 2].into())]))
    }

    #[tokio::test]
    async fn all_who_wait_hear_it() {
        let (question, answer) = listed();
        let flight = Flight::new(question);
        let all = (0..3).map(|_| {
            let flight = Arc::clone(&flight);
            tokio::spawn(async move { flight.landed().await })
        });
        let all: Vec<_> = all.collect();
        tokio::task::yield_now().await;
        flight.land(answer.clone(), None);
        flight.land(Answer::NoName, None);
        for waiting in all {
            assert_eq!(waiting.await.expect("ends"), answer);
        }
        assert_eq!(flight.landed().await, answer);
    }

    #[test]
    fn why_is_asked_where_it_is_wanted() {
        let (question, answer) = listed();
        let flight = Flight::new(question);
        assert_eq!(flight.why(&answer), None);
        flight.want_why();
        assert!(matches!(flight.why(&answer), Some(Question::Dns { kind: RecordKind::Txt, .. })));
        assert_eq!(flight.why(&Answer::NoName), None);
    }

    /// T2.2: what a client's question under way costs.
    #[test]
    fn a_flight_is_small() {
        assert!(size_of::<Flight>() <= 128, "{} bytes", size_of::<Flight>());
    }
}
