//! Who waits, who doesn't, and how much is kept.

use super::queue::WAITING_MAX;
use super::*;
use proptest::prelude::*;
use std::hash::{BuildHasher, RandomState};

const SECOND: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(32);

pub(super) fn hash() -> Hash {
    let state = RandomState::new();
    Hash::new(move |bytes| state.hash_one(bytes))
}

fn guessing() -> Guessing {
    Guessing::new(hash())
}

pub(super) fn at(seconds: u64) -> Mono {
    Mono(1) + Duration::from_secs(seconds)
}

fn client(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// After how many seconds somebody who comes alone may try; `None` where never.
fn wait(guessing: &mut Guessing, from: &str, account: &str, now: Mono) -> Option<u64> {
    wait_saying(guessing, (from, account, "right"), now)
}

fn wait_saying(
    guessing: &mut Guessing,
    (from, account, password): (&str, &str, &str),
    now: Mono,
) -> Option<u64> {
    let attempt = guessing.attempt(client(from), Some(account), Some(password.as_bytes()));
    let turn = match guessing.arrive(&attempt, LONGEST, now) {
        Arrival::No => return None,
        Arrival::Goes(_) => return Some(0),
        Arrival::Waits { turn, .. } => turn,
    };
    for seconds in 0..=100 {
        let then = now + SECOND * seconds;
        if let Some((next, going)) = guessing.next(then) {
            assert_eq!(next, turn, "nobody else waits");
            guessing.settle(going, Outcome::Unanswered, then);
            return Some(u64::from(seconds));
        }
    }
    panic!("{from} {account} waits for ever");
}

/// One attempt, whenever it may be made.
fn try_(
    guessing: &mut Guessing,
    (from, account, password): (&str, &str, &str),
    now: Mono,
) -> Option<Noticed> {
    let attempt = guessing.attempt(client(from), Some(account), Some(password.as_bytes()));
    let going = guessing.went(&attempt, now);
    guessing.settle(going, Outcome::Failed, now)
}

fn good(guessing: &mut Guessing, from: &str, account: &str, now: Mono) {
    let attempt = guessing.attempt(client(from), Some(account), None);
    let going = guessing.went(&attempt, now);
    assert_eq!(guessing.settle(going, Outcome::Succeeded, now), None);
}

/// T0.1: each failure beyond a few doubles the wait of the whole network; time heals it; at the hard limit it ends.
#[test]
fn a_prefix_waits_longer_each_time() {
    let mut guessing = guessing();
    let calm = |guessing: &mut Guessing| (guessing.firsts, guessing.others) = Default::default();
    let mut waits = Vec::new();
    for n in 0..12 {
        calm(&mut guessing);
        waits.push(wait(&mut guessing, "192.0.2.7", "joe", at(1000)).unwrap());
        let from = if n % 2 == 0 { "192.0.2.7" } else { "192.0.2.200" };
        try_(&mut guessing, (from, "joe", "x"), at(1000));
    }
    calm(&mut guessing);
    assert_eq!(waits, [0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32]);
    let mut check = |from: &str, account: &str, seconds: u64, expect| {
        assert_eq!(
            wait(&mut guessing, from, account, at(1000 + seconds)),
            expect,
            "{from} {account} {seconds}"
        );
    };
    check("192.0.3.7", "ann", 0, Some(0));
    check("192.0.2.9", "ann", 0, Some(32));
    check("192.0.2.9", "ann", 100, Some(0));
    let mut shut_out = Vec::new();
    for n in 0..30 {
        calm(&mut guessing);
        let attempt = guessing.attempt(client("192.0.2.7"), None, None);
        let going = guessing.went(&attempt, at(1100));
        if guessing.settle(going, Outcome::Failed, at(1100)) == Some(Noticed::ShutOut) {
            shut_out.push(n);
        }
    }
    // One of the twelve has leaked away.
    assert_eq!(shut_out, [18]);
    assert_eq!(wait(&mut guessing, "192.0.2.9", "ann", at(1100)), None);
    assert_eq!(wait(&mut guessing, "192.0.2.9", "ann", at(4800)), Some(0));
}

/// What one network of IPv6 is.
#[test]
fn a_56() {
    let mut guessing = guessing();
    for n in 0..7 {
        try_(&mut guessing, ("2001:db8:0:ff::1", "joe", &n.to_string()), at(0));
    }
    (guessing.firsts, guessing.others) = Default::default();
    assert_eq!(wait(&mut guessing, "2001:db8:0:1::2", "ann", at(0)), Some(2));
    assert_eq!(wait(&mut guessing, "2001:db8:0:100::2", "ann", at(10)), Some(0));
}

/// Attempts under way count as failures until they have gone well.
#[test]
fn many_at_once_find_the_same_pace() {
    let mut guessing = guessing();
    let mut went = Vec::new();
    for n in 0..40_u8 {
        let attempt = guessing.attempt(IpAddr::from([10, 0, n, 1]), Some("joe"), Some(&[n]));
        assert!(matches!(guessing.arrive(&attempt, LONGEST, at(5)), Arrival::Waits { .. }));
        while let Some((_, going)) = guessing.next(at(5)) {
            went.push(going);
        }
    }
    assert_eq!(went.len(), 7, "six are free, and the next has nobody to wait for");
    assert_eq!(guessing.due(at(5)), Some(at(6)));
    // One that was right makes room for two: its own place, and the next needn't wait for it.
    guessing.settle(went[0], Outcome::Succeeded, at(5));
    assert!(guessing.next(at(5)).is_some() && guessing.next(at(5)).is_none());
    // Where the server couldn't say, it was no failure.
    for going in went.drain(1..) {
        guessing.settle(going, Outcome::Unanswered, at(5));
    }
    assert_eq!(std::iter::from_fn(|| guessing.next(at(5))).count(), 6);
}

/// An attack on an account from everywhere slows strangers, not the place from which its owner logs in.
#[test]
fn the_owner_isn_t_slowed() {
    let mut guessing = guessing();
    good(&mut guessing, "203.0.113.5", "Joe", at(0));
    let mut besieged = 0;
    for n in 0..100_u8 {
        let from = format!("10.0.{n}.1");
        let noticed = try_(&mut guessing, (&from, "joe", &n.to_string()), at(0));
        besieged += u32::from(noticed == Some(Noticed::Besieged));
    }
    assert_eq!(besieged, 1, "it is said once");
    // A newcomer waits as long as its account and the server want.
    assert_eq!(wait(&mut guessing, "198.51.100.1", "joe", at(0)), Some(5));
    (guessing.firsts, guessing.others) = Default::default();
    assert_eq!(wait(&mut guessing, "198.51.100.1", "joe", at(100)), Some(0));
    assert_eq!(wait_saying(&mut guessing, ("198.51.100.1", "joe", "another"), at(100)), Some(32));
    assert_eq!(wait(&mut guessing, "203.0.113.77", "JOE", at(0)), Some(0));
    // Nor by a guesser in the same network; other accounts are.
    for n in 0..40 {
        try_(&mut guessing, ("203.0.113.6", "ann", &n.to_string()), at(0));
    }
    assert_eq!(wait(&mut guessing, "203.0.113.5", "joe", at(0)), Some(0));
    assert_eq!(wait(&mut guessing, "203.0.113.5", "ann", at(0)), None);
    assert!(
        guessing.is_good(&guessing.attempt(client("203.0.113.5"), Some("joe"), None), at(30 * 24 * 3600))
    );
    assert!(
        !guessing.is_good(&guessing.attempt(client("203.0.113.5"), Some("joe"), None), at(31 * 24 * 3600))
    );
}

/// Who guesses at an account from the network of its owner is a stranger after a while; its owner soon isn't again.
#[test]
fn a_guesser_at_home() {
    let mut guessing = guessing();
    good(&mut guessing, "203.0.113.5", "joe", at(0));
    let known = |guessing: &Guessing, now| {
        guessing.is_good(&guessing.attempt(client("203.0.113.200"), Some("joe"), None), now)
    };
    for n in 0..20 {
        assert!(known(&guessing, at(0)), "{n}");
        try_(&mut guessing, ("203.0.113.6", "joe", &n.to_string()), at(0));
    }
    assert!(!known(&guessing, at(0)) && known(&guessing, at(61)));
    good(&mut guessing, "203.0.113.5", "joe", at(0));
    assert!(known(&guessing, at(0)));
}

/// A neighbour's guesses shut out the network, and nobody at an address from which they log in; guesses from there do.
#[test]
fn a_guesser_next_door() {
    let mut guessing = guessing();
    good(&mut guessing, "203.0.113.5", "joe", at(0));
    for n in 0..60 {
        try_(&mut guessing, ("203.0.113.6", "joe", &n.to_string()), at(0));
    }
    assert_eq!(wait(&mut guessing, "203.0.113.6", "joe", at(0)), None);
    assert_eq!(wait(&mut guessing, "203.0.113.77", "joe", at(0)), None);
    assert_eq!(wait(&mut guessing, "203.0.113.5", "ann", at(0)), None);
    for n in 0..20 {
        assert_eq!(wait(&mut guessing, "203.0.113.5", "joe", at(0)), Some(0), "{n}");
        try_(&mut guessing, ("203.0.113.5", "joe", &n.to_string()), at(0));
    }
    assert_eq!(wait(&mut guessing, "203.0.113.5", "joe", at(0)), None);
    assert_eq!(wait(&mut guessing, "203.0.113.5", "joe", at(61)), Some(0));
}

/// One password for many accounts shuts a network out after a few tries, also where each has its own address.
#[test]
fn a_sprayed_password() {
    let mut guessing = guessing();
    let mut spray = |n: u8, from: &str| try_(&mut guessing, (from, &format!("user{n}"), "Summer2026"), at(0));
    let noticed: Vec<_> = (0..6).map(|n| spray(n, &format!("10.9.{n}.1"))).collect();
    assert_eq!(noticed, [None, None, None, None, Some(Noticed::Sprayed), None]);
    spray(7, "192.0.2.1");
    spray(8, "192.0.2.1");
    (guessing.firsts, guessing.others) = Default::default();
    assert_eq!(wait(&mut guessing, "192.0.2.1", "ann", at(0)), Some(16), "each counted five");
    // The same password again for one account is somebody who mistypes.
    let mut guessing = self::guessing();
    for _ in 0..5 {
        try_(&mut guessing, ("192.0.2.1", "joe", "x"), at(0));
    }
    assert_eq!(wait_saying(&mut guessing, ("192.0.2.1", "joe", "x"), at(0)), Some(0));
}

#[test]
fn few_at_once() {
    let mut guessing = guessing();
    let (one, other) = (client("192.0.2.1"), client("192.0.2.2"));
    assert_eq!((0..12).filter(|_| guessing.begin(one, at(0))).count(), 10);
    assert!(guessing.begin(other, at(0)));
    guessing.end(one, at(0));
    assert!(guessing.begin(one, at(0)) && !guessing.begin(one, at(0)));
    for _ in 0..20 {
        guessing.end(one, at(0));
        guessing.end(other, at(0));
    }
    assert!(guessing.is_empty());
}

/// Who is turned away untried may say the same again, for a while; what was tried and wrong is another guess.
#[test]
fn the_same_again() {
    let mut guessing = guessing();
    let attempt = guessing.attempt(client("192.0.2.1"), Some("joe"), Some(b"x"));
    let tries = |guessing: &mut Guessing| guessing.count_try(&attempt, at(0));
    assert_eq!((0..11).map(|_| tries(&mut guessing)).max(), Some(1));
    assert_eq!(tries(&mut guessing), 2);
    let going = guessing.goes(&attempt, true, at(0));
    guessing.settle(going, Outcome::Failed, at(0));
    assert_eq!((tries(&mut guessing), tries(&mut guessing)), (3, 3));
    let other = guessing.attempt(client("192.0.2.1"), Some("joe"), Some(b"y"));
    assert_eq!(guessing.count_try(&other, at(0)), 4);
    assert_eq!(guessing.count_try(&other, at(3 * 6 * 3600)), 1);
}

/// 72,000 guesses from as many networks, on as many accounts, with as many passwords; and as many who wait.
#[test]
fn memory_is_bounded() {
    let mut guessing = guessing();
    good(&mut guessing, "203.0.113.5", "joe", at(0));
    let (mut gone, mut now) = (0, Mono(1));
    for n in 0..72_000_u32 {
        let from = IpAddr::from(n.wrapping_mul(0x9e37_79b1).to_be_bytes());
        now = Mono(u64::from(n) + 2);
        let attempt = guessing.attempt(from, Some(&n.to_string()), Some(&n.to_be_bytes()));
        let going = guessing.went(&attempt, now);
        guessing.settle(going, Outcome::Failed, now);
        if let Arrival::Waits { gone: Some(_), .. } = guessing.arrive(&attempt, LONGEST, now) {
            gone += 1;
        }
    }
    assert_eq!((guessing.waiting(), gone), (WAITING_MAX, 72_000 - WAITING_MAX));
    assert!(guessing.len() <= 4 * ENTRIES_MAX + WIDES_MAX + WAITING_MAX + 3, "{}", guessing.len());
    assert!(guessing.remembered(now).len() < 4_600_000);
    assert!(guessing.is_good(&guessing.attempt(client("203.0.113.5"), Some("joe"), None), at(1)));
}

/// A restart forgets neither who is slowed nor who isn't; what would have leaked away meanwhile has.
#[test]
fn a_restart_changes_nothing() {
    let same =
        || Hash::new(|bytes| bytes.iter().fold(7, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(*byte)));
    let mut before = Guessing::new(same());
    good(&mut before, "203.0.113.5", "joe", at(0));
    for n in 0..40 {
        try_(&mut before, ("192.0.2.7", "joe", &n.to_string()), at(100));
        try_(&mut before, ("203.0.113.9", "ann", &n.to_string()), at(100));
    }
    let bytes = before.remembered(at(100));
    assert_eq!(
        bytes.len(),
        11 * 17,
        "two each of networks, accounts and tries, two paces, one good by network and by address, its network"
    );
    let after = |seconds: u64| {
        let now = at(5_000_000);
        let wait = |from: &str, account: &str| {
            let mut after = Guessing::new(same());
            after.recall(&bytes, Duration::from_secs(seconds), now);
            wait(&mut after, from, account, now)
        };
        (wait("192.0.2.7", "bob"), wait("198.51.100.1", "joe"), wait("203.0.113.5", "joe"))
    };
    assert_eq!(after(0), (None, Some(4), Some(0)));
    assert_eq!(after(20 * 60), (Some(60), Some(0), Some(0)));
    assert_eq!(after(40 * 60), (Some(60), Some(0), Some(0)));
    assert_eq!(after(100 * 60), (Some(0), Some(0), Some(0)));
    assert_eq!(after(31 * 24 * 3600), (Some(0), Some(0), Some(0)));
    assert!(before.changes() > 80);
    let mut known = Guessing::new(same());
    known.recall(&bytes, Duration::from_secs(60), at(5_000_000));
    assert!(known.is_home(client("203.0.113.77"), at(5_000_000)));
}

/// Where somebody has logged in, others are at home as well, for as long; who has only tried is not.
#[test]
fn where_somebody_is_at_home() {
    let mut guessing = guessing();
    good(&mut guessing, "203.0.113.5", "joe", at(0));
    try_(&mut guessing, ("192.0.2.7", "joe", "x"), at(1));
    let day = 24 * 3600;
    for (from, seconds, expect) in [
        ("203.0.113.5", 1, true),
        ("203.0.113.99", 29 * day, true),
        ("203.0.113.5", 31 * day, false),
        ("203.0.114.5", 1, false),
        ("192.0.2.7", 2, false),
    ] {
        assert_eq!(guessing.is_home(client(from), at(seconds)), expect, "{from} after {seconds} s");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_are_recalled_or_passed_over(bytes in prop::collection::vec(any::<u8>(), 0..400), ago in any::<u32>()) {
        let mut guessing = guessing();
        guessing.recall(&bytes, Duration::from_secs(u64::from(ago)), at(10));
        prop_assert!(guessing.len() <= bytes.len() / 17);
        prop_assert!(guessing.remembered(at(20)).len() <= bytes.len());
    }

    /// Whatever strangers do, no more of their guesses are judged in a minute than both paces let through, nobody is
    /// named twice, and nobody who has left.
    #[test]
    fn guesses_are_few(steps in prop::collection::vec((any::<u8>(), 0_u8..4, 0_u16..2000), 0..600)) {
        let mut guessing = guessing();
        let (mut now, mut waiting, mut went) = (at(100), Vec::new(), Vec::new());
        for (who, what, ms) in steps {
            now = now + Duration::from_millis(u64::from(ms));
            match what {
                0 | 1 => {
                    let from = IpAddr::from([10, 0, who / 2, 1]);
                    let said = [who, what];
                    let attempt = guessing.attempt(from, Some(&format!("user{}", who % 7)), Some(&said));
                    if let Arrival::Waits { turn, .. } = guessing.arrive(&attempt, LONGEST, now) {
                        waiting.push(turn);
                    }
                }
                2 => {
                    if let Some(turn) = waiting.pop() {
                        guessing.leave(turn);
                    }
                }
                _ => {}
            }
            while let Some((turn, going)) = guessing.next(now) {
                let place = waiting.iter().position(|one| *one == turn);
                prop_assert!(place.is_some());
                waiting.swap_remove(place.unwrap());
                went.push(now);
                guessing.settle(going, Outcome::Failed, now);
            }
            prop_assert_eq!(guessing.waiting(), waiting.len());
            prop_assert_eq!(guessing.due(now).is_some(), !waiting.is_empty());
        }
        for (n, from) in went.iter().enumerate() {
            let within = went[n..].iter().take_while(|then| then.since(*from) < Duration::from_secs(60)).count();
            prop_assert!(within <= 7 + 6 + 12 + 5 + 8, "{}", within);
        }
    }
}
