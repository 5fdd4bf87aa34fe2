//! The PROXY protocol, versions 1 and 2: what a proxy says first about the client behind it.
//!
//! [`read`] looks at the bytes so far and wants to see them again with more behind until they are a whole header;
//! the header's [`Header::length`] says which bytes the session doesn't get to see. It keeps nothing and waits for
//! nothing. What can't be believed is a [`Fault`], worded as Postfix's log line: whoever talks to a port behind
//! a proxy and isn't a proxy gets no further. As in Postfix, `UNKNOWN` and addresses that aren't TCP's are faults:
//! a client without address must not pass for the proxy, which may be in `mynetworks`.
//!
//! Type-length-value fields are passed over, but for the checksum, which must be right where it is given.
//! Specification: haproxy's doc/proxy-protocol.txt. T2.3.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The longest line of version 1, `<CR><LF>` included.
pub const LINE_BYTES_MAX: usize = 107;
/// The longest header of version 2 that is listened to.
pub const HEADER_BYTES_MAX: usize = 4096;
/// The most of a faulty header that is worth showing, as Postfix does.
const SHOWN_BYTES_MAX: usize = 536;

const LINE_START: &[u8] = b"PROXY ";
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED_BYTES: usize = 16;
/// PP2_TYPE_CRC32C
const CHECKSUM: u8 = 0x03;

/// A whole header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who connected.
    pub origin: Origin,
    /// So many bytes are the header.
    pub length: usize,
}

/// Who connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client, by way of the proxy.
    Client {
        /// The client's end.
        from: SocketAddr,
        /// The end that it connected to.
        to: SocketAddr,
    },
    /// The proxy itself (`LOCAL`: a health check).
    Proxy,
}

/// Why bytes are no header. The words are Postfix's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing was said.
    #[error("EOF")]
    Nothing,
    /// Too little to be either version.
    #[error("short protocol header")]
    Short,
    /// Something else than a header.
    #[error("unrecognized protocol header")]
    Unrecognized,
    /// A line without end.
    #[error("missing protocol header terminator")]
    MissingTerminator,
    /// Neither `TCP4` nor `TCP6`.
    #[error("bad or missing protocol type")]
    ProtocolType,
    /// The client's address isn't one, or of the other family.
    #[error("bad or missing client address")]
    ClientAddress,
    /// The same of ours.
    #[error("bad or missing server address")]
    ServerAddress,
    /// Not a number up to 65535 without leading zeros.
    #[error("bad or missing client port")]
    ClientPort,
    /// The same of ours.
    #[error("bad or missing server port")]
    ServerPort,
    /// Cut off, or longer than [`HEADER_BYTES_MAX`].
    #[error("short version 2 protocol header")]
    ShortBinary,
    /// A version after 2.
    #[error("unrecognized protocol version")]
    Version,
    /// Neither `LOCAL` nor `PROXY`.
    #[error("bad command in proxy header")]
    Command,
    /// Neither TCP over IPv4 nor over IPv6.
    #[error("unsupported network protocol")]
    Network,
    /// No room for the addresses in it.
    #[error("short address field")]
    ShortAddresses,
    /// The checksum is of something else. (Postfix doesn't look at it.)
    #[error("bad checksum")]
    Checksum,
}

impl Fault {
    /// What the log says: the fault, and what was heard instead.
    #[must_use]
    pub fn describe(self, heard: &[u8]) -> String {
        if self == Fault::Nothing {
            return self.to_string();
        }
        let shown = heard.get(..SHOWN_BYTES_MAX).unwrap_or(heard);
        format!("{self}: {}", crate::escape::escaped(shown))
    }
}

/// Reads the header that `bytes` begin with; `None` while it isn't whole.
///
/// # Errors
/// [`Fault`] as soon as it is certain.
pub fn read(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    if bytes.starts_with(LINE_START) {
        return read_line(bytes);
    }
    if bytes.starts_with(SIGNATURE) {
        return read_binary(bytes);
    }
    if LINE_START.starts_with(bytes) || SIGNATURE.starts_with(bytes) {
        return Ok(None);
    }
    Err(if bytes.len() < FIXED_BYTES { Fault::Short } else { Fault::Unrecognized })
}

/// What is wrong with `bytes` when nothing comes after them.
#[must_use]
pub fn cut_off(bytes: &[u8]) -> Fault {
    match bytes {
        [] => Fault::Nothing,
        _ if bytes.starts_with(LINE_START) => Fault::MissingTerminator,
        _ if bytes.starts_with(SIGNATURE) && bytes.len() >= FIXED_BYTES => Fault::ShortBinary,
        _ => Fault::Short,
    }
}

fn read_line(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    let within = bytes.get(..LINE_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = within.iter().position(|&byte| byte == b'\n') else {
        return if bytes.len() < LINE_BYTES_MAX { Ok(None) } else { Err(Fault::MissingTerminator) };
    };
    let line = String::from_utf8_lossy(within.get(LINE_START.len()..end).unwrap_or_default());
    let mut words = line.trim_end_matches('\r').split(' ').filter(|word| !word.is_empty());
    let family: fn(&str) -> Option<IpAddr> = match words.next() {
        Some("TCP4") => |word| mail::host::parse_ipv4(word).map(IpAddr::V4),
        Some("TCP6") => |word| mail::host::parse_ipv6(word).map(IpAddr::V6),
        _ => return Err(Fault::ProtocolType),
    };
    let from = words.next().and_then(family).ok_or(Fault::ClientAddress)?;
    let to = words.next().and_then(family).ok_or(Fault::ServerAddress)?;
    let from_port = words.next().and_then(port).ok_or(Fault::ClientPort)?;
    let to_port = words.next().and_then(port).ok_or(Fault::ServerPort)?;
    let length = end.saturating_add(1);
    Ok(Some(Header { origin: client((from, from_port), (to, to_port)), length }))
}

fn port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| plain)
}

