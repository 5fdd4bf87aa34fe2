//! What a value that can't be read as its type was meant to be, where that is certain.
//!
//! Quotes around it, a remark or a `;` behind it, `true` for `yes`, `5 minutes` for `5m`. A size with a unit is
//! not certain (`10M` is 10,000,000 or 10,485,760): that is the help's to say.

use crate::registry::{Kind, Unit};
use crate::units::{parse_flag, parse_number, parse_time};

/// `text` as a value of `kind`.
pub(super) fn mended(kind: Kind, text: &str) -> Option<String> {
    let bare = bare(text);
    match kind {
        Kind::Flag => flag(bare).map(str::to_owned),
        Kind::Number | Kind::Size => parse_number(bare).map(|_| bare.to_owned()),
        Kind::Time(unit) => time(bare, unit),
        Kind::List | Kind::Text | Kind::Raw => None,
    }
}

/// What else the help may say: a size in bytes.
pub(super) fn advice(kind: Kind, text: &str) -> Option<String> {
    if kind != Kind::Size && kind != Kind::Number {
        return None;
    }
    let text = bare(text);
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    let bytes = number.parse::<i64>().ok()?.checked_mul(1_i64.checked_shl(shift)?)?;
    Some(format!("write digits only, without a unit: {bytes}"))
}

/// Without quotes around it, and without a remark or a stop behind it.
fn bare(text: &str) -> &str {
    let cut = [" #", "\t#", " //", "\t//", "#"].into_iter().filter_map(|mark| text.find(mark)).min();
    let text = cut.and_then(|at| text.get(..at)).unwrap_or(text);
    let text = text.trim().trim_end_matches([';', ',', '\\']).trim();
    text.trim_matches(['"', '\'', '“', '”', '‘', '’', '「', '」']).trim()
}

fn flag(text: &str) -> Option<&'static str> {
    match parse_flag(text) {
        Some(true) => return Some("yes"),
        Some(false) => return Some("no"),
        None => {}
    }
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "1" | "y" | "enable" | "enabled" => Some("yes"),
        "false" | "off" | "0" | "n" | "disable" | "disabled" => Some("no"),
        _ => None,
    }
}

fn time(text: &str, unit: Unit) -> Option<String> {
    if parse_time(text, unit).is_some() {
        return Some(text.to_owned());
    }
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, word) = text.split_at_checked(digits)?;
    let letter = match word.trim().to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => 's',
        "m" | "min" | "mins" | "minute" | "minutes" => 'm',
        "h" | "hr" | "hrs" | "hour" | "hours" => 'h',
        "d" | "day" | "days" => 'd',
        "w" | "week" | "weeks" => 'w',
        _ => return None,
    };
    let text = format!("{number}{letter}");
    parse_time(&text, unit).map(|_| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certain() {
        #[track_caller]
        fn check(kind: Kind, text: &str, expect: Option<&str>) {
            assert_eq!(mended(kind, text).as_deref(), expect, "{text}");
        }
        check(Kind::Flag, "\"yes\"", Some("yes"));
        check(Kind::Flag, "true", Some("yes"));
        check(Kind::Flag, "no  # for now", Some("no"));
        check(Kind::Flag, "no;", Some("no"));
        check(Kind::Flag, "maybe", None);
        check(Kind::Number, "50 // fifty", Some("50"));
        check(Kind::Size, "10M", None);
        check(Kind::Size, "'1000'", Some("1000"));
        check(Kind::Time(Unit::Second), "5 minutes", Some("5m"));
        check(Kind::Time(Unit::Second), "30 s", Some("30s"));
        check(Kind::Time(Unit::Day), "5d # five", Some("5d"));
        check(Kind::Time(Unit::Second), "1h30m", None);
        check(Kind::Time(Unit::Second), "1.5h", None);
        assert_eq!(advice(Kind::Size, "10M").as_deref(), Some("write digits only, without a unit: 10485760"));
        assert_eq!(advice(Kind::Size, "ten"), None);
    }
}
