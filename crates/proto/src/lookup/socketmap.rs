//! socketmap_table(5): netstrings, `NAME KEY` one way and `OK VALUE`, `NOTFOUND`, `TEMP`, `TIMEOUT` or `PERM` back.
//!
//! A reply's text is at most [`REPLY_BYTES_MAX`] bytes; a longer one is refused as soon as its length is known.

use super::{Reading, Said};

/// The longest reply, its netstring's length and commas apart.
pub const REPLY_BYTES_MAX: usize = 100_000;

/// A length with more digits than any that is allowed, leading zeros and all.
const LENGTH_BYTES_MAX: usize = 32;

/// Why bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Longer than [`REPLY_BYTES_MAX`].
    #[error("input exceeds size limit")]
    TooLong,
    /// No netstring, or with a NUL in it.
    #[error("input format error")]
    Format,
}

/// The request for `key` in the map `name`.
#[must_use]
pub fn request(name: &str, key: &str) -> Vec<u8> {
    let length = name.len().saturating_add(1).saturating_add(key.len());
    format!("{length}:{name} {key},").into_bytes()
}

/// Reads a reply from what has come so far.
#[must_use]
pub fn read(bytes: &[u8]) -> Reading<ReplyError> {
    let mut length = 0_usize;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' if at < LENGTH_BYTES_MAX => {
                length = length.saturating_mul(10).saturating_add(usize::from(byte - b'0'));
                if length > REPLY_BYTES_MAX {
                    return Reading::Broken(ReplyError::TooLong);
                }
            }
            b':' if at > 0 => return text(bytes, at.saturating_add(1), length),
            _ => return Reading::Broken(ReplyError::Format),
        }
    }
    Reading::More
}

fn text(bytes: &[u8], start: usize, length: usize) -> Reading<ReplyError> {
    let end = start.saturating_add(length);
    match bytes.get(end) {
        None => return Reading::More,
        Some(b',') => {}
        Some(_) => return Reading::Broken(ReplyError::Format),
    }
    let text = bytes.get(start..end).unwrap_or_default();
    if text.contains(&0) {
        return Reading::Broken(ReplyError::Format);
    }
    Reading::Reply(said(&String::from_utf8_lossy(text)), end.saturating_add(1))
}

fn said(reply: &str) -> Said {
    let (status, text) = reply.split_once(' ').map_or((reply, None), |(status, text)| (status, Some(text)));
    let failed = |what: &str| {
        let text = text.filter(|text| !text.is_empty()).map(|text| format!(": {text}")).unwrap_or_default();
        Said::Failed(format!("socketmap server {what} error{text}"))
    };
    match status {
        // "OK" alone finds nothing.
        "OK" => text.map_or(Said::NotFound, |text| Said::Found(text.to_owned())),
        "NOTFOUND" => Said::NotFound,
        "TEMP" => failed("temporary"),
        "TIMEOUT" => failed("timeout"),
        "PERM" => failed("permanent"),
        _ => failed("unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        assert_eq!(request("nm", "a key"), b"8:nm a key,");
        assert_eq!(request("nm", ""), b"3:nm ,");
        assert_eq!(request("nm", "é"), "5:nm é,".as_bytes());
    }

    #[test]
    fn replies() {
        let check = |reply: &str, expect: Said| {
            let bytes = format!("{}:{reply},", reply.len());
            assert_eq!(read(bytes.as_bytes()), Reading::Reply(expect, bytes.len()), "{reply:?}");
        };
        let failed = |why: &str| Said::Failed(format!("socketmap server {why}"));
        check("OK foo", Said::Found("foo".into()));
        check("OK foo b", Said::Found("foo b".into()));
        check("OK ", Said::Found(String::new()));
        check("OK", Said::NotFound);
        check("NOTFOUND ", Said::NotFound);
        check("NOTFOUND", Said::NotFound);
        check("TEMP try", failed("temporary error: try"));
        check("TIMEOUT try", failed("timeout error: try"));
        check("PERM try", failed("permanent error: try"));
        check("PERM ", failed("permanent error"));
        check("PERM", failed("permanent error"));
        check("WHAT ", failed("unknown error"));
        check("ok foo", failed("unknown error: foo"));
        check("", failed("unknown error"));
    }

    #[test]
    fn netstrings() {
        let check = |bytes: &str, expect: Reading<ReplyError>| {
            assert_eq!(read(bytes.as_bytes()), expect, "{bytes:?}")
        };
        let foo = |length| Reading::Reply(Said::Found("foo".into()), length);
        check("06:OK foo,", foo(10));
        check("6:OK foo,extra", foo(9));
        for part in ["", "6", "6:", "6:OK f", "6:OK foo", "100000:OK x"] {
            check(part, Reading::More);
        }
        for bad in ["garbage\n", ":OK foo,", "6:OK foo;", "-1:,", "7:OK a\0bc,", " 6:OK foo,"] {
            check(bad, Reading::Broken(ReplyError::Format));
        }
        for long in ["100001:", "999999999999999999999999", "100001:OK aaa"] {
            check(long, Reading::Broken(ReplyError::TooLong));
        }
        check(&"0".repeat(33), Reading::Broken(ReplyError::Format));
    }
}
