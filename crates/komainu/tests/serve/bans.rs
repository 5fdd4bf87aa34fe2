//! fail2ban's jails inside the server: who fails here is counted with no log between, and refused on every port at once
//! (T0.1, T2.18, T2.19, T2.21).

use crate::client::Client;
use crate::server::{self, KOMAINU, Server};
use crate::site::{Site, save, until};
use crate::world::{self, Needs, shell};
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// `\0joe\0wrong`.
pub(crate) const WRONG: &str = "AUTH PLAIN AGpvZQB3cm9uZw==";
/// `\0alice\0secret`.
const RIGHT: &str = "AUTH PLAIN AGFsaWNlAHNlY3JldA==";
pub(crate) const GUESSER: &str = "203.0.113.9";
pub(crate) const OTHER: &str = "203.0.114.9";

/// One jail, without a packet filter.
pub(crate) const JAILS: &str = "[DEFAULT]
maxretry = 3
findtime = 10m
bantime = 1h
action =
[own]
enabled = true
filter = own
";
const FILTER: &str = r"[Definition]
failregex = ^\s*\S+ postfix/\S+\[\d+\]: warning: [^[]*\[<HOST>\]: SASL (?:PLAIN|LOGIN) authentication failed:
";

/// A site with submission and relaying ports, and jails of its own.
pub(crate) fn site(jails: &str, main: &str) -> Site {
    let site = Site::new("");
    fs::create_dir_all(site.path("jails/filter.d")).expect("a folder");
    let log = site.path("log/mail.log");
    save(&site.path("jails/jail.conf"), &format!("{jails}logpath = {}\n", log.display()), 0o644);
    save(&site.path("jails/filter.d/own.conf"), FILTER, 0o644);
    let place = |name: &str| site.path(name).display().to_string();
    let conf = format!(
        "[Definition]\nlogtarget = {}\nsocket = {}\npidfile = {}\n",
        place("log/fail2ban.log"),
        place("jails/socket"),
        place("jails/pid")
    );
    save(&site.path("jails/fail2ban.conf"), &conf, 0o644);
    site.main(&format!(
        "komainu_ban_directory = {}\nsmtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = internal\n\
         smtpd_sasl_path = users\nsmtpd_error_sleep_time = 0\nkomainu_auth_delay_max = 4s\n{main}",
        place("jails")
    ));
    save(&site.path("etc/users"), "alice:{PLAIN}secret\n", 0o600);
    site.write("master.cf", "25 inet n - n - - smtpd\n465 inet n - n - - smtpd\n587 inet n - n - - smtpd\n");
    site
}

pub(crate) fn hello(from: &str, port: u16) -> Client {
    let mut client = Client::open_from(from, &format!("127.0.0.1:{port}")).expect("connects");
    assert!(client.reply().expect("greets").starts_with("220 "));
    client.say("EHLO client.example");
    client
}

/// Whether a connection is closed before a byte is said.
pub(crate) fn is_refused(from: &str, port: u16) -> bool {
    let Ok(client) = Client::open_from(from, &format!("127.0.0.1:{port}")) else { return true };
    let mut byte = [0];
    match (&mut client.socket()).read(&mut byte) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// Fails three times; the session that did it.
pub(crate) fn guess(from: &str) -> Client {
    let mut client = hello(from, 587);
    for _ in 0..3 {
        assert!(client.say(WRONG).starts_with("535 "));
    }
    client
}

fn until_refused(from: &str, port: u16) {
    until(&format!("{from} is refused at {port}"), || is_refused(from, port).then_some(()));
}

fn fail2bans(site: &Site) -> String {
    fs::read_to_string(site.path("log/fail2ban.log")).unwrap_or_default()
}

pub(crate) fn ask(site: &Site, words: &[&str]) -> String {
    let mut command = Command::new(KOMAINU);
    let output = command.args(["ban", "-c"]).arg(site.path("jails")).args(words).output().expect("runs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn refused_on_every_port_and_in_the_middle() {
    world::run("bans::refused_on_every_port_and_in_the_middle", Needs::Root, || {
        let site = site(JAILS, "");
        let mut server = Server::start(&site);
        // Somebody of the same network who is there already, and says nothing for a while.
        let mut idle = hello(GUESSER, 25);
        let mut other = hello(OTHER, 25);
        let mut guesser = guess(GUESSER);
        for port in [25, 465, 587] {
            until_refused(GUESSER, port);
            assert!(!is_refused(OTHER, port));
        }
        for client in [&mut guesser, &mut idle] {
            let last = client.say("NOOP");
            assert!(last.starts_with("421 4.7.0 mx.example.com Error: too many failures"), "{last}");
            assert_eq!(client.rest(), "");
        }
        assert!(other.say("NOOP").starts_with("250 "));
        let log = until("the ban's lines", || Some(fail2bans(&site)).filter(|log| log.contains("NOTICE")));
        assert_eq!(log.matches(&format!("[own] Found {GUESSER} - ")).count(), 3, "{log}");
        assert!(log.contains(&format!("NOTICE  [own] Ban {GUESSER}\n")), "{log}");
        site.logged(&format!("komainu: shut out: {GUESSER}; "), 0);
        // The loopback is never shut out, whatever somebody orders.
        ask(&site, &["add", "own", "127.0.0.1"]);
        ask(&site, &["remove", "own", GUESSER]);
        until("let in again", || (!is_refused(GUESSER, 25)).then_some(()));
        assert!(!is_refused("127.0.0.1", 25));
        assert!(server.stop().success());
    });
}

#[test]
fn a_ban_outlives_restarts_and_ends() {
    world::run("bans::a_ban_outlives_restarts_and_ends", Needs::Root, || {
        let site = site(JAILS, "");
        let mut server = Server::start(&site);
        drop(guess(GUESSER));
        until_refused(GUESSER, 25);
        // Reloads keep it, jails that can't be used change nothing, and mail doesn't care.
        let good = fs::read_to_string(site.path("jails/jail.conf")).expect("reads");
        save(&site.path("jails/jail.conf"), &good.replace("filter = own", "filter = nowhere"), 0o644);
        server.reload();
        site.logged("K0677: the jails stay as they were: ", 0);
        site.logged("configuration reloaded", 0);
        assert!(is_refused(GUESSER, 25) && !is_refused(OTHER, 25));
        save(&site.path("jails/jail.conf"), &good, 0o644);
        server.reload();
        assert!(is_refused(GUESSER, 25) && !is_refused(OTHER, 25));
        assert!(server.stop().success());
        let mut server = Server::start(&site);
        until_refused(GUESSER, 587);
        until("Restore Ban", || fail2bans(&site).contains(&format!("Restore Ban {GUESSER}")).then_some(()));
        server.kill();
        // A shorter time holds for those that come; it is over for nobody before.
        save(&site.path("jails/jail.conf"), &good.replace("bantime = 1h", "bantime = 2s"), 0o644);
        let _server = Server::start(&site);
        until_refused(GUESSER, 465);
        drop(guess(OTHER));
        until("banned", || fail2bans(&site).contains(&format!("Ban {OTHER}\n")).then_some(()));
        until("and let in", || fail2bans(&site).contains(&format!("Unban {OTHER}\n")).then_some(()));
        until("and greeted", || (!is_refused(OTHER, 587)).then_some(()));
    });
}

#[test]
fn whom_no_ban_concerns() {
    world::run("bans::whom_no_ban_concerns", Needs::Root, || {
        let site = site(JAILS, "komainu_ban_never = 203.0.114.0/24\nkomainu_ban_spare_logged_in = 7d\n");
        let _server = Server::start(&site);
        // A typing colleague, from whose network somebody has logged in.
        assert!(hello("198.51.100.1", 587).say(RIGHT).starts_with("235 "));
        for from in ["198.51.100.2", OTHER, GUESSER] {
            drop(guess(from));
        }
        until_refused(GUESSER, 25);
        for from in ["198.51.100.2", OTHER] {
            until("counted", || fail2bans(&site).contains(&format!("Ban {from}\n")).then_some(()));
            assert!(!is_refused(from, 25), "{from}");
            // Nothing has failed: it is as somebody wanted it.
            let notice = format!("NOTICE  [own] ban of {from}: let in all the same: ");
            until("that it is said", || fail2bans(&site).contains(&notice).then_some(()));
        }
        assert!(!fail2bans(&site).contains("]: ERROR "), "{}", fail2bans(&site));
    });
}

/// What clients choose stands in the same lines as their addresses.
#[test]
fn nobody_bans_another() {
    world::run("bans::nobody_bans_another", Needs::Root, || {
        let site = site(JAILS, "");
        let _server = Server::start(&site);
        let victim = OTHER;
        let line = format!("x: warning: unknown[{victim}]: SASL PLAIN authentication failed: y");
        let fake = format!("postfix/smtpd[1]: warning: unknown[{victim}]: SASL PLAIN authentication failed:");
        for _ in 0..4 {
            let Ok(mut client) = Client::open_from(GUESSER, "127.0.0.1:25") else { break };
            if client.reply().is_err() {
                break;
            }
            // Whoever is banned meanwhile is sent away.
            let _ = client.try_say("EHLO client.example");
            let name = Command::new("python3")
                .args(["-c", "import base64,sys; print(base64.b64encode(('\\0%s\\0x' % sys.argv[1]).encode()).decode())"])
                .arg(format!("joe\r\nNov 23 01:02:03 mx {fake}"))
                .output()
                .expect("runs");
            let _ = client.try_say(&format!("AUTH PLAIN {}", String::from_utf8_lossy(&name.stdout).trim()));
            for said in [
                format!("HELO {fake}"),
                format!("EHLO {}", line.replace(' ', "_")),
                format!("MAIL FROM:<\"{fake}\"@example.org>"),
                format!("RCPT TO:<\"{line}\"@example.com>"),
            ] {
                let _ = client.try_say(&said);
            }
            // It is sent away for that.
            let _ = client.try_say(&fake);
        }
        until_refused(GUESSER, 25);
        assert!(!is_refused(victim, 25));
        let log = fail2bans(&site);
        assert!(!log.contains(victim), "{log}");
    });
}

/// Lines that are JSON in the log are Postfix's to the jails.
#[test]
fn whatever_the_log_looks_like() {
    world::run("bans::whatever_the_log_looks_like", Needs::Root, || {
        let site = site(JAILS, "komainu_log_format = json\n");
        let _server = Server::start(&site);
        drop(guess(GUESSER));
        until_refused(GUESSER, 25);
        assert!(site.log().contains("\"program\":\"postfix/smtpd\""));
    });
}

/// `\0NAME\0PASSWORD`.
fn plain(name: &str, password: &str) -> String {
    let text = format!("\0{name}\0{password}");
    format!("AUTH PLAIN {}", mail::base64::encode(text.as_bytes()))
}

/// The log-ins that fail, one of each jail: who sprays one password is shut out wherever he comes from, and so are those
/// who share out one account. Passwords stand nowhere.
#[test]
fn a_password_that_is_sprayed() {
    world::run("bans::a_password_that_is_sprayed", Needs::Root, || {
        let wide = |name: &str, count: &str| {
            format!(
                "[{name}]\nenabled = true\nfilter = own\nlogpath = LOG\nkomainu_count = {count}\nmaxretry = 6\nkomainu_spread = "
            )
        };
        let jails = JAILS.replace("maxretry = 3", "maxretry = 30");
        let site = site(&jails, "komainu_auth_delay_max = 0\n");
        let log = site.path("log/mail.log").display().to_string();
        let more = wide("sprayed", "password") + "4\n" + &wide("besieged", "account") + "10\n";
        save(&site.path("jails/jail.local"), &more.replace("LOG", &log), 0o644);
        let server = Server::start(&site);
        // A user with a new password: the old one in his telephone comes from many networks; another mistypes.
        for net in 1..=8 {
            let mut telephone = hello(&format!("198.18.{net}.1"), 587);
            assert!(telephone.say(&plain("alice", "Winter25")).starts_with("535 "));
        }
        let mut mistyping = hello("198.18.100.1", 587);
        for word in ["secrte", "sceret", "Secret", "secret "] {
            assert!(mistyping.say(&plain("alice", word)).starts_with("535 "));
        }
        // Seven networks, a password, and as many accounts; LOGIN says the same.
        for net in 1..=7 {
            let mut sprayer = hello(&format!("203.0.{net}.1"), 587);
            if net % 2 == 0 {
                assert!(sprayer.say("AUTH LOGIN").starts_with("334 "));
                let word = |text: &str| mail::base64::encode(text.as_bytes());
                assert!(sprayer.say(&word(&format!("person{net}"))).starts_with("334 "));
                // The seventh, and whoever comes when it is known, may be sent away meanwhile.
                let _ = sprayer.try_say(&word("Summer2026!"));
            } else {
                let _ = sprayer.try_say(&plain(&format!("person{net}"), "Summer2026!"));
            }
        }
        for net in 1..=7 {
            until_refused(&format!("203.0.{net}.1"), 25);
        }
        // Another name, from ten networks, with as many passwords.
        for net in 1..=10 {
            let _ = hello(&format!("198.51.{net}.1"), 587).try_say(&plain("Info", &format!("word{net}")));
        }
        for net in 1..=10 {
            until_refused(&format!("198.51.{net}.1"), 25);
        }
        let said = ask(&site, &["list"]);
        assert_eq!(
            (said.matches("[sprayed]").count(), said.matches("[besieged]").count()),
            (7, 10),
            "{said}"
        );
        for net in 1..=8 {
            assert!(!is_refused(&format!("198.18.{net}.1"), 587));
        }
        assert!(mistyping.say(RIGHT).starts_with("235 "));
        drop(server);
        for path in ["log/mail.log", "log/fail2ban.log"] {
            let text = fs::read_to_string(site.path(path)).expect("a log");
            for word in ["Summer2026", "Winter25", "secrte", "komainu_password"] {
                assert!(!text.contains(word), "{path}: {word}");
            }
        }
        let kept = shell(&format!(
            "grep -rlE 'Summer2026|Winter25|komainu_password' {} || true",
            site.path("").display()
        ));
        assert_eq!(kept, "");
    });
}

/// Processor time of the server so far.
fn cpu(server: &Server) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).expect("a process");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number");
    Duration::from_millis(ticks * 10)
}

#[test]
fn a_flood_of_banned_clients_costs_little() {
    world::run("bans::a_flood_of_banned_clients_costs_little", Needs::Root, || {
        let site = site(JAILS, "");
        let server = Server::start(&site);
        drop(guess(GUESSER));
        until_refused(GUESSER, 25);
        let clients = 2_000;
        let (before, began) = (cpu(&server), Instant::now());
        for _ in 0..clients {
            assert!(is_refused(GUESSER, 25));
        }
        let each = (cpu(&server) - before) / clients;
        println!("a banned client: {each:?} of processor time, {:?} for all", began.elapsed());
        // Built for debugging, on a busy machine.
        assert!(each < Duration::from_millis(2), "{each:?}");
        // One line, however many came.
        site.logged("connections are refused at the door", 0);
        assert_eq!(site.log().matches("connections are refused at the door").count(), 1);
        assert!(!is_refused(OTHER, 25));
    });
}

/// Without root there are the listeners, and it is said.
#[test]
fn without_root() {
    let site = site(JAILS, "");
    site.write("master.cf", &format!("{} inet n - n - - smtpd\n", site.address()));
    let mut command = server::command(&site);
    if world::is_root() {
        let all = Command::new("chown").args(["-R", "65534:65534"]).arg(site.path("")).status();
        assert!(all.expect("chown").success());
        command.uid(65_534).gid(65_534);
    }
    let _server = Server::start_as(command, &site);
    site.logged("K0676: without root's rights only the server's own listeners refuse", 0);
    assert!(Path::new(&site.path("jails/socket")).exists());
}

/// The process of this name that another started.
fn child_of(parent: u32, name: &str) -> u32 {
    let all = fs::read_dir("/proc").expect("processes").flatten();
    let mut numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_it = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parents = stat.rsplit(')').next().unwrap_or("").split_whitespace().nth(1);
        stat.contains(&format!("({name})")) && parents == Some(&parent.to_string())
    };
    numbers.find(is_it).unwrap_or_else(|| panic!("no {name} of {parent}"))
}

