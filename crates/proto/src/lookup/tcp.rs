//! tcp_table(5): `get KEY`, and `200 VALUE`, `500 TEXT` for "no such key" or `400 TEXT` for "not now".
//!
//! `%`, white space and what isn't printable ASCII travel as `%XX`. A reply is one line of at most
//! [`REPLY_BYTES_MAX`] bytes with its newline. A value ends at its first NUL, as Postfix's strings do.

use super::{Reading, Said};

/// The longest reply, its newline included.
pub const REPLY_BYTES_MAX: usize = 4096;

/// How much of a bad reply is quoted.
const QUOTED_BYTES_MAX: usize = 100;

/// The request for `key`.
#[must_use]
pub fn request(key: &str) -> Vec<u8> {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    let mut request = "get ".to_owned();
    for byte in key.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            request.push(char::from(byte));
        } else {
            request.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    request.push('\n');
    request.into_bytes()
}

/// `text` without its `%XX`; `None` where a `%` stands for nothing.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    let nibble = |byte: Option<u8>| {
        byte.and_then(|byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok())
    };
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (nibble(bytes.next())?, nibble(bytes.next())?);
            decoded.push((high << 4) | low);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

/// Reads a reply from what has come so far.
#[must_use]
pub fn read(bytes: &[u8]) -> Reading<TooLong> {
    let Some(end) = bytes.iter().take(REPLY_BYTES_MAX).position(|&byte| byte == b'\n') else {
        return if bytes.len() >= REPLY_BYTES_MAX { Reading::Broken(TooLong) } else { Reading::More };
    };
    Reading::Reply(said(bytes.get(..end).unwrap_or_default()), end.saturating_add(1))
}

/// A reply has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("text longer than {REPLY_BYTES_MAX}")]
pub struct TooLong;

fn said(line: &[u8]) -> Said {
    let quoted = || {
        let line = line.get(..QUOTED_BYTES_MAX).unwrap_or(line);
        String::from_utf8_lossy(line).into_owned()
    };
    let malformed = || Said::Failed(format!("malformed reply: {}", quoted()));
    let Some((code, [b' ' | b'\t' | b'\r' | 0x0b | 0x0c, text @ ..])) = line.split_at_checked(3) else {
        return malformed();
    };
    if !code.iter().all(u8::is_ascii_digit) {
        return malformed();
    }
    let Some(text) = decode(text) else { return malformed() };
    match code {
        b"200" => Said::Found(c_text(&text)),
        b"500" => Said::NotFound,
        b"400" => Said::Failed(String::new()),
        _ => Said::Failed(format!("bad status code: {}", quoted())),
    }
}

/// Up to the first NUL, as text.
fn c_text(bytes: &[u8]) -> String {
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let check = |key: &str, expect: &str| assert_eq!(request(key), expect.as_bytes(), "{key:?}");
        check("key", "get key\n");
        check("KEY+x@a.b", "get KEY+x@a.b\n");
        check("a b%c", "get a%20b%25c\n");
        check("\u{1}\u{7f}é\n", "get %01%7F%C3%A9%0A\n");
        check("", "get \n");
    }

    #[test]
    fn replies() {
        let check = |reply: &str, expect: Said| {
            assert_eq!(read(reply.as_bytes()), Reading::Reply(expect, reply.len()), "{reply:?}");
        };
        let found = |value: &str| Said::Found(value.to_owned());
        let failed = |why: &str| Said::Failed(why.to_owned());
        check("200 x%20y%41\n", found("x yA"));
        check("200 a b c\n", found("a b c"));
        check("200  a\n", found(" a"));
        check("200\tx\n", found("x"));
        check("200 \n", found(""));
        check("200 a\r\n", found("a\r"));
        check("200 %41%4a%0a\n", found("AJ\n"));
        check("200 a%00b\n", found("a"));
        check("500 nothing\n", Said::NotFound);
        check("400 later\n", failed(""));
        check("300 foo\n", failed("bad status code: 300 foo"));
        check("500 a%zz\n", failed("malformed reply: 500 a%zz"));
        for bad in ["200", "", "foo", "2000 abc", "200x abc", "200 a%zz", "200 a%4", "x00 a"] {
            check(&format!("{bad}\n"), failed(&format!("malformed reply: {bad}")));
        }
        let (long, cut) = ("y".repeat(200), "y".repeat(100));
        check(&format!("{long}\n"), failed(&format!("malformed reply: {cut}")));
    }

    #[test]
    fn lengths() {
        let line = |value: usize| format!("200 {}\n", "a".repeat(value)).into_bytes();
        assert!(matches!(read(&line(4091)), Reading::Reply(Said::Found(_), 4096)));
        assert_eq!(read(&line(4092)), Reading::Broken(TooLong));
        assert_eq!(read(b"200 par"), Reading::More);
        assert_eq!(read(b""), Reading::More);
        assert_eq!(TooLong.to_string(), "text longer than 4096");
    }
}
