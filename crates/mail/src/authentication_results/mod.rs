//! `Authentication-Results` (RFC 8601): what a receiver found out about a message, written for those behind it, and
//! read from those before it.
//!
//! Reading is tolerant in what stands in a value and strict in what stands around it: a header that can't be read says
//! nothing. [`claims`] is the other way round: whatever somebody could take for ours claims to be ours. T2.28.
//! Deliberately not here: which headers are believed, and what the results mean.

mod scan;
#[cfg(test)]
mod tests;
mod write;

use crate::header::Header;
use scan::Scanner;

/// The header's name.
pub const NAME: &str = "Authentication-Results";
/// The most results of one header that are read, and properties of one result.
pub const RESULTS_MAX: usize = 64;

/// A header's meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthenticationResults {
    /// Who says so.
    pub authserv_id: String,
    /// The version of the header's format, where it says one; 1 is meant otherwise.
    pub version: Option<u32>,
    /// What was found; none is written as `none`.
    pub results: Vec<MethodResult>,
}

/// What one method found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MethodResult {
    /// `spf`, `dkim`, `dmarc` …, in lower case.
    pub method: String,
    /// `pass`, `fail` …, in lower case.
    pub result: String,
    /// For people, in parentheses behind the result. Reading passes comments over.
    pub comment: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What was looked at.
    pub properties: Vec<Property>,
}

/// `header.d=example.com`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// `smtp`, `header`, `policy` …, in lower case.
    pub kind: String,
    /// In lower case.
    pub name: String,
    /// Without quotes.
    pub value: String,
}

impl MethodResult {
    /// A result of which nothing further is known.
    #[must_use]
    pub fn new(method: impl Into<String>, result: impl Into<String>) -> MethodResult {
        MethodResult { method: method.into(), result: result.into(), ..MethodResult::default() }
    }

    /// The same with a property: `header`, `d`, `example.com`.
    #[must_use]
    pub fn with(mut self, kind: &str, name: &str, value: impl Into<String>) -> MethodResult {
        self.properties.push(Property { kind: kind.to_owned(), name: name.to_owned(), value: value.into() });
        self
    }

    /// The same with a comment behind the result.
    #[must_use]
    pub fn commented(mut self, comment: impl Into<String>) -> MethodResult {
        self.comment = Some(comment.into());
        self
    }

    /// The same with a reason.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> MethodResult {
        self.reason = Some(reason.into());
        self
    }

    /// It alone, in one line: `spf=pass smtp.mailfrom=bob@example.com`.
    #[must_use]
    pub fn render_alone(&self) -> String {
        write::words(self).join(" ")
    }

    /// The value of a property, the first of that name: `header`, `d`.
    #[must_use]
    pub fn get(&self, kind: &str, name: &str) -> Option<&str> {
        let found = self.properties.iter().find(|property| property.kind == kind && property.name == name);
        found.map(|property| property.value.as_str())
    }
}

impl AuthenticationResults {
    /// Reads a header's value, folded as it came. `None` where it isn't one by RFC 8601 §2.2.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<AuthenticationResults> {
        let text = std::str::from_utf8(value).ok()?;
        let mut scanner = Scanner::new(text);
        scanner.skip_blanks()?;
        let authserv_id = scanner.value()?;
        scanner.skip_blanks()?;
        let version = match scanner.digits() {
            "" => None,
            digits => Some(digits.parse().ok()?),
        };
        if authserv_id.is_empty() {
            return None;
        }
        let mut results = Vec::new();
        loop {
            scanner.skip_blanks()?;
            if scanner.is_at_end() {
                return Some(AuthenticationResults { authserv_id, version, results });
            }
            if !scanner.take(';') || results.len() >= RESULTS_MAX {
                return None;
            }
            scanner.skip_blanks()?;
            // Some end with a semicolon.
            if !scanner.is_at_end() {
                results.extend(method_result(&mut scanner)?);
            }
        }
    }

    /// The header, folded, with LF inside and none at its end. What could end a line, or the value that it stands in,
    /// is taken out or quoted.
    #[must_use]
    pub fn render(&self) -> String {
        write::header(self)
    }

    /// Whether `id` is who says so.
    #[must_use]
    pub fn is_of(&self, id: &str) -> bool {
        is_same_id(&self.authserv_id, id)
    }
}

