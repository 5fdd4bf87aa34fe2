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

/// `1 network`, `12 networks`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    format!("{} {one}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// How many columns a text takes: East Asian wide characters take two.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

const fn columns(letter: char) -> usize {
    match letter {
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// A text in lines of at most `wide` columns; a word that is longer is broken. At least one line.
pub(crate) fn folded(text: &str, wide: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut taken) = (String::new(), 0);
    for (at, word) in text.split(' ').enumerate() {
        let needed = width(word);
        if at > 0 && taken > 0 && taken + 1 + needed > wide {
            lines.push(std::mem::take(&mut line));
            taken = 0;
        } else if at > 0 {
            line.push(' ');
            taken += 1;
        }
        for letter in word.chars() {
            if taken > 0 && taken + columns(letter) > wide {
                lines.push(std::mem::take(&mut line));
                taken = 0;
            }
            line.push(letter);
            taken += columns(letter);
        }
    }
    lines.push(line);
    lines
}

/// What fits to the number.
pub(crate) const fn plural(count: u64, one: &'static str, many: &'static str) -> &'static str {
    if count == 1 { one } else { many }
}

/// `12.3 %`, rounded; what is little isn't nothing, and what is nearly all isn't all.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 || part == 0 {
        return "0 %".to_owned();
    }
    if part >= whole {
        return "100 %".to_owned();
    }
    let (part, whole) = (u128::from(part), u128::from(whole));
    in_tenths((part * 2000 + whole) / (whole * 2))
}

/// Of what is neither nothing nor all.
fn in_tenths(tenths: u128) -> String {
    match tenths {
        0 => "<0.1 %".to_owned(),
        1000.. => ">99.9 %".to_owned(),
        _ => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// The parts of a whole in percent, which add up to 100 where the parts do to the whole: of those that are rounded, the
/// ones with the largest rest go up.
pub(crate) fn shares(parts: &[u64], whole: u64) -> Vec<String> {
    let sum = parts.iter().fold(0_u128, |sum, part| sum + u128::from(*part));
    if sum != u128::from(whole) || whole == 0 {
        return parts.iter().map(|part| percent(*part, whole)).collect();
    }
    let exact = |part: &u64| u128::from(*part) * 1000;
    let mut tenths: Vec<u128> = parts.iter().map(|part| exact(part) / sum).collect();
    let missing = 1000_u128.saturating_sub(tenths.iter().sum());
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(parts.get(*at).map_or(0, |part| exact(part) % sum)));
    for at in order.into_iter().take(usize::try_from(missing).unwrap_or(0)) {
        if let Some(tenths) = tenths.get_mut(at) {
            *tenths += 1;
        }
    }
    let said = |(part, tenths): (&u64, &u128)| match *part {
        part if part == 0 || part == whole => percent(part, whole),
        _ => in_tenths(*tenths),
    };
    parts.iter().zip(&tenths).map(said).collect()
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
        _ => duration(number.saturating_add(500) / 1_000),
    }
}

/// Of seconds.
pub(crate) fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", (seconds + 30) / 60),
        7_200..172_800 => tenths(seconds, 3_600, "h"),
        _ => tenths(seconds, 86_400, "days"),
    }
}

/// Rounded.
fn tenths(number: u64, size: u64, unit: &str) -> String {
    let (number, size) = (u128::from(number), u128::from(size.max(1)));
    let tenths = (number * 20 + size) / (size * 2);
    if tenths >= 1_000 {
        format!("{} {unit}", (number * 2 + size) / (size * 2))
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
            (2, 3, "66.7 %"),
            (1, 2_001, "<0.1 %"),
            (1, 1_999, "0.1 %"),
            (1_999, 2_000, ">99.9 %"),
            (1_998, 2_000, "99.9 %"),
            (1, 100_000, "<0.1 %"),
            (99_999, 100_000, ">99.9 %"),
            (5, 5, "100 %"),
            (u64::MAX - 1, u64::MAX, ">99.9 %"),
        ] {
            assert_eq!(percent(part, whole), expect);
        }
    }

    #[test]
    fn shares_add_up() {
        assert_eq!(shares(&[1, 1, 1], 3), ["33.4 %", "33.3 %", "33.3 %"]);
        assert_eq!(shares(&[2, 1, 0], 3), ["66.7 %", "33.3 %", "0 %"]);
        assert_eq!(shares(&[5, 0], 5), ["100 %", "0 %"]);
        assert_eq!(shares(&[9_999, 1], 10_000), [">99.9 %", "<0.1 %"]);
        assert_eq!(shares(&[], 0), Vec::<String>::new());
        // A part is missing: each stands for itself.
        assert_eq!(shares(&[1, 1], 3), ["33.3 %", "33.3 %"]);
        assert_eq!(shares(&[u64::MAX - 1, 1], u64::MAX), [">99.9 %", "<0.1 %"]);
        for seed in 1..200_u64 {
            let parts: Vec<u64> = (1..9).map(|at| seed * at * 7919 % 977 + 11).collect();
            let said = shares(&parts, parts.iter().sum());
            let tenths = said.iter().map(|text| text.trim_end_matches(" %").replace('.', ""));
            assert_eq!(tenths.map(|text| text.parse::<u64>().unwrap()).sum::<u64>(), 1000, "{said:?}");
        }
    }

    #[test]
    fn words_fit_to_numbers() {
        assert_eq!([0, 1, 2_000].map(|count| counted(count, "line")), ["0 lines", "1 line", "2,000 lines"]);
        assert_eq!((plural(1, "was", "were"), plural(0, "was", "were")), ("was", "were"));
    }

    #[test]
    fn as_people_read_them() {
        let day = |day| Day { year: 2026, month: 11, day };
        assert_eq!(date(day(22)), "Sunday, 22 November 2026");
        assert_eq!(period((day(22), day(22))), "Sunday, 22 November 2026");
        assert_eq!(period((day(16), day(22))), "Monday, 16 November 2026 to Sunday, 22 November 2026");
        for (number, expect) in
            [(0, "0 bytes"), (999, "999 bytes"), (1_250, "1.3 kB"), (123_456_789, "123 MB")]
        {
            assert_eq!(bytes(number), expect);
        }
        for (number, expect) in
            [(0, "0 ms"), (999, "999 ms"), (1_250, "1.3 s"), (60_000, "60 s"), (9_000_000, "2.5 h")]
        {
            assert_eq!(milliseconds(number), expect);
        }
        for (number, expect) in [(119, "119 s"), (120, "2 min"), (7_200, "2.0 h"), (432_000, "5.0 days")] {
            assert_eq!(duration(number), expect);
        }
    }
}
