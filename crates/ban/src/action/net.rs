//! How wide a ban is: a network of IPv6 for an address, a wider one for who comes again.
//!
//! Whoever has one address of IPv6 has 2^64 of them. `komainu_ipv6_prefix = 64 56` in a jail says: the first ban is of the
//! /64, further ones of the /56; `128` bans single addresses, as fail2ban does. A network that holds somebody who is
//! never banned isn't taken: the widest that doesn't is.

use crate::filter::Id;
use crate::jails::Jail;
use config::diagnostic::Diagnostic;
use std::net::{IpAddr, Ipv6Addr};

/// A network.
pub type Net = (IpAddr, u8);

/// The lengths of networks, for the first ban, the second …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefixes(Vec<u8>);

impl Default for Prefixes {
    fn default() -> Prefixes {
        Prefixes(vec![64])
    }
}

impl Prefixes {
    /// Reads a jail's `komainu_ipv6_prefix`.
    ///
    /// # Errors
    /// What is wrong with it; /64 counts then.
    pub fn of(jail: &Jail) -> Result<Prefixes, Box<Diagnostic>> {
        let option = "komainu_ipv6_prefix";
        let Some(text) = jail.option(option).filter(|text| !text.trim().is_empty()) else {
            return Ok(Prefixes::default());
        };
        let words = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
        let lengths = words
            .map(|word| word.trim_start_matches('/').parse().ok().filter(|bits| (32..=128).contains(bits)));
        match lengths.collect::<Option<Vec<u8>>>() {
            Some(lengths) => Ok(Prefixes(lengths)),
            None => {
                let message = format!("`{option} = {text}` can't be read");
                let found = Diagnostic::error(666, jail.place(option), message);
                Err(Box::new(found.help("write lengths from 32 to 128, for the first ban, the second …: `64 56`; 64 counts meanwhile")))
            }
        }
    }

    /// What a ban of `id` takes, where it was banned `before` times and `spares` says which networks hold somebody who
    /// is never banned.
    #[must_use]
    pub fn widened(&self, id: &Id, before: u32, spares: &dyn Fn(Net) -> bool) -> Option<Net> {
        match id {
            Id::Net(IpAddr::V6(address), 128) if is_many(*address) => Some((IpAddr::V6(*address), 128)),
            Id::Net(IpAddr::V6(address), 128) => {
                let at = usize::try_from(before).unwrap_or(usize::MAX).min(self.0.len().saturating_sub(1));
                let first = self.0.get(at).copied().unwrap_or(128);
                let narrower = [first, 64, 96, 112].into_iter().filter(|bits| *bits >= first);
                let mut nets = narrower.map(|bits| (IpAddr::V6(masked(*address, bits)), bits));
                Some(nets.find(|net| !spares(*net)).unwrap_or((IpAddr::V6(*address), 128)))
            }
            Id::Net(address, length) => Some((*address, *length)),
            Id::Name(_) | Id::Other(_) => None,
        }
    }
}

/// Whether neighbours in the /64 are others': all of IPv4 behind a translator (RFC 6052, RFC 8215), a link's hosts.
fn is_many(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [0x64, 0xff9b, ..] | [0xfe80..=0xfebf, ..])
}

fn masked(address: Ipv6Addr, bits: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
    Ipv6Addr::from(u128::from(address) & mask)
}

/// Whether two networks have an address in common.
#[must_use]
pub fn overlap(one: Net, other: Net) -> bool {
    let bits = u32::from(one.1.min(other.1));
    match (one.0, other.0) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            bits == 0
                || u32::from(a).checked_shr(32_u32.saturating_sub(bits))
                    == u32::from(b).checked_shr(32_u32.saturating_sub(bits))
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            bits == 0
                || u128::from(a).checked_shr(128_u32.saturating_sub(bits))
                    == u128::from(b).checked_shr(128_u32.saturating_sub(bits))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_wide() {
        let check = |lengths: &[u8], id: &str, before: u32, never: Option<Net>, expect: &str| {
            let spares = |net: Net| never.is_some_and(|never| overlap(net, never));
            let id = Id::address(id.parse().unwrap());
            let (address, bits) = Prefixes(lengths.to_vec()).widened(&id, before, &spares).unwrap();
            assert_eq!(format!("{address}/{bits}"), expect);
        };
        let one: Net = ("2001:db8:1:1::7".parse().unwrap(), 128);
        check(&[64], "2001:db8:1:1::9", 9, None, "2001:db8:1:1::/64");
        check(&[64, 56, 48], "2001:db8:1:1::9", 1, None, "2001:db8:1::/56");
        check(&[64, 56, 48], "2001:db8:1:1::9", 9, None, "2001:db8:1::/48");
        check(&[128], "2001:db8:1:1::9", 0, None, "2001:db8:1:1::9/128");
        // Beside one that is never banned: as wide as may be.
        check(&[48], "2001:db8:1:2::9", 0, Some(one), "2001:db8:1:2::/64");
        check(&[64], "2001:db8:1:1::9", 0, Some(one), "2001:db8:1:1::9/128");
        check(&[64], "2001:db8:1:1:1::9", 0, Some(one), "2001:db8:1:1:1::/96");
        check(&[64], "192.0.2.1", 0, None, "192.0.2.1/32");
        // All of IPv4, and the link's other hosts, live in these.
        check(&[64], "64:ff9b::cb00:7105", 9, None, "64:ff9b::cb00:7105/128");
        check(&[64], "fe80::1", 0, None, "fe80::1/128");
    }
}
