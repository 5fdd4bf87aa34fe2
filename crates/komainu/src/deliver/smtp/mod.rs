//! Delivery to other servers: `smtp:`, `relay:`, `lmtp:`, and every other transport that master.cf makes of them.
//!
//! One attempt is one message to one nexthop: its servers are tried in order until one has said something final about
//! each recipient. `proto::client` speaks; here are names, sockets and time. T1.12, T2.24. Not here yet: TLS and
//! log-in, so a transport that must have them defers; a connection serves one message.

mod conversation;
mod destination;
mod hosts;
mod transport;

use crate::clock;
use crate::facts::Names;
use crate::strerror::strerror;
use conversation::{End, Letter, Outcome, converse};
use destination::Destination;
use events::delivery::ConnectFailed;
use hosts::Server;
use mail::{Dsn, Mono};
use proto::client::{Client, Mail, Verdict, Why};
use queue::{BodyType, Entry, Recipient, ReturnContent};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use store::Spool;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, UnixStream};

pub use transport::Transport;

/// What one recipient came to, with what the log says besides.
pub struct Report {
    /// The recipient's index in the entry.
    pub index: u32,
    /// How it ended.
    pub verdict: Verdict,
    /// `mx.example[192.0.2.1]:25`, or `none`.
    pub relay: String,
    /// How long it took until the server was ready for the message.
    pub connecting: Duration,
    /// Who said so; `None` where no server was spoken to.
    pub server: Option<Spoken>,
}

/// A server that was spoken to.
#[derive(Clone)]
pub struct Spoken {
    /// `mx.example`.
    pub name: String,
    /// It tells senders what becomes of their mail (RFC 3461).
    pub offers_dsn: bool,
}

impl Report {
    /// `soft_bounce`: what failed is tried again. Whether it had failed.
    pub fn soften(&mut self) -> bool {
        let Verdict::Bounced(why) = &self.verdict else { return false };
        self.verdict = Verdict::Deferred(Why { dsn: Dsn { class: 4, ..why.dsn }, ..why.clone() });
        true
    }
}

/// What an attempt stands on.
pub struct Ground<'a> {
    /// Who knows names.
    pub names: &'a dyn Names,
    /// The mail.
    pub spool: &'a Spool,
    /// Where relative sockets are: `queue_directory`.
    pub queue_directory: &'a Path,
    /// Takes lines for the log.
    pub log: &'a (dyn Fn(events::Event<'_>) + Sync),
}

/// A message that is under way, and who of its recipients is still without a final verdict.
struct Attempt<'a> {
    transport: &'a Transport,
    ground: &'a Ground<'a>,
    number: u64,
    entry: &'a Entry,
    open: Vec<u32>,
    reports: Vec<Report>,
    started: Mono,
    /// Servers that were spoken to.
    sessions: usize,
}

/// Delivers message `number` to the recipients at `indices`, over `nexthop`.
pub async fn deliver(
    transport: &Transport,
    ground: &Ground<'_>,
    (number, entry): (u64, &Entry),
    indices: &[u32],
    nexthop: &str,
) -> Vec<Report> {
    let started = clock::now().mono;
    let (open, reports) = (indices.to_vec(), Vec::new());
    let mut attempt = Attempt { transport, ground, number, entry, open, reports, started, sessions: 0 };
    if let Some(why) = &transport.refused {
        attempt.settle_all(&Verdict::Deferred(why.clone()), "none", Duration::ZERO);
        return attempt.reports;
    }
    let sites: Vec<&str> =
        std::iter::once(nexthop).chain(transport.fallback_relays.iter().map(String::as_str)).collect();
    for (at, site) in sites.iter().enumerate() {
        attempt.site(site, at + 1 == sites.len()).await;
        if attempt.open.is_empty() {
            break;
        }
    }
    attempt.reports
}

/// A server, or what stands for one.
enum Peer {
    Tcp { server: Server, port: u16 },
    Unix(String),
}

impl Peer {
    /// `mx.example[192.0.2.1]`.
    fn host(&self, myhostname: &str) -> String {
        match self {
            Peer::Tcp { server, .. } => format!("{}[{}]", server.name, server.address),
            Peer::Unix(path) => format!("{myhostname}[{path}]"),
        }
    }

