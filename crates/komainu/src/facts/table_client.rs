//! Tables behind sockets: connections to the servers of `tcp:` and `socketmap:` tables.
//!
//! A connection serves one request at a time and is kept for the next one; so many to one server and no more, so
//! that a slow one makes only those wait who ask it. What is tried again, how long is waited and what the log is
//! told are Postfix's: tcp_table(5) ten times a second apart, socketmap_table(5) once more where the server has hung
//! up. No answer is ever taken for "not found". Which keys are asked isn't known here.

use super::policy_client::{Stream, Warn};
use crate::configuration::{DirectSources, port_number};
use crate::privileged::LocalSockets;
use crate::strerror::strerror;
use policy::Answer;
use proto::lookup::{Reading, Said, socketmap, tcp};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tables::{Endpoint, LookupError, Protocol, Remote, Snapshot};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// Connections to one server, as many as Postfix's processes (default_process_limit) would have.
const CONNECTIONS_MAX: usize = 100;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// To connect, to send, and to receive; and to wait for a connection that is free.
    pub step: Duration,
    /// Between two tries.
    pub pause: Duration,
    /// How often a `tcp:` server is tried.
    pub tries: u32,
    /// How long a connection to a socketmap server may stay unused.
    pub idle: Duration,
    /// How long a connection to a socketmap server is used.
    pub lifetime: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        let seconds = Duration::from_secs;
        let (step, pause, tries) = (seconds(100), seconds(1), 10);
        Patience { step, pause, tries, idle: seconds(10), lifetime: seconds(100) }
    }
}

/// All connections to servers of tables.
pub struct TableServers {
    sockets: LocalSockets,
    warn: Warn,
    patience: Patience,
    pools: Mutex<BTreeMap<Endpoint, Arc<Pool>>>,
}

struct Pool {
    seats: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

struct Connection {
    stream: Stream,
    opened: Instant,
    idle_since: Instant,
}

/// Why one try came to nothing.
enum Fault {
    Connect(io::Error),
    /// Sent or received no more.
    Lost(io::Error),
    /// It took too long.
    Late,
    /// What came is no reply.
    Nonsense(String),
}

impl TableServers {
    /// `warn` says Postfix's warnings.
    #[must_use]
    pub fn new(sockets: LocalSockets, warn: Warn) -> TableServers {
        TableServers { sockets, warn, patience: Patience::default(), pools: Mutex::default() }
    }

    /// With other time-outs.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> TableServers {
        TableServers { patience, ..self }
    }

    /// Looks into tables until `look` is through; those behind sockets are asked, and `snapshot` learns what they say.
    ///
    /// # Errors
    /// What `look` fails with, but for tables that must be asked first.
    pub async fn looked_up<T>(
        &self,
        snapshot: &mut Snapshot,
        look: impl Fn(&Snapshot) -> Result<T, LookupError>,
    ) -> Result<T, LookupError> {
        loop {
            match look(snapshot) {
                Err(LookupError::Unasked { table, key }) => {
                    let said = match self.ask(&table, &key).await {
                        Answer::Value(value) => Some(value),
                        _ => None,
                    };
                    snapshot.learn(&table, key, said);
                }
                found => return found,
            }
        }
    }

    /// Asks `table` for `key`: `Value`, or `Failed` after the log has been told why.
    pub async fn ask(&self, table: &Remote, key: &str) -> Answer {
        let pool = self.pool(&table.endpoint);
        let Ok(Ok(_seat)) = timeout(self.patience.step, pool.seats.acquire()).await else {
            let text = format!("table {table} lookup error: all connections to {} are busy", table.endpoint);
            (self.warn)(&text);
            return Answer::Failed(text);
        };
        match &table.protocol {
            Protocol::Tcp => self.ask_tcp(&pool, table, key).await,
            Protocol::Socketmap(map) => self.ask_socketmap(&pool, table, &socketmap::request(map, key)).await,
        }
    }

