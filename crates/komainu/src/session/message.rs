//! A client's message: from the first accepted recipient to its place in the spool.
//!
//! The content goes through `cleanup` into the spool as it comes; the client's 250 waits for the flush. A
//! message that isn't committed leaves nothing behind.

use super::Session;
use super::milters::DISCARD;
use crate::cleanup::{Intake, Message, Origin, Source, because};
use mail::attachment::Scanner;
use mail::{Address, Dsn, Reply};
use policy::MailEffect;
use proto::smtp::{Body, MailRequest, Notify, Ret};
use queue::{BodyType, Client, Entry, Recipient, ReturnContent};
use std::sync::Arc;
use store::SpoolError;

impl Session {
    /// Gives the message its queue id, where it has none: at the first accepted recipient, or at `mail`. A filter in
    /// front of the queue hears of it instead.
    pub(super) async fn begin(&mut self, mail: Option<&MailRequest>) -> Result<(), Reply> {
        if self.reception.is_some() || self.passing.is_some() {
            return Ok(());
        }
        if let Some(filter) = self.service.listener.before_queue.as_ref().map(Arc::clone) {
            return Box::pin(self.pass_begins(filter, mail)).await;
        }
        let origin = if self.is_rewrite_client().await { Origin::Local } else { Origin::Remote };
        let intake = Intake::of(&self.shared, &self.service);
        let sender = self.tx.sender.clone().unwrap_or_default();
        let message = Message::begin(intake, origin, &sender, self.tx.declared_size).await;
        let message = message.map_err(|error| self.refusal(&error))?;
        self.log_received(message.id().as_str());
        self.tx.queue_id = Some(message.id().clone());
        self.reception = Some(Box::new(message));
        Ok(())
    }

    /// Whether the next piece of content is a message's first.
    pub(super) fn content_begins(&self) -> bool {
        match (self.passing.as_deref(), self.reception.as_deref()) {
            (Some(passing), _) => !passing.is_open(),
            (None, message) => message.is_some_and(|message| !message.is_open()),
        }
    }

    /// Whether content is held against tables or unpacked.
    pub(super) fn looks(&self) -> bool {
        self.scanner.is_some() || self.reception.as_deref().is_some_and(Message::is_inspected)
    }

    /// Takes a piece of the content in; whether it waits for [`Session::settle_content`].
    pub(super) fn take_in(&mut self, chunk: &[u8]) -> bool {
        self.scan(chunk);
        if self.passing.is_some() {
            return self.pass(chunk);
        }
        self.open_content();
        self.reception.as_deref_mut().is_some_and(|message| message.feed(chunk).is_err())
    }

    /// Looks at attachments, where a list wants to know of them.
    fn scan(&mut self, chunk: &[u8]) {
        if self.content_begins()
            && let Some(rules) = self.service.listener.lists_for(&self.tx).attachments()
        {
            self.scanner = Some(Box::new(Scanner::new(Arc::clone(rules))));
        }
        if let Some(scanner) = &mut self.scanner {
            scanner.feed(chunk);
        }
    }

    /// The message has come: what its attachments are is known.
    pub(super) fn attachments_end(&mut self) {
        self.tx.danger = self.scanner.take().and_then(|scanner| scanner.end()).map(Box::new);
    }

    /// Headers that wait for tables behind sockets.
    pub(super) async fn settle_content(&mut self) {
        if self.passing.is_some() {
            return self.pass_slowly().await;
        }
        if let Some(message) = &mut self.reception {
            message.settle().await;
        }
    }

    /// The headers that come before the client's own: PREPEND's, then our `Received:`.
    fn open_content(&mut self) {
        let Some(message) = self.reception.as_deref().filter(|message| !message.is_open()) else { return };
        let received = self.received_header(Some(message.id()), message.began());
        let mut head = Vec::new();
        for effect in &self.effects {
            if let MailEffect::Prepend(header) = effect {
                head.extend_from_slice(header.as_bytes());
                head.push(b'\n');
            }
        }
        head.extend_from_slice(received.as_bytes());
        let source = Source {
            client: self.peer().to_string(),
            protocol: Some(self.server.protocol().to_owned()),
            helo: self.tx.helo.clone(),
            recipient: self
                .server
                .envelope()
                .and_then(|envelope| envelope.recipients.last())
                .map(|one| one.address.to_external()),
            is_held: self.effects.iter().any(|effect| matches!(effect, MailEffect::Hold(..))),
        };
        if let Some(message) = &mut self.reception {
            message.open(&head, source);
        }
    }

