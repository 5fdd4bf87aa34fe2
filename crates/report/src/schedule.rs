//! When a report goes out by itself, and which days it tells of: `komainu_report_schedule`.
//!
//! A report tells of whole days by the machine's clock, up to the day before it goes out. What is kept between two is
//! the last day that was told of: so no day is told of twice, whatever becomes of the clock, its zone or the
//! schedule, and a report whose time passed while nothing ran goes out once, at the start. Nothing here knows the
//! time zone: who asks says when an hour of a day comes. T2.23.

use crate::Day;
use std::ops::RangeInclusive;

/// Days that one report tells of, at most, however long nothing ran.
const DAYS_MAX: i64 = 31;
/// The days of the week as they are written, from that of 1970-01-05 on.
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// When reports go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    every: Every,
    /// 0 to 23.
    hour: u8,
    /// 0 to 59.
    minute: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Every {
    Day,
    /// 0 is Monday.
    Week(u8),
    /// 1 to 28: days that each month has.
    Month(u8),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The days to tell of now.
    pub now: Option<(Day, Day)>,
    /// The last day that counts as told of, once that is done.
    pub told: Day,
    /// When to ask again: seconds since the start of 1970.
    pub next_s: i64,
    /// The last day told of hasn't been yet by this clock, so that one of the two is wrong: [`Patience`].
    pub is_ahead: bool,
}

/// How long a clock must be behind the last day told of until it is believed. A machine without a clock of its own may
/// begin years ago, and knows the time some minutes later: then no day is told of twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    since_s: Option<i64>,
}

/// So long, in seconds.
const PATIENCE_S: i64 = 2 * 86_400;

impl Patience {
    /// Whether the clock, which shows `now_s`, is believed by now: then it begins as where nothing is known.
    pub fn is_over(&mut self, is_ahead: bool, now_s: i64) -> bool {
        if !is_ahead {
            self.since_s = None;
            return false;
        }
        // One that went back once more begins anew.
        let since_s = self.since_s.filter(|since_s| *since_s <= now_s).unwrap_or(now_s);
        self.since_s = Some(since_s);
        now_s.saturating_sub(since_s) >= PATIENCE_S
    }

    /// Whether it has just begun.
    #[must_use]
    pub fn begins(&self, now_s: i64) -> bool {
        self.since_s == Some(now_s)
    }
}

impl Schedule {
    /// Reads `daily 07:00`, `weekly Mon 07:00`, `monthly 1 07:00`.
    ///
    /// # Errors
    /// What is wrong, for the administrator.
    pub fn parse(text: &str) -> Result<Schedule, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (every, clock) = match *words.as_slice() {
            ["daily", clock] => (Every::Day, clock),
            ["weekly", day, clock] => (Every::Week(weekday(day)?), clock),
            ["monthly", day, clock] => (Every::Month(day_of_month(day)?), clock),
            _ => {
                return Err(format!(
                    "\"{text}\" is no schedule: write \"daily 07:00\", \"weekly Mon 07:00\" or \"monthly 1 07:00\""
                ));
            }
        };
        let (hour, minute) = clock_of(clock)?;
        Ok(Schedule { every, hour, minute })
    }

    /// What is to be done at `now_s`, on `today`, where `told` is the last day told of, or nothing is known.
    /// `at` says when an hour and a minute of a day come, in seconds since the start of 1970.
    #[must_use]
    pub fn due(self, (today, now_s): (Day, i64), told: Option<Day>, at: &dyn Fn(Day, u8, u8) -> i64) -> Due {
        let at = |day: Day| at(day, self.hour, self.minute);
        let days = |range: RangeInclusive<i64>| range.map(|offset| Day::numbered(today.number() + offset));
        let last = days(-DAYS_MAX..=0).rev().find(|day| self.is_on(*day) && at(*day) <= now_s);
        let next = days(0..=DAYS_MAX).find(|day| self.is_on(*day) && at(*day) > now_s);
        let last_told = last.unwrap_or(today).before();
        let next_s = next.map_or(now_s + 86_400, at);
        let quiet = Due { now: None, told: last_told, next_s, is_ahead: false };
        // Nothing is known at the first start.
        let Some(told) = told else { return quiet };
        if told >= today {
            return Due { told, is_ahead: true, ..quiet };
        }
        if told >= last_told {
            return Due { told, ..quiet };
        }
        let first = told.number() + 1;
        let first = first.max(last_told.number() - DAYS_MAX + 1);
        Due { now: Some((Day::numbered(first), last_told)), ..quiet }
    }

    /// Whether a report goes out on this day.
    fn is_on(self, day: Day) -> bool {
        match self.every {
            Every::Day => true,
            // 1970-01-01 was a Thursday.
            Every::Week(wanted) => (day.number() + 3).rem_euclid(7) == i64::from(wanted),
            Every::Month(wanted) => day.day == wanted,
        }
    }
}

