//! Reads the path of `MAIL FROM:` and `RCPT TO:` (RFC 5321 §4.1.2), as tolerant as Postfix's smtpd.
//!
//! Clients send RFC 822 addresses where RFC 5321 paths belong: comments, a phrase in front, no brackets,
//! `group: member;`. All of it must lead to exactly one address, or to none (`<>`). A source route
//! `<@a,@b:user@c>` is dropped (RFC 5321 appendix C). Whether the domain can exist is not asked here; that is
//! the resolving of `policy::address`. T1.9 (`strict_rfc821_envelopes`).

use super::Address;
use crate::{Dsn, Reply};

/// How much is let pass: `strict_rfc821_envelopes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathSyntax {
    /// Anything that holds one address.
    #[default]
    Rfc822,
    /// Brackets, and an address without comments or phrases within.
    Rfc821,
}

/// Why a text is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A quoted string without its end.
    #[error("unbalanced quote")]
    Quote,
    /// Brackets that don't match.
    #[error("unbalanced angle bracket")]
    Bracket,
    /// Two addresses, or words that no dot joins.
    #[error("more than one address")]
    Several,
    /// Good for RFC 822, not for RFC 5321.
    #[error("not an RFC 821 path")]
    NotStrict,
    /// A NUL, or bytes that are no UTF-8.
    #[error("invalid bytes")]
    Bytes,
}

/// What smtpd answers to a `MAIL FROM:` that holds no address.
#[must_use]
pub fn bad_sender_syntax() -> Reply {
    Reply { code: 501, dsn: Some(Dsn::new(5, 1, 7)), text: "Bad sender address syntax".to_owned() }
}

/// What smtpd answers to a `RCPT TO:` that holds no address, or the null one.
#[must_use]
pub fn bad_recipient_syntax() -> Reply {
    Reply { code: 501, dsn: Some(Dsn::new(5, 1, 3)), text: "Bad recipient address syntax".to_owned() }
}

/// One lexical token; words are in internal form.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `.`, `@`, `:`, `%` or `!`, which join words.
    Joint(char),
    Open,
    Close,
    Comma,
    Semicolon,
    Comment,
}

