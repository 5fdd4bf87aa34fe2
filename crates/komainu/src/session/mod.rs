//! One SMTP connection, driven: bytes to the conversation, its questions to the policy, its mail to the spool.
//!
//! The only place where a session waits. What is waited for is one of: bytes from the client, a deadline of
//! the conversation, the answer to a policy's question, the flush of a commit. While waiting for the client
//! a session holds no buffer and no thread: bytes are read into a buffer of the thread that polls (T2.2).
//! A session keeps the policy it began with (T0.6).

pub mod arrival;
mod authenticate;
mod cleanup;
mod decide;
mod farewell;
pub mod house;
mod internal;
pub(crate) mod labour;
pub mod line;
mod message;
mod metering;
mod milters;
mod notes;
mod passing;
mod protection;
pub mod refused;
pub(crate) mod request;
pub mod screening;
mod turn;
mod wire;

use crate::authentication::Authentication;
use crate::bans::ShutOut;
use crate::clock;
use crate::configuration::Listener;
use crate::facts::Answers;
use crate::facts::flight::Flight;
use arrival::{Arrival, Ends};
use authenticate::LoggingIn;
use house::{House, Seat, Word};
use line::Line;
pub use metering::Ticket;

use crate::deliver::QueueHandle;
use crate::deliver::target::Targets;
use crate::deliver::verify::Verifier;
use crate::live::Live;
use crate::log::Log;
use policy::address::AddressClasses;
use policy::rates::Rates;
use policy::{Client, Facts, MailEffect, Transaction};
use protection::Protection;
use proto::sasl::server::exchange::Binding;
use proto::smtp::{Action, AuthOutcome, AuthStep, Input, Peer, Request, Server, Verdict};
use std::cell::RefCell;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use store::Spool;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use wire::Wire;

/// Bytes read at once.
const READ_BYTES: usize = 32 * 1024;
/// Room for the replies to what a client says at once.
const OUT_BYTES: usize = 512;
/// Replies that may wait while there are more commands to answer.
const OUT_BYTES_MAX: usize = 16 * 1024;

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// What all sessions of a server share.
pub struct Shared {
    /// Answers to the policies' questions.
    pub answers: Arc<Answers>,
    /// Where accepted mail goes.
    pub spool: Spool,
    /// Where events go.
    pub log: Log,
    /// Who is told of new mail.
    pub queue: QueueHandle,
    /// What clients have done lately.
    pub rates: Arc<Rates>,
    /// Who sits where, and whether the server is stopping.
    pub house: House,
    /// How clients log in.
    pub authentication: Authentication,
    /// Whose network is shut out.
    pub shut_out: Arc<ShutOut>,
    /// Who is being tested before a session.
    pub waiting: Arc<screening::Waiting>,
    /// Which addresses are deliverable.
    pub verifier: Arc<Verifier>,
    /// How sockets of the file system are reached.
    pub sockets: crate::privileged::LocalSockets,
    /// Who may look into mailboxes.
    pub helper: Option<crate::privileged::Helper>,
}

/// One listener's configuration, as a session keeps it.
#[derive(Clone)]
pub struct Service {
    /// Policy and settings.
    pub listener: Arc<Listener>,
    /// The tables, always the newest.
    pub live: Arc<Live>,
    /// Where mail goes.
    pub targets: Arc<Targets>,
    /// Whose address is whose.
    pub classes: Arc<AddressClasses>,
}

