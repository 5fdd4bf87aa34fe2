//! Clients that have delivered well: whom a full house turns away last.
//!
//! A memory of fixed size, by address prefix (/24, or /64 of IPv6: large senders' pools, one customer's network):
//! each new prefix takes the place of the one that counts least in its row, so no flood of addresses makes it
//! grow, and delivering once doesn't push out those who deliver every day. It forgets at a restart: standing is
//! earned anew within hours, and a client without it is served all the same as long as there is room.
//! No clock, no randomness: time and seed are arguments. T2.2.

use mail::Mono;
use std::net::IpAddr;

/// Prefixes with a place.
pub const CAPACITY: usize = ROWS * WAYS;
const ROWS: usize = 16_384;
const WAYS: usize = 4;
/// Good sessions that count.
const SCORE_MAX: u8 = 16;
/// After so long without a good session a score is half of what it was.
const HALF_LIFE_S: u32 = 7 * 24 * 3600;

/// How a session went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// Mail was accepted, and nothing that the client said was refused.
    Good,
    /// Nothing that counts either way.
    Indifferent,
    /// All that it wanted was refused.
    Bad,
}

impl Conduct {
    /// Judges by the messages that were accepted and the commands that were refused.
    #[must_use]
    pub const fn of(accepted: u32, refused: u32) -> Conduct {
        match (accepted, refused) {
            (1.., 0) => Conduct::Good,
            (0, 1..) => Conduct::Bad,
            _ => Conduct::Indifferent,
        }
    }
}

/// Who has delivered well.
pub struct Regulars {
    rows: Vec<[Entry; WAYS]>,
    seed: u64,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    prefix: u64,
    last_s: u32,
    score: u8,
}

impl Entry {
    /// The score as it stands now; 0 where there is none.
    fn standing(&self, now_s: u32) -> u8 {
        let halves = now_s.saturating_sub(self.last_s) / HALF_LIFE_S;
        self.score.checked_shr(halves).unwrap_or(0)
    }
}

impl Regulars {
    /// Nobody yet. `seed` keeps outsiders from choosing addresses that fall into one row.
    #[must_use]
    pub fn new(seed: u64) -> Regulars {
        Regulars { rows: vec![[Entry::default(); WAYS]; ROWS], seed }
    }

    /// Whether `client` has delivered well, and not too long ago.
    #[must_use]
    pub fn knows(&self, client: IpAddr, now: Mono) -> bool {
        let prefix = prefix(client);
        let row = self.rows.get(self.row(prefix));
        row.is_some_and(|row| {
            row.iter().any(|entry| entry.prefix == prefix && entry.standing(seconds(now)) > 0)
        })
    }

    /// A session of `client` has ended.
    pub fn note(&mut self, client: IpAddr, conduct: Conduct, now: Mono) {
        let (prefix, now_s) = (prefix(client), seconds(now));
        let at = self.row(prefix);
        let Some(row) = self.rows.get_mut(at) else { return };
        let known = row.iter_mut().find(|entry| entry.prefix == prefix && entry.score > 0);
        match (conduct, known) {
            (Conduct::Good, Some(entry)) => {
                let score = entry.standing(now_s).saturating_add(1).min(SCORE_MAX);
                *entry = Entry { prefix, last_s: now_s, score };
            }
            (Conduct::Good, None) => {
                let least = row.iter_mut().min_by_key(|entry| (entry.standing(now_s), entry.last_s));
                if let Some(entry) = least {
                    *entry = Entry { prefix, last_s: now_s, score: 1 };
                }
            }
            (Conduct::Bad, Some(entry)) => {
                *entry = Entry { prefix, last_s: now_s, score: entry.standing(now_s) / 2 };
            }
            _ => {}
        }
    }

    fn row(&self, prefix: u64) -> usize {
        // splitmix64: each bit of the prefix moves every bit of the row.
        let mut z = (prefix ^ self.seed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % ROWS as u64).unwrap_or(0)
    }
}

