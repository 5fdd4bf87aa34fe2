//! A line: what pflogsumm would count it as.
//!
//! Lines become [`Event`]s, and names in them numbers, in a [`Part`] of a log; `tally` adds parts up, one after
//! the other. So what costs most can be done for several parts at once, and what one line means for a later one
//! is still told in their order.

use super::{Options, address, reason};
use crate::day::{Day, Moment, Stamps};
use crate::names::Names;
use crate::scan;
use memchr::memmem::{self, Finder};
use std::borrow::Cow;
use std::sync::LazyLock;

/// What a line says. Numbers are those of the part's names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A line of another day than the one before.
    Day(Day),
    /// Something in one of the lists.
    Said { list: List, what: u32 },
    /// A message or a command was refused; `kind` is that of [`REFUSALS`].
    Refused { hour: u8, kind: u8, what: u32 },
    /// A message came, from a domain of clients.
    Received { hour: u8, id: u32, from: u32 },
    /// The queue's manager began with a message.
    Queued { id: u32, sender: u32, size: u64 },
    /// A recipient was put off.
    Deferred { hour: u8, id: u32, recipient: u32, what: u32, delay: f64 },
    /// A recipient's mail was returned.
    Bounced { hour: u8, what: u32 },
    /// A recipient's mail went to another address.
    Forwarded,
    /// A recipient has it.
    Sent { hour: u8, id: u32, recipient: u32, delay: f64 },
    /// A client of the SMTP server came, in seconds since 1970.
    Connected { pid: u64, at: i64 },
    /// It left.
    Disconnected { hour: u8, from: u32, pid: u64, at: i64 },
}

/// The lists of names. From [`List::Deferrals`] on they are [`under`] headings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// What others stand under: where there are two above each other, with a line feed between. The first, as the
    /// numbers of the others' headings are those of it.
    Headings,
    Ids,
    Senders,
    Recipients,
    Clients,
    /// Domains of the clients whose connections are counted.
    Connections,
    Master,
    Deferrals,
    Bounces,
    SmtpFailures,
    Warnings,
    Fatals,
    Panics,
    Rejected,
    Warned,
    Held,
    Discarded,
}

impl List {
    pub(super) const COUNT: usize = List::Discarded as usize + 1;

    /// Whether its names stand under headings.
    pub(super) fn has_headings(at: usize) -> bool {
        at >= List::Deferrals as usize
    }

    /// Where a refusal of this kind is listed.
    pub(super) fn refused(kind: u8) -> List {
        match kind {
            0 => List::Rejected,
            1 => List::Warned,
            2 => List::Held,
            _ => List::Discarded,
        }
    }
}

/// The sender of messages that came from this machine's programs, among the clients.
pub(super) const PICKUP: &[u8] = b"pickup";

/// What is said of a message that is refused, and where it is counted.
const REFUSALS: [(&[u8], u8); 4] = [(b"reject", 0), (b"reject_warning", 1), (b"hold", 2), (b"discard", 3)];

static FORWARDED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"forwarded as "));
static CONNECT_TO: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"connect to "));

/// Lines of a log that follow each other.
#[derive(Clone, Debug)]
pub struct Part {
    pub(super) options: Options,
    pub(super) events: Vec<Event>,
    pub(super) names: [Names; List::COUNT],
    stamps: Stamps,
    /// What stood between the stamp and the name of Postfix's program in the line before, with its slash.
    origin: Vec<u8>,
    last_day: Option<Day>,
    scratch: Vec<u8>,
    folded: Vec<u8>,
}

/// What a line is, apart from its text.
struct Head<'a> {
    at: Moment,
    command: &'a [u8],
    pid: &'a [u8],
}

