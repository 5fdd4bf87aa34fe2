//! The name of one queued message, in Postfix's two spellings.
//!
//! Short: five hexadecimal digits of microseconds, then a number that no other message in the queue has
//! (Postfix: the file's inode), in hexadecimal: `3F0A21B7E`. Long (`enable_long_queue_ids = yes`): six
//! digits of seconds in base 52, four of microseconds in base 52, `z`, the number in base 51:
//! `4Zk3nq2bXPzJrm`. Log tools tell them apart by pattern, so the spelling must be right to the letter.

use crate::Wall;
use std::fmt;
use std::str::FromStr;

/// A queue id: letters and digits, 6 to 24 of them. It is used as a file name, so nothing else may be in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(String);

/// Base 52: digits and letters without vowels, so that no words come out.
const SAFE: &[u8; 52] = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";

/// Why a text is no queue id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a queue id has 6 to 24 letters and digits")]
pub struct NotAQueueId;

impl QueueId {
    /// The short spelling. `number` must be unique among the messages in the queue.
    #[must_use]
    pub fn short(now: Wall, number: u64) -> QueueId {
        QueueId(format!("{:05X}{number:X}", now.micros()))
    }

    /// The long spelling: it never comes again, as it holds the whole time.
    #[must_use]
    pub fn long(now: Wall, number: u64) -> QueueId {
        let mut text = String::with_capacity(16);
        encode(u64::try_from(now.seconds()).unwrap_or(0), 52, 6, &mut text);
        encode(u64::from(now.micros()), 52, 4, &mut text);
        text.push('z');
        encode(number, 51, 1, &mut text);
        QueueId(text)
    }

    /// The numbers that either spelling may have been made of: an id of one may look like one of the other.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        let long = self.0.char_indices().filter(|(at, c)| *at >= LONG_PREFIX && *c == 'z');
        let long = long.filter_map(|(at, _)| decode(self.0.get(at.saturating_add(1)..)?));
        let upper = !self.0.bytes().any(|byte| byte.is_ascii_lowercase());
        let short = self.0.get(5..).filter(|_| upper).and_then(|text| u64::from_str_radix(text, 16).ok());
        short.into_iter().chain(long)
    }

    /// Whether it is of the long spelling: the short one has no other letters than A to F.
    #[must_use]
    pub fn is_long(&self) -> bool {
        !self.0.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'))
    }

    /// The id as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Digits of seconds and microseconds in the long spelling.
const LONG_PREFIX: usize = 10;

/// A number in base 51.
fn decode(text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.bytes().try_fold(0_u64, |value, byte| {
        let digit = SAFE.iter().position(|safe| *safe == byte).filter(|digit| *digit < 51)?;
        value.checked_mul(51)?.checked_add(u64::try_from(digit).ok()?)
    })
}

/// Writes `value` in `base`, with leading zeros up to `digits`.
fn encode(mut value: u64, base: u64, digits: usize, out: &mut String) {
    let mut reversed = Vec::with_capacity(digits);
    while value > 0 || reversed.len() < digits {
        let digit = usize::try_from(value % base).unwrap_or(0);
        reversed.push(char::from(SAFE.get(digit).copied().unwrap_or(b'0')));
        value /= base;
    }
    out.extend(reversed.iter().rev());
}

impl FromStr for QueueId {
    type Err = NotAQueueId;
    fn from_str(text: &str) -> Result<QueueId, NotAQueueId> {
        let fits = (6..=24).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if fits { Ok(QueueId(text.to_owned())) } else { Err(NotAQueueId) }
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for QueueId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let now = Wall(1_621_000_000_123_456);
        assert_eq!(QueueId::short(now, 0x00AB_CDEF).as_str(), "1E240ABCDEF");
        let long = QueueId::long(now, 12_345);
        assert_eq!(long.as_str().len(), 14);
        assert_eq!(long.as_str().parse::<QueueId>(), Ok(long));
        assert_eq!("../../etc".parse::<QueueId>(), Err(NotAQueueId));
    }

    #[test]
    fn the_number_is_found_in_the_id() {
        for wall in [0, 999_999, 1_621_000_000_123_456, 90_000_000_000_000_000] {
            for number in [0x10_0000, 0x10_0001, 0xDEAD_BEEF, u64::from(u32::MAX) << 20] {
                for id in [QueueId::short(Wall(wall), number), QueueId::long(Wall(wall), number)] {
                    assert!(id.numbers().any(|found| found == number), "{id} {number:X}");
                    assert!(id.numbers().count() <= 3);
                    assert_eq!(id.is_long(), id == QueueId::long(Wall(wall), number));
                }
            }
        }
        for text in ["zzzzzzzzzzzzzzzzzzzzzzzz", "FFFFFFFFFFFFFFFFFFFFFFFF", "abcdef", "0000000000z"] {
            let id: QueueId = text.parse().unwrap();
            assert!(id.numbers().count() <= 14, "{text}");
        }
    }
}