/// A /24 as a number below 2³², or the upper half of an IPv6 address: no global one is that small.
fn prefix(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(v4) => u64::from(u32::from(v4) & 0xffff_ff00),
        IpAddr::V6(v6) => u64::try_from(u128::from(v6) >> 64).unwrap_or(0),
    }
}

fn seconds(now: Mono) -> u32 {
    u32::try_from(now.0 / 1_000_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const DAY_S: u64 = 24 * 3600;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn conduct() {
        for (accepted, refused, expect) in [
            (0, 0, Conduct::Indifferent),
            (1, 0, Conduct::Good),
            (3, 0, Conduct::Good),
            (1, 1, Conduct::Indifferent),
            (0, 1, Conduct::Bad),
        ] {
            assert_eq!(Conduct::of(accepted, refused), expect, "{accepted} {refused}");
        }
    }

    /// Sessions of 192.0.2.1 (G, I, B), and whether a client is known `days` after.
    #[track_caller]
    fn check(sessions: &str, client: &str, days: u64, expect: bool) {
        let mut regulars = Regulars::new(7);
        for session in sessions.chars() {
            let conduct = match session {
                'G' => Conduct::Good,
                'B' => Conduct::Bad,
                _ => Conduct::Indifferent,
            };
            regulars.note(address("192.0.2.1"), conduct, at(0));
        }
        assert_eq!(regulars.knows(address(client), at(days * DAY_S)), expect, "{sessions} {client} {days}");
    }

    #[test]
    fn standing_is_earned_lost_and_forgotten() {
        check("", "192.0.2.1", 0, false);
        check("I", "192.0.2.1", 0, false);
        check("B", "192.0.2.1", 0, false);
        check("G", "192.0.2.1", 0, true);
        check("G", "192.0.2.200", 0, true);
        check("G", "192.0.3.1", 0, false);
        check("G", "::ffff:192.0.2.1", 0, true);
        check("GI", "192.0.2.1", 0, true);
        check("GB", "192.0.2.1", 0, false);
        check("GGGGB", "192.0.2.1", 0, true);
        check("GGGGBBB", "192.0.2.1", 0, false);
        check("G", "192.0.2.1", 6, true);
        check("G", "192.0.2.1", 7, false);
        check("GG", "192.0.2.1", 13, true);
        check("GGGGGGGGGGGGGGGGGGGG", "192.0.2.1", 34, true);
        check("GGGGGGGGGGGGGGGGGGGG", "192.0.2.1", 36, false);
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let mut regulars = Regulars::new(7);
        regulars.note(address("2001:db8:1:2::1"), Conduct::Good, at(0));
        assert!(regulars.knows(address("2001:db8:1:2:ffff::9"), at(1)));
        assert!(!regulars.knows(address("2001:db8:1:3::1"), at(1)));
    }

    /// A flood of clients that deliver once each neither makes it grow nor drives out those who come often.
    #[test]
    fn a_flood_changes_little() {
        let mut regulars = Regulars::new(7);
        let friends: Vec<IpAddr> =
            (0..1000_u32).map(|n| IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n * 256))).collect();
        for _ in 0..3 {
            friends.iter().for_each(|friend| regulars.note(*friend, Conduct::Good, at(0)));
        }
        for n in 0..1_000_000_u128 {
            let stranger = IpAddr::V6(Ipv6Addr::from((0x2001_0db8_u128 << 96) + (n << 64)));
            regulars.note(stranger, Conduct::Good, at(1));
        }
        let known = friends.iter().filter(|friend| regulars.knows(**friend, at(2))).count();
        assert!(known > 990, "{known} of 1000");
        assert_eq!(regulars.rows.len() * WAYS, CAPACITY);
        assert_eq!(size_of::<Entry>() * CAPACITY, 1 << 20);
    }
}