impl Address {
    /// Reads a path, brackets and all, as it stands behind `MAIL FROM:` or `RCPT TO:`.
    ///
    /// # Errors
    /// Where it doesn't hold exactly one address; the null path `<>` is one.
    pub fn parse_path(text: &[u8], syntax: PathSyntax) -> Result<Address, PathError> {
        let text = std::str::from_utf8(text).map_err(|_| PathError::Bytes)?.trim_matches(is_space);
        if text.contains('\0') {
            return Err(PathError::Bytes);
        }
        let within = without_brackets(text);
        if within.is_none() && syntax == PathSyntax::Rfc821 {
            return Err(PathError::NotStrict);
        }
        let (internal, foreign) = reduce(&tokens(without_route(within.unwrap_or(text)))?)?;
        if syntax == PathSyntax::Rfc821 && (foreign || internal.starts_with('@')) {
            return Err(PathError::NotStrict);
        }
        Ok(Address::from_internal(internal))
    }
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// What stands between the outermost brackets; `None` where there are none.
fn without_brackets(text: &str) -> Option<&str> {
    let within = text.strip_prefix('<')?.strip_suffix('>')?;
    let escapes = within.bytes().rev().take_while(|&b| b == b'\\').count();
    escapes.is_multiple_of(2).then_some(within)
}

/// Drops `@a,@b:` from the front.
fn without_route(text: &str) -> &str {
    match text.split_once(':') {
        Some((_, rest)) if text.starts_with('@') => rest,
        _ => text,
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, PathError> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(&first) = rest.peek() {
        let token = match first {
            c if is_space(c) => {
                rest.next();
                continue;
            }
            '"' => Token::Word(quoted(&mut rest)?),
            '[' => Token::Word(literal(&mut rest)),
            '(' => comment(&mut rest),
            '<' | '>' | ',' | ';' | '.' | '@' | ':' | '%' | '!' => {
                rest.next();
                match first {
                    '<' => Token::Open,
                    '>' => Token::Close,
                    ',' => Token::Comma,
                    ';' => Token::Semicolon,
                    joint => Token::Joint(joint),
                }
            }
            _ => Token::Word(atom(&mut rest)),
        };
        tokens.push(token);
    }
    Ok(tokens)
}

type Chars<'t> = std::iter::Peekable<std::str::Chars<'t>>;

/// A quoted string; `"` is next.
fn quoted(rest: &mut Chars<'_>) -> Result<String, PathError> {
    rest.next();
    let mut word = String::new();
    while let Some(c) = rest.next() {
        match c {
            '"' => return Ok(word),
            '\\' => word.extend(rest.next()),
            _ => word.push(c),
        }
    }
    Err(PathError::Quote)
}

/// A domain literal with its brackets; `[` is next. An unterminated one is closed at the end.
fn literal(rest: &mut Chars<'_>) -> String {
    let mut word = String::from("[");
    rest.next();
    while let Some(c) = rest.next() {
        match c {
            ']' => break,
            '\\' => word.extend(rest.next()),
            _ => word.push(c),
        }
    }
    word.push(']');
    word
}

/// A comment, maybe with comments inside; `(` is next. An unterminated one goes to the end.
fn comment(rest: &mut Chars<'_>) -> Token {
    let mut depth = 0_usize;
    while let Some(c) = rest.next() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '\\' => drop(rest.next()),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    Token::Comment
}

fn atom(rest: &mut Chars<'_>) -> String {
    let mut word = String::new();
    while let Some(&c) = rest.peek() {
        if is_space(c) || matches!(c, '"' | '[' | '(' | '<' | '>' | ',' | ';' | '.' | '@' | ':' | '%' | '!') {
            break;
        }
        rest.next();
        if c == '\\' {
            word.extend(rest.next());
        } else {
            word.push(c);
        }
    }
    word
}

/// Finds the one address. Read from the right, as a group and a route are known by what ends them.
/// Gives the address, and whether there was anything beside it.
fn reduce(tokens: &[Token]) -> Result<(String, bool), PathError> {
    let mut reading = Reading::default();
    for token in tokens.iter().rev() {
        reading.take(token)?;
    }
    Ok(reading.finish())
}

/// What the tokens so far, from the right, amount to.
#[derive(Debug, Default)]
struct Reading<'t> {
    /// The pieces of the address, last one first.
    address: Vec<&'t Token>,
    /// No other address may begin.
    complete: bool,
    /// The words to the left belong to a phrase or a group's name.
    phrase: bool,
    /// Between `>` and its `<`.
    within: bool,
    /// Left of a `;`.
    in_group: bool,
    /// Whether there was anything beside the address.
    foreign: bool,
}

impl<'t> Reading<'t> {
    fn take(&mut self, token: &'t Token) -> Result<(), PathError> {
        match token {
            Token::Comment => self.foreign = true,
            Token::Open if self.within => {
                self.within = false;
                self.phrase = true;
                self.end();
            }
            Token::Open => return Err(PathError::Bracket),
            Token::Close if self.within => return Err(PathError::Bracket),
            _ if self.within && self.complete => return Err(PathError::Several),
            _ if self.within => self.address.push(token),
            Token::Close => {
                self.end();
                self.phrase = false;
                self.within = true;
                // A second pair of brackets passes only where it is empty.
                self.foreign |= self.complete;
            }
            Token::Comma | Token::Semicolon => self.separate(token),
            Token::Joint(':') if self.in_group => {
                self.end();
                self.foreign = true;
                self.phrase = true;
            }
            Token::Word(_) | Token::Joint(_) => return self.piece(token),
        }
        Ok(())
    }

    fn separate(&mut self, token: &Token) {
        self.end();
        self.foreign = true;
        match token {
            Token::Comma => self.phrase = false,
            _ => self.in_group = true,
        }
    }

    fn piece(&mut self, token: &'t Token) -> Result<(), PathError> {
        if self.phrase && *token == Token::Joint(':') {
            self.phrase = false;
        }
        if self.phrase {
            self.foreign = true;
            return Ok(());
        }
        let joined = !matches!((self.address.last(), token), (Some(Token::Word(_)), Token::Word(_)));
        if self.complete || !joined {
            return Err(PathError::Several);
        }
        self.address.push(token);
        Ok(())
    }

    fn end(&mut self) {
        self.complete = self.complete || !self.address.is_empty();
    }

    fn finish(self) -> (String, bool) {
        let mut text = String::new();
        for token in self.address.iter().rev() {
            match token {
                Token::Word(word) => text.push_str(word),
                Token::Joint(joint) => text.push(*joint),
                Token::Comma => text.push(','),
                Token::Semicolon => text.push(';'),
                Token::Open | Token::Close | Token::Comment => {}
            }
        }
        (text, self.foreign)
    }
}

/// For fuzzers: reads any bytes as a path, and says where reading isn't stable.
///
/// # Panics
/// Where an address in external form is read back as another one.
pub fn fuzz_path(bytes: &[u8]) {
    let strict = Address::parse_path(bytes, PathSyntax::Rfc821);
    let Ok(address) = Address::parse_path(bytes, PathSyntax::Rfc822) else {
        assert!(strict.is_err(), "strict reading takes what tolerant reading refuses");
        return;
    };
    // A domain is never quoted, so only what could be one comes back the same.
    let domain_is_plain = address.domain().is_none_or(crate::host::is_hostname);
    if domain_is_plain && !address.as_str().contains(['\t', '\r', '\n']) {
        let again =
            Address::parse_path(format!("<{}>", address.to_external()).as_bytes(), PathSyntax::Rfc822);
        assert_eq!(again.as_ref(), Ok(&address), "external form {}", address.to_external());
    }
}
