//! The systemd journal as a source of failures, read by the real `journalctl`: history, earlier boots, what comes, restarts,
//! rotation, bytes that are no text. The journal's files are made by systemd's own systemd-journal-remote (T2.19, T2.21).

use crate::server::KOMAINU;
use crate::site::until;
use crate::world::{self, Needs, shell};
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

const REMOTE: &str = "/lib/systemd/systemd-journal-remote";
const EARLIER_BOOT: &str = "5f2a5c0e8c4f4d0f9ad1c1c9f0c00001";

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs()
}

/// The machine's journal, in a world of its own.
struct Journal {
    folder: String,
    boot: String,
    count: u64,
}

impl Journal {
    fn new() -> Journal {
        let machine = "3d1219c7c4c5404aaa1f6d2a48adfda4";
        shell("mount -t tmpfs tmpfs /var/log; mount -t tmpfs tmpfs /run; mkdir -p /var/log/journal");
        fs::write("/etc/machine-id", format!("{machine}\n")).expect("the machine's number");
        let folder = format!("/var/log/journal/{machine}");
        shell(&format!("mkdir {folder}; chgrp -R systemd-journal /var/log/journal; chmod 2755 {folder}"));
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot").replace('-', "");
        Journal { folder, boot: boot.trim().to_owned(), count: 0 }
    }

