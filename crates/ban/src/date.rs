//! When a line was written: fail2ban's date patterns, its default ones first.
//!
//! A pattern is an expression with `%d` and the like in it; the text that it matches is cut out of the line before
//! any filter sees it. Years that a stamp lacks are the present one, or the last where that would lie more than a day
//! ahead. The two stamps that nearly every log has (syslog's and RFC 3339's) are read without an expression.

use crate::pattern::{Pattern, Spans};
use crate::zone::{Zone, offset_s};
use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime};
use std::fmt::Write as _;
use std::sync::OnceLock;

mod codes;

/// Patterns tried where none is given, those that are anchored at the line's begin first.
const ANCHORED: [&str; 17] = [
    r"%ExY(?P<_sep>[-/.])%m(?P=_sep)%d(?:T|  ?)%H:%M:%S(?:[.,]%f)?(?:\s*%z)?",
    r"(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?",
    r"(?:%a )?%b %d %ExY %k:%M:%S(?:\.%f)?",
    r"%d(?P<_sep>[-/])%m(?P=_sep)(?:%ExY|%Exy) %k:%M:%S",
    r"%d(?P<_sep>[-/])%b(?P=_sep)%ExY[ :]?%H:%M:%S(?:\.%f)?(?: %z)?",
    r"%m/%d/%ExY:%H:%M:%S",
    r"%m-%d-%ExY %k:%M:%S(?:\.%f)?",
    "Epoch",
    r"%Exy%Exm%Exd  ?%H:%M:%S",
    r"%b %d, %ExY %I:%M:%S %p",
    r"%ExY%Exm%Exd(?:T|  ?)%ExH%ExM%ExS(?:[.,]%f)?(?:\s*%z)?",
    r"(?:%Z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?",
    r"(?:%z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?",
    "TAI64N",
    r"%H:%M:%S",
    r"^<%m/%d/%Exy@%H:%M:%S>",
    r"^%b-%d-%Exy %k:%M:%S",
];
/// How many of them have a form that may stand anywhere.
const ANYWHERE: usize = 14;

/// A line's date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The bytes to cut out.
    pub start: usize,
    /// Behind the last of them.
    pub end: usize,
    /// Microseconds since 1970; `None` for a date that no calendar has.
    pub time_us: Option<i64>,
    /// Which pattern.
    pub pattern: usize,
}

/// The date patterns of a filter.
#[derive(Clone, Debug)]
pub struct Dates {
    patterns: Vec<DatePattern>,
    /// From which on the default patterns at the line's begin stand, where none before them can match what the quick
    /// ways do.
    default_from: Option<usize>,
    /// Each is anchored, and at most two characters stand before the date.
    pub(crate) is_at_begin: bool,
    /// Lines need no date.
    is_none: bool,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct DatePattern {
    /// As reports show it: `{^LN-BEG}(?:DAY )?MON Day %k:Minute:Second`.
    pub name: String,
    kind: Kind,
    expression: String,
    /// Made when it is asked: few logs have a stamp that the default patterns are needed for.
    made: OnceLock<Option<Pattern>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fields,
    Epoch,
    LongEpoch,
    Tai64n,
}

impl Dates {
    /// Reads `datepattern`; the default patterns where it is empty.
    ///
    /// # Errors
    /// The pattern that can't be used, and why.
    pub fn new(text: &str) -> Result<Dates, String> {
        let mut dates = Dates { patterns: Vec::new(), default_from: None, is_at_begin: true, is_none: false };
        let lines: Vec<&str> = crate::jails::lines(text).map(str::trim).collect();
        for line in if lines.is_empty() { vec!["{DEFAULT}"] } else { lines } {
            dates.add(line)?;
        }
        Ok(dates)
    }

    /// What reports show of the patterns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let none = self.is_none.then_some("^");
        none.into_iter().chain(self.patterns.iter().map(|pattern| pattern.name.as_str()))
    }

