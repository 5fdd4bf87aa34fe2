//! The match lists of postconf(5): domains, host addresses, texts.
//!
//! `mynetworks`, `relay_domains`, `mydestination` and the like: words left to right, the first that matches decides,
//! `!` turns its sense, `/file` stands for its contents, `type:table` for a lookup whose result is ignored.
//! With `parent_domain_matches_subdomains` `example.com` holds its subdomains too; without, `.example.com` does.
//! A word that can't be understood is an error, and a search that comes to it fails: it might have been a refusal.

#[cfg(test)]
mod tests;

use crate::catalogue::{Catalogue, TableId};
use crate::cidr::Network;
use crate::indexed::fold;
use crate::snapshot::Snapshot;
use crate::source::is_space;
use crate::source::notice::{BAD_PATTERN, UNREADABLE};
use crate::sources::Sources;
use crate::table::LookupError;
use config::{Diagnostic, Place, SourceFile, Spanned};
use mail::host::address_text;
use std::collections::HashSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// Files that include files that include files … end here.
const INCLUDE_DEPTH_MAX: usize = 8;
/// Words of one list, included files counted.
const WORDS_MAX: usize = 4_000_000;

/// A list of domains: `example.com`, `.example.com`, `!`, `/file`, `type:table`.
#[derive(Clone, Debug, Default)]
pub struct DomainList(List);

/// A list of hosts by name, address and network: `[2001:db8::]/32`, `192.0.2.0/24`, and all of [`DomainList`].
#[derive(Clone, Debug, Default)]
pub struct AddressList(List);

/// A list of texts: whole words, whatever their case, and tables.
#[derive(Clone, Debug, Default)]
pub struct StringList(List);

#[derive(Clone, Debug, Default)]
struct List {
    items: Arc<[Item]>,
    parents: bool,
}

#[derive(Clone, Debug)]
struct Item {
    negated: bool,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    /// Names in a row with the same sense, folded.
    Names(HashSet<String>),
    Network(Network),
    Table(TableId),
    Broken {
        word: String,
        reason: String,
    },
}

/// What words of a list may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Texts,
    Hosts,
}

impl DomainList {
    /// Compiles the words of a list.
    #[must_use]
    pub fn compile(
        words: &[Spanned<String>],
        catalogue: &mut Catalogue,
        sources: &dyn Sources,
        parent_matches_subdomains: bool,
    ) -> (DomainList, Vec<Diagnostic>) {
        let (list, diagnostics) =
            Reading::new(catalogue, sources, Form::Texts).list(words, parent_matches_subdomains);
        (DomainList(list), diagnostics)
    }

    /// Whether `domain` is in the list.
    ///
    /// # Errors
    /// When a table can't say.
    pub fn contains(&self, snapshot: &Snapshot, domain: &str) -> Result<bool, LookupError> {
        let domain = fold(domain);
        self.0.search(|test| match test {
            Test::Names(names) => Ok(self.0.holds_domain(names, &domain)),
            Test::Table(id) => self.0.table_holds_domain(snapshot, *id, &domain),
            _ => Ok(false),
        })
    }
}

impl AddressList {
    /// Whether a word of it can't be used: whoever no word before matches gets a temporary error.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.0.items.iter().any(|item| matches!(item.test, Test::Broken { .. }))
    }

    /// Compiles the words of a list.
    #[must_use]
    pub fn compile(
        words: &[Spanned<String>],
        catalogue: &mut Catalogue,
        sources: &dyn Sources,
        parent_matches_subdomains: bool,
    ) -> (AddressList, Vec<Diagnostic>) {
        let (list, diagnostics) =
            Reading::new(catalogue, sources, Form::Hosts).list(words, parent_matches_subdomains);
        (AddressList(list), diagnostics)
    }

    /// Whether the host of this name and address is in the list.
    ///
    /// # Errors
    /// When a table can't say.
    pub fn contains(&self, snapshot: &Snapshot, name: &str, address: IpAddr) -> Result<bool, LookupError> {
        if self.is_empty() {
            return Ok(false);
        }
        let name = fold(name);
        self.0.search(|test| match test {
            Test::Names(names) => Ok(self.0.holds_domain(names, &name)),
            Test::Table(id) => Ok(self.0.table_holds_domain(snapshot, *id, &name)?
                || snapshot.table(*id).lookup(&address_text(address))?.is_some()),
            Test::Network(network) => Ok(network.contains(address)),
            Test::Broken { .. } => Ok(false),
        })
    }

    /// Whether the address is in the list.
    ///
    /// # Errors
    /// When a table can't say.
    pub fn contains_address(&self, snapshot: &Snapshot, address: IpAddr) -> Result<bool, LookupError> {
        self.0.search(|test| match test {
            Test::Table(id) => Ok(snapshot.table(*id).lookup(&address_text(address))?.is_some()),
            Test::Network(network) => Ok(network.contains(address)),
            Test::Names(_) | Test::Broken { .. } => Ok(false),
        })
    }
}

