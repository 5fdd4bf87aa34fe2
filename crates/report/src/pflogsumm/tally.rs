//! The fold: each line into the counters that it belongs to.

use super::count::Table;
use super::{Options, address, reason};
use crate::day::{Day, Moment};
use crate::scan;
use memchr::memmem;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// The columns of the traffic summaries.
#[derive(Clone, Copy)]
enum Column {
    Received,
    Delivered,
    Deferred,
    Bounced,
    Rejected,
}

/// A row of a traffic summary.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) counts: [u64; 5],
    /// Behind the last column that was counted in: the rest stays blank.
    pub(super) width: usize,
}

/// Messages and their bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Volume {
    pub(super) count: u64,
    pub(super) bytes: u64,
}

/// What one domain was sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Delivered {
    pub(super) volume: Volume,
    pub(super) deferrals: u64,
    /// Seconds, all together.
    pub(super) delay: f64,
    pub(super) longest: Option<f64>,
}

impl Delivered {
    fn waited(&mut self, delay: f64) {
        if self.longest.is_none_or(|longest| delay > longest) {
            self.longest = Some(delay);
        }
    }
}

/// Connections to the SMTP server.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    pub(super) count: u64,
    /// Seconds; less than none where the clock was set back.
    pub(super) seconds: i64,
    pub(super) longest: i64,
}

impl Connections {
    fn add(&mut self, seconds: i64) {
        self.count += 1;
        self.seconds += seconds;
        self.longest = self.longest.max(seconds);
    }
}

/// Why, and whom it met: reasons under `command`, and what was counted under `command`, a line feed, the
/// reason, a line feed and the subject.
pub(super) type Reasons = Table<u64>;

/// The lines of a log, folded.
#[derive(Clone, Debug)]
pub struct Summary {
    pub(super) options: Options,
    pub(super) last_day: Option<Day>,
    /// How often the day changed from one line to the next.
    pub(super) days: u64,
    pub(super) by_day: BTreeMap<Day, Row>,
    pub(super) by_hour: [[u64; 5]; 24],
    pub(super) received: u64,
    pub(super) delivered: u64,
    pub(super) forwarded: u64,
    pub(super) deferrals: u64,
    pub(super) bounced: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_delivered: u64,
    /// Rejected, warned, held, discarded.
    pub(super) refusals: [u64; 4],
    pub(super) refused: [Reasons; 4],
    pub(super) deferred: Table<()>,
    pub(super) senders: Table<Volume>,
    pub(super) sender_domains: Table<Volume>,
    pub(super) recipients: Table<Volume>,
    pub(super) recipient_domains: Table<Delivered>,
    /// By queue id: the domain that a message came from.
    came_from: Table<Box<[u8]>>,
    sizes: Table<u64>,
    /// By queue id: to whom a message of unknown size went.
    pub(super) without_size: Table<Vec<u8>>,
    /// By queue id: sender and recipients.
    pub(super) messages: Table<Vec<Vec<u8>>>,
    pub(super) deferral_reasons: Reasons,
    pub(super) bounce_reasons: Reasons,
    pub(super) smtp_failures: Reasons,
    pub(super) warnings: Reasons,
    pub(super) fatals: Reasons,
    pub(super) panics: Reasons,
    pub(super) master: Reasons,
    open: HashMap<u64, i64>,
    pub(super) connections: Connections,
    pub(super) connections_by_hour: Vec<Connections>,
    pub(super) connections_by_day: BTreeMap<Day, Connections>,
    pub(super) connections_by_domain: Table<Connections>,
    scratch: Vec<u8>,
    folded: Vec<u8>,
}

/// What a line is, apart from its text.
struct Head<'a> {
    at: Moment,
    command: &'a [u8],
    pid: &'a [u8],
}

/// What is said of a message that is refused, and where it is counted.
const REFUSALS: [(&[u8], usize); 4] = [(b"reject", 0), (b"reject_warning", 1), (b"hold", 2), (b"discard", 3)];

