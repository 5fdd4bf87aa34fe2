//! The line to a client: a socket that can also be asked whether anybody is still at its other end.
//!
//! A session that waits for something else than its client (`sleep`, a name server, a policy server, a table behind a
//! socket) reads nothing and holds no buffer meanwhile. It still hears of an end: of a reset at once, of a client that
//! has closed its side and said nothing before that it is owed an answer to, a second later. Whoever has sent commands
//! ahead and closed its side hears the answers, as with Postfix. What a client says under TLS when it closes is no
//! command: whoever has said just that is gone. T2.2.

use rustix::net::RecvFlags;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, Interest, ReadBuf};
use tokio::net::TcpStream;

/// A client that has closed its side may still listen: so long an answer may take to come.
const HALF_CLOSED: Duration = Duration::from_secs(1);
/// Between two looks where there are bytes that nobody reads now.
const UNREAD: Duration = Duration::from_secs(1);

/// What a session talks over.
pub trait Line: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Ends when the client is gone. Where that can't be known it never ends.
    fn gone(&self) -> impl Future<Output = ()> + Send + use<Self> {
        std::future::pending()
    }
}

/// Pipes in memory can't tell.
impl Line for DuplexStream {}

/// A client's socket.
pub struct Socket(Arc<TcpStream>);

impl Socket {
    /// As it was accepted.
    #[must_use]
    pub fn new(stream: TcpStream) -> Socket {
        Socket(Arc::new(stream))
    }

    /// Writes what fits without waiting.
    ///
    /// # Errors
    /// As of a socket.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }
}

