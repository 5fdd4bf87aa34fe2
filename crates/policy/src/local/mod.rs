//! What a local recipient stands for: aliases(5), `.forward` files, lists in files, and at the end of each way a
//! mailbox, a command, a file, or somebody else (local(8)).
//!
//! A pure function over tables and files, which [`Ground`] gives. Nothing is delivered, run or opened here. Its bounds
//! are Postfix's where it has any (a chain of aliases ends after 25), and a number of aliases for one recipient. Every
//! part carries the chain that led to it, so that whoever acts on it can look for himself that it is written there.
//! RFC 821 and 822 say nothing of all this.

mod expand;
mod settings;
#[cfg(test)]
mod tests;

pub use expand::{expand, probe};
pub use settings::{Allowed, Attributes, Local};

use mail::{Address, Dsn};
use tables::LookupError;

/// A user of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// The home directory.
    pub home: String,
    /// The log-in shell.
    pub shell: String,
}

impl Account {
    /// Reads a line of passwd(5).
    #[must_use]
    pub fn parse(line: &str) -> Option<Account> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1)?.to_owned();
        let shell = fields.next().unwrap_or_default().to_owned();
        Some(Account { name, uid, gid, home, shell })
    }

    /// Finds a user in the text of /etc/passwd.
    #[must_use]
    pub fn find(passwd: &str, name: &str) -> Option<Account> {
        Account::parse(passwd.lines().find(|line| line.split(':').next() == Some(name))?)
    }
}

/// Where a destination is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// In `alias_maps`, under this name.
    Alias(String),
    /// In this user's file.
    Forward {
        /// The user.
        user: String,
        /// The file.
        path: String,
    },
    /// In a file that the step before names.
    Include(String),
}

impl Step {
    /// The file that it is.
    pub(crate) fn path(&self) -> &str {
        match self {
            Step::Forward { path, .. } | Step::Include(path) => path,
            Step::Alias(_) => "",
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Into the user's mailbox.
    Mailbox(Account),
    /// `mailbox_command`, as the user.
    MailboxCommand(Account, String),
    /// A command, with the rights of whoever wrote it.
    Command(String),
    /// Appended to a file, or put into a Maildir, likewise.
    File(String),
    /// To somebody else: in a new message.
    Forward {
        /// To whom, complete.
        address: Address,
        /// The sender of the new message where it isn't the old one's: the list's owner.
        sender: Option<Address>,
    },
    /// By another transport.
    Pass {
        /// master.cf's name.
        transport: String,
        /// To whom it hands it.
        nexthop: String,
    },
    /// Nothing: the mail system's own addresses are dropped where nobody has made an alias for them.
    Discard,
    /// It can't be delivered, now or ever as the code's class says.
    Refuse(Dsn, String),
    /// It stands for something, as the text says: the answer to a probe.
    Found(String),
}

/// One thing to be done for a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The recipient as this part has it: an alias's member, or the recipient itself.
    pub recipient: Address,
    /// Whether the part's own address is what `X-Original-To` says: it is a list's, whose owner hears of trouble.
    pub is_original: bool,
    /// The owner of the list that it is a part of: mail goes to it in this name.
    pub owner: Option<Address>,
    /// Whether the owner hears of its failure: of commands and files that stand in the owner's own alias.
    pub is_owned: bool,
    /// How it was found.
    pub chain: Vec<Step>,
    /// What to do.
    pub action: Action,
    /// What was odd on the way, for the log.
    pub warnings: Vec<String>,
}

/// What became of looking for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// There is none.
    Absent,
    /// Its text.
    Text(Vec<u8>),
    /// It isn't safe to follow, or can't be read: the reason, in Postfix's words.
    Refused(String),
    /// It may be there; nobody can tell now.
    Unavailable(String),
}

/// What the expander asks of the world.
pub trait Ground: crate::address::Lookup<Stop = LookupError> {
    /// A user of this machine; as text why that can't be said.
    ///
    /// # Errors
    /// When the accounts can't be read.
    fn account(&self, name: &str) -> Result<Option<Account>, String>;
    /// A user's file of the kind of `.forward`, at the end of this chain.
    fn forward(&self, attributes: &Attributes<'_>, chain: &[Step]) -> Opened;
    /// A file that is included on behalf of `recipient`, at the end of this chain.
    fn include(&self, recipient: &Address, chain: &[Step]) -> Opened;
    /// Whether mail to a complete address is delivered by `local`.
    ///
    /// # Errors
    /// When a table can't say.
    fn is_local(&self, address: &Address) -> Result<bool, LookupError>;
    /// Whether the message says that it has been delivered to this address.
    fn was_delivered_to(&self, address: &Address) -> bool;
}
