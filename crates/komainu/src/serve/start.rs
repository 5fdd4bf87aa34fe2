//! From the command line to a server that may run: configuration, ports, helper, rights, log.

use super::{Ready, Sockets, bans, pid, state};
use crate::configuration::{BuiltIn, Configuration, DirectSources, has_errors, state_directory};
use crate::facts::dns::ResolverError;
use crate::log::{Destination, Format, Log};
use crate::privileged::rights::{self, Account};
use crate::privileged::{Helper, own_log};
use config::{Compat, Diagnostic, Parameters};
use rustix::fs::Mode;
use rustix::process::Uid;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What the command line said.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--config`; `None` for the built-in configuration.
    pub config: Option<PathBuf>,
    /// `--compat`.
    pub compat: Compat,
    /// `--listen`, for the built-in configuration.
    pub listen: Option<String>,
    /// `--state`.
    pub state: Option<PathBuf>,
}

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration has errors; they are in here, worst first.
    #[error("the configuration has errors, so it is not served")]
    Configuration(Vec<Diagnostic>),
    /// An address could not be listened on.
    #[error("listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The state folder is unusable.
    #[error("state folder {path}: {source}", path = path.display())]
    State {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The spool is unusable.
    #[error("spool {path}: {source}", path = path.display())]
    Spool {
        /// Which.
        path: PathBuf,
        /// Why.
        source: store::SpoolError,
    },
    /// The log can't be written.
    #[error("log {destination:?}: {source}")]
    Log {
        /// Which.
        destination: Destination,
        /// Why.
        source: io::Error,
    },
    /// Started by root, and there is no account to become.
    #[error("no account to run as: neither \"komainu\" nor \"{0}\" (mail_owner) is in /etc/passwd")]
    Account(String),
    /// Root's rights could not be given up, or the helper not be started.
    #[error("{what}: {source}")]
    Rights {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The helper is gone while the server runs.
    #[error("the privileged helper has ended")]
    HelperEnded,
    /// DNS can't be asked.
    #[error("{0}")]
    Resolver(#[source] ResolverError),
    /// Threads or signals can't be had.
    #[error("runtime: {0}")]
    Runtime(#[source] io::Error),
}

/// Everything up to the moment where clients may come. Call it while the process has one thread.
///
/// # Errors
/// [`ServeError`].
pub fn prepare(mut options: Options) -> Result<(Ready, Vec<Diagnostic>), ServeError> {
    let since = std::time::SystemTime::now();
    // The helper starts in another folder, and a reload may come when this one is gone.
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    (options.config, options.state) = (options.config.map(absolute), options.state.map(absolute));
    let (configuration, found) = load(&options, &DirectSources);
    if has_errors(&found) {
        return Err(ServeError::Configuration(found));
    }
    raise_descriptor_limit();
    let p = &configuration.parameters;
    let state = state_folder(&options, p);
    let sockets = Sockets::bind(&configuration.listen_addresses())?;
    let account = if rights::is_root() { Some(account(p)?) } else { None };
    // What others are to read or to go through is made so; all else that the server, its helper and the programs that they start
    // make is its owner's alone, as with Postfix.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    state::make(&state, account.as_ref())
        .map_err(|source| ServeError::State { path: state.clone(), source })?;
    let log = open_log(p, account.as_ref())?;
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let helper = match (&account, &configuration.directory) {
        (Some(_), Some(directory)) => {
            let compat = if options.compat == Compat::V3_7 { "3.7" } else { "3.11" };
            let absolute = std::path::absolute(&state).unwrap_or_else(|_| state.clone());
            let helper = Helper::start(directory, compat, &absolute);
            Some(
                helper
                    .map_err(|source| ServeError::Rights { what: "start the privileged helper", source })?,
            )
        }
        _ => None,
    };
    let wanted = configuration.bans.as_ref();
    let bans = wanted.map(|wanted| bans::prepare(wanted, account.as_ref(), &state));
    if let Some(account) = &account {
        rights::drop_to(account)
            .map_err(|source| ServeError::Rights { what: "give up root's rights", source })?;
    }
    // With the account's rights: the folder is the account's.
    let pid = pid::hold(&state).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => {
            ServeError::Spool { path: state.clone(), source: store::SpoolError::InUse }
        }
        _ => ServeError::State { path: state.clone(), source },
    })?;
    match &helper {
        Some(helper) => helper.listen().map_err(ServeError::Runtime)?,
        None => crate::deliver::unfinished::open(&state),
    }
    let log = log.start(&p.text("myhostname").value, helper.clone())?;
    Ok((Ready { configuration, options, sockets, helper, state, log, pid, since, bans }, found))
}

/// Loads the configuration that the options name.
pub(super) fn load(options: &Options, sources: &dyn tables::Sources) -> (Configuration, Vec<Diagnostic>) {
    match &options.config {
        Some(directory) => Configuration::load(directory, options.compat, sources),
        None => {
            let state = options.state.clone().unwrap_or_else(state_directory);
            let listen = options.listen.clone().unwrap_or_else(|| "127.0.0.1:2525".to_owned());
            let host = crate::configuration::host().hostname;
            Configuration::built_in(&BuiltIn { state, host, listen }, options.compat, sources)
        }
    }
}

/// `--state`, else `komainu_state_directory` where it is set, else root's or the user's own folder.
pub(crate) fn state_folder(options: &Options, p: &Parameters) -> PathBuf {
    let named = p.text("komainu_state_directory").value;
    match &options.state {
        Some(state) => state.clone(),
        None if !named.is_empty() => named.into(),
        None => state_directory(),
    }
}

/// `komainu` where there is such an account, else Postfix's `mail_owner`.
fn account(p: &Parameters) -> Result<Account, ServeError> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let owner = p.text("mail_owner").value;
    rights::find_account(&passwd, "komainu")
        .or_else(|| rights::find_account(&passwd, &owner))
        .filter(|account| account.uid != 0)
        .ok_or(ServeError::Account(owner))
}

/// A log that is chosen and made, but has no thread yet.
struct Chosen {
    destination: Destination,
    format: Format,
}

/// `komainu_log` where it is set, else `maillog_file`, else syslog where it runs, else standard output.
pub(crate) fn log_destination(p: &Parameters) -> Destination {
    let set = |name: &str| Some(p.text(name).value).filter(|value| p.is_set(name) && !value.is_empty());
    let chosen = set("komainu_log").or_else(|| set("maillog_file"));
    match chosen.as_deref() {
        Some("/dev/stdout") => Destination::Stdout,
        Some(text) => Destination::parse(text).unwrap_or(Destination::Stdout),
        None if Path::new("/dev/log").exists() => Destination::Syslog,
        None => Destination::Stdout,
    }
}

/// While there are rights for it: the file is made and becomes the account's.
fn open_log(p: &Parameters, account: Option<&Account>) -> Result<Chosen, ServeError> {
    let destination = log_destination(p);
    if let (Destination::File(path), Some(account)) = (&destination, account) {
        let failed = |source| ServeError::Log { destination: destination.clone(), source };
        let file = own_log(path).map_err(failed)?;
        rustix::fs::fchown(&file, Some(Uid::from_raw(account.uid)), None)
            .map_err(|error| failed(error.into()))?;
    }
    let format = Format::parse(&p.text("komainu_log_format").value).unwrap_or_default();
    Ok(Chosen { destination, format })
}

impl Chosen {
    fn start(self, host: &str, helper: Option<Helper>) -> Result<Log, ServeError> {
        Log::start_with(&self.destination, self.format, host, helper)
            .map_err(|source| ServeError::Log { destination: self.destination, source })
    }
}

/// As many descriptors as the system lets us have: each waiting client is one.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // A refusal leaves the limit as it was, and that many clients fewer can wait.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
