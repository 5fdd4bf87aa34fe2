//! A connection's way from the accepting socket to its session: who it really is, whether it is let in, and in.
//!
//! The stages, in order, each for a stream of any kind (a socket, or memory in tests):
//!
//! 1. the PROXY header, where the listener has one in front (`smtpd_upstream_proxy_protocol`);
//! 2. the doorkeeper's cheap tests: deny list, greet pause, weighted DNSBLs (postscreen(8)). A client that is
//!    denied here never gets a session;
//! 3. counts by client prefix (anvil(8)), which end with the session;
//! 4. the session.
//!
//! What a client said before its session began goes along in [`Arrival::early`]: there is no second greeting.
//! What isn't here: accepting and the number of seats (`serve/`), what is said after the banner (`session/`).
//! T2.2, T2.3.

use super::{Service, Shared, serve};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection's two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The client's, or the proxy's until its header is read.
    pub from: SocketAddr,
    /// Ours, as the client sees it.
    pub to: SocketAddr,
}

/// A new connection, and all that is known of it.
pub struct Arrival<S> {
    /// The connection itself.
    pub stream: S,
    /// Its ends.
    pub ends: Ends,
    /// What the client has said too early; the session hears it first.
    pub early: Vec<u8>,
    /// What it is served with.
    pub service: Service,
    /// What all sessions share.
    pub shared: Arc<Shared>,
    /// The house is nearly full: `${stress?…}` is on.
    pub stressed: bool,
}

impl<S> Arrival<S> {
    /// A connection that nothing is known of yet but its ends.
    #[must_use]
    pub fn new(stream: S, ends: Ends, service: Service, shared: Arc<Shared>) -> Arrival<S> {
        Arrival { stream, ends, early: Vec::new(), service, shared, stressed: false }
    }
}

/// Takes a connection from its first byte to its end.
pub async fn receive<S>(arrival: Arrival<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    // PROXY here: replaces `ends`, keeps what follows the header in `early`.
    // The doorkeeper's tests here; what it has heard goes into `early`.
    // Counts by prefix here; a guard that lives as long as the session.
    serve(arrival).await;
}
