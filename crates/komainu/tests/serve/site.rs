//! A configuration with everything that belongs to it, in a folder of the test's own.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The account that owns virtual mailboxes in a world.
pub(crate) const VMAIL: u32 = 5000;
/// The account that the server becomes in a world.
pub(crate) const KOMAINU: u32 = 2999;

/// A folder with `etc`, `state`, `mail`, `log`.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    port: u16,
}

/// A port that nobody has just now.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}

/// Waits until `found` gives something; panics with `what` when it doesn't for long.
pub(crate) fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < patience, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Site {
    /// A site that takes mail for example.com on one free port of 127.0.0.1; `main` is added to its main.cf.
    pub(crate) fn new(main: &str) -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("mode");
        for name in ["etc", "mail", "log"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
            let mode = if name == "etc" { 0o755 } else { 0o777 };
            fs::set_permissions(folder.path().join(name), PermissionsExt::from_mode(mode)).expect("mode");
        }
        let site = Site { folder, port: free_port() };
        site.main(main);
        site.write("master.cf", &format!("127.0.0.1:{} inet n - n - - smtpd\n", site.port));
        site
    }

    /// Writes main.cf: what every test has, and `more`.
    pub(crate) fn main(&self, more: &str) {
        self.write("main.cf", &self.main_text(more));
    }

    /// main.cf's text with `more`; settings there win.
    pub(crate) fn main_text(&self, more: &str) -> String {
        let root = self.path("").display().to_string();
        let root = root.trim_end_matches('/');
        format!(
            "compatibility_level = 3.6\n\
             myhostname = mx.example.com\n\
             mydestination = example.com\n\
             mynetworks = 192.0.2.1/32\n\
             local_recipient_maps =\n\
             alias_maps =\n\
             smtpd_peername_lookup = no\n\
             smtpd_relay_restrictions = reject_unauth_destination\n\
             queue_directory = {root}/spool\n\
             komainu_state_directory = {root}/state\n\
             komainu_mailbox_root = {root}/mail\n\
             komainu_log = {root}/log/mail.log\n\
             komainu_auto_reload = no\n\
             {more}\n"
        )
    }

    /// Mail for virtual.example goes to Maildirs of the account `vmail`, by the helper.
    pub(crate) fn virtual_lines(&self) -> String {
        let base = self.path("vmail");
        fs::create_dir_all(&base).expect("a folder");
        chown(&base, Some(VMAIL), Some(VMAIL)).expect("owner");
        format!(
            "virtual_mailbox_domains = virtual.example\n\
             virtual_mailbox_maps = static:box/\n\
             virtual_mailbox_base = {}\n\
             virtual_uid_maps = static:{VMAIL}\n\
             virtual_gid_maps = static:{VMAIL}\n",
            base.display()
        )
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path("etc").join(name), text).expect("writes");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn etc(&self) -> PathBuf {
        self.path("etc")
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The log so far: lines are written a moment after what they tell, so this waits until no more come just then.
    pub(crate) fn log(&self) -> String {
        let patience = Instant::now() + Duration::from_secs(1);
        let mut log = self.log_now();
        loop {
            std::thread::sleep(Duration::from_millis(60));
            let later = self.log_now();
            if later.len() == log.len() || Instant::now() > patience {
                return later;
            }
            log = later;
        }
    }

    /// The log as it is this very moment.
    fn log_now(&self) -> String {
        let bytes = fs::read(self.path("log/mail.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits for a log line that has `text`, behind the first `after` bytes.
    pub(crate) fn logged(&self, text: &str, after: usize) -> String {
        let found = || {
            let log = self.log_now();
            log.get(after..)?.lines().find(|line| line.contains(text)).map(str::to_owned)
        };
        until(&format!("{text:?} in the log"), found)
    }

    /// Every delivered message below `mail` and `vmail`.
    pub(crate) fn delivered(&self) -> Vec<(PathBuf, String)> {
        let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).expect("reads")).into_owned();
        self.delivered_files().into_iter().map(|path| (path.clone(), text(&path))).collect()
    }

    /// Where they are.
    pub(crate) fn delivered_files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.path("mail"), self.path("vmail")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if folder.ends_with("new") {
                    found.push(path);
                }
            }
        }
        found
    }

    /// Waits for a delivered message that has `text`.
    pub(crate) fn delivered_with(&self, text: &str) -> String {
        until(&format!("a message with {text:?}"), || self.find_delivered(text))
    }

    /// A delivered message that has `text`, if there is one by now.
    pub(crate) fn find_delivered(&self, text: &str) -> Option<String> {
        self.delivered().into_iter().map(|(_, message)| message).find(|message| message.contains(text))
    }
}

/// Saves a file as an editor does: written beside, renamed into place.
pub(crate) fn save(path: &Path, text: &str, mode: u32) {
    let beside = path.with_extension("new~");
    fs::write(&beside, text).expect("writes");
    fs::set_permissions(&beside, PermissionsExt::from_mode(mode)).expect("mode");
    fs::rename(&beside, path).expect("renames");
}
