//! An SMTP client that says exactly what it is told to, and waits for one reply at a time.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects, without reading the greeting.
    pub(crate) fn open(address: &str) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        Client::on(stream)
    }

    /// Connects from an address of choice, without reading the greeting.
    pub(crate) fn open_from(from: &str, address: &str) -> io::Result<Client> {
        let from: IpAddr = from.parse().map_err(io::Error::other)?;
        let to: SocketAddr = address.parse().map_err(io::Error::other)?;
        let socket = socket2::Socket::new(socket2::Domain::for_address(to), socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.connect(&to.into())?;
        Client::on(socket.into())
    }

    /// On a connection that somebody else has made.
    pub(crate) fn on(stream: TcpStream) -> io::Result<Client> {
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_nodelay(true)?;
        Ok(Client { stream: BufReader::new(stream) })
    }

    /// Connects, takes the greeting and says EHLO.
    pub(crate) fn hello(address: &str) -> Client {
        Client::try_hello(address).expect("greets")
    }

    pub(crate) fn try_hello(address: &str) -> io::Result<Client> {
        let mut client = Client::open(address)?;
        let greeting = client.reply()?;
        if !greeting.starts_with("220 ") {
            return Err(io::Error::other(greeting));
        }
        client.try_say("EHLO client.example")?;
        Ok(client)
    }

    /// One reply, its lines joined by newlines.
    pub(crate) fn reply(&mut self) -> io::Result<String> {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            reply.push_str(line.trim_end_matches(['\r', '\n']));
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(reply);
            }
            reply.push('\n');
        }
    }

    pub(crate) fn try_say(&mut self, line: &str) -> io::Result<String> {
        self.send(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    pub(crate) fn say(&mut self, line: &str) -> String {
        self.try_say(line).expect("a reply")
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    pub(crate) fn half_close(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).expect("shuts down");
    }

    /// Everything until the server closes.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = String::new();
        // A reset in place of a close leaves what was read.
        let _ = self.stream.read_to_string(&mut rest);
        rest
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// One whole transaction; the first refusal, or the last reply.
    pub(crate) fn mail(&mut self, from: &str, to: &str, content: &str) -> io::Result<String> {
        for line in [format!("MAIL FROM:<{from}>"), format!("RCPT TO:<{to}>")] {
            let reply = self.try_say(&line)?;
            if !reply.starts_with('2') {
                return Ok(reply);
            }
        }
        let reply = self.try_say("DATA")?;
        if !reply.starts_with('3') {
            return Ok(reply);
        }
        self.send(content.replace('\n', "\r\n").as_bytes())?;
        self.try_say("\r\n.")
    }
}