/// One connection's state.
struct Session {
    shared: Arc<Shared>,
    seat: Seat,
    service: Service,
    server: Server,
    tx: Transaction,
    facts: Facts,
    /// Questions that were asked ahead and not needed yet.
    ahead: Vec<Arc<Flight>>,
    /// What SPF's questions about this message have taken.
    spf_spent: std::time::Duration,
    effects: Vec<MailEffect>,
    /// XCLIENT has said who the client is.
    assumed: bool,
    /// The table of `smtpd_discard_ehlo_keyword_address_maps` that couldn't say, and its warning.
    featureless: Option<Box<str>>,
    /// Warnings about the configuration that this session has given already.
    warned: Vec<String>,
    reception: Option<Box<crate::cleanup::Message>>,
    /// Who looks at the attachments of what comes, where somebody asks.
    scanner: Option<Box<mail::attachment::Scanner>>,
    labour: labour::Labour,
    /// A message that a before-queue filter takes.
    passing: Option<Box<passing::Passing>>,
    /// Its milters, once they have been asked.
    filters: Option<Box<crate::facts::milter::Filters>>,
    /// Where AUTH has been tried.
    logging_in: Option<Box<LoggingIn>>,
    /// What `Received:` says of TLS.
    protection: Option<Box<Protection>>,
    /// What a log-in can be bound to.
    bindings: Box<[Binding]>,
    /// Whether the log has its `connect from`.
    announced: bool,
    /// When it began.
    since: mail::Wall,
    instances: u32,
    /// Connections of this client at once, where they are counted.
    concurrency: u32,
    /// Messages that were accepted.
    messages: u32,
    reach: Reach,
    shut_out: refused::Watch,
    /// Something was said that a jail may count, and the jails may not have heard it.
    owes: refused::Owed,
    /// What the client said before its session began.
    early: Vec<u8>,
}

/// How a wait for the client ended.
enum Woken {
    Input,
    Deadline,
    /// The client is gone.
    Broken,
    /// The client takes nothing.
    Stuck,
    /// The server is stopping, or somebody else needs the seat.
    Told(Word),
}

/// Whether replies still get through.
enum Reach {
    Open,
    /// No more, and the conversation hasn't heard of it.
    Lost(Woken),
    /// No more, and the conversation is ending.
    Ending,
}

/// Serves one connection from the greeting until it ends. Not an `async fn`: what it is given is not to lie in its
/// future as well as in the session.
pub fn serve<S>(arrival: Arrival<S>) -> impl Future<Output = ()>
where
    S: Line,
{
    let Arrival { stream, ends, early, judged, known, service, shared, seat } = arrival;
    let mut session = Box::new(Session::new(ends, service, shared, seat));
    session.early = early;
    for (question, answer) in known {
        session.facts.learn(question, answer);
    }
    let mut wire = Wire::Clear(stream);
    async move {
        session.run(&mut wire, judged).await;
        session.tell_postmaster();
        session.farewell();
        session.milters_quit();
    }
}

impl Session {
    fn new(ends: Ends, service: Service, shared: Arc<Shared>, seat: Seat) -> Session {
        let Ends { from, to } = ends;
        let address = canonical(from.ip());
        let client = Client::unnamed(address, from.port(), canonical(to.ip()), to.port());
        let listener = &service.listener;
        let stressed = shared.house.is_stressed();
        let settings = if stressed { &listener.stressed } else { &listener.settings };
        let now = clock::now();
        let server = Server::new(Arc::clone(settings), Peer::new(address, from.port()), now);
        let server = if listener.security.wrapped { server.over_tls() } else { server };
        let mut tx = Transaction::new(client);
        tx.stress = stressed;
        let facts = Facts::new(service.live.snapshot());
        Session {
            shared,
            seat,
            service,
            server,
            tx,
            facts,
            ahead: Vec::new(),
            spf_spent: std::time::Duration::ZERO,
            effects: Vec::new(),
            assumed: false,
            featureless: None,
            warned: Vec::new(),
            reception: None,
            scanner: None,
            labour: labour::Labour::default(),
            passing: None,
            filters: None,
            logging_in: None,
            protection: None,
            bindings: Box::default(),
            announced: false,
            since: now.wall,
            instances: 0,
            concurrency: 0,
            messages: 0,
            reach: Reach::Open,
            shut_out: refused::Watch::default(),
            owes: refused::Owed::default(),
            early: Vec::new(),
        }
    }

