//! `komainu table`: look-ups by hand, with the line that answers, and the check of a table's source.
//!
//! Asks tables as `smtpd` does for one key; the searches of access(5) with parts of a key are the caller's.
//! T1.7, T2.6.

use super::servers::Servers;
use super::{EX_TEMPFAIL, EX_USAGE, render};
use crate::configuration::DirectSources;
use clap::{Args, Subcommand, ValueEnum};
use config::{Diagnostic, Place, Severity, Spanned};
use serde_json::json;
use std::process::ExitCode;
use tables::postmap::Opened;
use tables::source::notice::{NOT_SERVED, UNREADABLE};
use tables::{Hit, Kind, LookupError, Notice, TableSpec, Usage, postmap};

/// Look keys up in lookup tables, and check their sources.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Print what a table says about each key: `komainu table lookup hash:/etc/postfix/access 192.0.2.1`.
    ///
    /// One line a key that is found: the key, the value, and file and line that say so. Exit code 0 when every
    /// key was found, 1 when one was not, 75 when the table cannot be asked.
    Lookup {
        /// TYPE:NAME, as in main.cf.
        table: String,
        /// The keys.
        #[arg(required = true)]
        keys: Vec<String>,
        /// How the answers are printed.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Read a table's source and say what is wrong with it. Exit code 1 when lines were lost.
    Check {
        /// TYPE:NAME, as in main.cf.
        table: String,
    },
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// Key, value and place, a tab between them.
    #[default]
    Text,
    /// One JSON object a key, also for those that aren't found.
    Json,
}

pub(super) fn run(arguments: Arguments) -> ExitCode {
    match arguments.command {
        Command::Lookup { table, keys, format } => lookup(&table, &keys, format),
        Command::Check { table } => check(&table),
    }
}

/// Why a table can't be asked, and the exit code for it.
struct Refused {
    found: Box<Diagnostic>,
    code: u8,
}

/// Opens the table, or says why not.
fn open(word: &str) -> Result<(TableSpec, Opened), Refused> {
    let refused = |found: Diagnostic, code: u8| Refused { found: Box::new(found), code };
    let spanned = Spanned::new(word.to_owned(), Place::nowhere());
    let spec = TableSpec::parse(&spanned).map_err(|found| refused(found, EX_USAGE))?;
    if spec.kind == Kind::Foreign {
        let message = format!("{spec}: tables of type \"{}\" are not served yet", spec.type_name);
        return Err(refused(Diagnostic::error(NOT_SERVED, Place::nowhere(), message), EX_TEMPFAIL));
    }
    match postmap::open(word, Usage::Map, &DirectSources) {
        Ok(opened) => Ok((spec, opened)),
        Err(reason) => Err(refused(
            Diagnostic::error(UNREADABLE, Place::nowhere(), format!("{spec}: {reason}")),
            EX_TEMPFAIL,
        )),
    }
}

fn refuse(refused: Refused) -> ExitCode {
    eprint!("{}", render::render(&[*refused.found]));
    ExitCode::from(refused.code)
}

fn lookup(word: &str, keys: &[String], format: Format) -> ExitCode {
    let (_, opened) = match open(word) {
        Ok(opened) => opened,
        Err(fault) => return refuse(fault),
    };
    let mut servers = Servers::default();
    let (mut all_found, mut failed) = (true, false);
    for key in keys {
        match opened.lookup(key, |table, key| servers.ask("komainu", table, key)) {
            Ok(hit) => {
                all_found &= hit.is_some();
                answer(key, hit, format);
            }
            Err(error) => {
                failed = true;
                complain(key, &error, format);
            }
        }
    }
    match (failed, all_found) {
        (true, _) => ExitCode::from(EX_TEMPFAIL),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    }
}

fn answer(key: &str, hit: Option<Hit<'_>>, format: Format) {
    let place =
        hit.as_ref().and_then(|hit| Some((hit.place.path()?.display().to_string(), hit.place.line())));
    match (format, hit) {
        (Format::Text, Some(hit)) => {
            let place = place.map_or_else(|| hit.place.to_string(), |(file, line)| format!("{file}:{line}"));
            println!("{key}\t{}\t{place}", hit.value);
        }
        (Format::Text, None) => eprintln!("komainu: {key}: not found"),
        (Format::Json, Some(hit)) => {
            let (file, line) = place.unzip();
            println!(
                "{}",
                json!({ "key": key, "found": true, "value": hit.value, "file": file, "line": line })
            );
        }
        (Format::Json, None) => println!("{}", json!({ "key": key, "found": false })),
    }
}

fn complain(key: &str, error: &LookupError, format: Format) {
    match format {
        Format::Text => eprintln!("komainu: {key}: {error}"),
        Format::Json => println!("{}", json!({ "key": key, "found": false, "error": error.to_string() })),
    }
}

fn check(word: &str) -> ExitCode {
    let (spec, opened) = match open(word) {
        Ok(opened) => opened,
        Err(fault) => return refuse(fault),
    };
    let found: Vec<Diagnostic> = opened.notices.iter().map(Notice::diagnostic).collect();
    print!("{}", render::render(&found));
    let entries = opened.table.entries();
    let plural = if entries == 1 { "y" } else { "ies" };
    let summary = render::summary(&found);
    println!("{spec}: {entries} entr{plural}{}{summary}", if summary.is_empty() { "" } else { ", " });
    let lost =
        opened.notices.iter().any(Notice::is_loss) || found.iter().any(|one| one.severity == Severity::Error);
    if lost { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
