//! The house: how many clients there is room for, who sits where, and who is asked to go when it is full.
//!
//! Strangers find nine tenths of the seats, the rest is kept for clients that have delivered well
//! ([`policy::regulars`]); when those come and every seat is taken, the stranger who has kept us waiting longest
//! leaves. From four fifths on new sessions are under stress (`${stress?…}`, STRESS_README), until the house is
//! emptier than three fifths, and strangers who wait longer than `smtpd_timeout` under stress allows are sent
//! home, whatever they were promised when they came.
//!
//! It waits for nothing and knows no sockets; time is an argument. A session learns by its [`Seat`] that it is to
//! end. T2.2, T2.3.

use crate::log::Log;
use events::own::{Matter, Own};
use mail::Mono;
use policy::hidden::HiddenClients;
use policy::regulars::{Conduct, Regulars};
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Who speaks of the server as a whole.
const MASTER: &str = "postfix/master";
/// Connections beyond the seats: whoever was asked to go and hasn't gone yet, or hasn't said yet who it is.
const STANDING_ROOM: usize = 32;
/// Between two looks for strangers who wait too long.
const SWEEP: Duration = Duration::from_secs(1);
/// An event that may come with every client is told once in this time.
const TOLD: Duration = Duration::from_secs(60);

/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct House(Arc<Rooms>);

struct Rooms {
    limit: usize,
    taken: AtomicUsize,
    stressed: AtomicBool,
    closing: AtomicBool,
    floor: Mutex<Floor>,
    log: Log,
    /// The machine's own addresses.
    own: Vec<IpAddr>,
}

struct Floor {
    places: Vec<Option<Arc<Place>>>,
    free: Vec<usize>,
    regulars: Regulars,
    hidden: BTreeMap<String, HiddenClients>,
    swept: Mono,
    turned_away: u64,
    told_turned_away: Option<Mono>,
    told_descriptors: Option<Mono>,
}

/// What a session is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The server is stopping.
    Closing,
    /// Somebody else needs the seat.
    Evicted,
    /// Under stress, the client has been waited for long enough.
    Hurry,
}

const NOTHING: u8 = 0;
/// A word that the session has heard.
const HEARD: u8 = 0x80;

impl Word {
    const fn number(self) -> u8 {
        match self {
            Word::Closing => 1,
            Word::Evicted => 2,
            Word::Hurry => 3,
        }
    }

    const fn from_number(number: u8) -> Option<Word> {
        match number {
            1 => Some(Word::Closing),
            2 => Some(Word::Evicted),
            3 => Some(Word::Hurry),
            _ => None,
        }
    }
}