impl Line for Socket {
    fn gone(&self) -> impl Future<Output = ()> + Send + use<> {
        let stream = Arc::clone(&self.0);
        async move {
            // A reset, or an error of the socket's own, ends it; also where bytes are left unread.
            while let Ok(ready) = stream.ready(Interest::READABLE | Interest::ERROR).await {
                if ready.is_error() {
                    return;
                }
                // Not tokio's `peek`: it takes the place of whoever reads in another task, who is never woken then.
                let unread = stream.try_io(Interest::READABLE, || {
                    let mut bytes = [0; GOODBYE_BYTES_MAX];
                    let (_, length) = rustix::net::recv(&*stream, &mut bytes, RecvFlags::PEEK)?;
                    let unread = bytes.get(..length).unwrap_or_default();
                    Ok(if is_goodbye(unread, ready.is_read_closed()) { 0 } else { length })
                });
                match unread {
                    Ok(0) => return tokio::time::sleep(HALF_CLOSED).await,
                    Ok(_) => tokio::time::sleep(UNREAD).await,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        }
    }
}

/// Longer than any goodbye under TLS.
const GOODBYE_BYTES_MAX: usize = 48;

/// Whether all that a client has left unread is a closure alert of TLS (RFC 8446 §6.1). In TLS 1.3 it looks like any
/// other record of two bytes: there the client must have closed its side as well.
fn is_goodbye(unread: &[u8], is_closed: bool) -> bool {
    let [kind, 3, _, high, low, rest @ ..] = unread else { return false };
    let is_whole =
        unread.len() < GOODBYE_BYTES_MAX && rest.len() == usize::from(u16::from_be_bytes([*high, *low]));
    let is_alert = match kind {
        21 => true,
        // Level, description, the real kind, and a tag of 16 bytes.
        23 => rest.len() == 19 && is_closed,
        _ => false,
    };
    is_whole && is_alert
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            match self.0.try_read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(length) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(socket2::SockRef::from(&*self.0).shutdown(std::net::Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::net::TcpListener;
    use tokio::time::timeout;

    async fn pair() -> (std::net::TcpStream, Socket) {
        let listening = TcpListener::bind("127.0.0.1:0").expect("binds");
        let client = std::net::TcpStream::connect(listening.local_addr().expect("bound")).expect("connects");
        let (server, _) = listening.accept().expect("accepts");
        server.set_nonblocking(true).expect("a socket");
        (client, Socket::new(TcpStream::from_std(server).expect("a socket")))
    }

    const MOMENT: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn who_is_there_is_not_gone() {
        let (client, socket) = pair().await;
        let mut gone = Box::pin(socket.gone());
        assert!(timeout(MOMENT, &mut gone).await.is_err());
        (&client).write_all(b"RSET\r\n").expect("takes it");
        assert!(timeout(MOMENT, &mut gone).await.is_err());
        // Nothing was read.
        let mut heard = [0; 6];
        tokio::io::AsyncReadExt::read_exact(&mut { socket }, &mut heard).await.expect("reads");
        assert_eq!(&heard, b"RSET\r\n");
        drop(client);
    }

    #[tokio::test]
    async fn a_reset_is_heard_at_once_and_an_end_soon() {
        let (client, socket) = pair().await;
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("a socket");
        drop(client);
        assert!(timeout(MOMENT, socket.gone()).await.is_ok());
        let (client, socket) = pair().await;
        drop(client);
        let mut gone = Box::pin(socket.gone());
        assert!(timeout(MOMENT, &mut gone).await.is_err(), "it may still listen");
        assert!(timeout(HALF_CLOSED * 2, gone).await.is_ok());
    }

    /// Another task reads meanwhile, as a stranger's handshake does: it hears of every byte.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn who_reads_elsewhere_is_woken() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        for round in 0..3000 {
            let (mut client, mut socket) = pair().await;
            let gone = tokio::spawn(socket.gone());
            let reads = tokio::spawn(async move {
                for _ in 0..3 {
                    let byte = socket.read_u8().await?;
                    socket.write_u8(byte).await?;
                }
                io::Result::Ok(())
            });
            let talks = tokio::task::spawn_blocking(move || {
                client.set_read_timeout(Some(Duration::from_secs(10)))?;
                for _ in 0..3 {
                    client.write_all(b"x")?;
                    std::io::Read::read_exact(&mut client, &mut [0])?;
                }
                io::Result::Ok(())
            });
            talks.await.expect("no panic").unwrap_or_else(|error| panic!("{round}: {error}"));
            assert!(reads.await.is_ok_and(|outcome| outcome.is_ok()), "{round}");
            gone.abort();
        }
    }

    /// Whoever has said everything and closed its side is owed answers.
    #[tokio::test]
    async fn what_was_said_before_is_answered() {
        let (client, socket) = pair().await;
        (&client).write_all(b"QUIT\r\n").expect("takes it");
        client.shutdown(std::net::Shutdown::Write).expect("a socket");
        assert!(timeout(UNREAD * 2, socket.gone()).await.is_err());
    }

    #[test]
    fn goodbyes_under_tls() {
        let record = |kind: u8, length: u8| [&[kind, 3, 3, 0, length][..], &vec![7; length.into()]].concat();
        let alert = record(21, 26);
        for (unread, is_closed, expect) in [
            (alert.as_slice(), false, true),
            (&record(21, 2), false, true),
            (&record(23, 19), true, true),
            // Two bytes of a command, by somebody who is still there.
            (&record(23, 19), false, false),
            (&record(23, 23), true, false),
            (&[alert.as_slice(), &record(23, 19)].concat(), true, false),
            (&alert[..20], true, false),
            (&record(21, 60)[..48], true, false),
            (b"QUIT\r\n", true, false),
            (b"", true, false),
        ] {
            assert_eq!(is_goodbye(unread, is_closed), expect, "{unread:?}");
        }
    }

    #[tokio::test]
    async fn a_goodbye_is_heard() {
        let (client, socket) = pair().await;
        (&client).write_all(&[21, 3, 3, 0, 2, 1, 0]).expect("takes it");
        assert!(timeout(HALF_CLOSED * 3, socket.gone()).await.is_ok());
        let (client, socket) = pair().await;
        (&client).write_all(&[[23, 3, 3, 0, 19].as_slice(), &[7; 19]].concat()).expect("takes it");
        let mut gone = Box::pin(socket.gone());
        assert!(timeout(MOMENT, &mut gone).await.is_err(), "it may be a command");
        drop(client);
        assert!(timeout(UNREAD * 4, gone).await.is_ok());
    }
}
