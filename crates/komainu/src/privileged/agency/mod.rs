//! Local deliveries: on whose behalf, and what they do to files and programs.
//!
//! The privileged helper has one of these, read from the configuration by itself; so has a server without root's rights,
//! for what it does as itself. Nobody hands it an id or a path to write to: a request says for which recipient and by which
//! chain of files something is to be done, and each link is looked for again, so that a server that was broken into can
//! run and write nothing but what the administrator or the user has written there. Never as root (local(8), DELIVERY
//! RIGHTS): root's aliases act as `default_privs`, and root has no mailbox.

mod acts;
#[cfg(test)]
mod demands;
mod links;
mod piped;
mod room;
mod virtuals;
mod written;

pub(crate) use links::FILE_BYTES_MAX;
pub(crate) use piped::pipe;

use super::kept::Kept;
use super::wire::{Answer, LocalAct, LocalRequest};
use super::{Accounts, Identity};
use crate::configuration::DirectSources;
use crate::deliver::ending::Ending;
use crate::deliver::mailbox_file::Locks;
use config::Parameters;
use mail::Address;
use mail::destination::Destination;
use policy::address::AddressClasses;
use policy::local::{Account, Attributes, Local, Step};
use rustix::fd::OwnedFd;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tables::{Catalogue, Snapshot};
use virtuals::Virtuals;
use written::{Kind, Parsed, Written};

/// Tables as they are at each look.
#[derive(Debug)]
struct Books {
    catalogue: Catalogue,
    paths: Vec<PathBuf>,
    kept: Kept<Snapshot>,
}

impl Books {
    fn new(catalogue: Catalogue) -> Books {
        Books { paths: catalogue.paths(), catalogue, kept: Kept::default() }
    }

    fn now(&self) -> Arc<Snapshot> {
        self.kept.current(&self.paths, || Snapshot::compile(&self.catalogue, &DirectSources).0)
    }
}

/// What main.cf says about local deliveries.
#[derive(Debug)]
pub struct Agency {
    local: Local,
    books: Books,
    parsed: Parsed,
    classes: Arc<AddressClasses>,
    home_mailbox: String,
    spool_directory: String,
    mailbox_limit: u64,
    locks: Locks,
    strict_ownership: bool,
    default_privs: String,
    queue_directory: String,
    shell: String,
    time_limit: Duration,
    command_filter: String,
    exported: Vec<(String, String)>,
    host: String,
    accounts: Accounts,
    virtuals: Virtuals,
    /// Whether there are root's rights to take others' on.
    switches: bool,
}

/// Reads `mailbox_delivery_lock` or `virtual_mailbox_lock`.
#[must_use]
pub fn locks(p: &Parameters, name: &str) -> Locks {
    let words: Vec<String> = p.list(name).into_iter().map(|word| word.value).collect();
    let has = |word: &str| words.iter().any(|other| other == word);
    Locks {
        fcntl: has("fcntl"),
        flock: has("flock"),
        dotlock: has("dotlock"),
        attempts: u32::try_from(p.number("deliver_lock_attempts")).unwrap_or(20),
        delay: p.duration("deliver_lock_delay"),
        stale: p.duration("stale_lock_time"),
        ending: Ending::default(),
    }
}

/// A bare name, or a name and its value.
fn variable(word: &str) -> (&str, Option<&str>) {
    let word = word.trim_matches(['{', '}']).trim();
    word.split_once('=').map_or((word, None), |(name, value)| (name.trim(), Some(value.trim())))
}

/// `export_environment`: what programs find in their environment of `import_environment`, of our own, and of MAIL_CONFIG.
fn exported(p: &Parameters) -> Vec<(String, String)> {
    let imported = p.list("import_environment");
    let value = |name: &str| {
        let known = imported.iter().map(|word| variable(&word.value)).find(|(other, _)| *other == name);
        match known {
            Some((_, Some(value))) => Some(value.to_owned()),
            _ if name == "MAIL_CONFIG" => Some(p.text("config_directory").value),
            Some((_, None)) => std::env::var(name).ok(),
            None => None,
        }
    };
    let exported = p.list("export_environment");
    let pairs = exported.iter().filter_map(|word| {
        let (name, given) = variable(&word.value);
        Some((name.to_owned(), given.map(str::to_owned).or_else(|| value(name))?))
    });
    pairs.collect()
}

/// Why something isn't done: `4.3.5 text`.
type Refusal = String;

/// What a server is told that asks for more than it may.
fn not_written() -> Refusal {
    "4.3.5 nobody has written that down".to_owned()
}

