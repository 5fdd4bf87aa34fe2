//! Logs made up from a seed, for tests and benchmarks: connections, messages and all kinds of trouble over
//! some days, and what is in them.
//!
//! The same seed makes the same log. Names are those of documentation (RFC 2606, RFC 5737).

use crate::Day;

/// What a log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Lines.
    pub lines: u64,
    /// Connections that ended; those that postscreen handed on once.
    pub connections: u64,
    /// Connections that postscreen handed on.
    pub handed_on: u64,
    /// Messages taken.
    pub received: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Deliveries: one a recipient.
    pub delivered: u64,
    /// Deliveries put off.
    pub deferrals: u64,
    /// Recipients whose mail was returned.
    pub bounced: u64,
    /// Commands that were refused.
    pub rejected: u64,
    /// Commands that would have been.
    pub warned: u64,
    /// Messages held.
    pub held: u64,
    /// Messages thrown away.
    pub discarded: u64,
    /// How the connections ended.
    pub connected: Connected,
    /// What became of the messages that the log speaks of.
    pub messages: Messages,
}

/// How the connections of a log ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connected {
    /// With a message.
    pub accepted: u64,
    /// A rule refused.
    pub refused: u64,
    /// postscreen kept them.
    pub screened: u64,
    /// With a log-in that failed.
    pub login_failed: u64,
    /// Broken off.
    pub broken: u64,
    /// Otherwise without mail.
    pub without_mail: u64,
}

/// What became of a log's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// Delivered to all.
    pub delivered: u64,
    /// Delivered to some, returned for others.
    pub partly: u64,
    /// Returned.
    pub bounced: u64,
    /// Still put off.
    pub deferred: u64,
    /// On hold.
    pub held: u64,
    /// Refused for what is in them.
    pub refused: u64,
    /// Thrown away.
    pub discarded: u64,
}

/// A log that grows.
#[derive(Clone, Debug)]
pub struct Sample {
    state: u64,
    /// Milliseconds since the start of 1970.
    now: i64,
    /// Milliseconds from one line to the next, at most.
    pace: u64,
    /// Of how many people there is mail.
    people: u64,
    rfc3339: bool,
    screens: bool,
    truth: Truth,
}

const USERS: [&str; 14] = [
    "alice",
    "Bob",
    "carol",
    "dave",
    "list-return-17-erin=example.net",
    "\"f g\"",
    "bounce-5",
    "noreply",
    "h.example!i",
    "SRS0=ab=cd=example.org=j",
    "k,l",
    "mallory",
    "n+o",
    "p",
];
const DOMAINS: [&str; 10] = [
    "example.com",
    "Example.ORG",
    "example.net",
    "sub.example.com",
    "example.co.uk",
    "[192.0.2.7]",
    "a.example",
    "b.example",
    "example.jp",
    "café.example",
];
const HOSTS: [&str; 10] = [
    "unknown",
    "mx.example.com",
    "unknown",
    "mail.example.co.uk",
    "1-2-3.dyn.example.ne.jp",
    "localhost",
    "A.Example.NET",
    "h.example",
    "relay.b.example",
    "unknown",
];

impl Sample {
    /// A log that begins on `first`, with so many seconds from one line to the next on average.
    #[must_use]
    pub fn new(seed: u64, first: Day, seconds: u64) -> Sample {
        let (now, pace) = (first.number() * 86_400_000, seconds.max(1) * 2000);
        Sample {
            state: seed,
            now,
            pace,
            people: 400,
            rfc3339: false,
            screens: false,
            truth: Truth::default(),
        }
    }

    /// With so many lines over so many days, nearly.
    #[must_use]
    pub fn over(self, days: u64, lines: u64) -> Sample {
        Sample { pace: (days * 86_400_000 * 2 / lines.max(1)).max(1), ..self }
    }

    /// With senders and recipients out of so many.
    #[must_use]
    pub fn crowd(self, people: u64) -> Sample {
        Sample { people, ..self }
    }

    /// With RFC 3339 stamps.
    #[must_use]
    pub fn rfc3339(self) -> Sample {
        Sample { rfc3339: true, ..self }
    }

    /// With postscreen before the server of port 25.
    #[must_use]
    pub fn screened(self) -> Sample {
        Sample { screens: true, ..self }
    }

    /// What has been made so far.
    #[must_use]
    pub fn truth(&self) -> Truth {
        self.truth
    }