    /// What a report's head calls them: by the first, or where there are more than two not at all.
    #[must_use]
    pub fn title(&self) -> &str {
        let mut names = self.names();
        let first = names.next().unwrap_or("");
        if names.nth(1).is_some() { "Default Detectors" } else { first }
    }

    /// Whether lines need no date: they are written when they are read.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.is_none
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        match text {
            "{DEFAULT}" | "{^LN-BEG}" => {
                // `@4000000050000000deadbeef` is neither of the two stamps.
                let is_first = self.patterns.iter().all(|before| before.name == "{^LN-BEG}TAI64N");
                self.default_from = self.default_from.or(is_first.then_some(self.patterns.len()));
                for line in ANCHORED {
                    let prefix = if line.starts_with('^') { "" } else { "{^LN-BEG}" };
                    self.push(&format!("{prefix}{line}"), true)?;
                }
                if text == "{DEFAULT}" {
                    self.is_at_begin = false;
                    for line in ANCHORED.iter().take(ANYWHERE) {
                        self.push(line, true)?;
                    }
                }
            }
            "{NONE}" => {
                self.is_none = true;
                self.is_at_begin = false;
            }
            text if text.contains("{DATE}") => {
                for line in ANCHORED.iter().take(ANYWHERE) {
                    self.push(&text.replace("{DATE}", line), false)?;
                }
            }
            text => self.push(text, false)?,
        }
        Ok(())
    }

    /// Adds a pattern; one that is known to be well is made when it is asked.
    fn push(&mut self, text: &str, is_known: bool) -> Result<(), String> {
        self.is_at_begin &= text.starts_with("{^LN-BEG}") && !text.starts_with("{^LN-BEG}**");
        let wrong = |error| format!("`{text}`: {error}");
        let pattern = compile(text).map_err(wrong)?;
        if !is_known {
            let made = Pattern::new(&pattern.expression, false).map_err(wrong)?;
            let _ = pattern.made.set(Some(made));
        }
        self.patterns.push(pattern);
        Ok(())
    }

    /// Which pattern a line's date has, where it is of the minute that was read last: its time is sure to be one.
    pub(crate) fn at_a_glance(&self, line: &[u8], zone: &Zone, now_us: i64) -> Option<usize> {
        let from = self.default_from.filter(|_| !self.is_none)?;
        let (minute, at_s) = zone.kept()?;
        let (day, [.., 0, 0, 0, 0]) = (minute.split_first_chunk::<13>()?.0, minute) else {
            let (stamp, rest) = line.split_first_chunk::<19>()?;
            let is_known = stamp.starts_with(minute) && matches!(stamp, [.., b'0'..=b'5', b'0'..=b'9']);
            let (_, offset) = rfc3339_end(rest).filter(|_| is_known && at_s == 0)?;
            return offset.map(|_| from);
        };
        let (stamp, rest) = line.split_first_chunk::<15>()?;
        let is_known = stamp.starts_with(day) && matches!(stamp, [.., b'0'..=b'5', b'0'..=b'9']);
        (is_known && at_s == now_us.div_euclid(1_000_000) && ends_plainly(rest)).then_some(from + 1)
    }

    /// The date of a line, if it has one. `now_us` is for what the stamp leaves out.
    pub fn find(&self, line: &[u8], zone: &mut Zone, now_us: i64) -> Option<Found> {
        if self.is_none {
            return Some(Found { start: 0, end: 0, time_us: None, pattern: 0 });
        }
        if let Some(from) = self.default_from
            && let Some(found) = syslog(line, zone, now_us).or_else(|| rfc3339(line, zone))
        {
            return Some(Found { pattern: from + found.pattern, ..found });
        }
        self.patterns.iter().enumerate().find_map(|(at, pattern)| {
            let spans = pattern.made()?.find(line)?;
            let (start, end) = (1..=3).chain([0]).find_map(|group| spans.get(group))?;
            let time_us = pattern.time(line, (start, end), &spans, &mut Clock { zone, now_us });
            Some(Found { start, end, time_us, pattern: at })
        })
    }
}

