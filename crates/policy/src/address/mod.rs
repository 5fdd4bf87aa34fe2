//! Whose address is it: the address classes, and what becomes of an address before a decision rests on it.
//!
//! Completes an address as trivial-rewrite does (`append_at_myorigin`, `%`, `!` …), strips the routing that
//! names this host, and says which class its domain belongs to (ADDRESS_CLASS_README) and whether the
//! recipient exists. Also where the delivery agents find their targets. It asks tables through
//! [`Lookup`] and does nothing else: no alias expansion over the queue, no transport selection beyond classes.
//! RFC 5321 §4.1.1.3 (source routes), §3.7 (relaying); T1.6, T2.4.

mod lookup;

pub use lookup::Lookup;

use config::{Diagnostic, Parameters};
use mail::Address;
use tables::{Catalogue, Sources};

/// What a domain is to this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// In `mydestination`, or a literal of one of our own addresses.
    Local,
    /// In `virtual_alias_domains`.
    VirtualAlias,
    /// In `virtual_mailbox_domains`.
    VirtualMailbox,
    /// In `relay_domains`.
    Relay,
    /// Somebody else's.
    Default,
}

/// Why an address leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unresolvable {
    /// The domain is no valid host name or literal: `501 5.1.3 Bad recipient address syntax`.
    BadSyntax,
}

/// An address as routing sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The class of `domain`.
    pub class: Class,
    /// The complete address, routing through ourselves taken off. Access tables are asked for its
    /// external form, folded to lower case.
    pub recipient: Address,
    /// Its domain in lower case; the host name for a literal of our own.
    pub domain: String,
    /// Whether the local part names another destination (`user@elsewhere@here`, `user%elsewhere@here`):
    /// `reject_unauth_destination` doesn't count such an address as ours, unless `allow_untrusted_routing`.
    pub routed: bool,
    /// Set where the address can't be resolved; the other fields are then the best guess.
    pub error: Option<Unresolvable>,
}

/// Which table doesn't have the address; an existing address has none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnknownIn {
    /// `local_recipient_maps`.
    Local,
    /// `virtual_alias_maps`.
    VirtualAlias,
    /// `virtual_mailbox_maps`.
    VirtualMailbox,
    /// `relay_recipient_maps`.
    Relay,
}

/// Whether an address exists, as far as the tables tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existence {
    /// It does, or there is no table to tell.
    Exists,
    /// It doesn't.
    Unknown {
        /// Where it should have been.
        table: UnknownIn,
        /// `unknown_local_recipient_reject_code` and its like.
        code: u16,
    },
}

impl UnknownIn {
    /// What the reply says behind `Recipient address rejected: `.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            UnknownIn::Local => "User unknown in local recipient table",
            UnknownIn::VirtualAlias => "User unknown in virtual alias table",
            UnknownIn::VirtualMailbox => "User unknown in virtual mailbox table",
            UnknownIn::Relay => "User unknown in relay recipient table",
        }
    }
}

/// The address classes and rewriting rules of one main.cf; immutable, compiled once.
#[derive(Clone, Debug)]
pub struct AddressClasses {}

impl AddressClasses {
    /// Reads the parameters that have to do with addresses.
    #[must_use]
    pub fn compile(
        _parameters: &Parameters,
        _catalogue: &mut Catalogue,
        _sources: &dyn Sources,
    ) -> (AddressClasses, Vec<Diagnostic>) {
        (AddressClasses {}, Vec::new())
    }

    /// Completes an address: `user` → `user@myorigin`, `user%domain` → `user@domain` …
    #[must_use]
    pub fn rewrite(&self, address: &Address) -> Address {
        address.clone()
    }

    /// Class and routing of `address` (in internal form, as the client gave it).
    ///
    /// # Errors
    /// What the tables answer with when they can't.
    pub fn resolve<L: Lookup>(&self, address: &Address, _tables: &L) -> Result<Resolved, L::Stop> {
        let domain = address.domain().unwrap_or("").to_ascii_lowercase();
        Ok(Resolved { class: Class::Default, recipient: address.clone(), domain, routed: false, error: None })
    }

    /// Whether the mail system has `resolved`, by canonical, alias and recipient maps.
    ///
    /// # Errors
    /// What the tables answer with when they can't.
    pub fn existence<L: Lookup>(&self, _resolved: &Resolved, _tables: &L) -> Result<Existence, L::Stop> {
        Ok(Existence::Exists)
    }

    /// What `reject_unauth_destination` asks: final destination or relay domain, and not routed on.
    #[must_use]
    pub fn is_authorized_destination(&self, resolved: &Resolved) -> bool {
        !resolved.routed && resolved.class != Class::Default
    }
}
