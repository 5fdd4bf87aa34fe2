//! The name of an inet service: `smtp`, `10025`, `127.0.0.1:10025`, `::1:10025`, `[::1]:submission`.
//!
//! Names of ports that mail uses are known here; others are the program's to look up, as are hosts.

/// Where an inet service listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Host name or address, without brackets; `None` for all of inet_interfaces.
    pub host: Option<String>,
    /// The port.
    pub port: Port,
}

/// A port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    /// Its number.
    Number(u16),
    /// A name that isn't known here.
    Name(String),
}

/// As in /etc/services.
const PORTS: [(&str, u16); 10] = [
    ("smtp", 25),
    ("mail", 25),
    ("lmtp", 24),
    ("smtps", 465),
    ("ssmtp", 465),
    ("urd", 465),
    ("submissions", 465),
    ("submission", 587),
    ("qmqp", 628),
    ("msp", 18),
];

impl Endpoint {
    /// Reads a service name; `None` when it has no port.
    #[must_use]
    pub fn parse(name: &str) -> Option<Endpoint> {
        let (host, port) = match name.rsplit_once(':') {
            Some((host, port)) => (Some(host), port),
            None => (None, name),
        };
        let host = host.map(|host| {
            let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            inner.strip_prefix("ipv6:").unwrap_or(inner).to_owned()
        });
        let port = Port::parse(port)?;
        Some(Endpoint { host: host.filter(|host| !host.is_empty()), port })
    }
}

impl Port {
    fn parse(text: &str) -> Option<Port> {
        if text.is_empty() || text.contains(['[', ']', '/']) {
            return None;
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().ok().filter(|port| *port > 0).map(Port::Number);
        }
        let known = PORTS.iter().find(|(name, _)| *name == text);
        Some(known.map_or_else(|| Port::Name(text.to_owned()), |(_, port)| Port::Number(*port)))
    }
}
