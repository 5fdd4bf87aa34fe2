//! Messages while they are in the queue.
//!
//! What is known of a message only grows, whatever the order of its lines, and its end is judged when it has
//! left the queue, or when the log ends. Queue ids come again: an id that has left is another message then.

use super::ends::{MessageEnd, Origin};
use super::spread::Spread;
use super::{OPEN_MAX, Queue, Split};
use std::collections::{HashMap, HashSet};

/// How many ids of messages that come from here, and that no line has been about yet, are remembered.
const NAMED_MAX: usize = 16_384;

/// What is known of a message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Message {
    pub flags: u16,
    /// When it was first and last heard of.
    pub first: i64,
    pub last: i64,
    pub size: u64,
    pub recipients: u32,
    pub sent: u32,
    pub bounced: u32,
    pub deferred: u32,
    /// The longest delay that a delivery named, in seconds.
    pub waited: u32,
    /// The key of the connection that it came by; 0 where that isn't known.
    pub session: u64,
}

/// It came from a client.
pub(super) const RECEIVED: u16 = 1;
/// That had logged in.
pub(super) const LOGGED_IN: u16 = 1 << 1;
/// It came from sendmail(1).
pub(super) const PICKED_UP: u16 = 1 << 2;
/// cleanup(8) wrote its message-id.
pub(super) const CLEANED: u16 = 1 << 3;
/// The queue's manager had it.
pub(super) const QUEUED: u16 = 1 << 4;
/// It was refused for its content.
pub(super) const REFUSED: u16 = 1 << 5;
/// It was thrown away.
pub(super) const DISCARDED: u16 = 1 << 6;
/// It is on hold.
pub(super) const HELD: u16 = 1 << 7;
/// It was too long in the queue.
pub(super) const EXPIRED: u16 = 1 << 8;
/// It has left the queue.
pub(super) const REMOVED: u16 = 1 << 9;
/// By hand.
pub(super) const DELETED: u16 = 1 << 10;
/// Its client went before its end.
pub(super) const LOST: u16 = 1 << 11;

impl Message {
    const fn has(self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Whether its arrival is in this piece of the log.
    pub(super) const fn came(self) -> bool {
        self.has(RECEIVED | PICKED_UP)
    }

    fn join(&mut self, other: &Message) {
        self.flags |= other.flags;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.size = self.size.max(other.size);
        self.recipients = self.recipients.max(other.recipients);
        self.sent = self.sent.saturating_add(other.sent);
        self.bounced = self.bounced.saturating_add(other.bounced);
        self.deferred = self.deferred.saturating_add(other.deferred);
        self.waited = self.waited.max(other.waited);
        self.session = if self.session == 0 { other.session } else { self.session };
    }

    fn end(self) -> MessageEnd {
        let gone = self.has(REMOVED);
        let every = self.recipients > 0 && self.sent.saturating_add(self.bounced) >= self.recipients;
        let over = gone || every || (!self.has(QUEUED) && self.deferred == 0);
        if self.has(REFUSED) {
            MessageEnd::Refused
        } else if self.has(DISCARDED) && self.bounced == 0 {
            MessageEnd::Discarded
        } else if self.has(DELETED) {
            MessageEnd::Deleted
        } else if self.has(EXPIRED) {
            MessageEnd::Expired
        } else if self.has(HELD) && !gone {
            MessageEnd::Held
        } else if over && self.sent > 0 && self.bounced > 0 {
            MessageEnd::Partly
        } else if over && self.sent > 0 {
            MessageEnd::Delivered
        } else if over && self.bounced > 0 {
            MessageEnd::Bounced
        } else if gone {
            MessageEnd::Unknown
        } else if self.deferred > 0 {
            MessageEnd::Deferred
        } else if self.has(QUEUED) {
            MessageEnd::Waiting
        } else if self.has(LOST) || self.has(RECEIVED) {
            MessageEnd::Unfinished
        } else if self.has(PICKED_UP | CLEANED) {
            MessageEnd::Waiting
        } else {
            MessageEnd::Unknown
        }
    }

    fn origin(self) -> Origin {
        if self.has(LOGGED_IN) {
            Origin::LoggedIn
        } else if self.has(RECEIVED) {
            Origin::Client
        } else if self.has(PICKED_UP) {
            Origin::Local
        } else if self.has(CLEANED) {
            Origin::Made
        } else {
            Origin::Before
        }
    }
}

/// Messages in the queue, and the ends of the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Messages {
    /// This is a later piece of a log: what is not known here may be known before.
    pub later: bool,
    open: HashMap<u64, Message>,
    /// Named as made here before any line was about them, or after they were gone.
    named: HashSet<u64>,
    /// Gone in this piece of the log, begun in an earlier one.
    tails: HashMap<u64, Message>,
    total: u64,
    ends: [u64; MessageEnd::ALL.len()],
    origins: [u64; Origin::ALL.len()],
    received_and_refused: u64,
    /// Judged before their time, to stay within the bound.
    pub dropped: u64,
}

