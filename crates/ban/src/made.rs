//! Logs that a seed makes, and the truth about them: who really tried what, how often.
//!
//! For tests and measurements. A conversation is written as the servers would write it, line by line, among the
//! others that go on at the same time; names that clients choose try to look like addresses of others. The stamps are
//! syslog's, in UTC, from 2026-11-20 on.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// When the first line was written: 2026-11-20 00:00:00 UTC.
pub const BEGIN_S: i64 = 1_795_132_800;

/// A log.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// Its lines.
    pub log: String,
    /// Who tried to get in, in the order of their first lines.
    pub attempts: Vec<Attempt>,
}

/// Somebody tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When, in seconds since 1970.
    pub time_s: i64,
    /// Whence.
    pub address: IpAddr,
    /// At what.
    pub service: Service,
}

/// What was attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// AUTH over SMTP.
    Smtp,
    /// Mail that is refused.
    Mail,
    /// Log-ins to Dovecot.
    Mailbox,
    /// sshd.
    Shell,
}

/// A small generator of numbers, the same on every machine.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Begins with a seed.
    #[must_use]
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `sides`, or 0.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0).checked_rem(sides).unwrap_or(0)
    }

    /// One of several.
    pub fn pick<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of.get(self.roll(of.len())).copied().unwrap_or("")
    }
}

/// Conversations of honest clients of a mail server: the seconds between lines, and the lines.
const HONEST_MAIL: [&[(usize, &str)]; 5] = [
    &[
        (0, "postfix/smtpd[{n}]: connect from mail.example.net[{ip}]"),
        (1, "postfix/smtpd[{n}]: {q}: client=mail.example.net[{ip}]"),
        (0, "postfix/cleanup[{n}]: {q}: message-id=<{word}.{q}@mail.example.net>"),
        (0, "postfix/qmgr[811]: {q}: from=<{word}@example.net>, size=48213, nrcpt=1 (queue active)"),
        (
            0,
            "postfix/smtpd[{n}]: disconnect from mail.example.net[{ip}] ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7",
        ),
        (
            1,
            "postfix/lmtp[{n}]: {q}: to=<{word}@example.org>, relay=mx.example.org[private/dovecot-lmtp], delay=0.31, delays=0.2/0.01/0.02/0.08, dsn=2.0.0, status=sent (250 2.0.0 <{word}@example.org> {q} Saved)",
        ),
        (0, "postfix/qmgr[811]: {q}: removed"),
    ],
    &[
        (
            0,
            "dovecot: imap-login: Login: user=<{word}@example.org>, method=PLAIN, rip={ip}, lip=192.0.2.25, mpid={n}, TLS, session=<{q}>",
        ),
        (
            3,
            "dovecot: imap({word}@example.org)<{n}><{q}>: Logged out in=118 out=1623 deleted=0 expunged=0 trashed=0 hdr_count=2 hdr_bytes=711 body_count=0 body_bytes=0",
        ),
    ],
    &[
        (0, "postfix/submission/smtpd[{n}]: connect from host.example.com[{ip}]"),
        (
            0,
            "postfix/submission/smtpd[{n}]: Anonymous TLS connection established from host.example.com[{ip}]: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256",
        ),
        (
            1,
            "postfix/submission/smtpd[{n}]: {q}: client=host.example.com[{ip}], sasl_method=PLAIN, sasl_username={word}@example.org",
        ),
        (0, "postfix/cleanup[{n}]: {q}: message-id=<{word}@example.org>"),
        (0, "opendkim[512]: {q}: DKIM-Signature field added (s=mail, d=example.org)"),
        (0, "postfix/qmgr[811]: {q}: from=<{word}@example.org>, size=2312, nrcpt=1 (queue active)"),
        (
            0,
            "postfix/submission/smtpd[{n}]: disconnect from host.example.com[{ip}] ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=8",
        ),
        (
            2,
            "postfix/smtp[{n}]: {q}: to=<{word}@example.com>, relay=mx.example.com[203.0.113.25]:25, delay=2.1, delays=0.1/0/0.9/1.1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {q})",
        ),
        (0, "postfix/qmgr[811]: {q}: removed"),
    ],
    &[
        (
            0,
            "dovecot: pop3-login: Login: user=<{word}>, method=PLAIN, rip={ip}, lip=192.0.2.25, mpid={n}, TLS, session=<{q}>",
        ),
        (
            1,
            "dovecot: pop3({word})<{n}><{q}>: Disconnected: Logged out top=0/0, retr=0/0, del=0/12, size=480213",
        ),
    ],
    &[
        (0, "postfix/anvil[{n}]: statistics: max connection rate 2/60s for (smtp:{ip}) at Nov 20 01:02:03"),
        (0, "postfix/anvil[{n}]: statistics: max cache size 9 at Nov 20 01:02:03"),
    ],
];

