//! Mail from programs of this machine: over the control socket or out of the maildrop, through cleanup, into the spool.
//!
//! What pickup(8) and cleanup(8) do with what `sendmail` hands in. It blocks, so it runs on threads of its own. Who may
//! submit is `serve::control`'s and [`maildrop`]'s business; here is what becomes of the message, and its lines in the
//! log. Nothing is acknowledged before the spool's flush. docs/internals/maildrop.md; T2.14.

pub(crate) mod maildrop;

use crate::cleanup::{Intake, Message, Origin, Source};
use crate::clock;
use crate::configuration::Receiving;
use crate::deliver::QueueHandle;
use crate::facts::Answers;
use crate::live::Live;
use crate::log::Log;
use crate::privileged::LocalSockets;
use config::Parameters;
use events::queue::PickedUp;
use mail::message::{RecordSize, local_received};
use mail::{Address, QueueId, Reply, Wall};
use policy::address::AddressClasses;
use proto::control::{self, Ret, Submission, To};
use queue::{BodyType, Entry, Recipient, ReturnContent, Trace};
use std::sync::{Arc, PoisonError, RwLock};
use store::{Spool, SpoolError};

/// Recipients of one message; what is beyond any use is refused before it fills the memory.
const RECIPIENTS_MAX: usize = 1_000_000;

/// What of the configuration the reception of local mail needs; replaced as a whole by a reload.
pub(crate) struct Local {
    pub(crate) receiving: Arc<Receiving>,
    pub(crate) classes: Arc<AddressClasses>,
    pub(crate) live: Arc<Live>,
    /// `empty_address_recipient`
    pub(crate) empty_recipient: String,
}

impl Local {
    pub(crate) fn new(
        p: &Parameters,
        classes: &Arc<AddressClasses>,
        live: &Arc<Live>,
        receiving: Arc<Receiving>,
    ) -> Local {
        Local {
            receiving,
            classes: Arc::clone(classes),
            live: Arc::clone(live),
            empty_recipient: p.text("empty_address_recipient").value,
        }
    }
}

/// The configuration in force.
pub(crate) type InForce = Arc<RwLock<Arc<Local>>>;

/// Where local mail is received. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pickup {
    pub(crate) spool: Spool,
    pub(crate) queue: QueueHandle,
    pub(crate) log: Log,
    pub(crate) answers: Arc<Answers>,
    pub(crate) local: InForce,
    /// Milters on sockets of the file system.
    pub(crate) sockets: LocalSockets,
    /// For tables behind sockets, and milters.
    pub(crate) runtime: tokio::runtime::Handle,
}

/// Why a message isn't taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PickupError {
    /// `message_size_limit`
    #[error("message file too big")]
    TooLarge,
    /// The spool's words.
    #[error("{0}")]
    Spool(#[from] SpoolError),
    /// cleanup's answer: later, or never.
    #[error("{0}")]
    Refused(Reply),
    /// Nobody to send it to.
    #[error("no recipients")]
    NoRecipients,
    /// More than anybody means.
    #[error("too many recipients")]
    TooManyRecipients,
}

impl PickupError {
    /// Whether another try may do better.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            PickupError::Spool(_) => true,
            PickupError::Refused(reply) => (400..500).contains(&reply.code),
            PickupError::TooLarge | PickupError::NoRecipients | PickupError::TooManyRecipients => false,
        }
    }
}

/// A message under reception.
pub(crate) struct Reception {
    runtime: tokio::runtime::Handle,
    sockets: LocalSockets,
    local: Arc<Local>,
    submission: Submission,
    recipients: Vec<Recipient>,
    message: Message,
    /// Our own `Received:`.
    head: String,
    /// The content as it was handed in.
    size: RecordSize,
}

