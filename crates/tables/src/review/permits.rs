//! May an access table let somebody in: which of its lines say OK, or name something that might.
//!
//! For the judgement over relay protection: a `check_client_access` ahead of `reject_unauth_destination` opens a
//! relay only if a line of its table may permit. A pure reading of access(5)'s results; what a restriction or a class
//! that a line names would do is the caller's to say. T2.11.

use crate::table::{Body, Table};
use crate::template::Template;
use config::Place;

/// How a line of an access table may let somebody in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// It says OK.
    Ok,
    /// It is a number alone, which means OK.
    Number,
    /// It is a list of restrictions or classes, of which not every one is known never to permit.
    Restrictions(Vec<String>),
}

/// A line that may let somebody in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    /// What stands there.
    pub value: String,
    /// Where.
    pub place: Place,
    /// How.
    pub by: Grant,
}

/// What a table may permit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permits {
    /// The first lines that may, in the order of the source.
    pub lines: Vec<Permit>,
    /// How many there are.
    pub total: usize,
    /// It may also say what can't be read here: it is behind a socket, or puts its answers together.
    pub unknowable: bool,
}

impl Permits {
    /// Whether nothing in the table lets anybody in.
    #[must_use]
    pub const fn are_none(&self) -> bool {
        self.total == 0 && !self.unknowable
    }
}

/// So many lines are told.
const LINES_MAX: usize = 8;

/// Whether `table`, asked by a `check_*_access`, may say permit, and which lines do.
#[must_use]
pub fn may_permit(table: &Table) -> Permits {
    let mut permits = Permits::default();
    let mut found = Vec::new();
    collect(table, &mut found, &mut permits.unknowable);
    permits.total = found.len();
    found.sort_by(|a, b| (a.place.start, &a.value).cmp(&(b.place.start, &b.value)));
    found.truncate(LINES_MAX);
    permits.lines = found;
    permits
}

/// How the result `value` of an access table may let somebody in; `None` where it never does.
#[must_use]
pub fn grant(value: &str) -> Option<Grant> {
    let mut words = value.split([' ', '\t', '\r', '\n', ',']).filter(|word| !word.is_empty());
    let first = words.next()?;
    let upper = first.to_ascii_uppercase();
    if upper == "OK" {
        return Some(Grant::Ok);
    }
    if first.bytes().all(|b| b.is_ascii_digit()) {
        return words.next().is_none().then_some(Grant::Number);
    }
    // With a colon in it the value is refused whole: no tables inside of tables.
    if super::actions::is_action(&upper) || value.contains(':') {
        return None;
    }
    let words: Vec<String> = std::iter::once(first).chain(words).map(str::to_owned).collect();
    let never = words.iter().all(|word| never_permits(word));
    (!never).then_some(Grant::Restrictions(words))
}

/// Restrictions that don't permit, whatever comes.
fn never_permits(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    word.starts_with("reject") || word.starts_with("defer") || matches!(word.as_str(), "warn_if_reject")
}

fn collect(table: &Table, found: &mut Vec<Permit>, unknowable: &mut bool) {
    let mut see = |value: &str, place: &dyn Fn() -> Place| {
        if let Some(by) = grant(value) {
            found.push(Permit { value: value.to_owned(), place: place(), by });
        }
    };
    let here = || table.place.clone();
    match &table.body {
        Body::Broken(_) | Body::Fail => {}
        Body::Foreign | Body::Remote(_) | Body::Environment(_) => *unknowable = true,
        // The lines of passwd(5) and group(5) have colons.
        Body::Users(_) | Body::Groups(_) => {}
        Body::Indexed(indexed) => {
            for (_, entry) in indexed.iter() {
                see(&entry.value, &|| table.at(entry.start, entry.end));
            }
        }
        Body::Cidr(cidr) => {
            for result in cidr.results() {
                see(&result.value, &|| table.at(result.start, result.end));
            }
        }
        Body::Rules(rules) => {
            for (template, start, end) in rules.results() {
                match settled(template) {
                    Some(text) => see(text, &|| table.at(start, end)),
                    None => *unknowable = true,
                }
            }
        }
        Body::Static(value) => see(value, &here),
        Body::Random { values, .. } => values.iter().for_each(|value| see(value, &here)),
        Body::Union(members) => members.iter().for_each(|member| collect(member, found, unknowable)),
        // Only the last one's answer comes out.
        Body::Pipe(members) => {
            if let Some(last) = members.last() {
                collect(last, found, unknowable);
            }
        }
    }
}

/// The part of a result that decides what it does, where no match fills it.
fn settled(template: &Template) -> Option<&str> {
    match template.plain() {
        Some(text) => Some(text),
        None => {
            let head = template.head();
            let first = head.split_once([' ', '\t'])?.0.to_ascii_uppercase();
            (super::actions::is_action(&first) || first.bytes().all(|b| b.is_ascii_digit())).then_some(head)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::TableSpec;
    use crate::indexed::Manner;
    use crate::snapshot::compile_source;
    use crate::source::Source;
    use config::Spanned;
    use std::path::Path;

    /// Checks how `value` lets somebody in.
    #[test]
    fn values() {
        let check = |value: &str, expect: Option<Grant>| assert_eq!(grant(value), expect, "{value}");
        let list = |words: &[&str]| Some(Grant::Restrictions(words.iter().map(|&w| w.to_owned()).collect()));
        check("OK", Some(Grant::Ok));
        check("ok our own host", Some(Grant::Ok));
        check("550", Some(Grant::Number));
        check("1322334455", Some(Grant::Number));
        check("550 no", None);
        check("REJECT OK", None);
        check("DUNNO", None);
        check("DEFER_IF_PERMIT try later", None);
        check("FILTER smtp:[192.0.2.1]", None);
        check("reject_unauth_destination", None);
        check("warn_if_reject, reject_unknown_client_hostname", None);
        check("permit", list(&["permit"]));
        check("permit_mynetworks, reject", list(&["permit_mynetworks", "reject"]));
        check("RELAY", list(&["RELAY"]));
        check("check_client_access hash:/x", None);
        check("", None);
    }

    #[test]
    fn tables() {
        let check = |word: &str, text: &str, expect: &[&str], unknowable: bool| {
            let word = Spanned::new(word.to_owned(), Place::nowhere());
            let spec = TableSpec::parse(&word);
            let Ok(spec) = spec else { unreachable!("{word:?}") };
            let source = Source::new(Path::new("t"), text.as_bytes().to_vec());
            let permits = may_permit(&compile_source(&spec, &source, Manner::default()).table);
            let lines: Vec<&str> = permits.lines.iter().map(|line| line.place.text()).collect();
            assert_eq!((lines.as_slice(), permits.unknowable), (expect, unknowable), "{text}");
            assert_eq!(permits.are_none(), expect.is_empty() && !unknowable);
        };
        check(
            "hash:t",
            "a.example OK\nb.example REJECT\nc.example 550\n",
            &["a.example OK", "c.example 550"],
            false,
        );
        check("cidr:t", "192.0.2.0/24 reject\n10.0.0.0/8 permit\n", &["10.0.0.0/8 permit"], false);
        check("regexp:t", "/^a/ REJECT $1x\n/^(b)/ reject $1\n", &[], false);
        check("pcre:t", "/^(b)/ $1\n", &[], true);
        check("pcre:t", "/^(b)/ OK $1\n/c/ DUNNO\n", &["/^(b)/ OK $1"], false);
    }
}
