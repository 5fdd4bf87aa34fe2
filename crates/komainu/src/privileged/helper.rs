//! The helper's side: takes requests, checks each against the configuration, does it, answers.
//!
//! Deliveries run on [`Crew`]'s threads. Each takes on the owner's rights for one delivery (effective ids and no
//! supplementary groups, on Linux a property of the thread) and takes root's back afterwards; the mail itself is copied,
//! never looked at.

use super::crew::{Crew, Programs};
use super::pipe_service::PipeService;
use super::wire::{self, Answer, LocalAct, LocalRequest, MaildirRequest, PipeRequest, Request};
use super::{Agency, Identity, agency, shadow, spawn};
use crate::clock;
use crate::configuration::{self, Configuration};
use crate::deliver::maildir;
use crate::log::Destination;
use crate::pickup::maildrop;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Why the helper ended.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// The socket from the server is unusable.
    #[error("privileged helper: socket: {0}")]
    Socket(#[source] io::Error),
    /// A thread couldn't be made.
    #[error("privileged helper: thread: {0}")]
    Thread(#[source] io::Error),
}

/// What the configuration lets the server ask for.
#[derive(Default)]
struct Grants {
    paths: BTreeSet<PathBuf>,
    listeners: BTreeSet<SocketAddr>,
    spawned: Vec<config::Service>,
    log: Option<PathBuf>,
    uid_min: u32,
    /// Folders below which mailboxes may be: `virtual_mailbox_base`, `mail_spool_directory`.
    mailbox_roots: Vec<PathBuf>,
    host: String,
    agency: Option<Agency>,
    pipes: Vec<PipeService>,
    /// Passwords of the system's accounts are judged: `smtpd_sasl_path` names `shadow`.
    shadow: bool,
}

impl Grants {
    /// What the configuration allows; `None` where it has errors.
    fn read(config: &Path, compat: config::Compat) -> Option<Grants> {
        let (configuration, found) = Configuration::load(config, compat, &configuration::DirectSources);
        if configuration::has_errors(&found) {
            return None;
        }
        Some(Grants {
            paths: configuration.files().into_iter().collect(),
            listeners: configuration.listen_addresses().into_iter().collect(),
            spawned: configuration.spawn_services().cloned().collect(),
            log: match crate::serve::log_destination(&configuration.parameters) {
                Destination::File(path) => Some(path),
                _ => None,
            },
            uid_min: u32::try_from(configuration.parameters.number("virtual_minimum_uid"))
                .unwrap_or(100)
                .max(1),
            mailbox_roots: ["virtual_mailbox_base", "mail_spool_directory"]
                .map(|name| PathBuf::from(configuration.parameters.text(name).value))
                .into_iter()
                .filter(|root| root.is_absolute() && root.parent().is_some())
                .collect(),
            host: configuration.parameters.text("myhostname").value,
            agency: Some(Agency::compile(&configuration.parameters, &configuration.classes, true)),
            pipes: configuration.pipe_services(),
            shadow: configuration
                .listeners
                .iter()
                .any(|one| one.logins.as_ref().is_some_and(|l| l.asks_shadow())),
        })
    }

    /// Whether mail may be put there: below a mailbox root, or as its owner below the owner's own home.
    /// Reads `passwd` only where that matters.
    fn allows_mailbox(&self, path: &Path, (uid, gid): (u32, u32), passwd: impl FnOnce() -> String) -> bool {
        let tame = path.is_absolute()
            && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        let below = |root: &Path| path.starts_with(root) && path != root;
        let at_home = || {
            passwd().lines().any(|line| {
                let fields: Vec<&str> = line.split(':').collect();
                let &[_, _, user, group, _, home, ..] = fields.as_slice() else { return false };
                user.parse() == Ok(uid) && group.parse() == Ok(gid) && home != "/" && below(Path::new(home))
            })
        };
        tame && (self.mailbox_roots.iter().any(|root| below(root)) || at_home())
    }
}

struct Job {
    id: u64,
    work: Work,
}

enum Work {
    Maildir(MaildirRequest, Option<OwnedFd>),
    Local(LocalRequest, Option<OwnedFd>),
    Pipe(PipeRequest, OwnedFd),
    Password(String, Vec<u8>),
}

impl Work {
    /// For whom it is: who may occupy a share of the threads with it. Virtual mailboxes are nobody's to hold up.
    fn account(&self, grants: &Grants) -> Option<String> {
        match self {
            Work::Maildir(..) => None,
            // No account of the system's can have this name.
            Work::Password(..) => Some("(passwords)".to_owned()),
            Work::Pipe(request, _) => Some(request.service.clone()),
            Work::Local(request, _) => grants.agency.as_ref().map(|agency| agency.account_name(request)),
        }
    }

    /// A program runs for as long as it likes, within its limit.
    fn is_program(&self) -> bool {
        match self {
            Work::Maildir(..) => false,
            Work::Local(request, _) => {
                matches!(request.act, LocalAct::Command(_) | LocalAct::MailboxCommand(_))
            }
            // The server asks for as many at once as there are cores.
            Work::Pipe(..) | Work::Password(..) => true,
        }
    }
}

impl Job {
    /// Whether there was room for it.
    fn start(
        self,
        (grants, socket): (&Arc<Grants>, &Arc<OwnedFd>),
        (crew, programs): (&Crew, &Programs),
    ) -> bool {
        let (is_program, account) = (self.work.is_program(), self.work.account(grants));
        let (grants, socket) = (Arc::clone(grants), Arc::clone(socket));
        let task = Box::new(move || self.done(&grants, &socket));
        if is_program { programs.start(&account.unwrap_or_default(), task) } else { crew.add(account, task) }
    }

    /// Does it, and answers.
    fn done(self, grants: &Grants, socket: &OwnedFd) {
        let (answer, opened) = match self.work {
            Work::Pipe(request, content) => {
                (agency::pipe(&grants.pipes, grants.agency.as_ref(), &request, content.into()), None)
            }
            Work::Password(name, password) if grants.shadow => {
                let today = clock::now().wall.seconds().div_euclid(86_400);
                (shadow::judge(&name, &password, today), None)
            }
            Work::Password(..) => {
                (Answer::Temporary("the configuration doesn't name the system's accounts".into()), None)
            }
            Work::Maildir(request, content) => (deliver(&request, content, grants), None),
            Work::Local(request, content) => match &grants.agency {
                Some(agency) => agency.perform(&request, content.map(File::from)),
                None => (Answer::Temporary("4.3.5 mail system configuration error".into()), None),
            },
        };
        // When the server has gone there is nobody to tell; the main loop ends by itself.
        let _ = wire::send(socket.as_fd(), &answer.encode(self.id), opened.as_ref().map(AsFd::as_fd));
    }
}

/// Serves requests on standard input until the server has gone.
///
/// # Errors
/// [`HelperError`].
pub fn run(config: &Path, compat: config::Compat, state: &Path) -> Result<(), HelperError> {
    let _ = rustix::thread::set_name(c"komainu");
    let dropped = state.join(maildrop::NAME);
    let socket = Arc::new(io::stdin().as_fd().try_clone_to_owned().map_err(HelperError::Socket)?);
    let mut grants = Arc::new(Grants::read(config, compat).unwrap_or_default());
    let (crew, programs) = (Crew::start().map_err(HelperError::Thread)?, Programs::default());
    let mut inbox = wire::Inbox::new();
    while let Some((packet, descriptor)) = inbox.receive(socket.as_fd()).map_err(HelperError::Socket)? {
        let Ok((id, request)) = Request::decode(packet) else { continue };
        let (answer, opened) = match (request, descriptor) {
            (Request::Open(path), _) => answer_with(open(Path::new(&path), &grants)),
            (Request::Listen(address), _) => answer_with(listen(&address, &grants)),
            (Request::Log, _) => answer_with(open_log(&grants)),
            (Request::Spawn(path), _) => answer_with(spawn(&path, &grants)),
            (Request::Dropped(name), _) => answer_with(maildrop::open(&dropped, &name).map(Into::into)),
            (Request::Reload, _) => {
                // The server refuses a configuration with errors and goes on with the one before: so do we.
                if let Some(read) = Grants::read(config, compat) {
                    grants = Arc::new(read);
                }
                (Answer::Done, None)
            }
            (Request::Pipe(_), None) => (Answer::Temporary("4.3.0 no content came along".into()), None),
            (
                request
                @ (Request::Maildir(_) | Request::Local(_) | Request::Pipe(_) | Request::Password(..)),
                content,
            ) => {
                let work = match (request, content) {
                    (Request::Maildir(request), content) => Work::Maildir(request, content),
                    (Request::Pipe(request), Some(content)) => Work::Pipe(request, content),
                    (Request::Local(request), content) => Work::Local(request, content),
                    (Request::Password(name, password), _) => Work::Password(name, password),
                    _ => continue,
                };
                if (Job { id, work }).start((&grants, &socket), (&crew, &programs)) {
                    continue;
                }
                (Answer::Temporary("4.3.0 too many requests under way".into()), None)
            }
        };
        let sent = wire::send(socket.as_fd(), &answer.encode(id), opened.as_ref().map(AsFd::as_fd));
        sent.map_err(HelperError::Socket)?;
    }
    Ok(())
}

fn answer_with(outcome: io::Result<OwnedFd>) -> (Answer, Option<OwnedFd>) {
    match outcome {
        Ok(descriptor) => (Answer::Done, Some(descriptor)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (Answer::Permanent("missing".into()), None),
        Err(error) => (Answer::Temporary(error.to_string()), None),
    }
}

/// Opens `path` for reading where the configuration names it.
fn open(path: &Path, grants: &Grants) -> io::Result<OwnedFd> {
    if !grants.paths.contains(path) {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the configuration doesn't name this file",
        ));
    }
    Ok(configuration::open_source(path)?.into())
}

