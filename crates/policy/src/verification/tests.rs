//! A cache whose time is moved by hand.

use super::*;
use proptest::prelude::*;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

fn limits() -> Limits {
    Limits {
        positive: Lifetime { expire: 31 * DAY, refresh: 7 * DAY },
        negative: Lifetime { expire: 3 * DAY, refresh: 3 * HOUR },
        keeps_negative: true,
        pending_max: 3,
    }
}

fn start() -> Wall {
    Wall::from_seconds(1_700_000_000)
}

fn said(found: Deliverability, text: &str) -> Verified {
    Verified { found, text: text.to_owned() }
}

fn good() -> Verified {
    said(Deliverability::Deliverable, "250 2.1.5 Ok")
}

fn bad() -> Verified {
    said(Deliverability::Undeliverable, "unknown user: \"x\"")
}

/// What is known after a probe whose answer was `told`, `later`.
fn after(told: &Verified, later: Duration) -> Asked {
    let mut memory = Memory::default();
    assert_eq!(memory.ask("a@x.test", &limits(), start()), Asked { known: None, probe: true });
    memory.tell("a@x.test", told.clone(), &limits(), start());
    memory.ask("a@x.test", &limits(), start() + later)
}

#[test]
fn what_was_found_counts_for_a_while() {
    let check = |told: &Verified, later: Duration, known: bool, probe: bool| {
        let expect = Asked { known: known.then(|| told.clone()), probe };
        assert_eq!(after(told, later), expect, "{later:?}");
    };
    check(&good(), Duration::ZERO, true, false);
    check(&good(), 7 * DAY - HOUR, true, false);
    check(&good(), 7 * DAY, true, true);
    check(&good(), 31 * DAY - HOUR, true, true);
    check(&good(), 31 * DAY, false, true);
    check(&bad(), 2 * HOUR, true, false);
    check(&bad(), 3 * HOUR, true, true);
    check(&bad(), 3 * DAY, false, true);
    check(&said(Deliverability::Deferred, "Connection refused"), 2 * HOUR, true, false);
}

#[test]
fn an_address_is_probed_once_at_a_time() {
    let mut memory = Memory::default();
    let ask = |memory: &mut Memory, at| memory.ask("a@x.test", &limits(), start() + at).probe;
    assert!(ask(&mut memory, Duration::ZERO));
    assert!(!ask(&mut memory, Duration::from_secs(999)));
    // It was lost.
    assert!(ask(&mut memory, Duration::from_secs(1_000)));
}

#[test]
fn probes_under_way_are_counted() {
    let mut memory = Memory::default();
    let probes: Vec<bool> =
        (0..5).map(|n| memory.ask(&format!("{n}@x.test"), &limits(), start()).probe).collect();
    assert_eq!(probes, [true, true, true, false, false]);
    memory.tell("0@x.test", bad(), &limits(), start());
    assert!(memory.ask("4@x.test", &limits(), start()).probe);
}

/// "address_verify_positive_refresh_time": optimistic caching.
#[test]
fn who_was_there_stays_until_that_expires() {
    let mut memory = Memory::default();
    memory.ask("a@x.test", &limits(), start());
    memory.tell("a@x.test", good(), &limits(), start());
    let later = start() + 8 * DAY;
    assert_eq!(memory.ask("a@x.test", &limits(), later), Asked { known: Some(good()), probe: true });
    assert_eq!(memory.tell("a@x.test", bad(), &limits(), later), None);
    let soon = later + Duration::from_secs(10);
    assert_eq!(memory.ask("a@x.test", &limits(), soon), Asked { known: Some(good()), probe: false });
    let last = start() + 31 * DAY;
    assert_eq!(memory.ask("a@x.test", &limits(), last), Asked { known: None, probe: true });
    memory.tell("a@x.test", bad(), &limits(), last);
    assert_eq!(memory.ask("a@x.test", &limits(), last).known, Some(bad()));
}

