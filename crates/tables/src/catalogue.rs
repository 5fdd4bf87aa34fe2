//! Which tables the configuration names: `hash:/etc/postfix/access`, `pipemap:{…}`, `proxy:…`.
//!
//! A [`TableSpec`] is one such word, a [`Catalogue`] all of them, each once, by [`TableId`]. Nothing is opened
//! here. `proxy:` (and 3.11's `debug:`) are plain prefixes: this program needs no proxymap(8).

#![expect(clippy::result_large_err, reason = "read at start and reload only; the diagnostic is the point")]

use crate::database::Format;
use crate::remote::Remote;
use crate::source::notice::{BAD_NAME, UNKNOWN_TYPE};
use crate::source::{braces, is_space};
use crate::sources::{GROUP, PASSWD};
use crate::table::has_source;
use crate::types;
use config::{Diagnostic, Place, Spanned};
use std::collections::{HashMap, HashSet};
use std::fmt;
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
    Environ,
    Tcp,
    Socketmap,
    /// A type that needs a library: known by name, not served.
    Foreign,
}

impl Kind {
    /// Whether postmap(1) would build a file of this type.
    #[must_use]
    pub fn is_indexed(self) -> bool {
        self.suffix().is_some()
    }

    /// The suffix of the file that postmap(1) would build.
    #[must_use]
    pub fn suffix(self) -> Option<&'static str> {
        match self {
            Kind::Hash | Kind::Btree => Some("db"),
            Kind::Dbm | Kind::Sdbm => Some("pag"),
            Kind::Lmdb => Some("lmdb"),
            Kind::Cdb => Some("cdb"),
            _ => None,
        }
    }
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

/// Whether a pattern's rule may put parts of the key into its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Substitution {
    /// `$1` stands for what the first parentheses matched.
    #[default]
    Done,
    /// Such a rule is skipped: the table says where mail is written and with whose rights, and the key comes from whoever
    /// sends mail (local(8), virtual(8), SECURITY).
    Refused,
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
    /// What becomes of rules that put parts of the key into their value.
    pub substitution: Substitution,
    /// Where it was written.
    pub place: Place,
    /// The tables that a `unionmap:` or `pipemap:` asks.
    pub members: Vec<TableSpec>,
    /// What is wrong with the word: there is no such table, and every lookup in it fails.
    pub fault: Option<Diagnostic>,
}

/// Unions in pipes in unions … end here.
const DEPTH_MAX: usize = 16;

impl TableSpec {
    /// Reads one word of the configuration.
    ///
    /// # Errors
    /// When the type is unknown or the name is not of its type's form.
    pub fn parse(word: &Spanned<String>) -> Result<TableSpec, Diagnostic> {
        TableSpec::read(&word.value, &word.place, 0)
    }

    fn read(word: &str, place: &Place, depth: usize) -> Result<TableSpec, Diagnostic> {
        let bad = |reason: String| Diagnostic::error(BAD_NAME, place.clone(), reason);
        if depth > DEPTH_MAX {
            return Err(bad("tables are nested too deeply".to_owned()));
        }
        let bare = types::bare(word);
        // Without a type: default_database_type.
        let (type_name, name) = bare.split_once(':').unwrap_or(("hash", bare));
        if type_name.is_empty() || name.is_empty() {
            return Err(bad(format!("open dictionary: expecting \"type:name\" form instead of \"{bare}\"")));
        }
        let Some(kind) = types::find(type_name) else {
            let message = format!("unsupported dictionary type: {type_name}");
            let known: Vec<&str> = types::types().map(|entry| entry.name).collect();
            let meant = match config::nearest_name(type_name, known.into_iter()) {
                Some(near) => format!("did you mean `{near}:{name}`? As it stands"),
                None => "write a type that exists, such as hash, texthash or cidr; as it stands".to_owned(),
            };
            let help = format!("{meant} mail that depends on this table gets 451");
            return Err(Diagnostic::error(UNKNOWN_TYPE, place.clone(), message).help(help));
        };
        let mut spec = TableSpec {
            kind,
            type_name: type_name.to_owned(),
            name: name.to_owned(),
            usage: Usage::Map,
            substitution: Substitution::Done,
            place: place.clone(),
            members: Vec::new(),
            fault: None,
        };
        spec.check_name(depth).map_err(|fault| match fault {
            Fault::Name(reason) => bad(reason),
            Fault::Member(diagnostic) => diagnostic,
        })?;
        Ok(spec)
    }

    /// As [`TableSpec::parse`]; a word that names no table stands for one whose every lookup fails.
    fn of(word: &Spanned<String>) -> TableSpec {
        TableSpec::parse(word).unwrap_or_else(|fault| {
            let bare = types::bare(&word.value);
            let (type_name, name) = bare.split_once(':').unwrap_or(("hash", bare));
            TableSpec {
                kind: Kind::Fail,
                type_name: type_name.to_owned(),
                name: name.to_owned(),
                usage: Usage::Map,
                substitution: Substitution::Done,
                place: word.place.clone(),
                members: Vec::new(),
                fault: Some(fault),
            }
        })
    }

