//! Greylisting: who hasn't been seen before is asked to come back, as Postgrey 1.37 does it.
//!
//! [`Greylist::judge`] decides about one request of the policy protocol; time comes in as an argument, what is known
//! of triplets and clients is behind [`Memory`], so that days are played in milliseconds. Sockets, files and log lines
//! are the program's. Learnt from runs of Postgrey and its manual page; what differs on purpose is in
//! docs/internals/differences.md. T2.15, T2.16, T2.17.
//!
//! The invariant: with an answer, whatever it was, the memory already knows of the request.

pub mod options;
pub mod pool;
pub mod short;
pub mod triplet;
pub mod whitelist;

#[cfg(test)]
mod tests;

pub use options::{Defaults, Keys, Options};
pub use triplet::Request;
pub use whitelist::{Clients, Recipients};

use mail::Wall;

/// Postgrey's version whose behaviour this is, for its header.
const VERSION: &str = "1.37";
/// A client is counted once in so many seconds.
const HOUR_S: i64 = 3_600;

/// When a triplet was seen, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// For the first time.
    pub first: i64,
    /// For the last time.
    pub last: i64,
}

/// How well a client is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its mails that came back and passed, one an hour.
    pub count: u32,
    /// When that was last counted, in seconds since 1970.
    pub last: i64,
}

/// What is remembered of earlier requests. Keys are texts of [`triplet`].
pub trait Memory {
    /// When a triplet was seen.
    fn triplet(&mut self, key: &str) -> Option<Seen>;
    /// A triplet was seen. `place`: whether it has not passed yet, and its [`crowd`](triplet::crowd), who share their room.
    fn see(&mut self, key: &str, seen: Seen, place: (bool, u32));
    /// How well a client is known.
    fn client(&mut self, key: &str) -> Option<Known>;
    /// A client of this crowd is known so well.
    fn know(&mut self, key: &str, known: Known, crowd: u32);
}

/// When and where a request is judged.
pub struct Moment<'a> {
    /// The time.
    pub now: Wall,
    /// The same as Postgrey's header has it; asked where a header is made.
    pub date: &'a dyn Fn() -> String,
    /// This host's name.
    pub host: &'a str,
}

/// Why a request gets what it gets; displayed as in Postgrey's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Never seen, or too long ago.
    New,
    /// It came back before its time.
    Early {
        /// So many seconds are missing.
        missing: i64,
    },
    /// It came back in time.
    Found {
        /// So many seconds after the first time, where it passes for the first time and a header says so.
        delay: Option<i64>,
    },
    /// The client's name or address is in a whitelist.
    ClientListed,
    /// The recipient is in a whitelist.
    RecipientListed,
    /// The client has proved itself often enough.
    ClientKnown,
}

/// What is answered, and said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The text behind `action=`.
    pub action: String,
    /// Why.
    pub reason: Reason,
    /// The client isn't greylisted any more from now on.
    pub promoted: bool,
}

impl Reason {
    /// Whether the mail may pass.
    #[must_use]
    pub const fn passes(&self) -> bool {
        !matches!(self, Reason::New | Reason::Early { .. })
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::New => f.write_str("new"),
            Reason::Early { missing } => write!(f, "early-retry ({missing}s missing)"),
            Reason::Found { .. } => f.write_str("triplet found"),
            Reason::ClientListed => f.write_str("client whitelist"),
            Reason::RecipientListed => f.write_str("recipient whitelist"),
            Reason::ClientKnown => f.write_str("client AWL"),
        }
    }
}

/// The rules in force.
#[derive(Clone, Debug, Default)]
pub struct Greylist {
    /// How it works.
    pub options: Options,
    /// Who isn't greylisted.
    pub clients: Clients,
    /// For whom nobody is greylisted.
    pub recipients: Recipients,
}

/// The last instance that got a header: a message to many recipients gets one.
#[derive(Clone, Debug, Default)]
pub struct LastHeader(Vec<String>);

/// Instances that are remembered: messages come side by side.
const INSTANCES_MAX: usize = 256;