/// Conversations of attackers of a mail server, each one attempt.
const HOSTILE_MAIL: [(Service, &[(usize, &str)]); 8] = [
    (
        Service::Smtp,
        &[
            (0, "postfix/smtpd[{n}]: connect from unknown[{ip}]"),
            (2, "postfix/smtpd[{n}]: warning: unknown[{ip}]: SASL LOGIN authentication failed: UGFzc3dvcmQ6"),
            (0, "postfix/smtpd[{n}]: lost connection after AUTH from unknown[{ip}]"),
            (0, "postfix/smtpd[{n}]: disconnect from unknown[{ip}] ehlo=1 auth=0/1 commands=1/2"),
        ],
    ),
    (
        Service::Smtp,
        &[
            (0, "postfix/smtps/smtpd[{n}]: connect from unknown[{ip}]"),
            (
                3,
                "postfix/smtps/smtpd[{n}]: warning: unknown[{ip}]: SASL PLAIN authentication failed: (reason unavailable), sasl_username={user}",
            ),
            (
                1,
                "postfix/smtps/smtpd[{n}]: disconnect from unknown[{ip}] ehlo=1 auth=0/1 quit=1 commands=2/3",
            ),
        ],
    ),
    (
        Service::Mail,
        &[
            (0, "postfix/smtpd[{n}]: connect from unknown[{ip}]"),
            (
                1,
                "postfix/smtpd[{n}]: NOQUEUE: reject: RCPT from unknown[{ip}]: 554 5.7.1 <{user}>: Relay access denied; from=<{user}> to=<x@example.com> proto=ESMTP helo=<{helo}>",
            ),
            (
                0,
                "postfix/smtpd[{n}]: disconnect from unknown[{ip}] ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4",
            ),
        ],
    ),
    (
        Service::Mail,
        &[
            (0, "postfix/smtpd[{n}]: connect from h.example[{ip}]"),
            (
                1,
                "postfix/smtpd[{n}]: NOQUEUE: reject: RCPT from h.example[{ip}]: 550 5.1.1 <{word}@example.org>: Recipient address rejected: User unknown in local recipient table; from=<> to=<{word}@example.org> proto=SMTP helo=<{helo}>",
            ),
            (0, "postfix/smtpd[{n}]: disconnect from h.example[{ip}] helo=1 mail=1 rcpt=0/1 commands=2/3"),
        ],
    ),
    (
        Service::Mailbox,
        &[(
            4,
            "dovecot: imap-login: Disconnected (auth failed, 1 attempts in 4 secs): user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.25, TLS, session=<{q}>",
        )],
    ),
    (
        Service::Mailbox,
        &[
            (
                0,
                "auth: pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot ruser={user} rhost={ip}",
            ),
            (
                2,
                "dovecot: auth-worker({n}): pam({word},{ip},<{q}>): pam_authenticate() failed: Authentication failure (password mismatch?)",
            ),
            (
                2,
                "dovecot: pop3-login: Aborted login (auth failed, 1 attempts in 2 secs): user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.25, session=<{q}>",
            ),
        ],
    ),
    (
        Service::Mailbox,
        &[
            (
                0,
                "dovecot: auth: passwd-file({word},{ip},<{q}>): unknown user (SHA1 of given password: 5baa61)",
            ),
            (
                2,
                "dovecot: imap-login: Aborted login (auth failed, 1 attempts in 2 secs): user=<{word}>, method=PLAIN, rip={ip}, lip=192.0.2.25, TLS: Disconnected, session=<{q}>",
            ),
        ],
    ),
    (
        Service::Mail,
        &[
            (0, "postfix/smtpd[{n}]: connect from unknown[{ip}]"),
            (0, "postfix/smtpd[{n}]: improper command pipelining after EHLO from unknown[{ip}]: QUIT\\r\\n"),
            (0, "postfix/smtpd[{n}]: disconnect from unknown[{ip}] ehlo=1 quit=1 commands=2"),
        ],
    ),
];

