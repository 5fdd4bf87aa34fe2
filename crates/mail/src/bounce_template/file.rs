//! Reading a template file: `name = <<EOF` to `EOF`, and the headers inside.
//!
//! Lines end at a NUL, as they do for Postfix.

use super::{Kind, Template, printable};

/// One template of the file, its headers not yet read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    lines: Vec<String>,
}

/// What the file is: a number of templates, and warnings.
pub(super) fn entries(name: &str, text: &str) -> Result<(Vec<Entry>, Vec<String>), String> {
    let mut lines = lines_of(text).enumerate().peekable();
    let (mut entries, mut warnings) = (Vec::new(), Vec::new());
    while let Some((index, line)) = lines.next() {
        // Postfix counts the line that it would read next.
        let mut next = index.saturating_add(2);
        let bare = line.trim_start_matches(is_space);
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        let refused = |why: String| format!("{name}, line {next}: {why}");
        let (label, value) = setting(line).map_err(refused)?;
        let mut body = Vec::new();
        if let Some(marker) = value.strip_prefix("<<") {
            let marker = marker.trim_matches(is_space);
            if marker.is_empty() {
                return Err(format!("{name}, line {next}: missing end marker after <<"));
            }
            let mut closed = false;
            while let Some((index, line)) = lines.next() {
                next = index.saturating_add(2);
                if line == marker {
                    // At the file's very end, it is one all the same, with a warning.
                    closed = text.ends_with('\n') || lines.peek().is_some();
                    break;
                }
                body.push(line.to_owned());
            }
            if !closed {
                let marker = printable(marker);
                warnings.push(format!("{name}, line {next}: missing \"{marker}\" end marker"));
            }
        } else {
            body.push(value.to_owned());
        }
        let kind = Kind::ALL.into_iter().find(|kind| label.strip_suffix("_template") == Some(kind.word()));
        match kind {
            Some(kind) => entries.push(Entry { kind, lines: body }),
            None => warnings.push(format!(
                "{name}, line {next}: unknown template name: {} -- ignoring this template",
                printable(label)
            )),
        }
    }
    Ok((entries, warnings))
}

/// A template with its headers, or the warnings of why it isn't taken.
pub(super) fn template(name: &str, entry: &Entry) -> Result<Template, Vec<String>> {
    let kind = entry.kind.word();
    let passed = |what: String| vec![format!("{name}: {what} in {kind} template -- ignoring this template")];
    let mut template = Template { origin: name.to_owned(), ..Template::built_in(entry.kind) };
    let mut lines = entry.lines.iter().map(String::as_str).skip_while(|line| is_blank(line)).peekable();
    while let Some((label, value)) = lines.peek().and_then(|line| header(line)) {
        lines.next();
        let known = ["charset", "from", "subject", "postmaster-subject"];
        let Some(known) = known.into_iter().find(|known| known.eq_ignore_ascii_case(label)) else {
            return Err(passed(format!("unknown \"{label}\" header label")));
        };
        if value.is_empty() {
            return Err(passed(format!("empty \"{label}\" header value")));
        }
        if !value.is_ascii() {
            return Err(passed(format!("non-ASCII \"{label}\" header value")));
        }
        let value = value.to_owned();
        match (known, &mut template.postmaster_subject) {
            ("charset", _) => template.charset = value,
            ("from", _) => template.from = value,
            ("subject", _) => template.subject = value,
            (_, Some(subject)) => *subject = value,
            (_, None) => return Err(passed(format!("inapplicable \"{label}\" header label"))),
        }
    }
    template.text = lines.skip_while(|line| is_blank(line)).flat_map(|line| [line, "\n"]).collect();
    if template.text.is_empty() {
        return Err(passed("missing message text".to_owned()));
    }
    if template.encoding() == "7bit" && !template.text.is_ascii() {
        return Err(vec![
            format!("{name}: 8-bit message text in {kind} template"),
            "please specify a charset value other than us-ascii".to_owned(),
            "-- ignoring this template for now".to_owned(),
        ]);
    }
    Ok(template)
}

/// White space as C's isspace(3) has it.
const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

fn is_blank(line: &str) -> bool {
    line.chars().all(is_space)
}

/// `Label : value`; the value's end stays as it is.
fn header(line: &str) -> Option<(&str, &str)> {
    let (label, value) = line.split_once(':')?;
    let label = label.trim_end_matches([' ', '\t']);
    let is_label = !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_graphic());
    is_label.then(|| (label, value.trim_start_matches(is_space)))
}

fn setting(line: &str) -> Result<(&str, &str), String> {
    let start = line.trim_start_matches(is_space);
    let length = start.find(|c| is_space(c) || c == '=').unwrap_or(start.len());
    let (name, rest) = start.split_at_checked(length).unwrap_or((start, ""));
    if name.is_empty() {
        return Err(format!("missing attribute name: \"{}\"", printable(line)));
    }
    match rest.trim_start_matches(is_space).strip_prefix('=') {
        Some(value) => Ok((name, value.trim_matches(is_space))),
        None => Err(format!("missing '=' after attribute name: \"{}\"", printable(line))),
    }
}

/// Lines without their `\n`; `\r` belongs to them.
fn lines_of(text: &str) -> impl Iterator<Item = &str> {
    text.split_terminator('\n').map(|line| line.split('\0').next().unwrap_or_default())
}

/// For fuzzers: any text is read without harm, and what is read is read the same again once it was printed.
///
/// # Panics
/// Where it isn't.
pub fn fuzz_templates(text: &str) {
    let Ok((templates, _)) = super::Templates::parse("f", text) else { return };
    for template in templates.iter() {
        // Printed, such a line would end the text.
        if template.text.split('\n').any(|line| line == "EOF") {
            continue;
        }
        let again = super::Templates::parse("f", &template.print());
        let again = again.ok().map(|(templates, _)| templates.of(template.kind).clone());
        let same =
            again.is_some_and(|again| again.text == template.text && again.subject == template.subject);
        assert!(same, "printed and read again: {:?}", template.print());
    }
}
