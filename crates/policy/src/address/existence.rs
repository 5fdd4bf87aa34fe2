//! Whether an address exists: canonical, virtual alias and recipient maps, class by class.
//!
//! Keys are tried in the order of canonical(5): the full address, without its extension, the local part alone
//! where the domain is ours, `@domain`; each in external form first and then, where that differs, in internal
//! form. Addresses of classes without a table exist. `unknown_*_reject_code` give the code. T1.6, T2.4.

use super::{AddressClasses, Class, Existence, Lookup, Resolved, UnknownIn};
use config::{Diagnostic, Parameters};
use mail::Address;
use tables::{Catalogue, TableId};

/// The maps that know addresses, and the codes for what they don't know.
#[derive(Clone, Debug, Default)]
pub(super) struct RecipientMaps {
    /// `recipient_canonical_maps`, `canonical_maps`, `virtual_alias_maps`: a line in any of them is enough.
    rewriting: Vec<TableId>,
    sender_rewriting: Vec<TableId>,
    local: ClassMaps,
    virtual_mailbox: ClassMaps,
    relay: ClassMaps,
    virtual_alias_code: u16,
}

#[derive(Clone, Debug, Default)]
struct ClassMaps {
    tables: Vec<TableId>,
    code: u16,
}

impl RecipientMaps {
    pub(super) fn compile(
        parameters: &Parameters,
        catalogue: &mut Catalogue,
    ) -> (RecipientMaps, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        declare_aliases(parameters, catalogue);
        let mut maps = |name: &str| intern_all(parameters, name, catalogue, &mut diagnostics);
        let code = |name: &str| u16::try_from(parameters.number(name)).unwrap_or(550);
        let canonical = maps("canonical_maps");
        let virtual_alias = maps("virtual_alias_maps");
        let with = |first: Vec<TableId>| [first, canonical.clone(), virtual_alias.clone()].concat();
        let recipient_maps = RecipientMaps {
            rewriting: with(maps("recipient_canonical_maps")),
            sender_rewriting: with(maps("sender_canonical_maps")),
            local: ClassMaps {
                tables: maps("local_recipient_maps"),
                code: code("unknown_local_recipient_reject_code"),
            },
            virtual_mailbox: ClassMaps {
                tables: maps("virtual_mailbox_maps"),
                code: code("unknown_virtual_mailbox_reject_code"),
            },
            relay: ClassMaps {
                tables: maps("relay_recipient_maps"),
                code: code("unknown_relay_recipient_reject_code"),
            },
            virtual_alias_code: code("unknown_virtual_alias_reject_code"),
        };
        (recipient_maps, diagnostics)
    }
}

/// Where local_recipient_maps names tables of alias_maps, their sources are of the aliases(5) form.
fn declare_aliases(parameters: &Parameters, catalogue: &mut Catalogue) {
    let local = parameters.list("local_recipient_maps");
    for word in parameters.list("alias_maps") {
        if local.iter().any(|other| other.value == word.value) {
            // What is wrong with it is said where it is interned as one of local_recipient_maps.
            let _ = catalogue.intern_aliases(&word);
        }
    }
}

/// The tables that parameter `name` lists; words that are no table are skipped with a diagnostic.
pub(super) fn intern_all(
    parameters: &Parameters,
    name: &str,
    catalogue: &mut Catalogue,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<TableId> {
    let mut tables = Vec::new();
    for word in parameters.list(name) {
        match catalogue.intern(&word) {
            Ok(table) => tables.push(table),
            Err(diagnostic) => diagnostics.push(diagnostic),
        }
    }
    tables
}

/// Whose existence is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `recipient_canonical_maps` count.
    Recipient,
    /// `sender_canonical_maps` count (`reject_unlisted_sender`).
    Sender,
}

impl AddressClasses {
    /// Whether the mail system has `resolved`, by canonical, alias and recipient maps.
    ///
    /// # Errors
    /// What the tables answer with when they can't.
    pub fn existence<L: Lookup>(&self, resolved: &Resolved, tables: &L) -> Result<Existence, L::Stop> {
        self.existence_as(Role::Recipient, resolved, tables)
    }

    /// The same for a sender or a recipient.
    ///
    /// # Errors
    /// What the tables answer with when they can't.
    pub fn existence_as<L: Lookup>(
        &self,
        role: Role,
        resolved: &Resolved,
        tables: &L,
    ) -> Result<Existence, L::Stop> {
        match self.known(role, resolved, tables)? {
            Some(known) => Ok(known),
            None => self.in_class(resolved, tables),
        }
    }

    /// What is known whatever the address's transport says: names that are rewritten exist, others of virtual alias
    /// domains don't.
    pub(crate) fn known<L: Lookup>(
        &self,
        role: Role,
        resolved: &Resolved,
        tables: &L,
    ) -> Result<Option<Existence>, L::Stop> {
        let maps = &self.maps;
        let rewriting = match role {
            Role::Recipient => &maps.rewriting,
            Role::Sender => &maps.sender_rewriting,
        };
        if self.is_own_name(&resolved.recipient)
            || self.find(rewriting, &folded(&resolved.recipient), tables)?.is_some()
        {
            return Ok(Some(Existence::Exists));
        }
        let is_alias = resolved.class == Class::VirtualAlias;
        let (table, code) = (UnknownIn::VirtualAlias, maps.virtual_alias_code);
        Ok(is_alias.then_some(Existence::Unknown { table, code }))
    }

