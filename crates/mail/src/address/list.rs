//! The addresses in a header or on a table's right-hand side (RFC 5322 §3.4), read as tolerantly as Postfix does.
//!
//! [`AddressList::parse`] takes any bytes and finds what could be addresses among names, comments and groups; each may
//! be replaced, and [`AddressList::render`] writes the whole anew, folded behind commas. Who changes nothing keeps the
//! text as it came. Reading goes from the right, as a group and a bracket are known by what ends them. What is beyond
//! the limit of tokens is lost (`header_address_token_limit`). ADDRESS_REWRITING_README.

mod lex;
mod render;
#[cfg(test)]
mod tests;

use super::Address;
use lex::Token;

/// A piece of a list, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    /// An address: as its tokens spell it, and in internal form; `None` where it is no text.
    Address { spelt: Vec<u8>, internal: Option<Address>, has_domain: bool },
    /// Anything else.
    Other(Token),
}

/// One address of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// In internal form.
    pub address: &'a Address,
    /// Whether an `@` outside of quotes parts it. One that hasn't is all local part, whatever stands in it.
    pub has_domain: bool,
}

/// Names, comments, groups and addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressList {
    nodes: Vec<Node>,
    changed: bool,
}

impl AddressList {
    /// Reads a header's value; no more than `tokens_max` lexical tokens of it.
    #[must_use]
    pub fn parse(text: &[u8], tokens_max: usize) -> AddressList {
        let tokens = lex::tokens(text, tokens_max);
        let mut reading = Reading::default();
        for token in tokens.into_iter().rev() {
            reading.take(token);
        }
        AddressList { nodes: reading.finish(), changed: false }
    }

    /// The addresses, in order. Those that are no UTF-8 are passed over.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Address { internal, .. } => internal.as_ref(),
            Node::Other(_) => None,
        })
    }

    /// Whether one of the addresses is no UTF-8.
    #[must_use]
    pub fn has_illegible(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node, Node::Address { internal: None, .. }))
    }

    /// Lets `change` say for each address what stands there instead, if anything. An address that only is spelt
    /// otherwise, as `"bob"@x` for `bob@x`, is changed.
    ///
    /// # Errors
    /// The first that `change` has; nothing is changed then.
    pub fn replace<E>(
        &mut self,
        mut change: impl FnMut(Member<'_>) -> Result<Option<Address>, E>,
    ) -> Result<(), E> {
        let mut nodes = self.nodes.clone();
        let mut changed = self.changed;
        for node in &mut nodes {
            let Node::Address { spelt, internal: Some(internal), has_domain } = node else { continue };
            let member = Member { address: internal, has_domain: *has_domain };
            let Some(address) = change(member)? else { continue };
            let external = spelling(&address);
            if external.as_bytes() != spelt.as_slice() {
                changed = true;
                *spelt = external.into_bytes();
                *internal = address;
            }
        }
        (self.nodes, self.changed) = (nodes, changed);
        Ok(())
    }

    /// Whether anything was replaced by something that is spelt otherwise.
    #[must_use]
    pub const fn is_changed(&self) -> bool {
        self.changed
    }

    /// The header that the list is the value of, folded, without the last line end.
    #[must_use]
    pub fn render(&self, name: &str) -> Vec<u8> {
        render::header(name, &self.nodes)
    }
}

/// The external form, with quotes also where there is nothing to quote.
fn spelling(address: &Address) -> String {
    match address.domain() {
        Some(domain) if address.local().is_empty() => format!("\"\"@{domain}"),
        None if address.is_null() => "\"\"".to_owned(),
        _ => address.to_external(),
    }
}

/// What the tokens to the left may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Addresses.
    #[default]
    Free,
    /// Between `>` and its `<`.
    Within,
    /// In front of `<`: a name.
    Phrase,
    /// In front of a group's `:`: its name.
    Group,
}

/// What the tokens so far, from the right, amount to.
#[derive(Debug, Default)]
struct Reading {
    /// The last node first.
    nodes: Vec<Node>,
    /// The tokens of the address in progress, the last one first.
    address: Vec<Token>,
    /// Comments within and before it, which go behind it; the last one first.
    comments: Vec<Token>,
    place: Place,
    /// Left of a `;`.
    in_group: bool,
}

impl Reading {
    fn take(&mut self, token: Token) {
        match (&token, self.place) {
            (Token::Comment(_), Place::Free | Place::Within) if !self.address.is_empty() => {
                self.comments.push(token);
            }
            (Token::Comment(_), _) => self.put(token),
            (Token::Op(b'<'), Place::Within) => {
                self.place = Place::Phrase;
                self.put(token);
            }
            (_, Place::Within) => self.address.push(token),
            (Token::Op(b'>'), Place::Free | Place::Phrase) => {
                self.put(token);
                self.place = Place::Within;
            }
            (Token::Op(b','), _) => {
                self.put(token);
                self.place = Place::Free;
            }
            (Token::Op(b';'), _) => {
                self.put(token);
                (self.place, self.in_group) = (Place::Free, true);
            }
            (Token::Op(b':'), _) if self.in_group => {
                self.put(token);
                self.place = Place::Group;
            }
            (Token::Op(b':'), Place::Phrase) => {
                self.put(token);
                self.place = Place::Free;
            }
            (_, Place::Phrase | Place::Group) => self.put(token),
            (_, Place::Free) => {
                // Two words that nothing joins are two addresses.
                if token.is_word() && self.address.last().is_some_and(Token::is_word) {
                    self.end_address();
                }
                self.address.push(token);
            }
        }
    }

    fn put(&mut self, token: Token) {
        self.end_address();
        self.nodes.push(Node::Other(token));
    }

    fn end_address(&mut self) {
        if self.address.is_empty() {
            return;
        }
        self.nodes.extend(self.comments.drain(..).map(Node::Other));
        let (mut spelt, mut internal) = (Vec::new(), Vec::new());
        let has_domain = self.address.contains(&Token::Op(b'@'));
        for token in self.address.drain(..).rev() {
            token.spell(&mut spelt);
            token.text(&mut internal);
        }
        let internal = String::from_utf8(internal).ok().map(Address::from_internal);
        self.nodes.push(Node::Address { spelt, internal, has_domain });
    }

    fn finish(mut self) -> Vec<Node> {
        self.end_address();
        self.nodes.reverse();
        self.nodes
    }
}

/// For fuzzers: any bytes are a list; what is rendered and read again has the same addresses.
///
/// # Panics
/// Where it hasn't.
pub fn fuzz_list(bytes: &[u8]) {
    let mut list = AddressList::parse(bytes, 1000);
    let same: Result<(), ()> = list.replace(|member| Ok(Some(member.address.clone())));
    assert_eq!(same, Ok(()), "nothing fails");
    let text = list.render("To");
    assert!(text.starts_with(b"To: "), "a header");
    assert!(AddressList::parse(bytes, 3).nodes.len() <= 3, "no more nodes than tokens");
}