    /// Everything is there and permitted: durable, then acknowledged.
    pub(super) async fn commit(&mut self) -> Result<String, Reply> {
        self.open_content();
        let effects = self.take_effects();
        let (Some(message), Some(envelope)) = (self.reception.take(), self.server.envelope()) else {
            return Err(Reply::new(451, Dsn::new(4, 3, 0), "Error: queue file write error"));
        };
        let mut entry = message.entry(envelope.recipients.iter().map(recipient).collect());
        describe(&mut entry, &envelope.mail, self.client());
        // As with Postfix, nobody looks any more at what a milter doesn't want.
        let unseen = effects.iter().any(|effect| *effect == MailEffect::Discard(DISCARD.to_owned()));
        if !apply(&mut entry, effects) {
            // DISCARD: acknowledged and thrown away.
            let id = message.id().as_str().to_owned();
            if unseen {
                return Ok(id);
            }
            return message.discard().await.map(|()| id);
        }
        let message = message.brought_by(self.whence().await);
        let filtering = self.filtering();
        message.commit_through(filtering, entry).await.map(|id| id.as_str().to_owned())
    }

    /// The message is given up.
    pub(super) fn abort(&mut self) {
        self.reception = None;
        self.pass_aborted();
        self.effects.clear();
        self.forget();
    }

    /// What was known of the message.
    pub(super) fn forget(&mut self) {
        self.scanner = None;
        let tx = &mut self.tx;
        tx.danger = None;
        (tx.queue_id, tx.sender, tx.recipient) = (None, None, None);
        (tx.recipient_count, tx.recipient_ordinal, tx.message_size) = (0, 0, None);
        if let Some(carried) = &mut tx.carried {
            carried.sender = None;
        }
    }

    /// What the client is told when the spool can't take its mail.
    pub(super) fn refusal(&self, error: &SpoolError) -> Reply {
        if error.is_full() {
            return Reply::new(452, Dsn::new(4, 3, 1), "Insufficient system storage");
        }
        self.warn(&error.to_string());
        Reply::new(451, Dsn::new(4, 3, 0), "Error: queue file write error")
    }

    fn client(&self) -> Client {
        let client = &self.tx.client;
        Client {
            name: client.name.clone(),
            address: client.address.to_string(),
            port: client.port,
            helo: self.tx.helo.clone().unwrap_or_default(),
            protocol: self.tx.protocol.to_owned(),
            sasl: self
                .tx
                .sasl
                .as_ref()
                .map(|sasl| (sasl.method.clone(), sasl.username.clone(), sasl.sender.clone())),
        }
    }
}

fn recipient(from: &proto::smtp::Recipient) -> Recipient {
    let mut recipient = Recipient::new(from.address.clone());
    recipient.orcpt.clone_from(&from.orcpt);
    recipient.notify = notify(from.notify);
    recipient
}

fn notify(notify: Notify) -> u8 {
    use queue::entry::{NOTIFY_DELAY, NOTIFY_FAILURE, NOTIFY_NEVER, NOTIFY_SUCCESS};
    let bits = [
        (notify.never, NOTIFY_NEVER),
        (notify.success, NOTIFY_SUCCESS),
        (notify.failure, NOTIFY_FAILURE),
        (notify.delay, NOTIFY_DELAY),
    ];
    bits.into_iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit)
}

fn describe(entry: &mut Entry, mail: &MailRequest, client: Client) {
    entry.client = client;
    entry.smtputf8 = mail.smtputf8;
    entry.envelope_id.clone_from(&mail.envid);
    entry.verp.clone_from(&mail.verp);
    entry.body_type = match mail.body {
        Body::EightBitMime => BodyType::EightBitMime,
        Body::SevenBit => BodyType::SevenBit,
        Body::Unstated => BodyType::Unstated,
    };
    entry.return_content = mail.ret.map(|ret| match ret {
        Ret::Full => ReturnContent::Full,
        Ret::Headers => ReturnContent::Headers,
    });
}

/// What access tables wanted done; false where the message is to be thrown away.
fn apply(entry: &mut Entry, effects: Vec<MailEffect>) -> bool {
    let mut keep = true;
    for effect in effects {
        match effect {
            MailEffect::Hold(text, by) => entry.put_on_hold(because(&by, &text)),
            MailEffect::Discard(_) => keep = false,
            MailEffect::Filter(filter) => entry.filter = Some(filter),
            MailEffect::Redirect(address) => entry.redirect = Some(Address::from_internal(address)),
            MailEffect::Bcc(address) => {
                entry.recipients.push(Recipient::new(Address::from_internal(address)))
            }
            MailEffect::Prepend(_) => {}
        }
    }
    if let Some(address) = &entry.redirect {
        // All recipients are replaced by the one; orig_to keeps what was asked for first.
        let original =
            entry.recipients.first().map_or_else(|| address.clone(), |first| first.original.clone());
        entry.recipients = vec![Recipient { original, ..Recipient::new(address.clone()) }];
    }
    keep
}
