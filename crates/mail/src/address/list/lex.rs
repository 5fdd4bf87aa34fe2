//! Lexical tokens of an address list (RFC 5322 §3.2), none of which any byte can spoil: what has no end ends with the
//! text.

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A word; backslashes taken off.
    Atom(Vec<u8>),
    /// A quoted string; quotes and backslashes taken off, white space of any kind a blank.
    Quoted(Vec<u8>),
    /// `[…]`, with the brackets.
    Literal(Vec<u8>),
    /// `(…)` as it stands, line ends as blanks.
    Comment(Vec<u8>),
    /// One of the characters that join and part words.
    Op(u8),
}

const OPS: &[u8] = b"<>@,;:.)]%!";

impl Token {
    /// Whether two of them side by side belong to no one address.
    pub(super) const fn is_word(&self) -> bool {
        matches!(self, Token::Atom(_) | Token::Quoted(_) | Token::Literal(_))
    }

    /// The internal form.
    pub(super) fn text(&self, to: &mut Vec<u8>) {
        match self {
            Token::Atom(text) | Token::Quoted(text) | Token::Literal(text) | Token::Comment(text) => {
                to.extend_from_slice(text);
            }
            Token::Op(b',') => to.extend_from_slice(b", "),
            Token::Op(op) => to.push(*op),
        }
    }

    /// The external form.
    pub(super) fn spell(&self, to: &mut Vec<u8>) {
        match self {
            Token::Quoted(text) => quote(text, to),
            Token::Atom(text) if text.iter().any(|&b| is_special(b)) => quote(text, to),
            other => other.text(to),
        }
    }
}

fn quote(text: &[u8], to: &mut Vec<u8>) {
    to.push(b'"');
    for &byte in text {
        if matches!(byte, b'"' | b'\\' | b'\r') {
            to.push(b'\\');
        }
        to.push(byte);
    }
    to.push(b'"');
}

/// What an atom can't have without a backslash in front.
const fn is_special(byte: u8) -> bool {
    byte.is_ascii_control() || is_blank(byte) || matches!(byte, b'"' | b'\\' | b'(' | b'[') || is_op(byte)
}

const fn is_op(byte: u8) -> bool {
    matches!(byte, b'<' | b'>' | b'@' | b',' | b';' | b':' | b'.' | b')' | b']')
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// The tokens of a text, no more than `max`.
pub(super) fn tokens(text: &[u8], max: usize) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.iter().copied().peekable();
    while let Some(&first) = rest.peek() {
        if is_blank(first) {
            rest.next();
            continue;
        }
        if tokens.len() >= max {
            break;
        }
        tokens.push(match first {
            b'"' => quoted(&mut rest),
            b'[' => literal(&mut rest),
            b'(' => comment(&mut rest),
            op if OPS.contains(&op) => {
                rest.next();
                Token::Op(op)
            }
            _ => atom(&mut rest),
        });
    }
    tokens
}

type Bytes<'t> = std::iter::Peekable<std::iter::Copied<std::slice::Iter<'t, u8>>>;

fn quoted(rest: &mut Bytes<'_>) -> Token {
    rest.next();
    let mut text = Vec::new();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => break,
            b'\\' => text.extend(rest.next()),
            blank if is_blank(blank) => text.push(b' '),
            _ => text.push(byte),
        }
    }
    Token::Quoted(text)
}

fn literal(rest: &mut Bytes<'_>) -> Token {
    rest.next();
    let mut text = vec![b'['];
    while let Some(byte) = rest.next() {
        match byte {
            b']' => break,
            b'\\' => text.extend(rest.next()),
            _ => text.push(byte),
        }
    }
    text.push(b']');
    Token::Literal(text)
}

fn comment(rest: &mut Bytes<'_>) -> Token {
    let (mut text, mut depth) = (Vec::new(), 0_usize);
    while let Some(byte) = rest.next() {
        text.push(if byte == b'\n' { b' ' } else { byte });
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'\\' => text.extend(rest.next()),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    Token::Comment(text)
}

fn atom(rest: &mut Bytes<'_>) -> Token {
    let mut text = Vec::new();
    while let Some(&byte) = rest.peek() {
        if is_blank(byte) || matches!(byte, b'"' | b'[' | b'(') || OPS.contains(&byte) {
            break;
        }
        rest.next();
        if byte == b'\\' {
            text.extend(rest.next());
        } else {
            text.push(byte);
        }
    }
    Token::Atom(text)
}
