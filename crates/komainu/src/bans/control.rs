//! The socket on which tools give the engine of bans orders: a line of JSON each way, several in a conversation.
//!
//! Only root and the account that the engine runs as are heard (SO_PEERCRED, and the socket's mode). A conversation has a
//! thread of its own; there is room for a few, and who is silent for a minute is let go. T2.20.

use super::order::{Answer, Order, Orders};
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// The longest order or answer: an import of what another program kept.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// Conversations at a time.
const CONVERSATIONS_MAX: usize = 16;
/// How long the other side may be silent, or not take what it is told.
const PATIENCE: Duration = Duration::from_secs(60);

/// The open socket; closed and removed with the value.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    ended: Arc<AtomicBool>,
}

/// A socket that was bound, at which nobody is answered yet: for a place that only root may write to.
#[derive(Debug)]
pub struct Bound {
    listener: UnixListener,
    path: PathBuf,
}

impl Bound {
    /// Binds the socket. One that somebody left behind is replaced; one at which somebody answers isn't.
    ///
    /// # Errors
    /// When another engine has it, or it can't be made.
    pub fn bind(path: &Path) -> io::Result<Bound> {
        let is_socket = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
        if is_socket {
            match UnixStream::connect(path) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
                Ok(_) => return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody answers there")),
                Err(error) => return Err(error),
            }
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Bound { listener, path: path.to_owned() })
    }

    /// Answers from now on.
    ///
    /// # Errors
    /// When there can be no thread for it.
    pub fn serve(self, orders: Orders) -> io::Result<Control> {
        let Bound { listener, path } = self;
        let ended = Arc::new(AtomicBool::new(false));
        let control = Control { path, ended: Arc::clone(&ended) };
        let accept = move || accept(&listener, &orders, &ended);
        std::thread::Builder::new().name("bans-control".into()).spawn(accept)?;
        Ok(control)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Rouses whoever waits there.
        let _ = UnixStream::connect(&self.path);
        // Where only root may, the next start does.
        let _ = fs::remove_file(&self.path);
    }
}

fn accept(listener: &UnixListener, orders: &Orders, ended: &AtomicBool) {
    let seats = Arc::new(AtomicUsize::new(0));
    loop {
        let accepted = listener.accept();
        if ended.load(Ordering::Relaxed) {
            return;
        }
        let Ok((stream, _)) = accepted else {
            // No descriptors left, say: it gets better.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        if !is_trusted(&stream) || seats.load(Ordering::Relaxed) >= CONVERSATIONS_MAX {
            let text = "only root and the account that runs this are answered, a few at a time";
            let _ = say(&stream, &Answer::Refused(text.to_owned()));
            continue;
        }
        seats.fetch_add(1, Ordering::Relaxed);
        let (orders, seat) = (orders.clone(), Seat(Arc::clone(&seats)));
        let converse = move || {
            let _seat = seat;
            // A caller that is gone has nothing to be told.
            let _ = converse(&stream, &orders);
        };
        // Without a thread, the connection closes.
        let _ = std::thread::Builder::new().name("bans-control".into()).spawn(converse);
    }
}

struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn is_trusted(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream)
        .is_ok_and(|peer| peer.uid.is_root() || peer.uid == rustix::process::geteuid())
}

fn converse(stream: &UnixStream, orders: &Orders) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    while let Some(line) = line(&mut reader)? {
        let answer = match serde_json::from_slice::<Order>(&line) {
            Ok(order) => orders.ask(order),
            Err(error) => Answer::Refused(format!("no order: {error}")),
        };
        say(stream, &answer)?;
    }
    Ok(())
}

fn say(mut stream: &UnixStream, answer: &Answer) -> io::Result<()> {
    let mut text = serde_json::to_vec(answer)?;
    text.push(b'\n');
    stream.write_all(&text)
}

fn line(reader: &mut BufReader<&UnixStream>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Asks the engine behind a socket.
///
/// # Errors
/// When nobody answers there, or not in these words.
pub fn ask(path: &Path, order: &Order) -> io::Result<Answer> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut text = serde_json::to_vec(order)?;
    text.push(b'\n');
    (&stream).write_all(&text)?;
    let answer = line(&mut BufReader::new(&stream))?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(serde_json::from_slice(&answer)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bans::order::Asked;
    use crate::bans::wake::Waker;
    use std::sync::mpsc;

    #[test]
    fn orders_over_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let (orders, asked) = mpsc::channel();
        let orders = Orders { orders, waker: Waker::new().unwrap() };
        let engine = std::thread::spawn(move || {
            for Asked { order, answer } in asked {
                let back = if order == Order::Ping { Answer::Pong } else { Answer::Done };
                answer.send(back).unwrap();
            }
        });
        let control = Bound::bind(&path).unwrap().serve(orders).unwrap();
        assert_eq!(ask(&path, &Order::Ping).unwrap(), Answer::Pong);
        let taken = Bound::bind(&path).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        let stream = UnixStream::connect(&path).unwrap();
        (&stream).write_all(b"nonsense\n\"Ping\"\n").unwrap();
        let mut reader = BufReader::new(&stream);
        let mut answer = || serde_json::from_slice(&line(&mut reader).unwrap().unwrap()).unwrap();
        assert!(matches!(answer(), Answer::Refused(_)));
        assert_eq!(answer(), Answer::Pong);
        drop(stream);
        drop(control);
        engine.join().unwrap();
        assert!(!path.exists());
        // What somebody left behind is no hindrance.
        drop(UnixListener::bind(&path).unwrap());
        drop(Bound::bind(&path).unwrap());
    }
}
