//! /etc/hosts: the names and addresses that come before the DNS (getaddrinfo(3), getnameinfo(3)).

use std::collections::HashMap;
use std::net::IpAddr;

/// The lines of a hosts file.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    by_name: HashMap<String, Vec<IpAddr>>,
    by_address: HashMap<IpAddr, String>,
}

impl Hosts {
    /// Reads `address name alias …` lines; what can't be read is passed over, as the system does.
    #[must_use]
    pub fn parse(text: &str) -> Hosts {
        let mut hosts = Hosts::default();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or("").split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for (position, name) in words.enumerate() {
                if position == 0 {
                    hosts.by_address.entry(address).or_insert_with(|| name.to_owned());
                }
                let addresses = hosts.by_name.entry(name.to_ascii_lowercase()).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        hosts
    }

    /// The first name of `address`.
    #[must_use]
    pub fn name(&self, address: IpAddr) -> Option<&str> {
        self.by_address.get(&address).map(String::as_str)
    }

    /// The addresses of `name`.
    #[must_use]
    pub fn addresses(&self, name: &str) -> Option<&[IpAddr]> {
        self.by_name.get(&name.to_ascii_lowercase()).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_both_ways() {
        let hosts = Hosts::parse(
            "127.0.0.1 localhost # x\n::1 localhost ip6-localhost\nbad line\n192.0.2.1\tA.example a\n",
        );
        assert_eq!(hosts.addresses("LOCALHOST").unwrap().len(), 2);
        assert_eq!(hosts.name("192.0.2.1".parse().unwrap()), Some("A.example"));
        assert_eq!(hosts.addresses("a"), Some(&["192.0.2.1".parse().unwrap()][..]));
        assert_eq!(hosts.addresses("bad"), None);
    }
}
