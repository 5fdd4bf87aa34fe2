//! A day of the calendar, and the points in time that lines say.

use crate::scan;
use mail::time::MONTHS;

/// A day. The order is that of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    /// The year.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

impl Day {
    /// Reads the day at the start of a line's stamp, as [`Moment::parse`], and gives what follows it and its
    /// blank or `T`.
    #[must_use]
    pub fn parse(line: &[u8], today: Day) -> Option<(Day, &[u8])> {
        match line.first()? {
            b'0'..=b'9' => long_day(line),
            _ => short_day(line, today),
        }
    }

    /// Days since 1970-01-01; days that the calendar doesn't have count on from the month's first.
    #[must_use]
    pub fn number(self) -> i64 {
        mail::time::day_number(i64::from(self.year), self.month, self.day)
    }

    /// The day with this [`number`](Day::number); years before 0 and after 65535 are held at these.
    #[must_use]
    pub fn numbered(number: i64) -> Day {
        let (year, month, day) = mail::time::date(number);
        Day { year: u16::try_from(year.max(0)).unwrap_or(u16::MAX), month, day }
    }

    /// The day before.
    #[must_use]
    pub fn before(self) -> Day {
        Day::numbered(self.number() - 1)
    }

    /// The same day of the year up to `today`'s month: a month that hasn't come yet was last year's.
    #[must_use]
    pub fn of_last_year(self, today: Day) -> Day {
        let year = if self.month > today.month { today.year.saturating_sub(1) } else { today.year };
        Day { year, ..self }
    }

    /// `Nov`.
    #[must_use]
    pub fn month_name(self) -> &'static str {
        MONTHS.get(usize::from(self.month).wrapping_sub(1)).copied().unwrap_or("")
    }
}

/// When a line was written, by the clock of the host that wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The day.
    pub day: Day,
    /// 0 to 99: two digits.
    pub hour: u8,
    /// 0 to 99.
    pub minute: u8,
    /// 0 to 99.
    pub second: u8,
}

impl Moment {
    /// Reads a stamp at the start of `line` and gives what follows it, from the blank on. A stamp without a
    /// year is of the year up to `today`'s month: a month that hasn't come yet was last year's.
    ///
    /// `Nov 22 01:55:03` and RFC 3339, of which the fraction is dropped and the clock taken as it stands.
    #[must_use]
    pub fn parse(line: &[u8], today: Day) -> Option<(Moment, &[u8])> {
        let (day, rest) = Day::parse(line, today)?;
        Moment::of(day, line, rest)
    }

    /// With the clock that stands behind the day, of which `line` says how it is written.
    fn of<'a>(day: Day, line: &[u8], rest: &'a [u8]) -> Option<(Moment, &'a [u8])> {
        let ([hour, minute, second], rest) = scan::clock(rest)?;
        let rest = match line.first()? {
            b'0'..=b'9' => zone(rest)?,
            _ => rest,
        };
        Some((Moment { day, hour, minute, second }, rest))
    }

    /// The same, where the calendar and the clock have it; `line` is where it stands. The 29th of February of a stamp
    /// without a year is that of the last year that had one.
    #[must_use]
    pub fn of_the_calendar(mut self, line: &[u8]) -> Option<Moment> {
        // A leap second is the sixtieth.
        if self.hour > 23 || self.minute > 59 || self.second > 60 {
            return None;
        }
        let has_year = line.first().is_some_and(u8::is_ascii_digit);
        let is_leap_day = (self.day.month, self.day.day) == (2, 29);
        for _ in 0..9 {
            if Day::numbered(self.day.number()) == self.day {
                return Some(self);
            }
            if has_year || !is_leap_day {
                break;
            }
            self.day.year = self.day.year.checked_sub(1)?;
        }
        None
    }

    /// So many seconds after the start of 1970: the inverse of [`Moment::seconds`].
    #[must_use]
    pub fn at(seconds: i64) -> Moment {
        let (day, clock) = (Day::numbered(seconds.div_euclid(86_400)), seconds.rem_euclid(86_400));
        let small = |value: i64| u8::try_from(value).unwrap_or(0);
        let (hour, minute, second) = (small(clock / 3_600), small(clock / 60 % 60), small(clock % 60));
        Moment { day, hour, minute, second }
    }

    /// Seconds since the start of 1970, by the clock of the host that wrote it.
    #[must_use]
    pub fn seconds(self) -> i64 {
        let clock = (i64::from(self.hour) * 60 + i64::from(self.minute)) * 60 + i64::from(self.second);
        self.day.number() * 86_400 + clock
    }
}

/// The stamps of lines one after the other, most of which are of one day.
#[derive(Clone, Debug)]
pub(crate) struct Stamps {
    today: Day,
    /// How the day of the line before was written, and which it is; nothing at first.
    written: Vec<u8>,
    day: Day,
}

impl Stamps {
    pub(crate) fn new(today: Day) -> Stamps {
        Stamps { today, written: Vec::new(), day: today }
    }

    /// As [`Moment::parse`]. The same bytes are the same day: each way to write one ends with its own blank.
    pub(crate) fn read<'a>(&mut self, line: &'a [u8]) -> Option<(Moment, &'a [u8])> {
        if !self.written.is_empty()
            && let Some(rest) = scan::behind(line, &self.written)
        {
            return Moment::of(self.day, line, rest);
        }
        let (day, rest) = Day::parse(line, self.today)?;
        self.written.clear();
        self.written.extend_from_slice(line.get(..line.len() - rest.len()).unwrap_or_default());
        self.day = day;
        Moment::of(day, line, rest)
    }
}

