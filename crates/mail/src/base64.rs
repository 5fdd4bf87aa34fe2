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

/// `None` where it isn't base64.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let plain = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let (mut out, mut bits, mut count) = (Vec::with_capacity(plain.len()), 0_u32, 0);
    for byte in plain.bytes() {
        let digit = ALPHABET.iter().position(|one| *one == byte)?;
        bits = (bits << 6) | u32::try_from(digit).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xff).ok()?);
            bits &= (1 << count) - 1;
        }
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
