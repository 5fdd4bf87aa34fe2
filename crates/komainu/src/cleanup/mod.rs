//! A message on its way into the queue, wherever it comes from: cleanup(8).
//!
//! The one way in for SMTP sessions, local submission and whoever else has mail: [`Message::begin`] with its sender and
//! its [`Origin`], the content in pieces, [`Message::commit_through`] with its recipients. Addresses of envelope and headers are
//! completed and rewritten, aliases expanded, blind copies added; the content goes into the spool as it comes, and only
//! headers that hold addresses wait for tables. Where headers or text are checked, `inspection` reads it first. What
//! can't be done is kept as the answer to the last piece, as with Postfix. Who may send what was decided before. ADDRESS_REWRITING_README.

mod authenticity;
mod characters;
mod draft;
mod filtering;
mod inspection;
mod opendkim;
mod postmaster;
mod produced;
mod recipients;
mod unattended;

use crate::clock;
use crate::configuration::Receiving;
use crate::counted::Counted;
use crate::deliver::QueueHandle;
use crate::facts::Answers;
use crate::live::Live;
use crate::log::Log;
use crate::session::{Service, Shared};
use events::daemon::Message as Said;
use events::queue::{IdKind, MessageId};
use events::text::printable;
use mail::header::{Header, is_continuation};
use mail::message::{Cleanup, Mark, MissingHeaders, Summary, Whose, too_many_hops};
use mail::{Address, Dsn, QueueId, Reply, Wall};
use policy::address::{AddressClasses, Rewritten, RewrittenHeader, Use};
use queue::{BodyType, Entry, Recipient};
use std::borrow::Cow;
use std::sync::Arc;
use store::{Spool, SpoolError};
use tables::{LookupError, Snapshot};

use filtering::Passed;
use inspection::{Inspection, Onward};

pub use authenticity::Whence;
pub use characters::Characters;
pub use filtering::Filtering;
pub use inspection::{Source, Wanted};
pub use policy::address::Origin;
pub use postmaster::Postmaster;

/// What all messages need.
#[derive(Clone)]
pub struct Intake {
    /// Where they are stored.
    pub spool: Spool,
    /// Who is told of them.
    pub queue: QueueHandle,
    /// Where lines go.
    pub log: Log,
    /// Tables behind sockets.
    pub answers: Arc<Answers>,
    /// The other tables.
    pub live: Arc<Live>,
    /// How addresses are rewritten.
    pub classes: Arc<AddressClasses>,
    /// cleanup's parameters.
    pub rules: Arc<Receiving>,
}

impl Intake {
    /// For the mail of an SMTP session.
    #[must_use]
    pub fn of(shared: &Shared, service: &Service) -> Intake {
        Intake {
            spool: shared.spool.clone(),
            queue: shared.queue.clone(),
            log: shared.log.clone(),
            answers: Arc::clone(&shared.answers),
            live: Arc::clone(&service.live),
            classes: Arc::clone(&service.classes),
            rules: Arc::clone(&service.listener.receiving),
        }
    }

    fn warn(&self, id: &QueueId, text: &str) {
        self.log
            .write(&format!("{}/cleanup", self.rules.syslog_name), Said::warning(format!("{id}: {text}")));
    }

    /// Looks into the tables; those behind sockets are asked until `look` is through.
    async fn looked_up<T>(&self, look: impl Fn(&Snapshot) -> Result<T, Stopped>) -> Result<T, Stopped> {
        let snapshot = self.live.snapshot();
        let look = |tables: &Snapshot| match look(tables) {
            Err((_, error @ LookupError::Unasked { .. })) => Err(error),
            found => Ok(found),
        };
        if let Ok(found) = look(&snapshot) {
            return found;
        }
        let mut snapshot = (*snapshot).clone();
        let asked = self.answers.table_servers.looked_up(&mut snapshot, look).await;
        asked.unwrap_or_else(|error| Err(("virtual_alias_maps", error)))
    }
}

