//! local(8): what a recipient stands for, done part by part, each with a line in the log.
//!
//! Mailboxes, files and commands are the privileged helper's to write and run (or our own, without root's rights). Whom
//! mail is forwarded to becomes the recipient of a new message, which is durable in the spool before the old recipient
//! counts as delivered. What of several parts is done is noted in the spool as it is done, until the recipient is, so that
//! neither a retry nor a restart repeats it. Delivered-To: ends loops.

use super::agent::{Agents, Delivered};
use super::manager::{QueueHandle, Routing};
use crate::clock;
use crate::log::Log;
use crate::privileged::{Answer, LocalAct, LocalRequest};
use crate::strerror::strerror;
use events::Event;
use events::daemon::Message as Warning;
use events::queue::{IdKind, MessageId};
use mail::{Address, Dsn, QueueId};
use policy::address::{Expansion, Lookup};
use policy::local::{Account, Action, Attributes, Ground, Opened, Part, Step};
use queue::{Entry, Outcome, Reason, Recipient, Status};
use rustix::fd::AsFd;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::sync::{Mutex, PoisonError, mpsc};
use tables::{LookupError, Snapshot, TableId};

/// How much of a message is looked through for headers.
const HEADER_BYTES_MAX: u64 = 256 * 1024;
/// Recipients of which parts are remembered; beyond, all are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// Parts that are done, of recipients that aren't: at hand, and as notes in the spool for the next server.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<u64, HashSet<(u32, u64)>>>);

impl Memory {
    fn has(&self, (number, index): (u64, u32), part: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&number).is_some_and(|parts| parts.contains(&(index, name_of(part))))
    }

    fn add(&self, number: u64, parts: impl IntoIterator<Item = (u32, u64)>) {
        let mut parts = parts.into_iter().peekable();
        if parts.peek().is_none() {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX && !known.contains_key(&number) {
            // They are in the spool as well.
            known.clear();
        }
        known.entry(number).or_default().extend(parts);
    }

    /// What the spool says of a message that is read from it.
    pub(super) fn learn(&self, number: u64, entry: &Entry) {
        let open = |index: u32| {
            let at = usize::try_from(index).unwrap_or(usize::MAX);
            entry.recipients.get(at).is_some_and(|recipient| recipient.status.is_open())
        };
        self.add(number, entry.parts.iter().copied().filter(|(index, _)| open(*index)));
    }

    /// What is done of a message's recipients.
    pub(super) fn of(&self, number: u64) -> Vec<(u32, u64)> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut parts: Vec<_> = known.get(&number).into_iter().flatten().copied().collect();
        parts.sort_unstable();
        parts
    }

    fn settle(&self, (number, index): (u64, u32), parts: HashSet<String>, is_done: bool) {
        if !is_done {
            return self.add(number, parts.iter().map(|part| (index, name_of(part))));
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parts) = known.get_mut(&number) {
            parts.retain(|(other, _)| *other != index);
            if parts.is_empty() {
                known.remove(&number);
            }
        }
    }
}

/// A part's name in the spool: FNV-1a, the same in each version.
fn name_of(part: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    part.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// One recipient of one message, to be served.
pub(super) struct Errand<'a> {
    pub(super) agents: &'a Agents,
    pub(super) routing: &'a Routing,
    pub(super) log: &'a Log,
    pub(super) queue: &'a QueueHandle,
    pub(super) number: u64,
    pub(super) entry: &'a Entry,
    pub(super) index: u32,
    pub(super) recipient: &'a Recipient,
}

/// Somebody whom another transport serves.
pub(super) struct Pass {
    pub(super) recipient: Recipient,
    pub(super) transport: String,
    pub(super) nexthop: String,
    part: String,
}

/// What can be said of a recipient without delivering anything.
pub(super) struct Looked {
    pub(super) said: Vec<(Recipient, Result<String, Reason>)>,
    /// Whom other transports are to be asked of.
    pub(super) passes: Vec<Pass>,
}

