//! A message that a before-queue filter takes in our place (`smtpd_proxy_filter`, SMTPD_PROXY_README): one connection for
//! each message, what the client says passed on to it, its answers passed back.
//!
//! Nothing is kept here: what the filter has accepted is its own, and it gives it to another port. With `speed_adjust`
//! the whole message is here, in a file that goes with the session, before the filter hears of it. As the client's
//! commands were understood, so they are passed on. Restrictions, limits and command-line milters come before it.

use super::Session;
use crate::configuration::BeforeQueue;
use crate::counted::Counted;
use crate::facts::milter::connect;
use crate::facts::policy_client::Stream;
use crate::privileged::LocalSockets;
use crate::strerror::strerror;
use events::check::{ProxyAction, ProxyVerdict};
use events::text::printable;
use mail::{Address, Dsn, Reply};
use policy::MailEffect;
use proto::client::Origin;
use proto::relayed::{Answer, Heard, Replies, Stuffing, forward};
use proto::smtp::{Fault, MailRequest, Recipient};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Content that waits to be sent.
const UNSENT_BYTES_MAX: usize = 32 * 1024;
/// How long a filter that isn't needed any more is spoken to.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why the filter doesn't go on.
pub(super) enum Trouble {
    /// It can't be reached, or not any more: in words of the log.
    Lost(String),
    /// It said so.
    Refused(Answer),
}

/// One message on its way through.
pub(super) struct Passing {
    filter: Arc<BeforeQueue>,
    /// Gone where the filter was lost, and with `speed_adjust` not there yet.
    stream: Option<Stream>,
    replies: Replies,
    /// What was said, and not asked for yet.
    heard: VecDeque<Answer>,
    unsent: Vec<u8>,
    stuffing: Stuffing,
    /// The filter's last words.
    last: String,
    /// Our own headers have been written.
    open: bool,
    /// Its first recipient.
    first: Option<Address>,
    kept: Option<Kept>,
}

/// `speed_adjust`: what the filter will hear.
struct Kept {
    commands: Vec<String>,
    content: Counted,
    failed: bool,
}

impl Passing {
    fn new(filter: Arc<BeforeQueue>, kept: Option<Kept>) -> Passing {
        let stuffing = Stuffing::new(filter.replaces_cr);
        Passing {
            filter,
            stream: None,
            replies: Replies::default(),
            heard: VecDeque::new(),
            unsent: Vec::new(),
            stuffing,
            last: String::new(),
            open: false,
            first: None,
            kept,
        }
    }

    /// Whether the content has begun.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Reaches the filter and says who we are, who the client is, and who sends.
    async fn greet(
        &mut self,
        sockets: &LocalSockets,
        (origin, mail): (&Origin, &str),
        warn: &(dyn Fn(&str) + Sync),
    ) -> Result<(), Trouble> {
        let opening = timeout(self.filter.timeout, connect(&self.filter.endpoint, sockets)).await;
        let opened = opening.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let stream = opened.map_err(|error| {
            let why = match error.kind() {
                io::ErrorKind::TimedOut => "Connection timed out".to_owned(),
                _ => strerror(&error),
            };
            Trouble::Lost(format!("connect to proxy filter {}: {why}", self.filter.name))
        })?;
        self.stream = Some(stream);
        self.hear("connection request", warn).await.map_err(unable)?;
        let hello = format!("EHLO {}", self.filter.ehlo);
        let said = self.say(&hello, warn).await.map_err(unable)?;
        if let Some(line) = forward(origin, &said.forwards()) {
            self.say(&line, warn).await.map_err(unable)?;
        }
        self.say(mail, warn).await.map(drop)
    }

    /// Says a command, and waits for a good answer.
    async fn say(&mut self, command: &str, warn: &(dyn Fn(&str) + Sync)) -> Result<Answer, Trouble> {
        if let Some(early) = self.unasked(warn).await? {
            return Err(self.out_of_turn(&early));
        }
        self.unsent.extend_from_slice(command.as_bytes());
        self.unsent.extend_from_slice(b"\r\n");
        self.hear(command, warn).await
    }

    /// Waits for the answer. Leave to send content is one to DATA alone, and yes isn't one there: who took it for leave
    /// would send content as commands, and take the answer to one for the message's. What is neither yes nor no is
    /// nothing to tell a client.
    async fn hear(&mut self, command: &str, warn: &(dyn Fn(&str) + Sync)) -> Result<Answer, Trouble> {
        let said = self.answer(warn).await?;
        let agrees = said.agrees();
        let good = if command == "DATA" { said.is_go_ahead() } else { said.is_positive() };
        if agrees && good {
            return Ok(said);
        }
        let tells = agrees && said.is_refusal();
        if command != "." || !tells {
            let (name, command) = (&self.filter.name, printable(command.as_bytes()));
            let text = said.text();
            warn(&format!("proxy {name} rejected \"{command}\": \"{}\"", printable(text.as_bytes())));
        }
        Err(if tells { Trouble::Refused(said) } else { Trouble::Lost(String::new()) })
    }