/// What a stamp is read against.
struct Clock<'a> {
    zone: &'a mut Zone,
    now_us: i64,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

fn month(bytes: &[u8]) -> Option<i8> {
    let found = MONTHS.iter().position(|name| name.as_bytes().eq_ignore_ascii_case(bytes))?;
    i8::try_from(found + 1).ok()
}

/// From Monday, which is 0.
fn weekday(bytes: &[u8]) -> Option<i8> {
    let names = [b"mon", b"tue", b"wed", b"thu", b"fri", b"sat", b"sun"];
    i8::try_from(names.iter().position(|name| name.eq_ignore_ascii_case(bytes))?).ok()
}

fn two(bytes: &[u8]) -> Option<i8> {
    match bytes {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => i8::try_from((tens - b'0') * 10 + (ones - b'0')).ok(),
        _ => None,
    }
}

/// Whether `%z`, `%f` or a year could go on here.
fn ends_plainly(rest: &[u8]) -> bool {
    match rest {
        [b' ', b'2', b'0', ..] => false,
        [next, ..] => matches!(next, b' ' | b']' | b':'),
        [] => true,
    }
}

/// `Nov 23 01:02:03` at the line's begin.
fn syslog(line: &[u8], zone: &mut Zone, now_us: i64) -> Option<Found> {
    let (stamp, rest) = line.split_at_checked(15)?;
    let [m0, m1, m2, b' ', d0, d1, b' ', h0, h1, b':', n0, n1, b':', s0, s1] = *stamp else { return None };
    if !ends_plainly(rest) {
        return None;
    }
    let mut written = [0; 17];
    written.iter_mut().zip(stamp.iter().take(13)).for_each(|(to, from)| *to = *from);
    let now_s = now_us.div_euclid(1_000_000);
    if let Some(begin_s) = zone.minute(&written, now_s)
        && let Some(second @ 0..=59) = two(&[s0, s1])
    {
        let time_us = Some((begin_s + i64::from(second)) * 1_000_000);
        return Some(Found { start: 0, end: 15, time_us, pattern: 1 });
    }
    let month = month(&[m0, m1, m2])?;
    let day = two(&[if d0 == b' ' { b'0' } else { d0 }, d1])?;
    let (hour, minute, second) = (two(&[h0, h1])?, two(&[n0, n1])?, two(&[s0, s1])?);
    if day == 0 || day > 31 || hour > 29 || minute > 59 || second > 61 {
        return None;
    }
    let fields = Fields {
        month: Some(month),
        day: Some(day),
        hour: Some(hour),
        minute: Some(minute),
        second: Some(second),
        ..Fields::default()
    };
    let mut at = |second| Fields { second: Some(second), ..fields }.resolve(&mut Clock { zone, now_us });
    let time_us = at(second);
    // Neither the clock nor the year changes within it.
    if let (Some(begin), Some(end)) = (at(0), at(59))
        && end - begin == 59_000_000
    {
        zone.keep_minute(written, now_s, begin.div_euclid(1_000_000));
    }
    Some(Found { start: 0, end: 15, time_us, pattern: 1 })
}

