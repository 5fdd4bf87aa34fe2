//! Connections to milters: one to each filter for each SMTP session, as Postfix keeps them (MILTER_README).
//!
//! [`Filters`] are one session's, in main.cf's order. Nothing is connected before the first event; what nobody answers
//! waits to be sent until somebody must, in one write, and TCP never holds it back. Warnings gather in
//! [`Filters::take_warnings`]: whoever drives a filter knows as whom it speaks. What a modification does to a message is
//! `cleanup`'s.

use super::Answers;
use super::policy_client::Stream;
use crate::configuration::{DirectSources, Filter, MilterEndpoint, Milters, port_number};
use crate::privileged::LocalSockets;
use crate::strerror::strerror;
use proto::milter::verdict::{DefaultAction, Judgement, Outcome, Standing};
use proto::milter::{Answer, Change, Event, Link, Macros, Stage};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What waits unsent, at most, before it is sent all the same.
const UNSENT_BYTES_MAX: usize = 64 * 1024;

/// Gives a macro's value, where it has one.
pub type Values<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// One session's filters.
pub struct Filters {
    settings: Arc<Milters>,
    sockets: LocalSockets,
    connected: Vec<Connected>,
    warnings: Vec<String>,
    /// Macros that have a value until the message is over.
    known: BTreeMap<&'static str, String>,
    /// Who else may do a filter's work.
    answers: Arc<Answers>,
}

#[derive(Default)]
struct Connected {
    link: Link,
    stream: Option<Stream>,
    standing: Standing,
    unsent: Vec<u8>,
    tried: bool,
    /// Nobody is there, and its work is done here.
    ours: bool,
}

/// What came of asking one filter.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// Go on.
    Nothing,
    /// No more of the body.
    Skip,
    /// This.
    Outcome(Outcome),
    /// A modification; [`Filters::more`] gives what follows.
    Change(Change),
}

/// Why a filter can't be talked to.
enum Trouble {
    /// In words of the log.
    Said(String),
    /// A packet of its lacks a part.
    Short,
    /// Already said.
    Broken,
}

impl Filters {
    /// Nothing is connected yet.
    #[must_use]
    pub fn new(settings: Arc<Milters>, sockets: LocalSockets, answers: Arc<Answers>) -> Filters {
        let connected = settings.filters.iter().map(|_| Connected::default()).collect();
        Filters { settings, sockets, connected, warnings: Vec::new(), known: BTreeMap::new(), answers }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.connected.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.connected.is_empty()
    }

