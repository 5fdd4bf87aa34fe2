//! Licences of everything that is built in: permissive ones only.

use crate::tree::Tree;
use serde_json::Value;
use std::process::Command;

const ALLOWED: [&str; 15] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "CC0-1.0",
    "BSL-1.0",
];

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let ran = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(&tree.root)
        .output();
    match ran {
        Ok(output) if output.status.success() => match serde_json::from_slice(&output.stdout) {
            Ok(metadata) => packages(&metadata),
            Err(error) => vec![format!("cargo metadata: {error}")],
        },
        Ok(output) => vec![format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim())],
        Err(error) => vec![format!("cargo metadata: {error}")],
    }
}

fn packages(metadata: &Value) -> Vec<String> {
    let packages = metadata.get("packages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut faults = Vec::new();
    for package in packages {
        let text = |field: &str| package.get(field).and_then(Value::as_str).unwrap_or("");
        if !is_allowed(text("license")) {
            faults.push(format!(
                "Cargo.lock: {} {} is under {:?}",
                text("name"),
                text("version"),
                text("license")
            ));
        }
    }
    faults
}

/// Whether an SPDX expression leaves a way through the list.
fn is_allowed(expression: &str) -> bool {
    let spaced =
        expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "+WITH+");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest) && rest.is_empty()
}

fn either(rest: &mut &[&str]) -> bool {
    let mut allowed = both(rest);
    while let Some((&"OR", tail)) = rest.split_first() {
        *rest = tail;
        allowed |= both(rest);
    }
    allowed
}

fn both(rest: &mut &[&str]) -> bool {
    let mut allowed = one(rest);
    while let Some((&"AND", tail)) = rest.split_first() {
        *rest = tail;
        allowed &= one(rest);
    }
    allowed
}

fn one(rest: &mut &[&str]) -> bool {
    let Some((word, tail)) = rest.split_first() else { return false };
    *rest = tail;
    if *word != "(" {
        return ALLOWED.contains(&word.replace("+WITH+", " WITH ").as_str());
    }
    let allowed = either(rest);
    match rest.split_first() {
        Some((&")", tail)) => {
            *rest = tail;
            allowed
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let check =
            |expression: &str, expect: bool| assert_eq!(is_allowed(expression), expect, "{expression}");
        check("MIT", true);
        check("MIT/Apache-2.0", true);
        check("GPL-3.0 OR MIT", true);
        check("GPL-3.0", false);
        check("MIT AND GPL-3.0", false);
        check("(MIT OR GPL-3.0) AND Unicode-3.0", true);
        check("Apache-2.0 WITH LLVM-exception OR MIT", true);
        check("", false);
        check("(MIT", false);
        check("MIT MIT", false);
    }

    #[test]
    fn a_package_is_named() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "a", "version": "1.0.0", "license": "MIT" },
            { "name": "b", "version": "2.0.0", "license": "AGPL-3.0" },
            { "name": "c", "version": "3.0.0", "license": null },
        ]});
        let expect = ["Cargo.lock: b 2.0.0 is under \"AGPL-3.0\"", "Cargo.lock: c 3.0.0 is under \"\""];
        assert_eq!(packages(&metadata), expect);
    }
}
