//! Tag lists (RFC 6376 §3.2): `v=1; a=rsa-sha256; …`, of signatures and of keys in the DNS.

/// The longest list that is read.
const LIST_BYTES_MAX: usize = 16 * 1024;
/// The most tags of one list.
const TAGS_MAX: usize = 64;

/// Names and values, in order; folding white space around values is gone, within them it stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagList<'t>(Vec<(&'t str, &'t str)>);

impl<'t> TagList<'t> {
    /// Reads a list; `None` where it is malformed or names a tag twice.
    #[must_use]
    pub fn parse(text: &'t str) -> Option<TagList<'t>> {
        if text.len() > LIST_BYTES_MAX {
            return None;
        }
        let mut tags: Vec<(&str, &str)> = Vec::new();
        let mut parts = text.split(';').peekable();
        while let Some(part) = parts.next() {
            let part = part.trim_matches(is_fws);
            if part.is_empty() && parts.peek().is_none() && !tags.is_empty() {
                // The last semicolon may be there or not.
                break;
            }
            let (name, value) = part.split_once('=')?;
            let (name, value) = (name.trim_matches(is_fws), value.trim_matches(is_fws));
            let fits = |c: char| (' '..='~').contains(&c) || is_fws(c);
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            let twice = tags.iter().any(|(other, _)| *other == name);
            if !is_name || twice || !value.chars().all(fits) || tags.len() >= TAGS_MAX {
                return None;
            }
            tags.push((name, value));
        }
        Some(TagList(tags))
    }

    /// The value of a tag.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'t str> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    /// The first tag.
    #[must_use]
    pub fn first(&self) -> Option<(&'t str, &'t str)> {
        self.0.first().copied()
    }
}

/// White space that may fold a line.
pub(super) const fn is_fws(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// The words of a list whose members are parted by colons.
pub(super) fn members(text: &str) -> impl Iterator<Item = &str> {
    text.split(':').map(|word| word.trim_matches(is_fws))
}

/// Base64 that may be folded anywhere.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let mut joined: String = text.chars().filter(|c| !is_fws(*c)).collect();
    while !joined.len().is_multiple_of(4) && !joined.ends_with("==") {
        // Some leave the padding out.
        joined.push('=');
    }
    crate::base64::decode(&joined)
}

/// The header's value with nothing in `b=`, all else as it was: what has been signed of it.
pub(super) fn without_signature(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for (at, part) in value.split(';').enumerate() {
        if at > 0 {
            out.push(';');
        }
        match part.split_once('=') {
            Some((name, _)) if name.trim_matches(is_fws) == "b" => {
                out.push_str(name);
                out.push('=');
            }
            _ => out.push_str(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let list = TagList::parse(" v=1; a = rsa-sha256 ;\r\n\th=from : to;b=ab\r\n cd=;").unwrap();
        assert_eq!(list.first(), Some(("v", "1")));
        assert_eq!(list.get("a"), Some("rsa-sha256"));
        assert_eq!(list.get("b"), Some("ab\r\n cd="));
        assert_eq!(list.get("x"), None);
        assert_eq!(list.get("h").map(|h| members(h).collect()), Some(vec!["from", "to"]));
        assert!(TagList::parse("p=").is_some());
        for bad in ["", ";", "v", "v=1;;a=x", "v=1; v=1", "1v=1", "=1", "v=\u{e9}", "v=1; a", "v=a\u{7f}"] {
            assert_eq!(TagList::parse(bad), None, "{bad:?}");
        }
        let many: String = (0..65).map(|at| format!("t{at}=x;")).collect();
        assert_eq!(TagList::parse(&many), None);
    }

    #[test]
    fn what_is_signed_of_a_signature() {
        assert_eq!(without_signature(" v=1; bh=a=; b=c/d\n e==; h=b"), " v=1; bh=a=; b=; h=b");
        assert_eq!(without_signature("b = xyz"), "b =");
        assert_eq!(without_signature("v=1"), "v=1");
    }

    #[test]
    fn folded_base64() {
        assert_eq!(base64("Zm9v\r\n\tYmFy").as_deref(), Some(&b"foobar"[..]));
        assert_eq!(base64("Zm8").as_deref(), Some(&b"fo"[..]));
        assert_eq!(base64("Z"), None);
    }
}
