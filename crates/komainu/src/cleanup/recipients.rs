//! A message's recipients as the queue gets them: complete, canonical, with blind copies, aliases expanded, none twice.
//!
//! `original` stays what was asked for (`orig_to=`, `X-Original-To:`). RFC 3461 §5.2.7 (aliases), §5.2.7.3.

use super::{Message, Refused, Wanted, not_written};
use mail::{Address, Dsn, Reply};
use policy::address::{BlindOf, Expansion, Use};
use queue::entry::{NOTIFY_NEVER, NOTIFY_SUCCESS};
use queue::{Entry, How, Reason, Recipient, Status};
use std::collections::HashSet;
use std::sync::Arc;

/// As whom an address was asked for: the address, ORCPT, NOTIFY.
type Asked = (String, Option<String>, u8);

/// Recipients so far.
#[derive(Default)]
struct Known {
    recipients: Vec<Recipient>,
    keys: HashSet<(String, Option<Asked>)>,
    /// `enable_original_recipient`: the same mailbox under two names is served twice.
    keeps_original: bool,
}

impl Known {
    fn add(&mut self, recipient: Recipient) {
        let lower = |address: &Address| address.as_str().to_ascii_lowercase();
        let asked = self
            .keeps_original
            .then(|| (lower(&recipient.original), recipient.orcpt.clone(), recipient.notify));
        if !recipient.status.is_open() || self.keys.insert((lower(&recipient.address), asked)) {
            self.recipients.push(recipient);
        }
    }
}

impl Message {
    /// The recipients that those who were asked for stand for.
    pub(super) async fn recipients(&mut self, asked: Vec<Recipient>) -> Result<Vec<Recipient>, Reply> {
        let classes = Arc::clone(&self.intake.classes);
        let keeps_original = self.intake.rules.keeps_original;
        let mut known = Known { keeps_original, ..Known::default() };
        if self.intake.rules.skipped.mappings {
            for recipient in asked {
                let complete = classes.rewrite(&recipient.address);
                self.expand(recipient, complete, &mut known).await?;
            }
            return self.failed.take().map_or(Ok(known.recipients), Err);
        }
        // As with Postfix, what the server itself has to say isn't copied.
        let is_copied = !matches!(self.refused, Refused::Own);
        let mut copies = Vec::new();
        if is_copied {
            copies.push(self.blind_copy(BlindOf::Everything).await);
        }
        if is_copied && !self.given.is_null() {
            let sender = self.sender.clone();
            copies.push(self.blind_copy(BlindOf::Sender(&sender)).await);
        }
        for recipient in asked {
            let complete = classes.rewrite(&recipient.address);
            let canonical = self.canonical(Use::EnvelopeRecipient, complete).await;
            if is_copied {
                copies.push(self.blind_copy(BlindOf::Recipient(&canonical)).await);
            }
            self.expand(named(recipient, &canonical), canonical, &mut known).await?;
        }
        for address in copies.into_iter().flatten() {
            let copy = Recipient { notify: NOTIFY_NEVER, ..Recipient::new(address.clone()) };
            self.expand(copy, address, &mut known).await?;
        }
        self.failed.take().map_or(Ok(known.recipients), Err)
    }

    /// What header_checks and body_checks want done with the whole message, but for REDIRECT.
    pub(super) async fn obey(&mut self, wanted: &mut Wanted, entry: &mut Entry) -> Result<(), Reply> {
        if let Some(reason) = wanted.hold.take() {
            entry.put_on_hold(reason);
        }
        if wanted.filter.is_some() {
            entry.filter = wanted.filter.take();
        }
        let mut known = Known { keeps_original: self.intake.rules.keeps_original, ..Known::default() };
        if wanted.copies.is_empty() {
            return Ok(());
        }
        std::mem::take(&mut entry.recipients).into_iter().for_each(|one| known.add(one));
        for copy in std::mem::take(&mut wanted.copies) {
            let address = self.intake.classes.rewrite(&Address::from_internal(copy));
            let copy = Recipient { notify: NOTIFY_NEVER, ..Recipient::new(address.clone()) };
            self.expand(copy, address, &mut known).await?;
        }
        entry.recipients = known.recipients;
        Ok(())
    }

    /// REDIRECT: one recipient in place of all.
    pub(super) fn redirect(&self, to: Option<String>, entry: &mut Entry) {
        let Some(to) = to else { return };
        let address = self.intake.classes.rewrite(&Address::from_internal(to));
        let first = entry.recipients.first();
        let original = first.map_or_else(|| address.clone(), |first| first.original.clone());
        entry.recipients = vec![Recipient { original, ..Recipient::new(address.clone()) }];
        entry.redirect = Some(address);
    }

