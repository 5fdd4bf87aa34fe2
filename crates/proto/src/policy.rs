//! The policy delegation protocol (SMTPD_POLICY_README): `name=value` lines, an empty line, `action=…`.
//!
//! Both sides: [`Attributes`] is written by a client and read by a server; [`Reader`] takes either from
//! bytes as they come, bounded. Which attributes there are, and what an action means, isn't known here.

use std::fmt;

/// The most that one message may take.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// `name=value` lines in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Vec<(String, String)>);

/// Why bytes are no policy message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Longer than [`MESSAGE_BYTES_MAX`].
    #[error("message longer than {MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    /// A line without `=`, or with bytes that are no text.
    #[error("malformed attribute line: {0}")]
    Line(String),
    /// A reply must be one `action=` and nothing else.
    #[error("expected one attribute \"action\", got: {0}")]
    Reply(String),
    /// The other side closed in the middle, or before it said anything.
    #[error("lost connection")]
    Closed,
}

impl Attributes {
    /// None yet.
    #[must_use]
    pub fn new() -> Attributes {
        Attributes::default()
    }

    /// Adds one. What would end the line or the message early becomes `?`.
    pub fn push(&mut self, name: &str, value: &str) {
        let clean = |text: &str| text.replace(['\n', '\r', '\0'], "?");
        self.0.push((clean(name).replace('=', "?"), clean(value)));
    }

    /// The last value of that name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A server's reply.
    #[must_use]
    pub fn reply(action: &str) -> Attributes {
        let mut reply = Attributes::new();
        reply.push("action", action);
        reply
    }

    /// The action, where this is a reply.
    ///
    /// # Errors
    /// Where there is anything else than one `action`.
    pub fn into_action(self) -> Result<String, ReadError> {
        match <[(String, String); 1]>::try_from(self.0) {
            Ok([(name, action)]) if name == "action" => Ok(action),
            Ok([(name, _)]) => Err(ReadError::Reply(name)),
            Err(all) => {
                Err(ReadError::Reply(all.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ")))
            }
        }
    }
}

impl fmt::Display for Attributes {
    /// As it goes over the wire, the empty line included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            writeln!(f, "{name}={value}")?;
        }
        writeln!(f)
    }
}

/// Takes messages from bytes as they come.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    /// So much of the buffer holds no message end.
    searched: usize,
}

impl Reader {
    /// At the beginning of a connection.
    #[must_use]
    pub fn new() -> Reader {
        Reader::default()
    }

    /// Takes bytes; call [`Reader::next_message`] until it gives none.
    pub fn feed(&mut self, bytes: &[u8]) {
        // Beyond the bound nothing matters: the message is refused either way.
        let room = (2 * MESSAGE_BYTES_MAX).saturating_sub(self.buffer.len());
        self.buffer.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// The next whole message.
    ///
    /// # Errors
    /// Where the bytes are none. The connection can't be used further.
    pub fn next_message(&mut self) -> Result<Option<Attributes>, ReadError> {
        let Some(end) = self.message_end() else {
            let too_long = self.buffer.len() > MESSAGE_BYTES_MAX;
            return if too_long { Err(ReadError::TooLong) } else { Ok(None) };
        };
        if end > MESSAGE_BYTES_MAX {
            return Err(ReadError::TooLong);
        }
        let message: Vec<u8> = self.buffer.drain(..end).collect();
        self.searched = 0;
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
        let mut attributes = Attributes::new();
        for line in message.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)) {
            if line.is_empty() {
                continue;
            }
            let malformed = || ReadError::Line(String::from_utf8_lossy(line).chars().take(100).collect());
            let text = std::str::from_utf8(line).map_err(|_| malformed())?;
            let (name, value) = text.split_once('=').ok_or_else(malformed)?;
            attributes.0.push((name.to_owned(), value.to_owned()));
        }
        Ok(Some(attributes))
    }

    /// The other side closed.
    ///
    /// # Errors
    /// Where it did so within a message.
    pub fn closed(&self) -> Result<(), ReadError> {
        if self.buffer.is_empty() { Ok(()) } else { Err(ReadError::Closed) }
    }

    /// Whether bytes lie behind the last message: a client takes such a connection for broken.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Where the first message ends: behind an empty line.
    fn message_end(&mut self) -> Option<usize> {
        let mut line_start = self.searched;
        while let Some(length) =
            self.buffer.get(line_start..).unwrap_or_default().iter().position(|&b| b == b'\n')
        {
            let line = self.buffer.get(line_start..line_start.saturating_add(length)).unwrap_or_default();
            line_start = line_start.saturating_add(length).saturating_add(1);
            if line.is_empty() || line == b"\r" {
                return Some(line_start);
            }
            self.searched = line_start;
        }
        None
    }
}

