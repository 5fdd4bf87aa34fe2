//! `postfix start|start-fg|stop|reload|status|check|abort|flush|logrotate`, as postfix(1), on a komainu server.
//!
//! `start` leaves a server in the background and comes back once it is ready; the others find it by the pid
//! file in its state folder. T0.6.

use super::super::{EX_USAGE, check, default_config, render, serve};
use crate::configuration::{Configuration, DirectSources, LookingSources, has_errors};
use crate::serve::{Options, ServeError, pid};
use config::Compat;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use tables::Vantage;

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
            // What follows is the command's.
            Ok(Some(lexopt::Arg::Value(value))) => {
                command.get_or_insert_with(|| value.to_string_lossy().into_owned());
            }
            Ok(Some(other)) => return usage(&other.unexpected().to_string()),
            Ok(None) => break,
            Err(error) => return usage(&error.to_string()),
        }
    }
    let Some(command) = command else { return usage("no command given") };
    let config = directory.clone();
    let Some(directory) =
        directory.or_else(|| std::env::var_os("MAIL_CONFIG").map(PathBuf::from)).or_else(default_config)
    else {
        return fatal("open /etc/postfix/main.cf: No such file or directory");
    };
    let file = directory.join("main.cf");
    if let Err(error) = File::open(&file) {
        return fatal(&format!("open {}: {}", file.display(), crate::strerror::strerror(&error)));
    }
    match command.as_str() {
        "flush" => flush(&directory, config),
        "start" => start(&directory),
        "start-fg" => start_fg(directory),
        "stop" | "abort" => stop(&directory),
        "reload" => reload(&directory),
        "status" => status(&directory),
        "check" => check::postfix(&directory),
        "logrotate" => super::logrotate::main(&directory),
        "set-permissions" | "upgrade-configuration" => {
            say(&format!("nothing to do: {command} is for files that Komainu hasn't"));
            ExitCode::SUCCESS
        }
        other => script_fatal(&format!(
            "unknown command: '{other}'. Usage: postfix start (or start-fg, stop, reload, abort, check, flush, status, logrotate)"
        )),
    }
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("postfix: fatal: {problem}\n{USAGE}");
    ExitCode::from(EX_USAGE)
}

pub(super) fn fatal(problem: &str) -> ExitCode {
    eprintln!("postfix: fatal: {problem}");
    ExitCode::FAILURE
}

fn script_fatal(problem: &str) -> ExitCode {
    say(&format!("fatal: {problem}"));
    ExitCode::FAILURE
}

pub(super) fn say(what: &str) {
    eprintln!("postfix/postfix-script: {what}");
}

/// The state folder of a configuration, without serving it.
fn state(directory: &Path) -> PathBuf {
    let sources = LookingSources::new(&DirectSources, Vantage::Looking);
    let (configuration, _) = Configuration::load(directory, Compat::default(), &sources);
    let options = Options { config: Some(directory.to_owned()), ..Options::default() };
    crate::serve::state_folder(&options, &configuration.parameters)
}

pub(super) fn running(directory: &Path) -> Option<Pid> {
    pid::running(&state(directory))
}

fn start(directory: &Path) -> ExitCode {
    if running(directory).is_some() {
        return script_fatal("the Postfix mail system is already running");
    }
    // It outlives this command, and whatever reads what this command says.
    let said = rustix::fs::memfd_create("stderr", rustix::fs::MemfdFlags::CLOEXEC).map(File::from);
    let (address, notices) = match notices() {
        Ok(notices) => notices,
        Err(error) => return fatal(&error.to_string()),
    };
    let (mut said, theirs) =
        match said.map_err(io::Error::from).and_then(|said| Ok((said.try_clone()?, said))) {
            Ok(files) => files,
            Err(error) => return fatal(&error.to_string()),
        };
    let spawned = Command::new("/proc/self/exe")
        .arg("serve")
        .arg("--config")
        .arg(directory)
        .current_dir("/")
        .env("NOTIFY_SOCKET", &address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(theirs)
        .process_group(0)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return fatal(&error.to_string()),
    };
    let began = Instant::now();
    let mut buffer = [0; 1024];
    let outcome = loop {
        let length = notices.recv(&mut buffer).unwrap_or(0);
        if String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).contains("READY=1") {
            break Ok(());
        }
        if matches!(child.try_wait(), Ok(Some(_))) {
            break Err("mail system startup failed");
        }
        if began.elapsed() > PATIENCE {
            break Err("mail system startup takes too long");
        }
    };
    // What can't be removed is an empty socket in /tmp.
    let _ = std::fs::remove_file(&address);
    let mut text = String::new();
    if said.rewind().and_then(|()| said.read_to_string(&mut text)).is_ok() {
        eprint!("{text}");
    }
    match outcome {
        Ok(()) => {
            say("starting the Postfix mail system");
            ExitCode::SUCCESS
        }
        Err(problem) => script_fatal(problem),
    }
}

/// A socket on which the server says that it is ready, as it would to systemd.
fn notices() -> io::Result<(PathBuf, UnixDatagram)> {
    // Whoever has a file of this name there before us only makes this fail.
    let path = std::env::temp_dir().join(format!("komainu-start-{}", std::process::id()));
    let socket = UnixDatagram::bind(&path)?;
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    // The server says it when it isn't root any more.
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777))?;
    Ok((path, socket))
}

fn start_fg(directory: PathBuf) -> ExitCode {
    if running(&directory).is_some() {
        return script_fatal("the Postfix mail system is already running");
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
    let Some(pid) = running(directory) else { return script_fatal("the Postfix mail system is not running") };
    match kill_process(pid, signal) {
        Ok(()) => {
            say(what);
            ExitCode::SUCCESS
        }
        Err(error) => fatal(&format!("signal the server (pid {}): {error}", pid.as_raw_nonzero())),
    }
}

/// Says what is wrong here and now: the server would refuse it, but in the log only.
fn reload(directory: &Path) -> ExitCode {
    let (_, found) = Configuration::load(directory, Compat::default(), &DirectSources);
    if has_errors(&found) && running(directory).is_some() {
        eprint!("{}", render::render(&found));
        return fatal(&format!("{}: the configuration before stays in force", render::summary(&found)));
    }
    signal(directory, Signal::HUP, "refreshing the Postfix mail system")
}

/// As `postqueue -f`, which says by itself what is wrong.
fn flush(directory: &Path, config: Option<PathBuf>) -> ExitCode {
    if running(directory).is_none() {
        return script_fatal("the Postfix mail system is not running");
    }
    let named = config.map(|config| [OsString::from("-c"), config.into_os_string()]);
    super::postqueue::main(named.into_iter().flatten().chain([OsString::from("-f")]).collect())
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
