//! fail2ban.conf: where the server writes its log, and where it is reached.

use crate::jails::read_layers;
use crate::layers::Files;
use crate::span;
use config::diagnostic::Diagnostic;
use std::path::Path;

/// fail2ban.conf's `[Definition]`, with what counts where it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `CRITICAL` to `HEAVYDEBUG`.
    pub loglevel: String,
    /// A file, `STDOUT`, `STDERR`, `SYSOUT`, `SYSLOG`.
    pub logtarget: String,
    /// For `SYSLOG`.
    pub syslogsocket: String,
    /// Whether addresses of IPv6 are looked at.
    pub allowipv6: String,
    /// Where the server is asked.
    pub socket: String,
    /// Where its process id is.
    pub pidfile: String,
    /// Where fail2ban keeps what it knows; `None` for nowhere.
    pub dbfile: String,
    /// How many lines of a ban are kept.
    pub dbmaxmatches: i64,
    /// For how long bans are remembered, as it was written.
    pub dbpurgeage: String,
}

impl Default for Server {
    fn default() -> Server {
        Server {
            loglevel: "INFO".to_owned(),
            logtarget: "/var/log/fail2ban.log".to_owned(),
            syslogsocket: "auto".to_owned(),
            allowipv6: "auto".to_owned(),
            socket: "/var/run/fail2ban/fail2ban.sock".to_owned(),
            pidfile: "/var/run/fail2ban/fail2ban.pid".to_owned(),
            dbfile: "/var/lib/fail2ban/fail2ban.sqlite3".to_owned(),
            dbmaxmatches: 10,
            dbpurgeage: "1d".to_owned(),
        }
    }
}

impl Server {
    /// For how many seconds bans are remembered.
    #[must_use]
    pub fn purge_s(&self) -> i64 {
        span::seconds(&self.dbpurgeage).unwrap_or(86_400)
    }
}

/// Reads fail2ban.conf, fail2ban.d and fail2ban.local. What can't be read has its default, and is said.
#[must_use]
pub fn read(files: &dyn Files, folder: &Path, found: &mut Vec<Diagnostic>) -> Server {
    let layers = read_layers(files, folder, "fail2ban", found);
    let mut server = Server::default();
    let fields = [
        ("loglevel", &mut server.loglevel),
        ("logtarget", &mut server.logtarget),
        ("syslogsocket", &mut server.syslogsocket),
        ("allowipv6", &mut server.allowipv6),
        ("socket", &mut server.socket),
        ("pidfile", &mut server.pidfile),
        ("dbfile", &mut server.dbfile),
        ("dbpurgeage", &mut server.dbpurgeage),
    ];
    for (name, field) in fields {
        match layers.value("Definition", name) {
            Ok(Some(text)) if !text.trim().is_empty() => text.trim().clone_into(field),
            Ok(_) => {}
            Err(error) => found.push(error.said()),
        }
    }
    if let Ok(Some(text)) = layers.value("Definition", "dbmaxmatches") {
        server.dbmaxmatches = text.trim().parse().unwrap_or(server.dbmaxmatches);
    }
    server
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    struct Memory(BTreeMap<PathBuf, &'static str>);

    impl Files for Memory {
        fn read(&self, path: &Path) -> Result<Option<String>, String> {
            Ok(self.0.get(path).map(|text| (*text).to_owned()))
        }
        fn list(&self, folder: &Path) -> Vec<PathBuf> {
            self.0.keys().filter(|path| path.parent() == Some(folder)).cloned().collect()
        }
    }

    #[test]
    fn the_local_file_wins() {
        let mut found = Vec::new();
        assert_eq!(read(&Memory(BTreeMap::new()), Path::new("/f"), &mut found), Server::default());
        let files = [
            (
                "/f/fail2ban.conf",
                "[DEFAULT]\n[Definition]\nloglevel = INFO\nsocket = /run/a\ndbpurgeage = 2d\n",
            ),
            ("/f/fail2ban.d/x.conf", "[Definition]\nlogtarget = SYSLOG\ndbfile = None\n"),
            (
                "/f/fail2ban.local",
                "[Definition]\nsocket = /run/%(loglevel)s\npidfile = %(no)s\ndbmaxmatches = 3\n",
            ),
        ];
        let files = Memory(files.map(|(path, text)| (PathBuf::from(path), text)).into());
        let server = read(&files, Path::new("/f"), &mut found);
        let expect = Server {
            socket: "/run/INFO".into(),
            logtarget: "SYSLOG".into(),
            dbfile: "None".into(),
            dbmaxmatches: 3,
            dbpurgeage: "2d".into(),
            ..Server::default()
        };
        assert_eq!((server.purge_s(), server), (172_800, expect));
        assert_eq!(found.len(), 1, "{found:?}");
    }
}
