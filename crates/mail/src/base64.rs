//! Base64 (RFC 4648 §4): SASL over SMTP, contents of files in tables.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// With padding, without line breaks.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| (bits << 8) | usize::from(*three.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let digit = ALPHABET.get((bits >> (18 - 6 * at)) & 63).copied().unwrap_or(b'=');
            out.push(char::from(if at <= three.len() { digit } else { b'=' }));
        }
    }
    out
}

/// What a digit stands for.
#[must_use]
pub(crate) const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// Digits on their way to bytes: six bits each, a byte whenever there are eight.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Digits {
    bits: u32,
    count: u32,
}

impl Digits {
    /// One more digit; the byte that it completes.
    pub(crate) fn push(&mut self, digit: u8) -> Option<u8> {
        self.bits = ((self.bits << 6) | u32::from(digit)) & 0x00ff_ffff;
        self.count += 6;
        if self.count < 8 {
            return None;
        }
        self.count -= 8;
        let [.., byte] = (self.bits >> self.count).to_be_bytes();
        Some(byte)
    }
}

/// `None` where it isn't base64.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let plain = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let (mut out, mut digits) = (Vec::with_capacity(plain.len()), Digits::default());
    for byte in plain.bytes() {
        out.extend(digits.push(digit(byte)?));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 4648 §10.
    #[test]
    fn both_ways() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(plain.as_bytes()), coded);
            assert_eq!(decode(coded).as_deref(), Some(plain.as_bytes()));
        }
        let bytes = b"\xff\xfe\xfd\0";
        assert_eq!(encode(bytes), "//79AA==");
        assert_eq!(decode("//79AA==").as_deref(), Some(&bytes[..]));
        for bad in ["Z", "a", "Zg", "Zg=", "!!!!", "Z!==", "Z===", "=Zg="] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_survived(text: String) {
            let _ = decode(&text);
        }
    }
}
