//! Where servers beside this one are, as main.cf writes it: `inet:host:port`, `unix:path`, `host:port`, `[host]:port`.
//!
//! Only what is on this machine has a [`Target`]: loopback, its own addresses, paths. Others aren't asked.

use super::Scene;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// Where a connection is tried.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// One of these answers.
    Inet(Vec<SocketAddr>),
    /// A socket's absolute path.
    Unix(PathBuf),
}

/// A port by number, or by a name that mail's neighbours are known by.
fn port(word: &str) -> Option<u16> {
    word.parse().ok().filter(|port| *port > 0).or(match word {
        "smtp" => Some(25),
        "lmtp" => Some(24),
        "submission" => Some(587),
        "smtps" | "submissions" => Some(465),
        _ => None,
    })
}

/// The target of a host on this machine.
pub(super) fn inet(scene: &Scene<'_>, host: &str, port_word: &str) -> Option<Target> {
    let port = port(port_word)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = host.strip_prefix("ipv6:").or_else(|| host.strip_prefix("IPv6:")).unwrap_or(host);
    let at = |address: IpAddr| SocketAddr::new(address, port);
    if host.is_empty() || host.eq_ignore_ascii_case("localhost") {
        return Some(Target::Inet(vec![at(Ipv4Addr::LOCALHOST.into()), at(Ipv6Addr::LOCALHOST.into())]));
    }
    let address: IpAddr = host.parse().ok()?;
    let is_own = scene.main.host().addresses.iter().any(|one| one.address == address);
    (address.is_loopback() || is_own).then(|| Target::Inet(vec![at(address)]))
}

/// A path below the queue folder, or one of its own.
pub(super) fn unix(scene: &Scene<'_>, path: &str) -> Option<Target> {
    (!path.is_empty()).then(|| Target::Unix(scene.queue_directory().join(path)))
}

/// `inet:host:port`, `unix:path` or `local:path`, as milters and policy services are written.
pub(super) fn with_transport(scene: &Scene<'_>, text: &str) -> Option<Target> {
    let (transport, rest) = text.split_once(':')?;
    match transport {
        "inet" | "tcp" | "inet6" => {
            // OpenDKIM's own form, `inet:8891@localhost`, is read by Postfix as well.
            if let Some((port, host)) = rest.split_once('@') {
                return inet(scene, host, port);
            }
            let (host, port) = rest.rsplit_once(':').unwrap_or(("", rest));
            inet(scene, host, port)
        }
        "unix" | "local" => unix(scene, rest),
        _ => None,
    }
}

/// A nexthop: `[host]:port`, `host:port`, `host`, where the host stands in brackets or is an address.
pub(super) fn nexthop(scene: &Scene<'_>, text: &str, default_port: &str) -> Option<Target> {
    let text = text.trim();
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(scene, path);
    }
    let text = text.strip_prefix("inet:").unwrap_or(text);
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            (host, behind.strip_prefix(':').unwrap_or(default_port))
        }
        None => text.rsplit_once(':').unwrap_or((text, default_port)),
    };
    (!host.is_empty()).then(|| inet(scene, host, port)).flatten()
}

/// Whether this configuration's own services will be there.
pub(super) fn is_own(scene: &Scene<'_>, target: &Target) -> bool {
    match target {
        Target::Inet(addresses) => {
            addresses.iter().any(|address| scene.own_ports().any(|port| port == address.port()))
        }
        Target::Unix(path) => scene.is_own_socket(path),
    }
}
