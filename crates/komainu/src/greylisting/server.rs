//! `komainu policyd`: greylisting, or SPF, over the policy protocol, for a stock Postfix or Exim (T2.15).
//!
//! It takes Postgrey's place on its port or socket: options, whitelists, answers and log lines are the same; with `--spf`
//! policyd-spf's, by its policyd-spf.conf. Ports are bound and
//! the folder is made with the rights that it is started with; then it becomes an unprivileged account, and only then there
//! is a client. A message has a bound, and so has the number of connections.

use super::Greylister;
use crate::configuration::{DirectSources, policyd_spfs_conf, with_whitelists};
use crate::facts::policyd_spf::PolicydSpf;
use crate::log::{Destination, Log};
use crate::privileged::own_log;
use crate::privileged::rights::{self, Account};
use crate::serve::make_one;
use crate::serve::watch::Watch;
use policy::greylist::Options;
use policy::spf::policyd;
use rustix::process::Uid;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

/// The longest request.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// Connections at the same time; more wait.
const CONNECTIONS_MAX: usize = 4_096;
/// A connection on which nothing is asked for so long is closed.
const IDLE: Duration = Duration::from_secs(3_600);

/// Ports and sockets, bound.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    inet: Option<TcpListener>,
    unix: Option<UnixListener>,
    /// For people.
    pub(crate) names: Vec<String>,
}

impl Bound {
    /// Binds what the options name.
    pub(crate) fn bind(options: &Options) -> Result<Bound, String> {
        let mut bound = Bound::default();
        if let Some((host, port)) = &options.inet {
            let address = address(host, *port)?;
            let socket =
                TcpListener::bind(address).map_err(|error| format!("listen on {address}: {error}"))?;
            bound.names.push(format!("inet:{address}"));
            bound.inet = Some(socket);
        }
        if let Some(path) = &options.unix {
            let socket = bind_unix(path, options.socket_mode);
            bound.unix = Some(socket.map_err(|error| format!("listen on {}: {error}", path.display()))?);
            bound.names.push(format!("unix:{}", path.display()));
        }
        Ok(bound)
    }
}

fn address(host: &str, port: u16) -> Result<SocketAddr, String> {
    let host = if host.eq_ignore_ascii_case("localhost") { "127.0.0.1" } else { host };
    let found = (host, port).to_socket_addrs().map_err(|error| format!("{host}: {error}"))?.next();
    found.ok_or_else(|| format!("{host} has no address"))
}

/// A socket that somebody left behind is replaced; one at which somebody listens isn't.
fn bind_unix(path: &Path, mode: u32) -> io::Result<UnixListener> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    {
        std::fs::remove_file(path)?;
    }
    let socket = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok(socket)
}

/// Makes the folder and, as root, gives it away and becomes that account.
pub(crate) fn settle(folder: &Path, log: &Destination) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    if !rights::is_root() {
        return make_one(folder, &[], None).map_err(failed);
    }
    let account =
        account().ok_or("no account to run as: neither \"komainu\" nor \"postgrey\" is in /etc/passwd")?;
    let uid = Uid::from_raw(account.uid);
    make_one(folder, &["triplets", "lock"], Some(&account)).map_err(failed)?;
    if let Destination::File(path) = log {
        let given = own_log(path).and_then(|file| Ok(rustix::fs::fchown(&file, Some(uid), None)?));
        given.map_err(|error| format!("log {}: {error}", path.display()))?;
    }
    rights::drop_to(&account).map_err(|error| format!("give up root's rights: {error}"))
}

fn account() -> Option<Account> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = ["komainu", "postgrey"].iter().find_map(|name| rights::find_account(&passwd, name));
    found.filter(|account| account.uid != 0)
}

/// Who answers, and by which files.
pub(crate) enum Judge {
    /// In Postgrey's place.
    Greylist(Arc<Greylister>, Options),
    /// In policyd-spf's place.
    Spf(PolicydSpf),
}

impl Judge {
    /// The files whose change matters.
    fn files(&self) -> Vec<PathBuf> {
        match self {
            Judge::Greylist(_, options) => {
                let all = options.client_files().into_iter().chain(options.recipient_files());
                all.map(|(path, _)| path).collect()
            }
            Judge::Spf(spf) => {
                let per_user = spf.conf().and_then(|conf| conf.per_user.clone());
                std::iter::once(policyd::PATH.into()).chain(per_user.map(|(path, _)| path)).collect()
            }
        }
    }

    /// Reads the files; what is wrong with them is said.
    fn reread(&self, log: &Log) {
        let (program, found) = match self {
            Judge::Greylist(greylister, options) => {
                let (rules, found) = with_whitelists(options.clone(), &DirectSources);
                greylister.set(Some(Arc::new(rules)));
                (super::PROGRAM, found)
            }
            Judge::Spf(spf) => {
                let (conf, found) = policyd_spfs_conf(&DirectSources);
                spf.set(Some(Arc::new(conf)));
                (crate::facts::policyd_spf::PROGRAM, found)
            }
        };
        for one in found {
            log.write(program, events::daemon::Message::warning(one.to_string()));
        }
    }

