//! The users of this machine: a passwd(5) file, read again when it is another.
//!
//! Name services beyond the file are not asked.

use super::kept::Kept;
use policy::local::Account;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Users by name and by id.
#[derive(Debug)]
pub struct Accounts {
    path: PathBuf,
    kept: Kept<Result<Listed, String>>,
}

#[derive(Debug, Default)]
struct Listed {
    by_name: HashMap<String, Account>,
    names: HashMap<u32, String>,
}

impl Accounts {
    /// Those in the file at `path`.
    #[must_use]
    pub fn new(path: &Path) -> Accounts {
        Accounts { path: path.to_owned(), kept: Kept::default() }
    }

    /// A user by name.
    ///
    /// # Errors
    /// Why the file can't be read.
    pub fn find(&self, name: &str) -> Result<Option<Account>, String> {
        self.look(|listed| listed.by_name.get(name).cloned())
    }

    /// The first user who has an id.
    ///
    /// # Errors
    /// Why the file can't be read.
    pub fn owner(&self, uid: u32) -> Result<Option<Account>, String> {
        self.look(|listed| listed.by_name.get(listed.names.get(&uid)?).cloned())
    }

    fn look<T>(&self, of: impl FnOnce(&Listed) -> T) -> Result<T, String> {
        let listed = self.kept.current(std::slice::from_ref(&self.path), || {
            let bytes = std::fs::read(&self.path).map_err(|error| error.to_string())?;
            Ok(Listed::read(&String::from_utf8_lossy(&bytes)))
        });
        match &*listed {
            Ok(listed) => Ok(of(listed)),
            Err(error) => Err(error.clone()),
        }
    }
}

impl Listed {
    /// Of two lines for one name or id, the first counts.
    fn read(text: &str) -> Listed {
        let mut listed = Listed::default();
        for account in text.lines().filter_map(Account::parse) {
            if !listed.by_name.contains_key(&account.name) {
                listed.names.entry(account.uid).or_insert_with(|| account.name.clone());
                listed.by_name.insert(account.name.clone(), account);
            }
        }
        listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_counts() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "a:x:7:8::/home/a:/bin/sh\nb:x:7:9::/home/b:/bin/sh\nbad line\na:x:1:1::/:/x\n";
        std::fs::write(file.path(), text).unwrap();
        let accounts = Accounts::new(file.path());
        assert_eq!(accounts.find("a").unwrap().unwrap().home, "/home/a");
        assert_eq!(accounts.find("b").unwrap().unwrap().gid, 9);
        assert_eq!(accounts.find("bad line").unwrap(), None);
        assert_eq!(accounts.owner(7).unwrap().unwrap().name, "a");
        assert_eq!(accounts.owner(1).unwrap(), None);
        std::fs::write(file.path(), "c:x:5:5::/:/x\n").unwrap();
        assert_eq!(accounts.find("a").unwrap(), None);
        drop(file);
        assert!(accounts.find("a").is_err());
    }
}
