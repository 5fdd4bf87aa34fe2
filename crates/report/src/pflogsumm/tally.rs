//! The fold: what lines say, into the counters that it belongs to.

use super::line::{Event, List, PICKUP, Part};
use super::{Options, address};
use crate::day::Day;
use crate::names::{Hashed, Names, Table};
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

impl Volume {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
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

/// Why, and whom it met: what was counted under a name of a [`List`].
pub(super) type Reasons = Table<u64>;

/// What is known of a message.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    /// The domain that it came from, by its number plus 1, and by the highest bit whether a recipient was put off.
    came_from_and_deferred: u32,
    /// To whom it went while its size was unknown, by the recipient's number plus 1.
    pub(super) without_size: u32,
    /// Its size plus 1.
    size: u64,
}

const DEFERRED: u32 = 1 << 31;

/// Who stands in a message's detail.
#[derive(Clone, Copy, Debug)]
pub(super) enum Party {
    Sender(u32),
    Unknown,
    Recipient(u32),
}

/// The lines of a log, folded.
#[derive(Clone, Debug)]
pub struct Summary {
    pub(super) options: Options,
    last_day: Option<Day>,
    /// How often the day changed from one line to the next.
    pub(super) days: u64,
    pub(super) by_day: BTreeMap<Day, Row>,
    /// What is counted for the last day, and isn't in `by_day` yet.
    today: Row,
    pub(super) by_hour: [[u64; 5]; 24],
    pub(super) received: u64,
    pub(super) delivered: u64,
    pub(super) forwarded: u64,
    pub(super) deferrals: u64,
    /// Messages of which a recipient was put off.
    pub(super) deferred: u64,
    pub(super) bounced: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_delivered: u64,
    /// Rejected, warned, held, discarded.
    pub(super) refusals: [u64; 4],
    /// What is counted under the names of each list that has nothing more than a count.
    counts: [Reasons; List::COUNT],
    pub(super) senders: Table<Volume>,
    /// By a sender's number: its domain's in `sender_domains`, where it has one.
    domain_of_sender: Vec<Option<u32>>,
    pub(super) sender_domains: Table<Volume>,
    pub(super) recipients: Table<Volume>,
    domain_of_recipient: Vec<u32>,
    pub(super) recipient_domains: Table<Delivered>,
    clients: Names,
    pub(super) messages: Table<Message>,
    /// A message's number, and its sender or one of its recipients, as they came.
    pub(super) parties: Vec<(u32, Party)>,
    open: HashMap<u64, i64>,
    pub(super) connections: Connections,
    pub(super) connections_by_hour: Vec<Connections>,
    pub(super) connections_by_day: BTreeMap<Day, Connections>,
    pub(super) connections_by_domain: Table<Connections>,
    /// What was fed and isn't added up yet.
    part: Part,
    /// Numbers of a part's names here, by list.
    here: [Vec<u32>; List::COUNT],
}

const HEADINGS: usize = List::Headings as usize;
const IDS: usize = List::Ids as usize;
const SENDERS: usize = List::Senders as usize;
const RECIPIENTS: usize = List::Recipients as usize;
const CLIENTS: usize = List::Clients as usize;
const CONNECTIONS: usize = List::Connections as usize;

/// So many events are added up at once.
const EVENTS: usize = 8192;

