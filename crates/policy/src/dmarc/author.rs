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
        // An address takes a token at least, so that one more than is read would be seen to be missing.
        let list = AddressList::parse(value, TOKENS_MAX);
        authors.are_too_many |= AddressList::parse(value, TOKENS_MAX + 1) != list;
        for address in list.addresses() {
            authors.addresses += 1;
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
