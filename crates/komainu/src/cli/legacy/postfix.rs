//! `postfix start|start-fg|stop|reload|status|check|abort|flush`, as postfix(1), on a komainu server.
//!
//! `start` leaves a server in the background and comes back once it is ready; the others find it by the pid
//! file in its state folder. T0.6.

use super::super::{EX_USAGE, default_config, render, serve};
use crate::configuration::{Configuration, DirectSources, has_errors};
use crate::serve::{Options, ServeError, pid};
use config::Compat;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// How long `start` waits for the server to be ready, and `stop` for it to be gone.
const PATIENCE: Duration = Duration::from_secs(30);

const USAGE: &str = "usage: postfix [-c config_dir] [-Dv] command";

pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    let mut parser = lexopt::Parser::from_iter(arguments);
    let (mut directory, mut command) = (None, None);
    loop {
        match parser.next() {
            Ok(Some(lexopt::Arg::Short('c'))) => match parser.value() {
                Ok(value) => directory = Some(PathBuf::from(value)),
                Err(error) => return usage(&error.to_string()),
            },
            Ok(Some(lexopt::Arg::Short('v' | 'D'))) => {}
            Ok(Some(lexopt::Arg::Value(value))) => command = Some(value.to_string_lossy().into_owned()),
            Ok(Some(other)) => return usage(&other.unexpected().to_string()),
            Ok(None) => break,
            Err(error) => return usage(&error.to_string()),
        }
    }
    let Some(command) = command else { return usage("no command given") };
    let Some(directory) = directory.or_else(default_config) else {
        return fatal("open /etc/postfix/main.cf: No such file or directory");
    };
    match command.as_str() {
        "start" => start(&directory),
        "start-fg" => start_fg(directory),
        "stop" | "abort" => stop(&directory),
        "reload" => signal(&directory, Signal::HUP, "refreshing the Postfix mail system"),
        "status" => status(&directory),
        "check" => check(&directory),
        other => usage(&format!("unknown command: '{other}'. Use one of start, start-fg, stop, reload, abort, status, check")),
    }
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("postfix: fatal: {problem}\n{USAGE}");
    ExitCode::from(EX_USAGE)
}

fn fatal(problem: &str) -> ExitCode {
    eprintln!("postfix: fatal: {problem}");
    ExitCode::FAILURE
}

fn say(what: &str) {
    eprintln!("postfix/postfix-script: {what}");
}

/// The state folder of a configuration, without serving it.
fn state(directory: &Path) -> PathBuf {
    let (configuration, _) = Configuration::load(directory, Compat::default(), &DirectSources);
    let options = Options { config: Some(directory.to_owned()), ..Options::default() };
    crate::serve::state_folder(&options, &configuration.parameters)
}

fn running(directory: &Path) -> Option<Pid> {
    pid::running(&state(directory))
}

fn start(directory: &Path) -> ExitCode {
    if running(directory).is_some() {
        return fatal("the Postfix mail system is already running");
    }
    let spawned = Command::new("/proc/self/exe")
        .arg("serve")
        .arg("--config")
        .arg(directory)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return fatal(&error.to_string()),
    };
    let began = Instant::now();
    let state = state(directory);
    while began.elapsed() < PATIENCE {
        if let Ok(Some(status)) = child.try_wait() {
            return fatal(&format!("mail system startup failed ({status})"));
        }
        if pid::running(&state).is_some() {
            say("starting the Postfix mail system");
            return ExitCode::SUCCESS;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    fatal("mail system startup takes too long")
}

fn start_fg(directory: PathBuf) -> ExitCode {
    if running(&directory).is_some() {
        return fatal("the Postfix mail system is already running");
    }
    match serve::start(Options { config: Some(directory), ..Options::default() }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ServeError::Configuration(found)) => {
            eprint!("{}", render::render(&found));
            fatal(&render::summary(&found))
        }
        Err(error) => fatal(&error.to_string()),
    }
}

fn signal(directory: &Path, signal: Signal, what: &str) -> ExitCode {
    let Some(pid) = running(directory) else { return fatal("the Postfix mail system is not running") };
    match kill_process(pid, signal) {
        Ok(()) => {
            say(what);
            ExitCode::SUCCESS
        }
        Err(error) => fatal(&format!("signal the server (pid {}): {error}", pid.as_raw_nonzero())),
    }
}

fn stop(directory: &Path) -> ExitCode {
    let code = signal(directory, Signal::TERM, "stopping the Postfix mail system");
    let (began, state) = (Instant::now(), state(directory));
    while pid::running(&state).is_some() && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    code
}

fn status(directory: &Path) -> ExitCode {
    match running(directory) {
        Some(pid) => {
            say(&format!("the Postfix mail system is running: PID: {}", pid.as_raw_nonzero()));
            ExitCode::SUCCESS
        }
        None => {
            say("the Postfix mail system is not running");
            ExitCode::FAILURE
        }
    }
}

fn check(directory: &Path) -> ExitCode {
    let (_, found) = Configuration::load(directory, Compat::default(), &DirectSources);
    if !found.is_empty() {
        eprint!("{}", render::render(&found));
        eprintln!("postfix: {}", render::summary(&found));
    }
    if has_errors(&found) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