/// The helper for packet filters is killed: that is said once, and the listeners go on.
#[test]
fn without_the_helper_the_listeners_refuse() {
    world::run("bans::without_the_helper_the_listeners_refuse", Needs::Root, || {
        let site = site(&JAILS.replace("action =", "action = touch"), "komainu_auth_delay_max = 0\n");
        fs::create_dir_all(site.path("jails/action.d")).expect("a folder");
        save(&site.path("jails/action.d/touch.conf"), "[Definition]\nactionban = touch /mnt/<ip>\n", 0o644);
        let mut server = Server::start(&site);
        drop(guess(OTHER));
        until("the action", || Path::new("/mnt").join(OTHER).exists().then_some(()));
        assert_eq!(ask(&site, &["status"]), "[own]  1 shut out, 0 counted\n");
        let helper = child_of(server.pid(), "komainu-bans");
        shell(&format!("kill -KILL {helper}"));
        for last in 1..=3 {
            drop(guess(&format!("198.51.100.{last}")));
            until_refused(&format!("198.51.100.{last}"), 25);
        }
        site.logged("K0678: the helper for packet filters has ended", 0);
        let said = until("trouble", || Some(ask(&site, &["status"])).filter(|said| said.contains("trouble")));
        assert!(said.starts_with("trouble: K0678: the helper for packet filters has ended: "), "{said}");
        assert!(said.ends_with("; restart the server\n[own]  4 shut out, 0 counted\n"), "{said}");
        assert!(ask(&site, &["status", "--format", "json"]).starts_with("{\"trouble\":\"K0678: "));
        let log = fail2bans(&site);
        assert!(log.matches("has ended").count() == 1 && !log.contains("ban of"), "{log}");
        assert_eq!(site.log().matches("K0678").count(), 1);
        // The next start makes all of it again.
        assert!(server.stop().success());
        let _server = Server::start(&site);
        until("the actions", || Path::new("/mnt/198.51.100.3").exists().then_some(()));
        assert_eq!(ask(&site, &["status"]), "[own]  4 shut out, 0 counted\n");
    });
}

