//! Why a message was refused, put off or returned, cut down to what a report has room for.

use crate::scan;
use memchr::memmem;
use std::borrow::Cow;

/// `text` in `width` bytes at most: the end is dropped for an ellipsis.
pub(super) fn shorten(text: &[u8], width: usize) -> Cow<'_, [u8]> {
    match text.get(..width.saturating_sub(3)) {
        Some(start) if text.len() > width => Cow::Owned([start, b"..."].concat()),
        _ => Cow::Borrowed(text),
    }
}

/// What a delivery agent says, from the end that matters: as long as it is too long, what stands before the
/// peer's words goes, and then what stands before its first colon.
fn said(mut text: &[u8], width: usize) -> Cow<'_, [u8]> {
    while text.len() > width {
        let words = memmem::rfind(text, b" said: ").and_then(|at| text.get(at + 7..));
        let Some(rest) = words.or_else(|| Some(scan::cut_at(text, b':')?.1.trim_start_matches_blank()))
        else {
            return shorten(text, width);
        };
        text = rest;
    }
    Cow::Borrowed(text)
}

trait Blanks {
    fn trim_start_matches_blank(&self) -> &Self;
}

impl Blanks for [u8] {
    fn trim_start_matches_blank(&self) -> &[u8] {
        scan::span(self, |byte| byte != b' ').1
    }
}

/// Why a delivery is deferred. `text` is all that follows the status.
pub(super) fn deferral(text: &[u8], verbose: bool) -> Cow<'_, [u8]> {
    let inside = scan::cut_at(text, b'(').map_or(&b""[..], |(_, rest)| scan::span(rest, |b| b == b')').0);
    if verbose {
        return Cow::Borrowed(inside);
    }
    trimmed(said(inside, 65), |text| {
        let text = without_code(text);
        text.strip_prefix(b"connect to ").unwrap_or(text)
    })
}

/// Why a message is returned. `text` is all that follows the status.
pub(super) fn bounce(text: &[u8], verbose: bool) -> Cow<'_, [u8]> {
    let rest = scan::cut_at(text, b'(').map_or(&b""[..], |(_, rest)| rest);
    let inside = memchr::memrchr(b')', rest).and_then(|at| rest.get(..at)).unwrap_or_default();
    if verbose {
        return Cow::Borrowed(inside);
    }
    trimmed(said(inside, 66), without_code)
}

fn trimmed<'a>(text: Cow<'a, [u8]>, trim: impl Fn(&[u8]) -> &[u8]) -> Cow<'a, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(trim(text)),
        Cow::Owned(text) => Cow::Owned(trim(&text).to_vec()),
    }
}

/// Without an SMTP reply's code at the start.
fn without_code(text: &[u8]) -> &[u8] {
    match text {
        [a, b, c, b' ', rest @ ..] if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => rest,
        _ => text,
    }
}

/// Why the SMTP server refused `command`; `text` begins with the reply's code.
pub(super) fn refusal<'a>(command: &[u8], text: &'a [u8]) -> Cow<'a, [u8]> {
    match command {
        b"RCPT" | b"DATA" | b"CONNECT" => Cow::Owned(refused_recipient(text)),
        b"MAIL" => Cow::Borrowed(refused_sender(text)),
        _ => Cow::Borrowed(behind_last_colon(text)),
    }
}

/// The part behind the first colon or semicolon, up to the next comma or semicolon.
fn refused_recipient(text: &[u8]) -> Vec<u8> {
    let mut reason = match protocol_error(text).or_else(|| middle(text)) {
        Some(reason) => reason.to_vec(),
        None => text.to_vec(),
    };
    let addressed = [&b"Sender address rejected: "[..], b"Recipient address rejected: "];
    if let Some(start) = addressed.iter().find(|start| reason.starts_with(start)) {
        let end = reason.get(start.len() + 1..).and_then(|rest| memchr::memchr(b':', rest));
        if let Some(end) = end {
            reason.truncate(start.len() + 1 + end);
        }
    }
    // Each client has an address of its own: one list is one reason.
    let subjects = [&b"Client host "[..], b"client ", b"Sender address "];
    let found = subjects.iter().filter_map(|subject| Some((memmem::find(&reason, subject)?, subject))).min();
    if let Some((at, subject)) = found
        && let Some(rest) = reason.get(at + subject.len() + 1..)
        && let Some(blocked) = memmem::find(rest, b" blocked")
        && let Some(tail) = rest.get(blocked + 1..)
    {
        reason = [reason.get(..at).unwrap_or_default(), tail].concat();
    }
    reason
}

fn middle(text: &[u8]) -> Option<&[u8]> {
    // Perl's way back: where nothing closes the part behind one mark, the next mark is tried.
    let mut from = 0;
    loop {
        let rest = text.get(from..)?;
        let at = rest.windows(2).position(|two| matches!(two, b": " | b"; "))?;
        let part = rest.get(at + 2..)?;
        for part in [bracket_passed(part), Some(part)].into_iter().flatten() {
            let (reason, closing) = scan::span(part, |byte| matches!(byte, b';' | b','));
            if !reason.is_empty() && !closing.is_empty() {
                return Some(reason);
            }
        }
        from += at + 1;
    }
}

/// Behind `[…] ` at the start.
fn bracket_passed(part: &[u8]) -> Option<&[u8]> {
    let (inside, rest) = scan::cut_at(part.strip_prefix(b"[")?, b']')?;
    if inside.is_empty() { None } else { rest.strip_prefix(b" ") }
}

/// `550 5.5.1 Protocol error; …`
fn protocol_error(text: &[u8]) -> Option<&'static [u8]> {
    let rest = text.strip_prefix(b"550 5.5.1 ")?;
    rest.starts_with(b"Protocol error;").then_some(b"Protocol error")
}

/// Behind the code, up to the first colon or semicolon.
fn refused_sender(text: &[u8]) -> &[u8] {
    let (reason, _) = scan::span(without_code(text), |byte| matches!(byte, b';' | b':'));
    if reason.is_empty() || without_code(text).len() == text.len() { text } else { reason }
}

/// Behind the last colon or semicolon with a blank, up to the next comma.
fn behind_last_colon(text: &[u8]) -> &[u8] {
    let at = text.windows(2).rposition(|two| matches!(two, b": " | b"; "));
    let rest = at.and_then(|at| text.get(at + 2..)).unwrap_or(text);
    scan::span(rest, |byte| byte == b',').0
}

/// Why a message was refused for its header or body, without whom it came from.
pub(super) fn content(text: &[u8]) -> Cow<'_, [u8]> {
    let text = match memmem::find(text, b"; from=<") {
        Some(at) => {
            let before = text.get(..at).unwrap_or(text);
            match memmem::rfind(before, b" from ") {
                Some(from) if !before.get(from + 6..).unwrap_or_default().contains(&b' ') => {
                    before.get(..from).unwrap_or(before)
                }
                _ => before,
            }
        }
        None => text,
    };
    shorten(text, 64)
}
