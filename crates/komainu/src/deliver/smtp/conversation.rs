//! Drives a [`Client`] over a connection until its message is through.
//!
//! It reads while it writes, so that a server which answers early never blocks; the message is read from the spool
//! piece by piece, so that a large one costs no more memory than a small one.

use crate::clock;
use mail::{Mono, Now};
use proto::client::{Action, Client, Input, Mail, Verdict};
use std::io::Read;
use std::time::Duration;
use store::Body;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes of the message that are read from the spool at a time.
const PIECE: usize = 64 * 1024;
/// How long a goodbye may take to be written; nothing depends on it.
const GOODBYE: Duration = Duration::from_secs(1);

/// A message on its way out of the spool.
pub(super) struct Letter {
    body: Option<Body>,
}

impl Letter {
    pub(super) const fn new(body: Body) -> Letter {
        Letter { body: Some(body) }
    }

    /// The next piece, empty at the end.
    async fn piece(&mut self) -> std::io::Result<Vec<u8>> {
        let Some(mut body) = self.body.take() else { return Ok(Vec::new()) };
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = Vec::new();
            let read = body.by_ref().take(PIECE as u64).read_to_end(&mut piece);
            (body, read.map(|_| piece))
        });
        let (body, piece) = read.await.map_err(std::io::Error::other)?;
        self.body = Some(body);
        piece
    }
}

/// How a conversation about one message ended.
pub(super) enum End {
    /// The server said something about each recipient, in order.
    Verdicts(Vec<Verdict>),
    /// The server can't be used at all.
    Unusable(Verdict),
    /// The message can't be read; nothing was delivered.
    Unreadable(std::io::Error),
}

/// Everything that came of it.
pub(super) struct Outcome {
    pub(super) end: End,
    /// Texts for the log, as warnings.
    pub(super) warnings: Vec<String>,
    /// When the server was ready for the message; `None` where it never was.
    pub(super) ready: Option<Mono>,
    /// The server tells senders what becomes of their mail.
    pub(super) offers_dsn: bool,
}

/// Sends one message to one server, and says goodbye.
pub(super) async fn converse<S>(stream: S, client: Client, mail: Mail, letter: Letter) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut driver = Driver {
        client,
        mail: Some(mail),
        letter,
        out: Vec::new(),
        ended: None,
        warnings: Vec::new(),
        ready: None,
        wants_piece: false,
        closing: false,
    };
    let mut input = vec![0; 4096];
    while !driver.closing {
        if driver.wants_piece && driver.out.is_empty() {
            driver.feed().await;
            driver.act();
            continue;
        }
        let now = clock::now();
        let deadline = driver.client.deadline().map_or(Duration::from_secs(3600), |at| at - now.mono);
        tokio::select! {
            read = reader.read(&mut input) => {
                let now = clock::now();
                match read {
                    Ok(0) | Err(_) => driver.handle(now, Input::PeerClosed),
                    Ok(count) => driver.handle(now, Input::Bytes(input.get(..count).unwrap_or_default())),
                }
            }
            written = writer.write(&driver.out), if !driver.out.is_empty() => match written {
                Ok(count) if count > 0 => {
                    driver.out.drain(..count.min(driver.out.len()));
                }
                // What the server said before it hung up still counts: the reader gets to it.
                _ => driver.out.clear(),
            },
            () = tokio::time::sleep(deadline) => driver.client.expire(clock::now()),
        }
        driver.act();
    }
    driver.settle();
    // Whether the goodbye gets through doesn't matter.
    let _ = tokio::time::timeout(GOODBYE, async {
        writer.write_all(&driver.out).await?;
        writer.shutdown().await
    })
    .await;
    let end = driver.ended.unwrap_or_else(|| End::Verdicts(Vec::new()));
    let offers_dsn = driver.client.offers_dsn();
    Outcome { end, warnings: driver.warnings, ready: driver.ready, offers_dsn }
}

struct Driver {
    client: Client,
    mail: Option<Mail>,
    letter: Letter,
    /// To be written.
    out: Vec<u8>,
    ended: Option<End>,
    warnings: Vec<String>,
    ready: Option<Mono>,
    /// The conversation waits for a piece of the message.
    wants_piece: bool,
    closing: bool,
}

impl Driver {
    fn handle(&mut self, now: Now, input: Input<'_>) {
        self.client.handle(now, input, &mut self.out);
    }

    async fn feed(&mut self) {
        self.wants_piece = false;
        match self.letter.piece().await {
            Ok(piece) if piece.is_empty() => self.handle(clock::now(), Input::End),
            Ok(piece) => self.handle(clock::now(), Input::Chunk(&piece)),
            Err(error) => {
                // The connection is cut before the final dot: the server throws away what it has.
                self.ended = Some(End::Unreadable(error));
                self.out.clear();
                self.closing = true;
            }
        }
    }

    /// A server that ended the conversation before it was given the message, as one that talks out of turn behind
    /// its answer to EHLO: the client says what that means for each recipient.
    fn settle(&mut self) {
        if self.ended.is_none()
            && let Some(mail) = self.mail.take()
        {
            self.handle(clock::now(), Input::Mail(Box::new(mail)));
            self.act();
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.client.poll() {
            match action {
                Action::Ready => {
                    let now = clock::now();
                    match self.mail.take() {
                        Some(mail) => {
                            self.ready = Some(now.mono);
                            self.handle(now, Input::Mail(Box::new(mail)));
                        }
                        None => self.handle(now, Input::Quit),
                    }
                }
                Action::Chunk => self.wants_piece = true,
                Action::Finished(verdicts) => {
                    self.ended.get_or_insert(End::Verdicts(verdicts));
                }
                Action::Unusable(verdict) => {
                    self.ended.get_or_insert(End::Unusable(verdict));
                }
                Action::Warn(text) => self.warnings.push(text),
                Action::Close => self.closing = true,
            }
        }
    }
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
            let End::Verdicts(verdicts) = converse(stream, client, mail, Letter { body: None }).await.end
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
}
