//! A scripted milter (protocol version 6, the filter's side): answers from a dialogue, and a record of what it heard.
//!
//! A line reads `WORDS : ANSWER && ANSWER …` for an event that begins with WORDS, as [`Shared::serve`] renders it:
//! `connect`, `helo`, `mail`, `rcpt`, `data`, `header`, `eoh`, `body`, `eom`, `unknown`; lines of the same words answer
//! in turn, the last one for good; without a line it continues. Answers are the protocol's words and misbehaviour:
//! see tests/dialogues/README.md. `(options) : version=6 actions=0x1ff steps=0x0 rcpt={rcpt_addr}` is what it
//! negotiates, `(hear) : body eom` what is recorded besides all else.

use crate::dialogue::unescape;
use crate::listening::{Listening, Peer, Turns};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The longest text of a body that is recorded as it is.
const SHOWN_MAX: usize = 200;
/// The longest packet that it reads.
const PACKET_MAX: usize = 2 << 20;
/// Which stages have lists of macros, as numbered in the protocol.
const STAGES: [&str; 7] = ["connect", "helo", "mail", "rcpt", "data", "eom", "eoh"];
/// Commands, and the bit of the steps that says that nobody answers them.
const COMMANDS: [(u8, &str, u32); 10] = [
    (b'C', "connect", 0x1000),
    (b'H', "helo", 0x2000),
    (b'M', "mail", 0x4000),
    (b'R', "rcpt", 0x8000),
    (b'T', "data", 0x1_0000),
    (b'U', "unknown", 0x2_0000),
    (b'N', "eoh", 0x4_0000),
    (b'B', "body", 0x8_0000),
    (b'L', "header", 0x80),
    (b'E', "eom", 0),
];

struct Shared {
    lines: Vec<(String, String)>,
    turns: Turns,
    heard: Mutex<Vec<Vec<String>>>,
}

/// A running milter; stops when dropped.
pub struct Milter {
    shared: Arc<Shared>,
    listening: Listening,
}

/// What a milter negotiates.
struct Options {
    version: u32,
    actions: u32,
    steps: u32,
    /// Lists of macros: the stage's number and the names.
    symbols: Vec<(u32, String)>,
}

impl Milter {
    /// Listens at `endpoint`: `address:port`, or a socket's path.
    pub fn start(endpoint: &str, lines: &[String]) -> std::io::Result<Milter> {
        let lines = lines.iter().filter_map(|line| line.split_once(" : "));
        let lines = lines.map(|(event, answer)| (event.trim().to_owned(), answer.trim().to_owned()));
        let (turns, heard) = (Turns::default(), Mutex::default());
        let shared = Arc::new(Shared { lines: lines.collect(), turns, heard });
        let this = Arc::clone(&shared);
        Ok(Milter { shared, listening: Listening::start(endpoint, move |stream| this.serve(stream))? })
    }

    /// Where it listens, if by TCP.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.listening.address()
    }

    /// What it has heard so far, connection by connection.
    #[must_use]
    pub fn heard(&self) -> Vec<String> {
        let heard = self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().flatten().cloned().collect()
    }
}

impl Shared {
    fn serve(&self, mut stream: Box<dyn Peer>) {
        let number = {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.push(vec!["(connect)".to_owned()]);
            heard.len() - 1
        };
        let note = |line: String| {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(lines) = heard.get_mut(number) {
                lines.push(line);
            }
        };
        let mut steps = 0;
        while let Some((command, body)) = packet(&mut stream) {
            let text = rendered(command, &body);
            note(text.clone());
            match command {
                b'O' => {
                    let answers = self.answers("(options)");
                    if !answers.is_empty() && answers.starts_with('(') {
                        if !self.say(&mut stream, &answers) {
                            break;
                        }
                        continue;
                    }
                    let options = options(&answers);
                    steps = options.steps;
                    if send(&mut stream, b'O', &options.bytes()).is_none() {
                        break;
                    }
                    continue;
                }
                b'D' | b'A' | b'K' => continue,
                b'Q' => break,
                _ => {}
            }
            let known = COMMANDS.iter().find(|(letter, ..)| *letter == command);
            if known.is_some_and(|(.., silent)| steps & silent != 0) {
                continue;
            }
            if !self.say(&mut stream, &self.answers(&text)) {
                break;
            }
        }
        note("(end)".to_owned());
    }