/// What has come of a recipient's parts so far.
#[derive(Default)]
pub(super) struct Served {
    pub(super) passes: Vec<Pass>,
    deferred: Option<Reason>,
    failed: Option<Reason>,
    text: Option<String>,
    forwarded: bool,
    done: HashSet<String>,
    /// What failed, and is a list's owner's business.
    pub(super) owned: Vec<Owned>,
}

/// A list's part that failed: its owner hears of it, and nobody else.
pub(super) struct Owned {
    pub(super) owner: Address,
    pub(super) recipient: Recipient,
    part: String,
}

impl Served {
    pub(super) fn refused(reason: Reason) -> Served {
        Served { deferred: Some(reason), ..Served::default() }
    }

    pub(super) fn take(&mut self, outcome: &Outcome, text: &str) {
        match outcome {
            Outcome::Delivered | Outcome::Confirmed(..) => {
                self.text.get_or_insert_with(|| text.to_owned());
            }
            Outcome::Deferred(reason) => {
                self.deferred.get_or_insert_with(|| reason.clone());
            }
            Outcome::Failed(reason) => {
                self.failed.get_or_insert_with(|| reason.clone());
            }
        }
    }

    /// Whether a list's owner could be told of what failed; else it is done again.
    pub(super) fn told(&mut self, owned: &Owned, is_told: bool) {
        if is_told {
            self.done.insert(owned.part.clone());
        } else {
            self.done.remove(&owned.part);
            let reason = Reason::new(Dsn::new(4, 3, 0), "bounce or trace service failure");
            self.deferred.get_or_insert(reason);
        }
    }

    pub(super) fn passed(&mut self, pass: &Pass, outcome: &Outcome, text: &str) {
        if !matches!(outcome, Outcome::Deferred(_)) {
            self.done.insert(pass.part.clone());
        }
        self.take(outcome, text);
    }

    /// What all of it comes to, and the text of a success report; none where whoever it went on to sends one.
    pub(super) fn outcome(self, memory: &Memory, whose: (u64, u32)) -> (Outcome, Option<String>) {
        memory.settle(whose, self.done, self.deferred.is_none());
        let text = if self.forwarded { None } else { self.text };
        match (self.deferred, self.failed) {
            (Some(reason), _) => (Outcome::Deferred(reason), None),
            (None, Some(reason)) => (Outcome::Failed(reason), None),
            (None, None) => (Outcome::Delivered, text),
        }
    }
}

/// What is known of the world while one recipient is expanded.
struct Scene<'a> {
    errand: &'a Errand<'a>,
    snapshot: &'a Snapshot,
    delivered_to: HashSet<String>,
}

impl Lookup for Scene<'_> {
    type Stop = LookupError;

    fn lookup(&self, table: TableId, key: &str) -> Result<Option<String>, LookupError> {
        self.snapshot.lookup(table, key)
    }

    fn snapshot(&self) -> &Snapshot {
        self.snapshot
    }
}

impl Ground for Scene<'_> {
    fn account(&self, name: &str) -> Result<Option<Account>, String> {
        if let Some(root) = self.errand.routing.targets.mailbox_root() {
            // Everybody is somebody there.
            let home = root.join(name).display().to_string();
            return Ok(Some(Account { name: name.to_owned(), home, ..Account::default() }));
        }
        self.errand.routing.agency.accounts().find(name)
    }

    fn forward(&self, attributes: &Attributes<'_>, chain: &[Step]) -> Opened {
        if self.errand.routing.targets.mailbox_root().is_some() {
            return Opened::Absent;
        }
        self.look(attributes.recipient, chain)
    }

    fn include(&self, recipient: &Address, chain: &[Step]) -> Opened {
        self.look(recipient.as_str(), chain)
    }

    fn is_local(&self, address: &Address) -> Result<bool, LookupError> {
        let routing = self.errand.routing;
        let route =
            routing.targets.routes().route((&self.errand.entry.sender, address), &routing.classes, self)?;
        Ok(route.transport == "local")
    }

    fn was_delivered_to(&self, address: &Address) -> bool {
        self.delivered_to.contains(&address.to_external().to_lowercase())
    }
}

