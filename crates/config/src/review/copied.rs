//! Characters that a web page or a word processor put in the place of plain ones: “ ” ‘ ’ – full-width ＝ ， and
//! spaces that no editor shows. Whole comment lines aren't looked at.
//!
//! K0131.

use super::Subject;
use crate::conf::{LineKind, is_space};
use crate::registry;
use crate::{Diagnostic, Place, SourceFile};
use std::sync::Arc;

pub(super) fn review(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for file in [subject.main.file(), subject.master.file()].into_iter().flatten() {
        if !file.text.is_ascii() {
            look(file, found);
        }
    }
}

fn look(file: &Arc<SourceFile>, found: &mut Vec<Diagnostic>) {
    let mut at = 0;
    let mut free_text = false;
    for line in file.text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        match LineKind::of(line.trim_end_matches('\n')) {
            LineKind::Passed => continue,
            LineKind::Start => free_text = is_free_text(line),
            LineKind::Continuation => {}
        }
        if line.is_ascii() {
            continue;
        }
        for (offset, c) in line.char_indices() {
            let Some((name, plain)) = plain(c) else { continue };
            if in_name(line, offset) || is_equals(c) && !line.contains('=') {
                continue;
            }
            // A sentence for people may have what it likes, but for spaces that can't be seen.
            if free_text && !c.is_whitespace() {
                continue;
            }
            let place = Place::new(file, start + offset, start + offset + c.len_utf8());
            found.push(told(place, c, name, plain, line));
        }
    }
}

fn told(place: Place, c: char, name: &str, plain: &str, line: &str) -> Diagnostic {
    let code = u32::from(c);
    let diagnostic =
        Diagnostic::warning(131, place.clone(), format!("{name} (U+{code:04X}) is not the plain character"));
    let help = match plain {
        "" => "delete it: to Postfix it is part of the word".to_owned(),
        " " => "write a plain space: to Postfix this one is part of the word".to_owned(),
        plain => format!("write `{plain}`: to Postfix this one is just another character"),
    };
    // At the beginning of a line, a space would make it go on with the line above.
    let leads = line.starts_with(c) && plain == " ";
    let goes_on = leads && !line.contains('=');
    let replacement = if leads && !goes_on { "" } else { plain };
    diagnostic.help(help).fix(place, replacement)
}

/// What a character is called, and the plain one that it stands for.
const fn plain(c: char) -> Option<(&'static str, &'static str)> {
    Some(match c {
        '\u{a0}' | '\u{202f}' | '\u{2007}' => ("a no-break space", " "),
        '\u{3000}' => ("a full-width space", " "),
        '\u{2000}'..='\u{2006}' | '\u{2008}'..='\u{200a}' => ("a typographic space", " "),
        '\u{200b}'..='\u{200f}' | '\u{2060}' => ("an invisible character", ""),
        '“' | '”' | '„' | '＂' => ("a typographic quote", "\""),
        '‘' | '’' | '＇' => ("a typographic quote", "'"),
        '‐' | '‑' | '–' | '—' | '−' | '－' => ("a dash", "-"),
        '＝' => ("a full-width equals sign", "="),
        '：' => ("a full-width colon", ":"),
        '，' => ("a full-width comma", ","),
        '、' => ("an ideographic comma", ","),
        '＃' => ("a full-width number sign", "#"),
        '＄' => ("a full-width dollar sign", "$"),
        '｛' => ("a full-width brace", "{"),
        '｝' => ("a full-width brace", "}"),
        '［' => ("a full-width bracket", "["),
        '］' => ("a full-width bracket", "]"),
        '＠' => ("a full-width at sign", "@"),
        '．' => ("a full-width full stop", "."),
        '／' => ("a full-width slash", "/"),
        '＿' => ("a full-width low line", "_"),
        '…' => ("an ellipsis", "..."),
        _ => return None,
    })
}

/// Whether the byte stands before `=` in a line that begins a definition: K0120 tells of such a name.
fn in_name(line: &str, offset: usize) -> bool {
    !line.starts_with(is_space)
        && line.find('=').is_some_and(|equals| offset < equals)
        && !line.contains(" -o")
}

/// Whether it is what K0101 tells of: `=` in another shape.
const fn is_equals(c: char) -> bool {
    matches!(c, '＝' | '：')
}

/// Whether the line begins a parameter whose value is a sentence for people.
fn is_free_text(line: &str) -> bool {
    let name = line.split(|c| is_space(c) || c == '=').next().unwrap_or("");
    registry::find(name).is_some_and(|parameter| parameter.kind == registry::Kind::Raw)
        || matches!(name, "default_rbl_reply" | "smtpd_banner" | "smtpd_reject_footer" | "mail_name")
}
