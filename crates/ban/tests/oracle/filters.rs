//! The stock filters at work: all of them compile, and find what `fail2ban-regex` finds in logs that a seed makes.

use crate::{Disk, copied, stock};
use ban::filter::{Filter, Outcome, Reader};
use ban::made::{self, Dice};
use ban::zone::Zone;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// 2026-11-23 12:00:00 UTC.
const NOW_S: i64 = 1_795_435_200;

fn options(folder: &Path, name: &str) -> BTreeMap<&'static str, String> {
    let call = ban::brackets::parse(name).expect(name).remove(0);
    let mut found = Vec::new();
    ban::jails::filter(&Disk, &folder.join("filter.d").join(&call.name), &call, &mut found).expect(name)
}

#[test]
fn every_stock_filter_compiles() {
    let Some(stock) = stock("stock filters") else { return };
    let mut count = 0;
    let mut regular = 0;
    for entry in std::fs::read_dir(stock.join("filter.d")).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".conf") else { continue };
        if name.ends_with("common") {
            continue;
        }
        for mode in ["", "[mode=aggressive]"] {
            let options = options(&stock, &format!("{name}{mode}"));
            // A mode that a filter doesn't know leaves it without an expression, or with half of one.
            if options.get("failregex").is_none_or(|text| text.contains("<mdre")) {
                continue;
            }
            let filter = Filter::new(&options).unwrap_or_else(|error| panic!("{name}{mode}: {error}"));
            count += filter.len();
            regular += usize::from(!filter.may_match(b"Nov 23 01:02:03 mx systemd[1]: Started."));
        }
    }
    assert!(count > 400 && regular > 40, "{count} expressions, {regular} filters that pass lines over");
}

/// What both found in a log: address and second, in order.
fn compare(test: &str, filter: &str, log: &str) -> usize {
    let Some(stock) = stock(test) else { return usize::MAX };
    let holder = copied(&stock, &[("mail.log", log)]);
    let folder = holder.path().join("fail2ban");
    let theirs = Command::new("fail2ban-regex")
        .args(["-c", &folder.display().to_string(), "--usedns=raw", "--TZ=UTC", "-o", "<time> <ip>"])
        .args([&folder.join("mail.log").display().to_string(), filter])
        .env("TZ", "UTC")
        .output()
        .expect("fail2ban-regex");
    let theirs = String::from_utf8_lossy(&theirs.stdout);
    let theirs: Vec<String> = theirs.lines().map(|line| line.replacen(".0 ", " ", 1)).collect();
    let filter_options = options(&folder, filter);
    let compiled = Arc::new(Filter::new(&filter_options).expect(filter));
    let said = |outcome: Outcome| match outcome {
        Outcome::Failed(failure) => Some(format!("{} {}", failure.time_us / 1_000_000, failure.id)),
        _ => None,
    };
    let mut reader = Reader::new(Arc::clone(&compiled), Zone::new(jiff::tz::TimeZone::UTC));
    let ours: Vec<String> =
        log.lines().filter_map(|line| said(reader.line(line.as_bytes(), NOW_S * 1_000_000))).collect();
    // Many lines at once, in pieces of whatever length, are the same lines.
    let mut reader = Reader::new(compiled, Zone::new(jiff::tz::TimeZone::UTC));
    let mut at_once = Vec::new();
    let mut rest = log;
    let mut length = 1;
    while !rest.is_empty() {
        length = length * 7 % 5_003;
        let end =
            rest.get(length..).and_then(|rest| rest.find('\n')).map_or(rest.len(), |at| length + at + 1);
        let (piece, behind) = rest.split_at(end);
        reader.lines(piece.as_bytes(), NOW_S * 1_000_000, &mut |_, _, outcome| at_once.extend(said(outcome)));
        rest = behind;
    }
    assert_eq!(ours, at_once, "{test}, {filter}: line by line, and many at once");
    for (at, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
        assert_eq!(theirs, ours, "{test}, {filter}: failure {at}");
    }
    assert_eq!(theirs.len(), ours.len(), "{test}, {filter}");
    ours.len()
}

