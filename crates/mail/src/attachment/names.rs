//! All names that an attachment might be saved under, whichever program reads its header.
//!
//! Mail programs don't agree on what a broken or doubled parameter says, and attackers live off that. So a value is not
//! read in one right way but in all ways that somebody's program reads it: every `name` and `filename` in it, quoted or
//! not, ended by a quote, a semicolon, a blank or nothing, with comments and without, continued and encoded by RFC 2231,
//! encoded by RFC 2047. Each reading is a candidate; what is done with a candidate is decided by whoever asks. Bounded:
//! a value with more readings than [`NAMES_MAX`] is [`Excess`], which no honest program writes. T1.15.

use super::words::{decoded, find, in_charset, unescaped};
use std::collections::{BTreeMap, BTreeSet};

/// Candidates of one value.
pub const NAMES_MAX: usize = 400;
/// Parameters of one value that are read.
const PARAMETERS_MAX: usize = 64;
/// Bytes of a candidate that count: as many at its beginning, and as many at its end.
const NAME_BYTES: usize = 1024;

/// A value has more names than anybody writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess;

/// The names that the value of a `Content-Type` or `Content-Disposition` may stand for.
///
/// # Errors
/// Where there are more than can be looked at.
pub fn names(value: &[u8]) -> Result<BTreeSet<String>, Excess> {
    let mut found = Found::default();
    let tight = unfolded(value, false);
    let wide = unfolded(value, true);
    let bare = without_comments(&wide);
    for view in [&tight, &wide, &bare] {
        found.read(view)?;
    }
    // The whole value may be one encoded word, or its quotes and names be encoded.
    let whole = decoded(&wide);
    if whole != wide {
        found.read(&whole)?;
    }
    Ok(found.names)
}

/// The readings of a name that stands by itself: of an archive's entry, behind uuencode's `begin`.
///
/// # Errors
/// Where there are more than can be looked at.
pub fn names_of(text: &[u8]) -> Result<BTreeSet<String>, Excess> {
    let mut found = Found::default();
    found.candidate(text)?;
    Ok(found.names)
}

/// The boundaries that the value of a `Content-Type` may name, RFC 2231's ways included.
///
/// # Errors
/// Where there are more than can be looked at.
pub(super) fn boundaries(value: &[u8]) -> Result<BTreeSet<Vec<u8>>, Excess> {
    let mut found = Found { boundaries: Some(BTreeSet::new()), ..Found::default() };
    let wide = unfolded(value, true);
    for view in [&unfolded(value, false), &wide, &without_comments(&wide)] {
        found.read(view)?;
    }
    let mut all = found.boundaries.unwrap_or_default();
    // An empty one makes each line a boundary that begins with hyphens.
    if all.len() > 1 {
        all.remove(&b""[..]);
    }
    Ok(all)
}

#[derive(Default)]
struct Found {
    names: BTreeSet<String>,
    /// Boundaries are looked for, in place of names.
    boundaries: Option<BTreeSet<Vec<u8>>>,
}

/// One `name`, as it stands.
struct Parameter<'v> {
    /// `filename` or `name`.
    is_file: bool,
    /// `*0`
    section: Option<u32>,
    /// A star ends the name: it is encoded.
    is_encoded: bool,
    /// The value, in all ways to find its end.
    values: Vec<&'v [u8]>,
    /// Its first byte is a quote.
    is_quoted: bool,
}

impl Found {
    fn read(&mut self, view: &[u8]) -> Result<(), Excess> {
        let word = if self.boundaries.is_some() { &b"boundary"[..] } else { b"name" };
        let parameters = parameters(view, word)?;
        for one in &parameters {
            for value in &one.values {
                self.value(value, one.is_quoted)?;
                if one.is_encoded || one.section == Some(0) {
                    self.value(&without_charset(value), one.is_quoted)?;
                }
            }
        }
        self.continued(&parameters)
    }

