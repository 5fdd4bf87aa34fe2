//! One connection to Dovecot's authentication server: requests by number, answers in any order.
//!
//! It ends when one side breaks, when a line of the server can't be read, or a while after it was retired. Whoever
//! waits then hears that it is [`Lost`]. A request that nobody waits for any more is cancelled. T0.2.

use super::{Lost, TIME_LIMIT, locked};
use proto::sasl::server::dovecot::{Answer, Lines, Said, cancel};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc, oneshot};

/// Requests under way on one connection; more are refused.
const WAITING_MAX: usize = 4096;
/// Requests that wait to be written.
const OUTGOING_MAX: usize = 64;
/// How long a connection that is no longer used waits for the answers that others still want.
const RETIREMENT: Duration = Duration::from_secs(20);

/// What comes from the server.
pub(super) type Reader = Box<dyn AsyncRead + Send + Unpin>;
/// What goes to it.
pub(super) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Requests under their numbers, and who waits for which.
pub(super) struct Connection {
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
    /// With what the handshake left unread.
    pub(super) fn begin(reader: Reader, writer: Writer, lines: Lines) -> Arc<Connection> {
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

    /// What the server says to a request.
    ///
    /// # Errors
    /// [`Lost`].
    pub(super) async fn ask(&self, id: u32, request: Vec<u8>) -> Result<Answer, Lost> {
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

    /// How many requests wait for their answer.
    pub(super) fn under_way(&self) -> usize {
        locked(&self.waiting).len()
    }

    /// How many there have been.
    pub(super) fn requests(&self) -> u32 {
        self.ids.load(Ordering::Relaxed)
    }

    /// Nobody waits for this one any more.
    pub(super) fn cancel(&self, id: u32) {
        // Where there is no room the server forgets it by itself.
        let _ = self.outgoing.try_send(cancel(id));
    }

    /// A number for a request.
    pub(super) fn next_id(&self) -> u32 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether it is over.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// No new requests; those under way have a while left.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.retiring.notify_one();
    }

    /// Whether it takes new requests.
    pub(super) fn is_fit(&self) -> bool {
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
        self.connection.cancel(self.id);
        // A server that has said nothing to anybody for all this time is hung: the next try is on a new connection.
        let silent = self.connection.heard.load(Ordering::Relaxed) == self.heard;
        if silent && self.since.elapsed() + Duration::from_millis(500) >= TIME_LIMIT {
            self.connection.retire();
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
