//! The fold's state, joining two of them, and the summary out of one.

use super::messages::Messages;
use super::rules::Rule;
use super::sessions::{Ended, Sessions};
use super::spread::Spread;
use super::top::Counted;
use super::{
    Answers, Attacks, Authenticity, Bans, ConnectionEnd, Counts, DAYS_MAX, Delays, Greylisting, Lines,
    RuleCount, Slot, Summary, Tls, Traffic, Zone,
};
use crate::Day;
use crate::day::Moment;
use crate::words::{counted, plural};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};

/// How many rules are told apart, zones among them.
const RULES_MAX: usize = 2_000;
/// Texts that are shown of what programs ended over.
const FATAL_ROWS: usize = 5;
/// How many clients' lists are remembered at once.
const LISTED_MAX: usize = 16_384;

/// What to count, and how much of it to show.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What day it is: stamps have no year.
    pub today: Day,
    /// The first and the last day to count.
    pub days: Option<(Day, Day)>,
    /// How many rows a table has.
    pub rows: usize,
    /// How many minutes east of UTC the machine's clock was at a second since 1970: the journal has UTC.
    pub offset: fn(i64) -> i16,
}

impl Settings {
    /// All days, 20 rows; a clock of UTC.
    #[must_use]
    pub const fn new(today: Day) -> Settings {
        Settings { today, days: None, rows: 20, offset: |_| 0 }
    }
}

/// What a rule did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RuleCounts {
    pub permanent: u64,
    pub temporary: u64,
    pub warned: u64,
    pub connections: u64,
}

/// What is known of a zone.
#[derive(Clone, Debug, Default)]
pub(super) struct ZoneCounts {
    pub listed: u64,
    pub alone: u64,
    pub ill: u64,
    pub answers: Option<AnswerCounts>,
}

/// How a zone answered.
#[derive(Clone, Debug, Default)]
pub(super) struct AnswerCounts {
    pub queries: u64,
    pub unanswered: u64,
    /// Answers by the bound of their time.
    times: BTreeMap<u64, u64>,
}

/// So many bounds are told apart; the server writes some thirty.
const BOUNDS_MAX: usize = 64;

impl AnswerCounts {
    pub(super) fn add(&mut self, bound: u64, count: u64) {
        if self.times.len() < BOUNDS_MAX || self.times.contains_key(&bound) {
            let times = self.times.entry(bound).or_default();
            *times = times.saturating_add(count);
        }
    }

    fn merge(&mut self, other: AnswerCounts) {
        self.queries = self.queries.saturating_add(other.queries);
        self.unanswered = self.unanswered.saturating_add(other.unanswered);
        other.times.into_iter().for_each(|(bound, count)| self.add(bound, count));
    }

    fn shown(&self) -> Answers {
        let count = self.times.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let within = |percent: u64| {
            let wanted = u128::from(count) * u128::from(percent);
            let mut seen = 0_u128;
            let mut bounds = self.times.iter();
            bounds.find_map(|(bound, count)| {
                seen += u128::from(*count) * 100;
                (*count > 0 && seen >= wanted).then_some(*bound)
            })
        };
        Answers { queries: self.queries, unanswered: self.unanswered, p50: within(50), p95: within(95) }
    }
}

/// Who came through greylisting.
#[derive(Clone, Debug, Default)]
pub(super) struct GreylistCounts {
    pub delayed: u64,
    pub early: u64,
    pub passed: Spread,
    pub known: u64,
}

/// What was banned.
#[derive(Clone, Debug, Default)]
pub(super) struct BanCounts {
    pub banned: u64,
    pub restored: u64,
    pub lifted: u64,
    pub found: u64,
    pub jails: Counted,
    pub networks: Counted,
}

impl GreylistCounts {
    fn merge(&mut self, later: &GreylistCounts) {
        self.delayed += later.delayed;
        self.early += later.early;
        self.known += later.known;
        self.passed.merge(&later.passed);
    }
}

impl BanCounts {
    fn shown(&self, rows: usize) -> Bans {
        Bans {
            banned: self.banned,
            restored: self.restored,
            lifted: self.lifted,
            found: self.found,
            jails: self.jails.top(rows),
            networks: self.networks.top(rows),
        }
    }

    fn merge(&mut self, later: BanCounts) {
        self.banned += later.banned;
        self.restored += later.restored;
        self.lifted += later.lifted;
        self.found += later.found;
        self.jails.merge(later.jails);
        self.networks.merge(later.networks);
    }
}