/// The parameter whose table can't say, and why.
type Stopped = (&'static str, LookupError);

/// Headers' addresses wait for a table behind a socket.
#[derive(Debug)]
pub struct Asks;

/// Why a message is held: who says so, and what it says.
pub(crate) fn because(who: &str, text: &str) -> String {
    if text.is_empty() { who.to_owned() } else { format!("{who}: {text}") }
}

/// A message under reception.
pub struct Message {
    intake: Intake,
    id: QueueId,
    began: Wall,
    origin: Origin,
    sender: Address,
    /// The sender as it was given, complete.
    given: Address,
    incoming: Counted,
    /// Its recipients are what they stand for already.
    is_expanded: bool,
    /// The sender's full name, for the `From:` that is added.
    full_name: String,
    content: Option<Cleanup>,
    /// Where it comes from.
    source: Arc<Source>,
    /// Who reads the content before that, where anything is checked.
    inspection: Option<Box<Inspection>>,
    /// What waits to be written, and the headers in it that are to be rewritten.
    waiting: (Vec<u8>, Vec<Mark>),
    failed: Option<Reply>,
    sieve: Sieve,
    /// Where nobody waits for an answer, what is refused for good goes back to its sender.
    refused: Refused,
    /// Who brings it, where it is a client of SMTP and matters.
    whence: Option<Box<Whence>>,
    /// A filter's work on signatures was done here.
    does_dkim: bool,
}

/// Looks for characters that no message is to have.
#[derive(Debug, Default)]
struct Sieve {
    line: characters::Line,
    /// Where the message comes from, as a refusal is logged.
    session: String,
    /// One was found, and the rest isn't read.
    is_over: bool,
}

/// What becomes of mail that is refused for good.
#[derive(Default)]
enum Refused {
    /// Whoever brought it is told.
    #[default]
    Answered,
    /// It will go back to its sender: why, if so.
    Returned(Option<Reply>),
    /// It is the server's own: whoever composed it tries again.
    Own,
}

impl Message {
    /// Gives a message its place in the spool and its queue id. `sender` as it was given; about `size_bytes` will come,
    /// 0 where nobody knows.
    ///
    /// # Errors
    /// The answer where the spool has no place.
    pub async fn begin(
        intake: Intake,
        origin: Origin,
        sender: &Address,
        size_bytes: u64,
    ) -> Result<Message, SpoolError> {
        let incoming = Counted::new(intake.spool.begin(size_bytes)?);
        let began = clock::now().wall;
        let number = incoming.number();
        let long = intake.rules.long_queue_ids;
        let id = if long { QueueId::long(began, number) } else { QueueId::short(began, number) };
        let given = if sender.is_null() { Address::null() } else { intake.classes.rewrite(sender) };
        let given = if intake.classes.is_nobody(&given) { Address::null() } else { given };
        let mut message = Message {
            intake,
            id,
            began,
            origin,
            sender: given.clone(),
            given,
            incoming,
            is_expanded: false,
            full_name: String::new(),
            content: None,
            source: Arc::default(),
            inspection: None,
            waiting: (Vec::new(), Vec::new()),
            failed: None,
            sieve: Sieve::default(),
            refused: Refused::default(),
            whence: None,
            does_dkim: false,
        };
        message.sender = message.canonical(Use::EnvelopeSender, message.given.clone()).await;
        Ok(message)
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> &QueueId {
        &self.id
    }

    /// When it began.
    #[must_use]
    pub const fn began(&self) -> Wall {
        self.began
    }

    /// It was handed in at another time than now, by somebody of this name (empty where nobody knows), who doesn't wait
    /// for what is said of it: see [`Message::commit_or_return`].
    #[must_use]
    pub fn handed_in(mut self, at: Wall, full_name: &str) -> Message {
        self.began = at;
        full_name.clone_into(&mut self.full_name);
        self.refused = Refused::Returned(None);
        self
    }

    /// It isn't taken.
    fn refuse(&mut self, reply: Reply) {
        match &mut self.refused {
            Refused::Returned(why) if reply.is_permanent() => {
                why.get_or_insert(reply);
            }
            _ => {
                self.failed.get_or_insert(reply);
            }
        }
    }

    /// Whether its content has begun.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.content.is_some()
    }

    /// Whether its content is held against tables.
    #[must_use]
    pub const fn is_inspected(&self) -> bool {
        self.inspection.is_some()
    }

    /// Begins the content: `head` are whole lines that stand before it, `Received:` above all.
    pub fn open(&mut self, head: &[u8], source: Source) {
        let rules = &self.intake.rules;
        let rewrites = self.intake.classes.rewrites_headers(self.origin);
        let missing = (rules.always_add_missing_headers || rewrites).then(|| {
            let zone = clock::zone(self.began);
            MissingHeaders::new(&self.id, self.began, &zone, &rules.hostname, &self.sender)
                .named(&self.full_name, rules.from_format, &self.sender)
                .undisclosed(self.undisclosed())
        });
        let content = Cleanup::new(Arc::clone(&rules.cleanup), missing);
        let content = if rewrites { content.with_marks() } else { content };
        let head = match &rules.characters {
            None => Cow::Borrowed(head),
            Some(characters) => {
                self.sieve.session = source.session(&self.sender);
                Cow::Owned(characters.stripped(head))
            }
        };
        self.source = Arc::new(source);
        let source = Arc::clone(&self.source);
        let inspection = Inspection::new(&self.intake, &self.id, self.sender.to_external(), source);
        let Some(inspection) = inspection else {
            self.content = Some(content);
            // A failure comes again with the next piece.
            self.store(&head);
            return;
        };
        self.content = Some(content.with_head());
        let is_returned = matches!(self.refused, Refused::Returned(_));
        let inspection = if is_returned { inspection.read_to_the_end() } else { inspection };
        self.inspection = Some(Box::new(inspection));
        // Who must be asked is asked with the next piece.
        let _ = self.read(&head);
        if let Some(inspection) = &mut self.inspection {
            inspection.content_begins();
        }
    }

    /// The next piece of the content, where nobody must be asked; else it waits for [`Message::settle`].
    ///
    /// # Errors
    /// Where [`Message::settle`] is to be called.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), Asks> {
        let Some(characters) = self.intake.rules.characters.clone() else { return self.read(chunk) };
        if self.sieve.is_over {
            return Ok(());
        }
        let refused = self.sieve.line.look(&characters, chunk);
        let Some(refused) = refused else { return self.read(&characters.stripped(chunk)) };
        let before = chunk.get(..refused.before).unwrap_or_default();
        let read = self.read(&characters.stripped(before));
        self.refuse_line(&refused.text);
        read
    }

    /// A line has a character that no message is to have.
    fn refuse_line(&mut self, text: &[u8]) {
        self.sieve.is_over = true;
        if self.failed.is_some() {
            return;
        }
        let is_text = Header::parse(text).is_none() && !is_continuation(text);
        if let Some(content) = self.content.as_ref().filter(|content| is_text || content.is_behind_header())
            && self.inspection.is_none()
        {
            self.log_message_id(content.so_far());
        }
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        let shown = printable(text.get(..text.len().min(characters::SHOWN_BYTES)).unwrap_or_default());
        let why = "disallowed character";
        let line = format!("{}: reject: content {shown} from {}: 5.7.1 {why}", self.id, self.sieve.session);
        self.intake
            .log
            .write(&format!("{}/cleanup", self.intake.rules.syslog_name), events::Event::Other(line.into()));
        self.failed = Some(Reply::new(550, Dsn::new(5, 7, 1), why));
    }

    /// What a message without recipients in its header gets; says what is wrong with it.
    fn undisclosed(&self) -> Option<&str> {
        let text = self.intake.rules.undisclosed.as_str();
        if text.is_empty() || Header::parse(text.as_bytes()).is_some() {
            return Some(text).filter(|text| !text.is_empty());
        }
        let text = format!(
            "bad undisclosed_recipients_header header text \"{text}\" -- need \"headername: headervalue\""
        );
        let program = format!("{}/cleanup", self.intake.rules.syslog_name);
        self.intake.log.write(&program, Said::warning(text));
        None
    }

    fn read(&mut self, chunk: &[u8]) -> Result<(), Asks> {
        let (out, marks) = &mut self.waiting;
        out.reserve(chunk.len().saturating_add(512));
        let mut read = Ok(());
        if let Some(content) = &mut self.content {
            match &mut self.inspection {
                None => content.feed(chunk, out),
                Some(inspection) => {
                    let tables = self.intake.live.snapshot();
                    read = inspection.feed(chunk, &mut Onward { content, out }, &tables).map_err(|_| Asks);
                }
            }
            marks.append(&mut content.take_marks());
        }
        self.heed_refusal();
        read.and_then(|()| self.write_waiting())
    }

    /// Asks tables behind sockets about what the inspection has stopped at.
    async fn ask_checks(&mut self) {
        while let Some((part, text)) = self.inspection.as_ref().and_then(|one| one.question()) {
            let Some(checks) = self.inspection.as_ref().map(|one| one.checks()) else { return };
            let answer = self
                .intake
                .looked_up(|tables| match checks.judge(part, &text, tables) {
                    Err(stopped) if matches!(stopped.error, LookupError::Unasked { .. }) => {
                        Err(("header_checks", stopped.error))
                    }
                    answer => Ok(answer),
                })
                .await;
            let answer = answer.unwrap_or_else(|(_, error)| Err(Box::new(checks.stopped(part, error))));
            let tables = self.intake.live.snapshot();
            let (out, marks) = &mut self.waiting;
            if let (Some(inspection), Some(content)) = (&mut self.inspection, &mut self.content) {
                // Where it stops again, it is asked again.
                let _ = inspection.resume(answer, &mut Onward { content, out }, &tables);
                marks.append(&mut content.take_marks());
            }
            self.heed_refusal();
        }
    }

    /// What the inspection has against the message, once it is sure.
    fn heed_refusal(&mut self) {
        if let Some(reply) = self.inspection.as_ref().and_then(|one| one.refused()).cloned() {
            self.refuse(reply);
        }
    }

    /// Writes what waits, if tables that are here can say.
    fn write_waiting(&mut self) -> Result<(), Asks> {
        let (out, marks) = std::mem::take(&mut self.waiting);
        if marks.is_empty() {
            self.store(&out);
            // The room is used again.
            self.waiting.0 = out;
            self.waiting.0.clear();
            return Ok(());
        }
        let snapshot = self.intake.live.snapshot();
        let mut done = Rewriting::default();
        for mark in &marks {
            match self.header(&out, mark, &snapshot) {
                Err((_, LookupError::Unasked { .. })) => {
                    self.waiting = (out, marks);
                    return Err(Asks);
                }
                found => done.take(&out, mark, found),
            }
        }
        self.finish_rewriting(done, &out);
        Ok(())
    }

    /// Writes what [`Message::feed`] left waiting.
    pub async fn settle(&mut self) {
        self.ask_checks().await;
        let (out, marks) = std::mem::take(&mut self.waiting);
        let mut done = Rewriting::default();
        for mark in &marks {
            let found = self.intake.looked_up(|tables| self.header(&out, mark, tables)).await;
            done.take(&out, mark, found);
        }
        self.finish_rewriting(done, &out);
    }

    fn header(&self, out: &[u8], mark: &Mark, tables: &Snapshot) -> Result<RewrittenHeader, Stopped> {
        let text = out.get(mark.bytes.clone()).unwrap_or_default();
        let part = match mark.whose {
            Whose::Sender => Use::HeaderSender,
            Whose::Recipient => Use::HeaderRecipient,
        };
        match Header::parse(text) {
            Some(header) if self.intake.rules.skipped.mappings => {
                Ok(self.intake.classes.complete_header(&header, self.origin))
            }
            Some(header) => self.intake.classes.rewrite_header(part, &header, self.origin, tables),
            None => Ok(RewrittenHeader::default()),
        }
    }

    fn finish_rewriting(&mut self, mut done: Rewriting, out: &[u8]) {
        done.text.extend_from_slice(out.get(done.copied..).unwrap_or_default());
        for warning in done.warnings {
            self.intake.warn(&self.id, &warning);
        }
        if let Some((name, error)) = done.failed {
            self.fail_lookup(name, "header address", &error);
        }
        self.store(&done.text);
    }

    /// The next piece of the content.
    pub async fn write(&mut self, chunk: &[u8]) {
        if self.feed(chunk).is_err() {
            self.settle().await;
        }
    }

    /// Puts bytes into the spool; what goes wrong is the answer to the whole message.
    fn store(&mut self, bytes: &[u8]) {
        if self.failed.is_some() || bytes.is_empty() {
            return;
        }
        if let Err(error) = self.incoming.write(bytes) {
            self.failed = Some(self.refusal(&error));
        }
    }

    /// An entry for its envelope, to be completed and committed. Recipients as they were given.
    #[must_use]
    pub fn entry(&self, recipients: Vec<Recipient>) -> Entry {
        let filter = self.intake.rules.content_filter.clone();
        Entry { filter, ..Entry::new(self.id.clone(), self.began, self.sender.clone(), recipients) }
    }

    /// Ends the content and says what is wrong with it, or what is to become of it.
    async fn end(&mut self) -> Result<(Summary, Wanted), Reply> {
        if !self.is_open() {
            self.open(b"", Source::default());
        }
        self.ask_checks().await;
        loop {
            let (out, marks) = &mut self.waiting;
            let (Some(inspection), Some(content)) = (&mut self.inspection, &mut self.content) else { break };
            let tables = self.intake.live.snapshot();
            let ended = inspection.end(&mut Onward { content, out }, &tables);
            marks.append(&mut content.take_marks());
            if ended.is_ok() {
                break;
            }
            self.ask_checks().await;
        }
        if let Some(content) = &mut self.content {
            let (out, marks) = &mut self.waiting;
            content.end(out);
            marks.append(&mut content.take_marks());
        }
        self.settle().await;
        let summary = self.content.take().map(Cleanup::summary).unwrap_or_default();
        let wanted = match self.inspection.take() {
            Some(inspection) => inspection.conclusion().unwrap_or_else(|reply| {
                self.refuse(reply);
                Wanted::default()
            }),
            None => {
                // As cleanup, which reads no further.
                if self.failed.is_none() && !summary.loops_before_id {
                    self.log_message_id(&summary);
                }
                Wanted::default()
            }
        };
        if summary.too_many_hops {
            self.intake.warn(&self.id, "message rejected: hopcount exceeded");
            self.refuse(too_many_hops());
        }
        self.failed.take().map_or(Ok((summary, wanted)), Err)
    }

    /// The content has come and is thrown away, as somebody wants it.
    ///
    /// # Errors
    /// The answer where it wouldn't have been taken.
    pub async fn discard(mut self) -> Result<(), Reply> {
        self.end().await.map(drop)
    }

    /// Everything is there and permitted, and milters see it first, where there are any: durable, then in the queue.
    ///
    /// # Errors
    /// The answer where it isn't taken.
    pub async fn commit_through(
        mut self,
        filtering: Option<Filtering<'_>>,
        mut entry: Entry,
    ) -> Result<QueueId, Reply> {
        match self.judge(filtering, &mut entry).await? {
            Passed::Discarded => Ok(self.id),
            Passed::Kept => self.into_queue(entry).await,
        }
    }

    /// Completes the envelope, ends the content, and says what becomes of it all.
    async fn judge(&mut self, filtering: Option<Filtering<'_>>, entry: &mut Entry) -> Result<Passed, Reply> {
        // As cleanup, who hears of them first.
        let asked = std::mem::take(&mut entry.recipients);
        // Who is told of what can't be delivered is never nobody.
        let kept = if self.is_unattended() { asked.clone() } else { Vec::new() };
        entry.recipients = match self.is_expanded {
            true => asked,
            false => self.recipients(asked).await.inspect_err(|_| entry.recipients = kept)?,
        };
        let (summary, mut wanted) = self.end().await?;
        if summary.says_8bit && self.intake.rules.detects_8bit && !entry.body_type.is_eight_bit() {
            entry.body_type = BodyType::EightBitMime;
        }
        entry.has_utf8_header = summary.has_8bit_header;
        if let Refused::Returned(Some(reply)) = &self.refused {
            return Err(reply.clone());
        }
        if wanted.discard {
            return Ok(Passed::Discarded);
        }
        let redirect = wanted.redirect.take();
        self.obey(&mut wanted, entry).await?;
        if self.whence.is_some() {
            Box::pin(self.authenticate(entry)).await?;
        }
        if let Some(filtering) = filtering.filter(|_| !wanted.passes)
            && Box::pin(self.filter(filtering, entry)).await? == Passed::Discarded
        {
            return Ok(Passed::Discarded);
        }
        self.redirect(redirect, entry);
        if self.intake.rules.authenticating.signs {
            let whence = self.whence.take();
            Box::pin(self.sign_own(whence.as_deref(), entry)).await?;
        }
        Ok(Passed::Kept)
    }

    /// Durable, then the queue's.
    async fn into_queue(self, mut entry: Entry) -> Result<QueueId, Reply> {
        entry.size = self.incoming.size();
        let Message { intake, id, incoming, .. } = self;
        let (sender, done) = tokio::sync::oneshot::channel();
        intake.spool.commit(incoming.into_incoming(), entry.encode(), move |stored| {
            // A session that is gone lost its client; the message stays.
            let _ = sender.send(stored);
        });
        match done.await {
            Ok(Ok(number)) => {
                intake.queue.accepted(number, entry);
                Ok(id)
            }
            Ok(Err(error)) => Err(intake.refusal(&id, &error)),
            Err(_) => Err(intake.refusal(&id, &SpoolError::Closed)),
        }
    }

    /// cleanup's first line about a message.
    fn log_message_id(&self, summary: &Summary) {
        let program = format!("{}/cleanup", self.intake.rules.syslog_name);
        let log = |kind, value: &str| {
            let line = MessageId { id: self.id.as_str().into(), kind, value: value.into() };
            self.intake.log.write(&program, line);
        };
        if let Some(resent) = &summary.resent_message_id {
            log(IdKind::Resent, resent);
        }
        log(IdKind::Message, summary.message_id.as_deref().unwrap_or("<>"));
    }

    /// The address that takes a complete one's place. Where a table can't say, the message won't be taken.
    async fn canonical(&mut self, part: Use, address: Address) -> Address {
        if self.intake.rules.skipped.mappings {
            return address;
        }
        let classes = Arc::clone(&self.intake.classes);
        let found = self.intake.looked_up(|tables| classes.canonical(part, &address, tables)).await;
        match found {
            Ok(Rewritten { address, warnings }) => {
                warnings.iter().for_each(|text| self.intake.warn(&self.id, text));
                address
            }
            Err((name, error)) => {
                self.fail_lookup(name, &address.to_external(), &error);
                address
            }
        }
    }

    fn fail_lookup(&mut self, name: &str, what: &str, error: &LookupError) {
        let text = format!("{name} map lookup problem for {what} -- message not accepted, try again later");
        if !matches!(error, LookupError::Unasked { .. }) {
            self.intake.warn(&self.id, &error.to_string());
        }
        self.intake.warn(&self.id, &text);
        self.failed.get_or_insert_with(not_written);
    }

    fn refusal(&self, error: &SpoolError) -> Reply {
        self.intake.refusal(&self.id, error)
    }
}

