//! `postmap lmdb:/etc/postfix/access`: the source is read, warned about, and written as LMDB or cdb.
//!
//! `hash:`, `btree:` and the like are checked only: their source is live already. Where an older database has rows
//! of its own and would be served, saving the text anew puts the text in force: what postmap is called for.

use super::database::{OwnersRights, Target};
use super::options::Options;
use super::query::missing_contents;
use super::{Fatal, Program, contents, spec_of, warn};
use crate::clock;
use crate::configuration::DirectSources;
use crate::strerror::strerror;
use config::LineStarts;
use mail::base64;
use std::fs::{File, Metadata};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use tables::database::{Format, cdb, lmdb};
use tables::postmap::{Duplicates, Keys, Manner, Opened};
use tables::source::notice::DATABASE_NEWER;
use tables::{Notice, Sources, TableSpec, postmap};

pub(super) fn all(words: &[String], options: &Options) -> Result<bool, Fatal> {
    for word in words {
        one(word, options)?;
    }
    Ok(true)
}

fn one(word: &str, options: &Options) -> Result<(), Fatal> {
    let (_, name) = word.split_once(':').unwrap_or(("hash", word));
    // As Postfix: the source first, then whether the type can be built.
    let bytes = DirectSources.read(Path::new(name)).map_err(|error| Fatal(error.to_string()))?;
    let spec = buildable(word)?;
    let usage = options.program.usage();
    let opened = postmap::parse(&spec, usage, manner(options), bytes).map_err(Fatal)?;
    let text = opened.notices.iter().find_map(|notice| notice.place.file.as_ref());
    let starts = LineStarts::of(text.map_or("", |file| file.text.as_str()));
    let warning = |notice: &Notice| (starts.line(notice.place.start), notice.postfix.clone());
    let mut warnings: Vec<(usize, String)> = opened.notices.iter().map(warning).collect();
    if options.has('F') {
        warnings.extend(missing_contents(&opened, name));
        warnings.sort_by_key(|(line, _)| *line);
    }
    let source = Path::new(name).metadata();
    let source = source.map_err(|error| Fatal(format!("open {name}: {}", strerror(&error))))?;
    match Format::of(spec.kind) {
        Some(format @ (Format::Cdb | Format::Lmdb)) => {
            let _rights = OwnersRights::take(&source, options)?;
            let target = Target::open(database(&spec)?, Some(&source), options)?;
            warnings.iter().for_each(|(_, text)| warn(options.program, text));
            let mut rows = rows(&opened, format, options);
            rows.extend(options.program.additions(options, ends_with_nul(format, options)));
            target.replace(&file(format, rows, &spec)?)
        }
        _ => {
            warnings.iter().for_each(|(_, text)| warn(options.program, text));
            put_text_in_force(&spec, options, &source)?;
            say_live(&opened, name, options);
            Ok(())
        }
    }
}

/// The table `word`, where it is of a type that has files.
pub(super) fn buildable(word: &str) -> Result<TableSpec, Fatal> {
    let (type_name, _) = word.split_once(':').unwrap_or(("hash", word));
    let spec = spec_of(word)?;
    if spec.type_name != type_name || !spec.kind.is_indexed() {
        return Err(Fatal(format!(
            "unsupported dictionary type: {type_name} does not support bulk-mode creation."
        )));
    }
    Ok(spec)
}

pub(super) fn database(spec: &TableSpec) -> Result<PathBuf, Fatal> {
    spec.database().ok_or_else(|| Fatal(format!("unsupported dictionary type: {}", spec.type_name)))
}

pub(super) fn manner(options: &Options) -> Manner {
    let duplicates = match (options.has('r'), options.has('w')) {
        (true, _) => Duplicates::Replace,
        (false, true) => Duplicates::Ignore,
        (false, false) => Duplicates::Warn,
    };
    let keys = match (options.has('f'), options.has('u')) {
        (true, _) => Keys::AsTheyAre,
        (false, true) => Keys::AsciiFolded,
        (false, false) => Keys::Folded,
    };
    Manner { keys, duplicates }
}

/// What the file gets, keys and values as they stand in it.
pub(super) type FileRows = Vec<(Vec<u8>, Vec<u8>)>;

/// The rows of `opened` as `format` holds them, in the source's order.
pub(super) fn rows(opened: &Opened, format: Format, options: &Options) -> FileRows {
    let nul: &[u8] = if ends_with_nul(format, options) { b"\0" } else { b"" };
    let mut rows = FileRows::new();
    for (key, value) in opened.table.pairs().unwrap_or_default() {
        let value = match options.has('F').then(|| contents(value)) {
            None => value.as_bytes().to_vec(),
            Some(Ok(content)) => base64::encode(&content).into_bytes(),
            // Said already.
            Some(Err(_)) => continue,
        };
        rows.push(([key.as_bytes(), nul].concat(), [&value, nul].concat()));
    }
    rows
}

/// `-N`, `-n`, else the type's own habit.
pub(super) fn ends_with_nul(format: Format, options: &Options) -> bool {
    !options.has('n') && (options.has('N') || format == Format::Lmdb)
}

/// The whole file.
pub(super) fn file(format: Format, mut rows: FileRows, spec: &TableSpec) -> Result<Vec<u8>, Fatal> {
    let made = if format == Format::Cdb {
        cdb::write(rows.iter().map(|(key, value)| (&**key, &**value)))
    } else {
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        lmdb::write(rows.iter().map(|(key, value)| (key.as_slice().into(), value.as_slice().into())))
    };
    made.map_err(|error| Fatal(format!("error updating {spec}: {error}")))
}

impl Program {
    /// What postalias(1) adds for NIS.
    fn additions(self, options: &Options, ends_with_nul: bool) -> FileRows {
        if self == Program::Postmap {
            return FileRows::new();
        }
        let at: &[u8] = if ends_with_nul { b"@\0" } else { b"@" };
        let now_s = clock::now().wall.0.div_euclid(1_000_000);
        vec![
            (at.to_vec(), at.to_vec()),
            (b"YP_LAST_MODIFIED".to_vec(), now_s.to_string().into_bytes()),
            (b"YP_MASTER_NAME".to_vec(), options.myhostname.clone().into_bytes()),
        ]
    }
}

/// An older database that would be served in the text's place gives way: the text is saved as of now.
fn put_text_in_force(spec: &TableSpec, options: &Options, source: &Metadata) -> Result<(), Fatal> {
    let opened = postmap::open(&spec.to_string(), options.program.usage(), &DirectSources).map_err(Fatal)?;
    if !opened.notices.iter().any(|notice| notice.code == DATABASE_NEWER) {
        return Ok(());
    }
    let _rights = OwnersRights::take(source, options)?;
    let saved = File::options().write(true).open(&spec.name).and_then(|text| {
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let both = rustix::fs::Timestamps { last_access: now, last_modification: now };
        Ok(rustix::fs::futimens(&text, &both)?)
    });
    saved.map_err(|error| Fatal(format!("touch {}: {}", spec.name, strerror(&error))))
}

fn say_live(opened: &Opened, name: &str, options: &Options) {
    if io::stderr().is_terminal() {
        let entries = opened.table.entries();
        let plural = if entries == 1 { "y" } else { "ies" };
        eprintln!(
            "{}: {name} is live as it is ({entries} entr{plural}): tables are served from their text",
            options.program
        );
    }
}
