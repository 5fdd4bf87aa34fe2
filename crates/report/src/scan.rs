//! Small steps over a line's bytes, each giving `None` instead of failing. Doesn't allocate.

use memchr::{memchr, memchr_iter, memmem};

const EACH: u64 = 0x0101_0101_0101_0101;
/// So many times eight bytes are looked through in place before a search is called.
const NEAR: usize = 3;

/// The first `byte`, most of which stand near the start: what is called for far ones costs more than to find those.
#[expect(clippy::inline_always, reason = "a call is what is saved")]
#[inline(always)]
pub(crate) fn near(text: &[u8], byte: u8) -> Option<usize> {
    let (chunks, tail) = text.as_chunks::<8>();
    let mask = EACH * u64::from(byte);
    for (number, chunk) in chunks.iter().take(NEAR).enumerate() {
        // Of a byte that is 0, the highest bit is set; above the first one it may be set of others too.
        let differs = u64::from_le_bytes(*chunk) ^ mask;
        let found = differs.wrapping_sub(EACH) & !differs & (EACH << 7);
        if found != 0 {
            return Some(number * 8 + (found.trailing_zeros() / 8) as usize);
        }
    }
    if chunks.len() > NEAR {
        return memchr(byte, text.get(NEAR * 8..)?).map(|at| at + NEAR * 8);
    }
    tail.iter().position(|&other| other == byte).map(|at| at + chunks.len() * 8)
}

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
    let begins = |at: &usize| text.get(*at..).is_some_and(|rest| rest.starts_with(mark));
    let first = near(text, byte)?;
    if let Some(at) = first.checked_sub(back).filter(begins) {
        return Some(at);
    }
    let rest = text.get(first + 1..)?;
    memchr_iter(byte, rest).filter_map(|at| (first + 1 + at).checked_sub(back)).find(begins)
}

/// What stands before and behind the first `mark`, which is one byte.
#[inline]
pub(crate) fn cut_at(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    split_one(text, near(text, mark)?)
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
    // What is over behind the last eight is looked at with some bytes of these once more.
    if let (Some(ones), Some(others)) = (one.last_chunk::<8>(), other.last_chunk::<8>()) {
        let eights = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
        return u64::from_ne_bytes(*ones) == u64::from_ne_bytes(*others)
            && eights.into_iter().all(|(one, other)| u64::from_ne_bytes(*one) == u64::from_ne_bytes(*other));
    }
    if let (Some(ones), Some(others)) = (one.last_chunk::<4>(), other.last_chunk::<4>()) {
        return u32::from_ne_bytes(*ones) == u32::from_ne_bytes(*others)
            && one.first_chunk::<4>() == other.first_chunk::<4>();
    }
    one.iter().zip(other).all(|(one, other)| one == other)
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

/// `12:34:56` at the start: three times two digits.
#[inline]
pub(crate) fn clock(text: &[u8]) -> Option<([u8; 3], &[u8])> {
    const COLONS: u64 = u64::from_le_bytes(*b"\0\0:\0\0:\0\0");
    const ZEROS: u64 = u64::from_le_bytes(*b"00\x0000\x0000");
    const DIGITS: u64 = u64::from_le_bytes(*b"\xff\xff\0\xff\xff\0\xff\xff");
    const HIGH: u64 = EACH * 0xf0;
    let (bytes, rest) = text.split_first_chunk::<8>()?;
    let all = u64::from_le_bytes(*bytes);
    let digits = all & DIGITS;
    // Of a digit the upper half is 3, and still is where 6 is added; a byte above 249 is no digit before that.
    let is_clock =
        all & !DIGITS == COLONS && digits & HIGH == ZEROS && (digits + ((EACH * 6) & DIGITS)) & HIGH == ZEROS;
    let [h, i, _, m, n, _, s, t] = *bytes;
    let two = |tens: u8, ones: u8| (tens & 15) * 10 + (ones & 15);
    is_clock.then(|| ([two(h, i), two(m, n), two(s, t)], rest))
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
    fn what_is_near_and_what_is_far() {
        for length in 0..70 {
            let mut text = vec![b'a'; length];
            assert_eq!(near(&text, b'x'), None);
            for at in 0..length {
                for byte in [0, b'x', b'x' ^ 0x80, 0xff] {
                    text.fill(byte ^ 1);
                    text[at..].fill(byte);
                    assert_eq!(near(&text, byte), Some(at), "{byte} at {at} of {length}");
                    assert_eq!(near(&text, byte ^ 2), None);
                }
            }
        }
        assert_eq!(find(b":a:: x: ", b": "), Some(3));
        assert_eq!(find(b"<to=< to=<", b"to=<"), Some(1));
        assert_eq!(find(b"<<to=", b"to=<"), None);
    }

    #[test]
    fn same_or_not() {
        for length in 0..40_usize {
            let one: Vec<u8> = (0..length).map(|at| u8::try_from(at).unwrap()).collect();
            assert!(same(&one, &one.clone()) && !same(&one, &[&one[..], b"x"].concat()));
            for at in 0..length {
                let mut other = one.clone();
                other[at] ^= 0x40;
                assert!(!same(&one, &other), "{at} of {length}");
            }
        }
    }

    #[test]
    fn clocks() {
        assert_eq!(clock(b"01:55:03 x"), Some(([1, 55, 3], &b" x"[..])));
        assert_eq!(clock(b"99:99:99"), Some(([99, 99, 99], &b""[..])));
        let good = *b"09:18:27";
        for at in 0..8 {
            for byte in 0..=u8::MAX {
                let mut text = good;
                text[at] = byte;
                let is_clock = if at % 3 == 2 { byte == b':' } else { byte.is_ascii_digit() };
                assert_eq!(clock(&text).is_some(), is_clock, "{byte} at {at}");
            }
            assert_eq!(clock(&good[..at]), None);
        }
    }

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