/// `2026-11-23T01:02:03.123456+01:00` at the line's begin.
fn rfc3339(line: &[u8], zone: &mut Zone) -> Option<Found> {
    let (stamp, rest) = line.split_at_checked(19)?;
    let [b'2', b'0', y0, y1, b'-', m0, m1, b'-', d0, d1, b'T' | b' ', clock @ ..] = stamp else {
        return None;
    };
    let [h0, h1, b':', n0, n1, b':', s0, s1] = *clock else { return None };
    if !matches!(y0, b'0'..=b'2') {
        return None;
    }
    let second = two(&[s0, s1])?;
    let mut written = [0; 17];
    written.iter_mut().zip(stamp).for_each(|(to, from)| *to = *from);
    // As if it were UTC.
    let begin_s = match zone.minute(&written, 0).filter(|_| second <= 59) {
        Some(begin_s) => begin_s,
        None => {
            let year = 2000 + i16::from(two(&[*y0, *y1])?);
            let (month, day) = (two(&[*m0, *m1])?, two(&[*d0, *d1])?);
            let (hour, minute) = (two(&[h0, h1])?, two(&[n0, n1])?);
            let at = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
            let utc = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
            let begin_s = utc.timestamp().as_second() - i64::from(second);
            zone.keep_minute(written, 0, begin_s);
            begin_s
        }
    };
    let utc_s = begin_s + i64::from(second);
    let (length, offset) = rfc3339_end(rest)?;
    let end = 19 + length;
    let seconds = match offset {
        Some(east_s) => utc_s - east_s,
        None => {
            let utc = jiff::Timestamp::from_second(utc_s).ok()?;
            zone.seconds(jiff::tz::TimeZone::UTC.to_datetime(utc))?
        }
    };
    Some(Found { start: 0, end, time_us: Some(seconds * 1_000_000), pattern: 0 })
}

/// What stands behind such a stamp's seconds: how long it is, and the seconds east of UTC. Nothing, where the quick way
/// doesn't know it.
fn rfc3339_end(mut rest: &[u8]) -> Option<(usize, Option<i64>)> {
    let mut end = 0;
    if let [b'.' | b',', fraction @ ..] = rest {
        let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > 6 {
            return None;
        }
        end += 1 + digits;
        rest = fraction.get(digits..)?;
    }
    let (offset, rest) = match rest {
        [b'Z', rest @ ..] => (Some((0, 1)), rest),
        [sign @ (b'+' | b'-'), h0 @ (b'0' | b'1'), h1, b':', m0, m1, rest @ ..] => {
            let seconds = i64::from(two(&[*h0, *h1])?) * 3600 + i64::from(two(&[*m0, *m1])?) * 60;
            (Some((if *sign == b'+' { seconds } else { -seconds }, 6)), rest)
        }
        rest => (None, rest),
    };
    // A zone behind a space, and whatever else there may be, is the expression's business.
    let is_plain = match rest {
        [b' ', b'+' | b'-' | b'Z' | b'U' | b'G' | b' ', ..] => false,
        [next, ..] => matches!(next, b' ' | b']' | b':'),
        [] => true,
    };
    if !is_plain {
        return None;
    }
    Some((end + offset.map_or(0, |(_, length)| length), offset.map(|(east_s, _)| east_s)))
}

/// What a stamp says.
#[derive(Clone, Copy, Debug, Default)]
struct Fields {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    week: Option<Week>,
    /// From Monday, which is 0.
    weekday: Option<i8>,
    hour: Option<i8>,
    /// The hour is one of a twelve-hour clock.
    is_half: bool,
    minute: Option<i8>,
    second: Option<i8>,
    /// Of a twelve-hour clock.
    is_afternoon: bool,
    east_s: Option<i32>,
}

/// A week of the year: those before the first Sunday, or Monday, are week 0.
#[derive(Clone, Copy, Debug)]
struct Week {
    number: i8,
    from_sunday: bool,
}

impl Week {
    fn day(self, year: i16, weekday: i8) -> Option<Date> {
        let first = Date::new(year, 1, 1).ok()?;
        let (begin, within) = if self.from_sunday {
            (first.weekday().to_sunday_zero_offset(), (weekday + 1) % 7)
        } else {
            (first.weekday().to_monday_zero_offset(), weekday)
        };
        // The week whose number is 1 begins with the first of its days; a year that begins with one has no week 0.
        let first_whole = (7 - begin) % 7;
        let days = i64::from(first_whole) + 7 * (i64::from(self.number) - 1) + i64::from(within);
        first.checked_add(days.days()).ok()
    }
}

