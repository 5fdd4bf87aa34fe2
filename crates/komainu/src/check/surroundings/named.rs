//! Every file of a table that main.cf or a service's `-o` names, whether anything opens it here or not.
//!
//! Tables of parameters that aren't served yet (`transport_maps`, `smtp_sasl_password_maps` …) and of services that
//! other programs run are opened by nobody, so the loader says nothing of them; who may write or read them matters
//! all the same. What a server writes itself (caches) is no table of the administrator's.

use super::Scene;
use config::registry::{self, Kind as Type};
use config::{Place, Spanned, split_words};
use std::path::{Path, PathBuf};
use tables::{Kind, TableSpec};

/// A parameter, or a service's override of one, and its words.
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) words: Vec<Spanned<String>>,
}

/// A table's source, and who names it.
pub(super) struct Table {
    pub(super) parameter: String,
    pub(super) spec: TableSpec,
    pub(super) path: PathBuf,
}

impl Table {
    /// The files that postmap(1) makes of it.
    pub(super) fn databases(&self) -> Vec<PathBuf> {
        let suffixes: &[&str] = match self.spec.kind {
            Kind::Hash | Kind::Btree => &["db"],
            Kind::Dbm | Kind::Sdbm => &["pag", "dir"],
            Kind::Lmdb => &["lmdb"],
            Kind::Cdb => &["cdb"],
            _ => &[],
        };
        suffixes.iter().map(|suffix| PathBuf::from(format!("{}.{suffix}", self.path.display()))).collect()
    }
}

/// What is set and may name a table or a file.
pub(super) fn settings(scene: &Scene<'_>) -> Vec<Setting> {
    let p = scene.main;
    let is_asked = |name: &str, text: &str| !is_own(name) && text.contains(['/', '$', ':']);
    let of_main = p.definitions().filter(|(name, raw)| is_asked(name, &raw.value));
    let mut all: Vec<Setting> =
        of_main.map(|(name, _)| Setting { name: name.to_owned(), words: p.list(name) }).collect();
    let overrides = scene.master.services.iter().flat_map(|service| &service.overrides);
    for one in overrides.filter(|one| is_asked(&one.name.value, &one.value.value)) {
        let words = split_words(one.value.clone()).into_iter().map(|word| match word.value.contains('$') {
            true => Spanned::new(p.expand(&word.value), word.place),
            false => word,
        });
        all.push(Setting { name: one.name.value.clone(), words: words.collect() });
    }
    all
}

/// Files that a server makes for itself, and the lists of what proxymap(8) may open.
fn is_own(name: &str) -> bool {
    name.ends_with("_cache_database")
        || name.ends_with("_cache_map")
        || matches!(name, "address_verify_map" | "proxy_read_maps" | "proxy_write_maps")
}

/// The tables of `settings` that are files.
pub(super) fn tables(settings: &[Setting]) -> Vec<Table> {
    let mut all = Vec::new();
    for setting in settings {
        for word in setting.words.iter().filter(|word| word.value.contains(":/")) {
            let Ok(spec) = TableSpec::parse(word) else { continue };
            add(spec, &setting.name, &mut all);
        }
    }
    all
}

/// The specs behind one word: those that a `unionmap:` or `pipemap:` asks.
pub(super) fn flat(spec: TableSpec) -> Vec<TableSpec> {
    if spec.members.is_empty() { vec![spec] } else { spec.members.into_iter().flat_map(flat).collect() }
}

fn add(spec: TableSpec, parameter: &str, all: &mut Vec<Table>) {
    for spec in flat(spec) {
        let in_file = spec.kind == Kind::Foreign || spec.path().is_some() || spec.kind.is_indexed();
        if in_file && spec.name.starts_with('/') {
            let path = PathBuf::from(&spec.name);
            all.push(Table { parameter: parameter.to_owned(), spec, path });
        }
    }
}

/// The files of patterns among the words of lists: `mynetworks = /etc/postfix/networks`.
pub(super) fn pattern_files(settings: &[Setting]) -> Vec<(PathBuf, Place)> {
    let lists = settings
        .iter()
        .filter(|setting| registry::find(&setting.name).is_some_and(|one| one.kind == Type::List));
    let words = lists.flat_map(|setting| &setting.words);
    let files = words.filter_map(|word| {
        let path = word.value.strip_prefix('!').unwrap_or(&word.value);
        path.starts_with('/').then(|| (Path::new(path).to_owned(), word.place.clone()))
    });
    files.collect()
}