/// What the house knows of one session.
#[derive(Default)]
struct Place {
    word: AtomicU8,
    /// The second since when the client is waited for; 0 while it isn't.
    waits_since_s: AtomicU32,
    /// When it came, in seconds.
    came_s: u32,
    /// So long it may be waited for under stress; 0 is for ever.
    patience_s: AtomicU32,
    /// Is let in, and may be asked to leave.
    stranger: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Place {
    fn tell(&self, word: Word) {
        self.word.store(word.number(), Ordering::Release);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn undisturbed(&self) -> bool {
        self.word.load(Ordering::Acquire) == NOTHING
    }
}

/// A session's room in the house, until it is dropped.
pub struct Seat {
    house: House,
    place: Arc<Place>,
    number: usize,
}

impl House {
    /// A house with `limit` seats on a machine with these addresses.
    #[must_use]
    pub fn new(limit: usize, own: Vec<IpAddr>, log: Log) -> House {
        let floor = Floor {
            places: Vec::new(),
            free: Vec::new(),
            regulars: Regulars::new(RandomState::new().hash_one(limit)),
            hidden: BTreeMap::new(),
            swept: Mono(0),
            turned_away: 0,
            told_turned_away: None,
            told_descriptors: None,
        };
        House(Arc::new(Rooms {
            limit: limit.max(10),
            taken: AtomicUsize::new(0),
            stressed: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            floor: Mutex::new(floor),
            log,
            own: own.into_iter().map(|address| address.to_canonical()).collect(),
        }))
    }

    fn floor(&self) -> MutexGuard<'_, Floor> {
        self.0.floor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sessions, and connections on their way to one.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// Whether new sessions are under stress.
    #[must_use]
    pub fn is_stressed(&self) -> bool {
        self.0.stressed.load(Ordering::Relaxed)
    }

    /// Whether the server is stopping.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.0.closing.load(Ordering::Acquire)
    }

    /// The server is stopping: everybody hears of it.
    pub fn close(&self) {
        self.0.closing.store(true, Ordering::Release);
        self.floor().places.iter().flatten().for_each(|place| place.tell(Word::Closing));
    }

    /// Room for a connection, whoever it is; none beyond all measure.
    #[must_use]
    pub fn take(&self, now: Mono) -> Option<Seat> {
        let mut floor = self.floor();
        let taken = self.taken().saturating_add(1);
        if taken > self.0.limit.saturating_add(STANDING_ROOM) {
            self.turn_away(&mut floor, now);
            return None;
        }
        self.0.taken.store(taken, Ordering::Relaxed);
        let place = Arc::new(Place { came_s: seconds(now), ..Place::default() });
        let number = floor.free.pop().unwrap_or(floor.places.len());
        match floor.places.get_mut(number) {
            Some(free) => *free = Some(Arc::clone(&place)),
            None => floor.places.push(Some(Arc::clone(&place))),
        }
        self.measure(taken);
        let seat = Seat { house: self.clone(), place, number };
        if self.is_closing() {
            seat.place.tell(Word::Closing);
        }
        Some(seat)
    }

    /// Whether `client` may stay; if not, the seat is to be given back. `patience` is how long it may be waited for
    /// under stress.
    #[must_use]
    pub fn admit(&self, seat: &Seat, client: IpAddr, patience: Duration, now: Mono) -> bool {
        let (taken, limit) = (self.taken(), self.0.limit);
        let full = taken > strangers_max(limit);
        let mut floor = self.floor();
        if self.is_stressed() {
            floor.sweep(now);
        }
        let stranger = !floor.regulars.knows(client, now);
        if full && (stranger || (taken > limit && !floor.evict(now))) {
            self.turn_away(&mut floor, now);
            return false;
        }
        seat.settle(stranger, patience);
        true
    }

    /// One was turned away: said once a minute, with how many there were.
    fn turn_away(&self, floor: &mut Floor, now: Mono) {
        floor.turned_away = floor.turned_away.saturating_add(1);
        if is_due(floor.told_turned_away, now) {
            floor.told_turned_away = Some(now);
            let text = format!(
                "{} of {} seats are taken: clients turned away since the last such line: {}",
                self.taken(),
                self.0.limit,
                std::mem::take(&mut floor.turned_away)
            );
            self.0.log.write(MASTER, Own::new(Matter::Overload, "sessions", text));
        }
    }

    /// No connection could be taken for want of descriptors or memory: said once a minute.
    pub fn out_of_descriptors(&self, error: &std::io::Error, now: Mono) {
        let mut floor = self.floor();
        if is_due(floor.told_descriptors, now) {
            floor.told_descriptors = Some(now);
            let text = format!(
                "accept: {error}; {} sessions go on, new clients wait in the kernel: raise the limit of open files",
                self.taken()
            );
            drop(floor);
            self.0.log.write(MASTER, Own::new(Matter::Descriptors, "exhausted", text));
        }
    }

    /// Stress begins above four fifths and ends below three fifths.
    fn measure(&self, taken: usize) {
        let limit = self.0.limit;
        let stressed = self.is_stressed();
        let is_wanted = taken.saturating_mul(5) >= limit.saturating_mul(if stressed { 3 } else { 4 });
        if stressed == is_wanted || self.0.stressed.swap(is_wanted, Ordering::Relaxed) == is_wanted {
            return;
        }
        let event = if is_wanted {
            let text = format!(
                "{taken} of {limit} seats are taken: stress=yes for new sessions; the last {} seats are for clients \
                 that have delivered well",
                limit.saturating_sub(strangers_max(limit))
            );
            Own::new(Matter::Overload, "sessions", text)
        } else {
            Own::new(
                Matter::OverloadOver,
                "sessions",
                format!("{taken} of {limit} seats are taken: stress is over"),
            )
        };
        self.0.log.write(MASTER, event);
    }

    /// A session of `client` is over.
    pub fn remember(&self, client: IpAddr, conduct: Conduct, now: Mono) {
        self.floor().regulars.note(client, conduct, now);
    }

    /// The number of sessions when it is time to say that all clients of `listener` seem to be one (K0220).
    pub fn suspect(&self, listener: &str, client: IpAddr, now: Mono) -> Option<u32> {
        let mut floor = self.floor();
        match floor.hidden.get_mut(listener) {
            Some(hidden) => hidden.met(client, &self.0.own, now),
            None => floor.hidden.entry(listener.to_owned()).or_default().met(client, &self.0.own, now),
        }
    }
}

impl Floor {
    /// Asks the stranger who has kept us waiting longest to leave; where none waits, the one who came first. Nobody
    /// leaves within the second.
    fn evict(&self, now: Mono) -> bool {
        let waiting = |place: &Place| match place.waits_since_s.load(Ordering::Relaxed) {
            0 => (1, place.came_s),
            since_s => (0, since_s),
        };
        let strangers = self.places.iter().flatten();
        let strangers = strangers.filter(|p| p.stranger.load(Ordering::Relaxed) && p.undisturbed());
        let Some(place) = strangers.min_by_key(|place| waiting(place)) else { return false };
        if waiting(place).1 >= seconds(now) {
            return false;
        }
        place.tell(Word::Evicted);
        true
    }