/// `Nov 22 `, `Nov  2 `.
fn short_day(line: &[u8], today: Day) -> Option<(Day, &[u8])> {
    let (name, rest) = line.split_first_chunk::<3>()?;
    let month = MONTHS.iter().position(|month| month.as_bytes() == name)?;
    let month = u8::try_from(month).ok()? + 1;
    let rest = rest.strip_prefix(b" ")?;
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let (day, rest) = match scan::two(rest) {
        Some(found) => found,
        None => {
            let (&digit, rest) = rest.split_first()?;
            (digit.is_ascii_digit().then(|| digit - b'0')?, rest)
        }
    };
    Some((Day { year: 0, month, day }.of_last_year(today), rest.strip_prefix(b" ")?))
}

/// `2026-11-22T`.
fn long_day(line: &[u8]) -> Option<(Day, &[u8])> {
    let (century, rest) = scan::two(line)?;
    let (year, rest) = scan::two(rest)?;
    let (month, rest) = scan::two(rest.strip_prefix(b"-")?)?;
    let (day, rest) = scan::two(rest.strip_prefix(b"-")?)?;
    let year = u16::from(century) * 100 + u16::from(year);
    Some((Day { year, month, day }, rest.strip_prefix(b"T")?))
}

/// The fraction and the offset behind an RFC 3339 clock.
fn zone(rest: &[u8]) -> Option<&[u8]> {
    let rest = match rest.strip_prefix(b".") {
        Some(fraction) => scan::span(fraction, |byte| !byte.is_ascii_digit()).1,
        None => rest,
    };
    if let Some(rest) = rest.strip_prefix(b"Z") {
        return Some(rest);
    }
    let (_, rest) = scan::two(rest.strip_prefix(b"+").or_else(|| rest.strip_prefix(b"-"))?)?;
    scan::two(rest.strip_prefix(b":")?).map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Day = Day { year: 2026, month: 1, day: 10 };

    #[test]
    fn days_count_there_and_back() {
        for number in [-1, 0, 1, 59, 60, 11_016, 20_514, 20_777, 73_000] {
            assert_eq!(Day::numbered(number).number(), number);
        }
        assert_eq!(Day::numbered(0), Day { year: 1970, month: 1, day: 1 });
        assert_eq!(Day { year: 2026, month: 1, day: 1 }.before(), Day { year: 2025, month: 12, day: 31 });
        assert_eq!(Day { year: 2024, month: 3, day: 1 }.before(), Day { year: 2024, month: 2, day: 29 });
    }

    #[test]
    fn stamps() {
        let day = |year, month, day| Some(Day { year, month, day });
        for (line, expect) in [
            ("Jan  5 01:02:03 host", day(2026, 1, 5)),
            ("Jan 5 01:02:03 host", day(2026, 1, 5)),
            ("Jan 05 01:02:03 host", day(2026, 1, 5)),
            ("Dec 31 01:02:03 host", day(2025, 12, 31)),
            ("Jan 31 01:02:03 host", day(2026, 1, 31)),
            ("2020-02-29T01:02:03.5+09:00 host", day(2020, 2, 29)),
            ("2020-02-29T01:02:03Z host", day(2020, 2, 29)),
            ("2020-02-29T01:02:03 host", None),
            ("2020-02-29 01:02:03 host", None),
            ("2020-02-29T01:02:03+0900 host", None),
            ("Jan   5 01:02:03 host", None),
            ("jan 5 01:02:03 host", None),
            ("<22>Jan 5 01:02:03 host", None),
            ("Jan 5 1:02:03 host", None),
            ("", None),
        ] {
            let found = Moment::parse(line.as_bytes(), TODAY);
            assert_eq!(found.map(|(moment, _)| moment.day), expect, "{line}");
            assert!(found.is_none_or(|(_, rest)| rest == b" host"), "{line}");
        }
    }

    #[test]
    fn days_that_there_are() {
        let today = Day { year: 2026, month: 3, day: 10 };
        for (line, expect) in [
            ("Feb 28 01:02:03 h", Some((2026, 28))),
            ("Feb 29 01:02:03 h", Some((2024, 29))),
            ("2024-02-29T23:59:60Z h", Some((2024, 29))),
            ("2026-02-29T01:02:03Z h", None),
            ("2026-02-00T01:02:03Z h", None),
            ("2026-02-01T24:00:00Z h", None),
            ("2026-02-01T23:60:00Z h", None),
            ("Feb 31 01:02:03 h", None),
            ("Feb  0 01:02:03 h", None),
        ] {
            let (moment, _) = Moment::parse(line.as_bytes(), today).unwrap();
            let found = moment.of_the_calendar(line.as_bytes()).map(|at| (at.day.year, at.day.day));
            assert_eq!(found, expect, "{line}");
        }
        let (moment, _) = Moment::parse(b"2026-13-01T00:00:00Z h", today).unwrap();
        assert_eq!(moment.of_the_calendar(b"2"), None);
    }

    #[test]
    fn seconds_of_a_moment() {
        let (moment, _) = Moment::parse(b"2026-11-22T01:55:03Z x", TODAY).unwrap();
        assert_eq!(moment.seconds(), 1_795_312_503);
        assert_eq!(Moment::at(1_795_312_503), moment);
    }
}
