//! `komainu queue`: who waits and why, and what can be done about it.
//!
//! While a server runs it is asked over its control socket; a stopped server's spool is opened. Text for people, JSON
//! for programs. The old names (mailq, postqueue, postsuper, postcat) are in `legacy`. T2.14.

mod act;
mod check;
mod export;
mod filter;
mod list;
mod progress;
mod said;
mod show;
mod stats;

use super::{EX_TEMPFAIL, EX_USAGE, default_config};
use crate::queued::{Queue, QueueError, place};
use clap::{Args, Subcommand, ValueEnum};
use proto::control::{Cause, Verb};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// sysexits(3): the caller may not.
const EX_NOPERM: u8 = 77;

/// Look at the mail queue, and work on it: who waits and why, hurry, hold, delete, save, check.
///
/// Works while the server runs, and on the queue of a stopped one. Everybody may list and flush, unless
/// authorized_mailq_users or authorized_flush_users say otherwise; all else is for root and the account that the
/// server runs as. Exit code 0 done, 1 a message that was named isn't there, nothing matched, or something is
/// damaged, 64 wrong usage, 75 the queue can't be had now, 77 not permitted.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    List(list::Arguments),
    Show(show::Arguments),
    /// Try messages now instead of when their time has come; all that are deferred, where none is named.
    ///
    /// A message is tried for all of its recipients that wait, also those that no filter names.
    Flush(act::Arguments),
    /// Put messages on hold: they are kept, and not tried until they are released.
    ///
    /// Messages are held whole: --recipient, --domain and --reason find a message by one of its recipients, and the
    /// others wait with it. How many they are is said.
    Hold(act::Arguments),
    /// Take messages off hold, and try them now.
    ///
    /// A message is released whole, also for recipients that no filter names.
    Release(act::Arguments),
    /// Try messages as if they were new: off hold, former tries and reasons forgotten, routes found anew.
    ///
    /// A message is requeued whole, also for recipients that no filter names.
    Requeue(act::Arguments),
    /// Delete messages, whole. Nobody is told; what is being delivered at this moment may arrive all the same.
    ///
    /// --recipient, --domain and --reason find a message by one of its recipients; deleted is the message, so that its
    /// other recipients don't get it either. How many they are is said before and after; --dry-run shows them.
    Delete(act::Arguments),
    Stats(stats::Arguments),
    Export(export::Arguments),
    Check(check::Arguments),
}

/// Whose queue is meant.
#[derive(Args, Debug, Default)]
struct Where {
    /// The folder with main.cf [default: MAIL_CONFIG, else your own server's queue if you have one, else /etc/komainu,
    /// /etc/postfix].
    #[arg(long, short = 'c', value_name = "DIR")]
    config: Option<PathBuf>,
    /// The server's state folder [default: komainu_state_directory].
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    state_dir: Option<PathBuf>,
}

/// How things are said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a message, a line each.
    Json,
}

pub(super) fn run(arguments: Arguments) -> ExitCode {
    let outcome = match arguments.command {
        Command::List(arguments) => list::run(&arguments),
        Command::Show(arguments) => show::run(&arguments),
        Command::Flush(arguments) => act::run(Verb::Flush, &arguments),
        Command::Hold(arguments) => act::run(Verb::Hold, &arguments),
        Command::Release(arguments) => act::run(Verb::Release, &arguments),
        Command::Requeue(arguments) => act::run(Verb::Requeue, &arguments),
        Command::Delete(arguments) => act::run(Verb::Delete, &arguments),
        Command::Stats(arguments) => stats::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
    };
    outcome.unwrap_or_else(|error| failed(&error))
}

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Queue(#[from] QueueError),
    #[error("{0}")]
    Usage(String),
    #[error("{what}: {source}")]
    File { what: String, source: io::Error },
}

fn failed(error: &Failed) -> ExitCode {
    let code = match error {
        // A reader that left wants no more.
        Failed::Queue(QueueError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        Failed::Usage(_) => EX_USAGE,
        Failed::Queue(QueueError::Refused(Cause::Forbidden, _)) => EX_NOPERM,
        Failed::Queue(QueueError::Stopped { source, .. } | QueueError::Socket { source, .. })
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            EX_NOPERM
        }
        _ => EX_TEMPFAIL,
    };
    eprintln!("komainu: {error}");
    ExitCode::from(code)
}

impl Where {
    fn folder(&self) -> PathBuf {
        if let Some(state) = &self.state_dir {
            return state.clone();
        }
        let named = self.directory();
        let directory = named.clone().or_else(default_config);
        let of_caller = || place::of_caller(directory.as_deref()).filter(|_| named.is_none());
        of_caller().unwrap_or_else(|| {
            let directory = directory.as_deref().unwrap_or_else(|| Path::new("/nonexistent"));
            place::state(&place::parameters(directory))
        })
    }

    fn directory(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| std::env::var_os("MAIL_CONFIG").map(PathBuf::from))
    }

    fn open(&self) -> Result<Queue, Failed> {
        if let Some(directory) = self.directory().filter(|_| self.state_dir.is_none()) {
            let file = directory.join("main.cf");
            std::fs::File::open(&file)
                .map_err(|source| Failed::File { what: file.display().to_string(), source })?;
        }
        Ok(Queue::open(&self.folder())?)
    }
}