    fn pool(&self, endpoint: &Endpoint) -> Arc<Pool> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Pool { seats: Semaphore::new(CONNECTIONS_MAX), idle: Mutex::default() };
        Arc::clone(pools.entry(endpoint.clone()).or_insert_with(|| Arc::new(new())))
    }

    async fn ask_tcp(&self, pool: &Pool, table: &Remote, key: &str) -> Answer {
        let at = &table.endpoint;
        let request = tcp::request(key);
        let read = |bytes: &[u8]| read_with(tcp::read(bytes));
        let mut last = String::new();
        for attempt in 0..self.patience.tries {
            if attempt > 0 {
                tokio::time::sleep(self.patience.pause).await;
            }
            let said = self.round(pool, table, &request, read).await;
            last = match said {
                Ok(Said::Found(value)) => return Answer::Value(Some(value)),
                Ok(Said::NotFound) => return Answer::Value(None),
                Ok(Said::Failed(why)) => {
                    if !why.is_empty() {
                        (self.warn)(&format!("read TCP map reply from {at}: {why}"));
                    }
                    return Answer::Failed(why);
                }
                Err(Fault::Connect(error)) => format!("connect to TCP map {at}: {}", describe(&error)),
                Err(Fault::Lost(error)) => {
                    format!("read TCP map reply from {at}: unexpected EOF ({})", describe(&error))
                }
                Err(Fault::Late) => {
                    format!("read TCP map reply from {at}: unexpected EOF (Connection timed out)")
                }
                Err(Fault::Nonsense(why)) => format!("read TCP map reply from {at}: {why}"),
            };
            (self.warn)(&last);
        }
        Answer::Failed(last)
    }

    async fn ask_socketmap(&self, pool: &Pool, table: &Remote, request: &[u8]) -> Answer {
        let read = |bytes: &[u8]| read_with(socketmap::read(bytes));
        let mut again = true;
        let why = loop {
            let said = self.round(pool, table, request, read).await;
            match said {
                Ok(Said::Found(value)) => return Answer::Value(Some(value)),
                Ok(Said::NotFound) => return Answer::Value(None),
                Ok(Said::Failed(why)) => {
                    (self.warn)(&format!("{table} {why}"));
                    return Answer::Failed(why);
                }
                Err(Fault::Connect(error)) => {
                    (self.warn)(&format!("connect to {}: {}", table.endpoint, describe(&error)));
                    break describe(&error);
                }
                Err(Fault::Lost(_)) if again => again = false,
                Err(Fault::Lost(_)) => break "unexpected disconnect".to_owned(),
                Err(Fault::Late) => break "time limit exceeded".to_owned(),
                Err(Fault::Nonsense(why)) => break why,
            }
        };
        (self.warn)(&format!("table {table} lookup error: {why}"));
        Answer::Failed(why)
    }

    /// One request and its reply, over a connection that was kept or a new one.
    async fn round(
        &self,
        pool: &Pool,
        table: &Remote,
        request: &[u8],
        read: impl Fn(&[u8]) -> Reading<String>,
    ) -> Result<Said, Fault> {
        let kept = self.take(pool, table);
        let was_kept = kept.is_some();
        let mut connection = match kept {
            Some(connection) => connection,
            None => match timeout(self.patience.step, self.connect(&table.endpoint)).await {
                Ok(connected) => connected.map_err(Fault::Connect)?,
                Err(_) => return Err(Fault::Connect(io::ErrorKind::TimedOut.into())),
            },
        };
        let said = self.exchange(&mut connection.stream, request, read).await;
        if was_kept && matches!(said, Err(Fault::Lost(_))) {
            // The server was restarted: what else is kept is as dead.
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        let (said, is_clean) = said?;
        if is_clean {
            connection.idle_since = Instant::now();
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        Ok(said)
    }

    /// The reply, and whether the connection can be used again.
    async fn exchange(
        &self,
        stream: &mut Stream,
        request: &[u8],
        read: impl Fn(&[u8]) -> Reading<String>,
    ) -> Result<(Said, bool), Fault> {
        let late = |_| Fault::Late;
        timeout(self.patience.step, stream.write_all(request)).await.map_err(late)?.map_err(Fault::Lost)?;
        let receiving = async {
            let mut reply = Vec::new();
            let mut chunk = [0; 1024];
            loop {
                let length = stream.read(&mut chunk).await.map_err(Fault::Lost)?;
                let Some(piece) = chunk.get(..length).filter(|piece| !piece.is_empty()) else {
                    return Err(Fault::Lost(io::ErrorKind::UnexpectedEof.into()));
                };
                reply.extend_from_slice(piece);
                match read(&reply) {
                    Reading::More => {}
                    // What comes behind a reply would be taken for the next one.
                    Reading::Reply(said, length) => return Ok((said, length == reply.len())),
                    Reading::Broken(why) => return Err(Fault::Nonsense(why)),
                }
            }
        };
        timeout(self.patience.step, receiving).await.map_err(late)?
    }

    fn take(&self, pool: &Pool, table: &Remote) -> Option<Connection> {
        let mut idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let Patience { step, idle: idle_max, lifetime, .. } = self.patience;
        idle.retain(|connection| match table.protocol {
            // tcp_table(5) keeps them; a process of Postfix that is idle for so long ends.
            Protocol::Tcp => connection.idle_since.elapsed() < step,
            Protocol::Socketmap(_) => {
                connection.idle_since.elapsed() < idle_max && connection.opened.elapsed() < lifetime
            }
        });
        idle.pop()
    }

    async fn connect(&self, endpoint: &Endpoint) -> io::Result<Connection> {
        let stream = match endpoint {
            Endpoint::Inet { host, port, .. } => {
                let name = port.clone();
                let number = match port.parse() {
                    Ok(number) => number,
                    Err(_) => tokio::task::spawn_blocking(move || port_number(&name, &DirectSources))
                        .await?
                        .ok_or(io::ErrorKind::AddrNotAvailable)?,
                };
                let host = if host.is_empty() { "localhost" } else { host };
                let stream = TcpStream::connect((host, number)).await?;
                stream.set_nodelay(true)?;
                Stream::Inet(stream)
            }
            Endpoint::Unix(path) => Stream::Unix(self.sockets.connect(path).await?),
        };
        let now = Instant::now();
        Ok(Connection { stream, opened: now, idle_since: now })
    }
}

fn read_with<E: std::fmt::Display>(reading: Reading<E>) -> Reading<String> {
    match reading {
        Reading::More => Reading::More,
        Reading::Reply(said, length) => Reading::Reply(said, length),
        Reading::Broken(error) => Reading::Broken(error.to_string()),
    }
}

/// The system's words, as Postfix logs them.
fn describe(error: &io::Error) -> String {
    let text = match error.kind() {
        io::ErrorKind::TimedOut => "Connection timed out",
        io::ErrorKind::UnexpectedEof => "Success",
        io::ErrorKind::AddrNotAvailable => "Cannot assign requested address",
        _ => return strerror(error),
    };
    text.to_owned()
}

#[cfg(test)]
#[path = "table_client/tests.rs"]
mod tests;
