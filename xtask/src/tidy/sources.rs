//! The sources' form: size, `//!` at the top, no `async` where no waiting belongs.

use crate::tree::Tree;

/// The longest file.
const LINES_MAX: usize = 800;
/// Rows of data, one a line, may go on.
const DATA: &str = "crates/config/src/registry/";

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for file in tree.sources() {
        let lines = file.text.lines().count();
        if lines > LINES_MAX && !file.path.starts_with(DATA) {
            faults.push(format!("{}: {lines} lines, of {LINES_MAX}", file.path));
        }
        // A fuzz target's first line is an attribute of the whole program.
        let first = file.text.lines().find(|line| !line.is_empty() && !line.starts_with("#!["));
        // `tests.rs` has its module's purpose.
        if !first.is_some_and(|line| line.starts_with("//!")) && !file.path.ends_with("/tests.rs") {
            faults.push(format!("{}: doesn't open with `//!` and its purpose", file.path));
        }
        let waits = file.crate_name().is_none_or(|name| matches!(name, "komainu" | "sim"));
        for (number, line) in file.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            if !waits && ["async fn", "async move", "async {"].iter().any(|word| code.contains(word)) {
                faults.push(format!("{}:{}: async outside komainu and sim", file.path, number + 1));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form() {
        let check = |path: &str, text: &str, expect: &[&str]| {
            assert_eq!(check(&Tree::of(&[(path, text)])), expect, "{path}: {text:.40}");
        };
        check("crates/mail/src/a.rs", "//! A purpose.\n// async fn\n", &[]);
        check("fuzz/a.rs", "#![no_main]\n//! A purpose.\n", &[]);
        check(
            "crates/mail/src/a.rs",
            "use x;\n",
            &["crates/mail/src/a.rs: doesn't open with `//!` and its purpose"],
        );
        check(
            "crates/mail/src/a.rs",
            "//! A.\nasync fn x() {}\n",
            &["crates/mail/src/a.rs:2: async outside komainu and sim"],
        );
        check("crates/sim/src/a.rs", "//! A.\nasync fn x() {}\n", &[]);
        let long = format!("//! A.\n{}", "\n".repeat(LINES_MAX));
        check("crates/mail/src/a.rs", &long, &["crates/mail/src/a.rs: 801 lines, of 800"]);
        check("crates/config/src/registry/a.rs", &long, &[]);
    }
}