    /// What the log is to say.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Macros that have a value until the message is over.
    #[must_use]
    pub const fn known(&self) -> &BTreeMap<&'static str, String> {
        &self.known
    }

    /// A macro has this value until the message is over; what it is already it stays.
    pub fn remember(&mut self, name: &'static str, value: String) {
        self.known.entry(name).or_insert(value);
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Arc<Milters> {
        &self.settings
    }

    /// Whether nobody is there whose work is done here.
    #[must_use]
    pub fn is_ours(&self, at: usize) -> bool {
        self.connected.get(at).is_some_and(|one| one.ours)
    }

    /// What was decided for the whole session.
    #[must_use]
    pub fn standing(&self) -> Option<Outcome> {
        self.connected.iter().find_map(|one| one.standing.standing())
    }

    /// Which filter has what comes held, in place of an answer.
    #[must_use]
    pub fn holder(&self) -> String {
        let holds = |one: &Connected| one.standing.standing() == Some(Outcome::Hold);
        let at = self.connected.iter().position(holds);
        self.name(at.unwrap_or(usize::MAX)) + " can't be asked, and its default_action is quarantine"
    }

    /// What a filter is called, for people.
    #[must_use]
    pub fn name(&self, at: usize) -> String {
        let name = self.settings.filters.get(at).map(|filter| filter.name.as_str());
        format!("milter {}", name.unwrap_or_default())
    }

    /// Whether a filter hears of such an event now.
    #[must_use]
    pub fn hears(&self, at: usize, stage: Stage) -> bool {
        self.connected.get(at).is_some_and(|one| !one.ours && one.standing.listens() && one.link.wants(stage))
    }

    /// Whether a filter gives header values with the blank in front.
    #[must_use]
    pub fn gives_blanks(&self, at: usize) -> bool {
        self.connected.get(at).is_some_and(|one| one.link.keeps_leading_space())
    }

    /// Tells all filters of an event, until one has something against it.
    pub async fn tell(&mut self, event: Event<'_>, values: Values<'_>) -> Option<Outcome> {
        for at in 0..self.connected.len() {
            if let Heard::Outcome(outcome) = self.ask(at, event, values).await {
                return Some(outcome);
            }
        }
        None
    }

    /// Tells those of a refused recipient who want to hear of it; what they say counts for nothing.
    pub async fn tell_refused(&mut self, event: Event<'_>, values: Values<'_>) {
        for at in 0..self.connected.len() {
            let wants = |one: &Connected| one.standing.listens() && one.link.wants_rejected_recipients();
            if self.connected.get(at).is_some_and(wants) {
                self.ask(at, event, values).await;
            }
        }
    }

    /// Tells one filter of an event.
    pub async fn ask(&mut self, at: usize, event: Event<'_>, values: Values<'_>) -> Heard {
        let stage = event.stage();
        let (Some(filter), Some(one)) = (self.settings.filters.get(at), self.connected.get_mut(at)) else {
            return Heard::Nothing;
        };
        if let Some(outcome) = one.standing.standing() {
            return Heard::Outcome(outcome);
        }
        if !one.standing.listens() {
            return Heard::Nothing;
        }
        if !one.tried {
            one.tried = true;
            let opened = one.open(filter, (&self.sockets, &self.answers), &mut self.warnings).await;
            if let Err(trouble) = opened {
                return one.failed(filter, trouble, &mut self.warnings);
            }
        }
        if one.ours {
            return Heard::Nothing;
        }
        one.standing.told(stage);
        if !one.link.knows(stage) {
            return Heard::Nothing;
        }
        let mut macros = Macros::default();
        let names = one.link.symbols(stage).unwrap_or_else(|| self.settings.macros(stage));
        for name in names {
            let value = values(name).or_else(|| default_of(&self.settings, name));
            if let Some(value) = value {
                macros.push(name, value);
            }
        }
        if !one.link.wants(stage) {
            // As Postfix has it, macros come all the same.
            if !matches!(stage, Stage::Header | Stage::EndOfHeader | Stage::Body) {
                one.link.tell_macros(stage, &macros, &mut one.unsent);
            }
            return Heard::Nothing;
        }
        let is_answered = one.link.tell(&event, &macros, &mut one.unsent);
        if !is_answered {
            if one.unsent.len() > UNSENT_BYTES_MAX
                && let Err(trouble) = one.send(filter, stage).await
            {
                return one.failed(filter, trouble, &mut self.warnings);
            }
            return Heard::Nothing;
        }
        if let Err(trouble) = one.send(filter, stage).await {
            return one.failed(filter, trouble, &mut self.warnings);
        }
        self.more(at, stage).await
    }

    /// The next answer of a filter that was told of an event.
    pub async fn more(&mut self, at: usize, stage: Stage) -> Heard {
        let (Some(filter), Some(one)) = (self.settings.filters.get(at), self.connected.get_mut(at)) else {
            return Heard::Nothing;
        };
        // What was said before the answer itself counts where that refuses nothing.
        let heard = |holds: bool, heard: Heard| if holds { Heard::Outcome(Outcome::Hold) } else { heard };
        loop {
            let answer = match one.receive(filter, stage).await {
                Ok(answer) => answer,
                Err(trouble) => return one.failed(filter, trouble, &mut self.warnings),
            };
            let judgement = one.standing.judge(stage, &answer);
            match (answer, judgement) {
                (Answer::Progress, _) => {}
                (Answer::Change(Change::Quarantine(_)), _) if !matches!(stage, Stage::EndOfMessage) => {
                    one.standing.hold(stage);
                }
                (Answer::Change(change), _) => return Heard::Change(change),
                (_, Judgement::Nothing) => return heard(one.standing.holds_at(stage), Heard::Nothing),
                (_, Judgement::Skip) => return heard(one.standing.holds_at(stage), Heard::Skip),
                (answer, Judgement::Outcome(outcome)) => {
                    if matches!(answer, Answer::Shutdown) {
                        one.stream = None;
                    }
                    return Heard::Outcome(outcome);
                }
                (_, Judgement::Ignored(why)) => {
                    self.warnings.push(format!("milter {}: {why}", filter.name));
                    return Heard::Nothing;
                }
                (_, Judgement::Broken(why)) => {
                    self.warnings.push(format!("milter {}: {why}", filter.name));
                    one.stream = None;
                    // A reply that is none has its own answer.
                    let outcome = one.standing.standing();
                    let outcome = outcome.or_else(|| one.standing.fail(&filter.default_action));
                    return outcome.map_or(Heard::Nothing, Heard::Outcome);
                }
            }
        }
    }

    /// The message is over, whatever became of it.
    pub async fn abort(&mut self) {
        self.known.clear();
        for one in &mut self.connected {
            if one.stream.is_some() && one.standing.is_connected() {
                one.link.abort(&mut one.unsent);
                one.send_late().await;
            }
            one.standing.message_over();
        }
    }

    /// What was no session is over; no message is given up.
    pub async fn part(&mut self) {
        for one in &mut self.connected {
            one.leave().await;
        }
    }

    /// The session is over.
    pub async fn quit(&mut self) {
        for one in &mut self.connected {
            if one.standing.is_connected() {
                if one.standing.is_greeted() && one.stream.is_some() {
                    one.link.abort(&mut one.unsent);
                }
                one.leave().await;
            }
            one.stream = None;
        }
    }
}

