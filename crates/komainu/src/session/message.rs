//! A message under reception: from the first accepted recipient to its place in the spool.
//!
//! The content goes through cleanup into the spool as it comes; the client's 250 waits for the flush. A
//! message that isn't committed leaves nothing behind.

use super::Session;
use crate::clock;
use mail::message::{Cleanup, Summary, too_many_hops};
use mail::{Address, Dsn, QueueId, Reply, Wall};
use policy::MailEffect;
use policy::address::Expansion;
use proto::smtp::{Body, MailRequest, Notify, Ret};
use queue::entry::{NOTIFY_NEVER, NOTIFY_SUCCESS};
use queue::{BodyType, Client, Entry, How, Reason, Recipient, ReturnContent, Status};
use store::{Incoming, SpoolError};

/// A message that has a queue id.
pub(super) struct Reception {
    id: QueueId,
    began: Wall,
    incoming: Incoming,
    content: Option<Cleanup>,
    failed: Option<Reply>,
}

impl Session {
    /// Gives the message its queue id, where it has none: at the first accepted recipient.
    pub(super) async fn begin(&mut self) -> Result<(), Reply> {
        if self.reception.is_some() {
            return Ok(());
        }
        self.rewrite_client = self.is_rewrite_client().await;
        let incoming =
            self.shared.spool.begin(self.tx.declared_size).map_err(|error| self.refusal(&error))?;
        let now = clock::now().wall;
        let number = incoming.number();
        let long = self.service.listener.receiving.long_queue_ids;
        let id = if long { QueueId::long(now, number) } else { QueueId::short(now, number) };
        self.log_received(id.as_str());
        self.tx.queue_id = Some(id.clone());
        self.reception = Some(Box::new(Reception { id, began: now, incoming, content: None, failed: None }));
        Ok(())
    }

    /// One piece of the content.
    pub(super) fn receive(&mut self, chunk: &[u8]) {
        if self.reception.is_none() {
            return;
        }
        self.open_content();
        let Some(reception) = self.reception.as_deref_mut() else { return };
        let mut out = Vec::with_capacity(chunk.len().saturating_add(512));
        if let Some(content) = &mut reception.content {
            content.feed(chunk, &mut out);
        }
        let failed = reception.write(&out).err();
        if let Some(error) = failed {
            let reply = self.refusal(&error);
            if let Some(reception) = self.reception.as_deref_mut() {
                reception.failed.get_or_insert(reply);
            }
        }
    }

    /// The headers that come before the client's own: PREPEND's, then our `Received:`.
    fn open_content(&mut self) {
        let Some((id, began)) =
            self.reception.as_deref().map(|reception| (reception.id.clone(), reception.began))
        else {
            return;
        };
        let received = self.received_header(&id, began);
        let cleanup = self.cleanup(&id, began);
        let prepended: Vec<String> = self
            .effects
            .iter()
            .filter_map(|effect| match effect {
                MailEffect::Prepend(header) => Some(header.clone()),
                _ => None,
            })
            .collect();
        let Some(reception) = self.reception.as_deref_mut() else { return };
        if reception.content.is_some() {
            return;
        }
        let mut head = Vec::new();
        for header in prepended {
            head.extend_from_slice(header.as_bytes());
            head.push(b'\n');
        }
        head.extend_from_slice(received.as_bytes());
        reception.content = Some(cleanup);
        // A failure comes again with the next piece.
        let _ = reception.write(&head);
    }

    /// Everything is there and permitted: durable, then acknowledged.
    pub(super) async fn commit(&mut self) -> Result<String, Reply> {
        self.open_content();
        let effects = self.take_effects();
        let (Some(reception), Some(envelope)) = (self.reception.take(), self.server.envelope()) else {
            return Err(Reply::new(451, Dsn::new(4, 3, 0), "Error: queue file write error"));
        };
        let Reception { id, began, mut incoming, content, failed } = *reception;
        if let Some(reply) = failed {
            return Err(reply);
        }
        let mut out = Vec::new();
        let summary: Summary = content.map(|content| content.finish(&mut out)).unwrap_or_default();
        incoming.write(&out).map_err(|error| self.refusal(&error))?;
        self.log_message_id(&id, &summary);
        if summary.too_many_hops {
            return Err(too_many_hops());
        }
        let recipients = envelope.recipients.iter().map(recipient).collect();
        let mut entry = Entry::new(id.clone(), began, self.rewritten(&envelope.mail.sender), recipients);
        describe(&mut entry, &envelope.mail, self.client());
        entry.size = incoming.size();
        if !apply(&mut entry, effects) {
            // DISCARD: acknowledged and thrown away.
            return Ok(id.as_str().to_owned());
        }
        entry.recipients = self.expanded(&entry.recipients).await?;
        let (sender, done) = tokio::sync::oneshot::channel();
        self.shared.spool.commit(incoming, entry.encode(), move |stored| {
            // A session that is gone lost its client; the message stays.
            let _ = sender.send(stored);
        });
        match done.await {
            Ok(Ok(number)) => {
                self.shared.queue.accepted(number, entry);
                Ok(id.as_str().to_owned())
            }
            Ok(Err(error)) => Err(self.refusal(&error)),
            Err(_) => Err(self.refusal(&SpoolError::Closed)),
        }
    }