/// Opens the log file anew, where logrotate has left none or one that isn't the server's.
fn open_log(grants: &Grants) -> io::Result<OwnedFd> {
    let path = grants.log.as_ref().ok_or(io::ErrorKind::NotFound)?;
    own_log(path)
}

/// Opens a log file for appending with root's rights, which may be in a folder that isn't root's alone: nothing is followed,
/// nor waited for, and what has another name is somebody's else.
pub(crate) fn own_log(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::APPEND
        | OFlags::WRONLY
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
    let made = rustix::fs::open(path, flags | OFlags::EXCL, mode);
    let file = File::from(match made {
        // Whatever the umask is.
        Ok(file) => {
            rustix::fs::fchmod(&file, mode)?;
            file
        }
        Err(Errno::EXIST) => rustix::fs::open(path, flags, mode)?,
        Err(error) => return Err(error.into()),
    });
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.nlink() != 1 {
        return Err(io::Error::other("the file has more than one name"));
    }
    if !metadata.is_file() && !metadata.file_type().is_char_device() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok(file.into())
}

fn listen(address: &str, grants: &Grants) -> io::Result<OwnedFd> {
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    if !grants.listeners.contains(&address) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "master.cf doesn't name this address"));
    }
    Ok(crate::serve::bind(address)?.into())
}

