//! Drives a [`Client`] over a connection, message after message.
//!
//! It reads while it writes, so that a server which answers early never blocks; the message is read from the spool
//! piece by piece, so that a large one costs no more memory than a small one. Between messages a connection holds no
//! buffer.

use super::checking::Checker;
use super::generic::Edited;
use super::security::Upgrade;
use crate::clock;
use mail::{Dsn, Mono};
use proto::client::{Action, Client, Input, Mail, Verdict, Why};
use proto::transcript::Transcript;
use std::future::poll_fn;
use std::io::Read;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use store::Body;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Bytes of the message that are read from the spool at a time.
const PIECE: usize = 64 * 1024;
/// A connection whose last message was over so lately isn't probed.
const FRESH: Duration = Duration::from_secs(1);
/// The last piece of a message, up to this size, isn't waited for by the final dot.
const LAST_PIECE_MAX: usize = 16 * 1024;
/// How long a goodbye may take to be written; nothing depends on it.
const GOODBYE: Duration = Duration::from_secs(1);

/// A connection of any kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A message on its way out of the spool.
pub(super) struct Letter<'a> {
    body: Option<Edited<Body>>,
    /// Who checks it on the way.
    checker: Option<Box<Checker<'a>>>,
}

impl<'a> Letter<'a> {
    pub(super) const fn new(body: Edited<Body>) -> Letter<'a> {
        Letter { body: Some(body), checker: None }
    }

    /// No message: a probe.
    pub(super) const fn nothing() -> Letter<'a> {
        Letter { body: None, checker: None }
    }

    /// The same, checked on its way.
    pub(super) fn checked_by(self, checker: Checker<'a>) -> Letter<'a> {
        Letter { checker: Some(Box::new(checker)), ..self }
    }

    /// The next piece, empty at the end.
    async fn piece(&mut self) -> std::io::Result<Vec<u8>> {
        let Some(mut body) = self.body.take() else { return Ok(Vec::new()) };
        let (body, piece) = if body.is_in_memory() {
            let piece = next_piece(&mut body);
            (body, piece)
        } else {
            // Another thread waits for the disk.
            let read = tokio::task::spawn_blocking(move || {
                let piece = next_piece(&mut body);
                (body, piece)
            });
            read.await.map_err(std::io::Error::other)?
        };
        self.body = Some(body);
        piece
    }
}

/// The server ends the conversation (RFC 5321 §3.8): it may have done so before it was given the message.
fn is_farewell(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Deferred(Why { reply: Some(reply), .. }) if reply.starts_with("421"))
}

fn next_piece(body: &mut Edited<Body>) -> std::io::Result<Vec<u8>> {
    let mut piece = Vec::new();
    body.take(PIECE as u64).read_to_end(&mut piece).map(|_| piece)
}

/// How a conversation about one message ended.
pub(super) enum End {
    /// The server said something about each recipient, in order.
    Verdicts(Vec<Verdict>),
    /// The server can't be used at all.
    Unusable(Verdict),
    /// There is no TLS with it.
    NoTls(Verdict),
    /// The message can't be read; nothing was delivered.
    Unreadable(std::io::Error),
    /// A connection that had waited was gone before it answered a word: nobody has heard of the message.
    Stale,
}

/// Everything that came of it.
pub(super) struct Outcome {
    pub(super) end: End,
    /// When the server was ready for the message; `None` where it never was.
    pub(super) ready: Option<Mono>,
    /// The server tells senders what becomes of their mail.
    pub(super) offers_dsn: bool,
    /// The server can encrypt.
    pub(super) offers_tls: bool,
}