impl LastHeader {
    /// Whether this message has one already; from now on it has.
    fn has(&mut self, instance: &str) -> bool {
        if instance.is_empty() {
            return false;
        }
        if self.0.iter().any(|known| known == instance) {
            return true;
        }
        if self.0.len() >= INSTANCES_MAX {
            self.0.remove(0);
        }
        self.0.push(instance.chars().take(256).collect());
        false
    }
}

/// For fuzzing: Postgrey's lists and options in whatever shape, and a request that is judged by them; what is offered as
/// a repair is one.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    use config::SourceFile;
    use std::sync::Arc;
    let text = String::from_utf8_lossy(bytes).into_owned();
    let file = Arc::new(SourceFile { path: "/etc/postgrey/list".into(), text });
    let (options, _) = Defaults::read(&file).options();
    let (mut clients, mut recipients) = (Clients::default(), Recipients::default());
    let said = clients.read(&file).len() + recipients.read(&file).len();
    assert!(said <= 2 * file.text.lines().count(), "{said} sayings");
    let word = file.text.split_whitespace().last().unwrap_or("");
    let Ok(request) = Request::read(|name| match name {
        "request" => Some("smtpd_access_policy"),
        "client_address" => Some(if word.parse::<std::net::IpAddr>().is_ok() { word } else { "192.0.2.1" }),
        _ => Some(word),
    }) else {
        return;
    };
    let by_itself = clients.has(request.client_name, request.client) || recipients.has(request.recipient);
    let greylist = Greylist { options, clients, recipients };
    let moment = Moment { now: Wall::from_seconds(1_000_000), date: &String::new, host: "mx" };
    let judged = greylist.judge(&request, (&mut Nobody, &mut LastHeader::default()), &moment);
    let is_listed = matches!(judged.reason, Reason::ClientListed | Reason::RecipientListed);
    assert_eq!(is_listed, by_itself, "{judged:?}");
}

/// Remembers nothing, and is asked for keys that can be kept.
struct Nobody;

impl Memory for Nobody {
    fn triplet(&mut self, key: &str) -> Option<Seen> {
        assert!(key.split('/').count() >= 3, "{key}");
        None
    }
    fn see(&mut self, _: &str, seen: Seen, _: (bool, u32)) {
        assert!(seen.first == seen.last, "{seen:?}");
    }
    fn client(&mut self, _: &str) -> Option<Known> {
        None
    }
    fn know(&mut self, _: &str, _: Known, _: u32) {}
}

impl Greylist {
    /// Judges one request.
    pub fn judge(
        &self,
        request: &Request<'_>,
        (memory, headers): (&mut dyn Memory, &mut LastHeader),
        moment: &Moment<'_>,
    ) -> Judged {
        let pass = |reason| Judged { action: "DUNNO".to_owned(), reason, promoted: false };
        if self.clients.has(request.client_name, request.client) {
            return pass(Reason::ClientListed);
        }
        if self.recipients.has(request.recipient) {
            return pass(Reason::RecipientListed);
        }
        let now = moment.now.seconds();
        let crowd = triplet::crowd(request.client);
        let clients = triplet::client_keys(request);
        if self.is_known(memory, (&clients, crowd), now) {
            return pass(Reason::ClientKnown);
        }
        let keys = triplet::keys(request, &self.options);
        let seen = self.seen(memory, &keys, now);
        let first = seen.map_or(now, |seen| seen.first);
        let waited = now.saturating_sub(first);
        let waits = waited < self.options.delay_s;
        let passed_before = seen.is_some_and(|seen| self.has_passed(seen));
        if let Some(key) = keys.first() {
            memory.see(key, Seen { first, last: now }, (waits, crowd));
        }
        if waits {
            let reason = match self.options.delay_s.saturating_sub(waited) {
                missing if waited > 0 => Reason::Early { missing },
                _ => Reason::New,
            };
            return Judged { action: self.deferral(request, waited), reason, promoted: false };
        }
        if passed_before {
            return pass(Reason::Found { delay: None });
        }
        let promoted =
            clients.first().is_some_and(|client| self.count(memory, (client.as_str(), crowd), now));
        if headers.has(request.instance) {
            return Judged { promoted, ..pass(Reason::Found { delay: None }) };
        }
        let action = format!("PREPEND {}", self.header(waited, moment));
        Judged { action, reason: Reason::Found { delay: Some(waited) }, promoted }
    }

