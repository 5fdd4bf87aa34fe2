//! Plays a made-up session against a configuration, and keeps every decision with its way.
//!
//! The conversation is the server's own, fed with commands; where it waits for a decision, the policy is asked
//! until it needs nothing more. No socket, no spool, no clock: pauses are skipped. The invariant: the replies are
//! those that `serve` gives when it is answered the same.

use super::Stand;
use super::answers::{Answerer, favourable};
use super::visit::{Last, Nameless, Visit};
use crate::session::request::{enter, no_room};
use events::Stamp;
use events::check::{Action as Word, Session as Known, Verdict as Line};
use events::smtpd::Peer as Named;
use mail::{Mono, Now, Reply, Wall};
use policy::decision::Attempt;
use policy::{Answer, Client, Decision, Facts, NameStatus, Need, NoteAction, Policy, Question, Stage, Step};
use policy::{Transaction, UNKNOWN};
use proto::smtp::{Action, Input, Peer, Request, Server, Verdict};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use tables::LookupError;

/// Questions for one decision; more than any real one asks.
const QUESTIONS_MAX: usize = 10_000;
/// What stands for a client's name that doesn't lead back to it.
const UNPROVED: &str = "client.invalid";
/// The made-up session's queue id.
const QUEUE_ID: &str = "EXPLAIN";

/// Answers that take the place of an answerer's: `question`, `answer`.
pub type Supposed = [(Question, Answer)];

/// A session that was played.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Command by command.
    pub exchanges: Vec<Exchange>,
    /// Every question that nobody answered, with what was assumed.
    pub assumed: Vec<(Question, Answer)>,
}

/// One command and all that it led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// As the client sends it; empty for the connection itself.
    pub command: String,
    /// The replies, line by line.
    pub replies: Vec<String>,
    /// The checks that were reached.
    pub steps: Vec<Told>,
    /// What was asked outside of any check: the client's names.
    pub asked: Vec<Asked>,
    /// What the lists hold that wasn't reached.
    pub unreached: Vec<Unreached>,
    /// What decided where the lists had nothing against it: a transport, no room.
    pub beyond: Option<String>,
    /// What the log would say.
    pub log: Vec<String>,
    /// The lists that wait for RCPT (`smtpd_delay_reject`).
    pub waits: Option<Stage>,
}

/// What stands in a list behind the check that ended it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// The list.
    pub stage: Stage,
    /// Its members.
    pub checks: Vec<String>,
}

/// One check with what it asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The check and its outcome.
    pub step: Step,
    /// Its questions.
    pub asked: Vec<Asked>,
}

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What was asked.
    pub question: Question,
    /// What was answered.
    pub answer: Answer,
    /// Nobody knew: assumed.
    pub assumed: bool,
}

impl Walk {
    /// The final reply's line, of the last exchange that had one.
    #[must_use]
    pub fn last_reply(&self) -> Option<&str> {
        self.exchanges.iter().rev().find_map(|exchange| exchange.replies.last()).map(String::as_str)
    }

    /// The replies that decide about the mail: MAIL's to the message's end.
    pub fn verdicts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.exchanges.iter().filter_map(|exchange| {
            exchange.replies.last().map(|reply| (exchange.command.as_str(), reply.as_str()))
        })
    }
}