fn read_binary(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    let Some(&[version_and_command, family, high, low]) =
        bytes.get(SIGNATURE.len()..).and_then(|rest| rest.first_chunk::<4>())
    else {
        return Ok(None);
    };
    let length = FIXED_BYTES.saturating_add(usize::from(u16::from_be_bytes([high, low])));
    if length > HEADER_BYTES_MAX {
        return Err(Fault::ShortBinary);
    }
    let Some(header) = bytes.get(..length) else { return Ok(None) };
    let rest = header.get(FIXED_BYTES..).unwrap_or_default();
    if version_and_command >> 4 != 2 {
        return Err(Fault::Version);
    }
    let (origin, fields) = match (version_and_command & 0x0f, family) {
        (0, _) => (Origin::Proxy, rest.get(address_bytes(family)..).unwrap_or_default()),
        (1, 0x11) => {
            let (addresses, fields) = rest.split_first_chunk::<12>().ok_or(Fault::ShortAddresses)?;
            let &[a, b, c, d, e, f, g, h, p, q, r, s] = addresses;
            let (from, to) = (IpAddr::from([a, b, c, d]), IpAddr::from([e, f, g, h]));
            (client((from, u16::from_be_bytes([p, q])), (to, u16::from_be_bytes([r, s]))), fields)
        }
        (1, 0x21) => {
            let (from, more) = rest.split_first_chunk::<16>().ok_or(Fault::ShortAddresses)?;
            let (to, more) = more.split_first_chunk::<16>().ok_or(Fault::ShortAddresses)?;
            let (&[p, q, r, s], fields) = more.split_first_chunk::<4>().ok_or(Fault::ShortAddresses)?;
            let (from, to) = (IpAddr::V6(Ipv6Addr::from(*from)), IpAddr::V6(Ipv6Addr::from(*to)));
            (client((from, u16::from_be_bytes([p, q])), (to, u16::from_be_bytes([r, s]))), fields)
        }
        (1, _) => return Err(Fault::Network),
        _ => return Err(Fault::Command),
    };
    check(header, fields)?;
    Ok(Some(Header { origin, length }))
}

/// What the address block of a `LOCAL` header takes, which nobody looks at.
const fn address_bytes(family: u8) -> usize {
    match family >> 4 {
        1 => 12,
        2 => 36,
        3 => 216,
        _ => 0,
    }
}

fn client(from: (IpAddr, u16), to: (IpAddr, u16)) -> Origin {
    let end = |(address, port): (IpAddr, u16)| SocketAddr::new(address.to_canonical(), port);
    Origin::Client { from: end(from), to: end(to) }
}

/// Holds a header against its checksum, where there is one among its `fields`. Fields that aren't well-formed are
/// nobody's loss.
fn check(header: &[u8], mut fields: &[u8]) -> Result<(), Fault> {
    while let Some((&[kind, high, low], rest)) = fields.split_first_chunk::<3>() {
        let Some((value, next)) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low]))) else {
            return Ok(());
        };
        if kind == CHECKSUM {
            let given = <[u8; 4]>::try_from(value).map_err(|_| Fault::Checksum)?;
            // It is of the header with zeros in the checksum's place.
            let at = header.len().saturating_sub(rest.len())..header.len().saturating_sub(next.len());
            let bytes = header.iter().enumerate().map(|(n, &byte)| if at.contains(&n) { 0 } else { byte });
            if crc32c(bytes) != u32::from_be_bytes(given) {
                return Err(Fault::Checksum);
            }
        }
        fields = next;
    }
    Ok(())
}

/// CRC-32C (Castagnoli), RFC 3720 §12.1.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

/// For fuzzing: bytes that come one by one come to the same as at once, no verdict is taken back, and no more is
/// wanted than the bounds say.
///
/// # Panics
/// When one of these doesn't hold.
pub fn fuzz(bytes: &[u8]) {
    let whole = read(bytes);
    for end in 0..=bytes.len() {
        let start = bytes.get(..end).unwrap_or_default();
        match read(start) {
            Ok(None) => {
                assert!(end < HEADER_BYTES_MAX, "no more than the longest header is waited for");
                assert!(end < bytes.len() || whole == Ok(None), "all of it is all of it");
                let _ = cut_off(start).describe(start);
            }
            Ok(Some(header)) => {
                assert!(header.length == end, "it is whole with its last byte, not later");
                assert!(whole == Ok(Some(header)), "what follows the header changes nothing");
                return;
            }
            Err(fault) => {
                assert!(whole.is_err(), "a fault isn't mended by what follows");
                assert!(fault.describe(start).len() <= 64 + 4 * SHOWN_BYTES_MAX, "log lines are bounded");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
