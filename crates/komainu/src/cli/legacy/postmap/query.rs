//! `-q` and `-s`: tables are opened when they are asked first, each once.

use super::message::{Key, Reader};
use super::options::Options;
use super::{Fatal, contents, spec_of, warn};
use crate::cli::say::Out;
use crate::cli::servers::Servers;
use crate::configuration::DirectSources;
use mail::base64;
use std::io::{self, BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};
use tables::database::{Format, read, without_nul};
use tables::postmap::{Opened, open};
use tables::{Hit, Kind, LookupError, Sources as _, TableSpec};

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
    servers: Servers,
}

pub(super) fn one_key(key: &str, words: &[String], options: &Options) -> Result<bool, Fatal> {
    let mut out = BufWriter::new(Out);
    let found = Row::new(words, options).ask(key.as_bytes())?;
    if let Some(value) = &found {
        put(&mut out, &[value, b"\n"])?;
    }
    flush(&mut out)?;
    Ok(found.is_some())
}

pub(super) fn keys_from_stdin(words: &[String], options: &Options) -> Result<bool, Fatal> {
    let mut row = Row::new(words, options);
    let mut out = BufWriter::new(Out);
    let mut found = false;
    let mut answer = |key: &[u8]| -> Result<(), Fatal> {
        if let Some(value) = row.ask(key)? {
            found = true;
            put(&mut out, &[key, options.program.separator(), &value, b"\n"])?;
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
    let mut out = BufWriter::new(Out);
    let between = options.program.separator();
    if asked.serves_database() {
        asked.list_database(&mut out)?;
        flush(&mut out)?;
        return Ok(true);
    }
    for (key, value) in pairs {
        if !options.has('F') {
            put(&mut out, &[key.as_bytes(), between, value.as_bytes(), b"\n"])?;
        } else if let Ok(text) = contents(value) {
            put(&mut out, &[key.as_bytes(), between, &text, b"\n"])?;
        }
    }
    flush(&mut out)?;
    Ok(true)
}

impl<'o> Row<'o> {
    fn new(words: &'o [String], options: &'o Options) -> Row<'o> {
        Row { words, opened: Vec::new(), options, servers: Servers::default() }
    }

    /// What the first table that knows the key says.
    fn ask(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
        for (index, word) in self.words.iter().enumerate() {
            if self.opened.len() <= index {
                self.opened.push(Asked::open(word, self.options)?);
            }
            if let Some(asked) = self.opened.get(index)
                && let Some(value) = asked.ask(key, &mut self.servers)?
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
            eprintln!("{}: dict_open: {word}", options.program);
        }
        let spec = spec_of(word)?;
        if spec.kind == Kind::Foreign {
            return Err(Fatal(format!("unsupported dictionary type: {}", spec.type_name)));
        }
        let opened = open(word, options.program.usage(), &DirectSources).map_err(Fatal)?;
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
        warnings.iter().for_each(|(_, text)| warn(options.program, text));
        Ok(asked)
    }

    /// Entries whose files can't be read: line and warning.
    fn missing_contents(&self) -> Vec<(usize, String)> {
        missing_contents(&self.opened, &self.spec.name)
    }

    fn ask(&self, key: &[u8], servers: &mut Servers) -> Result<Option<Vec<u8>>, Fatal> {
        let text = match std::str::from_utf8(key) {
            Ok(text) => text.to_owned(),
            Err(_) if self.options.checks_utf8() => {
                let shown: String = String::from_utf8_lossy(key).chars().map(printable).collect();
                let text =
                    format!("{}: non-UTF-8 key \"{shown}\": malformed UTF-8 or invalid codepoint", self.word);
                warn(self.options.program, &text);
                return Ok(None);
            }
            Err(_) => String::from_utf8_lossy(key).into_owned(),
        };
        let exact = self.options.has('f') && self.serves_database();
        let found = if exact {
            self.opened.table.lookup_exact(&text)
        } else {
            self.opened.lookup(&text, |table, key| {
                let said = servers.ask("postmap", table, key);
                if said.as_ref().and_then(Option::as_deref) == Some("") {
                    warn(
                        self.options.program,
                        &format!("table {table}: key {key}: empty string result is not allowed"),
                    );
                    warn(
                        self.options.program,
                        &format!("table {table} should return NO RESULT in case of NOT FOUND"),
                    );
                }
                said
            })
        };
        let found = match found {
            Ok(found) if exact => found,
            Ok(found) => found.filter(|hit| self.options.has('f') <= self.is_exact(&text, hit)),
            Err(LookupError::Unavailable { reason, .. }) => return Err(Fatal(reason)),
            Err(LookupError::Failed { .. } | LookupError::Exceeded(_)) => {
                return Err(Fatal(format!("table {}: query error: Application error", self.word)));
            }
            Err(error @ (LookupError::NeedsDriver { .. } | LookupError::Unasked { .. })) => {
                return Err(Fatal(error.to_string()));
            }
        };
        let Some(hit) = found else { return Ok(None) };
        if !self.options.has('F') {
            return Ok(Some(hit.value.into_owned().into_bytes()));
        }
        if self.serves_database() {
            return match base64::decode(&hit.value) {
                Some(text) => Ok(Some(text)),
                None => Err(Fatal(format!("table {}: query error: malformed base64 value", self.word))),
            };
        }
        match contents(&hit.value) {
            Ok(text) => Ok(Some(text)),
            Err(_) if self.spec.kind == Kind::Texthash || self.spec.kind.is_indexed() => Ok(None),
            Err(reason) => Err(Fatal(reason)),
        }
    }

    /// Whether the file that postmap made answers, and not its text.
    fn serves_database(&self) -> bool {
        self.spec.database().is_some_and(|path| self.opened.table.file() == Some(&path))
    }

    /// The rows as they stand in the database, in its order.
    fn list_database(&self, out: &mut impl Write) -> Result<(), Fatal> {
        let (Some(format), Some(path)) = (Format::of(self.spec.kind), self.spec.database()) else {
            return Ok(());
        };
        let bytes = DirectSources.read(&path).map_err(|error| Fatal(error.to_string()))?;
        let mut listed = Ok(());
        let read = read(format, &bytes, &mut |(key, value)| {
            let value = without_nul(&value);
            let content = self.options.has('F').then(|| base64::decode(&String::from_utf8_lossy(value)));
            let value = match &content {
                None => value,
                Some(Some(content)) => content,
                Some(None) => return,
            };
            if listed.is_ok() {
                listed = put(out, &[without_nul(&key), self.options.program.separator(), value, b"\n"]);
            }
        });
        read.map_err(|error| Fatal(format!("open database {}: {error}", path.display())))?;
        listed
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
        let line = opened.table.lookup_exact(key).ok().flatten().map_or(0, |hit| hit.place.line());
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
    written(pieces.iter().try_for_each(|piece| out.write_all(piece)))
}

fn flush(out: &mut impl Write) -> Result<(), Fatal> {
    written(out.flush())
}

/// A reader that left wants no more; all else is said when the program ends.
fn written(outcome: io::Result<()>) -> Result<(), Fatal> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Fatal(format!("write stdout: {error}")))
        }
        _ => Ok(()),
    }
}