/// Lines of a mail server and of sshd, with `{ip}`, `{user}` and `{n}` to be filled in.
const LINES: [&str; 44] = [
    "postfix/smtpd[{n}]: connect from unknown[{ip}]",
    "postfix/smtpd[{n}]: warning: unknown[{ip}]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
    "postfix/smtpd[{n}]: warning: unknown[{ip}]: SASL PLAIN authentication failed: Connection lost to authentication server",
    "postfix/smtpd[{n}]: NOQUEUE: reject: RCPT from unknown[{ip}]: 554 5.7.1 <{user}@example.org>: Relay access denied; from=<a@b> to=<{user}@example.org> proto=ESMTP helo=<x>",
    "postfix/smtpd[{n}]: NOQUEUE: reject: RCPT from unknown[{ip}]: 450 4.7.1 <x>: Helo command rejected: Host not found; from=<a@b> to=<c@d> proto=SMTP helo=<x>",
    "postfix/smtpd[{n}]: NOQUEUE: reject: RCPT from h.example[{ip}]: 550 5.1.1 <{user}@example.net>: Recipient address rejected: User unknown in local recipient table; from=<> to=<x> proto=SMTP helo=<y>",
    "postfix/smtpd[{n}]: NOQUEUE: reject: MAIL from unknown[{ip}]: 504 5.5.2 <x>: Sender address rejected: need fully-qualified address; from=<x> proto=ESMTP helo=<y>",
    "postfix/smtpd[{n}]: lost connection after AUTH from unknown[{ip}]",
    "postfix/smtpd[{n}]: lost connection after DATA from unknown[{ip}]",
    "postfix/smtpd[{n}]: disconnect from unknown[{ip}] ehlo=1 auth=0/1 commands=1/2",
    "postfix/smtpd[{n}]: disconnect from unknown[{ip}] ehlo=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=6",
    "postfix/smtpd[{n}]: too many errors after RCPT from unknown[{ip}]",
    "postfix/smtpd[{n}]: improper command pipelining after EHLO from unknown[{ip}]: QUIT",
    "postfix/postscreen[{n}]: PREGREET 14 after 0.12 from [{ip}]:4711: EHLO x\\r\\n",
    "postfix/postscreen[{n}]: HANGUP after 0.5 from [{ip}]:4711 in tests before SMTP handshake",
    "postfix/cleanup[{n}]: 4XyZ12: message-id=<{user}@example.org>",
    "postfix/cleanup[{n}]: 4XyZ12: milter-reject: END-OF-MESSAGE from unknown[{ip}]: 5.7.1 virus; from=<a@b> to=<c@d>",
    "postfix/qmgr[{n}]: 4XyZ12: from=<{user}@example.org>, size=1000, nrcpt=1 (queue active)",
    "postfix/smtp[{n}]: 4XyZ12: to=<{user}@example.net>, relay=mx[{ip}]:25, delay=1, dsn=2.0.0, status=sent (250 ok)",
    "dovecot: imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.25, TLS, session=<x>",
    "dovecot: pop3-login: Aborted login (auth failed, 3 attempts in 16 secs): user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.25",
    "dovecot: imap-login: Disconnected: Inactivity (no auth attempts in 180 secs): user=<>, rip={ip}, lip=192.0.2.25, TLS",
    "dovecot: imap-login: Login: user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.25, mpid=1, TLS",
    "dovecot: imap({user}): Logged out in=1 out=2",
    "dovecot: auth-worker({n}): pam({user},{ip}): pam_authenticate() failed: Authentication failure (password mismatch?)",
    "dovecot: auth: passwd-file({user},{ip},<abc>): unknown user",
    "auth: pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot ruser={user} rhost={ip} user={user}",
    "dovecot: imap-login: Disconnected (tried to use disallowed plaintext auth): user=<>, rip={ip}, lip=192.0.2.25",
    "sshd[{n}]: Failed password for {user} from {ip} port 4711 ssh2",
    "sshd[{n}]: Failed password for invalid user {user} from {ip} port 4711 ssh2",
    "sshd[{n}]: Failed publickey for {user} from {ip} port 4711 ssh2: RSA SHA256:abc",
    "sshd[{n}]: Invalid user {user} from {ip} port 4711",
    "sshd[{n}]: Connection closed by authenticating user {user} {ip} port 4711 [preauth]",
    "sshd[{n}]: Connection closed by invalid user {user} {ip} port 4711 [preauth]",
    "sshd[{n}]: Disconnected from authenticating user {user} {ip} port 4711 [preauth]",
    "sshd[{n}]: Received disconnect from {ip} port 4711:11: Bye Bye [preauth]",
    "sshd[{n}]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={ip}  user={user}",
    "sshd[{n}]: Accepted password for {user} from {ip} port 4711 ssh2",
    "sshd[{n}]: error: maximum authentication attempts exceeded for {user} from {ip} port 4711 ssh2 [preauth]",
    "sshd[{n}]: Disconnecting: Too many authentication failures [preauth]",
    "sshd[{n}]: Unable to negotiate with {ip} port 4711: no matching host key type found. Their offer: ssh-dss [preauth]",
    "sshd[{n}]: Did not receive identification string from {ip} port 4711",
    "sshd[{n}]: User {user} from {ip} not allowed because not listed in AllowUsers",
    "systemd[1]: Started Session {n} of User {user}.",
];

