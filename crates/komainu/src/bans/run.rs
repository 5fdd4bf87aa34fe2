//! `komainu ban run`: the engine in fail2ban's place, beside a stock Postfix, Dovecot or sshd.
//!
//! With root's rights it starts the helper for packet filters and logs, binds its socket and makes its folders; then it
//! becomes an unprivileged account, and only then reads a line that somebody else could have written. fail2ban.conf says
//! where the log, the socket and the pid file are.

use super::control::{Bound, Control};
use super::files::Disk;
use super::import;
use super::order::{Answer, Order, Orders};
use super::says::BanLog;
use super::settings::{Daemon, Target};
use super::{Engine, Setup, Waker};
use crate::clock;
use crate::firewall::Firewall;
use crate::privileged::own_log;
use crate::privileged::rights::{self, Account};
use crate::serve::make_one;
use config::Diagnostic;
use rustix::fd::AsFd as _;
use rustix::process::{Gid, Uid};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// The account that it runs as when root starts it.
const ACCOUNT: &str = "komainu";
/// Between two looks whether somebody ended the engine.
const LOOK: Duration = Duration::from_millis(200);

/// What stands in files and on the command line.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) folder: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) daemon: Daemon,
    /// Jails that read standard input, beside those whose `logpath` is `-`.
    pub(crate) input: Vec<String>,
    /// Says something to whoever started it.
    pub(crate) say: fn(std::fmt::Arguments<'_>),
}

impl Plan {
    /// Reads fail2ban.conf.
    pub(crate) fn read(
        folder: &Path,
        state: PathBuf,
        say: fn(std::fmt::Arguments<'_>),
    ) -> (Plan, Vec<Diagnostic>) {
        let (daemon, found) = super::settings::read(&Disk, folder);
        (Plan { folder: folder.to_owned(), state, daemon, input: Vec::new(), say }, found)
    }
}

fn named(path: &Path) -> impl Fn(io::Error) -> String + '_ {
    move |error| format!("{}: {error}", path.display())
}

