//! Who gets a seat, who is asked to go, and what the log says of it, with the clock as argument.

use super::*;
use crate::log::{Destination, Format};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::task::Context;

const PATIENCE: Duration = Duration::from_secs(10);

/// A house whose log can be read.
struct Stage {
    house: House,
    log: Log,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn new(limit: usize) -> Stage {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let log = Log::start(&Destination::File(path.clone()), Format::Postfix, "mx").expect("a log");
        Stage { house: House::new(limit, Vec::new(), log.clone()), log, path, _folder: folder }
    }

    /// A client is let in, or not.
    fn come(&self, client: IpAddr, second: u64) -> Option<Seat> {
        let seat = self.house.take(at(second))?;
        self.house.admit(&seat, client, PATIENCE, at(second)).then_some(seat)
    }

    fn lines(&self) -> Vec<String> {
        self.log.flush();
        let text = std::fs::read_to_string(&self.path).expect("a log");
        text.lines()
            .filter_map(|line| line.split_once("komainu: "))
            .map(|(_, text)| text.to_owned())
            .collect()
    }
}

fn at(second: u64) -> Mono {
    Mono(second * 1_000_000_000)
}

fn stranger(n: u32) -> IpAddr {
    Ipv4Addr::from(0xc633_6400 + n * 256).into()
}

const FRIEND: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// What the session is told now.
fn told(seat: &Seat) -> Option<Word> {
    let ear = seat.ear();
    let mut waiting = std::pin::pin!(ear.told());
    match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(word) => Some(word),
        Poll::Pending => None,
    }
}

#[test]
fn strangers_leave_a_tenth_to_those_who_deliver() {
    let stage = Stage::new(100);
    stage.house.remember(FRIEND, Conduct::Good, at(1));
    let mut seats: Vec<Seat> = (0..90).map(|n| stage.come(stranger(n), 1).expect("a seat")).collect();
    assert!(stage.come(stranger(90), 2).is_none(), "the house is full for strangers");
    seats.extend((0..10).map(|_| stage.come(FRIEND, 2).expect("a seat that is kept for it")));
    assert_eq!(stage.house.taken(), 100);
    // Full: the stranger who has kept us waiting longest makes room.
    seats.iter().enumerate().for_each(|(n, seat)| seat.waits(at(if n == 33 { 3 } else { 4 })));
    seats.get(20).expect("there").is_busy();
    let guest = stage.come(FRIEND, 10).expect("somebody else's seat");
    let leaving: Vec<usize> = (0..90).filter(|n| told(&seats[*n]) == Some(Word::Evicted)).collect();
    assert_eq!(leaving, [33]);
    assert!(seats.iter().skip(90).all(|seat| told(seat).is_none()), "no friend is asked to leave");
    // Heard once.
    assert_eq!(told(&seats[33]), None);
    drop((guest, seats));
    assert_eq!(stage.house.taken(), 0);
}

#[test]
fn who_has_delivered_keeps_the_seat() {
    let stage = Stage::new(10);
    stage.house.remember(FRIEND, Conduct::Good, at(1));
    let seats: Vec<Seat> = (0..9).map(|n| stage.come(stranger(n), 1).expect("a seat")).collect();
    seats.iter().for_each(|seat| {
        seat.waits(at(2));
        seat.has_delivered();
    });
    let _friend = stage.come(FRIEND, 60).expect("the seat that is kept");
    assert!(stage.come(FRIEND, 60).is_none(), "nobody may be asked to leave");
    assert!(seats.iter().all(|seat| told(seat).is_none()));
    // But a stranger who is kept waiting by us may, where none waits to be heard.
    drop(seats);
    let seats: Vec<Seat> =
        (0..8).map(|n| stage.come(stranger(n), 61 + u64::from(n)).expect("a seat")).collect();
    let _more = stage.come(FRIEND, 80).expect("a seat");
    let _guest = stage.come(FRIEND, 80).expect("somebody else's seat");
    let leaving: Vec<usize> = (0..8).filter(|n| told(&seats[*n]) == Some(Word::Evicted)).collect();
    assert_eq!(leaving, [0]);
}

