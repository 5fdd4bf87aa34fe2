//! main.cf with some parameters set, removed or commented out; all else stays byte for byte.
//!
//! A definition is replaced where it stands, each of them when there are several; comments inside of it stay.
//! What isn't there yet is appended, in the order asked. A file without a final newline gets one before that:
//! Postfix glues the new line to the last one.

use super::{LineKind, Refused, is_space, split_setting};
use std::collections::BTreeMap;

/// What is done to the parameters named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MainEdit {
    /// `-e`: `name=value`.
    Set,
    /// `-X`: the definition goes.
    Remove,
    /// `-#`: the definition becomes a comment.
    CommentOut,
}

/// One word behind the options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MainRequest {
    /// The parameter.
    pub name: String,
    /// What it is set to; nothing for the other edits.
    pub value: String,
}

impl MainRequest {
    /// Reads a word of the command line.
    pub fn parse(edit: MainEdit, word: &str) -> Result<MainRequest, Refused> {
        if word.contains('\n') {
            return Err(Refused::new("-e, -X, or -# accepts no multi-line input"));
        }
        let word = word.trim_start_matches(is_space);
        if word.starts_with('#') {
            return Err(Refused::new("-e, -X, or -# accepts no comment input"));
        }
        if edit == MainEdit::Set {
            let (name, value) = split_setting(word)?;
            return Ok(MainRequest { name: name.to_owned(), value: value.to_owned() });
        }
        if word.is_empty() {
            return Err(Refused::new("-X or -# requires non-blank parameter names"));
        }
        Ok(MainRequest { name: word.to_owned(), value: String::new() })
    }
}

/// `text` with `requests` done, and warnings. `path` is how they name the file.
#[must_use]
pub fn edit_main(text: &str, path: &str, edit: MainEdit, requests: &[MainRequest]) -> (String, Vec<String>) {
    let mut warnings = Vec::new();
    // How often each parameter was found.
    let mut found: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for request in requests {
        if let Some((_, earlier)) = found.insert(&request.name, (0, &request.value))
            && earlier != request.value
        {
            warnings.push(format!("ignoring earlier request: '{} = {earlier}'", request.name));
        }
    }
    let mut out = String::with_capacity(text.len() + 128);
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        let kind = LineKind::of(line);
        let mut value = None;
        if kind == LineKind::Start {
            let length = line.find(|c| is_space(c) || c == '=').unwrap_or(line.len());
            let name = line.get(..length).unwrap_or(line);
            let hit = found.get_mut(name);
            inside = hit.is_some();
            if let Some((count, new)) = hit {
                *count += 1;
                if *count == 2 {
                    warnings.push(format!("{path}: multiple entries for \"{name}\""));
                }
                value = Some((name, *new));
            }
        }
        match (kind, inside, edit) {
            (LineKind::Passed, ..) | (_, false, _) => out.push_str(line),
            (_, true, MainEdit::CommentOut) => {
                out.push('#');
                out.push_str(line);
            }
            (_, true, MainEdit::Remove) => {}
            (_, true, MainEdit::Set) => {
                if let Some((name, value)) = value {
                    push_setting(&mut out, name, value);
                }
            }
        }
    }
    if edit == MainEdit::Set {
        append_missing(&mut out, requests, &mut found);
    }
    (out, warnings)
}

fn append_missing(out: &mut String, requests: &[MainRequest], found: &mut BTreeMap<&str, (usize, &str)>) {
    for request in requests {
        if let Some((0, value)) = found.remove(request.name.as_str()) {
            if !out.is_empty() && !out.ends_with('\n') {
                out.push('\n');
            }
            push_setting(out, &request.name, value);
        }
    }
}

fn push_setting(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str(" = ");
    out.push_str(value);
    out.push('\n');
}
