//! Lengths of time as fail2ban writes them: `600`, `10m`, `1d 12h`, `1y6mo`.
//!
//! A year has 365.25 days and a month is its twelfth, as fail2ban counts; a lone number is seconds.

/// Seconds, when `text` is a length of time.
#[must_use]
pub fn seconds(text: &str) -> Option<i64> {
    let text = text.trim().trim_matches(['\'', '"']);
    if let Ok(seconds) = text.parse::<f64>() {
        return whole(seconds);
    }
    let (text, sign) = match text.strip_prefix('-') {
        Some(rest) => (rest, -1.0),
        None => (text, 1.0),
    };
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at_checked(digits)?;
        let behind = behind.trim_start();
        let letters = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(letters)?;
        total += number.parse::<f64>().ok()? * unit_s(unit)?;
        rest = behind.trim_start();
    }
    (!text.is_empty()).then(|| whole(total * sign))?
}

fn whole(seconds: f64) -> Option<i64> {
    // A century of seconds is far below what f64 holds exactly.
    #[expect(clippy::cast_possible_truncation, reason = "its range is checked")]
    (seconds.is_finite() && seconds.abs() < 1e15).then_some(seconds as i64)
}

fn unit_s(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "" | "s" | "ss" | "se" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "mm" | "mi" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hh" | "ho" | "hou" | "hour" | "hours" => 3_600.0,
        "d" | "dd" | "da" | "day" | "days" => 86_400.0,
        "w" | "ww" | "we" | "wee" | "week" | "weeks" => 604_800.0,
        "mo" | "mon" | "month" | "months" => 2_629_800.0,
        "y" | "yy" | "yea" | "year" | "years" => 31_557_600.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_fail2ban_client_str2sec_says() {
        for (text, expect) in [
            ("600", Some(600)),
            ("10m", Some(600)),
            ("1d12h", Some(129_600)),
            ("1d 12h", Some(129_600)),
            ("1y", Some(31_557_600)),
            ("2mon", Some(5_259_600)),
            ("1y6mo", Some(47_336_400)),
            ("-1", Some(-1)),
            ("-1d", Some(-86_400)),
            ("1.5h", Some(5_400)),
            ("1yea", Some(31_557_600)),
            ("ye", None),
            ("", None),
            ("5 m", Some(300)),
            ("1m30", Some(90)),
            ("1M", Some(60)),
            ("1H", Some(3_600)),
            ("1mo2", Some(2_629_802)),
            ("1x", None),
            ("9e99", None),
        ] {
            assert_eq!(seconds(text), expect, "{text}");
        }
    }
}
