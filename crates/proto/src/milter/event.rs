//! What a filter is told: events with their stages, and the macros in front of them.

use super::packet;
use std::net::IpAddr;

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A client has connected.
    Connect,
    /// HELO or EHLO.
    Helo,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA.
    Data,
    /// One header.
    Header,
    /// The header has ended.
    EndOfHeader,
    /// A piece of the body.
    Body,
    /// The message has ended.
    EndOfMessage,
    /// A command that isn't known.
    Unknown,
}

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 10] = [
        Stage::Connect,
        Stage::Helo,
        Stage::Mail,
        Stage::Rcpt,
        Stage::Data,
        Stage::Header,
        Stage::EndOfHeader,
        Stage::Body,
        Stage::EndOfMessage,
        Stage::Unknown,
    ];

    pub(super) const fn letter(self) -> u8 {
        match self {
            Stage::Connect => b'C',
            Stage::Helo => b'H',
            Stage::Mail => b'M',
            Stage::Rcpt => b'R',
            Stage::Data => b'T',
            Stage::Header => b'L',
            Stage::EndOfHeader => b'N',
            Stage::Body => b'B',
            Stage::EndOfMessage => b'E',
            Stage::Unknown => b'U',
        }
    }

    /// The name in warnings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Connect => "SMFIC_CONNECT",
            Stage::Helo => "SMFIC_HELO",
            Stage::Mail => "SMFIC_MAIL",
            Stage::Rcpt => "SMFIC_RCPT",
            Stage::Data => "SMFIC_DATA",
            Stage::Header => "SMFIC_HEADER",
            Stage::EndOfHeader => "SMFIC_EOH",
            Stage::Body => "SMFIC_BODY",
            Stage::EndOfMessage => "SMFIC_BODYEOB",
            Stage::Unknown => "SMFIC_UNKNOWN",
        }
    }

    /// The bit by which a filter says that it doesn't want to hear it.
    pub(super) const fn unwanted(self) -> u32 {
        match self {
            Stage::Connect => 0x1,
            Stage::Helo => 0x2,
            Stage::Mail => 0x4,
            Stage::Rcpt => 0x8,
            Stage::Body => 0x10,
            Stage::Header => 0x20,
            Stage::EndOfHeader => 0x40,
            Stage::Unknown => 0x100,
            Stage::Data => 0x200,
            Stage::EndOfMessage => 0,
        }
    }

    /// The bit by which a filter says that it won't answer.
    pub(super) const fn unanswered(self) -> u32 {
        match self {
            Stage::Header => 0x80,
            Stage::Connect => 0x1000,
            Stage::Helo => 0x2000,
            Stage::Mail => 0x4000,
            Stage::Rcpt => 0x8000,
            Stage::Data => 0x1_0000,
            Stage::Unknown => 0x2_0000,
            Stage::EndOfHeader => 0x4_0000,
            Stage::Body => 0x8_0000,
            Stage::EndOfMessage => 0,
        }
    }

    /// Which list of macros a filter may ask for.
    pub(super) const fn list(self) -> Option<usize> {
        match self {
            Stage::Connect => Some(0),
            Stage::Helo => Some(1),
            Stage::Mail => Some(2),
            Stage::Rcpt => Some(3),
            Stage::Data => Some(4),
            Stage::Body | Stage::EndOfMessage => Some(5),
            Stage::Header | Stage::EndOfHeader => Some(6),
            Stage::Unknown => None,
        }
    }
}

/// Something that a filter is told.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A client, by name, address and port; without an address nobody knows.
    Connect {
        /// The verified name, or `[address]`.
        name: &'a str,
        /// Whence.
        address: Option<(IpAddr, u16)>,
    },
    /// The name in HELO.
    Helo(&'a str),
    /// The sender in brackets, then each parameter.
    Mail(&'a [String]),
    /// The recipient in brackets, then each parameter.
    Rcpt(&'a [String]),
    /// DATA.
    Data,
    /// A header: the name, and all behind the colon, its lines parted by LF.
    Header {
        /// The name.
        name: &'a str,
        /// The value with the blank in front.
        value: &'a [u8],
    },
    /// The header has ended.
    EndOfHeader,
    /// A piece of the body, its lines ended by CRLF.
    Body(&'a [u8]),
    /// The message has ended.
    EndOfMessage,
    /// A command line that isn't known.
    Unknown(&'a str),
}

impl Event<'_> {
    /// Its kind.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        match self {
            Event::Connect { .. } => Stage::Connect,
            Event::Helo(_) => Stage::Helo,
            Event::Mail(_) => Stage::Mail,
            Event::Rcpt(_) => Stage::Rcpt,
            Event::Data => Stage::Data,
            Event::Header { .. } => Stage::Header,
            Event::EndOfHeader => Stage::EndOfHeader,
            Event::Body(_) => Stage::Body,
            Event::EndOfMessage => Stage::EndOfMessage,
            Event::Unknown(_) => Stage::Unknown,
        }
    }

    pub(super) fn write(&self, keeps_leading_space: bool, out: &mut Vec<u8>) {
        let letter = self.stage().letter();
        match self {
            Event::Connect { name, address } => {
                let (family, text, port) = match address {
                    Some((address @ IpAddr::V4(_), port)) => (b'4', address.to_string(), *port),
                    Some((address @ IpAddr::V6(_), port)) => (b'6', format!("IPv6:{address}"), *port),
                    None => return packet::write(letter, &[name.as_bytes(), b"\0U"], out),
                };
                let port = port.to_be_bytes();
                packet::write(
                    letter,
                    &[name.as_bytes(), b"\0", &[family], &port, text.as_bytes(), b"\0"],
                    out,
                );
            }
            Event::Helo(text) | Event::Unknown(text) => {
                packet::write(letter, &[text.as_bytes(), b"\0"], out);
            }
            Event::Mail(words) | Event::Rcpt(words) => {
                let text: Vec<u8> = words.iter().flat_map(|word| word.bytes().chain([0])).collect();
                packet::write(letter, &[&text], out);
            }
            Event::Header { name, value } => {
                let plain = value.strip_prefix(b" ").filter(|_| !keeps_leading_space).unwrap_or(value);
                packet::write(letter, &[name.as_bytes(), b"\0", plain, b"\0"], out);
            }
            Event::Body(bytes) => packet::write(letter, &[bytes], out),
            Event::Data | Event::EndOfHeader | Event::EndOfMessage => packet::write(letter, &[], out),
        }
    }
}

/// Macros and their values, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Macros(Vec<(String, String)>);

impl Macros {
    /// One more.
    pub fn push(&mut self, name: &str, value: String) {
        self.0.push((name.to_owned(), value));
    }

    pub(super) fn write(&self, stage: Stage, out: &mut Vec<u8>) {
        let mut body = vec![stage.letter()];
        for (name, value) in &self.0 {
            for text in [name, value] {
                // A NUL in a value is not to be taken for the next name.
                body.extend(text.bytes().filter(|byte| *byte != 0));
                body.push(0);
            }
        }
        packet::write(b'D', &[&body], out);
    }
}
