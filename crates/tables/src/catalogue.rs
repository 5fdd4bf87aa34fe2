//! Which tables the configuration names: `hash:/etc/postfix/access`, `pipemap:{…}`, `proxy:…`.
//!
//! A [`TableSpec`] is one such word, a [`Catalogue`] all of them, each once, by [`TableId`]. Nothing is opened
//! here. `proxy:` (and 3.11's `debug:`) are plain prefixes: this program needs no proxymap(8).

use config::{Diagnostic, Place, Spanned};
use std::collections::HashMap;
use std::path::PathBuf;

/// One table of a [`Catalogue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u32);

/// The types of tables that are served here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the table type of the same name in Postfix's DATABASE_README")]
pub enum Kind {
    Hash,
    Btree,
    Dbm,
    Sdbm,
    Lmdb,
    Cdb,
    Texthash,
    Cidr,
    Regexp,
    Pcre,
    Inline,
    Static,
    Unionmap,
    Pipemap,
    Randmap,
    Fail,
    Internal,
    Unix,
    /// A type that needs a socket or a library: known by name, not served.
    Foreign,
}

/// What the source text looks like, where one table type has two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Usage {
    /// postmap(1): `key whitespace value`.
    #[default]
    Map,
    /// postalias(1), aliases(5): `key: value`.
    Aliases,
}

/// A table as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSpec {
    /// Its type.
    pub kind: Kind,
    /// The type as written, without `proxy:`.
    pub type_name: String,
    /// What stands behind the type: a path, a `{…}`, a text.
    pub name: String,
    /// What its source text looks like.
    pub usage: Usage,
    /// Where it was written.
    pub place: Place,
    /// The tables that a `unionmap:` or `pipemap:` asks.
    pub members: Vec<TableSpec>,
}

impl TableSpec {
    /// Reads one word of the configuration.
    ///
    /// # Errors
    /// When the type is unknown or the name is not of its type's form.
    pub fn parse(word: &Spanned<String>) -> Result<TableSpec, Diagnostic> {
        Err(Diagnostic::error(301, word.place.clone(), "not yet"))
    }
}

/// Every table that the configuration names.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    specs: Vec<TableSpec>,
    ids: HashMap<String, TableId>,
}

impl Catalogue {
    /// An empty one.
    #[must_use]
    pub fn new() -> Catalogue {
        Catalogue::default()
    }

    /// The id of the table `word`; one table however often it is named.
    ///
    /// # Errors
    /// As [`TableSpec::parse`].
    pub fn intern(&mut self, word: &Spanned<String>) -> Result<TableId, Diagnostic> {
        let _ = &mut self.ids;
        TableSpec::parse(word).map(|_| TableId(0))
    }

    /// As [`Catalogue::intern`], for `alias_maps`: the source is of the aliases(5) form.
    ///
    /// # Errors
    /// As [`TableSpec::parse`].
    pub fn intern_aliases(&mut self, word: &Spanned<String>) -> Result<TableId, Diagnostic> {
        self.intern(word)
    }

    /// All tables, by id.
    #[must_use]
    pub fn specs(&self) -> &[TableSpec] {
        &self.specs
    }

    /// The files to watch, each once.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}
