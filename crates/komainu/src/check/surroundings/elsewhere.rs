//! What Postfix would miss on this machine, and this server doesn't, or not yet.
//!
//! Tables of parameters that aren't served here yet are opened by nobody, so the loader says nothing of them; and
//! text is served without newaliases(1). Both matter to who goes on with Postfix, or goes back.
//! Diagnostics: K0502 a table that only Postfix would open, and isn't there or is no file; K0503 an alias database that isn't built.

use super::{Machine, Scene, Sight, named, scene};
use config::Diagnostic;
use std::collections::HashSet;
use std::path::PathBuf;
use tables::TableSpec;

pub(super) fn review(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let mut found = missing(scene, machine);
    found.extend(alias_database(scene, machine));
    found
}

fn missing(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let served: HashSet<PathBuf> = scene.tables.iter().filter_map(TableSpec::path).collect();
    let mut found = Vec::new();
    let judged = judged(scene);
    for table in named::tables(&named::settings(scene)) {
        if judged.contains(&table.parameter) {
            continue;
        }
        // newaliases(1) would make it (K0503).
        if served.contains(&table.path) || table.parameter == "alias_database" {
            continue;
        }
        let (name, path) = (&table.parameter, table.path.display());
        let message = match machine.sight(&table.path) {
            // A database alone is enough.
            Sight::Missing if table.databases().iter().all(|database| machine.is_missing(database)) => {
                format!("{name}: there is no {path}")
            }
            Sight::Seen(stat) if stat.is_folder() || stat.is_socket() => format!("{name}: {path} is no file"),
            _ => continue,
        };
        let help = "nothing opens it here yet; under Postfix every lookup in it fails, and mail that depends on \
                    one waits or is refused with 451 4.3.0";
        found.push(Diagnostic::warning(502, table.spec.place, message).help(help));
    }
    found
}

/// Restriction lists and classes: their tables are opened by whoever serves them, and here to be judged (K0304).
fn judged(scene: &Scene<'_>) -> HashSet<String> {
    let lists = ["client", "helo", "etrn", "sender", "relay", "recipient", "data", "end_of_data"]
        .map(|name| format!("smtpd_{name}_restrictions"));
    let classes = scene.main.list("smtpd_restriction_classes").into_iter().map(|class| class.value);
    lists.into_iter().chain(classes).collect()
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
