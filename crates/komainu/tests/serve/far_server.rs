//! Servers to which mail is sent: each answers every command with the same words, or hangs up instead.

use crate::site::until;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What a server says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    /// The case's name; the first label of its domain.
    pub(crate) name: &'static str,
    pub(crate) greeting: &'static str,
    pub(crate) ehlo: &'static str,
    pub(crate) helo: &'static str,
    pub(crate) mail: &'static str,
    pub(crate) rcpt: &'static str,
    pub(crate) data: &'static str,
    pub(crate) dot: &'static str,
}

/// The server hangs up instead of answering.
pub(crate) const GONE: &str = "";

/// A server that takes everything.
pub(crate) const KIND: Words = Words {
    name: "kind",
    greeting: "220 x ESMTP",
    ehlo: "250-x\r\n250-PIPELINING\r\n250-SIZE 60000000\r\n250-8BITMIME\r\n250-DSN\r\n250 SMTPUTF8",
    helo: "250 x",
    mail: "250 2.1.0 ok",
    rcpt: "250 2.1.5 ok",
    data: "354 go",
    dot: "250 2.0.0 Ok: queued as ABC",
};

/// A running server.
pub(crate) struct FarServer {
    pub(crate) port: u16,
    /// What was said to it, one text for each connection that is over.
    heard: Arc<Mutex<Vec<String>>>,
    /// How many connections are not over.
    open: Arc<AtomicUsize>,
}

impl FarServer {
    /// Starts one on a free port of 127.0.0.1; it ends with the process.
    pub(crate) fn start(words: Words) -> FarServer {
        FarServer::start_at(0, words)
    }

    /// The same on this port.
    pub(crate) fn start_at(port: u16, words: Words) -> FarServer {
        let socket = TcpListener::bind(("127.0.0.1", port)).expect("binds");
        let port = socket.local_addr().expect("an address").port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let open = Arc::new(AtomicUsize::new(0));
        let (all, here) = (Arc::clone(&heard), Arc::clone(&open));
        std::thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let (all, here) = (Arc::clone(&all), Arc::clone(&here));
                here.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let said = talk(&stream, &words);
                    all.lock().expect("no panic").push(said);
                    here.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        FarServer { port, heard, open }
    }

    /// The same as [`FarServer::heard`], once no connection is open: an outcome is logged before its conversation ends.
    pub(crate) fn heard_at_the_end(&self) -> Vec<String> {
        until("the end of every conversation", || (self.open.load(Ordering::SeqCst) == 0).then_some(()));
        self.heard()
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no panic").clone()
    }
}

/// One conversation; gives what the client said.
fn talk(stream: &TcpStream, words: &Words) -> String {
    let mut heard = String::new();
    let mut out = stream;
    let mut reader = BufReader::new(stream);
    let mut answer = words.greeting;
    let mut in_body = false;
    loop {
        if answer == GONE || write!(out, "{answer}\r\n").is_err() {
            return heard;
        }
        answer = loop {
            let mut line = String::new();
            match reader.by_ref().take(1 << 20).read_line(&mut line) {
                Ok(0) | Err(_) => return heard,
                Ok(_) if heard.len() < 1 << 20 => heard.push_str(&line),
                Ok(_) => {}
            }
            if in_body && line != ".\r\n" {
                continue;
            }
            let verb = line.split([' ', '\r']).next().unwrap_or_default();
            in_body = verb == "DATA" && words.data.starts_with("354");
            break match verb {
                "EHLO" | "LHLO" => words.ehlo,
                "HELO" => words.helo,
                "MAIL" => words.mail,
                "RCPT" => words.rcpt,
                "DATA" => words.data,
                "." => words.dot,
                "QUIT" => {
                    let _ = write!(out, "221 bye\r\n");
                    return heard;
                }
                _ => "250 ok",
            };
        };
    }
}
