//! Where a dialogue is laid out: at a world's own root, or below a folder of its own for a server in this process.
//!
//! Dialogues speak of /etc/postfix, /var/mail and 127.0.0.1:10023. Below a folder of its own these are other paths
//! and ports; [`Place::inside`] puts them into what the server reads, [`Place::outside`] takes them out of what
//! it says.

use std::path::{Path, PathBuf};

/// The folders that dialogues name.
const FOLDERS: [&str; 6] =
    ["/etc/postfix", "/var/spool/postfix", "/var/mail", "/var/home", "/var/lib/postfix", "/var/log/mail.log"];

/// A root folder, and what is called otherwise there.
#[derive(Clone, Debug)]
pub struct Place {
    root: PathBuf,
    endpoints: Vec<(String, String)>,
}

impl Place {
    /// A world's root.
    #[must_use]
    pub fn world() -> Place {
        Place { root: PathBuf::from("/"), endpoints: Vec::new() }
    }

    /// A folder of its own.
    #[must_use]
    pub const fn below(root: PathBuf) -> Place {
        Place { root, endpoints: Vec::new() }
    }

    /// Whether this is a world, where everything has its usual name.
    #[must_use]
    pub fn is_world(&self) -> bool {
        self.root == Path::new("/")
    }

    /// `path`, which begins with a slash, here.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The configuration's folder.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path("/etc/postfix")
    }

    /// Postfix's queue, where policy servers have their sockets.
    #[must_use]
    pub fn queue(&self) -> PathBuf {
        self.path("/var/spool/postfix")
    }

    /// Where Komainu keeps its state.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.path("/var/lib/komainu")
    }

    /// Where the server logs.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path("/var/log/mail.log")
    }

    /// What the dialogue calls `named` is `actual` here.
    pub fn call(&mut self, named: &str, actual: &str) {
        self.endpoints.push((named.to_owned(), actual.to_owned()));
    }

    /// A configuration's text as the server is to read it.
    #[must_use]
    pub fn inside(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if self.is_world() {
            return text;
        }
        for folder in FOLDERS {
            text = text.replace(folder, &self.path(folder).display().to_string());
        }
        for (named, actual) in &self.endpoints {
            text = text.replace(named.as_str(), actual);
        }
        text
    }

    /// What the server says, as the dialogue calls it.
    #[must_use]
    pub fn outside(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if self.is_world() {
            return text;
        }
        text = text.replace(&self.root.display().to_string(), "");
        for (named, actual) in &self.endpoints {
            text = text.replace(actual.as_str(), named);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let mut place = Place::below("/tmp/x".into());
        place.call("127.0.0.1:10023", "127.0.0.1:40001");
        let text = "hash:/etc/postfix/access, inet:127.0.0.1:10023";
        assert_eq!(place.inside(text), "hash:/tmp/x/etc/postfix/access, inet:127.0.0.1:40001");
        assert_eq!(place.outside(&place.inside(text)), text);
        assert_eq!(Place::world().inside(text), text);
    }
}