    fn check_name(&mut self, depth: usize) -> Result<(), Fault> {
        match self.kind {
            Kind::Inline => self.pairs().map(drop)?,
            Kind::Static => self.static_text().map(drop)?,
            Kind::Randmap => self.choices().map(drop)?,
            Kind::Tcp | Kind::Socketmap => self.remote().map(drop)?,
            Kind::Unix if !matches!(self.name.as_str(), "passwd.byname" | "group.byname") => {
                return Err(Fault::Name(format!("unknown table: {self}")));
            }
            Kind::Unionmap | Kind::Pipemap => {
                let words = self.braced("type:name...")?;
                if words.iter().any(|word| !word.contains(':')) {
                    return Err(Fault::Name(self.bad_syntax("type:name...")));
                }
                let members: Result<_, _> =
                    words.iter().map(|word| TableSpec::read(word, &self.place, depth + 1)).collect();
                self.members = members.map_err(Fault::Member)?;
            }
            Kind::Cidr | Kind::Regexp | Kind::Pcre if self.name.starts_with('{') => {
                self.inline_rules().map(drop)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn bad_syntax(&self, need: &str) -> String {
        format!("bad syntax: \"{self}\"; need \"{}:{{{need}}}\"", self.type_name)
    }

    /// The words between the braces that must enclose the whole name.
    fn braced(&self, need: &str) -> Result<Vec<&str>, String> {
        let inner = self.name.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let words = braces::split(inner.unwrap_or(""));
        if words.is_empty() {
            return Err(self.bad_syntax(need));
        }
        Ok(words)
    }

    /// The pairs of an `inline:` table.
    ///
    /// # Errors
    /// What is wrong with it, in Postfix's words.
    pub fn pairs(&self) -> Result<Vec<(String, String)>, String> {
        const NEED: &str = "name=value...";
        let wrong = |what: String| format!("{what}: \"{self}\"; need \"inline:{{{NEED}}}\"");
        let inner = braces::unwrap(&self.name).map_err(|_| self.bad_syntax(NEED))?;
        if self.name == "{}" {
            return Err(self.bad_syntax(NEED));
        }
        let mut pairs = Vec::new();
        for word in braces::split(inner) {
            let pair = if word.starts_with('{') { braces::unwrap(word).map_err(&wrong)? } else { word };
            let Some((key, value)) = pair.split_once('=') else {
                return Err(wrong("missing '=' after attribute name".to_owned()));
            };
            if key.trim().contains(is_space) {
                return Err(wrong("missing '=' after attribute name".to_owned()));
            }
            pairs.push((key.trim().to_owned(), value.trim().to_owned()));
        }
        if pairs.is_empty() {
            return Err(wrong("empty table".to_owned()));
        }
        Ok(pairs)
    }

    /// The value of a `static:` table.
    pub(crate) fn static_text(&self) -> Result<&str, String> {
        if self.name.starts_with('{') {
            return braces::unwrap(&self.name).map_err(|reason| format!("bad static:name syntax: {reason}"));
        }
        Ok(&self.name)
    }

    /// The values of a `randmap:` table.
    pub(crate) fn choices(&self) -> Result<Vec<String>, String> {
        Ok(self.braced("value...")?.into_iter().map(str::to_owned).collect())
    }

    /// The server of a `tcp:` or `socketmap:` table.
    pub(crate) fn remote(&self) -> Result<Remote, String> {
        match self.kind {
            Kind::Socketmap => Remote::parse_socketmap(&self.name),
            _ => Remote::parse_tcp(&self.name),
        }
    }

    /// Where the server of a `tcp:` or `socketmap:` table listens.
    #[must_use]
    pub fn server(&self) -> Option<crate::Endpoint> {
        if !matches!(self.kind, Kind::Tcp | Kind::Socketmap) {
            return None;
        }
        self.remote().ok().map(|remote| remote.endpoint)
    }

    /// Whether it, or a part of it, is behind a socket.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(self.kind, Kind::Tcp | Kind::Socketmap) || self.members.iter().any(TableSpec::is_remote)
    }

    /// The text of a `cidr:`, `regexp:` or `pcre:` table whose rules stand in its name.
    pub(crate) fn inline_rules(&self) -> Result<String, String> {
        let wrong = |reason: String| format!("{} map: {reason}", self.type_name);
        let mut text = String::new();
        for word in braces::split(braces::unwrap(&self.name).map_err(wrong)?) {
            text.push_str(braces::unwrap(word).map_err(wrong)?);
            text.push('\n');
        }
        Ok(text)
    }

    /// The file that the table is read from.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        (has_source(self.kind) && !self.name.starts_with('{')).then(|| PathBuf::from(&self.name))
    }

    /// The file that postmap(1) makes of the text, where one is read.
    #[must_use]
    pub fn database(&self) -> Option<PathBuf> {
        Format::of(self.kind)?;
        Some(PathBuf::from(format!("{}.{}", self.name, self.kind.suffix()?)))
    }

    /// Refuses substitution, where it would be done.
    fn guard(&mut self) {
        self.members.iter_mut().for_each(TableSpec::guard);
        // Others stay one with the same table elsewhere.
        if matches!(self.kind, Kind::Regexp | Kind::Pcre)
            || self.members.iter().any(|member| member.substitution == Substitution::Refused)
        {
            self.substitution = Substitution::Refused;
        }
    }

    fn key(&self) -> String {
        format!("{:?} {:?} {self}", self.usage, self.substitution)
    }
}

enum Fault {
    Name(String),
    Member(Diagnostic),
}

impl From<String> for Fault {
    fn from(reason: String) -> Fault {
        Fault::Name(reason)
    }
}

impl fmt::Display for TableSpec {
    /// `type:name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.type_name, self.name)
    }
}

