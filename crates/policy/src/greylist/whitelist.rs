//! Postgrey's whitelists: /etc/postgrey/whitelist_clients, whitelist_recipients and their `.local`, as they are.
//!
//! A line is a domain, an address, a network, a name with `@` or a `/pattern/`; `#` begins a comment anywhere. A line that
//! is none is said and passed over; the others count. T2.16. Diagnostics: K0477.

use config::{Diagnostic, Place, SourceFile};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use tables::Pattern;
use tables::pattern::PerlFlags;

/// A line that can't be used.
pub const UNUSABLE: u16 = 477;

/// Clients that aren't greylisted.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    names: Names,
    networks: Vec<(Ipv6Addr, u32)>,
    patterns: Vec<Pattern>,
}

/// Recipients for whom nobody is greylisted.
#[derive(Clone, Debug, Default)]
pub struct Recipients {
    domains: Names,
    /// `name@` and `name@domain`, lower case.
    users: std::collections::HashSet<String>,
    patterns: Vec<Pattern>,
}

/// Names that stand for everything below them.
#[derive(Clone, Debug, Default)]
struct Names(std::collections::HashSet<String>);

impl Names {
    /// Whether `name`, or what it ends with behind a byte of `ends`, is one of them.
    fn has(&self, name: &str, ends: &[u8]) -> bool {
        let name = name.to_lowercase();
        let behind = name.bytes().enumerate().filter(|(_, byte)| ends.contains(byte)).map(|(at, _)| at + 1);
        behind.into_iter().any(|at| name.get(at..).is_some_and(|end| self.0.contains(end)))
    }
}

/// The entries of a file with their places, comments and blanks taken off.
fn entries(file: &Arc<SourceFile>) -> impl Iterator<Item = (&str, Place)> {
    let mut start = 0;
    file.text.split_inclusive('\n').filter_map(move |line| {
        let begin = start;
        start += line.len();
        let text = line.split_once('#').map_or(line, |(text, _)| text);
        let entry = text.trim();
        let indent = text.len() - text.trim_start().len();
        let place = Place::new(file, begin + indent, begin + indent + entry.len());
        (!entry.is_empty()).then_some((entry, place))
    })
}

/// A pattern between slashes; `None` where the entry is none.
fn pattern(entry: &str) -> Option<Result<Pattern, String>> {
    let text = entry.strip_prefix('/')?.strip_suffix('/')?;
    let flags = PerlFlags { dot_all: false, ..PerlFlags::default() };
    Some(Pattern::perl(text, flags).map_err(|error| error.to_string()))
}

fn unusable(place: Place, why: &str) -> Diagnostic {
    Diagnostic::warning(UNUSABLE, place, format!("this line of a whitelist has no effect: {why}"))
}

fn matches(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.is_match(text.as_bytes()).unwrap_or(false))
}

impl Clients {
    /// Adds the entries of one file.
    pub fn read(&mut self, file: &Arc<SourceFile>) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for (entry, place) in entries(file) {
            match pattern(entry) {
                Some(Ok(pattern)) if !entry.contains(char::is_whitespace) => self.patterns.push(pattern),
                Some(Err(why)) => found.push(unusable(place, &why).help("Postgrey doesn't start with it")),
                _ if entry.contains(char::is_whitespace) => {
                    let help = "write one name, address, network or /pattern/ a line";
                    found.push(unusable(place, "it has blanks in it").help(help));
                }
                _ => self.add(entry, place, &mut found),
            }
        }
        found
    }

    fn add(&mut self, entry: &str, place: Place, found: &mut Vec<Diagnostic>) {
        let looks_numeric = |text: &str| {
            text.contains(['.', ':'])
                && text.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'.' | b':'))
                && (text.contains(':') || text.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
        };
        match network(entry) {
            Some(network) => self.networks.push(network),
            None if entry.contains('/') || looks_numeric(entry) => {
                let help = "write 192.0.2.25, three numbers as 192.0.2, 192.0.2.0/24 or 2001:db8::/32";
                found.push(unusable(place, "it is neither an address nor a network").help(help));
            }
            None => {
                self.names.0.insert(entry.to_lowercase());
                if entry.starts_with('.') || entry.starts_with('*') {
                    let bare = entry.trim_start_matches(['*', '.']);
                    let help = format!("write {bare}: it stands for the domain and all below it");
                    let why = format!("no client's name ends with .{entry}");
                    found.push(unusable(place.clone(), &why).help(help).fix(place, bare));
                }
            }
        }
    }

    /// Whether a client is in it.
    #[must_use]
    pub fn has(&self, name: &str, client: IpAddr) -> bool {
        let bits = in_v6(client).to_bits();
        let within = |(network, length): &(Ipv6Addr, u32)| {
            (bits ^ network.to_bits()).checked_shr(128 - length).unwrap_or(0) == 0
        };
        self.names.0.contains(&name.to_lowercase())
            || self.names.has(name, b".")
            || self.networks.iter().any(within)
            || matches(&self.patterns, name)
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.0.len() + self.networks.len() + self.patterns.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// IPv4 stands in the lowest bits, as Postgrey has it: `::/0` is everybody.
fn in_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => Ipv6Addr::from_bits(u128::from(v4.to_bits())),
        IpAddr::V6(v6) => v6,
    }
}

/// `192.0.2.25`, `192.0.2`, `192.0.2.0/24`, and IPv6.
fn network(entry: &str) -> Option<(Ipv6Addr, u32)> {
    if let Some((address, length)) = entry.split_once('/') {
        let (address, length): (IpAddr, u32) = (address.parse().ok()?, length.parse().ok()?);
        let most = if address.is_ipv4() { 32 } else { 128 };
        return (length <= most).then(|| (in_v6(address), 128 - most + length));
    }
    if let Ok(address) = entry.parse::<IpAddr>() {
        return Some((in_v6(address), 128));
    }
    let three = format!("{entry}.0").parse::<std::net::Ipv4Addr>().ok()?;
    Some((in_v6(IpAddr::V4(three)), 120))
}

impl Recipients {
    /// Adds the entries of one file.
    pub fn read(&mut self, file: &Arc<SourceFile>) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for (entry, place) in entries(file) {
            match pattern(entry) {
                _ if entry.contains(char::is_whitespace) => {
                    let help = "write one address, name@, domain or /pattern/ a line";
                    found.push(unusable(place, "it has blanks in it").help(help));
                }
                Some(Ok(pattern)) => self.patterns.push(pattern),
                Some(Err(why)) => found.push(unusable(place, &why).help("Postgrey doesn't start with it")),
                None if entry.contains('@') => {
                    self.users.insert(entry.to_lowercase());
                }
                None => {
                    self.domains.0.insert(entry.to_lowercase());
                }
            }
        }
        found
    }

    /// Whether a recipient is in it.
    #[must_use]
    pub fn has(&self, recipient: &str) -> bool {
        self.has_user(&recipient.to_lowercase())
            || self.domains.has(recipient, b"@.")
            || matches(&self.patterns, recipient)
    }

    /// `name@`, `name@domain`, both with any extension.
    fn has_user(&self, recipient: &str) -> bool {
        let Some((user, domain)) = recipient.split_once('@') else { return false };
        let plus = user.bytes().enumerate().filter(|(_, byte)| *byte == b'+').map(|(at, _)| at);
        let mut ends = plus.chain([user.len()]);
        ends.any(|end| {
            let user = user.get(..end).unwrap_or(user);
            self.users.contains(&format!("{user}@")) || self.users.contains(&format!("{user}@{domain}"))
        })
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.domains.0.len() + self.users.len() + self.patterns.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
