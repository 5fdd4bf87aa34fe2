//! `komainu ban run` beside Debian's fail2ban: the same logs, the same lines, bans that survive a kill. T2.21.

use crate::server::KOMAINU;
use crate::site::until;
use crate::world::{self, Needs};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

const JAILS: [&str; 4] = ["sshd", "postfix", "dovecot", "flood"];

/// A program that bans, in a folder of its own.
pub(crate) struct Banner {
    pub(crate) folder: String,
    pub(crate) child: Option<Child>,
    is_ours: bool,
    /// The jail that it starts last.
    pub(crate) last: &'static str,
}

impl Banner {
    pub(crate) fn new(name: &str, bantime: &str) -> Banner {
        let folder = format!("/mnt/{name}");
        fs::create_dir(&folder).expect("a folder");
        for part in ["filter.d", "jail.conf", "paths-common.conf", "paths-debian.conf", "fail2ban.conf"] {
            let copied = Command::new("cp").args(["-r", &format!("/etc/fail2ban/{part}"), &folder]).status();
            assert!(copied.expect("cp").success(), "{part}");
        }
        let log = format!("{folder}/ban.log");
        fs::write(&log, "").expect("a log");
        let put = |file: &str, text: String| fs::write(format!("{folder}/{file}"), text).expect("a file");
        put(
            "fail2ban.local",
            format!(
                "[Definition]\nlogtarget = {log}\nsocket = {folder}/socket\npidfile = {folder}/pid\ndbfile = {folder}/db\n"
            ),
        );
        fs::create_dir(format!("{folder}/action.d")).expect("a folder");
        put(
            "action.d/note.conf",
            format!(
                "[Definition]\nactionstart =\nactionstop =\nactioncheck =\nactionban = echo ban <name> <ip> >> {folder}/acts\n\
                 actionunban = echo unban <name> <ip> >> {folder}/acts\n"
            ),
        );
        let mut jails = format!(
            "[DEFAULT]\nignoreself = false\nbantime = {bantime}\nfindtime = 600\nmaxretry = 3\nbackend = polling\naction = note\n\
             [recidive]\nenabled = true\nlogpath = {log}\nbantime = 600\nmaxretry = 4\naction = note\n"
        );
        for jail in JAILS {
            let own = if jail == "flood" { "filter =\nfailregex = ^.* flood from <HOST>$\n" } else { "" };
            let _ = write!(jails, "[{jail}]\nenabled = true\nlogpath = /mnt/{jail}.log\n{own}");
        }
        put("jail.local", jails);
        Banner { folder, child: None, is_ours: name.starts_with("ours"), last: "recidive" }
    }

    pub(crate) fn start(&mut self) {
        let mut command = if self.is_ours {
            let mut command = Command::new(KOMAINU);
            command.args(["ban", "run", "-c", &self.folder, "--state", &format!("{}/state", self.folder)]);
            command
        } else {
            let mut command = Command::new("fail2ban-server");
            let [socket, pid] = ["socket", "pid"].map(|name| format!("{}/{name}", self.folder));
            command.args(["-f", "-c", &self.folder, "-s", &socket, "-p", &pid, "start"]);
            command
        };
        let out = fs::File::create(format!("{}/out", self.folder)).expect("a file");
        let err = out.try_clone().expect("a file");
        self.child = Some(command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().expect("starts"));
        until("its jails", || {
            let said = format!("Jail '{}' started", self.last);
            self.said().contains(&said).then_some(())
        });
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(format!("{}/ban.log", self.folder)).unwrap_or_default()
    }

    /// What a jail did, in this word.
    fn did(&self, jail: &str, word: &str) -> Vec<String> {
        let begin = format!("[{jail}] {word} ");
        let said = self.said();
        let lines =
            said.lines().filter_map(|line| Some(line.split_once(&begin)?.1.split(' ').next()?.to_owned()));
        lines.collect()
    }