    /// Talks to the client. What it has said `early` is heard first, or, where that has been judged already, behind
    /// the greeting.
    async fn run<S: Line>(&mut self, stream: &mut Wire<S>, judged: bool) {
        let mut out = Vec::new();
        if !self.early.is_empty() {
            if judged && !self.act_all(stream, &mut out).await {
                return;
            }
            let early = std::mem::take(&mut self.early);
            self.server.handle(clock::now(), Input::Bytes(&early), &mut out);
        }
        loop {
            if self.shared.house.is_closing() {
                self.server.shut_down(clock::now(), &mut out);
            }
            if !self.act_all(stream, &mut out).await {
                return;
            }
            self.flush(stream, &mut out).await;
            match self.wait(stream, &mut out).await {
                Woken::Input | Woken::Told(Word::Closing) => {}
                Woken::Deadline => self.server.expire(clock::now(), &mut out),
                Woken::Stuck | Woken::Told(Word::Evicted | Word::Hurry) => {
                    self.server.time_out(clock::now(), &mut out)
                }
                Woken::Broken => self.server.handle(clock::now(), Input::PeerClosed, &mut out),
            }
        }
    }

    /// Does what there is to do; false when the session is over.
    async fn act_all<S: Line>(&mut self, stream: &mut Wire<S>, out: &mut Vec<u8>) -> bool {
        loop {
            if self.owes.is_due() {
                Box::pin(self.hear_jails()).await;
            }
            match self.step(stream, out) {
                Step::Done => {}
                Step::Waits(work) => work.await,
                Step::Nothing => return true,
                Step::Close => break,
            }
            // A client that pipelines without reading is not to fill the memory.
            if out.len() > OUT_BYTES_MAX {
                self.flush(stream, out).await;
            }
        }
        self.flush(stream, out).await;
        let _ = stream.shutdown().await;
        false
    }

