//! What names are found by: /etc/resolv.conf, /etc/hosts.
//!
//! Public resolvers ask the lists' servers for millions of others, and several lists answer them nothing but "not
//! you" (127.255.255.254): here such answers are never listings, elsewhere they refuse everybody. T1.4.
//! Diagnostics: K0550 no name server, K0551 a public resolver for lists that don't answer it, K0552 a host name that
//! is loopback's, K0557 copies for a chroot that differ.

use super::{Machine, Scene, scene};
use config::{Diagnostic, Place, Spanned};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// Resolvers for everybody, by what their addresses begin with.
const PUBLIC: [(&str, &str); 30] = [
    ("8.8.8.8", "Google"),
    ("8.8.4.4", "Google"),
    ("2001:4860:4860::8888", "Google"),
    ("2001:4860:4860::8844", "Google"),
    ("1.1.1.1", "Cloudflare"),
    ("1.0.0.1", "Cloudflare"),
    ("1.1.1.2", "Cloudflare"),
    ("1.0.0.2", "Cloudflare"),
    ("2606:4700:4700::1111", "Cloudflare"),
    ("2606:4700:4700::1001", "Cloudflare"),
    ("9.9.9.9", "Quad9"),
    ("9.9.9.10", "Quad9"),
    ("9.9.9.11", "Quad9"),
    ("149.112.112.112", "Quad9"),
    ("149.112.112.10", "Quad9"),
    ("2620:fe::fe", "Quad9"),
    ("2620:fe::9", "Quad9"),
    ("208.67.222.222", "OpenDNS"),
    ("208.67.220.220", "OpenDNS"),
    ("2620:119:35::35", "OpenDNS"),
    ("2620:119:53::53", "OpenDNS"),
    ("4.2.2.1", "Level 3"),
    ("4.2.2.2", "Level 3"),
    ("64.6.64.6", "Verisign"),
    ("64.6.65.6", "Verisign"),
    ("94.140.14.14", "AdGuard"),
    ("94.140.15.15", "AdGuard"),
    ("185.228.168.9", "CleanBrowsing"),
    ("76.76.2.0", "Control D"),
    ("77.88.8.8", "Yandex"),
];
/// Where systemd-resolved writes whom it asks itself.
const UPSTREAM: &str = "/run/systemd/resolve/resolv.conf";
/// What Debian's Postfix copies into its chroot, of what names are found by.
const COPIED: [&str; 4] = ["/etc/resolv.conf", "/etc/hosts", "/etc/services", "/etc/nsswitch.conf"];

/// Whose public resolver `address` is.
#[must_use]
pub fn is_public_resolver(address: IpAddr) -> Option<&'static str> {
    PUBLIC.iter().find(|(text, _)| text.parse() == Ok(address)).map(|(_, whose)| *whose)
}

pub(super) fn review(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let (servers, found) = name_servers(scene, machine);
    let mut found: Vec<Diagnostic> = found.into_iter().collect();
    found.extend(public(scene, &servers));
    found.extend(own_name(scene, machine));
    found.extend(chroot(scene, machine));
    found
}

fn servers_in(text: &str) -> Vec<IpAddr> {
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            return None;
        }
        words.next()?.split('%').next()?.parse().ok()
    });
    addresses.collect()
}

/// Who is asked, and K0550.
fn name_servers(scene: &Scene<'_>, machine: &Machine) -> (Vec<IpAddr>, Option<Diagnostic>) {
    let own = scene.main.list("komainu_dns_servers");
    if !own.is_empty() {
        let address = |word: &Spanned<String>| {
            let text = word.value.as_str();
            let plain = text.trim_matches(['[', ']']).parse().ok();
            plain.or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()))
        };
        return (own.iter().filter_map(address).collect(), None);
    }
    let Some(text) = machine.text("/etc/resolv.conf") else {
        let missing = machine.is_missing(Path::new("/etc/resolv.conf"));
        return (Vec::new(), missing.then(|| no_servers("there is no /etc/resolv.conf")));
    };
    let mut servers = servers_in(&text);
    if servers.is_empty() {
        return (Vec::new(), Some(no_servers("/etc/resolv.conf names no name server")));
    }
    if servers.iter().all(|server| *server == IpAddr::from([127, 0, 0, 53]))
        && let Some(upstream) = machine.text(UPSTREAM)
    {
        servers = servers_in(&upstream);
    }
    (servers, None)
}

fn no_servers(message: &str) -> Diagnostic {
    Diagnostic::error(550, Place::nowhere(), message).help(
        "no name is found: restrictions that ask the DNS refuse everybody with 450; write nameserver lines, or \
         komainu_dns_servers = ADDRESS in main.cf",
    )
}

