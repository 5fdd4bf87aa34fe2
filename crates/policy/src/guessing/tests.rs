//! Who waits, who doesn't, and how much is kept.

use super::*;
use proptest::prelude::*;
use std::hash::{BuildHasher, RandomState};

const SECOND: Duration = Duration::from_secs(1);

fn hash() -> Hash {
    let state = RandomState::new();
    Hash::new(move |bytes| state.hash_one(bytes))
}

fn guessing() -> Guessing {
    Guessing::new(hash(), Duration::from_secs(32))
}

fn at(seconds: u64) -> Mono {
    Mono(1) + Duration::from_secs(seconds)
}

fn client(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn wait(guessing: &Guessing, from: &str, account: &str, now: Mono) -> Option<u64> {
    match guessing.leave(&guessing.attempt(client(from), Some(account), None), now) {
        Leave::After(wait) => Some(wait.as_secs()),
        Leave::No => None,
    }
}

/// T0.1: each failure beyond a few doubles the wait of the whole network; time heals it; at the hard limit it ends.
#[test]
fn a_prefix_waits_longer_each_time() {
    let mut guessing = guessing();
    let mut waits = Vec::new();
    for n in 0..12 {
        waits.push(wait(&guessing, "192.0.2.7", "joe", at(0)).unwrap());
        let from = client(if n % 2 == 0 { "192.0.2.7" } else { "192.0.2.200" });
        guessing.failed(&guessing.attempt(from, Some("joe"), Some(b"x")), at(0));
    }
    assert_eq!(waits, [0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32]);
    assert_eq!(wait(&guessing, "192.0.3.7", "ann", at(0)), Some(0), "a neighbour's network");
    assert_eq!(wait(&guessing, "192.0.2.9", "ann", at(0)), Some(32), "another account");
    assert_eq!(wait(&guessing, "192.0.2.9", "ann", at(6 * 60)), Some(1));
    assert_eq!(wait(&guessing, "192.0.2.9", "ann", at(7 * 60)), Some(0));
    for n in 0..30 {
        let noticed = guessing.failed(&guessing.attempt(client("192.0.2.7"), None, None), at(0));
        assert_eq!(noticed, (n == 17).then_some(Noticed::ShutOut), "{n}");
    }
    assert_eq!(wait(&guessing, "192.0.2.9", "ann", at(0)), None);
    assert_eq!(wait(&guessing, "192.0.2.9", "ann", at(3600)), Some(0));
    let mut six = |from: &str| guessing.failed(&guessing.attempt(client(from), None, None), at(0));
    for _ in 0..7 {
        six("2001:db8:0:ff::1");
    }
    assert_eq!(wait(&guessing, "2001:db8:0:1::2", "ann", at(0)), Some(2), "a /56");
    assert_eq!(wait(&guessing, "2001:db8:0:100::2", "ann", at(0)), Some(0));
}

/// An attack on an account from everywhere slows strangers, not the place from which its owner logs in.
#[test]
fn the_owner_isn_t_slowed() {
    let mut guessing = guessing();
    guessing.succeeded(&guessing.attempt(client("203.0.113.5"), Some("Joe"), None), at(0));
    let mut besieged = 0;
    for n in 0..100_u8 {
        let from = IpAddr::from([10, 0, n, 1]);
        let noticed = guessing.failed(&guessing.attempt(from, Some("joe"), Some(&[n])), at(0));
        besieged += u32::from(noticed == Some(Noticed::Besieged));
    }
    assert_eq!(besieged, 1, "it is said once");
    assert_eq!(wait(&guessing, "198.51.100.1", "joe", at(0)), Some(32));
    assert_eq!(wait(&guessing, "203.0.113.77", "JOE", at(0)), Some(0));
    // Nor by a guesser in the same network; other accounts are.
    for _ in 0..40 {
        guessing.failed(&guessing.attempt(client("203.0.113.6"), Some("ann"), None), at(0));
    }
    assert_eq!(wait(&guessing, "203.0.113.5", "joe", at(0)), Some(0));
    assert_eq!(wait(&guessing, "203.0.113.5", "ann", at(0)), None);
    assert_eq!(wait(&guessing, "203.0.113.5", "joe", at(31 * 24 * 3600)), Some(0), "all is forgotten");
}

/// One password for many accounts shuts a network out after a few tries, also where each has its own address.
#[test]
fn a_sprayed_password() {
    let mut guessing = guessing();
    let mut try_ = |n: u8, from: &str| {
        let account = format!("user{n}");
        let attempt = guessing.attempt(client(from), Some(&account), Some(b"Summer2026"));
        guessing.failed(&attempt, at(0))
    };
    let noticed: Vec<_> = (0..6).map(|n| try_(n, &format!("10.9.{n}.1"))).collect();
    assert_eq!(noticed, [None, None, None, None, Some(Noticed::Sprayed), None]);
    try_(7, "192.0.2.1");
    try_(8, "192.0.2.1");
    assert_eq!(wait(&guessing, "192.0.2.1", "ann", at(0)), Some(16), "each counted five");
    // The same password again for one account is somebody who mistypes.
    let mut guessing = self::guessing();
    for _ in 0..5 {
        guessing.failed(&guessing.attempt(client("192.0.2.1"), Some("joe"), Some(b"x")), at(0));
    }
    assert_eq!(wait(&guessing, "192.0.2.1", "joe", at(0)), Some(0));
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

#[test]
fn off() {
    let mut guessing = Guessing::new(hash(), Duration::ZERO);
    for n in 0..100 {
        assert!(guessing.begin(client("192.0.2.1"), at(n)));
        guessing.failed(&guessing.attempt(client("192.0.2.1"), Some("joe"), Some(b"x")), at(n));
    }
    assert_eq!(wait(&guessing, "192.0.2.1", "joe", at(100)), Some(0));
}

/// 200,000 guesses from as many networks, on as many accounts, with as many passwords.
#[test]
fn memory_is_bounded() {
    let mut guessing = guessing();
    guessing.succeeded(&guessing.attempt(client("203.0.113.5"), Some("joe"), None), at(0));
    for n in 0..200_000_u32 {
        let from = IpAddr::from(n.wrapping_mul(0x9e37_79b1).to_be_bytes());
        let bytes = n.to_be_bytes();
        guessing.failed(&guessing.attempt(from, Some(&n.to_string()), Some(&bytes)), Mono(u64::from(n)));
    }
    assert!(guessing.len() <= 3 * ENTRIES_MAX + 1, "{}", guessing.len());
    assert_eq!(wait(&guessing, "203.0.113.5", "joe", at(1)), Some(0));
    assert!(guessing.is_good(&guessing.attempt(client("203.0.113.5"), Some("joe"), None), Mono(0) + SECOND));
}

/// A restart forgets neither who is slowed nor who isn't; what would have leaked away meanwhile has.
#[test]
fn a_restart_changes_nothing() {
    let same =
        || Hash::new(|bytes| bytes.iter().fold(7, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(*byte)));
    let mut before = Guessing::new(same(), Duration::from_secs(32));
    before.succeeded(&before.attempt(client("203.0.113.5"), Some("joe"), None), at(0));
    for n in 0..40_u8 {
        before.failed(&before.attempt(client("192.0.2.7"), Some("joe"), Some(&[n])), at(100));
        before.failed(&before.attempt(client("203.0.113.9"), Some("ann"), Some(&[n])), at(100));
    }
    let bytes = before.remembered(at(100));
    assert_eq!(bytes.len(), 5 * 17);
    let after = |seconds: u64| {
        let mut after = Guessing::new(same(), Duration::from_secs(32));
        let now = at(5_000_000);
        after.recall(&bytes, Duration::from_secs(seconds), now);
        let wait = |from: &str, account: &str| wait(&after, from, account, now);
        (wait("192.0.2.7", "bob"), wait("198.51.100.1", "joe"), wait("203.0.113.5", "joe"))
    };
    assert_eq!(after(0), (None, Some(32), Some(0)));
    assert_eq!(after(20 * 60), (Some(32), Some(0), Some(0)));
    assert_eq!(after(40 * 60), (Some(0), Some(0), Some(0)));
    assert_eq!(after(31 * 24 * 3600), (Some(0), Some(0), Some(0)));
    assert!(before.changes() > 80);
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
}