    /// On which day it is.
    #[must_use]
    pub fn day(&self) -> Day {
        Day::numbered(self.now.div_euclid(86_400_000))
    }

    /// Makes one event: one line or some.
    pub fn event(&mut self, out: &mut String) {
        match self.below(100) {
            0..35 => self.refusals(out),
            35..65 => self.message(out),
            65..72 => self.retry(out),
            72..78 => self.scanned(out),
            78..92 => self.trouble(out),
            _ => self.foreign(out),
        }
    }

    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let at = self.below(u64::try_from(of.len()).unwrap_or(1));
        usize::try_from(at).ok().and_then(|at| of.get(at)).copied().unwrap_or("")
    }

    fn address(&mut self) -> String {
        match self.below(40) {
            0 => String::new(),
            1 => self.one(&USERS).to_owned(),
            2..20 => format!("u{}@{}", self.below(self.people), self.one(&DOMAINS)),
            _ => format!("{}@{}", self.one(&USERS), self.one(&DOMAINS)),
        }
    }

    fn client(&mut self) -> String {
        let host = self.one(&HOSTS);
        match self.below(8) {
            0 => format!("{host}[2001:db8::{:x}]", self.below(200)),
            _ => format!("{host}[203.0.113.{}]", self.below(256)),
        }
    }

    fn id(&mut self) -> String {
        format!("{:X}", 0x10_0000_0000 + self.below(0xef_ffff_ffff))
    }

    fn line(&mut self, out: &mut String, program: &str, text: &str) {
        let pid = 1000 + self.below(40);
        self.line_of(out, program, pid, text);
    }

    fn line_of(&mut self, out: &mut String, program: &str, pid: u64, text: &str) {
        use std::fmt::Write;
        self.now += i64::try_from(self.below(self.pace)).unwrap_or(0);
        let day = self.day();
        let of_day = self.now.rem_euclid(86_400_000) / 1000;
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        let written = if self.rfc3339 {
            let micros = self.below(1_000_000);
            write!(
                out,
                "{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}+00:00 ",
                day.year, day.month, day.day
            )
        } else {
            write!(out, "{} {:2} {hour:02}:{minute:02}:{second:02} ", day.month_name(), day.day)
        };
        debug_assert!(written.is_ok(), "a string takes everything");
        out.push_str("mail ");
        out.push_str(program);
        out.push_str(&format!("[{pid}]: "));
        out.push_str(text);
        out.push('\n');
        self.truth.lines += 1;
    }

    /// The beginning of a connection; perhaps postscreen keeps another one before.
    fn connect(&mut self, out: &mut String, program: &str, pid: u64, client: &str) {
        if self.screens && program == "postfix/smtpd" {
            let address = client.split_once('[').map_or("", |(_, address)| address.trim_end_matches(']'));
            if self.below(4) == 0 {
                self.kept(out, address);
            }
            let peer = format!("[{address}]:{}", 1024 + self.below(60_000));
            let outcome = self.one(&["PASS OLD", "PASS NEW", "ALLOWLISTED", "WHITELISTED"]);
            self.line_of(out, "postfix/postscreen", 77, &format!("CONNECT from {peer} to [192.0.2.25]:25"));
            self.line_of(out, "postfix/postscreen", 77, &format!("{outcome} {peer}"));
            self.truth.handed_on += 1;
        }
        self.line_of(out, program, pid, &format!("connect from {client}"));
    }

    /// A connection that postscreen keeps, or sends away to come again.
    fn kept(&mut self, out: &mut String, address: &str) {
        let peer = format!("[{address}]:{}", 1024 + self.below(60_000));
        let said = match self.below(3) {
            0 => format!("PREGREET 14 after 0.02 from {peer}: EHLO x\\r\\n"),
            1 => format!("PASS NEW {peer}"),
            _ => format!("HANGUP after 0.1 from {peer} in tests before SMTP handshake"),
        };
        for text in [format!("CONNECT from {peer} to [192.0.2.25]:25"), said, format!("DISCONNECT {peer}")] {
            self.line_of(out, "postfix/postscreen", 77, &text);
        }
        self.truth.connections += 1;
        self.truth.connected.screened += 1;
    }

    /// A connection with commands that are refused.
    fn refusals(&mut self, out: &mut String) {
        let program =
            self.one(&["postfix/smtpd", "postfix/smtpd", "postfix/submission/smtpd", "postfix/smtps/smtpd"]);
        let pid = 2000 + self.below(1_000_000);
        let client = self.client();
        self.connect(out, program, pid, &client);
        let tried = 1 + self.below(3);
        let before = self.truth.rejected;
        for _ in 0..tried {
            let verb =
                self.one(&["reject", "reject", "reject", "reject", "reject_warning", "hold", "discard"]);
            match verb {
                "reject" => self.truth.rejected += 1,
                "reject_warning" => self.truth.warned += 1,
                "hold" => {
                    self.truth.held += 1;
                    self.truth.messages.held += 1;
                }
                _ => self.truth.discarded += 1,
            }
            let id = if verb == "hold" { self.id() } else { "NOQUEUE".to_owned() };
            let text = self.refusal(&client);
            self.line_of(out, program, pid, &format!("{id}: {verb}: {text}"));
        }
        self.line_of(
            out,
            program,
            pid,
            &format!("disconnect from {client} ehlo=1 mail=1 rcpt=0/{tried} quit=1 commands=3/{}", 3 + tried),
        );
        self.truth.connections += 1;
        let refused = self.truth.rejected > before;
        self.truth.connected.refused += u64::from(refused);
        self.truth.connected.without_mail += u64::from(!refused);
    }

    fn refusal(&mut self, client: &str) -> String {
        let (sender, recipient) = (self.address(), format!("u{}@example.com", self.below(60)));
        let address = client.split_once('[').map_or("", |(_, address)| address.trim_end_matches(']'));
        let zone = self.one(&["zen.dnsbl.example", "bl.dnsbl.example", "b.dnsbl.example"]);
        let command =
            self.one(&["RCPT", "RCPT", "RCPT", "RCPT", "MAIL", "DATA", "CONNECT", "EHLO", "END-OF-MESSAGE"]);
        let reason = match self.below(12) {
            0 => format!("450 4.7.1 Client host rejected: cannot find your hostname, [{address}]"),
            1 | 2 => format!(
                "554 5.7.1 Service unavailable; Client host [{address}] blocked using {zone}; https://{zone}/{address}"
            ),
            3 => format!("554 5.7.1 <{recipient}>: Relay access denied"),
            4 => format!(
                "550 5.1.1 <{recipient}>: Recipient address rejected: User unknown in local recipient table"
            ),
            5 => format!(
                "450 4.2.0 <{recipient}>: Recipient address rejected: Greylisted, see http://postgrey.example/help/{recipient}.html"
            ),
            6 => format!("450 4.1.8 <{sender}>: Sender address rejected: Domain not found"),
            7 => format!(
                "504 5.5.2 <h{}>: Helo command rejected: need fully-qualified hostname",
                self.below(9)
            ),
            8 => format!(
                "550 5.1.1 <{recipient}>: Recipient address rejected: undeliverable address: host mx.a.example[192.0.2.25] said: 550 5.1.1 <{recipient}> unknown (in reply to RCPT TO command)"
            ),
            9 => "552 5.3.4 Message size exceeds fixed limit".to_owned(),
            10 => format!("554 5.7.1 <{client}>: Client host rejected: Access denied"),
            _ => "550 5.5.1 Protocol error".to_owned(),
        };
        format!(
            "{command} from {client}: {reason}; from=<{sender}> to=<{recipient}> proto=ESMTP helo=<h.example>"
        )
    }

    /// A message from its arrival to its last recipient.
    fn message(&mut self, out: &mut String) {
        let (id, size, sender) = (self.id(), 300 + self.below(90_000), self.address());
        self.truth.received += 1;
        self.truth.bytes += size;
        if self.below(8) == 0 {
            self.line(out, "postfix/pickup", &format!("{id}: uid=0 from=<{sender}>"));
            self.line(out, "postfix/cleanup", &format!("{id}: message-id=<{id}@example.com>"));
        } else {
            let (pid, client) = (2000 + self.below(1_000_000), self.client());
            self.connect(out, "postfix/smtpd", pid, &client);
            self.line_of(out, "postfix/smtpd", pid, &format!("{id}: client={client}"));
            self.line(out, "postfix/cleanup", &format!("{id}: message-id=<{id}@example.com>"));
            self.line_of(
                out,
                "postfix/smtpd",
                pid,
                &format!("disconnect from {client} ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5"),
            );
            self.truth.connections += 1;
            self.truth.connected.accepted += 1;
        }
        let recipients = 1 + self.below(3);
        self.line(
            out,
            "postfix/qmgr",
            &format!("{id}: from=<{sender}>, size={size}, nrcpt={recipients} (queue active)"),
        );
        let mut ends = Vec::new();
        for _ in 0..recipients {
            ends.push(self.delivery(out, &id));
        }
        // What is put off stays in the queue.
        if !ends.contains(&"deferred") {
            self.line(out, "postfix/qmgr", &format!("{id}: removed"));
        }
        self.ended(&ends);
    }

    /// What became of a message whose deliveries ended so.
    fn ended(&mut self, ends: &[&str]) {
        let has = |status| ends.contains(&status);
        let messages = &mut self.truth.messages;
        let part = match (has("deferred"), has("sent"), has("bounced")) {
            (true, ..) => &mut messages.deferred,
            (_, true, true) => &mut messages.partly,
            (_, true, false) => &mut messages.delivered,
            (_, false, _) => &mut messages.bounced,
        };
        *part += 1;
    }

    /// One recipient's; gives its status.
    fn delivery(&mut self, out: &mut String, id: &str) -> &'static str {
        let recipient = format!("u{}@{}", self.below(self.people * 2), self.one(&DOMAINS));
        let agent =
            self.one(&["postfix/smtp", "postfix/local", "postfix/lmtp", "postfix/pipe", "postfix/virtual"]);
        let relay =
            self.one(&["local", "mx.a.example[192.0.2.25]:25", "mx.b.example[192.0.2.26]:25", "dovecot"]);
        let delay = self.one(&["0.05", "0.31", "1.2", "14", "130", "4100"]);
        let (status, dsn, why) = match self.below(12) {
            0 | 1 => ("deferred", "4.4.1", self.one(&[
                "connect to mx.a.example[192.0.2.25]:25: Connection timed out",
                "host mx.b.example[192.0.2.26] said: 450 4.7.1 <x@b.example>: Recipient address rejected: Greylisted (in reply to RCPT TO command)",
                "delivery temporarily suspended: lost connection with mx.a.example[192.0.2.25] while receiving the initial server greeting",
            ])),
            2 => ("bounced", "5.1.1", self.one(&[
                "host mx.b.example[192.0.2.26] said: 550 5.1.1 <x@b.example>: Recipient address rejected: User unknown (in reply to RCPT TO command)",
                "unknown user: \"x\"",
                "Host or domain name not found. Name service error for name=c.example type=A: Host not found",
            ])),
            _ => ("sent", "2.0.0", self.one(&["250 2.0.0 Ok: queued as 4XYZ", "delivered to maildir", "delivered via dovecot service"])),
        };
        match status {
            "deferred" => self.truth.deferrals += 1,
            "bounced" => self.truth.bounced += 1,
            _ => self.truth.delivered += 1,
        }
        let original = if self.below(9) == 0 { " orig_to=<root>," } else { "" };
        self.line(out, agent, &format!("{id}: to=<{recipient}>,{original} relay={relay}, delay={delay}, delays=0.02/0.01/0/0.02, dsn={dsn}, status={status} ({why})"));
        status
    }

    /// A delivery of a message from before the log.
    fn retry(&mut self, out: &mut String) {
        let id = self.id();
        let end = self.delivery(out, &id);
        self.ended(&[end]);
    }

    /// What cleanup(8) finds.
    fn scanned(&mut self, out: &mut String) {
        let (id, client) = (self.id(), self.client());
        let (sender, recipient) = (self.address(), self.address());
        let verb = self.one(&["reject", "warning", "hold", "discard", "milter-reject", "prepend"]);
        let truth = &mut self.truth;
        let (events, messages) = match verb {
            "reject" | "milter-reject" => (&mut truth.rejected, Some(&mut truth.messages.refused)),
            "hold" => (&mut truth.held, Some(&mut truth.messages.held)),
            "discard" => (&mut truth.discarded, Some(&mut truth.messages.discarded)),
            "warning" => (&mut truth.warned, None),
            _ => (&mut 0, None),
        };
        *events += 1;
        if let Some(messages) = messages {
            *messages += 1;
        }
        let part = self.one(&[
            "header Subject: cheap watches",
            "header X-Mailer: a long word about what sent this, and then some more of it",
            "body click here",
        ]);
        let envelope = format!("from=<{sender}> to=<{recipient}> proto=ESMTP helo=<h.example>");
        // Refused by the connection that it came by, or by one from before the log.
        let is_new = matches!(verb, "reject" | "milter-reject") && self.below(2) == 0;
        let pid = 2000 + self.below(1_000_000);
        if is_new {
            self.truth.received += 1;
            self.truth.connections += 1;
            self.truth.connected.refused += 1;
            self.connect(out, "postfix/smtpd", pid, &client);
            self.line_of(out, "postfix/smtpd", pid, &format!("{id}: client={client}"));
        }
        let text = match verb {
            "milter-reject" => {
                format!("{id}: {verb}: END-OF-MESSAGE from {client}: 5.7.1 not here; {envelope}")
            }
            _ => format!("{id}: {verb}: {part} from {client}; {envelope}: 5.7.1 not here"),
        };
        self.line(out, "postfix/cleanup", &text);
        if is_new {
            let text = format!("disconnect from {client} ehlo=1 mail=1 rcpt=1 data=0/1 quit=1 commands=4/5");
            self.line_of(out, "postfix/smtpd", pid, &text);
        }
    }

    /// Warnings and worse.
    fn trouble(&mut self, out: &mut String) {
        let client = self.client();
        let (program, text) = match self.below(9) {
            0..=2 => return self.guess(out, &client),
            3 => (
                "postfix/smtpd",
                format!(
                    "warning: hostname h{}.example does not resolve to address 192.0.2.9",
                    self.below(30)
                ),
            ),
            4 => ("postfix/smtp", "warning: no MX host for d.example has a valid address record".to_owned()),
            5 => (
                "postfix/smtp",
                "connect to mx.c.example[192.0.2.27]: Connection refused (port 25)".to_owned(),
            ),
            6 => ("postfix/master", "reload -- version 3.7.11, configuration /etc/postfix".to_owned()),
            7 => (
                "postfix/trivial-rewrite",
                "fatal: open database /etc/postfix/transport.db: No such file or directory".to_owned(),
            ),
            _ => ("postfix/cleanup", "panic: vstream_fseek: bad".to_owned()),
        };
        self.line(out, program, &text);
    }

    /// A connection with a log-in that fails.
    fn guess(&mut self, out: &mut String, client: &str) {
        let pid = 2000 + self.below(1_000_000);
        self.connect(out, "postfix/smtpd", pid, client);
        for text in [
            format!("warning: {client}: SASL LOGIN authentication failed: UGFzc3dvcmQ6"),
            format!("lost connection after AUTH from {client}"),
            format!("disconnect from {client} ehlo=1 auth=0/1 commands=1/2"),
        ] {
            self.line_of(out, "postfix/smtpd", pid, &text);
        }
        self.truth.connections += 1;
        self.truth.connected.login_failed += 1;
    }

    /// A connection that is broken off.
    fn lost(&mut self, out: &mut String, client: &str) {
        let pid = 2000 + self.below(1_000_000);
        self.connect(out, "postfix/smtpd", pid, client);
        for text in [
            format!("lost connection after EHLO from {client}"),
            format!("disconnect from {client} ehlo=1 commands=1"),
        ] {
            self.line_of(out, "postfix/smtpd", pid, &text);
        }
        self.truth.connections += 1;
        self.truth.connected.broken += 1;
    }

    /// Other programs, and lines that are cut or none.
    fn foreign(&mut self, out: &mut String) {
        let client = self.below(256);
        match self.below(6) {
            0 => self.line(out, "postgrey", &format!("action=greylist, reason=new, client_name=unknown, client_address=203.0.113.{client}/32, sender=a@example.net, recipient=b@example.com")),
            1 => self.line(out, "dovecot", &format!("imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<u{client}>, method=PLAIN, rip=203.0.113.{client}, lip=192.0.2.1, TLS")),
            2 => self.line(out, "opendkim", "4XYZ: DKIM-Signature field added (s=mail, d=example.com)"),
            3 => self.line(out, "postfix/anvil", &format!("statistics: max connection rate 1/60s for (smtp:203.0.113.{client}) at Nov 22 01:02:03")),
            4 => self.lost(out, &format!("unknown[203.0.113.{client}]")),
            _ => {
                out.push_str("half a line, and no stam\n");
                self.truth.lines += 1;
            }
        }
    }
}