    /// Hurries strangers who are waited for longer than they may under stress.
    fn sweep(&mut self, now: Mono) {
        if now.since(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        for place in self.places.iter().flatten() {
            let since_s = place.waits_since_s.load(Ordering::Relaxed);
            let patience_s = place.patience_s.load(Ordering::Relaxed);
            let waited_s = seconds(now).saturating_sub(since_s);
            if since_s > 0
                && patience_s > 0
                && waited_s > patience_s
                && place.stranger.load(Ordering::Relaxed)
                && place.undisturbed()
            {
                place.tell(Word::Hurry);
            }
        }
    }
}

impl Seat {
    fn settle(&self, stranger: bool, patience: Duration) {
        let patience_s = u32::try_from(patience.as_secs()).unwrap_or(u32::MAX);
        self.place.patience_s.store(patience_s, Ordering::Relaxed);
        self.place.stranger.store(stranger, Ordering::Relaxed);
    }

    /// It has delivered a message, so it is nobody's to send home.
    pub fn has_delivered(&self) {
        self.place.stranger.store(false, Ordering::Relaxed);
    }

    /// The client is waited for from now on. What was said about an earlier wait doesn't count any more.
    pub fn waits(&self, now: Mono) {
        let word = &self.place.word;
        let _ = word.compare_exchange(Word::Hurry.number(), NOTHING, Ordering::AcqRel, Ordering::Relaxed);
        self.place.waits_since_s.store(seconds(now), Ordering::Relaxed);
    }

    /// The client isn't waited for any more.
    pub fn is_busy(&self) {
        self.place.waits_since_s.store(0, Ordering::Relaxed);
    }

    /// What hears the words for this session.
    #[must_use]
    pub fn ear(&self) -> Ear {
        Ear(Arc::clone(&self.place))
    }
}

/// Hears what a session is told.
pub struct Ear(Arc<Place>);

impl Ear {
    /// Waits until the session is told something that it hasn't heard yet.
    pub async fn told(&self) -> Word {
        self.hear(|_| true).await
    }

    /// The same, but for hurry: for a session that keeps the client waiting, not the other way about.
    pub async fn dismissed(&self) -> Word {
        self.hear(|word| word != Word::Hurry).await
    }

    async fn hear(&self, counts: fn(Word) -> bool) -> Word {
        std::future::poll_fn(|cx| {
            let place = &*self.0;
            let mut waker = place.waker.lock().unwrap_or_else(PoisonError::into_inner);
            let number = place.word.load(Ordering::Acquire);
            if let Some(word) = Word::from_number(number).filter(|word| counts(*word)) {
                place.word.store(number | HEARD, Ordering::Release);
                return Poll::Ready(word);
            }
            match &mut *waker {
                Some(known) if known.will_wake(cx.waker()) => {}
                other => *other = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
        .await
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut floor = self.house.floor();
        if let Some(place) = floor.places.get_mut(self.number) {
            *place = None;
        }
        floor.free.push(self.number);
        if floor.free.len() == floor.places.len() {
            (floor.places, floor.free) = (Vec::new(), Vec::new());
        }
        let taken = self.house.taken().saturating_sub(1);
        self.house.0.taken.store(taken, Ordering::Relaxed);
        self.house.measure(taken);
    }
}

/// So many of `limit` seats are for anybody.
const fn strangers_max(limit: usize) -> usize {
    let kept = limit / 10;
    limit.saturating_sub(if kept == 0 { 1 } else { kept })
}

fn is_due(told: Option<Mono>, now: Mono) -> bool {
    told.is_none_or(|told| now.since(told) >= TOLD)
}

/// Never 0, which stands for no time.
fn seconds(now: Mono) -> u32 {
    u32::try_from(now.0 / 1_000_000_000).unwrap_or(u32::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests;