/// Runs until it is told to end.
///
/// # Errors
/// What kept it from running, for people.
pub(crate) fn run(plan: &Plan) -> Result<(), String> {
    let Plan { folder, state, daemon, input, say } = plan;
    let taken = first_import(plan);
    let firewall =
        Firewall::spawn(folder).map_err(|error| format!("the helper for packet filters: {error}"))?;
    let firewall = Arc::new(firewall);
    let account = account()?;
    let bound = settle(plan, account.as_ref())?;
    if let Some(account) = &account {
        // Of the journal's entries an account outside of this group sees its own alone.
        let group = fs::read_to_string("/etc/group").unwrap_or_default();
        let groups: Vec<u32> = rights::find_group(&group, "systemd-journal").into_iter().collect();
        rights::drop_with(account, &groups).map_err(|error| format!("give up root's rights: {error}"))?;
    }
    let log = BanLog::start(daemon).map_err(|error| format!("the log: {error}"))?;
    let waker = Waker::new().map_err(|error| format!("no descriptor left: {error}"))?;
    let setup = Setup {
        folder: folder.clone(),
        state: Some(state.clone()),
        log,
        hands: vec![Box::new(Arc::clone(&firewall))],
        opener: Arc::new(Arc::clone(&firewall)),
        own: None,
        doors: None,
        input: io::stdin().as_fd().try_clone_to_owned().ok().map(|pipe| (pipe, input.clone())),
        waker,
    };
    let engine = Engine::start(setup)?;
    let orders = engine.orders();
    if let Some(taken) = taken {
        let bans = taken.bans;
        if let Answer::Refused(error) = orders.ask(Order::Import(taken.imported)) {
            say(format_args!("fail2ban's {bans} bans can't be taken over: {error}"));
        }
    }
    let control = bound.serve(orders.clone()).map_err(|error| format!("the socket: {error}"))?;
    say(format_args!("komainu {} bans by {}", env!("CARGO_PKG_VERSION"), folder.display()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("runtime: {error}"))?;
    let outcome = runtime.block_on(until_ended((&engine, &orders), &firewall, *say));
    let (is_whole, ended) = (firewall.is_alive(), engine.outcome().map(str::to_owned));
    end(engine, control, daemon);
    outcome.map_err(|error| format!("signals: {error}"))?;
    match (is_whole, ended) {
        (true, None) => Ok(()),
        (true, Some(why)) => Err(why),
        (false, _) => Err(
            "the helper for packet filters has ended: what it had put in force stays until the next start"
                .to_owned(),
        ),
    }
}

fn end(engine: Engine, control: Control, daemon: &Daemon) {
    drop(engine);
    drop(control);
    // Where the folder is root's, the file stays; its number is nobody's then.
    let _ = fs::remove_file(&daemon.pid_file);
}

/// Signals: SIGTERM and SIGINT end it, SIGHUP has everything read anew. Without its helper it bans nobody, so it ends, and
/// whoever looks after it starts both again.
async fn until_ended(
    (engine, orders): (&Engine, &Orders),
    firewall: &Firewall,
    say: fn(std::fmt::Arguments<'_>),
) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    while engine.is_running() && firewall.is_alive() {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hang_up.recv() => {
                let orders = orders.clone();
                // What was wrong stands in the log.
                let reload = move || {
                    let _ = orders.ask(Order::FlushLogs);
                    orders.ask(Order::Reload { jail: None, unban: false })
                };
                if let Ok(Answer::Refused(error)) = tokio::task::spawn_blocking(reload).await {
                    say(format_args!("not reloaded: {error}"));
                }
            }
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    Ok(())
}

/// What fail2ban kept, where nothing is kept here yet.
fn first_import(plan: &Plan) -> Option<import::Taken> {
    let database = plan.daemon.database.as_deref().filter(|path| path.is_file())?;
    if super::kept::is_there(&plan.state) {
        return None;
    }
    match import::read(database, clock::now().wall.seconds(), &|_| 600) {
        Ok(taken) => {
            if let Some(warning) = &taken.warning {
                (plan.say)(format_args!("{warning}"));
            }
            (plan.say)(format_args!("{} bans are taken over from {}", taken.bans, database.display()));
            Some(taken)
        }
        Err(error) => {
            (plan.say)(format_args!("{}: {error}; no bans are taken over", database.display()));
            None
        }
    }
}

/// Nobody, where root's rights aren't there to be given up.
fn account() -> Result<Option<Account>, String> {
    if !rights::is_root() {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = rights::find_account(&passwd, ACCOUNT).filter(|account| account.uid != 0);
    let missing = || {
        format!(
            "no account to run as: \"{ACCOUNT}\" is not in /etc/passwd; make it: adduser --system --group {ACCOUNT}"
        )
    };
    found.map(Some).ok_or_else(missing)
}

/// Makes the folders, the log, the pid file and the socket, and gives them away.
fn settle(plan: &Plan, account: Option<&Account>) -> Result<Bound, String> {
    let Plan { state, daemon, .. } = plan;
    make_one(state, &["bans"], account).map_err(named(state))?;
    let give = |path: &Path| match account {
        Some(account) => {
            let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
            rustix::fs::chownat(
                rustix::fs::CWD,
                path,
                Some(uid),
                Some(gid),
                rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
            )
            .map_err(|error| named(path)(error.into()))
        }
        None => Ok(()),
    };
    if let Target::File(path) = &daemon.target
        && let Some(account) = account
    {
        let uid = Uid::from_raw(account.uid);
        let given = own_log(path).and_then(|file| Ok(rustix::fs::fchown(&file, Some(uid), None)?));
        given.map_err(named(path))?;
    }
    for path in [&daemon.socket, &daemon.pid_file] {
        if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
            fs::create_dir_all(parent).map_err(named(parent))?;
            fs::set_permissions(parent, PermissionsExt::from_mode(0o755)).map_err(named(parent))?;
        }
    }
    let bound = Bound::bind(&daemon.socket).map_err(named(&daemon.socket))?;
    give(&daemon.socket)?;
    fs::write(&daemon.pid_file, format!("{}\n", std::process::id())).map_err(named(&daemon.pid_file))?;
    Ok(bound)
}