    /// `mx.example`.
    fn name(&self, myhostname: &str) -> String {
        match self {
            Peer::Tcp { server, .. } => server.name.clone(),
            Peer::Unix(_) => myhostname.to_owned(),
        }
    }

    /// `mx.example[192.0.2.1]:25`.
    fn relay(&self, myhostname: &str) -> String {
        match self {
            Peer::Tcp { port, .. } => format!("{}:{port}", self.host(myhostname)),
            Peer::Unix(_) => self.host(myhostname),
        }
    }
}

impl Attempt<'_> {
    /// Tries the servers of one destination.
    async fn site(&mut self, nexthop: &str, is_last_site: bool) {
        let peers = match self.peers(nexthop).await {
            Ok(peers) => peers,
            Err(verdict) if is_last_site || !matches!(verdict, Verdict::Deferred(_)) => {
                self.settle_all(&verdict, "none", Duration::ZERO);
                return;
            }
            Err(_) => return,
        };
        let count = peers.len();
        for (at, peer) in peers.iter().enumerate() {
            let limit = self.transport.sessions_max;
            let is_last = is_last_site && (at + 1 == count || (limit > 0 && self.sessions + 1 >= limit));
            self.peer(peer, is_last).await;
            if self.open.is_empty() {
                return;
            }
        }
    }

    async fn peers(&self, nexthop: &str) -> Result<Vec<Peer>, Verdict> {
        let transport = self.transport;
        let (name, port, exchangers) = match Destination::parse(nexthop, transport.is_lmtp()) {
            Destination::Unix(path) => return Ok(vec![Peer::Unix(path.display().to_string())]),
            Destination::Host { name, port, exchangers } => (name, port, exchangers),
        };
        let port = match port {
            None => transport.port,
            Some(name) => transport.port_by_name(&name).ok_or_else(|| {
                let text =
                    format!("mail system configuration error: unknown port {name} in nexthop {nexthop}");
                Verdict::Deferred(Why::new(Dsn::new(4, 3, 5), text))
            })?,
        };
        let lookup = transport.lookup(self.ground.names);
        let seed = self.number ^ self.started.0;
        let mut servers = if exchangers && transport.asks_exchangers {
            lookup.exchangers(&name, seed).await?
        } else {
            lookup.host(&name, seed).await?
        };
        if transport.addresses_max > 0 {
            servers.truncate(transport.addresses_max);
        }
        Ok(servers.into_iter().map(|server| Peer::Tcp { server, port }).collect())
    }

    /// Tries one server. What it only defers is left open where there is another one to try.
    async fn peer(&mut self, peer: &Peer, is_last: bool) {
        let myhostname = &self.transport.myhostname;
        let (host, relay) = (peer.host(myhostname), peer.relay(myhostname));
        let stream = match self.connect(peer).await {
            Ok(stream) => stream,
            Err(reason) => {
                let failed = ConnectFailed { peer: relay.as_str().into(), reason: reason.as_str().into() };
                (self.ground.log)(failed.into());
                if is_last {
                    let why = Why::new(Dsn::new(4, 4, 1), format!("connect to {relay}: {reason}"));
                    self.settle_all(&Verdict::Deferred(why), "none", Duration::ZERO);
                }
                return;
            }
        };
        self.sessions += 1;
        let letter = match self.ground.spool.body(self.number) {
            Ok(body) => Letter::new(body),
            Err(error) => return self.unreadable(&error.to_string(), &relay),
        };
        let client = Client::new(self.transport.conversation.clone(), host, clock::now());
        let Outcome { end, warnings, ready, offers_dsn } =
            converse(stream, client, self.mail(), letter).await;
        for text in warnings {
            let text = format!("{}: {text}", self.entry.id);
            (self.ground.log)(events::daemon::Message::warning(text).into());
        }
        let connecting = ready.map_or(Duration::ZERO, |at| at - self.started);
        let spoken = Spoken { name: peer.name(myhostname), offers_dsn };
        match end {
            End::Verdicts(verdicts) => self.heard(verdicts, &relay, (connecting, &spoken), is_last),
            End::Unusable(verdict) => {
                let verdicts = vec![verdict; self.open.len()];
                self.heard(verdicts, &relay, (connecting, &spoken), is_last);
            }
            End::Unreadable(error) => self.unreadable(&error.to_string(), &relay),
        }
    }

    fn heard(
        &mut self,
        verdicts: Vec<Verdict>,
        relay: &str,
        (connecting, spoken): (Duration, &Spoken),
        is_last: bool,
    ) {
        let mut open = Vec::new();
        let mut said = None;
        for (index, verdict) in std::mem::take(&mut self.open).into_iter().zip(verdicts) {
            if !is_last && matches!(verdict, Verdict::Deferred(_)) {
                open.push(index);
                // Once for all who heard the same.
                let text = &verdict.why().text;
                if said.as_ref() != Some(text) {
                    let line = format!("{}: {text}", self.entry.id);
                    (self.ground.log)(events::Event::Other(line.into()));
                    said = Some(text.clone());
                }
            } else {
                let (relay, server) = (relay.to_owned(), Some(spoken.clone()));
                self.reports.push(Report { index, verdict, relay, connecting, server });
            }
        }
        self.open = open;
    }

    fn settle_all(&mut self, verdict: &Verdict, relay: &str, connecting: Duration) {
        for index in std::mem::take(&mut self.open) {
            self.reports.push(Report {
                index,
                verdict: verdict.clone(),
                relay: relay.to_owned(),
                connecting,
                server: None,
            });
        }
    }

    fn unreadable(&mut self, error: &str, relay: &str) {
        let why = Why::new(Dsn::new(4, 3, 0), format!("queue file cannot be read: {error}"));
        self.settle_all(&Verdict::Deferred(why), relay, Duration::ZERO);
    }

    async fn connect(&self, peer: &Peer) -> Result<Box<dyn Stream>, String> {
        let connecting = async {
            match peer {
                Peer::Tcp { server, port } => self.connect_tcp(server.address, *port).await,
                Peer::Unix(path) => {
                    let path = self.ground.queue_directory.join(path);
                    UnixStream::connect(path).await.map(|stream| Box::new(stream) as Box<dyn Stream>)
                }
            }
        };
        match tokio::time::timeout(self.transport.connect_timeout, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(strerror(&error)),
            Err(_) => Err("Connection timed out".to_owned()),
        }
    }

    async fn connect_tcp(&self, address: IpAddr, port: u16) -> std::io::Result<Box<dyn Stream>> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        let bind = if address.is_ipv4() { self.transport.bind_v4 } else { self.transport.bind_v6 };
        if let Some(bind) = bind {
            socket.bind(SocketAddr::new(bind, 0))?;
        }
        let stream = socket.connect(SocketAddr::new(address, port)).await?;
        // Commands go out when they are written, not when the kernel thinks that they are enough.
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    fn mail(&self) -> Mail {
        let entry = self.entry;
        let recipients =
            self.open.iter().filter_map(|index| entry.recipients.get(usize::try_from(*index).ok()?));
        // With VERP each has an attempt of its own.
        let sender =
            recipients.clone().next().map_or_else(|| entry.sender.clone(), |one| entry.sender_for(one));
        Mail {
            sender: sender.to_external(),
            size_bytes: entry.size,
            eight_bit: entry.body_type != BodyType::SevenBit,
            smtputf8: entry.smtputf8,
            ret: entry.return_content.map(|content| match content {
                ReturnContent::Full => "FULL",
                ReturnContent::Headers => "HDRS",
            }),
            envelope_id: entry.envelope_id.clone(),
            recipients: recipients.map(to).collect(),
        }
    }
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

fn to(recipient: &Recipient) -> proto::client::To {
    use queue::entry::{NOTIFY_DELAY, NOTIFY_FAILURE, NOTIFY_NEVER, NOTIFY_SUCCESS};
    let words = [
        (NOTIFY_NEVER, "NEVER"),
        (NOTIFY_SUCCESS, "SUCCESS"),
        (NOTIFY_FAILURE, "FAILURE"),
        (NOTIFY_DELAY, "DELAY"),
    ];
    let notify: Vec<&str> =
        words.iter().filter(|(bit, _)| recipient.notify & bit != 0).map(|(_, word)| *word).collect();
    let orcpt = recipient.orcpt.clone();
    proto::client::To {
        address: recipient.address.to_external(),
        // RFC 3461 §5.2.1: what the next server calls the original recipient is ours.
        orcpt: orcpt.or_else(|| Some(format!("rfc822;{}", recipient.original.to_external()))),
        notify: notify.join(","),
    }
}
