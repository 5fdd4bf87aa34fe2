//! Listening sockets: bound while there are rights for it, handed over by systemd, or asked of the helper.

use super::ServeError;
use crate::clock;
use crate::privileged::{Answer, Helper, Request};
use crate::session::arrival::{Arrival, Ends, FULL, receive};
use crate::session::line;
use crate::session::refused;
use crate::session::{Service, Shared};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Clients that may wait in the kernel's queue: more than any system allows, so it is what the system allows.
const BACKLOG: i32 = 65_535;
/// Systems that allow less are worth a word.
const BACKLOG_WANTED: u32 = 1024;
/// Replies that the kernel holds for a client.
const SEND_BYTES: usize = 64 * 1024;
/// Descriptors kept free for everything that is no session.
const DESCRIPTORS_KEPT_MIN: usize = 48;
/// The same where there are plenty.
const DESCRIPTORS_KEPT_MAX: usize = 4096;
/// Deliveries to other servers at once, over one transport without a limit of its own: one in so many descriptors.
const DELIVERIES_PART: usize = 10;
const DELIVERIES_MIN: usize = 20;
const DELIVERIES_MAX: usize = 5_000;
/// Sessions at once, however few descriptors there are.
const SEATS_MIN: usize = 16;
/// Until the next try to accept when there are no descriptors.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// Bound ports.
#[derive(Default)]
pub struct Sockets {
    bound: BTreeMap<SocketAddr, TcpListener>,
}

impl Sockets {
    /// Takes sockets from systemd where it gives some, and binds the rest.
    ///
    /// # Errors
    /// [`ServeError::Listen`].
    pub fn bind(addresses: &[SocketAddr]) -> Result<Sockets, ServeError> {
        let mut given = from_systemd();
        let mut bound = BTreeMap::new();
        for &address in addresses {
            let socket = match given.remove(&address) {
                Some(socket) => Ok(socket),
                None => bind(address),
            };
            match socket {
                Ok(socket) => {
                    bound.insert(address, socket);
                }
                // A machine without IPv6 has no `[::]`, which `inet_interfaces = all` asks for.
                Err(error) if address.is_ipv6() && is_missing(&error) => {}
                Err(source) => return Err(ServeError::Listen { address, source }),
            }
        }
        Ok(Sockets { bound })
    }

    /// The socket for `address`, if it was bound.
    pub(super) fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        self.bound.remove(&address)
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

/// Binds one port. Also used after a reload, when the port needs no rights.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Sessions inherit it. Replies are short; what a client doesn't read is not to fill the kernel either.
    socket.set_send_buffer_size(SEND_BYTES)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Binds a port by itself, or by the helper where that needs root.
pub(super) fn bind_or_ask(address: SocketAddr, helper: Option<&Helper>) -> io::Result<TcpListener> {
    match (bind(address), helper) {
        (Err(error), Some(helper)) if error.kind() == io::ErrorKind::PermissionDenied => {
            match helper.ask(&Request::Listen(address.to_string()), None) {
                (Answer::Done, Some(descriptor)) => Ok(descriptor.into()),
                (Answer::Temporary(text) | Answer::Permanent(text), _) => Err(io::Error::other(text)),
                (Answer::Done | Answer::Said(_), _) => Err(error),
            }
        }
        (outcome, _) => outcome,
    }
}

/// The sockets of LISTEN_FDS (sd_listen_fds(3)), by address.
fn from_systemd() -> BTreeMap<SocketAddr, TcpListener> {
    let mut sockets = BTreeMap::new();
    for descriptor in sd_notify::listen_fds().into_iter().flatten() {
        // Opened anew through /proc: a descriptor number can't be made an owned one without unsafe code.
        if let Ok(socket) = adopt(descriptor)
            && let Ok(address) = socket.local_addr()
        {
            sockets.insert(address, socket);
        }
    }
    sockets
}

fn adopt(descriptor: i32) -> io::Result<TcpListener> {
    use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags};
    let pid = Pid::from_raw(i32::try_from(std::process::id()).unwrap_or(0)).ok_or(io::ErrorKind::NotFound)?;
    let own = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let copy = rustix::process::pidfd_getfd(own, descriptor, PidfdGetfdFlags::empty())?;
    Ok(copy.into())
}

