//! Whether somebody listens: connections tried all at once, for 300 ms, on this machine only.
//!
//! Nothing is sent: a server sees a client that changed its mind. A socket's owner and mode are looked at for the
//! account that the server runs as, whoever looks, and below `queue_directory` for `mail_owner` too: where the server
//! is kept out there, its helper connects with that account's rights (`privileged::sockets`).

use super::Machine;
use super::endpoints::Target;
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a server on the same machine may take.
const PATIENCE: Duration = Duration::from_millis(300);
/// Connections at once; more are left out.
const TARGETS_MAX: usize = 64;

/// What became of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Somebody took it.
    Taken,
    /// Nobody listens.
    Refused,
    /// There is no such socket.
    Missing,
    /// There is something else at that path.
    NoSocket,
    /// The server's account may not: the folder or socket that keeps it out.
    KeptOut(PathBuf),
    /// Nobody knows: no answer in time, or no rights to look.
    Unknown,
}

/// Whose rights count for sockets, by uid and gid.
pub(super) struct Rights {
    /// The server's.
    pub(super) server: Option<(u32, u32)>,
    /// `queue_directory`, and whose rights its helper takes on there.
    pub(super) helper: Option<(PathBuf, (u32, u32))>,
}

impl Rights {
    /// What keeps the server out of the socket at `path`, and its helper too.
    fn kept_out(&self, machine: &Machine, path: &Path, socket: &super::Stat) -> Option<PathBuf> {
        let keeps_out = |(uid, gid): (u32, u32)| {
            let folder = machine.closed_folder(path, (uid, gid));
            folder.or_else(|| (!socket.allows(uid, gid, 2)).then(|| path.to_owned()))
        };
        let by = keeps_out(self.server?)?;
        let helped = self.helper.as_ref().filter(|(below, _)| path.starts_with(below));
        match helped {
            Some((_, owner)) if keeps_out(*owner).is_none() => None,
            _ => Some(by),
        }
    }
}

/// Tries all of `targets`, with these rights.
pub(super) fn reach(machine: &Machine, targets: &[Target], rights: &Rights) -> BTreeMap<Target, Reach> {
    let mut wanted: Vec<&Target> = targets.iter().collect();
    wanted.sort();
    wanted.dedup();
    wanted.truncate(TARGETS_MAX);
    std::thread::scope(|scope| {
        let tried: Vec<_> = wanted
            .into_iter()
            .map(|target| (target, scope.spawn(move || one(machine, target, rights))))
            .collect();
        let done = tried
            .into_iter()
            .map(|(target, thread)| (target.clone(), thread.join().unwrap_or(Reach::Unknown)));
        done.collect()
    })
}

fn one(machine: &Machine, target: &Target, rights: &Rights) -> Reach {
    let path = match target {
        Target::Inet(addresses) => {
            let mut outcomes = addresses.iter().map(|address| connect(&(*address).into()));
            let first = outcomes.next().unwrap_or(Reach::Unknown);
            return outcomes.fold(first, |before, next| match (&before, &next) {
                (Reach::Taken, _) | (_, Reach::Taken) => Reach::Taken,
                (Reach::Unknown, _) => next,
                _ => before,
            });
        }
        Target::Unix(path) => path,
    };
    match machine.sight(path) {
        super::Sight::Missing => return Reach::Missing,
        super::Sight::Hidden => return Reach::Unknown,
        super::Sight::Seen(stat) if !stat.is_socket() => return Reach::NoSocket,
        super::Sight::Seen(stat) => {
            if let Some(by) = rights.kept_out(machine, path, &stat) {
                return Reach::KeptOut(by);
            }
        }
    }
    SockAddr::unix(machine.real(path)).map_or(Reach::Unknown, |address| connect(&address))
}

fn connect(address: &SockAddr) -> Reach {
    let socket = Socket::new(Domain::from(i32::from(address.family())), Type::STREAM, None);
    let outcome = socket.and_then(|socket| socket.connect_timeout(address, PATIENCE));
    match outcome {
        Ok(()) => Reach::Taken,
        Err(error) => judge(&error),
    }
}

fn judge(error: &io::Error) -> Reach {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::CONNREFUSED) => Reach::Refused,
        Some(Errno::NOENT) => Reach::Missing,
        // Its queue is full: there is somebody.
        Some(Errno::AGAIN) => Reach::Taken,
        _ => Reach::Unknown,
    }
}

/// Why there is nobody, for people; nothing where there is, or may be, somebody.
pub(super) fn trouble(reach: &Reach, target: &Target, owner: &str) -> Option<String> {
    let shown = match target {
        Target::Inet(addresses) => addresses.first().map(ToString::to_string).unwrap_or_default(),
        Target::Unix(path) => path.display().to_string(),
    };
    match reach {
        Reach::Taken | Reach::Unknown => None,
        Reach::Refused => Some(format!("nobody listens on {shown}")),
        Reach::Missing => Some(format!("there is no {shown}")),
        Reach::NoSocket => Some(format!("{shown} is no socket")),
        Reach::KeptOut(by) => Some(format!("{owner} may not use {shown}: {} keeps it out", by.display())),
    }
}
