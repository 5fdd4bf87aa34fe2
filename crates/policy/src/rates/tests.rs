//! Windows as anvil has them, bounds, what is dropped first, what the counters promise.

use super::*;
use mail::Wall;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

fn mono(seconds: f64) -> Mono {
    Mono::default() + Duration::from_secs_f64(seconds)
}

fn now(seconds: f64) -> Now {
    Now { mono: mono(seconds), wall: Wall::from_seconds(1_700_000_000) + Duration::from_secs_f64(seconds) }
}

fn client(last: u8) -> Ident {
    Ident::new(0, Ipv4Addr::new(192, 0, 2, last).into(), Prefixes::default())
}

fn numbered(number: u64) -> Ident {
    Ident::new(0, Ipv6Addr::from(u128::from(number) << 8).into(), Prefixes::default())
}

/// Postfix 3.7.11 with `anvil_rate_time_unit = 4s`, seconds and rates as its log has them.
#[test]
fn a_window_is_as_long_as_anvils() {
    let mut table = Table::new(Duration::from_secs(4), 100);
    table.connect(&client(1), mono(9.1));
    let mut check = |at: f64, expect| {
        assert_eq!(table.count(Event::Message, &client(1), mono(at)), expect, "at {at}");
    };
    check(9.1, 1);
    for (step, expect) in (2..=10).enumerate() {
        check(9.6 + 0.5 * f64::from(u32::try_from(step).unwrap()), expect);
    }
    check(14.1, 1);
    check(14.6, 2);
    check(18.6, 3);
    check(19.1, 1);
}

/// All rates share the window; the client that comes back within the unit is still known, later it is new.
#[test]
fn who_comes_back_is_known_for_a_unit() {
    let check = |away: f64, expect| {
        let mut table = Table::new(Duration::from_secs(4), 100);
        table.connect(&client(1), mono(5.05));
        table.disconnect(&client(1), mono(5.07));
        assert_eq!(table.connect(&client(1), mono(5.07 + away)).rate, expect, "after {away}");
        assert_eq!(table.len(), 1);
    };
    check(3.0, 2);
    check(3.9, 2);
    check(4.2, 1);
    check(5.5, 1);
    // A connection of 3 s, 3 s away: the entry is there, its window is over.
    let mut table = Table::new(Duration::from_secs(4), 100);
    table.connect(&client(1), mono(5.0));
    table.disconnect(&client(1), mono(8.0));
    assert_eq!(table.connect(&client(1), mono(11.0)).rate, 1);
    table.disconnect(&client(1), mono(11.0));
    assert_eq!(table.connect(&client(1), mono(14.1)), Arrival { open: 1, rate: 2 });
}

#[test]
fn connections_at_once() {
    let rates = Rates::new(Duration::from_secs(60), 100);
    assert_eq!(rates.connect(&client(1), now(1.0)), Arrival { open: 1, rate: 1 });
    assert_eq!(rates.connect(&client(1), now(1.0)), Arrival { open: 2, rate: 2 });
    assert_eq!(rates.connect(&client(2), now(1.0)), Arrival { open: 1, rate: 1 });
    rates.disconnect(&client(1), mono(1.0));
    assert_eq!(rates.connect(&client(1), now(1.0)), Arrival { open: 2, rate: 3 });
    // Too many farewells never make it less than none, nor somebody else's.
    for _ in 0..5 {
        rates.disconnect(&client(1), mono(1.0));
        rates.disconnect(&client(77), mono(1.0));
    }
    assert_eq!((rates.open(&client(1)), rates.open(&client(2)), rates.len()), (0, 1, 2));
    assert_eq!(rates.rate(Event::Connection, &client(1), mono(2.0)), 3);
    assert_eq!(rates.count(Event::Auth, &client(77), now(2.0)), 0, "who isn't connected isn't counted");
}

