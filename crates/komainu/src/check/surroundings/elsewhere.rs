//! What Postfix would miss on this machine, and this server doesn't, or not yet.
//!
//! Tables of parameters that aren't served here yet are opened by nobody, so the loader says nothing of them; and
//! text is served without newaliases(1). Both matter to who goes on with Postfix, or goes back.
//! Diagnostics: K0502 a table that only Postfix would open, and isn't there; K0503 an alias database that isn't built.

use super::{Machine, Scene, scene};
use config::{Diagnostic, Parameters};
use std::collections::HashSet;
use std::path::PathBuf;
use tables::{Kind, TableSpec};

pub(super) fn review(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let served: HashSet<PathBuf> = scene.tables.iter().filter_map(TableSpec::path).collect();
    let mut found = Vec::new();
    for p in scene.views() {
        found.extend(missing(p, &served, machine));
    }
    found.extend(alias_database(scene, machine));
    found
}

fn missing(p: &Parameters, served: &HashSet<PathBuf>, machine: &Machine) -> Vec<Diagnostic> {
    let named = p.definitions().filter(|(name, raw)| {
        let tables = name.ends_with("_maps") || name.ends_with("_checks");
        tables && raw.value.contains(":/") && *name != "proxy_read_maps"
    });
    let names: Vec<String> = named.map(|(name, _)| name.to_owned()).collect();
    let mut found = Vec::new();
    for name in names {
        for spec in p.list(&name).iter().filter_map(|word| TableSpec::parse(word).ok()) {
            let files = spec.kind != Kind::Foreign || spec.name.starts_with('/');
            let path = spec.path().unwrap_or_else(|| PathBuf::from(&spec.name));
            if !files || !path.is_absolute() || served.contains(&path) || !machine.is_missing(&path) {
                continue;
            }
            // A database alone is enough.
            if spec.kind.suffix().is_some_and(|suffix| {
                !machine.is_missing(&PathBuf::from(format!("{}.{suffix}", path.display())))
            }) {
                continue;
            }
            let message = format!("{name}: there is no {}", path.display());
            let help = "nothing opens it here yet; under Postfix every lookup in it fails, and mail that depends on \
                        one waits or is refused with 451 4.3.0";
            found.push(Diagnostic::warning(502, spec.place, message).help(help));
        }
    }
    found
}

/// The text is served as it stands; Postfix wants it built.
fn alias_database(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let p = scene.main;
    if !p.is_set("alias_database") {
        return Vec::new();
    }
    let specs = p.list("alias_database").into_iter().filter_map(|word| TableSpec::parse(&word).ok());
    let unbuilt = specs.filter_map(|spec| {
        let path = spec.path().filter(|path| machine.stat(path).is_some())?;
        let database = PathBuf::from(format!("{}.{}", path.display(), spec.kind.suffix()?));
        machine.is_missing(&database).then_some((spec, database))
    });
    let said = unbuilt.map(|(spec, database)| {
        let message = format!("there is no {}", database.display());
        let place = if spec.place.file.is_some() { spec.place } else { scene::place(p, "alias_database") };
        Diagnostic::hint(503, place, message)
            .help("its text is served here; Postfix defers all local mail until newaliases has been run")
    });
    said.collect()
}
