//! A small DNS: the records of one dialogue, served over UDP and TCP, and a list of what was asked.
//!
//! Lines read `name TYPE data [delay=300ms]`; an IP address as name stands for its reverse name. A name
//! without records doesn't exist (NXDOMAIN); `NODATA`, `NXDOMAIN`, `SERVFAIL`, `REFUSED` and `TIMEOUT`
//! in the place of the data (or of type and data) give those answers. Aliases are followed. The name `*` stands
//! for every name without lines of its own.
//!
//! Deliberately missing: zones, delegation, DNSSEC, EDNS, compression in answers (RFC 1035 §4.1.4).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::wire;

/// The record types that a dialogue can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An IPv4 address.
    A,
    /// A name server.
    Ns,
    /// An alias.
    Cname,
    /// Start of authority.
    Soa,
    /// A reverse name.
    Ptr,
    /// A mail exchanger.
    Mx,
    /// Text.
    Txt,
    /// An IPv6 address.
    Aaaa,
    /// Anything else, by number.
    Other(u16),
}

impl Kind {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Kind::A => 1,
            Kind::Ns => 2,
            Kind::Cname => 5,
            Kind::Soa => 6,
            Kind::Ptr => 12,
            Kind::Mx => 15,
            Kind::Txt => 16,
            Kind::Aaaa => 28,
            Kind::Other(number) => number,
        }
    }

    /// The type with this number.
    #[must_use]
    pub const fn from_number(number: u16) -> Kind {
        match number {
            1 => Kind::A,
            2 => Kind::Ns,
            5 => Kind::Cname,
            6 => Kind::Soa,
            12 => Kind::Ptr,
            15 => Kind::Mx,
            16 => Kind::Txt,
            28 => Kind::Aaaa,
            other => Kind::Other(other),
        }
    }

    /// Reads `MX`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Kind> {
        Some(match word {
            "A" => Kind::A,
            "NS" => Kind::Ns,
            "CNAME" => Kind::Cname,
            "SOA" => Kind::Soa,
            "PTR" => Kind::Ptr,
            "MX" => Kind::Mx,
            "TXT" => Kind::Txt,
            "AAAA" => Kind::Aaaa,
            _ => return None,
        })
    }
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A.
    A(Ipv4Addr),
    /// AAAA.
    Aaaa(Ipv6Addr),
    /// MX: preference and host.
    Mx(u16, String),
    /// NS, PTR or CNAME.
    Name(Kind, String),
    /// TXT.
    Txt(String),
    /// SOA: the primary's name; the numbers are made up.
    Soa(String),
}

impl Content {
    /// The type of this record.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Content::A(_) => Kind::A,
            Content::Aaaa(_) => Kind::Aaaa,
            Content::Mx(..) => Kind::Mx,
            Content::Name(kind, _) => *kind,
            Content::Txt(_) => Kind::Txt,
            Content::Soa(_) => Kind::Soa,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Record(Content),
    Special(Special),
}

/// Answers that aren't records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// The name doesn't exist.
    NoName,
    /// The name exists, without such records.
    NoRecords,
    /// The server failed.
    ServerFailure,
    /// The server doesn't want to.
    Refused,
    /// No answer at all.
    Silence,
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    kind: Option<Kind>,
    outcome: Outcome,
    delay: Duration,
}

/// What the server says to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Owner name and content, aliases first; or why there are none.
    pub records: Result<Vec<(String, Content)>, Special>,
    /// How long it lets the client wait.
    pub delay: Duration,
}

/// A line of a `[dns]` section that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("[dns] {line:?}: {why}")]
pub struct BadRecord {
    line: String,
    why: &'static str,
}

/// What is said of names that have nothing of their own, as captive resolvers do.
const EVERY_NAME: &str = "*";

/// The names of one dialogue.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    entries: Vec<Entry>,
}

/// The name under which `address` is looked up: `2.2.0.192.in-addr.arpa`.
#[must_use]
pub fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let nibbles: Vec<String> = v6
                .octets()
                .iter()
                .rev()
                .flat_map(|byte| [byte & 15, byte >> 4])
                .map(|nibble| format!("{nibble:x}"))
                .collect();
            format!("{}.ip6.arpa", nibbles.join("."))
        }
    }
}

fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn duration(text: &str) -> Option<Duration> {
    if let Some(ms) = text.strip_suffix("ms") {
        return ms.parse().ok().map(Duration::from_millis);
    }
    text.strip_suffix('s')?.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok())
}