/// The sender of messages that came from this machine's programs, in `came_from`.
const PICKUP: &[u8] = b"pickup";

impl Summary {
    /// Nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Summary {
        Summary {
            options,
            last_day: None,
            days: 0,
            by_day: BTreeMap::new(),
            by_hour: [[0; 5]; 24],
            received: 0,
            delivered: 0,
            forwarded: 0,
            deferrals: 0,
            bounced: 0,
            bytes_received: 0,
            bytes_delivered: 0,
            refusals: [0; 4],
            refused: Default::default(),
            deferred: Table::default(),
            senders: Table::default(),
            sender_domains: Table::default(),
            recipients: Table::default(),
            recipient_domains: Table::default(),
            came_from: Table::default(),
            sizes: Table::default(),
            without_size: Table::default(),
            messages: Table::default(),
            deferral_reasons: Table::default(),
            bounce_reasons: Table::default(),
            smtp_failures: Table::default(),
            warnings: Table::default(),
            fatals: Table::default(),
            panics: Table::default(),
            master: Table::default(),
            open: HashMap::new(),
            connections: Connections::default(),
            connections_by_hour: vec![Connections::default(); 24],
            connections_by_day: BTreeMap::new(),
            connections_by_domain: Table::default(),
            scratch: Vec::new(),
            folded: Vec::new(),
        }
    }

    /// Takes a line, without its end. What isn't Postfix's is passed over.
    pub fn feed(&mut self, line: &[u8]) {
        let Some((mut head, text)) = self.head(line) else { return };
        if self.options.day.is_some_and(|day| day != head.at.day) {
            return;
        }
        // The year that a stamp says is only asked by `-d`.
        head.at.day = head.at.day.of_last_year(self.options.today);
        if self.last_day != Some(head.at.day) {
            self.last_day = Some(head.at.day);
            self.days += 1;
            if self.options.zero_fill {
                self.by_day.entry(head.at.day).or_default().width = 5;
            }
        }
        self.text(&head, text);
    }

    /// Reads what stands before the text.
    fn head<'a>(&self, line: &'a [u8]) -> Option<(Head<'a>, &'a [u8])> {
        let (at, rest) = Moment::parse(line, self.options.today)?;
        let (host, rest) = scan::cut_at(rest.strip_prefix(b" ")?, b' ')?;
        if host.is_empty() {
            return None;
        }
        let program = |name: &[u8]| rest.strip_prefix(name)?.strip_prefix(b"/");
        let rest = program(b"postfix").or_else(|| program(&self.options.syslog_name))?;
        let service = rest.strip_prefix(b"smtps/").or_else(|| rest.strip_prefix(b"submission/"));
        let (command, rest) = scan::cut_at(service.unwrap_or(rest), b'[')?;
        let (pid, rest) = scan::cut_at(rest, b']')?;
        let text = rest.strip_prefix(b":").unwrap_or(rest).strip_prefix(b" ")?;
        (!command.is_empty()).then_some((Head { at, command, pid }, text))
    }

    fn text(&mut self, head: &Head<'_>, text: &[u8]) {
        for (word, kind) in [(&b"warning: "[..], 0), (b"fatal: ", 1), (b"panic: ", 2)] {
            if text.starts_with(word) {
                // The last one counts, as a program that says what another said.
                let rest = memmem::rfind(text, word).and_then(|at| text.get(at + word.len()..));
                return self.trouble(head, kind, rest.unwrap_or(text));
            }
        }
        // Without a queue id they are anybody's: postscreen(8) has `reject: connect from …`.
        if let Some((verb, rest)) = scan::cut(text, b": ")
            && let Some(&(_, kind)) = REFUSALS.iter().find(|(word, _)| *word == verb)
        {
            return self.refuse(head, kind, rest);
        }
        match head.command {
            b"smtpd" | b"postscreen" => self.server(head, text),
            b"master" => {
                *self.master.at(last_part(text)) += 1;
            }
            b"cleanup" if self.content(head, text) => {}
            b"pickup" => {
                if let Some((id, rest)) = scan::cut(text, b": ")
                    && (rest.starts_with(b"uid=") || rest.starts_with(b"sender="))
                {
                    self.count(head, Column::Received);
                    self.received += 1;
                    *self.came_from.at(id) = PICKUP.into();
                }
            }
            b"smtp" if self.connect_failed(text) => {}
            _ => self.agent(head, text),
        }
    }

    fn count(&mut self, head: &Head<'_>, column: Column) {
        let at = column as usize;
        if let Some(count) = self.by_hour.get_mut(usize::from(head.at.hour)).and_then(|row| row.get_mut(at)) {
            *count += 1;
        }
        let row = self.by_day.entry(head.at.day).or_default();
        row.width = row.width.max(at + 1);
        if let Some(count) = row.counts.get_mut(at) {
            *count += 1;
        }
    }

    /// Counts one under a path of names.
    fn reason(scratch: &mut Vec<u8>, table: &mut Reasons, path: [&[u8]; 3]) {
        scratch.clear();
        let [outer, middle, inner] = path;
        scratch.extend_from_slice(outer);
        for name in [middle, inner] {
            scratch.push(b'\n');
            scratch.extend_from_slice(name);
        }
        *table.at(scratch) += 1;
    }

    fn trouble(&mut self, head: &Head<'_>, kind: usize, text: &[u8]) {
        let table = match kind {
            0 => &mut self.warnings,
            1 => &mut self.fatals,
            _ => &mut self.panics,
        };
        let text = if self.options.verbose { text.into() } else { reason::shorten(text, 66) };
        Self::reason(&mut self.scratch, table, [head.command, &text, b""]);
    }

    /// A line of the SMTP server, or of the one before it.
    fn server(&mut self, head: &Head<'_>, text: &[u8]) {
        if head.command == b"smtpd" && self.options.smtpd_stats {
            if let Some(client) = text.strip_prefix(b"connect from ") {
                if !client.is_empty()
                    && let Some((pid, _)) = scan::digits(head.pid)
                {
                    self.open.insert(pid, head.at.seconds());
                }
                return;
            }
            if let Some(client) = text.strip_prefix(b"disconnect from ") {
                return self.disconnected(head, client);
            }
        }
        let Some((id, rest)) = scan::cut(text, b": ").filter(|(id, _)| is_word(id)) else { return };
        if let Some(client) = rest.strip_prefix(b"client=") {
            if head.command == b"smtpd" {
                self.count(head, Column::Received);
                self.received += 1;
                let client = scan::span(client, |byte| byte == b',').0;
                *self.came_from.at(id) = address::client_domain(client).unwrap_or_default().into();
            }
            return;
        }
        let Some((verb, rest)) = scan::cut(rest, b": ") else { return };
        if let Some(&(_, kind)) = REFUSALS.iter().find(|(word, _)| *word == verb) {
            self.refuse(head, kind, rest);
        }
    }

    fn disconnected(&mut self, head: &Head<'_>, client: &[u8]) {
        let Some((pid, _)) = scan::digits(head.pid) else { return };
        let Some(since) = self.open.remove(&pid) else { return };
        let seconds = head.at.seconds() - since;
        self.connections.add(seconds);
        if let Some(hour) = self.connections_by_hour.get_mut(usize::from(head.at.hour)) {
            hour.add(seconds);
        }
        self.connections_by_day.entry(head.at.day).or_default().add(seconds);
        let domain = address::client_domain(client).unwrap_or_default();
        self.connections_by_domain.at(&domain).add(seconds);
    }

    /// A message that the SMTP server refuses, holds or discards: `RCPT from a.example[192.0.2.1]: 450 …`
    fn refuse(&mut self, head: &Head<'_>, kind: usize, text: &[u8]) {
        self.count(head, Column::Rejected);
        if let Some(count) = self.refusals.get_mut(kind) {
            *count += 1;
        }
        let (command, client, text) = refused(text).unwrap_or_default();
        let short = reason::refusal(command, text);
        let sender = angled(text, b"from=<");
        let recipient = angled(text, b"to=<");
        let why: &[u8] = if self.options.verbose { text } else { &short };
        let mut from_shown = self.options.add_from;
        let mut subject = if why.starts_with(b"Sender address rejected:") {
            from_shown = false;
            self.refused_sender(sender)
        } else if why.starts_with(b"Recipient address rejected:") || is_user_unknown(why) {
            // An empty recipient is shown as pflogsumm takes it: by what closes it.
            let empty = |to: &[u8]| if to.is_empty() { b">".to_vec() } else { to.to_vec() };
            self.cased(recipient.map_or_else(|| b"<>".to_vec(), empty))
        } else {
            address::client_domain(client).unwrap_or_default().into_owned()
        };
        if from_shown {
            subject.extend_from_slice(b"  (");
            subject.extend_from_slice(&self.refused_sender(sender));
            subject.push(b')');
        }
        if let Some(table) = self.refused.get_mut(kind) {
            Self::reason(&mut self.scratch, table, [command, why, &subject]);
        }
    }

    /// A sender as refusals show it.
    fn refused_sender(&self, sender: Option<&[u8]>) -> Vec<u8> {
        let mut sender = sender.filter(|sender| !sender.is_empty()).unwrap_or(b"<>").to_vec();
        if let Some(verp) = self.options.verp {
            address::fold_verp(&mut sender, verp);
        }
        self.cased(sender)
    }

    fn cased(&self, mut address: Vec<u8>) -> Vec<u8> {
        if self.options.ignore_case {
            address.make_ascii_lowercase();
        }
        address
    }

    /// A message that cleanup(8) refuses, holds or discards for what is in it.
    fn content(&mut self, head: &Head<'_>, text: &[u8]) -> bool {
        let Some((kind, part, rest)) = inspected(text) else { return false };
        self.count(head, Column::Rejected);
        if let Some(count) = self.refusals.get_mut(kind) {
            *count += 1;
        }
        let why = if self.options.verbose { rest.into() } else { reason::content(rest) };
        if let Some(table) = self.refused.get_mut(kind) {
            Self::reason(&mut self.scratch, table, [head.command, part, &why]);
        }
        true
    }

    /// `connect to a.example[192.0.2.1]: Connection refused (port 25)`, as older Postfix says it.
    fn connect_failed(&mut self, text: &[u8]) -> bool {
        let Some((_, rest)) = scan::cut(text, b"connect to ") else { return false };
        let Some((host, rest)) = scan::cut_at(rest, b'[') else { return false };
        let Some((_, rest)) = scan::cut(rest, b"]: ") else { return false };
        let Some(at) = memmem::rfind(rest, b" (port ") else { return false };
        let (why, port) = rest.split_at_checked(at).unwrap_or((rest, b""));
        let Some(port) = port.strip_prefix(b" (port ").and_then(|port| port.strip_suffix(b")")) else {
            return false;
        };
        if host.contains(&b' ') || port.is_empty() || !port.iter().all(u8::is_ascii_digit) {
            return false;
        }
        let why = why.to_ascii_lowercase();
        Self::reason(&mut self.scratch, &mut self.smtp_failures, [&why, host, b""]);
        true
    }

    /// A line of the queue's manager or of a delivery agent.
    fn agent(&mut self, head: &Head<'_>, text: &[u8]) {
        let Some((id, rest)) = scan::cut(text, b": ") else { return };
        if let Some(delivery) = Delivery::read(rest) {
            self.delivery(head, id, &delivery);
        } else if let Some((sender, size)) = queued(rest) {
            self.queued(id, sender, size);
        }
    }

    /// The queue's manager begins with a message: only then its size is known.
    fn queued(&mut self, id: &[u8], sender: &[u8], size: u64) {
        if self.sizes.get(id).is_some() {
            return;
        }
        *self.sizes.at(id) = size;
        let mut folded = std::mem::take(&mut self.folded);
        address::fold(sender, &self.options, &mut folded);
        if let Some(verp) = self.options.verp {
            address::fold_verp(&mut folded, verp);
        }
        if folded.is_empty() {
            folded.extend_from_slice(b"from=<>");
        }
        if self.options.extended {
            self.messages.at(id).push(folded.clone());
        }
        if let Some(client) = self.came_from.get(id).filter(|client| !client.is_empty()) {
            let own = address::domain(&folded).filter(|domain| !domain.is_empty());
            let domain = own.unwrap_or(if **client == *PICKUP { &folded } else { client });
            for volume in [self.senders.at(&folded), self.sender_domains.at(domain)] {
                volume.count += 1;
                volume.bytes += size;
            }
            self.bytes_received += size;
        }
        self.folded = folded;
    }

    fn delivery(&mut self, head: &Head<'_>, id: &[u8], delivery: &Delivery<'_>) {
        let mut folded = std::mem::take(&mut self.folded);
        address::fold(delivery.recipient, &self.options, &mut folded);
        match delivery.status {
            b"sent" => self.sent(head, id, &folded, delivery),
            b"deferred" => {
                let why = reason::deferral(delivery.text, self.options.verbose);
                let path = [head.command, &*why, b""];
                Self::reason(&mut self.scratch, &mut self.deferral_reasons, path);
                self.count(head, Column::Deferred);
                self.deferrals += 1;
                self.deferred.at(id);
                let domain = self.recipient_domains.at(recipient_domain(&folded));
                domain.deferrals += 1;
                domain.waited(number(delivery.delay));
            }
            b"bounced" => {
                let why = reason::bounce(delivery.text, self.options.verbose);
                let relay = match self.options.ignore_case {
                    true => delivery.relay.to_ascii_lowercase().into(),
                    false => Cow::Borrowed(delivery.relay),
                };
                let path = [&*relay, &*why, b""];
                Self::reason(&mut self.scratch, &mut self.bounce_reasons, path);
                self.count(head, Column::Bounced);
                self.bounced += 1;
            }
            _ => {}
        }
        self.folded = folded;
    }

    fn sent(&mut self, head: &Head<'_>, id: &[u8], recipient: &[u8], delivery: &Delivery<'_>) {
        if scan::holds(delivery.text, b"forwarded as ") {
            self.forwarded += 1;
            return;
        }
        self.count(head, Column::Delivered);
        self.delivered += 1;
        let size = self.sizes.get(id).copied();
        let domain = self.recipient_domains.at(recipient_domain(recipient));
        let delay = number(delivery.delay);
        domain.delay += delay;
        domain.waited(delay);
        for volume in [&mut domain.volume, self.recipients.at(recipient)] {
            volume.count += 1;
            volume.bytes += size.unwrap_or(0);
        }
        if let Some(size) = size {
            self.bytes_delivered += size;
        } else {
            *self.without_size.at(id) = recipient.to_vec();
        }
        if self.options.extended {
            let message = self.messages.at(id);
            if size.is_none() {
                message.push(b"(sender not in log)".to_vec());
            }
            message.push(recipient.to_vec());
        }
    }
}

