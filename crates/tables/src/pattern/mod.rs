//! One regular expression, whatever engine it needs: regexp_table(5), pcre_table(5), later header checks and bans.
//!
//! A pattern is translated from its own syntax, then compiled by `regex` where it is regular (linear time, whatever
//! the text) and by `fancy-regex` with a backtracking limit where it has look-around, back-references and the like.
//! Matching is on bytes, as Postfix does it: `.` is one byte, `\w` and case are ASCII's. POSIX patterns give the
//! leftmost longest match when parts of it are asked for. Deliberately not here: PCRE's callouts and verbs.

pub(crate) mod literals;
mod perl;
mod posix;
mod superset;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// Steps a backtracking pattern may take on one text before it is given up.
const BACKTRACK_LIMIT: usize = 200_000;
/// Bytes that one compiled pattern may take.
const COMPILED_BYTES_MAX: usize = 4 << 20;
/// The longest pattern text.
const PATTERN_BYTES_MAX: usize = 64 << 10;
/// The deepest nesting of groups.
const DEPTH_MAX: usize = 100;

/// A compiled regular expression.
#[derive(Clone, Debug)]
pub struct Pattern {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    /// For POSIX patterns: the same with leftmost-longest semantics, made and asked only for parts of the match.
    longest: Option<OnceLock<Option<fancy_regex::Regex>>>,
    translated: String,
    groups: usize,
}

#[derive(Debug)]
enum Engine {
    Regular(regex::bytes::Regex),
    Fancy(fancy_regex::Regex),
}

/// How a POSIX pattern is read, with the defaults of regexp_table(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PosixFlags {
    /// `i`: case doesn't count.
    pub ignore_case: bool,
    /// `m`: `^` and `$` match at line ends, `.` and `[^…]` don't match them.
    pub multi_line: bool,
    /// `x`: extended syntax; basic syntax without.
    pub extended: bool,
}

/// How a Perl pattern is read, with the defaults of pcre_table(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerlFlags {
    /// `i`: case doesn't count.
    pub ignore_case: bool,
    /// `m`: `^` and `$` match at line ends too.
    pub multi_line: bool,
    /// `s`: `.` matches a newline.
    pub dot_all: bool,
    /// `x`: white space and comments in the pattern don't count.
    pub extended: bool,
    /// `A`: matches at the start of the text only.
    pub anchored: bool,
    /// `E`: `$` matches at the very end only.
    pub dollar_end_only: bool,
    /// `U`: quantifiers are lazy, and greedy with `?`.
    pub ungreedy: bool,
}

impl Default for PosixFlags {
    fn default() -> PosixFlags {
        PosixFlags { ignore_case: true, multi_line: false, extended: true }
    }
}

impl Default for PerlFlags {
    fn default() -> PerlFlags {
        PerlFlags {
            ignore_case: true,
            multi_line: false,
            dot_all: true,
            extended: false,
            anchored: false,
            dollar_end_only: false,
            ungreedy: false,
        }
    }
}

/// Why a pattern can't be used; for POSIX syntax in the words of `regerror`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct PatternError {
    /// The words.
    pub reason: String,
    /// The byte of the pattern where it was seen.
    pub offset: Option<usize>,
}

/// A backtracking pattern took too many steps on this text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("match limit exceeded")]
pub struct MatchLimitExceeded;

/// Byte ranges of the groups of a match; 0 is the whole match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups(Vec<Option<(usize, usize)>>);

impl Groups {
    /// The range of group `number`, if it took part.
    #[must_use]
    pub fn span(&self, number: usize) -> Option<(usize, usize)> {
        self.0.get(number).copied().flatten()
    }
}

/// A pattern in the common syntax of both engines.
struct Translated {
    text: String,
    groups: usize,
    /// It has what only a backtracking engine can do.
    fancy: bool,
}

impl PatternError {
    fn new(reason: impl Into<String>, offset: usize) -> PatternError {
        PatternError { reason: reason.into(), offset: Some(offset) }
    }
}

impl Pattern {
    /// A POSIX regular expression with GNU's extensions, as regexp_table(5) has it.
    ///
    /// # Errors
    /// When it is malformed or too large.
    pub fn posix(text: &str, flags: PosixFlags) -> Result<Pattern, PatternError> {
        within_bounds(text)?;
        let translated = posix::translate(text, flags)?;
        let longest = (translated.groups > 0).then(OnceLock::new);
        Pattern::build(translated, longest)
    }

    /// A Perl-like regular expression, as pcre_table(5) has it.
    ///
    /// # Errors
    /// When it is malformed or too large.
    pub fn perl(text: &str, flags: PerlFlags) -> Result<Pattern, PatternError> {
        within_bounds(text)?;
        Pattern::build(perl::translate(text, flags)?, None)
    }