    /// The recipients that the client's stand for: complete, virtual aliases expanded, each address once.
    async fn expanded(&mut self, asked: &[Recipient]) -> Result<Vec<Recipient>, Reply> {
        let busy = || Reply::new(451, Dsn::new(4, 3, 0), "Error: queue file write error");
        let mut recipients: Vec<Recipient> = Vec::with_capacity(asked.len());
        for recipient in asked {
            let complete = self.rewritten(&recipient.address);
            let address = complete.clone();
            let expansion = self.looked_up(move |session| {
                session.service.classes.expand_aliases(&address, &**session.facts.snapshot())
            });
            let expansion = expansion.await;
            // One recipient's answers are no longer needed for the next.
            self.facts.forget_lookups();
            let addresses = match expansion {
                Ok(Expansion::Recipients(addresses)) => addresses,
                Ok(Expansion::Unbounded) => {
                    self.warn(&format!("unreasonable virtual_alias_maps map expansion size for {complete}"));
                    return Err(busy());
                }
                Err(error) => {
                    self.warn(&error.to_string());
                    return Err(busy());
                }
            };
            let recipient = match addresses.as_slice() {
                [one] if *one == complete => recipient.clone(),
                _ => replaced(recipient, complete, &mut recipients),
            };
            for address in addresses {
                if !recipients.iter().any(|known| known.status.is_open() && known.address == address) {
                    recipients.push(Recipient { address, ..recipient.clone() });
                }
            }
        }
        Ok(recipients)
    }

    /// The message is given up.
    pub(super) fn abort(&mut self) {
        self.reception = None;
        self.effects.clear();
        let tx = &mut self.tx;
        (tx.queue_id, tx.sender, tx.recipient) = (None, None, None);
        (tx.recipient_count, tx.recipient_ordinal, tx.message_size) = (0, 0, None);
        if let Some(carried) = &mut tx.carried {
            carried.sender = None;
        }
    }

    /// What the client is told when the spool can't take its mail.
    fn refusal(&self, error: &SpoolError) -> Reply {
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

impl Reception {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        if self.failed.is_some() || bytes.is_empty() {
            return Ok(());
        }
        self.incoming.write(bytes)
    }
}

/// An alias took a recipient's place: who asked to hear of success hears of that, and no more of success (RFC 3461
/// §5.2.7.3). Gives what those have in common that take its place.
fn replaced(recipient: &Recipient, complete: Address, all: &mut Vec<Recipient>) -> Recipient {
    let mut common = recipient.clone();
    if recipient.notify & NOTIFY_SUCCESS != 0 {
        let reason = Reason::new(Dsn::new(2, 0, 0), "alias expanded");
        let status = Status::Confirmed(How::Expanded, reason);
        let notify = NOTIFY_SUCCESS;
        all.push(Recipient { address: complete, notify, status, ..recipient.clone() });
        common.notify &= !NOTIFY_SUCCESS;
        if common.notify == 0 {
            common.notify = NOTIFY_NEVER;
        }
    }
    common
}

fn recipient(from: &proto::smtp::Recipient) -> Recipient {
    let mut recipient = Recipient::new(from.address.clone());
    recipient.orcpt.clone_from(&from.orcpt);
    recipient.notify = notify(from.notify);
    recipient
}

fn notify(notify: Notify) -> u8 {
    use queue::entry::{NOTIFY_DELAY, NOTIFY_FAILURE};
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
        Body::Unstated | Body::SevenBit => BodyType::SevenBit,
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
            MailEffect::Hold(_) => entry.hold = true,
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
