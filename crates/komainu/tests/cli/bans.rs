//! `komainu ban`, with a folder of fail2ban's files of our own. T0.1, T2.18, T2.21.

use crate::program::{Folder, Ran, komainu};

/// 2026-11-23 09:16:22 UTC.
const NOW: &str = "1795425382";

/// What the tutorial's dictionary attacks look like, with an honest log-in and a name that somebody chose.
const LOG: &str = "\
Nov 23 01:02:03 mx auth: pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot ruser=root rhost=192.0.2.4 user=root
Nov 23 01:02:04 mx auth: pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot ruser=x rhost=192.0.2.9 rhost=192.0.2.4 user=root
Nov 23 01:02:05 mx dovecot: imap-login: Login: user=<alice>, method=PLAIN, rip=192.0.2.5, lip=192.0.2.25
Nov 23 01:02:07 mx auth: pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot ruser=root rhost=192.0.2.4 user=root
Nov 23 01:03:00 mx auth: pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot ruser=root rhost=192.0.2.8 user=root
Nov 23 01:12:08 mx auth: pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot ruser=root rhost=192.0.2.6 user=root
";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write(
        "jail.conf",
        "[DEFAULT]\nmaxretry = 3\nfindtime = 10m\nbantime = 10m\nignoreip = 192.0.2.8/32\nfilter = %(__name__)s\n\
         [pam]\nlogpath = auth.log\n[blind]\nenabled = true\nfilter = pam\nlogpath = /nowhere/secure\nport = smtp\n\
         action = all[port=\"%(port)s\"]\n[bad]\nenabled = true\nmaxretry = five\n\
         komainu_count = user\n",
    );
    let rule = r"pam_unix\(\S+\): authentication failure;.* rhost=<HOST>(?: user=<F-USER>\S*</F-USER>)?\s*$";
    folder.write("pam.conf", format!("[Definition]\nfailregex = {rule}\ndatepattern = {{^LN-BEG}}\n"));
    folder.write("auth.log", LOG);
    for name in ["filter.d", "action.d"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    std::fs::rename(folder.path().join("pam.conf"), folder.path().join("filter.d/pam.conf")).expect("moved");
    folder.write("filter.d/bad.conf", "[Definition]\nfailregex = nobody\n");
    folder.write("action.d/all.conf", "[Definition]\nactionban = shut <ip>\n");
    folder
}

fn ban(folder: &Folder, arguments: &[&str]) -> Ran {
    folder.run(komainu(), &[&["ban", "-c", "."], arguments].concat(), b"")
}

/// T0.1: the address of such lines is found, and no other that stands in them.
#[test]
fn a_filter_is_tried_on_a_log() {
    let folder = folder();
    let ran = ban(&folder, &["test", "auth.log", "pam", "--json", "--now", NOW, "--timezone", "UTC"]);
    let first = "{\"host\":\"192.0.2.4\",\"line\":1,\"regex\":1,\"time\":1795395723,\"user\":\"root\"}\n";
    assert!(ran.out.starts_with(first), "{ran:?}");
    assert_eq!((ran.code, ran.out.lines().count()), (Some(0), 5), "{ran:?}");
    assert!(!ran.out.contains("192.0.2.9"), "{ran:?}");
    let ran = ban(&folder, &["test", "auth.log", "./filter.d/pam.conf", "--now", NOW]);
    for part in [
        "Failregex: 5 total\n",
        "|  [6] {^LN-BEG}(?:DAY )?MON Day %k:Minute:Second(?:\\.Microseconds)?(?: ExYear)?\n",
        "Lines: 6 lines, 0 ignored, 5 matched, 1 missed\n",
        "|- Missed line(s):\n|  Nov 23 01:02:05 mx dovecot: imap-login: Login: user=<alice>",
    ] {
        assert!(ran.out.contains(part), "{part}: {ran:?}");
    }
    let line = "Nov 23 01:02:03 x failed from 192.0.2.1 now";
    assert_eq!(ban(&folder, &["test", line, "failed from <HOST> now$"]).code, Some(0));
    assert_eq!(ban(&folder, &["test", line, "failed from <HOST> then$"]).code, Some(1));
    assert_eq!(ban(&folder, &["test", "auth.log", "nosuch"]).code, Some(78));
    assert_eq!(ban(&folder, &["test", "auth.log", "("]).code, Some(78));
    assert_eq!(ban(&folder, &["test", "nosuch.log", "pam"]).code, Some(75));
    assert_eq!(ban(&folder, &["test", "auth.log"]).code, Some(64));
}

