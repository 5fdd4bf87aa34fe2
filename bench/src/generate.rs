//! The load: many clients at once, each with a connection of its own for each message, as strangers come.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpSocket;

/// What is sent.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// Clients at once.
    pub(crate) connections: usize,
    /// Sessions in all.
    pub(crate) count: usize,
    /// The clients' address.
    pub(crate) from: Ipv4Addr,
    /// The recipient; `%` becomes a number below 50.
    pub(crate) to: &'static str,
    /// The message's size; 0 where the recipient is to be refused.
    pub(crate) body_bytes: usize,
}

/// How it went.
pub(crate) struct Outcome {
    /// Sessions that ended as they should.
    pub(crate) done: usize,
    /// The first reply that should not have come.
    pub(crate) unexpected: Option<String>,
}

/// The server.
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 25);

/// Plays the load; gives up after five minutes.
pub(crate) fn run(load: &Load) -> Result<Outcome, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let (next, load) = (Arc::new(AtomicUsize::new(0)), *load);
        let body: Arc<str> = body(load.body_bytes).into();
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..load.connections {
            clients.spawn(client(load, Arc::clone(&next), Arc::clone(&body)));
        }
        let mut outcome = Outcome { done: 0, unexpected: None };
        let all = async {
            while let Some(client) = clients.join_next().await {
                match client {
                    Ok(Ok(done)) => outcome.done += done,
                    Ok(Err(reply)) => outcome.unexpected = Some(reply),
                    Err(error) => outcome.unexpected = Some(error.to_string()),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(300), all)
            .await
            .map_err(|_| "the load takes too long".to_owned())?;
        Ok(outcome)
    })
}

fn body(bytes: usize) -> String {
    let mut body = String::from("Subject: load\r\nMessage-Id: <load@client.example>\r\n\r\n");
    while body.len() < bytes {
        body.push_str("The quick brown fox jumps over the lazy dog, and again, and once more for luck.\r\n");
    }
    body + ".\r\n"
}

async fn client(load: Load, next: Arc<AtomicUsize>, body: Arc<str>) -> Result<usize, String> {
    let mut done = 0;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= load.count {
            return Ok(done);
        }
        session(&load, number, &body).await?;
        done += 1;
    }
}

async fn session(load: &Load, number: usize, body: &str) -> Result<(), String> {
    let socket = TcpSocket::new_v4().map_err(|e| e.to_string())?;
    socket.set_reuseaddr(true).map_err(|e| e.to_string())?;
    socket.bind(SocketAddr::new(load.from.into(), 0)).map_err(|e| e.to_string())?;
    let stream = socket.connect(SERVER).await.map_err(|e| e.to_string())?;
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let mut stream = BufReader::new(stream);
    expect(&mut stream, "220").await?;
    let to = load.to.replace('%', &(number % 50).to_string());
    let commands = [
        ("EHLO client.example\r\n".to_owned(), "250"),
        ("MAIL FROM:<load@client.example>\r\n".to_owned(), "250"),
    ];
    for (command, code) in commands {
        say(&mut stream, &command).await?;
        expect(&mut stream, code).await?;
    }
    say(&mut stream, &format!("RCPT TO:<{to}>\r\n")).await?;
    if load.body_bytes == 0 {
        expect(&mut stream, "554").await?;
    } else {
        expect(&mut stream, "250").await?;
        say(&mut stream, "DATA\r\n").await?;
        expect(&mut stream, "354").await?;
        say(&mut stream, body).await?;
        expect(&mut stream, "250").await?;
    }
    say(&mut stream, "QUIT\r\n").await?;
    expect(&mut stream, "221").await
}

async fn say(stream: &mut BufReader<tokio::net::TcpStream>, text: &str) -> Result<(), String> {
    stream.write_all(text.as_bytes()).await.map_err(|e| e.to_string())
}

async fn expect(stream: &mut BufReader<tokio::net::TcpStream>, code: &str) -> Result<(), String> {
    let mut line = String::new();
    loop {
        line.clear();
        let read = stream.read_line(&mut line).await.map_err(|e| e.to_string())?;
        if read == 0 {
            return Err("connection closed".to_owned());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            break;
        }
    }
    if line.starts_with(code) { Ok(()) } else { Err(line) }
}
