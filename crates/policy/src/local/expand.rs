//! The way from a local recipient to everything that is to be done for it.

use super::settings::chosen;
use super::{Account, Action, Attributes, Ground, Local, Opened, Part, Step};
use crate::address::AddressClasses;
use mail::destination::{Destination, destinations, destinations_in_file, transport_and_nexthop};
use mail::{Address, Dsn};
use std::collections::HashSet;
use tables::LookupError;

/// How deep aliases may be nested.
const ALIASES_DEEP: usize = 25;
/// How deep files may include each other.
const INCLUDES_DEEP: usize = 20;
/// How many aliases one recipient may stand for.
const ALIASES_MAX: usize = 10_000;
/// How many things may be done for one recipient; beyond, nothing is.
const PARTS_MAX: usize = 500_000;

/// Everything that is to be done for `recipient` (complete), each thing once, in order.
#[must_use]
pub fn expand<G: Ground>(
    local: &Local,
    classes: &AddressClasses,
    ground: &G,
    recipient: &Address,
) -> Vec<Part> {
    Expander::new(local, classes, ground).run(recipient)
}

/// What can be said of `recipient` (complete) without delivering anything: an alias or a `.forward` file is enough for
/// an address to be there, whoever stands in it.
#[must_use]
pub fn probe<G: Ground>(
    local: &Local,
    classes: &AddressClasses,
    ground: &G,
    recipient: &Address,
) -> Vec<Part> {
    let mut expander = Expander::new(local, classes, ground);
    expander.probes = true;
    expander.run(recipient)
}

/// How a destination was come by.
#[derive(Clone, Debug, Default)]
struct Context {
    /// A list's owner, in whose name its members get new messages.
    owner: Option<Address>,
    /// The sender of mail that goes on from here: the owner, also where `reset_owner_alias` has forgotten it.
    sender: Option<Address>,
    /// The alias in whose expansion we are has one of its own.
    has_owner: bool,
    is_original: bool,
    /// The alias in whose expansion we are.
    alias: Option<String>,
    /// The user in whose file we are.
    forward: Option<String>,
    is_included: bool,
    /// Past aliases and `.forward` files.
    bypass: bool,
    /// By luser_relay.
    is_relayed: bool,
    depth: usize,
    chain: Vec<Step>,
}

struct Expander<'a, G> {
    local: &'a Local,
    classes: &'a AddressClasses,
    ground: &'a G,
    parts: Vec<Part>,
    seen: HashSet<String>,
    aliases: usize,
    warnings: Vec<String>,
    is_full: bool,
    /// Nothing will be delivered.
    probes: bool,
}

/// A recipient's name in pieces.
struct Name {
    /// In lower case.
    local: String,
    user: String,
    /// With its delimiter.
    extension: String,
}

/// Of all refusals Postfix tells a list's owner of this one only.
const NO_FILES: &str = "mail to file is restricted";
const UNAVAILABLE: &str = "alias database unavailable";
const CONFIGURATION: &str = "mail system configuration error";

