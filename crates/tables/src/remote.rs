//! Tables behind sockets (`tcp:`, `socketmap:`): where they are, and what they have answered so far.
//!
//! Nothing is sent here. A [`Snapshot`](crate::Snapshot) looks such a key up among its [`Answers`]; a key that isn't
//! there is [`LookupError::Unasked`](crate::LookupError::Unasked), whoever drives the evaluation asks the server,
//! has the snapshot learn what it said, and starts anew. tcp_table(5), socketmap_table(5).
//!
//! SQL and LDAP fit the same way: one more [`Protocol`], with what its configuration file says in it.

use mail::host;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A table behind a socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Remote {
    /// `type:name` as the log writes it.
    pub name: String,
    /// Where its server is.
    pub endpoint: Endpoint,
    /// How it is asked.
    pub protocol: Protocol,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// By TCP.
    Inet {
        /// A name or address without brackets; empty for this host.
        host: String,
        /// A number or a name of /etc/services.
        port: String,
        /// Both, as written.
        text: String,
    },
    /// A socket's path, relative to queue_directory.
    Unix(String),
}

/// How a server is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// tcp_table(5).
    Tcp,
    /// socketmap_table(5), with the map's name.
    Socketmap(String),
}

impl fmt::Display for Endpoint {
    /// As Postfix's log writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Endpoint::Inet { text, .. } => text,
            Endpoint::Unix(path) => path,
        })
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Remote {
    /// The table `tcp:host:port`; `name` is what stands behind the type.
    pub(crate) fn parse_tcp(name: &str) -> Result<Remote, String> {
        let endpoint = parse_inet(name)?;
        Ok(Remote { name: format!("tcp:{name}"), endpoint, protocol: Protocol::Tcp })
    }

    /// The table `socketmap:inet:host:port:map` or `socketmap:unix:path:map`.
    pub(crate) fn parse_socketmap(name: &str) -> Result<Remote, String> {
        let (service, map) = name.rsplit_once(':').unwrap_or((name, ""));
        let Some((transport, at)) = service.split_once(':') else {
            return Err(format!("need service transport:endpoint instead of \"{service}\""));
        };
        let endpoint = match transport {
            "inet" => parse_inet(at)?,
            "unix" if !at.is_empty() => Endpoint::Unix(at.to_owned()),
            "unix" => return Err(format!("need service transport:endpoint instead of \"{service}\"")),
            _ => return Err(format!("invalid transport name: {transport} in service: {service}")),
        };
        let protocol = Protocol::Socketmap(map.to_owned());
        Ok(Remote { name: format!("socketmap:{name}"), endpoint, protocol })
    }
}

/// `host:port`, `[address]:port`, `port`.
fn parse_inet(text: &str) -> Result<Endpoint, String> {
    let bad_host = || format!("{text}: valid hostname or network address required");
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or_else(|| format!("{text}: missing \"]\""))?;
            let port = port.strip_prefix(':').ok_or_else(|| format!("{text}: garbage after \"]\""))?;
            let address = address.strip_prefix("IPv6:").unwrap_or(address);
            host::parse_address(address).ok_or_else(bad_host)?;
            (address, port)
        }
        None => text.rsplit_once(':').unwrap_or(("", text)),
    };
    let known = host.is_empty() || host::parse_address(host).is_some() || host::is_hostname(host);
    if !known || (host.contains(':') && !text.starts_with('[')) {
        return Err(bad_host());
    }
    if port.is_empty() {
        return Err(format!("{text}: missing service name"));
    }
    let named = port.starts_with(|c: char| c.is_ascii_alphabetic());
    if !named && !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{text}: garbage after numerical service"));
    }
    if (!named && port.parse::<u16>().is_err()) || (named && host.is_empty()) {
        return Err(format!("{text}: bad service name or port number"));
    }
    Ok(Endpoint::Inet { host: host.to_owned(), port: port.to_owned(), text: text.to_owned() })
}

