//! What was said in a session, with a client or with a server, and what kinds of errors there were: for the postmaster
//! (`notify_classes`).
//!
//! Kept only where the settings ask for it, in bounded memory: of a long session the beginning and the last words.
//! Content isn't part of it, and what clients log in with isn't either, unlike Postfix's. A message that is accepted
//! takes back the errors before it. Who is told is the driver's business. T1.13.

use crate::smtp::printable;
use std::borrow::Cow;
use std::collections::VecDeque;

/// Bytes that are kept.
const BYTES_MAX: usize = 32 * 1024;
/// Of these, those of the end.
const END_BYTES: usize = 8 * 1024;

/// A kind of error, by its word in `notify_classes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `protocol`: the client doesn't speak SMTP as it should.
    Protocol,
    /// `policy`: the client, or its mail, isn't wanted.
    Policy,
    /// `bounce`: nobody has the address.
    Bounce,
    /// `resource`: there is no room.
    Resource,
}

impl Fault {
    const fn bit(self) -> u8 {
        match self {
            Fault::Protocol => 1,
            Fault::Policy => 2,
            Fault::Bounce => 4,
            Fault::Resource => 8,
        }
    }
}

/// The session so far.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    lines: Vec<String>,
    bytes: usize,
    /// The last lines of a session that was too long.
    end: VecDeque<String>,
    end_bytes: usize,
    left_out: bool,
    faults: u8,
    aborted: Option<&'static str>,
}

impl Transcript {
    /// The other side said a line.
    pub(crate) fn heard(&mut self, line: &str) {
        self.keep(format!("In:  {}", printable(&without_secret(line))));
    }

    /// Lines were sent.
    pub(crate) fn said(&mut self, bytes: &[u8]) {
        for line in bytes.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                let line = String::from_utf8_lossy(line);
                self.keep(format!("Out: {}", printable(&without_secret(&line))));
            }
        }
    }

    /// A line was sent that nobody else may read.
    pub(crate) fn said_secret(&mut self) {
        self.keep("Out: (not shown)".to_owned());
    }

    fn keep(&mut self, line: String) {
        if !self.left_out && self.bytes.saturating_add(line.len()) <= BYTES_MAX - END_BYTES {
            self.bytes = self.bytes.saturating_add(line.len()).saturating_add(24);
            return self.lines.push(line);
        }
        self.left_out = true;
        self.end_bytes = self.end_bytes.saturating_add(line.len()).saturating_add(24);
        self.end.push_back(line);
        while self.end_bytes > END_BYTES
            && let Some(first) = self.end.pop_front()
        {
            self.end_bytes = self.end_bytes.saturating_sub(first.len().saturating_add(24));
        }
    }

    pub(crate) fn blame(&mut self, fault: Fault) {
        self.faults |= fault.bit();
    }

    /// A message was accepted.
    pub(crate) fn forgive(&mut self) {
        self.faults = 0;
    }

    pub(crate) fn abort(&mut self, why: &'static str) {
        self.aborted.get_or_insert(why);
    }

    /// Whether there was such an error.
    #[must_use]
    pub const fn has(&self, fault: Fault) -> bool {
        self.faults & fault.bit() != 0
    }

    /// `In:  …` and `Out: …`, in order.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let gap = self.left_out.then_some("...");
        self.lines.iter().map(String::as_str).chain(gap).chain(self.end.iter().map(String::as_str))
    }

    /// Why the session ended before its time: `lost connection`.
    #[must_use]
    pub const fn aborted(&self) -> Option<&'static str> {
        self.aborted
    }
}

/// A line without what somebody logs in with.
fn without_secret(line: &str) -> Cow<'_, str> {
    match line.split_once([' ', '\t']) {
        Some((verb, rest)) if verb.eq_ignore_ascii_case("AUTH") => {
            let (mechanism, secret) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
            let shown = if secret.is_empty() { "" } else { " (not shown)" };
            format!("{verb} {mechanism}{shown}").into()
        }
        _ => line.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out() {
        let check = |line: &str, expect: &str| {
            let mut transcript = Transcript::default();
            transcript.heard(line);
            assert_eq!(transcript.lines().collect::<Vec<_>>(), [expect], "{line}");
        };
        check("AUTH PLAIN AGEAYg==", "In:  AUTH PLAIN (not shown)");
        check("auth LOGIN", "In:  auth LOGIN");
        check("RCPT TO:<a@b>", "In:  RCPT TO:<a@b>");
        check("AUTHOR x y", "In:  AUTHOR x y");
    }

    #[test]
    fn a_long_session_has_a_beginning_and_an_end() {
        let mut transcript = Transcript::default();
        for n in 0..100_000 {
            transcript.heard(&format!("NOOP {n}"));
        }
        let lines: Vec<&str> = transcript.lines().collect();
        assert_eq!((lines.first(), lines.last()), (Some(&"In:  NOOP 0"), Some(&"In:  NOOP 99999")));
        assert!(lines.contains(&"...") && lines.iter().map(|line| line.len()).sum::<usize>() < BYTES_MAX);
    }

    #[test]
    fn acceptance_takes_errors_back() {
        let mut transcript = Transcript::default();
        transcript.blame(Fault::Policy);
        assert!(transcript.has(Fault::Policy) && !transcript.has(Fault::Protocol));
        transcript.forgive();
        assert!(!transcript.has(Fault::Policy));
    }
}