/// `METHOD[/VERSION]=RESULT [reason=VALUE] [KIND.NAME=VALUE]…`; nothing for `none`.
fn method_result(scanner: &mut Scanner<'_>) -> Option<Option<MethodResult>> {
    let method = scanner.keyword()?;
    scanner.skip_blanks()?;
    if method == "none" && scanner.is_at_part_end() {
        return Some(None);
    }
    if scanner.take('/') {
        scanner.skip_blanks()?;
        if scanner.digits().is_empty() {
            return None;
        }
        scanner.skip_blanks()?;
    }
    let mut found = MethodResult::new(method, scanner.equals()?.keyword()?);
    loop {
        scanner.skip_blanks()?;
        if scanner.is_at_part_end() {
            return Some(Some(found));
        }
        let kind = scanner.keyword()?;
        scanner.skip_blanks()?;
        if !scanner.take('.') {
            let value = scanner.equals()?.value()?;
            if kind != "reason" {
                return None;
            }
            found.reason.get_or_insert(value);
            continue;
        }
        scanner.skip_blanks()?;
        let name = scanner.keyword()?;
        scanner.skip_blanks()?;
        let value = scanner.equals()?.value()?;
        if found.properties.len() >= RESULTS_MAX {
            return None;
        }
        found.properties.push(Property { kind, name, value });
    }
}

/// Whether two ids are the same to somebody: in any case, with or without a dot at the end, in A-labels or not.
fn is_same_id(one: &str, other: &str) -> bool {
    let plain = |id: &str| {
        let id = id.strip_suffix('.').unwrap_or(id);
        crate::host::ascii_name(id).unwrap_or_else(|| id.to_lowercase())
    };
    one.eq_ignore_ascii_case(other) || plain(one) == plain(other)
}

/// Whether a header says that `id` wrote it, as far as anybody could read it so: folded, with comments and quotes, in
/// any case, of any version. Where it can't be read, it does if `id` stands anywhere in it.
#[must_use]
pub fn claims(header: &Header<'_>, id: &str) -> bool {
    if !header.is(NAME) {
        return false;
    }
    let text = String::from_utf8_lossy(header.value);
    let read = AuthenticationResults::parse(text.as_bytes());
    let written = scan::id_without_comments(&text);
    let mut words: Vec<&str> = written.split_whitespace().collect();
    let first = words.first().copied().unwrap_or_default();
    if read.as_ref().is_some_and(|results| results.is_of(id)) || is_same_id(first, id) {
        return true;
    }
    if words.len() > 1 && words.last().is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit())) {
        words.pop();
    }
    // What a reader makes of an encoded word nobody knows.
    if is_same_id(&words.concat(), id) || written.contains("=?") {
        return true;
    }
    let is_plain = read.is_some_and(|results| results.authserv_id.chars().all(write::is_token));
    !is_plain && squeezed(&text).contains(&squeezed(id))
}

/// In lower case, with nothing that quotes, parts or folds.
fn squeezed(text: &str) -> String {
    let counts = |c: &char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\\' | '(' | ')');
    text.chars().filter(counts).flat_map(char::to_lowercase).collect()
}

/// For fuzzing: the first line is an id, the rest a header's value. What is read is read again from what is written,
/// and claims to be of who wrote it.
///
/// # Panics
/// Where it isn't.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |b| *b == b'\n');
    let id = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let value = lines.next().unwrap_or_default();
    let header = Header { name: NAME, value };
    let claimed = claims(&header, &id);
    let Some(read) = AuthenticationResults::parse(value) else { return };
    assert!(claimed || !read.is_of(&id), "what says that we wrote it, claims so");
    assert!(claims(&header, &read.authserv_id), "it claims to be of who wrote it");
    let text = read.render();
    assert!(text.lines().skip(1).all(|line| line.starts_with('\t')), "one header");
    let again = Header::parse(text.as_bytes()).and_then(|header| AuthenticationResults::parse(header.value));
    assert!(again.is_some_and(|again| again.results.len() == read.results.len()), "written as it was read");
}