/// However many threads look at a log, the report is that of one: of lines, of sessions that go over many of them, of a
/// line without a date behind another thread's.
#[test]
fn threads_report_what_one_does() {
    let folder = folder();
    let prefix = r"^<F-MLFID>\s*\S+ sshd\[\d+\]:\s+</F-MLFID><F-CONTENT>.+</F-CONTENT>$";
    let rules = "^Failed \\S+ for (?P<cond>invalid user )?<F-USER>\\S+|(?(cond)(?:(?! from ).)*?|[^:]+)</F-USER> from <HOST>\n  \
                 ^<F-NOFAIL>Connection from</F-NOFAIL> <HOST>\n  ^<F-MLFFORGET>Connection closed</F-MLFFORGET> by\n  \
                 ^<F-MLFGAINED>Accepted</F-MLFGAINED> \\w+ for \\S+ from <HOST>";
    folder.write("filter.d/ssh.conf", format!("[Definition]\nprefregex = {prefix}\nfailregex = {rules}\n"));
    let made = ban::made::auth_log(11, 12_000).log;
    let undated = "mx sshd[7]: Failed password for a b from 192.0.2.77 port 22\r\n";
    let log: String = made
        .lines()
        .enumerate()
        .map(|(n, line)| format!("{line}\n{}", if n % 900 == 1 { undated } else { "" }))
        .collect();
    assert!(log.len() > 4 << 18, "several blocks: {}", log.len());
    folder.write("made.log", log);
    let report = |threads: &str| {
        let ran = ban(&folder, &["test", "made.log", "ssh", "--now", NOW, "--threads", threads]);
        assert_eq!(ran.code, Some(0), "{threads}: {}", ran.errors);
        ran.out.lines().filter(|line| !line.starts_with("[processed")).collect::<Vec<_>>().join("\n")
    };
    let one = report("1");
    assert!(one.contains("Lines: 120") && !one.contains(" 0 matched"), "{one}");
    for threads in ["2", "3", "9"] {
        assert_eq!(report(threads), one, "{threads} threads");
    }
    let ran = ban(&folder, &["test", "made.log", "ssh", "--now", NOW, "--json"]);
    // Lines that wait for their session's address match too; this expression's have it.
    let matched =
        format!("   1) [{}] ", ran.out.lines().filter(|line| line.contains("\"regex\":1,")).count());
    assert!(one.contains(&matched), "{matched} {one}");
}

/// T2.21: the lines of fail2ban's log, the unban `bantime` after the failure, in whole seconds.
#[test]
fn a_jail_is_tried_on_a_log() {
    let folder = folder();
    let ran = ban(&folder, &["simulate", "--jail", "pam", "auth.log", "--now", NOW]);
    let text: Vec<&str> = ran.out.lines().filter_map(|line| Some(line.split_once("]: ")?.1)).collect();
    let expect = [
        "INFO    [pam] Found 192.0.2.4 - 2026-11-23 01:02:03",
        "INFO    [pam] Found 192.0.2.4 - 2026-11-23 01:02:04",
        "INFO    [pam] Found 192.0.2.4 - 2026-11-23 01:02:07",
        "NOTICE  [pam] Ban 192.0.2.4",
        "INFO    [pam] Ignore 192.0.2.8 by ip",
        "NOTICE  [pam] Unban 192.0.2.4",
        "INFO    [pam] Found 192.0.2.6 - 2026-11-23 01:12:08",
    ];
    assert_eq!(text, expect, "{ran:?}");
    assert!(ran.out.contains("2026-11-23 01:12:07,000 fail2ban.actions        ["), "{ran:?}");
    let ran = ban(&folder, &["simulate", "-j", "pam", "--maxretry", "4", "auth.log", "--now", NOW]);
    assert_eq!((ran.code, ran.out.contains("Ban")), (Some(1), false), "{ran:?}");
    assert_eq!(ban(&folder, &["simulate", "-j", "nosuch", "auth.log"]).code, Some(64));
}