/// One delivery, as agents log it.
struct Delivery<'a> {
    recipient: &'a [u8],
    relay: &'a [u8],
    delay: &'a [u8],
    status: &'a [u8],
    /// All that follows the status.
    text: &'a [u8],
}

impl<'a> Delivery<'a> {
    fn read(text: &'a [u8]) -> Option<Delivery<'a>> {
        let (_, rest) = scan::cut(text, b"to=<")?;
        let (recipient, rest) = scan::cut_at(rest, b'>')?;
        let rest = rest.strip_prefix(b", ")?;
        let rest = match rest.strip_prefix(b"orig_to=<") {
            Some(original) => scan::cut_at(original, b'>')?.1.strip_prefix(b", ")?,
            None => rest,
        };
        let (relay, rest) = value(rest.strip_prefix(b"relay=")?)?;
        let (delay, rest) = value(passed(rest, b"conn_use=").strip_prefix(b"delay=")?)?;
        let rest = passed(passed(rest, b"delays="), b"dsn=").strip_prefix(b"status=")?;
        let (status, text) = scan::span(rest, |byte| byte.is_ascii_whitespace());
        Some(Delivery { recipient, relay, delay, status, text })
    }
}

/// A value up to the next field.
fn value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (value, rest) = scan::cut_at(text, b',')?;
    (!value.is_empty()).then_some((value, rest.strip_prefix(b" ")?))
}