impl Agency {
    /// Reads the parameters.
    #[must_use]
    pub fn compile(p: &Parameters, classes: &Arc<AddressClasses>, switches: bool) -> Agency {
        let mut catalogue = Catalogue::new();
        let local = Local::compile(p, &mut catalogue);
        let text = |name: &str| p.text(name).value;
        let exported = exported(p);
        Agency {
            local,
            books: Books::new(catalogue),
            parsed: Parsed::default(),
            classes: Arc::clone(classes),
            home_mailbox: text("home_mailbox"),
            spool_directory: text("mail_spool_directory"),
            mailbox_limit: u64::try_from(p.number("mailbox_size_limit")).unwrap_or(0),
            locks: locks(p, "mailbox_delivery_lock"),
            strict_ownership: p.flag("strict_mailbox_ownership"),
            default_privs: text("default_privs"),
            queue_directory: text("queue_directory"),
            shell: text("local_command_shell"),
            time_limit: p.duration("command_time_limit"),
            command_filter: text("command_expansion_filter"),
            exported,
            host: text("myhostname"),
            accounts: Accounts::new(Path::new(tables::sources::PASSWD)),
            virtuals: Virtuals::compile(p),
            switches,
        }
    }

    /// Whether users' mailboxes are Maildirs.
    #[must_use]
    pub fn has_maildirs(&self) -> bool {
        let path = if self.home_mailbox.is_empty() { &self.spool_directory } else { &self.home_mailbox };
        path.ends_with('/')
    }

    /// The same for the accounts of another file than /etc/passwd.
    #[must_use]
    pub fn with_accounts(self, passwd: &Path) -> Agency {
        Agency { accounts: Accounts::new(passwd), ..self }
    }

    /// The same, that shares an ending with others.
    #[must_use]
    pub fn with_ending(mut self, ending: &Ending) -> Agency {
        self.locks.ending = ending.clone();
        self
    }

    /// When nothing is waited for any more.
    #[must_use]
    pub const fn ending(&self) -> &Ending {
        &self.locks.ending
    }

    /// What main.cf says about expansion.
    #[must_use]
    pub const fn local(&self) -> &Local {
        &self.local
    }

    /// Does what a request asks for; blocks.
    #[must_use]
    pub fn perform(&self, request: &LocalRequest, content: Option<File>) -> (Answer, Option<OwnedFd>) {
        match self.whose(request) {
            Ok(whose) => acts::act(self, request, &whose, content),
            Err(text) => (Answer::Temporary(text), None),
        }
    }

    /// The name of whom a request is for, user or alias.
    pub(super) fn account_name(&self, request: &LocalRequest) -> String {
        let local = Address::from_internal(request.recipient.as_str()).local().to_lowercase();
        self.classes.split_extension(&local).map_or(local.as_str(), |(name, _)| name).to_owned()
    }

    /// The users of this machine.
    #[must_use]
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    fn account(&self, name: &str) -> Result<Option<Account>, Refusal> {
        self.accounts.find(name).map_err(|error| format!("4.3.0 {error}"))
    }

    /// On whose behalf, after each link of the chain has been found.
    fn whose(&self, request: &LocalRequest) -> Result<Whose, Refusal> {
        let recipient = Address::from_internal(request.recipient.as_str());
        let local = recipient.local().to_lowercase();
        let (name, extension) = self.classes.split_extension(&local).unwrap_or((&local, ""));
        let user = match request.chain.first() {
            Some(Step::Alias(_)) => None,
            _ => self.account(name)?,
        };
        let mut whose = Whose {
            recipient: recipient.as_str().to_owned(),
            local: local.clone(),
            name: name.to_owned(),
            extension: extension.chars().skip(1).filter(|c| *c != '/').collect(),
            domain: recipient.domain().unwrap_or_default().to_owned(),
            identity: Identity::own(),
            user,
            is_of_root: false,
        };
        if extension.contains('/') {
            whose.extension.clear();
        }
        let mut written: Option<Arc<Written>> = None;
        for (at, step) in request.chain.iter().enumerate() {
            // A chain begins with whom mail is for; from there only lists lead on.
            if at > 0 && !matches!(step, Step::Include(_)) {
                return Err(not_written());
            }
            let is_last = at + 1 == request.chain.len();
            // The last link is what is asked for.
            let reads = !(is_last && request.is_look());
            written = self.follow(step, written.as_deref(), &mut whose, reads)?;
        }
        if request.chain.is_empty() {
            let user = whose.user.clone().ok_or_else(|| format!("4.3.5 there is no user {name}"))?;
            whose.identity = self.identity_of(&user)?;
        }
        if self.is_written(request, written.as_deref()) { Ok(whose) } else { Err(not_written()) }
    }

    /// Whether what is asked for is the configuration's, or stands at the chain's end and may stand there.
    fn is_written(&self, request: &LocalRequest, written: Option<&Written>) -> bool {
        let is_named = || written.is_some_and(|written| request.is_named_in(written));
        match &request.act {
            LocalAct::Look => written.is_none() && !request.chain.is_empty(),
            // Where these go and what they run is main.cf's.
            LocalAct::Mailbox | LocalAct::MailboxCommand(_) => request.chain.is_empty(),
            LocalAct::Command(_) => self.local.commands().at_end_of(&request.chain) && is_named(),
            LocalAct::File(_) => self.local.files().at_end_of(&request.chain) && is_named(),
        }
    }

