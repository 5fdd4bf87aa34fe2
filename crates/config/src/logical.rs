//! Logical lines, which main.cf and master.cf share: comments, blank lines, lines that go on.
//!
//! A line that begins with white space goes on with the logical line before it; comments and blank lines in
//! between don't end it.

use crate::conf::is_space;
use crate::traced::{Traced, is_skipped};
use crate::{Diagnostic, Place, SourceFile};
use std::sync::Arc;

/// One logical line, its physical lines joined.
#[derive(Clone, Debug)]
pub(crate) struct LogicalLine {
    pub(crate) text: Traced,
}

/// The logical lines of `file`. White space before the first is told under `code`.
pub(crate) fn logical_lines(file: &Arc<SourceFile>, code: u16) -> (Vec<LogicalLine>, Vec<Diagnostic>) {
    let mut lines: Vec<LogicalLine> = Vec::new();
    let mut diagnostics = Vec::new();
    let mut at = 0;
    for line in file.text.split_inclusive('\n') {
        let (start, bare) = (at, line.trim_end_matches(['\n', '\r']));
        at += line.len();
        if is_skipped(bare) {
            continue;
        }
        let place = Place::new(file, start, start + bare.len());
        if !bare.starts_with(is_space) {
            let mut text = Traced::default();
            text.push(bare, place, None);
            lines.push(LogicalLine { text });
        } else if let Some(open) = lines.last_mut() {
            open.text.push(bare, place, None);
        } else {
            diagnostics.push(
                Diagnostic::warning(code, place, "the first line begins with white space and is ignored")
                    .help("delete the white space: a line that begins with it goes on with the line above"),
            );
        }
    }
    (lines, diagnostics)
}