    /// Failed log-ins, so many seconds ago, with more fields in the export format.
    fn fail(&mut self, addresses: &[&str], (ago_s, boot): (u64, &str), more: &[u8]) {
        let mut entries = Vec::new();
        for address in addresses {
            self.count += 1;
            let at_us = (now_s() - ago_s) * 1_000_000 + self.count;
            let text = format!(
                "__REALTIME_TIMESTAMP={at_us}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID={boot}\n_HOSTNAME=mx\n\
                 SYSLOG_IDENTIFIER=sshd\n_COMM=sshd\n_PID=812\n_SYSTEMD_UNIT=ssh.service\n",
                self.count
            );
            entries.extend_from_slice(text.as_bytes());
            if more.is_empty() {
                let message = format!("MESSAGE=Failed password for root from {address} port 22 ssh2\n");
                entries.extend_from_slice(message.as_bytes());
            } else {
                entries.extend_from_slice(more);
            }
            entries.push(b'\n');
        }
        let current = format!("{}/system.journal", self.folder);
        let mut writer = Command::new(REMOTE)
            .args(["-o", &current, "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("systemd-journal-remote");
        writer.stdin.take().expect("piped").write_all(&entries).expect("takes entries");
        assert!(writer.wait().expect("ends").success());
        shell(&format!("chmod g+r {current}; chgrp systemd-journal {current}"));
    }

    /// As journald does it: the file gets another name.
    fn rotate(&self) {
        let number = format!("77f23ae5925846af8f8042eb1de8a278-{:016x}-000660f07befe201", self.count);
        shell(&format!("cd {}; mv system.journal system@{number}.journal", self.folder));
    }

    fn fail_now(&mut self, addresses: &[&str]) {
        let boot = self.boot.clone();
        self.fail(addresses, (0, &boot), b"");
    }
}

/// A field of bytes, as the export format has it.
fn bytes(name: &str, value: &[u8]) -> Vec<u8> {
    let length = (value.len() as u64).to_le_bytes();
    [name.as_bytes(), b"\n", &length, value, b"\n"].concat()
}

struct Banner(Child);

impl Banner {
    fn start() -> Banner {
        let mut command = Command::new(KOMAINU);
        command.args(["ban", "run", "-c", "/mnt/etc-bans", "--state", "/mnt/state"]);
        Banner(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("starts"))
    }
}

impl Drop for Banner {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn status() -> Option<Value> {
    let words = ["ban", "-c", "/mnt/etc-bans", "status", "sshd", "--format", "json"];
    let output = Command::new(KOMAINU).args(words).output().expect("runs");
    serde_json::from_slice(&output.stdout).ok()
}

/// Waits until so many failures were found, over all runs, and tells who is shut out then.
fn after(failures: usize) -> String {
    let status = until(&format!("{failures} failures"), || {
        status()?;
        let said = fs::read_to_string("/mnt/ban.log").unwrap_or_default();
        let found = said.matches("[sshd] Found ").count();
        assert!(found <= failures, "{found} for {failures}: {said}");
        (found == failures).then_some(())?;
        // A failure is said before the ban that it leads to: whoever is asked now has done both.
        status()
    });
    let banned = status["banned"].as_array().expect("a list").iter();
    banned.map(|id| id.as_str().unwrap_or("")).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_journal_is_read_once() {
    let missing = [REMOTE, "/usr/bin/journalctl", "/etc/fail2ban/filter.d/sshd.conf"]
        .into_iter()
        .find(|path| !Path::new(path).exists());
    if let Some(missing) = missing {
        println!("the_journal_is_read_once: didn't run: {missing} isn't there");
        assert!(std::env::var_os("CI").is_none());
        return;
    }
    world::run("ban_journal::the_journal_is_read_once", Needs::Root, || {
        let mut journal = Journal::new();
        shell(
            "mkdir /mnt/etc-bans; cp -r /etc/fail2ban/filter.d /mnt/etc-bans; mkdir /mnt/etc-bans/action.d",
        );
        let put = |name: &str, text: &str| fs::write(format!("/mnt/etc-bans/{name}"), text).expect("a file");
        put(
            "fail2ban.conf",
            "[Definition]\nlogtarget = /mnt/ban.log\nsocket = /mnt/socket\npidfile = /mnt/pid\ndbfile = None\n",
        );
        put(
            "jail.conf",
            "[sshd]\nenabled = true\nbackend = systemd\nfilter = sshd\nmaxretry = 3\nfindtime = 600\nbantime = 3600\n\
             action =\n",
        );
        let own = journal.boot.clone();
        // Too long ago; in an earlier boot; in this one.
        journal.fail(&["192.0.2.9"; 3], (7_200, EARLIER_BOOT), b"");
        journal.fail(&["192.0.2.1", "192.0.2.1", "192.0.2.2"], (300, EARLIER_BOOT), b"");
        journal.fail(&["192.0.2.1"], (100, &own), b"");
        let banner = Banner::start();
        assert_eq!(after(4), "192.0.2.1");
        // What comes: with bytes that are no text, with a message that is found however long it is, as by fail2ban, with
        // one longer than any entry may be.
        journal.fail_now(&["192.0.2.2"]);
        assert_eq!(after(5), "192.0.2.1");
        let odd = bytes("BLOB", b"\0\xff\nMESSAGE=Failed password for root from 198.51.100.1 port 22 ssh2\n");
        journal.fail(&["x"; 3], (0, &own), &[odd, b"MESSAGE=quiet\n".to_vec()].concat());
        let long = format!(
            "MESSAGE=Failed password for root from 198.51.100.2 port 22 ssh2{}\n",
            "x".repeat(700_000)
        );
        journal.fail(&["x"], (0, &own), long.as_bytes());
        journal.fail(&["x"], (0, &own), long.replace('x', "xxx").replace("100.2", "100.4").as_bytes());
        let forged = b"Failed password for \xff\xfe\nFailed password for root from \
                       198.51.100.3 port 22 ssh2\xff from 192.0.2.2 port 22 ssh2";
        journal.fail(&["x"], (0, &own), &bytes("MESSAGE", forged));
        assert_eq!(after(7), "192.0.2.1 192.0.2.2");
        // Killed, and started again: what came meanwhile counts once, also where the journal was rotated since.
        journal.fail_now(&["192.0.2.3"]);
        assert_eq!(after(8), "192.0.2.1 192.0.2.2");
        // What is counted is written within a second or so, and with it how far the journal was read.
        until("it is kept", || {
            let kept = fs::read("/mnt/state/bans").ok()?;
            String::from_utf8_lossy(&kept).contains("192.0.2.3").then_some(())
        });
        drop(banner);
        journal.fail_now(&["192.0.2.3"]);
        journal.rotate();
        journal.fail_now(&["192.0.2.4"]);
        let banner = Banner::start();
        assert_eq!(after(10), "192.0.2.1 192.0.2.2");
        // Rotated while it is read.
        journal.rotate();
        journal.fail_now(&["192.0.2.3", "192.0.2.4", "192.0.2.4"]);
        assert_eq!(after(13), "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4");
        let said = fs::read_to_string("/mnt/ban.log").expect("the log");
        assert!(!said.contains("192.0.2.9"), "{said}");
        let long = said.matches("[sshd] Found 198.51.100.2 ").count();
        assert_eq!((long, said.matches("198.51.100").count()), (1, 1), "{said}");
        drop(banner);
    });
}