/// What clients choose: some of it looks like something else.
const USERS: [&str; 8] = [
    "root",
    "bob",
    "a b",
    "x from 9.9.9.9",
    "info@example.org",
    "x>, rip=9.9.9.9, y=<",
    "é",
    "admin port 22",
];

fn log(seed: u64, lines: usize) -> String {
    let mut dice = Dice::new(seed);
    let mut out = String::new();
    let mut second = 0;
    for n in 0..lines {
        second += dice.roll(3);
        let (hour, minute) = (second / 3_600, second / 60 % 60);
        let ip = match dice.roll(4) {
            0 => format!("2001:db8::{:x}", dice.roll(20) + 1),
            _ => format!("198.51.100.{}", dice.roll(20)),
        };
        // A session keeps its address family: there is a test of its own for those that don't.
        let number = n % 30 * 2 + usize::from(ip.contains(':'));
        let user = dice.pick(&USERS);
        let line = dice
            .pick(&LINES)
            .replace("{ip}", &ip)
            .replace("{user}", user)
            .replace("{n}", &number.to_string());
        let _ = writeln!(out, "Nov 23 {hour:02}:{minute:02}:{:02} mx {line}", second % 60);
    }
    out
}

#[test]
fn the_same_failures_as_fail2ban_regex() {
    for (seed, filter) in [
        (1, "postfix"),
        (2, "postfix[mode=aggressive]"),
        (3, "postfix[mode=auth]"),
        (4, "dovecot"),
        (5, "dovecot[mode=aggressive]"),
        (6, "sshd"),
        (7, "sshd[mode=aggressive]"),
        (8, "pam-generic"),
    ] {
        // Single lines in any order, then whole conversations.
        let made =
            if filter.starts_with("sshd") { made::auth_log(seed, 300) } else { made::mail_log(seed, 300) };
        let found = compare("generated logs", filter, &(log(seed, 500) + &made.log));
        assert!(found > 10, "{filter}: {found}");
    }
}

/// A log-in under a process number that a session had long before is that session's only as long as fail2ban remembers it:
/// until a hundred others have begun, whatever was said of it meanwhile.
#[test]
fn as_many_sessions_are_remembered() {
    let failed = |number: usize, from: &str| {
        format!("sshd[{number}]: Failed password for bob from {from} port 1 ssh2")
    };
    for (before, behind, is_remembered) in
        [(0, 99, true), (0, 100, false), (60, 39, true), (60, 40, false), (100, 99, true), (5, 300, false)]
    {
        let others = |first: usize, count: usize| (first..first + count).map(|n| failed(n, "203.0.113.9"));
        let mut lines = vec![failed(100, "192.0.2.1")];
        lines.extend(others(1_000, before));
        lines.push(failed(100, "192.0.2.1"));
        lines.extend(others(3_000, behind));
        lines.push(
            "sshd[100]: Accepted publickey for alice from 198.51.100.5 port 2 ssh2: RSA SHA256:x".to_owned(),
        );
        let log: String = lines.iter().map(|line| format!("Nov 23 01:02:03 mx {line}\n")).collect();
        let found = compare("sessions", "sshd", &log);
        let expected = lines.len() - 1 + usize::from(is_remembered);
        assert!(found == usize::MAX || found == expected, "{before} {behind}: {found}");
    }
}