fn spawn(path: &str, grants: &Grants) -> io::Result<OwnedFd> {
    let service = grants.spawned.iter().find(|service| spawn::socket_path(service) == path);
    let service = service
        .ok_or_else(|| io::Error::new(io::ErrorKind::PermissionDenied, "no spawn service of this name"))?;
    spawn::start(service, &std::fs::read_to_string("/etc/passwd")?)
}

fn deliver(request: &MaildirRequest, content: Option<OwnedFd>, grants: &Grants) -> Answer {
    if request.uid < grants.uid_min || request.gid == 0 {
        return Answer::Temporary(format!("4.3.5 no delivery as uid {} gid {}", request.uid, request.gid));
    }
    let passwd = || std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    if !grants.allows_mailbox(Path::new(&request.path), (request.uid, request.gid), passwd) {
        return Answer::Temporary(format!("4.3.5 no mailbox may be at {}", request.path));
    }
    let identity = Identity::of(request.uid, request.gid, true);
    // A thread that can't take its rights back serves the next owner with root's, or not at all: `act` begins there.
    let put = |content: &mut dyn Read| identity.act(|| copy(request, content, &grants.host));
    let put = match (&request.content, content) {
        (Some(content), _) => put(&mut content.as_slice()),
        (None, Some(content)) => put(&mut File::from(content).take(request.length)),
        (None, None) => return Answer::Temporary("4.3.0 no content came along".into()),
    };
    match put {
        Ok(Ok(_)) => Answer::Done,
        Ok(Err(error)) if error.is_temporary() => Answer::Temporary(format!("{} {error}", error.dsn())),
        Ok(Err(error)) => Answer::Permanent(format!("{} {error}", error.dsn())),
        Err(error) => Answer::Temporary(format!("4.3.0 become uid {}: {error}", request.uid)),
    }
}

