//! Dates as mail and log lines write them, from a point in time and a given offset from UTC.
//!
//! Plain integer arithmetic on the proleptic Gregorian calendar; no time zone rules: whoever knows the local
//! zone says what its offset and name are at that moment. RFC 5322 §3.3, RFC 3164 §4.1.2.

use crate::Wall;
use std::fmt;

/// A zone as it is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// What is added to UTC, in seconds.
    pub offset_s: i32,
    /// `UTC`, `JST` …; empty if unknown.
    pub name: String,
}

impl Zone {
    /// Universal time.
    #[must_use]
    pub fn utc() -> Zone {
        Zone { offset_s: 0, name: "UTC".to_owned() }
    }
}

/// A date and time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// The year.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 is Sunday.
    pub weekday: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

/// `Jan` to `Dec`.
pub const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const DAY_S: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;
/// Days in 400 years.
const ERA_DAYS: i64 = 146_097;

impl Civil {
    /// The date and time of `wall` where clocks are `offset_s` ahead of UTC.
    #[must_use]
    pub fn at(wall: Wall, offset_s: i32) -> Civil {
        let seconds = wall.seconds().saturating_add(i64::from(offset_s));
        let (days, of_day) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
        let (year, month, day) = date(days);
        Civil {
            year,
            month,
            day,
            weekday: small((days + 4).rem_euclid(7)),
            hour: small(of_day / 3_600),
            minute: small(of_day / 60 % 60),
            second: small(of_day % 60),
        }
    }

    /// `Jan` to `Dec`.
    #[must_use]
    pub fn month_name(&self) -> &'static str {
        MONTHS.get(usize::from(self.month).saturating_sub(1)).copied().unwrap_or("???")
    }

    /// `Sun` to `Sat`.
    #[must_use]
    pub fn weekday_name(&self) -> &'static str {
        WEEKDAYS.get(usize::from(self.weekday)).copied().unwrap_or("???")
    }
}

/// Days from 1970-01-01 to a date. A day that its month doesn't have counts on from the month's first.
#[must_use]
pub fn day_number(year: i64, month: u8, day: u8) -> i64 {
    let month = i64::from(month);
    // Years are counted from March, so that the leap day is the last one.
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS
}

/// Year, month and day, so many days after 1970-01-01: the inverse of [`day_number`].
#[must_use]
pub fn date(days: i64) -> (i64, u8, u8) {
    let shifted = days.saturating_add(EPOCH_DAYS);
    let (era, of_era) = (shifted.div_euclid(ERA_DAYS), shifted.rem_euclid(ERA_DAYS));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    (era * 400 + year + i64::from(month <= 2), small(month), small(day))
}

/// What is below 256 by arithmetic.
fn small(value: i64) -> u8 {
    u8::try_from(value).unwrap_or(0)
}

/// `Sun, 22 Nov 2026 02:45:35 +0000 (UTC)`, as in `Date:` and `Received:`. One digit days have no zero in front.
#[must_use]
pub fn rfc5322(wall: Wall, zone: &Zone) -> String {
    let at = Civil::at(wall, zone.offset_s);
    let (sign, minutes) = (if zone.offset_s < 0 { '-' } else { '+' }, zone.offset_s.unsigned_abs() / 60);
    let mut text = format!(
        "{}, {} {} {:04} {:02}:{:02}:{:02} {sign}{:02}{:02}",
        at.weekday_name(),
        at.day,
        at.month_name(),
        at.year,
        at.hour,
        at.minute,
        at.second,
        minutes / 60,
        minutes % 60
    );
    if !zone.name.is_empty() {
        text.push_str(&format!(" ({})", zone.name));
    }
    text
}

/// `Nov 22 02:45:35`, as syslog writes it: the day padded with a blank.
#[must_use]
pub fn syslog(wall: Wall, zone: &Zone) -> String {
    let at = Civil::at(wall, zone.offset_s);
    format!("{} {:2} {:02}:{:02}:{:02}", at.month_name(), at.day, at.hour, at.minute, at.second)
}

/// `20261122024536`, in UTC: how Postfix's message ids begin.
#[must_use]
pub fn compact(wall: Wall) -> String {
    Civil::at(wall, 0).to_string()
}

impl fmt::Display for Civil {
    /// Fourteen digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil { year, month, day, hour, minute, second, .. } = self;
        write!(f, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let check = |seconds: i64, offset_s: i32, name: &str, expect: &str| {
            let zone = Zone { offset_s, name: name.to_owned() };
            assert_eq!(rfc5322(Wall::from_seconds(seconds), &zone), expect);
        };
        check(0, 0, "UTC", "Thu, 1 Jan 1970 00:00:00 +0000 (UTC)");
        check(1_795_315_535, 0, "UTC", "Sun, 22 Nov 2026 02:45:35 +0000 (UTC)");
        check(1_795_315_535, 32_400, "JST", "Sun, 22 Nov 2026 11:45:35 +0900 (JST)");
        check(1_795_315_535, -12_600, "", "Sat, 21 Nov 2026 23:15:35 -0330");
        check(951_782_400, 0, "UTC", "Tue, 29 Feb 2000 00:00:00 +0000 (UTC)");
        check(951_868_800, 0, "UTC", "Wed, 1 Mar 2000 00:00:00 +0000 (UTC)");
        check(-1, 0, "UTC", "Wed, 31 Dec 1969 23:59:59 +0000 (UTC)");
        check(4_107_542_399, 0, "UTC", "Sun, 28 Feb 2100 23:59:59 +0000 (UTC)");
        check(4_107_542_400, 0, "UTC", "Mon, 1 Mar 2100 00:00:00 +0000 (UTC)");
        assert_eq!(syslog(Wall::from_seconds(1_793_500_000), &Zone::utc()), "Nov  1 02:26:40");
        assert_eq!(compact(Wall::from_seconds(1_795_315_536)), "20261122024536");
    }

    #[test]
    fn extremes_do_not_panic() {
        for wall in [Wall(i64::MIN), Wall(i64::MAX)] {
            assert!(!rfc5322(wall, &Zone { offset_s: i32::MIN, name: String::new() }).is_empty());
        }
    }

    #[test]
    fn days_follow_each_other() {
        let mut last = Civil::at(Wall::from_seconds(-DAY_S), 0);
        for day in 0..80_000 {
            let now = Civil::at(Wall::from_seconds(day * DAY_S), 0);
            let next_day = now.day == last.day + 1 && now.month == last.month;
            let next_month =
                now.day == 1 && (now.month == last.month + 1 || (now.month == 1 && last.month == 12));
            assert!(next_day || next_month, "{last:?} {now:?}");
            assert_eq!(now.weekday, (last.weekday + 1) % 7);
            last = now;
        }
    }
}
