//! One attempt: a message, a nexthop, its servers in order.
//!
//! A connection that waits is used where there is one; else the servers are tried until one has said something final
//! about each recipient. Where TLS was only wished for and can't be had, the message goes in clear text once it has
//! waited for `minimal_backoff_time`, as Postfix does.

use super::checking::{Checker, Means};
use super::conversation::{Connection, End, HANDSHAKE, Letter, Outcome, Stream};
use super::destination::Destination;
use super::generic::Edited;
use super::hosts::{Lookup, Server};
use super::login::mark;
use super::pool::{Idle, Way};
use super::security::{Level, Policy, Upgrade, Whom};
use super::{Ground, Report, Spoken, Transport};
use crate::clock;
use crate::strerror::strerror;
use events::delivery::ConnectFailed;
use mail::{Dsn, Mono};
use proto::client::{Client, Content, Mail, Verdict, Why};
use proto::sasl::client::Secret;
use queue::{BodyType, Entry, Recipient, ReturnContent};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpSocket;

/// A message that is under way, and who of its recipients is still without a final verdict.
struct Attempt<'a> {
    transport: &'a Transport,
    ground: &'a Ground<'a>,
    number: u64,
    entry: &'a Entry,
    open: Vec<u32>,
    reports: Vec<Report>,
    /// What was said of those who are still open.
    said: Vec<Report>,
    started: Mono,
    /// Sessions that came to a message; `smtp_mx_session_limit` counts no others.
    sessions: usize,
    /// No session is permitted behind the next that comes to a message.
    spends_last: bool,
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
    let said = Vec::new();
    let mut attempt = Attempt {
        transport,
        ground,
        number,
        entry,
        open,
        reports,
        said,
        started,
        sessions: 0,
        spends_last: false,
    };
    if let Some(why) = &transport.refused {
        attempt.settle_all(&Verdict::Deferred(why.clone()), "none", Duration::ZERO);
        return attempt.reports;
    }
    if let Some(verdict) = attempt.unfit().await {
        attempt.settle_all(&verdict, &transport.flags.name, Duration::ZERO);
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
    attempt.close()
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

    const fn address(&self) -> Option<IpAddr> {
        match self {
            Peer::Tcp { server, .. } => Some(server.address),
            Peer::Unix(_) => None,
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

/// What is agreed on for one destination.
struct Site<'s> {
    /// As the transport table has it.
    nexthop: &'s str,
    /// Its name, without brackets and port.
    domain: String,
    policy: Policy,
    /// Whether a connection may wait for more mail.
    keeps: bool,
}

impl Site<'_> {
    /// What a connection must have in common with this one, to be used for it.
    fn terms(&self, secret: Option<&Secret>) -> String {
        let mark = secret.map(mark).unwrap_or_default();
        match self.policy.level {
            Level::None => mark,
            _ => format!("{mark} {:?} {}", self.policy, self.domain),
        }
    }
}

/// How one server is spoken to.
struct Terms {
    policy: Policy,
    secret: Option<Secret>,
    /// Who logs in can't be known.
    unknown: bool,
}

impl Terms {
    /// What a connection must have in common with these, to be used for them.
    fn mark(&self, site: &Site<'_>) -> String {
        let mark = site.terms(self.secret.as_ref());
        if self.unknown { format!("? {mark}") } else { mark }
    }
}

impl Attempt<'_> {
    /// Everybody has a verdict in the end: the last one that was said.
    fn close(mut self) -> Vec<Report> {
        for index in std::mem::take(&mut self.open) {
            let at = self.said.iter().rposition(|report| report.index == index);
            self.reports.push(match at {
                Some(at) => self.said.swap_remove(at),
                None => {
                    let why = Why::new(Dsn::new(4, 3, 0), "server unavailable or unable to receive mail");
                    let (verdict, relay) = (Verdict::Deferred(why), "none".to_owned());
                    let (connecting, server, conn_use) = (Duration::ZERO, None, None);
                    Report { index, verdict, relay, connecting, server, conn_use }
                }
            });
        }
        self.reports
    }

    /// Tries the servers of one destination.
    async fn site(&mut self, nexthop: &str, is_last_site: bool) {
        let transport = self.transport;
        let destination = Destination::parse(nexthop, transport.is_lmtp());
        let domain = destination.domain(&transport.myhostname).to_owned();
        let Some(policy) = self.policy(nexthop, &domain).await else {
            let why = Why::new(Dsn::new(4, 7, 5), "client TLS configuration problem");
            return self.settle_all(&Verdict::Deferred(why), "none", Duration::ZERO);
        };
        let trip = transport.pool.begin(nexthop, &transport.reuse);
        let reuse = &transport.reuse;
        let keeps =
            (reuse.on_demand && trip.is_busy) || reuse.destinations.contains(&domain.to_ascii_lowercase());
        let site = Site { nexthop, domain, policy, keeps };
        // Who logs in depends on the server.
        let mut used = None;
        // A probe opens a connection of its own, and leaves none.
        while transport.sasl.is_none()
            && !self.ground.probes
            && let Some(idle) = transport.pool.take_nexthop(nexthop, &site.terms(None))
        {
            let relay = idle.way.relay.clone();
            if self.again(idle, &site, false).await {
                used = Some(relay);
                break;
            }
        }
        if self.open.is_empty() {
            return;
        }
        let mut peers = match self.peers(destination, nexthop).await {
            Ok(peers) => peers,
            Err(verdict) if is_last_site || !goes_elsewhere(&verdict) => {
                self.settle_all(&verdict, "none", Duration::ZERO);
                return;
            }
            Err(_) => return,
        };
        // Who has just put it off isn't asked again.
        peers.retain(|peer| used.as_ref() != Some(&peer.relay(&transport.myhostname)));
        let count = peers.len();
        for (at, peer) in peers.iter().enumerate() {
            let limit = transport.sessions_max;
            let is_last = is_last_site && at + 1 == count;
            self.spends_last = is_last_site && limit > 0 && self.sessions + 1 >= limit;
            self.peer(peer, &site, is_last).await;
            if self.open.is_empty() || (limit > 0 && self.sessions >= limit) {
                return;
            }
        }
    }

    /// What protection the destination needs; `None` where the administrator's words make no sense.
    async fn policy(&self, nexthop: &str, domain: &str) -> Option<Policy> {
        let protection = &self.transport.protection;
        // The type of an LMTP socket isn't part of the key.
        let key = nexthop.strip_prefix("inet:").or_else(|| nexthop.strip_prefix("unix:")).unwrap_or(nexthop);
        let mut tables = self.ground.tables.clone();
        let look = |tables: &tables::Snapshot| protection.policy(key, domain, tables);
        let found = self.ground.answers.table_servers.looked_up(&mut tables, look).await;
        let remark = match found {
            Ok(Ok(policy)) => {
                if policy.no_dane {
                    self.warn(format!("{key}: dane configured with dnssec lookups disabled"));
                }
                return Some(policy);
            }
            Ok(Err(remark)) => remark,
            Err(error) => error.to_string(),
        };
        self.warn(remark);
        self.warn(format!("TLS policy lookup for {key}/{domain}: client TLS configuration problem"));
        None
    }

    fn warn(&self, text: String) {
        (self.ground.log)(events::daemon::Message::warning(text).into());
    }

    async fn peers(&self, destination: Destination, nexthop: &str) -> Result<Vec<Peer>, Verdict> {
        let transport = self.transport;
        let (name, port, exchangers) = match destination {
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
        let warn = |text: String| self.warn(text);
        let (log, tables) = (self.ground.log, self.ground.tables);
        let ignores = |record: &str| {
            let is_ignored = transport.ignores(record, tables);
            if is_ignored {
                log(events::Event::Other(format!("ignoring DNS RR: {record}").into()));
            }
            is_ignored
        };
        let lookup = transport.lookup(&*self.ground.answers.names, &warn, &ignores);
        let lookup = Lookup { detects_loops: port == 25, ..lookup };
        let seed = self.number ^ self.started.0;
        let mut servers = if exchangers && transport.asks_exchangers {
            lookup.exchangers(&name, seed).await?
        } else {
            lookup.host(&name, seed).await?
        };
        if transport.addresses_max > 0 {
            servers = transport.considered(servers);
        }
        Ok(servers.into_iter().map(|server| Peer::Tcp { server, port }).collect())
    }

    /// Tries one server. What it only defers is left open where there is another one to try.
    async fn peer(&mut self, peer: &Peer, site: &Site<'_>, is_last: bool) {
        let myhostname = &self.transport.myhostname;
        let relay = peer.relay(myhostname);
        let (secret, unknown) = match self.secret(&peer.name(myhostname), site.nexthop).await {
            Ok(secret) => (secret, false),
            Err(remark) => {
                self.warn(remark);
                (None, true)
            }
        };
        let terms = Terms { policy: site.policy.clone(), secret, unknown };
        let way = Way { relay, terms: terms.mark(site) };
        while !self.ground.probes
            && let Some(idle) = self.transport.pool.take_way(&way)
        {
            if self.again(idle, site, is_last).await {
                return;
            }
        }
        if !self.converse(peer, site, &terms, is_last).await {
            // TLS failed where it isn't a must.
            let bare = Terms { policy: site.policy.none(), ..terms };
            self.converse(peer, site, &bare, is_last).await;
        }
    }

    /// Who logs in there; what the log says where that can't be known.
    async fn secret(&self, host: &str, nexthop: &str) -> Result<Option<Secret>, String> {
        let Some(sasl) = &self.transport.sasl else { return Ok(None) };
        let sender = self.mail().sender;
        let mut tables = self.ground.tables.clone();
        let look = |tables: &tables::Snapshot| sasl.secret(&sender, (host, nexthop), tables);
        let found = self.ground.answers.table_servers.looked_up(&mut tables, look).await;
        found.map_err(|error| error.to_string())?
    }

    /// Speaks to one server over a new connection. False where it should be done once more, without TLS.
    async fn converse(&mut self, peer: &Peer, site: &Site<'_>, terms: &Terms, is_last: bool) -> bool {
        let (transport, ground, policy) = (self.transport, self.ground, &terms.policy);
        let myhostname = &transport.myhostname;
        let relay = peer.relay(myhostname);
        let protection = &transport.protection;
        let name = peer.name(myhostname);
        let address = peer.address();
        let whom = Whom { host: &name, address, domain: &site.domain, relay: &relay };
        let upgrade = Upgrade::new(protection, policy, &whom);
        if upgrade.is_none()
            && policy.level > Level::None
            && let Some(fault) = &protection.fault
        {
            self.warn(fault.clone());
        }
        let mut stream = match self.connect(peer).await {
            Ok(stream) => stream,
            Err(unconnected) => {
                let why = match unconnected {
                    Unconnected::Failed(reason) => {
                        let (peer, reason) = (relay.as_str().into(), reason.as_str().into());
                        let failed = ConnectFailed { peer, reason };
                        let text = format!("connect to {relay}: {}", failed.reason);
                        (ground.log)(failed.into());
                        Why::new(Dsn::new(4, 4, 1), text)
                    }
                    Unconnected::Unbound => {
                        (ground.log)(events::Event::Other(UNBOUND.into()));
                        Why::new(Dsn::new(4, 4, 0), UNBOUND)
                    }
                };
                if is_last {
                    self.settle_all(&Verdict::Deferred(why), "none", Duration::ZERO);
                }
                return true;
            }
        };
        let distrust = match &upgrade {
            Some(upgrade) if protection.wrapper => match upgrade.shake(stream, ground.log).await {
                Ok(shaken) => {
                    stream = shaken.stream;
                    shaken.distrust
                }
                Err(()) => {
                    let verdict = Verdict::Deferred(Why::new(Dsn::new(4, 7, 5), HANDSHAKE));
                    self.heard(vec![verdict; self.open.len()], &Heard::nothing(&relay), is_last);
                    return true;
                }
            },
            _ => None,
        };
        if let Some(verdict) = distrust {
            self.heard(vec![verdict; self.open.len()], &Heard::nothing(&relay), is_last);
            return true;
        }
        let client = self.client(peer, site, terms).await;
        let connection = Connection::new(stream, client, upgrade);
        let way = Way { relay, terms: terms.mark(site) };
        self.send(connection, way, &name, (site, policy, is_last)).await
    }

    /// A conversation with this server that is about to begin.
    async fn client(&self, peer: &Peer, site: &Site<'_>, terms: &Terms) -> Client {
        let (transport, ground) = (self.transport, self.ground);
        let myhostname = &transport.myhostname;
        let (host, relay) = (peer.host(myhostname), peer.relay(myhostname));
        let login = transport.sasl.as_ref().zip(terms.secret.clone());
        let login = login.map(|(sasl, secret)| sasl.login(secret, ground.tables));
        let settings = self.settings(peer).await;
        let is_known = settings.is_some();
        let settings = settings.unwrap_or_else(|| transport.conversation.clone());
        let client = Client::new(settings, host, clock::now())
            .with_peer(relay.as_str())
            .with_reply_filter(transport.line_filter(ground.tables))
            .with_secrecy(transport.protection.secrecy(&terms.policy))
            .with_login(login);
        let client = if terms.unknown { client.with_unknown_login() } else { client };
        let client = if is_known { client } else { client.with_unknown_settings() };
        let client = match peer {
            Peer::Tcp { port: MAIL_PORT, .. } if !transport.is_lmtp() => {
                client.with_own_name(myhostname, site.nexthop)
            }
            _ => client,
        };
        if ground.postmaster.is_some() { client.with_transcript() } else { client }
    }

    /// What holds for a conversation with this server; `None` where a table can't say.
    async fn settings(&self, peer: &Peer) -> Option<proto::client::Settings> {
        let (transport, ground) = (self.transport, self.ground);
        let address = peer.address().map(|address| address.to_string()).unwrap_or_default();
        let age = clock::now().wall - self.entry.arrival;
        let mut tables = ground.tables.clone();
        let look = |tables: &tables::Snapshot| {
            transport.by_address.settings(&transport.conversation, (&address, age), tables)
        };
        let found = ground.answers.table_servers.looked_up(&mut tables, look).await;
        found.inspect_err(|error| self.warn(error.to_string())).ok()
    }

    /// Sends the message over a connection that waited. False where the connection is of no use any more.
    async fn again(&mut self, mut idle: Idle, site: &Site<'_>, is_last: bool) -> bool {
        let now = clock::now().mono;
        if !self.transport.reuse.allows(&idle.connection, now) || !idle.connection.probe().await {
            tokio::spawn(idle.connection.quit());
            return false;
        }
        self.send(idle.connection, idle.way, &idle.host, (site, &site.policy, is_last)).await
    }

    /// Sends the message over a connection. False where it should be done once more: without TLS, or over another one
    /// where this one had gone.
    async fn send(
        &mut self,
        mut connection: Connection,
        way: Way,
        name: &str,
        (site, policy, is_last): (&Site<'_>, &Policy, bool),
    ) -> bool {
        let (transport, ground) = (self.transport, self.ground);
        let relay = way.relay.clone();
        let body = (!ground.probes).then(|| ground.spool.body(self.number)).transpose();
        let letter = match body {
            Ok(None) => Letter::nothing(),
            Ok(Some(body)) => {
                let mail = self.entry;
                let first = self.first();
                let sender = first.map_or_else(|| mail.sender.clone(), |one| mail.sender_for(one));
                let head = transport.flags.head(&sender, first);
                self.letter(Edited::new(body, ground.edits).behind(head))
            }
            Err(error) => {
                tokio::spawn(connection.quit());
                self.unreadable(&error.to_string(), &relay);
                return true;
            }
        };
        let Outcome { end, ready, offers_dsn, offers_tls } =
            connection.send(self.mail(), letter, (ground.log, self.entry.id.as_str())).await;
        if offers_tls && policy.level == Level::None && transport.protection.notes_offer {
            let text = format!("Host offered STARTTLS: [{name}]");
            (ground.log)(events::Event::Other(text.into()));
        }
        let connecting = ready.map_or(Duration::ZERO, |at| at - self.started);
        let spoken = Spoken { name: name.to_owned(), offers_dsn };
        let conn_use = (connection.uses > 1).then_some(connection.uses);
        let heard = Heard { relay: &relay, connecting, spoken: Some(spoken), conn_use };
        match end {
            End::Verdicts(verdicts) => {
                self.sessions += 1;
                self.heard(verdicts, &heard, is_last || self.spends_last);
            }
            End::Unusable(verdict) => self.heard(vec![verdict; self.open.len()], &heard, is_last),
            End::NoTls(verdict) => {
                let waited = clock::now().wall - self.entry.arrival;
                if policy.level == Level::May && waited >= transport.minimal_backoff {
                    self.mention(&verdict);
                    return false;
                }
                self.heard(vec![verdict; self.open.len()], &heard, is_last);
            }
            End::Unreadable(error) => self.unreadable(&error.to_string(), &relay),
            End::Stale => return false,
        }
        let now = clock::now().mono;
        let keeps = site.keeps
            || connection.uses > 1
            || (transport.reuse.on_demand && transport.pool.is_shared(site.nexthop));
        let may_keep = !ground.probes && (policy.reuse || !connection.is_encrypted());
        let may_keep = may_keep && !connection.is_blamed();
        if keeps && may_keep && transport.reuse.allows(&connection, now) && policy == &site.policy {
            transport.pool.put(connection, way, (site.nexthop, name), transport.reuse.idle);
        } else {
            self.part(connection, way.relay);
        }
        true
    }

    /// Who is first of those that are still open.
    fn first(&self) -> Option<&Recipient> {
        self.entry.recipients.get(usize::try_from(*self.open.first()?).ok()?)
    }

    /// Whether `flags=` forbid it: lines for one recipient where there are several, mail that has been there before.
    async fn unfit(&self) -> Option<Verdict> {
        let (flags, ground) = (&self.transport.flags, self.ground);
        if !flags.is_personal() || ground.probes {
            return None;
        }
        if self.open.len() > 1 {
            let flag = if flags.delivered_to { 'D' } else { 'O' };
            self.warn(format!("flag `{flag}' requires {}_destination_recipient_limit = 1", flags.name));
            let text = "mail system configuration error";
            return Some(Verdict::Deferred(Why::new(Dsn::new(4, 3, 5), text)));
        }
        let address = self.first().filter(|_| flags.delivered_to)?.address.to_external();
        let (spool, number) = (ground.spool.clone(), self.number);
        let looked = tokio::task::spawn_blocking({
            let address = address.clone();
            move || crate::deliver::piped::was_delivered_to(&spool, number, &address)
        });
        let text = format!("mail forwarding loop for {address}");
        looked.await.unwrap_or(false).then(|| Verdict::Bounced(Why::new(Dsn::new(5, 4, 6), text)))
    }

    /// The message, checked on its way where the transport has checks.
    fn letter(&self, body: Edited<store::Body>) -> Letter<'_> {
        let (transport, ground) = (self.transport, self.ground);
        let letter = Letter::new(body);
        let Some(checking) = &transport.checking else { return letter };
        let means = Means {
            answers: ground.answers,
            tables: ground.tables.clone(),
            generic: transport.generic.as_ref(),
            classes: ground.classes,
            say: ground.log,
            id: self.entry.id.as_str(),
        };
        letter.checked_by(Checker::new(checking, means))
    }

    /// Ends a connection; nobody waits for it. The postmaster hears of what it held.
    fn part(&self, connection: Connection, relay: String) {
        let postmaster = self.ground.postmaster.clone();
        let speaking = if self.transport.is_lmtp() { "LMTP" } else { "SMTP" };
        tokio::spawn(async move {
            let complaint = connection.quit().await;
            if let Some((postmaster, transcript)) = postmaster.zip(complaint) {
                postmaster.hear_of_server(speaking, &relay, &transcript);
            }
        });
    }

    /// A verdict that isn't the last word.
    fn mention(&self, verdict: &Verdict) {
        let line = format!("{}: {}", self.entry.id, verdict.why().text);
        (self.ground.log)(events::Event::Other(line.into()));
    }

    fn heard(&mut self, verdicts: Vec<Verdict>, heard: &Heard<'_>, is_last: bool) {
        let mut open = Vec::new();
        let mut said = None;
        for (index, verdict) in std::mem::take(&mut self.open).into_iter().zip(verdicts) {
            let (relay, connecting) = (heard.relay.to_owned(), heard.connecting);
            let (server, conn_use) = (heard.spoken.clone(), heard.conn_use);
            let report = Report { index, verdict, relay, connecting, server, conn_use };
            if is_last || !matches!(report.verdict, Verdict::Deferred(_)) {
                self.reports.push(report);
                continue;
            }
            open.push(index);
            // Once for all who heard the same.
            let text = report.verdict.why().text.clone();
            if said.as_ref() != Some(&text) {
                self.mention(&report.verdict);
                said = Some(text);
            }
            self.said.retain(|earlier| earlier.index != index);
            self.said.push(report);
        }
        self.open = open;
        // Another server may take long to find out about.
        if !self.open.is_empty() && !self.reports.is_empty() {
            (self.ground.settled)(std::mem::take(&mut self.reports));
        }
    }

    fn settle_all(&mut self, verdict: &Verdict, relay: &str, connecting: Duration) {
        for index in std::mem::take(&mut self.open) {
            self.reports.push(Report {
                index,
                verdict: verdict.clone(),
                relay: relay.to_owned(),
                connecting,
                server: None,
                conn_use: None,
            });
        }
    }

    fn unreadable(&mut self, error: &str, relay: &str) {
        let why = Why::new(Dsn::new(4, 3, 0), format!("queue file cannot be read: {error}"));
        self.settle_all(&Verdict::Deferred(why), relay, Duration::ZERO);
    }

    async fn connect(&self, peer: &Peer) -> Result<Box<dyn Stream>, Unconnected> {
        let connecting = async {
            match peer {
                Peer::Tcp { server, port } => self.connect_tcp(server.address, *port).await,
                Peer::Unix(path) => {
                    let connected = self.ground.sockets.connect(path).await?;
                    Ok(Box::new(connected) as Box<dyn Stream>)
                }
            }
        };
        match tokio::time::timeout(self.transport.connect_timeout, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(Unconnected::Failed("Connection timed out".to_owned())),
        }
    }

    async fn connect_tcp(&self, address: IpAddr, port: u16) -> Result<Box<dyn Stream>, Unconnected> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        let bind = if address.is_ipv4() { self.transport.bind_v4 } else { self.transport.bind_v6 };
        if let Some(bind) = bind
            && let Err(error) = socket.bind(SocketAddr::new(bind, 0))
        {
            self.warn(format!("smtp_connect_addr: bind {bind}: {}", strerror(&error)));
            if self.transport.bind_enforced {
                return Err(Unconnected::Unbound);
            }
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
            sender: self.written(&sender),
            size_bytes: entry.size,
            content: match entry.body_type {
                BodyType::Unstated => Content::Unstated,
                BodyType::SevenBit => Content::SevenBit,
                BodyType::EightBitMime | BodyType::BinaryMime => Content::EightBit,
            },
            smtputf8: entry.smtputf8,
            needs_smtputf8: entry.smtputf8
                && (entry.has_utf8_header
                    || !sender.as_str().is_ascii()
                    || recipients.clone().any(|one| !one.address.as_str().is_ascii())),
            ret: entry.return_content.map(|content| match content {
                ReturnContent::Full => "FULL",
                ReturnContent::Headers => "HDRS",
            }),
            envelope_id: entry.envelope_id.clone(),
            recipients: recipients.map(|one| to(one, self.written(&one.address))).collect(),
            probe: self.ground.probes.then_some(self.transport.probe),
            origin: self.transport.forwards_origin.then(|| self.origin()),
        }
    }

    /// What XFORWARD says.
    fn origin(&self) -> proto::client::Origin {
        let client = &self.entry.client;
        let known = |text: &String| if text == "unknown" { String::new() } else { text.clone() };
        let is_v6 = client.address.contains(':');
        proto::client::Origin {
            name: known(&client.name),
            address: if is_v6 { format!("IPV6:{}", client.address) } else { known(&client.address) },
            port: if client.port == 0 { String::new() } else { client.port.to_string() },
            protocol: client.protocol.clone(),
            helo: client.helo.clone(),
            id: self.entry.id.as_str().to_owned(),
            is_local: client.address.is_empty() || self.transport.is_own(&client.address),
        }
    }

    /// An address as it stands in a command: `smtp_quote_rfc821_envelope`.
    fn written(&self, address: &mail::Address) -> String {
        let plain = address.as_str();
        // Whatever an address holds, it ends no line.
        let quotes = self.transport.quotes || plain.chars().any(char::is_control);
        if quotes { address.to_external() } else { plain.to_owned() }
    }
}

