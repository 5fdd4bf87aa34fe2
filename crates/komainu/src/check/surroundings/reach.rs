//! Whether somebody listens: connections tried all at once, for 300 ms, on this machine only.
//!
//! Nothing is sent: a server sees a client that changed its mind. A socket's owner and mode are looked at for the
//! account that the server runs as, whoever looks.

use super::Machine;
use super::endpoints::Target;
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
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

/// Tries all of `targets`; `account` is whose rights count for sockets.
pub(super) fn reach(
    machine: &Machine,
    targets: &[Target],
    account: Option<(u32, u32)>,
) -> BTreeMap<Target, Reach> {
    let mut wanted: Vec<&Target> = targets.iter().collect();
    wanted.sort();
    wanted.dedup();
    wanted.truncate(TARGETS_MAX);
    std::thread::scope(|scope| {
        let tried: Vec<_> = wanted
            .into_iter()
            .map(|target| (target, scope.spawn(move || one(machine, target, account))))
            .collect();
        let done = tried
            .into_iter()
            .map(|(target, thread)| (target.clone(), thread.join().unwrap_or(Reach::Unknown)));
        done.collect()
    })
}

fn one(machine: &Machine, target: &Target, account: Option<(u32, u32)>) -> Reach {
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
            if let Some((uid, gid)) = account {
                if let Some(folder) = machine.closed_folder(path, (uid, gid)) {
                    return Reach::KeptOut(folder);
                }
                if !stat.allows(uid, gid, 2) {
                    return Reach::KeptOut(path.clone());
                }
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
