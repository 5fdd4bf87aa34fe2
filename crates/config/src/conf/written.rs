//! main.cf as postconf reads it: every definition in order, the last one wins.
//!
//! Unlike `MainCf`, it stops at the first line that is no definition, as postconf does.

use super::{LineKind, Refused, is_space, printable, split_setting};

/// One `name = value` of main.cf, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The parameter.
    pub name: String,
    /// Its value, lines joined, without the white space around it.
    pub value: String,
    /// The line on which the definition ends, from 1.
    pub line: usize,
}

/// A logical line, and the line on which it ends.
pub(super) struct Logical {
    pub(super) text: String,
    pub(super) last: usize,
}

/// The logical lines of `text`; `path` is for warnings.
pub(super) fn logical_lines(text: &str, path: &str, warnings: &mut Vec<String>) -> Vec<Logical> {
    let mut lines: Vec<Logical> = Vec::new();
    for (index, line) in text.split_terminator('\n').enumerate() {
        let number = index + 1;
        match LineKind::of(line) {
            LineKind::Passed => {}
            LineKind::Start => lines.push(Logical { text: line.to_owned(), last: number }),
            LineKind::Continuation => match lines.last_mut() {
                Some(open) => {
                    open.text.push_str(line);
                    open.last = number;
                }
                None => {
                    let shown = printable(line);
                    warnings
                        .push(format!("{path}: logical line must not start with whitespace: \"{shown}\""));
                    // Postfix takes it as a line nevertheless.
                    lines.push(Logical { text: line.to_owned(), last: number });
                }
            },
        }
    }
    lines
}

/// The definitions of main.cf in the order of the file. `path` is how messages name it.
pub fn read_main(text: &str, path: &str) -> Result<(Vec<Written>, Vec<String>), Refused> {
    let mut warnings = Vec::new();
    let mut definitions: Vec<Written> = Vec::new();
    for line in logical_lines(text, path, &mut warnings) {
        if line.text.starts_with(is_space) {
            continue;
        }
        let (name, value) = split_setting(&line.text)
            .map_err(|Refused(why)| Refused(format!("{path}, line {}: {}", line.last, printable(&why))))?;
        if let Some(at) = definitions.iter().position(|other| other.name == name)
            && definitions.get(at).is_some_and(|other| other.value != value)
        {
            let earlier = definitions.get(at).map_or("", |other| other.value.as_str());
            warnings.push(format!(
                "{path}, line {}: overriding earlier entry: {name}={}",
                line.last,
                printable(earlier)
            ));
            definitions.remove(at);
        } else {
            definitions.retain(|other| other.name != name);
        }
        definitions.push(Written { name: name.to_owned(), value: value.to_owned(), line: line.last });
    }
    Ok((definitions, warnings))
}
