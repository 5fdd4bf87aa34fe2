//! `komainu conf`, and `postconf` under its old name: what main.cf and master.cf say, and changing them.
//!
//! Reading, printing and editing are `config::conf`'s, on texts; here are the options, the files and the words
//! on standard error, which are postconf(1)'s. What values would cause is `komainu check`'s business.

mod about;
mod edit;
mod file;
mod lists;
mod options;
mod show;
mod templates;

use super::{EX_USAGE, default_config};
use options::{Action, Options};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What ends the program: the text behind `fatal: `.
#[derive(Debug)]
struct Fatal(String);

impl From<config::conf::Refused> for Fatal {
    fn from(config::conf::Refused(text): config::conf::Refused) -> Fatal {
        Fatal(text)
    }
}

/// Show and edit the parameters of main.cf and the services of master.cf.
///
/// The options are postconf(1)'s: `komainu conf smtpd_banner`, `-n`, `-d`, `-x`, `-M`, `-e name=value` …;
/// `komainu conf --help` lists them.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub(super) struct Arguments {
    /// Options and names as for postconf.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORD")]
    words: Vec<OsString>,
}

/// `komainu conf`.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    main_as("komainu conf", arguments.words)
}

/// By whichever name it was called: `words` are behind it.
pub(super) fn main_as(program: &str, words: Vec<OsString>) -> ExitCode {
    let called = Called { program };
    let outcome = Options::parse(&called, words).and_then(|options| called.act(&options));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Fatal(text)) if text == options::OWN_USAGE => {
            eprintln!("{text}");
            ExitCode::from(EX_USAGE)
        }
        Err(Fatal(text)) => {
            eprintln!("{program}: fatal: {text}");
            ExitCode::FAILURE
        }
    }
}

/// Replaces a file whole by what `edit` makes of its contents, with its owner and mode.
pub(super) fn rewrite(
    path: &Path,
    edit: impl FnOnce(&[u8]) -> Result<Vec<u8>, String>,
) -> Result<(), String> {
    file::replace(path, |old| edit(old).map_err(Fatal)).map_err(|Fatal(text)| text)
}

/// The name that messages begin with.
struct Called<'a> {
    program: &'a str,
}

impl Called<'_> {
    /// Whether all went well.
    fn act(&self, options: &Options) -> Result<bool, Fatal> {
        if options.help {
            print!("{}", options::HELP);
            return Ok(true);
        }
        if options.about {
            return self.about(options);
        }
        match options.action {
            Action::Lists(letter) => self.lists(letter, options),
            _ if options.edit.is_some() => self.edit(options).map(|()| true),
            _ => self.show(options).map(|()| true),
        }
    }

    fn warn(&self, text: &str) {
        eprintln!("{}: warning: {text}", self.program);
    }
}

/// The folder of the configuration, and whether it was named.
fn folder(options: &Options) -> (PathBuf, bool) {
    let named = options.config.clone().or_else(|| std::env::var_os("MAIL_CONFIG").map(PathBuf::from));
    match named {
        Some(directory) => (directory, true),
        None => {
            let directory = default_config().unwrap_or_else(|| PathBuf::from(DEFAULT_FOLDER));
            let elsewhere = directory != *DEFAULT_FOLDER;
            (directory, elsewhere)
        }
    }
}

/// config_directory's default.
const DEFAULT_FOLDER: &str = "/etc/postfix";