/// `milter_macro_defaults`: with or without braces around the name.
fn default_of(settings: &Milters, name: &str) -> Option<String> {
    let plain = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let value = settings.defaults.get(name).or_else(|| settings.defaults.get(plain));
    value.cloned()
}

fn limit(filter: &Filter, stage: Stage) -> Duration {
    match stage {
        Stage::Header | Stage::EndOfHeader | Stage::Body | Stage::EndOfMessage => filter.content,
        _ => filter.command,
    }
}

impl Connected {
    async fn open(
        &mut self,
        filter: &Filter,
        (sockets, answers): (&LocalSockets, &Answers),
        warnings: &mut Vec<String>,
    ) -> Result<(), Trouble> {
        let opening = timeout(filter.connect, connect(&filter.endpoint, sockets)).await;
        let opened = opening.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if let Err(error) = &opened
            && answers.opendkim.takes_over(&filter.name, &filter.endpoint, error)
        {
            self.ours = true;
            return Ok(());
        }
        let stream = opened.map_err(|error| {
            warnings.push(format!("connect to Milter service {}: {}", filter.name, words(&error)));
            Trouble::Broken
        })?;
        answers.opendkim.is_there(&filter.name);
        self.stream = Some(stream);
        self.link.offer(filter.offer, &mut self.unsent);
        let said = |text: String| format!("milter {}: {text}", filter.name);
        let failed = |error: &io::Error, warnings: &mut Vec<String>| {
            let text = format!("can't read SMFIC_OPTNEG reply packet header: {}", words(error));
            warnings.push(said(text));
            Trouble::Said("read error in initial handshake".to_owned())
        };
        if let Err(error) = self.write(filter.command).await {
            return Err(failed(&error, warnings));
        }
        loop {
            match self.link.agree(filter.offer) {
                Ok(Some(agreed)) => {
                    if let Some(version) = agreed.odd_version {
                        warnings.push(said(format!("unexpected protocol version {version}")));
                    }
                    return Ok(());
                }
                Ok(None) => {}
                Err(fault @ (proto::milter::Fault::Length(_) | proto::milter::Fault::Size(_))) => {
                    warnings.push(said(fault.to_string()));
                    return Err(Trouble::Said("read error in initial handshake".to_owned()));
                }
                Err(fault) => return Err(Trouble::Said(fault.to_string())),
            }
            if let Err(error) = self.read(filter.command).await {
                return Err(failed(&error, warnings));
            }
        }
    }