/// Behind a field that may be there.
fn passed<'a>(text: &'a [u8], field: &[u8]) -> &'a [u8] {
    text.strip_prefix(field).and_then(value).map_or(text, |(_, rest)| rest)
}

/// `from=<a@example.org>, size=1234`
fn queued(text: &[u8]) -> Option<(&[u8], u64)> {
    let (_, rest) = scan::cut(text, b"from=<")?;
    let (sender, rest) = scan::cut_at(rest, b'>')?;
    let (size, _) = scan::digits(rest.strip_prefix(b", size=")?)?;
    Some((sender, size))
}

/// Command, client and the rest of what was refused.
fn refused(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (command, rest) = scan::cut(text, b" from ")?;
    let (client, rest) = scan::cut(rest, b": ")?;
    let whole = |word: &[u8]| !word.is_empty() && !word.contains(&b' ');
    (whole(command) && whole(client)).then_some((command, client, rest))
}

/// What cleanup(8) found where: `reject: header Subject: …`, perhaps by a milter.
fn inspected(text: &[u8]) -> Option<(usize, &[u8], &[u8])> {
    const VERBS: [(&[u8], usize); 4] = [(b"reject", 0), (b"warning", 1), (b"hold", 2), (b"discard", 3)];
    memchr::memchr_iter(b':', text).find_map(|at| {
        let (before, rest) = scan::split_one(text, at)?;
        let (part, rest) = scan::cut_at(rest.strip_prefix(b" ")?, b' ')?;
        let verb = before.rsplit(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').next()?;
        let (_, kind) = VERBS.iter().find(|(known, _)| *known == verb)?;
        matches!(part, b"header" | b"body" | b"END-OF-MESSAGE").then_some((*kind, part, rest))
    })
}

/// The address behind `mark`.
fn angled<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let (_, rest) = scan::cut(text, mark)?;
    Some(scan::span(rest, |byte| byte == b'>').0)
}

fn is_user_unknown(reason: &[u8]) -> bool {
    reason.strip_prefix(b"User unknown").is_some_and(|rest| rest.is_empty() || rest.starts_with(b" "))
}

fn is_word(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// What stands behind the last `: `.
fn last_part(text: &[u8]) -> &[u8] {
    memmem::rfind(text, b": ").and_then(|at| text.get(at + 2..)).unwrap_or(text)
}

/// The domain of a recipient; all of it where it has none.
fn recipient_domain(recipient: &[u8]) -> &[u8] {
    address::domain(recipient).unwrap_or(recipient)
}

/// A number as Perl reads one: as far as it is one.
fn number(text: &[u8]) -> f64 {
    let text = std::str::from_utf8(text).unwrap_or("");
    (0..=text.len())
        .rev()
        .filter_map(|end| text.get(..end))
        .filter(|start| {
            start.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'))
        })
        .find_map(|start| start.parse().ok())
        .unwrap_or(0.0)
}
