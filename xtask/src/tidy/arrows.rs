//! Which crate uses which: arrows point up the list of ARCHITECTURE.md, never down.

use crate::tree::Tree;

/// Each crate, and those of ours that it may use.
const ARROWS: [(&str, &[&str]); 13] = [
    ("mail", &[]),
    ("proto", &["mail"]),
    ("config", &["mail"]),
    ("events", &["mail"]),
    ("store", &["mail"]),
    ("tables", &["mail", "config"]),
    ("queue", &["mail"]),
    ("policy", &["mail", "config", "tables"]),
    ("users", &["mail", "proto", "config"]),
    ("ban", &["mail", "config", "events", "tables"]),
    ("report", &["mail", "events"]),
    (
        "komainu",
        &[
            "mail", "proto", "config", "events", "store", "tables", "queue", "policy", "users", "ban",
            "report",
        ],
    ),
    (
        "sim",
        &[
            "mail", "proto", "config", "events", "store", "tables", "queue", "policy", "users", "ban",
            "report", "komainu",
        ],
    ),
];

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with("/Cargo.toml")) {
        let Some(name) = file.crate_name() else { continue };
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            faults.push(format!("{}: a crate that the map doesn't know", file.path));
            continue;
        };
        for used in dependencies(&file.text) {
            let ours = ARROWS.iter().any(|(known, _)| *known == used);
            if ours && !allowed.contains(&used) {
                faults.push(format!("{}: {name} may not use {used}", file.path));
            }
        }
    }
    faults
}

/// The names in `[dependencies]`; those of tests may go anywhere.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = matches!(line, "[dependencies]" | "[build-dependencies]");
            let named = line.strip_prefix("[dependencies.").and_then(|rest| rest.strip_suffix(']'));
            names.extend(named);
        } else if inside && !line.starts_with('#') {
            names.extend(line.split(['.', '=', ' ']).next().filter(|name| !name.is_empty()));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows() {
        let check = |name: &str, manifest: &str, expect: &[&str]| {
            let path = format!("crates/{name}/Cargo.toml");
            assert_eq!(check(&Tree::of(&[(&path, manifest)])), expect);
        };
        check(
            "tables",
            "[dependencies]\nmail.workspace = true\nconfig = { path = \"x\" }\nregex = \"1\"\n",
            &[],
        );
        check(
            "mail",
            "[dependencies]\nconfig.workspace = true\n",
            &["crates/mail/Cargo.toml: mail may not use config"],
        );
        check(
            "store",
            "[dependencies.queue]\npath = \"x\"\n",
            &["crates/store/Cargo.toml: store may not use queue"],
        );
        check("mail", "[dependencies]\n[dev-dependencies]\nsim.workspace = true\n", &[]);
        check("util", "", &["crates/util/Cargo.toml: a crate that the map doesn't know"]);
    }
}
