//! Bytes from outside as text: what is no UTF-8 is replaced, byte by byte, so that it neither ends a log's line nor
//! vanishes in a character that nobody wrote. Control characters are whoever's who shows it.

/// The text, with `instead` for each byte that belongs to no character.
#[must_use]
pub fn legible(bytes: &[u8], instead: char) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| instead));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_that_is_no_characters_is_one() {
        assert_eq!(legible("hällo 中 \u{fffd}".as_bytes(), '?'), "hällo 中 \u{fffd}");
        assert_eq!(legible(b"h\xe4llo \xe4\xb8 x \xff\xfe \xc0\xaf", '_'), "h_llo __ x __ __");
        assert_eq!(legible(b"", '?'), "");
    }
}
