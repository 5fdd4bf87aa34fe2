//! A connection's way from the accepting socket to its session: who it really is, whether it is let in, and in.
//!
//! The stages, in order, each for a stream of any kind (a socket, or memory in tests):
//!
//! 1. the PROXY header, where the listener has one in front (`smtpd_upstream_proxy_protocol`);
//! 2. the doorkeeper's cheap tests: deny list, greet pause, weighted DNSBLs (postscreen(8)). A client that is
//!    denied here never gets a session;
//! 3. the session, which counts by client prefix (anvil(8)) as soon as it knows who the client is.
//!
//! What a client said before its session began goes along in [`Arrival::early`]: there is no second greeting.
//! What isn't here: accepting and the number of seats (`serve/`), what is said after the banner (`session/`).
//! T2.2, T2.3.

use super::house::Seat;
use super::line::Line;
use super::refused::at_the_door;
use super::screening::screen;
use super::{Service, Shared, serve};
use crate::clock;
use crate::configuration::{Speaker, Upstream};
use events::daemon::Message;
use events::smtpd::{Connect, Disconnect, Peer};
use policy::{Answer, Facts, Need, Question};
use proto::proxy::{self, Origin};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What a client is told for whom there is no seat. postscreen(8)'s words.
pub const FULL: &[u8] = b"421 4.3.2 All server ports are busy\r\n";
/// What is read at once before the session begins.
const PIECE_BYTES: usize = 512;
/// How long a client may take to accept that it is turned away.
const LAST_WORD: Duration = Duration::from_secs(1);

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
    /// Whether that has been judged: it is no offence to the session any more.
    pub judged: bool,
    /// What was asked about the client and answered; its session needn't ask again.
    pub known: Vec<(Question, Answer)>,
    /// What it is served with.
    pub service: Service,
    /// What all sessions share.
    pub shared: Arc<Shared>,
    /// Its room in the house.
    pub seat: Seat,
}

impl<S> Arrival<S> {
    /// A connection that nothing is known of yet but its ends; `None` where the house is full beyond measure.
    #[must_use]
    pub fn new(stream: S, ends: Ends, service: Service, shared: Arc<Shared>) -> Option<Arrival<S>> {
        let seat = shared.house.take(clock::now().mono)?;
        Some(Arrival {
            stream,
            ends,
            early: Vec::new(),
            judged: false,
            known: Vec::new(),
            service,
            shared,
            seat,
        })
    }

    /// Whether there is a seat for this client, now that it is known who it is.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        let patience = self.service.listener.stressed.timeout;
        self.shared.house.admit(&self.seat, self.ends.from.ip(), patience, clock::now().mono)
    }
}

/// Takes a connection from its first byte to its end.
pub fn receive<S>(arrival: Arrival<S>) -> impl Future<Output = ()>
where
    S: Line,
{
    // What a stage needs to wait is in a box, and so is what is known, so that sessions don't keep the room for it.
    let mut arrival = Box::new(arrival);
    async move {
        if let Some(upstream) = arrival.service.listener.upstream {
            if let Err(fault) = Box::pin(hear_proxy(&mut arrival, upstream)).await {
                return Box::pin(turn_away(unboxed(arrival), upstream, &fault)).await;
            }
            if at_the_door(&arrival.shared, arrival.ends) {
                return;
            }
            if !arrival.is_admitted() {
                return Box::pin(say_and_leave(&mut arrival.stream, FULL)).await;
            }
        }
        if let Some(screening) = arrival.service.listener.screening.clone()
            && !Box::pin(screen(&mut arrival, screening)).await
        {
            return;
        }
        serve(unboxed(arrival)).await;
    }
}

/// What is in the box, whose room is free from now on: a box that is moved out of in place keeps it to its scope's end.
#[expect(clippy::boxed_local, reason = "giving the box up is what this is for")]
fn unboxed<T>(boxed: Box<T>) -> T {
    *boxed
}

/// Reads the PROXY header: whose connection it is, and what the client has said behind it. T2.3.
async fn hear_proxy<S: AsyncRead + Unpin>(
    arrival: &mut Arrival<S>,
    upstream: Upstream,
) -> Result<(), String> {
    let mut heard = Vec::with_capacity(PIECE_BYTES);
    let whole = tokio::time::timeout(upstream.timeout, async {
        loop {
            if let Some(header) = proxy::read(&heard).map_err(|fault| fault.describe(&heard))? {
                return Ok(header);
            }
            match arrival.stream.read_buf(&mut heard).await {
                Ok(0) => return Err(proxy::cut_off(&heard).describe(&heard)),
                Ok(_) => {}
                Err(error) => return Err(format!("read error: {error}")),
            }
        }
    });
    let ear = arrival.seat.ear();
    let header = tokio::select! {
        header = whole => header,
        _ = ear.told() => return Err("the server is stopping".to_owned()),
    };
    let header = match (header, upstream.speaker) {
        (Ok(header), _) => header?,
        (Err(_), Speaker::Smtpd) => return Err("timeout error".to_owned()),
        (Err(_), Speaker::Postscreen) => return Err("time limit exceeded".to_owned()),
    };
    if let Origin::Client { from, to } = header.origin {
        arrival.ends = Ends { from, to };
    }
    arrival.early = heard.get(header.length..).unwrap_or_default().to_vec();
    Ok(())
}

/// Who isn't announced as the listener wants it gets no further. Said and logged as Postfix's smtpd(8) and
/// postscreen(8) do.
async fn turn_away<S: AsyncWrite + Unpin>(mut arrival: Arrival<S>, upstream: Upstream, fault: &str) {
    let (log, listener) = (&arrival.shared.log, &arrival.service.listener);
    let warning = Message::warning(format!("haproxy read: {fault}"));
    let reply = match upstream.speaker {
        Speaker::Smtpd => {
            log.write(&listener.program, warning);
            let address = arrival.ends.from.ip().to_canonical();
            let client =
                Peer::new(name(&arrival.service, &arrival.shared, address).await, address.to_string());
            log.write(&listener.program, Connect { client: client.clone() });
            log.write(&listener.program, Disconnect { client, commands: "commands=0/0".into() });
            format!("421 4.3.0 {} Server local error\r\n", listener.receiving.hostname)
        }
        Speaker::Postscreen => {
            log.write(&format!("{}/postscreen", listener.receiving.syslog_name), warning);
            "421 4.3.2 No system resources\r\n".to_owned()
        }
    };
    say_and_leave(&mut arrival.stream, reply.as_bytes()).await;
}

/// The verified name of `address`, or `unknown`.
async fn name(service: &Service, shared: &Shared, address: IpAddr) -> String {
    let mut facts = Facts::new(service.live.snapshot());
    let lookup = service.listener.receiving.peername_lookup;
    loop {
        match policy::client_names(address, lookup, &facts) {
            Ok(names) => return names.name,
            Err(Need(question)) => {
                let answer = shared.answers.answer(&question, &[]).await;
                facts.learn(question, answer);
            }
        }
    }
}

/// A last line for a client that nothing was said to yet, so that it fits the socket's buffer.
async fn say_and_leave<S: AsyncWrite + Unpin>(stream: &mut S, reply: &[u8]) {
    let _ = tokio::time::timeout(LAST_WORD, async {
        stream.write_all(reply).await?;
        stream.shutdown().await
    })
    .await;
}
