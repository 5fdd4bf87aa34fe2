//! local(8)'s parameters, and the texts that are made from them for one recipient.

use super::{Account, Step};
use crate::address::Lookup;
use crate::template;
use config::Parameters;
use tables::{Catalogue, TableId};

/// Where a kind of destination may be written: `allow_mail_to_commands`, `allow_mail_to_files`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// In `alias_maps`.
    pub alias: bool,
    /// In `.forward` files.
    pub forward: bool,
    /// In `:include:` files.
    pub include: bool,
}

impl Allowed {
    fn read(p: &Parameters, name: &str) -> Allowed {
        let words: Vec<String> = p.list(name).into_iter().map(|word| word.value.to_lowercase()).collect();
        let has = |word: &str| words.iter().any(|other| other == word);
        Allowed { alias: has("alias"), forward: has("forward"), include: has("include") }
    }

    /// Whether it may be written where this chain ends.
    #[must_use]
    pub fn at_end_of(self, chain: &[Step]) -> bool {
        match chain.last() {
            Some(Step::Alias(_)) => self.alias,
            Some(Step::Forward { .. }) => self.forward,
            Some(Step::Include(_)) => self.include,
            None => false,
        }
    }
}

/// The parameters of expansion; immutable, compiled once.
#[derive(Clone, Debug, Default)]
pub struct Local {
    pub(super) alias_maps: Vec<TableId>,
    pub(super) commands: Allowed,
    pub(super) files: Allowed,
    pub(super) propagates: Allowed,
    pub(super) hostname: String,
    pub(super) expands_owner: bool,
    pub(super) resets_owner: bool,
    requires_home: bool,
    pub(super) mailbox_transport_maps: Vec<TableId>,
    pub(super) mailbox_transport: String,
    pub(super) mailbox_command_maps: Vec<TableId>,
    pub(super) mailbox_command: String,
    pub(super) fallback_transport_maps: Vec<TableId>,
    pub(super) fallback_transport: String,
    pub(super) luser_relay: String,
    forward_path: String,
    forward_filter: String,
    execution_directory: String,
    execution_filter: String,
    delimiter: String,
}

impl Local {
    /// Reads the parameters; tables are added to `catalogue`.
    #[must_use]
    pub fn compile(p: &Parameters, catalogue: &mut Catalogue) -> Local {
        let aliases = p.list("alias_maps");
        let alias_maps = aliases.iter().map(|word| catalogue.seat_aliases(word)).collect();
        let mut tables = |name: &str| -> Vec<TableId> {
            p.list(name).iter().map(|word| catalogue.seat_guarded(word)).collect()
        };
        let text = |name: &str| p.text(name).value.trim().to_owned();
        Local {
            alias_maps,
            commands: Allowed::read(p, "allow_mail_to_commands"),
            files: Allowed::read(p, "allow_mail_to_files"),
            propagates: Allowed::read(p, "propagate_unmatched_extensions"),
            hostname: p.text("myhostname").value,
            expands_owner: p.flag("expand_owner_alias"),
            resets_owner: p.flag("reset_owner_alias"),
            requires_home: p.flag("require_home_directory"),
            mailbox_transport_maps: tables("mailbox_transport_maps"),
            mailbox_transport: text("mailbox_transport"),
            mailbox_command_maps: tables("mailbox_command_maps"),
            mailbox_command: text("mailbox_command"),
            fallback_transport_maps: tables("fallback_transport_maps"),
            fallback_transport: text("fallback_transport"),
            luser_relay: text("luser_relay"),
            forward_path: text("forward_path"),
            forward_filter: text("forward_expansion_filter"),
            execution_directory: text("command_execution_directory"),
            execution_filter: text("execution_directory_expansion_filter"),
            delimiter: p.text("recipient_delimiter").value,
        }
    }

    /// Whether nobody gets mail whose home isn't there.
    #[must_use]
    pub fn requires_home(&self) -> bool {
        self.requires_home
    }

    /// The tables of `alias_maps`.
    #[must_use]
    pub fn alias_maps(&self) -> &[TableId] {
        &self.alias_maps
    }

