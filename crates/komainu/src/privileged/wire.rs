//! What goes over the socket between the server and its privileged helper.
//!
//! One `SOCK_SEQPACKET` packet is one request or one answer, with at most one descriptor beside it. The
//! server is the only peer; still every length is checked, as a server that was broken into is what the
//! helper is there to be robust against.

use super::pipe_service::PipeValues;
use mail::destination::Destination;
use policy::local::Step;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use std::collections::HashSet;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

/// The longest packet.
pub(crate) const PACKET_BYTES_MAX: usize = 64 * 1024;
/// Mail up to this size travels in the packet, beside paths and header lines; what is larger goes by descriptor.
pub(crate) const PACKED_BYTES_MAX: u64 = 32 * 1024;

/// What the server asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Open a file that the configuration names, for reading; the answer carries the descriptor.
    Open(String),
    /// Listen on an address that master.cf names; the answer carries the socket.
    Listen(String),
    /// Cut short what waits for others: the server stops.
    Stop,
    /// Read main.cf and master.cf again, so that newly named files may be opened.
    Reload,
    /// Open the log file for appending; the answer carries the descriptor.
    Log,
    /// Open the log that reports are made of, or a rotated one before it: 0 is the log, 1 the newest before it; the answer
    /// carries the descriptor.
    PastLog(u64),
    /// Start the program of a `spawn` service; the answer carries our end of its socket.
    Spawn(String),
    /// Connect to a socket below `queue_directory`, with the rights of `mail_owner`; the answer carries it.
    Connect(String),
    /// Open a message in the maildrop, by its name there; the answer carries the descriptor.
    Dropped(String),
    /// Whether this is the password of one of the system's accounts.
    Password(PasswordRequest),
    /// Deliver into a virtual mailbox as its owner.
    Virtual(VirtualRequest),
    /// Whether a mailbox has room.
    Room(RoomRequest),
    /// Something for a local recipient; a message's content is in the descriptor sent along.
    Local(LocalRequest),
    /// Hand a message to the program of a `pipe` line; its content is in the descriptor sent along.
    Pipe(PipeRequest),
}

/// Who knows the passwords of the system's accounts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keeper {
    /// /etc/shadow
    Shadow,
    /// PAM, by the rules of a service.
    Pam(String),
}

/// A password to be judged.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordRequest {
    /// Who is to judge it.
    pub keeper: Keeper,
    /// The account's name.
    pub name: String,
    /// The client's address.
    pub client: String,
    /// What the client says is its password.
    pub password: Vec<u8>,
}

impl std::fmt::Debug for PasswordRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PasswordRequest({:?}, {}, {})", self.keeper, self.name, self.client)
    }
}

impl PasswordRequest {
    fn encode(&self, w: &mut Writer) {
        let (tag, service) = match &self.keeper {
            Keeper::Shadow => (0, ""),
            Keeper::Pam(service) => (1, service.as_str()),
        };
        w.number(tag);
        for text in [service, &self.name, &self.client] {
            w.bytes(text.as_bytes());
        }
        w.bytes(&self.password);
    }

    fn decode(r: &mut Reader<'_>) -> Result<PasswordRequest, Malformed> {
        let (tag, service) = (r.number()?, r.text()?);
        let keeper = match tag {
            0 => Keeper::Shadow,
            1 => Keeper::Pam(service),
            _ => return Err(Malformed),
        };
        let (name, client, password) = (r.text()?, r.text()?, r.bytes()?.to_vec());
        Ok(PasswordRequest { keeper, name, client, password })
    }
}

/// A message for the program of a `pipe` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipeRequest {
    /// The transport's name.
    pub service: String,
    /// What its macros stand for.
    pub values: PipeValues,
    /// How many bytes of content there are.
    pub length: u64,
}

