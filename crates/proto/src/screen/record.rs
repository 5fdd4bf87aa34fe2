//! Which tests there are, and until when a client has passed each: what the allow cache keeps.
//!
//! Times are seconds since 1970, zero for a test that was never passed.

use super::Ttls;
use mail::Wall;

/// A set of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tests(u8);

impl Tests {
    /// None of them.
    pub const NONE: Tests = Tests(0);
    /// Waiting for the greeting.
    pub const GREET: Tests = Tests(1);
    /// DNS lists.
    pub const DNSBL: Tests = Tests(1 << 1);
    /// Commands sent one behind another without leave.
    pub const PIPELINING: Tests = Tests(1 << 2);
    /// Commands that are none of SMTP.
    pub const NON_SMTP: Tests = Tests(1 << 3);
    /// Lines that end in a bare newline.
    pub const BARE_NEWLINE: Tests = Tests(1 << 4);
    /// Those that need the engine that takes no mail.
    pub const DEEP: Tests = Tests(Self::PIPELINING.0 | Self::NON_SMTP.0 | Self::BARE_NEWLINE.0);
    /// A client of the deny list: no test, but a failure like one.
    pub(super) const DENIED: Tests = Tests(1 << 5);

    const EACH: [Tests; 5] =
        [Tests::GREET, Tests::DNSBL, Tests::PIPELINING, Tests::NON_SMTP, Tests::BARE_NEWLINE];

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Tests) -> Tests {
        Tests(self.0 | other.0)
    }

    /// What is in here and not in `other`.
    #[must_use]
    pub const fn without(self, other: Tests) -> Tests {
        Tests(self.0 & !other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Tests) -> Tests {
        Tests(self.0 & other.0)
    }

    /// Whether all of `other` is in here.
    #[must_use]
    pub const fn has(self, other: Tests) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Until when a client counts as having passed each test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record([u32; 5]);

impl Record {
    /// How many bytes it is encoded in.
    pub const BYTES: usize = 20;

    /// The tests among `enabled` that are to be made at `now`.
    #[must_use]
    pub fn due(&self, enabled: Tests, now: Wall) -> Tests {
        let now = seconds(now);
        Tests::EACH
            .into_iter()
            .zip(self.0)
            .filter(|&(test, until)| enabled.has(test) && until <= now)
            .fold(Tests::NONE, |due, (test, _)| due.with(test))
    }

    /// When the last of its tests expires.
    #[must_use]
    pub fn last(&self) -> u32 {
        self.0.into_iter().max().unwrap_or(0)
    }

    /// `tests` were passed at `now`; what the DNS lists said counts for `dnsbl_s`.
    pub(super) fn pass(&mut self, tests: Tests, ttls: &Ttls, dnsbl_s: u32, now: Wall) {
        let lengths = [ttls.greet, dnsbl_s, ttls.pipelining, ttls.non_smtp, ttls.bare_newline];
        for ((test, until), length) in Tests::EACH.into_iter().zip(&mut self.0).zip(lengths) {
            if tests.has(test) {
                *until = seconds(now).saturating_add(length);
            }
        }
    }

    /// Every test counts as passed for at least `length_s` from `now`.
    pub(super) fn extend(&mut self, length_s: u32, now: Wall) {
        for until in &mut self.0 {
            *until = (*until).max(seconds(now).saturating_add(length_s));
        }
    }

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; Record::BYTES] {
        let mut bytes = [0; Record::BYTES];
        for (part, until) in bytes.chunks_exact_mut(4).zip(self.0) {
            part.copy_from_slice(&until.to_le_bytes());
        }
        bytes
    }

    /// From bytes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Record> {
        let mut record = Record::default();
        if bytes.len() != Record::BYTES {
            return None;
        }
        for (until, part) in record.0.iter_mut().zip(bytes.chunks_exact(4)) {
            *until = u32::from_le_bytes(part.try_into().ok()?);
        }
        Some(record)
    }
}

fn seconds(now: Wall) -> u32 {
    u32::try_from(now.seconds().max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_test_expires_by_itself() {
        let settings = crate::screen::Settings::default();
        let all = Tests::GREET.with(Tests::DNSBL).with(Tests::DEEP);
        let mut record = Record::default();
        record.pass(
            all.without(Tests::NON_SMTP),
            &settings.ttls,
            settings.ttls.dnsbl,
            Wall::from_seconds(1000),
        );
        let due = |s| record.due(all, Wall::from_seconds(s));
        assert_eq!(due(1000), Tests::NON_SMTP);
        assert_eq!(due(1000 + 3600), Tests::NON_SMTP.with(Tests::DNSBL));
        assert_eq!(due(1000 + 86_400), Tests::NON_SMTP.with(Tests::DNSBL).with(Tests::GREET));
        assert_eq!(record.due(Tests::PIPELINING, Wall::from_seconds(1000)), Tests::NONE);
        record.extend(10, Wall::from_seconds(2000));
        assert_eq!(record.due(all, Wall::from_seconds(2009)), Tests::NONE);
        assert_eq!(record.due(all, Wall::from_seconds(2010)), Tests::NON_SMTP);
    }

    proptest! {
        #[test]
        fn there_and_back(times: [u32; 5]) {
            prop_assert_eq!(Record::decode(&Record(times).encode()), Some(Record(times)));
        }
    }
}