impl Part {
    /// Nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Part {
        Part {
            stamps: Stamps::new(options.today),
            options,
            events: Vec::new(),
            names: Default::default(),
            origin: Vec::new(),
            last_day: None,
            scratch: Vec::new(),
            folded: Vec::new(),
        }
    }

    /// An empty one for other lines of the same log.
    #[must_use]
    pub fn another(&self) -> Part {
        Part::new(self.options.clone())
    }

    /// Forgets what was fed, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.names.iter_mut().for_each(Names::clear);
        self.last_day = None;
    }

    /// Takes a line, without its end. What isn't Postfix's is passed over.
    pub fn feed(&mut self, line: &[u8]) {
        let Some((at, rest)) = self.stamps.read(line) else { return };
        if self.options.day.is_some_and(|day| day != at.day) {
            return;
        }
        let Some((mut head, text)) = self.head(at, rest) else { return };
        // The year that a stamp says is only asked by `-d`.
        head.at.day = head.at.day.of_last_year(self.options.today);
        if self.last_day != Some(head.at.day) {
            self.last_day = Some(head.at.day);
            self.events.push(Event::Day(head.at.day));
        }
        if let Some(event) = self.text(&head, text) {
            self.events.push(event);
        }
    }

    /// Reads what stands between stamp and text.
    fn head<'a>(&mut self, at: Moment, rest: &'a [u8]) -> Option<(Head<'a>, &'a [u8])> {
        let rest = match scan::behind(rest, &self.origin) {
            Some(rest) if !self.origin.is_empty() => rest,
            _ => {
                let behind = self.behind_origin(rest)?;
                self.origin.clear();
                self.origin.extend_from_slice(rest.get(..rest.len() - behind.len()).unwrap_or_default());
                behind
            }
        };
        let service = rest.strip_prefix(b"smtps/").or_else(|| rest.strip_prefix(b"submission/"));
        let (command, rest) = scan::cut_at(service.unwrap_or(rest), b'[')?;
        let (pid, rest) = scan::cut_at(rest, b']')?;
        let text = match rest.strip_prefix(b": ") {
            Some(text) => scan::untagged(text),
            None => rest.strip_prefix(b" ")?,
        };
        (!command.is_empty()).then_some((Head { at, command, pid }, text))
    }

    /// Behind ` host postfix/`.
    fn behind_origin<'a>(&self, rest: &'a [u8]) -> Option<&'a [u8]> {
        let (host, rest) = scan::cut_at(rest.strip_prefix(b" ")?, b' ')?;
        if host.is_empty() {
            return None;
        }
        let program = |name: &[u8]| rest.strip_prefix(name)?.strip_prefix(b"/");
        program(b"postfix").or_else(|| program(&self.options.syslog_name))
    }

    fn number(&mut self, list: List, name: &[u8]) -> u32 {
        self.names.get_mut(list as usize).map_or(0, |names| names.number(name))
    }

    /// The number of a name under one heading.
    fn under(&mut self, list: List, heading: &[u8], name: &[u8]) -> u32 {
        let heading = self.number(List::Headings, heading);
        self.names
            .get_mut(list as usize)
            .map_or(0, |names| names.number_under(heading, [name], &mut self.scratch))
    }

    /// The same, where one stands above the heading. Where a reason is told in full there are as many as messages: it
    /// is no heading then, but stands before the name, with a line feed between.
    fn refused(&mut self, kind: u8, [command, why]: [&[u8]; 2], name: &[u8]) -> u32 {
        if self.options.verbose {
            let heading = self.number(List::Headings, command);
            let (list, name) = (self.names.get_mut(List::refused(kind) as usize), [why, b"\n", name]);
            return list.map_or(0, |names| names.number_under(heading, name, &mut self.scratch));
        }
        self.scratch.clear();
        for part in [command, b"\n", why] {
            self.scratch.extend_from_slice(part);
        }
        let [headings, ..] = &mut self.names;
        let heading = headings.number(&self.scratch);
        let list = List::refused(kind) as usize;
        self.names.get_mut(list).map_or(0, |names| names.number_under(heading, [name], &mut self.scratch))
    }

    fn text(&mut self, head: &Head<'_>, text: &[u8]) -> Option<Event> {
        if let Some(b'w' | b'f' | b'p') = text.first() {
            let troubles: [(&[u8], List); 3] =
                [(b"warning: ", List::Warnings), (b"fatal: ", List::Fatals), (b"panic: ", List::Panics)];
            if let Some((word, list)) = troubles.into_iter().find(|(word, _)| text.starts_with(word)) {
                // The last one counts, as a program that says what another said.
                let rest = memmem::rfind(text, word).and_then(|at| text.get(at + word.len()..));
                let rest = rest.unwrap_or(text);
                let rest = if self.options.verbose { rest.into() } else { reason::shorten(rest, 66) };
                return Some(Event::Said { list, what: self.under(list, head.command, &rest) });
            }
        }
        if !self.options.smtpd_stats
            && (text.starts_with(b"connect from ") || text.starts_with(b"disconnect from "))
            && head.command == b"smtpd"
        {
            return None;
        }
        let parts = scan::cut(text, b": ");
        // Without a queue id they are anybody's: postscreen(8) has `reject: connect from …`.
        if let Some((verb, rest)) = parts
            && let Some(kind) = refusal(verb)
        {
            return Some(self.refuse(head, kind, rest));
        }
        match head.command {
            b"smtpd" | b"postscreen" => self.server(head, text, parts),
            b"master" => {
                Some(Event::Said { list: List::Master, what: self.number(List::Master, last_part(text)) })
            }
            b"pickup" => {
                let (id, rest) = parts?;
                let new = rest.starts_with(b"uid=") || rest.starts_with(b"sender=");
                new.then(|| self.received(head, id, PICKUP))
            }
            b"cleanup" => self.content(head, text).or_else(|| self.agent(head, parts)),
            b"smtp" => self.connect_failed(text).or_else(|| self.agent(head, parts)),
            _ => self.agent(head, parts),
        }
    }

    /// A line of the SMTP server, or of the one before it.
    fn server(&mut self, head: &Head<'_>, text: &[u8], parts: Option<(&[u8], &[u8])>) -> Option<Event> {
        if head.command == b"smtpd" && self.options.smtpd_stats {
            if let Some(client) = text.strip_prefix(b"connect from ") {
                let (pid, _) = scan::digits(head.pid).filter(|_| !client.is_empty())?;
                return Some(Event::Connected { pid, at: head.at.seconds() });
            }
            if let Some(client) = text.strip_prefix(b"disconnect from ") {
                let (pid, _) = scan::digits(head.pid)?;
                let domain = address::client_domain(client).unwrap_or_default();
                let from = self.number(List::Connections, &domain);
                return Some(Event::Disconnected { hour: head.at.hour, from, pid, at: head.at.seconds() });
            }
        }
        let (id, rest) = parts.filter(|(id, _)| is_word(id))?;
        if let Some(client) = rest.strip_prefix(b"client=") {
            if head.command != b"smtpd" {
                return None;
            }
            let client = scan::span(client, |byte| byte == b',').0;
            let domain = address::client_domain(client).unwrap_or_default();
            return Some(self.received(head, id, &domain));
        }
        let (verb, rest) = scan::cut(rest, b": ")?;
        refusal(verb).map(|kind| self.refuse(head, kind, rest))
    }

    fn received(&mut self, head: &Head<'_>, id: &[u8], from: &[u8]) -> Event {
        let (id, from) = (self.number(List::Ids, id), self.number(List::Clients, from));
        Event::Received { hour: head.at.hour, id, from }
    }

    /// A message that the SMTP server refuses, holds or discards: `RCPT from a.example[192.0.2.1]: 450 …`
    fn refuse(&mut self, head: &Head<'_>, kind: u8, text: &[u8]) -> Event {
        let (command, client, text) = refused(text).unwrap_or_default();
        let short = if self.options.verbose { text.into() } else { reason::refusal(command, text) };
        let why: &[u8] = &short;
        let sender = || angled(text, b"from=<");
        let mut from_shown = self.options.add_from;
        let mut subject = if why.starts_with(b"Sender address rejected:") {
            from_shown = false;
            self.refused_sender(sender())
        } else if why.starts_with(b"Recipient address rejected:") || is_user_unknown(why) {
            // An empty recipient is shown as pflogsumm takes it: by what closes it.
            let recipient = angled(text, b"to=<").unwrap_or(b"<>");
            self.cased(if recipient.is_empty() { b">" } else { recipient })
        } else {
            address::client_domain(client).unwrap_or_default()
        };
        if from_shown {
            let subject = subject.to_mut();
            subject.extend_from_slice(b"  (");
            subject.extend_from_slice(&self.refused_sender(sender()));
            subject.push(b')');
        }
        let what = self.refused(kind, [command, why], &subject);
        Event::Refused { hour: head.at.hour, kind, what }
    }

    /// A sender as refusals show it.
    fn refused_sender<'a>(&self, sender: Option<&'a [u8]>) -> Cow<'a, [u8]> {
        let sender = sender.filter(|sender| !sender.is_empty()).unwrap_or(b"<>");
        let Some(verp) = self.options.verp else { return self.cased(sender) };
        let mut sender = sender.to_vec();
        address::fold_verp(&mut sender, verp);
        Cow::Owned(self.cased(&sender).into_owned())
    }

    fn cased<'a>(&self, address: &'a [u8]) -> Cow<'a, [u8]> {
        if self.options.ignore_case { address.to_ascii_lowercase().into() } else { address.into() }
    }

    /// A message that cleanup(8) refuses, holds or discards for what is in it.
    fn content(&mut self, head: &Head<'_>, text: &[u8]) -> Option<Event> {
        let (kind, part, rest) = inspected(text)?;
        let why = if self.options.verbose { rest.into() } else { reason::content(rest) };
        let what = self.refused(kind, [head.command, part], &why);
        Some(Event::Refused { hour: head.at.hour, kind, what })
    }

    /// `connect to a.example[192.0.2.1]: Connection refused (port 25)`, as older Postfix says it.
    fn connect_failed(&mut self, text: &[u8]) -> Option<Event> {
        // Most lines have no port at their end: those aren't searched.
        let mut before = text.strip_suffix(b")")?;
        while let Some((b'0'..=b'9', rest)) = before.split_last() {
            before = rest;
        }
        if !before.ends_with(b" (port ") {
            return None;
        }
        let at = CONNECT_TO.find(text)?;
        let (host, rest) = scan::cut_at(text.get(at + CONNECT_TO.needle().len()..)?, b'[')?;
        let (_, rest) = scan::cut(rest, b"]: ")?;
        let at = memmem::rfind(rest, b" (port ")?;
        let (why, port) = rest.split_at_checked(at)?;
        let port = port.strip_prefix(b" (port ")?.strip_suffix(b")")?;
        if host.contains(&b' ') || port.is_empty() || !port.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let list = List::SmtpFailures;
        Some(Event::Said { list, what: self.under(list, &why.to_ascii_lowercase(), host) })
    }

    /// A line of the queue's manager or of a delivery agent.
    fn agent(&mut self, head: &Head<'_>, parts: Option<(&[u8], &[u8])>) -> Option<Event> {
        let (id, rest) = parts?;
        if let Some(delivery) = Delivery::read(rest) {
            return self.delivery(head, id, &delivery);
        }
        let (sender, size) = queued(rest)?;
        let id = self.number(List::Ids, id);
        self.fold(sender);
        if let Some(verp) = self.options.verp {
            address::fold_verp(&mut self.folded, verp);
        }
        if self.folded.is_empty() {
            self.folded.extend_from_slice(b"from=<>");
        }
        Some(Event::Queued { id, sender: self.folded(List::Senders), size })
    }

    fn fold(&mut self, address: &[u8]) {
        address::fold(address, &self.options, &mut self.folded);
    }

    fn folded(&mut self, list: List) -> u32 {
        self.names.get_mut(list as usize).map_or(0, |names| names.number(&self.folded))
    }

    fn delivery(&mut self, head: &Head<'_>, id: &[u8], delivery: &Delivery<'_>) -> Option<Event> {
        let (hour, delay) = (head.at.hour, || number(delivery.delay));
        match delivery.status {
            b"sent" if FORWARDED.find(delivery.text).is_some() => Some(Event::Forwarded),
            b"sent" => {
                self.fold(delivery.recipient);
                let (id, recipient) = (self.number(List::Ids, id), self.folded(List::Recipients));
                Some(Event::Sent { hour, id, recipient, delay: delay() })
            }
            b"deferred" => {
                let why = reason::deferral(delivery.text, self.options.verbose);
                let what = self.under(List::Deferrals, head.command, &why);
                self.fold(delivery.recipient);
                let (id, recipient) = (self.number(List::Ids, id), self.folded(List::Recipients));
                Some(Event::Deferred { hour, id, recipient, what, delay: delay() })
            }
            b"bounced" => {
                let why = reason::bounce(delivery.text, self.options.verbose);
                let relay = self.cased(delivery.relay);
                Some(Event::Bounced { hour, what: self.under(List::Bounces, &relay, &why) })
            }
            _ => None,
        }
    }
}

