//! Dovecot's authentication protocol, the side of a server that asks (doc.dovecot.org, "Auth protocol", 1.0 to 1.2).
//!
//! [`Lines`] cuts what comes into [`Said`]; [`hello`], [`start`], [`respond`] and [`cancel`] are what is sent. Requests
//! carry numbers, so that many are under way on one connection. Values stay as they are escaped: what Dovecot says
//! about a user is logged and compared as Postfix does it. Sockets, time-outs and who waits for which number are the
//! program's. T0.2.

use super::{Flags, Mechanism};

/// The longest line that is taken: what Dovecot itself takes is 8 kB, with room for its attributes.
pub const LINE_BYTES_MAX: usize = 16 * 1024;
/// Mechanisms that a handshake may name.
pub const MECHANISMS_MAX: usize = 64;

/// One line of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// `VERSION`: its major number.
    Version(u32),
    /// `MECH`
    Mechanism(Mechanism),
    /// `DONE`: the handshake is over.
    Done,
    /// `OK`, `CONT` or `FAIL` to a request.
    Answer(u32, Answer),
    /// Something that doesn't matter here: `SPID`, `CUID`, `COOKIE`.
    Other,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The client is who it says.
    Ok {
        /// `user=`; without it the answer is of no use.
        username: Option<String>,
    },
    /// The client is to be asked more.
    Continue {
        /// Base64 text, as it came; without it the answer is of no use.
        challenge: Option<String>,
    },
    /// It is not.
    Fail {
        /// `user=`
        username: Option<String>,
        /// `reason=`
        reason: Option<String>,
        /// `temp`: it couldn't be found out.
        temporary: bool,
    },
}

/// What is told about a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start<'a> {
    /// The mechanism, one of those offered.
    pub mechanism: &'a str,
    /// `smtpd_sasl_service`
    pub service: &'a str,
    /// The server's address and port.
    pub local: (&'a str, u16),
    /// The client's.
    pub remote: (&'a str, u16),
    /// The session is encrypted.
    pub secured: bool,
    /// The initial response: base64 text; empty for `=`.
    pub initial: Option<&'a str>,
}

/// The first line from a server isn't this protocol's, or it is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A line over [`LINE_BYTES_MAX`].
    #[error("the line is too long")]
    TooLong,
    /// Another major version.
    #[error("protocol version mismatch")]
    Version,
}

/// What is said first on a connection; `pid` tells connections apart in Dovecot's log.
#[must_use]
pub fn hello(pid: u32) -> Vec<u8> {
    format!("VERSION\t1\t1\nCPID\t{pid}\n").into_bytes()
}

/// A new request.
#[must_use]
pub fn start(id: u32, start: &Start<'_>) -> Vec<u8> {
    let (service, mechanism) = (escaped(start.service), escaped(start.mechanism));
    let mut line = format!("AUTH\t{id}\t{mechanism}\tservice={service}\tnologin");
    let (address, port) = start.local;
    line.push_str(&format!("\tlip={}\tlport={port}", escaped(address)));
    let (address, port) = start.remote;
    line.push_str(&format!("\trip={}\trport={port}", escaped(address)));
    if start.secured {
        line.push_str("\tsecured");
    }
    if let Some(initial) = start.initial {
        // RFC 4954 §4: `=` is an empty response, which is nothing between the tabs. It must come last.
        line.push_str(&format!("\tresp={}", escaped(initial)));
    }
    line.push('\n');
    line.into_bytes()
}

/// The client's answer to a challenge: base64 text.
#[must_use]
pub fn respond(id: u32, response: &str) -> Vec<u8> {
    format!("CONT\t{id}\t{}\n", escaped(response)).into_bytes()
}

/// A request that nobody waits for any more.
#[must_use]
pub fn cancel(id: u32) -> Vec<u8> {
    format!("CANCEL\t{id}\n").into_bytes()
}

/// A value in which nothing ends the field or the line.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\0' => text.push_str("\u{1}0"),
            '\u{1}' => text.push_str("\u{1}1"),
            '\t' => text.push_str("\u{1}t"),
            '\r' => text.push_str("\u{1}r"),
            '\n' => text.push_str("\u{1}n"),
            c => text.push(c),
        }
    }
    text
}

/// What has come and isn't whole.
#[derive(Debug, Default)]
pub struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Takes bytes and gives the whole lines in them.
    ///
    /// # Errors
    /// What makes the connection useless.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Vec<Said>, Fault> {
        let mut said = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            self.grow(line)?;
            let line = std::mem::take(&mut self.pending);
            said.push(read(&String::from_utf8_lossy(&line))?);
        }
        self.grow(rest)?;
        Ok(said)
    }

    fn grow(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.pending.len() + bytes.len() > LINE_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }
}

fn read(line: &str) -> Result<Said, Fault> {
    let mut fields = line.split('\t');
    let word = fields.next().unwrap_or_default();
    match word {
        "VERSION" => match fields.next().and_then(|major| major.parse().ok()) {
            Some(1) => Ok(Said::Version(1)),
            _ => Err(Fault::Version),
        },
        "MECH" => Ok(mechanism(fields).map_or(Said::Other, Said::Mechanism)),
        "DONE" => Ok(Said::Done),
        "OK" | "CONT" | "FAIL" => {
            let Some(id) = fields.next().and_then(|id| id.parse().ok()) else { return Ok(Said::Other) };
            Ok(Said::Answer(id, answer(word, fields)))
        }
        _ => Ok(Said::Other),
    }
}