impl StringList {
    /// Compiles the words of a list; texts have no parents.
    #[must_use]
    pub fn compile(
        words: &[Spanned<String>],
        catalogue: &mut Catalogue,
        sources: &dyn Sources,
        _parent_matches_subdomains: bool,
    ) -> (StringList, Vec<Diagnostic>) {
        let (list, diagnostics) = Reading::new(catalogue, sources, Form::Texts).list(words, false);
        (StringList(list), diagnostics)
    }

    /// Whether `text` is in the list.
    ///
    /// # Errors
    /// When a table can't say.
    pub fn contains(&self, snapshot: &Snapshot, text: &str) -> Result<bool, LookupError> {
        let folded = fold(text);
        self.0.search(|test| match test {
            Test::Names(names) => Ok(names.contains(&folded)),
            Test::Table(id) => Ok(snapshot.table(*id).lookup(text)?.is_some()),
            _ => Ok(false),
        })
    }
}

macro_rules! emptiness {
    ($($list:ident)*) => {$(
        impl $list {
            /// Whether it holds no word at all.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.0.items.is_empty()
            }
        }
    )*};
}
emptiness!(DomainList AddressList StringList);

impl List {
    fn search(&self, mut holds: impl FnMut(&Test) -> Result<bool, LookupError>) -> Result<bool, LookupError> {
        for item in self.items.iter() {
            if let Test::Broken { word, reason } = &item.test {
                return Err(LookupError::Unavailable { table: word.clone(), reason: reason.clone() });
            }
            if holds(&item.test)? {
                return Ok(!item.negated);
            }
        }
        Ok(false)
    }

    /// Whether a folded name, or what stands for its parents, is among `names`.
    fn holds_domain(&self, names: &HashSet<String>, domain: &str) -> bool {
        names.contains(domain) || parents(domain, self.parents).any(|parent| names.contains(parent))
    }