impl Messages {
    /// The message that a line speaks of.
    pub(super) fn of(&mut self, key: u64, at: i64) -> &mut Message {
        if self.open.len() >= OPEN_MAX && !self.open.contains_key(&key) {
            self.drop_old();
        }
        let (total, named) = (&mut self.total, &mut self.named);
        let message = self.open.entry(key).or_insert_with(|| {
            *total += 1;
            let flags = if named.remove(&key) { CLEANED } else { 0 };
            Message { flags, first: at, ..Message::default() }
        });
        message.last = at;
        message
    }

    /// The message with this key comes from here: a bounce, a notice, forwarded mail.
    pub(super) fn made(&mut self, key: u64) {
        if let Some(message) = self.open.get_mut(&key) {
            message.flags |= CLEANED;
        } else if let Some(message) = self.tails.get_mut(&key) {
            message.flags |= CLEANED;
        } else if self.named.len() < NAMED_MAX {
            self.named.insert(key);
        }
    }

    /// A message that is in the queue.
    pub(super) fn known(&self, key: u64) -> Option<Message> {
        self.open.get(&key).copied()
    }

    /// Says more of a message, where it is still in the queue.
    pub(super) fn mark(&mut self, key: u64, flags: u16) {
        if let Some(message) = self.open.get_mut(&key) {
            message.flags |= flags;
        }
    }

    /// How many messages were received, and refused for their content.
    pub(super) fn received_and_refused(&self) -> u64 {
        let both = |message: &&Message| message.has(REFUSED) && message.has(RECEIVED);
        let open = self.open.values().chain(self.tails.values()).filter(both).count();
        self.received_and_refused.saturating_add(u64::try_from(open).unwrap_or(u64::MAX))
    }

    /// It has left the queue. Gives what was known of it.
    pub(super) fn gone(&mut self, key: u64, at: i64, flags: u16) {
        let message = self.of(key, at);
        message.flags |= flags | REMOVED;
        let message = *message;
        if self.is_whole(message, key) {
            self.open.remove(&key);
            self.close(message);
        } else {
            self.open.remove(&key);
            self.tails.insert(key, message);
        }
    }

    /// Whether no piece of the log can say more of a message that is gone.
    fn is_whole(&self, message: Message, key: u64) -> bool {
        !self.later || message.came() || self.tails.contains_key(&key) || self.tails.len() >= OPEN_MAX
    }

    fn close(&mut self, message: Message) {
        self.received_and_refused += u64::from(message.has(REFUSED) && message.has(RECEIVED));
        count(&mut self.ends, MessageEnd::ALL.iter().position(|end| *end == message.end()));
        count(&mut self.origins, Origin::ALL.iter().position(|origin| *origin == message.origin()));
    }

    /// The half that was silent for longest is judged as it stands; those that were refused or never came
    /// whole first, for they have no other end.
    fn drop_old(&mut self) {
        let still = |message: &Message| {
            matches!(message.end(), MessageEnd::Refused | MessageEnd::Unfinished | MessageEnd::Discarded)
        };
        let mut times: Vec<(bool, i64)> = self.open.values().map(|one| (!still(one), one.last)).collect();
        let middle = times.len() / 2;
        if times.is_empty() {
            return;
        }
        let (_, &mut bound, _) = times.select_nth_unstable(middle);
        let mut gone = Vec::new();
        self.open.retain(|_, message| {
            let stays = (!still(message), message.last) > bound;
            if !stays {
                gone.push(*message);
            }
            stays
        });
        for message in gone {
            self.dropped += u64::from(!still(&message));
            self.close(message);
        }
    }