impl Pickup {
    /// Begins a message of the account `uid`: gives it its queue id, and says so.
    ///
    /// # Errors
    /// When the spool can't take it.
    pub(crate) fn begin(
        &self,
        uid: u32,
        submission: Submission,
        arrival: Option<Wall>,
    ) -> Result<Reception, PickupError> {
        let local = Arc::clone(&self.local.read().unwrap_or_else(PoisonError::into_inner));
        let intake = Intake {
            spool: self.spool.clone(),
            queue: self.queue.clone(),
            log: self.log.clone(),
            answers: Arc::clone(&self.answers),
            live: Arc::clone(&local.live),
            classes: Arc::clone(&local.classes),
            rules: Arc::clone(&local.receiving),
        };
        let origin = if submission.is_local { Origin::Local } else { Origin::Remote };
        let given = Address::from_internal(submission.sender.as_str());
        let message = self.runtime.block_on(Message::begin(intake, origin, &given, 0))?;
        let arrival = arrival.unwrap_or_else(|| message.began());
        let message = message.handed_in(arrival, &submission.full_name);
        let (id, receiving) = (message.id().clone(), &local.receiving);
        let line = PickedUp { id: id.as_str().into(), uid, from: given.to_external().into() };
        self.log.write(&format!("{}/pickup", receiving.syslog_name), line);
        let by = (receiving.hostname.as_str(), receiving.mail_name.as_str());
        let head = local_received(by, uid, &id, arrival, &clock::zone(arrival));
        Ok(Reception {
            runtime: self.runtime.clone(),
            sockets: self.sockets.clone(),
            local,
            submission,
            recipients: Vec::new(),
            message,
            head,
            size: RecordSize::default(),
        })
    }
}

impl Reception {
    pub(crate) fn add(&mut self, recipients: Vec<To>) -> Result<(), PickupError> {
        let empty = &self.local.empty_recipient;
        self.recipients.extend(recipients.into_iter().map(|to| {
            let address = if to.address.is_empty() { empty.clone() } else { to.address };
            let mut recipient = Recipient::new(Address::from_internal(address));
            (recipient.notify, recipient.orcpt) = (to.notify, to.orcpt);
            recipient
        }));
        if self.recipients.len() > RECIPIENTS_MAX { Err(PickupError::TooManyRecipients) } else { Ok(()) }
    }

    /// A piece of the content; lines end with LF.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), PickupError> {
        self.size.feed(bytes);
        let limit = self.local.receiving.size_bytes_max;
        if limit > 0 && self.size.bytes() > limit {
            return Err(PickupError::TooLarge);
        }
        self.open();
        if self.message.feed(bytes).is_err() {
            self.runtime.block_on(self.message.settle());
        }
        Ok(())
    }

    /// Begins the content; who gets it is known by then.
    fn open(&mut self) {
        if !self.message.is_open() {
            let complete = |one: &Recipient| self.local.classes.rewrite(&one.address).to_external();
            let recipient = self.recipients.last().map(complete);
            let source = Source { client: "local".to_owned(), recipient, ..Source::default() };
            self.message.open(self.head.as_bytes(), source);
        }
    }

    /// Makes the message durable, and hands it to the queue. Blocks.
    pub(crate) fn finish(mut self) -> Result<QueueId, PickupError> {
        self.open();
        let recipients = std::mem::take(&mut self.recipients);
        if recipients.is_empty() {
            return Err(PickupError::NoRecipients);
        }
        let mut entry = self.message.entry(recipients);
        describe(&mut entry, &self.submission);
        let committed = self.message.commit_or_return(&self.sockets, entry);
        self.runtime.block_on(committed).map_err(PickupError::Refused)
    }
}

fn describe(entry: &mut Entry, submission: &Submission) {
    entry.smtputf8 = submission.smtputf8;
    entry.envelope_id.clone_from(&submission.envelope_id);
    entry.verp.clone_from(&submission.verp);
    entry.trace = submission.trace.map(|trace| match trace {
        control::Trace::Record => Trace::Record,
        control::Trace::Probe => Trace::Probe,
    });
    entry.body_type = if submission.eight_bit { BodyType::EightBitMime } else { BodyType::Unstated };
    entry.return_content = submission.ret.map(|ret| match ret {
        Ret::Full => ReturnContent::Full,
        Ret::Headers => ReturnContent::Headers,
    });
}
