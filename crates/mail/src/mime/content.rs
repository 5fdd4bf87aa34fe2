//! What a `Content-Type` says of the body behind it, and the words of structured headers.
//!
//! As Postfix reads them: comments anywhere, quoted strings, parameters in any order, a boundary cut where
//! `mime_boundary_length_limit` says. No meaning is given to other types. RFC 2045 §5.1, RFC 2046 §5.1.

/// What a header block says of the body behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// Text, pictures, anything that holds no parts.
    #[default]
    Plain,
    /// Parts, between boundaries where one is named.
    Multipart {
        /// What parts them.
        boundary: Option<Vec<u8>>,
        /// Parts are messages where they don't say otherwise.
        is_digest: bool,
    },
    /// Another message, looked into.
    Message,
    /// Pieces of messages and the like, not looked into.
    OtherMessage,
}

/// What a Content-Type says.
#[must_use]
pub fn content(value: &[u8], boundary_max: usize) -> Content {
    let mut tokens = tokens(value).peekable();
    let Some(Token::Word(kind)) = tokens.next() else { return Content::Plain };
    let mut subtype = Vec::new();
    if tokens.next_if(|token| *token == Token::Sign(b'/')).is_some()
        && let Some(Token::Word(word)) = tokens.peek()
    {
        subtype.clone_from(word);
        tokens.next();
    }
    if kind.eq_ignore_ascii_case(b"message") {
        return match subtype.to_ascii_lowercase().as_slice() {
            b"rfc822" => Content::Message,
            // RFC 6532 §3.7: it may be encoded.
            b"global" => Content::Plain,
            _ => Content::OtherMessage,
        };
    }
    if !kind.eq_ignore_ascii_case(b"multipart") {
        return Content::Plain;
    }
    let mut boundary = None;
    while let Some(token) = tokens.next() {
        if token != Token::Sign(b';') {
            continue;
        }
        let is_boundary =
            matches!(tokens.peek(), Some(Token::Word(name)) if name.eq_ignore_ascii_case(b"boundary"));
        if !is_boundary {
            continue;
        }
        tokens.next();
        if tokens.next_if(|token| *token == Token::Sign(b'=')).is_none() {
            continue;
        }
        // Behind an empty one, each line that begins with "--" is a boundary.
        if let Some(Token::Word(text) | Token::Quoted(text)) = tokens.peek() {
            let kept = text.get(..boundary_max.min(text.len())).unwrap_or_default().to_vec();
            boundary.get_or_insert(kept);
        }
    }
    Content::Multipart { boundary, is_digest: subtype.eq_ignore_ascii_case(b"digest") }
}

/// A word of a structured header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Word(Vec<u8>),
    Quoted(Vec<u8>),
    Sign(u8),
}

/// The words of a header's value, RFC 2045 §5.1; comments are left out.
pub(crate) fn tokens(value: &[u8]) -> impl Iterator<Item = Token> + '_ {
    let mut rest = value;
    std::iter::from_fn(move || {
        loop {
            let (first, behind) = rest.split_first()?;
            match first {
                b' ' | b'\t' | b'\n' | b'\r' => rest = behind,
                b'(' => rest = behind_comment(behind),
                b'"' => {
                    let (text, behind) = quoted(behind);
                    rest = behind;
                    return Some(Token::Quoted(text));
                }
                sign if is_special(*sign) => {
                    rest = behind;
                    return Some(Token::Sign(*sign));
                }
                _ => {
                    let ends = |byte: &u8| is_special(*byte) || matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
                    let end = rest.iter().position(ends).unwrap_or(rest.len());
                    let (word, behind) = rest.split_at_checked(end)?;
                    rest = behind;
                    return Some(Token::Word(word.to_vec()));
                }
            }
        }
    })
}

const fn is_special(byte: u8) -> bool {
    matches!(
        byte,
        b'(' | b')'
            | b'<'
            | b'>'
            | b'@'
            | b','
            | b';'
            | b':'
            | b'\\'
            | b'"'
            | b'/'
            | b'['
            | b']'
            | b'?'
            | b'='
    )
}

fn behind_comment(text: &[u8]) -> &[u8] {
    let (mut depth, mut escaped) = (1_usize, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text.get(at + 1..).unwrap_or_default();
        }
    }
    &[]
}

fn quoted(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let (mut out, mut escaped) = (Vec::new(), false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => {
                escaped = false;
                out.push(*byte);
            }
            b'\\' => escaped = true,
            b'"' => return (out, text.get(at + 1..).unwrap_or_default()),
            _ => out.push(*byte),
        }
    }
    (out, &[])
}

/// The first word of a structured header's value, if it begins with one.
#[must_use]
pub fn first_word(value: &[u8]) -> Option<Vec<u8>> {
    match tokens(value).next() {
        Some(Token::Word(word)) => Some(word),
        _ => None,
    }
}
