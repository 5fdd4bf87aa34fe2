//! A scripted server that mail is sent to (SMTP or LMTP): answers from a dialogue, and a record of what was said to it.
//!
//! A line reads `WORDS : ANSWER`: who says something that begins with WORDS gets ANSWER, with `>` escapes and so that
//! `\r\n` makes several lines. `(connect)` is the greeting, `.` the end of the message. Lines of the same WORDS answer
//! in turn, over all connections, the last one for good. Without a line for it a command is answered as by a plain
//! server without extensions. ANSWER may begin with what goes wrong, see [`Manner`]. RFC 5321, RFC 2033.

use crate::dialogue::unescape;
use crate::listening::{Listening, Peer, Turns};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How an answer is given.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Manner {
    /// At once.
    Plain,
    /// `(close)`: the connection is closed, behind the answer where there is one.
    Close,
    /// `(silence)`: never.
    Silence,
    /// `(slow 10ms)`: a byte at a time.
    Slow(Duration),
    /// `(after 10ms)`: late.
    After(Duration),
    /// `(read 1000)`: as the answer to DATA, the connection is closed behind so many bytes of the message.
    Read(usize),
    /// `(drip 1ms)`: as the answer to DATA, the message is read byte by byte.
    Drip(Duration),
    /// `(endless)`: over and over, until the client has gone.
    Endless,
}

struct Line {
    words: String,
    manner: Manner,
    answer: Vec<u8>,
}

/// What was said over one connection, line by line.
type Heard = Vec<Vec<u8>>;

struct Shared {
    lines: Vec<Line>,
    turns: Turns,
    heard: Mutex<Vec<Heard>>,
}

/// A running server; stops when dropped.
pub struct NextHop {
    shared: Arc<Shared>,
    listening: Listening,
}

/// Lines of one message that are remembered.
const LINES_MAX: usize = 20_000;

impl NextHop {
    /// Listens at `endpoint`: `address:port`, or a socket's path.
    pub fn start(endpoint: &str, lines: &[String]) -> Result<NextHop, String> {
        let wanted = lines.iter().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let lines = wanted.map(|line| parse(line).ok_or_else(|| format!("cannot read: {line}")));
        let lines = lines.collect::<Result<Vec<Line>, String>>()?;
        let shared = Arc::new(Shared { lines, turns: Turns::default(), heard: Mutex::default() });
        let this = Arc::clone(&shared);
        let listening = Listening::start(endpoint, move |stream| this.serve(stream));
        Ok(NextHop { shared, listening: listening.map_err(|error| error.to_string())? })
    }

    /// Where it listens, if by TCP.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.listening.address()
    }

    /// What was said so far, in the order of the connections; each begins with `(connect)`.
    #[must_use]
    pub fn heard(&self) -> Vec<String> {
        let heard = self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = Vec::new();
        for connection in heard.iter() {
            lines.push("(connect)".to_owned());
            lines.extend(connection.iter().map(|line| visible(line)));
        }
        lines
    }
}

/// A line with everything spelt out that isn't printable ASCII; a missing CR is a `\` at the end.
fn visible(line: &[u8]) -> String {
    let (text, end) = match (line.strip_suffix(b"\r\n"), line.strip_suffix(b"\n")) {
        (Some(text), _) => (text, ""),
        (None, Some(text)) => (text, "\\n"),
        (None, None) => (line, "\\"),
    };
    let mut out = String::new();
    for byte in text {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\t' => out.push('\t'),
            b' '..=b'~' => out.push(char::from(*byte)),
            other => out.push_str(&format!("\\x{other:02x}")),
        }
    }
    out + end
}

fn parse(line: &str) -> Option<Line> {
    let (words, answer) = line.split_once(" :")?;
    let (words, answer) = (words.trim().to_owned(), answer.strip_prefix(' ').unwrap_or(answer));
    let (manner, answer) = match answer.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((manner, answer)) => (parse_manner(manner)?, answer.strip_prefix(' ').unwrap_or(answer)),
        None => (Manner::Plain, answer),
    };
    let answer = if answer.is_empty() { Vec::new() } else { unescape(answer)? };
    Some(Line { words, manner, answer })
}

fn parse_manner(text: &str) -> Option<Manner> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let time = || Some(Duration::from_millis(rest.strip_suffix("ms")?.parse().ok()?));
    Some(match word {
        "close" => Manner::Close,
        "silence" => Manner::Silence,
        "slow" => Manner::Slow(time()?),
        "after" => Manner::After(time()?),
        "read" => Manner::Read(rest.parse().ok()?),
        "drip" => Manner::Drip(time()?),
        "endless" => Manner::Endless,
        _ => return None,
    })
}

/// What a server says that nobody has told otherwise.
fn usual(command: &str) -> &'static [u8] {
    match command {
        "(connect)" => b"220 hop.test ESMTP\r\n",
        "EHLO" | "HELO" | "LHLO" => b"250 hop.test\r\n",
        "MAIL" => b"250 2.1.0 Ok\r\n",
        "RCPT" => b"250 2.1.5 Ok\r\n",
        "DATA" => b"354 End data with <CR><LF>.<CR><LF>\r\n",
        "." => b"250 2.0.0 Ok: queued as HOP\r\n",
        "QUIT" => b"221 2.0.0 Bye\r\n",
        "RSET" | "NOOP" | "XFORWARD" => b"250 2.0.0 Ok\r\n",
        _ => b"502 5.5.2 Error: command not recognized\r\n",
    }
}