    /// The answers to an event; in turn where it has several lines.
    fn answers(&self, event: &str) -> String {
        let matching = |words: &str| event.starts_with(words);
        let Some((words, _)) = self.lines.iter().find(|(words, _)| matching(words)) else {
            return String::new();
        };
        let all: Vec<&String> =
            self.lines.iter().filter(|(known, _)| known == words).map(|(_, answer)| answer).collect();
        self.turns.next(words, &all).cloned().unwrap_or_default()
    }

    /// Gives the answers; whether the connection goes on.
    fn say(&self, stream: &mut Box<dyn Peer>, answers: &str) -> bool {
        if answers.is_empty() {
            return send(stream, b'c', b"").is_some();
        }
        answers.split(" && ").all(|answer| give(stream, answer.trim()).is_some())
    }
}

/// One answer; `None` where the connection is over.
fn give(stream: &mut Box<dyn Peer>, answer: &str) -> Option<()> {
    let (word, rest) = answer.split_once(' ').unwrap_or((answer, ""));
    let text = unescape(&format!("{rest}\\"))?;
    let zero = |bytes: &[u8]| [bytes, b"\0"].concat();
    let field = |text: &str| -> Option<Vec<u8>> {
        let (name, value) = text.split_once(':')?;
        let value = unescape(&format!("{}\\", value.strip_prefix(' ').unwrap_or(value)))?;
        Some([name.as_bytes(), b"\0", &value, b"\0"].concat())
    };
    let indexed = |text: &str| -> Option<Vec<u8>> {
        let (index, header) = text.split_once(' ')?;
        Some([&index.parse::<u32>().ok()?.to_be_bytes()[..], &field(header)?].concat())
    };
    let with_arguments = |text: &str| match text.split_once(' ') {
        Some((address, arguments)) => zero(format!("{address}\0{arguments}").as_bytes()),
        None => zero(text.as_bytes()),
    };
    match word {
        "continue" => send(stream, b'c', b""),
        "accept" => send(stream, b'a', b""),
        "reject" => send(stream, b'r', b""),
        "tempfail" => send(stream, b't', b""),
        "discard" => send(stream, b'd', b""),
        "skip" => send(stream, b's', b""),
        "progress" => send(stream, b'p', b""),
        "shutdown" => send(stream, b'4', b""),
        "connfail" => send(stream, b'f', b""),
        "reply" => send(stream, b'y', &zero(&text)),
        "add" => send(stream, b'h', &field(rest)?),
        "insert" => send(stream, b'i', &indexed(rest)?),
        "change" => send(stream, b'm', &indexed(rest)?),
        "body" => send(stream, b'b', &text),
        "addrcpt" if rest.contains(' ') => send(stream, b'2', &with_arguments(rest)),
        "addrcpt" => send(stream, b'+', &zero(&text)),
        "delrcpt" => send(stream, b'-', &zero(&text)),
        "from" => send(stream, b'e', &with_arguments(rest)),
        "quarantine" => send(stream, b'q', &zero(&text)),
        "(close)" => None,
        "(silence)" => {
            // Until the other side gives up.
            let mut sink = [0; 1024];
            while stream.read(&mut sink).ok()? > 0 {}
            None
        }
        "(wait" => {
            let pause = rest.strip_suffix("ms)").and_then(|ms| ms.parse().ok()).unwrap_or(0);
            std::thread::sleep(Duration::from_millis(pause));
            Some(())
        }
        "(raw)" => stream.write_all(&text).ok(),
        "(packet)" => send(stream, *text.first()?, text.get(1..)?),
        _ => None,
    }
}

/// The next packet: its letter and what belongs to it.
fn packet(stream: &mut Box<dyn Peer>) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).ok()?;
    let length = usize::try_from(u32::from_be_bytes(head)).ok().filter(|length| *length <= PACKET_MAX)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let command = *body.first()?;
    Some((command, body.get(1..)?.to_vec()))
}

fn send(stream: &mut Box<dyn Peer>, letter: u8, body: &[u8]) -> Option<()> {
    let length = u32::try_from(body.len() + 1).ok()?;
    // In one write: what is measured here is the other side.
    let bytes = [&length.to_be_bytes()[..], &[letter], body].concat();
    stream.write_all(&bytes).ok()
}

fn number(text: &str) -> u32 {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).unwrap_or(0),
        None => text.parse().unwrap_or(0),
    }
}