#[test]
fn blocks_of_addresses_are_one_client() {
    let check = |a: &str, b: &str, v4, v6, same| {
        let ident = |text: &str| Ident::new(0, text.parse().unwrap(), Prefixes { ipv4: v4, ipv6: v6 });
        assert_eq!(ident(a) == ident(b), same, "{a} {b} /{v4} /{v6}");
    };
    check("192.0.2.1", "192.0.2.2", 32, 84, false);
    check("192.0.2.1", "192.0.2.2", 24, 84, true);
    check("192.0.2.1", "192.0.3.2", 24, 84, false);
    check("192.0.2.1", "203.0.113.9", 0, 84, true);
    check("2001:db8::1", "2001:db8::2", 32, 84, true);
    check("2001:db8::1", "2001:db8::2", 32, 128, false);
    check("2001:db8:0:0:0:0fff::1", "2001:db8::2", 32, 84, true);
    check("2001:db8:0:0:0:1000::1", "2001:db8::2", 32, 84, false);
    check("0.0.0.0", "::", 0, 0, false);
    // Out of range is all of it.
    check("192.0.2.1", "192.0.2.2", 99, 200, false);
    check("2001:db8::1", "2001:db8::2", 99, 200, false);
}

#[test]
fn clients_have_names() {
    let rates = Rates::default();
    let (smtp, other) = (rates.service("smtp"), rates.service("127.0.0.1:10025"));
    assert_eq!((rates.service("smtp"), rates.service("127.0.0.1:10025")), (smtp, other));
    let check = |service, address: &str, expect: &str| {
        let prefixes = Prefixes { ipv4: 32, ipv6: 84 };
        assert_eq!(rates.name(&Ident::new(service, address.parse().unwrap(), prefixes)), expect);
    };
    check(smtp, "192.0.2.1", "smtp:192.0.2.1");
    check(other, "192.0.2.1", "127.0.0.1:10025:192.0.2.1");
    check(smtp, "2001:db8::7", "smtp:2001:db8::/84");
}

/// Ten services that count the same client count it apart.
#[test]
fn services_count_apart() {
    let rates = Rates::default();
    for name in ["smtp", "submission", "127.0.0.1:10025"] {
        let ident = Ident::new(rates.service(name), [192, 0, 2, 1].into(), Prefixes::default());
        assert_eq!(rates.connect(&ident, now(1.0)).open, 1, "{name}");
    }
}

#[test]
fn limits() {
    let limits = Limits { connection_count: 2, connection_rate: 5, auth_rate: 1, ..Limits::default() };
    let check = |open, rate, expect: Option<(&'static str, u32)>| {
        let found = limits.arrival(Arrival { open, rate }).map(|excess| (excess.limit, excess.count));
        assert_eq!(found, expect);
    };
    check(2, 5, None);
    check(3, 9, Some(("Connection concurrency", 3)));
    check(1, 6, Some(("Connection rate", 6)));
    assert_eq!(limits.rate(Event::Message, 1_000_000), None);
    assert_eq!(limits.rate(Event::Auth, 2).map(|excess| excess.limit), Some("AUTH command rate"));
    assert!(limits.any() && !Limits::default().any());
}

#[test]
fn peaks_are_first_reached_and_taken_once() {
    let rates = Rates::new(Duration::from_secs(60), 100);
    rates.connect(&client(1), now(1.0));
    rates.connect(&client(2), now(2.0));
    rates.connect(&client(2), now(3.0));
    rates.count(Event::Message, &client(1), now(4.0));
    let peaks = rates.take_peaks();
    let connections = peaks.connections().unwrap();
    assert_eq!((connections.max, connections.ident, connections.at), (2, client(2), now(3.0).wall));
    assert_eq!(peaks.of(Event::Message).unwrap().max, 1);
    assert_eq!(peaks.of(Event::Auth), None);
    assert_eq!(peaks.clients(), Some((2, now(2.0).wall)));
    assert_eq!(rates.take_peaks(), Peaks::default());
}

