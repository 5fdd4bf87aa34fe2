//! Recipients that the policy permits and that can't be had all the same: their transport is `error:` or `retry:`, no
//! table can tell it, or with `komainu_mailbox_root`, where any name is somebody, their name can't be a folder there.
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
        let own = |address: &Address| {
            if address.is_null() { Address::null() } else { classes.rewrite(address) }
        };
        let (from, to) = (own(sender), own(recipient));
        let route = match self.routes().route((&from, &to), classes, snapshot) {
            Err(error @ LookupError::Unasked { .. }) => return Err(error),
            Err(_) => return Ok(Some(unroutable(recipient))),
            Ok(route) => route,
        };
        let (code, dsn) = match route.transport.as_str() {
            "error" => (550, Dsn::new(5, 0, 0)),
            "retry" => (450, Dsn::new(4, 0, 0)),
            "local" if !self.can_be_folder(&to) => {
                let text = format!("<{}>: Recipient address rejected: User unknown", recipient.as_str());
                return Ok(Some(Reply::new(550, Dsn::new(5, 1, 1), text)));
            }
            _ => return Ok(None),
        };
        // The default for a virtual alias domain is our own way of saying that it isn't delivered to.
        let Some(nexthop) = Some(route.nexthop).filter(|nexthop| Some(nexthop.as_str()) != to.domain())
        else {
            return Ok(None);
        };
        let (dsn, text) = match Dsn::parse_prefix(&nexthop) {
            Some((named, text)) => (named.in_class_of(code), text.trim_start().to_owned()),
            None => (dsn, nexthop),
        };
        let rejected = format!("<{}>: Recipient address rejected: {text}", recipient.as_str());
        Ok(Some(Reply::new(code, dsn, rejected)))
    }
}

/// Nobody can say now where mail to `recipient` goes: the client tries again, as with Postfix.
#[must_use]
pub fn unroutable(recipient: &Address) -> Reply {
    Reply::new(451, Dsn::new(4, 3, 0), format!("<{}>: Temporary lookup failure", recipient.as_str()))
}
