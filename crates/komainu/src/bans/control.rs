//! The socket on which tools give the engine of bans orders: a line of JSON each way, several in a conversation.
//!
//! Only root and the account that the engine runs as are heard (SO_PEERCRED, and the socket's mode). A conversation has a
//! thread of its own; who is silent for a minute is let go. There is room for a few: for one more, the one that has been
//! silent for longest goes, and where all of them wait for an answer, the newcomer hears so. T2.20.

use super::order::{Answer, Order, Orders};
use rustix::net::{SendFlags, Shutdown};
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
    let seats = Seats::default();
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
        let stream = Arc::new(stream);
        let seat = match is_trusted(&stream) {
            true => seats.take(&stream).ok_or("too many orders are under way: ask again in a while"),
            false => Err("only root and the account that runs this are answered"),
        };
        let seat = match seat {
            Ok(seat) => seat,
            Err(text) => {
                tell(&stream, text);
                continue;
            }
        };
        let orders = orders.clone();
        // A caller that is gone has nothing to be told.
        let converse = move || drop(converse(&stream, &orders, &seat));
        // Without a thread, the connection closes.
        let _ = std::thread::Builder::new().name("bans-control".into()).spawn(converse);
    }
}

/// Conversations under way.
#[derive(Clone, Default)]
struct Seats(Arc<Mutex<Vec<Sitting>>>);

struct Sitting {
    stream: Arc<UnixStream>,
    /// Since when it has been silent; `None` while it waits for an answer.
    silent: Option<Instant>,
}

/// A conversation's place.
struct Seat {
    seats: Seats,
    stream: Arc<UnixStream>,
}

impl Seats {
    fn all(&self) -> MutexGuard<'_, Vec<Sitting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, where there is one or somebody silent can go.
    fn take(&self, stream: &Arc<UnixStream>) -> Option<Seat> {
        let mut all = self.all();
        if all.len() >= CONVERSATIONS_MAX {
            let silent = all.iter().enumerate().filter_map(|(at, sitting)| Some((sitting.silent?, at)));
            let (_, at) = silent.min()?;
            let idlest = all.swap_remove(at);
            tell(&idlest.stream, "others wait, and this conversation was silent for longest");
            // Its thread hears that, and ends.
            let _ = rustix::net::shutdown(&*idlest.stream, Shutdown::Both);
        }
        all.push(Sitting { stream: Arc::clone(stream), silent: Some(Instant::now()) });
        Some(Seat { seats: self.clone(), stream: Arc::clone(stream) })
    }
}

impl Seat {
    fn is_silent(&self, silent: bool) {
        let mut all = self.seats.all();
        if let Some(own) = all.iter_mut().find(|one| Arc::ptr_eq(&one.stream, &self.stream)) {
            own.silent = silent.then(Instant::now);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.all().retain(|one| !Arc::ptr_eq(&one.stream, &self.stream));
    }
}

/// A last word, where it can be said at once.
fn tell(stream: &UnixStream, text: &str) {
    let Ok(mut line) = serde_json::to_vec(&Answer::Refused(text.to_owned())) else { return };
    line.push(b'\n');
    let _ = rustix::net::send(stream, &line, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}

fn is_trusted(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream)
        .is_ok_and(|peer| peer.uid.is_root() || peer.uid == rustix::process::geteuid())
}

fn converse(stream: &UnixStream, orders: &Orders, seat: &Seat) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    while let Some(line) = line(&mut reader)? {
        seat.is_silent(false);
        let answer = match serde_json::from_slice::<Order>(&line) {
            Ok(order) => orders.ask(order),
            Err(error) => Answer::Refused(format!("no order: {error}")),
        };
        say(stream, &answer)?;
        seat.is_silent(true);
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
    let asked = (&stream).write_all(&text);
    // Who isn't heard may have been told why before he asked.
    let answer = line(&mut BufReader::new(&stream)).ok().flatten();
    match (answer, asked) {
        (Some(answer), _) => Ok(serde_json::from_slice(&answer)?),
        (None, Err(error)) => Err(error),
        (None, Ok(())) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
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

    /// However many are silent, there is room for one more; where all wait for an answer, there is none.
    #[test]
    fn the_idlest_makes_room() {
        let seats = Seats::default();
        let pairs = || {
            let (own, other) = UnixStream::pair().unwrap();
            other.set_nonblocking(true).unwrap();
            (Arc::new(own), other)
        };
        let sit = |_| {
            let (own, other) = pairs();
            (seats.take(&own).unwrap(), other)
        };
        let mut sitting: Vec<(Seat, UnixStream)> = (0..CONVERSATIONS_MAX).map(sit).collect();
        let heard = |stream: &UnixStream| line(&mut BufReader::new(stream)).ok().flatten();
        // The first waits for an answer, the second has spoken since: the third is the idlest.
        sitting[0].0.is_silent(false);
        sitting[1].0.is_silent(false);
        sitting[1].0.is_silent(true);
        sitting.push(sit(0));
        let told: Vec<usize> = (0..sitting.len()).filter(|at| heard(&sitting[*at].1).is_some()).collect();
        assert_eq!((told, seats.all().len()), (vec![2], CONVERSATIONS_MAX));
        assert!(heard(&sitting[2].1).is_none(), "and it has ended");
        sitting.iter().for_each(|(seat, _)| seat.is_silent(false));
        assert!(seats.take(&pairs().0).is_none());
        sitting[5].0.is_silent(true);
        assert!(seats.take(&pairs().0).is_some());
        drop(sitting);
        assert_eq!(seats.all().len(), 0);
    }

    /// Whoever comes when there is no room reads why, though it was said before he asked.
    #[test]
    fn one_more_than_there_is_room_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let (orders, asked) = mpsc::channel();
        let held: Vec<Asked> = Vec::new();
        let engine = std::thread::spawn(move || {
            // Nobody is answered before the last has asked.
            let mut held = held;
            held.extend(asked.iter().take(CONVERSATIONS_MAX));
            held
        });
        let control =
            Bound::bind(&path).unwrap().serve(Orders { orders, waker: Waker::new().unwrap() }).unwrap();
        let talk = |_| {
            let stream = UnixStream::connect(&path).unwrap();
            (&stream).write_all(b"\"Status\"\n").unwrap();
            stream
        };
        let waiting: Vec<UnixStream> = (0..CONVERSATIONS_MAX).map(talk).collect();
        let held = engine.join().unwrap();
        let said = ask(&path, &Order::Ping).unwrap();
        assert!(matches!(&said, Answer::Refused(why) if why.contains("too many orders")), "{said:?}");
        drop(held);
        for stream in &waiting {
            let said = line(&mut BufReader::new(stream)).unwrap().unwrap();
            assert!(String::from_utf8_lossy(&said).contains("has ended"));
        }
        drop(control);
    }
}