/// T2.3: a full table forgets the ones that did least first, and of those the one away longest.
#[test]
fn who_hammers_is_remembered_longest() {
    let mut table = Table::new(Duration::from_secs(60), 4);
    let visit = |table: &mut Table, who: u8, times: u32| {
        for _ in 0..times {
            table.connect(&client(who), mono(1.0));
            table.disconnect(&client(who), mono(1.0));
        }
    };
    visit(&mut table, 1, 30);
    visit(&mut table, 2, 3);
    visit(&mut table, 3, 1);
    visit(&mut table, 4, 1);
    let known = |table: &Table, who| table.rate(Event::Connection, &client(who), mono(1.0)) > 0;
    let all = |table: &Table| (1..=6).filter(|&who| known(table, who)).collect::<Vec<u8>>();
    visit(&mut table, 5, 1);
    assert_eq!(all(&table), [1, 2, 4, 5]);
    visit(&mut table, 6, 1);
    assert_eq!(all(&table), [1, 2, 5, 6]);
    // A flood of strangers drives out strangers only.
    for number in 0..10_000 {
        table.connect(&numbered(number), mono(1.0));
        table.disconnect(&numbered(number), mono(1.0));
    }
    assert_eq!(all(&table), [1, 2]);
    assert_eq!(table.rate(Event::Connection, &client(1), mono(1.0)), 30);
    // Who is connected is never forgotten, whatever the limit.
    for number in 0..10 {
        table.connect(&numbered(number), mono(1.0));
    }
    assert!((0..10).all(|number| table.open(&numbered(number)) == 1));
}

/// T2.3: ten million addresses that come once each.
#[test]
fn addresses_that_never_repeat_cost_a_bounded_amount() {
    let rates = Rates::default();
    let (mut most, mut peak) = (0, 0);
    let times = if cfg!(debug_assertions) { 300_000 } else { 10_000_000_u64 };
    for number in 0..times {
        // 50,000 a second: the table is full long before a unit is over.
        let at = Now { mono: Mono(number * 20_000), wall: Wall::default() };
        let ident = numbered(number);
        rates.connect(&ident, at);
        rates.count(Event::Message, &ident, at);
        rates.disconnect(&ident, at.mono);
        if number % 4096 == 0 {
            (most, peak) = (most.max(rates.bytes()), peak.max(rates.len()));
        }
    }
    println!("{most} bytes, {peak} clients for {times} visits");
    assert!(most <= 16 << 20, "{most} bytes");
    assert!(peak <= CLIENTS_MAX, "{peak} clients");
    rates.age(Mono(times * 20_000) + Duration::from_secs(61));
    assert_eq!(rates.len(), 0, "all of them age out");
    assert!(rates.bytes() < 100_000, "{} bytes", rates.bytes());
}

#[derive(Clone, Debug)]
enum Act {
    Connect(u8),
    Disconnect(u8),
    Count(u8),
    Wait(u16),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..12_u8).prop_map(Act::Connect),
        (0..12_u8).prop_map(Act::Disconnect),
        (0..12_u8).prop_map(Act::Count),
        (0..3_000_u16).prop_map(Act::Wait),
    ]
}

proptest! {
    /// Connections at once are always those that are open; a rate is never more than what happened; the table is
    /// never larger than its limit, or the clients that are connected.
    #[test]
    fn counters_are_true(acts in proptest::collection::vec(act(), 0..400), max in 1..8_usize) {
        let mut table = Table::new(Duration::from_secs(3), max);
        let (mut open, mut done) = (BTreeMap::<u8, u32>::new(), BTreeMap::<u8, u32>::new());
        let mut at = Mono(0);
        for act in acts {
            match act {
                Act::Connect(who) => {
                    let arrival = table.connect(&client(who), at);
                    *open.entry(who).or_default() += 1;
                    *done.entry(who).or_default() += 1;
                    prop_assert_eq!(arrival.open, open[&who]);
                    prop_assert!(arrival.rate >= 1 && arrival.rate <= done[&who]);
                }
                Act::Disconnect(who) => {
                    // Only who is connected can go; the table is asked all the same.
                    table.disconnect(&client(who), at);
                    let left = open.entry(who).or_default();
                    *left = left.saturating_sub(1);
                }
                Act::Count(who) => {
                    let count = table.count(Event::Recipient, &client(who), at);
                    let connected = open.get(&who).is_some_and(|&open| open > 0);
                    prop_assert!(!connected || count >= 1);
                }
                Act::Wait(ms) => at = at + Duration::from_millis(ms.into()),
            }
            let connected = open.values().filter(|&&open| open > 0).count();
            prop_assert!(table.len() <= max.max(connected), "{} clients", table.len());
            for (who, &open) in &open {
                prop_assert_eq!(table.open(&client(*who)), open);
            }
        }
    }
}