    async fn answer(&mut self, warn: &(dyn Fn(&str) + Sync)) -> Result<Answer, Trouble> {
        self.flush().await?;
        let limit = self.filter.timeout;
        let answered = timeout(limit, async {
            loop {
                self.read(warn).await?;
                if let Some(answer) = self.heard.pop_front() {
                    return Ok(answer);
                }
            }
        });
        let answered = answered.await;
        match answered.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(answer) => {
                self.last = answer.text();
                Ok(answer)
            }
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// What the filter has said without being asked: an answer to nothing, which mustn't be taken for the next one.
    async fn unasked(&mut self, warn: &(dyn Fn(&str) + Sync)) -> Result<Option<Answer>, Trouble> {
        let limit = self.filter.timeout;
        let read = timeout(limit, async {
            while self.heard.is_empty()
                && (self.replies.is_midway() || self.stream.as_ref().is_some_and(Stream::has_unread))
            {
                self.read(warn).await?;
            }
            Ok(())
        });
        match read.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(()) => Ok(self.heard.pop_front()),
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// Reads once.
    async fn read(&mut self, warn: &(dyn Fn(&str) + Sync)) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        };
        for heard in self.replies.take(bytes) {
            match heard {
                Heard::Answer(answer) => self.heard.push_back(answer),
                Heard::Garbage(text) => {
                    let (name, text) = (&self.filter.name, printable(text.as_bytes()));
                    warn(&format!("received garbage from proxy {name}: {text}"));
                }
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Trouble> {
        let bytes = std::mem::take(&mut self.unsent);
        let Some(stream) = &mut self.stream else {
            return Err(self.lost(&io::ErrorKind::UnexpectedEof.into()));
        };
        let written = timeout(self.filter.timeout, stream.write_all(&bytes)).await;
        if let Err(error) = written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            return Err(self.lost(&error));
        }
        self.unsent = bytes;
        self.unsent.clear();
        Ok(())
    }

    /// Question and answer don't belong together any more.
    fn out_of_turn(&mut self, said: &Answer) -> Trouble {
        self.stream = None;
        let (name, text) = (&self.filter.name, said.text());
        Trouble::Lost(format!("proxy {name} spoke out of turn: \"{}\"", printable(text.as_bytes())))
    }

    /// The connection is of no more use. What was lost before isn't said again.
    fn lost(&mut self, error: &io::Error) -> Trouble {
        let name = &self.filter.name;
        let text = match (self.stream.take(), error.kind()) {
            (None, _) => String::new(),
            (Some(_), io::ErrorKind::TimedOut) => format!("timeout talking to proxy {name}"),
            (Some(_), _) => format!("lost connection with proxy {name}"),
        };
        Trouble::Lost(text)
    }

    /// A piece of the content; whether it waits for [`Passing::flush`].
    fn push(&mut self, piece: &[u8]) -> bool {
        match &mut self.kept {
            Some(kept) => {
                kept.failed |= !kept.failed && kept.content.write(piece).is_err();
                false
            }
            None if self.stream.is_none() => false,
            None => {
                self.stuffing.push(piece, &mut self.unsent);
                self.unsent.len() > UNSENT_BYTES_MAX
            }
        }
    }

    /// `speed_adjust`: everything is here, and the filter is ready for it.
    async fn catch_up(&mut self, warn: &(dyn Fn(&str) + Sync)) -> Result<(), Trouble> {
        let Some(kept) = self.kept.take() else { return Ok(()) };
        for command in &kept.commands {
            self.say(command, warn).await?;
        }
        self.say("DATA", warn).await?;
        let (mut window, mut at) = (vec![0; UNSENT_BYTES_MAX], 0u64);
        loop {
            let read = kept.content.read_at(&mut window, at);
            let read = read.map_err(|error| Trouble::Lost(error.to_string()))?;
            if read == 0 {
                return Ok(());
            }
            at = at.saturating_add(read as u64);
            self.stuffing.push(window.get(..read).unwrap_or_default(), &mut self.unsent);
            self.flush().await?;
        }
    }

    /// Takes leave; nobody waits for it.
    fn leave(mut self: Box<Self>) {
        if self.stream.is_none() {
            return;
        }
        self.unsent.extend_from_slice(b"QUIT\r\n");
        tokio::spawn(async move {
            let _ = timeout(LAST_WORDS, async {
                if self.flush().await.is_ok()
                    && let Some(stream) = &mut self.stream
                {
                    // The last word is the filter's, where it has one.
                    let _ = stream.read(&mut [0; 512]).await;
                }
            })
            .await;
        });
    }
}

/// Who can't talk to the filter at all is told that his mail can't be written.
fn unable(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Refused(_) => Trouble::Lost(String::new()),
        lost @ Trouble::Lost(_) => lost,
    }
}

/// What Postfix says where its filter fails it.
fn not_written() -> Reply {
    Reply::new(451, Dsn::new(4, 3, 0), "Error: queue file write error")
}

impl Session {
    /// The filter hears of a message; `mail` is its MAIL where the conversation doesn't have it yet.
    pub(super) async fn pass_begins(
        &mut self,
        filter: Arc<BeforeQueue>,
        mail: Option<&MailRequest>,
    ) -> Result<(), Reply> {
        let Some(mail) = mail.or_else(|| self.server.envelope().map(|envelope| &envelope.mail)) else {
            return Err(not_written());
        };
        let command = line("MAIL FROM", &mail.sender.to_external(), &mail.parameters);
        let mut passing = if filter.speed_adjust {
            let content = self.shared.spool.begin(self.tx.declared_size);
            let content = Counted::new(content.map_err(|error| self.refusal(&error))?);
            let kept = Kept { commands: vec![command], content, failed: false };
            Box::new(Passing::new(filter, Some(kept)))
        } else {
            let mut passing = Box::new(Passing::new(filter, None));
            let origin = self.origin();
            let sockets = self.shared.sockets.clone();
            let greeted = passing.greet(&sockets, (&origin, &command), &|text| self.warn(text)).await;
            if let Err(trouble) = greeted {
                passing.leave();
                return Err(self.troubled(trouble));
            }
            passing
        };
        passing.last.clear();
        self.log_received(events::check::Verdict::NO_QUEUE);
        self.passing = Some(passing);
        Ok(())
    }

