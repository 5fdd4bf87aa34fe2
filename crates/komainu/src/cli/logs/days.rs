//! Finds days in a plain log instead of reading all of it.
//!
//! A log of up to [`WHOLE_BYTES`] is read whole. In a longer one, some lines are looked at every step: a 512th of the
//! log, 64 KiB at least and 1 MiB at most. What lies between two looks is passed over where both are before the
//! days that are wanted, or both behind, and the first isn't later than the second; all else is read, and a step more
//! on either side. So a log that begins again somewhere (files put together in any order, a year that turned) is read
//! where it must be, and one in which days go back all over is read whole. What is out of order for less than a step,
//! within one, is only found where that step is read.

use report::Day;
use rustix::fs::Advice;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::{Range, RangeInclusive};
use std::os::unix::fs::FileExt;

const WHOLE_BYTES: u64 = 4 * 1024 * 1024;
const STEPS: u64 = 512;
const STEP_BYTES_MIN: u64 = 64 * 1024;
const STEP_BYTES_MAX: u64 = 1024 * 1024;
/// So much is looked at, and so much at most for a line with a stamp; where there is none, the step is read.
const LOOK_BYTES: usize = 1024;
const LOOK_BYTES_MAX: usize = 4096;
/// Where of so many looks more than one goes back, the log is in no order.
const OF_LOOKS: usize = 8;

/// What is to be read for these days, from the start of a line to the end of one.
///
/// # Errors
/// Those of the file.
pub(super) fn find(
    file: &File,
    wanted: &RangeInclusive<Day>,
    today: Day,
) -> io::Result<VecDeque<Range<u64>>> {
    let length = file.metadata()?.len();
    if length <= WHOLE_BYTES {
        return Ok(std::iter::once(0..length).collect());
    }
    // What lies behind a look isn't wanted from the disk. Where the advice isn't taken, it is only slower.
    let _ = rustix::fs::fadvise(file, 0, None, Advice::Random);
    let found = steps(file, length, step(length), (wanted, today));
    let _ = rustix::fs::fadvise(file, 0, None, Advice::Sequential);
    found
}

fn step(length: u64) -> u64 {
    (length / STEPS).clamp(STEP_BYTES_MIN, STEP_BYTES_MAX)
}

/// Lines near a step.
#[derive(Clone, Copy)]
struct Mark {
    at: u64,
    /// The first day and the last of those that were looked at.
    days: Option<(Day, Day)>,
    /// Among them, one is before the one above it.
    back: bool,
}

fn steps(
    file: &File,
    length: u64,
    step: u64,
    (wanted, today): (&RangeInclusive<Day>, Day),
) -> io::Result<VecDeque<Range<u64>>> {
    let mut look = vec![0; LOOK_BYTES_MAX];
    let mut marks = Vec::new();
    let mut at = 0;
    while at < length {
        marks.push(mark(file, at, today, &mut look)?);
        at = at.saturating_add(step);
    }
    // Behind the last mark nothing is known.
    marks.push(Mark { at: length, days: None, back: false });
    let pairs = || marks.iter().zip(marks.iter().skip(1));
    let between = |(first, last): (&Mark, &Mark)| Some((first.days?.1, last.days?.0));
    let back = pairs().filter(|&(first, last)| {
        first.back || between((first, last)).is_some_and(|(first, last)| first > last)
    });
    if back.count() > marks.len() / OF_LOOKS {
        return Ok(std::iter::once(0..length).collect());
    }
    let apart = |(first, last): (&Mark, &Mark)| {
        let ordered = !first.back && !last.back;
        ordered
            && between((first, last)).is_some_and(|(from, to)| {
                let begin = first.days.map_or(from, |(begin, _)| begin);
                from <= to && (to < *wanted.start() || begin > *wanted.end())
            })
    };
    let passed: Vec<bool> = pairs().map(apart).collect();
    let mut ranges: VecDeque<Range<u64>> = VecDeque::new();
    for (at, (first, last)) in pairs().enumerate() {
        let near = passed.get(at.saturating_sub(1)..=at + 1).or_else(|| passed.get(at.saturating_sub(1)..));
        if near.is_some_and(|near| near.iter().all(|passed| *passed)) {
            continue;
        }
        match ranges.back_mut() {
            Some(range) if range.end == first.at => range.end = last.at,
            _ => ranges.push_back(first.at..last.at),
        }
    }
    Ok(ranges)
}

/// The first line that begins at `at` or behind it, and the days from there on.
fn mark(file: &File, at: u64, today: Day, look: &mut [u8]) -> io::Result<Mark> {
    let mut found = Mark { at, days: None, back: false };
    for bytes in [LOOK_BYTES, LOOK_BYTES_MAX] {
        let count = read_at(file, look.get_mut(..bytes).unwrap_or_default(), at.saturating_sub(1))?;
        let seen = look.get(..count).unwrap_or_default();
        found = days_in(seen, at, today);
        if found.days.is_some() || count < bytes {
            break;
        }
    }
    Ok(found)
}

/// The same in what was read from the byte before `at` on.
fn days_in(seen: &[u8], at: u64, today: Day) -> Mark {
    let (mut rest, mut begin) = (seen, 0);
    if at > 0 {
        // Where no line begins, what lies before `at` may end in the middle of one.
        let Some(end) = memchr::memchr(b'\n', seen) else { return Mark { at, days: None, back: false } };
        begin = end as u64;
        rest = seen.get(end + 1..).unwrap_or_default();
    }
    let mut mark = Mark { at: at + begin, days: None, back: false };
    loop {
        if let Some((day, _)) = Day::parse(rest, today) {
            let (first, last) = mark.days.unwrap_or((day, day));
            mark.back |= day < last;
            mark.days = Some((first, day.max(last)));
        }
        let Some(end) = memchr::memchr(b'\n', rest) else { return mark };
        rest = rest.get(end + 1..).unwrap_or_default();
    }
}

