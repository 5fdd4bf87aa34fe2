//! Policy delegation's client side: persistent connections to policy servers (SMTPD_POLICY_README).
//!
//! A connection serves one request at a time and goes back to the pool afterwards; so a slow server makes
//! nobody wait but those who ask it. A connection that broke is replaced and the request sent again, up to
//! the service's try limit. T2.11, T2.15.

use crate::privileged::LocalSockets;
use policy::{Answer, Endpoint, PolicyService};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// The longest reply that is read.
const REPLY_BYTES_MAX: usize = 16 * 1024;
/// Idle connections kept for one service.
const IDLE_MAX: usize = 64;

pub(crate) enum Stream {
    Inet(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Whether the other side hasn't hung up, as far as this machine knows.
    fn is_open(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let peeked = match self {
            Stream::Inet(stream) => rustix::net::recv(stream, &mut [0; 1], flags),
            Stream::Unix(stream) => rustix::net::recv(stream, &mut [0; 1], flags),
        };
        peeked.is_err_and(|error| error == Errno::AGAIN)
    }

    /// Has TCP acknowledge what comes next without delay: who writes an answer in two pieces is held back by the own
    /// system until the first is acknowledged, which takes 40 ms else. The system forgets it again and again.
    pub(super) fn acknowledge_at_once(&self) {
        if let Stream::Inet(stream) = self {
            // Where it can't be had, answers are merely late.
            let _ = rustix::net::sockopt::set_tcp_quickack(stream, true);
        }
    }
}

struct Connection {
    stream: Stream,
    opened: Instant,
    idle_since: Instant,
    requests: u32,
}

/// Starts the program behind a socket of master.cf's `spawn` services; `None` where there is none of that path.
pub type Spawn = Box<dyn Fn(&str) -> Option<io::Result<OwnedFd>> + Send + Sync>;

/// Says a warning in the log.
pub type Warn = Box<dyn Fn(&str) + Send + Sync>;

/// All connections to policy servers.
pub struct PolicyServers {
    sockets: LocalSockets,
    spawn: Spawn,
    warn: Warn,
    idle: Mutex<HashMap<String, Vec<Connection>>>,
    /// At which services nobody listened, and when.
    vacant: Mutex<HashMap<String, Instant>>,
}

/// Whether somebody listens at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Somebody does, or it can't be told.
    Somebody,
    /// Nobody does.
    Nobody,
}

/// For so long nobody knocks again where nobody was.
const VACANT: Duration = Duration::from_secs(1);

impl PolicyServers {
    /// `spawn` starts the programs of master.cf; `warn` says Postfix's warnings.
    #[must_use]
    pub fn new(sockets: LocalSockets, spawn: Spawn, warn: Warn) -> PolicyServers {
        PolicyServers { sockets, spawn, warn, idle: Mutex::default(), vacant: Mutex::default() }
    }

    /// Sends one request; the answer is the server's action, or why there is none.
    pub async fn ask(&self, service: &PolicyService, attributes: &str) -> Answer {
        let mut reason = String::new();
        for attempt in 0..service.try_limit.max(1) {
            if attempt > 0 {
                tokio::time::sleep(service.retry_delay).await;
            }
            match self.exchange(service, attributes).await {
                Ok(action) => return Answer::Action(action),
                Err(error) => {
                    // Postfix leaves `inet:` out, and keeps `unix:`'s path only.
                    let name = service.name.split_once(':').map_or(service.name.as_str(), |(_, name)| name);
                    let why = describe(&error);
                    if is_unreachable(&error) {
                        (self.warn)(&format!("connect to {name}: {why}"));
                    }
                    reason = format!("problem talking to server {name}: {why}");
                    (self.warn)(&reason);
                }
            }
        }
        Answer::Failed(reason)
    }

    /// Whether somebody listens at the service's endpoint. The connection that shows it is kept for the request.
    pub async fn presence(&self, service: &PolicyService) -> Presence {
        while let Some(connection) = self.take(service) {
            if connection.stream.is_open() {
                self.put(service, connection);
                return Presence::Somebody;
            }
        }
        let vacant = |since: &Instant| since.elapsed() < VACANT;
        if self.vacant.lock().unwrap_or_else(PoisonError::into_inner).get(&service.name).is_some_and(vacant) {
            return Presence::Nobody;
        }
        match tokio::time::timeout(service.timeout, self.connect(&service.endpoint)).await {
            Ok(Ok(connection)) => self.put(service, connection),
            Ok(Err(error))
                if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) =>
            {
                let mut vacant = self.vacant.lock().unwrap_or_else(PoisonError::into_inner);
                vacant.insert(service.name.clone(), Instant::now());
                return Presence::Nobody;
            }
            // Whoever asks learns what it is.
            Ok(Err(_)) | Err(_) => {}
        }
        Presence::Somebody
    }

    async fn exchange(&self, service: &PolicyService, attributes: &str) -> io::Result<String> {
        if let Some(connection) = self.take(service) {
            let is_fresh = connection.requests == 0;
            match self.round(service, connection, attributes).await {
                Ok(action) => return Ok(action),
                Err(error) if is_fresh => return Err(error),
                // The server may have closed it meanwhile; that is no failure of the service.
                Err(_) => {}
            }
        }
        let opening = tokio::time::timeout(service.timeout, self.connect(&service.endpoint));
        let connection = opening.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        self.round(service, connection, attributes).await
    }

    async fn round(
        &self,
        service: &PolicyService,
        mut connection: Connection,
        attributes: &str,
    ) -> io::Result<String> {
        let talk = tokio::time::timeout(service.timeout, connection.stream.talk(attributes.as_bytes()));
        let reply = talk.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        connection.requests = connection.requests.saturating_add(1);
        connection.idle_since = Instant::now();
        let spent = service.request_limit > 0 && connection.requests >= service.request_limit;
        if !spent && connection.opened.elapsed() < service.max_ttl {
            self.put(service, connection);
        }
        action(&reply)
    }

    fn put(&self, service: &PolicyService, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = idle.entry(service.name.clone()).or_default();
        if pool.len() < IDLE_MAX {
            pool.push(connection);
        }
    }

    fn take(&self, service: &PolicyService) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = idle.get_mut(&service.name)?;
        pool.retain(|connection| connection.idle_since.elapsed() < service.max_idle);
        pool.pop()
    }

    async fn connect(&self, endpoint: &Endpoint) -> io::Result<Connection> {
        let stream = match endpoint {
            Endpoint::Inet { host, port } => {
                let port: u16 = port.parse().map_err(|_| io::Error::other(format!("unknown port {port}")))?;
                let stream = TcpStream::connect((host.as_str(), port)).await?;
                stream.set_nodelay(true)?;
                Stream::Inet(stream)
            }
            Endpoint::Unix(path) => match (self.spawn)(path) {
                Some(started) => {
                    let socket = std::os::unix::net::UnixStream::from(started?);
                    socket.set_nonblocking(true)?;
                    Stream::Unix(UnixStream::from_std(socket)?)
                }
                None => Stream::Unix(self.sockets.connect(path).await?),
            },
        };
        let now = Instant::now();
        Ok(Connection { stream, opened: now, idle_since: now, requests: 0 })
    }
}

