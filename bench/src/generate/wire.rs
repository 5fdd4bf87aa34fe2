//! One client's connection: says a line, waits for a whole reply. No buffer grows past a reply's length.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A reply longer than this is an error.
const REPLY_BYTES_MAX: usize = 8192;

pub(crate) struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

/// The end of the first whole reply in `bytes`, and the start of its last line.
fn whole(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut start = 0;
    loop {
        let rest = bytes.get(start..)?;
        let end = start + rest.iter().position(|byte| *byte == b'\n')? + 1;
        if rest.get(3) != Some(&b'-') {
            return Some((end, start));
        }
        start = end;
    }
}

impl Wire {
    /// Connects from `from`.
    pub(crate) async fn open(from: Ipv4Addr) -> Result<Wire, String> {
        let socket = TcpSocket::new_v4().map_err(|e| format!("socket: {e}"))?;
        socket.set_reuseaddr(true).map_err(|e| e.to_string())?;
        socket.bind(SocketAddr::new(IpAddr::V4(from), 0)).map_err(|e| format!("bind: {e}"))?;
        let stream = socket.connect(crate::world::SERVER).await.map_err(|e| format!("connect: {e}"))?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        Ok(Wire { stream, read: Vec::new() })
    }

    /// The last line of the next reply, without its end.
    pub(crate) async fn reply(&mut self) -> Result<String, String> {
        loop {
            if let Some((end, last)) = whole(&self.read) {
                let line = String::from_utf8_lossy(self.read.get(last..end).unwrap_or_default());
                let line = line.trim_end().to_owned();
                self.read.drain(..end);
                return Ok(line);
            }
            if self.read.len() > REPLY_BYTES_MAX {
                return Err("an endless reply".to_owned());
            }
            self.read.reserve(512);
            match self.stream.read_buf(&mut self.read).await {
                Ok(0) => return Err("connection closed".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(format!("read: {error}")),
            }
        }
    }

    /// Says something.
    pub(crate) async fn say(&mut self, text: &str) -> Result<(), String> {
        self.stream.write_all(text.as_bytes()).await.map_err(|e| format!("write: {e}"))
    }

    /// Sends bytes as they are.
    pub(crate) async fn say_bytes(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).await.map_err(|e| format!("write: {e}"))
    }

    /// Waits for a reply that begins with `code`.
    pub(crate) async fn expect(&mut self, code: &str) -> Result<String, String> {
        let line = self.reply().await?;
        if line.starts_with(code) { Ok(line) } else { Err(line) }
    }

    /// Says a line and waits for a reply that begins with `code`.
    pub(crate) async fn ask(&mut self, text: &str, code: &str) -> Result<String, String> {
        self.say(text).await?;
        self.expect(code).await
    }

    /// Takes whatever comes until the server closes, and says how that was.
    pub(crate) async fn left(&mut self) -> String {
        let mut last = String::new();
        loop {
            match self.reply().await {
                Ok(line) => last = line,
                Err(end) => return format!("{last}; {end}"),
            }
        }
    }

    /// Waits until the server closes, at most this long.
    pub(crate) async fn closed(&mut self, at_most: Duration) {
        let mut rest = [0; 512];
        let end = async { while !matches!(self.stream.read(&mut rest).await, Ok(0) | Err(_)) {} };
        // Closed or not, the client goes.
        let _ = tokio::time::timeout(at_most, end).await;
    }
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn replies_of_several_lines() {
        assert_eq!(whole(b"220 x"), None);
        assert_eq!(whole(b"220 x\r\n"), Some((7, 0)));
        assert_eq!(whole(b"250-a\r\n250 b\r\n354"), Some((14, 7)));
        assert_eq!(whole(b"250-a\r\n250-b\r\n"), None);
        assert_eq!(whole(b""), None);
    }
}
