//! `komainu ban run`.

use super::{EX_CONFIG, EX_TEMPFAIL};
use crate::bans::run::{Plan, run as run_plan};
use crate::check::text;
use crate::configuration::state_directory;
use clap::Args;
use config::Severity;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Args, Debug)]
pub(super) struct Run {
    /// The folder of what is kept [default: /var/lib/komainu/bans when started by root].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Instead of fail2ban.conf's `socket`.
    #[arg(long, short = 's', value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Instead of fail2ban.conf's `pidfile`.
    #[arg(long, short = 'p', value_name = "PATH")]
    pidfile: Option<PathBuf>,
    /// This jail reads standard input as well: `journalctl -f -n 0 -u app | komainu ban run --stdin app`; may be given again.
    ///
    /// A jail whose `logpath` is `-` does so without. When the input has ended and no jail reads anything else, it ends, with exit code 75; bans
    /// are kept for the next start.
    #[arg(long, value_name = "JAIL")]
    stdin: Vec<String>,
    /// Only look at the files, as `komainu ban check` does.
    #[arg(long, short = 't')]
    test: bool,
}

pub(super) fn run(folder: &Path, arguments: &Run) -> ExitCode {
    let state = arguments.state.clone().unwrap_or_else(|| state_directory().join("bans"));
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (mut plan, found) =
        Plan::read(&absolute(folder), absolute(&state), |text| eprintln!("komainu ban: {text}"));
    eprint!("{}", text::render(&found, text::Style::default()));
    plan.input.clone_from(&arguments.stdin);
    for (given, place) in
        [(&arguments.socket, &mut plan.daemon.socket), (&arguments.pidfile, &mut plan.daemon.pid_file)]
    {
        if let Some(path) = given {
            *place = absolute(path);
        }
    }
    if arguments.test {
        let is_wrong = found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        let judged = super::judge::run(folder);
        return if is_wrong { ExitCode::FAILURE } else { judged };
    }
    if !folder.is_dir() {
        eprintln!("komainu ban: {}: there is no such folder of fail2ban's files", folder.display());
        return ExitCode::from(EX_CONFIG);
    }
    match run_plan(&plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("komainu ban: {error}");
            ExitCode::from(EX_TEMPFAIL)
        }
    }
}
