//! What goes over the socket between the server and its privileged helper.
//!
//! One `SOCK_SEQPACKET` packet is one request or one answer, with at most one descriptor beside it. The
//! server is the only peer; still every length is checked, as a server that was broken into is what the
//! helper is there to be robust against.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

/// The longest packet. Mail travels by descriptor, so packets hold paths and header lines only.
pub(super) const PACKET_BYTES_MAX: usize = 64 * 1024;

/// What the server asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Open a file that the configuration names, for reading; the answer carries the descriptor.
    Open(String),
    /// Listen on an address that master.cf names; the answer carries the socket.
    Listen(String),
    /// Read main.cf and master.cf again, so that newly named files may be opened.
    Reload,
    /// Open the log file for appending; the answer carries the descriptor.
    Log,
    /// Start the program of a `spawn` service; the answer carries our end of its socket.
    Spawn(String),
    /// Deliver into a Maildir as a user; the message's content is in the descriptor sent along.
    Maildir(MaildirRequest),
}

/// One Maildir delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaildirRequest {
    /// User id of the owner; never below the configured minimum.
    pub uid: u32,
    /// Group id of the owner.
    pub gid: u32,
    /// The Maildir: `new`, `tmp`, `cur` are below it, made where missing.
    pub path: String,
    /// The header lines in front of the content.
    pub head: Vec<u8>,
    /// Where the content starts in the descriptor.
    pub offset: u64,
    /// How many bytes of content there are.
    pub length: u64,
    /// The largest mailbox allowed, in bytes; 0 for no limit.
    pub limit: u64,
}

/// What the helper answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Done; a descriptor may come along.
    Done,
    /// Not now: the reason in Postfix's words, and its DSN.
    Temporary(String),
    /// Never: likewise.
    Permanent(String),
}

/// A packet that isn't ours.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a packet of the privileged helper's protocol is malformed")]
pub struct Malformed;

struct Writer(Vec<u8>);

impl Writer {
    fn tagged(id: u64, tag: u8) -> Writer {
        let mut bytes = id.to_le_bytes().to_vec();
        bytes.push(tag);
        Writer(bytes)
    }
    fn number(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = tail;
        Ok(head)
    }
    fn byte(&mut self) -> Result<u8, Malformed> {
        self.take(1)?.first().copied().ok_or(Malformed)
    }
    fn number(&mut self) -> Result<u64, Malformed> {
        let bytes = self.take(8)?.try_into().map_err(|_| Malformed)?;
        Ok(u64::from_le_bytes(bytes))
    }
    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        self.take(length)
    }
    fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| Malformed)
    }
    fn id32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed)
    }
}

impl Request {
    /// The packet of request number `id`.
    #[must_use]
    pub fn encode(&self, id: u64) -> Vec<u8> {
        match self {
            Request::Open(path) => {
                let mut w = Writer::tagged(id, 1);
                w.bytes(path.as_bytes());
                w.0
            }
            Request::Listen(address) => {
                let mut w = Writer::tagged(id, 2);
                w.bytes(address.as_bytes());
                w.0
            }
            Request::Spawn(path) => {
                let mut w = Writer::tagged(id, 5);
                w.bytes(path.as_bytes());
                w.0
            }
            Request::Reload => Writer::tagged(id, 3).0,
            Request::Log => Writer::tagged(id, 6).0,
            Request::Maildir(m) => {
                let mut w = Writer::tagged(id, 4);
                for number in [u64::from(m.uid), u64::from(m.gid), m.offset, m.length, m.limit] {
                    w.number(number);
                }
                w.bytes(m.path.as_bytes());
                w.bytes(&m.head);
                w.0
            }
        }
    }

