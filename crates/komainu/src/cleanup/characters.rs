//! `message_strip_characters`, `message_reject_characters`: bytes that no message is to have.
//!
//! They are looked for in every line as it comes, our own `Received:` among them, before anything else reads it: what is
//! stripped can be refused, too. Only the first line that is refused is logged, and what follows it isn't read.
//! Pure but for who calls it. postconf(5).

use config::Parameters;

/// A line is looked at in pieces of this many bytes (`line_length_limit`).
const PIECE_BYTES: usize = 2_048;
/// Bytes of it that are logged.
pub(super) const SHOWN_BYTES: usize = 200;

/// Both sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Characters {
    strip: Vec<u8>,
    reject: Vec<u8>,
}

impl Characters {
    /// Reads them; `None` where both are empty.
    #[must_use]
    pub fn read(p: &Parameters) -> Option<Characters> {
        let set = |name: &str| unescaped(&p.text(name).value);
        let found =
            Characters { strip: set("message_strip_characters"), reject: set("message_reject_characters") };
        (!found.strip.is_empty() || !found.reject.is_empty()).then_some(found)
    }

    /// What is left of a piece of the message.
    pub(super) fn stripped(&self, chunk: &[u8]) -> Vec<u8> {
        chunk.iter().copied().filter(|byte| !self.strip.contains(byte)).collect()
    }
}

/// The line that is being read.
#[derive(Debug, Default)]
pub(super) struct Line {
    text: Vec<u8>,
}

/// A line that is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// How much of the piece comes before the line.
    pub(super) before: usize,
    /// The line, as far as Postfix reads it in one go.
    pub(super) text: Vec<u8>,
}

impl Line {
    /// Looks through a piece, as far as the first line that is refused.
    pub(super) fn look(&mut self, characters: &Characters, chunk: &[u8]) -> Option<Refused> {
        if characters.reject.is_empty() {
            return None;
        }
        let mut before = 0;
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            let mut rest = part.strip_suffix(b"\n").unwrap_or(part);
            loop {
                let room = PIECE_BYTES.saturating_sub(self.text.len());
                let (taken, behind) = rest.split_at(room.min(rest.len()));
                self.text.extend_from_slice(taken);
                if taken.iter().any(|byte| characters.reject.contains(byte)) {
                    return Some(Refused { before, text: std::mem::take(&mut self.text) });
                }
                rest = behind;
                if rest.is_empty() {
                    break;
                }
                self.text.clear();
            }
            if part.ends_with(b"\n") {
                self.text.clear();
            }
            before = before.saturating_add(part.len());
        }
        None
    }
}

/// C's escapes: `\a`, `\t`, `\\`, `\177`.
fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some(escaped) = bytes.next() else { break };
        out.push(match escaped {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'0'..=b'7' => {
                let mut value = escaped - b'0';
                for _ in 0..2 {
                    let Some(digit) = bytes.next_if(|next| (b'0'..=b'7').contains(next)) else { break };
                    value = value.wrapping_mul(8).wrapping_add(digit - b'0');
                }
                value
            }
            other => other,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let check = |text: &str, expect: &[u8]| assert_eq!(unescaped(text), expect, "{text}");
        check("", b"");
        check(r"\0\a\177b", b"\0\x07\x7fb");
        check(r"\q\\\1z\18\", b"q\\\x01z\x018");
        check(r"\b\f\n\r\t\v", b"\x08\x0c\n\r\t\x0b");
    }

    #[test]
    fn lines() {
        let characters = Characters { strip: b"-".to_vec(), reject: b"%".to_vec() };
        assert_eq!(characters.stripped(b"a-b--\n-%"), b"ab\n%");
        let check = |message: &str, expect: Option<(usize, &str)>| {
            for size in [1, 3, 99_999] {
                let (mut line, mut done, mut found) = (Line::default(), 0, None);
                for chunk in message.as_bytes().chunks(size) {
                    if let Some(refused) = line.look(&characters, chunk) {
                        found = Some((done + refused.before, refused.text));
                        break;
                    }
                    done += chunk.len();
                }
                let found = found.map(|(at, text)| (at, String::from_utf8(text).unwrap()));
                let (at, text) = found.clone().unwrap_or_default();
                match expect {
                    None => assert_eq!(found, None, "{message} by {size}"),
                    // In pieces, a line's beginning has been passed on already.
                    Some((begin, shown)) => {
                        assert!(at >= begin && text.starts_with(shown), "{message} by {size}: {at} {text}");
                    }
                }
            }
        };
        check("ab\ncd\n", None);
        check("ab\nc%\ne%\n", Some((3, "c%")));
        check("%", Some((0, "%")));
        check(&format!("{}%z\n", "z".repeat(2048)), Some((0, "%")));
    }
}