    /// The action for a request; `None` where it has no answer.
    async fn answer(&self, attributes: &str) -> Option<String> {
        match self {
            Judge::Greylist(greylister, _) => greylister.judge(attributes).await.ok(),
            Judge::Spf(spf) => Some(spf.judge(attributes).await),
        }
    }

    const fn is_exims(&self) -> bool {
        matches!(self, Judge::Greylist(_, Options { exim: true, .. }))
    }
}

/// Serves until SIGTERM or SIGINT; SIGHUP, and a changed file, means that whitelists are read anew.
///
/// # Errors
/// When signals or sockets can't be had.
pub(crate) async fn serve(judge: Arc<Judge>, (bound, log): (Bound, Log)) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let since = SystemTime::now();
    judge.reread(&log);
    if let Judge::Greylist(greylister, _) = &*judge {
        greylister.open().await;
    }
    let mut watch = Watch::start(&judge.files(), since, &log, None);
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    if let Some(socket) = bound.inet {
        socket.set_nonblocking(true)?;
        let socket = tokio::net::TcpListener::from_std(socket)?;
        let (judge, seats) = (Arc::clone(&judge), Arc::clone(&seats));
        tokio::spawn(async move {
            while let Ok(seat) = Arc::clone(&seats).acquire_owned().await {
                let Some(stream) = accepted(socket.accept().await).await else { continue };
                // Where it can't be had, answers are merely late.
                let _ = stream.set_nodelay(true);
                spawn(stream, &judge, seat);
            }
        });
    }
    if let Some(socket) = bound.unix {
        socket.set_nonblocking(true)?;
        let socket = tokio::net::UnixListener::from_std(socket)?;
        let (judge, seats) = (Arc::clone(&judge), Arc::clone(&seats));
        tokio::spawn(async move {
            while let Ok(seat) = Arc::clone(&seats).acquire_owned().await {
                let Some(stream) = accepted(socket.accept().await).await else { continue };
                spawn(stream, &judge, seat);
            }
        });
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    loop {
        let changed = async {
            match &mut watch {
                Some(watch) => watch.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => log.reopen(),
            _ = changed => {}
        }
        judge.reread(&log);
    }
    let flush = move || {
        if let Judge::Greylist(greylister, _) = &*judge {
            greylister.flush();
        }
    };
    tokio::task::spawn_blocking(flush).await.map_err(io::Error::other)
}

/// What comes of accepting; after a failure (no descriptors) there is a pause.
async fn accepted<S, A>(outcome: io::Result<(S, A)>) -> Option<S> {
    match outcome {
        Ok((stream, _)) => Some(stream),
        Err(_) => {
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

fn spawn<S>(stream: S, judge: &Arc<Judge>, seat: tokio::sync::OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let judge = Arc::clone(judge);
    tokio::spawn(async move {
        // A client that is gone gets no answer.
        let _ = answer(stream, &judge).await;
        drop(seat);
    });
}

/// Answers the requests of one connection.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, judge: &Judge) -> io::Result<()> {
    let mut waiting = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        while let Some(end) = message_end(&waiting) {
            let message: Vec<u8> = waiting.drain(..end).collect();
            let text = String::from_utf8_lossy(&message);
            let Some(action) = judge.answer(&text).await else { return Ok(()) };
            stream.write_all(format!("action={action}\n\n").as_bytes()).await?;
            if judge.is_exims() {
                return stream.shutdown().await;
            }
        }
        if waiting.len() > REQUEST_BYTES_MAX {
            return Ok(());
        }
        let Ok(read) = tokio::time::timeout(IDLE, stream.read(&mut chunk)).await else { return Ok(()) };
        match chunk.get(..read?) {
            Some([]) | None => return Ok(()),
            Some(bytes) => waiting.extend_from_slice(bytes),
        }
    }
}

/// Where the first message ends: behind an empty line.
fn message_end(bytes: &[u8]) -> Option<usize> {
    let mut start = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        start += line.len();
        if line == b"\n" || line == b"\r\n" {
            return Some(start);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_end_behind_an_empty_line() {
        assert_eq!(message_end(b"a=b\n\nc=d\n"), Some(5));
        assert_eq!(message_end(b"a=b\r\n\r\nc"), Some(7));
        assert_eq!(message_end(b"\n"), Some(1));
        assert_eq!(message_end(b"a=b\n"), None);
        assert_eq!(message_end(b""), None);
    }

    #[test]
    fn a_socket_that_was_left_behind_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postgrey");
        let first = bind_unix(&path, 0o660).unwrap();
        assert_eq!(bind_unix(&path, 0o660).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
        drop(first);
        bind_unix(&path, 0o600).unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert!(bind_unix(&file, 0o600).is_err());
        assert_eq!(std::fs::read(&file).unwrap(), b"x");
    }
}
