//! One command line taken apart: verb, address argument, parameters, xtext (RFC 3461 §4), printable text.
//!
//! A word ends at white space; `"…"`, `\x` and `<…>` hide it. That is Postfix's reading of RFC 5321's
//! grammar, and wider than it.

use std::borrow::Cow;

/// Cuts off the first word; gives it and what follows, without the white space between.
pub(super) fn next_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(is_space);
    if text.is_empty() {
        return None;
    }
    let (mut quoted, mut bracketed, mut escaped) = (false, false, false);
    let end = text.char_indices().find(|&(_, c)| {
        if escaped {
            escaped = false;
            return false;
        }
        match c {
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            _ => return is_space(c) && !quoted && !bracketed,
        }
        false
    });
    let (word, rest) = text.split_at_checked(end.map_or(text.len(), |(at, _)| at)).unwrap_or((text, ""));
    Some((word, rest.trim_start_matches(is_space)))
}

/// Whether every quote and bracket that opens is closed. Where one isn't, Postfix refuses without a word in
/// the log.
pub(super) fn is_balanced(text: &str) -> bool {
    let (mut quoted, mut bracketed, mut escaped) = (false, false, false);
    for c in text.chars() {
        match c {
            _ if escaped => {
                escaped = false;
                continue;
            }
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            _ => {}
        }
    }
    !quoted && !bracketed
}

/// White space in a command.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\x0b' | '\x0c')
}

/// The verb and its argument text.
pub(crate) fn verb(line: &str) -> (&str, &str) {
    let line = line.trim_matches(is_space);
    let end = line.find(is_space).unwrap_or(line.len());
    let (verb, rest) = line.split_at_checked(end).unwrap_or((line, ""));
    (verb, rest.trim_start_matches(is_space))
}

/// `FROM:<address> parameters`: the address word and the parameters; `None` where it isn't of that form.
pub(super) fn address_argument<'a>(text: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (head, rest) = text.split_at_checked(keyword.len())?;
    if !head.eq_ignore_ascii_case(keyword) {
        return None;
    }
    next_word(rest)
}

/// Decodes xtext; `None` where it isn't that.
pub fn decode_xtext(text: &str) -> Option<String> {
    if !text.contains('+') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'+' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whether Postfix takes this word for a message header's label (`Subject:`).
pub(crate) fn is_header_label(word: &str) -> bool {
    word.split_once(':')
        .is_some_and(|(name, _)| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()))
}

/// `text` with what can't be shown as `?`.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let unprintable = |c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER;
    if text.chars().any(unprintable) {
        Cow::Owned(text.chars().map(|c| if unprintable(c) { '?' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// `text` with what has a meaning in headers and log lines as `?`, as Postfix keeps HELO names.
pub(super) fn neutered(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || " <>()\\\";@".contains(c) { '?' } else { c }).collect()
}

/// At most 100 bytes, with C escapes, as Postfix shows early input.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    crate::escape::escaped(bytes.get(..100).unwrap_or(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(next_word(" <a b> c"), Some(("<a b>", "c")));
        assert_eq!(next_word("\"a b\"@c  d"), Some(("\"a b\"@c", "d")));
        assert_eq!(next_word("<Foo <a@b>> x"), Some(("<Foo <a@b>>", "x")));
        assert_eq!(next_word("a\\ b c"), Some(("a\\ b", "c")));
        assert_eq!(next_word("  "), None);
        assert_eq!(address_argument("from: <a> X", "FROM:"), Some(("<a>", "X")));
        assert_eq!(address_argument("FROM :<a>", "FROM:"), None);
    }

    #[test]
    fn xtext() {
        for (text, expect) in [
            ("a", Some("a")),
            ("a+40b", Some("a@b")),
            ("a+zz", None),
            ("a+4", None),
            ("+C3+B6", Some("ö")),
            ("+FF", None),
        ] {
            assert_eq!(decode_xtext(text).as_deref(), expect, "{text}");
        }
    }

    #[test]
    fn header_labels() {
        for (word, expect) in [("Subject:", true), ("a:b", true), (":", false), ("NOOP", false)] {
            assert_eq!(is_header_label(word), expect, "{word}");
        }
    }
}
