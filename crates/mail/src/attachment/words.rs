//! Text as somebody's program would show it: RFC 2047 words, RFC 2231 percent signs, odd charsets.
//!
//! Lenient on purpose: words without their end, in quotes, with blanks inside are read, as some mail programs read
//! them. Charsets that hold ASCII as ASCII need no table here, as names are judged by their ASCII; UTF-16 and UTF-7 are
//! turned into text. RFC 2047, RFC 2231 §4, RFC 2152; T1.15.

use crate::base64::Digits;

/// Decodes base64 leniently: what is no digit is skipped, padding too.
pub(super) fn base64(text: &[u8], out: &mut Vec<u8>) {
    let mut digits = Digits::default();
    out.extend(text.iter().filter_map(|byte| digits.push(digit(*byte)?)));
}

/// What a base64 digit stands for; those of the URL alphabet too.
pub(super) const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'-' => Some(62),
        b'_' => Some(63),
        _ => crate::base64::digit(byte),
    }
}

/// The lowest eight bits.
pub(super) fn low_byte(bits: u32) -> u8 {
    let [.., low] = bits.to_be_bytes();
    low
}

pub(super) fn hex(high: u8, low: u8) -> Option<u8> {
    let of = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((of(high)? << 4) | of(low)?)
}

/// `%41` and, with `sign` `=`, quoted-printable's `=41`; what is no such thing stays.
pub(super) fn unescaped(text: &[u8], sign: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first == sign
            && let Some(([high, low], after)) = behind.split_first_chunk::<2>()
            && let Some(byte) = hex(*high, *low)
        {
            out.push(byte);
            rest = after;
        } else {
            out.push(first);
        }
    }
    out
}

/// The text with its encoded words decoded; blanks between two of them go.
pub(super) fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut behind_word = false;
    while let Some(at) = find(rest, b"=?") {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        let Some((word, after)) = word(from) else {
            let (sign, after) = from.split_at_checked(2).unwrap_or((from, &[]));
            out.extend_from_slice(before);
            out.extend_from_slice(sign);
            (rest, behind_word) = (after, false);
            continue;
        };
        if !behind_word || !before.iter().all(u8::is_ascii_whitespace) {
            out.extend_from_slice(before);
        }
        out.extend_from_slice(&word);
        (rest, behind_word) = (after, true);
    }
    out.extend_from_slice(rest);
    out
}

/// A word at the beginning of `text`, and what stands behind it.
fn word(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let text = text.strip_prefix(b"=?")?;
    let at = memchr::memchr(b'?', text)?;
    let (charset, rest) = text.split_at_checked(at)?;
    // RFC 2231 §5: a language may stand behind the charset.
    let charset = charset.split(|byte| *byte == b'*').next()?.trim_ascii();
    let rest = rest.get(1..)?;
    let at = memchr::memchr(b'?', rest)?;
    let (kind, rest) = rest.split_at_checked(at)?;
    let kind = kind.trim_ascii();
    let rest = rest.get(1..)?;
    // A word without its end goes on to the end, as some programs have it.
    let end = find(rest, b"?=").unwrap_or(rest.len());
    let (body, behind) = rest.split_at_checked(end)?;
    let behind = behind.get(2..).unwrap_or_default();
    let mut bytes = Vec::new();
    if kind.eq_ignore_ascii_case(b"b") {
        base64(body, &mut bytes);
    } else if kind.eq_ignore_ascii_case(b"q") {
        let spaced: Vec<u8> = body.iter().map(|byte| if *byte == b'_' { b' ' } else { *byte }).collect();
        bytes = unescaped(&spaced, b'=');
    } else {
        return None;
    }
    Some((in_charset(charset, bytes), behind))
}

/// Bytes of a charset as text whose ASCII is ASCII.
pub(super) fn in_charset(charset: &[u8], bytes: Vec<u8>) -> Vec<u8> {
    let name = charset.to_ascii_lowercase();
    match name.as_slice() {
        b"utf-16" | b"utf16" | b"utf-16le" | b"utf-16be" | b"ucs-2" | b"iso-10646-ucs-2" | b"unicode" => {
            utf16(&bytes, name.ends_with(b"le"))
        }
        b"utf-32" | b"utf-32le" | b"utf-32be" | b"ucs-4" => bytes.into_iter().filter(|b| *b != 0).collect(),
        b"utf-7" | b"utf7" | b"unicode-1-1-utf-7" | b"x-unicode-2-0-utf-7" => utf7(&bytes),
        _ => bytes,
    }
}

fn utf16(bytes: &[u8], little: bool) -> Vec<u8> {
    let (bytes, little) = match bytes {
        [0xff, 0xfe, rest @ ..] => (rest, true),
        [0xfe, 0xff, rest @ ..] => (rest, false),
        // Without a mark the zeros of ASCII tell.
        [first, 0, ..] if *first != 0 => (bytes, true),
        _ => (bytes, little),
    };
    let units = bytes.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok());
    let units = units.map(|pair| if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) });
    let text: String =
        char::decode_utf16(units).map(|one| one.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    text.into_bytes()
}

fn utf7(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first != b'+' {
            out.push(first);
            continue;
        }
        let end = behind.iter().position(|byte| digit(*byte).is_none() || *byte == b'-');
        let (run, after) = behind.split_at_checked(end.unwrap_or(behind.len())).unwrap_or((behind, &[]));
        if run.is_empty() {
            out.push(b'+');
        } else {
            let mut units = Vec::new();
            base64(run, &mut units);
            out.extend_from_slice(&utf16(&units, false));
        }
        rest = after.strip_prefix(b"-").unwrap_or(after);
    }
    out
}

pub(super) fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, what)
}
