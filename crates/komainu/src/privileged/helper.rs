//! The helper's side: takes requests, checks each against the configuration, does it, answers.
//!
//! Deliveries run on [`Crew`]'s threads. Each takes on the owner's rights for one delivery (effective ids and no
//! supplementary groups, on Linux a property of the thread) and takes root's back afterwards; the mail itself is copied,
//! never looked at.

use super::crew::{Crew, Programs};
use super::pipe_service::PipeService;
use super::rights;
use super::wire::{
    self, Answer, Keeper, LocalAct, LocalRequest, PasswordRequest, PipeRequest, Request, RoomRequest,
    VirtualRequest,
};
use super::{Agency, Identity, agency, pam, past_logs, shadow, spawn};
use crate::authentication::Logins;
use crate::clock;
use crate::configuration::{self, Configuration};
use crate::deliver::ending::Ending;
use crate::deliver::unfinished;
use crate::log::Destination;
use crate::pickup::maildrop;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tables::sources::PASSWD;

/// What is being written when the server has gone gets so long to be done.
const FAREWELL: Duration = Duration::from_secs(2);

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
    /// The log that reports are made of.
    report_log: Option<PathBuf>,
    queue_directory: PathBuf,
    /// `mail_owner`, whose rights Postfix's processes have; nobody where that is root, or isn't there.
    mail_owner: Option<(u32, u32)>,
    agency: Option<Agency>,
    pipes: Vec<PipeService>,
    /// Who may be asked about passwords of the system's accounts: those that `smtpd_sasl_path` names.
    keepers: BTreeSet<Keeper>,
}

impl Grants {
    /// What the configuration allows; `None` where it has errors.
    fn read(config: &Path, compat: config::Compat, ending: &Ending) -> Option<Grants> {
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
            report_log: configuration.mailing.as_ref().map(|mailing| mailing.log.clone()),
            queue_directory: configuration.parameters.text("queue_directory").value.into(),
            mail_owner: mail_owner(&configuration.parameters),
            agency: Some(
                Agency::compile(&configuration.parameters, &configuration.classes, true).with_ending(ending),
            ),
            pipes: configuration.pipe_services(),
            keepers: {
                let logins = configuration.listeners.iter().filter_map(|one| one.logins.as_deref());
                logins.flat_map(Logins::keepers).cloned().collect()
            },
        })
    }
}

struct Job {
    id: u64,
    work: Work,
}

enum Work {
    Virtual(VirtualRequest, Option<OwnedFd>),
    Room(RoomRequest),
    Local(LocalRequest, Option<OwnedFd>),
    Pipe(PipeRequest, OwnedFd),
    Password(PasswordRequest),
}

impl Work {
    /// For whom it is: who may occupy a share of the threads with it. Virtual mailboxes are nobody's to hold up.
    fn account(&self, grants: &Grants) -> Option<String> {
        match self {
            Work::Virtual(..) | Work::Room(_) => None,
            // No account of the system's can have this name.
            Work::Password(..) => Some("(passwords)".to_owned()),
            Work::Pipe(request, _) => Some(request.service.clone()),
            Work::Local(request, _) => grants.agency.as_ref().map(|agency| agency.account_name(request)),
        }
    }

    /// A program runs for as long as it likes, within its limit.
    fn is_program(&self) -> bool {
        match self {
            Work::Virtual(..) | Work::Room(_) => false,
            Work::Local(request, _) => {
                matches!(request.act, LocalAct::Command(_) | LocalAct::MailboxCommand(_))
            }
            // The server asks for as many at once as there are cores.
            Work::Pipe(..) | Work::Password(..) => true,
        }
    }
}

