//! Tables with fixed keys: `hash:`, `btree:`, `texthash:` … and aliases, read from their source text.
//!
//! The rules are postmap(1)'s and postalias(1)'s: a key in quotes keeps its white space (and
//! its quotes: addresses are looked up in their external form), a line without a value is
//! skipped with a warning (T2.6: `cracker.com` without an action), keys are folded, the first of two equal keys
//! stays. The files that postmap makes of such texts are [`crate::database`]'s.

use crate::source::notice::{DUPLICATE, LINE_ODD, LINE_SKIPPED};
use crate::source::{Line, Notice, Source, is_space, printable};
use config::Place;
use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, HashSet};

/// Fixed keys and their values.
#[derive(Debug, Default)]
pub(crate) struct Indexed {
    entries: HashMap<Box<str>, Entry>,
    /// Keys of a database whose values aren't UTF-8: Postfix answers none of them.
    malformed: HashSet<Box<str>>,
}

/// One value, and where it stands in the source.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) value: Box<str>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Which warnings differ between postmap's database types and `texthash:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `postmap hash:/file`; the text is the built file's suffix.
    Database(&'static str),
    Text,
}

/// How postmap(1) was asked to read a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// What becomes of capitals.
    pub keys: Keys,
    /// What becomes of a key that is there already.
    pub duplicates: Duplicates,
}

/// Whether keys are folded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// As everything that asks tables asks.
    #[default]
    Folded,
    /// `-u`: ASCII only.
    AsciiFolded,
    /// `-f`
    AsTheyAre,
}

/// What becomes of a row whose key is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// It is left out, with a warning.
    #[default]
    Warn,
    /// `-w`: it is left out.
    Ignore,
    /// `-r`: it takes the other's place.
    Replace,
}

/// What Postfix calls a table of the type that has this `suffix` when it warns about an entry.
#[must_use]
pub fn database_title(suffix: &str, name: &str) -> String {
    match suffix {
        "lmdb" => format!("lmdb:{name}"),
        "cdb" => name.to_owned(),
        suffix => format!("{name}.{suffix}"),
    }
}

/// A key as it is stored and asked: case doesn't count.
#[must_use]
pub fn fold(key: &str) -> String {
    if key.is_ascii() {
        return key.to_ascii_lowercase();
    }
    // Unicode's full case folding of what lower-casing leaves: ß, ſ, ς and ligatures of s and t.
    let mut folded = String::with_capacity(key.len());
    for c in key.chars().flat_map(char::to_lowercase) {
        match c {
            'ß' => folded.push_str("ss"),
            'ſ' => folded.push('s'),
            'ς' => folded.push('σ'),
            c => folded.push(c),
        }
    }
    folded
}

struct Reading<'s> {
    source: &'s Source,
    title: String,
    style: Style,
    manner: Manner,
    notices: Vec<Notice>,
    table: Indexed,
    /// How many keys stood there before.
    duplicates: usize,
}

/// Of so many keys that stand there twice it is said where the first one is: to find a line takes time.
const PLACED_MAX: usize = 100;

fn first_counts(file: &str, line: usize) -> String {
    format!(
        "{file}:{line} has the key already, and the first line counts: this one has no effect; delete one of the two"
    )
}

impl Indexed {
    /// Reads `key whitespace value` lines.
    pub(crate) fn parse_map(source: &Source, style: Style, manner: Manner) -> (Indexed, Vec<Notice>) {
        let (lines, notices) = source.lines();
        let mut reading = Reading::new(source, style, manner, notices);
        for line in &lines {
            reading.map_line(line);
        }
        (reading.table, reading.notices)
    }

    /// Reads `name: value` lines, aliases(5).
    pub(crate) fn parse_aliases(source: &Source, style: Style, manner: Manner) -> (Indexed, Vec<Notice>) {
        let (lines, notices) = source.lines();
        let mut reading = Reading::new(source, style, manner, notices);
        for line in &lines {
            reading.alias_line(line);
        }
        (reading.table, reading.notices)
    }

