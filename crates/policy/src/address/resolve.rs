//! Resolving: which address routing means, and whose it is (trivial-rewrite(8), "resolve").
//!
//! Routing through ourselves is taken off (`user%other@us`, `other!user@us`, `"user@other"@us`), again and again,
//! so that no spelling hides where the mail would go: this is what stands between `reject_unauth_destination` and
//! an open relay. An address that asks somebody else to route is marked as such. T1.6.

use super::{AddressClasses, Class, Lookup, Resolved, Unresolvable};
use config::Parameters;
use mail::{Address, host};

/// How many times an address is routed through ourselves before it counts as bad. Each time makes it shorter.
const HOPS_MAX: usize = 100;

/// The parameters that decide what counts as routing.
#[derive(Clone, Debug, Default)]
pub(super) struct Routing {
    pub(super) allow_untrusted: bool,
    dequoted: bool,
    null_domain: bool,
    numeric_domain: bool,
    allow_min_user: bool,
    empty_recipient: String,
    myhostname: String,
}

impl Routing {
    pub(super) fn compile(parameters: &Parameters) -> Routing {
        Routing {
            allow_untrusted: parameters.flag("allow_untrusted_routing"),
            dequoted: parameters.flag("resolve_dequoted_address"),
            null_domain: parameters.flag("resolve_null_domain"),
            numeric_domain: parameters.flag("resolve_numeric_domain"),
            allow_min_user: parameters.flag("allow_min_user"),
            empty_recipient: parameters.text("empty_address_recipient").value,
            myhostname: parameters.text("myhostname").value,
        }
    }
}

impl AddressClasses {
    /// Class and routing of `address` (in internal form, as the client gave it).
    ///
    /// # Errors
    /// What the tables answer with when they can't.
    pub fn resolve<L: Lookup>(&self, address: &Address, tables: &L) -> Result<Resolved, L::Stop> {
        let mut current = self.completed(address);
        let mut is_ours = false;
        for _ in 0..HOPS_MAX {
            current = self.with_literal(current);
            let domain = current.domain().unwrap_or("").to_lowercase();
            is_ours = domain.is_empty() || self.domains.is_local(&domain, tables)?;
            if !is_ours || !self.is_undone(current.local()) {
                break;
            }
            current = self.completed(&Address::from_internal(current.local()));
        }
        let mut resolved = if is_ours { self.ours(current) } else { self.foreign(current, tables)? };
        if self.is_option(&resolved.recipient) {
            resolved.error = Some(Unresolvable::BadSyntax);
        }
        Ok(resolved)
    }

    /// Whether a program could take the address for an option: `allow_min_user`.
    #[must_use]
    pub fn is_option(&self, address: &Address) -> bool {
        address.as_str().starts_with('-') && !self.routing.allow_min_user
    }

    /// Whether it is so, or has an empty domain that stands for nothing (`resolve_null_domain`).
    #[must_use]
    pub fn is_bad(&self, address: &Address) -> bool {
        self.is_option(address) || (address.as_str().ends_with('@') && !self.routing.null_domain)
    }

    /// The address that mail is sent to: routing through ourselves taken off (`user%other@us` is `user@other`), where it
    /// can be resolved.
    ///
    /// # Errors
    /// What the tables answer with when they can't.
    pub fn routed<L: Lookup>(&self, address: &Address, tables: &L) -> Result<Address, L::Stop> {
        let numeric = self.routing.numeric_domain
            && address.domain().is_some_and(|domain| host::parse_ipv4(domain).is_some());
        if !numeric && !is_routing(address.local()) {
            return Ok(address.clone());
        }
        let resolved = self.resolve(address, tables)?;
        Ok(if resolved.error.is_none() { resolved.recipient } else { address.clone() })
    }

    /// The complete address; for nobody, `empty_address_recipient`.
    fn completed(&self, address: &Address) -> Address {
        let complete = self.rewrite(address);
        if !complete.is_null() {
            return complete;
        }
        self.rewrite(&Address::from_internal(self.routing.empty_recipient.as_str()))
    }

    /// Whether a local part names another destination that the rewriting rules undo.
    fn is_undone(&self, local: &str) -> bool {
        let has_site = (self.rewriting.percent_hack && local.contains('%'))
            || (self.rewriting.swap_bangpath && local.contains('!'));
        if self.routing.dequoted {
            return has_site || local.contains('@');
        }
        // What had to be quoted, an `@` above all, is nobody's routing.
        has_site && !Address::from_internal(format!("{local}@")).to_external().starts_with('"')
    }

    /// `resolve_numeric_domain`: `user@192.0.2.1` is `user@[192.0.2.1]`.
    fn with_literal(&self, address: Address) -> Address {
        match address.domain() {
            Some(domain) if self.routing.numeric_domain && host::parse_ipv4(domain).is_some() => {
                Address::from_internal(format!("{}@[{domain}]", address.local()))
            }
            _ => address,
        }
    }

    fn ours(&self, address: Address) -> Resolved {
        let named = address.domain().filter(|domain| !domain.is_empty());
        let bad_null = named.is_none() && address.as_str().ends_with('@') && !self.routing.null_domain;
        let domain = named.unwrap_or(&self.routing.myhostname);
        let local = if address.local().is_empty() { &self.routing.empty_recipient } else { address.local() };
        Resolved {
            class: Class::Local,
            recipient: Address::from_internal(format!("{local}@{domain}")),
            domain: domain.to_lowercase(),
            routed: is_routing(local),
            error: bad_null.then_some(Unresolvable::BadSyntax),
        }
    }

    fn foreign<L: Lookup>(&self, recipient: Address, tables: &L) -> Result<Resolved, L::Stop> {
        let domain = recipient.domain().unwrap_or("").to_lowercase();
        Ok(Resolved {
            class: self.domains.class_of(&domain, tables)?,
            routed: is_routing(recipient.local()),
            error: domain_error(&domain),
            recipient,
            domain,
        })
    }
}

/// What is wrong with a domain.
fn domain_error(domain: &str) -> Option<Unresolvable> {
    let is_good = if domain.starts_with('[') {
        host::parse_literal(domain).is_some()
    } else if domain.is_ascii() {
        host::is_hostname(domain)
    } else {
        return Some(if host::is_utf8_hostname(domain) {
            Unresolvable::NeedsSmtputf8
        } else {
            Unresolvable::BadSyntax
        });
    };
    (!is_good).then_some(Unresolvable::BadSyntax)
}

/// Whether a local part asks for routing, also where the rules that would undo it are off: then the next host
/// might follow it, so it is never ours to accept.
fn is_routing(local: &str) -> bool {
    local.contains(['@', '%', '!'])
}
