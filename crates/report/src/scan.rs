//! Small steps over a line's bytes, each giving `None` instead of failing. Doesn't allocate.

use memchr::{memchr, memchr_iter, memmem};

/// What stands before and behind the first `mark`.
#[expect(
    clippy::inline_always,
    reason = "the mark is known where it is called: its length and first byte fold away"
)]
#[inline(always)]
pub(crate) fn cut<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = find(text, mark)?;
    Some((text.get(..at)?, text.get(at.checked_add(mark.len())?..)?))
}

/// Where the first `mark` stands. A mark that ends with `<` or begins with `:` is looked for by that byte, which
/// is quicker than to make a searcher for each line.
#[expect(clippy::inline_always, reason = "as above")]
#[inline(always)]
pub(crate) fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    let (byte, back) = match mark {
        [b':', ..] => (b':', 0),
        [.., b'<'] => (b'<', mark.len().saturating_sub(1)),
        _ => return memmem::find(text, mark),
    };
    memchr_iter(byte, text)
        .filter_map(|at| at.checked_sub(back))
        .find(|&at| text.get(at..).is_some_and(|rest| rest.starts_with(mark)))
}

/// What stands before and behind the first `mark`, which is one byte.
#[inline]
pub(crate) fn cut_at(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    split_one(text, memchr(mark, text)?)
}

/// What stands before and behind the one byte at `at`.
#[inline]
pub(crate) fn split_one(text: &[u8], at: usize) -> Option<(&[u8], &[u8])> {
    Some((text.get(..at)?, text.get(at.checked_add(1)?..)?))
}

/// Whether both are the same, eight bytes at a time: most names are too short for a call to be worth it.
#[inline]
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (ones, one) = one.as_chunks::<8>();
    let (others, other) = other.as_chunks::<8>();
    ones.iter().zip(others).all(|(one, other)| u64::from_ne_bytes(*one) == u64::from_ne_bytes(*other))
        && one.iter().zip(other).all(|(one, other)| one == other)
}

/// What follows `start`, where `text` begins with it.
#[inline]
pub(crate) fn behind<'a>(text: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    let (begin, rest) = text.split_at_checked(start.len())?;
    same(begin, start).then_some(rest)
}

/// What stands before a place that was found; all where none was.
#[inline]
pub(crate) fn before(text: &[u8], found: Option<usize>) -> &[u8] {
    found.and_then(|at| text.get(..at)).unwrap_or(text)
}

/// Splits before the first byte that `stop` likes.
#[inline]
pub(crate) fn span(text: &[u8], stop: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| stop(byte)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, b""))
}

/// Decimal digits at the start and what follows them; `None` where there are none, or more than nineteen.
#[inline]
pub(crate) fn digits(text: &[u8]) -> Option<(u64, &[u8])> {
    let (digits, rest) = span(text, |byte| !byte.is_ascii_digit());
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let value = digits
        .iter()
        .fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit.wrapping_sub(b'0'))));
    Some((value, rest))
}

/// Exactly two digits.
#[inline]
pub(crate) fn two(text: &[u8]) -> Option<(u8, &[u8])> {
    let ([tens, ones], rest) = text.split_first_chunk::<2>()?;
    if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return None;
    }
    Some(((tens - b'0') * 10 + (ones - b'0'), rest))
}
/// Without the tag that syslogd of Solaris and illumos puts before a text: `[ID 197553 mail.info] `.
pub(crate) fn untagged(text: &[u8]) -> &[u8] {
    let behind = || {
        let (number, rest) = span(text.strip_prefix(b"[ID ")?, |byte| !byte.is_ascii_digit());
        let (name, rest) = cut_at(rest.strip_prefix(b" ")?, b']')?;
        rest.strip_prefix(b" ").filter(|_| !number.is_empty() && !name.is_empty())
    };
    behind().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        for (text, expect) in [
            (&b"[ID 197553 mail.info] x"[..], &b"x"[..]),
            (b"[ID 1  ] [ID 1 x] x", b"[ID 1 x] x"),
            (b"[ID 1 ] x", b"[ID 1 ] x"),
            (b"[ID 1] x", b"[ID 1] x"),
            (b"[ID 1x y] x", b"[ID 1x y] x"),
            (b"[ID  1 y] x", b"[ID  1 y] x"),
            (b"[ID y] x", b"[ID y] x"),
            (b"[ID 1 y]x", b"[ID 1 y]x"),
            (b"[ID 1 y", b"[ID 1 y"),
            (b"", b""),
        ] {
            assert_eq!(untagged(text), expect);
        }
    }
}