impl Fields {
    fn resolve(&self, clock: &mut Clock<'_>) -> Option<i64> {
        let now = clock.zone.civil(clock.now_us.div_euclid(1_000_000))?;
        let hour = match self.hour? {
            hour if !self.is_half => hour,
            12 => i8::from(self.is_afternoon) * 12,
            hour => hour + i8::from(self.is_afternoon) * 12,
        };
        let year = self.year.unwrap_or(now.year());
        let week = self.week.zip(self.weekday);
        let has_date =
            self.month.is_some() || self.day.is_some() || self.day_of_year.is_some() || week.is_some();
        let date = match (self.day_of_year, week) {
            _ if self.month.is_some() || self.day.is_some() => {
                Date::new(year, self.month.unwrap_or(1), self.day.unwrap_or(1)).ok()?
            }
            (Some(day), _) => Date::new(year, 1, 1).ok()?.checked_add((i64::from(day) - 1).days()).ok()?,
            (None, Some((week, weekday))) => week.day(year, weekday)?,
            // A year alone is this day of it.
            (None, None) => Date::new(year, now.month(), now.day()).ok()?,
        };
        let at = date.at(hour, 0, 0, 0);
        let (minute, second) = (self.minute.unwrap_or(0), self.second.unwrap_or(0));
        let mut at = at.with().minute(minute).second(second).build().ok()?;
        let mut seconds = self.seconds(at, clock)?;
        let now_s = clock.now_us.div_euclid(1_000_000);
        if !has_date && seconds > now_s {
            at = at.yesterday().ok()?;
            seconds = self.seconds(at, clock)?;
        } else if self.year.is_none() && seconds > now_s + 86_400 {
            at = at.with().year(at.year() - 1).build().ok()?;
            seconds = self.seconds(at, clock)?;
        }
        Some(seconds * 1_000_000)
    }

    fn seconds(&self, at: DateTime, clock: &mut Clock<'_>) -> Option<i64> {
        match self.east_s {
            Some(east_s) => {
                let utc = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
                Some(utc.timestamp().as_second() - i64::from(east_s))
            }
            None => clock.zone.seconds(at),
        }
    }
}

impl DatePattern {
    fn made(&self) -> Option<&Pattern> {
        self.made.get_or_init(|| Pattern::new(&self.expression, false).ok()).as_ref()
    }

    fn time(&self, line: &[u8], cut: (usize, usize), spans: &Spans, clock: &mut Clock<'_>) -> Option<i64> {
        let text =
            |(start, end): (usize, usize)| line.get(start..end).and_then(|b| std::str::from_utf8(b).ok());
        match self.kind {
            Kind::Fields => self.fields(line, spans)?.resolve(clock),
            Kind::Epoch | Kind::LongEpoch => {
                // Where the pattern has a group of its own around the number, that is it.
                let number = spans.get(2).filter(|span| text(*span).is_some_and(|t| !t.is_empty()));
                let number = text(number.unwrap_or(cut))?.trim_matches(|c: char| !c.is_ascii_digit());
                epoch_us(number)
            }
            Kind::Tai64n => {
                let stamp = text(cut)?.trim_start_matches('@').get(1..16)?;
                i64::from_str_radix(stamp, 16).ok().and_then(|s| s.checked_mul(1_000_000))
            }
        }
    }

