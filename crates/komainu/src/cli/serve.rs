//! `komainu serve`.

use super::{CompatArgument, EX_CONFIG, EX_TEMPFAIL, default_config, render};
use crate::configuration::state_directory;
use crate::serve::{Options, Ready, ServeError, prepare, run as run_server};
use clap::Args;
use config::Severity;
use std::path::PathBuf;
use std::process::ExitCode;

/// Receive mail under main.cf's restriction lists, and deliver it.
///
/// Runs in the foreground until SIGTERM or Ctrl-C; SIGHUP loads the configuration anew. Without a
/// configuration it listens on 127.0.0.1:2525, takes mail for this host's name, and keeps everything below
/// one state folder. Exit code 0 stopped as asked, 64 wrong usage, 75 something of the system's failed, 78 the
/// configuration has errors.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The folder with main.cf and master.cf [default: /etc/komainu, then /etc/postfix, when started by root].
    #[arg(long, short = 'c', value_name = "DIR")]
    config: Option<PathBuf>,
    /// Serve the built-in configuration, even where there is one in /etc.
    #[arg(long, conflicts_with = "config")]
    built_in: bool,
    /// Whose defaults and behaviour are in force.
    #[arg(long, value_enum, default_value_t)]
    compat: CompatArgument,
    /// Where the built-in configuration listens [default: 127.0.0.1:2525].
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "config")]
    listen: Option<String>,
    /// The folder for spool and mailboxes [default: komainu_state_directory].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments) -> ExitCode {
    let config = match (arguments.config, arguments.built_in || arguments.listen.is_some()) {
        (Some(directory), _) => Some(directory),
        (None, true) => None,
        // An ordinary user can neither bind port 25 nor read the tables: the built-in one is what helps.
        (None, false) => default_config().filter(|_| crate::privileged::rights::is_root()),
    };
    let options =
        Options { config, compat: arguments.compat.into(), listen: arguments.listen, state: arguments.state };
    match start(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ServeError::Configuration(found)) => {
            eprint!("{}", render::render(&found));
            eprintln!("komainu: not started: {}", render::summary(&found));
            ExitCode::from(EX_CONFIG)
        }
        Err(error) => {
            eprintln!("komainu: {error}");
            if let Some(hint) = hint(&error) {
                eprintln!("  = help: {hint}");
            }
            ExitCode::from(EX_TEMPFAIL)
        }
    }
}

pub(super) fn start(options: Options) -> Result<(), ServeError> {
    let (ready, found) = prepare(options)?;
    let shown: Vec<_> =
        found.into_iter().filter(|diagnostic| diagnostic.severity >= Severity::Warning).collect();
    if !shown.is_empty() {
        eprint!("{}", render::render(&shown));
    }
    let welcome = welcome(&ready);
    run_server(ready, move || eprint!("{welcome}"))
}

/// Where things are, and what to type next.
fn welcome(ready: &Ready) -> String {
    let addresses = ready.configuration.listen_addresses();
    let listed: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let head = format!("komainu {} is listening on {}\n", env!("CARGO_PKG_VERSION"), listed.join(", "));
    let queue = ready.state.join("queue");
    let Some(directory) = &ready.configuration.directory else {
        let host = ready.configuration.parameters.text("myhostname").value;
        let port = addresses.first().map_or(2525, std::net::SocketAddr::port);
        let swaks = format!("  swaks --server 127.0.0.1:{port} --from you@example.org --to");
        return format!(
            "{head}\
             \x20 mail for       anybody@{host}, anybody@localhost\n\
             \x20 mailboxes      {}/mail/NAME/ (Maildir)\n\
             \x20 spool          {}/\n\
             Try it from another terminal (swaks is in Debian's package of that name):\n\
             {swaks} me@localhost    # accepted\n\
             {swaks} me@example.com  # refused: no relay\n\
             Ctrl-C stops it; nothing that was accepted is lost.\n",
            ready.state.display(),
            queue.display()
        );
    };
    format!("{head}  configuration  {}\n  spool          {}\n", directory.display(), queue.display())
}

fn hint(error: &ServeError) -> Option<String> {
    match error {
        ServeError::Listen { address, source } => match source.kind() {
            std::io::ErrorKind::PermissionDenied => {
                Some(format!("ports below 1024 need root; or choose another port than {}", address.port()))
            }
            std::io::ErrorKind::AddrInUse => {
                Some("another server has this port; stop it, or choose another port".to_owned())
            }
            _ => None,
        },
        ServeError::Spool { source: store::SpoolError::InUse, .. } => Some(
            "is another komainu running? give this one a state folder of its own with --state".to_owned(),
        ),
        ServeError::Account(_) => Some(
            "make one: adduser --system --group --no-create-home --home /var/lib/komainu komainu".to_owned(),
        ),
        ServeError::State { .. } => {
            Some(format!("choose a folder with --state; yours would be {}", state_directory().display()))
        }
        _ => None,
    }
}
