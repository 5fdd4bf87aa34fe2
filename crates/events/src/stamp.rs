//! The time in front of a line: `Nov 22 01:55:03`, or RFC 3339 with an offset.
//!
//! A syslog stamp has neither year nor zone: [`Stamp::wall`] wants to be told both. RFC 3164 §4.1.2, RFC 3339.

use mail::Wall;
use mail::time::{Civil, MONTHS, day_number};
use std::fmt;

/// A point in time as a line says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stamp {
    /// `Nov 22 01:55:03`
    Syslog(Clock),
    /// `2026-11-22T01:55:03.123456+09:00`
    Rfc3339 {
        /// The year.
        year: u16,
        /// The rest.
        clock: Clock,
        /// The part behind the point, and its digits: 0 to 9.
        fraction: (u32, u8),
        /// Minutes east of UTC; nothing for `Z`.
        offset: Option<i16>,
    },
}

/// Month to second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clock {
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

impl Stamp {
    /// The syslog stamp of `wall`, `offset` minutes east of UTC.
    #[must_use]
    pub fn syslog(wall: Wall, offset: i16) -> Stamp {
        Stamp::Syslog(Clock::at(wall, offset).1)
    }

    /// The RFC 3339 stamp of `wall` with microseconds, `offset` minutes east of UTC.
    #[must_use]
    pub fn rfc3339(wall: Wall, offset: i16) -> Stamp {
        let (year, clock) = Clock::at(wall, offset);
        Stamp::Rfc3339 { year, clock, fraction: (wall.micros(), 6), offset: Some(offset) }
    }

    /// The point in time; `year` and `offset` (minutes) are for stamps that don't say theirs.
    #[must_use]
    pub fn wall(self, year: u16, offset: i16) -> Wall {
        let (year, clock, micros, offset) = match self {
            Stamp::Syslog(clock) => (year, clock, 0, offset),
            Stamp::Rfc3339 { year, clock, fraction: (value, digits), offset } => {
                let scaled = u64::from(value) * 1_000_000 / 10_u64.pow(u32::from(digits.min(9)));
                (year, clock, i64::try_from(scaled).unwrap_or(0), offset.unwrap_or(0))
            }
        };
        let days = day_number(i64::from(year), clock.month, clock.day);
        let minutes = i64::from(clock.hour) * 60 + i64::from(clock.minute) - i64::from(offset);
        Wall((days * 86_400 + minutes * 60 + i64::from(clock.second)) * 1_000_000 + micros)
    }

    /// Reads a stamp at the start of a line; gives what follows it.
    #[must_use]
    pub fn parse_prefix(text: &str) -> Option<(Stamp, &str)> {
        if text.as_bytes().first()?.is_ascii_digit() { rfc3339(text) } else { syslog(text) }
    }
}

fn syslog(text: &str) -> Option<(Stamp, &str)> {
    let (stamp, rest) = text.split_at_checked(15)?;
    let (month, after) = stamp.split_at_checked(3)?;
    let month = MONTHS.iter().zip(1..).find(|(name, _)| **name == month)?.1;
    let &[b' ', tens, ones, b' ', h1, h2, b':', m1, m2, b':', s1, s2] = after.as_bytes() else { return None };
    let day = match (tens, ones) {
        (b' ', b'1'..=b'9') => ones - b'0',
        (b'1'..=b'3', b'0'..=b'9') => two(tens, ones)?,
        _ => return None,
    };
    let clock = Clock { month, day, hour: two(h1, h2)?, minute: two(m1, m2)?, second: two(s1, s2)? };
    clock.is_valid().then_some((Stamp::Syslog(clock), rest))
}

fn rfc3339(text: &str) -> Option<(Stamp, &str)> {
    let (head, rest) = text.split_at_checked(19)?;
    let &[y1, y2, y3, y4, b'-', o1, o2, b'-', d1, d2, b'T', h1, h2, b':', m1, m2, b':', s1, s2] =
        head.as_bytes()
    else {
        return None;
    };
    let year = u16::from(two(y1, y2)?) * 100 + u16::from(two(y3, y4)?);
    let clock = Clock {
        month: two(o1, o2)?,
        day: two(d1, d2)?,
        hour: two(h1, h2)?,
        minute: two(m1, m2)?,
        second: two(s1, s2)?,
    };
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (digits, rest) = crate::scan::span(rest, |b| !b.is_ascii_digit())?;
            let count = u8::try_from(digits.len()).ok().filter(|count| (1..=9).contains(count))?;
            ((digits.parse().ok()?, count), rest)
        }
        None => ((0, 0), rest),
    };
    let (offset, rest) = match rest.strip_prefix('Z') {
        Some(rest) => (None, rest),
        None => offset(rest)?,
    };
    clock.is_valid().then_some((Stamp::Rfc3339 { year, clock, fraction, offset }, rest))
}