/// Jails that can't run cost no mail.
#[test]
fn broken_files_cost_no_mail() {
    world::run("bans::broken_files_cost_no_mail", Needs::Root, || {
        let site = site(JAILS, "");
        fs::remove_dir_all(site.path("jails")).expect("removes");
        let mut server = Server::start(&site);
        site.logged("K0677: no jail runs, mail goes on: ", 0);
        assert!(!is_refused(OTHER, 25));
        assert!(server.stop().success());
    });
}

/// The tutorial's jails on Debian's files as they are, the two faults of its jail.d mended (a second `[dovecot]` for
/// Postfix, a filter that isn't given), with this server in the place of Postfix and of fail2ban.
pub(crate) const TUTORIAL: [(&str, &str); 4] = [
    (
        "jail.d/dovecot.conf",
        "[dovecot]\nenabled = true\nmaxretry = 3\nfindtime = 600\nbantime = 3600\nfilter = dovecot\nlogpath = /var/log/mail.log\n",
    ),
    (
        "jail.d/postfix.conf",
        "[postfix]\nenabled = true\nmaxretry = 3\nfindtime = 600\nbantime = 3600\nfilter = postfix\nlogpath = /var/log/mail.log\n",
    ),
    (
        "jail.d/postfix-flood-attack.conf",
        "[postfix-flood-attack]\nenabled = true\nfindtime = 600\nbantime = 3600\nfilter = postfix-flood-attack\naction =\n\
         logpath = /var/log/mail.log\n",
    ),
    (
        "filter.d/postfix-flood-attack.conf",
        "[Definition]\nfailregex = lost connection after AUTH from (.*)\\[<HOST>\\]$\n",
    ),
];

