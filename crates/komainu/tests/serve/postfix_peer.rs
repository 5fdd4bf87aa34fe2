//! Debian's Postfix beside the program under test: in the same world, with a configuration of the test's own.

use crate::site::until;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A running Postfix.
pub(crate) struct Postfix {
    folder: PathBuf,
}

/// Whether Postfix is there; says aloud that it isn't, and fails in CI.
pub(crate) fn is_there(test: &str) -> bool {
    let there = Path::new("/usr/lib/postfix/sbin/master").exists();
    if !there {
        println!("{test}: didn't run: no Postfix");
        assert!(std::env::var_os("CI").is_none(), "{test}: no Postfix");
    }
    there
}

impl Postfix {
    /// Starts one below /mnt with `main` in its main.cf and `master` as additional lines of its master.cf; Debian's
    /// own listener is off. Only in a world.
    pub(crate) fn start(main: &str, master: &str) -> Postfix {
        let folder = PathBuf::from("/mnt/postfix-peer");
        for name in ["etc", "queue", "data"] {
            fs::create_dir_all(folder.join(name)).expect("a folder");
        }
        let stock = fs::read_to_string("/usr/share/postfix/master.cf.dist").expect("Debian's master.cf");
        let lines: Vec<String> = stock
            .lines()
            .filter(|line| !line.starts_with("smtp      inet"))
            .map(|line| line.replacen(" y       ", " n       ", 1))
            .collect();
        let postlog = "postlog unix-dgram n - n - 1 postlogd";
        fs::write(folder.join("etc/master.cf"), format!("{}\n{postlog}\n{master}\n", lines.join("\n")))
            .expect("writes");
        let root = folder.display();
        let text = format!(
            "compatibility_level = 3.6\nmyhostname = mx.example.com\nmydestination =\n\
             queue_directory = {root}/queue\ndata_directory = {root}/data\n\
             maillog_file = {root}/log\nmaillog_file_prefixes = /mnt\ninet_protocols = ipv4\nnotify_classes =\n\
             smtpd_relay_restrictions = permit_mynetworks, reject\n{main}\n"
        );
        fs::write(folder.join("etc/main.cf"), text).expect("writes");
        fs::write(folder.join("log"), "").expect("writes");
        let owned = Command::new("chown").arg("postfix").arg(folder.join("data")).status().expect("chown");
        assert!(owned.success());
        let postfix = Postfix { folder };
        let started = postfix.control("start");
        assert!(started.0, "postfix start: {}", started.1);
        until("Postfix's master", || postfix.log().contains("daemon started").then_some(()));
        postfix
    }

    fn control(&self, word: &str) -> (bool, String) {
        let output = Command::new("postfix").arg("-c").arg(self.folder.join("etc")).arg(word).output();
        let output = output.expect("runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // The world's end ends it in any case.
        let _ = self.control("stop");
    }
}