    /// Sections put together: in their numbers' order, and as they stand; the first of two counts, and the last.
    fn continued(&mut self, parameters: &[Parameter<'_>]) -> Result<(), Excess> {
        for is_file in [true, false] {
            let of = |one: &&Parameter<'_>| one.is_file == is_file;
            let sections: Vec<_> = parameters.iter().filter(of).filter(|one| one.section.is_some()).collect();
            if sections.is_empty() {
                continue;
            }
            let (mut first, mut last) = (BTreeMap::new(), BTreeMap::new());
            for one in &sections {
                let number = one.section.unwrap_or(0);
                first.entry(number).or_insert(*one);
                last.insert(number, *one);
            }
            let orders: [Vec<&Parameter<'_>>; 3] =
                [first.into_values().collect(), last.into_values().collect(), sections];
            for order in &orders {
                for pick in 0..2_usize {
                    self.joined(order, pick)?;
                }
            }
        }
        Ok(())
    }

    /// `pick`: which end of each value.
    fn joined(&mut self, order: &[&Parameter<'_>], pick: usize) -> Result<(), Excess> {
        let (mut plain, mut open, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for (at, one) in order.iter().enumerate() {
            let value = one.values.get(pick).or(one.values.first()).copied().unwrap_or_default();
            let value = if one.is_quoted { without_backslashes(value) } else { value.to_vec() };
            plain.extend_from_slice(&value);
            let value = if at == 0 { without_charset(&value) } else { value };
            let percent = unescaped(&value, b'%');
            open.extend_from_slice(if one.is_encoded { &percent } else { &value });
            all.extend_from_slice(&percent);
        }
        for text in [plain, open, all] {
            self.candidate(&text)?;
        }
        Ok(())
    }

    fn value(&mut self, value: &[u8], is_quoted: bool) -> Result<(), Excess> {
        self.candidate(value)?;
        if is_quoted && memchr::memchr(b'\\', value).is_some() {
            self.candidate(&without_backslashes(value))?;
        }
        Ok(())
    }

    /// A text, and what becomes of it where somebody decodes it.
    fn candidate(&mut self, text: &[u8]) -> Result<(), Excess> {
        if let Some(boundaries) = &mut self.boundaries {
            boundaries.insert(text.trim_ascii_end().to_vec());
            return if boundaries.len() > NAMES_MAX { Err(Excess) } else { Ok(()) };
        }
        let ends = [
            text.get(..text.len().min(NAME_BYTES)).unwrap_or_default(),
            text.get(text.len().saturating_sub(NAME_BYTES)..).unwrap_or_default(),
        ];
        let ends = if text.len() <= NAME_BYTES { &ends[..1] } else { &ends[..] };
        for text in ends {
            self.add(text)?;
            let word = decoded(text);
            if word != *text {
                self.add(&word)?;
                let twice = decoded(&word);
                if twice != word {
                    self.add(&twice)?;
                }
            }
            let percent = unescaped(&word, b'%');
            if percent != word {
                self.add(&percent)?;
                self.add(&decoded(&percent))?;
            }
        }
        Ok(())
    }

    /// A name, as programs and file systems clean it.
    fn add(&mut self, text: &[u8]) -> Result<(), Excess> {
        let text = String::from_utf8_lossy(text);
        // C's strings end at a NUL, other programs drop it.
        let until_nul = text.split('\0').next().unwrap_or_default();
        for text in [until_nul, &text] {
            let clean: String = text.chars().filter(|c| !is_invisible(*c)).collect();
            let base = clean.rsplit(['/', '\\']).next().unwrap_or_default();
            self.insert(base)?;
            // `name.exe::$DATA` is the file itself.
            if let Some((before, _)) = base.split_once("::$") {
                self.insert(before)?;
            }
            // A name that ends with what is no name: `x.exe/`, `x.exe"`.
            let ended = clean.trim_end_matches(['/', '\\']);
            self.insert(ended.rsplit(['/', '\\']).next().unwrap_or_default())?;
        }
        Ok(())
    }

    fn insert(&mut self, name: &str) -> Result<(), Excess> {
        let is_edge =
            |c: char| c.is_whitespace() || matches!(c, '.' | '"' | '\'' | '<' | '>' | ';' | ',' | ')');
        let name = name.trim_start_matches(is_before).trim_end_matches(is_edge);
        if name.is_empty() || self.names.contains(name) {
            return Ok(());
        }
        if self.names.len() >= NAMES_MAX {
            return Err(Excess);
        }
        self.names.insert(name.to_owned());
        Ok(())
    }
}

fn is_before(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '(')
}

/// Control characters, marks of direction, joiners, and the like, which nobody sees.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}'
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffc}')
}

/// The extension of a name, in small letters; what stands behind its last dot, without blanks.
#[must_use]
pub fn extension(name: &str) -> Option<String> {
    let (_, behind) = name.rsplit_once('.')?;
    // Long s and the Kelvin sign fold to ASCII.
    let folded = behind.trim().chars().flat_map(char::to_lowercase).map(|c| if c == 'ſ' { 's' } else { c });
    let extension: String = folded.collect();
    (!extension.is_empty()).then_some(extension)
}

/// Line ends out; the blanks that begin the next line stay, or not.
fn unfolded(value: &[u8], keep_blanks: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut begins = false;
    for byte in value {
        match byte {
            b'\n' => begins = true,
            b'\r' => {}
            b' ' | b'\t' if begins && !keep_blanks => {}
            _ => {
                begins = false;
                out.push(*byte);
            }
        }
    }
    out
}

/// Comments out, wherever no quotes are open.
fn without_comments(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in value {
        let escapes = std::mem::replace(&mut escaped, false);
        match byte {
            _ if escapes => {}
            b'\\' => escaped = true,
            b'"' if depth == 0 => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted && depth > 0 => {
                depth -= 1;
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            out.push(*byte);
        }
    }
    out
}

fn without_backslashes(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(if *byte == b'\\' { bytes.next().copied().unwrap_or(b'\\') } else { *byte });
    }
    out
}

/// `utf-8'en'name` without what stands before the name, in its charset, percent signs decoded.
fn without_charset(value: &[u8]) -> Vec<u8> {
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(charset), Some(_), Some(text)) => {
            let bytes = unescaped(text, b'%');
            let charset = charset.strip_prefix(b"\"").unwrap_or(charset);
            in_charset(charset.trim_ascii(), bytes)
        }
        _ => unescaped(value, b'%'),
    }
}