fn unfit() -> (Answer, Option<OwnedFd>) {
    (Answer::Temporary("4.3.5 mail system configuration error".into()), None)
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
            Work::Password(request) => (judge(&request, grants), None),
            Work::Virtual(request, content) => match &grants.agency {
                Some(agency) => (agency.deliver_virtual(&request, content.map(File::from)), None),
                None => unfit(),
            },
            Work::Room(request) => match &grants.agency {
                Some(agency) => (agency.room(&request), None),
                None => unfit(),
            },
            Work::Local(request, content) => match &grants.agency {
                Some(agency) => agency.perform(&request, content.map(File::from)),
                None => unfit(),
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
    unfinished::open(state);
    let socket = Arc::new(io::stdin().as_fd().try_clone_to_owned().map_err(HelperError::Socket)?);
    let ending = Ending::default();
    let mut grants = Arc::new(Grants::read(config, compat, &ending).unwrap_or_default());
    let (crew, programs) = (Crew::start().map_err(HelperError::Thread)?, Programs::default());
    let mut inbox = wire::Inbox::new();
    while let Some((packet, descriptor)) = inbox.receive(socket.as_fd()).map_err(HelperError::Socket)? {
        let Ok((id, request)) = Request::decode(packet) else { continue };
        let (answer, opened) = match (request, descriptor) {
            (Request::Open(path), _) => answer_with(open(Path::new(&path), &grants)),
            (Request::Listen(address), _) => answer_with(listen(&address, &grants)),
            (Request::Log, _) => answer_with(open_log(&grants)),
            (Request::PastLog(nth), _) => answer_with(past_log(nth, &grants)),
            (Request::Spawn(path), _) => answer_with(spawn(&path, &grants)),
            (Request::Connect(path), _) => answer_with(connect(Path::new(&path), &grants)),
            (Request::Dropped(name), _) => answer_with(maildrop::open(&dropped, &name).map(Into::into)),
            (Request::Stop, _) => {
                ending.begin();
                (Answer::Done, None)
            }
            (Request::Reload, _) => {
                // The server refuses a configuration with errors and goes on with the one before: so do we.
                if let Some(read) = Grants::read(config, compat, &ending) {
                    grants = Arc::new(read);
                }
                (Answer::Done, None)
            }
            (Request::Pipe(_), None) => (Answer::Temporary("4.3.0 no content came along".into()), None),
            (request, content) => {
                let work = match (request, content) {
                    (Request::Pipe(request), Some(content)) => Work::Pipe(request, content),
                    (Request::Virtual(request), content) => Work::Virtual(request, content),
                    (Request::Room(request), _) => Work::Room(request),
                    (Request::Local(request), content) => Work::Local(request, content),
                    (Request::Password(request), _) => Work::Password(request),
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
    // Nobody would hear how these end: the next server makes them anew, so they aren't to be under way still.
    ending.begin();
    crew.end();
    let patience = Instant::now() + FAREWELL;
    while crew.running() + programs.running() > 0 && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Whether this is the account's password, by one that may be asked.
fn judge(request: &PasswordRequest, grants: &Grants) -> Answer {
    match &request.keeper {
        keeper if !grants.keepers.contains(keeper) => {
            Answer::Temporary("the configuration doesn't name the system's accounts".into())
        }
        Keeper::Shadow => {
            let today = clock::now().wall.seconds().div_euclid(86_400);
            shadow::judge(&request.name, &request.password, today)
        }
        Keeper::Pam(service) => pam::judge(service, request, pam::PATIENCE),
    }
}

fn answer_with(outcome: io::Result<OwnedFd>) -> (Answer, Option<OwnedFd>) {
    match outcome {
        Ok(descriptor) => (Answer::Done, Some(descriptor)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (Answer::Permanent("missing".into()), None),
        Err(error) => (Answer::Temporary(error.to_string()), None),
    }
}

/// The ids of `mail_owner`.
fn mail_owner(p: &config::Parameters) -> Option<(u32, u32)> {
    let passwd = std::fs::read_to_string(PASSWD).ok()?;
    let owner = rights::find_account(&passwd, &p.text("mail_owner").value)?;
    (owner.uid != 0).then_some((owner.uid, owner.gid))
}

/// Connects to a socket below `queue_directory`, as `mail_owner`.
fn connect(path: &Path, grants: &Grants) -> io::Result<OwnedFd> {
    let forbidden = || io::Error::from(io::ErrorKind::PermissionDenied);
    let below = path.strip_prefix(&grants.queue_directory).map_err(|_| forbidden())?;
    if !below.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(forbidden());
    }
    let (uid, gid) = grants.mail_owner.ok_or_else(forbidden)?;
    Identity::of(uid, gid, true).act(|| {
        let address = SocketAddrUnix::new(path)?;
        // A server that takes nobody in must not hold up the helper.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &address)?;
        Ok(socket)
    })?
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

/// Opens the log that reports are made of, or a rotated one before it.
fn past_log(nth: u64, grants: &Grants) -> io::Result<OwnedFd> {
    let path = grants.report_log.as_ref().ok_or(io::ErrorKind::PermissionDenied)?;
    Ok(past_logs::open(path, usize::try_from(nth).unwrap_or(usize::MAX))?.into())
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

#[cfg(test)]
mod tests {
    use super::*;

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