impl Zone {
    /// Reads the lines of a `[dns]` section.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Zone, BadRecord> {
        let mut zone = Zone::default();
        for line in lines {
            let text = line.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let entry = parse_line(text).map_err(|why| BadRecord { line: text.to_owned(), why })?;
            zone.entries.push(entry);
        }
        Ok(zone)
    }

    /// The answer to one question.
    #[must_use]
    pub fn answer(&self, name: &str, kind: Kind) -> Answer {
        let mut name = plain(name);
        let mut found = Vec::new();
        let mut delay = Duration::ZERO;
        for _ in 0..8 {
            let mut here = self.named(&name);
            if here.is_empty() {
                here = self.named(EVERY_NAME);
            }
            let special = here.iter().find_map(|entry| match entry.outcome {
                Outcome::Special(special) if entry.kind.is_none_or(|k| k == kind) => {
                    Some((special, entry.delay))
                }
                _ => None,
            });
            if let Some((special, wait)) = special {
                return Answer { records: Err(special), delay: delay.max(wait) };
            }
            let mut alias = None;
            for entry in &here {
                let Outcome::Record(content) = &entry.outcome else { continue };
                if content.kind() == kind || content.kind() == Kind::Cname {
                    found.push((name.clone(), content.clone()));
                    delay = delay.max(entry.delay);
                }
                if let (Content::Name(Kind::Cname, target), true) = (content, kind != Kind::Cname) {
                    alias = Some(plain(target));
                }
            }
            if let Some(target) = alias {
                name = target;
                continue;
            }
            let records = match (found.is_empty(), self.exists(&name)) {
                (false, _) => Ok(found),
                (true, true) => Err(Special::NoRecords),
                (true, false) => Err(Special::NoName),
            };
            return Answer { records, delay };
        }
        Answer { records: Err(Special::ServerFailure), delay }
    }

    fn named(&self, name: &str) -> Vec<&Entry> {
        self.entries.iter().filter(|entry| entry.name == name).collect()
    }

    fn exists(&self, name: &str) -> bool {
        !self.named(EVERY_NAME).is_empty()
            || self.entries.iter().any(|entry| {
                entry.name == name
                    || entry
                        .name
                        .strip_suffix(name)
                        .is_some_and(|head| name.is_empty() || head.ends_with('.'))
            })
    }
}

fn parse_line(text: &str) -> Result<Entry, &'static str> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let mut delay = Duration::ZERO;
    if let Some(wait) = words.last().and_then(|word| word.strip_prefix("delay=")) {
        delay = duration(wait).ok_or("a delay reads delay=300ms or delay=1.5s")?;
        words.pop();
    }
    let mut words = words.into_iter();
    let name = words.next().ok_or("no name")?;
    let name = name.parse::<IpAddr>().map_or_else(|_| plain(name), reverse_name);
    let first = words.next().ok_or("no type")?;
    if let Some(special) = special(first) {
        return Ok(Entry { name, kind: None, outcome: Outcome::Special(special), delay });
    }
    let kind = Kind::parse(first).ok_or("no such type")?;
    let value = words.next().ok_or("no data")?;
    if let Some(special) = special(value) {
        return Ok(Entry { name, kind: Some(kind), outcome: Outcome::Special(special), delay });
    }
    let content = match kind {
        Kind::A => Content::A(value.parse().map_err(|_| "not an IPv4 address")?),
        Kind::Aaaa => Content::Aaaa(value.parse().map_err(|_| "not an IPv6 address")?),
        Kind::Mx => {
            let preference = value.parse().map_err(|_| "an MX reads: preference host")?;
            Content::Mx(preference, words.next().ok_or("an MX reads: preference host")?.to_owned())
        }
        Kind::Txt => {
            let at = text.find(" TXT ").and_then(|at| text.get(at + 5..)).unwrap_or(value).trim();
            Content::Txt(at.trim_matches('"').to_owned())
        }
        Kind::Soa => Content::Soa(value.to_owned()),
        _ => Content::Name(kind, value.to_owned()),
    };
    Ok(Entry { name, kind: Some(kind), outcome: Outcome::Record(content), delay })
}

fn special(word: &str) -> Option<Special> {
    Some(match word {
        "NXDOMAIN" => Special::NoName,
        "NODATA" => Special::NoRecords,
        "SERVFAIL" => Special::ServerFailure,
        "REFUSED" => Special::Refused,
        "TIMEOUT" => Special::Silence,
        _ => return None,
    })
}

/// One question that reached the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// In small letters, without the last dot.
    pub name: String,
    /// Which type.
    pub kind: Kind,
    /// When.
    pub at: Instant,
}

#[derive(Default)]
struct Shared {
    zone: Zone,
    asked: Vec<Asked>,
}

/// A running server; lives as long as the process.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Mutex<Shared>>,
}

