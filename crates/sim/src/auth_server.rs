//! A scripted authentication server (Dovecot's auth protocol): mechanisms and answers from a dialogue.
//!
//! `mech NAME flag …` lines are the handshake. A rule reads `TEXT : ANSWER`; TEXT is what the client said, decoded, with
//! `|` for each NUL, `(none)` where AUTH came alone, or `*` for anything. ANSWER is `OK user=…`, `CONT TEXT`, `FAIL user=… reason=…` with `_` for
//! each space within a value, or misbehaves: `(close)`, `(silence)`, `(raw LINE)`, in which `ID` is the request's number
//! and `\t` a tab.

use crate::listening::{Listening, Peer};
use mail::base64;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;

struct Script {
    mechanisms: Vec<String>,
    rules: Vec<(String, String)>,
}

/// A running authentication server; stops when dropped.
pub struct AuthServer {
    listening: Listening,
}

impl AuthServer {
    /// Listens at `endpoint`: `address:port`, or a socket's path.
    pub fn start(endpoint: &str, lines: &[String]) -> std::io::Result<AuthServer> {
        let mechanisms = lines.iter().filter_map(|line| line.strip_prefix("mech "));
        let mechanisms =
            mechanisms.map(|line| line.split_whitespace().collect::<Vec<_>>().join("\t")).collect();
        let rules = lines.iter().filter_map(|line| line.split_once(" : "));
        let rules = rules.map(|(text, answer)| (text.trim().to_owned(), answer.trim().to_owned())).collect();
        let script = Script { mechanisms, rules };
        Ok(AuthServer { listening: Listening::start(endpoint, move |stream| script.serve(stream))? })
    }

    /// Where it listens, if by TCP.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.listening.address()
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
            let bytes = crate::dialogue::unescape(raw).unwrap_or_default();
            let line = String::from_utf8_lossy(&bytes).trim_end_matches("\r\n").replace("ID", id);
            return Some(line + "\n");
        }
        match answer.split_once(' ').unwrap_or((answer, "")) {
            ("(close)", _) => None,
            ("(silence)", _) => Some(String::new()),
            ("CONT", challenge) => Some(format!("CONT\t{id}\t{}\n", base64::encode(challenge.as_bytes()))),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive() {
        for (text, encoded) in
            [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("\0joe\0x", "AGpvZQB4")]
        {
            assert_eq!(base64::encode(text.as_bytes()), encoded);
            assert_eq!(shown(encoded), text.replace('\0', "|"));
        }
    }
}