impl Scene<'_> {
    fn look(&self, recipient: &str, chain: &[Step]) -> Opened {
        let request = LocalRequest {
            recipient: recipient.to_owned(),
            chain: chain.to_vec(),
            act: LocalAct::Look,
            from_line: Vec::new(),
            head: Vec::new(),
            environment: Vec::new(),
            length: 0,
        };
        match self.errand.agents.local(&self.errand.routing.agency, request, None) {
            (Answer::Done, Some(descriptor)) => {
                let mut text = Vec::new();
                let limit = crate::privileged::agency::FILE_BYTES_MAX;
                match File::from(descriptor).take(limit).read_to_end(&mut text) {
                    Ok(_) => Opened::Text(text),
                    Err(error) => Opened::Unavailable(error.to_string()),
                }
            }
            (Answer::Permanent(text), _) if text == "missing" => Opened::Absent,
            (Answer::Permanent(text), _) => Opened::Refused(text),
            (Answer::Temporary(text), _) => Opened::Unavailable(text),
            (Answer::Done | Answer::Said(_), _) => Opened::Unavailable("no file came along".to_owned()),
        }
    }
}

/// A message's header, as far as loops go.
#[derive(Default)]
struct Head {
    delivered_to: HashSet<String>,
    hops: usize,
    message_id: String,
}