    /// Joins what a later piece of the log has.
    pub(super) fn merge(&mut self, later: Messages) {
        self.total += later.total;
        self.dropped += later.dropped;
        self.received_and_refused += later.received_and_refused;
        for (count, more) in self.ends.iter_mut().zip(later.ends) {
            *count += more;
        }
        for (count, more) in self.origins.iter_mut().zip(later.origins) {
            *count += more;
        }
        for (key, mut tail) in later.tails {
            tail.flags |= if self.named.remove(&key) { CLEANED } else { 0 };
            match self.open.remove(&key) {
                Some(mut message) => {
                    self.total -= 1;
                    message.join(&tail);
                    if self.is_whole(message, key) {
                        self.close(message);
                    } else {
                        self.tails.insert(key, message);
                    }
                }
                None if !self.is_whole(tail, key) => {
                    self.tails.insert(key, tail);
                }
                None => self.close(tail),
            }
        }
        for (key, mut message) in later.open {
            message.flags |= if self.named.remove(&key) { CLEANED } else { 0 };
            if self.open.len() >= OPEN_MAX && !self.open.contains_key(&key) {
                self.drop_old();
            }
            match self.open.get_mut(&key) {
                Some(known) => {
                    self.total -= 1;
                    known.join(&message);
                }
                None => {
                    self.open.insert(key, message);
                }
            }
        }
        later.named.into_iter().for_each(|key| self.made(key));
    }

    /// Where all stand, by end and by origin.
    pub(super) fn splits(&self) -> (Split, Split) {
        let (mut ends, mut origins) = (self.ends, self.origins);
        for message in self.open.values().chain(self.tails.values()) {
            count(&mut ends, MessageEnd::ALL.iter().position(|end| *end == message.end()));
            count(&mut origins, Origin::ALL.iter().position(|origin| *origin == message.origin()));
        }
        let of = |counts: &[u64], at: Option<usize>| at.and_then(|at| counts.get(at)).copied().unwrap_or(0);
        (
            MessageEnd::split(self.total, |end| {
                of(&ends, MessageEnd::ALL.iter().position(|one| *one == end))
            }),
            Origin::split(self.total, |end| of(&origins, Origin::ALL.iter().position(|one| *one == end))),
        )
    }

    /// What is in the queue at the time of `now`.
    pub(super) fn queue(&self, now: i64) -> Queue {
        let mut queue = Queue::default();
        let mut ages = Spread::default();
        for message in self.open.values() {
            if !matches!(message.end(), MessageEnd::Deferred | MessageEnd::Waiting | MessageEnd::Held) {
                continue;
            }
            queue.messages += 1;
            let since_first = u64::try_from(now.saturating_sub(message.first)).unwrap_or(0);
            let since_last = u64::try_from(now.saturating_sub(message.last)).unwrap_or(0);
            let age = since_first.max(since_last.saturating_add(u64::from(message.waited)));
            ages.add(age);
            let step = [3600, 6 * 3600, 86_400, 3 * 86_400].iter().position(|limit| age <= *limit);
            count(&mut queue.steps, Some(step.unwrap_or(4)));
        }
        // Those that were judged before their time: nothing else ends so.
        for end in [MessageEnd::Deferred, MessageEnd::Waiting, MessageEnd::Held] {
            let at = MessageEnd::ALL.iter().position(|one| *one == end);
            queue.unknown += at.and_then(|at| self.ends.get(at)).copied().unwrap_or(0);
        }
        queue.messages += queue.unknown;
        queue.ages = ages.percentiles();
        queue
    }
}

fn count(counts: &mut [u64], at: Option<usize>) {
    if let Some(count) = at.and_then(|at| counts.get_mut(at)) {
        *count += 1;
    }
}
