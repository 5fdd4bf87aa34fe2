//! base64, RFC 4648 §4: what `postmap -F` keeps contents of files in.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let number = (0..3).fold(0u32, |number, at| number << 8 | u32::from(*group.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let letter = usize::try_from(number >> (18 - 6 * at) & 63).ok().and_then(|n| LETTERS.get(n));
            let is_padding = usize::try_from(at).is_ok_and(|at| at > group.len());
            text.push(if is_padding { '=' } else { char::from(*letter.unwrap_or(&b'=')) });
        }
    }
    text
}

/// `None` where it isn't base64.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let letters = text.trim_end_matches('=').as_bytes();
    if !text.len().is_multiple_of(4) || text.len() - letters.len() > 2 {
        return None;
    }
    for group in letters.chunks(4) {
        let mut number = 0u32;
        for at in 0..4 {
            let letter = group.get(at).unwrap_or(&b'A');
            let value = LETTERS.iter().position(|known| known == letter)?;
            number = number << 6 | u32::try_from(value).ok()?;
        }
        bytes.extend(number.to_be_bytes().get(1..group.len())?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn there_and_back() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"\xff\xfe\xfd\0", "//79AA=="),
        ] {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(text).as_deref(), Some(bytes));
        }
        for wrong in ["Zg=", "Z===", "Z!==", "a"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
