//! Carries out what the queue wants told: composes reports, and puts them into the spool as mail of their own.
//!
//! Whom to tell is `queue::notice`'s decision, the text `mail::report`'s; here are the returned message's bytes, the
//! recipients' aliases and the commits. All reports on one message are asked for at once and share a flush; only when
//! every one is durable is the queue told so. A message whose body can't be read is reported without it.
//! RFC 3461 §6, T2.14.

use super::agent::Agents;
use super::manager::{QueueHandle, Routing};
use super::wording::{Reporting, Wording};
use crate::cleanup::{Intake, Message, Source};
use crate::clock;
use crate::configuration::Receiving;
use crate::counted::Counted;
use crate::facts::Answers;
use crate::log::Log;
use events::daemon::Message as Warning;
use events::queue::{IdKind, MessageId, Notice as Event, Notified};
use mail::report::{self, Action, HeaderEnd, Report, Returned};
use mail::{Address, QueueId, Wall};
use policy::address::Expansion;
use queue::notice::{Audience, Notice, Subject};
use queue::{BodyType, Client, Entry, How, Recipient, ReturnContent, Status, Trace};
use std::io::Read;
use std::sync::Arc;
use store::SpoolError;
use tables::Snapshot;

/// What is needed to tell of one message.
pub(super) struct Teller {
    pub(super) agents: Arc<Agents>,
    pub(super) routing: Arc<Routing>,
    pub(super) answers: Arc<Answers>,
    pub(super) log: Log,
    pub(super) queue: QueueHandle,
}

/// How much of a message is read at once.
const PIECE_BYTES: u64 = 64 * 1024;
/// How much of a message is looked through for its `Message-Id:`.
const HEADER_BYTES_MAX: u64 = 128 * 1024;

/// A report that was composed.
enum Sent {
    /// In the spool's hands.
    Waiting {
        entry: Box<Entry>,
        done: tokio::sync::oneshot::Receiver<Result<u64, SpoolError>>,
        notice: Event,
    },
    /// It went through cleanup, and is the queue's.
    Stored { id: QueueId, notice: Event },
}

impl Teller {
    /// Whether every report is durable.
    pub(super) async fn tell(self, number: u64, entry: &Arc<Entry>, notices: Vec<Notice>) -> bool {
        let mut all = true;
        let mut sent = Vec::with_capacity(notices.len());
        for notice in notices {
            match self.send(number, entry, notice).await {
                Ok(one) => sent.push(one),
                Err(text) => {
                    self.warn(&format!("{}: cannot create a report: {text}", entry.id));
                    all = false;
                    // All are tried again, in their order.
                    break;
                }
            }
        }
        let said = |notice, report: &QueueId| {
            let (id, notification) = (entry.id.as_str().into(), report.as_str().into());
            self.log.write(&self.program("bounce"), Notified { id, notice, notification });
        };
        for one in sent {
            let (report, done, notice) = match one {
                Sent::Waiting { entry, done, notice } => (entry, done, notice),
                Sent::Stored { id, notice } => {
                    said(notice, &id);
                    continue;
                }
            };
            match done.await {
                Ok(Ok(stored)) => {
                    said(notice, &report.id);
                    self.queue.accepted(stored, *report);
                }
                Ok(Err(error)) => {
                    self.warn(&format!("{}: cannot store a report: {error}", entry.id));
                    all = false;
                }
                Err(_) => all = false,
            }
        }
        all
    }

    fn program(&self, daemon: &str) -> String {
        format!("{}/{daemon}", self.routing.syslog_name)
    }

    fn warn(&self, text: &str) {
        self.log.write(&self.program("bounce"), Warning::warning(text.to_owned()));
    }

