//! A scripted server of `tcp:` or `socketmap:` tables (tcp_table(5), socketmap_table(5)): answers from a dialogue, and
//! a record of what was asked.
//!
//! A line reads `KEY : ANSWER`, `*` for any other key; lines of one key answer in turn, the last one for good. A key
//! without a line isn't found. Answers in parentheses: `(none)`, `(fail TEXT)` for 400 or TEMP, `(raw TEXT)` with
//! escapes, `(huge)`, `(close)` instead of an answer, `(value, then close) TEXT`, `(silence)`, `(slow 300ms) TEXT`.

use crate::listening::{Listening, Peer, Turns};
use std::io::{BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::dialogue::unescape;

/// Which protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// tcp_table(5).
    Tcp,
    /// socketmap_table(5).
    Socketmap,
}

struct Shared {
    protocol: Protocol,
    lines: Vec<(String, String)>,
    turns: Turns,
    seen: Mutex<Vec<String>>,
}

/// A running server; stops when dropped.
pub struct TableServer {
    shared: Arc<Shared>,
    listening: Listening,
}

/// The protocol and endpoint that `tcp:…`, `socketmap:inet:…` or `socketmap:unix:…` names.
#[must_use]
pub fn endpoint(name: &str) -> Option<(Protocol, &str)> {
    if let Some(at) = name.strip_prefix("tcp:") {
        return Some((Protocol::Tcp, at));
    }
    let at = name.strip_prefix("socketmap:")?;
    Some((Protocol::Socketmap, at.strip_prefix("inet:").or_else(|| at.strip_prefix("unix:"))?))
}

impl TableServer {
    /// Listens at `endpoint`: `address:port`, or a socket's path.
    pub fn start(protocol: Protocol, endpoint: &str, lines: &[String]) -> std::io::Result<TableServer> {
        let lines = lines.iter().filter_map(|line| line.split_once(" : "));
        let lines = lines.map(|(key, answer)| (key.trim().to_owned(), answer.trim().to_owned())).collect();
        let (turns, seen) = (Turns::default(), Mutex::default());
        let shared = Arc::new(Shared { protocol, lines, turns, seen });
        let this = Arc::clone(&shared);
        Ok(TableServer { shared, listening: Listening::start(endpoint, move |stream| this.serve(stream))? })
    }

    /// Where it listens, if by TCP.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.listening.address()
    }

    /// The keys that were asked so far, in order, as they were sent.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn serve(&self, stream: Box<dyn Peer>) {
        let mut stream = BufReader::new(stream);
        while let Some(key) = self.request(&mut stream) {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(key.clone());
            let answer = self.answer(&key);
            let (what, text) = match answer.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
                Some((what, text)) => (what, text.trim_start()),
                None => ("", answer),
            };
            let reply = match what.split_once(' ').unwrap_or((what, "")) {
                ("", _) | ("value,", _) => self.found(text),
                ("none", _) => self.frame("500 not found", "NOTFOUND "),
                ("fail", why) => self.frame(&format!("400 {why}"), &format!("TEMP {why}")),
                ("raw", raw) => unescape(&format!("{raw}\\")).unwrap_or_default(),
                ("huge", _) => self.found(&"x".repeat(200_000)),
                ("slow", pause) => {
                    let pause = pause.strip_suffix("ms").and_then(|ms| ms.parse().ok()).unwrap_or(0);
                    std::thread::sleep(Duration::from_millis(pause));
                    self.found(text)
                }
                ("silence", _) => continue,
                _ => return,
            };
            if stream.get_mut().write_all(&reply).is_err() || what.ends_with("close") {
                return;
            }
        }
    }

    fn found(&self, text: &str) -> Vec<u8> {
        self.frame(&format!("200 {}", text.replace('%', "%25").replace(' ', "%20")), &format!("OK {text}"))
    }

    fn frame(&self, tcp: &str, socketmap: &str) -> Vec<u8> {
        match self.protocol {
            Protocol::Tcp => format!("{tcp}\n").into_bytes(),
            Protocol::Socketmap => format!("{}:{socketmap},", socketmap.len()).into_bytes(),
        }
    }

    /// The key of the next request; for a socketmap, with the map's name.
    fn request(&self, stream: &mut impl Read) -> Option<String> {
        let mut bytes = Vec::new();
        let mut byte = [0];
        let mut until = |end: u8| -> Option<Vec<u8>> {
            bytes.clear();
            loop {
                stream.read_exact(&mut byte).ok()?;
                if byte[0] == end {
                    return Some(bytes.clone());
                }
                bytes.push(byte[0]);
            }
        };
        match self.protocol {
            Protocol::Tcp => {
                let line = String::from_utf8_lossy(&until(b'\n')?).into_owned();
                Some(line.strip_prefix("get ").unwrap_or(&line).to_owned())
            }
            Protocol::Socketmap => {
                let length = String::from_utf8_lossy(&until(b':')?).parse().ok()?;
                let mut text = vec![0; length];
                stream.read_exact(&mut text).ok()?;
                stream.read_exact(&mut byte).ok()?;
                Some(String::from_utf8_lossy(&text).into_owned())
            }
        }
    }

    fn answer(&self, key: &str) -> &str {
        let lines = |key: &str| -> Vec<&str> {
            let of_key = self.lines.iter().filter(|(known, _)| known == key);
            of_key.map(|(_, answer)| answer.as_str()).collect()
        };
        let (key, answers) = match lines(key) {
            answers if answers.is_empty() => ("*", lines("*")),
            answers => (key, answers),
        };
        self.turns.next(key, &answers).unwrap_or("(none)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_in_turn() {
        let lines = ["a : (fail later)", "a : x y", "b : (raw 200 %zz\\n)"].map(str::to_owned);
        let server = TableServer::start(Protocol::Tcp, "127.0.0.1:0", &lines).unwrap();
        let mut peer = std::net::TcpStream::connect(server.address().unwrap()).unwrap();
        let mut ask = |text: &str| {
            peer.write_all(text.as_bytes()).unwrap();
            let mut answer = [0; 100];
            let length = peer.read(&mut answer).unwrap();
            String::from_utf8_lossy(&answer[..length]).into_owned()
        };
        assert_eq!(ask("get a\n"), "400 later\n");
        assert_eq!(ask("get a\n"), "200 x%20y\n");
        assert_eq!(ask("get b\n"), "200 %zz\n");
        assert_eq!(ask("get c\n"), "500 not found\n");
        assert_eq!(server.asked(), ["a", "a", "b", "c"]);
    }

    #[test]
    fn netstrings() {
        let lines = ["m a : v".to_owned()];
        let server = TableServer::start(Protocol::Socketmap, "127.0.0.1:0", &lines).unwrap();
        let mut peer = std::net::TcpStream::connect(server.address().unwrap()).unwrap();
        peer.write_all(b"3:m a,").unwrap();
        let mut answer = [0; 7];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"4:OK v,");
    }
}
