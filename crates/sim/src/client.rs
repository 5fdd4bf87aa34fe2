//! The client's side of a session: plays the steps, gathers what the server said.
//!
//! It knows replies (lines, the last without `-`), nothing else of SMTP.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::ops::Range;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::dialogue::{Dialogue, Step};
use crate::pattern;
use crate::protected::{Offer, Protected};

/// What a played session came to.
#[derive(Debug, Default)]
pub struct Played {
    /// Differences, told with line numbers.
    pub faults: Vec<String>,
    /// Lines of the file and what they should read.
    pub changes: Vec<(Range<usize>, Vec<String>)>,
    /// Queue ids that the server named.
    pub queue_ids: Vec<String>,
    /// Whether the connection is to stay open.
    pub left: bool,
}

/// How to play: whose expectation lines count.
#[derive(Clone, Copy, Debug)]
pub struct Audience<'a> {
    /// `postfix` or `komainu`.
    pub backend: &'a str,
    /// Whether expectations are to be written anew.
    pub update: bool,
}

/// How a fault begins that a busy machine can be the reason for.
pub const LATE: &str = "late";

/// The server said nothing for this long: it never will.
const PATIENCE: Duration = Duration::from_secs(8);

/// A connection to a server, however it is made.
pub trait Stream {
    /// Some bytes; none when the server has closed. [`ErrorKind::WouldBlock`]: it said nothing for `patience`.
    fn read(&mut self, bytes: &mut [u8], patience: Duration) -> std::io::Result<usize>;
    /// Sends everything.
    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()>;
    /// Sends no more.
    fn half_close(&mut self);
    /// Is gone.
    fn close(&mut self);
}