    /// One that has these pairs; the last of two equal keys stays, as in `inline:`.
    pub(crate) fn from_pairs(pairs: impl Iterator<Item = (String, String)>) -> Indexed {
        let entries = pairs
            .map(|(key, value)| (fold(&key).into(), Entry { value: value.into(), start: 0, end: 0 }))
            .collect();
        Indexed { entries, malformed: HashSet::new() }
    }

    /// The program's environment. Its names keep their case, and those with capitals are never found, as in Postfix.
    pub(crate) fn from_variables(variables: Vec<(String, String)>) -> Indexed {
        let mut indexed = Indexed::default();
        for (name, value) in variables {
            indexed.insert_row(&name, value.as_bytes(), true);
        }
        indexed
    }

    /// Adds a row of a database. The key is taken as it is; an earlier one stays unless the new one `replaces` it.
    pub(crate) fn insert_row(&mut self, key: &str, value: &[u8], replaces: bool) {
        let entry = Entry { value: String::from_utf8_lossy(value).into(), start: 0, end: 0 };
        if entry.value.as_bytes() != value {
            self.malformed.insert(key.into());
        }
        match self.entries.entry(key.into()) {
            Slot::Vacant(slot) => drop(slot.insert(entry)),
            Slot::Occupied(mut slot) if replaces => drop(slot.insert(entry)),
            Slot::Occupied(_) => {}
        }
    }

    /// Whether `key` is there with a value that can't be given.
    pub(crate) fn is_malformed(&self, key: &str) -> bool {
        !self.malformed.is_empty() && self.malformed.contains(fold(key).as_str())
    }