pub(super) fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(into, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;
    use std::io::Write as _;

    const TODAY: Day = Day { year: 2026, month: 11, day: 23 };
    const STEP: u64 = 4096;

    /// Lines of these days, so many each, and how many of `wanted` are in what would be read.
    fn found(days: &[(Day, u32)], wanted: Day) -> (usize, usize, u64) {
        let mut text = String::new();
        let mut number = 0;
        for (day, lines) in days {
            for _ in 0..*lines {
                number += 1;
                let name = day.month_name();
                writeln!(text, "{name} {:2} 00:00:00 mail postfix/smtpd[{number}]: line", day.day).unwrap();
                if number % 7 == 0 {
                    text.push_str("no stamp\n");
                }
            }
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let length = text.len() as u64;
        let ranges = steps(&file, length, STEP, (&(wanted..=wanted), TODAY)).unwrap();
        let of_day = |text: &str| {
            let day = |line: &&str| Day::parse(line.as_bytes(), TODAY).map(|(day, _)| day) == Some(wanted);
            text.lines().filter(day).count()
        };
        let mut read = String::new();
        for range in &ranges {
            let part = &text[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
            assert!(range.start == 0 || text.as_bytes()[usize::try_from(range.start).unwrap() - 1] == b'\n');
            assert!(part.ends_with('\n'));
            read.push_str(part);
        }
        assert!(ranges.iter().zip(ranges.iter().skip(1)).all(|(one, other)| one.end < other.start));
        (of_day(&read), of_day(&text), length - read.len() as u64)
    }

    fn day(month: u8, day: u8) -> Day {
        Day { year: if month > 11 { 2025 } else { 2026 }, month, day }
    }

    #[test]
    fn a_day_is_found_in_a_log_in_order() {
        let days: Vec<(Day, u32)> = (1..=22).map(|number| (day(11, number), 500)).collect();
        for number in 1..=23 {
            let (read, there, passed) = found(&days, day(11, number));
            assert_eq!(read, there, "{number}");
            // Of 22 days of 25 kB, all but one, some steps around it and the last ones are passed over.
            assert!(passed > 480_000, "{number} {passed}");
        }
    }

    #[test]
    fn a_log_out_of_order_is_read_where_it_must_be() {
        // Files put together in the wrong order; one twice.
        let days: Vec<(Day, u32)> =
            [20, 21, 22, 1, 2, 3, 21, 22, 22, 4, 5, 20, 2, 21].map(|number| (day(11, number), 300)).to_vec();
        for number in 1..=22 {
            let (read, there, _) = found(&days, day(11, number));
            assert_eq!(read, there, "{number}");
        }
        // The clock was wrong for some steps, and two hosts' lines mingle around midnight.
        let mut days: Vec<(Day, u32)> = (1..=10).map(|number| (day(11, number), 300)).collect();
        days.insert(4, (day(1, 1), 300));
        days.extend((0..40).map(|number| (day(11, 10 + number % 2), 1 + u32::from(number))));
        days.extend((11..=22).map(|number| (day(11, number), 300)));
        for number in 1..=22 {
            let (read, there, _) = found(&days, day(11, number));
            assert_eq!(read, there, "{number}");
        }
        assert_eq!(found(&days, day(1, 1)).0, 300);
    }

    #[test]
    fn a_year_that_turns_twice() {
        // From October of the year before last: stamps without a year are read as of last year or this.
        let months = [10, 11, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        let days: Vec<(Day, u32)> =
            months.iter().flat_map(|&month| [(day(month, 7), 90), (day(month, 22), 90)]).collect();
        for month in 1..=12 {
            let (read, there, passed) = found(&days, day(month, 22));
            assert_eq!(read, there, "{month}");
            assert!(there >= 180 && passed > 100_000, "{month}: {there} there, {passed} passed over");
        }
    }

    #[test]
    fn a_log_in_no_order_is_read_whole() {
        // Days one after the other anyhow, for less than a step each.
        let days: Vec<(Day, u32)> =
            (0..2000).map(|number: u32| (day(11, 1 + u8::try_from(number * 7 % 22).unwrap()), 5)).collect();
        let (read, there, passed) = found(&days, day(11, 22));
        assert_eq!((read, passed), (there, 0));
        // The same, where not even two lines that follow each other are of one day.
        let days: Vec<(Day, u32)> = days.iter().map(|(day, _)| (*day, 1)).collect();
        let (read, there, passed) = found(&days, day(11, 21));
        assert_eq!((read, passed), (there, 0));
    }

    #[test]
    fn steps_are_a_part_of_the_log() {
        for (length, expect) in [
            (WHOLE_BYTES, STEP_BYTES_MIN),
            (32 << 20, STEP_BYTES_MIN),
            (128 << 20, 256 << 10),
            (512 << 20, STEP_BYTES_MAX),
            (1 << 40, STEP_BYTES_MAX),
        ] {
            assert_eq!(step(length), expect, "{length}");
        }
    }

    #[test]
    fn what_has_no_stamps_is_read() {
        let mut file = tempfile::tempfile().unwrap();
        let text = "x".repeat(100_000);
        file.write_all(text.as_bytes()).unwrap();
        let all = steps(&file, 100_000, STEP, (&(TODAY..=TODAY), TODAY)).unwrap();
        assert!(all.iter().eq([&(0..100_000)]));
        assert!(steps(&file, 0, STEP, (&(TODAY..=TODAY), TODAY)).unwrap().is_empty());
    }
}
