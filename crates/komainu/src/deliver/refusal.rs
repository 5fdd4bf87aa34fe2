//! Recipients that the policy permits and that can't be had all the same: with `komainu_mailbox_root`, where any name
//! is somebody, a name that can't be a folder there. What transports refuse (`error:`, `retry:`), the policy refuses
//! together with unlisted recipients, as Postfix does.
//!
//! The live session and `explain` both ask here.

use super::target::Targets;
use mail::{Address, Dsn, Reply};
use policy::address::{AddressClasses, Expansion, Use};
use tables::{LookupError, Snapshot};

impl Targets {
    /// Why mail from `sender` to `recipient` is refused; `None` where it isn't.
    ///
    /// # Errors
    /// Where a table behind a socket must be asked first.
    pub fn refusal(
        &self,
        (sender, recipient): (&Address, &Address),
        classes: &AddressClasses,
        snapshot: &Snapshot,
    ) -> Result<Option<Reply>, LookupError> {
        let to = classes.rewrite(recipient);
        if self.can_be_folder(&to) {
            return Ok(None);
        }
        let from = if sender.is_null() { Address::null() } else { classes.rewrite(sender) };
        match self.routes().route((&from, &to), classes, snapshot) {
            Err(error @ LookupError::Unasked { .. }) => Err(error),
            Ok(route) if route.transport == "local" => {
                let text = format!("<{}>: Recipient address rejected: User unknown", recipient.as_str());
                Ok(Some(Reply::new(550, Dsn::new(5, 1, 1), text)))
            }
            // A table that can't say is asked again by who delivers.
            _ => Ok(None),
        }
    }

    /// Whose mailbox here, of bounded size, mail from `sender` to `recipient` is put into, and by which transport; `None`
    /// where it goes anywhere else.
    ///
    /// # Errors
    /// Where a table behind a socket must be asked first.
    pub fn bounded(
        &self,
        (sender, recipient): (&Address, &Address),
        classes: &AddressClasses,
        snapshot: &Snapshot,
    ) -> Result<Option<(String, Address)>, LookupError> {
        let to = classes.rewrite(recipient);
        let to = match classes.canonical(Use::EnvelopeRecipient, &to, snapshot) {
            Ok(found) => found.address,
            Err((_, error)) => return Err(error),
        };
        let alone = |expansion| matches!(expansion, Expansion::Recipients(all) if all == [to.clone()]);
        if !alone(classes.expand_aliases(&to, snapshot)?) {
            return Ok(None);
        }
        let from = if sender.is_null() { Address::null() } else { classes.rewrite(sender) };
        let transport = self.routes().route((&from, &to), classes, snapshot)?.transport;
        let is_bounded = match transport.as_str() {
            "local" => self.mailbox_root().is_none() && self.mailbox_limit() > 0,
            "virtual" => self.virtual_boxes().find(&to, snapshot).is_ok_and(|mailbox| {
                mailbox.quota.is_some() || (!mailbox.is_maildir() && self.virtual_limit() > 0)
            }),
            _ => false,
        };
        Ok(is_bounded.then_some((transport, to)))
    }
}