    fn fields(&self, line: &[u8], spans: &Spans) -> Option<Fields> {
        let (mut fields, mut has_any) = (Fields::default(), false);
        for (group, name) in self.made()?.names() {
            let Some((start, end)) = spans.get(group) else { continue };
            let Some(text) = line.get(start..end).and_then(|b| std::str::from_utf8(b).ok()) else { continue };
            has_any = true;
            let number = || text.trim().parse::<i8>().ok();
            match name {
                "Y" => fields.year = text.parse().ok(),
                "y" => fields.year = text.parse().ok().map(|short: i16| 2000 + short),
                "m" => fields.month = number(),
                "b" | "B" => fields.month = month(text.as_bytes().get(..3)?),
                "d" => fields.day = number(),
                "j" => fields.day_of_year = text.parse().ok(),
                "U" | "W" => {
                    let from_sunday = name == "U";
                    fields.week = number().map(|number| Week { number, from_sunday });
                }
                "w" => fields.weekday = number().map(|from_sunday| (from_sunday + 6) % 7),
                "a" | "A" => fields.weekday = weekday(text.as_bytes().get(..3)?),
                "H" => fields.hour = number(),
                "I" => (fields.hour, fields.is_half) = (number(), true),
                "M" => fields.minute = number(),
                "S" => fields.second = number(),
                "p" => fields.is_afternoon = text.eq_ignore_ascii_case("pm"),
                "z" => fields.east_s = offset_s(text).or_else(|| named_zone_s(text)),
                "Z" => fields.east_s = named_zone_s(text).or(fields.east_s),
                _ => {}
            }
        }
        // Whatever it says of a day, the rest is its begin.
        if has_any {
            fields.hour = fields.hour.or(Some(0));
        }
        Some(fields)
    }
}

/// `1795395723`, with a fraction, in milliseconds or microseconds.
fn epoch_us(number: &str) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut micros = format!("{fraction:0<6}");
    micros.truncate(6);
    let micros: i64 = micros.parse().ok()?;
    let value: i64 = whole.parse().ok()?;
    match whole.len() {
        0..=11 => value.checked_mul(1_000_000)?.checked_add(micros),
        12..=14 => value.checked_mul(1_000)?.checked_add(micros / 1_000),
        _ => Some(value),
    }
}

/// Abbreviations that logs have.
pub(crate) fn named_zone_s(name: &str) -> Option<i32> {
    let quarters = match name.to_ascii_uppercase().as_str() {
        "Z" | "UTC" | "GMT" | "WET" => 0,
        "CET" | "BST" | "WEST" | "WAT" | "MEZ" => 4,
        "EET" | "CEST" | "CAT" | "SAST" | "MESZ" => 8,
        "EEST" | "MSK" | "EAT" => 12,
        "HKT" | "SGT" | "AWST" => 32,
        "JST" | "KST" => 36,
        "ACST" => 38,
        "AEST" => 40,
        "AEDT" => 44,
        "NZST" => 48,
        "NZDT" => 52,
        "NDT" => -10,
        "ADT" => -12,
        "NST" => -14,
        "AST" | "EDT" => -16,
        "EST" | "CDT" => -20,
        "CST" | "MDT" => -24,
        "MST" | "PDT" => -28,
        "PST" | "AKDT" => -32,
        "AKST" => -36,
        "HST" => -40,
        _ => return None,
    };
    Some(quarters * 900)
}

/// `**…` of `{^LN-BEG}**…`: the stars win.
fn unbegun(text: &str) -> &str {
    text.strip_prefix("{^LN-BEG}").filter(|rest| rest.starts_with("**")).unwrap_or(text)
}

/// A pattern without what is said of its bounds: whether it begins the line, begins anywhere, ends anywhere.
fn bounds(text: &str) -> (&str, bool, bool, bool) {
    let (body, is_at_begin, is_unbound) = match (text.strip_prefix("{^LN-BEG}"), text.strip_prefix("{UNB}")) {
        (Some(body), _) => (body, true, false),
        (_, Some(body)) => (body, false, true),
        (None, None) => (text, false, false),
    };
    // Two stars before it, or behind it, take the boundary away.
    let (body, is_at_begin, begins_anywhere) = match body.strip_prefix("**") {
        Some(body) => (body, false, true),
        None => (body, is_at_begin, is_unbound),
    };
    let (body, ends_anywhere) = match body.strip_suffix("**") {
        Some(body) => (body, true),
        None => (body, is_unbound),
    };
    (body, is_at_begin, begins_anywhere, ends_anywhere)
}