impl Stream for TcpStream {
    fn read(&mut self, bytes: &mut [u8], patience: Duration) -> std::io::Result<usize> {
        self.set_read_timeout(Some(patience))?;
        Read::read(self, bytes)
    }

    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.write_all(bytes)
    }

    fn half_close(&mut self) {
        let _ = self.shutdown(Shutdown::Write);
    }

    fn close(&mut self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// What is left of a connection whose handshake has failed.
struct Nothing;

impl Stream for Nothing {
    fn read(&mut self, _: &mut [u8], _: Duration) -> std::io::Result<usize> {
        Ok(0)
    }
    fn send(&mut self, _: &[u8]) -> std::io::Result<()> {
        Err(ErrorKind::NotConnected.into())
    }
    fn half_close(&mut self) {}
    fn close(&mut self) {}
}

/// A connection with the bytes not yet taken as lines.
pub struct Line {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    closed: bool,
}

/// Connects from an address, again and again until the server listens.
pub fn connect(client: IpAddr, server: SocketAddr) -> std::io::Result<TcpStream> {
    let until = Instant::now() + Duration::from_secs(3);
    loop {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(client, 0).into())?;
        match socket.connect(&server.into()) {
            Ok(()) => {
                let stream = TcpStream::from(socket);
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

impl Line {
    /// A connection on which nothing was said yet.
    #[must_use]
    pub fn new(stream: Box<dyn Stream>) -> Line {
        Line { stream, buffer: Vec::new(), closed: false }
    }

    /// Makes a TLS handshake; what the server said before it is forgotten.
    fn protect(&mut self, offer: &Offer) -> std::io::Result<()> {
        self.buffer.clear();
        let clear = std::mem::replace(&mut self.stream, Box::new(Nothing));
        let outcome = Protected::new(clear, offer, PATIENCE);
        self.closed = outcome.is_err();
        self.stream = Box::new(outcome?);
        Ok(())
    }

    /// One line without its end; `None` when the server closed or says nothing.
    fn read(&mut self, patience: Duration) -> Option<String> {
        let until = Instant::now() + patience;
        loop {
            if let Some(at) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=at).collect();
                let line = String::from_utf8_lossy(&line).into_owned();
                let line = line.strip_suffix('\n').unwrap_or(&line);
                return Some(line.strip_suffix('\r').map_or_else(|| format!("{line}\\n"), str::to_owned));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes, left) {
                Ok(0) => {
                    self.closed = true;
                    return None;
                }
                Ok(length) => self.buffer.extend_from_slice(bytes.get(..length).unwrap_or(&[])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(_) => {
                    self.closed = true;
                    return None;
                }
            }
        }
    }

    /// One reply: lines up to one without `-` behind its code.
    fn reply(&mut self, patience: Duration) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.read(patience) {
            let more = line.as_bytes().get(3) == Some(&b'-');
            lines.push(line);
            if !more {
                break;
            }
        }
        lines
    }
}

/// Plays steps of `dialogue` over a connection.
pub fn play(dialogue: &Dialogue, steps: &[Step], line: &mut Line, audience: Audience<'_>) -> Played {
    let mut played = Played::default();
    let mut slow = false;
    let mut sent = Instant::now();
    let mut took = Duration::ZERO;
    for step in steps {
        match step {
            Step::Send(bytes) => {
                sent = Instant::now();
                // A server that has hung up shows in what it says next.
                let _ = if slow { drip(line.stream.as_mut(), bytes) } else { line.stream.send(bytes) };
            }
            Step::Expect(range) => {
                expect(dialogue, range, audience, (line, &mut played));
                took = sent.elapsed();
                if took >= PATIENCE && !line.closed {
                    break;
                }
            }
            Step::HalfClose => line.stream.half_close(),
            Step::Close => {
                line.stream.close();
                line.closed = true;
            }
            Step::Leave => {
                played.left = true;
                return played;
            }
            Step::Closed => {
                let rest = line.read(PATIENCE);
                if let Some(text) = rest {
                    played.faults.push(format!("the server goes on: {text}"));
                } else if !line.closed {
                    played.faults.push("the server keeps the connection open".to_owned());
                }
            }
            Step::Protect { offer, succeeds } => {
                let outcome = line.protect(offer);
                if let Err(error) = &outcome
                    && *succeeds
                {
                    played.faults.push(format!("no TLS: {error}"));
                    break;
                } else if outcome.is_ok() && !succeeds {
                    played.faults.push("the handshake succeeds".to_owned());
                }
            }
            Step::Wait(time) => std::thread::sleep(*time),
            Step::Slow(on) => slow = *on,
            Step::Took(low, high) => {
                if took < *low {
                    played.faults.push(format!("took {took:?}, less than {low:?}"));
                } else if took > *high {
                    played.faults.push(format!("{LATE}: took {took:?}, more than {high:?}"));
                }
            }
        }
    }
    if !line.closed {
        let more = line.reply(Duration::from_millis(if audience.update { 150 } else { 2 }));
        if !more.is_empty() {
            played.faults.push(format!("one more reply at the end: {}", more.join(" / ")));
        }
    }
    played
}

fn drip(stream: &mut dyn Stream, bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes {
        stream.send(&[*byte])?;
        std::thread::sleep(Duration::from_micros(300));
    }
    Ok(())
}

/// The expectation lines of this back end, without their mark.
fn expected(lines: &[String], backend: &str) -> Vec<String> {
    lines
        .iter()
        .filter_map(|line| {
            let rest = line.strip_prefix('<')?;
            match rest.strip_prefix(' ') {
                Some(text) => Some(text),
                None if rest.is_empty() => Some(""),
                None => rest.strip_prefix(backend)?.strip_prefix(' '),
            }
        })
        .map(str::to_owned)
        .collect()
}

/// Lines grouped into replies; a line `…` is a reply of its own: any.
fn replies(lines: Vec<String>) -> Vec<Vec<String>> {
    let mut replies: Vec<Vec<String>> = Vec::new();
    let mut open = false;
    for line in lines {
        let more = line.as_bytes().get(3) == Some(&b'-');
        match replies.last_mut() {
            Some(reply) if open => reply.push(line),
            _ => replies.push(vec![line]),
        }
        open = more;
    }
    replies
}

fn expect(
    dialogue: &Dialogue,
    range: &Range<usize>,
    audience: Audience<'_>,
    (line, played): (&mut Line, &mut Played),
) {
    let wanted = replies(expected(dialogue.range(range), audience.backend));
    let mut actual = Vec::new();
    for _ in &wanted {
        let reply = line.reply(PATIENCE);
        if reply.is_empty() {
            break;
        }
        actual.push(reply);
    }
    for text in actual.iter().flatten() {
        if let Some(at) = text.find("queued as ") {
            played.queue_ids.push(text.get(at + 10..).unwrap_or("").to_owned());
        }
    }
    let same = |(wanted, actual): (&Vec<String>, &Vec<String>)| {
        wanted.as_slice() == ["…"] || pattern::lines_match(wanted, actual)
    };
    if wanted.len() == actual.len() && wanted.iter().zip(&actual).all(same) {
        return;
    }
    let special = dialogue.range(range).iter().any(|line| line.len() > 1 && !line.starts_with("< "));
    if audience.update && !special {
        let mut new = Vec::new();
        for pair in wanted.iter().zip(&actual) {
            let lines = if same(pair) { pair.0 } else { pair.1 };
            new.extend(lines.iter().map(|text| format!("< {}", pattern::normalise(text, &played.queue_ids))));
        }
        if line.closed && actual.len() < wanted.len() {
            new.push("! closed".to_owned());
        }
        played.changes.push((range.clone(), new));
        return;
    }
    let (wanted, actual) = (wanted.concat(), actual.concat());
    let state = if line.closed { " (and the server hung up)" } else { "" };
    played.faults.push(format!(
        "line {}: expected\n      {}\n    got{state}\n      {}",
        range.start + 1,
        wanted.join("\n      "),
        actual.join("\n      ")
    ));
}
