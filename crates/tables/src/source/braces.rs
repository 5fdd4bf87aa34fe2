//! `{ … }` in table names: inline tables, members of unions and pipes (DATABASE_README, postconf(5)).

use super::is_space;

/// Splits `text` by comma and white space; what stands in braces stays together.
pub(crate) fn split(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut depth = 0usize;
    let mut from = None;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && (c == ',' || is_space(c)) {
            words.extend(from.take().and_then(|from| text.get(from..at)));
        } else if from.is_none() {
            from = Some(at);
        }
    }
    words.extend(from.and_then(|from| text.get(from..)));
    words
}

/// What stands in the braces around all of `text`, or what is wrong, in Postfix's words.
pub(crate) fn unwrap(text: &str) -> Result<&str, String> {
    let Some(open) = text.strip_prefix('{') else {
        return Err(format!("no '{{' at start of text in \"{text}\""));
    };
    let mut depth = 1usize;
    for (at, c) in open.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let inner = open.get(..at).unwrap_or("").trim_matches(is_space);
            return match open.get(at + 1..).unwrap_or("").trim_matches(is_space) {
                "" => Ok(inner),
                _ => Err(format!("syntax error after '}}' in \"{text}\"")),
            };
        }
    }
    Err(format!("missing '}}' in \"{text}\""))
}

#[cfg(test)]
mod tests {
    use super::{split, unwrap};

    #[test]
    fn words_and_braces() {
        assert_eq!(split(" a, {b c,d} ,e={f g}"), ["a", "{b c,d}", "e={f g}"]);
        assert_eq!(split(""), [""; 0]);
        assert_eq!(unwrap("{ a {b} }"), Ok("a {b}"));
        assert_eq!(unwrap("{a}b"), Err("syntax error after '}' in \"{a}b\"".to_owned()));
        assert_eq!(unwrap("{a"), Err("missing '}' in \"{a\"".to_owned()));
        assert_eq!(unwrap("a"), Err("no '{' at start of text in \"a\"".to_owned()));
    }
}
