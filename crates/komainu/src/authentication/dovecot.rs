//! Connections to Dovecot's authentication server (`smtpd_sasl_type = dovecot`).
//!
//! One connection carries the requests of all sessions at once; it is opened when somebody wants it, and anew when it
//! broke. Whoever waits does so for [`TIME_LIMIT`] at most, as in Postfix, also where the server takes connections and
//! says nothing; after a failure nobody tries for a while, so that a dead server costs sessions no time. What is
//! offered stays what it was while the server is away. T0.2.

use super::Warn;
use crate::privileged::LocalSockets;
use proto::sasl::server::Mechanism;
use proto::sasl::server::dovecot::{
    Answer, Lines, MECHANISMS_MAX, Said, Start, cancel, hello, respond, start,
};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot};

/// How long an answer, or a connection with its handshake, may take.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Requests under way on one connection; more are refused.
const WAITING_MAX: usize = 4096;
/// Requests that wait to be written.
const OUTGOING_MAX: usize = 64;
/// After a connection was refused, nobody tries for so long.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// After nobody answered.
const SILENT_PAUSE: Duration = Duration::from_secs(10);
/// How long a connection that is no longer used waits for the answers that others still want.
const RETIREMENT: Duration = Duration::from_secs(20);

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

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
            connection: tokio::sync::Mutex::default(),
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
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
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
            // Where there is no room the server forgets it by itself.
            let _ = connection.outgoing.try_send(cancel(self.id));
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
    pub async fn start(&self, request: &Start<'_>) -> Result<(Answer, Option<Exchange>), Lost> {
        let all = async {
            let mut tries = 0;
            loop {
                let (connection, fresh) = self.connected().await?;
                let id = connection.next_id();
                let answer = connection.ask(id, start(id, request)).await;
                tries += 1;
                // A connection that lay idle may have been closed meanwhile; that is no failure of the server.
                if answer.is_err() && connection.is_closed() && !fresh && tries < 2 {
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

    /// The connection, and whether it was opened just now.
    async fn connected(&self) -> Result<(Arc<Connection>, bool), Lost> {
        let mut current = self.connection.lock().await;
        if let Some(connection) = current.as_ref().filter(|connection| connection.is_fit()) {
            return Ok((Arc::clone(connection), false));
        }
        *current = None;
        if locked(&self.state).pause.is_some_and(|pause| Instant::now() < pause) {
            return Err(Lost);
        }
        let opened = tokio::time::timeout(TIME_LIMIT, self.shake_hands()).await;
        let (error, pause) = match opened {
            Ok(Ok((connection, mechanisms))) => {
                let mut state = locked(&self.state);
                (state.mechanisms, state.stale, state.pause) = (Some(mechanisms.into()), false, None);
                *current = Some(Arc::clone(&connection));
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

struct Connection {
    outgoing: mpsc::Sender<Vec<u8>>,
    waiting: Mutex<HashMap<u32, oneshot::Sender<Answer>>>,
    ids: AtomicU32,
    /// Answers so far.
    heard: AtomicU64,
    closed: AtomicBool,
    /// It takes no new requests.
    retired: AtomicBool,
    retiring: Notify,
}

impl Connection {
    fn begin(reader: Reader, writer: Writer, lines: Lines) -> Arc<Connection> {
        let (outgoing, incoming) = mpsc::channel(OUTGOING_MAX);
        let connection = Arc::new(Connection {
            outgoing,
            waiting: Mutex::default(),
            ids: AtomicU32::new(1),
            heard: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            retiring: Notify::new(),
        });
        tokio::spawn(Arc::clone(&connection).run(reader, writer, lines, incoming));
        connection
    }

    /// Until one side breaks, or it has been retired for long enough.
    async fn run(
        self: Arc<Self>,
        reader: Reader,
        writer: Writer,
        lines: Lines,
        incoming: mpsc::Receiver<Vec<u8>>,
    ) {
        let retired = async {
            self.retiring.notified().await;
            tokio::time::sleep(RETIREMENT).await;
        };
        tokio::select! {
            () = self.listen(reader, lines) => {}
            () = write(writer, incoming) => {}
            () = retired => {}
        }
        self.closed.store(true, Ordering::Release);
        // Those who wait hear of it by this.
        locked(&self.waiting).clear();
    }

    async fn listen(&self, mut reader: Reader, mut lines: Lines) {
        let mut buffer = [0; 2048];
        while let Ok(read) = reader.read(&mut buffer).await {
            let bytes = buffer.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                return;
            }
            let Ok(said) = lines.take(bytes) else { return };
            for said in said {
                if let Said::Answer(id, answer) = said {
                    self.heard.fetch_add(1, Ordering::Relaxed);
                    if let Some(waiting) = locked(&self.waiting).remove(&id) {
                        let _ = waiting.send(answer);
                    }
                }
            }
        }
    }

    async fn ask(&self, id: u32, request: Vec<u8>) -> Result<Answer, Lost> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = locked(&self.waiting);
            if self.is_closed() || waiting.len() >= WAITING_MAX {
                return Err(Lost);
            }
            waiting.insert(id, sender);
        }
        let asked =
            Asked { connection: self, id, heard: self.heard.load(Ordering::Relaxed), since: Instant::now() };
        self.outgoing.send(request).await.map_err(|_| Lost)?;
        let answer = receiver.await.map_err(|_| Lost);
        drop(asked);
        answer
    }

    fn next_id(&self) -> u32 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn is_fit(&self) -> bool {
        // Numbers aren't used twice.
        !self.is_closed()
            && !self.retired.load(Ordering::Acquire)
            && self.ids.load(Ordering::Relaxed) < u32::MAX / 2
    }
}

/// Somebody waits for an answer.
struct Asked<'a> {
    connection: &'a Connection,
    id: u32,
    heard: u64,
    since: Instant,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let unanswered = locked(&self.connection.waiting).remove(&self.id).is_some();
        if !unanswered {
            return;
        }
        let _ = self.connection.outgoing.try_send(cancel(self.id));
        // A server that has said nothing to anybody for all this time is hung: the next try is on a new connection.
        let silent = self.connection.heard.load(Ordering::Relaxed) == self.heard;
        if silent && self.since.elapsed() + Duration::from_millis(500) >= TIME_LIMIT {
            self.connection.retired.store(true, Ordering::Release);
            self.connection.retiring.notify_one();
        }
    }
}

async fn write(mut writer: Writer, mut incoming: mpsc::Receiver<Vec<u8>>) {
    while let Some(request) = incoming.recv().await {
        if writer.write_all(&request).await.is_err() {
            return;
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