    pub(crate) fn acts(&self) -> String {
        fs::read_to_string(format!("{}/acts", self.folder)).unwrap_or_default()
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Banner {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn line(jail: &str, address: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let text = match jail {
        "sshd" => format!("sshd[7]: Failed password for root from {address} port 22 ssh2"),
        "postfix" => format!(
            "postfix/smtpd[7]: NOQUEUE: reject: RCPT from unknown[{address}]: 554 5.7.1 <a@example.net>: Relay access \
             denied; from=<b@example.org> to=<a@example.net> proto=ESMTP helo=<x>"
        ),
        "dovecot" => format!(
            "dovecot: imap-login: Disconnected: Aborted login (auth failed, 1 attempts in 2 secs): user=<u>, method=PLAIN, \
             rip={address}, lip=10.0.0.1"
        ),
        _ => format!("app[7]: flood from {address}"),
    };
    let stamp =
        Command::new("date").args(["-d", &format!("@{now}"), "+%b %e %H:%M:%S"]).output().expect("date");
    format!("{} mx {text}\n", String::from_utf8_lossy(&stamp.stdout).trim_end())
}

fn fail(address: &str) {
    for jail in JAILS {
        let path = format!("/mnt/{jail}.log");
        let mut log = fs::OpenOptions::new().append(true).open(path).expect("a log");
        for _ in 0..3 {
            log.write_all(line(jail, address).as_bytes()).expect("written");
        }
    }
}

pub(crate) fn logs() {
    for jail in JAILS {
        fs::write(format!("/mnt/{jail}.log"), "").expect("a log");
    }
}

#[test]
fn the_same_lines_as_fail2ban() {
    world::run("ban_run::the_same_lines_as_fail2ban", Needs::Root, || {
        if Command::new("fail2ban-server").arg("--version").output().is_err() {
            println!("no fail2ban-server: skipped");
            return;
        }
        logs();
        let mut both = [Banner::new("ours", "3"), Banner::new("theirs", "3")];
        both.iter_mut().for_each(Banner::start);
        for address in ["192.0.2.1", "192.0.2.2"] {
            fail(address);
            until("bans in all jails of both", || {
                let is_held =
                    |banner: &Banner, jail: &str| banner.did(jail, "Ban").iter().any(|id| id == address);
                let all = ["sshd", "postfix", "dovecot", "flood", "recidive"];
                both.iter().all(|banner| all.iter().all(|jail| is_held(banner, jail))).then_some(())
            });
        }
        until("their ends", || {
            let ended = |banner: &Banner| JAILS.iter().all(|jail| banner.did(jail, "Unban").len() == 2);
            both.iter().all(ended).then_some(())
        });
        let [ours, theirs] = &both;
        for jail in JAILS.iter().chain(&["recidive"]) {
            for word in ["Found", "Ban", "Unban"] {
                assert_eq!(ours.did(jail, word), theirs.did(jail, word), "{jail} {word}\n{}", ours.said());
            }
        }
        let sorted = |banner: &Banner| {
            let text = banner.acts();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        until("the same acts", || (sorted(ours) == sorted(theirs)).then_some(()));
    });
}

#[test]
fn bans_survive_a_kill() {
    world::run("ban_run::bans_survive_a_kill", Needs::Root, || {
        logs();
        let mut ours = Banner::new("ours", "600");
        ours.start();
        let pid = ours.child.as_ref().map(Child::id).expect("runs");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
        assert!(status.contains("Uid:\t2999\t2999\t2999\t2999"), "{status}");
        fail("192.0.2.1");
        until("the bans", || (ours.acts().matches("ban ").count() == 5).then_some(()));
        ours.kill();
        // What nobody has read yet.
        fail("192.0.2.2");
        ours.start();
        until("bans again, and new ones", || {
            let is_well = |jail: &&str| {
                ours.did(jail, "Restore Ban") == ["192.0.2.1"]
                    && ours.did(jail, "Ban").contains(&"192.0.2.2".to_owned())
            };
            JAILS.iter().all(is_well).then_some(())
        });
        for jail in JAILS {
            assert_eq!(ours.did(jail, "Found").len(), 6, "{jail}: counted once each\n{}", ours.said());
            assert_eq!(ours.did(jail, "Ban"), ["192.0.2.1", "192.0.2.2"]);
        }
        let asked = Command::new(KOMAINU).args(["ban", "list", "-c", &ours.folder]).output().expect("asks");
        let text = String::from_utf8_lossy(&asked.stdout).into_owned();
        assert!(text.contains("192.0.2.1") && text.contains("192.0.2.2"), "{text}{asked:?}");
    });
}

/// The bans in fail2ban's own database go on; the first time only.
#[test]
fn fail2ban_s_bans_are_taken_over_once() {
    world::run("ban_run::fail2ban_s_bans_are_taken_over_once", Needs::Root, || {
        logs();
        let mut ours = Banner::new("ours", "600");
        let database = include_bytes!("../../../ban/src/import/plain.sqlite3");
        fs::write(format!("{}/db", ours.folder), database).expect("a database");
        let took_over = |ours: &Banner| {
            let said = fs::read_to_string(format!("{}/out", ours.folder)).unwrap_or_default();
            said.contains("are taken over from")
        };
        ours.start();
        // This one lasts for ever.
        until("its ban", || ours.acts().contains("ban postfix 2001:db8::7\n").then_some(()));
        assert!(took_over(&ours));
        ours.kill();
        ours.start();
        assert!(!took_over(&ours));
        let restored = |ours: &Banner| ours.did("postfix", "Restore Ban").contains(&"2001:db8::7".to_owned());
        until("the ban again", || restored(&ours).then_some(()));
    });
}

/// A program's output as a log: `… | komainu ban run --stdin JAIL`.
#[test]
fn lines_from_a_pipe() {
    world::run("ban_run::lines_from_a_pipe", Needs::Root, || {
        logs();
        let mut ours = Banner::new("ours", "600");
        let jail = "[DEFAULT]\nignoreself = false\nbantime = 600\nfindtime = 600\nmaxretry = 3\naction = note\n\
                    [piped]\nenabled = true\nfilter =\nfailregex = ^.* flood from <HOST>$\n";
        fs::write("/mnt/ours/jail.local", jail).expect("a file");
        fs::create_dir("/mnt/pipe").expect("a folder");
        Command::new("mkfifo").arg("/mnt/pipe/in").status().expect("mkfifo");
        let script = format!(
            "cat /mnt/pipe/in | {KOMAINU} ban run -c /mnt/ours --state /mnt/ours/state --stdin piped; echo \"code $?\""
        );
        let out = fs::File::create("/mnt/ours/out").expect("a file");
        let err = out.try_clone().expect("a file");
        let shell =
            Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        ours.child = Some(shell.expect("starts"));
        // Opens as soon as the other end does.
        let mut pipe = fs::OpenOptions::new().write(true).open("/mnt/pipe/in").expect("a pipe");
        for _ in 0..3 {
            pipe.write_all(line("flood", "192.0.2.1").as_bytes()).expect("written");
        }
        until("the ban", || ours.acts().contains("ban piped 192.0.2.1\n").then_some(()));
        let text = line("flood", "192.0.2.2");
        pipe.write_all(text.repeat(3).trim_end().as_bytes()).expect("written");
        drop(pipe);
        let said = || fs::read_to_string("/mnt/ours/out").unwrap_or_default();
        let said = until("its end", || Some(said()).filter(|said| said.contains("code ")));
        assert!(said.contains("standard input has ended") && said.contains("code 75"), "{said}");
        // The last line had no end, and counted.
        assert_eq!(ours.did("piped", "Ban"), ["192.0.2.1", "192.0.2.2"], "{}", ours.said());
    });
}

/// By address, by name, by a command: the same ones are spared, and the same is said.
#[test]
fn whom_both_spare() {
    world::run("ban_run::whom_both_spare", Needs::Root, || {
        if Command::new("fail2ban-server").arg("--version").output().is_err() {
            println!("no fail2ban-server: skipped");
            return;
        }
        logs();
        let known = "#!/bin/sh\n[ \"$1\" = 192.0.2.7 ] || [ \"$2\" = 'friend; touch /mnt/pwned' ]\n";
        fs::write("/mnt/known", known).expect("a file");
        fs::set_permissions("/mnt/known", fs::Permissions::from_mode(0o755)).expect("a mode");
        let hosts = fs::read_to_string("/etc/hosts").expect("hosts") + "192.0.2.8 friend.example\n";
        fs::write("/etc/hosts", hosts).expect("hosts");
        let jails = "[DEFAULT]\nignoreself = false\nbantime = 600\nfindtime = 600\nmaxretry = 3\nbackend = polling\naction = note\n\
                     [flood]\nenabled = true\nfilter =\nfailregex = ^.* by <F-USER>.*</F-USER> from <HOST>$\nlogpath = /mnt/flood.log\n\
                     ignoreip = friend.example 192.0.2.9 nobody.invalid\nignorecommand = /mnt/known <ip> \"<F-USER>\"\n";
        let mut both = [Banner::new("ours", "3"), Banner::new("theirs", "3")];
        for banner in &mut both {
            fs::write(format!("{}/jail.local", banner.folder), jails).expect("a file");
            banner.last = "flood";
            banner.start();
        }
        let mut log = fs::OpenOptions::new().append(true).open("/mnt/flood.log").expect("a log");
        for _ in 0..3 {
            for (user, last) in [("a", 7), ("friend; touch /mnt/pwned", 6), ("a", 8), ("a", 9), ("a", 1)] {
                let text = line("flood", &format!("192.0.2.{last}"));
                let text = text.replace("flood from", &format!("flood by {user} from"));
                log.write_all(text.as_bytes()).expect("written");
            }
        }
        let ignored = |banner: &Banner| {
            let said = banner.said();
            let lines =
                said.lines().filter_map(|line| Some(line.split_once("[flood] Ignore ")?.1.to_owned()));
            let mut lines: Vec<String> = lines.collect();
            lines.sort_unstable();
            lines
        };
        until("what both have to say", || {
            let has_said =
                |banner: &Banner| ignored(banner).len() == 12 && !banner.did("flood", "Ban").is_empty();
            both.iter().all(has_said).then_some(())
        });
        let [ours, theirs] = &both;
        assert_eq!(ignored(ours), ignored(theirs));
        for word in ["Found", "Ban"] {
            assert_eq!(ours.did("flood", word), theirs.did("flood", word), "{word}\n{}", ours.said());
        }
        assert!(!std::path::Path::new("/mnt/pwned").exists());
        until("a name without an address is said", || {
            ours.said().contains("K0667: ignoreip nobody.invalid has no address").then_some(())
        });
    });
}