impl Server {
    /// Listens on `address` by UDP and TCP, with no names yet.
    pub fn start(address: SocketAddr) -> std::io::Result<Server> {
        let server = Server { shared: Arc::default() };
        let udp = UdpSocket::bind(address)?;
        let tcp = TcpListener::bind(address)?;
        let this = server.clone();
        std::thread::spawn(move || this.serve_udp(&udp));
        let this = server.clone();
        std::thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let this = this.clone();
                std::thread::spawn(move || this.serve_tcp(stream));
            }
        });
        Ok(server)
    }

    /// Listens nowhere: for a server in this process.
    #[must_use]
    pub fn quiet() -> Server {
        Server { shared: Arc::default() }
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Other names from now on; forgets what was asked.
    pub fn load(&self, zone: Zone) {
        *self.shared() = Shared { zone, asked: Vec::new() };
    }

    /// What was asked since the names were loaded, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.shared().asked.clone()
    }

    /// The answer to one question, which is remembered.
    #[must_use]
    pub fn ask(&self, name: &str, kind: Kind) -> Answer {
        let mut shared = self.shared();
        shared.asked.push(Asked { name: plain(name), kind, at: Instant::now() });
        shared.zone.answer(name, kind)
    }

    fn answer(&self, packet: &[u8]) -> Option<(wire::Query, Answer)> {
        let query = wire::Query::parse(packet)?;
        let answer = self.ask(&query.name, query.kind);
        Some((query, answer))
    }

    fn serve_udp(&self, socket: &UdpSocket) {
        let mut packet = [0; 1500];
        while let Ok((length, peer)) = socket.recv_from(&mut packet) {
            let Some((query, answer)) = packet.get(..length).and_then(|bytes| self.answer(bytes)) else {
                continue;
            };
            let delay = answer.delay;
            let Some(reply) = wire::reply(&query, &answer, 512) else { continue };
            if delay.is_zero() {
                let _ = socket.send_to(&reply, peer);
            } else if let Ok(socket) = socket.try_clone() {
                std::thread::spawn(move || {
                    std::thread::sleep(delay);
                    let _ = socket.send_to(&reply, peer);
                });
            }
        }
    }

    fn serve_tcp(&self, mut stream: TcpStream) {
        use std::io::{Read, Write};
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let mut length = [0; 2];
        while stream.read_exact(&mut length).is_ok() {
            let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
            if stream.read_exact(&mut packet).is_err() {
                return;
            }
            let Some((query, answer)) = self.answer(&packet) else { return };
            let Some(reply) = wire::reply(&query, &answer, usize::from(u16::MAX)) else { return };
            std::thread::sleep(answer.delay);
            let Ok(length) = u16::try_from(reply.len()) else { return };
            if stream.write_all(&length.to_be_bytes()).is_err() || stream.write_all(&reply).is_err() {
                return;
            }
        }
    }
}

/// The distinct names in `asked` of `kind`, sorted.
#[must_use]
pub fn names(asked: &[Asked], kind: Kind) -> BTreeSet<String> {
    asked.iter().filter(|a| a.kind == kind).map(|a| a.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Zone {
        Zone::parse([
            "192.0.2.2 PTR mail.example.",
            "mail.example. A 192.0.2.2 delay=300ms",
            "www.example. CNAME mail.example.",
            "deep.under.example. TXT \"a b\"",
            "bad.example. SERVFAIL",
            "half.example. MX TIMEOUT",
            "half.example. A 192.0.2.3",
            "2001:db8::1 PTR six.example.",
        ])
        .unwrap()
    }

    #[test]
    fn answers() {
        let zone = zone();
        let check = |name: &str, kind, expect: Result<usize, Special>| {
            assert_eq!(zone.answer(name, kind).records.map(|r| r.len()), expect, "{name}");
        };
        check("2.2.0.192.IN-ADDR.arpa.", Kind::Ptr, Ok(1));
        check("mail.example", Kind::A, Ok(1));
        check("mail.example", Kind::Mx, Err(Special::NoRecords));
        check("www.example", Kind::A, Ok(2));
        check("under.example", Kind::A, Err(Special::NoRecords));
        check("xmail.example", Kind::A, Err(Special::NoName));
        check("bad.example", Kind::Mx, Err(Special::ServerFailure));
        check("half.example", Kind::Mx, Err(Special::Silence));
        check("half.example", Kind::A, Ok(1));
        assert_eq!(zone.answer("mail.example", Kind::A).delay, Duration::from_millis(300));
        assert_eq!(
            zone.answer("deep.under.example", Kind::Txt).records.unwrap()[0].1,
            Content::Txt("a b".to_owned())
        );
    }

    #[test]
    fn served_over_both() {
        use std::io::{Read, Write};
        let address: SocketAddr = "127.0.0.1:15353".parse().unwrap();
        let server = Server::start(address).unwrap();
        server.load(zone());
        let question =
            b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x00\x00\x01\x00\x01";
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.send_to(question, address).unwrap();
        let mut packet = [0; 600];
        let length = udp.recv(&mut packet).unwrap();
        assert_eq!(&packet[..2], b"\x12\x34");
        assert_eq!(&packet[6..8], &[0, 2]);
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.write_all(&u16::try_from(question.len()).unwrap().to_be_bytes()).unwrap();
        tcp.write_all(question).unwrap();
        let mut reply = vec![0; length + 2];
        tcp.read_exact(&mut reply).unwrap();
        assert_eq!(&reply[2..], &packet[..length]);
        assert_eq!(server.asked().len(), 2);
    }
}