fn weekday(text: &str) -> Result<u8, String> {
    let found = WEEKDAYS.iter().position(|name| name.eq_ignore_ascii_case(text));
    found
        .and_then(|at| u8::try_from(at).ok())
        .ok_or_else(|| format!("\"{text}\" is no day of the week: write one of {}", WEEKDAYS.join(", ")))
}

fn day_of_month(text: &str) -> Result<u8, String> {
    let found = number(text).filter(|day| (1..=28).contains(day));
    found.ok_or_else(|| format!("\"{text}\" is no day that each month has: write 1 to 28"))
}

fn clock_of(text: &str) -> Result<(u8, u8), String> {
    let read = || {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute) = (number(hour)?, number(minute).filter(|_| minute.len() == 2)?);
        (hour < 24 && minute < 60).then_some((hour, minute))
    };
    read().ok_or_else(|| format!("\"{text}\" is no time of day: write 00:00 to 23:59"))
}

fn number(text: &str) -> Option<u8> {
    let is_plain = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn day(month: u8, day: u8) -> Day {
        Day { year: 2026, month, day }
    }

    /// A zone an hour east of UTC, two from March 29, 01:00 UTC, to October 25, 01:00 UTC; an hour that isn't there comes
    /// an hour later, and one that is there twice comes the first time.
    fn berlin(day: Day, hour: u8, minute: u8) -> i64 {
        let civil = day.number() * 86_400 + i64::from(hour) * 3_600 + i64::from(minute) * 60;
        let (spring, autumn) = (self::day(3, 29).number(), self::day(10, 25).number());
        let summer = spring * 86_400 + 2 * 3_600..autumn * 86_400 + 3 * 3_600;
        let gap = summer.start..summer.start + 3_600;
        let is_summer = summer.contains(&civil) && !gap.contains(&civil);
        civil - if is_summer { 7_200 } else { 3_600 }
    }

    fn due(schedule: &str, now: (Day, u8, u8), told: Option<Day>) -> Due {
        let now_s = berlin(now.0, now.1, now.2);
        Schedule::parse(schedule).unwrap().due((now.0, now_s), told, &berlin)
    }

    #[test]
    fn words() {
        for good in ["daily 07:00", "daily 0:05", " weekly  mon 23:59", "monthly 28 00:00"] {
            assert!(Schedule::parse(good).is_ok(), "{good}");
        }
        for (bad, word) in [
            ("", "no schedule"),
            ("daily", "no schedule"),
            ("hourly 07:00", "no schedule"),
            ("daily 07:00 x", "no schedule"),
            ("daily 24:00", "no time of day"),
            ("daily 07:60", "no time of day"),
            ("daily 7", "no time of day"),
            ("daily 7:5", "no time of day"),
            ("daily +7:05", "no time of day"),
            ("daily -1:05", "no time of day"),
            ("weekly Monday 07:00", "no day of the week"),
            ("monthly 29 07:00", "each month"),
            ("monthly 0 07:00", "each month"),
        ] {
            assert!(Schedule::parse(bad).unwrap_err().contains(word), "{bad}");
        }
    }

    #[test]
    fn each_day_once() {
        let seven = |told| due("daily 07:00", (day(5, 6), 7, 0), told);
        let next_s = berlin(day(5, 7), 7, 0);
        let told = day(5, 5);
        let is_ahead = false;
        assert_eq!(seven(Some(day(5, 4))), Due { now: Some((told, told)), told, next_s, is_ahead });
        assert_eq!(seven(Some(told)), Due { now: None, told, next_s, is_ahead });
        // Before its hour nothing is due but what should have gone out the day before.
        let early = |told| due("daily 07:00", (day(5, 6), 6, 59), Some(told));
        assert_eq!(early(day(5, 4)).now, None);
        assert_eq!(early(day(5, 3)).now, Some((day(5, 4), day(5, 4))));
        assert_eq!(early(day(5, 4)).next_s, berlin(day(5, 6), 7, 0));
    }

    #[test]
    fn what_was_missed_comes_once() {
        let found = due("daily 07:00", (day(5, 20), 12, 0), Some(day(5, 9)));
        assert_eq!((found.now, found.told), (Some((day(5, 10), day(5, 19))), day(5, 19)));
        let found = due("daily 07:00", (day(8, 20), 12, 0), Some(day(5, 9)));
        assert_eq!(found.now, Some((day(7, 20), day(8, 19))), "bounded");
    }

    #[test]
    fn the_first_start_and_a_clock_that_is_wrong() {
        for (hour, last) in [(12, 19), (5, 18)] {
            let found = due("daily 07:00", (day(5, 20), hour, 0), None);
            assert_eq!((found.now, found.told, found.is_ahead), (None, day(5, last), false));
            for told in [day(5, 20), day(12, 31)] {
                let found = due("daily 07:00", (day(5, 20), hour, 0), Some(told));
                assert_eq!((found.now, found.told, found.is_ahead), (None, told, true));
            }
        }
        let found = due("weekly Mon 07:00", (day(5, 20), 12, 0), None);
        assert_eq!((found.now, found.told), (None, day(5, 17)));
    }

    /// As the server does it.
    fn told_by(clock: &[(Day, u8)], first: Day) -> (Vec<(Day, Day)>, Day) {
        let (mut told, mut sent, mut patience) = (Some(first), Vec::new(), Patience::default());
        for (today, hour) in clock {
            let now_s = berlin(*today, *hour, 0);
            let mut found = due("daily 07:00", (*today, *hour, 0), told);
            if patience.is_over(found.is_ahead, now_s) {
                found = due("daily 07:00", (*today, *hour, 0), None);
            }
            told = Some(found.told);
            sent.extend(found.now);
        }
        (sent, told.unwrap())
    }

    #[test]
    fn a_clock_that_jumps_tells_of_no_day_twice() {
        let one = |month, number| (day(month, number), day(month, number));
        // A start at the clock's first day, until the network tells the time.
        let past = Day { year: 1970, month: 1, day: 1 };
        let (sent, told) =
            told_by(&[(past, 0), (past, 1), (past, 8), (day(5, 21), 8), (day(5, 21), 9)], day(5, 19));
        assert_eq!((sent, told), (vec![one(5, 20)], day(5, 20)));
        // Back by some days, and forth.
        let back = [(day(5, 20), 8), (day(5, 10), 8), (day(5, 11), 8), (day(5, 21), 8)];
        assert_eq!(told_by(&back, day(5, 18)).0, [one(5, 19), one(5, 20)]);
        // Into a future that was none: after two days the clock is believed, and reports go on.
        let mut future = vec![(day(5, 20), 8), (Day { year: 2031, month: 1, day: 9 }, 8)];
        future.extend((21..26).map(|number| (day(5, number), 8)));
        let (sent, told) = told_by(&future, day(5, 18));
        assert_eq!(told, day(5, 24));
        let all: Vec<Day> = sent.iter().map(|(_, last)| *last).filter(|day| day.year == 2026).collect();
        assert_eq!(all, [day(5, 19), day(5, 23), day(5, 24)]);
    }

    #[test]
    fn weeks_and_months() {
        // 2026-05-18 was a Monday.
        let found = due("weekly Mon 07:00", (day(5, 18), 7, 0), Some(day(5, 10)));
        assert_eq!(found.now, Some((day(5, 11), day(5, 17))));
        assert_eq!(found.next_s, berlin(day(5, 25), 7, 0));
        assert_eq!(due("weekly Mon 07:00", (day(5, 24), 7, 0), Some(day(5, 17))).now, None);
        assert_eq!(
            due("weekly Sun 07:00", (day(5, 24), 7, 0), Some(day(5, 16))).now,
            Some((day(5, 17), day(5, 23)))
        );
        let found = due("monthly 1 07:00", (day(3, 1), 7, 0), Some(day(1, 31)));
        assert_eq!(found.now, Some((day(2, 1), day(2, 28))));
        assert_eq!(found.next_s, berlin(day(4, 1), 7, 0));
        let found = due("monthly 28 07:00", (day(2, 27), 7, 0), Some(day(1, 27)));
        assert_eq!((found.now, found.next_s), (None, berlin(day(2, 28), 7, 0)));
    }

    #[test]
    fn summer_time() {
        // The hour that isn't there.
        let found = due("daily 02:30", (day(3, 28), 12, 0), Some(day(3, 27)));
        assert_eq!(found.next_s, berlin(day(3, 29), 3, 30));
        // Days of 23 and of 25 hours: one report each.
        for first in [day(3, 26), day(10, 22)] {
            let schedule = Schedule::parse("daily 07:00").unwrap();
            let (mut told, mut sent) = (first.before().before(), Vec::new());
            for hour in 0..24 * 5 - 2 {
                let now_s = berlin(first, 7, 0) + hour * 3_600;
                let mut days = (0..9).map(|ahead| Day::numbered(first.number() + ahead));
                let today = days.rfind(|day| berlin(*day, 0, 0) <= now_s).unwrap();
                let found = schedule.due((today, now_s), Some(told), &berlin);
                told = found.told;
                sent.extend(found.now);
                assert!(found.next_s > now_s && found.next_s <= now_s + 25 * 3_600);
            }
            let each = (0..5).map(|day| Day::numbered(first.number() - 1 + day));
            assert_eq!(sent, each.map(|day| (day, day)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn another_schedule_tells_of_no_day_twice() {
        assert_eq!(due("daily 09:00", (day(5, 6), 9, 0), Some(day(5, 5))).now, None);
        assert_eq!(due("weekly Wed 09:00", (day(5, 6), 9, 0), Some(day(5, 5))).now, None);
    }
}