/// What tables behind sockets have said, as far as they were asked.
#[derive(Clone, Debug)]
pub struct Answers {
    said: HashMap<Arc<Remote>, HashMap<String, Option<Option<String>>>>,
    bytes: usize,
    seed: u64,
}

/// What the values that one evaluation gathers may take in all; beyond, tables can't say.
const VALUE_BYTES_MAX: usize = 16 << 20;

impl Default for Answers {
    fn default() -> Answers {
        static SEED: AtomicU64 = AtomicU64::new(0);
        let seed = SEED.fetch_add(1, Ordering::Relaxed);
        Answers { said: HashMap::new(), bytes: 0, seed }
    }
}

impl Answers {
    /// What was said about a key: `None` where it wasn't asked, `Some(None)` where the table couldn't say.
    pub(crate) fn said(&self, table: &Remote, key: &str) -> Option<Option<Option<&str>>> {
        let said = self.said.get(table)?.get(key)?;
        Some(said.as_ref().map(Option::as_deref))
    }

    /// Adds what was said. The first answer stays: an evaluation in progress must not see two.
    pub(crate) fn learn(&mut self, table: &Arc<Remote>, key: String, said: Option<Option<String>>) {
        let bytes = said.as_ref().and_then(Option::as_ref).map_or(0, String::len);
        self.bytes = self.bytes.saturating_add(bytes);
        let said = said.filter(|_| self.bytes <= VALUE_BYTES_MAX);
        self.said.entry(Arc::clone(table)).or_default().entry(key).or_insert(said);
    }

    /// What `randmap:` draws by: the same in each start of one evaluation, another one in the next.
    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let check = |name: &str, expect: Result<(&str, &str), &str>| {
            let got = parse_inet(name);
            let got = got.as_ref().map(|endpoint| match endpoint {
                Endpoint::Inet { host, port, .. } => (host.as_str(), port.as_str()),
                Endpoint::Unix(path) => (path.as_str(), ""),
            });
            assert_eq!(got.map_err(String::as_str), expect, "{name}");
        };
        check("127.0.0.1:9999", Ok(("127.0.0.1", "9999")));
        check("mx.example:smtp", Ok(("mx.example", "smtp")));
        check("[::1]:99", Ok(("::1", "99")));
        check("9998", Ok(("", "9998")));
        check(":1", Ok(("", "1")));
        check("127.0.0.1", Err("127.0.0.1: garbage after numerical service"));
        check("a:b:c", Err("a:b:c: valid hostname or network address required"));
        check("a:99999", Err("a:99999: bad service name or port number"));
        check("host", Err("host: bad service name or port number"));
        check("a:", Err("a:: missing service name"));
        check("[::1", Err("[::1: missing \"]\""));
        check("[::1]99", Err("[::1]99: garbage after \"]\""));
    }

    #[test]
    fn socketmaps() {
        let check = |name: &str, expect: Result<(&str, &str), &str>| {
            let got = Remote::parse_socketmap(name);
            let got = got.as_ref().map(|remote| match &remote.protocol {
                Protocol::Socketmap(map) => (remote.endpoint.to_string(), map.as_str()),
                Protocol::Tcp => (String::new(), ""),
            });
            let expect = expect.map(|(at, map)| (at.to_owned(), map));
            assert_eq!(got.map_err(String::as_str), expect, "{name}");
        };
        check("inet:127.0.0.1:9998:x", Ok(("127.0.0.1:9998", "x")));
        check("inet:127.0.0.1:1:", Ok(("127.0.0.1:1", "")));
        check("unix:private/x:n", Ok(("private/x", "n")));
        check("unix:x", Err("need service transport:endpoint instead of \"unix\""));
        check("foo:1:2:3", Err("invalid transport name: foo in service: foo:1:2"));
        check("inet:127.0.0.1:1", Err("127.0.0.1: garbage after numerical service"));
        check("inet:a:b:c:d", Err("a:b:c: valid hostname or network address required"));
    }
}
