//! What surrounds a configuration on this machine: files, rights, sockets, certificates.

use super::Subject;
use config::Diagnostic;

/// Looks at what `subject` names on this machine.
#[must_use]
pub fn review(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let _ = subject;
    Vec::new()
}