/// One connection.
struct Talk<'a> {
    shared: &'a Shared,
    at: usize,
    stream: BufReader<Box<dyn Peer>>,
    /// It speaks LMTP, and so many recipients were taken.
    lmtp: bool,
    accepted: usize,
}

impl Shared {
    fn serve(&self, stream: Box<dyn Peer>) {
        let at = {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.push(Vec::new());
            heard.len() - 1
        };
        let mut talk = Talk { shared: self, at, stream: BufReader::new(stream), lmtp: false, accepted: 0 };
        // How it ends is seen from what was heard.
        let _ = talk.run();
    }

    /// The answer to what was said.
    fn answer(&self, said: &str) -> (Manner, Vec<u8>) {
        let verb = said.split([' ', ':']).next().unwrap_or_default();
        let of_this = |line: &&Line| said.starts_with(line.words.as_str());
        let Some(first) = self.lines.iter().filter(of_this).max_by_key(|line| line.words.len()) else {
            return (Manner::Plain, usual(verb).to_vec());
        };
        let all: Vec<&Line> = self.lines.iter().filter(|line| line.words == first.words).collect();
        let line = self.turns.next(&first.words, &all).unwrap_or(first);
        let is_usual = line.answer.is_empty() && !matches!(line.manner, Manner::Close | Manner::Silence);
        (line.manner.clone(), if is_usual { usual(verb).to_vec() } else { line.answer.clone() })
    }
}

impl Talk<'_> {
    fn run(&mut self) -> std::io::Result<()> {
        let mut said = "(connect)".to_owned();
        loop {
            let (manner, answer) = self.shared.answer(&said);
            let verb = said.split([' ', ':']).next().unwrap_or_default();
            self.lmtp |= verb == "LHLO";
            match verb {
                "RCPT" if answer.starts_with(b"2") => self.accepted += 1,
                "MAIL" | "RSET" => self.accepted = 0,
                _ => {}
            }
            self.give(&manner, &answer)?;
            if manner == Manner::Close || verb == "QUIT" {
                return Ok(());
            }
            if verb == "DATA" && answer.starts_with(b"354") {
                self.content(&manner)?;
                // RFC 2033 §4.2: an answer for each recipient; the script's turns go on.
                for _ in 1..if self.lmtp { self.accepted } else { 1 } {
                    let (manner, answer) = self.shared.answer(".");
                    self.give(&manner, &answer)?;
                    if manner == Manner::Close {
                        return Ok(());
                    }
                }
                ".".clone_into(&mut said);
                continue;
            }
            let line = self.line()?;
            said = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        }
    }

    fn give(&mut self, manner: &Manner, answer: &[u8]) -> std::io::Result<()> {
        let out = self.stream.get_mut();
        match manner {
            Manner::Silence => Ok(()),
            Manner::Slow(pause) => answer.chunks(1).try_for_each(|byte| {
                std::thread::sleep(*pause);
                out.write_all(byte)
            }),
            Manner::After(pause) => {
                std::thread::sleep(*pause);
                out.write_all(answer)
            }
            Manner::Endless => loop {
                out.write_all(answer)?;
            },
            Manner::Plain | Manner::Close | Manner::Read(_) | Manner::Drip(_) => out.write_all(answer),
        }
    }

    fn line(&mut self) -> std::io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.hear(&line);
        Ok(line)
    }

    fn hear(&self, line: &[u8]) {
        let mut heard = self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(heard) = heard.get_mut(self.at).filter(|heard| heard.len() < LINES_MAX) {
            heard.push(line.to_vec());
        }
    }

    /// The message, up to its dot.
    fn content(&mut self, manner: &Manner) -> std::io::Result<()> {
        match manner {
            Manner::Read(count) => {
                let mut some = vec![0; *count];
                self.stream.read_exact(&mut some)?;
                self.hear(format!("({count} bytes)\r\n").as_bytes());
                Err(std::io::ErrorKind::UnexpectedEof.into())
            }
            Manner::Drip(pause) => {
                let mut line = Vec::new();
                let mut byte = [0];
                while line != b".\r\n" {
                    if line.ends_with(b"\n") {
                        self.hear(&std::mem::take(&mut line));
                    }
                    std::thread::sleep(*pause);
                    self.stream.read_exact(&mut byte)?;
                    line.extend_from_slice(&byte);
                }
                self.hear(&line);
                Ok(())
            }
            _ => {
                while self.line()? != b".\r\n" {}
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn follows_its_script() {
        let lines = [
            "EHLO : 250-hop\\r\\n250 DSN",
            "RCPT TO:<a : 550 no",
            "RCPT TO:<a : 250 yes",
            "RSET : (close) 421 x",
        ];
        let hop = NextHop::start("127.0.0.1:0", &lines.map(str::to_owned)).unwrap();
        let mut out = TcpStream::connect(hop.address().unwrap()).unwrap();
        let said = "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<b@b>\r\nRCPT TO:<a@c>\r\nDATA\r\n\\\x01\n.\r\nRSET\r\n";
        out.write_all(said.as_bytes()).unwrap();
        let mut answers = String::new();
        out.read_to_string(&mut answers).unwrap();
        let codes: Vec<&str> = answers.lines().filter_map(|line| line.get(..4)).collect();
        let wanted = ["220 ", "250-", "250 ", "250 ", "550 ", "250 ", "250 ", "354 ", "250 ", "421 "];
        assert_eq!(codes, wanted);
        assert_eq!(hop.heard()[6..], ["DATA", "\\\\\\x01\\n", ".", "RSET"]);
        assert!(NextHop::start("127.0.0.1:0", &["EHLO : (what) x".to_owned()]).is_err());
    }
}
