//! What the scripted servers of a dialogue have in common: a place where they listen, a thread for each that comes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Lines of the same words answer in turn, over all connections, the last one for good.
#[derive(Default)]
pub(crate) struct Turns(Mutex<BTreeMap<String, usize>>);

impl Turns {
    /// The next of `all`, the lines of `words`.
    pub(crate) fn next<T: Copy>(&self, words: &str, all: &[T]) -> Option<T> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry(words.to_owned()).or_default();
        let found = all.get(*turn).or(all.last()).copied();
        *turn += 1;
        found
    }
}

/// Who has come.
pub(crate) trait Peer: Read + Write + Send {}
impl<T: Read + Write + Send> Peer for T {}

type Accept = Box<dyn Fn() -> std::io::Result<Box<dyn Peer>> + Send>;

/// A place where somebody listens; until it is dropped.
pub(crate) struct Listening {
    stop: Arc<AtomicBool>,
    address: Option<SocketAddr>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Listening {
    /// Listens at `endpoint`: `address:port`, or a socket's path.
    pub(crate) fn start(
        endpoint: &str,
        serve: impl Fn(Box<dyn Peer>) + Send + Sync + 'static,
    ) -> std::io::Result<Listening> {
        let (accept, address) = listen(endpoint)?;
        let (stop, serve) = (Arc::new(AtomicBool::new(false)), Arc::new(serve));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                match accept() {
                    Ok(stream) => {
                        let serve = Arc::clone(&serve);
                        std::thread::spawn(move || serve(stream));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Ok(Listening { stop, address, thread: Some(thread) })
    }

    /// Where, if by TCP.
    pub(crate) const fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(endpoint: &str) -> std::io::Result<(Accept, Option<SocketAddr>)> {
    if endpoint.contains('/') {
        let _ = std::fs::remove_file(endpoint);
        let listener = UnixListener::bind(endpoint)?;
        std::fs::set_permissions(Path::new(endpoint), std::fs::Permissions::from_mode(0o666))?;
        listener.set_nonblocking(true)?;
        let accept = move || {
            let (stream, _) = listener.accept()?;
            stream.set_nonblocking(false)?;
            Ok(Box::new(stream) as Box<dyn Peer>)
        };
        return Ok((Box::new(accept), None));
    }
    let listener = TcpListener::bind(endpoint)?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let accept = move || {
        let (stream, _) = listener.accept()?;
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream) as Box<dyn Peer>)
    };
    Ok((Box::new(accept), Some(address)))
}
