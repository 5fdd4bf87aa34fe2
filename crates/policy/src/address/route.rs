//! Which transport takes a recipient's mail, and to whom it hands it: transport(5) and its kin.
//!
//! In this order: the transport of the address's class (`local_transport` … `default_transport`, or what
//! `sender_dependent_default_transport_maps` says), its nexthop (for other servers `sender_dependent_relayhost_maps`,
//! `relayhost`, else the recipient's domain), `transport_maps` over both, and over all of it `relocated_maps`, whose
//! users are nowhere any more. Tables are looked into, nothing is sent. Who delivers asks here, and the policy, for whom
//! `error:` and `retry:` are refusals.

use super::extension::Extensions;
use super::{AddressClasses, Class, Lookup, Resolved, UnknownIn, Unresolvable};
use config::Parameters;
use mail::Address;
use mail::destination::transport_and_nexthop;
use tables::{Catalogue, TableId};

/// The text of `error:` and `retry:` in `transport_maps` where there is nothing behind them.
const UNDELIVERABLE: &str = "Address is undeliverable";

/// Who takes a recipient's mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// A name of master.cf.
    pub transport: String,
    /// To whom it hands it; the text, for `error` and `retry`.
    pub nexthop: String,
}

/// A transport that delivers nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeliverable {
    /// 550, or 450 where it may be tried again.
    pub code: u16,
    /// Why, with an enhanced status code in front or not.
    pub text: String,
}

impl Route {
    /// Where mail to what is no address goes, or to what a program could take for its options (`allow_min_user`).
    #[must_use]
    pub fn bad_syntax() -> Route {
        Route { transport: "error".to_owned(), nexthop: "5.1.3 bad address syntax".to_owned() }
    }

    /// Whether its mail goes nowhere: `error:`, `retry:`.
    #[must_use]
    pub fn undeliverable(self) -> Option<Undeliverable> {
        let code = match self.transport.as_str() {
            "error" => 550,
            "retry" => 450,
            _ => return None,
        };
        Some(Undeliverable { code, text: self.nexthop })
    }
}

/// What main.cf says about routes, read once.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    transports: Vec<(Class, String)>,
    transport_maps: Vec<TableId>,
    relocated_maps: Vec<TableId>,
    /// What `error:` says in front of the new place.
    moved: &'static str,
    relayhost: String,
    extensions: Extensions,
    /// What `error:` says of unknown names in virtual alias domains.
    unknown_alias: String,
    sender_relayhost_maps: Vec<TableId>,
    sender_transport_maps: Vec<TableId>,
    /// `empty_address_relayhost_maps_lookup_key`, `empty_address_default_transport_maps_lookup_key`.
    null_sender_keys: [String; 2],
}

impl Routes {
    /// Reads the parameters; tables are added to `catalogue`.
    #[must_use]
    pub fn compile(p: &Parameters, catalogue: &mut Catalogue) -> Routes {
        Routes::of(p, catalogue, "")
    }

    /// The same for probes, by the `address_verify_…` parameters, whose defaults are the others.
    #[must_use]
    pub fn of_probes(p: &Parameters, catalogue: &mut Catalogue) -> Routes {
        Routes::of(p, catalogue, "address_verify_")
    }

    fn of(p: &Parameters, catalogue: &mut Catalogue, prefix: &str) -> Routes {
        let words = p.list(&format!("{prefix}relocated_maps"));
        let relocated_maps = words.iter().map(|word| catalogue.seat(word)).collect();
        // Who says where mail goes substitutes nothing that a stranger has written.
        let mut tables = |name: &str| -> Vec<TableId> {
            let words = p.list(&format!("{prefix}{name}"));
            words.iter().map(|word| catalogue.seat_guarded(word)).collect()
        };
        let text = |name: &str| p.text(name).value;
        let own = |name: &str| p.text(&format!("{prefix}{name}")).value;
        Routes {
            transport_maps: tables("transport_maps"),
            relocated_maps,
            moved: if p.flag("relocated_prefix_enable") { "5.1.6 User has moved to " } else { "" },
            sender_relayhost_maps: tables("sender_dependent_relayhost_maps"),
            sender_transport_maps: tables("sender_dependent_default_transport_maps"),
            relayhost: own("relayhost"),
            extensions: Extensions::compile(p),
            unknown_alias: if p.flag("show_user_unknown_table_name") {
                format!("5.1.1 {}", UnknownIn::VirtualAlias.text())
            } else {
                "5.1.1 User unknown".to_owned()
            },
            null_sender_keys: [
                text("empty_address_relayhost_maps_lookup_key"),
                text("empty_address_default_transport_maps_lookup_key"),
            ],
            transports: vec![
                (Class::Local, own("local_transport")),
                (Class::VirtualAlias, "error".to_owned()),
                (Class::VirtualMailbox, own("virtual_transport")),
                (Class::Relay, own("relay_transport")),
                (Class::Default, own("default_transport")),
            ],
        }
    }

    /// Whether any address could lead to `error:` or `retry:`.
    #[must_use]
    pub fn may_refuse(&self) -> bool {
        let refuses = |(class, transport): &(Class, String)| {
            *class != Class::VirtualAlias && matches!(transport_and_nexthop(transport).0, "error" | "retry")
        };
        !self.transport_maps.is_empty()
            || !self.relocated_maps.is_empty()
            || !self.sender_transport_maps.is_empty()
            || self.transports.iter().any(refuses)
    }