/// Every table that the configuration names.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    specs: Vec<TableSpec>,
    members: Vec<Vec<TableId>>,
    ids: HashMap<String, TableId>,
    aliases: HashSet<String>,
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
        Ok(self.add(TableSpec::parse(word)?))
    }

    /// As [`Catalogue::intern`], for a table that says where mail is written or as whom: its patterns substitute nothing.
    ///
    /// # Errors
    /// As [`TableSpec::parse`].
    pub fn intern_guarded(&mut self, word: &Spanned<String>) -> Result<TableId, Diagnostic> {
        let mut spec = TableSpec::parse(word)?;
        spec.guard();
        Ok(self.add(spec))
    }

    /// As [`Catalogue::intern_guarded`], for `alias_maps`: the source is of the aliases(5) form. From then on the same
    /// table is taken so wherever it is named (`local_recipient_maps = … $alias_maps`).
    ///
    /// # Errors
    /// As [`TableSpec::parse`].
    pub fn intern_aliases(&mut self, word: &Spanned<String>) -> Result<TableId, Diagnostic> {
        let mut spec = TableSpec::parse(word)?;
        spec.guard();
        self.declare_aliases(&spec);
        Ok(self.add(spec))
    }

    /// As [`Catalogue::intern`], where nothing refuses a configuration for such a word: a word that names no table is
    /// taken for one whose every lookup fails, and says what is wrong with it when the tables are compiled. Left out, it
    /// would be a table that finds nothing, and mail would go another way.
    pub fn seat(&mut self, word: &Spanned<String>) -> TableId {
        self.add(TableSpec::of(word))
    }

    /// As [`Catalogue::seat`] and [`Catalogue::intern_guarded`].
    pub fn seat_guarded(&mut self, word: &Spanned<String>) -> TableId {
        let mut spec = TableSpec::of(word);
        spec.guard();
        self.add(spec)
    }

    /// As [`Catalogue::seat`] and [`Catalogue::intern_aliases`].
    pub fn seat_aliases(&mut self, word: &Spanned<String>) -> TableId {
        let mut spec = TableSpec::of(word);
        spec.guard();
        self.declare_aliases(&spec);
        self.add(spec)
    }

    fn declare_aliases(&mut self, spec: &TableSpec) {
        if spec.kind.is_indexed() {
            self.aliases.insert(spec.to_string());
        }
        for member in &spec.members {
            self.declare_aliases(member);
        }
    }

    fn add(&mut self, mut spec: TableSpec) -> TableId {
        if self.aliases.contains(&spec.to_string()) {
            spec.usage = Usage::Aliases;
        }
        let key = spec.key();
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        // Members come first: a table's members always have smaller ids.
        let members = spec.members.iter().map(|member| self.add(member.clone())).collect();
        let id = TableId(u32::try_from(self.specs.len()).unwrap_or(u32::MAX));
        self.specs.push(spec);
        self.members.push(members);
        self.ids.insert(key, id);
        id
    }

    /// All tables, by id.
    #[must_use]
    pub fn specs(&self) -> &[TableSpec] {
        &self.specs
    }

    pub(crate) fn members(&self, index: usize) -> &[TableId] {
        self.members.get(index).map_or(&[], Vec::as_slice)
    }

    /// The files to watch, each once.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self.specs.iter().flat_map(files).collect();
        paths.sort();
        paths.dedup();
        paths
    }
}

/// The files that a table is made of.
pub(crate) fn files(spec: &TableSpec) -> Vec<PathBuf> {
    match spec.kind {
        Kind::Unix => vec![PathBuf::from(PASSWD), PathBuf::from(GROUP)],
        _ => spec.path().into_iter().chain(spec.database()).collect(),
    }
}