/// What two jails do stands in its order, somebody who fails on while he is banned is held for longer, and it is said by
/// what somebody is spared.
#[test]
fn two_jails_are_tried_on_a_log() {
    let folder = folder();
    folder.write("jail.local", "[fast]\nfilter = pam\nlogpath = auth.log\nmaxretry = 2\nbantime = 60\n");
    let line = |time: &str, address: &str| {
        format!(
            "Nov 23 {time} mx auth: pam_unix(x:auth): authentication failure; rhost={address} user=root\n"
        )
    };
    let log = [
        line("01:00:00", "127.0.0.1"),
        line("01:00:00", "192.0.2.4"),
        line("01:00:01", "192.0.2.4"),
        line("01:00:02", "192.0.2.4"),
        line("01:00:30", "192.0.2.4"),
        line("01:00:40", "192.0.2.4"),
        line("01:01:45", "192.0.2.4"),
        line("01:30:00", "192.0.2.6"),
    ];
    folder.write("two.log", log.concat());
    let simulate = |more: &[&str]| {
        let all = ["simulate", "-j", "pam", "-j", "fast", "two.log", "--now", NOW];
        ban(&folder, &[&all[..], more].concat())
    };
    let ran = simulate(&[]);
    let text = |line: &'_ str| {
        let (begin, rest) = line.split_once(" fail2ban.")?;
        let event = rest.split_once("]: ")?.1.to_owned();
        (!event.contains("] Found ")).then(|| format!("{} {event}", &begin[11..19]))
    };
    let text: Vec<String> = ran.out.lines().filter_map(text).collect();
    let expect = [
        "01:00:00 INFO    [pam] Ignore 127.0.0.1 by ignoreself rule",
        "01:00:00 INFO    [fast] Ignore 127.0.0.1 by ignoreself rule",
        "01:00:01 NOTICE  [fast] Ban 192.0.2.4",
        "01:00:02 NOTICE  [pam] Ban 192.0.2.4",
        "01:00:30 NOTICE  [fast] 192.0.2.4 already banned",
        "01:01:30 NOTICE  [fast] Unban 192.0.2.4",
        "01:01:45 WARNING [pam] 192.0.2.4 already banned",
        "01:01:45 NOTICE  [fast] Ban 192.0.2.4",
        "01:02:45 NOTICE  [fast] Unban 192.0.2.4",
        "01:11:45 NOTICE  [pam] Unban 192.0.2.4",
    ];
    assert_eq!(text, expect, "{ran:?}");
    let ran = simulate(&["--json"]);
    let held: Vec<serde_json::Value> = ran
        .out
        .lines()
        .filter(|line| line.contains("already banned"))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let spans = held.iter().map(|held| held["until"].as_i64().zip(held["time"].as_i64()).map(|(a, b)| a - b));
    assert_eq!(spans.collect::<Vec<_>>(), [Some(60), Some(600)], "{ran:?}");
}

/// A name that is guessed from many networks, each below `maxretry`.
#[test]
fn what_many_do_together_is_tried_on_a_log() {
    let folder = folder();
    folder.write(
        "jail.local",
        "[account]\nfilter = pam\nlogpath = auth.log\nmaxretry = 4\nkomainu_count = account\nkomainu_spread = 3\n",
    );
    let line = |second: u32, address: &str, user: &str| {
        format!(
            "Nov 23 01:02:{second:02} mx auth: pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 \
             tty=dovecot ruser={user} rhost={address} user={user}\n"
        )
    };
    let log = [
        line(1, "192.0.2.4", "carol"),
        line(2, "192.0.2.4", "carol"),
        line(3, "198.51.100.1", "alice"),
        line(4, "203.0.113.1", "alice"),
        line(5, "192.0.2.8", "alice"),
        line(6, "203.0.113.77", "Alice"),
        line(7, "198.51.101.1", "alice"),
    ];
    folder.write("many.log", log.concat());
    let ran = ban(&folder, &["simulate", "--jail", "account", "many.log", "--now", NOW]);
    let bans: Vec<&str> = ran.out.lines().filter_map(|line| Some(line.split_once("] Ban ")?.1)).collect();
    // 192.0.2.8 is one of those who are never banned, and counts for nothing.
    assert_eq!(bans, ["198.51.101.1", "203.0.113.77", "203.0.113.1", "198.51.100.1"], "{ran:?}");
}

