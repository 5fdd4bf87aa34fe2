//! `postmap -i` and `postmap -d`: rows added to a file and taken from it.
//!
//! LMDB only: cdb files are constant, as in Postfix, and the text of the other types is what is served, so it is
//! what must be edited. A file is read whole, changed, and replaced.

use super::build::{FileRows, buildable, database, ends_with_nul, file, manner, rows};
use super::database::Target;
use super::options::Options;
use super::{Fatal, warn};
use crate::configuration::DirectSources;
use crate::strerror::strerror;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use tables::database::{Format, read, without_nul};
use tables::postmap::{Duplicates, database_title, fold};
use tables::sources::SOURCE_BYTES_MAX;
use tables::{Sources, TableSpec, postmap};

const CONSTANT: &str = "dict_cdb_open: inappropriate open flags for cdb database - specify O_RDONLY or \
                        O_WRONLY|O_CREAT|O_TRUNC";

/// A file's rows by key, as they stand in it.
type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// `-i`: entries on standard input go to each table.
pub(super) fn add(tables: &[String], options: &Options) -> Result<bool, Fatal> {
    let bytes = standard_input()?;
    for word in tables {
        let spec = buildable(word)?;
        let stdin = TableSpec { name: "stdin".to_owned(), ..spec.clone() };
        let opened = postmap::parse(&stdin, options.program.usage(), manner(options), bytes.clone());
        let opened = opened.map_err(Fatal)?;
        let format = match Format::of(spec.kind) {
            Some(Format::Cdb) => return Err(Fatal(CONSTANT.to_owned())),
            Some(format @ Format::Lmdb) => format,
            _ => {
                opened.notices.iter().for_each(|notice| warn(options.program, &notice.postfix));
                if opened.table.entries() > 0 {
                    let place = &spec.name;
                    let what = "tables are served from their text; add the lines to";
                    return Err(Fatal(format!("-i: {what} {place}")));
                }
                continue;
            }
        };
        let source = Path::new(&spec.name).metadata().ok();
        let target = Target::open(database(&spec)?, source.as_ref(), options)?;
        let mut known = known(&target, format)?;
        let title = database_title("lmdb", &spec.name);
        let mut warnings: Vec<(usize, String)> = Vec::new();
        for notice in &opened.notices {
            let text = notice.postfix.replacen("lmdb:stdin: ", &format!("{title}: "), 1);
            warnings.push((notice.place.line(), text));
        }
        for (key, value) in rows(&opened, format, options) {
            match manner(options).duplicates {
                Duplicates::Replace => drop(known.insert(key, value)),
                duplicates if known.contains_key(&key) => {
                    if duplicates == Duplicates::Warn {
                        let key = String::from_utf8_lossy(without_nul(&key)).into_owned();
                        let hit = opened.table.lookup_exact(&key).ok().flatten();
                        let text = format!("{title}: duplicate entry: \"{key}\"");
                        warnings.push((hit.map_or(0, |hit| hit.place.line()), text));
                    }
                }
                _ => drop(known.insert(key, value)),
            }
        }
        warnings.sort_by_key(|(line, _)| *line);
        warnings.iter().for_each(|(_, text)| warn(options.program, text));
        target.replace(&file(format, FileRows::from_iter(known), &spec)?)?;
    }
    Ok(true)
}

/// `-d`: whether one of the keys was in one of the tables.
pub(super) fn delete(key: &str, tables: &[String], options: &Options) -> Result<bool, Fatal> {
    let keys: Vec<Vec<u8>> = if key == "-" {
        standard_input()?.split(|&b| b == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
    } else {
        vec![key.as_bytes().to_vec()]
    };
    let mut found = false;
    for word in tables {
        let spec = buildable(word).map_err(|_| refused(key, word))?;
        match Format::of(spec.kind) {
            Some(Format::Lmdb) => found |= delete_from(&spec, &keys, options)?,
            Some(Format::Cdb) => return Err(Fatal(CONSTANT.to_owned())),
            _ => return Err(refused(key, word)),
        }
    }
    Ok(found)
}

fn refused(key: &str, word: &str) -> Fatal {
    let name = word.split_once(':').map_or(word, |(_, name)| name);
    let what = if key == "-" { "the lines".to_owned() } else { format!("the line of \"{key}\"") };
    Fatal(format!("-d: tables are served from their text; delete {what} in {name}"))
}

fn delete_from(spec: &TableSpec, keys: &[Vec<u8>], options: &Options) -> Result<bool, Fatal> {
    let target = Target::open(database(spec)?, None, options)?;
    if !target.is_there() {
        return Ok(false);
    }
    let mut known = known(&target, Format::Lmdb)?;
    let before = known.len();
    for key in keys {
        let key = match std::str::from_utf8(key) {
            Ok(text) if !options.has('f') => fold(text).into_bytes(),
            _ => key.clone(),
        };
        let with_nul = [&*key, b"\0"].concat();
        // With neither -n nor -N either will do, first the one that is written by default.
        let first = if ends_with_nul(Format::Lmdb, options) { &with_nul } else { &key };
        let second = if options.has('n') || options.has('N') { first } else { &key };
        if known.remove(first).is_none() {
            known.remove(second);
        }
    }
    if known.len() == before {
        return Ok(false);
    }
    target.replace(&file(Format::Lmdb, FileRows::from_iter(known), spec)?)?;
    Ok(true)
}

fn known(target: &Target, format: Format) -> Result<Rows, Fatal> {
    let mut known = Rows::new();
    if !target.is_there() {
        return Ok(known);
    }
    let failed = |reason: String| Fatal(format!("open database {}: {reason}", target.path().display()));
    let bytes = DirectSources.read(target.path()).map_err(|error| failed(error.to_string()))?;
    let mut keep = |(key, value): tables::database::Row<'_>| drop(known.insert(key.into(), value.into()));
    read(format, &bytes, &mut keep).map_err(|error| failed(error.to_string()))?;
    Ok(known)
}

fn standard_input() -> Result<Vec<u8>, Fatal> {
    let mut bytes = Vec::new();
    let mut input = io::stdin().lock().take(SOURCE_BYTES_MAX as u64);
    input.read_to_end(&mut bytes).map_err(|error| Fatal(format!("read stdin: {}", strerror(&error))))?;
    Ok(bytes)
}