    /// `allow_mail_to_commands`.
    #[must_use]
    pub const fn commands(&self) -> Allowed {
        self.commands
    }

    /// `allow_mail_to_files`.
    #[must_use]
    pub const fn files(&self) -> Allowed {
        self.files
    }

    /// What `mailbox_command_maps` and `mailbox_command` say for a user.
    ///
    /// # Errors
    /// When a table can't say.
    pub fn mailbox_command_of<L: Lookup>(&self, user: &str, tables: &L) -> Result<Option<String>, L::Stop> {
        chosen(&self.mailbox_command_maps, &self.mailbox_command, user, tables)
    }

    /// Whether mail for a user who is here goes into the mailbox, and not to a transport or a command.
    ///
    /// # Errors
    /// When a table can't say.
    pub fn is_into_mailbox<L: Lookup>(&self, user: &str, tables: &L) -> Result<bool, L::Stop> {
        let transport = chosen(&self.mailbox_transport_maps, &self.mailbox_transport, user, tables)?;
        Ok(transport.is_none() && self.mailbox_command_of(user, tables)?.is_none())
    }

    /// The files to look for, in order.
    #[must_use]
    pub fn forward_paths(&self, attributes: &Attributes<'_>) -> Vec<String> {
        let paths = self.forward_path.split([',', ' ', '\t', '\n']).filter(|path| !path.is_empty());
        let mut expanded: Vec<String> = Vec::new();
        for path in paths {
            let path = self.expanded(path, &self.forward_filter, attributes);
            if path.starts_with('/') && !expanded.contains(&path) {
                expanded.push(path);
            }
        }
        expanded
    }

    /// Where commands run; empty for the queue directory.
    #[must_use]
    pub fn execution_directory(&self, attributes: &Attributes<'_>) -> String {
        self.expanded(&self.execution_directory, &self.execution_filter, attributes)
    }

    pub(super) fn relay_for(&self, attributes: &Attributes<'_>) -> String {
        // An address is no path: what is in it was an address before.
        let any: String = attributes.recipient.chars().chain(attributes.local.chars()).collect();
        self.expanded(&self.luser_relay, &any, attributes)
    }

    fn expanded(&self, text: &str, filter: &str, attributes: &Attributes<'_>) -> String {
        template::expand(text, filter, &|name| attributes.value(name, &self.delimiter)).text
    }
}

/// A table's value for a user, or the text for all.
pub(super) fn chosen<L: Lookup>(
    maps: &[TableId],
    otherwise: &str,
    user: &str,
    tables: &L,
) -> Result<Option<String>, L::Stop> {
    for map in maps {
        if let Some(value) = tables.lookup(*map, user)? {
            return Ok(Some(value));
        }
    }
    Ok((!otherwise.is_empty()).then(|| otherwise.to_owned()))
}

/// What `$name` stands for in local(8)'s parameters.
#[derive(Clone, Debug, Default)]
pub struct Attributes<'a> {
    /// The user, where there is one.
    pub account: Option<&'a Account>,
    /// The complete address.
    pub recipient: &'a str,
    /// Its local part.
    pub local: &'a str,
    /// The local part without its extension.
    pub user: &'a str,
    /// The extension without its delimiter.
    pub extension: &'a str,
    /// The domain.
    pub domain: &'a str,
}

impl Attributes<'_> {
    fn value(&self, name: &str, delimiter: &str) -> Option<String> {
        let account = |field: fn(&Account) -> &String| self.account.map(field).cloned().unwrap_or_default();
        Some(match name {
            "user" => self.user.to_owned(),
            "home" => account(|account| &account.home),
            "shell" => account(|account| &account.shell),
            "recipient" => self.recipient.to_owned(),
            "extension" => self.extension.to_owned(),
            "domain" => self.domain.to_owned(),
            "local" => self.local.to_owned(),
            // Without an extension there is nothing that it delimits.
            "recipient_delimiter" if self.extension.is_empty() => String::new(),
            "recipient_delimiter" => {
                let rest = self.local.strip_prefix(self.user).unwrap_or_default();
                rest.chars().next().filter(|c| delimiter.contains(*c)).map(String::from).unwrap_or_default()
            }
            _ => return None,
        })
    }
}
