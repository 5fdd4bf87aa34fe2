//! Who has the ports that this server wants: /proc/net/tcp, /proc/net/tcp6, /proc/PID/fd.
//!
//! A komainu that runs already is no finding, nor is Postfix's master an error: who checks a configuration before
//! moving over still runs it. Whose a port is can be seen by root only.
//! Diagnostics: K0553 a port that another program has, K0554 a port that is open wider than inet_interfaces says.

use super::{Machine, Scene};
use config::{Diagnostic, Place};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Processes looked at.
const PROCESSES_MAX: usize = 4096;

/// A socket that listens, by the inode that its process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Socket {
    address: SocketAddr,
    inode: u64,
}

pub(super) fn review(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let mut sockets = Vec::new();
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        sockets.extend(listening(&machine.text(path).unwrap_or_default()));
    }
    let wanted: Vec<(&Place, &[SocketAddr])> = scene
        .servers
        .iter()
        .map(|server| (&server.name.place, server.addresses.as_slice()))
        .filter(|(_, addresses)| !addresses.is_empty())
        .collect();
    let in_the_way = |socket: &Socket| {
        wanted.iter().any(|(_, addresses)| addresses.iter().any(|want| want.port() == socket.address.port()))
    };
    sockets.retain(in_the_way);
    if sockets.is_empty() {
        return Vec::new();
    }
    let owners = owners(machine, &sockets);
    let mut found = Vec::new();
    for (place, addresses) in wanted {
        found.extend(judge(place, addresses, &sockets, &owners));
    }
    found
}

fn judge(
    place: &Place,
    wanted: &[SocketAddr],
    sockets: &[Socket],
    owners: &BTreeMap<u64, String>,
) -> Option<Diagnostic> {
    let clash = |socket: &&Socket| wanted.iter().any(|want| overlap(*want, socket.address));
    let socket = sockets.iter().find(clash)?;
    let owner = owners.get(&socket.inode).map(String::as_str);
    let at = socket.address;
    let wider = wanted.iter().all(|want| want.ip().is_loopback()) && at.ip().is_unspecified();
    match owner {
        Some("komainu") | Some("master") if wider => {
            let message =
                format!("port {} is open to everybody on {at}, wider than it stands here", at.port());
            Some(Diagnostic::warning(554, place.clone(), message).help(
                "another inet_interfaces counts from the next start on: restart it, a reload isn't enough for Postfix",
            ))
        }
        Some("komainu") => None,
        Some("master") => {
            let message = format!("Postfix is running and has {at}");
            let help = "stop it before this server is started: postfix stop";
            Some(Diagnostic::hint(553, place.clone(), message).help(help))
        }
        Some(program) => {
            let message = format!("{program} has {at}");
            let help = "this server can't start; stop it, or choose another port";
            Some(Diagnostic::error(553, place.clone(), message).help(help))
        }
        None => {
            let message = format!("another program has {at}");
            let help =
                "if it isn't this server already, it can't start (root sees which program it is: ss -ltnp)";
            Some(Diagnostic::hint(553, place.clone(), message).help(help))
        }
    }
}

/// Whether one of the two keeps the other from listening.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let any = |ip: IpAddr| ip.is_unspecified();
    a.port() == b.port() && (a.ip() == b.ip() || (a.is_ipv4() == b.is_ipv4() && (any(a.ip()) || any(b.ip()))))
}

/// The sockets in state LISTEN of /proc/net/tcp or tcp6.
fn listening(text: &str) -> Vec<Socket> {
    let sockets = text.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        (*state == "0A").then_some(())?;
        Some(Socket { address: address(local)?, inode: inode.parse().ok()? })
    });
    sockets.collect()
}

/// `0100007F:0019`: words as they stand in memory, the port as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let [a, b, c, d] = [word(0)?, word(8)?, word(16)?, word(24)?];
            let mut octets = [0; 16];
            for (to, from) in octets.iter_mut().zip([a, b, c, d].concat()) {
                *to = from;
            }
            let v6 = Ipv6Addr::from(octets);
            v6.to_ipv4_mapped().map_or(v6.into(), IpAddr::from)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The programs that hold these sockets.
fn owners(machine: &Machine, sockets: &[Socket]) -> BTreeMap<u64, String> {
    let wanted: BTreeMap<String, u64> =
        sockets.iter().map(|socket| (format!("socket:[{}]", socket.inode), socket.inode)).collect();
    let mut owners = BTreeMap::new();
    let processes = machine.names_in("/proc");
    let numbers = processes.iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    for process in numbers.take(PROCESSES_MAX) {
        let folder = format!("/proc/{process}/fd");
        for name in machine.names_in(&folder) {
            let Some(target) = machine.link(&format!("{folder}/{name}")) else { continue };
            if let Some(inode) = wanted.get(&target) {
                let program = machine.text(&format!("/proc/{process}/comm")).unwrap_or_default();
                let program: String = program.trim().chars().filter(|c| !c.is_control()).collect();
                owners.entry(*inode).or_insert(program);
            }
        }
        if owners.len() == wanted.len() {
            break;
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_the_kernel() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                    0: 0100007F:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1603 1 0 100 0 0 10 0\n   \
                    1: 0100007F:1234 0100007F:0019 01 00000000:00000000 00:00000000 00000000     0        0 1604 1 0 100 0 0 10 0\n";
        let expect = [Socket { address: "127.0.0.1:25".parse().unwrap(), inode: 1603 }];
        if cfg!(target_endian = "little") {
            assert_eq!(listening(text), expect);
            assert_eq!(address("00000000000000000000000001000000:0019"), Some("[::1]:25".parse().unwrap()));
        }
        assert_eq!(address("00:19"), None);
        assert_eq!(address("x"), None);
    }

    #[test]
    fn who_has_the_port() {
        let check = |want: &str, there: &str, owner: Option<&str>, expect: &str| {
            let socket = Socket { address: there.parse().unwrap(), inode: 7 };
            let owners = owner.map(|owner| (7, owner.to_owned())).into_iter().collect();
            let found = judge(&Place::nowhere(), &[want.parse().unwrap()], &[socket], &owners);
            let said = found.map(|one| format!("{} {}", one.severity, one.message)).unwrap_or_default();
            assert_eq!(said, expect, "{want} {there}");
        };
        check("0.0.0.0:25", "127.0.0.1:25", Some("exim4"), "error exim4 has 127.0.0.1:25");
        check("127.0.0.1:25", "127.0.0.2:25", Some("exim4"), "");
        check("0.0.0.0:25", "0.0.0.0:26", Some("exim4"), "");
        check("0.0.0.0:25", "0.0.0.0:25", Some("komainu"), "");
        check("0.0.0.0:25", "0.0.0.0:25", Some("master"), "hint Postfix is running and has 0.0.0.0:25");
        check("0.0.0.0:25", "0.0.0.0:25", None, "hint another program has 0.0.0.0:25");
        let wider = "warning port 25 is open to everybody on 0.0.0.0:25, wider than it stands here";
        check("127.0.0.1:25", "0.0.0.0:25", Some("master"), wider);
    }
}
