//! A header of a message, read tolerantly (RFC 5322 §2.2, §3.6.8).
//!
//! What is a header line and what isn't decides where a message's body begins; it follows Postfix's cleanup: a
//! name of printable ASCII without blanks, blanks allowed before the colon. Values stay bytes. No MIME here.

/// Where a header's name and value stand in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'t> {
    /// The name, without blanks.
    pub name: &'t str,
    /// All behind the colon, folded as it was, without the last line end.
    pub value: &'t [u8],
}

impl<'t> Header<'t> {
    /// Reads one logical header: a line with its continuation lines.
    #[must_use]
    pub fn parse(text: &'t [u8]) -> Option<Header<'t>> {
        let colon = text.iter().position(|&b| b == b':')?;
        let (before, rest) = text.split_at_checked(colon)?;
        let name = before.trim_ascii_end();
        let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
        let ends_plainly = before.get(name.len()..)?.iter().all(|&b| b == b' ' || b == b'\t');
        let name = std::str::from_utf8(name).ok().filter(|_| is_name && ends_plainly)?;
        let value = rest.get(1..)?;
        Some(Header { name, value: value.strip_suffix(b"\n").unwrap_or(value) })
    }

    /// Whether it is the header of that name, in any case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value in one line: line ends dropped, blanks at both ends dropped, bytes that are no UTF-8 replaced.
    #[must_use]
    pub fn unfolded(&self) -> String {
        let joined: Vec<u8> = self.value.iter().copied().filter(|b| !matches!(b, b'\n' | b'\r')).collect();
        String::from_utf8_lossy(joined.trim_ascii()).into_owned()
    }
}

/// Whether `line` goes on with the header before it.
#[must_use]
pub fn is_continuation(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// The headers of a message's head, up to the first line that is none. Lines end with LF.
pub fn headers(message: &[u8]) -> impl Iterator<Item = Header<'_>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        let mut end = line_end(rest);
        while rest.get(end..).is_some_and(is_continuation) {
            end += line_end(rest.get(end..)?);
        }
        let (text, behind) = rest.split_at_checked(end)?;
        rest = behind;
        Header::parse(text)
    })
}

/// The length of the first line with its LF.
fn line_end(text: &[u8]) -> usize {
    text.iter().position(|&b| b == b'\n').map_or(text.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |line: &str, expect: Option<(&str, &str)>| {
            let header = Header::parse(line.as_bytes());
            let got = header.map(|header| (header.name, header.unfolded()));
            assert_eq!(got, expect.map(|(name, value)| (name, value.to_owned())), "{line:?}");
        };
        check("Subject: x\n", Some(("Subject", "x")));
        check("Subject \t: x\n y\n", Some(("Subject", "x y")));
        check("X:", Some(("X", "")));
        check(": x", None);
        check("a b: x", None);
        check("é: x", None);
        check("a\n : x", None);
        check("no colon\n", None);
        let head = b"A: 1\n 2\nB: 3\n\nC: 4\n";
        let names: Vec<_> = headers(head).map(|header| (header.name, header.unfolded())).collect();
        assert_eq!(names, [("A", "1 2".to_owned()), ("B", "3".to_owned())]);
    }
}
