//! All tables, compiled: immutable, shared, swapped whole.
//!
//! A table that can't be read is broken, and its lookups fail; one that was good before stays in force and that is
//! said (T1.7). A live edit that empties a table, takes more than half of it, or adds lines that have no effect is
//! held back until a reload: a half-written file is valid and shorter, and blocks would vanish unseen.

use crate::catalogue::{Catalogue, Kind, TableId, TableSpec, Usage, files};
use crate::database::{Format, serve};
use crate::indexed::{Indexed, Manner, Style};
use crate::remote::{Answers, Remote};
use crate::rules::Syntax;
use crate::source::notice::{HELD_BACK, KEPT_LAST_GOOD, NOT_SERVED, UNREADABLE};
use crate::source::{Notice, Source};
use crate::sources::{SOURCE_BYTES_MAX, SourceError, Sources};
use crate::table::{Body, Hit, LookupError, Table, TextHit, has_source};
use crate::{cidr, rules};
use config::{Diagnostic, Place};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Every table of a [`Catalogue`], compiled.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    tables: Arc<Vec<Arc<Table>>>,
    /// What tables behind sockets have said, where this snapshot is one evaluation's own.
    answers: Option<Arc<Answers>>,
}

/// A table in a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'s> {
    table: &'s Table,
    answers: Option<&'s Answers>,
}

impl<'s> Seat<'s> {
    /// What the table says about `key`.
    ///
    /// # Errors
    /// When it can't say, or must be asked first.
    pub fn lookup(&self, key: &str) -> Result<Option<Hit<'s>>, LookupError> {
        self.table.search(key, self.answers)
    }

    /// What the table says about a header or a line of a message, as header_checks(5) asks.
    ///
    /// # Errors
    /// When it can't say, or must be asked first.
    pub fn lookup_text(&self, text: &[u8]) -> Result<Option<TextHit<'s>>, LookupError> {
        self.table.search_text(text, self.answers)
    }
}

impl Deref for Seat<'_> {
    type Target = Table;

    fn deref(&self) -> &Table {
        self.table
    }
}

/// Fewer entries than this may go at once.
const SHRINK_FROM: usize = 8;

static UNKNOWN: Table = Table {
    name: String::new(),
    place: Place::nowhere(),
    file: None,
    body: Body::Broken(String::new()),
    losses: 0,
};

/// One table as it was just made.
pub(crate) struct Built {
    pub(crate) table: Table,
    pub(crate) notices: Vec<Notice>,
}

impl Snapshot {
    /// Compiles every table of `catalogue`. One that can't be read is broken: its lookups fail.
    #[must_use]
    pub fn compile(catalogue: &Catalogue, sources: &dyn Sources) -> (Snapshot, Vec<Diagnostic>) {
        Snapshot::compile_after(&Snapshot::default(), catalogue, sources)
    }

    /// As [`Snapshot::compile`] at a reload: a table that can't be read now keeps what `previous` had.
    #[must_use]
    pub fn compile_after(
        previous: &Snapshot,
        catalogue: &Catalogue,
        sources: &dyn Sources,
    ) -> (Snapshot, Vec<Diagnostic>) {
        let mut snapshot = Snapshot::default();
        let mut diagnostics = Vec::new();
        for (index, spec) in catalogue.specs().iter().enumerate() {
            let built = build(spec, &snapshot.members(catalogue, index), sources);
            diagnostics.extend(built.notices.iter().map(Notice::diagnostic));
            let last = previous
                .tables
                .iter()
                .find(|last| built.table.is_broken() && !last.is_broken() && *last.name == spec.to_string());
            match last {
                Some(last) => {
                    diagnostics.push(kept(spec, &reason(&built.table)));
                    snapshot.push(Arc::clone(last));
                }
                None => {
                    diagnostics.extend(trouble(spec, &built.table));
                    snapshot.push(Arc::new(built.table));
                }
            }
        }
        (snapshot, diagnostics)
    }

    /// Compiles anew what stands in the files `changed`, and shares the rest.
    #[must_use]
    pub fn recompile(
        &self,
        catalogue: &Catalogue,
        changed: &[PathBuf],
        sources: &dyn Sources,
    ) -> (Snapshot, Vec<Diagnostic>) {
        let mut snapshot = Snapshot::default();
        let mut diagnostics = Vec::new();
        for (index, spec) in catalogue.specs().iter().enumerate() {
            let members = snapshot.members(catalogue, index);
            let table = match self.tables.get(index) {
                Some(last) if !self.touched(catalogue, index, changed, &members) => Arc::clone(last),
                last => {
                    let built = build(spec, &members, sources);
                    diagnostics.extend(built.notices.iter().map(Notice::diagnostic));
                    match last.and_then(|last| Some((last, refuse(spec, last, &built.table)?))) {
                        Some((last, refusal)) => {
                            diagnostics.push(refusal);
                            Arc::clone(last)
                        }
                        None => {
                            diagnostics.extend(trouble(spec, &built.table));
                            Arc::new(built.table)
                        }
                    }
                }
            };
            snapshot.push(table);
        }
        (snapshot, diagnostics)
    }