    /// As [`Indexed::find`], the key as it is.
    pub(crate) fn find_exact(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(crate) fn find(&self, key: &str) -> Option<&Entry> {
        if key.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
            return self.entries.get(key);
        }
        self.entries.get(fold(key).as_str())
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All pairs in the order of the source.
    pub(crate) fn pairs(&self) -> Vec<(&str, &str)> {
        let mut pairs: Vec<_> = self.entries.iter().collect();
        pairs.sort_by(|a, b| (a.1.start, a.0).cmp(&(b.1.start, b.0)));
        pairs.into_iter().map(|(key, entry)| (&**key, &*entry.value)).collect()
    }

    /// All rows in the order of the source: key, value, where it begins and ends.
    pub(crate) fn rows(&self) -> Vec<(&str, &str, usize, usize)> {
        let mut rows: Vec<_> = self.entries.iter().collect();
        rows.sort_unstable_by(|a, b| (a.1.start, a.0).cmp(&(b.1.start, b.0)));
        rows.into_iter().map(|(key, entry)| (&**key, &*entry.value, entry.start, entry.end)).collect()
    }
}

impl<'s> Reading<'s> {
    fn new(source: &'s Source, style: Style, manner: Manner, notices: Vec<Notice>) -> Reading<'s> {
        let title = source.file.path.display().to_string();
        Reading { source, title, style, manner, notices, table: Indexed::default(), duplicates: 0 }
    }

    fn notice(&mut self, code: u16, line: &Line<'_>, text: String) {
        self.notices.push(Notice::line(code, self.source.place(line), &self.title, line.number, text));
    }

    fn refuses_bytes(&mut self, line: &Line<'_>) -> bool {
        if line.malformed {
            let shown = printable(&line.text);
            self.notice(LINE_SKIPPED, line, format!("non-UTF-8 input \"{shown}\" -- ignoring this line"));
        }
        line.malformed
    }

    fn map_line(&mut self, line: &Line<'_>) {
        if self.refuses_bytes(line) {
            return;
        }
        let Some((token, rest)) = split_key(&line.text) else {
            let text = format!("unbalanced '\"' in '{}' -- ignoring this line", printable(&line.text));
            return self.notice(LINE_SKIPPED, line, text);
        };
        let value = rest.trim_matches(is_space);
        if value.is_empty() {
            let ending = if self.style == Style::Text { " -- ignoring this line" } else { "" };
            let text = format!("expected format: key whitespace value{ending}");
            return self.without_value(line, token, text);
        }
        if token.ends_with(':') {
            let text = "record is in \"key: value\" format; is this an alias file?".to_owned();
            self.notice(LINE_ODD, line, text);
        }
        self.insert(line, token, value);
    }

    /// A key with nothing behind it.
    fn without_value(&mut self, line: &Line<'_>, key: &str, text: String) {
        let shown: String = key.chars().take(60).collect();
        let notice = Notice::line(LINE_SKIPPED, self.source.place(line), &self.title, line.number, text);
        self.notices.push(notice.help(format!(
            "the line has no effect, here or in Postfix; write a value behind the key, as in `{} REJECT` for an access \
             table, or delete the line",
            printable(&shown)
        )));
    }

    fn alias_line(&mut self, line: &Line<'_>) {
        if self.refuses_bytes(line) {
            return;
        }
        let Some((name, value)) = split_alias(&line.text) else {
            return self.notice(LINE_SKIPPED, line, "need name:value pair".to_owned());
        };
        if name.contains('@') && !line.text.starts_with('"') {
            return self.notice(LINE_SKIPPED, line, "name must be local".to_owned());
        }
        self.insert(line, &name, value);
    }

    fn insert(&mut self, line: &Line<'_>, key: &str, value: &str) {
        let entry = Entry { value: value.into(), start: line.start, end: line.end };
        let stored = match self.manner.keys {
            Keys::Folded => fold(key),
            Keys::AsciiFolded => key.to_ascii_lowercase(),
            Keys::AsTheyAre => key.to_owned(),
        };
        match self.table.entries.entry(stored.into()) {
            Slot::Vacant(slot) => drop(slot.insert(entry)),
            Slot::Occupied(_) if self.manner.duplicates == Duplicates::Ignore => {}
            Slot::Occupied(mut slot) if self.manner.duplicates == Duplicates::Replace => {
                drop(slot.insert(entry));
            }
            Slot::Occupied(slot) => {
                let shown = if self.style == Style::Text { key } else { slot.key() };
                let text = format!("duplicate entry: \"{shown}\"");
                let place = self.source.place(line);
                let first = Place::new(&self.source.file, slot.get().start, slot.get().end);
                let mut notice = Notice::line(DUPLICATE, place, &self.title, line.number, text);
                self.duplicates += 1;
                if self.duplicates <= PLACED_MAX {
                    notice = notice.help(first_counts(&self.title, first.line()));
                }
                if let Style::Database(suffix) = self.style {
                    notice.postfix = format!("{}: {}", database_title(suffix, &self.title), notice.text);
                }
                self.notices.push(notice);
            }
        }
    }
}

/// The key as it stands, quotes included, and the rest; `None` where a quote isn't closed.
pub(crate) fn split_key(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            c if is_space(c) && !quoted => return text.split_at_checked(at),
            _ => {}
        }
    }
    (!quoted).then_some((text, ""))
}

/// The name before the first colon outside quotes, and the value.
pub(crate) fn split_alias(text: &str) -> Option<(String, &str)> {
    let (name, rest) = match text.strip_prefix('"') {
        Some(open) => {
            let (name, rest) = open.split_once('"')?;
            (name, rest.trim_start_matches(is_space).strip_prefix(':')?)
        }
        None => text.split_once(':')?,
    };
    let (name, value) = (name.trim_matches(is_space), rest.trim_matches(is_space));
    let bare = !text.starts_with('"');
    let refused = name.is_empty() || value.is_empty() || bare && name.contains(',');
    (!refused).then(|| (name.to_owned(), value))
}