impl<'a, G: Ground> Expander<'a, G> {
    fn new(local: &'a Local, classes: &'a AddressClasses, ground: &'a G) -> Expander<'a, G> {
        Expander {
            local,
            classes,
            ground,
            parts: Vec::new(),
            seen: HashSet::new(),
            aliases: 0,
            warnings: Vec::new(),
            is_full: false,
            probes: false,
        }
    }

    fn run(mut self, recipient: &Address) -> Vec<Part> {
        self.recipient(recipient, &Context::default());
        if self.parts.is_empty() {
            // What stands for nobody must not vanish.
            self.refuse(recipient, &Context::default(), Dsn::new(5, 3, 5), CONFIGURATION);
        }
        self.parts
    }

    fn put(&mut self, recipient: &Address, context: &Context, action: Action) {
        if self.is_full {
            return;
        }
        let warnings = std::mem::take(&mut self.warnings);
        let (is_original, chain) = (context.is_original, context.chain.clone());
        let owner = context.sender.clone();
        let is_told = match &action {
            Action::Refuse(_, text) => text == NO_FILES,
            _ => true,
        };
        let is_owned = context.has_owner && is_told;
        let mut part =
            Part { recipient: recipient.clone(), is_original, owner, is_owned, chain, action, warnings };
        if self.parts.len() >= PARTS_MAX {
            self.is_full = true;
            self.parts.clear();
            part.action =
                Action::Refuse(Dsn::new(5, 4, 6), "the recipient stands for too many others".into());
        }
        self.parts.push(part);
    }

    fn refuse(&mut self, recipient: &Address, context: &Context, dsn: Dsn, text: impl Into<String>) {
        self.put(recipient, context, Action::Refuse(dsn, text.into()));
    }

    fn unsaid(&mut self, recipient: &Address, context: &Context, error: &LookupError) {
        self.warnings.push(error.to_string());
        self.refuse(recipient, context, Dsn::new(4, 3, 0), UNAVAILABLE);
    }

    fn name(&self, address: &Address) -> Name {
        let local = address.local().to_lowercase();
        let (user, extension) = match self.classes.split_extension(&local) {
            Some((user, extension)) => (user.to_owned(), extension.to_owned()),
            None => (local.clone(), String::new()),
        };
        Name { local, user, extension }
    }

    fn recipient(&mut self, address: &Address, context: &Context) {
        let name = self.name(address);
        if self.ground.was_delivered_to(address) {
            let text = format!("mail forwarding loop for {address}");
            self.refuse(address, context, Dsn::new(5, 4, 6), text);
            return;
        }
        if !context.bypass {
            match self.alias(&name, context) {
                Ok(Some((alias, value, extension))) => {
                    self.members(address, (&alias, &value, &extension), context);
                    return;
                }
                Ok(None) => {}
                Err(error) => {
                    self.unsaid(address, context, &error);
                    return;
                }
            }
        }
        let own = ["postmaster", "mailer-daemon"].contains(&name.user.as_str());
        if own && !matches!(self.ground.account(&name.user), Ok(Some(_))) {
            self.warnings.push(format!("required alias not found: {}", name.user));
            self.put(address, context, Action::Discard);
            return;
        }
        let is_own = context.forward.as_ref() == Some(&name.user);
        if context.owner.is_some() || context.is_included || (context.forward.is_some() && !is_own) {
            self.forward(address, context);
            return;
        }
        // An address is served once, however often it is named.
        let (past, relayed) = (context.bypass || context.forward.is_some(), context.is_relayed);
        if self.seen.insert(format!("user {past} {relayed} {}", address.as_str().to_lowercase())) {
            self.user(address, &name, context);
        }
    }

    /// The alias of a name, whose expansion we aren't in: its name, its value, the extension that it hasn't.
    fn alias(&self, name: &Name, context: &Context) -> Result<Option<(String, String, String)>, LookupError> {
        let is_self = |key: &str| context.alias.as_deref() == Some(key);
        let whole = (name.local.as_str(), "");
        let part = (name.user.as_str(), name.extension.as_str());
        let keys = if name.extension.is_empty() { vec![whole] } else { vec![whole, part] };
        for (key, extension) in keys {
            if is_self(key) {
                return Ok(None);
            }
            if let Some(value) = self.value(key, key != name.local)? {
                return Ok(Some((key.to_owned(), value, extension.to_owned())));
            }
        }
        Ok(None)
    }

    fn value(&self, key: &str, is_part: bool) -> Result<Option<String>, LookupError> {
        for map in &self.local.alias_maps {
            // Patterns see the whole name only.
            if is_part && !self.ground.snapshot().table(*map).has_fixed_keys() {
                continue;
            }
            if let Some(value) = self.ground.lookup(*map, key)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    fn members(
        &mut self,
        address: &Address,
        (alias, value, extension): (&str, &str, &str),
        context: &Context,
    ) {
        if self.probes {
            return self.put(address, context, Action::Found(format!("aliased to {value}")));
        }
        self.aliases = self.aliases.saturating_add(1);
        if context.depth >= ALIASES_DEEP || self.aliases > ALIASES_MAX {
            let text = format!("alias database loop for {alias}");
            self.warnings.push(text.clone());
            self.refuse(address, context, Dsn::new(5, 4, 6), text);
            return;
        }
        let owner = match self.value(&format!("owner-{alias}"), false) {
            Ok(owner) => owner,
            Err(error) => return self.unsaid(address, context, &error),
        };
        let has_owner = owner.is_some();
        let owner = owner.map(|value| self.owner(alias, &value));
        let kept = if self.local.resets_owner { None } else { context.owner.clone() };
        let context = Context {
            sender: owner.clone().or_else(|| context.sender.clone()),
            owner: owner.or(kept),
            has_owner,
            is_original: context.is_original || has_owner,
            alias: Some(alias.to_owned()),
            forward: context.forward.clone(),
            is_included: context.is_included,
            bypass: false,
            is_relayed: context.is_relayed,
            depth: context.depth.saturating_add(1),
            chain: vec![Step::Alias(alias.to_owned())],
        };
        let found = destinations(value);
        if found.is_empty() {
            self.warnings.push(format!("no recipient in alias lookup result for {alias}"));
            self.refuse(address, &context, Dsn::new(4, 3, 0), UNAVAILABLE);
        }
        let extension = if self.local.propagates.alias { extension } else { "" };
        self.all(address, found, extension, &context);
    }

    /// `owner-NAME`, or what it stands for.
    fn owner(&self, alias: &str, value: &str) -> Address {
        let name = Address::from_internal(format!("owner-{alias}"));
        let first = destinations(value).into_iter().next();
        match first {
            Some(Destination::Address(address)) if self.local.expands_owner => self.classes.rewrite(&address),
            _ => self.classes.rewrite(&name),
        }
    }

    /// Everything in one place.
    fn all(&mut self, address: &Address, found: Vec<Destination>, extension: &str, context: &Context) {
        for destination in found {
            if self.is_full {
                return;
            }
            match destination {
                Destination::Address(member) => self.member(address, &member, (extension, false), context),
                Destination::Bypass(member) => self.member(address, &member, (extension, true), context),
                Destination::Command(command) => {
                    if self.local.commands.at_end_of(&context.chain) {
                        self.once(address, context, Action::Command(command));
                    } else {
                        self.refuse(address, context, Dsn::new(5, 7, 1), "mail to command is restricted");
                    }
                }
                Destination::File(file) => {
                    if self.local.files.at_end_of(&context.chain) {
                        self.once(address, context, Action::File(file));
                    } else {
                        self.refuse(address, context, Dsn::new(5, 7, 1), NO_FILES);
                    }
                }
                Destination::Include(path) => self.include(address, &path, context),
            }
        }
    }

    fn once(&mut self, address: &Address, context: &Context, action: Action) {
        if self.seen.insert(format!("{:?} {action:?}", context.chain.last())) {
            self.put(address, context, action);
        }
    }

    fn member(
        &mut self,
        whose: &Address,
        member: &Address,
        (extension, bypass): (&str, bool),
        context: &Context,
    ) {
        let mut address = self.classes.rewrite(member);
        if !extension.is_empty()
            && let Some(domain) = address.domain()
        {
            address = Address::from_internal(format!("{}{extension}@{domain}", address.local()));
        }
        if address.is_null() {
            return;
        }
        if self.classes.is_bad(&address) {
            let text = format!("bad recipient address syntax: {address}");
            return self.refuse(whose, context, Dsn::new(5, 1, 3), text);
        }
        match self.ground.is_local(&address) {
            Ok(true) => self.recipient(&address, &Context { bypass, ..context.clone() }),
            Ok(false) => self.forward(&address, context),
            Err(error) => self.unsaid(&address, context, &error),
        }
    }

    fn forward(&mut self, address: &Address, context: &Context) {
        let sender = context.sender.clone();
        let key = sender.as_ref().map(|sender| sender.as_str().to_lowercase()).unwrap_or_default();
        if self.seen.insert(format!("forward {key} {}", address.as_str().to_lowercase())) {
            self.put(address, context, Action::Forward { address: address.clone(), sender });
        }
    }

    fn include(&mut self, address: &Address, path: &str, context: &Context) {
        let depth = context.chain.iter().filter(|step| matches!(step, Step::Include(_))).count();
        if !path.starts_with('/') {
            self.warnings.push(format!(":include:{path} uses a relative path"));
            return self.refuse(address, context, Dsn::new(5, 3, 5), CONFIGURATION);
        }
        // A file is read once for a user, however often it is named: what includes itself twice would never end.
        let user = context.forward.as_deref().unwrap_or_default();
        if !self.seen.insert(format!("include {user} {path}")) {
            return;
        }
        if depth >= INCLUDES_DEEP {
            self.warnings.push(format!("unreasonable :include: nesting: {path}"));
            return self.refuse(address, context, Dsn::new(5, 3, 5), CONFIGURATION);
        }
        let mut context = Context { is_included: true, ..context.clone() };
        context.chain.push(Step::Include(path.to_owned()));
        match self.ground.include(address, &context.chain) {
            Opened::Text(text) => {
                let extension = String::new();
                self.all(address, destinations_in_file(&text), &extension, &context);
            }
            Opened::Absent => {
                self.warnings
                    .push(format!("unable to lookup :include: file {path}: No such file or directory"));
                self.refuse(address, &context, Dsn::new(5, 3, 5), CONFIGURATION);
            }
            Opened::Refused(warning) => {
                self.warnings.push(warning);
                self.refuse(address, &context, Dsn::new(5, 3, 5), CONFIGURATION);
            }
            Opened::Unavailable(text) => self.refuse(address, &context, Dsn::new(4, 3, 0), text),
        }
    }

    fn user(&mut self, address: &Address, name: &Name, context: &Context) {
        let account = match self.ground.account(&name.user) {
            Ok(account) => account,
            Err(text) => return self.refuse(address, context, Dsn::new(4, 3, 0), text),
        };
        let extension = self.extension(address, name);
        let (recipient, domain) = (address.as_str(), address.domain().unwrap_or_default());
        let attributes = Attributes {
            account: account.as_ref(),
            recipient,
            local: &name.local,
            user: &name.user,
            extension: &extension,
            domain,
        };
        if let Some(account) = &account
            && context.forward.is_none()
            && !context.bypass
            && self.dot_forward(address, account, &attributes, context)
        {
            return;
        }
        if let Err(error) = self.mailbox(address, name, &attributes, context) {
            self.unsaid(address, context, &error);
        }
    }

    /// The extension, where it may be part of a path.
    fn extension(&mut self, address: &Address, name: &Name) -> String {
        let extension: String = name.extension.chars().skip(1).collect();
        if extension.contains('/') {
            self.warnings.push(format!("address with illegal extension: {}", address.local()));
            return String::new();
        }
        extension
    }

    /// Follows the user's `.forward` file; whether there was anything in it.
    fn dot_forward(
        &mut self,
        address: &Address,
        account: &Account,
        attributes: &Attributes<'_>,
        context: &Context,
    ) -> bool {
        for path in self.local.forward_paths(attributes) {
            let user = account.name.clone();
            let context = Context {
                forward: Some(user.clone()),
                chain: vec![Step::Forward { user, path }],
                ..context.clone()
            };
            match self.ground.forward(attributes, &context.chain) {
                Opened::Absent => {}
                Opened::Text(text) if self.probes && !text.is_empty() => {
                    let path = context.chain.first().map_or("", Step::path);
                    let action = Action::Found(format!("forward via file: {path}"));
                    self.put(address, &context, action);
                    return true;
                }
                Opened::Text(text) => {
                    let found = destinations_in_file(&text);
                    let at_home = |one: Destination| one.at_home(&account.home);
                    let found: Vec<Destination> = found.into_iter().map(at_home).collect();
                    let extension = if self.local.propagates.forward { attributes.extension } else { "" };
                    let is_empty = found.is_empty();
                    self.all(address, found, extension, &context);
                    return !is_empty;
                }
                Opened::Refused(warning) => {
                    self.warnings.push(warning);
                    return false;
                }
                Opened::Unavailable(text) => {
                    self.refuse(address, &context, Dsn::new(4, 3, 0), text);
                    return true;
                }
            }
        }
        false
    }

    /// mailbox_transport_maps, mailbox_transport, mailbox_command_maps, mailbox_command, the mailbox; for who isn't
    /// here fallback_transport_maps, fallback_transport, luser_relay.
    fn mailbox(
        &mut self,
        address: &Address,
        name: &Name,
        attributes: &Attributes<'_>,
        context: &Context,
    ) -> Result<(), LookupError> {
        let chosen =
            |maps: &[tables::TableId], otherwise: &str| chosen(maps, otherwise, &name.user, self.ground);
        let local = self.local;
        let own = chosen(&local.mailbox_transport_maps, &local.mailbox_transport)?;
        let other = match (&own, attributes.account) {
            (None, None) => chosen(&local.fallback_transport_maps, &local.fallback_transport)?,
            _ => None,
        };
        if let Some(transport) = own.or(other) {
            let (transport, nexthop) = transport_and_nexthop(&transport);
            let nexthop = if nexthop.is_empty() { local.hostname.as_str() } else { nexthop };
            let action = Action::Pass { transport: transport.to_owned(), nexthop: nexthop.to_owned() };
            self.put(address, context, action);
            return Ok(());
        }
        let Some(account) = attributes.account.cloned() else {
            self.nobody(address, name, attributes, context);
            return Ok(());
        };
        let command = local.mailbox_command_of(&name.user, self.ground)?;
        let action = match command {
            Some(command) => Action::MailboxCommand(account, command),
            None => Action::Mailbox(account),
        };
        // The mailbox is the user's, wherever we came from.
        self.put(address, &Context { chain: Vec::new(), ..context.clone() }, action);
        Ok(())
    }

    fn nobody(&mut self, address: &Address, name: &Name, attributes: &Attributes<'_>, context: &Context) {
        let relay = self.local.relay_for(attributes);
        if relay.is_empty() || context.is_relayed {
            let text = format!("unknown user: \"{}\"", name.user);
            return self.refuse(address, context, Dsn::new(5, 1, 1), text);
        }
        let context = Context { is_relayed: true, ..context.clone() };
        self.all(address, destinations(&relay), "", &context);
    }
}