    /// Does the next thing where it waits for nothing; else says how to wait for it, in a box: a client that is waited
    /// for is not to hold room for what else may be.
    fn step<'s, S: Line>(&'s mut self, stream: &'s mut Wire<S>, out: &'s mut Vec<u8>) -> Step<'s> {
        if self.is_shut_out() {
            self.server.shut_out(out);
        }
        let Some(action) = self.server.poll() else { return Step::Nothing };
        match action {
            Action::Chunk(chunk) => {
                let waits = self.receive(&chunk);
                self.server.recycle(chunk);
                if waits {
                    return Step::Waits(Box::pin(self.receive_slowly()));
                }
            }
            Action::Abort => {
                self.abort();
                if self.filters.is_some() {
                    return Step::Waits(Box::pin(self.milters_abort()));
                }
            }
            Action::Note(note) => self.note(note),
            Action::StartTls => return Step::Waits(Box::pin(self.start_tls(stream, out))),
            Action::Authenticate(step @ (AuthStep::Cancelled | AuthStep::TooLong)) => self.give_up(&step),
            Action::Close => return Step::Close,
            Action::Decide(request) => {
                return Step::Waits(Box::pin(self.decide_or_lose(request, stream, out)));
            }
            Action::Unknown(line) => {
                return Step::Waits(Box::pin(self.unknown_or_lose(line, stream.gone(), out)));
            }
            Action::Filter(line) => {
                return Step::Waits(Box::pin(self.filter_or_lose(line, stream.gone(), out)));
            }
            Action::Commit => return Step::Waits(Box::pin(self.keep(out))),
            Action::Identity(identity) => return Step::Waits(Box::pin(self.assume(*identity))),
            Action::Authenticate(step) => {
                return Step::Waits(Box::pin(self.authenticate_or_lose(step, stream, out)));
            }
        }
        Step::Done
    }

    /// Writes what there is, and gives the buffer back. A client that takes nothing for `smtpd_timeout`, or is
    /// gone, gets nothing more: the conversation ends at the next wait.
    async fn flush<S: AsyncWrite + Unpin + Send>(&mut self, stream: &mut S, out: &mut Vec<u8>) {
        let out = std::mem::take(out);
        let mut rest = out.as_slice();
        if rest.is_empty() || !matches!(self.reach, Reach::Open) {
            return;
        }
        // Nearly always the socket's buffer takes it all, and no timer is wanted.
        let at_once =
            std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_write(cx, rest))).await;
        match at_once {
            Poll::Ready(Ok(written)) if written > 0 => rest = rest.get(written..).unwrap_or_default(),
            Poll::Ready(_) => self.reach = Reach::Lost(Woken::Broken),
            Poll::Pending => {}
        }
        // Under TLS what was taken may still be on its way.
        let at_once = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_flush(cx))).await;
        if (!rest.is_empty() || at_once.is_pending()) && matches!(self.reach, Reach::Open) {
            Box::pin(self.flush_slowly(stream, rest)).await;
        }
    }

    async fn flush_slowly<S: AsyncWrite + Unpin + Send>(&mut self, stream: &mut S, mut rest: &[u8]) {
        let (whole, limit) = (self.server.settings().per_request_deadline, self.server.write_timeout());
        let mut until = None;
        while !rest.is_empty() && matches!(self.reach, Reach::Open) {
            let fresh = tokio::time::Instant::now() + limit;
            // Under `smtpd_per_request_deadline` for all of it, else for each piece.
            let until = if whole { *until.get_or_insert(fresh) } else { fresh };
            match tokio::time::timeout_at(until, stream.write(rest)).await {
                Ok(Ok(written)) if written > 0 => rest = rest.get(written..).unwrap_or_default(),
                Ok(_) => self.reach = Reach::Lost(Woken::Broken),
                Err(_) => self.reach = Reach::Lost(Woken::Stuck),
            }
        }
        match tokio::time::timeout(limit, stream.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => self.reach = Reach::Lost(Woken::Broken),
            Err(_) => self.reach = Reach::Lost(Woken::Stuck),
        }
    }

    /// Waits for bytes and hands them over, or for the deadline.
    async fn wait<S: AsyncRead + Unpin>(&mut self, stream: &mut S, out: &mut Vec<u8>) -> Woken {
        if !matches!(self.reach, Reach::Open)
            && let Reach::Lost(woken) = std::mem::replace(&mut self.reach, Reach::Ending)
        {
            return woken;
        }
        let deadline = self.server.deadline().map(clock::instant);
        let wants_input = self.server.wants_input();
        let server = &mut self.server;
        let (shared, shut_out, client) = (&self.shared, &mut self.shut_out, self.tx.client.address);
        let reading = std::future::poll_fn(|cx| {
            if !wants_input {
                return Poll::Pending;
            }
            READ_BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                        out.reserve(OUT_BYTES);
                        // What whoever has just been shut out says isn't heard any more.
                        if !shut_out.is_shut_out(shared, client) {
                            server.handle(clock::now(), Input::Bytes(buffer.filled()), out);
                        }
                        Poll::Ready(Woken::Input)
                    }
                    Poll::Ready(_) => Poll::Ready(Woken::Broken),
                }
            })
        });
        if wants_input {
            self.seat.waits(clock::now().mono);
        }
        let ear = self.seat.ear();
        let woken = tokio::select! {
            biased;
            woken = reading => woken,
            () = sleep_until(deadline) => Woken::Deadline,
            word = ear.told() => Woken::Told(word),
        };
        self.seat.is_busy();
        woken
    }

    /// Decides, unless the client goes meanwhile.
    async fn decide_or_lose<S: Line>(&mut self, request: Request, stream: &mut Wire<S>, out: &mut Vec<u8>) {
        let gone = stream.gone();
        let verdict = tokio::select! {
            biased;
            verdict = self.decide(request, stream, out) => Some(verdict),
            () = gone => None,
        };
        let verdict = verdict.unwrap_or_else(|| Verdict::Reject(self.lost()));
        self.settle_with_jails().await;
        self.server.handle(clock::now(), Input::Decided(verdict), out);
    }

    /// A step of AUTH, unless the client goes meanwhile.
    async fn authenticate_or_lose<S: Line>(
        &mut self,
        step: AuthStep,
        stream: &mut Wire<S>,
        out: &mut Vec<u8>,
    ) {
        self.flush(stream, out).await;
        let gone = stream.gone();
        let outcome = tokio::select! {
            biased;
            outcome = self.authenticate(step) => Some(outcome),
            () = gone => None,
        };
        let outcome = outcome.unwrap_or_else(|| AuthOutcome::Failure(self.lost()));
        self.settle_with_jails().await;
        if self.is_unanswered(&outcome) {
            return self.server.shut_out(out);
        }
        self.server.handle(clock::now(), Input::Authenticated(outcome), out);
    }

    /// `smtpd_command_filter`, unless the client goes meanwhile.
    async fn filter_or_lose(&mut self, line: String, gone: impl Future<Output = ()>, out: &mut Vec<u8>) {
        let filtered = tokio::select! {
            biased;
            filtered = self.filter(&line) => Some(filtered),
            () = gone => None,
        };
        let input = match filtered {
            Some(Ok(filtered)) => Input::Filtered(filtered),
            Some(Err(reply)) => Input::Decided(Verdict::Disconnect(reply)),
            None => Input::Decided(Verdict::Reject(self.lost())),
        };
        self.server.handle(clock::now(), input, out);
    }

    /// A command that nobody knows but, perhaps, a milter; unless the client goes meanwhile.
    async fn unknown_or_lose(&mut self, line: String, gone: impl Future<Output = ()>, out: &mut Vec<u8>) {
        let verdict = tokio::select! {
            biased;
            verdict = self.milters_judge(milters::Told::Unknown(line.split_whitespace().next().unwrap_or_default())) => Some(verdict.unwrap_or(Verdict::Permit)),
            () = gone => None,
        };
        let verdict = verdict.unwrap_or_else(|| Verdict::Reject(self.lost()));
        self.server.handle(clock::now(), Input::Decided(verdict), out);
    }

    /// The client has gone while it should have waited. Nobody hears the reply; the conversation learns of the loss at
    /// its next wait.
    fn lost(&mut self) -> mail::Reply {
        // Who goes while his name is asked for has none, and has come all the same.
        if !self.announced {
            self.log_connect();
        }
        self.reach = Reach::Lost(Woken::Broken);
        self.facts.forget_effects();
        mail::Reply::new(451, mail::Dsn::new(4, 3, 0), "Error: connection lost")
    }

    /// Makes the message durable; that is not given up, whether or not the client is still there.
    async fn keep(&mut self, out: &mut Vec<u8>) {
        if self.passing.is_some() {
            return self.pass_on(out).await;
        }
        let stored = self.commit().await;
        // What the client says next is about another message.
        self.forget();
        self.milters_abort().await;
        if stored.is_ok() {
            self.messages = self.messages.saturating_add(1);
            self.seat.has_delivered();
        }
        self.server.handle(clock::now(), Input::Stored(stored), out);
    }
}

