//! Whose address is it: the address classes, and what becomes of an address before a decision rests on it.
//!
//! Completes an address as trivial-rewrite does (`append_at_myorigin`, `%`, `!` …), strips the routing that
//! names this host, and says which class its domain belongs to (ADDRESS_CLASS_README) and whether the
//! recipient exists, expands virtual aliases, and finds the [`Route`]. It asks tables through [`Lookup`] and does
//! nothing else; a transport never changes a class here.
//! RFC 5321 §4.1.1.3 (source routes), §3.7 (relaying); T1.6, T2.4.

mod aliases;
mod canonical;
mod domains;
mod existence;
mod extension;
mod header;
mod lookup;
mod resolve;
mod rewriting;
mod route;
#[cfg(test)]
mod tests;

pub use aliases::Expansion;
pub use canonical::{BlindOf, Rewritten, Use};
pub use existence::{Found, Role};
pub use header::{Origin, RewrittenHeader};
pub use lookup::Lookup;
pub use route::{Route, Routes, Undeliverable, first};

use aliases::Aliases;
use canonical::Canonical;
use config::{Diagnostic, Parameters};
use domains::Domains;
use existence::RecipientMaps;
use extension::Extensions;
use mail::{Address, Dsn, Reply, address};
use resolve::Routing;
use rewriting::Rewriting;
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
    /// The domain is good, but only for a client that said `SMTPUTF8`; else as [`Unresolvable::BadSyntax`].
    NeedsSmtputf8,
}

/// An address as routing sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The class of `domain`.
    pub class: Class,
    /// The complete address, routing through ourselves taken off. Access tables are asked for its
    /// external form, folded to lower case.
    pub recipient: Address,
    /// Its domain in lower case; a literal keeps its brackets.
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

impl Existence {
    /// The refusal where the address doesn't exist; `address` as the client gave it.
    #[must_use]
    pub fn refusal(self, role: Role, address: &Address) -> Option<Reply> {
        let Existence::Unknown { table, code } = self else { return None };
        let (dsn, what) = match role {
            Role::Recipient => (Dsn::new(5, 1, 1), "Recipient"),
            Role::Sender => (Dsn::new(5, 1, 0), "Sender"),
        };
        let text = format!("<{}>: {what} address rejected: {}", address.as_str(), table.text());
        Some(Reply { code, dsn: Some(dsn.in_class_of(code)), text })
    }
}

impl Resolved {
    /// smtpd's answer where the address can't be resolved, given at `MAIL` and `RCPT` before any restriction.
    #[must_use]
    pub fn syntax_refusal(&self, role: Role, smtputf8: Utf8Domains) -> Option<Reply> {
        match (self.error?, smtputf8) {
            (Unresolvable::NeedsSmtputf8, Utf8Domains::Allowed) => None,
            _ => Some(match role {
                Role::Recipient => address::bad_recipient_syntax(),
                Role::Sender => address::bad_sender_syntax(),
            }),
        }
    }
}

/// Whether the client may name domains in UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Utf8Domains {
    /// It said `SMTPUTF8`.
    Allowed,
    /// It didn't.
    Refused,
}

/// The address classes and rewriting rules of one main.cf; immutable, compiled once.
#[derive(Clone, Debug, Default)]
pub struct AddressClasses {
    domains: Domains,
    maps: RecipientMaps,
    aliases: Aliases,
    canonical: Canonical,
    rewriting: Rewriting,
    /// `remote_header_rewrite_domain`
    remote: Option<Rewriting>,
    /// `header_address_token_limit`
    header_tokens_max: usize,
    routing: Routing,
    extensions: Extensions,
    double_bounce_sender: String,
}

impl AddressClasses {
    /// Reads the parameters that have to do with addresses.
    #[must_use]
    pub fn compile(
        parameters: &Parameters,
        catalogue: &mut Catalogue,
        sources: &dyn Sources,
    ) -> (AddressClasses, Vec<Diagnostic>) {
        let (domains, mut diagnostics) = Domains::compile(parameters, catalogue, sources);
        let (maps, found) = RecipientMaps::compile(parameters, catalogue);
        diagnostics.extend(found);
        // What is wrong with its tables was said by the recipient maps.
        let (aliases, _) = Aliases::compile(parameters, catalogue);
        let rewriting = Rewriting::compile(parameters);
        let classes = AddressClasses {
            domains,
            maps,
            aliases,
            canonical: Canonical::compile(parameters, catalogue),
            remote: rewriting.of_strangers(parameters),
            header_tokens_max: usize::try_from(parameters.number("header_address_token_limit")).unwrap_or(0),
            rewriting,
            routing: Routing::compile(parameters),
            extensions: Extensions::compile(parameters),
            double_bounce_sender: parameters.text("double_bounce_sender").value,
        };
        (classes, diagnostics)
    }

    /// Completes an address: `user` → `user@myorigin`, `user%domain` → `user@domain` …
    #[must_use]
    pub fn rewrite(&self, address: &Address) -> Address {
        self.rewriting.rewrite(address)
    }

    /// Parts `user+extension` at the first `recipient_delimiter`; the extension keeps its delimiter.
    ///
    /// Names of the mail system itself are never parted, nor `owner-list` and `list-request` at a `-` (while
    /// `owner_request_special = yes`).
    #[must_use]
    pub fn split_extension<'a>(&self, local: &'a str) -> Option<(&'a str, &'a str)> {
        self.extensions.split(local)
    }

    /// What `reject_unauth_destination` asks: final destination or relay domain, and not routed on by the
    /// sender (unless `allow_untrusted_routing`).
    #[must_use]
    pub fn is_authorized_destination(&self, resolved: &Resolved) -> bool {
        (!resolved.routed || self.routing.allow_untrusted) && resolved.class != Class::Default
    }
}
