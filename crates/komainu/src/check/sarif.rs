//! Findings as SARIF 2.1.0 (OASIS), which code hosts and editors show beside the lines.
//!
//! Columns count characters (`columnKind`), from 1. A finding that no file holds has no location.

use super::lines::Lines;
use super::pages::{self, Page};
use super::stream;
use config::{Code, Diagnostic, Fix, Place, Severity};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json";

/// Writes one log with one run.
///
/// # Errors
/// As `out`'s.
pub fn write(out: &mut dyn Write, found: &[Diagnostic]) -> io::Result<()> {
    let lines = Lines::of(found);
    let codes: Vec<Code> = found.iter().map(|one| one.code).collect::<BTreeSet<_>>().into_iter().collect();
    let rules: Vec<Value> = codes.iter().map(|code| rule(*code)).collect();
    let frame = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "komainu",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": stream::LIST,
        }],
    });
    stream::write(out, &frame, 3, found.iter().map(|one| result(one, &codes, &lines)))
}

fn rule(code: Code) -> Value {
    let page = pages::find(code);
    let title = page.as_ref().map_or("", Page::title);
    let text = page.map_or("", |page| page.text);
    json!({
        "id": code.to_string(),
        "shortDescription": { "text": sentence(title, code) },
        "help": { "text": sentence(text, code), "markdown": sentence(text, code) },
    })
}

/// Texts must not be empty.
fn sentence(text: &str, code: Code) -> String {
    if text.is_empty() { code.to_string() } else { text.to_owned() }
}

fn result(one: &Diagnostic, codes: &[Code], lines: &Lines) -> Value {
    let level = match one.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "note",
    };
    let text = match &one.help {
        Some(help) => format!("{}; {help}", one.message),
        None => one.message.clone(),
    };
    let mut result = json!({
        "ruleId": one.code.to_string(),
        "ruleIndex": codes.binary_search(&one.code).unwrap_or(0),
        "level": level,
        "message": { "text": text },
    });
    let Some(fields) = result.as_object_mut() else { return result };
    if let Some(file) = &one.place.file {
        let location = json!({ "physicalLocation": {
            "artifactLocation": { "uri": uri(&file.path) },
            "region": region(&one.place, lines),
        } });
        fields.insert("locations".to_owned(), json!([location]));
    }
    if let Some(fix) = one.fix.as_ref().and_then(|fix| repair(fix, one, lines)) {
        fields.insert("fixes".to_owned(), json!([fix]));
    }
    result
}

fn repair(fix: &Fix, one: &Diagnostic, lines: &Lines) -> Option<Value> {
    let file = fix.place.file.as_ref()?;
    Some(json!({
        "description": { "text": one.help.as_deref().unwrap_or(&one.message) },
        "artifactChanges": [{
            "artifactLocation": { "uri": uri(&file.path) },
            "replacements": [{
                "deletedRegion": region(&fix.place, lines),
                "insertedContent": { "text": fix.replacement },
            }],
        }],
    }))
}

fn region(place: &Place, lines: &Lines) -> Option<Value> {
    let file = place.file.as_ref()?;
    let (line, column) = lines.position(file, place.start);
    let (end_line, end_column) = lines.position(file, place.end.max(place.start));
    Some(json!({ "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column }))
}

/// An absolute path as a `file:` URI, another as a relative reference.
fn uri(path: &Path) -> String {
    let mut uri = if path.is_absolute() { "file://".to_owned() } else { String::new() };
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests;
