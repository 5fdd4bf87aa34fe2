//! Our side of the conversation with a before-queue filter (`smtpd_proxy_filter`, SMTPD_PROXY_README): its replies, the
//! XFORWARD command, and content on its way to it.
//!
//! One command and one reply at a time, as Postfix has it: no pipelining and no choice of features, since the filter is
//! told what the client said. When to say what is the session's; here is what bytes mean. RFC 5321 §4.2, XFORWARD_README.

use crate::client::Origin;
use mail::Reply;
use std::fmt::Write;

/// The longest line of a reply that is read; what is beyond is cut off.
const LINE_BYTES_MAX: usize = 2048;
/// The longest reply; its further lines are passed over.
const REPLY_BYTES_MAX: usize = 16 * 1024;

/// What the filter said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200 to 599.
    pub code: u16,
    /// Its lines, each with its code.
    pub lines: Vec<String>,
}

impl Answer {
    /// Whether all is well with a command.
    #[must_use]
    pub const fn is_positive(&self) -> bool {
        matches!(self.code, 200..300)
    }

    /// Whether this is leave to send content.
    #[must_use]
    pub const fn is_go_ahead(&self) -> bool {
        self.code == 354
    }

    /// Whether it says no, which is worth passing on.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self.code, 400..600)
    }

    /// Whether all of its lines have one code: of a reply that says yes and no, nobody can tell which.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.lines.iter().all(|line| line.get(..3).and_then(|code| code.parse().ok()) == Some(self.code))
    }

    /// As the log has it; what parts its lines isn't printable.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.join("\r\n")
    }

    /// For the client.
    #[must_use]
    pub fn reply(&self) -> Reply {
        let lines: Vec<&str> = self.lines.iter().map(|line| line.get(4..).unwrap_or_default()).collect();
        Reply::plain(self.code, lines.join("\n"))
    }

    /// The names behind XFORWARD, where the filter announces it.
    #[must_use]
    pub fn forwards(&self) -> Vec<String> {
        let words = self.lines.iter().map(|line| line.get(4..).unwrap_or_default().split_ascii_whitespace());
        let mut found = Vec::new();
        for mut words in words {
            if words.next().is_some_and(|word| word.eq_ignore_ascii_case("XFORWARD")) {
                found.extend(words.map(str::to_ascii_uppercase));
            }
        }
        found
    }
}

/// One thing that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A whole reply.
    Answer(Answer),
    /// A line that belongs to none.
    Garbage(String),
}

/// Replies out of bytes.
#[derive(Debug, Default)]
pub struct Replies {
    line: Vec<u8>,
    lines: Vec<String>,
    bytes: usize,
}

impl Replies {
    /// Whether a reply has begun, and not ended.
    #[must_use]
    pub fn is_midway(&self) -> bool {
        !self.line.is_empty() || !self.lines.is_empty()
    }

    /// Takes what has come; gives what that completes.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Heard> {
        let mut heard = Vec::new();
        for &byte in bytes {
            if byte != b'\n' {
                if self.line.len() < LINE_BYTES_MAX {
                    self.line.push(byte);
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            heard.extend(self.whole(&mail::legible(line, '?')));
        }
        heard
    }

    fn whole(&mut self, line: &str) -> Option<Heard> {
        let (code, rest) = line.split_at_checked(3).unwrap_or((line, ""));
        let code = code.parse().ok().filter(|code| (200u16..600).contains(code));
        let code = code.filter(|_| rest.is_empty() || rest.starts_with([' ', '-']));
        let Some(code) = code else { return Some(Heard::Garbage(line.to_owned())) };
        if self.bytes.saturating_add(line.len()) <= REPLY_BYTES_MAX {
            self.bytes = self.bytes.saturating_add(line.len());
            self.lines.push(line.to_owned());
        }
        if rest.starts_with('-') {
            return None;
        }
        self.bytes = 0;
        Some(Heard::Answer(Answer { code, lines: std::mem::take(&mut self.lines) }))
    }
}

/// XFORWARD with those of a client's attributes that the filter wants; `None` where it wants none.
#[must_use]
pub fn forward(origin: &Origin, wanted: &[String]) -> Option<String> {
    let mut line = "XFORWARD".to_owned();
    for attribute in ["NAME", "ADDR", "PORT", "HELO", "IDENT", "PROTO", "SOURCE"] {
        if !wanted.iter().any(|one| one == attribute) {
            continue;
        }
        // What isn't known is said to be unknown, so that nothing of another message stays.
        let value = match origin.value(attribute) {
            "" => "[UNAVAILABLE]".to_owned(),
            value => crate::client::coded(value),
        };
        // Writing to a string can't fail.
        let _ = write!(line, " {attribute}={value}");
    }
    (line != "XFORWARD").then_some(line)
}

/// A message's lines as they go over the wire: CRLF, dots doubled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuffing {
    begins: bool,
    /// A blank stands for each CR that ends no line.
    replaces_cr: bool,
}

impl Stuffing {
    /// For a new message.
    #[must_use]
    pub const fn new(replaces_cr: bool) -> Stuffing {
        Stuffing { begins: true, replaces_cr }
    }

    /// A piece of it, with LF line ends.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        out.reserve(piece.len().saturating_add(piece.len() / 32));
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.begins && line.starts_with(b".") {
                out.push(b'.');
            }
            let text = line.strip_suffix(b"\n");
            self.begins = text.is_some();
            let text = text.unwrap_or(line);
            if self.replaces_cr {
                out.extend(text.iter().map(|&byte| if byte == b'\r' { b' ' } else { byte }));
            } else {
                out.extend_from_slice(text);
            }
            if self.begins {
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// The end: the last line's, and the dot.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if !self.begins {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
        self.begins = true;
    }
}

