//! A scripted authentication server (Dovecot's auth protocol): mechanisms and answers from a dialogue.
//!
//! `mech NAME flag …` lines are the handshake. A rule reads `TEXT : ANSWER`; TEXT is what the client said, decoded, with
//! `|` for each NUL, `(none)` where AUTH came alone, or `*` for anything. ANSWER is `OK user=…`, `CONT TEXT`, `FAIL user=… reason=…` with `_` for
//! each space within a value, or misbehaves: `(close)`, `(silence)`, `(raw LINE)`, in which `ID` is the request's number
//! and `\t` a tab.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

struct Script {
    mechanisms: Vec<String>,
    rules: Vec<(String, String)>,
    stop: AtomicBool,
}

/// A running authentication server; stops when dropped.
pub struct AuthServer {
    script: Arc<Script>,
    address: Option<SocketAddr>,
    thread: Option<std::thread::JoinHandle<()>>,
}

trait Peer: Read + Write + Send {}
impl<T: Read + Write + Send> Peer for T {}

type Accept = Box<dyn Fn() -> std::io::Result<Box<dyn Peer>> + Send>;

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

impl AuthServer {
    /// Listens at `endpoint`: `address:port`, or a socket's path.
    pub fn start(endpoint: &str, lines: &[String]) -> std::io::Result<AuthServer> {
        let mechanisms = lines.iter().filter_map(|line| line.strip_prefix("mech "));
        let mechanisms =
            mechanisms.map(|line| line.split_whitespace().collect::<Vec<_>>().join("\t")).collect();
        let rules = lines.iter().filter_map(|line| line.split_once(" : "));
        let rules = rules.map(|(text, answer)| (text.trim().to_owned(), answer.trim().to_owned())).collect();
        let script = Arc::new(Script { mechanisms, rules, stop: AtomicBool::new(false) });
        let (accept, address) = listen(endpoint)?;
        let this = Arc::clone(&script);
        let thread = std::thread::spawn(move || {
            while !this.stop.load(Ordering::Relaxed) {
                match accept() {
                    Ok(stream) => {
                        let this = Arc::clone(&this);
                        std::thread::spawn(move || this.serve(stream));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Ok(AuthServer { script, address, thread: Some(thread) })
    }

    /// Where it listens, if by TCP.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

impl Drop for AuthServer {
    fn drop(&mut self) {
        self.script.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Script {
    fn serve(&self, stream: Box<dyn Peer>) {
        let mut stream = BufReader::new(stream);
        let mechanisms: String = self.mechanisms.iter().map(|line| format!("MECH\t{line}\n")).collect();
        let hello = format!("VERSION\t1\t2\n{mechanisms}SPID\t1\nCUID\t1\nCOOKIE\t00\nDONE\n");
        if stream.get_mut().write_all(hello.as_bytes()).is_err() {
            return;
        }
        let mut line = String::new();
        loop {
            line.clear();
            match stream.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let fields: Vec<&str> = line.trim_end_matches('\n').split('\t').collect();
            let said = match fields.as_slice() {
                ["AUTH", id, ..] => (id, fields.iter().find_map(|field| field.strip_prefix("resp="))),
                ["CONT", id, text] => (id, Some(*text)),
                _ => continue,
            };
            let text = said.1.map_or_else(|| "(none)".to_owned(), shown);
            match self.answer(said.0, &text) {
                Some(answer) => {
                    if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
                None => return,
            }
        }
    }

    /// `None` hangs up.
    fn answer(&self, id: &str, text: &str) -> Option<String> {
        let rule = self.rules.iter().find(|(pattern, _)| pattern == text || pattern == "*");
        let answer = rule.map_or("FAIL", |(_, answer)| answer.as_str());
        if let Some(raw) = answer.strip_prefix("(raw ").and_then(|raw| raw.strip_suffix(')')) {
            return Some(raw.replace("\\t", "\t").replace("ID", id) + "\n");
        }
        match answer.split_once(' ').unwrap_or((answer, "")) {
            ("(close)", _) => None,
            ("(silence)", _) => Some(String::new()),
            ("CONT", challenge) => Some(format!("CONT\t{id}\t{}\n", base64(challenge.as_bytes()))),
            (word, fields) => {
                let fields = fields.split_whitespace().map(|field| format!("\t{}", field.replace('_', " ")));
                Some(format!("{word}\t{id}{}\n", fields.collect::<String>()))
            }
        }
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A client's text as rules have it; nonsense is nothing.
fn shown(text: &str) -> String {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in text.bytes().filter_map(|byte| DIGITS.iter().position(|&digit| digit == byte)) {
        bits = (bits << 6) | u32::try_from(digit).unwrap_or(0);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).unwrap_or(0));
        }
    }
    String::from_utf8_lossy(&bytes).replace('\0', "|")
}

/// RFC 4648 §4; dialogues write what clients say in the clear.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let at = |n: usize| u32::from(chunk.get(n).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for n in 0..4 {
            let digit = usize::try_from((bits >> (18 - 6 * n)) & 63).unwrap_or(0);
            let digit = DIGITS.get(digit).copied().unwrap_or(b'A');
            text.push(if n <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive() {
        for (text, encoded) in
            [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("\0joe\0x", "AGpvZQB4")]
        {
            assert_eq!(base64(text.as_bytes()), encoded);
            assert_eq!(shown(encoded), text.replace('\0', "|"));
        }
    }
}