pub(crate) fn client(words: &str) -> String {
    shell(&format!("ln -sf {KOMAINU} /mnt/fail2ban-client; /mnt/fail2ban-client {words}"))
}

/// T2.18 to T2.21.
#[test]
fn the_tutorials_jails() {
    world::run("bans::the_tutorials_jails", Needs::Root, || {
        if !Path::new("/etc/fail2ban/jail.conf").exists() {
            println!("the_tutorials_jails: didn't run: fail2ban's files aren't installed");
            assert!(std::env::var_os("CI").is_none());
            return;
        }
        shell("mount -t tmpfs tmpfs /var/log; mount -t tmpfs tmpfs /run; touch /var/log/auth.log");
        shell("cp /etc/fail2ban/jail.conf /etc/fail2ban/jail.local");
        // Which packet filter it is has tests of its own.
        shell("sed -i 's/^banaction = .*/banaction = nftables-multiport/' /etc/fail2ban/jail.local");
        for (name, text) in TUTORIAL {
            save(&Path::new("/etc/fail2ban").join(name), text, 0o644);
        }
        let site = Site::new("komainu_ban_directory = /etc/fail2ban\nkomainu_log = /var/log/mail.log\n");
        site.write("master.cf", "25 inet n - n - - smtpd\n587 inet n - n - - smtpd\n");
        let mut server = Server::start(&site);
        let said = until("four jails", || Some(client("status")).filter(|said| said.contains("jail:\t4")));
        assert!(said.contains("`- Jail list:\tdovecot, postfix, postfix-flood-attack, sshd"), "{said}");
        // Of the server's own clients …
        let mut guesser = hello(GUESSER, 25);
        guesser.say("MAIL FROM:<a@example.org>");
        for _ in 0..3 {
            assert!(guesser.say("RCPT TO:<victim@elsewhere.example>").starts_with("554 5.7.1 "));
        }
        until_refused(GUESSER, 25);
        until_refused(GUESSER, 587);
        // … of Dovecot's in the same file, and of sshd's in another.
        let now = shell("LC_ALL=C date '+%b %e %H:%M:%S'");
        let append = |file: &str, line: &str| {
            use std::io::Write as _;
            let line = format!("{} mx {line}\n", now.trim_end()).repeat(5);
            let mut file = fs::OpenOptions::new().append(true).open(file).expect("opens");
            file.write_all(line.as_bytes()).expect("writes");
        };
        append(
            "/var/log/mail.log",
            "dovecot: imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<joe>, method=PLAIN, \
             rip=198.51.100.7, lip=192.0.2.1, session=<x>",
        );
        append("/var/log/auth.log", "sshd[71]: Failed password for root from 198.51.100.8 port 22 ssh2");
        for (from, jail) in [("198.51.100.7", "dovecot"), ("198.51.100.8", "sshd")] {
            until_refused(from, 25);
            let said = client(&format!("status {jail}"));
            assert!(
                said.contains("|- Total banned:\t1\n") && said.contains(&format!("Banned IP list:\t{from}")),
                "{said}"
            );
        }
        let log = fs::read_to_string("/var/log/fail2ban.log").expect("fail2ban's log");
        for (from, jail) in [(GUESSER, "postfix"), ("198.51.100.7", "dovecot"), ("198.51.100.8", "sshd")] {
            assert!(log.contains(&format!("INFO    [{jail}] Found {from} - 20")), "{log}");
            assert!(log.contains(&format!("NOTICE  [{jail}] Ban {from}\n")), "{log}");
        }
        // Each of our own lines counted once, though the jails read the file as well.
        assert_eq!(log.matches(&format!("[postfix] Found {GUESSER}")).count(), 3, "{log}");
        client(&format!("set postfix unbanip {GUESSER}"));
        until("let in again", || (!is_refused(GUESSER, 25)).then_some(()));
        assert!(server.stop().success());
    });
}
