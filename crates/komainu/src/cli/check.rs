//! `komainu check`, and what `postfix check` does.

use super::{CompatArgument, EX_CONFIG, EX_USAGE, default_config, render};
use crate::check::{Reach, check, pages};
use crate::configuration::{DirectSources, has_errors, host};
use clap::Args;
use config::Compat;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tables::Sources as _;

/// Say what is wrong with a configuration before the first client finds out.
///
/// Reads main.cf, master.cf and every table that they name; nothing is served, sent or changed. Exit code 0 where
/// there is no error (warnings and hints may be), 1 where there is one, 64 wrong usage, 78 where there is no
/// configuration to read.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The folder with main.cf and master.cf [default: /etc/komainu, then /etc/postfix].
    #[arg(long, short = 'c', value_name = "DIR")]
    config: Option<PathBuf>,
    /// Whose defaults and behaviour are in force.
    #[arg(long, value_enum, default_value_t)]
    compat: CompatArgument,
    /// Ask the DNS too: blocklists, and what it says of the domains served here.
    #[arg(long)]
    online: bool,
    /// Print the page of a code, such as K0107, and check nothing.
    #[arg(long, value_name = "CODE", conflicts_with_all = ["config", "online"])]
    explain: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    if let Some(word) = &arguments.explain {
        return explain(word);
    }
    let Some(directory) = arguments.config.clone().or_else(default_config) else {
        eprintln!(
            "komainu: there is no main.cf in /etc/komainu or /etc/postfix: give the folder that holds it with --config"
        );
        return ExitCode::from(EX_CONFIG);
    };
    if let Err(error) = DirectSources.read(&directory.join("main.cf")) {
        eprintln!("komainu: {error}: give the folder that holds main.cf with --config");
        return ExitCode::from(EX_CONFIG);
    }
    let reach = if arguments.online { Reach::Online } else { Reach::Local };
    let found = check(&directory, arguments.compat.into(), &host(), &DirectSources, reach);
    print!("{}", render::render(&found));
    println!("{}", if found.is_empty() { "nothing found".to_owned() } else { render::summary(&found) });
    if has_errors(&found) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// `postfix check`: silent where all is well.
pub(super) fn postfix(directory: &Path) -> ExitCode {
    let found = check(directory, Compat::default(), &host(), &DirectSources, Reach::Local);
    if !found.is_empty() {
        eprint!("{}", render::render(&found));
        eprintln!("postfix: {}", render::summary(&found));
    }
    if has_errors(&found) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn explain(word: &str) -> ExitCode {
    let Some(page) = pages::parse(word).and_then(pages::find) else {
        eprintln!("komainu: there is no code {word}; codes look like K0107");
        return ExitCode::from(EX_USAGE);
    };
    print!("{}", page.text);
    ExitCode::SUCCESS
}
