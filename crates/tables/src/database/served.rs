//! Which of the two is served: the text, or the file that postmap made of it.
//!
//! The text, as it is live on save (T1.7), with two exceptions. Where the text is gone or may not be read, the
//! database is served. Where the database is at least as new as the text and has other rows, somebody put them there
//! (`postmap -i`, `postmap -d`, a script): it is served as Postfix would, and that is said (K0320). A database that
//! can't be read gives way to the text, and that is said (K0321).

use super::{DatabaseError, Format, Row, read, without_nul};
use crate::catalogue::{TableSpec, Usage};
use crate::indexed::{Indexed, Manner, fold};
use crate::snapshot::{Built, compile_source, read_source};
use crate::source::notice::{DATABASE_NEWER, DATABASE_UNREADABLE};
use crate::source::{Notice, Source};
use crate::sources::{SourceError, Sources};
use crate::table::{Body, Table};
use config::{Place, SourceFile};
use std::path::Path;
use std::sync::Arc;

/// The table `spec`, from its text or its database.
pub(crate) fn serve(spec: &TableSpec, format: Format, sources: &dyn Sources) -> Built {
    let text_path = Path::new(&spec.name);
    let broken =
        |reason: String| Built { table: Table::new(spec, Body::Broken(reason)), notices: Vec::new() };
    let in_words = |error: SourceError| error.to_string().replacen("open ", "open database ", 1);
    let Some(path) = spec.database() else { return broken(String::new()) };
    let text = match read_source(text_path, sources) {
        Ok(bytes) => Source::new(text_path, bytes),
        Err(error @ (SourceError::Missing(_) | SourceError::Denied(_))) => {
            return match read_source(&path, sources) {
                Ok(bytes) => from_database(spec, format, &path, &bytes)
                    .unwrap_or_else(|why| broken(format!("open database {}: {why}", path.display()))),
                Err(SourceError::Missing(_)) => broken(in_words(error)),
                Err(error) => broken(in_words(error)),
            };
        }
        Err(error) => return broken(in_words(error)),
    };
    let mut built = compile_source(spec, &text, Manner::default());
    let (Some(saved), Some(made)) = (sources.modified(text_path), sources.modified(&path)) else {
        return built;
    };
    if made < saved {
        return built;
    }
    let notice = |code: u16, text: String| {
        let postfix = format!("{}: {text}", path.display());
        vec![Notice { code, place: Place::new(&source_file(text_path, ""), 0, 0), text, postfix, help: None }]
    };
    let why = match read_source(&path, sources) {
        Err(SourceError::Missing(_)) => return built,
        Err(error) => error.to_string(),
        Ok(bytes) => match disagrees(spec, format, &built.table, &bytes) {
            Ok(false) => return built,
            Ok(true) => match from_database(spec, format, &path, &bytes) {
                Ok(mut other) => {
                    let text = format!(
                        "{spec}: {} is newer than the text and has other rows: it is served, as Postfix does",
                        path.display()
                    );
                    other.notices = notice(DATABASE_NEWER, text);
                    return other;
                }
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        },
    };
    let text = format!("{spec}: {} can't be read ({why}): the text is served", path.display());
    built.notices.extend(notice(DATABASE_UNREADABLE, text));
    built
}

fn source_file(path: &Path, text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { path: path.to_owned(), text: text.to_owned() })
}

fn from_database(
    spec: &TableSpec,
    format: Format,
    path: &Path,
    bytes: &[u8],
) -> Result<Built, DatabaseError> {
    let mut table = Table::new(spec, Body::Indexed(rows(format, bytes)?));
    table.file = Some(source_file(path, ""));
    Ok(Built { table, notices: Vec::new() })
}

/// The rows as Postfix asks them. Of a key with and without a NUL the one with it counts, of two equal ones the
/// first. A key that isn't UTF-8 is never asked.
fn rows(format: Format, bytes: &[u8]) -> Result<Indexed, DatabaseError> {
    let mut indexed = Indexed::default();
    read(format, bytes, &mut |(key, value): Row<'_>| {
        if let Ok(name) = std::str::from_utf8(without_nul(&key)) {
            indexed.insert_row(name, without_nul(&value), key.ends_with(b"\0"));
        }
    })?;
    Ok(indexed)
}

/// Whether the database says something that the text doesn't, or the other way round.
fn disagrees(spec: &TableSpec, format: Format, table: &Table, bytes: &[u8]) -> Result<bool, DatabaseError> {
    let Body::Indexed(text) = &table.body else { return Ok(false) };
    let (mut same, mut differs) = (0usize, false);
    read(format, bytes, &mut |(key, value): Row<'_>| {
        let key = without_nul(&key);
        // postalias(1) adds these for NIS.
        if spec.usage == Usage::Aliases && matches!(key, b"@" | b"YP_LAST_MODIFIED" | b"YP_MASTER_NAME") {
            return;
        }
        let entry = std::str::from_utf8(key).ok().and_then(|key| text.find(&fold(key)));
        if entry.is_some_and(|entry| entry.value.as_bytes() == without_nul(&value)) {
            same += 1;
        } else {
            differs = true;
        }
    })?;
    Ok(differs || same != text.len())
}
