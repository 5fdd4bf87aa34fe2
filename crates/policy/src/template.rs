//! `default_rbl_reply` and the values of `rbl_reply_maps`: `$name`, `${name}`, `$(name)`, `${name?text}`,
//! `${name:text}`, `${name?{a}:{b}}`, one level deep, as postconf(5) has them.
//!
//! Only values are filtered by `smtpd_expansion_filter`; the template's own text is the administrator's.

/// What came out, and what Postfix warns about.
pub(crate) struct Expanded {
    pub(crate) text: String,
    pub(crate) warnings: Vec<String>,
}

/// Replies are cut here: a table's template can't make one that no client reads.
const REPLY_CHARS_MAX: usize = 2048;

/// Expands `template`. `value` knows the names; a value's characters outside `allowed` become `_`.
pub(crate) fn expand(template: &str, allowed: &str, value: &dyn Fn(&str) -> Option<String>) -> Expanded {
    let mut out = Expanded { text: String::new(), warnings: Vec::new() };
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('$') {
        out.text.push_str(before);
        rest = match behind.chars().next() {
            Some('$') => {
                out.text.push('$');
                behind.strip_prefix('$').unwrap_or(behind)
            }
            Some('{') => bracketed(behind, ('{', '}'), &mut out, allowed, value),
            Some('(') => bracketed(behind, ('(', ')'), &mut out, allowed, value),
            _ => {
                let end =
                    behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(behind.len());
                let (name, more) = behind.split_at_checked(end).unwrap_or((behind, ""));
                if name.is_empty() {
                    out.text.push('$')
                } else {
                    plain(name, &mut out, allowed, value)
                }
                more
            }
        };
    }
    out.text.push_str(rest);
    if let Some((end, _)) = out.text.char_indices().nth(REPLY_CHARS_MAX) {
        out.text.truncate(end);
    }
    out
}

fn plain(name: &str, out: &mut Expanded, allowed: &str, value: &dyn Fn(&str) -> Option<String>) {
    match value(name) {
        Some(text) => out.text.extend(text.chars().map(|c| if allowed.contains(c) { c } else { '_' })),
        None => out.warnings.push(format!("unknown macro name \"{name}\" in expansion request")),
    }
}

/// What stands between the bracket that `text` begins with and its partner, and what follows.
fn inside(text: &str, (open, close): (char, char)) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some((text.get(1..at)?, text.get(at + 1..)?));
            }
        }
    }
    None
}

fn bracketed<'t>(
    text: &'t str,
    brackets: (char, char),
    out: &mut Expanded,
    allowed: &str,
    value: &dyn Fn(&str) -> Option<String>,
) -> &'t str {
    let Some((body, rest)) = inside(text, brackets) else {
        out.warnings.push(format!("truncated macro reference: \"{text}\""));
        return "";
    };
    let end = body.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(body.len());
    let (name, form) = body.split_at_checked(end).unwrap_or((body, ""));
    if form.is_empty() {
        plain(name, out, allowed, value);
        return rest;
    }
    let known = value(name);
    if known.is_none() {
        out.warnings.push(format!("unknown macro name \"{name}\" in expansion request"));
    }
    let is_set = known.is_some_and(|text| !text.is_empty());
    let chosen = match (form.strip_prefix('?'), form.strip_prefix(':')) {
        (Some(branches), _) => {
            let (yes, no) = branches_of(branches);
            if is_set { yes } else { no }
        }
        (None, Some(branch)) => {
            let (no, _) = branches_of(branch);
            if is_set { "" } else { no }
        }
        (None, None) => "",
    };
    let nested = expand(chosen, allowed, value);
    out.text.push_str(&nested.text);
    out.warnings.extend(nested.warnings);
    rest
}

/// `text`, `{text}`, `{yes}:{no}`.
fn branches_of(text: &str) -> (&str, &str) {
    if !text.starts_with('{') {
        return (text, "");
    }
    let Some((yes, rest)) = inside(text, ('{', '}')) else { return (text, "") };
    let no = rest.trim_start().strip_prefix(':').map_or("", str::trim_start);
    let no = if no.starts_with('{') { inside(no, ('{', '}')).map_or(no, |(no, _)| no) } else { no };
    (yes, no)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let value = |name: &str| match name {
            "rbl_code" => Some("554".to_owned()),
            "rbl_what" => Some("192.0.2.2".to_owned()),
            "rbl_reason" => Some("see <x>".to_owned()),
            "helo_name" => Some(String::new()),
            _ => None,
        };
        let check = |template: &str, expect: &str| {
            assert_eq!(
                expand(template, "abcdefghijklmnopqrstuvwxyz 0123456789.", &value).text,
                expect,
                "{template}"
            );
        };
        check("$rbl_code x [$rbl_what] $(rbl_what) ${rbl_what}", "554 x [192.0.2.2] 192.0.2.2 192.0.2.2");
        check("a${rbl_reason?; $rbl_reason}", "a; see _x_");
        check("a${helo_name?; $rbl_reason}${helo_name:none}", "anone");
        check("${rbl_reason?{a}:{b}} ${helo_name?{a}:{b}} ${nope?{a}:{b}}", "a b b");
        check("$$5 ${helo_name:{n}}", "$5 n");
        check("100$", "100$");
        check("${rbl", "");
    }
}