/// A pattern with `%d` and its like, as an expression.
fn compile(text: &str) -> Result<DatePattern, String> {
    let text = if text == "^EPOCH" { "{^LN-BEG}EPOCH" } else { text };
    let (body, is_at_begin, begins_anywhere, ends_anywhere) = bounds(text);
    let kind = match body.to_ascii_uppercase().as_str() {
        "EPOCH" => Kind::Epoch,
        "LEPOCH" => Kind::LongEpoch,
        "TAI64N" => Kind::Tai64n,
        upper if upper.contains("{EPOCH}") => Kind::Epoch,
        upper if upper.contains("{LEPOCH}") => Kind::LongEpoch,
        _ => Kind::Fields,
    };
    let mut expression = String::new();
    let mut name = String::new();
    let number = if kind == Kind::LongEpoch {
        r"\d{10,11}(?:\d{3}(?:\.\d{1,6}|\d{3})?)?"
    } else {
        r"\d{10,11}\b(?:\.\d{3,6})?"
    };
    match kind {
        Kind::Fields => {
            codes::check(body)?;
            if ["%a", "%A", "%b", "%B", "%c", "%p"].iter().any(|code| body.contains(code)) {
                expression.push_str("(?i)");
            }
            let body =
                body.strip_prefix('^').map_or_else(|| enclosed(body), |rest| format!("^{}", enclosed(rest)));
            let body = if is_at_begin { format!("^(?:\\W{{0,2}})?{}", enclosed_once(&body)) } else { body };
            let anchored = body.starts_with('^') || begins_anywhere;
            let begin = if anchored { "" } else { r"(?:^|\b|(?=\W))" };
            codes::put(&format!("{begin}{body}"), &mut expression);
            let shown = text.strip_prefix("{UNB}").unwrap_or(text);
            codes::put_names(if begins_anywhere { unbegun(shown) } else { shown }, &mut name);
        }
        Kind::Tai64n if is_at_begin => expression.push_str(r"^(?:\W{0,2})?(@[0-9a-f]{24})"),
        Kind::Tai64n => expression.push_str("(@[0-9a-f]{24})"),
        Kind::Epoch | Kind::LongEpoch if body.contains('{') => {
            let whole =
                body.replace("{EPOCH}", &format!("({number})")).replace("{LEPOCH}", &format!("({number})"));
            let whole = whole.strip_prefix('^').map_or_else(|| format!("({whole})"), |w| format!("^({w})"));
            expression.push_str(&whole);
        }
        Kind::Epoch | Kind::LongEpoch if is_at_begin => {
            let _ = write!(expression, r"^(?:\[({number})(?=\])|\W{{0,2}}({number}))");
            let _ = write!(name, "{{^LN-BEG}}");
        }
        Kind::Epoch | Kind::LongEpoch => {
            let _ = write!(expression, r"(?:^\[({number})(?=\])|^({number})|\baudit\(({number})(?=:\d+\)))");
        }
    }
    if kind != Kind::Fields && name.is_empty() && is_at_begin {
        name.push_str("{^LN-BEG}");
    }
    match kind {
        Kind::Fields => {}
        Kind::Epoch if body.contains('{') => name.push_str(body),
        Kind::Epoch => name.push_str("Epoch"),
        Kind::LongEpoch => name.push_str("LongEpoch"),
        Kind::Tai64n => name.push_str("TAI64N"),
    }
    if !ends_anywhere {
        expression.push_str(r"(?:\b|(?=\W)|$)");
    }
    Ok(DatePattern { name, kind, expression, made: OnceLock::new() })
}

/// In a group, unless there is a capturing one in it that is to be cut out alone.
fn enclosed(body: &str) -> String {
    let has_group = body.match_indices('(').any(|(at, _)| {
        let is_escaped = at > 0 && body.as_bytes().get(at - 1) == Some(&b'\\');
        !is_escaped && body.as_bytes().get(at + 1) != Some(&b'?')
    });
    if has_group { body.to_owned() } else { format!("({body})") }
}

fn enclosed_once(body: &str) -> String {
    body.strip_prefix('^').unwrap_or(body).to_owned()
}

#[cfg(test)]
mod tests;