    fn table_holds_domain(
        &self,
        snapshot: &Snapshot,
        id: TableId,
        domain: &str,
    ) -> Result<bool, LookupError> {
        let table = snapshot.table(id);
        if table.lookup(domain)?.is_some() {
            return Ok(true);
        }
        // Patterns and networks see the whole name only.
        if !table.has_fixed_keys() {
            return Ok(false);
        }
        for parent in parents(domain, self.parents) {
            if table.lookup(parent)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// `b.c` and `c` of `a.b.c`; as `.b.c` and `.c` where parents don't match subdomains.
pub(crate) fn parents(domain: &str, bare: bool) -> impl Iterator<Item = &str> {
    let skipped = usize::from(bare);
    domain
        .char_indices()
        .skip(1)
        .filter(|(_, c)| *c == '.')
        .filter_map(move |(at, _)| domain.get(at + skipped..))
}

struct Reading<'r> {
    catalogue: &'r mut Catalogue,
    sources: &'r dyn Sources,
    form: Form,
    items: Vec<Item>,
    words: usize,
    diagnostics: Vec<Diagnostic>,
}

impl<'r> Reading<'r> {
    fn new(catalogue: &'r mut Catalogue, sources: &'r dyn Sources, form: Form) -> Reading<'r> {
        Reading { catalogue, sources, form, items: Vec::new(), words: 0, diagnostics: Vec::new() }
    }

    fn list(mut self, words: &[Spanned<String>], parents: bool) -> (List, Vec<Diagnostic>) {
        for word in words {
            self.word(&word.value, &word.place, false, 0);
        }
        (List { items: self.items.into(), parents }, self.diagnostics)
    }

    fn word(&mut self, word: &str, place: &Place, negated: bool, depth: usize) {
        let mut negated = negated;
        let mut pattern = word;
        while let Some(rest) = pattern.strip_prefix('!') {
            negated = !negated;
            pattern = rest;
        }
        self.words += 1;
        if pattern.is_empty() {
            return self.broken(word, place, "no pattern after '!'".to_owned());
        }
        if self.words > WORDS_MAX {
            return self.broken(word, place, "too many patterns".to_owned());
        }
        if pattern.starts_with('/') {
            return self.include(pattern, place, negated, depth);
        }
        if self.form == Form::Hosts
            && (pattern.starts_with('[') || pattern.contains('/') && !pattern.contains(':'))
        {
            return match Network::parse(pattern) {
                Ok(network) => self.items.push(Item { negated, test: Test::Network(network) }),
                Err(error) => self.broken(word, place, error.to_string()),
            };
        }
        if pattern.contains(':') {
            return match self.catalogue.intern(&Spanned::new(pattern.to_owned(), place.clone())) {
                Ok(id) => self.items.push(Item { negated, test: Test::Table(id) }),
                Err(mut diagnostic) => {
                    if Network::parse(pattern).is_ok() {
                        let help = format!("write IPv6 addresses in brackets: {}", in_brackets(pattern));
                        diagnostic = diagnostic.help(help);
                    }
                    let reason = diagnostic.message.clone();
                    self.diagnostics.push(diagnostic);
                    self.items.push(Item { negated, test: Test::Broken { word: word.to_owned(), reason } });
                }
            };
        }
        match pattern.parse::<IpAddr>() {
            Ok(_) if self.form == Form::Hosts => {
                if let Ok(network) = Network::parse(pattern) {
                    self.items.push(Item { negated, test: Test::Network(network) });
                }
            }
            _ => self.name(fold(pattern), negated),
        }
    }

    fn name(&mut self, name: String, negated: bool) {
        match self.items.last_mut() {
            Some(Item { negated: sense, test: Test::Names(names) }) if *sense == negated => {
                names.insert(name);
            }
            _ => self.items.push(Item { negated, test: Test::Names(HashSet::from([name])) }),
        }
    }

    fn broken(&mut self, word: &str, place: &Place, reason: String) {
        self.diagnostics.push(Diagnostic::error(BAD_PATTERN, place.clone(), reason.clone()));
        self.items.push(Item { negated: false, test: Test::Broken { word: word.to_owned(), reason } });
    }

    /// The words of a file; a line that starts with `#` is a comment.
    fn include(&mut self, path: &str, place: &Place, negated: bool, depth: usize) {
        if depth >= INCLUDE_DEPTH_MAX {
            return self.broken(path, place, "files include each other too deeply".to_owned());
        }
        let text = match self.sources.read(Path::new(path)) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => {
                let message = error.to_string();
                self.diagnostics.push(Diagnostic::error(UNREADABLE, place.clone(), message.clone()));
                let test = Test::Broken { word: path.to_owned(), reason: message };
                return self.items.push(Item { negated, test });
            }
        };
        let file = Arc::new(SourceFile { path: path.into(), text });
        let mut start = 0;
        for line in file.text.split_inclusive('\n') {
            let from = start;
            start += line.len();
            if line.trim_start_matches(is_space).starts_with('#') {
                continue;
            }
            let mut at = from;
            for piece in line.split_inclusive(|c: char| c == ',' || is_space(c)) {
                let word = piece.trim_end_matches(|c: char| c == ',' || is_space(c));
                if !word.is_empty() {
                    self.word(word, &Place::new(&file, at, at + word.len()), negated, depth + 1);
                }
                at += piece.len();
            }
        }
    }
}

/// `[2001:db8::]/32` for `2001:db8::/32`.
fn in_brackets(network: &str) -> String {
    match network.split_once('/') {
        Some((address, bits)) => format!("[{address}]/{bits}"),
        None => format!("[{network}]"),
    }
}