impl Session {
    /// The filter in front of the queue says what becomes of the message.
    async fn pass_on(&mut self, out: &mut Vec<u8>) {
        let reply = self.pass_ends().await;
        self.forget();
        self.milters_abort().await;
        if reply.code / 100 == 2 {
            self.messages = self.messages.saturating_add(1);
            self.seat.has_delivered();
        }
        self.server.handle(clock::now(), Input::Relayed(reply), out);
    }
}

/// What there is to do.
enum Step<'s> {
    /// It was done at once.
    Done,
    /// It waits for something.
    Waits(Pin<Box<dyn Future<Output = ()> + Send + 's>>),
    /// Nothing.
    Nothing,
    /// The session is over.
    Close,
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// IPv4-mapped IPv6 addresses as IPv4.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that a connection's task is made of.
    fn future_bytes<F>(_: impl FnOnce(Arrival<line::Socket>) -> F) -> usize {
        size_of::<F>()
    }

    /// T2.2: what a client that is made to wait costs, but for what it has said.
    #[test]
    fn a_waiting_client_is_small() {
        let (future, session) = (future_bytes(arrival::receive), size_of::<Session>());
        println!("future {future} bytes, session {session} bytes");
        assert!(future < 768 && session < 1024, "{future} + {session} bytes");
    }
}