/// Takes lines for the log.
pub(super) type Say<'a> = &'a (dyn Fn(events::Event<'_>) + Sync);

/// A connection to a server.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    client: Client,
    upgrade: Option<Upgrade>,
    /// To be written.
    out: Vec<u8>,
    /// Something was written that may not have gone out.
    dirty: bool,
    closing: bool,
    /// The client waits for a message, or to be told that there is none.
    waits: bool,
    /// Messages that were given to it.
    pub(super) uses: u32,
    pub(super) opened: Mono,
    /// When its last message was over.
    rested: Mono,
    /// It is used again without having been asked whether it is still there.
    unprobed: bool,
}

impl Connection {
    pub(super) fn new(stream: Box<dyn Stream>, client: Client, upgrade: Option<Upgrade>) -> Connection {
        Connection {
            stream,
            client,
            upgrade,
            out: Vec::new(),
            dirty: false,
            closing: false,
            waits: false,
            uses: 0,
            opened: clock::now().mono,
            rested: clock::now().mono,
            unprobed: false,
        }
    }

    /// Whether another message may be given to it, as far as is known.
    pub(super) const fn is_open(&self) -> bool {
        !self.closing
    }

    /// Whether TLS is up.
    pub(super) fn is_encrypted(&self) -> bool {
        self.client.is_encrypted()
    }

    /// Whether the server is still there, after a while.
    pub(super) async fn probe(&mut self) -> bool {
        let mut nothing = Job::nothing();
        if !self.settle(&mut nothing).await {
            return false;
        }
        // Who has just spoken isn't asked: where it has gone all the same, `send` finds out in time.
        self.unprobed = clock::now().mono - self.rested < FRESH;
        if self.unprobed {
            return true;
        }
        self.waits = false;
        self.client.handle(clock::now(), Input::Probe, &mut self.out);
        self.settle(&mut nothing).await
    }

    /// Drives until the client waits for a message; whether it ever does.
    async fn settle(&mut self, job: &mut Job<'_>) -> bool {
        self.act(job);
        while !self.closing && !self.waits {
            self.turn(job).await;
        }
        !self.closing
    }

    /// Sends one message.
    pub(super) async fn send(
        &mut self,
        mail: Mail,
        letter: Letter<'_>,
        (say, id): (Say<'_>, &str),
    ) -> Outcome {
        let mut job = Job { mail: Some(mail), letter: Some(letter), say, id, ..Job::nothing() };
        self.uses = self.uses.saturating_add(1);
        self.offer(&mut job);
        while !self.closing && job.ended.is_none() {
            self.turn(&mut job).await;
        }
        self.rested = clock::now().mono;
        let farewell =
            matches!(&job.ended, Some(End::Verdicts(verdicts)) if verdicts.iter().all(is_farewell));
        if self.unprobed && (farewell || (self.closing && !job.heard)) {
            self.closing = true;
            return Outcome { end: End::Stale, ready: None, offers_dsn: false, offers_tls: false };
        }
        // A server that ended the conversation before it was given the message, as one that talks out of turn behind
        // its answer to EHLO: the client says what that means for each recipient.
        if job.ended.is_none()
            && let Some(mail) = job.mail.take()
        {
            self.client.handle(clock::now(), Input::Mail(Box::new(mail)), &mut self.out);
            self.act(&mut job);
        }
        let end = job.ended.unwrap_or_else(|| End::Verdicts(Vec::new()));
        let (offers_dsn, offers_tls) = (self.client.offers_dsn(), self.client.offers_tls());
        Outcome { end, ready: job.ready, offers_dsn, offers_tls }
    }

    /// Whether the server broke the protocol, where that is wanted to be known.
    pub(super) fn is_blamed(&self) -> bool {
        self.client.complaint().is_some()
    }

    /// Says goodbye; what was said to a server that broke the protocol, where that is wanted to be known.
    pub(super) async fn quit(mut self) -> Option<Transcript> {
        let mut nothing = Job::nothing();
        if self.settle(&mut nothing).await {
            self.client.handle(clock::now(), Input::Quit, &mut self.out);
            self.act(&mut nothing);
            while !self.closing {
                self.turn(&mut nothing).await;
            }
        }
        // Whether the goodbye gets through doesn't matter.
        let _ = tokio::time::timeout(GOODBYE, async {
            self.stream.write_all(&self.out).await?;
            self.stream.shutdown().await
        })
        .await;
        self.client.complaint().cloned()
    }

    /// Waits for one thing to happen, and does what follows.
    async fn turn(&mut self, job: &mut Job<'_>) {
        if job.wants_piece && self.out.is_empty() {
            self.feed(job).await;
        } else {
            let now = clock::now();
            let time = self.client.deadline().map_or(Duration::from_secs(3600), |at| at - now.mono);
            let moving = moved(&mut self.stream, &mut job.input, &self.out, self.dirty);
            match tokio::time::timeout(time, moving).await {
                Err(_) => self.client.expire(clock::now(), &mut self.out),
                Ok(Moved::Read(Ok(count))) if count > 0 => {
                    job.heard = true;
                    let input = Input::Bytes(job.input.get(..count).unwrap_or_default());
                    self.client.handle(clock::now(), input, &mut self.out);
                }
                Ok(Moved::Read(_)) => {
                    self.client.handle(clock::now(), Input::PeerClosed, &mut self.out);
                    self.closing = true;
                }
                Ok(Moved::Wrote(Ok(count))) if count > 0 => {
                    self.out.drain(..count.min(self.out.len()));
                    self.client.handle(clock::now(), Input::Wrote(count), &mut self.out);
                    self.dirty = true;
                }
                // What the server said before it hung up still counts: the reader gets to it.
                Ok(Moved::Wrote(_)) => self.out.clear(),
                Ok(Moved::Flushed) => self.dirty = false,
            }
        }
        self.act(job);
        if job.shakes && self.out.is_empty() {
            job.shakes = false;
            self.shake(job).await;
            self.act(job);
        }
    }

    async fn feed(&mut self, job: &mut Job<'_>) {
        job.wants_piece = false;
        let piece = match &mut job.letter {
            Some(letter) => letter.piece().await,
            None => Ok(Vec::new()),
        };
        match piece {
            Ok(piece) => {
                // A last piece that is short goes out together with the dot, as Postfix's does.
                let is_last = piece.len() < LAST_PIECE_MAX;
                let Some(piece) = self.checked(job, piece, is_last).await else { return };
                let now = clock::now();
                if !piece.is_empty() {
                    self.client.handle(now, Input::Chunk(&piece), &mut self.out);
                }
                if is_last {
                    job.letter = None;
                    self.client.handle(now, Input::End, &mut self.out);
                }
            }
            Err(error) => {
                // The connection is cut before the final dot: the server throws away what it has.
                job.ended = Some(End::Unreadable(error));
                self.out.clear();
                self.closing = true;
            }
        }
    }

    /// The piece as it is to be sent; `None` where the message can't be sent on. The connection is cut before the final
    /// dot then.
    async fn checked(&mut self, job: &mut Job<'_>, piece: Vec<u8>, is_last: bool) -> Option<Vec<u8>> {
        let Some(checker) = job.letter.as_mut().and_then(|letter| letter.checker.as_mut()) else {
            return Some(piece);
        };
        if let Some(seven_bit) = self.client.take_conversion() {
            checker.convert(seven_bit);
        }
        match checker.checked(&piece, is_last).await {
            Ok(piece) => Some(piece),
            Err(stopped) => {
                job.ended = Some(End::Unusable(stopped.verdict(self.client.host())));
                self.out.clear();
                self.closing = true;
                None
            }
        }
    }

    /// Begins to encrypt.
    async fn shake(&mut self, job: &mut Job<'_>) {
        let lost = || Verdict::Deferred(Why::new(Dsn::new(4, 7, 5), HANDSHAKE));
        let Some(upgrade) = &self.upgrade else {
            return self.no_tls(job, lost());
        };
        let stream = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        match upgrade.shake(stream, job.say).await {
            Ok(shaken) => {
                self.stream = shaken.stream;
                let input = match shaken.distrust {
                    None => Input::TlsUp { verified: shaken.verified },
                    Some(verdict) => Input::Unfit(verdict),
                };
                self.client.handle(clock::now(), input, &mut self.out);
            }
            Err(()) => self.no_tls(job, lost()),
        }
    }

    fn no_tls(&mut self, job: &mut Job<'_>, verdict: Verdict) {
        job.ended = Some(End::NoTls(verdict));
        self.out.clear();
        self.closing = true;
    }

    /// Gives the message when the client is ready for it.
    fn offer(&mut self, job: &mut Job<'_>) {
        if self.waits
            && let Some(mail) = job.mail.take()
        {
            self.waits = false;
            let now = clock::now();
            job.ready = Some(now.mono);
            self.client.handle(now, Input::Mail(Box::new(mail)), &mut self.out);
        }
        self.act(job);
    }

    fn act(&mut self, job: &mut Job<'_>) {
        while let Some(action) = self.client.poll() {
            match action {
                Action::Ready => {
                    self.waits = true;
                    if job.mail.is_some() {
                        return self.offer(job);
                    }
                }
                Action::Chunk => job.wants_piece = job.letter.is_some(),
                Action::StartTls => job.shakes = true,
                Action::Finished(verdicts) => {
                    job.ended.get_or_insert(End::Verdicts(verdicts));
                }
                Action::Unusable(verdict) => {
                    job.ended.get_or_insert(End::Unusable(verdict));
                }
                Action::Note(text) => {
                    (job.say)(events::Event::Other(format!("{}: {text}", job.id).into()));
                }
                Action::Remark(text) => (job.say)(events::Event::Other(text.into())),
                Action::Doubt(text) => (job.say)(events::daemon::Message::warning(text).into()),
                Action::Close => self.closing = true,
            }
        }
    }
}

/// Why there is no TLS, in Postfix's words.
pub(super) const HANDSHAKE: &str = "Cannot start TLS: handshake failure";

/// What is to be done over a connection, and what came of it.
struct Job<'a> {
    mail: Option<Mail>,
    letter: Option<Letter<'a>>,
    ended: Option<End>,
    ready: Option<Mono>,
    /// The conversation waits for a piece of the message.
    wants_piece: bool,
    /// It waits for TLS.
    shakes: bool,
    /// The server has said something.
    heard: bool,
    say: Say<'a>,
    /// Whose warnings they are.
    id: &'a str,
    input: Vec<u8>,
}

impl Job<'_> {
    /// No message: only words between client and server.
    fn nothing() -> Job<'static> {
        let (mail, letter, ended, ready) = (None, None, None, None);
        let input = vec![0; 4096];
        let (wants_piece, shakes, heard) = (false, false, false);
        Job { mail, letter, ended, ready, wants_piece, shakes, heard, say: &|_| {}, id: "", input }
    }
}

