//! fail2ban.conf: what the engine itself is told, not its jails. T2.21.
//!
//! `fail2ban.conf`, `fail2ban.d/*.conf`, `fail2ban.local`, `fail2ban.d/*.local`, in this order. Where its log goes and what of
//! it, its socket and its pid file count; what is kept has a place of its own, and a setting for fail2ban's database that
//! somebody wrote is said to have no effect.

use ban::layers::Files;
use config::diagnostic::Diagnostic;
use std::path::{Path, PathBuf};

/// The packages' own places.
const SOCKET: &str = "/var/run/fail2ban/fail2ban.sock";
const PID_FILE: &str = "/var/run/fail2ban/fail2ban.pid";
const LOG: &str = "/var/log/fail2ban.log";

/// How much is said: fail2ban's levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What must not be.
    Critical,
    /// What went wrong.
    Error,
    /// What may be wrong.
    Warning,
    /// Bans and their ends.
    Notice,
    /// Failures.
    Info,
    /// All that there is.
    Debug,
}

impl Level {
    /// As it stands in a line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Critical => "CRITICAL",
            Level::Error => "ERROR",
            Level::Warning => "WARNING",
            Level::Notice => "NOTICE",
            Level::Info => "INFO",
            Level::Debug => "DEBUG",
        }
    }

    /// Reads `loglevel`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Level> {
        Some(match text.trim().to_ascii_uppercase().as_str() {
            "CRITICAL" => Level::Critical,
            "ERROR" => Level::Error,
            "WARNING" => Level::Warning,
            "NOTICE" => Level::Notice,
            "INFO" => Level::Info,
            "DEBUG" | "TRACEDEBUG" | "HEAVYDEBUG" => Level::Debug,
            _ => return None,
        })
    }
}

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file.
    File(PathBuf),
    /// The syslog socket.
    Syslog,
    /// The journal.
    Journal,
    /// Standard output, or the error output.
    Stdout,
}

impl Target {
    /// Reads `logtarget`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Target> {
        let text = text.split('[').next().unwrap_or(text).trim();
        match text.to_ascii_uppercase().as_str() {
            "STDOUT" | "STDERR" | "SYSOUT" => Some(Target::Stdout),
            "SYSLOG" => Some(Target::Syslog),
            "SYSTEMD-JOURNAL" => Some(Target::Journal),
            _ if text.starts_with('/') => Some(Target::File(PathBuf::from(text))),
            _ => None,
        }
    }
}

/// What the engine is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// `loglevel`.
    pub level: Level,
    /// `logtarget`.
    pub target: Target,
    /// `socket`.
    pub socket: PathBuf,
    /// `pidfile`.
    pub pid_file: PathBuf,
    /// `dbfile`, from which an import may come.
    pub database: Option<PathBuf>,
    /// `dbpurgeage`: for how many seconds a ban that ended is remembered.
    pub remembered_s: i64,
}

impl Default for Daemon {
    fn default() -> Daemon {
        Daemon {
            level: Level::Info,
            target: Target::File(LOG.into()),
            socket: SOCKET.into(),
            pid_file: PID_FILE.into(),
            database: None,
            remembered_s: 86_400,
        }
    }
}