    async fn receive(&mut self, filter: &Filter, stage: Stage) -> Result<Answer, Trouble> {
        loop {
            match self.link.next(stage) {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(proto::milter::Fault::Short(_)) => return Err(Trouble::Short),
                Err(fault) => return Err(Trouble::Said(fault.to_string())),
            }
            if let Err(error) = self.read(limit(filter, stage)).await {
                return Err(lost(stage, &error));
            }
        }
    }

    async fn send(&mut self, filter: &Filter, stage: Stage) -> Result<(), Trouble> {
        self.write(limit(filter, stage)).await.map_err(|error| lost(stage, &error))
    }

    async fn write(&mut self, limit: Duration) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.unsent);
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        timeout(limit, stream.write_all(&bytes))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        self.unsent = bytes;
        self.unsent.clear();
        Ok(())
    }

    async fn read(&mut self, limit: Duration) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        // The milter library writes a packet's head and its body apart.
        stream.acknowledge_at_once();
        let mut buffer = [0; 4096];
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let length = timeout(limit, stream.read(&mut buffer)).await.map_err(late)??;
        match buffer.get(..length) {
            Some(bytes) if !bytes.is_empty() => {
                self.link.take(bytes);
                Ok(())
            }
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Says what nobody answers; a filter that takes nothing isn't waited for.
    async fn send_late(&mut self) {
        if self.write(LAST_WORDS).await.is_err() {
            self.unsent.clear();
        }
    }

    async fn leave(&mut self) {
        if self.stream.is_some() {
            self.link.quit(&mut self.unsent);
            self.send_late().await;
        }
        self.stream = None;
    }

    fn failed(&mut self, filter: &Filter, trouble: Trouble, warnings: &mut Vec<String>) -> Heard {
        match trouble {
            Trouble::Said(text) => warnings.push(format!("milter {}: {text}", filter.name)),
            // Postfix's spelling.
            Trouble::Short => warnings
                .push(format!("milter8_read_data: milter {}: missing string null termimator", filter.name)),
            Trouble::Broken => {}
        }
        self.stream = None;
        if let DefaultAction::Unrecognized(word) = &filter.default_action {
            warnings.push(format!("milter {}: unrecognized default action: {word}", filter.name));
        }
        self.standing.fail(&filter.default_action).map_or(Heard::Nothing, Heard::Outcome)
    }
}

/// How long a filter may take to accept what it needn't answer.
const LAST_WORDS: Duration = Duration::from_secs(5);

fn lost(stage: Stage, error: &io::Error) -> Trouble {
    Trouble::Said(format!("can't read {} reply packet header: {}", stage.name(), words(error)))
}

pub(crate) async fn connect(endpoint: &MilterEndpoint, sockets: &LocalSockets) -> io::Result<Stream> {
    match endpoint {
        MilterEndpoint::Inet(host, port) => {
            let number = match port.parse() {
                Ok(number) => number,
                Err(_) => {
                    let name = port.clone();
                    let found = tokio::task::spawn_blocking(move || port_number(&name, &DirectSources));
                    found.await?.ok_or(io::ErrorKind::AddrNotAvailable)?
                }
            };
            let stream = TcpStream::connect((host.as_str(), number)).await?;
            // Macros, event and answer are one round trip each, and not 40 ms.
            stream.set_nodelay(true)?;
            Ok(Stream::Inet(stream))
        }
        MilterEndpoint::Unix(path) => Ok(Stream::Unix(sockets.connect(path).await?)),
    }
}

/// The system's words, as Postfix logs them.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => "Connection timed out".to_owned(),
        io::ErrorKind::UnexpectedEof => "Application error".to_owned(),
        io::ErrorKind::BrokenPipe => "Broken pipe".to_owned(),
        _ => strerror(error),
    }
}