impl PipeRequest {
    fn encode(&self, w: &mut Writer) {
        w.number(self.length);
        for text in [&self.service, &self.values.sender, &self.values.nexthop] {
            w.bytes(text.as_bytes());
        }
        for pairs in [&self.values.recipients, &self.values.others] {
            w.number(pairs.len() as u64);
            for (first, second) in pairs {
                w.bytes(first.as_bytes());
                w.bytes(second.as_bytes());
            }
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<PipeRequest, Malformed> {
        let length = r.number()?;
        let (service, sender, nexthop) = (r.text()?, r.text()?, r.text()?);
        let mut pairs = || -> Result<Vec<(String, String)>, Malformed> {
            let mut pairs = Vec::new();
            for _ in 0..r.number()? {
                pairs.push((r.text()?, r.text()?));
            }
            Ok(pairs)
        };
        let (recipients, others) = (pairs()?, pairs()?);
        let values = PipeValues { sender, recipients, nexthop, others };
        Ok(PipeRequest { service, values, length })
    }
}

/// Something to be done for a local recipient. Whose rights it has follows from the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalRequest {
    /// The address, complete; its local part names the user or the alias.
    pub recipient: String,
    /// Where what is to be done is written; empty for the user's mailbox.
    pub chain: Vec<Step>,
    /// What to do.
    pub act: LocalAct,
    /// The `From ` line, for mailbox files and programs.
    pub from_line: Vec<u8>,
    /// The header lines in front of the content.
    pub head: Vec<u8>,
    /// For programs.
    pub environment: Vec<(String, String)>,
    /// How many bytes of content there are.
    pub length: u64,
}

/// What is to be done for a local recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalAct {
    /// Open the last file of the chain; the answer carries the descriptor, or says why not.
    Look,
    /// Into the user's mailbox.
    Mailbox,
    /// The user's `mailbox_command`.
    MailboxCommand(String),
    /// A command that is written where the chain ends.
    Command(String),
    /// A file likewise.
    File(String),
}

impl LocalRequest {
    /// Whether it only opens a file for reading.
    #[must_use]
    pub fn is_look(&self) -> bool {
        self.act == LocalAct::Look
    }

    /// Whether what is to be done is one of these.
    #[must_use]
    pub fn is_named_in(&self, written: &HashSet<Destination>) -> bool {
        match &self.act {
            LocalAct::Look | LocalAct::Mailbox | LocalAct::MailboxCommand(_) => false,
            LocalAct::Command(command) => written.contains(&Destination::Command(command.clone())),
            LocalAct::File(path) => written.contains(&Destination::File(path.clone())),
        }
    }

    fn encode(&self, w: &mut Writer) {
        w.number(self.length);
        for bytes in [self.recipient.as_bytes(), &self.from_line, &self.head] {
            w.bytes(bytes);
        }
        let (act, text) = match &self.act {
            LocalAct::Look => (0, ""),
            LocalAct::Mailbox => (1, ""),
            LocalAct::MailboxCommand(text) => (2, text.as_str()),
            LocalAct::Command(text) => (3, text.as_str()),
            LocalAct::File(text) => (4, text.as_str()),
        };
        w.number(act);
        w.bytes(text.as_bytes());
        w.number(self.chain.len() as u64);
        for step in &self.chain {
            let (kind, first, second) = match step {
                Step::Alias(name) => (0, name.as_str(), ""),
                Step::Forward { user, path } => (1, user.as_str(), path.as_str()),
                Step::Include(path) => (2, path.as_str(), ""),
            };
            w.number(kind);
            w.bytes(first.as_bytes());
            w.bytes(second.as_bytes());
        }
        w.number(self.environment.len() as u64);
        for (name, value) in &self.environment {
            w.bytes(name.as_bytes());
            w.bytes(value.as_bytes());
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<LocalRequest, Malformed> {
        let length = r.number()?;
        let (recipient, from_line, head) = (r.text()?, r.bytes()?.to_vec(), r.bytes()?.to_vec());
        let act = match (r.number()?, r.text()?) {
            (0, _) => LocalAct::Look,
            (1, _) => LocalAct::Mailbox,
            (2, text) => LocalAct::MailboxCommand(text),
            (3, text) => LocalAct::Command(text),
            (4, text) => LocalAct::File(text),
            _ => return Err(Malformed),
        };
        let mut chain = Vec::new();
        for _ in 0..r.number()? {
            chain.push(match (r.number()?, r.text()?, r.text()?) {
                (0, name, _) => Step::Alias(name),
                (1, user, path) => Step::Forward { user, path },
                (2, path, _) => Step::Include(path),
                _ => return Err(Malformed),
            });
        }
        let mut environment = Vec::new();
        for _ in 0..r.number()? {
            environment.push((r.text()?, r.text()?));
        }
        Ok(LocalRequest { recipient, chain, act, from_line, head, environment, length })
    }
}

/// Something to be done with a virtual recipient's mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualRequest {
    /// The address; the tables say where its mail is written and as whom.
    pub recipient: String,
    /// What the server's tables say. Nothing is written where the helper's say something else.
    pub path: String,
    /// User id of the owner, likewise.
    pub uid: u32,
    /// Group id of the owner, likewise.
    pub gid: u32,
    /// The `From ` line, for mailbox files.
    pub from_line: Vec<u8>,
    /// The header lines in front of the content.
    pub head: Vec<u8>,
    /// The content; `None` where it is in the descriptor sent along.
    pub content: Option<Vec<u8>>,
    /// How many bytes of content there are.
    pub length: u64,
}

/// A recipient for whom mail of some size may come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRequest {
    /// The transport that delivers it: `local` or `virtual`.
    pub transport: String,
    /// The address.
    pub recipient: String,
    /// The size; 0 where nobody knows.
    pub size: u64,
}