/// Reads fail2ban.conf and what stands over it.
#[must_use]
pub fn read(files: &dyn Files, folder: &Path) -> (Daemon, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let layers = ban::jails::read_layers(files, folder, "fail2ban", &mut found);
    let mut daemon = Daemon::default();
    let value = |name: &str, found: &mut Vec<Diagnostic>| match layers.value("Definition", name) {
        Ok(text) => text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
        Err(unresolved) => {
            found.push(unresolved.said());
            None
        }
    };
    let place = |name: &str| layers.raw("Definition", name).map(|value| value.place.clone());
    let wrong = |name: &str, text: &str, help: &str, found: &mut Vec<Diagnostic>| {
        let place = place(name).unwrap_or(config::Place::nowhere());
        let message = format!("`{name} = {text}` can't be read");
        found.push(Diagnostic::error(660, place, message).help(help.to_owned()));
    };
    if let Some(text) = value("loglevel", &mut found) {
        match Level::parse(&text) {
            Some(level) => daemon.level = level,
            None => wrong(
                "loglevel",
                &text,
                "write CRITICAL, ERROR, WARNING, NOTICE, INFO or DEBUG; INFO counts meanwhile",
                &mut found,
            ),
        }
    }
    if let Some(text) = value("logtarget", &mut found) {
        match Target::parse(&text) {
            Some(target) => daemon.target = target,
            None => wrong(
                "logtarget",
                &text,
                "write a path that begins with /, SYSLOG, SYSTEMD-JOURNAL or STDOUT; \
                 /var/log/fail2ban.log counts meanwhile",
                &mut found,
            ),
        }
    }
    for (name, path) in [("socket", &mut daemon.socket), ("pidfile", &mut daemon.pid_file)] {
        match value(name, &mut found).map(PathBuf::from) {
            Some(given) if given.is_absolute() => *path = given,
            Some(given) => {
                wrong(name, &given.display().to_string(), "write a path that begins with /", &mut found);
            }
            None => {}
        }
    }
    if let Some(text) = value("dbpurgeage", &mut found) {
        match ban::span::seconds(&text) {
            Some(seconds) => daemon.remembered_s = seconds,
            None => wrong("dbpurgeage", &text, "write seconds, or a time like `1d`", &mut found),
        }
    }
    daemon.database = value("dbfile", &mut found).map(PathBuf::from).filter(|path| path.is_absolute());
    let own_words = |place: &config::Place| place.path().is_some_and(|path| !path.ends_with("fail2ban.conf"));
    for name in ["dbfile", "dbmaxmatches", "syslogsocket"] {
        if let Some(place) = place(name).filter(own_words) {
            let message = format!("`{name}` has no effect");
            found.push(Diagnostic::warning(661, place, message).help(
                "bans are kept in the state folder of Komainu; the database of fail2ban is only read, once, to take them over",
            ));
        }
    }
    (daemon, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    struct Texts(BTreeMap<PathBuf, &'static str>);

    impl Files for Texts {
        fn read(&self, path: &Path) -> Result<Option<String>, String> {
            Ok(self.0.get(path).map(|text| (*text).to_owned()))
        }

        fn list(&self, folder: &Path) -> Vec<PathBuf> {
            self.0.keys().filter(|path| path.parent() == Some(folder)).cloned().collect()
        }
    }

    fn check(files: &[(&str, &'static str)]) -> (Daemon, Vec<String>) {
        let texts = files.iter().map(|(path, text)| (Path::new("/f").join(path), *text)).collect();
        let (daemon, found) = read(&Texts(texts), Path::new("/f"));
        (daemon, found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn files_on_top_of_each_other() {
        let (daemon, found) = check(&[
            ("fail2ban.conf", "[Definition]\nloglevel = INFO\nlogtarget = /var/log/f.log\ndbfile = /db\n"),
            ("fail2ban.d/a.conf", "[Definition]\nsocket = /run/a\npidfile = /run/%(loglevel)s\n"),
            ("fail2ban.local", "[Definition]\nloglevel = notice\n"),
            ("fail2ban.d/b.local", "[Definition]\nlogtarget = SYSLOG\ndbpurgeage = 2d\n"),
        ]);
        assert!(found.is_empty(), "{found:?}");
        let expect = Daemon {
            level: Level::Notice,
            target: Target::Syslog,
            socket: "/run/a".into(),
            pid_file: "/run/notice".into(),
            database: Some("/db".into()),
            remembered_s: 172_800,
        };
        assert_eq!(daemon, expect);
        assert_eq!(check(&[]).0, Daemon::default());
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let (daemon, found) = check(&[(
            "fail2ban.local",
            "[Definition]\nloglevel = LOUD\nlogtarget = log\nsocket = s\ndbfile = /x\ndbpurgeage = never\n",
        )]);
        assert_eq!(Daemon { database: None, ..daemon }, Daemon::default());
        for expect in [
            "2:1: error[K0660]",
            "3:1: error[K0660]",
            "4:1: error[K0660]",
            "6:1: error[K0660]",
            "5:1: warning[K0661]",
        ] {
            assert!(found.iter().any(|line| line.contains(expect)), "{expect}: {found:#?}");
        }
        assert_eq!(found.len(), 5, "{found:#?}");
    }
}