/// What a connection did.
enum Moved {
    Read(std::io::Result<usize>),
    Wrote(std::io::Result<usize>),
    Flushed,
}

/// Reads, or writes where there is something to write.
async fn moved(stream: &mut Box<dyn Stream>, input: &mut [u8], out: &[u8], dirty: bool) -> Moved {
    poll_fn(|cx| {
        let mut buffer = ReadBuf::new(input);
        if let Poll::Ready(read) = Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
            return Poll::Ready(Moved::Read(read.map(|()| buffer.filled().len())));
        }
        if !out.is_empty() {
            if let Poll::Ready(written) = Pin::new(&mut *stream).poll_write(cx, out) {
                return Poll::Ready(Moved::Wrote(written));
            }
        } else if dirty && Pin::new(&mut *stream).poll_flush(cx).is_ready() {
            // Where it failed, reading fails too.
            return Poll::Ready(Moved::Flushed);
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::client::{Dialect, Settings, To};

    #[tokio::test]
    async fn who_talks_out_of_turn_has_deferred_everybody() {
        for greeting in ["220 x\r\n250 x\r\n221 bye\r\n", "220 x\r\n250 x\r\n250 x\r\n250 x\r\n354 x\r\n"] {
            let (mut server, stream) = tokio::io::duplex(4096);
            server.write_all(greeting.as_bytes()).await.expect("takes it");
            let client = Client::new(Settings::new(Dialect::Smtp, "mx.test"), "far[192.0.2.1]", clock::now());
            let to = |address: &str| To { address: address.to_owned(), ..To::default() };
            let mail = Mail { recipients: vec![to("a@far.test"), to("b@far.test")], ..Mail::default() };
            let mut connection = Connection::new(Box::new(stream), client, None);
            let End::Verdicts(verdicts) = connection.send(mail, Letter::nothing(), (&|_| {}, "ID")).await.end
            else {
                panic!("no verdicts");
            };
            let said: Vec<&str> = verdicts
                .iter()
                .filter(|verdict| matches!(verdict, Verdict::Deferred(_)))
                .map(|verdict| verdict.why().text.as_str())
                .collect();
            assert_eq!(
                said, ["lost connection with far[192.0.2.1] while sending MAIL FROM"; 2],
                "{greeting:?}"
            );
        }
    }

    /// A stream that breaks when it is told to, as TLS does at a fatal alert.
    struct Alerted {
        stream: tokio::io::DuplexStream,
        alert: tokio::sync::oneshot::Receiver<()>,
        is_broken: bool,
    }

    impl AsyncRead for Alerted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            self.is_broken = self.is_broken || Pin::new(&mut self.alert).poll(cx).is_ready();
            if self.is_broken {
                return Poll::Ready(Err(std::io::ErrorKind::InvalidData.into()));
            }
            Pin::new(&mut self.stream).poll_read(cx, buffer)
        }
    }

    impl AsyncWrite for Alerted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> Poll<std::io::Result<usize>> {
            Pin::new(&mut self.stream).poll_write(cx, bytes)
        }

        fn poll_flush(
            mut self: Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> Poll<std::io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(cx)
        }

        fn poll_shutdown(
            mut self: Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> Poll<std::io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(cx)
        }
    }

    #[tokio::test]
    async fn an_alert_defers_the_message() {
        for (last, doing) in [
            ("MAIL", "sending MAIL FROM"),
            ("RCPT", "sending RCPT TO"),
            ("DATA", "sending DATA command"),
            (".", "sending end of data -- message may be sent more than once"),
        ] {
            let (server, stream) = tokio::io::duplex(4096);
            let (breaks, alert) = tokio::sync::oneshot::channel();
            let serving = tokio::spawn(async move {
                let (reading, mut writing) = tokio::io::split(server);
                let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(reading));
                writing.write_all(b"220 x ESMTP\r\n").await.expect("takes it");
                while let Ok(Some(line)) = lines.next_line().await {
                    if line.starts_with(last) {
                        let _ = breaks.send(());
                        return;
                    }
                    let answer: &[u8] = if line == "DATA" { b"354 go\r\n" } else { b"250 x\r\n" };
                    writing.write_all(answer).await.expect("takes it");
                }
            });
            let client = Client::new(Settings::new(Dialect::Smtp, "mx.test"), "far[192.0.2.1]", clock::now());
            let to = To { address: "a@far.test".to_owned(), ..To::default() };
            let mail = Mail { recipients: vec![to], ..Mail::default() };
            let mut connection =
                Connection::new(Box::new(Alerted { stream, alert, is_broken: false }), client, None);
            let sent = connection.send(mail, Letter::nothing(), (&|_| {}, "ID")).await;
            let End::Verdicts(verdicts) = sent.end else { panic!("no verdicts") };
            let [Verdict::Deferred(why)] = verdicts.as_slice() else { panic!("{last}: {verdicts:?}") };
            assert_eq!(why.text, format!("lost connection with far[192.0.2.1] while {doing}"));
            serving.await.expect("ends");
        }
    }
}