impl Intake {
    /// What a client is told when the spool can't take its mail.
    #[must_use]
    pub fn refusal(&self, id: &QueueId, error: &SpoolError) -> Reply {
        if error.is_full() {
            return Reply::new(452, Dsn::new(4, 3, 1), "Insufficient system storage");
        }
        self.warn(id, &error.to_string());
        not_written()
    }
}

/// cleanup's answer where it can't do its work now.
fn not_written() -> Reply {
    Reply::new(451, Dsn::new(4, 3, 0), "Error: queue file write error")
}

/// What waits, with headers rewritten so far.
#[derive(Default)]
struct Rewriting {
    text: Vec<u8>,
    /// How much of what waits is in `text`.
    copied: usize,
    warnings: Vec<String>,
    failed: Option<Stopped>,
}

impl Rewriting {
    fn take(&mut self, out: &[u8], mark: &Mark, found: Result<RewrittenHeader, Stopped>) {
        let found = match found {
            Ok(found) => found,
            Err(stopped) => {
                self.failed.get_or_insert(stopped);
                return;
            }
        };
        self.warnings.extend(found.warnings);
        let Some(text) = found.text else { return };
        self.text.extend_from_slice(out.get(self.copied..mark.bytes.start).unwrap_or_default());
        self.text.extend_from_slice(&text);
        self.text.push(b'\n');
        self.copied = mark.bytes.end;
    }
}