fn options(text: &str) -> Options {
    let mut options = Options { version: 6, actions: 0x1ff, steps: 0, symbols: Vec::new() };
    let mut words = text.split(' ').filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "version" => options.version = number(value),
            "actions" => options.actions = number(value),
            "steps" => options.steps = number(value),
            _ => {
                let stage = STAGES.iter().position(|stage| *stage == name).unwrap_or(0);
                let mut list = value.to_owned();
                while let Some(more) = words.next_if(|next| !next.contains('=')) {
                    list = format!("{list} {more}");
                }
                options.symbols.push((u32::try_from(stage).unwrap_or(0), list));
            }
        }
    }
    options
}

impl Options {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            [self.version, self.actions, self.steps].iter().flat_map(|n| n.to_be_bytes()).collect();
        for (stage, list) in &self.symbols {
            bytes.extend(stage.to_be_bytes());
            bytes.extend(list.as_bytes());
            bytes.push(0);
        }
        bytes
    }
}

/// An event as dialogues spell it.
fn rendered(command: u8, body: &[u8]) -> String {
    let strings = |bytes: &[u8]| -> Vec<String> {
        bytes.strip_suffix(b"\0").unwrap_or(bytes).split(|b| *b == 0).map(visible).collect()
    };
    let words = |bytes: &[u8]| if bytes.is_empty() { String::new() } else { strings(bytes).join(" ") };
    let four = |at: usize| {
        let bytes = body.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        u32::from_be_bytes(bytes.unwrap_or_default())
    };
    match command {
        b'O' => format!("options version={} actions={:#x} steps={:#x}", four(0), four(4), four(8)),
        b'D' => {
            let stage = body.first().copied().unwrap_or(0);
            let name = COMMANDS.iter().find(|(letter, ..)| *letter == stage).map_or("?", |(_, name, _)| name);
            let strings = strings(body.get(1..).unwrap_or_default());
            let pairs: Vec<String> = strings.chunks(2).map(|pair| pair.join("=")).collect();
            format!("macros {name}: {}", pairs.join(" ")).trim_end().to_owned()
        }
        b'C' => {
            let end = body.iter().position(|b| *b == 0).unwrap_or(body.len());
            let name = visible(body.get(..end).unwrap_or_default());
            let family = body.get(end + 1).copied().unwrap_or(b'?');
            let port = body.get(end + 2..end + 4).and_then(|bytes| bytes.try_into().ok());
            let port = port.map_or(0, u16::from_be_bytes);
            // Its value is chance.
            let port = if port == 0 { "0" } else { "port" };
            let address = words(body.get(end + 4..).unwrap_or_default());
            format!("connect {name} {} {port} {address}", char::from(family))
        }
        b'L' => match strings(body).as_slice() {
            [name, value] => format!("header {name}:{value}"),
            other => format!("header {}", other.join(" ")),
        },
        b'B' if body.len() > SHOWN_MAX => format!("body of {} bytes", body.len()),
        b'B' => format!("body {}", visible(body)),
        b'A' => "abort".to_owned(),
        b'Q' => "quit".to_owned(),
        b'K' => "quit, new connection".to_owned(),
        _ => match COMMANDS.iter().find(|(letter, ..)| *letter == command) {
            Some((_, name, _)) => format!("{name} {}", words(body)).trim_end().to_owned(),
            None => format!("command {command:#x} {}", words(body)),
        },
    }
}

/// Text with everything spelt out that isn't printable ASCII.
fn visible(bytes: &[u8]) -> String {
    let mut out = String::new();
    for &byte in bytes {
        match byte {
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x20..0x7f => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_hears() {
        let lines =
            ["(options) : version=6 actions=0x1 steps=0x4000 rcpt=i {x}", "helo b : reply 550 5.7.1 no"];
        let milter = Milter::start("127.0.0.1:0", &lines.map(str::to_owned)).unwrap();
        let stream = std::net::TcpStream::connect(milter.address().unwrap()).unwrap();
        let mut stream: Box<dyn Peer> = Box::new(stream);
        let mut ask = |letter: u8, body: &[u8]| {
            send(&mut stream, letter, body).unwrap();
            packet(&mut stream).unwrap()
        };
        let offer = [6u32, 0x1ff, 0x1f_ffff].iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<_>>();
        let (letter, body) = ask(b'O', &offer);
        assert_eq!((letter, body.len()), (b'O', 12 + 4 + 6));
        assert_eq!(ask(b'H', b"a\0"), (b'c', vec![]));
        assert_eq!(ask(b'H', b"b\0"), (b'y', b"550 5.7.1 no\0".to_vec()));
        assert_eq!(
            milter.heard(),
            ["(connect)", "options version=6 actions=0x1ff steps=0x1fffff", "helo a", "helo b"]
        );
    }
}
