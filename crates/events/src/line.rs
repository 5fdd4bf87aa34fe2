//! One line of a log: when, where, who, what.
//!
//! `Nov 22 01:55:03 mail postfix/smtpd[1234]: connect from …`, as syslog daemons and postlogd(8) write it
//! (RFC 3164 §4.1), or with an RFC 3339 stamp. The end of the line is the reader's and writer's business.

use crate::record::{Field, Text, json_text};
use crate::{Event, Severity, Stamp, scan};
use std::fmt;

/// A line and its event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// When.
    pub time: Stamp,
    /// On which host.
    pub host: Text<'a>,
    /// Who says it: `postfix/smtpd`, `postfix/submission/smtpd`, `postgrey`.
    pub program: Text<'a>,
    /// Its process.
    pub pid: Option<u32>,
    /// What.
    pub event: Event<'a>,
}

impl<'a> Line<'a> {
    /// Reads a line without its end. `None` where it has no stamp, host or program.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Line<'a>> {
        let (envelope, text) = Envelope::parse(text)?;
        let Envelope { time, host, program, pid } = envelope;
        Some(Line {
            time,
            host: host.into(),
            program: program.into(),
            pid,
            event: Event::parse(program, text),
        })
    }

    /// The same, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Line<'static> {
        Line {
            time: self.time,
            host: Field::into_owned(self.host),
            program: Field::into_owned(self.program),
            pid: self.pid,
            event: self.event.into_owned(),
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.event.severity()
    }

    /// One JSON object on one line, without its end: `time`, `host`, `program`, `pid`, `severity`, `event`
    /// and the event's own fields.
    #[must_use]
    pub fn json(&self) -> String {
        let mut out = String::with_capacity(256);
        out.push_str("{\"time\":");
        json_text(&self.time.to_string(), &mut out);
        for (name, text) in [(",\"host\":", &self.host), (",\"program\":", &self.program)] {
            out.push_str(name);
            json_text(text, &mut out);
        }
        if let Some(pid) = self.pid {
            out.push_str(",\"pid\":");
            out.push_str(&pid.to_string());
        }
        for (name, text) in [(",\"severity\":", self.severity().as_str()), (",\"event\":", self.event.kind())]
        {
            out.push_str(name);
            json_text(text, &mut out);
        }
        self.event.json_fields(&mut out);
        out.push('}');
        out
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Piece by piece: a server writes three of these for a client that it refuses.
        self.time.fmt(f)?;
        for text in [" ", &self.host, " ", &self.program] {
            f.write_str(text)?;
        }
        if let Some(pid) = self.pid {
            f.write_str("[")?;
            pid.fmt(f)?;
            f.write_str("]")?;
        }
        f.write_str(": ")?;
        self.event.fmt(f)
    }
}

/// What stands before a line's text, for readers that want nothing else of most lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// When.
    pub time: Stamp,
    /// On which host.
    pub host: &'a str,
    /// Who says it.
    pub program: &'a str,
    /// Its process.
    pub pid: Option<u32>,
}

impl<'a> Envelope<'a> {
    /// Reads what stands before the text; gives the text.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<(Envelope<'a>, &'a str)> {
        let (time, rest) = Stamp::parse_prefix(line)?;
        let (host, rest) = scan::span(rest.strip_prefix(' ')?, |b| b == b' ')?;
        let (program, rest) = scan::span(rest.strip_prefix(' ')?, |b| matches!(b, b'[' | b':' | b' '))?;
        let (pid, rest) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (pid, rest) = scan::leading_number(rest)?;
                (Some(pid), rest.strip_prefix(']')?)
            }
            None => (None, rest),
        };
        let text = rest.strip_prefix(": ")?;
        let whole = !host.is_empty() && !program.is_empty();
        whole.then_some((Envelope { time, host, program, pid }, text))
    }
}

/// What every line must pass: it panics on none, and what is read is written back as it was, as far as it is
/// printable. For fuzzing; true where it holds.
#[must_use]
pub fn fuzz(bytes: &[u8]) -> bool {
    let text = crate::text::printable(bytes);
    drop(crate::json::plain(bytes, |_| 0));
    let Some(line) = Line::parse(&text) else { return true };
    let json = line.json();
    let written = line.to_string();
    let read = crate::json::line(json.as_bytes());
    written == text
        && !json.contains('\n')
        && Line::parse(&written).is_some_and(|again| again == line)
        && read.is_some_and(|again| again.to_string() == written)
}
