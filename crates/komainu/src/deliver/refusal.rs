//! Recipients that the policy permits and that can't be had all the same: with `komainu_mailbox_root`, where any name
//! is somebody, a name that can't be a folder there. What transports refuse (`error:`, `retry:`), the policy refuses
//! together with unlisted recipients, as Postfix does.
//!
//! The live session and `explain` both ask here.

use super::target::Targets;
use mail::{Address, Dsn, Reply};
use policy::address::AddressClasses;
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
}
