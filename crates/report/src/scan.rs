//! Small steps over a line's bytes, each giving `None` instead of failing. Doesn't allocate.

use memchr::{memchr, memmem};

/// What stands before and behind the first `mark`.
pub(crate) fn cut<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memmem::find(text, mark)?;
    Some((text.get(..at)?, text.get(at.checked_add(mark.len())?..)?))
}

/// What stands before and behind the first `mark`, which is one byte.
pub(crate) fn cut_at(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    split_one(text, memchr(mark, text)?)
}

/// What stands before and behind the one byte at `at`.
pub(crate) fn split_one(text: &[u8], at: usize) -> Option<(&[u8], &[u8])> {
    Some((text.get(..at)?, text.get(at.checked_add(1)?..)?))
}

/// Splits before the first byte that `stop` likes.
pub(crate) fn span(text: &[u8], stop: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| stop(byte)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, b""))
}

/// Decimal digits at the start and what follows them; `None` where there are none, or more than nineteen.
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
pub(crate) fn two(text: &[u8]) -> Option<(u8, &[u8])> {
    let ([tens, ones], rest) = text.split_first_chunk::<2>()?;
    if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return None;
    }
    Some(((tens - b'0') * 10 + (ones - b'0'), rest))
}

/// Whether `text` holds `mark`.
pub(crate) fn holds(text: &[u8], mark: &[u8]) -> bool {
    memmem::find(text, mark).is_some()
}
