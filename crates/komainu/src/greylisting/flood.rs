//! Floods of new triplets over simulated time: what is remembered stays within its bounds, who is known passes, and who
//! waits honestly passes when he comes back.

use super::table::{Limits, Table};
use mail::Wall;
use policy::greylist::{Greylist, LastHeader, Moment, Options, Reason, Request};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use store::simdisk::Dice;

/// Somebody's clients, each with a sender of its own.
struct Town {
    greylist: Greylist,
    table: Table,
    headers: LastHeader,
}

/// What came of a flood.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// Mails of known senders that didn't pass.
    refused_known: u32,
    /// Honest ones who came back, and those who had been forgotten.
    came_back: u32,
    forgotten: u32,
    bytes_max: usize,
}

/// Where a flood comes from.
#[derive(Clone, Copy, Debug)]
enum From {
    OneNetwork,
    Networks(u64),
}

impl Town {
    fn new(limits: Limits) -> Town {
        let options = Options { auto_whitelist: 0, ..Options::default() };
        let greylist = Greylist { options, ..Greylist::default() };
        let mut table = Table::bounded(limits);
        table.set_rules(&Arc::new(greylist.clone()));
        Town { greylist, table, headers: LastHeader::default() }
    }

    fn ask(&mut self, at: i64, client: u32, sender: &str) -> Reason {
        let client = IpAddr::V4(Ipv4Addr::from_bits(client));
        let request = Request {
            client_name: "unknown",
            client_address: "",
            client,
            sender,
            recipient: "box@example.com",
            instance: "",
            pool: None,
        };
        let moment = Moment { now: Wall::from_seconds(at), date: &String::new, host: "mx" };
        let reason = self.greylist.judge(&request, (&mut self.table, &mut self.headers), &moment).reason;
        self.table.take_changed();
        reason
    }

    /// `count` triplets at `a_second`, with honest clients that come back in between.
    fn flood(&mut self, (count, a_second, known): (u64, u64, u32), from: From) -> Outcome {
        const KNOWN: u32 = 0x0a00_0000;
        const HONEST: u32 = 0xc000_0000;
        let mut outcome = Outcome::default();
        let mut dice = Dice::new(7);
        for number in 0..known {
            let (client, sender) = (KNOWN + number * 256, format!("k{number}x@known.example"));
            self.ask(1_000, client, &sender);
            assert!(self.ask(1_400, client, &sender).passes());
        }
        let start = 100_000;
        let every = a_second * 8;
        // Patience of five and a half to twenty minutes.
        let patience = |number: u64| 330 + i64::try_from(number * 131 % 870).unwrap();
        let mut waiting = std::collections::BinaryHeap::new();
        for number in 0..count {
            let now = start + i64::try_from(number / a_second).unwrap();
            let client = match from {
                From::OneNetwork => 0x5000_0000 + u32::try_from(dice.below(250)).unwrap(),
                From::Networks(networks) => {
                    let network = u32::try_from(dice.below(networks)).unwrap();
                    0x5000_0000 + network * 256 + u32::try_from(dice.below(250)).unwrap()
                }
            };
            let sender = format!("u{number}x@d{}.example", dice.below(5_000));
            assert!(!self.ask(now, client, &sender).passes(), "{sender}");
            if number % every == 0 {
                let honest = number / every;
                let client = HONEST + u32::try_from(honest).unwrap() * 256;
                self.ask(now, client, &format!("h{honest}x@honest.example"));
                waiting.push(std::cmp::Reverse((now + patience(honest), honest)));
                let number = dice.below(u64::from(known.max(1)));
                let number = u32::try_from(number).unwrap();
                if known > 0 {
                    let again = self.ask(now, KNOWN + number * 256, &format!("k{number}x@known.example"));
                    outcome.refused_known += u32::from(!again.passes());
                }
                outcome.bytes_max = outcome.bytes_max.max(self.table.bytes());
            }
            while let Some(std::cmp::Reverse((at, honest))) =
                waiting.peek().copied().filter(|one| one.0.0 <= now)
            {
                waiting.pop();
                let client = HONEST + u32::try_from(honest).unwrap() * 256;
                let reason = self.ask(at, client, &format!("h{honest}x@honest.example"));
                outcome.came_back += 1;
                outcome.forgotten += u32::from(!reason.passes());
            }
        }
        outcome
    }
}