    /// The table `id`. One that was interned after this snapshot was made is broken.
    #[must_use]
    pub fn table(&self, id: TableId) -> Seat<'_> {
        let table = self.seat(id).map_or(&UNKNOWN, |table| table);
        Seat { table, answers: self.answers.as_deref() }
    }

    /// Takes in what a table behind a socket said about a key: its value, nothing, or (`None`) that it can't say.
    /// An evaluation learns into a snapshot of its own, and so never takes a value that another one was told.
    pub fn learn(&mut self, table: &Arc<Remote>, key: String, said: Option<Option<String>>) {
        Arc::make_mut(self.answers.get_or_insert_default()).learn(table, key, said);
    }

    /// Whether a table behind a socket has been asked about a key.
    #[must_use]
    pub fn knows(&self, table: &Remote, key: &str) -> bool {
        self.answers.as_ref().is_some_and(|answers| answers.said(table, key).is_some())
    }

    /// Whether it holds what tables behind sockets have said.
    #[must_use]
    pub const fn has_answers(&self) -> bool {
        self.answers.is_some()
    }

    /// Forgets what tables behind sockets have said.
    pub fn forget_answers(&mut self) {
        self.answers = None;
    }

    fn push(&mut self, table: Arc<Table>) {
        Arc::make_mut(&mut self.tables).push(table);
    }

    fn seat(&self, id: TableId) -> Option<&Arc<Table>> {
        self.tables.get(usize::try_from(id.0).ok()?)
    }

    fn members(&self, catalogue: &Catalogue, index: usize) -> Vec<Arc<Table>> {
        catalogue.members(index).iter().filter_map(|id| self.seat(*id).map(Arc::clone)).collect()
    }

    /// Whether the files of a table, or one of its members, changed.
    fn touched(
        &self,
        catalogue: &Catalogue,
        index: usize,
        changed: &[PathBuf],
        members: &[Arc<Table>],
    ) -> bool {
        let own =
            catalogue.specs().get(index).is_some_and(|spec| files(spec).iter().any(|f| changed.contains(f)));
        let before = self.members(catalogue, index);
        own || before.len() != members.len()
            || before.iter().zip(members).any(|(before, now)| !Arc::ptr_eq(before, now))
    }
}

fn reason(table: &Table) -> String {
    match &table.body {
        Body::Broken(reason) => reason.clone(),
        _ => String::new(),
    }
}

fn kept(spec: &TableSpec, reason: &str) -> Diagnostic {
    let message = format!("{spec} is unavailable. {reason}");
    Diagnostic::warning(KEPT_LAST_GOOD, spec.place.clone(), message)
        .help("the last good table stays in force")
}

/// What follows from a table that can't be asked.
const LOOKUPS_FAIL: &str = "every lookup in it fails: an access table's restriction answers 451 4.3.5 Server configuration \
                            error to everyone, other tables 451 4.3.0 Temporary lookup failure";

/// What a table that is in force says about itself.
pub(crate) fn trouble(spec: &TableSpec, table: &Table) -> Option<Diagnostic> {
    if let Some(fault) = &spec.fault {
        return Some(fault.clone());
    }
    match &table.body {
        Body::Broken(reason) => {
            let message = format!("{spec} is unavailable. {reason}");
            Some(Diagnostic::error(UNREADABLE, spec.place.clone(), message).help(LOOKUPS_FAIL))
        }
        // Nobody wrote down the default of alias_maps.
        Body::Union(_) if spec.kind == Kind::Foreign && spec.place.file.is_none() => None,
        Body::Union(_) if spec.kind == Kind::Foreign => {
            let message = "dict_nis_init: NIS domain name not set - NIS lookups disabled";
            Some(Diagnostic::warning(NOT_SERVED, spec.place.clone(), message))
        }
        Body::Foreign => {
            let message = format!("{spec}: tables of type \"{}\" are not served yet", spec.type_name);
            Some(Diagnostic::error(NOT_SERVED, spec.place.clone(), message).help(LOOKUPS_FAIL))
        }
        _ => None,
    }
}

/// Why a live edit isn't taken over.
fn refuse(spec: &TableSpec, last: &Table, new: &Table) -> Option<Diagnostic> {
    if last.is_broken() {
        return None;
    }
    if new.is_broken() {
        return Some(kept(spec, &reason(new)));
    }
    if !has_source(spec.kind) {
        return None;
    }
    let (before, now) = (last.entries(), new.entries());
    if (now == 0 && before > 0) || (before >= SHRINK_FROM && now < before.div_ceil(2)) {
        let message = format!("{spec} would shrink from {before} to {now} entries: the edit is held back");
        let diagnostic = Diagnostic::warning(HELD_BACK, spec.place.clone(), message);
        return Some(diagnostic.help("a reload takes it as it is"));
    }
    if new.losses > last.losses {
        let message = format!(
            "{spec} has lines without effect since the last edit: the last good table stays in force"
        );
        let diagnostic = Diagnostic::warning(KEPT_LAST_GOOD, spec.place.clone(), message);
        return Some(diagnostic.help("a reload takes it as it is"));
    }
    None
}