/// `+09:00`; not `-00:00`, which would not come back.
fn offset(text: &str) -> Option<(Option<i16>, &str)> {
    let (head, rest) = text.split_at_checked(6)?;
    let &[sign, h1, h2, b':', m1, m2] = head.as_bytes() else { return None };
    let (hours, minutes) = (i16::from(two(h1, h2)?), i16::from(two(m1, m2)?));
    let value = hours * 60 + minutes;
    match sign {
        b'+' if hours < 24 && minutes < 60 => Some((Some(value), rest)),
        b'-' if hours < 24 && minutes < 60 && value > 0 => Some((Some(-value), rest)),
        _ => None,
    }
}

fn two(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

impl Clock {
    fn is_valid(self) -> bool {
        (1..=12).contains(&self.month)
            && (1..=31).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second <= 60
    }

    /// Year and clock at `wall`, `offset` minutes east of UTC.
    fn at(wall: Wall, offset: i16) -> (u16, Clock) {
        let Civil { year, month, day, hour, minute, second, .. } = Civil::at(wall, i32::from(offset) * 60);
        let clock = Clock { month, day, hour, minute, second };
        (u16::try_from(year.clamp(0, 9999)).unwrap_or(0), clock)
    }
}

/// The last two digits.
const fn digits(number: u8) -> [u8; 2] {
    [b'0' + number / 10 % 10, b'0' + number % 10]
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Stamp::Syslog(Clock { month, day, hour, minute, second }) => {
                // By hand, as it stands in front of every line.
                let [d1, d2] = digits(day);
                let ([h1, h2], [m1, m2], [s1, s2]) = (digits(hour), digits(minute), digits(second));
                let d1 = if d1 == b'0' { b' ' } else { d1 };
                let clock = [b' ', d1, d2, b' ', h1, h2, b':', m1, m2, b':', s1, s2];
                f.write_str(MONTHS.get(usize::from(month).wrapping_sub(1)).copied().unwrap_or("???"))?;
                f.write_str(std::str::from_utf8(&clock).unwrap_or_default())
            }
            Stamp::Rfc3339 { year, clock: Clock { month, day, hour, minute, second }, fraction, offset } => {
                write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
                let (value, digits) = fraction;
                if digits > 0 {
                    write!(f, ".{value:0width$}", width = usize::from(digits))?;
                }
                match offset {
                    None => f.write_str("Z"),
                    Some(minutes) => {
                        let sign = if minutes < 0 { '-' } else { '+' };
                        let minutes = minutes.unsigned_abs();
                        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for text in [
            "Nov 22 01:55:03",
            "Jan  1 00:00:00",
            "2026-11-22T01:55:03+09:00",
            "2026-11-22T01:55:03.000123-03:30",
            "2024-02-29T23:59:60Z",
        ] {
            let (stamp, rest) = Stamp::parse_prefix(text).expect(text);
            assert_eq!((stamp.to_string().as_str(), rest), (text, ""));
        }
        for bad in
            ["", "Nov", "Nov 22 24:00:00", "Nov 0 01:00:00", "Nov 02 01:00:00", "2026-11-22T01:55:03-00:00"]
        {
            assert_eq!(Stamp::parse_prefix(bad), None, "{bad}");
        }
    }

    #[test]
    fn points_in_time() {
        let wall = Wall(1_795_312_503_123_456); // 2026-11-22 01:55:03.123456 UTC
        assert_eq!(Stamp::syslog(wall, 0).to_string(), "Nov 22 01:55:03");
        assert_eq!(Stamp::rfc3339(wall, 540).to_string(), "2026-11-22T10:55:03.123456+09:00");
        assert_eq!(Stamp::rfc3339(wall, -120).wall(0, 0), wall);
        assert_eq!(Stamp::syslog(wall, 60).wall(2026, 60), Wall(1_795_312_503_000_000));
    }
}
