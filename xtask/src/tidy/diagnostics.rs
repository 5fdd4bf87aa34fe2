//! The codes of diagnostics (`K0107`): one crate each, and a page in docs/diagnostics with what people need.

use crate::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};

/// Where the pages are.
pub(crate) const FOLDER: &str = "docs/diagnostics/";
/// What each page has.
const SECTIONS: [&str; 4] = ["## Cause", "## Consequence", "## Repair", "## Example"];

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    let raised = raised(tree);
    for (code, crates) in &raised {
        if crates.len() > 1 {
            let names: Vec<&str> = crates.iter().map(String::as_str).collect();
            faults.push(format!("K{code:04} means two things: {} raise it", names.join(" and ")));
        }
    }
    let codes: BTreeSet<u16> = raised.keys().copied().collect();
    let pages = pages(tree);
    for code in codes.union(&mentioned(tree)) {
        if !pages.contains_key(code) {
            faults.push(format!("{FOLDER}K{code:04}.md is missing"));
        }
    }
    for (code, text) in &pages {
        if !codes.contains(code) && !mentioned(tree).contains(code) {
            faults.push(format!("{FOLDER}K{code:04}.md: no code raises this"));
        }
        if !text.starts_with(&format!("# K{code:04}: ")) {
            faults.push(format!("{FOLDER}K{code:04}.md: the first line is `# K{code:04}: what it is`"));
        }
        for section in SECTIONS.iter().filter(|section| !text.lines().any(|line| line == **section)) {
            faults.push(format!("{FOLDER}K{code:04}.md: no `{section}`"));
        }
    }
    faults
}

/// The pages by code.
pub(crate) fn pages(tree: &Tree) -> BTreeMap<u16, &str> {
    let page = |path: &str| path.strip_prefix(FOLDER)?.strip_prefix('K')?.strip_suffix(".md")?.parse().ok();
    tree.files.iter().filter_map(|file| Some((page(&file.path)?, file.text.as_str()))).collect()
}

/// Codes that stand as numbers in the code, with the crates that raise them.
fn raised(tree: &Tree) -> BTreeMap<u16, BTreeSet<String>> {
    let mut raised: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    for file in tree.sources() {
        let Some(name) = file.crate_name() else { continue };
        let text = file.program_part();
        let mut note = |tail: &str| {
            let digits: String = tail.trim_start().chars().take_while(char::is_ascii_digit).collect();
            if let (3, Ok(code)) = (digits.len(), digits.parse()) {
                raised.entry(code).or_default().insert(name.to_owned());
            }
        };
        for start in ["Diagnostic::error(", "Diagnostic::warning(", "Diagnostic::hint("] {
            text.match_indices(start).filter_map(|(at, _)| text.get(at + start.len()..)).for_each(&mut note);
        }
        let constants = text.lines().filter(|line| line.contains("const "));
        constants.filter_map(|line| Some(line.split_once(": u16 = ")?.1)).for_each(&mut note);
    }
    raised
}

/// Codes that program text names: `K0106`, and those between in `K0106 to K0109`.
fn mentioned(tree: &Tree) -> BTreeSet<u16> {
    let mut codes = BTreeSet::new();
    for file in tree.sources().filter(|file| file.crate_name().is_some()) {
        let text = file.program_part();
        let mut before: Option<(usize, u16)> = None;
        for (at, _) in text.match_indices("K0") {
            let digits = text.get(at + 1..at + 5).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
            let Some(code) = digits.and_then(|digits| digits.parse::<u16>().ok()) else { continue };
            if let Some((end, first)) = before
                && text.get(end..at) == Some(" to ")
            {
                codes.extend(first..code);
            }
            codes.insert(code);
            before = Some((at + 5, code));
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# K0106: x\n## Cause\n## Consequence\n## Repair\n## Example\n";

    #[test]
    fn codes_and_pages() {
        let check = |files: &[(&str, &str)], expect: &[&str]| assert_eq!(check(&Tree::of(files)), expect);
        let config = ("crates/config/src/a.rs", "Diagnostic::error(106, place)");
        let page = ("docs/diagnostics/K0106.md", PAGE);
        check(&[config, page], &[]);
        check(&[config], &["docs/diagnostics/K0106.md is missing"]);
        check(&[page], &["docs/diagnostics/K0106.md: no code raises this"]);
        let policy = ("crates/policy/src/a.rs", "Diagnostic::hint(\n    106, place)");
        check(&[config, policy, page], &["K0106 means two things: config and policy raise it"]);
        let constant = ("crates/policy/src/a.rs", "pub const BAD: u16 = 106;");
        check(&[config, constant, page], &["K0106 means two things: config and policy raise it"]);
        let range = ("crates/config/src/a.rs", "//! K0105 to K0106");
        check(&[range, page], &["docs/diagnostics/K0105.md is missing"]);
        let bare = ("docs/diagnostics/K0106.md", "# K0106: x\n## Cause\n## Repair\n## Example\n");
        check(&[config, bare], &["docs/diagnostics/K0106.md: no `## Consequence`"]);
    }
}
