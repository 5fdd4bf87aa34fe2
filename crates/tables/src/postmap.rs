//! What `postmap` and `komainu table` do with one table, as functions: open, warnings, pairs.
//!
//! Deliberately not here: standard input and output, exit codes, the building of files (a source is live).

use crate::catalogue::{TableSpec, Usage};
pub use crate::indexed::{Duplicates, Keys, Manner, database_title, fold};
use crate::remote::{Answers, Remote};
use crate::snapshot::{build, compile_source};
use crate::source::{Notice, Source};
use crate::sources::Sources;
use crate::table::{Body, Hit, LookupError, Table};
use config::{Place, Spanned};
use std::path::Path;
use std::sync::Arc;

/// One table outside any catalogue.
#[derive(Debug)]
pub struct Opened {
    /// The table.
    pub table: Table,
    /// What is odd about its source.
    pub notices: Vec<Notice>,
}

/// The table `spec` out of the text `bytes` alone, as `postmap` reads it to build a file.
///
/// # Errors
/// When the text is no such table.
pub fn parse(spec: &TableSpec, usage: Usage, manner: Manner, bytes: Vec<u8>) -> Result<Opened, String> {
    let spec = TableSpec { usage, ..spec.clone() };
    let built = compile_source(&spec, &Source::new(Path::new(&spec.name), bytes), manner);
    match &built.table.body {
        Body::Broken(reason) => Err(reason.clone()),
        _ => Ok(Opened { table: built.table, notices: built.notices }),
    }
}

/// Opens the table `word` (`type:name`, or a name alone) as `postmap -q` and `postmap -s` do.
///
/// # Errors
/// In the words of postmap's `fatal: `.
pub fn open(word: &str, usage: Usage, sources: &dyn Sources) -> Result<Opened, String> {
    let word = Spanned::new(word.to_owned(), Place::nowhere());
    let spec = TableSpec::parse(&word).map_err(|diagnostic| diagnostic.message)?;
    let opened = assemble(&spec, usage, sources);
    match &opened.table.body {
        Body::Broken(reason) => Err(reason.clone()),
        _ => Ok(opened),
    }
}

fn assemble(spec: &TableSpec, usage: Usage, sources: &dyn Sources) -> Opened {
    let mut notices = Vec::new();
    let mut members = Vec::new();
    for member in &spec.members {
        let opened = assemble(member, usage, sources);
        notices.extend(opened.notices);
        members.push(Arc::new(opened.table));
    }
    let spec = TableSpec { usage, ..spec.clone() };
    let built = build(&spec, &members, sources);
    notices.extend(built.notices);
    Opened { table: built.table, notices }
}

impl Opened {
    /// What the table says about `key`; `ask` answers for tables behind sockets (`None`: can't say).
    ///
    /// # Errors
    /// When it can't say.
    pub fn lookup(
        &self,
        key: &str,
        mut ask: impl FnMut(&Remote, &str) -> Option<Option<String>>,
    ) -> Result<Option<Hit<'static>>, LookupError> {
        let mut answers = Answers::default();
        loop {
            match self.table.search(key, Some(&answers)) {
                Err(LookupError::Unasked { table, key }) => {
                    let said = ask(&table, &key);
                    answers.learn(&table, key, said);
                }
                Err(error) => return Err(error),
                Ok(hit) => {
                    return Ok(hit.map(|hit| Hit { value: hit.value.into_owned().into(), place: hit.place }));
                }
            }
        }
    }

    /// postmap's lines on standard error, without the program's name: `warning: /path, line 3: …`.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.notices.iter().map(|notice| format!("warning: {}", notice.postfix))
    }
}

/// One line of `postmap -s` and `postmap -q -`.
#[must_use]
pub fn pair_line(key: &str, value: &str) -> String {
    format!("{key}\t{value}")
}
