//! Numbers and days as people read them, in every form of a report.

use crate::Day;

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
pub(crate) fn date(day: Day) -> String {
    let weekday = usize::try_from((day.number() + 3).rem_euclid(7)).unwrap_or(0);
    let month = MONTHS.get(usize::from(day.month).wrapping_sub(1)).copied().unwrap_or("?");
    format!("{}, {} {month} {}", WEEKDAYS.get(weekday).copied().unwrap_or("?"), day.day, day.year)
}

/// One day or several.
pub(crate) fn period((first, last): (Day, Day)) -> String {
    if first >= last { date(first) } else { format!("{} to {}", date(first), date(last)) }
}

/// `12,345`
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `12.3 %`; what is little isn't nothing, and what is nearly all isn't all.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 || part == 0 {
        return "0 %".to_owned();
    }
    if part >= whole {
        return "100 %".to_owned();
    }
    let tenths = u128::from(part) * 1000 / u128::from(whole);
    match tenths {
        0 => "<0.1 %".to_owned(),
        999.. => ">99.9 %".to_owned(),
        _ => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// `1.2 MB`: of 1,000.
pub(crate) fn bytes(number: u64) -> String {
    let steps = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let found = steps.iter().find(|(size, _)| number >= *size);
    found.map_or_else(|| format!("{} bytes", grouped(number)), |(size, unit)| tenths(number, *size, unit))
}

/// `0.25 s`, `12 s`, `3.5 h`
pub(crate) fn milliseconds(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} ms"),
        1_000..60_000 => tenths(number, 1_000, "s"),
        _ => duration(number / 1_000),
    }
}

/// Of seconds.
pub(crate) fn duration(seconds: u64) -> String {
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
    fn numbers() {
        for (number, expect) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), expect);
        }
        for (part, whole, expect) in [
            (0, 0, "0 %"),
            (1, 0, "0 %"),
            (1, 3, "33.3 %"),
            (1, 100_000, "<0.1 %"),
            (99_999, 100_000, ">99.9 %"),
            (5, 5, "100 %"),
            (u64::MAX - 1, u64::MAX, ">99.9 %"),
        ] {
            assert_eq!(percent(part, whole), expect);
        }
    }

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
