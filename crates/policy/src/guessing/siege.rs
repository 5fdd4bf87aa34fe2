//! A dictionary attack in simulated time: 100,000 guesses from 2,000 networks at 1,000 accounts, with 50 people who have
//! logged in before and five who come from somewhere new. Passwords are judged as Dovecot does it: one hash at a time,
//! and two seconds later for those that are wrong.

use super::tests::{at, hash};
use super::*;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

const GUESSERS: u32 = 2_000;
const KNOWN: u32 = 50;
const GUESSES: u32 = 100_000;
const ACCOUNTS: u32 = 1_000;
const HASH: Duration = Duration::from_millis(3);
const WRONG: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(32);
/// When newcomers come, in seconds: in the first wave, together, and later.
const NEWCOMERS: [u64; 5] = [1, 40, 40, 300, 900];
/// Postfix with Dovecot answers so many guesses a second, of as many as come.
const POSTFIX_ANSWERS: f64 = 14.8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Comes,
    Tires(Turn),
    Hears(bool),
    Look,
}

struct Siege {
    guessing: Guessing,
    now: Mono,
    events: BinaryHeap<Reverse<(Mono, u64, u32, Event)>>,
    count: u64,
    /// Who waits.
    waiting: HashMap<Turn, u32>,
    going: HashMap<u32, Going>,
    said: HashMap<u32, u32>,
    since: HashMap<u32, Mono>,
    busy_until: Mono,
    offered: u32,
    judged: u32,
    known: Vec<Duration>,
    newcomers: Vec<Duration>,
}

impl Siege {
    fn after(&mut self, delay: Duration, who: u32, event: Event) {
        self.count += 1;
        self.events.push(Reverse((self.now + delay, self.count, who, event)));
    }

    fn is_guesser(who: u32) -> bool {
        who < GUESSERS
    }

    fn attempt(&self, who: u32) -> Attempt {
        let [_, _, high, low] = who.to_be_bytes();
        let from = IpAddr::from([10, high, low, 1]);
        if Siege::is_guesser(who) {
            let said = self.said.get(&who).copied().unwrap_or(0);
            let account = format!("user{}", (who + said * 7) % ACCOUNTS);
            return self.guessing.attempt(from, Some(&account), Some(format!("{who} {said}").as_bytes()));
        }
        self.guessing.attempt(from, Some(&format!("user{}", who % ACCOUNTS)), Some(b"right"))
    }

    fn comes(&mut self, who: u32) {
        if Siege::is_guesser(who) {
            if self.offered == GUESSES {
                return;
            }
            self.offered += 1;
            *self.said.entry(who).or_default() += 1;
        } else {
            self.since.entry(who).or_insert(self.now);
        }
        let attempt = self.attempt(who);
        match self.guessing.arrive(&attempt, LONGEST, self.now) {
            Arrival::Goes(going) => self.judge(who, going),
            Arrival::No => self.after(Duration::from_millis(500), who, Event::Comes),
            Arrival::Waits { turn, at_most, gone } => {
                assert_eq!(gone, None);
                self.waiting.insert(turn, who);
                self.after(at_most, who, Event::Tires(turn));
            }
        }
    }

    fn judge(&mut self, who: u32, going: Going) {
        self.going.insert(who, going);
        self.busy_until = self.busy_until.max(self.now) + HASH;
        let wrong = Siege::is_guesser(who);
        let delay = self.busy_until.since(self.now) + if wrong { WRONG } else { Duration::ZERO };
        self.judged += u32::from(wrong);
        self.after(delay, who, Event::Hears(!wrong));
    }

    fn hears(&mut self, who: u32, right: bool) {
        let going = self.going.remove(&who).unwrap();
        let outcome = if right { Outcome::Succeeded } else { Outcome::Failed };
        self.guessing.settle(going, outcome, self.now);
        let Some(since) = self.since.remove(&who) else {
            return self.after(Duration::ZERO, who, Event::Comes);
        };
        let waited = self.now.since(since);
        if who < GUESSERS + KNOWN {
            self.known.push(waited);
            self.after(Duration::from_secs(2).saturating_sub(waited), who, Event::Comes);
        } else {
            self.newcomers.push(waited);
        }
    }

    fn run(&mut self) {
        while let Some(Reverse((now, _, who, event))) = self.events.pop() {
            self.now = now;
            match event {
                Event::Comes => self.comes(who),
                Event::Hears(right) => self.hears(who, right),
                Event::Tires(turn) => {
                    if self.waiting.remove(&turn).is_some() {
                        self.guessing.leave(turn);
                        let pause = if Siege::is_guesser(who) { 500 } else { 1000 };
                        self.after(Duration::from_millis(pause), who, Event::Comes);
                    }
                }
                Event::Look => {}
            }
            while let Some((turn, going)) = self.guessing.next(now) {
                let who = self.waiting.remove(&turn).unwrap();
                self.judge(who, going);
            }
            // Somebody looks whenever it is time.
            if event == Event::Look {
                let due = self.guessing.due(now).unwrap_or(now + Duration::from_millis(250));
                self.after(due.since(now), who, Event::Look);
            }
            if self.offered == GUESSES && self.newcomers.len() == NEWCOMERS.len() {
                return;
            }
        }
    }
}