/// A hundredth of what holds by default, for a hundredth of the flood.
const SMALL: Limits = Limits { triplets: 320 << 10, clients: 40 << 10, notes: 160 << 10 };

#[test]
fn floods_push_out_nobody_who_is_known_or_waits_honestly() {
    for (from, notes) in
        [(From::OneNetwork, 0), (From::Networks(64), 0), (From::Networks(20_000), SMALL.notes)]
    {
        let limits = Limits { notes, ..SMALL };
        let mut town = Town::new(limits);
        let outcome = town.flood((30_000, 10, 500), from);
        println!("{from:?}: {outcome:?} of {limits:?}");
        assert_eq!(outcome.refused_known, 0, "{from:?}");
        assert!(outcome.bytes_max <= limits.triplets + limits.clients + limits.notes, "{outcome:?}");
        assert!(outcome.came_back > 200, "{outcome:?}");
        // From everywhere at once, notes are overwritten by chance.
        let borne = if matches!(from, From::Networks(20_000)) { outcome.came_back / 10 } else { 0 };
        assert!(outcome.forgotten <= borne, "{from:?}: {outcome:?}");
    }
}

/// A table that is full of those who have passed has room for those who wait.
#[test]
fn who_waits_has_a_quarter() {
    let limits = Limits { notes: 0, ..SMALL };
    let mut town = Town::new(limits);
    for number in 0..5_000 {
        let (client, sender) = (0x0a00_0000 + number * 256, format!("k{number}x@known.example"));
        town.ask(i64::from(number), client, &sender);
        assert!(town.ask(i64::from(number) + 300, client, &sender).passes());
    }
    assert!(town.table.bytes() <= limits.triplets && town.table.bytes() > limits.triplets / 2);
    for number in 0..200 {
        town.ask(10_000, 0xc000_0000 + number * 256, "new@x.example");
    }
    for number in 0..200 {
        let reason = town.ask(10_400, 0xc000_0000 + number * 256, "new@x.example");
        assert_eq!(reason, Reason::Found { delay: Some(400) }, "{number}");
    }
}

/// The whole of it; minutes long. `cargo test … --ignored --nocapture flood` prints the figures of docs/guide/greylist.md.
#[test]
#[ignore = "takes minutes"]
fn ten_million_triplets() {
    for from in [From::OneNetwork, From::Networks(50_000)] {
        let mut town = Town::new(Limits::default());
        let started = std::time::Instant::now();
        let outcome = town.flood((10_000_000, 1_000, 20_000), from);
        println!("{from:?}: {outcome:?} of {:?}, {:?}", Limits::default(), started.elapsed());
        assert_eq!(outcome.refused_known, 0);
    }
}

/// Bytes of memory for each of a million triplets that are all kept.
#[test]
#[ignore = "measures memory"]
fn a_million_triplets_in_memory() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024
    };
    let mut town = Town::new(Limits { triplets: 1 << 30, ..Limits::default() });
    let before = resident();
    let mut dice = Dice::new(3);
    for number in 0..1_000_000_u64 {
        let client = u32::try_from(dice.below(1 << 32)).unwrap();
        town.ask(1_000, client, &format!("some.sender{number}x@mail{}.example.org", dice.below(100_000)));
    }
    let (taken, counted) = (resident() - before, town.table.bytes());
    println!("a million triplets: {taken} bytes resident, {counted} counted");
    assert!(taken < counted * 11 / 10, "{taken} resident, {counted} counted");
}
