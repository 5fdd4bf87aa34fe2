//! `postmap`, as postmap(1): options, output, warnings and exit codes, byte for byte where scripts look.
//!
//! `lmdb:` and `cdb:` files are written as Postfix's. The texts of `hash:`, `btree:` and the like are served live: so
//! building is checking, no file is written, and `-d` and entries for `-i`, which would change a file that nobody
//! reads, are refused. A query asks what is served now, text or database. On a terminal a build says that the table
//! is live already. T1.7, T2.6.
//!
//! `-f` asks with the key as it is: the tables that the server asks are folded, whatever was "built" before.
//! `-F` reads the files that values name each time; databases hold them in base64.

mod build;
mod database;
mod edit;
mod message;
mod options;
mod query;

use super::super::default_config;
use crate::cli::say::Out;
use crate::configuration::{DirectSources, host};
use config::{Compat, MainCf, Parameters, Place, SourceFile, Spanned};
use options::Options;
use std::ffi::OsString;
use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tables::{Sources as _, TableSpec, Usage};

/// What ends the program: the text behind `fatal: `.
#[derive(Debug)]
struct Fatal(String);

/// Under which of its names the program was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Program {
    /// Sources of `key whitespace value`.
    #[default]
    Postmap,
    /// Sources of `name: value`.
    Postalias,
}

impl Program {
    fn usage(self) -> Usage {
        match self {
            Program::Postmap => Usage::Map,
            Program::Postalias => Usage::Aliases,
        }
    }

    /// What stands between key and value in a listing.
    fn separator(self) -> &'static [u8] {
        match self {
            Program::Postmap => b"\t",
            Program::Postalias => b":\t",
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Program::Postmap => "postmap",
            Program::Postalias => "postalias",
        })
    }
}

pub(crate) fn main(program: Program, arguments: Vec<OsString>) -> ExitCode {
    match run(program, arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Fatal(text)) => {
            // What was found before stays said, and before this.
            let _ = Out.flush();
            eprintln!("{program}: fatal: {text}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the answer is yes: found, built.
fn run(program: Program, arguments: Vec<OsString>) -> Result<bool, Fatal> {
    let mut options = Options::parse(program, arguments)?;
    let parameters = parameters(options.config.take())?;
    let default_type = default_type(parameters.as_ref());
    options.myhostname = parameters.map(|parameters| parameters.text("myhostname").value).unwrap_or_default();
    let words: Vec<String> = options.tables.iter().map(|word| with_type(word, &default_type)).collect();
    if let Some(key) = &options.delete {
        return edit::delete(key, &words, &options);
    }
    if options.list {
        return query::list(&words, &options);
    }
    match &options.query {
        Some(key) if key == "-" => query::keys_from_stdin(&words, &options),
        Some(key) => query::one_key(key, &words, &options),
        None if options.has('i') => edit::add(&words, &options),
        None => build::all(&words, &options),
    }
}

fn with_type(word: &str, default_type: &str) -> String {
    if word.contains(':') { word.to_owned() } else { format!("{default_type}:{word}") }
}

/// `default_database_type`, or what it is by default.
fn default_type(parameters: Option<&Parameters>) -> String {
    let name = parameters.map(|parameters| parameters.text("default_database_type").value);
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "hash".to_owned())
}

/// The configuration in `directory`, or the one in force, where there is one.
fn parameters(directory: Option<PathBuf>) -> Result<Option<Parameters>, Fatal> {
    let named = directory.or_else(|| std::env::var_os("MAIL_CONFIG").map(PathBuf::from));
    let Some(directory) = named.clone().or_else(default_config) else { return Ok(None) };
    let path = directory.join("main.cf");
    let bytes = match DirectSources.read(&path) {
        Ok(bytes) => bytes,
        Err(error) if named.is_some() => return Err(Fatal(error.to_string())),
        Err(_) => return Ok(None),
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (main, _) = MainCf::parse(&Arc::new(SourceFile { path, text }));
    let (parameters, _) = Parameters::new(&main, &host(), Compat::default());
    Ok(Some(parameters))
}

/// What `newaliases` builds: the tables of `alias_database`. Or the exit code, when that was said.
pub(crate) fn alias_database() -> Result<Vec<String>, ExitCode> {
    let words = match parameters(None) {
        Ok(None) => "hash:/etc/aliases".to_owned(),
        Ok(Some(parameters)) => parameters.text("alias_database").value,
        Err(Fatal(text)) => {
            eprintln!("newaliases: fatal: {text}");
            return Err(ExitCode::FAILURE);
        }
    };
    Ok(words.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

fn spec_of(word: &str) -> Result<TableSpec, Fatal> {
    let spanned = Spanned::new(word.to_owned(), Place::nowhere());
    TableSpec::parse(&spanned).map_err(|diagnostic| Fatal(diagnostic.message))
}

/// The value of a table under `-F`: the contents of the files that it names, a newline between two.
fn contents(value: &str) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    for (index, name) in value.split([',', ' ', '\t', '\r', '\n']).filter(|name| !name.is_empty()).enumerate()
    {
        if index > 0 {
            all.push(b'\n');
        }
        all.extend(DirectSources.read(name.as_ref()).map_err(|error| error.to_string())?);
    }
    Ok(all)
}

fn warn(program: Program, text: &str) {
    eprintln!("{program}: warning: {text}");
}