/// A fold over the lines of a log.
#[derive(Clone, Debug)]
pub struct Tally {
    pub(super) settings: Settings,
    /// Keys of sessions and messages; the same for all pieces of a log.
    keys: RandomState,
    pub(super) span: Option<(Moment, Moment)>,
    pub(super) lines: Lines,
    pub(super) counts: Counts,
    days: BTreeMap<Day, Box<[Slot; 24]>>,
    other_days: Slot,
    pub(super) sessions: Sessions,
    pub(super) messages: Messages,
    rules: HashMap<Rule, RuleCounts>,
    pub(super) zones: HashMap<Box<str>, ZoneCounts>,
    /// Clients and the lists that had them, until their connection ends.
    pub(super) listed: HashMap<u64, Vec<Box<str>>>,
    pub(super) refusals: Counted,
    pub(super) deferrals: Counted,
    pub(super) bounces: Counted,
    pub(super) senders: Counted,
    pub(super) recipients: Counted,
    pub(super) destinations: Counted,
    pub(super) waiting: Counted,
    pub(super) refused_networks: Counted,
    pub(super) trouble: Counted,
    pub(super) fatal: Counted,
    pub(super) greylisting: GreylistCounts,
    pub(super) bans: BanCounts,
    pub(super) logins_failed: u64,
    pub(super) logins_well: u64,
    pub(super) attack_networks: Counted,
    pub(super) accounts: Counted,
    pub(super) methods: Counted,
    /// SPF, DKIM, DMARC, and domains that DMARC says were forged.
    pub(super) authenticity: [Counted; 4],
    pub(super) tls: [Counted; 3],
    pub(super) delays: [Spread; 5],
    /// What an earlier piece of the log may say more about.
    pub(super) later: Vec<Unsized>,
}

/// What is not known of a message before the piece of the log with its beginning is.
#[derive(Clone, Debug)]
pub(super) enum Unsized {
    /// The queue's manager had it: whether it came in this log.
    Queued { key: u64, sender: Box<str>, size: u64 },
    /// It was delivered: its size.
    Sent { key: u64, recipient: Box<str> },
    /// It was refused for what is in it: the connection that it came by.
    Refused { key: u64, rule: Rule },
    /// It came by a connection that began before: whether that was told to hold it or to throw it away.
    Came { key: u64, session: u64 },
}

/// How many of these are kept.
const UNSIZED_MAX: usize = 8_192;