/// Makes one table.
pub(crate) fn build(spec: &TableSpec, members: &[Arc<Table>], sources: &dyn Sources) -> Built {
    if let Some(fault) = &spec.fault {
        let body = Body::Broken(fault.message.clone());
        return Built { table: Table::new(spec, body), notices: Vec::new() };
    }
    if let Some(format) = Format::of(spec.kind) {
        return serve(spec, format, sources);
    }
    if has_source(spec.kind) {
        return match source(spec, sources) {
            Ok(source) => {
                let mut built = compile_source(spec, &source, Manner::default());
                // Rules that stand in the name are in no file of their own.
                if spec.path().is_none() {
                    for notice in &mut built.notices {
                        notice.place = spec.place.clone();
                    }
                }
                built
            }
            Err(reason) => Built { table: Table::new(spec, Body::Broken(reason)), notices: Vec::new() },
        };
    }
    let body = match spec.kind {
        Kind::Inline => spec.pairs().map(|pairs| Body::Indexed(Indexed::from_pairs(pairs.into_iter()))),
        Kind::Static => spec.static_text().map(|text| Body::Static(text.to_owned())),
        Kind::Randmap => spec.choices().map(|values| Body::Random { values, turn: AtomicU64::new(0) }),
        Kind::Unionmap => Ok(Body::Union(members.to_vec())),
        Kind::Pipemap => Ok(Body::Pipe(members.to_vec())),
        Kind::Fail => Ok(Body::Fail),
        Kind::Environ => Ok(Body::Environment(Indexed::from_variables(sources.environment()))),
        Kind::Unix => match sources.accounts() {
            Ok(accounts) if spec.name == "group.byname" => Ok(Body::Groups(accounts)),
            Ok(accounts) => Ok(Body::Users(accounts)),
            Err(error) => Err(error.to_string()),
        },
        Kind::Foreign if spec.type_name == "nis" && !has_nis_domain(sources) => Ok(Body::Union(Vec::new())),
        Kind::Foreign => Ok(Body::Foreign),
        Kind::Tcp | Kind::Socketmap => spec.remote().map(|remote| Body::Remote(Arc::new(remote))),
        _ => Ok(Body::Indexed(Indexed::default())),
    };
    Built { table: Table::new(spec, body.unwrap_or_else(Body::Broken)), notices: Vec::new() }
}

/// Whether this machine is in a NIS domain. Outside of one Postfix finds nothing in `nis:` tables, and
/// alias_maps names one by default.
fn has_nis_domain(sources: &dyn Sources) -> bool {
    let name = sources.read(Path::new("/proc/sys/kernel/domainname")).unwrap_or_default();
    !matches!(name.trim_ascii(), b"" | b"(none)")
}

pub(crate) fn source(spec: &TableSpec, sources: &dyn Sources) -> Result<Source, String> {
    let path = Path::new(&spec.name);
    if spec.path().is_none() {
        return Ok(Source::new(path, spec.inline_rules()?.into_bytes()));
    }
    match read_source(path, sources) {
        Ok(bytes) => Ok(Source::new(path, bytes)),
        Err(error) => {
            let text = error.to_string();
            let indexed = spec.kind.is_indexed() || spec.kind == Kind::Texthash;
            Err(if indexed { text.replacen("open ", "open database ", 1) } else { text })
        }
    }
}

/// A file of a table, not too large a one.
pub(crate) fn read_source(path: &Path, sources: &dyn Sources) -> Result<Vec<u8>, SourceError> {
    let bytes = sources.read(path)?;
    if bytes.len() > SOURCE_BYTES_MAX { Err(SourceError::TooLarge(path.to_owned())) } else { Ok(bytes) }
}

pub(crate) fn compile_source(spec: &TableSpec, source: &Source, manner: Manner) -> Built {
    let style = spec.kind.suffix().map_or(Style::Text, Style::Database);
    let (body, notices) = match (spec.kind, spec.usage) {
        (Kind::Cidr, _) => {
            let (table, notices) = cidr::parse(source, &spec.name);
            (Body::Cidr(table), notices)
        }
        (Kind::Regexp | Kind::Pcre, _) => {
            let syntax = if spec.kind == Kind::Pcre { Syntax::Perl } else { Syntax::Posix };
            let (table, notices) = rules::parse(source, &spec.name, (syntax, spec.substitution));
            (Body::Rules(table), notices)
        }
        (_, Usage::Aliases) => {
            let (table, notices) = Indexed::parse_aliases(source, style, manner);
            (Body::Indexed(table), notices)
        }
        (_, Usage::Map) => {
            let (table, notices) = Indexed::parse_map(source, style, manner);
            (Body::Indexed(table), notices)
        }
    };
    let losses = notices.iter().filter(|notice| notice.is_loss()).count();
    let mut table = Table::new(spec, body);
    table.file = Some(Arc::clone(&source.file));
    table.losses = losses;
    Built { table, notices }
}
