//! The helper's side: takes requests, checks each against the jails, does it, answers.

use super::act::Act;
use super::wire::{self, Answer, Request};
use super::{Change, Verb};
use crate::bans::files::{Disk, expand};
use crate::clock;
use crate::configuration::{open_source, own_addresses};
use crate::privileged::past_logs;
use crate::privileged::wire::{Inbox, send};
use ban::action::Action;
use ban::action::net::{Net, Prefixes, overlap};
use ban::dump::log_paths;
use ban::filter::Id;
use ban::jail::Settings;
use ban::jails::{self, is_yes};
use rustix::fd::{AsFd, OwnedFd};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;
use tokio::signal::unix::{SignalKind, signal};

/// A jail as the helper knows it.
struct Known {
    settings: Settings,
    /// `ignoreself`
    spares_own: bool,
    actions: Vec<Action>,
    prefixes: Prefixes,
}

/// A jail that was started: its actions stay what they were, whatever the files say since.
struct Running {
    known: Rc<Known>,
    acts: Vec<Act>,
}

/// The jails of the folder.
struct Jails {
    known: HashMap<String, Rc<Known>>,
    own: Vec<IpAddr>,
}

impl Known {
    /// Whether a network holds somebody who is never banned.
    fn spares(&self, net: Net, own: &[IpAddr]) -> bool {
        let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
        let of_own = own
            .iter()
            .filter(|_| self.spares_own)
            .map(|address| (*address, if address.is_ipv4() { 32 } else { 128 }));
        let mut never = self.settings.never.iter().copied().chain([(v4, 8), (v6, 128)]).chain(of_own);
        never.any(|never| overlap(never, net))
    }

    /// Why somebody may not be banned.
    fn refusal(&self, id: &Id, own: &[IpAddr]) -> Option<String> {
        if self.settings.spares(id) {
            return Some(format!("{id} is one that `ignoreip` never bans"));
        }
        let Id::Net(address, bits) = id else { return None };
        let own_too =
            format!("{id} is, or holds, an address of this machine or one that `ignoreip` never bans");
        self.spares((*address, *bits), own).then_some(own_too)
    }
}

impl Jails {
    fn read(directory: &Path) -> Jails {
        let folder = jails::read(&Disk, directory);
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let usable = folder.jails.iter().filter(|jail| jail.error.is_none());
        let known = usable.map(|jail| {
            let known = Known {
                settings: Settings::of(jail).0,
                spares_own: jail.option("ignoreself").is_none_or(is_yes),
                actions: jail
                    .actions
                    .iter()
                    .filter_map(|action| Action::new(jail, action, &host).ok())
                    .collect(),
                prefixes: Prefixes::of(jail).unwrap_or_default(),
            };
            (jail.name.clone(), Rc::new(known))
        });
        let known = known.collect();
        let own = own_addresses();
        Jails { known, own }
    }
}

/// All that runs.
struct State {
    jails: Jails,
    running: HashMap<String, Running>,
}

impl State {
    /// Puts changes in force, those of one jail in a row at once.
    fn apply(&mut self, changes: &[Change]) -> Vec<Result<(), String>> {
        let mut outcomes = vec![Ok(()); changes.len()];
        let mut start = 0;
        for batch in changes.chunk_by(|one, other| one.jail == other.jail) {
            let here = outcomes.get_mut(start..).unwrap_or_default();
            self.of_jail(batch, here);
            start += batch.len();
        }
        outcomes
    }

    fn of_jail(&mut self, batch: &[Change], outcomes: &mut [Result<(), String>]) {
        let Some(name) = batch.first().map(|change| &change.jail) else { return };
        let starts = batch.iter().any(|change| change.verb == Verb::Start);
        if (starts || !self.running.contains_key(name))
            && let Some(known) = self.jails.known.get(name)
        {
            let acts =
                known.actions.iter().map(|action| Act::new(action.clone(), known.prefixes.clone())).collect();
            self.running.insert(name.clone(), Running { known: Rc::clone(known), acts });
        }
        let Some(running) = self.running.get_mut(name) else {
            outcomes
                .iter_mut()
                .take(batch.len())
                .for_each(|one| *one = Err(format!("no jail `{name}` is switched on")));
            return;
        };
        let (known, own) = (&running.known, &self.jails.own);
        let mut allowed = Vec::new();
        for (at, (change, outcome)) in batch.iter().zip(outcomes.iter_mut()).enumerate() {
            match known.refusal(&change.id, own).filter(|_| matches!(change.verb, Verb::Ban | Verb::Prolong))
            {
                Some(refusal) => *outcome = Err(refusal),
                None => allowed.push((at, change)),
            }
        }
        let now_s = clock::now().wall.seconds();
        let spares = |net: Net| known.spares(net, own);
        for act in &mut running.acts {
            for (at, text) in act.apply(&allowed, &spares, now_s) {
                if let Some(outcome) = outcomes.get_mut(at) {
                    *outcome = match std::mem::replace(outcome, Ok(())) {
                        Err(before) => Err(format!("{before}; {text}")),
                        Ok(()) => Err(text),
                    };
                }
            }
        }
        if batch.last().is_some_and(|change| change.verb == Verb::Stop) {
            self.running.remove(name);
        }
    }
}