    /// One link: whether it may be followed, and what is written at its end.
    fn follow(
        &self,
        step: &Step,
        before: Option<&Written>,
        whose: &mut Whose,
        reads: bool,
    ) -> Result<Option<Arc<Written>>, Refusal> {
        let not_there = not_written;
        match step {
            Step::Alias(name) => {
                let (value, owner) = self.alias(name)?.ok_or_else(not_there)?;
                whose.identity = self.owner(owner)?;
                whose.is_of_root = self.switches && owner == 0;
                Ok(Some(self.parsed.of(Kind::Value, value.into_bytes())))
            }
            Step::Forward { user, path } => {
                let account =
                    whose.user.clone().filter(|account| account.name == *user).ok_or_else(not_there)?;
                if !self.local.forward_paths(&whose.attributes()).contains(path) {
                    return Err(not_there());
                }
                whose.identity = self.identity_of(&account)?;
                if !reads {
                    return Ok(None);
                }
                let text = whose.identity.act(|| links::forward_text(path, account.uid));
                let written = self.parsed.of(Kind::File, links::text(text)?);
                Ok(Some(written::at_home(written, &account.home)))
            }
            Step::Include(path) => {
                let named = Destination::Include(path.clone());
                if !before.is_some_and(|before| before.contains(&named)) {
                    return Err(not_there());
                }
                let of_user = whose.user.is_some();
                let owner = links::owner_of(path);
                if !of_user && let Ok(owner) = owner {
                    whose.identity = self.owner(owner)?;
                }
                whose.is_of_root &= !of_user && links::is_of_root(path);
                if !reads {
                    return Ok(None);
                }
                let text = whose.reading(|| links::include_text(path));
                links::text(text).map(|text| Some(self.parsed.of(Kind::File, text)))
            }
        }
    }

    /// An alias's value, and who owns the table that has it.
    fn alias(&self, name: &str) -> Result<Option<(String, u32)>, Refusal> {
        let snapshot = self.books.now();
        for map in self.local.alias_maps() {
            let table = snapshot.table(*map);
            let hit = table.lookup(name).map_err(|error| format!("4.3.0 {error}"))?;
            if let Some(hit) = hit {
                let owner =
                    table.file().map_or(0, |file| links::owner_of(&file.display().to_string()).unwrap_or(0));
                return Ok(Some((hit.value.into_owned(), owner)));
            }
        }
        Ok(None)
    }

    fn identity_of(&self, account: &Account) -> Result<Identity, Refusal> {
        if !self.switches {
            let own = Identity::own();
            return if account.uid == own.uid || account.uid == 0 {
                Ok(own)
            } else {
                Err(format!("4.3.5 no rights to deliver as user {}", account.name))
            };
        }
        if account.uid == 0 {
            return self.default_identity();
        }
        if account.gid == 0 {
            return Err(format!("4.3.5 no delivery as user {} with gid 0", account.name));
        }
        Ok(Identity::of(account.uid, account.gid, true))
    }

    /// Whoever owns a file; root's are `default_privs`' business.
    fn owner(&self, uid: u32) -> Result<Identity, Refusal> {
        if !self.switches {
            return Ok(Identity::own());
        }
        if uid == 0 {
            return self.default_identity();
        }
        match self.accounts.owner(uid).map_err(|error| format!("4.3.0 {error}"))? {
            Some(account) => self.identity_of(&account),
            None => Err(format!("4.3.5 no account has uid {uid}")),
        }
    }

    fn default_identity(&self) -> Result<Identity, Refusal> {
        let account = self.account(&self.default_privs)?;
        match account {
            Some(account) if account.uid != 0 && account.gid != 0 => {
                Ok(Identity::of(account.uid, account.gid, true))
            }
            _ => Err(format!("4.3.5 default_privs: no unprivileged user {}", self.default_privs)),
        }
    }
}

/// For whom something is done.
#[derive(Debug)]
pub(super) struct Whose {
    recipient: String,
    local: String,
    name: String,
    extension: String,
    domain: String,
    /// Where it is a user, not an alias.
    user: Option<Account>,
    identity: Identity,
    /// The way so far is root's alone, from the alias table on: its lists are read with root's rights.
    is_of_root: bool,
}

impl Whose {
    /// Reads the last list of the way.
    fn reading<T>(&self, read: impl FnOnce() -> T) -> std::io::Result<T> {
        if self.is_of_root { Ok(read()) } else { self.identity.act(read) }
    }

    fn attributes(&self) -> Attributes<'_> {
        Attributes {
            account: self.user.as_ref(),
            recipient: &self.recipient,
            local: &self.local,
            user: &self.name,
            extension: &self.extension,
            domain: &self.domain,
        }
    }
}