impl Summary {
    /// Nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Summary {
        Summary {
            part: Part::new(options.clone()),
            options,
            last_day: None,
            days: 0,
            by_day: BTreeMap::new(),
            today: Row::default(),
            by_hour: [[0; 5]; 24],
            received: 0,
            delivered: 0,
            forwarded: 0,
            deferrals: 0,
            deferred: 0,
            bounced: 0,
            bytes_received: 0,
            bytes_delivered: 0,
            refusals: [0; 4],
            counts: Default::default(),
            senders: Table::default(),
            domain_of_sender: Vec::new(),
            sender_domains: Table::default(),
            recipients: Table::default(),
            domain_of_recipient: Vec::new(),
            recipient_domains: Table::default(),
            clients: Names::default(),
            messages: Table::default(),
            parties: Vec::new(),
            open: HashMap::new(),
            connections: Connections::default(),
            connections_by_hour: vec![Connections::default(); 24],
            connections_by_day: BTreeMap::new(),
            connections_by_domain: Table::default(),
            here: Default::default(),
        }
    }

    /// Takes a line, without its end. What isn't Postfix's is passed over.
    pub fn feed(&mut self, line: &[u8]) {
        self.part.feed(line);
        if self.part.events.len() >= EVENTS {
            self.settle();
        }
    }

    /// Adds up what was fed.
    pub(super) fn settle(&mut self) {
        let mut part = std::mem::replace(&mut self.part, Part::new(self.options.clone()));
        self.add_up(&mut part);
        self.part = part;
    }

    /// Adds the lines of a part, which is empty then. Parts come in the order of their lines.
    pub fn merge(&mut self, part: &mut Part) {
        if !self.part.events.is_empty() {
            self.settle();
        }
        self.add_up(part);
    }

    fn add_up(&mut self, part: &mut Part) {
        let mut here = std::mem::take(&mut self.here);
        let mut headings = Vec::new();
        for (at, (numbers, names)) in here.iter_mut().zip(&mut part.names).enumerate() {
            if List::has_headings(at) {
                names.put_under(&headings);
            }
            if let Some(known) = self.known(at) {
                known.expect(names.hashed(), numbers);
            }
            numbers.clear();
            numbers.extend(names.hashed().map(|name| self.number(at, name)));
            if at == HEADINGS {
                headings.clone_from(numbers);
            }
        }
        if let Some(ids) = here.get(IDS) {
            self.messages.expect(ids, |message| message.size);
        }
        for event in &part.events {
            self.event(event, &here);
        }
        self.here = here;
        part.clear();
        self.close_day();
    }

    /// The names here of the list at `at`.
    fn known(&self, at: usize) -> Option<&Names> {
        match at {
            IDS => Some(self.messages.names()),
            SENDERS => Some(self.senders.names()),
            RECIPIENTS => Some(self.recipients.names()),
            CLIENTS => Some(&self.clients),
            CONNECTIONS => Some(self.connections_by_domain.names()),
            at => Some(self.counts.get(at)?.names()),
        }
    }

    /// The number here of a name in the list at `at`.
    fn number(&mut self, at: usize, hashed: Hashed<'_>) -> u32 {
        match at {
            IDS => self.messages.number_of(hashed),
            SENDERS => self.senders.number_of(hashed),
            RECIPIENTS => {
                let number = self.recipients.number_of(hashed);
                if self.domain_of_recipient.len() <= number as usize {
                    let domain = address::domain(hashed.name).unwrap_or(hashed.name);
                    self.domain_of_recipient.push(self.recipient_domains.number(domain));
                }
                number
            }
            CLIENTS => self.clients.number_of(hashed),
            CONNECTIONS => self.connections_by_domain.number_of(hashed),
            at => self.counts.get_mut(at).map_or(0, |counts| counts.number_of(hashed)),
        }
    }

    pub(super) fn list(&self, list: List) -> &Reasons {
        let [headings, ..] = &self.counts;
        self.counts.get(list as usize).unwrap_or(headings)
    }

    fn event(&mut self, event: &Event, here: &[Vec<u32>; List::COUNT]) {
        let own = |list: List, number: u32| {
            here.get(list as usize).and_then(|numbers| numbers.get(number as usize)).copied().unwrap_or(0)
        };
        match *event {
            Event::Day(day) => self.day(day),
            Event::Said { list, what } => self.said(list, own(list, what)),
            Event::Refused { hour, kind, what } => {
                self.count(hour, Column::Rejected);
                if let Some(count) = self.refusals.get_mut(usize::from(kind)) {
                    *count += 1;
                }
                let list = List::refused(kind);
                self.said(list, own(list, what));
            }
            Event::Received { hour, id, from } => {
                self.count(hour, Column::Received);
                self.received += 1;
                if let Some(message) = self.messages.at(own(List::Ids, id)) {
                    let from = (own(List::Clients, from) + 1).min(DEFERRED - 1);
                    message.came_from_and_deferred = (message.came_from_and_deferred & DEFERRED) | from;
                }
            }
            Event::Queued { id, sender, size } => {
                self.queued(own(List::Ids, id), own(List::Senders, sender), size);
            }
            Event::Deferred { hour, id, recipient, what, delay } => {
                self.said(List::Deferrals, own(List::Deferrals, what));
                self.count(hour, Column::Deferred);
                self.deferrals += 1;
                if let Some(message) = self.messages.at(own(List::Ids, id)) {
                    self.deferred += u64::from(message.came_from_and_deferred & DEFERRED == 0);
                    message.came_from_and_deferred |= DEFERRED;
                }
                if let Some(domain) = self.domain_of(own(List::Recipients, recipient)) {
                    domain.deferrals += 1;
                    domain.waited(delay);
                }
            }
            Event::Bounced { hour, what } => {
                self.said(List::Bounces, own(List::Bounces, what));
                self.count(hour, Column::Bounced);
                self.bounced += 1;
            }
            Event::Forwarded => self.forwarded += 1,
            Event::Sent { hour, id, recipient, delay } => {
                self.count(hour, Column::Delivered);
                self.sent(own(List::Ids, id), own(List::Recipients, recipient), delay);
            }
            Event::Connected { pid, at } => {
                self.open.insert(pid, at);
            }
            Event::Disconnected { hour, from, pid, at } => {
                self.disconnected(hour, own(List::Connections, from), pid, at);
            }
        }
    }

    fn day(&mut self, day: Day) {
        if self.last_day == Some(day) {
            return;
        }
        self.close_day();
        self.last_day = Some(day);
        self.days += 1;
        if self.options.zero_fill {
            let row = self.by_day.entry(day).or_default();
            row.width = 5;
            // Where days go back, pflogsumm forgets this column of the day that begins again.
            if let Some(rejected) = row.counts.get_mut(Column::Rejected as usize) {
                *rejected = 0;
            }
        }
    }

    /// Puts what is counted for the last day where it belongs.
    fn close_day(&mut self) {
        let today = std::mem::take(&mut self.today);
        let Some(day) = self.last_day.filter(|_| today.width > 0) else { return };
        let row = self.by_day.entry(day).or_default();
        row.width = row.width.max(today.width);
        for (sum, count) in row.counts.iter_mut().zip(today.counts) {
            *sum += count;
        }
    }

    fn count(&mut self, hour: u8, column: Column) {
        let at = column as usize;
        if let Some(count) = self.by_hour.get_mut(usize::from(hour)).and_then(|row| row.get_mut(at)) {
            *count += 1;
        }
        self.today.width = self.today.width.max(at + 1);
        if let Some(count) = self.today.counts.get_mut(at) {
            *count += 1;
        }
    }

    fn said(&mut self, list: List, what: u32) {
        if let Some(count) = self.counts.get_mut(list as usize).and_then(|counts| counts.at(what)) {
            *count += 1;
        }
    }

    fn disconnected(&mut self, hour: u8, from: u32, pid: u64, at: i64) {
        let Some(since) = self.open.remove(&pid) else { return };
        let seconds = at - since;
        self.connections.add(seconds);
        if let Some(hour) = self.connections_by_hour.get_mut(usize::from(hour)) {
            hour.add(seconds);
        }
        if let Some(day) = self.last_day {
            self.connections_by_day.entry(day).or_default().add(seconds);
        }
        if let Some(domain) = self.connections_by_domain.at(from) {
            domain.add(seconds);
        }
    }

    /// The queue's manager begins with a message: only then its size is known.
    fn queued(&mut self, id: u32, sender: u32, size: u64) {
        let Some(message) = self.messages.at(id).filter(|message| message.size == 0) else { return };
        message.size = size.saturating_add(1);
        let from = (message.came_from_and_deferred & !DEFERRED).checked_sub(1);
        if self.options.extended {
            self.parties.push((id, Party::Sender(sender)));
        }
        let Some(from) = from.filter(|&from| !self.clients.name(from).is_empty()) else { return };
        let domain = self.sender_domain(sender, from);
        for volume in [self.senders.at(sender), self.sender_domains.at(domain)].into_iter().flatten() {
            volume.add(size);
        }
        self.bytes_received = self.bytes_received.saturating_add(size);
    }

    /// The sender's own domain; where it has none, what it came from.
    fn sender_domain(&mut self, sender: u32, from: u32) -> u32 {
        let at = sender as usize;
        if self.domain_of_sender.len() <= at {
            self.domain_of_sender.resize(at + 1, None);
        }
        if let Some(Some(known)) = self.domain_of_sender.get(at) {
            return *known;
        }
        let sender = self.senders.name(sender);
        if let Some(domain) = address::domain(sender).filter(|domain| !domain.is_empty()) {
            let number = self.sender_domains.number(domain);
            if let Some(known) = self.domain_of_sender.get_mut(at) {
                *known = Some(number);
            }
            return number;
        }
        let from = self.clients.name(from);
        self.sender_domains.number(if from == PICKUP { sender } else { from })
    }

    fn domain_of(&mut self, recipient: u32) -> Option<&mut Delivered> {
        let domain = self.domain_of_recipient.get(recipient as usize)?;
        self.recipient_domains.at(*domain)
    }

    fn sent(&mut self, id: u32, recipient: u32, delay: f64) {
        self.delivered += 1;
        let size = self.messages.at(id).and_then(|message| {
            if message.size == 0 {
                message.without_size = recipient + 1;
            }
            message.size.checked_sub(1)
        });
        let bytes = size.unwrap_or(0);
        self.bytes_delivered = self.bytes_delivered.saturating_add(bytes);
        if let Some(domain) = self.domain_of(recipient) {
            domain.delay += delay;
            domain.waited(delay);
            domain.volume.add(bytes);
        }
        if let Some(volume) = self.recipients.at(recipient) {
            volume.add(bytes);
        }
        if self.options.extended {
            if size.is_none() {
                self.parties.push((id, Party::Unknown));
            }
            self.parties.push((id, Party::Recipient(recipient)));
        }
    }
}
