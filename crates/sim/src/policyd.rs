//! A scripted policy server (the delegation protocol of SMTPD_POLICY_README): rules from a dialogue, and a record of
//! what was asked.
//!
//! A rule reads `name=value name=value : action`; the first whose conditions hold answers. Actions in
//! parentheses misbehave: `(close)` hangs up, `(garbage)` answers nonsense, `(silence)` says nothing.

use crate::listening::{Listening, Peer};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug)]
struct Rule {
    conditions: Vec<(String, String)>,
    action: String,
}

/// One request's attributes, in order.
pub type Request = Vec<(String, String)>;

struct Shared {
    rules: Vec<Rule>,
    seen: Mutex<Vec<Request>>,
}

/// A running policy server; stops when dropped.
pub struct PolicyServer {
    shared: Arc<Shared>,
    listening: Listening,
}

impl PolicyServer {
    /// Listens at `endpoint`: `address:port`, or a socket's path.
    pub fn start(endpoint: &str, lines: &[String]) -> std::io::Result<PolicyServer> {
        let rules =
            lines.iter().filter(|line| !line.trim().is_empty()).map(|line| parse_rule(line)).collect();
        let shared = Arc::new(Shared { rules, seen: Mutex::default() });
        let this = Arc::clone(&shared);
        Ok(PolicyServer { shared, listening: Listening::start(endpoint, move |stream| this.serve(stream))? })
    }

    /// Where it listens, if by TCP.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.listening.address()
    }

    /// What was asked so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn parse_rule(line: &str) -> Rule {
    let (head, action) = line.split_once(" : ").unwrap_or(("", line.trim_start_matches([':', ' '])));
    let conditions = head
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Rule { conditions, action: action.trim().to_owned() }
}

impl Shared {
    fn serve(&self, stream: Box<dyn Peer>) {
        let mut stream = BufReader::new(stream);
        let mut request = Request::new();
        let mut line = String::new();
        loop {
            line.clear();
            match stream.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if let Some((name, value)) = line.trim_end_matches('\n').split_once('=') {
                request.push((name.to_owned(), value.to_owned()));
                continue;
            }
            let holds = |rule: &&Rule| rule.conditions.iter().all(|condition| request.contains(condition));
            let action = self.rules.iter().find(holds).map_or("DUNNO", |rule| rule.action.as_str());
            let answer = match action {
                "(close)" => String::new(),
                "(garbage)" => "what?\n\n".to_owned(),
                "(silence)" => String::new(),
                action => format!("action={action}\n\n"),
            };
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut request));
            if action == "(close)" || stream.get_mut().write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn first_rule_answers() {
        let rules = ["recipient=a@b.c protocol_state=RCPT : REJECT no".to_owned(), ": DUNNO".to_owned()];
        let server = PolicyServer::start("127.0.0.1:15354", &rules).unwrap();
        let mut peer = std::net::TcpStream::connect("127.0.0.1:15354").unwrap();
        let mut ask = |text: &str| {
            peer.write_all(text.as_bytes()).unwrap();
            let mut answer = [0; 100];
            let length = peer.read(&mut answer).unwrap();
            String::from_utf8_lossy(&answer[..length]).into_owned()
        };
        assert_eq!(ask("protocol_state=RCPT\nrecipient=a@b.c\n\n"), "action=REJECT no\n\n");
        assert_eq!(ask("protocol_state=DATA\n\n"), "action=DUNNO\n\n");
        assert_eq!(server.requests().len(), 2);
    }
}