/// Plays `visit`; `supposed` comes before what `answerer` knows.
#[must_use]
pub fn walk(stand: &Stand, visit: &Visit, answerer: &dyn Answerer, supposed: &Supposed) -> Walk {
    let now = Now { mono: Mono(0), wall: visit.at.map_or(Wall::from_seconds(0), |at| at.wall) };
    let peer = Peer::new(visit.client, 0);
    let server = Server::new(Arc::clone(&stand.listener.settings), peer, now);
    let is_protected = visit.tls || stand.listener.security.wrapped;
    let server = if is_protected { server.over_tls() } else { server };
    let to = match visit.client {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let to = stand.listener.addresses.first().map_or(to, std::net::SocketAddr::ip);
    let port = stand.listener.addresses.first().map_or(25, std::net::SocketAddr::port);
    let mut tx = Transaction::new(Client::unnamed(visit.client, 0, to, port));
    tx.sasl = visit.sasl.as_ref().map(|username| {
        Box::new(policy::Sasl {
            method: "PLAIN".to_owned(),
            username: username.clone(),
            sender: String::new(),
        })
    });
    let tls = || policy::Tls { protocol: "TLSv1.3".to_owned(), ..policy::Tls::default() };
    tx.tls = is_protected.then(|| Box::new(tls()));
    let facts = Facts::new(stand.live.snapshot());
    let mut player = Player {
        stand,
        visit,
        answerer,
        supposed,
        server,
        tx,
        facts,
        now,
        out: Vec::new(),
        closed: false,
        walk: Walk::default(),
    };
    player.play();
    player.walk
}

struct Player<'a> {
    stand: &'a Stand,
    visit: &'a Visit,
    answerer: &'a dyn Answerer,
    supposed: &'a Supposed,
    server: Server,
    tx: Transaction,
    facts: Facts,
    now: Now,
    out: Vec<u8>,
    closed: bool,
    walk: Walk,
}