    /// Composes one report and asks the spool for it.
    async fn send(&self, number: u64, entry: &Arc<Entry>, notice: Notice) -> Result<Sent, String> {
        let reporting = &self.routing.reporting;
        let recipients = self.recipients(&notice.to).await?;
        let wording = reporting.wording(notice.subject);
        wording.warnings.iter().for_each(|warning| self.warn(warning));
        let to = self.routing.classes.rewrite(&notice.to);
        let event = event(&notice);
        let sender = match notice.audience {
            Audience::Sender => Address::null(),
            Audience::Postmaster => reporting.double_bounce.clone(),
        };
        let (agents, routing, about) =
            (Arc::clone(&self.agents), Arc::clone(&self.routing), Arc::clone(entry));
        let written = tokio::task::spawn_blocking(move || {
            Composition {
                agents: &agents,
                reporting: &routing.reporting,
                number,
                entry: &about,
                notice: &notice,
                to: &to,
            }
            .write()
        });
        let Written { incoming, id, now, message_id, warning } =
            written.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        if let Some(warning) = warning {
            self.warn(&warning);
        }
        let mut own = Entry::new(id.clone(), now, sender, recipients);
        own.size = incoming.size();
        own.smtputf8 = entry.smtputf8;
        own.body_type = match reporting.encoding(entry) {
            Some("8bit") => BodyType::EightBitMime,
            _ => BodyType::Unstated,
        };
        own.client = Client::default();
        if let Some(rules) = self.routing.watched.clone() {
            let id = self.put_through(rules, &incoming, own).await?;
            return Ok(Sent::Stored { id, notice: event });
        }
        let line = MessageId { id: id.as_str().into(), kind: IdKind::Message, value: message_id.into() };
        self.log.write(&self.program("cleanup"), line);
        let (sender, done) = tokio::sync::oneshot::channel();
        self.agents.spool.commit(incoming.into_incoming(), own.encode(), move |stored| {
            // Whoever waited is gone with the process.
            let _ = sender.send(stored);
        });
        Ok(Sent::Waiting { entry: Box::new(own), done, notice: event })
    }

    /// Has checks and milters see a report before it is stored (`internal_mail_filter_classes`).
    async fn put_through(
        &self,
        rules: Arc<Receiving>,
        composed: &Counted,
        own: Entry,
    ) -> Result<QueueId, String> {
        let said = |error: SpoolError| error.to_string();
        let Teller { agents, routing, answers, log, queue } = self;
        let intake = Intake {
            spool: agents.spool.clone(),
            queue: queue.clone(),
            log: log.clone(),
            answers: Arc::clone(answers),
            live: Arc::clone(&routing.live),
            classes: Arc::clone(&routing.classes),
            rules,
        };
        let to = own.recipients.last().map(|one| one.address.to_external());
        let message = Message::of_our_own(intake, own.id.clone(), own.arrival, &own.sender);
        let mut message = message.map_err(said)?;
        message.open(b"", Source { client: "local".to_owned(), recipient: to, ..Source::default() });
        let (mut window, mut at) = (vec![0; usize::try_from(PIECE_BYTES).unwrap_or(1 << 16)], 0);
        loop {
            let read = composed.read_at(&mut window, at).map_err(said)?;
            let Some(bytes) = window.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            message.write(bytes).await;
            at = at.saturating_add(bytes.len() as u64);
        }
        message.commit_or_return(&agents.sockets, own).await.map_err(|reply| reply.to_string())
    }

    /// The address as the queue keeps it: complete, virtual aliases expanded.
    async fn recipients(&self, to: &Address) -> Result<Vec<Recipient>, String> {
        let classes = &self.routing.classes;
        let complete = classes.rewrite(to);
        let mut snapshot = (*self.routing.live.snapshot()).clone();
        let look = |tables: &Snapshot| classes.expand_aliases(&complete, tables);
        let expansion = self.answers.table_servers.looked_up(&mut snapshot, look).await;
        let addresses = match expansion.map_err(|error| error.to_string())? {
            Expansion::Recipients(addresses) => addresses,
            Expansion::Unbounded(text) | Expansion::Nobody(text) => return Err(text),
        };
        let recipient = |address| Recipient { original: to.clone(), ..Recipient::new(address) };
        Ok(addresses.into_iter().map(recipient).collect())
    }
}

const fn event(notice: &Notice) -> Event {
    match (notice.subject, notice.audience) {
        (Subject::Failure, Audience::Sender) => Event::NonDelivery,
        (Subject::Failure, Audience::Postmaster) => Event::PostmasterNonDelivery,
        (Subject::Delay, Audience::Sender) => Event::Delay,
        (Subject::Delay, Audience::Postmaster) => Event::PostmasterDelay,
        (Subject::Success | Subject::Trace, _) => Event::Status,
    }
}

/// One report to be written.
struct Composition<'a> {
    agents: &'a Agents,
    reporting: &'a Reporting,
    number: u64,
    entry: &'a Entry,
    notice: &'a Notice,
    /// Complete.
    to: &'a Address,
}

/// A report that waits for its commit.
struct Written {
    incoming: Counted,
    id: QueueId,
    now: Wall,
    message_id: String,
    warning: Option<String>,
}

