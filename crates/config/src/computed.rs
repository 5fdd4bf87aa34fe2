//! Defaults that hang on the machine: myhostname, mydomain, mynetworks.
//!
//! As Postfix computes them. `inet_interfaces` with host names counts loopback's names only: names aren't looked
//! up here.

use crate::{Host, Interface};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The machine's name, made whole: Postfix appends mydomain, or `localdomain`, to a name without a dot.
pub(crate) fn my_hostname(host: &Host, mydomain: Option<&str>) -> String {
    if host.hostname.contains('.') {
        return host.hostname.clone();
    }
    let name = if host.hostname.is_empty() { "localhost" } else { &host.hostname };
    format!("{name}.{}", mydomain.unwrap_or("localdomain"))
}

/// myhostname without its first label.
pub(crate) fn my_domain(myhostname: &str) -> String {
    myhostname.split_once('.').map_or("localdomain", |(_, domain)| domain).to_owned()
}

/// What mynetworks' default hangs on.
pub(crate) struct Networks<'a> {
    pub(crate) host: &'a Host,
    pub(crate) style: &'a str,
    pub(crate) interfaces: &'a [String],
    pub(crate) protocols: &'a [String],
}

impl Networks<'_> {
    /// mynetworks' default.
    pub(crate) fn text(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        for interface in self.own() {
            let word = self.network(&interface);
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words.join(" ")
    }

    /// The addresses that Postfix would receive mail on: IPv4 first.
    fn own(&self) -> Vec<Interface> {
        let all = |family: &str| self.protocols.iter().any(|p| p == "all" || p == family);
        let mut own: Vec<Interface> = self.host.addresses.clone();
        own.retain(|i| if i.address.is_ipv4() { all("ipv4") } else { all("ipv6") });
        own.retain(|i| {
            self.interfaces.iter().any(|word| match word.as_str() {
                "all" => true,
                "loopback-only" | "localhost" => i.address.is_loopback(),
                word => word.trim_matches(['[', ']']).parse() == Ok(i.address),
            })
        });
        own.sort_by_key(|i| i.address.is_ipv6());
        own
    }

    fn network(&self, interface: &Interface) -> String {
        let bits = match (self.style, interface.address) {
            ("host", IpAddr::V4(_)) => 32,
            ("host", IpAddr::V6(_)) => 128,
            ("class", IpAddr::V4(address)) => class_bits(address),
            _ => interface.prefix,
        };
        match interface.address {
            IpAddr::V4(address) => {
                let bits = bits.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                format!("{}/{bits}", Ipv4Addr::from(u32::from(address) & mask))
            }
            IpAddr::V6(address) => {
                let bits = bits.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                format!("[{}]/{bits}", Ipv6Addr::from(u128::from(address) & mask))
            }
        }
    }
}

/// The network bits of the old address classes.
fn class_bits(address: Ipv4Addr) -> u8 {
    match address.octets() {
        [0..=127, ..] => 8,
        [128..=191, ..] => 16,
        [192..=223, ..] => 24,
        [224..=239, ..] => 28,
        _ => 32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        #[track_caller]
        fn check(style: &str, interfaces: &[&str], protocols: &[&str], expect: &str) {
            let addresses =
                [("127.0.0.1", 8), ("192.0.2.2", 25), ("::1", 128), ("fd00::2", 64), ("10.1.2.3", 16)];
            let addresses = addresses
                .map(|(address, prefix)| Interface { address: address.parse().expect("an address"), prefix });
            let host = Host { hostname: "vm".to_owned(), addresses: addresses.to_vec() };
            let owned = |words: &[&str]| -> Vec<String> { words.iter().map(|&w| w.to_owned()).collect() };
            let (interfaces, protocols) = (owned(interfaces), owned(protocols));
            let networks =
                Networks { host: &host, style, interfaces: &interfaces, protocols: &protocols }.text();
            assert_eq!(networks, expect, "{style}");
        }
        check("host", &["all"], &["ipv4"], "127.0.0.1/32 192.0.2.2/32 10.1.2.3/32");
        check("subnet", &["all"], &["all"], "127.0.0.0/8 192.0.2.0/25 10.1.0.0/16 [::1]/128 [fd00::]/64");
        check(
            "class",
            &["all"],
            &["ipv4", "ipv6"],
            "127.0.0.0/8 192.0.2.0/24 10.0.0.0/8 [::1]/128 [fd00::]/64",
        );
        check("subnet", &["loopback-only"], &["all"], "127.0.0.0/8 [::1]/128");
        check("host", &["[::1]", "192.0.2.2"], &["all"], "192.0.2.2/32 [::1]/128");
        check("subnet", &["all"], &["ipv6"], "[::1]/128 [fd00::]/64");
    }

    #[test]
    fn names() {
        let host = |name: &str| Host { hostname: name.to_owned(), addresses: Vec::new() };
        assert_eq!(my_hostname(&host("vm"), None), "vm.localdomain");
        assert_eq!(my_hostname(&host("vm"), Some("example.org")), "vm.example.org");
        assert_eq!(my_hostname(&host("vm.example.com"), Some("example.org")), "vm.example.com");
        assert_eq!(my_domain("a.b.c"), "b.c");
        assert_eq!(my_domain("a"), "localdomain");
    }
}
