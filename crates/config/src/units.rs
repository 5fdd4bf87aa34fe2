//! Values of typed parameters: `yes`, `300s`, `51200000`.
//!
//! Numbers are whole and without a unit, as in Postfix; times have at most one unit.

use crate::registry::Unit;
use std::time::Duration;

/// `yes` or `no`, in any case.
#[must_use]
pub fn parse_flag(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("yes") {
        return Some(true);
    }
    text.eq_ignore_ascii_case("no").then_some(false)
}

/// A whole number.
#[must_use]
pub fn parse_number(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// A time: a whole number and a unit, or `default` for none.
#[must_use]
pub fn parse_time(text: &str, default: Unit) -> Option<Duration> {
    let text = text.trim_matches(crate::conf::is_space);
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text.get(digits.len()..)? {
        "" => default.seconds(),
        suffix => {
            let mut letters = suffix.chars();
            let unit = Unit::from_letter(letters.next()?)?;
            if letters.next().is_some() {
                return None;
            }
            unit.seconds()
        }
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds = digits.parse::<u64>().ok()?.checked_mul(unit)?;
    // What Postfix can hold in an `int`.
    (seconds <= i32::MAX.unsigned_abs().into()).then(|| Duration::from_secs(seconds))
}

impl Unit {
    /// The unit that `letter` stands for.
    #[must_use]
    pub const fn from_letter(letter: char) -> Option<Unit> {
        Some(match letter.to_ascii_lowercase() {
            's' => Unit::Second,
            'm' => Unit::Minute,
            'h' => Unit::Hour,
            'd' => Unit::Day,
            'w' => Unit::Week,
            _ => return None,
        })
    }

    /// How long it is.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        match self {
            Unit::Second => 1,
            Unit::Minute => 60,
            Unit::Hour => 3600,
            Unit::Day => 86_400,
            Unit::Week => 604_800,
        }
    }

    /// Its name in the plural.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Second => "seconds",
            Unit::Minute => "minutes",
            Unit::Hour => "hours",
            Unit::Day => "days",
            Unit::Week => "weeks",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        #[track_caller]
        fn check(text: &str, unit: Unit, expect: Option<u64>) {
            assert_eq!(parse_time(text, unit), expect.map(Duration::from_secs), "{text}");
        }
        check("300s", Unit::Day, Some(300));
        check("5", Unit::Day, Some(5 * 86_400));
        check("2H", Unit::Second, Some(7200));
        check("1w", Unit::Second, Some(604_800));
        check("0", Unit::Hour, Some(0));
        for bad in ["", "s", "1.5h", "-1", "5 m", "5mm", "1h30m", "99999999999999999999", "99999d"] {
            check(bad, Unit::Second, None);
        }
    }
}
