//! Findings for programs: one JSON object. docs/guide/check.md says what it holds; fields are added, never renamed.

use super::lines::Lines;
use super::{pages, stream};
use config::{Diagnostic, Place, Severity};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;

/// Raised when a field changes its meaning.
const VERSION: u32 = 1;

/// Writes all findings in the order given.
///
/// # Errors
/// As `out`'s.
pub fn write(out: &mut dyn Write, directory: &Path, found: &[Diagnostic]) -> io::Result<()> {
    let lines = Lines::of(found);
    let count = |severity| found.iter().filter(|one| one.severity == severity).count();
    let frame = json!({
        "version": VERSION,
        "directory": directory.display().to_string(),
        "summary": {
            "errors": count(Severity::Error),
            "warnings": count(Severity::Warning),
            "hints": count(Severity::Hint),
            "repairable": found.iter().filter(|one| one.fix.is_some()).count(),
        },
        "findings": stream::LIST,
    });
    stream::write(out, &frame, 1, found.iter().map(|one| finding(one, &lines)))
}

fn finding(one: &Diagnostic, lines: &Lines) -> Value {
    let fix = one
        .fix
        .as_ref()
        .map(|fix| json!({ "place": place(&fix.place, lines), "replacement": fix.replacement }));
    json!({
        "code": one.code.to_string(),
        "title": pages::find(one.code).map(|page| page.title()),
        "severity": one.severity.to_string(),
        "message": one.message,
        "help": one.help,
        "place": place(&one.place, lines),
        "fix": fix,
    })
}

/// Lines and columns from 1; columns and the end's column in characters, the end behind the last one.
fn place(place: &Place, lines: &Lines) -> Option<Value> {
    let file = place.file.as_ref()?;
    let (line, column) = lines.position(file, place.start);
    let (end_line, end_column) = lines.position(file, place.end.max(place.start));
    Some(json!({
        "file": file.path.display().to_string(),
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        "start_byte": place.start,
        "end_byte": place.end,
    }))
}