    /// Reads a packet.
    ///
    /// # Errors
    /// [`Malformed`] where it isn't one of ours.
    pub fn decode(packet: &[u8]) -> Result<(u64, Request), Malformed> {
        let mut r = Reader(packet);
        let id = r.number()?;
        let request = match r.byte()? {
            1 => Request::Open(r.text()?),
            2 => Request::Listen(r.text()?),
            3 => Request::Reload,
            6 => Request::Log,
            5 => Request::Spawn(r.text()?),
            4 => {
                let (uid, gid) = (r.id32()?, r.id32()?);
                let (offset, length, limit) = (r.number()?, r.number()?, r.number()?);
                let (path, head) = (r.text()?, r.bytes()?.to_vec());
                Request::Maildir(MaildirRequest { uid, gid, path, head, offset, length, limit })
            }
            _ => return Err(Malformed),
        };
        if r.0.is_empty() { Ok((id, request)) } else { Err(Malformed) }
    }
}

impl Answer {
    /// The packet of the answer to request number `id`.
    #[must_use]
    pub fn encode(&self, id: u64) -> Vec<u8> {
        let (tag, text) = match self {
            Answer::Done => (1, ""),
            Answer::Temporary(text) => (2, text.as_str()),
            Answer::Permanent(text) => (3, text.as_str()),
        };
        let mut w = Writer::tagged(id, tag);
        w.bytes(text.as_bytes());
        w.0
    }

    /// Reads a packet.
    ///
    /// # Errors
    /// [`Malformed`] where it isn't one of ours.
    pub fn decode(packet: &[u8]) -> Result<(u64, Answer), Malformed> {
        let mut r = Reader(packet);
        let id = r.number()?;
        let answer = match (r.byte()?, r.text()?) {
            (1, _) => Answer::Done,
            (2, text) => Answer::Temporary(text),
            (3, text) => Answer::Permanent(text),
            _ => return Err(Malformed),
        };
        Ok((id, answer))
    }
}

/// Sends one packet, with a descriptor where one belongs to it. Blocks while the peer's queue is full.
pub(super) fn send(socket: impl AsFd, packet: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(&socket, &[IoSlice::new(packet)], &mut ancillary, SendFlags::NOSIGNAL)
    })?;
    Ok(())
}

/// Where packets are received, one after another.
pub(super) struct Inbox(Box<[u8]>);

impl Inbox {
    pub(super) fn new() -> Inbox {
        Inbox(vec![0; PACKET_BYTES_MAX].into_boxed_slice())
    }

    /// Receives one packet; `None` when the peer has gone.
    pub(super) fn receive(&mut self, socket: impl AsFd) -> io::Result<Option<(&[u8], Option<OwnedFd>)>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let got = rustix::io::retry_on_intr(|| {
            let mut packet = [IoSliceMut::new(&mut self.0)];
            rustix::net::recvmsg(&socket, &mut packet, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        })?;
        if got.bytes == 0 {
            return Ok(None);
        }
        let mut descriptor = None;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
                descriptor = descriptors.next();
            }
        }
        Ok(Some((self.0.get(..got.bytes).unwrap_or_default(), descriptor)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_back() {
        let maildir = Request::Maildir(MaildirRequest {
            uid: 1000,
            gid: 100,
            path: "/var/mail/x/".into(),
            head: b"Return-Path: <>\n".to_vec(),
            offset: 3,
            length: 4,
            limit: 0,
        });
        for request in [
            Request::Open("/a b".into()),
            Request::Listen("0.0.0.0:25".into()),
            Request::Reload,
            Request::Log,
            Request::Spawn("private/x".into()),
            maildir,
        ] {
            let packet = request.encode(7);
            assert_eq!(Request::decode(&packet), Ok((7, request)));
            for cut in 0..packet.len() {
                assert_eq!(Request::decode(&packet[..cut]), Err(Malformed), "cut at {cut}");
            }
        }
        for answer in [Answer::Done, Answer::Temporary("4.2.2 full".into()), Answer::Permanent("x".into())] {
            assert_eq!(Answer::decode(&answer.encode(9)), Ok((9, answer)));
        }
    }
}
