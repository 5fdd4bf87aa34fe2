//! What goes into one line stays in it: addresses and other texts of an envelope end no command, header or record.

use std::borrow::Cow;

/// Whether this could end a line, or a text: CR, LF and NUL.
#[must_use]
pub const fn ends(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\0')
}

/// `text` with a blank for each character that [`ends`] a line.
#[must_use]
pub fn one(text: &str) -> Cow<'_, str> {
    if text.contains(ends) { Cow::Owned(text.replace(ends, " ")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks() {
        for (text, expect) in [("a b\t", "a b\t"), ("a\r\nb\0", "a  b "), ("", ""), ("ä\u{85}", "ä\u{85}")]
        {
            assert_eq!(one(text), expect);
        }
    }
}