#[test]
fn failures_need_not_be_kept() {
    let limits = Limits { keeps_negative: false, ..limits() };
    let mut memory = Memory::default();
    assert!(memory.ask("a@x.test", &limits, start()).probe);
    assert_eq!(memory.tell("a@x.test", bad(), &limits, start()), None);
    assert_eq!(memory.ask("a@x.test", &limits, start()), Asked { known: None, probe: true });
}

#[test]
fn a_flood_drives_out_failures_first() {
    let mut memory = Memory { rows_max: 64, ..Memory::default() };
    let mut tell = |address: &str, told: Verified, at| {
        memory.ask(address, &limits(), start() + at);
        memory.tell(address, told, &limits(), start() + at);
    };
    tell("here@x.test", good(), Duration::ZERO);
    for n in 0_u32..10_000 {
        tell(&format!("{n}@x.test"), bad(), Duration::from_secs(u64::from(n)));
    }
    assert!(memory.len() <= 64);
    assert_eq!(memory.ask("here@x.test", &limits(), start()).known, Some(good()));
}

#[test]
fn a_cleanup_counts() {
    let mut memory = Memory::default();
    for (address, told) in [("a@x.test", good()), ("b@x.test", bad())] {
        memory.ask(address, &limits(), start());
        memory.tell(address, told, &limits(), start());
    }
    assert_eq!(memory.clean_up(&limits(), start() + DAY), (2, 0));
    assert_eq!(memory.clean_up(&limits(), start() + 4 * DAY), (1, 1));
    assert_eq!(memory.clean_up(&limits(), start() + 40 * DAY), (0, 1));
}

#[test]
fn rows_come_back_from_the_disk() {
    let row = |text: &str| Row { verified: said(Deliverability::Undeliverable, text), updated: start() };
    let check = |address: &str, text: &str, kept: &str| {
        let bytes = row(text).encode(address);
        assert_eq!(bytes.len(), ROW_BYTES);
        assert_eq!(Row::decode(&bytes), Some((address.to_owned(), row(kept))), "{address}");
    };
    check("a@x.test", "unknown user: \"a\"", "unknown user: \"a\"");
    check("ü@x.test", "", "");
    let long = "é".repeat(400);
    check("a@x.test", &long, &"é".repeat(245));
    assert_eq!(Row::decode(&[9; ROW_BYTES]), None);
    assert_eq!(Row::decode(b""), None);
}

/// As real Postfix's: `address_verify_sender_ttl = 3600s` gave `double-bounceJQYL` in this hour.
#[test]
fn senders_of_probes() {
    let sender = |address: &str, seconds| ProbeSender {
        address: Address::from_internal(address),
        period: Duration::from_secs(seconds),
    };
    let hour = Wall::from_seconds(498_715 * 3_600 + 100);
    let check = |address: &str, seconds, expect: &str| {
        assert_eq!(sender(address, seconds).at(hour).as_str(), expect);
    };
    check("double-bounce@x.test", 3_600, "double-bounceJQYL@x.test");
    check("double-bounce@x.test", 0, "double-bounce@x.test");
    check("", 3_600, "");
    let is = |seconds, recipient: &str, at: Wall| {
        sender("probe@x.test", seconds).is(&Address::from_internal(recipient), at)
    };
    assert!(is(0, "Probe@X.test", hour) && !is(0, "probeJQYL@x.test", hour));
    assert!(is(3_600, "probeJQYL@x.test", hour) && is(3_600, "probeJQYL@x.test", hour + HOUR));
    assert!(!is(3_600, "probeJQYL@x.test", hour + 2 * HOUR) && !is(3_600, "probe@x.test", hour));
    assert!(!sender("", 0).is(&Address::null(), hour));
}

proptest! {
    #[test]
    fn whatever_stands_on_the_disk(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz(&bytes);
    }

    #[test]
    fn a_row_survives_with_its_address(address in "[a-zé]{0,100}", text in ".{0,60}", at in any::<i64>()) {
        let row = Row { verified: said(Deliverability::Deferred, &text), updated: Wall(at) };
        fuzz(&row.encode(&address));
        prop_assert_eq!(Row::decode(&row.encode(&address)), Some((address, row)));
    }
}
