//! The control socket: `control` in the state folder, on which tools look at the queue and give orders.
//!
//! Everybody may connect; the kernel says who it is (SO_PEERCRED), and [`access`] what they may. A conversation has a
//! thread of its own; there is room for a few of root's and, apart from them, a few of everybody else's, and whoever
//! is silent for a minute is let go. The protocol is `proto::control`. T2.14.

mod access;
mod answer;

pub(crate) use access::{Access, Lists};

use crate::deliver::QueueHandle;
use crate::log::Log;
use crate::pickup::Pickup;
use access::Caller;
use answer::Desk;
use proto::control::{Cause, Reply};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use store::Spool;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Conversations of root and the server's own account at a time, and of all others.
const CONVERSATIONS_MAX: usize = 16;
/// How long the other side may be silent, or not take what it is told.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who may do what, by the configuration in force.
pub(crate) type Rules = Arc<RwLock<Arc<Access>>>;

/// What conversations need.
#[derive(Clone)]
pub(super) struct Ground {
    pub(super) spool: Spool,
    pub(super) queue: QueueHandle,
    pub(super) rules: Rules,
    pub(super) log: Log,
    pub(super) pickup: Pickup,
}

/// The open socket. Closed and removed with the value.
pub(super) struct Control {
    path: PathBuf,
    accepting: JoinHandle<()>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.accepting.abort();
        // Nobody would answer; without the name it is plain that no server runs.
        let _ = fs::remove_file(&self.path);
    }
}

impl Control {
    /// Opens the socket in the state folder, which this server alone has.
    ///
    /// # Errors
    /// When the socket can't be made.
    pub(super) fn open(state: &Path, ground: Ground) -> io::Result<Control> {
        let path = state.join(crate::queued::running::NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        // The kernel names the caller; each request is judged by that.
        fs::set_permissions(&path, PermissionsExt::from_mode(0o666))?;
        Ok(Control { path, accepting: tokio::spawn(accept(listener, ground)) })
    }
}

async fn accept(listener: UnixListener, ground: Ground) {
    let of_root = Arc::new(Semaphore::new(CONVERSATIONS_MAX));
    let of_others = Arc::new(Semaphore::new(CONVERSATIONS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptors left, say: it gets better.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(peer) = stream.peer_cred() else { continue };
        let caller = Caller::new(peer.uid());
        let seats = if caller.is_trusted() { &of_root } else { &of_others };
        let seat = Arc::clone(seats).try_acquire_owned();
        let ground = ground.clone();
        let Ok(stream) = blocking(stream) else { continue };
        let converse = move || match seat {
            Ok(seat) => {
                let rules = Arc::clone(&ground.rules.read().unwrap_or_else(PoisonError::into_inner));
                // A caller that is gone has nothing to be told.
                let _ = Desk { ground, caller, rules }.converse(&stream);
                drop(seat);
            }
            Err(_) => {
                let text = "too many look at the queue at once: try again".to_owned();
                let _ = (&stream).write_all(&Reply::Refused(Cause::Busy, text).encode());
            }
        };
        // Without a thread, the connection closes.
        let _ = std::thread::Builder::new().name("control".into()).spawn(converse);
    }
}

fn blocking(stream: UnixStream) -> io::Result<std::os::unix::net::UnixStream> {
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