#[test]
fn stress_comes_late_and_goes_later() {
    let stage = Stage::new(100);
    let mut seats: Vec<Seat> = (0..79).map(|n| stage.come(stranger(n), 1).expect("a seat")).collect();
    assert!(!stage.house.is_stressed());
    seats.push(stage.come(stranger(79), 1).expect("a seat"));
    assert!(stage.house.is_stressed());
    seats.truncate(60);
    assert!(stage.house.is_stressed(), "it doesn't flicker");
    seats.truncate(59);
    assert!(!stage.house.is_stressed());
    seats.extend((0..21).map(|n| stage.come(stranger(n), 1).expect("a seat")));
    drop(seats);
    assert_eq!(
        stage.lines(),
        [
            "overload: sessions; 80 of 100 seats are taken: stress=yes for new sessions; the last 10 seats are for \
             clients that have delivered well",
            "overload over: sessions; 59 of 100 seats are taken: stress is over",
            "overload: sessions; 80 of 100 seats are taken: stress=yes for new sessions; the last 10 seats are for \
             clients that have delivered well",
            "overload over: sessions; 59 of 100 seats are taken: stress is over",
        ]
    );
}

#[test]
fn stress_hurries_strangers_who_came_in_calm_times() {
    let stage = Stage::new(100);
    stage.house.remember(FRIEND, Conduct::Good, at(1));
    let friend = stage.come(FRIEND, 1).expect("a seat");
    let seats: Vec<Seat> = (0..78).map(|n| stage.come(stranger(n), 1).expect("a seat")).collect();
    friend.waits(at(2));
    seats.iter().for_each(|seat| seat.waits(at(2)));
    seats[0].is_busy();
    seats[1].has_delivered();
    seats[2].waits(at(30));
    // Calm: nobody is hurried.
    drop(stage.come(stranger(100), 39));
    let full: Vec<Seat> = (200..202).map(|n| stage.come(stranger(n), 40).expect("a seat")).collect();
    assert!(stage.house.is_stressed());
    // Moved on since it was told: that doesn't count any more.
    seats[3].waits(at(41));
    let hurried: Vec<usize> = (0..78).filter(|n| told(&seats[*n]) == Some(Word::Hurry)).collect();
    assert_eq!(hurried, (4..78).collect::<Vec<_>>());
    assert_eq!(told(&friend), None);
    drop(full);
}

#[test]
fn what_comes_often_is_said_once_a_minute() {
    let stage = Stage::new(10);
    let seats: Vec<Seat> = (0..9).map(|n| stage.come(stranger(n), 1).expect("a seat")).collect();
    for second in 100..170 {
        for n in 0..10 {
            assert!(stage.come(stranger(n), second).is_none());
        }
        stage.house.out_of_descriptors(&std::io::Error::other("no more"), at(second));
    }
    drop(seats);
    let lines: Vec<String> = stage.lines();
    let turned: Vec<&String> = lines.iter().filter(|line| line.contains("turned away")).collect();
    assert_eq!(
        turned,
        [
            "overload: sessions; 10 of 10 seats are taken: clients turned away since the last such line: 1",
            "overload: sessions; 10 of 10 seats are taken: clients turned away since the last such line: 600"
        ]
    );
    assert_eq!(lines.iter().filter(|line| line.starts_with("descriptors: exhausted; accept: ")).count(), 2);
}

#[test]
fn beyond_all_measure() {
    let stage = Stage::new(10);
    let seats: Vec<Seat> = (0..42).map(|_| stage.house.take(at(1)).expect("standing room")).collect();
    assert!(stage.house.take(at(1)).is_none());
    drop(seats);
    assert!(stage.house.take(at(1)).is_some());
}

#[test]
fn everybody_hears_of_the_end() {
    let stage = Stage::new(10);
    let before = stage.come(stranger(0), 1).expect("a seat");
    stage.house.close();
    let after = stage.house.take(at(1)).expect("a seat");
    for seat in [before, after] {
        assert_eq!(told(&seat), Some(Word::Closing));
        assert_eq!(told(&seat), None);
    }
}