impl Composition<'_> {
    /// Blocks.
    fn write(&self) -> Result<Written, SpoolError> {
        let mut incoming = Counted::new(self.agents.spool.begin(0)?);
        let now = clock::now().wall;
        let id = self.reporting.id(now, incoming.number());
        let thread = if self.reporting.threaded { self.message_id() } else { None };
        let report = self.report(&id, now, thread.as_deref());
        incoming.write(report.head().as_bytes())?;
        let warning = self.copy(report.returned, &mut incoming)?;
        incoming.write(report.tail().as_bytes())?;
        let message_id = report.message_id();
        Ok(Written { incoming, id, now, message_id, warning })
    }

    fn report<'r>(&'r self, id: &'r QueueId, now: Wall, thread: Option<&'r str>) -> Report<'r> {
        let Composition { reporting, entry, notice, to, .. } = self;
        let Wording { from, subject, postmaster_subject, text, charset, .. } =
            reporting.wording(notice.subject);
        let is_copy = notice.audience == Audience::Postmaster;
        let recipients = notice.recipients.iter().filter_map(|index| {
            let recipient = entry.recipients.get(usize::try_from(*index).ok()?)?;
            self.recipient(recipient)
        });
        let is_trace = notice.subject == Subject::Trace;
        let whole = notice.content == ReturnContent::Full && entry.size <= reporting.content_bytes_max;
        Report {
            id,
            now,
            date: &date,
            hostname: &reporting.hostname,
            mail_name: &reporting.mail_name,
            from,
            subject: if is_copy { postmaster_subject } else { subject },
            to,
            is_copy,
            is_trace,
            thread,
            text,
            charset,
            encoding: reporting.encoding(entry),
            message: report::Message {
                id: &entry.id,
                sender: &entry.sender,
                arrival: entry.arrival,
                envelope_id: entry.envelope_id.as_deref(),
                smtputf8: entry.smtputf8,
            },
            recipients: recipients.collect(),
            returned: if whole { Returned::Message } else { Returned::Header },
        }
    }

    fn recipient<'r>(&self, recipient: &'r Recipient) -> Option<report::Recipient<'r>> {
        let is_probe = self.entry.trace == Some(Trace::Probe);
        let (action, reason) = match &recipient.status {
            Status::Confirmed(_, reason) if is_probe => (Action::Deliverable, reason),
            Status::Failed(reason) if is_probe => (Action::Undeliverable, reason),
            Status::Failed(reason) | Status::Expired(reason) => (Action::Failed, reason),
            Status::Deferred(reason) => (Action::Delayed, reason),
            Status::Confirmed(How::Delivered, reason) => (Action::Delivered, reason),
            Status::Confirmed(How::Relayed, reason) => (Action::Relayed, reason),
            Status::Confirmed(How::Expanded, reason) => (Action::Expanded, reason),
            Status::Pending | Status::Delivered | Status::Returned => return None,
        };
        let is_trace = self.notice.subject == Subject::Trace;
        let retried = action == Action::Delayed && !is_trace;
        let text = if is_trace { reason.traced().into() } else { reason.text.trim_end().into() };
        Some(report::Recipient {
            address: &recipient.address,
            original: &recipient.original,
            orcpt: recipient.orcpt.as_deref(),
            action,
            status: reason.dsn,
            text,
            remote: reason.remote.as_ref().map(|remote| (remote.name.as_str(), remote.reply.as_str())),
            retried_until: retried.then(|| self.entry.arrival + self.reporting.lifetime),
        })
    }

    /// Copies the message, or its header. What can't be read is left out and said: a report without it is better
    /// than none.
    fn copy(&self, what: Returned, to: &mut Counted) -> Result<Option<String>, SpoolError> {
        let unreadable = |error: &dyn std::fmt::Display| {
            Some(format!(
                "{}: the message cannot be read, and is reported without it: {error}",
                self.entry.id
            ))
        };
        let mut body = match self.agents.spool.body(self.number) {
            Ok(body) => body,
            Err(error) => return Ok(unreadable(&error)),
        };
        let mut end = HeaderEnd::default();
        let mut piece = Vec::new();
        loop {
            piece.clear();
            if let Err(error) = body.by_ref().take(PIECE_BYTES).read_to_end(&mut piece) {
                return Ok(unreadable(&error));
            }
            if piece.is_empty() {
                return Ok(None);
            }
            let (count, done) = match what {
                Returned::Message => (piece.len(), false),
                Returned::Header => end.feed(&piece),
            };
            to.write(piece.get(..count).unwrap_or_default())?;
            if done {
                return Ok(None);
            }
        }
    }

    /// The message's own `Message-Id:`.
    fn message_id(&self) -> Option<String> {
        let mut head = Vec::new();
        let mut body = self.agents.spool.body(self.number).ok()?;
        body.by_ref().take(HEADER_BYTES_MAX).read_to_end(&mut head).ok()?;
        let mut headers = mail::header::headers(&head);
        let id = headers.find(|header| header.is("message-id"))?.unfolded();
        (!id.is_empty()).then_some(id)
    }
}

fn date(wall: Wall) -> String {
    mail::time::rfc5322(wall, &clock::zone(wall))
}