    /// What the recipient maps of its class say.
    pub(crate) fn in_class<L: Lookup>(&self, resolved: &Resolved, tables: &L) -> Result<Existence, L::Stop> {
        let maps = &self.maps;
        if resolved.class == Class::Local && self.is_mail_systems(&resolved.recipient) {
            return Ok(Existence::Exists);
        }
        let (table, class) = match resolved.class {
            Class::Local => (UnknownIn::Local, &maps.local),
            Class::VirtualMailbox => (UnknownIn::VirtualMailbox, &maps.virtual_mailbox),
            Class::Relay => (UnknownIn::Relay, &maps.relay),
            Class::VirtualAlias | Class::Default => return Ok(Existence::Exists),
        };
        if class.tables.is_empty()
            || self.find(&class.tables, &folded(&resolved.recipient), tables)?.is_some()
        {
            return Ok(Existence::Exists);
        }
        Ok(Existence::Unknown { table, code: class.code })
    }

    /// Whether a sender (complete) is this host's own `MAILER-DAEMON`, to whom nobody answers: the null sender by another
    /// name.
    #[must_use]
    pub fn is_nobody(&self, address: &Address) -> bool {
        address.local().eq_ignore_ascii_case("MAILER-DAEMON")
            && address.domain().is_some_and(|domain| domain.eq_ignore_ascii_case(&self.rewriting.myorigin))
    }

    /// The mail system's own names, which every local domain has. RFC 5321 §4.5.1.
    fn is_mail_systems(&self, address: &Address) -> bool {
        ["postmaster", "MAILER-DAEMON", &self.double_bounce_sender]
            .iter()
            .any(|own| address.local().eq_ignore_ascii_case(own))
    }

    /// `MAILER-DAEMON` and the double-bounce address of this host are always there.
    fn is_own_name(&self, address: &Address) -> bool {
        let own_domain =
            address.domain().is_some_and(|domain| domain.eq_ignore_ascii_case(&self.rewriting.myorigin));
        let name = |own: &str| address.local().eq_ignore_ascii_case(own);
        own_domain && (name("MAILER-DAEMON") || name(&self.double_bounce_sender))
    }

    /// The first value that `maps` have for an address, and the extension that the key did not have.
    ///
    /// # Errors
    /// What the tables answer with when they can't.
    pub fn find<L: Lookup>(
        &self,
        maps: &[TableId],
        address: &Address,
        tables: &L,
    ) -> Result<Option<Found>, L::Stop> {
        if maps.is_empty() || address.is_null() {
            return Ok(None);
        }
        for (key, unmatched, part) in self.keys(address, tables)? {
            for map in maps {
                // Patterns and tables behind sockets see the whole address only.
                if part == Part::Of && !tables.snapshot().table(*map).has_fixed_keys() {
                    continue;
                }
                if let Some(value) = tables.lookup(*map, &key)? {
                    return Ok(Some(Found { value, extension: unmatched }));
                }
            }
        }
        Ok(None)
    }

    /// The keys to try for an address, in order, each with the extension that it leaves out.
    fn keys<L: Lookup>(&self, address: &Address, tables: &L) -> Result<Vec<(String, String, Part)>, L::Stop> {
        let folded = Address::from_internal(address.as_str().to_lowercase());
        let (local, domain) = (folded.local(), folded.domain().unwrap_or(""));
        let plain = self.split_extension(local);
        let mut keys = Vec::new();
        let mut push = |internal: Address, extension: &str, part: Part| {
            let (external, internal) = (internal.to_external(), internal.as_str().to_owned());
            if external != internal {
                keys.push((external, extension.to_owned(), part));
                keys.push((internal, extension.to_owned(), part));
            } else {
                keys.push((internal, extension.to_owned(), part));
            }
        };
        push(address.clone(), "", Part::Whole);
        if let Some((name, extension)) = plain {
            push(Address::from_internal(format!("{name}@{domain}")), extension, Part::Of);
        }
        let is_ours = !domain.is_empty()
            && (domain.eq_ignore_ascii_case(&self.rewriting.myorigin)
                || self.domains.is_local(domain, tables)?);
        // A local part with an `@` in it would be taken for an address.
        if is_ours && !local.contains('@') {
            push(Address::from_internal(local), "", Part::Of);
            if let Some((name, extension)) = plain {
                push(Address::from_internal(name), extension, Part::Of);
            }
        }
        if !domain.is_empty() {
            keys.push((format!("@{domain}"), String::new(), Part::Of));
        }
        Ok(keys)
    }
}

/// smtpd(8) folds what it asks for; cleanup(8), who expands aliases, leaves that to the tables.
fn folded(address: &Address) -> Address {
    Address::from_internal(address.as_str().to_lowercase())
}

/// Whether a key is an address, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Of,
}

/// A line that was found for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its right-hand side.
    pub value: String,
    /// The extension with its delimiter, where the key was the address without it.
    pub extension: String,
}
