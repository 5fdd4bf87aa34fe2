//! Bans put in force: a second process that keeps root's rights runs the jails' actions and opens their logs.
//!
//! Whoever reads logs and decides on bans gives up root. What still needs it is asked for over two socket pairs, one for
//! changes and one for logs, so that an action that takes long keeps no log waiting. The helper reads fail2ban's files by
//! itself: it runs only the actions of the jails there, opens only what their `logpath` names, and refuses to ban whom
//! they never ban. T0.1, T2.18.

mod act;
mod helper;
mod left;
mod run;
mod wire;

pub use helper::run;
pub(crate) use run::verdict;

use crate::privileged::wire::{Inbox, send};
use ban::filter::Id;
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use wire::{Answer, Request};

/// The subcommand under which the helper is started; not for people.
pub const SUBCOMMAND: &str = "__firewall-helper";
/// Where programs are looked for.
const PROGRAMS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long the helper has to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// What is to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// The jail begins: what was left of an earlier run goes.
    Start,
    /// Somebody is shut out.
    Ban,
    /// Somebody who is shut out is so for longer.
    Prolong,
    /// Somebody is let in again.
    Unban,
    /// The jail ends, and all its bans.
    Stop,
}

/// A change of what a jail has in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The jail's name.
    pub jail: String,
    /// What is to be done.
    pub verb: Verb,
    /// Who; nobody for a start or a stop.
    pub id: Id,
    /// For how many seconds from `time_s` on; negative for ever.
    pub ban_s: i64,
    /// How many failures led to it.
    pub failures: u32,
    /// How often the same was banned before.
    pub before: u32,
    /// Since when, in seconds since 1970.
    pub time_s: i64,
    /// Whether it was in force before a restart: actions with `norestored` pass over it.
    pub is_restored: bool,
    /// The lines that led to it; what is too long is cut.
    pub matches: String,
    /// What else the filter captured, by name: `user` …
    pub fields: Vec<(String, String)>,
}

impl Change {
    /// A change with nothing known but what to do with whom.
    #[must_use]
    pub fn new(jail: &str, verb: Verb, id: Id) -> Change {
        Change {
            jail: jail.to_owned(),
            verb,
            id,
            ban_s: -1,
            failures: 0,
            before: 0,
            time_s: 0,
            is_restored: false,
            matches: String::new(),
            fields: Vec::new(),
        }
    }

    /// A jail begins.
    #[must_use]
    pub fn start(jail: &str) -> Change {
        Change::new(jail, Verb::Start, Id::Other(String::new()))
    }

    /// A jail ends.
    #[must_use]
    pub fn stop(jail: &str) -> Change {
        Change::new(jail, Verb::Stop, Id::Other(String::new()))
    }
}

/// The helper, as whoever bans sees it. What is asked for comes one after another, changes and logs apart.
#[derive(Debug)]
pub struct Firewall {
    changes: Mutex<OwnedFd>,
    logs: Mutex<OwnedFd>,
    child: Mutex<Child>,
}

fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

fn locked(socket: &Mutex<OwnedFd>) -> MutexGuard<'_, OwnedFd> {
    socket.lock().unwrap_or_else(PoisonError::into_inner)
}

fn has_ended() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the helper for packet filters has ended")
}

impl Firewall {
    /// Starts the helper for fail2ban's files in `directory`; called while the process still has the rights that actions need.
    ///
    /// # Errors
    /// When the socket pairs or the process can't be made.
    pub fn spawn(directory: &Path) -> io::Result<Firewall> {
        Firewall::spawn_as(Path::new("/proc/self/exe"), directory)
    }

