//! Where local time lies on the line of seconds: a time zone, asked once an hour of log.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A time zone with the hour that it was asked for last.
#[derive(Clone, Debug)]
pub struct Zone {
    zone: TimeZone,
    /// Year, month, day, hour, and the second at which that hour began.
    last: Option<((i16, i8, i8, i8), i64)>,
    /// A stamp up to its seconds, as it was written, when it was read, and the second at which that minute began.
    minute: Option<(Minute, i64, i64)>,
}

/// `Nov 23 01:02:`, or `2026-11-23T01:02:`.
pub(crate) type Minute = [u8; 17];

impl Zone {
    /// Times of this zone.
    #[must_use]
    pub fn new(zone: TimeZone) -> Zone {
        Zone { zone, last: None, minute: None }
    }

    /// Reads `logtimezone`: `Z`, `UTC+0200`, `GMT-01:00`, `CET`.
    #[must_use]
    pub fn fixed(text: &str) -> Option<Zone> {
        let is_name = text.bytes().all(|byte| byte.is_ascii_uppercase());
        offset_s(text)
            .or_else(|| crate::date::named_zone_s(text).filter(|_| is_name))
            .and_then(|s| jiff::tz::Offset::from_seconds(s).ok())
            .map(|o| Zone::new(o.to_time_zone()))
    }

    /// The second since 1970 of a local time. In the hour that comes twice it is the second, as mktime(3) has it.
    pub fn seconds(&mut self, at: DateTime) -> Option<i64> {
        let hour = (at.year(), at.month(), at.day(), at.hour());
        let within = i64::from(at.minute()) * 60 + i64::from(at.second());
        if let Some((known, start)) = self.last
            && known == hour
        {
            return Some(start + within);
        }
        let seconds = self.zone.to_ambiguous_timestamp(at).later().ok()?.as_second();
        let begin = DateTime::new(at.year(), at.month(), at.day(), at.hour(), 0, 0, 0).ok()?;
        let end = DateTime::new(at.year(), at.month(), at.day(), at.hour(), 59, 59, 0).ok()?;
        let bound = |at| self.zone.to_ambiguous_timestamp(at).later().ok().map(|t| t.as_second());
        let (begin, end) = (bound(begin)?, bound(end)?);
        // Within an hour that a change cuts, each time is asked for by itself.
        self.last = (end - begin == 3_599).then_some((hour, begin));
        Some(seconds)
    }

    /// When a minute began that was kept.
    pub(crate) fn minute(&self, written: &Minute, now_s: i64) -> Option<i64> {
        self.minute
            .filter(|(known, at_s, _)| known == written && *at_s == now_s)
            .map(|(_, _, begin_s)| begin_s)
    }

    /// The minute that is kept, as it was written, and when it was read.
    pub(crate) fn kept(&self) -> Option<(&Minute, i64)> {
        self.minute.as_ref().map(|(written, at_s, _)| (written, *at_s))
    }

    /// Keeps when a minute began, all of whose seconds follow each other.
    pub(crate) fn keep_minute(&mut self, written: Minute, now_s: i64, begin_s: i64) {
        self.minute = Some((written, now_s, begin_s));
    }

    /// The local time of a second.
    #[must_use]
    pub fn civil(&self, second: i64) -> Option<DateTime> {
        let stamp = jiff::Timestamp::from_second(second).ok()?;
        Some(self.zone.to_datetime(stamp))
    }
}

/// `Z`, `UTC`, `GMT`, `+0200`, `UTC-01:00`: seconds east.
pub(crate) fn offset_s(text: &str) -> Option<i32> {
    let text = text.trim();
    let rest = ["UTC", "GMT", "Z"].iter().find_map(|name| text.strip_prefix(name)).unwrap_or(text);
    if rest.is_empty() && !text.is_empty() {
        return Some(0);
    }
    let (sign, digits) = match rest.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let digits: String = digits.chars().filter(|c| *c != ':').collect();
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 = match digits.get(2..) {
        Some("") | None => 0,
        Some(minutes) => minutes.parse().ok()?,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}