    /// A recipient, for the filter.
    pub(super) async fn pass_recipient(&mut self, recipient: &Recipient) -> Result<(), Reply> {
        let command = line("RCPT TO", &recipient.address.to_external(), &recipient.parameters);
        self.pass_command(command).await?;
        if let Some(passing) = &mut self.passing {
            passing.first.get_or_insert_with(|| recipient.address.clone());
        }
        Ok(())
    }

    /// DATA, for the filter.
    pub(super) async fn pass_data(&mut self) -> Result<(), Reply> {
        match &self.passing {
            Some(passing) if passing.kept.is_none() => self.pass_command("DATA".to_owned()).await,
            _ => Ok(()),
        }
    }

    async fn pass_command(&mut self, command: String) -> Result<(), Reply> {
        let Some(mut passing) = self.passing.take() else { return Ok(()) };
        let answer = match &mut passing.kept {
            Some(kept) => {
                kept.commands.push(command);
                Ok(())
            }
            None => passing.say(&command, &|text| self.warn(text)).await.map(drop),
        };
        self.passing = Some(passing);
        answer.map_err(|trouble| self.troubled(trouble))
    }

    /// A piece of the content; whether it waits for [`Session::pass_slowly`].
    pub(super) fn pass(&mut self, chunk: &[u8]) -> bool {
        self.open_passing();
        self.passing.as_deref_mut().is_some_and(|passing| passing.push(chunk))
    }

    /// Waits until the filter has taken what there is.
    pub(super) async fn pass_slowly(&mut self) {
        let Some(passing) = &mut self.passing else { return };
        if let Err(Trouble::Lost(text)) = passing.flush().await
            && !text.is_empty()
        {
            self.warn(&text);
        }
    }

    /// Our own headers come first.
    fn open_passing(&mut self) {
        if self.passing.as_deref().is_none_or(|passing| passing.open) {
            return;
        }
        let mut head = String::new();
        for effect in &self.effects {
            if let MailEffect::Prepend(header) = effect {
                head.push_str(header);
                head.push('\n');
            }
        }
        // Whoever the client speaks for was received by the server before.
        if self.server.forwarded().is_none() {
            head.push_str(&self.received_header(None, crate::clock::now().wall));
        }
        if let Some(passing) = &mut self.passing {
            passing.open = true;
            passing.push(head.as_bytes());
        }
    }

