//! Drives one client's way past the tests before its session (postscreen(8)), in the same process.
//!
//! Most who come are turned away here, so this is kept cheap: a client that is denied or known costs a look into
//! memory; no name is looked up and no session is made for it. DNS lists are asked together when the client
//! connects; their answers go along to the session's restriction lists. T2.2, T2.3.

mod cache;
mod says;

pub use cache::Cache;

use super::READ_BUFFER;
use super::arrival::Arrival;
use super::house::Word;
use super::line::Line;
use super::refused::Watch;
use crate::clock;
use crate::configuration::{CacheSettings, Screening};
use crate::facts::Answers;
use crate::facts::flight::Flight;
use crate::log::Log;
use mail::{Dsn, Reply};
use policy::screen::{Standing as Listed, Tally};
use policy::{Answer, Facts, Question};
use proto::screen::{self, Action, Input, Ranked, Record, Screen, Standing};
use says::{Voice, canonical};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use store::Disk;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// How long a client may take to accept what it is told here: it fits the socket's buffer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who is being tested, and what is remembered of those who were; one for the whole server.
#[derive(Default)]
pub struct Waiting {
    present: Mutex<HashMap<IpAddr, u32>>,
    clients: AtomicUsize,
    caches: Mutex<HashMap<String, Arc<Cache>>>,
}

impl Waiting {
    /// Opens the cache that a listener names; the same name is the same cache, also after a reload. Without a disk
    /// there is none.
    pub(crate) fn open(&self, screening: &Screening, disk: Option<&Arc<dyn Disk>>, log: &Log) {
        let (Some(settings), Some(disk)) = (&screening.cache, disk) else { return };
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let open =
            |settings: &CacheSettings| Cache::open(settings.clone(), disk, log.clone(), &screening.program);
        let cache = caches.entry(settings.name.clone()).or_insert_with(|| open(settings));
        // A second opening would be the same configuration's.
        let _ = screening.opened.set(Arc::clone(cache));
    }

    /// Waits until all caches are on the disk.
    pub(crate) fn flush(&self) {
        let caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let mut caches: Vec<_> = caches.iter().collect();
        caches.sort_by_key(|(name, _)| name.as_str());
        for (_, cache) in caches {
            cache.flush();
        }
    }

    /// A client begins to be tested; gives how many of that address are, with this one.
    fn enter(self: &Arc<Waiting>, client: IpAddr) -> (Guest, u32) {
        self.clients.fetch_add(1, Ordering::Relaxed);
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let count = present.entry(client).or_insert(0);
        *count = count.saturating_add(1);
        (Guest { waiting: Arc::clone(self), client }, *count)
    }
}

/// Is no longer counted when dropped.
struct Guest {
    waiting: Arc<Waiting>,
    client: IpAddr,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.waiting.clients.fetch_sub(1, Ordering::Relaxed);
        let mut present = self.waiting.present.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = present.get_mut(&self.client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                present.remove(&self.client);
            }
        }
    }
}

/// The DNS lists' answers as they come in.
#[derive(Default)]
struct Lookups {
    under_way: Vec<(usize, Arc<Flight>)>,
    /// When those that are still under way have no answer.
    until: Option<tokio::time::Instant>,
    asked: usize,
    tally: Tally,
    /// How long the shortest of the answers holds.
    holds_s: Option<u32>,
    known: Vec<(Question, Answer)>,
}

impl Lookups {
    /// The answers that have come.
    fn poll(&mut self, context: &Context<'_>) -> Poll<Vec<(usize, Question, Answer)>> {
        let mut answers = Vec::new();
        self.under_way.retain(|(zone, flight)| match flight.poll_landed(context) {
            Poll::Ready(answer) => {
                answers.push((*zone, flight.question().clone(), answer));
                false
            }
            Poll::Pending => true,
        });
        if answers.is_empty() { Poll::Pending } else { Poll::Ready(answers) }
    }

    /// What has no answer by now has none.
    fn give_up(&mut self) -> Vec<(usize, Question, Answer)> {
        let late = std::mem::take(&mut self.under_way).into_iter();
        late.map(|(zone, flight)| {
            (zone, flight.question().clone(), Answer::Unavailable("time-out".to_owned()))
        })
        .collect()
    }
}

/// How a wait ended.
enum Woken {
    Input,
    Broken,
    Deadline,
    Answers(Vec<(usize, Question, Answer)>),
    Told(Word),
}

