//! The addresses by which the world knows this server.

use super::Matter;
use super::known::Known;
use crate::check::surroundings::Scene;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether the world can send to it. Networks for documentation count: they stand for others in examples.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            // RFC 6598, and RFC 7335 of translators.
            let shared = a == 100 && (64..128).contains(&b) || (a, b, c) == (192, 0, 0);
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4 == Ipv4Addr::UNSPECIFIED
                || a == 0
                || shared)
        }
        // Global unicast addresses are those of 2000::/3.
        IpAddr::V6(v6) => v6 != Ipv6Addr::UNSPECIFIED && v6.segments()[0] & 0xe000 == 0x2000,
    }
}

/// What the machine and main.cf say: addresses of interfaces, and those of the proxy in front.
pub(super) fn here(scene: &Scene<'_>) -> Vec<IpAddr> {
    let mut own: Vec<IpAddr> =
        scene.main.host().addresses.iter().map(|one| one.address).filter(|one| is_public(*one)).collect();
    let proxies = scene.main.list("proxy_interfaces");
    own.extend(proxies.iter().filter_map(|word| word.value.trim_matches(['[', ']']).parse::<IpAddr>().ok()));
    own
}

/// The name that this server goes by.
pub(super) fn name(scene: &Scene<'_>) -> String {
    scene.main.text("myhostname").value.trim_end_matches('.').to_ascii_lowercase()
}

/// All addresses that may be this server's: behind NAT those of its name count as well.
pub(super) fn all(matter: &Matter<'_>, known: &Known) -> Option<Vec<IpAddr>> {
    let mut own = here(matter.scene);
    for address in known.addresses(&name(matter.scene))?.unwrap_or_default() {
        if !own.contains(&address) {
            own.push(address);
        }
    }
    Some(own)
}

/// Those that mail goes out from: of the protocols that are used, the machine's own, else those of its name. Empty
/// where a relay sends for it.
pub(super) fn sending(matter: &Matter<'_>, known: &Known) -> Option<Vec<IpAddr>> {
    let p = matter.scene.main;
    if !p.text("relayhost").value.trim().is_empty() {
        return Some(Vec::new());
    }
    let here = here(matter.scene);
    let bound: Vec<IpAddr> = ["smtp_bind_address", "smtp_bind_address6"]
        .into_iter()
        .filter_map(|name| p.text(name).value.trim_matches(['[', ']']).parse().ok())
        .collect();
    let protocols = p.text("inet_protocols").value.to_ascii_lowercase();
    let used = |address: &IpAddr| {
        let family = bound.iter().find(|one| one.is_ipv4() == address.is_ipv4());
        let spoken =
            protocols.contains("all") || protocols.contains(if address.is_ipv4() { "ipv4" } else { "ipv6" });
        spoken && family.is_none_or(|one| one == address || !is_public(*one))
    };
    let own = if here.is_empty() { all(matter, known)? } else { here };
    Some(own.into_iter().filter(used).collect())
}

#[cfg(test)]
mod tests {
    use super::is_public;

    #[test]
    fn addresses_of_the_world() {
        for (text, expect) in [
            ("192.0.2.1", true),
            ("8.8.8.8", true),
            ("10.1.2.3", false),
            ("100.64.0.1", false),
            ("192.0.0.4", false),
            ("127.0.1.1", false),
            ("169.254.0.1", false),
            ("2001:db8::1", true),
            ("fe80::1", false),
            ("fd00::2", false),
            ("::1", false),
        ] {
            assert_eq!(is_public(text.parse().unwrap()), expect, "{text}");
        }
    }
}