    /// Everything is there and permitted: the filter says what becomes of it.
    pub(super) async fn pass_ends(&mut self) -> Reply {
        self.open_passing();
        self.effects.clear();
        let Some(mut passing) = self.passing.take() else { return not_written() };
        let ended = self.pass_end(&mut passing).await;
        let (action, text, reply) = match ended {
            Ok(answer) => (ProxyAction::Accept, answer.text(), answer.reply()),
            Err(Trouble::Refused(answer)) => {
                self.server.blames(Fault::Policy);
                (ProxyAction::Reject, answer.text(), answer.reply())
            }
            Err(trouble) => {
                let reply = self.troubled(trouble);
                (ProxyAction::Reject, reply.to_string(), reply)
            }
        };
        self.log_passed(action, &text, passing.first.as_ref());
        passing.leave();
        reply
    }

    async fn pass_end(&self, passing: &mut Passing) -> Result<Answer, Trouble> {
        let warn = |text: &str| self.warn(text);
        if let Some(kept) = &mut passing.kept {
            if kept.failed || kept.commands.is_empty() {
                return Err(Trouble::Lost(String::new()));
            }
            let mail = kept.commands.remove(0);
            let (origin, sockets) = (self.origin(), self.shared.sockets.clone());
            passing.greet(&sockets, (&origin, &mail), &warn).await?;
            passing.catch_up(&warn).await?;
        }
        if let Some(early) = passing.unasked(&warn).await? {
            // A message that it doesn't want it may refuse before the end; it can't have accepted one.
            let trouble = passing.out_of_turn(&early);
            return Err(if early.agrees() && early.is_refusal() { Trouble::Refused(early) } else { trouble });
        }
        if passing.stream.is_some() {
            let Passing { stuffing, unsent, .. } = &mut *passing;
            stuffing.end(unsent);
        }
        passing.hear(".", &warn).await
    }

    /// The client's message is over before its end.
    pub(super) fn pass_aborted(&mut self) {
        if let Some(passing) = self.passing.take() {
            passing.leave();
        }
    }

    /// The message was too large, which the filter didn't hear of: as with Postfix, its last words are logged.
    pub(super) fn pass_too_large(&self) {
        if let Some(passing) = self.passing.as_deref().filter(|passing| !passing.last.is_empty()) {
            self.log_passed(ProxyAction::Reject, &passing.last, passing.first.as_ref());
        }
    }

    /// What the client is told.
    fn troubled(&mut self, trouble: Trouble) -> Reply {
        match trouble {
            Trouble::Refused(answer) => {
                self.server.blames(Fault::Policy);
                answer.reply()
            }
            Trouble::Lost(text) if text.is_empty() => {
                self.server.blames(Fault::Policy);
                not_written()
            }
            Trouble::Lost(text) => {
                self.warn(&text);
                not_written()
            }
        }
    }

    fn log_passed(&self, action: ProxyAction, text: &str, first: Option<&Address>) {
        let verdict = ProxyVerdict {
            action,
            stage: "END-OF-MESSAGE".into(),
            text: printable(text.as_bytes()),
            session: self.known(None, first),
        };
        self.shared.log.write(self.program(), verdict);
        if action == ProxyAction::Reject {
            self.owe();
        }
    }

    /// Who the client is, as far as it is known; or whom it speaks for.
    fn origin(&self) -> Origin {
        let tx = &self.tx;
        if let Some(forwarded) = self.server.forwarded() {
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            return Origin {
                name: text(&forwarded.name),
                address: text(&forwarded.address),
                port: text(&forwarded.port),
                protocol: text(&forwarded.protocol),
                helo: text(&forwarded.helo),
                id: text(&forwarded.ident),
                is_local: forwarded.source.as_deref().is_some_and(|text| text.eq_ignore_ascii_case("LOCAL")),
            };
        }
        let known = tx.client.name != policy::UNKNOWN;
        Origin {
            name: if known { tx.client.name.clone() } else { String::new() },
            address: match tx.client.address {
                std::net::IpAddr::V4(v4) => v4.to_string(),
                std::net::IpAddr::V6(v6) => format!("IPV6:{v6}"),
            },
            port: tx.client.port.to_string(),
            protocol: self.server.protocol().to_owned(),
            helo: tx.helo.clone().unwrap_or_default(),
            id: String::new(),
            is_local: false,
        }
    }
}

/// A command with its parameters.
fn line(verb: &str, address: &str, parameters: &[String]) -> String {
    let mut line = format!("{verb}:<{address}>");
    for parameter in parameters {
        line.push(' ');
        line.push_str(parameter);
    }
    // The client's own words: a CR amid them passes nothing on behind the line.
    mail::line::one(&line).into_owned()
}
