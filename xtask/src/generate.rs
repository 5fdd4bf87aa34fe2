//! Docs that are made from registries: docs/reference/parameters.md, and the index of docs/diagnostics.
//!
//! `xtask generate` writes them, `xtask tidy` fails where they are stale.

use crate::tidy::{diagnostics, open_points};
use crate::tree::Tree;
use config::Compat;
use config::registry::{self, Default, Parameter, State};
use std::fmt::Write as _;
use std::io;

const PARAMETERS: &str = "docs/reference/parameters.md";
const INDEX: &str = "docs/diagnostics/README.md";
const OPEN_POINTS: &str = "docs/internals/open-points.md";

/// Writes what is stale; gives the paths.
pub(crate) fn write(tree: &Tree) -> io::Result<Vec<String>> {
    let mut written = Vec::new();
    let mut pages = pages(tree);
    pages.extend(open_points(tree).map(|page| (OPEN_POINTS, page)));
    for (path, text) in pages {
        if tree.file(path).is_none_or(|file| file.text != text) {
            let full = tree.root.join(path);
            full.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(full, text)?;
            written.push(path.to_owned());
        }
    }
    Ok(written)
}

/// Pages that are not as the registries would have them.
pub(crate) fn check(tree: &Tree) -> Vec<String> {
    let stale =
        pages(tree).into_iter().filter(|(path, text)| tree.file(path).is_none_or(|file| file.text != *text));
    stale.map(|(path, _)| format!("{path}: stale; run `cargo run -p xtask -- generate`")).collect()
}

fn pages(tree: &Tree) -> Vec<(&'static str, String)> {
    vec![(PARAMETERS, parameters()), (INDEX, index(tree))]
}

fn parameters() -> String {
    let mut rows: Vec<&Parameter> = registry::all().collect();
    rows.sort_by_key(|row| row.name);
    let done = rows.iter().filter(|row| row.state == State::Implemented).count();
    let mut page = format!(
        "# Parameters\n\n<!-- Made by `cargo run -p xtask -- generate`; edit crates/config/src/registry. -->\n\n\
         {} parameters are known, {done} of them have their effect here. Defaults are Postfix 3.11's; where 3.7's \
         differ, `--compat 3.7` takes those. What a parameter means is in postconf(5); names that begin with \
         `komainu_` are our own.\n\n\
         | Parameter | Type | Default | Default in 3.7 | Since | Here |\n| --- | --- | --- | --- | --- | --- |\n",
        rows.len()
    );
    for row in rows {
        let old = match row.default {
            Default::ByCompat { v3_7, .. } => code(v3_7),
            _ => String::new(),
        };
        let default = match row.default {
            Default::Computed(_) => "from the machine".to_owned(),
            Default::Nothing => String::new(),
            _ => code(row.default_text(Compat::V3_11).unwrap_or("")),
        };
        let here = match (row.obsolete, row.state) {
            (Some(instead), _) => format!("of the past: {}", escaped(instead)),
            (None, State::Implemented) => "yes".to_owned(),
            (None, State::NoEffect(because)) => format!("no effect: {}", escaped(because)),
            (None, State::NotYet) => "not yet".to_owned(),
        };
        let since = row.since.unwrap_or("");
        // Writing to a string can't fail.
        let _ =
            writeln!(page, "| `{}` | {} | {default} | {old} | {since} | {here} |", row.name, row.kind.name());
    }
    page
}

/// The diagnostics' titles, from the pages' first lines.
fn index(tree: &Tree) -> String {
    let mut page = "# Diagnostics\n\n<!-- Made by `cargo run -p xtask -- generate` from the pages. -->\n\n\
                    K01xx: main.cf. K02xx: master.cf. K03xx: tables. K04xx: restrictions. K05xx: the machine around \
                    them. K06xx: the DNS (`--online`). Each page has the cause, what follows from it, the repair, and an example.\n\n"
        .to_owned();
    for (code, text) in diagnostics::pages(tree) {
        let title = text.lines().next().and_then(|line| line.split_once(": ")).map_or("", |(_, title)| title);
        let _ = writeln!(page, "- [K{code:04}](K{code:04}.md) {title}");
    }
    page
}

fn code(text: &str) -> String {
    if text.is_empty() { "empty".to_owned() } else { format!("`{}`", escaped(text)) }
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_pages_are_found_and_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut tree = Tree::of(&[("docs/diagnostics/K0106.md", "# K0106: a bad value\n")]);
        tree.root = folder.path().to_owned();
        assert_eq!(check(&tree).len(), 2);
        assert_eq!(write(&tree).expect("writes").len(), 2);
        let fresh = std::fs::read_to_string(folder.path().join(INDEX)).expect("is there");
        assert!(fresh.ends_with("- [K0106](K0106.md) a bad value\n"), "{fresh}");
        let page = std::fs::read_to_string(folder.path().join(PARAMETERS)).expect("is there");
        assert!(page.contains("\n| `smtpd_helo_required` | yes/no | `no` |"), "{page:.600}");
        for line in page.lines().filter(|line| line.starts_with("| `")) {
            assert_eq!(line.replace("\\|", "").matches('|').count(), 7, "{line}");
        }
    }
}
