//! The codes of date patterns: `%d` and its like.

/// `Mon Nov 23 01:02:03 2026`.
const C: &str = concat!(
    r"(?P<a>mon|tue|wed|thu|fri|sat|sun)\s+(?P<b>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\s+",
    r"(?P<d>3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9])\s+(?P<H>2[0-3]|[0-1]\d|\d):(?P<M>[0-5]\d|\d):",
    r"(?P<S>6[0-1]|[0-5]\d|\d)\s+(?P<Y>\d{4})",
);

/// Each code, its expression, and what reports call it. Those of two letters behind `E` come first.
const CODES: [(&str, &str, &str); 39] = [
    ("ExY", r"(?P<Y>20[012]\d)", "ExYear"),
    ("Exy", r"(?P<y>\d{2})", "ExYear2"),
    ("Exm", r"(?P<m>0[1-9]|1[0-2])", "ExMonth"),
    ("Exd", r"(?P<d>[1-2]\d|0[1-9]|3[0-1])", "ExDay"),
    ("ExH", r"(?P<H>[0-1]\d|2[0-3])", "Ex24hour"),
    ("ExM", r"(?P<M>[0-5]\d)", "ExMinute"),
    ("ExS", r"(?P<S>[0-5]\d|6[0-1])", "ExSecond"),
    ("Exz", r"(?P<z>Z|[A-Z]{3,5}|[+-][01]\d(?::?\d{2})?)", "ExZone offset"),
    ("ExZ", r"(?P<Z>Z|[A-Z]{3,5})", "ExZone name"),
    ("Exk", r" ?(?P<H>[0-1]?\d|2[0-3])", "%Exk"),
    ("Exl", r" ?(?P<I>1[0-2]|[1-9])", "Ex%l"),
    ("a", "(?P<a>mon|tue|wed|thu|fri|sat|sun)", "DAY"),
    ("A", "(?P<A>monday|tuesday|wednesday|thursday|friday|saturday|sunday)", "DAYNAME"),
    ("b", "(?P<b>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)", "MON"),
    (
        "B",
        "(?P<B>january|february|march|april|may|june|july|august|september|october|november|december)",
        "MONTH",
    ),
    ("d", r"(?P<d>[1-2]\d|[0 ]?[1-9]|3[0-1])", "Day"),
    ("k", r" ?(?P<H>[0-2]?\d)", "%k"),
    ("H", r"(?P<H>[0-1]?\d|2[0-3])", "24hour"),
    ("I", r"(?P<I>1[0-2]|0[1-9]|[1-9])", "12hour"),
    ("l", r" ?(?P<I>1[0-2]|[1-9])", "%l"),
    ("M", r"(?P<M>[0-5]?\d)", "Minute"),
    ("S", r"(?P<S>[0-5]?\d|6[0-1])", "Second"),
    ("f", r"(?P<f>[0-9]{1,6})", "Microseconds"),
    ("p", r"(?P<p>am|pm)", "AMPM"),
    ("m", r"(?P<m>0?[1-9]|1[0-2])", "Month"),
    ("Y", r"(?P<Y>\d{4})", "Year"),
    ("y", r"(?P<y>\d\d)", "Year2"),
    ("j", r"(?P<j>36[0-6]|3[0-5]\d|[1-2]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9])", "Yearday"),
    ("U", r"(?P<U>5[0-3]|[0-4]\d|\d)", "Yearweek"),
    ("W", r"(?P<W>5[0-3]|[0-4]\d|\d)", "Yearweek"),
    ("w", "(?P<w>[0-6])", "Weekday"),
    // The weeks of ISO 8601 are passed over, as fail2ban does.
    ("G", r"(?P<G>\d{4})", "%G"),
    ("V", r"(?P<V>5[0-3]|0[1-9]|[1-4]\d|\d)", "%V"),
    ("u", "(?P<u>[1-7])", "%u"),
    ("c", C, "%c"),
    ("x", r"(?P<m>1[0-2]|0[1-9]|[1-9])/(?P<d>3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9])/(?P<y>\d\d)", "%x"),
    ("X", r"(?P<H>2[0-3]|[0-1]\d|\d):(?P<M>[0-5]\d|\d):(?P<S>6[0-1]|[0-5]\d|\d)", "%X"),
    ("z", r"(?P<z>Z|UTC|GMT|[+-][01]\d(?::?\d{2})?)", "Zone offset"),
    ("Z", r"(?P<Z>Z|[A-Z]{3,5})", "Zone name"),
];

/// What people write who know strftime(3), and what says it here.
const OTHERWISE: [(&str, &str); 9] = [
    ("F", "%Y-%m-%d"),
    ("T", "%H:%M:%S"),
    ("D", "%m/%d/%y"),
    ("R", "%H:%M"),
    ("e", "%d"),
    ("h", "%b"),
    ("s", "{EPOCH}"),
    ("Exb", "%b"),
    ("Exp", "%p"),
];

/// Whether all codes are known, and a day has its month.
///
/// # Errors
/// What is wrong. fail2ban refuses an unknown code too, and stumbles over a day without a month at each line.
pub(super) fn check(text: &str) -> Result<(), String> {
    let mut known = Vec::new();
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once('%') {
        if let Some(behind) = behind.strip_prefix('%') {
            rest = behind;
            continue;
        }
        let Some((code, _, _)) = CODES.iter().find(|(code, _, _)| behind.starts_with(code)) else {
            let length = if behind.starts_with("Ex") { 3 } else { 1 };
            let code: String = behind.chars().take(length).collect();
            let instead = match OTHERWISE.iter().find(|(other, _)| *other == code) {
                Some((_, instead)) => format!("; write `{instead}`"),
                None => "; a percent sign is `%%`".to_owned(),
            };
            return Err(format!("`%{code}` is no code of a date{instead}"));
        };
        known.push(*code);
        rest = behind.get(code.len()..).unwrap_or("");
    }
    let has = |codes: &[&str]| known.iter().any(|code| codes.contains(code));
    match (has(&["d", "Exd", "c", "x"]), has(&["m", "Exm", "b", "B", "c", "x"])) {
        (true, false) => Err("a day without its month tells no date".to_owned()),
        (false, true) => Err("a month without its day tells no date".to_owned()),
        _ => Ok(()),
    }
}

/// The expression of a pattern.
pub(super) fn put(text: &str, out: &mut String) {
    each_code(text, out, |(_, expression, _)| expression);
}

/// What reports call it.
pub(super) fn put_names(text: &str, out: &mut String) {
    each_code(text, out, |(_, _, name)| name);
}

fn each_code(
    text: &str,
    out: &mut String,
    pick: impl Fn(&(&'static str, &'static str, &'static str)) -> &'static str,
) {
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        out.push_str(before);
        rest = behind;
        if let Some(behind) = behind.strip_prefix('%') {
            out.push('%');
            rest = behind;
        } else if let Some(code) = CODES.iter().find(|(code, _, _)| behind.starts_with(code)) {
            out.push_str(pick(code));
            rest = behind.get(code.0.len()..).unwrap_or("");
        } else {
            out.push('%');
        }
    }
    out.push_str(rest);
}
