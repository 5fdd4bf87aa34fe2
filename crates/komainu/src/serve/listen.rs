//! Listening sockets: bound while there are rights for it, handed over by systemd, or asked of the helper.

use super::ServeError;
use crate::privileged::{Answer, Helper, Request};
use crate::session::arrival::{Arrival, Ends, receive};
use crate::session::{Service, Shared};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Clients that may wait in the kernel's queue.
const BACKLOG: i32 = 4096;
/// Replies that the kernel holds for a client.
const SEND_BYTES: usize = 64 * 1024;
/// Descriptors kept free for everything that is no session.
const DESCRIPTORS_KEPT: usize = 256;

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
                (Answer::Done, None) => Err(error),
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

/// How many sessions there are, over all listeners.
#[derive(Clone, Default)]
pub(super) struct House {
    sessions: Arc<AtomicUsize>,
}

impl House {
    /// Whether there are sessions.
    pub(super) fn busy(&self) -> bool {
        self.sessions() > 0
    }

    fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }
}

/// Leaves the house when the session is over, however it ends.
struct Guest(House);

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes clients on one socket until it is aborted. A reload swaps `service`; sessions keep what they began with.
pub(super) async fn accept(
    socket: TcpListener,
    service: Arc<RwLock<Service>>,
    shared: Arc<Shared>,
    house: House,
) {
    let limit = session_limit();
    let listening = socket.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(socket));
    let listening = match listening {
        Ok(listening) => listening,
        Err(error) => {
            shared.log.write("komainu/master", events::daemon::Message::error(format!("listen: {error}")));
            return;
        }
    };
    loop {
        if house.sessions() >= limit {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        let (stream, from) = match listening.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors or memory: clients wait in the kernel's queue meanwhile.
                if !matches!(error.kind(), io::ErrorKind::ConnectionAborted) {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                continue;
            }
        };
        let Ok(to) = stream.local_addr() else { continue };
        // Replies are small and wanted at once; Nagle would add 40 ms to each.
        let _ = stream.set_nodelay(true);
        let sessions = house.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let guest = Guest(house.clone());
        let service = service.read().unwrap_or_else(PoisonError::into_inner).clone();
        let stressed = sessions.saturating_mul(10) > limit.saturating_mul(9);
        let mut arrival = Arrival::new(stream, Ends { from, to }, service, Arc::clone(&shared));
        arrival.stressed = stressed;
        tokio::spawn(async move {
            let _guest = guest;
            receive(arrival).await;
        });
    }
}

/// Sessions at once: as many as there are descriptors for.
fn session_limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1024);
    usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(DESCRIPTORS_KEPT).max(64)
}
