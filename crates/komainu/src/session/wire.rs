//! A client's connection, in the clear or under TLS.
//!
//! What the session talks over: the line as it was accepted, until STARTTLS or the listener's wrapper mode puts TLS
//! between (RFC 3207). What had been read in the clear before stays with whoever read it: nothing of it comes through
//! here again. Handshakes are `tls::server`'s.

use super::line::Line;
use crate::tls::apart::Apart;
use crate::tls::server::{Acceptor, Established, Remark};
use proto::sasl::server::exchange::Binding;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

/// A connection whose protection can begin.
pub(super) enum Wire<S> {
    /// As it was accepted.
    Clear(S),
    /// Under TLS.
    Protected(Box<TlsStream<S>>),
    /// A handshake has failed.
    Broken,
}

impl<S: Line> Wire<S> {
    /// Ends when the client is gone.
    pub(super) fn gone(&self) -> impl Future<Output = ()> + Send + use<S> {
        let gone = match self {
            Wire::Clear(line) => Some(line.gone()),
            Wire::Protected(stream) => Some(stream.get_ref().0.gone()),
            Wire::Broken => None,
        };
        async move {
            if let Some(gone) = gone {
                gone.await;
            }
        }
    }

    /// What a log-in can be bound to (RFC 9266). TLS 1.2 may have had no extended master secret, and then two sessions
    /// may have the same.
    pub(super) fn exported(&self) -> Option<Binding> {
        let Wire::Protected(stream) = self else { return None };
        let (_, connection) = stream.get_ref();
        let is_13 = connection.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
        let data = connection.export_keying_material(vec![0; 32], b"EXPORTER-Channel-Binding", Some(b""));
        Some(Binding { name: "tls-exporter", data: data.ok().filter(|_| is_13)? })
    }

    /// Makes the handshake, apart from others where that is wanted. After a failure, and where it is given up, nothing can be said any more.
    ///
    /// # Errors
    /// As of the socket, or `InvalidData` where the client doesn't speak TLS as it is spoken here.
    pub(super) async fn protect(
        &mut self,
        acceptor: &Acceptor,
        apart: Option<&Apart>,
        remark: &mut Option<Remark>,
    ) -> io::Result<Established> {
        let Wire::Clear(line) = std::mem::replace(self, Wire::Broken) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let (stream, established) = acceptor.accept(line, apart, remark).await?;
        *self = Wire::Protected(Box::new(stream));
        Ok(established)
    }
}

impl<S: Line> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Clear(line) => Pin::new(line).poll_read(context, buffer),
            Wire::Protected(stream) => Pin::new(stream).poll_read(context, buffer),
            Wire::Broken => Poll::Ready(Ok(())),
        }
    }
}

impl<S: Line> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Clear(line) => Pin::new(line).poll_write(context, bytes),
            Wire::Protected(stream) => Pin::new(stream).poll_write(context, bytes),
            Wire::Broken => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Clear(line) => Pin::new(line).poll_flush(context),
            Wire::Protected(stream) => Pin::new(stream).poll_flush(context),
            Wire::Broken => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Clear(line) => Pin::new(line).poll_shutdown(context),
            Wire::Protected(stream) => Pin::new(stream).poll_shutdown(context),
            Wire::Broken => Poll::Ready(Ok(())),
        }
    }
}