/// Serves requests on standard input (changes) and standard output (logs) until whoever bans has gone.
///
/// # Errors
/// When the sockets are unusable, or a thread can't be made.
pub fn run(directory: &Path) -> io::Result<()> {
    let _ = rustix::thread::set_name(c"komainu-bans");
    let changes = io::stdin().as_fd().try_clone_to_owned()?;
    let logs = io::stdout().as_fd().try_clone_to_owned()?;
    // A service manager that stops all processes at once must not end this one before the jails are stopped. Programs that
    // are started from here get the signals as ever.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let _deaf = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    drop(entered);
    let of_logs = directory.to_owned();
    std::thread::Builder::new().name("logs".into()).spawn(move || serve_logs(&of_logs, &logs))?;
    serve_changes(directory, &changes)
}

fn serve_changes(directory: &Path, socket: &OwnedFd) -> io::Result<()> {
    let mut state = State { jails: Jails::read(directory), running: HashMap::new() };
    let mut inbox = Inbox::new();
    let mut waiting = Vec::new();
    while let Some((packet, _)) = inbox.receive(socket.as_fd())? {
        match Request::decode(packet) {
            Ok(Request::Changes { has_more, count, changes }) => {
                waiting.extend(wire::unpacked(count, &changes).map_err(io::Error::other)?);
                if has_more && waiting.len() <= wire::AT_ONCE_MAX {
                    continue;
                }
                let outcomes = state.apply(&std::mem::take(&mut waiting));
                for answer in failures(outcomes) {
                    send(socket.as_fd(), &answer.encode(), None)?;
                }
            }
            Ok(Request::Reload) => state.jails = Jails::read(directory),
            Ok(Request::Open(_)) | Err(_) => return Err(io::Error::other("a packet that isn't ours")),
        }
        send(socket.as_fd(), &Answer::Done.encode(), None)?;
    }
    Ok(())
}

/// One answer for as many changes in a row as failed for one reason.
fn failures(outcomes: Vec<Result<(), String>>) -> Vec<Answer> {
    let mut answers: Vec<Answer> = Vec::new();
    for (at, outcome) in outcomes.into_iter().enumerate() {
        let Err(text) = outcome else { continue };
        match answers.last_mut() {
            Some(Answer::Failed { first, count, text: before })
                if *first + *count == at && *before == text =>
            {
                *count += 1
            }
            _ => answers.push(Answer::Failed { first: at, count: 1, text }),
        }
    }
    answers
}

/// The patterns of all jails' `logpath`.
fn patterns(directory: &Path) -> Vec<String> {
    let folder = jails::read(&Disk, directory);
    folder
        .jails
        .iter()
        .flat_map(|jail| log_paths(jail).map(|(path, _)| path.to_owned()).collect::<Vec<_>>())
        .collect()
}

