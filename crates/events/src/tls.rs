//! TLS hand-shakes of the server and the client side (RFC 8446, RFC 3207).
//!
//! `Anonymous TLS connection established from name[address]: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384
//! (256/256 bits) key-exchange X25519 …`, and what is said when there is none.

use crate::record::{Record, Text};
use crate::scan;
use crate::smtpd::Peer;
use std::fmt;

words! {
    /// How far the other side's certificate was believed.
    Trust {
        /// It had none.
        Anonymous = "Anonymous",
        /// It had one that nobody vouches for.
        Untrusted = "Untrusted",
        /// It had a trusted one with another name.
        Trusted = "Trusted",
        /// It had a trusted one with the right name.
        Verified = "Verified",
    }
}

words! {
    /// Who connected.
    Direction {
        /// A client, to us.
        From = "from",
        /// We, to a server.
        To = "to",
    }
}

record! {
    /// A hand-shake that went well.
    TlsEstablished<'a> {
        /// How far the peer is believed.
        trust: Trust,
        /// Who connected.
        direction: Direction,
        /// The other side; to a server with `:25` behind it.
        peer: Text<'a>,
        /// `TLSv1.3`.
        protocol: Text<'a>,
        /// `TLS_AES_256_GCM_SHA384`.
        cipher: Text<'a>,
        /// The key bits used.
        bits: u32,
        /// The key bits that the cipher has.
        algorithm_bits: u32,
        /// What TLS 1.3 adds: `key-exchange X25519 server-signature …`; may be empty.
        more: Text<'a>,
    }
}

impl<'a> Record<'a> for TlsEstablished<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (trust, rest) = scan::until(text, " TLS connection established ")?;
        let (direction, rest) = scan::until(rest, " ")?;
        let (peer, rest) = scan::until(rest, ": ")?;
        let (protocol, rest) = scan::until(rest, " with cipher ")?;
        let (cipher, rest) = scan::until(rest, " (")?;
        let (bits, rest) = scan::leading_number(rest)?;
        let (algorithm_bits, rest) = scan::leading_number(rest.strip_prefix('/')?)?;
        let rest = rest.strip_prefix(" bits)")?;
        let more =
            if rest.is_empty() { "" } else { rest.strip_prefix(' ').filter(|more| !more.is_empty())? };
        Some(TlsEstablished {
            trust: Trust::from_word(trust)?,
            direction: Direction::from_word(direction)?,
            peer: peer.into(),
            protocol: protocol.into(),
            cipher: cipher.into(),
            bits,
            algorithm_bits,
            more: more.into(),
        })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let (trust, direction, peer) = (self.trust, self.direction, &self.peer);
        write!(out, "{trust} TLS connection established {direction} {peer}: {} with cipher ", self.protocol)?;
        write!(out, "{} ({}/{} bits)", self.cipher, self.bits, self.algorithm_bits)?;
        if self.more.is_empty() { Ok(()) } else { write!(out, " {}", self.more) }
    }
}

record! {
    /// `setting up TLS connection from name[address]`, with `smtpd_tls_loglevel` 2 and up.
    TlsStarting<'a> {
        /// Who connected.
        direction: Direction,
        /// The other side.
        peer: Text<'a>,
    }
}

impl<'a> Record<'a> for TlsStarting<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (direction, peer) = text.strip_prefix("setting up TLS connection ")?.split_once(' ')?;
        Some(TlsStarting { direction: Direction::from_word(direction)?, peer: peer.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "setting up TLS connection {} {}", self.direction, self.peer)
    }
}

record! {
    /// `SSL_accept error from name[address]: lost connection`
    TlsFailed<'a> {
        /// `SSL_accept` or `SSL_connect`, with who connected.
        direction: Direction,
        /// The other side.
        peer: Peer<'a>,
        /// Why: `-1`, `lost connection`, `Connection timed out`.
        reason: Text<'a>,
    }
}

impl<'a> Record<'a> for TlsFailed<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (direction, rest) = match text.strip_prefix("SSL_accept error from ") {
            Some(rest) => (Direction::From, rest),
            None => (Direction::To, text.strip_prefix("SSL_connect error to ")?),
        };
        let (peer, rest) = Peer::parse_prefix(rest)?;
        Some(TlsFailed { direction, peer, reason: rest.strip_prefix(": ")?.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let call = match self.direction {
            Direction::From => "SSL_accept",
            Direction::To => "SSL_connect",
        };
        write!(out, "{call} error {} {}: {}", self.direction, self.peer, self.reason)
    }
}
