//! In whose name a message comes: the domains of its `From:` headers (RFC 9989 §5.3.1).
//!
//! Readers of mail disagree about odd headers, so every address that one could show counts: of all `From:` headers, of
//! lists and groups. Names and comments don't.

use super::walk::is_askable;
use mail::AddressList;

/// The most author domains that are looked at.
pub const AUTHORS_MAX: usize = 4;
/// The most lexical tokens of a header that are read; a longer one has too many authors.
const TOKENS_MAX: usize = 4000;

/// The author domains of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authors {
    /// In A-labels and lower case, each once, in order; no more than [`AUTHORS_MAX`].
    pub domains: Vec<String>,
    /// Whether there are more.
    pub are_too_many: bool,
    /// Whether a header's addresses can be read in more ways than one, so that a reader may be shown another author
    /// than the domains here.
    pub is_ambiguous: bool,
    /// How many addresses there are.
    pub addresses: usize,
    /// How many headers.
    pub headers: usize,
}

/// The domains in the values of a message's `From:` headers.
#[must_use]
pub fn authors<'h>(values: impl IntoIterator<Item = &'h [u8]>) -> Authors {
    let mut authors = Authors::default();
    for value in values {
        authors.headers += 1;
        authors.is_ambiguous |= !is_closed(value);
        // An address takes a token at least, so that one more than is read would be seen to be missing.
        let list = AddressList::parse(value, TOKENS_MAX);
        authors.are_too_many |= AddressList::parse(value, TOKENS_MAX + 1) != list;
        authors.is_ambiguous |= list.has_illegible();
        for address in list.addresses() {
            authors.addresses += 1;
            authors.is_ambiguous |= is_odd(address.local(), address.domain());
            let Some(domain) = address.domain().and_then(named) else { continue };
            if authors.domains.contains(&domain) {
                continue;
            }
            if authors.domains.len() >= AUTHORS_MAX {
                authors.are_too_many = true;
                break;
            }
            authors.domains.push(domain);
        }
    }
    authors
}

/// Whether quotes, comments and brackets end, and no address has two `@` of which readers might take another one.
fn is_closed(value: &[u8]) -> bool {
    let (mut comments, mut quoted, mut bracket) = (0_usize, false, false);
    // Those outside of brackets are a name's, where an address in brackets follows.
    let (mut bare, mut bracketed, mut had_bracket) = (0_usize, 0_usize, false);
    let mut bytes = value.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' if quoted || comments > 0 => drop(bytes.next()),
            b'"' if comments == 0 => quoted = !quoted,
            _ if quoted => {}
            b'(' => comments += 1,
            b')' => comments = comments.saturating_sub(1),
            _ if comments > 0 => {}
            b'<' => (bracket, bracketed) = (true, 0),
            b'>' if bracketed > 1 => return false,
            b'>' => (bracket, bare, had_bracket) = (false, 0, true),
            b'@' if bracket => bracketed += 1,
            b'@' => bare += 1,
            b',' | b';' if bracket => {}
            b',' | b';' if bare > 1 && !had_bracket => return false,
            b',' | b';' => (bare, had_bracket) = (0, false),
            _ => {}
        }
    }
    let ends = comments == 0 && !quoted && !bracket && (had_bracket || bare <= 1);
    ends || !value.contains(&b'@')
}

/// Whether an address isn't what it seems to be: its domain has characters that no name has, or it has none and may be
/// shown as one that has.
fn is_odd(local: &str, domain: Option<&str>) -> bool {
    let Some(domain) = domain.filter(|domain| !domain.is_empty()) else {
        return local.contains("=?") || local.contains(['\u{ff20}', '\u{fe6b}']);
    };
    if let Some(literal) = domain.strip_prefix('[') {
        let inside = literal.strip_suffix(']').unwrap_or(literal);
        let inside = match inside.split_once(':') {
            Some((tag, rest)) if tag.eq_ignore_ascii_case("IPv6") => rest,
            _ => inside,
        };
        return inside.parse::<std::net::IpAddr>().is_err();
    }
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || "-_. \t".contains(c);
    match named(domain) {
        Some(name) => {
            domain.is_ascii() && !domain.chars().all(is_of_a_name) || !name.chars().all(is_of_a_name)
        }
        None => !domain.chars().all(is_of_a_name),
    }
}

/// A domain in A-labels; `None` for a literal, and for what no part of could be one.
fn named(domain: &str) -> Option<String> {
    let plain: String = domain.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
    if plain.starts_with('[') {
        return None;
    }
    // A quoted name without a local part may hold a whole address, with its brackets.
    let plain = plain.split(['<', '>', '(', ')', '"', ',', ';', ':']).next().unwrap_or_default();
    let plain = plain.trim_end_matches('.');
    // What can't be written in A-labels as a whole may be shown by its end.
    let ascii = mail::host::ascii_name(plain).or_else(|| {
        let labels = plain.split('.').map(|label| mail::host::ascii_name(label).unwrap_or_default());
        Some(labels.collect::<Vec<_>>().join("."))
    })?;
    let ascii = ascii.trim_end_matches('.');
    super::walk::names(ascii).last().is_some_and(|last| is_askable(last)).then(|| ascii.to_owned())
}