/// What the helper answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Done; a descriptor may come along.
    Done,
    /// Done, with a text: how, and on further lines what was odd.
    Said(String),
    /// Not now: the reason in Postfix's words, and its DSN.
    Temporary(String),
    /// Never: likewise.
    Permanent(String),
}

/// A packet that isn't ours.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a packet of the privileged helper's protocol is malformed")]
pub struct Malformed;

pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn tagged(id: u64, tag: u8) -> Writer {
        let mut bytes = id.to_le_bytes().to_vec();
        bytes.push(tag);
        Writer(bytes)
    }
    /// A packet with one text.
    fn named(id: u64, tag: u8, text: &str) -> Vec<u8> {
        let mut w = Writer::tagged(id, tag);
        w.bytes(text.as_bytes());
        w.0
    }
    pub(crate) fn number(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = tail;
        Ok(head)
    }
    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        self.take(1)?.first().copied().ok_or(Malformed)
    }
    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        let bytes = self.take(8)?.try_into().map_err(|_| Malformed)?;
        Ok(u64::from_le_bytes(bytes))
    }
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        self.take(length)
    }
    pub(crate) fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| Malformed)
    }
    pub(crate) fn id32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed)
    }
}

impl Request {
    /// The packet of request number `id`.
    #[must_use]
    pub fn encode(&self, id: u64) -> Vec<u8> {
        match self {
            Request::Open(path) => Writer::named(id, 1, path),
            Request::Listen(address) => Writer::named(id, 2, address),
            Request::Spawn(path) => Writer::named(id, 5, path),
            Request::Dropped(name) => Writer::named(id, 20, name),
            Request::PastLog(nth) => {
                let mut w = Writer::tagged(id, 50);
                w.number(*nth);
                w.0
            }
            Request::Password(request) => {
                let mut w = Writer::tagged(id, 30);
                request.encode(&mut w);
                w.0
            }
            Request::Connect(path) => {
                let mut w = Writer::tagged(id, 21);
                w.bytes(path.as_bytes());
                w.0
            }
            Request::Reload => Writer::tagged(id, 3).0,
            Request::Log => Writer::tagged(id, 6).0,
            Request::Stop => Writer::tagged(id, 10).0,
            Request::Pipe(pipe) => {
                let mut w = Writer::tagged(id, 8);
                pipe.encode(&mut w);
                w.0
            }
            Request::Local(local) => {
                let mut w = Writer::tagged(id, 7);
                local.encode(&mut w);
                w.0
            }
            Request::Virtual(request) => {
                let mut w = Writer::tagged(id, 4);
                let packed = request.content.as_deref();
                w.0.reserve(packed.map_or(0, <[u8]>::len) + request.head.len() + request.path.len() + 200);
                let is_packed = u64::from(packed.is_some());
                for number in [u64::from(request.uid), u64::from(request.gid), is_packed, request.length] {
                    w.number(number);
                }
                for bytes in [request.recipient.as_bytes(), request.path.as_bytes()] {
                    w.bytes(bytes);
                }
                w.bytes(&request.from_line);
                w.bytes(&request.head);
                w.bytes(packed.unwrap_or_default());
                w.0
            }
            Request::Room(request) => {
                let mut w = Writer::tagged(id, 9);
                w.number(request.size);
                w.bytes(request.transport.as_bytes());
                w.bytes(request.recipient.as_bytes());
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
            10 => Request::Stop,
            5 => Request::Spawn(r.text()?),
            20 => Request::Dropped(r.text()?),
            50 => Request::PastLog(r.number()?),
            30 => Request::Password(PasswordRequest::decode(&mut r)?),
            21 => Request::Connect(r.text()?),
            4 => {
                let (uid, gid) = (r.id32()?, r.id32()?);
                let (is_packed, length) = (r.number()?, r.number()?);
                let (recipient, path) = (r.text()?, r.text()?);
                let (from_line, head, content) = (r.bytes()?.to_vec(), r.bytes()?.to_vec(), r.bytes()?);
                let content = match is_packed {
                    0 if content.is_empty() => None,
                    1 if u64::try_from(content.len()) == Ok(length) => Some(content.to_vec()),
                    _ => return Err(Malformed),
                };
                let request = VirtualRequest { recipient, path, uid, gid, from_line, head, content, length };
                Request::Virtual(request)
            }
            9 => {
                let (size, transport, recipient) = (r.number()?, r.text()?, r.text()?);
                Request::Room(RoomRequest { transport, recipient, size })
            }
            7 => Request::Local(LocalRequest::decode(&mut r)?),
            8 => Request::Pipe(PipeRequest::decode(&mut r)?),
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
            Answer::Said(text) => (4, text.as_str()),
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
            (4, text) => Answer::Said(text),
            _ => return Err(Malformed),
        };
        Ok((id, answer))
    }
}

/// Sends one packet, with a descriptor where one belongs to it. Blocks while the peer's queue is full.
pub(crate) fn send(socket: impl AsFd, packet: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
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
pub(crate) struct Inbox(Box<[u8]>);

impl Inbox {
    pub(crate) fn new() -> Inbox {
        Inbox(vec![0; PACKET_BYTES_MAX].into_boxed_slice())
    }

    /// Receives one packet; `None` when the peer has gone.
    pub(crate) fn receive(&mut self, socket: impl AsFd) -> io::Result<Option<(&[u8], Option<OwnedFd>)>> {
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

    fn password(keeper: Keeper) -> Request {
        let (name, client) = ("alice".into(), "192.0.2.1".into());
        Request::Password(PasswordRequest { keeper, name, client, password: b"p\0w".to_vec() })
    }

    #[test]
    fn packets_come_back() {
        let virtual_box = |content: Option<Vec<u8>>| {
            Request::Virtual(VirtualRequest {
                recipient: "a@v.test".into(),
                path: "/var/mail/x/".into(),
                uid: 1000,
                gid: 100,
                from_line: b"From s\n".to_vec(),
                head: b"Return-Path: <>\n".to_vec(),
                content,
                length: 4,
            })
        };
        let liar = virtual_box(Some(b"longer".to_vec())).encode(7);
        assert_eq!(Request::decode(&liar), Err(Malformed), "the length is another");
        let room =
            Request::Room(RoomRequest { transport: "local".into(), recipient: "a@v.test".into(), size: 3 });
        let local = Request::Local(LocalRequest {
            recipient: "joe@example.com".into(),
            chain: vec![
                Step::Alias("list".into()),
                Step::Forward { user: "joe".into(), path: "/home/joe/.forward".into() },
                Step::Include("/etc/list".into()),
            ],
            act: LocalAct::Command("cat".into()),
            from_line: b"From joe\n".to_vec(),
            head: b"Return-Path: <>\n".to_vec(),
            environment: vec![("USER".into(), "joe".into())],
            length: 9,
        });
        let pipe = Request::Pipe(PipeRequest {
            service: "filter".into(),
            values: PipeValues {
                sender: "s@far.test".into(),
                recipients: vec![("a@b".into(), "c@d".into())],
                nexthop: "hop".into(),
                others: vec![("size".into(), "9".into())],
            },
            length: 9,
        });
        for request in [
            Request::Open("/a b".into()),
            Request::Listen("0.0.0.0:25".into()),
            Request::Reload,
            Request::Log,
            Request::Stop,
            Request::Spawn("private/x".into()),
            Request::Dropped("0a.mail".into()),
            Request::PastLog(3),
            Request::Connect("/q/private/auth".into()),
            password(Keeper::Shadow),
            password(Keeper::Pam("smtp".into())),
            virtual_box(None),
            virtual_box(Some(b"text".to_vec())),
            room,
            local,
            pipe,
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