/// Where other mail servers listen: one with this host's name is this host.
const MAIL_PORT: u16 = 25;

/// Why there is no connection.
enum Unconnected {
    Failed(String),
    /// `smtp_bind_address` can't be had, and `smtp_bind_address_enforce` wants it.
    Unbound,
}

/// Postfix's word for that.
const UNBOUND: &str = "server configuration error";

impl From<std::io::Error> for Unconnected {
    fn from(error: std::io::Error) -> Unconnected {
        Unconnected::Failed(strerror(&error))
    }
}

/// What is known of the server that said something.
struct Heard<'a> {
    relay: &'a str,
    connecting: Duration,
    spoken: Option<Spoken>,
    conn_use: Option<u32>,
}

impl<'a> Heard<'a> {
    /// It hasn't said anything.
    const fn nothing(relay: &'a str) -> Heard<'a> {
        Heard { relay, connecting: Duration::ZERO, spoken: None, conn_use: None }
    }
}

/// Whether `smtp_fallback_relay` gets mail whose destination has no servers: not where it would come back, or where
/// nobody wants any.
fn goes_elsewhere(verdict: &Verdict) -> bool {
    let dsn = verdict.why().dsn;
    matches!(verdict, Verdict::Deferred(_)) || ![Dsn::new(5, 4, 6), Dsn::new(5, 1, 0)].contains(&dsn)
}

fn to(recipient: &Recipient, address: String) -> proto::client::To {
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
        address,
        // RFC 3461 §5.2.1: what the next server calls the original recipient is ours.
        orcpt: orcpt.or_else(|| Some(format!("rfc822;{}", recipient.original.to_external()))),
        notify: notify.join(","),
    }
}
