//! What the DNS says: asked by `komainu check --online` only.

use super::Subject;
use config::Diagnostic;

/// Asks the DNS about what `subject` names.
#[must_use]
pub fn review(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let _ = subject;
    Vec::new()
}
