//! Connections to Dovecot's authentication server (`smtpd_sasl_type = dovecot`).
//!
//! A few connections carry the requests of all sessions. Dovecot answers what came together on one connection when it
//! has judged all of it, so each request goes where the fewest are under way, and where all are busy one more is opened
//! behind it, until there are [`CONNECTIONS_MAX`]; those that nobody needs go again. The first is opened when somebody
//! wants it, and anew when it broke. Whoever waits does so for [`TIME_LIMIT`] at most, as in Postfix, also where the
//! server takes connections and says nothing; after a failure nobody tries for a while, so that a dead server costs
//! sessions no time. What is offered stays what it was while the server is away. T0.2.

mod connection;

use super::Warn;
use crate::privileged::LocalSockets;
use connection::{Connection, Reader, Writer};
use proto::sasl::server::Mechanism;
use proto::sasl::server::dovecot::{Answer, Lines, MECHANISMS_MAX, Said, Start, hello, respond, start};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer, or a connection with its handshake, may take.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Connections to one server.
const CONNECTIONS_MAX: usize = 16;
/// A further connection that nobody has used for so long is closed.
const UNUSED: Duration = Duration::from_secs(60);
/// After a connection was refused, nobody tries for so long.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// After nobody answered.
const SILENT_PAUSE: Duration = Duration::from_secs(10);

/// The connection broke, or nobody answered in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Connection lost to authentication server")]
pub struct Lost;

/// All authentication servers that listeners name.
pub struct AuthServers {
    sockets: LocalSockets,
    warn: Arc<Warn>,
    known: Mutex<HashMap<String, Arc<AuthServer>>>,
}

impl AuthServers {
    /// `warn` says Postfix's warnings.
    #[must_use]
    pub fn new(sockets: LocalSockets, warn: Warn) -> AuthServers {
        AuthServers { sockets, warn: Arc::new(warn), known: Mutex::default() }
    }

    /// The server behind a `smtpd_sasl_path`: there are as many as the configuration has named.
    pub fn at(&self, path: &str) -> Arc<AuthServer> {
        let mut known = locked(&self.known);
        if let Some(server) = known.get(path) {
            return Arc::clone(server);
        }
        let server = Arc::new(AuthServer {
            endpoint: Endpoint::read(path),
            sockets: self.sockets.clone(),
            path: path.to_owned(),
            warn: Arc::clone(&self.warn),
            opening: tokio::sync::Mutex::default(),
            connections: Mutex::default(),
            grows: AtomicBool::new(false),
            state: Mutex::default(),
        });
        known.insert(path.to_owned(), Arc::clone(&server));
        server
    }
}

/// One authentication server.
pub struct AuthServer {
    endpoint: Endpoint,
    sockets: LocalSockets,
    path: String,
    warn: Arc<Warn>,
    /// Held by whoever opens the first connection.
    opening: tokio::sync::Mutex<()>,
    connections: Mutex<Vec<Arc<Connection>>>,
    /// A further one is being opened.
    grows: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the last handshake named.
    mechanisms: Option<Arc<[Mechanism]>>,
    /// The connection of that handshake is gone.
    stale: bool,
    /// Nobody tries before.
    pause: Option<Instant>,
}

enum Endpoint {
    Unix(PathBuf),
    Inet(String),
}

impl Endpoint {
    fn read(path: &str) -> Endpoint {
        match path.strip_prefix("inet:") {
            Some(address) => Endpoint::Inet(address.to_owned()),
            None => Endpoint::Unix(path.strip_prefix("unix:").unwrap_or(path).into()),
        }
    }

    async fn open(&self, sockets: &LocalSockets) -> io::Result<(Reader, Writer)> {
        match self {
            Endpoint::Unix(path) => {
                let (reader, writer) = sockets.connect(path).await?.into_split();
                Ok((Box::new(reader), Box::new(writer)))
            }
            Endpoint::Inet(address) => {
                let stream = TcpStream::connect(address.as_str()).await?;
                stream.set_nodelay(true)?;
                let (reader, writer) = stream.into_split();
                Ok((Box::new(reader), Box::new(writer)))
            }
        }
    }
}

/// A request that the server has answered with a challenge.
pub struct Exchange {
    /// `None` once it is over.
    connection: Option<Arc<Connection>>,
    id: u32,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.cancel(self.id);
        }
    }
}

impl AuthServer {
    /// What the server offers: at once where it is known, else when it has said so; `None` where it says nothing.
    pub async fn mechanisms(self: &Arc<Self>) -> Option<Arc<[Mechanism]>> {
        let (known, stale) = {
            let state = locked(&self.state);
            (state.mechanisms.clone(), state.stale)
        };
        if known.is_none() {
            let _ = tokio::time::timeout(TIME_LIMIT, self.connected()).await;
            return locked(&self.state).mechanisms.clone();
        }
        if stale {
            let server = Arc::clone(self);
            tokio::spawn(async move { server.connected().await.map(drop) });
        }
        known
    }

