//! Docs that are made from registries: docs/reference, and the index of docs/diagnostics.
//!
//! `xtask generate` writes them, `xtask tidy` fails where they are stale.

mod parameters;
mod words;

use crate::tidy::{diagnostics, open_points};
use crate::tree::Tree;
use std::fmt::Write as _;
use std::io;

const INDEX: &str = "docs/diagnostics/README.md";
const OPEN_POINTS: &str = "docs/internals/open-points.md";

/// Writes what is stale; gives the paths.
pub(crate) fn write(tree: &Tree) -> io::Result<Vec<String>> {
    let mut written = Vec::new();
    let mut pages = pages(tree);
    pages.extend(open_points(tree).map(|page| (OPEN_POINTS.to_owned(), page)));
    for (path, text) in pages {
        if tree.file(&path).is_none_or(|file| file.text != text) {
            let full = tree.root.join(&path);
            full.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(full, text)?;
            written.push(path);
        }
    }
    Ok(written)
}

/// Pages that are not as the registries would have them.
pub(crate) fn check(tree: &Tree) -> Vec<String> {
    let stale = pages(tree)
        .into_iter()
        .filter(|(path, text)| tree.file(path.as_str()).is_none_or(|file| file.text != *text));
    stale.map(|(path, _)| format!("{path}: stale; run `cargo run -p xtask -- generate`")).collect()
}

fn pages(tree: &Tree) -> Vec<(String, String)> {
    let mut pages = parameters::pages();
    pages.extend(words::pages());
    pages.push((INDEX.to_owned(), index(tree)));
    pages
}

/// The diagnostics' titles, from the pages' first lines.
fn index(tree: &Tree) -> String {
    let mut page = "# Diagnostics\n\n<!-- Made by `cargo run -p xtask -- generate` from the pages. -->\n\n\
                    K01xx: main.cf. K02xx: master.cf. K03xx: tables. K04xx: restrictions. K05xx: the machine around \
                    them. K06xx: the DNS (`--online`), fail2ban's files, users. Each page has the cause, what follows from it, the repair, and an example.\n\n"
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
        let wanted = pages(&tree).len();
        assert!(wanted > 15, "{wanted}");
        assert_eq!(check(&tree).len(), wanted);
        assert_eq!(write(&tree).expect("writes").len(), wanted);
        let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).expect("is there");
        assert!(read(INDEX).ends_with("- [K0106](K0106.md) a bad value\n"));
        let index = read("docs/reference/parameters.md");
        assert!(
            index.contains("[smtpd_helo_required](parameters/smtpd.md#smtpd_helo_required)"),
            "{index:.600}"
        );
        assert!(read("docs/reference/parameters/smtpd.md").contains("\n## smtpd_helo_required\n"));
        let page = read("docs/reference/restrictions.md");
        for line in page.lines().filter(|line| line.starts_with("| `")) {
            assert_eq!(line.replace("\\|", "").matches('|').count(), 7, "{line}");
        }
        for (path, text) in pages(&tree) {
            assert!(text.len() < 120_000, "{path} is too long to be read: {}", text.len());
        }
    }
}
