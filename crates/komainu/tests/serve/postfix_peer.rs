//! Debian's Postfix beside the program under test: in the same world, with a configuration of the test's own.

use crate::server::{Server, command};
use crate::site::{Site, until};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

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

/// The program under test and Postfix with the same main.cf: each service is a port on both.
pub(crate) struct SideBySide {
    pub(crate) site: Site,
    pub(crate) postfix: Postfix,
    _server: Server,
}

/// The first port of ours, and of Postfix's.
const PORTS: [usize; 2] = [2600, 4600];

/// How Python's clients hear a reply.
const HEARING: &str = r#"
import socket, ssl, subprocess, sys
def hear(file):
    lines = []
    while True:
        line = file.readline().decode().rstrip()
        if not line:
            return 'nothing'
        lines.append(line)
        if line[3:4] != '-':
            return '|'.join(lines)
base, words = int(sys.argv[1]), sys.argv[2:]
"#;

impl SideBySide {
    /// Starts both. `services` gives the lines of master.cf for ports from this one on.
    pub(crate) fn start(main: &str, services: impl Fn(usize) -> String) -> SideBySide {
        let [ours, theirs] = PORTS;
        let site = Site::new(main);
        site.write("master.cf", &services(ours));
        let mut serve = command(&site);
        serve.args(["--compat", "3.7"]);
        let server = Server::start_as(serve, &site);
        let postfix = Postfix::start(main, &services(theirs));
        SideBySide { site, postfix, _server: server }
    }

    /// Has the same clients talk to both, each case behind a `#`: what they printed here and there. They are in Python,
    /// with `base`, `words` and `hear(file)` at hand.
    pub(crate) fn talk(&self, clients: &str, words: &[&str]) -> [Vec<String>; 2] {
        PORTS.map(|base| {
            let script = format!("{HEARING}{clients}");
            let began = Instant::now();
            let output =
                Command::new("python3").args(["-c", &script, &base.to_string()]).args(words).output();
            let output = output.expect("runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let cases: Vec<String> = said.split("# ").skip(1).map(str::to_owned).collect();
            println!("{} cases on the ports from {base}: {:?}", cases.len(), began.elapsed());
            cases
        })
    }

    /// Waits until both logs are as `is_over` wants them; gives them.
    pub(crate) fn logs(&self, is_over: impl Fn(&str) -> bool) -> [String; 2] {
        let here = || Some(self.site.log()).filter(|log| is_over(log));
        let there = || Some(self.postfix.log()).filter(|log| is_over(log));
        [until("our last word", here), until("Postfix's last word", there)]
    }
}

/// What smtpd said in a line, but for what OpenSSL and rustls say in their own words; a message's id is made equal.
pub(crate) fn said_by_smtpd(line: &str) -> Option<String> {
    let text = line.split_once("/smtpd[")?.1.split_once("]: ")?.1;
    match text.split_once(": client=") {
        _ if text.contains("TLS library problem") => None,
        Some((_, rest)) => Some(format!("ID: client={rest}")),
        None => Some(text.to_owned()),
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // The world's end ends it in any case.
        let _ = self.control("stop");
        // Its services hold their sockets until each of them has ended, which may be after the master.
        let showq = self.folder.join("queue/public/showq");
        let patience = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(&showq).is_ok() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