/// For fuzzing: what a filter says comes to bounded answers, however it is cut; and content, once sent, ends at its own
/// dot only.
pub fn fuzz(bytes: &[u8]) {
    let (mut at_once, mut in_pieces) = (Replies::default(), Replies::default());
    let whole = at_once.take(bytes);
    let pieces: Vec<Heard> = bytes.chunks(3).flat_map(|piece| in_pieces.take(piece)).collect();
    assert_eq!(whole, pieces, "replies don't depend on how they come");
    for one in &whole {
        if let Heard::Answer(answer) = one {
            assert!(answer.text().len() <= 2 * REPLY_BYTES_MAX, "a reply is bounded");
            let _ = (answer.reply(), answer.forwards());
        }
    }
    let (mut stuffing, mut out) = (Stuffing::new(true), Vec::new());
    bytes.chunks(5).for_each(|piece| stuffing.push(piece, &mut out));
    stuffing.end(&mut out);
    let dots = out.windows(5).filter(|five| five == b"\r\n.\r\n").count();
    assert!(dots <= 1 && out.ends_with(b".\r\n"), "one end");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies() {
        let check = |bytes: &str, expect: &[&str]| {
            let shown: Vec<String> = Replies::default()
                .take(bytes.as_bytes())
                .into_iter()
                .map(|heard| match heard {
                    Heard::Answer(answer) => format!("{} {}", answer.code, answer.text()),
                    Heard::Garbage(text) => format!("garbage {text}"),
                })
                .collect();
            assert_eq!(shown, expect, "{bytes:?}");
        };
        check("250 ok\r\n", &["250 250 ok"]);
        check("250\n", &["250 250"]);
        check("451-4.7.1 a\r\n451 4.7.1 b\r\n221 x", &["451 451-4.7.1 a\r\n451 4.7.1 b"]);
        check("nonsense\r\n250 ok\r\n", &["garbage nonsense", "250 250 ok"]);
        check(
            "25é\n099 x\n600 x\n250x\n",
            &["garbage 25é", "garbage 099 x", "garbage 600 x", "garbage 250x"],
        );
    }

    #[test]
    fn what_a_reply_says() {
        let check = |bytes: &str, expect: (bool, bool, bool, bool)| {
            let heard = Replies::default().take(bytes.as_bytes()).pop();
            let Some(Heard::Answer(said)) = heard else { panic!("{bytes:?}: {heard:?}") };
            let is = (said.is_positive(), said.is_go_ahead(), said.is_refusal(), said.agrees());
            assert_eq!(is, expect, "{bytes:?}");
        };
        check("250 ok\n", (true, false, false, true));
        check("354\n", (false, true, false, true));
        check("399\n", (false, false, false, true));
        check("451-a\n451 b\n", (false, false, true, true));
        check("250-a\n550 b\n", (false, false, true, false));
        check("550-a\n250 b\n", (true, false, false, false));
    }

    #[test]
    fn a_reply_that_has_only_begun() {
        let mut replies = Replies::default();
        assert!(!replies.is_midway());
        assert_eq!(replies.take(b"250-a\r\n"), []);
        assert!(replies.is_midway());
        assert_eq!(replies.take(b"250 b\r\n").len(), 1);
        assert!(!replies.is_midway());
        assert_eq!(replies.take(b"2"), []);
        assert!(replies.is_midway());
    }

    #[test]
    fn a_reply_is_passed_on_line_by_line() {
        let lines = vec!["451-4.7.1 a".to_owned(), "451 b".to_owned()];
        let mut out = Vec::new();
        Answer { code: 451, lines }.reply().write_to(&mut out);
        assert_eq!(out, b"451-4.7.1 a\r\n451 b\r\n");
    }

    #[test]
    fn what_is_unknown_is_said_to_be() {
        let origin = Origin { address: "192.0.2.1".to_owned(), helo: "a+b".to_owned(), ..Origin::default() };
        let check = |wanted: &str, expect: Option<&str>| {
            let wanted: Vec<String> = wanted.split_whitespace().map(str::to_owned).collect();
            assert_eq!(forward(&origin, &wanted).as_deref(), expect);
        };
        check("", None);
        check(
            "SOURCE HELO ADDR NAME",
            Some("XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.1 HELO=a+2Bb SOURCE=REMOTE"),
        );
        let said = Answer { code: 250, lines: vec!["250-x".to_owned(), "250 xforward name Addr".to_owned()] };
        assert_eq!(said.forwards(), ["NAME", "ADDR"]);
    }

    #[test]
    fn content_is_stuffed() {
        let check = |pieces: &[&str], replaces_cr: bool, expect: &str| {
            let (mut stuffing, mut out) = (Stuffing::new(replaces_cr), Vec::new());
            pieces.iter().for_each(|piece| stuffing.push(piece.as_bytes(), &mut out));
            stuffing.end(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), expect, "{pieces:?}");
        };
        check(&[], false, ".\r\n");
        check(&["a\n.b\n", ".", "\n.", ".c"], false, "a\r\n..b\r\n..\r\n...c\r\n.\r\n");
        check(&["a.", ".b\n"], false, "a..b\r\n.\r\n");
        check(&["a\rb\n"], false, "a\rb\r\n.\r\n");
        check(&["a\rb\r", "\n"], true, "a b \r\n.\r\n");
    }

    #[test]
    fn nothing_surprises_it() {
        let mut state = 0x9e37_79b9_u32;
        let alphabet = b"250-45 \r\n.x\xffXFORWARD";
        for length in 0..400 {
            let mut text = Vec::new();
            for _ in 0..length {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = usize::try_from(state >> 16).unwrap_or(0) % alphabet.len();
                text.extend(alphabet.get(at));
            }
            fuzz(&text);
        }
    }
}