/// What else a machine with sshd writes.
const HONEST_SHELL: [&[(usize, &str)]; 4] = [
    &[
        (0, "sshd[{n}]: Connection from {ip} port 4711 on 192.0.2.25 port 22 rdomain \"\""),
        (1, "sshd[{n}]: Accepted publickey for {word} from {ip} port 4711 ssh2: ED25519 SHA256:{q}"),
        (0, "sshd[{n}]: pam_unix(sshd:session): session opened for user {word}(uid=1000) by (uid=0)"),
        (0, "systemd-logind[390]: New session {n} of user {word}."),
        (9, "sshd[{n}]: Received disconnect from {ip} port 4711:11: disconnected by user"),
        (0, "sshd[{n}]: Disconnected from user {word} {ip} port 4711"),
        (0, "sshd[{n}]: pam_unix(sshd:session): session closed for user {word}"),
    ],
    &[
        (0, "CRON[{n}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"),
        (1, "CRON[{n}]: pam_unix(cron:session): session closed for user root"),
    ],
    &[
        (0, "sudo:     {word} : TTY=pts/0 ; PWD=/home/{word} ; USER=root ; COMMAND=/usr/bin/apt update"),
        (0, "sudo: pam_unix(sudo:session): session opened for user root(uid=0) by {word}(uid=1000)"),
        (2, "sudo: pam_unix(sudo:session): session closed for user root"),
    ],
    &[(0, "systemd-logind[390]: Session {n} logged out. Waiting for processes to exit.")],
];

/// Conversations of those who guess at sshd, each one attempt.
const HOSTILE_SHELL: [(Service, &[(usize, &str)]); 4] = [
    (
        Service::Shell,
        &[
            (0, "sshd[{n}]: Invalid user {user} from {ip} port 4711"),
            (0, "sshd[{n}]: pam_unix(sshd:auth): check pass; user unknown"),
            (
                0,
                "sshd[{n}]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={ip}",
            ),
            (2, "sshd[{n}]: Failed password for invalid user {user} from {ip} port 4711 ssh2"),
            (1, "sshd[{n}]: Received disconnect from {ip} port 4711:11: Bye Bye [preauth]"),
            (0, "sshd[{n}]: Disconnected from invalid user {user} {ip} port 4711 [preauth]"),
        ],
    ),
    (
        Service::Shell,
        &[
            (
                0,
                "sshd[{n}]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={ip}  user=root",
            ),
            (2, "sshd[{n}]: Failed password for root from {ip} port 4711 ssh2"),
            (1, "sshd[{n}]: Connection closed by authenticating user root {ip} port 4711 [preauth]"),
        ],
    ),
    (
        Service::Shell,
        &[
            (0, "sshd[{n}]: Invalid user {word} from {ip} port 4711"),
            (1, "sshd[{n}]: Connection closed by invalid user {word} {ip} port 4711 [preauth]"),
        ],
    ),
    (
        Service::Shell,
        &[
            (0, "sshd[{n}]: User {word} from {ip} not allowed because not listed in AllowUsers"),
            (2, "sshd[{n}]: Failed password for invalid user {word} from {ip} port 4711 ssh2"),
            (1, "sshd[{n}]: Connection closed by invalid user {word} {ip} port 4711 [preauth]"),
        ],
    ),
];

const WORDS: [&str; 12] =
    ["bob", "alice", "info", "admin", "carol", "test", "dave", "web", "sales", "postmaster", "eve", "oracle"];

/// What clients choose: some of it looks like something else.
const USERS: [&str; 10] = [
    "root",
    "bob",
    "a b",
    "x from 9.9.9.9",
    "info@example.org",
    "x>, rip=9.9.9.9, lip=8.8.8.8, y=<",
    "é",
    "admin port 22",
    "user rhost=9.9.9.9",
    "from 9.9.9.9 port 22 ssh2",
];

