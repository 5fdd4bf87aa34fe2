//! How findings are shown on a terminal: the place, the line, what is wrong, what to do.
//!
//! Plain text for now; the check command brings colours, patches and machine formats.

use config::{Diagnostic, Severity};
use std::fmt::Write;

/// Findings shown at most: nobody mends more at once.
const SHOWN_MAX: usize = 200;

/// All findings, errors first, each with the line that it is about.
pub(crate) fn render(found: &[Diagnostic]) -> String {
    let mut sorted: Vec<&Diagnostic> = found.iter().collect();
    sorted.sort_by_key(|diagnostic| std::cmp::Reverse(diagnostic.severity));
    let mut out = String::new();
    for diagnostic in sorted.iter().take(SHOWN_MAX) {
        one(diagnostic, &mut out);
    }
    if let Some(more) = sorted.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        // Writing to a string can't fail.
        let _ = writeln!(out, "… and {more} more\n");
    }
    out
}

fn one(diagnostic: &Diagnostic, out: &mut String) {
    // Writing to a string can't fail.
    let _ = writeln!(out, "{}[{}]: {}", diagnostic.severity, diagnostic.code, diagnostic.message);
    let place = &diagnostic.place;
    if let Some(file) = &place.file {
        let number = place.line();
        let _ = writeln!(out, "  --> {place}");
        if let Some(line) = file.text.lines().nth(number.saturating_sub(1)) {
            let margin = number.to_string();
            let blank = " ".repeat(margin.len());
            let column = place.column().saturating_sub(1);
            let before: String =
                line.chars().take(column).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let width = place.text().lines().next().map_or(1, |text| text.chars().count()).max(1);
            let _ = writeln!(out, "{blank} |\n{margin} | {line}\n{blank} | {before}{}", "^".repeat(width));
        }
    }
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(out, "  = help: {help}");
    }
    out.push('\n');
}

/// `2 errors, 1 warning`, or nothing.
pub(crate) fn summary(found: &[Diagnostic]) -> String {
    let count = |severity| found.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    let named = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Hint, "hint")];
    let parts: Vec<String> = named
        .into_iter()
        .map(|(severity, name)| (count(severity), name))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}{}", if count == 1 { "" } else { "s" }))
        .collect();
    parts.join(", ")
}