/// Takes clients on one socket until it is aborted. A reload swaps `service`; sessions keep what they began with.
///
/// One task for a socket: accepting costs a small part of what a greeting does, so one core's worth is more clients
/// than all cores can greet; what follows is spread over them. `accept` takes client after client without asking
/// the poller while there are any, and gives way to others now and then. Several accepting sockets for a port
/// (SO_REUSEPORT) would spread by hash, unevenly, and drop who waits in a queue that closes.
pub(super) async fn accept(socket: TcpListener, service: Arc<RwLock<Service>>, shared: Arc<Shared>) {
    let prepared = prepare(&socket).and_then(|()| tokio::net::TcpListener::from_std(socket));
    let listening = match prepared {
        Ok(listening) => listening,
        Err(error) => {
            shared.log.write("komainu/master", events::daemon::Message::error(format!("listen: {error}")));
            return;
        }
    };
    loop {
        let (stream, from) = match listening.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if is_exhaustion(&error) {
                    shared.house.out_of_descriptors(&error, clock::now().mono);
                    tokio::time::sleep(EXHAUSTED).await;
                }
                continue;
            }
        };
        let Ok(to) = stream.local_addr() else { continue };
        let service = service.read().unwrap_or_else(PoisonError::into_inner).clone();
        let behind_proxy = service.listener.upstream.is_some();
        if !behind_proxy && refused::at_the_door(&shared, Ends { from, to }) {
            // With a reset, so that a flood leaves nothing behind.
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            continue;
        }
        let Some(arrival) =
            Arrival::new(line::Socket::new(stream), Ends { from, to }, service, Arc::clone(&shared))
        else {
            continue;
        };
        // A stranger for whom there is no seat costs no task.
        if !behind_proxy && !arrival.is_admitted() {
            let _ = arrival.stream.try_write(FULL);
            continue;
        }
        tokio::spawn(receive(arrival));
    }
}

/// What accepted connections inherit, and a queue as long as the system allows, also for sockets that somebody else
/// has opened.
fn prepare(socket: &TcpListener) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let socket = SockRef::from(socket);
    // Replies are small and wanted at once; Nagle would add 40 ms to each.
    socket.set_tcp_nodelay(true)?;
    socket.listen(BACKLOG)
}

/// Out of descriptors or memory: clients wait in the kernel's queue meanwhile.
fn is_exhaustion(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let numbers = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|number| numbers.iter().any(|errno| errno.raw_os_error() == number))
}

/// How the descriptors that this process may have are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// Sessions at once.
    pub(super) seats: usize,
    /// Questions to name servers at once: each has a socket of its own.
    pub(super) questions: usize,
    /// Deliveries to other servers at once, over one transport.
    pub(super) deliveries: usize,
}

/// What there is, by what is open already; policy servers, mailboxes and whoever is being turned away find room in
/// what is left.
pub(super) fn shares() -> Shares {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1024);
    let open = std::fs::read_dir("/proc/self/fd").map_or(64, Iterator::count);
    share_out(usize::try_from(limit).unwrap_or(usize::MAX), open)
}

fn share_out(limit: usize, open: usize) -> Shares {
    let kept = (limit / 8).clamp(DESCRIPTORS_KEPT_MIN, DESCRIPTORS_KEPT_MAX);
    let deliveries = (limit / DELIVERIES_PART).clamp(DELIVERIES_MIN, DELIVERIES_MAX);
    let seats = limit.saturating_sub(open).saturating_sub(kept).saturating_sub(deliveries).max(SEATS_MIN);
    Shares { seats, questions: kept / 4 * 3, deliveries }
}

/// K0222 where the system keeps few clients waiting.
pub(super) fn backlog_hint() -> Option<String> {
    let allowed = std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?;
    backlog_too_short(allowed.trim().parse().ok()?)
}

fn backlog_too_short(allowed: u32) -> Option<String> {
    (allowed < BACKLOG_WANTED).then(|| {
        format!(
            "K0222: the system lets no more than {allowed} new clients wait for a port (net.core.somaxconn): of more \
             that come at once, some will wait a second or longer; put \"net.core.somaxconn = 4096\" into a file in \
             /etc/sysctl.d"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_shared_out() {
        for (limit, open, seats, questions, deliveries) in [
            (1_048_576, 40, 1_039_440, 3072, 5_000),
            (20_000, 40, 15_460, 1875, 2_000),
            (1024, 40, 754, 96, 102),
            (160, 40, 52, 36, 20),
            (64, 40, 16, 36, 20),
            (10, 40, 16, 36, 20),
        ] {
            assert_eq!(share_out(limit, open), Shares { seats, questions, deliveries }, "{limit}");
        }
    }

    #[test]
    fn short_backlogs() {
        assert!(backlog_too_short(4096).is_none());
        let said = backlog_too_short(128).unwrap_or_default();
        assert!(said.contains("K0222") && said.contains("no more than 128 new clients"), "{said}");
    }

    /// Accepted connections inherit it, which saves a system call for each.
    #[test]
    fn no_nagle() {
        let socket = bind(([127, 0, 0, 1], 0).into()).expect("binds");
        prepare(&socket).expect("prepares");
        let _client = std::net::TcpStream::connect(socket.local_addr().expect("bound")).expect("connects");
        let accepted = loop {
            match socket.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                accepted => break accepted.expect("accepts").0,
            }
        };
        assert!(accepted.nodelay().expect("a socket"));
    }
}
