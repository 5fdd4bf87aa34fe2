//! The day's mail at a glance: a fold over the lines of a log, and what it adds up to, as plain data.
//!
//! [`Tally`] takes lines one after the other, of any Postfix and of this program, and of those that stand
//! beside them; tallies of two pieces of a log join by [`Tally::merge`]. [`Summary`] is what is shown. Each
//! connection and each message is in exactly one part of its [`Split`], so that sums add up. Memory is bounded
//! whatever the log says: tables of names fold ([`top`]), what waits for its end is dropped beyond
//! [`OPEN_MAX`], and the summary says so in [`Summary::notes`]. T2.22.
#![expect(clippy::iter_over_hash_type, reason = "sums are the same in any order")]

pub mod data;
mod ends;
mod hours;
mod messages;
mod read;
mod rules;
pub mod sections;
mod sessions;
pub mod spread;
mod tally;
pub mod text;
pub mod top;

pub use ends::{ConnectionEnd, MessageEnd, Mood, Origin, Part, Split};
pub use rules::Rule;
pub use spread::Percentiles;
pub use tally::{Settings, Tally};
pub use top::{Row, Top};

use crate::Day;
use crate::day::Moment;

#[cfg(test)]
mod tests;

/// How many connections, and how many messages, may wait for their end.
pub const OPEN_MAX: usize = 131_072;
/// How many days have a place in the traffic.
pub const DAYS_MAX: usize = 4_000;

/// What a log adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// When the first and the last of the counted lines were written.
    pub span: Option<(Moment, Moment)>,
    /// What the lines were.
    pub lines: Lines,
    /// Events, as pflogsumm counts them.
    pub counts: Counts,
    /// What happened when.
    pub traffic: Traffic,
    /// Each connection in one part.
    pub connections: Split,
    /// Each message in one part, by what became of it.
    pub messages: Split,
    /// Each message in one part, by how it came.
    pub origins: Split,
    /// Connections that postscreen handed on to the SMTP server: counted there.
    pub handed_on: u64,
    /// What refused, the most frequent first.
    pub rules: Vec<RuleCount>,
    /// Refusals by the reply's text, without addresses.
    pub refusals: Top,
    /// Deliveries put off, by reason.
    pub deferrals: Top,
    /// Mail returned, by reason.
    pub bounces: Top,
    /// DNS lists.
    pub zones: Vec<Zone>,
    /// Greylisting.
    pub greylisting: Greylisting,
    /// Bans.
    pub bans: Bans,
    /// Log-ins that failed.
    pub attacks: Attacks,
    /// Who mail is from: SPF, DKIM, DMARC.
    pub authenticity: Authenticity,
    /// TLS.
    pub tls: Tls,
    /// How long deliveries took, in milliseconds.
    pub delays: Delays,
    /// What was in the queue when the log ended.
    pub queue: Queue,
    /// Senders of what was received; with bytes.
    pub senders: Top,
    /// Recipients of what was delivered; with bytes.
    pub recipients: Top,
    /// Domains that mail was delivered to; with bytes.
    pub destinations: Top,
    /// Networks of refused clients: /24 and /64.
    pub refused_networks: Top,
    /// Warnings, errors and worse, by program and text.
    pub trouble: Top,
    /// Of these, what a program ended over.
    pub fatal: Top,
    /// What a reader must know of these numbers.
    pub notes: Vec<String>,
    /// Logs that couldn't be read, or not to their end, and why: [`Summary::could_not_read`].
    pub unread: Vec<String>,
}

impl Summary {
    /// Notes logs that couldn't be read, or not to their end, and why.
    pub fn could_not_read(&mut self, logs: &[String]) {
        self.unread.extend_from_slice(logs);
        self.notes.extend(logs.iter().map(|log| format!("Not read: {log}.")));
    }
}

/// What the lines were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// All that were read.
    pub read: u64,
    /// Of other days than those asked for.
    pub other_days: u64,
    /// Without a stamp, a host or a program: half lines, and what is no log.
    pub broken: u64,
    /// Of programs that say nothing about mail, and texts that mean nothing here.
    pub passed_over: u64,
    /// Counted.
    pub counted: u64,
}

/// Events. A message with three recipients is one received and three delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages taken, also those that were refused for what was in them.
    pub received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Deliveries.
    pub delivered: u64,
    /// Their bytes.
    pub bytes_delivered: u64,
    /// Of these, to another address (`forwarded as`).
    pub forwarded: u64,
    /// Tries that were put off.
    pub deferred: u64,
    /// Recipients whose mail was returned.
    pub bounced: u64,
    /// Commands and messages refused.
    pub refused: u64,
    /// Those that would have been (`warn_if_reject`, WARN).
    pub warned: u64,
    /// Held.
    pub held: u64,
    /// Thrown away.
    pub discarded: u64,
}

/// What happened in an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Connections that were first heard of then; those that postscreen handed on only at the server.
    pub connections: u64,
    /// Messages that came.
    pub received: u64,
    /// Deliveries.
    pub delivered: u64,
    /// Tries put off.
    pub deferred: u64,
    /// Returned.
    pub bounced: u64,
    /// Commands and messages refused.
    pub refused: u64,
}