const HELOS: [&str; 5] = [
    "x",
    "[9.9.9.9]",
    "from unknown[9.9.9.9]: 554 5.7.1",
    "mail.example.net",
    "lost connection after AUTH from h[9.9.9.9]",
];

struct Writer {
    dice: Dice,
    /// Lines to come: second, turn, text.
    due: BinaryHeap<Reverse<(i64, u64, String)>>,
    turn: u64,
    made: Made,
}

/// A mail server's log of at least `lines` lines, of which every fifth conversation or so is an attack.
#[must_use]
pub fn mail_log(seed: u64, lines: usize) -> Made {
    written(seed, lines, &HONEST_MAIL, &HOSTILE_MAIL, 4)
}

/// A log of sshd and its neighbours; most that knock there are attackers.
#[must_use]
pub fn auth_log(seed: u64, lines: usize) -> Made {
    written(seed, lines, &HONEST_SHELL, &HOSTILE_SHELL, 2)
}

type Talk = [(usize, &'static str)];

fn written(
    seed: u64,
    lines: usize,
    honest: &[&'static Talk],
    hostile: &[(Service, &'static Talk)],
    one_in: usize,
) -> Made {
    let mut writer = Writer { dice: Dice::new(seed), due: BinaryHeap::new(), turn: 0, made: Made::default() };
    let mut count = 0;
    let mut now_s = BEGIN_S;
    while count < lines {
        if writer.dice.roll(one_in) == 0 {
            if let Some((service, talk)) = hostile.get(writer.dice.roll(hostile.len())) {
                let last = writer.dice.roll(40);
                let address = match writer.dice.roll(5) {
                    0 => Ipv6Addr::from(0x2001_0db8_0000_0000_0000_0000_0000_0000 + last as u128 + 1).into(),
                    _ => IpAddr::from(Ipv4Addr::new(198, 51, 100, u8::try_from(last).unwrap_or(0))),
                };
                writer.made.attempts.push(Attempt { time_s: now_s, address, service: *service });
                writer.talk(talk, address, now_s);
            }
        } else if let Some(talk) = honest.get(writer.dice.roll(honest.len())) {
            let address =
                IpAddr::from(Ipv4Addr::new(203, 0, 113, u8::try_from(writer.dice.roll(250)).unwrap_or(0)));
            writer.talk(talk, address, now_s);
        }
        now_s += i64::try_from(writer.dice.roll(4)).unwrap_or(0);
        count += writer.flush(now_s);
    }
    writer.flush(i64::MAX);
    writer.made
}

impl Writer {
    fn talk(&mut self, talk: &Talk, address: IpAddr, begin_s: i64) {
        let number = (1_000 + self.turn % 30_000).to_string();
        let queue_id = format!("4X{:07X}", self.dice.roll(1 << 28));
        let (word, user, helo) = (self.dice.pick(&WORDS), self.dice.pick(&USERS), self.dice.pick(&HELOS));
        let address = address.to_string();
        let mut at_s = begin_s;
        for (wait, line) in talk {
            at_s += i64::try_from(*wait).unwrap_or(0);
            let mut text = String::with_capacity(line.len() + 40);
            let mut rest = *line;
            while let Some((before, behind)) = rest.split_once('{') {
                let (name, after) = behind.split_once('}').unwrap_or((behind, ""));
                text.push_str(before);
                text.push_str(match name {
                    "n" => &number,
                    "q" => &queue_id,
                    "ip" => &address,
                    "word" => word,
                    "user" => user,
                    _ => helo,
                });
                rest = after;
            }
            text.push_str(rest);
            self.due.push(Reverse((at_s, self.turn, text)));
            self.turn += 1;
        }
    }

    /// Writes what is due before a second, and tells how many lines that were.
    fn flush(&mut self, now_s: i64) -> usize {
        let mut count = 0;
        while self.due.peek().is_some_and(|Reverse((at_s, ..))| *at_s < now_s) {
            let Some(Reverse((at_s, _, text))) = self.due.pop() else { break };
            let since = at_s - BEGIN_S;
            let (day, second) = (20 + since / 86_400, since % 86_400);
            let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
            // Writing to a String can't fail.
            let _ = writeln!(self.made.log, "Nov {day:2} {hour:02}:{minute:02}:{second:02} mx {text}");
            count += 1;
        }
        count
    }
}