    fn build(
        from: Translated,
        longest: Option<OnceLock<Option<fancy_regex::Regex>>>,
    ) -> Result<Pattern, PatternError> {
        let engine = if from.fancy {
            Engine::Fancy(fancy(&from.text, false)?)
        } else {
            let built = regex::bytes::RegexBuilder::new(&from.text)
                .unicode(false)
                .size_limit(COMPILED_BYTES_MAX)
                .nest_limit(250)
                .build();
            Engine::Regular(
                built.map_err(|error| PatternError { reason: regular_reason(&error), offset: None })?,
            )
        };
        let inner = Inner { engine, longest, translated: from.text, groups: from.groups };
        Ok(Pattern { inner: Arc::new(inner) })
    }

    /// Whether it matches somewhere in `text`.
    ///
    /// # Errors
    /// When a backtracking pattern took too many steps.
    pub fn is_match(&self, text: &[u8]) -> Result<bool, MatchLimitExceeded> {
        match &self.inner.engine {
            Engine::Regular(regex) => Ok(regex.is_match(text)),
            Engine::Fancy(regex) => regex.is_match(text).map_err(|_| MatchLimitExceeded),
        }
    }

    /// Where it matches first in `text`.
    ///
    /// # Errors
    /// When a backtracking pattern took too many steps.
    pub fn find_groups(&self, text: &[u8]) -> Result<Option<Groups>, MatchLimitExceeded> {
        // Of all ways to match, POSIX wants the longest; if that takes too long, any will do.
        let longest = self.inner.longest.as_ref();
        let longest =
            longest.and_then(|seat| seat.get_or_init(|| fancy(&self.inner.translated, true).ok()).as_ref());
        if let Some(Ok(found)) = longest.map(|regex| regex.captures(text)) {
            return Ok(found.map(|captures| fancy_groups(&captures)));
        }
        match &self.inner.engine {
            Engine::Regular(regex) => Ok(regex.captures(text).map(|captures| {
                Groups(captures.iter().map(|group| group.map(|m| (m.start(), m.end()))).collect())
            })),
            Engine::Fancy(regex) => match regex.captures(text) {
                Ok(found) => Ok(found.map(|captures| fancy_groups(&captures))),
                Err(_) => Err(MatchLimitExceeded),
            },
        }
    }

    /// How many groups it has.
    #[must_use]
    pub fn group_count(&self) -> usize {
        self.inner.groups
    }

    /// Its text for `regex::bytes::RegexSet` with Unicode off, if it is regular.
    #[must_use]
    pub fn regular_text(&self) -> Option<&str> {
        matches!(self.inner.engine, Engine::Regular(_)).then_some(self.inner.translated.as_str())
    }

    /// The text of a regular pattern that matches wherever this one does.
    pub(crate) fn superset(&self) -> Option<Cow<'_, str>> {
        let regular = self.regular_text().map(Cow::Borrowed);
        regular.or_else(|| superset::superset(&self.inner.translated).map(Cow::Owned))
    }
}

/// Sets of texts: whatever `translated` matches holds one text of each set, whatever the case of its letters. The
/// expression is in the syntax of `regex`, look-around and references of `fancy-regex` included, with `]` in classes
/// as `\\x5D`.
#[must_use]
pub fn required_texts(translated: &str) -> Vec<Vec<Vec<u8>>> {
    superset::superset(translated).map_or_else(Vec::new, |regular| literals::required(&regular))
}

/// As [`required_texts`], in the very case of their letters, and with what is looked ahead for: the text in which
/// `translated` matches holds one text of each set.
#[must_use]
pub fn required_texts_in_case(translated: &str) -> Vec<Vec<Vec<u8>>> {
    superset::with_lookahead(translated).map_or_else(Vec::new, |regular| literals::required_in_case(&regular))
}

/// A regular expression that matches wherever `translated` does, and perhaps elsewhere: [`required_texts`].
#[must_use]
pub fn regular_superset(translated: &str) -> Option<String> {
    superset::superset(translated)
}

fn within_bounds(text: &str) -> Result<(), PatternError> {
    if text.len() > PATTERN_BYTES_MAX {
        return Err(PatternError { reason: "Regular expression too big".to_owned(), offset: None });
    }
    Ok(())
}

fn fancy(text: &str, longest: bool) -> Result<fancy_regex::Regex, PatternError> {
    fancy_regex::RegexBuilder::new(text)
        .bytes_mode(fancy_regex::BytesMode::Ascii)
        .backtrack_limit(BACKTRACK_LIMIT)
        .delegate_size_limit(COMPILED_BYTES_MAX)
        .max_prog_size(100_000)
        .leftmost_longest(longest)
        .build()
        .map_err(|error| PatternError { reason: error.to_string().replace('\n', " "), offset: None })
}

fn fancy_groups(captures: &fancy_regex::Captures<'_, [u8]>) -> Groups {
    Groups((0..captures.len()).map(|n| captures.get(n).map(|m| (m.start(), m.end()))).collect())
}

fn regular_reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "Regular expression too big".to_owned(),
        other => other.to_string().lines().last().unwrap_or("syntax error").trim().to_owned(),
    }
}