/// Where a message is counted of which `verb` is said.
fn refusal(verb: &[u8]) -> Option<u8> {
    REFUSALS.iter().find(|(word, _)| *word == verb).map(|&(_, kind)| kind)
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
    fn read(mut text: &'a [u8]) -> Option<Delivery<'a>> {
        // Where an address holds a `>`, pflogsumm takes what follows the next `to=<`: that of `orig_to=<`.
        loop {
            let (_, rest) = scan::cut(text, b"to=<")?;
            let (recipient, rest) = scan::cut_at(rest, b'>')?;
            if let Some(found) = Delivery::read_behind(recipient, rest) {
                return Some(found);
            }
            text = rest;
        }
    }

    /// What follows the recipient.
    fn read_behind(recipient: &'a [u8], rest: &'a [u8]) -> Option<Delivery<'a>> {
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
    let (digits, _) = scan::span(rest.strip_prefix(b", size=")?, |byte| !byte.is_ascii_digit());
    // A size that no machine has is the largest.
    let (size, _) = scan::digits(digits).or_else(|| (!digits.is_empty()).then_some((u64::MAX, &b""[..])))?;
    Some((sender, size))
}

/// Command, client and the rest of what was refused.
fn refused(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (command, rest) = scan::cut_at(text, b' ')?;
    let rest = rest.strip_prefix(b"from ")?;
    let (client, rest) = scan::cut(rest, b": ")?;
    let whole = !command.is_empty() && !client.is_empty() && !client.contains(&b' ');
    whole.then_some((command, client, rest))
}

/// What cleanup(8) found where: `reject: header Subject: …`, perhaps by a milter.
fn inspected(text: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    const VERBS: [(&[u8], u8); 4] = [(b"reject", 0), (b"warning", 1), (b"hold", 2), (b"discard", 3)];
    memchr::memchr_iter(b':', text).find_map(|at| {
        let (before, rest) = scan::split_one(text, at)?;
        let (part, rest) = scan::cut_at(rest.strip_prefix(b" ")?, b' ')?;
        if !matches!(part, b"header" | b"body" | b"END-OF-MESSAGE") {
            return None;
        }
        let verb = before.rsplit(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').next()?;
        let (_, kind) = VERBS.iter().find(|(known, _)| *known == verb)?;
        Some((*kind, part, rest))
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

/// A number as Perl reads one: as far as it is one.
fn number(text: &[u8]) -> f64 {
    // Up to 15 digits and a power of ten are exact, and so is the nearest to their quotient.
    let (whole, fraction) = scan::cut_at(text, b'.').unwrap_or((text, b""));
    let digits = whole.iter().chain(fraction);
    if !whole.is_empty() && whole.len() + fraction.len() <= 15 && digits.clone().all(u8::is_ascii_digit) {
        let sum = digits.fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        let scale = fraction.iter().fold(1.0, |scale, _| scale * 10.0);
        return lossy(sum) / scale;
    }
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

#[expect(clippy::cast_precision_loss, reason = "2^53 is more than it is called with, or than a log holds")]
pub(super) fn lossy(count: u64) -> f64 {
    count as f64
}