/// What a filter captures is shown though it is empty; who it was is an address, however the log writes it.
#[test]
fn captures_are_shown() {
    let folder = folder();
    let line = |rest: &str| format!("Nov 23 01:02:03 mx app: {rest}\n");
    folder.write("x.log", line("user= host=192.0.2.7/24 id=[::ffff:192.0.2.9]"));
    let test = |rule: &str| ban(&folder, &["test", "x.log", rule, "--json", "--now", NOW]).out;
    assert_eq!(
        test("user=<F-USER>[^ ]*</F-USER> host=<SUBNET> "),
        "{\"cidr\":\"24\",\"host\":\"192.0.2.0/24\",\"line\":1,\"regex\":1,\"time\":1795395723,\"user\":\"\"}\n"
    );
    let found = test(r"user=<F-USER>x?</F-USER><F-ALT_USER> </F-ALT_USER>.* id=<F-ID/>$");
    assert!(found.contains("\"host\":\"192.0.2.9\"") && found.contains("\"user\":\" \""), "{found}");
}

/// T2.18: what can't run is said, with its place.
#[test]
fn the_files_are_checked() {
    let ran = ban(&folder(), &["check"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for part in [
        "error[K0634]: `maxretry = five` can't be read",
        "error[K0635]: the filter of [bad] can't be used: it captures nobody",
        "warning[K0636]: [blind] has nothing to read",
        "[K0637]: [blind] has `port = smtp`, and its action all shuts all ports",
        "jail.conf:17:1",
        "error[K0680]: `komainu_count = user` can't be read",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    let folder = self::folder();
    let jail = |name: &str, count: &str| {
        format!("[{name}]\nenabled = true\nfilter = pam\nlogpath = auth.log\nkomainu_count = {count}\n")
    };
    let nameless = "[mute]\nenabled = true\nfilter =\nfailregex = from <HOST>$\nlogpath = auth.log\nkomainu_count = account\n";
    folder.write("jail.local", jail("heard", "account") + &jail("spray", "password") + nameless);
    let ran = ban(&folder, &["check"]);
    for part in [
        "warning[K0672]: [mute] has `komainu_count = account`, and its filter captures no account: lines of a log count \
         for nothing",
        "warning[K0672]: [spray] has `komainu_count = password`",
        "`<F-USER>",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    assert!(!ran.out.contains("K0672]: [heard]"), "{}", ran.out);
    // A date that can't be read would let every line count as written now.
    let dated = "[dated]\nenabled = true\nfilter = pam\nlogpath = auth.log\ndatepattern = ^%%F %%T\n";
    folder.write("jail.local", dated.to_owned() + "[foreign]\nenabled = true\nlogpath = auth.log\n");
    folder.write("filter.d/foreign.conf", "[Definition]\nfailregex = from <HOST>\ndatepattern = %%s\n");
    let ran = ban(&folder, &["check"]);
    for part in [
        "error[K0635]: the filter of [dated] can't be used: `^%F %T`: `%F` is no code of a date; write `%Y-%m-%d`",
        "jail.local:5:1",
        "error[K0635]: the filter of [foreign] can't be used: `%s`: `%s` is no code of a date; write `{EPOCH}`",
        "filter.d/foreign.conf:3:1",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    let ran = ban(&folder, &["test", "auth.log", "pam[datepattern='%T']", "--json"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(78), ""), "{ran:?}");
    folder.write("jail.local", "");
    let ran = ban(&folder, &["show"]);
    assert!(ran.out.contains("['add', 'blind', 'auto']\n"), "{ran:?}");
}