fn public(scene: &Scene<'_>, servers: &[IpAddr]) -> Option<Diagnostic> {
    let (server, whose) = servers.iter().find_map(|server| Some((server, is_public_resolver(*server)?)))?;
    let (zone, place) =
        zones(scene).into_iter().find(|(zone, _)| policy::review::refuses_public_resolvers(zone))?;
    let message = format!("{zone} doesn't answer {whose}'s public resolver {server}, which is asked here");
    let help = "the list lists nobody; in Postfix, without =127.0.0.x behind the zone, it refuses everybody. Run a \
                resolver of your own (unbound) on this machine and ask that";
    Some(Diagnostic::warning(551, place, message).help(help))
}

/// All DNS lists that are asked anywhere, each once.
pub(in crate::check) fn zones(scene: &Scene<'_>) -> Vec<(String, Place)> {
    let mut zones: Vec<(String, Place)> = Vec::new();
    let mut seen = HashSet::new();
    let mut add = |domain: String, place: &Place| {
        if !domain.is_empty() && seen.insert(domain.clone()) {
            zones.push((domain, place.clone()));
        }
    };
    for server in &scene.servers {
        for zone in &server.zones {
            add(zone.domain.to_ascii_lowercase(), &zone.place);
        }
        for site in server.parameters.list("postscreen_dnsbl_sites") {
            let domain = site.value.split(['=', '*']).next().unwrap_or("");
            add(domain.to_ascii_lowercase(), &site.place);
        }
    }
    zones
}

fn own_name(scene: &Scene<'_>, machine: &Machine) -> Option<Diagnostic> {
    let host = scene.main.text("myhostname").value.to_ascii_lowercase();
    let word = scene
        .main
        .list("inet_interfaces")
        .into_iter()
        .find(|word| word.value.eq_ignore_ascii_case(&host) && word.value.parse::<IpAddr>().is_err())?;
    let hosts = crate::facts::hosts::Hosts::parse(&machine.text("/etc/hosts")?);
    let addresses = hosts.addresses(&host)?;
    if !addresses.iter().all(IpAddr::is_loopback) {
        return None;
    }
    let address = addresses.first().copied().unwrap_or(Ipv4Addr::LOCALHOST.into());
    let message = format!("inet_interfaces names {host}, which /etc/hosts says is {address}");
    let place =
        if word.place.file.is_some() { word.place } else { scene::place(scene.main, "inet_interfaces") };
    Some(
        Diagnostic::warning(552, place, message)
            .help("nobody but this machine can connect; write inet_interfaces = all, or the address itself"),
    )
}

/// A chroot's copies, for who goes on with Postfix: here nothing is chrooted.
fn chroot(scene: &Scene<'_>, machine: &Machine) -> Option<Diagnostic> {
    let chrooted = scene.master.services.iter().find(|service| {
        let asks_names = matches!(service.role(), config::Role::Smtpd | config::Role::Smtp);
        asks_names && service.chroot == Some(true)
    })?;
    let queue = scene.queue_directory();
    // A copy that isn't there yet is made when Postfix starts.
    let differs = |path: &&&str| {
        let below = queue.join(path.trim_start_matches('/'));
        match (machine.text(path), machine.bytes(&below)) {
            (Some(text), Ok(copy)) => text.as_bytes() != copy.as_slice(),
            _ => false,
        }
    };
    let stale: Vec<&str> = COPIED.iter().filter(differs).copied().collect();
    let first = stale.first()?;
    let message = format!(
        "{} runs in a chroot under Postfix, where {} another than here",
        chrooted.name.value,
        if stale.len() == 1 { format!("{first} is") } else { format!("{} are", stale.join(", ")) }
    );
    Some(Diagnostic::hint(557, chrooted.name.place.clone(), message).help(format!(
        "it matters to Postfix only, which would find other names: copy them to {}/etc, or restart it",
        queue.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_resolv_conf() {
        let text = "# x\nnameserver 192.0.2.1\nsearch example.com\nnameserver fe80::1%eth0\nnameserver x\n";
        let expect: Vec<IpAddr> = vec!["192.0.2.1".parse().unwrap(), "fe80::1".parse().unwrap()];
        assert_eq!(servers_in(text), expect);
    }

    #[test]
    fn all_public_resolvers_are_addresses() {
        for (text, whose) in PUBLIC {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(is_public_resolver(address), Some(whose));
        }
        assert_eq!(is_public_resolver("192.0.2.1".parse().unwrap()), None);
    }

    #[test]
    fn lists_that_refuse() {
        for (zone, expect) in [
            ("zen.spamhaus.org", true),
            ("SPAMHAUS.org", true),
            ("key.zen.dq.spamhaus.net", false),
            ("notspamhaus.org", false),
            ("bl.spamcop.net", false),
        ] {
            assert_eq!(policy::review::refuses_public_resolvers(zone), expect, "{zone}");
        }
    }
}