fn mechanism<'a>(mut fields: impl Iterator<Item = &'a str>) -> Option<Mechanism> {
    let name = fields.next()?;
    // RFC 4422 §3.1 has capitals only; it is printed in a reply, so it is a word in any case.
    if name.is_empty() || name.len() > 64 || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let flags = fields.fold(Flags::default(), |flags, word| flags | Flags::named(word));
    Some(Mechanism { name: name.to_owned(), flags })
}

fn answer<'a>(word: &str, fields: impl Iterator<Item = &'a str>) -> Answer {
    if word == "CONT" {
        let mut fields = fields;
        let printable = |text: &&str| text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        return Answer::Continue { challenge: fields.next().filter(printable).map(str::to_owned) };
    }
    let (mut username, mut reason, mut temporary) = (None, None, false);
    for field in fields {
        match field.split_once('=') {
            Some(("user", value)) => username = Some(value.to_owned()),
            Some(("reason", value)) => reason = Some(value.to_owned()),
            None if field == "temp" => temporary = true,
            Some(("code", "temp_fail")) => temporary = true,
            _ => {}
        }
    }
    if word == "OK" { Answer::Ok { username } } else { Answer::Fail { username, reason, temporary } }
}

/// For fuzzing: bytes of a server, in one piece and cut in two, and texts of a client as fields.
pub fn fuzz(bytes: &[u8]) {
    let whole = Lines::default().take(bytes);
    let mut lines = Lines::default();
    let (one, two) = bytes.split_at(bytes.len() / 2);
    let cut = lines.take(one).and_then(|mut said| {
        said.extend(lines.take(two)?);
        Ok(said)
    });
    assert_eq!(whole, cut, "how it is cut up doesn't matter");
    let text = String::from_utf8_lossy(bytes);
    let sent = start(
        7,
        &Start {
            mechanism: &text,
            service: &text,
            local: ("192.0.2.1", 25),
            remote: (&text, 1),
            secured: true,
            initial: Some(&text),
        },
    );
    assert_eq!(sent.iter().filter(|&&byte| byte == b'\n').count(), 1, "a request is one line");
    assert_eq!(sent.iter().filter(|&&byte| byte == b'\t').count(), 10, "and has its fields");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(text: &str) -> Vec<Said> {
        Lines::default().take(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_handshake() {
        let text = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tSCRAM-SHA-256\tforward-secrecy\tmutual-auth\tnew\n\
                    MECH\t\nSPID\t12\nCUID\t1\nCOOKIE\tab\nDONE\n";
        let mechanism = |name: &str, flags| Said::Mechanism(Mechanism { name: name.to_owned(), flags });
        let expect = [
            Said::Version(1),
            mechanism("PLAIN", Flags::PLAINTEXT),
            mechanism("SCRAM-SHA-256", Flags::FORWARD_SECRECY | Flags::MUTUAL_AUTH),
            Said::Other,
            Said::Other,
            Said::Other,
            Said::Other,
            Said::Done,
        ];
        assert_eq!(said(text), expect);
        assert_eq!(Lines::default().take(b"VERSION\t2\t0\n"), Err(Fault::Version));
        assert_eq!(Lines::default().take(&[b'x'; LINE_BYTES_MAX + 1]), Err(Fault::TooLong));
    }

    #[test]
    fn answers() {
        let fail = |username: Option<&str>, reason: Option<&str>, temporary| Answer::Fail {
            username: username.map(str::to_owned),
            reason: reason.map(str::to_owned),
            temporary,
        };
        let check = |line: &str, expect: Answer| {
            assert_eq!(said(&format!("{line}\n")), [Said::Answer(3, expect)], "{line}");
        };
        check("OK\t3\tuser=joe\tx=1", Answer::Ok { username: Some("joe".to_owned()) });
        check("OK\t3", Answer::Ok { username: None });
        check("CONT\t3\tYQ==", Answer::Continue { challenge: Some("YQ==".to_owned()) });
        check("CONT\t3\t", Answer::Continue { challenge: Some(String::new()) });
        check("CONT\t3", Answer::Continue { challenge: None });
        check("CONT\t3\ta\rb", Answer::Continue { challenge: None });
        check("FAIL\t3", fail(None, None, false));
        check("FAIL\t3\tuser=a=b\treason=no way\ttemp", fail(Some("a=b"), Some("no way"), true));
        check("FAIL\t3\tuser=a\u{1}tb\tcode=temp_fail", fail(Some("a\u{1}tb"), None, true));
        assert_eq!(said("OK\tx\tuser=joe\nFAIL\n\n"), [Said::Other, Said::Other, Said::Other]);
    }

    #[test]
    fn requests() {
        let mut one = Start {
            mechanism: "PLAIN",
            service: "smtp",
            local: ("192.0.2.1", 25),
            remote: ("2001:db8::1", 4711),
            secured: false,
            initial: None,
        };
        let text = |start_: &Start<'_>| String::from_utf8(start(9, start_)).unwrap();
        let head =
            "AUTH\t9\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.1\tlport=25\trip=2001:db8::1\trport=4711";
        assert_eq!(text(&one), format!("{head}\n"));
        (one.secured, one.initial) = (true, Some("YQ=="));
        assert_eq!(text(&one), format!("{head}\tsecured\tresp=YQ==\n"));
        assert_eq!(respond(9, ""), b"CONT\t9\t\n");
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            fuzz(&bytes);
        }

        #[test]
        fn nearly_lines(text in "((OK|CONT|FAIL|MECH|VERSION|DONE)(\t(1|user=a|temp|PLAIN|reason=)){0,4}\n?){0,4}") {
            fuzz(text.as_bytes());
        }
    }
}
