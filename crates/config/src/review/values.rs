//! Values that hold more than their writer thinks: a remark behind them, quotes around them, a second `=`, a stop at
//! the end.
//!
//! Values with a type of their own (yes/no, numbers, times) are the loader's to refuse; restriction lists are
//! `policy`'s. K0135 a remark, K0136 quotes, K0137 `==`, K0138 a stop.

use super::{Subject, fixed, literal};
use crate::registry::{self, Kind};
use crate::{Diagnostic, Place, Severity, Spanned};

pub(super) fn review(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for (name, raw) in subject.parameters.definitions() {
        if raw.place.file.is_some() {
            value(name, raw, found);
        }
    }
    for service in &subject.master.services {
        for one in &service.overrides {
            value(&one.name.value, &one.value, found);
        }
    }
    empty_class(subject, found);
}

fn value(name: &str, raw: &Spanned<String>, found: &mut Vec<Diagnostic>) {
    let kind = registry::find(name).map_or(Kind::Text, |parameter| parameter.kind);
    if matches!(kind, Kind::Flag | Kind::Number | Kind::Size | Kind::Time(_) | Kind::Raw) {
        return;
    }
    let text = raw.value.as_str();
    if let Some(rest) = text.strip_prefix('=') {
        let diagnostic =
            Diagnostic::warning(137, raw.place.clone(), format!("the value of {name} begins with `=`"));
        let help = format!("write `{name} = {}`: everything behind the first `=` is the value", rest.trim());
        let blank = if before(&raw.place) == Some('=') { " " } else { "" };
        found.push(fixed(diagnostic.help(help), raw, format!("{blank}{}", rest.trim())));
        return;
    }
    if is_restrictions(name) || is_for_shell(name) {
        return;
    }
    if let Some(at) = remark(text) {
        found.push(remarked(name, raw, at));
        return;
    }
    quoted(name, raw, kind, found);
}

/// The character in front of `place`.
fn before(place: &Place) -> Option<char> {
    place.file.as_deref()?.text.get(..place.start)?.chars().next_back()
}

/// Where a remark begins in `text`: `#` or `//` behind white space, outside of braces.
fn remark(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let rest = text.get(at..).unwrap_or("");
        if depth == 0 && before.is_ascii_whitespace() && (c == '#' || rest.starts_with("//")) {
            return Some(at);
        }
        before = c;
    }
    None
}

/// What is said where the words of a remark are text like any other.
const OWN_LINE: &str = "a comment needs a line of its own";

/// By what the words of the remark become.
fn remarked(name: &str, raw: &Spanned<String>, at: usize) -> Diagnostic {
    let shown: String = raw.value.get(at..).unwrap_or("").chars().take(40).collect();
    let (severity, becomes) = match name {
        "mynetworks" => {
            (Severity::Warning, "current Postfix ignores what follows it; older versions read it as networks")
        }
        "mydestination" | "relay_domains" | "virtual_alias_domains" | "virtual_mailbox_domains" => {
            (Severity::Warning, "its words are taken as domains that this server has mail for")
        }
        "myhostname" | "mydomain" => (Severity::Error, "Postfix doesn't start with such a name"),
        "relayhost" | "content_filter" | "default_transport" => {
            (Severity::Error, "the smtp client stops at it, and mail stays in the queue")
        }
        _ if name.ends_with("_transport") || name.ends_with("_maps") || name.ends_with("_checks") => (
            Severity::Error,
            "its words are read as tables or next hops that don't exist, and mail waits for them",
        ),
        _ if name.ends_with("_file") || name.ends_with("_path") => {
            (Severity::Error, "it becomes part of the file's name, and there is no such file")
        }
        _ => (Severity::Warning, OWN_LINE),
    };
    let message = format!("`{}` is part of the value of {name}, not a comment", shown.trim_end());
    let whole = raw.place.text() == raw.value;
    let place = if whole { end_of(&raw.place, at) } else { raw.place.clone() };
    let mut diagnostic = Diagnostic::warning(135, place, message)
        .help(format!("{becomes}; put the comment on a line of its own that begins with #"));
    diagnostic.severity = severity;
    // A value that goes on in other lines behind the remark isn't one to cut, nor text that may well hold a `#`.
    if whole && !raw.value.contains('\n') && becomes != OWN_LINE {
        let kept = raw.value.get(..at).unwrap_or("").trim_end().len();
        diagnostic = diagnostic.fix(end_of(&raw.place, kept), "");
    }
    diagnostic
}

fn end_of(place: &Place, from: usize) -> Place {
    let mut place = place.clone();
    place.start += from;
    place
}

/// Quotes around the whole value, or around a word of a list.
fn quoted(name: &str, raw: &Spanned<String>, kind: Kind, found: &mut Vec<Diagnostic>) {
    if is_sentence(name) {
        return;
    }
    let words = if kind == Kind::List { crate::split_words(raw.clone()) } else { vec![raw.clone()] };
    for word in words {
        let Some(bare) = unquoted(&word.value) else { continue };
        let message = format!("the quotes are part of the value of {name}");
        let diagnostic = Diagnostic::warning(136, word.place.clone(), message).help(format!(
            "write `{bare}`: quotes have no meaning here, and Postfix looks for something whose name contains them"
        ));
        found.push(fixed(diagnostic, &word, bare));
    }
    if kind == Kind::Text && raw.value.ends_with(';') && !raw.value.contains('{') {
        let bare = raw.value.trim_end_matches(';').trim_end();
        let message = format!("the `;` is part of the value of {name}");
        let diagnostic = Diagnostic::warning(138, raw.place.clone(), message).help(format!("write `{bare}`"));
        found.push(fixed(diagnostic, raw, bare));
    }
}

fn unquoted(word: &str) -> Option<&str> {
    let quote = word.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = word.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inner.is_empty() && !inner.contains(quote)).then_some(inner)
}

/// Lists whose words `policy` reads, and says what is wrong with them.
fn is_restrictions(name: &str) -> bool {
    name.ends_with("_restrictions") || registry::find(name).is_none()
}

/// Values that a shell reads: it knows quotes and `#`.
fn is_for_shell(name: &str) -> bool {
    name.ends_with("_command")
        || matches!(name, "mailbox_command_maps" | "export_environment" | "import_environment")
}

/// Values that people read.
fn is_sentence(name: &str) -> bool {
    matches!(name, "smtpd_banner" | "mail_name" | "default_rbl_reply" | "syslog_name")
        || name.ends_with("_footer")
        || name.ends_with("_ehlo")
}

/// A restriction class without a restriction.
fn empty_class(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for class in subject.parameters.list("smtpd_restriction_classes") {
        if !subject.parameters.text(&class.value).value.trim().is_empty() {
            continue;
        }
        let defined = subject.parameters.is_set(&class.value);
        let what = if defined { "is empty" } else { "isn't defined" };
        let message = format!("the restriction class {} {what}", class.value);
        let place = literal(subject.parameters, &class.value).map_or(class.place, |raw| raw.place);
        found.push(Diagnostic::error(139, place, message).help(format!(
            "Postfix's smtpd stops and accepts no mail; write `{} = …`, or remove it from \
             smtpd_restriction_classes",
            class.value
        )));
    }
}
