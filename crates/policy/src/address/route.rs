//! Which transport takes a recipient's mail, and to whom it hands it: transport(5) and its kin.
//!
//! In this order: the transport of the address's class (`local_transport` … `default_transport`, or what
//! `sender_dependent_default_transport_maps` says), its nexthop (for other servers `sender_dependent_relayhost_maps`,
//! `relayhost`, else the recipient's domain), and `transport_maps` over both. Tables are looked into, nothing is sent.

use config::Parameters;
use mail::Address;
use policy::address::{AddressClasses, Class, Lookup, Resolved};
use queue::Route;
use tables::{Catalogue, LookupError, Snapshot, TableId};

/// What main.cf says about routes, read once.
#[derive(Debug)]
pub struct Routes {
    transports: [(Class, String); 5],
    transport_maps: Vec<TableId>,
    relayhost: String,
    sender_relayhost_maps: Vec<TableId>,
    sender_transport_maps: Vec<TableId>,
    /// `empty_address_relayhost_maps_lookup_key`, `empty_address_default_transport_maps_lookup_key`.
    null_sender_keys: [String; 2],
}

impl Routes {
    /// Reads the parameters; tables are added to `catalogue`.
    pub(super) fn compile(p: &Parameters, catalogue: &mut Catalogue) -> Routes {
        let mut tables = |name: &str| -> Vec<TableId> {
            // What is wrong with them is said when the configuration is loaded.
            p.list(name).iter().filter_map(|word| catalogue.intern(word).ok()).collect()
        };
        let text = |name: &str| p.text(name).value;
        Routes {
            transport_maps: tables("transport_maps"),
            sender_relayhost_maps: tables("sender_dependent_relayhost_maps"),
            sender_transport_maps: tables("sender_dependent_default_transport_maps"),
            relayhost: text("relayhost"),
            null_sender_keys: [
                text("empty_address_relayhost_maps_lookup_key"),
                text("empty_address_default_transport_maps_lookup_key"),
            ],
            transports: [
                (Class::Local, text("local_transport")),
                (Class::VirtualAlias, "error".to_owned()),
                (Class::VirtualMailbox, text("virtual_transport")),
                (Class::Relay, text("relay_transport")),
                (Class::Default, text("default_transport")),
            ],
        }
    }

    /// The route of mail from `sender` to `recipient`.
    ///
    /// # Errors
    /// When a table can't say, or must be asked first.
    pub fn route(
        &self,
        (sender, recipient): (&Address, &Address),
        classes: &AddressClasses,
        snapshot: &Snapshot,
    ) -> Result<Route, LookupError> {
        let resolved = classes.resolve(recipient, snapshot)?;
        let (mut transport, mut nexthop) = self.by_class(&resolved, sender, snapshot)?;
        let mapped = if self.transport_maps.is_empty() {
            None
        } else {
            first(&self.transport_maps, &recipient_keys(&resolved), snapshot)?
        };
        if let Some(mapped) = mapped {
            let (name, next) = split(&mapped);
            match (name.is_empty(), next.is_empty()) {
                // transport(5): as if there were no entry.
                (true, true) => {}
                (true, false) => nexthop = next.to_owned(),
                (false, _) => {
                    transport = name.to_owned();
                    nexthop = if next.is_empty() { resolved.domain } else { next.to_owned() };
                }
            }
        }
        Ok(Route { transport, nexthop })
    }

    fn by_class(
        &self,
        resolved: &Resolved,
        sender: &Address,
        snapshot: &Snapshot,
    ) -> Result<(String, String), LookupError> {
        let configured = self.transports.iter().find(|(class, _)| *class == resolved.class);
        let configured = configured.map_or("error", |(_, transport)| transport.as_str());
        let [relayhost_key, transport_key] = &self.null_sender_keys;
        let own = if resolved.class == Class::Default {
            by_sender(&self.sender_transport_maps, sender, transport_key, snapshot)?
        } else {
            None
        };
        let (name, nexthop) = split(own.as_deref().unwrap_or(configured));
        let name = if name.is_empty() { split(configured).0 } else { name };
        let nexthop = if !nexthop.is_empty() {
            nexthop.to_owned()
        } else if matches!(resolved.class, Class::Default | Class::Relay) {
            match by_sender(&self.sender_relayhost_maps, sender, relayhost_key, snapshot)? {
                Some(relay) => relay,
                None if !self.relayhost.is_empty() => self.relayhost.clone(),
                None => resolved.domain.clone(),
            }
        } else {
            resolved.domain.clone()
        };
        Ok((name.to_owned(), nexthop))
    }
}

/// `transport:nexthop`.
fn split(value: &str) -> (&str, &str) {
    value.split_once(':').unwrap_or((value, ""))
}

/// What the tables say about a sender: by the address, then by `@domain`. `DUNNO` ends the search.
fn by_sender(
    maps: &[TableId],
    sender: &Address,
    null_key: &str,
    snapshot: &Snapshot,
) -> Result<Option<String>, LookupError> {
    if maps.is_empty() {
        return Ok(None);
    }
    let keys = match sender.domain() {
        _ if sender.is_null() => vec![null_key.to_owned()],
        Some(domain) => vec![sender.as_str().to_owned(), format!("@{domain}")],
        None => vec![sender.as_str().to_owned()],
    };
    Ok(first(maps, &keys, snapshot)?.filter(|value| !value.eq_ignore_ascii_case("dunno")))
}

/// The first value for a whole key, the first of `keys`, for parts of it, or for any key, `*`.
pub(super) fn first(
    maps: &[TableId],
    keys: &[String],
    snapshot: &Snapshot,
) -> Result<Option<String>, LookupError> {
    for (index, key) in keys.iter().enumerate() {
        for map in maps {
            if index > 0 && key != "*" && !snapshot.table(*map).has_fixed_keys() {
                continue;
            }
            if let Some(value) = Lookup::lookup(snapshot, *map, key)? {
                return Ok(Some(value));
            }
        }
    }
    Ok(None)
}

/// transport(5): the address (whose case the tables fold, or not), its domain, the domain's parents with a dot in
/// front, `*`.
fn recipient_keys(resolved: &Resolved) -> Vec<String> {
    let mut keys = vec![resolved.recipient.as_str().to_owned(), resolved.domain.clone()];
    let mut rest = resolved.domain.as_str();
    while let Some((_, parent)) = rest.split_once('.') {
        keys.push(format!(".{parent}"));
        rest = parent;
    }
    keys.push("*".to_owned());
    keys
}
