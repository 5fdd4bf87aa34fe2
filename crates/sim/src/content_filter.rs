//! A small content filter: an SMTP server that marks each message and hands it to another server, as Amavis does.
//!
//! It answers the end of a message when the other server has; what holds the word `EICAR` it refuses. XFORWARD is passed
//! on where the other server wants it. No queue, no choice, no script: [`crate::next_hop`] has those. FILTER_README.

use crate::listening::{Listening, Peer};
use std::io::{BufRead, BufReader, Error, ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long the other server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running filter; stops when dropped.
pub struct ContentFilter {
    _listening: Listening,
}

/// What a message's commands were, and its lines.
#[derive(Default)]
struct Message {
    commands: Vec<String>,
    content: Vec<u8>,
}

impl ContentFilter {
    /// Listens at `endpoint`, hands mail to `to`: `address:port` both.
    ///
    /// # Errors
    /// The system's.
    pub fn start(endpoint: &str, to: &str) -> std::io::Result<ContentFilter> {
        let to = to.to_owned();
        let serve = move |stream: Box<dyn Peer>| {
            // How it ends is seen from what comes out at the other side.
            let _ = talk(stream, &to);
        };
        Ok(ContentFilter { _listening: Listening::start(endpoint, serve)? })
    }
}

fn talk(stream: Box<dyn Peer>, to: &str) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let say = |stream: &mut BufReader<Box<dyn Peer>>, text: &str| {
        stream.get_mut().write_all(format!("{text}\r\n").as_bytes())
    };
    say(&mut stream, "220 filter.test ESMTP")?;
    let (mut message, mut forwards) = (Message::default(), Vec::new());
    loop {
        let line = line(&mut stream)?;
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => say(
                &mut stream,
                "250-filter.test\r\n250-8BITMIME\r\n250-DSN\r\n250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE",
            )?,
            "XFORWARD" => {
                forwards.push(line);
                say(&mut stream, "250 2.0.0 Ok")?;
            }
            "MAIL" | "RCPT" => {
                message.commands.push(line);
                say(&mut stream, "250 2.1.0 Ok")?;
            }
            "RSET" => {
                message = Message::default();
                say(&mut stream, "250 2.0.0 Ok")?;
            }
            "DATA" => {
                say(&mut stream, "354 End data with <CR><LF>.<CR><LF>")?;
                while !message.content.ends_with(b"\r\n.\r\n") && message.content != b".\r\n" {
                    if stream.read_until(b'\n', &mut message.content)? == 0 {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                }
                let answer = judge(&message, &forwards, to);
                say(&mut stream, &answer)?;
                (message, forwards) = (Message::default(), Vec::new());
            }
            "QUIT" => return say(&mut stream, "221 2.0.0 Bye"),
            _ => say(&mut stream, "502 5.5.2 Error: command not recognized")?,
        }
    }
}

fn line(stream: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
}

/// The answer to a message.
fn judge(message: &Message, forwards: &[String], to: &str) -> String {
    if message.content.windows(5).any(|five| five == b"EICAR") {
        return "554 5.7.0 Reject, id=1 - VIRUS: EICAR".to_owned();
    }
    match hand_on(message, forwards, to) {
        Ok(reply) => {
            let (code, dsn) = if reply.starts_with('2') { ("250", "2.0.0") } else { ("451", "4.5.0") };
            format!("{code} {dsn} from MTA(smtp:[{to}]): {reply}")
        }
        Err(error) => format!("451 4.5.0 no MTA at {to}: {error}"),
    }
}

/// Hands a message to the other server; its last words.
fn hand_on(message: &Message, forwards: &[String], to: &str) -> std::io::Result<String> {
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut reply = |said: &[u8]| -> std::io::Result<Vec<String>> {
        stream.get_mut().write_all(said)?;
        let mut lines = Vec::new();
        loop {
            let line = line(&mut stream)?;
            let is_last = line.get(3..4) != Some("-");
            lines.push(line);
            if is_last {
                return Ok(lines);
            }
        }
    };
    reply(b"")?;
    let features = reply(b"EHLO filter.test\r\n")?;
    let wants = features.iter().any(|line| line.get(4..).is_some_and(|line| line.starts_with("XFORWARD")));
    let forwards = forwards.iter().filter(|_| wants);
    for command in forwards.chain(&message.commands).map(String::as_str).chain(["DATA"]) {
        let said = reply(format!("{command}\r\n").as_bytes())?;
        let last = said.last().cloned().unwrap_or_default();
        if !last.starts_with(['2', '3']) {
            return Ok(last);
        }
    }
    let content = [b"X-Filtered: filter.test\r\n".as_slice(), &message.content].concat();
    let said = reply(&content)?.pop().ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))?;
    // It has the message already.
    let _ = reply(b"QUIT\r\n");
    Ok(said)
}