/// Writes `c` so that it stands for itself in both engines. `<` and `>` are not escaped: `\<` is a word boundary.
fn push_literal(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric()
        || matches!(c, ' ' | '_' | '"' | '\'' | ',' | ':' | ';' | '@' | '=' | '%' | '/' | '<' | '>')
    {
        out.push(c);
    } else if c.is_ascii_graphic() {
        out.push('\\');
        out.push(c);
    } else if c.is_ascii() {
        push_byte(out, u32::from(c));
    } else {
        // Several bytes, one atom for a quantifier behind it: Postfix's engines would repeat the last byte only.
        out.push_str("(?:");
        out.push(c);
        out.push(')');
    }
}

fn push_byte(out: &mut String, byte: u32) {
    use std::fmt::Write as _;
    // Writing to a String can't fail.
    let _ = write!(out, "\\x{:02X}", byte & 0xff);
}

/// How often the innermost atom may be repeated by intervals within intervals: engines unroll them.
#[derive(Debug, Default)]
struct Repetition {
    /// For each open group the largest repetition in it so far.
    outer: Vec<u64>,
    largest: u64,
    last: u64,
}

impl Repetition {
    const MAX: u64 = 1_000_000;

    fn atom(&mut self) {
        self.last = 1;
        self.largest = self.largest.max(1);
    }

    fn open(&mut self) {
        self.outer.push(self.largest);
        self.largest = 1;
    }

    fn close(&mut self) {
        self.last = self.largest;
        self.largest = self.largest.max(self.outer.pop().unwrap_or(1));
    }

    /// Repeats what was read last; false when that is too much.
    fn repeat(&mut self, times: u32) -> bool {
        self.last = self.last.max(1).saturating_mul(u64::from(times.max(1)));
        self.largest = self.largest.max(self.last);
        self.last <= Repetition::MAX
    }
}

/// A set of bytes, written as a class.
#[derive(Clone, Debug)]
struct ByteClass {
    members: Box<[bool; 256]>,
}

impl ByteClass {
    fn new() -> ByteClass {
        ByteClass { members: Box::new([false; 256]) }
    }

    fn insert(&mut self, byte: u8) {
        if let Some(member) = self.members.get_mut(usize::from(byte)) {
            *member = true;
        }
    }

    fn insert_char(&mut self, c: char) {
        c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| self.insert(byte));
    }

    fn insert_where(&mut self, holds: impl Fn(u8) -> bool) {
        (0..=u8::MAX).filter(|&byte| holds(byte)).for_each(|byte| self.insert(byte));
    }

    /// The classes of POSIX; false for a name that is none.
    fn insert_named(&mut self, name: &str, negated: bool) -> bool {
        let holds: fn(u8) -> bool = match name {
            "alpha" => |b| b.is_ascii_alphabetic(),
            "digit" => |b| b.is_ascii_digit(),
            "alnum" => |b| b.is_ascii_alphanumeric(),
            "upper" => |b| b.is_ascii_uppercase(),
            "lower" => |b| b.is_ascii_lowercase(),
            "space" => |b| b.is_ascii_whitespace() || b == 0xb,
            "blank" => |b| b == b' ' || b == b'\t',
            "punct" => |b| b.is_ascii_punctuation(),
            "print" => |b| b.is_ascii_graphic() || b == b' ',
            "graph" => |b| b.is_ascii_graphic(),
            "cntrl" => |b| b.is_ascii_control(),
            "xdigit" => |b| b.is_ascii_hexdigit(),
            "word" => |b| b.is_ascii_alphanumeric() || b == b'_',
            "ascii" => |b| b.is_ascii(),
            _ => return false,
        };
        self.insert_where(|byte| holds(byte) != negated);
        true
    }

    /// Both cases of each letter, so that a complement is right without case.
    fn fold(&mut self) {
        for byte in b'a'..=b'z' {
            if self.has(byte) || self.has(byte.to_ascii_uppercase()) {
                self.insert(byte);
                self.insert(byte.to_ascii_uppercase());
            }
        }
    }

    fn has(&self, byte: u8) -> bool {
        self.members.get(usize::from(byte)).is_some_and(|&member| member)
    }

    fn negate(&mut self) {
        self.members.iter_mut().for_each(|member| *member = !*member);
    }

    fn remove(&mut self, byte: u8) {
        if let Some(member) = self.members.get_mut(usize::from(byte)) {
            *member = false;
        }
    }

    fn push_to(&self, out: &mut String) {
        let holders: Vec<u32> = (0..=u8::MAX).filter(|&byte| self.has(byte)).map(u32::from).collect();
        if holders.is_empty() {
            // Matches nothing.
            out.push_str("[^\\x00-\\xFF]");
            return;
        }
        out.push('[');
        for run in holders.chunk_by(|a, b| a + 1 == *b) {
            if let (Some(&first), Some(&last)) = (run.first(), run.last()) {
                push_byte(out, first);
                if last > first {
                    out.push('-');
                    push_byte(out, last);
                }
            }
        }
        out.push(']');
    }
}

#[cfg(test)]
mod tests;
