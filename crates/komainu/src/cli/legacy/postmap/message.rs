//! `-h`, `-b`, `-m`: a message on standard input becomes lookup keys, as header_checks(5) would see it.
//!
//! A logical header is one key, its line ends kept; a body line is one key. With MIME the headers of parts and of
//! attached messages count as headers. Nothing is decoded, nothing is kept but one header and the boundaries.
//! RFC 5322 §2.2, RFC 2046 §5.1. T1.14, T1.15.

use super::options::Parts;
use mail::header::{Header, is_continuation};

/// No deeper nesting is followed; Postfix's `mime_nesting_limit`.
const DEPTH_MAX: usize = 100;
/// Postfix's `mime_boundary_length_limit`.
const BOUNDARY_BYTES_MAX: usize = 2048;

/// One lookup key, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Header(Vec<u8>),
    Body(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    Body,
}

/// What the header that is being read says about the body behind it.
#[derive(Debug)]
enum Content {
    Plain,
    Multipart(Boundary),
    Message,
}

/// What parts the parts of a multipart.
#[derive(Debug)]
struct Boundary {
    text: Vec<u8>,
    /// `multipart/digest`: parts are messages unless they say otherwise.
    digest: bool,
}

/// Reads a message line by line.
#[derive(Debug)]
pub(super) struct Reader {
    parts: Parts,
    state: State,
    content: Content,
    pending: Option<Vec<u8>>,
    /// Still in the head of the message itself.
    primary: bool,
    boundaries: Vec<Boundary>,
}

impl Reader {
    pub(super) fn new(parts: Parts) -> Reader {
        let (state, content) = (State::Header, Content::Plain);
        Reader { parts, state, content, pending: None, primary: true, boundaries: Vec::new() }
    }

    /// Takes one line without its line end; gives the keys that are complete with it.
    pub(super) fn line(&mut self, line: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        if self.boundary(line, &mut keys) {
            return self.wanted(keys);
        }
        if self.state == State::Header {
            if let (true, Some(pending)) = (is_continuation(line), &mut self.pending) {
                pending.push(b'\n');
                pending.extend(line);
                return Vec::new();
            }
            self.end_of_header(&mut keys);
            if let Some(header) = Header::parse(line) {
                // As Postfix: no blanks before the colon.
                self.pending = Some([header.name.as_bytes(), b":", header.value].concat());
                return self.wanted(keys);
            }
            if std::mem::take(&mut self.primary) && !line.is_empty() {
                // As Postfix: the blank line that is missing.
                keys.push(Key::Body(Vec::new()));
            }
            self.state = match std::mem::replace(&mut self.content, Content::Plain) {
                Content::Message if line.is_empty() => State::Header,
                Content::Multipart(boundary) if self.boundaries.len() < DEPTH_MAX => {
                    self.boundaries.push(boundary);
                    State::Body
                }
                _ => State::Body,
            };
        }
        keys.push(Key::Body(line.to_vec()));
        self.wanted(keys)
    }

    /// The message has ended.
    pub(super) fn finish(mut self) -> Vec<Key> {
        let mut keys = Vec::new();
        self.end_of_header(&mut keys);
        self.wanted(keys)
    }

    fn wanted(&self, mut keys: Vec<Key>) -> Vec<Key> {
        keys.retain(|key| match key {
            Key::Header(_) => self.parts.headers,
            Key::Body(_) => self.parts.body,
        });
        keys
    }

    /// Whether the line parts one part from the next.
    fn boundary(&mut self, line: &[u8], keys: &mut Vec<Key>) -> bool {
        let Some(marked) = line.strip_prefix(b"--") else { return false };
        let level = self.boundaries.iter().rposition(|boundary| marked.starts_with(&boundary.text));
        let Some((level, boundary)) = level.and_then(|level| Some((level, self.boundaries.get(level)?)))
        else {
            return false;
        };
        let closes = marked.get(boundary.text.len()..).is_some_and(|rest| rest.starts_with(b"--"));
        let digest = boundary.digest;
        self.end_of_header(keys);
        self.content = if digest { Content::Message } else { Content::Plain };
        self.boundaries.truncate(if closes { level } else { level + 1 });
        self.state = if closes { State::Body } else { State::Header };
        keys.push(Key::Body(line.to_vec()));
        true
    }

    fn end_of_header(&mut self, keys: &mut Vec<Key>) {
        let Some(header) = self.pending.take() else { return };
        if self.parts.mime
            && let Some(parsed) = Header::parse(&header)
            && parsed.is("Content-Type")
        {
            self.content = content(&without_comments(parsed.value));
        }
        keys.push(Key::Header(header));
    }
}

