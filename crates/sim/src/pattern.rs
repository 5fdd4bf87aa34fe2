//! Expected text with volatile parts: `…` stands for anything within the line, `{id}` for a queue id,
//! `{time}` for a number of seconds, `{date}` for an RFC 5322 date, `{n}` for a number.
//!
//! No regular expressions: what else varies is better left out with `…`.

/// Whether `text` is what `pattern` describes.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    // What is equal needs no depth: lines may be long.
    let special = |c: char| c == '…' || c == '{';
    let plain = pattern.find(special).unwrap_or(pattern.len());
    let (plain, pattern) = pattern.split_at(plain);
    let Some(text) = text.strip_prefix(plain) else { return false };
    if let Some(rest) = pattern.strip_prefix('…') {
        let mut at = text;
        loop {
            if matches(rest, at) {
                return true;
            }
            let mut chars = at.chars();
            if chars.next().is_none() {
                return false;
            }
            at = chars.as_str();
        }
    }
    for (name, class) in CLASSES {
        if let Some(rest) = pattern.strip_prefix(name) {
            let length = text.chars().take_while(|&c| class(c)).count();
            return length > 0 && text.get(length..).is_some_and(|tail| matches(rest, tail));
        }
    }
    let mut expected = pattern.chars();
    let Some(first) = expected.next() else { return text.is_empty() };
    text.strip_prefix(first).is_some_and(|rest| matches(expected.as_str(), rest))
}

type Class = fn(char) -> bool;
const CLASSES: [(&str, Class); 4] = [
    ("{id}", |c| c.is_ascii_alphanumeric()),
    ("{time}", |c| c.is_ascii_digit() || c == '.' || c == '/' || c == 'e' || c == '-'),
    ("{date}", |c| c.is_ascii_alphanumeric() || ", :+-()".contains(c)),
    ("{n}", |c| c.is_ascii_digit()),
];

/// Compares lists of lines; a line `…` in `expected` stands for any number of lines.
#[must_use]
pub fn lines_match(expected: &[String], actual: &[String]) -> bool {
    match expected.split_first() {
        None => actual.is_empty(),
        Some((gap, rest)) if gap == "…" => {
            (0..=actual.len()).any(|skip| actual.get(skip..).is_some_and(|tail| lines_match(rest, tail)))
        }
        Some((line, rest)) => {
            actual.split_first().is_some_and(|(text, tail)| matches(line, text) && lines_match(rest, tail))
        }
    }
}

/// `text` with its volatile parts replaced, for writing expectations. `ids` are the queue ids seen.
#[must_use]
pub fn normalise(text: &str, ids: &[String]) -> String {
    let mut text = text.to_owned();
    for id in ids {
        text = text.replace(id.as_str(), "{id}");
    }
    for (before, after) in [("delay=", ", "), ("delays=", ", ")] {
        text = blank(&text, before, after, "{time}");
    }
    if text.contains(": message-id=<") && text.contains(".{id}@") {
        text = blank(&text, "message-id=<", "@", "….{id}").replace("….{id}", "{n}.{id}");
    }
    if text.starts_with("postfix/") && text.contains("/postscreen: ") {
        text = screen_normal(&text);
    }
    if text.contains("size=") && text.contains(", nrcpt=") {
        text = blank(&text, "size=", ",", "{n}");
    }
    text
}

/// A command to the next hop with the message's size, which hangs on the queue id's length, as a pattern.
#[must_use]
pub fn normal_command(text: &str) -> String {
    let Some((before, after)) = text.split_once(" SIZE=").filter(|_| text.starts_with("MAIL FROM:<")) else {
        return text.to_owned();
    };
    let digits = after.chars().take_while(char::is_ascii_digit).count();
    format!("{before} SIZE={{n}}{}", after.get(digits..).unwrap_or(""))
}

/// A line of postscreen with the client's port, which is chance, and times as patterns.
fn screen_normal(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    // The first `[address]:port` is the client's; behind it may stand what the client sent.
    if let Some((before, after)) = rest.split_once("]:") {
        let digits = after.chars().take_while(char::is_ascii_digit).count();
        out.push_str(before);
        out.push_str("]:{n}");
        rest = after.get(digits..).unwrap_or("");
    }
    out.push_str(rest);
    let (head, tail) = out.split_once(" from [").unwrap_or((&out, ""));
    match head.split_once(" after ") {
        Some((what, _)) if !tail.is_empty() => format!("{what} after {{time}} from [{tail}"),
        _ => out,
    }
}

/// `text` with what stands between `before` and `after` replaced, once.
fn blank(text: &str, before: &str, after: &str, by: &str) -> String {
    let cut = text.find(before).and_then(|at| {
        let start = at + before.len();
        let length = text.get(start..)?.find(after)?;
        Some((text.get(..start)?, text.get(start + length..)?))
    });
    cut.map_or_else(|| text.to_owned(), |(head, tail)| format!("{head}{by}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check =
            |pattern: &str, text: &str, expect: bool| assert_eq!(matches(pattern, text), expect, "{pattern}");
        check("220 …", "220 mx ESMTP", true);
        check("250 2.0.0 Ok: queued as {id}", "250 2.0.0 Ok: queued as 4Fx9", true);
        check("250 2.0.0 Ok: queued as {id}", "250 2.0.0 Ok: queued as ", false);
        check("a…c…", "abbcd", true);
        check("abc", "abcd", false);
        check("delays={time}, x", "delays=0.01/0/0.2/1, x", true);
    }

    #[test]
    fn lists() {
        let list = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(lines_match(&list("a … d"), &list("a b c d")));
        assert!(!lines_match(&list("a b d"), &list("a b c d")));
        assert!(!lines_match(&list("a …"), &list("b")));
    }

    #[test]
    fn normal_form() {
        let ids = ["AB12".to_owned()];
        assert_eq!(
            normalise("AB12: to=<a>, delay=0.1, delays=0/0/0/0, dsn=", &ids),
            "{id}: to=<a>, delay={time}, delays={time}, dsn="
        );
    }
}
