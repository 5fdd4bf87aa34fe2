//! A mail server that takes everything, at every address of the world; at those of `10.66.0.0/16` it takes the
//! connection and then says nothing, for ever.
//!
//! In a process of its own (`bench sink`), so that its CPU is nobody else's. It isn't SMTP in any more than looks.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// The subcommand.
pub(crate) const WORD: &str = "sink";
/// Where it listens.
pub(crate) const PORT: u16 = 2526;
/// The second part of the addresses that answer, and of those that hang.
pub(crate) const ANSWERS: u8 = 65;
pub(crate) const HANGS: u8 = 66;

/// The address of a flood's destination: a tenth of them hangs.
pub(crate) fn address(number: u32) -> Ipv4Addr {
    let [_, _, c, d] = number.to_be_bytes();
    Ipv4Addr::new(10, if number.is_multiple_of(10) { HANGS } else { ANSWERS }, c, d)
}

/// Starts it; it ends with the namespace.
pub(crate) fn start() -> Result<(), String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let started = Command::new(program).arg(WORD).stdin(Stdio::null()).spawn();
    started.map(drop).map_err(|e| format!("sink: {e}"))
}

/// Its life.
pub(crate) fn command() -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
        let listener = listen(address).map_err(|e| format!("sink: {e}"))?;
        let mut silent = Vec::new();
        loop {
            // Out of descriptors: it is tried again when one has come free.
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            };
            match stream.local_addr() {
                Ok(SocketAddr::V4(at)) if at.ip().octets().get(1) == Some(&HANGS) => silent.push(stream),
                _ => drop(tokio::spawn(serve(stream))),
            }
            if silent.len() > 12_000 {
                silent.drain(..6_000);
            }
        }
    })
}

/// As long a queue of connections as the kernel allows: who comes while it is full may believe that he is connected, and
/// is never heard. The servers of a flood come with thousands at once.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(65_535)
}

async fn serve(mut stream: TcpStream) {
    // Nothing depends on it.
    let _ = stream.set_nodelay(true);
    let (mut waiting, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
    let (mut is_content, mut said) = (false, b"220 sink.example ESMTP\r\n".to_vec());
    loop {
        if stream.write_all(&said).await.is_err() {
            return;
        }
        said.clear();
        let Ok(count @ 1..) = stream.read(&mut piece).await else { return };
        waiting.extend_from_slice(piece.get(..count).unwrap_or_default());
        if answer(&mut waiting, &mut is_content, &mut said) {
            let _ = stream.write_all(&said).await;
            return;
        }
    }
}

/// Answers whole lines; whether it was QUIT.
fn answer(waiting: &mut Vec<u8>, is_content: &mut bool, said: &mut Vec<u8>) -> bool {
    loop {
        let end: &[u8] = if *is_content { b"\r\n.\r\n" } else { b"\r\n" };
        let Some(at) = waiting.windows(end.len()).position(|window| window == end) else { return false };
        let line: Vec<u8> = waiting.drain(..at + end.len()).collect();
        if std::mem::take(is_content) {
            said.extend_from_slice(b"250 2.0.0 Ok\r\n");
            continue;
        }
        let word = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        said.extend_from_slice(match word.as_slice() {
            b"EHLO" => b"250-sink.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
            b"DATA" => {
                *is_content = true;
                // The end of an empty message has no line before it.
                b"354 go on\r\n"
            }
            b"QUIT" => b"221 2.0.0 Bye\r\n",
            _ => b"250 2.0.0 Ok\r\n",
        });
        if word == b"QUIT" {
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_like_a_server() {
        let (mut waiting, mut is_content, mut said) = (Vec::new(), false, Vec::new());
        let mut say = |text: &str| {
            waiting.extend_from_slice(text.as_bytes());
            let quits = answer(&mut waiting, &mut is_content, &mut said);
            (String::from_utf8(std::mem::take(&mut said)).expect("text"), quits)
        };
        assert_eq!(say("MAIL FROM:<a>\r\nRCPT TO:<b>\r\nDA").0.matches("250").count(), 2);
        assert_eq!(say("TA\r\n").0, "354 go on\r\n");
        assert_eq!(say("Subject: x\r\n\r\nQUIT\r\n.\r"), (String::new(), false));
        assert_eq!(say("\nQUIT\r\n"), ("250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n".to_owned(), true));
    }
}
