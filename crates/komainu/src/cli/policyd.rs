//! `komainu policyd`: greylisting for a stock Postfix or Exim, in Postgrey's place; or SPF, in policyd-spf's.

use super::{EX_TEMPFAIL, EX_USAGE, render};
use crate::configuration::{DirectSources, host, postgreys_options, state_directory};
use crate::facts::dns::Resolver;
use crate::facts::hosts::HostsFile;
use crate::facts::policyd_spf::PolicydSpf;
use crate::greylisting::Greylister;
use crate::greylisting::server::{self, Bound, Judge};
use crate::log::{Destination, Format, Log};
use clap::{Args, ValueEnum};
use config::{Diagnostic, Place};
use policy::greylist::{Keys, Options};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Questions to the name servers at once.
const QUESTIONS_AT_ONCE: usize = 256;

/// Greylist for a stock Postfix or Exim, in Postgrey's place: the policy protocol on a port or socket. With --spf, check
/// SPF in policyd-spf's place, by /etc/postfix-policyd-spf-python/policyd-spf.conf.
///
/// Takes Postgrey's options, by default those of /etc/default/postgrey, and reads its whitelists; a saved whitelist is in
/// force at once. Runs in the foreground until SIGTERM or Ctrl-C. Exit code 0 stopped as asked, 64 wrong usage, 75 something
/// of the system's failed.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The folder of what is remembered [default: /var/lib/komainu/greylist when started by root].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Where the log goes: syslog, journald, stdout, or a file's path [default: syslog where it runs, else stdout].
    #[arg(long, value_name = "WHERE")]
    log: Option<String>,
    /// By what senders are known: their networks alone, or their pools too, which the DNS tells (SPF, zones of names).
    #[arg(long, value_enum, default_value_t)]
    keys: KeysArgument,
    /// Check SPF as policyd-spf does, in place of greylisting; of the options below --inet, --unix and --socketmode count.
    #[arg(long)]
    spf: bool,
    /// Postgrey's options, behind those above: --inet=10023 --delay=60 …
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "POSTGREY'S OPTIONS")]
    options: Vec<String>,
}

/// See [`Keys`].
#[derive(ValueEnum, Clone, Copy, Debug, Default)]
enum KeysArgument {
    /// As Postgrey has it.
    #[default]
    Postgrey,
    /// By pools of senders and by networks.
    Sender,
}

pub(super) fn run(arguments: Arguments) -> ExitCode {
    if let Some(own) = arguments.options.iter().find(|word| is_own(word)) {
        eprintln!("komainu: {own} goes in front of Postgrey's options");
        return ExitCode::from(EX_USAGE);
    }
    let (mut options, found) = options(&arguments.options);
    options.keys = match arguments.keys {
        KeysArgument::Postgrey => Keys::Postgrey,
        KeysArgument::Sender => Keys::Sender,
    };
    if !found.is_empty() {
        eprint!("{}", render::render(&found));
        if !arguments.options.is_empty() {
            return ExitCode::from(EX_USAGE);
        }
    }
    if options.inet.is_none() && options.unix.is_none() {
        eprintln!("komainu: --unix or --inet must be specified, here or in /etc/default/postgrey");
        return ExitCode::from(EX_USAGE);
    }
    let Some(destination) = destination(arguments.log.as_deref()) else {
        eprintln!("komainu: --log: write syslog, journald, stdout, or a path that begins with /");
        return ExitCode::from(EX_USAGE);
    };
    let folder = arguments.state.unwrap_or_else(|| state_directory().join("greylist"));
    match start((options, arguments.spf), &folder, &destination) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("komainu: {error}");
            ExitCode::from(EX_TEMPFAIL)
        }
    }
}

/// Whether the word is an option that Postgrey doesn't have.
fn is_own(word: &str) -> bool {
    ["--spf", "--keys", "--state", "--log"].contains(&word.split('=').next().unwrap_or(word))
}

/// Those of the command line, else those of Debian's file.
fn options(words: &[String]) -> (Options, Vec<Diagnostic>) {
    if words.is_empty() {
        return postgreys_options(&DirectSources);
    }
    let words: Vec<(String, Place)> = words.iter().map(|word| (word.clone(), Place::nowhere())).collect();
    let mut options = Options::default();
    let found = options.apply(&words);
    (options, found)
}

fn destination(named: Option<&str>) -> Option<Destination> {
    match named {
        Some(named) => Destination::parse(named),
        None if Path::new("/dev/log").exists() => Some(Destination::Syslog),
        None => Some(Destination::Stdout),
    }
}

fn start((options, spf): (Options, bool), folder: &Path, destination: &Destination) -> Result<(), String> {
    let folder = std::path::absolute(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let bound = Bound::bind(&options)?;
    let names = bound.names.join(", ");
    server::settle(&folder, destination)?;
    let name = host().hostname;
    let log = Log::start(destination, Format::Postfix, &name)
        .map_err(|error| format!("log {destination:?}: {error}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("runtime: {error}"))?;
    let does = if spf { "checks SPF" } else { "greylists" };
    let judge = if spf {
        Judge::Spf(PolicydSpf::new(resolver()?, log.clone(), name))
    } else {
        let greylister = Greylister::new(Some(folder), log.clone(), name);
        if options.keys == Keys::Sender {
            greylister.ask_names(resolver()?);
        }
        Judge::Greylist(greylister, options)
    };
    eprintln!("komainu {} {does} on {names}", env!("CARGO_PKG_VERSION"));
    let outcome = runtime.block_on(server::serve(Arc::new(judge), (bound, log.clone())));
    log.flush();
    outcome.map_err(|error| format!("runtime: {error}"))
}

/// By /etc/hosts and /etc/resolv.conf.
fn resolver() -> Result<Arc<Resolver>, String> {
    let hosts = Some(HostsFile::new("/etc/hosts"));
    Resolver::new(&[], hosts, QUESTIONS_AT_ONCE).map(Arc::new).map_err(|error| error.to_string())
}
