//! Numbers as people read them.

use crate::Day;
use crate::sheet::grouped;

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// `Sunday, 22 November 2026`
pub(super) fn date(day: Day) -> String {
    let weekday = usize::try_from((day.number() + 3).rem_euclid(7)).unwrap_or(0);
    let month = MONTHS.get(usize::from(day.month).wrapping_sub(1)).copied().unwrap_or("?");
    format!("{}, {} {month} {}", WEEKDAYS.get(weekday).copied().unwrap_or("?"), day.day, day.year)
}

/// One day or several.
pub(super) fn period((first, last): (Day, Day)) -> String {
    if first >= last { date(first) } else { format!("{} to {}", date(first), date(last)) }
}

/// `1.2 MB`: of 1,000.
pub(super) fn bytes(number: u64) -> String {
    let steps = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let found = steps.iter().find(|(size, _)| number >= *size);
    found.map_or_else(|| format!("{} bytes", grouped(number)), |(size, unit)| tenths(number, *size, unit))
}

/// `0.25 s`, `12 s`, `3.5 h`
pub(super) fn milliseconds(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} ms"),
        1_000..60_000 => tenths(number, 1_000, "s"),
        _ => duration(number / 1_000),
    }
}

/// Of seconds.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => tenths(seconds, 3_600, "h"),
        _ => tenths(seconds, 86_400, "days"),
    }
}

fn tenths(number: u64, size: u64, unit: &str) -> String {
    let tenths = u128::from(number) * 10 / u128::from(size.max(1));
    if tenths >= 1_000 {
        format!("{} {unit}", tenths / 10)
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_read_them() {
        let day = |day| Day { year: 2026, month: 11, day };
        assert_eq!(date(day(22)), "Sunday, 22 November 2026");
        assert_eq!(period((day(22), day(22))), "Sunday, 22 November 2026");
        assert_eq!(period((day(16), day(22))), "Monday, 16 November 2026 to Sunday, 22 November 2026");
        for (number, expect) in
            [(0, "0 bytes"), (999, "999 bytes"), (1_250, "1.2 kB"), (123_456_789, "123 MB")]
        {
            assert_eq!(bytes(number), expect);
        }
        for (number, expect) in
            [(0, "0 ms"), (999, "999 ms"), (1_250, "1.2 s"), (60_000, "60 s"), (9_000_000, "2.5 h")]
        {
            assert_eq!(milliseconds(number), expect);
        }
        for (number, expect) in [(119, "119 s"), (120, "2 min"), (7_200, "2.0 h"), (432_000, "5.0 days")] {
            assert_eq!(duration(number), expect);
        }
    }
}
