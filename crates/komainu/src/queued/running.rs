//! The queue of a running server, over its control socket.

use super::frames::{invalid, read_frame};
use super::{Item, Listed, QueueError, Sink};
use crate::serve::pid;
use crate::submit::{self, Letter};
use mail::QueueId;
use proto::control::{Cause, IDS_MAX, Outcome, REPLY_BYTES_MAX, Reply, Request, VERSION, Verb};
use queue::Entry;
use std::io::{self, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The socket's name in the state folder.
pub(crate) const NAME: &str = "control";
/// How long the server may be silent. A flush of a slow disk is within it.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long one waits for a server that is just starting, and for one that is just ending.
const STARTING: Duration = Duration::from_secs(10);

/// A conversation with the server.
pub(crate) struct Connection {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Connection {
    /// Greets the server of a state folder, once it listens; `None` where there is none.
    pub(crate) fn awaited(state: &Path) -> Result<Option<Connection>, QueueError> {
        let patience = Instant::now() + STARTING;
        loop {
            let is_there = pid::is_held(state);
            match Connection::open(state)? {
                None if is_there && Instant::now() < patience => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                other => return Ok(other),
            }
        }
    }

    /// Greets the server of a state folder; `None` where there is none.
    pub(crate) fn open(state: &Path) -> Result<Option<Connection>, QueueError> {
        let path = state.join(NAME);
        let stream = match UnixStream::connect(&path) {
            Ok(stream) => stream,
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                return Ok(None);
            }
            Err(source) => return Err(QueueError::Socket { path, source }),
        };
        let timed =
            stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        timed.map_err(|source| QueueError::Socket { path: path.clone(), source })?;
        let mut connection = Connection { path, stream: BufReader::with_capacity(64 << 10, stream) };
        let hello = connection.send(&Request::Hello { version: VERSION });
        match hello.and_then(|()| connection.receive()) {
            Ok(Reply::Welcome { version: VERSION }) => Ok(Some(connection)),
            Ok(Reply::Welcome { version }) => {
                let text = format!("the server speaks version {version}, this program {VERSION}: restart it");
                Err(QueueError::Refused(Cause::Protocol, text))
            }
            Ok(other) => Err(connection.unexpected(&other)),
            Err(QueueError::Socket { source, .. }) if is_farewell(&source) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn broken(&self, source: io::Error) -> QueueError {
        QueueError::Socket { path: self.path.clone(), source }
    }

    fn unexpected(&self, reply: &Reply) -> QueueError {
        match reply {
            Reply::Refused(cause, text) => QueueError::Refused(*cause, text.clone()),
            _ => self.broken(invalid("an unexpected reply")),
        }
    }

    fn send(&mut self, request: &Request) -> Result<(), QueueError> {
        self.stream.get_mut().write_all(&request.encode()).map_err(|error| self.broken(error))
    }

    fn receive(&mut self) -> Result<Reply, QueueError> {
        let frame = read_frame(&mut self.stream, REPLY_BYTES_MAX).map_err(|error| self.broken(error))?;
        let frame = frame.ok_or_else(|| self.broken(io::ErrorKind::UnexpectedEof.into()))?;
        Reply::decode(&frame).map_err(|error| self.broken(invalid(&error.to_string())))
    }

    /// Asks for what is answered with `Done`.
    pub(super) fn ask(&mut self, request: &Request) -> Result<(), QueueError> {
        self.send(request)?;
        match self.receive()? {
            Reply::Done => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Hands a message in; it is durable when its id comes.
    pub(crate) fn submit(&mut self, letter: &mut Letter) -> Result<QueueId, QueueError> {
        self.ask(&Request::Submit(Box::new(letter.submission.clone())))?;
        let sent = submit::frames(letter, |frame| self.stream.get_mut().write_all(&frame.encode()));
        sent.map_err(|error| self.broken(error))?;
        match self.receive()? {
            Reply::Queued(id) => Ok(id),
            other => Err(self.unexpected(&other)),
        }
    }

    pub(super) fn list(&mut self, ids: &[QueueId], each: Sink<'_>) -> Result<(), QueueError> {
        if ids.is_empty() {
            return self.list_some(ids, each);
        }
        each(Item::Total(ids.len() as u64))?;
        ids.chunks(IDS_MAX).try_for_each(|some| {
            self.list_some(some, &mut |item| match item {
                Item::Total(_) => Ok(()),
                item => each(item),
            })
        })
    }

    fn list_some(&mut self, ids: &[QueueId], each: Sink<'_>) -> Result<(), QueueError> {
        self.send(&Request::List(ids.to_vec()))?;
        loop {
            match self.receive()? {
                Reply::Total(count) => each(Item::Total(count))?,
                Reply::Message { number, state, entry } => match Entry::decode(&entry) {
                    Ok(entry) => each(Item::Message(Box::new(Listed { number, state, entry })))?,
                    Err(error) => return Err(self.broken(invalid(&error.to_string()))),
                },
                Reply::Unreadable { number, why } => each(Item::Unreadable(number, why))?,
                Reply::Done => return Ok(()),
                other => return Err(self.unexpected(&other)),
            }
        }
    }

    pub(super) fn order(
        &mut self,
        verb: Verb,
        ids: &[QueueId],
        each: &mut dyn FnMut(&QueueId, Outcome),
    ) -> Result<(), QueueError> {
        for some in ids.chunks(IDS_MAX) {
            self.send(&Request::Order(verb, some.to_vec()))?;
            loop {
                match self.receive()? {
                    Reply::Ordered(id, outcome) => each(&id, outcome),
                    Reply::Done => break,
                    other => return Err(self.unexpected(&other)),
                }
            }
        }
        Ok(())
    }

    pub(super) fn read(
        &mut self,
        id: &QueueId,
        to: &mut dyn FnMut(&Listed, &[u8]) -> io::Result<()>,
    ) -> Result<Option<Box<Listed>>, QueueError> {
        self.send(&Request::Read(id.clone()))?;
        let listed = match self.receive()? {
            Reply::Message { number, state, entry } => match Entry::decode(&entry) {
                Ok(entry) => Box::new(Listed { number, state, entry }),
                Err(error) => return Err(self.broken(invalid(&error.to_string()))),
            },
            Reply::Refused(Cause::NotFound, _) => return Ok(None),
            other => return Err(self.unexpected(&other)),
        };
        loop {
            match self.receive()? {
                Reply::Body(bytes) => to(&listed, &bytes)?,
                Reply::Done => return Ok(Some(listed)),
                other => return Err(self.unexpected(&other)),
            }
        }
    }
}

/// Whether a server that never greeted has gone: it ended with us in its line.
fn is_farewell(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// A server that greets, and nothing else.
    fn greet(path: &Path) {
        let listener = UnixListener::bind(path).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let hello = read_frame(&mut stream, REPLY_BYTES_MAX).unwrap().unwrap();
            assert_eq!(Request::decode(&hello).unwrap(), Request::Hello { version: VERSION });
            stream.write_all(&Reply::Welcome { version: VERSION }.encode()).unwrap();
        });
    }

    #[test]
    fn a_server_that_is_starting_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().to_owned();
        assert!(Connection::awaited(&state).unwrap().is_none());
        let held = pid::hold(&state).unwrap();
        assert!(Connection::open(&state).unwrap().is_none());
        let path = state.join(NAME);
        let later = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            greet(&path);
        });
        assert!(Connection::awaited(&state).unwrap().is_some());
        later.join().unwrap();
        // One that is ending has gone at last.
        let ending = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            drop(held);
        });
        assert!(Connection::awaited(&state).unwrap().is_none());
        assert!(ending.is_finished() || ending.join().is_ok());
    }
    #[test]
    fn a_server_that_ends_before_it_greets_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().to_owned();
        let held = pid::hold(&state).unwrap();
        let unheard = UnixListener::bind(state.join(NAME)).unwrap();
        let ending = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            // Resets the conversation that waits in its line.
            drop(unheard);
            std::thread::sleep(Duration::from_millis(100));
            drop(held);
        });
        assert!(Connection::awaited(&state).unwrap().is_none());
        ending.join().unwrap();
        // One that hears, and hangs up without a word.
        let path = state.join(NAME);
        std::fs::remove_file(&path).unwrap();
        let deaf = UnixListener::bind(&path).unwrap();
        let hung_up = std::thread::spawn(move || drop(deaf.accept().unwrap()));
        assert!(Connection::open(&state).unwrap().is_none());
        hung_up.join().unwrap();
    }
}