/// Opens logs until nobody asks any more.
fn serve_logs(directory: &Path, socket: &OwnedFd) {
    let mut named = patterns(directory);
    let mut inbox = Inbox::new();
    while let Ok(Some((packet, _))) = inbox.receive(socket.as_fd()) {
        let (answer, opened) = match Request::decode(packet) {
            Ok(Request::Open(path)) => match open(Path::new(&path), &named, directory) {
                Ok(file) => (Answer::Done, Some(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => (Answer::Missing, None),
                Err(error) => (Answer::Failed { first: 0, count: 1, text: error.to_string() }, None),
            },
            Ok(Request::Reload) => {
                named = patterns(directory);
                (Answer::Done, None)
            }
            Ok(Request::Changes { .. }) | Err(_) => return,
        };
        if send(socket.as_fd(), &answer.encode(), opened.as_ref().map(AsFd::as_fd)).is_err() {
            return;
        }
    }
}

/// Whether a file is fail2ban's: in its folder, or in one of the folders there.
fn is_of(path: &Path, folder: &Path) -> bool {
    let parent = path.parent();
    let is_near = parent == Some(folder) || parent.and_then(Path::parent) == Some(folder);
    is_near
        && path.extension().is_some_and(|ending| ending == "conf" || ending == "local")
        && path.components().all(|part| !matches!(part, std::path::Component::ParentDir))
}

/// Whether a file is what became of a log: in the same folder, by a name of rotation.
fn is_rotated(path: &Path, log: &Path) -> bool {
    let names = path.file_name().and_then(OsStr::to_str).zip(log.file_name().and_then(OsStr::to_str));
    path.parent() == log.parent() && names.is_some_and(|(name, base)| past_logs::is_rotated(name, base))
}

/// Opens a log where a jail names it. Whoever may write the log's folder may not lead us elsewhere: links are root's.
/// A log's rotated files are its own (`mail.log.1`, `mail.log-20261123.gz`), and so are the files of `folder`, which the
/// helper goes by itself.
fn open(path: &Path, named: &[String], folder: &Path) -> io::Result<OwnedFd> {
    let is_named = |pattern: &String| {
        Path::new(pattern) == path
            || is_rotated(path, Path::new(pattern))
            || (pattern.contains(['*', '?', '['])
                && expand(pattern).iter().any(|log| log == path || is_rotated(path, log)))
    };
    if !is_of(path, folder) && !named.iter().any(is_named) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "no jail's `logpath` names this file"));
    }
    let metadata = std::fs::symlink_metadata(path)?;
    let is_foreign =
        metadata.is_symlink() && metadata.uid() != 0 && metadata.uid() != rustix::process::geteuid().as_raw();
    if is_foreign {
        return Err(io::Error::other("it is a link that isn't root's"));
    }
    Ok(open_source(path)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn files(jail: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("filter.d")).unwrap();
        fs::write(folder.path().join("filter.d/f.conf"), "[Definition]\nfailregex = ^from <HOST>$\n")
            .unwrap();
        let logs = folder.path().join("logs");
        fs::create_dir(&logs).unwrap();
        let text = format!("[j]\nenabled = true\nfilter = f\nlogpath = {}/*.log\n{jail}", logs.display());
        fs::write(folder.path().join("jail.conf"), text).unwrap();
        folder
    }

    #[test]
    fn only_logs_of_jails_are_opened() {
        let folder = files("");
        let named = patterns(folder.path());
        let at = |name: &str| folder.path().join(name);
        fs::write(at("logs/a.log"), "x").unwrap();
        for name in ["a.log.1", "a.log.2.gz", "a.log-20261123", "a.log.key", "a.logs", "a.log.d"] {
            fs::write(at("logs").join(name), "x").unwrap();
        }
        for name in [
            "logs/a.log",
            "logs/a.log.1",
            "logs/a.log.2.gz",
            "logs/a.log-20261123",
            "jail.conf",
            "filter.d/f.conf",
        ] {
            assert!(open(&at(name), &named, folder.path()).is_ok(), "{name}");
        }
        let others = [
            "logs/../logs/a.log",
            "logs/../jail.conf",
            "logs/a.txt",
            "logs/a.log.key",
            "logs/a.logs",
            "logs/a.log.d",
        ];
        for name in others {
            assert!(open(&at(name), &named, folder.path()).is_err(), "{name}");
        }
        let named = [at("logs/b.log").display().to_string()];
        let missing = open(&at("logs/b.log"), &named, folder.path()).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn who_is_never_banned() {
        let folder = files("ignoreip = 192.0.2.0/24 2001:db8:1::/48\n");
        let jails = Jails::read(folder.path());
        let check = |id: &str, length: u8, expect: &str| {
            let id = Id::Net(id.parse().unwrap(), length);
            let said = jails.known["j"].refusal(&id, &jails.own).unwrap_or_default();
            assert!(said.contains(expect) && said.is_empty() == expect.is_empty(), "{id}: {said}");
        };
        check("192.0.2.7", 32, "ignoreip");
        check("192.0.3.7", 32, "");
        check("2001:db8:1:2::", 64, "ignoreip");
        check("127.0.0.9", 32, "this machine");
        check("::1", 128, "this machine");
        check("0.0.0.0", 0, "this machine");
        check("192.0.0.0", 8, "ignoreip");
        check("2001:db8::", 32, "ignoreip");
    }

    #[test]
    fn failures_in_a_row_are_told_together() {
        let no = |text: &str| Err(text.to_owned());
        let outcomes = vec![no("a"), no("a"), Ok(()), no("a"), no("b")];
        let failed = |first, count, text: &str| Answer::Failed { first, count, text: text.to_owned() };
        assert_eq!(failures(outcomes), [failed(0, 2, "a"), failed(3, 1, "a"), failed(4, 1, "b")]);
    }
}
