//! The suspicion that a gateway hides all clients: every session seems to come from one private address.
//!
//! A container's port forwarding, or a proxy that doesn't say for whom it speaks, makes `permit_mynetworks` an
//! open relay and every ban, DNSBL and greylist blind. Nothing in a single session shows it; that no other client
//! ever comes does. The machine's own addresses don't count, in either direction. What it means for the relay,
//! and how it is said, is the program's (K0220). T2.3.

use mail::Mono;
use std::net::IpAddr;
use std::time::Duration;

/// So many sessions in which no other client came.
pub const SESSIONS: u32 = 20;
/// Another client within this time is reason enough to believe in addresses; and it is said once in this time.
pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// What one listener has seen of its clients' addresses.
#[derive(Debug, Default)]
pub struct HiddenClients {
    only: Option<IpAddr>,
    sessions: u32,
    other: Option<Mono>,
    said: Option<Mono>,
}

impl HiddenClients {
    /// A client's session has ended. The number of sessions in a row when it is time to say so.
    pub fn met(&mut self, client: IpAddr, own: &[IpAddr], now: Mono) -> Option<u32> {
        let client = client.to_canonical();
        if client.is_loopback() || own.contains(&client) {
            return None;
        }
        if self.only != Some(client) {
            if self.only.is_some() {
                self.other = Some(now);
            }
            (self.only, self.sessions) = (Some(client), 0);
        }
        self.sessions = self.sessions.saturating_add(1);
        let quiet = |since: Option<Mono>| since.is_none_or(|then| now.since(then) >= DAY);
        if !is_private(client) || self.sessions < SESSIONS || !quiet(self.other) || !quiet(self.said) {
            return None;
        }
        self.said = Some(now);
        Some(self.sessions)
    }
}

/// RFC 1918, RFC 6598, RFC 3927; RFC 4193, RFC 4291 §2.5.6.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let shared = matches!(v4.octets(), [100, 64..=127, _, _]);
            v4.is_private() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_S: u64 = 3600;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    /// Sessions as `address*times@hour`, and at which of them it is said.
    #[track_caller]
    fn check(sessions: &str, expect: &[u32]) {
        let own = ["10.0.0.1".parse().expect("an address")];
        let mut clients = HiddenClients::default();
        let (mut said, mut number) = (Vec::new(), 0);
        for word in sessions.split_whitespace() {
            let (address, rest) = word.split_once('*').expect("address*times@hour");
            let (times, hour) = rest.split_once('@').expect("times@hour");
            for _ in 0..times.parse::<u32>().expect("a number") {
                number += 1;
                let now = at(hour.parse::<u64>().expect("a number") * HOUR_S);
                if clients.met(address.parse().expect("an address"), &own, now).is_some() {
                    said.push(number);
                }
            }
        }
        assert_eq!(said, expect, "{sessions}");
    }

    #[test]
    fn one_private_address_and_no_other() {
        check("172.17.0.1*19@0", &[]);
        check("172.17.0.1*20@0", &[20]);
        check("fd00::1*20@0", &[20]);
        check("::ffff:192.168.0.1*10@0 192.168.0.1*10@0", &[20]);
        // Once a day.
        check("172.17.0.1*50@0 172.17.0.1*50@23 172.17.0.1*50@24 172.17.0.1*9@49", &[20, 101, 151]);
        // Public addresses, and the machine's own.
        check("198.51.100.7*50@0", &[]);
        check("127.0.0.1*50@0 10.0.0.1*50@0 ::1*50@0", &[]);
        check("172.17.0.1*10@0 127.0.0.1*50@0 172.17.0.1*10@0", &[70]);
        // Whoever comes besides shows that addresses are true: for a day.
        check("198.51.100.7*1@0 10.1.1.1*50@1", &[]);
        check("198.51.100.7*1@0 10.1.1.1*50@1 10.1.1.1*1@25", &[52]);
        check("10.1.1.1*19@0 10.1.1.2*1@0 10.1.1.1*19@0", &[]);
    }

    #[test]
    fn private_addresses() {
        for (address, expect) in [
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("172.32.0.1", false),
            ("192.168.1.1", true),
            ("169.254.1.1", true),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("8.8.8.8", false),
            ("fc00::1", true),
            ("fe80::1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_private(address.parse().expect("an address")), expect, "{address}");
        }
    }
}