impl Tally {
    /// Nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Tally {
        Tally {
            settings,
            keys: RandomState::new(),
            span: None,
            lines: Lines::default(),
            counts: Counts::default(),
            days: BTreeMap::new(),
            other_days: Slot::default(),
            sessions: Sessions::default(),
            messages: Messages::default(),
            rules: HashMap::new(),
            zones: HashMap::new(),
            listed: HashMap::new(),
            refusals: Counted::default(),
            deferrals: Counted::default(),
            bounces: Counted::default(),
            senders: Counted::default(),
            recipients: Counted::default(),
            destinations: Counted::default(),
            waiting: Counted::default(),
            refused_networks: Counted::default(),
            trouble: Counted::default(),
            fatal: Counted::default(),
            greylisting: GreylistCounts::default(),
            bans: BanCounts::default(),
            logins_failed: 0,
            logins_well: 0,
            attack_networks: Counted::default(),
            accounts: Counted::default(),
            methods: Counted::default(),
            authenticity: Default::default(),
            tls: Default::default(),
            delays: Default::default(),
            later: Vec::new(),
        }
    }

    /// What is counted.
    #[must_use]
    pub const fn settings(&self) -> Settings {
        self.settings
    }

    /// An empty tally for a later piece of the same log: only such can be joined, by [`Tally::merge`].
    #[must_use]
    pub fn sibling(&self) -> Tally {
        let mut tally = Tally { keys: self.keys.clone(), ..Tally::new(self.settings) };
        tally.sessions.later = true;
        tally.messages.later = true;
        tally
    }

    /// The key of what is named by these texts.
    pub(super) fn key(&self, parts: &[&str]) -> u64 {
        use std::hash::Hasher;
        let mut hasher = self.keys.build_hasher();
        for part in parts {
            hasher.write(part.as_bytes());
            hasher.write_u8(0);
        }
        hasher.finish()
    }

    /// The hour's place.
    pub(super) fn slot(&mut self, at: Moment) -> &mut Slot {
        if self.days.len() >= DAYS_MAX && !self.days.contains_key(&at.day) {
            return &mut self.other_days;
        }
        let hours = self.days.entry(at.day).or_default();
        hours.get_mut(usize::from(at.hour)).unwrap_or(&mut self.other_days)
    }

    pub(super) fn rule(&mut self, rule: &Rule) -> &mut RuleCounts {
        let known = self.rules.contains_key(rule);
        let other = Rule { name: rule.name, argument: Some("(others)".into()) };
        let rule = if !known && self.rules.len() >= RULES_MAX { &other } else { rule };
        self.rules.entry(rule.clone()).or_default()
    }

    /// A list that a client is on.
    pub(super) fn listed_by(&mut self, client: &str, zone: &str) {
        let key = self.key(&[client]);
        if self.listed.len() >= LISTED_MAX && !self.listed.contains_key(&key) {
            self.settle_lists();
        }
        let zones = self.listed.entry(key).or_default();
        if zones.len() < 64 && !zones.iter().any(|known| known.eq_ignore_ascii_case(zone)) {
            zones.push(super::top::shortened(zone).to_ascii_lowercase().into());
        }
    }

    /// All lists have answered for these clients.
    fn settle_lists(&mut self) {
        for (_, zones) in std::mem::take(&mut self.listed) {
            self.settle(&zones);
        }
    }

    /// All lists have answered for this client.
    pub(super) fn settle_client(&mut self, client: &str) {
        let key = self.key(&[client]);
        if let Some(zones) = self.listed.remove(&key) {
            self.settle(&zones);
        }
    }

    fn settle(&mut self, zones: &[Box<str>]) {
        for zone in zones {
            if let Some(counts) = self.zone(zone) {
                counts.listed += 1;
                counts.alone += u64::from(zones.len() == 1);
            }
        }
    }

    /// Counts what the beginning of the message tells; keeps it where that isn't known yet.
    pub(super) fn sized(&mut self, what: Unsized) {
        let known = match &what {
            Unsized::Queued { key, .. } | Unsized::Sent { key, .. } | Unsized::Refused { key, .. } => {
                self.messages.known(*key)
            }
            Unsized::Came { .. } => None,
        };
        match (&what, known) {
            (Unsized::Queued { sender, size, .. }, Some(message)) if message.came() => {
                self.received_bytes(sender, *size);
            }
            (Unsized::Sent { recipient, .. }, Some(message)) if message.size > 0 => {
                self.delivered_bytes(recipient, message.size);
            }
            (Unsized::Refused { rule, .. }, Some(message)) if message.session != 0 => {
                self.sessions.refused(message.session, rule);
            }
            _ if self.messages.later && self.later.len() < UNSIZED_MAX => self.later.push(what),
            _ => {}
        }
    }

    pub(super) fn received_bytes(&mut self, sender: &str, size: u64) {
        self.counts.bytes_received = self.counts.bytes_received.saturating_add(size);
        self.senders.add(if sender.is_empty() { "<>" } else { sender }, size);
    }

    pub(super) fn delivered_bytes(&mut self, recipient: &str, size: u64) {
        self.counts.bytes_delivered = self.counts.bytes_delivered.saturating_add(size);
        self.recipients.add_many(recipient, 0, size);
        self.destinations.add_many(&domain(recipient), 0, size);
    }

    pub(super) fn zone(&mut self, name: &str) -> Option<&mut ZoneCounts> {
        let name = name.to_ascii_lowercase();
        if self.zones.len() >= RULES_MAX && !self.zones.contains_key(name.as_str()) {
            return None;
        }
        Some(self.zones.entry(name.into()).or_default())
    }

    pub(super) fn ended(&mut self, ended: &Ended) {
        self.logins_well += u64::from(ended.logged_in);
        if let (ConnectionEnd::Refused, Some(rule)) = (ended.end, &ended.rule) {
            self.rule(rule).connections += 1;
        }
    }

    /// Joins a later piece of the same log. The order of pieces matters as the order of lines does.
    pub fn merge(&mut self, mut later: Tally) {
        self.span = match (self.span, later.span) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        };
        self.lines.add(later.lines);
        self.counts.add(later.counts);
        self.other_days.add(&later.other_days);
        for (day, hours) in later.days {
            if self.days.len() >= DAYS_MAX && !self.days.contains_key(&day) {
                hours.iter().for_each(|hour| self.other_days.add(hour));
                continue;
            }
            let known = self.days.entry(day).or_default();
            known.iter_mut().zip(hours.iter()).for_each(|(hour, more)| hour.add(more));
        }
        // Before the sessions that this is about end.
        for unsized_one in later.later {
            match unsized_one {
                Unsized::Came { key, session } if self.sessions.is_open(session) => {
                    later.messages.mark(key, self.sessions.marks(session));
                }
                unsized_one => self.sized(unsized_one),
            }
        }
        for ended in self.sessions.merge(later.sessions) {
            self.ended(&ended);
        }
        self.messages.merge(later.messages);
        for (rule, counts) in later.rules {
            let known = self.rule(&rule);
            known.permanent += counts.permanent;
            known.temporary += counts.temporary;
            known.warned += counts.warned;
            known.connections += counts.connections;
        }
        self.merge_zones(later.zones, later.listed);
        self.greylisting.merge(&later.greylisting);
        self.bans.merge(later.bans);
        self.logins_failed += later.logins_failed;
        self.logins_well += later.logins_well;
        for (one, more) in self.delays.iter_mut().zip(&later.delays) {
            one.merge(more);
        }
        let tables = [
            (&mut self.refusals, later.refusals),
            (&mut self.deferrals, later.deferrals),
            (&mut self.bounces, later.bounces),
            (&mut self.senders, later.senders),
            (&mut self.recipients, later.recipients),
            (&mut self.destinations, later.destinations),
            (&mut self.waiting, later.waiting),
            (&mut self.refused_networks, later.refused_networks),
            (&mut self.trouble, later.trouble),
            (&mut self.fatal, later.fatal),
            (&mut self.attack_networks, later.attack_networks),
            (&mut self.accounts, later.accounts),
            (&mut self.methods, later.methods),
        ];
        let judged = self.authenticity.iter_mut().zip(later.authenticity);
        for (one, more) in tables.into_iter().chain(self.tls.iter_mut().zip(later.tls)).chain(judged) {
            one.merge(more);
        }
    }

    fn merge_zones(&mut self, zones: HashMap<Box<str>, ZoneCounts>, listed: HashMap<u64, Vec<Box<str>>>) {
        for (name, counts) in zones {
            if let Some(known) = self.zone(&name) {
                known.listed += counts.listed;
                known.alone += counts.alone;
                known.ill += counts.ill;
                if let Some(answers) = counts.answers {
                    known.answers.get_or_insert_default().merge(answers);
                }
            }
        }
        for (key, zones) in listed {
            if self.listed.len() >= LISTED_MAX {
                self.settle_lists();
            }
            let known = self.listed.entry(key).or_default();
            for zone in zones {
                if known.len() < 64 && !known.contains(&zone) {
                    known.push(zone);
                }
            }
        }
    }

    /// What it adds up to so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let rows = self.settings.rows;
        let (messages, origins) = self.messages.splits();
        let now = self.span.map_or(0, |(_, last)| last.seconds());
        let [incoming, outgoing, failed] = self.tls.each_ref().map(|table| table.top(rows));
        let mut well = self.logins_well;
        let mut rules = self.rules.clone();
        for ended in self.sessions.tails() {
            well += u64::from(ended.logged_in);
            if let (ConnectionEnd::Refused, Some(rule)) = (ended.end, &ended.rule) {
                rules.entry((**rule).clone()).or_default().connections += 1;
            }
        }
        let mut queue = self.messages.queue(now);
        queue.destinations = self.waiting.top(rows);
        let mut summary = Summary {
            span: self.span,
            lines: self.lines,
            counts: self.counts,
            traffic: self.traffic(),
            connections: self.sessions.split(),
            messages,
            origins,
            handed_on: self.sessions.handed_on,
            rules: sorted(rules),
            refusals: self.refusals.top(rows),
            deferrals: self.deferrals.top(rows),
            bounces: self.bounces.top(rows),
            zones: Vec::new(),
            greylisting: Greylisting {
                delayed: self.greylisting.delayed,
                early: self.greylisting.early,
                passed: self.greylisting.passed.percentiles(),
                known: self.greylisting.known,
            },
            bans: self.bans.shown(rows),
            attacks: Attacks {
                failed: self.logins_failed,
                well,
                networks: self.attack_networks.top(rows),
                accounts: self.accounts.top(rows),
                methods: self.methods.top(rows),
            },
            authenticity: {
                let [spf, dkim, dmarc, forged] = self.authenticity.each_ref().map(|table| table.top(rows));
                Authenticity { spf, dkim, dmarc, forged }
            },
            tls: Tls { incoming, outgoing, failed },
            delays: {
                let [whole, before, queue, connecting, transmitting] =
                    self.delays.each_ref().map(Spread::percentiles);
                Delays { whole, before, queue, connecting, transmitting }
            },
            queue,
            senders: self.senders.top(rows),
            recipients: self.recipients.top(rows),
            destinations: self.destinations.top(rows),
            refused_networks: self.refused_networks.top(rows),
            trouble: self.trouble.top(rows),
            fatal: self.fatal.top(FATAL_ROWS),
            notes: Vec::new(),
            unread: Vec::new(),
        };
        summary.zones = self.zones_of(&summary.rules);
        summary.notes = self.notes(&summary);
        summary
    }

    fn traffic(&self) -> Traffic {
        let (mut days, mut others) = (self.days.clone(), self.other_days);
        self.sessions.fill(&mut days, &mut others);
        Traffic { days: days.into_iter().map(|(day, hours)| (day, *hours)).collect(), others }
    }

    fn zones_of(&self, rules: &[RuleCount]) -> Vec<Zone> {
        let mut counted = self.zones.clone();
        for zones in self.listed.values() {
            for zone in zones {
                let counts = counted.entry(zone.clone()).or_default();
                counts.listed += 1;
                counts.alone += u64::from(zones.len() == 1);
            }
        }
        let mut zones: BTreeMap<String, Zone> = counted
            .into_iter()
            .map(|(name, counts)| {
                let name = String::from(name);
                let zone = Zone {
                    name: name.clone(),
                    listed: counts.listed,
                    alone: counts.alone,
                    ill: counts.ill,
                    answers: counts.answers.as_ref().map(AnswerCounts::shown),
                    ..Zone::default()
                };
                (name, zone)
            })
            .collect();
        for rule in rules {
            if let Some(zone) = &rule.rule.argument {
                let known = zones.entry(zone.to_string()).or_default();
                known.name = zone.to_string();
                known.refused += rule.refused();
            }
        }
        let mut zones: Vec<Zone> = zones.into_values().collect();
        zones.sort_by_key(|zone| std::cmp::Reverse((zone.refused, zone.listed)));
        zones
    }

    /// What a reader must know.
    fn notes(&self, summary: &Summary) -> Vec<String> {
        let mut notes = Vec::new();
        let tops = [
            ("reasons of refusals", &summary.refusals),
            ("reasons of delays", &summary.deferrals),
            ("reasons of returns", &summary.bounces),
            ("senders", &summary.senders),
            ("recipients", &summary.recipients),
            ("destinations", &summary.destinations),
            ("destinations of what was put off", &summary.queue.destinations),
            ("refused networks", &summary.refused_networks),
            ("warnings", &summary.trouble),
            ("accounts", &summary.attacks.accounts),
            ("attackers' networks", &summary.attacks.networks),
            ("banned networks", &summary.bans.networks),
        ];
        for (what, top) in tops {
            if top.folded > 0 {
                notes.push(format!(
                    "There were too many different {what} to count each: {} rare ones stand together. Sums are exact; a rare one that came again may have more than is shown.",
                    top.folded
                ));
            }
        }
        let dropped = self.sessions.dropped + self.messages.dropped;
        if dropped > 0 {
            notes.push(format!(
                "{dropped} connections and messages were open at the same time beyond what is kept, and are counted as they stood then; one of them that the log speaks of again is counted once more."
            ));
        }
        let refused = self.messages.received_and_refused();
        if refused > 0 {
            let messages = counted(refused, "message");
            let which =
                plural(refused, "that was refused for its content", "that were refused for their content");
            notes.push(format!(
                "pflogsumm counts {messages} {which} both as received and as rejected; here each message is counted once, by what became of it."
            ));
        }
        if summary.traffic.others != Slot::default() {
            notes.push(format!("The log has more than {DAYS_MAX} days; the others stand together."));
        }
        notes
    }
}

fn sorted(rules: HashMap<Rule, RuleCounts>) -> Vec<RuleCount> {
    let mut all: Vec<RuleCount> = rules
        .into_iter()
        .map(|(rule, counts)| RuleCount {
            rule,
            place: None,
            permanent: counts.permanent,
            temporary: counts.temporary,
            warned: counts.warned,
            connections: counts.connections,
        })
        .collect();
    all.sort_by(|a, b| {
        (b.refused(), b.warned).cmp(&(a.refused(), a.warned)).then_with(|| a.rule.cmp(&b.rule))
    });
    all
}

/// The domain of an address, in small letters; all of it where it has none.
pub(super) fn domain(address: &str) -> String {
    address.rsplit_once('@').map_or(address, |(_, domain)| domain).to_ascii_lowercase()
}