    /// Whether the DNS has a say in what becomes of a request: whoever is listed or known passes without it.
    pub fn wants_pool(&self, request: &Request<'_>, memory: &mut dyn Memory, now: i64) -> bool {
        self.options.keys == Keys::Sender
            && !self.clients.has(request.client_name, request.client)
            && !self.recipients.has(request.recipient)
            && !memory
                .client(&triplet::client_key(request.client))
                .is_some_and(|known| self.vouches(known, now))
    }

    /// Whether what is known of a triplet is heeded: not from the future, not for longer than asked for, and a first
    /// retry within its window.
    fn still_counts(&self, seen: Seen, now: i64) -> bool {
        let options = &self.options;
        let is_past = seen.first <= now;
        let is_fresh = now.saturating_sub(seen.last) <= options.max_age_s;
        let in_window = self.has_passed(seen) || now.saturating_sub(seen.first) <= options.retry_window_s;
        is_past && is_fresh && in_window
    }

    /// Whether a triplet has ever been let through.
    #[must_use]
    pub const fn has_passed(&self, seen: Seen) -> bool {
        seen.last.saturating_sub(seen.first) >= self.options.delay_s
    }

    /// When a triplet was seen by any of its keys: one that has passed, else the first.
    fn seen(&self, memory: &mut dyn Memory, keys: &[String], now: i64) -> Option<Seen> {
        let known = keys.iter().filter_map(|key| memory.triplet(key));
        known
            .filter(|seen| self.still_counts(*seen, now))
            .min_by_key(|seen| (!self.has_passed(*seen), seen.first))
    }

    /// Whether a client is known for good by any of its keys; it is counted when it is.
    fn is_known(&self, memory: &mut dyn Memory, (keys, crowd): (&[String], u32), now: i64) -> bool {
        let known = |key: &&String| memory.client(key).is_some_and(|known| self.vouches(known, now));
        let Some(key) = keys.iter().find(known) else { return false };
        self.count(memory, (key, crowd), now);
        true
    }

    /// Whether somebody who is known so well isn't greylisted.
    const fn vouches(&self, known: Known, now: i64) -> bool {
        let wanted = self.options.auto_whitelist;
        wanted > 0 && known.count >= wanted && now.saturating_sub(known.last) <= self.options.max_age_s
    }

    /// Counts a client's mail that has come back; whether the client is known for good by it.
    fn count(&self, memory: &mut dyn Memory, (client, crowd): (&str, u32), now: i64) -> bool {
        let wanted = self.options.auto_whitelist;
        if wanted == 0 {
            return false;
        }
        let before =
            memory.client(client).filter(|known| now.saturating_sub(known.last) <= self.options.max_age_s);
        let known = match before {
            None => Known { count: 1, last: now },
            // Clocks are set back, too.
            Some(known) if known.last > now || now.saturating_sub(known.last) >= HOUR_S => {
                Known { count: known.count.saturating_add(1), last: now }
            }
            Some(_) => return false,
        };
        memory.know(client, known, crowd);
        known.count == wanted
    }

    fn deferral(&self, request: &Request<'_>, waited: i64) -> String {
        let options = &self.options;
        let left = options.delay_s.saturating_sub(waited).to_string();
        let domain = request.recipient.rsplit_once('@').map_or(request.recipient, |(_, domain)| domain);
        let text = options.text.replacen("%s", &left, 1).replacen("%r", domain, 1);
        format!("{} {text}", options.action)
    }

    fn header(&self, waited: i64, moment: &Moment<'_>) -> String {
        let text = self.options.header.replacen("%t", &waited.to_string(), 1);
        let host = if self.options.host.is_empty() { moment.host } else { &self.options.host };
        text.replacen("%v", VERSION, 1).replacen("%h", host, 1).replacen("%d", &(moment.date)(), 1)
    }

    /// Whether a triplet may be forgotten: too old, or one that nobody came back for.
    #[must_use]
    pub fn is_over(&self, seen: Seen, now: i64) -> bool {
        !self.still_counts(Seen { first: seen.first.min(now), ..seen }, now)
    }
}
