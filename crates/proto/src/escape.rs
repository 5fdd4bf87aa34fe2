//! Bytes of a client as log lines show them: C escapes, as Postfix writes them.

/// Printable ASCII as it is, the rest as C escapes: `\r\n`, `\000`.
#[must_use]
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            0x07 => text.push_str("\\a"),
            0x08 => text.push_str("\\b"),
            0x0b => text.push_str("\\v"),
            0x0c => text.push_str("\\f"),
            0x20..=0x7e => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\{byte:03o}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes() {
        for (bytes, expect) in [
            (&b"EHLO x\r\n"[..], "EHLO x\\r\\n"),
            (b"\0\xff \\\"", "\\000\\377 \\\\\""),
            (b"\x07\x08\t\x0b\x0c\x1b", "\\a\\b\\t\\v\\f\\033"),
        ] {
            assert_eq!(escaped(bytes), expect);
        }
    }
}
