//! `komainu table`: look-ups by hand.

use super::legacy::postmap;
use clap::{Args, Subcommand};
use std::process::ExitCode;

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
    /// Exit code 0 when every key was found, 1 when one was not, 75 when the table cannot be asked.
    Lookup {
        /// TYPE:NAME, as in main.cf.
        table: String,
        /// The keys.
        #[arg(required = true)]
        keys: Vec<String>,
    },
    /// Read a table's source and say what is wrong with it. Exit code 1 when lines were lost.
    Check {
        /// TYPE:NAME, as in main.cf.
        table: String,
    },
}

pub(super) fn run(arguments: Arguments) -> ExitCode {
    match arguments.command {
        Command::Lookup { table, keys } => postmap::lookup(&table, &keys),
        Command::Check { table } => postmap::check(&table),
    }
}