    /// Begins a request. With a challenge comes the exchange, to go on with.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn start(self: &Arc<Self>, request: &Start<'_>) -> Result<(Answer, Option<Exchange>), Lost> {
        let all = async {
            let mut tries = 0;
            loop {
                let (connection, fresh) = self.connected().await?;
                let id = connection.next_id();
                let answer = connection.ask(id, start(id, request)).await;
                tries += 1;
                // A connection that lay idle may have been closed meanwhile; that is no failure of the server. The
                // others are as old.
                if answer.is_err() && connection.is_closed() && !fresh && tries < 2 {
                    self.retire_all();
                    continue;
                }
                return answer.map(|answer| (connection, id, answer));
            }
        };
        let (connection, id, answer) = tokio::time::timeout(TIME_LIMIT, all).await.map_err(|_| Lost)??;
        let exchange =
            matches!(answer, Answer::Continue { .. }).then(|| Exchange { connection: Some(connection), id });
        Ok((answer, exchange))
    }

    /// A connection, and whether it was opened just now.
    async fn connected(self: &Arc<Self>) -> Result<(Arc<Connection>, bool), Lost> {
        if let Some(connection) = self.least_busy() {
            return Ok((connection, false));
        }
        // Whoever asks may stop waiting at the very moment when nobody has answered: that is known to all nevertheless.
        tokio::spawn(Arc::clone(self).opened()).await.unwrap_or(Err(Lost))
    }

    /// One at a time opens a connection, or finds that nobody answers.
    async fn opened(self: Arc<Self>) -> Result<(Arc<Connection>, bool), Lost> {
        let _turn = self.opening.lock().await;
        if let Some(connection) = self.least_busy() {
            return Ok((connection, false));
        }
        if locked(&self.state).pause.is_some_and(|pause| Instant::now() < pause) {
            return Err(Lost);
        }
        let opened = tokio::time::timeout(TIME_LIMIT, self.shake_hands()).await;
        let (error, pause) = match opened {
            Ok(Ok((connection, mechanisms))) => {
                let mut state = locked(&self.state);
                (state.mechanisms, state.stale, state.pause) = (Some(mechanisms.into()), false, None);
                locked(&self.connections).push(Arc::clone(&connection));
                return Ok((connection, true));
            }
            Ok(Err(error)) => (crate::strerror::strerror(&error), REFUSED_PAUSE),
            Err(_) => ("Connection timed out".to_owned(), SILENT_PAUSE),
        };
        let mut state = locked(&self.state);
        (state.stale, state.pause) = (true, Some(Instant::now() + pause));
        drop(state);
        (self.warn)(&format!("SASL: Connect to {} failed: {error}", self.path));
        Err(Lost)
    }

    /// The connection with the fewest requests under way, the oldest of several; where it has some, there will be one
    /// more for those who come later.
    fn least_busy(self: &Arc<Self>) -> Option<Arc<Connection>> {
        let mut connections = locked(&self.connections);
        connections.retain(|connection| connection.is_fit());
        let (load, connection) = connections
            .iter()
            .map(|connection| (connection.under_way(), connection))
            .min_by_key(|(load, _)| *load)?;
        let is_short = load > 0 && connections.len() < CONNECTIONS_MAX;
        if is_short && !self.grows.swap(true, Ordering::AcqRel) {
            tokio::spawn(Arc::clone(self).grow());
        }
        Some(Arc::clone(connection))
    }

    /// Opens one more connection, and closes it when it has been unused for a while. Nobody waits for it: where the
    /// server takes no more, the others do.
    async fn grow(self: Arc<Self>) {
        let opened = tokio::time::timeout(TIME_LIMIT, self.shake_hands()).await;
        let Ok(Ok((connection, _))) = opened else {
            tokio::time::sleep(SILENT_PAUSE).await;
            self.grows.store(false, Ordering::Release);
            return;
        };
        locked(&self.connections).push(Arc::clone(&connection));
        self.grows.store(false, Ordering::Release);
        let mut used = 0;
        while connection.is_fit() {
            tokio::time::sleep(UNUSED).await;
            let before = std::mem::replace(&mut used, connection.requests());
            if before == used {
                connection.retire();
            }
        }
    }

    /// Those who come now are served on new connections.
    fn retire_all(&self) {
        locked(&self.connections).drain(..).for_each(|connection| connection.retire());
    }

    async fn shake_hands(&self) -> io::Result<(Arc<Connection>, Vec<Mechanism>)> {
        let (mut reader, mut writer) = self.endpoint.open(&self.sockets).await?;
        writer.write_all(&hello(std::process::id())).await?;
        let (mut lines, mut mechanisms, mut done) = (Lines::default(), Vec::new(), false);
        let mut buffer = [0; 2048];
        while !done {
            let read = reader.read(&mut buffer).await?;
            let bytes = buffer.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            for said in lines.take(bytes).map_err(io::Error::other)? {
                match said {
                    Said::Mechanism(mechanism) if mechanisms.len() < MECHANISMS_MAX => {
                        mechanisms.push(mechanism)
                    }
                    Said::Done => done = true,
                    _ => {}
                }
            }
        }
        Ok((Connection::begin(reader, writer, lines), mechanisms))
    }
}

impl Exchange {
    /// Goes on with what the client said.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn respond(mut self, response: &str) -> Result<(Answer, Option<Exchange>), Lost> {
        let connection = self.connection.take().ok_or(Lost)?;
        let asked = connection.ask(self.id, respond(self.id, response));
        let answer = tokio::time::timeout(TIME_LIMIT, asked).await.map_err(|_| Lost)??;
        if !matches!(answer, Answer::Continue { .. }) {
            return Ok((answer, None));
        }
        self.connection = Some(connection);
        Ok((answer, Some(self)))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