/// One client and what it is tested by.
struct Door {
    screening: Arc<Screening>,
    answers: Arc<Answers>,
    log: Log,
    client: SocketAddr,
    facts: Facts,
    lookups: Lookups,
}

/// Tests a client; false where it is gone, or was sent away. What it has said and what was found out go into
/// `arrival`.
pub(super) async fn screen<S>(arrival: &mut Arrival<S>, screening: Arc<Screening>) -> bool
where
    S: Line,
{
    let (client, server) = (canonical(arrival.ends.from), canonical(arrival.ends.to));
    let mut door = Door {
        screening,
        answers: Arc::clone(&arrival.shared.answers),
        log: arrival.shared.log.clone(),
        client,
        facts: Facts::new(arrival.service.live.snapshot()),
        lookups: Lookups::default(),
    };
    door.voice().connect(server);
    let (_guest, count) = arrival.shared.waiting.enter(client.ip());
    let (mut out, now) = (Vec::new(), clock::now());
    let settings =
        if arrival.shared.house.is_stressed() { &door.screening.stressed } else { &door.screening.settings };
    let standing = door.look_up(server, count, arrival.shared.waiting.clients.load(Ordering::Relaxed));
    let mut screen = Screen::new(Arc::clone(settings), client, standing, now, &mut out);
    let early = std::mem::take(&mut arrival.early);
    if !early.is_empty() {
        screen.handle(now, Input::Bytes(&early), &mut out);
    }
    let mut watch = Watch::default();
    loop {
        if arrival.shared.house.is_closing() {
            screen.send_away(shutting_down(), clock::now(), &mut out);
        }
        if watch.is_shut_out(&arrival.shared, client.ip()) {
            screen.send_away(shut_out(), clock::now(), &mut out);
        }
        while let Some(action) = screen.poll() {
            match action {
                Action::AskLists => door.ask(&mut screen, &mut out),
                Action::Pass => {
                    arrival.early = screen.take_early();
                    arrival.judged = true;
                    arrival.known = std::mem::take(&mut door.lookups.known);
                    return say(&mut arrival.stream, &mut out).await;
                }
                Action::Close => {
                    say(&mut arrival.stream, &mut out).await;
                    let _ = arrival.stream.shutdown().await;
                    return false;
                }
                Action::Note(note) => door.voice().note(note),
                Action::Remember(record) => {
                    if let Some(cache) = door.screening.cache() {
                        cache.keep(client.ip(), record);
                    }
                }
            }
        }
        if !say(&mut arrival.stream, &mut out).await {
            screen.handle(clock::now(), Input::PeerClosed, &mut out);
            continue;
        }
        match door.wait(arrival, &mut screen, &mut out).await {
            Woken::Input | Woken::Told(Word::Closing) => {}
            Woken::Told(Word::Evicted) => screen.send_away(busy(), clock::now(), &mut out),
            Woken::Told(Word::Hurry) => screen.time_out(clock::now(), &mut out),
            Woken::Deadline => screen.expire(clock::now(), &mut out),
            Woken::Broken => screen.handle(clock::now(), Input::PeerClosed, &mut out),
            Woken::Answers(answers) => {
                for answer in answers {
                    door.hear(answer, &mut screen, &mut out);
                }
            }
        }
    }
}

