//! The lists that sort domains into classes, and the addresses that are our own.
//!
//! `mydestination` with the literals of `inet_interfaces` and `proxy_interfaces`, `virtual_alias_domains`,
//! `virtual_mailbox_domains`, `relay_domains` (ADDRESS_CLASS_README). Only the last one may match subdomains, as
//! `parent_domain_matches_subdomains` says.

use super::{Class, Lookup};
use config::{Diagnostic, Parameters};
use mail::host;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tables::{Catalogue, DomainList, Sources};

/// The compiled lists.
#[derive(Clone, Debug, Default)]
pub(super) struct Domains {
    local: DomainList,
    virtual_alias: DomainList,
    virtual_mailbox: DomainList,
    relay: DomainList,
    own_addresses: Vec<IpAddr>,
}

impl Domains {
    pub(super) fn compile(
        parameters: &Parameters,
        catalogue: &mut Catalogue,
        sources: &dyn Sources,
    ) -> (Domains, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let parents = parameters.list("parent_domain_matches_subdomains");
        let mut list = |name: &str| {
            let parent_matches = parents.iter().any(|word| word.value == name);
            let (list, found) =
                DomainList::compile(&parameters.list(name), catalogue, sources, parent_matches);
            diagnostics.extend(found);
            list
        };
        let domains = Domains {
            local: list("mydestination"),
            virtual_alias: list("virtual_alias_domains"),
            virtual_mailbox: list("virtual_mailbox_domains"),
            relay: list("relay_domains"),
            own_addresses: own_addresses(parameters),
        };
        (domains, diagnostics)
    }

    /// Whether `domain` (lower case) is ours: listed, or the literal of an own address.
    pub(super) fn is_local<L: Lookup>(&self, domain: &str, tables: &L) -> Result<bool, L::Stop> {
        if domain.starts_with('[') {
            return Ok(
                host::parse_literal(domain).is_some_and(|address| self.own_addresses.contains(&address))
            );
        }
        Ok(self.local.contains(tables.snapshot(), domain)?)
    }

    /// The class of a domain (lower case) that is not [`Domains::is_local`].
    pub(super) fn class_of<L: Lookup>(&self, domain: &str, tables: &L) -> Result<Class, L::Stop> {
        let snapshot = tables.snapshot();
        if self.virtual_alias.contains(snapshot, domain)? {
            Ok(Class::VirtualAlias)
        } else if self.virtual_mailbox.contains(snapshot, domain)? {
            Ok(Class::VirtualMailbox)
        } else if self.relay.contains(snapshot, domain)? {
            Ok(Class::Relay)
        } else {
            Ok(Class::Default)
        }
    }
}

/// The addresses whose literals are local: those of `inet_interfaces` and `proxy_interfaces`.
fn own_addresses(parameters: &Parameters) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let words = parameters.list("inet_interfaces").into_iter().chain(parameters.list("proxy_interfaces"));
    for word in words.map(|word| word.value.to_lowercase()) {
        match word.as_str() {
            "all" => addresses.extend(parameters.host().addresses.iter().map(|interface| interface.address)),
            "loopback-only" | "localhost" => {}
            literal => addresses.extend(host::parse_address(literal.trim_matches(['[', ']']))),
        }
    }
    // Loopback is ours also where the machine's list lacks it.
    addresses.extend([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    addresses
}
