//! What a nexthop names: a domain with mail exchangers, a host, or a socket in the file system.
//!
//! transport(5), smtp(8), lmtp(8): `domain`, `domain:port`, `[host]`, `[host]:port`, `[192.0.2.1]`, `[ipv6:…]`,
//! `inet:host:port`, `unix:path`. Text in, value out; nothing is looked up here.

use std::path::PathBuf;

/// Where mail goes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// A name.
    Host {
        /// A domain, a host's name, or an address, without brackets.
        name: String,
        /// Number or name; `None` for the transport's own.
        port: Option<String>,
        /// Whether the name's mail exchangers are meant, not the name itself.
        exchangers: bool,
    },
    /// A socket.
    Unix(PathBuf),
}

impl Destination {
    /// Reads a nexthop. LMTP never asks for mail exchangers.
    pub(super) fn parse(nexthop: &str, is_lmtp: bool) -> Destination {
        if let Some(path) = nexthop.strip_prefix("unix:") {
            return Destination::Unix(path.into());
        }
        let text = nexthop.strip_prefix("inet:").unwrap_or(nexthop);
        if let Some((name, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let port = rest.strip_prefix(':').filter(|port| !port.is_empty()).map(str::to_owned);
            let name = strip_prefix_ignoring_case(name, "ipv6:").unwrap_or(name).to_owned();
            return Destination::Host { name, port, exchangers: false };
        }
        let (name, port) = match text.split_once(':') {
            Some((name, port)) if !port.contains(':') => (name, Some(port.to_owned())),
            _ => (text, None),
        };
        Destination::Host { name: name.to_owned(), port, exchangers: !is_lmtp }
    }
}

impl Destination {
    /// The name that certificates are compared with; a socket is this host.
    pub(super) fn domain<'a>(&'a self, myhostname: &'a str) -> &'a str {
        match self {
            Destination::Host { name, .. } => name,
            Destination::Unix(_) => myhostname,
        }
    }
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nexthops() {
        let host = |name: &str, port: Option<&str>, exchangers| Destination::Host {
            name: name.to_owned(),
            port: port.map(str::to_owned),
            exchangers,
        };
        for (text, is_lmtp, expected) in [
            ("example.org", false, host("example.org", None, true)),
            ("example.org:2525", false, host("example.org", Some("2525"), true)),
            ("[mail.example.org]", false, host("mail.example.org", None, false)),
            ("[mail.example.org]:submission", false, host("mail.example.org", Some("submission"), false)),
            ("[192.0.2.1]:25", false, host("192.0.2.1", Some("25"), false)),
            ("[IPv6:2001:db8::1]:25", false, host("2001:db8::1", Some("25"), false)),
            ("[2001:db8::1]", false, host("2001:db8::1", None, false)),
            ("inet:localhost:24", true, host("localhost", Some("24"), false)),
            ("localhost", true, host("localhost", None, false)),
            ("unix:private/dovecot-lmtp", true, Destination::Unix("private/dovecot-lmtp".into())),
            ("[broken", false, host("[broken", None, true)),
            ("", false, host("", None, true)),
        ] {
            assert_eq!(Destination::parse(text, is_lmtp), expected, "{text}");
        }
    }
}