/// T0.1: honest people wait for a hash or two, newcomers for seconds, and a hundredth of the guesses is judged of what
/// Postfix lets through, however many are tried.
#[test]
fn a_dictionary_attack_gets_a_hundredth() {
    let mut siege = Siege {
        guessing: Guessing::new(hash()),
        now: at(0),
        events: BinaryHeap::new(),
        count: 0,
        waiting: HashMap::new(),
        going: HashMap::new(),
        said: HashMap::new(),
        since: HashMap::new(),
        busy_until: at(0),
        offered: 0,
        judged: 0,
        known: Vec::new(),
        newcomers: Vec::new(),
    };
    for n in 0..KNOWN {
        let attempt = siege.attempt(GUESSERS + n);
        let going = siege.guessing.went(&attempt, siege.now);
        siege.guessing.settle(going, Outcome::Succeeded, siege.now);
        siege.after(Duration::from_millis(40) * n, GUESSERS + n, Event::Comes);
    }
    for n in 0..GUESSERS {
        siege.after(Duration::from_millis(u64::from(n)), n, Event::Comes);
    }
    for (n, seconds) in (0..).zip(NEWCOMERS) {
        siege.after(Duration::from_secs(seconds), GUESSERS + KNOWN + n, Event::Comes);
    }
    siege.after(Duration::ZERO, u32::MAX, Event::Look);
    siege.run();
    let seconds = siege.now.since(at(0)).as_secs_f64();
    siege.known.sort();
    let p99 = siege.known[siege.known.len() * 99 / 100];
    let told = format!(
        "{} of {} guesses judged in {seconds:.0} s; {} log-ins, p99 {p99:?}; newcomers {:?}",
        siege.judged,
        siege.offered,
        siege.known.len(),
        siege.newcomers
    );
    assert_eq!(siege.offered, GUESSES, "{told}");
    assert!(p99 < Duration::from_millis(50), "{told}");
    assert!(f64::from(siege.judged) * 100.0 <= POSTFIX_ANSWERS * seconds, "{told}");
    assert!(siege.newcomers[0] < Duration::from_secs(15), "{told}");
    assert!(siege.newcomers[1..].iter().all(|wait| *wait < Duration::from_secs(8)), "{told}");
    assert!(siege.guessing.len() < 30_000, "{}", siege.guessing.len());
}

/// What one of eighty connections, or a newcomer, is at.
#[derive(Clone, Copy)]
enum At {
    Rests(Mono),
    Waits(Turn, Mono),
    In(Duration),
}

/// Eighty connections, each time from another /56 of one provider's, a dozen log-ins a second: newcomers from elsewhere
/// come through within seconds.
#[test]
fn ever_new_networks_of_one_provider() {
    const CONNECTIONS: u32 = 80;
    let mut guessing = Guessing::new(hash());
    let begins = |n: u32| at(u64::from(if n < CONNECTIONS { 0 } else { 60 + (n - CONNECTIONS) * 37 }));
    let mut all: Vec<At> = (0..CONNECTIONS + 12).map(|n| At::Rests(begins(n))).collect();
    let (mut said, mut judged) = (0_u32, 0);
    for tenths in 0..6_000 {
        let now = at(0) + Duration::from_millis(100) * tenths;
        for (n, one) in (0..).zip(&mut all) {
            *one = match *one {
                At::Waits(turn, until) if until <= now => {
                    guessing.leave(turn);
                    At::Rests(now + Duration::from_millis(if n < CONNECTIONS { 100 } else { 1_000 }))
                }
                At::Rests(until) if until <= now => {
                    said += 1;
                    let [_, a, b, c] = said.to_be_bytes();
                    let groups = [0x2001, 0xdb8, u16::from_be_bytes([a, b]), u16::from(c) << 8, 0, 0, 0, 1];
                    let stranger = IpAddr::from([198, n.to_be_bytes()[3], 100, 7]);
                    let from = if n < CONNECTIONS { IpAddr::from(groups) } else { stranger };
                    let (account, password) = if n < CONNECTIONS {
                        (format!("user{}", said % 50), said.to_string())
                    } else {
                        (format!("newcomer{n}"), "right".to_owned())
                    };
                    let attempt = guessing.attempt(from, Some(&account), Some(password.as_bytes()));
                    match guessing.arrive(&attempt, LONGEST, now) {
                        Arrival::Waits { turn, at_most, .. } => At::Waits(turn, now + at_most),
                        other => panic!("{from} {other:?}"),
                    }
                }
                same => same,
            };
        }
        while let Some((turn, going)) = guessing.next(now) {
            let is_it = |one: &At| matches!(one, At::Waits(theirs, _) if *theirs == turn);
            let n = all.iter().position(is_it).unwrap();
            let who = u32::try_from(n).unwrap();
            let guesses = who < CONNECTIONS;
            judged += u32::from(guesses);
            guessing.settle(going, if guesses { Outcome::Failed } else { Outcome::Succeeded }, now);
            all[n] = if guesses { At::Rests(now + WRONG) } else { At::In(now.since(begins(who))) };
        }
    }
    let waits: Vec<_> =
        all[80..].iter().map(|one| if let At::In(after) = one { Some(*after) } else { None }).collect();
    let told = format!("{judged} of {said} judged, newcomers {waits:?}");
    assert!(said > 6_000 && judged < 200, "{told}");
    assert!(waits.iter().all(|wait| wait.is_some_and(|wait| wait < Duration::from_secs(15))), "{told}");
}
