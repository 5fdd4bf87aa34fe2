//! What may stand in a log line: printable text (the peer's bytes may be anything).
//!
//! As Postfix: a control character, DEL, and each byte that is no part of UTF-8 becomes `?`; UTF-8 passes.

use std::borrow::Cow;
use std::fmt;

/// Whether `c` may stand in a log line.
fn is_printable(c: char) -> bool {
    u32::from(c) >= 0x20 && c != '\u{7f}'
}

/// Whether all of `text` may: what may not is one byte long. Without a branch, which the compiler makes quick.
fn all_printable(text: &str) -> bool {
    !text.bytes().fold(false, |found, byte| found | (byte < 0x20) | (byte == 0x7f))
}

/// `bytes` as text for the log.
#[must_use]
pub fn printable(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && all_printable(text)
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.extend(chunk.valid().chars().map(|c| if is_printable(c) { c } else { '?' }));
        out.extend(chunk.invalid().iter().map(|_| '?'));
    }
    Cow::Owned(out)
}

/// Writes on to `out` with `?` for each character that may not stand in a log line.
pub(crate) struct Printable<'o>(pub(crate) &'o mut dyn fmt::Write);

impl fmt::Write for Printable<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|b| b < 0x20 || b == 0x7f) {
            let Some((clean, tail)) = crate::scan::split_one(rest, at) else { break };
            self.0.write_str(clean)?;
            self.0.write_str("?")?;
            rest = tail;
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_marks() {
        for (bytes, expect) in [
            (&b"plain"[..], "plain"),
            (b"a\tb\r\n\0\x7f", "a?b????"),
            ("käse".as_bytes(), "käse"),
            (b"k\xe4se \xff\xfe", "k?se ??"),
            (b"\xe3\x81", "??"),
        ] {
            assert_eq!(printable(bytes), expect, "{bytes:?}");
        }
    }
}