fn copy(
    request: &MaildirRequest,
    content: &mut dyn Read,
    host: &str,
) -> Result<PathBuf, maildir::MaildirError> {
    let path = Path::new(&request.path);
    if request.limit > 0 && request.length > request.limit {
        return Err(maildir::MaildirError::TooLarge { limit: request.limit });
    }
    maildir::deliver(path, &request.head, content, host, clock::now().wall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_goes_below_mailbox_roots_and_homes_only() {
        let grants = Grants {
            paths: BTreeSet::new(),
            listeners: BTreeSet::new(),
            spawned: Vec::new(),
            log: None,
            uid_min: 100,
            mailbox_roots: vec![PathBuf::from("/var/mail/vhosts")],
            host: String::new(),
            agency: None,
            pipes: Vec::new(),
            shadow: false,
        };
        let passwd = "a:x:1000:1000::/home/a:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";
        let check = |path: &str, owner, expect| {
            assert_eq!(
                grants.allows_mailbox(Path::new(path), owner, || passwd.to_owned()),
                expect,
                "{path} {owner:?}"
            );
        };
        check("/var/mail/vhosts/example.org/a/", (5000, 5000), true);
        check("/var/mail/vhosts", (5000, 5000), false);
        check("/var/mail/vhosts/../../../etc/cron.d", (5000, 5000), false);
        check("/home/a/Maildir", (1000, 1000), true);
        check("/home/a/Maildir", (1000, 42), false);
        check("/home/a/Maildir", (1001, 1001), false);
        check("/tmp/x", (65534, 65534), false);
    }

    #[test]
    fn what_the_configuration_does_not_name_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("table"), "x").unwrap();
        let grants = Grants { paths: [at("table")].into(), log: Some(at("log")), ..Grants::default() };
        assert!(open(&at("table"), &grants).is_ok());
        for path in [Path::new("/etc/passwd"), &at("./table/../table2"), &at("log")] {
            assert!(open(path, &grants).is_err(), "{}", path.display());
        }
        assert!(listen("127.0.0.1:0", &grants).is_err());
        assert!(listen("nonsense", &grants).is_err());
        assert!(spawn("private/none", &grants).is_err());
        let pipe = PipeRequest {
            service: "none".into(),
            values: super::super::pipe_service::PipeValues::default(),
            length: 0,
        };
        let answer = agency::pipe(&grants.pipes, None, &pipe, File::open(at("table")).unwrap());
        assert!(matches!(answer, Answer::Temporary(_)));
    }

    #[test]
    fn a_log_is_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let grants = Grants { log: Some(at("log")), ..Grants::default() };
        assert!(open_log(&grants).is_ok() && open_log(&grants).is_ok(), "made, and there");
        assert_eq!(std::fs::metadata(at("log")).unwrap().mode() & 0o777, 0o640);
        std::fs::hard_link(at("log"), at("other")).unwrap();
        assert!(open_log(&grants).is_err());
        std::fs::remove_file(at("log")).unwrap();
        std::os::unix::fs::symlink(at("other"), at("log")).unwrap();
        assert!(open_log(&grants).is_err());
        std::fs::remove_file(at("log")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("log"), Mode::RWXU).unwrap();
        assert!(open_log(&grants).is_err());
    }
}
