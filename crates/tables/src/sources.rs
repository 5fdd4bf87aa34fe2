//! Where tables come from: the program's side of this crate.
//!
//! This crate opens no file. The program reads them, perhaps through its privileged helper (mode 600, owner root),
//! and answers for the system's accounts (`unix:passwd.byname`). [`AccountFiles`] is the plain answer: the text of
//! /etc/passwd and /etc/group; a program that wants NSS implements [`Accounts`] itself.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// The longest table source that is read: a sane bound, several million entries.
pub const SOURCE_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Gives the contents of files and the system's accounts.
pub trait Sources {
    /// The bytes of the file `path`.
    ///
    /// # Errors
    /// When it can't be opened or read.
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError>;

    /// When the file `path` was last changed; `None` where nobody knows. It decides between a table's text and the
    /// database that postmap made of it.
    fn modified(&self, path: &Path) -> Option<SystemTime> {
        let _ = path;
        None
    }

    /// Who may do what with the file `path`, as the bits of chmod(1); `None` where nobody knows.
    fn mode(&self, path: &Path) -> Option<u32> {
        let _ = path;
        None
    }

    /// What may be asked of the machine beside its files.
    fn vantage(&self) -> Vantage {
        Vantage::Looking
    }

    /// The variables of the program's environment, for `environ:` tables.
    fn environment(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The system's accounts. As given here: the files /etc/passwd and /etc/group.
    ///
    /// # Errors
    /// When they can't be had.
    fn accounts(&self) -> Result<Arc<dyn Accounts>, SourceError> {
        let passwd = self.read(Path::new(PASSWD))?;
        let group = self.read(Path::new(GROUP))?;
        Ok(Arc::new(AccountFiles::parse(&String::from_utf8_lossy(&passwd), &String::from_utf8_lossy(&group))))
    }
}

/// From where a configuration is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vantage {
    /// By the server itself: hosts that it names are looked up as the system does, in the DNS too.
    Serving,
    /// By whoever only looks at it: hosts are looked up in the hosts file, and others are left open.
    Looking,
    /// On another machine than the one that it is for: that one's files and hosts are left open.
    Elsewhere,
}

/// The file behind `unix:passwd.byname`.
pub const PASSWD: &str = "/etc/passwd";
/// The file behind `unix:group.byname`.
pub const GROUP: &str = "/etc/group";

/// Why a file could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// There is none of this name.
    #[error("open {}: No such file or directory", .0.display())]
    Missing(PathBuf),
    /// The program may not read it.
    #[error("open {}: Permission denied", .0.display())]
    Denied(PathBuf),
    /// It is longer than [`SOURCE_BYTES_MAX`].
    #[error("open {}: file too large", .0.display())]
    TooLarge(PathBuf),
    /// Anything else, in the system's words.
    #[error("open {}: {reason}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
}

/// The system's users and groups, asked by name.
pub trait Accounts: fmt::Debug + Send + Sync {
    /// The passwd(5) line of the user `name`.
    ///
    /// # Errors
    /// When the account database can't be asked; the text says why.
    fn passwd(&self, name: &str) -> Result<Option<String>, String>;

    /// The group(5) line of the group `name`.
    ///
    /// # Errors
    /// When the account database can't be asked; the text says why.
    fn group(&self, name: &str) -> Result<Option<String>, String>;
}

/// Accounts out of the text of passwd(5) and group(5).
#[derive(Clone, Debug, Default)]
pub struct AccountFiles {
    passwd: HashMap<String, String>,
    group: HashMap<String, String>,
}

impl AccountFiles {
    /// Reads both texts; the first line for a name counts.
    #[must_use]
    pub fn parse(passwd: &str, group: &str) -> AccountFiles {
        AccountFiles { passwd: lines_by_name(passwd), group: lines_by_name(group) }
    }
}

fn lines_by_name(text: &str) -> HashMap<String, String> {
    let mut lines = HashMap::new();
    for line in text.lines() {
        if let Some((name, _)) = line.split_once(':')
            && !name.is_empty()
            && !name.starts_with('#')
        {
            lines.entry(name.to_owned()).or_insert_with(|| line.to_owned());
        }
    }
    lines
}

impl Accounts for AccountFiles {
    fn passwd(&self, name: &str) -> Result<Option<String>, String> {
        Ok(self.passwd.get(name).cloned())
    }

    fn group(&self, name: &str) -> Result<Option<String>, String> {
        Ok(self.group.get(name).cloned())
    }
}
