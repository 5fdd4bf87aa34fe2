//! Packets: four bytes of length, a letter, and what belongs to it.
//!
//! Nothing is believed: a length beyond [`PACKET_BYTES_MAX`] ends the connection before a byte of it is read.

use super::{Event, Fault, Link, Macros, Offer, Stage};

/// The largest packet that is read: the milter library's largest body chunk and room around it.
pub const PACKET_BYTES_MAX: usize = (1 << 20) + 4_096;
/// The bound that Postfix names in its warning.
pub(super) const POSTFIX_BYTES_MAX: u32 = 1_073_741_823;

/// What bytes hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading<'a> {
    /// Not a whole packet.
    More,
    /// The letter, what belongs to it, and the length of it all.
    Packet(u8, &'a [u8], usize),
}

pub(super) fn read(bytes: &[u8]) -> Result<Reading<'_>, Fault> {
    let mut rest = bytes;
    let Some(said) = number(&mut rest) else { return Ok(Reading::More) };
    if said == 0 {
        return Err(Fault::Length(said));
    }
    let length = usize::try_from(said).ok().filter(|length| *length <= PACKET_BYTES_MAX);
    let length = length.ok_or(Fault::Size(said))?;
    match rest.get(..length).and_then(<[u8]>::split_first) {
        Some((letter, body)) => Ok(Reading::Packet(*letter, body, length.saturating_add(4))),
        None => Ok(Reading::More),
    }
}

pub(super) fn write(letter: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    let length = parts.iter().fold(1usize, |sum, part| sum.saturating_add(part.len()));
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    out.push(letter);
    for part in parts {
        out.extend_from_slice(part);
    }
}

pub(super) fn number(rest: &mut &[u8]) -> Option<u32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_be_bytes(*head))
}

/// Bytes up to a NUL.
pub(super) fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = memchr::memchr(0, rest)?;
    let (text, tail) = rest.split_at_checked(end)?;
    *rest = tail.get(1..)?;
    Some(text)
}

/// For fuzzers: whatever a filter says, in pieces of any size, is an answer, a fault, or not whole, and nothing that
/// comes later changes what came before.
///
/// # Panics
/// Where it depends on the pieces.
pub fn fuzz(bytes: &[u8], piece: usize) {
    let Some(offer) = Offer::new(6) else { return };
    let run = |size: usize| {
        let mut link = Link::default();
        let mut agreed = false;
        let mut said = Vec::new();
        'all: for part in bytes.chunks(size.max(1)) {
            link.take(part);
            loop {
                if !agreed {
                    match link.agree(offer) {
                        Ok(Some(_)) => agreed = true,
                        Ok(None) => break,
                        Err(fault) => {
                            said.push(fault.to_string());
                            break 'all;
                        }
                    }
                    continue;
                }
                match link.next(Stage::EndOfMessage) {
                    Ok(Some(answer)) => said.push(format!("{answer:?}")),
                    Ok(None) => break,
                    Err(fault) => {
                        said.push(fault.to_string());
                        break 'all;
                    }
                }
            }
        }
        // What goes to such a filter is written without a panic too.
        let mut out = Vec::new();
        link.tell(&Event::Header { name: "A", value: bytes }, &Macros::default(), &mut out);
        said
    };
    assert_eq!(run(bytes.len()), run(piece), "pieces of {piece} bytes");
}