impl Player<'_> {
    fn play(&mut self) {
        self.exchange("", b"");
        let visit = self.visit;
        if let Some(helo) = &visit.helo
            && visit.last >= Last::Helo
        {
            let word = if visit.plain_helo { "HELO" } else { "EHLO" };
            self.command(format!("{word} {helo}"));
        }
        let Some(from) = visit.from.as_ref().filter(|_| visit.last >= Last::Mail) else { return };
        let size = if visit.size > 0 { format!(" SIZE={}", visit.size) } else { String::new() };
        self.command(format!("MAIL FROM:<{from}>{size}"));
        if self.walk.last_reply().is_some_and(|reply| reply.starts_with(['4', '5'])) {
            return;
        }
        if visit.last >= Last::Rcpt {
            for to in &visit.to {
                self.command(format!("RCPT TO:<{to}>"));
            }
        }
        let recipients = self.server.envelope().map_or(0, |envelope| envelope.recipients.len());
        if visit.last < Last::Data || recipients == 0 {
            return;
        }
        self.command("DATA".to_owned());
        if visit.last >= Last::EndOfData
            && self.walk.last_reply().is_some_and(|reply| reply.starts_with("354"))
        {
            self.exchange("(message) .", b"Subject: made up\r\n\r\n.\r\n");
        }
    }

    fn command(&mut self, line: String) {
        let bytes = format!("{line}\r\n");
        self.exchange(&line, bytes.as_bytes());
    }

    /// One command, until its last reply is there.
    fn exchange(&mut self, command: &str, bytes: &[u8]) {
        if self.closed {
            return;
        }
        self.walk.exchanges.push(Exchange { command: command.to_owned(), ..Exchange::default() });
        if !bytes.is_empty() {
            self.server.handle(self.now, Input::Bytes(bytes), &mut self.out);
        }
        self.pump();
        // A pause before the reply: it is skipped, as nobody waits here.
        for _ in 0..8 {
            if self.closed || is_whole(&self.out) {
                break;
            }
            let Some(due) = self.server.deadline() else { break };
            if due > self.now.mono {
                self.now = self.now + due.since(self.now.mono);
            }
            self.server.expire(self.now, &mut self.out);
            self.pump();
        }
        let out = std::mem::take(&mut self.out);
        if let Some(exchange) = self.walk.exchanges.last_mut() {
            exchange.replies = String::from_utf8_lossy(&out).lines().map(str::to_owned).collect();
        }
    }

    fn pump(&mut self) {
        while let Some(action) = self.server.poll() {
            let input = match action {
                Action::Decide(request) => Input::Decided(self.decide(request)),
                Action::Unknown(_) => Input::Decided(Verdict::Permit),
                Action::Filter(line) => Input::Filtered(self.filter(&line)),
                Action::Commit => Input::Stored(Ok(QUEUE_ID.to_owned())),
                Action::StartTls | Action::Authenticate(_) => Input::PeerClosed,
                Action::Close => {
                    self.closed = true;
                    return;
                }
                Action::Chunk(_) | Action::Abort | Action::Identity(_) | Action::Note(_) => continue,
            };
            self.server.handle(self.now, input, &mut self.out);
        }
    }

    fn filter(&self, line: &str) -> Option<String> {
        let table = self.stand.listener.lists.command_filter?;
        let snapshot = self.facts.snapshot();
        snapshot.table(table).lookup(line).ok().flatten().map(|hit| hit.value.into_owned())
    }

    fn policy(&self) -> Arc<Policy> {
        Arc::clone(self.stand.listener.lists_for(&self.tx))
    }

    fn decide(&mut self, request: Request) -> Verdict {
        if request == Request::Connect {
            self.meet();
        }
        let (asked_for, size) = (request, self.visit.size);
        let (request, command) = enter(&mut self.tx, &asked_for, &self.server);
        if let (Request::EndOfData { .. }, true) = (&asked_for, size > 0) {
            self.tx.message_size = Some(size);
        }
        if let Some(refusal) = self.before(&asked_for) {
            return Verdict::Reject(refusal);
        }
        let policy = self.policy();
        let mut asked: Vec<(usize, Asked)> = Vec::new();
        for _ in 0..QUESTIONS_MAX {
            match policy.attempt(request, &self.tx, &self.facts) {
                Attempt::Decided(decision) => {
                    self.facts.forget_effects();
                    self.tell(request, command, &decision, asked);
                    self.tx.carried = decision.carried;
                    return match decision.verdict {
                        policy::Verdict::Permit => self.permitted(&asked_for),
                        policy::Verdict::Reject(reply) => Verdict::Reject(reply),
                        policy::Verdict::Disconnect(reply) => Verdict::Disconnect(reply),
                    };
                }
                Attempt::Asks { need, path } => {
                    let answer = self.answer(need);
                    asked.push((path.len(), answer));
                }
            }
        }
        Verdict::Permit
    }

    /// Finds an answer, or assumes one.
    fn answer(&mut self, Need(question): Need) -> Asked {
        let policy = self.policy();
        let supposed = self
            .supposed
            .iter()
            .find(|(known, answer)| speaks_of(known, answer, &question))
            .map(|(_, answer)| answer);
        let (answer, assumed) = match supposed {
            Some(answer) => (answer.clone(), true),
            None => match self.answerer.answer(&question, &policy) {
                Some(answer) => (answer, false),
                None => (favourable(&question, &policy, self.visit.client), true),
            },
        };
        // Waiting is no question that somebody could answer.
        let open = assumed && !matches!(question, Question::ZoneHealth(_)) && answer != Answer::Done;
        if open && !self.walk.assumed.iter().any(|(known, _)| *known == question) {
            self.walk.assumed.push((question.clone(), answer.clone()));
        }
        self.facts.learn(question.clone(), answer.clone());
        Asked { question, answer, assumed: open }
    }

    /// The client's names, given or looked up.
    fn meet(&mut self) {
        if let Some(name) = &self.visit.name {
            let is_known = !name.eq_ignore_ascii_case(UNKNOWN);
            let (status, reverse) = match self.visit.nameless {
                _ if is_known => (NameStatus::Ok, NameStatus::Ok),
                Nameless::NoName => (NameStatus::Unknown, NameStatus::Unknown),
                Nameless::Forged => (NameStatus::Forged, NameStatus::Ok),
                Nameless::NameUnavailable => (NameStatus::Temporary, NameStatus::Temporary),
                Nameless::AddressUnavailable => (NameStatus::Temporary, NameStatus::Ok),
            };
            let client = &mut self.tx.client;
            client.name.clone_from(name);
            // A name that is there but proves nothing: which, nobody said.
            let unproved = !is_known && reverse == NameStatus::Ok;
            client.reverse_name = if unproved { UNPROVED.to_owned() } else { name.clone() };
            (client.name_status, client.reverse_name_status) = (status, reverse);
        } else {
            let lookup = self.stand.listener.receiving.peername_lookup;
            let mut asked = Vec::new();
            let names = loop {
                match policy::client_names(self.visit.client, lookup, &self.facts) {
                    Ok(names) => break names,
                    Err(need) => asked.push(self.answer(need)),
                }
            };
            let client = &mut self.tx.client;
            client.name = names.name;
            client.name_status = names.name_status;
            client.reverse_name = names.reverse_name;
            client.reverse_name_status = names.reverse_name_status;
            if let Some(exchange) = self.walk.exchanges.last_mut() {
                exchange.asked = asked;
            }
        }
        let mut peer = Peer::new(self.visit.client, 0);
        peer.name.clone_from(&self.tx.client.name);
        self.server.identify(peer);
    }

    /// What is refused before the policy is asked.
    fn before(&mut self, request: &Request) -> Option<Reply> {
        let (Request::Mail(mail), Some(free)) = (request, self.stand.free_bytes) else { return None };
        let receiving = &self.stand.listener.receiving;
        let refusal = no_room(receiving, free, mail.size)?;
        let beyond = format!(
            "{free} bytes are free where the queue is: queue_minfree is {}, the message's size {}",
            receiving.minfree_bytes, mail.size
        );
        self.note_beyond(beyond);
        Some(refusal)
    }

    /// The policy has nothing against it: the place of a recipient's mailbox may have.
    fn permitted(&mut self, request: &Request) -> Verdict {
        let Request::Rcpt(recipient) = request else { return Verdict::Permit };
        let to = recipient.address.clone();
        let from = self.tx.sender.clone().unwrap_or_else(mail::Address::null);
        let mut refusal = None;
        for _ in 0..QUESTIONS_MAX {
            let Stand { targets, classes, .. } = self.stand;
            match targets.refusal((&from, &to), classes, self.facts.snapshot()) {
                Err(LookupError::Unasked { table, key }) => {
                    let asked = self.answer(Need(Question::Lookup { table, key }));
                    if let Some(exchange) = self.walk.exchanges.last_mut() {
                        exchange.asked.push(asked);
                    }
                }
                Err(_) => break,
                Ok(found) => {
                    refusal = found;
                    break;
                }
            }
        }
        self.facts.forget_lookups();
        let Some(reply) = refusal else {
            self.tx.recipient_count = self.tx.recipient_count.saturating_add(1);
            return Verdict::Permit;
        };
        let note = policy::Note { action: NoteAction::Reject, text: reply.to_string() };
        let line = self.line(&note, "RCPT");
        self.note_beyond(
            "the lists permit it; its name can't be a folder below komainu_mailbox_root".to_owned(),
        );
        if let Some(exchange) = self.walk.exchanges.last_mut() {
            exchange.log.push(line);
        }
        Verdict::Reject(reply)
    }

    fn note_beyond(&mut self, beyond: String) {
        if let Some(exchange) = self.walk.exchanges.last_mut() {
            exchange.beyond = Some(beyond);
        }
    }

    /// Writes a decision down.
    fn tell(
        &mut self,
        request: policy::Request,
        command: &str,
        decision: &Decision,
        asked: Vec<(usize, Asked)>,
    ) {
        let policy = self.policy();
        let log: Vec<String> = decision.notes.iter().map(|note| self.line(note, command)).collect();
        let Some(exchange) = self.walk.exchanges.last_mut() else { return };
        exchange.log = log;
        exchange.steps =
            decision.path.iter().map(|step| Told { step: step.clone(), asked: Vec::new() }).collect();
        for told in &mut exchange.steps {
            let argument = told.step.check.strip_prefix("check_policy_service ");
            let service =
                argument.and_then(|name| policy.services().iter().find(|one| one.name == name.trim()));
            let who = service.and_then(|service| self.stand.in_stead.told(service));
            told.step.remark = told.step.remark.take().or(who);
        }
        for (reached, asked) in asked {
            match reached.checked_sub(1).and_then(|index| exchange.steps.get_mut(index)) {
                Some(told) => told.asked.push(asked),
                None => exchange.asked.push(asked),
            }
        }
        exchange.waits = match request {
            policy::Request::Connect if policy.delays_reject() => Some(Stage::Client),
            policy::Request::Helo if policy.delays_reject() => Some(Stage::Helo),
            policy::Request::Mail if policy.delays_reject() => Some(Stage::Sender),
            _ => None,
        };
        exchange.unreached = unreached(&policy, decision);
    }

    /// A note as the log has it.
    fn line(&self, note: &policy::Note, command: &str) -> String {
        let program = &self.stand.listener.program;
        let tx = &self.tx;
        let text = match (note.action, Word::from_word(note.action.word())) {
            (NoteAction::Warning, _) => format!("warning: {}", note.text),
            (NoteAction::Notice, _) | (_, None) => note.text.clone(),
            (_, Some(action)) => {
                let session = Known {
                    from: tx.sender.as_ref().map(|sender| sender.to_external().into()),
                    to: tx.recipient.as_ref().map(|recipient| recipient.to_external().into()),
                    proto: Some(self.server.protocol().into()),
                    helo: tx.helo.as_deref().map(Into::into),
                };
                let client = Named::new(tx.client.name.as_str(), tx.client.address.to_string());
                let id = Line::NO_QUEUE.into();
                let text = note.text.as_str().into();
                let line = Line { id, action, stage: command.into(), client, text, session };
                events::Event::from(line).to_string()
            }
        };
        match self.visit.at {
            None => format!("{program}: {text}"),
            Some(at) => {
                let host = &self.stand.listener.receiving.hostname;
                let host = host.split('.').next().unwrap_or(host);
                format!("{} {host} {program}: {text}", Stamp::syslog(at.wall, at.offset))
            }
        }
    }
}