/// What happened when: hours of days, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Each day that has lines, and its 24 hours.
    pub days: Vec<(Day, [Slot; 24])>,
    /// What is beyond [`DAYS_MAX`] days.
    pub others: Slot,
}

/// What one rule refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleCount {
    /// The rule.
    pub rule: Rule,
    /// Where it stands in the configuration: `main.cf:12:5`; filled in by who has read it.
    pub place: Option<String>,
    /// Refused for good: commands or messages.
    pub permanent: u64,
    /// Refused for now.
    pub temporary: u64,
    /// Would have been refused.
    pub warned: u64,
    /// Connections that ended without mail for it.
    pub connections: u64,
}

/// What is known of a DNS list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// Commands refused for it.
    pub refused: u64,
    /// Clients that it listed, where all lists that listed a client are in the log (postscreen's dnsblog).
    pub listed: u64,
    /// Of these, those that no other list had.
    pub alone: u64,
    /// How it answered; nothing where the log doesn't say, as Postfix's.
    pub answers: Option<Answers>,
    /// How often it was found ill.
    pub ill: u64,
}

/// How a DNS list answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// How often name servers were asked.
    pub queries: u64,
    /// How often nothing came back.
    pub unanswered: u64,
    /// Half of the answers took no longer, in milliseconds; nothing where there was none.
    pub p50: Option<u64>,
    /// 95 of 100 took no longer.
    pub p95: Option<u64>,
}

/// Greylisting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greylisting {
    /// Told to come again: the first time.
    pub delayed: u64,
    /// Came again too early.
    pub early: u64,
    /// Came again and passed; how long they waited, in seconds.
    pub passed: Percentiles,
    /// Passed without waiting: known clients, lists.
    pub known: u64,
}

/// Bans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bans {
    /// Bans.
    pub banned: u64,
    /// Bans put in force again after a restart.
    pub restored: u64,
    /// Bans lifted.
    pub lifted: u64,
    /// Findings that counted towards one.
    pub found: u64,
    /// Bans by jail.
    pub jails: Top,
    /// Bans by network: /24 and /64.
    pub networks: Top,
}

/// Log-ins that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attacks {
    /// Tries.
    pub failed: u64,
    /// Sessions with a log-in that went well.
    pub well: u64,
    /// Tries by network: /24 and /64.
    pub networks: Top,
    /// Tries by account.
    pub accounts: Top,
    /// Tries by program and method: `smtpd LOGIN`, `imap-login PLAIN`.
    pub methods: Top,
}

/// Who mail is from: policyd-spf's, OpenDKIM's, OpenDMARC's and this server's judgements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authenticity {
    /// SPF, by result.
    pub spf: Top,
    /// DKIM, by result; `signed` is what was signed here.
    pub dkim: Top,
    /// DMARC, by result.
    pub dmarc: Top,
    /// Domains in whose name mail came that DMARC says is not theirs.
    pub forged: Top,
}

/// TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Versions that clients came with.
    pub incoming: Top,
    /// Versions that servers were reached with.
    pub outgoing: Top,
    /// Hand-shakes that failed, by reason.
    pub failed: Top,
}

/// How long deliveries took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// From arrival to delivery.
    pub whole: Percentiles,
    /// Before the queue's manager.
    pub before: Percentiles,
    /// In the queue.
    pub queue: Percentiles,
    /// Until connected.
    pub connecting: Percentiles,
    /// Transmission.
    pub transmitting: Percentiles,
}

/// What was in the queue when the log ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Messages.
    pub messages: u64,
    /// How long they had been there, in seconds.
    pub ages: Percentiles,
    /// Up to an hour, a quarter of a day, a day, three days, more.
    pub steps: [u64; 5],
    /// How many were too many to be told apart: their age isn't known.
    pub unknown: u64,
    /// Where to, of those that were tried.
    pub destinations: Top,
}

impl Lines {
    fn add(&mut self, other: Lines) {
        self.read += other.read;
        self.other_days += other.other_days;
        self.broken += other.broken;
        self.passed_over += other.passed_over;
        self.counted += other.counted;
    }
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.received += other.received;
        self.bytes_received = self.bytes_received.saturating_add(other.bytes_received);
        self.delivered += other.delivered;
        self.bytes_delivered = self.bytes_delivered.saturating_add(other.bytes_delivered);
        self.forwarded += other.forwarded;
        self.deferred += other.deferred;
        self.bounced += other.bounced;
        self.refused += other.refused;
        self.warned += other.warned;
        self.held += other.held;
        self.discarded += other.discarded;
    }
}

impl Slot {
    /// Adds another's numbers.
    pub fn add(&mut self, other: &Slot) {
        self.connections += other.connections;
        self.received += other.received;
        self.delivered += other.delivered;
        self.deferred += other.deferred;
        self.bounced += other.bounced;
        self.refused += other.refused;
    }
}

impl RuleCount {
    /// All refusals.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.permanent.saturating_add(self.temporary)
    }
}
