//! Small steps over a text, each giving `None` instead of failing.
//!
//! Numbers are read only as we would write them (no sign, no leading zero): so whatever was read is written
//! back byte for byte, and what isn't canonical falls through to a raw text. Doesn't allocate.

/// What stands before and behind the first `mark`.
pub(crate) fn until<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let at = find(text, mark)?;
    Some((text.get(..at)?, text.get(at.checked_add(mark.len())?..)?))
}

/// Where the first `mark` stands. By its first byte: marks are short, and to make a searcher takes longer.
pub(crate) fn find(text: &str, mark: &str) -> Option<usize> {
    let (bytes, mark) = (text.as_bytes(), mark.as_bytes());
    let Some(first) = mark.first() else { return Some(0) };
    memchr::memchr_iter(*first, bytes).find(|&at| bytes.get(at..).is_some_and(|rest| rest.starts_with(mark)))
}

/// What stands before and behind the last `mark`.
pub(crate) fn until_last<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    text.rsplit_once(mark)
}

/// A decimal number in its one spelling.
pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    if digits && canonical { text.parse().ok() } else { None }
}

/// Splits at the first byte that `stop` likes; the byte stays with the second part.
pub(crate) fn span(text: &str, stop: impl Fn(u8) -> bool) -> Option<(&str, &str)> {
    let end = text.bytes().position(stop).unwrap_or(text.len());
    text.split_at_checked(end)
}

/// A number at the start and what follows it.
pub(crate) fn leading_number<T: std::str::FromStr>(text: &str) -> Option<(T, &str)> {
    let (digits, rest) = span(text, |b| !b.is_ascii_digit())?;
    Some((number(digits)?, rest))
}

/// Whether `text` looks like a queue id: letters and digits, 5 to 24 of them.
pub(crate) fn is_queue_id(text: &str) -> bool {
    (5..=24).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A queue id before `: ` and the rest; `NOQUEUE` is one too.
pub(crate) fn queue_id(text: &str) -> Option<(&str, &str)> {
    let (id, rest) = span(text, |b| b == b':')?;
    let rest = rest.strip_prefix(": ")?;
    is_queue_id(id).then_some((id, rest))
}

/// An address in angle brackets at the start of `text`, without them, and the rest. A `>` between quotes
/// doesn't end it; where no end follows, the first `>` does.
pub(crate) fn angled(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('<')?;
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return split_one(inner, at),
            _ => {}
        }
    }
    let at = inner.find('>')?;
    split_one(inner, at)
}

/// `text` before and behind the one byte at `at`.
pub(crate) fn split_one(text: &str, at: usize) -> Option<(&str, &str)> {
    Some((text.get(..at)?, text.get(at.checked_add(1)?..)?))
}