/// For fuzzing: what can be read can be written and read again, however it is cut up.
///
/// # Panics
/// Where that isn't so.
pub fn fuzz(bytes: &[u8]) {
    let read = |cut: usize| {
        let mut reader = Reader::new();
        let mut messages = Vec::new();
        for piece in bytes.chunks(cut.max(1)) {
            reader.feed(piece);
            loop {
                match reader.next_message() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(error) => return (messages, Some(error)),
                }
            }
        }
        (messages, None)
    };
    let (messages, error) = read(1);
    if bytes.len() < MESSAGE_BYTES_MAX {
        assert!((messages.clone(), error) == read(bytes.len()), "how input is cut up changes nothing");
    }
    for message in messages {
        let mut again = Reader::new();
        again.feed(message.to_string().as_bytes());
        let mut clean = Attributes::new();
        message.iter().for_each(|(name, value)| clean.push(name, value));
        if clean == message {
            assert!(again.next_message() == Ok(Some(message)), "what is written can be read");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(sent: &str, expect: Result<&str, &str>) {
        let mut reader = Reader::new();
        reader.feed(sent.as_bytes());
        let seen = reader
            .next_message()
            .and_then(|message| message.ok_or(ReadError::Closed))
            .and_then(Attributes::into_action)
            .map_err(|error| error.to_string());
        assert_eq!(seen.as_deref().map_err(String::as_str), expect, "{sent:?}");
    }

    #[test]
    fn replies() {
        check("action=DUNNO\n\n", Ok("DUNNO"));
        check("action=defer_if_permit a = b\r\n\r\n", Ok("defer_if_permit a = b"));
        check("action=\n\n", Ok(""));
        check("action=DUNNO\n", Err("lost connection"));
        check("action=a\naction=b\n\n", Err("expected one attribute \"action\", got: action, action"));
        check("foo=a\n\n", Err("expected one attribute \"action\", got: foo"));
        check("\n", Err("expected one attribute \"action\", got: "));
        check("DUNNO\n\n", Err("malformed attribute line: DUNNO"));
    }

    #[test]
    fn requests() {
        let mut request = Attributes::new();
        request.push("request", "smtpd_access_policy");
        request.push("sender", "a\n\nb=c");
        assert_eq!(request.to_string(), "request=smtpd_access_policy\nsender=a??b=c\n\n");
        assert_eq!(request.value("sender"), Some("a??b=c"));
    }

    #[test]
    fn endless_replies_are_refused() {
        let mut reader = Reader::new();
        for _ in 0..1000 {
            reader.feed(&[b'x'; 1000]);
        }
        assert_eq!(reader.next_message(), Err(ReadError::TooLong));
        assert!(reader.buffer.len() <= 2 * MESSAGE_BYTES_MAX);
    }

    #[test]
    fn two_messages_in_one_piece() {
        let mut reader = Reader::new();
        reader.feed(b"a=b\n\nc=d\n");
        assert_eq!(reader.next_message().unwrap().unwrap().value("a"), Some("b"));
        assert!(reader.has_more() && reader.closed() == Err(ReadError::Closed));
        assert_eq!(reader.next_message(), Ok(None));
        reader.feed(b"\n");
        assert_eq!(reader.next_message().unwrap().unwrap().value("c"), Some("d"));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'='), Just(b'a'), any::<u8>()], 0..200)) {
            fuzz(&bytes);
        }
    }
}
