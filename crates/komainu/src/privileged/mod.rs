//! The privileged helper: a second process that keeps root's rights after the server gave them up.
//!
//! The server drops root for good; what still needs it (files of mode 600, low ports after a reload,
//! delivery as a user) is asked for over a socket pair. The helper reads the configuration by itself, so
//! it opens and binds only what the administrator named there, and never sees a byte from the network but
//! the mail that it copies into a mailbox, and names and passwords that it judges by /etc/shadow, or has PAM judge. T1.14 (tables of mode 600).

mod accounts;
pub mod agency;
mod crew;
mod helper;
mod identity;
mod kept;
mod pam;
pub(crate) mod past_logs;
pub mod pipe_service;
pub mod rights;
mod shadow;
mod sockets;
pub mod spawn;
pub(crate) mod wire;

pub use accounts::Accounts;
pub use agency::Agency;
pub(crate) use helper::own_log;
pub use helper::{HelperError, run};
pub use identity::Identity;
pub use pam::{SUBCOMMAND as ASK_PAM, answer as answer_for_pam};
pub use sockets::LocalSockets;
pub(crate) use wire::PACKED_BYTES_MAX;
pub use wire::{
    Answer, Keeper, LocalAct, LocalRequest, PasswordRequest, PipeRequest, Request, RoomRequest,
    VirtualRequest,
};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

/// The subcommand under which the helper is started; not for people.
pub const SUBCOMMAND: &str = "__privileged-helper";

/// What came back for one request.
pub type Outcome = (Answer, Option<OwnedFd>);

type Callback = Box<dyn FnOnce(Outcome) + Send>;

/// The server's end. Cheap to clone; requests from many threads are under way at once.
#[derive(Clone)]
pub struct Helper {
    inner: Arc<Inner>,
}

struct Inner {
    socket: OwnedFd,
    waiting: Mutex<HashMap<u64, Callback>>,
    next: AtomicU64,
    child: Mutex<Child>,
}

impl Helper {
    /// Starts the helper for the configuration in `config` and the state folder `state`; called while the process is still root and
    /// has one thread.
    ///
    /// # Errors
    /// When the socket pair or the process can't be made.
    pub fn start(config: &Path, compat: &str, state: &Path) -> io::Result<Helper> {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let child = Command::new("/proc/self/exe")
            .arg(SUBCOMMAND)
            .arg(config)
            .arg(compat)
            .arg(state)
            .env_clear()
            .envs(std::env::var_os("TZ").map(|zone| ("TZ", zone)))
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()?;
        let inner = Arc::new(Inner {
            socket: ours,
            waiting: Mutex::default(),
            next: AtomicU64::new(1),
            child: Mutex::new(child),
        });
        Ok(Helper { inner })
    }

    /// Starts the thread that takes answers; called after the rights are dropped.
    ///
    /// # Errors
    /// When the thread can't be made.
    pub fn listen(&self) -> io::Result<()> {
        let inner = Arc::clone(&self.inner);
        std::thread::Builder::new().name("helper-answers".into()).spawn(move || inner.take_answers())?;
        Ok(())
    }

    /// Sends a request; `done` is called with the outcome, on another thread.
    pub fn request(&self, request: &Request, descriptor: Option<BorrowedFd<'_>>, done: Callback) {
        let id = self.inner.next.fetch_add(1, Ordering::Relaxed);
        self.inner.lock().insert(id, done);
        if let Err(error) = wire::send(self.inner.socket.as_fd(), &request.encode(id), descriptor) {
            let lost = self.inner.lock().remove(&id);
            if let Some(done) = lost {
                done((Answer::Temporary(format!("4.3.0 privileged helper: {error}")), None));
            }
        }
    }

    /// Sends a request and waits. For start-up, reload and blocking threads.
    #[must_use]
    pub fn ask(&self, request: &Request, descriptor: Option<BorrowedFd<'_>>) -> Outcome {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.request(
            request,
            descriptor,
            Box::new(move |outcome| {
                // A receiver that is gone has lost interest.
                let _ = sender.send(outcome);
            }),
        );
        receiver
            .recv()
            .unwrap_or_else(|_| (Answer::Temporary("4.3.0 privileged helper has ended".into()), None))
    }

    /// Has it cut short what waits for others; whoever asked for that gets an answer soon.
    pub fn stop(&self) {
        self.request(&Request::Stop, None, Box::new(drop));
    }

    /// Whether the helper still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let mut child = self.inner.child.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(child.try_wait(), Ok(None))
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Callback>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_answers(&self) {
        let mut inbox = wire::Inbox::new();
        while let Ok(Some((packet, descriptor))) = inbox.receive(self.socket.as_fd()) {
            if let Ok((id, answer)) = Answer::decode(packet) {
                let waiting = self.lock().remove(&id);
                if let Some(done) = waiting {
                    done((answer, descriptor));
                }
            }
        }
        let orphans: Vec<Callback> = self.lock().drain().map(|(_, done)| done).collect();
        for done in orphans {
            done((Answer::Temporary("4.3.0 privileged helper has ended".into()), None));
        }
    }
}
