//! Canonical forms (RFC 6376 §3.4): what of a header or body counts for a signature.
//!
//! Text comes with LF at its line ends, as it is kept here, and is hashed with CRLF, as it is sent.

use ring::digest::{Context, SHA256};

/// How exactly something must arrive as it was signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Canonicalization {
    /// Byte by byte.
    #[default]
    Simple,
    /// White space may be changed, and the case of headers' names.
    Relaxed,
}

impl Canonicalization {
    /// `simple` or `relaxed`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Canonicalization::Simple => "simple",
            Canonicalization::Relaxed => "relaxed",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Canonicalization> {
        match word {
            "simple" => Some(Canonicalization::Simple),
            "relaxed" => Some(Canonicalization::Relaxed),
            _ => None,
        }
    }

    /// Reads `HEADER/BODY`; a body without its own is simple.
    #[must_use]
    pub fn parse_pair(text: &str) -> Option<(Canonicalization, Canonicalization)> {
        match text.split_once('/') {
            Some((header, body)) => Some((Canonicalization::parse(header)?, Canonicalization::parse(body)?)),
            None => Some((Canonicalization::parse(text)?, Canonicalization::Simple)),
        }
    }
}

/// Appends a header in canonical form, with its CRLF. `text` is all of it, with or without its last line end.
pub(super) fn header(text: &[u8], form: Canonicalization, out: &mut Vec<u8>) {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if form == Canonicalization::Simple {
        for (at, line) in text.split(|b| *b == b'\n').enumerate() {
            if at > 0 {
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(line);
        }
        out.extend_from_slice(b"\r\n");
        return;
    }
    let colon = text.iter().position(|b| *b == b':').unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(colon).unwrap_or((text, b""));
    out.extend(name.trim_ascii_end().iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let mut blank = false;
    let mut begun = false;
    for &b in rest.get(1..).unwrap_or_default() {
        if matches!(b, b' ' | b'\t' | b'\n' | b'\r') {
            blank = true;
            continue;
        }
        if blank && begun {
            out.push(b' ');
        }
        (blank, begun) = (false, true);
        out.push(b);
    }
    out.extend_from_slice(b"\r\n");
}

/// Hashes a body as it comes.
#[derive(Clone)]
pub(super) struct BodyHasher {
    form: Canonicalization,
    context: Context,
    /// `l=`: how many bytes count.
    limit: Option<u64>,
    length: u64,
    /// Line ends that count should something follow.
    line_ends: u64,
    /// White space, likewise; of a relaxed body.
    blank: bool,
    /// A line has begun and not ended.
    open: bool,
    /// Bytes on their way to the hash.
    buffer: Vec<u8>,
}

impl BodyHasher {
    pub(super) fn new(form: Canonicalization, limit: Option<u64>) -> BodyHasher {
        BodyHasher {
            form,
            context: Context::new(&SHA256),
            limit,
            length: 0,
            line_ends: 0,
            blank: false,
            open: false,
            buffer: Vec::new(),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        for &b in bytes {
            match b {
                b'\n' => {
                    self.line_ends += 1;
                    (self.blank, self.open) = (false, false);
                }
                b' ' | b'\t' if self.form == Canonicalization::Relaxed => self.blank = true,
                _ => {
                    self.flush_line_ends();
                    if self.blank {
                        self.buffer.push(b' ');
                        self.blank = false;
                    }
                    self.open = true;
                    self.buffer.push(b);
                }
            }
            if self.buffer.len() >= 4096 {
                self.flush();
            }
        }
        self.flush();
    }

    fn flush_line_ends(&mut self) {
        while self.line_ends > 0 {
            self.line_ends -= 1;
            self.buffer.extend_from_slice(b"\r\n");
            if self.buffer.len() >= 4096 {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        let here = self.buffer.len() as u64;
        let left = self.limit.map_or(here, |limit| limit.saturating_sub(self.length).min(here));
        let counted = usize::try_from(left).unwrap_or(self.buffer.len());
        self.context.update(self.buffer.get(..counted).unwrap_or_default());
        self.length = self.length.saturating_add(here);
        self.buffer.clear();
    }

    /// The hash, and how long the canonical body is.
    pub(super) fn finish(mut self) -> (Vec<u8>, u64) {
        // A body that isn't empty ends with one line end; an empty simple one is a line end.
        let anything = self.length > 0 || self.open;
        if anything || self.form == Canonicalization::Simple {
            self.buffer.extend_from_slice(b"\r\n");
        }
        self.flush();
        (self.context.finish().as_ref().to_vec(), self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Canonicalization::{Relaxed, Simple};

    fn headers(text: &str, form: Canonicalization) -> String {
        let mut out = Vec::new();
        header(text.as_bytes(), form, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// RFC 6376 §3.4.5, with LF for CRLF.
    #[test]
    fn headers_of_the_rfc() {
        assert_eq!(headers("A: X\n", Relaxed), "a:X\r\n");
        assert_eq!(headers("B : Y\t\n\tZ  \n", Relaxed), "b:Y Z\r\n");
        assert_eq!(headers("A: X\n", Simple), "A: X\r\n");
        assert_eq!(headers("B : Y\t\n\tZ  \n", Simple), "B : Y\t\r\n\tZ  \r\n");
        assert_eq!(headers("C:\n", Relaxed), "c:\r\n");
        assert_eq!(headers("C: \n  \n", Relaxed), "c:\r\n");
    }

    fn same(body: &str, form: Canonicalization, canonical: &str) {
        let expect = ring::digest::digest(&SHA256, canonical.as_bytes());
        for step in [1, 2, 3, 1000] {
            let mut hasher = BodyHasher::new(form, None);
            for piece in body.as_bytes().chunks(step) {
                hasher.update(piece);
            }
            let (hash, length) = hasher.finish();
            assert_eq!(length, canonical.len() as u64, "{body:?} {form:?}");
            assert_eq!(hash, expect.as_ref(), "{body:?} {form:?} in steps of {step}");
        }
    }

    #[test]
    fn bodies() {
        same(" C \nD \t E\n\n\n", Relaxed, " C\r\nD E\r\n");
        same(" C \nD \t E\n\n\n", Simple, " C \r\nD \t E\r\n");
        same("", Relaxed, "");
        same("", Simple, "\r\n");
        same("\n\n", Relaxed, "");
        same("\n\n", Simple, "\r\n");
        same("x", Relaxed, "x\r\n");
        same("x", Simple, "x\r\n");
        same("x\n \t\n\n", Relaxed, "x\r\n");
        same("x\n \t\n\n", Simple, "x\r\n \t\r\n");
        same(" \n", Relaxed, "");
        same("\n\nx\n \ny", Relaxed, "\r\n\r\nx\r\n\r\ny\r\n");
        same("a\rb\n", Relaxed, "a\rb\r\n");
    }

    #[test]
    fn a_part_of_a_body() {
        let mut hasher = BodyHasher::new(Simple, Some(3));
        hasher.update(b"abcdef\n");
        let (hash, length) = hasher.finish();
        assert_eq!(hash, ring::digest::digest(&SHA256, b"abc").as_ref());
        assert_eq!(length, 8);
    }
}
