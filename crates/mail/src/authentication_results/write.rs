//! The header's text. Whatever stands in a value stays in it.

use super::{AuthenticationResults, MethodResult, NAME};

/// Lines are folded before they get longer, where they can be.
const COLUMNS: usize = 78;
/// The longest value or comment; lines stay below RFC 5322's 998 bytes.
const CHARS_MAX: usize = 200;

pub(super) fn header(results: &AuthenticationResults) -> String {
    let mut text = format!("{NAME}: {}", value(&results.authserv_id));
    if let Some(version) = results.version {
        text.push_str(&format!(" {version}"));
    }
    if results.results.is_empty() {
        text.push_str("; none");
    }
    for result in &results.results {
        text.push_str(";\n\t");
        let mut column = 8;
        for (at, word) in words(result).iter().enumerate() {
            let length = word.chars().count();
            if at > 0 {
                let fits = column + 1 + length < COLUMNS;
                text.push_str(if fits { " " } else { "\n\t" });
                column = if fits { column + 1 } else { 8 };
            }
            text.push_str(word);
            column += length;
        }
    }
    text
}

/// What a line can be folded between.
pub(super) fn words(result: &MethodResult) -> Vec<String> {
    let mut words = vec![format!("{}={}", keyword(&result.method), keyword(&result.result))];
    words.extend(result.comment.as_deref().map(comment));
    words.extend(result.reason.as_deref().map(|reason| format!("reason={}", quoted(reason))));
    words.extend(result.properties.iter().map(|property| {
        format!("{}.{}={}", keyword(&property.kind), keyword(&property.name), value(&property.value))
    }));
    words
}

/// A word that needs no quotes (RFC 2045 §5.1).
pub(super) fn is_token(c: char) -> bool {
    (c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c)) || is_letter_beyond_ascii(c)
}

fn is_letter_beyond_ascii(c: char) -> bool {
    !c.is_ascii() && c.is_alphanumeric()
}

fn keyword(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(CHARS_MAX).collect()
}

/// A value, with quotes where it needs them: not for names, nor for addresses of plain ones.
fn value(text: &str) -> String {
    let (local, domain) = match text.split_once('@') {
        Some((local, domain)) => (local, domain),
        None => ("", text),
    };
    let is_atom = |c: char| is_token(c) || matches!(c, '/' | '=' | '?');
    let is_name =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') || is_letter_beyond_ascii(c);
    let is_address = text.contains('@') && local.chars().all(is_atom) && domain.chars().all(is_name);
    let is_plain = !domain.is_empty() && (is_address || text.chars().all(is_token));
    if is_plain && text.chars().count() <= CHARS_MAX { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text, '"', '"'))
}

fn comment(text: &str) -> String {
    format!("({})", escaped(text, '(', ')'))
}

/// No more than a line bears, without what ends it.
fn escaped(text: &str, open: char, close: char) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(CHARS_MAX) {
        if c == '\\' || c == open || c == close {
            out.push('\\');
        }
        out.push(if c.is_control() { '?' } else { c });
    }
    out
}
