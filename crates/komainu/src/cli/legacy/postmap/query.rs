//! `-q` and `-s`: tables are opened when they are asked first, each once.

use super::message::{Key, Reader};
use super::options::Options;
use super::{Fatal, contents, warn};
use crate::configuration::DirectSources;
use config::{Place, Spanned};
use std::io::{self, BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};
use tables::postmap::{Opened, open};
use tables::{Hit, Kind, LookupError, TableSpec, Usage};

/// One table of the command line.
struct Asked<'o> {
    word: &'o str,
    spec: TableSpec,
    opened: Opened,
    options: &'o Options,
}

/// Opens each table once, when it is needed.
struct Row<'o> {
    words: &'o [String],
    opened: Vec<Asked<'o>>,
    options: &'o Options,
}

pub(super) fn one_key(key: &str, words: &[String], options: &Options) -> Result<bool, Fatal> {
    let mut out = BufWriter::new(io::stdout().lock());
    let found = Row::new(words, options).ask(key.as_bytes())?;
    if let Some(value) = &found {
        put(&mut out, &[value, b"\n"])?;
    }
    flush(&mut out)?;
    Ok(found.is_some())
}

pub(super) fn keys_from_stdin(words: &[String], options: &Options) -> Result<bool, Fatal> {
    let mut row = Row::new(words, options);
    let mut out = BufWriter::new(io::stdout().lock());
    let mut found = false;
    let mut answer = |key: &[u8]| -> Result<(), Fatal> {
        if let Some(value) = row.ask(key)? {
            found = true;
            put(&mut out, &[key, b"\t", &value, b"\n"])?;
        }
        Ok(())
    };
    let mut input = io::stdin().lock();
    let mut reader = options.parts.any().then(|| Reader::new(options.parts));
    let mut line = Vec::new();
    let ended = loop {
        line.clear();
        match input.read_until(b'\n', &mut line) {
            Ok(0) => break Ok(()),
            Ok(_) => {}
            Err(error) => break Err(Fatal(format!("read stdin: {error}"))),
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let asked = match &mut reader {
            Some(reader) => each(reader.line(text), &mut answer),
            None => answer(text),
        };
        if asked.is_err() {
            break asked;
        }
    };
    let rest = reader.map(Reader::finish).unwrap_or_default();
    let ended = ended.and_then(|()| each(rest, &mut answer));
    flush(&mut out)?;
    ended.map(|()| found)
}

fn each(keys: Vec<Key>, answer: &mut impl FnMut(&[u8]) -> Result<(), Fatal>) -> Result<(), Fatal> {
    keys.iter().try_for_each(|(Key::Header(text) | Key::Body(text))| answer(text))
}

/// `-s`: of several tables the first.
pub(super) fn list(words: &[String], options: &Options) -> Result<bool, Fatal> {
    let Some(word) = words.first() else { return Ok(false) };
    let asked = Asked::open(word, options)?;
    let Some(pairs) = asked.opened.table.pairs() else {
        let why = if asked.spec.kind == Kind::Fail {
            "error: Application error"
        } else {
            "operation is not supported"
        };
        return Err(Fatal(format!("table {word}: sequence {why}")));
    };
    let mut out = BufWriter::new(io::stdout().lock());
    for (key, value) in pairs {
        if !options.has('F') {
            put(&mut out, &[key.as_bytes(), b"\t", value.as_bytes(), b"\n"])?;
        } else if let Ok(text) = contents(value) {
            put(&mut out, &[key.as_bytes(), b"\t", &text, b"\n"])?;
        }
    }
    flush(&mut out)?;
    Ok(true)
}

impl<'o> Row<'o> {
    fn new(words: &'o [String], options: &'o Options) -> Row<'o> {
        Row { words, opened: Vec::new(), options }
    }

    /// What the first table that knows the key says.
    fn ask(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
        for (index, word) in self.words.iter().enumerate() {
            if self.opened.len() <= index {
                self.opened.push(Asked::open(word, self.options)?);
            }
            if let Some(asked) = self.opened.get(index)
                && let Some(value) = asked.ask(key)?
            {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

impl<'o> Asked<'o> {
    fn open(word: &'o str, options: &'o Options) -> Result<Asked<'o>, Fatal> {
        if options.has('v') {
            eprintln!("postmap: dict_open: {word}");
        }
        let spanned = Spanned::new(word.to_owned(), Place::nowhere());
        let spec = TableSpec::parse(&spanned).map_err(|diagnostic| Fatal(diagnostic.message))?;
        if spec.kind == Kind::Foreign {
            return Err(Fatal(format!("unsupported dictionary type: {}", spec.type_name)));
        }
        let opened = open(word, Usage::Map, &DirectSources).map_err(Fatal)?;
        let mut warnings: Vec<(usize, String)> = Vec::new();
        // Where Postfix asks a built file, its source was warned about when it was built.
        let built = built_paths(&spec);
        for notice in &opened.notices {
            if !notice.place.path().is_some_and(|path| built.iter().any(|known| known == path)) {
                warnings.push((notice.place.line(), notice.postfix.clone()));
            }
        }
        let asked = Asked { word, spec, opened, options };
        if options.has('F') && asked.spec.kind == Kind::Texthash {
            warnings.extend(asked.missing_contents());
            warnings.sort_by_key(|(line, _)| *line);
        }
        warnings.iter().for_each(|(_, text)| warn(text));
        Ok(asked)
    }

    /// Entries whose files can't be read: line and warning.
    fn missing_contents(&self) -> Vec<(usize, String)> {
        missing_contents(&self.opened, &self.spec.name)
    }

    fn ask(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
        let text = match std::str::from_utf8(key) {
            Ok(text) => text.to_owned(),
            Err(_) if self.options.checks_utf8() => {
                let shown: String = String::from_utf8_lossy(key).chars().map(printable).collect();
                warn(&format!(
                    "{}: non-UTF-8 key \"{shown}\": malformed UTF-8 or invalid codepoint",
                    self.word
                ));
                return Ok(None);
            }
            Err(_) => String::from_utf8_lossy(key).into_owned(),
        };
        let found = match self.opened.table.lookup(&text) {
            Ok(found) => found.filter(|hit| self.options.has('f') <= self.is_exact(&text, hit)),
            Err(LookupError::Unavailable { reason, .. }) => return Err(Fatal(reason)),
            Err(LookupError::Failed { .. }) => {
                return Err(Fatal(format!("table {}: query error: Application error", self.word)));
            }
            Err(error @ LookupError::NeedsDriver { .. }) => return Err(Fatal(error.to_string())),
        };
        let Some(hit) = found else { return Ok(None) };
        if !self.options.has('F') {
            return Ok(Some(hit.value.into_owned().into_bytes()));
        }
        match contents(&hit.value) {
            Ok(text) => Ok(Some(text)),
            Err(_) if self.spec.kind == Kind::Texthash || self.spec.kind.is_indexed() => Ok(None),
            Err(reason) => Err(Fatal(reason)),
        }
    }

    /// `-f`: whether the hit is one without folding the key's case.
    fn is_exact(&self, key: &str, hit: &Hit<'_>) -> bool {
        match self.spec.kind {
            Kind::Texthash => hit.place.text().starts_with(key),
            kind if kind.is_indexed() => !key.chars().any(char::is_uppercase),
            _ => true,
        }
    }
}

/// Entries whose files can't be read, with their lines.
pub(super) fn missing_contents(opened: &Opened, title: &str) -> Vec<(usize, String)> {
    let pairs = opened.table.pairs().unwrap_or_default();
    let missing = pairs.into_iter().filter_map(|(key, value)| {
        let reason = contents(value).err()?;
        let line = opened.table.lookup(key).ok().flatten().map_or(0, |hit| hit.place.line());
        Some((line, format!("{title}, line {line}: {reason}: skipping this entry")))
    });
    missing.collect()
}

/// The sources of tables that postmap would have built before.
fn built_paths(spec: &TableSpec) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = spec.members.iter().flat_map(built_paths).collect();
    if spec.kind.is_indexed() {
        paths.push(Path::new(&spec.name).to_owned());
    }
    paths
}

fn printable(c: char) -> char {
    if c.is_control() || c == char::REPLACEMENT_CHARACTER { '?' } else { c }
}

fn put(out: &mut impl Write, pieces: &[&[u8]]) -> Result<(), Fatal> {
    pieces.iter().try_for_each(|piece| out.write_all(piece)).map_err(|error| written(&error))
}

fn flush(out: &mut impl Write) -> Result<(), Fatal> {
    out.flush().map_err(|error| written(&error))
}

fn written(error: &io::Error) -> Fatal {
    Fatal(format!("write stdout: {error}"))
}
