//! What is known of a queued message without reading its envelope: sixteen bytes that the spool keeps at hand.
//!
//! When it is due, whether it was tried, whether it is on hold, and which domains its recipients may be in. The first
//! three are exact; the domains are hashes, so who looks for one reads the envelopes that may fit. A card is made of an
//! envelope and changed by notes as [`Entry`] itself is; bytes that can't be read give no card. T2.14.

use crate::entry::{Entry, Note};
use mail::Wall;

const KNOWN: u8 = 1;
const TRIED: u8 = 2;
const HOLD: u8 = 4;
/// More domains than a card has room for.
const MANY: u8 = 8;

/// A message at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    /// Not before this.
    pub next_attempt: Wall,
    /// Whether it was tried before.
    pub deferred: bool,
    /// On hold.
    pub hold: bool,
    sites: [u32; 2],
    many: bool,
}

impl Card {
    /// Of an envelope.
    #[must_use]
    pub fn of(entry: &Entry) -> Card {
        let mut sites: Vec<u32> = Vec::new();
        for recipient in &entry.recipients {
            let site = hash(recipient.address.domain().unwrap_or_default());
            if !sites.contains(&site) {
                sites.push(site);
            }
            if sites.len() > 2 {
                break;
            }
        }
        let site = |at: usize| sites.get(at).copied().unwrap_or(0);
        Card {
            next_attempt: entry.next_attempt,
            deferred: entry.tries > 0,
            hold: entry.hold,
            sites: [site(0), site(1)],
            many: sites.len() > 2,
        }
    }

    /// Whether a recipient may be in this domain.
    #[must_use]
    pub fn may_have(&self, domain: &str) -> bool {
        self.many || self.sites.contains(&hash(domain))
    }

    /// From the spool's bytes; `None` where nothing is known.
    #[must_use]
    pub fn decode(bytes: [u8; 16]) -> Option<Card> {
        let [flags, t0, t1, t2, t3, t4, t5, t6, a0, a1, a2, a3, b0, b1, b2, b3] = bytes;
        (flags & KNOWN != 0).then(|| Card {
            next_attempt: Wall(i64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, 0])),
            deferred: flags & TRIED != 0,
            hold: flags & HOLD != 0,
            sites: [u32::from_le_bytes([a0, a1, a2, a3]), u32::from_le_bytes([b0, b1, b2, b3])],
            many: flags & MANY != 0,
        })
    }

    /// For the spool.
    #[must_use]
    pub fn encode(&self) -> [u8; 16] {
        let flags = [(self.deferred, TRIED), (self.hold, HOLD), (self.many, MANY)];
        let flags = flags.into_iter().filter(|(set, _)| *set).fold(KNOWN, |all, (_, bit)| all | bit);
        // 56 bits are enough until the year 4253.
        let time = self.next_attempt.0.clamp(0, (1 << 56) - 1);
        let [t0, t1, t2, t3, t4, t5, t6, _] = time.to_le_bytes();
        let [[a0, a1, a2, a3], [b0, b1, b2, b3]] = self.sites.map(u32::to_le_bytes);
        [flags, t0, t1, t2, t3, t4, t5, t6, a0, a1, a2, a3, b0, b1, b2, b3]
    }

    fn apply(&mut self, note: &Note) {
        match note {
            Note::Deferred { tries, next_attempt } => {
                (self.deferred, self.next_attempt) = (*tries > 0, *next_attempt);
            }
            Note::Hold(hold) => self.hold = *hold,
            // As old as it is, it is due.
            Note::Requeue => (self.deferred, self.hold, self.next_attempt) = (false, false, Wall(0)),
            // Its sender is to hear of it.
            Note::Spoilt => self.next_attempt = Wall(0),
            Note::Statuses(_) | Note::Expire | Note::Warned | Note::Traced | Note::Parts(_) => {}
        }
    }
}

/// The bytes for a stored envelope.
#[must_use]
pub fn of_envelope(envelope: &[u8]) -> [u8; 16] {
    Entry::decode(envelope).map_or([0; 16], |entry| Card::of(&entry).encode())
}

/// The bytes after a stored note.
#[must_use]
pub fn after_note(before: [u8; 16], note: &[u8]) -> [u8; 16] {
    if Note::is_statuses(note) {
        return before;
    }
    match (Card::decode(before), Note::decode(note)) {
        (Some(mut card), Ok(note)) => {
            card.apply(&note);
            card.encode()
        }
        _ => [0; 16],
    }
}

/// FNV-1a, of the name in lower case.
fn hash(domain: &str) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(16_777_619);
    domain.bytes().fold(2_166_136_261, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Recipient, Status};
    use mail::{Address, QueueId};

    fn entry(recipients: &[&str]) -> Entry {
        let all = recipients.iter().map(|text| Recipient::new(Address::from_internal(*text))).collect();
        let arrival = Wall(1_621_000_000_123_456);
        Entry::new(QueueId::short(arrival, 7), arrival, Address::null(), all)
    }

    #[test]
    fn as_the_envelope_says() {
        let mut entry = entry(&["a@x.example", "b@X.Example", "c@y.example"]);
        let mut bytes = of_envelope(&entry.encode());
        let notes = [
            Note::Deferred {
                tries: 1,
                next_attempt: entry.arrival + std::time::Duration::from_micros(300_000_001),
            },
            Note::Statuses(vec![(0, Status::Delivered)]),
            Note::Hold(true),
            Note::Warned,
            Note::Hold(false),
            Note::Expire,
        ];
        for note in notes {
            bytes = after_note(bytes, &note.encode());
            entry.apply(note);
            assert_eq!(Card::decode(bytes), Some(Card::of(&entry)), "after {:?}", entry.tries);
        }
        let card = Card::decode(bytes).unwrap();
        assert!(card.may_have("x.example") && card.may_have("Y.example") && !card.may_have("z.example"));
        let card = Card::decode(after_note(bytes, &Note::Spoilt.encode())).unwrap();
        assert!(card.deferred && card.next_attempt <= entry.arrival);
        let card = Card::decode(after_note(bytes, &Note::Requeue.encode())).unwrap();
        assert!(!card.deferred && card.next_attempt <= entry.arrival);
    }

    #[test]
    fn many_domains_may_be_any() {
        let card = Card::of(&entry(&["a@x.example", "b@y.example", "c@z.example"]));
        assert!(card.may_have("w.example"));
    }

    #[test]
    fn what_cannot_be_read_is_not_known() {
        assert_eq!(Card::decode(of_envelope(b"?")), None);
        let known = of_envelope(&entry(&["a@x.example"]).encode());
        assert_eq!(Card::decode(after_note(known, b"?")), None);
        assert_eq!(Card::decode(after_note([0; 16], &Note::Hold(true).encode())), None);
    }
}
