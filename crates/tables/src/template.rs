//! `$1`, `${1}`, `$(1)`, `$$` in the result of a regexp or pcre rule.
//!
//! Parsed once with the rule: what can't be is a skipped rule, with Postfix's warnings.

use crate::pattern::Groups;

/// A result text with holes.
#[derive(Debug, Default)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(Box<str>),
    Group(usize),
}

/// What Postfix says about a result text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A warning of its own, without file and line.
    Bare(String),
    /// A warning with file and line.
    Placed(String),
}

/// A result text, and what is wrong with it.
pub(crate) struct Parsed {
    pub(crate) template: Template,
    pub(crate) faults: Vec<Fault>,
    pub(crate) highest: usize,
}

/// How a message spells "out of range": it differs between `regexp:` and `pcre:`.
pub(crate) fn parse(text: &str, out_of_range: &str) -> Parsed {
    let mut parsed = Parsed { template: Template::default(), faults: Vec::new(), highest: 0 };
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        plain.push_str(before);
        if let Some(after) = behind.strip_prefix('$') {
            plain.push('$');
            rest = after;
            continue;
        }
        let Some((name, after)) = name(behind, text, &mut parsed.faults) else {
            return parsed;
        };
        rest = after;
        match name.parse::<usize>() {
            Err(_) => parsed.faults.push(Fault::Placed(format!("non-numeric replacement index \"{name}\""))),
            Ok(0) => parsed.faults.push(Fault::Placed(format!("{out_of_range} replacement index \"0\""))),
            Ok(number) => {
                parsed.highest = parsed.highest.max(number);
                parsed.template.flush(&mut plain);
                parsed.template.parts.push(Part::Group(number));
            }
        }
    }
    plain.push_str(rest);
    parsed.template.flush(&mut plain);
    parsed
}

/// The name behind a `$`, and what follows it.
fn name<'t>(behind: &'t str, whole: &str, faults: &mut Vec<Fault>) -> Option<(&'t str, &'t str)> {
    let close = match behind.as_bytes().first() {
        Some(b'{') => Some('}'),
        Some(b'(') => Some(')'),
        _ => None,
    };
    let (name, after) = match close {
        Some(close) => {
            let Some(found) = behind.get(1..).unwrap_or("").split_once(close) else {
                faults.push(Fault::Bare(format!("truncated macro reference: \"{whole}\"")));
                return None;
            };
            found
        }
        None => {
            let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(behind.len());
            behind.split_at_checked(end)?
        }
    };
    if name.is_empty() {
        faults.push(Fault::Bare(format!("empty macro name: \"{whole}\"")));
        return None;
    }
    Some((name, after))
}

impl Template {
    fn flush(&mut self, plain: &mut String) {
        if !plain.is_empty() {
            self.parts.push(Part::Text(std::mem::take(plain).into()));
        }
    }

    /// The text, when it has no holes.
    pub(crate) fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text before the first hole.
    pub(crate) fn head(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// Fills the holes from a match in `text`.
    pub(crate) fn fill(&self, text: &str, groups: &Groups) -> String {
        String::from_utf8_lossy(&self.fill_bytes(text.as_bytes(), groups)).into_owned()
    }

    /// As [`Template::fill`], a text that may be no UTF-8.
    pub(crate) fn fill_bytes(&self, text: &[u8], groups: &Groups) -> Vec<u8> {
        let mut filled = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.extend_from_slice(text.as_bytes()),
                Part::Group(number) => {
                    let bytes = groups.span(*number).and_then(|(from, to)| text.get(from..to));
                    filled.extend_from_slice(bytes.unwrap_or_default());
                }
            }
        }
        filled
    }
}