/// Every `name=` and `filename=` in a value, or of another word, wherever it stands.
fn parameters<'v>(view: &'v [u8], word: &[u8]) -> Result<Vec<Parameter<'v>>, Excess> {
    let small = view.to_ascii_lowercase();
    let mut found = Vec::new();
    let mut from = 0_usize;
    while let Some(at) = small.get(from..).and_then(|rest| find(rest, word)) {
        let begins = from.saturating_add(at);
        from = begins.saturating_add(word.len());
        let Some(behind) = view.get(from..) else { break };
        let before = small.get(..begins).unwrap_or_default();
        let (is_file, before) = match before.strip_suffix(b"file") {
            Some(before) => (true, before),
            None => (false, before),
        };
        // The end of another word: `hostname=`.
        if before.last().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            continue;
        }
        let Some(one) = parameter(behind, is_file) else { continue };
        if found.len() >= PARAMETERS_MAX {
            return Err(Excess);
        }
        found.push(one);
    }
    Ok(found)
}

/// What stands behind `name`: `*`, digits, `*`, `=`, the value.
fn parameter(text: &[u8], is_file: bool) -> Option<Parameter<'_>> {
    let text = text.trim_ascii_start();
    let (mut stars, mut digits, mut rest) = (0_usize, Vec::new(), text);
    while let Some((first, behind)) = rest.split_first() {
        match first {
            b'*' => stars += 1,
            b'0'..=b'9' if stars == 1 && digits.len() < 9 => digits.push(*first),
            b' ' | b'\t' => {}
            _ => break,
        }
        rest = behind;
    }
    let value = rest.strip_prefix(b"=")?.trim_ascii_start();
    let section = std::str::from_utf8(&digits).ok().and_then(|text| text.parse().ok());
    let is_encoded = stars >= if section.is_some() { 2 } else { 1 };
    let is_quoted = value.first() == Some(&b'"');
    let values = if is_quoted { quoted_values(value.get(1..)?) } else { bare_values(value) };
    Some(Parameter { is_file, section, is_encoded, values, is_quoted })
}

/// Where a value in quotes may end.
fn quoted_values(inner: &[u8]) -> Vec<&[u8]> {
    let end = quote_end(inner);
    let behind = without_comments(inner.get(end.saturating_add(1)..).unwrap_or_default());
    let is_closed = end < inner.len() && matches!(behind.trim_ascii_start().first(), None | Some(b';'));
    let upto = |end: Option<usize>| inner.get(..end.unwrap_or(inner.len())).unwrap_or(inner);
    let mut values = vec![upto(Some(end)), upto(memchr::memchr(b'"', inner))];
    if !is_closed {
        // Quotes inside quotes, quotes that nobody closes.
        values.extend([upto(memchr::memrchr(b'"', inner)), inner, upto(memchr::memchr(b';', inner))]);
    }
    values
}

/// Where a value without quotes may end.
fn bare_values(value: &[u8]) -> Vec<&[u8]> {
    let upto = |ends: &dyn Fn(u8) -> bool| {
        let end = value.iter().position(|byte| ends(*byte)).unwrap_or(value.len());
        value.get(..end).unwrap_or(value)
    };
    let mut values = vec![
        upto(&|byte| byte == b';'),
        upto(&|byte| byte == b';' || byte.is_ascii_whitespace()),
        upto(&|byte| byte.is_ascii_whitespace() || matches!(byte, b';' | b',' | b'"' | b'(' | b')')),
    ];
    // A semicolon behind which no parameter comes may be the name's own.
    let behind = value.get(upto(&|byte| byte == b';').len()..).unwrap_or_default();
    if memchr::memchr(b'=', behind).is_none() {
        values.push(value);
    }
    values
}

/// Where a quoted text ends, or its end.
fn quote_end(text: &[u8]) -> usize {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at,
            _ => {}
        }
    }
    text.len()
}

/// Reads `value` for fuzzing: whatever it is, the names are few, short, and without what nobody sees.
///
/// # Panics
/// When that doesn't hold.
pub fn fuzz(value: &[u8]) {
    for names in [names(value), names_of(value)].into_iter().flatten() {
        assert!(names.len() <= NAMES_MAX, "more names than may be");
        for name in &names {
            // A charset makes up to three bytes of one, a broken byte too.
            assert!(name.len() <= 4 * NAME_BYTES, "a long name");
            assert!(!name.contains(is_invisible) && !name.contains(['/', '\\']), "{name:?}");
        }
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
