//! What a server answers: a code, an enhanced status code, a text (RFC 5321 §4.2, RFC 3463).
//!
//! A refusal is a value on its way to the wire, the log and the counters; it is never an `Err`.

use std::fmt;

/// An enhanced status code, RFC 3463: `4.7.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dsn {
    /// 2 success, 4 persistent transient failure, 5 permanent failure.
    pub class: u8,
    /// What it is about: 1 address, 7 policy …
    pub subject: u16,
    /// The detail.
    pub detail: u16,
}

impl Dsn {
    /// `class.subject.detail`.
    #[must_use]
    pub const fn new(class: u8, subject: u16, detail: u16) -> Dsn {
        Dsn { class, subject, detail }
    }

    /// Reads `d.ddd.ddd` from the start of `text`; gives the code and what follows it.
    ///
    /// The class must be 2, 4 or 5, and the code must end at white space or the end of the text.
    #[must_use]
    pub fn parse_prefix(text: &str) -> Option<(Dsn, &str)> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (code, rest) = text.split_at_checked(end)?;
        if !rest.is_empty() && !rest.starts_with([' ', '\t', '\r', '\n']) {
            return None;
        }
        let mut parts = code.split('.');
        let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
        let number = |part: &str| -> Option<u16> {
            ((1..=3).contains(&part.len())).then(|| part.parse().ok()).flatten()
        };
        let class = match class {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return None,
        };
        if parts.next().is_some() {
            return None;
        }
        Some((Dsn { class, subject: number(subject)?, detail: number(detail)? }, rest))
    }

    /// The same detail in the class that `code` (an SMTP reply code) belongs to, as Postfix mends a
    /// table's `550 4.7.1 text`.
    #[must_use]
    pub fn in_class_of(self, code: u16) -> Dsn {
        let class = match code / 100 {
            2 | 3 => 2,
            4 => 4,
            _ => 5,
        };
        Dsn { class, ..self }
    }
}

impl fmt::Display for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// One reply. `text` may hold several lines parted by `\n`; each goes out with the code in front.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reply {
    /// 200 to 599.
    pub code: u16,
    /// Missing on greetings, on EHLO's answer, and where the client's protocol has none.
    pub dsn: Option<Dsn>,
    /// Without code, DSN and line end.
    pub text: String,
}

impl Reply {
    /// A reply with an enhanced status code.
    #[must_use]
    pub fn new(code: u16, dsn: Dsn, text: impl Into<String>) -> Reply {
        Reply { code, dsn: Some(dsn), text: text.into() }
    }

    /// A reply without one.
    #[must_use]
    pub fn plain(code: u16, text: impl Into<String>) -> Reply {
        Reply { code, dsn: None, text: text.into() }
    }

    /// Whether the client is told to give up: 5xx.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// Whether the client is asked to come back: 4xx.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        self.code >= 400 && self.code < 500
    }

    /// The reply as bytes for the wire: one `code-dsn text` line for each line of text, CRLF ended.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            push_number(self.code, out);
            out.push(if lines.peek().is_some() { b'-' } else { b' ' });
            if let Some(Dsn { class, subject, detail }) = self.dsn {
                push_number(class.into(), out);
                out.push(b'.');
                push_number(subject, out);
                out.push(b'.');
                push_number(detail, out);
                out.push(b' ');
            }
            out.extend_from_slice(line.trim_end_matches('\r').as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Digits by hand: each reply has up to four numbers, and formatting is slow.
fn push_number(number: u16, out: &mut Vec<u8>) {
    let mut wanted = false;
    for unit in [10_000, 1_000, 100, 10, 1] {
        wanted |= number >= unit || unit == 1;
        if wanted {
            out.push(b"0123456789".get(usize::from(number / unit % 10)).copied().unwrap_or(b'0'));
        }
    }
}

impl fmt::Display for Reply {
    /// As Postfix logs it: `450 4.7.1 <alor.aaa.jp>: Helo command rejected: Host not found`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code.fmt(f)?;
        if let Some(dsn) = self.dsn {
            f.write_str(" ")?;
            dsn.fmt(f)?;
        }
        for (at, line) in self.text.split('\n').enumerate() {
            f.write_str(if at == 0 { " " } else { "; " })?;
            f.write_str(line)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dsn_prefix() {
        assert_eq!(Dsn::parse_prefix("4.7.1 no"), Some((Dsn::new(4, 7, 1), " no")));
        assert_eq!(Dsn::parse_prefix("5.7.1"), Some((Dsn::new(5, 7, 1), "")));
        for bad in ["", "3.7.1", "4.7", "4.7.1.2", "4..1", "4.7.1x", "4.7.1234 a"] {
            assert_eq!(Dsn::parse_prefix(bad), None, "{bad}");
        }
    }

    #[test]
    fn several_lines() {
        let mut out = Vec::new();
        Reply::new(550, Dsn::new(5, 7, 1), "one\ntwo").write_to(&mut out);
        assert_eq!(out, b"550-5.7.1 one\r\n550 5.7.1 two\r\n");
        for number in [0, 7, 10, 99, 100, 101, 220, 999, 1000, 10_203, u16::MAX] {
            let mut out = Vec::new();
            push_number(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
