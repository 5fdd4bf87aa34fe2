//! `postmap`, as postmap(1): options, output, warnings and exit codes, byte for byte where scripts look.
//!
//! Tables are served from their source text, live. So building is checking: no file is written, and `-d` and
//! entries for `-i`, which would change a file that nobody reads, are refused. A query asks the source as it is
//! now. On a terminal a build says that the table is live already. T1.7, T2.6.
//!
//! `-f` asks with the key as it is: the tables that the server asks are folded, whatever was "built" before.
//! `-F` reads the files that values name each time; nothing holds them in base64.

mod build;
mod message;
mod options;
mod query;

use super::super::default_config;
use crate::configuration::DirectSources;
use config::{Compat, Host, MainCf, Parameters, SourceFile};
use options::Options;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tables::Sources as _;

/// What ends the program: the text behind `fatal: `.
#[derive(Debug)]
struct Fatal(String);

pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    match run(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Fatal(text)) => {
            // What was found before stays said.
            let _ = io::stdout().flush();
            eprintln!("postmap: fatal: {text}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the answer is yes: found, built.
fn run(arguments: Vec<OsString>) -> Result<bool, Fatal> {
    let mut options = Options::parse(arguments)?;
    let default_type = default_type(options.config.take())?;
    let words: Vec<String> = options.tables.iter().map(|word| with_type(word, &default_type)).collect();
    if let Some(key) = &options.delete {
        return Err(refuse_delete(key, &words));
    }
    if options.list {
        return query::list(&words, &options);
    }
    match &options.query {
        Some(key) if key == "-" => query::keys_from_stdin(&words, &options),
        Some(key) => query::one_key(key, &words, &options),
        None => build::all(&words, &options),
    }
}

fn with_type(word: &str, default_type: &str) -> String {
    if word.contains(':') { word.to_owned() } else { format!("{default_type}:{word}") }
}

fn refuse_delete(key: &str, words: &[String]) -> Fatal {
    let names: Vec<&str> =
        words.iter().map(|word| word.split_once(':').map_or(word.as_str(), |(_, name)| name)).collect();
    let what = if key == "-" { "the lines".to_owned() } else { format!("the line of \"{key}\"") };
    Fatal(format!("-d: tables are served from their text; delete {what} in {}", names.join(", ")))
}

/// `default_database_type` of the configuration in `directory`, or of the one in force.
fn default_type(directory: Option<PathBuf>) -> Result<String, Fatal> {
    let named = directory.or_else(|| std::env::var_os("MAIL_CONFIG").map(PathBuf::from));
    let Some(directory) = named.clone().or_else(default_config) else { return Ok("hash".to_owned()) };
    let path = directory.join("main.cf");
    let bytes = match DirectSources.read(&path) {
        Ok(bytes) => bytes,
        Err(error) if named.is_some() => return Err(Fatal(error.to_string())),
        Err(_) => return Ok("hash".to_owned()),
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (main, _) = MainCf::parse(&Arc::new(SourceFile { path, text }));
    let (parameters, _) = Parameters::new(&main, &Host::default(), Compat::default());
    let name = parameters.text("default_database_type").value;
    Ok(if name.is_empty() { "hash".to_owned() } else { name })
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

fn warn(text: &str) {
    eprintln!("postmap: warning: {text}");
}