    /// Those who are known, and whoever those stand for whom somebody adds.
    pub(super) async fn more_recipients(
        &mut self,
        already: Vec<Recipient>,
        asked: Vec<Recipient>,
    ) -> Result<Vec<Recipient>, Reply> {
        let classes = Arc::clone(&self.intake.classes);
        let keeps_original = self.intake.rules.keeps_original;
        let mut known = Known { keeps_original, ..Known::default() };
        already.into_iter().for_each(|recipient| known.add(recipient));
        for recipient in asked {
            let complete = classes.rewrite(&recipient.address);
            let canonical = self.canonical(Use::EnvelopeRecipient, complete).await;
            self.expand(recipient, canonical, &mut known).await?;
        }
        self.failed.take().map_or(Ok(known.recipients), Err)
    }

    /// Who gets a blind copy for somebody.
    async fn blind_copy(&mut self, of: BlindOf<'_>) -> Option<Address> {
        let classes = Arc::clone(&self.intake.classes);
        let found = self.intake.looked_up(|tables| classes.blind_copy(of, tables)).await;
        match found {
            Ok(found) => {
                let found = found?;
                found.warnings.iter().for_each(|text| self.intake.warn(&self.id, text));
                Some(found.address)
            }
            Err((name, error)) => {
                let of = match of {
                    BlindOf::Everything => String::new(),
                    BlindOf::Sender(address) | BlindOf::Recipient(address) => address.to_external(),
                };
                self.fail_lookup(name, &of, &error);
                None
            }
        }
    }

    /// Adds whoever `address` stands for by `virtual_alias_maps`, as `recipient` asked.
    async fn expand(
        &mut self,
        recipient: Recipient,
        address: Address,
        known: &mut Known,
    ) -> Result<(), Reply> {
        let classes = Arc::clone(&self.intake.classes);
        let maps = !self.intake.rules.skipped.mappings;
        let expansion = self
            .intake
            .looked_up(|tables| {
                if !maps {
                    return Ok(Expansion::Recipients(vec![address.clone()]));
                }
                classes.expand_aliases(&address, tables).map_err(|error| ("virtual_alias_maps", error))
            })
            .await;
        let addresses = match expansion {
            Ok(Expansion::Recipients(addresses)) => addresses,
            Ok(Expansion::Unbounded(text)) => {
                let text = format!("{text} -- message not accepted, try again later");
                self.intake.warn(&self.id, &text);
                return Err(Reply::new(451, Dsn::new(4, 6, 0), "Alias expansion error"));
            }
            Ok(Expansion::Nobody(text)) => {
                self.intake.warn(&self.id, &text);
                let text = address.to_external();
                let text = format!(
                    "virtual_alias_maps map lookup problem for {text} -- message not accepted, try again later"
                );
                self.intake.warn(&self.id, &text);
                return Err(not_written());
            }
            Err((name, error)) => {
                self.fail_lookup(name, &address.to_external(), &error);
                return Err(self.failed.take().unwrap_or_else(not_written));
            }
        };
        let recipient = match addresses.as_slice() {
            [one] if *one == address => recipient,
            _ => replaced(recipient, address, known),
        };
        for address in addresses {
            let routed = self.intake.looked_up(|tables| {
                classes.routed(&address, tables).map_err(|error| ("mydestination", error))
            });
            // Who can't say now says it at delivery.
            let address = routed.await.unwrap_or(address);
            known.add(Recipient { address, ..recipient.clone() });
        }
        Ok(())
    }
}

/// RFC 3461 §5.2.1: whom a report is about is the recipient as it is complete, where the client named nobody.
fn named(mut recipient: Recipient, canonical: &Address) -> Recipient {
    if recipient.orcpt.is_none() && *canonical != recipient.original && canonical.as_str().is_ascii() {
        recipient.orcpt = Some(format!("rfc822;{}", canonical.to_external()));
    }
    recipient
}

/// An alias took a recipient's place: who asked to hear of success hears of that, and no more of success (RFC 3461
/// §5.2.7.3). Gives what those have in common that take its place.
fn replaced(recipient: Recipient, address: Address, known: &mut Known) -> Recipient {
    let mut common = recipient.clone();
    if recipient.notify & NOTIFY_SUCCESS != 0 {
        let reason = Reason::new(Dsn::new(2, 0, 0), "alias expanded");
        let status = Status::Confirmed(How::Expanded, reason);
        let notify = NOTIFY_SUCCESS;
        known.add(Recipient { address, notify, status, ..recipient });
        common.notify &= !NOTIFY_SUCCESS;
        if common.notify == 0 {
            common.notify = NOTIFY_NEVER;
        }
    }
    common
}