    /// As [`Firewall::spawn`], where this process is another program.
    ///
    /// # Errors
    /// As there.
    pub fn spawn_as(program: &Path, directory: &Path) -> io::Result<Firewall> {
        let (changes, for_changes) = pair()?;
        let (logs, for_logs) = pair()?;
        let child = Command::new(program)
            .arg(SUBCOMMAND)
            .arg(std::path::absolute(directory)?)
            .env_clear()
            .env("PATH", PROGRAMS)
            .envs(std::env::var_os("TZ").map(|zone| ("TZ", zone)))
            .current_dir("/")
            .stdin(Stdio::from(for_changes))
            .stdout(Stdio::from(for_logs))
            // Ctrl-C is for whoever bans; the helper ends with him.
            .process_group(0)
            .spawn()?;
        Ok(Firewall { changes: Mutex::new(changes), logs: Mutex::new(logs), child: Mutex::new(child) })
    }

    /// Puts changes in force, in their order, many at once where a packet filter can; tells for each whether it is.
    /// Waits for the programs that do it.
    pub fn apply(&self, changes: Vec<Change>) -> Vec<Result<(), String>> {
        let mut outcomes: Vec<Result<(), String>> = vec![Ok(()); changes.len()];
        let mut start = 0;
        let requests = wire::packed(changes);
        let socket = locked(&self.changes);
        for (requests, count) in requests {
            let mut each = requests.iter().map(Request::encode);
            let asked = each.try_for_each(|packet| send(socket.as_fd(), &packet, None));
            let failed = asked.and_then(|()| answers(&socket));
            let here = outcomes.get_mut(start..).unwrap_or_default();
            match failed {
                Ok(failed) => {
                    for (first, count, text) in failed {
                        here.iter_mut().skip(first).take(count).for_each(|one| *one = Err(text.clone()));
                    }
                }
                Err(error) => here.iter_mut().take(count).for_each(|one| *one = Err(error.to_string())),
            }
            start += count;
        }
        outcomes
    }

    /// Has it read fail2ban's files anew. Jails that run keep their actions until they are stopped.
    ///
    /// # Errors
    /// When the helper has ended.
    pub fn reload(&self) -> io::Result<()> {
        let socket = locked(&self.changes);
        send(socket.as_fd(), &Request::Reload.encode(), None)?;
        let on_changes = answers(&socket).map(drop);
        drop(socket);
        let socket = locked(&self.logs);
        send(socket.as_fd(), &Request::Reload.encode(), None)?;
        on_changes.and(answers(&socket).map(drop))
    }

    /// Opens a log that a jail's `logpath` names, for reading.
    ///
    /// # Errors
    /// When no jail names it, or it can't be opened.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        let text = path.to_str().ok_or_else(|| io::Error::other("the path is no UTF-8"))?;
        let socket = locked(&self.logs);
        send(socket.as_fd(), &Request::Open(text.to_owned()).encode(), None)?;
        let mut inbox = Inbox::new();
        let (packet, descriptor) = inbox.receive(socket.as_fd())?.ok_or_else(has_ended)?;
        match (Answer::decode(packet).map_err(io::Error::other)?, descriptor) {
            (Answer::Done, Some(descriptor)) => Ok(File::from(descriptor)),
            (Answer::Missing, _) => Err(io::ErrorKind::NotFound.into()),
            (Answer::Failed { text, .. }, _) => Err(io::Error::other(text)),
            (Answer::Done, None) => Err(io::Error::other("the helper sent no file")),
        }
    }

    /// The helper's process, for those who measure.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// Whether the helper still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(child.try_wait(), Ok(None))
    }
}

/// What failed: from the how manieth on, how many, why.
fn answers(socket: &OwnedFd) -> io::Result<Vec<(usize, usize, String)>> {
    let mut failed = Vec::new();
    let mut inbox = Inbox::new();
    loop {
        let (packet, _) = inbox.receive(socket.as_fd())?.ok_or_else(has_ended)?;
        match Answer::decode(packet).map_err(io::Error::other)? {
            Answer::Done | Answer::Missing => return Ok(failed),
            Answer::Failed { first, count, text } => failed.push((first, count, text)),
        }
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        let bye = |socket: &Mutex<OwnedFd>| {
            // It is gone already, or hears it.
            let _ = rustix::net::shutdown(locked(socket).as_fd(), rustix::net::Shutdown::Both);
        };
        bye(&self.changes);
        bye(&self.logs);
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let patience = Instant::now() + FAREWELL;
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
