//! A container's gateway inside `mynetworks`: through it, everybody is permitted.
//!
//! Docker's userland proxy, rootless Podman and the like put the gateway's address in the place of every client's;
//! `mynetworks_style = subnet`, or 172.16.0.0/12 written down, then permits the world. The running server says the
//! same of the clients it sees (K0220). Only IPv4: containers' IPv6 addresses are their own.
//! Diagnostics: K0556 the gateway is in mynetworks.

use super::{Machine, Scene, scene};
use config::Diagnostic;
use std::net::{IpAddr, Ipv4Addr};

pub(super) fn review(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let gateway = machine.text("/proc/net/route").and_then(|text| default_gateway(&text));
    let bridges = machine.names_in("/sys/class/net");
    // With the host's own network, clients keep their addresses.
    let is_host = bridges
        .iter()
        .any(|name| name.starts_with("docker") || name.starts_with("br-") || name.starts_with("podman"));
    let Some(gateway) = gateway.filter(|_| !is_host) else { return Vec::new() };
    let own: Vec<(Ipv4Addr, u8)> = scene
        .main
        .host()
        .addresses
        .iter()
        .filter_map(|one| match one.address {
            IpAddr::V4(address) if !address.is_loopback() => Some((address, one.prefix)),
            _ => None,
        })
        .collect();
    let words: Vec<String> = scene.main.list("mynetworks").into_iter().map(|word| word.value).collect();
    let Some(certain) =
        hides_clients(gateway, &own, machine.in_container).filter(|_| permits(&words, gateway))
    else {
        return Vec::new();
    };
    let message = format!("mynetworks holds {gateway}, the gateway of this container's network");
    let help = "where the gateway stands in for the clients (Docker's userland proxy, rootless Podman), \
                permit_mynetworks permits everybody: an open relay; write mynetworks = 127.0.0.0/8 [::1]/128 and \
                the addresses that you mean";
    let place = scene::place(scene.main, "mynetworks");
    vec![if certain {
        Diagnostic::error(556, place, message).help(help)
    } else {
        Diagnostic::warning(556, place, message).help(help)
    }]
}

/// The gateway of the default route in /proc/net/route.
fn default_gateway(text: &str) -> Option<Ipv4Addr> {
    text.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (destination, gateway) = (fields.next()?, fields.next()?);
        let address = u32::from_str_radix(gateway, 16).ok().filter(|address| *address != 0)?;
        // The kernel prints the bytes as they stand in memory.
        (destination == "00000000").then(|| Ipv4Addr::from(address.to_ne_bytes()))
    })
}

/// Whether the gateway looks like one behind which clients are hidden; certainly so, or perhaps.
fn hides_clients(gateway: Ipv4Addr, own: &[(Ipv4Addr, u8)], in_container: bool) -> Option<bool> {
    let is_container_net = own.iter().any(|(address, prefix)| {
        let [a, b, c, _] = address.octets();
        let docker = a == 172 && (16..32).contains(&b);
        let podman = (a, b) == (10, 88) || (a, b, c) == (10, 0, 2);
        let mask = u32::MAX.checked_shl(32 - u32::from(*prefix).min(32)).unwrap_or(0);
        let shares_net = u32::from(*address) & mask == u32::from(gateway) & mask;
        (docker || podman) && shares_net
    });
    if !is_container_net {
        return None;
    }
    // Docker gives its gateways the first address of a /16; office networks look otherwise.
    let looks_so = own.iter().any(|(_, prefix)| *prefix == 16) && gateway.octets()[2..] == [0, 1];
    if in_container { Some(true) } else { looks_so.then_some(false) }
}

/// Whether the words of mynetworks hold `address`: the first that matches decides. Tables are passed over.
fn permits(words: &[String], address: Ipv4Addr) -> bool {
    words
        .iter()
        .find_map(|word| {
            let (wanted, text) = match word.strip_prefix('!') {
                Some(rest) => (false, rest),
                None => (true, word.as_str()),
            };
            holds(text, address).then_some(wanted)
        })
        .unwrap_or(false)
}

fn holds(network: &str, address: Ipv4Addr) -> bool {
    let (base, prefix) = network.split_once('/').unwrap_or((network, "32"));
    let (Ok(base), Ok(prefix)) = (base.parse::<Ipv4Addr>(), prefix.parse::<u32>()) else { return false };
    let Some(shift) = 32_u32.checked_sub(prefix) else { return false };
    let mask = u32::MAX.checked_shl(shift).unwrap_or(0);
    u32::from(base) & mask == u32::from(address) & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways() {
        // As a little-endian machine prints it.
        let text = "Iface\tDestination\tGateway\tFlags\neth0\t000011AC\t00000000\t0001\neth0\t00000000\t010011AC\t0003\n";
        if cfg!(target_endian = "little") {
            assert_eq!(default_gateway(text), Some(Ipv4Addr::new(172, 17, 0, 1)));
        }
        assert_eq!(default_gateway("Iface\n"), None);
        assert_eq!(default_gateway("Iface\nx\ny z w\n"), None);
    }

    #[test]
    fn networks() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let gateway = Ipv4Addr::new(172, 17, 0, 1);
        for (text, expect) in [
            ("127.0.0.0/8 172.16.0.0/12", true),
            ("172.17.0.1", true),
            ("!172.17.0.1 172.16.0.0/12", false),
            ("127.0.0.0/8 [::1]/128 hash:/x", false),
            ("0.0.0.0/0", true),
            ("172.17.0.0/33", false),
        ] {
            assert_eq!(permits(&words(text), gateway), expect, "{text}");
        }
    }

    #[test]
    fn who_hides_clients() {
        let docker = (Ipv4Addr::new(172, 17, 0, 2), 16);
        let office = (Ipv4Addr::new(172, 20, 4, 9), 24);
        let home = (Ipv4Addr::new(192, 168, 1, 9), 24);
        let check = |gateway: [u8; 4], own: (Ipv4Addr, u8), container: bool, expect: Option<bool>| {
            assert_eq!(hides_clients(gateway.into(), &[own], container), expect, "{gateway:?}");
        };
        check([172, 17, 0, 1], docker, true, Some(true));
        check([172, 17, 0, 1], docker, false, Some(false));
        check([172, 20, 4, 1], office, false, None);
        check([172, 20, 4, 1], office, true, Some(true));
        check([192, 168, 1, 1], home, true, None);
    }
}
