//! `postmap hash:/etc/postfix/access`: the source is checked; it is live already, so nothing is written.

use super::options::Options;
use super::query::missing_contents;
use super::{Fatal, warn};
use crate::configuration::DirectSources;
use config::{Place, Spanned};
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use tables::source::notice::DUPLICATE;
use tables::sources::SOURCE_BYTES_MAX;
use tables::{SourceError, Sources, TableSpec, Usage, postmap};

pub(super) fn all(words: &[String], options: &Options) -> Result<bool, Fatal> {
    for word in words {
        one(word, options)?;
    }
    Ok(true)
}

fn one(word: &str, options: &Options) -> Result<(), Fatal> {
    let (type_name, name) = word.split_once(':').unwrap_or(("hash", word));
    if !options.has('i') {
        // As Postfix: the source first, then whether the type can be built.
        DirectSources.read(Path::new(name)).map_err(|error| Fatal(error.to_string()))?;
    }
    let spanned = Spanned::new(word.to_owned(), Place::nowhere());
    let spec = TableSpec::parse(&spanned).map_err(|diagnostic| Fatal(diagnostic.message))?;
    if spec.type_name != type_name || !spec.kind.is_indexed() {
        return Err(Fatal(format!(
            "unsupported dictionary type: {type_name} does not support bulk-mode creation."
        )));
    }
    if options.has('i') {
        return incremental(&spec);
    }
    let opened = postmap::open(word, Usage::Map, &DirectSources).map_err(Fatal)?;
    let kept = opened.notices.iter().filter(|notice| notice.code != DUPLICATE || !options.has('w'));
    let mut warnings: Vec<(usize, String)> =
        kept.map(|notice| (notice.place.line(), notice.postfix.clone())).collect();
    if options.has('F') {
        warnings.extend(missing_contents(&opened, name));
        warnings.sort_by_key(|(line, _)| *line);
    }
    warnings.iter().for_each(|(_, text)| warn(text));
    if io::stderr().is_terminal() {
        let entries = opened.table.entries();
        let plural = if entries == 1 { "y" } else { "ies" };
        eprintln!(
            "postmap: {name} is live as it is ({entries} entr{plural}): tables are served from their text"
        );
    }
    Ok(())
}

/// Gives standard input as the text of any table.
struct Stdin(Vec<u8>);

impl Sources for Stdin {
    fn read(&self, _path: &Path) -> Result<Vec<u8>, SourceError> {
        Ok(self.0.clone())
    }
}

/// `-i`: entries on standard input would go to a file that nobody reads; none is no harm.
fn incremental(spec: &TableSpec) -> Result<(), Fatal> {
    let mut bytes = Vec::new();
    let mut input = io::stdin().lock().take(SOURCE_BYTES_MAX as u64);
    input.read_to_end(&mut bytes).map_err(|error| Fatal(format!("read stdin: {error}")))?;
    let opened =
        postmap::open(&format!("{}:stdin", spec.type_name), Usage::Map, &Stdin(bytes)).map_err(Fatal)?;
    opened.notices.iter().for_each(|notice| warn(&notice.postfix));
    if opened.table.entries() == 0 {
        return Ok(());
    }
    Err(Fatal(format!("-i: tables are served from their text; add the lines to {}", spec.name)))
}