    /// The route of mail from `sender` to `recipient`.
    ///
    /// # Errors
    /// When a table can't say, or must be asked first.
    pub fn route<L: Lookup>(
        &self,
        (sender, recipient): (&Address, &Address),
        classes: &AddressClasses,
        tables: &L,
    ) -> Result<Route, L::Stop> {
        let resolved = classes.resolve(recipient, tables)?;
        // Aliases and programs of this machine name what no client may: above all, a program's options.
        if resolved.error == Some(Unresolvable::BadSyntax) {
            return Ok(Route::bad_syntax());
        }
        self.of_resolved(sender, resolved, classes, tables)
    }

    /// The route of mail from `sender` to an address that has been resolved.
    ///
    /// # Errors
    /// When a table can't say, or must be asked first.
    pub fn of_resolved<L: Lookup>(
        &self,
        sender: &Address,
        resolved: Resolved,
        classes: &AddressClasses,
        tables: &L,
    ) -> Result<Route, L::Stop> {
        if let Some(moved) = self.moved(&resolved, classes, tables)? {
            return Ok(moved);
        }
        let (mut transport, mut nexthop) = self.by_class(&resolved, sender, tables)?;
        let mapped = if self.transport_maps.is_empty() {
            None
        } else {
            first(&self.transport_maps, &self.recipient_keys(&resolved), tables)?
        };
        if let Some(mapped) = mapped {
            let (name, next) = transport_and_nexthop(&mapped);
            match (name, next.is_empty()) {
                // transport(5): as if there were no entry.
                ("", true) => {}
                ("", false) => nexthop = next.to_owned(),
                (_, is_empty) => {
                    transport = name.to_owned();
                    nexthop = match name {
                        _ if !is_empty => next.to_owned(),
                        "error" | "retry" => UNDELIVERABLE.to_owned(),
                        _ => resolved.domain,
                    };
                }
            }
        }
        Ok(Route { transport, nexthop })
    }

    /// Where `relocated_maps` say that the user has gone.
    ///
    /// # Errors
    /// When a table can't say, or must be asked first.
    pub fn moved<L: Lookup>(
        &self,
        resolved: &Resolved,
        classes: &AddressClasses,
        tables: &L,
    ) -> Result<Option<Route>, L::Stop> {
        let found = classes.find(&self.relocated_maps, &resolved.recipient, tables)?;
        let text = found.map(|found| format!("{}{}", self.moved, found.value));
        Ok(text.map(|nexthop| Route { transport: "error".to_owned(), nexthop }))
    }

    fn by_class<L: Lookup>(
        &self,
        resolved: &Resolved,
        sender: &Address,
        tables: &L,
    ) -> Result<(String, String), L::Stop> {
        let configured = self.transports.iter().find(|(class, _)| *class == resolved.class);
        let configured = configured.map_or("error", |(_, transport)| transport.as_str());
        let [relayhost_key, transport_key] = &self.null_sender_keys;
        let own = if resolved.class == Class::Default {
            by_sender(&self.sender_transport_maps, sender, transport_key, tables)?
        } else {
            None
        };
        let (name, nexthop) = transport_and_nexthop(own.as_deref().unwrap_or(configured));
        let name = if name.is_empty() { transport_and_nexthop(configured).0 } else { name };
        let nexthop = if resolved.class == Class::VirtualAlias {
            self.unknown_alias.clone()
        } else if !nexthop.is_empty() {
            nexthop.to_owned()
        } else if matches!(resolved.class, Class::Default | Class::Relay) {
            match by_sender(&self.sender_relayhost_maps, sender, relayhost_key, tables)? {
                Some(relay) => relay,
                None if !self.relayhost.is_empty() => self.relayhost.clone(),
                None => resolved.domain.clone(),
            }
        } else {
            resolved.domain.clone()
        };
        Ok((name.to_owned(), nexthop))
    }

    /// transport(5): the address (whose case the tables fold, or not), without its extension, its domain, the domain's
    /// parents with a dot in front, `*`.
    fn recipient_keys(&self, resolved: &Resolved) -> Vec<String> {
        let mut keys = vec![resolved.recipient.as_str().to_owned()];
        if let Some((name, _)) = self.extensions.split(resolved.recipient.local()) {
            keys.push(format!("{name}@{}", resolved.recipient.domain().unwrap_or_default()));
        }
        keys.push(resolved.domain.clone());
        let mut rest = resolved.domain.as_str();
        while let Some((_, parent)) = rest.split_once('.') {
            keys.push(format!(".{parent}"));
            rest = parent;
        }
        keys.push("*".to_owned());
        keys
    }
}

/// What the tables say about a sender: by the address, then by `@domain`. `DUNNO` ends the search.
fn by_sender<L: Lookup>(
    maps: &[TableId],
    sender: &Address,
    null_key: &str,
    tables: &L,
) -> Result<Option<String>, L::Stop> {
    if maps.is_empty() {
        return Ok(None);
    }
    let keys = match sender.domain() {
        _ if sender.is_null() => vec![null_key.to_owned()],
        Some(domain) => vec![sender.as_str().to_owned(), format!("@{domain}")],
        None => vec![sender.as_str().to_owned()],
    };
    Ok(first(maps, &keys, tables)?.filter(|value| !value.eq_ignore_ascii_case("dunno")))
}

/// The first value for a whole key, the first of `keys`, for parts of it, or for any key, `*`.
///
/// # Errors
/// When a table can't say, or must be asked first.
pub fn first<L: Lookup>(maps: &[TableId], keys: &[String], tables: &L) -> Result<Option<String>, L::Stop> {
    for (index, key) in keys.iter().enumerate() {
        for map in maps {
            if index > 0 && key != "*" && !tables.snapshot().table(*map).has_fixed_keys() {
                continue;
            }
            if let Some(value) = tables.lookup(*map, key)? {
                return Ok(Some(value));
            }
        }
    }
    Ok(None)
}