fn content(value: &[u8]) -> Content {
    let mut fields = value.split(|&b| b == b';');
    let kind = fields.next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    if matches!(kind.as_slice(), b"message/rfc822" | b"message/global") {
        return Content::Message;
    }
    if !kind.starts_with(b"multipart/") {
        return Content::Plain;
    }
    let boundary = fields.find_map(|field| {
        let at = field.iter().position(|&b| b == b'=')?;
        let (name, value) = field.split_at_checked(at)?;
        let named = name.trim_ascii().eq_ignore_ascii_case(b"boundary");
        named.then(|| value.get(1..).unwrap_or_default().trim_ascii())
    });
    let boundary = boundary
        .map(|text| text.strip_prefix(b"\"").map_or(text, |text| text.strip_suffix(b"\"").unwrap_or(text)));
    match boundary {
        Some(text) if !text.is_empty() => {
            let text = text.iter().copied().take(BOUNDARY_BYTES_MAX).collect();
            Content::Multipart(Boundary { text, digest: kind == b"multipart/digest" })
        }
        _ => Content::Plain,
    }
}

/// A structured value without `(comments)`, quoted texts kept.
fn without_comments(value: &[u8]) -> Vec<u8> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let mut kept = Vec::with_capacity(value.len());
    for &byte in value {
        let was_inside = depth > 0;
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' if depth == 0 => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if !was_inside && depth == 0 {
            kept.push(byte);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(parts: &str, message: &str) -> String {
        let has = |letter| parts.contains(letter);
        let mut reader = Reader::new(Parts { headers: has('h'), body: has('b'), mime: has('m') });
        let mut all: Vec<Key> = message.lines().flat_map(|line| reader.line(line.as_bytes())).collect();
        all.extend(reader.finish());
        let shown = all.iter().map(|key| match key {
            Key::Header(text) => format!("h {}", String::from_utf8_lossy(text).replace('\n', "|")),
            Key::Body(text) => format!("b {}", String::from_utf8_lossy(text)),
        });
        shown.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn headers_and_lines() {
        let check = |parts: &str, message: &str, expect: &str| {
            assert_eq!(keys(parts, message), expect, "{message:?}")
        };
        check("h", "A: 1\n 2\nB : 3\n\nC: 4\n", "h A: 1| 2\nh B: 3");
        check("b", "A: 1\n 2\n\nC: 4\n", "b \nb C: 4");
        check("hb", "From x\nA: 1\n", "b \nb From x\nb A: 1");
        check("hb", " x\nA: 1", "b \nb  x\nb A: 1");
        check("hb", "A: 1", "h A: 1");
        let part = "Content-Type: multipart/x (c;boundary=no); boundary=\"a b\"\n\n--a b\nX: 1\n\nY: 2\n--a b--\nZ: 3\n";
        check("hm", part, "h Content-Type: multipart/x (c;boundary=no); boundary=\"a b\"\nh X: 1");
        check("bm", part, "b \nb --a b\nb \nb Y: 2\nb --a b--\nb Z: 3");
        check(
            "hm",
            "Content-Type: message/rfc822\n\nX: 1\n\nY: 2\n",
            "h Content-Type: message/rfc822\nh X: 1",
        );
        check("h", "Content-Type: message/rfc822\n\nX: 1\n", "h Content-Type: message/rfc822");
    }

    #[test]
    fn any_bytes() {
        // A seeded walk over the pieces that steer the reader.
        let pieces: [&[u8]; 9] = [
            b"--",
            b"a",
            b"Content-Type: multipart/a; boundary=a",
            b"\n",
            b" ",
            b"(",
            b"\"",
            b"\\",
            b"\xff:",
        ];
        let mut seed = 7_u32;
        for _ in 0..500 {
            let mut message = Vec::new();
            for _ in 0..40 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                message.extend(pieces[(seed >> 16) as usize % pieces.len()]);
            }
            let mut reader = Reader::new(Parts { headers: true, body: true, mime: true });
            let mut out = Vec::new();
            for line in message.split(|&b| b == b'\n') {
                out.extend(reader.line(line));
            }
            out.extend(reader.finish());
            let back: Vec<u8> = out
                .into_iter()
                .flat_map(|(Key::Header(text) | Key::Body(text))| [text, vec![b'\n']].concat())
                .collect();
            let full = |text: &[u8]| -> Vec<Vec<u8>> {
                text.split(|&b| b == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
            };
            assert_eq!(full(&back), full(&message), "every line is in one key, in order");
        }
    }
}