/// What the lists that were looked into hold behind the check that ended them. A path doesn't name every member
/// (`warn_if_reject` has no step of its own) and names checks that no list has.
fn unreached(policy: &Policy, decision: &Decision) -> Vec<Unreached> {
    let mut stages: Vec<Stage> = Vec::new();
    for step in &decision.path {
        if !stages.contains(&step.stage) {
            stages.push(step.stage);
        }
    }
    let mut all = Vec::new();
    for stage in stages {
        let members: Vec<(&str, &config::Place)> = policy.list(stage).collect();
        let mut reached = 0;
        for step in decision.path.iter().filter(|step| step.stage == stage && step.depth == 0) {
            let rest = members.get(reached..).unwrap_or_default();
            let is_it = |(text, place): &(&str, &config::Place)| *text == step.check && **place == step.place;
            if let Some(at) = rest.iter().position(is_it) {
                reached = reached.saturating_add(at).saturating_add(1);
            }
        }
        let behind = members.get(reached..).unwrap_or_default();
        let checks: Vec<String> = behind.iter().map(|(text, _)| (*text).to_owned()).collect();
        if !checks.is_empty() {
            all.push(Unreached { stage, checks });
        }
    }
    all
}

/// Whether what is supposed of one question settles another: a name that doesn't exist has no records of any type
/// (RFC 8020).
fn speaks_of(known: &Question, answer: &Answer, question: &Question) -> bool {
    match (known, question) {
        (Question::Dns { name, .. }, Question::Dns { name: asked, .. }) if *answer == Answer::NoName => {
            name == asked
        }
        _ => known == question,
    }
}

/// Whether the bytes end with a reply's last line.
fn is_whole(out: &[u8]) -> bool {
    let text = String::from_utf8_lossy(out);
    text.lines().last().is_some_and(|line| line.as_bytes().get(3).is_none_or(|byte| *byte != b'-'))
}