impl Errand<'_> {
    /// Does everything but what other transports do; `say` judges and logs one part. Blocks.
    pub(super) fn serve(&self, say: &dyn Fn(&Recipient, &mut Delivered)) -> Served {
        let head = match self.head() {
            Ok(head) => head,
            Err(text) => {
                let mut delivered = Delivered::not("local", Reason::new(Dsn::new(4, 3, 0), text.clone()));
                say(self.recipient, &mut delivered);
                return Served::refused(Reason::new(Dsn::new(4, 3, 0), text));
            }
        };
        let snapshot = self.routing.live.snapshot();
        let scene = Scene { errand: self, snapshot: &snapshot, delivered_to: head.delivered_to.clone() };
        let (local, classes) = (self.routing.targets.local(), &self.routing.classes);
        let parts = policy::local::expand(local, classes, &scene, &self.recipient.address);
        let mut served = Served::default();
        let is_alone = parts.len() < 2;
        let mut forwards: Vec<(Option<Address>, Vec<Address>)> = Vec::new();
        for part in parts {
            self.warn_of(&part);
            let key = format!("{:?} {:?}", part.chain.last(), part.action);
            if self.agents.memory.has((self.number, self.index), &key) {
                continue;
            }
            let recipient = self.recipient_of(&part);
            match part.action {
                Action::Forward { address, sender } => {
                    match forwards.iter_mut().find(|(other, _)| *other == sender) {
                        Some((_, addresses)) => addresses.push(address),
                        None => forwards.push((sender, vec![address])),
                    }
                }
                Action::Pass { transport, nexthop } => {
                    self.say_passing(&recipient, &transport);
                    served.passes.push(Pass { recipient, transport, nexthop, part: key });
                }
                _ => {
                    let mut delivered = self.act(&part, &recipient);
                    say(&recipient, &mut delivered);
                    if !matches!(delivered.outcome, Outcome::Deferred(_)) {
                        served.done.insert(key.clone());
                    }
                    if !is_alone && matches!(delivered.outcome, Outcome::Delivered) {
                        self.note(&key);
                    }
                    match (part.owner, &delivered.outcome) {
                        (Some(owner), Outcome::Failed(reason))
                            if part.is_owned && !owner.is_null() && !self.routing.soft_bounce =>
                        {
                            let (original, status) = (Address::null(), Status::Failed(reason.clone()));
                            let recipient = Recipient { original, orcpt: None, status, ..recipient };
                            served.owned.push(Owned { owner, recipient, part: key });
                        }
                        _ => served.take(&delivered.outcome, &delivered.relay_text()),
                    }
                }
            }
        }
        for (sender, addresses) in forwards {
            self.forward((sender, addresses), &head, &mut served, say);
        }
        served
    }

    /// Has a part that is done noted, while the others are being served. Nobody waits for it: what tells of the whole
    /// recipient is written after it.
    fn note(&self, part: &str) {
        let done = (self.index, name_of(part));
        self.agents.memory.add(self.number, [done]);
        self.agents.spool.note(self.number, queue::Note::Parts(vec![done]).encode(), drop);
    }

    /// Looks without delivering anything. Blocks.
    pub(super) fn probe(&self) -> Looked {
        let snapshot = self.routing.live.snapshot();
        let scene = Scene { errand: self, snapshot: &snapshot, delivered_to: HashSet::new() };
        let (local, classes) = (self.routing.targets.local(), &self.routing.classes);
        let parts = policy::local::probe(local, classes, &scene, &self.recipient.address);
        let (mut said, mut passes) = (Vec::new(), Vec::new());
        for part in parts {
            self.warn_of(&part);
            let recipient = self.recipient_of(&part);
            let found = match part.action {
                Action::Pass { transport, nexthop } => {
                    self.say_passing(&recipient, &transport);
                    passes.push(Pass { recipient, transport, nexthop, part: String::new() });
                    continue;
                }
                Action::Refuse(dsn, text) => Err(Reason::new(dsn, text)),
                Action::Found(text) => Ok(text),
                Action::Mailbox(_) => Ok(self.mailbox_kind().to_owned()),
                Action::MailboxCommand(_, command) | Action::Command(command) => {
                    Ok(format!("delivers to command: {command}"))
                }
                Action::File(path) => Ok(format!("delivers to file: {path}")),
                Action::Forward { address, .. } => Ok(format!("forwards to {address}")),
                Action::Discard => Ok("discarded".to_owned()),
            };
            said.push((recipient, found));
        }
        Looked { said, passes }
    }

    fn mailbox_kind(&self) -> &'static str {
        let is_folder = self.routing.targets.mailbox_root().is_some() || self.routing.agency.has_maildirs();
        if is_folder { "delivers to maildir" } else { "delivers to mailbox" }
    }

    fn say_passing(&self, recipient: &Recipient, transport: &str) {
        let text = format!("passing <{}> to transport={transport}", recipient.address);
        let line = format!("{}: {text}", self.entry.id);
        self.log.write(&self.program("local"), Event::Other(line.into()));
    }

    fn program(&self, daemon: &str) -> String {
        format!("{}/{daemon}", self.routing.syslog_name)
    }

    fn warn_of(&self, part: &Part) {
        for warning in &part.warnings {
            self.warn(warning);
        }
    }

    fn warn(&self, text: &str) {
        let of_message = text.starts_with("address with");
        let text = if of_message { format!("{}: {text}", self.entry.id) } else { text.to_owned() };
        let line = match text.strip_prefix("fatal: ") {
            Some(text) => Warning { level: events::daemon::Level::Fatal, text: text.to_owned().into() },
            None => Warning::warning(text.clone()),
        };
        self.log.write(&self.program("local"), line);
    }

    fn recipient_of(&self, part: &Part) -> Recipient {
        let original = if part.is_original { &part.recipient } else { &self.recipient.original };
        Recipient { address: part.recipient.clone(), original: original.clone(), ..self.recipient.clone() }
    }

    /// What the message's header says about where it has been.
    fn head(&self) -> Result<Head, String> {
        let mut bytes = Vec::new();
        let mut body = self.agents.spool.body(self.number).map_err(|error| error.to_string())?;
        body.by_ref().take(HEADER_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        let mut head = Head::default();
        for header in mail::header::headers(&bytes) {
            if header.is("delivered-to") {
                head.delivered_to.insert(header.unfolded().trim().to_lowercase());
            } else if header.is("received") {
                head.hops = head.hops.saturating_add(1);
            } else if header.is("message-id") && head.message_id.is_empty() {
                head.message_id = header.unfolded();
            }
        }
        Ok(head)
    }

    /// `require_home_directory`: mail for somebody whose home isn't mounted waits.
    fn homeless(&self, part: &Part) -> Option<Reason> {
        let (Action::Mailbox(account) | Action::MailboxCommand(account, _)) = &part.action else {
            return None;
        };
        if !self.routing.targets.local().requires_home() {
            return None;
        }
        let error = std::fs::metadata(&account.home).err()?;
        // What is hidden from us is there.
        let is_gone = error.kind() != std::io::ErrorKind::PermissionDenied;
        let text = format!("cannot access home directory {}: {}", account.home, strerror(&error));
        is_gone.then(|| Reason::new(Dsn::new(4, 3, 0), text))
    }

    fn act(&self, part: &Part, recipient: &Recipient) -> Delivered {
        let refused = |reason| Delivered::not("local", reason);
        if let Some(reason) = self.homeless(part) {
            return refused(reason);
        }
        let (act, kind) = match &part.action {
            Action::Mailbox(account) => {
                if let Some(root) = self.routing.targets.mailbox_root() {
                    return self.put_below_root(recipient, &root.join(&account.name));
                }
                (LocalAct::Mailbox, "file")
            }
            Action::MailboxCommand(_, command) => (LocalAct::MailboxCommand(command.clone()), "command"),
            Action::Command(command) => (LocalAct::Command(command.clone()), "command"),
            Action::File(path) => (LocalAct::File(path.clone()), "file"),
            Action::Refuse(dsn, text) => return refused(Reason::new(*dsn, text.clone())),
            Action::Discard | Action::Forward { .. } | Action::Pass { .. } | Action::Found(_) => {
                return Delivered::sent("local", "discarded");
            }
        };
        let sender = part.owner.clone().unwrap_or_else(|| self.entry.sender_for(self.recipient));
        let now = clock::now().wall;
        let zone = clock::zone(now);
        let request = LocalRequest {
            recipient: part.recipient.as_str().to_owned(),
            chain: part.chain.clone(),
            act,
            from_line: mail::delivered::from_line(&sender, now, &zone).into_bytes(),
            head: self.top_lines(&sender, (part, recipient), kind),
            environment: self.environment(part, recipient),
            length: 0,
        };
        match self.agents.local_with_content((self.number, self.entry), &self.routing.agency, request) {
            Ok(Answer::Done) => Delivered::sent("local", "delivered"),
            Ok(Answer::Said(text)) => Delivered::sent("local", self.warned(&text)),
            Ok(Answer::Temporary(text)) => {
                refused(super::agent::reason(self.warned(&text), Dsn::new(4, 3, 0)))
            }
            Ok(Answer::Permanent(text)) => {
                refused(super::agent::reason(self.warned(&text), Dsn::new(5, 3, 0)))
            }
            Err(text) => refused(Reason::new(Dsn::new(4, 3, 0), text)),
        }
    }

    /// The first line; the others are warnings.
    fn warned<'t>(&self, text: &'t str) -> &'t str {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        rest.lines().for_each(|warning| self.warn(warning));
        first
    }

    fn put_below_root(&self, recipient: &Recipient, path: &std::path::Path) -> Delivered {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.is_empty() || name.starts_with('.') || path.components().count() < 2 {
            let text = format!("unknown user: \"{name}\"");
            return Delivered::not("local", Reason::new(Dsn::new(5, 1, 1), text));
        }
        match self.agents.put_into_own_maildir(
            (self.number, self.entry),
            recipient,
            path,
            &self.routing.targets,
        ) {
            Ok(()) => Delivered::sent("local", "delivered to maildir"),
            Err(reason) => Delivered::not("local", reason),
        }
    }

    fn top_lines(&self, sender: &Address, (part, recipient): (&Part, &Recipient), kind: &str) -> Vec<u8> {
        let targets = &self.routing.targets;
        // Postfix forgets it where a list's owner takes over.
        let original = (targets.keeps_original() && !part.is_original).then_some(&recipient.original);
        let mut lines = mail::message::return_headers(sender, original);
        if targets.prepends_delivered(kind) {
            lines.push_str(&format!("Delivered-To: {}\n", self.recipient.address));
        }
        lines.into_bytes()
    }

    fn environment(&self, part: &Part, recipient: &Recipient) -> Vec<(String, String)> {
        let local = part.recipient.local().to_lowercase();
        let (user, extension) = match self.routing.classes.split_extension(&local) {
            Some((user, extension)) => (user.to_owned(), extension.chars().skip(1).collect()),
            None => (local.clone(), String::new()),
        };
        let client = &self.entry.client;
        let sasl = client.sasl.clone().unwrap_or_default();
        let original = if part.is_original { String::new() } else { recipient.original.as_str().to_owned() };
        let all = [
            ("USER", user.clone()),
            ("LOGNAME", user),
            ("EXTENSION", extension),
            ("DOMAIN", part.recipient.domain().unwrap_or_default().to_owned()),
            ("LOCAL", local),
            ("RECIPIENT", part.recipient.as_str().to_owned()),
            ("ORIGINAL_RECIPIENT", original),
            ("SENDER", part.owner.as_ref().unwrap_or(&self.entry.sender).as_str().to_owned()),
            ("CLIENT_ADDRESS", client.address.clone()),
            ("CLIENT_HELO", client.helo.clone()),
            ("CLIENT_HOSTNAME", client.name.clone()),
            ("CLIENT_PROTOCOL", client.protocol.clone()),
            ("SASL_METHOD", sasl.0),
            ("SASL_USERNAME", sasl.1),
            ("SASL_SENDER", sasl.2),
        ];
        let given = all.into_iter().filter(|(name, value)| !value.is_empty() || *name == "SENDER");
        given.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// One new message to those whom mail goes on to from here.
    fn forward(
        &self,
        (sender, addresses): (Option<Address>, Vec<Address>),
        head: &Head,
        served: &mut Served,
        say: &dyn Fn(&Recipient, &mut Delivered),
    ) {
        let key = format!("forward {sender:?} {addresses:?}");
        if self.agents.memory.has((self.number, self.index), &key) {
            served.forwarded = true;
            return;
        }
        let mut delivered = match self.new_message((sender, addresses), head) {
            Ok(id) => {
                self.note(&key);
                served.done.insert(key);
                served.forwarded = true;
                Delivered::sent("local", &format!("forwarded as {id}"))
            }
            Err(reason) => Delivered::not("local", reason),
        };
        say(self.recipient, &mut delivered);
        served.take(&delivered.outcome, &delivered.relay_text());
    }

    fn new_message(
        &self,
        (sender, addresses): (Option<Address>, Vec<Address>),
        head: &Head,
    ) -> Result<QueueId, Reason> {
        let temporary = |text: String| Reason::new(Dsn::new(4, 3, 0), text);
        if head.hops >= self.routing.targets.hops_max() {
            return Err(Reason::new(Dsn::new(5, 4, 0), "too many hops"));
        }
        let reporting = &self.routing.reporting;
        let incoming = self.agents.spool.begin(0).map_err(|error| temporary(error.to_string()))?;
        let mut incoming = crate::counted::Counted::new(incoming);
        let now = clock::now().wall;
        let id = reporting.id(now, incoming.number());
        let date = mail::time::rfc5322(now, &clock::zone(now));
        let mut top =
            format!("Received: by {} ({})\n\tid {id}; {date}\n", reporting.hostname, reporting.mail_name);
        if self.routing.targets.prepends_delivered("forward") {
            top.push_str(&format!("Delivered-To: {}\n", self.recipient.address));
        }
        incoming.write(top.as_bytes()).map_err(|error| temporary(error.to_string()))?;
        let mut body = self.agents.spool.body(self.number).map_err(|error| temporary(error.to_string()))?;
        let mut piece = Vec::new();
        loop {
            piece.clear();
            let came = body.by_ref().take(64 * 1024).read_to_end(&mut piece);
            if came.map_err(|error| temporary(error.to_string()))? == 0 {
                break;
            }
            incoming.write(&piece).map_err(|error| temporary(error.to_string()))?;
        }
        // What is done of the old recipient's parts says nothing about the new ones.
        let mut entry = self.entry.for_one(self.recipient.clone());
        (entry.id, entry.arrival, entry.next_attempt) = (id.clone(), now, now);
        (entry.tries, entry.hold, entry.expire, entry.warned) = (0, false, false, false);
        entry.hold_reason = None;
        (entry.filter, entry.refiltered, entry.redirect) = (None, false, None);
        entry.size = incoming.size();
        entry.recipients = self.recipients(&addresses, sender.is_some())?;
        if let Some(sender) = sender {
            (entry.sender, entry.verp, entry.envelope_id) = (sender, None, None);
        }
        let line = MessageId {
            id: id.as_str().into(),
            kind: IdKind::Message,
            value: head.message_id.clone().into(),
        };
        self.log.write(&self.program("cleanup"), line);
        let (sender, done) = mpsc::sync_channel(1);
        self.agents.spool.commit(incoming.into_incoming(), entry.encode(), move |stored| {
            // Whoever waited is gone with the process.
            let _ = sender.send(stored);
        });
        match done.recv() {
            Ok(Ok(number)) => {
                self.queue.accepted(number, entry);
                Ok(id)
            }
            Ok(Err(error)) => Err(temporary(error.to_string())),
            Err(_) => Err(temporary("the spool is closed".to_owned())),
        }
    }

    /// The addresses as the queue keeps them: virtual aliases expanded.
    fn recipients(&self, addresses: &[Address], is_list: bool) -> Result<Vec<Recipient>, Reason> {
        let snapshot = self.routing.live.snapshot();
        let mut seen = HashSet::new();
        let mut recipients = Vec::with_capacity(addresses.len());
        for address in addresses {
            let found = self.routing.classes.expand_aliases(address, &*snapshot);
            let found = found.map_err(|error| super::target::lookup_failed(&error))?;
            let Expansion::Recipients(found) = found else {
                let text = format!("unreasonable virtual_alias_maps map expansion size for {address}");
                return Err(Reason::new(Dsn::new(5, 4, 6), text));
            };
            for found in found {
                if !seen.insert(found.as_str().to_lowercase()) {
                    continue;
                }
                let own = Recipient::new(found);
                recipients.push(if is_list {
                    // The list's owner hears of what becomes of it (RFC 3461 §5.2.7.1).
                    own
                } else {
                    let Recipient { original, orcpt, notify, .. } = self.recipient.clone();
                    Recipient { original, orcpt, notify, ..own }
                });
            }
        }
        Ok(recipients)
    }
}

impl Agents {
    /// Has something done for a local recipient: by the helper, or with our own rights.
    fn local(
        &self,
        agency: &crate::privileged::Agency,
        request: LocalRequest,
        content: Option<File>,
    ) -> (Answer, Option<rustix::fd::OwnedFd>) {
        match &self.helper {
            Some(helper) => {
                let request = crate::privileged::Request::Local(request);
                helper.ask(&request, content.as_ref().map(AsFd::as_fd))
            }
            None => agency.perform(&request, content),
        }
    }

    fn local_with_content(
        &self,
        (number, entry): (u64, &Entry),
        agency: &crate::privileged::Agency,
        request: LocalRequest,
    ) -> Result<Answer, String> {
        let mut body = self.spool.body(number).map_err(|error| error.to_string())?;
        let (content, length) = self.content(&mut body, entry.size).map_err(|error| error.to_string())?;
        Ok(self.local(agency, LocalRequest { length, ..request }, Some(content)).0)
    }
}
