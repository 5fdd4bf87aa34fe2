//! What a line of main.cf without a definition was meant to be, where that is certain.
//!
//! `name: value`, `name value`, `set name = value`, `; remark`, and a list's next line that isn't indented.
//! It is asked only when a line can't be read.

use crate::conf::is_space;
use crate::traced::Traced;
use crate::{Diagnostic, registry};
use std::ops::Range;

/// `diagnostic` with its repair; `goes_on` says whether the value before ends in a comma.
pub(super) fn mended(diagnostic: Diagnostic, line: &Traced, goes_on: bool) -> Diagnostic {
    let text = line.as_str();
    if let Some(mark) = remark(text) {
        return replaced(diagnostic, line, 0..mark, "# ", "a remark begins with `#`");
    }
    let name_length =
        text.find(|c| is_space(c) || matches!(c, ':' | '=' | '＝' | '：')).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(name_length).unwrap_or((text, ""));
    if is_parameter(name) {
        let value = rest.trim_start_matches(|c| is_space(c) || matches!(c, ':' | '=' | '＝' | '：'));
        let between = name_length..text.len() - value.len();
        let help = format!("write `{name} = {}`", value.trim_end());
        return replaced(diagnostic, line, between, " = ", &help);
    }
    if matches!(name, "set" | "export") {
        let after = rest.trim_start_matches(is_space);
        let second = after.split(|c| is_space(c) || c == '=').next().unwrap_or("");
        if is_parameter(second) && after.contains('=') {
            let help = format!("no `{name}` stands before a parameter");
            return replaced(diagnostic, line, 0..text.len() - after.len(), "", &help);
        }
    }
    if goes_on {
        let help = "the line before ends in a comma: a line that goes on with it begins with white space";
        return replaced(diagnostic, line, 0..0, "    ", help);
    }
    diagnostic
}

/// `range` of `line` is to become `replacement`.
fn replaced(
    diagnostic: Diagnostic,
    line: &Traced,
    range: Range<usize>,
    replacement: &str,
    help: &str,
) -> Diagnostic {
    let diagnostic = diagnostic.help(help);
    let place = if range.is_empty() {
        // An insertion: the place is empty, and Traced knows only what has bytes.
        let mut place = line.place(range.start..line.as_str().len());
        place.end = place.start;
        place
    } else {
        line.place(range.clone())
    };
    // A stretch over several lines would take the comments between them along.
    if place.end - place.start != range.len() {
        return diagnostic;
    }
    diagnostic.fix(place, replacement)
}

/// How long the mark of a remark in another language is, with the white space behind it.
fn remark(text: &str) -> Option<usize> {
    let mark = ["//", ";", "--", "＃"].into_iter().find(|mark| text.starts_with(mark))?;
    let rest = text.get(mark.len()..)?;
    Some(mark.len() + (rest.len() - rest.trim_start_matches(is_space).len()))
}

fn is_parameter(name: &str) -> bool {
    registry::find(name).is_some() || registry::derived(name).is_some()
}