impl Stream {
    /// Sends `request` and reads up to the empty line.
    async fn talk(&mut self, request: &[u8]) -> io::Result<Vec<u8>> {
        self.write_all(request).await?;
        let mut reply = Vec::with_capacity(256);
        let mut chunk = [0; 1024];
        while !reply.ends_with(b"\n\n") {
            let read = self.read(&mut chunk).await?;
            let Some(read) = chunk.get(..read).filter(|read| !read.is_empty()) else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            reply.extend_from_slice(read);
            if reply.len() > REPLY_BYTES_MAX {
                return Err(io::Error::other("the reply is too long"));
            }
        }
        Ok(reply)
    }

    /// Whether there is something to read this moment; the end isn't.
    pub(crate) fn has_unread(&self) -> bool {
        use rustix::net::{RecvFlags, recv};
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let peeked = match self {
            Stream::Inet(stream) => recv(stream, &mut [0; 1], flags),
            Stream::Unix(stream) => recv(stream, &mut [0; 1], flags),
        };
        peeked.is_ok_and(|(_, length)| length > 0)
    }

    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Inet(stream) => stream.write_all(bytes).await,
            Stream::Unix(stream) => stream.write_all(bytes).await,
        }
    }

    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Inet(stream) => stream.read(buffer).await,
            Stream::Unix(stream) => stream.read(buffer).await,
        }
    }
}

/// The text behind `action=`.
fn action(reply: &[u8]) -> io::Result<String> {
    let text = String::from_utf8_lossy(reply);
    let found = text.lines().find_map(|line| line.strip_prefix("action="));
    found
        .map(|action| action.trim().to_owned())
        .ok_or_else(|| io::Error::other("the reply has no action attribute"))
}

/// Whether there was no connection at all.
fn is_unreachable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
    )
}

/// The system's words, as Postfix logs them.
fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "Connection refused".to_owned(),
        io::ErrorKind::TimedOut => "Connection timed out".to_owned(),
        io::ErrorKind::NotFound => "No such file or directory".to_owned(),
        io::ErrorKind::UnexpectedEof => "Success".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Place;
    use tokio::net::TcpListener;

    fn service(port: u16) -> PolicyService {
        PolicyService {
            endpoint: Endpoint::Inet { host: "127.0.0.1".into(), port: port.to_string() },
            name: format!("inet:127.0.0.1:{port}"),
            timeout: Duration::from_secs(5),
            max_idle: Duration::from_secs(300),
            max_ttl: Duration::from_secs(1000),
            request_limit: 0,
            try_limit: 2,
            retry_delay: Duration::from_millis(1),
            default_action: String::new(),
            policy_context: String::new(),
            place: Place::nowhere(),
        }
    }

    #[tokio::test]
    async fn a_connection_is_used_again_and_replaced_when_it_broke() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = service(listener.local_addr().unwrap().port());
        // The server answers two requests on each connection and then hangs up.
        let server = tokio::spawn(async move {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                for _ in 0..2 {
                    let mut buffer = [0; 64];
                    let read = stream.read(&mut buffer).await.unwrap();
                    assert!(buffer[..read].ends_with(b"\n\n"));
                    stream.write_all(b"action=DUNNO x\n\n").await.unwrap();
                }
            }
        });
        let servers = PolicyServers::new("/nonexistent".into(), Box::new(|_| None), Box::new(|_| ()));
        for _ in 0..4 {
            let answer = servers.ask(&service, "request=smtpd_access_policy\n\n").await;
            assert_eq!(answer, Answer::Action("DUNNO x".into()));
        }
        server.await.unwrap();
    }

    #[tokio::test]
    async fn nobody_there() {
        let servers = PolicyServers::new("/nonexistent".into(), Box::new(|_| None), Box::new(|_| ()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = service(listener.local_addr().unwrap().port());
        drop(listener);
        let Answer::Failed(reason) = servers.ask(&service, "\n\n").await else { panic!("it answered") };
        assert!(reason.ends_with("Connection refused"), "{reason}");
    }
}