impl Door {
    fn voice(&self) -> Voice<'_> {
        Voice { log: &self.log, screening: &self.screening, client: self.client }
    }

    /// What is known of the client before it says a word.
    fn look_up(&self, server: SocketAddr, count: u32, waiting: usize) -> screen::Arrival {
        let address = self.client.ip();
        let crowding = self.screening.connections_max > 0 && count > self.screening.connections_max;
        let access = self.screening.lists.access(address, &self.facts);
        if let Some(warning) = access.warning.filter(|_| !crowding) {
            self.voice().warn(warning);
        }
        let standing = match access.standing {
            _ if crowding => Standing::Crowding,
            Listed::Allowed => Standing::Allowed,
            Listed::Denied => Standing::Denied,
            Listed::Unknown => Standing::Unknown,
        };
        let record = match self.screening.cache() {
            Some(cache) if standing == Standing::Unknown => cache.find(address),
            _ => Record::default(),
        };
        let veto = standing == Standing::Unknown && self.screening.lists.vetoes(server.ip(), &self.facts);
        // Postfix counts the newcomer too.
        let full = self.screening.waiting_max.is_some_and(|limit| waiting >= limit);
        screen::Arrival { standing, record, veto, full }
    }

    /// Asks all lists at once. One that is known to be out of order isn't waited for.
    fn ask(&mut self, screen: &mut Screen, out: &mut Vec<u8>) {
        let screening = Arc::clone(&self.screening);
        let mut skipped = Vec::new();
        for (zone, (domain, question)) in screening.lists.questions(self.client.ip()).enumerate() {
            self.lookups.asked += 1;
            if !self.answers.health.is_healthy(domain) {
                skipped.push((zone, question));
                continue;
            }
            let flight = Arc::clone(&self.answers.names).begin(question);
            self.lookups.under_way.push((zone, flight));
        }
        self.lookups.until = tokio::time::Instant::now().checked_add(screening.lookup_timeout);
        for (zone, question) in skipped {
            self.hear((zone, question, Answer::NoName), screen, out);
        }
    }

    /// Counts an answer.
    fn hear(
        &mut self,
        (zone, question, answer): (usize, Question, Answer),
        screen: &mut Screen,
        out: &mut Vec<u8>,
    ) {
        let lists = &self.screening.lists;
        let listed = lists.count(&mut self.lookups.tally, zone, &answer);
        let domain = lists.domain(zone);
        self.voice().listed(domain, &listed);
        self.voice().unanswered(&question, &answer);
        if let Some(holds) = self.answers.names.holds(&question) {
            let holds_s = u32::try_from(holds.as_secs()).unwrap_or(u32::MAX);
            self.lookups.holds_s = Some(self.lookups.holds_s.map_or(holds_s, |other| other.min(holds_s)));
        }
        let ranked = Ranked {
            holds_s: self.lookups.holds_s,
            rank: self.lookups.tally.rank,
            domain: lists.public_name(&self.lookups.tally, &self.facts),
            complete: self.lookups.tally.answered >= self.lookups.asked,
        };
        if !matches!(answer, Answer::Unavailable(_)) {
            self.lookups.known.push((question, answer));
        }
        screen.handle(clock::now(), Input::Ranked(ranked), out);
    }

    async fn wait<S: AsyncRead + Unpin>(
        &mut self,
        arrival: &mut Arrival<S>,
        screen: &mut Screen,
        out: &mut Vec<u8>,
    ) -> Woken {
        if screen.is_talking() {
            arrival.seat.waits(clock::now().mono);
        }
        let deadline = screen.deadline().map(clock::instant);
        let wants_input = screen.wants_input();
        let stream = &mut arrival.stream;
        let reading = std::future::poll_fn(|cx| {
            if !wants_input {
                return Poll::Pending;
            }
            READ_BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                        screen.handle(clock::now(), Input::Bytes(buffer.filled()), out);
                        Poll::Ready(Woken::Input)
                    }
                    Poll::Ready(_) => Poll::Ready(Woken::Broken),
                }
            })
        });
        let ear = arrival.seat.ear();
        let lookups = &mut self.lookups;
        let patience = lookups.until.filter(|_| !lookups.under_way.is_empty());
        let earliest = deadline.into_iter().chain(patience).min();
        let answered = std::future::poll_fn(|cx| lookups.poll(cx));
        let woken = tokio::select! {
            biased;
            woken = reading => woken,
            answers = answered => Woken::Answers(answers),
            () = super::sleep_until(earliest) => Woken::Deadline,
            word = ear.told() => Woken::Told(word),
        };
        arrival.seat.is_busy();
        match woken {
            Woken::Deadline if patience == earliest => Woken::Answers(self.lookups.give_up()),
            woken => woken,
        }
    }
}

/// RFC 5321 §3.8.
fn shutting_down() -> Reply {
    Reply::new(421, Dsn::new(4, 3, 2), "Service shutting down and closing transmission channel")
}

/// A ban has fallen meanwhile.
fn shut_out() -> Reply {
    Reply::new(421, Dsn::new(4, 7, 0), "Too many failures, your network is shut out for now")
}

/// Somebody else needs the seat.
fn busy() -> Reply {
    Reply::new(421, Dsn::new(4, 3, 2), "All server ports are busy")
}

/// Writes what there is; false where the client takes nothing more.
async fn say<S: AsyncWrite + Unpin>(stream: &mut S, out: &mut Vec<u8>) -> bool {
    if out.is_empty() {
        return true;
    }
    let written = tokio::time::timeout(PATIENCE, stream.write_all(out)).await;
    *out = Vec::new();
    matches!(written, Ok(Ok(())))
}
